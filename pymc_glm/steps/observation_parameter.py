"""What step methods of an observation model's parameter have in common."""

from typing import Any, ClassVar

import numpy as np
import pymc as pm
from numpy.typing import NDArray
from pymc.step_methods.compound import Competence
from pymc.util import RandomGenerator
from pytensor.tensor.variable import TensorVariable

from pymc_glm.graph.evaluate import PointFunction, initial_point_of
from pymc_glm.graph.find import NetworkVariables, find_networks
from pymc_glm.steps.network_step import NetworkStep

__all__ = ["ObservationParameterStep"]


class ObservationParameterStep(NetworkStep):
    """A step method of the observation model's parameter, whose prior is (partly) conjugate.

    A subclass names the observation model and the prior that it knows.

    Raises
    ------
    ValueError
        The model has no network GLM with this observation model, or another prior of its parameter.
    """

    draws = ("parameter",)
    conjugate: ClassVar[type]  # random variable type of the prior
    observation: ClassVar[str]  # name of the observation model
    wanted: ClassVar[str]  # what the message asks for

    def __init__(
        self,
        model: pm.Model,
        network: NetworkVariables,
        engine: str | None,
        threads: int | None,
        rng: RandomGenerator,
        compile_kwargs: dict | None,
    ):
        super().__init__(model, network, engine, threads, rng, compile_kwargs)
        parameter: Any = network.parameter
        self._shape = initial_point_of(model)[self._names["parameter"]].shape
        self._prior_parameters = PointFunction(
            model, parameter.owner.op.dist_params(parameter.owner), compile_kwargs
        )

    @classmethod
    def _check_network(cls, network: NetworkVariables) -> None:
        """Raise ValueError unless the parameter has the prior that this step knows."""
        if not cls._knows(network):
            raise ValueError(
                f"the model has no {cls.wanted}; {cls.__name__} draws nothing else, pm.NUTS draws "
                "a parameter with another prior."
            )

    @classmethod
    def _knows(cls, network: NetworkVariables) -> bool:
        variable = network.parameter
        return (
            variable is not None
            and network.observation.name == cls.observation
            and isinstance(variable.owner.op, cls.conjugate)
        )

    def _pooled(self, values: NDArray) -> NDArray:
        """Sum over neurons if they share one parameter."""
        return np.sum(values, axis=0 if self._shape == () else ())

    @classmethod
    def competence(cls, var: TensorVariable, has_grad: bool = False) -> Competence:
        """Claim the parameter of the observation model if it has the conjugate prior."""
        model = pm.Model.get_context(error_if_none=False)
        if not isinstance(var.owner.op, cls.conjugate) or model is None:
            return Competence.INCOMPATIBLE
        try:
            networks = find_networks(model)
        except ValueError:
            return Competence.INCOMPATIBLE
        mine = any(network.parameter is var and cls._knows(network) for network in networks)
        return Competence.IDEAL if mine else Competence.INCOMPATIBLE
