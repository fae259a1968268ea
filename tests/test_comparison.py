"""Comparison of several models of the same data: the table, its plot and the command."""

import functools

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.special import expit, logsumexp
from scipy.stats import bernoulli
from typer.testing import CliRunner

import pymc_glm as pg
from helpers.drawn_tree import drawn_tree
from helpers.uncompiled import QUICK_FIT
from pymc_glm.cli import app
from pymc_glm.criticism.scores.heldout import _score, bits_between

WIDTH = 0.02
BASIS = pg.basis.raised_cosine(1, window=0.1, bin_width=WIDTH)
pytestmark = [
    pytest.mark.filterwarnings("ignore:compare_models. LOO is unreliable"),
    pytest.mark.filterwarnings("ignore:loo. .*Pareto k"),
]
MODELS = ("coupled", "uncoupled")


@pytest.fixture(scope="module")
def counts():
    weights = np.zeros((2, 2, 1))
    weights[1, 0, 0] = 2.5
    network = pg.NetworkParameters(np.array([-2.0, -3.0]), weights, BASIS)
    return pg.simulate(network, 5000, random_seed=5)


@pytest.fixture(scope="module")
def trees(counts):
    """Draws around the truth, with and without the coupling."""
    train, made = counts.isel(time=slice(0, 4000)), {}
    rng = np.random.default_rng(1)
    for name, weight, bias in (("coupled", 2.5, -3.0), ("uncoupled", 0.0, -2.6)):
        tree = drawn_tree(pg.build_glm(train, BASIS), draws=50)
        posterior = tree["posterior"]
        posterior["weights"][:] = 0.0
        posterior["adjacency"][:] = 0
        if weight:
            posterior["weights"][..., 1, 0, 0] = weight + rng.normal(0, 0.05, (2, 50))
            posterior["adjacency"][..., 1, 0] = 1
        posterior["bias"][:] = np.array([-2.0, bias]) + rng.normal(0, 0.03, (2, 50, 2))
        made[name] = tree
    return made


@pytest.fixture(scope="module")
def table(trees, counts):
    return pg.compare_models(trees, counts, start=80.0, random_seed=1)


def test_columns_equal_the_results_of_the_functions(table, trees, counts):
    assert list(table.index) == list(MODELS)
    for name in MODELS:
        row, loo = table.loc[name], pg.loo(trees[name])
        assert row["elpd"] == pytest.approx(loo.elpd)
        assert row["n_high_k"] == (loo.pareto_k > loo.good_k).sum()
        score = pg.heldout_score(trees[name], None, counts, start=80.0)
        assert row["bits_per_spike"] == score.bits_per_spike
        assert row["bits_per_spike_se"] == score.bits_per_spike_se
        tested = pg.time_rescaling(trees[name], random_seed=1)
        passed = tested["ks_mean"] < tested["bound"].sel(probability=0.95)
        assert row["ks_passes"] == passed.sum()
        assert row["ks_tested"] == 2
    assert table.loc["coupled", "weight"] > 0.8
    assert table.loc["coupled", ["bits_per_spike_diff", "bits_per_spike_dse"]].tolist() == [0, 0]
    assert table["bits_per_spike"].is_monotonic_decreasing
    assert table["ks_passes"].tolist() == [2, 1]


def heldout_blocks(tree, counts, first):
    """Log densities of all neurons in blocks of 5 s, computed bin by bin, draw by draw."""
    posterior = tree["posterior"].dataset.stack(sample=("chain", "draw")).transpose("sample", ...)
    values, functions = counts.values, BASIS.values[:, 0]
    past = [values[max(t - 5, 0) : t][::-1] for t in range(len(values))]
    history = np.array([functions[: len(one)] @ one for one in past])  # (time, pre)
    found = []
    for begin in range(first, len(values), 250):
        of_block = 0.0
        for post in range(2):
            by_draw = []
            for bias, weights in zip(posterior["bias"], posterior["weights"], strict=True):
                psi = float(bias[post]) + history[begin : begin + 250] @ weights.values[post, :, 0]
                spikes = values[begin : begin + 250, post]
                by_draw.append(bernoulli.logpmf(spikes, expit(psi)).sum())
            of_block += logsumexp(by_draw) - np.log(len(by_draw))
        found.append(of_block)
    return np.array(found)


