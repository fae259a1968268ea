"""The priors of edges and weights: each against its formula, in plain NumPy, at given values."""

import itertools
from typing import NamedTuple

import numpy as np
import pandas as pd
import pymc as pm
import pytensor
import pytest
import xarray as xr
from pytensor.graph.traversal import ancestors
from scipy import stats
from scipy.special import expit

import pymc_glm as pg
from helpers.pages import run_examples, text_of
from helpers.uncompiled import INTERPRETED, UNCOMPILED
from pymc_glm.priors.covariance import (
    LOG_SCALE_SIGMA,
    cholesky_of_partial_correlations,
    inverse_lower,
    whitening_factor,
)
from pymc_glm.priors.edges import Edges
from pymc_glm.priors.weights import SPIKE_EFFECT, Weights

NEURONS = ["a", "b", "c", "d"]
N, B, K = 4, 2, 3
BIN_WIDTH = 0.005
BASIS = pg.basis.raised_cosine(B, window=0.05, bin_width=BIN_WIDTH)
SELF = np.eye(N, dtype=bool)
PAIRS = list(itertools.product(range(N), range(N)))
RNG = np.random.default_rng(5)
COUNTS = xr.DataArray(
    RNG.poisson(0.2, (60, N)).clip(0, 1),
    {"time": np.arange(60) * BIN_WIDTH, "neuron": NEURONS},
    attrs={"bin_width": BIN_WIDTH},
)
LABELS = np.array([2, 0, 0, 1])
OTHER_LABELS = np.array([0, 1, 1, 0])
RHO = RNG.uniform(0.05, 0.95, (K, K))
MU = RNG.normal(size=(K, K, B))
SCALE = RNG.uniform(0.3, 2, (K, K, B))
CORR = RNG.uniform(-0.9, 0.9, (K, K, 1))
POSITIONS = RNG.normal(size=(N, 2))
OTHER_POSITIONS = RNG.normal(size=(N, 3))
DISTANCE = np.abs(np.subtract.outer([0, 50, 120, 300], [0, 50, 120, 300])).astype(float)
DRIVE = RNG.normal(size=(N, N))
FEATURES = {"distance": DISTANCE, "drive": DRIVE}
STANDARD = np.stack(
    [(f - f[~SELF].mean()) / f[~SELF].std() for f in FEATURES.values()], axis=-1
)  # (post, pre, feature)
# Values of the hyperparameters of self-edges and of one slab for all.
SELF_EDGES = {"self_edge_probability": 0.85}
SELF_MEAN = {"self_weight_mean": np.array([-1.0, -2.0])}
SELF_COV = {"self_weight_scale": np.array([0.5, 0.6]), "self_weight_corr_raw": np.array([0.5])}
SELF_WEIGHTS = SELF_MEAN | SELF_COV
ONE_COV = {"weight_scale": np.array([0.5, 2.0]), "weight_corr_raw": np.array([0.2])}


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def build(edges=None, weights=None, counts=COUNTS):
    edges = pg.BernoulliEdges(0.5, 0.5) if edges is None else edges
    weights = pg.GaussianWeights(0.0, 1.0, None, None) if weights is None else weights
    return pg.build_glm(counts, BASIS, edges=edges, weights=weights)


class Parameters(NamedTuple):
    """What the edges and weights of a model are drawn from."""

    probability: np.ndarray  # (post, pre)
    mean: np.ndarray  # (post, pre, basis)
    cov: np.ndarray  # (post, pre, basis, basis)


def parameters(model, **values):
    """Evaluate a model's parameters at values of all its learned variables."""
    edge, weights = model["adjacency"], model["weights"]
    (probability,) = edge.owner.op.dist_params(edge.owner)
    _, mean, whitening = weights.owner.op.dist_params(weights.owner)
    above = set(ancestors([probability, mean, whitening]))
    assert {rv.name for rv in model.free_RVs if rv in above} == set(values)
    given = [model[name] for name in values]
    for name, variable in zip(values, given, strict=True):
        assert variable.type.ndim == np.ndim(values[name]), name
    function = pytensor.function(
        given, [probability, mean, whitening], mode=INTERPRETED, on_unused_input="ignore"
    )
    probability, mean, whitening = function(*[np.asarray(value) for value in values.values()])
    assert np.allclose(whitening, np.tril(whitening))
    cov = np.linalg.inv(np.swapaxes(whitening, -1, -2) @ whitening)
    return Parameters(
        np.broadcast_to(probability, (N, N)),
        np.broadcast_to(mean, (N, N, B)),
        np.broadcast_to(cov, (N, N, B, B)),
    )


def table_over_pairs(table, labels=LABELS):
    """[block of post, block of pre], pair by pair."""
    out = np.empty((N, N, *table.shape[2:]))
    for post, pre in PAIRS:
        out[post, pre] = table[labels[post], labels[pre]]
    return out


def squared_distances(positions):
    out = np.empty((N, N))
    for post, pre in PAIRS:
        out[post, pre] = sum(
            (u - v) ** 2 for u, v in zip(positions[post], positions[pre], strict=True)
        )
    return out


def cov_of(scale, corr):
    return np.array([[scale[0] ** 2, corr * scale[0] * scale[1]],
                     [corr * scale[0] * scale[1], scale[1] ** 2]])  # fmt: skip


def raw(corr):
    """The Beta variable of the correlation of two basis functions."""
    return (np.asarray(corr) + 1) / 2


COV_TABLE = np.array([[cov_of(SCALE[i, j], CORR[i, j, 0]) for j in range(K)] for i in range(K)])
ONE_COV_MATRIX = cov_of([0.5, 2.0], -0.6)
SELF_COV_MATRIX = np.diag([0.25, 0.36])


def assert_close(found, expected):
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), atol=1e-12)


def with_self(between, value):
    """Put the value of self-edges on the diagonal, unless it is None."""
    if value is None:
        return between
    return np.where(SELF.reshape(N, N, *[1] * (between.ndim - 2)), value, between)


