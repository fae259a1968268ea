import subprocess
import sys
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

import pymc_glm as pg
from helpers.drawn_tree import drawn_tree
from helpers.synthetic_tree import BIN_WIDTH, example
from pymc_glm.criticism import filter_bands, network_matrix, predicted_rates
from pymc_glm.plots import plot_filters, plot_network, plot_raster, plot_rates
from pymc_glm.spikes import SpikeTrains, bin_spikes

pytestmark = pytest.mark.usefixtures("settings_stay")


@pytest.fixture(scope="module")
def small():
    return example(4, 3, n_draws=100)


@pytest.fixture(scope="module")
def middle():
    return example(9, 1, n_draws=100, n_bins=1000)


def drawn(ax):
    """Draw the whole figure of an axes, as saving it would."""
    figure = np.ravel(ax)[0].figure
    figure.canvas.draw()
    return figure


def tick_labels(axis):
    return [text.get_text() for text in axis.get_ticklabels()]


def colour_bar(figure, panels):
    (bar,) = [ax for ax in figure.axes if ax not in list(np.ravel(panels))]
    return bar


# Network


@pytest.mark.parametrize("quantity", ["probability", "weight"])
def test_network_shows_the_matrix_with_post_in_rows(small, quantity):
    ax = plot_network(small.tree, quantity=quantity)
    figure = drawn(ax)
    (image,) = ax.images
    np.testing.assert_allclose(image.get_array(), network_matrix(small.tree, quantity))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("pre neuron", "post neuron")
    assert tick_labels(ax.yaxis) == list("1234")
    assert ax.get_ylim() == (3.5, -0.5)  # the first post neuron on top
    bar = colour_bar(figure, ax)
    if quantity == "probability":
        assert image.get_clim() == (0, 1)
        assert bar.get_ylabel() == "inclusion probability"
    else:
        low, high = image.get_clim()
        assert low == -high < 0
        assert "log-odds" in bar.get_ylabel()


def test_network_and_truth_on_one_scale(small):
    true, inferred = plot_network(small.tree, truth=small.adjacency)
    drawn(true)
    np.testing.assert_array_equal(true.images[0].get_array(), small.adjacency)
    np.testing.assert_allclose(inferred.images[0].get_array(), network_matrix(small.tree))
    assert true.images[0].get_clim() == inferred.images[0].get_clim()
    assert (true.get_title(), inferred.get_title()) == ("true", "inferred")
    weights = np.where(small.adjacency, -2.0, 0.0)
    true, _ = plot_network(small.tree, truth=weights)  # an edge where the weight is not 0
    np.testing.assert_array_equal(true.images[0].get_array(), small.adjacency)
    true, inferred = plot_network(small.tree, quantity="weight", truth=weights)
    np.testing.assert_array_equal(true.images[0].get_array(), weights)
    assert true.images[0].get_clim() == inferred.images[0].get_clim()


def test_colours_of_weights_end_at_the_strongest_coupling():
    weights = np.array([[-9.0, 2.0], [0.5, -9.0]])
    ax = plot_network(weights, quantity="weight")
    drawn(ax)
    assert ax.images[0].get_clim() == (-2, 2)
    assert colour_bar(ax.figure, ax)._colorbar.extend == "min"
    weak = plot_network(np.array([[-9.0, 0.001], [0.0, -9.0]]), quantity="weight")
    assert weak.images[0].get_clim()[1] == pytest.approx(1.8)
    nothing = plot_network(np.zeros((3, 3)), quantity="weight")
    assert nothing.images[0].get_clim() == (-1, 1)


def test_network_in_another_order(small):
    ax = plot_network(small.tree, order=["3", "1"])
    expected = network_matrix(small.tree).sel(post=["3", "1"], pre=["3", "1"])
    np.testing.assert_allclose(ax.images[0].get_array(), expected)
    assert tick_labels(ax.xaxis) == ["3", "1"]


def test_network_of_a_labelled_matrix():
    matrix = xr.DataArray(
        [[0.0, 0.1], [0.2, 0.3]], dims=("pre", "post"), coords={"post": ["a", "b"]}
    ).assign_coords(pre=["a", "b"])
    ax = plot_network(matrix)
    np.testing.assert_array_equal(ax.images[0].get_array(), [[0.0, 0.2], [0.1, 0.3]])
    assert tick_labels(ax.yaxis) == ["a", "b"]


