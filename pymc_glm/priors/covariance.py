"""Covariances over basis functions: given, or learned as scales and correlations.

Only products and sums: compiling linear algebra for tiny matrices takes half a minute the first
time, and B - 1 products give the same result.
"""

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray
from pytensor.tensor.variable import TensorConstant, TensorVariable

from pymc_glm.priors.hyperparameters import LEARNED, Hyperparameter, dimensions, hyperparameter

__all__ = [
    "cholesky_of_partial_correlations",
    "inverse_lower",
    "whitening_factor",
    "with_learned_correlations",
]

ETA = 2.0  # LKJ shape: favours small correlations, mildly
LOG_SCALE_SIGMA = 0.75


def inverse_lower(lower: TensorVariable, size: int) -> TensorVariable:
    """Invert lower triangular matrices of `size` rows: L = D (I + N), N^size = 0."""
    identity = np.eye(size)
    diagonal = pt.sum(lower * identity, axis=-1)
    nilpotent = lower / diagonal[..., :, None] - identity
    inverse = identity - nilpotent if size > 1 else pt.ones_like(nilpotent)
    for _ in range(size - 2):
        # I - N + N^2 - ... by Horner's rule; a batched matrix product is slow to compile
        product = (nilpotent[..., :, :, None] * inverse[..., None, :, :]).sum(axis=-2)
        inverse = identity - product
    return inverse / diagonal[..., None, :]


def cholesky_of_partial_correlations(z: TensorVariable, size: int) -> TensorVariable:
    """Return the Cholesky factor of a correlation matrix from its canonical partial correlations.

    Parameters
    ----------
    z : tensor, shape (..., size * (size - 1) / 2)
        In (-1, 1), row by row of the strict lower triangle.
    size : int

    Returns
    -------
    tensor, shape (..., size, size)
        L with L[i, j] = z[i, j] sqrt(prod_{k < j} (1 - z[i, k]^2)), z[i, i] = 1 (Lewandowski,
        Kurowicka & Joe 2009, J. Multivariate Anal. 100:1989, section 2).
    """
    rows, columns = np.tril_indices(size, -1)
    place = np.zeros((size * size, rows.size))
    place[rows * size + columns, np.arange(rows.size)] = 1.0
    matrix = (z @ place.T).reshape((*tuple(z.shape)[:-1], size, size))
    before = np.triu(np.ones((size, size)), 1)  # sums over k < j
    logs = (pt.log1p(-(matrix**2)).reshape((-1, size)) @ before).reshape(matrix.shape)
    return (matrix + np.eye(size)) * pt.exp(0.5 * logs)


def _learned(
    prefix: str, median: NDArray[np.float64], batch: tuple[int, ...], batch_dims: tuple[str, ...]
) -> TensorVariable:
    size = len(median)
    # Away from zero: with one or two edges present, scales near zero form a funnel.
    scale = hyperparameter(
        f"{prefix}_scale",
        LEARNED,
        lambda: pm.LogNormal.dist(np.broadcast_to(np.log(median), (*batch, size)), LOG_SCALE_SIGMA),
        shape=(*batch, size),
        dims=(*batch_dims, "basis"),
    )
    return with_learned_correlations(prefix, scale, batch_dims)


def with_learned_correlations(
    prefix: str, scale: TensorVariable, batch_dims: tuple[str, ...] = ()
) -> TensorVariable:
    """Return the whitening factor of covariances with given scales and learned correlations.

    Parameters
    ----------
    prefix : str
        Of the names of the correlations, see `whitening_factor`.
    scale : tensor, shape (*batch, basis)
        Standard deviations.
    batch_dims : tuple of str

    Returns
    -------
    tensor, shape (*batch, basis, basis)
        Lower triangular.
    """
    size = scale.type.shape[-1]
    if size == 1:
        return (1.0 / scale)[..., None]
    rows, columns = np.tril_indices(size, -1)
    model = pm.modelcontext(None)
    names = model.coords["basis"]
    model.add_coord(
        "basis_pair", [f"{names[j]}-{names[i]}" for i, j in zip(rows, columns, strict=True)]
    )
    shape = ETA + (size - 2 - columns) / 2  # LKJ(eta), see cholesky_of_partial_correlations
    dims = (*batch_dims, "basis_pair")
    raw = pm.Beta(f"{prefix}_corr_raw", shape, shape, dims=dims)
    lower = cholesky_of_partial_correlations(2 * raw - 1, size)
    corr = (lower[..., :, None, :] * lower[..., None, :, :]).sum(axis=-1)
    if f"{prefix}_corr" not in model.root:
        pm.Deterministic(f"{prefix}_corr", corr[..., rows, columns], dims=dims)
    return inverse_lower(lower, size) / scale[..., None, :]


