"""Gibbs sampling of block labels, with splits and merges, as a PyMC step method."""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pymc as pm
from numpy.typing import NDArray
from pymc.blocking import PointType, StatsType
from pymc.model import modelcontext
from pymc.step_methods.compound import BlockedStep, Competence, StepMethodState
from pymc.step_methods.state import dataclass_state
from pymc.util import RandomGenerator, get_random_generator
from pytensor.tensor.variable import TensorVariable
from scipy.special import gammaln

from pymc_glm.arguments import as_whole_number
from pymc_glm.distributions import BlockLabelsRV, EdgeRV, SpikeAndSlabRV
from pymc_glm.graph.evaluate import PointFunction, initial_point_of
from pymc_glm.graph.find import children, chosen
from pymc_glm.kernels.block_tables import exchange, fit_cells, log_likelihood
from pymc_glm.kernels.blocks import make_tables, pair_sums, sweep_labels
from pymc_glm.kernels.split_merge import propose, stand_in
from pymc_glm.steps.block_graph import (
    BlockNetwork,
    LabelGraph,
    NetworkValues,
    TableCells,
    read_labels,
    unknown_use,
)
from pymc_glm.steps.pickling import reduce_without_model

__all__ = ["BlockGibbs"]

type Floats = NDArray[np.float64]
type Integers = NDArray[np.int64]

SCREEN = 0.5  # power of the stand-in's posterior under which proposals are screened
PRIOR_DRAWS = 200  # to which the stand-in is matched
CHECKED_POINTS = 6
MOST_CELLS = 2000  # evaluated for one of the two sides of a split or merge


@dataclass_state
class BlockGibbsState(StepMethodState):
    """What is carried from draw to draw besides the point and the random generator."""

    waiting: int


