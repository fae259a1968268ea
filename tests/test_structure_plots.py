from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Ellipse

import pymc_glm as pg
from helpers.structured_tree import block_tree, position_tree, with_variables, without
from helpers.synthetic_tree import example
from pymc_glm.plots import plot_blocks, plot_positions
from pymc_glm.plots.blocks import block_colour

pytestmark = pytest.mark.usefixtures("settings_stay")

TYPES = np.array([1, 0, 0, 2, 0, 1, 0, 2, 1, 0])
PROBABILITY = np.array([[0.5, 0.1, 0.05], [0.3, 0.05, 0.6], [0.02, 0.3, 0.2]])


@pytest.fixture(scope="module")
def blocks():
    return block_tree(TYPES, probability=PROBABILITY, unsure=(3,), flip=0.3)


@pytest.fixture(scope="module")
def place():
    return np.random.default_rng(1).normal(size=(9, 2))


@pytest.fixture(scope="module")
def positions(place):
    return position_tree(place, noise=0.15, position=100 * place + 600)


def drawn(ax):
    figure = np.ravel(ax)[0].figure
    figure.canvas.draw()
    return figure


def tick_labels(axis):
    return [text.get_text() for text in axis.get_ticklabels()]


def boxes_of(ax, which):
    """Boxes of a strip, (low, high, colour), top down; 0 is the innermost strip."""
    boxes = [p for p in ax.patches if p.get_fill() and p.get_x() < -0.5]
    columns = sorted({round(p.get_x(), 6) for p in boxes}, reverse=True)
    if which >= len(columns):
        return []
    strip = [p for p in boxes if round(p.get_x(), 6) == columns[which]]
    return [
        (p.get_y(), p.get_y() + p.get_height(), to_hex(p.get_facecolor()))
        for p in sorted(strip, key=lambda p: p.get_y())
    ]


# Blocks


def test_blocks_are_sorted_and_bordered(blocks):
    summary = pg.block_summary(blocks)
    axes = plot_blocks(summary)
    figure = drawn(axes)
    order = [1, 2, 4, 6, 9, 0, 5, 8, 3, 7]  # by block, then as they come
    together, network = axes
    np.testing.assert_allclose(
        together.images[0].get_array(), summary.co_assignment.values[np.ix_(order, order)]
    )
    np.testing.assert_allclose(
        network.images[0].get_array(), pg.network_matrix(blocks).values[np.ix_(order, order)]
    )
    for ax in axes:
        assert tick_labels(ax.xaxis) == tick_labels(ax.yaxis) == [f"n{i}" for i in order]
        (lines,) = [c for c in ax.collections if c.get_label() == "block borders"]
        places = sorted({segment[0, 1] for segment in lines.get_segments() if
                         segment[0, 1] == segment[1, 1]})  # fmt: skip
        assert places == [4.5, 7.5]
        assert len(lines.get_segments()) == 4
        assert ax.get_ylim() == (9.5, -0.5)  # the first neuron on top
        colours = [block_colour(k).lower() for k in range(3)]
        assert boxes_of(ax, 0) == [(-0.5, 4.5, colours[0]), (4.5, 7.5, colours[1]),
                                   (7.5, 9.5, colours[2])]  # fmt: skip
        assert boxes_of(ax, 1) == []
    assert together.images[0].get_clim() == (0, 1)
    bars = [ax.get_ylabel() for ax in figure.axes if ax not in list(axes)]
    assert sorted(bars) == ["inclusion probability", "probability of sharing a block"]
    assert (network.get_xlabel(), network.get_ylabel()) == ("pre neuron", "post neuron")


