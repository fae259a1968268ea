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
from scipy import stats

import pymc_glm as pg

N_BINS_OF_RANKS = 5


def quantities(free):
    """Return the scalar quantities that are ranked."""
    own = np.eye(len(free["bias"]), dtype=bool)
    result = {
        "bias": free["bias"][0],
        "total weight": free["weights"][~own].sum(),
        "total self weight": free["weights"][own].sum(),
        "a weight": free["weights"][1, 0, 0],
    }
    if "adjacency" in free:
        result["number of edges"] = free["adjacency"].sum()
    for name in free.keys() - {"bias", "weights", "adjacency"}:
        result[name] = np.mean(free[name])
    return result


def rank(true, draws, rng):
    """Rank of a value among draws, ties (absent edges) broken at random."""
    below, equal = np.sum(draws < true), np.sum(draws == true)
    return below + rng.integers(equal + 1)


def calibrate(model, n_simulations, n_draws, thin, warm_up, seed):
    rng = np.random.default_rng(seed)
    ranks = {}
    point = model.model.initial_point(seed)
    for step in model.steps:
        step.tune = True
    for i in range(n_simulations):
        true = model.prior_draw(i)
        model.set_counts(model.simulate(true["bias"], true["weights"], rng))
        if i == n_simulations // 10:
            for step in model.steps:
                step.stop_tuning()
        for _ in range(warm_up):
            point = model.advance(point)
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


def learned_model(n_prior, seed):
    return joint.make_joint(
        3,
        150,
        1,
        n_prior,
        seed,
        edges=pg.BernoulliEdges(pm.Beta.dist(2, 2), pm.Beta.dist(2, 2)),
        weights=pg.GaussianWeights(self_mean=-1.0, self_cov=0.5),
    )


@pytest.fixture(scope="module")
def short():
    return learned_model(150, seed=5)


def test_short(short):
    ranks = calibrate(short, 150, n_draws=39, thin=4, warm_up=60, seed=6)
    assert_calibrated(ranks, 39)


def test_a_planted_bug_is_found(short, monkeypatch):
    """With kappa shifted by 0.05, a twentieth of a spike in every bin, calibration must fail."""
    monkeypatch.setattr(joint, "KAPPA_SHIFT", 0.05)
    ranks = calibrate(short, 150, n_draws=39, thin=4, warm_up=60, seed=6)
    p = p_values(ranks, 39)
    assert min(p.values()) * len(p) < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("edges", "weights"),
    [(None, None), (pg.DenseEdges(), None)],
    ids=["bernoulli_glm", "dense_glm"],
)
def test_long(edges, weights):
    model = joint.make_joint(3, 300, 2, 300, seed=21, edges=edges, weights=weights)
    ranks = calibrate(model, 300, n_draws=39, thin=6, warm_up=100, seed=22)
    assert_calibrated(ranks, 39)
