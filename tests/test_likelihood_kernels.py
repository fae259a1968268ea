"""Kernels on spike history against dense, slow computations."""

import numba
import numpy as np
import pytest
from scipy.linalg import block_diag, solve_triangular
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import multivariate_normal, multivariate_t

from pymc_glm.kernels import (
    count_draws,
    edge_moves,
    fisher,
    hmc,
    likelihood,
    pointwise,
    simulate,
)
from pymc_glm.kernels import edge_proposal as proposal
from pymc_glm.kernels.edge_proposal import FREEDOM
from pymc_glm.kernels.exponential import EXPONENT_LIMIT, exponential
from pymc_glm.kernels.history import convolve_history
from pymc_glm.kernels.prior import BiasPrior, NetworkPrior, edge_prior
from pymc_glm.kernels.rescaling import rescaled_intervals
from pymc_glm.kernels.spike_history import spike_history

N, M, B, T = 3, 5, 2, 300
SILENT = 3  # the pre neuron that never fires
CHOSEN = np.array([[True, False, True, True, False], [False] * M, [True] * M])
LOG_HALF = np.log(0.5)
UNKNOWN = 7
FAMILIES = {
    "Bernoulli": (1.0, 0.0, 1),
    "binomial": (4.0, 0.0, 4),
    "negative binomial": (2.5, 1.0, 9),
}
each_family = pytest.mark.parametrize("family", FAMILIES)


def log_density(dispersion, slope, counts, psi):
    return counts * psi - (dispersion + slope * counts) * np.logaddexp(0.0, psi)


class Posterior:
    """The posterior of some coefficients of post neuron n, those of other columns given."""

    def __init__(self, net, n, x, offset, mean, precision):
        self.constants, self.counts = (net.dispersion[n], net.slope), net.counts[n]
        self.trials = net.dispersion[n] + net.slope * self.counts
        self.x, self.offset, self.mean, self.precision = x, offset, mean, precision

    def log_density(self, q):
        slab = multivariate_normal(self.mean, np.linalg.inv(self.precision))
        return log_density(
            *self.constants, self.counts, self.offset + self.x @ q
        ).sum() + slab.logpdf(q)

    def gradient(self, q):
        residual = self.counts - self.trials * expit(self.offset + self.x @ q)
        return self.x.T @ residual - self.precision @ (q - self.mean)

    def information(self, q):
        psi = self.offset + self.x @ q
        return (self.x.T * self.trials * expit(psi) * expit(-psi)) @ self.x

    def mode(self):
        def loss(q):
            return -self.log_density(q), -self.gradient(q)

        return minimize(loss, self.mean, jac=True, tol=1e-9).x

    def leapfrog(self, lower, q, p, step_size, n_steps):
        """Return the end, its momentum and the change of the energy."""
        energy = 0.5 * p @ p - self.log_density(q)
        for _ in range(n_steps):
            p = p + 0.5 * step_size * solve_triangular(lower, self.gradient(q), lower=True)
            q = q + step_size * solve_triangular(lower, p, lower=True, trans="T")
            p = p + 0.5 * step_size * solve_triangular(lower, self.gradient(q), lower=True)
        return q, p, 0.5 * p @ p - self.log_density(q) - energy


