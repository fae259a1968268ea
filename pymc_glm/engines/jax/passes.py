"""Sums over all bins, block by block: single precision inside, double precision between them."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from pymc_glm.engines.jax.blocks import (
    PRECISE,
    Block,
    Drive,
    block_of,
    correlate,
    history_of,
    path_values,
    psi_of,
)
from pymc_glm.engines.jax.laws import Density, density_of
from pymc_glm.engines.jax.recording import Layout, Recording

__all__ = ["Gradient", "gradient_of", "history_sums", "over_blocks", "psi_and_sums", "sums_of"]


class Gradient(NamedTuple):
    """Log likelihoods and their derivatives."""

    value: jax.Array  # (post,)
    bias: jax.Array  # (post,)
    weights: jax.Array  # (post, slot, basis)
    self_weights: jax.Array  # (post, coefficient)
    loadings: jax.Array  # (post, factor)


def over_blocks(
    layout: Layout, recording: Recording, add: Callable[[Block, jax.Array, Any], Any], start: Any
) -> Any:
    """Call ``add(block, i, sums)`` for every block in turn; return the last sums."""

    def body(i: jax.Array, sums: Any) -> Any:
        return add(block_of(layout, recording, i), i, sums)

    return jax.lax.fori_loop(0, layout.n_blocks, body, start)


def summed(values: jax.Array, block: Block) -> jax.Array:
    """Return sums over the bins of a block that are data, in double precision."""
    return jnp.where(block.is_data, values, 0.0).sum(axis=0, dtype=jnp.float64)


def _density(layout: Layout, drive: Drive, block: Block, psi: jax.Array) -> Density:
    dispersion = drive.dispersion.astype(jnp.float32)
    return density_of(layout.family, layout.slope, block.observed, psi, dispersion)


def gradient_in(layout: Layout, recording: Recording, drive: Drive) -> Gradient:
    """Return log likelihoods and their derivatives."""
    n_post = drive.bias.size

    def add(block: Block, i: jax.Array, sums: Gradient) -> Gradient:
        history = history_of(layout, recording, block)
        density = _density(layout, drive, block, psi_of(layout, recording, drive, block, history))
        slope = jnp.where(block.is_data, density.slope, 0.0)
        weights = jnp.dot(slope.T, history.reshape(layout.n_rows, -1), precision=PRECISE)
        by_lag = correlate(block.counts[:, :n_post], slope, recording.self_basis.shape[0])
        loadings = [
            (slope * path_values(layout, recording, drive, block, k)).sum(axis=0)
            for k in range(layout.n_factors)
        ]
        new = Gradient(
            summed(density.value, block),
            slope.sum(axis=0, dtype=jnp.float64),
            weights.reshape(drive.weights.shape),
            jnp.dot(by_lag.T, recording.self_basis, precision=PRECISE),
            jnp.stack(loadings, axis=1) if loadings else drive.loadings,
        )
        return jax.tree.map(lambda total, part: total + part.astype(jnp.float64), sums, new)

    zeros = [drive.bias, drive.bias, drive.weights, drive.self_weights, drive.loadings]
    start = Gradient(*(jnp.zeros(values.shape) for values in zeros))
    return over_blocks(layout, recording, add, start)


gradient_of = partial(jax.jit, static_argnums=0)(gradient_in)


@partial(jax.jit, static_argnums=(0, 3))
def sums_of(layout: Layout, recording: Recording, drive: Drive, softplus: bool) -> jax.Array:
    """Return log likelihoods (post,), or sums of log(1 + exp psi)."""

    def add(block: Block, i: jax.Array, sums: jax.Array) -> jax.Array:
        psi = psi_of(layout, recording, drive, block, history_of(layout, recording, block))
        values = jax.nn.softplus(psi) if softplus else _density(layout, drive, block, psi).value
        return sums + summed(values, block)

    return over_blocks(layout, recording, add, jnp.zeros(drive.bias.size))


@partial(jax.jit, static_argnums=0)
def psi_and_sums(layout: Layout, recording: Recording, drive: Drive) -> tuple[jax.Array, jax.Array]:
    """Return the activation (row, post) and log likelihoods (post,)."""

    def add(block: Block, i: jax.Array, sums: tuple) -> tuple:
        psi = psi_of(layout, recording, drive, block, history_of(layout, recording, block))
        value = summed(_density(layout, drive, block, psi).value, block)
        stored = jax.lax.dynamic_update_slice_in_dim(sums[0], psi, i * layout.n_rows, 0)
        return stored, sums[1] + value

    n_post = drive.bias.size
    start = jnp.zeros((layout.n_blocks * layout.n_rows, n_post), jnp.float32), jnp.zeros(n_post)
    return over_blocks(layout, recording, add, start)


@partial(jax.jit, static_argnums=0)
def history_sums(layout: Layout, recording: Recording) -> jax.Array:
    """Return sums of the history (pre, basis)."""

    def add(block: Block, i: jax.Array, sums: jax.Array) -> jax.Array:
        return sums + history_of(layout, recording, block).sum(axis=0, dtype=jnp.float64)

    return over_blocks(layout, recording, add, jnp.zeros((layout.n_pre, layout.n_basis)))