def test_labels_of_many_neurons_are_thinned_and_do_not_overlap():
    ax = plot_network(np.eye(60))
    figure = drawn(ax)
    texts = [text for text in ax.get_yticklabels() if text.get_text()]
    assert 10 <= len(texts) < 60
    boxes = sorted((t.get_window_extent() for t in texts), key=lambda box: box.y0)
    assert all(low.y1 <= high.y0 for low, high in pairwise(boxes))
    boxes = sorted((t.get_window_extent() for t in ax.get_xticklabels()), key=lambda b: b.x0)
    assert all(left.x1 <= right.x0 for left, right in pairwise(boxes))
    assert figure.get_figwidth() < 8


def test_network_on_given_axes(small):
    figure, axes = plt.subplots(1, 3, layout="constrained")
    assert plot_network(small.tree, ax=axes[0]) is axes[0]
    pair = plot_network(small.tree, truth=small.adjacency, ax=axes[1:])
    assert list(pair) == list(axes[1:])
    figure.canvas.draw()
    assert len(plt.get_fignums()) == 1


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"quantity": "sign"}, ValueError, r"quantity: got 'sign'.*'probability', 'weight'"),
        ({"truth": np.eye(3)}, ValueError, r"truth: got the shape \(3, 3\).*\(4, 4\)"),
        ({"truth": np.zeros((4, 4, 2))}, ValueError, r"truth: got the shape \(4, 4, 2\)"),
        ({"truth": np.full((4, 4), np.nan)}, ValueError, "truth: got nan at post 0, pre 0"),
        ({"truth": "yes"}, TypeError, "truth: got str"),
        ({"order": ["1", "x"]}, ValueError, r"order: unknown neurons \['x'\]"),
        ({"ax": "here"}, TypeError, "ax: got str, allowed are matplotlib Axes"),
    ],
)
def test_wrong_options_of_the_network(small, options, error, message):
    with pytest.raises(error, match=message):
        plot_network(small.tree, **options)


@pytest.mark.parametrize(
    ("matrix", "error", "message"),
    [
        (np.zeros((2, 3)), ValueError, r"tree_or_matrix: got the shape \(2, 3\).*square"),
        (xr.DataArray(np.eye(2), dims=("a", "b")), ValueError, "dims.*'post', 'pre'"),
        (object(), TypeError, "tree_or_matrix: got object"),
        (xr.DataTree(), ValueError, "tree: it has no group 'posterior'"),
    ],
)
def test_wrong_matrices(matrix, error, message):
    with pytest.raises(error, match=message):
        plot_network(matrix)


def test_two_panels_need_two_axes(small):
    _, ax = plt.subplots()
    with pytest.raises(ValueError, match="ax: got 1 axes, but 2 panels"):
        plot_network(small.tree, truth=small.adjacency, ax=ax)


# Filters


def test_filters_of_few_neurons_are_a_grid(small):
    axes = plot_filters(small.tree, truth=small.filters)
    figure = drawn(axes)
    assert axes.shape == (4, 4)
    bands = filter_bands(small.tree)
    probability = network_matrix(small.tree)
    for post in range(4):
        for pre in range(4):
            ax = axes[post, pre]
            p = float(probability[post, pre])
            assert ax.get_title() == f"{pre + 1} -> {post + 1} (P = {p:.2f})"
            lines = {line.get_label(): line for line in ax.lines}
            np.testing.assert_allclose(lines["mean"].get_ydata(), bands["mean"][post, pre])
            np.testing.assert_allclose(lines["mean"].get_xdata(), 5.0 * np.arange(1, 21))  # ms
            np.testing.assert_allclose(lines["true"].get_ydata(), small.filters[post, pre])
            band = ax.collections[0].get_paths()[0].vertices[:, 1]
            assert band.min() == pytest.approx(float(bands["lower"][post, pre].min()))
            assert band.max() == pytest.approx(float(bands["upper"][post, pre].max()))
    assert figure.get_supxlabel() == "lag (ms)"
    assert "log-odds" in figure.get_supylabel()
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["posterior mean", "94% interval", "true"]


