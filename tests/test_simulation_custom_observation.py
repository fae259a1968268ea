"""Free simulations of custom observation models, which are built-in ones written anew."""

import math

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
import xarray as xr
from pytensor.tensor.random.basic import LogisticRV, PoissonRV

import pymc_glm as pg
from helpers.synthetic_tree import tree_of
from pymc_glm.criticism.one_step import observed_data
from pymc_glm.criticism.replicates import one_step_counts
from pymc_glm.simulation import running
from test_simulation_observations import BASIS, N_LAGS, network, slow_activation

SILENT = np.zeros((3, 3, 2))


def log_density(count, psi, dispersion):
    mean = dispersion * math.exp(min(psi, 700.0))
    return count * psi - mean, count - mean, mean


def logistic_density(value, psi, dispersion):
    e = math.exp(-abs(value - psi))
    p = (1.0 if value < psi else e) / (1.0 + e)  # sigmoid(psi - value)
    return -abs(value - psi) - 2 * math.log1p(e), 1.0 - 2 * p, 2 * p * (1.0 - p)


@pytest.fixture(scope="module")
def custom():
    """Observation models known while these tests run: (Poisson, Poisson with a gain, traces)."""

    class CustomPoisson(pg.Observation):
        name = "custom_poisson"
        rv_type = PoissonRV

        @classmethod
        def read(cls, variable):
            return cls()

        def distribution(self, name, psi, **kwargs):
            return pm.Poisson(name, mu=pt.exp(psi), **kwargs)

        def psi(self, variable):
            return pt.log(variable.owner.op.dist_params(variable.owner)[0])

        def likelihood(self, counts):
            return pg.log_concave(log_density, counts)

        @staticmethod
        def mean_counts(psi, parameter):
            return np.exp(psi)

        def activation(self, rate, bin_width):
            return np.log(np.asarray(rate) * bin_width)

    class Gained(CustomPoisson):
        name = "custom_gained"
        parameter_name = "gain"

        def __init__(self, gain):
            self.gain = gain

        @classmethod
        def read(cls, variable):
            return None

        def distribution(self, name, psi, **kwargs):
            gain = pm.Data("gain", np.asarray(self.gain, dtype=float))
            return pm.Poisson(name, mu=gain * pt.exp(psi), **kwargs)

        def likelihood(self, counts):
            return pg.log_concave(log_density, counts, self.gain)

        @staticmethod
        def mean_counts(psi, parameter):
            return parameter * np.exp(psi)

    class LogisticTraces(CustomPoisson):
        name = "custom_traces"
        rv_type = LogisticRV
        whole = False

        def distribution(self, name, psi, **kwargs):
            return pm.Logistic(name, mu=psi, s=1.0, **kwargs)

        def likelihood(self, counts):
            return pg.log_concave(logistic_density, counts)

        @staticmethod
        def mean_counts(psi, parameter):
            return psi

    try:
        yield CustomPoisson, Gained, LogisticTraces
    finally:
        for name in ("custom_poisson", "custom_gained", "custom_traces"):
            del pg.Observation.laws[name]


@pytest.mark.parametrize("n_covariates", [0, 2])
def test_simulation_is_the_definition(custom, n_covariates):
    """Every bin, the first after an initial history on, by NumPy's Poisson numbers."""
    rng = np.random.default_rng(5)
    parameters = network(custom[0](), n_covariates=n_covariates)
    initial = rng.integers(0, 3, (N_LAGS, 3))
    covariates = rng.normal(size=(300, n_covariates)) if n_covariates else None
    found = pg.simulate(
        parameters, 300, covariates=covariates, random_seed=7, initial_history=initial
    ).values
    seeds = np.random.default_rng(7).integers(2**63, size=300)
    past = np.vstack([initial, np.zeros((300, 3), dtype=int)])
    for t, seed in enumerate(seeds):
        mean = np.exp(slow_activation(parameters, past, covariates, t))
        past[N_LAGS + t] = np.random.default_rng(int(seed)).poisson(mean)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, past[N_LAGS:])
    assert found.sum() > 75


def test_moments_are_those_of_the_built_in_model(custom):
    """Rates, variances and covariances of counts in 1000 blocks of 10 bins, 12 numbers.

    Each beyond 4.5 standard errors in one of 150000 runs.
    """
    moments = []
    for observation, seed in ((custom[0](), 1), (pg.Poisson(), 2)):
        counts = pg.simulate(network(observation, seed=3), 10_000, random_seed=seed).values
        sums = counts.reshape(1000, 10, 3).sum(axis=1).astype(float)
        away = sums - sums.mean(axis=0)
        moments.append(np.hstack([sums, np.einsum("ti,tj->tij", away, away).reshape(-1, 9)]))
    # Blocks are longer than the window of the basis: batches of 10 are as good as independent.
    batches = [x.reshape(100, 10, -1).mean(axis=1) for x in moments]
    error = np.hypot(*[x.std(axis=0) / 10 for x in batches])
    assert (np.abs(batches[0].mean(axis=0) - batches[1].mean(axis=0)) < 4.5 * error).all()


