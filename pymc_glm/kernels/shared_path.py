r"""Paths of shared input: stationary autoregressions of unit variance, begun anew in each segment.

With step d and timescale :math:`\tau`, :math:`r = e^{-d / \tau}`. The Ornstein-Uhlenbeck process
(smoothness 1/2) is an autoregression of first order on its grid,

.. math:: f_t = r f_{t-1} + \sqrt{1 - r^2}\, \epsilon_t,

and the smoother one (smoothness 3/2) one of second order with two equal roots r, whose correlation
at h steps, :math:`r^h (1 + h (1 - r^2) / (1 + r^2))`, tends to the Matern correlation
:math:`(1 + x) e^{-x}`, :math:`x = h d / \tau`, for small steps (Rasmussen & Williams 2006, Gaussian
Processes for Machine Learning, section B.2).
"""

import math

import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.compiling import compiled, inlined

__all__ = [
    "ORDER",
    "add_precision",
    "add_prior_gradient",
    "autoregression",
    "carry",
    "innovation",
    "log_path_density",
    "path_from",
]

ORDER = 2  # largest order of the autoregressions

type Floats = NDArray[np.float64]


@compiled
def autoregression(smoothness: float, step: float, timescale: float) -> Floats:
    """Return coefficients of the two values before, and variance, by place in the segment, (3, 3).

    Rows are the first grid point of a segment, the second, and all others.
    """
    out = np.zeros((3, 3))
    out[0, 2] = 1.0
    r, rest = math.exp(-step / timescale), -math.expm1(-2.0 * step / timescale)  # 1 - r^2
    if smoothness < 1.0:
        out[1:, 0] = r
        out[1:, 2] = rest
    else:
        rho = 2.0 * r / (1.0 + r * r)
        out[1, 0] = rho
        out[1, 2] = (rest / (1.0 + r * r)) ** 2  # 1 - rho^2
        out[2, 0], out[2, 1] = 2.0 * r, -r * r
        out[2, 2] = rest**3 / (1.0 + r * r)
    return out


@compiled
def innovation(path: Floats, t: int, row: int, coefficients: Floats) -> float:
    """Return what a grid point adds to its expectation given those before; row is min(place, 2)."""
    away = path[t]
    if row >= 1:
        away -= coefficients[row, 0] * path[t - 1]
    if row == 2:
        away -= coefficients[row, 1] * path[t - 2]
    return away


@compiled
def log_path_density(path: Floats, place: NDArray, coefficients: Floats) -> float:
    """Return the log density of a path (grid,) on its grid.

    Parameters
    ----------
    path : array, shape (grid,)
    place : array of int, shape (grid,)
        Number of grid points before each one in its segment.
    coefficients : array, shape (3, 3)
        From `autoregression`.
    """
    total, seen = 0.0, np.zeros(3)
    for t in range(path.size):
        row = min(place[t], 2)
        away = innovation(path, t, row, coefficients)
        total -= 0.5 * away * away / coefficients[row, 2]
        seen[row] += 1.0
    for row in range(3):
        total -= 0.5 * seen[row] * math.log(2.0 * math.pi * coefficients[row, 2])
    return total


@compiled
def path_from(innovations: Floats, place: NDArray, coefficients: Floats) -> Floats:
    """Return the path (grid,) that standard normal innovations (grid,) drive."""
    out = np.empty(innovations.size)
    for t in range(out.size):
        row = min(place[t], 2)
        out[t] = math.sqrt(coefficients[row, 2]) * innovations[t]
        if row >= 1:
            out[t] += coefficients[row, 0] * out[t - 1]
        if row == 2:
            out[t] += coefficients[row, 1] * out[t - 2]
    return out


@compiled
def carry(path: Floats, place: NDArray, before: Floats, after: Floats) -> Floats:
    """Return the path (grid,) that the same innovations drive with other coefficients."""
    out = np.empty(path.size)
    for t in range(path.size):
        row = min(place[t], 2)
        away = innovation(path, t, row, before)
        out[t] = away * math.sqrt(after[row, 2] / before[row, 2])
        if row >= 1:
            out[t] += after[row, 0] * out[t - 1]
        if row == 2:
            out[t] += after[row, 1] * out[t - 2]
    return out


@inlined
def add_precision(
    low: int,
    high: int,
    end: int,
    path: Floats,
    place: NDArray,
    coefficients: Floats,
    banded: Floats,
    gradient: Floats,
) -> None:
    """Add precision and gradient of the log density of some grid points, given all others.

    Parameters
    ----------
    low, high : int
        The first grid point and the one after the last.
    end : int
        The grid point after the last of the path.
    path : array, shape (grid,)
    place : array of int, shape (grid,)
    coefficients : array, shape (3, 3)
    banded : array, shape (high - low, ORDER + 1)
        Receives element [i, i - j] of the precision in row i, column j.
    gradient : array, shape (high - low,)
    """
    factor = np.empty(3)
    for t in range(low, min(high + ORDER, end)):
        row = min(place[t], 2)
        factor[0], factor[1], factor[2] = 1.0, -coefficients[row, 0], -coefficients[row, 1]
        away = innovation(path, t, row, coefficients)
        for i in range(row + 1):
            if not low <= t - i < high:
                continue
            gradient[t - i - low] -= factor[i] * away / coefficients[row, 2]
            for j in range(i, row + 1):
                if t - j >= low:
                    banded[t - i - low, j - i] += factor[i] * factor[j] / coefficients[row, 2]


@inlined
def add_prior_gradient(
    low: int,
    high: int,
    end: int,
    path: Floats,
    place: NDArray,
    coefficients: Floats,
    gradient: Floats,
) -> None:
    """Add the gradient of the log density of some grid points, see `add_precision`."""
    for t in range(low, min(high + ORDER, end)):
        row = min(place[t], 2)
        away = innovation(path, t, row, coefficients)
        away /= coefficients[row, 2]
        if t < high:
            gradient[t - low] -= away
        if row >= 1 and low <= t - 1 < high:
            gradient[t - 1 - low] += coefficients[row, 0] * away
        if row == 2 and t - 2 >= low:
            gradient[t - 2 - low] += coefficients[row, 1] * away
