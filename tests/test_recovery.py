"""Recovery of the structure, edges and hyperparameters of a simulation.

Seeds are fixed. A true entry of a table lies in its 94% interval with that probability. If entries
were independent, fewer than 0.6 of nine would do so in about one of 3000 cases, of four in one of
80.
"""

from typing import NamedTuple

import numpy as np
import pytest
import xarray as xr
from scipy.stats import rankdata

import pymc_glm as pg

BASIS = pg.basis.raised_cosine(1, window=0.04, bin_width=0.005)
RATE = 0.05  # spikes per bin of a silent network


class Truth(NamedTuple):
    """A simulated network with its structure and hyperparameters."""

    counts: xr.DataArray
    adjacency: np.ndarray  # (post, pre)
    structure: np.ndarray  # labels (neuron,) or positions (neuron, dim)
    hyperparameters: dict[str, np.ndarray]


def simulated(probability, mean, sd, structure, hyperparameters, n_bins, seed, rate=RATE) -> Truth:
    """Draw a network and its spikes; probability and mean are (post, pre)."""
    rng = np.random.default_rng(seed)
    n = len(probability)
    adjacency = rng.random((n, n)) < probability
    np.fill_diagonal(adjacency, True)
    weights = mean + sd * rng.standard_normal((n, n))
    weights[np.diag_indices(n)] = -1.0 + 0.3 * rng.standard_normal(n)
    weights *= adjacency
    bias = np.full(n, np.log(rate / (1 - rate)))
    parameters = pg.NetworkParameters(bias, weights[:, :, None], BASIS)
    counts = pg.simulate(parameters, n_bins, random_seed=rng, max_rate=np.inf)
    return Truth(counts, adjacency, structure, hyperparameters)


def blocks(sizes, table, means, n_bins, seed) -> Truth:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    labels = np.random.default_rng(seed).permutation(labels)
    table, means = np.array(table), np.array(means)
    pair = labels[:, None], labels[None, :]
    learned = {"edge_probability": table, "weight_mean": means}
    return simulated(table[pair], means[pair], 0.3, labels, learned, n_bins, seed + 1)


def auc(tree, adjacency):
    """Area under the ROC curve of inclusion probabilities between different neurons."""
    off = ~np.eye(len(adjacency), dtype=bool)
    score = tree["posterior"]["adjacency"].mean(("chain", "draw")).values[off]
    present = adjacency[off]
    ranks = rankdata(score)
    n_present = present.sum()
    above = ranks[present].sum() - n_present * (n_present + 1) / 2
    return above / (n_present * (present.size - n_present))


def inside(draws, truth):
    """Return whether true values are inside their central 94% intervals."""
    low, high = np.quantile(draws.values, [0.03, 0.97], axis=(0, 1))
    return (truth >= low) & (truth <= high)


def edges_between(truth):
    """Number of edges between types without self-edges, (type, type)."""
    types = np.eye(truth.structure.max() + 1)[truth.structure]
    off = ~np.eye(len(truth.adjacency), dtype=bool)
    return types.T @ (truth.adjacency & off) @ types


TWO = {
    "sizes": (14, 10),
    "table": [[0.3, 0.4], [0.1, 0.05]],
    "means": [[0.6, -1.0], [0.9, -0.8]],
}
THREE = {
    "sizes": (9, 8, 7),
    "table": [[0.3, 0.05, 0.5], [0.4, 0.05, 0.1], [0.05, 0.4, 0.3]],
    "means": [[0.5, -0.8, -1.0], [0.8, -0.8, -1.0], [0.8, 0.8, -0.8]],
}


def table_of_true_types(summary, name, truth):
    """Draws of a table between blocks in the order of the true types, (chain, draw, type, type)."""
    labels = summary.labels.values
    order = [np.bincount(labels[truth == k].astype(int)).argmax() for k in np.unique(truth)]
    table = summary.posterior[name]
    if "basis" in table.dims:
        table = table.isel(basis=0)
    table = table.transpose("chain", "draw", "block_post", "block_pre")
    return table.isel(block_post=order, block_pre=order)


@pytest.mark.slow
@pytest.mark.parametrize(("settings", "n_blocks"), [(TWO, 3), (THREE, 4)], ids=["two", "three"])
def test_blocks_are_found(settings, n_blocks):
    """Every chain finds the true types, although more blocks are allowed.

    True means are in the tail of their prior, which shrinks means of few edges, so only means of at
    least ten edges are compared.
    """
    truth = blocks(**settings, n_bins=30_000, seed=1)
    model = pg.build_glm(
        truth.counts, BASIS, edges=pg.BlockEdges(n_blocks), weights=pg.BlockWeights()
    )
    tree = pg.sample(
        400, 600, chains=2, random_seed=5, model=model, progressbar=False, report=False, quiet=True
    )
    summary = pg.block_summary(tree, truth=truth.structure)
    assert summary.adjusted_rand.median("draw").min() >= 0.9
    assert auc(tree, truth.adjacency) >= 0.95
    compared = {"edge_probability": np.full((n_blocks - 1,) * 2, True)}
    compared["weight_mean"] = edges_between(truth) >= 10
    for name, true in truth.hyperparameters.items():
        covered = inside(table_of_true_types(summary, name, truth.structure), true)
        assert covered[compared[name]].mean() >= 0.75, name


def distances(n_neurons, n_bins, seed) -> Truth:
    """Near neurons excite each other, far ones inhibit or have no edge; about half are present.

    Positions are uniform in a square: no neuron is so far out that it has no edge, which would
    leave its direction open. Edges are many: with 60 of 380 the posterior of a position has three
    quarters of the prior's standard deviation, with any sampler.
    """
    place = np.random.default_rng(seed).uniform(-1.6, 1.6, (n_neurons, 2))
    squared = ((place[:, None] - place[None, :]) ** 2).sum(axis=-1)
    true = {
        "edge_intercept": np.array(1.5),
        "edge_length_scale": np.array(1.2),
        "weight_intercept": np.array([0.4]),
        "weight_length_scale": np.array([1.4]),
        "weight_scale": np.array([0.2]),
    }
    probability = 1 / (1 + np.exp(-true["edge_intercept"] + squared / 1.2**2))
    mean = true["weight_intercept"] - squared / 1.4**2
    return simulated(probability, mean, 0.2, place, true, n_bins, seed + 1, rate=0.15)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_positions_are_found(seed):
    truth = distances(20, 20_000, seed)
    model = pg.latent_distance_glm(truth.counts, BASIS)
    tree = pg.sample(
        200, 300, chains=2, random_seed=6, model=model, progressbar=False, report=False, quiet=True
    )
    found = pg.align_positions(tree, reference=truth.structure)
    assert found.correlation.median("draw").min() >= 0.8
    assert auc(tree, truth.adjacency) >= 0.9
    covered = [
        inside(tree["posterior"][k], true).all() for k, true in truth.hyperparameters.items()
    ]
    assert np.sum(covered) >= 4  # of five, see above
