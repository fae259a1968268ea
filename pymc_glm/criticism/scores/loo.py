"""Leave-one-out cross-validation by Pareto smoothed importance sampling, in little memory."""

import warnings
from typing import Any

import arviz_stats
import numpy as np
import pandas as pd
import pymc as pm
import xarray as xr
from arviz_stats.base import array_stats
from arviz_stats.utils import ELPDDataLOO
from numpy.typing import NDArray

from pymc_glm.arguments import as_number
from pymc_glm.criticism.one_step import ObservedData, observed_data
from pymc_glm.criticism.posterior import variable
from pymc_glm.criticism.same_model import check_model
from pymc_glm.criticism.scores.densities import Densities, Drawn
from pymc_glm.criticism.scores.units import BLOCK_WIDTH, UNITS, Units, units_of
from pymc_glm.criticism.shared_path import refuse_shared_input
from pymc_glm.kernels.pointwise import Groups
from pymc_glm.kernels.psis import FEWEST_DRAWS, tail_length

__all__ = ["good_shape", "influential", "loo"]

LEFT_OUT = UNITS[:3]
NO_LOO = "score held-out counts by pymc_glm.heldout_score, or blocks of time by pymc_glm.kfold"
_N_PROBED = 40  # units per neuron, from which the autocorrelation of likelihoods is estimated

type Floats = NDArray[np.float64]


def loo(
    tree: xr.DataTree,
    model: pm.Model | None = None,
    *,
    unit: str = "bin",
    block_width: float = BLOCK_WIDTH,
    reff: float | str = "posterior",
    threads: int | None = None,
) -> ELPDDataLOO:
    r"""Estimate how well a model predicts unseen data by leaving out one unit at a time.

    .. math:: \mathrm{elpd} = \sum_i \log p(y_i \mid y_{-i}), \qquad
        p(y_i \mid y_{-i}) \approx \frac{\sum_s w_{is}\, p(y_i \mid \theta_s)}{\sum_s w_{is}}

    with weights :math:`1 / p(y_i \mid \theta_s)` whose tail is smoothed (Vehtari, Gelman & Gabry
    2017, arXiv:1507.04544; Vehtari et al. 2024, JMLR 25(72)). The result equals that of ``az.loo``
    from the pointwise log likelihood, but that is never stored: only the result takes memory.

    Parameters
    ----------
    tree : DataTree
        Posterior that sampling returned, with its constant data; one session, see `session`.
    model : pymc.Model, optional
        The model that was sampled; used only to check that the tree was sampled from it.
    unit : {"bin", "block", "trial"}
        What is left out at a time, of one neuron: a bin, a block of time, or a trial (segment). Its
        spikes remain part of the history of other bins. Compare models only by the same unit.
    block_width : float
        Seconds; the last block of a segment may be shorter.
    reff : float or {"posterior", "likelihood"}
        Relative efficiency, the effective number of draws divided by the number of draws, which
        sets the length of the tail. "posterior", as in ``az.loo``: the mean over all variables, and
        1 for a single chain. "likelihood": that of the likelihoods of each neuron, estimated from
        some of its units; also valid for a single chain.
    threads : int, optional
        All cores by default; the result does not depend on it.

    Returns
    -------
    ELPDDataLOO
        ArviZ's class, for ``az.compare``, ``az.plot_khat`` and so on: ``elpd``, ``se``, ``p`` and,
        with dims (time, post), (block, post) or (trial, post), ``elpd_i``, ``p_loo_i`` and
        ``pareto_k``, NaN where all ratios in the tail are equal. It has no ``log_weights``: draws x
        observations of them would not fit into memory.

    Warns
    -----
    UserWarning
        k exceeds ``good_k`` for some observations; the message names neurons and times. See
        `influential`.

    Raises
    ------
    TypeError, ValueError
        The tree does not contain draws of a network or was sampled from another model, the model
        has shared input, there are fewer than 25 draws, or an option is out of range.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> elpd = pg.loo(tree)
    >>> elpd.elpd > pg.loo(other_tree).elpd
    True
    >>> pg.influential(elpd).empty
    True
    """
    weights = variable(tree, "posterior", "weights")
    refuse_shared_input(tree, "pymc_glm.loo", NO_LOO)
    check_model(tree, model)
    check_unit(unit)
    n_draws = weights.sizes["chain"] * weights.sizes["draw"]
    check_draws(n_draws)
    data = observed_data(tree)
    units = units_of(data, unit, block_width)
    densities = Densities(tree, data, threads)
    efficiency = relative_efficiency(tree, reff)
    n_posts, n_groups = len(data.neurons), units.groups.n_groups
    found = np.empty((3, n_posts, n_groups))
    for post in range(n_posts):
        drawn = densities.drawn(post)
        of_post = efficiency
        if of_post is None:
            of_post = _likelihood_efficiency(densities, drawn, units.groups)
        found[:, post] = densities.leave_out(drawn, units.groups, tail_length(n_draws, of_post)).T
    made = elpd_data(found, units, data, n_draws)
    made.elpd_i.attrs.update({"unit": unit, "block_width": float(block_width)})
    return made


def check_unit(unit: str) -> None:
    """Raise ValueError if the unit is not one that can be left out."""
    if unit not in LEFT_OUT:
        raise ValueError(f"unit: got {unit!r}, allowed are {', '.join(map(repr, LEFT_OUT))}.")


def check_draws(n_draws: int, what: str = "tree: it") -> None:
    """Raise ValueError if there are too few draws to fit a tail."""
    if n_draws < FEWEST_DRAWS:
        raise ValueError(
            f"{what} has {n_draws} draws in all chains, but Pareto smoothed importance sampling "
            f"needs at least {FEWEST_DRAWS}; draw several hundred more."
        )


