"""Counts whose activation psi is normal: their density, mean and variance.

Integrals over psi are computed by Gauss-Hermite quadrature, adaptive for densities: nodes are
placed around the mode of density times normal, as wide as its curvature there (Liu & Pierce 1994,
Biometrika 81:624-629). Silence, the most frequent count, has a smooth density and takes fewer nodes
around the mean. Traces have closed forms.
"""

import math
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.exponential import EXPONENT_LIMIT, exponential
from pymc_glm.kernels.likelihood import (
    CUSTOM,
    GAUSSIAN,
    LOGISTIC,
    POISSON,
    NeuronLikelihood,
    log_density,
    score,
)

__all__ = [
    "NARROW",
    "RARE",
    "WIDE",
    "Quadrature",
    "expected_count",
    "quadrature",
    "silent",
    "tilted",
]

NARROW = 0.7  # variance of psi below which few nodes suffice
WIDE = 2.0  # variance of psi up to which nodes around the mean suffice for silence
RARE = -2.0  # mean of psi below which they suffice
_NO_SPREAD = 1e-12  # variance below which psi is a number
_NEWTON_STEPS, _NEAR_MODE, _LONGEST_STEP = 50, 1e-3, 5.0

type Floats = NDArray[np.float64]

_fast = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc"})


class Quadrature(NamedTuple):
    """Gauss-Hermite rules for the standard normal distribution, and scratch arrays of a thread."""

    nodes: Floats  # (node,)
    weights: Floats  # (node,), of sum 1
    few: Floats  # (few,): nodes of a smaller rule
    few_weights: Floats  # (few,)
    psi: Floats  # (node,)
    counts: Floats  # (node,)
    slope: Floats  # (node,)
    curvature: Floats  # (node,)
    log_mass: Floats  # (node,)


