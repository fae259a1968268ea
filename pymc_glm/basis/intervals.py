"""Bases for a neuron's own past and for couplings, from the intervals between spikes."""

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import PchipInterpolator

from pymc_glm.arguments import as_number, as_whole_number
from pymc_glm.basis.arrays import peak_one
from pymc_glm.basis.lags import raised_cosine
from pymc_glm.segments import segment_starts

__all__ = ["coupling_history", "self_history"]

type Floats = NDArray[np.float64]

_N_BASIS = 16
_SHORTEST, _LONGEST = 0.1, 1.0  # s, limits of the window
_INTERVALS = 2.5  # window in typical intervals: it holds the next spike but one
_REGULAR = 0.5  # local variation below which a neuron is a pacemaker
_MOST_REGULAR = 0.9  # of the pacemakers have an interval that fits into the window
_ENOUGH = 10  # intervals of a neuron from which on they say something about it
_REFRACTORY = 1e-3  # s, resolution at short lags
_BLUR = 0.1  # of an interval, the finest resolution around it
_SHARE = 0.5  # of the functions that many intervals place
_HALF = 100  # intervals that place half of that share
_SYNAPTIC = 0.02  # s: couplings are short
_LONGEST_COUPLING = 0.1  # s
_FEWEST_BINS = 4  # of a coupling
_N_COUPLING, _MORE = 3, 1.5  # functions; for each doubling of the window
_REMEMBERED = 1.5  # window in intervals of a clock


def self_history(
    counts: xr.DataArray | ArrayLike,
    n_basis: int | None = None,
    window: float | None = None,
    *,
    bin_width: float | None = None,
) -> xr.DataArray:
    """Make a basis for the effect of a neuron's own past, from the intervals of a recording.

    The functions are raised cosines, as those of `raised_cosine`, in a time that runs fast where
    the recording has much to say: right after a spike, for the refractory period, where they are a
    bin (at least 1 ms) apart; and around the intervals at which the neurons fire, for a rhythm.
    Elsewhere they are wide. The last ones approach zero smoothly at the end of the window.
    Neighbouring columns are neighbours in lag.

    Parameters
    ----------
    counts : DataArray or array (time, neuron)
        Spike counts, e.g. from `pymc_glm.bin_spikes`. Intervals across trials, epochs and gaps do
        not count.
    n_basis : int, optional
        Number of functions, at most the number of bins in the window; by default 16, or one fewer
        than there are bins.
    window : float, optional
        Length of the filter in seconds; only whole bins count. By default 2.5 median intervals
        of a typical neuron (the median over neurons), or of nine in ten pacemakers if that is more,
        between 0.1 and 1 s, and no longer than the longest trial.
    bin_width : float, optional
        Seconds; needed if the counts have no ``attrs["bin_width"]``.

    Returns
    -------
    xarray.DataArray
        Dims (lag, basis), lag in seconds, peak 1.

    Raises
    ------
    TypeError, ValueError
        The counts are no array (time, neuron) of numbers of at least 0 or have no bin width, an
        argument is not a valid number, or the window holds fewer bins than functions.

    Notes
    -----
    The centres are quantiles of a density of lags, moved to whole bins at least one apart; time
    runs smoothly and monotonically through them (Fritsch & Carlson 1980, SIAM Journal on Numerical
    Analysis 17:238-246). The density is a mixture of 1 / (lag + 1 ms), which alone gives cosines
    in log time, and of the density of the intervals to the next spike and the next but one, blurred
    by 10%. The weight of the latter rises with the number of intervals from 0 to 1/2, so few spikes
    give cosines in log time. A neuron with n intervals counts sqrt(n) times.

    A neuron counts as a pacemaker if the mean of 2 abs(i - j) / (i + j) over successive intervals
    i, j is below 0.5 (the local variation of Holt, Softky, Koch & Douglas 1996, Journal of
    Neurophysiology 75:1806-1814; 1 for a Poisson process).

    Examples
    --------
    >>> import numpy as np
    >>> import pymc_glm as pg
    >>> spikes = np.zeros((10_000, 1), dtype=int)
    >>> spikes[::30] = 1  # a clock, in bins of 1 ms
    >>> basis = pg.basis.self_history(spikes, bin_width=0.001)
    >>> dict(basis.sizes), basis.attrs["window"]
    ({'lag': 100, 'basis': 16}, 0.1)
    """
    values, starts, width = _checked(counts, bin_width)
    intervals = _intervals(values, starts)
    lags = [
        np.concatenate(both) for both in zip(intervals, _intervals(values, starts, 2), strict=True)
    ]
    longest = np.diff(np.append(starts, len(values))).max()
    seconds = _window(intervals, width, int(longest)) if window is None else window
    ratio = as_number(seconds, "window", above=0, unit="s") / width
    n_lags = int(np.floor(ratio * (1 + 1e-9)))
    if n_lags < 1:
        raise ValueError(f"window: {seconds:g} s is shorter than one bin, {width:g} s.")
    if n_basis is None:
        n_basis = min(_N_BASIS, max(n_lags - 1, 1))
    as_whole_number(n_basis, "n_basis")
    if n_basis > n_lags:
        raise ValueError(
            f"n_basis: got {n_basis}, more than the {n_lags} bins of the window; give fewer "
            "functions, a longer window or narrower bins."
        )
    places = _places(_density(lags, n_lags, width), n_basis)
    time = PchipInterpolator(places, np.arange(n_basis + 2.0))(np.arange(1.0, n_lags + 1))
    phase = np.pi / 2 * (time[:, None] - np.arange(n_basis))
    functions = (1 + np.cos(np.clip(phase, -np.pi, np.pi))) / 2
    return peak_one(functions, width, n_lags * width, "self_history")


