"""The parts of a model and the builder: what every argument becomes, and what is refused."""

import re
from contextlib import nullcontext

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
import xarray as xr
from scipy import stats
from scipy.special import expit, logit

import pymc_glm as pg
from helpers.uncompiled import UNCOMPILED

N, B, T, BIN_WIDTH = 3, 2, 80, 0.005
BASIS = pg.basis.raised_cosine(B, window=0.05, bin_width=BIN_WIDTH)
VALUES = np.random.default_rng(3).poisson(0.2, (T, N)).clip(0, 1)
OFF_DIAGONAL = ~np.eye(N, dtype=bool)
QUIETLY = {"progressbar": False, "quiet": True}


def counts_of(values=VALUES, labels=("a", "b", "c"), **attrs):
    return xr.DataArray(
        values,
        dims=("time", "neuron"),
        coords={"time": 10 + np.arange(len(values)) * BIN_WIDTH, "neuron": list(labels)},
        attrs={"bin_width": BIN_WIDTH} | attrs,
    )


def build(**kwargs):
    return pg.build_glm(counts_of(), BASIS, **kwargs)


def inputs_of(model, variable):
    """The parameters of a random variable, as tensors of the model."""
    rv = model[variable]
    return rv.owner.op.dist_params(rv.owner)


def evaluate(model, tensor, **values):
    """A tensor of the model at given values of random variables."""
    return tensor.eval(
        {model[name]: np.asarray(value) for name, value in values.items()}, **UNCOMPILED
    )


def learned(model, *prefixes):
    return {v.name for v in model.free_RVs if v.name.startswith(prefixes)}


def covariance(whitening):
    return np.linalg.inv(np.swapaxes(whitening, -1, -2) @ whitening)


# --- edges ---------------------------------------------------------------------------------------


def test_dense_edges_have_no_adjacency():
    model = build(edges=pg.DenseEdges())
    assert {v.name for v in model.free_RVs} >= {"bias", "weights"}
    assert not learned(model, "adjacency", "edge", "self_edge")


@pytest.mark.parametrize(
    "probability", [0.2, np.float32(0.25), 0, 1, np.full((N, N), 0.3), [[0.1] * N] * N]
)
def test_fixed_edge_probabilities(probability):
    model = build(edges=pg.BernoulliEdges(probability, self_probability=0.9))
    (p,) = inputs_of(model, "adjacency")
    expected = np.where(OFF_DIAGONAL, probability, 0.9)
    np.testing.assert_allclose(p.eval(), expected)
    assert not learned(model, "edge", "self_edge")


def test_learned_edge_probabilities_are_beta():
    model = build()
    assert learned(model, "edge", "self_edge") == {"edge_probability", "self_edge_probability"}
    for name, b in (("edge_probability", 9), ("self_edge_probability", 1)):
        np.testing.assert_allclose(
            pm.logp(model[name], 0.3).eval(), stats.beta.logpdf(0.3, 1, b), err_msg=name
        )
    p = evaluate(
        model, inputs_of(model, "adjacency")[0], edge_probability=0.1, self_edge_probability=0.8
    )
    np.testing.assert_allclose(p, np.where(OFF_DIAGONAL, 0.1, 0.8))


def test_edge_probabilities_take_distributions():
    edges = pg.BernoulliEdges(pm.Uniform.dist(0, 0.5), self_probability=pm.Beta.dist(2, 3))
    model = build(edges=edges)
    np.testing.assert_allclose(pm.logp(model["edge_probability"], 0.2).eval(), np.log(2))
    np.testing.assert_allclose(
        pm.logp(model["self_edge_probability"], 0.2).eval(), stats.beta.logpdf(0.2, 2, 3)
    )


def test_a_matrix_of_edge_probabilities_can_be_learned():
    model = build(edges=pg.BernoulliEdges(pm.Beta.dist(1, 1, shape=(N, N)), None))
    assert model.named_vars_to_dims["edge_probability"] == ("post", "pre")
    matrix = np.random.default_rng(1).uniform(size=(N, N))
    found = evaluate(model, inputs_of(model, "adjacency")[0] * 1.0, edge_probability=matrix)
    np.testing.assert_array_equal(found, matrix)


