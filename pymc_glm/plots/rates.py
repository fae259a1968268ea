"""Predicted rates below the spikes that they predict."""

from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pymc_glm.arguments import label_index
from pymc_glm.criticism.fit.rates import predicted_rates, time_slice
from pymc_glm.criticism.posterior import variable
from pymc_glm.plots.panels import BLUE, INK, axes_list, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_rates"]

_DEFAULT_BINS = 400
_DEFAULT_NEURONS = 8


def plot_rates(
    tree: xr.DataTree,
    *,
    neurons: Iterable[Hashable] | None = None,
    start: float | None = None,
    stop: float | None = None,
    n_draws: int = 50,
    random_seed: int | np.random.Generator | None = 0,
    ax: "Axes | Iterable[Axes] | None" = None,
) -> np.ndarray:
    """Plot predicted rates with 94% bands below the spikes, one panel per neuron.

    Rates are those of `predicted_rates`: one bin ahead, given the observed history. For traces
    (`Gaussian`) the traces and their predicted means are plotted.

    Parameters
    ----------
    tree : DataTree
        What sampling returned; needs posterior, constant and observed data.
    neurons : iterable of labels, optional
        Neurons to show, in this order. By default the 8 with the most spikes, or largest traces.
    start, stop : float, optional
        Window in seconds. If only one is given, the other is a bound of the recording; by default
        the 400 bins in which these neurons have the most spikes.
    n_draws : int
        Number of posterior draws to use.
    random_seed : int or numpy.random.Generator, optional
        For the choice of the draws.
    ax : Axes or array of Axes, optional
        Where to draw, one for each neuron. By default on a new figure.

    Returns
    -------
    array of Axes, shape (neuron,)

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong type, the window is not within the recording, or a neuron is
        unknown.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> pg.plot_rates(tree)[0].get_title(loc="left")
    'neuron a'
    """
    spikes = variable(tree, "constant_data", "counts").transpose("time", "post")
    labels = tuple(str(label) for label in spikes["post"].values)
    counts = spikes.values
    size = np.abs(counts)  # traces have signs
    keep = label_index(labels, neurons)
    if neurons is None:
        most = np.argsort(-size.sum(axis=0), kind="stable")[:_DEFAULT_NEURONS]
        keep = np.sort(most)
    width = float(variable(tree, "constant_data", "bin_width"))
    times = spikes["time"].values
    if start is None and stop is None:
        window = _busiest(size[:, keep].sum(axis=1))
    else:
        window = time_slice(times, width, start, stop)
    low, high = float(times[window][0]), float(times[window][-1] + width)
    names = [labels[n] for n in keep]
    rates = predicted_rates(
        tree, start=low, stop=high, neurons=names, n_draws=n_draws, random_seed=random_seed
    )

    n_panels = len(names)
    if ax is None:
        flat = list(new_axes(n_panels, 1, (7.0, 0.85 * n_panels + 0.9), sharex=True).ravel())
    else:
        flat = axes_list(ax, n_panels)
    middles = times[window] + width / 2
    curves = np.stack([rates[name].values for name in ("mean", "lower", "upper")])
    spiking = rates["mean"].attrs.get("units") == "Hz"
    for i, panel in enumerate(flat):
        of_neuron = counts[window, keep[i]]
        _draw(panel, middles, curves[:, :, i])
        if spiking:
            _ticks(panel, middles[of_neuron > 0], curves[2, :, i].max())
        else:
            panel.plot(middles, of_neuron, color=INK, linewidth=0.5)
        panel.set_xlim(low, high)
        panel.set_title(f"neuron {names[i]}", loc="left", fontsize=8, pad=2)
    _label(flat, "firing rate (Hz)" if spiking else "trace", ax is None)
    return np.array(flat, dtype=object)


def _busiest(size: NDArray) -> slice:
    """Return the window with the most spikes, or largest traces."""
    length = min(_DEFAULT_BINS, len(size))
    sums = np.cumsum(np.concatenate([[0], size]))
    first = int(np.argmax(sums[length:] - sums[:-length]))
    return slice(first, first + length)


def _ticks(ax: "Axes", spikes: NDArray, highest: float) -> None:
    """Draw spikes in the top fifth of the panel, above the rate."""
    ax.set_ylim(0, highest * 1.3)
    ax.vlines(spikes, 0.82, 0.98, transform=ax.get_xaxis_transform(), color=INK, linewidth=0.8)


def _draw(ax: "Axes", middles: NDArray, curves: NDArray) -> None:
    mean, lower, upper = curves
    ax.fill_between(middles, lower, upper, color=BLUE, alpha=0.3, linewidth=0)
    ax.plot(middles, mean, color=BLUE, linewidth=1.0)
    ax.locator_params(axis="y", nbins=3)
    ax.tick_params(labelsize=7, length=2)
    ax.spines[["top", "right"]].set_visible(False)


def _label(axes: list["Axes"], what: str, new: bool) -> None:
    if new:
        axes[0].figure.supylabel(what, fontsize=10)
        axes[-1].set_xlabel("time (s)")
        return
    for ax in axes:
        ax.set_xlabel("time (s)")
        ax.set_ylabel(what)
