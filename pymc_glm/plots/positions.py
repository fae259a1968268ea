"""Latent positions with their uncertainty, and known positions."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2

from pymc_glm.criticism.structure.positions import AlignedPositions, align_positions, with_reference
from pymc_glm.plots.blocks import block_colour
from pymc_glm.plots.panels import BLUE, GREY, INK, axes_list, label_neurons, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_positions"]

_FILLED, _OUTLINED = 0.5, 0.9  # probabilities of regions
_MOST_NAMES = 40
_FONT = 7  # of names


class _Points(NamedTuple):
    mean: NDArray[np.float64]  # (post, dim)
    covariance: NDArray[np.float64]  # (post, dim, dim)
    known: NDArray[np.float64] | None  # (post, dim)
    axis_labels: list[str]
    neurons: list[str]


def plot_positions(
    aligned_or_tree: AlignedPositions | xr.DataTree,
    *,
    reference: ArrayLike | Mapping[Any, ArrayLike] | xr.DataArray | str | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Plot posterior means of latent positions, with regions of 50% and 90% probability.

    Regions are ellipses of the normal distribution with the draws' covariance. With a reference,
    means and ellipses are mapped onto it (by one rotation, reflection, shift and scaling for all
    neurons and draws), and lines join every neuron with its known position. Only the first two
    dimensions are shown; a single dimension is shown with neurons in rows. Neurons are coloured by
    block in models that also have blocks.

    Parameters
    ----------
    aligned_or_tree : AlignedPositions or DataTree
        What `align_positions` or sampling returned.
    reference : array, mapping or DataArray, (post, space), or "position", optional
        Known positions; see `align_positions`. By default those given to `align_positions`.
    ax : Axes, optional
        Where to draw. By default on a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong type, the model learns no positions, or the reference does not
        fit.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> pg.plot_positions(position_tree).get_xlabel()
    'latent dimension 1 (prior SD)'
    >>> pg.plot_positions(position_tree, reference=electrodes).get_xlabel()
    'x'
    """
    found = _aligned(aligned_or_tree, reference)
    points = _points(found)
    colours = _colours(found, points.neurons)
    size = _size(points)
    new = ax is None
    ax = new_axes(1, 1, size)[0, 0] if ax is None else axes_list(ax, 1)[0]
    room = size[1] - 1.2 if new else ax.bbox.height / ax.figure.dpi
    if points.mean.shape[1] == 1:
        _draw_rows(ax, points, colours, room)
    else:
        _draw_plane(ax, points, colours)
    if found.correlation is not None:
        low, middle, high = np.quantile(found.correlation, [0.05, 0.5, 0.95])
        ax.set_title(
            f"Procrustes correlation {middle:.2f} (90% of draws: {low:.2f} to {high:.2f})",
            fontsize=9, color=INK,
        )  # fmt: skip
    handles = _handles(found)
    if new:
        ax.figure.legend(
            handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=8
        )
    else:
        ax.legend(handles=handles, fontsize=7, framealpha=0.8, edgecolor="none")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _size(points: _Points) -> tuple[float, float]:
    """Return width and height of a figure in inches."""
    if points.mean.shape[1] == 1:
        return 5.0, float(np.clip(0.16 * len(points.neurons) + 1.4, 2.6, 8.0))
    width, height = np.ptp(_extent(points), axis=0)
    ratio = float(np.clip(height / width, 0.5, 1.25)) if width > 0 else 1.0
    return 5.6, 4.8 * ratio + 1.1


def _extent(points: _Points) -> NDArray[np.float64]:
    """Return the corners (low, high) of all points and regions."""
    radius = np.sqrt(np.diagonal(points.covariance, axis1=1, axis2=2) * chi2.ppf(_OUTLINED, 2))
    seen = [points.mean - radius, points.mean + radius]
    seen += [] if points.known is None else [points.known]
    return np.array([np.min(seen, axis=(0, 1)), np.max(seen, axis=(0, 1))])


