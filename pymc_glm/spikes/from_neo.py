"""Spike times from neo.

Its objects are recognised by their attributes, so neo need not be installed.
"""

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_glm.spikes.metadata import split_metadata
from pymc_glm.spikes.trains import SpikeTrains

_log = logging.getLogger("pymc_glm")
_LABELS = ("unit_id", "unit_name", "id")  # annotations that name a unit


class Segments(NamedTuple):
    """Spike trains of the segments of a recording."""

    name: str
    trains: list[list[Any]]  # one list per segment


class _Trial(NamedTuple):
    """One segment, in seconds."""

    labels: list[str]
    times: list[NDArray[Any]]
    start: float
    stop: float


def segments_of(value: Any) -> Segments | None:
    """Return the segments of a Block, Segment, list of these or list of SpikeTrains, or None."""
    name = getattr(value, "name", None)
    name = name if isinstance(name, str) else ""
    if isinstance(value, tuple | list) and value:
        if all(_has_trains(item) for item in value):
            return Segments(name, [_loaded(item) for item in value])
        if all(_is_train(item) for item in value):
            return Segments(name, [_load(value)])
        return None
    if _has_trains(value) and len(value.spiketrains):
        return Segments(name, [_loaded(value)])
    if hasattr(value, "segments"):
        if not any(len(segment.spiketrains) for segment in value.segments):
            raise ValueError("spike_times: the neo Block has no spike trains in its segments.")
        return Segments(name, [_loaded(segment) for segment in value.segments])
    if _has_trains(value):
        raise ValueError("spike_times: the neo Segment has no spike trains.")
    return None


def trains_of_segments(segments: Segments) -> SpikeTrains:
    """Turn neo segments into `SpikeTrains`; see `as_spike_trains`."""
    trials = [_trial(trains, i) for i, trains in enumerate(segments.trains)]
    labels = trials[0].labels
    for i, trial in enumerate(trials):
        if set(trial.labels) != set(labels):
            missing = sorted(set(labels) ^ set(trial.labels))
            raise ValueError(
                f"spike_times: segment {i} of the neo Block, {trial.start:g} to {trial.stop:g} s, "
                f"and segment 0 have different neurons, {missing[:5]} are in only one of them; use "
                "the same names of spike trains in every segment, an empty one for a silent neuron."
            )
    bounds = _bounds(trials)
    parts: list[list[NDArray[Any]]] = [[] for _ in labels]
    for trial, (start, stop) in zip(trials, bounds, strict=True):
        order = [trial.labels.index(label) for label in labels]
        for part, times in zip(parts, [trial.times[n] for n in order], strict=True):
            shift = start - trial.start
            part.append(np.clip(times + shift, start, stop) if shift else times)
    positions, annotations = split_metadata(_annotations(segments.trains[0]))
    several = len(trials) > 1
    return SpikeTrains(
        tuple(np.concatenate(part) for part in parts),
        tuple(labels),
        start=bounds[0, 0],
        stop=bounds[-1, 1],
        positions=positions,
        name=segments.name,
        epochs=bounds if several else None,
        trials=np.arange(len(trials)) if several else None,
        annotations=annotations,
    )


def _has_trains(value: Any) -> bool:
    return hasattr(value, "spiketrains")


def _is_train(value: Any) -> bool:
    return hasattr(value, "t_start") and (hasattr(value, "rescale") or hasattr(value, "load"))


def _loaded(segment: Any) -> list[Any]:
    return _load(segment.spiketrains)


def _load(trains: Sequence[Any]) -> list[Any]:
    """Return spike trains, loading those that neo has read lazily."""
    return [t if hasattr(t, "rescale") else t.load() for t in trains]


def _trial(trains: list[Any], index: int) -> _Trial:
    if not trains:
        raise ValueError(
            f"spike_times: segment {index} of the neo Block has no spike trains; leave it out, or "
            "give it empty ones."
        )
    known = {
        tuple(float(bound.rescale("s").item()) for bound in (t.t_start, t.t_stop)) for t in trains
    }
    if len(known) > 1:
        raise ValueError(
            f"spike_times: the neurons of neo segment {index} were recorded over different times, "
            f"(start, stop) = {sorted(known)} s; cut them to the same window first (time_slice)."
        )
    start, stop = known.pop()
    if not start < stop:
        raise ValueError(
            f"spike_times: neo segment {index}, {start:g} to {stop:g} s, has no length; leave it "
            "out, or set t_start and t_stop of its spike trains."
        )
    times = [np.asarray(t.rescale("s").magnitude, dtype=np.float64) for t in trains]
    return _Trial(_labels(trains), times, start, stop)


def _labels(trains: list[Any]) -> list[str]:
    """Return the names of spike trains, or an annotation that names units, or numbers."""
    candidates = [[t.name for t in trains]]
    candidates += [[t.annotations.get(key) for t in trains] for key in _LABELS]
    for values in candidates:
        labels = ["" if value is None else str(value) for value in values]
        if all(labels) and len(set(labels)) == len(labels):
            return labels
    return [str(n) for n in range(len(trains))]


def _annotations(trains: list[Any]) -> dict[str, list[Any]]:
    """Return the annotations that all spike trains have."""
    keys = [key for key in trains[0].annotations if all(key in t.annotations for t in trains)]
    return {key: [t.annotations[key] for t in trains] for key in keys}


def _bounds(trials: list[_Trial]) -> NDArray[np.float64]:
    """Place segments on one clock; return starts and stops, shape (segment, 2)."""
    bounds = np.array([(trial.start, trial.stop) for trial in trials])
    rounding = 4 * np.spacing(np.abs(bounds).max())
    if (bounds[1:, 0] >= bounds[:-1, 1] - rounding).all():
        return bounds
    _log.info("the %d neo segments overlap in time: placed one after the other", len(trials))
    ends = bounds[0, 0] + np.cumsum(bounds[:, 1] - bounds[:, 0])
    return np.stack([np.concatenate([bounds[:1, 0], ends[:-1]]), ends], axis=1)