def test_self_edges_can_be_like_the_others():
    model = build(edges=pg.BernoulliEdges(0.2, None))
    np.testing.assert_allclose(
        np.broadcast_to(inputs_of(model, "adjacency")[0].eval(), (N, N)), 0.2
    )
    draws = pm.draw(model["adjacency"], 800, random_seed=1)
    assert np.abs(draws.mean(axis=0) - 0.2).max() < 4.5 * np.sqrt(0.16 / 800)


# --- weights -------------------------------------------------------------------------------------

FIXED = {"mean": 0.0, "cov": 1.0, "self_mean": -1.0, "self_cov": 2.0}


@pytest.mark.parametrize(
    ("mean", "expected"), [(0.7, [0.7, 0.7]), (np.array([0.1, 0.2]), [0.1, 0.2]), ([3, 4], [3, 4])]
)
def test_fixed_means(mean, expected):
    for name, where in (("mean", OFF_DIAGONAL), ("self_mean", ~OFF_DIAGONAL)):
        model = build(weights=pg.GaussianWeights(**FIXED | {name: mean}))
        value = inputs_of(model, "weights")[1].eval()
        np.testing.assert_allclose(value[where], np.broadcast_to(expected, (where.sum(), B)))
        np.testing.assert_allclose(value[~where], 0.0 if name == "self_mean" else -1.0)


@pytest.mark.parametrize(
    ("cov", "expected"),
    [
        (0.5, 0.5 * np.eye(2)),
        (np.array([0.5, 2.0]), np.diag([0.5, 2.0])),
        ([0.5, 2.0], np.diag([0.5, 2.0])),
        (np.array([[1.0, 0.3], [0.3, 0.5]]), np.array([[1.0, 0.3], [0.3, 0.5]])),
    ],
)
def test_fixed_covariances(cov, expected):
    for name, where in (("cov", OFF_DIAGONAL), ("self_cov", ~OFF_DIAGONAL)):
        model = build(weights=pg.GaussianWeights(**FIXED | {name: cov}))
        assert not learned(model, "weight_", "self_weight_")
        value = covariance(inputs_of(model, "weights")[2].eval())
        np.testing.assert_allclose(value[where], np.broadcast_to(expected, (where.sum(), B, B)))
        other = 1.0 if name == "self_cov" else 2.0
        np.testing.assert_allclose(value[~where][0], other * np.eye(B), atol=1e-12)


def test_learned_weights_have_named_hyperparameters():
    model = build()
    names = {"weight_mean", "weight_scale", "weight_corr_raw"}
    names |= {f"self_{name}" for name in names}
    assert learned(model, "weight_", "self_weight_") == names
    for name in (*names, "weight_corr", "self_weight_corr"):
        dims = ("basis_pair",) if "corr" in name else ("basis",)
        assert model.named_vars_to_dims[name] == dims
    assert tuple(model.coords["basis_pair"]) == ("0-1",)
    unit = 0.0025 / (BASIS.values.sum(axis=0) * BIN_WIDTH)  # 2.5 ms over the area
    for name, mean, sigma in (
        ("weight_mean", 0.0, 0.4 * unit),
        ("self_weight_mean", -unit, 0.5 * unit),
    ):
        density = pm.logp(model[name], np.array([0.3, -1.0])).eval()
        np.testing.assert_allclose(density, stats.t.logpdf([0.3, -1.0], 3, mean, sigma), rtol=1e-6)
    for name in ("weight_scale", "self_weight_scale"):
        density = pm.logp(model[name], np.array([0.3, 2.0])).eval()
        np.testing.assert_allclose(density, stats.lognorm.logpdf([0.3, 2.0], 0.75, scale=unit))


def test_learned_covariance_is_scales_and_correlation():
    model = build()
    scale, rho = np.array([0.5, 2.0]), -0.6
    values = {"weight_scale": scale, "weight_corr_raw": [(1 + rho) / 2]}
    values |= {"self_weight_scale": np.ones(2), "self_weight_corr_raw": [0.5]}
    value = covariance(evaluate(model, inputs_of(model, "weights")[2], **values))
    expected = np.outer(scale, scale) * np.array([[1, rho], [rho, 1]])
    np.testing.assert_allclose(value[0, 1], expected, atol=1e-12)
    np.testing.assert_allclose(value[1, 1], np.eye(2), atol=1e-12)


