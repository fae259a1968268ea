"""Cross-correlograms of spike times minus their smooth background.

The background is the correlogram smoothed by a Gaussian with a partly hollow centre, and the
deviation from it is in units of its standard deviation if spikes were Poisson (Stark & Abeles
2009, J. Neurosci. Methods 179:90).
"""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import convolve1d
from scipy.stats import poisson

HOLLOW = 0.6
HALF_WIDTH = 0.05  # s, of the correlograms
_ROUNDING = 1e-6  # of a bin: times are multiples of a simulation's step
_LEVEL = 0.01


class Settings(NamedTuple):
    """Bins, smoothing and the lags that count, all in seconds."""

    bin_width: float
    smoothing: float
    first: float
    last: float


class Correlograms(NamedTuple):
    """Counts and background, (post, pre, lag); a lag is post minus pre, the centre of a bin."""

    counts: np.ndarray
    background: np.ndarray
    lag: np.ndarray

    @property
    def deviation(self) -> np.ndarray:
        """Counts minus background, in standard deviations of a Poisson count."""
        return (self.counts - self.background) / np.sqrt(np.maximum(self.background, 1e-9))

    def between(self, first: float, last: float) -> np.ndarray:
        """Which lags are from first to last."""
        return (self.lag > first - 1e-9) & (self.lag < last + 1e-9)


def correlograms(times, settings: Settings) -> Correlograms:
    """Correlate the spike times, one sorted array per neuron, in bins centred on multiples."""
    counts = lag_counts(times, settings.bin_width, round(HALF_WIDTH / settings.bin_width))
    kernel = hollow_gaussian(settings.smoothing / settings.bin_width)
    background = convolve1d(counts, kernel, axis=2, mode="reflect")
    half = counts.shape[2] // 2
    return Correlograms(counts, background, settings.bin_width * np.arange(-half, half + 1))


def lag_counts(times, bin_width: float, n_lags: int) -> np.ndarray:
    """Count pairs of spikes by lag, (post, pre, 2 n_lags + 1)."""
    n = len(times)
    who = np.repeat(np.arange(n), [len(t) for t in times])
    when = np.concatenate(times) / bin_width
    order = np.argsort(when, kind="stable")
    who, when = who[order], when[order]
    size = 2 * n_lags + 1
    out = np.zeros(n * n * size)
    for step in range(1, len(when)):  # every spike with the step-th after it
        lag = np.floor(when[step:] - when[:-step] + 0.5 + _ROUNDING).astype(np.int64)
        near = np.flatnonzero(lag <= n_lags)
        if not near.size:
            break
        lag, pre, post = lag[near], who[near], who[near + step]
        np.add.at(out, (post * n + pre) * size + n_lags + lag, 1)
        np.add.at(out, (pre * n + post) * size + n_lags - lag, 1)
    return out.reshape(n, n, size)


def hollow_gaussian(sd: float) -> np.ndarray:
    """Weights of a Gaussian with standard deviation `sd` bins, whose centre is reduced."""
    half = int(np.ceil(4 * sd))
    weights = np.exp(-0.5 * (np.arange(-half, half + 1) / sd) ** 2)
    weights[half] *= 1 - HOLLOW
    return weights / weights.sum()


def largest_deviation(found: Correlograms, first: float, last: float) -> tuple[np.ndarray, ...]:
    """Return size and sign of the largest deviation at lags from first to last, (post, pre)."""
    deviation = found.deviation[..., found.between(first, last)]
    where = np.abs(deviation).argmax(axis=2)[..., None]
    value = np.take_along_axis(deviation, where, axis=2)[..., 0]
    return np.abs(value), np.sign(value)


def has_peak(found: Correlograms, first: float, last: float) -> np.ndarray:
    """Whether a peak or trough at these lags is unlikely by chance, bool (post, pre).

    The level is 1% for a pair, two-sided, Bonferroni over its bins, for Poisson counts.
    """
    chosen = found.between(first, last)
    counts, mean = found.counts[..., chosen], found.background[..., chosen]
    tail = np.minimum(poisson.sf(counts - 1, mean), poisson.cdf(counts, mean))
    return (tail < _LEVEL / 2 / chosen.sum()).any(axis=2)
