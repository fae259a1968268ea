"""Proposals of an edge's weights from a t distribution around the mode of their conditional."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.compiling import compiled, inlined
from pymc_glm.kernels.likelihood import (
    NeuronLikelihood,
    Workspace,
    log_likelihood,
    score,
)
from pymc_glm.kernels.passes import write_products
from pymc_glm.kernels.prior import EdgePrior
from pymc_glm.kernels.spike_history import (
    BLOCK,
    SpikeHistory,
    add_edge,
    runs_with_history,
    write_information,
)
from pymc_glm.kernels.triangular import cholesky, log_determinant, solve, solve_transposed

__all__ = [
    "FREEDOM",
    "Scratch",
    "draw_weights",
    "find_mode",
    "log_likelihoods_with",
    "log_proposal",
    "log_slab",
    "scratch_of",
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


class Scratch(NamedTuple):
    """Arrays for the bins in which a pre neuron has history, those of a block packed."""

    runs: NDArray[np.int64]  # (block, 2): see `runs_of`
    psi: Floats  # (block,)
    packed: Workspace  # (block,)
    slope: Floats  # (time,)
    curvature: Floats  # (time,)


@inlined
def scratch_of(counts: NDArray) -> Scratch:
    """Allocate the arrays for a recording with counts (time,)."""
    observed = np.empty(BLOCK, counts.dtype)
    packed = Workspace(np.empty(BLOCK), observed, np.empty(BLOCK), np.empty(BLOCK))
    runs, slope = np.empty((BLOCK, 2), np.int64), np.empty(counts.size)
    return Scratch(runs, np.empty(BLOCK), packed, slope, np.empty(counts.size))


@compiled
def _pack(history, m, weights, psi, counts, low, high, scratch, number):
    """Pack counts, and psi with weights of edge m, of a block's runs; return the number of bins."""
    here, packed, size = scratch.psi, scratch.packed, 0
    for k in range(number):
        first, last = scratch.runs[k]
        here[first:last] = psi[low + first : low + last]
    add_edge(history, m, weights, low, high, here[: high - low])
    for k in range(number):
        first, last = scratch.runs[k]
        packed.psi[size : size + last - first] = here[first:last]
        packed.counts[size : size + last - first] = counts[low + first : low + last]
        size += last - first
    return size


@inlined
def log_likelihoods_with(
    history: SpikeHistory,
    m: int,
    likelihood: NeuronLikelihood,
    psi: Floats,
    counts: NDArray,
    candidates: Floats,
    scratch: Scratch,
    out: Floats,
) -> None:
    """Write log likelihoods with several weights of edge m, of the bins that it affects.

    Parameters
    ----------
    history : SpikeHistory
    m : int
    likelihood : NeuronLikelihood
    psi, counts : arrays, shape (time,)
        Psi is that without the edge.
    candidates : array, shape (candidate, basis)
    scratch : Scratch
    out : array, shape (candidate,)
    """
    out[:] = 0.0
    packed = scratch.packed
    for low in range(0, psi.size, BLOCK):
        high = min(low + BLOCK, psi.size)
        number = runs_with_history(history, m, low, high, scratch.runs)
        for k in range(out.size):
            size = _pack(history, m, candidates[k], psi, counts, low, high, scratch, number)
            there = (packed.counts[:size], packed.psi[:size], packed.slope)
            out[k] += log_likelihood(likelihood, *there)


@inlined
def _derivatives(history, n, m, likelihood, psi, counts, weights, scratch, gradient, information):
    """Write the derivatives of the log likelihood in the weights of edge m."""
    packed = scratch.packed
    for low in range(0, psi.size, BLOCK):
        high = min(low + BLOCK, psi.size)
        number = runs_with_history(history, m, low, high, scratch.runs)
        size = _pack(history, m, weights, psi, counts, low, high, scratch, number)
        slope, curvature = packed.slope[:size], packed.curvature[:size]
        score(likelihood, packed.counts[:size], packed.psi[:size], slope, curvature)
        size = 0
        for k in range(number):
            first, last = scratch.runs[k]
            there = slice(low + first, low + last)
            scratch.slope[there] = slope[size : size + last - first]
            scratch.curvature[there] = curvature[size : size + last - first]
            size += last - first
    slots = gradient.reshape(1, gradient.size)
    write_products(history, n, np.full(1, m), scratch.slope, slots)
    write_information(history, m, scratch.curvature, information)


@inlined
def find_mode(
    history: SpikeHistory,
    m: int,
    likelihood: NeuronLikelihood,
    psi: Floats,
    counts: NDArray,
    prior: EdgePrior,
    n: int,
    most_steps: int,
    scratch: Scratch,
    mode: Floats,
    lower: Floats,
) -> None:
    """Take at most `most_steps` Newton steps towards the mode of edge m's weights.

    The mode (basis,) holds the start and is changed in place; lower (basis, basis) receives the
    Cholesky factor of the precision. Psi (time,) is that without the edge, counts are (time,).
    """
    size = mode.size
    hessian, step = np.empty((size, size)), np.empty(size)
    for _ in range(most_steps):
        _derivatives(history, n, m, likelihood, psi, counts, mode, scratch, step, hessian)
        hessian += prior.precision[n, m]
        for b in range(size):
            for c in range(size):
                step[b] -= prior.precision[n, m, b, c] * (mode[c] - prior.mean[n, m, c])
        cholesky(hessian, lower)
        squared = solve(lower, step)
        scale = 1.0 if squared < _FARTHEST**2 else _FARTHEST / math.sqrt(squared)
        for b in range(size):
            mode[b] += scale * step[b]
        if squared < _SETTLED:
            break