def test_probabilities_of_effects(small):
    expected = network_matrix(small.tree, min_effect=1.0)
    assert not np.allclose(expected, network_matrix(small.tree))
    ax = plot_network(small.tree, min_effect=1.0)
    np.testing.assert_allclose(ax.images[0].get_array(), expected)
    bar = colour_bar(drawn(ax), ax)
    assert bar.get_ylabel() == "probability of an effect above 1"
    given = plot_network(expected, min_effect=1.0)  # a matrix may hold anything
    assert colour_bar(drawn(given), given).get_ylabel() == "inclusion probability"
    panel = plot_filters(small.tree, pairs=[("1", "2")], min_effect=1.0)[0]
    assert panel.get_title() == f"1 -> 2 (P = {float(expected.sel(pre='1', post='2')):.2f})"


@pytest.mark.parametrize(
    ("observation", "unit", "of"),
    [
        ("bernoulli", "log-odds", "spike"),
        ("binomial", "log-odds", "spike"),
        ("poisson", "log rate", "spike"),
        ("negative_binomial", "log rate", "spike"),
        ("gaussian", "units of the trace", "unit"),
        ("unknown", "psi", "spike"),
    ],
)
def test_units_of_observation_models(small, observation, unit, of):
    tree = small.tree.copy()
    tree["constant_data"] = tree["constant_data"].to_dataset().assign(observation=observation)
    assert filter_bands(tree).attrs["units"] == filter_bands(tree)["mean"].attrs["units"] == unit
    assert plot_filters(tree)[0, 0].figure.get_supylabel() == f"effect of one {of} ({unit})"
    names = tree["posterior"]["post"].values[:2]
    _, ax = plt.subplots()
    assert plot_filters(tree, pairs=[tuple(names)], ax=ax)[0].get_ylabel() == unit
    panel = plot_network(tree, quantity="weight")
    assert colour_bar(panel.figure, panel).get_ylabel() == f"coupling at its peak lag ({unit})"
    panel = plot_network(tree)
    assert colour_bar(panel.figure, panel).get_ylabel() == "inclusion probability"


def test_simultaneous_bands(small):
    (ax,) = plot_filters(small.tree, pairs=[("1", "2")], simultaneous=True, hdi_prob=0.8)
    bands = filter_bands(small.tree, 0.8).sel(pre="1", post="2")
    band = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert band.min() == pytest.approx(float(bands["simultaneous_lower"].min()))
    assert band.max() == pytest.approx(float(bands["simultaneous_upper"].max()))
    texts = [text.get_text() for text in ax.figure.legends[0].get_texts()]
    assert texts == ["posterior mean", "80% simultaneous band"]


def test_couplings_share_a_scale_and_self_edges_another(small):
    axes = plot_filters(small.tree)
    self_edges = {ax.get_ylim() for ax in np.diag(axes)}
    others = {ax.get_ylim() for ax in axes[~np.eye(4, dtype=bool)]}
    assert len(self_edges) == len(others) == 1
    assert self_edges != others


def test_negligible_filters_do_not_fill_a_panel(small):
    weakest = network_matrix(small.tree).argmin(["post", "pre"])
    pair = (str(int(weakest["pre"]) + 1), str(int(weakest["post"]) + 1))
    (ax,) = plot_filters(small.tree, pairs=[pair])
    low, high = ax.get_ylim()
    assert high - low >= 1 - 1e-9


def test_filters_of_many_neurons_are_the_most_probable(middle):
    axes = plot_filters(middle.tree)
    drawn(axes)
    assert axes.shape == (12,)
    titles = [ax.get_title().split(" (")[0].split(" -> ") for ax in axes]
    assert sum(pre == post for pre, post in titles) == 4
    matrix = network_matrix(middle.tree).values.copy()
    np.fill_diagonal(matrix, -1)
    best = np.sort(matrix.ravel())[::-1][:8]
    shown = [matrix[int(post) - 1, int(pre) - 1] for pre, post in titles if pre != post]
    np.testing.assert_array_equal(shown, best)
    assert plot_filters(middle.tree, max_pairs=5).shape == (5,)


