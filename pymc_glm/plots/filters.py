"""Coupling filters with credible bands."""

from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from pymc_glm.arguments import as_whole_number
from pymc_glm.criticism.network.edges import MIN_EFFECT, network_matrix
from pymc_glm.criticism.network.filters import filter_bands
from pymc_glm.criticism.posterior import pair_index
from pymc_glm.observations import Gaussian
from pymc_glm.plots.panels import BLUE, GREY, VERMILION, axes_list, new_axes, set_titles

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_filters"]

_LARGEST_GRID = 6
_SMALLEST_SPAN = 1.0  # log-odds


class _Curves(NamedTuple):
    """What is drawn in a panel."""

    lags: NDArray[np.float64]  # (lag,), ms
    band: NDArray[np.float64]  # (3, lag): mean, lower, upper
    true: NDArray[np.float64] | None  # (lag,)
    certain: bool  # whether the edge is probable

    @property
    def range(self) -> tuple[float, float]:
        """The smallest and the largest value, or 0 if that is beyond."""
        low, high = self.band.min(), self.band.max()
        if self.true is not None:
            low, high = min(low, self.true.min()), max(high, self.true.max())
        return min(low, 0.0), max(high, 0.0)


class _Layout(NamedTuple):
    pairs: list[tuple[int, int]]  # (pre, post)
    rows: int
    columns: int


def plot_filters(
    tree: xr.DataTree,
    *,
    pairs: Iterable[tuple[Hashable, Hashable]] | None = None,
    truth: ArrayLike | None = None,
    self_truth: ArrayLike | None = None,
    max_pairs: int = 12,
    hdi_prob: float = 0.94,
    simultaneous: bool = False,
    min_effect: float = MIN_EFFECT,
    ax: "Axes | Iterable[Axes] | None" = None,
) -> np.ndarray:
    """Plot posterior means and credible bands of coupling filters, one panel per pair.

    All couplings share one scale, and all self-edges another. Edges with a probability below 0.5
    are grey. In a model with self filters (``self_basis``) the panels of a neuron and itself show
    these, with lags of their own.

    Parameters
    ----------
    tree : DataTree
        What sampling returned; needs the posterior and the constant data.
    pairs : iterable of (pre, post), optional
        Labels of the pairs to show. By default all pairs of up to 6 neurons, as a grid with post
        neurons in rows and pre neurons in columns; for more neurons, the `max_pairs` most probable
        edges (the strongest among equals), up to a third of them self-edges, which come last.
    truth : array (post, pre, lag), optional
        True filters, in units of psi (log-odds).
    self_truth : array (post, self_lag), optional
        True self filters, in a model with self filters.
    max_pairs : int
        Largest number of panels if `pairs` is not given and there are more than 6 neurons.
    hdi_prob : float
        Probability of the bands, highest-density intervals over all draws; absent edges count as
        zero.
    simultaneous : bool
        Show bands that contain whole filters with this probability, instead of pointwise bands; see
        `filter_bands`.
    min_effect : float
        The smallest effect that counts in the probabilities, in units of psi, see `edge_summary`.
    ax : Axes or array of Axes, optional
        Where to draw, one for each pair. By default on a new figure.

    Returns
    -------
    array of Axes
        Shape (post, pre) for a new grid of all pairs, else (pair,).

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong type or shape, or a neuron is unknown.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> pg.plot_filters(tree, pairs=[("a", "b")])[0].get_title()
    'a -> b (P = 1.00)'
    """
    max_pairs = as_whole_number(max_pairs, "max_pairs")
    probability = network_matrix(tree, "probability", min_effect=min_effect)
    neurons = tuple(str(label) for label in probability["post"].values)
    layout = _layout(tree, neurons, probability.values, pairs, max_pairs)
    names = [(neurons[pre], neurons[post]) for pre, post in layout.pairs]
    bands = filter_bands(tree, hdi_prob, names)
    has_self = "self_mean" in bands
    true = _true_filters(truth, bands["mean"], "truth")
    self_true = None
    if self_truth is not None:
        if not has_self:
            raise ValueError("self_truth: the model has no self filters; give truth alone.")
        self_true = _true_filters(self_truth, bands["self_mean"], "self_truth")

    flat = _make_axes(layout, has_self) if ax is None else axes_list(ax, len(layout.pairs))
    drawn, titles = [], []
    for panel, (pre, post) in zip(flat, layout.pairs, strict=True):
        name = f"{neurons[pre]} -> {neurons[post]}"
        present = float(probability.values[post, pre])
        if has_self and pre == post:
            known = None if self_true is None else self_true[post]
            drawn.append(_curves(bands.isel(post=post), "self_", simultaneous, known, True))
            titles.append((name, "(self filter)"))
        else:
            known = None if true is None else true[post, pre]
            pair = bands.isel(post=post, pre=pre)
            drawn.append(_curves(pair, "", simultaneous, known, present >= 0.5))
            titles.append((name, f"(P = {present:.2f})"))
        _draw(panel, drawn[-1])
    width = _panel_width(layout) - 0.25 if ax is None else flat[0].bbox.width / flat[0].figure.dpi
    set_titles(flat, titles, 8 if layout.columns > 3 else 9, width)
    _share_scales(flat, layout.pairs, drawn)
    key = f"{100 * hdi_prob:g}% {'simultaneous band' if simultaneous else 'interval'}"
    has_truth = any(curves.true is not None for curves in drawn)
    _finish(flat, layout, ax is None, key, has_truth, bands.attrs["units"])
    grid = ax is None and pairs is None and len(neurons) <= _LARGEST_GRID
    result = np.array(flat, dtype=object)
    return result.reshape(layout.rows, layout.columns) if grid else result


