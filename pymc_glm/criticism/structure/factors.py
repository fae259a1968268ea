"""Factors of shared input, aligned across draws."""

from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from arviz_stats.base import array_stats
from numpy.typing import NDArray

from pymc_glm.arguments import as_probability, as_whole_number
from pymc_glm.criticism.network.diagnostics import varies
from pymc_glm.criticism.posterior import hdi, variable
from pymc_glm.criticism.structure.factor_alignment import (
    overlapping,
    pivot_draw,
    reordering,
    rotating,
    turned_up,
)
from pymc_glm.criticism.structure.learned import learned, variable_names
from pymc_glm.trees import kept_paths

__all__ = ["AlignedLoadings", "align_factors", "aligned_loadings", "bins_of_segment"]

_ADVICE = "this model has no shared input; build one with pg.build_glm(..., shared_input=)"
_METHODS = ("rotation", "order", "sign")

type Floats = NDArray[np.float64]


class AlignedLoadings(NamedTuple):
    """Loadings after alignment, and the maps that aligned them."""

    loadings: Floats  # (chain, draw, post, factor)
    maps: Floats  # (chain, draw, factor, factor)
    order: NDArray[np.intp]  # (chain, draw, factor): the factor that has become each one
    group: NDArray[np.int64]  # (factor,), of factors that were rotated among one another


def aligned_loadings(tree: xr.DataTree, method: str = "rotation") -> AlignedLoadings:
    """Align the loadings of all draws; see `align_factors`.

    Parameters
    ----------
    tree : DataTree
    method : str

    Raises
    ------
    TypeError, ValueError
        The tree does not hold draws of loadings, or the method is unknown.
    """
    if method not in _METHODS:
        raise ValueError(f"method: got {method!r}, allowed are {', '.join(map(repr, _METHODS))}.")
    drawn = learned(tree, "loadings", "tree", _ADVICE).transpose("chain", "draw", "post", "factor")
    values = drawn.values.astype(np.float64)
    shape, n_factors = values.shape[:2], values.shape[3]
    flat = values.reshape(-1, *values.shape[2:])
    smoothness = variable(tree, "constant_data", "smoothness").values.astype(np.float64)
    timescales = _by_draw(tree, "factor_timescale", shape).reshape(-1, n_factors)
    pivot = pivot_draw(flat)
    kind = np.arange(n_factors, dtype=np.float64) if method == "sign" else smoothness
    maps = reordering(flat, kind, pivot)
    order = np.abs(maps).argmax(axis=1)  # of the old factors, by new one
    group = np.arange(n_factors)
    if method == "rotation":
        group = overlapping(np.take_along_axis(timescales, order, axis=1), smoothness)
        maps = maps @ rotating(flat @ maps, group, pivot)
    maps = maps * turned_up(flat @ maps)
    return AlignedLoadings(
        (flat @ maps).reshape(values.shape),
        maps.reshape(*shape, n_factors, n_factors),
        order.reshape(*shape, n_factors),
        group,
    )


def _by_draw(tree: xr.DataTree, name: str, shape: tuple[int, ...]) -> Floats:
    """Return a variable by factor, (chain, draw, factor), the same in all draws if it is fixed."""
    if name in variable_names(tree, "posterior"):
        return tree["posterior"][name].transpose("chain", "draw", "factor").values.astype(float)
    fixed = variable(tree, "constant_data", name).values.astype(float)
    return np.broadcast_to(fixed, (*shape, fixed.size))


