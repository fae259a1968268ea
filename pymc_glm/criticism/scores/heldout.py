"""How well a posterior predicts spikes that it has not seen."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from pymc_glm.criticism.fit.rates import time_slice
from pymc_glm.criticism.of_model import check_model
from pymc_glm.criticism.one_step import ObservedData, PostDraws, observed_data, observed_data_like
from pymc_glm.criticism.scores.densities import Densities
from pymc_glm.criticism.scores.units import units_of

__all__ = ["HeldoutScore", "bits_between", "heldout_score"]

type Floats = NDArray[np.float64]

_BLOCK_WIDTH = 5.0  # s


@dataclass(frozen=True)
class HeldoutScore:
    """Log predictive density of held-out counts, made by `heldout_score`.

    Parameters
    ----------
    elpd, elpd_se : float
        Log predictive density of all neurons, in nats, and its standard error.
    bits_per_spike, bits_per_spike_se : float
        Of all neurons: what is gained on the constant rates, in bits for each spike. NaN without
        spikes, and for traces.
    neurons : DataFrame
        One row a neuron: ``neuron``, ``n_spikes``, ``elpd``, ``elpd_se``, ``elpd_constant``,
        ``bits_per_spike``, ``bits_per_spike_se``.
    blocks : Dataset
        ``elpd``, ``elpd_constant`` and ``n_spikes``, not a number for traces, (block, post), with
        the coordinate ``block_start`` in seconds.

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
    threads: int | None = None,
) -> HeldoutScore:
    r"""Score the prediction of counts of another time, neuron by neuron.

    .. math:: \sum_{\mathrm{block}} \log \frac{1}{S} \sum_{s=1}^{S} \prod_{t \in \mathrm{block}}
        p(y_{tn} \mid \psi_{tn}^{(s)})

    each bin given the spikes before it. Bits per spike are the gain on constant rates, divided by
    log 2 and the number of spikes (Pillow et al. 2008, Nature 454:995-999, methods).

    Parameters
    ----------
    tree : DataTree
        What sampling returned; needs the posterior and the constant data.
    model : pymc.Model or None
        The model that was sampled: looked at only to make sure that it is.
    counts : DataArray or array, (time, neuron)
        Held-out counts of the same neurons, in bins of the same width.
    covariates : DataArray or array, (time, covariate), optional
        Of these counts, where the model has covariates.
    start, stop : float, optional
        Score bins that begin in [start, stop), in seconds; the counts before `start` are heard as
        history. By default all, with silence before the first.
    block_width : float
        Seconds of the blocks, over which standard errors are taken: longer than what the network
        remembers. They begin at `start`, and none goes over the border of a segment.
    threads : int, optional
        All cores by default; the result does not depend on them.

    Returns
    -------
    HeldoutScore

    Raises
    ------
    TypeError, ValueError
        The tree does not hold the draws of a network or is of another model; counts or covariates
        are not like those of the model; there are fewer than two blocks, or no more bins than the
        window of the basis.

    Notes
    -----
    The draws are averaged within blocks: the product over blocks leaves out what earlier held-out
    blocks teach about the parameters. Neurons are averaged one by one, as their parameters hardly
    depend on each other given the data.

    The model of constant rates has the mean counts of the data that were fitted, as
    (n + 1/2) / (T + 1) so that a neuron that was silent is not impossible; of negative binomial
    counts also the dispersion that makes their variance, of traces the variance.

    Standard errors are those of sums over independent blocks, of bits per spike that of a ratio.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> score = pg.heldout_score(tree, model, later_counts)
    >>> score.bits_per_spike > pg.heldout_score(other_tree, None, later_counts).bits_per_spike
    True
    >>> print(*score.neurons["neuron"])
    a b c
    """
    recording = observed_data(tree)
    check_model(tree, model)
    heldout = observed_data_like(tree, counts, covariates)
    window = time_slice(heldout.times, heldout.bin_width, start, stop, "the counts")
    n_bins, n_lags = window.stop - window.start, len(heldout.basis)
    if n_bins <= n_lags:
        raise ValueError(
            f"counts: {n_bins} bins are held out, and the window of the basis has {n_lags}; hold "
            "out more."
        )
    units = units_of(heldout, "block", block_width, window)
    n_blocks = units.groups.n_groups
    if n_blocks < 2:
        raise ValueError(
            f"block_width: blocks of {block_width:g} s make one of the {n_bins} bins held out, and "
            "standard errors need two or more; give shorter blocks, or hold out more."
        )
    densities = Densities(tree, heldout, threads)
    shape = (n_blocks, len(heldout.neurons))
    elpd, constant, spikes = np.empty(shape), np.empty(shape), np.empty(shape)
    for post in range(shape[1]):
        drawn = np.empty((n_blocks, densities.n_draws))
        densities.write(densities.drawn(post), units.groups, drawn)
        elpd[:, post] = logsumexp(drawn, axis=1) - np.log(densities.n_draws)
        alone = np.empty((n_blocks, 1))
        known = _constant(recording, post, densities.draws_of(post).parameter)
        densities.write(densities.drawn(post, known), units.groups, alone)
        constant[:, post] = alone[:, 0]
        counted = heldout.counts[units.groups.bins, post]
        spikes[:, post] = np.add.reduceat(counted, units.groups.start[:-1])
    if not recording.observation.whole:
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
    return _score(blocks, elpd, constant, spikes)