class Network:
    """Counts, dense history and spikes, priors and a state."""

    def __init__(self, family="Bernoulli", n_bins=T):
        rng = np.random.default_rng(0)
        spikes = rng.random((n_bins, M)) < 0.1
        spikes[:, SILENT] = False
        basis = rng.normal(size=(6, B))
        self.dense = convolve_history(spikes, basis)
        self.history = spike_history(spikes, basis)
        dispersion, self.slope, most = FAMILIES[family]
        self.dispersion = dispersion * (1.0 + np.arange(N))
        self.counts = rng.integers(0, most + 1, (N, n_bins)).astype(np.int8)
        arrays = self.counts, self.dispersion, self.slope
        self.likelihood = likelihood.Likelihood(likelihood.LOGISTIC, *arrays)
        self.log_odds, self.mean = rng.normal(size=(N, M)), 0.5 * rng.normal(size=(N, M, B))
        roots = rng.normal(size=(N, M, B, B + 1))
        self.precision = np.einsum("nmij,nmkj->nmik", roots, roots) + 0.3 * np.eye(B)
        self.bias_prior = BiasPrior(rng.normal(size=N), rng.gamma(2.0, size=N))
        self.bias = rng.normal(size=N)
        self.adjacency = np.array([[1, 0, 1, 1, 0], [0, 1, 1, 0, 1], [0] * M], dtype=np.int8)
        self.weights = 0.5 * rng.normal(size=(N, M, B)) * self.adjacency[..., None]

    def prior(self):
        arrays = self.log_odds, self.mean, self.precision
        return edge_prior(NetworkPrior(*arrays, *self.bias_prior))

    def likelihood_of(self, n):
        return likelihood.LOGISTIC, self.dispersion[n], self.slope, None

    def edge(self, n, m, weights=None):
        """The posterior of an edge's weights."""
        rest = (self.weights[n] if weights is None else weights).copy()
        rest[m] = 0.0
        offset = self.bias[n] + np.einsum("tmb,mb->t", self.dense, rest)
        return Posterior(self, n, self.dense[:, m], offset, self.mean[n, m], self.precision[n, m])

    def coefficients(self, n, pre):
        """The posterior of the bias and the weights of some edges, and where they are."""
        mean = np.append(self.bias_prior.mean[n], self.mean[n, pre])
        precision = block_diag(self.bias_prior.precision[n], *self.precision[n, pre])
        q = np.append(self.bias[n], self.weights[n, pre])
        x = np.column_stack([np.ones(len(self.dense)), *self.dense[:, pre].transpose(1, 0, 2)])
        offset = self.bias[n] + np.einsum("tmb,mb->t", self.dense, self.weights[n]) - x @ q
        return Posterior(self, n, x, offset, mean, precision), q

    def find_mode(self, n, m, start, most_steps, weights=None):
        base = self.edge(n, m, weights).offset
        mode, lower = np.array(start), np.zeros((B, B))
        edge = self.history, m, self.likelihood_of(n), base, self.counts[n], self.prior(), n
        proposal.find_mode(*edge, most_steps, proposal.scratch_of(self.counts[n]), mode, lower)
        return mode, lower

    def metric(self, most_bins=10**9):
        metric = fisher.empty_metric(N, M, B, M)
        metric.joint[:] = metric.edge_information[:] = np.nan
        given = self.history, self.likelihood, self.bias, self.weights, CHOSEN
        for posts in ((0, 1), (1, N)):
            fisher.fisher_information(posts, *given, most_bins, metric)
        return metric


# --- exponential and likelihood ------------------------------------------------------------------


def test_exponential_over_its_whole_range():
    compiled = numba.njit(lambda x: [exponential(value) for value in x])
    halfway = (np.arange(-1009, 1009) + 0.5) * np.log(2)  # where the argument reduction changes
    x = np.append(np.linspace(-EXPONENT_LIMIT, EXPONENT_LIMIT, 100_001), halfway)
    np.testing.assert_allclose(compiled(x), np.exp(x), rtol=1e-13, atol=0.0)


@each_family
@pytest.mark.parametrize("size", [1, 15, 16, 17, 1000])
def test_log_likelihood_at_moderate_and_extreme_psi(family, size):
    rng = np.random.default_rng(size)
    dispersion, slope, most = FAMILIES[family]
    extreme = rng.choice([-800.0, -50.0, -40.0, 40.0, 50.0, 800.0], size)
    for psi in (3 * rng.normal(size=size), np.full(size, 39.9), np.full(size, -800.0), extreme):
        counts = rng.integers(0, most + 1, size).astype(np.int8)
        expected = log_density(dispersion, slope, counts, psi).sum()
        magnitude = np.sum(
            1.0 + (dispersion + counts) * np.abs(psi)
        )  # terms cancel, rounding does not
        value = likelihood.log_likelihood((0, dispersion, slope, None), counts, psi, np.empty(size))
        np.testing.assert_allclose(value, expected, rtol=0.0, atol=1e-14 * magnitude)


