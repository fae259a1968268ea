"""Log density of counts in the activation psi, its gradient and curvature.

A family of observation models is one branch in `score` and one in `log_likelihood`. The dispersion
is the one number of a neuron, beside psi, that its observation model has:

========== ============================================= =================================
family     log density in psi, up to a constant          dispersion
========== ============================================= =================================
LOGISTIC   a psi - b log(1 + exp psi), with a = y and    1 of Bernoulli counts, n_trials
           b = dispersion + slope y                      of binomial ones (slope 0), r of
                                                         negative binomial ones (slope 1)
POISSON    y psi - dispersion exp psi                    1
GAUSSIAN   -dispersion (y - psi)^2 / 2                   precision of the noise
CUSTOM     any function of count, psi and dispersion     whatever the function makes of it
========== ============================================= =================================

All but the last are closed under powers: the power beta of a density is of the same family, with
counts (except those of traces) and dispersion times beta, see `tempered`.
"""

import math
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.compiling import compiled
from pymc_glm.kernels.custom_density import CustomDensity, evaluate
from pymc_glm.kernels.exponential import exponential

__all__ = [
    "CUSTOM",
    "GAUSSIAN",
    "LOGISTIC",
    "POISSON",
    "Likelihood",
    "NeuronLikelihood",
    "Workspace",
    "log_likelihood",
    "neuron_likelihood",
    "score",
    "tempered",
    "workspace",
]

LOGISTIC = 0
POISSON = 1
GAUSSIAN = 2
CUSTOM = 3

_STEEP = 40.0  # psi beyond which log(1 + exp psi) is psi to double precision
_FLAT = -700.0
_RUN = 16  # so many numbers of at most 1 + exp(_STEEP) can be multiplied without overflow

type Floats = NDArray[np.float64]


class Likelihood(NamedTuple):
    """The observation model of the counts of every post neuron, and the counts."""

    family: int
    counts: NDArray  # (post, time), of the smallest integer type that holds them; or traces
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
    """Return the likelihood whose density in psi is a power of another's, up to a constant.

    Parameters
    ----------
    likelihood : Likelihood
    power : float

    Raises
    ------
    ValueError
        The density is a user's own, of which nothing is known.
    """
    if likelihood.family == CUSTOM:
        raise ValueError("powers of a custom observation model are not known")
    counts = likelihood.counts
    if likelihood.family != GAUSSIAN:
        counts = power * counts
    return likelihood._replace(counts=counts, dispersion=power * likelihood.dispersion)


class Workspace(NamedTuple):
    """Arrays of one thread, of as many bins as are looked at together."""

    psi: Floats
    counts: Floats
    slope: Floats
    curvature: Floats


@compiled
def workspace(n_bins: int) -> Workspace:
    """Allocate."""
    return Workspace(np.empty(n_bins), np.empty(n_bins), np.empty(n_bins), np.empty(n_bins))


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
    if family == POISSON:
        for i in range(psi.size):
            mean = exponential(min(max(psi[i], _FLAT), -_FLAT))
            slope[i] = counts[i] - dispersion * mean
            curvature[i] = dispersion * mean
        return
    if family == GAUSSIAN:
        for i in range(psi.size):
            slope[i] = dispersion * (counts[i] - psi[i])
            curvature[i] = dispersion
        return
    if family == CUSTOM:
        for i in range(psi.size):
            _, slope[i], curvature[i] = evaluate(density, float(counts[i]), psi[i], dispersion)
        return
    for i in range(psi.size):
        e = exponential(min(max(psi[i], -_STEEP), _STEEP))
        q = 1.0 / (1.0 + e)
        mean = (dispersion + steepness * counts[i]) * e * q
        slope[i] = counts[i] - mean
        curvature[i] = mean * q


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc"})
def log_likelihood(
    likelihood: NeuronLikelihood, counts: NDArray, psi: Floats, buffer: Floats
) -> float:
    """Return the log density of counts (n,) given psi (n,), up to terms without psi."""
    family, dispersion, steepness, density = likelihood
    linear, beyond, n = 0.0, 0.0, psi.size
    if family == POISSON:
        for i in range(n):
            linear += counts[i] * psi[i] - dispersion * exponential(min(max(psi[i], _FLAT), -_FLAT))
        return linear
    if family == GAUSSIAN:
        for i in range(n):
            linear += (counts[i] - psi[i]) ** 2
        return -0.5 * dispersion * linear
    if family == CUSTOM:
        for i in range(n):
            linear += evaluate(density, float(counts[i]), psi[i], dispersion)[0]
        return linear
    for i in range(n):
        linear += counts[i] * psi[i]
        beyond += max(psi[i] - _STEEP, 0.0)
        buffer[i] = 1.0 + exponential(min(max(psi[i], _FLAT), _STEEP))
    soft = beyond
    for first in range(0, n - n % _RUN, _RUN):
        product = 1.0
        for i in range(first, first + _RUN):
            product *= buffer[i]
        soft += math.log(product)
    for i in range(n - n % _RUN, n):
        soft += math.log(buffer[i])
    total = linear - dispersion * soft
    if steepness != 0.0:
        for i in range(n):
            if counts[i] > 0:
                softplus = math.log(buffer[i]) + max(psi[i] - _STEEP, 0.0)
                total -= steepness * counts[i] * softplus
    return total
