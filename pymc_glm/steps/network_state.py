"""What every step method shares: the network's variables found in the graph, and its prior.

The graph is the only contract between a model and its steps. Variables are found by their types,
data in the data containers.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray
from pymc.pytensorf import compile as pymc_compile
from pymc.step_methods.compound import BlockedStep
from pytensor.compile.mode import Mode
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.graph.traversal import ancestors, walk
from pytensor.scalar.basic import Cast
from pytensor.tensor.variable import TensorVariable
from scipy.special import expit, logit

from pymc_glm.distributions import BaselineRV, CovariateWeightsRV, EdgeRV, SpikeAndSlabRV
from pymc_glm.kernels.history import history_product
from pymc_glm.kernels.polya_gamma import NetworkPrior
from pymc_glm.observations import Observation, observation_of

__all__ = [
    "CONTAINERS",
    "INTERPRETED",
    "NetworkData",
    "NetworkVariables",
    "PriorFunction",
    "ShapeFunction",
    "check_conditionals",
    "children",
    "data_values",
    "find_network",
    "find_networks",
    "observed_counts",
    "reduce_without_model",
    "relaxed",
]


# Seldom evaluated and small: not worth the seconds that compiling each operation takes.
INTERPRETED = Mode(linker="py", optimizer="fast_run").excluding("fusion", "inplace")
_CHECKED_BINS = 500


class NetworkVariables(NamedTuple):
    """The random variables of a network GLM."""

    bias: TensorVariable  # (post,)
    weights: TensorVariable  # (post, pre, basis)
    adjacency: TensorVariable | None  # (post, pre); None: every edge is present
    spikes: TensorVariable  # (time, post), observed
    observation: Observation
    parameter: TensorVariable | None = None  # of the law, (post,) or (), where it is learned
    covariates: TensorVariable | None = None  # weights (post, covariate), where there are any

    def holds(self, vars: Any, model: pm.Model) -> bool:
        """Tell whether one of some random or value variables is of this network."""
        given = vars if isinstance(vars, list | tuple) else [vars]
        own = (self.bias, self.weights, self.adjacency, self.parameter, self.covariates)
        return any(model.values_to_rvs.get(v, v) in own for v in given)

    def container(self, model: pm.Model, name: str) -> Any:
        """Return a data container of the session, None if there is none."""
        before, separator, _ = str(self.weights.name).rpartition("::")
        return model.named_vars.get(f"{before}{separator}{name}")


def find_networks(model: pm.Model) -> list[NetworkVariables]:
    """Find the network GLMs in a model, one of each session.

    Raises
    ------
    ValueError
        There is none, or one without biases or observed counts of a known law.
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
        Random or value variables, to tell networks apart where there are several.

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
            f"the model has {len(found)} SpikeAndSlab variables {names}, of as many networks; say "
            "by vars= of which this is."
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
            f"the observed variable {spikes.name!r} follows {spikes.owner.op}, which is no known "
            "observation model of a network GLM."
        )
    parameter = observation.learned
    return NetworkVariables(
        bias,
        weights,
        next((rv for rv in of_type(EdgeRV) if rv in ancestors([weights])), None),
        spikes,
        observation,
        parameter if parameter in model.free_RVs else None,
        next(iter(of_type(CovariateWeightsRV)), None),
    )


def observed_counts(model: pm.Model, spikes: TensorVariable) -> NDArray:
    """Return the observed counts, (time, post), without a copy where they are in a container."""
    value = model.rvs_to_values[spikes]
    while value.owner and isinstance(getattr(value.owner.op, "scalar_op", None), Cast):
        (value,) = value.owner.inputs
    if isinstance(value, SharedVariable):
        return value.get_value(borrow=True)
    return np.asarray(value.eval(mode=INTERPRETED))


class NetworkData(NamedTuple):
    """What the data containers of a model hold."""

    counts: NDArray  # (time, pre), that make the history
    basis: NDArray[np.float64]  # (lag, basis)
    starts: NDArray[np.int64]  # (segment,): first bins of segments
    bins: NDArray[np.int64] | None  # bins that are data; None: all
    covariates: NDArray[np.float64] | None  # (time, covariate)


CONTAINERS = ("counts", "basis_functions", "segment_start", "data_bins", "covariates")