# --- edges ---------------------------------------------------------------------------------------


@pytest.fixture(params=["learned", None, 0.9], ids=["learned", "like the others", "fixed"])
def self_edges(request):
    """The keyword, values of learned variables, the probability on the diagonal or None."""
    kind = request.param
    learned = kind == "learned"
    return {"self_probability": kind}, SELF_EDGES if learned else {}, 0.85 if learned else kind


def test_block_edges(self_edges):
    keyword, values, probability = self_edges
    model = build(pg.BlockEdges(K, **keyword))
    found = parameters(model, block_labels=LABELS, edge_probability=RHO, **values)
    assert_close(found.probability, with_self(table_over_pairs(RHO), probability))
    assert model.named_vars_to_dims["edge_probability"] == ("block_post", "block_pre")
    assert model.named_vars_to_dims["block_labels"] == ("post",)


def test_distance_edges(self_edges):
    keyword, values, probability = self_edges
    model = build(pg.DistanceEdges(**keyword))
    found = parameters(
        model, latent_positions=POSITIONS, edge_intercept=0.7, edge_length_scale=1.3, **values
    )
    expected = expit(0.7 - squared_distances(POSITIONS) / 1.3**2)
    assert_close(found.probability, with_self(expected, probability))


def test_eigen_edges(self_edges):
    keyword, values, probability = self_edges
    model = build(pg.EigenEdges(3, eigenvalue_scale="learned", **keyword))
    factors, eigenvalues = OTHER_POSITIONS, np.array([1.2, -0.7, 0.1])
    found = parameters(
        model,
        latent_factors=factors,
        eigenvalues=eigenvalues,
        eigenvalue_scale=0.8,
        edge_intercept=-0.4,
        **values,
    )
    expected = np.empty((N, N))
    for post, pre in PAIRS:
        expected[post, pre] = -0.4 + sum(factors[post] * eigenvalues * factors[pre])
    assert_close(found.probability, with_self(expit(expected), probability))
    dims = {"latent_factors": ("post", "latent_factor"), "eigenvalues": ("latent_factor",)}
    assert {name: model.named_vars_to_dims[name] for name in dims} == dims
    value = np.array([0.1, 0.5, -0.2])
    density = pm.logp(model["eigenvalues"], value).eval(
        {model["eigenvalue_scale"]: 0.8}, mode=INTERPRETED
    )
    np.testing.assert_allclose(density, stats.norm.logpdf(value, 0, 0.8))
    density = pm.logp(model["latent_factors"], factors).eval(mode=INTERPRETED)
    np.testing.assert_allclose(density, stats.norm.logpdf(factors))


@pytest.mark.parametrize("standardize", [True, False])
def test_feature_edges(self_edges, standardize):
    keyword, values, probability = self_edges
    model = build(pg.FeatureEdges(FEATURES, standardize=standardize, **keyword))
    gamma = np.array([-0.02, 0.5])
    found = parameters(model, edge_coefficients=gamma, edge_intercept=-1.1, **values)
    features = STANDARD if standardize else np.stack([DISTANCE, DRIVE], axis=-1)
    expected = np.empty((N, N))
    for post, pre in PAIRS:
        expected[post, pre] = -1.1 + sum(features[post, pre] * gamma)
    assert_close(found.probability, with_self(expit(expected), probability))
    assert model.named_vars_to_dims["edge_coefficients"] == ("edge_feature",)
    assert tuple(model.coords["edge_feature"]) == ("distance", "drive")
    given = np.stack([DISTANCE, DRIVE], axis=-1)
    np.testing.assert_allclose(model["edge_features"].get_value()[~SELF], given[~SELF])


# --- weights -------------------------------------------------------------------------------------


@pytest.fixture(params=list(itertools.product([True, False], repeat=2)), ids=str)
def self_weights(request):
    """Keywords, values of learned variables, mean and covariance on the diagonal or None."""
    mean, cov = request.param
    keywords = {"self_mean": "learned" if mean else None, "self_cov": "learned" if cov else None}
    values = (SELF_MEAN if mean else {}) | (SELF_COV if cov else {})
    self_mean = SELF_MEAN["self_weight_mean"] if mean else None
    return keywords, values, (self_mean, SELF_COV_MATRIX if cov else None)


BLOCK_SLAB = {"weight_mean": MU, "weight_scale": SCALE, "weight_corr_raw": raw(CORR)}


def test_block_weights(self_weights):
    keywords, values, (self_mean, self_cov) = self_weights
    model = build(weights=pg.BlockWeights(K, **keywords))
    found = parameters(model, block_labels=LABELS, **BLOCK_SLAB, **values)
    assert_close(found.mean, with_self(table_over_pairs(MU), self_mean))
    assert_close(found.cov, with_self(table_over_pairs(COV_TABLE), self_cov))
    blocks = ("block_post", "block_pre")
    dims = {
        "weight_mean": (*blocks, "basis"),
        "weight_scale": (*blocks, "basis"),
        "weight_corr_raw": (*blocks, "basis_pair"),
        "weight_corr": (*blocks, "basis_pair"),
    }
    assert {name: model.named_vars_to_dims[name] for name in dims} == dims
    corr = model["weight_corr"].eval({model["weight_corr_raw"]: raw(CORR)}, mode=INTERPRETED)
    np.testing.assert_allclose(corr, CORR)


def test_distance_weights(self_weights):
    keywords, values, (self_mean, self_cov) = self_weights
    model = build(weights=pg.DistanceWeights(**keywords))
    intercept, scale = np.array([0.3, -0.2]), np.array([1.5, 3.0])
    found = parameters(
        model,
        latent_positions=POSITIONS,
        weight_intercept=intercept,
        weight_length_scale=scale,
        **ONE_COV,
        **values,
    )
    expected = np.empty((N, N, B))
    for b in range(B):
        expected[..., b] = intercept[b] - squared_distances(POSITIONS) / scale[b] ** 2
    assert_close(found.mean, with_self(expected, self_mean))
    assert_close(found.cov, with_self(np.broadcast_to(ONE_COV_MATRIX, (N, N, B, B)), self_cov))


