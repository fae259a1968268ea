"""Flat priors and long data: posteriors are those of maximum likelihood, as statsmodels has it.

The estimates are of 20000 bins, simulated with NumPy alone. A posterior mean differs from the
estimate by its Monte Carlo error and, since a log likelihood is no parabola, by a part of a
standard error that falls as 1 / sqrt(information). Its leading term, half of cov X' (d * diag(X cov
X')) with d the third derivatives, is at most 0.03 standard errors for these counts and fixed
parameters, and a learned dispersion is more skewed than weights: `SHIFT` allows 0.1. The relative
difference of standard deviations is of order 1 / information: `SPREAD` allows 0.02.
"""

import arviz as az
import numpy as np
import pymc as pm
import pytest
from scipy.special import expit

import pymc_glm as pg

sm = pytest.importorskip("statsmodels.api")

N_BINS, N = 20_000, 3
BASIS = pg.basis.raised_cosine(2, window=0.1, bin_width=0.02)
BIAS = np.array([-1.6, -1.2, -1.9])
# [post, pre, basis]: refractory neurons, excitation, inhibition, a pair without an edge.
WEIGHTS = np.array(
    [
        [[-1.0, -0.2], [0.5, 0.3], [0.0, 0.0]],
        [[-0.5, -0.3], [-0.8, -0.1], [0.4, 0.2]],
        [[0.3, 0.0], [-0.4, 0.2], [-1.2, 0.1]],
    ]
)
R, VARIANCE = 2.0, 0.8
SHIFT, SPREAD = 0.1, 0.02  # of a standard error
FLAT = {
    "weights": pg.GaussianWeights(0.0, 100.0, None, None),  # variances
    "bias": pm.Normal.dist(0, 10),
}


def draw(observation, psi, rng):
    """Counts of one bin."""
    match observation:
        case pg.Bernoulli():
            return rng.binomial(1, expit(psi))
        case pg.Binomial(n_trials=n):
            return rng.binomial(n, expit(psi))
        case pg.NegativeBinomial():
            return rng.poisson(rng.gamma(R, np.exp(psi)))
        case pg.Poisson():
            return rng.poisson(np.exp(psi))
        case pg.Gaussian():
            return rng.normal(psi, np.sqrt(VARIANCE))


def simulate(observation, seed):
    """Counts (time, neuron) and their history (time, pre * basis), bin by bin."""
    rng = np.random.default_rng(seed)
    basis = BASIS.values
    # Negative binomial counts have a mean r times as high, which would run away; traces are large.
    scale = {pg.NegativeBinomial: 0.6, pg.Gaussian: 0.2}.get(type(observation), 1.0)
    counts = np.zeros(
        (N_BINS + len(basis), N), dtype=int if observation.whole else float
    )  # silent window
    history = np.empty((N_BINS, N, basis.shape[1]))
    for t in range(N_BINS):
        history[t] = counts[t : t + len(basis)][::-1].T @ basis  # lag 1 first
        psi = (BIAS if observation.whole else 0.1 * BIAS) + scale * np.einsum(
            "nmb,mb->n", WEIGHTS, history[t]
        )
        counts[t + len(basis)] = draw(observation, psi, rng)
    return counts[len(basis) :], history.reshape(N_BINS, -1)


def maximum_likelihood(observation, counts, history):
    """Estimates and standard errors, both (neuron, 1 + pre * basis), biases first."""
    design = sm.add_constant(history)
    found = []
    for y in counts.T:
        options = {}
        match observation:
            case pg.Bernoulli():
                family = sm.families.Binomial()
            case pg.Binomial(n_trials=n):
                y, family = np.stack([y, n - y], axis=1), sm.families.Binomial()
            case pg.NegativeBinomial():
                # Mean r exp(psi), variance mean + mean^2 / r: a log link with the offset log r.
                family = sm.families.NegativeBinomial(alpha=1 / R)
                options["offset"] = np.full(len(y), np.log(R))
            case pg.Poisson():
                family = sm.families.Poisson()
            case pg.Gaussian():
                family = sm.families.Gaussian()
                options["var_weights"] = np.full(len(y), 1 / VARIANCE)
        model = sm.GLM(y, design, family=family, **options)
        estimate = model.fit(tol=1e-12).params
        information = -model.hessian(estimate, scale=1.0, observed=True)  # none is estimated
        found.append((estimate, np.sqrt(np.diag(np.linalg.inv(information)))))
    return np.array(found).swapaxes(0, 1)