def test_seeds_and_pieces(custom, monkeypatch):
    parameters = network(custom[0]())

    def run(n_bins=120, seed=4, **kwargs):
        return pg.simulate(parameters, n_bins, random_seed=seed, **kwargs).values

    whole = run()
    np.testing.assert_array_equal(run(), whole)
    assert (run(seed=5) != whole).any()
    rng = np.random.default_rng(4)
    first = run(50, seed=rng)
    second = run(70, seed=rng, initial_history=first[-N_LAGS:])
    np.testing.assert_array_equal(np.vstack([first, second]), whole)
    monkeypatch.setattr(running, "_UNIFORMS", 40)
    np.testing.assert_array_equal(run(), whole)


@pytest.mark.parametrize("max_rate", [None, 40.0])
def test_run_away(custom, max_rate):
    weights = SILENT.copy()
    weights[1, 1] = 8.0
    parameters = pg.NetworkParameters(np.full(3, -3.0), weights, BASIS, custom[0]())
    bound = rf"b fired (at more than {max_rate or 500:g} Hz over 1 s|more than 1e\+06 spikes)"
    with (
        pytest.warns(UserWarning, match=r"^parameters: the .*may run away.*pg\.stability"),
        pytest.raises(RuntimeError, match=rf"ran away [\d.]+ s after the start: {bound}"),
    ):
        pg.simulate(parameters, 5000, random_seed=1, max_rate=max_rate, neurons=["a", "b", "c"])


def test_guards_see_windows_and_single_bins(custom):
    """A mean of e^20 in the fourth bin; 2000 Hz in the second second, not in the first."""
    covariates = np.zeros((9, 1))
    covariates[3] = 20.0
    weights = np.array([[0.0], [1.5], [0.0]])
    parameters = pg.NetworkParameters(np.full(3, -9.0), SILENT, BASIS, custom[0](), weights)
    with pytest.raises(RuntimeError, match=r"ran away 0\.015 s .*: 1 fired more than 1e\+06"):
        pg.simulate(parameters, 9, covariates=covariates, max_rate=np.inf, random_seed=1)
    covariates = np.zeros((400, 1))
    covariates[200:] = (9.0 + np.log(10.0)) / 1.5
    with pytest.raises(RuntimeError, match=r"ran away 1\.\d+ s .*: 1 fired at more than 500 Hz"):
        pg.simulate(parameters, 400, covariates=covariates, random_seed=1)


def test_parameter(custom):
    """A gain of g is a bias of log g."""
    gain = np.array([0.5, 1.0, 3.0])
    psi = np.array([-1.0, -0.5, -1.0])
    counts = [
        pg.simulate(pg.NetworkParameters(bias, SILENT, BASIS, observation), 200, random_seed=3)
        for bias, observation in ((psi, custom[1](gain)), (psi + np.log(gain), custom[0]()))
    ]
    np.testing.assert_array_equal(*counts)


def test_traces(custom):
    """Logistic noise has variance pi^2 / 3 and kurtosis 1.2 beyond the normal."""
    psi = np.array([-2.0, 0.0, 1.0])
    traces = pg.simulate(
        pg.NetworkParameters(psi, SILENT, BASIS, custom[2]()), 5000, random_seed=1
    ).values
    assert traces.dtype == np.float64
    variance = np.pi**2 / 3
    assert (np.abs(traces.mean(axis=0) - psi) < 4.5 * np.sqrt(variance / 5000)).all()
    error = variance * np.sqrt(3.2 / 5000)
    assert (np.abs(traces.var(axis=0) - variance) < 4.5 * error).all()


def test_stability_is_that_of_the_built_in_model(custom):
    found, known = (
        pg.stability(network(observation)) for observation in (custom[0](), pg.Poisson())
    )
    np.testing.assert_allclose(found.rates, known.rates, rtol=1e-12)
    assert found.text == known.text


# --- models and posteriors -----------------------------------------------------------------------