def test_true_types_next_to_blocks_in_matching_colours(blocks):
    names = np.array(["PYR", "PV", "SST"])[TYPES]
    names[2] = "SST"  # a neuron in the block of the PYR
    axes = plot_blocks(blocks, truth=names)
    drawn(axes)
    # by block, then by type: n2 is last of the first block
    assert tick_labels(axes[0].yaxis) == [f"n{i}" for i in [1, 4, 6, 9, 2, 0, 5, 8, 3, 7]]
    colours = [block_colour(k).lower() for k in range(3)]
    assert boxes_of(axes[0], 1) == [
        (-0.5, 3.5, colours[0]),
        (3.5, 4.5, colours[2]),
        (4.5, 7.5, colours[1]),
        (7.5, 9.5, colours[2]),
    ]
    texts = [text.get_text() for text in axes[0].texts]
    assert {"block", "true", "PYR", "PV", "SST", "0", "1", "2"} <= set(texts)
    index = float(pg.block_summary(blocks, names).adjusted_rand.median())
    assert f"adjusted Rand index {index:.2f}" in axes[0].get_title()


def test_types_without_a_block_have_other_colours(blocks):
    axes = plot_blocks(blocks, truth=np.arange(10))
    colours = [colour for _, _, colour in boxes_of(axes[0], 1)]
    assert len(colours) == 10
    assert len(set(colours)) == 8  # all colours that exist
    matched = [block_colour(k).lower() for k in range(3)]
    assert all(colours.count(colour) <= 2 for colour in matched)


def test_dense_models_show_weights_and_bare_labels_no_network(blocks):
    axes = plot_blocks(without(blocks, "adjacency"))
    figure = drawn(axes)
    assert any("log-odds" in ax.get_ylabel() for ax in figure.axes)
    alone = without(blocks, "adjacency", "weights")
    axes = plot_blocks(alone)
    drawn(axes)
    assert axes.shape == (1,)
    _, ax = plt.subplots()
    assert list(plot_blocks(alone, ax=ax)) == [ax]


def test_blocks_on_given_axes(blocks):
    figure, given = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
    axes = plot_blocks(pg.block_summary(blocks), truth=TYPES, ax=given)
    figure.canvas.draw()
    assert list(axes) == list(given)
    assert len(plt.get_fignums()) == 1
    with pytest.raises(ValueError, match="ax: got 1 axes, but 2 panels"):
        plot_blocks(blocks, ax=given[0])


def test_labels_of_many_neurons_and_of_strips_do_not_overlap():
    tree = block_tree(np.repeat([0, 1, 2], [30, 20, 10]), n_draws=20)
    axes = plot_blocks(tree, truth=np.repeat(["a long name", "PV", "SST"], [30, 20, 10]))
    drawn(axes)
    for ax in axes:
        labels = [text for text in ax.get_yticklabels() if text.get_text()]
        found = sorted((t.get_window_extent() for t in labels), key=lambda box: box.y0)
        assert len(found) > 10
        assert all(low.y1 <= high.y0 for low, high in pairwise(found))
        strips = [t.get_window_extent() for t in ax.texts]
        for one in range(len(strips)):
            assert not any(strips[one].overlaps(other) for other in strips[one + 1 :])


def test_separate_blocks_of_the_weights(blocks):
    labels = np.tile([0, 1] * 5, (4, 100, 1))
    tree = with_variables(
        without(blocks, "block_labels", "edge_probability", "weight_mean"),
        weight_block_labels=(("post",), labels),
    )
    axes = plot_blocks(tree)
    assert tick_labels(axes[0].yaxis)[:5] == ["n0", "n2", "n4", "n6", "n8"]


@pytest.mark.parametrize(
    ("given", "options", "error", "message"),
    [
        (object(), {}, TypeError, "summary_or_tree: got object"),
        (None, {"truth": [1, 2]}, ValueError, r"truth: got the shape \(2,\)"),
        (None, {"ax": 3}, TypeError, "ax: got int"),
        (example(3, 1).tree, {}, ValueError, "learns no blocks"),
    ],
)
def test_wrong_options_of_blocks(blocks, given, options, error, message):
    with pytest.raises(error, match=message):
        plot_blocks(blocks if given is None else given, **options)


# Positions


def points(ax, marker):
    """Places of the round (means) or square (known) markers."""
    n_vertices = {"o": 26, "s": 5}[marker]
    (found,) = [c for c in ax.collections
                if hasattr(c, "get_sizes") and len(c.get_sizes())
                and len(c.get_paths()[0].vertices) == n_vertices]  # fmt: skip
    return np.asarray(found.get_offsets())


