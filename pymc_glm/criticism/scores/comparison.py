"""Comparison of several models of the same data."""

import warnings
from collections.abc import Mapping
from typing import Any

import arviz_stats
import numpy as np
import pandas as pd
import xarray as xr
from arviz_stats.utils import ELPDDataLOO
from numpy.typing import ArrayLike, NDArray

from pymc_glm.criticism.fit.time_rescaling import time_rescaling
from pymc_glm.criticism.one_step import ObservedData, observed_data
from pymc_glm.criticism.posterior import variable
from pymc_glm.criticism.scores.covariates_by_model import covariates_by_model
from pymc_glm.criticism.scores.heldout import HeldoutScore, bits_between, heldout_score
from pymc_glm.criticism.scores.loo import check_draws, loo
from pymc_glm.criticism.shared_path import has_shared_input
from pymc_glm.criticism.wording import counted

__all__ = ["compare_models"]


def compare_models(
    trees: Mapping[str, xr.DataTree],
    counts: xr.DataArray | ArrayLike | None = None,
    *,
    covariates: xr.DataArray | ArrayLike | Mapping[str, xr.DataArray | ArrayLike] | None = None,
    start: float | None = None,
    unit: str = "bin",
    block_width: float = 1.0,
    draws: int = 100,
    random_seed: int | np.random.Generator | None = None,
    threads: int | None = None,
) -> pd.DataFrame:
    """Compare models of the same data: LOO, stacking weights, held-out bits per spike, KS tests.

    Parameters
    ----------
    trees : mapping of names to DataTree
        Posteriors of two or more models of the same counts.
    counts : DataArray or array, (time, neuron), optional
        Held-out counts, for `heldout_score`.
    covariates : DataArray or array, (time, covariate), or mapping of names to them, optional
        Covariates of the held-out counts: either one table for all, from which each model takes its
        covariates by their labels, or a mapping from names of models to the covariates of each.
    start : float, optional
        Time in seconds from which held-out counts are scored; earlier counts are history.
    unit : {"bin", "block", "trial"}
        Unit that `loo` leaves out.
    block_width : float
        Width of the blocks of `loo` in seconds.
    draws : int
        Number of posterior draws for `time_rescaling`.
    random_seed : int or numpy.random.Generator, optional
        Seed of `time_rescaling`.
    threads : int, optional
        All cores by default; the result does not depend on it.

    Returns
    -------
    pandas.DataFrame
        One row per model, the best first, with the columns of ``az.compare`` (``rank``, ``elpd``,
        ``p``, ``elpd_diff``, ``weight``, ``se``, ``dse``, ...) and ``n_high_k``, the number of
        observations whose Pareto k is too high for the number of draws. With held-out counts,
        ``bits_per_spike`` and ``bits_per_spike_se``, and the difference from the model that
        predicts best, ``bits_per_spike_diff``, at most 0, with its standard error
        ``bits_per_spike_dse``. For spikes, ``ks_passes``, the number of neurons that pass the
        time-rescaling test at 95%, out of ``ks_tested``.

        If a model has shared input, for which there is no LOO, models are ranked by held-out counts
        alone: instead of the columns of ``az.compare`` there are ``rank``, ``heldout_elpd``,
        ``heldout_elpd_diff`` from the best model and its standard error ``heldout_dse``.

    Warns
    -----
    UserWarning
        Pareto k of some observations is too high.

    Raises
    ------
    TypeError, ValueError
        There are fewer than two trees, their counts differ, or a model has shared input but there
        are no held-out counts; see also `loo`, `heldout_score` and
        `time_rescaling`.

    Notes
    -----
    Standard errors of differences are paired, over the bins (blocks, trials) of LOO and over the
    blocks of held-out time. Models that fail in the same stretches of time can thus differ clearly
    even if the standard errors of their scores overlap. The difference in bits is that of the log
    densities of the counts. It is not the difference of ``bits_per_spike`` if the observation
    models differ, as their constant-rate models then differ too.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> trees = {"coupled": tree, "uncoupled": other_tree}
    >>> table = pg.compare_models(trees, later_counts, random_seed=1)
    >>> list(table.index)  # the best first
    ['coupled', 'uncoupled']
    """
    _check_trees(trees)
    regressors = covariates_by_model(trees, counts, covariates)
    without_loo = [name for name, tree in trees.items() if has_shared_input(tree)]
    if without_loo and counts is None:
        raise ValueError(
            f"counts: none given, but {without_loo[0]!r} has shared input, for which there is no "
            "leave-one-out score; give held-out counts, by which such models are compared."
        )
    scores = {}
    with warnings.catch_warnings():
        # One warning for all models follows.
        warnings.filterwarnings("ignore", message="loo: Pareto k")
        for name, tree in trees.items() if not without_loo else ():
            scores[name] = loo(tree, unit=unit, block_width=block_width, threads=threads)
    columns: dict[str, dict[str, Any]] = {name: {} for name in trees}
    held_out: dict[str, HeldoutScore] = {}
    for name, tree in trees.items():
        if not without_loo:
            high = scores[name].pareto_k > scores[name].good_k
            columns[name]["n_high_k"] = int(high.sum())
        if counts is not None:
            held_out[name] = heldout_score(
                tree, None, counts, covariates=regressors[name], start=start, threads=threads
            )
    for name, bits in _bits(held_out).items():
        columns[name] |= bits
    for name, tree in trees.items():
        if observed_data(tree).observation.whole:
            tested = time_rescaling(tree, draws=draws, random_seed=random_seed)
            passed = tested["ks_mean"] < tested["bound"].sel(probability=0.95)
            columns[name]["ks_passes"] = int(passed.sum())
            columns[name]["ks_tested"] = int(tested["ks_mean"].notnull().sum())
    if without_loo:
        ranked = _ranked(held_out)
        return ranked.join(pd.DataFrame.from_dict(columns, orient="index"))
    _warn_of_high_k({name: column["n_high_k"] for name, column in columns.items()}, scores)
    table = arviz_stats.compare(scores, round_to="none")
    return table.join(pd.DataFrame.from_dict(columns, orient="index"))


