"""The command line: what it writes, what it says, and that no file is half or lost."""

import functools
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import arviz as az
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from typer.testing import CliRunner

import pymc_glm as pg
from helpers.uncompiled import QUICK_FIT
from pymc_glm import plots
from pymc_glm.cli import app, demo, fit, networks, results
from pymc_glm.cli.output import OutputFolder
from pymc_glm.cli.report import edges_with_truth, fit_report, truth_report
from pymc_glm.cli.results import result_files
from pymc_glm.cli.run import Posterior, Recording
from pymc_glm.cli.session import Session
from pymc_glm.cli.settings import FitSettings, PriorSettings, SampleSettings
from pymc_glm.cli.structure import block_table, find_structure, position_table, structure_lines
from pymc_glm.criticism import convergence

BIN_WIDTH = 0.005
RESULTS = result_files(PriorSettings(shared_input=False))
# What there is when one of the writers fails.
STAGES = {
    "write_posterior": [],
    "write_summary": ["posterior.nc"],
    "write_report": ["posterior.nc"],
    "write_pictures": ["posterior.nc", "summary.csv", "edges.csv", "report.txt"],
}
FAST = ["--chains=2", "--draws=30", "--tune=30", "--cores=1", "--seed=1", "--window=0.05"]
FAST += ["--no-shared-input"]  # with it: test_cli_shared_input.py


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def said(result):
    """What went to stderr, on one line."""
    return " ".join(result.stderr.split())


def write_npz(path, counts, **arrays):
    """A recording with a spike in the middle of each bin that has one."""
    bins, neurons = np.nonzero(counts)
    arrays = {"stop": len(counts) * BIN_WIDTH} | arrays
    np.savez(path, times=(bins + 0.5) * BIN_WIDTH, neurons=neurons, **arrays)
    return path


def write_recording(path):
    counts = np.random.default_rng(1).random((400, 3)) < [0.1, 0.05, 0.08]
    return write_npz(path, counts, labels=["a", "b", "c"])


@pytest.fixture
def ctrl_c_heard():
    """Ctrl-C as at a terminal: a job that a shell put into the background inherits it ignored."""
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, inherited)


@pytest.fixture
def recording(tmp_path):
    return write_recording(tmp_path / "cells.npz")


@pytest.fixture
def no_sampling(monkeypatch):
    def fail(*args, **kwargs):
        raise AssertionError("sampling was reached")

    monkeypatch.setattr(pg, "sample", fail)


def visible_and_hidden(folder):
    return sorted(path.name for path in folder.iterdir())


def fitted(recording, *options):
    output = recording.parent / "out"
    return run("fit", recording, "--output", output, *FAST, *options), output


@pytest.fixture
def call(monkeypatch):
    """Make a fit stop at sampling; return the arguments of it."""
    calls = []

    def stop(**arguments):
        calls.append(arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(pg, "sample", stop)

    def fit_until_sampling(recording, *options):
        result, _ = fitted(recording, *options)
        assert result.exit_code == 130, result.output
        return calls[-1], said(result)

    return fit_until_sampling


@pytest.fixture(scope="module", autouse=True)
def hurried():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pg, "sample", functools.partial(pg.sample, **QUICK_FIT))
        yield


@pytest.fixture(scope="module")
def first_run(tmp_path_factory):
    """A fit in which nothing but its speed is changed; the others take its draws."""
    recording = write_recording(tmp_path_factory.mktemp("first") / "cells.npz")
    result, output = fitted(recording)
    assert result.exit_code == 0, result.output
    return result, recording, output


@pytest.fixture
def drawn(first_run, monkeypatch):
    """Make sampling return at once what the first run drew."""
    tree = xr.load_datatree(first_run[2] / "posterior.nc", engine="h5netcdf")
    monkeypatch.setattr(
        pg, "sample", lambda *, draws, **_: tree.isel(draw=slice(draws), missing_dims="ignore")
    )


# what is written


def test_fit_writes_everything_and_it_reads_back(first_run):
    _, recording, output = first_run
    assert visible_and_hidden(output) == sorted(RESULTS)
    assert visible_and_hidden(recording.parent) == ["cells.npz", "out"]

    edges = pd.read_csv(output / "edges.csv", dtype={"pre": str, "post": str})
    assert set(zip(edges["pre"], edges["post"], strict=True)) == {
        (pre, post) for pre in "abc" for post in "abc"
    }
    with xr.open_datatree(output / "posterior.nc", engine="h5netcdf") as tree:
        assert dict(tree["posterior"]["weights"].sizes) == {
            "chain": 2, "draw": 30, "post": 3, "pre": 3, "basis": 3,
        }  # fmt: skip
        assert tree["posterior"]["adjacency"].dtype == np.int8
        np.testing.assert_array_equal(
            tree["observed_data"]["spikes"].sum("time"), counts_of(recording)
        )
        pd.testing.assert_frame_equal(pg.edge_summary(tree), edges, check_dtype=False)
    again = az.from_netcdf(output / "posterior.nc", engine="h5netcdf")
    assert {"posterior", "sample_stats", "observed_data", "constant_data"} <= set(again.children)
    again.close()
    tree, model = pg.load(output / "posterior.nc")
    assert {rv.name for rv in model.free_RVs} <= set(tree["posterior"].data_vars)

    summary = pd.read_csv(output / "summary.csv", index_col="variable")
    assert {"bias[a]", "bias[b]", "bias[c]", "edge_probability"} <= set(summary.index)
    assert not any(name.startswith(("weights[", "adjacency")) for name in summary.index)
    for name in RESULTS:
        if name.endswith(".png"):
            picture = (output / name).read_bytes()
            assert picture.startswith(b"\x89PNG") and len(picture) > 5000, name


