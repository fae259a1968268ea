"""Proposals that split a block of neurons in two, or merge two blocks into one.

If labels move one at a time, a block that holds two cell types, or half of one, tends to stay as it
is: the tables of an empty block are drawn from their prior and suit no neuron. Here whole blocks
are split and merged with the tables between blocks integrated out, by restricted Gibbs scans (Jain
& Neal 2004, J. Comp. Graph. Stat. 13:158). The priors of the tables in the model cannot be
integrated, so they are approximated by conjugate stand-ins of similar location and spread. The
result is only a proposal, to be accepted or rejected under the model itself.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, gammaln, polygamma

from pymc_glm.kernels.blocks import (
    EdgeList,
    Floats,
    Labels,
    block_sums,
    log_label_prior,
    move_neuron,
    with_absent,
)
from pymc_glm.kernels.compiling import compiled
from pymc_glm.kernels.triangular import cholesky, log_determinant

__all__ = ["Proposal", "StandIn", "propose", "stand_in"]

SCANS = 5  # restricted Gibbs scans that prepare a split
STRONGEST = 1e6  # number of prior observations that represents a fixed table


class StandIn(NamedTuple):
    """Conjugate priors of the tables: beta of probabilities, normal-inverse-Wishart of slabs."""

    present: Floats  # (K, K): parameters of the beta priors, 0 if edges do not depend on blocks
    absent: Floats  # (K, K)
    edge_constant: Floats  # (K, K): terms that do not depend on the sums
    kappa: Floats  # (K, K): number of prior observations of the mean
    nu: Floats  # (K, K): degrees of freedom
    shift: Floats  # (K, K, B): kappa times the mean m
    scatter: Floats  # (K, K, B, B): scatter matrix + kappa m m'
    slab_constant: Floats  # (K, K)


class Proposal(NamedTuple):
    """Proposed labels, with the terms of the acceptance ratio."""

    labels: Labels  # (N,)
    log_gain: float  # change of the log posterior of the labels under the stand-in
    log_forward: float  # log probability of this proposal minus that of the reverse one
    sums: Floats  # (2, K, K, 2 + B + B (B + 1) / 2): before and after, over all distinct pairs:
    # absent edges, present edges, w, (w w')[lower triangle]


class _State(NamedTuple):
    """Labels and all sums that depend on them; changed in place."""

    labels: Labels  # (N,)
    incoming: Floats  # (N, K, F): sums over the edges of each neuron from the neurons of a block
    outgoing: Floats  # (N, K, F): and over its edges to them
    sizes: Labels  # (K,)
    cells: Floats  # (K, K, F): sums over the pairs of two blocks
    evidence: Floats  # (K, K)
    kept: NDArray[np.bool_]  # (N,): all True, see `move_neuron`


def _inverse_trigamma(value: Floats) -> Floats:
    """Solve polygamma(1, x) = value by Newton's method in log x (convex and monotone)."""
    x = 0.5 + 1 / value
    for _ in range(20):
        x = x * np.exp(-(polygamma(1, x) - value) / (x * polygamma(2, x)))
    return x


