"""What depends on a variable of block labels, read from the model's graph."""

from typing import NamedTuple

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray
from pymc.blocking import PointType
from pytensor.graph.replace import vectorize_graph
from pytensor.graph.traversal import ancestors, walk
from pytensor.scalar.basic import Switch
from pytensor.tensor.elemwise import Elemwise
from pytensor.tensor.subtensor import AdvancedSubtensor
from pytensor.tensor.variable import TensorVariable

from pymc_glm.distributions import EdgeRV, SpikeAndSlabRV
from pymc_glm.graph.evaluate import INTERPRETED, PointFunction
from pymc_glm.graph.find import children
from pymc_glm.kernels.blocks import EdgeList, list_edges, self_edge_log_density

__all__ = ["BlockNetwork", "LabelGraph", "TableCells", "read_labels"]

type Floats = NDArray[np.float64]

# Interpreted, softplus is a Python call for each element.
_BATCHED = INTERPRETED.excluding(
    "logsigm_to_softplus", "log1msigm_to_softplus", "log1p_neg_sigmoid"
)


class LabelGraph(NamedTuple):
    """Where labels enter the model."""

    labels: TensorVariable
    edges: TensorVariable | None  # the adjacency, if its probabilities depend on the labels
    weights: TensorVariable | None  # likewise
    adjacency: TensorVariable | None  # also if only the weights depend on the labels
    tables: dict[str, TensorVariable]  # probability, mean, whitening: (K * K, ...)
    self_edges: dict[str, TensorVariable]  # by the same names, where self-edges have their own

    @property
    def children(self) -> list[TensorVariable]:
        """Variables whose distribution depends on the labels."""
        return [v for v in (self.edges, self.weights) if v is not None]


def unknown_use(labels: TensorVariable, what: str) -> ValueError:
    """Return the error for labels with a conditional that BlockGibbs does not know."""
    return ValueError(
        f"{what}; BlockGibbs only knows {labels.name!r} as used by BlockEdges and BlockWeights, "
        "and would draw from a wrong conditional. Use these priors, or another step method."
    )


def _gathered(
    parameter: TensorVariable, labels: TensorVariable, what: str
) -> tuple[TensorVariable, TensorVariable | None]:
    """Return the table a parameter is gathered from, and what self-edges have instead."""

    def knows(variable: TensorVariable) -> bool:
        return labels in ancestors([variable])

    def inputs(variable: TensorVariable) -> list:
        return variable.owner.inputs if variable.owner and variable != labels else []

    tables = {
        node.owner.inputs[0]
        for node in walk([parameter], inputs)
        if node.owner
        and isinstance(node.owner.op, AdvancedSubtensor)
        and len(node.owner.inputs) == 2
        and knows(node.owner.inputs[1])
        and not knows(node.owner.inputs[0])
    }
    if len(tables) != 1:
        raise unknown_use(labels, f"{what} is not gathered from one table between blocks")
    op, arguments = parameter.owner.op, parameter.owner.inputs
    apart = isinstance(op, Elemwise) and isinstance(op.scalar_op, Switch)
    of_self_edges = arguments[1] if apart and not knows(arguments[1]) else None
    return tables.pop(), of_self_edges


def read_labels(model: pm.Model, labels: TensorVariable) -> LabelGraph:
    """Find what depends on the labels.

    Raises
    ------
    ValueError
        Something other than edges and weights does, or not through tables.
    """
    found = children(labels, model)
    strangers = [
        c
        for c in found
        if c in model.potentials or not isinstance(c.owner.op, EdgeRV | SpikeAndSlabRV)
    ]
    if strangers:
        raise unknown_use(labels, f"{strangers[0].name!r} depends on the labels")
    parameters: dict[str, tuple[TensorVariable, str]] = {}
    edges = next((c for c in found if isinstance(c.owner.op, EdgeRV)), None)
    weights = next((c for c in found if isinstance(c.owner.op, SpikeAndSlabRV)), None)
    if len(found) != 2 - (edges is None) - (weights is None) or not found:
        names = [c.name for c in found]
        raise unknown_use(labels, f"{names} depend on the labels, not one network")
    adjacency = edges
    if edges is not None:
        (p,) = edges.owner.op.dist_params(edges.owner)
        parameters["probability"] = p, f"the probability of {edges.name!r}"
    if weights is not None:
        adjacency, *moments = weights.owner.op.dist_params(weights.owner)
        for name, moment in zip(("mean", "whitening"), moments, strict=True):
            parameters[name] = moment, f"the {name} of {weights.name!r}"
    read = {name: _gathered(p, labels, what) for name, (p, what) in parameters.items()}
    tables = {name: table for name, (table, _) in read.items()}
    self_edges = {name: apart for name, (_, apart) in read.items() if apart is not None}
    return LabelGraph(labels, edges, weights, adjacency, tables, self_edges)