@each_family
def test_score_is_the_first_and_minus_the_second_derivative(family):
    dispersion, slope, most = FAMILIES[family]
    h, psi = 1e-3, np.append(np.linspace(-8.0, 8.0, 101), [-800.0, -50.0, 50.0, 800.0])
    counts = np.random.default_rng(1).integers(0, most + 1, psi.size).astype(np.int8)
    first, second = np.empty(psi.size), np.empty(psi.size)
    likelihood.score((0, dispersion, slope, None), counts, psi, first, second)
    below, at, above = (log_density(dispersion, slope, counts, psi + d) for d in (-h, 0.0, h))
    np.testing.assert_allclose(first, (above - below) / (2 * h), atol=1e-5)
    np.testing.assert_allclose(second, (2 * at - above - below) / h**2, atol=1e-5)
    exact = (dispersion + slope * counts) * expit(psi) * expit(-psi)
    np.testing.assert_allclose(second, exact, rtol=1e-12, atol=1e-15)


def pointwise_of_unknown(write_loo):
    counts, starts = np.zeros((3, 1), dtype=int), np.zeros(1, dtype=int)
    events = pointwise.events_of(counts, np.ones((1, 1)), starts)
    coupling = pointwise.coupling_of(np.zeros(30), np.zeros((30, 1, 1)), None)
    constant = np.zeros(1), np.zeros((1, 1))
    drawn = pointwise.DrawnLikelihood(UNKNOWN, np.ones(30), 0.0, None, *constant)
    groups = pointwise.Groups(np.arange(3), np.arange(4))
    given = events, coupling, drawn, counts[:, 0], np.zeros((3, 0)), groups, (0, 3)
    if write_loo:
        pointwise.write_loo(*given, 6, False, np.empty((3, 3)))
    else:
        pointwise.write_log_densities(*given, np.empty((3, 30)))


def simulation_of_unknown(one):
    process = simulate.Process(UNKNOWN, 0.0, one, one, np.ones((1, 1, 1)), np.ones((0, 1)), 1, 9.0)
    state = simulate.state_after(process.filters, np.zeros((1, 1)))
    simulate.run(process, state, 0, one[None], np.ones((1, 0)), one[None])


@pytest.mark.parametrize(
    "use",
    [
        lambda one: likelihood.score((UNKNOWN, 1.0, 0.0, None), one, one, one, one),
        lambda one: likelihood.log_likelihood((UNKNOWN, 1.0, 0.0, None), one, one, one),
        lambda _: pointwise_of_unknown(write_loo=False),
        lambda _: pointwise_of_unknown(write_loo=True),
        lambda one: count_draws.mean_counts(UNKNOWN, 0.0, one, one, one),
        lambda _: count_draws.draw_count(UNKNOWN, 0.0, 1.0, 0.0, 0.5),
        lambda one: simulate.draw_given(UNKNOWN, 0.0, one, one[None], one[None], one[None]),
        simulation_of_unknown,
        lambda one: rescaled_intervals(UNKNOWN, 0.0, 1.0, one, one, one),
    ],
)
def test_an_unknown_family_is_refused(use):
    with pytest.raises(ValueError, match=r"^family: .*allowed are LOGISTIC"):
        use(np.ones(1))


# --- proposals -----------------------------------------------------------------------------------