def align_factors(
    tree: xr.DataTree,
    *,
    method: str = "rotation",
    start: float | None = None,
    stop: float | None = None,
    segment: int | None = None,
    prob: float = 0.94,
) -> xr.Dataset:
    r"""Align the factors of shared input across draws, and summarise loadings and paths.

    What shared input adds to the activations, :math:`\sum_k l_{nk} f_k(t)`, does not change when a
    factor and its loadings change sign, when factors change places, or, as far as their timescales
    agree, when they are rotated. So the factors of a draw mean nothing by themselves. Here all
    draws are brought onto a pivot, the draw whose covariances :math:`\sum_k l_{nk} l_{mk}` are
    nearest to their mean, and then onto the mean of the aligned draws.

    Parameters
    ----------
    tree : DataTree
        What sampling returned for a model with shared input.
    method : {"rotation", "order", "sign"}
        "sign": only signs are chosen. "order": signs, and the order of factors of the same
        smoothness, by assignment (Hungarian algorithm). "rotation": then factors of the same
        smoothness whose timescales overlap are rotated among one another (orthogonal Procrustes).
    start, stop : float, optional
        Window of the paths in seconds, which take much memory: grid points in [start, stop). By
        default the whole recording.
    segment : int, optional
        Number, from 0, of the trial or other segment whose paths are returned. By default all; a
        window needs it if times begin anew in every segment.
    prob : float
        Probability of the highest-density intervals of loadings and paths.

    Returns
    -------
    Dataset
        ``loadings`` (chain, draw, post, factor), aligned, with ``loadings_mean``,
        ``loadings_lower`` and ``loadings_upper`` (post, factor). ``factor_timescale`` (chain, draw,
        factor) in seconds, in the same order. ``group`` (factor): factors with the same number were
        rotated among one another, and their timescales belong to the group only. The factors are
        turned so that mean loadings have a positive sum.

        If paths were kept, ``path`` (chain, path_draw, factor, time), the aligned paths at the
        points of the finest grid (in seconds, with gaps between segments), and ``path_mean``,
        ``path_lower`` and ``path_upper`` (factor, time), pointwise. Its coordinate ``segment``
        (time) says in which segment a point lies.

        ``covariance`` (post, other), the mean covariance of the input of two neurons, with
        ``r_hat`` and ``ess`` (post, other). These do not depend on any alignment: judge convergence
        by them, as alignment can hide that chains have found different factors.

    Raises
    ------
    TypeError, ValueError
        The tree does not hold draws of loadings, the method or the segment is unknown, or the
        window holds no grid point.

    Notes
    -----
    `sample` keeps some draws of the paths, in the group ``shared_path``; those that ``pm.sample``
    leaves in the posterior are used, too. The paths have seen all spikes: they show what the input
    was, and predict nothing. Scores integrate them out, see `heldout_score`.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> found = pg.align_factors(shared_tree)
    >>> found["loadings_mean"].sizes
    Frozen({'post': 4, 'factor': 2})
    >>> bool((found["path_lower"] <= found["path_mean"]).all())
    True
    """
    probability = as_probability(prob, "prob")
    aligned = aligned_loadings(tree, method)
    drawn = variable(tree, "posterior", "loadings")
    neurons = [str(label) for label in drawn["post"].values]
    n_factors = drawn.sizes["factor"]
    shape = aligned.loadings.shape[:2]
    flat = aligned.loadings.reshape(-1, *aligned.loadings.shape[2:])
    timescales = np.take_along_axis(
        _by_draw(tree, "factor_timescale", shape), aligned.order, axis=2
    )
    band = hdi(flat, probability)
    of_neuron = ("post", "factor")
    found = xr.Dataset(
        {
            "loadings": (("chain", "draw", *of_neuron), aligned.loadings),
            "loadings_mean": (of_neuron, flat.mean(axis=0)),
            "loadings_lower": (of_neuron, band[..., 0]),
            "loadings_upper": (of_neuron, band[..., 1]),
            "factor_timescale": (("chain", "draw", "factor"), timescales, {"units": "s"}),
        },
        coords={
            "chain": drawn["chain"].values,
            "draw": drawn["draw"].values,
            "post": neurons,
            "factor": np.arange(n_factors),
            "group": ("factor", aligned.group),
        },
        attrs={"prob": probability, "method": method},
    )
    found = found.merge(_covariance(aligned.loadings, neurons))
    paths = _paths(tree, start, stop, segment)
    return found if paths is None else found.merge(_aligned_paths(paths, aligned, probability))


def _covariance(loadings: Floats, neurons: list[str]) -> xr.Dataset:
    """Return mean, R-hat and effective draws of the covariances of the input of two neurons."""
    n = len(neurons)
    found = {name: np.full((n, n), np.nan) for name in ("covariance", "r_hat", "ess")}
    for first in range(n):
        values = np.einsum("cdk,cdmk->mcd", loadings[:, :, first], loadings[:, :, first:])
        moves = varies(values)
        row = {"covariance": values.mean(axis=(1, 2))}
        row |= {name: np.full(n - first, np.nan) for name in ("r_hat", "ess")}
        if moves.any():
            with np.errstate(divide="ignore", invalid="ignore"):
                row["r_hat"][moves] = array_stats.rhat(values[moves], method="rank")
            row["ess"][moves] = array_stats.ess(values[moves], method="mean")
        for name, of_pair in row.items():
            found[name][first, first:] = found[name][first:, first] = of_pair
    return xr.Dataset(
        {name: (("post", "other"), values) for name, values in found.items()},
        coords={"post": neurons, "other": neurons},
    )