class NetworkValues(NamedTuple):
    """What the conditional of one variable of labels needs of the network at a point."""

    adjacency: NDArray[np.int8]  # (N, N)
    edges: tuple[EdgeList, EdgeList]
    concentration: Floats  # (K,)
    tables: dict[str, Floats]  # probability, mean, whitening: (K, K, ...)
    self_edges: dict[str, Floats]  # by the same names, where self-edges have their own, (N, ...)
    self_weights: Floats | None  # (N, B)

    def self_edge_log_density(self) -> Floats:
        """Return the log density of each neuron's self-edge, were it in each block, (N, K)."""
        n, k = len(self.adjacency), self.concentration.size
        blocks = np.arange(k)
        by_block = {
            name: (
                self.self_edges[name][:, None] if name in self.self_edges else table[blocks, blocks]
            )
            for name, table in self.tables.items()
        }
        weights = None if {"mean", "whitening"} <= self.self_edges.keys() else self.self_weights
        log_density = self_edge_log_density(
            np.diagonal(self.adjacency)[:, None] != 0,
            None if "probability" in self.self_edges else by_block.get("probability"),
            None if weights is None else weights[:, None],
            by_block.get("mean"),
            by_block.get("whitening"),
        )
        return np.ascontiguousarray(np.broadcast_to(log_density, (n, k)))


class BlockNetwork:
    """The network that depends on one variable of labels, as a function of a point.

    Parameters
    ----------
    model : pymc.Model
    graph : LabelGraph
    compile_kwargs : dict, optional
        For ``pymc.pytensorf.compile``.
    """

    def __init__(self, model: pm.Model, graph: LabelGraph, compile_kwargs: dict | None = None):
        concentration = graph.labels.owner.op.dist_params(graph.labels.owner)[0]
        outputs = {"concentration": concentration, "adjacency": graph.adjacency}
        if graph.weights is not None:
            outputs["weights"] = graph.weights
        self._keys = list(outputs), list(graph.tables), list(graph.self_edges)
        variables = [*outputs.values(), *graph.tables.values(), *graph.self_edges.values()]
        self._evaluate = PointFunction(model, variables, compile_kwargs)

    def __call__(self, point: PointType) -> NetworkValues:
        """Evaluate at a point (names of value variables to arrays)."""
        values = iter(self._evaluate(point))
        given, tables, apart = ({key: next(values) for key in keys} for keys in self._keys)
        adjacency, weights = given["adjacency"], given.get("weights")
        n, k = len(adjacency), given["concentration"].size
        itself = np.arange(n)
        return NetworkValues(
            adjacency,
            list_edges(adjacency, weights),
            given["concentration"],
            {key: table.reshape((k, k, *table.shape[1:])) for key, table in tables.items()},
            {
                key: np.broadcast_to(value, (n, n, *tables[key].shape[1:]))[itself, itself]
                for key, value in apart.items()
            },
            None if weights is None else weights[itself, itself],
        )