def _beta(probability: Floats) -> tuple[Floats, Floats]:
    """Return the parameters of the beta distributions with the mean and variance over draws."""
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
    """Match conjugate priors to draws of the tables from their priors.

    Parameters
    ----------
    n_blocks : int
    probability : array, shape (draw, K, K), optional
    mean, whitening : arrays, shapes (draw, K, K, B) and (draw, K, K, B, B), optional

    Notes
    -----
    Edge probabilities and slab means are matched by mean and variance. Variances of weights are
    matched by mean and variance of their logarithm, since an inverse gamma distribution with the
    moments of a log-normal one has no mass at small variances.
    """
    shape = (n_blocks, n_blocks)
    present, absent = np.zeros(shape), np.zeros(shape)
    edge_constant = np.zeros(shape)
    if probability is not None:
        present, absent = _beta(probability)
        edge_constant = gammaln(present + absent) - gammaln(present) - gammaln(absent)
    if mean is None or whitening is None:
        zero = np.zeros(shape)
        return StandIn(
            present,
            absent,
            edge_constant,
            zero + 1,
            zero + 1,
            np.zeros((*shape, 0)),
            np.zeros((*shape, 0, 0)),
            zero,
        )
    size = mean.shape[-1]
    root = np.linalg.inv(whitening)
    covariance = root @ np.swapaxes(root, -1, -2)
    variance = np.einsum("...aa->...a", covariance)
    scale = np.sqrt(variance)
    correlation = (covariance / scale[..., :, None] / scale[..., None, :]).mean(axis=0)
    # The marginal distribution of a variance is inverse gamma with shape (nu - B + 1) / 2.
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
def _log_evidence(n_pairs, sums, k, j, prior):
    """Return the log evidence of the pairs of post neurons in block k and pre neurons in j."""
    n = sums[0]
    total = 0.0
    if n_pairs > 0 and prior.present[k, j] > 0.0:
        a, b = prior.present[k, j], prior.absent[k, j]
        total += prior.edge_constant[k, j] + math.lgamma(a + n) + math.lgamma(b + n_pairs - n)
        total -= math.lgamma(a + b + n_pairs)
    shift, scatter, nu = prior.shift, prior.scatter, prior.nu[k, j]
    size = shift.shape[2]
    if n == 0.0 or size == 0:
        return total
    kappa = prior.kappa[k, j] + n
    lower = np.empty((size, size))
    at = 1 + size
    for a in range(size):
        mean = (shift[k, j, a] + sums[1 + a]) / kappa
        for b in range(a + 1):
            lower[a, b] = scatter[k, j, a, b] + sums[at] - mean * (shift[k, j, b] + sums[1 + b])
            at += 1
        total += math.lgamma(0.5 * (nu + n - a))
    cholesky(lower, lower)
    total += prior.slab_constant[k, j] - 0.5 * size * (n * math.log(math.pi) + math.log(kappa))
    return total - 0.5 * (nu + n) * log_determinant(lower)


@compiled
def _n_pairs(sizes, k, j):
    return sizes[k] * sizes[j] - (sizes[k] if j == k else 0)


@compiled
def _start(labels, from_others, to_others, prior):
    """Return the state with given labels, which it shares."""
    n_blocks = prior.present.shape[0]
    incoming = block_sums(labels, from_others, n_blocks)
    outgoing = block_sums(labels, to_others, n_blocks)
    sizes = np.zeros(n_blocks, np.int64)
    cells = np.zeros((n_blocks, n_blocks, incoming.shape[2]))
    for i in range(labels.size):
        sizes[labels[i]] += 1
        cells[labels[i]] += incoming[i]
    evidence = np.empty((n_blocks, n_blocks))
    for k in range(n_blocks):
        for j in range(n_blocks):
            evidence[k, j] = _log_evidence(_n_pairs(sizes, k, j), cells[k, j], k, j, prior)
    kept = np.ones(labels.size, np.bool_)
    return _State(labels, incoming, outgoing, sizes, cells, evidence, kept)


@compiled
def _shift(i, k, sign, state, prior):
    """Add neuron i to block k (sign = 1), or remove it (sign = -1)."""
    sizes, cells, evidence = state.sizes, state.cells, state.evidence
    sizes[k] += sign
    for j in range(sizes.size):
        for f in range(cells.shape[2]):
            cells[k, j, f] += sign * state.incoming[i, j, f]
            cells[j, k, f] += sign * state.outgoing[i, j, f]
    for j in range(sizes.size):
        n_pairs = _n_pairs(sizes, k, j)
        evidence[k, j] = _log_evidence(n_pairs, cells[k, j], k, j, prior)
        evidence[j, k] = _log_evidence(n_pairs, cells[j, k], j, k, prior)


@compiled
def _gain(i, k, state, prior, buffer):
    """Return the gain in log evidence from adding neuron i, now in no block, to block k."""
    incoming, outgoing, sizes = state.incoming, state.outgoing, state.sizes
    cells, evidence = state.cells, state.evidence
    total = 0.0
    for j in range(sizes.size):
        if sizes[j] > 0 and j != k:
            n_pairs = (sizes[k] + 1) * sizes[j]
            for f in range(buffer.size):
                buffer[f] = cells[k, j, f] + incoming[i, j, f]
            total += _log_evidence(n_pairs, buffer, k, j, prior) - evidence[k, j]
            for f in range(buffer.size):
                buffer[f] = cells[j, k, f] + outgoing[i, j, f]
            total += _log_evidence(n_pairs, buffer, j, k, prior) - evidence[j, k]
    for f in range(buffer.size):
        buffer[f] = cells[k, k, f] + incoming[i, k, f] + outgoing[i, k, f]
    n_pairs = (sizes[k] + 1) * sizes[k]
    return total + _log_evidence(n_pairs, buffer, k, k, prior) - evidence[k, k]


