"""Biases and weights of present edges by Hamiltonian Monte Carlo, as a PyMC step method."""

from typing import Any, ClassVar

import numpy as np
import pymc as pm
from numpy.typing import NDArray
from pymc.blocking import PointType, StatsType
from pymc.step_methods.state import dataclass_state
from pymc.util import RandomGenerator

from pymc_glm.graph.data import SpikeData, spike_data
from pymc_glm.graph.expansion import Averages, metric_at
from pymc_glm.graph.find import NetworkVariables, find_network
from pymc_glm.graph.shared import Shared
from pymc_glm.kernels.hmc import Trajectories, move_weights
from pymc_glm.kernels.prior import BiasPrior, edge_prior
from pymc_glm.steps.interweaving import Interweaving, InterweavingTuning
from pymc_glm.steps.network_step import NetworkStep, NetworkStepState

__all__ = ["WeightHMC"]

_LENGTH = 1.5  # of a trajectory, in standard deviations
_MOST_STEPS = 12
_LARGEST_STEP = 1.2
_OFTEN = 0.2  # least inclusion of edges between which the metric has cross terms
_NEVER = 2.0  # the first metric, at the start of a chain, has none
_DUE = (5, 20, 60, 180, 540, 1620)  # iterations of the tuning that compute the metric anew
_MEMORY = 50  # iterations of the tuning over which coefficients are averaged


@dataclass_state
class WeightHMCState(NetworkStepState):
    """What the trajectories have learned in the tuning."""

    tune: bool
    step_size: Any
    metric: Any
    averages: Any
    slab: Any


class WeightHMC(NetworkStep):
    """Draw bias and present weights of every post neuron jointly, without augmentation.

    One trajectory for each post neuron and iteration, with the Fisher information at the
    coefficients' mean plus the prior precision, both restricted to the present edges, for a metric.
    Now and then another trajectory, of the hyperparameters that shape the weights alone, such as
    their mean and scale, with all weights carried along: where the spikes tell little of single
    weights these mix slowly given the weights, whatever draws them (interweaving [3]_).

    Parameters
    ----------
    vars : list of variables, optional
        Bias and weights, or nothing.
    model : pymc.Model, optional
        By default the model in context.
    target_accept : float
        Mean probability of acceptance that step sizes are tuned for, between 0 and 1.
    interweave : float
        Share of the iterations, 0 to 1, with a trajectory of hyperparameters; 0 where the prior of
        the weights is fixed.
    threads : int, optional
        As for `PolyaGammaGibbs`.
    rng, initial_point, compile_kwargs
        As for other PyMC step methods.

    Raises
    ------
    ValueError
        The model has no network GLM, or terms that the kernel does not know; `threads` is below 1;
        `target_accept` is not between 0 and 1 or `interweave` not within 0 to 1.

    Notes
    -----
    In the tuning step sizes follow the acceptance and the metric is computed anew, at iterations
    that grow apart; afterwards both are fixed. Statistics: ``weight_acceptance`` (mean probability
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
    draws = ("bias", "weights", "covariates")
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
        threads: int | None = None,
        rng: RandomGenerator = None,
        initial_point: PointType | None = None,
        compile_kwargs: dict | None = None,
    ):
        if not 0 < target_accept < 1:
            raise ValueError(f"target_accept: got {target_accept!r}, allowed is between 0 and 1.")
        if not 0 <= interweave <= 1:
            raise ValueError(f"interweave: got {interweave!r}, allowed is from 0 to 1.")
        super().__init__(vars, model, threads, rng, compile_kwargs)
        self._target = target_accept
        model = pm.modelcontext(model)
        network = find_network(model, vars)
        self._slab = Interweaving(model, network, self._threads, self.data, compile_kwargs)
        self._interweave = interweave
        self._forget()

    def _read(self, model: pm.Model, network: NetworkVariables) -> Shared[SpikeData]:
        return spike_data(model, network)

    def _forget(self) -> None:
        self.tune = True
        self.step_size = np.full(len(self.data.likelihood.counts), 0.3)
        self.metric: Any = None
        self.averages: Any = None
        self.slab: Any = None

    def setup_chain(self, rng: RandomGenerator, tune: int, draws: int) -> None:
        """Start a chain with nothing learned."""
        super().setup_chain(rng, tune, draws)
        self._forget()

    def step(self, point: PointType) -> tuple[PointType, StatsType]:
        """Move every post neuron's bias and weights along one trajectory."""
        bias, adjacency, weights = self._state(point)
        self._learn(bias, adjacency, weights)
        n_post = bias.size
        size = self.step_size * self.rng.uniform(0.8, 1.2, n_post)
        trajectories = Trajectories(
            self.rng.standard_normal((n_post, 1 + weights[0].size)),
            self.rng.random(n_post),
            size,
            np.clip(np.rint(_LENGTH / self.step_size), 1, _MOST_STEPS).astype(np.int64),
        )
        acceptance = np.empty(n_post)
        prior = self._next_prior(point)
        self._threads.over_posts(
            move_weights,
            *self.data,
            edge_prior(prior),
            BiasPrior(prior.bias_mean, prior.bias_precision),
            self.metric,
            trajectories,
            bias,
            adjacency,
            weights,
            acceptance,
        )
        if self.tune:
            gain = min(1.0, 3.0 / np.sqrt(self.averages.seen))
            larger = self.step_size * np.exp(gain * (acceptance - self._target))
            self.step_size = larger.clip(0.01, _LARGEST_STEP)
        values, slab_acceptance = self._move_slab(point, bias, adjacency, weights)
        stats = {
            "weight_acceptance": float(acceptance.mean()),
            "weight_step_size": float(self.step_size.mean()),
            "slab_acceptance": slab_acceptance,
        }
        return self._moved(point | values, bias, adjacency, weights), [stats]

    def _move_slab(
        self, point: PointType, bias: NDArray, adjacency: NDArray, weights: NDArray
    ) -> tuple[PointType, float]:
        """Move hyperparameters with all weights."""
        if not self._slab.names:
            return {}, np.nan
        slab, n_pre = self._slab, bias.size
        if self.slab is None:
            self.slab = InterweavingTuning.start(slab.values_at(point))
        if self.tune:
            self.slab = self.slab.see(slab.values_at(point))
            if self.averages.seen in _DUE:
                self.slab = slab.learn_metric(
                    self.slab, self.metric, point, adjacency[:, :n_pre], weights[:, :n_pre]
                )
        if self.slab.lower is None or self.rng.random() >= self._interweave:
            return {}, np.nan
        values, acceptance = slab.run(
            self.slab,
            self.data,
            point,
            self.network_prior(point),
            bias,
            adjacency,
            weights,
            self.rng,
        )
        if self.tune:
            self.slab = self.slab.accept(acceptance)
        return values, acceptance

    def _learn(self, bias: NDArray, adjacency: NDArray, weights: NDArray) -> None:
        """Average coefficients over the recent past; compute the metric if it is time."""
        if self.averages is None:
            self.averages = Averages.start(bias, adjacency, weights)
        elif not self.tune:
            return
        self.averages = self.averages.add(bias, adjacency, weights, _MEMORY)
        if self.metric is None:
            self.metric = metric_at(self._threads, self.data, self.averages, _NEVER)
        elif self.averages.seen in _DUE:
            self.metric = metric_at(self._threads, self.data, self.averages, _OFTEN)

    @staticmethod
    def _progressbar_config(n_chains=1):
        return [], {}

    @staticmethod
    def _make_progressbar_update_functions():
        return (lambda stats: {},)
