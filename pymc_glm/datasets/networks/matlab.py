"""Networks in MATLAB files: a struct `data` with cells of spike times, and weights [pre, post]."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat
from scipy.sparse import issparse

from pymc_glm.datasets.networks.contents import Contents

__all__ = ["read_latencies", "read_submatrix"]

_MS = 1000.0


def read_latencies(path: Path) -> Contents:
    """Read ``spk`` (ms), ``syn.w_syn`` and ``syn.dt_true`` (ms), as Ren et al. (2020) write them.

    Parameters
    ----------
    path : Path

    Returns
    -------
    Contents
    """
    data = _struct(path)
    return _contents(data["spk"], data["syn"]["w_syn"], data["syn"]["dt_true"])


def read_submatrix(path: Path) -> Contents:
    """Read ``TS_ms`` and the sparse ``SWM``, as De Blasi et al. (2019) write them.

    Parameters
    ----------
    path : Path

    Returns
    -------
    Contents
    """
    data = _struct(path)
    return _contents(data["TS_ms"], data["SWM"])


def _struct(path: Path) -> dict[str, Any]:
    return loadmat(path, simplify_cells=True)["data"]


def _contents(cells: Any, by_row: Any, delays: Any = None) -> Contents:
    """Turn matrices [pre, post] and times in ms into the package's form."""
    weights = _matrix(by_row)
    latencies = None if delays is None else np.where(weights != 0, _matrix(delays) / _MS, np.nan)
    times = [np.sort(np.atleast_1d(cell).astype(np.float64)) / _MS for cell in cells]
    return Contents(times, [str(i + 1) for i in range(len(times))], weights, latencies)


def _matrix(by_row: Any) -> NDArray[np.float64]:
    """Return a matrix [pre, post] as [post, pre], with 0 for NaN."""
    dense = by_row.toarray() if issparse(by_row) else by_row
    return np.nan_to_num(np.asarray(dense, dtype=np.float64).T)
