"""Shared by all plots: colours, new and given axes, labels that do not overlap."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "BLUE",
    "GREY",
    "INK",
    "VERMILION",
    "axes_list",
    "check_result",
    "grid_of_axes",
    "key",
    "label_length",
    "label_neurons",
    "new_axes",
    "plain_logs",
    "set_titles",
]

# Okabe & Ito's colours, distinct for any colour vision and in greyscale.
BLUE = "#0072B2"
VERMILION = "#D55E00"
INK = "#262626"
GREY = "#8c8c8c"

# Mean width of a character relative to the font size.
_EM = 0.58
_MANY = 16  # labels
_KEY = 1.3  # inches
_STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


def new_axes(
    rows: int,
    columns: int,
    size: tuple[float, float],
    *,
    layout: Literal["constrained", "compressed"] = "constrained",
    **kwargs: Any,
) -> np.ndarray:
    """Make a figure of a size in inches and return its axes, shape (rows, columns).

    The layout "compressed" is for images of fixed aspect.
    """
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(rows, columns, figsize=size, layout=layout, squeeze=False, **kwargs)
    return axes


def grid_of_axes(n: int, size: tuple[float, float], **kwargs: Any) -> list["Axes"]:
    """Make a figure of n panels, each of a size in inches, on a grid that is wider than high.

    There is room for a `key` on the right.
    """
    columns = min(n, max(3, int(np.ceil(np.sqrt(1.5 * n)))))
    rows = -(-n // columns)
    whole = (size[0] * columns + 0.5 + _KEY, size[1] * rows + 0.6)
    flat = list(new_axes(rows, columns, whole, **kwargs).ravel())
    for ax in flat[n:]:
        ax.remove()
    for ax in flat[max(n - columns, 0) : n]:  # the lowest in each column
        ax.tick_params(labelbottom=True)
    return flat[:n]


def key(axes: Sequence["Axes"], handles: Sequence[Any], new: bool) -> None:
    """Add a legend, to the right of the panels of a new figure or else within the first axes."""
    if new:
        axes[0].figure.legend(
            handles=handles, loc="outside right upper", frameon=False, fontsize=7, handlelength=1.6
        )
        return
    axes[0].legend(handles=handles, frameon=False, fontsize=7)


def plain_logs(ax: "Axes", which: Literal["x", "y"]) -> None:
    """Label a logarithmic axis with numbers such as 0.2, not powers; set its limits before."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis, (low, high) = (ax.xaxis, ax.get_xlim()) if which == "x" else (ax.yaxis, ax.get_ylim())
    between = (1.0, 2.0, 5.0) if high < 300 * low else (1.0,)
    axis.set_major_locator(LogLocator(subs=between))
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def check_result(result: Any, argument: str, source: str, names: Sequence[str]) -> None:
    """Check a result before it is drawn.

    Raises
    ------
    TypeError, ValueError
        It is not a Dataset, or lacks one of these variables.
    """
    if not isinstance(result, xr.Dataset):
        raise TypeError(
            f"{argument}: got {type(result).__name__}, allowed is the Dataset that {source} "
            "returns."
        )
    missing = [name for name in names if name not in result]
    if missing:
        raise ValueError(f"{argument}: it has no {missing[0]!r}; give what {source} returns.")


def axes_list(axes: Any, n: int, argument: str = "ax") -> list["Axes"]:
    """Return the first n of the axes given by the user, as a list.

    Raises
    ------
    TypeError, ValueError
        They are not axes, or too few.
    """
    from matplotlib.axes import Axes

    given = [axes] if isinstance(axes, Axes) or not isinstance(axes, Iterable) else axes
    flat = list(np.asarray(given, dtype=object).ravel())
    for one in flat:
        if not isinstance(one, Axes):
            raise TypeError(
                f"{argument}: got {type(one).__name__}, allowed are matplotlib Axes, such as "
                "matplotlib.pyplot.subplots() returns."
            )
    if len(flat) < n:
        panels = "1 panel" if n == 1 else f"{n} panels"
        raise ValueError(
            f"{argument}: got {len(flat)} axes, but {panels} to draw; give one Axes per panel."
        )
    return flat[:n]


def label_neurons(ax: "Axes", which: Literal["x", "y"], labels: Sequence[str], size: float) -> None:
    """Label rows (y) or columns (x) 0, 1, ... with as many labels as there is room for.

    Parameters
    ----------
    ax : Axes
    which : "x" or "y"
    labels : sequence of str
    size : float
        Height (y) or width (x) available for them, in inches.
    """
    font = _label_font(labels)
    upright = which == "y" or (
        label_length(labels) * len(labels) * 1.1 <= size and len(labels) <= _MANY
    )
    needed = len(labels) * font * 1.25 / (size * 72)
    step = next((step for step in _STEPS if step >= needed), len(labels))
    ticks = range(0, len(labels), step)
    axis = ax.yaxis if which == "y" else ax.xaxis
    axis.set_ticks(ticks, [labels[i] for i in ticks], fontsize=font, rotation=0 if upright else 90)
    axis.set_tick_params(length=2 if len(labels) > _MANY else 3)


def _label_font(labels: Sequence[str]) -> int:
    return 7 if len(labels) > _MANY else 9


def label_length(labels: Sequence[str]) -> float:
    """Return the length of the longest label in inches."""
    return max(map(len, labels)) * _label_font(labels) * _EM / 72


def set_titles(
    axes: Sequence["Axes"], titles: Sequence[tuple[str, str]], font: float, width: float
) -> None:
    """Set titles of axes of a width in inches; on two lines, and smaller, if one would not fit."""
    room = width * 72 / _EM
    separator = " "
    if max(len(first) + 1 + len(second) for first, second in titles) * font > room:
        separator = "\n"
        font = max(5.0, min(font, room / max(len(part) for title in titles for part in title)))
    for ax, title in zip(axes, titles, strict=True):
        ax.set_title(separator.join(title), fontsize=font, color=INK)
