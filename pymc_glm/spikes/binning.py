"""From spike times to spike counts."""

import logging
import warnings
from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pymc_glm.arguments import as_number
from pymc_glm.spikes.checks import reaches, window_within
from pymc_glm.spikes.conversion import SpikeTimes, as_spike_trains
from pymc_glm.spikes.epochs import Pieces, as_intervals, interval_text, pieces_to_bin, within
from pymc_glm.spikes.trains import SpikeTrains

_log = logging.getLogger("pymc_glm")


def bin_spikes(
    spike_times: SpikeTimes,
    bin_width: float,
    *,
    start: float | None = None,
    stop: float | None = None,
    epochs: Any = None,
    trials: Any = None,
    neurons: Iterable[Hashable] | None = None,
    min_rate: float | None = None,
) -> xr.DataArray:
    """Count the spikes of every neuron in bins of equal width.

    Bin k is the half-open interval [start + k bin_width, start + (k + 1) bin_width). Only whole
    bins are kept: the rest of the recording after the last whole bin is dropped. A spike whose
    time equals the edge of a bin up to floating-point rounding (such as 0.3 with bins of 0.1)
    belongs to the bin that starts there.

    Parameters
    ----------
    spike_times : SpikeTrains, mapping, sequence, or an object of pynapple or neo
        A mapping has labels as keys and arrays of sorted spike times in seconds as values; the
        neurons of a sequence of such arrays are labelled "0", "1", and so on. See `as_spike_trains`
        for a pynapple TsGroup and for neo's Block, Segment and SpikeTrains.
    bin_width : float
        Width of a bin in seconds.
    start, stop : float, optional
        Window to bin, in seconds; by default the bounds of the recording. Mappings and sequences
        of arrays have no bounds: without `start` and `stop` they go from 0 to the last spike (give
        `stop` if the recording continues after it).
    epochs : array, shape (epoch, 2), pynapple.IntervalSet or neo.Epoch, optional
        Starts and stops in seconds, sorted, without overlap. Every epoch is binned from its own
        start, and spikes outside all epochs are dropped. By default the epochs of the recording,
        such as the time support of a TsGroup.
    trials : as `epochs`, optional
        Epochs that are trials: the counts have the trial of every bin as a coordinate.
    neurons : iterable of labels, optional
        Neurons to keep, in this order. All by default.
    min_rate : float, optional
        Drop neurons with a lower rate, in Hz, in the binned window; the logger "pymc_glm" names
        them in a warning.

    Returns
    -------
    xarray.DataArray
        Counts, int64, dims (time, neuron). Coordinates: `time`, the start of every bin in seconds;
        `neuron`, the labels; `position_x`, `position_y` and `position_z` (neuron,) in micrometres
        where known (`neuron_positions` joins them), and the annotations of the recording. With
        several epochs, or with `epochs` or `trials`: `segment` (time,), 0, 1, ..., across whose
        boundaries spikes have no effect in a model; with trials: `trial` (time,), the index of the
        trial, and `trial_time` (time,), seconds since its start. Attributes: `bin_width` in
        seconds; `name` of the recording; with `min_rate`, `dropped_neurons`, their labels; with
        `epochs` or `trials`, `dropped_spikes`, their number, which the logger "pymc_glm" reports
        too.

    Raises
    ------
    TypeError
        If `spike_times` is of a kind that is not accepted, or an argument is not a number.
    ValueError
        If the window, the bin width, the labels or the spike times are not valid, an epoch or
        trial is shorter than a bin or was not recorded, or no neuron reaches `min_rate`.

    Warns
    -----
    UserWarning
        If neurons without any spike are kept, or no spike falls in the epochs.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> counts = pg.bin_spikes({"a": [0.01, 0.02, 0.11], "b": [0.3]}, 0.1, stop=0.4)
    >>> counts.sel(neuron="a").values
    array([2, 1, 0, 0])
    >>> counts.sel(neuron="b").values
    array([0, 0, 0, 1])
    >>> counts.dims, counts.attrs["bin_width"]
    (('time', 'neuron'), 0.1)
    >>> counts = pg.bin_spikes([[0.1, 0.7, 1.2]], 0.5, trials=[[0, 0.5], [1, 2]])
    >>> counts["time"].values, counts["trial"].values, counts.values[:, 0]
    (array([0. , 1. , 1.5]), array([0, 1, 1]), array([1, 1, 0]))
    """
    width = as_number(bin_width, "bin_width", above=0, unit="s")
    asked, what = _asked(epochs, trials)
    trains = as_spike_trains(spike_times, **_reach(start, stop, asked))
    if neurons is not None:
        trains = trains.select(neurons)
    window = window_within(start, stop, trains.start, trains.stop)
    if asked is None and trains.trials is not None:
        what = "trials"
    pieces = pieces_to_bin(asked, what, trains.recorded, window)
    apart = asked is not None or trains.epochs is not None
    n_bins = _bins_of(pieces, width, what if apart else None)
    counts = np.zeros((n_bins.sum(), len(trains)), dtype=np.int64)
    for n, times in enumerate(trains.times):
        bins, n_spikes = np.unique(_bins(times, pieces.bounds, n_bins, width), return_counts=True)
        counts[bins, n] = n_spikes
    array = xr.DataArray(
        counts,
        dims=("time", "neuron"),
        coords=_time_coords(pieces, n_bins, width, apart) | trains.coords,
        name="counts",
        attrs={"bin_width": width, "name": trains.name},
    )
    if asked is not None and what == "trials":
        array = _with_trials(array, pieces.first, asked[pieces.first, 0])
    elif trains.trials is not None:
        began = trains.recorded[pieces.second, 0]
        array = _with_trials(array, trains.trials[pieces.second], began)
    if asked is not None:
        array.attrs["dropped_spikes"] = _outside(trains, pieces.bounds, what)
        if array.attrs["dropped_spikes"] and not array.values.any() and min_rate is None:
            return array
    return _drop_slow(array, min_rate)


