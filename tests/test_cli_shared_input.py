"""The command line with shared input and self filters, its default."""

import functools

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from typer.testing import CliRunner

import pymc_glm as pg
from helpers.shared_tree import shared_network, shared_tree
from helpers.uncompiled import QUICK_FIT
from pymc_glm.cli import app, demo, networks
from pymc_glm.cli.structure import factor_lines

WIDTH = 0.005
FAST = ["--chains=2", "--draws=30", "--tune=30", "--cores=1", "--seed=1"]


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def write_recording(path, n_bins=2800):
    """Four neurons that fire together: their rate changes with a hidden path."""
    rng = np.random.default_rng(1)
    hidden = np.repeat(rng.normal(size=n_bins // 20), 20)
    counts = rng.random((n_bins, 4)) < 1 / (1 + np.exp(2.5 - hidden[:, None]))
    bins, neurons = np.nonzero(counts)
    labels = ["a", "b", "c", "d"]
    np.savez(path, times=(bins + 0.5) * WIDTH, neurons=neurons, labels=labels, stop=n_bins * WIDTH)
    return path


@pytest.fixture
def recording(tmp_path):
    return write_recording(tmp_path / "cells.npz")


@pytest.fixture
def model_of(monkeypatch, tmp_path):
    """Make a command stop at sampling; return the model that it has built."""
    models = []

    def stop(*, model, **_):
        models.append(model)
        raise KeyboardInterrupt

    monkeypatch.setattr(pg, "sample", stop)

    def until_sampling(*arguments):
        result = run(*arguments, "--output", tmp_path / "out")
        assert result.exit_code == 130, result.output
        return models[-1]

    return until_sampling


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A fit with the defaults, and the last ten seconds held out."""
    folder = tmp_path_factory.mktemp("shared")
    path = write_recording(folder / "cells.npz")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pg, "sample", functools.partial(pg.sample, **QUICK_FIT))
        result = run("fit", path, "--output", folder / "out", *FAST, "--hold-out=10")
    assert result.exit_code == 0, result.output
    return result, folder / "out"


def counts_of(path):
    return pg.bin_spikes(pg.read_spikes(path), WIDTH)


def learned(model):
    return {variable.name for variable in model.free_RVs}


def test_the_default_is_the_model_for_recordings(recording, model_of):
    model = model_of("fit", recording)
    expected = pg.recording_glm(counts_of(recording))
    assert learned(model) == learned(expected) >= {"loadings", "factors", "self_weights"}
    assert "edge_probability" not in learned(model)
    for name in ("counts", "basis_functions", "self_basis_functions", "grid_width"):
        np.testing.assert_array_equal(model[name].get_value(), expected[name].get_value())
    recipes = [list(one.coords["recipe_line"]) for one in (model, expected)]
    assert recipes[0] == recipes[1]


@pytest.mark.parametrize(
    ("options", "n_lags"), [((), 4), (("--bin-width=0.001",), 20), (("--window=0.05",), 10)]
)
def test_the_window_of_the_couplings(recording, model_of, options, n_lags):
    model = model_of("fit", recording, *options)
    assert model["basis_functions"].get_value().shape == (n_lags, 3)


def test_priors_are_passed_on(recording, model_of):
    """A prior that is asked for replaces the recommended one of edges or weights, and only it."""
    model = model_of("fit", recording, "--edges=block", "--n-blocks=2")
    assert {"block_labels", "edge_probability", "loadings"} <= learned(model)
    assert not any(name.startswith("weight_") for name in learned(model))
    model = model_of("fit", recording, "--weights=signed")
    assert {"signs", "weight_mean", "loadings", "self_weights"} <= learned(model)
    assert "edge_probability" not in learned(model)
    model = model_of("fit", recording, "--edges=dense", "--basis=identity")
    assert "adjacency" not in model.named_vars and "loadings" in model.named_vars
    np.testing.assert_array_equal(model["basis_functions"].get_value(), np.eye(4))


def test_without_shared_input(recording, model_of):
    model = model_of("fit", recording, "--no-shared-input")
    basis = pg.basis.raised_cosine(3, 0.1, WIDTH)
    assert learned(model) == learned(pg.build_glm(counts_of(recording), basis))
    np.testing.assert_array_equal(model["basis_functions"].get_value(), basis)
    assert "edge_probability" in learned(model)


def test_the_demo_has_shared_input_for_recordings_alone(recording, model_of, monkeypatch):
    assert "loadings" in model_of("demo", "--recording", recording).named_vars
    short = networks.four_neurons(short=True)._replace(n_bins=500)
    monkeypatch.setattr(demo, "four_neurons", lambda short_: short)
    assert "loadings" not in model_of("demo").named_vars


def test_several_spikes_in_many_bins_are_refused_as_without(tmp_path):
    times = np.sort(np.concatenate([np.arange(0.01, 1, 0.02), np.arange(0.011, 1, 0.02)]))
    path = tmp_path / "doubles.npz"
    np.savez(path, times=times, neurons=np.zeros(times.size, int), stop=1.0)
    result = run("fit", path, "--output", tmp_path / "out")
    assert result.exit_code == 2 and "--max-merged" in result.stderr


def test_what_is_written(fitted):
    result, output = fitted
    tree, model = pg.load(output / "posterior.nc")
    assert {"posterior", "shared_path", "held_out"} <= set(tree.children)
    assert learned(model) >= {"loadings", "factors"}
    names = pd.read_csv(output / "summary.csv")["variable"]
    expected = {f"{name}[{k}]" for name in ("factor_timescale", "loading_scale") for k in (0, 1)}
    assert expected | {"self_scale", "bias[a]"} <= set(names)
    assert not any(name.startswith(("factors", "loadings", "self_weights")) for name in names)
    edges = pd.read_csv(output / "edges.csv")
    assert len(edges) == 4 * 3  # no self-edges
    picture = (output / "shared_input.png").read_bytes()
    assert picture.startswith(b"\x89PNG") and "shared_input.png" in result.stdout
    report = " ".join((output / "report.txt").read_text(encoding="utf-8").split())
    for line in factor_lines(tree):
        assert " ".join(line.split()) in report
    assert report in " ".join(result.stdout.split())


def test_the_part_held_out_has_a_second_of_history(fitted):
    tree = xr.load_datatree(fitted[1] / "posterior.nc", engine="h5netcdf")
    assert tree["constant_data"].sizes["time"] == 800
    counts = tree["held_out"]["counts"]
    assert counts.sizes["time"] == 2000 + 200
    assert tree["held_out"].attrs["start"] == pytest.approx(4.0)
    np.testing.assert_allclose(counts["time"][0], 3.0)


def test_a_part_held_out_must_be_longer_than_the_self_filters(recording, tmp_path):
    """They last 0.1 s or longer, couplings 20 ms."""
    window = pg.basis.self_history(counts_of(recording).isel(time=slice(0, 2790))).attrs["window"]
    assert window > 0.05
    result = run("fit", recording, "--output", tmp_path / "out", "--hold-out=0.05")
    assert result.exit_code == 2
    assert f"must both be longer than the window of {window:g} s" in " ".join(result.stderr.split())


def test_factors_in_the_report():
    """Sizes are roots of mean squares over neurons, whatever the sign and the order of a draw."""
    loadings = np.zeros((21, 2, 2))
    loadings[:, :, 0] = [0.3, 0.4]
    loadings[:, 0, 1] = 0.01
    loadings[::2, :, 0] *= -1
    network = shared_network(loadings[0], timescale=(0.02, 0.2), smoothness=(0.5, 0.5))
    counts = pg.simulate(network, 200, random_seed=1)
    tree = shared_tree(network, counts, loadings=loadings)
    first, second = factor_lines(tree)
    size, small = np.sqrt((0.3**2 + 0.4**2) / 2), 0.01 / np.sqrt(2)
    assert first == f"Shared input, factor 0: timescale 20 ms, loadings of size {size:.3g}."
    assert second == (
        f"Shared input, factor 1: timescale 200 ms, loadings of size {small:.3g}; superfluous, "
        "since it changes log-odds by next to nothing."
    )
    posterior = tree["posterior"].to_dataset()
    timescale = np.stack([np.linspace(0.01, 0.03, 21), np.full(21, 0.2)], axis=1)
    swapped = np.where(np.arange(21)[:, None] % 3 == 0, [[1, 0]], [[0, 1]])
    loadings = np.take_along_axis(loadings, swapped[:, None], axis=2)
    timescale = np.take_along_axis(timescale, swapped, axis=1)
    tree["posterior"] = xr.DataTree(
        posterior.assign(
            loadings=(posterior["loadings"].dims, loadings[None]),
            factor_timescale=(posterior["factor_timescale"].dims, timescale[None]),
        )
    )
    assert sorted(line.split(":")[1] for line in factor_lines(tree)) == sorted(
        [
            f" timescale 20 (90% 11 to 29) ms, loadings of size {size:.3g}.",
            second.split(":")[1],
        ]
    )
    delay = (("chain", "draw", "post"), np.tile([3, -4], (1, 21, 1)))
    tree["posterior"] = xr.DataTree(posterior.assign(input_delay=delay))
    width = 1e3 * float(tree["constant_data"]["bin_width"])
    assert factor_lines(tree)[-1] == (
        f"Shared input reaches the neurons from {3.5 * width:.3g} ms before (n1) to "
        f"{3.5 * width:.3g} ms after (n0) the median one, by the mean of the draws."
    )
    tree["posterior"] = xr.DataTree(posterior.drop_vars("loadings"))
    assert factor_lines(tree) == []


def test_fits_with_shared_input_are_compared_by_held_out_counts(fitted, tmp_path):
    """Two copies of a fit, in one of which the loadings are three times as large."""
    tree = xr.load_datatree(fitted[1] / "posterior.nc", engine="h5netcdf")
    for name, factor in (("fitted", 1.0), ("large", 3.0)):
        posterior = tree["posterior"].to_dataset()
        tree["posterior"] = xr.DataTree(posterior.assign(loadings=factor * posterior["loadings"]))
        (tmp_path / name).mkdir()
        tree.to_netcdf(tmp_path / name / "posterior.nc", engine="h5netcdf")
    folders = [tmp_path / name for name in ("fitted", "large")]
    result = run("compare", *folders, "--output", tmp_path / "both", "--draws=5")
    assert result.exit_code == 0, result.output
    assert "elpd (held out)" in result.stdout and "LOO" not in result.stdout
    table = pd.read_csv(tmp_path / "both" / "comparison.csv", index_col="model")
    scored = xr.load_datatree(tmp_path / "fitted" / "posterior.nc", engine="h5netcdf")
    score = pg.heldout_score(
        scored, None, scored["held_out"]["counts"].assign_attrs(bin_width=WIDTH), start=4.0
    )
    assert table.loc["fitted", "heldout_elpd"] == pytest.approx(score.elpd)
    assert f"{score.elpd:.1f}" in result.stdout
    without = {name: group for name, group in scored.children.items() if name != "held_out"}
    xr.DataTree.from_dict(without).to_netcdf(
        tmp_path / "fitted" / "posterior.nc", mode="w", engine="h5netcdf"
    )
    result = run("compare", folders[0], folders[0] / ".." / "large", "--output", tmp_path / "none")
    assert result.exit_code == 2 and "held out different counts" in result.stderr
    (tmp_path / "large" / "posterior.nc").write_bytes(
        (tmp_path / "fitted" / "posterior.nc").read_bytes()
    )
    result = run("compare", *folders, "--output", tmp_path / "none")
    assert result.exit_code == 2
    assert "no leave-one-out score" in " ".join(result.stderr.split())
    assert "--hold-out" in result.stderr
