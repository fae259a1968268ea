"""Posteriors in which every draw is the network that generated the counts."""

import numpy as np
import xarray as xr

import pymc_glm as pg
from helpers.synthetic_tree import tree_of


def known_tree(network, counts, *, n_draws=1, starts=None, bins=None):
    """A DataTree with n_draws equal draws of a NetworkParameters, and counts (time, neuron)."""
    counts = np.asarray(counts)
    n = counts.shape[1]

    def draws(values):
        values = np.asarray(values, dtype=float)
        return np.broadcast_to(values, (1, n_draws, *values.shape)).copy()

    tree = tree_of(
        None,
        draws(network.weights),
        draws(network.bias),
        spikes=counts,
        basis=np.asarray(network.basis),
        labels=[f"n{i}" for i in range(n)],
    )
    constants = tree["constant_data"].to_dataset()
    observation = network.observation
    if observation.parameter_name is not None:
        value = np.broadcast_to(getattr(observation, observation.parameter_name), (n,))
        constants[observation.parameter_name] = ("post", value.copy())
        if observation.parameter_name == "n_trials":
            constants["n_trials"] = ((), observation.n_trials)
    constants = constants.assign_coords(observation=observation.name)
    if starts is not None:
        constants["segment_start"] = ("segment", np.asarray(starts, dtype=np.int64))
    if bins is not None:
        constants["data_bins"] = ("observed_time", np.asarray(bins, dtype=np.int64))
    posterior = tree["posterior"].to_dataset()
    return xr.DataTree.from_dict({"posterior": posterior, "constant_data": constants})


def refractory(observation=None, bias=(-1.0, -1.5, -0.5), self_weight=-3.0):
    """Three neurons that are refractory; the first excites the second."""
    basis = pg.basis.raised_cosine(2, window=0.05, bin_width=0.005)
    n = len(bias)
    weights = np.zeros((n, n, 2))
    weights[range(n), range(n)] = [self_weight, 0.1]
    if n > 1:
        weights[1, 0] = [0.5, 0.0]
    observation = pg.Bernoulli() if observation is None else observation
    return pg.NetworkParameters(np.array(bias), weights, basis, observation)
