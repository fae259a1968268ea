"""Signs of neurons: the prior and its conditional against enumeration, recovery, bad input."""

import itertools
import pickle

import cloudpickle
import numpy as np
import pandas as pd
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
import xarray as xr
from pymc.step_methods.compound import Competence
from scipy import stats
from scipy.special import expit, logsumexp

import pymc_glm as pg
from helpers.drawn_tree import drawn_tree
from helpers.uncompiled import INTERPRETED
from pymc_glm.graph.signs import SignOdds
from pymc_glm.priors.signed_weights import RELATIVE_SIGMA
from pymc_glm.priors.weights import SPIKE_EFFECT

N, B = 4, 2
NEURONS = list("abcd")
BASIS = pg.basis.raised_cosine(B, window=0.05, bin_width=0.005)
COUNTS = xr.DataArray(
    np.random.default_rng(5).poisson(0.2, (60, N)).clip(0, 1),
    {"time": np.arange(60) * 0.005, "neuron": NEURONS},
    attrs={"bin_width": 0.005},
)
SIGNS = np.array([1, -1, -1, 1], dtype=np.int8)
MEAN = np.array([[0.5, 0.8], [0.3, 1.1]])  # of excitatory and of inhibitory neurons
COV = np.array([[[0.4, 0.1], [0.1, 0.3]], [[0.2, -0.1], [-0.1, 0.9]]])
SELF_MEAN, SELF_COV = np.array([-1.0, -2.0]), np.diag([0.5, 0.7])


def build(weights, edges=None, counts=COUNTS):
    edges = pg.BernoulliEdges(0.5, 0.5) if edges is None else edges
    return pg.build_glm(counts, BASIS, edges=edges, weights=weights)


def slab(model, **values):
    """Means and covariances of all pairs, at values of the learned variables."""
    weights = model["weights"]
    _, mean, whitening = weights.owner.op.dist_params(weights.owner)
    given = [model[name] for name in values]
    function = pytensor.function(
        given, [mean, whitening], mode=INTERPRETED, on_unused_input="ignore"
    )
    mean, whitening = function(*[np.asarray(value) for value in values.values()])
    cov = np.linalg.inv(np.swapaxes(whitening, -1, -2) @ whitening)
    return np.broadcast_to(mean, (N, N, B)), np.broadcast_to(cov, (N, N, B, B))


def expected_slab(signs, mean, cov, self_mean=None, self_cov=None):
    """The same pair by pair."""
    means, covs = np.empty((N, N, B)), np.empty((N, N, B, B))
    for post, pre in itertools.product(range(N), range(N)):
        kind = 0 if signs[pre] == 1 else 1
        means[post, pre] = signs[pre] * mean[kind]
        covs[post, pre] = cov[kind]
        if post == pre and self_mean is not None:
            means[post, pre] = self_mean
        if post == pre and self_cov is not None:
            covs[post, pre] = self_cov
    return means, covs


# --- the variable --------------------------------------------------------------------------------


def test_density_and_draws():
    p = np.array([0.3, 1.0, 0.0])
    rv = pg.NeuronSign.dist(p)
    for signs in itertools.product([1, -1], repeat=3):
        value = np.array(signs, dtype=np.int8)
        with np.errstate(divide="ignore"):
            expected = np.log(np.where(value == 1, p, 1 - p))
        np.testing.assert_allclose(pm.logp(rv, value).eval(mode=INTERPRETED), expected)
    assert np.isneginf(pm.logp(rv, np.array([0, 2, -3])).eval(mode=INTERPRETED)).all()
    draws = pm.draw(pg.NeuronSign.dist(p), 4000, random_seed=1)
    assert draws.dtype == np.int8 and set(np.unique(draws)) == {-1, 1}
    # A right sampler is outside in fewer than 1 of 1000 seeds.
    assert abs((draws[:, 0] == 1).mean() - 0.3) < 3.3 * np.sqrt(0.21 / 4000)
    assert (draws[:, 1] == 1).all() and (draws[:, 2] == -1).all()


