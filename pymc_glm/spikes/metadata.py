"""Metadata of neurons from other packages: positions and annotations."""

from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_glm.spikes.checks import RESERVED


def split_metadata(
    columns: Mapping[str, Iterable[Any]],
) -> tuple[NDArray[np.float64] | None, dict[str, NDArray[Any]]]:
    """Split metadata of neurons into positions and annotations.

    Parameters
    ----------
    columns : mapping from str to sequence, one value for every neuron

    Returns
    -------
    positions : array, shape (neuron, space), or None
        Columns x, y, z or position_x, position_y, position_z, up to the first with values that
        are not finite.
    annotations : dict from str to array, shape (neuron,)
        All other columns of texts or numbers, except those named like a coordinate of counts.
    """
    plain = {str(name): _plain(values) for name, values in columns.items()}
    known = {name: array for name, array in plain.items() if array is not None}
    used: list[str] = []
    for prefix in ("position_", ""):
        for axis in "xyz":
            array = known.get(prefix + axis)
            if array is None or array.dtype.kind not in "iuf" or not np.isfinite(array).all():
                break
            used.append(prefix + axis)
        if used:
            break
    positions = np.stack([known[name] for name in used], axis=1).astype(float) if used else None
    rest = {name: known[name] for name in known if name not in used and name not in RESERVED}
    return positions, rest


def _plain(values: Iterable[Any]) -> NDArray[Any] | None:
    """Return values as an array if all are texts, all truth values or all numbers, or None."""
    items = list(values)
    for kind in (str, bool | np.bool_, Real):
        if items and all(isinstance(item, kind) for item in items):
            return np.array(items)
    return None
