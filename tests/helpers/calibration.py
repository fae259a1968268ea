"""Ranks of true values among posterior draws (Talts, Betancourt, Simpson, Vehtari & Gelman 2018).

Parameters are drawn from the prior, data from the parameters, and the posterior is sampled: the
rank of the true value among thinned posterior draws must be uniform. Ranks are compared with the
uniform distribution by a chi-square test for every quantity; the smallest p-value, Bonferroni
corrected, must exceed 1 in 1000, so a right sampler fails in fewer than 1 of 1000 seeds.

A sampler that ignores the data and draws from the prior has uniform ranks of parameters too, so one
quantity depends on the data as well (Modrák et al. 2023, Bayesian Analysis, doi:10.1214/23-BA1404).
"""

import numpy as np
from scipy import special, stats

import pymc_glm as pg

N_BINS_OF_RANKS = 5
THRESHOLD = 1e-3


def quantities(free, busier):
    """Return the scalar quantities that are ranked, invariant to labels and rotations."""
    diagonal = np.eye(len(free["bias"]), dtype=bool)
    result = {
        "bias": free["bias"][0],
        "bias * busier than usual": free["bias"][0] * busier,
        "total weight": free["weights"][~diagonal].sum(),
        "total self weight": free["weights"][diagonal].sum(),
        "a weight": free["weights"][1, 0, 0],
    }
    if "adjacency" in free:
        result["number of edges"] = free["adjacency"].sum()
    if "block_labels" in free:
        result |= block_quantities(free)
    if "latent_positions" in free:
        result |= distance_quantities(free)
    if "self_weights" in free:  # there are no self-edges
        del result["total self weight"]
    if "loadings" in free:
        result |= shared_quantities(free)
    apart = {"bias", "weights", "adjacency", "block_labels", "latent_positions"}
    for name in free.keys() - apart - {"loadings", "factors"}:
        result[name] = np.mean(free[name])  # of a table: the same however blocks are numbered
    return result


def shared_quantities(free):
    """Products, which do not depend on the signs of the factors."""
    loadings, path = free["loadings"], free["factors"]
    return {
        "size of loadings": (loadings**2).mean(),
        "two loadings": loadings[0, 0] * loadings[1, 0],
        "size of paths": (path**2).mean(),
        "neighbours on a path": (path[1:] * path[:-1]).mean(),
        "end of a path * loading": loadings[0, -1] * path[-1],
    }


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


def usual_count(model, n_simulations, seed):
    """Return the median over prior draws of the first neuron's mean count."""
    rng = np.random.default_rng([seed, 1])
    n = min(n_simulations, 40)
    return np.median([model.simulate(model.prior_draw(i), rng)[:, 0].mean() for i in range(n)])


def calibrate(model, n_simulations, n_draws, thin, warm_up, seed):
    """Return the ranks. Steps that tune to the data do so in every warm-up, as for a user."""
    kinds = pg.EdgeMetropolis | pg.WeightHMC | pg.DispersionGibbs
    tuned = [step for step in model.steps if isinstance(step, kinds)]
    rng = np.random.default_rng(seed)
    usual = usual_count(model, n_simulations, seed)
    ranks = {}
    point = model.model.initial_point(seed)
    for step in model.steps:
        step.tune = True
    for i in range(n_simulations):
        true = model.prior_draw(i)
        counts = model.simulate(true, rng)
        model.set_counts(counts)
        busier = 1 if counts[:, 0].mean() > usual else -1
        if i == n_simulations // 10:
            for step in model.steps:
                step.stop_tuning()
        for step in tuned:
            step.forget()
        for _ in range(warm_up):
            point = model.advance(point)
        for step in tuned:
            step.stop_tuning()
        rows = []
        for _ in range(n_draws):
            for _ in range(thin):
                point = model.advance(point)
            rows.append(quantities(model.untransformed(point), busier))
        for key, value in quantities(true, busier).items():
            draws = np.array([row[key] for row in rows])
            ranks.setdefault(key, []).append(rank(value, draws, rng))
    return {key: np.array(values) for key, values in ranks.items()}


def p_values(ranks, n_draws):
    """Return the p-value of the chi-square test of each quantity."""
    result = {}
    for key, values in ranks.items():
        counts = np.bincount(values * N_BINS_OF_RANKS // (n_draws + 1), minlength=N_BINS_OF_RANKS)
        result[key] = stats.chisquare(counts).pvalue
    return result


def corrected(ranks, n_draws):
    """Return the quantity whose ranks are least uniform, and its corrected p-value."""
    p = p_values(ranks, n_draws)
    worst = min(p, key=p.get)
    return worst, p[worst] * len(p)


def assert_calibrated(ranks, n_draws):
    """Fail if the ranks of a quantity are not uniform."""
    worst, p = corrected(ranks, n_draws)
    assert p > THRESHOLD, (worst, p)
