"""Proposals that split a block of neurons in two, or merge two into one.

Moved one at a time, labels stick: a block that holds two cell types, or half of one, stays what it
is, because an empty block's tables are drawn from their prior and suit no neuron. Here whole
blocks are split and merged with the tables between blocks integrated out, by restricted Gibbs
scans (Jain & Neal 2004, J. Comp. Graph. Stat. 13:158). The user's priors of the tables do not let
themselves be integrated, so conjugate priors of like location and spread stand in for them: what
comes out is a proposal, to be accepted under the model itself.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import digamma, gammaln, polygamma

from pymc_glm.kernels.blocks import (
    EdgeList,
    Floats,
    Labels,
    _block_sums,
    _move,
    log_label_prior,
    with_absent,
)
from pymc_glm.kernels.compiling import compiled

__all__ = ["Proposal", "StandIn", "propose", "stand_in"]

SCANS = 5  # restricted Gibbs scans that prepare a split
STRONGEST = 1e6  # prior observations that stand for a table that is fixed


class StandIn(NamedTuple):
    """Conjugate priors of the tables: beta of probabilities, normal-inverse-Wishart of slabs."""

    present: Floats  # (K, K): parameters of the beta priors, 0 if edges know no blocks
    absent: Floats  # (K, K)
    edge_constant: Floats  # (K, K): what does not depend on the sums
    kappa: Floats  # (K, K): prior observations of the mean
    nu: Floats  # (K, K): degrees of freedom
    shift: Floats  # (K, K, B): kappa times the mean m
    scatter: Floats  # (K, K, B, B): scatter matrix + kappa m m'
    slab_constant: Floats  # (K, K)


class Proposal(NamedTuple):
    """New labels, and what decides on them."""

    labels: Labels  # (N,)
    log_gain: float  # of the labels' log posterior under the stand-in
    log_forward: float  # log probability of proposing this, less that of proposing the way back
    sums: Floats  # (2, K, K, 2 + B + B (B + 1) / 2): before and after, of all distinct pairs:
    # absent edges, present edges, w, (w w')[lower triangle]


def _inverse_trigamma(value: Floats) -> Floats:
    """Solve polygamma(1, x) = value by Newton's method in log x (convex and monotone)."""
    x = 0.5 + 1 / value
    for _ in range(20):
        x = x * np.exp(-(polygamma(1, x) - value) / (x * polygamma(2, x)))
    return x


def _beta(probability: Floats) -> tuple[Floats, Floats]:
    """Match mean and variance over draws."""
    p = np.clip(probability, 1e-6, 1 - 1e-6)
    mean, variance = p.mean(axis=0), p.var(axis=0)
    strength = np.minimum(mean * (1 - mean) / np.maximum(variance, 1e-12) - 1, STRONGEST)
    return strength * mean, strength * (1 - mean)


def stand_in(
    n_blocks: int,
    probability: Floats | None = None,
    mean: Floats | None = None,
    whitening: Floats | None = None,
) -> StandIn:
    """Match conjugate priors to draws of the tables from theirs.

    Parameters
    ----------
    n_blocks : int
    probability : array, shape (draw, K, K), optional
    mean, whitening : arrays, shapes (draw, K, K, B) and (draw, K, K, B, B), optional

    Notes
    -----
    Edge probabilities by mean and variance; variances of weights by mean and variance of their
    logarithm, since an inverse gamma law that matches the moments of a log-normal one has no mass
    at small variances; means by mean and variance.
    """
    shape = (n_blocks, n_blocks)
    present, absent = np.zeros(shape), np.zeros(shape)
    edge_constant = np.zeros(shape)
    if probability is not None:
        present, absent = _beta(probability)
        edge_constant = gammaln(present + absent) - gammaln(present) - gammaln(absent)
    if mean is None or whitening is None:
        nothing = np.zeros(shape)
        return StandIn(
            present,
            absent,
            edge_constant,
            nothing + 1,
            nothing + 1,
            np.zeros((*shape, 0)),
            np.zeros((*shape, 0, 0)),
            nothing,
        )
    size = mean.shape[-1]
    root = np.linalg.inv(whitening)
    covariance = root @ np.swapaxes(root, -1, -2)
    variance = np.einsum("...aa->...a", covariance)
    scale = np.sqrt(variance)
    correlation = (covariance / scale[..., :, None] / scale[..., None, :]).mean(axis=0)
    # A variance's marginal law is inverse gamma with shape (nu - B + 1) / 2.
    spread = np.log(variance).var(axis=0).mean(axis=-1)
    half = np.minimum(_inverse_trigamma(np.maximum(spread, 1e-6)), STRONGEST)
    nu = 2 * half + size - 1
    rate = np.exp(np.log(variance).mean(axis=0) + digamma(half)[..., None])
    scatter = 2 * np.sqrt(rate[..., :, None] * rate[..., None, :]) * correlation
    typical = np.exp(np.log(variance).mean(axis=0))
    kappa = (typical / np.maximum(mean.var(axis=0), typical / STRONGEST)).mean(axis=-1)
    center = mean.mean(axis=0)
    slab_constant = (
        0.5 * nu * np.linalg.slogdet(scatter)[1]
        + 0.5 * size * np.log(kappa)
        - gammaln(0.5 * (nu[..., None] - np.arange(size))).sum(axis=-1)
    )
    return StandIn(
        present,
        absent,
        edge_constant,
        kappa,
        nu,
        kappa[..., None] * center,
        scatter + kappa[..., None, None] * center[..., :, None] * center[..., None, :],
        slab_constant,
    )


