"""Evidence of held-out neurons against quadrature, enumeration and closed forms."""

from itertools import product

import numpy as np
import pymc as pm
import pytest
import xarray as xr
from scipy import optimize, special, stats

import pymc_glm as pg
from helpers.drawn_tree import drawn_tree
from pymc_glm.criticism.new_neuron import row_annealing
from pymc_glm.kernels.likelihood import log_likelihood, neuron_likelihood, score, tempered

WIDTH = 0.02
BASIS = pg.basis.raised_cosine(1, window=0.06, bin_width=WIDTH)
BIAS = (-1.0, 1.0)
P, SELF_P = 0.4, 0.6
MEAN, VARIANCE, SELF_MEAN, SELF_VARIANCE = 0.5, 0.8, -1.0, 0.5
EDGES = pg.BernoulliEdges(P, SELF_P)
WEIGHTS = pg.GaussianWeights(MEAN, VARIANCE, SELF_MEAN, SELF_VARIANCE)


def counts_of(observation, n, n_bins=80, seed=0):
    rng = np.random.default_rng(seed)
    if observation.whole:
        values = rng.negative_binomial(1.0, 0.65, (n_bins, n)).clip(0, observation.most).astype(int)
    else:
        values = rng.normal(0.0, 1.0, (n_bins, n))
    return xr.DataArray(
        values,
        dims=("time", "neuron"),
        coords={"neuron": list("abcd"[:n])},
        attrs={"bin_width": WIDTH},
    )


def build(counts, observation="bernoulli", edges=EDGES, weights=WEIGHTS, **kwargs):
    known = {"observation": observation, "bias": pm.Normal.dist(*BIAS)} | kwargs
    return pg.build_glm(counts, BASIS, edges=edges, weights=weights, **known)


def fit_without(neuron, counts, draws=60, **kwargs):
    """A fit of the other neurons, with draws from the prior."""
    return drawn_tree(build(counts.drop_sel(neuron=neuron), **kwargs), draws=draws)


def history(counts):
    """The filtered past of each neuron in every bin, (time, pre)."""
    lags = np.concatenate([[0.0], BASIS.values[:, 0]])
    return np.array([np.convolve(lags, one)[: len(one)] for one in counts.values.T]).T


def integral(log_density, size, n_nodes=16):
    """Log integral by Gauss-Hermite quadrature around the mode."""
    fit = optimize.minimize(lambda x: -log_density(x[None])[0], np.zeros(size), method="BFGS")
    scale = np.linalg.cholesky(fit.hess_inv)
    nodes, weights = np.polynomial.hermite_e.hermegauss(n_nodes)
    grid = np.array(list(product(nodes, repeat=size)))
    log_w = np.array([sum(w) for w in product(np.log(weights), repeat=size)])
    values = log_density(fit.x + grid @ scale.T) + 0.5 * (grid**2).sum(axis=1) + log_w
    return special.logsumexp(values) + np.log(np.diag(scale)).sum()


def bernoulli(y, psi, _):
    return y * psi - np.logaddexp(0.0, psi)


class Exact:
    """Evidences of a neuron given its edges, by quadrature over bias, weights and parameter."""

    def __init__(self, counts, neuron, log_pmf=bernoulli, log_prior=None):
        self.x = history(counts)
        self.y = counts.sel(neuron=neuron).values
        self.is_self = counts["neuron"].values == neuron
        self.log_pmf, self.log_prior = log_pmf, log_prior

    def given(self, active, means, variances):
        def log_density(theta):
            log_parameter = theta[:, -1:] if self.log_prior else None
            w = theta[:, 1 : 1 + active.size]
            psi = theta[:, :1] + w @ self.x[:, active].T
            prior = stats.norm.logpdf(theta[:, 0], *BIAS)
            prior = prior + stats.norm.logpdf(w, means[active], variances[active] ** 0.5).sum(
                axis=1
            )
            if self.log_prior:
                prior = prior + self.log_prior(theta[:, -1])
            return prior + self.log_pmf(self.y, psi, log_parameter).sum(axis=1)

        return integral(log_density, 1 + active.size + (self.log_prior is not None))

    def each(self, mean=MEAN, variance=VARIANCE):
        """Evidences by adjacency."""
        means = np.where(self.is_self, SELF_MEAN, mean)
        variances = np.where(self.is_self, SELF_VARIANCE, variance)
        return {
            edges: self.given(np.flatnonzero(edges), means, variances)
            for edges in product([0, 1], repeat=self.is_self.size)
        }

    def evidence(self, p=P, each=None):
        """The evidence under edge probabilities p (scalar or (pre,))."""
        p = np.where(self.is_self, SELF_P, p)
        each = each or self.each()
        return special.logsumexp(
            [z + np.log(np.where(edges, p, 1 - p)).sum() for edges, z in each.items()]
        )