def test_filters_of_chosen_pairs_on_given_axes(middle):
    _, axes = plt.subplots(1, 2, layout="constrained")
    result = plot_filters(
        middle.tree, pairs=[("2", "1"), ("3", "3")], truth=middle.filters, hdi_prob=0.5, ax=axes
    )
    drawn(result)
    assert list(result) == list(axes)
    assert axes[0].get_title().startswith("2 -> 1 ")
    assert (axes[0].get_xlabel(), axes[0].get_ylabel()) == ("lag (ms)", "log-odds")
    line = next(line for line in axes[0].lines if line.get_label() == "true")
    np.testing.assert_array_equal(line.get_ydata(), middle.filters[0, 1])
    assert "50% interval" in [text.get_text() for text in axes[0].get_legend().get_texts()]


def test_long_names_stand_in_two_lines(small):
    groups = {name: group.to_dataset() for name, group in small.tree.children.items()}
    names = [f"shank_1_channel_{i}" for i in range(4)]
    for group in ("posterior", "constant_data", "observed_data"):
        known = {dim: names for dim in ("post", "pre") if dim in groups[group].coords}
        groups[group] = groups[group].assign_coords(known)
    axes = plot_filters(xr.DataTree.from_dict(groups))
    drawn(axes)
    assert axes[0, 1].get_title().startswith("shank_1_channel_1 -> shank_1_channel_0\n(P = ")
    boxes = [ax.title.get_window_extent() for ax in axes[0]]
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"pairs": [("1", "x")]}, ValueError, "pairs: unknown neuron 'x'"),
        ({"pairs": []}, ValueError, "pairs: got none"),
        ({"truth": np.zeros((4, 4))}, ValueError, r"truth: got the shape \(4, 4\).*\(4, 4, 20\)"),
        ({"max_pairs": 0}, ValueError, "max_pairs: got 0"),
        ({"hdi_prob": 1.0}, ValueError, "hdi_prob: got 1.0"),
        ({"ax": [1]}, TypeError, "ax: got int"),
    ],
)
def test_wrong_options_of_filters(small, options, error, message):
    with pytest.raises(error, match=message):
        plot_filters(small.tree, **options)


# Rates


def test_rates_over_spikes(small):
    axes = plot_rates(small.tree, neurons=["2", "4"], start=1.0, stop=2.0, n_draws=20)
    figure = drawn(axes)
    rates = predicted_rates(
        small.tree, start=1.0, stop=2.0, neurons=["2", "4"], n_draws=20, random_seed=0
    )
    spikes = small.tree["observed_data"]["spikes"].values[200:400]
    for i, (ax, neuron) in enumerate(zip(axes, (1, 3), strict=True)):
        (line,) = ax.lines
        np.testing.assert_allclose(line.get_ydata(), rates["mean"].values[:, i])
        np.testing.assert_allclose(line.get_xdata(), 1.0 + BIN_WIDTH * (np.arange(200) + 0.5))
        ticks = [segment[0, 0] for segment in ax.collections[1].get_segments()]
        expected = 1.0 + BIN_WIDTH * (np.flatnonzero(spikes[:, neuron]) + 0.5)
        np.testing.assert_allclose(ticks, expected)
        assert ax.get_xlim() == pytest.approx((1.0, 2.0))
        assert ax.get_title(loc="left") == f"neuron {neuron + 1}"
        assert ax.get_ylim()[0] == 0
    assert axes[-1].get_xlabel() == "time (s)"
    assert figure.get_supylabel() == "firing rate (Hz)"


def test_rates_show_the_busiest_stretch_of_the_busiest_neurons(middle):
    axes = plot_rates(middle.tree)
    spikes = middle.tree["observed_data"]["spikes"].values
    silent = spikes.sum(axis=0).argmin()
    shown = [int(ax.get_title(loc="left").split()[1]) - 1 for ax in axes]
    assert shown == [n for n in range(9) if n != silent]
    low, high = axes[0].get_xlim()
    first = round(low / BIN_WIDTH)
    assert high - low == pytest.approx(400 * BIN_WIDTH)
    sums = [spikes[t : t + 400, shown].sum() for t in range(601)]
    assert sums[first] == max(sums)


def test_rates_on_given_axes(small):
    _, ax = plt.subplots()
    result = plot_rates(small.tree, neurons=["1"], ax=ax)
    assert list(result) == [ax]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time (s)", "firing rate (Hz)")
    with pytest.raises(ValueError, match="ax: got 1 axes, but 4 panels"):
        plot_rates(small.tree, ax=ax)
    with pytest.raises(ValueError, match="unknown neurons"):
        plot_rates(small.tree, neurons=["z"])