def test_learned_correlations_follow_lkj():
    """LKJ(eta) in d dimensions: every correlation is 2 Beta(a, a) - 1, a = eta - 1 + d / 2."""
    basis = pg.basis.raised_cosine(3, window=0.05, bin_width=BIN_WIDTH)
    model = pg.build_glm(counts_of(), basis)
    assert tuple(model.coords["basis_pair"]) == ("0-1", "0-2", "1-2")
    corr, whitening = pm.draw(
        [model["weight_corr"], inputs_of(model, "weights")[2][0, 1]],
        2000,
        random_seed=1,
        **UNCOMPILED,
    )
    a = 2 - 1 + 3 / 2
    for pair in range(3):
        assert stats.kstest((corr[:, pair] + 1) / 2, stats.beta(a, a).cdf).pvalue > 1e-4
    cov = covariance(whitening)
    sd = np.sqrt(np.diagonal(cov, axis1=1, axis2=2))
    expected = cov / sd[:, :, None] / sd[:, None, :]
    np.testing.assert_allclose(corr, expected[:, [1, 2, 2], [0, 0, 1]], atol=1e-8)


def test_one_basis_function_has_no_correlation():
    model = pg.build_glm(counts_of(), BASIS[:, :1])
    assert learned(model, "weight_") == {"weight_mean", "weight_scale"}


def test_self_weights_can_be_like_the_others():
    model = build(weights=pg.GaussianWeights(0.3, 0.5, None, None))
    _, mean, whitening = inputs_of(model, "weights")
    np.testing.assert_allclose(np.broadcast_to(mean.eval(), (N, N, B)), 0.3)
    whitening = np.broadcast_to(whitening.eval(), (N, N, B, B))
    expected = np.broadcast_to(0.5 * np.eye(B), (N, N, B, B))
    np.testing.assert_allclose(covariance(whitening), expected, atol=1e-12)


@pytest.mark.parametrize("shape", [(), (B,)])
def test_means_and_covariances_take_distributions(shape):
    weights = pg.GaussianWeights(
        mean=pm.Normal.dist(1, 2, shape=shape),
        cov=pm.InverseGamma.dist(3, 2, shape=shape),
        self_mean=0.0,
        self_cov=1.0,
    )
    model = build(weights=weights)
    assert learned(model, "weight_", "self_weight_") == {"weight_mean", "weight_cov"}
    assert model["weight_mean"].type.shape == (B,)  # one for each basis function
    assert model["weight_cov"].type.shape == shape
    values = {"weight_mean": [0.2, 0.4], "weight_cov": np.full(shape, 0.7)}
    _, mean, whitening = inputs_of(model, "weights")
    np.testing.assert_allclose(
        evaluate(model, mean, weight_mean=values["weight_mean"])[0, 1], [0.2, 0.4]
    )
    np.testing.assert_allclose(
        covariance(evaluate(model, whitening, weight_cov=values["weight_cov"]))[0, 1],
        0.7 * np.eye(B),
    )


def test_a_covariance_matrix_can_be_a_distribution():
    weights = pg.GaussianWeights(0.0, pm.Wishart.dist(5, np.eye(B)), 0.0, 1.0)
    model = build(weights=weights)
    assert model.named_vars_to_dims["weight_cov"] == ("basis", "basis_other")
    matrix = np.array([[1.0, 0.2], [0.2, 0.5]])
    whitening = evaluate(model, inputs_of(model, "weights")[2], weight_cov=matrix)
    np.testing.assert_allclose(covariance(whitening)[0, 1], matrix)


# --- bad hyperparameters -------------------------------------------------------------------------


def named_variable():
    with pm.Model():
        return pm.Beta("taken", 1, 1)


