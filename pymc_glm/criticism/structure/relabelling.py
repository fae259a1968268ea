"""Draws of partitions: which neurons share a block, and one numbering of blocks for all draws.

The posterior does not change when blocks are renumbered, so block 0 of one draw need not be block 0
of the next. All functions work on arrays: labels have the shape (draw, neuron), with the chains
concatenated, and run from 0 to n_blocks - 1.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

__all__ = ["adjusted_rand_index", "co_assignment", "least_squares_draw", "relabelling"]

type Labels = NDArray[np.int64]  # (draw, neuron)

_MAX_PASSES = 50
_PSEUDO_COUNT = 0.5  # keeps the logarithm of a label that no draw has finite


def co_assignment(labels: Labels, n_blocks: int) -> NDArray[np.float64]:
    """Return the fraction of draws in which two neurons share a block; shape (neuron, neuron).

    Examples
    --------
    >>> import numpy as np
    >>> co_assignment(np.array([[0, 0, 1], [1, 0, 0]]), 2)
    array([[1. , 0.5, 0. ],
           [0.5, 1. , 0.5],
           [0. , 0.5, 1. ]])
    """
    together = np.zeros((labels.shape[1], labels.shape[1]))
    for block in range(n_blocks):
        member = (labels == block).astype(np.float64)
        together += member.T @ member
    return together / len(labels)


def least_squares_draw(labels: Labels, n_blocks: int, together: NDArray[np.float64]) -> int:
    r"""Return the draw whose partition is nearest to the co-assignment probabilities.

    It minimises :math:`\sum_{ij} (1[z_i = z_j] - p_{ij})^2` over the draws (Dahl 2006, Model-based
    clustering for expression data via a Dirichlet process mixture model, in Bayesian Inference for
    Gene Expression and Proteomics, Cambridge University Press).

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.array([[0, 1, 1], [0, 0, 1], [1, 1, 0]])
    >>> least_squares_draw(labels, 2, co_assignment(labels, 2))
    1
    """
    loss = np.zeros(len(labels))  # without the sum of p^2, the same for all draws
    for block in range(n_blocks):
        member = (labels == block).astype(np.float64)
        loss += np.einsum("dn,dn->d", member @ (1.0 - 2.0 * together), member)
    return int(loss.argmin())


def relabelling(labels: Labels, n_blocks: int) -> NDArray[np.int64]:
    r"""Find the renumbering of the blocks of every draw that makes the draws most alike.

    Starting from the least-squares draw, two steps alternate: the probability :math:`q_{ij}` that
    neuron i has label j is estimated from the draws, and every draw takes the renumbering with the
    largest :math:`\sum_i \log q_{i z_i}` (Stephens 2000, Dealing with label switching in mixture
    models, J. R. Statist. Soc. B 62:795-809, algorithm 2), an assignment problem. Finally blocks
    are numbered by size, the largest first. The result depends only on the partitions, not on the
    original numbers, except for blocks without neurons.

    Parameters
    ----------
    labels : array of int, shape (draw, neuron)
    n_blocks : int

    Returns
    -------
    array of int, shape (draw, n_blocks)
        New number of every block of every draw: the new labels are
        ``np.take_along_axis(relabelling(labels, n_blocks), labels, axis=1)``.

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.array([[1, 1, 0], [0, 0, 1]])
    >>> np.take_along_axis(relabelling(labels, 2), labels, axis=1)
    array([[0, 0, 1],
           [0, 0, 1]])
    """
    first = _by_first_neuron(labels, n_blocks)
    plain = np.take_along_axis(first, labels, axis=1)
    pivot = least_squares_draw(plain, n_blocks, co_assignment(plain, n_blocks))
    counts = _label_counts(plain[[pivot]], n_blocks)
    n_counted = 1
    renumbered = np.full((len(labels), n_blocks), -1)
    for _ in range(_MAX_PASSES):
        # The pseudo-count makes all labels that no draw has equally good for a new block.
        probability = (counts + _PSEUDO_COUNT) / (n_counted + n_blocks * _PSEUDO_COUNT)
        previous, renumbered = renumbered, _best_numbers(plain, np.log(probability))
        counts = _label_counts(np.take_along_axis(renumbered, plain, axis=1), n_blocks)
        n_counted = len(labels)
        if np.array_equal(previous, renumbered):
            break
    order = _by_size(counts)
    return order[np.take_along_axis(renumbered, first, axis=1)]


def _by_first_neuron(labels: Labels, n_blocks: int) -> NDArray[np.int64]:
    """Rank blocks by their first neuron, empty ones last; shape (draw, block)."""
    n_neurons = labels.shape[1]
    first = np.empty((len(labels), n_blocks), dtype=np.int64)
    for block in range(n_blocks):
        member = labels == block
        first[:, block] = np.where(member.any(axis=1), member.argmax(axis=1), n_neurons + block)
    return first.argsort(axis=1).argsort(axis=1)


def _label_counts(labels: Labels, n_blocks: int) -> NDArray[np.float64]:
    """Count the draws in which a neuron has each label; shape (neuron, block)."""
    return np.stack([(labels == block).sum(axis=0) for block in range(n_blocks)], axis=1) * 1.0


def _best_numbers(labels: Labels, log_probability: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the renumbering of every draw with the largest sum of log probabilities."""
    n_blocks = log_probability.shape[1]
    score = np.stack(
        [(labels == block).astype(np.float64) @ log_probability for block in range(n_blocks)],
        axis=1,
    )  # (draw, block, new number)
    return np.array([linear_sum_assignment(one, maximize=True)[1] for one in score])


def _by_size(counts: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rank blocks by size, then by their first neuron; counts (neuron, block)."""
    n_neurons, n_blocks = counts.shape
    best = counts.argmax(axis=1)
    likely = best[:, None] == np.arange(n_blocks)
    first = np.where(likely.any(axis=0), likely.argmax(axis=0), n_neurons)
    order = np.lexsort((first, -counts.sum(axis=0)))
    return order.argsort()


def adjusted_rand_index(labels: Labels, truth: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the adjusted Rand index of every draw with the truth: 1 if equal, 0 by chance.

    Hubert & Arabie (1985), Comparing partitions, Journal of Classification 2:193-218, equation 5.
    The index is 1 for two partitions that are necessarily the same (one block, or one neuron per
    block).

    Parameters
    ----------
    labels : array of int, shape (draw, neuron)
    truth : array of int, shape (neuron,)
        Numbers from 0.

    Returns
    -------
    array, shape (draw,)

    Examples
    --------
    >>> import numpy as np
    >>> adjusted_rand_index(np.array([[1, 1, 0, 0], [0, 1, 0, 1]]), np.array([0, 0, 1, 1]))
    array([ 1. , -0.5])
    """
    true_member = np.eye(int(truth.max()) + 1)[truth]  # (neuron, true block)
    shared, drawn = np.zeros(len(labels)), np.zeros(len(labels))
    for block in range(int(labels.max()) + 1):
        overlap = (labels == block).astype(np.float64) @ true_member
        shared += _pairs(overlap).sum(axis=1)
        drawn += _pairs(overlap.sum(axis=1))
    true = _pairs(true_member.sum(axis=0)).sum()
    expected = drawn * true / max(len(truth) * (len(truth) - 1) / 2, 1.0)
    most = (drawn + true) / 2
    certain = most == expected
    return np.where(certain, 1.0, (shared - expected) / np.where(certain, 1.0, most - expected))


def _pairs(n: NDArray[np.float64]) -> NDArray[np.float64]:
    return n * (n - 1) / 2
