"""Statistics of single neurons: rates, inter-spike intervals and counts in windows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pymc_glm.arguments import as_number
from pymc_glm.criticism.fit.statistics.statistic import FEWEST, Statistic, as_bins
from pymc_glm.kernels.correlograms import segment_first

__all__ = ["CV", "Fano", "IntervalHistogram", "IntervalQuantiles", "Rate"]

type Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Rate(Statistic):
    """Firing rate in Hz, the mean count divided by the bin width; for traces, the mean.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> pg.statistics.Rate().label
    'firing rate (Hz)'
    """

    name: ClassVar[str] = "rate"
    label: ClassVar[str] = "firing rate (Hz)"
    units: ClassVar[str] = "Hz"
    trace_label: ClassVar[str] = "mean of the trace"
    dims: ClassVar[tuple[str, ...]] = ("neuron",)
    traces: ClassVar[bool] = True

    def __call__(
        self,
        counts: NDArray,
        bin_width: float,
        starts: NDArray[np.int64],
        earlier: NDArray | None = None,
    ) -> Floats:
        """Return rates, (neuron,)."""
        return counts.mean(axis=0) / (1.0 if counts.dtype.kind == "f" else bin_width)

    def coords(self, neurons: Sequence[str], bin_width: float) -> dict[str, Any]:
        """Return the labels of the neurons."""
        return {"neuron": list(neurons)}


def _intervals(counts: NDArray, earlier: NDArray, starts: NDArray[np.int64]) -> Floats:
    """Return the inter-spike intervals of one neuron in bins, (interval,).

    Each interval runs from the last earlier spike of the segment to a spike in `counts`; between
    spikes of the same bin it is 0. One step ahead, the histogram of intervals is the model's
    probability of a spike at each time after the last recorded one, summed over bins.
    """
    bins, before = np.flatnonzero(counts), np.flatnonzero(earlier)
    last = np.searchsorted(before, bins) - 1
    known = last >= 0
    bins, last = bins[known], before[last[known]]
    lengths = (bins - last)[last >= segment_first(bins, starts)]
    several = int(np.maximum(counts - 1, 0).sum())
    return np.concatenate([lengths, np.zeros(several)])


@dataclass(frozen=True)
class IntervalQuantiles(Statistic):
    """Quantiles of the intervals between successive spikes, in seconds.

    Intervals do not span segments. NaN for neurons with fewer than 10 intervals.

    Parameters
    ----------
    quantiles : sequence of numbers from 0 to 1

    Examples
    --------
    >>> import pymc_glm as pg
    >>> pg.statistics.IntervalQuantiles((0.25, 0.5, 0.75)).dims
    ('neuron', 'probability')
    """

    quantiles: tuple[float, ...] = (0.05, 0.25, 0.5, 0.75, 0.95)
    name: ClassVar[str] = "isi"
    label: ClassVar[str] = "inter-spike interval (s)"
    units: ClassVar[str] = "s"
    dims: ClassVar[tuple[str, ...]] = ("neuron", "probability")
    scale: ClassVar[str] = "log"

    def __post_init__(self) -> None:
        levels = np.atleast_1d(np.asarray(self.quantiles, dtype=float))
        if levels.size == 0 or not ((levels >= 0) & (levels <= 1)).all():
            raise ValueError(f"quantiles: got {self.quantiles!r}, allowed are numbers from 0 to 1.")

    def __call__(
        self,
        counts: NDArray,
        bin_width: float,
        starts: NDArray[np.int64],
        earlier: NDArray | None = None,
    ) -> Floats:
        """Return quantiles, (neuron, probability)."""
        before = counts if earlier is None else earlier
        out = np.full((counts.shape[1], len(np.atleast_1d(self.quantiles))), np.nan)
        for n in range(counts.shape[1]):
            lengths = _intervals(counts[:, n], before[:, n], starts)
            if len(lengths) >= FEWEST:
                out[n] = np.quantile(lengths, self.quantiles) * bin_width
        return out

    def coords(self, neurons: Sequence[str], bin_width: float) -> dict[str, Any]:
        """Return labels and quantiles."""
        return {"neuron": list(neurons), "probability": np.atleast_1d(self.quantiles)}


@dataclass(frozen=True)
class IntervalHistogram(Statistic):
    """Density of the intervals between successive spikes, in 1/s, at the bin width of the counts.

    Intervals do not span segments. NaN for neurons with fewer than 10 intervals.

    Parameters
    ----------
    window : float
        Longest interval, seconds.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> pg.statistics.IntervalHistogram(window=0.2).label
    'density of intervals (1/s)'
    """

    window: float = 0.1
    name: ClassVar[str] = "isi_histogram"
    label: ClassVar[str] = "density of intervals (1/s)"
    units: ClassVar[str] = "1/s"
    dims: ClassVar[tuple[str, ...]] = ("neuron", "interval")

    def __post_init__(self) -> None:
        as_number(self.window, "window", above=0, unit="s")

    def __call__(
        self,
        counts: NDArray,
        bin_width: float,
        starts: NDArray[np.int64],
        earlier: NDArray | None = None,
    ) -> Floats:
        """Return densities, (neuron, interval); the first is that of spikes in the same bin."""
        before = counts if earlier is None else earlier
        n_lags = as_bins(self.window, "window", bin_width, starts, len(counts))
        out = np.full((counts.shape[1], n_lags + 1), np.nan)
        for n in range(counts.shape[1]):
            lengths = _intervals(counts[:, n], before[:, n], starts).astype(np.int64)
            if len(lengths) >= FEWEST:
                found = np.bincount(lengths, minlength=n_lags + 1)[: n_lags + 1]
                out[n] = found / len(lengths) / bin_width
        return out

    def coords(self, neurons: Sequence[str], bin_width: float) -> dict[str, Any]:
        """Return labels and intervals."""
        lengths = np.arange(round(self.window / bin_width) + 1) * bin_width
        return {"neuron": list(neurons), "interval": ("interval", lengths, {"units": "s"})}


@dataclass(frozen=True)
class CV(Statistic):
    """Coefficient of variation of the intervals between successive spikes.

    Standard deviation divided by mean: 1 for a Poisson process, smaller for regular firing.
    Intervals do not span segments. NaN for neurons with fewer than 10 intervals.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> pg.statistics.CV().dims
    ('neuron',)
    """

    name: ClassVar[str] = "cv"
    label: ClassVar[str] = "CV of inter-spike intervals"
    dims: ClassVar[tuple[str, ...]] = ("neuron",)

    def __call__(
        self,
        counts: NDArray,
        bin_width: float,
        starts: NDArray[np.int64],
        earlier: NDArray | None = None,
    ) -> Floats:
        """Return coefficients, (neuron,)."""
        before = counts if earlier is None else earlier
        out = np.full(counts.shape[1], np.nan)
        for n in range(counts.shape[1]):
            lengths = _intervals(counts[:, n], before[:, n], starts)
            if len(lengths) >= FEWEST and lengths.any():
                out[n] = lengths.std() / lengths.mean()
        return out

    def coords(self, neurons: Sequence[str], bin_width: float) -> dict[str, Any]:
        """Return the labels of the neurons."""
        return {"neuron": list(neurons)}


@dataclass(frozen=True)
class Fano(Statistic):
    """Fano factor: variance divided by mean of spike counts in windows; 1 for a Poisson process.

    Consecutive windows begin at the start of every segment; bins left over at its end are ignored.
    NaN for neurons with fewer than 10 spikes in the windows.

    Parameters
    ----------
    window : float
        Width of a window in seconds. At least 10 windows must fit into the data.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> pg.statistics.Fano(window=0.5).label
    'Fano factor'
    """

    window: float = 1.0
    name: ClassVar[str] = "fano"
    label: ClassVar[str] = "Fano factor"
    dims: ClassVar[tuple[str, ...]] = ("neuron",)

    def __post_init__(self) -> None:
        as_number(self.window, "window", above=0, unit="s")

    def __call__(
        self,
        counts: NDArray,
        bin_width: float,
        starts: NDArray[np.int64],
        earlier: NDArray | None = None,
    ) -> Floats:
        """Return Fano factors, (neuron,).

        One step ahead, the squared count of a window is the sum over its bins of y^2 + 2 a y, where
        a is the number of recorded spikes earlier in the window.
        """
        size = as_bins(self.window, "window", bin_width, starts, len(counts))
        windows = self._windows(starts, len(counts), size, bin_width)
        in_window = counts[windows]  # (window, bin, neuron)
        totals = in_window.sum(axis=1)
        squares = np.square(totals, dtype=float)
        if earlier is not None:
            past = earlier[windows]
            before = past.cumsum(axis=1) - past
            squares = (np.square(in_window, dtype=float) + 2 * before * in_window).sum(1)
        n, mean = len(windows), totals.mean(axis=0)
        variance = (squares.mean(axis=0) - mean**2) * n / (n - 1)
        enough = totals.sum(axis=0) >= FEWEST
        return np.where(enough, variance / np.where(enough, mean, 1.0), np.nan)

    def _windows(
        self, starts: NDArray[np.int64], n_bins: int, size: int, bin_width: float
    ) -> NDArray[np.int64]:
        """Return the bins of every window, (window, bin)."""
        ends = np.append(starts[1:], n_bins)
        first = np.concatenate(
            [
                np.arange(start, end - size + 1, size)
                for start, end in zip(starts, ends, strict=True)
            ]
        )
        if len(first) < FEWEST:
            raise ValueError(
                f"window: only {len(first)} windows of {self.window:g} s fit into the "
                f"{n_bins * bin_width:g} s of data, but a variance needs {FEWEST}; give a shorter "
                "one."
            )
        return first[:, None] + np.arange(size)

    def coords(self, neurons: Sequence[str], bin_width: float) -> dict[str, Any]:
        """Return the labels of the neurons."""
        return {"neuron": list(neurons)}