class _Labels:
    """One variable of labels: its conditional and its moves."""

    def __init__(
        self,
        model: pm.Model,
        labels: TensorVariable,
        point: PointType,
        compile_kwargs: dict | None,
    ):
        self.name = model.rvs_to_values[labels].name
        graph = read_labels(model, labels)
        self.network = BlockNetwork(model, graph, compile_kwargs)
        k = self.network(point).concentration.size
        self._cells = TableCells(model, graph, k, point, compile_kwargs)
        # The cells' prior: fits start there, and the stand-in is matched to it.
        evaluate = partial(self._cells.evaluate, point=point)
        nothing = np.zeros_like(self._sums(self.network(point), point[self.name]))
        prior = fit_cells(evaluate, self._cells.pack(point), nothing[None])
        self._start = prior.mode[0]
        z = np.random.default_rng(0).standard_normal((PRIOR_DRAWS, 1, 1, self._start.shape[-1], 1))
        spread = np.linalg.solve(np.swapaxes(prior.factor[0], -1, -2), z)[..., 0]
        tables, _ = evaluate(self._start + spread)
        self._stand_in = stand_in(k, **tables)
        self._n_draws = int(np.clip(MOST_CELLS // k**2, 20, 50)) if self._start.size else 1
        _check(model, graph, self.network, self._cells, point, self.log_density)

    @staticmethod
    def _sums(values: NetworkValues, labels: Integers) -> Floats:
        return pair_sums(labels, values.edges[0], values.concentration.size)

    def log_density(self, point: PointType) -> float:
        """Return the log density of labels, edges, weights and cells at a point, for checks."""
        values, labels = self.network(point), point[self.name]
        tables, log_prior = self._cells.evaluate(self._cells.pack(point)[None], point)
        pairs = log_likelihood(make_tables(**tables), self._sums(values, labels)[None])
        return float(pairs.sum() + log_prior.sum() + _log_rest(values, labels))

    def sweep(
        self, labels: Integers, values: NetworkValues, sweeps: int, rng: np.random.Generator
    ) -> tuple[Integers, int]:
        """Draw every label from its conditional."""
        return sweep_labels(
            labels,
            values.edges,
            make_tables(**values.tables),
            values.concentration,
            values.self_edge_log_density(),
            rng,
            sweeps,
        )

    def split_or_merge(
        self, point: PointType, values: NetworkValues, rng: np.random.Generator
    ) -> PointType | None:
        """Split a block or merge two, and draw the tables' cells that change with it.

        Proposals are screened under a power of the stand-in's posterior, and acceptance corrects
        for it (Liu 2001, Monte Carlo Strategies in Scientific Computing, section 9.4.3).
        """
        labels = point[self.name]
        proposal = propose(labels, values.edges, self._stand_in, values.concentration, rng)
        screen, accept = np.log(rng.random(2))
        if proposal is None or screen >= SCREEN * proposal.log_gain - proposal.log_forward:
            return None
        n_pairs = proposal.sums[..., :2].sum(axis=-1)
        try:
            cells = exchange(
                partial(self._cells.evaluate, point=point),
                self._start,
                self._cells.pack(point),
                proposal.sums,
                n_pairs[0] != n_pairs[1],
                self._n_draws,
                rng,
            )
        except np.linalg.LinAlgError:  # a fit failed, as it would on the way back
            return None
        new = point | self._cells.unpack(cells.x) | {self.name: proposal.labels}
        log_ratio = cells.log_evidence - SCREEN * proposal.log_gain
        log_ratio += _log_rest(self.network(new), proposal.labels) - _log_rest(values, labels)
        return new if accept < log_ratio else None


def _log_rest(values: NetworkValues, labels: Integers) -> float:
    """Return the log density of labels and self-edges: all but pairs of distinct neurons."""
    concentration = values.concentration
    sizes = np.bincount(labels, minlength=concentration.size)
    self_edges = values.self_edge_log_density()[np.arange(labels.size), labels]
    return float(gammaln(concentration + sizes).sum() + self_edges.sum())


def _random_network(
    model: pm.Model, graph: LabelGraph, values: NetworkValues, point: PointType
) -> PointType:
    """Return possible values of edges and weights, drawn at random."""
    rng = np.random.default_rng(1)
    labels = point[model.rvs_to_values[graph.labels].name]
    n = labels.size
    adjacency = (rng.random((n, n)) < 0.5).astype(np.int8)
    if graph.edges is not None:
        p = values.tables["probability"][labels[:, None], labels[None, :]]
        if "probability" in values.self_edges:
            p[np.diag_indices(n)] = values.self_edges["probability"]
        adjacency = (rng.random((n, n)) < p).astype(np.int8)
    drawn = {}
    if graph.adjacency in model.free_RVs:
        drawn[model.rvs_to_values[graph.adjacency].name] = adjacency
    else:
        adjacency = values.adjacency
    if graph.weights in model.free_RVs:
        name = model.rvs_to_values[graph.weights].name
        drawn[name] = rng.standard_normal(point[name].shape) * (adjacency != 0)[..., None]
    return drawn


def _check(
    model: pm.Model,
    graph: LabelGraph,
    network: BlockNetwork,
    cells: TableCells,
    point: PointType,
    log_density: Callable[[PointType], float],
) -> None:
    """Raise unless our log density differs between random points as the model's does."""
    rng = np.random.default_rng(0)
    name = model.rvs_to_values[graph.labels].name
    n, k = point[name].size, cells.n_blocks
    moved = [rng.integers(0, k, n) for _ in range(CHECKED_POINTS // 2)]
    while (
        len(moved) < CHECKED_POINTS
    ):  # small moves, which are possible even if some edges are certain
        moved.append(np.where(rng.random(n) < 2 / n, rng.integers(0, k, n), moved[0]))
    point = point | {c: point[c] + rng.normal(0, 0.5, point[c].shape) for c in cells.names}
    point = point | {name: moved[0]}
    point = point | _random_network(model, graph, network(point), point)
    points = [point | {name: labels} for labels in moved]
    points[-1] |= {c: point[c] + rng.normal(0, 0.5, point[c].shape) for c in cells.names}
    drawn = [rv for rv in model.free_RVs if model.rvs_to_values[rv].name in cells.names]
    factors = PointFunction(model, [model.logp(vars=[graph.labels, *graph.children, *drawn])])
    theirs = np.array([factors(p)[0] for p in points])
    ours = np.array([log_density(p) for p in points])
    impossible = np.isneginf(ours) & np.isneginf(theirs)
    with np.errstate(invalid="ignore"):
        differ = (ours - ours[0]) - (theirs - theirs[0])
    if not np.all(impossible | (np.abs(differ) < 1e-6 + 1e-9 * np.abs(theirs[0]))):
        raise unknown_use(
            graph.labels,
            f"the model's log density does not depend on {name!r} through tables alone, "
            "gathered as [block of post, block of pre]",
        )


class BlockGibbs(BlockedStep):
    r"""Draw block labels, one at a time and by splits and merges of blocks.

    Each label is drawn from its exact conditional given the others, edges, weights and the tables
    between blocks, with the weights of the blocks integrated out:
    :math:`p(z_n = k \mid \ldots) \propto (a_k + N_k) \prod_m p(A_{nm}, w_{nm} \mid k, z_m)
    \, p(A_{mn}, w_{mn} \mid z_m, k)`. Labels drawn one at a time
    hardly ever leave a state in which two types share a block, or one type fills two. So each step
    also proposes to split a block or to merge two, together with new values of the tables for these
    blocks [1]_ [2]_, and accepts under the model's exact posterior.

    Parameters
    ----------
    vars : list of variables, optional
        Block labels; by default all in the model, one after the other.
    model : pymc.Model, optional
        By default the model in context.
    sweeps : int
        Sweeps over all labels in a step. More do not help: it is the tables that hold labels.
    split_merges : int
        Proposed splits or merges in a step. Most are rejected cheaply. With 0, labels stay where
        they happen to settle.
    rng, initial_point, compile_kwargs
        As for other PyMC step methods.

    Raises
    ------
    ValueError
        The model has no latent block labels, uses them in a way that this conditional does not
        cover, or a number is out of range.

    Notes
    -----
    Labels stay as they are in the first quarter of the tuning, until edges have settled.

    Statistics, summed over variables of labels: ``labels_moved`` (how often a label changed),
    ``blocks_used`` (number of blocks that are not empty), ``split_merges_accepted``.

    A split or merge also changes the value variables of the tables (``edge_probability``, ...),
    which NetworkNUTS draws as well.

    References
    ----------
    .. [1] Jain & Neal (2004), J. Comp. Graph. Stat. 13:158.
    .. [2] Andrieu, Doucet & Holenstein (2010), J. R. Stat. Soc. B 72:269.
    .. [3] Nowicki & Snijders (2001), JASA 96:1077.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> counts = np.random.default_rng(1).poisson(0.05, (300, 4)).clip(0, 1)
    >>> basis = pg.basis.raised_cosine(1, window=0.05, bin_width=0.005)
    >>> with pg.build_glm(counts, basis, edges=pg.BlockEdges(2)) as model:
    ...     step = pg.BlockGibbs()
    >>> [variable.name for variable in step.vars]
    ['block_labels']
    """

    name = "block_gibbs"
    _state_class = BlockGibbsState
    stats_dtypes_shapes: ClassVar[dict] = {
        "labels_moved": (np.int64, []),
        "blocks_used": (np.int64, []),
        "split_merges_accepted": (np.int64, []),
    }

    def __init__(
        self,
        vars: Any = None,
        *,
        model: pm.Model | None = None,
        sweeps: int = 1,
        split_merges: int = 3,
        rng: RandomGenerator = None,
        initial_point: PointType | None = None,
        compile_kwargs: dict | None = None,
    ):
        model = modelcontext(model)
        self._sweeps = as_whole_number(sweeps, "sweeps")
        self._split_merges = as_whole_number(split_merges, "split_merges", at_least=0)
        labels = [rv for rv in model.free_RVs if isinstance(rv.owner.op, BlockLabelsRV)]
        if not labels:
            raise ValueError(
                "the model has no latent block labels; build it with pymc_glm.BlockEdges or "
                "BlockWeights, without known labels, or leave BlockGibbs out."
            )
        labels = chosen(vars, model, labels, "BlockGibbs draws latent block labels")
        self.vars = [model.rvs_to_values[rv] for rv in labels]
        point = initial_point_of(model) if initial_point is None else initial_point
        self._labels = [_Labels(model, rv, point, compile_kwargs) for rv in labels]
        self.rng = get_random_generator(rng)
        self.waiting = 0

    def setup_chain(self, rng: RandomGenerator, tune: int, draws: int) -> None:
        """Start a chain; labels stay as they are for a quarter of the tuning.

        Edges are random at first. Labels drawn under them would all end up in one block, before
        there is a network that tells them apart.
        """
        super().setup_chain(rng, tune, draws)
        self.waiting = tune // 4

    def __reduce_ex__(self, protocol: Any) -> tuple:
        """Pickle without the model, whose data would be held twice."""
        return reduce_without_model(self)

    def step(self, point: PointType) -> tuple[PointType, StatsType]:
        """Draw all labels, and split or merge."""
        point = dict(point)
        moved = used = accepted = 0
        waiting = self.waiting > 0
        self.waiting -= waiting
        for labels in self._labels:
            if waiting:
                used += np.unique(point[labels.name]).size
                continue
            values = labels.network(point)
            point[labels.name], changes = labels.sweep(
                point[labels.name], values, self._sweeps, self.rng
            )
            moved += changes
            for _ in range(self._split_merges):
                new = labels.split_or_merge(point, values, self.rng)
                if new is not None:
                    moved += int((new[labels.name] != point[labels.name]).sum())
                    accepted += 1
                    point = new
                    values = labels.network(point)
            used += np.unique(point[labels.name]).size
        stats = {
            "labels_moved": moved,
            "blocks_used": used,
            "split_merges_accepted": accepted,
        }
        return point, [stats]

    @staticmethod
    def competence(var: TensorVariable, has_grad: bool = False) -> Competence:
        """Claim latent block labels."""
        if not isinstance(var.owner.op, BlockLabelsRV):
            return Competence.INCOMPATIBLE
        model = pm.Model.get_context(error_if_none=False)
        if model is not None and not any(
            isinstance(child.owner.op, EdgeRV | SpikeAndSlabRV) for child in children(var, model)
        ):  # labels of something other than a network
            return Competence.INCOMPATIBLE
        return Competence.IDEAL

    @staticmethod
    def _progressbar_config(n_chains=1):
        from rich.progress import TextColumn
        from rich.table import Column

        columns = [
            TextColumn("{task.fields[blocks_used]}", table_column=Column("Blocks", ratio=1)),
            TextColumn("{task.fields[labels_moved]}", table_column=Column("Moved", ratio=1)),
        ]
        return columns, {"blocks_used": [0] * n_chains, "labels_moved": [0] * n_chains}

    @staticmethod
    def _make_progressbar_update_functions():
        def update_stats(stats):
            return {key: stats[key] for key in ("blocks_used", "labels_moved")}

        return (update_stats,)
