"""Coupling filters: posterior means, pointwise and simultaneous credible bands."""

from collections.abc import Hashable, Iterable

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pymc_glm.arguments import as_probability
from pymc_glm.criticism.posterior import NetworkDraws, hdi, network_draws, pair_index, psi_unit

__all__ = ["filter_bands"]

_NAMES = ("mean", "lower", "upper", "simultaneous_lower", "simultaneous_upper")


def filter_bands(
    tree: xr.DataTree,
    hdi_prob: float = 0.94,
    pairs: Iterable[tuple[Hashable, Hashable]] | None = None,
    *,
    given_edge: bool = False,
) -> xr.Dataset:
    """Return mean, pointwise and simultaneous credible bands of coupling filters.

    The filter of a pair is the sum of its weights times the basis functions: the change of psi
    at every lag after one spike, in log-odds or the unit of another observation model (see attrs).
    One pair is processed at a time, which saves memory.

    Parameters
    ----------
    tree : DataTree
        What sampling returned; needs the posterior and the constant data.
    hdi_prob : float
        Probability of the bands. The pointwise band is a highest-density interval at every single
        lag; the simultaneous band contains whole filters with this probability.
    pairs : iterable of (pre, post), optional
        Labels of pairs. All by default.
    given_edge : bool
        Use only the draws in which the edge is present. By default all draws are used, with zero
        for the filter of an absent edge, so that mean and band describe the whole posterior.

    Returns
    -------
    Dataset
        `mean`, `lower` and `upper`, and `simultaneous_lower` and `simultaneous_upper`, dims (post,
        pre, lag), lag in seconds. NaN for other pairs than `pairs` and, with `given_edge`, for
        edges that are never present. In a model with self filters (``self_basis``) the diagonal is
        NaN, and `self_mean`, `self_lower`, ..., dims (post, self_lag), hold these.

    Raises
    ------
    TypeError, ValueError
        The tree does not hold the draws of a network, a neuron is unknown, or `hdi_prob` is not
        between 0 and 1.

    Notes
    -----
    At each lag a draw has a rank among all draws, counted from the nearer end; the smallest of its
    ranks over lags is its depth. The simultaneous band is the range of the deepest draws, a
    fraction `hdi_prob` of all (Besag, Green, Higdon & Mengersen 1995, Statistical Science 10:3-41,
    section 6.3).

    Examples
    --------
    >>> import pymc_glm as pg
    >>> bands = pg.filter_bands(tree, pairs=[("a", "b")])
    >>> bands["mean"].sel(pre="a", post="b").values[:4].round(1)
    array([1.9, 1.6, 1.1, 0.7])
    """
    prob = as_probability(hdi_prob, "hdi_prob")
    draws = network_draws(tree)
    n_neurons, n_lags = len(draws.neurons), len(draws.lags)
    every = [(pre, post) for post in range(n_neurons) for pre in range(n_neurons)]
    chosen = every if pairs is None else pair_index(draws.neurons, pairs)
    bands = np.full((len(_NAMES), n_neurons, n_neurons, n_lags), np.nan)
    more = _self_bands(draws, prob, [post for pre, post in chosen if pre == post], psi_unit(tree))
    if more:
        chosen = [(pre, post) for pre, post in chosen if pre != post]
    for post in sorted({post for _, post in chosen}):
        present, weights = draws.present_at(post), draws.weights_at(post)
        for pre in {pre for pre, other in chosen if other == post}:
            used = present[pre] if given_edge else np.ones_like(present[pre])
            if not present[pre].any():
                bands[:, post, pre] = np.nan if given_edge else 0.0
                continue
            bands[:, post, pre] = _bands(weights[pre][used] @ draws.basis.T, prob)
    neurons = list(draws.neurons)
    unit = psi_unit(tree)
    lags = {"lag": ("lag", draws.lags, {"units": "s"})}
    if draws.self_filters is not None:
        lags["self_lag"] = ("self_lag", draws.self_filters.lags, {"units": "s"})
    return xr.Dataset(
        {
            name: (("post", "pre", "lag"), values, {"units": unit})
            for name, values in zip(_NAMES, bands, strict=True)
        }
        | more,
        coords={"post": neurons, "pre": neurons} | lags,
        attrs={"hdi_prob": prob, "units": unit},
    )


def _self_bands(draws: NetworkDraws, prob: float, posts: list[int], unit: str) -> dict[str, tuple]:
    """Return the variables of self filters, NaN for other neurons; none for self-edges."""
    if draws.self_filters is None:
        return {}
    _, basis, lags = draws.self_filters
    bands = np.full((len(_NAMES), len(draws.neurons), len(lags)), np.nan)
    for post in set(posts):
        weights = draws.self_filters.weights_at(post)
        bands[:, post] = _bands(weights.reshape(-1, basis.shape[1]) @ basis.T, prob)
    return {
        f"self_{name}": (("post", "self_lag"), values, {"units": unit})
        for name, values in zip(_NAMES, bands, strict=True)
    }


def _bands(values: NDArray[np.float64], prob: float) -> NDArray[np.float64]:
    """Return mean, pointwise and simultaneous bounds, (5, lag), of filters (sample, lag)."""
    return np.stack([values.mean(axis=0), *hdi(values, prob).T, *_simultaneous(values, prob)])


def _simultaneous(values: NDArray[np.float64], prob: float) -> NDArray[np.float64]:
    """Return the bounds, (2, lag), of a band that contains whole filters (sample, lag)."""
    n = len(values)
    ordered = np.sort(values, axis=0)
    depth = np.full(n, n)  # rank at the most extreme lag, counted from the nearer end, from 1
    for lag in range(values.shape[1]):
        below = np.searchsorted(ordered[:, lag], values[:, lag], side="right")
        above = n - np.searchsorted(ordered[:, lag], values[:, lag], side="left")
        np.minimum(depth, np.minimum(below, above), out=depth)
    last = np.sort(depth)[n - int(np.ceil(prob * n))]  # ties with the last stay inside
    inside = values[depth >= last]
    return np.stack([inside.min(axis=0), inside.max(axis=0)])