def test_differences_of_held_out_scores_against_scipy(table, trees, counts):
    assert len(BASIS) == 5
    blocks = {name: heldout_blocks(trees[name], counts, 4000) for name in MODELS}
    gain = np.subtract(blocks["uncoupled"], blocks["coupled"]) / np.log(2)
    spikes = counts.values[4000:].reshape(4, 250, 2).sum(axis=(1, 2))
    row = table.loc["uncoupled"]
    assert row["bits_per_spike_diff"] == pytest.approx(gain.sum() / spikes.sum(), rel=1e-9)
    away = [gain[i] - gain.sum() / spikes.sum() * spikes[i] for i in range(4)]
    error = (4 / 3 * sum(one**2 for one in away)) ** 0.5 / spikes.sum()  # Cochran 1977, eq. 6.13
    assert row["bits_per_spike_dse"] == pytest.approx(error, rel=1e-9)
    difference = table.loc["uncoupled", "bits_per_spike"] - table.loc["coupled", "bits_per_spike"]
    assert row["bits_per_spike_diff"] == pytest.approx(difference)


def test_the_errors_of_differences_are_paired():
    """Differences vary over replications as their errors say, and less than single scores."""
    rng = np.random.default_rng(4)
    n, n_blocks = 200, 40
    empty = xr.Dataset(coords={"post": ["a", "b"]})
    found, alone = [], []
    for _ in range(n):
        spikes = rng.poisson(20, (n_blocks, 2)).astype(float)
        shared = -50 + 0.4 * spikes + rng.normal(0, 3, (n_blocks, 1))  # shared by both models
        scores = []
        for better in (0.3, 0.0):
            elpd = shared + better + rng.normal(0, 0.5, spikes.shape)
            arrays = {"elpd": (("block", "post"), elpd), "n_spikes": (("block", "post"), spikes)}
            scores.append(_score(empty.assign(arrays), elpd, np.full(elpd.shape, -52.0), spikes))
        found.append(bits_between(scores[1], scores[0]))
        alone.append(scores[0].bits_per_spike_se)
    values, errors = np.array(found).T
    # relative error of a variance from n values, and bias of the delta method
    assert np.mean(errors**2) / values.var() == pytest.approx(1, abs=4 * np.sqrt(2 / n) + 0.02)
    expected = -0.3 / 20 / np.log(2)
    assert values.mean() == pytest.approx(expected, abs=4 * values.std() / np.sqrt(n))
    assert np.mean(alone) > 2 * np.mean(errors)


def test_scores_of_traces_have_no_spikes():
    values = np.random.default_rng(2).normal(size=(800, 2))
    traces = xr.DataArray(values, dims=("time", "neuron"), attrs={"bin_width": WIDTH})
    models = {}
    for name, edges in (("one", pg.BernoulliEdges()), ("other", pg.DenseEdges())):
        model = pg.build_glm(
            traces.isel(time=slice(0, 200)), BASIS, edges=edges, observation=pg.Gaussian()
        )
        models[name] = drawn_tree(model, draws=50)
    table = pg.compare_models(models, traces, start=4.0, random_seed=1)
    assert table.filter(like="bits_per_spike").isna().all(axis=None)
    assert [ax.get_xlabel() for ax in pg.plot_comparison(table)] == [
        "elpd (LOO) below the best (nats)",
        "stacking weight",
    ]
    plt.close("all")


def test_without_held_out_counts(trees):
    table = pg.compare_models(trees, unit="block", block_width=2.0, random_seed=1)
    assert "bits_per_spike" not in table
    assert table["elpd"].is_monotonic_decreasing


def test_models_of_different_data_are_refused(trees, counts):
    other = drawn_tree(pg.build_glm(counts.isel(time=slice(0, 3000)), BASIS), draws=50)
    with pytest.raises(ValueError, match=r"'x' and 'coupled' have different counts \(3000 and 40"):
        pg.compare_models({"coupled": trees["coupled"], "x": other})
    some = counts.isel(time=slice(0, 4000))
    part = drawn_tree(pg.build_glm(some, BASIS, exclude=np.arange(4000) < 9), draws=50)
    with pytest.raises(ValueError, match="have different excluded bins"):
        pg.compare_models({"coupled": trees["coupled"], "x": part})
    with pytest.raises(
        ValueError, match="trees: got 1 model; give a dict from names to two or more"
    ):
        pg.compare_models({"coupled": trees["coupled"]})