def sampled(model, draws=1000, tune=400, step=None):
    """Posterior draws, (chain, draw, neuron, 1 + pre * basis), biases first, and the rest."""
    options = {"chains": 2, "cores": 1, "progressbar": False, "quiet": True, "random_seed": 2}
    with model:
        chosen = {} if step is None else {"step": [step(threads=1)]}
        posterior = pg.sample(draws, tune, **options, **chosen)["posterior"].dataset
    bias = posterior["bias"].transpose("chain", "draw", "post").values[..., None]
    weights = posterior["weights"].transpose("chain", "draw", "post", "pre", "basis").values
    return np.concatenate([bias, weights.reshape(2, draws, N, -1)], axis=-1), posterior


def disagreement(draws, estimate, error):
    """Largest difference of means and of standard deviations over what is allowed: agree below 1.

    4.5 Monte Carlo errors are exceeded by one of 150000 means.
    """
    axes = {"chain_axis": 0, "draw_axis": 1}
    mean, sd = draws.mean((0, 1)), draws.std((0, 1), ddof=1)
    shift = np.abs(mean - estimate) / (4.5 * az.mcse(draws, **axes) + SHIFT * error)
    spread = np.abs(sd - error) / (4.5 * az.mcse(draws, method="sd", **axes) + SPREAD * error)
    return max(shift.max(), spread.max())


MODELS = {
    "bernoulli": (pg.Bernoulli(), {}),
    "bernoulli augmented": (pg.Bernoulli(), {"step": pg.PolyaGammaGibbs, "draws": 500, "tune": 50}),
    "binomial": (pg.Binomial(4), {}),
    "negative binomial": (pg.NegativeBinomial(R), {}),
    "poisson": (pg.Poisson(), {}),
    "gaussian": (pg.Gaussian(VARIANCE), {}),
}


SLOW = ("bernoulli", "bernoulli augmented", "binomial", "negative binomial")


@pytest.mark.parametrize(
    ("observation", "options"),
    [
        pytest.param(*of, marks=pytest.mark.slow if name in SLOW else (), id=name)
        for name, of in MODELS.items()
    ],
)
def test_flat_priors_give_maximum_likelihood(observation, options):
    counts, history = simulate(observation, seed=1)
    draws, _ = sampled(pg.dense_glm(counts, BASIS, observation=observation, **FLAT), **options)
    estimate, error = maximum_likelihood(observation, counts, history)
    assert disagreement(draws, estimate, error) < 1
    # The comparison can fail: of errors 15% too wide, and of a history that comes a bin late.
    assert disagreement(draws, estimate, 1.15 * error) > 1
    late, error = maximum_likelihood(observation, counts, np.roll(history, 1, axis=0))
    assert disagreement(draws, late, error) > 1


def test_learned_dispersion():
    """log r and the log mean of a silent network, for which r and the biases are traded.

    A gamma prior of shape 0.01 is flat in log r.
    """
    counts, history = simulate(pg.NegativeBinomial(R), seed=1)
    observation = pg.NegativeBinomial(pm.Gamma.dist(0.01, 0.01))
    model = pg.dense_glm(counts, BASIS, observation=observation, **FLAT)
    draws, posterior = sampled(model, draws=500, tune=300)
    log_r = np.log(posterior["dispersion"].transpose("chain", "draw", "post").values)
    draws[..., 0] += log_r
    draws = np.concatenate([draws, log_r[..., None]], axis=-1)
    expected = []
    for y in counts.T:
        fit = sm.NegativeBinomial(y, sm.add_constant(history)).fit(disp=False, method="newton")
        alpha, error = fit.params[-1], fit.bse[-1]
        estimate = np.append(fit.params[:-1], -np.log(alpha))
        expected.append((estimate, np.append(fit.bse[:-1], error / alpha)))
    assert disagreement(draws, *np.array(expected).swapaxes(0, 1)) < 1
