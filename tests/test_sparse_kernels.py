"""Kernels on sparse history against dense, slow computations."""

import numba
import numpy as np
import pytest
from scipy.linalg import block_diag, solve_triangular
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import multivariate_normal, multivariate_t

from pymc_glm.kernels.edge_moves import EdgePlan, draw_edges, move_edges
from pymc_glm.kernels.edge_proposal import (
    _FARTHEST,
    _SETTLED,
    FREEDOM,
    draw_weights,
    edge_prior,
    find_mode,
    log_proposal,
    log_slab,
)
from pymc_glm.kernels.exponential import EXPONENT_LIMIT, exponential
from pymc_glm.kernels.fisher import empty_metric, fisher_information
from pymc_glm.kernels.history import convolve_history
from pymc_glm.kernels.hmc import BiasPrior, Trajectories, _gradient, _mass, _problem, _travel
from pymc_glm.kernels.hmc import move_weights as move
from pymc_glm.kernels.likelihood import LOGISTIC, Likelihood, log_likelihood, score, workspace
from pymc_glm.kernels.polya_gamma import NetworkPrior
from pymc_glm.kernels.sparse_history import (
    add_edge,
    longest,
    overlap,
    pattern_values,
    sparse_history,
)

N, M, B, T = 3, 5, 2, 300
SILENT = 3  # the pre neuron that never fires
LOG_HALF = np.log(0.5)
LAWS = {"Bernoulli": (1.0, 0.0, 1), "binomial": (4.0, 0.0, 4), "negative binomial": (2.5, 1.0, 9)}
each_law = pytest.mark.parametrize("law", LAWS)


def log_density(shape, slope, counts, psi):
    return counts * psi - (shape + slope * counts) * np.logaddexp(0.0, psi)


class Network:
    """Counts, dense and sparse history, priors and a state."""

    def __init__(self, law="Bernoulli", n_bins=T, seed=0):
        rng = np.random.default_rng(seed)
        spikes = rng.random((n_bins, M)) < 0.1
        spikes[:, SILENT] = False
        self.dense = convolve_history(spikes, rng.normal(size=(6, B)))
        self.sparse = sparse_history(self.dense)
        shape, self.slope, most = LAWS[law]
        self.shape = shape * (1.0 + np.arange(N))
        self.counts = rng.integers(0, most + 1, (N, n_bins)).astype(np.int8)
        self.likelihood = Likelihood(LOGISTIC, self.counts, self.shape, self.slope)
        self.log_odds, self.mean = rng.normal(size=(N, M)), 0.5 * rng.normal(size=(N, M, B))
        roots = rng.normal(size=(N, M, B, B + 1))
        self.precision = np.einsum("nmij,nmkj->nmik", roots, roots) + 0.3 * np.eye(B)
        self.bias_mean, self.bias_precision = rng.normal(size=N), rng.gamma(2.0, size=N)
        self.bias = rng.normal(size=N)
        self.adjacency = np.array([[1, 0, 1, 1, 0], [0, 1, 1, 0, 1], [0] * M], dtype=np.int8)
        self.weights = 0.5 * rng.normal(size=(N, M, B)) * self.adjacency[..., None]

    def prior(self):
        return edge_prior(
            NetworkPrior(
                self.log_odds, self.mean, self.precision, self.bias_mean, self.bias_precision
            )
        )

    def law(self, n):
        return LOGISTIC, self.shape[n], self.slope

    def psi(self, n, weights):
        return self.bias[n] + np.einsum("tmb,mb->t", self.dense, weights)

    def design(self, pre):
        return np.column_stack([np.ones(len(self.dense)), *self.dense[:, pre].transpose(1, 0, 2)])

    def information(self, n, x, psi):
        total = self.shape[n] + self.slope * self.counts[n]
        return (x.T * total * expit(psi) * expit(-psi)) @ x

    def residual(self, n, psi):
        return self.counts[n] - (self.shape[n] + self.slope * self.counts[n]) * expit(psi)

    def log_likelihood(self, n, psi):
        return log_density(self.shape[n], self.slope, self.counts[n], psi).sum()

    def log_joint(self, n, adjacency, weights):
        """Of one post neuron's edges, less a constant."""
        total = self.log_likelihood(n, self.psi(n, weights))
        for m in np.flatnonzero(adjacency):
            total += self.log_odds[n, m] + self.slab(n, m).logpdf(weights[m])
        return total

    def slab(self, n, m):
        return multivariate_normal(self.mean[n, m], np.linalg.inv(self.precision[n, m]))

    def find_mode(self, n, m, start, most_steps, weights=None):
        rest = (self.weights[n] if weights is None else weights).copy()
        rest[m] = 0.0
        bins = self.sparse.bins[self.sparse.start[m] : self.sparse.start[m + 1]]
        base, own = self.psi(n, rest)[bins], self.counts[n, bins].astype(float)
        mode, lower, work = np.array(start), np.zeros((B, B)), workspace(longest(self.sparse))
        edge = (m, self.law(n), base, own, self.prior(), n)
        find_mode(self.sparse, *edge, most_steps, work, mode, lower)
        return mode, lower


