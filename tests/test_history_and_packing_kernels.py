"""Kernels against slow, independent linear algebra."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import block_diag, cho_solve, solve_triangular
from scipy.signal import lfilter
from scipy.special import expit
from threadpoolctl import threadpool_limits

from helpers.columns import column_history
from pymc_glm.kernels.history import convolve_history
from pymc_glm.kernels.likelihood import LOGISTIC, Likelihood
from pymc_glm.kernels.packing import (
    _MAX_BLOCK_VALUES,
    _syrk,
    pack_rows,
    project,
    transpose_product,
    weighted_grams,
)
from pymc_glm.kernels.polya_gamma import augment, draw_omega, sweep
from pymc_glm.kernels.prior import NetworkPrior
from pymc_glm.kernels.tableau import FLIP


def pack_dense(x, block_size=None):
    """Pack regressors (time, group, group_size)."""
    return pack_rows(column_history(x), block_size)


# --- history -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_bins", "n_lags"), [(40, 7), (5, 9), (1, 1), (2, 1)])
def test_history_is_a_triple_sum(n_bins, n_lags):
    rng = np.random.default_rng(n_bins)
    counts = rng.poisson(0.4, (n_bins, 3))
    basis = rng.normal(size=(n_lags, 2))
    expected = np.zeros((n_bins, 3, 2))
    for t in range(n_bins):
        for lag in range(1, min(n_lags, t) + 1):
            expected[t] += counts[t - lag][:, None] * basis[lag - 1]
    np.testing.assert_allclose(convolve_history(counts, basis), expected, atol=1e-14)


def test_history_is_a_delayed_filter():
    rng = np.random.default_rng(1)
    counts = rng.poisson(0.1, (3000, 4))
    basis = rng.normal(size=(50, 3))
    history = convolve_history(counts, basis)
    for b in range(3):
        filtered = lfilter(np.append(0.0, basis[:, b]), 1.0, counts, axis=0)
        np.testing.assert_allclose(history[:, :, b], filtered, atol=1e-12)


def test_history_is_strictly_causal_to_the_last_bin():
    basis = np.array([[3.0], [2.0], [1.0]])
    for t in range(6):
        counts = np.zeros((6, 2), dtype=int)
        counts[t, 1] = 2
        expected = np.zeros((6, 2, 1))
        expected[t + 1 :, 1, 0] = 2 * np.array([3.0, 2.0, 1.0, 0.0, 0.0])[: 5 - t]
        np.testing.assert_array_equal(convolve_history(counts, basis), expected)


# --- packing -------------------------------------------------------------------------------------


def sparse_rows(rng, n_rows, n_groups, group_size, density):
    x = rng.normal(size=(n_rows, n_groups, group_size))
    return x * (rng.random((n_rows, n_groups, 1)) < density)


def with_constant(x):
    return np.column_stack([np.ones(len(x)), x.reshape(len(x), -1)])


def check_products(x, block_size):
    rng = np.random.default_rng(x.size)
    packed = pack_dense(x, block_size)
    dense = with_constant(x)[packed.order]
    n_rows, n_columns = dense.shape
    np.testing.assert_array_equal(np.sort(packed.order), np.arange(n_rows))
    assert (packed.n_rows, packed.n_columns) == dense.shape
    n_blocks = packed.row_start.size - 1

    unpacked = np.full((n_columns, n_rows), np.nan)
    project(packed, np.eye(n_columns), 0, n_blocks, unpacked)
    np.testing.assert_array_equal(unpacked.T, dense)

    coefficients = rng.normal(size=(3, n_columns))
    out = np.full((3, n_rows), np.nan)
    for cut in (0, n_blocks // 2):  # any split of the blocks writes the same
        project(packed, coefficients, 0, cut, out)
        assert np.isnan(out[:, packed.row_start[cut] :]).all()
    project(packed, coefficients, n_blocks // 2, n_blocks, out)
    np.testing.assert_allclose(out, coefficients @ dense.T, atol=1e-12)

    y = rng.normal(size=(3, n_rows))
    np.testing.assert_allclose(transpose_product(packed, y), y @ dense, atol=1e-11)

    omega = rng.gamma(1.0, size=(3, n_rows))
    grams = np.full((3, n_columns, n_columns), np.nan)
    weighted_grams(packed, omega, grams)
    expected = np.einsum("nt,ti,tj->nij", omega, dense, dense)
    lower = np.tril_indices(n_columns)
    np.testing.assert_allclose(grams[:, *lower], expected[:, *lower], atol=1e-11)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    n_rows=st.integers(1, 140),
    n_groups=st.integers(1, 6),
    group_size=st.sampled_from([1, 3]),
    density=st.sampled_from([0.0, 0.02, 0.3, 1.0]),
    block_size=st.sampled_from([None, 1, 5, 32, 64, 1024]),
)
def test_packed_products(n_rows, n_groups, group_size, density, block_size):
    rng = np.random.default_rng(n_rows)
    check_products(sparse_rows(rng, n_rows, n_groups, group_size, density), block_size)


@pytest.mark.parametrize("block_size", [None, 32, 33, 100])
@pytest.mark.parametrize("group_size", [1, 3])
@pytest.mark.parametrize("density", [0.0, 0.005, 1.0])
@pytest.mark.parametrize("n_rows", [1, 32, 101])  # one row, one whole block, a ragged last block
def test_packed_products_at_the_edges(n_rows, density, group_size, block_size):
    rng = np.random.default_rng(n_rows)
    check_products(sparse_rows(rng, n_rows, 5, group_size, density), block_size)


def test_a_group_is_kept_where_one_of_its_columns_is_not_zero():
    x = np.zeros((64, 3, 2))
    x[40, 1, 1] = 5.0
    packed = pack_dense(x, 32)
    np.testing.assert_array_equal(packed.columns, [0, 0, 3, 4])
    np.testing.assert_array_equal(packed.column_start, [0, 1, 4])
    assert packed.values.size == 32 * 1 + 32 * 3


def test_blocks_fit_the_cache_and_leave_silence_out():
    rng = np.random.default_rng(3)
    full = rng.normal(size=(5000, 40, 3)) + 10.0
    packed = pack_dense(full)
    assert packed.values.size == 5000 * 121  # nothing to leave out: the plain design
    assert np.diff(packed.row_start).max() * 121 <= _MAX_BLOCK_VALUES
    assert np.diff(packed.row_start).min() > 0
    silent = pack_dense(np.zeros((5000, 40, 3)))
    assert silent.values.size == 5000  # the constant alone
    counts = rng.random((5000, 40)) < 0.005
    history = convolve_history(counts, np.ones((20, 3)))
    chosen = pack_dense(history)
    assert chosen.values.size < 0.5 * 5000 * 121
    stored = [pack_dense(history, size).values.size for size in (32, 64, 128, 256)]
    assert stored == sorted(stored)  # shorter blocks leave more out


def test_rows_with_the_same_pattern_are_put_beside_one_another_where_that_leaves_more_out():
    """Two halves of the groups are active in turn: in time order every block needs them all."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(4000, 6, 3)) + 10.0
    x[::2, :3] = 0.0
    x[1::2, 3:] = 0.0
    packed = pack_dense(x)
    assert packed.values.size < 1.15 * 4000 * 10  # one block holds rows of both kinds
    assert pack_dense(x, 128).values.size == 4000 * 19
    check_products(x, None)


