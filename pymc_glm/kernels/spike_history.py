"""What drives the post neurons: spikes of pre neurons with a basis, and regressors of every bin.

The history of a pre neuron is not stored: its filter is added at every spike. Regressors that are
rarely zero (covariates, traces) are stored as columns, which fill slots of as many coefficients as
there are basis functions, like those of a pre neuron.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.compiling import compiled
from pymc_glm.kernels.further_terms import (
    NO_FURTHER_TERMS,
    FurtherTerms,
    add_further,
    further_products,
    loadings_of,
    n_slots,
    project_further,
    self_filter,
)
from pymc_glm.kernels.history import convolve_history
from pymc_glm.kernels.spike_filters import (
    Spikes,
    add_filter,
    pair_sums,
    project_filter,
    runs_of,
    spikes_of,
)

__all__ = [
    "BLOCK",
    "Drive",
    "SpikeHistory",
    "Sums",
    "add_drive",
    "add_edge",
    "add_products",
    "drive_of",
    "no_sums",
    "products",
    "runs_with_history",
    "spike_history",
    "write_information",
    "write_psi",
    "write_regressors",
]

BLOCK = 4096  # bins whose activation, counts and slopes stay in the second-level cache of a core
_DENSE = 0.5  # share of bins with spikes above which the history is stored as columns

type Floats = NDArray[np.float64]


class SpikeHistory(NamedTuple):
    """Spikes, basis and columns; pre neurons come first, then groups of further columns."""

    spikes: Spikes
    basis: Floats  # (lag, basis)
    group: NDArray[np.int64]  # (pre,): index of the columns of each, or -1 if it has spikes
    columns: Floats  # (group, basis, time)
    n_bins: int
    further: FurtherTerms = NO_FURTHER_TERMS

    @property
    def n_pre(self) -> int:
        """Number of pre neurons and groups of columns."""
        return self.group.size

    @property
    def n_basis(self) -> int:
        """Number of basis functions."""
        return self.basis.shape[1]


def spike_history(
    counts: NDArray,
    basis: Floats,
    starts: NDArray[np.int64] | None = None,
    data_bins: NDArray | None = None,
    columns: Iterable[Floats] = (),
) -> SpikeHistory:
    """Store the spikes of pre neurons, and further columns.

    Parameters
    ----------
    counts : array, shape (time, pre)
        Spikes or values of traces.
    basis : array, shape (lag, basis)
    starts : array of int, shape (segment,), optional
        First bins of the segments; by default one segment.
    data_bins : array of int, optional
        Bins that are data; by default all.
    columns : iterable of arrays, shape (time, basis)
        Further regressors, in all bins.
    """
    starts = np.zeros(1, np.int64) if starts is None else starts
    basis = np.ascontiguousarray(basis, dtype=np.float64)
    kept = slice(None) if data_bins is None else data_bins
    n_bins = len(counts) if data_bins is None else len(data_bins)
    dense = np.array([np.count_nonzero(c) > _DENSE * len(counts) for c in counts.T], dtype=bool)
    stored = [
        convolve_history(counts[:, m : m + 1], basis, starts)[kept, 0].T
        for m in np.flatnonzero(dense)
    ]
    group = np.full(dense.size, -1)
    group[dense] = np.arange(len(stored))
    stored += [column[kept].T for column in columns]
    further = np.arange(dense.sum(), len(stored))
    return SpikeHistory(
        spikes_of(counts, starts, data_bins),
        basis,
        np.concatenate([group, further]),
        np.array(stored, dtype=np.float64).reshape(len(stored), basis.shape[1], n_bins),
        n_bins,
    )


class Drive(NamedTuple):
    """What a post neuron's coefficients add to its activation."""

    bias: float
    weights: Floats  # (slot, basis)
    pre: NDArray[np.int64]  # (active,): those whose weights are not all zero
    filters: Floats  # (active, lag)
    own: Floats  # (lag,): the self filter; empty if it is zero
    loadings: Floats  # (factor,)


