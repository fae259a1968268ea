"""Metropolis-Hastings moves of edges and their weights on the likelihood, without augmentation.

For an edge the posterior of its weights, given all other coefficients of its post neuron, is close
to normal. A few Newton steps on the bins in which its pre neuron has any history give a mode and a
precision that do not depend on the edge's own state; the edge's presence and weights are proposed
together from there and accepted by the ratio of posterior to proposal at the new and the old state
(an independence sampler; Tierney 1994, Ann. Statist. 22:1701). A swap proposes in the same way to
take one edge out and another in.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.compiling import compiled
from pymc_glm.kernels.edge_proposal import FREEDOM, draw_weights, find_mode, log_proposal, log_slab
from pymc_glm.kernels.likelihood import Likelihood, log_likelihood, neuron_likelihood, workspace
from pymc_glm.kernels.prior import EdgePrior
from pymc_glm.kernels.sparse_history import (
    SparseHistory,
    add_edge,
    longest,
    pattern_values,
    write_psi,
)

__all__ = ["EdgeDraws", "EdgePlan", "draw_edges", "move_edges"]

type Floats = NDArray[np.float64]


class EdgePlan(NamedTuple):
    """What proposals depend on beside the other coefficients; fixed after the tuning."""

    visit: Floats  # (post, pre): probability to look at an edge
    presence: Floats  # (post, pre): probability to propose its presence
    start: Floats  # (post, pre, basis): where Newton steps begin
    newton: int  # most Newton steps
    partner: Floats  # (pre, pre): cumulative symmetric weights of partners in a swap


class EdgeDraws(NamedTuple):
    """All randomness of one sweep."""

    order: NDArray[np.int64]  # (post, pre)
    uniforms: Floats  # (post, pre, 3): of a visit, to make it, to propose, to accept
    normals: Floats  # (post, pre, basis)
    stretches: Floats  # (post, pre): sqrt(FREEDOM / chi squared)
    swap_uniforms: Floats  # (post, swaps, 3): which edge, its partner, to accept
    swap_normals: Floats  # (post, swaps, basis)
    swap_stretches: Floats  # (post, swaps)


def draw_edges(
    n_post: int, n_pre: int, n_basis: int, n_swaps: int, rng: np.random.Generator
) -> EdgeDraws:
    """Draw all that `move_edges` needs for a sweep."""
    order = np.broadcast_to(np.arange(n_pre), (n_post, n_pre))
    edges, swaps = (n_post, n_pre), (n_post, n_swaps)
    return EdgeDraws(
        rng.permuted(order, axis=1),
        rng.random((*edges, 3)),
        rng.standard_normal((*edges, n_basis)),
        np.sqrt(FREEDOM / rng.chisquare(FREEDOM, edges)),
        rng.random((*swaps, 3)),
        rng.standard_normal((*swaps, n_basis)),
        np.sqrt(FREEDOM / rng.chisquare(FREEDOM, swaps)),
    )


@compiled
def _gather(history, m, psi, counts, base, own):
    """Copy psi and counts of the bins with history of m; return how many they are."""
    first, n = history.start[m], history.start[m + 1] - history.start[m]
    for i in range(n):
        t = history.bins[first + i]
        base[i] = psi[t]
        own[i] = counts[t]
    return n


@compiled
def _log_target(history, m, likelihood, base, own, w, prior, n, work):
    """Return log likelihood and prior of edge m's presence with weights w."""
    value = pattern_values(history, m, w)
    first = history.start[m]
    for i in range(base.size):
        work.psi[i] = base[i] + value[history.pattern[first + i]]
    likely = log_likelihood(likelihood, own, work.psi[: base.size], work.slope)
    return likely + log_slab(w, prior, n, m)


@compiled
def _visit(
    n, m, history, likelihood, counts, prior, plan, draws, psi, adjacency, weights, modes, room
):
    """Propose a new state of an edge; return 0 if there was nothing to do, 2 if it was accepted."""
    uniforms, log_odds = draws.uniforms[n, m], prior.log_odds[n, m]
    presence = plan.presence[n, m]
    certain = log_odds == np.inf or log_odds == -np.inf
    if certain:
        presence = 1.0 if log_odds > 0 else 0.0
    present, new = adjacency[n, m] == 1, uniforms[1] < presence
    if uniforms[0] >= plan.visit[n, m] or not (present or new):
        return 0
    if present:
        add_edge(history, m, weights[n, m], -1.0, psi)
    base, own, work, w, mode, lower = room
    size = _gather(history, m, psi, counts, base, own)
    base, own = base[:size], own[:size]
    mode[:] = plan.start[n, m]
    find_mode(history, m, likelihood, base, own, prior, n, plan.newton, work, mode, lower)
    modes[n, m] = mode
    odds = 0.0 if certain else math.log(presence) - math.log(1.0 - presence)
    log_ratio = 0.0
    if new:
        draw_weights(draws.normals[n, m], draws.stretches[n, m], mode, lower, w)
        log_ratio += _log_target(history, m, likelihood, base, own, w, prior, n, work)
        log_ratio -= log_proposal(w, mode, lower) + odds
    if present:
        log_ratio -= _log_target(history, m, likelihood, base, own, weights[n, m], prior, n, work)
        log_ratio += log_proposal(weights[n, m], mode, lower) + odds
    if present != new:
        absent = log_likelihood(likelihood, own, base, work.slope)
        log_ratio += absent if present else -absent
        if certain:  # a start that contradicts the prior is put right
            log_ratio = np.inf
    accepted = math.log(uniforms[2]) < log_ratio
    if accepted:
        weights[n, m] = w if new else np.zeros(w.size)
        adjacency[n, m] = new
    if adjacency[n, m] == 1:
        add_edge(history, m, weights[n, m], 1.0, psi)
    return 2 if accepted else 1


