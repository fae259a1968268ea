r"""The dispersion of negative binomial counts given their activation.

.. math:: p(y \mid r, \psi) \propto \frac{\Gamma(y + r)}{\Gamma(r)} (1 + \exp \psi)^{-r}

The ratio of gamma functions is a sum over l of r^l times Stirling numbers. Given l, the number of
tables in a Chinese restaurant process of y customers and concentration r, for every bin, a gamma
prior of r is conjugate (Zhou & Carin 2015, IEEE TPAMI 37:307, equations 8 and 9).
"""

import math

import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.compiling import compiled
from pymc_glm.kernels.likelihood import Likelihood
from pymc_glm.kernels.spike_history import SpikeHistory, write_psi

__all__ = [
    "count_tables",
    "draw_tables",
    "log_rising_factorials",
    "softplus_sums",
]

type Floats = NDArray[np.float64]


def count_tables(counts: NDArray) -> NDArray[np.int64]:
    """Return the number of bins of each neuron with at least j spikes, (post, j - 1).

    Parameters
    ----------
    counts : array of int, shape (post, time)
    """
    most = int(counts.max(initial=0))
    bins = np.array([np.bincount(row, minlength=most + 1) for row in counts])
    return np.cumsum(bins[:, ::-1], axis=1)[:, ::-1][:, 1:]


def draw_tables(
    at_least: NDArray[np.int64], dispersion: Floats, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw the number of tables of each neuron, summed over bins, (post,).

    Spike j of a bin opens a table with probability r / (r + j - 1).

    Parameters
    ----------
    at_least : array, shape (post, j - 1)
        See `count_tables`.
    dispersion : array, shape (post,)
    rng : numpy.random.Generator
    """
    before = np.arange(at_least.shape[1])
    return rng.binomial(at_least, dispersion[:, None] / (dispersion[:, None] + before)).sum(axis=1)


def log_rising_factorials(at_least: NDArray[np.int64], dispersion: Floats) -> Floats:
    """Return the sum over bins of log(Gamma(y + r) / Gamma(r)) of each neuron, (post,).

    Parameters
    ----------
    at_least : array, shape (post, j - 1)
        See `count_tables`.
    dispersion : array, shape (post,)
    """
    logs = np.log(dispersion[:, None] + np.arange(at_least.shape[1]))
    return np.einsum("nj,nj->n", at_least, logs)


@compiled
def softplus_sums(
    posts: tuple[int, int],
    history: SpikeHistory,
    likelihood: Likelihood,
    bias: Floats,
    weights: Floats,
    out: Floats,
) -> None:
    """Write the sum over bins of log(1 + exp psi) of some post neurons.

    Parameters
    ----------
    posts : tuple of int
        The first post neuron and the one after the last.
    history : SpikeHistory
    likelihood : Likelihood
    bias : array, shape (post,)
    weights : array, shape (post, pre, basis)
    out : array, shape (post,)
    """
    psi = np.empty(history.n_bins)
    for n in range(posts[0], posts[1]):
        write_psi(history, n, bias[n], weights[n], psi)
        out[n] = 0.0
        for t in range(psi.size):
            out[n] += max(psi[t], 0.0) + math.log1p(math.exp(-abs(psi[t])))