def coupling_history(
    counts: xr.DataArray | ArrayLike,
    n_basis: int | None = None,
    window: float | None = None,
    *,
    bin_width: float | None = None,
) -> xr.DataArray:
    """Make a basis for coupling filters, from the intervals of a recording.

    Couplings are short: three raised cosines over 20 ms. But a neuron that fires like a clock
    carries the effect of an input until its next spike, which comes earlier or later by as much as
    the input has moved its phase. Where most neurons do, the window is longer than their intervals;
    with a shorter one, what is left of the effect appears as couplings that are not there.

    Parameters
    ----------
    counts : DataArray or array (time, neuron)
        Spike counts, e.g. from `pymc_glm.bin_spikes`. Intervals across trials, epochs and gaps do
        not count.
    n_basis : int, optional
        Number of functions, at most the number of bins in the window; by default 3, and 1.5 more
        for each doubling of the window.
    window : float, optional
        Length of the filter in seconds; only whole bins count. By default 20 ms, or 4 bins if these
        are longer; in a recording of clocks 1.5 of their intervals, if that is longer, but at most
        100 ms.
    bin_width : float, optional
        Seconds; needed if the counts have no ``attrs["bin_width"]``.

    Returns
    -------
    xarray.DataArray
        Dims (lag, basis), lag in seconds, peak 1: that of `raised_cosine`.

    Raises
    ------
    TypeError, ValueError
        The counts are no array (time, neuron) of numbers of at least 0 or have no bin width, an
        argument is not a valid number, or the window holds fewer bins than functions.

    Notes
    -----
    A neuron counts as a clock if its local variation (see `self_history`) is below 0.5 and, times
    its median interval, below 20 ms, so that its next spike is known to within a coupling. A
    recording is one of clocks if at least half of the neurons with enough intervals are.

    Examples
    --------
    >>> import numpy as np
    >>> import pymc_glm as pg
    >>> rng = np.random.default_rng(1)
    >>> spikes = rng.poisson(0.01, (20_000, 2)).clip(0, 1)  # bins of 1 ms
    >>> dict(pg.basis.coupling_history(spikes, bin_width=0.001).sizes)
    {'lag': 20, 'basis': 3}
    >>> spikes[:] = 0
    >>> spikes[::30] = 1  # clocks
    >>> dict(pg.basis.coupling_history(spikes, bin_width=0.001).sizes)
    {'lag': 45, 'basis': 5}
    """
    values, starts, width = _checked(counts, bin_width)
    shortest = max(_SYNAPTIC, _FEWEST_BINS * width)
    if window is None:
        window = shortest
        interval = _clock_interval(_intervals(values, starts), _SYNAPTIC / width) * width
        if interval > 0:
            longest = max(_LONGEST_COUPLING, shortest)
            bins = round(min(_REMEMBERED * interval, longest) / width)
            window = max(bins * width, shortest)
    window = as_number(window, "window", above=0, unit="s")
    if n_basis is None:
        doublings = max(np.log2(window / shortest), 0.0)
        n_basis = _N_COUPLING + round(_MORE * doublings)
        n_basis = int(min(n_basis, max(np.floor(window / width * (1 + 1e-9)), 1)))
    return raised_cosine(n_basis, window, width)


