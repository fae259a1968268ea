"""Intervals of time that are binned separately: epochs of a recording, trials."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Pieces(NamedTuple):
    """Intersection of two lists of intervals, in the order of time."""

    bounds: NDArray[np.float64]  # (piece, 2), start and stop in seconds
    first: NDArray[np.intp]  # (piece,), which interval of the first list
    second: NDArray[np.intp]  # (piece,), which interval of the second list


def intervals_from_package(value: Any) -> Any:
    """Return starts and stops in seconds, (interval, 2), of a pynapple IntervalSet or a neo Epoch.

    They are recognised by their attributes, so neither package need be installed; anything else is
    returned as it is.
    """
    if hasattr(value, "durations") and hasattr(value, "times"):
        starts = np.asarray(value.times.rescale("s").magnitude, dtype=np.float64)
        durations = np.asarray(value.durations.rescale("s").magnitude, dtype=np.float64)
        return np.stack([starts, starts + durations], axis=1)
    if hasattr(value, "start") and hasattr(value, "end"):
        return np.stack([value.start, value.end], axis=1)
    return value


def as_intervals(value: Any, name: str) -> NDArray[np.float64]:
    """Return sorted starts and stops in seconds, shape (interval, 2), as a read-only copy.

    See `intervals_from_package` for what is accepted besides an array.
    """
    array = np.array(intervals_from_package(value))
    if array.ndim != 2 or array.shape[1] != 2 or array.dtype.kind not in "iuf":
        raise ValueError(
            f"{name}: got the shape {array.shape} of {array.dtype}, allowed are numbers of shape "
            f"({name}, 2), start and stop in seconds, a pynapple IntervalSet and a neo Epoch."
        )
    if not len(array):
        raise ValueError(f"{name}: it is empty; give at least one start and stop in seconds.")
    array = array.astype(np.float64)
    _check_order(array, name)
    array.setflags(write=False)
    return array


def _check_order(array: NDArray[np.float64], name: str) -> None:
    """Check that every interval has a length and starts no earlier than the last one stops."""
    if (bad := np.flatnonzero(~np.isfinite(array).all(axis=1))).size:
        raise ValueError(
            f"{interval_text(name, bad[0], array[bad[0]])}, is not finite; leave out {name} "
            "with a missing start or stop."
        )
    if (bad := np.flatnonzero(array[:, 1] <= array[:, 0])).size:
        raise ValueError(
            f"{interval_text(name, bad[0], array[bad[0]])}, has no length; leave it out, or give "
            "its start before its stop, in seconds."
        )
    overlap = array[:-1, 1] - array[1:, 0]
    if (bad := np.flatnonzero(overlap > _rounding(array))).size:
        i = bad[0] + 1
        raise ValueError(
            f"{interval_text(name, i, array[i])}, begins before the end of "
            f"{interval_text(name, i - 1, array[i - 1])}; sort {name}, and bin overlapping ones "
            "one by one."
        )
    # The overlaps left are rounding errors of decimal numbers.
    array[:-1, 1] = np.minimum(array[:-1, 1], array[1:, 0])


def interval_text(name: str, index: int, interval: NDArray[np.float64]) -> str:
    """Return the name of an interval for a message, such as ``trial 3, 1.5 to 2 s``."""
    low, high = interval
    return f"{name.removesuffix('s')} {index}, {low:.9g} to {high:.9g} s"


def intersect(first: NDArray[np.float64], second: NDArray[np.float64]) -> Pieces:
    """Return the intersection of two sorted lists of intervals, shapes (interval, 2)."""
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
    """Return which times are in one of the sorted intervals, ends included."""
    index = np.searchsorted(bounds[:, 0], times, side="right") - 1
    return (index >= 0) & (times <= bounds[index, 1])


def pieces_to_bin(
    asked: NDArray[np.float64] | None,
    name: str,
    recorded: NDArray[np.float64],
    window: tuple[float, float],
) -> Pieces:
    """Return the intervals to bin separately: the recorded parts of those asked for.

    Parameters
    ----------
    asked : array, shape (interval, 2), or None
        None for all epochs of the recording.
    name : str
        What the intervals are called in messages, "epochs" or "trials".
    recorded : array, shape (epoch, 2)
    window : tuple of float
        Start and stop; time outside is left out.

    Returns
    -------
    Pieces
        `first` is the index of the interval asked for, `second` that of the recorded epoch.

    Raises
    ------
    ValueError
        If an interval reaches beyond the recording or is in one of its gaps, or none is in the
        window.
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
                f"recording, {low:.9g} to {high:.9g} s; give {name} in seconds on its clock."
            )
        pieces = intersect(asked, recorded)
        found = np.isin(np.arange(len(asked)), pieces.first)
        if not found.all():
            index = int(found.argmin())
            raise ValueError(
                f"{interval_text(name, index, asked[index])}, is in a gap of the recording, "
                "outside all its epochs; leave it out."
            )
        seen = intersect(pieces.bounds, np.array([window]))
        pieces = Pieces(seen.bounds, pieces.first[seen.first], pieces.second[seen.first])
    if not len(pieces.bounds):
        raise ValueError(
            f"{name}: none is in the window from start = {window[0]:g} to stop = {window[1]:g} s."
        )
    return pieces


def _rounding(bounds: NDArray[np.float64]) -> float:
    return float(4 * np.spacing(np.abs(bounds).max()))
