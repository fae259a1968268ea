"""Goodness of fit by time rescaling, exact for counts in bins."""

import logging
from collections.abc import Hashable, Iterable
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import kstwo

from pymc_glm.arguments import label_index, random_generator
from pymc_glm.criticism.one_step import (
    ObservedData,
    PostDraws,
    activation_blocks,
    observed_data,
    post_draws,
)
from pymc_glm.criticism.replicates import chosen_draws
from pymc_glm.criticism.shared_path import DrawFilter, draw_filter, has_shared_input
from pymc_glm.kernels.likelihood import LOGISTIC, POISSON
from pymc_glm.kernels.rescaling import rescaled_intervals

__all__ = ["time_rescaling"]

_log = logging.getLogger("pymc_glm")

_FEWEST = 10  # spikes of a neuron
_LEVELS = np.linspace(0.0, 1.0, 101)
_BANDS = (95, 99)  # %

type Floats = NDArray[np.float64]


class _Neuron(NamedTuple):
    """Results of one neuron."""

    intervals: Floats  # (spike,), rescaled by the mean intensity
    cdf: Floats  # (sample, level)
    ks: Floats  # (sample + 1,), that of the mean intensity last
    autocorrelation: Floats  # (sample + 1,), that of the mean intensity last


def time_rescaling(
    tree: xr.DataTree,
    *,
    neurons: Iterable[Hashable] | None = None,
    draws: int = 100,
    random_seed: int | np.random.Generator | None = None,
) -> xr.Dataset:
    r"""Test each neuron's spike times by time rescaling (Kolmogorov-Smirnov).

    In time rescaled by the integral :math:`\int \lambda` of its intensity, every neuron is a
    Poisson process of rate one: rescaled intervals are independent and exponential (Brown,
    Barbieri, Ventura, Kass & Frank 2002, Neural Computation 14:325). Binning breaks this, the more
    so the higher the rate. Here the intervals are corrected to be exactly exponential under each
    observation model. The count of a bin is that of a birth process with the rate
    :math:`(a + s k) c` after k spikes:

    ==================  ==========  ====  ==========================
    observation model   a           s     c
    ==================  ==========  ====  ==========================
    Bernoulli           1           -1    -log(1 - p)
    binomial            n_trials    -1    -log(1 - p)
    Poisson             1           0     exp(psi)
    negative binomial   dispersion  +1    log(1 + exp(psi))
    ==================  ==========  ====  ==========================

    Spikes are placed at random within their bin, given their number. For Bernoulli counts this is
    the correction of Haslinger, Pipa & Brown (2010, Neural Computation 22:2477).

    With shared input, the intensity is the mean count given the counts before each bin, with the
    path integrated out (see `heldout_score`); the path that was fitted has seen the spikes.
    Bernoulli counts remain Bernoulli counts with this mean. Other counts vary more than those of
    the observation model with this mean, a difference of second order in the mean count, so use
    narrow bins.

    Rescaled time stops between segments and in excluded bins: an interval that begins before a gap
    continues after it and is still exponential. Leaving such intervals out would favour short ones,
    and even the correct model would fail in short trials (Wiener 2003, Journal of Neurophysiology
    90:2854).

    Parameters
    ----------
    tree : DataTree
        Posterior that sampling returned, with its constant data.
    neurons : iterable of labels, optional
        Neurons to test, in this order. All by default.
    draws : int
        Number of posterior draws, chosen at random; all if there are fewer.
    random_seed : int or numpy.random.Generator, optional
        Seed for the choice of draws and for the places of spikes within bins.

    Returns
    -------
    Dataset
        For every draw, ``ks`` (sample, neuron), the largest distance between the distribution of
        rescaled intervals and the exponential one, and ``autocorrelation`` (sample, neuron) of
        successive intervals as normal scores, as the KS test does not detect dependence.
        For the intensity averaged over draws, ``ks_mean``, ``p_value`` and
        ``autocorrelation_mean`` (neuron). ``bound`` (probability, neuron), the distances that a
        correct model stays within with probability 95% and 99% (Kolmogorov's distribution for the
        number of intervals); ``inside`` (probability, neuron), the fraction of draws within the
        bound; ``autocorrelation_bound`` (neuron), at 95%; ``n_intervals`` (neuron). For plots,
        ``rescaled`` (neuron, interval), 1 - exp(-interval) for the averaged intensity in order of
        time, and ``cdf`` (sample, neuron, level), its distribution in every draw. Neurons with
        fewer than 10 spikes are NaN.

        As the parameters were fitted to the same spikes, bounds and p-values are slightly lenient.

    Raises
    ------
    TypeError, ValueError
        The tree does not contain draws of a network, its observation model is custom or of traces,
        a neuron is unknown, no neuron has enough spikes, or `draws` or the seed is invalid.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> result = pg.time_rescaling(tree, random_seed=1)
    >>> (result["ks_mean"] < result["bound"].sel(probability=0.99)).values
    array([ True,  True,  True])
    """
    rng = random_generator(random_seed)
    chains, index = chosen_draws(tree, draws, rng)
    data = _spikes_of(tree)
    keep = label_index(data.neurons, neurons)
    counts, bins = data.counts, data.bins
    n_spikes = (counts if bins is None else counts[bins]).sum(axis=0)[keep]
    _check_spikes(data, keep, n_spikes)
    tests = {
        int(post): _Test(data, int(post), len(chains), neuron_rng)
        for post, n, neuron_rng in zip(keep, n_spikes, rng.spawn(len(keep)), strict=True)
        if n >= _FEWEST
    }
    if has_shared_input(tree):
        for chain, draw in zip(chains, index, strict=True):
            _add_filtered(tests, data, draw_filter(tree, data, chain, draw))
    else:
        for post, test in tests.items():
            _add_draws(test, data, post_draws(tree, data.observation, post, chains, index))
    found = [tests[post].finish() if post in tests else None for post in keep]
    labels = [data.neurons[n] for n in keep]
    result = _summary(found, labels, n_spikes, len(chains))
    return result.assign_coords(chain=("sample", chains), draw=("sample", index)).assign_attrs(
        bin_width=data.bin_width, observation=data.observation.name
    )