def test_rates_of_traces():
    """The trace itself, its predicted mean, and no spikes."""
    traces = np.random.default_rng(1).normal(-2.0, 1.0, (300, 2))
    basis = pg.basis.raised_cosine(1, window=0.1, bin_width=0.02)
    model = pg.build_glm(traces, basis, observation="gaussian")
    tree = drawn_tree(model, draws=20, seed=1)
    axes = plot_rates(tree)
    figure = drawn(axes)
    assert figure.get_supylabel() == "trace"
    rates = predicted_rates(tree, n_draws=50, random_seed=0)
    for i, ax in enumerate(axes):
        mean, trace = ax.lines
        np.testing.assert_array_equal(trace.get_ydata(), traces[:, i])
        np.testing.assert_allclose(mean.get_ydata(), rates["mean"].values[:, i])
        assert len(ax.collections) == 1
        low, high = ax.get_ylim()
        assert low < traces[:, i].min() < traces[:, i].max() < high


# Raster


def test_raster_of_spike_trains():
    trains = SpikeTrains([[0.1, 0.7], [], [0.4, 1.9]], ["a", "b", "c"], start=0, stop=2)
    ax = plot_raster(trains, stop=1.5)
    drawn(ax)
    rows = [[segment[0, 0] for segment in row.get_segments()] for row in ax.collections]
    assert rows == [[0.1, 0.7], [], [0.4]]
    assert [row.get_lineoffset() for row in ax.collections] == [0, 1, 2]
    assert ax.get_xlim() == (0, 1.5)
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first neuron on top
    assert tick_labels(ax.yaxis) == ["a", "b", "c"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time (s)", "neuron")


def test_raster_of_counts_and_trees(small):
    trains = SpikeTrains([[0.12, 0.71], [0.4]], ["a", "b"], start=0, stop=1)
    ax = plot_raster(bin_spikes(trains, 0.1))
    rows = [[segment[0, 0] for segment in row.get_segments()] for row in ax.collections]
    np.testing.assert_allclose(rows[0], [0.15, 0.75])
    np.testing.assert_allclose(rows[1], [0.45])
    ax = plot_raster(small.tree, start=2.0, stop=3.0)
    spikes = small.tree["observed_data"]["spikes"].values[400:600]
    assert [len(row.get_segments()) for row in ax.collections] == list(spikes.sum(axis=0))


def test_large_rasters_are_rasterized():
    times = np.sort(np.random.default_rng(0).random((6, 2000)))
    trains = SpikeTrains(times, list("abcdef"), start=0, stop=1)
    assert all(row.get_rasterized() for row in plot_raster(trains).collections)
    assert not any(row.get_rasterized() for row in plot_raster(trains, stop=0.1).collections)


@pytest.mark.parametrize(
    ("spikes", "options", "error", "message"),
    [
        ([1, 2], {}, TypeError, "spikes: got list, allowed are SpikeTrains"),
        (xr.DataArray([1.0], dims="time"), {}, ValueError, r"spikes: got the dims \('time',\)"),
        (xr.DataTree(), {}, ValueError, "tree: it has no group 'observed_data'"),
        (None, {"start": 3.0}, ValueError, "start, stop: got the window 3 to 2 s"),
        (None, {"start": 1.0, "stop": 1.0}, ValueError, "start, stop: got the window 1 to 1 s"),
        (None, {"ax": 3}, TypeError, "ax: got int"),
    ],
)
def test_wrong_options_of_rasters(spikes, options, error, message):
    if spikes is None:
        spikes = SpikeTrains([[0.1, 0.7]], ["a"], start=0, stop=2)
    with pytest.raises(error, match=message):
        plot_raster(spikes, **options)


# Import


def test_matplotlib_is_not_imported_before_a_picture_is_drawn():
    code = (
        "import sys, types; package = types.ModuleType('pymc_glm'); "
        "import importlib.util as u; "
        "package.__path__ = list(u.find_spec('pymc_glm').submodule_search_locations); "
        "sys.modules['pymc_glm'] = package; import pymc_glm.plots; "
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
