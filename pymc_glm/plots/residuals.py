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
    """Show cross-correlograms of residuals, one panel a pair, over the 95% band of a right model.

    Correlations outside of the band are orange, with a dot on top.

    Parameters
    ----------
    residuals : Dataset
        From `residual_correlograms`.
    pairs : iterable of pairs of labels, optional
        Pairs to show, in this order. By default the 12 whose residuals are farthest out of the
        band at any lag.
    ax : Axes or array of Axes, optional
        Where to draw, one for every pair. By default on a new figure.

    Returns
    -------
    array of Axes, shape (pair,)

    Raises
    ------
    TypeError, ValueError
        residuals or ax are of another kind, or a pair is unknown.

    Examples
    --------
    >>> import arviz as az, numpy as np, pymc_glm as pg
    >>> counts = np.random.default_rng(1).binomial(1, 0.2, (1500, 2))
    >>> tree = az.from_dict(
    ...     {
    ...         "posterior": {
    ...             "bias": np.full((1, 20, 2), np.log(0.25)),
    ...             "weights": np.zeros((1, 20, 2, 2, 1)),
    ...         },
    ...         "constant_data": {
    ...             "counts": counts,
    ...             "basis_functions": np.ones((1, 1)),
    ...             "bin_width": np.array(0.01),
    ...         },
    ...     },
    ...     coords={"post": ["a", "b"], "pre": ["a", "b"], "time": np.arange(1500) * 0.01},
    ...     dims={
    ...         "bias": ["post"],
    ...         "weights": ["post", "pre", "basis"],
    ...         "counts": ["time", "post"],
    ...         "basis_functions": ["lag", "basis"],
    ...     },
    ... )
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
    x, y = "lag (ms), the second neuron later", "correlation of residuals"
    if ax is None:
        figure = flat[0].figure
        figure.supxlabel(x, fontsize=9)
        figure.supylabel(y, fontsize=9)
        n = residuals.sizes["pair"]
        if pairs is None and n > len(chosen):
            figure.suptitle(f"the {len(chosen)} pairs farthest off of {n}", fontsize=9)
    else:
        for panel in flat:
            panel.set_xlabel(x)
            panel.set_ylabel(y)
    return np.array(flat, dtype=object)


def _chosen(
    residuals: xr.Dataset, pairs: Iterable[tuple[str, str]] | None
) -> list[tuple[int, int]]:
    """Return pairs by index, and -1 where they are asked for in the other order."""
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
            raise ValueError(f"pairs: {names!r} is one neuron; give two different ones.")
    return chosen


def _handles() -> list[Any]:
    """Return what is drawn, whether it occurs or not."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    return [
        Patch(color=GREY, alpha=0.35, linewidth=0, label="95%, right model"),
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
