"""Segments (trials, epochs, stretches between gaps), and the bins that are data."""

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

__all__ = ["data_bins", "segment_starts"]

HISTORIES = ("recorded", "exclude")


def segment_starts(counts: xr.DataArray, name: str = "counts") -> NDArray[np.int64]:
    """Return the first bin of every segment.

    A segment starts where a coordinate ``segment`` or ``trial`` along time changes, and after a gap
    in the coordinate ``time``: a step above 1.5 times the median step.

    Parameters
    ----------
    counts : DataArray with the dim time
        Counts, or another variable.
    name : str
        The variable's name, for messages.

    Raises
    ------
    ValueError
        Such a coordinate has other dims, or time runs backwards within a segment.
    """
    n_bins = counts.sizes["time"]
    begins = np.zeros(n_bins, dtype=bool)
    begins[0] = True
    for label in ("segment", "trial"):
        if label in counts.coords:
            if counts[label].dims != ("time",):
                raise ValueError(
                    f"{name}: the coordinate {label!r} has the dims {counts[label].dims}; give it "
                    "one value for each bin, dims ('time',)."
                )
            values = counts[label].values
            begins[1:] |= values[1:] != values[:-1]
    labelled = begins.sum() > 1
    steps = np.diff(counts["time"].values.astype(float))
    forwards = steps[steps > 0]
    if forwards.size:
        begins[1:] |= steps > 1.5 * np.median(forwards)
    backwards = np.flatnonzero((steps <= 0) & ~begins[1:])
    if backwards.size:
        where = backwards[0]
        raise ValueError(
            f"{name}: time goes from {counts['time'].values[where]:g} to "
            f"{counts['time'].values[where + 1]:g} s at bin {where + 1}"
            f"{' within a segment' if labelled else ''}; sort the bins by time, or mark "
            "the segments with a coordinate 'segment' along time."
        )
    return np.flatnonzero(begins)


def data_bins(
    counts: xr.DataArray,
    starts: NDArray[np.int64],
    n_lags: int,
    exclude: Any = None,
    unknown_history: str = "recorded",
) -> NDArray[np.int64] | None:
    """Return the bins that are data, None if all are.

    Parameters
    ----------
    counts : DataArray (time, neuron)
    starts : array of int, shape (segment,)
        First bins of the segments.
    n_lags : int
        Length of the window of history.
    exclude : array of bool (time,), or array of seconds (interval, 2), optional
        Bins to exclude; or intervals [start, stop), which exclude every bin that they overlap.
    unknown_history : {"recorded", "exclude"}
        Whether to keep or exclude bins whose history reaches into excluded bins or before their
        segment.

    Raises
    ------
    ValueError
        Wrong shape or type, intervals that end before they start or overlap no bin, or no bin is
        left.
    """
    if unknown_history not in HISTORIES:
        raise ValueError(
            f"unknown_history: got {unknown_history!r}, allowed are "
            f"{' and '.join(map(repr, HISTORIES))}."
        )
    n_bins = counts.sizes["time"]
    excluded = np.zeros(n_bins, bool) if exclude is None else _excluded(exclude, counts)
    dropped = excluded.copy()
    if unknown_history == "exclude":
        for first, end in zip(starts, [*starts[1:], n_bins], strict=True):
            dropped[first : min(first + n_lags, end)] = True
            for bad in first + np.flatnonzero(excluded[first:end]):
                dropped[bad : min(bad + 1 + n_lags, end)] = True
    if dropped.all():
        others = n_bins - int(excluded.sum())
        unknown = f", {others} of them because their history is unknown" if others else ""
        or_keep = f", or set unknown_history={HISTORIES[0]!r}" if others else ""
        raise ValueError(
            f"exclude: all {n_bins} bins are excluded{unknown}, which leaves no data; exclude "
            f"fewer bins{or_keep}."
        )
    return np.flatnonzero(~dropped) if dropped.any() else None


def _excluded(exclude: Any, counts: xr.DataArray) -> NDArray[np.bool_]:
    """Return which bins are excluded, (time,)."""
    n_bins = counts.sizes["time"]
    values = np.asarray(getattr(exclude, "values", exclude))
    if values.dtype == bool and values.shape == (n_bins,):
        return values
    if values.dtype == bool or values.dtype.kind not in "iuf" or values.shape[1:] != (2,):
        raise ValueError(
            f"exclude: got {values.dtype} values of shape {values.shape}; give one bool for each "
            f"bin, shape ({n_bins},), or intervals in seconds, shape (interval, 2), a pynapple "
            "IntervalSet or a neo Epoch."
        )
    begin = counts["time"].values.astype(float)
    width = float(counts.attrs["bin_width"])
    excluded = np.zeros(n_bins, bool)
    for i, (start, stop) in enumerate(values):
        if not start < stop:
            raise ValueError(
                f"exclude: interval {i} goes from {start:g} to {stop:g} s; its start must be "
                "before its end."
            )
        inside = (begin + width > start + 1e-6 * width) & (begin < stop - 1e-6 * width)
        if not inside.any():
            raise ValueError(
                f"exclude: interval {i}, {start:g} to {stop:g} s, overlaps no bin; the bins "
                f"cover {begin[0]:g} to {begin[-1] + width:g} s."
            )
        excluded |= inside
    return excluded
