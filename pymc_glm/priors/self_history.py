"""The prior of self filters: effects of a neuron's spikes on itself, with a basis of their own."""

from dataclasses import dataclass

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray
from pytensor.tensor.variable import TensorVariable

from pymc_glm.distributions import SelfWeights
from pymc_glm.priors.hyperparameters import LEARNED, Hyperparameter, hyperparameter

__all__ = ["SelfPrior", "smooth_root"]

_LEAST = 1e-6  # added to the diagonal of the correlations, so that they can be factorised


def smooth_root(n_basis: int, smoothness: float) -> NDArray[np.float64]:
    """Return the Cholesky factor of the correlations of weights, (self_basis, self_basis).

    Weights whose basis functions are d apart in their order have the correlation
    exp(-(d / smoothness)^2 / 2).

    Parameters
    ----------
    n_basis : int
    smoothness : float
    """
    apart = np.arange(n_basis)[:, None] - np.arange(n_basis)
    correlation = np.exp(-0.5 * (apart / smoothness) ** 2)
    return np.linalg.cholesky((1 - _LEAST) * correlation + _LEAST * np.eye(n_basis))


@dataclass(frozen=True, eq=False)
class SelfPrior:
    r"""Smooth self filters: weights of neighbouring basis functions are alike.

    .. math:: w_n \sim \mathrm{Normal}(0, s^2 C), \qquad
        C_{ij} = \exp\{-(i - j)^2 / (2 \ell^2)\}, \qquad s \sim \mathrm{HalfNormal}(3)

    a Gaussian process over the order of the basis functions (Rasmussen & Williams 2006, Gaussian
    Processes for Machine Learning, section 4.2): where the data say nothing the filter follows its
    neighbours.

    Parameters
    ----------
    scale : number, PyMC distribution or "learned"
        Standard deviation s of weights, in the posterior as ``self_scale`` if learned.
    smoothness : float
        Length of the correlations, in basis functions.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> counts = np.random.default_rng(1).poisson(0.05, (500, 3)).clip(0, 1)
    >>> basis = pg.basis.raised_cosine(2, window=0.02, bin_width=0.005)
    >>> long = pg.basis.raised_cosine(6, window=0.2, bin_width=0.005)
    >>> model = pg.build_glm(counts, basis, self_basis=long, self_prior=pg.SelfPrior(2.0))
    >>> model["self_weights"].eval().shape
    (3, 6)
    """

    scale: Hyperparameter = LEARNED
    smoothness: float = 1.0

    def weights(self, n_basis: int) -> TensorVariable:
        """Register ``self_weights`` (post, self_basis) with the model.

        Raises
        ------
        ValueError, TypeError
            The scale or the smoothness cannot be used.
        """
        if not (np.ndim(self.smoothness) == 0 and 0 < float(self.smoothness) < np.inf):
            raise ValueError(
                f"smoothness: got {self.smoothness!r}, allowed are finite numbers above 0 (the "
                "length of correlations in basis functions)."
            )
        scale = hyperparameter(
            "self_scale", self.scale, lambda: pm.HalfNormal.dist(3.0), lower=1e-9
        )
        root = pt.constant(smooth_root(n_basis, float(self.smoothness)))
        return SelfWeights("self_weights", scale, root, dims=("post", "self_basis"))