@pytest.mark.parametrize("standardize", [True, False])
def test_feature_weights(rng, self_weights, standardize):
    keywords, values, (self_mean, self_cov) = self_weights
    model = build(weights=pg.FeatureWeights(FEATURES, standardize=standardize, **keywords))
    beta, intercept = rng.normal(size=(2, B)), np.array([0.3, -0.2])
    found = parameters(
        model, weight_coefficients=beta, weight_intercept=intercept, **ONE_COV, **values
    )
    features = STANDARD if standardize else np.stack([DISTANCE, DRIVE], axis=-1)
    expected = np.empty((N, N, B))
    for (post, pre), b in itertools.product(PAIRS, range(B)):
        expected[post, pre, b] = intercept[b] + sum(features[post, pre] * beta[:, b])
    assert_close(found.mean, with_self(expected, self_mean))
    assert_close(found.cov, with_self(np.broadcast_to(ONE_COV_MATRIX, (N, N, B, B)), self_cov))
    assert model.named_vars_to_dims["weight_coefficients"] == ("weight_feature", "basis")


# --- numbers, arrays and distributions -----------------------------------------------------------

PLACES = {"d": [0, 300], "a": [100, 0], "c": [0, 0], "b": [50, 50]}
IN_ORDER = np.array([PLACES[name] for name in NEURONS], float)
TYPES = {"d": "on", "b": "off", "a": "on", "c": "off"}
TYPE_INDEX = np.array([1, 0, 0, 1])
KNOWN_TABLE = np.array([[0.1, 0.2], [0.3, 0.4]])


@pytest.mark.parametrize(
    ("edges", "expected"),
    [
        (pg.BlockEdges(probability=0.3, labels=TYPES), np.full((N, N), 0.3)),
        (pg.BlockEdges(probability=KNOWN_TABLE, labels=TYPES), KNOWN_TABLE),
        (pg.BlockEdges(probability=KNOWN_TABLE.tolist(), labels=pd.Series(TYPES)), KNOWN_TABLE),
        (
            pg.DistanceEdges(intercept=0.5, scale=80, positions=PLACES),
            expit(0.5 - squared_distances(IN_ORDER) / 80**2),
        ),
        (
            pg.FeatureEdges(FEATURES, coefficients=0.2, intercept=-1),
            expit(-1 + 0.2 * STANDARD.sum(axis=-1)),
        ),
        (
            pg.FeatureEdges({"drive": DRIVE}, [0.5], -1.0, standardize=False),
            expit(-1 + 0.5 * DRIVE),
        ),
    ],
)
def test_fixed_edge_hyperparameters(edges, expected):
    model = build(edges)
    found = parameters(model, **SELF_EDGES).probability
    if expected.shape == (2, 2):
        expected = table_over_pairs(expected, TYPE_INDEX)
    assert_close(found, with_self(expected, 0.85))


MEAN_TABLE = RNG.normal(size=(2, 2, B))
FOUR_COVS = np.array([[cov_of([i, j], 0.1 * i) for j in (1, 2)] for i in (1, 2)], float)


@pytest.mark.parametrize(
    ("weights", "mean", "cov"),
    [
        (pg.BlockWeights(mean=0.3, cov=0.5, labels=TYPES), 0.3, 0.5 * np.eye(B)),
        (pg.BlockWeights(mean=MEAN_TABLE, cov=[0.5, 2], labels=TYPES),
         table_over_pairs(MEAN_TABLE, TYPE_INDEX), np.diag([0.5, 2])),
        (pg.BlockWeights(mean=0, cov=ONE_COV_MATRIX, labels=TYPES), 0, ONE_COV_MATRIX),
        (pg.BlockWeights(mean=0, cov=FOUR_COVS, labels=TYPES),
         0, table_over_pairs(FOUR_COVS, TYPE_INDEX)),
        (pg.DistanceWeights(intercept=0.3, scale=80, cov=1, positions=PLACES),
         (0.3 - squared_distances(IN_ORDER) / 80**2)[..., None], np.eye(B)),
        (pg.DistanceWeights(intercept=[0.3, 1], scale=80, cov=[1, 2], positions=PLACES),
         np.array([0.3, 1]) - squared_distances(IN_ORDER)[..., None] / 80**2, np.diag([1, 2])),
        (pg.FeatureWeights(FEATURES, coefficients=0.2, intercept=-1, cov=2),
         (-1 + 0.2 * STANDARD.sum(axis=-1))[..., None], 2 * np.eye(B)),
        (pg.FeatureWeights(FEATURES, coefficients=[[1, 2], [3, 4]], intercept=[0, 1], cov=2),
         STANDARD @ [[1, 2], [3, 4]] + [0, 1], 2 * np.eye(B)),
    ],
)  # fmt: skip
def test_fixed_weight_hyperparameters(weights, mean, cov):
    found = parameters(build(weights=weights), **SELF_WEIGHTS)
    assert_close(found.mean, with_self(np.broadcast_to(mean, (N, N, B)), [-1, -2]))
    assert_close(found.cov, with_self(np.broadcast_to(cov, (N, N, B, B)), SELF_COV_MATRIX))


def half_normal(*shape):
    return pm.HalfNormal.dist(0.3, shape=shape)


