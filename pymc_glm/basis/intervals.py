"""A basis for the effect of a neuron's own past, chosen from the intervals between its spikes."""

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import PchipInterpolator

from pymc_glm.arguments import as_number, as_whole_number
from pymc_glm.basis.arrays import peak_one
from pymc_glm.segments import segment_starts

__all__ = ["self_history"]

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
    known = [each for each in intervals if len(each) >= _ENOUGH]
    medians = np.array([np.median(each) for each in known])
    bins = np.median(medians) if known else 0.0
    regular = [_local_variation(each) < _REGULAR for each in known]
    if any(regular):
        bins = max(bins, np.quantile(medians[regular], _MOST_REGULAR))
    seconds = float(np.clip(_INTERVALS * bins * width, _SHORTEST, _LONGEST))
    whole = max(round(seconds / width), 1)
    return min(whole, longest) * width


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
