"""Every combination of edge and weight priors can be built, drawn from and sampled."""

import numpy as np
import pymc as pm
import pytest
from pymc.sampling.mcmc import assign_step_methods

import pymc_glm as pg
from helpers import joint
from helpers.uncompiled import INTERPRETED, QUICK_FIT, UNCOMPILED

N, T, B = 5, 60, 2
BASIS = pg.basis.raised_cosine(B, window=0.05, bin_width=0.005)
COUNTS = np.random.default_rng(8).poisson(0.2, (T, N)).clip(0, 1)

TABLE, CORRELATIONS = ("block_post", "block_pre"), ("basis_pair",)
COMMON = {
    "bias": ("post",),
    "weights": ("post", "pre", "basis"),
    "self_weight_mean": ("basis",),
    "self_weight_scale": ("basis",),
    "self_weight_corr": CORRELATIONS,
    "self_weight_corr_raw": CORRELATIONS,
}
SLAB = {
    "weight_scale": ("basis",),
    "weight_corr": CORRELATIONS,
    "weight_corr_raw": CORRELATIONS,
}
LABELS = {"block_labels": ("post",)}
POSITIONS = {"latent_positions": ("post", "latent_dim")}
EDGES = {
    "dense": {},
    "bernoulli": {"edge_probability": ()},
    "block": LABELS | {"edge_probability": TABLE},
    "distance": POSITIONS | {"edge_intercept": (), "edge_length_scale": ()},
    "eigen": {
        "latent_factors": ("post", "latent_factor"),
        "eigenvalues": ("latent_factor",),
        "edge_intercept": (),
    },
    "feature": {"edge_coefficients": ("edge_feature",), "edge_intercept": ()},
}
WEIGHTS = {
    "gaussian": SLAB | {"weight_mean": ("basis",)},
    "block": LABELS
    | {name: (*TABLE, *dims) for name, dims in SLAB.items()}
    | {"weight_mean": (*TABLE, "basis")},
    "distance": SLAB
    | POSITIONS
    | {"weight_intercept": ("basis",), "weight_length_scale": ("basis",)},
    "feature": SLAB
    | {"weight_intercept": ("basis",), "weight_coefficients": ("weight_feature", "basis")},
    "signed": {name: ("sign", *dims) for name, dims in SLAB.items()}
    | {name: ("sign", "basis") for name in ("weight_mean", "weight_relative_scale")}
    | {"signs": ("pre",), "excitatory_probability": ()},
}


def expected_dims(edges, weights):
    """Names and dims of all variables of a model with default priors."""
    found = COMMON | EDGES[edges] | WEIGHTS[weights]
    if edges != "dense":
        found |= {"adjacency": ("post", "pre"), "self_edge_probability": ()}
    return found


def default_parts(edges, weights):
    """The parts of a combination as a user would write them."""
    features = joint.features(N)
    edge_kinds = {
        "dense": pg.DenseEdges,
        "bernoulli": pg.BernoulliEdges,
        "block": lambda: pg.BlockEdges(3),
        "distance": pg.DistanceEdges,
        "eigen": pg.EigenEdges,
        "feature": lambda: pg.FeatureEdges(features),
    }
    weight_kinds = {
        "gaussian": pg.GaussianWeights,
        "block": lambda: pg.BlockWeights(None if edges == "block" else 3),
        "distance": pg.DistanceWeights,
        "feature": lambda: pg.FeatureWeights(features),
        "signed": pg.SignedWeights,
    }
    return edge_kinds[edges](), weight_kinds[weights]()


def build(edges, weights):
    return pg.build_glm(COUNTS, BASIS, edges=edges, weights=weights)


def draw_prior(model):
    with model:
        return pm.sample_prior_predictive(20, random_seed=1, compile_kwargs=UNCOMPILED)


def assert_network(group, n_blocks):
    """Check what holds for every draw of a network, prior or posterior."""
    for name, values in group.data_vars.items():
        assert np.isfinite(values).all(), name
    if "adjacency" in group:
        absent = group["adjacency"].values == 0
        assert ((group["weights"].values == 0) == absent[..., None]).all()
    for name in {"block_labels", "weight_block_labels"} & set(group.data_vars):
        assert group[name].dtype == np.int64
        assert ((group[name] >= 0) & (group[name] < n_blocks)).all()
    if "signs" in group:
        assert group["signs"].dtype == np.int8
        assert (abs(group["signs"]) == 1).all()
    for name in group.data_vars:
        if name.endswith("edge_probability"):
            assert ((group[name] > 0) & (group[name] < 1)).all(), name
        elif name.endswith("scale"):
            assert (group[name] > 0).all(), name


