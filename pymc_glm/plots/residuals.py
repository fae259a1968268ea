"""Cross-correlograms of residuals."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from pymc_glm.criticism.posterior import pair_index
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

__all__ = ["plot_residual_correlograms"]

_MOST = 12  # panels


def plot_residual_correlograms(
    residuals: xr.Dataset,
    *,
    pairs: Iterable[tuple[str, str]] | None = None,
    ax: "Axes | Iterable[Axes] | None" = None,
) -> np.ndarray:
    """Plot cross-correlograms of residuals over the 95% band of a right model, one panel per pair.

    Correlations outside the band are orange, with a dot on top.

    Parameters
    ----------
    residuals : Dataset
        From `residual_correlograms`.
    pairs : iterable of pairs of labels, optional
        Pairs to show, in this order. By default the 12 pairs that are farthest outside the band at
        any lag.
    ax : Axes or array of Axes, optional
        Where to draw, one for each pair. By default on a new figure.

    Returns
    -------
    array of Axes, shape (pair,)

    Raises
    ------
    TypeError, ValueError
        `residuals` or `ax` has the wrong type, or a pair is unknown.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> residuals = pg.residual_correlograms(tree, window=0.02)
    >>> pg.plot_residual_correlograms(residuals, pairs=[("b", "a")])[0].get_title()
    'b then a'
    """
    needed = ("correlation", "band", "z", "first", "second")
    check_result(residuals, "residuals", "pg.residual_correlograms", needed)
    chosen = _chosen(residuals, pairs)
    if ax is None:
        flat = grid_of_axes(len(chosen), (1.9, 1.5), sharex=True)
    else:
        flat = axes_list(ax, len(chosen))
    for panel, (index, sign) in zip(flat, chosen, strict=True):
        _draw(panel, residuals.isel(pair=index), sign)
    titles = []
    for index, sign in chosen:
        names = [str(residuals[end][index].values) for end in ("first", "second")][::sign]
        titles.append((f"{names[0]} then", names[1]))
    set_titles(flat, titles, 8, 1.5)
    key(flat, _handles(), ax is None)
    x, y = "lag (ms) of the second neuron", "correlation of residuals"
    if ax is None:
        figure = flat[0].figure
        figure.supxlabel(x, fontsize=9)
        figure.supylabel(y, fontsize=9)
        n = residuals.sizes["pair"]
        if pairs is None and n > len(chosen):
            figure.suptitle(
                f"{len(chosen)} of {n} pairs, those farthest outside the band", fontsize=9
            )
    else:
        for panel in flat:
            panel.set_xlabel(x)
            panel.set_ylabel(y)
    return np.array(flat, dtype=object)


def _chosen(
    residuals: xr.Dataset, pairs: Iterable[tuple[str, str]] | None
) -> list[tuple[int, int]]:
    """Return indices of pairs, with -1 for those given in the other order and 1 for the others."""
    if pairs is None:
        off = np.nan_to_num(np.abs(residuals["z"].values)).max(axis=1)
        return [(int(i), 1) for i in np.argsort(-off, kind="stable")[:_MOST]]
    ends = list(zip(residuals["first"].values, residuals["second"].values, strict=True))
    labels = tuple(dict.fromkeys(str(label) for pair in ends for label in pair))
    where = {(str(a), str(b)): i for i, (a, b) in enumerate(ends)}
    chosen = []
    for one, other in pair_index(labels, pairs):
        names = labels[one], labels[other]
        if names in where:
            chosen.append((where[names], 1))
        elif names[::-1] in where:
            chosen.append((where[names[::-1]], -1))
        else:
            raise ValueError(f"pairs: {names!r} is one neuron; give two different neurons.")
    return chosen


def _handles() -> list[Any]:
    """Return the entries of the legend, whether they occur or not."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    return [
        Patch(color=GREY, alpha=0.35, linewidth=0, label="95% if the model is right"),
        Line2D([], [], color=BLUE, linewidth=1.6, label="within"),
        Line2D([], [], color=VERMILION, linewidth=1.6, marker="o", markersize=3, label="outside"),
    ]


def _draw(ax: "Axes", one: xr.Dataset, sign: int) -> None:
    lags = one["lag"].values * 1e3
    band, values = one["band"].values[::sign], one["correlation"].values[::sign]
    ax.fill_between(lags, -band, band, color=GREY, alpha=0.35, linewidth=0, label="95%")
    outside = np.abs(values) > band
    for which, colour in ((~outside, BLUE), (outside, VERMILION)):
        ax.vlines(lags[which], 0, values[which], color=colour, linewidth=1.6)
    ax.plot(lags[outside], values[outside], "o", color=VERMILION, markersize=2.5)
    ax.axhline(0, color=INK, linewidth=0.6)
    step = 0.7 * (lags[1] - lags[0])
    ax.set_xlim(lags[0] - step, lags[-1] + step)
    ax.tick_params(labelsize=7, length=2)
    ax.locator_params(axis="y", nbins=4)
    ax.spines[["top", "right"]].set_visible(False)
