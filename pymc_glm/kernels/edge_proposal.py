"""Proposals of an edge's weights: mode and precision of their conditional, a t law around it."""

import math

import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.compiling import compiled
from pymc_glm.kernels.likelihood import NeuronLikelihood, Workspace, score
from pymc_glm.kernels.prior import EdgePrior
from pymc_glm.kernels.sparse_history import SparseHistory, pattern_values
from pymc_glm.kernels.triangular import cholesky, solve, solve_transposed

__all__ = [
    "FREEDOM",
    "draw_weights",
    "find_mode",
    "log_proposal",
    "log_slab",
]

FREEDOM = 8.0  # of the t law that weights are proposed from: its tails are above the posterior's
_FARTHEST = 3.0  # a Newton step goes at most so many standard deviations
_SETTLED = 0.02  # Newton stops after a step of less, squared, in standard deviations

type Floats = NDArray[np.float64]


@compiled
def log_slab(w: Floats, prior: EdgePrior, n: int, m: int) -> float:
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


@compiled
def draw_weights(normals: Floats, stretch: float, mode: Floats, lower: Floats, w: Floats) -> None:
    """Write a draw of the t law around the mode, of precision lower lower'."""
    for i in range(w.size):
        w[i] = stretch * normals[i]
    solve_transposed(lower, w)
    for i in range(w.size):
        w[i] += mode[i]


@compiled
def log_proposal(w: Floats, mode: Floats, lower: Floats) -> float:
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


@compiled
def find_mode(
    history: SparseHistory,
    m: int,
    likelihood: NeuronLikelihood,
    base: Floats,
    own: Floats,
    prior: EdgePrior,
    n: int,
    most_steps: int,
    work: Workspace,
    mode: Floats,
    lower: Floats,
) -> None:
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
        score(likelihood, own, psi, slope, curvature)
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
