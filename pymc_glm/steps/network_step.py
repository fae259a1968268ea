"""What step methods of edges, weights and biases have in common."""

import logging
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

from pymc_glm.distributions import (
    BaselineRV,
    CovariateWeightsRV,
    EdgeRV,
    LoadingsRV,
    SelfWeightsRV,
    SpikeAndSlabRV,
)
from pymc_glm.engines import Given, Network, make_engine
from pymc_glm.graph.checks import check_conditionals
from pymc_glm.graph.covariate_groups import CovariateTerms
from pymc_glm.graph.data import SpikeData
from pymc_glm.graph.find import NetworkVariables, as_variables, find_network, find_networks
from pymc_glm.graph.further_terms import FurtherCoefficients, has_further_terms
from pymc_glm.graph.prior import DispersionFunction, PriorFunction, fixed_adjacency, relaxed
from pymc_glm.graph.shared import Shared
from pymc_glm.kernels.prior import NetworkPrior
from pymc_glm.steps.pickling import reduce_without_model

__all__ = ["COMES_IN", "NetworkStep", "NetworkStepState"]

_KINDS = {
    "bias": BaselineRV,
    "weights": SpikeAndSlabRV,
    "adjacency": EdgeRV,
    "covariates": CovariateWeightsRV,
    "self_weights": SelfWeightsRV,
    "loadings": LoadingsRV,
}
COMES_IN, _ALL_IN = 0.1, 0.7  # parts of the tuning between which structure is phased in
_log = logging.getLogger("pymc_glm")


@dataclass_state
class NetworkStepState(StepMethodState):
    """How far a chain is in its tuning."""

    warm_up: int
    iteration: int


