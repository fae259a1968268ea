"""The benchmark's peer must draw from the same posterior, or its times mean nothing."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from benchmarks import peer
from pymc_glm.kernels.prior import NetworkPrior


def example(group_size, n=3, n_bins=24):
    rng = np.random.default_rng(group_size)
    root = rng.normal(size=(n, n, group_size, group_size + 1))
    prior = NetworkPrior(
        log_odds=rng.normal(size=(n, n)),
        mean=rng.normal(size=(n, n, group_size)),
        precision=np.einsum("nmij,nmkj->nmik", root, root) + 0.5 * np.eye(group_size),
        bias_mean=rng.normal(size=n),
        bias_precision=rng.gamma(2.0, size=n),
    )
    counts = rng.integers(0, 2, (n_bins, n))
    history = rng.normal(size=(n_bins, n, group_size))
    return counts, history, prior, rng.gamma(2.0, 0.1, size=n_bins)


@pytest.mark.parametrize("group_size", [1, 2])
def test_edge_log_odds_are_ratios_of_marginal_densities(group_size):
    """kappa / omega is Normal(X w, 1 / omega) given w; here with the weights integrated out."""
    counts, history, prior, omega = example(group_size)
    data = peer.prepare(counts, history)
    for post in range(3):
        mean = np.append(prior.bias_mean[post], prior.mean[post].ravel())
        pseudo = (counts[:, post] - 0.5) / omega

        def log_density(adjacency, post=post, mean=mean, pseudo=pseudo):
            covariance = np.diag(1 / omega) + 1 / prior.bias_precision[post]
            expected = np.full(len(omega), mean[0])
            for pre in np.flatnonzero(adjacency):
                x = history[:, pre]
                covariance += x @ np.linalg.solve(prior.precision[post, pre], x.T)
                expected += x @ prior.mean[post, pre]
            return multivariate_normal(expected, covariance).logpdf(pseudo)

        post_prior = peer.post_prior(prior, post)
        j = peer.gram(data.design, omega) + post_prior.precision
        h = data.kappa_product[post] + post_prior.information
        for adjacency in np.ndindex(2, 2, 2):
            for pre in range(3):
                present, absent = np.array(adjacency), np.array(adjacency)
                present[pre], absent[pre] = 1, 0
                expected = log_density(present) - log_density(absent) + prior.log_odds[post, pre]
                odds = peer.edge_log_odds(
                    j, h, post_prior, np.array(adjacency, np.int8), pre, group_size
                )
                np.testing.assert_allclose(odds, expected, rtol=1e-9, atol=1e-9)


def test_draw_has_the_mean_and_covariance_of_the_conditional():
    counts, history, prior, omega = example(2)
    data = peer.prepare(counts, history)
    post_prior = peer.post_prior(prior, 1)
    j = peer.gram(data.design, omega) + post_prior.precision
    h = data.kappa_product[1] + post_prior.information
    active = peer.active_columns(np.array([1, 0, 1], np.int8), 2)
    np.testing.assert_array_equal(active, [0, 1, 2, 5, 6])
    covariance = np.linalg.inv(j[np.ix_(active, active)])
    mean = peer.draw_coefficients(j, h, active, np.zeros(5))
    np.testing.assert_allclose(mean[active], covariance @ h[active], rtol=1e-10)
    assert (mean[[3, 4]] == 0.0).all()
    root = [peer.draw_coefficients(j, h, active, unit) - mean for unit in np.eye(5)]
    root = np.column_stack(root)[active]
    np.testing.assert_allclose(root @ root.T, covariance, rtol=1e-9, atol=1e-12)


def test_sweep_updates_the_posts_asked_for():
    counts, history, prior, _ = example(2)
    prior.log_odds[0] = np.inf, -np.inf, 0.0
    adjacency, coefficients = np.eye(3, dtype=np.int8), np.zeros((3, 7))
    rng = np.random.default_rng(1)
    times = peer.sweep_posts(
        peer.prepare(counts, history), prior, adjacency, coefficients, rng, np.array([0, 2])
    )
    assert min(times) > 0
    np.testing.assert_array_equal(adjacency[1], [0, 1, 0])
    assert not coefficients[1].any()
    np.testing.assert_array_equal(adjacency[0, :2], [1, 0])
    for post in (0, 2):
        present = np.append(True, np.repeat(adjacency[post], 2).astype(bool))
        np.testing.assert_array_equal(coefficients[post] != 0, present)
