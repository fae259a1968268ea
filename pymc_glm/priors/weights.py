"""Priors of the weights of the edges that are present (the slab).

Adding one is one class with the method `slab`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray
from pytensor.tensor.variable import TensorVariable

from pymc_glm.priors.covariance import whitening_factor
from pymc_glm.priors.features import (
    between,
    blocks,
    length_scale,
    pair_features,
    positions,
    squared_distance,
)
from pymc_glm.priors.hyperparameters import LEARNED, Hyperparameter, dimensions, hyperparameter

__all__ = [
    "BlockWeights",
    "DistanceWeights",
    "FeatureWeights",
    "GaussianWeights",
    "Slab",
    "WeightUnits",
    "Weights",
    "weight_units",
]

SPIKE_EFFECT = 0.0025  # s: change of log odds by one spike, summed over time, at the prior scale
FREEDOM = 3.0  # of means' Student t: a network of strong couplings can say so


class Slab(NamedTuple):
    """A Gaussian for each pair of neurons."""

    mean: TensorVariable  # broadcastable to (post, pre, basis)
    whitening: TensorVariable  # broadcastable to (post, pre, basis, basis): lower triangular Q,
    # covariance inv(Q'Q)


class WeightUnits(NamedTuple):
    """Sizes of weights that default priors are made for (see `weight_units`); shapes (basis,)."""

    scale: NDArray[np.float64]  # of a weight
    mean: NDArray[np.float64]  # of the mean weight of all edges: scale of a Student t
    self_scale: NDArray[np.float64]  # of the weight of a self-edge


def weight_units(
    basis: NDArray[np.float64], effect: float, n_neurons: int, dense: bool
) -> WeightUnits:
    """Return the sizes of weights with which prior draws of a network do not run away.

    One spike changes the log odds, summed over bins, by weight times the sum of the basis function.
    The sizes are the effect over that sum; with more inputs than 3 (a tenth of the neurons;
    all of them in a dense network) the weights shrink so that the sum of the inputs does not grow.

    Parameters
    ----------
    basis : array, shape (lag, basis)
    effect : float
        Change that one spike makes, summed over bins, at the prior scale; for spikes
        `SPIKE_EFFECT` over the bin width.
    n_neurons : int
    dense : bool
        Whether every edge is present.
    """
    largest = effect / np.maximum(np.abs(basis).sum(axis=0), 1.0)
    shrink = np.sqrt(min(1.0, 3 / (n_neurons if dense else 0.1 * n_neurons)))
    return WeightUnits(largest * shrink, 0.4 * largest * shrink**2, largest)


class Weights(ABC):
    """Prior of the weights."""

    @abstractmethod
    def slab(self, n_neurons: int, units: WeightUnits) -> Slab:
        """Return the slab of each pair, registering hyperparameters with the model in context.

        Parameters
        ----------
        n_neurons : int
        units : WeightUnits
            Sizes of weights for default priors, one for each basis function.
        """


@dataclass(frozen=True, eq=False)
class GaussianWeights(Weights):
    """Weights with one mean and covariance for all edges (Linderman, Adams & Pillow 2016, eq. 3).

    Parameters
    ----------
    mean : number, array (basis,), PyMC distribution or "learned"
        Mean of the weights, by default learned, Student's t with 3 degrees of freedom and scale
        units.mean (see `WeightUnits`), in the posterior as ``weight_mean`` (basis).
    cov : None or "learned", number, array (basis,) or (basis, basis), or PyMC distribution
        Covariance over basis functions. None: learned, as ``weight_scale`` (basis), log-normal
        around units.scale (94% within a factor of 4), and the correlations ``weight_corr``
        (basis_pair; LKJ, eta 2). A number times the identity, variances, or a covariance matrix,
        each fixed or a distribution (then ``weight_cov``).
    self_mean, self_cov : the same for self-edges, or None
        By default learned, Student's t around -units.self_scale (scale half of that), for
        refractoriness, and as above, with the prefix ``self_``. None: self-edges are like the
        others.

    Examples
    --------
    >>> import pymc as pm, pymc_glm as pg
    >>> standard = pg.GaussianWeights(mean=0.0, cov=1.0, self_mean=pm.Normal.dist(-1, 1))
    """

    mean: Hyperparameter = LEARNED
    cov: Hyperparameter | None = None
    self_mean: Hyperparameter | None = LEARNED
    self_cov: Hyperparameter | None = LEARNED

    def slab(self, n_neurons: int, units: WeightUnits) -> Slab:
        """Return means and whitening factors, self-edges on the diagonal with their own."""
        mean = _mean("weight_mean", self.mean, units.mean)
        whitening = whitening_factor("weight", self.cov, units.scale)
        return _with_self_edges(
            Slab(mean, whitening), self.self_mean, self.self_cov, n_neurons, units
        )


@dataclass(frozen=True, eq=False)
class BlockWeights(Weights):
    r"""Weights with a mean and covariance for each pair of blocks of neurons (cell types).

    .. math:: w_{nm} \mid A_{nm} = 1 \sim
        \mathrm{Normal}(\mu_{z_n z_m}, \Sigma_{z_n z_m})

    with the block of the post neuron first (Linderman, Adams & Pillow 2016, section 2.2).

    Parameters
    ----------
    n_blocks : int, optional
        Largest number of blocks. Needed unless `labels` are given or `BlockEdges` of the same
        model say it.
    mean : number, array (block_post, block_pre, basis) or (basis,), distribution or "learned"
        Means of the weights; (basis,) is common to all pairs of blocks. By default learned,
        Student's t with scale 0.5 units.scale each (see `WeightUnits`), in the posterior as
        ``weight_mean`` (block_post, block_pre, basis).
    cov : None or "learned", number, array (basis,) or (basis, basis), or PyMC distribution
        Covariance over basis functions, as for `GaussianWeights`. Learned ones, a number and a
        scalar distribution are one for each pair of blocks, as an array (block_post, block_pre,
        basis, basis) is; variances (basis,) and a matrix are common to all.
    self_mean, self_cov : the same for self-edges, or None
        As for `GaussianWeights`. None: self-edges are like others within their block.
    concentration : number, array (block,), PyMC distribution, "learned" or None
        As for `BlockEdges`, which say it where they share their labels; of labels of the weights'
        own in the posterior as ``weight_concentration``.
    labels : sequence, mapping, Series or DataArray, (neuron,), optional
        Known cell types. By default those of `BlockEdges` in the same model, else latent, in the
        posterior as ``block_labels`` (post).
    share_labels : bool
        False: labels of the weights' own, apart from those of the edges, in the posterior as
        ``weight_block_labels`` and with dims ``weight_block_post``, ``weight_block_pre``.

    Raises
    ------
    ValueError
        When the model is built: as for `BlockEdges`, or number of blocks, labels or concentration
        that contradict those of the edges.

    Examples
    --------
    >>> import pymc as pm, pymc_glm as pg
    >>> with_the_edges = pg.BlockWeights()
    >>> alone = pg.BlockWeights(3, mean=pm.Normal.dist(0, 1), cov=0.5)
    """

    n_blocks: int | None = None
    mean: Hyperparameter = LEARNED
    cov: Hyperparameter | None = None
    self_mean: Hyperparameter | None = LEARNED
    self_cov: Hyperparameter | None = LEARNED
    concentration: Hyperparameter | None = None
    labels: Any = None
    share_labels: bool = True

    def slab(self, n_neurons: int, units: WeightUnits) -> Slab:
        """Return means and whitening factors of all pairs."""
        prefix = "" if self.share_labels else "weight_"
        of = blocks("BlockWeights", self.n_blocks, self.labels, self.concentration, own=prefix)
        pair, n_basis = (of.n_blocks, of.n_blocks), len(units.mean)
        if dimensions(self.mean) == 1:
            mean = pt.broadcast_to(_mean("weight_mean", self.mean, units.mean), (*pair, n_basis))
        else:
            mean = hyperparameter(
                "weight_mean",
                self.mean,
                lambda: pm.StudentT.dist(
                    FREEDOM, sigma=np.broadcast_to(0.5 * units.scale, (*pair, n_basis))
                ),
                shape=(*pair, n_basis),
                dims=(*of.dims, "basis"),
            )
        whitening = pt.broadcast_to(
            whitening_factor("weight", self.cov, units.scale, pair, of.dims),
            (*pair, n_basis, n_basis),
        )
        slab = Slab(between(mean, of, n_neurons), between(whitening, of, n_neurons))
        return _with_self_edges(slab, self.self_mean, self.self_cov, n_neurons, units)


@dataclass(frozen=True, eq=False)
class DistanceWeights(Weights):
    r"""Weights whose mean falls with the distance of the neurons in a latent (or known) space.

    .. math:: w_{nm} \mid A_{nm} = 1 \sim
        \mathrm{Normal}(\mu_0 - \lVert v_n - v_m \rVert^2 / \ell^2, \Sigma)

    (Linderman, Adams & Pillow 2016, section 2.2).

    Parameters
    ----------
    n_dims : int, optional
        Dimensions of the space, by default 2, or those of `positions` or of the edges' space.
    intercept : number, array (basis,), PyMC distribution or "learned"
        Mean of the weights at distance zero, by default learned, Student's t(0, units.mean) (see
        `WeightUnits`), in the posterior as ``weight_intercept`` (basis).
    scale : number, array (basis,), PyMC distribution or "learned"
        Length over which the mean falls by one. By default learned, log-normal, such that the mean
        falls by units.scale over 2 prior standard deviations of latent positions (sigma 0.75), or
        over the root mean square distance of known ones (sigma 0.75). In the posterior as
        ``weight_length_scale`` (basis).
    cov, self_mean, self_cov
        As for `GaussianWeights`.
    positions : array (neuron, n_dims), mapping, DataFrame or DataArray, optional
        Known positions, in any unit of length. By default those of `DistanceEdges` in the same
        model, else latent, Normal(0, 1), in the posterior as ``latent_positions``.
    share_positions : bool
        False: positions of the weights' own, apart from those of the edges, in the posterior as
        ``weight_latent_positions`` (post, weight_latent_dim).

    Raises
    ------
    ValueError
        When the model is built: as for `DistanceEdges`, or dimensions or positions that contradict
        those of the edges.

    Examples
    --------
    >>> import pymc as pm, pymc_glm as pg
    >>> with_the_edges = pg.DistanceWeights()
    >>> own = pg.DistanceWeights(3, scale=pm.LogNormal.dist(0, 1), share_positions=False)
    """

    n_dims: int | None = None
    intercept: Hyperparameter = LEARNED
    scale: Hyperparameter = LEARNED
    cov: Hyperparameter | None = None
    self_mean: Hyperparameter | None = LEARNED
    self_cov: Hyperparameter | None = LEARNED
    positions: Any = None
    share_positions: bool = True

    def slab(self, n_neurons: int, units: WeightUnits) -> Slab:
        """Return means and whitening factors of all pairs."""
        prefix = "" if self.share_positions else "weight_"
        place = positions("DistanceWeights", self.n_dims, self.positions, own=prefix)
        intercept = _mean("weight_intercept", self.intercept, units.mean)
        scale = length_scale(
            "weight_length_scale", self.scale, place, 2.0 / np.sqrt(units.scale), ("basis",)
        )
        mean = intercept - squared_distance(place.values)[:, :, None] / scale**2
        slab = Slab(mean, whitening_factor("weight", self.cov, units.scale))
        return _with_self_edges(slab, self.self_mean, self.self_cov, n_neurons, units)


@dataclass(frozen=True, eq=False)
class FeatureWeights(Weights):
    r"""Weights whose mean depends on observed features of the pairs.

    .. math:: w_{nm} \mid A_{nm} = 1 \sim
        \mathrm{Normal}(\mu_0 + f_{nm}^\top \beta, \Sigma)

    Parameters
    ----------
    features, standardize
        As for `FeatureEdges`.
    coefficients : number, array (feature, basis), PyMC distribution or "learned"
        Change of the mean weight with a feature, by default learned, Student's t(0, units.mean)
        (see `WeightUnits`), in the posterior as ``weight_coefficients`` (weight_feature, basis).
    intercept : number, array (basis,), PyMC distribution or "learned"
        Mean of the weights where all features are zero (after standardization: average), by
        default learned, Student's t(0, units.mean), in the posterior as ``weight_intercept``
        (basis).
    cov, self_mean, self_cov
        As for `GaussianWeights`.

    Raises
    ------
    ValueError
        When the model is built: as for `FeatureEdges`.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> same_type = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]])
    >>> weights = pg.FeatureWeights({"same type": same_type}, standardize=False)
    """

    features: Any
    coefficients: Hyperparameter = LEARNED
    intercept: Hyperparameter = LEARNED
    cov: Hyperparameter | None = None
    self_mean: Hyperparameter | None = LEARNED
    self_cov: Hyperparameter | None = LEARNED
    standardize: bool = True

    def slab(self, n_neurons: int, units: WeightUnits) -> Slab:
        """Return means and whitening factors of all pairs."""
        features, dim = pair_features(
            "FeatureWeights",
            self.features,
            kind="weight",
            standardize=self.standardize,
            diagonal=self.self_mean is None,
        )
        shape = (len(pm.modelcontext(None).coords[dim]), len(units.mean))
        coefficients = hyperparameter(
            "weight_coefficients",
            self.coefficients,
            lambda: pm.StudentT.dist(FREEDOM, sigma=np.broadcast_to(units.mean, shape)),
            shape=shape,
            dims=(dim, "basis"),
        )
        mean = _mean("weight_intercept", self.intercept, units.mean) + features @ coefficients
        slab = Slab(mean, whitening_factor("weight", self.cov, units.scale))
        return _with_self_edges(slab, self.self_mean, self.self_cov, n_neurons, units)


def _mean(name: str, mean: Hyperparameter, sigma: NDArray[np.float64]) -> TensorVariable:
    return hyperparameter(
        name,
        mean,
        lambda: pm.StudentT.dist(FREEDOM, sigma=sigma),
        shape=sigma.shape,
        dims=("basis",),
    )


def _with_self_edges(
    slab: Slab,
    self_mean: Hyperparameter | None,
    self_cov: Hyperparameter | None,
    n_neurons: int,
    units: WeightUnits,
) -> Slab:
    """Put the slab of self-edges on the diagonal, unless they are like the others."""
    own = pt.eye(n_neurons, dtype="bool")
    mean, whitening = slab
    scale = units.self_scale
    if self_mean is not None:
        own_mean = hyperparameter(
            "self_weight_mean",
            self_mean,
            lambda: pm.StudentT.dist(FREEDOM, mu=-scale, sigma=0.5 * scale),
            shape=scale.shape,
            dims=("basis",),
        )
        mean = pt.switch(own[:, :, None], own_mean, mean)
    if self_cov is not None:
        own_whitening = whitening_factor("self_weight", self_cov, scale)
        whitening = pt.switch(own[:, :, None, None], own_whitening, whitening)
    return Slab(mean, whitening)