def test_too_few_draws_are_named(trees):
    few = trees["uncoupled"].copy()
    few["posterior"] = few["posterior"].to_dataset().isel(draw=slice(0, 9))
    with pytest.raises(ValueError, match=r"trees: 'few' has 18 draws .* at least 25; draw several"):
        pg.compare_models({"coupled": trees["coupled"], "few": few})


def test_models_with_and_without_covariates(trees, counts):
    stimulus = np.sin(np.arange(5000) / 50)
    train = counts.isel(time=slice(0, 4000))
    driven = drawn_tree(pg.build_glm(train, BASIS, covariates=stimulus[:4000]), draws=50)
    models = {"driven": driven, "coupled": trees["coupled"]}
    table = pg.compare_models(models, counts, covariates=stimulus, start=80.0, random_seed=1)
    score = pg.heldout_score(driven, None, counts, covariates=stimulus, start=80.0)
    assert table.loc["driven", "bits_per_spike"] == score.bits_per_spike
    score = pg.heldout_score(trees["coupled"], None, counts, start=80.0)
    assert table.loc["coupled", "bits_per_spike"] == score.bits_per_spike
    with pytest.raises(ValueError, match="covariates: none of the models has any; leave them out"):
        pg.compare_models(trees, counts, covariates=stimulus, start=80.0)


def test_models_of_different_covariates(trees, counts):
    time = np.arange(5000) / 50
    every = xr.DataArray(
        np.stack([np.cos(time), np.sin(time)], axis=1),
        dims=("time", "covariate"),
        coords={"covariate": ["speed", "light"]},
    )
    train, models = counts.isel(time=slice(0, 4000)), {"coupled": trees["coupled"]}
    by_model = {"both": every, "one": every.sel(covariate=["light"])}
    for name, columns in by_model.items():
        fitted = columns.isel(time=slice(0, 4000))
        models[name] = drawn_tree(pg.build_glm(train, BASIS, covariates=fitted), draws=50)
    scores = {
        name: pg.heldout_score(models[name], None, counts, covariates=columns, start=80.0)
        for name, columns in by_model.items()
    }
    turned = every.sel(covariate=["light", "speed"])
    for given in (turned, by_model, {"one": by_model["one"], "both": turned}):
        table = pg.compare_models(models, counts, covariates=given, start=80.0, random_seed=1)
        for name, score in scores.items():
            assert table.loc[name, "bits_per_spike"] == score.bits_per_spike

    def refused(given, message, held_out=counts):
        with pytest.raises(ValueError, match=message):
            pg.compare_models(models, held_out, covariates=given, start=80.0)

    refused(None, r"covariates: model 'both' has \['speed', 'light'\]; give them along with")
    refused(by_model["one"], r"got \['light'\], but model 'both' also has \['speed'\]")
    refused({"both": every}, r"of \['both'\], .* \['both', 'one'\] \(in only one .*: \['one'\]\)")
    refused(by_model | {"coupled": every}, r"in only one of the two lists: \['coupled'\]")
    refused(every, "covariates: they belong to counts=", held_out=None)
    third = every.isel(covariate=[0]).assign_coords(covariate=["place"])
    refused(xr.concat([every, third], "covariate"), r"no model has \['place'\]; leave them out")
    refused(every.isel(covariate=[0, 1, 1]), "labels must be unique")
    with pytest.raises(ValueError, match=r"the window 80 to 200 s, .* 0 to 100 s of the counts"):
        pg.heldout_score(models["coupled"], None, counts, start=80.0, stop=200.0)


def test_unlabelled_covariates_are_not_split(trees, counts):
    time = np.arange(5000) / 50
    values = np.stack([np.cos(time), np.sin(time)], axis=1)
    train, models = counts.isel(time=slice(0, 4000)), {}
    by_model = {"both": values, "second": values[:, 1:]}
    for name, columns in by_model.items():
        models[name] = drawn_tree(pg.build_glm(train, BASIS, covariates=columns[:4000]), draws=50)
    with pytest.raises(ValueError, match="got 2 without labels, but model 'second' has 1"):
        pg.compare_models(models, counts, covariates=values, start=80.0)
    table = pg.compare_models(models, counts, covariates=by_model, start=80.0, random_seed=1)
    second = by_model["second"]
    score = pg.heldout_score(models["second"], None, counts, covariates=second, start=80.0)
    assert table.loc["second", "bits_per_spike"] == score.bits_per_spike


