"""Exact posteriors of tiny networks, by enumeration and quadrature, against the samplers."""

from itertools import product

import arviz as az
import numpy as np
import pymc as pm
import pytest
from pymc.step_methods.compound import CompoundStep
from scipy import optimize, special

import pymc_glm as pg

N_BINS = 60
BIAS = (-1.0, 1.0)
PROBABILITY, SELF_PROBABILITY = 0.4, 0.6
MEAN, VARIANCE, SELF_MEAN, SELF_VARIANCE = 0.5, 0.8, -1.0, 0.5


@pytest.fixture(scope="module")
def problem():
    basis = pg.basis.raised_cosine(1, window=0.02, bin_width=0.005)
    network = pg.NetworkParameters(
        np.array([-1.0, -0.5]), np.array([[[-1.0], [1.0]], [[0.0], [0.0]]]), basis
    )
    counts = pg.simulate(network, N_BINS, random_seed=4, max_rate=np.inf)
    model = pg.build_glm(
        counts,
        basis,
        edges=pg.BernoulliEdges(PROBABILITY, SELF_PROBABILITY),
        weights=pg.GaussianWeights(MEAN, VARIANCE, SELF_MEAN, SELF_VARIANCE),
        bias=pm.Normal.dist(*BIAS),
    )
    return counts, pg.history_design(counts, basis).values[:, :, 0], model


def integrate(log_density, start, n_nodes):
    """Integral, and first and second moments, by Gauss-Hermite quadrature around the mode."""
    fit = optimize.minimize(lambda x: -log_density(x[None])[0], start, method="BFGS")
    scale = np.linalg.cholesky(fit.hess_inv)
    nodes, log_weights = np.polynomial.hermite_e.hermegauss(n_nodes)
    grid = np.array(list(product(nodes, repeat=len(start))))
    log_w = np.log(log_weights)
    log_w = np.array([sum(w) for w in product(log_w, repeat=len(start))])
    points = fit.x + grid @ scale.T
    log_values = log_density(points) + 0.5 * (grid**2).sum(axis=1) + log_w
    log_integral = special.logsumexp(log_values) + np.log(np.diag(scale)).sum()
    weights = np.exp(log_values - special.logsumexp(log_values))
    return log_integral, weights @ points, weights @ points**2


def exact(y, x, post, n_nodes=24):
    """Inclusion probabilities, and posterior means and second moments of (bias, weights)."""
    on_diagonal = np.arange(2) == post
    means = np.where(on_diagonal, SELF_MEAN, MEAN)
    variances = np.where(on_diagonal, SELF_VARIANCE, VARIANCE)
    p = np.where(on_diagonal, SELF_PROBABILITY, PROBABILITY)
    evidences, firsts, seconds, cases = [], [], [], []
    for edges in product([0, 1], repeat=2):
        active = np.flatnonzero(edges)

        def log_density(theta, active=active):
            psi = theta[:, :1] + theta[:, 1:] @ x[:, active].T
            prior = -0.5 * (theta[:, 0] - BIAS[0]) ** 2 / BIAS[1] ** 2
            z = (theta[:, 1:] - means[active]) ** 2 / variances[active]
            prior = prior - 0.5 * (z + np.log(2 * np.pi * variances[active])).sum(axis=1)
            return prior + (y * psi - np.logaddexp(0, psi)).sum(axis=1)

        log_z, first, second = integrate(log_density, np.zeros(1 + active.size), n_nodes)
        where = np.append(0, 1 + active)
        firsts.append(np.zeros(3))
        seconds.append(np.zeros(3))
        firsts[-1][where], seconds[-1][where] = first, second
        evidences.append(log_z + np.log(np.where(edges, p, 1 - p)).sum())
        cases.append(edges)
    weights = special.softmax(evidences)
    return weights @ np.array(cases), weights @ np.array(firsts), weights @ np.array(seconds)


def test_quadrature_has_converged(problem):
    counts, x, _ = problem
    for coarse, fine in zip(
        exact(counts.values[:, 0], x, 0, 16), exact(counts.values[:, 0], x, 0, 24), strict=True
    ):
        np.testing.assert_allclose(coarse, fine, atol=1e-5)


@pytest.mark.parametrize(
    "kinds",
    [
        [pg.PolyaGammaGibbs],
        [pg.EdgeMetropolis, pg.WeightHMC],
        [pg.EdgeMetropolis, pg.WeightHMC, pg.PolyaGammaGibbs],
    ],
    ids=lambda kinds: "+".join(kind.__name__ for kind in kinds),
)
def test_exact_posterior(problem, kinds):
    """All 22 numbers within 4.2 Monte Carlo standard errors: false alarm in under 1 of 1000."""
    counts, x, model = problem
    with model:
        rng = np.random.default_rng(1)
        step = CompoundStep([kind(threads=1, rng=rng.spawn(1)[0]) for kind in kinds])
    point = model.initial_point(1)
    draws = []
    for i in range(12_000):
        if i == 1000:
            step.stop_tuning()
        point, _ = step.step(point)
        draws.append(
            np.concatenate(
                [point["adjacency"], point["bias"][:, None], point["weights"][:, :, 0]], axis=1
            )
        )
    draws = np.array(draws[1000:])
    for post in range(2):
        inclusion, first, second = exact(counts.values[:, post], x, post)
        for truth, values in (
            (inclusion, draws[:, post, :2]),
            (first, draws[:, post, 2:]),
            (second, draws[:, post, 2:] ** 2),
        ):
            mcse = [float(az.mcse(column[None])) for column in values.T]
            assert np.all(np.abs(values.mean(axis=0) - truth) < 4.2 * np.array(mcse))
