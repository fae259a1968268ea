"""The interface of readers, and functions that several readers share."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pymc_glm.spikes import SpikeTrains, recording_bounds

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


class Reader(NamedTuple):
    """One file format.

    Attributes
    ----------
    name : str
        Name of the format, an argument of `read_spikes`.
    suffixes : tuple of str
        Suffixes of its files, in lower case.
    sniff : callable
        ``sniff(path)`` returns whether the content of a file, which exists and is not empty, has
        this format.
    read : callable
        ``read(path, **options)`` returns SpikeTrains. ValueErrors need not name the file.
    """

    name: str
    suffixes: tuple[str, ...]
    sniff: Callable[[Path], bool]
    read: Callable[..., SpikeTrains]


def starts_with(path: Path, signature: bytes) -> bool:
    """Return whether a file starts with these bytes."""
    with path.open("rb") as file:
        return file.read(len(signature)) == signature


def as_label(value: Any) -> str:
    """Turn a label from a file (bytes, string or number) into a string."""
    return value.decode("utf-8").strip() if isinstance(value, bytes) else str(value)


def usable_positions(positions: np.ndarray, labels: list[str]) -> np.ndarray | None:
    """Return positions (neuron, space), or None with a warning if some are not finite."""
    missing = [labels[i] for i in np.flatnonzero(~np.isfinite(positions).all(axis=1))]
    if not missing:
        return positions
    warnings.warn(
        f"positions are left out: those of units {missing} are not finite.",
        UserWarning,
        stacklevel=4,
    )
    return None


def trains_from_table(
    times: np.ndarray,
    index: np.ndarray,
    labels: list[str],
    *,
    start: float | None,
    stop: float | None,
    positions: np.ndarray | None = None,
    name: str,
) -> SpikeTrains:
    """Make SpikeTrains from one row per spike, in any order.

    Parameters
    ----------
    times : array, shape (spike,)
        Finite times in seconds.
    index : int array, shape (spike,)
        Index of every spike's neuron in `labels`.
    labels : list of str
    start, stop : float or None
        Bounds of the recording in seconds; by default 0 and the last spike.
    positions : array, shape (neuron, space), optional
    name : str

    Returns
    -------
    SpikeTrains
        Spike times are sorted within every neuron.
    """
    first, last = recording_bounds([times], start, stop)
    order = np.lexsort((times, index))
    ends = np.cumsum(np.bincount(index, minlength=len(labels)))
    parts = np.split(times[order], ends[:-1])
    return SpikeTrains(
        tuple(parts), tuple(labels), start=first, stop=last, positions=positions, name=name
    )