def counts_of(recording):
    return np.bincount(np.load(recording)["neurons"], minlength=3)


def test_the_report_is_printed_and_written(first_run):
    result, _, output = first_run
    report = (output / "report.txt").read_text(encoding="utf-8")
    assert report.rstrip() in result.stdout
    for words in ("3 neurons", "400 bins of 5 ms", "inclusion probability", "Convergence",
                  "2 chains of 30 draws"):  # fmt: skip
        assert words in report
    assert "posterior.nc" in result.stdout


def test_progress_is_said_on_stderr(first_run):
    for step in ("Reading", "bins of 5 ms", "Building", "Sampling", "Summarising", "Drawing"):
        assert step in first_run[0].stderr


@pytest.mark.usefixtures("drawn")
def test_quiet_says_nothing(recording):
    result, output = fitted(recording, "--no-pictures", "--quiet")
    assert result.exit_code == 0
    assert result.output == ""
    assert not list(output.glob("*.png"))


def test_options_of_sampling_reach_it(recording, call):
    arguments, _ = call(recording, "--threads=2", "--seed=7", "--engine=jax")
    del arguments["model"], arguments["callback"]
    assert arguments == {
        "draws": 30, "tune": 30, "chains": 2, "cores": 1, "threads": 2, "random_seed": 7,
        "engine": "jax", "progressbar": True, "report": False,
    }  # fmt: skip


def test_dense_model(recording, call):
    arguments, _ = call(recording, "--edges=dense", "--basis=bspline")
    assert "adjacency" not in arguments["model"].named_vars
    assert len(arguments["model"].coords["basis"]) == 4


LEARNED = {
    "dense": set(),
    "bernoulli": {"adjacency", "edge_probability"},
    "block": {"adjacency", "edge_probability", "block_labels"},
    "distance": {"adjacency", "edge_intercept", "edge_length_scale", "latent_positions"},
    "eigen": {"adjacency", "edge_intercept", "latent_factors", "eigenvalues"},
}
LEARNED_WEIGHTS = {
    "gaussian": {"weight_mean"},
    "block": {"weight_mean", "block_labels"},
    "distance": {"weight_intercept", "weight_length_scale", "latent_positions"},
}


@pytest.mark.parametrize("weights", LEARNED_WEIGHTS)
@pytest.mark.parametrize("edges", LEARNED)
def test_priors(recording, call, edges, weights):
    options = [f"--edges={edges}", f"--weights={weights}"]
    if "block" in (edges, weights):
        options.append("--n-blocks=2")
    if {"distance", "eigen"} & {edges, weights}:
        options.append("--n-dims=1")
    arguments, _ = call(recording, *options)
    model = arguments["model"]
    learned = {variable.name for variable in model.free_RVs} - {"bias", "weights"}
    learned = {
        name
        for name in learned
        if not name.startswith("self_") and not name.endswith(("weight_scale", "corr_raw"))
    }
    assert learned == LEARNED[edges] | LEARNED_WEIGHTS[weights]
    sizes = {"block_post": 2, "latent_dim": 1, "latent_factor": 1}
    assert all(len(model.coords[dim]) == n for dim, n in sizes.items() if dim in model.coords)


def test_latent_spaces_have_two_dimensions_by_default(recording, call):
    for prior, dim in (("distance", "latent_dim"), ("eigen", "latent_factor")):
        arguments, _ = call(recording, f"--edges={prior}")
        assert len(arguments["model"].coords[dim]) == 2


def test_results_of_a_dense_model(recording, first_run, monkeypatch):
    tree = xr.load_datatree(first_run[2] / "posterior.nc", engine="h5netcdf")
    posterior = tree["posterior"].to_dataset().drop_vars("adjacency")
    noise = np.random.default_rng(1).normal(size=posterior["weights"].shape)  # none stays at 0
    tree["posterior"] = xr.DataTree(posterior.assign(weights=posterior["weights"] + noise))
    monkeypatch.setattr(pg, "sample", lambda **_: tree)
    result, output = fitted(recording, "--edges=dense")
    assert result.exit_code == 0, result.output
    assert visible_and_hidden(output) == sorted(set(RESULTS) - {"weights.png"})


def with_structure(tree, *, electrodes=True):
    """The draws of a fit with blocks and positions added; labels and turns differ by draw.

    Neurons a and c share a block in every draw, b is alone in 3 of 4. Positions are those of the
    electrodes, turned at random.
    """
    rng = np.random.default_rng(3)
    shape = (2, 30)
    labels = np.tile([0, 1, 0], (*shape, 1))
    labels[:, 3::4, 1] = 0
    tables = np.array([[0.8, 0.1], [0.2, 0.5]])
    swapped = rng.random(shape) < 0.5
    labels = np.where(swapped[..., None], 1 - labels, labels)
    tables = np.where(swapped[..., None, None], tables[::-1, ::-1], tables)
    place = np.array([[0.0, 0.0], [300.0, 0.0], [0.0, 400.0]])  # micrometres
    angle = rng.uniform(0, 2 * np.pi, shape)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    positions = np.einsum("nd,decs->csne", (place - place.mean(axis=0)) / 200, turn)
    draws = ("chain", "draw")
    blocks = ("block_post", "block_pre")
    posterior = tree["posterior"].to_dataset().drop_vars("edge_probability")
    groups = {name: group.to_dataset() for name, group in tree.children.items()}
    groups["posterior"] = posterior.assign(
        block_labels=((*draws, "post"), labels),
        edge_probability=((*draws, *blocks), tables),
        latent_positions=((*draws, "post", "latent_dim"), positions),
    ).assign_coords(block_post=["0", "1"], block_pre=["0", "1"], latent_dim=["0", "1"])
    if electrodes:
        data = groups["constant_data"].assign(position=(("post", "space"), place))
        groups["constant_data"] = data.assign_coords(post=list("abc"), space=["x", "y"])
    return xr.DataTree.from_dict(groups)


