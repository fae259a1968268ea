"""Posteriors of networks with shared input whose parameters are known."""

import numpy as np
import xarray as xr

import pymc_glm as pg
from helpers.known_tree import known_tree

BIN_WIDTH = 0.005
BASIS = pg.basis.raised_cosine(1, window=0.02, bin_width=BIN_WIDTH)


def shared_network(
    loadings, *, bias=-2.5, observation=None, timescale=(0.02, 0.1), smoothness=(0.5, 1.5),
    steps=(1, 4), weights=None,
):  # fmt: skip
    """A NetworkParameters with shared input, uncoupled unless weights are given."""
    loadings = np.asarray(loadings, dtype=float)
    n, n_factors = loadings.shape
    path = pg.PathParameters(
        loadings,
        np.array(timescale[:n_factors]),
        np.array(smoothness[:n_factors]),
        BIN_WIDTH * np.array(steps[:n_factors]),
    )
    return pg.NetworkParameters(
        np.full(n, bias),
        np.zeros((n, n, 1)) if weights is None else weights,
        BASIS,
        pg.Bernoulli() if observation is None else observation,
        shared_input=path,
    )


def shared_tree(network, counts, *, loadings=None, factors=0.0, **options):
    """A DataTree whose draws are the network, with loadings (draw, post, factor) if given."""
    path = network.shared_input
    loadings = path.loadings[None] if loadings is None else np.asarray(loadings)
    n_draws, _, n_factors = loadings.shape
    tree = known_tree(network, counts, n_draws=n_draws, **options)
    posterior, constants = tree["posterior"].to_dataset(), tree["constant_data"].to_dataset()
    posterior["loadings"] = (("chain", "draw", "post", "factor"), loadings[None])
    posterior["factor_timescale"] = (
        ("chain", "draw", "factor"),
        np.tile(path.timescale, (1, n_draws, 1)),
    )
    grid = -(-len(counts) // np.rint(path.grid_width / BIN_WIDTH).astype(int))
    posterior["factors"] = (
        ("chain", "draw", "grid"),
        np.full((1, n_draws, grid.sum()), float(factors)),
    )
    constants["smoothness"] = ("factor", path.smoothness)
    constants["grid_width"] = ("factor", path.grid_width)
    constants["grid_factor"] = ("grid", np.repeat(np.arange(n_factors), grid))
    constants["grid_time"] = (
        "grid",
        np.concatenate([np.arange(m) * w for m, w in zip(grid, path.grid_width, strict=True)]),
    )
    return xr.DataTree.from_dict({"posterior": posterior, "constant_data": constants})
