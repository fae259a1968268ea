"""Goodness of fit by time rescaling, with the law of counts in bins taken as it is."""

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
from pymc_glm.kernels.likelihood import LOGISTIC, POISSON
from pymc_glm.kernels.rescaling import rescaled_intervals

__all__ = ["time_rescaling"]

_log = logging.getLogger("pymc_glm")

_FEWEST = 10  # spikes of a neuron
_LEVELS = np.linspace(0.0, 1.0, 101)
_BANDS = (95, 99)  # %

type Floats = NDArray[np.float64]


class _Neuron(NamedTuple):
    """What is told of one neuron."""

    intervals: Floats  # (spike,), of the mean intensity
    cdf: Floats  # (sample, level)
    ks: Floats  # (sample + 1,), the mean intensity last
    autocorrelation: Floats  # (sample + 1,)


def time_rescaling(
    tree: xr.DataTree,
    *,
    neurons: Iterable[Hashable] | None = None,
    draws: int = 100,
    random_seed: int | np.random.Generator | None = None,
) -> xr.Dataset:
    r"""Test each neuron's spike times by time rescaling (Kolmogorov-Smirnov).

    In the time :math:`\int \lambda` of its own intensity every neuron fires at rate one, without
    memory: the rescaled intervals are exponential and independent (Brown, Barbieri, Ventura, Kass
    & Frank 2002, Neural Computation 14:325). In bins that is not true, more so the higher the
    rate; here the intervals are corrected so that it is, exactly, for every law of counts. A bin is
    a birth process with the rate :math:`(a + s k) c` after k spikes, which has the bin's law:

    ==================  ==========  ====  ==========================
    law                 a           s     c
    ==================  ==========  ====  ==========================
    Bernoulli           1           -1    -log(1 - p)
    binomial            n_trials    -1    -log(1 - p)
    Poisson             1           0     exp(psi)
    negative binomial   dispersion  +1    log(1 + exp(psi))
    ==================  ==========  ====  ==========================

    Spikes are placed in their bin at random, given how many there are. For Bernoulli counts that is
    the correction of Haslinger, Pipa & Brown (2010, Neural Computation 22:2477).

    Rescaled time stands still outside of segments and in excluded bins: an interval that begins
    before a gap goes on behind it, which leaves it exponential. To leave such intervals out would
    favour short ones, and short trials would fail under the right model (Wiener 2003, Journal of
    Neurophysiology 90:2854).

    Parameters
    ----------
    tree : DataTree
        What sampling returned; needs the posterior and the constant data.
    neurons : iterable of labels, optional
        Neurons to test, in this order. All by default.
    draws : int
        Number of posterior draws to use, chosen at random; all where there are fewer.
    random_seed : int or numpy.random.Generator, optional
        Which draws, and where in their bins spikes lie.

    Returns
    -------
    Dataset
        ``ks`` (sample, neuron), the largest distance between the distribution of rescaled intervals
        and the exponential one, in every draw; ``autocorrelation`` (sample, neuron), of intervals
        that follow each other, as normal scores, because the KS test is blind to dependence.
        ``ks_mean``, ``p_value`` and ``autocorrelation_mean`` (neuron): of the intensity averaged
        over draws. ``bound`` (probability, neuron): the distances within which 95% and 99% of
        right models are (Kolmogorov's distribution for this number of intervals), ``inside``
        (probability, neuron): the fraction of draws within; ``autocorrelation_bound`` (neuron),
        95%. ``n_intervals`` (neuron). For pictures, ``rescaled`` (neuron, interval):
        1 - exp(-interval) of the averaged intensity, in the order of time, and ``cdf`` (sample,
        neuron, level), the distribution of these in every draw. Neurons with fewer than 10 spikes
        are not a number.

        The parameters were fitted to the same spikes: bounds and p-values are a little too kind.

    Raises
    ------
    TypeError, ValueError
        The tree does not hold the draws of a network, its law is of traces or of the user's own, a
        neuron is unknown, no neuron has enough spikes, draws is no number, the seed is no seed.

    Examples
    --------
    >>> import arviz as az, numpy as np, pymc_glm as pg
    >>> counts = np.random.default_rng(1).binomial(1, 0.2, (1500, 2))
    >>> tree = az.from_dict(
    ...     {
    ...         "posterior": {
    ...             "bias": np.full((1, 20, 2), np.log(0.25)),
    ...             "weights": np.zeros((1, 20, 2, 2, 1)),
    ...         },
    ...         "constant_data": {
    ...             "counts": counts,
    ...             "basis_functions": np.ones((1, 1)),
    ...             "bin_width": np.array(0.01),
    ...         },
    ...     },
    ...     coords={"post": ["a", "b"], "pre": ["a", "b"], "time": np.arange(1500) * 0.01},
    ...     dims={
    ...         "bias": ["post"],
    ...         "weights": ["post", "pre", "basis"],
    ...         "counts": ["time", "post"],
    ...         "basis_functions": ["lag", "basis"],
    ...     },
    ... )
    >>> result = pg.time_rescaling(tree, random_seed=1)
    >>> (result["ks_mean"] < result["bound"].sel(probability=0.99)).values
    array([ True,  True])
    """
    rng = random_generator(random_seed)
    chains, index = chosen_draws(tree, draws, rng)
    data = _spikes_of(tree)
    keep = label_index(data.neurons, neurons)
    counts, bins = data.counts, data.bins
    n_spikes = (counts if bins is None else counts[bins]).sum(axis=0)[keep]
    _check_spikes(data, keep, n_spikes)
    found = []
    for post, n, own in zip(keep, n_spikes, rng.spawn(len(keep)), strict=True):
        drawn = post_draws(tree, data.observation, int(post), chains, index)
        found.append(_test(data, int(post), drawn, own) if n >= _FEWEST else None)
    labels = [data.neurons[n] for n in keep]
    result = _summary(found, labels, n_spikes, len(chains))
    return result.assign_coords(chain=("sample", chains), draw=("sample", index)).assign_attrs(
        bin_width=data.bin_width, observation=data.observation.name
    )


