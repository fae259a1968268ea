"""Metropolis-Hastings moves of edges and their weights on the likelihood, without augmentation.

The posterior of the weights of an edge, given all other coefficients of its post neuron, is close
to normal. A few Newton steps, on the bins in which the pre neuron has history, give a mode and a
precision that do not depend on the state of the edge. Presence and weights are proposed jointly
from this approximation and accepted by the ratio of posterior to proposal at the new and the old
state (an independence sampler; Tierney 1994, Ann. Statist. 22:1701).
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.compiling import compiled, inlined
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
from pymc_glm.kernels.spike_history import BLOCK, SpikeHistory, add_edge, write_psi

__all__ = [
    "EdgeDraws",
    "EdgePlan",
    "Visits",
    "draw_edges",
    "draw_visits",
    "move_edges",
    "next_visits",
    "settle_visits",
    "visits_of",
]

type Floats = NDArray[np.float64]


class EdgePlan(NamedTuple):
    """Settings of the proposals; fixed after tuning."""

    visit: Floats  # (post, pre): probability of visiting an edge
    presence: Floats  # (post, pre): probability of proposing its presence
    start: Floats  # (post, pre, basis): start of the Newton steps
    newton: int  # maximum number of Newton steps


class EdgeDraws(NamedTuple):
    """All random numbers of one sweep."""

    order: NDArray[np.int64]  # (post, pre)
    uniforms: Floats  # (post, pre, 3): for the choice to visit, the proposal, the acceptance
    normals: Floats  # (post, pre, basis)
    stretches: Floats  # (post, pre): sqrt(FREEDOM / chi squared)


class _Proposal(NamedTuple):
    """Arrays for the proposal of one edge."""

    scratch: Scratch
    candidates: Floats  # (3, basis): weights proposed, current, and of an absent edge
    values: Floats  # (3,): log likelihoods with these
    mode: Floats  # (basis,)
    lower: Floats  # (basis, basis): Cholesky factor of the precision


def draw_edges(n_post: int, n_pre: int, n_basis: int, rng: np.random.Generator) -> EdgeDraws:
    """Draw the random numbers of a sweep of `move_edges`."""
    order = np.broadcast_to(np.arange(n_pre), (n_post, n_pre))
    edges = (n_post, n_pre)
    return EdgeDraws(
        rng.permuted(order, axis=1),
        rng.random((*edges, 3)),
        rng.standard_normal((*edges, n_basis)),
        np.sqrt(FREEDOM / rng.chisquare(FREEDOM, edges)),
    )


@inlined
def _propose(n, m, history, likelihood, counts, prior, plan, psi, proposal):
    """Write the mode and precision of edge m's weights."""
    mode, lower = proposal.mode, proposal.lower
    mode[:] = plan.start[n, m]
    scratch, steps = proposal.scratch, plan.newton
    find_mode(history, m, likelihood, psi, counts, prior, n, steps, scratch, mode, lower)


@compiled
def _is_certain(prior, n, m):
    return abs(prior.log_odds[n, m]) == np.inf


@inlined
def _presence(n, m, prior, plan):
    """Return the probability of proposing the presence of edge m."""
    if _is_certain(prior, n, m):
        return 1.0 if prior.log_odds[n, m] > 0 else 0.0
    return plan.presence[n, m]


@compiled
def _wanted(n, m, prior, plan, draws, adjacency):
    """Return whether edge m is visited, and whether its presence is proposed."""
    new = draws.uniforms[n, m, 1] < _presence(n, m, prior, plan)
    visited = draws.uniforms[n, m, 0] < plan.visit[n, m]
    return visited and (new or adjacency[n, m] == 1), new


@compiled
def _log_ratio(n, m, new, present, values, w, current, mode, lower, prior, plan):
    """Return the log ratio of acceptance; values are log likelihoods with w, current and none."""
    if present != new and _is_certain(prior, n, m):
        return np.inf  # corrects a start that contradicts the prior
    log_ratio, odds = 0.0, 0.0
    if not _is_certain(prior, n, m):
        odds = math.log(plan.presence[n, m]) - math.log(1.0 - plan.presence[n, m])
    if new:
        log_ratio += values[0] + log_slab(w, prior, n, m) - log_proposal(w, mode, lower) - odds
    if present:
        log_ratio -= values[1] + log_slab(current, prior, n, m)
        log_ratio += log_proposal(current, mode, lower) + odds
    if present != new:
        log_ratio += values[2] if present else -values[2]
    return log_ratio


@compiled
def _add_to_all(history, m, weights, psi):
    """Add the history of pre neuron m times weights to psi of all bins."""
    for low in range(0, psi.size, BLOCK):
        high = min(low + BLOCK, psi.size)
        add_edge(history, m, weights, low, high, psi[low:high])


