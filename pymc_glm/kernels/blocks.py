"""Gibbs sampling of block labels: one neuron at a time from its exact conditional.

Given the tables between blocks, the density of a pair of neurons is an exponential family. The
conditional of a neuron's label therefore depends on its edges only through sums over those to and
from each block: their number, the sum of w and the sum of w w'. These sums are kept for every
neuron and block. Visiting a neuron then takes O(K^2) products for any number of neurons, and moving
it takes one pass over its edges.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.compiling import compiled

__all__ = [
    "BlockTables",
    "EdgeList",
    "block_sums",
    "list_edges",
    "log_label_prior",
    "make_tables",
    "pair_sums",
    "self_edge_log_density",
    "sweep_labels",
    "with_absent",
]

type Floats = NDArray[np.float64]
type Labels = NDArray[np.int64]


class BlockTables(NamedTuple):
    """Log density of a pair of neurons by blocks [block of post, block of pre].

    It is ``absent`` for an absent edge, ``present @ (1, w, (w w')[lower triangle])`` for a present
    one.
    """

    absent: Floats  # (K, K)
    present: Floats  # (K, K, 1 + B + B (B + 1) / 2); B = 0 if weights do not depend on blocks


class EdgeList(NamedTuple):
    """The present edges of each neuron from others, or to others, without self-edges."""

    start: NDArray[np.int64]  # (N + 1,): index of the first edge of each neuron
    other: NDArray[np.int64]  # (edges,): the neuron at the other end
    weights: Floats  # (edges, B)


def make_tables(
    probability: Floats | None = None,
    mean: Floats | None = None,
    whitening: Floats | None = None,
) -> BlockTables:
    """Convert probabilities and slabs between blocks to coefficients of the sums over edges.

    Parameters
    ----------
    probability : array, shape (..., K, K), optional
        Edge probabilities, 0 and 1 included; None if edges do not depend on these labels.
    mean, whitening : arrays, shapes (..., K, K, B) and (..., K, K, B, B), optional
        Slab means and lower triangular Q with covariance inv(Q'Q); None if the weights do not
        depend on these labels.
    """
    absent: Floats | float = 0.0
    present: Floats | float = 0.0
    if probability is not None:
        with np.errstate(divide="ignore"):
            absent, present = np.log1p(-probability), np.log(probability)
        if mean is None:
            return BlockTables(absent, present[..., None])
    if mean is None or whitening is None:
        raise ValueError("probability, mean, whitening: got none; give probabilities or slabs.")
    precision = np.swapaxes(whitening, -1, -2) @ whitening
    linear = (precision @ mean[..., None])[..., 0]
    diagonal = np.einsum("...aa->...a", whitening)
    constant = np.log(diagonal).sum(axis=-1) - 0.5 * (
        (linear * mean).sum(axis=-1) + mean.shape[-1] * np.log(2 * np.pi)
    )
    rows, columns = np.tril_indices(mean.shape[-1])
    quadratic = np.where(rows == columns, -0.5, -1.0) * precision[..., rows, columns]
    slab = np.concatenate([(present + constant)[..., None], linear, quadratic], axis=-1)
    return BlockTables(absent + np.zeros(slab.shape[:-1]), slab)


@compiled
def _list_edges(adjacency, weights):
    n = adjacency.shape[0]
    size = weights.shape[2]
    start_in = np.zeros(n + 1, np.int64)
    start_out = np.zeros(n + 1, np.int64)
    for i in range(n):
        for j in range(n):
            if adjacency[i, j] != 0 and i != j:
                start_in[i + 1] += 1
                start_out[j + 1] += 1
    start_in = np.cumsum(start_in)
    start_out = np.cumsum(start_out)
    n_edges = start_in[n]
    pre = np.empty(n_edges, np.int64)
    post = np.empty(n_edges, np.int64)
    weights_in = np.empty((n_edges, size))
    weights_out = np.empty((n_edges, size))
    filled = start_out[:n].copy()
    e = 0
    for i in range(n):
        for j in range(n):
            if adjacency[i, j] != 0 and i != j:
                f = filled[j]
                filled[j] += 1
                pre[e] = j
                post[f] = i
                for b in range(size):
                    weights_in[e, b] = weights[i, j, b]
                    weights_out[f, b] = weights[i, j, b]
                e += 1
    return EdgeList(start_in, pre, weights_in), EdgeList(start_out, post, weights_out)


def list_edges(
    adjacency: NDArray[np.integer], weights: Floats | None = None
) -> tuple[EdgeList, EdgeList]:
    """List the present edges between distinct neurons, by post neuron and by pre neuron.

    Parameters
    ----------
    adjacency : array of int, shape (post, pre)
    weights : array, shape (post, pre, B), optional
        None if they do not depend on the labels.

    Returns
    -------
    pair of EdgeList
        Edges from other neurons, and edges to other neurons.
    """
    if weights is None:
        weights = np.empty((*adjacency.shape, 0))
    return _list_edges(adjacency, weights)


@compiled
def _add(sums, i, k, weights, e):
    """Add edge e, (1, w, (w w')[lower triangle]), to sums[i, k]."""
    size = weights.shape[1]
    sums[i, k, 0] += 1.0
    at = 1 + size
    for a in range(size):
        weight = weights[e, a]
        sums[i, k, 1 + a] += weight
        for b in range(a + 1):
            sums[i, k, at] += weight * weights[e, b]
            at += 1


@compiled
def _sum_edges(i, labels, edges, sums):
    """Write the sums over the edges of neuron i."""
    start, other, weights = edges
    sums[i] = 0.0
    for e in range(start[i], start[i + 1]):
        _add(sums, i, labels[other[e]], weights, e)


@compiled
def block_sums(labels: Labels, edges: EdgeList, n_blocks: int) -> Floats:
    """Return the sums over each neuron's edges by the block of the neuron at the other end.

    Parameters
    ----------
    labels : array of int, shape (N,)
    edges : EdgeList
    n_blocks : int

    Returns
    -------
    array, shape (N, K, 1 + B + B (B + 1) / 2)
        Sums of (1, w, (w w')[lower triangle]).
    """
    n, size = labels.size, edges.weights.shape[1]
    sums = np.empty((n, n_blocks, 1 + size + size * (size + 1) // 2))
    for i in range(n):
        _sum_edges(i, labels, edges, sums)
    return sums


def with_absent(present: Floats, labels: Labels) -> Floats:
    """Prepend the number of absent edges between blocks to the sums over present edges."""
    sizes = np.bincount(labels, minlength=len(present)).astype(float)
    n_pairs = np.outer(sizes, sizes) - np.diag(sizes)
    return np.concatenate([(n_pairs - present[..., 0])[..., None], present], axis=-1)


def pair_sums(labels: Labels, incoming: EdgeList, n_blocks: int) -> Floats:
    """Return the sums over all pairs of distinct neurons by blocks [block of post, block of pre].

    Parameters
    ----------
    labels : array of int, shape (N,)
    incoming : EdgeList
        Edges from other neurons, see `list_edges`.
    n_blocks : int

    Returns
    -------
    array, shape (K, K, 2 + B + B (B + 1) / 2)
        Absent edges, present edges, and sums of w and (w w')[lower triangle].
    """
    by_neuron = block_sums(labels, incoming, n_blocks)
    present = np.zeros((n_blocks, *by_neuron.shape[1:]))
    np.add.at(present, labels, by_neuron)
    return with_absent(present, labels)


@compiled
def move_neuron(i, old, new, edges, sums, kept):
    """Move neuron i to another block in those sums of its neighbours that are kept."""
    start, other, weights = edges
    size = weights.shape[1]
    for e in range(start[i], start[i + 1]):
        j = other[e]
        if not kept[j]:
            continue
        sums[j, old, 0] -= 1.0
        sums[j, new, 0] += 1.0
        at = 1 + size
        for a in range(size):
            weight = weights[e, a]
            sums[j, old, 1 + a] -= weight
            sums[j, new, 1 + a] += weight
            for b in range(a + 1):
                product = weight * weights[e, b]
                sums[j, old, at] -= product
                sums[j, new, at] += product
                at += 1


@compiled
def _pairs(absent, present, n_others, sums):
    """Return the log density of a neuron's pairs with a block; 0 log 0 is 0."""
    total = 0.0
    if n_others > sums[0]:
        total += (n_others - sums[0]) * absent
    if sums[0] > 0:
        for f in range(sums.size):
            total += present[f] * sums[f]
    return total


@compiled
def _log_conditional(i, sizes, tables, log_prior, self_edges, incoming, outgoing, out):
    """Write the unnormalised log conditional of neuron i's label; sizes exclude the neuron."""
    n_blocks, (absent, present) = sizes.size, tables
    for k in range(n_blocks):
        total = log_prior[k, sizes[k]] + self_edges[i, k]
        for j in range(n_blocks):
            if sizes[j] > 0:
                total += _pairs(absent[k, j], present[k, j], sizes[j], incoming[i, j])
                total += _pairs(absent[j, k], present[j, k], sizes[j], outgoing[i, j])
        out[k] = total


@compiled
def _choose(log_p, uniform, current):
    """Draw from unnormalised log probabilities; return current if all are zero."""
    highest = log_p.max()
    if highest == -np.inf:
        return current
    total = 0.0
    for k in range(log_p.size):
        total += np.exp(log_p[k] - highest)
    left = uniform * total
    chosen = current
    for k in range(log_p.size):
        p = np.exp(log_p[k] - highest)
        if p > 0.0:
            chosen = k
            left -= p
            if left < 0.0:
                break
    return chosen


@compiled
def _sweep_labels(labels, from_others, to_others, tables, log_prior, self_edges, orders, uniforms):
    n, n_blocks = labels.size, tables.absent.shape[0]
    incoming = np.empty((n, n_blocks, tables.present.shape[2]))
    outgoing = np.empty((n, n_blocks, tables.present.shape[2]))
    kept = np.zeros(n, np.bool_)  # whether the sums of a neuron are up to date and needed again
    sizes = np.zeros(n_blocks, np.int64)
    for label in labels:
        sizes[label] += 1
    log_p = np.empty(n_blocks)
    moved = 0
    for sweep in range(orders.shape[0]):
        for visit in range(n):
            i = orders[sweep, visit]
            if not kept[i]:
                _sum_edges(i, labels, from_others, incoming)
                _sum_edges(i, labels, to_others, outgoing)
            old = labels[i]
            sizes[old] -= 1
            _log_conditional(i, sizes, tables, log_prior, self_edges, incoming, outgoing, log_p)
            new = _choose(log_p, uniforms[sweep, visit], old)
            sizes[new] += 1
            if new != old:
                labels[i] = new
                moved += 1
                move_neuron(i, old, new, from_others, outgoing, kept)
                move_neuron(i, old, new, to_others, incoming, kept)
            kept[i] = sweep < orders.shape[0] - 1
    return moved


def log_label_prior(concentration: Floats, n_neurons: int) -> Floats:
    """Return the log prior odds of joining each block by its number of other neurons, (K, N)."""
    return np.log(concentration[:, None] + np.arange(n_neurons))


def sweep_labels(
    labels: Labels,
    edges: tuple[EdgeList, EdgeList],
    tables: BlockTables,
    concentration: Floats,
    self_edges: Floats,
    rng: np.random.Generator,
    sweeps: int = 1,
) -> tuple[Labels, int]:
    """Draw every label from its conditional given all others, in random order.

    Parameters
    ----------
    labels : array of int, shape (N,)
    edges : pair of EdgeList
        From `list_edges`.
    tables : BlockTables
    concentration : array, shape (K,)
        Of the Dirichlet prior of the block weights, which are integrated out.
    self_edges : array, shape (N, K)
        Log density of the self-edge of each neuron if it were in block k.
    rng : numpy.random.Generator
    sweeps : int

    Returns
    -------
    labels : array of int, shape (N,)
    moved : int
        Number of changes of a label.
    """
    labels = np.array(labels, dtype=np.int64)
    n = labels.size
    orders = rng.permuted(np.tile(np.arange(n), (sweeps, 1)), axis=1)
    uniforms = rng.random((sweeps, n))
    log_prior = log_label_prior(concentration, n)
    moved = _sweep_labels(labels, *edges, tables, log_prior, self_edges, orders, uniforms)
    return labels, moved


def self_edge_log_density(
    present: NDArray[np.bool_],
    probability: Floats | None,
    weights: Floats | None,
    mean: Floats | None,
    whitening: Floats | None,
) -> Floats | float:
    """Return the log density of the self-edge of each neuron if it were in each block, (N, K).

    Parameters
    ----------
    present : array of bool, shape (N, 1)
        Whether the neuron has a self-edge.
    probability : array, shape (K,), optional
        Of the self-edge, by block; None if it does not depend on the block.
    weights : array, shape (N, 1, B), optional
        Self-weights; None if they do not depend on the block.
    mean, whitening : arrays, shapes (N or 1, K or 1, B) and (N or 1, K or 1, B, B), optional
        The slab of the self-weights, by neuron and block.
    """
    total: Floats | float = 0.0
    if probability is not None:
        with np.errstate(divide="ignore"):
            total = np.where(present, np.log(probability), np.log1p(-probability))
    if weights is not None and mean is not None and whitening is not None:
        white = np.einsum("...ab,...b->...a", whitening, weights - mean)
        diagonal = np.einsum("...aa->...a", whitening)
        slab = (np.log(diagonal) - 0.5 * white**2 - 0.5 * np.log(2 * np.pi)).sum(axis=-1)
        total = total + np.where(present, slab, 0.0)
    return total