def _spikes_of(tree: xr.DataTree) -> ObservedData:
    """Return the data; they must be spikes under one of the package's observation models."""
    data = observed_data(tree)
    if not data.observation.whole:
        raise ValueError(
            "tree: it holds traces, which have no spike times; use pg.residual_correlograms."
        )
    if _family(data)[0] not in (LOGISTIC, POISSON):
        raise ValueError(
            "tree: time rescaling needs one of the package's observation models, got "
            f"{data.observation.name!r}; use pg.residual_correlograms."
        )
    return data


def _family(data: ObservedData) -> tuple[int, float]:
    """Return family and slope of the likelihood."""
    likelihood = data.observation.with_parameter(1.0).empty_likelihood(1)
    return likelihood.family, float(likelihood.slope)


def _check_spikes(data: ObservedData, keep: NDArray, n_spikes: NDArray) -> None:
    few = [f"{data.neurons[n]} ({k})" for n, k in zip(keep, n_spikes, strict=True)
           if k < _FEWEST]  # fmt: skip
    if len(few) == len(keep):
        raise ValueError(
            f"tree: no neuron has the {_FEWEST} spikes that the test needs; the numbers of spikes "
            f"are {', '.join(few[:5])}."
        )
    if few:
        _log.warning("neurons with too few spikes for time rescaling: %s", ", ".join(few))


class _Test:
    """Rescales the spikes of one neuron by the intensity of every draw and by their mean."""

    def __init__(self, data: ObservedData, post: int, n_draws: int, rng: np.random.Generator):
        self._data, self._rng, self._n_draws = data, rng, n_draws
        counts = np.ascontiguousarray(data.counts[:, post])
        self._counts = counts if data.bins is None else counts[data.bins]
        self._n_spikes, self._done, self._parameter = int(self._counts.sum()), 0, 0.0
        self._mean = np.zeros(len(self._counts))
        self._cdf = np.empty((n_draws, len(_LEVELS)))
        self._ks, self._dependence = np.empty(n_draws + 1), np.empty(n_draws + 1)

    def add(self, psi: Floats, mean: Floats, parameter: float) -> None:
        """Rescale by activations and mean counts (time,) of a draw, in the bins that are data."""
        self._mean += mean / self._n_draws
        self._parameter += parameter
        levels = self._rescaled(psi, parameter)[1]
        self._cdf[self._done - 1] = np.searchsorted(levels, _LEVELS, side="right") / self._n_spikes

    def finish(self) -> _Neuron:
        """Rescale by the mean intensity."""
        typical = self._parameter / self._n_draws
        psi = _activation_of(self._data, self._mean, typical)
        intervals, _ = self._rescaled(psi, typical)
        return _Neuron(intervals, self._cdf, self._ks, self._dependence)

    def _rescaled(self, psi: Floats, parameter: float) -> tuple[Floats, Floats]:
        """Return rescaled intervals and their sorted levels; note their statistics."""
        family, slope = _family(self._data)
        intervals = rescaled_intervals(
            family, slope, parameter, psi, self._counts, self._rng.random(self._n_spikes)
        )
        levels = np.sort(-np.expm1(-intervals))
        self._ks[self._done] = _distance(levels)
        self._dependence[self._done] = _autocorrelation(intervals)
        self._done += 1
        return intervals, levels