# --- the prior -----------------------------------------------------------------------------------


@pytest.mark.parametrize("self_mean", [None, SELF_MEAN], ids=["like others", "own"])
@pytest.mark.parametrize("self_cov", [None, SELF_COV], ids=["like others", "own"])
def test_slab(self_mean, self_cov):
    """The means have the sign of the pre neuron, on the diagonal too if it is like the others."""
    model = build(pg.SignedWeights(MEAN, COV, self_mean=self_mean, self_cov=self_cov))
    mean, cov = slab(model, signs=SIGNS)
    expected = expected_slab(SIGNS, MEAN, COV, self_mean, self_cov)
    np.testing.assert_allclose(mean, expected[0])
    np.testing.assert_allclose(cov, expected[1])
    assert model.named_vars_to_dims["signs"] == ("pre",)


@pytest.mark.parametrize(
    ("mean", "cov", "means", "covs"),
    [
        (0.5, 2.0, np.full((2, B), 0.5), np.tile(2 * np.eye(B), (2, 1, 1))),
        ([0.5, 0.7], [1.0, 3.0], [[0.5, 0.7]] * 2, np.tile(np.diag([1.0, 3.0]), (2, 1, 1))),
        (MEAN, COV[0], MEAN, np.stack([COV[0]] * 2)),
    ],
    ids=["numbers", "by basis function", "by sign"],
)
def test_shapes_of_fixed_values(mean, cov, means, covs):
    model = build(pg.SignedWeights(mean, cov, self_mean=None, self_cov=None))
    found = slab(model, signs=SIGNS)
    expected = expected_slab(SIGNS, np.asarray(means), np.asarray(covs))
    np.testing.assert_allclose(found[0], expected[0])
    np.testing.assert_allclose(found[1], expected[1])


def test_default_priors():
    """Standard deviations are relative to the size of the sign's means."""
    model = build(pg.SignedWeights(self_mean=None, self_cov=None))
    units = SPIKE_EFFECT / 0.005 / np.maximum(BASIS.values.sum(axis=0), 1.0)
    relative, corr = np.array([[0.4, 0.7], [1.1, 0.2]]), np.array([[0.2], [-0.5]])
    raw = (corr + 1) / 2
    values = {"weight_mean": MEAN, "weight_relative_scale": relative, "weight_corr_raw": raw}
    _, cov = slab(model, signs=SIGNS, **values)
    for pre in range(N):
        kind = 0 if SIGNS[pre] == 1 else 1
        size = np.sqrt(((MEAN[kind] / units) ** 2).mean())
        scale = relative[kind] * units * size
        off = corr[kind, 0] * scale[0] * scale[1]
        expected = np.array([[scale[0] ** 2, off], [off, scale[1] ** 2]])
        np.testing.assert_allclose(cov[0, pre], expected)
    priors = {
        "weight_mean": stats.lognorm(0.75, scale=units),
        "weight_relative_scale": stats.lognorm(RELATIVE_SIGMA, scale=0.5),
        "excitatory_probability": stats.beta(2, 2),
    }
    for name, prior in priors.items():
        value = values.get(name, np.array(0.3))
        density = pm.logp(model[name], value).eval(mode=INTERPRETED)
        np.testing.assert_allclose(density, prior.logpdf(value), rtol=1e-6)


def test_distributions():
    weights = pg.SignedWeights(
        pm.HalfNormal.dist(1), pm.HalfNormal.dist(1), pm.Beta.dist(1, 1, shape=N)
    )
    model = build(weights)
    dims = {"weight_mean": ("sign", "basis"), "weight_cov": ("sign",),
            "excitatory_probability": ("pre",)}  # fmt: skip
    assert {name: model.named_vars_to_dims[name] for name in dims} == dims
    assert list(model.coords["sign"]) == ["excitatory", "inhibitory"]
    model = build(pg.SignedWeights(pm.HalfNormal.dist(1, shape=B)))
    assert model.named_vars_to_dims["weight_mean"] == ("basis",)