def test_syrk_with_beta_zero_ignores_what_was_there():
    a = np.random.default_rng(4).normal(size=(9, 4))
    c = np.full((4, 4), np.nan)
    _syrk(a, c, 0.0)
    lower = np.tril_indices(4)
    np.testing.assert_allclose(c[lower], (a.T @ a)[lower], atol=1e-13)
    _syrk(a, c, 1.0)
    np.testing.assert_allclose(c[lower], 2 * (a.T @ a)[lower], atol=1e-13)


# --- Pólya-gamma ---------------------------------------------------------------------------------


@pytest.mark.parametrize("b", [1.0, 4.0, 0.3, 2.7])
@pytest.mark.parametrize("as_array", [False, True])
@pytest.mark.parametrize("z", [0.0, 0.3, -2.0, -5.0, 12.0])
def test_polya_gamma_draws_in_place_have_the_right_distribution(z, b, as_array):
    """Mean, variance and Laplace transform (Polson, Scott & Windle 2013, section 2)."""
    n = 40_000
    draws = np.full(n, z)
    rng = np.random.Generator(np.random.SFC64(int(10 * abs(z) + b)))
    draw_omega(np.full(n, b) if as_array else b, draws, rng)
    mean = b * np.tanh(z / 2) / (2 * z) if z else b / 4
    variance = b * (np.sinh(z) - z) / (4 * z**3 * np.cosh(z / 2) ** 2) if z else b / 24
    centred = draws - mean
    transform = (np.cosh(z / 2) / np.cosh(np.sqrt((z**2 / 2 + 1.0) / 2))) ** b
    for sample, expected in (
        (draws, mean),
        (centred**2, variance),
        (np.exp(-draws), transform),
    ):
        assert abs(sample.mean() - expected) < 4.5 * sample.std() / np.sqrt(n)


