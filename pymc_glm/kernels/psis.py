"""Pareto smoothed importance sampling (Vehtari, Simpson, Gelman, Yao & Gabry 2024).

The largest importance ratios are replaced by quantiles of a generalised Pareto distribution, which
is fitted to them by the empirical Bayes estimate of Zhang & Stephens (2009, Technometrics 51:
316-325). Its shape k measures how heavy their tail is. If draws from the posterior stand for the
posterior without one observation y, the ratios are 1 / p(y | draw).
"""

import math
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.compiling import compiled
from pymc_glm.kernels.exponential import EXPONENT_LIMIT, exponential

__all__ = [
    "FEWEST_DRAWS",
    "Smoother",
    "fit_pareto",
    "loo_of_logs",
    "loo_of_ratios",
    "smooth_tail",
    "smooth_weights",
    "smoother",
    "tail_length",
]

FEWEST_DRAWS = 25  # the tail, a fifth of them, then has the five values that a fit needs

_PRIOR_DRAWS, _PRIOR_SHAPE = 10.0, 0.5  # weakly informative prior of k (Vehtari et al. 2024)
_PRIOR_SCALE = 3.0
_NEGLIGIBLE = 10 * np.finfo(float).eps
_RUN = 16  # number of factors that are multiplied before the logarithm is taken,
_SPREAD = 1e12  # unless some of them may be this large
_SAMPLE, _SPARE = 100, 6  # ratios from which the cutoff is estimated, and a margin in their rank

type Floats = NDArray[np.float64]


class Smoother(NamedTuple):
    """Constants for tails of one length, and scratch arrays for one tail."""

    log_above: Floats  # (tail,): log(1 - p) at the probabilities of the quantiles
    grid: Floats  # (point,): of the scale, before conversion to units of the tail
    scale: Floats  # (point,)
    product: Floats  # (point,)
    shape: Floats  # (point,)
    excess: Floats  # (tail,)
    tail: Floats  # (tail,)
    ratios: Floats  # (draw,)
    high: Floats  # (draw + 1,)
    sample: Floats  # (value,)


def tail_length(n_draws: int, relative_efficiency: float) -> int:
    """Return the number of ratios that are smoothed (Vehtari et al. 2024, section 6).

    Parameters
    ----------
    n_draws : int
    relative_efficiency : float
        Effective number of draws divided by their number.
    """
    if n_draws * relative_efficiency > 225:
        return int(3 * math.sqrt(n_draws / relative_efficiency))
    return n_draws // 5


