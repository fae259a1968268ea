"""Hamiltonian trajectories of all post neurons at once; see `pymc_glm.kernels.hmc`."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from numpy.typing import NDArray

from pymc_glm.engines.jax.blocks import Drive
from pymc_glm.engines.jax.passes import Gradient, gradient_in
from pymc_glm.engines.jax.recording import Layout, Recording
from pymc_glm.kernels.fisher import Metric
from pymc_glm.kernels.prior import NetworkPrior

__all__ = ["Active", "DeviceMetric", "Journey", "active_of", "active_slots", "travel"]

_STEP = 8  # room for active slots grows by so many, so that functions are seldom compiled anew


class Active(NamedTuple):
    """The coefficients that move: bias, then the present slots, then room for none."""

    slots: jax.Array  # (post, A): of present edges, ascending; the number of slots: none
    mean: jax.Array  # (post, 1 + A B): of the prior
    precision: jax.Array  # (post, A, B, B): of the slabs; the identity where there is none
    bias_precision: jax.Array  # (post,)
    information: jax.Array  # (post, A, B, B): of the weights of each edge alone


class DeviceMetric(NamedTuple):
    """Cross terms of the metric; see `pymc_glm.kernels.fisher.Metric`."""

    place: jax.Array  # (post, slot)
    joint: jax.Array  # (post, 1 + C B, 1 + C B)


class Journey(NamedTuple):
    """Trajectories of all post neurons."""

    momentum: jax.Array  # (post, 1 + A B)
    step_size: jax.Array  # (post,)
    n_steps: jax.Array  # (post,)


def active_slots(adjacency: NDArray[np.int8]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the present slots of every post neuron, ascending, and where there are any."""
    n_slots, number = adjacency.shape[1], (adjacency != 0).sum(axis=1)
    room = min(-(-max(int(number.max()), 1) // _STEP) * _STEP, n_slots)
    slots = np.argsort(adjacency == 0, axis=1, kind="stable")[:, :room]
    present = np.arange(room) < number[:, None]
    return np.where(present, slots, n_slots), present


def active_of(
    prior: NetworkPrior, metric: Metric, slots: NDArray[np.int64], present: NDArray[np.bool_]
) -> Active:
    """Return the priors and the information of the active coefficients."""
    rows, known = np.arange(len(slots))[:, None], np.where(present, slots, 0)
    size = prior.mean.shape[2]
    there = present[:, :, None, None]
    mean = np.where(present[:, :, None], prior.mean[rows, known], 0.0).reshape(len(slots), -1)
    return Active(
        jnp.asarray(slots),
        jnp.asarray(np.column_stack([prior.bias_mean, mean])),
        jnp.asarray(np.where(there, prior.precision[rows, known], np.eye(size))),
        jnp.asarray(prior.bias_precision),
        jnp.asarray(np.where(there, metric.edge_information[rows, known], 0.0)),
    )


def _mass(metric: DeviceMetric, active: Active) -> jax.Array:
    """Return the metric of bias and active weights, (post, 1 + A B, 1 + A B)."""
    n_post, n_active, size, _ = active.precision.shape
    place = jnp.pad(metric.place, ((0, 0), (0, 1)), constant_values=-1)
    here = jnp.take_along_axis(place, active.slots, axis=1)
    weights = 1 + here[:, :, None] * size + jnp.arange(size)
    index = jnp.concatenate([jnp.zeros((n_post, 1), int), weights.reshape(n_post, -1)], axis=1)
    known = jnp.concatenate(
        [jnp.ones((n_post, 1), bool), jnp.repeat(here >= 0, size, axis=1)], axis=1
    )
    index = jnp.where(known, index, 0)
    joint = jax.vmap(lambda matrix, at: matrix[at[:, None], at[None, :]])(metric.joint, index)
    mass = jnp.where(known[:, :, None] & known[:, None, :], joint, 0.0)
    mass = mass.at[:, 0, 0].add(active.bias_precision)
    # the block of an edge: its own information, whether or not it has cross terms
    first = 1 + size * jnp.arange(n_active)
    rows = first[:, None, None] + jnp.arange(size)[None, :, None]
    columns = first[:, None, None] + jnp.arange(size)[None, None, :]
    return mass.at[:, rows, columns].set(active.information + active.precision)


def _prior_slope(active: Active, away: jax.Array) -> jax.Array:
    """Return the prior precision times the distance from the prior mean, (post, 1 + A B)."""
    n_post, n_active, size, _ = active.precision.shape
    edges = away[:, 1:].reshape(n_post, n_active, size)
    weights = jnp.einsum("nabc,nac->nab", active.precision, edges).reshape(n_post, -1)
    return jnp.concatenate([away[:, :1] * active.bias_precision[:, None], weights], axis=1)


def _drive_at(layout: Layout, drive: Drive, active: Active, q: jax.Array) -> Drive:
    """Return the drive with other biases and active weights."""
    n_post, n_active = active.slots.shape
    every = jnp.concatenate([drive.weights, _further(layout, drive)], axis=1)
    every = jnp.pad(every, ((0, 0), (0, 1), (0, 0)))  # where absent ones go
    weights = q[:, 1:].reshape(n_post, n_active, -1)
    every = every.at[jnp.arange(n_post)[:, None], active.slots].set(weights)
    return with_weights(layout, drive, q[:, 0], every[:, :-1])


def _further(layout: Layout, drive: Drive | Gradient) -> jax.Array:
    """Return self-weights and loadings in slots, (post, slot, basis)."""
    n_post, size = drive.bias.size, layout.n_basis
    flat = jnp.concatenate([drive.self_weights, drive.loadings], axis=1)
    n_slots = -(-flat.shape[1] // size)
    return jnp.pad(flat, ((0, 0), (0, n_slots * size - flat.shape[1]))).reshape(n_post, -1, size)


def with_weights(layout: Layout, drive: Drive, bias: jax.Array, weights: jax.Array) -> Drive:
    """Return the drive with other biases (post,) and weights of all slots (post, slot, basis)."""
    flat = weights[:, layout.n_pre :].reshape(bias.size, -1)
    return drive._replace(
        bias=bias,
        weights=weights[:, : layout.n_pre],
        self_weights=flat[:, : layout.n_self],
        loadings=flat[:, layout.n_self : layout.n_self + layout.n_factors],
    )


@partial(jax.jit, static_argnums=0)
def travel(
    layout: Layout,
    recording: Recording,
    drive: Drive,
    active: Active,
    metric: DeviceMetric,
    limit: tuple[jax.Array, jax.Array],
    q: jax.Array,
    journey: Journey,
) -> tuple[jax.Array, jax.Array]:
    """Follow the trajectories; return their ends and the changes of the energy (post,).

    Parameters
    ----------
    layout : Layout
    recording : Recording
    drive : Drive
        Slots that are not active stay as they are here.
    active : Active
    metric : DeviceMetric
    limit : tuple of arrays
        The largest gain of self filters, and the precision above it.
    q : array, shape (post, 1 + A B)
    journey : Journey
    """
    n_post = q.shape[0]
    lower = jnp.linalg.cholesky(_mass(metric, active))
    most, bend = limit

    def excess(at: Drive) -> jax.Array:
        return jnp.maximum(at.self_weights @ recording.gains - most, 0.0)

    def look(q: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return the log posterior and its gradient in the coordinates of the metric."""
        at = _drive_at(layout, drive, active, q)
        likely = gradient_in(layout, recording, at)
        away = q - active.mean
        pull = _prior_slope(active, away)
        over = excess(at)
        value = likely.value - 0.5 * ((away * pull).sum(axis=1) + bend * over**2)
        own = likely.self_weights - bend * over[:, None] * recording.gains
        every = jnp.concatenate(
            [likely.weights, _further(layout, likely._replace(self_weights=own))], axis=1
        )
        every = jnp.pad(every, ((0, 0), (0, 1), (0, 0)))
        slope = jnp.take_along_axis(every, active.slots[:, :, None], axis=1).reshape(n_post, -1)
        gradient = jnp.concatenate([likely.bias[:, None], slope], axis=1) - pull
        return value, solve_triangular(lower, gradient[..., None], lower=True)[..., 0]

    start, slope = look(q)
    kinetic = 0.5 * (journey.momentum**2).sum(axis=1)
    size, n_steps = journey.step_size[:, None], journey.n_steps
    momentum = journey.momentum + 0.5 * size * slope

    def body(step: jax.Array, state: tuple) -> tuple:
        q, momentum, value = state
        change = solve_triangular(lower, (size * momentum)[..., None], lower=True, trans=1)
        moved = q + change[..., 0]
        there, slope = look(moved)
        part = jnp.where(step == n_steps, 0.5, 1.0)[:, None]
        goes = step <= n_steps
        return (
            jnp.where(goes[:, None], moved, q),
            jnp.where(goes[:, None], momentum + part * size * slope, momentum),
            jnp.where(goes, there, value),
        )

    end, momentum, value = jax.lax.fori_loop(1, n_steps.max() + 1, body, (q, momentum, start))
    return end, 0.5 * (momentum**2).sum(axis=1) - value - kinetic + start
