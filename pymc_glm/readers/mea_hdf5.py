"""Multielectrode array recordings in HDF5, after Eglen et al. (2014), GigaScience 3:3."""

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
            return "spikes" in file and "sCount" in file
    except (ImportError, OSError):
        return False


def read(
    path: Path, *, start: float | None = None, stop: float | None = None, name: str | None = None
) -> SpikeTrains:
    """Read the datasets spikes, sCount, and where present epos, names and summary/duration.

    The layout holds the duration of a recording but not when it starts. It is taken to start at 0
    if that agrees with all spikes, and at the first spike if not.

    Parameters
    ----------
    path : Path
    start, stop : float, optional
        Bounds of the recording in seconds.
    name : str, optional
        By default the file's name.

    Returns
    -------
    SpikeTrains
        With positions in micrometres.
    """
    spikes, n_spikes, labels, positions, duration = _load(path)
    if n_spikes.sum() != spikes.size:
        raise ValueError(
            f"sCount sums to {n_spikes.sum()} spikes but spikes has {spikes.size}; the file is "
            "incomplete or damaged"
        )
    times = np.split(spikes, np.cumsum(n_spikes)[:-1])
    if duration is not None and spikes.size and np.isfinite(spikes).all():
        origin = 0.0 if spikes.min() >= 0 and spikes.max() <= duration else float(spikes.min())
        start = origin if start is None else start
        stop = max(start + duration, float(spikes.max())) if stop is None else stop
    first, last = recording_bounds(times, start, stop)
    return SpikeTrains(
        tuple(times),
        tuple(labels),
        start=first,
        stop=last,
        positions=None if positions is None else usable_positions(positions, labels),
        name=path.stem if name is None else name,
    )


def _load(path: Path) -> tuple[np.ndarray, np.ndarray, list[str], Any, float | None]:
    import h5py

    try:
        file = h5py.File(path)
    except OSError as error:
        raise ValueError(f"it cannot be opened as HDF5 ({error})") from error
    with file:
        missing = [key for key in ("spikes", "sCount") if key not in file]
        if missing:
            raise ValueError(f"the datasets {missing} are missing; it has {sorted(file)}")
        spikes = np.asarray(file["spikes"][()], dtype=np.float64).ravel()
        n_spikes = np.asarray(file["sCount"][()]).ravel()
        names = file["names"][()].ravel() if "names" in file else range(n_spikes.size)
        labels = [as_label(value) for value in names]
        positions = np.asarray(file["epos"][()], dtype=np.float64).T if "epos" in file else None
        duration = None
        if "summary/duration" in file:
            duration = float(np.ravel(file["summary/duration"][()])[0])
    if n_spikes.size == 0:
        raise ValueError("sCount is empty: there are no units")
    if n_spikes.dtype.kind not in "iu" or (n_spikes < 0).any():
        raise ValueError("sCount must hold whole numbers of spikes, none negative")
    if len(labels) != n_spikes.size:
        raise ValueError(f"names has {len(labels)} labels but sCount has {n_spikes.size} units")
    return spikes, n_spikes, labels, positions, duration


READER = Reader("mea_hdf5", (".h5", ".hdf5"), _sniff, read)
