"""Several sessions in one model: what they share, who draws what, and how one is taken out."""

import arviz as az
import numpy as np
import pymc as pm
import pytest
import xarray as xr
from pymc.step_methods.compound import CompoundStep, flatten_steps

import pymc_glm as pg
from helpers.uncompiled import QUICK_FIT
from pymc_glm.graph.find import find_network, find_networks
from pymc_glm.models.sessions import session_names

BASIS = pg.basis.raised_cosine(1, window=0.03, bin_width=0.005)
FIXED = {"edges": pg.BernoulliEdges(0.3, 0.6), "weights": pg.GaussianWeights(0.1, 0.5, None, None)}


def counts_of(n_bins, n, seed, **coords):
    values = np.random.default_rng(seed).poisson(0.15, (n_bins, n)).clip(0, 1)
    along = {key: ("time", value) for key, value in coords.items()}
    return xr.DataArray(values, dims=("time", "neuron"), coords=along, attrs={"bin_width": 0.005})


A, B = counts_of(300, 3, 0), counts_of(250, 2, 1)


def test_names_and_dims():
    model = pg.build_glm({"mon": A, "tue": B}, BASIS)
    names = {rv.name for rv in model.free_RVs}
    of_each = {f"{day}::{v}" for day in ("mon", "tue") for v in ("bias", "adjacency", "weights")}
    shared = {"edge_probability", "self_edge_probability", "weight_mean", "weight_scale"}
    assert of_each | shared <= names
    assert not {"bias", "weights", "mon::weight_mean", "tue::edge_probability"} & names
    assert model.named_vars_to_dims["tue::weights"] == ("tue::post", "tue::pre", "basis")
    assert len(model.coords["mon::time"]) == 300
    assert [network.weights.name for network in find_networks(model)] == [
        "mon::weights",
        "tue::weights",
    ]
    with pytest.raises(
        ValueError, match="vars: the model has 2 networks, with the SpikeAndSlab var"
    ):
        find_network(model)


def test_the_density_is_the_product_of_the_sessions():
    pooled = pg.build_glm([A, B], BASIS, **FIXED)
    rng = np.random.default_rng(3)
    point, total = pooled.initial_point(0), 0.0
    for name, counts in (("0", A), ("1", B)):
        alone = pg.build_glm(counts, BASIS, **FIXED)
        values = alone.initial_point(0)
        values["adjacency"] = rng.integers(0, 2, values["adjacency"].shape).astype(np.int8)
        values["weights"] = rng.normal(size=values["weights"].shape)
        values["weights"] *= values["adjacency"][..., None]
        values["bias"] = rng.normal(size=values["bias"].shape)
        point |= {f"{name}::{key}": value for key, value in values.items()}
        total += alone.compile_logp()(values)
    np.testing.assert_allclose(pooled.compile_logp()(point), total, rtol=1e-12)


@pytest.mark.parametrize(
    "parts",
    [
        {"edges": pg.BlockEdges(2), "weights": pg.BlockWeights()},
        {"edges": pg.DistanceEdges(1), "weights": pg.DistanceWeights()},
        {"edges": pg.EigenEdges(1)},
        {"edges": pg.DenseEdges(), "observation": "negative_binomial"},
        {
            "edges": {
                "0": pg.BlockEdges(labels=["x", "y", "x"]),
                "1": pg.BlockEdges(labels={"0": "y", "1": "x"}),
            }
        },
    ],
    ids=["blocks", "distances", "factors", "dispersion", "known labels"],
)
def test_every_prior_is_sampled(parts):
    """Variables with a neuron dim belong to sessions, all others are shared; each has a step."""
    model = pg.build_glm([A, B], BASIS, **parts)
    for rv in model.free_RVs:
        dims = model.named_vars_to_dims.get(rv.name) or ()
        assert any(dim.endswith("::post") for dim in dims) == ("::" in rv.name)
    options = {"chains": 1, "cores": 1, "progressbar": False, "report": False}
    tree = pg.sample(5, 5, model=model, random_seed=1, **options, **QUICK_FIT)
    assert session_names(tree) == ["0", "1"]


def test_steps_of_each_network():
    model = pg.build_glm([A, B], BASIS, **FIXED)
    with model:
        every = pg.WeightHMC(threads=1)
        assert isinstance(every, CompoundStep)
        one = pg.WeightHMC([model["1::weights"]], threads=1)
    drawn = [{v.name for v in step.vars} for step in flatten_steps(every)]
    assert drawn == [{"0::bias", "0::weights"}, {"1::bias", "1::weights"}]
    assert {v.name for v in one.vars} == drawn[1]


