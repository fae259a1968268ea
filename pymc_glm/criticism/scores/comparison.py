"""Several models of one recording side by side."""

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
    """Compare models of one recording: LOO, stacking weights, held-out bits per spike, KS tests.

    Parameters
    ----------
    trees : mapping of names to DataTree
        What sampling returned for each model, two or more, of the same counts.
    counts : DataArray or array, (time, neuron), optional
        Held-out counts, for `heldout_score`.
    covariates : DataArray or array, (time, covariate), or mapping of names to them, optional
        Of these counts. One for all, of which each model takes the covariates that it has, by
        their labels; or those of each model that has some, by the names of the models.
    start : float, optional
        Seconds from which the held-out counts are scored; those before are history.
    unit : {"bin", "block", "trial"}
        What `loo` leaves out.
    block_width : float
        Seconds of its blocks.
    draws : int
        Posterior draws for `time_rescaling`.
    random_seed : int or numpy.random.Generator, optional
        Which draws, and where in their bins spikes lie.
    threads : int, optional
        All cores by default; the result does not depend on them.

    Returns
    -------
    pandas.DataFrame
        One row a model, the best first, with the columns of ``az.compare`` (``rank``, ``elpd``,
        ``p``, ``elpd_diff``, ``weight``, ``se``, ``dse``, ...), and ``n_high_k``, observations
        whose Pareto k is above what the number of draws bears; with held-out counts
        ``bits_per_spike`` and ``bits_per_spike_se``, and ``bits_per_spike_diff`` and
        ``bits_per_spike_dse``, the difference from the model that predicts them best, below 0, and
        its standard error, 0 of that model; and, of spikes, ``ks_passes``, the number of neurons
        whose time-rescaling test the model passes at 95%, out of ``ks_tested``.

    Warns
    -----
    UserWarning
        Pareto k of some observations is too high.

    Raises
    ------
    TypeError, ValueError
        Fewer than two trees, of different counts, or what `loo`, `heldout_score` and
        `time_rescaling` raise.

    Notes
    -----
    Standard errors of differences are over bins (blocks, trials) of LOO and over the blocks of
    held-out time, of the difference in each: models that find the same stretches of time hard can
    differ for sure though their own standard errors overlap. The difference in bits is that of the
    log densities of the counts; where models are of different laws, their constant rates differ
    too, and it is not that of their ``bits_per_spike``.

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
    scores = {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="loo: .* Pareto k")  # said below, of all models
        for name, tree in trees.items():
            scores[name] = loo(tree, unit=unit, block_width=block_width, threads=threads)
    columns: dict[str, dict[str, Any]] = {name: {} for name in trees}
    held_out: dict[str, HeldoutScore] = {}
    for name, tree in trees.items():
        high = scores[name].pareto_k > scores[name].good_k
        columns[name]["n_high_k"] = int(high.sum())
        if counts is not None:
            held_out[name] = heldout_score(
                tree, None, counts, covariates=regressors[name], start=start, threads=threads
            )
    for name, own_columns in _bits(held_out).items():
        columns[name] |= own_columns
    for name, tree in trees.items():
        if observed_data(tree).observation.whole:
            tested = time_rescaling(tree, draws=draws, random_seed=random_seed)
            passed = tested["ks_mean"] < tested["bound"].sel(probability=0.95)
            columns[name]["ks_passes"] = int(passed.sum())
            columns[name]["ks_tested"] = int(tested["ks_mean"].notnull().sum())
    _warn_of_high_k({name: column["n_high_k"] for name, column in columns.items()}, scores)
    table = arviz_stats.compare(scores, round_to="none")
    return table.join(pd.DataFrame.from_dict(columns, orient="index"))


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
        f"compare_models: observations with a Pareto k too high to trust LOO of them: {named}. "
        "Draw more, look at pymc_glm.influential(pymc_glm.loo(tree)), or compare by held-out "
        "counts or pymc_glm.kfold.",
        UserWarning,
        stacklevel=3,
    )


def _check_trees(trees: Mapping[str, xr.DataTree]) -> None:
    """Raise if models are not of one recording."""
    if not isinstance(trees, Mapping) or len(trees) < 2:
        got = f"{len(trees)} models" if isinstance(trees, Mapping) else type(trees).__name__
        raise ValueError(f"trees: got {got}; give a dict of names to two or more DataTrees.")
    for name, tree in trees.items():
        with_draws = variable(tree, "posterior", "weights")
        check_draws(with_draws.sizes["chain"] * with_draws.sizes["draw"], f"trees: {name!r}")
    first, *others = [(name, observed_data(tree)) for name, tree in trees.items()]
    known = first[1]
    for name, own in others:
        if own.neurons != known.neurons:
            what = f"neurons ({len(own.neurons)} and {len(known.neurons)})"
        elif not np.array_equal(own.counts, known.counts):
            what = f"counts ({len(own.counts)} and {len(known.counts)} bins)"
        elif not np.array_equal(_data_bins(own), _data_bins(known)):
            what = "bins that are data"
        else:
            continue
        raise ValueError(
            f"trees: {name!r} and {first[0]!r} are of different {what}; compare models that were "
            "fitted to the same data."
        )


def _data_bins(recording: ObservedData) -> NDArray[np.int64]:
    return np.arange(len(recording.counts)) if recording.bins is None else recording.bins