@pytest.mark.parametrize(
    ("value", "error", "facts"),
    [
        (1.5, ValueError, "1.5.*from 0 to 1"),
        (-0.1, ValueError, "-0.1.*from 0 to 1"),
        (np.nan, ValueError, "nan.*from 0 to 1"),
        (np.where(OFF_DIAGONAL, 0.1, 7.0), ValueError, r"7.*index \(0, 0\)"),
        (np.full((2, 2), 0.1), ValueError, r"shape \(2, 2\).*shape \(3, 3\)"),
        (np.full(3, 0.1), ValueError, r"shape \(3,\).*shape \(3, 3\)"),
        ([[0.1], [0.1, 0.2]], ValueError, "give a number"),
        (None, ValueError, "None.*'learned'"),
        ("often", ValueError, "'often'.*'learned'"),
        ("0.5", ValueError, "'0.5'.*'learned'"),
        (pm.Beta.dist(1, 3, shape=2), ValueError, r"shape \(2,\).*\(3, 3\)"),
        (pm.Beta.dist(1, 3, shape=(2, 2)), ValueError, r"shape \(2, 2\).*\(3, 3\)"),
        (pm.Beta.dist(1, 3) / 2, TypeError, "expression.*without a name"),
        (pt.scalar("x"), TypeError, "expression.*without a name"),
        (named_variable(), ValueError, "'taken'.*unnamed"),
    ],
)
def test_bad_edge_probabilities(value, error, facts):
    with pytest.raises(error, match=f"(?s)edge_probability: .*{facts}"):
        build(edges=pg.BernoulliEdges(value))


@pytest.mark.parametrize("value", [np.full((N, N), 0.1), pm.Beta.dist(1, 3, shape=N), 2.0])
def test_self_probability_is_one_number(value):
    with pytest.raises(ValueError, match="self_edge_probability: "):
        build(edges=pg.BernoulliEdges(self_probability=value))


@pytest.mark.parametrize(
    ("value", "facts"),
    [
        (np.zeros(3), r"shape \(3,\).*shape \(2,\)"),
        (np.zeros(1), r"shape \(1,\).*shape \(2,\)"),
        (np.array([0.0, np.inf]), r"inf at index \(1,\)"),
        (None, "None.*'learned'"),
        (pm.Normal.dist(0, 1, shape=3), r"shape \(3,\).*\(2,\)"),
    ],
)
def test_bad_means(value, facts):
    with pytest.raises(ValueError, match=f"weight_mean: .*{facts}"):
        build(weights=pg.GaussianWeights(mean=value))


@pytest.mark.parametrize(
    ("value", "facts"),
    [
        (0.0, "got 0"),
        (-1.0, "got -1"),
        (np.array([1.0, -2.0]), r"-2.*index \(1,\)"),
        (np.array([[1.0, 0.5], [0.0, 1.0]]), "not symmetric"),
        (np.array([[1.0, 2.0], [2.0, 1.0]]), "smallest eigenvalue is -1"),
        (np.ones(3), r"shape \(3,\).*shape \(2,\)"),
        (np.eye(3), r"shape \(3, 3\).*shape \(2, 2\)"),
        (np.ones((2, 2, 2)), r"3 dimensions.*\(2, 2\)"),
        ([[1, 2], [1]], "give a number"),
        ("wide", "'wide'"),
        (pm.InverseGamma.dist(3, 2, shape=3), r"shape \(3,\).*\(2,\)"),
    ],
)
def test_bad_covariances(value, facts):
    for name in ("cov", "self_cov"):
        prefix = name.replace("cov", "weight_cov")
        with pytest.raises(ValueError, match=f"^{prefix}: .*{facts}"):
            build(weights=pg.GaussianWeights(**{name: value}))


# --- the builder ---------------------------------------------------------------------------------


def test_coordinates_dims_and_data():
    counts = counts_of()
    model = pg.build_glm(counts, BASIS)
    np.testing.assert_array_equal(model.coords["time"], counts["time"])
    np.testing.assert_array_equal(model.coords["lag"], BASIS["lag"])
    assert tuple(model.coords["post"]) == tuple(model.coords["pre"]) == ("a", "b", "c")
    assert len(model.coords["basis"]) == B
    dims = {
        "bias": ("post",),
        "adjacency": ("post", "pre"),
        "weights": ("post", "pre", "basis"),
        "spikes": ("time", "post"),
        "counts": ("time", "post"),
        "basis_functions": ("lag", "basis"),
    }
    assert {name: model.named_vars_to_dims[name] for name in dims} == dims
    data = {name: model[name].get_value() for name in ("basis_functions", "counts")}
    np.testing.assert_array_equal(data["basis_functions"], BASIS)
    np.testing.assert_array_equal(data["counts"], VALUES)
    assert model["bin_width"].get_value() == BIN_WIDTH
    assert "position" not in model.named_vars