def test_agreement_with_nuts():
    """Dense networks under a common prior: the same posterior as by PyMC's NUTS.

    Some 20 means, each beyond 4.5 standard errors in one of 150000 runs.
    """
    weights = pg.GaussianWeights(pm.Normal.dist(0, 0.5), 0.2, None, None)
    covariates = [np.random.default_rng(i).normal(size=(len(c), 1)) for i, c in enumerate((A, B))]
    model = pg.dense_glm([A, B], BASIS, weights=weights, covariates=covariates)
    options = {"chains": 2, "cores": 1, "progressbar": False}
    with model:
        found = pg.sample(1200, 500, random_seed=1, report=False, **options)
        nuts = pm.sample(
            1000, tune=500, random_seed=2, quiet=True, step=pm.NUTS(model.free_RVs), **options
        )
    assert "covariate_mean" in found["posterior"]
    for rv in model.free_RVs:
        one, other = (tree["posterior"].dataset[[rv.name]] for tree in (found, nuts))
        error = np.hypot(*[az.mcse(x, method="mean")[rv.name] for x in (one, other)])
        away = one.mean(("chain", "draw")) - other.mean(("chain", "draw"))
        assert (np.abs(away[rv.name]) < 4.5 * error).all(), rv.name


@pytest.fixture(scope="module")
def tree():
    model = pg.build_glm({"mon": A, "tue": B}, BASIS)
    return pg.sample(
        60, 60, chains=2, cores=2, model=model, random_seed=1, progressbar=False, quiet=True,
        **QUICK_FIT,
    )  # fmt: skip


def test_one_session_is_a_posterior_like_any(tree):
    one = pg.session(tree, "tue")
    alone = pg.build_glm(B, BASIS)
    assert set(one["posterior"].data_vars) >= {rv.name for rv in alone.free_RVs}
    assert not [v for v in one["posterior"].variables if "::" in str(v)]
    assert one["posterior"]["weights"].dims == ("chain", "draw", "post", "pre", "basis")
    np.testing.assert_array_equal(one["posterior"]["bias"], tree["posterior"]["tue::bias"])
    np.testing.assert_array_equal(one["constant_data"]["counts"], B)
    assert len(pg.edge_summary(one)) == 4
    assert pg.predicted_rates(one, random_seed=1).sizes == {"time": 250, "post": 2}
    assert pg.posterior_rates(one, draws=3, random_seed=1).sizes["neuron"] == 2
    pg.plot_network(one)


def test_what_is_no_session(tree):
    with pytest.raises(
        ValueError, match=r"sessions \['mon', 'tue'\]; select one.*session\(tree, 'mon"
    ):
        pg.edge_summary(tree)
    with pytest.raises(
        ValueError, match=r"name: got 'wed', the sessions in the tree are \['mon', 'tue'\]"
    ):
        pg.session(tree, "wed")
    with pytest.raises(ValueError, match="tree: it holds a single session"):
        pg.session(pg.session(tree, "mon"), "mon")


def test_the_report_is_of_each_session(caplog):
    model = pg.build_glm([A, B], BASIS, **FIXED)
    with caplog.at_level("INFO", "pymc_glm"):
        pg.sample(50, 50, chains=2, cores=1, model=model, random_seed=1, progressbar=False)
    texts = [record.getMessage() for record in caplog.records if record.name == "pymc_glm"]
    assert texts.index("Session 0:") < texts.index("Session 1:")
    assert sum("neurons." in text for text in texts) == 2


# --- the same neurons -----------------------------------------------------------------------------


