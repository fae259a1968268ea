"""Kolmogorov-Smirnov plots of rescaled intervals."""

from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pymc_glm.arguments import label_index
from pymc_glm.plots.panels import (
    BLUE,
    GREY,
    INK,
    VERMILION,
    axes_list,
    check_result,
    grid_of_axes,
    key,
    set_titles,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_time_rescaling"]

_MOST = 24  # panels
_BAND = (0.03, 0.97)


def plot_time_rescaling(
    result: xr.Dataset,
    *,
    neurons: Iterable[Hashable] | None = None,
    difference: bool = False,
    ax: "Axes | Iterable[Axes] | None" = None,
) -> np.ndarray:
    """Plot the distribution of rescaled intervals against that of the model, one panel per neuron.

    The curve is for the intensity averaged over draws. If the model is right it is near the
    diagonal: within the dashed lines in 95% of cases, within the dotted lines in 99%. It is blue
    within the 95%, otherwise thick and orange. The shaded band contains 94% of the draws.

    Parameters
    ----------
    result : Dataset
        From `time_rescaling`.
    neurons : iterable of labels, optional
        Neurons to show, in this order. By default those with enough spikes, at most the 24 that are
        farthest from the diagonal for their number of spikes.
    difference : bool
        Plot the difference from the diagonal, which is easier to read if there are many spikes.
    ax : Axes or array of Axes, optional
        Where to draw, one for each neuron. By default on a new figure.

    Returns
    -------
    array of Axes, shape (neuron,)

    Raises
    ------
    TypeError, ValueError
        `result` or `ax` has the wrong type, or a neuron is unknown or has too few spikes.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> result = pg.time_rescaling(tree, random_seed=1)
    >>> len(pg.plot_time_rescaling(result))
    3
    """
    needed = ("rescaled", "cdf", "bound", "ks_mean", "p_value")
    check_result(result, "result", "pg.time_rescaling", needed)
    labels = tuple(str(label) for label in result["neuron"].values)
    keep = _chosen(result, labels, neurons)
    if ax is None:
        flat = grid_of_axes(len(keep), (1.75, 1.7), sharex=True, sharey=not difference)
    else:
        flat = axes_list(ax, len(keep))
    for panel, n in zip(flat, keep, strict=True):
        _draw(panel, result.isel(neuron=n), difference)
    titles = [(f"neuron {labels[n]},", _p(float(result["p_value"][n]))) for n in keep]
    set_titles(flat, titles, 8, 1.4)
    key(flat, _handles(), ax is None)
    y = "observed - expected" if difference else "fraction of intervals, observed"
    x = "fraction of intervals, expected"
    if ax is None:
        figure = flat[0].figure
        figure.supxlabel(x, fontsize=9)
        figure.supylabel(y, fontsize=9)
        shown = f"{len(keep)} of {len(labels)} neurons, those farthest from the diagonal"
        if neurons is None and len(keep) == _MOST < len(labels):
            figure.suptitle(shown, fontsize=9)
    else:
        for panel in flat:
            panel.set_xlabel(x)
            panel.set_ylabel(y)
    return np.array(flat, dtype=object)


def _chosen(
    result: xr.Dataset, labels: tuple[str, ...], neurons: Iterable[Hashable] | None
) -> NDArray[np.intp]:
    known = np.isfinite(result["ks_mean"].values)
    keep = label_index(labels, neurons)
    if neurons is None:
        keep = keep[known]
        off = (result["ks_mean"] / result["bound"].isel(probability=0)).values[keep]
        return np.sort(keep[np.argsort(-off, kind="stable")[:_MOST]])
    if not known[keep].all():
        raise ValueError(
            f"neurons: {labels[keep[~known[keep]][0]]!r} has too few spikes for the test; leave "
            "this neuron out."
        )
    return keep


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.2g}"


def _handles() -> list[Any]:
    """Return the entries of the legend, whether they occur or not."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    return [
        Line2D([], [], color=BLUE, linewidth=1.0, label="mean intensity"),
        Line2D([], [], color=VERMILION, linewidth=1.8, label="mean intensity, beyond 95%"),
        Patch(color=BLUE, alpha=0.25, linewidth=0, label="94% of draws"),
        Line2D(
            [], [], color=GREY, linewidth=0.8, linestyle="--", label="95% if the model is right"
        ),
        Line2D([], [], color=GREY, linewidth=0.8, linestyle=":", label="99%"),
    ]


def _draw(ax: "Axes", one: xr.Dataset, difference: bool) -> None:
    rescaled = np.sort(one["rescaled"].values[np.isfinite(one["rescaled"].values)])
    n = len(rescaled)
    levels = one["level"].values
    base = 0.0 if difference else 1.0
    low, high = np.quantile(one["cdf"].values, _BAND, axis=0) - levels * (1 - base)
    ends = np.array([0.0, 1.0])
    for bound, style in zip(one["bound"].values, ("--", ":"), strict=True):
        for sign in (-1, 1):
            ax.plot(ends, base * ends + sign * bound, style, color=GREY, linewidth=0.8)
    ax.plot(ends, base * ends, color=GREY, linewidth=0.8)
    outside = float(one["ks_mean"]) > float(one["bound"][0])
    colour = VERMILION if outside else BLUE
    ax.fill_between(levels, low, high, color=colour, alpha=0.25, linewidth=0)
    x = np.concatenate([[0.0], rescaled, [1.0]])
    y = np.concatenate([[0.0], np.arange(1, n + 1) / n, [1.0]]) - x * (1 - base)
    ax.step(x, y, where="post", color=colour, linewidth=1.8 if outside else 1.0, label="mean")
    ax.set_xlim(0, 1)
    if difference:
        reach = 1.15 * max(float(one["bound"].max()), float(one["ks_mean"]), high.max(), -low.min())
        ax.set_ylim(-reach, reach)
    else:
        ax.set_ylim(0, 1)
    ax.tick_params(labelsize=7, length=2, labelcolor=INK)
    ax.locator_params(nbins=3)
    ax.spines[["top", "right"]].set_visible(False)
