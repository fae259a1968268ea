"""Log likelihoods against PyMC, for every observation model and kind of data."""

import tracemalloc

import numpy as np
import pymc as pm
import pytest
import xarray as xr

import pymc_glm as pg
from helpers.drawn_tree import by_pymc, drawn_tree
from helpers.softplus_observation import softplus_observation
from pymc_glm.criticism.one_step import observed_data, observed_data_like
from pymc_glm.observations import Observation

BASIS = pg.basis.raised_cosine(2, window=0.1, bin_width=0.02)
OBSERVATIONS = {
    "bernoulli": pg.Bernoulli(),
    "binomial": pg.Binomial(4),
    "negative binomial": pg.NegativeBinomial(),
    "negative binomial, known": pg.NegativeBinomial([0.5, 2.0, 20.0]),
    "poisson": pg.Poisson(),
    "gaussian": pg.Gaussian(),
    "gaussian, known": pg.Gaussian(0.3),
}


@pytest.fixture
def custom():
    """A custom observation model, defined while a test runs."""
    with softplus_observation() as observation:
        yield observation()


def counts_of(observation=None, n_bins=120, n=3, seed=0, **along):
    rng = np.random.default_rng(seed)
    values = rng.poisson(0.2, (n_bins, n)).clip(0, getattr(observation, "most", 1))
    if isinstance(observation, pg.Gaussian):
        values = rng.normal(size=(n_bins, n))
    elif observation is not None and observation.most > 1:
        values = rng.poisson(0.8, (n_bins, n)).clip(0, observation.most).astype(int)
    values[n_bins // 2 : n_bins // 2 + 20] = 0  # silence
    return xr.DataArray(
        values,
        dims=("time", "neuron"),
        coords={
            "time": np.arange(n_bins) * 0.02,
            "neuron": list("abc")[:n],
            **{name: ("time", value) for name, value in along.items()},
        },
        attrs={"bin_width": 0.02},
    )


def same(tree, model, **options):
    ours = pg.log_likelihood(tree, options.pop("model", model), **options)
    theirs = by_pymc(tree, model)
    assert ours.dims == theirs.dims
    np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10)
    for name in ours.dims:
        assert (ours[name].values == theirs[name].values).all(), name
    return ours


@pytest.mark.parametrize("observation", OBSERVATIONS.values(), ids=OBSERVATIONS)
@pytest.mark.parametrize("edges", [pg.BernoulliEdges(0.5, 0.9), pg.BernoulliEdges(0.1, 0.5)])
def test_log_likelihood_against_pymc(observation, edges):
    """With many and with few edges, as weights are then stored in different ways."""
    model = pg.build_glm(counts_of(observation), BASIS, observation=observation, edges=edges)
    same(drawn_tree(model), model)


def test_a_custom_observation_model_is_normalised(custom):
    model = pg.build_glm(counts_of(custom), BASIS, observation=custom)
    same(drawn_tree(model), model)


def test_constants_leave_the_model_in_context_alone(custom):
    with pm.Model(coords={"post": ["x"]}) as model:
        inside = type(custom).log_constant(np.arange(3.0), 1.0)
    assert not model.named_vars
    np.testing.assert_array_equal(inside, type(custom).log_constant(np.arange(3.0), 1.0))


def everything(**options):
    """Covariates, trials and excluded bins."""
    rng = np.random.default_rng(2)
    trial = np.repeat([0, 1, 2], [50, 30, 40])
    counts = counts_of(trial=trial)
    covariates = xr.DataArray(rng.normal(size=(120, 2)), dims=("time", "covariate"),
                              coords={"covariate": ["x", "y"]})  # fmt: skip
    out = np.array([[0.3, 0.5], [1.58, 1.65]])
    return counts, covariates, out


def test_covariates_trials_and_excluded_bins():
    counts, covariates, out = everything()
    model = pg.build_glm(counts, BASIS, covariates=covariates, exclude=out)
    found = same(drawn_tree(model), model)
    assert "observed_time" in found.dims


def test_one_of_several_sessions():
    sessions = {"mon": counts_of(n=3), "tue": counts_of(n_bins=90, n=2, seed=5)}
    model = pg.build_glm(sessions, BASIS)
    tree = drawn_tree(model)
    with model:
        full = pm.compute_log_likelihood(tree, progressbar=False, extend_inferencedata=False)
    full = full if "tue::spikes" in full else full["log_likelihood"]
    ours = pg.log_likelihood(pg.session(tree, "tue"))
    np.testing.assert_allclose(ours, full["tue::spikes"], rtol=1e-10, atol=1e-10)
    with pytest.raises(ValueError, match="it has the sessions"):
        pg.log_likelihood(tree)
    with pytest.raises(ValueError, match=r"sessions \['mon', 'tue'\], but the tree only one"):
        pg.log_likelihood(pg.session(tree, "tue"), model)


