"""Metropolis-Hastings of edges and their weights without augmentation, as a PyMC step method."""

from typing import Any, ClassVar

import numpy as np
import pymc as pm
from numpy.typing import NDArray
from pymc.blocking import PointType, StatsType
from pymc.step_methods.state import dataclass_state
from pymc.util import RandomGenerator

from pymc_glm.arguments import as_whole_number
from pymc_glm.engines import Averages, EdgeCounts, Network, metric_at
from pymc_glm.graph.data import SpikeData, spike_data
from pymc_glm.graph.find import NetworkVariables
from pymc_glm.graph.shared import Shared
from pymc_glm.kernels.edge_moves import EdgePlan, draw_edges
from pymc_glm.kernels.edge_surrogate import Expansion, expansion_at
from pymc_glm.kernels.flip_proposals import draw_flips
from pymc_glm.kernels.prior import NetworkPrior
from pymc_glm.steps.network_step import COMES_IN, NetworkStep, NetworkStepState

__all__ = ["EdgeMetropolis"]

_LOWEST = 0.1  # probability of proposing an edge's presence, and its absence
_MEMORY = 100  # iterations of the tuning over which presence and coefficients are averaged
_SELDOM = 0.2  # probability of visiting an edge that seems certain
_MOST_VISITS = 64  # edges of a post neuron visited in an iteration, on average
_MOST_BESIDE = 20  # by Newton's steps, in addition to the flips on the expansion
_NEWTON_TUNING = 6  # most Newton steps before the starts have settled
_NEWTON = 1  # and after
_DUE = (20, 60, 180, 540, 1620)  # iterations of the tuning in which the log likelihood is expanded
_TUNING_VISITS = 0.2  # visits by Newton's steps of edges in an early expansion


@dataclass_state
class EdgeMetropolisState(NetworkStepState):
    """What proposals have learned in the tuning."""

    tune: bool
    averages: Any
    expansion: Any
    modes: Any


def _uncertain(inclusion: NDArray) -> NDArray:
    """Return probabilities of visiting edges, low for those nearly certain."""
    return (10.0 * inclusion * (1.0 - inclusion)).clip(_SELDOM, 1.0)


def _affordable(visits: NDArray, most: int) -> NDArray:
    """Return probabilities of visiting edges, scaled to what an iteration may cost."""
    total = visits.sum(axis=1, keepdims=True)
    return visits * (most / np.maximum(total, most))


