"""Hamiltonian Monte Carlo of the bias and the weights of a post neuron, given its edges.

The posterior of the coefficients of a generalised linear model is log-concave, and close to normal
if there are many data. One precision matrix can therefore serve as the metric everywhere: the
Fisher information at a typical point (found during tuning, then fixed), restricted to the present
edges, plus the prior precision. In coordinates in which this metric is the identity the posterior
is nearly spherical, and the end of a trajectory of a quarter period (length pi / 2) is nearly
independent of its start (Neal 2011, Handbook of Markov Chain Monte Carlo, section 5.3).
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.compiling import compiled, inlined
from pymc_glm.kernels.fisher import Metric
from pymc_glm.kernels.further_terms import GainLimit, excess_gain
from pymc_glm.kernels.likelihood import Likelihood, neuron_likelihood
from pymc_glm.kernels.passes import slopes_at
from pymc_glm.kernels.prior import BiasPrior, EdgePrior
from pymc_glm.kernels.spike_history import SpikeHistory, drive_of
from pymc_glm.kernels.triangular import solve_lower_reordered, solve_transposed_by_rows

__all__ = ["Trajectories", "move_weights"]

type Floats = NDArray[np.float64]


class Trajectories(NamedTuple):
    """All random numbers of one sweep, and the lengths of the trajectories."""

    normals: Floats  # (post, 1 + pre basis): momenta; a neuron uses as many as it has coefficients
    uniforms: Floats  # (post,): for the acceptance
    step_size: Floats  # (post,): of leapfrog steps, in standard deviations
    n_steps: NDArray[np.int64]  # (post,)


class _Problem(NamedTuple):
    """The posterior of one post neuron's bias and active weights."""

    active: NDArray[np.int64]
    mean: Floats  # (1 + active basis,), of the prior
    precision: Floats  # (1 + active basis, basis): of the prior; the bias, then rows of each edge
    first: int  # coefficient of the first self-weight whose gain has a limit
    limit: GainLimit


@inlined
def _problem(n, prior, bias_prior, adjacency, history):
    active = np.flatnonzero(adjacency[n])
    size = prior.mean.shape[2]
    mean = np.empty(1 + active.size * size)
    precision = np.zeros((mean.size, size))
    mean[0], precision[0, 0] = bias_prior.mean[n], bias_prior.precision[n]
    for i in range(active.size):
        rows = slice(1 + i * size, 1 + (i + 1) * size)
        mean[rows] = prior.mean[n, active[i]]
        precision[rows] = prior.precision[n, active[i]]
    n_pre, limit = history.group.size, history.further.past.limit
    first = 1 + size * np.searchsorted(active, n_pre)
    return _Problem(active, mean, precision, first, limit)


@inlined
def _mass(n, metric, problem):
    """Return the metric of bias and active weights."""
    active, precision = problem.active, problem.precision
    place, joint, edges = metric.place[n], metric.joint[n], metric.edge_information[n]
    size = precision.shape[1]
    mass = np.zeros((precision.shape[0], precision.shape[0]))
    mass[0, 0] = joint[0, 0] + precision[0, 0]
    for i in range(active.size):
        m = active[i]
        for b in range(size):
            row = 1 + i * size + b
            for c in range(size):
                mass[row, 1 + i * size + c] = edges[m, b, c] + precision[row, c]
            if place[m] < 0:
                continue
            there = 1 + place[m] * size + b
            mass[row, 0] = mass[0, row] = joint[there, 0]
            for j in range(active.size):
                if j != i and place[active[j]] >= 0:
                    for c in range(size):
                        mass[row, 1 + j * size + c] = joint[there, 1 + place[active[j]] * size + c]
    return mass


@compiled
def _limited(problem, q):
    """Return the part of the coefficients, or of their gradient, that are self-weights."""
    return q[problem.first : problem.first + problem.limit.gains.size]


@compiled
def _log_prior(problem, q):
    mean, precision, limit = problem.mean, problem.precision, problem.limit
    size = precision.shape[1]
    excess = excess_gain(limit, _limited(problem, q))
    total = limit.bend * excess**2
    total += precision[0, 0] * (q[0] - mean[0]) ** 2
    for row in range(1, q.size):
        block = row - (row - 1) % size
        for c in range(size):
            total += (q[row] - mean[row]) * precision[row, c] * (q[block + c] - mean[block + c])
    return -0.5 * total


