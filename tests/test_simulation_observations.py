"""Free simulations of every observation model: draws against SciPy, run-away, seeds, parameters."""

import numpy as np
import pymc as pm
import pytest
import xarray as xr
from scipy.special import expit
from scipy.stats import binom, nbinom, poisson

import pymc_glm as pg
from helpers.synthetic_tree import tree_of
from pymc_glm.kernels import count_draws, likelihood
from pymc_glm.kernels.count_draws import draw_count
from pymc_glm.observations import observation_of
from pymc_glm.simulation import running

BASIS = pg.basis.raised_cosine(2, window=0.03, bin_width=0.005)
N_LAGS = len(BASIS)


def distribution_of(observation, psi):
    """The distribution of a bin, frozen."""
    if isinstance(observation, pg.Poisson):
        return poisson(np.exp(psi))
    if isinstance(observation, pg.NegativeBinomial):
        return nbinom(np.asarray(observation.dispersion), expit(-np.asarray(psi)))
    return binom(observation.trials, expit(psi))


OBSERVATIONS = {
    "bernoulli": pg.Bernoulli(),
    "binomial": pg.Binomial(4),
    "negative binomial": pg.NegativeBinomial(np.array([0.4, 2.0, 7.0])),
    "poisson": pg.Poisson(),
}
each_observation = pytest.mark.parametrize(
    "observation", list(OBSERVATIONS.values()), ids=list(OBSERVATIONS)
)


def network(observation, seed=1, n_covariates=0):
    """Mostly inhibition, so that no network runs away."""
    rng = np.random.default_rng(seed)
    weights = rng.uniform(-0.8, 0.15, (3, 3, 2))
    weights[0, 1] = 0.0
    covariate_weights = rng.normal(0, 0.4, (3, n_covariates)) if n_covariates else None
    return pg.NetworkParameters(
        rng.normal(-1.0, 0.3, 3), weights, BASIS, observation, covariate_weights
    )


def slow_activation(parameters, past, covariates, t):
    """The definition, of bin t of past (lag + time, neuron)."""
    psi = parameters.bias.copy()
    for lag in range(1, N_LAGS + 1):
        seen = past[N_LAGS + t - lag]
        psi += np.einsum("nmb,b,m->n", parameters.weights, BASIS.values[lag - 1], seen)
    if covariates is not None:
        psi += parameters.covariate_weights @ covariates[t]
    return psi


@each_observation
@pytest.mark.parametrize("n_covariates", [0, 2])
def test_simulation_is_the_definition(observation, n_covariates):
    """Every bin, the first after an initial history on, by inversion of SciPy's distribution."""
    rng = np.random.default_rng(5)
    parameters = network(observation, n_covariates=n_covariates)
    initial = rng.integers(0, 3, (N_LAGS, 3))
    covariates = rng.normal(size=(400, n_covariates)) if n_covariates else None
    found = pg.simulate(
        parameters, 400, covariates=covariates, random_seed=7, initial_history=initial
    ).values
    uniforms = np.random.default_rng(7).random((400, 3))
    past = np.vstack([initial, np.zeros((400, 3), dtype=int)])
    for t in range(400):
        psi = slow_activation(parameters, past, covariates, t)
        past[N_LAGS + t] = distribution_of(observation, psi).ppf(1 - uniforms[t])
    np.testing.assert_array_equal(found, past[N_LAGS:])
    assert found.sum() > 100


SINGLE = {
    "bernoulli": (pg.Bernoulli(), -4.0),
    "bernoulli, nearly always": (pg.Bernoulli(), 6.0),
    "binomial": (pg.Binomial(5), 0.5),
    "binomial of many": (pg.Binomial(20_000), 0.1),
    "binomial of many, nearly all": (pg.Binomial(20_000), 7.0),
    "poisson": (pg.Poisson(), 1.0),
    "poisson, on the border": (pg.Poisson(), np.log(46.01)),
    "poisson of 10000": (pg.Poisson(), np.log(1e4)),
    "negative binomial": (pg.NegativeBinomial(0.3), 3.0),
    "negative binomial of 10000": (pg.NegativeBinomial(0.05), np.log(1e4 / 0.05)),
    "negative binomial, from the mode": (pg.NegativeBinomial(900.0), np.log(1e4 / 900)),
    "negative binomial, nearly poisson": (pg.NegativeBinomial(1e9), np.log(1e4 / 1e9)),
}


