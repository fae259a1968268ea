r"""Moves of edges that a quadratic surrogate of the log likelihood proposes and the data decide.

The log likelihood of a post neuron is expanded to second order once, in the tuning. Under that
surrogate everything is normal: an edge's weights can be integrated out, and so can the bias, which
moves along with them. Flips and swaps are first tried on the surrogate, at the cost of a few small
products; only what passes is weighed on all bins, against the surrogate's own change (delayed
acceptance; Christen & Fox 2005, J. Comput. Graph. Statist. 14:795). A poor surrogate costs
acceptance, never exactness.

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
from pymc_glm.kernels.sparse_history import SparseHistory, add_edge, write_psi
from pymc_glm.kernels.triangular import cholesky, solve, solve_transposed

__all__ = ["Expansion", "FlipDraws", "draw_flips", "expansion_at", "flip_edges"]

_LEAST = 0.02  # probability with which a flip that the surrogate forbids is looked at all the same

type Floats = NDArray[np.float64]


class Expansion(NamedTuple):
    """The log likelihood to second order: linear . beta - beta' joint beta / 2."""

    metric: Metric  # of the pre neurons whose edges are moved here
    linear: Floats  # (post, 1 + C B), in the order of the joint matrix


class FlipDraws(NamedTuple):
    """All randomness of one sweep."""

    order: NDArray[np.int64]  # (post, pre)
    visited: NDArray[np.bool_]  # (post, pre)
    uniforms: Floats  # (post, pre, 2): of each stage
    normals: Floats  # (post, pre, basis)
    swap_uniforms: Floats  # (post, swaps, 4): edge out, edge in, of each stage
    swap_normals: Floats  # (post, swaps, basis)


class _Surrogate(NamedTuple):
    """Surrogate likelihood and posterior of one post neuron; the latter with the bias along."""

    pre: NDArray[np.int64]  # (C,)
    linear: Floats  # (D,), D = 1 + C B
    quadratic: Floats  # (D, D)
    own: Floats  # (C, B, B): prior precisions
    row: Floats  # (D,): of the bias in the posterior precision
    information: Floats  # (D,)
    shift: Floats  # (D,): how much of the bias a weight stands for
    constant: Floats  # (C,): log prior odds and normalising constant of each slab


class _State(NamedTuple):
    """Where a post neuron is."""

    beta: Floats  # (D,)
    present: NDArray[np.int8]  # (C,)
    change: Floats  # (D,): of beta, as proposed
    factor: Floats  # (B, B)
    residual: Floats  # (B,)


def expansion_at(bias: Floats, weights: Floats, metric: Metric) -> Expansion:
    """Return the expansion whose derivatives at bias and weights are those of the metric.

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
    """Draw all that `flip_edges` needs for a sweep.

    Parameters
    ----------
    visits : array, shape (post, pre)
        Probabilities to look at an edge.
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
    constant, own = np.empty(pre.size), np.empty((pre.size, size, size))
    for j in range(pre.size):
        m, at = pre[j], 1 + j * size
        constant[j] = prior.log_odds[n, m] + 0.5 * prior.log_det[n, m]
        for b in range(size):
            for c in range(size):
                p = own[j, b, c] = prior.precision[n, m, b, c]
                information[at + b] += p * prior.mean[n, m, c]
                constant[j] -= 0.5 * prior.mean[n, m, b] * p * prior.mean[n, m, c]
    shift = row / row[0]
    information -= shift * information[0]
    return _Surrogate(pre, linear, quadratic, own, row, information, shift, constant)


@compiled
def _log_odds(surrogate, state, j):
    """Return the log odds of edge j by the surrogate, its weights and the bias integrated out.

    Leaves the factor of the weights' precision and their mean in the state.
    """
    quadratic, beta, size = surrogate.quadratic, state.beta, state.residual.size
    row, shift, at = surrogate.row, surrogate.shift, 1 + j * size
    mean, factor = state.residual, state.factor
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
            own = surrogate.own[j, b, c] + quadratic[at + b, at + c]
            factor[b, c] = own - row[at + b] * shift[at + c]
    cholesky(factor, factor)
    squared = solve(factor, mean)
    log_det = 0.0
    for b in range(size):
        log_det += 2.0 * math.log(factor[b, b])
    return surrogate.constant[j] + 0.5 * (squared - log_det)


@compiled
def _put_in(surrogate, state, j, normals):
    """Add edge j to the change, with weights drawn by what `_log_odds` left."""
    size = state.residual.size
    noise = normals.copy()
    solve_transposed(state.factor, noise)
    for b in range(size):
        at = 1 + j * size + b
        state.change[at] = state.residual[b] + noise[b]
        state.change[0] -= surrogate.shift[at] * state.change[at]


