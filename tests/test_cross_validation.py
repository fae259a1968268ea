"""Cross-validation by refits, against the same computed by hand."""

import functools

import arviz as az
import numpy as np
import pymc as pm
import pytest
import xarray as xr
from scipy.special import logsumexp

import pymc_glm as pg
from helpers.drawn_tree import drawn_tree
from pymc_glm.sampling import cross_validation

WIDTH = 0.02
BASIS = pg.basis.raised_cosine(1, window=0.1, bin_width=WIDTH)
COUNTS = xr.DataArray(
    np.random.default_rng(0).poisson(0.2, (500, 2)).clip(0, 1),
    dims=("time", "neuron"),
    attrs={"bin_width": WIDTH},
)
BUILD = functools.partial(pg.build_glm, COUNTS, BASIS)


@pytest.fixture(scope="module")
def tree():
    return drawn_tree(BUILD())


@pytest.fixture
def by_prior(monkeypatch):
    """Replace refits by draws from the prior; collect the models and options."""
    seen = []

    def sample(model, random_seed, **options):
        seen.append((model, options))
        return drawn_tree(model, draws=15, seed=len(seen))

    monkeypatch.setattr(cross_validation, "sample", sample)
    return seen


def joint_log_density(model, fit):
    """Joint log density of all neurons in blocks of 2 s, (sample, block), from PyMC."""
    with model:
        full = pm.compute_log_likelihood(fit, progressbar=False, extend_inferencedata=False)
    drawn = full["spikes"].stack(sample=("chain", "draw")).transpose("sample", "time", "post")
    return drawn.values.reshape(len(drawn), 5, 100, 2).sum(axis=(2, 3))


