"""The network prior and the learned dispersion as functions of a point."""

from collections.abc import Mapping

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray
from scipy.special import expit, logit

from pymc_glm.graph.evaluate import INTERPRETED, PointFunction, initial_point_of
from pymc_glm.graph.find import NetworkVariables
from pymc_glm.kernels.prior import NetworkPrior

__all__ = ["DispersionFunction", "PriorFunction", "fixed_adjacency", "relaxed"]


def relaxed(prior: NetworkPrior, share: float) -> NetworkPrior:
    """Shrink what the prior says about single pairs of neurons towards the average pair.

    Log odds of uncertain edges and slab means are interpolated; self-edges and certain edges stay
    as they are.

    Parameters
    ----------
    prior : NetworkPrior
    share : float
        From 0 (all pairs alike) to 1 (the prior itself).
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
            full = log_odds[uncertain]
            log_odds = log_odds.copy()
            log_odds[uncertain] = share * full + (1 - share) * logit(expit(full).mean())
    return prior._replace(log_odds=log_odds, mean=mean)


def fixed_adjacency(model: pm.Model, network: NetworkVariables) -> NDArray[np.int8]:
    """Return the edges (post, pre) of a network whose edges are all known."""
    adjacency, *_ = network.weights.owner.op.dist_params(network.weights.owner)
    shape = initial_point_of(model)[model.rvs_to_values[network.weights].name].shape[:2]
    values = np.asarray(adjacency.eval(mode=INTERPRETED))
    return np.array(np.broadcast_to(values, shape), dtype=np.int8)


class PriorFunction:
    """The network prior as a function of a point: hyperparameters in, `NetworkPrior` out.

    Parameters
    ----------
    model : pymc.Model
    network : NetworkVariables
    compile_kwargs : dict, optional
        For ``pymc.pytensorf.compile``.
    """

    def __init__(
        self, model: pm.Model, network: NetworkVariables, compile_kwargs: dict | None = None
    ):
        _, mean, whitening = network.weights.owner.op.dist_params(network.weights.owner)
        mu, sigma = network.bias.owner.op.dist_params(network.bias.owner)
        shape = initial_point_of(model)[model.rvs_to_values[network.weights].name].shape
        pairs = shape[:2]
        precision = (whitening[..., None] * whitening[..., None, :]).sum(axis=-3)  # Q'Q
        outputs = [
            pt.broadcast_to(mean, shape),
            pt.broadcast_to(precision, (*shape, shape[2])),
            pt.broadcast_to(mu, shape[:1]),
            pt.broadcast_to(sigma.astype("float64") ** -2, shape[:1]),
        ]
        if network.adjacency is not None:
            (p,) = network.adjacency.owner.op.dist_params(network.adjacency.owner)
            outputs.append(pt.broadcast_to(pt.log(p) - pt.log1p(-p), pairs))
        elif (fixed := fixed_adjacency(model, network)).min() == 0:
            outputs.append(pt.constant(np.where(fixed, np.inf, -np.inf)))
        self._evaluate = PointFunction(model, outputs, compile_kwargs)

    def __call__(self, point: Mapping[str, NDArray]) -> NetworkPrior:
        """Evaluate at a point (names of value variables to arrays)."""
        mean, precision, mu, tau, *edges = self._evaluate(point)
        return NetworkPrior(edges[0] if edges else None, mean, precision, mu, tau)


class DispersionFunction:
    """The learned dispersion of every neuron, (post,), as a function of a point.

    Parameters
    ----------
    model : pymc.Model
    network : NetworkVariables
        With an observation model whose parameter is learned.
    compile_kwargs : dict, optional
        For ``pymc.pytensorf.compile``.
    """

    def __init__(
        self, model: pm.Model, network: NetworkVariables, compile_kwargs: dict | None = None
    ):
        dispersion = network.observation.parameter(network.spikes)
        if dispersion is None:
            raise AssertionError("this observation model learns no parameter.")
        shape = initial_point_of(model)[model.rvs_to_values[network.bias].name].shape
        outputs = [pt.broadcast_to(dispersion, shape)]
        self._evaluate = PointFunction(model, outputs, compile_kwargs)

    def __call__(self, point: Mapping[str, NDArray]) -> NDArray[np.float64]:
        """Evaluate at a point (names of value variables to arrays)."""
        return self._evaluate(point)[0].astype(np.float64)
