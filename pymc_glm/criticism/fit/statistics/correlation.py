"""Statistics of pairs of spikes: correlograms and synchrony."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pymc_glm.arguments import as_number
from pymc_glm.criticism.fit.statistics.statistic import (
    FEWEST,
    Statistic,
    as_bins,
    lag_coordinate,
)
from pymc_glm.kernels.correlograms import edge_sums, lagged_products

__all__ = ["Autocorrelogram", "Crosscorrelogram", "Synchrony", "pair_coords"]

type Floats = NDArray[np.float64]


def pair_coords(neurons: Sequence[str]) -> dict[str, Any]:
    """Return the coordinates of all pairs of neurons, the first before the second."""
    pairs = list(combinations(map(str, neurons), 2))
    return {
        "pair": [f"{a} & {b}" for a, b in pairs],
        "first": ("pair", [a for a, _ in pairs]),
        "second": ("pair", [b for _, b in pairs]),
    }


@dataclass(frozen=True)
class Autocorrelogram(Statistic):
    """Firing rate of a neuron as a function of the time since one of its spikes, in Hz.

    NaN for neurons with fewer than 10 spikes. Pairs of spikes in different segments do not count.

    Parameters
    ----------
    window : float
        Longest lag, seconds.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> pg.statistics.Autocorrelogram(window=0.05).label
    'rate after a spike (Hz)'
    """

    window: float = 0.1
    name: ClassVar[str] = "autocorrelogram"
    label: ClassVar[str] = "rate after a spike (Hz)"
    units: ClassVar[str] = "Hz"
    dims: ClassVar[tuple[str, ...]] = ("neuron", "lag")

    def __post_init__(self) -> None:
        as_number(self.window, "window", above=0, unit="s")

    def __call__(
        self,
        counts: NDArray,
        bin_width: float,
        starts: NDArray[np.int64],
        earlier: NDArray | None = None,
    ) -> Floats:
        """Return rates, (neuron, lag); the first lag is one bin."""
        n_lags = as_bins(self.window, "window", bin_width, starts, len(counts))
        before = counts if earlier is None else earlier
        spikes, _, _ = edge_sums(before, starts, n_lags)
        out = np.full((counts.shape[1], n_lags), np.nan)
        for n in np.flatnonzero(before.sum(axis=0) >= FEWEST):
            now = counts[:, [n]]
            past = now if earlier is None else earlier[:, [n]]
            products = lagged_products(past, now, starts, n_lags)[1:, 0, 0]
            left = spikes[1:, n]
            out[n] = np.where(left > 0, products / np.maximum(left, 1), np.nan) / bin_width
        return out

    def coords(self, neurons: Sequence[str], bin_width: float) -> dict[str, Any]:
        """Return labels and lags."""
        lags = lag_coordinate(1, round(self.window / bin_width), bin_width)
        return {"neuron": list(neurons), "lag": lags}


@dataclass(frozen=True)
class Crosscorrelogram(Statistic):
    """Correlation coefficient of the counts of all pairs of neurons, at each lag.

    At positive lags the second neuron fires after the first; at lag 0 both fire in the same bin.
    NaN for pairs in which a neuron has fewer than 10 spikes. Pairs of bins in different segments do
    not count.

    Parameters
    ----------
    window : float
        Longest lag to either side, seconds.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> pg.statistics.Crosscorrelogram(window=0.02).coords(["a", "b"], 0.01)["pair"]
    ['a & b']
    """

    window: float = 0.05
    name: ClassVar[str] = "crosscorrelogram"
    label: ClassVar[str] = "correlation of counts"
    trace_label: ClassVar[str] = "correlation of traces"
    dims: ClassVar[tuple[str, ...]] = ("pair", "lag")
    traces: ClassVar[bool] = True

    def __post_init__(self) -> None:
        as_number(self.window, "window", above=0, unit="s")

    def __call__(
        self,
        counts: NDArray,
        bin_width: float,
        starts: NDArray[np.int64],
        earlier: NDArray | None = None,
    ) -> Floats:
        """Return correlation coefficients, (pair, lag)."""
        n_lags = as_bins(self.window, "window", bin_width, starts, len(counts))
        if counts.shape[1] < 2:
            raise ValueError("neurons: got one neuron, pairs need at least two; give more.")
        before = counts if earlier is None else earlier
        products = lagged_products(before, counts, starts, n_lags)
        past, _, n_bins = edge_sums(before, starts, n_lags)
        _, now, _ = edge_sums(counts, starts, n_lags)
        means, mean = before.mean(axis=0), counts.mean(axis=0)
        n = n_bins[:, None, None]
        covariance = (
            products
            - means[:, None] * now[:, None]
            - past[:, :, None] * mean
            + n * np.outer(means, mean)
        )  # (lag, earlier neuron, later neuron)
        covariance[0] = products[0] - n_bins[0] * np.outer(mean, mean)
        deviations = _deviation(before), _deviation(counts)
        scale = np.broadcast_to(np.outer(*deviations), covariance.shape).copy()
        scale[0] = np.outer(deviations[1], deviations[1])
        with np.errstate(invalid="ignore", divide="ignore"):
            correlation = covariance / (n * scale)
        a, b = np.triu_indices(counts.shape[1], 1)
        return np.concatenate([correlation[:0:-1, b, a], correlation[:, a, b]]).T

    def coords(self, neurons: Sequence[str], bin_width: float) -> dict[str, Any]:
        """Return pairs and lags."""
        n_lags = round(self.window / bin_width)
        return {**pair_coords(neurons), "lag": lag_coordinate(-n_lags, n_lags, bin_width)}


def _deviation(counts: NDArray) -> Floats:
    """Return standard deviations, NaN where there are too few spikes."""
    deviation = counts.std(axis=0)
    few = np.count_nonzero(counts, axis=0) < FEWEST
    return np.where(few | (deviation == 0), np.nan, deviation)


@dataclass(frozen=True)
class Synchrony(Statistic):
    """Fraction of bins in which a given number of neurons fire together.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> counts = np.array([[0, 1], [2, 0], [1, 1], [0, 0]])
    >>> pg.statistics.Synchrony()(counts, 0.01, np.array([0]))
    array([0.25, 0.5 , 0.25])
    """

    name: ClassVar[str] = "synchrony"
    label: ClassVar[str] = "fraction of bins"
    dims: ClassVar[tuple[str, ...]] = ("n_active",)
    scale: ClassVar[str] = "log"

    def __call__(
        self,
        counts: NDArray,
        bin_width: float,
        starts: NDArray[np.int64],
        earlier: NDArray | None = None,
    ) -> Floats:
        """Return the fractions of bins with 0, 1, ... and all neurons active."""
        together = np.count_nonzero(counts, axis=1)
        return np.bincount(together, minlength=counts.shape[1] + 1) / len(counts)

    def coords(self, neurons: Sequence[str], bin_width: float) -> dict[str, Any]:
        """Return the numbers of active neurons."""
        return {"n_active": np.arange(len(neurons) + 1)}