class _Paths(NamedTuple):
    drawn: Floats  # (chain, path_draw, factor, time)
    draws: NDArray[Any]  # (path_draw,), labels of the draws
    places: NDArray[np.intp]  # (path_draw,), where these are in the posterior
    times: Floats  # (time,), s
    segments: NDArray[np.int64]  # (time,)


def _segments(tree: xr.DataTree, n_bins: int) -> NDArray[np.int64]:
    """Return the number of the segment of each bin, (time,)."""
    starts = np.zeros(1, np.int64)
    if "segment_start" in variable_names(tree, "constant_data"):
        starts = variable(tree, "constant_data", "segment_start").values.astype(np.int64)
    return np.searchsorted(starts, np.arange(n_bins), side="right") - 1


def bins_of_segment(tree: xr.DataTree, n_bins: int, segment: int | None) -> NDArray[np.bool_]:
    """Return which bins of a recording lie in a segment, (time,).

    Parameters
    ----------
    tree : DataTree
    n_bins : int
    segment : int, optional
        Counted from 0; all bins are meant if it is None.

    Raises
    ------
    ValueError
        There is no such segment.
    """
    segments = _segments(tree, n_bins)
    if segment is None:
        return np.ones(n_bins, dtype=bool)
    last = int(segments[-1])
    number = as_whole_number(
        segment, "segment", at_least=0, at_most=last, reason="the segments of the recording"
    )
    return segments == number


def _paths(
    tree: xr.DataTree, start: float | None, stop: float | None, segment: int | None
) -> _Paths | None:
    """Return the paths that were kept, at the points of the finest grid; None if there are none."""
    known = variable(tree, "posterior", "loadings")["draw"].values
    kept = kept_paths(tree)
    if "factors" in kept:
        drawn = kept["factors"].transpose("chain", "path_draw", "grid")
        drawn = drawn.isel(path_draw=np.isin(drawn["path_draw"].values, known))
        draws: NDArray[Any] = drawn["path_draw"].values
    elif "factors" in variable_names(tree, "posterior"):
        drawn = variable(tree, "posterior", "factors").transpose("chain", "draw", "grid")
        draws = known
    else:
        return None
    points = variable(tree, "constant_data", "path_index").transpose("time", "factor")
    width = variable(tree, "constant_data", "grid_width").values
    at, times = points.values, points["time"].values.astype(np.float64)
    finest = at[:, int(np.argmin(width))]
    first = np.flatnonzero(np.append(True, finest[1:] != finest[:-1]))
    first = first[bins_of_segment(tree, times.size, segment)[first]]
    chosen = _in_window(first, times, start, stop)
    values = drawn.values[:, :, at[chosen].T]  # (chain, path_draw, factor, time)
    places = np.searchsorted(known, draws)
    return _Paths(values, draws, places, times[chosen], _segments(tree, times.size)[chosen])


def _in_window(
    bins: NDArray[np.intp], times: Floats, start: float | None, stop: float | None
) -> NDArray[np.intp]:
    """Return the bins that begin in [start, stop), of those given."""
    if (start is not None or stop is not None) and (np.diff(times[bins]) <= 0).any():
        raise ValueError(
            "start, stop: times jump back between segments, so a window in seconds is ambiguous; "
            "select a segment, such as segment=0, or omit both."
        )
    inside = np.ones(bins.size, dtype=bool)
    if start is not None:
        inside &= times[bins] >= start - 1e-9
    if stop is not None:
        inside &= times[bins] < stop - 1e-9
    if not inside.any():
        raise ValueError(
            f"start, stop: no grid point lies in the window {start} to {stop} s; there are some "
            f"from {times[bins[0]]:g} to {times[bins[-1]]:g} s."
        )
    return bins[inside]


def _aligned_paths(paths: _Paths, aligned: AlignedLoadings, prob: float) -> xr.Dataset:
    """Return paths in the alignment of the loadings of their draws."""
    maps = aligned.maps[:, paths.places]
    turned = np.einsum("cdkt,cdkj->cdjt", paths.drawn, maps)
    flat = turned.reshape(-1, *turned.shape[2:])
    band = hdi(flat, prob) if len(flat) > 1 else np.stack([flat[0], flat[0]], axis=-1)
    dims = ("factor", "time")
    return xr.Dataset(
        {
            "path": (("chain", "path_draw", *dims), turned),
            "path_mean": (dims, flat.mean(axis=0)),
            "path_lower": (dims, band[..., 0]),
            "path_upper": (dims, band[..., 1]),
        },
        coords={
            "path_draw": paths.draws,
            "time": ("time", paths.times, {"units": "s"}),
            "segment": ("time", paths.segments),
        },
    )