def agrees(estimates, exact, most_se):
    """Return whether estimates, given as logarithms, have this mean; false 1 time in 10 000."""
    ratio = np.exp(np.asarray(estimates) - exact)
    se = ratio.std(ddof=1) / np.sqrt(ratio.size)
    assert se < most_se
    return abs(ratio.mean() - 1) < 4 * se + 1e-4  # plus the error of the quadrature


def nbinom(y, psi, log_r):
    return stats.nbinom.logpmf(y, np.exp(log_r), special.expit(-psi))


OBSERVATIONS = {
    "bernoulli": (pg.Bernoulli(), bernoulli, None),
    "binomial": (pg.Binomial(3), lambda y, s, _: stats.binom.logpmf(y, 3, special.expit(s)), None),
    "poisson": (pg.Poisson(), lambda y, s, _: stats.poisson.logpmf(y, np.exp(s)), None),
    "negative binomial": (
        pg.NegativeBinomial(1.5),
        lambda y, s, _: stats.nbinom.logpmf(y, 1.5, special.expit(-s)),
        None,
    ),
    "negative binomial, learned": (
        pg.NegativeBinomial(pm.Gamma.dist(3.0, 2.0)),
        nbinom,
        lambda log_r: stats.gamma.logpdf(np.exp(log_r), 3.0, scale=0.5) + log_r,
    ),
    "gaussian, learned": (
        pg.Gaussian(pm.InverseGamma.dist(3.0, 2.0)),
        lambda y, s, log_v: stats.norm.logpdf(y, s, np.exp(0.5 * log_v)),
        lambda log_v: stats.invgamma.logpdf(np.exp(log_v), 3.0, scale=2.0) + log_v,
    ),
}


@pytest.mark.parametrize("name", OBSERVATIONS)
def test_against_enumeration_and_quadrature(name):
    observation, log_pmf, log_prior = OBSERVATIONS[name]
    counts = counts_of(observation, 2)
    tree = fit_without("a", counts, observation=observation)
    model = build(counts, observation)
    found = pg.heldout_neuron(tree, model, "a", draws=100, temperatures=15, random_seed=1)
    exact = Exact(counts, "a", log_pmf, log_prior)
    each = exact.each()
    assert agrees(found.draws["log_evidence"], exact.evidence(each=each), 0.07)
    assert agrees(found.draws["log_evidence_constant"], each[0, 0], 0.05)
    assert found.log_evidence == pytest.approx(
        special.logsumexp(found.draws["log_evidence"]) - np.log(100)
    )
    assert found.ess > 50
    if observation.whole:
        bits = (found.log_evidence - found.log_evidence_constant) / np.log(2)
        assert found.bits_per_spike == pytest.approx(bits / counts.sel(neuron="a").sum().item())
    else:
        assert np.isnan(found.bits_per_spike)


def test_draws_of_the_hyperparameters():
    """Each draw gives an estimate of the evidence at its hyperparameters."""
    counts = counts_of(pg.Bernoulli(), 2)
    learned = {
        "edges": pg.BernoulliEdges(pm.Beta.dist(1, 1), SELF_P),
        "weights": pg.GaussianWeights(
            pm.Normal.dist(0, 2), pm.Exponential.dist(1.0), SELF_MEAN, SELF_VARIANCE
        ),
    }
    tree = fit_without("b", counts, draws=20, **learned)
    model = build(counts, **learned)
    found = pg.heldout_neuron(tree, model, "b", draws=40, temperatures=20, random_seed=2)
    exact = Exact(counts, "b")
    posterior = tree["posterior"]
    expected = []
    for chain, draw in found.draws[["chain", "draw"]].to_numpy():
        here = {k: float(posterior[k][chain, draw].values.squeeze())
                for k in ("edge_probability", "weight_mean", "weight_cov")}  # fmt: skip
        each = exact.each(here["weight_mean"], here["weight_cov"])
        expected.append(exact.evidence(here["edge_probability"], each))
    expected = np.array(expected)
    assert agrees(found.draws["log_evidence"], expected, 0.15)
    assert (found.draws["log_evidence"] - expected).std() < 0.7 * expected.std()