def _aligned(given: object, reference: Any) -> AlignedPositions:
    if isinstance(given, xr.DataTree):
        names = list(given["posterior"].data_vars) if "posterior" in given.children else []
        only_weights = "latent_positions" not in names and "weight_latent_positions" in names
        name = "weight_latent_positions" if only_weights else "latent_positions"
        return align_positions(given, reference, positions=name)
    if not isinstance(given, AlignedPositions):
        raise TypeError(
            f"aligned_or_tree: got {type(given).__name__}, allowed are what pg.align_positions "
            "returns and the DataTree that sampling returns."
        )
    if isinstance(reference, str):
        raise ValueError(
            f"reference: got {reference!r}; names are looked up in the DataTree, so give it here "
            "or to pg.align_positions, or give positions (post, space)."
        )
    return given if reference is None else with_reference(given, reference)


def _points(found: AlignedPositions) -> _Points:
    """Return latent positions, or where there is a reference those mapped onto it."""
    neurons = [str(label) for label in found.mean["post"].values]
    if found.reference is None or found.reference_mean is None:
        known, mean, covariance = None, found.mean.values, np.asarray(found.covariance)
        labels = [f"latent dimension {d + 1} (prior SD)" for d in range(mean.shape[1])]
    else:
        known, mean = found.reference.values[:, :2], found.reference_mean.values
        covariance = np.asarray(found.reference_covariance)
        units = str(found.reference.attrs.get("units", "")).replace("um", "µm")
        labels = [f"{axis} ({units})" if units else str(axis)
                  for axis in found.reference["space"].values]  # fmt: skip
    return _Points(mean[:, :2], covariance[:, :2, :2], known, labels[:2], neurons)


def _colours(found: AlignedPositions, neurons: Sequence[str]) -> list[str]:
    if found.blocks is None:
        return [BLUE] * len(neurons)
    return [block_colour(int(block)) for block in found.blocks.values]


def _draw_plane(ax: "Axes", points: _Points, colours: Sequence[str]) -> None:
    from matplotlib.collections import LineCollection
    from matplotlib.patches import Ellipse

    for n, (mean, covariance) in enumerate(zip(points.mean, points.covariance, strict=True)):
        variance, direction = np.linalg.eigh(covariance)
        angle = float(np.degrees(np.arctan2(direction[1, 1], direction[0, 1])))
        for probability in (_OUTLINED, _FILLED):
            minor, major = 2 * np.sqrt(np.maximum(variance, 0) * chi2.ppf(probability, 2))
            style: dict[str, Any] = (
                {"facecolor": colours[n], "alpha": 0.3, "linewidth": 0}
                if probability == _FILLED
                else {"facecolor": "none", "edgecolor": colours[n], "alpha": 0.6, "linewidth": 0.7}
            )
            ax.add_patch(Ellipse(tuple(mean), major, minor, angle=angle, zorder=1, **style))
    if points.known is not None:
        pairs = np.stack([points.mean, points.known], axis=1)
        ax.add_collection(LineCollection(list(pairs), colors=INK, linewidths=0.8, zorder=2))
        x, y = points.known.T
        ax.scatter(x, y, marker="s", s=26, facecolors="white", edgecolors=INK, linewidths=0.9,
                   zorder=3)  # fmt: skip
    x, y = points.mean.T
    ax.scatter(x, y, s=16, c=list(colours), edgecolors="white", linewidths=0.4, zorder=4)
    ax.set_aspect("equal", adjustable="box")
    low, high = _extent(points)
    margin = 0.04 * max(high - low)
    ax.set_xlim(low[0] - margin, high[0] + margin)
    ax.set_ylim(low[1] - margin, high[1] + margin)
    ax.set_xlabel(points.axis_labels[0])
    ax.set_ylabel(points.axis_labels[1])
    if len(points.neurons) <= _MOST_NAMES:
        _name_neurons(ax, points, max(high - low) + 2 * margin)


