"""Multielectrode array recordings in HDF5, after Eglen et al. (2014), GigaScience 3:3."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from pymc_glm.readers.reader import HDF5_SIGNATURE, Reader, as_label, starts_with, usable_positions
from pymc_glm.spikes import SpikeTrains, recording_bounds

_ROUNDING = 1e-6  # of durations in files


def _sniff(path: Path) -> bool:
    if not starts_with(path, HDF5_SIGNATURE):
        return False
    try:
        import h5py

        with h5py.File(path) as file:
            return "spikes" in file and "sCount" in file
    except (ImportError, OSError):
        return False


def read(
    path: Path, *, start: float | None = None, stop: float | None = None, name: str | None = None
) -> SpikeTrains:
    """Read the datasets spikes and sCount, and if present epos, names and summary/duration.

    The file holds the duration of a recording but not its start. This is taken as 0 if all spikes
    are then within the duration, or else as the first spike. Spikes at negative times need `start`.

    Parameters
    ----------
    path : Path
    start, stop : float, optional
        Bounds of the recording in seconds.
    name : str, optional
        By default the name of the file.

    Returns
    -------
    SpikeTrains
        With positions in micrometres.

    Warns
    -----
    UserWarning
        If the spikes span more than the duration; the recording then stops at the last spike.
    """
    spikes, n_spikes, labels, positions, duration = _load(path)
    if n_spikes.sum() != spikes.size:
        raise ValueError(
            f"sCount sums to {n_spikes.sum()} spikes but spikes has {spikes.size}; the file is "
            "incomplete or damaged."
        )
    times = np.split(spikes, np.cumsum(n_spikes)[:-1])
    if duration is not None and spikes.size and np.isfinite(spikes).all():
        start, stop = _bounds(float(spikes.min()), float(spikes.max()), duration, start, stop)
    first, last = recording_bounds(times, start, stop)
    return SpikeTrains(
        tuple(times),
        tuple(labels),
        start=first,
        stop=last,
        positions=None if positions is None else usable_positions(positions, labels),
        name=path.stem if name is None else name,
    )


def _bounds(
    first: float, last: float, duration: float, start: float | None, stop: float | None
) -> tuple[float | None, float | None]:
    """Return bounds from the first and last spike and the duration; None if not known."""
    if start is None:
        if first < 0:  # refused by SpikeTrains, as in every format
            return start, stop
        start = 0.0 if last <= duration else first
    if stop is not None:
        return start, stop
    if last - start > duration * (1 + _ROUNDING):
        warnings.warn(
            f"summary/duration is {duration:g} s, but the last spike, at {last:g} s, comes "
            f"{last - start:g} s after the start, {start:g} s; the recording is assumed to stop at "
            "this spike; give stop= if it continues.",
            UserWarning,
            stacklevel=4,
        )
    return start, max(start + duration, last)


def _load(path: Path) -> tuple[np.ndarray, np.ndarray, list[str], Any, float | None]:
    import h5py

    try:
        file = h5py.File(path)
    except OSError as error:
        raise ValueError(f"it cannot be opened as HDF5 ({error}).") from error
    with file:
        missing = [key for key in ("spikes", "sCount") if key not in file]
        if missing:
            raise ValueError(f"the datasets {missing} are missing; it has {sorted(file)}.")
        spikes = np.asarray(file["spikes"][()], dtype=np.float64).ravel()
        n_spikes = np.asarray(file["sCount"][()]).ravel()
        names = file["names"][()].ravel() if "names" in file else range(n_spikes.size)
        labels = [as_label(value) for value in names]
        positions = np.asarray(file["epos"][()], dtype=np.float64).T if "epos" in file else None
        duration = None
        if "summary/duration" in file:
            duration = float(np.ravel(file["summary/duration"][()])[0])
    if n_spikes.size == 0:
        raise ValueError("sCount is empty: there are no units.")
    if n_spikes.dtype.kind not in "iu" or (n_spikes < 0).any():
        raise ValueError("sCount must hold whole numbers of at least 0.")
    if len(labels) != n_spikes.size:
        raise ValueError(f"names has {len(labels)} labels but sCount has {n_spikes.size} units.")
    return spikes, n_spikes, labels, positions, duration


READER = Reader("mea_hdf5", (".h5", ".hdf5"), _sniff, read)
