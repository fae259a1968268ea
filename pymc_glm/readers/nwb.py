"""Neurodata Without Borders: the units table of an NWB file, read with pynwb."""

import logging
import warnings
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pymc_glm.arguments import as_number
from pymc_glm.readers.reader import HDF5_SIGNATURE, Reader, as_label, starts_with, usable_positions
from pymc_glm.spikes import SpikeTrains, recording_bounds
from pymc_glm.spikes.checks import check_times
from pymc_glm.spikes.epochs import as_intervals, intersect, within
from pymc_glm.spikes.metadata import split_metadata

_log = logging.getLogger("pymc_glm")
# Columns of the units table that are no annotations.
_OWN = {"spike_times", "obs_intervals", "electrodes", "waveforms", "waveform_mean", "waveform_sd"}


def _sniff(path: Path) -> bool:
    if not starts_with(path, HDF5_SIGNATURE):
        return False
    try:
        import h5py

        with h5py.File(path) as file:
            return "nwb_version" in file.attrs
    except (ImportError, OSError):
        return False


def read(
    path: Path,
    *,
    label: str | None = None,
    units: Iterable[Hashable] | None = None,
    intervals: str | None = None,
    start: float | None = None,
    stop: float | None = None,
    name: str | None = None,
) -> SpikeTrains:
    """Read the units table.

    A unit's position is the mean of its electrodes': of their columns x, y, z where these are
    finite and tell electrodes apart, else of rel_x, rel_y, rel_z, which count within one group of
    electrodes only; all in micrometres. Columns of the units table with one text, number or truth
    value for each unit, such as its quality, become annotations, and so does the group of a unit's
    electrodes, ``electrode_group``, where there are several.

    The recording is what obs_intervals say where all units have the same, in epochs if there are
    several; it spans them with a warning where units differ; without them it is from 0 to the last
    spike.

    Parameters
    ----------
    path : Path
    label : str, optional
        Column of the units table with the labels, by default the units' ids.
    units : iterable of labels, optional
        Units to read, in this order. All by default.
    intervals : str, optional
        A table of intervals, such as "trials" or "epochs": keep only the spikes in these, which
        are the epochs of the recording and, of every table but "epochs", its trials, numbered by
        row. By default all spikes are kept.
    start, stop : float, optional
        Bounds of the recording in seconds.
    name : str, optional
        By default the file's name.

    Returns
    -------
    SpikeTrains
        Times are in seconds from the reference time of the file.
    """
    try:
        from pynwb import NWBHDF5IO
    except ImportError as error:
        raise ImportError('reading NWB files needs pynwb: pip install "pymc_glm[nwb]"') from error
    if not _sniff(path):
        raise ValueError("it is not an NWB file: not HDF5, or without the attribute nwb_version")
    with NWBHDF5IO(str(path), mode="r") as io:
        file = io.read()
        table = file.units
        if table is None or len(table) == 0:
            raise ValueError("there are no units: the units table is missing or empty")
        if "spike_times" not in table.colnames:
            raise ValueError(
                f"the units table has no column 'spike_times'; it has {list(table.colnames)}"
            )
        labels, rows = _select_units(table, label, units)
        times = [check_times(table["spike_times"][r], n) for n, r in zip(labels, rows, strict=True)]
        positions, annotations = _described(table, rows, labels, label)
        observed = _observed(table, rows, labels)
        asked = None if intervals is None else _table_of_intervals(file, intervals)
        _warn_of_invalid_times(file)
    recorded = _recorded(observed, asked, intervals, start, stop)
    if recorded.epochs is not None:
        times = _in_epochs(times, recorded.epochs, intervals)
    first, last = recording_bounds(times, recorded.start, recorded.stop)
    return SpikeTrains(
        tuple(times),
        tuple(labels),
        start=first,
        stop=last,
        positions=positions,
        name=path.stem if name is None else name,
        epochs=recorded.epochs,
        trials=recorded.trials,
        annotations=annotations,
    )


