"""Filters added at every spike of a neuron, and sums of values after its spikes.

Spikes are rare, so a filter is added spike by spike: its cost is that of the bins it touches,
whatever the number of basis functions. A filter does not reach beyond the segment of its spike.
Bins of the recording that are no data hold spikes, but filters leave them out.
"""

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.compiling import compiled, inlined

__all__ = [
    "NO_SPIKES",
    "Spikes",
    "add_filter",
    "pair_sums",
    "project_filter",
    "runs_of",
    "spikes_of",
]

_LARGEST = 255  # count that is stored in one byte

type Floats = NDArray[np.float64]


class Spikes(NamedTuple):
    """Spikes of one neuron after the other."""

    start: NDArray[np.int64]  # (neuron + 1,): index of the first spike of each neuron
    bins: NDArray[np.int32]  # (spike,): bins of the recording, ascending for each neuron
    counts: NDArray  # (spike,)
    ends: NDArray[np.int64]  # (segment,): the bin after the last of each segment
    before: NDArray[np.int32]  # (time + 1,): bins before that are data; empty: all are data


NO_SPIKES = Spikes(
    np.zeros(1, np.int64),
    np.zeros(0, np.int32),
    np.zeros(0, np.uint8),
    np.zeros(0, np.int64),
    np.zeros(0, np.int32),
)


def spikes_of(
    counts: NDArray, starts: NDArray[np.int64], data_bins: NDArray | None = None
) -> Spikes:
    """Store the spikes of every neuron.

    Parameters
    ----------
    counts : array, shape (time, neuron)
    starts : array of int, shape (segment,)
        First bins of the segments.
    data_bins : array of int, optional
        Bins that are data; by default all.
    """
    n_bins, n_neurons = counts.shape
    bins = [np.flatnonzero(counts[:, m]).astype(np.int32) for m in range(n_neurons)]
    small = counts.dtype.kind in "biu" and counts.max(initial=0) <= _LARGEST
    kind = np.uint8 if small else np.float64
    each = [counts[there, m].astype(kind) for m, there in enumerate(bins)]
    before = NO_SPIKES.before
    if data_bins is not None:
        before = np.zeros(n_bins + 1, np.int32)
        before[1:][data_bins] = 1
        np.cumsum(before, out=before)
    return Spikes(
        np.append(0, np.cumsum([there.size for there in bins], dtype=np.int64)),
        np.concatenate([NO_SPIKES.bins, *bins]),
        np.concatenate([np.zeros(0, kind), *each]),
        np.append(starts[1:], n_bins).astype(np.int64),
        before,
    )


@compiled
def _index(values, begin, end, least):
    """Return the index of the first of ascending values from begin to end - 1 that is `least`."""
    while begin < end:
        middle = (begin + end) // 2
        if values[middle] < least:
            begin = middle + 1
        else:
            end = middle
    return begin


@compiled
def _reaching(spikes, m, n_lags, low):
    """Return the first spike of neuron m whose filter can reach data bin `low`, and its segment."""
    begin, end = spikes.start[m], spikes.start[m + 1]
    if spikes.before.size > 0:  # the bin of the recording
        low = _index(spikes.before, 0, spikes.before.size, low + 1) - 1
    begin, segment = _index(spikes.bins, begin, end, low - n_lags), 0
    if begin < end:
        segment = _index(spikes.ends, 0, spikes.ends.size, spikes.bins[begin] + 1)
    return begin, segment


@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _visit(spikes, m, low, high, values, psi, onto_values):
    """Add values (lag,) after each spike to psi (data bins from low to high - 1), or psi to them.

    Both are the same loop over spikes, with source and target exchanged.
    """
    before, ends, n_lags = spikes.before, spikes.ends, values.size
    begin, segment = _reaching(spikes, m, n_lags, low)
    whole, end = before.size == 0, 0 if ends.size == 0 else ends[segment]
    for i in range(begin, spikes.start[m + 1]):
        t = spikes.bins[i] + 1
        if t > end:
            while ends[segment] < t:
                segment += 1
            end = ends[segment]
        stop = min(t + n_lags, end)
        first, last = t, stop
        if not whole:
            first, last = before[t], before[stop]
        if first >= high:
            break
        times = float(spikes.counts[i])
        if not whole and last - first != stop - t:  # some of these bins are no data
            _visit_each(before, t, stop, times, low, high, values, psi, onto_values)
            continue
        lag, first, last = max(low - first, 0), max(first, low), min(last, high)
        if last <= first:
            continue
        # Unsigned indices need no check for negative ones, and slices would be slower.
        here, there, number = np.uint64(lag), np.uint64(first - low), np.uint64(last - first)
        if onto_values:
            for k in range(number):
                values[here + k] += times * psi[there + k]
        else:
            for k in range(number):
                psi[there + k] += times * values[here + k]


