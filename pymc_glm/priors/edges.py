"""Priors of the edges: each a class with the method `edge_probability`."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import pymc as pm
import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from pymc_glm.priors.features import (
    between,
    blocks,
    length_scale,
    pair_features,
    positions,
    squared_distance,
)
from pymc_glm.priors.features.neurons import latent_dimensions
from pymc_glm.priors.hyperparameters import LEARNED, Hyperparameter, dimensions, hyperparameter

__all__ = [
    "BernoulliEdges",
    "BlockEdges",
    "DenseEdges",
    "DistanceEdges",
    "Edges",
    "EigenEdges",
    "FeatureEdges",
    "with_self_edges",
]


class Edges(ABC):
    """Prior of the adjacency matrix."""

    @abstractmethod
    def edge_probability(self, n_neurons: int) -> TensorVariable | None:
        """Return the edge probabilities, registering hyperparameters with the model in context.

        Parameters
        ----------
        n_neurons : int

        Returns
        -------
        tensor, broadcastable to (post, pre), or None
            None: every edge is present and the model has no adjacency variable.
        """


@dataclass(frozen=True)
class DenseEdges(Edges):
    """Every neuron is connected to every neuron, itself included.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> pg.DenseEdges()
    DenseEdges()
    """

    def edge_probability(self, n_neurons: int) -> None:
        """Return None: there is no adjacency variable."""


@dataclass(frozen=True, eq=False)
class BernoulliEdges(Edges):
    """Independent edges with one probability (Linderman, Adams & Pillow 2016, section 2.1).

    Parameters
    ----------
    probability : number, array (post, pre), PyMC distribution or "learned"
        Probability of an edge between two neurons, by default learned: Beta(1, 9), in the posterior
        as ``edge_probability``. The diagonal of a matrix is used only with
        ``self_probability=None``.
    self_probability : number, PyMC distribution, "learned" or None
        Probability of a self-edge (refractoriness, bursting), by default learned: Beta(1, 1), in
        the posterior as ``self_edge_probability``. None: self-edges are like all others.

    Examples
    --------
    >>> import pymc as pm, pymc_glm as pg
    >>> sparse = pg.BernoulliEdges(probability=pm.Beta.dist(1, 9), self_probability=1.0)
    """

    probability: Hyperparameter = LEARNED
    self_probability: Hyperparameter | None = LEARNED

    def edge_probability(self, n_neurons: int) -> TensorVariable:
        """Return the matrix of probabilities, (post, pre)."""
        matrix = dimensions(self.probability) > 0
        between = hyperparameter(
            "edge_probability",
            self.probability,
            lambda: pm.Beta.dist(1, 9),
            shape=(n_neurons, n_neurons) if matrix else (),
            dims=("post", "pre") if matrix else None,
            lower=0,
            upper=1,
        )
        return with_self_edges(between, self.self_probability, n_neurons)


@dataclass(frozen=True, eq=False)
class BlockEdges(Edges):
    r"""Stochastic block model: edge probabilities between blocks of neurons (cell types).

    .. math:: p_{nm} = \rho_{z_n z_m}

    with the block of the post neuron first (Linderman, Adams & Pillow 2016, section 2.2; Nowicki &
    Snijders 2001).

    Parameters
    ----------
    n_blocks : int, optional
        Largest number of blocks; blocks not needed stay empty. Required unless `labels` are given.
    probability : number, array (block_post, block_pre), PyMC distribution or "learned"
        Probability of an edge for each pair of blocks, by default learned: Beta(1, 9), in the
        posterior as ``edge_probability`` (block_post, block_pre).
    self_probability : number, PyMC distribution, "learned" or None
        Probability of a self-edge, as for `BernoulliEdges`.
    concentration : number, array (block,), PyMC distribution, "learned" or None
        Concentration of the Dirichlet distribution of block weights, which are integrated out.
        None: 1 / n_blocks, with which blocks not needed empty out (Rousseau & Mengersen 2011). A
        number or scalar distribution is that of every block; "learned" is Gamma(10, 10 n_blocks)
        (Malsiner-Walli, Frühwirth-Schnatter & Grün 2016). In the posterior as ``concentration``.
    labels : sequence, mapping, Series or DataArray, (neuron,), optional
        Known cell types, names or numbers, matched by the neurons' names if they have them. By
        default latent, in the posterior as ``block_labels`` (post). `BlockWeights` of the same
        model share them.

    Raises
    ------
    ValueError
        When the model is built: no blocks or more blocks than neurons, labels of the wrong length
        or for unknown neurons, or labels together with a concentration.

    Examples
    --------
    >>> import pymc as pm, pymc_glm as pg
    >>> three_types = pg.BlockEdges(3, probability=pm.Beta.dist(1, 2))
    >>> known = pg.BlockEdges(labels=["on", "on", "off"])
    """

    n_blocks: int | None = None
    probability: Hyperparameter = LEARNED
    self_probability: Hyperparameter | None = LEARNED
    concentration: Hyperparameter | None = None
    labels: Any = None

    def edge_probability(self, n_neurons: int) -> TensorVariable:
        """Return the matrix of probabilities, (post, pre)."""
        groups = blocks("BlockEdges", self.n_blocks, self.labels, self.concentration)
        table = hyperparameter(
            "edge_probability",
            self.probability,
            lambda: pm.Beta.dist(1, 9),
            shape=(groups.n_blocks, groups.n_blocks),
            dims=groups.dims,
            lower=0,
            upper=1,
        )
        return with_self_edges(between(table, groups, n_neurons), self.self_probability, n_neurons)


@dataclass(frozen=True, eq=False)
class DistanceEdges(Edges):
    r"""Edges that are more likely between neurons close to each other in a latent or known space.

    .. math:: \operatorname{logit} p_{nm} = \gamma_0 - \lVert u_n - u_m \rVert^2 / \ell^2

    (Linderman, Adams & Pillow 2016, section 2.2; Hoff, Raftery & Handcock 2002).

    Parameters
    ----------
    n_dims : int, optional
        Dimensions of the space, by default those of `positions`, else 2.
    intercept : number, PyMC distribution or "learned"
        Log odds of an edge at distance zero, by default learned: Normal(-1, 1), in the posterior
        as ``edge_intercept``.
    scale : number, PyMC distribution or "learned"
        Length over which the log odds fall by one. By default learned: log-normal with sigma 0.75,
        around 1 prior standard deviation of latent positions, or half the root mean square
        distance of known ones. In the posterior as ``edge_length_scale``.
    self_probability : number, PyMC distribution, "learned" or None
        Probability of a self-edge, as for `BernoulliEdges`.
    positions : array (neuron, n_dims), mapping, DataFrame or DataArray, optional
        Known positions, in any unit of length, matched by the neurons' names if they have them. By
        default latent, Normal(0, 1), in the posterior as ``latent_positions`` (post, latent_dim),
        which are identified up to rotation, reflection and translation (see `align_positions`).
        `DistanceWeights` of the same model share them.

    Raises
    ------
    ValueError
        When the model is built: fewer than 1 dimension or not fewer than neurons, or positions of
        the wrong shape, not finite, or for unknown neurons.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> latent = pg.DistanceEdges(2)
    >>> electrodes = pg.DistanceEdges(positions=np.array([[0, 0], [200, 0], [0, 200.0]]))
    """

    n_dims: int | None = None
    intercept: Hyperparameter = LEARNED
    scale: Hyperparameter = LEARNED
    self_probability: Hyperparameter | None = LEARNED
    positions: Any = None

    def edge_probability(self, n_neurons: int) -> TensorVariable:
        """Return the matrix of probabilities, (post, pre)."""
        place = positions("DistanceEdges", self.n_dims, self.positions)
        scale = length_scale("edge_length_scale", self.scale, place, 1.0)
        distance = squared_distance(place.values / scale)
        log_odds = _edge_intercept(self.intercept, -1.0) - distance
        return with_self_edges(pt.sigmoid(log_odds), self.self_probability, n_neurons)


@dataclass(frozen=True, eq=False)
class EigenEdges(Edges):
    r"""Latent eigenmodel: edges are more likely between similar, or complementary, neurons.

    .. math:: \operatorname{logit} p_{nm} = \gamma_0 + u_n^\top \Lambda u_m

    with diagonal :math:`\Lambda` of either sign. It can represent both block structure (homophily
    and its opposite) and distance (Hoff 2008, "Modeling homophily and stochastic equivalence in
    symmetric relational data").

    Parameters
    ----------
    n_dims : int, optional
        Number of factors, by default 2.
    intercept : number, PyMC distribution or "learned"
        Log odds of an edge between neurons whose factors are zero, by default learned:
        Normal(-3, 1), in the posterior as ``edge_intercept``.
    eigenvalue_scale : number, PyMC distribution or "learned"
        Standard deviation of the eigenvalues, by default 1. "learned" is half-normal with scale 1;
        if learned, in the posterior as ``eigenvalue_scale``.
    self_probability : number, PyMC distribution, "learned" or None
        Probability of a self-edge, as for `BernoulliEdges`.

    Raises
    ------
    ValueError
        When the model is built: fewer than 1 factor or not fewer than neurons.

    Notes
    -----
    The factors, Normal(0, 1) a priori, are in the posterior as ``latent_factors`` (post,
    latent_factor), with ``eigenvalues`` (latent_factor); they are identified up to signs and order.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> edges = pg.EigenEdges(2, eigenvalue_scale=0.5)
    """

    n_dims: int = 2
    intercept: Hyperparameter = LEARNED
    eigenvalue_scale: Hyperparameter = 1.0
    self_probability: Hyperparameter | None = LEARNED

    def edge_probability(self, n_neurons: int) -> TensorVariable:
        """Return the matrix of probabilities, (post, pre)."""
        size = latent_dimensions("EigenEdges(n_dims)", self.n_dims, n_neurons)
        pm.modelcontext(None).add_coord("latent_factor", [str(i) for i in range(size)])
        scale = hyperparameter(
            "eigenvalue_scale",
            self.eigenvalue_scale,
            lambda: pm.HalfNormal.dist(1.0),
            lower=1e-12,
        )
        factors = pm.Normal("latent_factors", 0.0, 1.0, dims=("post", "latent_factor"))
        values = pm.Normal("eigenvalues", 0.0, scale, dims="latent_factor")
        log_odds = _edge_intercept(self.intercept, -3.0) + (factors * values) @ factors.T
        return with_self_edges(pt.sigmoid(log_odds), self.self_probability, n_neurons)


@dataclass(frozen=True, eq=False)
class FeatureEdges(Edges):
    r"""Edge probabilities that depend on observed features of the pairs.

    .. math:: \operatorname{logit} p_{nm} = \gamma_0 + f_{nm}^\top \gamma

    with features such as probe distance, same known cell type or same layer.

    Parameters
    ----------
    features : mapping from name to matrix (post, pre), DataArray or array (post, pre, feature)
        Observed features; DataArrays with the dims post and pre, and DataFrames (index post,
        columns pre), are matched by the neurons' names. A feature with "distance" in its name has
        to be symmetric and not negative.
    coefficients : number, array (feature,), PyMC distribution or "learned"
        Change of the log odds of an edge per unit of a feature, by default learned: Normal(0, 1),
        in the posterior as ``edge_coefficients`` (edge_feature).
    intercept : number, PyMC distribution or "learned"
        Log odds of an edge where all features are zero (their average if standardized), by default
        learned: Normal(-3, 1), in the posterior as ``edge_intercept``.
    self_probability : number, PyMC distribution, "learned" or None
        Probability of a self-edge, as for `BernoulliEdges`.
    standardize : bool
        By default features are scaled to mean 0 and standard deviation 1 over pairs of different
        neurons; the unit of a feature is then its standard deviation.

    Raises
    ------
    ValueError
        When the model is built: features of the wrong shape, not finite or the same for all pairs,
        or a distance that is negative or not symmetric.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> place = np.array([0.0, 50.0, 300.0])
    >>> distance = abs(place[:, None] - place[None, :])
    >>> edges = pg.FeatureEdges({"distance": distance})
    """

    features: Any
    coefficients: Hyperparameter = LEARNED
    intercept: Hyperparameter = LEARNED
    self_probability: Hyperparameter | None = LEARNED
    standardize: bool = True

    def edge_probability(self, n_neurons: int) -> TensorVariable:
        """Return the matrix of probabilities, (post, pre)."""
        features, dim = pair_features(
            "FeatureEdges",
            self.features,
            kind="edge",
            standardize=self.standardize,
            diagonal=self.self_probability is None,
        )
        coefficients = hyperparameter(
            "edge_coefficients",
            self.coefficients,
            lambda: pm.Normal.dist(0, 1),
            shape=(len(pm.modelcontext(None).coords[dim]),),
            dims=(dim,),
        )
        log_odds = _edge_intercept(self.intercept, -3.0) + features @ coefficients
        return with_self_edges(pt.sigmoid(log_odds), self.self_probability, n_neurons)


def _edge_intercept(intercept: Hyperparameter, center: float) -> TensorVariable:
    return hyperparameter("edge_intercept", intercept, lambda: pm.Normal.dist(center, 1.0))


def with_self_edges(
    between_neurons: TensorVariable, self_probability: Hyperparameter | None, n_neurons: int
) -> TensorVariable:
    """Put the probability of self-edges on the diagonal, unless they are like all others.

    Parameters
    ----------
    between_neurons : tensor, broadcastable to (post, pre)
        Edge probabilities of pairs of neurons.
    self_probability : number, PyMC distribution, "learned" or None
        None: self-edges are like all others. "learned" is Beta(1, 1), in the posterior as
        ``self_edge_probability``.
    n_neurons : int
    """
    if self_probability is None:
        return between_neurons
    on_diagonal = hyperparameter(
        "self_edge_probability", self_probability, lambda: pm.Beta.dist(1, 1), lower=0, upper=1
    )
    return pt.switch(pt.eye(n_neurons, dtype="bool"), on_diagonal, between_neurons)