@pytest.fixture(scope="module")
def traces():
    """A dense network of traces with a covariate, and the closed form of a neuron's evidence."""
    counts = counts_of(pg.Gaussian(), 3, n_bins=300)
    speed = np.sin(np.arange(300) / 9.0)
    counts[:, 1] = 0.8 * speed + 0.5 * np.roll(counts[:, 0], 1) + 0.7 * counts[:, 1]
    variance = 0.6
    options = {
        "observation": pg.Gaussian(variance),
        "edges": pg.DenseEdges(),
        "covariates": xr.DataArray(speed[:, None], dims=("time", "covariate")),
        "covariate_prior": pg.CovariatePrior(0.3, 0.5),
    }
    model = build(counts, **options)
    tree = fit_without("b", counts, draws=50, **options)
    x = history(counts)
    design = np.column_stack([np.ones(300), x, speed / speed.std()])
    mean = np.array([BIAS[0], MEAN, SELF_MEAN, MEAN, 0.3])
    prior = np.diag([BIAS[1] ** 2, VARIANCE, SELF_VARIANCE, VARIANCE, 0.25])
    covariance = design @ prior @ design.T + variance * np.eye(300)
    exact = stats.multivariate_normal.logpdf(counts[:, 1].values, design @ mean, covariance)
    return tree, model, exact


def test_traces_against_the_closed_form(traces):
    tree, model, exact = traces
    found = pg.heldout_neuron(tree, model, "b", draws=60, temperatures=20, random_seed=3)
    assert agrees(found.draws["log_evidence"], exact, 0.05)
    assert abs(found.log_evidence - exact) < 4 * found.log_evidence_se


def test_the_same_seed_gives_the_same_estimates(traces):
    tree, model, _ = traces
    one, two = (
        pg.heldout_neuron(tree, model, "b", draws=5, temperatures=3, random_seed=3, threads=n)
        for n in (1, 2)
    )
    assert one.draws.equals(two.draws)


@pytest.mark.parametrize("bug", ["moves at another temperature", "a step too few"])
def test_the_closed_form_detects_bugs(bug, traces, monkeypatch):
    tree, model, exact = traces
    if bug == "a step too few":
        anneal = row_annealing.anneal
        module = pg.heldout_neuron.__globals__
        monkeypatch.setitem(
            module, "anneal", lambda path, values, betas, rng: anneal(path, values, betas[:-1], rng)
        )
    else:
        monkeypatch.setattr(row_annealing, "tempered", lambda one, beta: tempered(one, beta / 4))
    found = pg.heldout_neuron(tree, model, "b", draws=40, temperatures=20, random_seed=3)
    assert not agrees(found.draws["log_evidence"], exact, np.inf)


def test_the_block_of_the_neuron_is_summed_over():
    counts = counts_of(pg.Bernoulli(), 3, n_bins=150)
    table = np.array([[0.95, 0.3], [0.1, 0.05]])
    options = {"edges": pg.BlockEdges(2, table, SELF_P, concentration=0.7)}
    tree = fit_without("b", counts, draws=50, **options)
    found = pg.heldout_neuron(
        tree, build(counts, **options), "b", draws=100, temperatures=15, random_seed=4
    )
    exact = Exact(counts, "b")
    each = exact.each()
    labels = tree["posterior"]["block_labels"].values
    expected = []
    for chain, draw in found.draws[["chain", "draw"]].to_numpy():
        others = labels[chain, draw]
        log_z = []
        for block in (0, 1):
            share = (0.7 + (others == block).sum()) / (1.4 + 2)
            p = table[block, np.insert(others, 1, block)]
            log_z.append(np.log(share) + exact.evidence(p, each))
        expected.append(special.logsumexp(log_z))
    assert agrees(found.draws["log_evidence"], np.array(expected), 0.15)


def test_the_position_of_the_neuron_is_integrated_over():
    counts = counts_of(pg.Bernoulli(), 3, n_bins=150)
    options = {"edges": pg.DistanceEdges(1, 1.0, 0.5, self_probability=SELF_P)}
    tree = fit_without("c", counts, draws=50, **options)
    found = pg.heldout_neuron(
        tree, build(counts, **options), "c", draws=100, temperatures=15, random_seed=5
    )
    exact = Exact(counts, "c")
    each = exact.each()
    places = tree["posterior"]["latent_positions"].values[..., 0]
    grid = np.linspace(-5, 5, 51)
    expected = []
    for chain, draw in found.draws[["chain", "draw"]].to_numpy():
        others = places[chain, draw]
        values = [
            exact.evidence(special.expit(1.0 - (np.append(others, u) - u) ** 2 / 0.25), each)
            for u in grid
        ]
        values = np.array(values) + stats.norm.logpdf(grid) + np.log(grid[1] - grid[0])
        expected.append(special.logsumexp(values))
    assert agrees(found.draws["log_evidence"], np.array(expected), 0.15)


