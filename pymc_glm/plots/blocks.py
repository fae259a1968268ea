"""Blocks of neurons: probabilities of sharing one, and the network sorted by blocks."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

from pymc_glm.criticism.structure.blocks import BlockSummary, block_summary, with_truth
from pymc_glm.plots.network import plot_network
from pymc_glm.plots.panels import (
    GREY,
    INK,
    VERMILION,
    axes_list,
    label_length,
    label_neurons,
    new_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["block_colour", "plot_blocks"]

# Okabe & Ito's, the most distinct first.
_COLOURS = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000",
)  # fmt: skip
_EM = 0.6  # width of a character relative to the font size


class _Strip(NamedTuple):
    title: str
    names: list[str]  # the group of each neuron, in the order of the rows
    colours: list[str]


def block_colour(block: int) -> str:
    """Return the colour of a block, distinct for any colour vision; colours repeat after 8."""
    return _COLOURS[block % len(_COLOURS)]


def plot_blocks(
    summary_or_tree: BlockSummary | xr.DataTree,
    *,
    truth: ArrayLike | Mapping[Any, Any] | xr.DataArray | None = None,
    ax: "Axes | Iterable[Axes] | None" = None,
) -> np.ndarray:
    """Plot which neurons share a block, and the network sorted by blocks.

    The left panel shows the posterior probability that two neurons share a block; the right one
    inclusion probabilities (in a dense model mean weights), with post neurons in rows. Neurons are
    sorted by their most probable block, and lines separate blocks. Strips to the left of the rows
    show blocks and, if given, true types; a type has the colour of the block that matches it best.

    Parameters
    ----------
    summary_or_tree : BlockSummary or DataTree
        What `block_summary` or sampling returned.
    truth : array, mapping or DataArray, (post,), optional
        True type of every neuron; see `block_summary`.
    ax : two Axes, optional
        Where to draw; one is enough if the draws hold no network. By default on a new figure.

    Returns
    -------
    array of Axes
        Co-assignment and, if the draws hold one, network.

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong type, the model learns no blocks, or `truth` does not fit.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> [ax.get_title() for ax in pg.plot_blocks(block_tree)]
    ['neurons that share a block', 'network']
    """
    summary = _summary(summary_or_tree, truth)
    order, codes = _order(summary)
    neurons = [str(label) for label in summary.labels["post"].values]
    names = [neurons[n] for n in order]
    panels = 1 if summary.network is None else 2
    strips = _strips(summary, order, codes)

    side = float(np.clip(0.12 * len(names) + 2.4, 3.0, 6.0))
    long = max(label_length(names) - 0.2, 0.0)
    if ax is None:
        wide = side * (1 + 0.08 * len(strips)) + 1.0 + long
        size = (panels * wide, side + 0.45 + long)
        axes = list(new_axes(1, panels, size, layout="compressed").ravel())
    else:
        axes = axes_list(ax, panels)
    rooms = [side - 0.5 if ax is None else _room(one) for one in axes]
    _draw_together(axes[0], summary.co_assignment.values[np.ix_(order, order)], names, rooms[0])
    if summary.network is not None:
        quantity: Literal["probability", "weight"] = (
            "probability" if summary.network.name == "probability" else "weight"
        )
        plot_network(summary.network, quantity=quantity, order=names, ax=axes[1])
        for which in ("x", "y"):
            label_neurons(axes[1], which, names, rooms[1])
        axes[1].set_title("network", fontsize=10)
    if summary.adjusted_rand is not None:
        agreement = float(summary.adjusted_rand.median())
        axes[0].set_title(f"shared blocks (adjusted Rand index {agreement:.2f})", fontsize=10)
    blocks = summary.labels.values[order]
    for one, room in zip(axes, rooms, strict=True):
        _separate(one, blocks)
        _add_strips(one, strips, room)
    return np.array(axes, dtype=object)


def _summary(given: object, truth: Any) -> BlockSummary:
    if isinstance(given, BlockSummary):
        return given if truth is None else with_truth(given, truth)
    if isinstance(given, xr.DataTree):
        names = list(given["posterior"].data_vars) if "posterior" in given.children else []
        only_weights = "block_labels" not in names and "weight_block_labels" in names
        labels = "weight_block_labels" if only_weights else "block_labels"
        return block_summary(given, truth, labels=labels)
    raise TypeError(
        f"summary_or_tree: got {type(given).__name__}, allowed are what pg.block_summary returns "
        "and the DataTree that sampling returns."
    )


def _order(summary: BlockSummary) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Return neurons sorted by block, then by true type, and the code of each neuron's type."""
    labels = summary.labels.values
    codes = np.zeros(len(labels), dtype=np.int64)
    if summary.truth is not None:
        codes = pd.factorize(summary.truth.values, sort=True)[0].astype(np.int64)
    return np.lexsort((codes, labels)), codes