class NetworkStep(BlockedStep):
    """A step method that moves edges, weights or biases of every post neuron, given the prior.

    A subclass names the kinds of variables that it draws. Its ``__init__`` finds the network by
    `_find`, hands it down to this one, and ends with `condition_on`, where everything that is
    computed from the data is set, and `forget`.

    What the prior says about single pairs (through their blocks, positions or features) is phased
    in during the tuning. Structure is random at first, and edges drawn under it would keep it as it
    is: chains then stay in modes far below the highest. For a chain that continues from draws,
    which has its structure already, `gradual` is set to False.

    Parameters
    ----------
    model : pymc.Model
    network : NetworkVariables
    engine : str or None
    threads : int or None
    rng : seed or numpy.random.Generator
    compile_kwargs : dict or None

    Raises
    ------
    ValueError
        There is no such engine, or `threads` is below 1.
    """

    draws: ClassVar[tuple[str, ...]]  # fields of NetworkVariables
    gradual: bool = True  # whether structure is phased in
    is_default: ClassVar[bool] = True  # whether pm.sample chooses it by itself
    _state_class: ClassVar[type]

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Make one step for each network if there are several."""
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
            drawn = cls._drawn(network)
            if drawn:
                options = kwargs | {"vars": drawn, "rng": rng}
                step = super().__new__(cls, **options)
                step.__init__(**options)
                steps.append(step)
        return CompoundStep(steps)

    def __init__(
        self,
        model: pm.Model,
        network: NetworkVariables,
        engine: str | None,
        threads: int | None,
        rng: RandomGenerator,
        compile_kwargs: dict | None,
    ):
        self.vars = [model.rvs_to_values[rv] for rv in self._drawn(network)]
        self._names = {
            kind: model.rvs_to_values[rv].name
            for kind in ("bias", "weights", "adjacency", "parameter", "covariates")
            if (rv := getattr(network, kind)) is not None
        }
        self._prior = PriorFunction(model, network, compile_kwargs)
        self._covariates: CovariateTerms | None = None
        if network.covariates is not None:
            self._covariates = CovariateTerms(model, network, compile_kwargs)
        self._further: FurtherCoefficients | None = None
        if has_further_terms(network):
            self._further = FurtherCoefficients(model, network, compile_kwargs)
        self._fixed = None if network.adjacency is not None else fixed_adjacency(model, network)
        self._paths: NDArray | None = None
        self._delay: NDArray | None = None
        self.engine = make_engine(engine, threads)
        self.rng = get_random_generator(rng)
        self.warm_up = self.iteration = 0
        self._dispersion: NDArray | None = None
        self._dispersion_at: DispersionFunction | None = None
        if network.observation.parameter(network.spikes) is not None:
            self._dispersion_at = DispersionFunction(model, network, compile_kwargs)

    @classmethod
    def _drawn(cls, network: NetworkVariables) -> list[TensorVariable]:
        """Return the variables of a network that the step draws."""
        return [rv for kind in cls.draws if (rv := getattr(network, kind)) is not None]

    @classmethod
    def _find(cls, vars: Any, model: pm.Model | None) -> tuple[pm.Model, NetworkVariables]:
        """Find the network, and check that the step draws `vars` and knows all that it involves."""
        model = modelcontext(model)
        network = find_network(model, vars)
        cls._check_network(network)
        drawn = cls._drawn(network)
        for variable in as_variables(vars):
            random = model.values_to_rvs.get(variable, variable)
            if random not in drawn and not cls._accepts(random, model, network):
                raise ValueError(
                    f"vars: got {variable.name!r}, {cls.__name__} draws "
                    f"{[model.rvs_to_values[rv].name for rv in drawn]} and always all of them; "
                    "leave vars out."
                )
        check_conditionals(model, network, cls.__name__)
        return model, network

    @classmethod
    def _accepts(cls, variable: TensorVariable, model: pm.Model, network: NetworkVariables) -> bool:
        """Return whether the step draws a hyperparameter too."""
        return False

    @classmethod
    def _check_network(cls, network: NetworkVariables) -> None:
        """Raise ValueError if the network is not one that this step method can draw."""

    def condition_on(self, data: Shared[SpikeData]) -> None:
        """Condition the step on other data, of the same neurons, covariates and basis.

        Parameters
        ----------
        data : Shared of SpikeData
            History and counts, see `pymc_glm.graph.data.spike_data`.
        """
        self._shared: Shared = data
        self.engine.hold(data)

    def forget(self) -> None:
        """Forget what the tuning has learned."""

    @property
    def weights_name(self) -> str:
        """Name of the weights in a point."""
        return self._names["weights"]

    @property
    def data(self) -> Any:
        """History and counts as the engine holds them."""
        return self._shared.value

    @property
    def _given(self) -> Given:
        """Dispersion, paths and delays of the point of the last `_state`."""
        return Given(self._dispersion, self._paths, self._delay)

    @property
    def _coefficients(self) -> FurtherCoefficients:
        """Self-weights and loadings, of a network with shared input."""
        if self._further is None:
            raise AssertionError("the network has no shared input.")
        return self._further

    def setup_chain(self, rng: RandomGenerator, tune: int, draws: int) -> None:
        """Start a chain with nothing learned."""
        super().setup_chain(rng, tune, draws)
        self.warm_up, self.iteration = tune, 0
        self.forget()

    def _next_prior(self, point: PointType) -> NetworkPrior:
        """Return the network prior for the next draw."""
        prior = self._prior(point)
        self.iteration += 1
        if self.gradual and self.iteration <= _ALL_IN * self.warm_up:
            ramp = (self.iteration / self.warm_up - COMES_IN) / (_ALL_IN - COMES_IN)
            prior = relaxed(prior, max(ramp, 0.0))
        if self._covariates is not None:
            prior = self._covariates.join_prior(prior, point)
        return prior if self._further is None else self._further.join_prior(prior, point)

    def network_prior(self, point: PointType) -> NetworkPrior:
        """Return the network prior at a point (values of the model's value variables)."""
        return self._prior(point)

    @classmethod
    def competence(cls, var: TensorVariable, has_grad: bool = False) -> Competence:
        """Claim edges, weights or biases of a network GLM."""
        kind = type(var.owner.op)
        if kind not in [_KINDS[drawn] for drawn in cls.draws]:
            return Competence.INCOMPATIBLE
        if kind is BaselineRV and pm.Model.get_context(error_if_none=False) is None:
            _log.warning(
                "call pm.sample inside the model's context (with model: ...); outside it, the "
                "hyperparameters are left to pm.NUTS, which evaluates the likelihood of all spikes."
            )
        return Competence.IDEAL if cls.is_default else Competence.COMPATIBLE

    def _state(self, point: PointType) -> Network:
        """Return copies of bias, adjacency and weights; the point may be shared with others.

        Covariates, self-weights and loadings come after the pre neurons. From here on, `_given` is
        that of the point.
        """
        if self._dispersion_at is not None:
            self._dispersion = self._dispersion_at(point)
        bias, weights = (np.array(point[self._names[kind]]) for kind in ("bias", "weights"))
        if self._fixed is None:
            adjacency = np.array(point[self._names["adjacency"]])
        else:
            adjacency = self._fixed.copy()
        if self._covariates is not None:
            adjacency, weights = self._covariates.join(point, adjacency, weights, self.rng)
        if self._further is not None:
            adjacency, weights = self._further.join(point, adjacency, weights, self.rng)
            if self._further.paths_name is not None:
                self._paths = np.array(point[self._further.paths_name])
            if self._further.delays_name is not None:
                self._delay = np.array(point[self._further.delays_name], dtype=np.int64)
        return Network(bias, adjacency, weights)

    def _moved(self, point: PointType, network: Network) -> PointType:
        """Return the point with new values of what `_state` returned."""
        bias, adjacency, weights = network
        further: PointType = {}
        if self._further is not None:
            weights, further = self._further.split(weights)
        new = {"bias": bias, "adjacency": adjacency[:, : bias.size], "weights": weights}
        if self._covariates is not None:
            new["weights"], new["covariates"] = self._covariates.split(weights)
        names = self._names
        moved = {names[k]: np.ascontiguousarray(new[k]) for k in new if k in names}
        return point | moved | further

    @staticmethod
    def _progressbar_config(n_chains=1):
        return [], {}

    @staticmethod
    def _make_progressbar_update_functions():
        return (lambda stats: {},)

    def __reduce_ex__(self, protocol: Any) -> tuple:
        """Pickle without the model, whose data would be held twice."""
        return reduce_without_model(self)