@compiled
def _log_evidence(n_pairs, sums, k, j, likelihood):
    """Return the log evidence of the pairs of post neurons in block k and pre neurons in j."""
    present, absent, edge_constant, kappa, nu, shift, scatter, slab_constant = likelihood
    n = sums[0]
    total = 0.0
    if n_pairs > 0 and present[k, j] > 0.0:
        a, b = present[k, j], absent[k, j]
        total += edge_constant[k, j] + math.lgamma(a + n) + math.lgamma(b + n_pairs - n)
        total -= math.lgamma(a + b + n_pairs)
    size = shift.shape[2]
    if n == 0.0 or size == 0:
        return total
    kappa_n = kappa[k, j] + n
    lower = np.empty((size, size))
    log_det = 0.0
    at = 1 + size
    for a in range(size):
        mean = (shift[k, j, a] + sums[1 + a]) / kappa_n
        for b in range(a + 1):
            value = scatter[k, j, a, b] + sums[at] - mean * (shift[k, j, b] + sums[1 + b])
            at += 1
            for c in range(b):
                value -= lower[a, c] * lower[b, c]
            lower[a, b] = math.sqrt(value) if a == b else value / lower[b, b]
        log_det += 2.0 * math.log(lower[a, a])
        total += math.lgamma(0.5 * (nu[k, j] + n - a))
    total += slab_constant[k, j] - 0.5 * size * (n * math.log(math.pi) + math.log(kappa_n))
    return total - 0.5 * (nu[k, j] + n) * log_det


@compiled
def _start(labels, from_others, to_others, likelihood):
    """Return the state: sums of each neuron, sizes of blocks, sums and evidence of their pairs."""
    n_blocks = likelihood[0].shape[0]
    incoming = _block_sums(labels, from_others, n_blocks)
    outgoing = _block_sums(labels, to_others, n_blocks)
    sizes = np.zeros(n_blocks, np.int64)
    cells = np.zeros((n_blocks, n_blocks, incoming.shape[2]))
    for i in range(labels.size):
        sizes[labels[i]] += 1
        cells[labels[i]] += incoming[i]
    evidence = np.empty((n_blocks, n_blocks))
    for k in range(n_blocks):
        for j in range(n_blocks):
            n_pairs = sizes[k] * sizes[j] - (sizes[k] if j == k else 0)
            evidence[k, j] = _log_evidence(n_pairs, cells[k, j], k, j, likelihood)
    kept = np.ones(labels.size, np.bool_)
    return incoming, outgoing, sizes, cells, evidence, kept


@compiled
def _shift(i, k, sign, state, likelihood):
    """Put neuron i into block k, or take it out (sign = -1)."""
    incoming, outgoing, sizes, cells, evidence = state[:5]
    sizes[k] += sign
    for j in range(sizes.size):
        for f in range(cells.shape[2]):
            cells[k, j, f] += sign * incoming[i, j, f]
            cells[j, k, f] += sign * outgoing[i, j, f]
    for j in range(sizes.size):
        n_pairs = sizes[k] * sizes[j] - (sizes[k] if j == k else 0)
        evidence[k, j] = _log_evidence(n_pairs, cells[k, j], k, j, likelihood)
        evidence[j, k] = _log_evidence(n_pairs, cells[j, k], j, k, likelihood)


@compiled
def _gain(i, k, state, likelihood, buffer):
    """Return by how much neuron i, of no block now, would raise the log evidence in block k."""
    incoming, outgoing, sizes, cells, evidence = state[:5]
    total = 0.0
    for j in range(sizes.size):
        if sizes[j] > 0 and j != k:
            n_pairs = (sizes[k] + 1) * sizes[j]
            for f in range(buffer.size):
                buffer[f] = cells[k, j, f] + incoming[i, j, f]
            total += _log_evidence(n_pairs, buffer, k, j, likelihood) - evidence[k, j]
            for f in range(buffer.size):
                buffer[f] = cells[j, k, f] + outgoing[i, j, f]
            total += _log_evidence(n_pairs, buffer, j, k, likelihood) - evidence[j, k]
    for f in range(buffer.size):
        buffer[f] = cells[k, k, f] + incoming[i, k, f] + outgoing[i, k, f]
    n_pairs = (sizes[k] + 1) * sizes[k]
    return total + _log_evidence(n_pairs, buffer, k, k, likelihood) - evidence[k, k]