@each_family
@pytest.mark.parametrize("m", [0, SILENT])
def test_newton_steps_lead_to_the_mode_and_its_precision(family, m):
    net = Network(family)
    for n in range(N):
        edge = net.edge(n, m)
        for start in (np.full(B, 0.2), np.full(B, -30.0)):  # from far off steps are shortened
            hessian = edge.information(start) + edge.precision
            step = np.linalg.solve(hessian, edge.gradient(start))
            step *= min(1.0, proposal._FARTHEST / np.sqrt(step @ hessian @ step))
            mode, lower = net.find_mode(n, m, start, 1)
            np.testing.assert_allclose(mode, start + step, rtol=1e-9)
            np.testing.assert_allclose(lower, np.linalg.cholesky(hessian), rtol=1e-9)
        best = edge.mode()
        precision = edge.information(best) + edge.precision
        mode, lower = net.find_mode(n, m, start, 200)
        assert (mode - best) @ precision @ (mode - best) < proposal._SETTLED
        for _ in range(3):
            mode, lower = net.find_mode(n, m, mode, 1)
        np.testing.assert_allclose(mode, best, atol=1e-7)
        np.testing.assert_allclose(lower, np.linalg.cholesky(precision), rtol=1e-6)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_proposals_are_a_t_distribution(size):
    rng = np.random.default_rng(size)
    root = rng.normal(size=(size, size + 2))
    precision, mode, n = 5 * root @ root.T, rng.normal(size=size), 40_000
    lower, exact = np.linalg.cholesky(precision), multivariate_t(mode, np.linalg.inv(precision), 8)
    w, white = np.empty(size), np.empty((n, size))
    for i in range(n):
        normals, stretch = rng.normal(size=size), np.sqrt(FREEDOM / rng.chisquare(FREEDOM))
        proposal.draw_weights(normals, stretch, mode, lower, w)
        white[i] = lower.T @ (w - mode)
        if i < 50:
            np.testing.assert_allclose(white[i], stretch * normals, rtol=1e-9, atol=1e-9)
            log_q = proposal.log_proposal(w, mode, lower)
            np.testing.assert_allclose(log_q, exact.logpdf(w), rtol=1e-9, atol=1e-9)
    variance, kurtosis = FREEDOM / (FREEDOM - 2), 3 * (FREEDOM - 2) / (FREEDOM - 4)
    error = variance * np.sqrt((kurtosis - 1) / n)
    np.testing.assert_allclose(np.cov(white.T), variance * np.eye(size), atol=5 * error)


def test_prior_of_edges():
    net, w = Network(), np.random.default_rng(3).normal(size=B)
    net.log_odds[0, :2] = np.inf, -np.inf
    for log_odds in (net.log_odds, np.full((N, M), np.inf)):
        prior = net.prior()
        for array, expected in zip(prior, (log_odds, net.mean, net.precision), strict=False):
            np.testing.assert_array_equal(array, expected)
        np.testing.assert_allclose(prior.log_det, np.log(np.linalg.det(net.precision)), atol=1e-9)
        for n, m in np.ndindex(N, M):
            slab = multivariate_normal(net.mean[n, m], np.linalg.inv(net.precision[n, m]))
            odds = log_odds[n, m] if np.isfinite(log_odds[n, m]) else 0.0  # certain: left out
            value = proposal.log_slab(w, prior, n, m)
            np.testing.assert_allclose(value, odds + slab.logpdf(w), rtol=1e-9)
        net.log_odds = None


# --- metric and trajectories ---------------------------------------------------------------------


@pytest.mark.parametrize("n_bins", [T, 4096, 9000])
@each_family
def test_fisher_information_of_chosen_and_other_pre_neurons(family, n_bins):
    net = Network(family, n_bins)
    metric = net.metric()
    for n in range(N):
        pre = np.flatnonzero(CHOSEN[n])
        np.testing.assert_array_equal(metric.place[n, pre], np.arange(pre.size))
        assert (metric.place[n, ~CHOSEN[n]] == -1).all()
        posterior, q = net.coefficients(n, pre)
        joint = np.zeros_like(metric.joint[n])
        joint[: q.size, : q.size] = posterior.information(q)
        np.testing.assert_allclose(metric.joint[n], joint, rtol=1e-10, atol=1e-9)
        for m in range(M):
            expected_block = net.edge(n, m).information(net.weights[n, m])
            np.testing.assert_allclose(
                metric.edge_information[n, m], expected_block, rtol=1e-10, atol=1e-9
            )


