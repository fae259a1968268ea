"""Hamiltonian trajectories of paths of shared input, given everything else.

Some grid points are held fixed, at random places, so that the stretches between them are
independent and are accepted or rejected separately. The metric of a stretch is the precision of its
Laplace approximation, which is banded; the derivatives that guide a trajectory are those of
`PathSurrogate`, summed over the bins of a grid point; its end is accepted by the log likelihood of
all bins (Neal 2011, Handbook of Markov Chain Monte Carlo, section 5.5: any derivative that depends
on the position alone leaves the target invariant).
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.banded import banded_solve_lower, banded_solve_transposed
from pymc_glm.kernels.compiling import compiled, inlined
from pymc_glm.kernels.further_terms import SharedPaths, add_paths, bins_before
from pymc_glm.kernels.likelihood import Likelihood, log_likelihood, neuron_likelihood
from pymc_glm.kernels.path_surrogate import (
    add_surrogate,
    laplace_factor,
    surrogate_of,
)
from pymc_glm.kernels.path_window import log_likelihood_of, open_window, shift_window
from pymc_glm.kernels.shared_path import ORDER, add_prior_gradient, innovation
from pymc_glm.kernels.spike_history import SpikeHistory, add_drive, drive_of

__all__ = ["PathDraws", "PathPlan", "compare_paths", "move_paths", "write_rest"]

type Floats = NDArray[np.float64]


class PathPlan(NamedTuple):
    """Autoregressions, and the lengths of stretches and trajectories."""

    place: NDArray[np.int64]  # (grid,): number of grid points before each one in its segment
    coefficients: Floats  # (factor, 3, 3): see `autoregression`
    bounds: NDArray[np.int64]  # (chunk + 1,): places between which paths are moved together
    most: int  # grid points of a stretch
    step_size: Floats  # (factor,): of leapfrog steps, in standard deviations
    n_steps: NDArray[np.int64]  # (factor,)


class PathDraws(NamedTuple):
    """All random numbers of one sweep."""

    normals: Floats  # (grid,): momenta
    uniforms: Floats  # (grid,): for the acceptance of the stretch that begins there
    lengths: Floats  # (chunk, factor): uniform, for the length of the first stretch


@compiled
def write_rest(
    history: SpikeHistory, n: int, bias: float, weights: Floats, low: int, high: int, psi: Floats
) -> None:
    """Write psi of post neuron n without paths, in the bins from low to high - 1.

    Parameters
    ----------
    history : SpikeHistory
    n : int
    bias : float
    weights : array, shape (slot, basis)
    low, high : int
    psi : array, shape (high - low,)
    """
    psi[:] = bias
    drive = drive_of(history, bias, weights)
    drive.loadings[:] = 0.0
    add_drive(history, n, drive, low, high, psi)


@inlined
def _grid_between(first, last, begin, end, low, high, is_first):
    """Return the range of grid points whose places are all between low and high."""
    a = begin + np.searchsorted(first[begin:end], low)
    b = begin + np.searchsorted(first[begin:end], high)
    if b > a and last[b - 1] > high:
        b -= 1
    return (a if is_first else a + ORDER), b


@compiled
def _log_prior(low, high, end, path, place, coefficients):
    """Return the terms of the log density of a path with the grid points from low to high - 1."""
    total = 0.0
    for t in range(low, min(high + ORDER, end)):
        row = min(place[t], 2)
        away = innovation(path, t, row, coefficients)
        total -= 0.5 * away * away / coefficients[row, 2]
    return total


@inlined
def _travel(low, high, end, path, place, coefficients, surrogate, normals, epsilon, n_steps):
    """Move a stretch of the path along a trajectory; return the change of the kinetic energy."""
    size = high - low
    lower = laplace_factor(surrogate, low, high, end, path, place, coefficients)
    gradient = np.empty(size)
    momentum, change = normals.copy(), np.empty(size)
    kinetic = -0.5 * np.sum(momentum**2)
    for step in range(n_steps + 1):
        if step > 0:
            change[:] = epsilon * momentum
            banded_solve_transposed(lower, change)
            path[low:high] += change
        gradient[:] = 0.0
        add_prior_gradient(low, high, end, path, place, coefficients, gradient)
        add_surrogate(surrogate, path[low:high], gradient)
        banded_solve_lower(lower, gradient)
        momentum += (0.5 if step == 0 or step == n_steps else 1.0) * epsilon * gradient
    return kinetic + 0.5 * np.sum(momentum**2)


@inlined
def _move_stretch(a, b, end, k, window, likelihood, loadings, paths, plan, draws):
    """Move the grid points from a to b - 1 of factor k; return the acceptance probability."""
    path, coefficients = paths.values, plan.coefficients[k]
    surrogate = surrogate_of(window, likelihood, loadings, paths, a, b)
    before = path[a:b].copy()
    energy = _log_prior(a, b, end, path, plan.place, coefficients)
    energy += log_likelihood_of(window, likelihood, loadings, paths, a, before)
    kinetic = _travel(
        a,
        b,
        end,
        path,
        plan.place,
        coefficients,
        surrogate,
        draws.normals[a:b],
        plan.step_size[k],
        plan.n_steps[k],
    )
    change = _log_prior(a, b, end, path, plan.place, coefficients) - energy - kinetic
    change += log_likelihood_of(window, likelihood, loadings, paths, a, path[a:b])
    acceptance = math.exp(min(change, 0.0)) if np.isfinite(change) else 0.0
    if not draws.uniforms[a] < acceptance:
        path[a:b] = before
    return acceptance


@compiled
def move_paths(
    chunks: tuple[int, int],
    history: SpikeHistory,
    likelihood: Likelihood,
    bias: Floats,
    weights: Floats,
    loadings: Floats,
    plan: PathPlan,
    draws: PathDraws,
    acceptance: Floats,
) -> None:
    """Move the paths within some chunks of the axis of time, in place.

    Parameters
    ----------
    chunks : tuple of int
        The first chunk and the one after the last.
    history : SpikeHistory
        Its paths are changed in place.
    likelihood : Likelihood
    bias : array, shape (post,)
    weights : array, shape (post, slot, basis)
    loadings : array, shape (post, factor)
    plan : PathPlan
    draws : PathDraws
    acceptance : array, shape (chunk, factor, 2)
        Receives sums of acceptance probabilities, and the number of stretches.
    """
    paths, n_post = history.further.paths, bias.size
    for c in range(chunks[0], chunks[1]):
        low, high = plan.bounds[c], plan.bounds[c + 1]
        acceptance[c] = 0.0
        if high <= low:
            continue
        psi = np.empty((n_post, high - low))
        begin, end = np.empty(n_post, np.int64), np.empty(n_post, np.int64)
        for n in range(n_post):
            begin[n], end[n] = bins_before(paths, n, low), bins_before(paths, n, high)
            row = psi[n, : end[n] - begin[n]]
            write_rest(history, n, bias[n], weights[n], begin[n], end[n], row)
            add_paths(paths, n, loadings[n], begin[n], end[n], row)
        window = open_window(likelihood, begin, end, psi)
        for k in range(loadings.shape[1]):
            of_factor = loadings[:, k].copy()
            shift_window(window, paths, k, of_factor, -1.0)
            from_, to = paths.start[k], paths.start[k + 1]
            a, stop = _grid_between(paths.first, paths.last, from_, to, low, high, low == 0)
            if stop - a > plan.most:
                b = a + 1 + int(draws.lengths[c, k] * plan.most)
            else:
                b = stop
            while a < b:
                acceptance[c, k, 0] += _move_stretch(
                    a, b, to, k, window, likelihood, of_factor, paths, plan, draws
                )
                acceptance[c, k, 1] += 1.0
                a = b + ORDER
                b = min(a + plan.most, stop)
            shift_window(window, paths, k, of_factor, 1.0)


@compiled
def compare_paths(
    chunks: tuple[int, int],
    history: SpikeHistory,
    likelihood: Likelihood,
    bias: Floats,
    weights: Floats,
    loadings: Floats,
    bounds: NDArray[np.int64],
    values: Floats,
    new_loadings: Floats,
    delay: NDArray[np.int64],
    out: Floats,
) -> None:
    """Write the change of the log likelihood with other paths, loadings and delays, by chunk.

    Parameters
    ----------
    chunks, history, likelihood, bias, weights, loadings
        See `move_paths`.
    bounds : array of int, shape (chunk + 1,)
    values : array, shape (grid,)
        The other paths.
    new_loadings : array, shape (post, factor)
    delay : array of int, shape (post,)
    out : array, shape (chunk, post)
    """
    paths = history.further.paths
    others = SharedPaths(
        paths.start, paths.first, paths.last, values, delay, paths.place, paths.before
    )
    for c in range(chunks[0], chunks[1]):
        low, high = bounds[c], bounds[c + 1]
        out[c] = 0.0
        rest, psi, buffer = np.empty(high - low), np.empty(high - low), np.empty(high - low)
        for n in range(bias.size):
            write_rest(history, n, bias[n], weights[n], low, high, rest)
            neuron, counts = neuron_likelihood(likelihood, n), likelihood.counts[n, low:high]
            psi[:] = rest
            add_paths(others, n, new_loadings[n], low, high, psi)
            out[c, n] += log_likelihood(neuron, counts, psi, buffer)
            psi[:] = rest
            add_paths(paths, n, loadings[n], low, high, psi)
            out[c, n] -= log_likelihood(neuron, counts, psi, buffer)
