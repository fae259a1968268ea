r"""Activations of all neurons in some bins, and their log likelihood when a path changes.

A path adds the same number to psi in all bins of a grid point. For logistic and Poisson counts the
exponentials of psi without the path are computed once: then :math:`e^{\psi + l f}` is a product,
with one exponential for each grid point. Where psi is too large for that, and for other families,
psi itself is used.
"""

import math
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.compiling import compiled, inlined
from pymc_glm.kernels.exponential import exponential
from pymc_glm.kernels.further_terms import SharedPaths, bins_before
from pymc_glm.kernels.likelihood import (
    LOGISTIC,
    POISSON,
    Likelihood,
    log_likelihood,
    neuron_likelihood,
    score,
)

__all__ = ["Window", "borders", "log_likelihood_of", "open_window", "shift_window", "sums_of"]

_RUN = 8  # numbers of at most 1 + exp(2 _LARGE) whose product cannot overflow
_LARGE = 40.0  # psi, and change of psi, up to which products are used

type Floats = NDArray[np.float64]


class Window(NamedTuple):
    """Activations without one of the paths, in the bins that read a stretch of the paths."""

    low: NDArray[np.int64]  # (post,): the first bin of each neuron
    high: NDArray[np.int64]  # (post,): the bin after the last
    products: bool  # whether `values` are exponentials of psi
    values: Floats  # (post, bins): psi, or its exponential, from the first bin on


@inlined
def open_window(
    likelihood: Likelihood, low: NDArray[np.int64], high: NDArray[np.int64], psi: Floats
) -> Window:
    """Return the window with given activations (post, bins), which are changed in place."""
    products = likelihood.family == LOGISTIC or likelihood.family == POISSON
    if products:
        for n in range(psi.shape[0]):
            for t in range(high[n] - low[n]):
                products &= abs(psi[n, t]) < _LARGE
    if products:
        for n in range(psi.shape[0]):
            _exponentials(psi[n, : high[n] - low[n]])
    return Window(low, high, products, psi)


@compiled
def borders(paths: SharedPaths, n: int, a: int, b: int) -> NDArray[np.int64]:
    """Return the bins of neuron n between which grid points a to b - 1 lie, (grid + 1,)."""
    out = np.empty(b - a + 1, np.int64)
    out[0] = bins_before(paths, n, paths.first[a])
    for g in range(a, b):
        out[g - a + 1] = bins_before(paths, n, paths.last[g])
    return out


@numba.njit(cache=True, nogil=True, fastmath={"contract"})
def _exponentials(psi):
    for t in range(psi.size):
        psi[t] = exponential(psi[t])


@compiled
def shift_window(window: Window, paths: SharedPaths, k: int, loadings: Floats, sign: float) -> None:
    """Add loadings (post,) times the path of factor k, times a sign, to the activations."""
    begin, end = paths.start[k], paths.start[k + 1]
    for n in range(loadings.size):
        low, high = window.low[n], window.high[n]
        if loadings[n] == 0.0 or low == high:
            continue
        row, stop = window.values[n], low
        place = paths.place[low] - paths.delay[n]
        for g in range(begin + np.searchsorted(paths.last[begin:end], place, "right"), end):
            shift = sign * loadings[n] * paths.values[g]
            a, stop = stop, min(bins_before(paths, n, paths.last[g]), high)
            if window.products:
                factor = exponential(min(max(shift, -_LARGE), _LARGE))
                for t in range(a - low, stop - low):
                    row[t] *= factor
            else:
                for t in range(a - low, stop - low):
                    row[t] += shift
            if stop == high:
                break


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _scores(likelihood, n, counts, values, slope, curvature):
    """Write the derivatives of the log density, from exponentials of psi."""
    dispersion, steepness = likelihood.dispersion[n], likelihood.slope
    if likelihood.family == POISSON:
        for t in range(values.size):
            mean = dispersion * values[t]
            slope[t], curvature[t] = counts[t] - mean, mean
    else:
        for t in range(values.size):
            q = 1.0 / (1.0 + values[t])
            mean = (dispersion + steepness * counts[t]) * values[t] * q
            slope[t], curvature[t] = counts[t] - mean, mean * q