@compiled
def _visit_each(before, t, stop, times, low, high, values, psi, onto_values):
    """Visit the bins that are data among those from t to stop - 1."""
    for lag in range(stop - t):
        there = before[t + lag]
        if low <= there < high and before[t + lag + 1] > there:
            if onto_values:
                values[lag] += times * psi[there - low]
            else:
                psi[there - low] += times * values[lag]


@compiled
def add_filter(spikes: Spikes, m: int, values: Floats, low: int, high: int, psi: Floats) -> None:
    """Add a filter (lag,) after every spike of neuron m to psi.

    Parameters
    ----------
    spikes : Spikes
    m : int
    values : array, shape (lag,)
    low, high : int
        Among the bins that are data.
    psi : array, shape (high - low,)
    """
    _visit(spikes, m, low, high, values, psi, False)


@compiled
def project_filter(
    spikes: Spikes, m: int, values: Floats, low: int, high: int, by_lag: Floats
) -> None:
    """Add the sums of values over the bins at each lag after spikes of neuron m to by_lag.

    Parameters
    ----------
    spikes : Spikes
    m : int
    values : array, shape (high - low,)
    low, high : int
        Among the bins that are data.
    by_lag : array, shape (lag,)
    """
    _visit(spikes, m, low, high, by_lag, values, True)


@inlined
def pair_sums(spikes: Spikes, m: int, values: Floats, out: Floats) -> None:
    """Add the sums of values over the bins after pairs of spikes of neuron m to out.

    With them any product of two filters of the neuron, times values, can be summed over bins.

    Parameters
    ----------
    spikes : Spikes
    m : int
    values : array, shape (time,)
    out : array, shape (lag, lag)
        By the distance of the two spikes, 0 for a spike with itself, and the lag after the later
        one.
    """
    before, n_lags, segment, earliest = spikes.before, out.shape[0], 0, spikes.start[m]
    for i in range(earliest, spikes.start[m + 1]):
        t = spikes.bins[i] + 1
        while spikes.ends[segment] < t:
            segment += 1
            earliest = i
        stop = min(t + n_lags, spikes.ends[segment])
        first, last = t, stop
        if before.size > 0:
            first, last = before[t], before[stop]
        while spikes.bins[earliest] + n_lags < t:
            earliest += 1
        for j in range(earliest, i + 1):
            apart = t - 1 - spikes.bins[j]
            times = float(spikes.counts[i]) * float(spikes.counts[j])
            number = min(n_lags - apart, stop - t)
            if last - first == stop - t:
                for k in range(number):
                    out[apart, k] += times * values[first + k]
                continue
            for lag in range(number):
                if before[t + lag + 1] > before[t + lag]:
                    out[apart, lag] += times * values[before[t + lag]]


@inlined
def runs_of(
    spikes: Spikes, m: int, n_lags: int, low: int, high: int, runs: NDArray[np.int64]
) -> int:
    """Write the runs of bins that a filter of neuron m touches; return their number.

    Parameters
    ----------
    spikes : Spikes
    m, n_lags : int
    low, high : int
        Among the bins that are data.
    runs : array of int, shape (run, 2)
        Receives the first bin of each run and the one after its last, counted from `low`.
    """
    number, reached = 0, -1
    begin, segment = _reaching(spikes, m, n_lags, low)
    for i in range(begin, spikes.start[m + 1]):
        t = spikes.bins[i] + 1
        while spikes.ends[segment] < t:
            segment += 1
        first, last = t, min(t + n_lags, spikes.ends[segment])
        if spikes.before.size > 0:
            first, last = spikes.before[first], spikes.before[last]
        if first >= high:
            break
        first, last = max(first, low), min(last, high)
        if last <= first:
            continue
        if first > reached:
            runs[number, 0] = first - low
            number += 1
        reached = max(reached, last)
        runs[number - 1, 1] = reached - low
    return number
