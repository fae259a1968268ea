"""Gibbs sampling of the signs of neurons, as a PyMC step method."""

from typing import Any, ClassVar

import numpy as np
import pymc as pm
from pymc.blocking import PointType, StatsType
from pymc.model import modelcontext
from pymc.step_methods.compound import BlockedStep, Competence, StepMethodState
from pymc.step_methods.state import dataclass_state
from pymc.util import RandomGenerator, get_random_generator
from pytensor.tensor.variable import TensorVariable
from scipy.special import expit

from pymc_glm.distributions import NeuronSignRV, SpikeAndSlabRV
from pymc_glm.graph.evaluate import initial_point_of
from pymc_glm.graph.find import children, chosen
from pymc_glm.graph.signs import SignOdds
from pymc_glm.steps.pickling import reduce_without_model

__all__ = ["SignGibbs"]


@dataclass_state
class SignGibbsState(StepMethodState):
    """Nothing is learned in the tuning."""


class SignGibbs(BlockedStep):
    r"""Draw the sign of every neuron, excitatory or inhibitory, from its exact conditional.

    .. math:: \frac{p(s_m = 1 \mid \ldots)}{p(s_m = -1 \mid \ldots)} = \frac{p}{1 - p}
        \prod_{n : A_{nm} = 1}
        \frac{\mathrm{Normal}(w_{nm}; \mu_+, \Sigma_+)}{\mathrm{Normal}(w_{nm}; -\mu_-, \Sigma_-)}

    Given weights and hyperparameters the signs are independent, so all are drawn at once. A neuron
    without edges takes its sign from the prior.

    Parameters
    ----------
    vars : list of variables, optional
        Signs; by default all in the model, those of several sessions one after the other.
    model : pymc.Model, optional
        By default the model in context.
    rng, initial_point, compile_kwargs
        As for other PyMC step methods.

    Raises
    ------
    ValueError
        The model has no unknown signs, or uses them in a way that this conditional does not cover.

    Notes
    -----
    Statistic: ``signs_changed``, over all sessions.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> counts = np.random.default_rng(1).poisson(0.05, (300, 4)).clip(0, 1)
    >>> basis = pg.basis.raised_cosine(1, window=0.05, bin_width=0.005)
    >>> with pg.build_glm(counts, basis, weights=pg.SignedWeights()) as model:
    ...     step = pg.SignGibbs()
    >>> [variable.name for variable in step.vars]
    ['signs']
    """

    name = "sign_gibbs"
    _state_class = SignGibbsState
    stats_dtypes_shapes: ClassVar[dict] = {"signs_changed": (np.int64, [])}

    def __init__(
        self,
        vars: Any = None,
        *,
        model: pm.Model | None = None,
        rng: RandomGenerator = None,
        initial_point: PointType | None = None,
        compile_kwargs: dict | None = None,
    ):
        model = modelcontext(model)
        signs = [rv for rv in model.free_RVs if isinstance(rv.owner.op, NeuronSignRV)]
        if not signs:
            raise ValueError(
                "the model has no unknown signs of neurons; build it with pymc_glm.SignedWeights, "
                "without signs= for all neurons, or leave SignGibbs out."
            )
        signs = chosen(vars, model, signs, "SignGibbs draws signs of neurons")
        self.vars = [model.rvs_to_values[rv] for rv in signs]
        point = initial_point_of(model) if initial_point is None else initial_point
        self._log_odds = {
            model.rvs_to_values[rv].name: SignOdds(model, rv, point, compile_kwargs) for rv in signs
        }
        self.rng = get_random_generator(rng)

    def __reduce_ex__(self, protocol: Any) -> tuple:
        """Pickle without the model, whose data would be held twice."""
        return reduce_without_model(self)

    def step(self, point: PointType) -> tuple[PointType, StatsType]:
        """Draw all signs."""
        point, changed = dict(point), 0
        for name, log_odds in self._log_odds.items():
            excitatory = self.rng.random(point[name].shape) < expit(log_odds(point))
            signs = np.where(excitatory, 1, -1).astype(point[name].dtype)
            changed += int((signs != point[name]).sum())
            point[name] = signs
        return point, [{"signs_changed": changed}]

    @staticmethod
    def competence(var: TensorVariable, has_grad: bool = False) -> Competence:
        """Claim the signs of the neurons of a network."""
        if not isinstance(var.owner.op, NeuronSignRV):
            return Competence.INCOMPATIBLE
        model = pm.Model.get_context(error_if_none=False)
        if model is not None and not any(
            isinstance(child.owner.op, SpikeAndSlabRV) for child in children(var, model)
        ):  # signs of something other than a network
            return Competence.INCOMPATIBLE
        return Competence.IDEAL

    @staticmethod
    def _progressbar_config(n_chains=1):
        return [], {}

    @staticmethod
    def _make_progressbar_update_functions():
        return (lambda stats: {},)