@compiled
def smoother(n_draws: int, n_tail: int) -> Smoother:
    """Return constants and scratch arrays for tails of n_tail among n_draws."""
    n_points = 30 + int(n_tail**0.5)
    log_above, grid = np.empty(n_tail), np.empty(n_points)
    for i in range(n_tail):
        log_above[i] = math.log1p(-(i + 0.5) / n_tail)
    for j in range(n_points):
        grid[j] = (1.0 - math.sqrt(n_points / (j + 0.5))) / _PRIOR_SCALE
    return Smoother(
        log_above,
        grid,
        np.empty(n_points),
        np.empty(n_points),
        np.empty(n_points),
        np.empty(n_tail),
        np.empty(n_tail),
        np.empty(n_draws),
        np.empty(n_draws + 1),
        np.empty(_SAMPLE),
    )


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _mean_logs(x, scale, product, out):
    """Write the means over x of log(1 - scale x), for each scale."""
    n, quartile = x.size, x[int(x.size / 4 + 0.5) - 1]
    out[:] = 0.0
    if x[-1] < _SPREAD * quartile:
        for first in range(0, n, _RUN):
            product[:] = 1.0
            for i in range(first, min(first + _RUN, n)):
                value = x[i]
                for j in range(scale.size):
                    product[j] *= 1.0 - scale[j] * value
            for j in range(scale.size):
                out[j] += math.log(product[j])
    else:
        for i in range(n):
            for j in range(scale.size):
                out[j] += math.log1p(-scale[j] * x[i])
    for j in range(scale.size):
        out[j] /= n


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def fit_pareto(x: Floats, scratch: Smoother) -> tuple[float, float]:
    """Return shape and scale of a generalised Pareto distribution.

    Parameters
    ----------
    x : array, shape (n,)
        Ascending, above 0.
    scratch : Smoother

    Returns
    -------
    tuple of float
        NaN if the values are far from such a distribution, as when a quarter of them are equal.
    """
    n, (scale, shape) = x.size, (scratch.scale, scratch.shape)
    quartile = x[int(n / 4 + 0.5) - 1]
    if quartile <= x[0]:
        return np.nan, np.nan
    for j in range(scale.size):
        scale[j] = scratch.grid[j] / quartile + 1.0 / x[-1]
    _mean_logs(x, scale, scratch.product, shape)
    best = -np.inf
    for j in range(scale.size):
        shape[j] = n * (math.log(-scale[j] / shape[j]) - shape[j] - 1.0)
        best = max(best, shape[j])
    total = 0.0
    for j in range(scale.size):
        shape[j] = math.exp(shape[j] - best)
        total += shape[j]
    mean, kept = 0.0, 0.0
    for j in range(scale.size):
        if shape[j] >= _NEGLIGIBLE * total:
            mean += shape[j] * scale[j]
            kept += shape[j]
    mean /= kept
    k = 0.0
    for i in range(n):
        k += math.log1p(-mean * x[i])
    k /= n
    if not math.isfinite(k):
        return np.inf, np.nan
    return (n * k + _PRIOR_DRAWS * _PRIOR_SHAPE) / (n + _PRIOR_DRAWS), -k / mean


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def smooth_tail(tail: Floats, cutoff: float, scratch: Smoother) -> float:
    """Replace the largest ratios by quantiles of the fitted distribution; return its shape.

    Parameters
    ----------
    tail : array, shape (tail,)
        Ascending; no smoothed value exceeds the last of them.
    cutoff : float
        The largest ratio outside the tail.
    scratch : Smoother

    Returns
    -------
    float
        NaN or infinite if the fit failed; the tail is then not changed.
    """
    n, top = tail.size, tail[-1]
    if not top > tail[0]:
        return np.nan
    for i in range(n):
        scratch.excess[i] = tail[i] - cutoff
    k, sigma = fit_pareto(scratch.excess, scratch)
    if math.isfinite(k) and sigma > 0:
        for i in range(n):
            if k == 0.0:
                tail[i] = cutoff - sigma * scratch.log_above[i]
            else:
                tail[i] = cutoff + sigma * math.expm1(-k * scratch.log_above[i]) / k
            tail[i] = min(tail[i], top)
    return k


def smooth_weights(log_ratios: Floats, n_tail: int) -> tuple[Floats, float]:
    """Return smoothed importance weights (draw,), with sum 1, and the shape of their tail.

    Parameters
    ----------
    log_ratios : array, shape (draw,)
        Up to a constant.
    n_tail : int
        See `tail_length`.

    Returns
    -------
    weights : array, shape (draw,)
    k : float
        NaN if all ratios in the tail are equal.
    """
    weights = np.exp(log_ratios - log_ratios.max())
    order = np.argsort(weights)
    tail = weights[order[-n_tail:]]
    k = smooth_tail(tail, weights[order[-n_tail - 1]], smoother(weights.size, n_tail))
    weights[order[-n_tail:]] = tail
    return weights / weights.sum(), k


@compiled
def _split(x, n_low):
    """Move the n_low smallest values of x to its start (quickselect)."""
    low, high = 0, x.size - 1
    while low < high:
        middle = (low + high) // 2
        a, b, c = x[low], x[middle], x[high]
        pivot = max(min(a, b), min(max(a, b), c))
        i, j = low, high
        while i <= j:
            while x[i] < pivot:
                i += 1
            while x[j] > pivot:
                j -= 1
            if i <= j:
                x[i], x[j] = x[j], x[i]
                i += 1
                j -= 1
        if n_low <= j:
            high = j
        elif n_low >= i:
            low = i
        else:
            return


