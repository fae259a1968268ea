"""Passes over all bins of a post neuron, in blocks of time that stay in the cache.

For each block the activation is written from the coefficients, then used and forgotten, so that no
array of the length of the recording is read or written but the counts.
"""

import numba
import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.compiling import compiled
from pymc_glm.kernels.likelihood import NeuronLikelihood, log_likelihood, slopes
from pymc_glm.kernels.spike_history import (
    BLOCK,
    Drive,
    SpikeHistory,
    add_drive,
    add_products,
    no_sums,
    products,
)

__all__ = ["log_likelihood_at", "slopes_at"]

type Floats = NDArray[np.float64]


@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _total(values):
    total = 0.0
    for i in range(values.size):
        total += values[i]
    return total


@compiled
def log_likelihood_at(
    history: SpikeHistory, n: int, likelihood: NeuronLikelihood, counts: NDArray, drive: Drive
) -> float:
    """Return the log likelihood of post neuron n, up to terms without psi.

    Parameters
    ----------
    history : SpikeHistory
    n : int
    likelihood : NeuronLikelihood
    counts : array, shape (time,)
    drive : Drive
    """
    psi, buffer, total = np.empty(BLOCK), np.empty(BLOCK), 0.0
    for low in range(0, history.n_bins, BLOCK):
        high = min(low + BLOCK, history.n_bins)
        here = psi[: high - low]
        here[:] = drive.bias
        add_drive(history, n, drive, low, high, here)
        total += log_likelihood(likelihood, counts[low:high], here, buffer)
    return total


@compiled
def slopes_at(
    history: SpikeHistory,
    n: int,
    likelihood: NeuronLikelihood,
    counts: NDArray,
    drive: Drive,
    slots: NDArray[np.int64],
    valued: bool,
    gradient: Floats,
) -> tuple[float, float]:
    """Write the gradient of the log likelihood of post neuron n in the weights of some slots.

    Parameters
    ----------
    history : SpikeHistory
    n : int
    likelihood : NeuronLikelihood
    counts : array, shape (time,)
    drive : Drive
    slots : array of int, shape (chosen,)
        Ascending.
    valued : bool
        Whether the log likelihood is wanted.
    gradient : array, shape (chosen, basis)

    Returns
    -------
    tuple of float
        The log likelihood, 0 if it is not wanted, and its derivative in the bias.
    """
    psi, slope, buffer = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK)
    sums, value, in_bias = no_sums(history, slots), 0.0, 0.0
    for low in range(0, history.n_bins, BLOCK):
        high = min(low + BLOCK, history.n_bins)
        here, slope_here, observed = psi[: high - low], slope[: high - low], counts[low:high]
        here[:] = drive.bias
        add_drive(history, n, drive, low, high, here)
        value += slopes(likelihood, observed, here, slope_here, buffer, valued)
        in_bias += _total(slope_here)
        add_products(history, n, slope_here, low, high, sums)
    products(history, sums, gradient)
    return value, in_bias
