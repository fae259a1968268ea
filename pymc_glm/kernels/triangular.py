"""Cholesky factors of small matrices, and solutions with triangular ones."""

import math

import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.compiling import compiled

__all__ = ["cholesky", "solve", "solve_transposed"]

type Floats = NDArray[np.float64]


@compiled
def cholesky(matrix: Floats, lower: Floats) -> None:
    """Write the lower Cholesky factor of a small matrix."""
    for i in range(matrix.shape[0]):
        for j in range(i + 1):
            value = matrix[i, j]
            for k in range(j):
                value -= lower[i, k] * lower[j, k]
            lower[i, j] = math.sqrt(value) if i == j else value / lower[j, j]


@compiled
def solve(lower: Floats, vector: Floats) -> float:
    """Solve (lower lower') x = vector in place; return the squared length of inv(lower) vector."""
    size = vector.size
    squared = 0.0
    for i in range(size):
        for k in range(i):
            vector[i] -= lower[i, k] * vector[k]
        vector[i] /= lower[i, i]
        squared += vector[i] ** 2
    solve_transposed(lower, vector)
    return squared


@compiled
def solve_transposed(lower: Floats, vector: Floats) -> None:
    """Solve lower' x = vector in place."""
    for i in range(vector.size - 1, -1, -1):
        for k in range(i + 1, vector.size):
            vector[i] -= lower[k, i] * vector[k]
        vector[i] /= lower[i, i]