def _check_covariances(name: str, matrices: NDArray[np.float64]) -> None:
    for where in np.ndindex(matrices.shape[:-2]):
        matrix, at = matrices[where], f" at {where}" if where else ""
        if not np.allclose(matrix, matrix.T):
            raise ValueError(f"{name}: the matrix{at} is not symmetric; give a covariance matrix.")
        smallest = np.linalg.eigvalsh(matrix)[0]
        if smallest <= 0:
            raise ValueError(
                f"{name}: the smallest eigenvalue{at} is {smallest:.3g}; give a matrix with all "
                "eigenvalues above 0."
            )


def whitening_factor(
    prefix: str,
    cov: Hyperparameter | None,
    median: NDArray[np.float64],
    batch: tuple[int, ...] = (),
    batch_dims: tuple[str, ...] = (),
) -> TensorVariable:
    """Return the whitening factor Q of covariances, inv(Q'Q), learned or given.

    Parameters
    ----------
    prefix : str
        "weight" or "self_weight". Learned covariances have the variables ``{prefix}_scale``
        (basis), log-normal around the median with sigma 0.75, and the correlations
        ``{prefix}_corr`` (basis_pair), LKJ with eta 2 through Beta variables
        ``{prefix}_corr_raw``; a given distribution becomes ``{prefix}_cov``.
    cov : None or "learned", number, variances (basis,), matrix (basis, basis) or distribution
        A number or scalar distribution is a variance, the same for all basis functions. With a
        batch, these, learned covariances and fixed arrays (*batch, basis, basis) hold one
        covariance for each member; variances (basis,) and a single matrix are common to all.
    median : array, shape (basis,)
        Median of learned scales.
    batch, batch_dims : tuple
        Shape and dims of a table of covariances, such as that between blocks; () for one.

    Returns
    -------
    tensor, shape (*batch, basis, basis), or (basis, basis) if common to all
        Lower triangular.

    Raises
    ------
    ValueError, TypeError
        Not a variance or covariance matrix, or of the wrong shape.
    """
    if cov is None or (isinstance(cov, str) and cov == LEARNED):
        return _learned(prefix, median, batch, batch_dims)
    size = len(median)
    name = f"{prefix}_cov"
    ndim = dimensions(cov)
    if ndim > 2 and not (batch and ndim == len(batch) + 2):
        table = f", or a table of matrices {(*batch, size, size)}" if batch else ""
        raise ValueError(
            f"{name}: got {ndim} dimensions, allowed are a number, variances ({size},), a "
            f"covariance matrix ({size}, {size}){table}."
        )
    if ndim < 2:
        shape, dims = ((size,), ("basis",)) if ndim else (batch, batch_dims or None)
        variance = hyperparameter(name, cov, None, shape=shape, dims=dims, lower=1e-12)
        return np.eye(size) / pt.sqrt(variance if ndim else variance[..., None, None])
    if ndim == 2:
        batch, batch_dims = (), ()
    model = pm.modelcontext(None)
    model.add_coord("basis_other", model.coords["basis"])
    shape, dims = (*batch, size, size), (*batch_dims, "basis", "basis_other")
    matrix = hyperparameter(name, cov, None, shape=shape, dims=dims)
    if not isinstance(matrix, TensorConstant):
        return inverse_lower(pt.linalg.cholesky(matrix), size)
    _check_covariances(name, matrix.data)
    return pt.constant(np.linalg.inv(np.linalg.cholesky(matrix.data)))
