r"""The log likelihood of a post neuron to second order, and what it says about single edges.

Under this surrogate everything is normal: the weights of an edge can be integrated out, and so can
the bias, which moves together with them. With coefficients :math:`\beta` (bias, weights of present
edges) the surrogate is :math:`s(\beta) = \ell' \beta - \beta' F \beta / 2`.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.compiling import compiled, inlined
from pymc_glm.kernels.fisher import Metric
from pymc_glm.kernels.prior import BiasPrior, EdgePrior
from pymc_glm.kernels.triangular import cholesky, log_determinant, solve, solve_transposed

__all__ = [
    "Coefficients",
    "Expansion",
    "Surrogate",
    "Surrogates",
    "add_edge_to",
    "change_of",
    "expansion_at",
    "log_odds_of",
    "no_surrogates",
    "remove_edge_from",
    "surrogate_of",
    "write_surrogate",
]

type Floats = NDArray[np.float64]


class Expansion(NamedTuple):
    """The log likelihood to second order: linear . beta - beta' joint beta / 2."""

    metric: Metric  # its chosen pre neurons are those whose edges are moved here
    linear: Floats  # (post, 1 + C B), in the order of the joint matrix


class Surrogates(NamedTuple):
    """Surrogate posteriors of all post neurons, with C edges and D = 1 + C B coefficients each."""

    pre: NDArray[np.int64]  # (post, C): in ascending order
    size: NDArray[np.int64]  # (post,): how many of them there are
    precision: Floats  # (post, C, B, B): of the slabs
    row: Floats  # (post, D): the row of the bias in the posterior precision
    information: Floats  # (post, D): of the posterior, with the bias integrated out
    shift: Floats  # (post, D): decrease of the bias per unit of each weight
    constant: Floats  # (post, C): log prior odds plus log normalising constant of each slab


class Surrogate(NamedTuple):
    """Surrogate likelihood and posterior of one post neuron; see `Surrogates`."""

    pre: NDArray[np.int64]  # (C,)
    linear: Floats  # (D,)
    quadratic: Floats  # (D, D)
    precision: Floats  # (C, B, B)
    row: Floats  # (D,)
    information: Floats  # (D,)
    shift: Floats  # (D,)
    constant: Floats  # (C,)


class Coefficients(NamedTuple):
    """The coefficients of one post neuron, and a proposed change of them."""

    beta: Floats  # (D,)
    present: NDArray[np.int8]  # (C,)
    change: Floats  # (D,): of beta
    factor: Floats  # (B, B): Cholesky factor of the precision of an edge's weights
    mean: Floats  # (B,): of an edge's weights


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


def no_surrogates(expansion: Expansion, size: int) -> Surrogates:
    """Allocate the surrogates of an expansion, whose edges have `size` weights."""
    n_post, width = expansion.linear.shape
    n_edges = (width - 1) // size
    return Surrogates(
        np.zeros((n_post, n_edges), np.int64),
        np.zeros(n_post, np.int64),
        np.zeros((n_post, n_edges, size, size)),
        np.zeros((n_post, width)),
        np.zeros((n_post, width)),
        np.zeros((n_post, width)),
        np.zeros((n_post, n_edges)),
    )


@compiled
def surrogate_of(n: int, expansion: Expansion, surrogates: Surrogates) -> Surrogate:
    """Return the surrogate of post neuron n."""
    number, size = surrogates.size[n], surrogates.precision.shape[2]
    width = 1 + number * size
    return Surrogate(
        surrogates.pre[n, :number],
        expansion.linear[n],
        expansion.metric.joint[n],
        surrogates.precision[n, :number],
        surrogates.row[n, :width],
        surrogates.information[n, :width],
        surrogates.shift[n, :width],
        surrogates.constant[n, :number],
    )


@inlined
def write_surrogate(
    n: int, prior: EdgePrior, bias_prior: BiasPrior, expansion: Expansion, surrogates: Surrogates
) -> None:
    """Write the surrogate posterior of post neuron n."""
    metric, size = expansion.metric, prior.mean.shape[2]
    pre = np.flatnonzero(metric.place[n] >= 0)
    surrogates.size[n] = pre.size
    surrogates.pre[n, : pre.size] = pre
    width = 1 + pre.size * size
    quadratic, linear = metric.joint[n], expansion.linear[n]
    row, information = surrogates.row[n, :width], surrogates.information[n, :width]
    for i in range(width):
        row[i], information[i] = quadratic[0, i], linear[i]
    row[0] += bias_prior.precision[n]
    information[0] += bias_prior.precision[n] * bias_prior.mean[n]
    constant, precision = surrogates.constant[n], surrogates.precision[n]
    for j in range(pre.size):
        m, at = pre[j], 1 + j * size
        constant[j] = prior.log_odds[n, m] + 0.5 * prior.log_det[n, m]
        for b in range(size):
            for c in range(size):
                p = precision[j, b, c] = prior.precision[n, m, b, c]
                information[at + b] += p * prior.mean[n, m, c]
                constant[j] -= 0.5 * prior.mean[n, m, b] * p * prior.mean[n, m, c]
    first = information[0]
    for i in range(width):
        surrogates.shift[n, i] = row[i] / row[0]
        information[i] -= surrogates.shift[n, i] * first


@compiled
def log_odds_of(surrogate: Surrogate, state: Coefficients, j: int) -> float:
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
def add_edge_to(surrogate: Surrogate, state: Coefficients, j: int, normals: Floats) -> None:
    """Write a new edge j to the change, with weights drawn from the result of `log_odds_of`."""
    size = state.mean.size
    noise = normals.copy()
    solve_transposed(state.factor, noise)
    for b in range(size):
        at = 1 + j * size + b
        state.change[at] = state.mean[b] + noise[b]
        state.change[0] -= surrogate.shift[at] * state.change[at]


@compiled
def remove_edge_from(surrogate: Surrogate, state: Coefficients, j: int) -> None:
    """Write the removal of edge j to the change."""
    size = state.mean.size
    for at in range(1 + j * size, 1 + (j + 1) * size):
        state.change[at] = -state.beta[at]
        state.change[0] += surrogate.shift[at] * state.beta[at]


@inlined
def change_of(surrogate: Surrogate, state: Coefficients) -> float:
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
