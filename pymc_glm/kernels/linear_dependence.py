"""Linear dependence between columns, and between columns and a constant."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Dependence", "dependences"]

_SMALL = 1e-6  # share of a column's deviation from its mean that single precision cannot hold
_NOTHING = 1e-5  # coefficient, between columns of norm 1, that counts as zero
_CONSTANT = 1e-12  # standard deviation over mean of a constant column in double precision

type Floats = NDArray[np.float64]


class Dependence(NamedTuple):
    """A set of linearly dependent columns."""

    columns: tuple[int, ...]
    constant: bool  # whether a constant is part of the linear combination


def dependences(values: Floats, together: NDArray[np.bool_]) -> list[Dependence]:
    """Find linear dependences between columns and a constant by a pivoted QR decomposition.

    Parameters
    ----------
    values : array, shape (row, column)
    together : array of bool, shape (set, column)
        Sets of columns, each of which is checked separately.

    Returns
    -------
    list of Dependence
        One for each missing rank of each set, without repetitions. If a set has several, the pivots
        determine which ones are returned.
    """
    mean = values.mean(axis=0)
    centred = values - mean
    norm = np.sqrt((centred**2).sum(axis=0))
    flat = norm <= _CONSTANT * np.sqrt(len(values)) * np.abs(mean)
    scale = np.where(flat, 1.0, norm)
    triangle = np.linalg.qr(centred / scale, mode="r")
    offset = mean / scale * np.sqrt(len(values))
    found: dict[Dependence, None] = {}
    for use in np.unique(together, axis=0):
        for column in np.flatnonzero(use & flat):
            found[Dependence((int(column),), True)] = None
        free = np.flatnonzero(use & ~flat)
        for one in _of_triangle(triangle[:, free], offset[free]):
            found[one._replace(columns=tuple(int(free[i]) for i in one.columns))] = None
    return list(found)


def _of_triangle(triangle: Floats, offset: Floats) -> list[Dependence]:
    """Find dependences between columns of norm 1, given in any orthogonal basis."""
    from scipy.linalg import qr, solve_triangular

    if not triangle.size:
        return []
    reduced, order = qr(triangle, mode="r", pivoting=True)
    rank = int((np.abs(np.diag(reduced)) > _SMALL).sum())
    found = []
    for last in range(rank, order.size):
        coefficients = solve_triangular(reduced[:rank, :rank], reduced[:rank, last])
        parts = offset[order[:rank]] * coefficients
        away = abs(offset[order[last]] - parts.sum())
        size = max(1.0, abs(offset[order[last]]) + np.abs(parts).sum())
        others = order[:rank][np.abs(coefficients) > _NOTHING]
        columns = tuple(sorted([int(order[last]), *map(int, others)]))
        found.append(Dependence(columns, bool(away > _SMALL * size)))
    return found
