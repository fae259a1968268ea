"""Spike history: counts convolved with basis functions, strictly causal.

The cost of every function here is proportional to the number of spikes, not the number of bins.
History does not extend beyond a segment (trial, epoch), the bins from one start to the next.
"""

import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.compiling import compiled

__all__ = [
    "convolve_history",
    "history_product",
    "history_product_kernel",
    "history_transpose_product",
    "history_transpose_product_kernel",
    "self_product_kernel",
    "self_transpose_product_kernel",
]

type Floats = NDArray[np.float64]


def _as_starts(starts: NDArray | None) -> NDArray[np.int64]:
    """Return the starts of the segments; by default, one segment starts at the first bin."""
    return np.zeros(1, np.int64) if starts is None else np.asarray(starts, np.int64)


@compiled
def _end(starts, segment, n_bins):
    return starts[segment + 1] if segment + 1 < starts.size else n_bins


@compiled
def _add_history(counts, basis, starts, out):
    n_bins, n_neurons = counts.shape
    n_lags, n_basis = basis.shape
    for segment in range(starts.size):
        end = _end(starts, segment, n_bins)
        for t in range(starts[segment], end):
            last = min(n_lags, end - 1 - t)
            for m in range(n_neurons):
                count = counts[t, m]
                if count != 0:
                    for lag in range(last):
                        for b in range(n_basis):
                            out[t + 1 + lag, m, b] += count * basis[lag, b]


def convolve_history(counts: NDArray, basis: Floats, starts: NDArray | None = None) -> Floats:
    """Return ``x[t, m, b] = sum_lag basis[lag - 1, b] * counts[t - lag, m]``, lag = 1..L.

    Parameters
    ----------
    counts : array, shape (time, pre)
    basis : array, shape (lag, basis)
        Row 0 is the lag of one bin.
    starts : array of int, shape (segment,), optional
        First bins of the segments; by default one segment.

    Returns
    -------
    array of float64, shape (time, pre, basis)
        Bins before the start of a segment are taken to be silent.
    """
    counts = np.ascontiguousarray(counts)
    basis = np.ascontiguousarray(basis, dtype=np.float64)
    out = np.zeros((*counts.shape, basis.shape[1]))
    _add_history(counts, basis, _as_starts(starts), out)
    return out


@compiled
def history_product_kernel(
    counts: NDArray, basis: Floats, weights: Floats, starts: NDArray[np.int64]
) -> Floats:
    """Compute `history_product`."""
    (n_bins, n_pre), (n_lags, n_basis), n_post = counts.shape, basis.shape, weights.shape[0]
    filters = np.zeros((n_pre, n_lags, n_post))  # coupling filters
    for n in range(n_post):
        for m in range(n_pre):
            for lag in range(n_lags):
                for b in range(n_basis):
                    filters[m, lag, n] += basis[lag, b] * weights[n, m, b]
    out = np.zeros((n_bins, n_post))
    for segment in range(starts.size):
        end = _end(starts, segment, n_bins)
        for t in range(starts[segment], end):
            for m in range(n_pre):
                if counts[t, m] != 0:
                    count = float(counts[t, m])
                    for lag in range(min(n_lags, end - 1 - t)):
                        for n in range(n_post):
                            out[t + 1 + lag, n] += count * filters[m, lag, n]
    return out


@compiled
def history_transpose_product_kernel(
    counts: NDArray, basis: Floats, values: Floats, starts: NDArray[np.int64]
) -> Floats:
    """Compute `history_transpose_product`."""
    (n_bins, n_pre), (n_lags, n_basis), n_post = counts.shape, basis.shape, values.shape[1]
    total = np.zeros((n_pre, n_lags, n_post))
    for segment in range(starts.size):
        end = _end(starts, segment, n_bins)
        for t in range(starts[segment], end):
            for m in range(n_pre):
                if counts[t, m] != 0:
                    count = float(counts[t, m])
                    for lag in range(min(n_lags, end - 1 - t)):
                        for n in range(n_post):
                            total[m, lag, n] += count * values[t + 1 + lag, n]
    out = np.zeros((n_post, n_pre, n_basis))
    for n in range(n_post):
        for m in range(n_pre):
            for lag in range(n_lags):
                for b in range(n_basis):
                    out[n, m, b] += basis[lag, b] * total[m, lag, n]
    return out


def history_product(
    counts: NDArray, basis: Floats, weights: Floats, starts: NDArray | None = None
) -> Floats:
    """Return the product of history and weights, (time, post), without storing the history.

    Parameters
    ----------
    counts : array, shape (time, pre)
    basis : array, shape (lag, basis)
    weights : array, shape (post, pre, basis)
    starts : array of int, shape (segment,), optional
        First bins of the segments; by default one segment.
    """
    return history_product_kernel(counts, basis, weights, _as_starts(starts))


def history_transpose_product(
    counts: NDArray, basis: Floats, values: Floats, starts: NDArray | None = None
) -> Floats:
    """Return the product of values (time, post) and history, (post, pre, basis).

    Parameters
    ----------
    counts : array, shape (time, pre)
    basis : array, shape (lag, basis)
    values : array, shape (time, post)
    starts : array of int, shape (segment,), optional
        First bins of the segments; by default one segment.
    """
    return history_transpose_product_kernel(counts, basis, values, _as_starts(starts))


@compiled
def self_product_kernel(
    counts: NDArray, basis: Floats, weights: Floats, starts: NDArray[np.int64]
) -> Floats:
    """Return the product of each neuron's history and its weights (neuron, basis)."""
    (n_bins, n_neurons), (n_lags, n_basis) = counts.shape, basis.shape
    filters = np.zeros((n_neurons, n_lags))
    for n in range(n_neurons):
        for lag in range(n_lags):
            for b in range(n_basis):
                filters[n, lag] += basis[lag, b] * weights[n, b]
    out = np.zeros((n_bins, n_neurons))
    for segment in range(starts.size):
        end = _end(starts, segment, n_bins)
        for t in range(starts[segment], end):
            for n in range(n_neurons):
                if counts[t, n] != 0:
                    for lag in range(min(n_lags, end - 1 - t)):
                        out[t + 1 + lag, n] += counts[t, n] * filters[n, lag]
    return out


@compiled
def self_transpose_product_kernel(
    counts: NDArray, basis: Floats, values: Floats, starts: NDArray[np.int64]
) -> Floats:
    """Return the product of values (time, neuron) and each neuron's history, (neuron, basis)."""
    (n_bins, n_neurons), (n_lags, n_basis) = counts.shape, basis.shape
    total = np.zeros((n_neurons, n_lags))
    for segment in range(starts.size):
        end = _end(starts, segment, n_bins)
        for t in range(starts[segment], end):
            for n in range(n_neurons):
                if counts[t, n] != 0:
                    for lag in range(min(n_lags, end - 1 - t)):
                        total[n, lag] += counts[t, n] * values[t + 1 + lag, n]
    out = np.zeros((n_neurons, n_basis))
    for n in range(n_neurons):
        for lag in range(n_lags):
            for b in range(n_basis):
                out[n, b] += basis[lag, b] * total[n, lag]
    return out
