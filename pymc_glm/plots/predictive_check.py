"""Statistics of the recording compared with those of posterior predictive replicates."""

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
    label_neurons,
    new_axes,
    plain_logs,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_predictive_check"]

_MOST = 12  # panels
_INNER, _OUTER = (0.25, 0.75), (0.025, 0.975)
_GROUPS = ("neuron", "pair")
_AXES = {
    "lag": ("lag (ms)", 1e3),
    "interval": ("inter-spike interval (ms)", 1e3),
    "probability": ("quantile", 1.0),
    "n_active": ("neurons that fire in the same bin", 1.0),
}


def plot_predictive_check(
    check: xr.Dataset,
    *,
    select: Iterable[Hashable] | None = None,
    ax: "Axes | Iterable[Axes] | None" = None,
) -> np.ndarray:
    """Plot a statistic of the recording along with those of the replicates.

    A single number is shown over a histogram of the replicates; a number for each neuron or pair in
    rows, over the median, 50% and 95% intervals of the replicates; a curve, for instance over lags,
    in one panel per neuron or pair, over the pointwise 95% band of the replicates. Observed values
    are orange; in rows they are filled if outside the 95% interval. On logarithmic axes 0 is drawn
    at half of the smallest positive value.

    Parameters
    ----------
    check : Dataset
        From `predictive_check`.
    select : iterable of labels, optional
        Neurons or pairs ("a & b") to show, in this order. By default all rows, or the 12 curves
        that are farthest from the replicates.
    ax : Axes or array of Axes, optional
        Where to draw: one, or one for each panel. By default on a new figure.

    Returns
    -------
    array of Axes

    Raises
    ------
    TypeError, ValueError
        `check` or `ax` has the wrong type, a label is unknown, or the statistic has too many
        dimensions.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> check = pg.predictive_check(tree, "autocorrelogram", random_seed=1)
    >>> pg.plot_predictive_check(check, select=["b"])[0].get_title()
    'neuron b'
    """
    check_result(check, "check", "pg.predictive_check", ("observed", "replicated", "p_value"))
    dims = check["observed"].dims
    groups = [dim for dim in dims if dim in _GROUPS]
    if len(dims) > 2 or (len(dims) == 2 and not groups):
        raise ValueError(
            f"check: {check.attrs['statistic']!r} has the dims {dims}, allowed are at most "
            "neurons or pairs and one more; select some by check.isel."
        )
    if groups and select is not None:
        labels = tuple(str(label) for label in check[groups[0]].values)
        keep = label_index(labels, select, "select", f"{groups[0]}s")
        check = check.isel({groups[0]: keep})
    elif select is not None:
        raise ValueError("select: the statistic has no neurons or pairs; leave select out.")
    if len(dims) == 2:
        return _panels(check, str(groups[0]), select is None, ax)
    if not dims:
        return _one(
            axes_list(ax, 1)[0] if ax is not None else new_axes(1, 1, (4.0, 2.6))[0, 0], check
        )
    if groups:
        return _rows(check, str(groups[0]), ax)
    axis = axes_list(ax, 1)[0] if ax is not None else new_axes(1, 1, (4.6, 3.0))[0, 0]
    _curve(axis, check)
    axis.set_xlabel(_axis(str(dims[0]))[0])
    axis.set_ylabel(check.attrs["label"])
    axis.set_title(_title(check), loc="left", fontsize=8, color=INK)
    axis.legend(frameon=False, fontsize=7)
    return np.array([axis], dtype=object)


def _title(check: xr.Dataset) -> str:
    """Return a title: kind and number of the replicates, and the overall p value."""
    how = "running freely" if check.attrs["kind"] == "free" else "one step ahead"
    away = check.attrs["n_run_away"]
    if away == check.attrs["n_draws"]:
        return f"{how}, all {away} replicates ran away, so there is no comparison"
    lost = f", {away} ran away" if away else ""
    overall = float(check["p_overall"])
    return f"{check.attrs['n_draws']} replicates, {how}{lost}; overall p = {overall:.2g}"


def _axis(dim: str) -> tuple[str, float]:
    return _AXES.get(dim, (dim, 1.0))


def _quantiles(check: xr.Dataset, levels: Iterable[float]) -> NDArray[np.float64]:
    """Return quantiles over replicates, NaN where there are no finite values."""
    values = check["replicated"].transpose("sample", ...).values
    empty = ~np.isfinite(values).any(axis=0)
    found = np.nanquantile(np.where(empty, 0.0, values), list(levels), axis=0)
    return np.where(empty, np.nan, found)


def _one(ax: "Axes", check: xr.Dataset) -> np.ndarray:
    values = check["replicated"].values
    ax.hist(values[np.isfinite(values)], bins=25, color=BLUE, alpha=0.6, label="replicates")
    ax.axvline(float(check["observed"]), color=VERMILION, linewidth=1.8, label="observed")
    ax.set_xlabel(check.attrs["label"])
    ax.set_ylabel("replicates")
    ax.set_title(_title(check), loc="left", fontsize=8, color=INK)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize=7)
    return np.array([ax], dtype=object)


