"""Neurodata Without Borders: the units table of an NWB file, read with pynwb."""

import logging
import warnings
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pymc_glm.arguments import as_number, label_index
from pymc_glm.readers.reader import HDF5_SIGNATURE, Reader, as_label, starts_with, usable_positions
from pymc_glm.spikes import SpikeTrains, recording_bounds
from pymc_glm.spikes.checks import check_times
from pymc_glm.spikes.epochs import as_intervals, intersect, within
from pymc_glm.spikes.metadata import split_metadata

_log = logging.getLogger("pymc_glm")
# Columns of the units table that are not annotations.
_NO_ANNOTATIONS = {
    "spike_times",
    "obs_intervals",
    "electrodes",
    "waveforms",
    "waveform_mean",
    "waveform_sd",
}


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

    The position of a unit, in micrometres, is the mean over its electrodes: of their columns x, y,
    z if these are finite and differ between electrodes, or else of rel_x, rel_y, rel_z, which are
    relative to one group of electrodes. Columns of the units table with one text, number or truth
    value per unit, such as its quality, become annotations, and so does ``electrode_group``, the
    group of a unit's electrodes, if there are several.

    The recording covers obs_intervals if they are the same for all units, as epochs if there are
    several. If they differ, the recording spans all of them, with a warning. Without them it goes
    from 0 to the last spike.

    Parameters
    ----------
    path : Path
    label : str, optional
        Column of the units table with the labels, by default the ids.
    units : iterable of labels, optional
        Units to read, in this order. All by default.
    intervals : str, optional
        A table of intervals, such as "trials" or "epochs". Only spikes in these are kept, and they
        become the epochs of the recording and, for every table but "epochs", its trials, numbered
        by row. By default all spikes are kept.
    start, stop : float, optional
        Bounds of the recording in seconds.
    name : str, optional
        By default the name of the file.

    Returns
    -------
    SpikeTrains
        Times are in seconds after the reference time of the file.
    """
    try:
        from pynwb import NWBHDF5IO
    except ImportError as error:
        raise ImportError(
            'format: NWB files need the package pynwb; run pip install "pymc_glm[nwb]".'
        ) from error
    if not _sniff(path):
        raise ValueError("it is not an NWB file: not HDF5, or without the attribute nwb_version.")
    with NWBHDF5IO(str(path), mode="r") as io:
        file = io.read()
        table = file.units
        if table is None or len(table) == 0:
            raise ValueError("there are no units: the units table is missing or empty.")
        if "spike_times" not in table.colnames:
            raise ValueError(
                f"the units table has no column 'spike_times'; it has {list(table.colnames)}."
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
    """Return the labels and rows of the chosen units."""
    if label is not None and label not in table.colnames:
        raise ValueError(
            f"label: the units table has no column {label!r}, allowed are {list(table.colnames)}."
        )
    column = table.id[:] if label is None else table[label][:]
    labels = [as_label(value) for value in column]
    if units is None:
        return labels, list(range(len(labels)))
    chosen = (units,) if isinstance(units, str | int) else units
    rows = label_index(tuple(labels), chosen, "units", "units").tolist()
    return [labels[row] for row in rows], rows


def _described(
    table: Any, rows: list[int], labels: list[str], label: str | None
) -> tuple[np.ndarray | None, dict[str, np.ndarray]]:
    """Return positions (unit, space), from the electrodes if possible, and annotations."""
    columns = {}
    for name in table.colnames:
        column = table[name]
        ragged, wide = hasattr(column, "target"), getattr(column.data, "ndim", 1) > 1
        if name in _NO_ANNOTATIONS or name == label or ragged or wide:
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
    """Return the group and mean position (unit, space) of electrodes of units; None if unknown."""
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
                    "positions are left out: rel_x, rel_y, rel_z are relative to a group of "
                    f"electrodes, and units are on several, {np.unique(of_each[used]).tolist()}; "
                    "read the units of one group with units=.",
                    UserWarning,
                    stacklevel=6,
                )
                return groups, None
            nowhere = np.full(len(columns), np.nan)
            where = [places[part].mean(axis=0) if part.size else nowhere for part in parts]
            return groups, np.array(where)
    return groups, None


def _observed(table: Any, rows: list[int], labels: list[str]) -> np.ndarray | None:
    """Return the intervals (n, 2) in which units were observed; one that spans all if differing."""
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
        "(obs_intervals), but count as silent when they were not; cut out a time without gaps with "
        "select(start=, stop=).",
        UserWarning,
        stacklevel=4,
    )
    return np.array([[low, high]])


def _joined(intervals: np.ndarray) -> np.ndarray:
    """Sort intervals, and join those that touch or overlap."""
    ordered = intervals[np.argsort(intervals[:, 0], kind="stable")]
    reach = np.maximum.accumulate(ordered[:, 1])
    new = np.concatenate([[True], ordered[1:, 0] > reach[:-1]])
    last = np.concatenate([new[1:], [True]])
    return np.stack([ordered[new, 0], reach[last]], axis=1)


def _table_of_intervals(file: Any, name: str) -> np.ndarray:
    """Return the starts and stops (interval, 2) in a table of intervals."""
    known = {
        key: value for key in ("trials", "epochs") if (value := getattr(file, key)) is not None
    }
    known |= {key: file.intervals[key] for key in file.intervals if key not in known}
    if name not in known:
        raise ValueError(f"intervals: there is no table {name!r}, allowed are {sorted(known)}.")
    table = known[name]
    bounds = np.stack([table["start_time"][:], table["stop_time"][:]], axis=1)
    return as_intervals(bounds, name)


def _warn_of_invalid_times(file: Any) -> None:
    table = file.invalid_times
    if table is None or not len(table):
        return
    seconds = float(np.sum(np.asarray(table["stop_time"][:]) - np.asarray(table["start_time"][:])))
    warnings.warn(
        f"{seconds:g} s of the recording are marked as not valid (invalid_times, number of "
        f"intervals: {len(table)}); spikes in them are read too; leave these times out with "
        "exclude= of build_glm or epochs= of bin_spikes.",
        UserWarning,
        stacklevel=4,
    )


class _Recorded(NamedTuple):
    """Bounds if known, and epochs (epoch, 2) and their trials if there are any."""

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
    """Return what was both recorded and asked for, within the bounds if these are given."""
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
            f"nothing was recorded in the {name or 'obs_intervals'} from {low:g} to {high:g} s."
        )
    low = bounds[0, 0] if start is None else low
    high = bounds[-1, 1] if stop is None else high
    return _Recorded(low, high, bounds, None if name in (None, "epochs") else row)


def _in_epochs(
    times: list[np.ndarray], epochs: np.ndarray, intervals: str | None
) -> list[np.ndarray]:
    """Keep the spikes in epochs; others were not asked for, or contradict obs_intervals."""
    kept = [t[within(t, epochs)] for t in times]
    n_outside = sum(t.size for t in times) - sum(t.size for t in kept)
    if n_outside and intervals is not None:
        _log.info("read_spikes: number of spikes left out, outside %s: %d", intervals, n_outside)
    elif n_outside:
        warnings.warn(
            f"spikes outside obs_intervals are left out (number of such spikes: {n_outside}).",
            UserWarning,
            stacklevel=4,
        )
    return kept


READER = Reader("nwb", (".nwb",), _sniff, read)