class TableCells:
    """The value variables whose entries each belong to one pair of blocks, as (K, K, D) cells.

    A split or merge draws them anew. Other hyperparameters of the tables stay as they are.

    Parameters
    ----------
    model : pymc.Model
    graph : LabelGraph
    n_blocks : int
    point : dict
        Any point, for shapes.
    compile_kwargs : dict, optional
        For ``pymc.pytensorf.compile``.
    """

    def __init__(
        self,
        model: pm.Model,
        graph: LabelGraph,
        n_blocks: int,
        point: PointType,
        compile_kwargs: dict | None = None,
    ):
        self.n_blocks = n_blocks
        self._keys = list(graph.tables)
        apart = ancestors(list(graph.self_edges.values()))
        candidates = {
            rv: density
            for rv in model.free_RVs
            if rv in ancestors(graph.tables.values())
            and rv not in apart
            and rv.dtype.startswith("float")
            and point[model.rvs_to_values[rv].name].shape[:2] == (n_blocks, n_blocks)
            and set(children(rv, model)) <= set(graph.children)
            and (density := model.logp(vars=[rv], sum=False)[0]).type.ndim >= 2
        }
        self._compile(model, graph, candidates, point, compile_kwargs)
        separate = {
            rv: density
            for rv, density in candidates.items()
            if self._is_separate(model.rvs_to_values[rv].name, point)
        }
        if len(separate) < len(candidates):
            self._compile(model, graph, separate, point, compile_kwargs)

    def _compile(
        self,
        model: pm.Model,
        graph: LabelGraph,
        densities: dict[TensorVariable, TensorVariable],
        point: PointType,
        compile_kwargs: dict | None,
    ) -> None:
        k = self.n_blocks
        values = [model.rvs_to_values[rv] for rv in densities]
        self.names = [v.name for v in values]
        self._shapes = [point[v.name].shape for v in values]
        log_prior = pt.zeros((k, k))
        for density in densities.values():
            log_prior += density.reshape((k, k, -1)).sum(axis=-1)
        outputs = [*model.replace_rvs_by_values(list(graph.tables.values())), log_prior]
        batches = [pt.tensor(shape=(None, *shape), dtype="float64") for shape in self._shapes]
        self._batched = [any(v in ancestors([o]) for v in values) for o in outputs]
        outputs = vectorize_graph(outputs, dict(zip(values, batches, strict=True)))
        self._evaluate = PointFunction(model, outputs, compile_kwargs, extra=batches, mode=_BATCHED)

    def _is_separate(self, name: str, point: PointType) -> bool:
        """Return whether each entry of a variable affects its own pair of blocks only."""
        k = self.n_blocks
        cells = list(np.ndindex(k, k))
        points = [point]
        for at in cells:
            moved = point[name].copy()
            moved[at] += 0.3
            points.append(point | {name: moved})
        tables, log_prior = self.evaluate(np.stack([self.pack(p) for p in points]), point)
        others = ~np.eye(k * k, dtype=bool).reshape((k * k, k, k))  # [moved cell, any other]
        return all(
            np.allclose(np.broadcast_to(values[0], values[1:].shape)[others], values[1:][others])
            for values in (log_prior, *tables.values())
        )

    def pack(self, point: PointType) -> Floats:
        """Return the cells at a point, (K, K, D)."""
        k = self.n_blocks
        parts = [point[name].reshape((k, k, -1)) for name in self.names]
        return np.concatenate([np.zeros((k, k, 0)), *parts], axis=-1)

    def unpack(self, x: Floats) -> dict[str, Floats]:
        """Return values of variables by name for cells (..., K, K, D)."""
        sizes = [int(np.prod(shape[2:], dtype=int)) for shape in self._shapes]
        parts = np.split(x, np.cumsum(sizes)[:-1], axis=-1) if sizes else []
        return {
            name: np.ascontiguousarray(part.reshape((*x.shape[:-3], *shape)))
            for name, part, shape in zip(self.names, parts, self._shapes, strict=True)
        }

    def evaluate(self, x: Floats, point: PointType) -> tuple[dict[str, Floats], Floats]:
        """Return tables by name, (P, K, K, ...), and log prior, (P, K, K), of cells (P, K, K, D).

        Everything else is as at the point.
        """
        values = [
            value if batched else np.broadcast_to(value, (len(x), *value.shape))
            for value, batched in zip(
                self._evaluate(point, *self.unpack(x).values()), self._batched, strict=True
            )
        ]
        k = self.n_blocks
        tables = zip(self._keys, values[:-1], strict=True)
        return {key: v.reshape((len(x), k, k, *v.shape[2:])) for key, v in tables}, values[-1]
