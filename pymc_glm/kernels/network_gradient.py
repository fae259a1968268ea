"""Log likelihood, gradient and Fisher information of all biases and weights of a network.

They serve moves that change all of them at once.
"""

import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.compiling import compiled
from pymc_glm.kernels.fisher import Metric
from pymc_glm.kernels.likelihood import Likelihood, log_likelihood, neuron_likelihood, score
from pymc_glm.kernels.sparse_history import SparseHistory, add_projection, write_psi

__all__ = ["log_likelihoods", "mean_history", "network_gradient", "pulled_back"]

type Floats = NDArray[np.float64]


def mean_history(history: SparseHistory) -> Floats:
    """Return the mean of the history over all bins, (pre, basis)."""
    out = np.zeros((history.n_pre, history.n_basis))
    ones = np.ones(history.n_bins)
    for m in range(history.n_pre):
        add_projection(history, m, ones, out[m])
    return out / history.n_bins


@compiled
def log_likelihoods(
    posts: tuple[int, int],
    history: SparseHistory,
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
    history : SparseHistory
    likelihood : Likelihood
    bias : array, shape (post,)
    weights : array, shape (post, pre, basis)
    out : array, shape (post,)
    """
    psi, buffer = np.empty(history.n_bins), np.empty(history.n_bins)
    for n in range(posts[0], posts[1]):
        write_psi(history, n, bias[n], weights[n], psi)
        out[n] = log_likelihood(neuron_likelihood(likelihood, n), likelihood.counts[n], psi, buffer)


@compiled
def network_gradient(
    posts: tuple[int, int],
    history: SparseHistory,
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
    history : SparseHistory
    likelihood : Likelihood
    bias : array, shape (post,)
    adjacency : array of int8, shape (post, pre)
    weights : array, shape (post, pre, basis)
    value, bias_gradient : arrays, shape (post,)
    gradient : array, shape (post, pre, basis)
        Zero where there is no edge, and for further terms.
    """
    psi, slope = np.empty(history.n_bins), np.empty(history.n_bins)
    curvature = np.empty(history.n_bins)
    for n in range(posts[0], posts[1]):
        neuron, counts = neuron_likelihood(likelihood, n), likelihood.counts[n]
        write_psi(history, n, bias[n], weights[n], psi)
        value[n] = log_likelihood(neuron, counts, psi, slope)
        score(neuron, counts, psi, slope, curvature)
        bias_gradient[n] = slope.sum()
        for m in range(weights.shape[1]):
            for b in range(weights.shape[2]):
                gradient[n, m, b] = 0.0
            if adjacency[n, m] and m < history.start.size - 1:
                add_projection(history, m, slope, gradient[n, m])


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
