"""Spike history: counts convolved with basis functions, strictly causal."""

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["convolve_history"]


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


def convolve_history(counts: NDArray, basis: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``x[t, m, b] = sum_lag basis[lag - 1, b] * counts[t - lag, m]``, lag = 1..L.

    The work is proportional to the number of spikes, not to the number of bins.

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
