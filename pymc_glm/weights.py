"""Priors of the weights of the edges that are present (the slab).

Adding one is one class with the method `slab`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from pymc_glm.hyperparameters import LEARNED, Hyperparameter, hyperparameter

__all__ = ["GaussianWeights", "Slab", "Weights"]


class Slab(NamedTuple):
    """A Gaussian for each pair of neurons."""

    mean: TensorVariable  # broadcastable to (post, pre, basis)
    whitening: TensorVariable  # broadcastable to (post, pre, basis, basis): lower triangular Q,
    # covariance inv(Q'Q)


class Weights(ABC):
    """Prior of the weights."""

    @abstractmethod
    def slab(self, n_neurons: int, n_basis: int) -> Slab:
        """Return the slab of each pair, registering hyperparameters with the model in context."""


def _covariance(name: str, cov: Hyperparameter, n_basis: int) -> TensorVariable:
    """Return a (basis, basis) covariance given as a number, variances, matrix or distribution."""
    ndim = cov.ndim if isinstance(cov, TensorVariable) else np.ndim(cov)
    if ndim == 2:
        matrix = hyperparameter(
            name, cov, pm.Flat.dist, shape=(n_basis, n_basis), dims=("basis", "basis_other")
        )
        if isinstance(matrix, pt.TensorConstant):
            _check_covariance(name, matrix.data)
        return matrix
    shape = (n_basis,) if ndim == 1 else ()
    dims = ("basis",) if ndim == 1 else None
    variance = hyperparameter(name, cov, pm.Flat.dist, shape=shape, dims=dims, lower=1e-12)
    return pt.diag(variance * pt.ones(n_basis))


def _check_covariance(name: str, matrix: np.ndarray) -> None:
    if not np.allclose(matrix, matrix.T):
        raise ValueError(f"{name}: the matrix is not symmetric; give a covariance matrix.")
    smallest = np.linalg.eigvalsh(matrix)[0]
    if smallest <= 0:
        raise ValueError(
            f"{name}: the smallest eigenvalue is {smallest:.3g}; a covariance matrix needs all of "
            "them above 0."
        )


def gaussian_whitening(prefix: str, cov: Hyperparameter | None, n_basis: int) -> TensorVariable:
    """Return the whitening factor Q of one covariance, inv(Q'Q), learned or given.

    Parameters
    ----------
    prefix : str
        "weight" or "self_weight": the learned variables are ``{prefix}_scale`` (basis), log-normal
        around 0.7, and ``{prefix}_corr_cholesky``, LKJ with eta 2 (Lewandowski, Kurowicka & Joe
        2009, J. Multivariate Anal. 100:1989); a given distribution is ``{prefix}_cov``.
    cov : None or "learned", number, variances (basis,), matrix (basis, basis) or distribution
    n_basis : int

    Returns
    -------
    tensor, shape (basis, basis)
    """
    if cov is not None and not (isinstance(cov, str) and cov == LEARNED):
        chol = pt.linalg.cholesky(_covariance(f"{prefix}_cov", cov, n_basis))
        return pt.linalg.solve_triangular(chol, pt.eye(n_basis), lower=True)
    # Away from zero: with one or two edges present, a scale near zero is a funnel around them.
    scale = hyperparameter(
        f"{prefix}_scale",
        LEARNED,
        lambda: pm.LogNormal.dist(np.log(0.7), 0.5),
        shape=(n_basis,),
        dims=("basis",),
    )
    if n_basis == 1:
        return pt.diag(1.0 / scale)
    corr = pm.LKJCorr(
        f"{prefix}_corr_cholesky", n=n_basis, eta=2, dims=("basis", "basis_other"), initval="prior"
    )
    inverse = pt.linalg.solve_triangular(corr, pt.eye(n_basis), lower=True)
    return inverse / scale[None, :]


@dataclass(frozen=True, eq=False)
class GaussianWeights(Weights):
    """Weights with one mean and covariance for all edges (Linderman, Adams & Pillow 2016, eq. 3).

    Parameters
    ----------
    mean : number, array (basis,), PyMC distribution or "learned"
        Mean of the weights, by default learned, Normal(0, 0.5), in the posterior as
        ``weight_mean``.
    cov : None or "learned", number, array (basis,) or (basis, basis), or PyMC distribution
        Covariance over basis functions. None: learned, as ``weight_scale`` (log-normal around
        0.7, 94% between 0.27 and 1.8) and ``weight_corr_cholesky`` (LKJ, eta 2). A number times
        the identity, variances, or a covariance matrix, each fixed or a distribution (then
        ``weight_cov``).
    self_mean, self_cov : the same for self-edges, or None
        By default learned, Normal(0, 1) and as above, with the prefix ``self_``. None: self-edges
        are like the others.

    Examples
    --------
    >>> import pymc as pm, pymc_glm as pg
    >>> standard = pg.GaussianWeights(mean=0.0, cov=1.0, self_mean=pm.Normal.dist(-1, 1))
    """

    mean: Hyperparameter = LEARNED
    cov: Hyperparameter | None = None
    self_mean: Hyperparameter | None = LEARNED
    self_cov: Hyperparameter | None = LEARNED

    def slab(self, n_neurons: int, n_basis: int) -> Slab:
        """Return means and whitening factors, self-edges on the diagonal with their own."""
        own = pt.eye(n_neurons, dtype="bool")
        mean = self._mean("weight_mean", self.mean, 0.5, n_basis)
        whitening = gaussian_whitening("weight", self.cov, n_basis)
        self_mean, self_whitening = mean, whitening
        if self.self_mean is not None:
            self_mean = self._mean("self_weight_mean", self.self_mean, 1.0, n_basis)
        if self.self_cov is not None:
            self_whitening = gaussian_whitening("self_weight", self.self_cov, n_basis)
        return Slab(
            pt.switch(own[:, :, None], self_mean, mean),
            pt.switch(own[:, :, None, None], self_whitening, whitening),
        )

    @staticmethod
    def _mean(name: str, mean: Hyperparameter, sigma: float, n_basis: int) -> TensorVariable:
        return hyperparameter(
            name, mean, lambda: pm.Normal.dist(0, sigma), shape=(n_basis,), dims=("basis",)
        )
