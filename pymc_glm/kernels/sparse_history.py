"""Spike history stored where it is not zero, each pre neuron's apart.

Spikes are rare, so that a pre neuron's history is zero in most bins. Where it is not, its values
repeat: after a lone spike they are the basis, bin by bin. So each pre neuron keeps the bins with
history, and for each of them which of its few different rows of B values ("patterns") it holds.
Sums over bins then are sums over bins of one pattern first, which cost the same for any B.
"""

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = [
    "SparseHistory",
    "add_edge",
    "longest",
    "overlap",
    "pattern_values",
    "sparse_history",
    "write_psi",
]

type Floats = NDArray[np.float64]


class SparseHistory(NamedTuple):
    """The bins in which each pre neuron has any history, one pre neuron after the other."""

    start: NDArray[np.int64]  # (pre + 1,): where each pre neuron's bins begin
    bins: NDArray[np.int32]  # (stored,): ascending for each pre neuron
    pattern: NDArray[np.int32]  # (stored,): which of the neuron's patterns
    pattern_start: NDArray[np.int64]  # (pre + 1,): where each pre neuron's patterns begin
    patterns: Floats  # (patterns, basis)
    n_bins: int

    @property
    def n_pre(self) -> int:
        """Number of pre neurons."""
        return self.start.size - 1

    @property
    def n_basis(self) -> int:
        """Number of basis functions."""
        return self.patterns.shape[1]


def sparse_history(history: Floats) -> SparseHistory:
    """Store dense history sparsely.

    Parameters
    ----------
    history : array, shape (time, pre, basis)
    """
    bins, pattern, patterns = [], [], []
    n_basis = history.shape[2]
    for m in range(history.shape[1]):
        told = np.flatnonzero(history[:, m].any(axis=1))
        rows = np.ascontiguousarray(history[told, m])
        keys = rows.view(np.dtype((np.void, rows.dtype.itemsize * n_basis))).ravel()
        _, first, which = np.unique(keys, return_index=True, return_inverse=True)
        bins.append(told.astype(np.int32))
        pattern.append(which.astype(np.int32))
        patterns.append(rows[first])
    return SparseHistory(
        np.append(0, np.cumsum([b.size for b in bins])),
        np.concatenate(bins),
        np.concatenate(pattern),
        np.append(0, np.cumsum([len(p) for p in patterns])),
        np.concatenate(patterns),
        len(history),
    )


@numba.njit(cache=True, nogil=True)
def pattern_values(
    history: SparseHistory, m: int, weights: Floats
) -> Floats:  # pragma: no cover - compiled
    """Return what each pattern of pre neuron m adds to psi."""
    first = history.pattern_start[m]
    out = np.zeros(history.pattern_start[m + 1] - first)
    for k in range(out.size):
        for b in range(weights.size):
            out[k] += history.patterns[first + k, b] * weights[b]
    return out


@numba.njit(cache=True, nogil=True)
def add_edge(
    history: SparseHistory, m: int, weights: Floats, times: float, psi: Floats
) -> None:  # pragma: no cover - compiled
    """Add the history of pre neuron m times weights (basis,) and a number to psi (time,)."""
    value = pattern_values(history, m, weights)
    for k in range(value.size):
        value[k] *= times
    for i in range(history.start[m], history.start[m + 1]):
        psi[history.bins[i]] += value[history.pattern[i]]


@numba.njit(cache=True, nogil=True)
def write_psi(
    history: SparseHistory, bias: float, weights: Floats, psi: Floats
) -> None:  # pragma: no cover - compiled
    """Write psi (time,) of one post neuron: its bias and the history times weights (pre, basis)."""
    psi[:] = bias
    for m in range(weights.shape[0]):
        if np.any(weights[m] != 0.0):
            add_edge(history, m, weights[m], 1.0, psi)


@numba.njit(cache=True, nogil=True)
def longest(history: SparseHistory) -> int:  # pragma: no cover - compiled
    """Return the largest number of bins with history of one pre neuron."""
    most = 0
    for m in range(history.start.size - 1):
        most = max(most, history.start[m + 1] - history.start[m])
    return most


def overlap(history: SparseHistory) -> Floats:
    """Return how much the histories of each two pre neurons are alike, (pre, pre), within 0 to 1.

    The cosine of their sums over basis functions; the diagonal is zero.
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
