"""Spike tables in NumPy archives."""

import zipfile
from pathlib import Path

import numpy as np

from pymc_glm.readers.reader import Reader, as_label, starts_with, trains_from_table
from pymc_glm.spikes import SpikeTrains


def _sniff(path: Path) -> bool:
    if not starts_with(path, b"PK"):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any(member.endswith(".npy") for member in archive.namelist())
    except zipfile.BadZipFile:
        return False


def read(
    path: Path, *, start: float | None = None, stop: float | None = None, name: str | None = None
) -> SpikeTrains:
    """Read the parallel arrays times and neurons, with spikes in any order.

    `neurons` holds the label of every spike's neuron; or its index, if `labels` lists all neurons
    or `positions` (neuron, space) has a row for each, which is the only way to include neurons
    without spikes. `start` and `stop` are the bounds of the recording in seconds.

    Parameters
    ----------
    path : Path
    start, stop : float, optional
        Bounds of the recording in seconds, instead of those in the file.
    name : str, optional
        By default the name of the file.

    Returns
    -------
    SpikeTrains
    """
    arrays = _load(path)
    times, neurons = arrays["times"], arrays["neurons"]
    if times.ndim != 1 or times.shape != neurons.shape:
        raise ValueError(
            "times and neurons must be 1-dimensional and of the same length, got the shapes "
            f"{times.shape} and {neurons.shape}."
        )
    if times.dtype.kind not in "iuf":
        raise ValueError(f"times must be real numbers in seconds, got {times.dtype}.")
    times = times.astype(np.float64)
    if (bad := np.flatnonzero(~np.isfinite(times))).size:
        unit = as_label(neurons[bad[0]])
        raise ValueError(f"times[{bad[0]}], of neuron {unit!r}, is {times[bad[0]]}; remove it.")
    positions = arrays.get("positions")
    labels, index = _label_spikes(neurons, arrays.get("labels"), positions)
    if not labels:
        raise ValueError("there are no neurons: times is empty, and there are no labels.")
    bounds = {key: float(arrays[key].item()) for key in ("start", "stop") if key in arrays}
    return trains_from_table(
        times,
        index,
        labels,
        start=bounds.get("start") if start is None else start,
        stop=bounds.get("stop") if stop is None else stop,
        positions=positions,
        name=path.stem if name is None else name,
    )


def _load(path: Path) -> dict[str, np.ndarray]:
    try:
        loaded = np.load(path, allow_pickle=False)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"it cannot be opened as an npz archive ({error}).") from error
    if not isinstance(loaded, np.lib.npyio.NpzFile):
        raise ValueError("it is a single array, not an npz archive; save it with numpy.savez.")
    with loaded:
        missing = [key for key in ("times", "neurons") if key not in loaded]
        if missing:
            raise ValueError(f"the arrays {missing} are missing; it has {sorted(loaded)}.")
        known = ("times", "neurons", "labels", "positions", "start", "stop")
        return {key: loaded[key] for key in known if key in loaded}


def _label_spikes(
    neurons: np.ndarray, labels: np.ndarray | None, positions: np.ndarray | None
) -> tuple[list[str], np.ndarray]:
    """Return the labels of all neurons, and the index of every spike's neuron."""
    whole = neurons.dtype.kind in "iu"
    if labels is None and not (whole and positions is not None):
        values, index = np.unique(neurons, return_inverse=True)
        return [as_label(value) for value in values.tolist()], index
    if labels is None:
        names = [str(i) for i in range(len(positions))]  # type: ignore[arg-type]
    else:
        names = [as_label(value) for value in np.ravel(labels).tolist()]
    if whole:
        index = neurons.astype(np.intp)
        outside = (index < 0) | (index >= len(names))
    else:
        where = {label: i for i, label in enumerate(names)}
        index = np.array([where.get(as_label(v), -1) for v in neurons.tolist()], dtype=np.intp)
        outside = index < 0
    if (bad := np.flatnonzero(outside)).size:
        raise ValueError(
            f"neurons[{bad[0]}] = {neurons[bad[0]]} is not one of the {len(names)} neurons in "
            f"{'positions' if labels is None else 'labels'}; whole numbers are indices from 0."
        )
    return names, index


READER = Reader("npz", (".npz",), _sniff, read)
