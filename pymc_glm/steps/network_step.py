"""What step methods of edges, weights and biases have in common."""

import logging
from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
import pymc as pm
from numpy.typing import NDArray
from pymc.blocking import PointType
from pymc.model import modelcontext
from pymc.step_methods.compound import (
    BlockedStep,
    Competence,
    CompoundStep,
    StepMethodState,
)
from pymc.step_methods.state import dataclass_state
from pymc.util import RandomGenerator, get_random_generator
from pytensor.tensor.variable import TensorVariable

from pymc_glm.distributions import BaselineRV, CovariateWeightsRV, EdgeRV, SpikeAndSlabRV
from pymc_glm.graph.checks import check_conditionals
from pymc_glm.graph.covariate_groups import CovariateTerms
from pymc_glm.graph.find import NetworkVariables, find_network, find_networks
from pymc_glm.graph.prior import DispersionFunction, PriorFunction, relaxed
from pymc_glm.graph.shared import Shared
from pymc_glm.graph.threads import Threads
from pymc_glm.kernels.prior import NetworkPrior
from pymc_glm.steps.pickling import reduce_without_model

__all__ = ["NetworkStep", "NetworkStepState"]

_KINDS = {
    "bias": BaselineRV,
    "weights": SpikeAndSlabRV,
    "adjacency": EdgeRV,
    "covariates": CovariateWeightsRV,
}
_COMES_IN, _ALL_IN = 0.1, 0.7  # of the tuning: structure comes in, and is all there
_log = logging.getLogger("pymc_glm")


@dataclass_state
class NetworkStepState(StepMethodState):
    """Where a chain is in its tuning."""

    warm_up: int
    iteration: int