class EdgeMetropolis(NetworkStep):
    """Draw every edge together with its weights, without augmentation.

    The log likelihood is expanded to second order in the tuning. Flips and swaps of edges are first
    tried on the expansion, with weights and bias integrated out; those accepted there are then
    tested on the data (delayed acceptance [1]_), together with a move of the bias. Early in the
    tuning, and always for edges beyond the 100 most frequent of a post neuron, Newton's steps find
    the mode and curvature of an edge's weights; presence and weights are proposed from there,
    whatever the edge's state (an independence sampler [2]_). Biases and the weights of edges that
    stay are moved mostly by `WeightHMC`, which should accompany this step.

    Parameters
    ----------
    vars : list of variables, optional
        The adjacency, the default. Weights and biases change with it.
    model : pymc.Model, optional
        By default the model in context.
    swaps : int
        Swaps proposed for each post neuron in an iteration, once there is an expansion.
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
        The model has no network GLM, no uncertain edges, or terms that the kernel does not know;
        `threads` is below 1 or `swaps` below 0.

    Notes
    -----
    The point of expansion, the probability of proposing an edge's presence (from 0.1 to 0.9) and
    the start of Newton's steps adapt in the tuning and are fixed afterwards. Statistics:
    ``edges_on``, ``edge_flips``, ``edge_acceptance`` (of proposals tested on the data),
    ``edge_swaps``.

    References
    ----------
    .. [1] Christen & Fox (2005), J. Comput. Graph. Statist. 14:795.
    .. [2] Tierney (1994), Annals of Statistics 22:1701.
    .. [3] Johndrow, Smith, Pillai & Dunson (2019), JASA 114:1394 (why not augmentation).

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> counts = np.random.default_rng(1).poisson(0.05, (300, 2)).clip(0, 1)
    >>> basis = pg.basis.raised_cosine(1, window=0.05, bin_width=0.005)
    >>> with pg.build_glm(counts, basis) as model:
    ...     steps = [pg.EdgeMetropolis(threads=1), pg.WeightHMC(threads=1), pg.NetworkNUTS()]
    >>> [variable.name for variable in steps[0].vars]
    ['adjacency']
    """

    name = "edge_metropolis"
    draws = ("adjacency",)
    _state_class = EdgeMetropolisState
    stats_dtypes_shapes: ClassVar[dict] = {
        "edges_on": (np.int64, []),
        "edge_flips": (np.int64, []),
        "edge_acceptance": (np.float64, []),
        "edge_swaps": (np.int64, []),
    }

    def __init__(
        self,
        vars: Any = None,
        *,
        model: pm.Model | None = None,
        swaps: int = 6,
        engine: str | None = None,
        threads: int | None = None,
        rng: RandomGenerator = None,
        initial_point: PointType | None = None,
        compile_kwargs: dict | None = None,
    ):
        self._swaps = as_whole_number(swaps, "swaps", at_least=0)
        model, network = self._find(vars, model)
        super().__init__(model, network, engine, threads, rng, compile_kwargs)
        self.condition_on(spike_data(model, network))
        self.forget()

    @classmethod
    def _check_network(cls, network: NetworkVariables) -> None:
        """Raise ValueError if there are no edges to draw."""
        if network.adjacency is None:
            raise ValueError(
                "the model has no adjacency: all its edges are present. WeightHMC draws its "
                "weights; leave EdgeMetropolis out."
            )

    def condition_on(self, data: Shared[SpikeData]) -> None:
        """Condition the step on other data, see `NetworkStep.condition_on`."""
        super().condition_on(data)
        n_post, n_stored = len(data.value.likelihood.counts), data.value.history.n_pre
        self._n_slots = n_stored + (0 if self._further is None else self._further.n_slots)
        others = self._n_slots - n_post
        self._not_edges = slice(-others, None) if others else slice(0)

    def forget(self) -> None:
        """Forget averages, expansion and modes."""
        history, likelihood = self.data
        self.tune = True
        self.averages: Any = None
        self.expansion: Any = None
        self.modes = np.zeros((len(likelihood.counts), self._n_slots, history.n_basis))

    def stop_tuning(self) -> None:
        """Fix the proposals."""
        if self.tune and self.averages is not None and self.averages.seen >= _DUE[0]:
            self._expand()
        super().stop_tuning()

    def step(self, point: PointType) -> tuple[PointType, StatsType]:
        """Visit every edge once and try swaps."""
        if self._waits():
            self.iteration += 1
            return point, [{name: kind(0) for name, (kind, _) in self.stats_dtypes_shapes.items()}]
        network = before = self._state(point)
        if self.averages is None:
            self.averages = Averages.start(*network)
        prior = self._next_prior(point)
        network, beside = self._visit(prior, network)
        network, counted = self._flip(prior, network)
        if self.tune:
            self.averages = self.averages.add(*network, _MEMORY)
            if self.averages.seen in _DUE:
                self._expand()
        proposed = beside.proposed + counted.proposed
        stats = {
            "edges_on": int(network.adjacency[:, : network.bias.size].sum()),
            "edge_flips": int((network.adjacency != before.adjacency).sum()),
            "edge_acceptance": float((beside.accepted + counted.accepted) / max(proposed, 1)),
            "edge_swaps": int(counted.swaps),
        }
        return self._moved(point, network), [stats]

    def _waits(self) -> bool:
        """Return whether edges stay as they are, early in the tuning of shared input.

        Both can explain neurons that fire together; edges that come first would not leave.
        """
        shared = self._further is not None and self._further.n_factors > 0
        return self.gradual and shared and self.iteration < COMES_IN * self.warm_up

    def _visit(self, prior: NetworkPrior, network: Network) -> tuple[Network, EdgeCounts]:
        """Propose edges by Newton's steps, with the bias fixed."""
        visits = self._visits()
        if not visits.any():
            return network, EdgeCounts(0, 0)
        plan = EdgePlan(
            visits,
            self._inclusion().clip(_LOWEST, 1.0 - _LOWEST),
            self.modes,
            _NEWTON_TUNING if self.tune else _NEWTON,
        )
        n_post, n_pre, n_basis = network.weights.shape
        draws = draw_edges(n_post, n_pre, n_basis, self.rng)
        network, modes, counted = self.engine.visit_edges(self._given, prior, plan, draws, network)
        if self.tune:
            found = ~np.isnan(modes)
            gain = max(1.0 / (self.averages.seen + 2), 0.1)
            self.modes = np.where(found, self.modes + gain * (modes - self.modes), self.modes)
        return network, counted

    def _flip(self, prior: NetworkPrior, network: Network) -> tuple[Network, EdgeCounts]:
        """Propose edges by the expansion, moving the bias too."""
        if self.expansion is None:
            return network, EdgeCounts(0, 0)
        n_basis, expansion = network.weights.shape[2], self._expansion_here(network.weights)
        draws = draw_flips(self._flip_visits(), n_basis, self._swaps, self.rng)
        return self.engine.flip_edges(self._given, prior, expansion, draws, network)

    def _visits(self) -> NDArray:
        """Return probabilities of visiting edges by Newton's steps; covariates are not visited.

        After the tuning, edges that are nearly certain are visited less often, and those in the
        expansion not at all.
        """
        inclusion = self._inclusion()
        visits = np.ones(inclusion.shape)
        if not self.tune:
            visits = _uncertain(inclusion)
        visits[:, self._not_edges] = 0.0
        if self.expansion is not None:
            visits[self.expansion.metric.place >= 0] = _TUNING_VISITS if self.tune else 0.0
            return _affordable(visits, _MOST_BESIDE)
        return _affordable(visits, _MOST_VISITS)

    def _flip_visits(self) -> NDArray:
        """Return probabilities of visiting edges by the expansion."""
        served = self.expansion.metric.place >= 0
        served[:, self._not_edges] = False
        return _affordable(np.where(served, _uncertain(self._inclusion()), 0.0), _MOST_VISITS)

    def _inclusion(self) -> NDArray:
        """Return how often edges were present, one half at first."""
        seen, inclusion = self.averages.seen, self.averages.inclusion
        return (seen * inclusion + 1.0) / (seen + 2.0)

    def _expand(self) -> None:
        """Expand the log likelihood at the averages."""
        metric = metric_at(
            self.engine, self._given, self.data.history, self.averages, 0.0, further=False
        )
        self.expansion = expansion_at(self.averages.bias, self.averages.weights, metric)

    def _expansion_here(self, weights: NDArray) -> Expansion:
        """Return the expansion with the gradient for the current self-weights and shared input.

        These stay as they are while edges are drawn, so the expansion may depend on them.
        """
        if self._further is None:
            return self.expansion
        averages, metric = self.averages, self.expansion.metric
        center = averages.weights.copy()
        center[:, -self._further.n_slots :] = weights[:, -self._further.n_slots :]
        gradient = self.engine.gradient(self._given, averages.bias, center, metric.place)
        return expansion_at(averages.bias, center, metric._replace(gradient=gradient))

    @staticmethod
    def _progressbar_config(n_chains=1):
        from rich.progress import TextColumn
        from rich.table import Column

        columns = [
            TextColumn("{task.fields[edges_on]}", table_column=Column("Edges", ratio=1)),
            TextColumn("{task.fields[edge_flips]}", table_column=Column("Flips", ratio=1)),
            TextColumn(
                "{task.fields[edge_acceptance]:.2f}", table_column=Column("Accepted", ratio=1)
            ),
        ]
        shown = ("edges_on", "edge_flips", "edge_acceptance")
        return columns, {key: [0] * n_chains for key in shown}

    @staticmethod
    def _make_progressbar_update_functions():
        def update_stats(stats):
            return {key: stats[key] for key in ("edges_on", "edge_flips", "edge_acceptance")}

        return (update_stats,)
