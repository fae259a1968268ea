"""Delays of shared input: activations, filter, simulation and fits by independent means."""

import numpy as np
import pymc as pm
import pytest
import xarray as xr
from scipy.stats import multivariate_normal

import pymc_glm as pg
from helpers.delayed_input import grid_index
from helpers.delayed_model import (
    BASIS,
    EXCLUDED,
    MOST,
    N_BINS,
    STARTS,
    STEPS,
    WIDTH,
    build,
    by_loop,
    path_covariance,
    point_of,
    recording,
)
from helpers.path_problem import Problem
from helpers.uncompiled import QUICK_FIT
from pymc_glm.graph.data import spike_data
from pymc_glm.graph.evaluate import PointFunction
from pymc_glm.graph.find import find_network
from pymc_glm.graph.further_terms import FurtherCoefficients
from pymc_glm.kernels.further_terms import write_columns
from pymc_glm.kernels.likelihood import GAUSSIAN, Likelihood
from pymc_glm.kernels.spike_history import add_products, no_sums, products, write_psi

# the counts that these models are built on are of no interest
pytestmark = pytest.mark.filterwarnings("ignore:shared_input. . neurons have:UserWarning")


# --- activations ---------------------------------------------------------------------------------


@pytest.mark.parametrize("delay", [(-3, 0, 3), (2, -1, 1), (0, 0, 0)])
@pytest.mark.parametrize("excluded", [False, True])
def test_activation(delay, excluded):
    """Of the model and of the kernels, and their regressors, against a loop over bins."""
    exclude = np.isin(np.arange(N_BINS), EXCLUDED) if excluded else np.zeros(N_BINS, bool)
    model = build(recording(), exclude=exclude if excluded else None)
    network, point = find_network(model), point_of(model, delay)
    expected = (point["bias"] + by_loop(point))[~exclude]
    (psi,) = PointFunction(model, [network.observation.psi(network.spikes)])(point)
    np.testing.assert_allclose(psi, expected, atol=1e-12)

    data = spike_data(model, network).value.with_paths(point["factors"], np.array(delay))
    rng = np.random.default_rng(2)
    _, weights = FurtherCoefficients(model, network).join(
        point, point["adjacency"], point["weights"], rng
    )
    values = rng.normal(size=len(expected))
    for n in range(3):
        found = np.empty(len(expected))
        write_psi(data.history, n, point["bias"][n], weights[n], found)
        np.testing.assert_allclose(found, expected[:, n], atol=1e-12)
        columns = [by_loop(point, np.tile(one, (3, 1)))[~exclude, n] for one in np.eye(2)]
        columns = np.transpose(columns)
        sums, found = no_sums(data.history, np.array([weights.shape[1] - 1])), np.zeros((1, 2))
        for low, high in ((0, 30), (30, values.size)):
            add_products(data.history, n, values[low:high], low, high, sums)
        products(data.history, sums, found)
        np.testing.assert_allclose(found[0], values @ columns, atol=1e-12)
        for low, high in ((0, len(expected)), (9, 47), (50, 51)):
            regressors = np.empty((high - low, 2))
            write_columns(data.history.further, n, low, 2, regressors)
            np.testing.assert_allclose(regressors, columns[low:high], atol=1e-12)


# --- the filter ----------------------------------------------------------------------------------


def traces_of(counts, noise=0.25):
    one = np.full(counts.shape[1], 1 / noise)
    return Likelihood(GAUSSIAN, np.ascontiguousarray(counts.T), one, 0.0, None)


PROBLEMS = {
    "rough": {"smoothness": (0.5, 0.5), "delay": (-3, 0, 5), "most": 5},
    "smooth": {"smoothness": (1.5, 1.5), "delay": (4, -6, 1), "most": 6, "step": (3, 2)},
    "both": {"delay": (2, -2, 0), "most": 3},
    "all late": {"delay": (5, 7, 6), "most": 7, "step": (2, 5)},
    "all early": {"delay": (-5, -7, -6), "most": 7, "step": (2, 5)},
    "alike": {"delay": (0, 0, 0), "most": 6, "step": (1, 4)},
    "one factor": {"n_factors": 1, "smoothness": (1.5,), "delay": (-1, 9, 2), "most": 9},
}