@compiled
def _relabel(i, new, from_others, to_others, state):
    """Change the label of neuron i, and the sums of its neighbours."""
    old = state.labels[i]
    state.labels[i] = new
    move_neuron(i, old, new, from_others, state.outgoing, state.kept)
    move_neuron(i, old, new, to_others, state.incoming, state.kept)


@compiled
def _transfer(i, new, from_others, to_others, state, prior):
    """Move neuron i to another block."""
    _shift(i, state.labels[i], -1, state, prior)
    _shift(i, new, 1, state, prior)
    _relabel(i, new, from_others, to_others, state)


@compiled
def _scan(members, here, there, wanted, uniforms, from_others, to_others, log_prior, state, prior):
    """Draw the labels of all members from two blocks; return the log probability of the result.

    Labels that are wanted (all, or none if empty) are set instead of drawn.
    """
    sizes, buffer = state.sizes, np.empty(state.cells.shape[2])
    log_q = 0.0
    for v in range(members.size):
        i = members[v]
        old = state.labels[i]
        _shift(i, old, -1, state, prior)
        log_odds = log_prior[here, sizes[here]] - log_prior[there, sizes[there]]
        log_odds += _gain(i, here, state, prior, buffer) - _gain(i, there, state, prior, buffer)
        # log(1 + exp(-x)), without overflow
        cost_here = max(-log_odds, 0.0) + math.log1p(math.exp(-abs(log_odds)))
        if wanted.size:
            new = wanted[i]
        else:
            new = here if -math.log(uniforms[v]) > cost_here else there
        log_q -= cost_here if new == here else cost_here + log_odds
        _shift(i, new, 1, state, prior)
        if new != old:
            _relabel(i, new, from_others, to_others, state)
    return log_q


@compiled
def _log_posterior(here, there, log_prior, state):
    """Return the log posterior of the labels under the stand-in, up to that of other blocks."""
    sizes = state.sizes
    total = state.evidence.sum() + log_prior[here, : sizes[here]].sum()
    return total + log_prior[there, : sizes[there]].sum()


@compiled
def _split_or_merge(
    labels, first, second, there, order, uniforms, from_others, to_others, log_prior, prior
):
    """Split the block of the first and second neuron, or merge theirs; change labels in place."""
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
    state = _start(labels, from_others, to_others, prior)
    first_cells = state.cells.copy()
    old = _log_posterior(here, there, log_prior, state)
    # The launch state: a random split, for any present labels, followed by scans.
    if split:
        _transfer(second, there, from_others, to_others, state, prior)
    for v in range(n_members):
        new = here if uniforms[0, v] < 0.5 else there
        if new != labels[members[v]]:
            _transfer(members[v], new, from_others, to_others, state, prior)
    log_q = 0.0
    for s in range(1, uniforms.shape[0]):
        last = s == uniforms.shape[0] - 1
        wanted = before if last and not split else before[:0]
        edges = from_others, to_others
        log_q = _scan(members, here, there, wanted, uniforms[s], *edges, log_prior, state, prior)
    if not split:
        for i in range(labels.size):
            if labels[i] == there:
                _transfer(i, here, from_others, to_others, state, prior)
    gain = _log_posterior(here, there, log_prior, state) - old
    return gain, log_q, first_cells, state.cells


def propose(
    labels: Labels,
    edges: tuple[EdgeList, EdgeList],
    prior: StandIn,
    concentration: Floats,
    rng: np.random.Generator,
    scans: int = SCANS,
) -> Proposal | None:
    """Propose to split a block or to merge two.

    Two neurons are drawn. If they are in the same block, they are the seeds of two: the rest of
    their block is divided between it and an empty block by restricted Gibbs scans. If they are in
    different blocks, these are merged.

    Parameters
    ----------
    labels : array of int, shape (N,)
    edges : pair of EdgeList
        From `list_edges`.
    prior : StandIn
    concentration : array, shape (K,)
    rng : numpy.random.Generator
    scans : int

    Returns
    -------
    Proposal or None
        None if there is no empty block for a split, or only one neuron.
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
    log_prior = log_label_prior(concentration, n)
    log_gain, log_q, before, after = _split_or_merge(
        new, first, second, there, order, uniforms, *edges, log_prior, prior
    )
    log_forward = log_q - np.log(empty.size) if split else np.log(empty.size + 1) - log_q
    sums = np.stack([with_absent(before, labels), with_absent(after, new)])
    return Proposal(new, float(log_gain), float(log_forward), sums)