# --- exponential ---------------------------------------------------------------------------------


def test_exponential_over_its_whole_range():
    @numba.njit
    def over(x):
        return [exponential(value) for value in x]

    limit = EXPONENT_LIMIT
    halfway = (np.arange(-1009, 1009) + 0.5) * np.log(2)  # where the argument reduction changes
    x = np.concatenate([np.linspace(-limit, limit, 100_001), halfway, [1e-300, -1e-17]])
    np.testing.assert_allclose(over(x), np.exp(x), rtol=1e-13, atol=0.0)


# --- likelihood ----------------------------------------------------------------------------------


def draw_counts(law, psi, rng):
    *_, most = LAWS[law]
    return rng.integers(0, most + 1, psi.size).astype(np.int8)


@each_law
@pytest.mark.parametrize("size", [1, 15, 16, 17, 1000])
def test_log_likelihood_at_moderate_and_extreme_psi(law, size):
    rng = np.random.default_rng(size)
    shape, slope, _ = LAWS[law]
    extreme = rng.choice([-800.0, -50.0, -40.0, 40.0, 50.0, 800.0], size)
    for psi in (3 * rng.normal(size=size), np.full(size, 39.9), np.full(size, -800.0), extreme):
        counts = draw_counts(law, psi, rng)
        terms = log_density(shape, slope, counts, psi)
        magnitude = np.sum(1.0 + (shape + counts) * np.abs(psi))  # terms cancel, rounding does not
        value = log_likelihood((LOGISTIC, shape, slope), counts, psi, np.empty(size))
        np.testing.assert_allclose(value, terms.sum(), rtol=0.0, atol=1e-14 * magnitude)


@each_law
def test_score_is_the_first_and_minus_the_second_derivative(law):
    rng = np.random.default_rng(1)
    shape, slope, _ = LAWS[law]
    h, psi = 1e-3, np.linspace(-8.0, 8.0, 101)
    counts = draw_counts(law, psi, rng)
    first, second = np.empty(psi.size), np.empty(psi.size)
    score((LOGISTIC, shape, slope), counts, psi, first, second)
    below, at, above = (log_density(shape, slope, counts, psi + d) for d in (-h, 0.0, h))
    np.testing.assert_allclose(first, (above - below) / (2 * h), atol=h**2 * (shape + 9))
    np.testing.assert_allclose(second, -(above - 2 * at + below) / h**2, atol=h**2 * (shape + 9))


@each_law
def test_score_at_extreme_psi(law):
    shape, slope, _ = LAWS[law]
    psi = np.array([-800.0, -50.0, -30.0, 30.0, 50.0, 800.0])
    counts = np.ones(6, dtype=np.int8)
    first, second = np.empty(6), np.empty(6)
    score((LOGISTIC, shape, slope), counts, psi, first, second)
    total = shape + slope
    np.testing.assert_allclose(first, 1 - total * expit(psi), atol=1e-14)
    np.testing.assert_allclose(second, total * expit(psi) * expit(-psi), rtol=1e-12, atol=1e-16)
    assert (second >= 0.0).all()


