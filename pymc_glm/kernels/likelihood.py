"""Log density of counts in the activation psi, its gradient and curvature.

One family covers the logistic laws, p(y | psi) proportional to exp(a psi) / (1 + exp psi)^b with
a = y and b = shape + slope y: Bernoulli (1, 0), binomial (n_trials, 0), negative binomial
(dispersion, 1). Others hold Poisson counts with mean shape exp(psi), and traces with mean psi and
precision shape; the last is any function of count, psi and shape. A family is one branch in each of
the two functions.

All but the last hold their own powers: the power beta of a density is that of the same family with
counts (of traces the precision alone) and shape times beta, see `tempered`.
"""

import math
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.density import Density, evaluate
from pymc_glm.kernels.exponential import exponential

__all__ = [
    "ANY",
    "GAUSSIAN",
    "LOGISTIC",
    "POISSON",
    "Law",
    "Likelihood",
    "Workspace",
    "law_of",
    "log_likelihood",
    "score",
    "tempered",
    "workspace",
]

LOGISTIC = 0
POISSON = 1
GAUSSIAN = 2
ANY = 3

_STEEP = 40.0  # psi beyond which log(1 + exp psi) is psi to double precision
_FLAT = -700.0
_RUN = 16  # so many numbers of at most 1 + exp(_STEEP) can be multiplied without overflow

type Floats = NDArray[np.float64]
type Law = tuple[int, float, float, Density | None]  # of one post neuron, see `law_of`


class Likelihood(NamedTuple):
    """The law of the counts."""

    family: int
    counts: NDArray  # (post, time), of the smallest integer type that holds them; or traces
    shape: Floats  # (post,)
    slope: float
    density: Density | None = None


@numba.njit(cache=True, nogil=True)
def law_of(likelihood: Likelihood, n: int) -> Law:  # pragma: no cover - compiled
    """Return family, shape, slope and density of post neuron n."""
    return likelihood.family, likelihood.shape[n], likelihood.slope, likelihood.density


def tempered(likelihood: Likelihood, power: float) -> Likelihood:
    """Return the law whose density in psi is a power of another's, up to a constant.

    Parameters
    ----------
    likelihood : Likelihood
    power : float

    Raises
    ------
    ValueError
        The density is a user's own, of which nothing is known.
    """
    if likelihood.family == ANY:
        raise ValueError("a law of the family ANY has no powers in it")
    counts = likelihood.counts
    if likelihood.family != GAUSSIAN:
        counts = power * counts
    return likelihood._replace(counts=counts, shape=power * likelihood.shape)


class Workspace(NamedTuple):
    """Arrays of one thread, of as many bins as are looked at together."""

    psi: Floats
    counts: Floats
    slope: Floats
    curvature: Floats


@numba.njit(cache=True, nogil=True)
def workspace(n_bins: int) -> Workspace:  # pragma: no cover - compiled
    """Allocate."""
    return Workspace(np.empty(n_bins), np.empty(n_bins), np.empty(n_bins), np.empty(n_bins))


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def score(
    law: Law,
    counts: NDArray,
    psi: Floats,
    slope: Floats,
    curvature: Floats,
) -> None:  # pragma: no cover - compiled
    """Write the first derivative of the log density in psi, and minus the second.

    Parameters
    ----------
    law : tuple
        Family, shape, slope and density of one post neuron, see `Likelihood`.
    counts, psi, slope, curvature : arrays, shape (n,)
    """
    family, shape, steepness, density = law
    if family == POISSON:
        for i in range(psi.size):
            mean = exponential(min(max(psi[i], _FLAT), -_FLAT))
            slope[i] = counts[i] - shape * mean
            curvature[i] = shape * mean
        return
    if family == GAUSSIAN:
        for i in range(psi.size):
            slope[i] = shape * (counts[i] - psi[i])
            curvature[i] = shape
        return
    if family == ANY:
        for i in range(psi.size):
            _, slope[i], curvature[i] = evaluate(density, float(counts[i]), psi[i], shape)
        return
    for i in range(psi.size):
        e = exponential(min(max(psi[i], -_STEEP), _STEEP))
        q = 1.0 / (1.0 + e)
        mean = (shape + steepness * counts[i]) * e * q
        slope[i] = counts[i] - mean
        curvature[i] = mean * q


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc"})
def log_likelihood(
    law: Law, counts: NDArray, psi: Floats, buffer: Floats
) -> float:  # pragma: no cover - compiled
    """Return the log density of counts (n,) given psi (n,), up to terms of counts and shape."""
    family, shape, steepness, density = law
    linear, beyond, n = 0.0, 0.0, psi.size
    if family == POISSON:
        for i in range(n):
            linear += counts[i] * psi[i] - shape * exponential(min(max(psi[i], _FLAT), -_FLAT))
        return linear
    if family == GAUSSIAN:
        for i in range(n):
            linear += (counts[i] - psi[i]) ** 2
        return -0.5 * shape * linear
    if family == ANY:
        for i in range(n):
            linear += evaluate(density, float(counts[i]), psi[i], shape)[0]
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
    total = linear - shape * soft
    if steepness != 0.0:
        for i in range(n):
            if counts[i] > 0:
                softplus = math.log(buffer[i]) + max(psi[i] - _STEEP, 0.0)
                total -= steepness * counts[i] * softplus
    return total
