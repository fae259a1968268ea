"""One-step-ahead prediction of counts with the path of shared input integrated out.

The activation of post neuron n is psi[t, n] + sum_k loadings[n, k] f_k(t). Each factor f_k is an
autoregression on its own grid, begun anew in every segment. The filter keeps a normal distribution
of the factors given all counts before. For each neuron of a bin, in their order, it computes the
density of the count with the factors integrated out, and then takes the count into account: the new
normal distribution has the exact mean and covariance of the old one times the density of the count
(assumed density filtering: Maybeck 1982, Stochastic Models, Estimation, and Control 2, chapter 12;
Minka 2001, PhD thesis, MIT, chapter 3). Only the activation of the neuron matters, so this is one
integral in one dimension, see `kernels/normal_activation.py`. For traces this is the Kalman filter,
which is exact.

By the chain rule, the sum over the neurons of a bin is the log predictive density of the bin. A
bin, whose counts are simultaneous, is processed neuron by neuron: the term of a neuron is its
density given the past and the counts of the neurons before it.
"""

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.compiling import compiled
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
    "Factors",
    "expected_counts",
    "factors_of",
    "filter_path",
    "prior_belief",
]

type Floats = NDArray[np.float64]
type Integers = NDArray[np.int64]


class Factors(NamedTuple):
    """The autoregressions of all factors, and their loadings."""

    loadings: Floats  # (post, factor)
    width: Integers  # (factor,): bins of a step of the grid
    partner: Integers  # (factor,): place of the previous value in the state; -1: not needed
    first: Floats  # (factor,): coefficient of the last value
    second: Floats  # (factor,): coefficient of the one before
    noise: Floats  # (factor,): variance of the innovations
    correlation: Floats  # (factor,): of successive values


class Belief(NamedTuple):
    """The normal distribution of the state, changed in place: values, then previous values."""

    mean: Floats  # (state,)
    covariance: Floats  # (state, state)


def factors_of(loadings: Floats, timescale: Floats, smoothness: Floats, width: Integers,
               bin_width: float) -> Factors:  # fmt: skip
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
    """
    each = [
        autoregression(float(smoothness[k]), float(width[k] * bin_width), float(timescale[k]))
        for k in range(len(width))
    ]
    first, second, noise = np.array([one[2] for one in each]).reshape(-1, 3).T
    smooth = second != 0.0
    return Factors(
        np.ascontiguousarray(loadings, dtype=np.float64),
        np.ascontiguousarray(width, dtype=np.int64),
        np.where(smooth, len(each) + np.cumsum(smooth) - 1, -1).astype(np.int64),
        np.ascontiguousarray(first),
        np.ascontiguousarray(second),
        np.ascontiguousarray(noise),
        np.array([one[1, 0] for one in each]),
    )


def prior_belief(factors: Factors) -> Belief:
    """Return the distribution of the state before anything is known."""
    n_states = factors.partner.size + int((factors.partner >= 0).sum())
    belief = Belief(np.zeros(n_states), np.zeros((n_states, n_states)))
    _begin(factors, belief)
    return belief


@compiled
def _begin(factors, belief):
    """Forget everything: the factors are stationary."""
    mean, covariance = belief
    mean[:] = 0.0
    covariance[:] = 0.0
    for k in range(factors.partner.size):
        covariance[k, k] = 1.0
        before = factors.partner[k]
        if before >= 0:
            covariance[before, before] = 1.0
            covariance[k, before] = covariance[before, k] = factors.correlation[k]


@compiled
def _step(factors, belief, k):
    """Move factor k to its next grid point."""
    mean, covariance = belief
    first, second, before = factors.first[k], factors.second[k], factors.partner[k]
    if before < 0:
        mean[k] *= first
        covariance[k] *= first
        covariance[:, k] *= first
    else:
        old = mean[k]
        mean[k] = first * old + second * mean[before]
        mean[before] = old
        for i in range(mean.size):
            old = covariance[k, i]
            covariance[k, i] = first * old + second * covariance[before, i]
            covariance[before, i] = old
        for i in range(mean.size):
            old = covariance[i, k]
            covariance[i, k] = first * old + second * covariance[i, before]
            covariance[i, before] = old
    covariance[k, k] += factors.noise[k]


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
    path_mean: Floats,
    path_covariance: Floats,
    centre: Floats,
    spread: Floats,
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
    path_mean : array, shape (time, factor)
    path_covariance : array, shape (time, factor, factor)
        Receive mean and covariance of the factors in each bin given all bins before it, unless they
        have the shape (0, ...).
    centre, spread : arrays, shape (time, post)
        Receive mean and variance of the activation of each neuron given all bins before and the
        counts of the neurons before it in the same bin, unless they have the shape (0, post). They
        are not written in bins that are not seen.
    """
    loadings, mean, covariance = factors.loadings, belief.mean, belief.covariance
    n_posts, n_factors = loadings.shape
    n_states = mean.size
    effect = np.empty(n_states)
    family, counts, dispersion = likelihood.family, likelihood.counts, likelihood.dispersion
    few, few_weights, many, many_weights = rule.few, rule.few_weights, rule.nodes, rule.weights
    quick = family == LOGISTIC or family == POISSON
    for t in range(psi.shape[0]):
        if place[t] == 0:
            _begin(factors, belief)
        else:
            for k in range(n_factors):
                if place[t] % factors.width[k] == 0:
                    _step(factors, belief, k)
        if path_mean.shape[0] > 0:
            for k in range(n_factors):
                path_mean[t, k] = mean[k]
                for j in range(n_factors):
                    path_covariance[t, k, j] = covariance[k, j]
        if not seen[t]:
            continue
        for n in range(n_posts):
            middle, variance = psi[t, n], 0.0
            for i in range(n_states):
                effect[i] = 0.0
                for k in range(n_factors):
                    effect[i] += covariance[i, k] * loadings[n, k]
            for k in range(n_factors):
                middle += loadings[n, k] * mean[k]
                variance += loadings[n, k] * effect[k]
            variance = max(variance, 0.0)
            if centre.shape[0] > 0:
                centre[t, n], spread[t, n] = middle, variance
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
