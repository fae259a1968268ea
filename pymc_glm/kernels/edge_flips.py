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

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.compiling import compiled
from pymc_glm.kernels.fisher import Metric
from pymc_glm.kernels.likelihood import Likelihood, log_likelihood, neuron_likelihood
from pymc_glm.kernels.prior import BiasPrior, EdgePrior
from pymc_glm.kernels.spike_history import BLOCK, SpikeHistory, add_drive, drive_of, write_psi
from pymc_glm.kernels.triangular import cholesky, log_determinant, solve, solve_transposed

__all__ = ["Expansion", "FlipDraws", "draw_flips", "expansion_at", "flip_edges"]

_LEAST = 0.02  # smallest probability that a flip passes the first stage

type Floats = NDArray[np.float64]


class Expansion(NamedTuple):
    """The log likelihood to second order: linear . beta - beta' joint beta / 2."""

    metric: Metric  # its chosen pre neurons are those whose edges are moved here
    linear: Floats  # (post, 1 + C B), in the order of the joint matrix


class FlipDraws(NamedTuple):
    """All random numbers of one sweep."""

    order: NDArray[np.int64]  # (post, pre)
    visited: NDArray[np.bool_]  # (post, pre)
    uniforms: Floats  # (post, pre, 2): for each stage
    normals: Floats  # (post, pre, basis)
    swap_uniforms: Floats  # (post, swaps, 4): for the edge removed, the edge added, each stage
    swap_normals: Floats  # (post, swaps, basis)


class _Surrogate(NamedTuple):
    """Surrogate likelihood and posterior of one post neuron."""

    pre: NDArray[np.int64]  # (C,)
    linear: Floats  # (D,), D = 1 + C B
    quadratic: Floats  # (D, D)
    precision: Floats  # (C, B, B): of the slabs
    row: Floats  # (D,): the row of the bias in the posterior precision
    information: Floats  # (D,): of the posterior, with the bias integrated out
    shift: Floats  # (D,): decrease of the bias per unit of each weight
    constant: Floats  # (C,): log prior odds plus log normalising constant of each slab


class _State(NamedTuple):
    """The state of one post neuron, and a proposed change of it."""

    beta: Floats  # (D,)
    present: NDArray[np.int8]  # (C,)
    psi: Floats  # (time,)
    log_likelihood: Floats  # (1,)
    change: Floats  # (D,): of beta
    factor: Floats  # (B, B): Cholesky factor of the precision of an edge's weights
    mean: Floats  # (B,): of an edge's weights
    proposal: Floats  # (block,): psi after the change
    buffer: Floats  # (block,)


def expansion_at(bias: Floats, weights: Floats, metric: Metric) -> Expansion:
    """Return the expansion with the derivatives of the metric at given bias and weights.

    Parameters
    ----------
    bias : array, shape (post,)
    weights : array, shape (post, pre, basis)
    metric : Metric
    """
    size = weights.shape[2]
    center = np.zeros_like(metric.gradient)
    center[:, 0] = bias
    for n, place in enumerate(metric.place):
        for m in np.flatnonzero(place >= 0):
            center[n, 1 + place[m] * size : 1 + (place[m] + 1) * size] = weights[n, m]
    return Expansion(metric, metric.gradient + np.einsum("nij,nj->ni", metric.joint, center))


def draw_flips(visits: Floats, n_basis: int, n_swaps: int, rng: np.random.Generator) -> FlipDraws:
    """Draw the random numbers of a sweep of `flip_edges`.

    Parameters
    ----------
    visits : array, shape (post, pre)
        Probability of visiting each edge.
    n_basis, n_swaps : int
    rng : numpy.random.Generator
    """
    n_post, n_pre = visits.shape
    order = np.broadcast_to(np.arange(n_pre), (n_post, n_pre))
    return FlipDraws(
        rng.permuted(order, axis=1),
        rng.random((n_post, n_pre)) < visits,
        rng.random((n_post, n_pre, 2)),
        rng.standard_normal((n_post, n_pre, n_basis)),
        rng.random((n_post, n_swaps, 4)),
        rng.standard_normal((n_post, n_swaps, n_basis)),
    )