def test_folds_against_a_computation_by_hand(tree, by_prior):
    result = pg.kfold(tree, BUILD, k=2, block_width=2.0, random_seed=3, draws=7, tune=5)
    assert len(by_prior) == 2
    full, expected, left_out = BUILD(), np.full(5, np.nan), np.zeros(500, int)
    for i, (model, options) in enumerate(by_prior):
        assert options["draws"] == 7
        assert options["tune"] == 5
        out = np.setdiff1d(np.arange(500), model["data_bins"].get_value())
        left_out[out] += 1
        blocks = np.unique(out // 100)
        assert len(out) == 100 * len(blocks)
        fit = drawn_tree(model, draws=15, seed=i + 1)
        values = joint_log_density(full, fit)[:, blocks]
        expected[blocks] = logsumexp(values, axis=0) - np.log(len(values))
    assert (left_out == 1).all()
    np.testing.assert_allclose(result.elpd_i, expected, rtol=1e-9)
    assert result.elpd == pytest.approx(expected.sum())
    assert list(result.elpd_i.coords["block_start"].values) == [0, 2, 4, 6, 8]
    whole = joint_log_density(full, tree)
    p = (logsumexp(whole, axis=0) - np.log(len(whole))).sum() - result.elpd
    assert result.p == pytest.approx(p)
    assert "2-fold" in str(result)
    again = pg.kfold(tree, BUILD, k=2, block_width=2.0, random_seed=3)
    table = az.compare({"one": result, "other": again})
    assert list(table["rank"]) == [0, 1]


def test_trials_are_left_out_as_a_whole(by_prior):
    trial = np.repeat([0, 1, 2], [200, 120, 180])
    build = functools.partial(pg.build_glm, COUNTS.assign_coords(trial=("time", trial)), BASIS)
    result = pg.kfold(drawn_tree(build()), build, k=3, unit="trial", random_seed=1)
    sizes = sorted(500 - model["data_bins"].get_value().size for model, _ in by_prior)
    assert sizes == [120, 180, 200]
    assert result.elpd_i.dims == ("trial",)


def test_excluded_bins_stay_excluded(by_prior):
    gone = np.arange(500) < 130

    def build(exclude):
        return pg.build_glm(COUNTS, BASIS, exclude=gone | exclude)

    tree = drawn_tree(build(np.zeros(500, bool)))
    pg.kfold(tree, build, k=4, block_width=2.0, random_seed=1)
    assert all(model["data_bins"].get_value().min() >= 130 for model, _ in by_prior)
    with pytest.raises(ValueError, match=r"build: \d+ of 370 bins .*combined with the"):
        pg.kfold(tree, BUILD, k=2, block_width=2.0, random_seed=1)


def test_the_future_is_left_out(tree, by_prior):
    result = pg.leave_future_out(
        tree, BUILD, 6.0, block_width=2.0, method="exact", random_seed=1, chains=2
    )
    assert [model["data_bins"].get_value().size for model, _ in by_prior] == [300, 400]
    full = BUILD()
    for i, (model, _) in enumerate(by_prior):
        values = joint_log_density(full, drawn_tree(model, draws=15, seed=i + 1))[:, 3 + i]
        assert float(result.elpd_i[i]) == pytest.approx(logsumexp(values) - np.log(len(values)))
    assert result.elpd_i["block_start"].values.tolist() == [6.0, 8.0]
    approximate = pg.leave_future_out(tree, BUILD, 2.0, block_width=2.0, random_seed=1)
    assert approximate.elpd_i.sizes == {"block": 4}


@pytest.mark.filterwarnings("ignore::UserWarning")  # few draws
def test_real_refits():
    """True coupling improves the score of blocks left out; the same seed, the same score."""
    weights = np.zeros((2, 2, 1))
    weights[1, 0, 0] = 2.5
    network = pg.NetworkParameters(np.array([-2.0, -3.0]), weights, BASIS)
    counts = pg.simulate(network, 4000, random_seed=5)
    options = {"draws": 100, "tune": 100, "chains": 2, "cores": 1}
    scores = {}
    slab = pg.GaussianWeights(0.0, 1.0, None, None)  # no hyperparameters, so no density to compile
    for name, edge_probability in (("coupled", 0.5), ("apart", 0.0)):
        edges = pg.BernoulliEdges(edge_probability, edge_probability)
        build = functools.partial(pg.build_glm, counts, BASIS, edges=edges, weights=slab)
        tree = pg.sample(model=build(), random_seed=1, quiet=True, progressbar=False, **options)
        scores[name] = pg.kfold(tree, build, k=2, random_seed=2, **options)
    table = az.compare(scores)
    assert table.index[0] == "coupled"
    assert table.loc["apart", "elpd_diff"] < -4 * table.loc["apart", "dse"]
    again = pg.kfold(tree, build, k=2, random_seed=2, **options)
    assert again.elpd == scores["apart"].elpd


def test_arguments_out_of_range_are_refused(tree):
    for options, message in (
        ({"k": 1}, r"k: got 1, allowed are whole numbers from 2 to 5 \(the number of blocks"),
        ({"k": 6}, "k: got 6"),
        ({"unit": "bin"}, "unit: got 'bin', allowed are 'block' and 'trial'"),
        ({"unit": "trial"}, "without trials"),
    ):
        with pytest.raises(ValueError, match=message):
            pg.kfold(tree, BUILD, **({"block_width": 2.0} | options))
    with pytest.raises(ValueError, match=r"sample_kwargs: got random_seed; .* a separate argument"):
        pg.BlockRefits(tree, BUILD, block_width=2.0, sample_kwargs={"random_seed": 1})
    with pytest.raises(TypeError, match="build: got Model; give a function of exclude="):
        pg.kfold(tree, BUILD())
    with pytest.raises(ValueError, match=r"build: .* it returned no model"):
        pg.kfold(tree, lambda exclude: None, block_width=2.0)
    with pytest.raises(ValueError, match=r"build: .* a model of all bins; pass exclude= on"):
        pg.BlockRefits(tree, lambda exclude: BUILD(), block_width=2.0).sample(np.arange(500) < 100)
    for start in (0.0, 9.0):
        with pytest.raises(ValueError, match=r"start: got \d s, but blocks begin from 0 to 8 s"):
            pg.leave_future_out(tree, BUILD, start, block_width=2.0)
    with pytest.raises(ValueError, match="method: got 'psis', allowed are 'approx' and 'exact'"):
        pg.leave_future_out(tree, BUILD, 4.0, block_width=2.0, method="psis")
    for horizon in (0, 4, 1.0):
        with pytest.raises(ValueError, match=r"horizon: got .*, allowed are .* from 1 to 3"):
            pg.leave_future_out(tree, BUILD, 4.0, block_width=2.0, horizon=horizon)
    with pytest.raises(ValueError, match=r"there is one block.*lower block_width"):
        pg.kfold(tree, BUILD, block_width=10.0)
