"""Draws of block labels and of tables between blocks, numbered alike in every draw."""

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pymc_glm.criticism.structure.learned import is_learned, learned, variable_names
from pymc_glm.criticism.structure.relabelling import relabelling

__all__ = ["block_dims", "block_names", "blocks_of_neurons", "relabelled"]

_ADVICE = (
    "this model learns no blocks. Build one that does with pg.sbm_glm, pg.BlockEdges or "
    "pg.BlockWeights; networks without blocks are summarised by pg.edge_summary and "
    "pg.plot_network"
)


def relabelled(tree: xr.DataTree, labels: str = "block_labels") -> xr.Dataset:
    """Renumber the blocks of every draw in the labels and in all variables with a block dimension.

    Parameters
    ----------
    tree : DataTree
    labels : str
        "block_labels", with tables of the dimensions block_post and block_pre, or
        "weight_block_labels", with weight_block_post and weight_block_pre.

    Returns
    -------
    Dataset

    Raises
    ------
    TypeError, ValueError
        See `block_summary`.
    """
    drawn = _label_draws(tree, labels)
    names = block_names(tree, labels)
    n_chains, n_draws, n_neurons = drawn.shape
    flat = drawn.values.reshape(-1, n_neurons).astype(np.int64)
    new_number = relabelling(flat, len(names))
    new_labels = np.take_along_axis(new_number, flat, axis=1).reshape(drawn.shape)
    found = {labels: drawn.copy(data=new_labels)}
    old_number = new_number.argsort(axis=1).reshape(n_chains, n_draws, -1)
    dims = block_dims(labels)
    for name, table in tree["posterior"].data_vars.items():
        if set(dims) & set(table.dims):
            found[str(name)] = _renumbered(table, old_number, dims)
    return xr.Dataset(found)


def _renumbered(
    table: xr.DataArray, old_number: NDArray[np.int64], dims: tuple[str, ...]
) -> xr.DataArray:
    """Return a table whose block k was block old_number[chain, draw, k]."""
    table = table.transpose("chain", "draw", ...)
    values = table.values
    for axis, dim in enumerate(table.dims):
        if dim in dims:
            shape = [*old_number.shape[:2], *[1] * (values.ndim - 2)]
            shape[axis] = old_number.shape[2]
            values = np.take_along_axis(values, old_number.reshape(shape), axis=axis)
    return table.copy(data=values)


def block_dims(labels: str) -> tuple[str, ...]:
    """Return the dimensions of blocks: weight_block_labels -> weight_block_post and so on."""
    block = labels.removesuffix("_labels")
    prefix = block.removesuffix("block")
    # The last is PyMC's name for the dimension of a concentration without named dimensions.
    return f"{block}_post", f"{block}_pre", block, f"{prefix}concentration_dim_0"


def _label_draws(tree: xr.DataTree, labels: str) -> xr.DataArray:
    """Return the draws of the labels, dims (chain, draw, post)."""
    if isinstance(tree, xr.DataTree):
        others = [name for name in variable_names(tree, "posterior")
                  if name.endswith("block_labels") and name != labels]  # fmt: skip
        advice = f"give labels={others[0]!r}" if others else _ADVICE
    else:
        advice = _ADVICE
    drawn = learned(tree, labels, "labels", advice)
    if set(drawn.dims) != {"chain", "draw", "post"} or drawn.dtype.kind not in "iu":
        raise ValueError(
            f"labels: {labels!r} has the dims {drawn.dims} and holds {drawn.dtype}; allowed are "
            "whole numbers (chain, draw, post)."
        )
    return drawn.transpose("chain", "draw", "post")


def block_names(tree: xr.DataTree, labels: str) -> list[str]:
    """Return the names of all blocks, used or not.

    Parameters
    ----------
    tree : DataTree
    labels : str

    Raises
    ------
    TypeError, ValueError
        See `block_summary`.
    """
    posterior = tree["posterior"].to_dataset()
    drawn = _label_draws(tree, labels).values
    lowest, highest = int(drawn.min()), int(drawn.max())
    dim = next((dim for dim in block_dims(labels) if dim in posterior.sizes), None)
    n_blocks = highest + 1 if dim is None else posterior.sizes[dim]
    if lowest < 0 or highest >= n_blocks:
        raise ValueError(
            f"labels: {labels!r} has the value {lowest if lowest < 0 else highest}; allowed are "
            f"0 to {n_blocks - 1} for {n_blocks} blocks."
        )
    if dim is not None and dim in posterior.coords:
        return [str(name) for name in posterior[dim].values]
    return [str(block) for block in range(n_blocks)]


def blocks_of_neurons(tree: xr.DataTree) -> xr.DataArray | None:
    """Return known or most probable blocks to colour neurons by, (post,), or None.

    Parameters
    ----------
    tree : DataTree
    """
    for name in ("block_labels", "weight_block_labels"):
        if name in variable_names(tree, "constant_data"):
            return tree["constant_data"][name].rename("block")
        if is_learned(tree, name):
            drawn = relabelled(tree, name)[name]
            n_blocks = int(drawn.max()) + 1
            counts = xr.concat([(drawn == k).sum(["chain", "draw"]) for k in range(n_blocks)], "k")
            return counts.argmax("k").rename("block")
    return None
