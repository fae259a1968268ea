"""Observation models: densities against SciPy, what is refused, samplers of posteriors."""

import arviz as az
import numpy as np
import pymc as pm
import pytest
from scipy.special import expit
from scipy.stats import binom, nbinom, norm, poisson

import pymc_glm as pg
from helpers import joint
from helpers.columns import column_history
from helpers.uncompiled import QUICK_FIT
from pymc_glm.engines import threads
from pymc_glm.kernels import likelihood
from pymc_glm.kernels.history import convolve_history
from pymc_glm.kernels.packing import pack_rows
from pymc_glm.kernels.polya_gamma import augment
from pymc_glm.observations import observation_of
from pymc_glm.steps import dispersion_gibbs

BASIS = pg.basis.raised_cosine(2, window=0.1, bin_width=0.02)


class Slow:
    """A density written with SciPy: log probabilities of counts y and their mean, given psi."""

    def __init__(self, log_pmf, mean, most=15):
        self.log_pmf, self.mean, self.most = log_pmf, mean, most


def slow_binomial(n):
    return Slow(lambda y, psi: binom.logpmf(y, n, expit(psi)), lambda psi: n * expit(psi), n)


def slow_negative_binomial(r):
    return Slow(lambda y, psi: nbinom.logpmf(y, r, expit(-psi)), lambda psi: r * np.exp(psi))


MODELS = {
    "bernoulli": (pg.Bernoulli(), slow_binomial(1)),
    "binomial 1": (pg.Binomial(1), slow_binomial(1)),
    "binomial 5": (pg.Binomial(5), slow_binomial(5)),
    "negative binomial 0.3": (pg.NegativeBinomial(0.3), slow_negative_binomial(0.3)),
    "negative binomial 7": (pg.NegativeBinomial(7), slow_negative_binomial(7)),
    "poisson": (pg.Poisson(), Slow(lambda y, psi: poisson.logpmf(y, np.exp(psi)), np.exp)),
    "gaussian": (
        pg.Gaussian(0.49),
        Slow(lambda y, psi: norm.logpdf(y, psi, 0.7), lambda psi: psi),
    ),
}
each_observation = pytest.mark.parametrize(
    ("observation", "slow"), list(MODELS.values()), ids=list(MODELS)
)


def counts_of(observation, n_bins=300, n=3, seed=0):
    rng = np.random.default_rng(seed)
    if isinstance(observation, pg.Gaussian):
        return rng.normal(size=(n_bins, n))
    if isinstance(observation, pg.NegativeBinomial):
        return rng.negative_binomial(2.0, 0.7, (n_bins, n))
    if isinstance(observation, pg.Poisson):
        return rng.poisson(0.8, (n_bins, n))
    return rng.binomial(observation.trials, 0.3, (n_bins, n))


