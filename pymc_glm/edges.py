"""Priors of the edges: which pairs of neurons are connected.

Adding one is one class with the method `edge_probability`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import pymc as pm
import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from pymc_glm.hyperparameters import LEARNED, Hyperparameter, dimensions, hyperparameter

__all__ = ["BernoulliEdges", "DenseEdges", "Edges"]


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
        Probability of an edge between two neurons; the diagonal of a matrix counts only with
        ``self_probability=None``; by default learned, Beta(1, 4). In the
        posterior as ``edge_probability``.
    self_probability : number, PyMC distribution, "learned" or None
        Probability of an edge from a neuron to itself (refractoriness, bursting), by default
        learned, Beta(1, 1), in the posterior as ``self_edge_probability``. None: self-edges are
        like the others.

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
            lambda: pm.Beta.dist(1, 4),
            shape=(n_neurons, n_neurons) if matrix else (),
            dims=("post", "pre") if matrix else None,
            lower=0,
            upper=1,
        )
        if self.self_probability is None:
            return between
        own = hyperparameter(
            "self_edge_probability",
            self.self_probability,
            lambda: pm.Beta.dist(1, 1),
            lower=0,
            upper=1,
        )
        return pt.switch(pt.eye(n_neurons, dtype="bool"), own, between)