# --- sparse history ------------------------------------------------------------------------------


@pytest.mark.parametrize("n_basis", [1, 3])
def test_sparse_history_holds_the_dense_one(n_basis):
    rng = np.random.default_rng(n_basis)
    dense = rng.integers(-1, 2, (200, 4, n_basis)) * (rng.random((200, 4, 1)) < 0.3) * 0.1
    dense[:, 2] = 0.0
    sparse = sparse_history(dense)
    assert (sparse.n_bins, sparse.n_pre, sparse.n_basis) == dense.shape
    active = dense.any(axis=2)
    assert longest(sparse) == active.sum(axis=0).max()
    unpacked = np.zeros_like(dense)
    for m in range(4):
        own = slice(sparse.start[m], sparse.start[m + 1])
        np.testing.assert_array_equal(sparse.bins[own], np.flatnonzero(active[:, m]))
        rows = sparse.patterns[sparse.pattern_start[m] : sparse.pattern_start[m + 1]]
        assert len(rows) == len(np.unique(dense[active[:, m], m], axis=0))
        unpacked[sparse.bins[own], m] = rows[sparse.pattern[own]]
        weights = rng.normal(size=n_basis)
        np.testing.assert_allclose(pattern_values(sparse, m, weights), rows @ weights, rtol=1e-13)
        psi = rng.normal(size=200)
        expected = psi - 1.5 * dense[:, m] @ weights
        add_edge(sparse, m, weights, -1.5, psi)
        np.testing.assert_allclose(psi, expected, atol=1e-14)
    np.testing.assert_array_equal(unpacked, dense)


def test_history_of_silence_is_empty():
    sparse = sparse_history(np.zeros((10, 3, 2)))
    assert (sparse.n_bins, sparse.n_pre, sparse.n_basis) == (10, 3, 2)
    assert longest(sparse) == sparse.bins.size == sparse.patterns.size == 0
    np.testing.assert_array_equal(overlap(sparse), np.zeros((3, 3)))


def test_overlap_is_the_cosine():
    net = Network()
    total = np.abs(net.dense.sum(axis=2))
    expected = np.zeros((M, M))
    for i in range(M):
        for j in set(range(M)) - {i, SILENT}:
            length = np.linalg.norm(total[:, i]) * np.linalg.norm(total[:, j])
            expected[i, j] = total[:, i] @ total[:, j] / length if i != SILENT else 0.0
    np.testing.assert_allclose(overlap(net.sparse), expected, rtol=1e-12)


# --- proposals -----------------------------------------------------------------------------------


def log_posterior(net, n, m):
    """Of one edge's weights given the others, its gradient and minus its Hessian."""

    def value(w):
        return net.log_likelihood(n, at(w)) + net.slab(n, m).logpdf(w)

    def gradient(w):
        prior = net.precision[n, m] @ (w - net.mean[n, m])
        return net.dense[:, m].T @ net.residual(n, at(w)) - prior

    def curvature(w):
        return net.information(n, net.dense[:, m], at(w)) + net.precision[n, m]

    def at(w):
        weights = net.weights[n].copy()
        weights[m] = w
        return net.psi(n, weights)

    return value, gradient, curvature


@each_law
@pytest.mark.parametrize("m", [0, SILENT])
def test_newton_finds_the_mode_and_its_precision(law, m):
    net = Network(law)
    for n in range(N):
        value, _, curvature = log_posterior(net, n, m)
        best = minimize(lambda w, f=value: -f(w), np.zeros(B), method="BFGS", tol=1e-4).x
        mode, _ = net.find_mode(n, m, np.full(B, 20.0), 200)
        assert (mode - best) @ curvature(best) @ (mode - best) < _SETTLED
        for _ in range(5):
            mode, lower = net.find_mode(n, m, mode, 1)
        np.testing.assert_allclose(mode, best, atol=1e-4)
        np.testing.assert_allclose(lower, np.linalg.cholesky(curvature(mode)), rtol=1e-10)


