"""Draws from the prior in the form of a posterior, for tests that need no sampling."""

import numpy as np
import pymc as pm
import xarray as xr
from pytensor import config

from helpers.uncompiled import INTERPRETED


def drawn_tree(model, draws=20, chains=2, seed=0):
    """A tree as sampling returns it, with draws from the prior."""
    with model, config.change_flags(mode=INTERPRETED):
        prior = pm.sample_prior_predictive(draws * chains, random_seed=seed)
    posterior = prior["prior"].dataset.isel(chain=0, drop=True)
    index = np.arange(draws * chains).reshape(chains, draws)
    posterior = posterior.isel(draw=xr.DataArray(index, dims=("chain", "step")))
    posterior = posterior.drop_vars("draw").rename(step="draw")
    posterior = posterior.assign_coords(chain=np.arange(chains), draw=np.arange(draws))
    groups = {"posterior": posterior.transpose("chain", "draw", ...)}
    groups |= {name: prior[name].dataset for name in ("constant_data", "observed_data")}
    return xr.DataTree.from_dict(groups)


def by_pymc(tree, model):
    """Log likelihoods (chain, draw, time, post) that PyMC computes from the model's graph."""
    with model, config.change_flags(mode=INTERPRETED):
        full = pm.compute_log_likelihood(tree, progressbar=False, extend_inferencedata=False)
    return full["spikes"] if "spikes" in full else full["log_likelihood"]["spikes"]
