"""Interspike intervals rescaled to unit rate by the compensator.

The count of a bin is distributed like that of a birth process inside the bin, with the rate
(dispersion + step k) c after k spikes: step -1 for binomial, 0 for Poisson and 1 for negative
binomial counts, the class of Panjer (1981). Given their number, the times x of the spikes within
the bin are independent with density proportional to exp(step c x). With times drawn from it the
rescaled intervals are exactly exponential under the model for any bin width. For Bernoulli counts
this is the correction of Haslinger, Pipa & Brown (2010, Neural Computation 22:2477, section 3).
"""

import math

import numba
import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.likelihood import LOGISTIC, POISSON

__all__ = ["rescaled_intervals"]

_LARGE = 700.0  # beyond which exp overflows

type Floats = NDArray[np.float64]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def rescaled_intervals(
    family: int, slope: float, dispersion: float, psi: Floats, counts: NDArray, uniforms: Floats
) -> Floats:
    """Return the rescaled interval that ends at each spike.

    Parameters
    ----------
    family, slope, dispersion
        See `pymc_glm.kernels.likelihood`; the family is LOGISTIC or POISSON.
    psi, counts : arrays, shape (time,)
    uniforms : array, shape (spike,)
        In [0, 1): from which the times of the spikes within their bins are drawn.

    Returns
    -------
    array, shape (spike,)
        Independent and exponential with mean 1 under the model. The first one starts with bin 0.
    """
    if family != LOGISTIC and family != POISSON:
        raise ValueError("family: it has no intervals; allowed are LOGISTIC and POISSON.")
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
