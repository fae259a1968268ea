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

import numba
import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.compiling import compiled, inlined
from pymc_glm.kernels.spike_filters import NO_SPIKES, Spikes, add_filter, project_filter

__all__ = [
    "NO_FURTHER_TERMS",
    "FurtherTerms",
    "GainLimit",
    "SelfHistory",
    "SharedPaths",
    "add_further",
    "add_paths",
    "bins_before",
    "excess_gain",
    "further_products",
    "loadings_of",
    "n_slots",
    "project_further",
    "self_filter",
    "self_history",
    "total",
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

    spikes: Spikes
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
    SelfHistory(NO_SPIKES, np.zeros((0, 0)), GainLimit(np.zeros(0), np.inf, 0.0)),
    SharedPaths(np.zeros(1, np.int64), _NONE, _NONE, np.zeros(0), _NONE, _NONE, _NONE),
)


def self_history(spikes: Spikes, basis: Floats, size: int, limit: GainLimit) -> SelfHistory:
    """Return the spikes of every neuron with a basis that fills slots.

    Parameters
    ----------
    spikes : Spikes
    basis : array, shape (lag, basis)
    size : int
        Coefficients in a slot.
    limit : GainLimit
    """
    padded = np.zeros((len(basis), -(-basis.shape[1] // size) * size))
    padded[:, : basis.shape[1]] = basis
    gains = np.zeros(padded.shape[1])
    gains[: basis.shape[1]] = limit.gains
    return SelfHistory(spikes, padded, GainLimit(gains, float(limit.most), float(limit.bend)))


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


@inlined
def self_filter(further: FurtherTerms, weights: Floats) -> Floats:
    """Return the self filter (lag,) of further weights (slot, basis); empty if it is zero."""
    n_lags, width = further.past.basis.shape
    size, zero = weights.shape[1], True
    values = np.zeros(n_lags)
    if weights.shape[0] > 0:
        for c in range(width):
            w = weights[c // size, c % size]
            zero &= w == 0.0
            for lag in range(n_lags):
                values[lag] += w * further.past.basis[lag, c]
    return values[:0] if zero else values


@inlined
def loadings_of(further: FurtherTerms, weights: Floats) -> Floats:
    """Return the loadings (factor,) of further weights (slot, basis)."""
    out = np.zeros(further.paths.start.size - 1)
    size, width = weights.shape[1], further.past.basis.shape[1]
    if weights.shape[0] > 0:
        for k in range(out.size):
            out[k] = weights[(width + k) // size, (width + k) % size]
    return out


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
            here = psi[t - low : stop - low]
            for i in range(here.size):
                here[i] += value
            if stop == high:
                break


@inlined
def add_further(
    further: FurtherTerms,
    n: int,
    own: Floats,
    loadings: Floats,
    low: int,
    high: int,
    psi: Floats,
) -> None:
    """Add the further terms of post neuron n to psi.

    Parameters
    ----------
    further : FurtherTerms
    n : int
    own : array, shape (lag,)
        The self filter, empty if it is zero.
    loadings : array, shape (factor,)
    low, high : int
        Among the bins that are data.
    psi : array, shape (high - low,)
    """
    if own.size > 0:
        add_filter(further.past.spikes, n, own, low, high, psi)
    add_paths(further.paths, n, loadings, low, high, psi)


@inlined
def project_further(
    further: FurtherTerms,
    n: int,
    values: Floats,
    low: int,
    high: int,
    own: Floats,
    of_paths: Floats,
) -> None:
    """Add products of the further terms of post neuron n and values, in some bins.

    Parameters
    ----------
    further : FurtherTerms
    n : int
    values : array, shape (high - low,)
    low, high : int
        Among the bins that are data.
    own : array, shape (lag,)
        Receives the sums at each lag after the neuron's spikes; empty: not wanted.
    of_paths : array, shape (factor,)
        Receives the products with the paths; empty: not wanted.
    """
    if own.size > 0:
        project_filter(further.past.spikes, n, values, low, high, own)
    paths = further.paths
    for k in range(of_paths.size):
        place = paths.place[low] - paths.delay[n]
        begin, end = paths.start[k], paths.start[k + 1]
        stop = low
        for g in range(begin + np.searchsorted(paths.last[begin:end], place, "right"), end):
            t, stop = stop, min(bins_before(paths, n, paths.last[g]), high)
            of_paths[k] += paths.values[g] * total(values[t - low : stop - low])
            if stop == high:
                break


@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def total(values: Floats) -> float:
    """Return the sum of values, added in any order."""
    added = 0.0
    for i in range(values.size):
        added += values[i]
    return added


@inlined
def further_products(further: FurtherTerms, own: Floats, of_paths: Floats, out: Floats) -> None:
    """Add the products that `project_further` has summed up to out (slot, basis)."""
    n_lags, width = further.past.basis.shape
    size = out.shape[1]
    for lag in range(n_lags):
        for c in range(width):
            out[c // size, c % size] += further.past.basis[lag, c] * own[lag]
    for k in range(of_paths.size):
        out[(width + k) // size, (width + k) % size] += of_paths[k]


@inlined
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
        add_filter(past.spikes, n, past.basis[:, c].copy(), low, high, column)
        out[:, c] = column
    one = np.zeros(paths.start.size - 1)
    for k in range(one.size):
        column[:] = 0.0
        one[:] = 0.0
        one[k] = 1.0
        add_paths(paths, n, one, low, high, column)
        out[:, width + k] = column