# --- the plot ------------------------------------------------------------------------------------


def test_one_panel_for_each_criterion(table):
    axes = pg.plot_comparison(table)
    axes[0].figure.canvas.draw()
    labels = [ax.get_xlabel() for ax in axes]
    assert labels == [
        "elpd (LOO) below the best (nats)",
        "stacking weight",
        "held-out bits per spike below the best",
        "neurons that pass time rescaling (%)",
    ]
    names = [text.get_text() for text in axes[0].get_yticklabels()]
    assert names == list(MODELS)
    drawn = [{line.get_label(): line for line in ax.lines}["score"].get_xdata() for ax in axes]
    np.testing.assert_allclose(drawn[0], table["elpd"] - table["elpd"].max())
    np.testing.assert_allclose(drawn[1], table["weight"])
    np.testing.assert_allclose(drawn[2], table["bits_per_spike"] - table["bits_per_spike"].max())
    np.testing.assert_allclose(drawn[3], [100, 50])
    ends = np.array([path.vertices[:, 0] for path in axes[2].collections[0].get_paths()])
    error = table["bits_per_spike_dse"].to_numpy()
    assert error[1] > 0
    np.testing.assert_allclose(np.diff(ends)[:, 0], 2 * error)
    best = table.loc["coupled"]
    title = f"best model: {best['bits_per_spike']:.3g} ± {best['bits_per_spike_se']:.2g}"
    assert axes[2].get_title(loc="left").startswith(title)
    assert axes[1].get_xlim() == pytest.approx((-0.05, 1.05))
    assert axes[3].get_xlim() == pytest.approx((-5, 105))
    assert axes[3].get_title(loc="left") == "of 2 neurons"
    low, high = axes[1].get_ylim()
    assert low > 1 > 0 > high  # the best on top
    plt.close(axes[0].figure)


def test_models_with_high_k_are_marked(table):
    axes = pg.plot_comparison(table.assign(n_high_k=[0, 3])[["elpd", "dse", "n_high_k"]])
    assert len(axes) == 1
    lines = {line.get_label(): line for line in axes[0].lines}
    assert lines["high Pareto k"].get_ydata().tolist() == [1]
    assert "Pareto k too high" in axes[0].get_title(loc="left")
    _, two = plt.subplots(1, 2)
    with pytest.raises(ValueError, match="got 2 axes, but 4 panels"):
        pg.plot_comparison(table, ax=two)
    with pytest.raises(TypeError, match="table: got dict"):
        pg.plot_comparison({})
    plt.close("all")


