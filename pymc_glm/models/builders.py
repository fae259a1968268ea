"""Builders of the four models of Linderman, Adams & Pillow (2016)."""

from typing import Any

import pymc as pm
import xarray as xr
from numpy.typing import ArrayLike

from pymc_glm.models.build import build_glm
from pymc_glm.priors.edges import BernoulliEdges, BlockEdges, DenseEdges, DistanceEdges
from pymc_glm.priors.weights import BlockWeights, DistanceWeights

__all__ = ["bernoulli_glm", "dense_glm", "latent_distance_glm", "sbm_glm"]


def bernoulli_glm(
    counts: xr.DataArray | ArrayLike, basis: xr.DataArray | ArrayLike, **kwargs: Any
) -> pm.Model:
    """Build a network GLM with independent edges: `build_glm` with `BernoulliEdges`.

    Parameters
    ----------
    counts, basis, **kwargs
        As for `build_glm`, without ``edges``.

    Returns
    -------
    pymc.Model
        See `build_glm`.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> basis = pg.basis.raised_cosine(1, window=0.05, bin_width=0.005)
    >>> "adjacency" in pg.bernoulli_glm(np.eye(20, 2, dtype=int), basis).named_vars
    True
    """
    return build_glm(counts, basis, edges=BernoulliEdges(), **kwargs)


def dense_glm(
    counts: xr.DataArray | ArrayLike, basis: xr.DataArray | ArrayLike, **kwargs: Any
) -> pm.Model:
    """Build a network GLM in which every pair is connected: `build_glm` with `DenseEdges`.

    Parameters
    ----------
    counts, basis, **kwargs
        As for `build_glm`, without ``edges``.

    Returns
    -------
    pymc.Model
        See `build_glm`.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> basis = pg.basis.raised_cosine(1, window=0.05, bin_width=0.005)
    >>> "adjacency" in pg.dense_glm(np.eye(20, 2, dtype=int), basis).named_vars
    False
    """
    return build_glm(counts, basis, edges=DenseEdges(), **kwargs)


def sbm_glm(
    counts: xr.DataArray | ArrayLike,
    basis: xr.DataArray | ArrayLike,
    n_blocks: int,
    **kwargs: Any,
) -> pm.Model:
    """Build a network GLM with latent cell types: `BlockEdges` and `BlockWeights`.

    Parameters
    ----------
    counts, basis, **kwargs
        As for `build_glm`, without ``edges`` and ``weights``.
    n_blocks : int
        Largest number of blocks; blocks not needed stay empty.

    Returns
    -------
    pymc.Model
        See `build_glm`.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> basis = pg.basis.raised_cosine(1, window=0.05, bin_width=0.005)
    >>> "block_labels" in pg.sbm_glm(np.eye(20, 4, dtype=int), basis, n_blocks=2).named_vars
    True
    """
    return build_glm(counts, basis, edges=BlockEdges(n_blocks), weights=BlockWeights(), **kwargs)


def latent_distance_glm(
    counts: xr.DataArray | ArrayLike,
    basis: xr.DataArray | ArrayLike,
    n_dims: int = 2,
    **kwargs: Any,
) -> pm.Model:
    """Build a network GLM with latent positions: `DistanceEdges` and `DistanceWeights`.

    Parameters
    ----------
    counts, basis, **kwargs
        As for `build_glm`, without ``edges`` and ``weights``.
    n_dims : int
        Dimensions of the latent space.

    Returns
    -------
    pymc.Model
        See `build_glm`.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> basis = pg.basis.raised_cosine(1, window=0.05, bin_width=0.005)
    >>> model = pg.latent_distance_glm(np.eye(20, 4, dtype=int), basis)
    >>> "latent_positions" in model.named_vars
    True
    """
    return build_glm(
        counts, basis, edges=DistanceEdges(n_dims), weights=DistanceWeights(), **kwargs
    )
