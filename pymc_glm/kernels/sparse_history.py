"""Spike history stored where it is not zero, separately for each pre neuron.

Spikes are rare, so the history of a pre neuron is zero in most bins. In the others its values
repeat: after an isolated spike they are the basis, bin by bin. For each pre neuron the bins with
history are stored, each with the index of one of the few distinct rows of B values ("patterns").
Sums over bins are first taken over the bins of each pattern, at a cost that does not depend on B.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.compiling import compiled
from pymc_glm.kernels.further_terms import NO_FURTHER_TERMS, FurtherTerms, add_further
from pymc_glm.kernels.history import convolve_history

__all__ = [
    "SparseHistory",
    "add_edge",
    "add_projection",
    "history_columns",
    "longest",
    "overlap",
    "pattern_sums",
    "pattern_values",
    "sparse_history",
    "spike_history",
    "write_psi",
]

type Floats = NDArray[np.float64]


class SparseHistory(NamedTuple):
    """The bins with non-zero history, one pre neuron after the other."""

    start: NDArray[np.int64]  # (pre + 1,): index of the first stored bin of each pre neuron
    bins: NDArray[np.int32]  # (stored,): ascending for each pre neuron
    pattern: NDArray[np.int32]  # (stored,): index among the patterns of the pre neuron
    pattern_start: NDArray[np.int64]  # (pre + 1,): index of the first pattern of each pre neuron
    patterns: Floats  # (patterns, basis)
    n_bins: int
    further: FurtherTerms = NO_FURTHER_TERMS

    @property
    def n_pre(self) -> int:
        """Number of pre neurons."""
        return self.start.size - 1

    @property
    def n_basis(self) -> int:
        """Number of basis functions."""
        return self.patterns.shape[1]


def _patterns(rows: Floats) -> tuple[Floats, NDArray[np.int32]]:
    """Return the distinct rows (patterns, basis), and the index of each row among them."""
    key = np.zeros(len(rows))
    factors = np.random.default_rng(0).random(rows.shape[1:])
    for b in range(
        factors.size
    ):  # in the same order in every row, so that equal rows have equal keys
        key += factors[b] * rows[:, b]
    for keys, axis in ((key, None), (rows, 0)):  # if distinct rows share a key, compare whole rows
        _, first, which = np.unique(keys, axis=axis, return_index=True, return_inverse=True)
        if np.array_equal(rows[first][which], rows):
            break
    return rows[first], which.astype(np.int32)


def sparse_history(columns: Iterable[Floats]) -> SparseHistory:
    """Store the history of pre neurons given one after the other.

    Parameters
    ----------
    columns : iterable of arrays, shape (time, basis)
    """
    bins, pattern, patterns = [], [], []
    for column in columns:
        stored = np.flatnonzero(column.any(axis=1))
        rows, which = _patterns(column[stored])
        bins.append(stored.astype(np.int32))
        pattern.append(which)
        patterns.append(rows)
    return SparseHistory(
        np.append(0, np.cumsum([b.size for b in bins])),
        np.concatenate(bins),
        np.concatenate(pattern),
        np.append(0, np.cumsum([len(p) for p in patterns])),
        np.concatenate(patterns),
        len(column),
    )


def history_columns(
    counts: NDArray, basis: Floats, starts: NDArray | None = None
) -> Iterator[Floats]:
    """Yield the history (time, basis) of each pre neuron of counts (time, pre).

    Parameters
    ----------
    counts : array of int, shape (time, pre)
    basis : array, shape (lag, basis)
    starts : array of int, shape (segment,), optional
        First bins of the segments; by default one segment.
    """
    for m in range(counts.shape[1]):
        yield convolve_history(counts[:, m : m + 1], basis, starts)[:, 0]


def spike_history(counts: NDArray, basis: Floats) -> SparseHistory:
    """Return the history of counts (time, pre) in basis functions (lag, basis)."""
    return sparse_history(history_columns(counts, basis))


@compiled
def pattern_values(history: SparseHistory, m: int, weights: Floats) -> Floats:
    """Return the product of each pattern of pre neuron m and weights (basis,)."""
    first = history.pattern_start[m]
    out = np.zeros(history.pattern_start[m + 1] - first)
    for k in range(out.size):
        for b in range(weights.size):
            out[k] += history.patterns[first + k, b] * weights[b]
    return out


@compiled
def pattern_sums(history: SparseHistory, m: int, values: Floats) -> Floats:
    """Return the sums of values (time,) over the bins of each pattern of pre neuron m."""
    total = np.zeros(history.pattern_start[m + 1] - history.pattern_start[m])
    for i in range(history.start[m], history.start[m + 1]):
        total[history.pattern[i]] += values[history.bins[i]]
    return total


@compiled
def add_projection(history: SparseHistory, m: int, values: Floats, out: Floats) -> None:
    """Add the products of the history of pre neuron m and values (time,) to out (basis,)."""
    first, sums = history.pattern_start[m], pattern_sums(history, m, values)
    for k in range(sums.size):
        for b in range(out.size):
            out[b] += sums[k] * history.patterns[first + k, b]


@compiled
def add_edge(history: SparseHistory, m: int, weights: Floats, times: float, psi: Floats) -> None:
    """Add the history of pre neuron m, times weights (basis,) and a number, to psi (time,)."""
    value = pattern_values(history, m, weights)
    for k in range(value.size):
        value[k] *= times
    for i in range(history.start[m], history.start[m + 1]):
        psi[history.bins[i]] += value[history.pattern[i]]


@compiled
def write_psi(history: SparseHistory, n: int, bias: float, weights: Floats, psi: Floats) -> None:
    """Write psi (time,) of post neuron n: bias plus all terms times weights (slot, basis)."""
    psi[:] = bias
    n_pre = min(history.start.size - 1, weights.shape[0])
    for m in range(n_pre):
        if np.any(weights[m] != 0.0):
            add_edge(history, m, weights[m], 1.0, psi)
    if weights.shape[0] > n_pre:
        add_further(history.further, n, weights[n_pre:], psi)


@compiled
def longest(history: SparseHistory) -> int:
    """Return the largest number of bins with history of any pre neuron."""
    most = 0
    for m in range(history.start.size - 1):
        most = max(most, history.start[m + 1] - history.start[m])
    return most


def overlap(history: SparseHistory) -> Floats:
    """Return the similarity of the histories of two pre neurons, (pre, pre), from 0 to 1.

    This is the cosine between their sums over basis functions; the diagonal is zero.
    """
    from scipy.sparse import csc_array

    total = np.abs(history.patterns.sum(axis=1))
    offset = np.repeat(history.pattern_start[:-1], np.diff(history.start))
    values = total[offset + history.pattern]
    matrix = csc_array((values, history.bins, history.start), (history.n_bins, history.n_pre))
    product = (matrix.T @ matrix).toarray()
    length = np.sqrt(np.diagonal(product))
    length[length == 0] = 1.0
    product /= length[:, None] * length[None, :]
    np.fill_diagonal(product, 0.0)
    return product
