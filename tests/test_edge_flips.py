"""Flips and swaps of edges against the same moves by dense, separate algebra."""

import numpy as np
import pytest
from scipy.linalg import block_diag
from scipy.special import expit, logsumexp
from scipy.stats import multivariate_normal

from pymc_glm.kernels import edge_flips, edge_surrogate, fisher, flip_proposals, likelihood
from pymc_glm.kernels.history import convolve_history
from pymc_glm.kernels.prior import BiasPrior, NetworkPrior, edge_prior
from pymc_glm.kernels.spike_history import spike_history

T, N, M, B = 300, 2, 5, 2
FAMILIES = {
    "Bernoulli": (1.0, 0.0, 1),
    "binomial": (4.0, 0.0, 4),
    "negative binomial": (2.5, 1.0, 9),
}
CHOSEN = np.array([[True] * M, [True, True, False, True, True]])
CERTAIN = ((0, 4), (1, 0))  # present and absent for certain


class Slow:
    """One post neuron: everything is a density of all coefficients, (bias, weights)."""

    def __init__(self, x, counts, family, log_odds, slabs, bias_prior, center, chosen):
        self.x = np.column_stack([np.ones(len(x)), x.reshape(len(x), -1)])
        self.counts, (self.dispersion, self.slope, _) = counts, family
        self.log_odds, (self.mean, self.precision) = log_odds, slabs
        self.bias_mean, self.bias_precision = bias_prior
        trials = self.dispersion + self.slope * counts
        p = expit(self.x @ center)
        known = np.append(True, np.repeat(chosen, B))
        self.fisher = (self.x.T * trials * p * (1 - p)) @ self.x * np.outer(known, known)
        gradient = self.x.T @ (counts - trials * p) * known
        self.linear = gradient + self.fisher @ (center * known)

    def log_likelihood(self, beta):
        psi = self.x @ beta
        trials = self.dispersion + self.slope * self.counts
        return (self.counts * psi - trials * np.logaddexp(0, psi)).sum()

    def surrogate(self, beta):
        return self.linear @ beta - 0.5 * beta @ self.fisher @ beta

    def evidence(self, beta, present, j):
        """Integrate exp(surrogate) times the prior over bias, and weights of j if present.

        Returns its log, and mean and covariance of what was integrated over.
        """
        free = np.append(0, 1 + j * B + np.arange(B)) if present[j] else np.array([0])
        rest = beta.copy()
        rest[1 + j * B : 1 + (j + 1) * B] = 0.0
        rest[0] = 0.0
        blocks, means = [[[self.bias_precision]]], [self.bias_mean]
        if present[j]:
            blocks.append(self.precision[j])
            means.extend(self.mean[j])
        prior, means = block_diag(*blocks), np.array(means)
        precision = self.fisher[np.ix_(free, free)] + prior
        vector = self.linear[free] - self.fisher[free] @ rest + prior @ means
        mean, covariance = np.linalg.solve(precision, vector), np.linalg.inv(precision)
        log_z = 0.5 * (vector @ mean - np.linalg.slogdet(precision)[1] - means @ prior @ means)
        log_z += 0.5 * np.linalg.slogdet(prior)[1] + (self.log_odds[j] if present[j] else 0.0)
        return log_z, mean, covariance

    def odds(self, beta, present, j):
        """Log odds of j, and mean and covariance of its weights, under the surrogate."""
        log_with, mean, covariance = self.evidence(beta, with_edge(present, j, 1), j)
        log_without = self.evidence(beta, with_edge(present, j, 0), j)[0]
        return log_with - log_without, mean[1:], covariance[1:, 1:]

    def weights(self, mean, covariance, normals):
        """Draw as the kernel does: from the Cholesky factor of the precision."""
        lower = np.linalg.cholesky(np.linalg.inv(covariance))
        return mean + np.linalg.solve(lower.T, normals)

    def bias_slope(self):
        """How the mean of the bias falls with the weights."""
        return self.fisher[0] / (self.fisher[0, 0] + self.bias_precision)

    def propose(self, beta, out, into, w):
        new = beta.copy()
        if out is not None:
            new[1 + out * B : 1 + (out + 1) * B] = 0.0
        if into is not None:
            new[1 + into * B : 1 + (into + 1) * B] = w
        new[0] -= self.bias_slope()[1:] @ (new[1:] - beta[1:])
        return new

    def weigh(self, beta, new):
        exact = self.log_likelihood(new) - self.log_likelihood(beta)
        return exact - (self.surrogate(new) - self.surrogate(beta))


def with_edge(present, j, state):
    present = present.copy()
    present[j] = state
    return present


def slow_flip(slow, beta, present, j, uniforms, normals):
    log_odds, mean, covariance = slow.odds(beta, present, j)
    other = -log_odds if present[j] else log_odds
    forth, back = (max(min(1.0, np.exp(x)), flip_proposals._LEAST) for x in (other, -other))
    if abs(slow.log_odds[j]) == np.inf or uniforms[0] >= forth:
        return beta, present
    if present[j]:
        new = slow.propose(beta, j, None, None)
    else:
        new = slow.propose(beta, None, j, slow.weights(mean, covariance, normals))
    ratio = slow.weigh(beta, new) + other + np.log(back / forth)
    return (
        (new, with_edge(present, j, 1 - present[j]))
        if np.log(uniforms[1]) < ratio
        else (
            beta,
            present,
        )
    )