@each_law
@pytest.mark.parametrize("start", [0.2, -30.0])
def test_one_newton_step_goes_to_the_mode_of_a_parabola_or_not_too_far(law, start):
    net = Network(law, seed=2)
    start = np.full(B, start)
    for n, m in np.ndindex(N, M):
        _, gradient, curvature = log_posterior(net, n, m)
        step, hessian = np.linalg.solve(curvature(start), gradient(start)), curvature(start)
        length = np.sqrt(step @ hessian @ step)
        mode, lower = net.find_mode(n, m, start, 1)
        expected = start + step * min(1.0, _FARTHEST / length)
        np.testing.assert_allclose(mode, expected, rtol=1e-9, atol=1e-10)
        np.testing.assert_allclose(lower, np.linalg.cholesky(hessian), rtol=1e-9)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_proposals_are_a_t_law(size):
    rng = np.random.default_rng(size)
    root = rng.normal(size=(size, size + 2))
    precision, mode = 5 * root @ root.T, rng.normal(size=size)
    lower = np.linalg.cholesky(precision)
    law = multivariate_t(mode, np.linalg.inv(precision), df=FREEDOM)
    w, n = np.empty(size), 40_000
    white = np.empty((n, size))
    for i in range(n):
        normals, stretch = rng.normal(size=size), np.sqrt(FREEDOM / rng.chisquare(FREEDOM))
        draw_weights(normals, stretch, mode, lower, w)
        white[i] = lower.T @ (w - mode)
        if i < 50:
            np.testing.assert_allclose(white[i], stretch * normals, rtol=1e-9, atol=1e-9)
            np.testing.assert_allclose(log_proposal(w, mode, lower), law.logpdf(w), rtol=1e-10)
    variance = FREEDOM / (FREEDOM - 2)
    error = variance * np.sqrt(3 * (FREEDOM - 2) / (FREEDOM - 4) - 1) / np.sqrt(n)
    np.testing.assert_allclose(np.cov(white.T), variance * np.eye(size), atol=5 * error)


def test_slab_is_normal():
    net = Network()
    w = np.random.default_rng(3).normal(size=B)
    for log_odds in (0.7, np.inf, -np.inf):  # certain edges leave their odds out
        net.log_odds[1, 2] = log_odds
        expected = net.slab(1, 2).logpdf(w) + (log_odds if np.isfinite(log_odds) else 0.0)
        np.testing.assert_allclose(log_slab(w, net.prior(), 1, 2), expected, rtol=1e-10)


def test_prior_of_edges():
    net = Network()
    net.log_odds[0, :2] = np.inf, -np.inf
    for log_odds in (net.log_odds, None):
        prior = edge_prior(NetworkPrior(log_odds, net.mean, net.precision, None, None))
        expected = np.full((N, M), np.inf) if log_odds is None else log_odds
        np.testing.assert_array_equal(prior.log_odds, expected)
        np.testing.assert_array_equal(prior.mean, net.mean)
        np.testing.assert_array_equal(prior.precision, net.precision)
        for n, m in np.ndindex(N, M):
            log_det = np.log(np.linalg.eigvalsh(net.precision[n, m])).sum()
            np.testing.assert_allclose(prior.log_det[n, m], log_det, rtol=1e-9, atol=1e-10)


# --- metric and trajectories ---------------------------------------------------------------------

CHOSEN = np.array([[True, False, True, True, False], [False] * M, [True] * M])


def metric_of(net):
    metric = empty_metric(N, M, B, M)
    for array in (metric.joint, metric.own):
        array[:] = np.nan
    for posts in ((0, 1), (1, N)):
        fisher_information(
            posts, net.sparse, net.likelihood, net.bias, net.weights, CHOSEN, metric
        )
    return metric