@compiled
def _surrogate(n, prior, bias_prior, expansion):
    metric, size = expansion.metric, prior.mean.shape[2]
    pre = np.flatnonzero(metric.place[n] >= 0)
    width = 1 + pre.size * size
    quadratic, linear = metric.joint[n], expansion.linear[n]
    row, information = np.empty(width), np.empty(width)
    for i in range(width):
        row[i], information[i] = quadratic[0, i], linear[i]
    row[0] += bias_prior.precision[n]
    information[0] += bias_prior.precision[n] * bias_prior.mean[n]
    constant, precision = np.empty(pre.size), np.empty((pre.size, size, size))
    for j in range(pre.size):
        m, at = pre[j], 1 + j * size
        constant[j] = prior.log_odds[n, m] + 0.5 * prior.log_det[n, m]
        for b in range(size):
            for c in range(size):
                p = precision[j, b, c] = prior.precision[n, m, b, c]
                information[at + b] += p * prior.mean[n, m, c]
                constant[j] -= 0.5 * prior.mean[n, m, b] * p * prior.mean[n, m, c]
    shift = row / row[0]
    information -= shift * information[0]
    return _Surrogate(pre, linear, quadratic, precision, row, information, shift, constant)


@compiled
def _state(n_bins, size, n_pre):
    """Allocate the state of a post neuron with n_pre edges of `size` weights."""
    width = 1 + n_pre * size
    return _State(
        np.zeros(width),
        np.zeros(n_pre, np.int8),
        np.empty(n_bins),
        np.empty(1),
        np.zeros(width),
        np.zeros((size, size)),
        np.empty(size),
        np.empty(BLOCK),
        np.empty(BLOCK),
    )


@compiled
def _log_odds(surrogate, state, j):
    """Return the log odds of edge j under the surrogate, with weights and bias integrated out.

    The mean of the weights and the factor of their precision are written to the state.
    """
    quadratic, beta, size = surrogate.quadratic, state.beta, state.mean.size
    row, shift, at = surrogate.row, surrogate.shift, 1 + j * size
    mean, factor = state.mean, state.factor
    for b in range(size):
        mean[b] = surrogate.information[at + b]
    for k in range(state.present.size):
        if k != j and state.present[k] == 1:
            other = 1 + k * size
            for b in range(size):
                for c in range(size):
                    cross = quadratic[at + b, other + c] - row[at + b] * shift[other + c]
                    mean[b] -= cross * beta[other + c]
    for b in range(size):
        for c in range(size):
            total = surrogate.precision[j, b, c] + quadratic[at + b, at + c]
            factor[b, c] = total - row[at + b] * shift[at + c]
    cholesky(factor, factor)
    squared = solve(factor, mean)
    return surrogate.constant[j] + 0.5 * (squared - log_determinant(factor))


@compiled
def _add(surrogate, state, j, normals):
    """Write a new edge j to the change, with weights drawn from the result of `_log_odds`."""
    size = state.mean.size
    noise = normals.copy()
    solve_transposed(state.factor, noise)
    for b in range(size):
        at = 1 + j * size + b
        state.change[at] = state.mean[b] + noise[b]
        state.change[0] -= surrogate.shift[at] * state.change[at]


@compiled
def _remove(surrogate, state, j):
    """Write the removal of edge j to the change."""
    size = state.mean.size
    for at in range(1 + j * size, 1 + (j + 1) * size):
        state.change[at] = -state.beta[at]
        state.change[0] += surrogate.shift[at] * state.beta[at]


@compiled
def _surrogate_change(surrogate, state):
    """Return the change of the surrogate log likelihood."""
    total = 0.0
    for i in range(state.change.size):
        if state.change[i] == 0.0:
            continue
        slope = surrogate.linear[i]
        for k in range(state.beta.size):
            slope -= surrogate.quadratic[i, k] * (state.beta[k] + 0.5 * state.change[k])
        total += slope * state.change[i]
    return total


@compiled
def _accept(history, likelihood, counts, surrogate, state, log_ratio, uniform):
    """Accept or reject the change on all bins (the second stage); return whether accepted.

    Psi is looked at block by block, and written only if the change is accepted.
    """
    psi, proposal, size, proposed = state.psi, state.proposal, state.mean.size, 0.0
    weights = np.zeros((history.group.size, size))
    for j in range(state.present.size):
        weights[surrogate.pre[j]] = state.change[1 + j * size : 1 + (j + 1) * size]
    drive = drive_of(history, state.change[0], weights)
    for low in range(0, psi.size, BLOCK):
        high = min(low + BLOCK, psi.size)
        here = proposal[: high - low]
        for t in range(here.size):  # loops: Numba makes slower code of assignments to slices
            here[t] = psi[low + t] + drive.bias
        add_drive(history, 0, drive, low, high, here)
        proposed += log_likelihood(likelihood, counts[low:high], here, state.buffer)
    log_ratio += proposed - state.log_likelihood[0] - _surrogate_change(surrogate, state)
    if not math.log(uniform) < log_ratio:
        return False
    for low in range(0, psi.size, BLOCK):
        high = min(low + BLOCK, psi.size)
        here = psi[low:high]
        for t in range(here.size):
            here[t] += drive.bias
        add_drive(history, 0, drive, low, high, here)
    state.log_likelihood[0] = proposed
    state.beta[:] += state.change
    return True