def data_values(model: pm.Model, network: NetworkVariables) -> NetworkData:
    """Return what the data containers of a network hold.

    Raises
    ------
    ValueError
        The model has no such data containers.
    """
    for name, dims in (("counts", "(time, pre)"), ("basis_functions", "(lag, basis)")):
        if network.container(model, name) is None:
            raise ValueError(
                f"the model has no data container {name!r} with dims {dims}; write the activation "
                "as bias + pymc_glm.coupling_activation(counts, basis_functions, weights) with "
                "counts = pm.Data('counts', ...), basis_functions = pm.Data('basis_functions', "
                "...)."
            )

    def optional(name: str) -> Any:
        container = network.container(model, name)
        return None if container is None else container.get_value(borrow=True)

    starts = optional("segment_start")
    return NetworkData(
        optional("counts"),
        np.asarray(optional("basis_functions"), dtype=np.float64),
        np.zeros(1, np.int64) if starts is None else np.asarray(starts, np.int64),
        optional("data_bins"),
        optional("covariates"),
    )


def children(variable: TensorVariable, model: pm.Model) -> list[TensorVariable]:
    """Return the random variables and potentials that have this one as a parent, not further on."""
    others = {*model.basic_RVs, *model.potentials} - {variable}

    def parents(node):
        return node.owner.inputs if node.owner and node not in others else []

    return [
        other for other in others if other.owner and variable in walk(other.owner.inputs, parents)
    ]


def check_conditionals(model: pm.Model, network: NetworkVariables, step: str) -> None:
    """Raise unless edges, weights and biases have the conditionals that the kernels draw from.

    Raises
    ------
    ValueError
        Something else in the model depends on edges, weights or biases, or the activation is not
        ``bias + coupling_activation(counts, basis_functions, weights)``.
    """
    bias, weights, adjacency, spikes, *_, covariates = network
    edges = [] if adjacency is None else [(adjacency, weights)]
    regressors = [] if covariates is None else [(covariates, spikes)]
    for variable, child in (*edges, (weights, spikes), (bias, spikes), *regressors):
        strangers = [c for c in children(variable, model) if c != child]
        if strangers:
            raise ValueError(
                f"{strangers[0].name!r} depends on {variable.name!r}; {step} draws "
                f"{variable.name!r} given {child.name!r} alone and would ignore it. Remove it."
            )
    _check_activation(model, network, step)


def _check_activation(model: pm.Model, network: NetworkVariables, step: str) -> None:
    """Raise unless the activation is made of known terms, judged by some bins."""
    bias, weights, covariates = network.bias, network.weights, network.covariates
    data = data_values(model, network)
    first = int(data.counts.any(axis=1).argmax())
    window = slice(first, first + _CHECKED_BINS)
    counts = np.ascontiguousarray(data.counts[window])
    starts = np.unique(np.clip(data.starts - first, 0, len(counts) - 1))
    shown: dict[str, Any] = {
        "counts": counts,
        "segment_start": starts.astype(np.int32),
        "data_bins": np.arange(len(counts), dtype=np.int32),
        "covariates": None if data.covariates is None else data.covariates[window],
    }
    containers = {name: network.container(model, name) for name in shown}
    givens = {c: pt.as_tensor(shown[n]) for n, c in containers.items() if c is not None}
    psi = model.replace_rvs_by_values([network.observation.psi(network.spikes)])
    inputs = [v for v in model.value_vars if v in ancestors(psi)]
    rng = np.random.default_rng(0)
    start = model.initial_point(0)
    # Small, so that psi is recovered from the probabilities to full precision.
    point = {v.name: rng.uniform(-0.1, 0.1, start[v.name].shape) for v in inputs}
    here = {
        rv: point[model.rvs_to_values[rv].name]
        for rv in (bias, weights, covariates)
        if rv is not None
    }
    expected = here[bias] + history_product(counts, data.basis, here[weights], starts)
    if covariates is not None and data.covariates is not None:
        units = 1.0 / np.maximum(np.abs(data.covariates).max(axis=0), 1e-300)
        here[covariates] *= units
        expected += data.covariates[window] @ here[covariates].T
    try:
        found = pymc_compile(inputs, psi, mode=INTERPRETED, givens=givens)(**point)[0]
    except ValueError:  # other terms have the length of the recording, not of the checked bins
        found = np.full((len(counts), len(here[weights])), np.nan)
    if not np.allclose(found, expected, atol=1e-4):
        raise ValueError(
            f"the activation of {network.spikes.name!r} is not bias + coupling_activation(counts, "
            f"basis_functions, weights), with covariates @ covariate_weights.T where there are "
            f"covariates; {step} would ignore what else is in it. Remove it."
        )


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


class ShapeFunction:
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


def _blank(kind: type) -> BlockedStep:
    return object.__new__(kind)


def reduce_without_model(step: BlockedStep) -> tuple:
    """Pickle a step by its state alone.

    ``BlockedStep`` keeps its arguments, the model among them, to be called with again when it is
    unpickled; with the model all its data would go to every process.
    """
    state = step.__getstate__() | {"_BlockedStep__newargs": ((), {})}
    return _blank, (type(step),), state