@pytest.mark.parametrize(
    ("part", "name", "shape", "dims"),
    [
        (lambda x: pg.BlockEdges(K, probability=x), "edge_probability", (K, K),
         ("block_post", "block_pre")),
        (lambda x: pg.DistanceEdges(intercept=x), "edge_intercept", (), None),
        (lambda x: pg.DistanceEdges(scale=x), "edge_length_scale", (), None),
        (lambda x: pg.EigenEdges(intercept=x), "edge_intercept", (), None),
        (lambda x: pg.EigenEdges(eigenvalue_scale=x), "eigenvalue_scale", (), None),
        (lambda x: pg.FeatureEdges(FEATURES, coefficients=x), "edge_coefficients", (2,),
         ("edge_feature",)),
        (lambda x: pg.FeatureEdges(FEATURES, intercept=x), "edge_intercept", (), None),
        (lambda x: pg.BlockEdges(K, self_probability=x), "self_edge_probability", (), None),
        (lambda x: pg.BlockWeights(K, mean=x), "weight_mean", (K, K, B),
         ("block_post", "block_pre", "basis")),
        (lambda x: pg.BlockWeights(K, cov=x), "weight_cov", (K, K), ("block_post", "block_pre")),
        (lambda x: pg.BlockWeights(K, self_mean=x), "self_weight_mean", (B,), ("basis",)),
        (lambda x: pg.BlockWeights(K, self_cov=x), "self_weight_cov", (), None),
        (lambda x: pg.DistanceWeights(intercept=x), "weight_intercept", (B,), ("basis",)),
        (lambda x: pg.DistanceWeights(scale=x), "weight_length_scale", (B,), ("basis",)),
        (lambda x: pg.DistanceWeights(cov=x), "weight_cov", (), None),
        (lambda x: pg.FeatureWeights(FEATURES, coefficients=x), "weight_coefficients", (2, B),
         ("weight_feature", "basis")),
        (lambda x: pg.FeatureWeights(FEATURES, intercept=x), "weight_intercept", (B,), ("basis",)),
        (lambda x: pg.FeatureWeights(FEATURES, cov=x), "weight_cov", (), None),
    ],
)  # fmt: skip
def test_every_hyperparameter_takes_a_distribution(rng, part, name, shape, dims):
    """A scalar one is that of every element; one of the full shape is taken as it is.

    A covariance with two dimensions is one matrix over basis functions.
    """
    for given in {(), shape} if name != "weight_cov" else {()}:
        made = part(half_normal(*given))
        model = build(*((made, None) if isinstance(made, Edges) else (None, made)))
        variable = model[name]
        assert variable in model.free_RVs
        assert model.named_vars_to_dims.get(name) == dims
        value = rng.uniform(0.1, 0.9, shape)
        density = pm.logp(variable, value).eval(mode=INTERPRETED)
        np.testing.assert_allclose(density, stats.halfnorm.logpdf(value, scale=0.3))
        assert density.shape == shape


def test_a_covariance_of_each_pair_of_blocks_is_learned_from_one_number(rng):
    model = build(weights=pg.BlockWeights(K, mean=0.0, cov=half_normal()))
    variance = rng.uniform(0.2, 2, (K, K))
    found = parameters(model, block_labels=LABELS, weight_cov=variance, **SELF_WEIGHTS)
    expected = np.einsum("ij,bc->ijbc", table_over_pairs(variance), np.eye(B))
    assert_close(found.cov, with_self(expected, SELF_COV_MATRIX))


def test_variances_and_a_matrix_are_common_to_all_blocks():
    model = build(weights=pg.BlockWeights(K, mean=0.0, cov=half_normal(B)))
    assert model.named_vars_to_dims["weight_cov"] == ("basis",)
    values = {"block_labels": LABELS, "weight_cov": np.array([0.5, 2.0])} | SELF_WEIGHTS
    found = parameters(model, **values)
    assert_close(found.cov[0, 1], np.diag([0.5, 2.0]))
    model = build(weights=pg.BlockWeights(K, mean=0.0, cov=pm.Wishart.dist(5, np.eye(B))))
    assert model.named_vars_to_dims["weight_cov"] == ("basis", "basis_other")
    found = parameters(model, **values | {"weight_cov": ONE_COV_MATRIX})
    assert_close(found.cov[0, 1], ONE_COV_MATRIX)


# --- default priors, as docs/priors.md has them ------------------------------------------------

AREA = np.array([sum(abs(value) * BIN_WIDTH for value in BASIS.values[:, b]) for b in range(B)])
LARGEST = SPIKE_EFFECT / AREA
BETA, UNIT = stats.beta(1, 9), stats.norm(0, 1)


def mean_prior(shrink=1.0):
    return stats.t(3, 0, 0.4 * LARGEST * shrink**2)


def scale_prior(shrink=1.0):
    return stats.lognorm(LOG_SCALE_SIGMA, scale=LARGEST * shrink)


LENGTH_PRIOR = stats.lognorm(0.75, scale=2 / np.sqrt(LARGEST))
SELF_PRIORS = {
    "self_weight_mean": stats.t(3, -LARGEST, 0.5 * LARGEST),
    "self_weight_scale": stats.lognorm(LOG_SCALE_SIGMA, scale=LARGEST),
}


@pytest.mark.parametrize(
    ("edges", "weights", "priors"),
    [
        (pg.BernoulliEdges(), None,
         {"edge_probability": BETA, "self_edge_probability": stats.uniform(0, 1)}),
        (pg.BlockEdges(K), None,
         {"edge_probability": BETA, "self_edge_probability": stats.uniform(0, 1)}),
        (pg.DistanceEdges(), None,
         {"edge_intercept": stats.norm(-1, 1), "edge_length_scale": stats.lognorm(0.75)}),
        (pg.EigenEdges(eigenvalue_scale="learned"), None,
         {"edge_intercept": stats.norm(-3, 1), "eigenvalue_scale": stats.halfnorm(0, 1)}),
        (pg.EigenEdges(), None, {"eigenvalues": UNIT}),
        (pg.FeatureEdges(FEATURES), None,
         {"edge_intercept": stats.norm(-3, 1), "edge_coefficients": UNIT}),
        (None, pg.GaussianWeights(),
         {"weight_mean": mean_prior(), "weight_scale": scale_prior()} | SELF_PRIORS),
        (pg.DenseEdges(), pg.GaussianWeights(),  # four inputs are shrunk as if they were three
         {"weight_mean": mean_prior(np.sqrt(3 / 4)), "weight_scale": scale_prior(np.sqrt(3 / 4))}
         | SELF_PRIORS),
        (None, pg.BlockWeights(K),  # types may differ in sign: means nearly as large as weights
         {"weight_mean": stats.t(3, 0, 0.5 * LARGEST), "weight_scale": scale_prior()}
         | SELF_PRIORS),
        (None, pg.DistanceWeights(),
         {"weight_intercept": mean_prior(), "weight_length_scale": LENGTH_PRIOR} | SELF_PRIORS),
        (None, pg.FeatureWeights(FEATURES),
         {"weight_intercept": mean_prior(), "weight_coefficients": mean_prior(),
          "weight_scale": scale_prior()} | SELF_PRIORS),
    ],
)  # fmt: skip
def test_default_priors(rng, edges, weights, priors):
    """A prior of shape (basis,) is that of each pair of blocks, of each feature."""
    model = build(edges, weights)
    for name, prior in priors.items():
        shape = model.initial_point(1)[model.rvs_to_values[model[name]].name].shape
        value = rng.uniform(0.05, 0.6, shape)
        density = pm.logp(model[name], value).eval(mode=INTERPRETED)
        # PyMC has constants in single precision.
        expected = prior.logpdf(value)
        np.testing.assert_allclose(density, expected, rtol=1e-6, atol=1e-6, err_msg=name)