def _select_units(
    table: Any, label: str | None, units: Iterable[Hashable] | None
) -> tuple[list[str], list[int]]:
    """Labels and rows of the wanted units."""
    if label is not None and label not in table.colnames:
        raise ValueError(
            f"the units table has no column {label!r} to take labels from; it has "
            f"{list(table.colnames)}"
        )
    column = table.id[:] if label is None else table[label][:]
    labels = [as_label(value) for value in column]
    if units is None:
        return labels, list(range(len(labels)))
    chosen = [str(unit) for unit in ((units,) if isinstance(units, str | int) else units)]
    unknown = [unit for unit in chosen if unit not in labels]
    if unknown:
        raise ValueError(f"there are no units {unknown}; the units are {labels}")
    if not chosen:
        raise ValueError("units is empty; name at least one unit, or give None for all")
    return chosen, [labels.index(unit) for unit in chosen]


def _described(
    table: Any, rows: list[int], labels: list[str], label: str | None
) -> tuple[np.ndarray | None, dict[str, np.ndarray]]:
    """Positions (unit, space), from the electrodes if they have any, and annotations of units."""
    columns = {}
    for name in table.colnames:
        column = table[name]
        ragged, wide = hasattr(column, "target"), getattr(column.data, "ndim", 1) > 1
        if name in _OWN or name == label or ragged or wide:
            continue
        whole = column[:]
        values = [whole[row] for row in rows]
        if name == "electrode_group":
            values = [group.name for group in values]
        columns[name] = [as_label(v) if isinstance(v, bytes) else v for v in values]
    positions, annotations = split_metadata(columns)
    if "electrodes" not in table.colnames:
        return positions, annotations
    groups, places = _by_electrodes(table, rows)
    if groups is not None and len(set(groups)) > 1:
        annotations.setdefault("electrode_group", np.array(groups))
    if places is not None:
        positions = usable_positions(places, labels)
    return positions, annotations


def _by_electrodes(table: Any, rows: list[int]) -> tuple[list[str] | None, np.ndarray | None]:
    """Group of every unit's electrodes and their mean position (unit, space), None if not known."""
    index = table["electrodes"]
    electrodes = index.target.table
    ends = np.asarray(index.data[:], dtype=int)
    owned = np.asarray(index.target.data[:], dtype=int)
    parts = [owned[(ends[row - 1] if row else 0) : ends[row]] for row in rows]
    used = np.unique(np.concatenate(parts))
    if not used.size:
        return None, None
    groups = None
    several = False
    if "group_name" in electrodes.colnames:
        of_each = np.array([as_label(value) for value in electrodes["group_name"][:]])
        several = np.unique(of_each[used]).size > 1
        groups = [" + ".join(np.unique(of_each[part]).tolist()) for part in parts]
    for names in (("x", "y", "z"), ("rel_x", "rel_y", "rel_z")):
        columns = [electrodes[key][:] for key in names if key in electrodes.colnames]
        columns = [np.asarray(values, dtype=np.float64) for values in columns]
        columns = [values for values in columns if np.isfinite(values[used]).any()]
        places = np.array(columns).T if columns else np.empty((0, 0))
        if columns and (used.size == 1 or (np.ptp(places[used], axis=0) > 0).any()):
            if names[0].startswith("rel") and several:
                warnings.warn(
                    "positions are left out: rel_x, rel_y, rel_z are positions within a group of "
                    f"electrodes, and units are on several, {np.unique(of_each[used]).tolist()}; "
                    "read those of one group with units=",
                    UserWarning,
                    stacklevel=6,
                )
                return groups, None
            nowhere = np.full(len(columns), np.nan)
            where = [places[part].mean(axis=0) if part.size else nowhere for part in parts]
            return groups, np.array(where)
    return groups, None


def _observed(table: Any, rows: list[int], labels: list[str]) -> np.ndarray | None:
    """Intervals (n, 2) in which all units were observed; from first to last where they differ."""
    if "obs_intervals" not in table.colnames:
        return None
    each = [np.asarray(table["obs_intervals"][row], dtype=float).reshape(-1, 2) for row in rows]
    if not all(len(part) for part in each):
        return None
    each = [_joined(part) for part in each]
    if all(np.array_equal(part, each[0]) for part in each):
        return each[0]
    low, high = min(part[0, 0] for part in each), max(part[-1, 1] for part in each)
    partly = [
        unit
        for unit, part in zip(labels, each, strict=True)
        if len(part) > 1 or part[0, 0] > low or part[0, 1] < high
    ]
    warnings.warn(
        f"units {partly} were not observed all the time from {low:g} to {high:g} s "
        "(obs_intervals), but count as silent where they were not; cut out a time without gaps "
        "with select(start=, stop=)",
        UserWarning,
        stacklevel=4,
    )
    return np.array([[low, high]])


