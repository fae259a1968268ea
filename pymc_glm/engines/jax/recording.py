"""A recording as arrays on the device: counts row by row, in which a block has all that it needs.

Rows are bins, segment after segment, with rows of zeros before each segment that are as many as the
longest filter has lags: no filter reaches into another segment.
"""

import math
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from pymc_glm.graph.data import SpikeData
from pymc_glm.graph.shared import Shared
from pymc_glm.kernels.likelihood import CUSTOM, Likelihood
from pymc_glm.kernels.spike_filters import Spikes

__all__ = ["Layout", "Recording", "check_law", "check_memory", "held", "layout_of"]

_ROWS = 16384  # of a block together with those before it: a power of two, for Fourier transforms
_MOST_JOINT = 100  # pre neurons with cross terms, see `metric_at`
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


def layout_of(data: SpikeData) -> Layout:
    """Return how a recording is divided into blocks."""
    history, past = data.history, data.history.further.past
    ends, n_before = history.spikes.ends, max(len(history.basis), len(past.basis), 1)
    n_bins = int(ends[-1]) + n_before * (ends.size - 1)
    length = 2 ** math.ceil(math.log2(n_bins + n_before))
    length = min(length, max(_ROWS, 2 ** math.ceil(math.log2(_LONGEST * n_before))))
    n_rows = length - n_before
    return Layout(
        int(data.likelihood.family),
        float(data.likelihood.slope),
        n_rows,
        n_before,
        -(-n_bins // n_rows),
        history.n_pre,
        history.n_basis,
        past.basis.shape[1],
        history.further.paths.start.size - 1,
        tuple(np.flatnonzero(history.group >= 0).tolist()),
    )


def check_memory(layout: Layout, data: SpikeData, available: int | None) -> None:
    """Raise ValueError if a recording needs more bytes than are available, if this is known."""
    n_post, n_neurons = len(data.likelihood.counts), data.history.spikes.start.size - 1
    width = 1 if data.history.spikes.counts.dtype.kind == "u" else 4
    each = width * n_neurons + (data.likelihood.counts.itemsize + 4) * n_post
    each += 4 * len(layout.column_slots) * layout.n_basis
    # the history of a block, and copies of it while it is made and used
    block = 12 * layout.n_rows * layout.n_pre * layout.n_basis
    joint = 8 * n_post * (1 + layout.n_basis * min(layout.n_pre, _MOST_JOINT)) ** 2
    needed = each * layout.n_blocks * layout.n_rows + block + 3 * joint
    if available is not None and needed > available:
        fits = (available - block - 3 * joint) / each
        advice = f"at most {fits:.1e} bins would fit; " if fits > 0 else ""
        raise ValueError(
            f"engine: 'jax' needs about {needed / 2**30:.1f} GiB for {n_neurons} neurons and "
            f"{data.history.n_bins} bins, and the GPU has {available / 2**30:.1f} GiB free; "
            f"{advice}take fewer bins or neurons, or use engine='threads'."
        )


def _free_memory() -> int | None:
    """Return the free bytes of the device, None if it does not say."""
    known = jax.devices()[0].memory_stats() or {}
    if "bytes_limit" not in known:
        return None
    return int(known["bytes_limit"]) - int(known.get("bytes_in_use", 0))


def recording_of(data: SpikeData, layout: Layout) -> Recording:
    """Put a recording on the device."""
    history, spikes, further = data.history, data.history.spikes, data.history.further
    total = layout.n_blocks * layout.n_rows
    n_bins = int(spikes.ends[-1])
    segment = np.searchsorted(spikes.ends, np.arange(n_bins), "right")
    rows = np.arange(n_bins) + layout.n_before * segment
    there = rows[np.flatnonzero(np.diff(spikes.before))] if spikes.before.size else rows

    def spread(values: NDArray, kind: Any) -> jax.Array:
        """Put values of the bins that are data in their rows."""
        out = np.zeros((total, *values.shape[1:]), kind)
        out[there] = values
        return jnp.asarray(out)

    counts, slots = data.likelihood.counts, np.array(layout.column_slots, np.int64)
    columns = history.columns[history.group[slots]].transpose(2, 0, 1)
    place = further.paths.place
    return Recording(
        jnp.asarray(_dense(spikes, layout.n_before + rows, layout.n_before + total)),
        spread(counts.T, counts.dtype if counts.dtype.kind == "i" else np.float32),
        spread(np.ones(there.size, bool), bool),
        spread(columns, np.float32),
        jnp.asarray(history.basis, jnp.float32),
        jnp.asarray(further.past.basis, jnp.float32),
        jnp.asarray(further.past.limit.gains, jnp.float64),
        spread(place if place.size else np.zeros(there.size), np.int32),
        jnp.asarray(_grids(data)),
    )


_held: WeakKeyDictionary[Shared, tuple[Layout, Recording]] = WeakKeyDictionary()


def held(data: Shared[SpikeData]) -> tuple[Layout, Recording]:
    """Return a recording on the device, the same arrays for all steps of a model.

    Raises
    ------
    ValueError
        It does not fit on the device.
    """
    if data not in _held:
        layout = layout_of(data.value)
        check_memory(layout, data.value, _free_memory())
        with jax.enable_x64(True):
            _held[data] = layout, recording_of(data.value, layout)
    return _held[data]