@pytest.mark.parametrize(("most_bins", "every"), [(3 * 4096, 2), (1, 6), (5 * 4096 + 100, 1)])
def test_some_blocks_of_bins_stand_for_a_long_recording(most_bins, every):
    n_bins = 5 * 4096 + 100
    net = Network("binomial", n_bins)
    metric = net.metric(most_bins)
    kept = np.arange(n_bins) // 4096 % every == 0
    for n in range(N):
        pre = np.flatnonzero(CHOSEN[n])
        posterior, q = net.coefficients(n, pre)
        posterior.trials = posterior.trials * kept * n_bins / kept.sum()
        expected = posterior.information(q)
        ours = metric.joint[n, : q.size, : q.size]
        np.testing.assert_allclose(ours, expected, rtol=1e-10, atol=1e-9)
        for j, m in enumerate(pre):
            expected_block = expected[1 + j * B : 1 + (j + 1) * B, 1 + j * B : 1 + (j + 1) * B]
            np.testing.assert_allclose(
                metric.edge_information[n, m], expected_block, rtol=1e-10, atol=1e-9
            )


def parts(net, n):
    """The posterior given the edges, where it is, the kernel's problem and a metric's factor."""
    active = np.flatnonzero(net.adjacency[n])
    posterior, q = net.coefficients(n, active)
    known = np.append(True, np.repeat(CHOSEN[n, active], B))
    block = np.append(-1, np.repeat(active, B))
    crossed = known[:, None] & known | (block[:, None] == block)
    mass = posterior.information(q) * crossed + posterior.precision
    problem = hmc._problem(n, net.prior(), net.bias_prior, net.adjacency, net.history)
    return posterior, q, problem, mass


@each_family
@pytest.mark.parametrize("n", range(N))
def test_problem_mass_and_gradient(family, n):
    net = Network(family)
    posterior, q, problem, mass = parts(net, n)
    np.testing.assert_array_equal(problem.active, np.flatnonzero(net.adjacency[n]))
    np.testing.assert_array_equal(problem.mean, posterior.mean)
    blocks = problem.precision[1:].reshape(-1, B, B)
    precision = block_diag(problem.precision[0, 0], *blocks)
    np.testing.assert_array_equal(precision, posterior.precision)
    np.testing.assert_allclose(hmc._mass(n, net.metric(), problem), mass, rtol=1e-10, atol=1e-9)
    gradient, h, steps = np.empty(q.size), 1e-4, 1e-4 * np.eye(q.size)
    given = net.history, n, net.likelihood_of(n), net.counts[n], problem, q
    value = hmc._gradient(*given, True, np.zeros((M, B)), gradient)
    psi = posterior.offset + posterior.x @ q
    expected = log_density(net.dispersion[n], net.slope, net.counts[n], psi).sum()
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    again = np.empty(q.size)
    assert hmc._gradient(*given, False, np.zeros((M, B)), again) == 0.0
    np.testing.assert_allclose(again, gradient, rtol=1e-12)
    slow = [posterior.log_density(q + s) - posterior.log_density(q - s) for s in steps]
    third = (net.dispersion[n] + 9) / 10 * (np.abs(posterior.x) ** 3).sum(axis=0).max()
    np.testing.assert_allclose(gradient, np.divide(slow, 2 * h), atol=h**2 / 6 * third + 1e-8)


