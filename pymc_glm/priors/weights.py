"""Priors of the weights of present edges (the slab): each a class with the method `slab`."""

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
    "slab_with_self_edges",
    "weight_units",
]

SPIKE_EFFECT = 0.0025  # s: change of log odds from one spike, summed over time, at the prior scale
FREEDOM = 3.0  # degrees of freedom of Student's t of means: heavy tails allow strong couplings


class Slab(NamedTuple):
    """A Gaussian for each pair of neurons."""

    mean: TensorVariable  # broadcastable to (post, pre, basis)
    whitening: TensorVariable  # broadcastable to (post, pre, basis, basis): lower triangular Q,
    # covariance inv(Q'Q)


class WeightUnits(NamedTuple):
    """Sizes of weights in default priors (see `weight_units`), each of shape (basis,)."""

    scale: NDArray[np.float64]  # size of a weight
    mean: NDArray[np.float64]  # size of the mean weight of all edges: scale of Student's t
    self_scale: NDArray[np.float64]  # size of a self-weight


def weight_units(
    basis: NDArray[np.float64], effect: float, n_neurons: int, dense: bool
) -> WeightUnits:
    """Return sizes of weights for which networks drawn from the prior stay stable.

    One spike changes the log odds, summed over bins, by weight times the sum of the basis function.
    The sizes are the effect divided by that sum. With more than 3 inputs (a tenth of the neurons;
    all of them in a dense network) the weights shrink, so that the summed input does not grow.

    Parameters
    ----------
    basis : array, shape (lag, basis)
    effect : float
        Change from one spike, summed over bins, at the prior scale; for spikes `SPIKE_EFFECT`
        divided by the bin width.
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
            Sizes of weights for default priors.
        """