@pytest.mark.parametrize("n_bins", [T, 4096, 9000])
@each_law
def test_fisher_information_of_chosen_and_other_pre_neurons(law, n_bins):
    net = Network(law, n_bins)
    metric = metric_of(net)
    for n in range(N):
        pre, psi = np.flatnonzero(CHOSEN[n]), net.psi(n, net.weights[n])
        np.testing.assert_array_equal(metric.place[n, pre], np.arange(pre.size))
        assert (metric.place[n, ~CHOSEN[n]] == -1).all()
        joint = np.zeros((1 + M * B, 1 + M * B))
        width = 1 + pre.size * B
        joint[:width, :width] = net.information(n, net.design(pre), psi)
        np.testing.assert_allclose(metric.joint[n], joint, rtol=1e-10, atol=1e-9)
        for m in range(M):
            own = net.information(n, net.dense[:, m], psi)
            np.testing.assert_allclose(metric.own[n, m], own, rtol=1e-10, atol=1e-9)


class Target:
    """The posterior of one post neuron's bias and present weights, its metric and a start."""

    def __init__(self, net, n):
        self.net, self.n, self.active = net, n, np.flatnonzero(net.adjacency[n])
        self.x = net.design(self.active)
        self.mean = np.append(net.bias_mean[n], net.mean[n, self.active])
        self.precision = block_diag(net.bias_precision[n], *net.precision[n, self.active])
        self.q = np.append(net.bias[n], net.weights[n, self.active])
        known = np.append(True, np.repeat(CHOSEN[n, self.active], B))
        block = np.append(-1, np.repeat(self.active, B))
        kept = known[:, None] & known | (block[:, None] == block)
        self.mass = net.information(n, self.x, self.x @ self.q) * kept + self.precision
        self.lower = np.linalg.cholesky(self.mass)

    def log_density(self, q):
        prior = (q - self.mean) @ self.precision @ (q - self.mean)
        return self.net.log_likelihood(self.n, self.x @ q) - 0.5 * prior

    def gradient(self, q):
        prior = self.precision @ (q - self.mean)
        return self.x.T @ self.net.residual(self.n, self.x @ q) - prior

    def leapfrog(self, momentum, step_size, n_steps):
        """Return the end, its momentum and the change of the energy."""
        q, p = self.q.copy(), momentum.copy()
        energy = 0.5 * p @ p - self.log_density(q)
        for _ in range(n_steps):
            p += 0.5 * step_size * solve_triangular(self.lower, self.gradient(q), lower=True)
            q += step_size * solve_triangular(self.lower, p, lower=True, trans="T")
            p += 0.5 * step_size * solve_triangular(self.lower, self.gradient(q), lower=True)
        return q, p, 0.5 * p @ p - self.log_density(q) - energy

    def problem(self):
        net = self.net
        bias_prior = BiasPrior(net.bias_mean, net.bias_precision)
        return _problem(self.n, net.prior(), bias_prior, net.adjacency)

    def travel(self, q, momentum, step_size, n_steps):
        """Return the end and the change of the energy, by the kernel."""
        net, n = self.net, self.n
        q, psi, normals = q.copy(), self.x @ q, np.full((N, 1 + M * B), np.nan)
        normals[n, : q.size] = momentum
        path = Trajectories(normals, np.zeros(N), np.full(N, step_size), np.full(N, n_steps))
        where = (n, net.sparse, net.law(n), net.counts[n], self.problem())
        change = _travel(*where, self.lower, path, q, psi)
        np.testing.assert_allclose(psi, self.x @ q, atol=1e-11)
        return q, change


@pytest.fixture(params=[(law, n) for law in LAWS for n in range(N)], ids=str)
def target(request):
    law, n = request.param
    return Target(Network(law), n)