def example(b="one", dense=False, n=5, n_bins=160, group_size=2, seed=8):
    rng = np.random.default_rng(seed)
    x = sparse_rows(rng, n_bins, n, group_size, 0.15)
    psi = -1.0 + rng.normal(size=(n, n_bins))
    if b == "one":
        likelihood = Likelihood(LOGISTIC, rng.binomial(1, expit(psi)), np.ones(n), 0.0)
    else:  # negative binomial
        dispersion = rng.gamma(4.0, size=n)
        y = rng.negative_binomial(dispersion[:, None], expit(-psi))
        likelihood = Likelihood(LOGISTIC, y, dispersion, 1.0)
    root = rng.normal(size=(n, n, group_size, group_size + 1))
    prior = NetworkPrior(
        log_odds=None if dense else rng.normal(size=(n, n)),
        mean=rng.normal(size=(n, n, group_size)),
        precision=np.einsum("nmij,nmkj->nmik", root, root) + np.eye(group_size),
        bias_mean=rng.normal(size=n),
        bias_precision=rng.gamma(2.0, size=n),
    )
    if not dense:
        prior.log_odds[0, 1], prior.log_odds[2, 2] = np.inf, -np.inf
    adjacency = np.ones((n, n), np.int8) if dense else rng.integers(0, 2, (n, n)).astype(np.int8)
    weights = rng.normal(size=(n, n, group_size)) * adjacency[:, :, None]
    coefficients = np.column_stack([rng.normal(size=n), weights.reshape(n, -1)])
    return x, likelihood, prior, adjacency, coefficients


