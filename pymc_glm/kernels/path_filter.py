"""One-step-ahead prediction of counts with the path of shared input integrated out.

The activation of post neuron n is psi[t, n] + sum_k loadings[n, k] f_k(t). Each factor f_k is an
autoregression on its own grid, begun anew in every segment. Where neurons receive it with different
delays, the state holds the values of each factor from the one that the first neuron receives to the
one that the last does. The filter keeps a normal distribution of them given all counts before. For
each neuron of a bin, in their order, it computes the density of the count with the factors
integrated out, and then takes the count into account: the new normal distribution has the exact
mean and covariance of the old one times the density of the count (assumed density filtering:
Maybeck 1982, Stochastic Models, Estimation, and Control 2, chapter 12; Minka 2001, PhD thesis, MIT,
chapter 3). Only the activation of the neuron matters, so this is one integral in one dimension, see
`kernels/normal_activation.py`. For traces this is the Kalman filter, which is exact.

By the chain rule, the sum over the neurons of a bin is the log predictive density of the bin. A
bin, whose counts are simultaneous, is processed neuron by neuron: the term of a neuron is its
density given the past and the counts of the neurons before it.
"""

import math
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.compiling import compiled, inlined
from pymc_glm.kernels.likelihood import LOGISTIC, POISSON, Likelihood, neuron_likelihood
from pymc_glm.kernels.normal_activation import (
    NARROW,
    RARE,
    WIDE,
    Quadrature,
    expected_count,
    silent,
    tilted,
)
from pymc_glm.kernels.shared_path import autoregression

__all__ = [
    "Belief",
    "Delays",
    "Factors",
    "expected_counts",
    "factors_of",
    "filter_path",
    "prior_belief",
]

_SINGULAR = 1e-12  # variance of a value that the others determine

type Floats = NDArray[np.float64]
type Integers = NDArray[np.int64]


class Factors(NamedTuple):
    """The autoregressions of all factors, their loadings and delays."""

    loadings: Floats  # (post, factor)
    width: Integers  # (factor,): bins of a step of the grid
    newest: Integers  # (factor,): place of the newest value in the state; older ones follow
    n_values: Integers  # (factor,): number of values in the state
    first: Floats  # (factor,): coefficient of the last value
    second: Floats  # (factor,): coefficient of the one before
    noise: Floats  # (factor,): variance of the innovations
    correlation: Floats  # (factor,): of successive values
    age: Integers  # (post,): bins from what reaches a neuron back to the beginning of the grid


class Belief(NamedTuple):
    """The normal distribution of the state, changed in place: the values of each factor in turn."""

    mean: Floats  # (state,)
    covariance: Floats  # (state, state)


class Delays(NamedTuple):
    """Bins by which the factors reach each neuron later."""

    each: Integers  # (post,)
    most: int  # bins by which the grids begin before the segments


