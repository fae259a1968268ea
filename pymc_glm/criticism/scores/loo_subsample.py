"""Leave-one-out cross-validation of a random sample of observations, and paired differences."""

from typing import Any, NamedTuple

import numpy as np
import pymc as pm
import xarray as xr
from arviz_stats.utils import ELPDDataLOO, ELPDDataLOOSubsample
from numpy.typing import NDArray

from pymc_glm.arguments import as_whole_number, random_generator
from pymc_glm.criticism.one_step import observed_data
from pymc_glm.criticism.posterior import variable
from pymc_glm.criticism.same_model import check_model
from pymc_glm.criticism.scores.densities import Densities
from pymc_glm.criticism.scores.loo import (
    NO_LOO,
    check_draws,
    good_shape,
    relative_efficiency,
    warn_of_influential,
)
from pymc_glm.criticism.scores.units import Units, units_of
from pymc_glm.criticism.shared_path import refuse_shared_input
from pymc_glm.kernels.pointwise import Groups
from pymc_glm.kernels.psis import tail_length

__all__ = ["ElpdDifference", "elpd_difference", "loo_subsample"]

type Floats = NDArray[np.float64]


def loo_subsample(
    tree: xr.DataTree,
    model: pm.Model | None = None,
    *,
    n_observations: int = 10_000,
    random_seed: int | np.random.Generator | None = None,
    reff: float | str = "posterior",
    threads: int | None = None,
) -> ELPDDataLOOSubsample:
    r"""Estimate the result of `loo` for bins from a random sample of them.

    .. math:: \widehat{\mathrm{elpd}} = \sum_{i=1}^n \tilde\pi_i
        + \frac{n}{m} \sum_{j=1}^m (\mathrm{elpd}_j - \tilde\pi_j)

    This is the difference estimator of Magnusson, Vehtari, Jonasson & Andersen (2020, AISTATS,
    arXiv:2001.00980). The approximations :math:`\tilde\pi` are log densities at the posterior
    means of the parameters, which are cheap to compute for all observations.

    Parameters
    ----------
    tree, model, reff, threads
        See `loo`; reff="likelihood" is not available.
    n_observations : int
        Number of bins (of one neuron each) in the sample, drawn without replacement.
    random_seed : int or numpy.random.Generator, optional
        Seed of the sample. To compare models, give each the same int, so they share the sample.

    Returns
    -------
    ELPDDataLOOSubsample
        ArviZ's class, with ``subsampling_se``, the standard error of elpd due to subsampling, and
        ``elpd_loo_approx``; pointwise values are NaN outside the sample. Compare two results with
        `elpd_difference`; the weights of ``az.compare`` are wrong for them.

    Raises
    ------
    TypeError, ValueError
        See `loo`; or n_observations is below 2 or above the number of observations.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> one = pg.loo_subsample(tree, n_observations=1000, random_seed=1)
    >>> other = pg.loo_subsample(other_tree, n_observations=1000, random_seed=1)
    >>> pg.elpd_difference(one, other).difference > 0
    True
    """
    weights = variable(tree, "posterior", "weights")
    refuse_shared_input(tree, "pymc_glm.loo_subsample", NO_LOO)
    check_model(tree, model)
    n_draws = weights.sizes["chain"] * weights.sizes["draw"]
    check_draws(n_draws)
    efficiency = relative_efficiency(tree, reff)
    if efficiency is None:
        raise ValueError(
            "reff: got 'likelihood', allowed here are numbers above 0 and 'posterior'."
        )
    densities = Densities(tree, observed_data(tree), threads)
    units = units_of(densities.data, "bin")
    n_groups, n_posts = units.groups.n_groups, len(densities.data.neurons)
    n = n_groups * n_posts
    chosen = _sample(n, n_observations, random_seed)
    guess = np.empty((n_groups, n_posts))
    found = np.full((3, n_groups, n_posts), np.nan)
    for post in range(n_posts):
        guess[:, post] = _plug_in(densities, post, units.groups)
        sampled = chosen[chosen % n_posts == post] // n_posts
        if sampled.size:
            some = Groups(units.groups.bins[sampled], np.arange(sampled.size + 1))
            length = tail_length(n_draws, efficiency)
            found[:, sampled, post] = densities.leave_out(densities.drawn(post), some, length).T
    return _subsampled(found, guess, chosen, units, densities)


def _sample(n: int, size: int, random_seed: int | np.random.Generator | None) -> NDArray[np.intp]:
    reason = "the number of observations"
    size = as_whole_number(size, "n_observations", at_least=2, at_most=n, reason=reason)
    return np.sort(random_generator(random_seed).choice(n, size, replace=False))


def _plug_in(densities: Densities, post: int, groups: Groups) -> Floats:
    """Return the log densities (group,) at the posterior means of the parameters."""
    mean = densities.draws_of(post).averaged()
    out = np.empty((groups.n_groups, 1))
    densities.write(densities.drawn(post, mean), groups, out)
    return out[:, 0]


