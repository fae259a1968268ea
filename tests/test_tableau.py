"""The swept tableau against factorisations from scratch."""

import numpy as np
import pytest
from scipy.linalg import block_diag
from scipy.stats import multivariate_normal

from pymc_glm.kernels.tableau import FLIP, _evidence, _sweep, draw_active, update_edges

LOG_HALF = np.log(0.5)


class Regression:
    """A weighted regression with spike-and-slab groups, and its exact evidence."""

    def __init__(self, n_groups, group_size, n_rows=25, seed=0, correlation=0.0):
        rng = np.random.default_rng(seed)
        self.n_groups, self.group_size = n_groups, group_size
        common = rng.normal(size=(n_rows, 1, 1))
        x = rng.normal(size=(n_rows, n_groups, group_size))
        x = np.sqrt(1 - correlation) * x + np.sqrt(correlation) * common
        self.x = np.column_stack([np.ones(n_rows), x.reshape(n_rows, -1)])
        self.omega = rng.gamma(2.0, 0.1, size=n_rows)
        self.kappa = rng.choice([-0.5, 0.5], size=n_rows)
        self.mean = rng.normal(size=(n_groups, group_size))
        roots = rng.normal(size=(n_groups, group_size, group_size + 1))
        self.precision = np.einsum("mij,mkj->mik", roots, roots) + 0.3 * np.eye(group_size)
        self.bias_mean, self.bias_precision = -1.0, 0.7
        self.prior = block_diag(self.bias_precision, *self.precision)
        self.prior_mean = np.append(self.bias_mean, self.mean.ravel())
        self.j = (self.x.T * self.omega) @ self.x + self.prior
        self.h = self.x.T @ self.kappa + self.prior @ self.prior_mean
        self.log_det = np.linalg.slogdet(self.precision)[1]
        self.offset = np.einsum("mi,mij,mj->m", self.mean, self.precision, self.mean)

    def active(self, adjacency):
        weights = np.flatnonzero(np.repeat(adjacency, self.group_size))
        return np.append(0, 1 + weights)

    def log_evidence(self, adjacency):
        """1/2 log|P_A| - 1/2 log|J_AA| + 1/2 h_A' inv(J_AA) h_A - 1/2 m_A' P_A m_A."""
        a = self.active(adjacency)
        j, p, m, h = self.j[np.ix_(a, a)], self.prior[np.ix_(a, a)], self.prior_mean[a], self.h[a]
        log_dets = np.linalg.slogdet(p)[1] - np.linalg.slogdet(j)[1]
        return 0.5 * (log_dets + h @ np.linalg.solve(j, h) - m @ p @ m)

    def log_marginal(self, adjacency):
        """The same up to a constant, as the density of kappa / omega, weights integrated out."""
        a = self.active(adjacency)
        x = self.x[:, a]
        covariance = np.diag(1 / self.omega)
        covariance += x @ np.linalg.solve(self.prior[np.ix_(a, a)], x.T)
        return multivariate_normal(x @ self.prior_mean[a], covariance).logpdf(
            self.kappa / self.omega
        )

    def log_bayes_factor(self, adjacency, m, log_evidence):
        with_edge, without = adjacency.copy(), adjacency.copy()
        with_edge[m], without[m] = 1, 0
        return log_evidence(with_edge) - log_evidence(without)

    def update(self, adjacency, log_odds, order, uniforms):
        new = adjacency.astype(np.int8)
        flips = update_edges(
            np.tril(self.j),  # what is above the diagonal is not read
            self.h,
            new,
            np.asarray(log_odds, dtype=float),
            self.log_det,
            self.offset,
            np.asarray(order),
            np.asarray(uniforms, dtype=float),
            self.group_size,
        )
        return new, flips


def configurations(n):
    return np.array(np.meshgrid(*[[0, 1]] * n, indexing="ij")).reshape(n, -1).T


def symmetric(lower):
    return np.tril(lower) + np.tril(lower, -1).T


def test_sweep_gives_the_block_inverse_in_any_order():
    regression = Regression(3, 2, seed=5)
    tableau = block_diag(regression.j, 0.0)
    tableau[-1, :-1] = tableau[:-1, -1] = regression.h
    a, b = np.array([0, 3, 4, 6]), np.array([1, 2, 5, 7])
    inverse = np.linalg.inv(tableau[np.ix_(a, a)])
    expected = np.empty_like(tableau)
    expected[np.ix_(a, a)] = -inverse
    expected[np.ix_(b, a)] = tableau[np.ix_(b, a)] @ inverse
    expected[np.ix_(a, b)] = expected[np.ix_(b, a)].T
    schur = tableau[np.ix_(b, a)] @ inverse @ tableau[np.ix_(a, b)]
    expected[np.ix_(b, b)] = tableau[np.ix_(b, b)] - schur
    for order in (a, a[::-1]):
        swept = np.tril(tableau)
        for k in order:
            _sweep(swept, k, 1.0)
        np.testing.assert_allclose(symmetric(swept), expected, rtol=1e-10, atol=1e-10)
        for k in a:
            _sweep(swept, k, -1.0)
        np.testing.assert_allclose(symmetric(swept), tableau, rtol=1e-10, atol=1e-10)
        assert not np.triu(swept, 1).any()


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_evidence_of_absent_and_present_edges(size):
    rng = np.random.default_rng(size)
    root = rng.normal(size=(size, size + 2))
    m, r = root @ root.T, rng.normal(size=size)
    expected = np.linalg.slogdet(m)[1], r @ np.linalg.solve(m, r)
    np.testing.assert_allclose(_evidence(np.tril(m), r, 1.0), expected, rtol=1e-10)
    inverse = np.linalg.inv(m)
    present = _evidence(-np.tril(inverse), inverse @ r, -1.0)
    np.testing.assert_allclose(present, expected, rtol=1e-9)


