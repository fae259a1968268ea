"""Comparisons of several models of one recording."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from pymc_glm.plots.panels import BLUE, GREY, INK, VERMILION, axes_list, label_neurons, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_comparison"]


class _Panel(NamedTuple):
    column: str
    error: str | None
    label: str
    zero: str  # meaning of zero
    whole: float | None  # end of the scale; None: that of the values
    draw: Callable[[pd.DataFrame], pd.Series]


_PANELS = (
    _Panel("elpd", "dse", "elpd (LOO) below the best (nats)", "the best",
           None, lambda table: table["elpd"] - table["elpd"].max()),
    _Panel("heldout_elpd", "heldout_dse", "held-out elpd below the best (nats)", "the best",
           None, lambda table: table["heldout_elpd_diff"]),
    _Panel("weight", None, "stacking weight", "none", 1.0, lambda table: table["weight"]),
    _Panel("bits_per_spike_diff", "bits_per_spike_dse", "held-out bits per spike below the best",
           "the best", None, lambda table: table["bits_per_spike_diff"]),
    _Panel("ks_passes", None, "neurons that pass time rescaling (%)", "none",
           100.0, lambda table: 100 * table["ks_passes"] / table["ks_tested"]),
)  # fmt: skip


def plot_comparison(table: pd.DataFrame, *, ax: "Axes | list[Axes] | None" = None) -> np.ndarray:
    """Plot a comparison of models, one row per model and one panel per criterion.

    LOO and held-out bits per spike are shown as differences from the best model, with one standard
    error of the difference to either side. The title gives the gain of the best model over
    constant rates in bits per spike.

    Parameters
    ----------
    table : DataFrame
        From `compare_models`.
    ax : Axes or array of Axes, optional
        Where to draw, one for each criterion of the table. By default on a new figure.

    Returns
    -------
    array of Axes, shape (criterion,)

    Raises
    ------
    TypeError, ValueError
        `table` or `ax` has the wrong type.

    Examples
    --------
    >>> import pandas as pd, pymc_glm as pg
    >>> columns = {"elpd": [-310.0, -340.0], "dse": [0.0, 8.0], "weight": [0.9, 0.1]}
    >>> table = pd.DataFrame(columns, index=["coupled", "uncoupled"])
    >>> [ax.get_xlabel() for ax in pg.plot_comparison(table)]
    ['elpd (LOO) below the best (nats)', 'stacking weight']
    """
    if not isinstance(table, pd.DataFrame) or not {"elpd", "heldout_elpd"} & set(table):
        raise TypeError(
            f"table: got {type(table).__name__}, allowed is the DataFrame that pg.compare_models "
            "returns."
        )
    panels = [
        panel
        for panel in _PANELS
        if panel.column in table and np.isfinite(panel.draw(table).to_numpy(dtype=float)).any()
    ]
    labels = [str(name) for name in table.index]
    height = float(np.clip(0.35 * len(labels) + 1.1, 1.8, 8.0))
    if ax is None:
        axes = list(new_axes(1, len(panels), (2.7 * len(panels) + 0.8, height), sharey=True)[0])
    else:
        axes = axes_list(ax, len(panels))
    for one, panel in zip(axes, panels, strict=True):
        _draw(one, table, panel)
        one.set_ylim(len(labels) - 0.4, -0.6)
    room = height - 1.0 if ax is None else axes[0].bbox.height / axes[0].figure.dpi
    label_neurons(axes[0], "y", labels, room)
    axes[0].set_ylabel("model")
    return np.array(axes, dtype=object)


def _draw(ax: "Axes", table: pd.DataFrame, panel: _Panel) -> None:
    rows, values = np.arange(len(table)), panel.draw(table).to_numpy(dtype=float)
    ax.axvline(0.0, color=GREY, linewidth=0.8, linestyle=(0, (3, 2)), label=panel.zero)
    if panel.error is not None and panel.error in table:
        error = table[panel.error].to_numpy(dtype=float)
        ax.hlines(rows, values - error, values + error, color=BLUE, linewidth=1.8, label="error")
    ax.plot(values, rows, "o", color=BLUE, markersize=5, label="score")
    if panel.column == "elpd" and "n_high_k" in table:
        doubtful = table["n_high_k"].to_numpy() > 0
        ax.plot(values[doubtful], rows[doubtful], "o", color="white", markersize=5,
                markeredgecolor=VERMILION, label="high Pareto k")  # fmt: skip
        if doubtful.any():
            ax.set_title(
                "unreliable: some Pareto k too high", loc="left", fontsize=8, color=VERMILION
            )
    if panel.column == "ks_passes" and table["ks_tested"].nunique() == 1:
        tested = int(table["ks_tested"].iloc[0])
        ax.set_title(f"of {tested} neurons", loc="left", fontsize=8, color=INK)
    if panel.column == "bits_per_spike_diff" and "bits_per_spike" in table:
        best = table.iloc[int(table["bits_per_spike_diff"].argmax())]
        gain = f"best model: {best['bits_per_spike']:.3g} ± {best['bits_per_spike_se']:.2g}"
        ax.set_title(gain, loc="left", fontsize=8, color=INK)
    ax.set_xlabel(panel.label, fontsize=9, color=INK)
    ax.tick_params(labelsize=8)
    ax.locator_params(axis="x", nbins=5)
    if panel.whole is None:
        ax.margins(x=0.12)
    else:
        ax.set_xlim(-0.05 * panel.whole, 1.05 * panel.whole)
    ax.grid(axis="x", color=GREY, alpha=0.25, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
