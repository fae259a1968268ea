"""Spikes in the time in which they come at rate one: intervals rescaled by the compensator.

The law of a bin's count is that of a birth process inside the bin, with the rate
(dispersion + step k) c after k spikes: step -1 for binomial counts, 0 for Poisson, 1 for negative
binomial ones, the class of Panjer (1981). Given their number, spikes lie in the bin independently,
with density proportional to exp(step c x). Placed there at random, they make intervals that are
exactly exponential under the model, whatever the width of the bins. For Bernoulli counts that is
the correction of Haslinger, Pipa & Brown (2010, Neural Computation 22:2477, section 3).
"""

import math

import numba
import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.likelihood import POISSON

__all__ = ["rescaled_intervals"]

_LARGE = 700.0  # beyond which exp overflows

type Floats = NDArray[np.float64]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def rescaled_intervals(
    family: int, slope: float, dispersion: float, psi: Floats, counts: NDArray, uniforms: Floats
) -> Floats:
    """Return the rescaled interval that ends with each spike.

    Parameters
    ----------
    family, slope, dispersion
        See `pymc_glm.kernels.likelihood`; the family is LOGISTIC or POISSON.
    psi, counts : arrays, shape (time,)
    uniforms : array, shape (spike,)
        In [0, 1): where in its bin a spike lies.

    Returns
    -------
    array, shape (spike,)
        Exponential with mean 1, and independent, under the model. The first begins with bin 0.
    """
    intervals = np.empty(uniforms.size)
    step = 0.0 if family == POISSON else (-1.0 if slope == 0.0 else 1.0)
    passed, spike = 0.0, 0
    for t in range(counts.size):
        a = min(max(psi[t], -_LARGE), _LARGE)
        if family == POISSON:
            c = math.exp(a)
        else:  # -log(1 - sigmoid(psi))
            c = max(a, 0.0) + math.log1p(math.exp(-abs(a)))
        n = int(counts[t])
        if n == 0:
            passed += dispersion * c
            continue
        places = np.empty(n)
        for k in range(n):
            u = uniforms[spike + k]
            places[k] = u * c if step == 0.0 else math.log1p(u * math.expm1(step * c)) / step
        places.sort()
        before = 0.0
        for k in range(n):
            intervals[spike] = passed + (dispersion + step * k) * (places[k] - before)
            passed, before = 0.0, places[k]
            spike += 1
        passed = (dispersion + step * n) * (c - before)
    return intervals