def _activation_of(data: ObservedData, mean: Floats, parameter: float) -> Floats:
    """Return the activations that have these mean counts."""
    with np.errstate(divide="ignore"):  # probabilities 0 and 1
        observation = data.observation.with_parameter(parameter)
        return observation.activation(mean / data.bin_width, data.bin_width)


def _add_draws(test: _Test, data: ObservedData, drawn: PostDraws) -> None:
    """Rescale the spikes of one neuron by all draws of its parameters."""
    for psi, parameter in activation_blocks(data, drawn):
        psi = np.ascontiguousarray(psi if data.bins is None else psi[:, data.bins])
        mean = data.observation.mean_counts(psi, parameter)
        for row, expected, dispersion in zip(psi, mean, parameter[:, 0], strict=True):
            test.add(row, expected, float(dispersion))


def _add_filtered(tests: dict[int, _Test], data: ObservedData, filtered: DrawFilter) -> None:
    """Rescale the spikes of all neurons by one draw, with the path integrated out."""
    posts = np.array(list(tests))
    pieces = filtered.moments(slice(0, len(data.counts)), posts)
    mean = np.concatenate([expected for expected, _ in pieces])
    mean = mean if data.bins is None else mean[data.bins]
    parameters = np.broadcast_to(filtered.parameter, (len(data.neurons),))
    for column, (post, test) in enumerate(tests.items()):
        expected, parameter = np.ascontiguousarray(mean[:, column]), float(parameters[post])
        test.add(_activation_of(data, expected, parameter), expected, parameter)


def _distance(levels: Floats) -> float:
    """Return the Kolmogorov-Smirnov distance of sorted levels from the uniform distribution."""
    n = len(levels)
    steps = np.arange(n + 1) / n
    return float(max((steps[1:] - levels).max(), (levels - steps[:-1]).max()))


def _autocorrelation(intervals: Floats) -> float:
    """Return the correlation of successive intervals as normal scores (Truccolo et al. 2005)."""
    safe = np.maximum(intervals, 1e-300)
    scores = np.where(safe > 0.5, -ndtri(np.exp(-safe)), ndtri(-np.expm1(-safe)))
    return float(np.corrcoef(scores[:-1], scores[1:])[0, 1])


def _summary(
    found: list[_Neuron | None], labels: list[str], n_spikes: NDArray, n_draws: int
) -> xr.Dataset:
    """Collect the results of all neurons, NaN for those without."""
    n = len(found)
    ks, dependence = np.full((n_draws + 1, n), np.nan), np.full((n_draws + 1, n), np.nan)
    cdf = np.full((n_draws, n, len(_LEVELS)), np.nan)
    rescaled = np.full((n, int(n_spikes.max())), np.nan)
    for i, neuron in enumerate(found):
        if neuron is not None:
            ks[:, i], dependence[:, i], cdf[:, i] = neuron.ks, neuron.autocorrelation, neuron.cdf
            rescaled[i, : n_spikes[i]] = -np.expm1(-neuron.intervals)
    probability = np.array(_BANDS) / 100
    enough = np.maximum(n_spikes, _FEWEST)
    bound = np.where(n_spikes >= _FEWEST, kstwo.ppf(probability[:, None], enough), np.nan)
    inside = (ks[None, :-1] <= bound[:, None]).mean(axis=1)
    return xr.Dataset(
        {
            "ks": (("sample", "neuron"), ks[:-1]),
            "autocorrelation": (("sample", "neuron"), dependence[:-1]),
            "ks_mean": ("neuron", ks[-1]),
            "p_value": ("neuron", kstwo.sf(ks[-1], enough)),
            "autocorrelation_mean": ("neuron", dependence[-1]),
            "bound": (("probability", "neuron"), bound),
            "inside": (
                ("probability", "neuron"), np.where(np.isfinite(bound), inside, np.nan)
            ),
            "autocorrelation_bound": (
                "neuron", np.where(n_spikes >= _FEWEST, 1.96 / np.sqrt(enough - 1), np.nan)
            ),
            "n_intervals": ("neuron", n_spikes),
            "rescaled": (("neuron", "interval"), rescaled),
            "cdf": (("sample", "neuron", "level"), cdf),
        },
        coords={
            "neuron": labels,
            "probability": probability,
            "level": _LEVELS,
            "sample": np.arange(n_draws),
        },
    )  # fmt: skip