# --- what edges and weights share ----------------------------------------------------------------


def test_blocks_are_shared():
    model = build(pg.BlockEdges(K), pg.BlockWeights())
    values = {"block_labels": LABELS, "edge_probability": RHO} | BLOCK_SLAB
    found = parameters(model, **values, **SELF_EDGES, **SELF_WEIGHTS)
    assert_close(found.probability, with_self(table_over_pairs(RHO), 0.85))
    assert_close(found.mean, with_self(table_over_pairs(MU), [-1, -2]))
    assert_close(found.cov, with_self(table_over_pairs(COV_TABLE), SELF_COV_MATRIX))


def test_weights_can_have_separate_blocks():
    model = build(
        pg.BlockEdges(K, concentration="learned"),
        pg.BlockWeights(2, concentration="learned", share_labels=False),
    )
    slab = {"weight_mean": MU[:2, :2], "weight_scale": SCALE[:2, :2]}
    slab["weight_corr_raw"] = raw(CORR[:2, :2])
    found = parameters(
        model,
        block_labels=LABELS,
        concentration=0.3,
        edge_probability=RHO,
        weight_block_labels=OTHER_LABELS,
        weight_concentration=0.5,
        **slab,
        **SELF_EDGES,
        **SELF_WEIGHTS,
    )
    assert_close(found.probability, with_self(table_over_pairs(RHO), 0.85))
    assert_close(found.mean, with_self(table_over_pairs(MU, OTHER_LABELS), [-1, -2]))
    assert_close(found.cov, with_self(table_over_pairs(COV_TABLE, OTHER_LABELS), SELF_COV_MATRIX))
    blocks = ("weight_block_post", "weight_block_pre")
    assert model.named_vars_to_dims["weight_mean"] == (*blocks, "basis")
    assert model.named_vars_to_dims["weight_corr"] == (*blocks, "basis_pair")
    assert model.named_vars_to_dims["edge_probability"] == ("block_post", "block_pre")


@pytest.mark.parametrize("edges_known", [True, False])
def test_one_of_two_separate_block_labels_can_be_known(edges_known):
    known, latent = {"labels": TYPES}, {"n_blocks": 2}
    model = build(
        pg.BlockEdges(**known if edges_known else latent),
        pg.BlockWeights(**latent if edges_known else known, share_labels=False),
    )
    learned = {rv.name for rv in model.free_RVs if rv.name.endswith("labels")}
    assert learned == {"weight_block_labels" if edges_known else "block_labels"}
    known_dim = "block_post" if edges_known else "weight_block_post"
    assert tuple(model.coords[known_dim]) == ("off", "on")


@pytest.mark.parametrize("again", [{}, {"labels": TYPES}, {"n_blocks": 2}])
def test_known_labels_are_shared(again):
    model = build(pg.BlockEdges(labels=TYPES), pg.BlockWeights(**again))
    table, slab = MU[:2, :2], {name: value[:2, :2] for name, value in BLOCK_SLAB.items()}
    found = parameters(model, edge_probability=KNOWN_TABLE, **slab, **SELF_EDGES, **SELF_WEIGHTS)
    assert_close(found.probability, with_self(table_over_pairs(KNOWN_TABLE, TYPE_INDEX), 0.85))
    assert_close(found.mean, with_self(table_over_pairs(table, TYPE_INDEX), [-1, -2]))


def test_positions_are_shared():
    model = build(pg.DistanceEdges(2), pg.DistanceWeights(2))
    found = parameters(
        model,
        latent_positions=POSITIONS,
        edge_intercept=0.7,
        edge_length_scale=1.3,
        weight_intercept=np.zeros(B),
        weight_length_scale=np.ones(B),
        **ONE_COV,
        **SELF_EDGES,
        **SELF_WEIGHTS,
    )
    squares = squared_distances(POSITIONS)
    assert_close(found.probability, with_self(expit(0.7 - squares / 1.3**2), 0.85))
    assert_close(found.mean, with_self(-np.stack([squares] * B, axis=-1), [-1, -2]))


def test_weights_can_have_separate_positions():
    model = build(pg.DistanceEdges(2), pg.DistanceWeights(3, share_positions=False))
    found = parameters(
        model,
        latent_positions=POSITIONS,
        weight_latent_positions=OTHER_POSITIONS,
        edge_intercept=0.7,
        edge_length_scale=1.3,
        weight_intercept=np.zeros(B),
        weight_length_scale=np.ones(B),
        **ONE_COV,
        **SELF_EDGES,
        **SELF_WEIGHTS,
    )
    squares = squared_distances(OTHER_POSITIONS)
    assert_close(found.mean, with_self(-np.stack([squares] * B, axis=-1), [-1, -2]))
    assert_close(
        found.probability, with_self(expit(0.7 - squared_distances(POSITIONS) / 1.69), 0.85)
    )


