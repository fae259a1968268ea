"""Covariates as the kernels see them: further pre neurons, whose edges are certain.

As many covariates as there are basis functions form one such neuron, if all of them act on the same
post neurons. Slots that are left over hold zeros; their weights are drawn from a standard normal
distribution and never used.
"""

from collections.abc import Iterator
from typing import NamedTuple, Self

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray
from pymc.blocking import PointType
from pytensor.tensor.variable import TensorVariable

from pymc_glm.graph.evaluate import INTERPRETED, PointFunction, initial_point_of
from pymc_glm.graph.find import NetworkVariables
from pymc_glm.kernels.prior import NetworkPrior

__all__ = ["CovariateLayout", "CovariateTerms"]

type Floats = NDArray[np.float64]


def _weights(network: NetworkVariables) -> TensorVariable:
    if network.covariates is None:
        raise AssertionError("the network has no covariates.")
    return network.covariates


class CovariateLayout(NamedTuple):
    """Which slot of which group each covariate has."""

    group: NDArray[np.intp]  # (covariate,)
    slot: NDArray[np.intp]  # (covariate,)
    acts: NDArray[np.bool_]  # (post, group)
    n_basis: int

    @classmethod
    def of(cls, mask: NDArray[np.bool_], n_basis: int) -> Self:
        """Lay out covariates that act on the neurons of a mask (post, covariate)."""
        group, slot = np.zeros((2, mask.shape[1]), np.intp)
        acts: list[NDArray] = []
        for column in np.unique(mask, axis=1).T:
            alike = np.flatnonzero((mask == column[:, None]).all(axis=0))
            group[alike] = len(acts) + np.arange(alike.size) // n_basis
            slot[alike] = np.arange(alike.size) % n_basis
            acts += [column] * -(-alike.size // n_basis)
        return cls(group, slot, np.array(acts).T, n_basis)

    @classmethod
    def of_network(cls, model: pm.Model, network: NetworkVariables) -> Self:
        """Lay out the covariates of a model."""
        variable = _weights(network)
        mask, *_ = variable.owner.op.dist_params(variable.owner)
        start = initial_point_of(model)
        shape = start[model.rvs_to_values[variable].name].shape
        n_basis = start[model.rvs_to_values[network.weights].name].shape[2]
        known = np.broadcast_to(mask.eval(mode=INTERPRETED), shape).astype(bool)
        return cls.of(known, n_basis)

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return self.acts.shape[1]

    def columns(self, values: Floats) -> Iterator[Floats]:
        """Yield each group's values (time, basis) of covariates (time, covariate)."""
        for g in range(self.n_groups):
            column = np.zeros((len(values), self.n_basis))
            inside = self.group == g
            column[:, self.slot[inside]] = values[:, inside]
            yield column

    def spread(self, values: Floats, fill: Floats) -> Floats:
        """Return values (post, covariate) in their slots of fill (post, group, basis)."""
        out = fill.copy()
        out[:, self.group, self.slot] = values
        return out


class CovariateTerms:
    """What covariates add to the arrays of the network.

    Parameters
    ----------
    model : pymc.Model
    network : NetworkVariables
        With covariates.
    compile_kwargs : dict, optional
    """

    def __init__(
        self, model: pm.Model, network: NetworkVariables, compile_kwargs: dict | None = None
    ):
        variable = _weights(network)
        self.layout = CovariateLayout.of_network(model, network)
        self._name = model.rvs_to_values[variable].name
        _, mu, sigma = variable.owner.op.dist_params(variable.owner)
        shape = initial_point_of(model)[self._name].shape
        outputs = [pt.broadcast_to(mu, shape), pt.broadcast_to(sigma**-2, shape)]
        self._prior = PointFunction(model, outputs, compile_kwargs)

    def join(
        self, point: PointType, adjacency: NDArray, weights: Floats, rng: np.random.Generator
    ) -> tuple[NDArray, Floats]:
        """Return adjacency and weights with the groups of covariates after the pre neurons."""
        layout = self.layout
        free = rng.standard_normal((len(weights), layout.n_groups, layout.n_basis))
        acts = layout.acts.astype(np.int8)
        grouped = layout.spread(point[self._name], free) * acts[:, :, None]
        return np.concatenate([adjacency, acts], axis=1), np.concatenate([weights, grouped], axis=1)

    def split(self, weights: Floats) -> tuple[Floats, Floats]:
        """Return weights of edges (post, pre, basis) and of covariates (post, covariate)."""
        n_pre = weights.shape[1] - self.layout.n_groups
        grouped = weights[:, n_pre:]
        return weights[:, :n_pre], grouped[:, self.layout.group, self.layout.slot]

    def join_prior(self, prior: NetworkPrior, point: PointType) -> NetworkPrior:
        """Return the network prior with the groups of covariates after the pre neurons."""
        layout = self.layout
        mean, precision = self._prior(point)
        blank = np.zeros((len(mean), layout.n_groups, layout.n_basis))
        means = layout.spread(mean, blank)
        precisions = layout.spread(precision, blank + 1.0)[..., None] * np.eye(layout.n_basis)
        log_odds = prior.log_odds
        if log_odds is None and not layout.acts.all():
            log_odds = np.full(prior.mean.shape[:2], np.inf)
        if log_odds is not None:
            certain = np.where(layout.acts, np.inf, -np.inf)
            log_odds = np.concatenate([log_odds, certain], axis=1)
        return prior._replace(
            log_odds=log_odds,
            mean=np.concatenate([prior.mean, means], axis=1),
            precision=np.concatenate([prior.precision, precisions], axis=1),
        )