@inlined
def _gradient(history, n, likelihood, counts, problem, q, valued, weights, out):
    """Write the gradient of the log posterior; return the log likelihood if it is wanted."""
    active, mean, precision = problem.active, problem.mean, problem.precision
    size = precision.shape[1]
    slots = out[1:].reshape(active.size, size)
    for i in range(active.size):
        weights[active[i]] = q[1 + i * size : 1 + (i + 1) * size]
    drive = drive_of(history, q[0], weights)
    value, out[0] = slopes_at(history, n, likelihood, counts, drive, active, valued, slots)
    out[0] -= precision[0, 0] * (q[0] - mean[0])
    for row in range(1, q.size):
        block = row - (row - 1) % size
        for c in range(size):
            out[row] -= precision[row, c] * (q[block + c] - mean[block + c])
    excess = excess_gain(problem.limit, _limited(problem, q))
    if excess > 0:
        _limited(problem, out)[:] -= problem.limit.bend * excess * problem.limit.gains
    return value


@inlined
def _travel(n, history, likelihood, counts, problem, lower, trajectories, q, weights):
    """Move q in place along a trajectory; return the change of the energy."""
    gradient, change = np.empty(q.size), np.empty(q.size)
    momentum = trajectories.normals[n, : q.size].copy()
    epsilon = trajectories.step_size[n]
    energy = 0.5 * np.sum(momentum**2) - _log_prior(problem, q)
    for step in range(trajectories.n_steps[n] + 1):
        if step > 0:
            change[:] = epsilon * momentum
            solve_transposed_by_rows(lower, change)
            q += change
        end = step == 0 or step == trajectories.n_steps[n]
        value = _gradient(history, n, likelihood, counts, problem, q, end, weights, gradient)
        energy += value if step > 0 else -value
        solve_lower_reordered(lower, gradient)
        momentum += (0.5 if end else 1.0) * epsilon * gradient
    return 0.5 * np.sum(momentum**2) - _log_prior(problem, q) - energy


@compiled
def move_weights(
    posts: tuple[int, int],
    history: SpikeHistory,
    likelihood: Likelihood,
    prior: EdgePrior,
    bias_prior: BiasPrior,
    metric: Metric,
    trajectories: Trajectories,
    bias: Floats,
    adjacency: NDArray[np.int8],
    weights: Floats,
    acceptance: Floats,
) -> None:
    """Move bias and weights of some post neurons along one trajectory each.

    Parameters
    ----------
    posts : tuple of int
        The first post neuron and the one after the last.
    history : SpikeHistory
    likelihood : Likelihood
    prior : EdgePrior
    bias_prior : BiasPrior
    metric : Metric
    trajectories : Trajectories
    bias : array, shape (post,)
        Changed in place.
    adjacency : array of int8, shape (post, pre)
    weights : array, shape (post, pre, basis)
        Changed in place.
    acceptance : array, shape (post,)
        Receives the acceptance probabilities.
    """
    size = weights.shape[2]
    moved = np.empty(weights.shape[1:])
    for n in range(posts[0], posts[1]):
        neuron = neuron_likelihood(likelihood, n)
        problem = _problem(n, prior, bias_prior, adjacency, history)
        active = problem.active
        q = np.empty(problem.mean.size)
        q[0] = bias[n]
        for i in range(active.size):
            q[1 + i * size : 1 + (i + 1) * size] = weights[n, active[i]]
        moved[:] = 0.0
        lower = np.linalg.cholesky(_mass(n, metric, problem))
        counts = likelihood.counts[n]
        change = _travel(n, history, neuron, counts, problem, lower, trajectories, q, moved)
        acceptance[n] = math.exp(min(0.0, -change)) if np.isfinite(change) else 0.0
        if trajectories.uniforms[n] < acceptance[n]:
            bias[n] = q[0]
            for i in range(active.size):
                weights[n, active[i]] = q[1 + i * size : 1 + (i + 1) * size]
