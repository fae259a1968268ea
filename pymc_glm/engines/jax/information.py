"""Fisher information of all post neurons; see `pymc_glm.kernels.fisher`."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from pymc_glm.engines.jax.blocks import (
    PRECISE,
    Block,
    Drive,
    further_regressors,
    history_of,
    psi_of,
)
from pymc_glm.engines.jax.laws import density_of
from pymc_glm.engines.jax.passes import over_blocks
from pymc_glm.engines.jax.recording import Layout, Recording

__all__ = ["Information", "information_of"]


class Information(NamedTuple):
    """Fisher information of biases and weights."""

    joint: jax.Array  # (post, 1 + C B, 1 + C B)
    edges: jax.Array  # (post, slot, B, B): of the couplings and covariates alone


@partial(jax.jit, static_argnums=(0, 4))
def information_of(
    layout: Layout, recording: Recording, drive: Drive, chosen: jax.Array, every: int
) -> Information:
    """Return the information, from every k-th block, scaled up to all bins.

    Parameters
    ----------
    layout : Layout
    recording : Recording
    drive : Drive
    chosen : array of int, shape (post, C)
        Slots with cross terms; the number of slots: none.
    every : int
    """
    n_post, size = drive.bias.size, layout.n_basis
    n_flat = size * (layout.n_pre + -(-(layout.n_self + layout.n_factors) // size))
    index = (chosen[:, :, None] * size + jnp.arange(size)).reshape(n_post, -1)

    def add(block: Block, i: jax.Array, sums: Information) -> Information:
        history = history_of(layout, recording, block)
        psi = psi_of(layout, recording, drive, block, history)
        dispersion = drive.dispersion.astype(jnp.float32)
        density = density_of(layout.family, layout.slope, block.observed, psi, dispersion)
        curvature = jnp.where(block.is_data, density.curvature, 0.0)
        flat = history.reshape(layout.n_rows, -1)

        def of_neuron(n: jax.Array) -> jax.Array:
            further = further_regressors(layout, recording, drive, block, n)
            rows = jnp.concatenate([flat, further], axis=1)
            rows = jnp.pad(rows, ((0, 0), (0, n_flat + size - rows.shape[1])))[:, index[n]]
            rows = jnp.concatenate([jnp.ones((layout.n_rows, 1), jnp.float32), rows], axis=1)
            weighted = rows * jnp.take(curvature, n, axis=1)[:, None]
            return jnp.dot(rows.T, weighted, precision=PRECISE)

        joint = jax.lax.map(of_neuron, jnp.arange(n_post))
        pairs = [
            [
                jnp.dot(curvature.T, history[:, :, b] * history[:, :, c], precision=PRECISE)
                for c in range(size)
            ]
            for b in range(size)
        ]
        edges = jnp.moveaxis(jnp.array(pairs), (0, 1), (2, 3))
        return Information(sums.joint + joint, sums.edges + edges)

    def used(block: Block, i: jax.Array, sums: Information) -> Information:
        return jax.lax.cond(i % every == 0, lambda s: add(block, i, s), lambda s: s, sums)

    width = 1 + index.shape[1]
    start = Information(
        jnp.zeros((n_post, width, width)), jnp.zeros((n_post, layout.n_pre, size, size))
    )
    total = over_blocks(layout, recording, used, start)
    rows = jnp.arange(layout.n_blocks * layout.n_rows) // layout.n_rows % every == 0
    scale = recording.is_data.sum() / jnp.maximum((recording.is_data & rows).sum(), 1)
    return jax.tree.map(lambda part: part * scale, total)
