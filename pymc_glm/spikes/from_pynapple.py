"""Spike times and counts from pynapple.

Its objects are recognised by their attributes, so pynapple need not be installed.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pymc_glm.spikes.metadata import split_metadata
from pymc_glm.spikes.trains import SpikeTrains

TIME_PRECISION = 1e-9  # s; pynapple rounds times and widths to this


def is_ts_group(value: Any) -> bool:
    """Return whether this is a TsGroup: spike times of several neurons with one time support."""
    return isinstance(value, Mapping) and hasattr(value, "time_support")


def is_tsd_frame(value: Any) -> bool:
    """Return whether this is a TsdFrame: columns of values over time."""
    return all(hasattr(value, name) for name in ("time_support", "columns", "times"))


def support_of(value: Any) -> NDArray[np.float64]:
    """Return the epochs of an object's time support in seconds, shape (epoch, 2)."""
    support = value.time_support
    return np.stack([np.asarray(support.start), np.asarray(support.end)], axis=1)


def trains_of_group(group: Any) -> SpikeTrains:
    """Turn a TsGroup into `SpikeTrains`; see `as_spike_trains`."""
    keys = list(group.keys())
    if not keys:
        raise ValueError("spike_times: got an empty TsGroup; give at least one neuron.")
    epochs = support_of(group)
    positions, annotations = _metadata(group)
    return SpikeTrains(
        tuple(group[key].times() for key in keys),
        tuple(str(key) for key in keys),
        start=epochs[0, 0],
        stop=epochs[-1, 1],
        positions=positions,
        epochs=epochs if len(epochs) > 1 else None,
        annotations=annotations,
    )


def _metadata(value: Any) -> tuple[NDArray[np.float64] | None, dict[str, NDArray[Any]]]:
    """Return positions and annotations, without the mean rate, which follows from the spikes."""
    names = [name for name in getattr(value, "metadata_columns", ()) if name != "rate"]
    return split_metadata({name: value.get_info(name) for name in names})


def counts_from_package(counts: Any, bin_width: float | None) -> Any:
    """Return counts of a pynapple TsdFrame as a DataArray, anything else as it is.

    Parameters
    ----------
    counts : Any
        A TsdFrame as from ``tsgroup.count(0.005)``, whose times are the middles of bins.
    bin_width : float or None
        In seconds, used if the times agree with it up to rounding. None to take it from the times.

    Returns
    -------
    DataArray, dims (time, neuron)
        As from `bin_spikes`: `time` is the start of every bin, columns become the labels of
        neurons, and columns of the metadata their positions and annotations. If the time support
        has several epochs, they become the coordinate `segment`.

    Raises
    ------
    TypeError
        If these are spike times instead of counts: a TsGroup, neo objects or `SpikeTrains`.
    ValueError
        If bins within an epoch are not equally spaced, or too few to determine their width.
    """
    first = counts[0] if isinstance(counts, list | tuple) and counts else counts
    of_neo = type(first).__module__.startswith("neo.")
    if is_ts_group(counts) or of_neo or isinstance(counts, SpikeTrains):
        raise TypeError(
            f"counts: got spike times ({type(counts).__name__}); count them first with "
            "pg.bin_spikes(spike_times, bin_width)."
        )
    if not is_tsd_frame(counts):
        return counts
    middles = np.asarray(counts.times(), dtype=np.float64)
    epochs = support_of(counts)
    segment = np.searchsorted(epochs[:, 0], middles, side="right") - 1
    segment = np.unique(segment, return_inverse=True)[1]
    width = _bin_width(middles, segment, bin_width)
    positions, annotations = _metadata(counts)
    coords: dict[str, Any] = {
        "time": xr.Variable("time", middles - width / 2, {"units": "s"}),
        "neuron": [str(label) for label in counts.columns],
    }
    if len(epochs) > 1:
        coords["segment"] = ("time", segment)
    if positions is not None:
        for axis, values in zip("xyz", positions.T, strict=False):
            coords[f"position_{axis}"] = xr.Variable("neuron", values, {"units": "um"})
    coords |= {name: ("neuron", values) for name, values in annotations.items()}
    return xr.DataArray(
        np.asarray(counts.values),
        dims=("time", "neuron"),
        coords=coords,
        name="counts",
        attrs={"bin_width": width, "name": ""},
    )


def variable_from_package(variable: Any) -> Any:
    """Return values over time from pynapple or pandas as a DataArray, anything else as it is.

    Parameters
    ----------
    variable : Any
        A pynapple Tsd or TsdFrame, or a pandas DataFrame.

    Returns
    -------
    DataArray, dims (time,) or (time, covariate)
        Columns become labels. From pynapple also the times and, if the time support has several
        epochs, the coordinate `segment`; the index of a DataFrame is ignored.
    """
    if hasattr(variable, "time_support") and hasattr(variable, "d"):
        values, times = np.asarray(variable.d), np.asarray(variable.times(), dtype=np.float64)
        if values.ndim > 2:
            return values
        coords: dict[str, Any] = {"time": times}
        epochs = support_of(variable)
        if len(epochs) > 1:
            segment = np.searchsorted(epochs[:, 0], times, side="right") - 1
            coords["segment"] = ("time", segment)
    elif hasattr(variable, "columns") and hasattr(variable, "to_numpy"):
        values, coords = variable.to_numpy(), {}
    else:
        return variable
    if values.ndim == 2:
        coords["covariate"] = [str(label) for label in variable.columns]
    return xr.DataArray(values, dims=("time", "covariate")[: values.ndim], coords=coords)


def _bin_width(
    middles: NDArray[np.float64], segment: NDArray[np.intp], given: float | None
) -> float:
    """Return the width of bins, from the longest segment; it must be the same in all."""
    if not middles.size:
        raise ValueError("counts: got an empty TsdFrame; give at least one bin.")
    steps, inside = np.diff(middles), np.diff(segment) == 0
    if not inside.any():
        if given is None:
            raise ValueError(
                f"counts: the TsdFrame has one bin in each epoch ({len(middles)} in all), so their "
                "width is not known; give a basis that has a bin width."
            )
        return given
    usual = float(np.median(steps[inside]))
    wrong = inside & (np.abs(steps - usual) > 2 * TIME_PRECISION + 1e-6 * usual)
    if wrong.any():
        i = int(wrong.argmax()) + 1
        raise ValueError(
            f"counts: the bins of the TsdFrame are not equally spaced: bin {i} at "
            f"{middles[i]:.9g} s comes {steps[i - 1]:.6g} s after the one before, most come "
            f"{usual:.6g} s after; give counts whose only gaps are between epochs of the time "
            "support, such as tsgroup.count(bin_width)."
        )
    longest = middles[segment == np.bincount(segment).argmax()]
    n_steps = len(longest) - 1
    width = (longest[-1] - longest[0]) / n_steps
    if given is not None and abs(width - given) <= TIME_PRECISION:  # pynapple rounds widths too
        return given
    # Keep only decimals above the rounding of times: 0.005, not 0.00500000000001.
    return float(round(width, 9 + int(np.log10(n_steps))))