STRUCTURED = ("--edges=block", "--weights=distance", "--n-blocks=2")


@pytest.fixture
def structured(first_run, monkeypatch):
    """Make sampling return draws of a model with blocks and positions, with electrodes or not."""
    tree = xr.load_datatree(first_run[2] / "posterior.nc", engine="h5netcdf")

    def sampled(electrodes=True):
        made = with_structure(tree, electrodes=electrodes)
        monkeypatch.setattr(
            pg, "sample", lambda *, draws, **_: made.isel(draw=slice(draws), missing_dims="ignore")
        )
        return made

    return sampled


def test_blocks_and_positions_are_written(recording, structured):
    structured()
    result, output = fitted(recording, *STRUCTURED)
    assert result.exit_code == 0, result.output
    both = {"blocks.csv", "blocks.png", "positions.csv", "positions.png"}
    assert visible_and_hidden(output) == sorted({*RESULTS, *both})
    blocks = pd.read_csv(output / "blocks.csv", dtype={"block": str})
    assert list(blocks["neuron"]) == ["a", "c", "b"]
    assert list(blocks["block"]) == ["0", "0", "1"]
    n_alone = 2 * (30 - 7)  # draws 3, 7, ..., 27 of each chain have b with the others
    np.testing.assert_allclose(blocks["probability"], [1, 1, n_alone / 60])
    places = pd.read_csv(output / "positions.csv", index_col="neuron")
    np.testing.assert_allclose(places["inferred_x"], [0, 300, 0], atol=1e-6)
    np.testing.assert_allclose(places["inferred_y"], [0, 0, 400], atol=1e-6)
    np.testing.assert_allclose(places[["electrode_x", "electrode_y"]].loc["c"], [0, 400])
    mean = places[["latent_1", "latent_2"]].values
    length = np.linalg.norm(mean[1:] - mean[0], axis=1)
    np.testing.assert_allclose(length, [300 / 200, 400 / 200])
    np.testing.assert_allclose(places[["sd_1", "sd_2"]], 0, atol=1e-6)
    for name in ("blocks.png", "positions.png"):
        assert (output / name).read_bytes().startswith(b"\x89PNG"), name


def test_the_report_tells_of_blocks_and_positions(recording, structured):
    structured()
    result, output = fitted(recording, *STRUCTURED, "--no-pictures")
    report = (output / "report.txt").read_text(encoding="utf-8")
    for words in (
        "1 in 23% of the draws, 2 in 77% of the draws",
        "probable one: 2, 1 (blocks.csv)",
        "distances: 1.00, 90% of draws from 1.00 to 1.00 (positions.csv)",
    ):
        assert words in " ".join(report.split())
        assert words in " ".join(result.stdout.split())
    assert not list(output.glob("*.png"))
    assert "blocks.csv" in visible_and_hidden(output)


def test_positions_without_electrodes(recording, structured):
    structured(electrodes=False)
    result, output = fitted(recording, *STRUCTURED)
    assert result.exit_code == 0, result.output
    places = pd.read_csv(output / "positions.csv")
    assert list(places) == ["neuron", "latent_1", "sd_1", "latent_2", "sd_2"]
    assert "no electrode positions to compare with" in " ".join(result.stdout.split())


@pytest.mark.parametrize("place", [np.zeros((3, 2)), np.array([[0, 0], [1, np.nan], [2, 2]])])
def test_electrodes_that_cannot_be_compared_with_are_left_out(structured, place):
    tree = structured()
    data = tree["constant_data"].to_dataset()
    tree["constant_data"] = xr.DataTree(data.assign(position=(("post", "space"), place)))
    found = find_structure(tree).positions
    assert found.reference is None
    assert "electrode_x" not in position_table(found)


@pytest.mark.usefixtures("drawn")
def test_edges_are_called_by_the_effect_asked_for(recording, monkeypatch):
    shown = []
    for name in ("plot_network", "plot_filters"):
        plot = getattr(plots, name)

        def noted(tree, *, plot=plot, **options):
            shown.append(options.get("min_effect"))
            return plot(tree, **options)

        monkeypatch.setattr(plots, name, noted)
    result, output = fitted(recording, "--min-effect=0.5")
    edges = pd.read_csv(output / "edges.csv", dtype={"pre": str, "post": str})
    tree = xr.load_datatree(output / "posterior.nc", engine="h5netcdf")
    expected = pg.edge_summary(tree, min_effect=0.5)
    assert not expected["p_effect"].equals(expected["probability"])
    pd.testing.assert_frame_equal(expected, edges, check_dtype=False)
    assert "P: probability of an edge whose effect is above 0.5" in " ".join(result.stdout.split())
    assert sorted(shown, key=str) == [0.5, 0.5, None]  # weights do not depend on it


def test_labels_and_positions_are_not_summarised_by_value(recording, structured):
    """Tables between blocks are, after relabelling: here they are the same in all draws."""
    structured()
    _, output = fitted(recording, *STRUCTURED, "--no-pictures")
    summary = pd.read_csv(output / "summary.csv", index_col="variable")
    assert not any(name.startswith(("block_labels", "latent_positions")) for name in summary.index)
    tables = summary.loc[[f"edge_probability[{i}, {j}]" for i in "01" for j in "01"], "mean"]
    assert tables.iloc[0] > tables.iloc[3] > tables.iloc[2] > tables.iloc[1]