@each_family
@pytest.mark.parametrize("n", range(N))
def test_trajectories_lead_back_and_keep_the_energy(family, n):
    net = Network(family)
    posterior, q, problem, mass = parts(net, n)
    lower = np.linalg.cholesky(mass)
    momentum = np.random.default_rng(n).normal(size=q.size)

    def travel(start, momentum, step_size, n_steps):
        end, normals = start.copy(), np.full((N, 1 + M * B), np.nan)
        normals[n, : q.size] = momentum
        path = normals, np.zeros(N), np.full(N, step_size), np.full(N, n_steps)
        given = n, net.history, net.likelihood_of(n), net.counts[n], problem, lower
        change = hmc._travel(*given, hmc.Trajectories(*path), end, np.zeros((M, B)))
        return end, change

    slow_end, last, slow_change = posterior.leapfrog(lower, q, momentum, 0.3, 5)
    end, change = travel(q, momentum, 0.3, 5)
    np.testing.assert_allclose(end, slow_end, atol=1e-10)
    np.testing.assert_allclose(change, slow_change, atol=1e-9)
    back, change_back = travel(end, -last, 0.3, 5)
    np.testing.assert_allclose(back, q, atol=1e-8)
    np.testing.assert_allclose(change_back, -change, atol=1e-8)
    errors = [travel(q, momentum, 0.02 / k, 20 * k)[1] for k in (1, 2)]
    np.testing.assert_allclose(errors[0] / errors[1], 4.0, rtol=0.02)


def sweep_weights(net, uniform, step_size):
    normals = np.random.default_rng(8).normal(size=(N, 1 + M * B))
    path = hmc.Trajectories(normals, np.full(N, uniform), np.full(N, step_size), np.full(N, 4))
    bias, weights, acceptance = net.bias.copy(), net.weights.copy(), np.full(N, np.nan)
    given = net.history, net.likelihood, net.prior(), net.bias_prior, net.metric(), path
    for posts in ((0, 2), (2, N)):
        hmc.move_weights(posts, *given, bias, net.adjacency, weights, acceptance)
    assert (weights[net.adjacency == 0] == 0.0).all()
    return normals, bias, weights, acceptance


@each_family
def test_weights_move_to_the_ends_of_trajectories(family):
    net = Network(family)
    normals, bias, weights, acceptance = sweep_weights(net, 0.0, 0.3)
    for n in range(N):
        posterior, q, _, mass = parts(net, n)
        start = np.linalg.cholesky(mass), q, normals[n, : q.size]
        end, _, change = posterior.leapfrog(*start, 0.3, 4)
        moved = np.append(bias[n], weights[n, net.adjacency[n] == 1])
        np.testing.assert_allclose(moved, end, atol=1e-10)
        np.testing.assert_allclose(acceptance[n], min(1.0, np.exp(-change)), atol=1e-9)


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


def plan_and_draws(rng, visit):
    start, visit = 0.2 * rng.normal(size=(N, M, B)), np.full((N, M), visit)
    plan = edge_moves.EdgePlan(visit, np.full((N, M), 0.4), start, 5)
    return plan, edge_moves.draw_edges(N, M, B, rng)


def sweep_edges(net, plan, draws, pieces=((0, N),)):
    adjacency, weights = net.adjacency.copy(), net.weights.copy()
    modes = np.full((N, M, B), np.nan)
    given = net.history, net.likelihood, net.prior(), plan, draws, net.bias
    counted = [edge_moves.move_edges(p, *given, adjacency, weights, modes) for p in pieces]
    assert ((weights != 0.0) == (adjacency[..., None] == 1)).all()
    return adjacency, weights, modes, np.sum(counted, axis=0)


def test_without_visits_nothing_changes():
    net = Network()
    plan, draws = plan_and_draws(np.random.default_rng(1), 0.0)
    shapes = [(N, M), (N, M, 3), (N, M, B), (N, M)]
    assert [array.shape for array in draws] == shapes
    assert (np.sort(draws.order) == np.arange(M)).all()
    adjacency, weights, modes, counted = sweep_edges(net, plan, draws)
    np.testing.assert_array_equal(adjacency, net.adjacency)
    np.testing.assert_array_equal(weights, net.weights)
    assert np.isnan(modes).all()
    assert (counted == 0).all()