@pytest.mark.parametrize(("edges", "weights"), joint.COMBINATIONS)
def test_prior(edges, weights):
    model = build(*default_parts(edges, weights))
    start = model.initial_point(0)
    log_density = model.compile_logp(mode=INTERPRETED)
    assert np.isfinite(log_density(start))
    tree = draw_prior(model)
    dims = expected_dims(edges, weights)
    assert {name: v.dims[2:] for name, v in tree["prior"].data_vars.items()} == dims
    assert_network(tree["prior"], n_blocks=3)
    assert tree["prior_predictive"]["spikes"].isin([0, 1]).all()
    for name in {"edge_features", "weight_features"} & set(tree["constant_data"].data_vars):
        matrices = tree["constant_data"][name]
        assert matrices.dims == ("post", "pre", name.removesuffix("s"))
        assert matrices[name.removesuffix("s")].values.tolist() == ["distance", "upstream"]


@pytest.mark.parametrize(
    ("edges", "weights", "dims", "sizes"),
    [
        (
            pg.BlockEdges(3),
            pg.BlockWeights(2, share_labels=False),
            {
                "weight_block_labels": ("post",),
                "weight_mean": ("weight_block_post", "weight_block_pre", "basis"),
                "edge_probability": TABLE,
            },
            {"block_post": 3, "block_pre": 3, "weight_block_post": 2, "weight_block_pre": 2},
        ),
        (
            pg.DistanceEdges(3),
            pg.DistanceWeights(1, share_positions=False),
            {"weight_latent_positions": ("post", "weight_latent_dim")} | POSITIONS,
            {"latent_dim": 3, "weight_latent_dim": 1},
        ),
    ],
    ids=["block", "distance"],
)
def test_structure_that_is_not_shared(edges, weights, dims, sizes):
    """Edges and weights have separate labels or positions, of different sizes."""
    model = build(edges, weights)
    prior = draw_prior(model)["prior"].to_dataset()
    assert {name: prior[name].dims[2:] for name in dims} == dims
    assert {dim: prior.sizes[dim] for dim in sizes} == sizes
    (name,) = {"weight_block_labels", "weight_latent_positions"} & dims.keys()
    shared = name.removeprefix("weight_")
    assert not np.array_equal(prior[name], prior[shared])
    children = {v.name for v in model.free_RVs if model[name] in pm.pytensorf.rvs_in_graph([v])}
    assert "weights" in children
    assert "adjacency" not in children


@pytest.mark.parametrize(
    ("edges", "weights", "name"),
    [
        (pg.BlockEdges(labels=["a", "b", "a", "b", "b"]), pg.BlockWeights(), "block_labels"),
        (pg.DenseEdges(), pg.BlockWeights(labels=[1, 1, 0, 0, 1]), "block_labels"),
        (pg.DistanceEdges(positions=np.eye(5, 2)), pg.DistanceWeights(), "latent_positions"),
    ],
    ids=["labels", "labels of weights", "positions"],
)
def test_known_structure_is_constant_and_shared(edges, weights, name):
    tree = draw_prior(build(edges, weights))
    assert name in tree["constant_data"]
    assert not {name, f"weight_{name}"} & set(tree["prior"].data_vars)
    assert_network(tree["prior"], n_blocks=2)


def steps_of(model):
    """Names of the step methods and of the variables that they draw."""
    with model:
        _, methods = assign_step_methods(model, None)
    return {
        method.__name__: {model.values_to_rvs[value].name for value in values}
        for method, values in methods.items()
    }


def expected_steps(model):
    names = {rv.name for rv in model.free_RVs}
    network = names & {"bias", "adjacency", "weights"}
    labels = names & {"block_labels", "weight_block_labels"}
    steps = {"EdgeMetropolis": network & {"adjacency"}, "WeightHMC": network - {"adjacency"}}
    steps["BlockGibbs"] = labels
    steps["SignGibbs"] = names & {"signs"}
    steps["NetworkNUTS"] = names - network - labels - {"signs"}
    return {name: variables for name, variables in steps.items() if variables}


@pytest.mark.filterwarnings("ignore:invalid value encountered in scalar divide:RuntimeWarning")
@pytest.mark.parametrize(
    ("edges", "weights"),
    [
        pytest.param(*names, marks=[] if names in joint.COVERING else pytest.mark.slow)
        for names in joint.COMBINATIONS
    ],
)
def test_plain_sample(edges, weights):
    """``pm.sample()`` assigns the package's step methods only; a few draws are finite."""
    n_basis = joint.n_basis_of(edges, weights)
    model = joint.make_model(T, n_basis, *joint.parts(edges, weights))
    assert steps_of(model) == expected_steps(model)
    with model:
        tree = pm.sample(
            draws=25,
            tune=25,
            chains=2,
            cores=1,
            random_seed=2,
            progressbar=False,
            quiet=True,
            **QUICK_FIT,
        )
    assert set(tree["posterior"].data_vars) >= {rv.name for rv in model.free_RVs}
    assert_network(tree["posterior"], n_blocks=3)
    for name, values in tree["posterior"].data_vars.items():
        if not name.endswith("labels"):  # all four neurons may well stay in one block
            assert (values != values.isel(draw=0)).any(), f"{name} does not move"
