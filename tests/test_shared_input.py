"""Shared input: the model, its paths, and the kernels that move them."""

import numpy as np
import pymc as pm
import pytest
import xarray as xr
from scipy.linalg import toeplitz
from scipy.stats import multivariate_normal

import pymc_glm as pg
from helpers.uncompiled import QUICK_FIT
from pymc_glm.distributions import FactorPaths
from pymc_glm.graph.data import spike_data
from pymc_glm.graph.evaluate import PointFunction
from pymc_glm.graph.find import find_network
from pymc_glm.graph.further_terms import FurtherCoefficients
from pymc_glm.kernels import banded, path_surrogate, path_window, shared_path
from pymc_glm.kernels.fisher import empty_metric, fisher_information
from pymc_glm.kernels.further_terms import SharedPaths
from pymc_glm.kernels.likelihood import log_likelihood, neuron_likelihood, score
from pymc_glm.kernels.path_moves import write_rest
from pymc_glm.kernels.slice_sampling import slice_draw
from pymc_glm.kernels.spike_history import add_products, no_sums, products, write_psi
from pymc_glm.priors.shared_input import path_grid
from pymc_glm.sampling.starts import initial_points

WIDTH = 0.005
BASIS = pg.basis.raised_cosine(2, window=0.025, bin_width=WIDTH)
LONG = pg.basis.raised_cosine(3, window=0.06, bin_width=WIDTH)


def counts_of(n_bins=300, n=3, seed=0, segment=None):
    values = np.random.default_rng(seed).poisson(0.2, (n_bins, n)).clip(0, 1)
    times = WIDTH * np.arange(n_bins)
    counts = xr.DataArray(values, {"time": times}, ("time", "neuron"), attrs={"bin_width": WIDTH})
    return counts if segment is None else counts.assign_coords(segment=("time", segment))


def build(counts=None, shared=None, **options):
    counts = counts_of() if counts is None else counts
    if shared is None:
        shared = pg.SharedInput(2, grid=np.array([0.005, 0.015]), max_delay=0.0)
    given = {"edges": pg.BernoulliEdges(0.3), "weights": pg.GaussianWeights(0.0, 0.5)}
    return pg.build_glm(counts, BASIS, shared_input=shared, **(given | options))


# --- paths ---------------------------------------------------------------------------------------


def correlation(smoothness, n, step, timescale):
    """Correlations of a path: the formulas in the docstring of kernels.shared_path."""
    r, h = np.exp(-step / timescale), np.arange(n)
    smooth = 1 + h * (1 - r**2) / (1 + r**2)
    return toeplitz(r**h * (1.0 if smoothness == 0.5 else smooth))


@pytest.mark.parametrize("smoothness", [0.5, 1.5])
def test_density_of_paths(smoothness):
    """Two segments of unequal length, against a multivariate normal distribution."""
    place = np.concatenate([np.arange(7), np.arange(4)])
    path = np.random.default_rng(1).normal(size=11)
    expected = sum(
        multivariate_normal(cov=correlation(smoothness, len(part), 0.01, 0.03)).logpdf(part)
        for part in (path[:7], path[7:])
    )
    coefficients = shared_path.autoregression(smoothness, 0.01, 0.03)
    found = shared_path.log_path_density(path, place, coefficients)
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    variable = FactorPaths.dist([0.03], np.zeros(11, int), place, [0.01], [smoothness])
    np.testing.assert_allclose(pm.logp(variable, path).eval(), expected, rtol=1e-10)


@pytest.mark.parametrize("smoothness", [0.5, 1.5])
def test_draws_of_paths(smoothness):
    """Covariances of 4000 draws; each of 55 differs by more than 5 errors in 1 of 30000 runs."""
    place = np.concatenate([np.arange(7), np.arange(3)])
    variable = FactorPaths.dist([0.03], np.zeros(10, int), place, [0.01], [smoothness])
    draws = pm.draw(variable, draws=4000, random_seed=2)
    expected = np.zeros((10, 10))
    expected[:7, :7] = correlation(smoothness, 7, 0.01, 0.03)
    expected[7:, 7:] = correlation(smoothness, 3, 0.01, 0.03)
    error = np.sqrt((1 + expected**2) / 4000)
    assert np.abs((draws.T @ draws / 4000 - expected) / error).max() < 5


def test_smooth_paths_tend_to_the_matern_correlation():
    x = np.arange(200) * 0.001 / 0.05
    np.testing.assert_allclose(
        correlation(1.5, 200, 0.001, 0.05)[0], (1 + x) * np.exp(-x), atol=1e-3
    )