def _joined(intervals: np.ndarray) -> np.ndarray:
    """Sorted intervals, those that touch or overlap as one."""
    ordered = intervals[np.argsort(intervals[:, 0], kind="stable")]
    reach = np.maximum.accumulate(ordered[:, 1])
    new = np.concatenate([[True], ordered[1:, 0] > reach[:-1]])
    last = np.concatenate([new[1:], [True]])
    return np.stack([ordered[new, 0], reach[last]], axis=1)


def _table_of_intervals(file: Any, name: str) -> np.ndarray:
    """Return starts and stops (interval, 2) of a table of intervals."""
    known = {
        key: value for key in ("trials", "epochs") if (value := getattr(file, key)) is not None
    }
    known |= {key: file.intervals[key] for key in file.intervals if key not in known}
    if name not in known:
        raise ValueError(f"there is no table of intervals {name!r}; the file has {sorted(known)}")
    table = known[name]
    bounds = np.stack([table["start_time"][:], table["stop_time"][:]], axis=1)
    return as_intervals(bounds, name)


def _warn_of_invalid_times(file: Any) -> None:
    table = file.invalid_times
    if table is None or not len(table):
        return
    seconds = float(np.sum(np.asarray(table["stop_time"][:]) - np.asarray(table["start_time"][:])))
    warnings.warn(
        f"invalid_times names {len(table)} intervals, {seconds:g} s in all, in which data are "
        "not valid; their spikes are read all the same: leave the times out, by the exclude= of "
        "build_glm or the epochs= of bin_spikes",
        UserWarning,
        stacklevel=4,
    )


class _Recorded(NamedTuple):
    """Bounds as far as they are known; epochs (epoch, 2) and their trials where there are some."""

    start: float | None
    stop: float | None
    epochs: np.ndarray | None = None
    trials: np.ndarray | None = None


def _recorded(
    observed: np.ndarray | None,
    asked: np.ndarray | None,
    name: str | None,
    start: float | None,
    stop: float | None,
) -> _Recorded:
    """Return what was recorded and asked for, within the bounds where these are given."""
    epochs = observed if asked is None else asked
    if epochs is None:
        return _Recorded(start, stop)
    low = epochs[0, 0] if start is None else as_number(start, "start")
    high = epochs[-1, 1] if stop is None else as_number(stop, "stop")
    if asked is None and len(epochs) == 1:
        return _Recorded(low, high)
    pieces = intersect(epochs, np.array([[low, high]]))
    bounds, row = pieces.bounds, pieces.first
    if asked is not None and observed is not None:
        pieces = intersect(bounds, observed)
        bounds, row = pieces.bounds, row[pieces.first]
    if not len(bounds):
        raise ValueError(
            f"nothing was recorded in the {name or 'obs_intervals'} from {low:g} to {high:g} s"
        )
    low = bounds[0, 0] if start is None else low
    high = bounds[-1, 1] if stop is None else high
    return _Recorded(low, high, bounds, None if name in (None, "epochs") else row)


def _in_epochs(
    times: list[np.ndarray], epochs: np.ndarray, intervals: str | None
) -> list[np.ndarray]:
    """Spikes in epochs; those outside were not asked for, or contradict obs_intervals."""
    kept = [t[within(t, epochs)] for t in times]
    n_outside = sum(t.size for t in times) - sum(t.size for t in kept)
    if n_outside and intervals is not None:
        _log.info("read_spikes: left out %d spikes outside the %s", n_outside, intervals)
    elif n_outside:
        warnings.warn(
            f"{n_outside} spikes lie outside obs_intervals and are left out",
            UserWarning,
            stacklevel=4,
        )
    return kept


READER = Reader("nwb", (".nwb",), _sniff, read)