def test_problem_mass_and_gradient(target):
    net, n, size = target.net, target.n, target.q.size
    problem = target.problem()
    np.testing.assert_array_equal(problem.active, target.active)
    np.testing.assert_array_equal(problem.mean, target.mean)
    blocks = [problem.precision[1 + i : 1 + i + B] for i in range(0, size - 1, B)]
    np.testing.assert_array_equal(block_diag(problem.precision[0, 0], *blocks), target.precision)
    mass = _mass(n, metric_of(net), problem)
    np.testing.assert_allclose(mass, target.mass, rtol=1e-10, atol=1e-9)
    gradient, room = np.empty(size), (np.empty(T), np.empty(T))
    where = (net.sparse, net.law(n), net.counts[n], problem, target.q, target.x @ target.q)
    _gradient(*where, *room, gradient)
    h = 1e-4
    steps = h * np.eye(size)
    ends = [(target.log_density(target.q + s), target.log_density(target.q - s)) for s in steps]
    # the third derivative of the log density is below shape / 10 in psi
    bound = h**2 / 60 * (net.shape[n] + net.slope * 9) * (np.abs(target.x) ** 3).sum(axis=0).max()
    np.testing.assert_allclose(gradient, -np.diff(ends)[:, 0] / (2 * h), atol=bound + 1e-8)


def test_trajectories_are_those_of_a_dense_leapfrog_and_lead_back(target):
    momentum = np.random.default_rng(target.n).normal(size=target.q.size)
    end, last, change = target.leapfrog(momentum, 0.3, 5)
    q, changed = target.travel(target.q, momentum, 0.3, 5)
    np.testing.assert_allclose(q, end, atol=1e-10)
    np.testing.assert_allclose(changed, change, atol=1e-9)
    back, changed_back = target.travel(q, -last, 0.3, 5)
    np.testing.assert_allclose(back, target.q, atol=1e-8)
    np.testing.assert_allclose(changed_back, -change, atol=1e-8)


def test_energy_errors_fall_with_the_square_of_the_step(target):
    momentum = np.random.default_rng(target.n).normal(size=target.q.size)
    errors = [target.travel(target.q, momentum, 0.02 / k, 20 * k)[1] for k in (1, 2)]
    np.testing.assert_allclose(errors[0] / errors[1], 4.0, rtol=0.02)


def sweep_weights(net, uniform, step_size, n_steps=4):
    rng = np.random.default_rng(8)
    normals, steps = rng.normal(size=(N, 1 + M * B)), np.full(N, n_steps)
    path = Trajectories(normals, np.full(N, uniform), np.full(N, step_size), steps)
    bias, weights, acceptance = net.bias.copy(), net.weights.copy(), np.full(N, np.nan)
    bias_prior = BiasPrior(net.bias_mean, net.bias_precision)
    before = (net.sparse, net.likelihood, net.prior(), bias_prior, metric_of(net), path)
    for posts in ((0, 2), (2, N)):
        move(posts, *before, bias, net.adjacency, weights, acceptance)
    return normals, bias, weights, acceptance


@each_law
def test_moves_of_weights_end_where_trajectories_do(law):
    net = Network(law)
    normals, bias, weights, acceptance = sweep_weights(net, 0.0, 0.3)
    for n in range(N):
        target = Target(net, n)
        end, _, change = target.leapfrog(normals[n, : target.q.size], 0.3, 4)
        np.testing.assert_allclose(np.append(bias[n], weights[n, target.active]), end, atol=1e-10)
        np.testing.assert_allclose(acceptance[n], min(1.0, np.exp(-change)), atol=1e-9)
    assert (weights[net.adjacency == 0] == 0.0).all()
    assert (weights[net.adjacency == 1] != net.weights[net.adjacency == 1]).all()


def test_tiny_steps_are_always_accepted_and_uniforms_of_one_never():
    net = Network()
    _, bias, weights, acceptance = sweep_weights(net, 1 - 1e-9, 1e-6)
    np.testing.assert_allclose(acceptance, 1.0, atol=1e-9)
    assert (bias != net.bias).all()
    assert ((weights != net.weights) == (net.adjacency[..., None] == 1)).all()
    for step_size in (1e-6, 0.3, 1e3, 1e200):  # the last two diverge
        _, bias, weights, acceptance = sweep_weights(net, 1.0, step_size)
        np.testing.assert_array_equal(bias, net.bias)
        np.testing.assert_array_equal(weights, net.weights)
    assert (acceptance == 0.0).all()