def test_positions_go_into_the_model():
    counts = counts_of().assign_coords(
        position_x=("neuron", [0.0, 2.0, 4.0]), position_y=("neuron", [1.0, 3.0, 5.0])
    )
    model = pg.build_glm(counts, BASIS)
    assert model.named_vars_to_dims["position"] == ("post", "space")
    assert tuple(model.coords["space"]) == ("x", "y")
    np.testing.assert_array_equal(model["position"].get_value(), np.arange(6).reshape(3, 2))


def test_plain_arrays_take_the_bin_width_of_the_basis():
    model = pg.build_glm(VALUES, BASIS)
    assert tuple(model.coords["post"]) == ("0", "1", "2")
    np.testing.assert_allclose(model.coords["time"], np.arange(T) * BIN_WIDTH)


@pytest.mark.parametrize("rate", [5.0, np.array([1.0, 10.0, 50.0])])
def test_bias_prior_stands_around_the_rate(rate):
    mu, sigma = inputs_of(build(bias_rate=rate), "bias")
    np.testing.assert_allclose(
        np.broadcast_to(mu.eval(), N), np.broadcast_to(logit(rate * BIN_WIDTH), N)
    )
    assert sigma.eval() == 1.0


@pytest.mark.parametrize(
    ("bias", "mean", "scale"),
    [
        (lambda: pm.Normal.dist(-4, 0.5), -4, 0.5),
        (lambda: pm.Normal.dist(np.arange(3.0), 1), [0, 1, 2], 1),
        (lambda: pm.Normal.dist(-1, 1, shape=N), -1, 1),
    ],
)
def test_bias_prior_given(bias, mean, scale):
    model = build(bias=bias())
    value = np.array([-1.0, 0.5, 2.0])
    density = pm.logp(model["bias"], value).eval()
    np.testing.assert_allclose(density, stats.norm.logpdf(value, mean, scale))
    assert isinstance(model["bias"].owner.op, type(pg.Baseline.rv_op))


@pytest.mark.parametrize(
    ("kwargs", "error", "facts"),
    [
        ({"bias": -4.0}, TypeError, r"bias: got -4.0.*pm.Normal.dist"),
        ({"bias": pt.scalar("b")}, TypeError, r"bias: got b.*pm.Normal.dist"),
        ({"bias": pm.Gamma.dist(1, 1)}, TypeError, "bias: got gamma.*normal"),
        ({"bias": pm.Normal.dist(np.zeros(5), 1)}, ValueError, r"bias: .*\(5,\).*\(3,\)"),
        ({"bias": pm.Normal.dist(0, 1, shape=5)}, ValueError, r"bias: .*\(5,\).*\(3,\)"),
        ({"bias_rate": 0}, ValueError, "bias_rate: got 0 Hz.*above 0.*below.*200 Hz"),
        ({"bias_rate": -3}, ValueError, "bias_rate: got -3 Hz"),
        ({"bias_rate": 200}, ValueError, "bias_rate: got 200 Hz.*below 200 Hz, 1 spike a bin"),
        ({"bias_rate": np.nan}, ValueError, "bias_rate: got nan Hz"),
        ({"bias_rate": [1, 2]}, ValueError, r"bias_rate: got \[1, 2\].*3 neurons"),
        ({"bias_rate": "slow"}, ValueError, "bias_rate: got 'slow'.*Hz"),
        ({"edges": pg.BernoulliEdges}, TypeError, r"edges: .*pg.BernoulliEdges\(\)"),
        ({"edges": pg.GaussianWeights()}, TypeError, r"edges: .*pg.BernoulliEdges\(\)"),
        ({"weights": 0.5}, TypeError, r"weights: got 0.5.*pg.GaussianWeights\(\)"),
        (
            {"observation": "poison"},
            ValueError,
            r"observation: got 'poison'.*Binomial",
        ),
        ({"observation": ["bernoulli"]}, ValueError, r"observation: .*allowed"),
    ],
)
def test_bad_arguments_of_the_builder(kwargs, error, facts):
    with pytest.raises(error, match=facts):
        build(**kwargs)


