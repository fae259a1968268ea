"""Scores of how well a posterior predicts held-out spikes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import xarray as xr
from arviz_stats.base import array_stats
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from pymc_glm.criticism.fit.rates import time_slice
from pymc_glm.criticism.one_step import ObservedData, PostDraws, observed_data, observed_data_like
from pymc_glm.criticism.same_model import check_model
from pymc_glm.criticism.scores.densities import Densities
from pymc_glm.criticism.scores.path_densities import path_densities, spread_draws
from pymc_glm.criticism.scores.units import units_of
from pymc_glm.criticism.shared_path import has_shared_input
from pymc_glm.kernels.pointwise import Groups

__all__ = ["HeldoutScore", "bits_between", "heldout_score"]

type Floats = NDArray[np.float64]

_BLOCK_WIDTH = 5.0  # s
_FEWEST_DRAWS = 4  # of a chain, for a Monte Carlo error


@dataclass(frozen=True)
class HeldoutScore:
    """Log predictive density of held-out counts, as `heldout_score` returns it.

    Parameters
    ----------
    elpd, elpd_se : float
        Log predictive density of all neurons, in nats, and its standard error.
    bits_per_spike, bits_per_spike_se : float
        Gain of all neurons over constant rates, in bits per spike, and its standard error. NaN
        without spikes, and for traces.
    neurons : DataFrame
        One row per neuron: ``neuron``, ``n_spikes``, ``elpd``, ``elpd_se``, ``elpd_constant``,
        ``bits_per_spike``, ``bits_per_spike_se``.
    blocks : Dataset
        ``elpd``, ``elpd_constant`` and ``n_spikes`` (NaN for traces), dims (block, post), with the
        coordinate ``block_start`` in seconds.
    elpd_mcse : float
        Monte Carlo standard error of `elpd`, in nats: how much it varies with the draws.

    Examples
    --------
    >>> import pandas as pd, xarray as xr, pymc_glm as pg
    >>> score = pg.HeldoutScore(-310.0, 12.0, 0.52, 0.08, pd.DataFrame(), xr.Dataset())
    >>> print(score)
    Held-out log predictive density -310.0 (standard error 12.0)
    0.520 bits per spike over constant rates (standard error 0.080)
    """

    elpd: float
    elpd_se: float
    bits_per_spike: float
    bits_per_spike_se: float
    neurons: pd.DataFrame
    blocks: xr.Dataset
    elpd_mcse: float = np.nan

    def __str__(self) -> str:
        lines = [
            f"Held-out log predictive density {self.elpd:.1f} (standard error {self.elpd_se:.1f})"
        ]
        if np.isfinite(self.bits_per_spike):
            lines.append(
                f"{self.bits_per_spike:.3f} bits per spike over constant rates (standard error "
                f"{self.bits_per_spike_se:.3f})"
            )
        return "\n".join(lines)


def heldout_score(
    tree: xr.DataTree,
    model: pm.Model | None,
    counts: xr.DataArray | ArrayLike,
    *,
    covariates: xr.DataArray | ArrayLike | None = None,
    start: float | None = None,
    stop: float | None = None,
    block_width: float = _BLOCK_WIDTH,
    draws: int | None = None,
    threads: int | None = None,
) -> HeldoutScore:
    r"""Score the prediction of held-out counts, neuron by neuron.

    .. math:: \sum_{\mathrm{block}} \log \frac{1}{S} \sum_{s=1}^{S} \prod_{t \in \mathrm{block}}
        p(y_{tn} \mid \psi_{tn}^{(s)})

    where each bin is predicted given the spikes before it. Bits per spike are the gain over
    constant rates, divided by log 2 and the number of spikes (Pillow et al. 2008, Nature
    454:995-999, methods).

    Parameters
    ----------
    tree : DataTree
        Posterior that sampling returned, with its constant data.
    model : pymc.Model or None
        The model that was sampled; used only to check that the tree was sampled from it.
    counts : DataArray or array, (time, neuron)
        Held-out counts of the same neurons, in bins of the same width.
    covariates : DataArray or array, (time, covariate), optional
        Covariates of these counts, if the model has covariates.
    start, stop : float, optional
        Score the bins that begin in [start, stop), in seconds; counts before `start` are history.
        By default all bins, with silence before the first.
    block_width : float
        Width in seconds of the blocks over which standard errors are taken; choose it longer than
        the memory of the network. Blocks begin at `start` and do not span segments.
    draws : int, optional
        Number of posterior draws, evenly spread over the chains. By default all; 200 of a model
        with shared input, as each takes a pass of a filter through all bins.
    threads : int, optional
        All cores by default; the result does not depend on it.

    Returns
    -------
    HeldoutScore

    Raises
    ------
    TypeError, ValueError
        The tree does not contain draws of a network or was sampled from another model; counts or
        covariates do not fit the model; there are fewer than two blocks, or no more bins than the
        window of the basis has.

    Notes
    -----
    The average over draws is taken within each block, so the product over blocks ignores what
    earlier held-out blocks reveal about the parameters. It is taken for each neuron separately, as
    the parameters of different neurons are nearly independent given the data.

    The path of shared input is integrated out in each draw of the other parameters; no value of the
    path that was fitted enters. A filter goes through the bins and keeps a normal distribution of
    the factors given all bins before (assumed density filtering: Maybeck 1982, Stochastic Models,
    Estimation, and Control 2, chapter 12). It is exact for traces; for counts, docs/criticism.md
    has its error, measured against particle filters. The path begins anew before the first bin and
    in each segment. In the score of a neuron, each count is given the bins before it and the counts
    in the same bin of the neurons before it, in the order of the model, so the sum over neurons is
    the log predictive density of whole bins. ``elpd_mcse`` is the Monte Carlo error over draws, by
    the delta method with the effective number of draws.

    The constant-rate model has the mean count of the fitted data, estimated as (n + 1/2) / (T + 1)
    so that spikes of a silent neuron are not impossible. For negative binomial counts it also has
    the dispersion that matches their variance; for traces, the variance.

    Standard errors are those of sums over independent blocks; for bits per spike, of a ratio.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> score = pg.heldout_score(tree, model, later_counts)
    >>> score.bits_per_spike > pg.heldout_score(other_tree, None, later_counts).bits_per_spike
    True
    >>> print(*score.neurons["neuron"])
    a b c
    """
    fitted = observed_data(tree)
    check_model(tree, model)
    heldout = observed_data_like(tree, counts, covariates)
    window = time_slice(heldout.times, heldout.bin_width, start, stop, "the counts")
    n_bins, n_lags = window.stop - window.start, heldout.n_lags
    if n_bins <= n_lags:
        raise ValueError(
            f"counts: got {n_bins} held-out bins, allowed are more than the {n_lags} bins of the "
            "basis window; hold out more."
        )
    units = units_of(heldout, "block", block_width, window)
    n_blocks = units.groups.n_groups
    if n_blocks < 2:
        raise ValueError(
            f"block_width: got {block_width:g} s, one block of {n_bins} held-out bins, but "
            "standard errors need at least two; give shorter blocks, or hold out more."
        )
    densities = Densities(tree, heldout, threads)
    shape = (n_blocks, len(heldout.neurons))
    elpd, constant, spikes = np.empty(shape), np.empty(shape), np.empty(shape)
    index = spread_draws(tree, draws)
    influence = np.zeros((densities.shape[0], index.size))
    for post, drawn in enumerate(_by_post(tree, densities, units.groups, index, draws, threads)):
        n_draws = drawn.shape[1]
        elpd[:, post] = logsumexp(drawn, axis=1) - np.log(n_draws)
        relative = np.exp(drawn - elpd[:, [post]]) - 1.0
        influence += relative.sum(axis=0).reshape(influence.shape)
        alone = np.empty((n_blocks, 1))
        known = _constant(fitted, post, densities.draws_of(post).parameter)
        densities.write(densities.drawn(post, known), units.groups, alone)
        constant[:, post] = alone[:, 0]
        counted = heldout.counts[units.groups.bins, post]
        spikes[:, post] = np.add.reduceat(counted, units.groups.start[:-1])
    if not fitted.observation.whole:
        spikes[:] = np.nan
    blocks = xr.Dataset(
        {
            "elpd": (("block", "post"), elpd, {"units": "nats"}),
            "elpd_constant": (("block", "post"), constant, {"units": "nats"}),
            "n_spikes": (("block", "post"), spikes),
        },
        coords=units.coords | {"post": list(heldout.neurons)},
        attrs={"block_width": float(block_width)},
    )
    return _score(blocks, elpd, constant, spikes, _monte_carlo_error(influence))


def _by_post(
    tree: xr.DataTree,
    densities: Densities,
    groups: Groups,
    index: NDArray[np.intp],
    draws: int | None,
    threads: int | None,
) -> Iterator[Floats]:
    """Yield the log densities of each neuron in some draws of all chains, (group, draw)."""
    if has_shared_input(tree):
        yield from path_densities(tree, densities.data, groups, draws, threads).values
        return
    chains = np.arange(densities.shape[0])
    chosen = (chains[:, None] * densities.shape[1] + index).ravel()
    for post in range(len(densities.data.neurons)):
        out = np.empty((groups.n_groups, chosen.size))
        densities.write(densities.drawn(post, densities.draws_of(post, chosen)), groups, out)
        yield out


def _monte_carlo_error(influence: Floats) -> float:
    """Return the standard error of the mean of values (chain, draw), NaN for very few draws."""
    if influence.shape[1] < _FEWEST_DRAWS:
        return np.nan
    if not np.ptp(influence) > 0:
        return 0.0
    return float(array_stats.mcse(influence, chain_axis=0, draw_axis=1, method="mean"))


def _score(
    blocks: xr.Dataset, elpd: Floats, constant: Floats, spikes: Floats, error: float = np.nan
) -> HeldoutScore:
    """Return the sums over blocks; arrays have shape (block, post)."""
    bits, bits_se = _ratio(elpd - constant, spikes)
    neurons = pd.DataFrame(
        {
            "neuron": list(blocks["post"].values),
            "n_spikes": spikes.sum(axis=0),
            "elpd": elpd.sum(axis=0),
            "elpd_se": _error(elpd),
            "elpd_constant": constant.sum(axis=0),
            "bits_per_spike": bits,
            "bits_per_spike_se": bits_se,
        }
    )
    if np.isfinite(spikes).all():
        neurons["n_spikes"] = neurons["n_spikes"].astype(int)
    total = elpd.sum(axis=1, keepdims=True)
    gain, gain_se = _ratio((elpd - constant).sum(axis=1)[:, None], spikes.sum(axis=1)[:, None])
    return HeldoutScore(
        float(total.sum()), float(_error(total)[0]), float(gain[0]), float(gain_se[0]),
        neurons, blocks, error,
    )  # fmt: skip


def bits_between(score: HeldoutScore, other: HeldoutScore) -> tuple[float, float]:
    """Return how much better one model predicts the same counts than another.

    Parameters
    ----------
    score, other : HeldoutScore
        Scores of the same counts in the same blocks.

    Returns
    -------
    difference, error : float
        Difference of log densities in bits per spike of all neurons, and its standard error, which
        is paired by block. NaN without spikes, and for traces.
    """
    gain = (score.blocks["elpd"] - other.blocks["elpd"]).sum("post").values
    bits, error = _ratio(gain, score.blocks["n_spikes"].sum("post", skipna=False).values)
    return float(bits), float(error)


def _error(values: Floats) -> Floats:
    """Return the standard errors of sums of values (block, ...)."""
    return np.sqrt(len(values)) * values.std(axis=0, ddof=1)


def _ratio(gain: Floats, spikes: Floats) -> tuple[Floats, Floats]:
    """Return bits per spike and standard errors (delta method); arguments (block, ...)."""
    total = spikes.sum(axis=0)
    total = np.where(total > 0, total, np.nan)
    ratio = gain.sum(axis=0) / total
    return ratio / np.log(2), _error(gain - ratio * spikes) / total / np.log(2)


def _constant(data: ObservedData, post: int, parameter: Floats) -> PostDraws:
    """Return parameters of an uncoupled neuron that fires at the mean rate of the data."""
    observation = data.observation
    bins: Any = slice(None) if data.bins is None else data.bins
    counts = data.counts[bins, post].astype(float)
    mean = (counts.sum() + 0.5) / (counts.size + 1) if observation.whole else counts.mean()
    value, unit = observation.suited_parameter(counts, float(parameter[0])), data.rate_unit
    psi = observation.with_parameter(value).activation(np.array(mean / unit), unit)
    n_pre, n_basis = len(data.neurons), data.basis.shape[1]
    n_covariates = 0 if data.covariates is None else data.covariates.shape[1]
    return PostDraws(
        np.full(1, float(np.squeeze(psi))),
        np.zeros((1, n_pre, n_basis)),
        np.zeros((1, n_covariates)) if n_covariates else None,
        np.full(1, value),
    )
