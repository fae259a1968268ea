"""The spike times of neurons recorded together."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field

import numpy as np
import xarray as xr

from pymc_glm.arguments import as_labels, as_number, label_index
from pymc_glm.spikes.checks import (
    check_annotations,
    check_bounds,
    check_epochs,
    check_gaps,
    check_order,
    check_positions,
    check_times,
    reaches,
    window_within,
)
from pymc_glm.spikes.epochs import intersect, within


@dataclass(frozen=True, eq=False, repr=False)
class SpikeTrains:
    """Spike times of neurons recorded together.

    Parameters
    ----------
    times : sequence of array, shape (n_spikes,)
        Spike times in seconds, one sorted array per neuron. A neuron may have no spikes.
    neurons : sequence of str
        Unique labels of the neurons. Labels of other types are turned into strings.
    start, stop : float
        Bounds of the recording in seconds; every spike must be in [start, stop]. `start` may be
        negative.
    positions : array, shape (neuron, space), optional
        Positions in micrometres; `space` is 1 (x), 2 (x, y) or 3 (x, y, z).
    name : str
        Name of the recording.
    epochs : array, shape (epoch, 2), optional
        Starts and stops in seconds of the parts of a recording with gaps, or of its trials; every
        spike must be in one. `bin_spikes` bins them separately. None if there are no gaps.
    trials : array of int, shape (epoch,), optional
        The trial number of every epoch, if epochs are trials.
    annotations : mapping from str to array, shape (neuron,)
        Further facts about the neurons, such as their cell types; counts and rates have them as
        coordinates.

    Raises
    ------
    TypeError
        If spike times are not real numbers.
    ValueError
        If there are no neurons, labels repeat, spike times are not finite, not sorted or outside
        the recording, or positions, epochs or annotations do not fit. The message names the
        neuron, spike and value.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> trains = pg.SpikeTrains([[0.1, 0.7], [0.4]], ["a", "b"], start=0, stop=2, name="demo")
    >>> trains
    <SpikeTrains 'demo': 2 neurons, 3 spikes, 0 to 2 s, mean rate 0.75 Hz>
    >>> trains.rates.values
    array([1. , 0.5])
    >>> trains.select(min_rate=0.8).neurons
    ('a',)
    """

    times: tuple[np.ndarray, ...]
    neurons: tuple[str, ...]
    _: KW_ONLY
    start: float
    stop: float
    positions: np.ndarray | None = None
    name: str = ""
    epochs: np.ndarray | None = None
    trials: np.ndarray | None = None
    annotations: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        start, stop = as_number(self.start, "start"), as_number(self.stop, "stop")
        check_order(start, stop)
        neurons = as_labels(self.neurons)
        times = tuple(self.times)
        if len(times) != len(neurons):
            raise ValueError(
                f"times, neurons: got {len(times)} arrays of spike times and {len(neurons)} "
                "labels; give one of each per neuron."
            )
        if not neurons:
            raise ValueError("times: there are no neurons; give at least one array of spike times.")
        checked = tuple(check_times(t, label) for t, label in zip(times, neurons, strict=True))
        for array, label in zip(checked, neurons, strict=True):
            check_bounds(array, label, start, stop)
        epochs, trials = check_epochs(self.epochs, self.trials, start, stop)
        if epochs is not None:
            for array, label in zip(checked, neurons, strict=True):
                check_gaps(array, label, epochs)
        values = {
            "times": checked,
            "neurons": neurons,
            "start": start,
            "stop": stop,
            "positions": check_positions(self.positions, neurons),
            "name": str(self.name),
            "epochs": epochs,
            "trials": trials,
            "annotations": check_annotations(self.annotations, neurons),
        }
        for attribute, value in values.items():
            object.__setattr__(self, attribute, value)

    def __len__(self) -> int:
        return len(self.neurons)

    def __repr__(self) -> str:
        name = f" {self.name!r}" if self.name else ""
        n_neurons, n_spikes = len(self), sum(t.size for t in self.times)
        neurons = f"{n_neurons} neuron{'s' * (n_neurons != 1)}"
        spikes = f"{n_spikes} spike{'s' * (n_spikes != 1)}"
        space = "" if self.positions is None else f", positions {'xyz'[: self.positions.shape[1]]}"
        what = "epochs" if self.trials is None else "trials"
        epochs = "" if self.epochs is None else f" in {len(self.epochs)} {what}"
        return (
            f"<SpikeTrains{name}: {neurons}, {spikes}, {self.start:g} to "
            f"{self.stop:g} s{epochs}, mean rate {self.rates.values.mean():.3g} Hz{space}>"
        )

    @property
    def recorded(self) -> np.ndarray:
        """Starts and stops of the epochs in seconds, shape (epoch, 2); one row without gaps."""
        return np.array([[self.start, self.stop]]) if self.epochs is None else self.epochs

    @property
    def duration(self) -> float:
        """Length of the recording in seconds, without its gaps."""
        return float(np.diff(self.recorded, axis=1).sum())

    @property
    def coords(self) -> dict[str, xr.Variable]:
        """Coordinates of arrays with a dimension `neuron`: labels, positions, annotations."""
        coords = {"neuron": xr.Variable("neuron", np.array(self.neurons))}
        if self.positions is not None:
            for axis, values in zip("xyz", self.positions.T, strict=False):
                coords[f"position_{axis}"] = xr.Variable("neuron", values, {"units": "um"})
        for name, values in self.annotations.items():
            coords[name] = xr.Variable("neuron", values)
        return coords

    @property
    def rates(self) -> xr.DataArray:
        """Mean firing rate of every neuron over the recording, in Hz; dims (neuron,)."""
        values = np.array([t.size for t in self.times]) / self.duration
        return xr.DataArray(
            values, dims="neuron", coords=self.coords, name="rates", attrs={"units": "Hz"}
        )

    def select(
        self,
        neurons: Iterable[Hashable] | None = None,
        *,
        min_rate: float | None = None,
        start: float | None = None,
        stop: float | None = None,
        duration: float | None = None,
    ) -> "SpikeTrains":
        """Return part of the recording: some neurons, a window of time, or both.

        Parameters
        ----------
        neurons : iterable of labels, optional
            Neurons to keep, in this order. All by default.
        min_rate : float, optional
            Keep only neurons that fire at this rate, in Hz, or more in the window.
        start, stop : float, optional
            Window [start, stop) in seconds, within the recording; by default its bounds. A window
            that reaches the end of the recording includes a spike at the very end.
        duration : float, optional
            Length of the window in seconds, instead of `stop`.

        Returns
        -------
        SpikeTrains
            Times are not shifted: they stay relative to the clock of the recording.

        Raises
        ------
        ValueError
            If a label is unknown or repeats, the window is empty or not within the recording,
            or no neuron reaches `min_rate`.

        Examples
        --------
        >>> import pymc_glm as pg
        >>> trains = pg.SpikeTrains([[0.1, 0.7], [0.4]], ["a", "b"], start=0, stop=2)
        >>> trains.select(["b", "a"], start=0.5, duration=1.0).times
        (array([], dtype=float64), array([0.7]))
        """
        if duration is not None:
            if stop is not None:
                raise ValueError("stop, duration: give one of them, not both.")
            first = self.start if start is None else as_number(start, "start")
            stop = first + as_number(duration, "duration")
        start, stop = window_within(start, stop, self.start, self.stop)
        keep = label_index(self.neurons, neurons)
        times = [self.times[i] for i in keep]
        times = [t[(t >= start) & ((t < stop) | (stop == self.stop))] for t in times]
        pieces = intersect(self.recorded, np.array([[start, stop]]))
        if not len(pieces.bounds):
            raise ValueError(
                f"start, stop: {start:g} to {stop:g} s is in a gap between epochs of the recording."
            )
        if self.epochs is not None:  # a spike at the stop may belong to an epoch that is cut off
            times = [t[within(t, pieces.bounds)] for t in times]
        if min_rate is not None:
            rates = np.array([t.size for t in times]) / np.diff(pieces.bounds, axis=1).sum()
            fast = reaches(rates, [self.neurons[i] for i in keep], min_rate)
            times = [t for t, ok in zip(times, fast, strict=True) if ok]
            keep = keep[fast]
        return SpikeTrains(
            tuple(times),
            tuple(self.neurons[i] for i in keep),
            start=start,
            stop=stop,
            positions=None if self.positions is None else self.positions[keep],
            name=self.name,
            epochs=None if self.epochs is None else pieces.bounds,
            trials=None if self.trials is None else self.trials[pieces.first],
            annotations={key: values[keep] for key, values in self.annotations.items()},
        )
