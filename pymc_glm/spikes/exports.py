"""From counts and rates to objects of pynapple and neo."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

if TYPE_CHECKING:
    import neo
    import pynapple

__all__ = ["to_neo", "to_pynapple"]


class _Table(NamedTuple):
    """Values of neurons in bins."""

    values: NDArray[Any]  # (time, neuron)
    time: NDArray[np.float64]  # (time,), starts of bins, s
    labels: list[str]
    annotations: dict[str, NDArray[Any]]  # (neuron,)
    bin_width: float  # s
    name: str
    units: str
    breaks: NDArray[np.intp]  # first bins of all runs but the first


def to_pynapple(
    data: xr.Dataset | xr.DataArray, variable: str = "mean", *, bin_width: float | None = None
) -> "pynapple.TsdFrame":
    """Return rates or counts as a pynapple TsdFrame, with the labels of the TsGroup.

    Parameters
    ----------
    data : Dataset or DataArray, dims (time, post) or (time, neuron)
        For example from `pymc_glm.predicted_rates` or `pymc_glm.bin_spikes`.
    variable : str
        Variable of a Dataset; for predicted rates "mean", "lower" or "upper".
    bin_width : float, optional
        In seconds; needed for a single bin without attrs["bin_width"].

    Returns
    -------
    pynapple.TsdFrame, shape (time, neuron)
        Times are the middles of bins in seconds, as in ``tsgroup.count``. The time support covers
        the bins, with one epoch per unbroken run (pynapple joins epochs that touch). Columns are
        the labels, turned into integers, like the keys of a TsGroup, if all of them are written as
        integers. Positions and annotations of the neurons are metadata.

    Raises
    ------
    ImportError
        If pynapple is not installed.
    TypeError, ValueError
        If the data are of another kind, or lack the variable or dims.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> counts = pg.bin_spikes({3: [0.1, 0.7], 8: [1.2]}, 0.5, epochs=[[0, 0.5], [1, 2]])
    >>> frame = pg.to_pynapple(counts)
    >>> frame.columns.tolist(), frame.times().tolist()
    ([3, 8], [0.25, 1.25, 1.75])
    """
    table = _table(data, variable, bin_width)
    try:
        import pynapple
    except ImportError as error:
        raise ImportError(
            'to_pynapple: it needs pynapple; run pip install "pymc_glm[pynapple]".'
        ) from error
    first = np.concatenate([[0], table.breaks])
    last = np.concatenate([table.breaks, [len(table.time)]]) - 1
    starts, stops = table.time[first], table.time[last] + table.bin_width
    joined = starts[1:] - stops[:-1] <= 1e-6  # s; pynapple would cut these off with a warning
    starts = starts[np.concatenate([[True], ~joined])]
    stops = stops[np.concatenate([~joined, [True]])]
    return pynapple.TsdFrame(
        t=table.time + table.bin_width / 2,
        d=table.values,
        columns=_keys(table.labels),
        time_support=pynapple.IntervalSet(starts, stops),
        metadata=table.annotations or None,
    )


def to_neo(
    data: xr.Dataset | xr.DataArray, variable: str = "mean", *, bin_width: float | None = None
) -> "neo.Block":
    """Return rates or counts as a neo Block.

    Parameters
    ----------
    data, variable, bin_width
        As in `to_pynapple`.

    Returns
    -------
    neo.Block
        A Segment for every segment or unbroken run of bins, each with one AnalogSignal (time,
        neuron) that starts at the first bin. The labels are its array annotation ``neuron``;
        positions and annotations of the neurons are further ones. Rates are in Hz, counts have no
        unit.

    Raises
    ------
    ImportError
        If neo is not installed.
    TypeError, ValueError
        As in `to_pynapple`.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> counts = pg.bin_spikes({"a": [0.1, 0.7]}, 0.5, epochs=[[0, 0.5], [1, 2]])
    >>> block = pg.to_neo(counts)
    >>> [float(segment.analogsignals[0].t_start) for segment in block.segments]
    [0.0, 1.0]
    """
    table = _table(data, variable, bin_width)
    try:
        import neo
        import quantities
    except ImportError as error:
        raise ImportError('to_neo: it needs neo; run pip install "pymc_glm[neo]".') from error
    block = neo.Block(name=table.name)
    runs = np.split(np.arange(len(table.time)), table.breaks)
    for index, run in enumerate(runs):
        signal = neo.AnalogSignal(
            table.values[run],
            units=table.units or "dimensionless",
            sampling_period=table.bin_width * quantities.s,
            t_start=table.time[run[0]] * quantities.s,
            name=table.name,
            array_annotations={"neuron": np.array(table.labels)} | table.annotations,
        )
        segment = neo.Segment(index=index)
        segment.analogsignals.append(signal)
        block.segments.append(segment)
    return block


def _table(data: Any, variable: str, bin_width: float | None) -> _Table:
    width = bin_width
    if isinstance(data, xr.Dataset):
        if variable not in data:
            raise ValueError(f"variable: got {variable!r}, allowed are {list(data.data_vars)}.")
        width = data.attrs.get("bin_width") if width is None else width
        data = data[variable]
    if not isinstance(data, xr.DataArray):
        raise TypeError(
            f"data: got {type(data).__name__}, allowed are rates from pg.predicted_rates and "
            "counts from pg.bin_spikes."
        )
    neuron = next((dim for dim in ("neuron", "post") if dim in data.dims), None)
    if neuron is None or set(data.dims) != {"time", neuron} or not data.sizes["time"]:
        raise ValueError(
            f"data: got the dims {dict(data.sizes)}, allowed are ('time', 'post') and ('time', "
            "'neuron') with at least one bin."
        )
    data = data.transpose("time", neuron)
    time = np.asarray(data["time"].values, dtype=np.float64)
    width = data.attrs.get("bin_width") if width is None else width
    if width is None and len(time) > 1:
        width = float(np.diff(time).min())
    if width is None:
        raise ValueError("bin_width: the width of a single bin is not known; give it in seconds.")
    broken = np.abs(np.diff(time) - width) > 1e-3 * width
    if "segment" in data.coords:
        broken |= np.diff(data["segment"].values) != 0
    of_neurons = {
        str(k): v.values for k, v in data.coords.items() if v.dims == (neuron,) and k != neuron
    }
    return _Table(
        data.values,
        time,
        [str(label) for label in data[neuron].values],
        of_neurons,
        float(width),
        str(data.name or ""),
        data.attrs.get("units", ""),
        np.flatnonzero(broken) + 1,
    )


def _keys(labels: list[str]) -> list[int] | list[str]:
    """Return labels as integers if all are written as integers."""
    whole = all(label.lstrip("-").isdecimal() and str(int(label)) == label for label in labels)
    return [int(label) for label in labels] if whole else labels
