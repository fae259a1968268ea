r"""The log likelihood of a path of shared input, summed over the bins of each grid point.

A grid point shifts psi of neuron n by :math:`\delta = l_n f` in all of its bins. With the means
:math:`m_t` and curvatures :math:`c_t` of the log density of each bin at :math:`\delta = 0`, sums
M and C over the bins, and q = 1 - C / M, the derivative in :math:`\delta` is close to

.. math:: Y - M e^\delta / (1 + q (e^\delta - 1)),

exactly so for Poisson counts (q = 0), and for logistic ones whose mean is the same in all bins. For
other families it is expanded to first order. It guides proposals, which are decided on all bins.
"""

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.banded import banded_cholesky, banded_solve_lower, banded_solve_transposed
from pymc_glm.kernels.compiling import compiled, inlined
from pymc_glm.kernels.exponential import exponential
from pymc_glm.kernels.further_terms import SharedPaths
from pymc_glm.kernels.likelihood import LOGISTIC, POISSON, Likelihood
from pymc_glm.kernels.path_window import Window, borders, sums_of
from pymc_glm.kernels.shared_path import ORDER, add_precision

__all__ = [
    "PathSurrogate",
    "add_surrogate",
    "add_surrogate_curvature",
    "laplace_factor",
    "surrogate_of",
]

_FARTHEST = 8.0  # largest change of psi for which the derivative is trusted
_NEWTON = 2
_MOST = 6.0  # standard deviations of a path at its mode

type Floats = NDArray[np.float64]


class PathSurrogate(NamedTuple):
    """Sums over the bins of each grid point, for every neuron with a loading."""

    loadings: Floats  # (neuron,)
    exponential: bool  # whether the derivative has the form above
    observed: Floats  # (neuron, grid): Y; else the derivative at 0
    mean: Floats  # (neuron, grid): M; else minus the second derivative
    share: Floats  # (neuron, grid): q


@compiled
def surrogate_of(
    window: Window,
    likelihood: Likelihood,
    loadings: Floats,
    paths: SharedPaths,
    a: int,
    b: int,
) -> PathSurrogate:
    """Sum means and curvatures over the bins of consecutive grid points.

    Parameters
    ----------
    window : Window
        Activations without the factor.
    likelihood : Likelihood
    loadings : array, shape (post,)
        Of the factor.
    paths : SharedPaths
    a, b : int
        The first of the grid points and the one after the last.
    """
    known = np.flatnonzero(loadings)
    shape = (known.size, b - a)
    observed, mean, share = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    slopes, curvatures = np.empty(b - a), np.empty(b - a)
    tilted = likelihood.family == LOGISTIC or likelihood.family == POISSON
    for i in range(known.size):
        bins = borders(paths, known[i], a, b)
        sums_of(window, likelihood, known[i], bins, observed[i], slopes, curvatures)
        for g in range(b - a):
            if tilted:
                mean[i, g] = observed[i, g] - slopes[g]
                if mean[i, g] > 0.0:
                    share[i, g] = min(max(1.0 - curvatures[g] / mean[i, g], 0.0), 1.0)
            else:
                observed[i, g], mean[i, g] = slopes[g], curvatures[g]
    return PathSurrogate(loadings[known], tilted, observed, mean, share)


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _add_tilted(size, observed, mean, share, path, gradient):
    for g in range(path.size):
        e = exponential(min(max(size * path[g], -_FARTHEST), _FARTHEST))
        gradient[g] += size * (observed[g] - mean[g] * e / (1.0 + share[g] * (e - 1.0)))


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _add_curvature(size, mean, share, path, curvature):
    for g in range(path.size):
        e = exponential(min(max(size * path[g], -_FARTHEST), _FARTHEST))
        q = 1.0 / (1.0 + share[g] * (e - 1.0))
        curvature[g] += size * size * mean[g] * e * (1.0 - share[g]) * q * q


@compiled
def add_surrogate(surrogate: PathSurrogate, path: Floats, gradient: Floats) -> None:
    """Add the derivative in the path (grid,) to an array (grid,)."""
    loadings, tilted, observed, mean, share = surrogate
    for i in range(loadings.size):
        if tilted:
            _add_tilted(loadings[i], observed[i], mean[i], share[i], path, gradient)
        else:
            for g in range(path.size):
                shift = loadings[i] * path[g]
                gradient[g] += loadings[i] * (observed[i, g] - mean[i, g] * shift)


@inlined
def add_surrogate_curvature(surrogate: PathSurrogate, path: Floats, curvature: Floats) -> None:
    """Add minus the second derivative in the path (grid,) to an array (grid,)."""
    loadings, tilted, _, mean, share = surrogate
    for i in range(loadings.size):
        if tilted:
            _add_curvature(loadings[i], mean[i], share[i], path, curvature)
        else:
            for g in range(path.size):
                curvature[g] += loadings[i] * loadings[i] * mean[i, g]


@inlined
def laplace_factor(
    surrogate: PathSurrogate,
    low: int,
    high: int,
    end: int,
    path: Floats,
    place: NDArray,
    coefficients: Floats,
) -> Floats:
    """Return the banded Cholesky factor of the precision at the mode of some grid points.

    The mode is found by a fixed number of Newton steps from zero, so the result does not depend on
    the current values of these grid points. They are changed, and restored.

    Parameters
    ----------
    surrogate : PathSurrogate
    low, high, end, path, place, coefficients
        See `pymc_glm.kernels.shared_path.add_precision`.
    """
    size = high - low
    kept = path[low:high].copy()
    path[low:high] = 0.0
    banded, gradient, curvature = np.zeros((size, ORDER + 1)), np.empty(size), np.empty(size)
    for step in range(_NEWTON + 1):
        banded[:], gradient[:], curvature[:] = 0.0, 0.0, 0.0
        add_precision(low, high, end, path, place, coefficients, banded, gradient)
        add_surrogate_curvature(surrogate, path[low:high], curvature)
        banded[:, 0] += curvature
        banded_cholesky(banded)
        if step < _NEWTON:
            add_surrogate(surrogate, path[low:high], gradient)
            banded_solve_lower(banded, gradient)
            banded_solve_transposed(banded, gradient)
            for i in range(size):
                path[low + i] = min(max(path[low + i] + gradient[i], -_MOST), _MOST)
    path[low:high] = kept
    return banded
