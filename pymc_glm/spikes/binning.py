"""Spike times to spike counts."""

import logging
import warnings
from collections.abc import Hashable, Iterable

import numpy as np
import xarray as xr

from pymc_glm.spikes.checks import as_number, reaches, window_within
from pymc_glm.spikes.conversion import SpikeTimes, as_spike_trains

_log = logging.getLogger("pymc_glm")


def bin_spikes(
    spike_times: SpikeTimes,
    bin_width: float,
    *,
    start: float | None = None,
    stop: float | None = None,
    neurons: Iterable[Hashable] | None = None,
    min_rate: float | None = None,
) -> xr.DataArray:
    """Count the spikes of every neuron in bins of equal width.

    Bin k is the half-open interval [start + k bin_width, start + (k + 1) bin_width). Only whole
    bins are kept: what is left of the recording after the last whole bin is dropped. A spike
    whose time equals the edge of a bin up to the rounding of floating-point numbers (0.3 with bins
    of 0.1, say) belongs to the bin that starts there.

    Parameters
    ----------
    spike_times : SpikeTrains, mapping, sequence, pynapple.TsGroup or neo.SpikeTrain objects
        A mapping leads from labels to arrays of sorted spike times in seconds; the neurons of a
        sequence of such arrays are labelled "0", "1", and so on. neo objects may have any unit of
        time.
    bin_width : float
        Width of a bin in seconds.
    start, stop : float, optional
        Window to bin, in seconds; by default the bounds of the recording. Mappings and sequences
        of arrays have no bounds: they start at 0 and stop at the last spike unless told otherwise
        (give `stop` where the recording goes on after it).
    neurons : iterable of labels, optional
        Neurons to keep, in this order. All by default.
    min_rate : float, optional
        Drop neurons that fire less than this, in Hz, in the binned window; the logger "pymc_glm"
        warns which.

    Returns
    -------
    xarray.DataArray
        Counts, int64, dims (time, neuron). Coordinates: `time`, the start of every bin in seconds;
        `neuron`, the labels; `position_x`, `position_y` and `position_z` (neuron,) in micrometres,
        as many as are known (`neuron_positions` joins them). Attributes: `bin_width` in seconds,
        `name` of the recording, and with `min_rate` the labels of the `dropped_neurons`.

    Raises
    ------
    TypeError
        If `spike_times` is of no accepted kind, or a number is not one.
    ValueError
        If the window, the bin width, the labels or the spike times are not valid, or no neuron
        reaches `min_rate`.

    Warns
    -----
    UserWarning
        If neurons without a single spike are kept.

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
    """
    width = as_number(bin_width, "bin_width")
    if width <= 0:
        raise ValueError(f"bin_width must be positive, got {width:g} s")
    trains = as_spike_trains(spike_times, start=start, stop=stop)
    start, stop = window_within(start, stop, trains.start, trains.stop)
    if neurons is not None:
        trains = trains.select(neurons)
    n_bins = int(_bin_index(np.array(stop), start, width))
    if n_bins < 1:
        raise ValueError(
            f"bin_width = {width:g} s is longer than the recording, {stop - start:g} s from "
            f"{start:g} to {stop:g} s; bin_width is in seconds"
        )
    counts = np.zeros((n_bins, len(trains)), dtype=np.int64)
    for n, times in enumerate(trains.times):
        index = _bin_index(times, start, width)
        bins, n_spikes = np.unique(
            index[(index >= 0) & (index < n_bins)].astype(np.int64), return_counts=True
        )
        counts[bins, n] = n_spikes

    time = xr.Variable("time", start + width * np.arange(n_bins), {"units": "s"})
    array = xr.DataArray(
        counts,
        dims=("time", "neuron"),
        coords={"time": time} | trains.coords,
        name="counts",
        attrs={"bin_width": width, "name": trains.name},
    )
    return _drop_slow(array, min_rate)


def neuron_positions(array: xr.DataArray) -> xr.DataArray | None:
    """Positions of the neurons of counts or rates, from their coordinates `position_x` and so on.

    Parameters
    ----------
    array : xarray.DataArray
        Any array with a dimension `neuron`, such as the counts of `bin_spikes`.

    Returns
    -------
    xarray.DataArray or None
        Micrometres, dims (neuron, space); None where positions are not known.

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


def _bin_index(times: np.ndarray, start: float, width: float) -> np.ndarray:
    """Index of the bin that holds each time, as float64.

    Times and edges that are equal in decimal may differ by the rounding of `times`, `start` and
    `width`; a quotient that close to a whole number is that number.
    """
    quotient = (times - start) / width
    nearest = np.rint(quotient)
    ulps = (np.abs(times) + abs(start)) / width + np.abs(quotient)
    rounding = 2 * np.finfo(np.float64).eps * ulps
    return np.where(np.abs(quotient - nearest) <= rounding, nearest, np.floor(quotient))


def _drop_slow(counts: xr.DataArray, min_rate: float | None) -> xr.DataArray:
    """Without the neurons below `min_rate`; without one, warn of neurons that never fire."""
    labels = [str(label) for label in counts["neuron"].values]
    n_spikes = counts.values.sum(axis=0)
    if min_rate is None:
        silent = [label for label, n in zip(labels, n_spikes, strict=True) if n == 0]
        if silent:
            warnings.warn(
                f"these neurons have no spikes in the binned window: {silent}; min_rate= drops "
                "neurons that fire too little",
                UserWarning,
                stacklevel=3,
            )
        return counts
    keep = reaches(n_spikes / (counts.sizes["time"] * counts.attrs["bin_width"]), labels, min_rate)
    dropped = [label for label, kept in zip(labels, keep, strict=True) if not kept]
    if dropped:
        _log.warning("bin_spikes: dropped neurons below %g Hz: %s", min_rate, dropped)
    return counts.isel(neuron=np.flatnonzero(keep)).assign_attrs(dropped_neurons=dropped)
