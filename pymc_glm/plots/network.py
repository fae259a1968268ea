"""Networks as matrices."""

from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING, get_args

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from pymc_glm.arguments import label_index
from pymc_glm.criticism.network.edges import MIN_EFFECT, Quantity, network_matrix
from pymc_glm.plots.panels import GREY, axes_list, label_length, label_neurons, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

__all__ = ["plot_network"]

_BAR_LABEL = {
    "probability": "inclusion probability",
    "weight": "coupling at its peak lag",
}


def plot_network(
    tree_or_matrix: xr.DataTree | xr.DataArray | ArrayLike,
    *,
    quantity: Quantity = "probability",
    truth: ArrayLike | None = None,
    order: Iterable[Hashable] | None = None,
    min_effect: float = MIN_EFFECT,
    ax: "Axes | Iterable[Axes] | None" = None,
) -> "Axes | np.ndarray":
    """Plot a network as a matrix, post neurons in rows and pre neurons in columns.

    Parameters
    ----------
    tree_or_matrix : DataTree, DataArray (post, pre) or array (post, pre)
        What sampling returned, or a matrix of the quantity.
    quantity : {"probability", "weight"}
        "probability": inclusion probabilities, white (0) to dark (1). "weight": posterior mean of
        the coupling filter at its peak, where absent edges count as 0; red excites, blue inhibits.
        The colour scale of weights ends at the strongest coupling between different neurons;
        stronger self-edges saturate, as the arrow of the colour bar shows.
    truth : array (post, pre), optional
        True network to show next to it on the same scale: the adjacency (for probabilities, any
        number but 0 is an edge) or the weights.
    order : iterable of labels, optional
        Neurons to show, in this order. All by default.
    min_effect : float
        For probabilities of a tree: the smallest effect that counts, in units of psi, see
        `edge_summary`.
    ax : Axes, or two Axes with `truth`, optional
        Where to draw. By default on a new figure.

    Returns
    -------
    Axes, or array of two Axes (true, inferred) with `truth`

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong type or shape, or a neuron is unknown.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> probability = np.array([[1.0, 0.1], [0.8, 1.0]])
    >>> axes = pg.plot_network(probability, truth=probability > 0.5)
    >>> [ax.get_title() for ax in axes]
    ['true', 'inferred']
    """
    if quantity not in _BAR_LABEL:
        allowed = list(get_args(Quantity.__value__))
        raise ValueError(f"quantity: got {quantity!r}, allowed are {allowed}.")
    values, neurons, unit = _matrix(tree_or_matrix, quantity, min_effect)
    panels = {"": values} if truth is None else {"true": _truth(truth, quantity, values)}
    if truth is not None:
        panels["inferred"] = values
    keep = label_index(neurons, order, "order")
    panels = {title: matrix[np.ix_(keep, keep)] for title, matrix in panels.items()}
    labels = [neurons[n] for n in keep]

    side = float(np.clip(0.12 * len(labels) + 2.2, 2.6, 6.0))
    if ax is None:
        n_panels = len(panels)
        long = max(label_length(labels) - 0.2, 0.0)
        size = (n_panels * side + 0.9 + long, side + 0.55 + long)
        axes = list(new_axes(1, n_panels, size, layout="compressed").ravel())
    else:
        axes = axes_list(ax, len(panels))
    limit = _limit(list(panels.values()))
    for one, (title, matrix) in zip(axes, panels.items(), strict=True):
        image = _draw(one, matrix, quantity, limit)
        room = side - 0.5 if ax is None else _room(one)
        label_neurons(one, "x", labels, room)
        label_neurons(one, "y", labels, room)
        if ax is None and one is not axes[0]:
            one.tick_params(labelleft=False)  # the same rows as in the first panel
        one.set_xlabel("pre neuron")
        one.set_title(title, fontsize=11)
    axes[0].set_ylabel("post neuron")
    stack = np.array(list(panels.values()))
    low, high = (stack < image.norm.vmin).any(), (stack > image.norm.vmax).any()
    extend = {(True, True): "both", (True, False): "min", (False, True): "max"}
    bar = axes[0].figure.colorbar(
        image, ax=axes, aspect=22, pad=0.02, extend=extend.get((bool(low), bool(high)), "neither")
    )
    label = _BAR_LABEL[quantity] + (f" ({unit})" if unit else "")
    if quantity == "probability" and min_effect and isinstance(tree_or_matrix, xr.DataTree):
        label = f"probability of an effect above {min_effect:g}"
    bar.set_label(label)
    bar.outline.set_visible(False)
    return axes[0] if truth is None else np.array(axes, dtype=object)


