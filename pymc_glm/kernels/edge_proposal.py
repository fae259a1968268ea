"""Proposals of an edge's weights from a t distribution around the mode of their conditional."""

import math

import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.compiling import compiled
from pymc_glm.kernels.likelihood import NeuronLikelihood, Workspace, score
from pymc_glm.kernels.prior import EdgePrior
from pymc_glm.kernels.sparse_history import SparseHistory, pattern_values
from pymc_glm.kernels.triangular import cholesky, log_determinant, solve, solve_transposed

__all__ = [
    "FREEDOM",
    "draw_weights",
    "find_mode",
    "log_proposal",
    "log_slab",
]

FREEDOM = 8.0  # degrees of freedom of the t distribution, whose tails are above the posterior's
_FARTHEST = 3.0  # longest Newton step, in standard deviations
_SETTLED = 0.02  # Newton's method stops after a step of this squared length, in the same unit

type Floats = NDArray[np.float64]


@compiled
def log_slab(w: Floats, prior: EdgePrior, n: int, m: int) -> float:
    """Return log prior density of an edge's presence and weights minus that of its absence."""
    quadratic = 0.0
    for i in range(w.size):
        for j in range(w.size):
            left, right = w[i] - prior.mean[n, m, i], w[j] - prior.mean[n, m, j]
            quadratic += left * prior.precision[n, m, i, j] * right
    log_odds = prior.log_odds[n, m]
    if abs(log_odds) == np.inf:  # certain: not part of any ratio
        log_odds = 0.0
    log_normal = 0.5 * (prior.log_det[n, m] - w.size * math.log(2.0 * math.pi))
    return log_odds + log_normal - 0.5 * quadratic


@compiled
def draw_weights(normals: Floats, stretch: float, mode: Floats, lower: Floats, w: Floats) -> None:
    """Write a draw from the t distribution around the mode with precision lower lower'."""
    for i in range(w.size):
        w[i] = stretch * normals[i]
    solve_transposed(lower, w)
    for i in range(w.size):
        w[i] += mode[i]


@compiled
def log_proposal(w: Floats, mode: Floats, lower: Floats) -> float:
    """Return the log density of `draw_weights`."""
    squared = 0.0
    for j in range(w.size):
        z = 0.0
        for i in range(j, w.size):
            z += lower[i, j] * (w[i] - mode[i])
        squared += z * z
    half = 0.5 * (FREEDOM + w.size)
    constant = math.lgamma(half) - math.lgamma(0.5 * FREEDOM)
    constant -= 0.5 * w.size * math.log(FREEDOM * math.pi)
    return constant + 0.5 * log_determinant(lower) - half * math.log1p(squared / FREEDOM)


@compiled
def find_mode(
    history: SparseHistory,
    m: int,
    likelihood: NeuronLikelihood,
    base: Floats,
    counts: Floats,
    prior: EdgePrior,
    n: int,
    most_steps: int,
    work: Workspace,
    mode: Floats,
    lower: Floats,
) -> None:
    """Take at most `most_steps` Newton steps towards the mode of edge m's weights.

    The mode (basis,) holds the start and is changed in place; lower (basis, basis) receives the
    Cholesky factor of the precision. Base is psi without the edge and counts are the counts, both
    in the bins in which the pre neuron has history.
    """
    start, _, pattern, pattern_start, patterns, _, _ = history
    first_row, size, n_bins = start[m], mode.size, base.size
    first, n_patterns = pattern_start[m], pattern_start[m + 1] - pattern_start[m]
    slopes, curvatures = np.empty(n_patterns), np.empty(n_patterns)
    hessian, step = np.empty((size, size)), np.empty(size)
    psi, slope, curvature = work.psi[:n_bins], work.slope[:n_bins], work.curvature[:n_bins]
    for _ in range(most_steps):
        value = pattern_values(history, m, mode)
        for i in range(n_bins):
            psi[i] = base[i] + value[pattern[first_row + i]]
        score(likelihood, counts, psi, slope, curvature)
        slopes[:] = 0.0
        curvatures[:] = 0.0
        for i in range(n_bins):
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