@compiled
def _choose_swap(n, uniforms, prior, plan, adjacency):
    """Return an edge to take out and one to put in, (-1, -1) if there is none."""
    n_pre = adjacency.shape[1]
    n_present, out = 0, -1
    for m in range(n_pre):
        n_present += adjacency[n, m] == 1 and prior.log_odds[n, m] != np.inf
    if n_present == 0:
        return -1, -1
    number = int(uniforms[0] * n_present)
    while number >= 0:
        out += 1
        number -= adjacency[n, out] == 1 and prior.log_odds[n, out] != np.inf
    total = plan.partner[out, -1]
    into = min(np.searchsorted(plan.partner[out], uniforms[1] * total, "right"), n_pre - 1)
    if total == 0.0 or adjacency[n, into] == 1 or prior.log_odds[n, into] == -np.inf:
        return -1, -1
    return out, into


@compiled
def _swap(n, s, history, likelihood, counts, prior, plan, draws, psi, adjacency, weights, room):
    """Propose to take one edge out and another in; return whether it was accepted."""
    out, into = _choose_swap(n, draws.swap_uniforms[n, s], prior, plan, adjacency)
    if out < 0:
        return False
    base, own, work, w, mode, lower = room
    add_edge(history, out, weights[n, out], -1.0, psi)
    # the weight of a pair is symmetric, what it is divided by is not
    log_ratio = math.log(plan.partner[out, -1]) - math.log(plan.partner[into, -1])
    for m in (into, out):
        size = _gather(history, m, psi, counts, base, own)
        mode[:] = plan.start[n, m]
        find_mode(
            history,
            m,
            likelihood,
            base[:size],
            own[:size],
            prior,
            n,
            plan.newton,
            work,
            mode,
            lower,
        )
        if m == into:
            draw_weights(draws.swap_normals[n, s], draws.swap_stretches[n, s], mode, lower, w)
        chosen = w if m == into else weights[n, out]
        change = _log_target(
            history, m, likelihood, base[:size], own[:size], chosen, prior, n, work
        )
        change -= log_likelihood(likelihood, own[:size], base[:size], work.slope)
        change -= log_proposal(chosen, mode, lower)
        log_ratio += change if m == into else -change
    if math.log(draws.swap_uniforms[n, s, 2]) < log_ratio:
        adjacency[n, out], adjacency[n, into] = 0, 1
        weights[n, out] = 0.0
        weights[n, into] = w
        add_edge(history, into, w, 1.0, psi)
        return True
    add_edge(history, out, weights[n, out], 1.0, psi)
    return False


@compiled
def move_edges(
    posts: tuple[int, int],
    history: SparseHistory,
    likelihood: Likelihood,
    prior: EdgePrior,
    plan: EdgePlan,
    draws: EdgeDraws,
    bias: Floats,
    adjacency: NDArray[np.int8],
    weights: Floats,
    modes: Floats,
) -> tuple[int, int, int]:
    """Visit every edge of some post neurons once, then try swaps.

    Parameters
    ----------
    posts : tuple of int
        The first post neuron and the one after the last.
    history : SparseHistory
    likelihood : Likelihood
    prior : EdgePrior
    plan : EdgePlan
    draws : EdgeDraws
    bias : array, shape (post,)
    adjacency : array of int8, shape (post, pre)
        Changed in place.
    weights : array, shape (post, pre, basis)
        Changed in place.
    modes : array, shape (post, pre, basis)
        Receives the modes found; others are left.

    Returns
    -------
    tuple of int
        Proposals other than from absent to absent, how many were accepted, swaps accepted.
    """
    n_bins, n_basis, most = history.n_bins, weights.shape[2], longest(history)
    psi = np.empty(n_bins)
    room = (
        np.empty(most),
        np.empty(most),
        workspace(most),
        np.empty(n_basis),
        np.empty(n_basis),
        np.zeros((n_basis, n_basis)),
    )
    proposed = accepted = swaps = 0
    for n in range(posts[0], posts[1]):
        neuron = neuron_likelihood(likelihood, n)
        counts = likelihood.counts[n]
        write_psi(history, bias[n], weights[n], psi)
        for m in draws.order[n]:
            visited = (adjacency, weights, modes, room)
            result = _visit(n, m, history, neuron, counts, prior, plan, draws, psi, *visited)
            proposed += result > 0
            accepted += result == 2
        for s in range(draws.swap_uniforms.shape[1]):
            swaps += _swap(
                n, s, history, neuron, counts, prior, plan, draws, psi, adjacency, weights, room
            )
    return proposed, accepted, swaps