def test_structure_is_told_of_what_there_is_alone(structured):
    tree = structured()
    alone = tree["posterior"].to_dataset().drop_vars("latent_positions")
    tree["posterior"] = xr.DataTree(alone)
    found = find_structure(tree)
    assert found.positions is None and len(structure_lines(found)) == 1
    assert list(block_table(found.blocks)) == ["neuron", "block", "probability"]
    tree["posterior"] = xr.DataTree(alone.drop_vars(["block_labels", "edge_probability"]))
    assert find_structure(tree) == (None, None, None) and not structure_lines(find_structure(tree))


def test_results_of_each_prior():
    def files(**settings):
        return set(result_files(PriorSettings(**settings)))

    assert {"blocks.csv", "blocks.png"} == files(edges="block") - files()
    assert {"blocks.csv", "blocks.png"} == files(weights="block") - files()
    assert {"positions.csv", "positions.png"} == files(weights="distance") - files()
    assert {"signs.csv"} == files(weights="signed") - files()
    assert files(edges="eigen") == files()


@pytest.mark.usefixtures("drawn")
def test_default_output_is_named_after_the_file(recording, monkeypatch):
    monkeypatch.chdir(recording.parent)
    assert run("fit", recording, *FAST, "--no-pictures", "--quiet").exit_code == 0
    assert (recording.parent / "cells-glm" / "posterior.nc").exists()


def test_window_neurons_and_minimum_rate(recording, call):
    arguments, words = call(
        recording, "--neurons=c, a,b", "--start=0.5", "--duration=1", "--min-rate=12",
        "--basis=identity", "--window=0.01",
    )  # fmt: skip
    model = arguments["model"]
    assert list(model.coords["post"]) == ["c", "a"]
    assert (len(model.coords["time"]), model.coords["time"][0]) == (200, 0.5)
    np.testing.assert_array_equal(model["basis_functions"].get_value(), np.eye(2))
    assert "left out 1 of 3 neurons, below 12 Hz: b" in words


def test_few_spikes_that_share_a_bin_are_merged_and_said(tmp_path, call):
    counts = np.random.default_rng(1).random((400, 2)) < 0.5
    path = write_npz(tmp_path / "pairs.npz", counts)
    spikes = dict(np.load(path))
    times = np.append(spikes["times"], spikes["times"][0] + 0.001)
    neurons = np.append(spikes["neurons"], spikes["neurons"][0])
    np.savez(path, **(spikes | {"times": times, "neurons": neurons}))
    arguments, words = call(path)
    np.testing.assert_array_equal(arguments["model"]["counts"].get_value(), counts)
    share = 1 / (neurons == spikes["neurons"][0]).sum()
    assert f": 1 of {len(times)} ({1 / len(times):.2%}; most of neuron " in words
    assert f"neuron {spikes['neurons'][0]}, {share:.1%} of its spikes)" in words
    refused, _ = fitted(path, "--max-merged=0")
    assert refused.exit_code == 2
    assert "Error: counts: 1 of 800 bins" in said(refused)
    assert "--max-merged" in said(refused)
    assert f"here {1 / len(times):.2%} of them" in said(refused)


def test_pauses_are_warned_of(tmp_path, call):
    counts = np.random.default_rng(1).random((4000, 3)) < 0.1
    assert "no neuron fires" not in call(write_npz(tmp_path / "whole.npz", counts))[1]
    counts[1000:1600] = 0
    counts[3000:3500] = 0
    first = np.flatnonzero(counts[:1000].any(axis=1))[-1] + 1
    last = 1600 + np.flatnonzero(counts[1600:].any(axis=1))[0]
    _, words = call(write_npz(tmp_path / "paused.npz", counts))
    assert "2 pauses longer than 1 s in which no neuron fires" in words
    assert f"{first * BIN_WIDTH:.4g} to {last * BIN_WIDTH:.4g} s" in words


def test_report_tells_what_was_left_out(first_run):
    recording = Recording("cells", pg.bin_spikes({"a": [0.1, 0.3]}, 0.1, stop=0.4), ("b",), 0.4, 3)
    tree = xr.load_datatree(first_run[2] / "posterior.nc", engine="h5netcdf")
    session = Session()
    with session.results.capture() as capture:
        session.results.print(
            fit_report(recording, Posterior(tree, True, 2.0), pg.edge_summary(tree))
        )
    text = capture.get()
    assert "left out, below 0.4 Hz: b" in text
    assert "spikes not counted, in a bin with an earlier spike of the same neuron: 3" in text
    assert "sampling was interrupted" in text


# bad input


def csv(*lines):
    return lambda path: path.write_text("\n".join(["time,neuron", *lines]) + "\n")


