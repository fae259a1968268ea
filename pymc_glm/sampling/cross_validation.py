"""Cross-validation with refits over blocks of time or trials, using ArviZ."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pymc as pm
import xarray as xr
from arviz_stats import SamplingWrapper, lfo_cv, loo_kfold
from arviz_stats.utils import ELPDData
from numpy.typing import NDArray

from pymc_glm.arguments import as_number, as_whole_number, random_generator
from pymc_glm.criticism.one_step import observed_data
from pymc_glm.criticism.scores.densities import Densities
from pymc_glm.criticism.scores.path_densities import path_densities, spread_draws
from pymc_glm.criticism.scores.units import units_of
from pymc_glm.criticism.shared_path import has_shared_input
from pymc_glm.kernels.pointwise import Groups
from pymc_glm.sampling.sample import sample

__all__ = ["BlockRefits", "kfold", "leave_future_out"]

_BLOCK_WIDTH = 10.0  # s

type Build = Callable[..., pm.Model]


class Held(NamedTuple):
    """Bins left out of a fit."""

    excluded: NDArray[np.bool_]  # (time,)
    groups: Groups  # the blocks to score


class BlockRefits(SamplingWrapper):
    """Refits without some blocks of time or trials: a sampling wrapper for ArviZ.

    `kfold` and `leave_future_out` use it. ``az.reloo`` and other functions that take a sampling
    wrapper accept it too; give them `data` as the tree.

    Parameters
    ----------
    tree : DataTree
        The fit to all data.
    build : callable
        ``build(exclude=mask)`` returns the model without the bins of mask (time,), such as
        ``functools.partial(pg.build_glm, counts, basis)``. Bins excluded from the fit to all data
        must be excluded here too.
    unit : {"block", "trial"}
        Unit that is left out as a whole.
    block_width : float
        Width of the blocks in seconds.
    sample_kwargs : mapping, optional
        Passed to `sample`: draws, tune, chains and so on, except model and random_seed.
    random_seed : int or numpy.random.Generator, optional
        Seed of the refits.

    Raises
    ------
    TypeError, ValueError
        The tree does not contain draws of a network, or an argument is out of range.

    Examples
    --------
    >>> import functools, arviz as az, pymc_glm as pg
    >>> build = functools.partial(pg.build_glm, counts, basis, **parts)
    >>> refits = pg.BlockRefits(tree, build, sample_kwargs=options, random_seed=1)
    >>> az.loo_kfold(refits.data, refits, k=2).n_data_points  # blocks of 10 s
    3
    """

    def __init__(
        self,
        tree: xr.DataTree,
        build: Build,
        *,
        unit: str = "block",
        block_width: float = _BLOCK_WIDTH,
        sample_kwargs: Mapping[str, Any] | None = None,
        random_seed: int | np.random.Generator | None = None,
    ):
        if unit not in ("block", "trial"):
            raise ValueError(f"unit: got {unit!r}, allowed are 'block' and 'trial'.")
        if not callable(build):
            raise TypeError(
                f"build: got {type(build).__name__}; give a function of exclude= that returns a "
                "model, such as functools.partial(pymc_glm.build_glm, counts, basis)."
            )
        taken = {"model", "random_seed"} & set(sample_kwargs or {})
        if taken:
            raise ValueError(
                f"sample_kwargs: got {', '.join(sorted(taken))}; the model comes from build=, and "
                "random_seed= is a separate argument."
            )
        super().__init__(model=None, idata_orig=tree, sample_kwargs=dict(sample_kwargs or {}))
        self._build = build
        self._data = observed_data(tree)
        self._units = units_of(self._data, unit, block_width)
        self._rng = random_generator(random_seed)
        self.data = self._with_log_likelihood(tree)

    @property
    def n_units(self) -> int:
        """Number of blocks or trials."""
        return self._units.groups.n_groups

    def sel_observations(self, idx: NDArray[np.intp]) -> tuple[NDArray[np.bool_], Held]:
        """Return the bins to leave out, and the blocks to score."""
        groups = _some(self._units.groups, np.atleast_1d(idx))
        excluded = np.zeros(len(self._data.counts), dtype=bool)
        excluded[groups.bins] = True
        return excluded, Held(excluded, groups)

    def sample(self, modified_observed_data: NDArray[np.bool_]) -> xr.DataTree:
        """Fit the model to the remaining bins.

        Raises
        ------
        ValueError
            The model that `build` returned does not have exactly the remaining bins.
        """
        excluded = modified_observed_data
        model = self._build(exclude=excluded)
        self._check(model, excluded)
        options = {"progressbar": False, "quiet": True} | self.sample_kwargs
        (refit_rng,) = self._rng.spawn(1)
        return sample(model=model, random_seed=refit_rng, **options)

    def get_inference_data(self, fitted_model: xr.DataTree) -> xr.DataTree:
        """Return the fit unchanged."""
        return fitted_model

    def log_likelihood__i(self, excluded_obs: Held, idata__i: xr.DataTree) -> xr.DataArray:
        """Return the log likelihood of the units left out, summed over neurons.

        Its dims are (chain, draw, unit).
        """
        return self._log_likelihood(idata__i, excluded_obs.groups)

    def located(self, result: ELPDData) -> ELPDData:
        """Add the start times of the units to a result."""
        dim = self._units.dim
        name = f"{dim}_start"
        begins = self.data["log_likelihood"].dataset[name].sel({dim: result.elpd_i[dim]})
        result.elpd_i = result.elpd_i.assign_coords({name: begins})
        return result

    def _log_likelihood(self, tree: xr.DataTree, groups: Groups) -> xr.DataArray:
        if has_shared_input(tree):
            found = path_densities(tree, self._data, groups)
            total, shape = found.values.sum(axis=0), found.shape
            shaped = total.T.reshape(*shape, groups.n_groups)
            return xr.DataArray(shaped, dims=("chain", "draw", self._units.dim), name="spikes")
        densities = Densities(tree, self._data)
        total = np.zeros((groups.n_groups, densities.n_draws))
        for post in range(len(self._data.neurons)):
            values = np.empty_like(total)
            densities.write(densities.drawn(post), groups, values)
            total += values
        shaped = total.T.reshape(*densities.shape, groups.n_groups)
        return xr.DataArray(shaped, dims=("chain", "draw", self._units.dim), name="spikes")

    def _with_log_likelihood(self, tree: xr.DataTree) -> xr.DataTree:
        """Return the posterior with the log likelihood of each unit, as ArviZ expects."""
        of_units = self._log_likelihood(tree, self._units.groups).assign_coords(self._units.coords)
        posterior = tree["posterior"].to_dataset()
        posterior = posterior.isel(draw=spread_draws(tree, None))
        of_units = of_units.assign_coords(chain=posterior["chain"], draw=posterior["draw"])
        return xr.DataTree.from_dict(
            {"posterior": posterior, "log_likelihood": of_units.to_dataset()}
        )

    def _check(self, model: pm.Model, excluded: NDArray[np.bool_]) -> None:
        bins = np.arange(len(excluded)) if self._data.bins is None else self._data.bins
        expected = bins[~excluded[bins]]
        got: Any = None
        if isinstance(model, pm.Model) and "data_bins" in model.named_vars:
            got = model["data_bins"].get_value()
        if not np.array_equal(got, expected):
            n = "no model" if not isinstance(model, pm.Model) else (
                "a model of all bins" if got is None else f"a model of {len(got)} bins"
            )  # fmt: skip
            raise ValueError(
                f"build: {len(bins) - len(expected)} of {len(bins)} bins were to be left out, but "
                f"it returned {n}; pass exclude= on to pymc_glm.build_glm, combined with the bins "
                "that are always excluded."
            )


def _some(groups: Groups, index: NDArray[np.intp]) -> Groups:
    """Return some of the groups of bins."""
    bins = [groups.bins[groups.start[i] : groups.start[i + 1]] for i in index]
    return Groups(np.concatenate(bins), np.append(0, np.cumsum([b.size for b in bins])))


def kfold(
    tree: xr.DataTree,
    build: Build,
    *,
    k: int = 5,
    unit: str = "block",
    block_width: float = _BLOCK_WIDTH,
    random_seed: int | np.random.Generator | None = None,
    **sample_kwargs: Any,
) -> ELPDData:
    """Cross-validate with k refits, each without one k-th of the blocks of time or trials.

    Use it where Pareto k of `loo` is too large, or where leaving out one bin is too easy a test:
    the spikes just before and after a bin are informative about it.

    Parameters
    ----------
    tree : DataTree
        The fit to all data.
    build : callable
        ``build(exclude=mask)`` returns the model without the bins of mask (time,), such as
        ``functools.partial(pg.build_glm, counts, basis)``.
    k : int
        Number of folds, at least 2; blocks are assigned to folds at random.
    unit : {"block", "trial"}
    block_width : float
        Width of the blocks in seconds.
    random_seed : int or numpy.random.Generator, optional
        Seed of the folds and the refits.
    **sample_kwargs
        Passed to `sample`, such as draws, tune and chains.

    Returns
    -------
    ELPDData
        ArviZ's class, pointwise over units; log densities are joint over the neurons and bins of a
        unit. ``az.compare`` accepts results with the same units and random seed.

    Raises
    ------
    TypeError, ValueError
        The tree does not contain draws of a network, an argument is out of range, or `build` does
        not exclude exactly the bins given.

    Notes
    -----
    The counts of bins left out still enter the history of later bins. The path of shared input is
    integrated out given the bins before each bin (see `log_likelihood`), in 200 draws of each fit.

    Examples
    --------
    >>> import functools, pymc_glm as pg
    >>> build = functools.partial(pg.build_glm, counts, basis, **parts)
    >>> elpd = pg.kfold(tree, build, k=2, draws=50, tune=50, random_seed=1, progressbar=False)
    >>> elpd.elpd_i.sizes
    Frozen({'block': 3})
    """
    rng = random_generator(random_seed)
    refits = BlockRefits(
        tree, build, unit=unit, block_width=block_width, sample_kwargs=sample_kwargs,
        random_seed=rng,
    )  # fmt: skip
    n = refits.n_units
    if n < 2:
        shorter = "lower block_width" if unit == "block" else "give 'block'"
        raise ValueError(f"unit: there is one {unit}, folds need two or more; {shorter}.")
    reason = f"the number of {unit}s" + ("; for more, lower block_width" if unit == "block" else "")
    k = as_whole_number(k, "k", at_least=2, at_most=n, reason=reason)
    folds = rng.permutation(np.arange(n) % k) + 1
    return refits.located(loo_kfold(refits.data, refits, pointwise=True, folds=folds))


def leave_future_out(
    tree: xr.DataTree,
    build: Build,
    start: float,
    *,
    horizon: int = 1,
    unit: str = "block",
    block_width: float = _BLOCK_WIDTH,
    method: str = "approx",
    random_seed: int | np.random.Generator | None = None,
    **sample_kwargs: Any,
) -> ELPDData:
    """Predict each block of time, or trial, from those before it.

    Parameters
    ----------
    tree : DataTree
        The fit to all data.
    build : callable
        As for `kfold`.
    start : float
        Seconds. The first unit to be predicted is the first that begins at `start` or later.
    horizon : int
        Number of units predicted together.
    unit : {"block", "trial"}
    block_width : float
        Width of the blocks in seconds.
    method : {"approx", "exact"}
        Refit only where Pareto k of the importance weights is above 0.7, or for every unit
        (Bürkner, Gabry & Vehtari 2020, Journal of Statistical Computation and Simulation
        90:2499-2523).
    random_seed : int or numpy.random.Generator, optional
        Seed of the refits.
    **sample_kwargs
        Passed to `sample`, such as draws, tune and chains.

    Returns
    -------
    ELPDData
        ArviZ's class, pointwise over units; ``refits`` lists the units at which it was refitted.

    Raises
    ------
    TypeError, ValueError
        See `kfold`; or there is no unit before or after `start`.

    Examples
    --------
    >>> import functools, pymc_glm as pg
    >>> build = functools.partial(pg.build_glm, counts, basis, **parts)
    >>> elpd = pg.leave_future_out(tree, build, start=20.0, block_width=5.0, random_seed=1,
    ...                            draws=50, tune=50, progressbar=False)
    >>> elpd.elpd_i.sizes["block"]  # 20 to 25 s
    1
    """
    if method not in ("approx", "exact"):
        raise ValueError(f"method: got {method!r}, allowed are 'approx' and 'exact'.")
    refits = BlockRefits(
        tree, build, unit=unit, block_width=block_width, sample_kwargs=sample_kwargs,
        random_seed=random_seed,
    )  # fmt: skip
    begins = refits.data["log_likelihood"].dataset[f"{unit}_start"].values
    first = int(np.sum(begins < as_number(start, "start") - 1e-9))
    if not 1 <= first < refits.n_units:
        raise ValueError(
            f"start: got {start:g} s, but {unit}s begin from {begins[0]:g} to {begins[-1]:g} s; "
            "give a time after the first and up to the last of these."
        )
    reason = f"the number of {unit}s from start on"
    horizon = as_whole_number(horizon, "horizon", at_most=refits.n_units - first, reason=reason)
    return refits.located(
        lfo_cv(refits.data, refits, first, horizon, time_dim=unit, pointwise=True, method=method)
    )