@pytest.mark.parametrize(
    "observation", [pg.NegativeBinomial(), pg.Gaussian(), pg.Binomial(4), pg.Poisson()]
)
def test_constants_against_pymc(observation):
    """The default of custom observation models, from PyMC's density, against the formulas."""
    counts = np.arange(4.0) if observation.whole else np.array([0.0])
    parameter = 4.0 if isinstance(observation, pg.Binomial) else np.array([0.3, 1.0, 8.0])
    if isinstance(observation, pg.Poisson):
        parameter = 1.0
    formula = type(observation).log_constant(counts, parameter)
    general = Observation.log_constant.__func__(type(observation), counts, parameter)
    np.testing.assert_allclose(np.broadcast_to(formula, general.shape), general, rtol=1e-12,
                               atol=1e-12)  # fmt: skip


def test_sums():
    counts, covariates, out = everything()
    model = pg.build_glm(counts, BASIS, covariates=covariates, exclude=out)
    tree = drawn_tree(model)
    each = pg.log_likelihood(tree)
    kept = np.ones(120, bool)
    kept[tree["constant_data"]["data_bins"]] = False
    bins = np.flatnonzero(~kept)
    np.testing.assert_allclose(
        pg.log_likelihood(tree, sum_over="neuron"), each.sum("observed_time"), rtol=1e-12
    )
    trials = pg.log_likelihood(tree, sum_over="trial")
    which = counts["trial"].values[bins]
    for k in range(3):
        np.testing.assert_allclose(
            trials.sel(trial=k), each.isel(observed_time=which == k).sum("observed_time")
        )
    np.testing.assert_allclose(trials["trial_start"], [0.0, 1.0, 1.6 + 0.02 * (out[1, 0] < 1.6)],
                               atol=0.1)  # fmt: skip
    blocks = pg.log_likelihood(tree, sum_over="block", block_width=0.4)  # 20 bins; of 50, 30, 40
    first = np.array([0, 20, 40, 50, 70, 80, 100])
    label = np.searchsorted(first, bins, side="right") - 1
    assert blocks.sizes["block"] == 7
    for k in range(7):
        np.testing.assert_allclose(
            blocks.sel(block=k), each.isel(observed_time=label == k).sum("observed_time")
        )


def test_windows_float32_and_threads():
    model = pg.build_glm(counts_of(), BASIS)
    tree = drawn_tree(model)
    each = pg.log_likelihood(tree, threads=1)
    assert np.array_equal(each, pg.log_likelihood(tree, threads=3))
    part = pg.log_likelihood(tree, start=0.5, stop=1.0)
    assert np.array_equal(part, each.isel(time=slice(25, 50)))
    blocks = pg.log_likelihood(tree, sum_over="block", block_width=0.2, start=0.5, stop=1.0)
    np.testing.assert_allclose(blocks["block_start"], [0.5, 0.7, 0.9])
    for k, (low, high) in enumerate(((25, 35), (35, 45), (45, 50))):
        np.testing.assert_allclose(blocks[:, :, k], each[:, :, low:high].sum("time"))
    single = pg.log_likelihood(tree, dtype="float32")
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, each, rtol=1e-6)


def test_held_out_counts():
    """Like those of a model of the held-out counts with the same draws, in any order of neurons."""
    counts, covariates, _ = everything()
    model = pg.build_glm(counts, BASIS, covariates=covariates)
    tree = drawn_tree(model)
    held_out = counts_of(n_bins=80, seed=9, trial=np.repeat([4, 5], 40))
    other = covariates.isel(time=slice(0, 80)) * 2 + 1
    later = pg.build_glm(held_out, BASIS, covariates=other)
    moved = xr.DataTree.from_dict(
        {"posterior": tree["posterior"].dataset.drop_vars("time", errors="ignore"),
         "constant_data": drawn_tree(later, 1, 1)["constant_data"].dataset}
    )  # fmt: skip
    ours = pg.log_likelihood(tree, model, held_out[:, [2, 0, 1]], covariates=other[:, [1, 0]])
    np.testing.assert_allclose(ours, pg.log_likelihood(moved), rtol=1e-12)
    np.testing.assert_allclose(ours, by_pymc(moved, later), rtol=1e-10, atol=1e-10)
    assert ours["post"].values.tolist() == ["a", "b", "c"]
    trials = pg.log_likelihood(tree, None, held_out, covariates=other, sum_over="trial")
    np.testing.assert_allclose(trials.sum("trial"), ours.sum("time"))
    again = observed_data_like(tree, counts, covariates)
    for name, value in observed_data(tree)._asdict().items():
        assert np.array_equal(getattr(again, name), value), name


