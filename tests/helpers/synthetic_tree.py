"""Synthetic posteriors of a known network, in the form that sampling returns."""

from typing import NamedTuple

import numpy as np
import xarray as xr

BIN_WIDTH = 0.005


class Example(NamedTuple):
    tree: xr.DataTree
    adjacency: np.ndarray  # (post, pre), the truth
    filters: np.ndarray  # (post, pre, lag), the truth


def markov_indicator(rng, probability, memory, n_chains, n_draws):
    """Binary Markov chains, (chain, draw, *probability.shape), with autocorrelation memory**lag."""
    probability = np.asarray(probability)
    shape = (n_chains, *probability.shape)
    state = rng.random(shape) < probability
    out = np.empty((n_chains, n_draws, *probability.shape), dtype=np.int8)
    for draw in range(n_draws):
        renewed = rng.random(shape) >= memory
        state = np.where(renewed, rng.random(shape) < probability, state)
        out[:, draw] = state
    return out


def tree_of(
    adjacency=None, weights=None, bias=None, *, spikes=None, basis=None, labels=None, **hyper
):
    """A DataTree of draws given as arrays; adjacency None is a dense model."""
    n_basis = 1 if weights is None else weights.shape[-1]
    if weights is None:
        weights = adjacency[..., None] * 1.0
    n_chains, n_draws, n = weights.shape[:3]
    if bias is None:
        bias = np.random.default_rng(0).normal(-4, 0.1, (n_chains, n_draws, n))
    if basis is None:
        basis = np.eye(4, n_basis)
    if spikes is None:
        spikes = np.zeros((20, n), dtype=np.int64)
    labels = [f"n{i}" for i in range(n)] if labels is None else labels
    draws = ("chain", "draw")
    posterior = {
        "weights": ((*draws, "post", "pre", "basis"), weights),
        "bias": ((*draws, "post"), bias),
    }
    if adjacency is not None:
        posterior["adjacency"] = ((*draws, "post", "pre"), adjacency.astype(np.int8))
    for name, values in hyper.items():
        posterior[name] = ((*draws, "basis")[: values.ndim], values)
    time = np.arange(len(spikes)) * BIN_WIDTH
    pair = {"post": labels, "pre": labels}
    constant = {
        "counts": (("time", "post"), spikes),
        "basis_functions": (("lag", "basis"), basis),
        "bin_width": ((), BIN_WIDTH),
    }
    lag = np.arange(1, len(basis) + 1) * BIN_WIDTH
    return xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset(posterior, pair),
            "constant_data": xr.Dataset(constant, {"time": time, "post": labels, "lag": lag}),
            "observed_data": xr.Dataset(
                {"spikes": (("time", "post"), spikes)}, {"time": time, "post": labels}
            ),
            "sample_stats": xr.Dataset(),
        }
    )


def bumps(n_lags, n_basis):
    lags = np.arange(n_lags)[:, None]
    centres = np.linspace(0, n_lags / 2, n_basis)
    return np.exp(-0.5 * ((lags - centres) / (n_lags / (2.5 * n_basis))) ** 2)


def example(n_neurons=4, n_basis=1, *, n_chains=4, n_draws=200, n_bins=2000, dense=False, seed=1):
    rng = np.random.default_rng(seed)
    n, diagonal = n_neurons, np.eye(n_neurons, dtype=bool)
    adjacency = (rng.random((n, n)) < 0.2) | diagonal
    weights = rng.normal(0, 1.2, (n, n, n_basis)) * adjacency[..., None]
    weights[diagonal] = -3.0 + rng.normal(0, 0.5, (n, n_basis))
    basis = bumps(20, n_basis)
    probability = np.where(adjacency, rng.beta(9, 1, (n, n)), rng.beta(1, 12, (n, n)))
    probability[diagonal] = 1.0
    present = markov_indicator(rng, probability, 0.5, n_chains, n_draws)
    noise = rng.normal(0, 0.3, (n_chains, n_draws, n, n, n_basis))
    draws = weights + noise
    spikes = simulate(rng, -2.8 + rng.normal(0, 0.5, n), weights, basis, n_bins)
    tree = tree_of(
        None if dense else present,
        draws if dense else draws * present[..., None],
        rng.normal(-2.8, 0.1, (n_chains, n_draws, n)),
        spikes=spikes,
        basis=basis,
        labels=[f"{i + 1}" for i in range(n)],
        edge_probability=rng.beta(3, 9, (n_chains, n_draws)),
        weight_mean=rng.normal(size=(n_chains, n_draws, n_basis)),
    )
    return Example(tree, adjacency.astype(int), weights @ basis.T)


def simulate(rng, bias, weights, basis, n_bins):
    n_lags, n = len(basis), len(bias)
    kernel = weights @ basis.T  # (post, pre, lag)
    spikes = np.zeros((n_bins, n), dtype=np.int64)
    for t in range(n_bins):
        past = spikes[max(t - n_lags, 0) : t][::-1]
        psi = bias + np.einsum("lm,nml->n", past, kernel[:, :, : len(past)])
        spikes[t] = rng.random(n) < 1 / (1 + np.exp(-np.clip(psi, -20, 1)))
    return spikes
