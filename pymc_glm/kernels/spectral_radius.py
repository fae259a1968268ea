"""Growth of linear recursions over several lags."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import ArpackError, LinearOperator, eigs

__all__ = ["growth_factor", "spectral_radius"]

_DENSE = 200  # largest companion matrix of which all eigenvalues are computed
_WANTED, _KRYLOV = 6, 40  # several for ARPACK, as the largest are close to each other

type Floats = NDArray[np.float64]


def spectral_radius(matrix: Floats) -> float:
    """Return the largest absolute eigenvalue of a matrix."""
    return float(np.abs(np.linalg.eigvals(matrix)).max())


def growth_factor(matrices: Floats) -> float:
    r"""Return the factor by which ``x[t] = sum_l matrices[l] x[t - l]`` grows in a step.

    This is the spectral radius of the companion matrix, computed for each set of strongly connected
    variables.

    Parameters
    ----------
    matrices : array, shape (lag, post, pre)
        Row 0 is the lag of one step.
    """
    linked = csr_array((matrices != 0).any(axis=0))
    n_parts, part = connected_components(linked, connection="strong")
    largest = 0.0
    for i in range(n_parts):
        members = np.flatnonzero(part == i)
        block = matrices[:, members[:, None], members]
        if block.any():
            largest = max(largest, _radius(block))
    return largest


def _radius(matrices: Floats) -> float:
    n_lags, n = matrices.shape[:2]
    rows = np.ascontiguousarray(matrices.transpose(1, 0, 2).reshape(n, n_lags * n))
    if len(rows[0]) > _DENSE:
        operator = LinearOperator(
            (n_lags * n, n_lags * n),
            matvec=lambda x: np.concatenate([rows @ x.ravel(), x.ravel()[:-n]]),
            dtype=np.float64,
        )
        start = np.random.default_rng(0).standard_normal(n_lags * n)
        try:
            values = eigs(
                operator,
                _WANTED,
                ncv=_KRYLOV,
                v0=start,
                tol=1e-8,
                maxiter=n_lags * n,  # beyond, computing all eigenvalues is faster
                return_eigenvectors=False,
            )
            return float(np.abs(values).max())
        except ArpackError:  # no convergence
            pass
    return spectral_radius(np.vstack([rows, np.eye((n_lags - 1) * n, n_lags * n)]))