def _layout(
    tree: xr.DataTree,
    neurons: tuple[str, ...],
    probability: NDArray[np.float64],
    pairs: Iterable[tuple[Hashable, Hashable]] | None,
    max_pairs: int,
) -> _Layout:
    n = len(neurons)
    if pairs is None and n <= _LARGEST_GRID:
        return _Layout([(pre, post) for post in range(n) for pre in range(n)], n, n)
    if pairs is None:
        strength = np.abs(network_matrix(tree, "weight").values)
        best = np.lexsort([-strength.ravel(), -probability.ravel()])
        ranked = [(int(i % n), int(i // n)) for i in best]
        self_edges = [(pre, post) for pre, post in ranked if pre == post][: max_pairs // 3]
        couplings = [(pre, post) for pre, post in ranked if pre != post]
        chosen = couplings[: max_pairs - len(self_edges)] + self_edges
    else:
        chosen = pair_index(neurons, pairs)
        if not chosen:
            raise ValueError("pairs: got none; give at least one pair of labels (pre, post).")
    columns = min(4, len(chosen))
    return _Layout(chosen, -(-len(chosen) // columns), columns)


def _true_filters(
    truth: ArrayLike | None, mean: xr.DataArray, argument: str
) -> NDArray[np.float64] | None:
    """Return true filters in the form of their posterior mean."""
    if truth is None:
        return None
    if isinstance(truth, xr.DataArray) and set(truth.dims) == set(mean.dims):
        truth = truth.transpose(*mean.dims).values
    values = np.asarray(truth, dtype=np.float64)
    if values.shape != mean.shape:
        raise ValueError(
            f"{argument}: got the shape {values.shape}, allowed is {mean.shape}, "
            f"({', '.join(map(str, mean.dims))})."
        )
    return values


def _curves(
    bands: xr.Dataset, prefix: str, simultaneous: bool, true: NDArray | None, certain: bool
) -> _Curves:
    """Return what is drawn of one filter; the names of its variables begin with `prefix`."""
    kind = "simultaneous_" if simultaneous else ""
    names = [f"{prefix}{name}" for name in ("mean", f"{kind}lower", f"{kind}upper")]
    lags = bands[f"{prefix}lag"].values * 1e3
    return _Curves(lags, np.stack([bands[name].values for name in names]), true, certain)


def _panel_width(layout: _Layout) -> float:
    """Return the width of a panel with its tick labels, in inches."""
    return 2.3 if layout.columns <= 3 else 1.85


def _make_axes(layout: _Layout, has_self: bool) -> list["Axes"]:
    """Return axes for the pairs on a new figure, without axes in the remaining places."""
    width = _panel_width(layout)
    size = (max(layout.columns * width + 0.5, 3.6), max(layout.rows * 0.8 * width + 0.7, 2.9))
    axes = list(new_axes(layout.rows, layout.columns, size, sharex=not has_self).ravel())
    for ax in axes[len(layout.pairs) :]:
        ax.remove()
    for ax in axes[max(len(layout.pairs) - layout.columns, 0) : len(layout.pairs)]:
        ax.tick_params(labelbottom=True)  # also above an empty place
    return axes[: len(layout.pairs)]


def _draw(ax: "Axes", curves: _Curves) -> None:
    lags, (mean, lower, upper), true = curves.lags, curves.band, curves.true
    colour = BLUE if curves.certain else GREY
    ax.axhline(0, color=GREY, linewidth=0.6, zorder=1)
    ax.fill_between(
        lags, lower, upper, color=colour, alpha=0.3, linewidth=0, label="band", zorder=2
    )
    ax.plot(lags, mean, color=colour, linewidth=1.6, label="mean", zorder=3)
    if true is not None:
        ax.plot(
            lags, true, color=VERMILION, linewidth=1.3, linestyle=(0, (4, 1.5)), label="true",
            zorder=4,
        )  # fmt: skip
    ax.set_xlim(0, lags[-1])
    ax.tick_params(labelsize=7, length=2)
    ax.spines[["top", "right"]].set_visible(False)


def _share_scales(
    axes: Sequence["Axes"], pairs: Sequence[tuple[int, int]], drawn: Sequence[_Curves]
) -> None:
    """Set one scale for couplings and one for self-edges, which are often much stronger."""
    for is_self in (False, True):
        members = [(ax, curves) for ax, (pre, post), curves in zip(axes, pairs, drawn, strict=True)
                   if (pre == post) == is_self]  # fmt: skip
        if not members:
            continue
        ends = [curves.range for _, curves in members]
        low, high = min(end[0] for end in ends), max(end[1] for end in ends)
        # A minimal span, so that negligible filters do not fill the panel.
        margin = max(0.06 * (high - low), (_SMALLEST_SPAN - (high - low)) / 2)
        for ax, _ in members:
            ax.set_ylim(low - margin, high + margin)


def _effect(unit: str) -> str:
    """Return the label of filters, which for traces does not mention spikes."""
    return f"effect of one {'unit' if unit == Gaussian.psi_unit else 'spike'} ({unit})"


def _finish(
    axes: Sequence["Axes"], layout: _Layout, new: bool, band: str, has_truth: bool, unit: str
) -> None:
    """Add axis labels and one legend."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles = [
        Line2D([], [], color=BLUE, linewidth=1.6, label="posterior mean"),
        Patch(color=BLUE, alpha=0.3, linewidth=0, label=band),
    ]
    if has_truth:
        handles.append(
            Line2D([], [], color=VERMILION, linewidth=1.3, linestyle=(0, (4, 1.5)), label="true")
        )
    if new:
        figure = axes[0].figure
        figure.supxlabel("lag (ms)", fontsize=10)
        figure.supylabel(_effect(unit), fontsize=10)
        figure.legend(
            handles=handles, loc="outside upper center", ncols=len(handles), frameon=False,
            fontsize=8,
        )  # fmt: skip
        return
    for ax in axes:
        ax.set_xlabel("lag (ms)")
        ax.set_ylabel(unit)
    axes[0].legend(handles=handles, frameon=False, fontsize=7)
