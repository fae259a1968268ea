"""A simulated population driven by one stimulus."""

import numpy as np
import xarray as xr

from pymc_glm.arguments import as_whole_number, random_generator
from pymc_glm.basis import raised_cosine
from pymc_glm.covariates import covariate_design
from pymc_glm.datasets.simulated import (
    BIN_WIDTH,
    Floats,
    SimulatedRecording,
    bias_for_rates,
    coupling_basis,
    number_of_bins,
    refractory,
)
from pymc_glm.simulation import NetworkParameters, simulate

__all__ = ["simulate_stimulus"]

_FRAME = 4  # bins
_WINDOW, _N_STIMULUS = 0.2, 6
_LATENCIES = (0.025, 0.075)  # s, range of the stimulus filters' peaks
_WIDTH = 0.015  # s, width of the peak
_REBOUND = 0.6  # relative size of the later lobe, of opposite sign
_DRIVE = 1.0  # standard deviation of the stimulus' contribution to the activation
_PROBABILITY, _STRENGTH, _SLOW, _INHIBITORY = 0.2, 1.5, 0.4, 0.3
_FEW = 8  # neurons; for n above, edge probabilities are scaled by 8 / n
_RATES = (8.0, 14.0)  # Hz


def simulate_stimulus(
    n_neurons: int = 8,
    duration: float = 300.0,
    *,
    n_trials: int = 1,
    random_seed: int | np.random.Generator | None = None,
) -> SimulatedRecording:
    r"""Simulate coupled neurons driven by the contrast of one stimulus.

    The contrast is white noise, Normal(0, 1), with a new value every 20 ms. Every neuron has a
    biphasic stimulus filter with its peak at 25 to 75 ms; every other neuron is an OFF cell, with
    an inverted filter. Filters are sums of the basis functions of `covariates`. About one pair in
    five is coupled, three in ten of these by inhibition. All neurons are refractory and fire at
    about 4 to 16 Hz.

    Cells with similar filters fire one after the other, at the difference of their latencies: a
    model without the stimulus mistakes this for coupling, and a model without the couplings
    predicts worse (Pillow et al. 2008, Nature 454:995).

    Parameters
    ----------
    n_neurons : int
        At least 2.
    duration : float
        Total duration of all trials in seconds, in bins of 5 ms.
    n_trials : int
        Repeats of the same stimulus. Each starts in silence, and the counts have the coordinates
        ``segment``, ``trial`` and ``trial_time``, as from `pymc_glm.bin_spikes`. By default one
        run, without these coordinates.
    random_seed : int, numpy.random.Generator or None
        For the network, the stimulus and the spikes.

    Returns
    -------
    SimulatedRecording
        With `stimulus` and `covariates`; ``network.covariate_weights`` are the filters.

    Raises
    ------
    TypeError, ValueError
        Too few neurons or trials, trials shorter than a bin, or a bad seed.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> recording = pg.datasets.simulate_stimulus(duration=10, random_seed=1)
    >>> recording.stimulus.shape, recording.covariates.shape
    ((2000,), (2000, 6))
    >>> trials = pg.datasets.simulate_stimulus(duration=10, n_trials=5, random_seed=1)
    >>> int(trials.counts["trial"].max())
    4
    """
    n = as_whole_number(n_neurons, "n_neurons", at_least=2)
    n_trials = as_whole_number(n_trials, "n_trials")
    n_bins = number_of_bins(duration, BIN_WIDTH * n_trials)
    rng = random_generator(random_seed)
    network, filters = _network(n, rng)
    frames = rng.standard_normal(-(-n_bins // _FRAME))
    once = np.repeat(frames, _FRAME)[:n_bins]
    starts = n_bins * np.arange(n_trials)
    time = np.arange(n_bins * n_trials) * BIN_WIDTH
    stimulus = xr.DataArray(
        np.tile(once, n_trials), dims="time", coords={"time": time}, name="contrast"
    )
    covariates = covariate_design(stimulus, filters, segment_start=starts)
    parts = [
        simulate(network, n_bins, covariates=covariates[start : start + n_bins], random_seed=rng)
        for start in starts
    ]
    counts = xr.concat(parts, dim="time").assign_coords(time=time)
    if n_trials > 1:
        trial = np.repeat(np.arange(n_trials), n_bins)
        since = (np.arange(n_bins * n_trials) % n_bins) * BIN_WIDTH
        counts = counts.assign_coords(
            segment=("time", trial), trial=("time", trial), trial_time=("time", since)
        )
    counts.attrs["name"] = "simulated stimulus"
    return SimulatedRecording(
        counts, network.basis, network, covariates=covariates, stimulus=stimulus
    )


def _network(n: int, rng: np.random.Generator) -> tuple[NetworkParameters, xr.DataArray]:
    """Return the network, and the basis (lag, basis) of its stimulus filters."""
    basis = coupling_basis()
    filters = raised_cosine(_N_STIMULUS, _WINDOW, BIN_WIDTH, spacing="linear")
    edges = rng.random((n, n)) < _PROBABILITY * min(1.0, _FEW / n)
    if not edges[~np.eye(n, dtype=bool)].any():
        edges[1, 0] = True
    np.fill_diagonal(edges, False)
    signs = np.where(rng.random((n, n)) < _INHIBITORY, -1.0, 1.0)
    weights = refractory(n)
    weights[edges] = _STRENGTH * signs[edges, None] * (1.0, _SLOW)
    bias = bias_for_rates(rng.uniform(*_RATES, n), weights, basis) - _DRIVE**2 / 2
    latency = rng.permutation(np.linspace(*_LATENCIES, n))
    return (
        NetworkParameters(
            bias, weights, basis, covariate_weights=_stimulus_weights(latency, filters)
        ),
        filters,
    )


def _stimulus_weights(latency: Floats, filters: xr.DataArray) -> Floats:
    """Return weights (post, covariate) of biphasic filters, fitted to the basis."""
    lag = np.arange(filters.sizes["lag"]) * BIN_WIDTH
    peak = np.exp(-0.5 * ((lag - latency[:, None]) / _WIDTH) ** 2)
    later = np.exp(-0.5 * ((lag - 1.8 * latency[:, None]) / (1.5 * _WIDTH)) ** 2)
    wanted = peak - _REBOUND * later
    wanted[1::2] *= -1
    weights = np.linalg.lstsq(filters.values, wanted.T)[0].T
    # The contrast is white across frames, so its filtered variance is the sum of squares of the
    # filter's sums over frames, averaged over the phase of the frame.
    made = weights @ filters.values.T
    padded = np.pad(made, ((0, 0), (_FRAME - 1, _FRAME - 1)))
    sums = np.stack([padded[:, i : i + made.shape[1] + _FRAME - 1] for i in range(_FRAME)]).sum(0)
    spread = np.sqrt((sums**2).sum(axis=1) / _FRAME)
    return weights * (_DRIVE / spread)[:, None]
