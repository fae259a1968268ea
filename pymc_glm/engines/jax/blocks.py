"""One block of rows: its regressors, and the activation of all post neurons."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from pymc_glm.engines.jax.recording import Layout, Recording

__all__ = [
    "PRECISE",
    "Block",
    "Drive",
    "block_of",
    "convolve",
    "correlate",
    "further_regressors",
    "history_of",
    "path_values",
    "psi_of",
]

_UNROLLED = 128  # most lags that are added one by one; beyond, Fourier transforms are faster

# Sums of products in single precision: TF32, the default of a GPU, would be wrong by whole nats.
PRECISE = jax.lax.Precision.HIGHEST


class Drive(NamedTuple):
    """Coefficients of all post neurons, and what else the activation depends on."""

    bias: jax.Array  # (post,)
    weights: jax.Array  # (post, slot, basis): of couplings and covariates
    self_weights: jax.Array  # (post, coefficient)
    loadings: jax.Array  # (post, factor)
    paths: jax.Array  # (grid,)
    delay: jax.Array  # (post,)
    dispersion: jax.Array  # (post,)


class Block(NamedTuple):
    """The data of a block of rows."""

    counts: jax.Array  # (before + row, neuron)
    observed: jax.Array  # (row, post)
    is_data: jax.Array  # (row, 1)
    columns: jax.Array  # (row, column slot, basis)
    place: jax.Array  # (row,)


def block_of(layout: Layout, recording: Recording, i: jax.Array) -> Block:
    """Return block i."""
    first, size = i * layout.n_rows, layout.n_rows

    def part(values: jax.Array, n: int = size) -> jax.Array:
        return jax.lax.dynamic_slice_in_dim(values, first, n)

    return Block(
        part(recording.counts, layout.n_before + size),
        part(recording.observed),
        part(recording.is_data)[:, None],
        part(recording.columns),
        part(recording.place),
    )


def convolve(counts: jax.Array, filters: jax.Array, n_rows: int) -> jax.Array:
    """Return counts (before + row, neuron) after filters (lag, neuron), (row, neuron)."""
    n_lags, n_before = filters.shape[0], counts.shape[0] - n_rows
    if n_lags <= _UNROLLED:
        total = jnp.zeros((n_rows, counts.shape[1]), jnp.float32)
        for lag in range(n_lags):
            first = n_before - 1 - lag
            total += filters[lag] * counts[first : first + n_rows].astype(jnp.float32)
        return total
    n = counts.shape[0]
    spectrum = jnp.fft.rfft(counts.astype(jnp.float32), axis=0)
    product = spectrum * jnp.fft.rfft(filters.astype(jnp.float32), n, axis=0)
    # What wraps around falls on the rows before the block, as there are as many as lags.
    return jnp.fft.irfft(product, n, axis=0)[n_before - 1 : -1]


def correlate(counts: jax.Array, values: jax.Array, n_lags: int) -> jax.Array:
    """Return sums of values (row, neuron) by lag after each neuron's counts, (lag, neuron)."""
    n_rows, n_before = values.shape[0], counts.shape[0] - values.shape[0]
    if n_lags <= _UNROLLED:
        sums = [
            (counts[n_before - 1 - lag : n_before - 1 - lag + n_rows] * values).sum(axis=0)
            for lag in range(n_lags)
        ]
        return jnp.stack(sums) if sums else jnp.zeros((0, counts.shape[1]), jnp.float32)
    n = counts.shape[0]
    spectrum = jnp.fft.rfft(counts.astype(jnp.float32), axis=0)
    there = jnp.pad(values, ((n_before - 1, 1), (0, 0)))
    product = jnp.conj(spectrum) * jnp.fft.rfft(there, axis=0)
    return jnp.fft.irfft(product, n, axis=0)[:n_lags]


def history_of(layout: Layout, recording: Recording, block: Block) -> jax.Array:
    """Return the regressors of couplings and covariates, (row, slot, basis)."""
    n_neurons = block.counts.shape[1]
    lags = [
        convolve(
            block.counts,
            jnp.broadcast_to(recording.basis[:, b : b + 1], (recording.basis.shape[0], n_neurons)),
            layout.n_rows,
        )
        for b in range(layout.n_basis)
    ]
    history = jnp.stack(lags, axis=2)
    if layout.n_pre > n_neurons:
        history = jnp.pad(history, ((0, 0), (0, layout.n_pre - n_neurons), (0, 0)))
    if layout.column_slots:
        history = history.at[:, jnp.array(layout.column_slots)].set(block.columns)
    return jnp.where(block.is_data[:, :, None], history, 0.0)


def path_values(
    layout: Layout, recording: Recording, drive: Drive, block: Block, k: int
) -> jax.Array:
    """Return the path of factor k as it reaches every neuron, (row, post)."""
    place = jnp.clip(block.place[:, None] - drive.delay[None, :], 0, recording.grid.shape[1] - 1)
    return drive.paths.astype(jnp.float32)[recording.grid[k]][place]


def psi_of(
    layout: Layout, recording: Recording, drive: Drive, block: Block, history: jax.Array
) -> jax.Array:
    """Return the activation of all post neurons, (row, post)."""
    n_post = drive.bias.size
    weights = drive.weights.reshape(n_post, -1).astype(jnp.float32)
    flat = history.reshape(layout.n_rows, -1)
    psi = jnp.dot(flat, weights.T, precision=PRECISE) + drive.bias.astype(jnp.float32)
    if layout.n_self:
        weights = drive.self_weights.astype(jnp.float32)
        filters = jnp.dot(recording.self_basis, weights.T, precision=PRECISE)
        psi += convolve(block.counts[:, :n_post], filters, layout.n_rows)
    for k in range(layout.n_factors):
        loading = drive.loadings[:, k].astype(jnp.float32)
        psi += loading * path_values(layout, recording, drive, block, k)
    return psi


def further_regressors(
    layout: Layout, recording: Recording, drive: Drive, block: Block, n: jax.Array
) -> jax.Array:
    """Return the regressors of self-weights and loadings of post neuron n, (row, coefficient)."""
    own = jax.lax.dynamic_slice_in_dim(block.counts, n, 1, axis=1)
    columns = convolve(
        jnp.broadcast_to(own, (own.shape[0], layout.n_self)), recording.self_basis, layout.n_rows
    )
    paths = [
        jax.lax.dynamic_slice_in_dim(path_values(layout, recording, drive, block, k), n, 1, axis=1)
        for k in range(layout.n_factors)
    ]
    return jnp.where(block.is_data, jnp.concatenate([columns, *paths], axis=1), 0.0)
