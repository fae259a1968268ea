"""Gradient and Fisher information of the bias and weights of a post neuron."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.compiling import compiled
from pymc_glm.kernels.further_terms import n_slots, project_further, write_columns
from pymc_glm.kernels.likelihood import Likelihood, neuron_likelihood, score
from pymc_glm.kernels.sparse_history import SparseHistory, add_projection, pattern_sums, write_psi

__all__ = ["Metric", "empty_metric", "fisher_information", "gradient_at"]

_BLOCK = 4096  # bins whose regressors are made dense at a time

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


@compiled
def _edge_information(history, curvature, out):
    patterns, size = history.patterns, history.patterns.shape[1]
    out[:] = 0.0
    for m in range(history.start.size - 1):
        first = history.pattern_start[m]
        total = pattern_sums(history, m, curvature)
        for k in range(total.size):
            for b in range(size):
                for c in range(size):
                    out[m, b, c] += total[k] * patterns[first + k, b] * patterns[first + k, c]


@compiled
def _thin(curvature, most_bins):
    """Keep every k-th block of bins, scaled up to represent all of them; return k."""
    n_bins = curvature.size
    every = max(1, -(-n_bins // max(most_bins, _BLOCK)))
    if every == 1:
        return 1
    kept = 0
    for low in range(0, n_bins, _BLOCK):
        if low // _BLOCK % every == 0:
            kept += min(_BLOCK, n_bins - low)
        else:
            curvature[low : low + _BLOCK] = 0.0
    curvature *= n_bins / kept
    return every


@compiled
def _joint_information(history, n, curvature, every, chosen, out):
    start, bins, pattern, pattern_start, patterns, n_bins, further = history
    size = patterns.shape[1]
    width = 1 + chosen.size * size
    n_pre = np.searchsorted(chosen, start.size - 1)  # after them come slots of further terms
    slots = np.empty((_BLOCK, n_slots(further, size) * size if n_pre < chosen.size else 0))
    at = np.empty(n_pre, np.int64)
    for j in range(n_pre):
        at[j] = start[chosen[j]]
    block = np.empty((_BLOCK, width))
    total = np.zeros((width, width))
    for low in range(0, n_bins, every * _BLOCK):
        n_rows = min(_BLOCK, n_bins - low)
        block[:] = 0.0
        if n_pre < chosen.size:
            write_columns(further, n, low, size, slots[:n_rows])
        for j in range(n_pre, chosen.size):
            first = (chosen[j] - start.size + 1) * size
            for b in range(size):
                block[:n_rows, 1 + j * size + b] = slots[:n_rows, first + b]
        for j in range(n_pre):
            m = chosen[j]
            at[j] += np.searchsorted(bins[at[j] : start[m + 1]], low)
            while at[j] < start[m + 1] and bins[at[j]] < low + n_rows:
                row, k = bins[at[j]] - low, pattern_start[m] + pattern[at[j]]
                for b in range(size):
                    block[row, 1 + j * size + b] = patterns[k, b]
                at[j] += 1
        for i in range(n_rows):
            block[i, 0] = 1.0
            root = math.sqrt(curvature[low + i])
            for c in range(width):
                block[i, c] *= root
        total += np.dot(block[:n_rows].T, block[:n_rows])
    out[:] = 0.0
    out[:width, :width] = total


@compiled
def _gradient(history, n, slope, chosen, out):
    size, last = history.patterns.shape[1], history.start.size - 1
    out[:] = 0.0
    out[0] = np.sum(slope)
    slots = np.zeros((n_slots(history.further, size), size))
    if chosen.size > 0 and chosen[-1] >= last:
        project_further(history.further, n, slope, slots)
    for j in range(chosen.size):
        part = out[1 + j * size : 1 + (j + 1) * size]
        if chosen[j] < last:
            add_projection(history, chosen[j], slope, part)
        else:
            part += slots[chosen[j] - last]


@compiled
def fisher_information(
    posts: tuple[int, int],
    history: SparseHistory,
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
    history : SparseHistory
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
        _edge_information(history, curvature, metric.edge_information[n])
        size = weights.shape[2]
        for j in range(np.searchsorted(pre, history.start.size - 1), pre.size):
            here = slice(1 + j * size, 1 + (j + 1) * size)
            metric.edge_information[n, pre[j]] = metric.joint[n][here, here]


@compiled
def gradient_at(
    posts: tuple[int, int],
    history: SparseHistory,
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
    psi, slope = np.empty(history.n_bins), np.empty(history.n_bins)
    curvature = np.empty(history.n_bins)
    for n in range(posts[0], posts[1]):
        write_psi(history, n, bias[n], weights[n], psi)
        score(neuron_likelihood(likelihood, n), likelihood.counts[n], psi, slope, curvature)
        _gradient(history, n, slope, np.flatnonzero(place[n] >= 0), out[n])