BAD_FILES = {
    "cells.csv": (lambda path: path.write_text(""), r"cells\.csv is empty"),
    "cells.xyz": (lambda path: path.write_bytes(b"abcdef"), r"suffix '\.xyz' of .*cells\.xyz"),
    "negative.csv": (csv("-0.5,a", "0.5,a"), r"'a'.*-0\.5 s is negative"),
    "nan.csv": (csv("nan,a", "0.5,a"), "nan"),
    "wrong.csv": (lambda path: path.write_text("when,who\n0.5,a\n"), "when"),
    "doubles.csv": (
        csv(*(f"{t},a" for t in (0.001, 0.002, 0.003, 0.5))),
        "more than one spike.*'a', bin 0, 3 spikes",
    ),
    "bad.h5": (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\nrubbish"), r"bad\.h5"),
    "bad.npz": (lambda path: path.write_bytes(b"PKrubbish"), r"bad\.npz.*npz"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_FILES)
@pytest.mark.usefixtures("no_sampling")
def test_bad_files_get_a_sentence(tmp_path, name):
    write, message = BAD_FILES[name]
    write(tmp_path / name)
    refused(tmp_path / name, (), message)


@pytest.mark.usefixtures("no_sampling")
def test_duplicate_labels_get_a_sentence(tmp_path):
    path = write_npz(tmp_path / "cells.npz", np.ones((10, 2)), labels=["a", "a"])
    refused(path, (), r"repeat: \['a'\]")


@pytest.mark.usefixtures("no_sampling")
def test_missing_file_and_folder_get_a_sentence(tmp_path):
    refused(tmp_path / "none.npz", (), r"there is no file .*none\.npz")
    (tmp_path / "folder").mkdir()
    refused(tmp_path / "folder", (), "folder is a directory")


BAD_OPTIONS = {
    "--bin-width=0": "bin_width: got 0.0, .* above 0 s",
    "--bin-width=-1": "bin_width: got -1.0, .* above 0 s",
    "--bin-width=nan": "bin_width: got nan, .* finite numbers",
    "--bin-width=3": "longer than the recording",
    "--window=3": "window of 600 bins",
    "--window=0.001": "shorter than one bin",
    "--n-basis=50": "50",
    "--n-basis=0": "n_basis",
    "--basis=bspline --n-basis=2": "n_basis: got 2, too few",
    "--basis=identity --n-basis=2": "--n-basis: got 2 with --basis identity",
    "--format=mat": "format: got 'mat'",
    "--min-rate=500": "min_rate: no neuron fires at 500 Hz",
    "--min-effect=-1": "min_effect: got -1.0, .* of at least 0",
    "--min-effect=nan": "min_effect: got nan, .* of at least 0",
    "--min-rate=-1": "min_rate: got -1.0, .* at least 0 Hz",
    "--neurons=a,d": r"unknown neurons \['d'\]",
    "--neurons=a,a": r"repeat: \['a'\]",
    "--start=1 --stop=0.5": "start, stop: got 1.0 and 0.5 s",
    "--stop=9": "stop: 9.0 s is outside the recording",
    "--stop=1 --duration=1": "stop, duration: give one of them",
    "--edges=block": "--n-blocks: --edges block needs the largest number of blocks",
    "--weights=block": "--n-blocks: --weights block needs the largest number",
    "--n-blocks=2": "--n-blocks: got 2 with --edges bernoulli and --weights gaussian.*add --edges",
    "--edges=distance --n-blocks=2": "--n-blocks: got 2 with --edges distance",
    "--edges=block --n-blocks=4": r"BlockEdges\(n_blocks\): got 4, .*1 to 3",
    "--weights=block --n-blocks=4": r"BlockWeights\(n_blocks\): got 4",
    "--n-dims=2": "--n-dims: got 2 with --edges bernoulli .*no latent space",
    "--edges=block --n-blocks=2 --n-dims=2": "--n-dims: got 2 with --edges block",
    "--edges=eigen --n-dims=3": r"EigenEdges\(n_dims\): got 3",
    "--edges=distance --n-dims=3": r"DistanceEdges\(n_dims\): got 3",
    "--weights=distance --n-dims=3": r"DistanceWeights\(n_dims\): got 3",
}


@pytest.mark.parametrize("options", BAD_OPTIONS)
@pytest.mark.usefixtures("no_sampling")
def test_bad_options_get_a_sentence(recording, options):
    refused(recording, options.split(), BAD_OPTIONS[options])


def refused(path, options, message):
    """Exit code 2, one sentence on stderr, no folder."""
    before = visible_and_hidden(path.parent)
    output = path.parent / "new" / "out"
    result = run("fit", path, "--output", output, *options)
    assert result.exit_code == 2, result.output
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1
    assert re.search(message, errors[0]), errors[0]
    assert result.stderr.rstrip().endswith(errors[0])
    assert "Traceback" not in result.output
    assert visible_and_hidden(path.parent) == before


@pytest.mark.parametrize(
    "option",
    ["--seed=abc", "--seed=-1", "--draws=0", "--chains=0", "--tune=-1", "--cores=0", "--threads=0",
     "--edges=none", "--weights=dense", "--n-blocks=0", "--n-blocks=two", "--n-dims=0",
     "--n-dims=1.5", "--basis=none", "--max-merged=2", "--no-such-option"],
)  # fmt: skip
@pytest.mark.usefixtures("no_sampling")
def test_options_out_of_range_name_the_option(recording, option):
    result = run("fit", recording, "--output", recording.parent / "out", option)
    assert result.exit_code == 2
    assert option.split("=")[0] in said(result)
    assert not (recording.parent / "out").exists()


@pytest.mark.filterwarnings("default:counts. 1 neuron")
def test_a_silent_neuron_is_kept_with_a_warning_when_asked_for(tmp_path, call):
    counts = np.zeros((400, 2))
    counts[::20, 0] = 1
    path = write_npz(tmp_path / "cells.npz", counts, labels=["loud", "silent"])
    arguments, words = call(path, "--min-rate=0")
    assert list(arguments["model"].coords["post"]) == ["loud", "silent"]
    assert re.search(r"Warning: counts: 1 neuron.* fires? \(silent\)", words)
    _, words = call(path)
    assert "left out 1 of 2 neurons, below 0.4 Hz: silent" in words


def test_debug_shows_the_traceback(recording):
    result, _ = fitted(recording, "--bin-width=0", "--debug")
    assert result.exit_code == 2
    assert "Traceback" in result.stderr and "Error: bin_width" in said(result)


@pytest.mark.usefixtures("drawn")
def test_a_failure_that_is_no_bad_input_has_code_1(recording, monkeypatch):
    monkeypatch.setattr(fit, "edge_table", lambda *_, **__: 1 / 0)
    result, output = fitted(recording)
    assert result.exit_code == 1
    assert "Failed: ZeroDivisionError: division by zero (--debug shows where)" in said(result)
    assert visible_and_hidden(output) == ["posterior.nc"]


def test_an_error_of_sampling_does_not_look_like_bad_input(recording, monkeypatch):
    def fail(**_):
        raise ValueError("a shape is wrong")

    monkeypatch.setattr(pg, "sample", fail)
    result, output = fitted(recording)
    assert result.exit_code == 1
    assert "Failed: ValueError: a shape is wrong (--debug shows where)" in said(result)
    assert not output.exists()


@pytest.mark.usefixtures("drawn")
def test_edges_are_summarised_once(recording, monkeypatch):
    summarise, calls = fit.edge_table, []

    def count(tree, **options):
        calls.append(tree)
        return summarise(tree, **options)

    monkeypatch.setattr(fit, "edge_table", count)
    monkeypatch.setattr(convergence, "edge_table", count)
    assert fitted(recording, "--no-pictures")[0].exit_code == 0
    assert len(calls) == 1


# the folder


@pytest.mark.usefixtures("no_sampling")
def test_output_that_is_a_file(recording):
    result = run("fit", recording, "--output", recording)
    assert result.exit_code == 2
    assert "is a file; name a folder" in said(result)


@pytest.mark.usefixtures("no_sampling")
@pytest.mark.parametrize("place", ["below a file", "/proc"])
def test_unwritable_output_is_found_before_sampling(recording, place):
    if place == "/proc" and not Path("/proc/self").exists():
        pytest.skip("there is no /proc, a folder that nobody can write to")
    output = Path("/proc/pymc-glm") if place == "/proc" else recording / "deep" / "out"
    result = run("fit", recording, "--output", output)
    assert result.exit_code == 2
    assert f"--output: {output} cannot be written" in said(result)


@pytest.mark.usefixtures("no_sampling")
def test_earlier_results_are_not_overwritten_unasked(recording):
    output = recording.parent / "out"
    output.mkdir()
    (output / "edges.csv").write_text("earlier")
    result = run("fit", recording, "--output", output)
    assert result.exit_code == 2
    assert "earlier run (edges.csv)" in said(result) and "--overwrite" in said(result)
    assert visible_and_hidden(output) == ["edges.csv"]


@pytest.mark.usefixtures("drawn")
def test_overwrite_replaces_results_and_nothing_else(recording):
    output = recording.parent / "out"
    output.mkdir()
    for name in ("edges.csv", "network.png", "notes.txt"):
        (output / name).write_text("earlier")
    result, _ = fitted(recording, "--overwrite", "--no-pictures")
    assert result.exit_code == 0, result.output
    assert (output / "edges.csv").read_text() != "earlier"
    assert (output / "notes.txt").read_text() == "earlier"
    assert visible_and_hidden(output) == [
        "edges.csv", "notes.txt", "posterior.nc", "report.txt", "summary.csv",
    ]  # fmt: skip


@pytest.mark.usefixtures("drawn")
@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("writer", STAGES)
def test_what_was_written_before_an_error_stays(recording, monkeypatch, writer, exists):
    output = recording.parent / "out"
    if exists:
        output.mkdir()
        (output / "edges.csv").write_text("earlier")

    def fail(*args, **kwargs):
        raise OSError(28, "No space left on device", "cells.tmp")

    monkeypatch.setattr(fit, writer, fail)
    result, _ = fitted(recording, "--overwrite")
    assert result.exit_code == 1
    assert "Failed: OSError: cells.tmp: No space left on device (--debug" in said(result)
    there = exists or bool(STAGES[writer])
    assert visible_and_hidden(recording.parent) == ["cells.npz", "out"][: 1 + there]
    if STAGES[writer]:
        assert_holds(output, STAGES[writer], said(result), "Incomplete")
    elif exists:
        assert visible_and_hidden(output) == ["edges.csv"]
        assert (output / "edges.csv").read_text() == "earlier"


def assert_holds(output, files, words, kind):
    """These files and no others are there, readable, and the rest is called missing."""
    assert visible_and_hidden(output) == sorted(files)
    missing = [name for name in RESULTS if name not in files]
    assert f"{kind}: {output} holds {', '.join(files)}; missing: {', '.join(missing)}." in words
    with xr.open_datatree(output / "posterior.nc", engine="h5netcdf") as tree:
        assert tree["posterior"].sizes["draw"] == 30


@pytest.mark.usefixtures("drawn")
def test_missing_files_are_those_asked_for(recording, monkeypatch):
    monkeypatch.setattr(fit, "write_summary", lambda *_: 1 / 0)
    result, _ = fitted(recording, "--no-pictures")
    assert "missing: summary.csv, edges.csv, report.txt." in said(result)


@pytest.mark.usefixtures("drawn")
def test_a_posterior_that_cannot_be_moved_is_kept(recording):
    output = recording.parent / "out"
    (output / "posterior.nc").mkdir(parents=True)  # no file replaces a folder
    result, _ = fitted(recording, "--overwrite")
    assert result.exit_code == 1
    (kept,) = output.glob(".out.*.unfinished")
    assert f"posterior.nc cannot be moved to {output}" in said(result)
    assert f"kept in {kept}." in said(result)
    with xr.open_datatree(kept / "posterior.nc", engine="h5netcdf") as tree:
        assert tree["posterior"].sizes["draw"] == 30


def test_output_folder_makes_and_removes_parents(tmp_path):
    path = tmp_path / "a" / "b" / "out"
    with OutputFolder(path) as folder:
        (folder.staging / "edges.csv").write_text("new")
    assert visible_and_hidden(tmp_path) == []
    with OutputFolder(path) as folder:
        (folder.staging / "edges.csv").write_text("new")
        assert folder.commit() == [path / "edges.csv"]
        assert visible_and_hidden(path) == ["edges.csv"]
        (folder.staging / "posterior.nc").write_text("later")
        assert folder.commit() == [path / "posterior.nc", path / "edges.csv"]
    assert visible_and_hidden(path.parent) == ["out"]
    assert (path / "edges.csv").read_text() == "new"
    assert (path / "posterior.nc").read_text() == "later"


# Ctrl-C


def interrupt_at(monkeypatch, iteration):
    """Make Ctrl-C come at an iteration of the second chain."""
    sample = pg.sample

    def callback(trace, draw):
        if draw.chain == 1 and draw.draw_idx == iteration:
            raise KeyboardInterrupt

    monkeypatch.setattr(pg, "sample", lambda **kwargs: sample(**kwargs | {"callback": callback}))


def test_interrupted_draws_are_saved(recording, monkeypatch):
    interrupt_at(monkeypatch, 40)
    result, output = fitted(recording)
    assert result.exit_code == 130, result.output
    with xr.open_datatree(output / "posterior.nc", engine="h5netcdf") as tree:
        sizes = tree["posterior"].sizes
    # PyMC keeps as many chains and draws as make most: the first chain is whole.
    assert (sizes["chain"], sizes["draw"]) == (1, 30)
    assert "Interrupted: 1 of 2 chains with 30 of 30 draws" in said(result)
    assert "interrupted" in (output / "report.txt").read_text()
    assert (output / "network.png").exists()


@pytest.mark.usefixtures("drawn")
@pytest.mark.parametrize("draws", [1, 2, 5])
def test_a_few_draws_can_be_summarised(recording, draws):
    result, output = fitted(recording, f"--draws={draws}")
    assert result.exit_code == 0, result.output
    assert visible_and_hidden(output) == sorted(RESULTS)


def test_interrupted_while_tuning_writes_nothing(recording, monkeypatch):
    sample = pg.sample

    def callback(trace, draw):
        raise KeyboardInterrupt

    monkeypatch.setattr(pg, "sample", lambda **kwargs: sample(**kwargs | {"callback": callback}))
    result, _ = fitted(recording)
    assert result.exit_code == 130
    assert "Interrupted: nothing was written" in said(result)
    assert visible_and_hidden(recording.parent) == ["cells.npz"]


@pytest.mark.usefixtures("drawn")
@pytest.mark.parametrize("writer", list(STAGES)[1:])
def test_interrupted_after_sampling_keeps_what_was_written(recording, monkeypatch, writer):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(fit, writer, interrupt)
    result, output = fitted(recording)
    assert result.exit_code == 130
    assert visible_and_hidden(recording.parent) == ["cells.npz", "out"]
    assert_holds(output, STAGES[writer], said(result), "Interrupted")


@pytest.mark.usefixtures("drawn")
@pytest.mark.usefixtures("ctrl_c_heard")
def test_interrupted_while_writing_the_posterior_writes_it(recording, monkeypatch):
    def interrupt(tree, path):
        signal.raise_signal(signal.SIGINT)
        results.write_posterior(tree, path)

    monkeypatch.setattr(fit, "write_posterior", interrupt)
    result, output = fitted(recording)
    assert result.exit_code == 130
    assert_holds(output, ["posterior.nc"], said(result), "Interrupted")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="a process group is interrupted, as a terminal does it")
@pytest.mark.usefixtures("ctrl_c_heard")
def test_a_real_ctrl_c(recording):
    drawing = recording.parent / "drawing"  # the program says that it draws by making this file
    program = f"""
import pathlib, pymc_glm as pg, pymc_glm.cli
def callback(trace, draw):
    if draw.draw_idx == 100:
        pathlib.Path({str(drawing)!r}).touch()
sample = pg.sample
pg.sample = lambda **kwargs: sample(**kwargs | {"callback": callback})
pymc_glm.cli.main()
"""
    output = recording.parent / "out"
    arguments = ["fit", str(recording), "--output", str(output)]
    arguments += ["--draws=1000000", "--tune=10", "--chains=2", "--cores=2"]
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        start_new_session=True,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        limit = time.monotonic() + 600  # compiling takes a while on a busy machine
        while not drawing.exists() and process.poll() is None and time.monotonic() < limit:
            time.sleep(0.2)
        assert drawing.exists()
        time.sleep(1)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 130, errors
    assert "Interrupted: " in errors and "draws are kept" in errors
    with xr.open_datatree(output / "posterior.nc", engine="h5netcdf") as tree:
        assert 0 < tree["posterior"].sizes["draw"] < 1_000_000


# demo


def tiny(name, n_neurons, n_bins, seed):
    basis = pg.basis.raised_cosine(1, window=0.1, bin_width=BIN_WIDTH)
    weights = np.zeros((n_neurons, n_neurons, 1))
    weights[1, 0] = 2.5
    bias = np.array([-2.5] + [-4.0] * (n_neurons - 1))
    return networks.DemoNetwork(
        name=name,
        title=name,
        parameters=pg.NetworkParameters(bias, weights, basis),
        neurons=[f"n{i}" for i in range(n_neurons)],
        n_bins=n_bins,
        seed=seed,
        sampling=SampleSettings(50, 50, 2, cores=1),
    )


@pytest.fixture
def tiny_networks(monkeypatch):
    monkeypatch.setattr(demo, "four_neurons", lambda short: tiny("four-neurons", 2, 1500, 1))
    monkeypatch.setattr(demo, "twelve_neurons", lambda short: tiny("twelve-neurons", 3, 1500, 2))


@pytest.mark.usefixtures("tiny_networks")
def test_demo_compares_both_networks_with_the_truth(tmp_path):
    output = tmp_path / "demo-output"
    (output / "four-neurons").mkdir(parents=True)
    (output / "four-neurons" / "edges.csv").write_text("earlier")
    result = run("demo", "--output", output)
    assert result.exit_code == 0, result.output
    assert visible_and_hidden(output) == ["four-neurons", "twelve-neurons"]
    for name, n in (("four-neurons", 2), ("twelve-neurons", 3)):
        assert visible_and_hidden(output / name) == sorted(RESULTS)
        edges = pd.read_csv(output / name / "edges.csv")
        true = edges[edges["true_edge"]]
        assert list(zip(true["pre"], true["post"], strict=True)) == [("n0", "n1")]
        assert true["true_peak"].item() == pytest.approx(2.5)
        assert true["probability"].item() > 0.9
        assert (edges.loc[~edges["true_edge"], "true_peak"] == 0).all()
        report = (output / name / "report.txt").read_text(encoding="utf-8")
        assert "Edges between neurons: 1 of 1 found, 0 missed" in report
        n_absent = n * (n - 1) - 1
        assert re.search(rf"false alarms? among {n_absent} pairs? without one", report)
        assert "Convergence" in report and report.rstrip() in result.stdout


@pytest.mark.usefixtures("tiny_networks")
def test_demo_interrupted_in_the_first_network_stops(tmp_path, monkeypatch):
    interrupt_at(monkeypatch, 60)
    result = run("demo", "--output", tmp_path / "out")
    assert result.exit_code == 130
    assert visible_and_hidden(tmp_path / "out") == ["four-neurons"]


@pytest.mark.filterwarnings("default:shared_input. 2 neurons have 20 spikes or more")
@pytest.mark.usefixtures("drawn")
def test_demo_of_a_recording(recording):
    output = recording.parent / "out"
    result = run("demo", "--short", "--recording", recording, "--output", output)
    assert result.exit_code in (0, 130), result.output  # 130: fewer draws than asked for
    assert visible_and_hidden(output / "cells") == sorted(RESULTS)


def test_networks_of_the_demo():
    for make, n_neurons, n_bins in (
        (networks.four_neurons, 4, 10_000),
        (networks.twelve_neurons, 12, 12_000),
    ):
        network = make()
        assert (len(network.neurons), network.n_bins) == (n_neurons, n_bins)
        counts = pg.simulate(
            network.parameters, n_bins, random_seed=network.seed, neurons=network.neurons
        )
        rates = counts.mean("time") / counts.attrs["bin_width"]
        assert 3 < rates.min() and rates.max() < 80
        filters = network.parameters.filters
        assert (filters[range(n_neurons), range(n_neurons), 0] < 0).all()
        signs = np.sign(filters[:, :, 0])[~np.eye(n_neurons, dtype=bool)]
        assert {-1.0, 0.0, 1.0} == set(signs)
        assert make(short=True).n_bins < n_bins
    assert networks.four_neurons().parameters.basis.shape == (100, 1)


def test_truth_report_counts_hits_misses_and_false_alarms():
    neurons = ["a", "b", "c"]
    filters = np.zeros((3, 3, 2))
    filters[1, 0] = [1.0, -2.0]  # a -> b
    filters[2, 0] = [0.5, 0.1]  # a -> c
    filters[0, 0] = [-1.0, 0.0]
    truth = results.TrueNetwork((filters != 0).any(axis=2), filters)
    rows = [(pre, post) for post in neurons for pre in neurons]
    edges = pd.DataFrame(rows, columns=["pre", "post"]).assign(
        probability=0.1,
        mcse=0.01,
        ess=1000.0,
        r_hat=1.0,
        status="ok",
        peak_mean=1.0,
        peak_lower=0.5,
        peak_upper=1.5,
    )
    present = [("a", "b"), ("b", "c"), ("b", "b")]
    edges.loc[[pair in present for pair in rows], "probability"] = 0.9
    edges = edges_with_truth(edges, truth, neurons)
    peaks = {
        (p, q): peak for p, q, peak in edges[["pre", "post", "true_peak"]].itertuples(index=False)
    }
    assert (peaks["a", "b"], peaks["a", "c"], peaks["a", "a"], peaks["b", "a"]) == (-2, 0.5, -1, 0)

    posterior = Posterior(small_tree(), False, 1.0)
    session = Session()
    with session.results.capture() as capture:
        session.results.print(truth_report(posterior, edges, "title"))
    text = capture.get()
    assert "Edges between neurons: 1 of 2 found, 1 missed, 1 false alarm among 4 pairs" in text
    assert "Self-edges: 0 of 1 found, 1 missed, 1 false alarm among 2 neurons" in text
    assert text.count("no: false alarm") == 2 and text.count("yes, missed") == 2


def small_tree():
    rng = np.random.default_rng(1)
    return az.from_dict(
        {
            "posterior": {
                "bias": rng.normal(size=(2, 50, 3)),
                "weights": rng.normal(size=(2, 50, 3, 3, 1)),
            },
            "constant_data": {"basis_functions": np.ones((1, 1))},
        },
        coords={"post": ["a", "b", "c"], "pre": ["a", "b", "c"]},
        dims={
            "bias": ["post"],
            "weights": ["post", "pre", "basis"],
            "basis_functions": ["lag", "basis"],
        },
    )


# the program


def test_version_and_help():
    result = run("--version")
    assert result.exit_code == 0 and result.stdout.startswith("pymc-glm ")
    result = run("--help")
    assert result.exit_code == 0 and "fit" in result.stdout and "demo" in result.stdout
    shown = run("fit", "--help").stdout
    settings = FitSettings(Path())
    for field in ("bin-width", "window", "n-basis", "min-rate", "draws", "seed", "overwrite"):
        assert f"--{field}" in shown
    assert str(settings.min_rate) in shown and str(settings.sampling.draws) in shown


def test_python_dash_m_with_a_bad_file(tmp_path):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run(
        [sys.executable, "-m", "pymc_glm", "fit", "none.npz"],
        capture_output=True, text=True, cwd=tmp_path, env=environment, check=False,
    )  # fmt: skip
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1] == "Error: path: there is no file none.npz."
    assert visible_and_hidden(tmp_path) == []