def _rows(check: xr.Dataset, group: str, given: Any) -> np.ndarray:
    labels = [str(label) for label in check[group].values]
    rows = np.arange(len(labels))
    height = float(np.clip(0.16 * len(labels) + 1.2, 2.0, 8.0))
    if given is None:
        ax, room = new_axes(1, 1, (5.5, height))[0, 0], height - 1.0
    else:
        ax = axes_list(given, 1)[0]
        room = ax.bbox.height / ax.figure.dpi
    thick = float(np.clip(room * 72 / len(labels) * 0.3, 1.5, 4.5))
    low, first, middle, third, high = _quantiles(
        check, (_OUTER[0], _INNER[0], 0.5, _INNER[1], _OUTER[1])
    )
    observed = check["observed"].values
    ax.hlines(rows, low, high, color=BLUE, linewidth=thick / 3, label="95%")
    ax.hlines(rows, first, third, color=BLUE, linewidth=thick, label="50%")
    ax.plot(middle, rows, "o", color="white", markersize=0.6 * thick, label="median",
            markeredgecolor=INK, markeredgewidth=0.5)  # fmt: skip
    outside = (observed < low) | (observed > high)
    for which, fill, label in (
        (~outside, "white", "observed"),
        (outside, VERMILION, "outside 95%"),
    ):
        ax.plot(observed[which], rows[which], "D", color=VERMILION, markerfacecolor=fill,
                markersize=thick + 1.0, markeredgewidth=1.0, label=label)  # fmt: skip
    ax.set_xscale(check.attrs["scale"])
    ax.set_ylim(len(labels) - 0.4, -0.6)
    label_neurons(ax, "y", labels, room)
    ax.set_xlabel(check.attrs["label"])
    ax.set_ylabel(group)
    ax.grid(axis="x", color=GREY, alpha=0.25, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_title(_title(check), loc="left", fontsize=8, color=INK)
    ax.legend(
        loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize=7, handlelength=1.2
    )
    return np.array([ax], dtype=object)


def _panels(check: xr.Dataset, group: str, default: bool, given: Any) -> np.ndarray:
    """Draw curves, one panel per neuron or pair."""
    check = check.transpose("sample", group, ...)
    n = check.sizes[group]
    if default:
        check = check.isel({group: _farthest(check)})
    labels = [str(label) for label in check[group].values]
    if given is None:
        flat = grid_of_axes(len(labels), (1.9, 1.5), sharex=True)
    else:
        flat = axes_list(given, len(labels))
    for i, panel in enumerate(flat):
        _curve(panel, check.isel({group: i}))
        panel.set_title(
            labels[i] if group == "pair" else f"{group} {labels[i]}", fontsize=8, color=INK
        )
        panel.tick_params(which="both", labelsize=7, length=2)
        panel.tick_params(which="minor", length=1)
    (dim,) = [dim for dim in check["observed"].dims if dim != group]
    x, y = _axis(str(dim))[0], check.attrs["label"]
    if group == "pair" and dim == "lag":
        x += " of the second neuron"
    key(flat, flat[0].get_legend_handles_labels()[0], given is None)
    if given is None:
        figure = flat[0].figure
        figure.supxlabel(x, fontsize=9)
        figure.supylabel(y, fontsize=9)
        shown = (
            f"\n{len(labels)} of {n} {group}s, those farthest from the replicates"
            if len(labels) < n
            else ""
        )
        figure.suptitle(_title(check) + (shown if default else ""), fontsize=8, color=INK)
    else:
        for panel in flat:
            panel.set_xlabel(x)
            panel.set_ylabel(y)
    return np.array(flat, dtype=object)


def _farthest(check: xr.Dataset) -> NDArray[np.intp]:
    """Return the neurons or pairs whose curves are farthest from the replicates, sorted."""
    both = np.concatenate([check["replicated"].values, check["observed"].values[None]])
    known = np.isfinite(both)
    n = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, both, 0.0).sum(axis=0) / n
    spread = np.sqrt(np.where(known, (both - mean) ** 2, 0.0).sum(axis=0) / n)
    off = np.where(known[-1] & (spread > 0), np.abs(both[-1] - mean), 0.0)
    far = (off / np.where(spread > 0, spread, 1.0)).max(axis=1)
    return np.sort(np.argsort(-far, kind="stable")[:_MOST])


def _curve(ax: "Axes", one: xr.Dataset) -> None:
    """Draw one curve over the band of the replicates."""
    (dim,) = one["observed"].dims
    at = one[dim].values if dim in one.coords else np.arange(one.sizes[dim])
    at = at * _axis(str(dim))[1]
    low, middle, high = _quantiles(one, (_OUTER[0], 0.5, _OUTER[1]))
    observed = one["observed"].values
    if one.attrs["scale"] == "log":  # 0 is not on the axis
        positive = np.concatenate([values[values > 0] for values in (low, high, observed)])
        least = positive.min() / 2 if positive.size else 1.0
        low, middle, high, observed = (
            np.where(np.isnan(values), values, np.maximum(values, least))
            for values in (low, middle, high, observed)
        )
        ax.set_yscale("log")
        used = np.flatnonzero(np.nanmax([high, observed], axis=0) > least)
        if dim == "n_active" and used.size:
            ax.set_xlim(-0.5, used[-1] + 1.5)
    ax.fill_between(at, low, high, color=BLUE, alpha=0.3, linewidth=0, label="replicates, 95%")
    ax.plot(at, middle, color=BLUE, linewidth=1.0, linestyle="--", label="median")
    ax.plot(at, observed, color=VERMILION, linewidth=1.4, label="observed")
    if one.attrs["scale"] == "log" and dim == "probability":
        plain_logs(ax, "y")
    ax.spines[["top", "right"]].set_visible(False)