def _checked(
    counts: xr.DataArray | ArrayLike, bin_width: float | None
) -> tuple[NDArray, NDArray[np.int64], float]:
    """Return counts (time, neuron), the first bins of segments, and the bin width."""
    starts = np.zeros(1, np.int64)
    if isinstance(counts, xr.DataArray):
        if set(counts.dims) != {"time", "neuron"}:
            raise ValueError(f"counts: got the dims {counts.dims}, allowed are ('time', 'neuron').")
        bin_width = counts.attrs.get("bin_width", bin_width)
        counts = counts.transpose("time", "neuron")
        if "time" in counts.coords and counts.sizes["time"]:
            starts = segment_starts(counts)
    if bin_width is None:
        raise ValueError(
            "bin_width: the counts have none; give it in seconds, or counts from pg.bin_spikes."
        )
    values = np.asarray(counts)
    if values.ndim != 2 or not values.size:
        raise ValueError(
            f"counts: got the shape {values.shape}, allowed is an array (time, neuron) with at "
            "least one bin and one neuron."
        )
    if values.dtype.kind not in "biuf" or not (values >= 0).all():
        raise ValueError("counts: got other values, allowed are counts 0, 1, 2, ...; bin spikes.")
    return values, starts, as_number(bin_width, "bin_width", above=0, unit="s")


def _intervals(
    counts: NDArray, starts: NDArray[np.int64], order: int = 1
) -> list[NDArray[np.int64]]:
    """Return the intervals from spikes to the next ones of each neuron, in bins, within segments.

    For an order of 2, to the next but one.
    """
    found = []
    for column in counts.T:
        bins = np.flatnonzero(column)
        segment = np.searchsorted(starts, bins, side="right")
        within = segment[order:] == segment[:-order]
        found.append((bins[order:] - bins[:-order])[within])
    return found


def _window(intervals: list[NDArray[np.int64]], width: float, longest: int) -> float:
    """Return the default window in seconds; `longest` is the length of the longest segment."""
    medians, variation = _rhythms(intervals)
    bins = np.median(medians) if medians.size else 0.0
    regular = variation < _REGULAR
    if regular.any():
        bins = max(bins, np.quantile(medians[regular], _MOST_REGULAR))
    seconds = float(np.clip(_INTERVALS * bins * width, _SHORTEST, _LONGEST))
    whole = max(round(seconds / width), 1)
    return min(whole, longest) * width


def _clock_interval(intervals: list[NDArray[np.int64]], precision: float) -> float:
    """Return the median interval, in bins, of neurons that fire like clocks; 0 if few do.

    Their next spike is known to within `precision`, in bins.
    """
    medians, variation = _rhythms(intervals)
    clocks = (variation < _REGULAR) & (variation * medians < precision)
    if 2 * clocks.sum() < max(clocks.size, 1):
        return 0.0
    return float(np.median(medians[clocks]))


def _rhythms(intervals: list[NDArray[np.int64]]) -> tuple[Floats, Floats]:
    """Return median, in bins, and local variation of the intervals of neurons with enough."""
    known = [each for each in intervals if len(each) >= _ENOUGH]
    medians = np.array([np.median(each) for each in known])
    return medians, np.array([_local_variation(each) for each in known])


def _local_variation(intervals: NDArray[np.int64]) -> float:
    before, after = intervals[:-1], intervals[1:]
    return float(np.mean(2 * np.abs(after - before) / (after + before)))


def _density(intervals: list[NDArray[np.int64]], n_lags: int, width: float) -> Floats:
    """Return the share of the functions at each lag, (lag,)."""
    lags = np.arange(1, n_lags + 1)
    even = 1 / (lags + max(_REFRACTORY / width, 1.0))
    even /= even.sum()
    weight, n = np.zeros(n_lags + 1), 0
    for each in intervals:
        inside = each[each <= n_lags]
        n += len(inside)
        if len(inside):
            weight += np.bincount(inside, minlength=n_lags + 1) / np.sqrt(len(inside))
    if not n:
        return even
    first = np.floor((1 - _BLUR) * lags).astype(int).clip(1)
    last = np.ceil((1 + _BLUR) * lags).astype(int).clip(max=n_lags)
    height = weight[1:] / (last - first + 1)
    steps = np.zeros(n_lags + 2)
    np.add.at(steps, first, height)
    np.add.at(steps, last + 1, -height)
    rhythm = np.cumsum(steps)[1 : n_lags + 1].clip(0)
    share = _SHARE * n / (n + _HALF)
    return (1 - share) * even + share * rhythm / rhythm.sum()


def _places(density: Floats, n_basis: int) -> NDArray[np.int64]:
    """Return the lags, in bins, of the centres and of the two places after the last one.

    They are quantiles of a density of lags, from the first lag to the one after the last, or later
    if they would be less than a bin apart.
    """
    n_lags = len(density)
    end = max(n_lags + 1, n_basis + 2)
    cumulative = np.append(0.0, np.cumsum(density)) / density.sum()
    levels = np.linspace(0, 1, n_basis + 2)
    bins = np.round(np.interp(levels, cumulative, np.arange(1, n_lags + 2))).astype(np.int64)
    steps = np.arange(n_basis + 2)
    bins = np.maximum.accumulate(bins - steps) + steps  # moved to later ones where they are closer
    return np.minimum(bins, end - steps[::-1])  # but not beyond the end
