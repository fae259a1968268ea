"""Leave-one-out estimates that cannot be trusted, made again by refitting without the bins."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from arviz_stats.utils import ELPDDataLOO, ELPDDataLOOSubsample
from numpy.typing import NDArray

from pymc_glm.criticism.one_step import ObservedData, observed_data
from pymc_glm.criticism.scores.densities import Densities
from pymc_glm.criticism.scores.loo import check_draws, influential, relative_efficiency
from pymc_glm.criticism.scores.units import Units, units_of
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
    r"""Estimate anew, from refits, where the importance ratios of `loo` have too heavy a tail.

    For each bin (block, trial) with such an observation the model is sampled once without it. A
    refit leaves it out of all neurons; the others' counts in it are put back by importance weights
    :math:`\prod_{m \ne n} p(y_{tm} \mid \theta_s)`. That is exact but for Monte Carlo error.
    Moment matching, which needs no refit, has no transformation for edges.

    Parameters
    ----------
    elpd : ELPDDataLOO
        From `loo`.
    tree : DataTree
        The posterior that it was computed of.
    refit : callable
        Takes which bins are no data, bool (time,), and returns the posterior without them:
        ``lambda out: pg.sample(model=pg.build_glm(counts, basis, exclude=out))``, with the other
        arguments as they were but for ``exclude`` and ``unknown_history``, which it stands for.
    threshold : float, optional
        Largest k that is left alone, by default ``elpd.good_k``.
    most : int
        More refits than this are refused.
    put_back : bool
        False leaves the others' counts in the bin out as well. They tell of this neuron only by
        the hyperparameters of the network; in blocks of many neurons putting them back costs more
        in Monte Carlo error than it is worth, and the new k says so.
    threads : int, optional
        All cores by default.

    Returns
    -------
    ELPDDataLOO
        With new ``elpd_i``, ``p_loo_i`` and sums; ``pareto_k`` of what was mended is that of the
        weights which put other neurons back, at least 0, and 0 where there are none.

    Raises
    ------
    TypeError
        elpd is not from `loo`, or refit returns no DataTree.
    ValueError
        Too many refits, or the refitted model is not of the tree's data without these bins.

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
    recording = observed_data(tree)
    told = elpd.elpd_i.attrs
    units = units_of(recording, told["unit"], told["block_width"])
    k = elpd.pareto_k.transpose(units.dim, "post").values.copy()
    if k.shape != (units.groups.n_groups, len(recording.neurons)):
        raise ValueError(
            f"tree: it has {units.groups.n_groups} observations of {len(recording.neurons)} "
            f"neurons, elpd is of {k.shape}; give the posterior that pymc_glm.loo was given."
        )
    limit = elpd.good_k if threshold is None else threshold
    bad = k > limit
    wrong = np.flatnonzero(bad.any(axis=1))
    if wrong.size > most:
        worst = influential(elpd, limit).iloc[0]
        raise ValueError(
            f"most: {wrong.size} refits are needed for k above {limit:.2f}, allowed are {most} "
            f"(largest k {worst.pareto_k:.2f}, neuron {worst.neuron!r} at {worst.time:g} s); raise "
            "most, or look for what is wrong with the model there."
        )
    values = elpd.elpd_i.transpose(units.dim, "post").values.copy()
    lpd = values + elpd.p_loo_i.transpose(units.dim, "post").values
    for unit in wrong:
        bins = units.groups.bins[units.groups.start[unit] : units.groups.start[unit + 1]]
        fitted = _refitted(refit, recording, bins)
        posts = np.flatnonzero(bad[unit])
        values[unit, posts], k[unit, posts] = _without(
            Densities(fitted, recording, threads), bins, posts, put_back
        )
    return _replaced(elpd, units, values, k, lpd - values)


def _refitted(refit: Refit, recording: ObservedData, bins: NDArray[np.int64]) -> xr.DataTree:
    """Return the posterior without some bins, checked."""
    n_bins = len(recording.counts)
    out = np.zeros(n_bins, bool)
    if recording.bins is not None:
        out[:] = True
        out[recording.bins] = False
    out[bins] = True
    fitted = refit(out.copy())
    if not isinstance(fitted, xr.DataTree):
        raise TypeError(
            f"refit: it returned {type(fitted).__name__}, allowed is the DataTree of pymc_glm."
            "sample."
        )
    data, left = observed_data(fitted), np.flatnonzero(~out)
    for what, same in (
        ("neurons", data.neurons == recording.neurons),
        ("law", data.observation is recording.observation),
        ("counts", np.array_equal(data.counts, recording.counts)),
        ("basis", np.array_equal(data.basis, recording.basis)),
        (
            "excluded bins",
            data.bins is not None and np.array_equal(data.bins, left),
        ),
    ):
        if not same:
            raise ValueError(
                f"refit: the {what} of what it returned are not those of the tree without the bins "
                "that it was given; build the model from the same data with exclude= these bins "
                "and unknown_history='recorded'."
            )
    return fitted


def _without(
    densities: Densities, bins: NDArray[np.int64], posts: NDArray[np.intp], put_back: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return elpd and k (post,) of bins that the draws have not seen."""
    n_draws = densities.n_draws
    check_draws(n_draws)
    groups = Groups(bins, np.array([0, bins.size]))
    logs = np.zeros((len(densities.recording.neurons), 1, n_draws))
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