def _subsampled(
    found: Floats, guess: Floats, chosen: NDArray[np.intp], units: Units, densities: Densities
) -> ELPDDataLOOSubsample:
    """Return ArviZ's object from elpd, k and log predictive density (3, group, post)."""
    n, m = guess.size, chosen.size
    elpd_i, k, lpd = (values.ravel()[chosen] for values in found)
    elpd, subsampling_se, se = _estimate(elpd_i, guess.ravel()[chosen], guess)
    dims = (units.dim, "post")
    coords = {**units.coords, "post": list(densities.data.neurons)}
    pointwise: dict[str, Any] = {
        name: xr.DataArray(values, coords, dims, name=name)
        for name, values in (
            ("elpd_i", found[0]),
            ("pareto_k", found[1]),
            ("p_loo_i", found[2] - found[0]),
            ("elpd_loo_approx", guess),
        )
    }
    good_k = good_shape(densities.n_draws)
    made = ELPDDataLOOSubsample(
        elpd=elpd,
        se=se,
        p=float(n / m * (lpd - elpd_i).sum()),
        n_samples=densities.n_draws,
        n_data_points=n,
        scale="log",
        warning=bool((k > good_k).any()),
        good_k=good_k,
        subsample_size=m,
        subsampling_se=subsampling_se,
        loo_subsample_observations=chosen,
        thin_factor=1,
        **pointwise,
    )
    warn_of_influential(made)
    return made


def _estimate(values: Floats, guess: Floats, all_guesses: Floats) -> tuple[float, float, float]:
    """Return a total, its standard error from subsampling, and its standard error over data.

    Magnusson et al. (2020), equations 6 to 9, from values and approximations (sample,) of a simple
    random sample, and approximations of all observations.
    """
    n, m = all_guesses.size, values.size
    away = values - guess
    total = float(all_guesses.sum() + n * away.mean())
    sampling = n**2 * (1.0 - m / n) * away.var(ddof=1) / m
    # Sum of squares minus squared total over n; the squared total is too large by `sampling`.
    squares = (all_guesses**2).sum() + n * (values**2 - guess**2).mean()
    spread = squares - (total**2 - sampling) / n
    return total, float(np.sqrt(sampling)), float(np.sqrt(max(spread, 0.0)))


class ElpdDifference(NamedTuple):
    """How much better one model predicts than another.

    Attributes
    ----------
    difference : float
        elpd of the first minus that of the second, in nats.
    se : float
        Standard error of the difference over observations, treated as independent.
    subsampling_se : float
        Additional standard error due to subsampling; 0 without subsampling.
    n_observations : int
        Number of observations used from both.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> better = pg.ElpdDifference(12.0, 4.0, 0.5, 10_000)
    >>> better.difference > 2 * (better.se**2 + better.subsampling_se**2) ** 0.5
    True
    """

    difference: float
    se: float
    subsampling_se: float
    n_observations: int


def elpd_difference(first: ELPDDataLOO, second: ELPDDataLOO) -> ElpdDifference:
    """Compare two models of the same data by paired differences.

    For results of `loo`, this equals the difference in ``az.compare``. For results of
    `loo_subsample`, it is the difference estimator on the shared sample, in which errors common to
    both models cancel.

    Parameters
    ----------
    first, second : ELPDDataLOO
        Results of `loo` with the same unit, or of `loo_subsample` with the same sample.

    Returns
    -------
    ElpdDifference

    Raises
    ------
    TypeError
        The arguments are other objects, or only one of them is subsampled.
    ValueError
        Their observations or their samples differ.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> pg.elpd_difference(pg.loo(tree), pg.loo(other_tree)).difference > 0
    True
    """
    for name, elpd in (("first", first), ("second", second)):
        if not isinstance(elpd, ELPDDataLOO) or elpd.elpd_i is None:
            raise TypeError(
                f"{name}: got {type(elpd).__name__}; give what pymc_glm.loo or loo_subsample "
                "returned."
            )
    one, other = first.elpd_i, second.elpd_i
    if one.dims != other.dims or one.shape != other.shape:
        raise ValueError(
            f"first, second: got {dict(one.sizes)} and {dict(other.sizes)} observations; use the "
            "same data and unit for both."
        )
    away = (one.values - other.values).ravel()
    if not isinstance(first, ELPDDataLOOSubsample) or not isinstance(second, ELPDDataLOOSubsample):
        if isinstance(first, ELPDDataLOOSubsample) or isinstance(second, ELPDDataLOOSubsample):
            raise TypeError("first, second: only one is subsampled; subsample both, or neither.")
        se = float(np.sqrt(away.size * away.var(ddof=1)))
        return ElpdDifference(float(away.sum()), se, 0.0, away.size)
    chosen = first.loo_subsample_observations
    if not np.array_equal(chosen, second.loo_subsample_observations):
        raise ValueError(
            "first, second: their samples differ; use the same random_seed and n_observations for "
            "both."
        )
    guess = (first.elpd_loo_approx.values - second.elpd_loo_approx.values).ravel()
    total, sampling, se = _estimate(away[chosen], guess[chosen], guess)
    return ElpdDifference(total, se, sampling, chosen.size)