@pytest.mark.parametrize(("observation", "psi"), list(SINGLE.values()), ids=list(SINGLE))
def test_inversion_gives_every_count_its_probability(observation, psi):
    """On a grid of uniforms the points of a count are its probability, up to one."""
    family, dispersion, slope, _ = likelihood.neuron_likelihood(
        observation.likelihood(np.empty((1, 0), dtype=int)), 0
    )
    n_points = 100_000
    grid = (np.arange(n_points) + 0.5) / n_points
    draws = np.array([draw_count(family, slope, dispersion, psi, u) for u in grid]).astype(int)
    counts = np.bincount(draws)
    truth = distribution_of(observation, psi)
    expected = n_points * truth.pmf(np.arange(counts.size))
    assert np.abs(counts - expected).max() < 1.0 + 1e-4
    assert truth.sf(draws.max()) < 2 / n_points  # all of the rest is there
    if truth.sf(0) < 1:
        assert draw_count(family, slope, dispersion, psi, 0.0) >= draws.min()


@pytest.mark.parametrize("r", [0.01, 3.0, 999.0, 1001.0, 1e9])
def test_rising_factorials_do_not_cancel(r):
    m = 10_000
    expected = np.log(r + np.arange(m)).sum()
    np.testing.assert_allclose(count_draws._log_rising(r, float(m)), expected, rtol=1e-12)


@each_observation
def test_uncoupled_networks_have_the_moments_of_the_observation_model(observation):
    psi, n_bins = np.array([-2.0, -0.5, 0.7]), 40_000
    parameters = pg.NetworkParameters(psi, np.zeros((3, 3, 2)), BASIS, observation)
    counts = pg.simulate(parameters, n_bins, random_seed=1, max_rate=np.inf).values
    mean, variance, _, kurtosis = distribution_of(observation, psi).stats("mvsk")
    error = np.sqrt(variance / n_bins)
    assert (np.abs(counts.mean(axis=0) - mean) < 4.5 * error).all()
    error = variance * np.sqrt((kurtosis + 2) / n_bins)
    assert (np.abs(counts.var(axis=0) - variance) < 4.5 * error).all()


@each_observation
def test_scores_of_coupled_networks_are_zero_on_average(observation):
    """At the truth counts minus conditional means are a martingale, times anything earlier too."""
    parameters = network(observation, seed=3)
    counts = pg.simulate(parameters, 20_000, random_seed=2)
    history = pg.history_design(counts, BASIS).values.reshape(20_000, -1)
    psi = parameters.bias + history @ parameters.weights.reshape(3, -1).T
    truth = distribution_of(observation, psi)
    away, variance = counts.values - truth.mean(), truth.var()
    design = np.column_stack([np.ones(len(history)), history])
    z = (design.T @ away) / np.sqrt((design**2).T @ variance)
    assert np.abs(z).max() < 4.5, z
    *_, kurtosis = truth.stats("mvsk")
    spread = (away**2 - variance).sum(axis=0)
    assert (np.abs(spread) < 4.5 * np.sqrt((variance**2 * (kurtosis + 2)).sum(axis=0))).all()


@each_observation
def test_the_length_of_blocks_and_of_pieces_changes_nothing(observation, monkeypatch):
    parameters = network(observation, n_covariates=1)
    covariates = np.random.default_rng(1).normal(size=(500, 1))

    def run(part=slice(None), seed=4, **kwargs):
        rows = covariates[part]
        options = {"covariates": rows, "random_seed": seed} | kwargs
        return pg.simulate(parameters, len(rows), **options).values

    whole = run()
    np.testing.assert_array_equal(run(), whole)
    assert (run(seed=5) != whole).any()
    rng = np.random.default_rng(4)
    first = run(slice(200), seed=rng)
    second = run(slice(200, None), seed=rng, initial_history=first[-N_LAGS:])
    np.testing.assert_array_equal(np.vstack([first, second]), whole)
    for uniforms in (1, 40, 1497):
        monkeypatch.setattr(running, "_UNIFORMS", uniforms)
        np.testing.assert_array_equal(run(), whole)