GIVEN = [1, None, "inhibitory", np.nan]


@pytest.mark.parametrize(
    "signs",
    [
        GIVEN,
        np.array([1, np.nan, -1, np.nan]),
        {"d": None, "c": -1, "b": np.nan, "a": "excitatory"},
        pd.Series(GIVEN, index=NEURONS, dtype=object),
        xr.DataArray([np.nan, -1, np.nan, 1], {"neuron": list("bcda")}, ("neuron",)),
    ],
    ids=["list", "array", "mapping", "series", "dataarray"],
)
def test_given_signs_are_certain(signs):
    model = build(pg.SignedWeights(1.0, 1.0, 0.3, signs))
    (p,) = model["signs"].owner.op.dist_params(model["signs"].owner)
    np.testing.assert_array_equal(p.eval(mode=INTERPRETED), [1.0, 0.3, 0.0, 0.3])
    np.testing.assert_array_equal(model["known_signs"].get_value(), [1, 0, -1, 0])
    with model:
        step = pg.SignGibbs(rng=np.random.default_rng(1))
    point = model.initial_point(0)
    for name in ("adjacency", "weights"):  # without edges, unknown signs are drawn from the prior
        point[name] = np.zeros_like(point[name])
    seen = []
    for _ in range(30):
        point, _ = step.step(point)
        seen.append(point["signs"])
    seen = np.array(seen)
    assert (seen[:, 0] == 1).all() and (seen[:, 2] == -1).all()
    assert all(len(set(seen[:, n])) == 2 for n in (1, 3))


def test_signs_that_are_all_given_are_data():
    model = build(pg.SignedWeights(MEAN, COV, signs=SIGNS.tolist(), self_mean=None, self_cov=None))
    assert model["signs"] not in model.free_RVs
    assert "excitatory_probability" not in model.named_vars
    np.testing.assert_allclose(slab(model)[0], expected_slab(SIGNS, MEAN, COV)[0])
    with model, pytest.raises(ValueError, match="the model has no unknown signs of neurons"):
        pg.SignGibbs()
    with pytest.raises(ValueError, match="are known in this model, not learned"):
        pg.sign_summary(drawn_tree(model, draws=5))


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"signs": [1, 0, -1, 1]}, r"SignedWeights\(signs\): got 0 for neuron 'b', allowed are 1"),
        ({"signs": [1, 2.5, -1, 1]}, "got 2.5 for neuron 'b'"),
        ({"signs": [True, None, None, None]}, "got True for neuron 'a'"),
        ({"signs": ["E", "I", "E", "I"]}, "got 'E' for neuron 'a'"),
        ({"signs": [1, -1]}, r"SignedWeights\(signs\): got the shape \(2,\); give one value"),
        ({"signs": np.ones((4, 2))}, r"signs\): got the shape \(4, 2\); give one sign"),
        ({"signs": {"a": 1}}, r"unknown neurons \[\], missing neurons \['b', 'c', 'd'\]"),
        ({"signs": [1, 1, -1, 1], "probability": 0.5}, r"SignedWeights\(probability\): it belongs"),
        ({"probability": 1.5}, "excitatory_probability: got 1.5, allowed .* from 0 to 1"),
        ({"probability": [0.5, 0.5]}, r"excitatory_probability: got \[0.5, 0.5\]; give a number"),
        ({"mean": -1.0}, "weight_mean: got -1.0 at index .*, allowed .* of at least 1e-12"),
        ({"mean": pm.Normal.dist(1, 0.1)}, r"SignedWeights\(mean\): .*may be negative"),
        ({"mean": pm.StudentT.dist(3, 1, sigma=0.1)}, r"SignedWeights\(mean\)"),
        ({"mean": pm.Uniform.dist(-0.01, 2)}, r"such as pm.LogNormal.dist\(0, 0.5\)"),
        ({"cov": np.ones((3, 2, 2))}, "weight_cov"),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, str) else None,
)
def test_bad_input(keywords, words):
    with pytest.raises(ValueError, match=words):
        build(pg.SignedWeights(**keywords))