@compiled
def _take_out(surrogate, state, j):
    """Add the end of edge j to the change."""
    size = state.residual.size
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
def _weigh(history, likelihood, counts, surrogate, state, log_ratio, uniform, psi, room):
    """Second stage: accept the change by all bins; psi holds the log likelihood in its end."""
    proposal, buffer = room
    n_bins, size = history.n_bins, state.residual.size
    for t in range(n_bins):  # loops: Numba makes slower code of assignments to slices
        proposal[t] = psi[t] + state.change[0]
    for j in range(state.present.size):
        own = state.change[1 + j * size : 1 + (j + 1) * size]
        if np.any(own != 0.0):
            add_edge(history, surrogate.pre[j], own, 1.0, proposal)
    proposal[n_bins] = log_likelihood(likelihood, counts, proposal[:n_bins], buffer)
    log_ratio += proposal[n_bins] - psi[n_bins] - _surrogate_change(surrogate, state)
    if not math.log(uniform) < log_ratio:
        return False
    for t in range(n_bins + 1):
        psi[t] = proposal[t]
    state.beta[:] += state.change
    return True


@compiled
def _flip(j, n, draws, history, likelihood, counts, surrogate, state, psi, room):
    """Propose the other state of edge j; return 0 if the first stage ended it, 2 if accepted."""
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
        _take_out(surrogate, state, j)
    else:
        _put_in(surrogate, state, j, draws.normals[n, m])
    log_ratio = other + math.log(back) - math.log(forth)
    uniform = draws.uniforms[n, m, 1]
    if not _weigh(history, likelihood, counts, surrogate, state, log_ratio, uniform, psi, room):
        return 1
    state.present[j] = 1 - state.present[j]
    if state.present[j] == 0:
        size = state.residual.size
        state.beta[1 + j * size : 1 + (j + 1) * size] = 0.0
    return 2


@compiled
def _choose_out(present, constant, uniform):
    """Return one of the present edges that are not certain, -1 if there is none."""
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
def _swap(s, n, draws, history, likelihood, counts, surrogate, state, psi, room):
    """Propose an edge for another, in proportion to their odds; return whether it was accepted."""
    uniforms, size = draws.swap_uniforms[n, s], state.residual.size
    out = _choose_out(state.present, surrogate.constant, uniforms[0])
    if out < 0:
        return False
    state.change[:] = 0.0
    _take_out(surrogate, state, out)
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
        _put_in(surrogate, state, into, draws.swap_normals[n, s])
        if _weigh(history, likelihood, counts, surrogate, state, 0.0, uniforms[3], psi, room):
            state.present[into] = 1
            state.beta[1 + out * size : 1 + (out + 1) * size] = 0.0
            return True
    state.present[out] = 1
    return False


@compiled
def flip_edges(
    posts: tuple[int, int],
    history: SparseHistory,
    likelihood: Likelihood,
    prior: EdgePrior,
    bias_prior: BiasPrior,
    expansion: Expansion,
    draws: FlipDraws,
    bias: Floats,
    adjacency: NDArray[np.int8],
    weights: Floats,
) -> tuple[int, int, int]:
    """Try to flip the visited edges that the expansion has of some post neurons, then swaps.

    Parameters
    ----------
    posts : tuple of int
        The first post neuron and the one after the last.
    history : SparseHistory
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
        Flips that reached the second stage, how many were accepted, swaps accepted.
    """
    n_bins, size = history.n_bins, weights.shape[2]
    psi = np.empty(n_bins + 1)  # the last number is the log likelihood
    room = (np.empty(n_bins + 1), np.empty(n_bins))
    proposed = accepted = swaps = 0
    for n in range(posts[0], posts[1]):
        surrogate = _surrogate(n, prior, bias_prior, expansion)
        pre = surrogate.pre
        state = _State(
            np.zeros(1 + pre.size * size),
            np.zeros(pre.size, np.int8),
            np.zeros(1 + pre.size * size),
            np.zeros((size, size)),
            np.empty(size),
        )
        state.beta[0] = bias[n]
        for j in range(pre.size):
            state.present[j] = adjacency[n, pre[j]]
            state.beta[1 + j * size : 1 + (j + 1) * size] = weights[n, pre[j]]
        neuron, counts = neuron_likelihood(likelihood, n), likelihood.counts[n]
        write_psi(history, bias[n], weights[n], psi[:n_bins])
        psi[n_bins] = log_likelihood(neuron, counts, psi[:n_bins], room[1])
        data = (history, neuron, counts, surrogate, state, psi, room)
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