@pytest.mark.parametrize(
    ("observation", "default"),
    [
        (pg.Bernoulli(), 100),
        (pg.Binomial(3), 300),
        (pg.NegativeBinomial(2.0), 500),
        (pg.Poisson(), 500),
    ],
)
@pytest.mark.parametrize("max_rate", [None, 40.0])
def test_run_away_of_every_observation_model(observation, default, max_rate):
    weights = np.zeros((3, 3, 2))
    weights[1, 1] = 8.0
    parameters = pg.NetworkParameters(np.full(3, -3.0), weights, BASIS, observation)
    bound = rf"b fired (at more than {max_rate or default:g} Hz over 1 s|more than 1e\+06 spikes)"
    with (
        pytest.warns(UserWarning, match=r"^parameters: the .*may run away.*pg\.stability"),
        pytest.raises(RuntimeError, match=rf"ran away [\d.]+ s after the start: {bound}"),
    ):
        pg.simulate(parameters, 5000, random_seed=1, max_rate=max_rate, neurons=["a", "b", "c"])


@pytest.mark.parametrize("observation", [pg.NegativeBinomial(2.0), pg.Poisson()])
def test_more_spikes_than_any_bin_can_hold(observation):
    """Without a guard too, and before any of them is drawn: a mean of e^20 in the fourth bin."""
    covariates = np.zeros((9, 1))
    covariates[3] = 20.0
    parameters = pg.NetworkParameters(
        np.full(2, -9.0), np.zeros((2, 2, 2)), BASIS, observation, np.array([[0.0], [1.5]])
    )
    with pytest.raises(RuntimeError, match=r"ran away 0\.015 s .*: 1 fired more than 1e\+06"):
        pg.simulate(parameters, 9, covariates=covariates, max_rate=np.inf, random_seed=1)


def test_a_short_burst_is_no_run_away():
    """80 spikes in 0.4 s, and rest: less than 100 Hz over any second."""
    covariates = np.full((1000, 1), -20.0)
    covariates[500:580] = 20.0
    parameters = pg.NetworkParameters(
        np.zeros(1), np.zeros((1, 1, 2)), BASIS, covariate_weights=np.ones((1, 1))
    )
    counts = pg.simulate(parameters, 1000, covariates=covariates, random_seed=1)
    assert counts.sum() == 80
    longer = covariates.copy()
    longer[500:800] = 20.0
    with pytest.raises(RuntimeError, match="0 fired at more than 100 Hz over 1 s"):
        pg.simulate(parameters, 1000, covariates=longer, random_seed=1)


def test_covariates_as_a_data_array():
    parameters = network(pg.Bernoulli(), n_covariates=2)
    covariates = xr.DataArray(np.random.default_rng(1).normal(size=(50, 2)), dims=("time", "x"))
    covariates = covariates.rename(x="covariate")
    one, other = (
        pg.simulate(parameters, 50, covariates=given, random_seed=1)
        for given in (covariates.T, covariates.values)
    )
    np.testing.assert_array_equal(one, other)


# --- where parameters come from ------------------------------------------------------------------


def draws_of(observation):
    """A posterior of 2 chains of 3 draws, with the learned parameter of the observation model."""
    rng = np.random.default_rng(2)
    tree = tree_of(
        rng.integers(0, 2, (2, 3, 3, 3)),
        rng.normal(-0.3, 0.4, (2, 3, 3, 3, 2)),
        rng.normal(-1, 0.3, (2, 3, 3)),
        basis=BASIS.values,
        spikes=rng.integers(0, 2, (60, 3)),
        labels=["a", "b", "c"],
    )
    constants = tree["constant_data"].to_dataset().assign_coords(observation=[observation.name])
    posterior = tree["posterior"].to_dataset()
    if isinstance(observation, pg.Binomial):
        constants["n_trials"] = 4
    if isinstance(observation, pg.NegativeBinomial) and isinstance(observation.dispersion, str):
        values = rng.gamma(2, 2, (2, 3, 3))
        posterior["dispersion"] = (("chain", "draw", "post"), values)
    elif isinstance(observation, pg.NegativeBinomial):
        constants["dispersion"] = ("post", np.asarray(observation.dispersion))
    return xr.DataTree.from_dict({"posterior": posterior, "constant_data": constants})