def good_shape(n_draws: int) -> float:
    """Return the largest k of a reliable estimate (Vehtari et al. 2024, section 3.2.4)."""
    return min(1.0 - 1.0 / np.log10(n_draws), 0.7)


def relative_efficiency(tree: xr.DataTree, reff: float | str) -> float | None:
    """Return effective draws divided by draws, None if it differs between neurons.

    Raises
    ------
    ValueError
        `reff` is neither a number above 0 nor one of the names.
    """
    if reff == "likelihood":
        return None
    if reff != "posterior":
        number = as_number(reff, "reff") if not isinstance(reff, str) else -1.0
        if number <= 0:
            raise ValueError(
                f"reff: got {reff!r}, allowed are numbers above 0, 'posterior' and 'likelihood'."
            )
        return number
    posterior = tree["posterior"].dataset
    n_chains, n_draws = posterior.sizes["chain"], posterior.sizes["draw"]
    if n_chains == 1:
        return 1.0
    effective = arviz_stats.ess(posterior, method="mean")
    values = [np.ravel(effective[name].values) for name in effective.data_vars]
    return float(np.concatenate(values).mean() / (n_chains * n_draws))


def _likelihood_efficiency(densities: Densities, drawn: Drawn, groups: Groups) -> float:
    """Return the mean relative efficiency of the likelihoods of some units of one neuron."""
    chosen = np.unique(np.linspace(0, groups.n_groups - 1, _N_PROBED).astype(int))
    spans = [np.arange(groups.start[g], groups.start[g + 1]) for g in chosen]
    start = np.append(0, np.cumsum([span.size for span in spans]))
    some = Groups(groups.bins[np.concatenate(spans)], start)
    logs = np.empty((chosen.size, densities.n_draws))
    densities.write(drawn, some, logs)
    values = np.exp(logs - logs.max(axis=1, keepdims=True)).reshape(-1, *densities.shape)
    effective = array_stats.ess(values, chain_axis=1, draw_axis=2, method="mean")
    return float(np.mean(effective) / densities.n_draws)


def elpd_data(found: Floats, units: Units, data: ObservedData, n_draws: int) -> ELPDDataLOO:
    """Return ArviZ's object from elpd, k and log predictive density (3, post, group); warn of k."""
    dims, coords = (units.dim, "post"), {**units.coords, "post": list(data.neurons)}
    elpd_i, k, p_loo_i = (
        xr.DataArray(values.T, coords, dims, name=name)
        for values, name in (
            (found[0], "elpd_i"),
            (found[1], "pareto_k"),
            (found[2] - found[0], "p_loo_i"),
        )
    )
    n = found[0].size
    good_k = good_shape(n_draws)
    made = ELPDDataLOO(
        elpd=float(found[0].sum()),
        se=float(np.sqrt(n * found[0].var(ddof=1))) if n > 1 else 0.0,
        p=float(p_loo_i.sum()),
        n_samples=n_draws,
        n_data_points=n,
        scale="log",
        warning=bool((k > good_k).any()),
        good_k=good_k,
        elpd_i=elpd_i,
        pareto_k=k,
        p_loo_i=p_loo_i,
    )
    warn_of_influential(made)
    return made


def influential(elpd: ELPDDataLOO, threshold: float | None = None) -> pd.DataFrame:
    """List the observations whose leave-one-out estimates are unreliable.

    Parameters
    ----------
    elpd : ELPDDataLOO
        Result of `loo` or `loo_subsample`.
    threshold : float, optional
        Largest k considered reliable, by default ``elpd.good_k``, which is 0.7 for 2200 draws or
        more.

    Returns
    -------
    DataFrame
        Columns neuron, time (when it begins, in seconds), index (of the bin, block or trial),
        pareto_k and elpd, sorted by k, the largest first.

    Raises
    ------
    TypeError
        `elpd` is another object, or has no pointwise values.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> table = pg.influential(pg.loo(tree), threshold=0.3)
    >>> bool((table["pareto_k"] > 0.3).all())
    True
    """
    k, values = getattr(elpd, "pareto_k", None), getattr(elpd, "elpd_i", None)
    if k is None or values is None or "post" not in k.dims:
        raise TypeError(f"elpd: got {type(elpd).__name__}; give what pymc_glm.loo returned.")
    limit = elpd.good_k if threshold is None else as_number(threshold, "threshold")
    (dim,) = (dim for dim in k.dims if dim != "post")
    shape = k.transpose(dim, "post").values
    unit, post = np.nonzero(shape > limit)
    time = k[dim] if dim.endswith("time") else k[f"{dim}_start"]
    table = pd.DataFrame(
        {
            "neuron": k["post"].values[post],
            "time": time.values[unit],
            "index": unit if dim.endswith("time") else k[dim].values[unit],
            "pareto_k": shape[unit, post],
            "elpd": values.transpose(dim, "post").values[unit, post],
        }
    )
    return table.sort_values("pareto_k", ascending=False, ignore_index=True)


def warn_of_influential(elpd: ELPDDataLOO) -> None:
    """Warn of observations with large k, and name them."""
    found = influential(elpd)
    if found.empty:
        return
    rows: Any = found.head(3).itertuples()
    named = ", ".join(f"neuron {r.neuron!r} at {r.time:g} s (k = {r.pareto_k:.2f})" for r in rows)
    more = ", ..." if len(found) > 3 else ""
    warnings.warn(
        f"loo: Pareto k is above {elpd.good_k:.2f} for {len(found)} of "
        f"{elpd.pareto_k.count().item()} observations: {named}{more}. Their estimates are "
        "unreliable; pymc_glm.influential lists them all, and pymc_glm.mend_loo replaces a few by "
        "refitting.",
        UserWarning,
        stacklevel=4,
    )