@dataclass(frozen=True, eq=False)
class GaussianWeights(Weights):
    """Weights with one mean and covariance for all edges (Linderman, Adams & Pillow 2016, eq. 3).

    Parameters
    ----------
    mean : number, array (basis,), PyMC distribution or "learned"
        Mean of the weights, by default learned: Student's t with 3 degrees of freedom and scale
        units.mean (see `WeightUnits`), in the posterior as ``weight_mean`` (basis).
    cov : None or "learned", number, array (basis,) or (basis, basis), or PyMC distribution
        Covariance over basis functions. None: learned, as ``weight_scale`` (basis), log-normal
        around units.scale (94% within a factor of 4), and correlations ``weight_corr``
        (basis_pair; LKJ, eta 2). Otherwise one variance for all basis functions, variances, or a
        covariance matrix, each fixed or a distribution (then ``weight_cov``).
    self_mean, self_cov : the same for self-edges, or None
        By default learned, with the prefix ``self_``: the mean is Student's t around
        -units.self_scale with half of that as its scale, for refractoriness; the covariance is as
        above. None: self-edges are like all others.

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
        """Return means and whitening factors of all pairs."""
        mean = _mean("weight_mean", self.mean, units.mean)
        whitening = whitening_factor("weight", self.cov, units.scale)
        return slab_with_self_edges(
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
        Largest number of blocks. Needed unless `labels` are given or the model has `BlockEdges`.
    mean : number, array (block_post, block_pre, basis) or (basis,), distribution or "learned"
        Means of the weights; (basis,) is common to all pairs of blocks. By default learned:
        Student's t with scale 0.5 units.scale for each pair (see `WeightUnits`), in the posterior
        as ``weight_mean`` (block_post, block_pre, basis).
    cov : None or "learned", number, array (basis,) or (basis, basis), or PyMC distribution
        Covariance over basis functions, as for `GaussianWeights`. Learned covariances, a number, a
        scalar distribution and an array (block_post, block_pre, basis, basis) give each pair of
        blocks its own; variances (basis,) and a matrix are common to all.
    self_mean, self_cov : the same for self-edges, or None
        As for `GaussianWeights`. None: self-edges are like other edges within their block.
    concentration : number, array (block,), PyMC distribution, "learned" or None
        As for `BlockEdges`, and only for labels that are not shared with them; in the posterior as
        ``weight_concentration`` with ``share_labels=False``.
    labels : sequence, mapping, Series or DataArray, (neuron,), optional
        Known cell types. By default those of `BlockEdges` in the same model, else latent, in the
        posterior as ``block_labels`` (post).
    share_labels : bool
        False: labels separate from those of the edges, in the posterior as
        ``weight_block_labels`` and with the dims ``weight_block_post``, ``weight_block_pre``.

    Raises
    ------
    ValueError
        When the model is built: as for `BlockEdges`, or the number of blocks, labels or
        concentration contradict those of the edges.

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
        groups = blocks(
            "BlockWeights", self.n_blocks, self.labels, self.concentration, prefix=prefix
        )
        pair, n_basis = (groups.n_blocks, groups.n_blocks), len(units.mean)
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
                dims=(*groups.dims, "basis"),
            )
        whitening = pt.broadcast_to(
            whitening_factor("weight", self.cov, units.scale, pair, groups.dims),
            (*pair, n_basis, n_basis),
        )
        slab = Slab(between(mean, groups, n_neurons), between(whitening, groups, n_neurons))
        return slab_with_self_edges(slab, self.self_mean, self.self_cov, n_neurons, units)


@dataclass(frozen=True, eq=False)
class DistanceWeights(Weights):
    r"""Weights whose mean falls with the neurons' distance in a latent or known space.

    .. math:: w_{nm} \mid A_{nm} = 1 \sim
        \mathrm{Normal}(\mu_0 - \lVert v_n - v_m \rVert^2 / \ell^2, \Sigma)

    (Linderman, Adams & Pillow 2016, section 2.2).

    Parameters
    ----------
    n_dims : int, optional
        Dimensions of the space, by default those of `positions` or of the edges' space, else 2.
    intercept : number, array (basis,), PyMC distribution or "learned"
        Mean of the weights at distance zero, by default learned: Student's t(0, units.mean) (see
        `WeightUnits`), in the posterior as ``weight_intercept`` (basis).
    scale : number, array (basis,), PyMC distribution or "learned"
        Length over which the mean falls by one. By default learned: log-normal with sigma 0.75,
        around the value at which the mean falls by units.scale over 2 prior standard deviations of
        latent positions, or over the root mean square distance of known ones. In the posterior as
        ``weight_length_scale`` (basis).
    cov, self_mean, self_cov
        As for `GaussianWeights`.
    positions : array (neuron, n_dims), mapping, DataFrame or DataArray, optional
        Known positions, in any unit of length. By default those of `DistanceEdges` in the same
        model, else latent, Normal(0, 1), in the posterior as ``latent_positions``.
    share_positions : bool
        False: positions separate from those of the edges, in the posterior as
        ``weight_latent_positions`` (post, weight_latent_dim).

    Raises
    ------
    ValueError
        When the model is built: as for `DistanceEdges`, or the dimensions or positions contradict
        those of the edges.

    Examples
    --------
    >>> import pymc as pm, pymc_glm as pg
    >>> with_the_edges = pg.DistanceWeights()
    >>> separate = pg.DistanceWeights(3, scale=pm.LogNormal.dist(0, 1), share_positions=False)
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
        place = positions("DistanceWeights", self.n_dims, self.positions, prefix=prefix)
        intercept = _mean("weight_intercept", self.intercept, units.mean)
        scale = length_scale(
            "weight_length_scale", self.scale, place, 2.0 / np.sqrt(units.scale), ("basis",)
        )
        mean = intercept - squared_distance(place.values)[:, :, None] / scale**2
        slab = Slab(mean, whitening_factor("weight", self.cov, units.scale))
        return slab_with_self_edges(slab, self.self_mean, self.self_cov, n_neurons, units)


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
        Change of the mean weight per unit of a feature, by default learned:
        Student's t(0, units.mean) (see `WeightUnits`), in the posterior as
        ``weight_coefficients`` (weight_feature, basis).
    intercept : number, array (basis,), PyMC distribution or "learned"
        Mean of the weights where all features are zero (their average if standardized), by default
        learned: Student's t(0, units.mean), in the posterior as ``weight_intercept`` (basis).
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
        return slab_with_self_edges(slab, self.self_mean, self.self_cov, n_neurons, units)


def _mean(name: str, mean: Hyperparameter, sigma: NDArray[np.float64]) -> TensorVariable:
    return hyperparameter(
        name,
        mean,
        lambda: pm.StudentT.dist(FREEDOM, sigma=sigma),
        shape=sigma.shape,
        dims=("basis",),
    )


def slab_with_self_edges(
    slab: Slab,
    self_mean: Hyperparameter | None,
    self_cov: Hyperparameter | None,
    n_neurons: int,
    units: WeightUnits,
) -> Slab:
    """Put the slab of self-edges on the diagonal, unless they are like all others.

    Parameters
    ----------
    slab : Slab
        Of pairs of different neurons.
    self_mean, self_cov : number, array, PyMC distribution, "learned" or None
        As for `GaussianWeights`.
    n_neurons : int
    units : WeightUnits
        Sizes of weights for default priors.
    """
    diagonal = pt.eye(n_neurons, dtype="bool")
    mean, whitening = slab
    scale = units.self_scale
    if self_mean is not None:
        mean_of_self = hyperparameter(
            "self_weight_mean",
            self_mean,
            lambda: pm.StudentT.dist(FREEDOM, mu=-scale, sigma=0.5 * scale),
            shape=scale.shape,
            dims=("basis",),
        )
        mean = pt.switch(diagonal[:, :, None], mean_of_self, mean)
    if self_cov is not None:
        whitening_of_self = whitening_factor("self_weight", self_cov, scale)
        whitening = pt.switch(diagonal[:, :, None, None], whitening_of_self, whitening)
    return Slab(mean, whitening)
