"""The dispersion of negative binomial counts from its conditional, as a PyMC step method."""

from typing import Any, ClassVar

import numpy as np
import pymc as pm
from numpy.typing import NDArray
from pymc.blocking import PointType, StatsType
from pymc.step_methods.state import dataclass_state
from pymc.util import RandomGenerator
from pytensor.tensor.random.basic import GammaRV

from pymc_glm.graph.data import SpikeData, spike_data
from pymc_glm.graph.shared import Shared
from pymc_glm.kernels.dispersion_tables import (
    count_tables,
    draw_tables,
    log_rising_factorials,
)
from pymc_glm.kernels.prior import NetworkPrior
from pymc_glm.steps.network_step import NetworkStepState
from pymc_glm.steps.observation_parameter import ObservationParameterStep

__all__ = ["DispersionGibbs"]


_TARGET = 0.4  # acceptance to which steps are tuned
_FIRST = 0.3  # standard deviation of the first steps of the log dispersion


@dataclass_state
class DispersionGibbsState(NetworkStepState):
    """What the Metropolis steps have learned in the tuning."""

    tune: bool
    tried: int
    log_step: Any


class DispersionGibbs(ObservationParameterStep):
    """Draw the dispersion of negative binomial counts, given all activations.

    It is drawn from its conditional under a gamma prior, with the tables of a Chinese restaurant in
    each bin [1]_. Given the activation it hardly moves, for the mean count is their product. So a
    Metropolis step of dispersion and bias together follows, which keeps mean counts. The cost is
    that of three evaluations of the activation.

    Parameters
    ----------
    vars : list of variables, optional
        The dispersion, the default.
    model : pymc.Model, optional
        By default the model in context.
    engine, threads
        As for `WeightHMC`.
    rng, initial_point, compile_kwargs
        As for other PyMC step methods.

    Raises
    ------
    ValueError
        The model has no network GLM of negative binomial counts with a gamma prior of the
        dispersion; `threads` is below 1.

    Notes
    -----
    Lengths of Metropolis steps are tuned, then fixed. Statistic: ``dispersion_acceptance``.

    References
    ----------
    .. [1] Zhou & Carin (2015), IEEE Trans. Pattern Anal. Mach. Intell. 37:307, equations 8 and 9.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> counts = np.random.default_rng(1).negative_binomial(2, 0.7, (300, 2))
    >>> basis = pg.basis.raised_cosine(1, window=0.1, bin_width=0.02)
    >>> with pg.build_glm(counts, basis, observation="negative_binomial") as model:
    ...     step = pg.DispersionGibbs(threads=1)
    >>> [variable.name for variable in step.vars]
    ['dispersion_log__']
    """

    name = "dispersion_gibbs"
    conjugate = GammaRV
    observation = "negative_binomial"
    wanted = "dispersion with a gamma prior, as of observation='negative_binomial'"
    _state_class = DispersionGibbsState
    stats_dtypes_shapes: ClassVar[dict] = {"dispersion_acceptance": (np.float64, [])}

    def __init__(
        self,
        vars: Any = None,
        *,
        model: pm.Model | None = None,
        engine: str | None = None,
        threads: int | None = None,
        rng: RandomGenerator = None,
        initial_point: PointType | None = None,
        compile_kwargs: dict | None = None,
    ):
        model, network = self._find(vars, model)
        super().__init__(model, network, engine, threads, rng, compile_kwargs)
        self.condition_on(spike_data(model, network))
        self.forget()

    def condition_on(self, data: Shared[SpikeData]) -> None:
        """Condition the step on other data, see `NetworkStep.condition_on`."""
        super().condition_on(data)
        self._at_least = count_tables(data.value.likelihood.counts)

    def forget(self) -> None:
        """Forget the lengths of the Metropolis steps."""
        self.tune, self.tried = True, 0
        self.log_step = np.full(self._shape, np.log(_FIRST))

    def step(self, point: PointType) -> tuple[PointType, StatsType]:
        """Draw the dispersion given the activation, then move it with the biases."""
        bias, _, weights = self._state(point)
        gamma = self._prior_parameters(point)
        dispersion = self._draw(gamma, bias, weights)
        dispersion, bias, acceptance = self._move(gamma, point, dispersion, bias, weights)
        new = {self._names["parameter"]: np.log(dispersion), self._names["bias"]: bias}
        return point | new, [{"dispersion_acceptance": float(np.mean(acceptance))}]

    def _draw(self, gamma: list[NDArray], bias: NDArray, weights: NDArray) -> NDArray:
        """Draw the tables, then the dispersion."""
        sums = self.engine.softplus_sums(self._given, bias, weights)
        tables = draw_tables(self._at_least, np.asarray(self._dispersion), self.rng)
        shape, scale = gamma
        # r | tables ~ Gamma(shape + tables, 1 / scale + sums)
        rate = 1.0 / scale + self._pooled(sums)
        return self.rng.gamma(shape + self._pooled(tables), 1.0 / rate, self._shape)

    def _move(
        self,
        gamma: list[NDArray],
        point: PointType,
        dispersion: NDArray,
        bias: NDArray,
        weights: NDArray,
    ) -> tuple[NDArray, NDArray, NDArray]:
        """Move log dispersion and bias in opposite directions."""
        step = np.exp(self.log_step) * self.rng.standard_normal(self._shape)
        prior = self.network_prior(point)
        moved, moved_bias = dispersion * np.exp(step), bias - step
        change = self._log_density(gamma, prior, moved, moved_bias, weights)
        change -= self._log_density(gamma, prior, dispersion, bias, weights)
        acceptance = np.exp(np.minimum(change, 0.0))
        accepted = self.rng.random(self._shape) < acceptance
        if self.tune:
            self.tried += 1
            self.log_step = self.log_step + (acceptance - _TARGET) / np.sqrt(self.tried)
        dispersion = np.where(accepted, moved, dispersion)
        return dispersion, np.where(accepted, moved_bias, bias), acceptance

    def _log_density(
        self,
        gamma: list[NDArray],
        prior: NetworkPrior,
        dispersion: NDArray,
        bias: NDArray,
        weights: NDArray,
    ) -> NDArray:
        """Return the log density of log dispersion and biases, up to a constant."""
        each = np.broadcast_to(dispersion, bias.shape).copy()
        given = self._given._replace(dispersion=each)
        likely = self.engine.log_likelihoods(given, bias, weights)
        likely += log_rising_factorials(self._at_least, each)
        likely -= 0.5 * prior.bias_precision * (bias - prior.bias_mean) ** 2
        shape, scale = gamma
        return self._pooled(likely) + shape * np.log(dispersion) - dispersion / scale
