"""NUTS for the hyperparameters of the network prior, without evaluating the spikes."""

from typing import Any

import pymc as pm
from pymc.model import modelcontext
from pymc.step_methods.compound import Competence
from pymc.step_methods.hmc.integration import CpuLeapfrogIntegrator
from pymc.util import get_value_vars_from_user_vars
from pytensor.graph.basic import Constant
from pytensor.graph.traversal import ancestors, graph_inputs
from pytensor.tensor.variable import TensorVariable

from pymc_glm.distributions import (
    BaselineRV,
    BlockLabelsRV,
    CovariateWeightsRV,
    EdgeRV,
    FactorPathsRV,
    LoadingsRV,
    SelfWeightsRV,
    SpikeAndSlabRV,
)
from pymc_glm.graph.evaluate import initial_point_of
from pymc_glm.graph.find import children
from pymc_glm.steps.density import ReproducibleDensity
from pymc_glm.steps.pickling import reduce_without_model

__all__ = ["NetworkNUTS"]

_NETWORK = (
    EdgeRV
    | SpikeAndSlabRV
    | BaselineRV
    | CovariateWeightsRV
    | SelfWeightsRV
    | LoadingsRV
    | FactorPathsRV
)


def _reaches_spikes_through_network_only(variable: TensorVariable, model: pm.Model) -> bool:
    """Return whether every path from a free variable to an observed one crosses the network."""
    for child in children(variable, model):
        if child in model.potentials:
            continue
        if isinstance(child.owner.op, BlockLabelsRV) and child in model.observed_RVs:
            continue
        if child in model.observed_RVs:
            return False
        if not isinstance(child.owner.op, _NETWORK) and not _reaches_spikes_through_network_only(
            child, model
        ):
            return False
    return True


def _is_network_hyperparameter(variable: TensorVariable, model: pm.Model) -> bool:
    observed = model.observed_RVs
    leads_somewhere = any(
        variable in ancestors([rv]) for rv in model.basic_RVs if isinstance(rv.owner.op, _NETWORK)
    )
    return (
        variable not in observed
        and not isinstance(variable.owner.op, _NETWORK)
        and not any(  # timescales go with the paths, see PathHMC
            child in model.free_RVs and isinstance(child.owner.op, FactorPathsRV)
            for child in children(variable, model)
        )
        and leads_somewhere
        and _reaches_spikes_through_network_only(variable, model)
    )


class _ModelLeftBehind:
    """Stand-in for the model in worker processes, which PyMC asks if the energy is not finite."""

    def point_logps(self) -> dict:
        """Return nothing: which factor is not finite is unknown here."""
        return {}


class NetworkNUTS(pm.NUTS):
    """NUTS for all continuous variables of the network prior.

    The log density is restricted to the factors that involve these variables (their Markov
    blanket), so that the cost of a leapfrog step does not depend on the length of the recording.
    ``pm.NUTS`` would evaluate the likelihood of all spikes, which does not depend on the
    hyperparameters given edges, weights and biases.

    Parameters
    ----------
    vars : list of variables, optional
        By default every continuous variable that affects observed ones only through edges, weights
        and biases.
    model : pymc.Model, optional
        By default the model in context.
    target_accept : float
        By default 0.98: the conditional density changes with the edges, and is narrow when few are
        present.
    **kwargs
        As for `pymc.NUTS`.

    Raises
    ------
    ValueError
        There is nothing to draw, or a variable affects observed ones in another way.

    References
    ----------
    .. [1] Hoffman & Gelman (2014), JMLR 15:1593.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> basis = pg.basis.raised_cosine(1, window=0.05, bin_width=0.005)
    >>> with pg.build_glm(np.eye(50, 2, dtype=int), basis, weights=pg.GaussianWeights(0.0, 1.0)):
    ...     step = pg.NetworkNUTS()
    >>> [variable.name for variable in step.vars][:2]
    ['edge_probability_logodds__', 'self_edge_probability_logodds__']
    """

    name = "network_nuts"

    def __init__(
        self,
        vars: Any = None,
        *,
        model: pm.Model | None = None,
        target_accept: float = 0.98,
        **kwargs: Any,
    ):
        model = modelcontext(model)
        free = [rv for rv in model.free_RVs if _is_network_hyperparameter(rv, model)]
        allowed = [model.rvs_to_values[rv] for rv in free if rv.dtype.startswith("float")]
        chosen = allowed if vars is None else get_value_vars_from_user_vars(vars, model)
        if not chosen:
            raise ValueError(
                "the network prior has no learned continuous hyperparameters; leave NetworkNUTS "
                "out."
            )
        for value in chosen:
            if value not in allowed:
                raise ValueError(
                    f"vars: {value.name!r} affects the data other than through edges, weights and "
                    f"biases; NetworkNUTS draws {[v.name for v in allowed]}, pm.NUTS any variable."
                )
        point = kwargs.pop("initial_point", None) or initial_point_of(model)
        density = _blanket_density(model, chosen, point, kwargs.pop("compile_kwargs", None))
        super().__init__(
            chosen,
            model=model,
            logp_dlogp_func=density,
            initial_point=point,
            target_accept=target_accept,
            **kwargs,
        )

    def __getstate__(self) -> dict:
        """Leave out the model and its data, and what refers to the inside of the density."""
        state = {k: v for k, v in self.__dict__.items() if k not in ("shared", "integrator")}
        return state | {"_model": _ModelLeftBehind()}

    def __setstate__(self, state: dict) -> None:
        """Connect the density, which has been compiled anew."""
        self.__dict__.update(state)
        self.shared = self._logp_dlogp_func._extra_vars_shared
        self.integrator = CpuLeapfrogIntegrator(self.potential, self._logp_dlogp_func)

    def __reduce_ex__(self, protocol: Any) -> tuple:
        """Pickle without the model."""
        return reduce_without_model(self)

    @staticmethod
    def competence(var: TensorVariable, has_grad: bool = False) -> Competence:
        """Claim continuous hyperparameters of the network in the model in context."""
        if not has_grad or isinstance(var.owner.op, _NETWORK):
            return Competence.INCOMPATIBLE
        try:
            model = modelcontext(None)
        except TypeError:  # outside the model's context, PyMC does not say which model it is
            return Competence.INCOMPATIBLE
        if var in model.free_RVs and _is_network_hyperparameter(var, model):
            return Competence.IDEAL
        return Competence.INCOMPATIBLE


def _blanket_density(
    model: pm.Model, values: list, point: dict, compile_kwargs: dict | None
) -> ReproducibleDensity:
    """Compile the log density and its gradient, restricted to the variables' Markov blanket."""
    drawn = [model.values_to_rvs[value] for value in values]
    factors = {child for variable in drawn for child in children(variable, model)}
    others = model.basic_RVs + model.potentials
    blanket = drawn + [f for f in others if f in factors and f not in drawn]
    log_density = model.logp(vars=blanket, jacobian=True)
    inputs = {i for i in graph_inputs([log_density]) if not isinstance(i, Constant)}
    extra = {v: point[v.name] for v in model.value_vars if v in inputs and v not in values}
    function = ReproducibleDensity(
        [log_density],
        values,
        extra,
        model=model,
        initial_point=point,
        **(compile_kwargs or {}),
    )
    function.set_extra_values(point)
    function.trust_input = True
    return function
