"""Proposals of an edge's weights: mode and precision of their conditional, a t law around it."""

import math
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.likelihood import Law, Workspace, score
from pymc_glm.kernels.polya_gamma import NetworkPrior
from pymc_glm.kernels.sparse_history import SparseHistory, pattern_values

__all__ = [
    "FREEDOM",
    "EdgePrior",
    "cholesky",
    "draw_weights",
    "edge_prior",
    "find_mode",
    "log_proposal",
    "log_slab",
    "solve",
    "solve_transposed",
]

FREEDOM = 8.0  # of the t law that weights are proposed from: its tails are above the posterior's
_FARTHEST = 3.0  # a Newton step goes at most so many standard deviations
_SETTLED = 0.02  # Newton stops after a step of less, squared, in standard deviations

type Floats = NDArray[np.float64]


class EdgePrior(NamedTuple):
    """The prior of edges and weights."""

    log_odds: Floats  # (post, pre)
    mean: Floats  # (post, pre, basis)
    precision: Floats  # (post, pre, basis, basis)
    log_det: Floats  # (post, pre): of the precision


def edge_prior(prior: NetworkPrior) -> EdgePrior:
    """Return what of the network prior concerns edges."""
    log_odds, mean, precision, *_ = prior
    if log_odds is None:
        log_odds = np.full(mean.shape[:2], np.inf)
    return EdgePrior(
        np.ascontiguousarray(log_odds),
        np.ascontiguousarray(mean),
        np.ascontiguousarray(precision),
        _log_determinants(np.ascontiguousarray(precision)),
    )


@numba.njit(cache=True, nogil=True)
def cholesky(matrix: Floats, lower: Floats) -> None:  # pragma: no cover - compiled
    """Write the lower Cholesky factor of a small matrix."""
    for i in range(matrix.shape[0]):
        for j in range(i + 1):
            value = matrix[i, j]
            for k in range(j):
                value -= lower[i, k] * lower[j, k]
            lower[i, j] = math.sqrt(value) if i == j else value / lower[j, j]


@numba.njit(cache=True, nogil=True)
def _log_determinants(precision):  # pragma: no cover - compiled
    n_post, n_pre, size, _ = precision.shape
    out, lower = np.zeros((n_post, n_pre)), np.zeros((size, size))
    for n in range(n_post):
        for m in range(n_pre):
            cholesky(precision[n, m], lower)
            for i in range(size):
                out[n, m] += 2.0 * math.log(lower[i, i])
    return out


@numba.njit(cache=True, nogil=True)
def solve(lower: Floats, vector: Floats) -> float:  # pragma: no cover - compiled
    """Solve (lower lower') x = vector in place; return the squared length of inv(lower) vector."""
    size = vector.size
    squared = 0.0
    for i in range(size):
        for k in range(i):
            vector[i] -= lower[i, k] * vector[k]
        vector[i] /= lower[i, i]
        squared += vector[i] ** 2
    solve_transposed(lower, vector)
    return squared


@numba.njit(cache=True, nogil=True)
def solve_transposed(lower: Floats, vector: Floats) -> None:  # pragma: no cover - compiled
    """Solve lower' x = vector in place."""
    for i in range(vector.size - 1, -1, -1):
        for k in range(i + 1, vector.size):
            vector[i] -= lower[k, i] * vector[k]
        vector[i] /= lower[i, i]


@numba.njit(cache=True, nogil=True)
def log_slab(w: Floats, prior: EdgePrior, n: int, m: int) -> float:  # pragma: no cover - compiled
    """Return the log prior density of an edge's presence and weights, less that of its absence."""
    quadratic = 0.0
    for i in range(w.size):
        for j in range(w.size):
            left, right = w[i] - prior.mean[n, m, i], w[j] - prior.mean[n, m, j]
            quadratic += left * prior.precision[n, m, i, j] * right
    log_odds = prior.log_odds[n, m]
    if abs(log_odds) == np.inf:  # certain: the same either way
        log_odds = 0.0
    log_normal = 0.5 * (prior.log_det[n, m] - w.size * math.log(2.0 * math.pi))
    return log_odds + log_normal - 0.5 * quadratic


@numba.njit(cache=True, nogil=True)
def draw_weights(
    normals: Floats, stretch: float, mode: Floats, lower: Floats, w: Floats
) -> None:  # pragma: no cover - compiled
    """Write a draw of the t law around the mode, of precision lower lower'."""
    for i in range(w.size):
        w[i] = stretch * normals[i]
    solve_transposed(lower, w)
    for i in range(w.size):
        w[i] += mode[i]


@numba.njit(cache=True, nogil=True)
def log_proposal(w: Floats, mode: Floats, lower: Floats) -> float:  # pragma: no cover - compiled
    """Return the log density of `draw_weights`."""
    squared = log_det = 0.0
    for j in range(w.size):
        z = 0.0
        for i in range(j, w.size):
            z += lower[i, j] * (w[i] - mode[i])
        squared += z * z
        log_det += math.log(lower[j, j])
    half = 0.5 * (FREEDOM + w.size)
    constant = math.lgamma(half) - math.lgamma(0.5 * FREEDOM)
    constant -= 0.5 * w.size * math.log(FREEDOM * math.pi)
    return constant + log_det - half * math.log1p(squared / FREEDOM)


@numba.njit(cache=True, nogil=True)
def find_mode(
    history: SparseHistory,
    m: int,
    law: Law,
    base: Floats,
    own: Floats,
    prior: EdgePrior,
    n: int,
    most_steps: int,
    work: Workspace,
    mode: Floats,
    lower: Floats,
) -> None:  # pragma: no cover - compiled
    """Take Newton steps from mode (basis,) to the mode of edge m's weights, in place.

    At most `most_steps`; lower (basis, basis) receives the Cholesky factor of the precision. Base
    and own are psi without the edge, and counts, where its pre neuron has history.
    """
    start, _, pattern, pattern_start, patterns, _ = history
    first_row, size, count = start[m], mode.size, base.size
    first, n_patterns = pattern_start[m], pattern_start[m + 1] - pattern_start[m]
    slopes, curvatures = np.empty(n_patterns), np.empty(n_patterns)
    hessian, step = np.empty((size, size)), np.empty(size)
    psi, slope, curvature = work.psi[:count], work.slope[:count], work.curvature[:count]
    for _ in range(most_steps):
        value = pattern_values(history, m, mode)
        for i in range(count):
            psi[i] = base[i] + value[pattern[first_row + i]]
        score(law, own, psi, slope, curvature)
        slopes[:] = 0.0
        curvatures[:] = 0.0
        for i in range(count):
            k = pattern[first_row + i]
            slopes[k] += slope[i]
            curvatures[k] += curvature[i]
        hessian[:] = prior.precision[n, m]
        step[:] = 0.0
        for b in range(size):
            for c in range(size):
                step[b] -= prior.precision[n, m, b, c] * (mode[c] - prior.mean[n, m, c])
        for k in range(n_patterns):
            for b in range(size):
                x = patterns[first + k, b]
                step[b] += x * slopes[k]
                for c in range(b + 1):
                    hessian[b, c] += x * patterns[first + k, c] * curvatures[k]
        cholesky(hessian, lower)
        squared = solve(lower, step)
        scale = 1.0 if squared < _FARTHEST**2 else _FARTHEST / math.sqrt(squared)
        for b in range(size):
            mode[b] += scale * step[b]
        if squared < _SETTLED:
            break
