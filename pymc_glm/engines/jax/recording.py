"""A recording as arrays on the device: counts row by row, in which a block has all that it needs.

Rows are bins, segment after segment, with rows of zeros before each segment that are as many as the
longest filter has lags: no filter reaches into another segment.
"""

import math
from typing import NamedTuple
from weakref import WeakKeyDictionary

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from pymc_glm.graph.data import SpikeData
from pymc_glm.graph.shared import Shared
from pymc_glm.kernels.likelihood import CUSTOM, Likelihood
from pymc_glm.kernels.spike_filters import Spikes

__all__ = ["Layout", "Recording", "check_law", "held", "recording_of"]

_ROWS = 16384  # of a block together with those before it: a power of two, for Fourier transforms
_LONGEST = 4  # parts of a block that the rows before it may take


class Layout(NamedTuple):
    """What is known when a function is compiled."""

    family: int  # of the law of the counts
    slope: float
    n_rows: int  # of a block
    n_before: int  # rows that a block also reads
    n_blocks: int
    n_pre: int  # slots of couplings and covariates
    n_basis: int
    n_self: int  # coefficients of the self filter, zeros included
    n_factors: int
    column_slots: tuple[int, ...]  # slots that are stored as columns


class Recording(NamedTuple):
    """The arrays of a recording."""

    counts: jax.Array  # (before + row, neuron): spikes, or values of traces
    observed: jax.Array  # (row, post)
    is_data: jax.Array  # (row,)
    columns: jax.Array  # (row, column slot, basis)
    basis: jax.Array  # (lag, basis)
    self_basis: jax.Array  # (lag, coefficient)
    gains: jax.Array  # (coefficient,): see `GainLimit`
    place: jax.Array  # (row,): on the axis of the paths
    grid: jax.Array  # (factor, place): index of the grid point


def _dense(spikes: Spikes, rows: NDArray[np.int64], n_rows: int) -> NDArray:
    """Return the counts in every row, (row, neuron)."""
    n_neurons = spikes.start.size - 1
    kind = (
        np.int8 if spikes.counts.dtype.kind == "u" and spikes.counts.max(initial=0) < 128 else None
    )
    out = np.zeros((n_rows, n_neurons), kind or np.float32)
    for m in range(n_neurons):
        there = slice(spikes.start[m], spikes.start[m + 1])
        out[rows[spikes.bins[there]], m] = spikes.counts[there]
    return out


def _grids(data: SpikeData) -> NDArray[np.int32]:
    """Return the index of the grid point at every place on the axis of the paths."""
    paths = data.history.further.paths
    places = np.arange(max(paths.before.size - 1, 1))
    out = np.zeros((paths.start.size - 1, places.size), np.int32)
    for k, (begin, end) in enumerate(zip(paths.start[:-1], paths.start[1:], strict=True)):
        inside = np.searchsorted(paths.last[begin:end], places, "right")
        out[k] = begin + np.minimum(inside, end - begin - 1)
    return out


def check_law(likelihood: Likelihood) -> None:
    """Raise ValueError if the law of the counts is not served."""
    if likelihood.family == CUSTOM:
        raise ValueError(
            "engine: 'jax' does not serve observation models that are written by hand "
            "(log_concave); use engine='threads'."
        )


def recording_of(data: SpikeData) -> tuple[Layout, Recording]:
    """Put a recording on the device."""
    history, further = data.history, data.history.further
    spikes, past, paths = history.spikes, further.past, further.paths
    n_before, n_bins = max(history.basis.shape[0], past.basis.shape[0], 1), int(spikes.ends[-1])
    length = 2 ** math.ceil(math.log2(n_bins + n_before))
    length = min(length, max(_ROWS, 2 ** math.ceil(math.log2(_LONGEST * n_before))))
    n_rows = length - n_before
    starts = np.append(0, spikes.ends[:-1])
    segment = np.searchsorted(spikes.ends, np.arange(n_bins), "right")
    rows = np.arange(n_bins) + n_before * segment
    n_blocks = -(-(n_bins + n_before * (starts.size - 1)) // n_rows)
    total = n_blocks * n_rows
    kept = np.arange(n_bins)
    if spikes.before.size:
        kept = np.flatnonzero(np.diff(spikes.before))
    there = rows[kept]
    is_data = np.zeros(total, bool)
    is_data[there] = True
    counts = data.likelihood.counts
    observed = np.zeros(
        (total, len(counts)), counts.dtype if counts.dtype.kind == "i" else np.float32
    )
    observed[there] = counts.T
    slots = np.flatnonzero(history.group >= 0)
    columns = np.zeros((total, slots.size, history.n_basis), np.float32)
    if slots.size:
        columns[there] = history.columns[history.group[slots]].transpose(2, 0, 1)
    place = np.zeros(total, np.int32)
    if paths.place.size:
        place[there] = paths.place
    layout = Layout(
        int(data.likelihood.family),
        float(data.likelihood.slope),
        n_rows,
        n_before,
        n_blocks,
        history.n_pre,
        history.n_basis,
        past.basis.shape[1],
        paths.start.size - 1,
        tuple(slots.tolist()),
    )
    before = np.zeros((n_before, spikes.start.size - 1), np.int8)
    dense = _dense(spikes, rows, total)
    return layout, Recording(
        jnp.asarray(np.concatenate([before.astype(dense.dtype), dense])),
        jnp.asarray(observed),
        jnp.asarray(is_data),
        jnp.asarray(columns),
        jnp.asarray(history.basis, jnp.float32),
        jnp.asarray(past.basis, jnp.float32),
        jnp.asarray(past.limit.gains, jnp.float64),
        jnp.asarray(place),
        jnp.asarray(_grids(data)),
    )


_held: WeakKeyDictionary[Shared, tuple[Layout, Recording]] = WeakKeyDictionary()


def held(data: Shared[SpikeData]) -> tuple[Layout, Recording]:
    """Return a recording on the device, the same arrays for all steps of a model."""
    if data not in _held:
        with jax.enable_x64(True):
            _held[data] = recording_of(data.value)
    return _held[data]
