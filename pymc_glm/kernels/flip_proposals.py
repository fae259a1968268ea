r"""Flips and swaps of edges: what is proposed on the surrogate, and what becomes of it.

Every post neuron goes on to its next proposal that the surrogate's posterior accepts (the first
stage). Whoever holds the data then finds the log likelihood after the change, and the proposal is
accepted or rejected (the second stage; Christen & Fox 2005, J. Comput. Graph. Statist. 14:795,
equation 2.3): with log likelihood :math:`l`, surrogate :math:`s` and a move :math:`\beta \to
\beta^*`, by :math:`\exp[l(\beta^*) - l(\beta) - s(\beta^*) + s(\beta)]`.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.compiling import compiled, inlined
from pymc_glm.kernels.edge_surrogate import (
    Coefficients,
    Expansion,
    Surrogates,
    add_edge_to,
    change_of,
    log_odds_of,
    no_surrogates,
    remove_edge_from,
    surrogate_of,
    write_surrogate,
)
from pymc_glm.kernels.prior import BiasPrior, EdgePrior

__all__ = [
    "EdgeChange",
    "FlipDraws",
    "FlipSweep",
    "draw_flips",
    "finish_flips",
    "finish_neuron",
    "flip_sweep",
    "propose",
    "propose_flips",
    "settle",
    "settle_flips",
    "start_flips",
    "start_neuron",
]

_LEAST = 0.02  # smallest probability that a flip passes the first stage
_FLIP, _SWAP = 1, 2  # kinds of proposals

type Floats = NDArray[np.float64]


class FlipDraws(NamedTuple):
    """All random numbers of one sweep."""

    order: NDArray[np.int64]  # (post, pre)
    visited: NDArray[np.bool_]  # (post, pre)
    uniforms: Floats  # (post, pre, 2): for each stage
    normals: Floats  # (post, pre, basis)
    swap_uniforms: Floats  # (post, swaps, 4): for the edge removed, the edge added, each stage
    swap_normals: Floats  # (post, swaps, basis)


class EdgeChange(NamedTuple):
    """What a proposal adds to the coefficients of every post neuron."""

    bias: Floats  # (post,)
    slots: NDArray[np.int64]  # (post, 2): pre neurons whose edges change, or -1
    weights: Floats  # (post, 2, basis)


class FlipSweep(NamedTuple):
    """How far a sweep is, for every post neuron."""

    surrogates: Surrogates
    beta: Floats  # (post, D): bias and weights, zero where there is no edge
    present: NDArray[np.int8]  # (post, C)
    total: Floats  # (post, D): the proposed change of beta
    change: EdgeChange  # the same, by pre neuron
    position: NDArray[np.int64]  # (post,): how many flips and swaps were considered
    kind: NDArray[np.int64]  # (post,): of the proposal; 0: none is left
    edges: NDArray[np.int64]  # (post, 2): those that change, the removed one first
    log_ratio: Floats  # (post,): of the acceptance, without the log likelihood
    least: Floats  # (post,): below which the log ratio is rejected
    log_likelihood: Floats  # (post,)
    counted: NDArray[np.int64]  # (post, 3): proposed flips, accepted ones, accepted swaps


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


def flip_sweep(expansion: Expansion, size: int) -> FlipSweep:
    """Allocate a sweep over the edges of an expansion, which have `size` weights."""
    n_post, width = expansion.linear.shape
    none = np.zeros(n_post, np.int64)
    change = EdgeChange(np.zeros(n_post), np.full((n_post, 2), -1), np.zeros((n_post, 2, size)))
    return FlipSweep(
        no_surrogates(expansion, size),
        np.zeros((n_post, width)),
        np.zeros((n_post, (width - 1) // size), np.int8),
        np.zeros((n_post, width)),
        change,
        none,
        none.copy(),
        np.zeros((n_post, 2), np.int64),
        np.zeros(n_post),
        np.zeros(n_post),
        np.zeros(n_post),
        np.zeros((n_post, 3), np.int64),
    )


@inlined
def start_neuron(
    n: int,
    prior: EdgePrior,
    bias_prior: BiasPrior,
    expansion: Expansion,
    bias: Floats,
    adjacency: NDArray[np.int8],
    weights: Floats,
    sweep: FlipSweep,
) -> None:
    """Start the sweep of post neuron n; its log likelihood is set by the caller."""
    write_surrogate(n, prior, bias_prior, expansion, sweep.surrogates)
    size = weights.shape[2]
    sweep.beta[n, 0] = bias[n]
    for j in range(sweep.surrogates.size[n]):
        m = sweep.surrogates.pre[n, j]
        sweep.present[n, j] = adjacency[n, m]
        for b in range(size):
            sweep.beta[n, 1 + j * size + b] = weights[n, m, b]


@compiled
def _coefficients(n, sweep):
    number, size = sweep.surrogates.size[n], sweep.change.weights.shape[2]
    width = 1 + number * size
    return Coefficients(
        sweep.beta[n, :width],
        sweep.present[n, :number],
        sweep.total[n, :width],
        np.zeros((size, size)),
        np.empty(size),
    )


@inlined
def _propose_flip(n, j, draws, surrogate, state, sweep):
    """Propose to flip edge j if that passes the first stage."""
    m = surrogate.pre[j]
    log_odds = log_odds_of(surrogate, state, j)
    if abs(surrogate.constant[j]) == np.inf:
        return
    other = -log_odds if state.present[j] == 1 else log_odds
    forth = max(math.exp(min(0.0, other)), _LEAST)
    back = max(math.exp(min(0.0, -other)), _LEAST)
    if draws.uniforms[n, m, 0] >= forth:
        return
    state.change[:] = 0.0
    if state.present[j] == 1:
        remove_edge_from(surrogate, state, j)
    else:
        add_edge_to(surrogate, state, j, draws.normals[n, m])
    sweep.kind[n], sweep.edges[n, 0], sweep.edges[n, 1] = _FLIP, j, -1
    sweep.log_ratio[n] = other + math.log(back) - math.log(forth)
    sweep.least[n] = math.log(draws.uniforms[n, m, 1])
    sweep.counted[n, 0] += 1


@inlined
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


@inlined
def _propose_swap(n, s, draws, surrogate, state, sweep):
    """Propose to replace an edge by one drawn by its odds, if there is such a one."""
    uniforms = draws.swap_uniforms[n, s]
    out = _choose_out(state.present, surrogate.constant, uniforms[0])
    if out < 0:
        return
    state.change[:] = 0.0
    remove_edge_from(surrogate, state, out)
    state.present[out] = 0
    odds = np.full(state.present.size, -np.inf)
    for j in range(odds.size):
        if state.present[j] == 0 and abs(surrogate.constant[j]) != np.inf:
            odds[j] = log_odds_of(surrogate, state, j)
    odds = np.exp(odds - odds.max())
    total = odds.sum() - odds[out]
    left, into = uniforms[1] * total, odds.size
    for j in range(odds.size):
        if j != out and odds[j] > 0.0 and left >= 0.0:
            into = j
            left -= odds[j]
    if into < odds.size and uniforms[2] * (odds.sum() - odds[into]) < total:
        log_odds_of(surrogate, state, into)
        add_edge_to(surrogate, state, into, draws.swap_normals[n, s])
        sweep.kind[n], sweep.edges[n, 0], sweep.edges[n, 1] = _SWAP, out, into
        sweep.log_ratio[n], sweep.least[n] = 0.0, math.log(uniforms[3])
    state.present[out] = 1


@inlined
def propose(n: int, expansion: Expansion, draws: FlipDraws, sweep: FlipSweep) -> bool:
    """Go on to the next proposal that passes the first stage; return whether there is one."""
    surrogate, state = surrogate_of(n, expansion, sweep.surrogates), _coefficients(n, sweep)
    n_flips, n_swaps = draws.order.shape[1], draws.swap_uniforms.shape[1]
    sweep.kind[n] = 0
    while sweep.kind[n] == 0 and sweep.position[n] < n_flips + n_swaps:
        at = sweep.position[n]
        sweep.position[n] += 1
        if at >= n_flips:
            _propose_swap(n, at - n_flips, draws, surrogate, state, sweep)
            continue
        m = draws.order[n, at]
        j = expansion.metric.place[n, m]
        if j >= 0 and draws.visited[n, m]:
            _propose_flip(n, j, draws, surrogate, state, sweep)
    change, size = sweep.change, state.mean.size
    if sweep.kind[n] == 0:
        change.bias[n], change.weights[n], change.slots[n] = 0.0, 0.0, -1
        return False
    sweep.log_ratio[n] -= change_of(surrogate, state)
    change.bias[n] = state.change[0]
    for k in range(2):
        j = sweep.edges[n, k]
        change.slots[n, k] = surrogate.pre[j] if j >= 0 else -1
        for b in range(size):
            change.weights[n, k, b] = state.change[1 + j * size + b] if j >= 0 else 0.0
    return True


@inlined
def settle(n: int, proposed: float, sweep: FlipSweep) -> bool:
    """Accept or reject the proposal (the second stage); return whether it was accepted."""
    log_ratio = sweep.log_ratio[n] + proposed - sweep.log_likelihood[n]
    if not sweep.least[n] < log_ratio:
        return False
    state, size = _coefficients(n, sweep), sweep.change.weights.shape[2]
    state.beta[:] += state.change
    sweep.log_likelihood[n] = proposed
    for k in range(sweep.kind[n]):
        j = sweep.edges[n, k]
        state.present[j] = 1 - state.present[j]
        if state.present[j] == 0:
            state.beta[1 + j * size : 1 + (j + 1) * size] = 0.0
    sweep.counted[n, sweep.kind[n]] += 1
    return True


@compiled
def finish_neuron(
    n: int, sweep: FlipSweep, bias: Floats, adjacency: NDArray[np.int8], weights: Floats
) -> None:
    """Write the coefficients of post neuron n at the end of its sweep."""
    size = weights.shape[2]
    bias[n] = sweep.beta[n, 0]
    for j in range(sweep.surrogates.size[n]):
        m = sweep.surrogates.pre[n, j]
        adjacency[n, m] = sweep.present[n, j]
        for b in range(size):
            weights[n, m, b] = sweep.beta[n, 1 + j * size + b]


@compiled
def start_flips(
    posts: tuple[int, int],
    prior: EdgePrior,
    bias_prior: BiasPrior,
    expansion: Expansion,
    bias: Floats,
    adjacency: NDArray[np.int8],
    weights: Floats,
    sweep: FlipSweep,
) -> None:
    """Start the sweep of some post neurons; their log likelihoods are set by the caller."""
    for n in range(posts[0], posts[1]):
        start_neuron(n, prior, bias_prior, expansion, bias, adjacency, weights, sweep)


@compiled
def propose_flips(
    posts: tuple[int, int], expansion: Expansion, draws: FlipDraws, sweep: FlipSweep
) -> bool:
    """Go on to the next proposals of some post neurons; return whether there are any."""
    found = False
    for n in range(posts[0], posts[1]):
        found |= propose(n, expansion, draws, sweep)
    return found


@compiled
def settle_flips(
    posts: tuple[int, int], proposed: Floats, sweep: FlipSweep, accepted: NDArray[np.bool_]
) -> None:
    """Accept or reject the proposals of some post neurons, by log likelihoods (post,)."""
    for n in range(posts[0], posts[1]):
        accepted[n] = sweep.kind[n] != 0 and settle(n, proposed[n], sweep)


@compiled
def finish_flips(
    posts: tuple[int, int],
    sweep: FlipSweep,
    bias: Floats,
    adjacency: NDArray[np.int8],
    weights: Floats,
) -> None:
    """Write the coefficients of some post neurons at the end of their sweep."""
    for n in range(posts[0], posts[1]):
        finish_neuron(n, sweep, bias, adjacency, weights)