def neuron_positions(array: xr.DataArray) -> xr.DataArray | None:
    """Return positions of the neurons of counts or rates, from the coordinates `position_x`, ....

    Parameters
    ----------
    array : xarray.DataArray
        Any array with a dimension `neuron`, such as the counts of `bin_spikes`.

    Returns
    -------
    xarray.DataArray or None
        Micrometres, dims (neuron, space); None if positions are not known.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> from pymc_glm.spikes import neuron_positions
    >>> trains = pg.SpikeTrains([[0.1]], ["a"], start=0, stop=1, positions=[[30.0, 60.0]])
    >>> neuron_positions(pg.bin_spikes(trains, 0.1)).sel(space="y").values
    array([60.])
    """
    axes = [axis for axis in "xyz" if f"position_{axis}" in array.coords]
    if not axes:
        return None
    values = np.stack([array.coords[f"position_{axis}"].values for axis in axes], axis=1)
    coords = {"neuron": array["neuron"].values, "space": axes}
    return xr.DataArray(
        values, dims=("neuron", "space"), coords=coords, name="position", attrs={"units": "um"}
    )


def _bin_index(
    times: NDArray[np.float64], start: NDArray[np.float64], width: float
) -> NDArray[np.float64]:
    """Return the index of the bin that holds each time, as float64.

    Times and edges that are equal in decimal may differ by the rounding of `times`, `start` and
    `width`; a quotient this close to a whole number is taken as that number.
    """
    quotient = (times - start) / width
    nearest = np.rint(quotient)
    ulps = (np.abs(times) + np.abs(start)) / width + np.abs(quotient)
    rounding = 2 * np.finfo(np.float64).eps * ulps
    return np.where(np.abs(quotient - nearest) <= rounding, nearest, np.floor(quotient))


def _asked(epochs: Any, trials: Any) -> tuple[NDArray[np.float64] | None, str]:
    """Return the intervals to bin separately, shape (interval, 2), and what they are called."""
    if epochs is not None and trials is not None:
        raise ValueError("epochs, trials: give one of them, not both.")
    if trials is not None:
        return as_intervals(trials, "trials"), "trials"
    return None if epochs is None else as_intervals(epochs, "epochs"), "epochs"


def _reach(
    start: float | None, stop: float | None, asked: NDArray[np.float64] | None
) -> dict[str, float | None]:
    """Return bounds around the window and all intervals, for a recording without bounds."""
    if asked is None:
        return {"start": start, "stop": stop}
    low, high = float(asked[0, 0]), float(asked[-1, 1])
    return {
        "start": low if start is None else min(low, as_number(start, "start")),
        "stop": high if stop is None else max(high, as_number(stop, "stop")),
    }


