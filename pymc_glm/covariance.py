"""Covariances over basis functions: given, or learned as scales and correlations.

Written with products and sums only: compiled linear algebra of tiny matrices costs half a minute
the first time, and tells nothing that B - 1 products do not.
"""

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray
from pytensor.tensor.variable import TensorConstant, TensorVariable

from pymc_glm.hyperparameters import LEARNED, Hyperparameter, dimensions, hyperparameter

__all__ = ["cholesky_of_partial_correlations", "inverse_lower", "whitening_factor"]

ETA = 2.0  # LKJ shape: favours small correlations, mildly
MEDIAN_SCALE, LOG_SCALE_SIGMA = 0.7, 0.5


def inverse_lower(lower: TensorVariable, size: int) -> TensorVariable:
    """Invert a lower triangular matrix of `size` rows: L = D (I + N), N^size = 0."""
    identity = np.eye(size)
    diagonal = pt.sum(lower * identity, axis=1)
    nilpotent = lower / diagonal[:, None] - identity
    inverse = pt.constant(identity)
    for _ in range(size - 1):
        inverse = identity - nilpotent @ inverse  # I - N + N^2 - ... by Horner's rule
    return inverse / diagonal[None, :]


def cholesky_of_partial_correlations(z: TensorVariable, size: int) -> TensorVariable:
    """Return the Cholesky factor of a correlation matrix from its canonical partial correlations.

    Parameters
    ----------
    z : tensor, shape (size * (size - 1) / 2,)
        In (-1, 1), row by row of the strict lower triangle.
    size : int

    Returns
    -------
    tensor, shape (size, size)
        L with L[i, j] = z[i, j] sqrt(prod_{k < j} (1 - z[i, k]^2)), z[i, i] = 1 (Lewandowski,
        Kurowicka & Joe 2009, J. Multivariate Anal. 100:1989, section 2).
    """
    rows, columns = np.tril_indices(size, -1)
    place = np.zeros((size * size, rows.size))
    place[rows * size + columns, np.arange(rows.size)] = 1.0
    matrix = (place @ z).reshape((size, size))
    before = np.triu(np.ones((size, size)), 1)  # sums over k < j
    return (matrix + np.eye(size)) * pt.exp(0.5 * (pt.log1p(-(matrix**2)) @ before))


def _learned(prefix: str, size: int) -> TensorVariable:
    # Scales away from zero: with one or two edges present, zero is a funnel around their weights.
    scale = hyperparameter(
        f"{prefix}_scale",
        LEARNED,
        lambda: pm.LogNormal.dist(np.log(MEDIAN_SCALE), LOG_SCALE_SIGMA),
        shape=(size,),
        dims=("basis",),
    )
    if size == 1:
        return (1.0 / scale).reshape((1, 1))
    rows, columns = np.tril_indices(size, -1)
    model = pm.modelcontext(None)
    names = model.coords["basis"]
    model.add_coord(
        "basis_pair", [f"{names[j]}-{names[i]}" for i, j in zip(rows, columns, strict=True)]
    )
    shape = ETA + (size - 2 - columns) / 2  # LKJ(eta), see cholesky_of_partial_correlations
    raw = pm.Beta(f"{prefix}_corr_raw", shape, shape, dims="basis_pair")
    lower = cholesky_of_partial_correlations(2 * raw - 1, size)
    pm.Deterministic(f"{prefix}_corr", (lower @ lower.T)[rows, columns], dims="basis_pair")
    return inverse_lower(lower, size) / scale[None, :]


def _check_covariance(name: str, matrix: NDArray[np.float64]) -> None:
    if not np.allclose(matrix, matrix.T):
        raise ValueError(f"{name}: the matrix is not symmetric; give a covariance matrix.")
    smallest = np.linalg.eigvalsh(matrix)[0]
    if smallest <= 0:
        raise ValueError(
            f"{name}: the smallest eigenvalue is {smallest:.3g}; a covariance matrix needs all of "
            "them above 0."
        )


def whitening_factor(prefix: str, cov: Hyperparameter | None, size: int) -> TensorVariable:
    """Return the whitening factor Q of one covariance, inv(Q'Q), learned or given.

    Parameters
    ----------
    prefix : str
        "weight" or "self_weight". Learned are ``{prefix}_scale`` (basis), log-normal around 0.7
        with sigma 0.5, and the correlations ``{prefix}_corr`` (basis_pair), LKJ with eta 2
        through Beta variables ``{prefix}_corr_raw``; a given distribution is ``{prefix}_cov``.
    cov : None or "learned", number, variances (basis,), matrix (basis, basis) or distribution
        A number or scalar distribution is a variance, the same for all basis functions.
    size : int
        Number of basis functions.

    Returns
    -------
    tensor, shape (basis, basis)
        Lower triangular.

    Raises
    ------
    ValueError, TypeError
        Not a variance or covariance matrix, or of another shape.
    """
    if cov is None or (isinstance(cov, str) and cov == LEARNED):
        return _learned(prefix, size)
    name = f"{prefix}_cov"
    ndim = dimensions(cov)
    if ndim > 2:
        raise ValueError(
            f"{name}: got {ndim} dimensions, allowed are a number, variances ({size},) or a "
            f"covariance matrix ({size}, {size})."
        )
    if ndim < 2:
        variance = hyperparameter(
            name,
            cov,
            None,
            shape=(size,) * ndim,
            dims=("basis",) * ndim,
            lower=1e-12,
        )
        return np.eye(size) / pt.sqrt(variance)
    model = pm.modelcontext(None)
    model.add_coord("basis_other", model.coords["basis"])
    matrix = hyperparameter(name, cov, None, shape=(size, size), dims=("basis", "basis_other"))
    if not isinstance(matrix, TensorConstant):
        return inverse_lower(pt.linalg.cholesky(matrix), size)
    _check_covariance(name, matrix.data)
    return pt.constant(np.linalg.inv(np.linalg.cholesky(matrix.data)))