def quadrature(n_nodes: int = 30, n_few: int = 10) -> Quadrature:
    """Return rules that are exact for polynomials up to a degree of 2 n - 1."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(n_nodes)
    few, few_weights = np.polynomial.hermite_e.hermegauss(n_few)
    scratch = (np.empty(n_nodes) for _ in range(5))
    return Quadrature(
        nodes, weights / weights.sum(), few, few_weights / few_weights.sum(), *scratch
    )


@_fast
def silent(
    family: int, dispersion: float, mean: float, variance: float, nodes: Floats, weights: Floats
) -> tuple[float, float, float]:
    """Return what `tilted` does for a count of 0 of the family LOGISTIC or POISSON.

    Parameters
    ----------
    family, dispersion
        See `pymc_glm.kernels.likelihood`.
    mean, variance : float
        Of psi; at most `RARE`, and at most `NARROW` for the smaller rule or `WIDE` for the larger.
    nodes, weights : arrays, shape (node,)
    """
    spread, n = math.sqrt(variance), nodes.size
    total, slope, bent, square = 0.0, 0.0, 0.0, 0.0
    if family == LOGISTIC and dispersion == 1.0:
        for i in range(n):
            x = exponential(max(mean + spread * nodes[i], -EXPONENT_LIMIT))
            f = 1.0 / (1.0 + x)
            p = x * f
            f *= weights[i]
            total += f
            slope -= f * p
            bent += f * (p - p * p)
            square += f * (p * p)
    elif family == LOGISTIC:
        for i in range(n):
            x = exponential(max(mean + spread * nodes[i], -EXPONENT_LIMIT))
            f = weights[i] * math.exp(-dispersion * math.log1p(x))
            p = x / (1.0 + x)
            total += f
            slope -= f * dispersion * p
            bent += f * dispersion * (p - p * p)
            square += f * (dispersion * p) ** 2
    else:
        for i in range(n):
            x = dispersion * exponential(max(mean + spread * nodes[i], -EXPONENT_LIMIT))
            f = weights[i] * exponential(max(-x, -EXPONENT_LIMIT))
            total += f
            slope -= f * x
            bent += f * x
            square += f * x * x
    slope /= total
    return math.log(total), slope, (bent - square) / total + slope * slope


@_fast
def _mode(likelihood, count, mean, variance, rule):
    """Return the mode of density times normal, and the curvature of the log density there."""
    at, counts = rule.psi[:1], rule.counts[:1]
    slope, curvature = rule.slope[:1], rule.curvature[:1]
    at[0], counts[0] = mean, count
    for _ in range(_NEWTON_STEPS):
        score(likelihood, counts, at, slope, curvature)
        bent = max(curvature[0], 0.0)
        step = (variance * slope[0] - (at[0] - mean)) / (1.0 + variance * bent)
        step = min(max(step, -_LONGEST_STEP), _LONGEST_STEP)
        at[0] += step
        if step * step * (1.0 + variance * bent) < _NEAR_MODE**2 * variance:
            break
    score(likelihood, counts, at, slope, curvature)
    return at[0], max(curvature[0], 0.0)


@_fast
def tilted(
    likelihood: NeuronLikelihood, count: float, mean: float, variance: float, rule: Quadrature
) -> tuple[float, float, float]:
    """Return the log density of a count whose psi is normal, and its derivatives in the mean.

    With the slope s and the curvature c of log p(count | psi), they are E s and E c - Var s over
    psi given the count.

    Parameters
    ----------
    likelihood : NeuronLikelihood
    count : float
    mean, variance : float
        Of psi.
    rule : Quadrature

    Returns
    -------
    value, slope, curvature : float
        log E p(count | psi) up to terms without psi, as in `pymc_glm.kernels.likelihood`; its first
        derivative, and minus its second. Given the count, psi has the mean `mean + variance slope`
        and the variance `variance - variance^2 curvature`.
    """
    family, dispersion, steepness, density = likelihood
    if family == GAUSSIAN:
        curvature = dispersion / (1.0 + dispersion * variance)
        away = count - mean
        value = -0.5 * (math.log1p(dispersion * variance) + curvature * away * away)
        return value, curvature * away, curvature
    if variance < _NO_SPREAD:
        rule.psi[0], rule.counts[0] = mean, count
        score(likelihood, rule.counts[:1], rule.psi[:1], rule.slope[:1], rule.curvature[:1])
        value = log_density(family, steepness, dispersion, density, count, mean)
        return value, rule.slope[0], rule.curvature[0]
    centre, bent = _mode(likelihood, count, mean, variance, rule)
    spread, shrink = math.sqrt(variance), 1.0 / math.sqrt(1.0 + variance * bent)
    for i in range(rule.nodes.size):
        rule.psi[i], rule.counts[i] = centre + spread * shrink * rule.nodes[i], count
    score(likelihood, rule.counts, rule.psi, rule.slope, rule.curvature)
    highest = -np.inf
    for i in range(rule.nodes.size):
        away = (rule.psi[i] - mean) / spread
        value = log_density(family, steepness, dispersion, density, count, rule.psi[i])
        rule.log_mass[i] = value + 0.5 * (rule.nodes[i] ** 2 - away * away)
        highest = max(highest, rule.log_mass[i])
    total, slope, bent, square = 0.0, 0.0, 0.0, 0.0
    for i in range(rule.nodes.size):
        mass = rule.weights[i] * math.exp(rule.log_mass[i] - highest)
        total += mass
        slope += mass * rule.slope[i]
        bent += mass * rule.curvature[i]
        square += mass * rule.slope[i] ** 2
    slope /= total
    return highest + math.log(total * shrink), slope, (bent - square) / total + slope * slope


@_fast
def _proportion(mean, variance, nodes, weights):
    """Return the expectations of p and p^2, where p = sigmoid(psi)."""
    first, second, spread = 0.0, 0.0, math.sqrt(variance)
    for i in range(nodes.size):
        psi = mean + spread * nodes[i]
        x = exponential(min(max(psi, -EXPONENT_LIMIT), EXPONENT_LIMIT))
        p = x / (1.0 + x)
        first += weights[i] * p
        second += weights[i] * p * p
    return first, second


@_fast
def expected_count(
    likelihood: NeuronLikelihood, mean: float, variance: float, rule: Quadrature
) -> tuple[float, float]:
    """Return mean and variance of a count whose psi is normal.

    Parameters
    ----------
    likelihood : NeuronLikelihood
        Not a custom one, whose means are unknown here.
    mean, variance : float
        Of psi.
    rule : Quadrature
    """
    family, dispersion, slope, _ = likelihood
    if family == CUSTOM:
        raise ValueError("family: its means are unknown; allowed are LOGISTIC, POISSON, GAUSSIAN.")
    if family == GAUSSIAN:
        return mean, variance + 1.0 / dispersion
    if family == LOGISTIC and slope == 0.0:
        nodes, weights = rule.nodes, rule.weights
        if variance < NARROW:
            nodes, weights = rule.few, rule.few_weights
        p, square = _proportion(mean, variance, nodes, weights)
        return dispersion * p, dispersion * (p - square) + dispersion**2 * (square - p * p)
    x = math.exp(min(mean + 0.5 * variance, EXPONENT_LIMIT))
    spread = math.exp(min(variance, EXPONENT_LIMIT))
    expected = dispersion * x
    within = expected if family == POISSON else expected + dispersion * x * x * spread
    return expected, within + expected * expected * (spread - 1.0)
