"""With the default priors, networks drawn from the prior fire at plausible rates.

A draw counts as run away if any of its 30 neurons fires in more than half of the bins of the second
half of ten seconds (a rate of 100 Hz at 5 ms).
"""

import numpy as np
import pymc as pm
import pytest

import pymc_glm as pg
from helpers.joint import run_bernoulli
from helpers.uncompiled import UNCOMPILED

N, N_DRAWS, N_BINS, BIN_WIDTH = 30, 400, 2000, 0.005
MOST = 0.05

rng = np.random.default_rng(0)
PLACE = rng.uniform(0, 1000, (N, 2))
DISTANCE = np.linalg.norm(PLACE[:, None] - PLACE[None, :], axis=-1)
EDGES = {
    "dense": pg.DenseEdges(),
    "bernoulli": pg.BernoulliEdges(),
    "block": pg.BlockEdges(3),
    "distance": pg.DistanceEdges(2),
    "eigen": pg.EigenEdges(2),
    "feature": pg.FeatureEdges({"distance": DISTANCE}),
}
WEIGHTS = {
    "gaussian": pg.GaussianWeights(),
    "block": pg.BlockWeights(3),
    "distance": pg.DistanceWeights(2),
    "feature": pg.FeatureWeights({"distance": DISTANCE}),
}
NAMED = {
    ("bernoulli", "gaussian"),
    ("dense", "gaussian"),
    ("block", "block"),
    ("distance", "distance"),
}


def final_rates(edges, weights, seed, n_basis=3, window=0.1, bin_width=BIN_WIDTH):
    """Spikes per bin in the second half of a free run of each prior draw, (draw, neuron)."""
    basis = pg.basis.raised_cosine(n_basis, window=window, bin_width=bin_width)
    counts = np.zeros((40, N), dtype=int)
    counts[::7] = 1  # the prior does not depend on them
    with pg.build_glm(counts, basis, edges=edges, weights=weights) as model:
        names = [v for v in ("bias", "weights", "adjacency") if v in model.named_vars]
        prior = pm.sample_prior_predictive(
            N_DRAWS,
            var_names=names,
            random_seed=seed,
            compile_kwargs=UNCOMPILED,
        )["prior"]
    bias, coupling = prior["bias"].values[0], prior["weights"].values[0]
    rng = np.random.default_rng(seed)
    rates = []
    for b, w in zip(bias, coupling, strict=True):
        filters = np.einsum("nmb,lb->mln", w, basis.values)
        counts = run_bernoulli(b, filters, rng.random((N_BINS, N)))
        rates.append(counts[N_BINS // 2 :].mean(axis=0))
    return np.array(rates)


def run_away(rates):
    return (rates > 0.5).any(axis=1).mean()


@pytest.mark.parametrize(
    ("edges", "weights"),
    [
        pytest.param(e, w, marks=() if (e, w) in NAMED else pytest.mark.slow)
        for e in EDGES
        for w in WEIGHTS
    ],
)
def test_prior_draws_do_not_run_away(edges, weights):
    assert run_away(final_rates(EDGES[edges], WEIGHTS[weights], seed=1)) <= MOST


@pytest.mark.parametrize(
    ("n_basis", "window", "bin_width", "most"),
    [(1, 0.05, 0.005, MOST), (5, 0.15, 0.005, MOST), (4, 0.2, 0.010, 0.1), (3, 0.05, 0.002, 0.2)],
)
def test_prior_draws_with_other_bases_do_not_run_away(n_basis, window, bin_width, most):
    """The priors adapt to the basis; they are designed for bins of about 5 ms.

    In wide bins the biases alone saturate a neuron in about 4% of draws. In narrow bins a saturated
    neuron fires at several hundred Hz, and more draws saturate.
    """
    rates = final_rates(EDGES["bernoulli"], WEIGHTS["gaussian"], 2, n_basis, window, bin_width)
    assert run_away(rates) <= most


def test_the_criterion_detects_networks_that_run_away():
    """Standard normal weights on all pairs, a plausible first guess, saturate the network."""
    weights = pg.GaussianWeights(0.5, 1.0, None, None)
    assert run_away(final_rates(EDGES["dense"], weights, seed=3)) > 0.9


def test_weights_shrink_with_the_number_of_inputs():
    """The summed input has the prior variance of 3 inputs in every larger network."""
    from pymc_glm.priors.weights import SPIKE_EFFECT, weight_units

    basis = pg.basis.raised_cosine(2, window=0.05, bin_width=0.005)
    area = basis.values.sum(axis=0) * 0.005
    small = weight_units(basis.values, SPIKE_EFFECT / 0.005, 20, dense=False)
    np.testing.assert_allclose(small.scale * area, 0.0025)
    for n, dense, inputs in ((300, False, 30), (300, True, 300), (12, True, 12)):
        units = weight_units(basis.values, SPIKE_EFFECT / 0.005, n, dense)
        np.testing.assert_allclose(inputs * units.scale**2, 3 * small.scale**2)
        np.testing.assert_allclose(inputs * units.mean, 3 * small.mean)
        np.testing.assert_allclose(units.self_scale, small.self_scale)
