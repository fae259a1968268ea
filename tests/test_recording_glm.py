"""`recording_glm`: what it chooses for a recording, and that all of it can be replaced."""

import numpy as np
import pytest
import xarray as xr
from pymc.sampling.mcmc import assign_step_methods

import pymc_glm as pg
from helpers.uncompiled import UNCOMPILED


def counts_of(n_neurons=4, width=0.001, n_bins=4000, most=1, seed=0, rate=20.0):
    """Poisson counts with at least one bin that holds `most` spikes."""
    values = np.random.default_rng(seed).poisson(rate * width, (n_bins, n_neurons)).clip(0, 1)
    values[0, 0] = most
    return xr.DataArray(
        values,
        {"time": width * np.arange(n_bins), "neuron": [f"n{i}" for i in range(n_neurons)]},
        ("time", "neuron"),
        attrs={"bin_width": width},
    )


def names(model):
    return {variable.name for variable in model.free_RVs}


def point_of(model):
    return model.initial_point(0)


@pytest.mark.parametrize("width", [0.001, 0.005, 0.010])
def test_couplings_last_20_ms_or_4_bins(width):
    counts = counts_of(width=width)
    basis = pg.basis.coupling_history(counts)
    n_lags = {0.001: 20, 0.005: 4, 0.010: 4}[width]
    assert basis.shape == (n_lags, 3)
    np.testing.assert_allclose(basis["lag"], width * np.arange(1, n_lags + 1))
    window = max(0.02, 4 * width)
    xr.testing.assert_identical(basis, pg.basis.raised_cosine(3, window, width))
    assert np.linalg.matrix_rank(basis) == 3
    model = pg.recording_glm(counts)
    np.testing.assert_array_equal(model["basis_functions"].get_value(), basis)
    long = pg.basis.self_history(counts)
    np.testing.assert_array_equal(model["self_basis_functions"].get_value(), long)
    assert np.isfinite(model.compile_logp(**UNCOMPILED)(point_of(model)))


def test_what_is_recommended_is_what_build_glm_makes_of_it():
    """The log density is that of the model written out."""
    counts = counts_of()
    model = pg.recording_glm(counts)
    written = pg.build_glm(
        counts,
        pg.basis.raised_cosine(3, 0.02, 0.001),
        edges=pg.BernoulliEdges(0.05),
        weights=pg.GaussianWeights(0.0, 1.0),
        observation="bernoulli",
        shared_input=pg.SharedInput(3),
        self_basis=pg.basis.self_history(counts),
    )
    point = point_of(model)
    rng = np.random.default_rng(1)
    point = {
        name: value + (0.1 * rng.normal(size=value.shape) if value.dtype.kind == "f" else 0)
        for name, value in point.items()
    }
    point["adjacency"] = 1 - np.eye(4, dtype=np.int8)
    point["weights"] *= point["adjacency"][:, :, None]
    density = model.compile_logp(**UNCOMPILED)(point)
    assert np.isfinite(density)
    np.testing.assert_allclose(density, written.compile_logp(**UNCOMPILED)(point))
    assert names(model) == {
        "bias", "adjacency", "weights", "self_weights", "self_scale", "loadings", "loading_scale",
        "factors", "factor_timescale", "input_delay",
    }  # fmt: skip


@pytest.mark.parametrize(("most", "expected"), [(1, "bernoulli"), (2, "poisson")])
def test_the_observation_model_follows_the_largest_count(most, expected):
    model = pg.recording_glm(counts_of(most=most))
    assert model.coords["observation"] == (expected,)
    forced = pg.recording_glm(counts_of(most=most), observation="negative_binomial")
    assert forced.coords["observation"] == ("negative_binomial",)


@pytest.mark.filterwarnings("ignore:shared_input. . neurons have 20 spikes or more")
@pytest.mark.parametrize(("n_neurons", "n_factors"), [(1, 0), (2, 1), (3, 2), (5, 3)])
def test_fewer_factors_than_neurons(n_neurons, n_factors):
    model = pg.recording_glm(counts_of(n_neurons))
    if n_factors == 0:
        assert "loadings" not in model.named_vars
    else:
        assert point_of(model)["loadings"].shape == (n_neurons, n_factors)
    assert np.isfinite(model.compile_logp(**UNCOMPILED)(point_of(model)))