def test_shared_weights_are_sessions_end_to_end():
    first, second = counts_of(120, 3, 2), counts_of(80, 3, 3, trial=np.repeat([0, 1], 40))
    rng = np.random.default_rng(4)
    covariates = [rng.normal(size=(n, 1)) for n in (120, 80)]
    exclude = [[[0.1, 0.12]], None]
    turned = second.assign_coords(neuron=["0", "1", "2"]).sel(neuron=["2", "0", "1"])
    model = pg.build_glm(
        [first, turned], BASIS, share="weights", covariates=covariates, exclude=exclude, **FIXED
    )
    np.testing.assert_array_equal(model["segment_start"].get_value(), [0, 120, 160])
    assert model["data_bins"].get_value().size == 196
    point = model.initial_point(0)
    point["weights"] = rng.normal(size=point["weights"].shape)
    point["adjacency"] = np.ones((3, 3), np.int8)
    found = model.compile_logp(vars=[model["spikes"]])(point)
    total = 0.0
    for counts, columns, gone in zip((first, second), covariates, exclude, strict=True):
        one = pg.build_glm(counts, BASIS, covariates=columns, exclude=gone, **FIXED)
        total += one.compile_logp(vars=[one["spikes"]])(point)
    np.testing.assert_allclose(found, total, rtol=1e-12)


def test_other_neurons_cannot_share_weights():
    with pytest.raises(
        ValueError, match=r"sessions 'a' and 'b' have different neurons \(\['2'\] are"
    ):
        pg.build_glm({"a": A, "b": B}, BASIS, share="weights")


@pytest.mark.parametrize(
    ("counts", "kwargs", "message"),
    [
        ({}, {}, "counts: got no session"),
        ([], {}, "counts: got no session"),
        ({"a::b": A}, {}, r"counts: got the session name 'a::b', allowed is text without"),
        ({1: A}, {}, "counts: got the session name 1"),
        ([A, B], {"share": "all"}, "share: got 'all', allowed are"),
        ([A, B], {"exclude": [None]}, "exclude: got a list of length 1 for 2 sessions"),
        ([A, B], {"bias_rate": {"0": 5.0}}, r"bias_rate: got values for \['0'\], the sessions are"),
        ([A, B], {"covariates": [np.ones((3, 1)), None]}, "session '0': covariates: got 3 bins"),
        ({"a": A, "b": 2 * B}, {}, "session 'b': counts: .* bins hold more than one spike"),
        (
            {"a": A, "b": A.where(A.time != 7, 9).astype(int)},
            {"share": "weights"},
            "session 'b': counts: 3 of 900 bins .*bin 7, 9 spikes",
        ),
        (
            {"a": A, "b": A.assign_attrs(bin_width=0.01)},
            {"share": "weights"},
            "'b' has bins of 0.01 s and 'a' of 0.005 s",
        ),
        (
            [A, A],
            {"share": "weights", "covariates": [np.ones((300, 1)), None]},
            "session '1': covariates: got None",
        ),
        (
            [A, A],
            {"covariates": [np.eye(300, 2), np.eye(300, 1)]},
            r"session '1': covariates: got the labels \['0'\] of covariate, allowed are \['0',",
        ),
        (
            [A, A],
            {"share": "weights", "exclude": [None, np.ones(300, bool)]},
            "session '1': exclude: all 300 bins are excluded, which leaves no data",
        ),
    ],
)
def test_wrong_sessions(counts, kwargs, message):
    with pytest.raises(ValueError, match=message):
        pg.build_glm(counts, BASIS, **kwargs)


@pytest.mark.parametrize("share", ["weights", "hyperparameters"])
def test_covariates_of_sessions_are_read_by_their_labels(share):
    first = xr.DataArray(
        np.random.default_rng(0).normal(size=(300, 2)),
        dims=("time", "covariate"),
        coords={"covariate": ["x", "y"]},
    )
    turned = first.sel(covariate=["y", "x"])
    model = pg.build_glm([A, A], BASIS, covariates=[first, turned], share=share)
    if share == "weights":
        np.testing.assert_array_equal(model["covariates"].get_value(), np.tile(first, (2, 1)))
    else:
        np.testing.assert_array_equal(model["1::covariates"].get_value(), first)
    assert [*model.coords["covariate"]] == ["x", "y"]


def test_a_covariate_may_tell_sessions_apart():
    """A drug that is there in one session: constant in each, not in both together."""
    drug = [np.zeros(300), np.ones(300)]
    model = pg.build_glm([A, A], BASIS, covariates=drug, share="weights")
    np.testing.assert_array_equal(model["covariates"].get_value()[:, 0], np.repeat([0, 1], 300))
    with pytest.raises(ValueError, match=r"session '0': covariates: .* is 0 in every bin"):
        pg.build_glm([A, A], BASIS, covariates=drug)


def test_an_array_as_nested_lists_is_one_session():
    assert "counts" in pg.build_glm(A.values.tolist(), BASIS).named_vars