@pytest.mark.parametrize(
    "prior",
    [pm.Gamma.dist(2, 1), pm.Uniform.dist(0, 2), pm.TruncatedNormal.dist(1, 1, lower=0)],
    ids=["gamma", "uniform", "truncated"],
)
def test_priors_of_positive_means(prior):
    assert build(pg.SignedWeights(prior))["weight_mean"].type.shape == (2, B)


# --- the conditional -----------------------------------------------------------------------------


def random_point(model, seed=1):
    """A point with random edges, weights and signs."""
    rng = np.random.default_rng(seed)
    point = model.initial_point(0)
    present = np.ones((N, N), dtype=np.int8)
    if "adjacency" in point:
        present = (rng.random((N, N)) < 0.6).astype(np.int8)
        present[:, 0] = 0  # a neuron without edges
        point["adjacency"] = present
    point["weights"] = rng.normal(0, 0.7, (N, N, B)) * present[..., None]
    point["signs"] = rng.choice([-1, 1], N).astype(np.int8)
    return point, present


CASES = {
    "own self-edges": ({}, None),
    "self-edges like others": ({"self_mean": None, "self_cov": None}, None),
    "self-edges with their own mean": ({"self_mean": -1.0, "self_cov": None}, None),
    "dense": ({"self_mean": None, "self_cov": None}, pg.DenseEdges()),
    "by neuron": ({"probability": np.array([0.2, 0.9, 0.5, 0.4])}, None),
}


@pytest.mark.parametrize(("keywords", "edges"), CASES.values(), ids=CASES)
def test_log_odds_by_enumeration(keywords, edges):
    """Of all 16 combinations of signs, each weighted by its prior and the slabs' densities."""
    parts = {"probability": 0.7, "self_mean": SELF_MEAN, "self_cov": SELF_COV} | keywords
    model = build(pg.SignedWeights(MEAN, COV, **parts), edges)
    point, present = random_point(model)
    p = np.broadcast_to(parts["probability"], N)
    self_mean = None if parts["self_mean"] is None else np.broadcast_to(parts["self_mean"], B)
    combinations = np.array(list(itertools.product([1, -1], repeat=N)))
    joint = []
    for signs in combinations:
        means, covs = expected_slab(signs, MEAN, COV, self_mean, parts["self_cov"])
        total = np.log(np.where(signs == 1, p, 1 - p)).sum()
        for post, pre in np.argwhere(present):
            of_pair = stats.multivariate_normal(means[post, pre], covs[post, pre])
            total += of_pair.logpdf(point["weights"][post, pre])
        joint.append(total)
    joint = np.array(joint)
    expected = [
        logsumexp(joint[combinations[:, n] == 1]) - logsumexp(joint[combinations[:, n] == -1])
        for n in range(N)
    ]
    found = SignOdds(model, model["signs"], model.initial_point(0))(point)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_draws_are_of_the_conditional():
    """Each combination's frequency; a right sampler fails in fewer than 1 of 1000 seeds."""
    model = build(pg.SignedWeights(0.2 * MEAN, 1.5, 0.6))
    point, _ = random_point(model)
    with model:
        step = pg.SignGibbs(rng=np.random.default_rng(2))
    excitatory = expit(SignOdds(model, model["signs"], point)(point))
    n_draws, seen, changed = 4000, np.zeros(2**N), 0
    for _ in range(n_draws):
        new, ((stats_of_step),) = step.step(point)
        changed += stats_of_step["signs_changed"] - (new["signs"] != point["signs"]).sum()
        point = new
        seen[(new["signs"] == 1) @ 2 ** np.arange(N)] += 1
    assert changed == 0
    up = np.arange(2**N)[:, None] >> np.arange(N) & 1
    expected = n_draws * np.where(up, excitatory, 1 - excitatory).prod(axis=1)
    assert (expected > 5).all()
    assert stats.chisquare(seen, expected).pvalue > 1e-3


