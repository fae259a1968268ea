"""Blocks of neurons (cell types), known or latent."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import ArrayLike, NDArray
from pytensor.tensor.variable import TensorVariable

from pymc_glm.arguments import as_whole_number
from pymc_glm.distributions import BlockLabels
from pymc_glm.priors.features.neurons import by_neuron, contradiction, neurons_of
from pymc_glm.priors.hyperparameters import Hyperparameter, dimensions, hyperparameter

__all__ = ["Blocks", "between", "blocks"]


class Blocks(NamedTuple):
    """Blocks of neurons."""

    labels: TensorVariable  # (post,), index of the block
    n_blocks: int
    dims: tuple[str, str]  # of tables (block_post, block_pre)


def _known(
    part: str, labels: ArrayLike | Mapping, neurons: list[str]
) -> tuple[list[str], NDArray[np.int64]]:
    """Return the names of the blocks, and the index of each neuron's block."""
    array = by_neuron(f"{part}(labels)", labels, neurons)
    if array.ndim != 1:
        raise ValueError(
            f"{part}(labels): got the shape {array.shape}; give one name or number for each neuron."
        )
    given = zip(neurons, array.tolist(), strict=True)
    missing = [n for n, label in given if pd.isna(label)]
    if missing:
        raise ValueError(
            f"{part}(labels): neurons {missing[:5]} have no label; give one for each neuron, or "
            "leave labels out to infer them all."
        )
    if array.dtype.kind not in "biufU":
        raise ValueError(
            f"{part}(labels): got {array[:3].tolist()} and so on; give either names or numbers, "
            "one for each neuron."
        )
    names, index = np.unique(array, return_inverse=True)
    return [str(n) for n in names], index.astype(np.int64)


def _check_shared(
    part: str,
    of_edges: Blocks,
    n_blocks: int | None,
    labels: ArrayLike | Mapping | None,
    concentration: Hyperparameter | None,
) -> None:
    """Raise if arguments contradict the labels of the edges, which are shared."""
    model = pm.modelcontext(None)
    latent = of_edges.labels in model.free_RVs
    if n_blocks is not None and n_blocks != of_edges.n_blocks:
        number = f"those of the edges have n_blocks={of_edges.n_blocks}"
        raise contradiction(part, f"n_blocks={n_blocks!r}", "labels", number)
    if concentration is not None:
        raise contradiction(part, "concentration", "labels", "BlockEdges sets their concentration")
    if labels is not None:
        names, index = _known(part, labels, neurons_of(model))
        same = not latent and names == [*map(str, model.coords[of_edges.dims[0]])]
        if not (same and np.array_equal(index, model[str(of_edges.labels.name)].get_value())):
            differ = f"those of the edges {'are latent' if latent else 'differ'}"
            raise contradiction(part, "labels", "labels", differ)


def blocks(
    part: str,
    n_blocks: int | None,
    labels: ArrayLike | Mapping | None,
    concentration: Hyperparameter | None,
    *,
    prefix: str = "",
) -> Blocks:
    """Return blocks: those already in the model in context, known ones, or latent ones.

    Parameters
    ----------
    part : str
        Name of the prior's class, for messages.
    n_blocks : int or None
        None: that of the known labels, or of the labels already in the model.
    labels : sequence, mapping or DataArray of str or int, shape (neuron,), or None
        Known labels. None: latent, as `BlockLabels`.
    concentration : number, array (block,), distribution, "learned" or None
        Concentration of the Dirichlet distribution of block weights. None: 1 / n_blocks.
    prefix : str
        Prefix of names, ``"weight_"`` for labels that are not shared with the edges.

    Raises
    ------
    ValueError
        Out of range, of the wrong length, for unknown neurons, or in contradiction to labels
        already in the model.
    """
    model = pm.modelcontext(None)
    neurons, name = neurons_of(model), f"{prefix}block_labels"
    dims = (f"{prefix}block_post", f"{prefix}block_pre")
    if name in model:
        of_edges = Blocks(model[name], len(model.coords[dims[0]]), dims)
        _check_shared(part, of_edges, n_blocks, labels, concentration)
        return of_edges
    if labels is not None:
        names, index = _known(part, labels, neurons)
        if n_blocks is not None and n_blocks != len(names):
            raise ValueError(
                f"{part}(n_blocks={n_blocks!r}): the number of different labels is {len(names)}, "
                f"{names[:10]}; leave n_blocks out."
            )
        if concentration is not None:
            raise ValueError(
                f"{part}(concentration): it belongs to the prior of latent labels, but labels are "
                "given; leave out one of the two."
            )
        for dim in dims:
            model.add_coord(dim, names)
        return Blocks(pm.Data(name, index, dims="post"), len(names), dims)
    if n_blocks is None:
        alone = "" if prefix or part == "BlockEdges" else "; there are no BlockEdges to share with"
        raise ValueError(
            f"{part}(n_blocks=None): give the largest number of blocks, or labels{alone}."
        )
    size = as_whole_number(
        n_blocks, f"{part}(n_blocks)", at_most=len(neurons), reason="the number of neurons"
    )
    for dim in dims:
        model.add_coord(dim, [str(k) for k in range(size)])
    model.add_coord(f"{prefix}block", [str(k) for k in range(size)])
    one_per_block = dimensions(concentration) > 0
    alpha = hyperparameter(
        f"{prefix}concentration",
        1.0 / size if concentration is None else concentration,
        lambda: pm.Gamma.dist(10.0, 10.0 * size),
        shape=(size,) if one_per_block else (),
        dims=(f"{prefix}block",) if one_per_block else None,
        lower=1e-6,
    )
    labels_rv = BlockLabels(name, pt.full((size,), alpha), len(neurons), dims="post")
    return Blocks(labels_rv, size, dims)


def between(table: TensorVariable, blocks: Blocks, n_neurons: int) -> TensorVariable:
    """Expand a table of blocks, (block_post, block_pre, ...), to pairs, (post, pre, ...).

    `BlockGibbs` recognises this operation in the graph: a vector of indices, computed from the
    labels, into the flattened table.
    """
    rest = tuple(table.shape)[2:]
    labels, n_blocks = blocks.labels, blocks.n_blocks
    flat = table.reshape((n_blocks**2, *rest))
    index = (labels[:, None] * n_blocks + labels[None, :]).reshape((-1,))
    return flat[index].reshape((n_neurons, n_neurons, *rest))
