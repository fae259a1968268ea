"""Replacement of unreliable leave-one-out estimates by refits without the bins."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from arviz_stats.utils import ELPDDataLOO, ELPDDataLOOSubsample
from numpy.typing import NDArray

from pymc_glm.criticism.one_step import ObservedData, observed_data
from pymc_glm.criticism.scores.densities import Densities
from pymc_glm.criticism.scores.loo import (
    NO_LOO,
    check_draws,
    influential,
    relative_efficiency,
)
from pymc_glm.criticism.scores.units import Units, units_of
from pymc_glm.criticism.shared_path import refuse_shared_input
from pymc_glm.kernels.pointwise import Groups
from pymc_glm.kernels.psis import smooth_weights, tail_length

__all__ = ["mend_loo"]

type Refit = Callable[[NDArray[np.bool_]], xr.DataTree]


def mend_loo(
    elpd: ELPDDataLOO,
    tree: xr.DataTree,
    refit: Refit,
    *,
    threshold: float | None = None,
    most: int = 10,
    put_back: bool = True,
    threads: int | None = None,
) -> ELPDDataLOO:
    r"""Replace the estimates of `loo` with a large Pareto k by estimates from refits.

    For each bin (block, trial) with such an observation, the model is sampled once without it. A
    refit excludes it for all neurons; the counts of the other neurons are restored by importance
    weights :math:`\prod_{m \ne n} p(y_{tm} \mid \theta_s)`. This is exact up to Monte Carlo
    error. Moment matching would need no refits, but has no transformation for edges.

    Parameters
    ----------
    elpd : ELPDDataLOO
        Result of `loo`.
    tree : DataTree
        The posterior from which it was computed.
    refit : callable
        Function of the bins to exclude, bool (time,), that returns the posterior without them, such
        as ``lambda out: pg.sample(model=pg.build_glm(counts, basis, exclude=out))``. Other
        arguments must be those of the first fit, except ``exclude``, which `out` includes, and
        ``unknown_history``.
    threshold : float, optional
        Largest k considered reliable, by default ``elpd.good_k``.
    most : int
        Largest number of refits allowed.
    put_back : bool
        Whether to restore the counts of the other neurons. They inform this neuron only through
        hyperparameters of the network. In blocks with many neurons, restoring them can add more
        Monte Carlo error than it is worth; the new k shows this.
    threads : int, optional
        All cores by default.

    Returns
    -------
    ELPDDataLOO
        With new ``elpd_i``, ``p_loo_i`` and sums. ``pareto_k`` of a replaced estimate is that of
        the weights which restore the other neurons, at least 0; 0 if there are none.

    Raises
    ------
    TypeError
        `elpd` is not from `loo`, or `refit` does not return a DataTree.
    ValueError
        Too many refits are needed, or `refit` did not use the data of the tree without these bins.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> def refit(out):
    ...     model = pg.build_glm(counts, basis, exclude=out, **parts)
    ...     return pg.sample(model=model, random_seed=1, **options)
    >>> elpd = pg.loo(tree)
    >>> worst = float(elpd.pareto_k.max())
    >>> better = pg.mend_loo(elpd, tree, refit, threshold=worst - 1e-9)  # refits for the worst
    >>> float(better.pareto_k.max()) < worst
    True
    """
    if isinstance(elpd, ELPDDataLOOSubsample) or "unit" not in getattr(
        getattr(elpd, "elpd_i", None), "attrs", ()
    ):
        raise TypeError(f"elpd: got {type(elpd).__name__}; give what pymc_glm.loo returned.")
    refuse_shared_input(tree, "pymc_glm.mend_loo", NO_LOO)
    data = observed_data(tree)
    settings = elpd.elpd_i.attrs
    units = units_of(data, settings["unit"], settings["block_width"])
    k = elpd.pareto_k.transpose(units.dim, "post").values.copy()
    if k.shape != (units.groups.n_groups, len(data.neurons)):
        raise ValueError(
            f"tree: it has {units.groups.n_groups} observations of {len(data.neurons)} neurons, "
            f"elpd has {k.shape[0]} of {k.shape[1]}; give the posterior that was passed to "
            "pymc_glm.loo."
        )
    limit = elpd.good_k if threshold is None else threshold
    bad = k > limit
    wrong = np.flatnonzero(bad.any(axis=1))
    if wrong.size > most:
        worst = influential(elpd, limit).iloc[0]
        raise ValueError(
            f"most: {wrong.size} refits are needed for k above {limit:.2f}, allowed are {most} "
            f"(largest k {worst.pareto_k:.2f}, neuron {worst.neuron!r} at {worst.time:g} s); "
            "increase most, or check why the model fails there."
        )
    values = elpd.elpd_i.transpose(units.dim, "post").values.copy()
    lpd = values + elpd.p_loo_i.transpose(units.dim, "post").values
    for unit in wrong:
        bins = units.groups.bins[units.groups.start[unit] : units.groups.start[unit + 1]]
        fitted = _refitted(refit, data, bins)
        posts = np.flatnonzero(bad[unit])
        values[unit, posts], k[unit, posts] = _without(
            Densities(fitted, data, threads), bins, posts, put_back
        )
    return _replaced(elpd, units, values, k, lpd - values)


def _refitted(refit: Refit, data: ObservedData, bins: NDArray[np.int64]) -> xr.DataTree:
    """Return the posterior without the given bins, after checks of its data."""
    n_bins = len(data.counts)
    out = np.zeros(n_bins, bool)
    if data.bins is not None:
        out[:] = True
        out[data.bins] = False
    out[bins] = True
    fitted = refit(out.copy())
    if not isinstance(fitted, xr.DataTree):
        raise TypeError(
            f"refit: it returned {type(fitted).__name__}, allowed is the DataTree that "
            "pymc_glm.sample returns."
        )
    new, left = observed_data(fitted), np.flatnonzero(~out)
    for what, same in (
        ("neurons", new.neurons == data.neurons),
        ("observation model", new.observation is data.observation),
        ("counts", np.array_equal(new.counts, data.counts)),
        ("basis", np.array_equal(new.basis, data.basis)),
        ("self basis", _same_self_basis(new, data)),
        ("excluded bins", new.bins is not None and np.array_equal(new.bins, left)),
    ):
        if not same:
            raise ValueError(
                f"refit: it returned a posterior with the wrong {what}; build the model from the "
                "data of the tree, with exclude= the bins given and unknown_history='recorded'."
            )
    return fitted


def _same_self_basis(new: ObservedData, data: ObservedData) -> bool:
    if new.self_basis is None or data.self_basis is None:
        return new.self_basis is data.self_basis
    return np.array_equal(new.self_basis, data.self_basis)


def _without(
    densities: Densities, bins: NDArray[np.int64], posts: NDArray[np.intp], put_back: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return elpd and k (post,) of bins that were excluded from the fit."""
    n_draws = densities.n_draws
    check_draws(n_draws)
    groups = Groups(bins, np.array([0, bins.size]))
    logs = np.zeros((len(densities.data.neurons), 1, n_draws))
    for post in range(len(logs)) if put_back else posts:
        densities.write(densities.drawn(post), groups, logs[post])
    logs = logs[:, 0]
    length = tail_length(n_draws, relative_efficiency(densities.tree, "posterior") or 1.0)
    found = np.empty((2, posts.size))
    for i, post in enumerate(posts):
        others = np.delete(logs, post, axis=0).sum(axis=0) if put_back else np.zeros(n_draws)
        weights, k = smooth_weights(others, length)
        top = logs[post].max()
        found[:, i] = top + np.log(weights @ np.exp(logs[post] - top)), max(np.nan_to_num(k), 0.0)
    return found[0], found[1]


def _replaced(
    elpd: ELPDDataLOO,
    units: Units,
    values: NDArray[np.float64],
    k: NDArray[np.float64],
    p: NDArray[np.float64],
) -> ELPDDataLOO:
    like = elpd.elpd_i.transpose(units.dim, "post")
    made = {"elpd_i": values, "pareto_k": k, "p_loo_i": p}
    pointwise: dict[str, Any] = {
        name: like.copy(data=array).rename(name) for name, array in made.items()
    }
    return replace(
        elpd,
        elpd=float(values.sum()),
        se=float(np.sqrt(values.size * values.var(ddof=1))),
        p=float(p.sum()),
        warning=bool((k > elpd.good_k).any()),
        **pointwise,
    )