def _spikes_of(tree: xr.DataTree) -> ObservedData:
    """Return the recording if it is of spikes under a law whose bins are known."""
    data = observed_data(tree)
    if not data.observation.whole:
        raise ValueError(
            "tree: it is of traces, which have no spike times; pg.residual_correlograms takes them."
        )
    if _family(data)[0] not in (LOGISTIC, POISSON):
        raise ValueError(
            f"tree: time rescaling knows the laws of this package, not {data.observation.name!r}; "
            "pg.residual_correlograms takes any."
        )
    return data


def _family(data: ObservedData) -> tuple[int, float]:
    """Return family and slope of the law."""
    likelihood = data.observation.with_parameter(1.0).empty_likelihood(1)
    return likelihood.family, float(likelihood.slope)


def _check_spikes(data: ObservedData, keep: NDArray, n_spikes: NDArray) -> None:
    few = [f"{data.neurons[n]} ({k})" for n, k in zip(keep, n_spikes, strict=True)
           if k < _FEWEST]  # fmt: skip
    if len(few) == len(keep):
        raise ValueError(
            f"tree: no neuron has the {_FEWEST} spikes that the test needs; they have "
            f"{', '.join(few[:5])}."
        )
    if few:
        _log.warning("too few spikes for time rescaling: %s", ", ".join(few))


def _test(data: ObservedData, post: int, drawn: PostDraws, rng: np.random.Generator) -> _Neuron:
    """Rescale the spikes of one neuron, by every draw and by their mean intensity."""
    observation, bins = data.observation, data.bins
    family, slope = _family(data)
    own = np.ascontiguousarray(data.counts[:, post])
    own = own if bins is None else own[bins]
    n_draws, n_spikes = len(drawn.bias), int(own.sum())
    mean, cdf = np.zeros(len(own)), np.empty((n_draws, len(_LEVELS)))
    ks, dependence = np.empty(n_draws + 1), np.empty(n_draws + 1)
    i = 0
    for psi, parameter in activation_blocks(data, drawn):
        psi = np.ascontiguousarray(psi if bins is None else psi[:, bins])
        mean += observation.mean_counts(psi, parameter).sum(axis=0) / n_draws
        for row, shape in zip(psi, parameter[:, 0], strict=True):
            intervals = rescaled_intervals(
                family, slope, float(shape), row, own, rng.random(n_spikes)
            )
            levels = np.sort(-np.expm1(-intervals))
            cdf[i] = np.searchsorted(levels, _LEVELS, side="right") / n_spikes
            ks[i], dependence[i] = _distance(levels), _autocorrelation(intervals)
            i += 1
    typical, width = float(drawn.parameter.mean()), data.bin_width
    with np.errstate(divide="ignore"):  # probabilities 0 and 1
        psi = observation.with_parameter(typical).activation(mean / width, width)
    intervals = rescaled_intervals(family, slope, typical, psi, own, rng.random(n_spikes))
    ks[-1] = _distance(np.sort(-np.expm1(-intervals)))
    dependence[-1] = _autocorrelation(intervals)
    return _Neuron(intervals, cdf, ks, dependence)


def _distance(levels: Floats) -> float:
    """Return the Kolmogorov-Smirnov distance of sorted levels from uniform ones."""
    n = len(levels)
    steps = np.arange(n + 1) / n
    return float(max((steps[1:] - levels).max(), (levels - steps[:-1]).max()))


def _autocorrelation(intervals: Floats) -> float:
    """Correlation of successive intervals as normal scores (Truccolo et al. 2005)."""
    safe = np.maximum(intervals, 1e-300)
    scores = np.where(safe > 0.5, -ndtri(np.exp(-safe)), ndtri(-np.expm1(-safe)))
    return float(np.corrcoef(scores[:-1], scores[1:])[0, 1])


def _summary(
    found: list[_Neuron | None], labels: list[str], n_spikes: NDArray, n_draws: int
) -> xr.Dataset:
    """Gather the neurons, not a number where there is nothing."""
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