@pytest.mark.parametrize("kind", PROBLEMS)
def test_filter_of_traces(kind):
    """Densities, means and variances against a dense normal distribution; also in pieces."""
    problem = Problem(**PROBLEMS[kind])
    rng = np.random.default_rng(3)
    counts = rng.normal(-1.5, 1.5, problem.psi.shape)
    found = problem.filtered(traces_of, counts)
    density, before, turn = found[0], found[1:3], found[3:5]
    keep = np.repeat(problem.seen, 3)
    full = problem.covariance().reshape(keep.size, -1) + 0.25 * np.eye(keep.size)
    normal = multivariate_normal(problem.psi.ravel()[keep], full[np.ix_(keep, keep)])
    constant = 0.5 * np.log(4.0 / (2 * np.pi)) * keep.sum()
    assert density.sum() + constant == pytest.approx(normal.logpdf(counts.ravel()[keep]), abs=1e-8)
    index = np.arange(keep.size)
    for t in (1, 2, 8, 17, 22, 23, 24, 30, 39):
        for n in range(3):
            expected = problem.given(counts, 0.25, index[keep & (index < 3 * t)], 3 * t + n)
            np.testing.assert_allclose([one[t, n] for one in before], expected, atol=1e-9)
            if problem.seen[t]:
                seen = index[keep & (index < 3 * t + n)]
                expected = problem.given(counts, 0.25, seen, 3 * t + n)
                np.testing.assert_allclose([one[t, n] for one in turn], expected, atol=1e-9)
    for whole, part in zip(found, problem.filtered(traces_of, counts, 5), strict=True):
        np.testing.assert_array_equal(whole, part)


@pytest.mark.parametrize("kind", ["rough", "smooth", "alike"])
def test_drawn_activations(kind):
    """Moments of 4000 draws, of bins in both segments: 45 of them within 5 standard errors."""
    problem = Problem(**PROBLEMS[kind])
    rng = np.random.default_rng(4)
    counts = rng.normal(-1.5, 1.5, problem.psi.shape)
    draws = np.array([problem.filtered(traces_of, counts, rng=rng)[5] for _ in range(4000)])
    keep, index = np.repeat(problem.seen, 3), np.arange(problem.psi.size)
    full = problem.covariance().reshape(keep.size, -1)
    for t in (0, 6, 17, 23, 35):
        now, seen = slice(3 * t, 3 * t + 3), index[keep & (index < 3 * t)]
        known = full[np.ix_(seen, seen)] + 0.25 * np.eye(seen.size)
        gain = np.linalg.solve(known, full[seen, now]).T
        mean = problem.psi[t] + gain @ (counts - problem.psi).ravel()[seen]
        covariance = full[now, now] - gain @ full[seen, now]
        variance = np.diag(covariance)
        error = np.sqrt(variance / len(draws)) + 1e-9
        assert (np.abs(draws[:, t].mean(axis=0) - mean) < 5 * error).all()
        away = draws[:, t] - mean
        error = np.sqrt((np.outer(variance, variance) + covariance**2) / len(draws)) + 1e-9
        assert (np.abs(away.T @ away / len(draws) - covariance) < 5 * error).all()


# --- simulation ----------------------------------------------------------------------------------


def simulated(loadings, n_bins=60_000, seed=5, **path):
    """Traces of a network without couplings, whose only input is shared."""
    n, k = np.shape(loadings)
    given = {"timescale": np.full(k, 0.02), "smoothness": np.full(k, 0.5)}
    given |= {"grid_width": np.full(k, WIDTH)}
    shared = pg.PathParameters(np.array(loadings), **(given | path))
    network = pg.NetworkParameters(
        np.zeros(n), np.zeros((n, n, 2)), BASIS, pg.Gaussian(0.01), shared_input=shared
    )
    return pg.simulate(network, n_bins, random_seed=seed).values