def test_everything_can_be_replaced():
    counts = counts_of(width=0.005)
    basis = pg.basis.raised_cosine(2, 0.05, 0.005)
    model = pg.recording_glm(
        counts,
        basis,
        edges=pg.DenseEdges(),
        weights=pg.GaussianWeights(),
        shared_input=None,
        self_basis=None,
        bias_rate=10.0,
    )
    assert names(model) == names(
        pg.build_glm(counts, basis, edges=pg.DenseEdges(), weights=pg.GaussianWeights())
    )
    odds = 0.05 / 0.95  # 10 Hz in bins of 5 ms
    np.testing.assert_allclose(point_of(model)["bias"], np.log(odds))
    one = pg.recording_glm(counts, shared_input=pg.SharedInput(1, timescale=0.05), self_basis=basis)
    assert point_of(one)["loadings"].shape == (4, 1)
    assert point_of(one)["self_weights"].shape == (4, 2)
    assert "factor_timescale" not in names(one)


@pytest.mark.parametrize("weights", [None, pg.BlockWeights()], ids=["one slab", "slabs by block"])
def test_block_labels_are_drawn_beside_a_self_filter(weights):
    """The step compares its density with the model's, and refuses what it does not know.

    It refuses a probability of self-edges that is the table's times zero.
    """
    model = pg.recording_glm(counts_of(), edges=pg.BlockEdges(2), weights=weights)
    p = model["adjacency"].owner.op.dist_params(model["adjacency"].owner)[0].eval()
    assert not np.diagonal(p).any() and (p[~np.eye(4, dtype=bool)] > 0).all()
    step = pg.BlockGibbs(model=model)
    point, _ = step.step(point_of(model))
    assert set(point["block_labels"]) <= {0, 1}


def test_without_a_self_filter_self_edges_have_a_prior():
    model = pg.recording_glm(counts_of(), self_basis=None)
    assert "self_weights" not in model.named_vars
    assert {"self_weight_mean", "self_weight_scale", "self_edge_probability"} <= names(model)
    point = point_of(model)
    point["adjacency"] = np.ones((4, 4), np.int8)
    assert np.isfinite(model.compile_logp(**UNCOMPILED)(point))


@pytest.mark.filterwarnings("ignore:shared_input. . neurons have 20 spikes or more")
def test_sessions():
    """The self basis of the session with most spikes; factors for the smallest session."""
    few, many = counts_of(2, rate=15.0), counts_of(4, rate=40.0, seed=1)
    model = pg.recording_glm({"few": few, "many": many})
    long = pg.basis.self_history(many)
    assert not np.array_equal(long, pg.basis.self_history(few))
    for name, n_neurons in (("few", 2), ("many", 4)):
        found = model[f"{name}::self_basis_functions"].get_value()
        np.testing.assert_array_equal(found, long)
        assert point_of(model)[f"{name}::loadings"].shape == (n_neurons, 1)
    assert {"factor_timescale", "loading_scale", "self_scale"} <= names(model)  # of all sessions
    assert model.coords["observation"] == ("bernoulli",)
    twos = pg.recording_glm([few, counts_of(2, most=2)])
    assert twos.coords["observation"] == ("poisson",)


def test_the_model_is_sampled_by_the_step_methods_of_its_parts():
    with pg.recording_glm(counts_of(width=0.005)) as model:
        _, methods = assign_step_methods(model, None)
    drawn = {method: {value.name for value in values} for method, values in methods.items()}
    assert drawn[pg.EdgeMetropolis] == {"adjacency"}
    assert drawn[pg.WeightHMC] == {"bias", "weights", "self_weights", "loadings"}
    assert drawn[pg.PathHMC] == {"factors", "factor_timescale_log__"}
    assert drawn[pg.NetworkNUTS] == {"self_scale_log__", "loading_scale_log__"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shared_input": "yes"}, r"shared_input: got 'yes', allowed are 'recommended', None and"),
        ({"self_basis": "long"}, r"self_basis: got 'long', allowed are 'recommended', None and"),
        ({"shared_input": pg.SharedInput(4)}, "n_factors: got 4 for 4 neurons"),
        ({"observation": "binary"}, "observation: got 'binary'"),
        ({"counts": np.zeros((5, 2))}, "bin_width"),
        ({"counts": counts_of() - 1}, "counts"),
        ({"self_basis": pg.basis.raised_cosine(2, 0.05, 0.005)}, "self_basis"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        pg.recording_glm(**({"counts": counts_of()} | options))
