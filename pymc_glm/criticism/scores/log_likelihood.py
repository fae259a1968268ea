"""Log likelihoods from the draws of the weights, pointwise or summed."""

from typing import Any

import numpy as np
import pymc as pm
import xarray as xr
from numpy.typing import ArrayLike, DTypeLike

from pymc_glm.criticism.fit.rates import time_slice
from pymc_glm.criticism.of_model import check_model
from pymc_glm.criticism.one_step import observed_data, observed_data_like
from pymc_glm.criticism.posterior import variable
from pymc_glm.criticism.scores.densities import Densities
from pymc_glm.criticism.scores.units import BLOCK_WIDTH, UNITS, units_of
from pymc_glm.graph.threads import Threads

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
    dtype: DTypeLike = np.float64,
    threads: int | None = None,
) -> xr.DataArray:
    r"""Compute the log likelihood of each draw, pointwise or summed, in little memory.

    The log density :math:`\log p(y_{tn} \mid \psi_{tn})` of each count given the spikes before it,
    normalised: pointwise it is what ``pm.compute_log_likelihood`` gives. Beyond the result only
    some arrays of the size of a bin's draws are made.

    Parameters
    ----------
    tree : DataTree
        What sampling returned; needs the posterior and the constant data. Of several sessions one,
        see `session`.
    model : pymc.Model, optional
        The model that was sampled: looked at only to make sure that it is.
    counts : DataArray or array, (time, neuron), optional
        Other counts of the same neurons, such as those held out, in bins of the same width; by
        default those of the model. Segments begin as in `build_glm`, with silence before them.
    covariates : DataArray or array, (time, covariate), optional
        Of these counts, where the model has covariates.
    sum_over : {None, "block", "trial", "neuron"}
        Sum over the bins of each block of time, of each trial (segment), or over all bins of each
        neuron; neurons stay apart. None: pointwise, chains x draws x bins x neurons numbers.
    block_width : float
        Seconds; the last block of a segment may be shorter.
    start, stop : float, optional
        Window in seconds: bins that begin in [start, stop). By default the whole recording.
    dtype : dtype
        Of the result, float64 or float32; sums are made in float64.
    threads : int, optional
        All cores by default; the result does not depend on them.

    Returns
    -------
    DataArray, dims (chain, draw, time, post)
        In nats. ``observed_time`` in place of ``time`` where bins are excluded, ``block`` or
        ``trial`` where they are summed over, with the coordinate ``block_start`` or
        ``trial_start`` in seconds; (chain, draw, post) for ``sum_over="neuron"``.

    Raises
    ------
    TypeError, ValueError
        The tree does not hold the draws of a network, it is of another model, counts or covariates
        are not like those of the model, or an option is out of range.

    Examples
    --------
    >>> import numpy as np, pymc as pm, pymc_glm as pg
    >>> counts = np.random.default_rng(1).poisson(0.05, (500, 2)).clip(0, 1)
    >>> basis = pg.basis.raised_cosine(1, window=0.05, bin_width=0.005)
    >>> with pg.dense_glm(counts, basis):
    ...     tree = pm.sample_prior_predictive(5, random_seed=1)
    >>> tree["posterior"] = tree["prior"]
    >>> pg.log_likelihood(tree).dims
    ('chain', 'draw', 'time', 'post')
    >>> dict(pg.log_likelihood(tree, sum_over="block", block_width=0.5).sizes)
    {'chain': 1, 'draw': 5, 'block': 5, 'post': 2}
    """
    if sum_over is not None and sum_over not in UNITS[1:]:
        raise ValueError(f"sum_over: got {sum_over!r}, allowed are None and {list(UNITS[1:])}.")
    number = np.dtype(dtype)
    if number not in (np.float32, np.float64):
        raise ValueError(f"dtype: got {number}, allowed are float64 and float32.")
    weights = variable(tree, "posterior", "weights")
    recording = observed_data(tree)
    check_model(tree, model)
    if counts is not None:
        recording = observed_data_like(tree, counts, covariates)
    elif covariates is not None:
        raise ValueError("covariates: they go with counts=; give both, or neither.")
    data = "the model's data" if counts is None else "the counts"
    window = time_slice(recording.times, recording.bin_width, start, stop, data)
    units = units_of(recording, sum_over or "bin", block_width, window)
    densities = Densities(tree, recording, threads)
    n_posts, n_groups = len(recording.neurons), units.groups.n_groups
    values = np.empty((n_posts, n_groups, densities.n_draws), dtype=number)

    def run(which: tuple[int, int]) -> None:
        for post in range(*which):
            densities.write(densities.drawn(post), units.groups, values[post], in_thread=True)

    Threads(threads, n_posts).over_posts(run)
    coords: dict[str, Any] = {name: weights[name].values for name in ("chain", "draw")}
    coords |= {**units.coords, "post": list(recording.neurons)}
    whole = values.reshape(n_posts, n_groups, *densities.shape).transpose(2, 3, 1, 0)
    if units.dim is None:
        return xr.DataArray(whole[:, :, 0], coords, ("chain", "draw", "post"), name="spikes")
    return xr.DataArray(whole, coords, ("chain", "draw", units.dim, "post"), name="spikes")
