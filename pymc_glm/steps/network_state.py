"""What every step method shares: the network's variables found in the graph, and its prior.

The graph is the only contract between a model and its steps. Variables are found by their types,
data in the data containers.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray
from pymc.pytensorf import compile as pymc_compile
from pytensor.graph.traversal import ancestors
from pytensor.tensor.variable import TensorVariable

from pymc_glm.distributions import BaselineRV, EdgeRV, SpikeAndSlabRV
from pymc_glm.kernels.polya_gamma import NetworkPrior
from pymc_glm.observations import Observation, observation_of

__all__ = ["NetworkVariables", "PriorFunction", "find_network", "observed_counts"]


class NetworkVariables(NamedTuple):
    """The random variables of a network GLM."""

    bias: TensorVariable  # (post,)
    weights: TensorVariable  # (post, pre, basis)
    adjacency: TensorVariable | None  # (post, pre); None: every edge is present
    spikes: TensorVariable  # (time, post), observed
    observation: Observation


def _only(variables: list, kind: str, model: pm.Model) -> TensorVariable:
    if len(variables) != 1:
        names = [v.name for v in variables]
        raise ValueError(
            f"the model has {len(variables)} {kind} variables {names}, a network GLM has one; "
            "build it with pymc_glm.build_glm."
        )
    return variables[0]


def find_network(model: pm.Model) -> NetworkVariables:
    """Find the variables of the network GLM in a model.

    Raises
    ------
    ValueError
        There is no network in the model, more than one, or one without observed counts.
    """

    def of_type(kind: type) -> list[TensorVariable]:
        return [rv for rv in model.free_RVs if isinstance(rv.owner.op, kind)]

    weights = _only(of_type(SpikeAndSlabRV), "SpikeAndSlab", model)
    bias = _only(of_type(BaselineRV), "Baseline", model)
    adjacency = next((rv for rv in of_type(EdgeRV) if rv in ancestors([weights])), None)
    observed = [rv for rv in model.observed_RVs if weights in ancestors([rv])]
    spikes = _only(observed, "observed", model)
    observation = observation_of(spikes)
    if observation is None:
        raise ValueError(
            f"the observed variable {spikes.name!r} follows {spikes.owner.op}, which is no known "
            "observation model of a network GLM."
        )
    return NetworkVariables(bias, weights, adjacency, spikes, observation)


def observed_counts(model: pm.Model, spikes: TensorVariable) -> NDArray[np.int64]:
    """Return the observed counts, (time, post)."""
    value = model.rvs_to_values[spikes]
    return np.asarray(value.eval(), dtype=np.int64)


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
            pt.broadcast_to(sigma**-2, shape[:1]),
        ]
        if variables.adjacency is not None:
            (p,) = variables.adjacency.owner.op.dist_params(variables.adjacency.owner)
            outputs.append(pt.broadcast_to(pt.log(p) - pt.log1p(-p), pairs))
        outputs = model.replace_rvs_by_values(outputs)
        self._has_edges = variables.adjacency is not None
        inputs = [v for v in model.value_vars if v in ancestors(outputs)]
        self._names = [v.name for v in inputs]
        self._function = pymc_compile(inputs, outputs, **(compile_kwargs or {}))
        self._function.trust_input = True
        self(model.initial_point(0))  # compiles now, not at the first draw

    def __call__(self, point: Mapping[str, NDArray]) -> NetworkPrior:
        """Evaluate at a point (names of value variables to arrays)."""
        mean, precision, mu, tau, *edges = self._function(*[point[name] for name in self._names])
        return NetworkPrior(edges[0] if self._has_edges else None, mean, precision, mu, tau)
