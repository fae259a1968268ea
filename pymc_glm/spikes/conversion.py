"""From spike times of any accepted kind to `SpikeTrains`."""

from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from pymc_glm.arguments import as_number
from pymc_glm.spikes.checks import check_times
from pymc_glm.spikes.from_neo import segments_of, trains_of_segments
from pymc_glm.spikes.from_pynapple import is_ts_group, support_of, trains_of_group
from pymc_glm.spikes.trains import SpikeTrains

# Objects of pynapple and neo are recognised by their attributes, so neither need be installed.
type SpikeTimes = SpikeTrains | Mapping[Any, Any] | Sequence[Any] | Iterable[Any]


class _OneNeuron(NamedTuple):
    """Spike times and epochs of one neuron."""

    times: Any
    epochs: tuple[tuple[float, float], ...]  # empty if bounds are not known


def as_spike_trains(
    spike_times: SpikeTimes, *, start: float | None = None, stop: float | None = None
) -> SpikeTrains:
    """Turn spike times of any kind that `bin_spikes` takes into `SpikeTrains`.

    Parameters
    ----------
    spike_times : SpikeTrains, mapping, sequence, or an object of pynapple or neo
        `SpikeTrains` are returned as they are. A mapping has labels as keys and arrays of sorted
        spike times in seconds as values; the neurons of a sequence of such arrays are labelled
        "0", "1", ...

        - pynapple ``TsGroup``: the time support is the recording; its epochs are kept if there are
          several. Columns of the metadata become annotations; columns named x, y, z (or
          position_x, ...) become positions, in micrometres.
        - neo ``Block``, or a list of ``Segment``: every segment is a trial. Segments whose times
          overlap, because each has its own clock, are placed one after the other.
        - neo ``Segment``, or a list of ``SpikeTrain``: times are converted to seconds, t_start and
          t_stop bound the recording. Labels are the names, or else the annotations unit_id,
          unit_name or id, or else numbers. Annotations with one text or number for every neuron
          are kept, x, y, z as above.
    start, stop : float, optional
        Bounds in seconds, for a recording without bounds: it is widened to include them.

    Returns
    -------
    SpikeTrains

    Raises
    ------
    TypeError
        If `spike_times` is of a kind that is not accepted.
    ValueError
        If spike times, labels or bounds are not valid, neurons were recorded over different
        times, or neo segments hold different neurons.

    Examples
    --------
    >>> from pymc_glm.spikes import as_spike_trains
    >>> as_spike_trains([[0.5], [0.2, 0.9]], stop=2.0)
    <SpikeTrains: 2 neurons, 3 spikes, 0 to 2 s, mean rate 0.75 Hz>
    """
    if isinstance(spike_times, SpikeTrains):
        return spike_times
    if is_ts_group(spike_times):
        return trains_of_group(spike_times)
    segments = segments_of(spike_times)
    if segments is None and not isinstance(spike_times, Mapping):
        spike_times = _as_sequence(spike_times)
        segments = segments_of(spike_times)
    if segments is not None:
        return trains_of_segments(segments)
    name = getattr(spike_times, "name", None)
    if isinstance(spike_times, Mapping):
        labels = [str(key) for key in spike_times]
        items = [_one_neuron(spike_times[key]) for key in spike_times]
    else:
        parts = tuple(spike_times)
        names = [str(getattr(part, "name", None) or "") for part in parts]
        named = all(names) and len(set(names)) == len(names)
        labels = names if named else [str(i) for i in range(len(parts))]
        items = [_one_neuron(part) for part in parts]
    if not items:
        raise ValueError("spike_times: it is empty; give at least one array of spike times.")
    known = {item.epochs for item in items}
    if len(known) > 1:
        raise ValueError(
            f"spike_times: the neurons were recorded over different times, (start, stop) = "
            f"{sorted(known)} s; cut them to the same window first (time_slice in neo, restrict in "
            "pynapple)."
        )
    times = [check_times(item.times, label) for item, label in zip(items, labels, strict=True)]
    epochs = known.pop()
    if epochs:
        first, last = epochs[0][0], epochs[-1][1]
    else:
        # A window that starts above 0 still leaves negative times an error.
        low = None if start is None else min(0.0, as_number(start, "start"))
        first, last = recording_bounds(times, low, stop, widen=True)
    return SpikeTrains(
        tuple(times),
        tuple(labels),
        start=first,
        stop=last,
        name=name if isinstance(name, str) else "",
        epochs=np.array(epochs) if len(epochs) > 1 else None,
    )


def recording_bounds(
    times: Iterable[Any], start: float | None, stop: float | None, *, widen: bool = False
) -> tuple[float, float]:
    """Return the bounds of a recording, by default 0 and the last spike.

    Parameters
    ----------
    times : iterable of array
        Spike times in seconds, one array per neuron; values that are not finite are left for
        `SpikeTrains` to refuse.
    start, stop : float or None
        Known bounds in seconds.
    widen : bool
        Move a given `stop` to the last spike if that is later.

    Returns
    -------
    start, stop : float

    Raises
    ------
    ValueError
        If the stop is not given and there is no spike after the start.

    Examples
    --------
    >>> from pymc_glm.spikes import recording_bounds
    >>> recording_bounds([[0.2, 1.5], []], None, None)
    (0.0, 1.5)
    """
    first = 0.0 if start is None else as_number(start, "start")
    if stop is not None and not widen:
        return first, as_number(stop, "stop")
    arrays = [np.asarray(t) for t in times]
    finite = [t[np.isfinite(t)] for t in arrays if t.dtype.kind in "iuf"]
    ends = [float(t.max()) for t in finite if t.size]
    if stop is not None:
        ends.append(as_number(stop, "stop"))
    if not ends:
        raise ValueError(
            "stop: without spikes the end of the recording is not known; give it in seconds."
        )
    last = max(ends)
    if stop is None and last <= first:
        raise ValueError(
            f"stop: no spike comes after the start, {first:g} s (the last is at {last:g} s), so "
            "the end of the recording is not known; give stop=, and start= if it begins earlier."
        )
    return first, last


def _as_sequence(spike_times: Any) -> tuple[Any, ...]:
    expected = (
        "allowed are SpikeTrains, a mapping from labels to arrays of times, a sequence of arrays "
        "(one per neuron), a pynapple TsGroup and neo SpikeTrains"
    )
    if hasattr(spike_times, "rescale") or hasattr(spike_times, "time_support"):
        raise TypeError(
            f"spike_times: got one neuron's times; {expected}; put them in a list: [times]."
        )
    if isinstance(spike_times, str | bytes) or not isinstance(spike_times, Iterable):
        raise TypeError(f"spike_times: got {type(spike_times).__name__}; {expected}.")
    parts = tuple(spike_times)
    if any(isinstance(part, Real) for part in parts):
        raise TypeError(
            f"spike_times: got a flat sequence of numbers; {expected}; put it in a list: [times]."
        )
    return parts


def _one_neuron(item: Any) -> _OneNeuron:
    """Read times and bounds of one neuron from an array, a pynapple Ts or a neo SpikeTrain."""
    if hasattr(item, "time_support") and hasattr(item, "times"):
        return _OneNeuron(item.times(), tuple(map(tuple, support_of(item).tolist())))
    if hasattr(item, "rescale"):  # neo, or any array with units from the package quantities
        times = item.rescale("s").magnitude
        if hasattr(item, "t_start") and hasattr(item, "t_stop"):
            bounds = item.t_start.rescale("s").item(), item.t_stop.rescale("s").item()
            return _OneNeuron(times, (bounds,))
        return _OneNeuron(times, ())
    return _OneNeuron(item, ())
