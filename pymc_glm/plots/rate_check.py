"""Rates of freely running networks compared with observed rates."""

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from pymc_glm.plots.panels import (
    BLUE,
    GREY,
    INK,
    VERMILION,
    axes_list,
    check_result,
    label_neurons,
    new_axes,
    plain_logs,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_rate_check"]

_INNER, _OUTER = (0.25, 0.75), (0.03, 0.97)


def plot_rate_check(rates: xr.Dataset, *, ax: "Axes | None" = None) -> "Axes":
    """Plot rates of freely running networks and observed rates, one row per neuron.

    Thin and thick bars contain 94% and 50% of the networks that did not run away, and the dot is
    their median. Rates are on a logarithmic axis; a rate of zero is drawn as half a spike in the
    simulated time. For traces (`Gaussian`) means are shown, on a linear axis.

    Parameters
    ----------
    rates : Dataset
        From `prior_rates` or `posterior_rates`.
    ax : Axes, optional
        Where to draw. By default on a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    TypeError, ValueError
        `rates` or `ax` has the wrong type.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> basis = pg.basis.raised_cosine(1, window=0.05, bin_width=0.005)
    >>> counts = np.random.default_rng(1).poisson(0.03, (2000, 3)).clip(0, 1)
    >>> rates = pg.prior_rates(pg.build_glm(counts, basis), draws=20, random_seed=1)
    >>> pg.plot_rate_check(rates).get_xlabel()
    'firing rate (Hz)'
    """
    source = "pg.prior_rates or pg.posterior_rates"
    check_result(rates, "rates", source, ("rate", "observed", "run_away"))
    labels = [str(label) for label in rates["neuron"].values]
    rows = np.arange(len(labels))
    height = float(np.clip(0.16 * len(labels) + 1.2, 2.0, 8.0))
    if ax is None:
        ax = new_axes(1, 1, (5.5, height))[0, 0]
        room = height - 1.0
    else:
        ax = axes_list(ax, 1)[0]
        room = ax.bbox.height / ax.figure.dpi
    spiking = rates["rate"].attrs.get("units") == "Hz"
    least = 0.5 / (rates.attrs["n_bins"] * rates.attrs["bin_width"]) if spiking else -np.inf
    finite = rates["rate"].values[~rates["run_away"].values]
    observed = np.maximum(rates["observed"].values, least)
    ends = [observed]
    thick = float(np.clip(room * 72 / len(labels) * 0.3, 1.5, 4.5))
    ax.vlines(observed, rows - 0.42, rows + 0.42, color=VERMILION, linewidth=1.6, label="observed")
    if len(finite):
        low, first, middle, third, high = np.maximum(
            np.quantile(finite, (_OUTER[0], _INNER[0], 0.5, _INNER[1], _OUTER[1]), axis=0), least
        )
        ax.hlines(rows, low, high, color=BLUE, linewidth=thick / 3, label="94%")
        ax.hlines(rows, first, third, color=BLUE, linewidth=thick, label="50%")
        ax.plot(middle, rows, "o", color="white", markersize=0.6 * thick, label="median",
                markeredgecolor=INK, markeredgewidth=0.5)  # fmt: skip
        ends += [low, high]
    shown = np.array([np.min(ends), np.max(ends)])
    if spiking:
        ax.set_xscale("log")
        ax.set_xlim(shown[0] / 1.4, shown[1] * 1.4)
        plain_logs(ax, "x")
    else:
        margin = 0.05 * max(np.ptp(shown), 1e-9)
        ax.set_xlim(shown[0] - margin, shown[1] + margin)
    ax.set_xlabel("firing rate (Hz)" if spiking else "mean of the trace")
    _dress(ax, rates, labels, room)
    return ax


def _dress(ax: "Axes", rates: xr.Dataset, labels: list[str], room: float) -> None:
    """Label the neurons, and state how many networks ran away."""
    ax.set_ylim(len(labels) - 0.4, -0.6)
    label_neurons(ax, "y", labels, room)
    ax.set_ylabel("neuron")
    ax.grid(axis="x", color=GREY, alpha=0.25, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    n, away = rates.sizes["sample"], int(rates["run_away"].sum())
    ax.set_title(
        f"{n} draws from the {rates.attrs['source']}, running freely; {away or 'none'} ran away",
        loc="left", fontsize=8, color=VERMILION if away else INK,
    )  # fmt: skip
    ax.legend(
        loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize=7, handlelength=1.2
    )
