"""The basis for a neuron's own past, chosen from the intervals between its spikes."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import pymc_glm as pg

WIDTH = 0.001


def train(intervals, n_bins):
    bins = np.cumsum(intervals)
    counts = np.zeros(n_bins, dtype=np.int64)
    counts[bins[bins < n_bins]] = 1
    return counts


def pacemaker(rng, mean, sd, n_bins=60_000):
    return train(np.round(rng.normal(mean, sd, n_bins)).astype(int), n_bins)


def poisson(rng, rate, n_bins=60_000):
    return (rng.random(n_bins) < rate * WIDTH).astype(np.int64)


def bursting(rng, n_bins=60_000):
    """Bursts of six spikes some 5 ms apart, and a second of silence."""
    interval = np.where(np.arange(n_bins) % 6, rng.integers(4, 7, n_bins), 1000)
    return train(interval, n_bins)


def basis_of(*trains, **options):
    return pg.basis.self_history(np.stack(trains, axis=1), bin_width=WIDTH, **options)


def centres(basis):
    """The lags at which the functions have their peaks, in bins."""
    return basis.values.argmax(axis=0) + 1


KINDS = {
    "pacemaker": lambda rng: pacemaker(rng, 30.6, 1.2),
    "slow pacemaker": lambda rng: pacemaker(rng, 400, 20),
    "poisson": lambda rng: poisson(rng, 5),
    "bursting": bursting,
    "silent": lambda rng: poisson(rng, 0),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [0.0005, 0.001, 0.005, 0.02])
def test_a_basis_like_any_other(kind, width):
    """Peaks of 1 in different bins, in order, of full rank, and smoothly zero at the end."""
    counts = KINDS[kind](np.random.default_rng(1))[:, None]
    basis = pg.basis.self_history(counts, bin_width=width)
    assert basis.dims == ("lag", "basis") and basis.attrs["bin_width"] == width
    np.testing.assert_allclose(basis["lag"], width * np.arange(1, len(basis) + 1))
    assert 0.1 <= basis["lag"].values[-1] <= 1 + 1e-9
    assert basis.sizes["basis"] == min(16, len(basis) - 1)
    np.testing.assert_array_equal(basis.max("lag"), 1)
    assert basis.values.min() >= 0
    assert centres(basis)[0] == 1 and (np.diff(centres(basis)) >= 1).all()
    assert np.linalg.cond(basis) < 1e3
    if len(basis) > 50:
        np.testing.assert_array_less(basis.values[-1], 0.05)
    xr.testing.assert_identical(pg.basis.as_basis(basis, width), basis)


def test_functions_crowd_where_a_pacemaker_fires():
    counts = pacemaker(np.random.default_rng(2), 30.6, 1.2)
    at = centres(basis_of(counts))
    assert ((at > 26) & (at < 36)).sum() >= 4 and ((at > 52) & (at < 70)).sum() >= 4
    assert list(at[:2]) == [1, 2]  # a bin each for the refractory period
    assert ((at > 36) & (at < 52)).sum() <= 2  # no spike comes then


@pytest.mark.parametrize(
    ("kind", "window"),
    [("slow pacemaker", 1.0), ("poisson", 2.5 * np.log(2) / 5), ("bursting", 0.1)],
)
def test_the_window_holds_two_intervals(kind, window):
    counts = KINDS[kind](np.random.default_rng(3))
    # The median of 300 exponential intervals has a standard error of 1 / (ln 2 sqrt(300)) = 8%.
    assert basis_of(counts).attrs["window"] == pytest.approx(window, rel=0.25)


def test_few_pacemakers_are_held_too():
    rng = np.random.default_rng(4)
    fast = [poisson(rng, 20) for _ in range(8)]
    slow = [pacemaker(rng, 300, 10) for _ in range(2)]
    assert basis_of(*fast).attrs["window"] == pytest.approx(0.1)
    assert basis_of(*fast, *slow).attrs["window"] == pytest.approx(0.75, rel=0.02)
    assert basis_of(*fast, pacemaker(rng, 3000, 10)).attrs["window"] == 1  # no longer than this


def test_without_spikes_cosines_in_log_time():
    """Even places of log(lag + 1), to whole bins; the function beyond the last ends the window."""
    basis = basis_of(poisson(np.random.default_rng(0), 0), window=0.5, n_basis=12)
    expected = np.exp(np.linspace(np.log(1.5), np.log(501.5), 14))[:12] - 0.5
    far = expected > 12  # nearer ones are moved apart to different bins
    np.testing.assert_allclose(centres(basis)[far], expected[far], atol=1.0)
    np.testing.assert_array_equal(centres(basis)[:3], [1, 2, 3])
    few = np.zeros(60_000, dtype=int)
    few[[100, 130, 5000]] = 1
    np.testing.assert_allclose(
        centres(basis_of(few, window=0.5, n_basis=12))[far], centres(basis)[far], rtol=0.15
    )


def test_intervals_do_not_reach_across_trials():
    """Two spikes 30 ms apart in each trial; 70 ms from the last one of a trial to the next's."""
    trial = np.zeros(100, dtype=int)
    trial[[40, 70]] = 1
    counts = pg.bin_spikes({"a": [0.1]}, WIDTH, stop=60.0)
    counts[:, 0] = np.tile(trial, 600)
    trials = counts.assign_coords(trial=("time", np.repeat(np.arange(600), 100)))
    alone = np.zeros(60 * 1200, dtype=int)  # the same intervals, and none that is short otherwise
    alone[1200 * np.arange(60) + 90] = alone[1200 * np.arange(60) + 120] = 1
    alone = np.tile(alone, 10)
    xr.testing.assert_equal(pg.basis.self_history(trials), basis_of(alone))
    assert not np.allclose(pg.basis.self_history(counts), basis_of(alone))  # 30 and 70 ms in turn
    short = counts[:150].assign_coords(trial=("time", np.repeat([0, 1], [90, 60])))
    assert pg.basis.self_history(short).attrs["window"] == pytest.approx(0.09)