@compiled
def drive_of(history: SpikeHistory, bias: float, weights: Floats) -> Drive:
    """Return the filters of a post neuron with weights (slot, basis).

    Weights may be those of pre neurons alone, without the slots of further terms.
    """
    size, n_pre = weights.shape[1], min(history.group.size, weights.shape[0])
    active = np.zeros(n_pre, np.bool_)
    for m in range(n_pre):
        for b in range(size):
            active[m] |= weights[m, b] != 0.0
    pre = np.flatnonzero(active)
    filters = np.zeros((pre.size, history.basis.shape[0]))
    for i in range(pre.size):
        for b in range(size):
            w = weights[pre[i], b]
            for lag in range(filters.shape[1]):
                filters[i, lag] += w * history.basis[lag, b]
    own = self_filter(history.further, weights[n_pre:])
    loadings = loadings_of(history.further, weights[n_pre:])
    return Drive(bias, weights, pre, filters, own, loadings)


@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _add_columns(columns, weights, low, high, psi):
    for b in range(weights.size):
        w, column = weights[b], columns[b, low:high]
        for t in range(psi.size):
            psi[t] += w * column[t]


@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _project_columns(columns, values, low, high, out):
    for b in range(out.size):
        total, column = 0.0, columns[b, low:high]
        for t in range(values.size):
            total += column[t] * values[t]
        out[b] += total


@compiled
def add_edge(
    history: SpikeHistory, m: int, weights: Floats, low: int, high: int, psi: Floats
) -> None:
    """Add the history of pre neuron m times weights (basis,) to psi of the bins low to high - 1."""
    if history.group[m] >= 0:
        _add_columns(history.columns[history.group[m]], weights, low, high, psi)
        return
    values = np.zeros(history.basis.shape[0])
    for lag in range(values.size):
        for b in range(weights.size):
            values[lag] += weights[b] * history.basis[lag, b]
    add_filter(history.spikes, m, values, low, high, psi)


@compiled
def add_drive(
    history: SpikeHistory, n: int, drive: Drive, low: int, high: int, psi: Floats
) -> None:
    """Add couplings and further terms of post neuron n to psi, in the bins from low to high - 1.

    Parameters
    ----------
    history : SpikeHistory
    n : int
    drive : Drive
    low, high : int
    psi : array, shape (high - low,)
    """
    for i in range(drive.pre.size):
        m = drive.pre[i]
        if history.group[m] < 0:
            add_filter(history.spikes, m, drive.filters[i], low, high, psi)
        else:
            _add_columns(history.columns[history.group[m]], drive.weights[m], low, high, psi)
    add_further(history.further, n, drive.own, drive.loadings, low, high, psi)


@compiled
def write_psi(history: SpikeHistory, n: int, bias: float, weights: Floats, psi: Floats) -> None:
    """Write psi (time,) of post neuron n: bias plus all terms times weights (slot, basis)."""
    drive = drive_of(history, bias, weights)
    for low in range(0, psi.size, BLOCK):
        high = min(low + BLOCK, psi.size)
        block = psi[low:high]
        block[:] = bias
        add_drive(history, n, drive, low, high, block)


class Sums(NamedTuple):
    """Products of some slots' regressors and values, in the making."""

    slots: NDArray[np.int64]  # (chosen,): ascending
    by_lag: Floats  # (chosen, lag): sums of the values after spikes
    of_columns: Floats  # (chosen, basis)
    own: Floats  # (lag,): sums after the post neuron's own spikes
    of_paths: Floats  # (factor,)


@compiled
def no_sums(history: SpikeHistory, slots: NDArray[np.int64]) -> Sums:
    """Return sums over no bins for some slots, ascending."""
    past, paths = history.further
    n_pre = np.searchsorted(slots, history.group.size)
    further = n_pre < slots.size
    return Sums(
        slots,
        np.zeros((n_pre, history.basis.shape[0])),
        np.zeros((n_pre, history.basis.shape[1])),
        np.zeros(past.basis.shape[0] if further else 0),
        np.zeros(paths.start.size - 1 if further else 0),
    )