def test_the_two_forms_of_the_evidence_agree():
    regression = Regression(4, 2)
    all_of_them = configurations(4)
    forms = [
        [form(adjacency) for adjacency in all_of_them]
        for form in (regression.log_evidence, regression.log_marginal)
    ]
    np.testing.assert_allclose(*[np.subtract(f, f[0]) for f in forms], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("group_size", [1, 3])
def test_an_edge_flips_exactly_below_its_odds(group_size):
    regression = Regression(4, group_size, seed=group_size)
    for adjacency in configurations(4):
        for m in range(4):
            sign = -1.0 if adjacency[m] else 1.0
            log_odds = np.full(4, np.nan)  # only that of the edge visited matters
            factor = regression.log_bayes_factor(adjacency, m, regression.log_marginal)
            log_odds[m] = sign * LOG_HALF - factor  # the other value has odds one half
            for uniform, flipped in ((0.5 * (1 - 1e-8), 1), (0.5 * (1 + 1e-8), 0)):
                new, flips = regression.update(adjacency, log_odds, [m], [FLIP * uniform])
                assert flips == flipped
                assert new[m] == adjacency[m] ^ flipped
                assert (np.delete(new, m) == np.delete(adjacency, m)).all()
            log_odds[m] += sign * 2.0  # odds above one: it flips with probability FLIP
            assert regression.update(adjacency, log_odds, [m], [FLIP * (1 - 1e-9)])[1] == 1
            assert regression.update(adjacency, log_odds, [m], [FLIP * (1 + 1e-9)])[1] == 0


def test_certain_edges_stay_or_become_what_they_are():
    regression = Regression(4, 2)
    log_odds = np.array([np.inf, np.inf, -np.inf, -np.inf])
    for uniform in (0.0, 0.5, 1 - 1e-16):
        new, flips = regression.update(np.array([0, 1, 0, 1]), log_odds, range(4), [uniform] * 4)
        np.testing.assert_array_equal(new, [1, 1, 0, 0])
        assert flips == 2


@pytest.mark.parametrize(("group_size", "correlation"), [(1, 0.0), (3, 0.0), (2, 0.999)])
def test_many_flips_in_one_call_do_not_add_up_to_an_error(group_size, correlation):
    """Every uniform is within 1e-9 of its threshold, from a fresh factor at every visit."""
    n = 8
    regression = Regression(n, group_size, n_rows=60, correlation=correlation)
    rng = np.random.default_rng(6)
    start = rng.integers(0, 2, n)
    typical = [regression.log_bayes_factor(start, m, regression.log_evidence) for m in range(n)]
    log_odds = -np.array(typical)  # flips are frequent
    order = np.concatenate([rng.permutation(n) for _ in range(100)])
    adjacency, uniforms, flips, tight = start.copy(), [], 0, 0
    for m in order:
        sign = -1.0 if adjacency[m] else 1.0
        factor = regression.log_bayes_factor(adjacency, m, regression.log_evidence)
        threshold = FLIP * np.exp(sign * (log_odds[m] + factor))
        uniforms.append(threshold * rng.choice([1 - 1e-9, 1 + 1e-9]) if threshold < 0.94 else 0.5)
        tight += threshold < 0.94
        if uniforms[-1] < threshold:
            adjacency[m] ^= 1
            flips += 1
    assert flips > 200
    assert tight > 200
    new, counted = regression.update(start, log_odds, order, uniforms)
    np.testing.assert_array_equal(new, adjacency)
    assert counted == flips


@pytest.mark.parametrize("adjacency", configurations(3))
def test_draw_of_the_active_coefficients(adjacency):
    regression = Regression(3, 2, seed=7)
    active = regression.active(adjacency)
    precision = regression.j[np.ix_(active, active)]

    def draw(noise):
        out = np.full(7, np.nan)
        draw_active(np.tril(regression.j), regression.h, active, noise, out)
        assert (np.delete(out, active) == 0.0).all()
        return out[active]

    mean = draw(np.zeros(active.size))
    np.testing.assert_allclose(mean, np.linalg.solve(precision, regression.h[active]), rtol=1e-10)
    root = np.column_stack([draw(unit) - mean for unit in np.eye(active.size)])
    np.testing.assert_allclose(root @ root.T, np.linalg.inv(precision), rtol=1e-9, atol=1e-12)