def slow_sweep(x, likelihood, prior, adjacency, coefficients, rng):
    """The algorithm as written, one new factorisation per edge and value, in plain NumPy."""
    order = pack_dense(x).order  # the random numbers are drawn in this order
    dense, group_size = with_constant(x)[order], x.shape[2]
    n = len(adjacency)
    y = likelihood.counts[:, order]
    b = likelihood.dispersion[:, None] + likelihood.slope * y
    new_adjacency, draws = adjacency.copy(), np.zeros_like(coefficients)
    psi = coefficients @ dense.T
    for post, seed in enumerate(rng.integers(2**63, size=n)):
        neuron_rng = np.random.Generator(np.random.SFC64(seed))
        omega = psi[post].copy()
        draw_omega(b[post] if likelihood.slope else 1.0, omega, neuron_rng)
        p = block_diag(prior.bias_precision[post], *prior.precision[post])
        m = np.append(prior.bias_mean[post], prior.mean[post].ravel())
        j = dense.T @ (omega[:, None] * dense) + p
        h = dense.T @ (y[post] - b[post] / 2) + p @ m

        def evidence(edges, j=j, h=h, p=p, m=m):
            a = np.append(0, 1 + np.flatnonzero(np.repeat(edges, group_size)))
            j, p, m, h = j[np.ix_(a, a)], p[np.ix_(a, a)], m[a], h[a]
            log_dets = np.linalg.slogdet(p)[1] - np.linalg.slogdet(j)[1]
            return 0.5 * (log_dets + h @ np.linalg.solve(j, h) - m @ p @ m)

        edges = new_adjacency[post]
        if prior.log_odds is not None:
            for pre, uniform in zip(neuron_rng.permutation(n), neuron_rng.random(n), strict=True):
                other = edges.copy()
                other[pre] ^= 1
                log_prior = (other[pre] - edges[pre]) * prior.log_odds[post, pre]
                log_ratio = log_prior + evidence(other) - evidence(edges)
                if np.log(uniform / FLIP) < min(0.0, log_ratio):
                    edges[:] = other
        a = np.append(0, 1 + np.flatnonzero(np.repeat(edges, group_size)))
        root = np.linalg.cholesky(j[np.ix_(a, a)])
        noise = solve_triangular(root.T, neuron_rng.standard_normal(a.size))
        draws[post, a] = cho_solve((root, True), h[a]) + noise
    return new_adjacency, draws


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("b", ["one", "array"])
@pytest.mark.parametrize("block_size", [None, 50])
def test_a_sweep_is_the_slow_sweep(b, dense, block_size):
    x, likelihood, prior, adjacency, coefficients = example(b, dense)
    data = augment(pack_dense(x, block_size), likelihood, x.shape[2])
    fast_rng, slow_rng = np.random.default_rng(9), np.random.default_rng(9)
    total = 0
    for _ in range(5):
        result = sweep(data, prior, adjacency, coefficients, fast_rng)
        slow = slow_sweep(x, likelihood, prior, adjacency, coefficients, slow_rng)
        np.testing.assert_array_equal(result.adjacency, slow[0])
        np.testing.assert_allclose(result.coefficients, slow[1], rtol=1e-8, atol=1e-10)
        assert result.flips >= np.sum(adjacency != result.adjacency)
        adjacency, coefficients = result.adjacency, result.coefficients
        present = np.repeat(adjacency, x.shape[2], axis=1).astype(bool)
        assert ((coefficients[:, 1:] != 0) == present).all()
        total += result.flips
    if dense:
        assert total == 0
        assert adjacency.all()
    else:
        assert total > 10
        assert adjacency[0, 1] == 1
        assert adjacency[2, 2] == 0


@pytest.mark.parametrize("b", ["one", "array"])
def test_draws_do_not_depend_on_threads_and_arguments_stay(b):
    x, likelihood, prior, adjacency, coefficients = example(b, n=11, n_bins=400)
    data = augment(pack_dense(x, 32), likelihood, x.shape[2])
    given_arrays = [*data.rows[:5], *data[1:3], data.dispersion, *prior, adjacency, coefficients]
    before = [array.copy() for array in given_arrays]
    outcomes = []
    with threadpool_limits(1, "blas"):
        for n_threads in (1, 2, 3, 11):
            rng = np.random.default_rng(10)
            with ThreadPoolExecutor(n_threads) as threads:
                executor = None if n_threads == 1 else threads
                state = adjacency, coefficients
                for _ in range(3):
                    result = sweep(data, prior, *state, rng, executor, n_threads)
                    state = result.adjacency, result.coefficients
            outcomes.append((*state, result.flips, rng.random()))
    for outcome in outcomes[1:]:
        for one, other in zip(outcomes[0], outcome, strict=True):
            np.testing.assert_array_equal(one, other)
    for array, old in zip(given_arrays, before, strict=True):
        np.testing.assert_array_equal(array, old)
    assert not np.array_equal(outcomes[0][1], coefficients)
