"""The basis of coupling filters, chosen from the intervals between spikes."""

import numpy as np
import pytest
import xarray as xr

import pymc_glm as pg

WIDTH = 0.001


def clock(rng, mean, sd, n_bins=60_000, width=WIDTH):
    """A neuron whose intervals are normal, in seconds; counts in bins."""
    times = np.cumsum(rng.normal(mean, sd, int(2 * n_bins * width / mean) + 20))
    counts = np.zeros(n_bins, dtype=np.int64)
    bins = np.floor(times / width).astype(int)
    counts[bins[bins < n_bins]] = 1
    return counts


def poisson(rng, rate, n_bins=60_000, width=WIDTH):
    return (rng.random(n_bins) < rate * width).astype(np.int64)


def basis_of(*trains, width=WIDTH, **options):
    return pg.basis.coupling_history(np.stack(trains, axis=1), bin_width=width, **options)


def test_couplings_of_irregular_neurons_last_20_ms():
    rng = np.random.default_rng(1)
    expected = pg.basis.raised_cosine(3, 0.02, WIDTH)
    for rates in ([5.0, 20.0], [0.0, 0.0], [100.0]):
        basis = basis_of(*(poisson(rng, rate) for rate in rates))
        xr.testing.assert_identical(basis, expected)
    wide = basis_of(poisson(rng, 5.0, width=0.01), width=0.01)
    xr.testing.assert_identical(wide, pg.basis.raised_cosine(3, 0.04, 0.01))


@pytest.mark.parametrize(
    ("mean", "window", "n_basis"),
    # 3 functions, and round(1.5 log2(window / 20 ms)) more
    [(0.008, 0.02, 3), (0.0306, 0.046, 5), (0.05, 0.075, 6), (0.2, 0.1, 6)],
)
def test_clocks_remember_inputs_for_an_interval(mean, window, n_basis):
    rng = np.random.default_rng(2)
    basis = basis_of(*(clock(rng, mean, 0.04 * mean) for _ in range(3)))
    assert basis.attrs["window"] == pytest.approx(window, abs=1.5 * WIDTH)
    assert basis.sizes["basis"] == n_basis
    xr.testing.assert_identical(
        basis, pg.basis.raised_cosine(n_basis, basis.attrs["window"], WIDTH)
    )


def test_regular_neurons_whose_next_spike_is_not_known_are_no_clocks():
    """Local variation of about 0.3 at 1.4 Hz: the next spike is known to some 200 ms."""
    rng = np.random.default_rng(3)
    times = np.cumsum(rng.gamma(8.0, 0.7 / 8.0, 500))
    counts = np.zeros(300_000, dtype=np.int64)
    counts[(times[times < 300] / WIDTH).astype(int)] = 1
    assert basis_of(counts).sizes == {"lag": 20, "basis": 3}


def test_half_of_the_neurons_have_to_be_clocks():
    rng = np.random.default_rng(4)
    clocks = [clock(rng, 0.03, 0.001) for _ in range(3)]
    others = [poisson(rng, 10.0) for _ in range(3)]
    assert basis_of(*clocks, *others).sizes["lag"] == 45
    assert basis_of(*clocks, *others, poisson(rng, 10.0)).sizes["lag"] == 20
    silent = [np.zeros(60_000, dtype=np.int64)] * 9  # which say nothing
    assert basis_of(*clocks, *others, *silent).sizes["lag"] == 45


def test_intervals_do_not_reach_across_trials():
    """A spike in each trial: no intervals."""
    counts = pg.bin_spikes({"a": np.arange(0.0105, 30, 0.03)}, WIDTH, stop=30.0)
    assert pg.basis.coupling_history(counts).sizes["lag"] == 45
    trials = counts.assign_coords(trial=("time", np.repeat(np.arange(1000), 30)))
    assert pg.basis.coupling_history(trials).sizes["lag"] == 20


def test_options():
    rng = np.random.default_rng(5)
    counts = poisson(rng, 5.0)
    assert basis_of(counts, window=0.08).shape == (80, 6)
    assert basis_of(counts, n_basis=4).shape == (20, 4)
    assert basis_of(counts, n_basis=2, window=0.05).shape == (50, 2)
    assert basis_of(counts, window=0.002).shape == (2, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_basis": 0}, "n_basis: got 0"),
        ({"n_basis": 51, "window": 0.05}, "n_basis: got 51"),
        ({"window": -1}, "window: got -1"),
        ({"window": 0.0005}, "window: 0.0005 s is shorter than one bin"),
        ({"bin_width": None}, "bin_width: the counts have none"),
        ({"bin_width": np.nan}, "bin_width: got nan"),
        ({"counts": np.zeros(5, int)}, r"counts: got the shape \(5,\)"),
    ],
)
def test_wrong_arguments(options, message):
    arguments = {"counts": np.zeros((100, 2), int), "bin_width": WIDTH} | options
    with pytest.raises(ValueError, match=message):
        pg.basis.coupling_history(**arguments)