def _strips(
    summary: BlockSummary, order: NDArray[np.intp], codes: NDArray[np.int64]
) -> list[_Strip]:
    """Return the strips from the inside out."""
    labels = summary.labels.values
    names = [str(name) for name in summary.label_probability["block"].values]
    strips = [
        _Strip("block", [names[k] for k in labels[order]], [block_colour(k) for k in labels[order]])
    ]
    if summary.truth is not None:
        colours = _matching(labels, codes)
        types = [str(name) for name in summary.truth.values[order]]
        strips.append(_Strip("true", types, [block_colour(colours[k]) for k in codes[order]]))
    return strips


def _matching(labels: NDArray[np.int64], codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the block that matches each true type best, or a further number if there is none."""
    n_types, n_blocks = int(codes.max()) + 1, int(labels.max()) + 1
    shared = np.zeros((n_types, n_blocks))
    np.add.at(shared, (codes, labels), 1.0)
    matched = np.full(n_types, -1)
    rows, columns = linear_sum_assignment(shared, maximize=True)
    matched[rows] = np.where(shared[rows, columns] > 0, columns, -1)
    free = (k for k in range(n_blocks + n_types) if k >= n_blocks)
    return np.array([block if block >= 0 else next(free) for block in matched])


def _draw_together(ax: "Axes", together: NDArray, names: Sequence[str], room: float) -> None:
    """Draw the matrix of co-assignment probabilities with its colour bar."""
    image = ax.imshow(
        together, cmap="Blues", vmin=0.0, vmax=1.0, interpolation="nearest", aspect="equal"
    )
    for which in ("x", "y"):
        label_neurons(ax, which, names, room)
    ax.set_xlabel("neuron")
    ax.set_ylabel("neuron")
    ax.set_title("neurons that share a block", fontsize=10)
    bar = ax.figure.colorbar(image, ax=ax, aspect=22, pad=0.02)
    bar.set_label("probability of sharing a block")
    bar.outline.set_visible(False)


def _separate(ax: "Axes", blocks: NDArray[np.int64]) -> None:
    """Draw lines between blocks."""
    from matplotlib.collections import LineCollection

    n = len(blocks)
    borders = np.flatnonzero(np.diff(blocks)) + 0.5
    lines = [[(-0.5, b), (n - 0.5, b)] for b in borders]
    lines += [[(b, -0.5), (b, n - 0.5)] for b in borders]
    ax.add_collection(
        LineCollection(lines, colors=VERMILION, linewidths=1.2, label="block borders"),
        autolim=False,
    )


def _add_strips(ax: "Axes", strips: Sequence[_Strip], room: float) -> None:
    """Draw strips left of the rows, one box per run of a name, labelled if there is room."""
    from matplotlib.patches import Rectangle

    n = len(strips[0].names)
    row = room / (n * (1 + 0.08 * len(strips)))  # inches
    width, gap = max(0.055 * n, 0.14 / row), 0.02 * n
    left = -0.5
    for strip in strips:
        right = left - gap
        left = right - width
        start = 0
        for (name, colour), run in groupby(zip(strip.names, strip.colours, strict=True)):
            length = len(list(run))
            ax.add_patch(
                Rectangle((left, start - 0.5), width, length, facecolor=colour, edgecolor="white",
                          linewidth=0.8)
            )  # fmt: skip
            font = float(np.clip(0.8 * width * row * 72, 5, 8))
            long = len(name) * font * _EM / 72  # inches
            upright = long <= width * row
            if long <= length * row or upright:
                ax.text(
                    (left + right) / 2, start + length / 2 - 0.5, name, fontsize=font, ha="center",
                    va="center", rotation=0 if upright else 90, color=_readable_on(colour),
                )  # fmt: skip
            start += length
        ax.text(
            (left + right) / 2, n - 0.5 + gap, strip.title, rotation=90, fontsize=7, ha="center",
            va="top", color=INK,
        )  # fmt: skip
    ax.set_xlim(left - gap / 2, n - 0.5)
    ax.set_ylim(n - 0.5, -0.5)
    # The frame of the matrix without the strips.
    ax.spines[:].set_visible(False)
    ax.add_patch(Rectangle((-0.5, -0.5), n, n, fill=False, edgecolor=GREY, linewidth=0.8))


def _readable_on(colour: str) -> str:
    """Return black or white, whichever has more contrast."""
    from matplotlib.colors import to_rgb

    return INK if np.dot(to_rgb(colour), (0.299, 0.587, 0.114)) > 0.5 else "white"


def _room(ax: "Axes") -> float:
    """Return the side of the largest square within an axes, in inches."""
    return float(min(ax.bbox.width, ax.bbox.height) / ax.figure.dpi)