def test_positions_with_their_regions(positions):
    found = pg.align_positions(positions)
    ax = plot_positions(positions)
    figure = drawn(ax)
    np.testing.assert_allclose(points(ax, "o"), found.mean)
    ellipses = [patch for patch in ax.patches if isinstance(patch, Ellipse)]
    assert len(ellipses) == 2 * 9
    for n in range(9):
        variance = np.linalg.eigvalsh(found.covariance[n])
        for probability in (0.5, 0.9):
            # P(chi^2_2 < r^2) = 1 - exp(-r^2 / 2)
            radius = np.sqrt(-2 * np.log(1 - probability))
            widest = 2 * radius * np.sqrt(variance[1])
            of_neuron = [e for e in ellipses if np.allclose(e.center, found.mean[n])]
            assert any(e.width == pytest.approx(widest) for e in of_neuron)
    assert (ax.get_xlabel(), ax.get_ylabel()) == (
        "latent dimension 1 (prior SD)",
        "latent dimension 2 (prior SD)",
    )
    assert sorted(text.get_text() for text in ax.texts) == [f"n{i}" for i in range(9)]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["posterior mean", "50% of draws", "90% of draws"]
    assert ax.get_aspect() == 1


def test_ellipses_contain_the_right_fraction_of_draws(place):
    # The draws of a neuron are stretched along a slanted line: angle and widths must fit.
    rng = np.random.default_rng(2)
    tree = position_tree(place, n_draws=1000, turn=False)
    draws = np.tile(place, (4, 1000, 1, 1))
    draws[:, :, 4] += rng.normal(0, 0.3, (4, 1000, 1)) * [1.0, 0.5]
    draws[:, :, 4] += rng.normal(0, 0.03, (4, 1000, 2))
    tree = with_variables(tree, latent_positions=(("post", "latent_dim"), draws))
    ax = plot_positions(tree)
    found = pg.align_positions(tree)
    ellipses = [p for p in ax.patches if isinstance(p, Ellipse)][8:10]
    for ellipse, probability in zip(ellipses, (0.9, 0.5), strict=True):
        to_circle = ellipse.get_patch_transform().inverted()
        inside = np.linalg.norm(
            to_circle.transform(found.positions.sel(post="n4").values.reshape(-1, 2)), axis=1
        ) < 1  # fmt: skip
        assert inside.mean() == pytest.approx(probability, abs=0.03)


def test_positions_over_electrodes(positions, place):
    ax = plot_positions(positions, reference="position")
    figure = drawn(ax)
    found = pg.align_positions(positions, reference="position")
    np.testing.assert_allclose(points(ax, "o"), found.reference_mean)
    np.testing.assert_allclose(points(ax, "s"), 100 * place + 600)
    lines = [c for c in ax.collections if type(c).__name__ == "LineCollection"]
    joined = np.array(lines[0].get_segments())
    np.testing.assert_allclose(joined[:, 0], found.reference_mean)
    np.testing.assert_allclose(joined[:, 1], 100 * place + 600)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x (µm)", "y (µm)")
    assert f"Procrustes correlation {float(found.correlation.median()):.2f}" in ax.get_title()
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend[-1] == "electrode"
    low, high = np.array([ax.get_xlim(), ax.get_ylim()]).T
    seen = np.concatenate([found.reference_mean, found.reference])
    assert (seen > low).all() and (seen < high).all()


def test_aligned_positions_keep_their_reference(positions, place):
    found = pg.align_positions(positions, 30 * place)
    ax = plot_positions(found)
    np.testing.assert_allclose(points(ax, "s"), 30 * place)
    other = {f"n{i}": 5 * place[i] for i in range(9)}
    np.testing.assert_allclose(points(plot_positions(found, reference=other), "s"), 5 * place)
    plain = pg.align_positions(positions)
    np.testing.assert_allclose(points(plot_positions(plain, reference=other), "s"), 5 * place)
    with pytest.raises(ValueError, match=r"reference: got 'position'; names are looked up in the"):
        plot_positions(plain, reference="position")


