"""The network prior, and the law's learned parameter, as functions of a point."""

from collections.abc import Mapping

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray
from pymc.pytensorf import compile as pymc_compile
from pytensor.graph.traversal import ancestors
from scipy.special import expit, logit

from pymc_glm.graph.evaluate import INTERPRETED
from pymc_glm.graph.find import NetworkVariables
from pymc_glm.kernels.prior import NetworkPrior

__all__ = ["DispersionFunction", "PriorFunction", "relaxed"]


def relaxed(prior: NetworkPrior, share: float) -> NetworkPrior:
    """Return a prior that knows only a share of what tells pairs of neurons apart.

    Log odds of uncertain edges and slab means are drawn to those of the mean pair; self-edges and
    certain edges stay as they are.

    Parameters
    ----------
    prior : NetworkPrior
    share : float
        From 0, all pairs alike, to 1, the prior itself.
    """
    n_post, n_pre = prior.mean.shape[:2]
    pairs = np.arange(n_post)[:, None] != np.arange(n_pre)
    if share >= 1 or not pairs.any():
        return prior
    mean = prior.mean.copy()
    mean[pairs] = share * mean[pairs] + (1 - share) * mean[pairs].mean(axis=0)
    log_odds = prior.log_odds
    if log_odds is not None:
        uncertain = pairs & np.isfinite(log_odds)
        if uncertain.any():
            own = log_odds[uncertain]
            log_odds = log_odds.copy()
            log_odds[uncertain] = share * own + (1 - share) * logit(expit(own).mean())
    return prior._replace(log_odds=log_odds, mean=mean)


class PriorFunction:
    """The network prior as a function of a point: hyperparameters in, `NetworkPrior` out.

    Parameters
    ----------
    model : pymc.Model
    variables : NetworkVariables
    compile_kwargs : dict, optional
        For ``pymc.pytensorf.compile``.
    """

    def __init__(
        self, model: pm.Model, variables: NetworkVariables, compile_kwargs: dict | None = None
    ):
        _, mean, whitening = variables.weights.owner.op.dist_params(variables.weights.owner)
        mu, sigma = variables.bias.owner.op.dist_params(variables.bias.owner)
        shape = model.initial_point(0)[model.rvs_to_values[variables.weights].name].shape
        pairs = shape[:2]
        precision = (whitening[..., None] * whitening[..., None, :]).sum(axis=-3)  # Q'Q
        outputs = [
            pt.broadcast_to(mean, shape),
            pt.broadcast_to(precision, (*shape, shape[2])),
            pt.broadcast_to(mu, shape[:1]),
            pt.broadcast_to(sigma.astype("float64") ** -2, shape[:1]),
        ]
        if variables.adjacency is not None:
            (p,) = variables.adjacency.owner.op.dist_params(variables.adjacency.owner)
            outputs.append(pt.broadcast_to(pt.log(p) - pt.log1p(-p), pairs))
        outputs = model.replace_rvs_by_values(outputs)
        self._has_edges = variables.adjacency is not None
        inputs = [v for v in model.value_vars if v in ancestors(outputs)]
        self._names = [v.name for v in inputs]
        options = {"mode": INTERPRETED} | (compile_kwargs or {})
        self._function = pymc_compile(inputs, outputs, trust_input=True, **options)

    def __call__(self, point: Mapping[str, NDArray]) -> NetworkPrior:
        """Evaluate at a point (names of value variables to arrays)."""
        mean, precision, mu, tau, *edges = self._function(*[point[name] for name in self._names])
        return NetworkPrior(edges[0] if self._has_edges else None, mean, precision, mu, tau)


class DispersionFunction:
    """The shape of the observation law as a function of a point, (post,).

    Parameters
    ----------
    model : pymc.Model
    variables : NetworkVariables
        Their law learns its shape.
    compile_kwargs : dict, optional
        For ``pymc.pytensorf.compile``.
    """

    def __init__(
        self, model: pm.Model, variables: NetworkVariables, compile_kwargs: dict | None = None
    ):
        shape = variables.observation.parameter(variables.spikes)
        if shape is None:
            raise AssertionError("the shape of this law is not learned")
        start = model.initial_point(0)[model.rvs_to_values[variables.bias].name]
        outputs = model.replace_rvs_by_values([pt.broadcast_to(shape, start.shape)])
        inputs = [v for v in model.value_vars if v in ancestors(outputs)]
        self._names = [v.name for v in inputs]
        options = {"mode": INTERPRETED} | (compile_kwargs or {})
        self._function = pymc_compile(inputs, outputs, trust_input=True, **options)

    def __call__(self, point: Mapping[str, NDArray]) -> NDArray[np.float64]:
        """Evaluate at a point (names of value variables to arrays)."""
        return self._function(*[point[name] for name in self._names])[0].astype(np.float64)