def _matrix(
    given: object, quantity: Quantity, min_effect: float
) -> tuple[NDArray[np.float64], tuple[str, ...], str]:
    """Return values (post, pre), labels and unit of a tree, a DataArray or an array."""
    if isinstance(given, xr.DataTree):
        given = network_matrix(given, quantity, min_effect=min_effect)
    if isinstance(given, xr.DataArray):
        if set(given.dims) != {"post", "pre"}:
            raise ValueError(
                f"tree_or_matrix: got the dims {given.dims}, allowed are ('post', 'pre')."
            )
        given = given.transpose("post", "pre")
        labels = tuple(str(label) for label in given["post"].values)
        return _square(given.values, "tree_or_matrix"), labels, str(given.attrs.get("units", ""))
    values = _square(given, "tree_or_matrix")
    return values, tuple(str(n) for n in range(len(values))), ""


def _square(given: object, argument: str) -> NDArray[np.float64]:
    try:
        values = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{argument}: got {type(given).__name__}, allowed are a DataTree and an array of "
            "numbers (post, pre)."
        ) from error
    if values.ndim != 2 or values.shape[0] != values.shape[1] or not values.size:
        raise ValueError(
            f"{argument}: got the shape {values.shape}, allowed are square matrices (post, pre)."
        )
    if not np.isfinite(values).all():
        post, pre = np.argwhere(~np.isfinite(values))[0]
        raise ValueError(
            f"{argument}: got {values[post, pre]} at post {post}, pre {pre}; allowed are finite "
            "numbers."
        )
    return values


def _truth(truth: ArrayLike, quantity: Quantity, values: NDArray) -> NDArray[np.float64]:
    if isinstance(truth, xr.DataArray) and set(truth.dims) == {"post", "pre"}:
        truth = truth.transpose("post", "pre").values
    matrix = _square(truth, "truth")
    if matrix.shape != values.shape:
        raise ValueError(
            f"truth: got the shape {matrix.shape}, allowed is that of the network, {values.shape} "
            "(post, pre)."
        )
    return (matrix != 0).astype(np.float64) if quantity == "probability" else matrix


def _limit(matrices: list[NDArray[np.float64]]) -> float:
    """Return the end of the colour scale of weights."""
    stack = np.abs(np.array(matrices))
    others = stack[:, ~np.eye(stack.shape[1], dtype=bool)]
    # A bound from self-edges too, in case that all couplings are very weak.
    return float(max(others.max(initial=0.0), 0.2 * stack.max())) or 1.0


def _draw(ax: "Axes", matrix: NDArray, quantity: Quantity, limit: float) -> "AxesImage":
    from matplotlib.collections import LineCollection

    colours: dict = (
        {"cmap": "Greys", "vmin": 0.0, "vmax": 1.0}
        if quantity == "probability"
        else {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}
    )
    n = len(matrix)
    image = ax.imshow(matrix, interpolation="nearest", aspect="equal", **colours)
    edges = np.arange(n + 1) - 0.5
    if n <= 31:
        lines = [[(-0.5, e), (n - 0.5, e)] for e in edges[1:-1]]
        lines += [[(e, -0.5), (e, n - 0.5)] for e in edges[1:-1]]
        ax.add_collection(LineCollection(lines, colors="#dddddd", linewidths=0.5), autolim=False)
    # A staircase around the self-edges.
    boxes = [[(e, e), (e + 1, e), (e + 1, e + 1), (e, e + 1), (e, e)] for e in edges[:-1]]
    width = 1.0 if n <= 12 else 0.6
    ax.add_collection(LineCollection(boxes, colors=GREY, linewidths=width), autolim=False)
    for spine in ax.spines.values():
        spine.set_color(GREY)
    return image


def _room(ax: "Axes") -> float:
    """Return the side of the largest square within an axes, in inches."""
    return float(min(ax.bbox.width, ax.bbox.height) / ax.figure.dpi)
