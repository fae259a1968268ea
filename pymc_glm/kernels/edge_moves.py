"""Metropolis-Hastings moves of edges and their weights on the likelihood, without augmentation.

The posterior of the weights of an edge, given all other coefficients of its post neuron, is close
to normal. A few Newton steps, on the bins in which the pre neuron has history, give a mode and a
precision that do not depend on the state of the edge. Presence and weights are proposed jointly
from this approximation and accepted by the ratio of posterior to proposal at the new and the old
state (an independence sampler; Tierney 1994, Ann. Statist. 22:1701). A swap proposes in the same
way to remove one edge and add another.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.compiling import compiled
from pymc_glm.kernels.edge_proposal import (
    FREEDOM,
    Scratch,
    draw_weights,
    find_mode,
    log_likelihoods_with,
    log_proposal,
    log_slab,
    scratch_of,
)
from pymc_glm.kernels.likelihood import Likelihood, neuron_likelihood
from pymc_glm.kernels.prior import EdgePrior
from pymc_glm.kernels.spike_history import SpikeHistory, add_edge, write_psi

__all__ = ["EdgeDraws", "EdgePlan", "draw_edges", "move_edges"]

type Floats = NDArray[np.float64]


class EdgePlan(NamedTuple):
    """Settings of the proposals; fixed after tuning."""

    visit: Floats  # (post, pre): probability of visiting an edge
    presence: Floats  # (post, pre): probability of proposing its presence
    start: Floats  # (post, pre, basis): start of the Newton steps
    newton: int  # maximum number of Newton steps
    partner: Floats  # (pre, pre): cumulative symmetric weights of partners in a swap


class EdgeDraws(NamedTuple):
    """All random numbers of one sweep."""

    order: NDArray[np.int64]  # (post, pre)
    uniforms: Floats  # (post, pre, 3): for the choice to visit, the proposal, the acceptance
    normals: Floats  # (post, pre, basis)
    stretches: Floats  # (post, pre): sqrt(FREEDOM / chi squared)
    swap_uniforms: Floats  # (post, swaps, 3): for the edge, its partner, the acceptance
    swap_normals: Floats  # (post, swaps, basis)
    swap_stretches: Floats  # (post, swaps)


class _Proposal(NamedTuple):
    """Arrays for the proposal of one edge."""

    scratch: Scratch
    candidates: Floats  # (3, basis): weights proposed, current, and of an absent edge
    values: Floats  # (3,): log likelihoods with these
    mode: Floats  # (basis,)
    lower: Floats  # (basis, basis): Cholesky factor of the precision


def draw_edges(
    n_post: int, n_pre: int, n_basis: int, n_swaps: int, rng: np.random.Generator
) -> EdgeDraws:
    """Draw the random numbers of a sweep of `move_edges`."""
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
def _propose(n, m, history, likelihood, counts, prior, plan, psi, proposal):
    """Write the mode and precision of edge m's weights."""
    mode, lower = proposal.mode, proposal.lower
    mode[:] = plan.start[n, m]
    given = likelihood, psi, counts, prior, n
    find_mode(history, m, *given, plan.newton, proposal.scratch, mode, lower)