@compiled
def add_products(
    history: SpikeHistory, n: int, values: Floats, low: int, high: int, sums: Sums
) -> None:
    """Add the products of regressors of post neuron n and values to the sums.

    Parameters
    ----------
    history : SpikeHistory
    n : int
    values : array, shape (high - low,)
    low, high : int
    sums : Sums
    """
    for i in range(sums.by_lag.shape[0]):
        m = sums.slots[i]
        if history.group[m] < 0:
            project_filter(history.spikes, m, values, low, high, sums.by_lag[i])
        else:
            columns = history.columns[history.group[m]]
            _project_columns(columns, values, low, high, sums.of_columns[i])
    project_further(history.further, n, values, low, high, sums.own, sums.of_paths)


@compiled
def products(history: SpikeHistory, sums: Sums, out: Floats) -> None:
    """Write the products (chosen, basis) of regressors and values."""
    n_pre, size = sums.of_columns.shape
    for i in range(n_pre):
        for b in range(size):
            out[i, b] = sums.of_columns[i, b]
            for lag in range(sums.by_lag.shape[1]):
                out[i, b] += sums.by_lag[i, lag] * history.basis[lag, b]
    if n_pre < sums.slots.size:
        slots = np.zeros((n_slots(history.further, size), size))
        further_products(history.further, sums.own, sums.of_paths, slots)
        for i in range(n_pre, sums.slots.size):
            out[i] = slots[sums.slots[i] - history.group.size]


@compiled
def write_regressors(history: SpikeHistory, m: int, low: int, high: int, out: Floats) -> None:
    """Write the history of pre neuron m in the bins from low to high - 1, (basis, bins)."""
    group = history.group[m]
    for b in range(out.shape[0]):
        row = out[b]
        if group >= 0:
            row[:] = history.columns[group, b, low:high]
        else:
            row[:] = 0.0
            add_filter(history.spikes, m, history.basis[:, b].copy(), low, high, row)


@compiled
def runs_with_history(
    history: SpikeHistory, m: int, low: int, high: int, runs: NDArray[np.int64]
) -> int:
    """Write the runs of bins in which pre neuron m has history; return their number.

    See `runs_of`; a column counts as one run.
    """
    if history.group[m] < 0:
        return runs_of(history.spikes, m, history.basis.shape[0], low, high, runs)
    runs[0, 0], runs[0, 1] = 0, high - low
    return 1


@compiled
def write_information(history: SpikeHistory, m: int, values: Floats, out: Floats) -> None:
    """Write the products of the history of pre neuron m with itself, times values (time,).

    Parameters
    ----------
    history : SpikeHistory
    m : int
    values : array, shape (time,)
    out : array, shape (basis, basis)
    """
    basis, size, group = history.basis, out.shape[0], history.group[m]
    out[:] = 0.0
    if group >= 0:
        for b in range(size):
            for c in range(size):
                out[b, c] = _product(history.columns[group, b], history.columns[group, c], values)
        return
    n_lags = basis.shape[0]
    pairs = np.zeros((n_lags, n_lags))
    pair_sums(history.spikes, m, values, pairs)
    for apart in range(n_lags):
        for lag in range(n_lags - apart):
            total = pairs[apart, lag] * (0.5 if apart == 0 else 1.0)
            if total == 0.0:
                continue
            for b in range(size):
                for c in range(size):
                    both = basis[lag, b] * basis[lag + apart, c]
                    out[b, c] += total * (both + basis[lag + apart, b] * basis[lag, c])


@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _product(x, y, values):
    total = 0.0
    for t in range(values.size):
        total += x[t] * y[t] * values[t]
    return total