def other_use(kind):
    """A model that uses the signs in a way that SignGibbs does not know."""
    with build(pg.SignedWeights(1.0, 1.0)) as model:
        signs = model["signs"]
        if kind == "potential":
            pm.Potential("balance", -abs(signs.sum()))
        elif kind == "variable":
            pm.Normal("height", signs.astype(float), 1.0)
    return model


@pytest.mark.parametrize(("kind", "name"), [("potential", "balance"), ("variable", "height")])
def test_other_uses_are_refused(kind, name):
    with other_use(kind), pytest.raises(ValueError, match=f"'{name}' depends on 'signs'"):
        pg.SignGibbs()


@pytest.mark.parametrize("kind", ["of post", "of both"])
def test_signs_of_other_neurons_are_refused(kind):
    """The check finds weights that depend on signs of post neurons, which SignOdds would ignore."""
    model = build(pg.GaussianWeights(0.0, 1.0, None, None))
    with pm.Model(coords=model.coords) as other:
        signs = pg.NeuronSign("signs", 0.5, dims="pre")
        mean = signs[:, None] if kind == "of post" else signs[:, None] * signs[None, :]
        pg.SpikeAndSlab(
            "weights", np.ones((N, N), np.int8), mean[..., None] * pt.ones(B), np.eye(B),
            dims=("post", "pre", "basis"),
        )  # fmt: skip
    with other, pytest.raises(ValueError, match="'signs' through the weights of each pre neuron"):
        pg.SignGibbs()


@pytest.mark.parametrize("edges", [None, pg.DenseEdges()], ids=["bernoulli", "dense"])
def test_with_a_self_filter(edges):
    """The diagonal has no edges, and says nothing about signs."""
    self_basis = pg.basis.raised_cosine(3, window=0.1, bin_width=0.005)
    weights = pg.SignedWeights(MEAN, COV, 0.7)
    model = pg.build_glm(COUNTS, BASIS, edges=edges, weights=weights, self_basis=self_basis)
    point = model.initial_point(0)
    present = (1 - np.eye(N)).astype(np.int8)
    if "adjacency" in point:
        point["adjacency"] = present
    point["weights"] = np.random.default_rng(1).normal(size=(N, N, B)) * present[..., None]
    excitatory = stats.multivariate_normal(MEAN[0], COV[0])
    inhibitory = stats.multivariate_normal(-MEAN[1], COV[1])
    expected = np.full(N, np.log(0.7 / 0.3))
    for post, pre in np.argwhere(present):
        w = point["weights"][post, pre]
        expected[pre] += excitatory.logpdf(w) - inhibitory.logpdf(w)
    found = SignOdds(model, model["signs"], model.initial_point(0))(point)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_bad_variables():
    with build(pg.SignedWeights(1.0, 1.0)) as model:
        with pytest.raises(ValueError, match="vars: got 'bias', SignGibbs draws signs"):
            pg.SignGibbs([model["bias"]])
        assert pg.SignGibbs([model["signs"]]).vars == [model.rvs_to_values[model["signs"]]]
        assert pg.SignGibbs.competence(model["bias"]) == Competence.INCOMPATIBLE
        assert pg.SignGibbs.competence(model["signs"]) == Competence.IDEAL
    with pm.Model():
        alone = pg.NeuronSign("alone", 0.5, shape=2)
        assert pg.SignGibbs.competence(alone) == Competence.INCOMPATIBLE


def test_the_step_is_pickled_without_the_data():
    counts = np.tile(COUNTS.values, (2000, 1))
    with build(pg.SignedWeights(1.0, 1.0), counts=counts) as model:
        step = pg.SignGibbs(rng=np.random.default_rng(1))
    text = cloudpickle.dumps(step)
    assert len(text) < counts.size
    point = model.initial_point(0)
    one, two = step.step(point)[0], pickle.loads(text).step(point)[0]
    np.testing.assert_array_equal(one["signs"], two["signs"])