@pytest.mark.parametrize("smoothness", [0.5, 1.5])
def test_precision_and_carrying(smoothness):
    place = np.concatenate([np.arange(6), np.arange(5)])
    path = np.random.default_rng(3).normal(size=11)
    covariance = np.zeros((11, 11))
    covariance[:6, :6] = correlation(smoothness, 6, 0.01, 0.03)
    covariance[6:, 6:] = correlation(smoothness, 5, 0.01, 0.03)
    precision = np.linalg.inv(covariance)
    before = shared_path.autoregression(smoothness, 0.01, 0.03)
    for low, high in ((0, 11), (2, 9), (7, 8)):
        found, gradient = np.zeros((high - low, 3)), np.zeros(high - low)
        shared_path.add_precision(low, high, 11, path, place, before, found, gradient)
        again = np.zeros(high - low)
        shared_path.add_prior_gradient(low, high, 11, path, place, before, again)
        np.testing.assert_allclose(again, gradient, rtol=1e-9, atol=1e-9)
        inside = precision[low:high, low:high]
        for j in range(min(3, high - low)):
            np.testing.assert_allclose(found[j:, j], np.diagonal(inside, -j), atol=1e-8)
        np.testing.assert_allclose(gradient, -(precision @ path)[low:high], rtol=1e-8, atol=1e-8)
        right, lower = gradient.copy(), found.copy()
        banded.banded_cholesky(lower)
        banded.banded_solve_lower(lower, right)
        banded.banded_solve_transposed(lower, right)
        np.testing.assert_allclose(right, np.linalg.solve(inside, gradient), rtol=1e-7)
    innovations = np.random.default_rng(4).normal(size=11)
    after = shared_path.autoregression(smoothness, 0.01, 0.08)
    carried = shared_path.carry(
        shared_path.path_from(innovations, place, before), place, before, after
    )
    np.testing.assert_allclose(carried, shared_path.path_from(innovations, place, after))


def test_grids_begin_anew_in_every_segment():
    grid = path_grid(11, np.array([0, 7]), np.array([1, 3]))
    assert grid.points[:, 0].tolist() == list(range(11))
    assert (grid.points[:, 1] - 11).tolist() == [0, 0, 0, 1, 1, 1, 2, 3, 3, 3, 4]
    assert grid.place[11:].tolist() == [0, 1, 2, 0, 1]
    assert grid.segment[11:].tolist() == [0, 0, 0, 1, 1]
    assert grid.lead[:, 1].tolist() == [0, 1, 2, 0, 1, 2, 0, 0, 1, 2, 0]
    assert not grid.lead[:, 0].any()
    assert grid.factor.tolist() == [0] * 11 + [1] * 5


def test_slice_sampling():
    """A gamma distribution; 6 standard errors, which a right sampler never reaches."""
    rng = np.random.default_rng(5)
    chain = [1.0]
    for _ in range(20_000):
        chain.append(
            slice_draw(lambda x: 2 * np.log(x) - x if x > 0 else -np.inf, chain[-1], 2.0, rng)
        )
    draws = np.array(chain[1000:])
    assert abs(draws.mean() - 3) < 6 * np.sqrt(3 / 2000)  # at least 2000 effective draws
    assert abs(np.mean(draws > 5) - 0.12465) < 6 * np.sqrt(0.125 * 0.875 / 2000)


# --- kernels -------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["all bins", "excluded", "segments"])
def state(request):
    """A model with further terms, a point, and the regressors written out."""
    options, segment = {}, None
    if request.param == "excluded":
        exclude = np.zeros(300, bool)
        exclude[[3, 4, 5, 60, 299]] = exclude[100:140] = True
        options = {"exclude": exclude}
    if request.param == "segments":
        segment = np.repeat([0, 1, 2], [100, 1, 199])
    model = build(counts_of(segment=segment), self_basis=LONG, **options)
    network = find_network(model)
    rng = np.random.default_rng(6)
    point = {
        name: rng.normal(size=value.shape).astype(value.dtype)
        for name, value in model.initial_point(0).items()
    }
    point["adjacency"] = 1 - np.eye(3, dtype=np.int8)
    point["weights"] *= point["adjacency"][:, :, None]
    (psi,) = PointFunction(model, [network.observation.psi(network.spikes)])(point)
    return model, network, point, psi


