"""Log density of counts given the activation psi, and its first two derivatives.

Each family of observation models has one branch in `log_density` (one count), one in
`log_likelihood` (the sum over bins, arranged for speed) and one in `score` (the derivatives). The
dispersion is the one number that the observation model of a neuron has in addition to psi:

========== ============================================= =====================================
family     log density in psi, up to a constant          dispersion
========== ============================================= =====================================
LOGISTIC   y psi - (dispersion + slope y) log(1 + e^psi) Bernoulli: 1, binomial: n_trials (both
                                                         slope 0), negative binomial: r (slope 1)
POISSON    y psi - dispersion exp psi                    1
GAUSSIAN   -dispersion (y - psi)^2 / 2                   precision of the noise
CUSTOM     any function of count, psi and dispersion     defined by that function
========== ============================================= =====================================

All families except CUSTOM are closed under powers: a density raised to the power beta belongs to
the same family, with dispersion and counts (but not traces) multiplied by beta; see `tempered`.
"""

import math
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.compiling import compiled
from pymc_glm.kernels.custom_density import CustomDensity, evaluate
from pymc_glm.kernels.exponential import EXPONENT_LIMIT, exponential

__all__ = [
    "CUSTOM",
    "GAUSSIAN",
    "LOGISTIC",
    "POISSON",
    "Likelihood",
    "NeuronLikelihood",
    "Workspace",
    "log_density",
    "log_likelihood",
    "neuron_likelihood",
    "score",
    "slopes",
    "tempered",
]

LOGISTIC = 0
POISSON = 1
GAUSSIAN = 2
CUSTOM = 3

_STEEP = 40.0  # psi beyond which log(1 + exp psi) is psi to double precision
_RUN = 16  # numbers of at most 1 + exp(_STEEP) whose product cannot overflow
_UNKNOWN = "family: it is unknown; allowed are LOGISTIC, POISSON, GAUSSIAN and CUSTOM."

type Floats = NDArray[np.float64]


class Likelihood(NamedTuple):
    """The observation model of every post neuron, and the counts."""

    family: int
    counts: NDArray  # (post, time): integers of the smallest sufficient type, or traces
    dispersion: Floats  # (post,)
    slope: float
    density: CustomDensity | None = None


class NeuronLikelihood(NamedTuple):
    """The observation model of one post neuron, without its counts."""

    family: int
    dispersion: float
    slope: float
    density: CustomDensity | None


@compiled
def neuron_likelihood(likelihood: Likelihood, n: int) -> NeuronLikelihood:
    """Return the observation model of post neuron n."""
    return NeuronLikelihood(
        likelihood.family, likelihood.dispersion[n], likelihood.slope, likelihood.density
    )


def tempered(likelihood: Likelihood, power: float) -> Likelihood:
    """Return a likelihood raised to a power, up to a constant in psi.

    Parameters
    ----------
    likelihood : Likelihood
    power : float

    Raises
    ------
    ValueError
        The observation model is a custom one, whose powers are unknown.
    """
    if likelihood.family == CUSTOM:
        raise ValueError("likelihood: powers of a custom observation model are unknown.")
    counts = likelihood.counts
    if likelihood.family != GAUSSIAN:
        counts = power * counts
    return likelihood._replace(counts=counts, dispersion=power * likelihood.dispersion)


class Workspace(NamedTuple):
    """Scratch arrays of one thread, one element for each bin."""

    psi: Floats
    counts: NDArray
    slope: Floats
    curvature: Floats


