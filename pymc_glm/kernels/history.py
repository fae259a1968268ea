"""Spike history: counts convolved with basis functions, strictly causal.

The work of every function here is proportional to the number of spikes, not to the number of bins.
"""

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["convolve_history", "history_product", "history_transpose_product"]

type Floats = NDArray[np.float64]


@numba.njit(cache=True, nogil=True)
def _add_history(counts, basis, out):  # pragma: no cover - compiled
    n_bins, n_neurons = counts.shape
    n_lags, n_basis = basis.shape
    for t in range(n_bins):
        last = min(n_lags, n_bins - 1 - t)
        for m in range(n_neurons):
            count = counts[t, m]
            if count != 0:
                for lag in range(last):
                    for b in range(n_basis):
                        out[t + 1 + lag, m, b] += count * basis[lag, b]


def convolve_history(counts: NDArray, basis: Floats) -> Floats:
    """Return ``x[t, m, b] = sum_lag basis[lag - 1, b] * counts[t - lag, m]``, lag = 1..L.

    Parameters
    ----------
    counts : array, shape (time, pre)
    basis : array, shape (lag, basis)
        Row 0 is the lag of one bin.

    Returns
    -------
    array of float64, shape (time, pre, basis)
        Bins before the recording count as silent.
    """
    counts = np.ascontiguousarray(counts)
    basis = np.ascontiguousarray(basis, dtype=np.float64)
    out = np.zeros((*counts.shape, basis.shape[1]))
    _add_history(counts, basis, out)
    return out


@numba.njit(cache=True, nogil=True)
def history_product(
    counts: NDArray, basis: Floats, weights: Floats
) -> Floats:  # pragma: no cover - compiled
    """Return the product of history and weights, (time, post), without the history.

    Parameters
    ----------
    counts : array, shape (time, pre)
    basis : array, shape (lag, basis)
    weights : array, shape (post, pre, basis)
    """
    (n_bins, n_pre), (n_lags, n_basis), n_post = counts.shape, basis.shape, weights.shape[0]
    filters = np.zeros((n_pre, n_lags, n_post))  # coupling filters
    for n in range(n_post):
        for m in range(n_pre):
            for lag in range(n_lags):
                for b in range(n_basis):
                    filters[m, lag, n] += basis[lag, b] * weights[n, m, b]
    out = np.zeros((n_bins, n_post))
    for t in range(n_bins):
        for m in range(n_pre):
            if counts[t, m] != 0:
                count = float(counts[t, m])
                for lag in range(min(n_lags, n_bins - 1 - t)):
                    for n in range(n_post):
                        out[t + 1 + lag, n] += count * filters[m, lag, n]
    return out


@numba.njit(cache=True, nogil=True)
def history_transpose_product(
    counts: NDArray, basis: Floats, values: Floats
) -> Floats:  # pragma: no cover - compiled
    """Return the product of values (time, post) and history, (post, pre, basis).

    Parameters
    ----------
    counts : array, shape (time, pre)
    basis : array, shape (lag, basis)
    values : array, shape (time, post)
    """
    (n_bins, n_pre), (n_lags, n_basis), n_post = counts.shape, basis.shape, values.shape[1]
    total = np.zeros((n_pre, n_lags, n_post))
    for t in range(n_bins):
        for m in range(n_pre):
            if counts[t, m] != 0:
                count = float(counts[t, m])
                for lag in range(min(n_lags, n_bins - 1 - t)):
                    for n in range(n_post):
                        total[m, lag, n] += count * values[t + 1 + lag, n]
    out = np.zeros((n_post, n_pre, n_basis))
    for n in range(n_post):
        for m in range(n_pre):
            for lag in range(n_lags):
                for b in range(n_basis):
                    out[n, m, b] += basis[lag, b] * total[m, lag, n]
    return out