def slow_swap(slow, beta, present, pre, uniforms, normals):
    movable = [j for j in pre if abs(slow.log_odds[j]) != np.inf]
    there = [j for j in movable if present[j]]
    if not there:
        return beta, present
    out = there[int(uniforms[0] * len(there))]
    rest, without = slow.propose(beta, out, None, None), with_edge(present, out, 0)
    log_odds = {j: slow.odds(rest, without, j)[0] for j in movable if not without[j]}
    others = [j for j in log_odds if j != out]
    if not others:
        return beta, present
    share = np.exp([log_odds[j] - logsumexp([log_odds[k] for k in others]) for j in others])
    into = others[min(int(np.searchsorted(np.cumsum(share), uniforms[1])), len(others) - 1)]
    backwards = logsumexp([log_odds[j] for j in log_odds if j != into])
    forwards = logsumexp([log_odds[j] for j in others])
    if np.log(uniforms[2]) >= forwards - backwards:
        return beta, present
    _, mean, covariance = slow.odds(rest, without, into)
    new = slow.propose(beta, out, into, slow.weights(mean, covariance, normals))
    if np.log(uniforms[3]) < slow.weigh(beta, new):
        return new, with_edge(without, into, 1)
    return beta, present


def example(family, seed=0):
    rng = np.random.default_rng(seed)
    dispersion, slope, most = FAMILIES[family]
    spikes, basis = rng.random((T, M)) < 0.2, rng.normal(size=(6, B))
    counts = rng.integers(0, most + 1, (N, T)).astype(np.int8)
    log_odds = 2.0 * rng.normal(size=(N, M))
    for (n, m), value in zip(CERTAIN, (np.inf, -np.inf), strict=True):
        log_odds[n, m] = value
    roots = rng.normal(size=(N, M, B, B + 1))
    precision = np.einsum("nmij,nmkj->nmik", roots, roots) + 0.5 * np.eye(B)
    prior = NetworkPrior(
        log_odds,
        0.3 * rng.normal(size=(N, M, B)),
        precision,
        rng.normal(size=N),
        rng.gamma(2, size=N),
    )
    given = likelihood.Likelihood(likelihood.LOGISTIC, counts, np.full(N, dispersion), slope)
    return convolve_history(spikes, basis), spike_history(spikes, basis), prior, given


@pytest.mark.parametrize("family", FAMILIES)
def test_flips_and_swaps_are_those_of_dense_algebra(family):
    dense, sparse, prior, counts = example(family)
    rng = np.random.default_rng(7)
    center_bias, center = 0.3 * rng.normal(size=N), 0.2 * rng.normal(size=(N, M, B))
    metric = fisher.empty_metric(N, M, B, M)
    fisher.fisher_information((0, N), sparse, counts, center_bias, center, CHOSEN, 10**9, metric)
    expansion = edge_surrogate.expansion_at(center_bias, center, metric)
    bias = rng.normal(size=N)
    adjacency = rng.integers(0, 2, (N, M)).astype(np.int8)
    adjacency[CERTAIN[0]], adjacency[CERTAIN[1]] = 1, 0
    weights = 0.2 * rng.normal(size=(N, M, B)) * adjacency[..., None]
    slow = [
        Slow(
            dense,
            counts.counts[n],
            FAMILIES[family],
            prior.log_odds[n],
            (prior.mean[n], prior.precision[n]),
            (prior.bias_mean[n], prior.bias_precision[n]),
            np.append(center_bias[n], center[n]),
            CHOSEN[n],
        )
        for n in range(N)
    ]
    flips = swaps = 0
    for sweep in range(40):
        draws = flip_proposals.draw_flips(np.full((N, M), 0.8), B, 3, rng)
        expected = []
        for n in range(N):
            beta, present = np.append(bias[n], weights[n]), adjacency[n].copy()
            for j in draws.order[n]:
                if CHOSEN[n, j] and draws.visited[n, j]:
                    random = draws.uniforms[n, j], draws.normals[n, j]
                    beta, present = slow_flip(slow[n], beta, present, j, *random)
            for s in range(3):
                random = draws.swap_uniforms[n, s], draws.swap_normals[n, s]
                pre = np.flatnonzero(CHOSEN[n])
                beta, present = slow_swap(slow[n], beta, present, pre, *random)
            expected.append((beta, present))
        state = bias, adjacency, weights
        arguments = sparse, counts, edge_prior(prior), BiasPrior(*prior[3:])
        found = flip_proposals.flip_sweep(expansion, B)
        for posts in ((0, 1), (1, N)):
            edge_flips.flip_edges(posts, *arguments, expansion, draws, *state, found)
        flips, swaps = flips + found.counted[:, 1].sum(), swaps + found.counted[:, 2].sum()
        for n, (beta, present) in enumerate(expected):
            np.testing.assert_array_equal(adjacency[n], present, err_msg=f"sweep {sweep}")
            ours = np.append(bias[n], weights[n])
            np.testing.assert_allclose(ours, beta, rtol=1e-8, atol=1e-9)
        assert (weights[adjacency == 0] == 0).all()
    assert flips > 20
    assert swaps > 3


def test_a_proposed_edge_has_the_weights_of_the_surrogates_posterior():
    """The draw of `Slow.weights` has the mean and covariance that it is given."""
    rng = np.random.default_rng(1)
    mean, covariance = np.array([0.3, -1.0]), np.array([[1.0, 0.4], [0.4, 0.5]])
    slow = object.__new__(Slow)
    draws = np.array([slow.weights(mean, covariance, z) for z in rng.normal(size=(20_000, 2))])
    exact = multivariate_normal(mean, covariance)
    z = np.linalg.solve(np.linalg.cholesky(exact.cov), (draws - exact.mean).T)
    np.testing.assert_allclose(z @ z.T / z.shape[1], np.eye(2), atol=4.2 * np.sqrt(2 / 20_000))
