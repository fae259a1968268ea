"""Coupling filters: posterior mean, pointwise and simultaneous credible bands."""

from collections.abc import Hashable, Iterable

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pymc_glm.criticism.posterior import check_prob, hdi, network_draws, pair_index, psi_unit

__all__ = ["filter_bands"]

_NAMES = ("mean", "lower", "upper", "simultaneous_lower", "simultaneous_upper")


def filter_bands(
    tree: xr.DataTree,
    hdi_prob: float = 0.94,
    pairs: Iterable[tuple[Hashable, Hashable]] | None = None,
    *,
    given_edge: bool = False,
) -> xr.Dataset:
    """Mean and credible bands of coupling filters, pointwise and simultaneous.

    The filter of a pair is the sum of its weights times the basis functions: the change of psi
    at every lag after one spike, in log-odds or what else the law has (attrs). Pairs are worked on
    one after the other, so that the draws of all filters never stand in memory together.

    Parameters
    ----------
    tree : DataTree
        What sampling returned; needs the posterior and the constant data.
    hdi_prob : float
        Probability of the bands. The pointwise band is a highest-density interval at every lag by
        itself; the simultaneous band holds whole filters with this probability.
    pairs : iterable of (pre, post), optional
        Labels of the pairs to work on. All by default.
    given_edge : bool
        Use only the draws in which the edge is present. By default all are used and the filter of
        an absent edge is zero, so that mean and band tell the whole posterior.

    Returns
    -------
    Dataset
        `mean`, `lower` and `upper`, and `simultaneous_lower` and `simultaneous_upper`, dims (post,
        pre, lag), lag in seconds. NaN for pairs that were not asked for and, with `given_edge`, for
        edges that are never present.

    Raises
    ------
    TypeError, ValueError
        The tree does not hold the draws of a network, a neuron is unknown, or `hdi_prob` is not
        between 0 and 1.

    Notes
    -----
    Each draw of a filter is as far out as its most extreme lag, and the simultaneous band is the
    range of the draws that are least far out, as many of them as `hdi_prob` says (Besag, Green,
    Higdon & Mengersen 1995, Statistical Science 10:3-41, section 6.3). How extreme is judged by the
    rank among the draws at each lag, counted from the nearer end.

    Examples
    --------
    >>> import arviz as az, numpy as np, pymc_glm as pg
    >>> rng = np.random.default_rng(1)
    >>> tree = az.from_dict(
    ...     {
    ...         "posterior": {"weights": rng.normal(2.0, 0.1, (4, 500, 2, 2, 1))},
    ...         "constant_data": {"basis_functions": np.array([[1.0], [0.5]])},
    ...     },
    ...     coords={"post": ["a", "b"], "pre": ["a", "b"], "lag": [0.005, 0.010]},
    ...     dims={"weights": ["post", "pre", "basis"], "basis_functions": ["lag", "basis"]},
    ... )
    >>> bands = pg.filter_bands(tree, pairs=[("a", "b")])
    >>> bands["mean"].sel(pre="a", post="b").values.round(1)
    array([2., 1.])
    """
    prob = check_prob(hdi_prob)
    draws = network_draws(tree)
    n_neurons, n_lags = len(draws.neurons), len(draws.lags)
    every = [(pre, post) for post in range(n_neurons) for pre in range(n_neurons)]
    chosen = every if pairs is None else pair_index(draws.neurons, pairs)
    bands = np.full((len(_NAMES), n_neurons, n_neurons, n_lags), np.nan)
    for post in sorted({post for _, post in chosen}):
        present, weights = draws.present_at(post), draws.weights_at(post)
        for pre in {pre for pre, other in chosen if other == post}:
            used = present[pre] if given_edge else np.ones_like(present[pre])
            if not present[pre].any():
                bands[:, post, pre] = np.nan if given_edge else 0.0
                continue
            values = weights[pre][used] @ draws.basis.T
            bands[0, post, pre] = values.mean(axis=0)
            bands[1:3, post, pre] = hdi(values, prob).T
            bands[3:, post, pre] = _simultaneous(values, prob)
    neurons = list(draws.neurons)
    unit = psi_unit(tree)
    return xr.Dataset(
        {
            name: (("post", "pre", "lag"), values, {"units": unit})
            for name, values in zip(_NAMES, bands, strict=True)
        },
        coords={"post": neurons, "pre": neurons, "lag": ("lag", draws.lags, {"units": "s"})},
        attrs={"hdi_prob": prob, "units": unit},
    )


def _simultaneous(values: NDArray[np.float64], prob: float) -> NDArray[np.float64]:
    """Return the ends of a band that holds whole filters (sample, lag), shape (2, lag)."""
    n = len(values)
    ordered = np.sort(values, axis=0)
    depth = np.full(n, n)  # of the most extreme lag: 1 at either end of all draws
    for lag in range(values.shape[1]):
        below = np.searchsorted(ordered[:, lag], values[:, lag], side="right")
        above = n - np.searchsorted(ordered[:, lag], values[:, lag], side="left")
        np.minimum(depth, np.minimum(below, above), out=depth)
    last = np.sort(depth)[n - int(np.ceil(prob * n))]  # ties with the last stay inside
    inside = values[depth >= last]
    return np.stack([inside.min(axis=0), inside.max(axis=0)])