def test_known_positions_are_shared():
    model = build(pg.DistanceEdges(positions=PLACES), pg.DistanceWeights(positions=IN_ORDER))
    assert "latent_positions" in {variable.name for variable in model.data_vars}
    assert not [rv for rv in model.free_RVs if "positions" in rv.name]
    found = parameters(
        model,
        edge_intercept=0.7,
        edge_length_scale=90.0,
        weight_intercept=np.zeros(B),
        weight_length_scale=np.full(B, 60.0),
        **ONE_COV,
        **SELF_EDGES,
        **SELF_WEIGHTS,
    )
    squares = squared_distances(IN_ORDER)
    assert_close(found.probability, with_self(expit(0.7 - squares / 90**2), 0.85))
    assert_close(found.mean, with_self(-np.stack([squares] * B, axis=-1) / 60**2, [-1, -2]))


def test_electrode_positions_can_be_taken_from_the_counts():
    counts = COUNTS.assign_coords(
        position_x=("neuron", IN_ORDER[:, 0]), position_y=("neuron", IN_ORDER[:, 1])
    )
    places = np.stack([counts["position_x"], counts["position_y"]], axis=-1)
    model = build(pg.DistanceEdges(positions=places), counts=counts)
    np.testing.assert_array_equal(model["latent_positions"].get_value(), IN_ORDER)
    np.testing.assert_array_equal(model["position"].get_value(), IN_ORDER)


# --- contradictions and bad values ---------------------------------------------------------------

OTHER_TYPES = TYPES | {"a": "off"}


@pytest.mark.parametrize(
    ("edges", "weights", "facts"),
    [
        (pg.BlockEdges(2), pg.BlockWeights(3),
         r"BlockWeights\(n_blocks=3\): edges and weights share their labels, and those of the "
         r"edges have n_blocks=2; leave the argument out, or give "
         r"BlockWeights\(share_labels=False\)"),
        (pg.BlockEdges(2), pg.BlockWeights("2"), r"BlockWeights\(n_blocks='2'\).*have n_blocks=2"),
        (pg.BlockEdges(2), pg.BlockWeights(labels=TYPES),
         r"BlockWeights\(labels\): .*those of the edges are latent; .*share_labels=False"),
        (pg.BlockEdges(labels=TYPES), pg.BlockWeights(labels=OTHER_TYPES),
         r"BlockWeights\(labels\): .*those of the edges differ; .*share_labels=False"),
        (pg.BlockEdges(labels=[1, 0, 0, 1]), pg.BlockWeights(labels=TYPES),
         r"BlockWeights\(labels\): .*those of the edges differ"),
        (pg.BlockEdges(labels=TYPES), pg.BlockWeights(3),
         r"BlockWeights\(n_blocks=3\): .*have n_blocks=2"),
        (pg.BlockEdges(2), pg.BlockWeights(concentration=0.5),
         r"BlockWeights\(concentration\): .*BlockEdges sets their concentration.*share_labels"),
        (pg.BlockEdges(2), pg.BlockWeights(2, share_labels=False, labels=list("abca")),
         r"BlockWeights\(n_blocks=2\): the number of different labels is 3"),
        (pg.BlockEdges(2), pg.BlockWeights(share_labels=False),
         r"BlockWeights\(n_blocks=None\): give the largest number of blocks, or labels\."),
        (None, pg.BlockWeights(),
         r"BlockWeights\(n_blocks=None\): .*or labels; there are no BlockEdges to share with"),
        (pg.BlockEdges(), None, r"BlockEdges\(n_blocks=None\): give the largest number .*labels\."),
        (pg.DistanceEdges(2), pg.DistanceWeights(3),
         r"DistanceWeights\(n_dims=3\): edges and weights share their positions, and those of the "
         r"edges have n_dims=2; .*share_positions=False"),
        (pg.DistanceEdges(2), pg.DistanceWeights(positions=PLACES),
         r"DistanceWeights\(positions\): .*those of the edges are latent; .*share_positions=False"),
        (pg.DistanceEdges(positions=PLACES), pg.DistanceWeights(positions=IN_ORDER[::-1]),
         r"DistanceWeights\(positions\): .*those of the edges differ"),
        (pg.DistanceEdges(positions=PLACES), pg.DistanceWeights(positions={"a": [0, 0]}),
         r"DistanceWeights\(positions\): .*missing neurons \['b', 'c', 'd'\]"),
    ],
)  # fmt: skip
def test_contradictions_are_refused(edges, weights, facts):
    with pytest.raises(ValueError, match=f"^{facts}") as caught:
        build(edges, weights)
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".") and len(message) < 300


RAGGED = [[0.1], [0.1, 0.2]]