def test_sums_need_little_memory():
    """Far less than the 96 MB of draws x bins x neurons numbers."""
    model = pg.build_glm(counts_of(n_bins=20_000), BASIS)
    tree = drawn_tree(model, 100)
    pg.log_likelihood(tree, sum_over="neuron", stop=0.1)  # compiled
    tracemalloc.start()
    pg.log_likelihood(tree, sum_over="neuron")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8e6


@pytest.fixture(scope="module")
def fitted():
    model = pg.build_glm(counts_of(), BASIS)
    return model, drawn_tree(model)


def of(**changes):
    changed = counts_of()
    for name, value in changes.items():
        changed = getattr(changed, name)(value)
    return changed


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (counts_of(n=2), r"of the neurons of the model \['c'\] are missing"),
        (of(assign_coords={"neuron": list("abd")}), r"\['d'\] are not in it"),
        (of(assign_attrs={"bin_width": 0.01}), "bins are 0.01 s wide, those of the model 0.02 s"),
        (counts_of() * 3, "hold more than one spike"),
        (np.zeros((5, 4), int), "are missing"),
    ],
)
def test_counts_that_do_not_fit_the_model_are_refused(fitted, counts, message):
    with pytest.raises(ValueError, match=message):
        pg.log_likelihood(fitted[1], None, counts)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            lambda: pg.build_glm(counts_of(seed=1), BASIS),
            r"in its counts \(\d for neuron '.' in bin \d+; ",
        ),
        (
            lambda: pg.build_glm(counts_of(n_bins=60), BASIS),
            r"in its number of bins \(60; the tree has 120",
        ),
        (lambda: pg.build_glm(counts_of(n=2), BASIS), r"in its neurons \(2 neurons \['a', 'b'\]"),
        (
            lambda: pg.build_glm(counts_of(), BASIS, observation="poisson"),
            "in its observation model",
        ),
        (
            lambda: pg.build_glm(counts_of(), BASIS, edges=pg.DenseEdges()),
            r"in its variables \(it lacks \[.*'edge_probability'.*\] of the tree",
        ),
        (
            lambda: pg.build_glm(counts_of(), BASIS, edges=pg.BlockEdges(2)),
            r"in its variables \(the tree lacks its \[.*'block_labels'",
        ),
        (lambda: pg.build_glm(counts_of(), 2 * BASIS.isel(basis=[0])), "in its basis_functions"),
        (lambda: pg.build_glm(counts_of(), BASIS, exclude=[[0, 1]]), "in its data_bins"),
        (lambda: pm.Model(), "no data container 'counts'.*build_glm"),
    ],
)
def test_another_model_is_refused(fitted, other, message):
    with pytest.raises(ValueError, match=message):
        pg.log_likelihood(fitted[1], other())


def test_arguments_out_of_range_are_refused(fitted):
    model, tree = fitted
    with pytest.raises(TypeError, match=r"model: got DataArray.*other counts are given by counts="):
        pg.log_likelihood(tree, counts_of())
    with pytest.raises(ValueError, match="sum_over: got 'bins', allowed are None and"):
        pg.log_likelihood(tree, sum_over="bins")
    with pytest.raises(ValueError, match="unit: got 'trial', but the data are one segment"):
        pg.log_likelihood(tree, sum_over="trial")
    with pytest.raises(ValueError, match=r"got 0.001 s, allowed is at least one bin of 0.02 s"):
        pg.log_likelihood(tree, sum_over="block", block_width=0.001)
    with pytest.raises(ValueError, match="dtype: got int64"):
        pg.log_likelihood(tree, dtype=int)
    with pytest.raises(ValueError, match="covariates: they belong to counts="):
        pg.log_likelihood(tree, covariates=np.zeros(120))
    with pytest.raises(ValueError, match="covariates: the model has none"):
        pg.log_likelihood(tree, None, counts_of(), covariates=np.zeros(120))
    counts, covariates, _ = everything()
    with_them = drawn_tree(pg.build_glm(counts, BASIS, covariates=covariates), 2)
    with pytest.raises(ValueError, match=r"the model has \['x', 'y'\]; give them along with"):
        pg.log_likelihood(with_them, None, counts)
    renamed = covariates.assign_coords(covariate=["x", "z"])
    with pytest.raises(ValueError, match=r"got \['x', 'z'\], those of the model are \['x', 'y'\]"):
        pg.log_likelihood(with_them, None, counts, covariates=renamed)
    with pytest.raises(TypeError, match="tree: got Model"):
        pg.log_likelihood(model)
