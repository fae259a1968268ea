"""Counts drawn by inversion, one uniform number each.

Each family of `kernels/likelihood.py` except CUSTOM has one branch in `mean_counts` and one in
`draw_count`. The noise of a trace is a standard normal number. All distributions of counts satisfy
p(k + 1) / p(k) = scale (start + step k) / (k + 1), the class of Panjer (1981, ASTIN Bulletin
12:22-26): Poisson (step 0), binomial (step -1) and negative binomial (step 1).
"""

import math

import numba
import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.compiling import compiled
from pymc_glm.kernels.exponential import EXPONENT_LIMIT, exponential
from pymc_glm.kernels.likelihood import GAUSSIAN, LOGISTIC, POISSON

__all__ = ["draw_count", "mean_counts"]

_LEAST = -46.0  # log probability of silence below which the sum starts at the mode
_NOTHING = 1e-25  # probability below which the rest of a tail is lost in rounding
_LARGE = 1e3  # argument above which Stirling's series is exact to double precision
_UNKNOWN = "family: it has no draws here; allowed are LOGISTIC, POISSON and GAUSSIAN."

type Floats = NDArray[np.float64]


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def mean_counts(family: int, slope: float, dispersion: Floats, psi: Floats, mean: Floats) -> None:
    """Write the mean counts of some neurons in one bin.

    Parameters
    ----------
    family, slope, dispersion
        See `pymc_glm.kernels.likelihood.Likelihood`.
    psi, mean : arrays, shape (post,)
    """
    n = psi.size
    if family == POISSON:
        for i in range(n):
            mean[i] = exponential(min(max(psi[i], -EXPONENT_LIMIT), EXPONENT_LIMIT))
    elif family == GAUSSIAN:
        mean[:] = psi
    elif family != LOGISTIC:
        raise ValueError(_UNKNOWN)
    elif slope == 0.0:
        for i in range(n):
            e = exponential(min(max(psi[i], -EXPONENT_LIMIT), EXPONENT_LIMIT))
            mean[i] = dispersion[i] * (e / (1.0 + e))
    else:
        for i in range(n):
            mean[i] = dispersion[i] * exponential(min(max(psi[i], -EXPONENT_LIMIT), EXPONENT_LIMIT))


@compiled
def _log_rising(r: float, m: float) -> float:
    """Return log(gamma(r + m) / gamma(r)) without cancellation of two large logarithms."""
    if r < _LARGE:
        return math.lgamma(r + m) - math.lgamma(r)
    s = r + m
    series = (1.0 / s - 1.0 / r) / 12.0 - (1.0 / s**3 - 1.0 / r**3) / 360.0
    return (s - 0.5) * math.log1p(m / r) + m * math.log(r) - m + series


@numba.njit(cache=True, nogil=True, error_model="numpy")
def draw_count(family: int, slope: float, dispersion: float, psi: float, uniform: float) -> float:
    """Draw the count of a bin.

    The probabilities of the counts are subtracted from 1 - uniform one by one: upwards from 0 if
    silence is probable enough, else alternately above and below the mode (Kemp 1981, Applied
    Statistics 30:249).

    Parameters
    ----------
    family, slope, dispersion
        Observation model of a neuron, see `pymc_glm.kernels.likelihood.Likelihood`.
    psi : float
    uniform : float
        In [0, 1); if the sum starts at 0, large values give few spikes. For a trace, a standard
        normal number.
    """
    if family == GAUSSIAN:
        return psi + uniform / math.sqrt(dispersion)
    psi = min(max(psi, -EXPONENT_LIMIT), EXPONENT_LIMIT)
    e = math.exp(psi)
    if family == POISSON:
        step, start, scale, silence, middle = 0.0, 1.0, e, -e, e
    elif family != LOGISTIC:
        raise ValueError(_UNKNOWN)
    elif slope == 0.0:
        step, start, scale = -1.0, dispersion, e
        silence = -dispersion * math.log1p(e)
        middle = min((dispersion + 1.0) * (e / (1.0 + e)), dispersion)
    else:
        step, start, scale = 1.0, dispersion, 1.0 / (1.0 + math.exp(-psi))
        silence = -dispersion * math.log1p(e)
        middle = max((dispersion - 1.0) * e, 0.0)
    if silence > _LEAST:
        mode, log_top = 0.0, silence
    else:
        mode = math.floor(middle)
        if step == 0.0:
            rising = 0.0
        elif step < 0.0:
            rising = math.lgamma(dispersion + 1.0) - math.lgamma(dispersion - mode + 1.0)
        else:
            rising = _log_rising(dispersion, mode)
        log_top = silence + rising + mode * math.log(scale) - math.lgamma(mode + 1.0)
    return _chop_down(mode, math.exp(log_top), scale, start, step, 1.0 - uniform)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _chop_down(
    mode: float, top: float, scale: float, start: float, step: float, rest: float
) -> float:
    """Return the count at which the probabilities, summed outwards from the mode, reach rest."""
    rest -= top
    if rest <= 0.0:
        return mode
    high, low, above, below = mode, mode, top, top
    while True:
        if above > _NOTHING:
            above *= scale * (start + step * high) / (high + 1.0)
            high += 1.0
            rest -= above
            if rest <= 0.0:
                return high
        if low > 0.0 and below > _NOTHING:
            below *= low / (scale * (start + step * (low - 1.0)))
            low -= 1.0
            rest -= below
            if rest <= 0.0:
                return low
        elif above <= _NOTHING:
            return mode  # a remainder of rounding
