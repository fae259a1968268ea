"""Plots of the goodness of fit, against the numbers in the results."""

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest

import pymc_glm as pg
from helpers.known_tree import known_tree, refractory
from pymc_glm.plots.panels import BLUE, VERMILION

pytestmark = pytest.mark.usefixtures("settings_stay")


@pytest.fixture(scope="module")
def tree():
    """A posterior at the truth, except for the bias of the last neuron."""
    network = refractory(bias=(-2.0, -2.0, -2.0))
    counts = pg.simulate(network, 4000, random_seed=1).values
    posterior = known_tree(network, counts, n_draws=40)
    rng = np.random.default_rng(2)
    posterior["posterior"]["bias"].values[:] += rng.normal([0.0, 0.0, 1.0], 0.05, (1, 40, 3))
    return posterior


@pytest.fixture(scope="module")
def rescaled(tree):
    return pg.time_rescaling(tree, random_seed=1)


@pytest.fixture(scope="module")
def residuals(tree):
    return pg.residual_correlograms(tree, window=0.02)


@pytest.fixture(scope="module")
def checks(tree):
    def total(counts, bin_width, starts):
        return counts.sum()

    names = [*pg.statistics.BY_NAME, total]
    return pg.predictive_check(tree, names, kind="one_step", random_seed=1)


def drawn(axes):
    figure = np.ravel(axes)[0].figure
    figure.canvas.draw()
    return figure


def key_of(figure):
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


# Time rescaling


@pytest.mark.parametrize("difference", [False, True])
def test_ks_plot(rescaled, difference):
    axes = pg.plot_time_rescaling(rescaled, difference=difference)
    figure = drawn(axes)
    assert axes.shape == (3,)
    assert len(figure.axes) == 3
    for n, ax in enumerate(axes):
        *bounds, diagonal, curve = ax.lines
        slope = 0.0 if difference else 1.0
        np.testing.assert_allclose(diagonal.get_ydata(), [0, slope])
        ends = sorted(line.get_ydata()[0] for line in bounds)
        low, high = rescaled["bound"].values[:, n]
        np.testing.assert_allclose(ends, [-high, -low, low, high])
        assert [line.get_linestyle() for line in bounds] == ["--", "--", ":", ":"]
        levels = np.sort(rescaled["rescaled"][n].dropna("interval").values)
        np.testing.assert_allclose(curve.get_xdata()[1:-1], levels)
        expected = np.arange(1, len(levels) + 1) / len(levels) - (1 - slope) * levels
        np.testing.assert_allclose(curve.get_ydata()[1:-1], expected)
        band = ax.collections[0].get_paths()[0].vertices
        assert band[:, 0].min() == 0
        assert band[:, 0].max() == 1
        outside = rescaled["ks_mean"][n] > low
        assert curve.get_color() == (VERMILION if outside else BLUE)
        assert (curve.get_linewidth() > 1.5) == outside  # not by colour alone
        assert ax.get_xlim() == (0, 1)
        if not difference:
            assert ax.get_ylim() == (0, 1)
        title = ax.get_title().replace("\n", " ")
        assert title.startswith(f"neuron n{n}, p ")
    assert axes[2].get_title().replace("\n", " ") == "neuron n2, p < 0.001"
    assert key_of(figure) == [
        "mean intensity",
        "mean intensity, beyond 95%",
        "94% of draws",
        "95% if the model is right",
        "99%",
    ]
    assert figure.get_supxlabel() == "fraction of intervals, expected"
    assert "observed" in figure.get_supylabel()


def test_ks_plot_of_chosen_neurons_on_given_axes(rescaled):
    _, given = plt.subplots(1, 2)
    axes = pg.plot_time_rescaling(rescaled, neurons=["n2", "n0"], ax=given)
    assert list(axes) == list(given)
    assert axes[0].get_title().replace("\n", " ").startswith("neuron n2")
    assert axes[1].get_xlabel() == "fraction of intervals, expected"
    assert axes[0].get_legend() is not None
    assert axes[1].get_legend() is None
    assert len(plt.get_fignums()) == 1