@pytest.mark.parametrize(
    ("part", "facts"),
    [
        (pg.BlockEdges(2, probability=1.5), "edge_probability: got 1.5 .*allowed .* from 0 to 1"),
        (pg.BlockEdges(2, probability=[[0.1, 0.2], [0.3, -0.4]]), r"-0.4 at index \(1, 1\)"),
        (pg.BlockEdges(2, probability=np.ones((3, 3))), r"shape \(3, 3\).*shape \(2, 2\)"),
        (pg.BlockEdges(2, probability=np.ones(2)), r"shape \(2,\).*shape \(2, 2\)"),
        (pg.BlockEdges(2, probability="0.2"), "edge_probability: got '0.2'; give a number"),
        (pg.BlockEdges(2, probability=None), "edge_probability: got None; give a number"),
        (pg.BlockEdges(2, probability=RAGGED), "edge_probability: got .*give a number"),
        (pg.BlockEdges(2, probability=pm.Beta.dist(1, 1, shape=(3, 3))), r"\(3, 3\).*\(2, 2\)"),
        (pg.BlockEdges(2, self_probability=-0.1), "self_edge_probability: got -0.1"),
        (pg.BlockEdges(2, self_probability=[0.1] * 4), "self_edge_probability: got .*a number"),
        (pg.DistanceEdges(scale=0), "edge_length_scale: got 0.0, allowed"),
        (pg.DistanceEdges(scale=-2), "edge_length_scale: got -2.0, allowed"),
        (pg.DistanceEdges(scale=np.nan), "edge_length_scale: got nan"),
        (pg.DistanceEdges(scale="wide"), "edge_length_scale: got 'wide'"),
        (pg.DistanceEdges(scale=[1, 2]), r"edge_length_scale: got \[1, 2\]; give a number"),
        (pg.DistanceEdges(intercept=np.inf), "edge_intercept: got inf"),
        (pg.DistanceEdges(intercept="high"), "edge_intercept: got 'high'"),
        (pg.EigenEdges(0), r"EigenEdges\(n_dims\): got 0, allowed .* 1 to 3"),
        (pg.EigenEdges(4), r"EigenEdges\(n_dims\): got 4, .*below the number of neurons"),
        (pg.EigenEdges(True), r"EigenEdges\(n_dims\): got True"),
        (pg.EigenEdges("2"), r"EigenEdges\(n_dims\): got '2'"),
        (pg.EigenEdges(None), r"EigenEdges\(n_dims\): got None"),
        (pg.EigenEdges(eigenvalue_scale=0), "eigenvalue_scale: got 0.0"),
        (pg.EigenEdges(eigenvalue_scale=[1, 1]), r"eigenvalue_scale: got \[1, 1\]"),
        (pg.FeatureEdges(FEATURES, [1, 2, 3]), r"edge_coefficients: .*\[1, 2, 3\].*shape \(2,\)"),
        (pg.FeatureEdges(FEATURES, [1, np.nan]), r"edge_coefficients: got nan at index \(1,\)"),
        (pg.FeatureEdges({}), r"FeatureEdges\(features\): got no features"),
        (pg.BlockWeights(2, mean=np.zeros((2, B))), r"weight_mean: .*\(2, 2\).*\(2, 2, 2\)"),
        (pg.BlockWeights(2, mean="0"), "weight_mean: got '0'"),
        (pg.BlockWeights(2, cov=-1), "weight_cov: got -1.0"),
        (pg.BlockWeights(3, cov=np.eye(3)), r"weight_cov: .*shape \(3, 3\).*shape \(2, 2\)"),
        (pg.BlockWeights(2, cov=np.ones((2, 2, 2))),
         r"weight_cov: got 3 dimensions.*or a table of matrices \(2, 2, 2, 2\)"),
        (pg.BlockWeights(2, cov=np.where(np.arange(4).reshape(2, 2, 1, 1) == 1, -1, 1) * FOUR_COVS),
         r"weight_cov: the smallest eigenvalue at \(0, 1\) is -.*above 0"),
        (pg.BlockWeights(2, cov=FOUR_COVS + np.eye(2, k=1)), r"at \(0, 0\) is not symmetric"),
        (pg.BlockWeights(2, self_cov=np.zeros(B)), r"self_weight_cov: got 0.0 at index \(0,\)"),
        (pg.DistanceWeights(scale=0), "weight_length_scale: got 0.0"),
        (pg.DistanceWeights(0), r"DistanceWeights\(n_dims\): got 0, allowed .* 1 to 3"),
        (pg.DistanceWeights(intercept=[1, 2, 3]), r"weight_intercept: .*shape \(2,\)"),
        (pg.DistanceWeights(positions=IN_ORDER[:2]), r"DistanceWeights\(positions\): .*\(2, 2\)"),
        (pg.FeatureWeights(DRIVE[:2]), r"FeatureWeights\(features\['0'\]\): .*shape \(2, 4\)"),
        (pg.FeatureWeights(FEATURES, [1, 2, 3]), r"weight_coefficients: .*shape \(2, 2\)"),
        (pg.FeatureWeights(FEATURES, intercept=None), "weight_intercept: got None"),
    ],
)  # fmt: skip
def test_bad_values_are_refused(part, facts):
    with pytest.raises(ValueError, match=facts) as caught:
        build(*((part, None) if isinstance(part, Edges) else (None, part)))
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


def test_features_must_be_given():
    with pytest.raises(TypeError, match="features"):
        pg.FeatureEdges()


# --- the builders --------------------------------------------------------------------------------


def names_of(model):
    return {variable.name for variable in model.named_vars.values()}


def test_the_builders_are_build_glm_with_these_parts():
    blocks = pg.sbm_glm(COUNTS, BASIS, K)
    assert names_of(blocks) == names_of(build(pg.BlockEdges(K), pg.BlockWeights()))
    assert len(blocks.coords["block_post"]) == K
    places = pg.latent_distance_glm(COUNTS, BASIS, 3)
    assert names_of(places) == names_of(build(pg.DistanceEdges(3), pg.DistanceWeights()))
    assert len(places.coords["latent_dim"]) == 3
    assert len(pg.latent_distance_glm(COUNTS, BASIS).coords["latent_dim"]) == 2


# --- covariances ---------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_lower_triangular_matrices_are_inverted(rng, size, batch):
    lower = np.tril(rng.normal(size=(*batch, size, size)))
    lower[..., range(size), range(size)] = rng.uniform(0.5, 2, (*batch, size))
    found = inverse_lower(pytensor.tensor.constant(lower), size).eval(mode=INTERPRETED)
    np.testing.assert_allclose(found, np.linalg.inv(lower), atol=1e-10)


def slow_cholesky(z, size):
    """Row by row: what is left of a row's unit length is split by the partial correlations."""
    lower = np.zeros((size, size))
    pairs = iter(z)
    for i in range(size):
        left = 1.0
        for j in range(i):
            lower[i, j] = next(pairs) * np.sqrt(left)
            left -= lower[i, j] ** 2
        lower[i, i] = np.sqrt(left)
    return lower


