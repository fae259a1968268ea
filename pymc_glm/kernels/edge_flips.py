r"""Moves of edges, screened by a quadratic surrogate of the log likelihood and decided on all data.

The log likelihood of a post neuron is expanded to second order once, during tuning. Under this
surrogate everything is normal: the weights of an edge can be integrated out, and so can the bias,
which moves together with them. Flips and swaps are first tried on the surrogate, at the cost of a
few small products. Those accepted there are then evaluated on all bins, relative to the change of
the surrogate (delayed acceptance; Christen & Fox 2005, J. Comput. Graph. Statist. 14:795). A poor
surrogate lowers the acceptance rate, but the sampler stays exact.

With coefficients :math:`\beta` (bias, weights of present edges), surrogate
:math:`s(\beta) = \ell' \beta - \beta' F \beta / 2` of the log likelihood :math:`l`, and a move
:math:`\beta \to \beta^*` that the surrogate's posterior would accept by its ratio, the second stage
accepts by :math:`\exp[l(\beta^*) - l(\beta) - s(\beta^*) + s(\beta)]` (their equation 2.3).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.compiling import compiled, inlined
from pymc_glm.kernels.edge_surrogate import Expansion
from pymc_glm.kernels.flip_proposals import (
    FlipDraws,
    FlipSweep,
    finish_neuron,
    propose,
    settle,
    start_neuron,
)
from pymc_glm.kernels.likelihood import Likelihood, log_likelihood, neuron_likelihood
from pymc_glm.kernels.prior import BiasPrior, EdgePrior
from pymc_glm.kernels.spike_history import BLOCK, SpikeHistory, add_drive, drive_of, write_psi

__all__ = ["flip_edges"]

type Floats = NDArray[np.float64]


class _Bins(NamedTuple):
    """Activation of one post neuron."""

    psi: Floats  # (time,)
    proposal: Floats  # (block,): psi after the change
    buffer: Floats  # (block,)


@inlined
def _drive(n, history, sweep):
    """Return what the proposed change of post neuron n adds to its activation."""
    change = sweep.change
    weights = np.zeros((history.group.size, change.weights.shape[2]))
    for k in range(2):
        if change.slots[n, k] >= 0:
            weights[change.slots[n, k]] = change.weights[n, k]
    return drive_of(history, change.bias[n], weights)


@inlined
def _look(history, n, likelihood, counts, drive, bins):
    """Return the log likelihood after a change, block by block; psi stays."""
    psi, total = bins.psi, 0.0
    for low in range(0, psi.size, BLOCK):
        high = min(low + BLOCK, psi.size)
        here = bins.proposal[: high - low]
        for t in range(here.size):  # loops: Numba makes slower code of assignments to slices
            here[t] = psi[low + t] + drive.bias
        add_drive(history, n, drive, low, high, here)
        total += log_likelihood(likelihood, counts[low:high], here, bins.buffer)
    return total


@inlined
def _change_psi(history, n, drive, psi):
    for low in range(0, psi.size, BLOCK):
        high = min(low + BLOCK, psi.size)
        here = psi[low:high]
        for t in range(here.size):
            here[t] += drive.bias
        add_drive(history, n, drive, low, high, here)


@compiled
def flip_edges(
    posts: tuple[int, int],
    history: SpikeHistory,
    likelihood: Likelihood,
    prior: EdgePrior,
    bias_prior: BiasPrior,
    expansion: Expansion,
    draws: FlipDraws,
    bias: Floats,
    adjacency: NDArray[np.int8],
    weights: Floats,
    sweep: FlipSweep,
) -> None:
    """Try to flip the visited edges of some post neurons within the expansion, then to swap edges.

    Parameters
    ----------
    posts : tuple of int
        The first post neuron and the one after the last.
    history : SpikeHistory
    likelihood : Likelihood
    prior : EdgePrior
    bias_prior : BiasPrior
    expansion : Expansion
    draws : FlipDraws
    bias : array, shape (post,)
        Changed in place, as are the next two.
    adjacency : array of int8, shape (post, pre)
    weights : array, shape (post, pre, basis)
    sweep : FlipSweep
        A new one; receives how the proposals ended.
    """
    bins = _Bins(np.empty(history.n_bins), np.empty(BLOCK), np.empty(BLOCK))
    for n in range(posts[0], posts[1]):
        start_neuron(n, prior, bias_prior, expansion, bias, adjacency, weights, sweep)
        neuron, counts = neuron_likelihood(likelihood, n), likelihood.counts[n]
        write_psi(history, n, bias[n], weights[n], bins.psi)
        sweep.log_likelihood[n] = 0.0
        for low in range(0, bins.psi.size, BLOCK):
            there = slice(low, min(low + BLOCK, bins.psi.size))
            value = log_likelihood(neuron, counts[there], bins.psi[there], bins.buffer)
            sweep.log_likelihood[n] += value
        while propose(n, expansion, draws, sweep):
            drive = _drive(n, history, sweep)
            proposed = _look(history, n, neuron, counts, drive, bins)
            if settle(n, proposed, sweep):
                _change_psi(history, n, drive, bins.psi)
        finish_neuron(n, sweep, bias, adjacency, weights)
