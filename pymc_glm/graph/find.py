"""The variables of a network GLM, found in the graph of a PyMC model.

The graph is the only contract between a model and its step methods. Variables are found by their
types, data in the data containers.
"""

from typing import Any, NamedTuple

import pymc as pm
from pytensor.graph.traversal import ancestors, walk
from pytensor.tensor.variable import TensorVariable

from pymc_glm.distributions import (
    BaselineRV,
    CovariateWeightsRV,
    EdgeRV,
    FactorPathsRV,
    InputDelaysRV,
    LoadingsRV,
    SelfWeightsRV,
    SpikeAndSlabRV,
)
from pymc_glm.observations import Observation, observation_of
from pymc_glm.session_prefix import plain_name

__all__ = [
    "NetworkVariables",
    "as_variables",
    "children",
    "chosen",
    "find_network",
    "find_networks",
]


def as_variables(vars: Any) -> list:
    """Return the argument ``vars`` of a step method as a list, empty if it is None."""
    if vars is None:
        return []
    return list(vars) if isinstance(vars, list | tuple) else [vars]


def chosen(
    vars: Any, model: pm.Model, known: list[TensorVariable], drawn: str
) -> list[TensorVariable]:
    """Return those of the random variables that a step method is to draw, by default all.

    Parameters
    ----------
    vars : variable, list of variables or None
        Random or value variables.
    model : pymc.Model
    known : list of variables
        Random variables that the step method can draw.
    drawn : str
        What the step method draws, for the message.

    Raises
    ------
    ValueError
        `vars` has others.
    """
    if vars is None:
        return known
    values = [model.rvs_to_values.get(v, v) for v in as_variables(vars)]
    for value in values:
        if value not in [model.rvs_to_values[rv] for rv in known]:
            raise ValueError(f"vars: got {value.name!r}, {drawn}, {[rv.name for rv in known]}.")
    return [rv for rv in known if model.rvs_to_values[rv] in values]


class NetworkVariables(NamedTuple):
    """The random variables of a network GLM."""

    bias: TensorVariable  # (post,)
    weights: TensorVariable  # (post, pre, basis)
    adjacency: TensorVariable | None  # (post, pre); None: every edge is present
    spikes: TensorVariable  # (time, post), observed
    observation: Observation
    parameter: TensorVariable | None = None  # of the observation model, (post,) or (), if learned
    covariates: TensorVariable | None = None  # weights (post, covariate), if any
    self_weights: TensorVariable | None = None  # (post, self_basis), if there is a self filter
    loadings: TensorVariable | None = None  # (post, factor), if there is shared input
    factors: TensorVariable | None = None  # (grid,): paths of shared input
    delays: TensorVariable | None = None  # (post,): of shared input, if they are learned

    def holds(self, vars: Any, model: pm.Model) -> bool:
        """Return whether one of the given random or value variables belongs to this network."""
        held = [v for v in self if isinstance(v, TensorVariable)]
        return any(model.values_to_rvs.get(v, v) in held for v in as_variables(vars))

    def container(self, model: pm.Model, name: str) -> Any:
        """Return a data container of the network's session, or None."""
        weights = str(self.weights.name)
        prefix = weights.removesuffix(plain_name(weights))
        return model.named_vars.get(f"{prefix}{name}")


def find_networks(model: pm.Model) -> list[NetworkVariables]:
    """Find the network GLMs in a model, one for each session.

    Raises
    ------
    ValueError
        There is none, or one without biases, or without observed counts of a known observation
        model.
    """
    slabs = [rv for rv in model.free_RVs if isinstance(rv.owner.op, SpikeAndSlabRV)]
    if not slabs:
        raise ValueError(
            "the model has 0 SpikeAndSlab variables [], a network GLM has one; build it with "
            "pymc_glm.build_glm."
        )
    return [_network_of(weights, model) for weights in slabs]


def find_network(model: pm.Model, vars: Any = None) -> NetworkVariables:
    """Find the network GLM in a model.

    Parameters
    ----------
    model : pymc.Model
    vars : list of variables, optional
        Random or value variables of the network that is meant, if there are several.

    Raises
    ------
    ValueError
        There is no network in the model, more than one, or one without observed counts.
    """
    found = find_networks(model)
    if vars:
        found = [network for network in found if network.holds(vars, model)] or found
    if len(found) > 1:
        names = [str(network.weights.name) for network in found]
        raise ValueError(
            f"vars: the model has {len(found)} networks, with the SpikeAndSlab variables {names}; "
            "name variables of one of them."
        )
    return found[0]


def _network_of(weights: TensorVariable, model: pm.Model) -> NetworkVariables:
    def the(variables: list, kind: str) -> TensorVariable:
        if len(variables) != 1:
            raise ValueError(
                f"the model has {len(variables)} {kind} variables "
                f"{[v.name for v in variables]} beside {weights.name!r}, a network GLM has one; "
                "build it with pymc_glm.build_glm."
            )
        return variables[0]

    spikes = the([rv for rv in model.observed_RVs if weights in ancestors([rv])], "observed")
    parents = set(ancestors([spikes]))

    def of_type(kind: type) -> list[TensorVariable]:
        return [rv for rv in model.free_RVs if isinstance(rv.owner.op, kind) and rv in parents]

    bias = the(of_type(BaselineRV), "Baseline")
    the(of_type(SpikeAndSlabRV), "SpikeAndSlab")
    observation = observation_of(spikes)
    if observation is None:
        raise ValueError(
            f"the observed variable {spikes.name!r} follows {spikes.owner.op}, which is not a "
            "known observation model of a network GLM."
        )
    parameter = observation.learned
    return NetworkVariables(
        bias,
        weights,
        next((rv for rv in of_type(EdgeRV) if rv in ancestors([weights])), None),
        spikes,
        observation,
        parameter if parameter in model.free_RVs else None,
        *(
            next(iter(of_type(kind)), None)
            for kind in (
                CovariateWeightsRV,
                SelfWeightsRV,
                LoadingsRV,
                FactorPathsRV,
                InputDelaysRV,
            )
        ),
    )


def children(variable: TensorVariable, model: pm.Model) -> list[TensorVariable]:
    """Return the random variables and potentials of which this variable is a direct parent."""
    others = {*model.basic_RVs, *model.potentials} - {variable}

    def parents(node):
        return node.owner.inputs if node.owner and node not in others else []

    return [
        other for other in others if other.owner and variable in walk(other.owner.inputs, parents)
    ]