def posterior_of(observation, bias, n_draws=40, n_bins=150):
    """As many draws alike, without coupling, of two trials."""
    counts = np.random.default_rng(0).poisson(np.exp(bias), (n_bins, 3))
    tree = tree_of(
        weights=np.broadcast_to(SILENT, (1, n_draws, *SILENT.shape)),
        bias=np.broadcast_to(bias, (1, n_draws, 3)),
        basis=BASIS.values,
        spikes=counts,
    )
    constants = tree["constant_data"].to_dataset().assign_coords(observation=[observation.name])
    constants["segment_start"] = ("segment", np.array([0, n_bins // 3]))
    posterior = tree["posterior"].to_dataset()
    if observation.parameter_name is not None:
        drawn = np.broadcast_to([0.5, 1.0, 2.0], (1, n_draws, 3))
        posterior[observation.parameter_name] = (("chain", "draw", "post"), drawn)
    return xr.DataTree.from_dict({"posterior": posterior, "constant_data": constants})


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("kind", ["free", "one_step", "rates"])
def test_counts_of_a_posterior(custom, kind, which):
    """Sums over bins are Poisson numbers: means and variances over draws."""
    bias = np.array([-2.0, -1.5, -1.0])
    tree = posterior_of(custom[which], bias)
    width = float(tree["constant_data"]["bin_width"])

    def total(counts, bin_width, starts):
        return counts.sum(axis=0)

    def sums(draws):
        if kind == "rates":
            rates = pg.posterior_rates(tree, draws=draws, random_seed=1)
            return rates["rate"].values * 150 * width
        check = pg.predictive_check(tree, total, kind=kind, draws=draws, random_seed=1)
        return check["replicated"].values

    found = sums(40)
    assert found.shape == (40, 3)
    np.testing.assert_array_equal(sums(2), sums(2))
    mean = 150 * np.exp(bias) * (1.0 if which == 0 else [0.5, 1.0, 2.0])
    assert (np.abs(found.mean(axis=0) - mean) < 4.5 * np.sqrt(mean / 40)).all()
    assert (np.abs(found.var(axis=0) / mean - 1) < 4.5 * np.sqrt(2 / 40)).all()


def test_one_step_uses_the_recorded_history(custom):
    """One call for all bins: NumPy's Poisson numbers at the activations of the recording."""
    parameters = network(custom[0]())
    tree = posterior_of(custom[0], parameters.bias, 1, 90)
    found = one_step_counts(observed_data(tree), parameters, np.random.default_rng(2))
    counts = tree["constant_data"]["counts"].values
    psi = []
    for part in (counts[:30], counts[30:]):  # trials
        past = np.vstack([np.zeros((N_LAGS, 3), dtype=int), part])
        psi += [slow_activation(parameters, past, None, t) for t in range(len(part))]
    seed = int(np.random.default_rng(2).integers(2**63))
    expected = np.random.default_rng(seed).poisson(np.exp(psi))
    np.testing.assert_array_equal(found, expected)
    far = parameters._replace(bias=np.full(3, 20.0))
    assert one_step_counts(observed_data(tree), far, np.random.default_rng(2)) is None


def test_networks_of_a_model(custom):
    counts = np.random.default_rng(0).poisson(0.3, (100, 3))
    model = pg.build_glm(counts, BASIS, observation=custom[0](), bias=pm.Normal.dist(-1, 1e-9),
                         weights=pg.GaussianWeights(0.0, 1e-9, None, None))  # fmt: skip
    with model:  # draws do not register with a model in context
        rates = pg.prior_rates(model, draws=10, random_seed=1)
    mean = np.exp(-1.0) / 0.005
    error = np.sqrt(mean / 0.005 / (10 * 100))
    assert (np.abs(rates["rate"].mean("sample") - mean) < 4.5 * error).all()
    assert pg.simulate(model, 20, random_seed=1).shape == (20, 3)


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("distribution", "message"),
    [
        (
            lambda name, psi: pm.CustomDist(
                name, psi, logp=lambda value, psi: value * psi - pt.exp(psi), dtype="int64"
            ),
            r"variable of 'custom_poisson' cannot be drawn; .*random=",
        ),
        (
            lambda name, psi: pm.Poisson(name, mu=pt.exp(psi) * pm.Gamma("gain", 1, 1)),
            r"'custom_poisson' learns \['gain'\]; give known values",
        ),
        (
            lambda name, psi: pm.Poisson(name, mu=pt.exp(psi).sum(axis=1)),
            r"for an activation of the shape \(1, 3\) has the shape \(1,\)",
        ),
    ],
)
def test_observation_models_that_cannot_be_drawn(custom, monkeypatch, distribution, message):
    monkeypatch.setattr(
        custom[0], "distribution", lambda self, name, psi, **kwargs: distribution(name, psi)
    )
    with pytest.raises(ValueError, match="^observation: .*" + message):
        pg.simulate(network(custom[0]()), 10, random_seed=1)
