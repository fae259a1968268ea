"""Log likelihood, gradient and Fisher information of all biases and weights of a network.

They serve moves that change all of them at once.
"""

import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.compiling import compiled
from pymc_glm.kernels.fisher import Metric
from pymc_glm.kernels.likelihood import Likelihood, neuron_likelihood
from pymc_glm.kernels.passes import log_likelihood_at, slopes_at, write_products
from pymc_glm.kernels.spike_history import SpikeHistory, drive_of

__all__ = ["log_likelihoods", "mean_history", "network_gradient", "pulled_back"]

type Floats = NDArray[np.float64]


def mean_history(history: SpikeHistory) -> Floats:
    """Return the mean of the history over all bins, (pre, basis)."""
    out = np.zeros((history.n_pre, history.n_basis))
    write_products(history, 0, np.arange(history.n_pre), np.ones(history.n_bins), out)
    return out / history.n_bins


@compiled
def log_likelihoods(
    posts: tuple[int, int],
    history: SpikeHistory,
    likelihood: Likelihood,
    bias: Floats,
    weights: Floats,
    out: Floats,
) -> None:
    """Write the log likelihoods of some post neurons, up to terms of counts and dispersion.

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
    for n in range(posts[0], posts[1]):
        neuron, counts = neuron_likelihood(likelihood, n), likelihood.counts[n]
        drive = drive_of(history, bias[n], weights[n])
        out[n] = log_likelihood_at(history, n, neuron, counts, drive)


@compiled
def network_gradient(
    posts: tuple[int, int],
    history: SpikeHistory,
    likelihood: Likelihood,
    bias: Floats,
    adjacency: NDArray[np.int8],
    weights: Floats,
    value: Floats,
    bias_gradient: Floats,
    gradient: Floats,
) -> None:
    """Write the log likelihoods of some post neurons and their gradients.

    Parameters
    ----------
    posts : tuple of int
        The first post neuron and the one after the last.
    history : SpikeHistory
    likelihood : Likelihood
    bias : array, shape (post,)
    adjacency : array of int8, shape (post, pre)
    weights : array, shape (post, pre, basis)
    value, bias_gradient : arrays, shape (post,)
    gradient : array, shape (post, pre, basis)
        Zero where there is no edge, and for further terms.
    """
    for n in range(posts[0], posts[1]):
        neuron, counts = neuron_likelihood(likelihood, n), likelihood.counts[n]
        drive = drive_of(history, bias[n], weights[n])
        pre = np.flatnonzero(adjacency[n, : history.group.size])
        part = np.empty((pre.size, weights.shape[2]))
        # not the literal, for which Numba would compile once more
        valued = np.bool_(True)
        value[n], bias_gradient[n] = slopes_at(history, n, neuron, counts, drive, pre, valued, part)
        gradient[n] = 0.0
        for i in range(pre.size):
            gradient[n, pre[i]] = part[i]


def pulled_back(
    metric: Metric, adjacency: NDArray[np.int8], bias_change: Floats, weight_change: Floats
) -> Floats:
    """Return the Fisher information of a few parameters that determine biases and weights.

    Parameters
    ----------
    metric : Metric
    adjacency : array of int8, shape (post, pre)
    bias_change : array, shape (parameter, post)
        Derivatives of the biases.
    weight_change : array, shape (parameter, post, pre, basis)
        Derivatives of the weights, zero where there is no edge.

    Returns
    -------
    array, shape (parameter, parameter)
    """
    n_parameters, n_post, _, size = weight_change.shape
    total = np.zeros((n_parameters, n_parameters))
    for n in range(n_post):
        place = metric.place[n]
        change = weight_change[:, n]
        joint = np.zeros((n_parameters, metric.joint.shape[1]))
        joint[:, 0] = bias_change[:, n]
        for m in np.flatnonzero(adjacency[n]):
            if place[m] >= 0:
                first = 1 + place[m] * size
                joint[:, first : first + size] = change[:, m]
            else:
                total += change[:, m] @ metric.edge_information[n, m] @ change[:, m].T
        total += joint @ metric.joint[n] @ joint.T
    return total
