"""Overdispersed initial points: only chains that start far apart can show convergence."""

from collections.abc import Callable

import numpy as np
import pymc as pm
from pymc.distributions.continuous import FlatRV, HalfFlatRV
from pymc.initial_point import make_initial_point_fn
from pytensor.graph.traversal import ancestors
from pytensor.tensor.variable import TensorVariable

from pymc_glm.distributions import BlockLabelsRV, NeuronSignRV
from pymc_glm.graph.data import observed_counts
from pymc_glm.graph.evaluate import PointFunction
from pymc_glm.graph.find import NetworkVariables, find_networks
from pymc_glm.graph.prior import fixed_adjacency
from pymc_glm.sampling.path_starts import SharedStart
from pymc_glm.steps.network_step import NetworkStep

__all__ = ["initial_points"]

_MOST_EDGES = 30  # onto a neuron at the start of a chain, on average


def initial_points(
    model: pm.Model, steps: NetworkStep | list[NetworkStep], chains: int, rng: np.random.Generator
) -> list[dict[str, np.ndarray]]:
    """Draw overdispersed initial values of bias, weights and adjacency, one dict per chain.

    Networks range from empty in the first chain to full in the last (in large networks, about 30
    edges onto each neuron); with shared input all are empty. Weights are small, and biases scatter
    by one unit of psi around the observed rates. Block labels are spread over all blocks, unknown
    signs of neurons are either with equal probability; other hyperparameters are drawn from their
    prior.

    Parameters
    ----------
    model : pymc.Model
    steps : PolyaGammaGibbs, EdgeMetropolis or WeightHMC, or a list of them
        Step methods of every network; they identify the edges whose probability is 0 or 1.
    chains : int
    rng : numpy.random.Generator
    """
    networks = find_networks(model)
    all_steps = steps if isinstance(steps, list) else [steps]
    by_network = {step.weights_name: step for step in reversed(all_steps)}
    known = {
        rv
        for network in networks
        for rv in (network.bias, network.weights, network.adjacency)
        if rv is not None
    }
    regressors = [
        rv
        for network in networks
        for rv in (network.covariates, network.self_weights, network.loadings, network.factors)
        if rv is not None
    ]
    known |= set(regressors)
    hyper = [rv for rv in model.free_RVs if rv not in known and rv in ancestors(known)]
    draw_hyper = _hyperparameter_draw(model, hyper + regressors)
    shared = [SharedStart(model, network) for network in networks if network.loadings is not None]
    starts: list[dict[str, np.ndarray]] = []
    for density in np.linspace(0, 1, chains) if chains > 1 else [0.5]:
        point = draw_hyper(int(rng.integers(2**30)))
        start = {name: point[name] for name in (model.rvs_to_values[rv].name for rv in hyper)}
        for network in networks:
            step = by_network[model.rvs_to_values[network.weights].name]
            start |= _network_start(model, network, step, density, point, rng)
        for rv in hyper:
            if isinstance(rv.owner.op, BlockLabelsRV):  # spread, as a single block is hard to split
                n_blocks = rv.owner.op.dist_params(rv.owner)[0].type.shape[0]
                start[str(rv.name)] = rng.permutation(point[str(rv.name)].size) % n_blocks
            elif isinstance(rv.owner.op, NeuronSignRV):
                start[str(rv.name)] = _signs(model, rv, point, rng)
        for rv in regressors:
            start[str(rv.name)] = 0.3 * point[str(rv.name)]
        for each in shared:
            start |= each.draw(point, rng)
        starts.append(start)
    return starts


def _signs(
    model: pm.Model, signs: TensorVariable, point: dict, rng: np.random.Generator
) -> np.ndarray:
    """Draw signs without regard to their probability, except where it is 0 or 1."""
    drawn = point[str(signs.name)]
    (p,) = PointFunction(model, signs.owner.op.dist_params(signs.owner))(point)
    unknown = np.broadcast_to((p > 0) & (p < 1), drawn.shape)
    return np.where(unknown, rng.choice([-1, 1], drawn.shape), drawn).astype(drawn.dtype)


def _network_start(
    model: pm.Model,
    network: NetworkVariables,
    step: NetworkStep,
    density: float,
    point: dict,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Draw initial values of one network; `density` is the fraction of the most edges allowed."""
    start: dict[str, np.ndarray] = {}
    rates = observed_counts(model, network.spikes).mean(axis=0)
    if network.observation.whole:
        rates = rates.clip(1e-4, network.observation.most / 2)
    if network.adjacency is None:
        adjacency = fixed_adjacency(model, network)
    else:
        fullest = min(1.0, _MOST_EDGES / rates.size)
        if network.loadings is not None:  # it explains what is shared before edges come in
            fullest = 0.0
        adjacency = (rng.random((rates.size, rates.size)) < density * fullest).astype(np.int8)
        log_odds = step.network_prior(point).log_odds
        adjacency[log_odds == np.inf] = 1
        adjacency[log_odds == -np.inf] = 0
        start[str(network.adjacency.name)] = adjacency
    weights = 0.3 * rng.standard_normal(point[str(network.weights.name)].shape)
    start[str(network.weights.name)] = weights * adjacency[:, :, None]
    center = network.observation.activation(rates, 1.0)
    start[str(network.bias.name)] = center + rng.standard_normal(rates.size)
    return start


def _hyperparameter_draw(model: pm.Model, hyper: list) -> Callable[[int], dict]:
    """Return a function of a seed that draws a point, its hyperparameters from their prior."""
    proper = [rv for rv in hyper if not isinstance(rv.owner.op, FlatRV | HalfFlatRV)]
    return make_initial_point_fn(model=model, overrides=dict.fromkeys(proper, "prior"))
