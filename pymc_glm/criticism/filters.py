"""Coupling filters: posterior mean and pointwise credible bands."""

from collections.abc import Hashable, Iterable

import numpy as np
import xarray as xr

from pymc_glm.criticism.posterior import check_prob, hdi, network_draws, pair_index

__all__ = ["filter_bands"]


def filter_bands(
    tree: xr.DataTree,
    hdi_prob: float = 0.94,
    pairs: Iterable[tuple[Hashable, Hashable]] | None = None,
    *,
    given_edge: bool = False,
) -> xr.Dataset:
    """Mean and pointwise credible band of coupling filters.

    The filter of a pair is the sum of its weights times the basis functions: the change of psi
    (log-odds) at every lag after one spike. Pairs are worked on one after the other, so that the
    draws of all filters never stand in memory together.

    Parameters
    ----------
    tree : DataTree
        What sampling returned; needs the posterior and the constant data.
    hdi_prob : float
        Probability of the band, a highest-density interval at every lag by itself.
    pairs : iterable of (pre, post), optional
        Labels of the pairs to work on. All by default.
    given_edge : bool
        Use only the draws in which the edge is present. By default all are used and the filter of
        an absent edge is zero, so that mean and band tell the whole posterior.

    Returns
    -------
    Dataset
        `mean`, `lower` and `upper`, dims (post, pre, lag), lag in seconds. NaN for pairs that were
        not asked for and, with `given_edge`, for edges that are never present.

    Raises
    ------
    TypeError, ValueError
        The tree does not hold the draws of a network, a neuron is unknown, or `hdi_prob` is not
        between 0 and 1.

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
    bands = np.full((3, n_neurons, n_neurons, n_lags), np.nan)
    for post in sorted({post for _, post in chosen}):
        present, weights = draws.present_at(post), draws.weights_at(post)
        for pre in {pre for pre, other in chosen if other == post}:
            used = present[pre] if given_edge else np.ones_like(present[pre])
            if not present[pre].any():
                bands[:, post, pre] = np.nan if given_edge else 0.0
                continue
            values = weights[pre][used] @ draws.basis.T
            bands[0, post, pre] = values.mean(axis=0)
            bands[1:, post, pre] = hdi(values, prob).T
    neurons = list(draws.neurons)
    attrs = {"hdi_prob": prob, "units": "log-odds"}
    return xr.Dataset(
        {
            name: (("post", "pre", "lag"), values, {"units": "log-odds"})
            for name, values in zip(("mean", "lower", "upper"), bands, strict=True)
        },
        coords={"post": neurons, "pre": neurons, "lag": ("lag", draws.lags, {"units": "s"})},
        attrs=attrs,
    )