@each_family
def test_posts_can_be_done_in_any_pieces(family):
    net = Network(family)
    plan, draws = plan_and_draws(np.random.default_rng(2), 1.0)
    whole = sweep_edges(net, plan, draws)
    assert (whole[3] > 0).all()  # something was proposed and accepted
    for pieces in ([(0, 1), (1, 2), (2, 3)], [(1, 3), (0, 1), (2, 2)]):
        for part, expected in zip(sweep_edges(net, plan, draws, pieces), whole, strict=True):
            np.testing.assert_array_equal(part, expected)


def test_certain_edges_become_and_stay_what_they_are():
    rng, net, free = np.random.default_rng(3), Network(), set()
    net.log_odds[:, :3] = np.inf, np.inf, -np.inf  # some contradict the start
    for _ in range(60):
        net.adjacency, net.weights, *_ = sweep_edges(net, *plan_and_draws(rng, 1.0))
        assert (net.adjacency[:, :3] == [1, 1, 0]).all()
        free |= {tuple(row) for row in net.adjacency[:, 3:]}
    assert len(free) > 2


def log_joint(net, n, weights):
    """The log likelihood and prior of a post neuron's edges, which are those with weights."""
    prior, psi = net.prior(), net.bias[n] + np.einsum("tmb,mb->t", net.dense, weights)
    present = np.flatnonzero(weights.any(axis=1))
    slabs = [proposal.log_slab(weights[m], prior, n, m) for m in present]
    return log_density(net.dispersion[n], net.slope, net.counts[n], psi).sum() + sum(slabs)


def t_distribution(net, n, m, plan, weights):
    """The proposal distribution of weights, and the map from normals to weights."""
    mode, lower = net.find_mode(n, m, plan.start[n, m], plan.newton, weights)
    t = multivariate_t(mode, np.linalg.inv(lower @ lower.T), FREEDOM)
    return t, lambda normals: mode + np.linalg.solve(lower.T, normals)


def check_threshold(net, n, plan, draws, uniforms, log_ratio, weights):
    """Accepted just below a uniform of the ratio, and not just above."""
    assert log_ratio < 0.0
    for factor, expected in ((1 - 1e-8, weights), (1 + 1e-8, net.weights[n])):
        uniforms[2] = factor * np.exp(log_ratio)
        moved = sweep_edges(net, plan, draws, [(n, n + 1)])[1]
        np.testing.assert_allclose(moved[n], expected, rtol=1e-9)


@each_family
@pytest.mark.parametrize(("n", "m"), list(np.ndindex(2, M)))
@pytest.mark.parametrize("proposed", [0, 1])
def test_an_edge_changes_exactly_below_the_ratio_of_posterior_to_proposal(family, n, m, proposed):
    net = Network(family)
    plan, draws = plan_and_draws(np.random.default_rng(m), 0.0)
    plan.visit[n, m] = 1.0
    draws.uniforms[n, m, 1] = 0.4 - 1e-9 if proposed else 0.4
    draws.normals[n, m], draws.stretches[n, m] = [2.0, -2.0], 1.5
    t, place = t_distribution(net, n, m, plan, net.weights[n])
    present = net.adjacency[n, m]
    net.weights[n, m] = place([0.1, 0.1]) if present else 0.0  # more likely than what is proposed
    weights = net.weights[n].copy()
    weights[m] = place([3.0, -3.0]) if proposed else 0.0
    log_ratio = log_joint(net, n, weights) - log_joint(net, n, net.weights[n])
    log_ratio += t.logpdf(net.weights[n, m]) + np.log(0.4) if present else np.log(0.6)
    log_ratio -= t.logpdf(weights[m]) + np.log(0.4) if proposed else np.log(0.6)
    if present != proposed:  # odds at which the ratio is one half
        net.log_odds[n, m] += (LOG_HALF - log_ratio) * (1 if proposed else -1)
        log_ratio = LOG_HALF
    if present or proposed:
        check_threshold(net, n, plan, draws, draws.uniforms[n, m], log_ratio, weights)