@pytest.mark.parametrize("observation", [*OBSERVATIONS.values(), pg.NegativeBinomial()])
def test_a_draw_has_the_activation_of_predicted_rates(observation):
    tree = draws_of(observation)
    counts = tree["constant_data"]["counts"].values
    for chain, draw in ((0, 0), (1, 2)):
        found = pg.NetworkParameters.from_draw(tree, chain=chain, draw=draw)
        assert type(found.observation) is type(observation)
        past = np.vstack([np.zeros((N_LAGS, 3), dtype=int), counts])
        psi = [slow_activation(found, past, None, t) for t in range(60)]
        rates = distribution_of(found.observation, np.array(psi)).mean() / 0.005
        only = tree.copy()
        only["posterior"] = tree["posterior"].to_dataset().isel(chain=[chain], draw=[draw])
        np.testing.assert_allclose(pg.predicted_rates(only)["mean"], rates, rtol=1e-10)
        assert pg.simulate(found, 20, random_seed=1).shape == (20, 3)


def test_a_draw_at_random():
    tree = draws_of(pg.Bernoulli())
    biases = tree["posterior"]["bias"].values.reshape(6, 3)

    def drawn(seed, **kwargs):
        bias = pg.NetworkParameters.from_draw(tree, random_seed=seed, **kwargs).bias
        return int(np.flatnonzero((biases == bias).all(axis=1))[0])

    assert {drawn(seed) for seed in range(60)} == set(range(6))
    assert drawn(3) == drawn(3) == drawn(np.random.default_rng(3))
    assert {drawn(seed, chain=1) for seed in range(40)} == {3, 4, 5}


def test_covariate_weights_of_a_draw():
    tree = draws_of(pg.Bernoulli())
    weights = np.random.default_rng(1).normal(size=(2, 3, 3, 4))
    dims = ("chain", "draw", "post", "covariate")
    tree["posterior"] = tree["posterior"].to_dataset().assign(covariate_weights=(dims, weights))
    found = pg.NetworkParameters.from_draw(tree, chain=1, draw=0)
    np.testing.assert_array_equal(found.covariate_weights, weights[1, 0])


@pytest.mark.parametrize("observation", [*OBSERVATIONS.values(), pg.NegativeBinomial()])
def test_a_point_has_the_activation_of_the_model(observation):
    rng = np.random.default_rng(4)
    counts = rng.integers(0, 2, (50, 3))
    model = pg.build_glm(counts, BASIS, observation=observation)
    learned = observation.parameter_name == "dispersion" and isinstance(observation.dispersion, str)
    point = {"bias": rng.normal(-1, 0.3, 3), "weights": rng.normal(0, 0.3, (3, 3, 2))}
    if learned:
        point["dispersion"] = np.array([0.5, 1.0, 3.0])
    found = pg.NetworkParameters.from_point(model, point | {"edge_probability": 0.3})
    assert found.basis.attrs["bin_width"] == 0.005
    past = np.vstack([np.zeros((N_LAGS, 3), dtype=int), counts])
    psi = [slow_activation(found, past, None, t) for t in range(50)]
    (value,) = model.replace_rvs_by_values([observation_of(model["spikes"]).psi(model["spikes"])])
    function = model.compile_fn(value, inputs=model.value_vars, on_unused_input="ignore")
    start = {name: np.asarray(x) for name, x in model.initial_point(0).items()}
    start |= {name: point[name] for name in ("bias", "weights")}
    np.testing.assert_allclose(function(start), psi, atol=1e-10)
    if learned:
        np.testing.assert_array_equal(found.observation.dispersion, point["dispersion"])
        with pytest.raises(ValueError, match=r"^point: no 'dispersion'"):
            pg.NetworkParameters.from_point(model, {k: point[k] for k in ("bias", "weights")})