def slots_of(model, network, point):
    data = spike_data(model, network).value.with_paths(point["factors"])
    further = FurtherCoefficients(model, network)
    _, weights = further.join(point, point["adjacency"], point["weights"], np.random.default_rng(7))
    return data, further, weights


def test_activation_of_the_kernels_is_that_of_the_model(state):
    model, network, point, psi = state
    data, further, weights = slots_of(model, network, point)
    for n in range(3):
        found = np.empty(data.history.n_bins)
        write_psi(data.history, n, point["bias"][n], weights[n], found)
        np.testing.assert_allclose(found, psi[:, n], atol=1e-9)
        shared = weights[n].copy()
        first = 3 + 2  # couplings, then two slots for three self-weights
        shared[first:] = 0.0
        rest = np.empty(found.size)
        write_psi(data.history, n, point["bias"][n], shared, rest)
        part = np.empty(50)
        write_rest(data.history, n, point["bias"][n], weights[n], 30, 80, part)
        np.testing.assert_allclose(part, rest[30:80], atol=1e-12)
    others, new = further.split(weights)
    np.testing.assert_array_equal(others, point["weights"])
    np.testing.assert_allclose(new["self_weights"], point["self_weights"])
    np.testing.assert_array_equal(new["loadings"], point["loadings"])
    np.testing.assert_array_equal(further.loadings(weights), point["loadings"])


def test_gradient_and_information(state):
    """Against finite differences and the regressors, found by setting one coefficient at a time."""
    model, network, point, _ = state
    data, _, weights = slots_of(model, network, point)
    n, size, n_others = 1, weights.shape[2], 3
    columns = []
    for slot in range(n_others, weights.shape[1]):
        for b in range(size):
            one, column = np.zeros_like(weights[n]), np.empty(data.history.n_bins)
            one[slot, b] = 1.0
            write_psi(data.history, n, 0.0, one, column)
            columns.append(column)
    columns = np.array(columns)
    values = np.random.default_rng(8).normal(size=data.history.n_bins)
    sums = no_sums(data.history, np.arange(n_others, weights.shape[1]))
    for low, high in ((0, 70), (70, 71), (71, values.size)):
        add_products(data.history, n, values[low:high], low, high, sums)
    out = np.zeros((weights.shape[1] - n_others, size))
    products(data.history, sums, out)
    np.testing.assert_allclose(out.ravel(), columns @ values, atol=1e-9)
    chosen = np.ones(weights.shape[:2], bool)
    metric = empty_metric(3, weights.shape[1], size, weights.shape[1])
    fisher_information((n, n + 1), *data, point["bias"], weights, chosen, 10**9, metric)
    psi, slope, curvature = (np.empty(data.history.n_bins) for _ in range(3))
    write_psi(data.history, n, point["bias"][n], weights[n], psi)
    score(neuron_likelihood(data.likelihood, n), data.likelihood.counts[n], psi, slope, curvature)
    first = 1 + n_others * size
    np.testing.assert_allclose(
        metric.joint[n][first:, first:], (columns * curvature) @ columns.T, atol=1e-9
    )
    np.testing.assert_allclose(metric.joint[n][first:, 0], columns @ curvature, atol=1e-9)
    np.testing.assert_allclose(metric.gradient[n][first:], columns @ slope, atol=1e-9)


def whole(n_bins):
    """The first bin of each of three neurons, and the one after the last."""
    return np.zeros(3, int), np.full(3, n_bins)


def paths_between(start):
    """One factor, without delays, whose grid points begin at given bins, all of them data."""
    n_bins = start[-1]
    return SharedPaths(
        np.array([0, start.size - 1]), start[:-1], start[1:], np.zeros(start.size - 1),
        np.zeros(3, int), np.arange(n_bins), np.arange(n_bins + 1),
    )  # fmt: skip