def test_the_shortcuts_are_build_glm():
    names = {v.name for v in build().named_vars.values()}
    assert set(pg.bernoulli_glm(counts_of(), BASIS).named_vars) == names
    assert set(pg.dense_glm(counts_of(), BASIS).named_vars) == names - {
        "adjacency",
        "edge_probability",
        "self_edge_probability",
    }


def test_hyperpriors_come_from_an_outer_model():
    with pm.Model() as outer:
        rate = pm.Gamma("rate", 2, 1)
        model = build(edges=pg.BernoulliEdges(pm.Beta.dist(rate, 3)))
    assert "rate" in outer.named_vars
    assert {v.name for v in model.free_RVs} < {v.name for v in outer.free_RVs}


# --- bad data ------------------------------------------------------------------------------------


def changed(value, time=4, neuron=1):
    values = VALUES.astype(type(value))
    values[time, neuron] = value
    return values


@pytest.mark.parametrize(
    ("values", "facts"),
    [
        (changed(np.nan), "nan in bin 4 of neuron 'b'.*1 in total"),
        (changed(np.inf), "inf in bin 4 of neuron 'b'"),
        (changed(-1), "-1 in bin 4 of neuron 'b' is negative"),
        (changed(0.5), "0.5 in bin 4 of neuron 'b' is not a whole number"),
        (VALUES.astype(object), "type object"),
        (VALUES.astype(complex), "type complex128"),
        (VALUES.astype(str), "type <U21, allowed are counts 0, 1, 2"),
        (VALUES[:0], r"empty shape \(0, 3\)"),
    ],
)
def test_bad_counts(values, facts):
    with pytest.raises(ValueError, match=f"^counts: .*{facts}"):
        pg.build_glm(counts_of(values), BASIS)


def test_several_spikes_in_a_bin_are_counted():
    values = VALUES.copy()
    values[3, 2], values[5, 0] = 2, 4
    with pytest.raises(ValueError, match=r"^counts: 2 of 240 bins hold more than one") as caught:
        pg.build_glm(counts_of(values), BASIS)
    for fact in (
        "neuron 'c', bin 3, 2 spikes",
        "bin_width below 0.005 s",
        r"several spikes in a bin.* observation=pymc_glm.Binomial\(4\)",
    ):
        assert re.search(fact, str(caught.value))


@pytest.mark.parametrize(
    ("counts", "facts"),
    [
        (VALUES[:, 0], "1 dimensions"),
        (counts_of().rename(neuron="unit"), r"dims \('time', 'unit'\)"),
        (counts_of(labels=("a", "b", "a")), r"labels \['a'\] occur more than once"),
    ],
)
def test_counts_of_the_wrong_form(counts, facts):
    with pytest.raises(ValueError, match=f"^counts: .*{facts}"):
        pg.build_glm(counts, BASIS)


def test_a_bin_width_is_needed():
    with pytest.raises(ValueError, match=r"counts: no bin width; .*pg\.bin_spikes"):
        pg.build_glm(VALUES, BASIS.values)


def test_bin_widths_must_agree():
    with pytest.raises(ValueError, match=r"bin_width = 0.01 s.*lag 0.01 s but has 0.005 s"):
        pg.build_glm(counts_of(bin_width=0.01), BASIS)


@pytest.mark.parametrize("width", [0.0, -0.005])
def test_bin_width_is_positive(width):
    with pytest.raises(ValueError, match=f"^bin_width: got {width}, allowed .* above 0 s"):
        pg.build_glm(counts_of(bin_width=width), BASIS)


