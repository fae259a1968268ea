"""Hamiltonian Monte Carlo of biases and present weights, as a PyMC step method."""

from typing import Any, ClassVar

import numpy as np
import pymc as pm
from pymc.blocking import PointType, StatsType
from pymc.step_methods.state import dataclass_state
from pymc.util import RandomGenerator

from pymc_glm.arguments import as_probability
from pymc_glm.engines import Averages, Network, metric_at
from pymc_glm.graph.data import SpikeData, spike_data
from pymc_glm.graph.shared import Shared
from pymc_glm.kernels.fisher import Metric
from pymc_glm.kernels.hmc import Trajectories
from pymc_glm.steps.interweaving import Interweaving, InterweavingTuning
from pymc_glm.steps.network_step import NetworkStep, NetworkStepState

__all__ = ["WeightHMC"]

_LENGTH = 1.5  # of a trajectory, in standard deviations
_MOST_STEPS = 12
_LARGEST_STEP = 1.2
_OFTEN = 0.2  # smallest inclusion of edges that have cross terms in the metric
_NEVER = 2.0  # the first metric, at the start of a chain, has none
_DUE = (5, 20, 60, 180, 540, 1620)  # iterations of the tuning in which the metric is computed
_MEMORY = 50  # iterations of the tuning over which coefficients are averaged


@dataclass_state
class WeightHMCState(NetworkStepState):
    """What the trajectories have learned in the tuning."""

    tune: bool
    step_size: Any
    metric: Any
    averages: Any
    hyper: Any  # InterweavingTuning


