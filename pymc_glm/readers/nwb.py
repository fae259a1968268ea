"""Neurodata Without Borders: the units table of an NWB file, read with pynwb."""

import warnings
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from pymc_glm.readers.reader import (
    HDF5_SIGNATURE,
    Reader,
    as_label,
    starts_with,
    usable_positions,
)
from pymc_glm.spikes import SpikeTrains, recording_bounds


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
    start: float | None = None,
    stop: float | None = None,
    name: str | None = None,
) -> SpikeTrains:
    """Read the units table.

    A unit's position is the mean of its electrodes': of their columns x, y, z where these are
    finite and tell electrodes apart, else of rel_x, rel_y, rel_z; both in micrometres. The bounds
    of the recording are those of the units' obs_intervals where present, else 0 and the last
    spike.

    Parameters
    ----------
    path : Path
    label : str, optional
        Column of the units table with the labels, by default the units' ids.
    units : iterable of labels, optional
        Units to read, in this order. All by default.
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
        table = io.read().units
        if table is None or len(table) == 0:
            raise ValueError("there are no units: the units table is missing or empty")
        if "spike_times" not in table.colnames:
            raise ValueError(
                f"the units table has no column 'spike_times'; it has {list(table.colnames)}"
            )
        labels, rows = _select_units(table, label, units)
        times = [np.asarray(table["spike_times"][row], dtype=np.float64) for row in rows]
        positions = _positions(table, rows)
        intervals = _observed(table, rows, labels)
    if intervals is not None:
        start = float(intervals[:, 0].min()) if start is None else start
        stop = float(intervals[:, 1].max()) if stop is None else stop
    first, last = recording_bounds(times, start, stop)
    return SpikeTrains(
        tuple(times),
        tuple(labels),
        start=first,
        stop=last,
        positions=None if positions is None else usable_positions(positions, labels),
        name=path.stem if name is None else name,
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


def _positions(table: Any, rows: list[int]) -> np.ndarray | None:
    """Mean position (unit, space) of every unit's electrodes, or None where there are none."""
    if "electrodes" not in table.colnames:
        return None
    index = table["electrodes"]
    region = index.target
    electrodes = region.table
    ends = np.asarray(index.data[:], dtype=int)
    owned = np.asarray(region.data[:], dtype=int)
    parts = [owned[(ends[row - 1] if row else 0) : ends[row]] for row in rows]
    used = np.unique(np.concatenate(parts))
    if not used.size:
        return None
    for names in (("x", "y", "z"), ("rel_x", "rel_y", "rel_z")):
        columns = [electrodes[key][:] for key in names if key in electrodes.colnames]
        columns = [np.asarray(values, dtype=np.float64) for values in columns]
        columns = [values for values in columns if np.isfinite(values[used]).any()]
        places = np.array(columns).T if columns else np.empty((0, 0))
        if columns and (used.size == 1 or (np.ptp(places[used], axis=0) > 0).any()):
            nowhere = np.full(len(columns), np.nan)
            return np.array([places[p].mean(axis=0) if p.size else nowhere for p in parts])
    return None


def _observed(table: Any, rows: list[int], labels: list[str]) -> np.ndarray | None:
    """All intervals (n, 2) in which units were observed, with a warning if there are gaps."""
    if "obs_intervals" not in table.colnames:
        return None
    each = [np.asarray(table["obs_intervals"][row], dtype=float).reshape(-1, 2) for row in rows]
    if not all(len(part) for part in each):
        return None
    intervals = np.concatenate(each)
    low, high = intervals[:, 0].min(), intervals[:, 1].max()
    partly = [
        unit
        for unit, part in zip(labels, each, strict=True)
        if len(part) > 1 or part[0, 0] > low or part[0, 1] < high
    ]
    if partly:
        warnings.warn(
            f"units {partly} were not observed all the time from {low:g} to {high:g} s "
            "(obs_intervals), but count as silent where they were not; cut out a time without gaps "
            "with select(start=, stop=)",
            UserWarning,
            stacklevel=4,
        )
    return intervals


READER = Reader("nwb", (".nwb",), _sniff, read)
