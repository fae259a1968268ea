"""Synthetic posteriors of networks with known blocks and positions."""

import numpy as np
import xarray as xr

from helpers.synthetic_tree import tree_of

DRAWS = ("chain", "draw")


def with_variables(tree, constant=None, /, **variables):
    """The tree with more variables, name=(dims without chain and draw, values)."""
    groups = {name: group.to_dataset() for name, group in tree.children.items()}
    groups["posterior"] = groups["posterior"].assign(
        {name: ((*DRAWS, *dims), values) for name, (dims, values) in variables.items()}
    )
    if constant:
        groups["constant_data"] = groups["constant_data"].assign(constant)
    return xr.DataTree.from_dict(groups)


def without(tree, *names):
    """The tree without some variables of the posterior."""
    groups = {name: group.to_dataset() for name, group in tree.children.items()}
    groups["posterior"] = groups["posterior"].drop_vars(names)
    return xr.DataTree.from_dict(groups)


def renumbered(rng, labels, tables):
    """Labels and tables with the blocks of every draw renumbered at random.

    labels (chain, draw, post); tables: name -> (block axes counted from 2, values).
    """
    n_chains, n_draws = labels.shape[:2]
    n_blocks = next(iter(tables.values()))[1].shape[2]
    labels, tables = labels.copy(), {name: (axes, t.copy()) for name, (axes, t) in tables.items()}
    for c in range(n_chains):
        for d in range(n_draws):
            new = rng.permutation(n_blocks)
            labels[c, d] = new[labels[c, d]]
            for axes, values in tables.values():
                for axis in axes:
                    # the entry at k moves to new[k]
                    values[c, d] = np.take(values[c, d], np.argsort(new), axis=axis)
    return labels, {name: values for name, (_, values) in tables.items()}


def block_tree(
    types, *, probability=None, unsure=(), flip=0.3, n_chains=4, n_draws=100, n_blocks=None,
    renumber=True, labels=None, seed=0,
):  # fmt: skip
    """Draws around known types; `unsure` neurons are in the next block with probability `flip`."""
    rng = np.random.default_rng(seed)
    types = np.asarray(types)
    n, n_types = len(types), int(types.max()) + 1
    n_blocks = n_types if n_blocks is None else n_blocks
    drawn = np.tile(types, (n_chains, n_draws, 1))
    for neuron in unsure:
        moved = rng.random((n_chains, n_draws)) < flip
        drawn[..., neuron] = np.where(moved, (types[neuron] + 1) % n_types, types[neuron])
    if probability is None:
        probability = rng.beta(2, 4, (n_blocks, n_blocks))
    table = probability + rng.normal(0, 0.01, (n_chains, n_draws, n_blocks, n_blocks))
    mean = np.arange(n_blocks**2 * 1.0).reshape(n_blocks, n_blocks, 1) + rng.normal(
        0, 0.1, (n_chains, n_draws, n_blocks, n_blocks, 1)
    )
    adjacency = rng.random((n_chains, n_draws, n, n)) < probability[types[:, None], types]
    if renumber:
        drawn, tables = renumbered(rng, drawn, {"p": ((0, 1), table), "m": ((0, 1), mean)})
        table, mean = tables["p"], tables["m"]
    blocks = ("block_post", "block_pre")
    tree = with_variables(
        tree_of(adjacency, labels=labels),
        block_labels=(("post",), drawn),
        edge_probability=(blocks, table),
        weight_mean=((*blocks, "basis"), mean),
    )
    names = [str(k) for k in range(n_blocks)]
    tree["posterior"] = tree["posterior"].to_dataset().assign_coords(dict.fromkeys(blocks, names))
    return tree


def random_turns(rng, shape, n_dims):
    """Random rotations and reflections, shape (*shape, n_dims, n_dims)."""
    q, r = np.linalg.qr(rng.normal(size=(*shape, n_dims, n_dims)))
    return q * np.sign(np.diagonal(r, axis1=-2, axis2=-1))[..., None, :]


def position_tree(
    place, *, noise=0.0, n_chains=4, n_draws=100, turn=True, position=None, labels=None, seed=0
):
    """Draws around known positions (post, dim), each rotated, reflected and shifted at random."""
    rng = np.random.default_rng(seed)
    n, n_dims = place.shape
    draws = place + noise * rng.normal(size=(n_chains, n_draws, n, n_dims))
    if turn:
        draws = draws @ random_turns(rng, (n_chains, n_draws), n_dims)
        draws = draws + rng.normal(size=(n_chains, n_draws, 1, n_dims))
    adjacency = rng.random((n_chains, n_draws, n, n)) < 0.3
    constant = {} if position is None else {"position": (("post", "space"), position)}
    tree = with_variables(
        tree_of(adjacency, labels=labels), latent_positions=(("post", "latent_dim"), draws)
    )
    if position is not None:
        labels = tree["posterior"]["post"].values
        data = tree["constant_data"].to_dataset()
        coords = {"post": labels, "space": list("xyz"[: position.shape[1]])}
        tree["constant_data"] = data.assign(constant).assign_coords(coords)
    return tree