# --- the command ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fits(tmp_path_factory, counts):
    """Two fits of one recording by the command line, with the last 20 s held out."""
    folder = tmp_path_factory.mktemp("fits")
    time, neuron = np.nonzero(counts.values)
    table = pd.DataFrame({"time": (time + 0.5) * WIDTH, "neuron": neuron})
    table.to_csv(folder / "spikes.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pg, "sample", functools.partial(pg.sample, **QUICK_FIT))
        for name in MODELS:
            edges = "bernoulli" if name == "coupled" else "uncoupled"
            run(
                "fit", folder / "spikes.csv", "--bin-width", WIDTH, "--edges", edges, "--output",
                folder / name, "--hold-out", 20, "--draws", 60, "--tune", 60, "--chains", 2,
                "--cores", 1, "--seed", 1, "--no-pictures", "--quiet", "--n-basis", 1,
                "--no-shared-input",
            )  # fmt: skip
    return folder


def run(*arguments, code=0):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def test_the_command_compares_fits(fits, counts):
    out = fits / "both"
    said = run("compare", fits / "uncoupled", fits / "coupled", "--output", out)
    assert "comparison.csv, comparison.png" in said
    assert said.index("coupled ") < said.index("uncoupled ")
    assert "of 2" in said
    assert "bits/spike" in said
    table = pd.read_csv(out / "comparison.csv", index_col="model")
    assert list(table.index) == list(MODELS)
    assert table.loc["coupled", "bits_per_spike"] > table.loc["uncoupled", "bits_per_spike"]
    below, error = table.loc["uncoupled", ["bits_per_spike_diff", "bits_per_spike_dse"]]
    assert f"{-below:.4f} ± {error:.4f}" in said
    assert "0.0000" not in said  # the best has no difference from itself
    tree = xr.open_datatree(fits / "coupled" / "posterior.nc", engine="h5netcdf")
    assert "start" not in tree.attrs
    assert tree["observed_data"].sizes["time"] == tree["constant_data"].sizes["time"]
    n = tree["constant_data"].sizes["time"]
    held_out = tree["held_out"]["counts"]
    assert held_out.sizes["time"] == 1000 + 50  # and a second of history before
    whole = np.concatenate([tree["constant_data"]["counts"], held_out[50:]])
    np.testing.assert_array_equal(whole, counts.values[: n + 1000])
    score = pg.heldout_score(
        tree, None, held_out.assign_attrs(bin_width=WIDTH), start=tree["held_out"].attrs["start"]
    )
    assert table.loc["coupled", "bits_per_spike"] == pytest.approx(score.bits_per_spike)
    assert "holds the results of an earlier run (comparison.csv" in run(
        "compare", fits / "uncoupled", fits / "coupled", "--output", out, code=2
    )


FIVE = {
    "independent": pg.BernoulliEdges(),
    "block": pg.BlockEdges(2),
    "distance": pg.DistanceEdges(1),
    "dense": pg.DenseEdges(),
    "uncoupled": pg.BernoulliEdges(0.0),
}


def test_the_command_compares_five_priors(tmp_path):
    weights = np.zeros((4, 4, 1))
    weights[1, 0, 0] = weights[3, 2, 0] = 2.5
    network = pg.NetworkParameters(np.array([-2.0, -3.0, -2.0, -3.0]), weights, BASIS)
    counts = pg.simulate(network, 1500, random_seed=5)
    held_out = xr.Dataset({"counts": counts.isel(time=slice(995, None))}, attrs={"start": 20.0})
    for name, edges in FIVE.items():
        tree = drawn_tree(pg.build_glm(counts.isel(time=slice(0, 1000)), BASIS, edges=edges), 50)
        tree["held_out"] = held_out
        (tmp_path / name).mkdir()
        tree.to_netcdf(tmp_path / name / "posterior.nc", engine="h5netcdf")
    said = run("compare", *(tmp_path / name for name in FIVE), "--output", tmp_path / "all")
    table = pd.read_csv(tmp_path / "all" / "comparison.csv", index_col="model")
    assert set(table.index) == set(FIVE)
    assert table["elpd"].is_monotonic_decreasing
    assert table["weight"].sum() == pytest.approx(1.0)
    assert (table["ks_tested"] == 4).all()
    rows = [said.index(f"{name} -") for name in table.index]  # log densities are below 0
    assert rows == sorted(rows)
    for name, row in table.iterrows():
        tree = xr.open_datatree(tmp_path / name / "posterior.nc", engine="h5netcdf")
        assert row["elpd"] == pytest.approx(pg.loo(tree).elpd)
        score = pg.heldout_score(tree, None, counts, start=20.0)
        assert row["bits_per_spike"] == pytest.approx(score.bits_per_spike)
    size = plt.imread(tmp_path / "all" / "comparison.png").shape
    assert size[1] > 2 * size[0]  # four panels next to each other


def test_the_uncoupled_model_has_no_couplings(fits):
    tree = xr.open_datatree(fits / "uncoupled" / "posterior.nc", engine="h5netcdf")
    present = tree["posterior"]["adjacency"].any(("chain", "draw")).values
    assert not present[~np.eye(2, dtype=bool)].any()


def test_what_cannot_be_compared_is_refused(fits):
    out = ("--output", fits / "none")
    assert "give two or more" in run("compare", fits / "coupled", *out, code=2)
    said = run("compare", fits / "coupled", fits, *out, code=2)
    assert "there is no" in said
    assert "posterior.nc" in said
    assert not (fits / "none").exists()
    said = run("fit", fits / "spikes.csv", *out, "--hold-out", 0.05, code=2)
    assert "--hold-out: got 0.05 of" in said