def test_neurons_have_the_colours_of_their_blocks(positions):
    types = np.array([0] * 5 + [1] * 4)
    tree = with_variables(positions, block_labels=(("post",), np.tile(types, (4, 100, 1))))
    ax = plot_positions(tree)
    figure = drawn(ax)
    ellipses = [patch for patch in ax.patches if isinstance(patch, Ellipse)][1::2]
    assert [to_hex(e.get_facecolor()) for e in ellipses] == [block_colour(k).lower() for k in types]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend[-2:] == ["block 0", "block 1"]


def test_positions_in_one_dimension():
    line = np.array([[2.0], [-1.0], [0.5], [-3.0]])
    tree = position_tree(line, noise=0.1)
    ax = plot_positions(tree, reference=10 * line)
    drawn(ax)
    assert tick_labels(ax.yaxis) == ["n3", "n1", "n2", "n0"]
    np.testing.assert_allclose(points(ax, "s"), [[-30, 0], [-10, 1], [5, 2], [20, 3]])
    found = pg.align_positions(tree, 10 * line)
    mean, sd = found.reference_mean.values[:, 0], np.sqrt(found.reference_covariance[:, 0, 0])
    bars = [c for c in ax.collections if type(c).__name__ == "LineCollection"]
    for bar, quantile in zip(bars, (1.6448536269514722, 0.6744897501960817), strict=True):
        ends = np.array(bar.get_segments())[:, :, 0]
        order = [3, 1, 2, 0]
        np.testing.assert_allclose(ends[:, 1] - ends[:, 0], 2 * quantile * sd[order])
        np.testing.assert_allclose(ends.mean(axis=1), mean[order])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x", "neuron")


def test_positions_in_three_dimensions_show_the_first_two():
    place = np.random.default_rng(3).normal(size=(7, 3))
    tree = position_tree(place, noise=0.1)
    ax = plot_positions(tree)
    drawn(ax)
    np.testing.assert_allclose(points(ax, "o"), pg.align_positions(tree).mean[:, :2])
    ax = plot_positions(tree, reference=100 * place)
    np.testing.assert_allclose(points(ax, "s"), 100 * place[:, :2])


def test_names_of_neurons_that_are_apart_do_not_overlap():
    grid = np.stack(np.meshgrid(np.arange(5.0), np.arange(4.0)), axis=-1).reshape(-1, 2)
    grid += np.random.default_rng(4).normal(0, 0.1, grid.shape)
    ax = plot_positions(position_tree(grid, noise=0.1), reference=grid)
    drawn(ax)
    found = [text.get_window_extent() for text in ax.texts]
    assert len(found) == 20
    for i, one in enumerate(found):
        assert not any(one.overlaps(other) for other in found[i + 1 :])
    many = np.random.default_rng(5).normal(size=(50, 2))
    assert not plot_positions(position_tree(many, n_draws=5)).texts


def test_positions_on_given_axes(positions):
    figure, ax = plt.subplots(layout="constrained")
    assert plot_positions(positions, ax=ax) is ax
    figure.canvas.draw()
    assert len(plt.get_fignums()) == 1 and not figure.legends
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts[0] == "posterior mean"


def test_separate_positions_of_the_weights(positions):
    raw = positions["posterior"]["latent_positions"].values
    tree = with_variables(
        without(positions, "latent_positions"),
        weight_latent_positions=(("post", "weight_latent_dim"), raw),
    )
    np.testing.assert_allclose(
        points(plot_positions(tree), "o"), points(plot_positions(positions), "o")
    )


@pytest.mark.parametrize(
    ("given", "options", "error", "message"),
    [
        (object(), {}, TypeError, "aligned_or_tree: got object"),
        (None, {"reference": np.zeros((2, 2))}, ValueError, r"reference: got the shape \(2, 2\)"),
        (None, {"ax": "here"}, TypeError, "ax: got str"),
        (example(3, 1).tree, {}, ValueError, "learns no positions"),
    ],
)
def test_wrong_options_of_positions(positions, given, options, error, message):
    with pytest.raises(error, match=message):
        plot_positions(positions if given is None else given, **options)