class WeightHMC(NetworkStep):
    """Draw bias and present weights of every post neuron jointly, without augmentation.

    Each iteration follows one trajectory for each post neuron. Its metric is the Fisher information
    at the coefficients' mean plus the prior precision, both restricted to the present edges. Some
    iterations add a trajectory of the hyperparameters that affect the weights alone, such as their
    mean and scale, which carries all weights with it: given the weights, these hyperparameters mix
    slowly if the spikes say little about single weights (interweaving [3]_).

    Parameters
    ----------
    vars : list of variables, optional
        Bias and weights, the default.
    model : pymc.Model, optional
        By default the model in context.
    target_accept : float
        Mean probability of acceptance to which step sizes are tuned, between 0 and 1.
    interweave : float
        Fraction of iterations, 0 to 1, with a trajectory of hyperparameters. There are none if the
        prior of the weights is fixed.
    engine : str, optional
        Where post neurons are moved, see `engine`; by default that of the context.
    threads : int, optional
        Threads over the post neurons of a chain. By default all cores in the main process, one in
        a worker process of parallel chains. Draws do not depend on it.
    rng, initial_point, compile_kwargs
        As for other PyMC step methods.

    Raises
    ------
    ValueError
        The model has no network GLM, or terms that the kernel does not know; `threads` is below 1;
        `target_accept` is not between 0 and 1, or `interweave` not from 0 to 1.

    Notes
    -----
    In the tuning, step sizes adapt to the acceptance, and the metric is recomputed at growing
    intervals; afterwards both are fixed. Statistics: ``weight_acceptance`` (mean probability
    over post neurons), ``weight_step_size`` (mean, in standard deviations), ``slab_acceptance`` (of
    the trajectory of hyperparameters, NaN without one).

    References
    ----------
    .. [1] Neal (2011), Handbook of Markov Chain Monte Carlo, chapter 5.
    .. [2] Girolami & Calderhead (2011), JRSS B 73:123 (the Fisher information as a metric).
    .. [3] Yu & Meng (2011), J. Comput. Graph. Statist. 20:531.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> counts = np.random.default_rng(1).poisson(0.05, (300, 2)).clip(0, 1)
    >>> basis = pg.basis.raised_cosine(1, window=0.05, bin_width=0.005)
    >>> with pg.dense_glm(counts, basis) as model:
    ...     step = pg.WeightHMC(threads=1)
    >>> [variable.name for variable in step.vars]
    ['bias', 'weights']
    """

    name = "weight_hmc"
    draws = ("bias", "weights", "covariates", "self_weights", "loadings")
    _state_class = WeightHMCState
    stats_dtypes_shapes: ClassVar[dict] = {
        "weight_acceptance": (np.float64, []),
        "weight_step_size": (np.float64, []),
        "slab_acceptance": (np.float64, []),
    }

    def __init__(
        self,
        vars: Any = None,
        *,
        model: pm.Model | None = None,
        target_accept: float = 0.8,
        interweave: float = 0.3,
        engine: str | None = None,
        threads: int | None = None,
        rng: RandomGenerator = None,
        initial_point: PointType | None = None,
        compile_kwargs: dict | None = None,
    ):
        self._target = as_probability(target_accept, "target_accept")
        if not 0 <= interweave <= 1:
            raise ValueError(f"interweave: got {interweave!r}, allowed are numbers from 0 to 1.")
        self._interweave = interweave
        model, network = self._find(vars, model)
        super().__init__(model, network, engine, threads, rng, compile_kwargs)
        self.interweaving = Interweaving(model, network, self.engine, compile_kwargs)
        self.condition_on(spike_data(model, network))
        self.forget()

    def condition_on(self, data: Shared[SpikeData]) -> None:
        """Condition the step on other data, see `NetworkStep.condition_on`."""
        super().condition_on(data)
        self.interweaving.condition_on_data()

    def forget(self) -> None:
        """Forget step sizes, metric, averages, and how to move hyperparameters."""
        self.tune = True
        self.step_size = np.full(len(self.data.likelihood.counts), 0.3)
        self.metric: Any = None
        self.averages: Any = None
        self.hyper: Any = None

    def step(self, point: PointType) -> tuple[PointType, StatsType]:
        """Move every post neuron's bias and weights along one trajectory."""
        network = self._state(point)
        self._learn(network)
        n_post = network.bias.size
        size = self.step_size * self.rng.uniform(0.8, 1.2, n_post)
        trajectories = Trajectories(
            self.rng.standard_normal((n_post, 1 + network.weights[0].size)),
            self.rng.random(n_post),
            size,
            np.clip(np.rint(_LENGTH / self.step_size), 1, _MOST_STEPS).astype(np.int64),
        )
        network, acceptance = self.engine.move_weights(
            self._given, self._next_prior(point), self.metric, trajectories, network
        )
        if self.tune:
            gain = min(1.0, 3.0 / np.sqrt(self.averages.seen))
            larger = self.step_size * np.exp(gain * (acceptance - self._target))
            self.step_size = larger.clip(0.01, _LARGEST_STEP)
        values, network, hyper_acceptance = self._move_hyperparameters(point, network)
        stats = {
            "weight_acceptance": float(acceptance.mean()),
            "weight_step_size": float(self.step_size.mean()),
            "slab_acceptance": hyper_acceptance,
        }
        return self._moved(point | values, network), [stats]

    def _move_hyperparameters(
        self, point: PointType, network: Network
    ) -> tuple[PointType, Network, float]:
        """Move hyperparameters together with all weights."""
        moves, n_pre = self.interweaving, network.bias.size
        if not moves.names:
            return {}, network, np.nan
        if self.hyper is None:
            self.hyper = InterweavingTuning.start(moves.values_at(point))
        if self.tune:
            self.hyper = self.hyper.see(moves.values_at(point))
            if self.averages.seen in _DUE:
                couplings = network.adjacency[:, :n_pre], network.weights[:, :n_pre]
                self.hyper = moves.learn_metric(self.hyper, self.metric, point, *couplings)
        if self.hyper.lower is None or self.rng.random() >= self._interweave:
            return {}, network, np.nan
        prior = self.network_prior(point)
        values, network, acceptance = moves.run(
            self.hyper, self._given, point, prior, network, self.rng
        )
        if self.tune:
            self.hyper = self.hyper.accept(acceptance)
        return values, network, acceptance

    def _learn(self, network: Network) -> None:
        """Average coefficients over the recent past; compute the metric when due."""
        if self.averages is None:
            self.averages = Averages.start(*network)
        elif not self.tune:
            return
        self.averages = self.averages.add(*network, _MEMORY)
        if self.metric is None:
            self.metric = self._metric(_NEVER)
        elif self.averages.seen in _DUE:
            self.metric = self._metric(_OFTEN)

    def _metric(self, least_inclusion: float) -> Metric:
        """Compute the metric at the averages."""
        history = self.data.history
        return metric_at(self.engine, self._given, history, self.averages, least_inclusion)