@compiled
def _visit(
    n, m, history, likelihood, counts, prior, plan, draws, psi, adjacency, weights, modes, proposal
):
    """Propose a new state of an edge; return 0 if nothing was proposed, 2 if it was accepted."""
    uniforms, log_odds = draws.uniforms[n, m], prior.log_odds[n, m]
    presence = plan.presence[n, m]
    certain = log_odds == np.inf or log_odds == -np.inf
    if certain:
        presence = 1.0 if log_odds > 0 else 0.0
    present, new = adjacency[n, m] == 1, uniforms[1] < presence
    if uniforms[0] >= plan.visit[n, m] or not (present or new):
        return 0
    if present:
        add_edge(history, m, -weights[n, m], 0, psi.size, psi)
    mode, lower, candidates = proposal.mode, proposal.lower, proposal.candidates
    w, current = candidates[0], candidates[1]
    _propose(n, m, history, likelihood, counts, prior, plan, psi, proposal)
    modes[n, m] = mode
    odds = 0.0 if certain else math.log(presence) - math.log(1.0 - presence)
    current[:] = weights[n, m]
    if new:
        draw_weights(draws.normals[n, m], draws.stretches[n, m], mode, lower, w)
    first, last = 0 if new else 1, 3 if present != new else 2
    values = proposal.values
    given = (likelihood, psi, counts, candidates[first:last], proposal.scratch)
    log_likelihoods_with(history, m, *given, values[first:last])
    log_ratio = 0.0
    if new:
        log_ratio += values[0] + log_slab(w, prior, n, m) - log_proposal(w, mode, lower) - odds
    if present:
        log_ratio -= values[1] + log_slab(current, prior, n, m)
        log_ratio += log_proposal(current, mode, lower) + odds
    if present != new:
        log_ratio += values[2] if present else -values[2]
        if certain:  # corrects a start that contradicts the prior
            log_ratio = np.inf
    accepted = math.log(uniforms[2]) < log_ratio
    if accepted:
        weights[n, m] = w if new else np.zeros(w.size)
        adjacency[n, m] = new
    if adjacency[n, m] == 1:
        add_edge(history, m, weights[n, m], 0, psi.size, psi)
    return 2 if accepted else 1


@compiled
def _choose_swap(n, uniforms, prior, plan, adjacency):
    """Return an edge to remove and one to add, (-1, -1) if there is no such pair."""
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
def _swap(n, s, history, likelihood, counts, prior, plan, draws, psi, adjacency, weights, proposal):
    """Propose to remove one edge and add another; return whether it was accepted."""
    out, into = _choose_swap(n, draws.swap_uniforms[n, s], prior, plan, adjacency)
    if out < 0:
        return False
    mode, lower, candidates = proposal.mode, proposal.lower, proposal.candidates
    w, values = candidates[0], proposal.values
    candidates[1] = weights[n, out]
    add_edge(history, out, -weights[n, out], 0, psi.size, psi)
    # the weights of pairs are symmetric, their sums over partners are not
    log_ratio = math.log(plan.partner[out, -1]) - math.log(plan.partner[into, -1])
    for m in (into, out):
        _propose(n, m, history, likelihood, counts, prior, plan, psi, proposal)
        if m == into:
            draw_weights(draws.swap_normals[n, s], draws.swap_stretches[n, s], mode, lower, w)
        given = (likelihood, psi, counts, candidates, proposal.scratch)
        log_likelihoods_with(history, m, *given, values)
        which = 0 if m == into else 1
        chosen = candidates[which]
        change = values[which] - values[2] + log_slab(chosen, prior, n, m)
        change -= log_proposal(chosen, mode, lower)
        log_ratio += change if m == into else -change
    if math.log(draws.swap_uniforms[n, s, 2]) < log_ratio:
        adjacency[n, out], adjacency[n, into] = 0, 1
        weights[n, out] = 0.0
        weights[n, into] = w
        add_edge(history, into, w, 0, psi.size, psi)
        return True
    add_edge(history, out, weights[n, out], 0, psi.size, psi)
    return False


@compiled
def move_edges(
    posts: tuple[int, int],
    history: SpikeHistory,
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
    history : SpikeHistory
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
        Receives the modes of the visited edges.

    Returns
    -------
    tuple of int
        Proposals (except those of absence for an absent edge), accepted ones, accepted swaps.
    """
    n_basis = weights.shape[2]
    psi = np.empty(history.n_bins)
    proposal = _Proposal(
        scratch_of(history.n_bins),
        np.zeros((3, n_basis)),
        np.empty(3),
        np.empty(n_basis),
        np.zeros((n_basis, n_basis)),
    )
    proposed = accepted = swaps = 0
    for n in range(posts[0], posts[1]):
        neuron = neuron_likelihood(likelihood, n)
        counts = likelihood.counts[n]
        write_psi(history, n, bias[n], weights[n], psi)
        for m in draws.order[n]:
            visited = (adjacency, weights, modes, proposal)
            result = _visit(n, m, history, neuron, counts, prior, plan, draws, psi, *visited)
            proposed += result > 0
            accepted += result == 2
        for s in range(draws.swap_uniforms.shape[1]):
            swaps += _swap(
                n, s, history, neuron, counts, prior, plan, draws, psi, adjacency, weights, proposal
            )
    return proposed, accepted, swaps
