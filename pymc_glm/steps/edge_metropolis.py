"""Edges and their weights by Metropolis-Hastings without augmentation, as a PyMC step method."""

from typing import Any, ClassVar

import numpy as np
import pymc as pm
from numpy.typing import NDArray
from pymc.blocking import PointType, StatsType
from pymc.step_methods.state import dataclass_state
from pymc.util import RandomGenerator

from pymc_glm.kernels.edge_moves import EdgePlan, draw_edges, move_edges
from pymc_glm.kernels.edge_proposal import edge_prior
from pymc_glm.kernels.sparse_history import overlap
from pymc_glm.steps.data import SpikeData, read_spikes
from pymc_glm.steps.network_state import NetworkVariables
from pymc_glm.steps.network_step import NetworkStep, NetworkStepState
from pymc_glm.steps.shared import Shared

__all__ = ["EdgeMetropolis"]

_LOWEST = 0.1  # probability to propose an edge's presence, and its absence
_MEMORY = 100  # iterations of the tuning over which presence and modes are averaged
_SELDOM = 0.2  # probability to look at an edge that seems certain
_MOST_VISITS = 64  # edges of a post neuron to look at in an iteration, on average
_NEWTON_TUNING = 6  # most Newton steps before the starts have settled
_NEWTON = 1  # and after
_ALIKE = 0.02  # least overlap of the histories of two pre neurons that swap their edges


@dataclass_state
class EdgeMetropolisState(NetworkStepState):
    """What proposals have learned in the tuning."""

    tune: bool
    seen: int
    inclusion: Any
    modes: Any


class EdgeMetropolis(NetworkStep):
    """Draw every edge together with its weights, without augmentation.

    For each edge the mode and the curvature of its weights' conditional density are found on the
    bins in which its pre neuron has any history. Presence and weights are proposed from there,
    whatever the edge's state, and accepted by Metropolis-Hastings. Further proposals swap an edge
    for an absent one whose pre neuron fires at similar times. Biases and the weights of edges that
    stay move only through `WeightHMC`, which belongs beside it.

    Parameters
    ----------
    vars : list of variables, optional
        Adjacency, or nothing. Weights change along.
    model : pymc.Model, optional
        By default the model in context.
    swaps : int
        Swaps proposed for each post neuron in an iteration.
    threads : int, optional
        As for `PolyaGammaGibbs`.
    rng, initial_point, compile_kwargs
        As for other PyMC step methods.

    Raises
    ------
    ValueError
        The model has no network GLM, no uncertain edges, or terms that the kernel does not know;
        `threads` is below 1 or `swaps` below 0.

    Notes
    -----
    In the tuning an edge's probability to be proposed present follows how often it was present,
    within 0.1 to 0.9, and Newton's steps begin at the mean of the modes found; afterwards both are
    fixed. Statistics: ``edges_on``, ``edge_flips``, ``edge_acceptance`` (of the proposals other
    than from absent to absent), ``edge_swaps``.

    References
    ----------
    .. [1] Tierney (1994), Annals of Statistics 22:1701 (independence samplers).
    .. [2] Johndrow, Smith, Pillai & Dunson (2019), JASA 114:1394 (why not augmentation).

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
        threads: int | None = None,
        rng: RandomGenerator = None,
        initial_point: PointType | None = None,
        compile_kwargs: dict | None = None,
    ):
        if not isinstance(swaps, int | np.integer) or swaps < 0:
            raise ValueError(f"swaps: got {swaps!r}, allowed are whole numbers of at least 0.")
        super().__init__(vars, model, threads, rng, compile_kwargs)
        self._swaps = swaps
        self._forget()

    def _read(self, model: pm.Model, network: NetworkVariables) -> Shared[SpikeData]:
        if network.adjacency is None:
            raise ValueError(
                "the model has no adjacency: all its edges are present. WeightHMC draws its "
                "weights; leave EdgeMetropolis out."
            )
        shared = read_spikes(model, network)
        alike = overlap(shared.value.history)
        self._partner = np.cumsum(np.where(alike > _ALIKE, alike**2, 0.0), axis=1)
        return shared

    def _forget(self) -> None:
        history, likelihood = self.data
        n_post, n_pre = len(likelihood.counts), history.n_pre
        self.tune = True
        self.seen = 0
        self.inclusion = np.full((n_post, n_pre), 0.5)
        self.modes = np.zeros((n_post, n_pre, history.n_basis))

    def setup_chain(self, rng: RandomGenerator, tune: int, draws: int) -> None:
        """Start a chain with nothing learned."""
        super().setup_chain(rng, tune, draws)
        self._forget()

    def step(self, point: PointType) -> tuple[PointType, StatsType]:
        """Visit every edge once and try swaps."""
        bias, adjacency, weights = self._state(point)
        n_post, n_pre, n_basis = weights.shape
        plan = EdgePlan(
            self._visits(),
            self.inclusion.clip(_LOWEST, 1.0 - _LOWEST),
            self.modes,
            _NEWTON_TUNING if self.tune else _NEWTON,
            self._partner,
        )
        draws = draw_edges(n_post, n_pre, n_basis, self._swaps, self.rng)
        modes = np.full_like(weights, np.nan)
        before = adjacency.copy()
        counted = self._threads.over_posts(
            move_edges,
            *self.data,
            edge_prior(self._next_prior(point)),
            plan,
            draws,
            bias,
            adjacency,
            weights,
            modes,
        )
        proposed, accepted, swaps = np.sum(counted, axis=0)
        if self.tune:
            self._learn(adjacency, modes)
        stats = {
            "edges_on": int(adjacency.sum()),
            "edge_flips": int((adjacency != before).sum()),
            "edge_acceptance": float(accepted / max(proposed, 1)),
            "edge_swaps": int(swaps),
        }
        names = self._names
        return point | {names["adjacency"]: adjacency, names["weights"]: weights}, [stats]

    def _visits(self) -> NDArray:
        """Return probabilities to look at edges, within what one iteration may cost.

        After the tuning, less often at edges that are nearly certain: their weights move by
        WeightHMC.
        """
        visits = np.ones(self.inclusion.shape)
        if not self.tune:
            visits = (10.0 * self.inclusion * (1.0 - self.inclusion)).clip(_SELDOM, 1.0)
        return visits * (_MOST_VISITS / visits.sum(axis=1, keepdims=True)).clip(max=1.0)

    def _learn(self, adjacency: NDArray, modes: NDArray) -> None:
        """Average presence and modes over the recent past."""
        self.seen += 1
        gain = 1.0 / min(self.seen + 1, _MEMORY)
        self.inclusion = self.inclusion + gain * (adjacency - self.inclusion)
        found = ~np.isnan(modes)
        self.modes = np.where(found, self.modes + max(gain, 0.1) * (modes - self.modes), self.modes)

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
