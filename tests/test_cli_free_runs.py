"""What the report of `pymc-glm fit` says of networks that run freely."""

import numpy as np
import pytest
from scipy.special import logit

import pymc_glm as pg
from helpers.synthetic_tree import tree_of
from pymc_glm.cli.free_runs import free_run_line

BASIS = pg.basis.raised_cosine(1, window=0.03, bin_width=0.005)
SPIKES = np.random.default_rng(2).random((2000, 3)) < 0.1


def network(self_weight, bias):
    """A posterior whose draws are all the same."""
    weights = np.zeros((2, 30, 3, 3, 1))
    weights[..., range(3), range(3), 0] = self_weight
    biases = np.broadcast_to(bias, (2, 30, 3)).copy()
    return tree_of(None, weights, biases, basis=BASIS.values, spikes=SPIKES.astype(int))


def test_networks_that_run_away_are_reported_with_the_page_that_helps():
    line = free_run_line(network(8.0, np.full(3, -2.0)), 1)
    assert "10 s of 20 networks" in line
    assert "20 run away (a neuron above 100 Hz)" in line
    assert "docs/does-not-fit.md, Simulated networks run away" in line
    assert "none" not in line


def test_rates_are_compared_with_the_recorded_ones():
    """Two neurons fire as recorded, one hardly ever."""
    recorded = SPIKES.mean(axis=0)
    line = free_run_line(network(0.0, [*logit(recorded[:2]), -6.0]), 1)
    assert "none runs away" in line
    assert "for 2 of 3 neurons" in line


def test_long_recordings_are_simulated_for_a_minute():
    spikes = np.zeros((20_000, 3), dtype=int)
    weights, bias = np.zeros((1, 20, 3, 3, 1)), np.full((1, 20, 3), -3.0)
    tree = tree_of(None, weights, bias, basis=BASIS.values, spikes=spikes)
    assert free_run_line(tree, 1).startswith("Free simulation, 60 s of 20 networks")


@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_seed_says_the_same(seed):
    tree = network(1.0, np.full(3, -2.5))
    assert free_run_line(tree, seed) == free_run_line(tree, seed)