@inlined
def sums_of(
    window: Window,
    likelihood: Likelihood,
    n: int,
    bins: NDArray[np.int64],
    observed: Floats,
    slopes: Floats,
    curvatures: Floats,
) -> None:
    """Write sums over the bins of consecutive grid points, for one neuron.

    Parameters
    ----------
    window : Window
    likelihood : Likelihood
    n : int
    bins : array of int, shape (grid + 1,)
        Bins between which the grid points lie.
    observed, slopes, curvatures : arrays, shape (grid,)
        Receive counts, first derivatives and minus second derivatives of the log likelihood.
    """
    begin, end = bins[0], bins[-1]
    counts = likelihood.counts[n, begin:end]
    values = window.values[n, begin - window.low[n] : end - window.low[n]]
    slope, curvature = np.empty(end - begin), np.empty(end - begin)
    if window.products:
        _scores(likelihood, n, counts, values, slope, curvature)
    else:
        score(neuron_likelihood(likelihood, n), counts, values, slope, curvature)
    for g in range(observed.size):
        total, down, bend = 0.0, 0.0, 0.0
        for t in range(bins[g] - begin, bins[g + 1] - begin):
            total += counts[t]
            down += slope[t]
            bend += curvature[t]
        observed[g], slopes[g], curvatures[g] = total, down, bend


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc"})
def _log_of_products(likelihood, n, counts, values, bins, shifts):
    """Return the log likelihood of one neuron, up to terms without shifts (grid,)."""
    dispersion, steepness = likelihood.dispersion[n], likelihood.slope
    total, soft, product, n_factors = 0.0, 0.0, 1.0, 0
    for g in range(shifts.size):
        factor = exponential(shifts[g])
        first, b = bins[g] - bins[0], bins[g + 1] - bins[0]
        a = first
        spikes = 0.0
        for t in range(a, b):
            spikes += counts[t]
        total += spikes * shifts[g]
        if likelihood.family == POISSON:
            for t in range(a, b):
                soft += values[t] * factor
            continue
        while a < b:
            end = min(a + _RUN - n_factors, b)
            for t in range(a, end):
                product *= 1.0 + values[t] * factor
            n_factors += end - a
            if n_factors == _RUN:
                soft += math.log(product)
                product, n_factors = 1.0, 0
            a = end
        if steepness != 0.0 and spikes > 0.0:
            for t in range(first, b):
                if counts[t] > 0:
                    total -= steepness * counts[t] * math.log1p(values[t] * factor)
    soft += math.log(product)
    return total - dispersion * soft


@compiled
def log_likelihood_of(
    window: Window,
    likelihood: Likelihood,
    loadings: Floats,
    paths: SharedPaths,
    a: int,
    path: Floats,
) -> float:
    """Return the log likelihood of the bins of some grid points, up to terms without the path.

    Parameters
    ----------
    window : Window
        Without the path.
    likelihood : Likelihood
    loadings : array, shape (post,)
    paths : SharedPaths
    a : int
        The first of the grid points.
    path : array, shape (grid,)
        Values at these grid points.
    """
    total = 0.0
    for n in range(loadings.size):
        if loadings[n] == 0.0:
            continue
        bins = borders(paths, n, a, a + path.size)
        begin, end = bins[0], bins[-1]
        counts = likelihood.counts[n, begin:end]
        values = window.values[n, begin - window.low[n] : end - window.low[n]]
        if window.products:
            shifts = loadings[n] * path
            if np.max(np.abs(shifts)) > _LARGE:
                return -np.inf
            total += _log_of_products(likelihood, n, counts, values, bins, shifts)
        else:
            shifted, buffer = np.empty(end - begin), np.empty(end - begin)
            for g in range(path.size):
                for t in range(bins[g] - begin, bins[g + 1] - begin):
                    shifted[t] = values[t] + loadings[n] * path[g]
            total += log_likelihood(neuron_likelihood(likelihood, n), counts, shifted, buffer)
    return total