def test_many_neurons_are_the_farthest_off(rescaled):
    many = rescaled.isel(neuron=np.zeros(30, int)).assign_coords(neuron=[f"{i}" for i in range(30)])
    far = many["ks_mean"].values + np.linspace(0, 1e-3, 30)
    far[4] = np.nan  # too few spikes
    axes = pg.plot_time_rescaling(many.assign(ks_mean=("neuron", far)))
    figure = drawn(axes)
    names = [ax.get_title().split()[1].rstrip(",") for ax in axes]
    assert names == [f"{i}" for i in range(6, 30)]
    assert figure.get_suptitle() == "24 of 30 neurons, those farthest from the diagonal"
    with pytest.raises(ValueError, match="neurons: '4' has too few spikes"):
        pg.plot_time_rescaling(many.assign(ks_mean=("neuron", far)), neurons=["4"])


# Residual correlograms


def test_residual_plot(residuals):
    axes = pg.plot_residual_correlograms(residuals, pairs=[("n0", "n1"), ("n2", "n0")])
    figure = drawn(axes)
    for ax, pair, sign in ((axes[0], "n0 & n1", 1), (axes[1], "n0 & n2", -1)):
        one = residuals.sel(pair=pair)
        values, band = one["correlation"].values[::sign], one["band"].values[::sign]
        lags = 1e3 * residuals["lag"].values
        found = {}
        for bars in ax.collections[1:]:
            found |= {round(s[0, 0], 6): s[1, 1] for s in bars.get_segments()}
        np.testing.assert_allclose([found[round(lag, 6)] for lag in lags], values)
        np.testing.assert_allclose(ax.lines[0].get_xdata(), lags[np.abs(values) > band])
        edge = ax.collections[0].get_paths()[0].vertices[:, 1]
        assert edge.max() == pytest.approx(band.max())
        assert edge.min() == pytest.approx(-band.max())
        low, high = ax.get_xlim()
        assert low < -20
        assert high > 20
    assert axes[1].get_title().replace("\n", " ") == "n2 then n0"
    assert key_of(figure) == ["95% if the model is right", "within", "outside"]
    assert figure.get_supxlabel() == "lag (ms) of the second neuron"
    assert figure.get_supylabel() == "correlation of residuals"
    _, given = plt.subplots()
    assert pg.plot_residual_correlograms(residuals, pairs=[("n0", "n1")], ax=given)[0] is given
    assert len(pg.plot_residual_correlograms(residuals)) == 3
    with pytest.raises(ValueError, match="pairs: unknown neuron 'x'"):
        pg.plot_residual_correlograms(residuals, pairs=[("n0", "x")])
    with pytest.raises(ValueError, match="is one neuron"):
        pg.plot_residual_correlograms(residuals, pairs=[("n0", "n0")])


# Predictive checks


@pytest.mark.parametrize("name", ["rate", "cv", "fano"])
def test_rows_of_neurons(checks, name):
    check = checks[name]
    (ax,) = pg.plot_predictive_check(check)
    drawn(ax)
    outer, inner = ax.collections
    for bars, levels in ((outer, (0.025, 0.975)), (inner, (0.25, 0.75))):
        expected = check["replicated"].quantile(levels, "sample").values.T
        np.testing.assert_allclose([s[:, 0] for s in bars.get_segments()], expected)
    lines = {line.get_label(): line for line in ax.lines}
    np.testing.assert_allclose(lines["median"].get_xdata(), check["replicated"].median("sample"))
    points = {}
    for label in ("observed", "outside 95%"):
        points |= dict(zip(lines[label].get_ydata(), lines[label].get_xdata(), strict=True))
    np.testing.assert_allclose([points[n] for n in range(3)], check["observed"])
    if name == "rate":  # the last neuron's bias is wrong
        assert 2 in lines["outside 95%"].get_ydata()
        assert ax.get_xlabel() == "firing rate (Hz)"
    assert lines["observed"].get_markerfacecolor() != lines["outside 95%"].get_markerfacecolor()
    assert [text.get_text() for text in ax.get_yticklabels()] == ["n0", "n1", "n2"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]
    assert ax.get_title(loc="left").startswith("40 replicates, one step ahead; overall p = ")


