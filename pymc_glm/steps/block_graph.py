"""What a variable of block labels decides on, read from the model's graph."""

from typing import NamedTuple

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray
from pymc.blocking import PointType
from pymc.pytensorf import compile as pymc_compile
from pytensor.graph.replace import vectorize_graph
from pytensor.graph.traversal import ancestors, walk
from pytensor.scalar.basic import Switch
from pytensor.tensor.elemwise import Elemwise
from pytensor.tensor.subtensor import AdvancedSubtensor
from pytensor.tensor.variable import TensorVariable

from pymc_glm.distributions import EdgeRV, SpikeAndSlabRV
from pymc_glm.graph.evaluate import INTERPRETED
from pymc_glm.graph.find import children
from pymc_glm.kernels.blocks import EdgeList, list_edges, own_log_density

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
    adjacency: TensorVariable | None  # also where the labels decide on weights alone
    tables: dict[str, TensorVariable]  # probability, mean, whitening: (K * K, ...)
    own: dict[str, TensorVariable]  # of these, what neurons have to themselves

    @property
    def children(self) -> list[TensorVariable]:
        """The variables whose law depends on the labels."""
        return [v for v in (self.edges, self.weights) if v is not None]


def unknown_use(labels: TensorVariable, what: str) -> ValueError:
    """Return the error for a model whose labels have another conditional than ours."""
    return ValueError(
        f"{what}; BlockGibbs knows {labels.name!r} only as BlockEdges and BlockWeights use them "
        "and would draw from a wrong conditional. Use these parts, or another step method."
    )


def _gathered(
    parameter: TensorVariable, labels: TensorVariable, what: str
) -> tuple[TensorVariable, TensorVariable | None]:
    """Return the table that a parameter is gathered from, and what is on its diagonal instead."""

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
    own = arguments[1] if apart and not knows(arguments[1]) else None
    return tables.pop(), own


def read_labels(model: pm.Model, labels: TensorVariable) -> LabelGraph:
    """Find what depends on the labels.

    Raises
    ------
    ValueError
        Something does that is neither an edge nor a weight, or in another way than through tables.
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
    own = {name: apart for name, (_, apart) in read.items() if apart is not None}
    return LabelGraph(labels, edges, weights, adjacency, tables, own)


class NetworkValues(NamedTuple):
    """The network at a point, as one variable of labels sees it."""

    adjacency: NDArray[np.int8]  # (N, N)
    edges: tuple[EdgeList, EdgeList]
    concentration: Floats  # (K,)
    tables: dict[str, Floats]  # probability, mean, whitening: (K, K, ...)
    own: dict[str, Floats]  # of these, what neurons have to themselves, (N, ...)
    own_weights: Floats | None  # (N, B)

    def own_log_density(self) -> Floats:
        """Return the log density of each neuron's edge to itself were it in each block, (N, K)."""
        n, k = len(self.adjacency), self.concentration.size
        blocks = np.arange(k)
        by_block = {
            name: self.own[name][:, None] if name in self.own else table[blocks, blocks]
            for name, table in self.tables.items()
        }
        weights = None if {"mean", "whitening"} <= self.own.keys() else self.own_weights
        own = own_log_density(
            np.diagonal(self.adjacency)[:, None] != 0,
            None if "probability" in self.own else by_block.get("probability"),
            None if weights is None else weights[:, None],
            by_block.get("mean"),
            by_block.get("whitening"),
        )
        return np.ascontiguousarray(np.broadcast_to(own, (n, k)))


class BlockNetwork:
    """The network that one variable of labels decides on, as a function of a point.

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
        self._keys = list(outputs), list(graph.tables), list(graph.own)
        compiled = [*outputs.values(), *graph.tables.values(), *graph.own.values()]
        compiled = model.replace_rvs_by_values(compiled)
        inputs = [v for v in model.value_vars if v in ancestors(compiled)]
        self._names = [v.name for v in inputs]
        options = {"mode": INTERPRETED} | (compile_kwargs or {})
        self._function = pymc_compile(inputs, compiled, trust_input=True, **options)

    def __call__(self, point: PointType) -> NetworkValues:
        """Evaluate at a point (names of value variables to arrays)."""
        values = iter(self._function(*[point[name] for name in self._names]))
        given, tables, own = ({key: next(values) for key in keys} for keys in self._keys)
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
                for key, value in own.items()
            },
            None if weights is None else weights[itself, itself],
        )


class TableCells:
    """The value variables whose entries each belong to one pair of blocks, as (K, K, D) cells.

    They are what a split or merge draws anew. Other hyperparameters of the tables stay as they
    are.

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
        apart = ancestors(list(graph.own.values()))
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
        others = [v for v in model.value_vars if v in ancestors(outputs)]
        self._others = [v.name for v in others]
        options = {"mode": _BATCHED} | (compile_kwargs or {})
        self._function = pymc_compile([*batches, *others], outputs, trust_input=True, **options)

    def _is_separate(self, name: str, point: PointType) -> bool:
        """Tell whether entries of a variable reach their own pair of blocks only."""
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

        What the cells do not decide on is as at the point.
        """
        others = [point[name] for name in self._others]
        values = [
            value if batched else np.broadcast_to(value, (len(x), *value.shape))
            for value, batched in zip(
                self._function(*self.unpack(x).values(), *others), self._batched, strict=True
            )
        ]
        k = self.n_blocks
        tables = zip(self._keys, values[:-1], strict=True)
        return {key: v.reshape((len(x), k, k, *v.shape[2:])) for key, v in tables}, values[-1]
