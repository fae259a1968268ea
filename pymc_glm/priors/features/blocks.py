"""Blocks of neurons (cell types), known or latent."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import ArrayLike, NDArray
from pytensor.tensor.variable import TensorVariable

from pymc_glm.distributions import BlockLabels
from pymc_glm.priors.features.neurons import by_neuron, check_number, contradiction, neurons_of
from pymc_glm.priors.hyperparameters import Hyperparameter, dimensions, hyperparameter

__all__ = ["Blocks", "between", "blocks"]


class Blocks(NamedTuple):
    """Blocks of neurons."""

    labels: TensorVariable  # (post,), index of the block
    n_blocks: int
    dims: tuple[str, str]  # of tables between blocks


def _known(
    part: str, labels: ArrayLike | Mapping, neurons: list[str]
) -> tuple[list[str], NDArray[np.int64]]:
    """Return the names of blocks and the index of each neuron's."""
    array = by_neuron(f"{part}(labels)", labels, neurons)
    if array.ndim != 1:
        raise ValueError(
            f"{part}(labels): got the shape {array.shape}; give one name or number for each neuron."
        )
    given = zip(neurons, array.tolist(), strict=True)
    missing = [n for n, label in given if pd.isna(label)]
    if missing:
        raise ValueError(
            f"{part}(labels): neurons {missing[:5]} have none; give one for each neuron, or leave "
            "labels out to infer all."
        )
    if array.dtype.kind not in "biufU":
        raise ValueError(
            f"{part}(labels): got {array[:3].tolist()} and so on; give names or numbers, one for "
            "each neuron."
        )
    names, index = np.unique(array, return_inverse=True)
    return [str(n) for n in names], index.astype(np.int64)


def _check_shared(
    part: str,
    there: Blocks,
    n_blocks: int | None,
    labels: ArrayLike | Mapping | None,
    concentration: Hyperparameter | None,
) -> None:
    """Raise if a part says otherwise than the edges about the labels that it shares with them."""
    model = pm.modelcontext(None)
    latent = there.labels in model.free_RVs
    if n_blocks is not None and n_blocks != there.n_blocks:
        argument = f"n_blocks={n_blocks!r}"
        raise contradiction(part, argument, "labels", f"those have {there.n_blocks} blocks")
    if concentration is not None:
        raise contradiction(part, "concentration", "labels", "BlockEdges say their concentration")
    if labels is not None:
        names, index = _known(part, labels, neurons_of(model))
        same = not latent and names == [*map(str, model.coords[there.dims[0]])]
        if not (same and np.array_equal(index, model[str(there.labels.name)].get_value())):
            got = "latent" if latent else "others"
            raise contradiction(part, "labels", "labels", f"the edges' are {got}")


def blocks(
    part: str,
    n_blocks: int | None,
    labels: ArrayLike | Mapping | None,
    concentration: Hyperparameter | None,
    *,
    own: str = "",
) -> Blocks:
    """Return the blocks of the model in context: those it has, known ones, or latent ones.

    Parameters
    ----------
    part : str
        Name of the class that asks, for messages.
    n_blocks : int or None
        None: as many as there are known labels, or as the model has already.
    labels : sequence, mapping or DataArray of str or int, shape (neuron,), or None
        Known labels. None: latent, as `BlockLabels`.
    concentration : number, array (block,), distribution, "learned" or None
        Of the Dirichlet law of block weights. None: 1 / n_blocks.
    own : str
        Prefix of names, ``"weight_"`` for labels that are not shared with the edges.

    Raises
    ------
    ValueError
        Out of range, of the wrong length, of unknown neurons, or contradicting what is there.
    """
    model = pm.modelcontext(None)
    neurons, name = neurons_of(model), f"{own}block_labels"
    dims = (f"{own}block_post", f"{own}block_pre")
    if name in model:
        there = Blocks(model[name], len(model.coords[dims[0]]), dims)
        _check_shared(part, there, n_blocks, labels, concentration)
        return there
    if labels is not None:
        names, index = _known(part, labels, neurons)
        if n_blocks is not None and n_blocks != len(names):
            raise ValueError(
                f"{part}(n_blocks={n_blocks!r}): the labels given name {len(names)} blocks, "
                f"{names[:10]}; leave n_blocks out."
            )
        if concentration is not None:
            raise ValueError(
                f"{part}(concentration): it is of the prior of latent labels, and labels are "
                "given; leave one of them out."
            )
        for dim in dims:
            model.add_coord(dim, names)
        return Blocks(pm.Data(name, index, dims="post"), len(names), dims)
    if n_blocks is None:
        others = "" if own or part == "BlockEdges" else "; there are no BlockEdges to share with"
        raise ValueError(
            f"{part}(n_blocks=None): give the largest number of blocks, or labels{others}."
        )
    size = check_number(f"{part}(n_blocks)", n_blocks, len(neurons), "the number of neurons")
    for dim in dims:
        model.add_coord(dim, [str(k) for k in range(size)])
    model.add_coord(f"{own}block", [str(k) for k in range(size)])
    of_each = dimensions(concentration) > 0
    alpha = hyperparameter(
        f"{own}concentration",
        1.0 / size if concentration is None else concentration,
        lambda: pm.Gamma.dist(10.0, 10.0 * size),
        shape=(size,) if of_each else (),
        dims=(f"{own}block",) if of_each else None,
        lower=1e-6,
    )
    labels_rv = BlockLabels(name, pt.full((size,), alpha), len(neurons), dims="post")
    return Blocks(labels_rv, size, dims)


def between(table: TensorVariable, of: Blocks, n_neurons: int) -> TensorVariable:
    """Spread a table between blocks, (block_post, block_pre, ...), to pairs, (post, pre, ...).

    `BlockGibbs` recognises this gather in the graph: a vector of indices, made of the labels, into
    the flattened table.
    """
    rest = tuple(table.shape)[2:]
    flat = table.reshape((of.n_blocks**2, *rest))
    index = (of.labels[:, None] * of.n_blocks + of.labels[None, :]).reshape((-1,))
    return flat[index].reshape((n_neurons, n_neurons, *rest))
