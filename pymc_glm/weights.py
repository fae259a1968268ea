"""Priors of the weights of the edges that are present (the slab).

Adding one is one class with the method `slab`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import pymc as pm
import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from pymc_glm.covariance import whitening_factor
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
        0.7, 94% between 0.27 and 1.8) and the correlations ``weight_corr`` (LKJ, eta 2). A number
        times the identity, variances, or a covariance matrix, each fixed or a distribution (then
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
        whitening = whitening_factor("weight", self.cov, n_basis)
        self_mean, self_whitening = mean, whitening
        if self.self_mean is not None:
            self_mean = self._mean("self_weight_mean", self.self_mean, 1.0, n_basis)
        if self.self_cov is not None:
            self_whitening = whitening_factor("self_weight", self.self_cov, n_basis)
        return Slab(
            pt.switch(own[:, :, None], self_mean, mean),
            pt.switch(own[:, :, None, None], self_whitening, whitening),
        )

    @staticmethod
    def _mean(name: str, mean: Hyperparameter, sigma: float, n_basis: int) -> TensorVariable:
        return hyperparameter(
            name, mean, lambda: pm.Normal.dist(0, sigma), shape=(n_basis,), dims=("basis",)
        )