@pytest.mark.parametrize("step", [1, 3])
@pytest.mark.parametrize("delay", [(0, 4, -3), (0, 0, 0)])
def test_simulated_delays(step, delay):
    """Covariances at 15 lags of 3 pairs; the largest is at the difference of the delays.

    Each is within 5 standard errors of some 6000 independent stretches.
    """
    path = {"delay": WIDTH * np.array(delay), "grid_width": [step * WIDTH], "max_delay": 0.03}
    values = simulated([[1.0], [1.0], [1.0]], **path)
    lags, t = np.arange(-7, 8), np.arange(1000, 1000 + 10 * step)
    for i, j in ((0, 1), (1, 2), (2, 0)):
        found, expected = [], []
        for lag in lags:
            one, other = values[10:-10, i], values[10 + lag : len(values) - 10 + lag, j]
            found.append((one * other).mean())
            apart = (t + lag - delay[j] + 6) // step - (t - delay[i] + 6) // step
            expected.append(np.exp(-step * WIDTH / 0.02 * np.abs(apart)).mean())
        np.testing.assert_allclose(found, expected, atol=5 * np.sqrt(2 / 6000))
        assert lags[np.argmax(found)] == delay[j] - delay[i]


def test_simulation_without_delays_is_as_before():
    """The grid of two factors, in the order in which random numbers were always drawn."""
    loadings = np.array([[1.0, 0.5], [0.3, -1.0]])
    plain = simulated(loadings, 200, grid_width=WIDTH * np.array([2, 3]))
    for path in ({"delay": np.zeros(2)}, {"max_delay": 0.05}):
        same = simulated(loadings, 200, grid_width=WIDTH * np.array([2, 3]), **path)
        np.testing.assert_array_equal(same, plain)


# --- errors, and what uses a fit -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "error", "allowed"),
    [
        (-0.01, ValueError, "finite numbers of at least 0"),
        (np.nan, ValueError, "finite numbers of at least 0"),
        ("0.01", TypeError, "finite numbers of at least 0"),
        (0.06, ValueError, r"at most 0\.055 s, a quarter of the longest segment"),
        (0.004, ValueError, "0 for no delays and a bin or more"),
    ],
)
def test_wrong_largest_delays(value, error, allowed):
    with pytest.raises(error, match=rf"max_delay: got .*, allowed are {allowed}"):
        build(recording(), max_delay=value)


def test_distribution_of_delays():
    """Uniform: its density, and frequencies of 4000 draws within 4.5 errors."""
    variable = pg.distributions.InputDelays.dist(-2, 2, shape=4000)
    draws = pm.draw(variable, random_seed=1)
    values, number = np.unique(draws, return_counts=True)
    assert values.tolist() == [-2, -1, 0, 1, 2]
    assert np.abs(number - 800).max() < 4.5 * np.sqrt(800 * 0.8)
    one = pg.distributions.InputDelays.dist(-2, 2, shape=3)
    np.testing.assert_allclose(pm.logp(one, [-2, 0, 2]).eval(), -np.log(5))
    assert (pm.logp(one, [-3, 3, 9]).eval() == -np.inf).all()
    assert pg.distributions.InputDelays.dist(-2, 2).type.dtype == "int64"


def test_largest_delays():
    """A quarter of the longest segment is allowed, the default shorter, and 0 for no delays."""
    model = build(recording(), max_delay=0.055)
    assert pm.draw(model["input_delay"], 500, random_seed=1).max() == 11
    assert (
        pm.draw(build(recording(), max_delay=None)["input_delay"], 500, random_seed=1).max() == 10
    )  # 50 ms
    without = build(recording(), max_delay=0.0)
    assert "input_delay" not in without.named_vars
    with without, pytest.raises(ValueError, match="the model has no delays of shared input"):
        pg.DelayMetropolis()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"delay": np.zeros(3)}, r"delay: got \[0\.0, 0\.0, 0\.0\], allowed are finite numbers"),
        ({"delay": [0.0, np.nan]}, r"delay: got \[0\.0, nan\], allowed are .* each of the 2 neu"),
        ({"max_delay": -1.0}, r"max_delay: got -1\.0, allowed are finite numbers of at least 0"),
    ],
)
def test_wrong_parameters_of_delays(wrong, message):
    with pytest.raises(ValueError, match=message):
        simulated([[1.0], [1.0]], 10, **wrong)


OPTIONS = {"random_seed": 1, "progressbar": False, "quiet": True, "chains": 1} | QUICK_FIT