@pytest.mark.parametrize("observation", ["poisson", "bernoulli", "gaussian"])
def test_surrogate(observation):
    """The derivative of the summed log likelihood: exact if all bins have the same psi."""
    counts = counts_of(60, 3)
    counts[:20] = 1
    model = build(counts, observation=observation)
    data = spike_data(model, find_network(model)).value
    psi = np.random.default_rng(9).normal(-1.0, 1.0, (3, 60))
    if observation == "bernoulli":
        psi[:] = psi[:, :1]
    loadings, path = np.array([0.7, 0.0, -0.4]), np.random.default_rng(10).normal(size=6)
    window = path_window.open_window(data.likelihood, *whole(60), psi.copy())
    paths = paths_between(np.arange(0, 70, 10))
    surrogate = path_surrogate.surrogate_of(window, data.likelihood, loadings, paths, 0, 6)
    gradient, curvature = np.zeros(6), np.zeros(6)
    path_surrogate.add_surrogate(surrogate, path, gradient)
    path_surrogate.add_surrogate_curvature(surrogate, path, curvature)
    expected = np.zeros((2, 6))
    for n in range(3):
        slope, bend = np.empty(60), np.empty(60)
        shifted = psi[n] + loadings[n] * np.repeat(path, 10)
        score(
            neuron_likelihood(data.likelihood, n), data.likelihood.counts[n], shifted, slope, bend
        )
        expected[0] += loadings[n] * slope.reshape(6, 10).sum(axis=1)
        expected[1] += loadings[n] ** 2 * bend.reshape(6, 10).sum(axis=1)
    np.testing.assert_allclose(gradient, expected[0], rtol=1e-9)
    np.testing.assert_allclose(curvature, expected[1], rtol=1e-9)


@pytest.mark.parametrize("observation", ["bernoulli", "poisson", "negative_binomial", "gaussian"])
@pytest.mark.parametrize("large", [False, True])
def test_log_likelihood_of_a_path(observation, large):
    """Changes of the log likelihood against sums over bins, with products and without."""
    counts = counts_of(60, 3)
    counts[:20] = 1
    if observation == "negative_binomial":
        observation = pg.NegativeBinomial(2.0)
    model = build(counts, observation=observation)
    data = spike_data(model, find_network(model)).value
    psi = np.random.default_rng(11).normal(-1.0, 1.0, (3, 60))
    psi[0, 0] = 45.0 if large and observation != "poisson" else 0.0
    loadings, start = np.array([0.7, 0.0, -0.4]), np.array([0, 7, 20, 20, 33, 52, 60])
    paths = np.random.default_rng(12).normal(size=(2, 6))
    expected = []
    for path in paths:
        total, buffer = 0.0, np.empty(60)
        for n in range(3):
            shifted = psi[n] + loadings[n] * np.repeat(path, np.diff(start))
            total += log_likelihood(
                neuron_likelihood(data.likelihood, n), data.likelihood.counts[n], shifted, buffer
            )
        expected.append(total)
    window = path_window.open_window(data.likelihood, *whole(60), psi.copy())
    grid = paths_between(start)
    found = [
        path_window.log_likelihood_of(window, data.likelihood, loadings, grid, 0, path)
        for path in paths
    ]
    np.testing.assert_allclose(np.diff(found), np.diff(expected), rtol=1e-9)


# --- the model -----------------------------------------------------------------------------------


def test_variables_of_the_model():
    model = build(self_basis=LONG)
    assert {"factors", "loadings", "factor_timescale", "loading_scale", "self_weights"} <= {
        rv.name for rv in model.free_RVs
    }
    assert model["path_index"].get_value().shape == (300, 2)
    fixed = build(shared=pg.SharedInput(1, 0.05, 0.3))
    assert float(fixed["factor_timescale"].get_value()[0]) == 0.05
    assert "factor_timescale" not in [rv.name for rv in fixed.free_RVs]


@pytest.mark.parametrize(
    ("shared", "message"),
    [
        (pg.SharedInput(0), "n_factors: got 0"),
        (pg.SharedInput(3), "n_factors: got 3 for 3 neurons, allowed are fewer"),
        (pg.SharedInput(1, 0.001), r"timescale: got 0.001 s, allowed are timescales from a bin"),
        (pg.SharedInput(1, 5.0), r"to the longest segment of the recording \(1.5 s\)"),
        (pg.SharedInput(2, [0.1, 0.1, 0.1]), "timescale: got 3 timescales for 2 factors"),
        (pg.SharedInput(1, grid=0.007), r"grid: got 0.007 s, allowed are whole numbers of bins"),
        (pg.SharedInput(1, grid=[0.01, 0.01]), "grid: got an array of shape"),
        (pg.SharedInput(1, smoothness=1.0), "smoothness: got 1.0, allowed are 0.5 and 1.5"),
        (2, "shared_input: got 2; give an instance"),
    ],
)
def test_what_cannot_be_built(shared, message):
    with pytest.raises((ValueError, TypeError), match=message):
        build(shared=shared)