@pytest.mark.parametrize(
    ("name", "dim", "label", "unit"),
    [
        ("autocorrelogram", "lag", "lag (ms)", 1e3),
        ("crosscorrelogram", "lag", "lag (ms) of the second neuron", 1e3),
        ("isi_histogram", "interval", "inter-spike interval (ms)", 1e3),
        ("isi", "probability", "quantile", 1.0),
    ],
)
def test_curves(checks, name, dim, label, unit):
    check = checks[name]
    group = check["observed"].dims[0]
    axes = pg.plot_predictive_check(check)
    figure = drawn(axes)
    assert len(axes) == 3
    for i, ax in enumerate(axes):
        one = check.isel({group: i})
        median, observed = ax.lines
        np.testing.assert_allclose(observed.get_xdata(), one[dim] * unit)
        np.testing.assert_allclose(observed.get_ydata(), one["observed"])
        np.testing.assert_allclose(median.get_ydata(), one["replicated"].median("sample"))
        edge = ax.collections[0].get_paths()[0].vertices[:, 1]
        low, high = one["replicated"].quantile([0.025, 0.975], "sample").values
        assert edge.max() == pytest.approx(high.max())
        assert edge.min() == pytest.approx(low.min())
        assert str(one[group].values) in ax.get_title()
    assert key_of(figure) == ["replicates, 95%", "median", "observed"]
    assert figure.get_supxlabel() == label
    assert figure.get_supylabel() == check.attrs["label"]
    assert ax.get_yscale() == check.attrs["scale"]
    chosen = str(check[group].values[1])
    _, given = plt.subplots()
    (one,) = pg.plot_predictive_check(check, select=[chosen], ax=given)
    assert one is given
    assert chosen in one.get_title()
    assert one.get_ylabel() == check.attrs["label"]


def test_logarithmic_axes_have_plain_numbers_that_do_not_overlap(checks):
    axes = pg.plot_predictive_check(checks["isi"])
    figure = drawn(axes)
    for ax in axes:
        low, high = ax.get_ylim()
        shown = {
            float(label.get_text()): label
            for tick, label in zip(ax.get_yticks(), ax.get_yticklabels(), strict=True)
            if low <= tick <= high
        }
        assert len(shown) >= 2
        assert all(f"{value:g}".lstrip("0.").rstrip("0") in ("1", "2", "5") for value in shown)
        assert not any(text.get_text() for text in ax.yaxis.get_minorticklabels())
        boxes = [shown[value].get_window_extent() for value in sorted(shown)]
        assert all(one.y1 <= other.y0 for one, other in pairwise(boxes))
    panels, (legend,) = [ax.get_window_extent() for ax in axes], figure.legends
    assert legend.get_window_extent().x0 >= max(box.x1 for box in panels)


def test_synchrony_on_a_logarithmic_axis(checks):
    check = checks["synchrony"]
    (ax,) = pg.plot_predictive_check(check)
    drawn(ax)
    values = check["observed"].values
    shown = ax.lines[1].get_ydata()
    np.testing.assert_allclose(shown[values > 0], values[values > 0])
    assert (shown > 0).all()
    assert ax.get_yscale() == "log"
    assert ax.get_xlabel() == "neurons that fire in the same bin"
    assert {t.get_text() for t in ax.get_legend().get_texts()} == {
        "replicates, 95%",
        "median",
        "observed",
    }


def test_one_number(checks):
    (ax,) = pg.plot_predictive_check(checks["total"])
    drawn(ax)
    assert sum(patch.get_height() for patch in ax.patches) == 40
    assert ax.lines[0].get_xdata()[0] == float(checks["total"]["observed"])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("total", "replicates")
    with pytest.raises(ValueError, match="select: the statistic has no neurons"):
        pg.plot_predictive_check(checks["total"], select=["n0"])


def test_replicates_that_all_run_away(tree):
    away = tree.copy(deep=True)
    away["posterior"]["bias"].values[:] = 5.0
    away["posterior"]["weights"].values[:] = 0.0
    found = pg.predictive_check(away, ["rate", "isi", "synchrony", "autocorrelogram"], draws=3)
    for check in found.values():
        axes = pg.plot_predictive_check(check)
        figure = drawn(axes)
        texts = [figure.get_suptitle(), axes[0].get_title(loc="left")]
        assert any("running freely, all 3 replicates ran away" in text for text in texts)


def test_wrong_results(rescaled, residuals, checks):
    for plot, argument in (
        (pg.plot_time_rescaling, "result"),
        (pg.plot_residual_correlograms, "residuals"),
        (pg.plot_predictive_check, "check"),
    ):
        with pytest.raises(TypeError, match=f"{argument}: got dict, allowed is the Dataset"):
            plot({})
        with pytest.raises(ValueError, match=f"{argument}: it has no"):
            plot(checks["rate"][["p_overall"]])
    with pytest.raises(ValueError, match="ax: got 1 axes, but 3 panels"):
        pg.plot_time_rescaling(rescaled, ax=plt.subplots()[1])
    with pytest.raises(ValueError, match=r"select: unknown neurons \['x'\]"):
        pg.plot_predictive_check(checks["rate"], select=["x"])