@compiled
def _flip(j, n, draws, history, likelihood, counts, surrogate, state):
    """Propose to flip edge j; return 0 if the first stage rejected it, 2 if it was accepted."""
    m = surrogate.pre[j]
    log_odds = _log_odds(surrogate, state, j)
    if abs(surrogate.constant[j]) == np.inf:
        return 0
    other = -log_odds if state.present[j] == 1 else log_odds
    forth = max(math.exp(min(0.0, other)), _LEAST)
    back = max(math.exp(min(0.0, -other)), _LEAST)
    if draws.uniforms[n, m, 0] >= forth:
        return 0
    state.change[:] = 0.0
    if state.present[j] == 1:
        _remove(surrogate, state, j)
    else:
        _add(surrogate, state, j, draws.normals[n, m])
    log_ratio = other + math.log(back) - math.log(forth)
    uniform = draws.uniforms[n, m, 1]
    if not _accept(history, likelihood, counts, surrogate, state, log_ratio, uniform):
        return 1
    state.present[j] = 1 - state.present[j]
    if state.present[j] == 0:
        size = state.mean.size
        state.beta[1 + j * size : 1 + (j + 1) * size] = 0.0
    return 2


@compiled
def _choose_out(present, constant, uniform):
    """Return a random one of the present edges that are not certain, -1 if there is none."""
    number = 0
    for j in range(present.size):
        number += present[j] == 1 and abs(constant[j]) != np.inf
    left = int(uniform * number)
    for j in range(present.size):
        if present[j] == 1 and abs(constant[j]) != np.inf:
            if left == 0:
                return j
            left -= 1
    return -1


@compiled
def _swap(s, n, draws, history, likelihood, counts, surrogate, state):
    """Propose to replace an edge by one drawn by its odds; return whether it was accepted."""
    uniforms, size = draws.swap_uniforms[n, s], state.mean.size
    out = _choose_out(state.present, surrogate.constant, uniforms[0])
    if out < 0:
        return False
    state.change[:] = 0.0
    _remove(surrogate, state, out)
    state.present[out] = 0
    odds = np.full(state.present.size, -np.inf)
    for j in range(odds.size):
        if state.present[j] == 0 and abs(surrogate.constant[j]) != np.inf:
            odds[j] = _log_odds(surrogate, state, j)
    odds = np.exp(odds - odds.max())
    total = odds.sum() - odds[out]
    left, into = uniforms[1] * total, -1
    for j in range(odds.size):
        if j != out and odds[j] > 0.0 and left >= 0.0:
            into = j
            left -= odds[j]
    if into >= 0 and uniforms[2] * (odds.sum() - odds[into]) < total:
        _log_odds(surrogate, state, into)
        _add(surrogate, state, into, draws.swap_normals[n, s])
        if _accept(history, likelihood, counts, surrogate, state, 0.0, uniforms[3]):
            state.present[into] = 1
            state.beta[1 + out * size : 1 + (out + 1) * size] = 0.0
            return True
    state.present[out] = 1
    return False


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
) -> tuple[int, int, int]:
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

    Returns
    -------
    tuple of int
        Flips that reached the second stage, accepted flips, accepted swaps.
    """
    n_bins, size = history.n_bins, weights.shape[2]
    proposed = accepted = swaps = 0
    for n in range(posts[0], posts[1]):
        surrogate = _surrogate(n, prior, bias_prior, expansion)
        neuron, counts, pre = neuron_likelihood(likelihood, n), likelihood.counts[n], surrogate.pre
        state = _state(n_bins, size, pre.size)
        state.beta[0] = bias[n]
        for j in range(pre.size):
            state.present[j] = adjacency[n, pre[j]]
            state.beta[1 + j * size : 1 + (j + 1) * size] = weights[n, pre[j]]
        write_psi(history, n, bias[n], weights[n], state.psi)
        state.log_likelihood[0] = 0.0
        for low in range(0, n_bins, BLOCK):
            there = slice(low, min(low + BLOCK, n_bins))
            value = log_likelihood(neuron, counts[there], state.psi[there], state.buffer)
            state.log_likelihood[0] += value
        data = (history, neuron, counts, surrogate, state)
        for m in draws.order[n]:
            j = expansion.metric.place[n, m]
            if j >= 0 and draws.visited[n, m]:
                result = _flip(j, n, draws, *data)
                proposed += result > 0
                accepted += result == 2
        for s in range(draws.swap_uniforms.shape[1]):
            swaps += _swap(s, n, draws, *data)
        bias[n] = state.beta[0]
        for j in range(pre.size):
            adjacency[n, pre[j]] = state.present[j]
            weights[n, pre[j]] = state.beta[1 + j * size : 1 + (j + 1) * size]
    return proposed, accepted, swaps
