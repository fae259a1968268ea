"""Spike rasters."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pymc_glm.criticism.posterior import variable
from pymc_glm.plots.panels import INK, axes_list, label_neurons, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_raster", "spikes_of_counts"]

_MANY_SPIKES = 10_000  # above this, vector graphics would be slow to open


def plot_raster(
    spikes: Any,
    *,
    start: float | None = None,
    stop: float | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Plot spikes, one row per neuron, with the first neuron on top.

    Parameters
    ----------
    spikes : SpikeTrains, DataArray of counts (time, neuron), or DataTree
        Spike times; counts as from `bin_spikes`, drawn in the middle of their bins; or what
        sampling returned, for the modelled spikes.
    start, stop : float, optional
        Window to show, in seconds. By default the whole recording.
    ax : Axes, optional
        Where to draw. By default on a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    TypeError, ValueError
        The spikes have another type, or the window is empty.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> trains = pg.SpikeTrains([[0.1, 0.7], [0.4]], ["a", "b"], start=0, stop=2)
    >>> ax = pg.plot_raster(trains, stop=1.0)
    >>> ax.get_xlabel(), len(ax.collections)
    ('time (s)', 2)
    """
    times, neurons, first, last = _spike_times(spikes)
    low, high = first if start is None else float(start), last if stop is None else float(stop)
    if not low < high or low >= last or high <= first:
        raise ValueError(
            f"start, stop: got the window {low:g} to {high:g} s; allowed are windows with start "
            f"before stop that overlap the {first:g} to {last:g} s of the recording."
        )
    shown = [t[(t >= low) & (t <= high)] for t in times]
    height = float(np.clip(0.14 * len(neurons) + 0.9, 1.8, 8.0))
    if ax is None:
        ax = new_axes(1, 1, (7.0, height))[0, 0]
        room = height - 0.6
    else:
        ax = axes_list(ax, 1, "ax")[0]
        room = ax.bbox.height / ax.figure.dpi
    n_spikes = sum(map(len, shown))
    ax.eventplot(
        shown,
        lineoffsets=list(map(float, range(len(shown)))),
        linelengths=0.8,
        linewidths=[float(np.clip(400 / max(len(t), 1), 0.25, 0.9)) for t in shown],
        colors=INK,
        rasterized=n_spikes > _MANY_SPIKES,
    )
    ax.set_xlim(low, high)
    ax.set_ylim(len(neurons) - 0.4, -0.6)
    label_neurons(ax, "y", neurons, room)
    ax.set_xlabel("time (s)")
    ax.set_ylabel("neuron")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _spike_times(
    spikes: Any,
) -> tuple[Sequence[NDArray[np.float64]], tuple[str, ...], float, float]:
    """Return spike times, labels and bounds of the recording."""
    if isinstance(spikes, xr.DataTree):
        spikes = variable(spikes, "observed_data", "spikes")
    if isinstance(spikes, xr.DataArray):
        neuron = next((dim for dim in ("neuron", "post") if dim in spikes.dims), None)
        if neuron is None or "time" not in spikes.dims or spikes.ndim != 2:
            raise ValueError(
                f"spikes: got the dims {spikes.dims}, allowed are counts ('time', 'neuron') or "
                "('time', 'post')."
            )
        return spikes_of_counts(spikes.transpose("time", neuron))
    if all(hasattr(spikes, name) for name in ("times", "neurons", "start", "stop")):
        return spikes.times, tuple(map(str, spikes.neurons)), spikes.start, spikes.stop
    raise TypeError(
        f"spikes: got {type(spikes).__name__}, allowed are SpikeTrains, a DataArray of counts "
        "(time, neuron) and the DataTree that sampling returns."
    )


def spikes_of_counts(
    counts: xr.DataArray,
) -> tuple[list[NDArray[np.float64]], tuple[str, ...], float, float]:
    """Return the middles of bins with spikes, labels and bounds of the recording."""
    time = counts["time"].values.astype(np.float64)
    width = float(counts.attrs.get("bin_width", np.diff(time[:2]).sum()))
    rows = [time[row > 0] + width / 2 for row in counts.values.T]
    labels = tuple(str(label) for label in counts[counts.dims[1]].values)
    return rows, labels, float(time[0]), float(time[-1] + width)