def test_a_driven_neuron_is_predicted():
    """Spikes of the others predict a neuron that they drive, but not one that they do not."""
    weights = np.zeros((3, 3, 1))
    weights[1, 0], weights[1, 2] = 2.5, -2.5
    network = pg.NetworkParameters(np.array([-2.0, -2.5, -2.0]), weights, BASIS)
    counts = pg.simulate(network, 4000, random_seed=6)
    score = {}
    for neuron in ("0", "1"):
        tree = fit_without(neuron, counts, draws=20)
        score[neuron] = pg.heldout_neuron(tree, build(counts), neuron, draws=20, random_seed=7)
    assert score["1"].bits_per_spike > 0.05
    assert score["0"].bits_per_spike < 0.01
    assert score["1"].bits_per_spike_observed < score["1"].bits_per_spike + 0.05
    assert "bits per spike over a constant rate" in str(score["1"])


@pytest.mark.parametrize(
    "observation", [one for one, *_ in OBSERVATIONS.values()], ids=OBSERVATIONS
)
def test_powers_of_likelihoods(observation):
    """A power multiplies differences of the log likelihood and its derivatives."""
    counts = counts_of(observation, 1).values.T
    whole = observation.with_parameter(3).likelihood(counts)
    part = tempered(whole, 0.3)
    psi = np.random.default_rng(1).normal(size=(2, 80))
    buffer, found = np.empty(80), []
    for likelihood in (whole, part):
        of_neuron = neuron_likelihood(likelihood, 0)
        slope, curvature = np.empty(80), np.empty(80)
        score(of_neuron, likelihood.counts[0], psi[0], slope, curvature)
        change = [log_likelihood(of_neuron, likelihood.counts[0], one, buffer) for one in psi]
        found.append(np.concatenate([slope, curvature, [change[1] - change[0]]]))
    np.testing.assert_allclose(found[1], 0.3 * found[0], rtol=1e-9)


def test_few_effective_draws_are_reported():
    known = pg.HeldoutNeuron("a", 1.0, -9.0, 0.9, 1.2, -9.0, 0.1, -9.0, 0.0, 0.9, 0.0, None)
    assert "1 effective draw)" in str(known)
    assert "do not trust the standard error" in str(known)


def test_wrong_arguments_are_refused():
    counts = counts_of(pg.Bernoulli(), 3)
    model, tree = build(counts), fit_without("b", counts, draws=3)
    other = counts.assign_coords(neuron=["a", "b", "x"])
    wide = pg.basis.raised_cosine(1, window=0.08, bin_width=WIDTH)
    known = {"bias": pm.Normal.dist(*BIAS), "edges": EDGES, "weights": WEIGHTS}
    learned = build(counts, edges=pg.BernoulliEdges())
    for arguments, message in (
        ((tree, model, "x"), "neuron: got 'x', the model has 3 neurons"),
        ((tree, model, "a"), "neuron: 'a' was in the fit"),
        ((tree, build(other), "b"), r"in its neurons .2 neurons .'a', 'x'. besides 'b'; "),
        ((tree, build(counts, "poisson"), "b"),
         "in its observation model .'poisson'; the tree has 'bernoulli'"),
        ((tree, pg.build_glm(counts, wide, **known), "b"), "in its basis_functions"),
        ((tree, learned, "b"), "tree: the group 'posterior' has no variable 'edge_probability'"),
        ((fit_without("b", counts, draws=3, edges=pg.BernoulliEdges()), model, "b"),
         r"in its variables .it lacks .* of the tree"),
        ((tree, pg.build_glm({"m": counts, "n": counts}, BASIS), "b"),
         "it has the sessions .*, but the tree only one"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            pg.heldout_neuron(*arguments)
    with pytest.raises(TypeError, match=r"model: got NoneType, allowed is a pymc\.Model"):
        pg.heldout_neuron(tree, None, "b")
    for name in ("draws", "temperatures"):
        with pytest.raises(
            ValueError, match=f"{name}: got 0, allowed are whole numbers of at least 1"
        ):
            pg.heldout_neuron(tree, model, "b", **{name: 0})
    matrix = {"edges": pg.BernoulliEdges(pm.Beta.dist(1, 1, shape=(3, 3)), SELF_P)}
    fewer = {"edges": pg.BernoulliEdges(pm.Beta.dist(1, 1, shape=(2, 2)), SELF_P)}
    tree = drawn_tree(build(counts.drop_sel(neuron="b"), **fewer), draws=3)
    with pytest.raises(ValueError, match="'edge_probability' has a separate value for each neuron"):
        pg.heldout_neuron(tree, build(counts, **matrix), "b")
