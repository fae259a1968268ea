"""Shared input: its paths over a raster of the spikes, and the loadings beside it."""

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from pymc_glm.arguments import as_number
from pymc_glm.criticism.posterior import psi_unit, variable
from pymc_glm.criticism.structure.factors import align_factors, bins_of_segment
from pymc_glm.plots.panels import BLUE, GREY, INK, axes_list
from pymc_glm.plots.raster import plot_raster

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_shared_input"]

_WINDOW = 3.0  # s
_BAND = 0.25  # opacity


def plot_shared_input(
    tree: xr.DataTree,
    *,
    start: float | None = None,
    stop: float | None = None,
    segment: int | None = None,
    method: str = "rotation",
    ax: Any = None,
) -> np.ndarray:
    """Plot the paths of shared input over the spikes, with the loadings of the neurons beside them.

    Paths and loadings are aligned across draws, see `align_factors`: lines are posterior means,
    bands and bars 94% highest-density intervals. Above each path stands its timescale, with an
    interval that holds 90% of the draws.

    Parameters
    ----------
    tree : DataTree
        What sampling returned for a model with shared input, with paths of some draws.
    start, stop : float, optional
        Window in seconds; by default the first 3 s of the recording, or of the segment.
    segment : int, optional
        Number, from 0, of the trial or other segment to show. By default the window can hold
        several; if times begin anew in every segment, the first is shown.
    method : {"rotation", "order", "sign"}
        Of the alignment.
    ax : array of Axes, optional
        Where to draw: the raster, then a path for each factor, then its loadings for each. By
        default on a new figure.

    Returns
    -------
    array of Axes, shape (1 + 2 factor,)

    Raises
    ------
    TypeError, ValueError
        The tree does not hold draws of loadings and paths, the window holds no grid point, there is
        no such segment, or there are too few axes.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> axes = pg.plot_shared_input(shared_tree, stop=2.0)
    >>> [ax.get_ylabel() for ax in axes[:3]]
    ['neuron', 'factor 0', 'factor 1']
    """
    counts = variable(tree, "constant_data", "counts")
    width = float(variable(tree, "constant_data", "bin_width"))
    if segment is None and (np.diff(counts["time"].values) <= 0).any():
        segment = 0
    spikes = _spikes(tree, counts, segment).assign_attrs(bin_width=width)
    times = spikes["time"].values.astype(float)
    first = float(times[0]) if start is None else as_number(start, "start")
    last = first + _WINDOW if stop is None else as_number(stop, "stop")
    if segment is not None and stop is None:
        last = min(last, float(times[-1]) + width)
    found = align_factors(tree, method=method, start=first, stop=last, segment=segment)
    if "path" not in found:
        raise ValueError(
            "tree: it holds no draws of the paths of shared input, only "
            f"{sorted(tree.children)}; draw with pg.sample, which keeps some in 'shared_path'."
        )
    n = found.sizes["factor"]
    axes = _new_axes(n, found.sizes["post"]) if ax is None else axes_list(ax, 1 + 2 * n)
    plot_raster(spikes, start=first, stop=last, ax=axes[0])
    axes[0].set_xlabel("" if ax is None else "time (s)")
    unit = psi_unit(tree)
    step = float(variable(tree, "constant_data", "grid_width").min())
    for k in range(n):
        _draw_path(axes[1 + k], found.isel(factor=k), step)
        axes[1 + k].set_xlim(first, last)
        axes[1 + k].set_xlabel("time (s)" if k == n - 1 else "")
        _draw_loadings(axes[1 + n + k], found.isel(factor=k), unit)
    return np.array(axes, dtype=object)


def _spikes(tree: xr.DataTree, counts: xr.DataArray, segment: int | None) -> xr.DataArray:
    """Return the spikes of a segment, (time, post), those in excluded bins too."""
    spikes = variable(tree, "observed_data", "spikes")
    spikes = counts if spikes.dims[0] != "time" else spikes
    return spikes.isel(time=bins_of_segment(tree, counts.sizes["time"], segment))


def _new_axes(n: int, n_neurons: int) -> list["Axes"]:
    """Return the axes of a new figure: the raster, paths below it, loadings to its right."""
    import matplotlib.pyplot as plt

    height = float(np.clip(0.14 * n_neurons + 0.7, 1.6, 7.0))
    size = (6.0 + 1.15 * n, height + 0.95 * n + 0.5)
    figure = plt.figure(figsize=size, layout="constrained")
    grid = figure.add_gridspec(
        1 + n, 1 + n, width_ratios=[6.0] + [1.15] * n, height_ratios=[height] + [0.95] * n
    )
    raster = figure.add_subplot(grid[0, 0])
    paths = [figure.add_subplot(grid[1 + k, 0], sharex=raster) for k in range(n)]
    loadings = [figure.add_subplot(grid[0, 1 + k], sharey=raster) for k in range(n)]
    for shown in [raster, *paths[:-1]]:
        shown.tick_params(labelbottom=False)
    for shown in loadings:
        shown.tick_params(labelleft=False)
    return [raster, *paths, *loadings]


def _draw_path(ax: "Axes", factor: xr.Dataset, step: float) -> None:
    """Draw the path of a factor, whose points are `step` seconds apart, segment by segment."""
    times = factor["time"].values
    new = np.flatnonzero(np.diff(factor["segment"].values)) + 1
    ax.axhline(0.0, color=GREY, linewidth=0.6)
    for some in np.split(np.arange(times.size), new):
        held = np.append(some, some[-1])  # the last value lasts for a step, too
        at = np.append(times[some], min([times[some[-1]] + step, *times[some[-1] + 1 :][:1]]))
        low, high, mean = (factor[f"path_{x}"].values[held] for x in ("lower", "upper", "mean"))
        ax.fill_between(at, low, high, step="post", color=BLUE, alpha=_BAND, linewidth=0)
        ax.step(at, mean, where="post", color=BLUE, linewidth=1.1)
    ax.set_ylabel(f"factor {int(factor['factor'])}", fontsize=9, color=INK)
    low, middle, high = 1000 * np.quantile(factor["factor_timescale"], [0.05, 0.5, 0.95])
    text = f"timescale {middle:.3g} ms" + (f" ({low:.3g} to {high:.3g})" if high > low else "")
    ax.set_title(text, loc="right", fontsize=7, color=INK, pad=2)
    ax.tick_params(labelsize=8)
    ax.spines[["top", "right"]].set_visible(False)


def _draw_loadings(ax: "Axes", factor: xr.Dataset, unit: str) -> None:
    rows = np.arange(factor.sizes["post"])
    ax.axvline(0.0, color=GREY, linewidth=0.6)
    ax.hlines(
        rows, factor["loadings_lower"], factor["loadings_upper"], color=BLUE, alpha=0.5,
        linewidth=1.6,
    )  # fmt: skip
    ax.plot(factor["loadings_mean"], rows, "o", color=BLUE, markersize=3)
    ax.set_ylim(rows.size - 0.4, -0.6)
    ax.set_title(f"factor {int(factor['factor'])}", fontsize=8, color=INK)
    ax.set_xlabel(f"loading\n({unit})", fontsize=8, color=INK)
    ax.tick_params(labelsize=7)
    ax.spines[["top", "right"]].set_visible(False)