# --- moves of edges ------------------------------------------------------------------------------


def make_plan(rng, visit=1.0, presence=0.4, newton=2):
    partner = rng.random((M, M))
    partner = np.cumsum((partner + partner.T) * (1 - np.eye(M)), axis=1)
    start = 0.2 * rng.normal(size=(N, M, B))
    return EdgePlan(np.full((N, M), visit), np.full((N, M), presence), start, newton, partner)


def sweep_edges(net, plan, draws, pieces=((0, N),)):
    adjacency, weights = net.adjacency.copy(), net.weights.copy()
    modes = np.full((N, M, B), np.nan)
    fixed = (net.sparse, net.likelihood, net.prior(), plan, draws, net.bias)
    counted = [move_edges(posts, *fixed, adjacency, weights, modes) for posts in pieces]
    assert ((weights != 0.0) == (adjacency[..., None] == 1)).all()
    return adjacency, weights, modes, np.sum(counted, axis=0)


def test_draws_for_edges():
    draws = draw_edges(N, M, B, 4, np.random.default_rng(0))
    assert (np.sort(draws.order) == np.arange(M)).all()
    shapes = [(N, M), (N, M, 3), (N, M, B), (N, M), (N, 4, 3), (N, 4, B), (N, 4)]
    assert [array.shape for array in draws] == shapes
    many = draw_edges(200, 100, 1, 100, np.random.default_rng(0))
    for stretches in (many.stretches, many.swap_stretches):
        ratio = FREEDOM / stretches**2  # chi squared: variance twice the mean
        error = np.sqrt(2 * FREEDOM / ratio.size)
        np.testing.assert_allclose(ratio.mean(), FREEDOM, atol=4 * error)


def test_without_visits_and_swaps_nothing_changes():
    rng = np.random.default_rng(1)
    net = Network()
    draws = draw_edges(N, M, B, 0, rng)
    adjacency, weights, modes, counted = sweep_edges(net, make_plan(rng, visit=0.0), draws)
    np.testing.assert_array_equal(adjacency, net.adjacency)
    np.testing.assert_array_equal(weights, net.weights)
    assert np.isnan(modes).all()
    assert (counted == 0).all()


@each_law
def test_posts_can_be_done_in_any_pieces(law):
    rng = np.random.default_rng(2)
    net, plan = Network(law), make_plan(rng)
    draws = draw_edges(N, M, B, 5, rng)
    whole = sweep_edges(net, plan, draws)
    assert (whole[3] > 0).all()  # something was proposed, accepted and swapped
    for pieces in ([(0, 1), (1, 2), (2, 3)], [(1, 3), (0, 1), (2, 2)]):
        for part, expected in zip(sweep_edges(net, plan, draws, pieces), whole, strict=True):
            np.testing.assert_array_equal(part, expected)


def test_certain_edges_become_and_stay_what_they_are():
    rng = np.random.default_rng(3)
    net = Network()
    certain = [np.inf, np.inf, -np.inf]
    net.log_odds[:, :3] = certain  # both true and false at the start
    plan, swaps, free = make_plan(rng), 0, set()
    for _ in range(60):
        draws = draw_edges(N, M, B, 5, rng)
        net.adjacency, net.weights, _, counted = sweep_edges(net, plan, draws)
        assert (net.adjacency[:, :3] == (np.array(certain) > 0)).all()
        swaps += counted[2]
        free |= {tuple(row) for row in net.adjacency[:, 3:]}
    assert swaps > 0
    assert len(free) > 2


def log_q(net, n, m, plan, weights, w):
    mode, lower = net.find_mode(n, m, plan.start[n, m], plan.newton, weights)
    return multivariate_t(mode, np.linalg.inv(lower @ lower.T), df=FREEDOM).logpdf(w)