@pytest.mark.parametrize(
    ("basis", "facts"),
    [
        (np.zeros((5, 2)), r"columns \[0, 1\].*zero"),
        (np.ones((5, 2)), "column 1 is a combination of columns"),
        (np.ones((5, 2, 2)), r"2 dimensions.*\(5, 2, 2\)"),
        (np.full((5, 1), np.nan), "finite.*row 0 of column 0"),
    ],
)
def test_bad_bases(basis, facts):
    with pytest.raises(ValueError, match=facts):
        pg.build_glm(counts_of(), basis)


@pytest.mark.parametrize("n_bins", [5, 10])
def test_the_window_is_shorter_than_the_recording(n_bins):
    with pytest.raises(ValueError, match=rf"window of 10 bins \(0.05 s\).*of {n_bins} bins"):
        pg.build_glm(counts_of(VALUES[:n_bins]), BASIS)


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        (0, 0, r"1 neuron never fires \(c\).*prior alone.*min_rate"),
        (0, 1, r"1 neuron never fires \(c\), or only in the last bin.*prior alone.*min_rate"),
        (1, 1, r"1 neuron fires in every bin \(c\).*only the prior.*from the biases.*bin_width"),
    ],
)
def test_constant_neurons_are_named(first, last, words):
    values = VALUES.copy()
    values[:-1, 2], values[-1, 2] = first, last
    with pytest.warns(UserWarning, match=words):
        pg.build_glm(counts_of(values), BASIS)


# --- the likelihood ------------------------------------------------------------------------------


def slow_psi(counts, basis, bias, weights):
    n_bins, n = counts.shape
    psi = np.tile(bias, (n_bins, 1)).astype(float)
    for t in range(n_bins):
        for post in range(n):
            for pre in range(n):
                for b in range(basis.shape[1]):
                    for lag in range(1, len(basis) + 1):
                        if t - lag >= 0:
                            psi[t, post] += (
                                weights[post, pre, b] * basis[lag - 1, b] * counts[t - lag, pre]
                            )
    return psi


def test_log_likelihood_is_that_of_a_slow_loop():
    model = build()
    rng = np.random.default_rng(2)
    point = {"bias": rng.normal(-2, 1, N), "weights": rng.normal(size=(N, N, B))}
    psi = slow_psi(VALUES, BASIS.values, point["bias"], point["weights"])
    (per_bin,) = model.compile_fn(model.logp(vars=[model["spikes"]], sum=False))(point)
    np.testing.assert_allclose(per_bin, stats.bernoulli.logpmf(VALUES, expit(psi)))


@pytest.mark.parametrize("kind", ["silent", "full", "separated"])
def test_extreme_data_have_a_proper_posterior(kind):
    """The likelihood alone has no maximum here: the prior must keep the draws finite."""
    rng = np.random.default_rng(4)
    values = (rng.random((400, 2)) < 0.05).astype(int)
    values[-1, 0] = 0
    if kind == "separated":  # every spike of neuron 0 is followed by one of neuron 1
        values[1:, 1] = values[:-1, 0]
    else:
        values[:, 1] = kind == "full"
    weights = pg.GaussianWeights(0.0, 1.0, None, None)
    with nullcontext() if kind == "separated" else pytest.warns(UserWarning, match="1 neuron "):
        model = pg.build_glm(
            values, BASIS[:, :1], edges=pg.BernoulliEdges(0.5, 0.5), weights=weights
        )
    tree = pg.sample(400, 200, chains=2, cores=1, threads=1, model=model, random_seed=1, **QUIETLY)
    posterior = tree["posterior"]
    for name in ("weights", "bias"):
        assert np.isfinite(posterior[name]).all()
    # Slab Normal(0, 1), bias Normal(-3.7, 2): twenty spikes in a row do not outweigh 10 deviations.
    assert np.abs(posterior["weights"]).max() < 10
    assert np.abs(posterior["bias"] + 3.7).max() < 20
    if kind == "separated":
        assert posterior["adjacency"].sel(post="1", pre="0").mean() > 0.95
        assert posterior["weights"].sel(post="1", pre="0").mean() > 1.5
    if kind == "silent":  # nothing is known of what a silent neuron does
        unknown = posterior["adjacency"].sel(post="0", pre="1")
        assert abs(unknown.mean() - 0.5) < 0.1