def test_many_neurons_do_not_drown_out_few_and_their_order_is_free():
    rng = np.random.default_rng(5)
    trains = [pacemaker(rng, 30, 1), *(poisson(rng, 10) for _ in range(4))]
    np.testing.assert_array_equal(basis_of(*trains), basis_of(*trains[::-1]))
    counts = pg.bin_spikes({"a": [0.1, 0.2], "b": [0.3]}, WIDTH, stop=1.0)
    np.testing.assert_array_equal(
        pg.basis.self_history(counts), pg.basis.self_history(counts.transpose("neuron", "time"))
    )


def test_the_hazard_of_a_pacemaker_is_in_the_span():
    """The log-odds of a spike by the time since the last one, weighted by their information.

    The hazard rises from 0 to 1 within 3 ms: five cosines in log time in a window that holds it
    are far off, and as many as here, but evenly placed, are not close either. (A planted bug, a
    density without the intervals, fails as well.)
    """
    ages = np.arange(1, 37)
    normal = stats.norm(30.6, 1.2)
    survival = normal.sf(ages - 0.5)
    hazard = 1 - normal.sf(ages + 0.5) / survival
    hazard = hazard.clip(1e-5, 1 - 1e-5)
    weight = np.sqrt(survival * hazard * (1 - hazard))
    log_odds = np.log(hazard / (1 - hazard))

    def misfit(basis):
        regressors = np.column_stack([np.ones(len(ages)), basis.values[ages - 1]])
        weights = np.linalg.lstsq(weight[:, None] * regressors, weight * log_odds)[0]
        return np.sqrt(np.average((regressors @ weights - log_odds) ** 2, weights=weight**2))

    counts = pacemaker(np.random.default_rng(6), 30.6, 1.2)
    assert misfit(basis_of(counts)) < 0.05
    assert misfit(pg.basis.raised_cosine(5, 0.05, WIDTH)) > 0.15
    assert misfit(pg.basis.raised_cosine(16, 0.1, WIDTH)) > 0.07


def test_options():
    counts = poisson(np.random.default_rng(7), 5)
    basis = basis_of(counts, window=0.3, n_basis=9)
    assert basis.shape == (300, 9)
    assert basis_of(counts, window=0.003, n_basis=3).shape == (3, 3)
    assert basis_of(counts, window=0.001).shape == (1, 1)
    labelled = pg.bin_spikes({"a": np.flatnonzero(counts) * WIDTH + 5e-4}, WIDTH, stop=60.0)
    xr.testing.assert_equal(pg.basis.self_history(labelled, 9, 0.3), basis)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_basis": 0}, "n_basis: got 0"),
        ({"n_basis": 51, "window": 0.05}, "n_basis: got 51, more than the 50 bins of the window"),
        ({"window": 0.0005}, r"window: 0.0005 s is shorter than one bin, 0.001 s\."),
        ({"window": -1}, "window: got -1"),
        ({"bin_width": None}, "bin_width: the counts have none"),
        ({"bin_width": 0}, "bin_width: got 0"),
        ({"counts": np.zeros(5, int)}, r"counts: got the shape \(5,\)"),
        ({"counts": np.zeros((0, 2), int)}, r"counts: got the shape \(0, 2\)"),
        ({"counts": -np.ones((5, 2))}, "counts: got other values"),
        ({"counts": np.full((5, 2), np.nan)}, "counts: got other values"),
        ({"counts": np.full((5, 2), "a")}, "counts: got other values"),
        ({"counts": xr.DataArray(np.zeros((5, 2)), dims=("t", "n"))}, r"got the dims \('t', 'n'\)"),
    ],
)
def test_wrong_arguments(options, message):
    arguments = {"counts": np.zeros((100, 2), int), "bin_width": WIDTH} | options
    with pytest.raises(ValueError, match=message):
        pg.basis.self_history(**arguments)
