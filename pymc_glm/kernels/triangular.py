"""Cholesky factors of small matrices, and solutions of triangular systems.

Several functions solve the same system in different orders. Their results differ by rounding, and
each sampler has to keep its own order, so that a seed gives the same draws in every version.
"""

import math

import numba
import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.compiling import compiled

__all__ = [
    "cholesky",
    "log_determinant",
    "solve",
    "solve_lower",
    "solve_lower_reordered",
    "solve_transposed",
    "solve_transposed_by_rows",
]

type Floats = NDArray[np.float64]


@compiled
def cholesky(matrix: Floats, lower: Floats) -> None:
    """Write the lower Cholesky factor of a small matrix; both may be the same array."""
    for i in range(matrix.shape[0]):
        for j in range(i + 1):
            value = matrix[i, j]
            for k in range(j):
                value -= lower[i, k] * lower[j, k]
            lower[i, j] = math.sqrt(value) if i == j else value / lower[j, j]


@compiled
def log_determinant(lower: Floats) -> float:
    """Return log|lower lower'|."""
    total = 0.0
    for i in range(lower.shape[0]):
        total += 2.0 * math.log(lower[i, i])
    return total


@compiled
def solve(lower: Floats, vector: Floats) -> float:
    """Solve (lower lower') x = vector in place; return the squared length of inv(lower) vector."""
    squared = solve_lower(lower, vector)
    solve_transposed(lower, vector)
    return squared


@compiled
def solve_lower(lower: Floats, vector: Floats) -> float:
    """Solve lower x = vector in place; return the squared length of x."""
    squared = 0.0
    for i in range(vector.size):
        for k in range(i):
            vector[i] -= lower[i, k] * vector[k]
        vector[i] /= lower[i, i]
        squared += vector[i] ** 2
    return squared


@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def solve_lower_reordered(lower: Floats, vector: Floats) -> None:
    """Solve lower x = vector in place, with sums in any order: faster for larger matrices."""
    for i in range(vector.size):
        total = 0.0
        for k in range(i):
            total += lower[i, k] * vector[k]
        vector[i] = (vector[i] - total) / lower[i, i]


@compiled
def solve_transposed(lower: Floats, vector: Floats) -> None:
    """Solve lower' x = vector in place."""
    for i in range(vector.size - 1, -1, -1):
        for k in range(i + 1, vector.size):
            vector[i] -= lower[k, i] * vector[k]
        vector[i] /= lower[i, i]


@compiled
def solve_transposed_by_rows(lower: Floats, vector: Floats) -> None:
    """Solve lower' x = vector in place, reading lower by rows: faster for larger matrices."""
    for i in range(vector.size - 1, -1, -1):
        vector[i] /= lower[i, i]
        for k in range(i):
            vector[k] -= lower[i, k] * vector[i]
