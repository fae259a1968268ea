"""Banded Cholesky factors, stored as rows: element [i, i - j] is in row i, column j."""

import math

import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.compiling import compiled, inlined

__all__ = ["banded_cholesky", "banded_solve_lower", "banded_solve_transposed"]

type Floats = NDArray[np.float64]


@inlined
def banded_cholesky(banded: Floats) -> None:
    """Replace a positive definite banded matrix (n, width) by its lower Cholesky factor."""
    n, width = banded.shape
    for i in range(n):
        for j in range(min(width - 1, i), -1, -1):
            value = banded[i, j]
            for k in range(j + 1, min(width - 1, i) + 1):
                value -= banded[i, k] * banded[i - j, k - j]
            banded[i, j] = math.sqrt(value) if j == 0 else value / banded[i - j, 0]


@compiled
def banded_solve_lower(lower: Floats, vector: Floats) -> None:
    """Solve lower x = vector in place."""
    for i in range(vector.size):
        for j in range(1, min(lower.shape[1] - 1, i) + 1):
            vector[i] -= lower[i, j] * vector[i - j]
        vector[i] /= lower[i, 0]


@compiled
def banded_solve_transposed(lower: Floats, vector: Floats) -> None:
    """Solve lower' x = vector in place."""
    n = vector.size
    for i in range(n - 1, -1, -1):
        for j in range(1, min(lower.shape[1] - 1, n - 1 - i) + 1):
            vector[i] -= lower[i + j, j] * vector[i + j]
        vector[i] /= lower[i, 0]