@compiled
def _likely_cutoff(x, scratch):
    """Return a value that, most likely, slightly more values of x exceed than fit in the tail."""
    sample, n = scratch.sample, x.size
    rank = min(int(_SAMPLE * scratch.tail.size / n) + _SPARE, _SAMPLE - 1)
    n_sample = min(_SAMPLE, n)
    sample[: rank + 1] = -np.inf
    for i in range(n_sample):
        value = x[i * n // n_sample]
        if value > sample[rank]:
            j = rank
            while j > 0 and sample[j - 1] < value:
                sample[j] = sample[j - 1]
                j -= 1
            sample[j] = value
    return sample[rank]


@compiled
def _take_tail(scratch):
    """Sort the tail to the end of the ratios, copy it and return the largest ratio below it."""
    x, high = scratch.ratios, scratch.high
    n_low = x.size - scratch.tail.size
    cutoff, low, above = _likely_cutoff(x, scratch), 0, 0
    for s in range(x.size):  # without a branch, which could not be predicted
        value = x[s]
        x[low] = value
        high[above] = value
        over = value > cutoff
        above += over
        low += not over
    x[low:] = high[:above]
    if low >= n_low:
        _split(x, n_low)
        low = n_low
    x[low:].sort()
    scratch.tail[:] = x[n_low:]
    return x[n_low - 1] if low < n_low else x[:n_low].max()


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc"})
def loo_of_ratios(ratio: Floats, scratch: Smoother) -> tuple[float, float, float]:
    """Return elpd, k and log predictive density of one observation from its 1 / p, (draw,).

    Parameters
    ----------
    ratio : array, shape (draw,)
        Within 1e-290 to 1e290.
    scratch : Smoother

    Returns
    -------
    elpd : float
        Log density of the observation given the others (Vehtari, Gelman & Gabry 2017, equation 10).
    k : float
        Shape of the tail; NaN if it cannot be estimated, as when all draws are equal.
    lpd : float
        Log density of the observation given all.
    """
    n, top, density = ratio.size, 0.0, 0.0
    for s in range(n):
        top = max(top, ratio[s])
    inverse = 1.0 / top
    for s in range(n):
        scratch.ratios[s] = ratio[s] * inverse
        density += 1.0 / ratio[s]
    cutoff = _take_tail(scratch)
    n_low = n - scratch.tail.size
    k = smooth_tail(scratch.tail, cutoff, scratch)
    weight, weighted = 0.0, float(n_low)  # every draw that is not smoothed adds w p = 1
    for s in range(n_low):
        weight += scratch.ratios[s]
    for i in range(scratch.tail.size):
        weight += scratch.tail[i]
        weighted += scratch.tail[i] / scratch.ratios[n_low + i]
    return math.log(weighted / weight) - math.log(top), k, math.log(density / n)


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def loo_of_logs(log_density: Floats, scratch: Smoother) -> tuple[float, float, float]:
    """Return the results of `loo_of_ratios` from log p (draw,), which may have any range."""
    n, ratios, tail = log_density.size, scratch.ratios, scratch.tail
    low, high, density = log_density.min(), log_density.max(), 0.0
    if not (math.isfinite(low) and math.isfinite(high)):
        return -np.inf, np.inf, -np.inf
    for s in range(n):
        density += exponential(max(log_density[s] - high, -EXPONENT_LIMIT))
        ratios[s] = low - log_density[s]
    cutoff = math.exp(_take_tail(scratch))
    n_low = n - tail.size
    for i in range(tail.size):
        tail[i] = math.exp(tail[i])
    k = smooth_tail(tail, cutoff, scratch)
    if math.isnan(k) and ratios[n_low + tail.size // 4] < -EXPONENT_LIMIT:
        k = np.inf  # a few draws carry all the weight
    weight, most = 0.0, 0.0
    for s in range(n_low):
        weight += exponential(max(ratios[s], -EXPONENT_LIMIT))
    for i in range(tail.size):
        weight += tail[i]
        scratch.excess[i] = math.log(tail[i]) - ratios[n_low + i] if tail[i] > 0 else 0.0
        most = max(most, scratch.excess[i])
    weighted = n_low * math.exp(-most)
    for i in range(tail.size):
        weighted += math.exp(scratch.excess[i] - most)
    elpd = low + most + math.log(weighted) - math.log(weight)
    return elpd, k, high + math.log(density / n)