def _name_neurons(ax: "Axes", points: _Points, span: float) -> None:
    """Write every name next to its mean, where it covers least."""
    inches = max(min(ax.bbox.width, ax.bbox.height) / ax.figure.dpi, 0.1)
    marks = points.mean if points.known is None else np.concatenate([points.mean, points.known])
    place = marks * (72 * inches / span)  # in points, as fonts are
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    around = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    centres: list[NDArray[np.float64]] = []
    halves: list[NDArray[np.float64]] = []
    for n, name in enumerate(points.neurons):
        half = 0.5 * _FONT * np.array([0.6 * len(name), 1.0])
        # Close to the mean in every direction, and farther out.
        offsets = np.concatenate([around * (half + gap) for gap in (3.0, 9.0)])
        candidates = place[n] + offsets
        cost = np.repeat([0.0, 0.3], len(around))
        cost += 1.0 * _covered(candidates, half, place, np.full((len(place), 2), 2.5))
        if centres:
            cost += 2.0 * _covered(candidates, half, np.array(centres), np.array(halves))
        best = int(cost.argmin())
        centres.append(candidates[best])
        halves.append(half)
        ax.annotate(
            name, tuple(points.mean[n]), tuple(offsets[best]), textcoords="offset points",
            fontsize=_FONT, color=INK, ha="center", va="center", zorder=5,
        )  # fmt: skip


def _covered(
    candidates: NDArray[np.float64],
    half: NDArray[np.float64],
    others: NDArray[np.float64],
    other_halves: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the area of other boxes that each candidate's box covers, relative to its area."""
    reach = half + other_halves - np.abs(candidates[:, None] - others)
    shared = np.minimum(np.clip(reach, 0, None), 2 * np.minimum(half, other_halves))
    return shared.prod(axis=-1).sum(axis=1) / (4 * half.prod())


def _draw_rows(ax: "Axes", points: _Points, colours: Sequence[str], room: float) -> None:
    """Draw positions in one dimension, neurons in rows sorted by their means."""
    order = np.argsort(points.mean[:, 0], kind="stable")
    mean, sd = points.mean[order, 0], np.sqrt(points.covariance[order, 0, 0])
    rows = np.arange(len(order))
    shown = [colours[n] for n in order]
    for probability, width in ((_OUTLINED, 1.2), (_FILLED, 3.5)):
        half = sd * np.sqrt(chi2.ppf(probability, 1))
        ax.hlines(rows, mean - half, mean + half, colors=shown, linewidth=width, zorder=1)
    if points.known is not None:
        ax.scatter(points.known[order, 0], rows, marker="s", s=40, facecolors="white",
                   edgecolors=INK, linewidths=0.9, zorder=3)  # fmt: skip
    ax.scatter(mean, rows, s=20, c=shown, edgecolors="white", linewidths=0.6, zorder=4)
    label_neurons(ax, "y", [points.neurons[n] for n in order], room)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_xlabel(points.axis_labels[0])
    ax.set_ylabel("neuron")


def _handles(found: AlignedPositions) -> list[Any]:
    """Return the entries of the legend."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    plain = BLUE if found.blocks is None else GREY
    mean: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": 4.5, "color": plain}
    handles: list[Any] = [Line2D([], [], label="posterior mean", **mean)]
    if found.mean.sizes["latent_dim"] == 1:
        for probability, width in ((_FILLED, 3.5), (_OUTLINED, 1.2)):
            label = f"{probability:.0%} of draws"
            handles.append(Line2D([], [], color=plain, linewidth=width, label=label))
    else:
        handles += [
            Patch(color=plain, alpha=0.3, linewidth=0, label=f"{_FILLED:.0%} of draws"),
            Patch(facecolor="none", edgecolor=plain, label=f"{_OUTLINED:.0%} of draws"),
        ]
    if found.reference is not None:
        name = found.reference.attrs.get("long_name", "reference")
        known: dict[str, Any] = {"marker": "s", "markersize": 5, "markerfacecolor": "white"}
        handles.append(Line2D([], [], linestyle="", color=INK, label=name, **known))
    if found.blocks is not None:
        for block in np.unique(found.blocks.values):
            handles.append(Patch(color=block_colour(int(block)), label=f"block {block}"))
    return handles
