"""Log likelihood of posterior draws, pointwise or summed."""

from typing import Any

import numpy as np
import pymc as pm
import xarray as xr
from numpy.typing import ArrayLike, DTypeLike, NDArray

from pymc_glm.criticism.fit.rates import time_slice
from pymc_glm.criticism.one_step import ObservedData, observed_data, observed_data_like
from pymc_glm.criticism.posterior import variable
from pymc_glm.criticism.same_model import check_model
from pymc_glm.criticism.scores.densities import Densities
from pymc_glm.criticism.scores.path_densities import path_densities, spread_draws
from pymc_glm.criticism.scores.units import BLOCK_WIDTH, UNITS, units_of
from pymc_glm.criticism.shared_path import has_shared_input
from pymc_glm.graph.threads import Threads
from pymc_glm.kernels.pointwise import Groups

__all__ = ["log_likelihood"]


def log_likelihood(
    tree: xr.DataTree,
    model: pm.Model | None = None,
    counts: xr.DataArray | ArrayLike | None = None,
    *,
    covariates: xr.DataArray | ArrayLike | None = None,
    sum_over: str | None = None,
    block_width: float = BLOCK_WIDTH,
    start: float | None = None,
    stop: float | None = None,
    draws: int | None = None,
    dtype: DTypeLike = np.float64,
    threads: int | None = None,
) -> xr.DataArray:
    r"""Compute the log likelihood of each draw, pointwise or summed.

    This is the normalised log density :math:`\log p(y_{tn} \mid \psi_{tn})` of each count given
    the spikes before it; pointwise, the same as from ``pm.compute_log_likelihood``. Beyond the
    result it needs memory only for a few arrays with one number per draw.

    Parameters
    ----------
    tree : DataTree
        Posterior that sampling returned, with its constant data; one session, see `session`.
    model : pymc.Model, optional
        The model that was sampled; used only to check that the tree was sampled from it.
    counts : DataArray or array, (time, neuron), optional
        Other counts of the same neurons, such as held-out counts, in bins of the same width; by
        default those of the model. Segments begin as in `build_glm`, with silence before them.
    covariates : DataArray or array, (time, covariate), optional
        Covariates of these counts, if the model has covariates.
    sum_over : {None, "block", "trial", "neuron"}
        Sum over the bins of each block of time, the bins of each trial (segment), or all bins, for
        each neuron separately. None: pointwise, chains x draws x bins x neurons numbers.
    block_width : float
        Seconds; the last block of a segment may be shorter.
    start, stop : float, optional
        Window in seconds: bins that begin in [start, stop). By default all bins.
    draws : int, optional
        Number of posterior draws, evenly spread over the chains. By default all; 200 of a model
        with shared input, as each takes a pass of a filter through all bins.
    dtype : dtype
        Of the result, float64 or float32; sums are computed in float64.
    threads : int, optional
        All cores by default; the result does not depend on it.

    Returns
    -------
    DataArray, dims (chain, draw, time, post)
        In nats. With excluded bins, ``observed_time`` replaces ``time``; with sums, ``block`` or
        ``trial`` does, with the coordinate ``block_start`` or ``trial_start`` in seconds. The dims
        are (chain, draw, post) for ``sum_over="neuron"``.

    Raises
    ------
    TypeError, ValueError
        The tree does not contain draws of a network or was sampled from another model, counts or
        covariates do not fit the model, or an option is out of range.

    Notes
    -----
    The path of shared input is integrated out in each draw of the other parameters: values of the
    path that were fitted have seen the counts, and are not used. A filter predicts each bin from
    all bins before it (see `heldout_score`), so sums over the bins of a block are joint log
    densities given the bins before the block. Neurons are coupled by the path within a bin. They
    are taken in their order: the log density of a neuron is given, beside the past, the counts of
    the neurons before it in the same bin; sums over neurons do not depend on that order.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> pg.log_likelihood(tree).dims
    ('chain', 'draw', 'time', 'post')
    >>> dict(pg.log_likelihood(tree, sum_over="block", block_width=5.0).sizes)
    {'chain': 2, 'draw': 500, 'block': 5, 'post': 3}
    """
    if sum_over is not None and sum_over not in UNITS[1:]:
        raise ValueError(f"sum_over: got {sum_over!r}, allowed are None and {list(UNITS[1:])}.")
    number = np.dtype(dtype)
    if number not in (np.float32, np.float64):
        raise ValueError(f"dtype: got {number}, allowed are float64 and float32.")
    weights = variable(tree, "posterior", "weights")
    data = observed_data(tree)
    check_model(tree, model)
    if counts is not None:
        data = observed_data_like(tree, counts, covariates)
    elif covariates is not None:
        raise ValueError("covariates: they belong to counts=; give both, or neither.")
    what = "the model's data" if counts is None else "the counts"
    window = time_slice(data.times, data.bin_width, start, stop, what)
    units = units_of(data, sum_over or "bin", block_width, window)
    index = spread_draws(tree, draws)
    if has_shared_input(tree):
        values = path_densities(tree, data, units.groups, draws, threads, number).values
    else:
        values = _values(tree, data, units.groups, index, threads, number)
    coords: dict[str, Any] = {
        "chain": weights["chain"].values,
        "draw": weights["draw"][index].values,
    }
    coords |= {**units.coords, "post": list(data.neurons)}
    shape = weights.sizes["chain"], index.size
    whole = values.reshape(*values.shape[:2], *shape).transpose(2, 3, 1, 0)
    if units.dim is None:
        return xr.DataArray(whole[:, :, 0], coords, ("chain", "draw", "post"), name="spikes")
    return xr.DataArray(whole, coords, ("chain", "draw", units.dim, "post"), name="spikes")


def _values(
    tree: xr.DataTree,
    data: ObservedData,
    groups: Groups,
    index: NDArray[np.intp],
    threads: int | None,
    dtype: np.dtype,
) -> NDArray:
    """Return log densities (post, group, sample) of a model without shared input."""
    tree = tree if index.size == tree["posterior"].sizes["draw"] else _some_draws(tree, index)
    densities = Densities(tree, data, threads)
    n_posts = len(data.neurons)
    values = np.empty((n_posts, groups.n_groups, densities.n_draws), dtype=dtype)

    def run(which: tuple[int, int]) -> None:
        for post in range(*which):
            densities.write(densities.drawn(post), groups, values[post], in_thread=True)

    Threads(threads, n_posts).over_posts(run)
    return values


def _some_draws(tree: xr.DataTree, index: NDArray[np.intp]) -> xr.DataTree:
    posterior = tree["posterior"].to_dataset().isel(draw=index)
    return xr.DataTree.from_dict(
        {"posterior": posterior, "constant_data": tree["constant_data"].to_dataset()}
    )