def test_what_cannot_be_built_with_a_self_basis():
    wide = pg.basis.raised_cosine(2, window=0.1, bin_width=0.01)
    with pytest.raises(ValueError, match=r"self_basis.*bin"):
        build(self_basis=wide)
    with pytest.raises(ValueError, match="self_prior: there is no self filter"):
        build(self_prior=pg.SelfPrior())
    with pytest.raises(TypeError, match="self_prior: got 3"):
        build(self_basis=LONG, self_prior=3)
    with pytest.raises(ValueError, match="smoothness: got 0"):
        build(self_basis=LONG, self_prior=pg.SelfPrior(smoothness=0))
    with pytest.raises(ValueError, match=r"edges: got self_probability=1.0, but with self_basis"):
        build(self_basis=LONG, edges=pg.BernoulliEdges(0.3, 1.0))


def test_too_few_spikes():
    silent = counts_of()
    silent[60:] = 0
    with pytest.warns(UserWarning, match="0 neurons have 20 spikes or more, too few to tell 2 fac"):
        build(silent)


def test_polya_gamma_does_not_know_shared_input():
    with build(), pytest.raises(ValueError, match="which PolyaGammaGibbs does not know"):
        pg.PolyaGammaGibbs()
    with pg.dense_glm(counts_of(), BASIS), pytest.raises(ValueError, match="no shared input"):
        pg.PathHMC()


def test_dense_model_without_self_edges():
    model = build(edges=pg.DenseEdges(), self_basis=LONG)
    tree = pg.sample(
        5, 5, chains=1, model=model, random_seed=1, progressbar=False, quiet=True, **QUICK_FIT
    )
    weights = tree["posterior"]["weights"].values[0]
    assert (weights[:, np.arange(3), np.arange(3)] == 0).all()
    assert (weights[:, 0, 1:] != 0).all()


def test_starts_and_kept_paths():
    model = build(self_basis=LONG)
    options = {"random_seed": 1, "progressbar": False, "quiet": True, "model": model} | QUICK_FIT
    tree = pg.sample(12, 8, chains=2, cores=1, threads=1, path_draws=3, **options)
    assert "factors" not in tree["posterior"]
    assert tree["shared_path"]["path_draw"].values.tolist() == [0, 6, 11]
    assert np.isfinite(tree["shared_path"]["factors"].values).all()
    again = pg.sample(12, 8, chains=2, cores=2, threads=2, path_draws=12, **options)
    for name in ("weights", "loadings", "factor_timescale", "self_weights"):
        np.testing.assert_array_equal(again["posterior"][name], tree["posterior"][name])
    kept = again["shared_path"]["factors"].sel(path_draw=[0, 6, 11])
    np.testing.assert_array_equal(kept, tree["shared_path"]["factors"])
    more = pg.sample_more(tree, model, 4, 2, random_seed=2, progressbar=False, quiet=True)
    assert more["shared_path"]["path_draw"].values.tolist() == [0, 6, 11, 12, 13, 14, 15]
    with model:
        step = pg.WeightHMC(threads=1)
        starts = initial_points(model, step, 3, np.random.default_rng(0))
    for start in starts:
        assert start["adjacency"].sum() == 0
        assert (start["loadings"] > -0.3).all()
        assert np.abs(start["factors"]).max() <= 2.5


def test_saved_and_loaded(tmp_path):
    model = build(self_basis=LONG, self_prior=pg.SelfPrior(1.5, smoothness=2.0))
    options = {"random_seed": 1, "progressbar": False, "quiet": True} | QUICK_FIT
    tree = pg.sample(6, 4, chains=1, model=model, **options)
    pg.save(tree, tmp_path / "fit.nc")
    fit = pg.load(tmp_path / "fit.nc")
    assert {rv.name for rv in fit.model.free_RVs} == {rv.name for rv in model.free_RVs}
    for name in ("path_index", "grid_place", "grid_width", "smoothness", "self_basis_functions"):
        np.testing.assert_array_equal(fit.model[name].get_value(), model[name].get_value())
    np.testing.assert_array_equal(
        fit.tree["shared_path"]["factors"], tree["shared_path"]["factors"]
    )


def test_sessions_share_timescales():
    model = build({"a": counts_of(seed=1), "b": counts_of(200, seed=2)}, self_basis=LONG)
    names = {rv.name for rv in model.free_RVs}
    assert {"factor_timescale", "loading_scale", "a::factors", "b::factors", "a::loadings"} <= names
    options = {"random_seed": 1, "progressbar": False, "quiet": True} | QUICK_FIT
    tree = pg.sample(4, 4, chains=1, model=model, **options)
    assert (
        pg.session(tree, "b")["shared_path"]["factors"].sizes["grid"]
        < (pg.session(tree, "a")["shared_path"]["factors"].sizes["grid"])
    )
