"""Terms of the activation beside bias and couplings: a neuron's past, and paths of shared input.

Their coefficients follow those of the couplings in the arrays (post, slot, basis): first the slots
of the self filter, as many as its basis functions fill, then the slots of the loadings. What is
left of a slot holds zeros. The self filter is added spike by spike, so its cost does not depend on
the number of basis functions; a path is constant over the bins of each of its grid points.

Paths have an axis of time of their own, on which the segments follow each other, each longer at
both ends by the largest delay. A neuron that the input reaches d bins later reads the paths d
places before those of its bins.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.compiling import compiled

__all__ = [
    "NO_FURTHER_TERMS",
    "FurtherTerms",
    "GainLimit",
    "SelfHistory",
    "SharedPaths",
    "add_further",
    "add_paths",
    "add_self",
    "bins_before",
    "excess_gain",
    "n_slots",
    "project_further",
    "self_history",
    "write_columns",
]

type Floats = NDArray[np.float64]


class GainLimit(NamedTuple):
    """Prior of the gain of a self filter, the sum over its lags: flat, then half a normal one."""

    gains: Floats  # (coefficient,): the gain of a filter is gains @ weights
    most: float  # the largest gain that the prior allows freely
    bend: float  # precision of the prior above it


class SelfHistory(NamedTuple):
    """Spikes of every neuron and the basis of their effect on the neuron itself."""

    start: NDArray[np.int64]  # (post + 1,): index of the first event of each neuron
    bins: NDArray[np.int64]  # (event,): bins of the recording, ascending for each neuron
    stop: NDArray[np.int64]  # (event,): the bin after the last of the segment
    counts: Floats  # (event,)
    place: NDArray[np.int64]  # (time,): index among the bins that are data, or -1; empty: all are
    basis: Floats  # (lag, slots times size of a slot)
    limit: GainLimit


class SharedPaths(NamedTuple):
    """Paths of shared input on their grids, one factor after the other."""

    start: NDArray[np.int64]  # (factor + 1,): index of the first grid point of each factor
    first: NDArray[np.int64]  # (grid,): first place of each grid point on the axis of time
    last: NDArray[np.int64]  # (grid,): the place after the last
    values: Floats  # (grid,)
    delay: NDArray[np.int64]  # (post,): bins by which the input reaches each neuron later
    place: NDArray[np.int64]  # (bin,): places on the axis of the bins that are data
    before: NDArray[np.int64]  # (axis + 1,): number of bins that are data before each place


class FurtherTerms(NamedTuple):
    """What is added to bias and couplings, without coefficients."""

    past: SelfHistory
    paths: SharedPaths


_NONE = np.zeros(0, np.int64)
NO_FURTHER_TERMS = FurtherTerms(
    SelfHistory(
        np.zeros(1, np.int64),
        _NONE,
        _NONE,
        np.zeros(0),
        _NONE,
        np.zeros((0, 0)),
        GainLimit(np.zeros(0), np.inf, 0.0),
    ),
    SharedPaths(np.zeros(1, np.int64), _NONE, _NONE, np.zeros(0), _NONE, _NONE, _NONE),
)


def self_history(
    counts: NDArray,
    basis: Floats,
    starts: NDArray[np.int64],
    data_bins: NDArray | None,
    size: int,
    limit: GainLimit,
) -> SelfHistory:
    """Store the spikes of every neuron.

    Parameters
    ----------
    counts : array, shape (time, neuron)
    basis : array, shape (lag, basis)
    starts : array of int, shape (segment,)
        First bins of the segments.
    data_bins : array of int or None
        Bins that are data; None: all.
    size : int
        Coefficients in a slot.
    limit : GainLimit
    """
    n_bins = len(counts)
    neuron, bins = np.nonzero(counts.T)
    ends = np.append(starts[1:], n_bins)
    place = _NONE
    if data_bins is not None:
        place = np.full(n_bins, -1)
        place[data_bins] = np.arange(len(data_bins))
    padded = np.zeros((len(basis), -(-basis.shape[1] // size) * size))
    padded[:, : basis.shape[1]] = basis
    gains = np.zeros(padded.shape[1])
    gains[: basis.shape[1]] = limit.gains
    return SelfHistory(
        np.append(0, np.cumsum(np.bincount(neuron, minlength=counts.shape[1]))),
        bins.astype(np.int64),
        ends[np.searchsorted(starts, bins, side="right") - 1].astype(np.int64),
        counts[bins, neuron].astype(np.float64),
        place,
        padded,
        GainLimit(gains, float(limit.most), float(limit.bend)),
    )


@compiled
def excess_gain(limit: GainLimit, weights: Floats) -> float:
    """Return by how much the gain of self-weights (coefficient,) exceeds the limit, or 0."""
    gain = 0.0
    for i in range(weights.size):
        gain += limit.gains[i] * weights[i]
    return max(gain - limit.most, 0.0)


@compiled
def n_slots(further: FurtherTerms, size: int) -> int:
    """Return the number of slots of `size` coefficients."""
    n_factors = further.paths.start.size - 1
    return further.past.basis.shape[1] // size + (n_factors + size - 1) // size


@compiled
def _add_filter(past, n, values, low, high, psi):
    """Add a self filter (lag,) to psi, which holds the bins that are data from low to high - 1."""
    place, n_lags = past.place, values.size
    begin, end = past.start[n], past.start[n + 1]
    if place.size == 0:  # every bin is data
        begin += np.searchsorted(past.bins[begin:end], low - n_lags)
    for i in range(begin, end):
        t, count = past.bins[i] + 1, past.counts[i]
        last = min(n_lags, past.stop[i] - t)
        if place.size == 0:
            if t >= high:
                break
            for lag in range(max(0, low - t), min(last, high - t)):
                psi[t + lag - low] += count * values[lag]
        else:
            for lag in range(last):
                at = place[t + lag]
                if low <= at < high:
                    psi[at - low] += count * values[lag]


@compiled
def add_self(past: SelfHistory, n: int, weights: Floats, low: int, high: int, psi: Floats) -> None:
    """Add the self filter of neuron n to psi, which holds the bins from low to high - 1.

    Parameters
    ----------
    past : SelfHistory
    n : int
    weights : array, shape (slot, basis)
        Of the self filter, the first slots.
    low, high : int
        Among the bins that are data.
    psi : array, shape (high - low,)
    """
    n_lags, width = past.basis.shape
    size = weights.shape[1]
    if width == 0:
        return
    values = np.zeros(n_lags)
    for lag in range(n_lags):
        for c in range(width):
            values[lag] += past.basis[lag, c] * weights[c // size, c % size]
    _add_filter(past, n, values, low, high, psi)


@compiled
def bins_before(paths: SharedPaths, n: int, place: int) -> int:
    """Return the number of bins of neuron n that read the paths before a place on the axis."""
    last = paths.before.size - 1
    return paths.before[min(max(place + paths.delay[n], 0), last)]


@compiled
def add_paths(
    paths: SharedPaths, n: int, loadings: Floats, low: int, high: int, psi: Floats
) -> None:
    """Add loadings (factor,) times paths to psi of neuron n, in the bins from low to high - 1."""
    if low >= high:
        return
    place = paths.place[low] - paths.delay[n]
    for k in range(paths.start.size - 1):
        if loadings[k] == 0.0:
            continue
        begin, end = paths.start[k], paths.start[k + 1]
        stop = low
        for g in range(begin + np.searchsorted(paths.last[begin:end], place, "right"), end):
            t, stop = stop, min(bins_before(paths, n, paths.last[g]), high)
            value = loadings[k] * paths.values[g]
            for i in range(t, stop):
                psi[i - low] += value
            if stop == high:
                break


@compiled
def add_further(further: FurtherTerms, n: int, weights: Floats, psi: Floats) -> None:
    """Add the further terms of post neuron n to psi (time,).

    Parameters
    ----------
    further : FurtherTerms
    n : int
    weights : array, shape (slot, basis)
        Coefficients of all further terms.
    psi : array, shape (time,)
    """
    size = weights.shape[1]
    add_self(further.past, n, weights, 0, psi.size, psi)
    n_factors = further.paths.start.size - 1
    if n_factors > 0:
        loadings = weights[further.past.basis.shape[1] // size :].copy().reshape(-1)
        add_paths(further.paths, n, loadings, 0, psi.size, psi)


@compiled
def project_further(further: FurtherTerms, n: int, values: Floats, out: Floats) -> None:
    """Add the products of the further terms of post neuron n and values (time,) to out.

    Parameters
    ----------
    further : FurtherTerms
    n : int
    values : array, shape (time,)
    out : array, shape (slot, basis)
    """
    past, paths = further
    n_lags, width = past.basis.shape
    size = out.shape[1]
    if width > 0:
        by_lag, place = np.zeros(n_lags), past.place
        for i in range(past.start[n], past.start[n + 1]):
            t, count = past.bins[i] + 1, past.counts[i]
            for lag in range(min(n_lags, past.stop[i] - t)):
                at = t + lag if place.size == 0 else place[t + lag]
                if at >= 0:
                    by_lag[lag] += count * values[at]
        for lag in range(n_lags):
            for c in range(width):
                out[c // size, c % size] += past.basis[lag, c] * by_lag[lag]
    for k in range(paths.start.size - 1):
        total, stop = 0.0, 0
        for g in range(paths.start[k], paths.start[k + 1]):
            first, stop, here = stop, bins_before(paths, n, paths.last[g]), 0.0
            for t in range(first, stop):
                here += values[t]
            total += here * paths.values[g]
        out[(width + k) // size, (width + k) % size] += total


@compiled
def write_columns(further: FurtherTerms, n: int, low: int, size: int, out: Floats) -> None:
    """Write the regressors of the further terms of post neuron n in some bins.

    Parameters
    ----------
    further : FurtherTerms
    n : int
    low : int
        The first bin, among those that are data.
    size : int
        Coefficients in a slot.
    out : array, shape (bins, slots times size)
    """
    past, paths = further
    width, high = past.basis.shape[1], low + out.shape[0]
    out[:] = 0.0
    column = np.empty(out.shape[0])
    for c in range(width):
        column[:] = 0.0
        _add_filter(past, n, past.basis[:, c].copy(), low, high, column)
        out[:, c] = column
    one = np.zeros(paths.start.size - 1)
    for k in range(one.size):
        column[:] = 0.0
        one[:] = 0.0
        one[k] = 1.0
        add_paths(paths, n, one, low, high, column)
        out[:, width + k] = column