def test_models_and_trees_that_hold_no_network():
    with pytest.raises(ValueError, match=r"^model: it has no variable 'spikes'"):
        pg.NetworkParameters.from_point(pm.Model(), {})
    tree = draws_of(pg.Bernoulli())
    for kwargs, error, message in (
        ({"chain": 2}, ValueError, r"chain: got 2, allowed are whole numbers from 0 to 1"),
        ({"draw": -1}, ValueError, r"draw: got -1, allowed are whole numbers from 0 to 2"),
        ({"draw": 0.5}, ValueError, r"draw: got 0.5, allowed are whole numbers from 0 to 2"),
        ({"random_seed": "x"}, ValueError, r"random_seed: got 'x'"),
    ):
        with pytest.raises(error, match=message):
            pg.NetworkParameters.from_draw(tree, **kwargs)
    with pytest.raises(TypeError, match="tree: got int"):
        pg.NetworkParameters.from_draw(3)
    with pytest.raises(ValueError, match="'n_trials'"):
        tree["constant_data"] = (
            tree["constant_data"].to_dataset().assign_coords(observation=["binomial"])
        )
        pg.NetworkParameters.from_draw(tree)


@pytest.mark.parametrize(
    ("change", "kwargs", "error", "message"),
    [
        ({"observation": "poisson"}, {}, TypeError, r"^observation: got 'poisson'.*pg\.Bernoulli"),
        ({"observation": pg.NegativeBinomial()}, {}, ValueError, "dispersion .*'learned'.* 3 neur"),
        (
            {"observation": pg.NegativeBinomial(pm.Gamma.dist(2, 1))},
            {},
            ValueError,
            "observation: the dispersion .*one number, or one for each",
        ),
        ({"observation": pg.NegativeBinomial([1.0, 2.0])}, {}, ValueError, "for each of the 3"),
        (
            {"observation": pg.NegativeBinomial([1.0, -2.0, 1.0])},
            {},
            ValueError,
            "neuron 1 is -2.0; give finite numbers above 0",
        ),
        ({}, {"covariates": np.ones((10, 1))}, ValueError, "covariates: .*no covariate_weights"),
        ({"covariate_weights": np.ones((3, 2))}, {}, ValueError, "covariates: none .* for 2"),
        ({"covariate_weights": np.ones(3)}, {}, ValueError, r"covariate_weights: .*\(3,\)"),
        ({"covariate_weights": np.ones((2, 1))}, {}, ValueError, r"covariate_weights: .*\(2, 1\)"),
        (
            {"covariate_weights": np.full((3, 1), np.nan)},
            {"covariates": np.ones((10, 1))},
            ValueError,
            r"covariate_weights: nan at index \(0, 0\)",
        ),
        (
            {"covariate_weights": np.ones((3, 1))},
            {"covariates": np.ones((9, 1))},
            ValueError,
            r"covariates: got the shape \(9, 1\).*\(10, 1\)",
        ),
        (
            {"covariate_weights": np.ones((3, 1))},
            {"covariates": np.full((10, 1), np.inf)},
            ValueError,
            r"covariates: inf at index \(0, 0\)",
        ),
        ({}, {"max_rate": -1.0}, ValueError, "max_rate: got -1.0, allowed are rates in Hz"),
        ({}, {"max_rate": "x"}, ValueError, "max_rate: got 'x'"),
        ({}, {"n_bins": True}, ValueError, "n_bins: got True"),
    ],
)
def test_wrong_parameters_and_arguments_are_refused(change, kwargs, error, message):
    parameters = network(pg.Bernoulli())._replace(**change)
    with pytest.raises(error, match=message):
        pg.simulate(parameters, **{"n_bins": 10} | kwargs)


def test_traces_are_their_definition():
    """An autoregression with a covariate, from the same standard normal numbers."""
    rng = np.random.default_rng(0)
    basis = pg.basis.raised_cosine(2, window=0.4, bin_width=0.1)
    network = pg.NetworkParameters(
        rng.normal(size=3),
        0.2 * rng.normal(size=(3, 3, 2)),
        basis,
        pg.Gaussian(np.array([0.25, 1.0, 4.0])),
        rng.normal(size=(3, 1)),
    )
    covariates, past = rng.normal(size=(50, 1)), rng.normal(size=(4, 3))
    found = pg.simulate(
        network, 50, covariates=covariates, random_seed=5, initial_history=past
    ).values
    noise = np.random.default_rng(5).standard_normal((50, 3)) * [0.5, 1.0, 2.0]
    values = np.concatenate([past, np.empty((50, 3))])
    for t in range(50):
        psi = network.bias + covariates[t] @ network.covariate_weights.T
        for lag in range(1, 5):
            psi = psi + network.filters[:, :, lag - 1] @ values[4 + t - lag]
        values[4 + t] = psi + noise[t]
    np.testing.assert_allclose(found, values[4:], atol=1e-12)
    assert pg.stability(network, covariates=covariates).text.count("means") == 1
    with pytest.raises(ValueError, match="allowed are finite numbers"):
        pg.simulate(network, 5, covariates=covariates[:5], initial_history=past * np.inf)