@compiled
def _transfer(i, new, labels, from_others, to_others, state, likelihood):
    """Move neuron i to another block."""
    old = labels[i]
    _shift(i, old, -1, state, likelihood)
    _shift(i, new, 1, state, likelihood)
    labels[i] = new
    _move(i, old, new, from_others, state[1], state[5])
    _move(i, old, new, to_others, state[0], state[5])


@compiled
def _scan(
    members,
    here,
    there,
    labels,
    wanted,
    uniforms,
    from_others,
    to_others,
    log_prior,
    state,
    likelihood,
):
    """Draw all members between two blocks, or make them as wanted; return its log probability."""
    sizes = state[2]
    buffer = np.empty(state[3].shape[2])
    log_q = 0.0
    for v in range(members.size):
        i = members[v]
        old = labels[i]
        _shift(i, old, -1, state, likelihood)
        log_odds = log_prior[here, sizes[here]] - log_prior[there, sizes[there]]
        log_odds += _gain(i, here, state, likelihood, buffer) - _gain(
            i, there, state, likelihood, buffer
        )
        # log(1 + exp(-x)), without overflow
        cost_here = max(-log_odds, 0.0) + math.log1p(math.exp(-abs(log_odds)))
        if wanted.size:
            new = wanted[i]
        else:
            new = here if -math.log(uniforms[v]) > cost_here else there
        log_q -= cost_here if new == here else cost_here + log_odds
        _shift(i, new, 1, state, likelihood)
        if new != old:
            labels[i] = new
            _move(i, old, new, from_others, state[1], state[5])
            _move(i, old, new, to_others, state[0], state[5])
    return log_q


@compiled
def _split_or_merge(
    labels, first, second, there, order, uniforms, from_others, to_others, log_prior, likelihood
):
    """Split the block of the first and second neuron, or merge theirs; labels change in place."""
    here = labels[first]
    split = labels[second] == here
    before = labels.copy()
    n_members = 0
    members = np.empty_like(labels)
    for i in order:
        if i != first and i != second and (labels[i] == here or labels[i] == there):
            members[n_members] = i
            n_members += 1
    members = members[:n_members]
    state = _start(labels, from_others, to_others, likelihood)
    sizes, cells, evidence = state[2:5]
    first_cells = cells.copy()
    old = evidence.sum() + log_prior[here, : sizes[here]].sum()
    old += log_prior[there, : sizes[there]].sum()
    # The launch: apart at random, whatever they were, then scans.
    if split:
        _transfer(second, there, labels, from_others, to_others, state, likelihood)
    for v in range(n_members):
        new = here if uniforms[0, v] < 0.5 else there
        if new != labels[members[v]]:
            _transfer(members[v], new, labels, from_others, to_others, state, likelihood)
    freely = before[:0]
    log_q = 0.0
    for s in range(1, uniforms.shape[0]):
        last = s == uniforms.shape[0] - 1
        log_q = _scan(
            members,
            here,
            there,
            labels,
            before if last and not split else freely,
            uniforms[s],
            from_others,
            to_others,
            log_prior,
            state,
            likelihood,
        )
    if not split:
        for i in range(labels.size):
            if labels[i] == there:
                _transfer(i, here, labels, from_others, to_others, state, likelihood)
    new_total = evidence.sum() + log_prior[here, : sizes[here]].sum()
    new_total += log_prior[there, : sizes[there]].sum()
    return new_total - old, log_q, first_cells, cells


def propose(
    labels: Labels,
    edges: tuple[EdgeList, EdgeList],
    likelihood: StandIn,
    concentration: Floats,
    rng: np.random.Generator,
    scans: int = SCANS,
) -> Proposal | None:
    """Propose to split a block or to merge two.

    Two neurons are drawn. Those of one block are the seeds of two: the rest of their block is
    shared out between it and an empty one by restricted Gibbs scans. The blocks of neurons of two
    blocks are merged.

    Parameters
    ----------
    labels : array of int, shape (N,)
    edges : pair of EdgeList
        From `list_edges`.
    law : StandIn
    concentration : array, shape (K,)
    rng : numpy.random.Generator
    scans : int

    Returns
    -------
    Proposal, or None if there is no empty block to split into, or a single neuron
    """
    n = labels.size
    if n < 2:
        return None
    first, second = rng.choice(n, 2, replace=False)
    order, uniforms = rng.permutation(n), rng.random((scans + 2, n))
    empty = np.setdiff1d(np.arange(concentration.size), labels)
    split = labels[first] == labels[second]
    if split and not empty.size:
        return None
    there = rng.choice(empty) if split else labels[second]
    new = np.array(labels, dtype=np.int64)
    incoming, outgoing = map(tuple, edges)
    log_prior = log_label_prior(concentration, n)
    log_gain, log_q, before, after = _split_or_merge(
        new, first, second, there, order, uniforms, incoming, outgoing, log_prior, tuple(likelihood)
    )
    log_forward = log_q - np.log(empty.size) if split else np.log(empty.size + 1) - log_q
    sums = np.stack([with_absent(before, labels), with_absent(after, new)])
    return Proposal(new, float(log_gain), float(log_forward), sums)
