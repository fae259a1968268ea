"""Shared input with known parameters, and draws of its path."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pymc as pm
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from pymc_glm.arguments import as_number
from pymc_glm.kernels.path_filter import Delays
from pymc_glm.kernels.shared_path import autoregression, path_from
from pymc_glm.trees import variable

__all__ = [
    "PathParameters",
    "check_path",
    "delays_of",
    "draw_path",
    "has_shared_input",
    "path_at_point",
    "path_of_draw",
    "steps_of",
]

PATH_VARIABLES = ("loadings", "factor_timescale", "input_delay")  # that a model may learn

type Floats = NDArray[np.float64]


class PathParameters(NamedTuple):
    """Shared input with known parameters, for `NetworkParameters`.

    It adds ``loadings[n, k] f_k(t - delay[n])`` to the activation of neuron n. Each factor f_k is a
    stationary Gauss-Markov path of unit variance, constant within the steps of its grid; see
    `SharedInput`.

    Parameters
    ----------
    loadings : array, shape (post, factor)
    timescale : array, shape (factor,)
        Seconds.
    smoothness : array, shape (factor,)
        0.5 or 1.5.
    grid_width : array, shape (factor,)
        Step of the grid in seconds, a whole number of bins.
    delay : array, shape (post,), optional
        Seconds by which the input reaches each neuron later, negative if it does so earlier; by
        default 0.
    max_delay : float
        The largest possible delay in seconds, by which the grids begin before the counts.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> basis = pg.basis.raised_cosine(1, window=0.05, bin_width=0.005)
    >>> shared = pg.PathParameters(
    ...     loadings=np.ones((2, 1)), timescale=[0.05], smoothness=[0.5], grid_width=[0.01]
    ... )
    >>> pair = pg.NetworkParameters(
    ...     np.full(2, -3.0), np.zeros((2, 2, 1)), basis, shared_input=shared
    ... )
    >>> counts = pg.simulate(pair, 20_000, random_seed=1)
    >>> bool(np.corrcoef(counts.T)[0, 1] > 0.02)  # they fire together
    True
    """

    loadings: Floats
    timescale: Floats
    smoothness: Floats
    grid_width: Floats
    delay: Floats | None = None
    max_delay: float = 0.0


def has_shared_input(tree: xr.DataTree) -> bool:
    """Return whether a model has shared input.

    Parameters
    ----------
    tree : DataTree
        Result of sampling.
    """
    groups = (tree.children[name] for name in ("posterior", "constant_data")
              if isinstance(tree, xr.DataTree) and name in tree.children)  # fmt: skip
    return any("loadings" in group.data_vars for group in groups)


def path_of_draw(tree: xr.DataTree, chain: int, draw: int) -> PathParameters | None:
    """Return the parameters of the shared input in one draw, None if the model has none.

    Parameters
    ----------
    tree : DataTree
        Result of sampling.
    chain, draw : int
        Indices, counted from 0.

    Raises
    ------
    TypeError, ValueError
        See `variable`.
    """
    if not has_shared_input(tree):
        return None

    def values(name: str, *dims: str) -> Floats:
        group = "posterior" if name in tree["posterior"].data_vars else "constant_data"
        found = variable(tree, group, name)
        if "chain" in found.dims:
            found = found.isel(chain=chain, draw=draw)
        return found.transpose(*dims).values.astype(np.float64)

    path = PathParameters(
        values("loadings", "post", "factor"),
        values("factor_timescale", "factor"),
        values("smoothness", "factor"),
        values("grid_width", "factor"),
    )
    if "input_delay" not in tree["posterior"].data_vars:
        return path
    delay = values("input_delay", "post") * values("bin_width")
    return path._replace(delay=delay, max_delay=float(values("max_delay")))


def path_at_point(model: pm.Model, point: Mapping[str, ArrayLike]) -> PathParameters | None:
    """Return the parameters of the shared input at a point of a model, None if it has none.

    Parameters
    ----------
    model : pymc.Model
        From one of the builders.
    point : mapping of names to arrays
        Untransformed values of what the model learns of ``loadings`` and ``factor_timescale``.

    Raises
    ------
    ValueError
        A value is missing.
    """
    if "loadings" not in model.named_vars:
        return None

    def value(name: str) -> Floats:
        if name in point:
            return np.asarray(point[name], dtype=float)
        container = model[name]
        if not hasattr(container, "get_value"):
            raise ValueError(f"point: no {name!r}, only {sorted(point)}; give its value, too.")
        return np.asarray(container.get_value(), dtype=float)

    path = PathParameters(
        value("loadings"), value("factor_timescale"), value("smoothness"), value("grid_width")
    )
    if "input_delay" not in model.named_vars:
        return path
    delay = value("input_delay") * value("bin_width")
    return path._replace(delay=delay, max_delay=float(value("max_delay")))


def check_path(
    path: PathParameters | None, n_posts: int, bin_width: float
) -> PathParameters | None:
    """Return shared input as arrays of consistent shapes, None if there is none.

    Parameters
    ----------
    path : PathParameters or None
    n_posts : int
    bin_width : float
        Seconds.

    Raises
    ------
    TypeError, ValueError
        It has another type, shapes are inconsistent, or a number is out of range.
    """
    if path is None:
        return None
    if not isinstance(path, PathParameters):
        raise TypeError(
            f"shared_input: got {type(path).__name__}, allowed are pymc_glm.PathParameters and "
            "None; give the parameters of the paths, not their prior."
        )
    loadings = np.asarray(path.loadings, dtype=np.float64)
    if loadings.ndim != 2 or len(loadings) != n_posts:
        raise ValueError(
            f"loadings: got the shape {loadings.shape}, allowed is (post, factor) = ({n_posts}, "
            "any)."
        )
    if not np.isfinite(loadings).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(loadings))[0])
        raise ValueError(f"loadings: {loadings[where]} at index {where}; give finite numbers.")
    shape = loadings.shape[1:]
    rest: list[Floats] = []
    for name in PathParameters._fields[1:4]:
        values = np.asarray(getattr(path, name), dtype=np.float64)
        if values.shape != shape or not (np.isfinite(values) & (values > 0)).all():
            raise ValueError(
                f"{name}: got {values.tolist()}, allowed are finite numbers above 0, one for each "
                f"of the {shape[0]} factors."
            )
        rest.append(values)
    timescale, smoothness, width = rest
    delay, most = _checked_delays(path, n_posts)
    checked = PathParameters(loadings, timescale, smoothness, width, delay, most)
    if not np.isin(checked.smoothness, (0.5, 1.5)).all():
        raise ValueError(f"smoothness: got {checked.smoothness.tolist()}, allowed are 0.5 and 1.5.")
    steps = checked.grid_width / bin_width
    if (np.abs(steps - np.rint(steps)) > 1e-6 * steps).any() or (steps < 0.5).any():
        raise ValueError(
            f"grid_width: got {checked.grid_width.tolist()} s, allowed are whole numbers of bins "
            f"of {bin_width:g} s."
        )
    return checked


def _checked_delays(path: PathParameters, n_posts: int) -> tuple[Floats | None, float]:
    """Return the delays and the largest possible one, in seconds."""
    most = as_number(path.max_delay, "max_delay", at_least=0)
    if path.delay is None:
        return None, most
    delay = np.asarray(path.delay, dtype=np.float64)
    if delay.shape != (n_posts,) or not np.isfinite(delay).all():
        raise ValueError(
            f"delay: got {delay.tolist()}, allowed are finite numbers of seconds, one for each of "
            f"the {n_posts} neurons."
        )
    return delay, max(most, float(np.abs(delay).max(initial=0.0)))


def steps_of(path: PathParameters, bin_width: float) -> NDArray[np.int64]:
    """Return the number of bins of a step of each grid, (factor,)."""
    return np.rint(np.asarray(path.grid_width) / bin_width).astype(np.int64)


def delays_of(path: PathParameters, bin_width: float) -> Delays | None:
    """Return the delays in bins, None if there are none."""
    if path.delay is None:
        return None
    each, most = (
        np.rint(np.asarray(v) / bin_width).astype(int) for v in (path.delay, path.max_delay)
    )
    return Delays(each, int(most))


def draw_path(
    path: PathParameters, n_bins: int, bin_width: float, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Draw the factors in the bins of one segment, with the delays that occur, and their effects.

    Parameters
    ----------
    path : PathParameters
        Checked.
    n_bins : int
    bin_width : float
        Seconds.
    rng : numpy.random.Generator

    Returns
    -------
    values : array, shape (time, factor times delay)
    effects : array, shape (factor times delay, post)
    """
    delays = delays_of(path, bin_width) or Delays(np.zeros(len(path.loadings), int), 0)
    distinct, which = np.unique(delays.each, return_inverse=True)
    places = np.arange(n_bins)[:, None] + delays.most - distinct
    has_delay = which == np.arange(distinct.size)[:, None]
    values, effects = [], []
    for k, step in enumerate(steps_of(path, bin_width)):
        n_points = -(-(n_bins + 2 * delays.most) // int(step))
        coefficients = autoregression(
            float(path.smoothness[k]), float(path.grid_width[k]), float(path.timescale[k])
        )
        drawn = path_from(rng.standard_normal(n_points), np.arange(n_points), coefficients)
        values.append(drawn[places // step])
        effects.append(np.where(has_delay, path.loadings[:, k], 0.0))
    return np.hstack(values), np.vstack(effects)