@inlined
def _visit(
    n, m, history, likelihood, counts, prior, plan, draws, psi, adjacency, weights, modes, proposal
):
    """Propose a new state of an edge; return 0 if nothing was proposed, 2 if it was accepted."""
    visited, new = _wanted(n, m, prior, plan, draws, adjacency)
    if not visited:
        return 0
    present = adjacency[n, m] == 1
    if present:
        _add_to_all(history, m, -weights[n, m], psi)
    mode, lower, candidates = proposal.mode, proposal.lower, proposal.candidates
    w, current = candidates[0], candidates[1]
    _propose(n, m, history, likelihood, counts, prior, plan, psi, proposal)
    modes[n, m] = mode
    current[:] = weights[n, m]
    if new:
        draw_weights(draws.normals[n, m], draws.stretches[n, m], mode, lower, w)
    first, last = 0 if new else 1, 3 if present != new else 2
    values = proposal.values
    tried, of_them, scratch = candidates[first:last], values[first:last], proposal.scratch
    log_likelihoods_with(history, m, likelihood, psi, counts, tried, scratch, of_them)
    ratio = _log_ratio(n, m, new, present, values, w, current, mode, lower, prior, plan)
    accepted = math.log(draws.uniforms[n, m, 2]) < ratio
    if accepted:
        weights[n, m] = w if new else np.zeros(w.size)
        adjacency[n, m] = new
    if adjacency[n, m] == 1:
        _add_to_all(history, m, weights[n, m], psi)
    return 2 if accepted else 1


class Visits(NamedTuple):
    """One visit of every post neuron, whose data another holds."""

    position: NDArray[np.int64]  # (post,): how many edges were considered
    edges: NDArray[np.int64]  # (post,): the edge that is visited, or -1 if none is left
    new: NDArray[np.bool_]  # (post,): whether its presence is proposed
    weights: Floats  # (post, basis): those proposed
    counted: NDArray[np.int64]  # (post, 2): proposals, accepted ones


def visits_of(n_post: int, n_basis: int) -> Visits:
    """Allocate the visits of a sweep."""
    return Visits(
        np.zeros(n_post, np.int64),
        np.full(n_post, -1),
        np.zeros(n_post, np.bool_),
        np.zeros((n_post, n_basis)),
        np.zeros((n_post, 2), np.int64),
    )


@compiled
def next_visits(
    posts: tuple[int, int],
    prior: EdgePrior,
    plan: EdgePlan,
    draws: EdgeDraws,
    adjacency: NDArray[np.int8],
    visits: Visits,
) -> bool:
    """Go on to the next edges that are visited; return whether there are any."""
    found = False
    for n in range(posts[0], posts[1]):
        visits.edges[n] = -1
        while visits.edges[n] < 0 and visits.position[n] < draws.order.shape[1]:
            m = draws.order[n, visits.position[n]]
            visits.position[n] += 1
            visited, visits.new[n] = _wanted(n, m, prior, plan, draws, adjacency)
            if visited:
                visits.edges[n], found = m, True
    return found


@compiled
def draw_visits(
    posts: tuple[int, int], draws: EdgeDraws, mode: Floats, lower: Floats, visits: Visits
) -> None:
    """Draw weights around modes (post, basis), with factors (post, basis, basis)."""
    for n in range(posts[0], posts[1]):
        m = visits.edges[n]
        if m >= 0:
            w = visits.weights[n]
            draw_weights(draws.normals[n, m], draws.stretches[n, m], mode[n], lower[n], w)


@compiled
def settle_visits(
    posts: tuple[int, int],
    prior: EdgePrior,
    plan: EdgePlan,
    draws: EdgeDraws,
    mode: Floats,
    lower: Floats,
    values: Floats,
    adjacency: NDArray[np.int8],
    weights: Floats,
    visits: Visits,
) -> None:
    """Accept or reject visits by log likelihoods (3, post): with new, old and no weights."""
    for n in range(posts[0], posts[1]):
        m = visits.edges[n]
        if m < 0:
            continue
        present, new, w = adjacency[n, m] == 1, visits.new[n], visits.weights[n]
        proposal = (w, weights[n, m], mode[n], lower[n], prior, plan)
        ratio = _log_ratio(n, m, new, present, values[:, n], *proposal)
        visits.counted[n, 0] += 1
        if math.log(draws.uniforms[n, m, 2]) < ratio:
            visits.counted[n, 1] += 1
            adjacency[n, m] = new
            weights[n, m] = w if new else np.zeros(w.size)


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
) -> tuple[int, int]:
    """Visit every edge of some post neurons once.

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
        Proposals (except those of absence for an absent edge), accepted ones.
    """
    n_basis = weights.shape[2]
    psi = np.empty(history.n_bins)
    proposal = _Proposal(
        scratch_of(likelihood.counts[0]),
        np.zeros((3, n_basis)),
        np.empty(3),
        np.empty(n_basis),
        np.zeros((n_basis, n_basis)),
    )
    proposed = accepted = 0
    for n in range(posts[0], posts[1]):
        neuron = neuron_likelihood(likelihood, n)
        counts = likelihood.counts[n]
        write_psi(history, n, bias[n], weights[n], psi)
        for m in draws.order[n]:
            result = _visit(
                n, m, history, neuron, counts, prior, plan, draws, psi, adjacency, weights, modes,
                proposal,
            )  # fmt: skip
            proposed += result > 0
            accepted += result == 2
    return proposed, accepted
