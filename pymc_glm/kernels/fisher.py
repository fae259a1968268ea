"""Gradient and Fisher information of the bias and weights of a post neuron."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.compiling import compiled, inlined
from pymc_glm.kernels.further_terms import n_slots, write_columns
from pymc_glm.kernels.likelihood import Likelihood, neuron_likelihood, score
from pymc_glm.kernels.passes import slopes_at, write_products
from pymc_glm.kernels.spike_history import (
    BLOCK,
    SpikeHistory,
    drive_of,
    write_information,
    write_psi,
    write_regressors,
)

__all__ = ["Metric", "empty_metric", "fisher_information", "gradient_at"]

type Floats = NDArray[np.float64]


class Metric(NamedTuple):
    """Fisher information of bias and weights, with cross terms between chosen pre neurons only."""

    place: NDArray[np.int64]  # (post, pre): index of the block in the joint matrix, or -1
    joint: Floats  # (post, 1 + C B, 1 + C B): of the bias and C chosen pre neurons
    edge_information: Floats  # (post, pre, B, B): of the weights of each edge alone
    gradient: Floats  # (post, 1 + C B): of the log likelihood, in the order of the joint matrix


def empty_metric(n_post: int, n_pre: int, n_basis: int, n_joint: int) -> Metric:
    """Allocate a metric for at most n_joint chosen pre neurons of each post neuron."""
    width = 1 + n_joint * n_basis
    return Metric(
        np.full((n_post, n_pre), -1),
        np.zeros((n_post, width, width)),
        np.zeros((n_post, n_pre, n_basis, n_basis)),
        np.zeros((n_post, width)),
    )


@inlined
def _thin(curvature, most_bins):
    """Keep every k-th block of bins, scaled up to represent all of them; return k."""
    n_bins = curvature.size
    every = max(1, -(-n_bins // max(most_bins, BLOCK)))
    if every == 1:
        return 1
    kept = 0
    for low in range(0, n_bins, BLOCK):
        if low // BLOCK % every == 0:
            kept += min(BLOCK, n_bins - low)
        else:
            curvature[low : low + BLOCK] = 0.0
    curvature *= n_bins / kept
    return every


@inlined
def _joint_information(history, n, curvature, every, chosen, out):
    size, further, first_slot = history.basis.shape[1], history.further, history.group.size
    width = 1 + chosen.size * size
    n_pre = np.searchsorted(chosen, first_slot)  # after them come slots of further terms
    slots = np.empty((BLOCK, n_slots(further, size) * size if n_pre < chosen.size else 0))
    block, total = np.empty(width * BLOCK), np.zeros((width, width))
    for low in range(0, history.n_bins, every * BLOCK):
        n_rows = min(BLOCK, history.n_bins - low)
        rows = block[: width * n_rows].reshape(width, n_rows)
        rows[0] = 1.0
        for j in range(n_pre):
            here = rows[1 + j * size : 1 + (j + 1) * size]
            write_regressors(history, chosen[j], low, low + n_rows, here)
        if n_pre < chosen.size:
            write_columns(further, n, low, size, slots[:n_rows])
        for j in range(n_pre, chosen.size):
            first = (chosen[j] - first_slot) * size
            for b in range(size):
                rows[1 + j * size + b] = slots[:n_rows, first + b]
        root = np.sqrt(curvature[low : low + n_rows])
        for c in range(width):
            for t in range(n_rows):
                rows[c, t] *= root[t]
        total += np.dot(rows, rows.T)
    out[:] = 0.0
    out[:width, :width] = total


@inlined
def _gradient(history, n, slope, chosen, out):
    size = history.basis.shape[1]
    out[:] = 0.0
    out[0] = np.sum(slope)
    part = out[1 : 1 + chosen.size * size].reshape(chosen.size, size)
    write_products(history, n, chosen, slope, part)


@compiled
def fisher_information(
    posts: tuple[int, int],
    history: SpikeHistory,
    likelihood: Likelihood,
    bias: Floats,
    weights: Floats,
    chosen: NDArray[np.bool_],
    most_bins: int,
    metric: Metric,
) -> None:
    """Write gradient and Fisher information of some post neurons at given coefficients.

    Parameters
    ----------
    posts : tuple of int
        The first post neuron and the one after the last.
    history : SpikeHistory
    likelihood : Likelihood
    bias : array, shape (post,)
    weights : array, shape (post, pre, basis)
    chosen : array of bool, shape (post, pre)
        Pre neurons between which cross terms are kept, at most as many as fit into the metric.
    most_bins : int
        If there are more bins than this, the information is estimated from about this many, spread
        over the recording. The gradient is always from all bins.
    metric : Metric
        Changed in place.
    """
    n_bins = history.n_bins
    psi, slope, curvature = np.empty(n_bins), np.empty(n_bins), np.empty(n_bins)
    for n in range(posts[0], posts[1]):
        write_psi(history, n, bias[n], weights[n], psi)
        score(neuron_likelihood(likelihood, n), likelihood.counts[n], psi, slope, curvature)
        every = _thin(curvature, most_bins)
        pre = np.flatnonzero(chosen[n])
        metric.place[n] = -1
        for j in range(pre.size):
            metric.place[n, pre[j]] = j
        _gradient(history, n, slope, pre, metric.gradient[n])
        _joint_information(history, n, curvature, every, pre, metric.joint[n])
        for m in range(history.group.size):
            write_information(history, m, curvature, metric.edge_information[n, m])
        size = weights.shape[2]
        for j in range(np.searchsorted(pre, history.group.size), pre.size):
            here = slice(1 + j * size, 1 + (j + 1) * size)
            metric.edge_information[n, pre[j]] = metric.joint[n][here, here]


@compiled
def gradient_at(
    posts: tuple[int, int],
    history: SpikeHistory,
    likelihood: Likelihood,
    bias: Floats,
    weights: Floats,
    place: NDArray[np.int64],
    out: Floats,
) -> None:
    """Write the gradients of the log likelihoods of some post neurons at given coefficients.

    Parameters
    ----------
    posts, history, likelihood, bias, weights
        See `fisher_information`.
    place : array of int, shape (post, pre)
        Index of the block of each pre neuron in the gradient, or -1; ascending.
    out : array, shape (post, 1 + C B)
    """
    size = weights.shape[2]
    for n in range(posts[0], posts[1]):
        neuron, counts = neuron_likelihood(likelihood, n), likelihood.counts[n]
        drive, chosen = drive_of(history, bias[n], weights[n]), np.flatnonzero(place[n] >= 0)
        out[n] = 0.0
        part = out[n, 1 : 1 + chosen.size * size].reshape(chosen.size, size)
        valued = np.bool_(False)  # not the literal, for which Numba would compile once more
        _, out[n, 0] = slopes_at(history, n, neuron, counts, drive, chosen, valued, part)