def _bins_of(pieces: Pieces, width: float, what: str | None) -> NDArray[np.int64]:
    """Count the whole bins in every interval; `what` is None if it is the whole recording."""
    bounds = pieces.bounds
    n_bins = _bin_index(bounds[:, 1], bounds[:, 0], width).astype(np.int64)
    if (short := np.flatnonzero(n_bins < 1)).size:
        start, stop = bounds[short[0]]
        if what is None:
            raise ValueError(
                f"bin_width: {width:g} s is longer than the recording, {stop - start:g} s from "
                f"{start:g} to {stop:g} s; give bin_width in seconds."
            )
        raise ValueError(
            f"{interval_text(what, pieces.first[short[0]], bounds[short[0]])}, is shorter than one "
            f"bin of {width:g} s; leave it out, or use a smaller bin_width."
        )
    return n_bins


def _time_coords(
    pieces: Pieces, n_bins: NDArray[np.int64], width: float, apart: bool
) -> dict[str, xr.Variable]:
    """Return coordinates of bins: starts and, if intervals are binned separately, segments."""
    segment = np.repeat(np.arange(len(n_bins)), n_bins)
    since = width * np.concatenate([np.arange(n) for n in n_bins])
    coords = {"time": xr.Variable("time", pieces.bounds[segment, 0] + since, {"units": "s"})}
    return coords | ({"segment": xr.Variable("time", segment)} if apart else {})


def _with_trials(
    counts: xr.DataArray, trials: NDArray[np.integer], began: NDArray[np.float64]
) -> xr.DataArray:
    """Add the trial and the time since its start to every bin, given those of the segments."""
    segment = counts["segment"].values
    since = counts["time"].values - began[segment]
    return counts.assign_coords(
        trial=("time", trials[segment]), trial_time=("time", since, {"units": "s"})
    )


def _bins(
    times: NDArray[np.float64],
    bounds: NDArray[np.float64],
    n_bins: NDArray[np.int64],
    width: float,
) -> NDArray[np.int64]:
    """Find the bins of one neuron's spikes, counted through all intervals."""
    starts = bounds[:, 0]
    rounding = 4 * np.spacing(np.abs(bounds).max())
    piece = np.searchsorted(starts - rounding, times, side="right") - 1
    times, piece = times[piece >= 0], piece[piece >= 0]
    index = _bin_index(times, starts[piece], width)
    inside = (index >= 0) & (index < n_bins[piece])
    first = np.cumsum(n_bins) - n_bins
    return first[piece[inside]] + index[inside].astype(np.int64)


def _outside(trains: SpikeTrains, bounds: NDArray[np.float64], what: str) -> int:
    """Count spikes outside all intervals; warn if all are."""
    total = sum(t.size for t in trains.times)
    n_outside = total - sum(int(within(t, bounds).sum()) for t in trains.times)
    if 0 < total == n_outside:
        warnings.warn(
            f"{what}: they hold no spikes (of {total}), from {bounds[0, 0]:g} to "
            f"{bounds[-1, 1]:g} s; give {what} in seconds, on the clock of the spikes.",
            UserWarning,
            stacklevel=3,
        )
    elif n_outside:
        _log.info("bin_spikes: dropped %d of %d spikes outside the %s", n_outside, total, what)
    return n_outside


def _drop_slow(counts: xr.DataArray, min_rate: float | None) -> xr.DataArray:
    """Drop neurons below `min_rate`; if it is None, warn of neurons that never fire."""
    labels = [str(label) for label in counts["neuron"].values]
    n_spikes = counts.values.sum(axis=0)
    if min_rate is None:
        silent = [label for label, n in zip(labels, n_spikes, strict=True) if n == 0]
        if silent:
            warnings.warn(
                f"these neurons have no spikes in the binned window: {silent}; drop neurons that "
                "rarely fire with min_rate=.",
                UserWarning,
                stacklevel=3,
            )
        return counts
    keep = reaches(n_spikes / (counts.sizes["time"] * counts.attrs["bin_width"]), labels, min_rate)
    dropped = [label for label, kept in zip(labels, keep, strict=True) if not kept]
    if dropped:
        _log.warning("bin_spikes: dropped neurons below %g Hz: %s", min_rate, dropped)
    return counts.isel(neuron=np.flatnonzero(keep)).assign_attrs(dropped_neurons=dropped)