def check_threshold(net, n, plan, draws, uniforms, log_ratio, new):
    """Accepted just below a uniform of the ratio, and not just above."""
    assert log_ratio < 0.0
    for uniform, (adjacency, weights) in (
        (np.exp(log_ratio) * (1 - 1e-8), new),
        (np.exp(log_ratio) * (1 + 1e-8), (net.adjacency[n], net.weights[n])),
    ):
        uniforms[2] = uniform
        ended = sweep_edges(net, plan, draws, [(n, n + 1)])
        np.testing.assert_array_equal(ended[0][n], adjacency)
        np.testing.assert_allclose(ended[1][n], weights, rtol=1e-9)


@each_law
@pytest.mark.parametrize("n", [0, 1])
@pytest.mark.parametrize("m", range(M))
@pytest.mark.parametrize("propose", [0, 1])
def test_edges_change_exactly_below_the_ratio_of_posterior_to_proposal(law, n, m, propose):
    rng = np.random.default_rng(m)
    net, plan, draws = Network(law), make_plan(rng, visit=0.0), draw_edges(N, M, B, 0, rng)
    plan.visit[n, m] = 1.0
    present = net.adjacency[n, m]
    if not present and not propose:
        return
    draws.uniforms[n, m, 1] = plan.presence[n, m] - 1e-9 if propose else plan.presence[n, m]
    draws.normals[n, m], draws.stretches[n, m] = [2.0, -2.0], 1.5  # in the tails: less likely
    mode, lower = net.find_mode(n, m, plan.start[n, m], plan.newton)
    adjacency, weights = net.adjacency[n].copy(), net.weights[n].copy()
    adjacency[m] = propose
    weights[m] = mode + np.linalg.solve(lower.T, [3.0, -3.0]) if propose else 0.0
    log_ratio = net.log_joint(n, adjacency, weights)
    log_ratio -= net.log_joint(n, net.adjacency[n], net.weights[n])
    for on, w, sign in ((present, net.weights[n, m], 1), (propose, weights[m], -1)):
        density = log_q(net, n, m, plan, None, w) if on else 0.0
        log_ratio += sign * (density + np.log(plan.presence[n, m] if on else 0.6))
    if present != propose:  # odds at which the ratio is one half
        net.log_odds[n, m] += (LOG_HALF - log_ratio) * (1 if propose else -1)
        log_ratio = LOG_HALF
    check_threshold(net, n, plan, draws, draws.uniforms[n, m], log_ratio, (adjacency, weights))


@each_law
@pytest.mark.parametrize(("out", "into"), [(1, 0), (4, 0), (1, SILENT), (4, SILENT)])
def test_edges_swap_exactly_below_the_ratio_of_posterior_to_proposal(law, out, into):
    rng = np.random.default_rng(out)
    n, net, plan = 1, Network(law), make_plan(rng, visit=0.0)
    net.log_odds[n, 2] = np.inf  # present, and never taken out: 1 and 4 are left
    draws = draw_edges(N, M, B, 1, rng)
    uniforms, cumulative = draws.swap_uniforms[n, 0], np.append(0.0, plan.partner[out])
    uniforms[:2] = 0.25 if out == 1 else 0.75, cumulative[into : into + 2].mean() / cumulative[-1]
    adjacency, weights = net.adjacency[n].copy(), net.weights[n].copy()
    adjacency[out], weights[out] = 0, 0.0
    mode, lower = net.find_mode(n, into, plan.start[n, into], plan.newton, weights)
    log_ratio = log_q(net, n, out, plan, weights, net.weights[n, out])
    adjacency[into] = 1
    w = mode + np.linalg.solve(lower.T, draws.swap_stretches[n, 0] * draws.swap_normals[n, 0])
    log_ratio -= log_q(net, n, into, plan, weights, w)
    log_ratio += np.log(plan.partner[out, -1] / plan.partner[into, -1])
    weights[into] = w
    net.log_odds[n, 2] = 0.0  # cancels
    log_ratio += net.log_joint(n, adjacency, weights)
    log_ratio -= net.log_joint(n, net.adjacency[n], net.weights[n])
    net.log_odds[n, 2] = np.inf
    net.log_odds[n, into] += LOG_HALF - log_ratio
    check_threshold(net, n, plan, draws, uniforms, LOG_HALF, (adjacency, weights))