class NetworkStep(BlockedStep):
    """A step method that moves edges, weights or biases of every post neuron, given the prior.

    A subclass names the kinds of variables that it draws and reads the data that its kernel needs.

    What the prior says of single pairs (by their blocks, positions, features) comes in gradually
    during the tuning. Structure is random at first, and edges drawn by it would hold it where it
    is: chains then stay in modes far below the highest. A chain that goes on from draws, where
    structure is there already, has `gradual` set to False.

    Parameters
    ----------
    vars : list of variables or None
    model : pymc.Model or None
    threads : int or None
    rng : seed or numpy.random.Generator
    compile_kwargs : dict or None

    Raises
    ------
    ValueError
        The model has no network GLM, or one with terms that the kernels do not know; a variable is
        none of those drawn here; `threads` is below 1.
    """

    draws: ClassVar[tuple[str, ...]]  # fields of NetworkVariables
    gradual: bool = True  # whether structure comes in gradually
    is_default: ClassVar[bool] = True  # whether it is chosen where the user chooses nothing
    _state_class: ClassVar[type]

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Make one step for each network where there are several."""
        given = args[0] if args else kwargs.get("vars")
        model = modelcontext(kwargs.get("model"))
        try:
            networks = find_networks(model)
        except ValueError:  # __init__ says what is missing
            networks = []
        if given:
            networks = [network for network in networks if network.holds(given, model)]
        if len(networks) < 2:
            return super().__new__(cls, *args, **kwargs)
        rngs = get_random_generator(kwargs.pop("rng", None)).spawn(len(networks))
        steps = []
        for network, rng in zip(networks, rngs, strict=True):
            found = [rv for kind in cls.draws if (rv := getattr(network, kind)) is not None]
            if found:
                options = kwargs | {"vars": found, "rng": rng}
                step = super().__new__(cls, **options)
                step.__init__(**options)
                steps.append(step)
        return CompoundStep(steps)

    def __init__(
        self,
        vars: Any,
        model: pm.Model | None,
        threads: int | None,
        rng: RandomGenerator,
        compile_kwargs: dict | None,
    ):
        model = modelcontext(model)
        network = find_network(model, vars)
        found = [getattr(network, kind) for kind in self.draws]
        self.vars = [model.rvs_to_values[rv] for rv in found if rv is not None]
        self._check_vars(vars, model)
        check_conditionals(model, network, type(self).__name__)
        self._names = {
            kind: model.rvs_to_values[rv].name
            for kind in ("bias", "weights", "adjacency", "parameter", "covariates")
            if (rv := getattr(network, kind)) is not None
        }
        self._prior = PriorFunction(model, network, compile_kwargs)
        self._covariates: CovariateTerms | None = None
        if network.covariates is not None:
            self._covariates = CovariateTerms(model, network, compile_kwargs)
        n_posts = model.initial_point(0)[self._names["bias"]].size
        self._threads = Threads(threads, n_posts)
        self.rng = get_random_generator(rng)
        self.warm_up = self.iteration = 0
        self._shared = self._read(model, network)
        self._dispersion: NDArray | None = None
        learned = network.observation.parameter(network.spikes) is not None
        self._dispersion_at = (
            DispersionFunction(model, network, compile_kwargs) if learned else None
        )

    @abstractmethod
    def _read(self, model: pm.Model, network: NetworkVariables) -> Shared:
        """Read the data that the kernel needs from the model's containers."""

    @property
    def weights_name(self) -> str:
        """Name of the weights in a point."""
        return self._names["weights"]

    @property
    def data(self) -> Any:
        """What the kernel reads of counts and history."""
        data = self._shared.value
        return data if self._dispersion is None else data.with_dispersion(self._dispersion)

    def setup_chain(self, rng: RandomGenerator, tune: int, draws: int) -> None:
        """Start a chain."""
        super().setup_chain(rng, tune, draws)
        self.warm_up, self.iteration = tune, 0

    def _next_prior(self, point: PointType) -> NetworkPrior:
        """Return the network prior that the coming draw is made under."""
        prior = self._prior(point)
        self.iteration += 1
        if self.gradual and self.iteration <= _ALL_IN * self.warm_up:
            ramp = (self.iteration / self.warm_up - _COMES_IN) / (_ALL_IN - _COMES_IN)
            prior = relaxed(prior, max(ramp, 0.0))
        return prior if self._covariates is None else self._covariates.join_prior(prior, point)

    def network_prior(self, point: PointType) -> NetworkPrior:
        """Return the network prior at a point (values of the model's value variables)."""
        return self._prior(point)

    def _check_vars(self, vars: Any, model: pm.Model) -> None:
        given = [] if vars is None else vars if isinstance(vars, list | tuple) else [vars]
        for variable in given:
            if model.rvs_to_values.get(variable, variable) not in self.vars:
                raise ValueError(
                    f"vars: {variable.name!r} is not among what {type(self).__name__} draws, "
                    f"{[v.name for v in self.vars]}; it always draws all of them."
                )

    @classmethod
    def competence(cls, var: TensorVariable, has_grad: bool = False) -> Competence:
        """Claim edges, weights or biases of a network GLM."""
        kind = type(var.owner.op)
        if kind not in [_KINDS[drawn] for drawn in cls.draws]:
            return Competence.INCOMPATIBLE
        if kind is BaselineRV and pm.Model.get_context(error_if_none=False) is None:
            _log.warning(
                "call pm.sample inside the model's context (with model: ...): outside it the "
                "hyperparameters go to pm.NUTS, which evaluates the likelihood of all spikes."
            )
        return Competence.IDEAL if cls.is_default else Competence.COMPATIBLE

    def _state(self, point: PointType) -> tuple[NDArray, NDArray, NDArray]:
        """Return copies of bias, adjacency and weights; the point may be shared with others.

        Covariates stand after the pre neurons. The data are those of the point from here on: their
        law may have a learned shape.
        """
        if self._dispersion_at is not None:
            self._dispersion = self._dispersion_at(point)
        bias, weights = (np.array(point[self._names[kind]]) for kind in ("bias", "weights"))
        adjacency = np.ones((bias.size, bias.size), np.int8)
        if "adjacency" in self._names:
            adjacency = np.array(point[self._names["adjacency"]])
        if self._covariates is not None:
            adjacency, weights = self._covariates.join(point, adjacency, weights, self.rng)
        return bias, adjacency, weights

    def _moved(
        self, point: PointType, bias: NDArray, adjacency: NDArray, weights: NDArray
    ) -> PointType:
        """Return the point with what `_state` returned, moved."""
        new = {"bias": bias, "adjacency": adjacency[:, : bias.size], "weights": weights}
        if self._covariates is not None:
            new["weights"], new["covariates"] = self._covariates.split(weights)
        names = self._names
        return point | {names[k]: np.ascontiguousarray(new[k]) for k in new if k in names}

    def __reduce_ex__(self, protocol: Any) -> tuple:
        """Travel without the model: its data would go along and be held twice."""
        return reduce_without_model(self)
