"""The random variables of the network GLM against SciPy."""

import cloudpickle
import numpy as np
import pymc as pm
import pytest
from pymc.logprob.utils import ParameterValueError
from scipy import stats

import pymc_glm as pg
from helpers.uncompiled import UNCOMPILED
from pymc_glm.distributions import (
    BaselineRV,
    EdgeRV,
    LoadingsRV,
    SelfWeightsRV,
    SpikeAndSlabRV,
)

RNG = np.random.default_rng(20)


def logp(variable, value):
    return pm.logp(variable, value).eval()


def whitening_of(cov):
    """Lower triangular Q with inv(Q'Q) = cov."""
    return np.linalg.inv(np.linalg.cholesky(cov))


def random_cov(*batch, size):
    root = RNG.normal(size=(*batch, size, size))
    return root @ np.swapaxes(root, -1, -2) + 0.5 * np.eye(size)


def assert_mean(draws, expected, sd):
    """Within 4.5 standard errors: one false alarm in 150000 elements."""
    np.testing.assert_array_less(
        np.abs(draws.mean(axis=0) - expected), 4.5 * sd / np.sqrt(len(draws)) + 1e-12
    )


# --- Edge ----------------------------------------------------------------------------------------


def test_edge_density_is_bernoulli():
    p = RNG.uniform(0.01, 0.99, (3, 4))
    value = RNG.integers(0, 2, (3, 4)).astype(np.int8)
    np.testing.assert_allclose(logp(pg.Edge.dist(p), value), stats.bernoulli.logpmf(value, p))


@pytest.mark.parametrize(
    ("p", "value", "expected"),
    [(0.0, 0, 0.0), (0.0, 1, -np.inf), (1.0, 1, 0.0), (1.0, 0, -np.inf)]
    + [(0.3, value, -np.inf) for value in (-1, 2)],
)
def test_edge_density_at_the_borders(p, value, expected):
    assert logp(pg.Edge.dist(p), np.int8(value)) == expected


def test_edge_refuses_a_probability_above_one():
    with pytest.raises(ParameterValueError, match="0 <= p <= 1"):
        logp(pg.Edge.dist(1.2), np.int8(1))


def test_edge_draws_have_the_probabilities():
    p = RNG.uniform(0, 1, (3, 4))
    draws = pm.draw(pg.Edge.dist(p), 4000, random_seed=1)
    assert draws.dtype == np.int8
    assert set(np.unique(draws)) == {0, 1}
    assert_mean(draws, p, np.sqrt(p * (1 - p)))
    together = np.mean((draws[:, 0, 0] - p[0, 0]) * (draws[:, 2, 3] - p[2, 3]))
    assert abs(together) < 4.5 * 0.25 / np.sqrt(4000)


@pytest.mark.parametrize(
    ("p", "kwargs", "shape"),
    [
        (0.5, {}, ()),
        (0.5, {"shape": (2, 3)}, (2, 3)),
        (0.5, {"size": (2, 3)}, (2, 3)),
        (np.full((2, 3), 0.5), {}, (2, 3)),
        (np.full(3, 0.5), {"shape": (2, 3)}, (2, 3)),
        (np.full((2, 1), 0.5), {"shape": (2, 3)}, (2, 3)),
    ],
)
def test_edge_shapes(p, kwargs, shape):
    variable = pg.Edge.dist(p, **kwargs)
    assert isinstance(variable.owner.op, EdgeRV)
    assert pm.draw(variable, random_seed=1).shape == shape
    assert np.shape(logp(variable, np.ones(shape, np.int8))) == shape