@each_observation
def test_kernels_know_the_observation_model(observation, slow):
    """Log probabilities up to a term of the counts alone; derivatives by finite differences."""
    y = np.arange(slow.most + 1)
    psi = np.random.default_rng(1).normal(size=y.size) * 3
    y = y - 2.5 * (not observation.whole)  # traces are not counts
    expected = slow.log_pmf(y, psi) - slow.log_pmf(y, np.zeros(y.size))
    parameters = likelihood.neuron_likelihood(observation.likelihood(y[None]), 0)
    ours = [
        likelihood.log_likelihood(parameters, y[i : i + 1], psi[i : i + 1], np.empty(1))
        - likelihood.log_likelihood(parameters, y[i : i + 1], np.zeros(1), np.empty(1))
        for i in range(y.size)
    ]
    np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-11)
    slope, curvature = np.empty(y.size), np.empty(y.size)
    likelihood.score(parameters, y, psi, slope, curvature)
    low, middle, high = (slow.log_pmf(y, psi + h) for h in (-1e-4, 0.0, 1e-4))
    np.testing.assert_allclose(slope, (high - low) / 2e-4, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(curvature, -(high - 2 * middle + low) / 1e-8, rtol=1e-4, atol=1e-5)


@each_observation
def test_augmentation_knows_the_observation_model(observation, slow):
    r"""kappa and b: p(y | psi) is proportional to exp(kappa psi) / (2 cosh(psi / 2))^b."""
    if isinstance(observation, pg.Poisson | pg.Gaussian):
        return
    y = np.arange(slow.most + 1)
    psi = np.random.default_rng(1).normal(size=y.size) * 3
    silent = np.zeros((y.size, 1, 1))
    data = augment(pack_rows(column_history(silent)), observation.likelihood(y[None]), 1)
    order = data.rows.order
    b = np.broadcast_to(data.polya_gamma_shape(0), y.shape)[np.argsort(order)]
    tilted = (y - b / 2) * psi - b * np.log(2 * np.cosh(psi / 2)) + b * np.log(2)
    expected = slow.log_pmf(y, psi) - slow.log_pmf(y, np.zeros(y.size))
    np.testing.assert_allclose(tilted, expected, atol=1e-10)
    np.testing.assert_allclose(data.kappa_product(0), [(y - b / 2).sum(), 0.0], atol=1e-12)


@each_observation
def test_activation_inverts_the_mean(observation, slow):
    rate = np.array([1.0, 10.0, 40.0])
    psi = observation.activation(rate, 0.02)
    np.testing.assert_allclose(slow.mean(psi) / 0.02, rate)
    parameter = (
        getattr(observation, observation.parameter_name) if observation.parameter_name else 1.0
    )
    parameter = np.asarray(parameter)
    np.testing.assert_allclose(observation.mean_counts(psi, parameter) / 0.02, rate)


@each_observation
def test_the_observation_model_is_read_back_from_the_model(observation, slow):
    model = pg.build_glm(counts_of(observation), BASIS, observation=observation)
    found = observation_of(model["spikes"])
    assert type(found) is type(observation)
    if observation.parameter_name:
        np.testing.assert_allclose(*[getattr(x, x.parameter_name) for x in (found, observation)])
    point = model.initial_point(0)
    point["bias"] = np.array([-1.0, 0.0, 0.5])
    (psi,) = model.replace_rvs_by_values([found.psi(model["spikes"])])
    function = model.compile_fn(psi, inputs=model.value_vars, on_unused_input="ignore")
    assert function(point).shape == (300, 3)
    np.testing.assert_allclose(function(point)[0], point["bias"], atol=1e-12)


@each_observation
def test_the_models_log_density_is_that_of_the_observation_model(observation, slow):
    """PyMC's variable against SciPy, at a point with couplings."""
    counts = counts_of(observation)
    model = pg.build_glm(counts, BASIS, observation=observation)
    rng = np.random.default_rng(3)
    point = model.initial_point(0)
    point["weights"] = 0.1 * rng.standard_normal(point["weights"].shape)
    point["bias"] = rng.normal(-0.5, 0.3, 3)
    history = convolve_history(counts, BASIS.values)
    psi = point["bias"] + np.einsum("tmb,nmb->tn", history, point["weights"])
    found = model.compile_logp(vars=[model["spikes"]], sum=False)(point)[0]
    np.testing.assert_allclose(found, slow.log_pmf(counts, psi), rtol=1e-9, atol=1e-10)


def test_trials_that_are_not_one_known_number_are_unknown():
    with pm.Model():
        n = pm.Data("n", 3)
        for trials in (n, [2, 3, 3]):
            y = pm.Binomial(f"y{trials}", n=trials, p=np.full(3, 0.5))
            assert observation_of(y) is None
        assert observation_of(pm.Binomial("x", n=[3, 3, 3], p=0.5)) == pg.Binomial(3)
        assert isinstance(observation_of(pm.Normal("z")), pg.Gaussian)
        assert observation_of(pm.Gamma("g", 1, 1)) is None


@pytest.mark.parametrize("n_trials", [0, -1, 2.5, True, "3", None])
def test_bad_numbers_of_trials(n_trials):
    with pytest.raises(ValueError, match=r"^n_trials: got .*at least 1"):
        pg.Binomial(n_trials)


def test_more_spikes_than_trials():
    counts = counts_of(pg.Binomial(3))
    counts[7, 1] = 9
    with pytest.raises(ValueError, match=r"1 of 900 bins.*n_trials = 3.*neuron '1', bin 7, 9 spi"):
        pg.build_glm(counts, BASIS, observation=pg.Binomial(3))
    with pytest.raises(ValueError, match=r"bias_rate: got 150 Hz.*below 150 Hz, 3 spikes a bin"):
        pg.build_glm(counts.clip(max=3), BASIS, observation=pg.Binomial(3), bias_rate=150)


@pytest.mark.parametrize(
    ("observation", "message"),
    [
        (pg.NegativeBinomial([1.0, 2.0]), r"dispersion: got \[1.0, 2.0\]; .*array of shape \(3,\)"),
        (pg.NegativeBinomial(-1.0), "dispersion: got -1.0 .*of at least 1e-06"),
        (pg.NegativeBinomial([1.0, 2.0, 0.0]), r"dispersion: got 0.0 at index \(2,\)"),
        (pg.Gaussian([1.0, 2.0]), r"noise_variance: got \[1.0, 2.0\]; .*array of shape \(3,\)"),
        (pg.Gaussian(0.0), "noise_variance: got 0.0"),
    ],
)
def test_bad_parameters_of_observation_models(observation, message):
    with pytest.raises(ValueError, match=message):
        pg.build_glm(counts_of(observation), BASIS, observation=observation)


def test_rates_of_binomial_counts():
    observation = pg.Binomial(5)
    counts = counts_of(observation, n_bins=1000)
    model = pg.build_glm(counts, BASIS, observation=observation, bias_rate=60.0)
    options = {"chains": 2, "cores": 1, "progressbar": False, "quiet": True}
    tree = pg.sample(100, 100, model=model, random_seed=1, **options, **QUICK_FIT)
    rates = pg.predicted_rates(tree, random_seed=1)["mean"].mean("time")
    np.testing.assert_allclose(rates, counts.mean(axis=0) / 0.02, rtol=0.03)
    assert float(tree["constant_data"]["n_trials"]) == 5


AUGMENTED, NOT = (pg.PolyaGammaGibbs,), joint.DEFAULT


def joint_of(observation, steps, **bias):
    """Weights are mostly negative: self-excitation without end would be seldom left."""
    return joint.make_joint(
        2,
        20,
        1,
        6_000,
        seed=11,
        edges=pg.BernoulliEdges(pm.Beta.dist(2, 2), pm.Beta.dist(2, 3)),
        weights=pg.GaussianWeights(pm.Normal.dist(-0.4, 0.1), 0.03, self_mean=-0.6, self_cov=0.03),
        bias=pm.Normal.dist(-1.0, 0.5),
        network_steps=steps,
        observation=observation,
    )


def traces_of(steps):
    return pg.Gaussian(pm.InverseGamma.dist(4, 2)), steps


GEWEKE = {
    "gaussian": traces_of(AUGMENTED),
    "gaussian by default": traces_of(NOT),
    "binomial": (pg.Binomial(3), AUGMENTED),
    "binomial by default": (pg.Binomial(3), NOT),
    "negative binomial": (pg.NegativeBinomial(pm.Gamma.dist(4, 2)), AUGMENTED),
    "negative binomial by default": (pg.NegativeBinomial(pm.Gamma.dist(4, 2)), NOT),
    "poisson": (pg.Poisson(), NOT),
}


COUNTS_GROW_LARGE = pytest.mark.slow  # and the augmentation sums gamma variables in every bin


@pytest.mark.parametrize(
    ("name", "n_iterations"),
    [
        *[(name, 1200) for name in ("gaussian", "binomial")],  # of others see test_calibration_*
        *[pytest.param(name, 5000, marks=pytest.mark.slow) for name in GEWEKE],
    ],
)
def test_geweke(name, n_iterations):
    """See test_geweke_polya_gamma; the threshold is passed in fewer than 1 of 1000 seeds."""
    model = joint_of(*GEWEKE[name])
    chain = joint.successive_conditional(model, n_iterations, 12)
    name, score = joint.worst(joint.marginal_conditional(model, seed=13), chain)
    assert abs(score) < 4.2, (name, score)


def _wrong_sums(monkeypatch):
    original = threads.softplus_sums

    def too_small(posts, *arguments):
        original(posts, *arguments)
        arguments[-1][slice(*posts)] *= 0.9

    monkeypatch.setattr(threads, "softplus_sums", too_small)


def _forget_the_rising_factorials(monkeypatch):
    monkeypatch.setattr(dispersion_gibbs, "log_rising_factorials", lambda at_least, r: 0.0 * r)


def _wrong_residuals(monkeypatch):
    original = threads.log_likelihoods

    def too_small(posts, *arguments):
        original(posts, *arguments)
        arguments[-1][slice(*posts)] *= 0.8

    monkeypatch.setattr(threads, "log_likelihoods", too_small)


@pytest.mark.slow
def test_planted_bugs_of_traces_are_found(monkeypatch):
    """As below."""
    _wrong_residuals(monkeypatch)
    model = joint_of(*traces_of(NOT))
    chain = joint.successive_conditional(model, 1500, 12)
    _, score = joint.worst(joint.marginal_conditional(model, seed=13), chain)
    assert abs(score) > 4.2


def _ignore_the_dispersion(monkeypatch):
    """The weights are drawn as if every dispersion were 1."""
    given = pg.WeightHMC._given
    ones = np.ones(2)
    fixed = property(lambda step: given.fget(step)._replace(dispersion=ones))
    monkeypatch.setattr(pg.WeightHMC, "_given", fixed)


@pytest.mark.parametrize(
    "plant",
    [
        pytest.param(_wrong_sums, marks=COUNTS_GROW_LARGE),
        pytest.param(_forget_the_rising_factorials, marks=COUNTS_GROW_LARGE),
        pytest.param(_ignore_the_dispersion, marks=COUNTS_GROW_LARGE),
    ],
)
def test_planted_bugs_are_found(monkeypatch, plant):
    """Each of these mistakes, put into the sampler on purpose, must break Geweke's test."""
    plant(monkeypatch)
    model = joint_of(pg.NegativeBinomial(pm.Gamma.dist(4, 2)), NOT)
    chain = joint.successive_conditional(model, 1500, 12)
    _, score = joint.worst(joint.marginal_conditional(model, seed=13), chain)
    assert abs(score) > 4.2


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")  # NUTS, early on
@pytest.mark.parametrize(
    ("observation", "steps"),
    [
        pytest.param(pg.Binomial(5), None, marks=pytest.mark.slow),
        pytest.param(pg.NegativeBinomial(), None, marks=COUNTS_GROW_LARGE),
        pytest.param(
            pg.NegativeBinomial(),
            [pg.PolyaGammaGibbs, pg.DispersionGibbs],
            marks=COUNTS_GROW_LARGE,
        ),
        (pg.Poisson(), None),
        pytest.param(pg.Gaussian(), None, marks=pytest.mark.slow),
        (pg.Gaussian(), [pg.PolyaGammaGibbs, pg.NoiseGibbs]),
    ],
    ids=[
        "binomial",
        "negative binomial",
        "negative binomial, augmented",
        "poisson",
        "gaussian",
        "gaussian, conjugate",
    ],
)
def test_agreement_with_nuts(observation, steps):
    """Dense edges, a fixed prior: means within Monte Carlo error of those of PyMC's NUTS.

    26 to 28 means, each beyond 4.5 standard errors in one of 150000 runs.
    """
    weights = pg.GaussianWeights(0.0, 0.3, None, None)
    model = pg.dense_glm(
        counts_of(observation, 400), BASIS, weights=weights, observation=observation
    )
    options = {"draws": 1000, "tune": 500, "chains": 2, "cores": 1, "progressbar": False}
    with model:
        ours = [kind(threads=1) for kind in steps] if steps else None
        chosen = {} if ours is None else {"step": ours}
        found = pg.sample(random_seed=1, quiet=True, **options, **chosen)
        names = model.free_RVs
        start = found["posterior"].dataset.isel(draw=-1)  # from afar NUTS overflows for hours
        options["initvals"] = [
            {rv.name: start[rv.name].values[chain] for rv in names} for chain in range(2)
        ]
        nuts = pm.sample(random_seed=2, quiet=True, step=pm.NUTS(names), **options)
    for rv in names:
        one, other = (tree["posterior"].dataset[[rv.name]] for tree in (found, nuts))
        error = np.hypot(*[az.mcse(x, method="mean")[rv.name] for x in (one, other)])
        away = one.mean(("chain", "draw")) - other.mean(("chain", "draw"))
        assert (np.abs(away[rv.name]) < 4.5 * error).all(), rv.name


def test_traces_need_not_be_whole_and_counts_must():
    traces = counts_of(pg.Gaussian())
    with pytest.raises(ValueError, match=r"is negative.*allowed are counts 0, 1, 2"):
        pg.build_glm(np.round(traces), BASIS)
    traces[5, 1] = np.nan
    with pytest.raises(ValueError, match=r"nan in bin 5 of neuron '1'.*allowed are finite numbers"):
        pg.build_glm(traces, BASIS, observation="gaussian")
    with pytest.warns(UserWarning, match=r"trace of neuron '0' has the mean 5\d.*with mean 0"):
        pg.build_glm(counts_of(pg.Gaussian()) + 55.0, BASIS, observation="gaussian")


def test_scales_of_traces_are_those_of_the_data():
    """Bins that are left out count in no mean and no standard deviation."""
    traces = np.random.default_rng(1).normal(1.0, 1.0, (4000, 2))
    traces[:, 1] += 100.0  # far from zero, its spread with zeros in 99 of 100 bins is 10
    out = np.arange(4000) >= 40
    pg.build_glm(traces[:, :1] * 0.5, BASIS, observation="gaussian", exclude=out)
    with pytest.warns(UserWarning, match=r"neuron '1' has the mean 10\d and the .* (0|1)\.\d"):
        pg.build_glm(traces, BASIS, observation="gaussian", exclude=out)
    with pytest.warns(UserWarning, match=r"'0' has the mean 0.0\d+ and the .* deviation 0.0"):
        pg.build_glm(0.05 * traces[:, :1], BASIS, observation="gaussian", exclude=out)


@pytest.mark.slow
def test_an_autoregression_is_found():
    """Traces of a known network; edges, weights and noise come back, rates are in their units."""
    rng = np.random.default_rng(4)
    weights = np.zeros((3, 3, 2))
    weights[1, 0] = [0.3, 0.1]
    weights[2, 2] = [0.2, 0.0]
    filters = np.einsum("nmb,lb->mln", weights, BASIS.values)
    psi, sd = np.zeros((3000 + len(BASIS), 3)), np.array([1.0, 0.7, 0.5])
    traces = np.empty((3000, 3))
    for t in range(3000):
        traces[t] = rng.normal(psi[t], sd)
        psi[t + 1 : t + 1 + len(BASIS)] += np.einsum("m,mln->ln", traces[t], filters)
    model = pg.build_glm(traces, BASIS, observation="gaussian")
    tree = pg.sample(500, 500, chains=2, model=model, random_seed=1, progressbar=False, quiet=True)
    drawn = tree["posterior"]
    present = drawn["adjacency"].mean(("chain", "draw")).values
    assert present[1, 0] > 0.99
    assert present[2, 2] > 0.99
    assert present[~np.eye(3, dtype=bool)].sum() - present[1, 0] < 2
    for name, truth in (("weights", weights), ("noise_variance", sd**2)):
        mean, spread = (getattr(drawn[name], f)(("chain", "draw")).values for f in ("mean", "std"))
        found = (np.abs(mean - truth) < 4.5 * spread)[truth != 0]
        assert found.all(), name
    rates = pg.predicted_rates(tree, random_seed=1)["mean"]
    left = traces - rates.values
    np.testing.assert_allclose(left.std(axis=0), sd, rtol=4.5 / np.sqrt(2 * 3000))
    assert "units" not in rates.attrs
