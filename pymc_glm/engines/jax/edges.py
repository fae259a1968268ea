"""Looks at the data with other edges, of all post neurons at once."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from pymc_glm.engines.jax.blocks import Block, convolve
from pymc_glm.engines.jax.laws import density_of
from pymc_glm.engines.jax.passes import over_blocks, summed
from pymc_glm.engines.jax.recording import Layout, Recording

__all__ = ["Change", "Mode", "SlabPrior", "find_modes", "look", "values_with"]

_FARTHEST = 3.0  # longest Newton step, in standard deviations
_SETTLED = 0.02  # Newton's method stops after a step of this squared length, in the same unit


class Change(NamedTuple):
    """What is added to the coefficients of every post neuron."""

    bias: jax.Array  # (post,)
    slots: jax.Array  # (post, edge): slots of the edges that change; any if its weights are 0
    weights: jax.Array  # (post, edge, basis)


class SlabPrior(NamedTuple):
    """The slab of one edge of every post neuron."""

    mean: jax.Array  # (post, basis)
    precision: jax.Array  # (post, basis, basis)


class Mode(NamedTuple):
    """The conditional of one edge of every post neuron: mode, and factor of the precision."""

    mode: jax.Array  # (post, basis)
    lower: jax.Array  # (post, basis, basis)


def _column_weights(layout: Layout, slots: jax.Array, weights: jax.Array) -> jax.Array:
    """Return weights of the columns, (post, column slot, basis): zero but for these slots."""
    same = slots[:, None] == jnp.array(layout.column_slots)
    return jnp.where(same[:, :, None], weights[:, None], 0.0)


def _filtered(
    layout: Layout, recording: Recording, block: Block, slots: jax.Array, weights: jax.Array
) -> jax.Array:
    """Return the history of one slot of every post neuron times weights, (row, post)."""
    weights = weights.astype(jnp.float32)
    n_neurons = block.counts.shape[1]
    stored = jnp.isin(slots, jnp.array(layout.column_slots, jnp.int32))
    # written out: on a GPU, products of matrices are by default of lower precision
    filters = sum(recording.basis[:, b : b + 1] * weights[:, b] for b in range(layout.n_basis))
    spikes = jnp.where(stored, 0.0, filters)
    counts = block.counts[:, jnp.clip(slots, 0, n_neurons - 1)]
    total = convolve(counts, spikes, layout.n_rows)
    if layout.column_slots:
        of_columns = _column_weights(layout, slots, weights)
        total += jnp.einsum("tgb,ngb->tn", block.columns, of_columns, precision="highest")
    return total


def _added(layout: Layout, recording: Recording, block: Block, change: Change) -> jax.Array:
    """Return what a change adds to psi, (row, post)."""
    total = change.bias.astype(jnp.float32)
    for k in range(change.slots.shape[1]):
        part = change.slots[:, k], change.weights[:, k]
        total = total + _filtered(layout, recording, block, *part)
    return total


@partial(jax.jit, static_argnums=0, donate_argnums=2)
def look(
    layout: Layout,
    recording: Recording,
    psi: jax.Array,
    settled: Change,
    proposed: Change,
    dispersion: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Apply one change to psi; return it and the log likelihoods (post,) after another.

    Parameters
    ----------
    layout : Layout
    recording : Recording
    psi : array, shape (row, post)
        Its memory is used again.
    settled, proposed : Change
    dispersion : array, shape (post,)
    """

    def add(block: Block, i: jax.Array, sums: tuple) -> tuple:
        first = i * layout.n_rows
        here = jax.lax.dynamic_slice_in_dim(sums[0], first, layout.n_rows)
        here = here + _added(layout, recording, block, settled)
        there = here + _added(layout, recording, block, proposed)
        density = density_of(
            layout.family, layout.slope, block.observed, there, dispersion.astype(jnp.float32)
        )
        stored = jax.lax.dynamic_update_slice_in_dim(sums[0], here, first, 0)
        return stored, sums[1] + summed(density.value, block)

    return over_blocks(layout, recording, add, (psi, jnp.zeros(dispersion.size)))


def _history_of_slot(
    layout: Layout, recording: Recording, block: Block, slots: jax.Array
) -> jax.Array:
    """Return the history of one slot of every post neuron, (row, post, basis)."""
    unit = jnp.eye(layout.n_basis, dtype=jnp.float32)
    each = [
        _filtered(
            layout, recording, block, slots, jnp.broadcast_to(unit[b], (slots.size, unit[b].size))
        )
        for b in range(layout.n_basis)
    ]
    return jnp.where(block.is_data[:, :, None], jnp.stack(each, axis=2), 0.0)