@numba.njit(inline="always")
def log_density(
    family: int,
    slope: float,
    dispersion: float,
    density: CustomDensity | None,
    count: float,
    psi: float,
) -> float:
    """Return the log density of one count given psi, up to terms without psi."""
    if family == LOGISTIC:
        e = exponential(min(max(psi, -EXPONENT_LIMIT), _STEEP))
        softplus = math.log1p(e) + max(psi - _STEEP, 0.0)
        value = count * psi - (dispersion + slope * count) * softplus
    elif family == POISSON:
        mean = exponential(min(max(psi, -EXPONENT_LIMIT), EXPONENT_LIMIT))
        value = count * psi - dispersion * mean
    elif family == GAUSSIAN:
        value = -0.5 * dispersion * (count - psi) ** 2
    elif family == CUSTOM:
        value = evaluate(density, count, psi, dispersion)[0]
    else:
        raise ValueError(_UNKNOWN)
    return value


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def score(
    likelihood: NeuronLikelihood,
    counts: NDArray,
    psi: Floats,
    slope: Floats,
    curvature: Floats,
) -> None:
    """Write the first derivative of the log density in psi, and minus the second.

    Parameters
    ----------
    likelihood : NeuronLikelihood
    counts, psi, slope, curvature : arrays, shape (n,)
    """
    family, dispersion, steepness, density = likelihood
    if family == LOGISTIC:
        for i in range(psi.size):
            e = exponential(min(max(psi[i], -_STEEP), _STEEP))
            q = 1.0 / (1.0 + e)
            mean = (dispersion + steepness * counts[i]) * e * q
            slope[i] = counts[i] - mean
            curvature[i] = mean * q
    elif family == POISSON:
        for i in range(psi.size):
            mean = exponential(min(max(psi[i], -EXPONENT_LIMIT), EXPONENT_LIMIT))
            slope[i] = counts[i] - dispersion * mean
            curvature[i] = dispersion * mean
    elif family == GAUSSIAN:
        for i in range(psi.size):
            slope[i] = dispersion * (counts[i] - psi[i])
            curvature[i] = dispersion
    elif family == CUSTOM:
        for i in range(psi.size):
            _, slope[i], curvature[i] = evaluate(density, float(counts[i]), psi[i], dispersion)
    else:
        raise ValueError(_UNKNOWN)


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc"})
def log_likelihood(
    likelihood: NeuronLikelihood, counts: NDArray, psi: Floats, buffer: Floats
) -> float:
    """Return the log density of counts (n,) given psi (n,), up to terms without psi.

    This is the sum of `log_density`; for the logistic family with one logarithm for 16 bins.
    """
    family, dispersion, steepness, density = likelihood
    if family == LOGISTIC:
        return _logistic(dispersion, steepness, counts, psi, buffer)
    total, n = 0.0, psi.size
    if family == POISSON:
        for i in range(n):
            mean = exponential(min(max(psi[i], -EXPONENT_LIMIT), EXPONENT_LIMIT))
            total += counts[i] * psi[i] - dispersion * mean
    elif family == GAUSSIAN:
        for i in range(n):
            total += (counts[i] - psi[i]) ** 2
        total *= -0.5 * dispersion
    elif family == CUSTOM:
        for i in range(n):
            total += evaluate(density, float(counts[i]), psi[i], dispersion)[0]
    else:
        raise ValueError(_UNKNOWN)
    return total


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc"})
def _logistic(dispersion, steepness, counts, psi, buffer):
    linear, beyond = 0.0, 0.0
    for i in range(psi.size):
        linear += counts[i] * psi[i]
        beyond += max(psi[i] - _STEEP, 0.0)
        buffer[i] = 1.0 + exponential(min(max(psi[i], -EXPONENT_LIMIT), _STEEP))
    return linear - _softplus(dispersion, steepness, counts, psi, beyond, buffer)


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc"})
def _softplus(dispersion, steepness, counts, psi, beyond, buffer):
    """Return the sum of (dispersion + slope y) log(1 + exp psi); the buffer holds 1 + exp psi."""
    soft, n = beyond, psi.size
    for first in range(0, n - n % _RUN, _RUN):
        product = 1.0
        for i in range(first, first + _RUN):
            product *= buffer[i]
        soft += math.log(product)
    for i in range(n - n % _RUN, n):
        soft += math.log(buffer[i])
    total = dispersion * soft
    if steepness != 0.0:
        for i in range(n):
            if counts[i] > 0:
                softplus = math.log(buffer[i]) + max(psi[i] - _STEEP, 0.0)
                total += steepness * counts[i] * softplus
    return total


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc"})
def slopes(
    likelihood: NeuronLikelihood,
    counts: NDArray,
    psi: Floats,
    slope: Floats,
    buffer: Floats,
    valued: bool | np.bool_,
) -> float:
    """Write the first derivative of the log density in psi; return the log likelihood.

    Parameters
    ----------
    likelihood : NeuronLikelihood
    counts, psi, slope, buffer : arrays, shape (n,)
    valued : bool
        Whether the log likelihood is wanted; if not, 0 is returned.
    """
    family, dispersion, steepness, density = likelihood
    total, beyond = 0.0, 0.0
    if family == LOGISTIC:
        for i in range(psi.size):
            total += counts[i] * psi[i]
            beyond += max(psi[i] - _STEEP, 0.0)
            e = exponential(min(max(psi[i], -EXPONENT_LIMIT), _STEEP))
            buffer[i] = 1.0 + e
            slope[i] = counts[i] - (dispersion + steepness * counts[i]) * e / (1.0 + e)
        if valued:
            total -= _softplus(dispersion, steepness, counts, psi, beyond, buffer)
    elif family == POISSON:
        for i in range(psi.size):
            mean = dispersion * exponential(min(max(psi[i], -EXPONENT_LIMIT), EXPONENT_LIMIT))
            slope[i] = counts[i] - mean
            total += counts[i] * psi[i] - mean
    elif family == GAUSSIAN:
        for i in range(psi.size):
            slope[i] = dispersion * (counts[i] - psi[i])
            total -= 0.5 * slope[i] * (counts[i] - psi[i])
    elif family == CUSTOM:
        for i in range(psi.size):
            value, slope[i], _ = evaluate(density, float(counts[i]), psi[i], dispersion)
            total += value
    else:
        raise ValueError(_UNKNOWN)
    return total if valued else 0.0
