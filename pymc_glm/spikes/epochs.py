"""Stretches of time that are binned apart from each other: epochs of a recording, trials."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Pieces(NamedTuple):
    """What two lists of intervals have in common, in the order of time."""

    bounds: NDArray[np.float64]  # (piece, 2), start and stop in seconds
    first: NDArray[np.intp]  # (piece,), which interval of the first list
    second: NDArray[np.intp]  # (piece,), which interval of the second list


def intervals_from_package(value: Any) -> Any:
    """Return starts and stops in seconds, (interval, 2), of a pynapple IntervalSet or a neo Epoch.

    They are known by their attributes, so that neither need be installed; anything else is returned
    as it is.
    """
    if hasattr(value, "durations") and hasattr(value, "times"):
        starts = np.asarray(value.times.rescale("s").magnitude, dtype=np.float64)
        durations = np.asarray(value.durations.rescale("s").magnitude, dtype=np.float64)
        return np.stack([starts, starts + durations], axis=1)
    if hasattr(value, "start") and hasattr(value, "end"):
        return np.stack([value.start, value.end], axis=1)
    return value


def as_intervals(value: Any, name: str) -> NDArray[np.float64]:
    """Return starts and stops in seconds as a read-only copy, shape (interval, 2), sorted, apart.

    See `intervals_from_package` for what may be given besides an array.
    """
    array = np.array(intervals_from_package(value))
    if array.ndim != 2 or array.shape[1] != 2 or array.dtype.kind not in "iuf":
        raise ValueError(
            f"{name} must be an array of numbers of shape ({name}, 2), start and stop in seconds, "
            f"a pynapple IntervalSet or a neo Epoch; got shape {array.shape} of {array.dtype}"
        )
    if not len(array):
        raise ValueError(f"{name} is empty; give at least one start and stop in seconds")
    array = array.astype(np.float64)
    _check_order(array, name)
    array.setflags(write=False)
    return array


def _check_order(array: NDArray[np.float64], name: str) -> None:
    """Every interval has a length, and begins where the one before stops or later."""
    if (bad := np.flatnonzero(~np.isfinite(array).all(axis=1))).size:
        raise ValueError(
            f"{interval_text(name, bad[0], array[bad[0]])}, is not finite; leave out {name} "
            "without both times"
        )
    if (bad := np.flatnonzero(array[:, 1] <= array[:, 0])).size:
        raise ValueError(
            f"{interval_text(name, bad[0], array[bad[0]])}, has no length; leave it out, or give "
            "its start before its stop, in seconds"
        )
    overlap = array[:-1, 1] - array[1:, 0]
    if (bad := np.flatnonzero(overlap > _rounding(array))).size:
        i = bad[0] + 1
        raise ValueError(
            f"{interval_text(name, i, array[i])}, begins before the end of "
            f"{interval_text(name, i - 1, array[i - 1])}; sort {name}, and bin overlapping ones "
            "one by one"
        )
    # Overlaps by the rounding of decimal numbers only.
    array[:-1, 1] = np.minimum(array[:-1, 1], array[1:, 0])


def interval_text(name: str, index: int, interval: NDArray[np.float64]) -> str:
    """Name an interval in a message: ``trial 3, 1.5 to 2.0 s``."""
    low, high = interval
    return f"{name.removesuffix('s')} {index}, {low:.9g} to {high:.9g} s"


def intersect(first: NDArray[np.float64], second: NDArray[np.float64]) -> Pieces:
    """Return what two sorted lists of intervals, shapes (interval, 2), have in common."""
    rounding = max(_rounding(first), _rounding(second))
    rows: list[tuple[float, float, int, int]] = []
    i = j = 0
    while i < len(first) and j < len(second):
        low, high = max(first[i, 0], second[j, 0]), min(first[i, 1], second[j, 1])
        if high - low > rounding:
            rows.append((low, high, i, j))
        if first[i, 1] <= second[j, 1]:
            i += 1
        else:
            j += 1
    table = np.array(rows).reshape(-1, 4)
    return Pieces(table[:, :2], table[:, 2].astype(np.intp), table[:, 3].astype(np.intp))


def within(times: NDArray[np.float64], bounds: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which times lie in one of the sorted intervals, ends included."""
    index = np.searchsorted(bounds[:, 0], times, side="right") - 1
    return (index >= 0) & (times <= bounds[index, 1])


def pieces_to_bin(
    asked: NDArray[np.float64] | None,
    name: str,
    recorded: NDArray[np.float64],
    window: tuple[float, float],
) -> Pieces:
    """Intervals that are binned apart: those asked for, where there is a recording.

    Parameters
    ----------
    asked : array, shape (interval, 2), or None
        None: all epochs of the recording.
    name : str
        What they are called in messages, "epochs" or "trials".
    recorded : array, shape (epoch, 2)
    window : tuple of float
        Start and stop; what lies outside is left out.

    Returns
    -------
    Pieces
        `first` is the index of the interval asked for, `second` that of the epoch recorded.

    Raises
    ------
    ValueError
        An interval reaches beyond the recording or lies in its gaps, or nothing is in the window.
    """
    low, high = recorded[0, 0], recorded[-1, 1]
    if asked is None:
        pieces = intersect(recorded, np.array([window]))
        pieces = Pieces(pieces.bounds, pieces.first, pieces.first)
    else:
        rounding = max(_rounding(asked), _rounding(recorded))
        outside = (asked[:, 0] < low - rounding) | (asked[:, 1] > high + rounding)
        if outside.any():
            index = int(outside.argmax())
            raise ValueError(
                f"{interval_text(name, index, asked[index])}, reaches beyond the "
                f"recording, {low:.9g} to {high:.9g} s; {name} are in seconds on its clock"
            )
        pieces = intersect(asked, recorded)
        found = np.isin(np.arange(len(asked)), pieces.first)
        if not found.all():
            index = int(found.argmin())
            raise ValueError(
                f"{interval_text(name, index, asked[index])}, lies in a gap of the "
                "recording, outside all its epochs; leave it out"
            )
        seen = intersect(pieces.bounds, np.array([window]))
        pieces = Pieces(seen.bounds, pieces.first[seen.first], pieces.second[seen.first])
    if not len(pieces.bounds):
        raise ValueError(
            f"no {name} lie in the window from start = {window[0]:g} to stop = {window[1]:g} s"
        )
    return pieces


def _rounding(bounds: NDArray[np.float64]) -> float:
    return float(4 * np.spacing(np.abs(bounds).max()))