def _times(history: jax.Array, weights: jax.Array) -> jax.Array:
    """Return history (row, post, basis) times weights (post, basis), (row, post)."""
    return (history * weights.astype(jnp.float32)).sum(axis=2)


@partial(jax.jit, static_argnums=0)
def find_modes(
    layout: Layout,
    recording: Recording,
    psi: jax.Array,
    slots: jax.Array,
    current: jax.Array,
    start: jax.Array,
    prior: SlabPrior,
    most_steps: int,
    dispersion: jax.Array,
) -> Mode:
    """Take Newton's steps towards the mode of one edge of every post neuron.

    Parameters
    ----------
    layout : Layout
    recording : Recording
    psi : array, shape (row, post)
    slots : array of int, shape (post,)
    current, start : arrays, shape (post, basis)
        Weights that are part of psi, and those to start from.
    prior : SlabPrior
    most_steps : int
    dispersion : array, shape (post,)
    """
    n_post, size = start.shape

    def derivatives(weights: jax.Array) -> tuple[jax.Array, jax.Array]:
        def add(block: Block, i: jax.Array, sums: tuple) -> tuple:
            history = _history_of_slot(layout, recording, block, slots)
            here = jax.lax.dynamic_slice_in_dim(psi, i * layout.n_rows, layout.n_rows)
            density = density_of(
                layout.family,
                layout.slope,
                block.observed,
                here + _times(history, weights - current),
                dispersion.astype(jnp.float32),
            )
            slope = (density.slope[:, :, None] * history).sum(axis=0, dtype=jnp.float64)
            weighted = density.curvature[:, :, None] * history
            curvature = jnp.stack(
                [
                    (weighted * history[:, :, b : b + 1]).sum(axis=0, dtype=jnp.float64)
                    for b in range(size)
                ],
                axis=1,
            )
            return sums[0] + slope, sums[1] + curvature

        start = jnp.zeros((n_post, size)), jnp.zeros((n_post, size, size))
        return over_blocks(layout, recording, add, start)

    def body(state: tuple) -> tuple:
        step, mode, lower, done = state
        slope, information = derivatives(mode)
        slope -= jnp.einsum("nbc,nc->nb", prior.precision, mode - prior.mean)
        factor = jnp.linalg.cholesky(information + prior.precision)
        move = jax.scipy.linalg.cho_solve((factor, True), slope[..., None])[..., 0]
        squared = (move * slope).sum(axis=1)
        scale = jnp.minimum(1.0, _FARTHEST / jnp.sqrt(squared))
        moved = mode + scale[:, None] * move
        mode = jnp.where(done[:, None], mode, moved)
        lower = jnp.where(done[:, None, None], lower, factor)
        return step + 1, mode, lower, done | (squared < _SETTLED)

    def goes_on(state: tuple) -> jax.Array:
        return (state[0] < most_steps) & ~state[3].all()

    factor = jnp.linalg.cholesky(prior.precision)
    begin = (0, start.astype(jnp.float64), factor, jnp.zeros(n_post, bool))
    _, mode, lower, _ = jax.lax.while_loop(goes_on, body, begin)
    return Mode(mode, lower)


@partial(jax.jit, static_argnums=0)
def values_with(
    layout: Layout,
    recording: Recording,
    psi: jax.Array,
    slots: jax.Array,
    changes: jax.Array,
    dispersion: jax.Array,
) -> jax.Array:
    """Return log likelihoods after several changes of one edge's weights, (change, post).

    Parameters
    ----------
    layout : Layout
    recording : Recording
    psi : array, shape (row, post)
    slots : array of int, shape (post,)
    changes : array, shape (change, post, basis)
    dispersion : array, shape (post,)
    """

    def add(block: Block, i: jax.Array, sums: jax.Array) -> jax.Array:
        history = _history_of_slot(layout, recording, block, slots)
        here = jax.lax.dynamic_slice_in_dim(psi, i * layout.n_rows, layout.n_rows)
        law = partial(density_of, layout.family, layout.slope, block.observed)
        values = [
            summed(law(here + _times(history, change), dispersion.astype(jnp.float32)).value, block)
            for change in changes
        ]
        return sums + jnp.stack(values)

    return over_blocks(layout, recording, add, jnp.zeros((len(changes), len(slots))))
