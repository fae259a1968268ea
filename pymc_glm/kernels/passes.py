"""Passes over all bins of a post neuron, in blocks of time that stay in the cache.

For each block the activation is written from the coefficients, then used and forgotten, so that no
array of the length of the recording is read or written but the counts.
"""

import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.compiling import compiled, inlined
from pymc_glm.kernels.further_terms import total
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

__all__ = ["log_likelihood_at", "slopes_at", "write_products"]

type Floats = NDArray[np.float64]


@inlined
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
    valued: bool | np.bool_,
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
        in_bias += total(slope_here)
        add_products(history, n, slope_here, low, high, sums)
    products(history, sums, gradient)
    return value, in_bias


@compiled
def write_products(
    history: SpikeHistory, n: int, slots: NDArray[np.int64], values: Floats, out: Floats
) -> None:
    """Write the products of some slots' regressors of post neuron n and values.

    Parameters
    ----------
    history : SpikeHistory
    n : int
    slots : array of int, shape (chosen,)
        Ascending.
    values : array, shape (time,)
    out : array, shape (chosen, basis)
    """
    sums = no_sums(history, slots)
    for low in range(0, values.size, BLOCK):
        high = min(low + BLOCK, values.size)
        add_products(history, n, values[low:high], low, high, sums)
    products(history, sums, out)