def test_traces_that_run_away():
    basis = pg.basis.identity(0.1, 0.1)
    network = pg.NetworkParameters(np.ones(1), np.full((1, 1, 1), 2.0), basis, pg.Gaussian(1.0))
    with pytest.warns(UserWarning, match="unstable"), pytest.raises(RuntimeError, match="ran away"):
        pg.simulate(network, 100, random_seed=1)


def test_trees_and_models_go_in():
    """A draw of the posterior, or of the prior, of the labels of the data."""
    basis = pg.basis.raised_cosine(1, window=0.05, bin_width=0.005)
    counts = np.random.default_rng(0).poisson(0.05, (300, 2)).clip(0, 1)
    counts = xr.DataArray(counts, dims=("time", "neuron"), coords={"neuron": ["a", "b"]})
    weights = pg.GaussianWeights(0.0, 0.1, None, None)
    model = pg.build_glm(counts, basis, weights=weights)
    tree = pg.sample(20, 20, chains=1, cores=1, model=model, random_seed=1, quiet=True,
                     progressbar=False)  # fmt: skip
    for source in (tree, model):
        found = pg.simulate(source, 200, random_seed=4)
        assert found["neuron"].values.tolist() == ["a", "b"]
        xr.testing.assert_equal(found, pg.simulate(source, 200, random_seed=4))
    rng = np.random.default_rng(4)
    draw = pg.NetworkParameters.from_draw(tree, random_seed=rng)
    expected = pg.simulate(draw, 200, random_seed=rng, neurons=["a", "b"])
    xr.testing.assert_equal(pg.simulate(tree, 200, random_seed=4), expected)


def test_what_has_labels_is_read_by_them():
    """Covariates and initial history in another order than the model's are the same."""
    rng = np.random.default_rng(0)
    counts = xr.DataArray(
        rng.integers(0, 2, (100, 2)), dims=("time", "neuron"), coords={"neuron": ["a", "b"]}
    )
    covariates = xr.DataArray(
        rng.normal(size=(100, 2)), dims=("time", "covariate"), coords={"covariate": ["x", "y"]}
    )
    model = pg.build_glm(counts, BASIS, covariates=covariates)
    past = counts[-N_LAGS:]
    expected = pg.simulate(
        model, 100, covariates=covariates.values, initial_history=past.values, random_seed=1
    )
    found = pg.simulate(
        model,
        100,
        covariates=covariates.sel(covariate=["y", "x"]).transpose(),
        initial_history=past.sel(neuron=["b", "a"]).transpose(),
        random_seed=1,
    )
    xr.testing.assert_equal(found, expected)
    with pytest.raises(ValueError, match=r"covariates: got the labels \['x', 'z'\] of covariate"):
        pg.simulate(model, 100, covariates=covariates.assign_coords(covariate=["x", "z"]))
    other = past.assign_coords(neuron=["a", "c"])
    with pytest.raises(ValueError, match=r"initial_history: got the labels \['a', 'c'\] of neuron"):
        pg.simulate(model, 100, covariates=covariates, initial_history=other)


def test_several_sessions_are_no_network():
    counts = np.random.default_rng(0).integers(0, 2, (100, 2))
    model = pg.build_glm({"mon": counts, "tue": counts}, BASIS)
    for tell in (lambda: pg.simulate(model, 10), lambda: pg.prior_rates(model, draws=2)):
        with pytest.raises(
            ValueError, match=r"model: it holds the sessions \['mon', 'tue'\]; build"
        ):
            tell()
    with pytest.raises(TypeError, match="parameters: got ndarray, allowed are"):
        pg.simulate(counts, 10)