@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
@pytest.mark.parametrize("size", [2, 3, 4])
def test_cholesky_factors_of_partial_correlations(rng, size, batch):
    z = rng.uniform(-0.9, 0.9, (*batch, size * (size - 1) // 2))
    found = cholesky_of_partial_correlations(pytensor.tensor.constant(z), size).eval(
        mode=INTERPRETED
    )
    assert found.shape == (*batch, size, size)
    for index in np.ndindex(*batch):
        np.testing.assert_allclose(found[index], slow_cholesky(z[index], size), atol=1e-12)
    correlations = found @ np.swapaxes(found, -1, -2)
    np.testing.assert_allclose(np.diagonal(correlations, axis1=-2, axis2=-1), 1.0)


def correlations_of(value):
    """The strict lower triangle of the correlation matrix, from the Beta variables."""
    lower = slow_cholesky(2 * value - 1, 3)
    return (lower @ lower.T)[np.tril_indices(3, -1)]


def log_jacobian(value, step=1e-6):
    columns = [
        (correlations_of(value + step * e) - correlations_of(value - step * e)) / (2 * step)
        for e in np.eye(3)
    ]
    return np.log(abs(np.linalg.det(np.array(columns))))


@pytest.mark.parametrize("batch", [(), (2, 2)])
def test_learned_correlations_have_the_lkj_density_in_every_pair_of_blocks(rng, batch):
    """LKJ: the density of a correlation matrix is det^(eta - 1), here eta = 2, up to a constant.

    The Beta densities are normalised separately, so the constant is arbitrary.
    """
    coords = {"basis": range(3), "block_post": range(2), "block_pre": range(2)}
    dims = ("block_post", "block_pre")[: len(batch)]
    with pm.Model(coords=coords) as model:
        whitening = whitening_factor("weight", None, np.ones(3), batch, dims)
    found = []
    for _ in range(4):
        value = rng.uniform(0.1, 0.9, (*batch, 3))
        density = pm.logp(model["weight_corr_raw"], value).eval(mode=INTERPRETED).sum(axis=-1)
        scale = rng.uniform(0.5, 2, (*batch, 3))
        givens = {model["weight_corr_raw"]: value, model["weight_scale"]: scale}
        factor = whitening.eval(givens, mode=INTERPRETED)
        for index in np.ndindex(*batch):
            triangle = correlations_of(value[index])
            matrix = np.eye(3)
            matrix[np.tril_indices(3, -1)] = triangle
            matrix = matrix + np.tril(matrix, -1).T
            lkj = np.linalg.slogdet(matrix)[1] + log_jacobian(value[index])
            found.append(density[index] - lkj)
            cov = np.linalg.inv(factor[index].T @ factor[index])
            np.testing.assert_allclose(cov, np.outer(scale[index], scale[index]) * matrix)
    np.testing.assert_allclose(found, found[0], atol=1e-6)


# --- the documentation ---------------------------------------------------------------------------


def test_the_examples_of_the_page_on_priors_run():
    defined = run_examples("docs/priors.md")
    assert set(defined["mixed"].coords["block_post"]) == {"0", "1"}
    assert {rv.name for rv in defined["apart"].free_RVs} > {"block_labels", "weight_block_labels"}


@pytest.mark.parametrize("name", ["docs/priors.md", "README.md"])
def test_the_docs_have_a_row_for_every_prior(name):
    rows = [line for line in text_of(name).splitlines() if line[:1] == "|"]
    for kind in (Edges, Weights):
        for part in kind.__subclasses__():
            if part.__module__.startswith("pymc_glm."):
                assert any(f"`{part.__name__}" in row for row in rows), part.__name__


def test_the_example_of_how_to_add_a_prior_runs(rng):
    part = run_examples("CONTRIBUTING.md")["DegreeEdges"]
    receives, sends = rng.normal(size=(2, N))
    model = build(part(), pg.GaussianWeights(0.0, 1.0, None, None))
    found = parameters(
        model, edge_intercept=-1.0, degree_scale=0.7, receives=receives, sends=sends, **SELF_EDGES
    )
    expected = np.empty((N, N))
    for post, pre in PAIRS:
        expected[post, pre] = -1.0 + receives[post] + sends[pre]
    assert_close(found.probability, with_self(expit(expected), 0.85))
    with model:
        for name in ("edge_intercept", "degree_scale", "receives", "sends"):
            assert pg.NetworkNUTS.competence(model[name], True) > 0
        prior = pm.sample_prior_predictive(20, random_seed=1, compile_kwargs=UNCOMPILED)
    drawn = prior["prior"]["adjacency"]
    assert drawn.shape == (1, 20, N, N)
    assert set(np.unique(drawn)) == {0, 1}
    assert set(np.unique(prior["prior"]["weights"].values[drawn.values == 0])) == {0.0}
    with pytest.raises(ValueError, match="degree_scale: got -1"):
        build(part(scale=-1))


def test_a_truth_value_is_no_number():
    with pytest.raises(ValueError, match=r"edge_probability: got True; give a number"):
        build(edges=pg.BernoulliEdges(True))


def test_one_distribution_serves_several_arguments_and_models():
    """Each argument of each model has separate draws."""
    prior = pm.Beta.dist(2, 3)
    edges = pg.BernoulliEdges(prior, prior)
    for model in (build(edges=edges), build(edges=edges)):
        between, on_diagonal = pm.draw(
            [model["edge_probability"], model["self_edge_probability"]],
            50,
            random_seed=1,
            mode=INTERPRETED,
        )
        assert np.all(between != on_diagonal)
    assert prior.name is None


def test_a_prior_of_a_prior_has_to_be_in_the_model():
    nested = pm.Beta.dist(pm.Gamma.dist(2, 1), 3)
    with pytest.raises(ValueError, match=r"edge_probability: .*parameter that is a distribution"):
        build(edges=pg.BernoulliEdges(nested))


def test_block_weights_may_share_a_mean():
    model = build(weights=pg.BlockWeights(K, mean=[0.4, -0.2], cov=1.0))
    found = parameters(model, block_labels=LABELS, **SELF_MEAN, **SELF_COV)
    np.testing.assert_allclose(found.mean[~SELF], np.tile([0.4, -0.2], (N * (N - 1), 1)))
