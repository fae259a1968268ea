"""Simulation-based calibration (Talts, Betancourt, Simpson, Vehtari & Gelman 2018).

Parameters are drawn from the prior, data from the parameters, and the posterior is sampled: the
rank of the true value among thinned posterior draws must be uniform. Ranks are compared with the
uniform law by a chi-square test for every quantity; the smallest p-value of all, Bonferroni
corrected, must exceed 1 in 1000, so a right sampler fails in fewer than 1 of 1000 seeds.
"""

import joint
import numpy as np
import pymc as pm
import pytest
from scipy import special, stats

import pymc_glm as pg

N_BINS_OF_RANKS = 5


def quantities(free):
    """Return the scalar quantities that are ranked, invariant to labels and rotations."""
    own = np.eye(len(free["bias"]), dtype=bool)
    result = {
        "bias": free["bias"][0],
        "total weight": free["weights"][~own].sum(),
        "total self weight": free["weights"][own].sum(),
        "a weight": free["weights"][1, 0, 0],
    }
    if "adjacency" in free:
        result["number of edges"] = free["adjacency"].sum()
    if "block_labels" in free:
        result |= block_quantities(free)
    if "latent_positions" in free:
        result |= distance_quantities(free)
    for name in free.keys() - {"bias", "weights", "adjacency", "block_labels", "latent_positions"}:
        result[name] = np.mean(free[name])  # of a table: the same however blocks are numbered
    return result


def block_quantities(free):
    labels = free["block_labels"]
    sizes = np.bincount(labels)
    return {
        "blocks used": (sizes > 0).sum(),
        "largest block": sizes.max(),
        "first two together": labels[0] == labels[1],
        "probability of an edge": free["edge_probability"][labels[1], labels[0]],
        "mean of a weight": free["weight_mean"][labels[1], labels[0], 0],
    }


def distance_quantities(free):
    place = free["latent_positions"]
    squared = ((place[:, None] - place[None, :]) ** 2).sum(axis=-1)
    log_odds = free["edge_intercept"] - squared[1, 0] / free["edge_length_scale"] ** 2
    mean = free["weight_intercept"] - squared[1, 0] / free["weight_length_scale"] ** 2
    return {
        "a distance": squared[1, 0],
        "mean distance": np.sqrt(squared).mean(),
        "probability of an edge": special.expit(log_odds),
        "mean of a weight": np.mean(mean),
    }


def rank(true, draws, rng):
    """Rank of a value among draws, ties (absent edges) broken at random."""
    below, equal = np.sum(draws < true), np.sum(draws == true)
    return below + rng.integers(equal + 1)


def calibrate(model, n_simulations, n_draws, thin, warm_up, seed):
    """Return the ranks; what tunes itself to data does so in every warm-up, as a user's chain."""
    tuned = [s for s in model.steps if isinstance(s, pg.EdgeMetropolis | pg.WeightHMC)]
    rng = np.random.default_rng(seed)
    ranks = {}
    point = model.model.initial_point(seed)
    for step in model.steps:
        step.tune = True
    for i in range(n_simulations):
        true = model.prior_draw(i)
        model.set_counts(model.simulate(true, rng))
        if i == n_simulations // 10:
            for step in model.steps:
                step.stop_tuning()
        for step in tuned:
            step._forget()
        for _ in range(warm_up):
            point = model.advance(point)
        for step in tuned:
            step.stop_tuning()
        rows = []
        for _ in range(n_draws):
            for _ in range(thin):
                point = model.advance(point)
            rows.append(quantities(model.untransformed(point)))
        for key, value in quantities(true).items():
            draws = np.array([row[key] for row in rows])
            ranks.setdefault(key, []).append(rank(value, draws, rng))
    return {key: np.array(values) for key, values in ranks.items()}


def p_values(ranks, n_draws):
    result = {}
    for key, values in ranks.items():
        counts = np.bincount(values * N_BINS_OF_RANKS // (n_draws + 1), minlength=N_BINS_OF_RANKS)
        result[key] = stats.chisquare(counts).pvalue
    return result


def assert_calibrated(ranks, n_draws):
    p = p_values(ranks, n_draws)
    worst = min(p, key=p.get)
    assert p[worst] * len(p) > 1e-3, (worst, p[worst])


def learned_model(n_prior, seed, network_steps):
    return joint.make_joint(
        3,
        150,
        1,
        n_prior,
        seed,
        edges=pg.BernoulliEdges(pm.Beta.dist(2, 2), pm.Beta.dist(2, 2)),
        weights=pg.GaussianWeights(self_mean=-1.0, self_cov=0.5),
        network_steps=network_steps,
    )


@pytest.fixture(scope="module")
def short():
    return learned_model(150, 5, (pg.PolyaGammaGibbs,))


def test_short_of_the_default_samplers():
    model = learned_model(150, 5, joint.DEFAULT)
    ranks = calibrate(model, 150, n_draws=39, thin=4, warm_up=60, seed=6)
    assert model.step_of(pg.EdgeMetropolis).expansion is not None
    assert_calibrated(ranks, 39)


def test_short(short):
    ranks = calibrate(short, 150, n_draws=39, thin=4, warm_up=60, seed=6)
    assert_calibrated(ranks, 39)


def test_a_planted_bug_is_found(short, monkeypatch):
    """With kappa shifted by 0.05, a twentieth of a spike in every bin, calibration must fail."""
    monkeypatch.setattr(joint, "KAPPA_SHIFT", 0.05)
    ranks = calibrate(short, 150, n_draws=39, thin=4, warm_up=60, seed=6)
    p = p_values(ranks, 39)
    assert min(p.values()) * len(p) < 1e-3


@pytest.mark.parametrize(
    ("edges", "weights"),
    [("dense", "gaussian"), ("block", "block"), ("distance", "distance")],
    ids=["dense_glm", "sbm_glm", "latent_distance_glm"],
)
def test_short_of_other_builders(edges, weights):
    """The builders' parts. Draws are few and far between: ranks need nearly independent ones."""
    n_basis = joint.n_basis_of(edges, weights)
    steps = joint.default_steps(edges == "dense")
    model = joint.make_joint(
        4, 60, n_basis, 50, 7, *joint.parts(edges, weights), network_steps=steps
    )
    ranks = calibrate(model, 50, n_draws=4, thin=20, warm_up=40, seed=8)
    assert_calibrated(ranks, 4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("edges", "weights", "n_simulations"),
    [
        (None, None, 300),
        (pg.DenseEdges(), None, 300),
        (pg.BlockEdges(2), pg.BlockWeights(), 150),
        (pg.DistanceEdges(2), pg.DistanceWeights(), 300),
    ],
    ids=["bernoulli_glm", "dense_glm", "sbm_glm", "latent_distance_glm"],
)
def test_long(edges, weights, n_simulations):
    """The parts of the builders with their default priors and samplers."""
    n_neurons, n_basis = (3, 2) if weights is None else (4, 1)
    model = joint.make_joint(
        n_neurons,
        300,
        n_basis,
        300,
        seed=21,
        edges=edges,
        weights=weights,
        network_steps=joint.default_steps(isinstance(edges, pg.DenseEdges)),
    )
    ranks = calibrate(model, n_simulations, n_draws=19, thin=12, warm_up=80, seed=22)
    assert_calibrated(ranks, 19)