def factors_of(loadings: Floats, timescale: Floats, smoothness: Floats, width: Integers,
               bin_width: float, delays: Delays | None = None) -> Factors:  # fmt: skip
    """Return the autoregressions of factors with given timescales.

    Parameters
    ----------
    loadings : array, shape (post, factor)
    timescale : array, shape (factor,)
        Seconds.
    smoothness : array, shape (factor,)
        0.5 or 1.5.
    width : array of int, shape (factor,)
        Bins of a step of the grid.
    bin_width : float
        Seconds.
    delays : Delays, optional
        By default none.
    """
    each = [
        autoregression(float(smoothness[k]), float(width[k] * bin_width), float(timescale[k]))
        for k in range(len(width))
    ]
    first, second, noise = np.array([one[2] for one in each]).reshape(-1, 3).T
    age = np.zeros(len(loadings), np.int64)
    if delays is not None:
        age = np.asarray(delays.most - delays.each, dtype=np.int64)
    spread = int(np.ptp(age))
    kept = 1 + -(-spread // np.asarray(width, dtype=np.int64))
    n_values = np.maximum(kept, np.where(second != 0.0, 2, 1)).astype(np.int64)
    return Factors(
        np.ascontiguousarray(loadings, dtype=np.float64),
        np.ascontiguousarray(width, dtype=np.int64),
        np.cumsum(n_values) - n_values,
        n_values,
        np.ascontiguousarray(first),
        np.ascontiguousarray(second),
        np.ascontiguousarray(noise),
        np.array([one[1, 0] for one in each]),
        age,
    )


def prior_belief(factors: Factors) -> Belief:
    """Return the distribution of the state before anything is known."""
    n_states = int(factors.n_values.sum())
    belief = Belief(np.zeros(n_states), np.zeros((n_states, n_states)))
    _begin(factors, belief)
    return belief


@compiled
def _begin(factors, belief):
    """Forget everything: the factors are stationary."""
    mean, covariance = belief
    mean[:] = 0.0
    covariance[:] = 0.0
    for k in range(factors.width.size):
        at = factors.newest[k]
        covariance[at, at] = 1.0
        if factors.second[k] != 0.0:
            covariance[at + 1, at + 1] = 1.0
            covariance[at, at + 1] = covariance[at + 1, at] = factors.correlation[k]
        for _ in range(factors.age.max() // factors.width[k]):
            _step(factors, belief, k)


@compiled
def _step(factors, belief, k):
    """Move factor k to its next grid point."""
    mean, covariance = belief
    first, second, at = factors.first[k], factors.second[k], factors.newest[k]
    oldest = at + factors.n_values[k] - 1
    new = first * mean[at]
    row = first * covariance[at]
    if second != 0.0:
        new += second * mean[at + 1]
        row += second * covariance[at + 1]
    for i in range(oldest, at, -1):
        mean[i] = mean[i - 1]
        covariance[i] = covariance[i - 1]
    mean[at] = new
    covariance[at] = row
    column = first * covariance[:, at]
    if second != 0.0:
        column += second * covariance[:, at + 1]
    for i in range(oldest, at, -1):
        covariance[:, i] = covariance[:, i - 1]
    covariance[:, at] = column
    covariance[at, at] += factors.noise[k]


@compiled
def _seen_by(factors, n, place, front, at):
    """Write the places in the state of the values that reach neuron n; front is the newest."""
    for k in range(at.size):
        width = factors.width[k]
        at[k] = factors.newest[k] + front // width - (place + factors.age[n]) // width


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _activation(factors, belief, n, at, effect):
    """Return mean and variance of what the factors add to psi; write its covariances (state,)."""
    mean, covariance = belief
    middle, variance = 0.0, 0.0
    effect[:] = 0.0
    for k in range(at.size):
        loading = factors.loadings[n, k]
        middle += loading * mean[at[k]]
        for i in range(effect.size):
            effect[i] += covariance[at[k], i] * loading
    for k in range(at.size):
        variance += factors.loadings[n, k] * effect[at[k]]
    return middle, max(variance, 0.0)


@inlined
def _draw(factors, belief, place, normals, psi, out):
    """Write psi (post,) plus what the factors add, drawn from their distribution."""
    mean, covariance = belief
    n_states, at = mean.size, np.empty(factors.width.size, np.int64)
    lower, state = np.zeros((n_states, n_states)), mean.copy()
    front = place + factors.age.max()
    for j in range(n_states):  # Cholesky, of a matrix that may be singular
        rest = covariance[j, j] - np.sum(lower[j, :j] ** 2)
        if rest <= _SINGULAR:
            continue
        lower[j, j] = math.sqrt(rest)
        for i in range(j + 1, n_states):
            product = np.sum(lower[i, :j] * lower[j, :j])
            lower[i, j] = (covariance[i, j] - product) / lower[j, j]
    for i in range(n_states):
        for j in range(i + 1):
            state[i] += lower[i, j] * normals[j]
    for n in range(psi.size):
        _seen_by(factors, n, place, front, at)
        out[n] = psi[n]
        for k in range(at.size):
            out[n] += factors.loadings[n, k] * state[at[k]]


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def filter_path(
    factors: Factors,
    belief: Belief,
    likelihood: Likelihood,
    psi: Floats,
    place: Integers,
    seen: NDArray[np.bool_],
    group: Integers,
    rule: Quadrature,
    density: Floats,
    before: Floats,
    turn: Floats,
    normals: Floats,
    drawn: Floats,
) -> None:
    """Predict each bin from those before it.

    Parameters
    ----------
    factors : Factors
    belief : Belief
        After the bins before these; changed in place.
    likelihood : Likelihood
        Its counts have the shape (post, time).
    psi : array, shape (time, post)
        Activations without the factors.
    place : array of int, shape (time,)
        Number of bins before each bin in its segment.
    seen : array of bool, shape (time,)
        Whether the counts of a bin are data; the factors move on in other bins, too.
    group : array of int, shape (time,)
        The group of bins to which the log densities of each bin are added; -1: to none.
    rule : Quadrature
    density : array, shape (group, post)
        Receives sums of log densities, up to terms without psi.
    before : array, shape (2, time, post)
        Receives mean and variance of the activation of each neuron given all bins before it, unless
        it has the shape (2, 0, post).
    turn : array, shape (2, time, post)
        Receives those given all bins before and the counts of the neurons before it in the same
        bin, unless it has the shape (2, 0, post). Not written in bins that are not seen.
    normals : array, shape (time, state)
        Independent standard normal numbers, or an array of shape (0, state).
    drawn : array, shape (time, post)
        Receives activations that are drawn given all bins before, if there are normal numbers.
    """
    mean, covariance = belief
    n_posts, n_factors = factors.loadings.shape
    n_states, newest = mean.size, factors.age.max()
    effect, at = np.empty(n_states), factors.newest.copy()
    delayed = factors.age.min() < newest
    family, counts, dispersion = likelihood.family, likelihood.counts, likelihood.dispersion
    few, few_weights, many, many_weights = rule.few, rule.few_weights, rule.nodes, rule.weights
    quick = family == LOGISTIC or family == POISSON
    for t in range(psi.shape[0]):
        if place[t] == 0:
            _begin(factors, belief)
        else:
            for k in range(n_factors):
                if (place[t] + newest) % factors.width[k] == 0:
                    _step(factors, belief, k)
        for n in range(n_posts if before.shape[1] > 0 else 0):
            if delayed:
                _seen_by(factors, n, place[t], place[t] + newest, at)
            middle, variance = _activation(factors, belief, n, at, effect)
            before[0, t, n], before[1, t, n] = psi[t, n] + middle, variance
        if normals.shape[0] > 0:
            _draw(factors, belief, place[t], normals[t], psi[t], drawn[t])
        if not seen[t]:
            continue
        for n in range(n_posts):
            if delayed:
                _seen_by(factors, n, place[t], place[t] + newest, at)
            middle, variance = _activation(factors, belief, n, at, effect)
            middle += psi[t, n]
            if turn.shape[1] > 0:
                turn[0, t, n], turn[1, t, n] = middle, variance
            if quick and counts[n, t] == 0 and middle < RARE and variance < NARROW:
                value, slope, curvature = silent(
                    family, dispersion[n], middle, variance, few, few_weights
                )
            elif quick and counts[n, t] == 0 and middle < RARE and variance < WIDE:
                value, slope, curvature = silent(
                    family, dispersion[n], middle, variance, many, many_weights
                )
            else:
                value, slope, curvature = tilted(
                    neuron_likelihood(likelihood, n), float(counts[n, t]), middle, variance, rule
                )
            for i in range(n_states):
                mean[i] += slope * effect[i]
                pull = curvature * effect[i]
                for j in range(n_states):
                    covariance[i, j] -= pull * effect[j]
            if group[t] >= 0:
                density[group[t], n] += value


@compiled
def expected_counts(
    likelihood: Likelihood,
    centre: Floats,
    spread: Floats,
    rule: Quadrature,
    mean: Floats,
    variance: Floats,
) -> None:
    """Write mean and variance of each count of some neurons, whose activations are normal.

    Parameters
    ----------
    likelihood : Likelihood
        Of these neurons; not a custom one. Its counts are ignored.
    centre, spread : arrays, shape (time, post)
        Mean and variance of the activations.
    rule : Quadrature
    mean, variance : arrays, shape (time, post)
    """
    for t in range(centre.shape[0]):
        for n in range(centre.shape[1]):
            mean[t, n], variance[t, n] = expected_count(
                neuron_likelihood(likelihood, n), centre[t, n], spread[t, n], rule
            )
