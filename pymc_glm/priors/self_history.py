"""The prior of self filters: effects of a neuron's spikes on itself, with a basis of their own."""

from dataclasses import dataclass

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray
from pytensor.tensor.variable import TensorVariable

from pymc_glm.arguments import as_number
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
    max_gain : float or None
        Limit of the gain, the sum of a filter over its lags: what a neuron that fires in every bin
        adds to its psi. The density falls within a few tenths above it. A Bernoulli neuron with
        p = 1 / (1 + exp(-psi)) that follows its mean, psi = bias + gain p, has one rate only if the
        gain is at most 4, whatever its bias, because dp/dpsi is at most 1/4; far above, it can keep
        itself firing for ever, as fitted networks then do (Gerhard, Deger & Truccolo 2017, PLoS
        Comput. Biol. 13:e1005390; Arribas, Zhao & Park 2020, Advances in Neural Information
        Processing Systems 33). None for no limit.

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
    max_gain: float | None = 4.0

    def weights(self, functions: NDArray[np.float64]) -> TensorVariable:
        """Register ``self_weights`` (post, self_basis) with the model.

        Parameters
        ----------
        functions : array, shape (self_lag, self_basis)
            The basis functions.

        Raises
        ------
        ValueError, TypeError
            The scale, the smoothness or the limit cannot be used.
        """
        if not (np.ndim(self.smoothness) == 0 and 0 < float(self.smoothness) < np.inf):
            raise ValueError(
                f"smoothness: got {self.smoothness!r}, allowed are finite numbers above 0 (the "
                "length of correlations in basis functions)."
            )
        scale = hyperparameter(
            "self_scale", self.scale, lambda: pm.HalfNormal.dist(3.0), lower=1e-9
        )
        limit = None
        if self.max_gain is not None:
            limit = as_number(self.max_gain, "max_gain", at_least=0)
        root = pt.constant(smooth_root(functions.shape[1], float(self.smoothness)))
        gains = pt.constant(functions.sum(axis=0))
        place = ("post", "self_basis")
        return SelfWeights("self_weights", scale, root, gains, limit, dims=place)
