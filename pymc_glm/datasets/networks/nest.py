"""Networks simulated with NEST: an archive of spike tables, delays and a matrix."""

import tarfile
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

from pymc_glm.datasets.networks.contents import Contents

__all__ = ["read"]

_MS = 1000.0


def read(path: Path) -> Contents:
    """Read the archive of Casadiego et al. (2018).

    Rows of the files ``*.gdf`` are the number of a neuron, from 1, and a time in ms.
    ``connectivity.dat`` is [post, pre], and ``delay.dat`` holds the one delay of all connections,
    in ms. The diagonal has the connections of neurons with themselves.

    Parameters
    ----------
    path : Path

    Returns
    -------
    Contents
    """
    with tarfile.open(path) as archive:
        tables = {
            Path(member.name).name: _table(archive, member)
            for member in archive.getmembers()
            if member.isfile() and member.name.endswith((".gdf", ".dat"))
        }
    weights = tables["connectivity.dat"]
    spikes = np.concatenate([table for name, table in tables.items() if name.endswith(".gdf")])
    delay = float(tables["delay.dat"].ravel()[0]) / _MS
    numbers = range(1, len(weights) + 1)
    return Contents(
        [np.sort(spikes[spikes[:, 0] == number, 1]) / _MS for number in numbers],
        [str(number) for number in numbers],
        weights,
        np.where(weights != 0, delay, np.nan),
    )


def _table(archive: tarfile.TarFile, member: tarfile.TarInfo) -> NDArray[np.float64]:
    return np.loadtxt(cast(IO[bytes], archive.extractfile(member)), ndmin=2)
