"""Gibbs sampling of the noise variance of traces, as a PyMC step method."""

from typing import Any, ClassVar

import numpy as np
import pymc as pm
from pymc.blocking import PointType, StatsType
from pymc.step_methods.state import dataclass_state
from pymc.util import RandomGenerator
from pytensor.tensor.random.basic import InvGammaRV

from pymc_glm.graph.data import spike_data
from pymc_glm.steps.network_step import NetworkStepState
from pymc_glm.steps.observation_parameter import ObservationParameterStep

__all__ = ["NoiseGibbs"]


@dataclass_state
class NoiseGibbsState(NetworkStepState):
    """Nothing is learned in the tuning."""


class NoiseGibbs(ObservationParameterStep):
    r"""Draw the variance of the noise of Gaussian traces, given all activations.

    .. math:: \sigma^2_n \mid y, \psi \sim \mathrm{InverseGamma}\left(\alpha + \frac{T}{2},
        \beta + \frac{1}{2} \sum_t (y_{tn} - \psi_{tn})^2\right)

    [1]_, for ``observation="gaussian"`` with an inverse gamma prior.

    Parameters
    ----------
    vars : list of variables, optional
        The variance, the default.
    model : pymc.Model, optional
        By default the model in context.
    engine, threads
        As for `WeightHMC`.
    rng, initial_point, compile_kwargs
        As for other PyMC step methods.

    Raises
    ------
    ValueError
        The model has no network GLM of traces with an inverse gamma prior of the noise variance;
        `threads` is below 1.

    References
    ----------
    .. [1] Gelman et al. (2013), Bayesian Data Analysis, section 2.6.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> traces = np.random.default_rng(1).normal(size=(300, 2))
    >>> basis = pg.basis.raised_cosine(1, window=0.5, bin_width=0.1)
    >>> with pg.build_glm(traces, basis, observation="gaussian") as model:
    ...     step = pg.NoiseGibbs(threads=1)
    >>> [variable.name for variable in step.vars]
    ['noise_variance_log__']
    """

    name = "noise_gibbs"
    conjugate = InvGammaRV
    observation = "gaussian"
    wanted = "noise variance with an inverse gamma prior, as of observation='gaussian'"
    _state_class = NoiseGibbsState
    stats_dtypes_shapes: ClassVar[dict] = {}

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

    def step(self, point: PointType) -> tuple[PointType, StatsType]:
        """Draw the variances."""
        bias, _, weights = self._state(point)
        alpha, beta = self._prior_parameters(point)
        given = self._given._replace(dispersion=np.ones(bias.size))
        likely = self.engine.log_likelihoods(given, bias, weights)
        each = np.full(bias.size, self.data.history.n_bins / 2.0)
        shape, rate = alpha + self._pooled(each), beta - self._pooled(likely)
        variance = rate / self.rng.gamma(shape, 1.0, self._shape)
        return point | {self._names["parameter"]: np.log(variance)}, [{}]