def _ranked(scores: Mapping[str, HeldoutScore]) -> pd.DataFrame:
    """Return a table of models ranked by their held-out scores."""
    order = sorted(scores, key=lambda name: -scores[name].elpd)
    rows = {}
    for rank, name in enumerate(order):
        blocks = [scores[one].blocks["elpd"].sum("post").values for one in (name, order[0])]
        away = blocks[0] - blocks[1]
        error = float(np.sqrt(away.size) * away.std(ddof=1))
        rows[name] = (rank, scores[name].elpd, float(away.sum()), error)
    names = ["rank", "heldout_elpd", "heldout_elpd_diff", "heldout_dse"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=names)


def _bits(scores: Mapping[str, HeldoutScore]) -> dict[str, dict[str, float]]:
    """Return the columns of held-out scores, by model."""
    if not scores:
        return {}
    best = max(scores.values(), key=lambda score: score.elpd)
    columns = {}
    for name, score in scores.items():
        difference, error = bits_between(score, best)
        columns[name] = {
            "bits_per_spike": score.bits_per_spike,
            "bits_per_spike_se": score.bits_per_spike_se,
            "bits_per_spike_diff": difference,
            "bits_per_spike_dse": error,
        }
    return columns


def _warn_of_high_k(n_high: Mapping[str, int], scores: Mapping[str, ELPDDataLOO]) -> None:
    if not any(n_high.values()):
        return
    named = ", ".join(
        f"{n} of {scores[name].n_data_points} of {name!r}" for name, n in n_high.items() if n
    )
    warnings.warn(
        f"compare_models: LOO is unreliable for observations with a high Pareto k: {named}. "
        "Draw more samples, inspect pymc_glm.influential(pymc_glm.loo(tree)), or compare by "
        "held-out counts or pymc_glm.kfold.",
        UserWarning,
        stacklevel=3,
    )


def _check_trees(trees: Mapping[str, xr.DataTree]) -> None:
    """Raise if the models were not fitted to the same data."""
    if not isinstance(trees, Mapping) or len(trees) < 2:
        got = counted(len(trees), "model") if isinstance(trees, Mapping) else type(trees).__name__
        raise ValueError(f"trees: got {got}; give a dict from names to two or more DataTrees.")
    for name, tree in trees.items():
        with_draws = variable(tree, "posterior", "weights")
        check_draws(with_draws.sizes["chain"] * with_draws.sizes["draw"], f"trees: {name!r}")
    (first, expected), *others = [(name, observed_data(tree)) for name, tree in trees.items()]
    for name, data in others:
        if data.neurons != expected.neurons:
            what = f"neurons ({len(data.neurons)} and {len(expected.neurons)})"
        elif not np.array_equal(data.counts, expected.counts):
            what = f"counts ({len(data.counts)} and {len(expected.counts)} bins)"
        elif not np.array_equal(_data_bins(data), _data_bins(expected)):
            what = "excluded bins"
        else:
            continue
        raise ValueError(
            f"trees: {name!r} and {first!r} have different {what}; compare models that were "
            "fitted to the same data."
        )


def _data_bins(data: ObservedData) -> NDArray[np.int64]:
    return np.arange(len(data.counts)) if data.bins is None else data.bins
