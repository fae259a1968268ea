"""What step methods of an observation law's own parameter have in common."""

from typing import Any, ClassVar

import numpy as np
import pymc as pm
from numpy.typing import NDArray
from pymc.blocking import PointType
from pymc.model import modelcontext
from pymc.pytensorf import compile as pymc_compile
from pymc.step_methods.compound import Competence
from pymc.util import RandomGenerator
from pytensor.graph.traversal import ancestors
from pytensor.tensor.variable import TensorVariable

from pymc_glm.graph.data import SpikeData, spike_data
from pymc_glm.graph.evaluate import INTERPRETED
from pymc_glm.graph.find import NetworkVariables, find_network, find_networks
from pymc_glm.graph.shared import Shared
from pymc_glm.steps.network_step import NetworkStep

__all__ = ["ObservationParameterStep"]


class ObservationParameterStep(NetworkStep):
    """A step method of the law's own parameter, whose prior is conjugate given something.

    A subclass names the prior that it knows.

    Raises
    ------
    ValueError
        The model has no network GLM with such a law, or the parameter has another prior.
    """

    draws = ("parameter",)
    conjugate: ClassVar[type]  # random variable type of the prior
    observation: ClassVar[str]  # that the parameter belongs to
    wanted: ClassVar[str]  # what the message asks for

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
        variable = network.parameter
        if variable is None or not self._knows(network):
            raise ValueError(
                f"the model has no {self.wanted}; {type(self).__name__} draws nothing else, "
                "pm.NUTS draws a parameter with another prior."
            )
        super().__init__(vars, model, threads, rng, compile_kwargs)
        outputs = model.replace_rvs_by_values(list(variable.owner.op.dist_params(variable.owner)))
        inputs = [v for v in model.value_vars if v in ancestors(outputs)]
        self._prior_names = [v.name for v in inputs]
        options = {"mode": INTERPRETED} | (compile_kwargs or {})
        self._prior_at = pymc_compile(inputs, outputs, trust_input=True, **options)

    @classmethod
    def _knows(cls, network: NetworkVariables) -> bool:
        variable = network.parameter
        return (
            variable is not None
            and network.observation.name == cls.observation
            and isinstance(variable.owner.op, cls.conjugate)
        )

    def _read(self, model: pm.Model, network: NetworkVariables) -> Shared[SpikeData]:
        self._like = model.initial_point(0)[model.rvs_to_values[network.parameter].name]
        return spike_data(model, network)

    def _prior_parameters(self, point: PointType) -> list[NDArray]:
        """Return the parameters of the prior."""
        return self._prior_at(*[point[key] for key in self._prior_names])

    def _pooled(self, values: NDArray) -> NDArray:
        """Sum over neurons if one parameter serves all of them."""
        return np.sum(values, axis=0 if self._like.ndim == 0 else ())

    @classmethod
    def competence(cls, var: TensorVariable, has_grad: bool = False) -> Competence:
        """Claim the parameter of the law if it has the conjugate prior."""
        model = pm.Model.get_context(error_if_none=False)
        if not isinstance(var.owner.op, cls.conjugate) or model is None:
            return Competence.INCOMPATIBLE
        try:
            networks = find_networks(model)
        except ValueError:
            return Competence.INCOMPATIBLE
        mine = any(network.parameter is var and cls._knows(network) for network in networks)
        return Competence.IDEAL if mine else Competence.INCOMPATIBLE

    @staticmethod
    def _progressbar_config(n_chains=1):
        return [], {}

    @staticmethod
    def _make_progressbar_update_functions():
        return (lambda stats: {},)