def counts_of(n_bins, seed):
    values = np.random.default_rng(seed).poisson(0.2, (n_bins, 3)).clip(0, 1)
    times = WIDTH * np.arange(n_bins)
    return xr.DataArray(values, {"time": times}, ("time", "neuron"), attrs={"bin_width": WIDTH})


def test_what_uses_a_fit(tmp_path):
    """Files, scores, rescaling, alignment, simulation and figures of a model with delays."""
    model = build(counts_of(300, 2))
    tree = pg.sample(8, 8, model=model, path_draws=8, **OPTIONS)
    drawn = tree["posterior"]["input_delay"]
    assert drawn.dims == ("chain", "draw", "post")
    assert np.abs(drawn.values).max() <= MOST
    assert len(np.unique(drawn)) > 2
    pg.save(tree, tmp_path / "fit.nc")
    fit = pg.load(tmp_path / "fit.nc")
    np.testing.assert_array_equal(fit.tree["posterior"]["input_delay"], drawn)
    assert "input_delay" in [rv.name for rv in fit.model.free_RVs]
    for name in ("path_index", "path_lead", "max_delay", "grid_time"):
        np.testing.assert_array_equal(fit.model[name].get_value(), model[name].get_value())
    network = pg.NetworkParameters.from_draw(tree, chain=0, draw=3)
    expected = WIDTH * drawn.values[0, 3]
    np.testing.assert_allclose(network.shared_input.delay, expected)
    assert network.shared_input.max_delay == pytest.approx(MOST * WIDTH)
    later = pg.simulate(network, 200, random_seed=2)
    assert np.isfinite(pg.heldout_score(tree, None, later, block_width=0.5).elpd)
    assert np.isfinite(pg.time_rescaling(tree, random_seed=1)["p_value"]).all()
    check = pg.predictive_check(tree, "rate", kind="one_step", draws=2, random_seed=1)
    assert np.isfinite(check["replicated"]).all()
    assert pg.align_factors(tree)["path"].sizes["time"] == 300
    assert len(pg.plot_shared_input(tree, stop=0.5)) == 5


def test_scores_of_traces_by_normals():
    """The joint density of traces under one draw of a fit, against a dense normal distribution."""
    rng = np.random.default_rng(3)
    counts = recording(gaussian=True)
    model = build(
        counts, observation=pg.Gaussian(0.5), exclude=np.isin(np.arange(N_BINS), EXCLUDED)
    )
    tree = pg.sample(3, 2, model=model, path_draws=1, **OPTIONS)
    posterior = tree["posterior"].to_dataset()
    delay = np.array([[3, -2, 0], [-3, 1, 2], [0, 0, 0]])
    posterior["input_delay"] = posterior["input_delay"].copy(data=delay[None])
    posterior["loadings"] = posterior["loadings"].copy(data=rng.normal(size=(1, 3, 3, 2)))
    posterior["weights"] = 0 * posterior["weights"]
    tree["posterior"] = posterior
    found = pg.log_likelihood(tree, sum_over="neuron").sum("post").values[0]
    kept, path = np.setdiff1d(np.arange(N_BINS), EXCLUDED), path_covariance(0.5)
    for draw, late in enumerate(delay):
        one = posterior.isel(chain=0, draw=draw)
        index = grid_index(STARTS, N_BINS, STEPS, MOST, late)[kept]
        design = np.zeros((kept.size, 3, len(path)))
        for k in range(2):
            t, n = np.indices((kept.size, 3))
            design[t, n, index[:, :, k]] += one["loadings"].values[:, k]
        design = design.reshape(-1, len(path))
        covariance = design @ path @ design.T + 0.5 * np.eye(len(design))
        mean = np.tile(one["bias"].values, kept.size)
        expected = multivariate_normal(mean, covariance).logpdf(counts.values[kept].ravel())
        assert found[draw] == pytest.approx(expected, abs=1e-7)


def test_sessions():
    """Each has delays of its own."""
    model = build({"a": counts_of(200, 3), "b": counts_of(150, 4)})
    tree = pg.sample(4, 4, model=model, **OPTIONS)
    for name in ("a", "b"):
        delays = tree["posterior"][f"{name}::input_delay"].values
        assert np.abs(delays).max() <= MOST
        assert np.ptp(delays) > 0
        assert pg.session(tree, name)["posterior"]["input_delay"].sizes["post"] == 3
