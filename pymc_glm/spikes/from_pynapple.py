"""Spike times and counts of pynapple.

Its objects are known by their attributes, so that it need not be installed.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pymc_glm.spikes.metadata import split_metadata
from pymc_glm.spikes.trains import SpikeTrains

TIME_PRECISION = 1e-9  # s, to which pynapple rounds times and widths


def is_ts_group(value: Any) -> bool:
    """Whether this is a TsGroup: spike times of several neurons over one time support."""
    return isinstance(value, Mapping) and hasattr(value, "time_support")


def is_tsd_frame(value: Any) -> bool:
    """Whether this is a TsdFrame: columns of values over time."""
    return all(hasattr(value, name) for name in ("time_support", "columns", "times"))


def support_of(value: Any) -> NDArray[np.float64]:
    """Epochs of an object's time support in seconds, shape (epoch, 2)."""
    support = value.time_support
    return np.stack([np.asarray(support.start), np.asarray(support.end)], axis=1)


def trains_of_group(group: Any) -> SpikeTrains:
    """`SpikeTrains` of a TsGroup; see `as_spike_trains`."""
    keys = list(group.keys())
    if not keys:
        raise ValueError("spike_times is an empty TsGroup; give at least one neuron")
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
    """Positions and annotations; the mean rate is none, it follows from the spikes."""
    names = [name for name in getattr(value, "metadata_columns", ()) if name != "rate"]
    return split_metadata({name: value.get_info(name) for name in names})


def counts_from_package(counts: Any, bin_width: float | None) -> Any:
    """Return counts of a pynapple TsdFrame as a DataArray, anything else as it is.

    Parameters
    ----------
    counts : Any
        A TsdFrame such as ``tsgroup.count(0.005)`` makes: its times are the middles of bins.
    bin_width : float or None
        In seconds, used where the times agree with it up to rounding. None: from the times.

    Returns
    -------
    DataArray, dims (time, neuron)
        As of `bin_spikes`: `time` is the start of every bin, columns are the labels of neurons,
        columns of the metadata their positions and annotations, and several epochs of the time
        support make the coordinate `segment`.

    Raises
    ------
    TypeError
        Spike times instead of counts, also of neo or a `SpikeTrains`.
    ValueError
        Bins within an epoch are not equally spaced, or too few to tell their width.
    """
    first = counts[0] if isinstance(counts, list | tuple) and counts else counts
    of_neo = type(first).__module__.startswith("neo.")
    if is_ts_group(counts) or of_neo or isinstance(counts, SpikeTrains):
        raise TypeError(
            f"counts: got spike times ({type(counts).__name__}); count them first with "
            "pg.bin_spikes(spike_times, bin_width)"
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
    """Return values over time of pynapple or pandas as a DataArray, anything else as it is.

    Parameters
    ----------
    variable : Any
        A pynapple Tsd or TsdFrame, or a pandas DataFrame.

    Returns
    -------
    DataArray, dims (time,) or (time, covariate)
        Columns are the labels. Of pynapple also the times and, where the time support has several
        epochs, the coordinate `segment`; the index of a DataFrame is not looked at.
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
    """Width of bins, equal within every segment; from the longest segment."""
    if not middles.size:
        raise ValueError("counts: got an empty TsdFrame; give at least one bin.")
    steps, inside = np.diff(middles), np.diff(segment) == 0
    if not inside.any():
        if given is None:
            raise ValueError(
                f"counts: the TsdFrame has {len(middles)} bins, one in each epoch, which do not "
                "tell their width; give a basis that has a bin width."
            )
        return given
    usual = float(np.median(steps[inside]))
    wrong = inside & (np.abs(steps - usual) > 2 * TIME_PRECISION + 1e-6 * usual)
    if wrong.any():
        i = int(wrong.argmax()) + 1
        raise ValueError(
            f"counts: the bins of the TsdFrame are not equally spaced: bin {i} at "
            f"{middles[i]:.9g} s comes {steps[i - 1]:.6g} s after the one before, most come "
            f"{usual:.6g} s after; give counts without gaps, or with gaps between epochs of the "
            "time support only, such as tsgroup.count(bin_width)."
        )
    longest = middles[segment == np.bincount(segment).argmax()]
    n_steps = len(longest) - 1
    width = (longest[-1] - longest[0]) / n_steps
    if given is not None and abs(width - given) <= TIME_PRECISION:  # it rounds widths too
        return given
    # As many decimals as the rounding of times leaves: 0.005 and not 0.00500000000001.
    return float(round(width, 9 + int(np.log10(n_steps))))