def test_edge_draws_differ_between_seeds_and_agree_for_one():
    variable = pg.Edge.dist(np.full((5, 5), 0.5))
    one, same, other = (pm.draw(variable, random_seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_an_edge_starts_where_it_is_more_likely():
    with pm.Model() as model:
        pg.Edge("adjacency", np.array([0.1, 0.9]))
    start = model.initial_point()["adjacency"]
    assert start.dtype == np.int8
    np.testing.assert_array_equal(start, [0, 1])


# --- SpikeAndSlab --------------------------------------------------------------------------------


def test_slab_density_is_multivariate_normal():
    n_post, n_pre, n_basis = 2, 3, 3
    mean = RNG.normal(size=(n_post, n_pre, n_basis))
    cov = random_cov(n_post, n_pre, size=n_basis)
    value = RNG.normal(size=mean.shape)
    expected = [
        [stats.multivariate_normal.logpdf(value[n, m], mean[n, m], cov[n, m]) for m in range(n_pre)]
        for n in range(n_post)
    ]
    present = np.ones((n_post, n_pre), np.int8)
    variable = pg.SpikeAndSlab.dist(present, mean, whitening_of(cov))
    np.testing.assert_allclose(logp(variable, value), expected)


def test_without_an_edge_only_zero_is_possible():
    adjacency = np.array([[0, 0, 0], [1, 1, 1]])
    value = np.array([[[0.0, 0.0], [0.0, 1e-9], [1.0, 2.0]], [[0.0, 0.0], [0.0, 1.0], [2.0, 3.0]]])
    mean, cov = np.array([0.5, -0.2]), random_cov(size=2)
    density = logp(pg.SpikeAndSlab.dist(adjacency, mean, whitening_of(cov)), value)
    np.testing.assert_array_equal(density[0], [0.0, -np.inf, -np.inf])
    # A present edge may be zero: the slab has no atom there.
    np.testing.assert_allclose(density[1], stats.multivariate_normal.logpdf(value[1], mean, cov))


def test_slab_refuses_a_whitening_that_is_none():
    variable = pg.SpikeAndSlab.dist(np.ones((2, 2)), np.zeros(2), np.diag([1.0, -1.0]))
    with pytest.raises(ParameterValueError, match="diagonal of whitening > 0"):
        logp(variable, np.zeros((2, 2, 2)))


def test_slab_draws_have_mean_and_covariance():
    mean, cov = np.array([1.0, -2.0, 0.5]), random_cov(size=3)
    variable = pg.SpikeAndSlab.dist(np.array([0, 1]), mean, whitening_of(cov))
    draws = pm.draw(variable, 5000, random_seed=1)
    assert draws.shape == (5000, 2, 3)
    assert (draws[:, 0] == 0).all()
    present = draws[:, 1]
    assert_mean(present, mean, np.sqrt(np.diag(cov)))
    # Wishart: var(S_ij) = (cov_ij^2 + cov_ii cov_jj) / n.
    variance = cov**2 + np.outer(np.diag(cov), np.diag(cov))
    deviation = np.cov(present.T) - cov
    assert (np.abs(deviation) < 4.5 * np.sqrt(variance / 5000)).all()


@pytest.mark.parametrize(
    ("adjacency", "mean", "whitening", "kwargs", "shape"),
    [
        ((), (2,), (2, 2), {}, (2,)),
        ((), (2,), (2, 2), {"size": (5,)}, (5, 2)),
        ((), (2,), (2, 2), {"shape": (4, 3, 2)}, (4, 3, 2)),
        ((4, 3), (2,), (2, 2), {}, (4, 3, 2)),
        ((4, 3), (4, 1, 2), (2, 2), {}, (4, 3, 2)),
        ((4, 3), (2,), (4, 3, 2, 2), {}, (4, 3, 2)),
        ((4, 3), (1, 3, 2), (4, 1, 2, 2), {"shape": (4, 3, 2)}, (4, 3, 2)),
        ((), (4, 3, 1), (1, 1), {}, (4, 3, 1)),
    ],
)
def test_slab_shapes(adjacency, mean, whitening, kwargs, shape):
    q = np.broadcast_to(np.eye(whitening[-1]), whitening)
    variable = pg.SpikeAndSlab.dist(np.ones(adjacency, np.int8), np.zeros(mean), q, **kwargs)
    assert isinstance(variable.owner.op, SpikeAndSlabRV)
    draw = pm.draw(variable, random_seed=1)
    assert draw.shape == shape
    assert np.unique(draw).size == draw.size  # no two elements share their noise
    np.testing.assert_allclose(logp(variable, draw), stats.norm.logpdf(draw).sum(axis=-1))


def test_dims_give_the_shape():
    with pm.Model(coords={"post": ["a", "b"], "pre": ["a", "b"], "basis": range(3)}) as model:
        adjacency = pg.Edge("adjacency", 0.5, dims=("post", "pre"))
        weights = pg.SpikeAndSlab(
            "weights", adjacency, np.zeros(3), np.eye(3), dims=("post", "pre", "basis")
        )
        bias = pg.Baseline("bias", -3.0, 1.0, dims="post")
    adjacency_draw, weights_draw, bias_draw = pm.draw(
        [adjacency, weights, bias], random_seed=4, **UNCOMPILED
    )
    assert (adjacency_draw.shape, weights_draw.shape, bias_draw.shape) == ((2, 2), (2, 2, 3), (2,))
    np.testing.assert_array_equal((weights_draw != 0).any(axis=2), adjacency_draw == 1)
    assert np.isfinite(model.compile_logp(**UNCOMPILED)(model.initial_point()))


# --- Baseline ------------------------------------------------------------------------------------


def test_baseline_is_a_normal_with_a_distinct_type():
    mu, sigma, value = RNG.normal(size=3), np.array([0.5, 1.0, 2.0]), RNG.normal(size=3)
    variable = pg.Baseline.dist(mu, sigma)
    assert type(variable.owner.op) is BaselineRV
    np.testing.assert_allclose(logp(variable, value), stats.norm.logpdf(value, mu, sigma))
    assert_mean(pm.draw(variable, 4000, random_seed=1), mu, sigma)


# --- SelfWeights ---------------------------------------------------------------------------------


def test_self_weights_are_multivariate_normal():
    root = np.linalg.cholesky(random_cov(size=4))
    value, scale = RNG.normal(size=(3, 4)), np.array([0.5, 1.0, 3.0])
    expected = [
        stats.multivariate_normal.logpdf(v, cov=s**2 * root @ root.T)
        for v, s in zip(value, scale, strict=True)
    ]
    variable = pg.SelfWeights.dist(scale, root)
    assert isinstance(variable.owner.op, SelfWeightsRV)
    np.testing.assert_allclose(logp(variable, value), expected)
    one = pg.SelfWeights.dist(2.0, root)
    np.testing.assert_allclose(
        logp(one, value[0]), stats.multivariate_normal.logpdf(value[0], cov=4 * root @ root.T)
    )


def test_self_weights_draws_have_the_covariance():
    """A root that is used transposed fails. Elements within 4.5 errors, as for the slab."""
    root = np.linalg.cholesky(random_cov(size=3))
    draws = pm.draw(pg.SelfWeights.dist(1.5, root, size=2), 5000, random_seed=3)
    assert draws.shape == (5000, 2, 3)
    cov = 1.5**2 * root @ root.T
    for neuron in (0, 1):
        assert_mean(draws[:, neuron], 0.0, np.sqrt(np.diag(cov)))
        variance = cov**2 + np.outer(np.diag(cov), np.diag(cov))
        deviation = np.cov(draws[:, neuron].T) - cov
        assert (np.abs(deviation) < 4.5 * np.sqrt(variance / 5000)).all()
    between = np.mean(draws[:, 0] * draws[:, 1], axis=0) / np.diag(cov)
    assert (np.abs(between) < 4.5 / np.sqrt(5000)).all()


@pytest.mark.parametrize(
    ("scale", "kwargs", "shape"),
    [
        ((), {}, (4,)),
        ((), {"size": 3}, (3, 4)),
        ((), {"shape": (3, 4)}, (3, 4)),
        ((3,), {}, (3, 4)),
    ],
)
def test_self_weights_shapes(scale, kwargs, shape):
    variable = pg.SelfWeights.dist(np.ones(scale), np.eye(4), **kwargs)
    draw = pm.draw(variable, random_seed=1)
    assert draw.shape == shape and np.unique(draw).size == draw.size
    np.testing.assert_allclose(logp(variable, draw), stats.norm.logpdf(draw).sum(axis=-1))


def test_self_weights_refuse_a_scale_of_zero():
    with pytest.raises(ParameterValueError, match="scale > 0"):
        logp(pg.SelfWeights.dist(0.0, np.eye(2)), np.zeros(2))


# --- Loadings ------------------------------------------------------------------------------------


def test_loadings_are_normal_with_a_distinct_type():
    sigma, value = np.array([0.5, 2.0]), RNG.normal(size=(3, 2))
    variable = pg.Loadings.dist(0.2, sigma, shape=(3, 2))
    assert type(variable.owner.op) is LoadingsRV
    np.testing.assert_allclose(logp(variable, value), stats.norm.logpdf(value, 0.2, sigma))
    same = pg.Loadings.dist(0.2, tau=sigma**-2, shape=(3, 2))
    np.testing.assert_allclose(logp(same, value), stats.norm.logpdf(value, 0.2, sigma))
    draws = pm.draw(variable, 4000, random_seed=1)
    assert_mean(draws, 0.2, np.broadcast_to(sigma, (3, 2)))


# --- in models -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dense():
    counts = np.random.default_rng(3).poisson(0.2, (60, 2)).clip(0, 1)
    basis = pg.basis.raised_cosine(2, window=0.05, bin_width=0.005)
    return pg.dense_glm(counts, basis, weights=pg.GaussianWeights(cov=pm.HalfNormal.dist(1)))


def test_gradient_is_the_finite_difference(dense):
    names = ("bias", "weights", "weight_mean")
    variables = [dense[name] for name in names]
    density = dense.compile_logp(**UNCOMPILED)
    gradient = dense.compile_dlogp(variables, **UNCOMPILED)
    rng = np.random.default_rng(0)
    point = {k: v + 0.2 * rng.normal(size=v.shape) for k, v in dense.initial_point(1).items()}
    step = 1e-5
    numeric = []
    for name in names:
        for index in np.ndindex(point[name].shape):
            up, down = ({k: v.copy() for k, v in point.items()} for _ in range(2))
            up[name][index] += step
            down[name][index] -= step
            numeric.append((density(up) - density(down)) / (2 * step))
    assert len(numeric) == 8 + 2 + 2
    np.testing.assert_allclose(gradient(point), numeric, rtol=1e-5, atol=1e-6)


def test_only_bounded_hyperparameters_are_transformed():
    counts = np.random.default_rng(3).poisson(0.2, (60, 2)).clip(0, 1)
    basis = pg.basis.raised_cosine(1, window=0.05, bin_width=0.005)
    model = pg.build_glm(counts, basis)
    assert {v.name for v in model.value_vars} == {
        "bias",
        "adjacency",
        "weights",
        "weight_mean",
        "self_weight_mean",
        "edge_probability_logodds__",
        "self_edge_probability_logodds__",
        "weight_scale_log__",
        "self_weight_scale_log__",
    }
    p, log_odds = 0.3, np.log(0.3 / 0.7)
    (value,) = (v for v in model.value_vars if v.name == "edge_probability_logodds__")
    prior = model.logp(vars=[model["edge_probability"]]).eval({value: log_odds})
    # The density of the log odds: Beta(1, 9) times dp / dlogit = p (1 - p).
    np.testing.assert_allclose(prior, stats.beta.logpdf(p, 1, 9) + np.log(p * (1 - p)))


def test_a_model_travels_by_cloudpickle(dense):
    copy = cloudpickle.loads(cloudpickle.dumps(dense))
    point = dense.initial_point(1)
    assert copy.compile_logp(**UNCOMPILED)(point) == dense.compile_logp(**UNCOMPILED)(point)
    assert [v.name for v in copy.free_RVs] == [v.name for v in dense.free_RVs]