def _score(blocks: xr.Dataset, elpd: Floats, constant: Floats, spikes: Floats) -> HeldoutScore:
    """Sum over blocks; arrays (block, post)."""
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
        neurons, blocks,
    )  # fmt: skip


def bits_between(score: HeldoutScore, other: HeldoutScore) -> tuple[float, float]:
    """Return by how much one model predicts the same counts better than another.

    Parameters
    ----------
    score, other : HeldoutScore
        Of the same counts in the same blocks.

    Returns
    -------
    difference, error : float
        Of log densities, in bits for each spike of all neurons; the standard error is that of the
        differences block by block, in which all cancels that blocks hold for both. NaN without
        spikes, and for traces.
    """
    gain = (score.blocks["elpd"] - other.blocks["elpd"]).sum("post").values
    bits, error = _ratio(gain, score.blocks["n_spikes"].sum("post", skipna=False).values)
    return float(bits), float(error)


def _error(values: Floats) -> Floats:
    """Return the standard errors of sums of values (block, ...)."""
    return np.sqrt(len(values)) * values.std(axis=0, ddof=1)


def _ratio(gain: Floats, spikes: Floats) -> tuple[Floats, Floats]:
    """Return bits per spike and standard errors (delta method); both arguments (block, ...)."""
    total = spikes.sum(axis=0)
    total = np.where(total > 0, total, np.nan)
    ratio = gain.sum(axis=0) / total
    return ratio / np.log(2), _error(gain - ratio * spikes) / total / np.log(2)


def _constant(recording: ObservedData, post: int, parameter: Floats) -> PostDraws:
    """Return parameters of a neuron whose rate is that of the data, without any coupling."""
    observation = recording.observation
    bins: Any = slice(None) if recording.bins is None else recording.bins
    counts = recording.counts[bins, post].astype(float)
    mean = (counts.sum() + 0.5) / (counts.size + 1) if observation.whole else counts.mean()
    value, unit = observation.suited_parameter(counts, float(parameter[0])), recording.rate_unit
    psi = observation.with_parameter(value).activation(np.array(mean / unit), unit)
    n_pre, n_basis = len(recording.neurons), recording.basis.shape[1]
    n_covariates = 0 if recording.covariates is None else recording.covariates.shape[1]
    return PostDraws(
        np.full(1, float(np.squeeze(psi))),
        np.zeros((1, n_pre, n_basis)),
        np.zeros((1, n_covariates)) if n_covariates else None,
        np.full(1, value),
    )
