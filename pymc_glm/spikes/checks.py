"""Checks of spike times, of the recordings that hold them, and of windows within these."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from pymc_glm.arguments import as_number
from pymc_glm.spikes.epochs import as_intervals, within

# Names of coordinates that counts and models use themselves.
RESERVED = frozenset(
    "time neuron post pre segment trial trial_time lag basis space position_x position_y "
    "position_z".split()
)


def check_times(times: Any, label: str) -> np.ndarray:
    """Return the spike times of one neuron as a read-only copy: finite, sorted, in seconds."""
    array = np.asarray(times)
    if array.ndim != 1:
        raise ValueError(
            f"neuron {label!r}: spike times must be 1-dimensional, got the shape {array.shape}."
        )
    if array.size and array.dtype.kind not in "iuf":
        raise TypeError(
            f"neuron {label!r}: spike times must be real numbers in seconds, got {array.dtype}."
        )
    array = array.astype(np.float64)  # a copy
    if (bad := np.flatnonzero(~np.isfinite(array))).size:
        raise ValueError(
            f"neuron {label!r}, spike {bad[0]}: the time is {array[bad[0]]}; remove spikes "
            "without a finite time."
        )
    if (bad := np.flatnonzero(np.diff(array) < 0)).size:
        i = bad[0] + 1
        raise ValueError(
            f"neuron {label!r}: spike times are not sorted, spike {i} at {array[i]} s follows "
            f"spike {i - 1} at {array[i - 1]} s; sort them (numpy.sort)."
        )
    array.setflags(write=False)
    return array


def check_bounds(array: np.ndarray, label: str, start: float, stop: float) -> None:
    """Check that the spikes of one neuron are within the recording, [start, stop]."""
    if array.size and array[0] < start:
        what = "is negative and" if array[0] < 0 <= start else "is"
        raise ValueError(
            f"neuron {label!r}, spike 0: the time {array[0]} s {what} before the start of the "
            f"recording, {start} s; give start={array[0]} or lower if the recording begins there, "
            "or remove earlier spikes."
        )
    if array.size and array[-1] > stop:
        i = int(np.searchsorted(array, stop, side="right"))
        raise ValueError(
            f"neuron {label!r}, spike {i}: the time {array[i]} s is after the end of the "
            f"recording, {stop} s; give a later stop, or remove later spikes."
        )


def check_positions(positions: Any, neurons: tuple[str, ...]) -> np.ndarray | None:
    """Return positions as a read-only copy, shape (neuron, space)."""
    if positions is None:
        return None
    array = np.array(positions, dtype=np.float64)
    if array.ndim != 2 or array.shape[0] != len(neurons) or array.shape[1] not in (1, 2, 3):
        raise ValueError(
            f"positions: got the shape {array.shape}, allowed is ({len(neurons)} neurons, 1 to 3 "
            "coordinates)."
        )
    if (bad := np.flatnonzero(~np.isfinite(array).all(axis=1))).size:
        raise ValueError(
            f"positions: got {array[bad[0]]} for neuron {neurons[bad[0]]!r}; give finite numbers "
            "in micrometres, or None for all neurons."
        )
    array.setflags(write=False)
    return array


def check_epochs(
    epochs: Any, trials: Any, start: float, stop: float
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return epochs, shape (epoch, 2), and their trials, shape (epoch,), as read-only copies."""
    if epochs is None:
        if trials is not None:
            raise ValueError("trials: they number the epochs; give epochs too.")
        return None, None
    bounds = as_intervals(epochs, "epochs")
    if bounds[0, 0] < start or bounds[-1, 1] > stop:
        raise ValueError(
            f"epochs: got {bounds[0, 0]} to {bounds[-1, 1]} s, outside the recording, {start} to "
            f"{stop} s."
        )
    if trials is None:
        return bounds, None
    index = np.array(trials)
    if index.shape != (len(bounds),) or index.dtype.kind not in "iu":
        raise ValueError(
            f"trials: got {trials!r}; give one whole number for each epoch (there are "
            f"{len(bounds)})."
        )
    index.setflags(write=False)
    return bounds, index


def check_gaps(array: np.ndarray, label: str, epochs: np.ndarray) -> None:
    """Check that the spikes of one neuron are within epochs."""
    outside = np.flatnonzero(~within(array, epochs))
    if outside.size:
        raise ValueError(
            f"neuron {label!r}, spike {outside[0]}: the time {array[outside[0]]} s is outside all "
            f"epochs (number of such spikes: {outside.size}); remove them, or give the epochs to "
            "bin_spikes(..., epochs=), which drops them."
        )


def check_annotations(
    annotations: Mapping[str, Any], neurons: tuple[str, ...]
) -> dict[str, np.ndarray]:
    """Return annotations as read-only copies, shape (neuron,)."""
    checked = {}
    for name, values in annotations.items():
        array = np.array(values)
        if not isinstance(name, str) or name in RESERVED:
            raise ValueError(
                f"annotations: {name!r} cannot be a name; allowed are strings other than "
                f"{sorted(RESERVED)}."
            )
        if array.shape != (len(neurons),):
            raise ValueError(
                f"annotations: {name!r} has the shape {array.shape}; give one value for each of "
                f"the {len(neurons)} neurons."
            )
        array.setflags(write=False)
        checked[name] = array
    return checked


def check_order(start: float, stop: float) -> None:
    """Check that a window or recording has a length."""
    if not start < stop:
        raise ValueError(f"start, stop: got {start} and {stop} s; give start below stop.")


def window_within(
    start: float | None, stop: float | None, first: float, last: float
) -> tuple[float, float]:
    """Return a window [start, stop] within the recording, [first, last], which is the default."""
    low = first if start is None else as_number(start, "start")
    high = last if stop is None else as_number(stop, "stop")
    rounding = 4 * np.spacing(max(abs(first), abs(last)))
    low = first if abs(low - first) <= rounding else low
    high = last if abs(high - last) <= rounding else high
    check_order(low, high)
    for name, value in (("start", low), ("stop", high)):
        if not first <= value <= last:
            raise ValueError(
                f"{name}: {value} s is outside the recording, {first} to {last} s; if the "
                f"recording is longer, pass {name}={value} to SpikeTrains or read_spikes."
            )
    return low, high


def reaches(rates: np.ndarray, labels: Iterable[str], min_rate: float) -> np.ndarray:
    """Return whether each neuron fires at `min_rate`, in Hz, or more; at least one must."""
    threshold = as_number(min_rate, "min_rate", at_least=0, unit="Hz")
    keep = rates >= threshold
    if not keep.any():
        best = int(rates.argmax())
        raise ValueError(
            f"min_rate: no neuron fires at {threshold:g} Hz or more; the highest rate is "
            f"{rates[best]:.4g} Hz, of neuron {list(labels)[best]!r}."
        )
    return keep
