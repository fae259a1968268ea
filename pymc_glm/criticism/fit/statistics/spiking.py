"""Statistics of single neurons: rates, intervals between spikes, counts in windows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pymc_glm.criticism.fit.statistics.statistic import FEWEST, Statistic, as_bins, as_seconds
from pymc_glm.kernels.correlograms import segment_first

__all__ = ["CV", "Fano", "IntervalHistogram", "IntervalQuantiles", "Rate"]

type Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Rate(Statistic):
    """Mean count of a bin over its width: firing rates in Hz; means of traces.

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
        """Return the labels."""
        return {"neuron": list(neurons)}


def _intervals(counts: NDArray, earlier: NDArray, starts: NDArray[np.int64]) -> Floats:
    """Intervals in bins that end with the spikes of one neuron, (interval,).

    From the last earlier spike of the segment; spikes of one bin follow each other at once. One
    step ahead that is what the model says of intervals: the chance of a spike so long after the
    last recorded one, summed over bins.
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

    Intervals lie within segments; not a number where there are fewer than 10.

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
    """Density of the intervals between successive spikes, 1/s, bin by bin of the counts.

    Intervals lie within segments; not a number where there are fewer than 10.

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
        as_seconds(self.window, "window")

    def __call__(
        self,
        counts: NDArray,
        bin_width: float,
        starts: NDArray[np.int64],
        earlier: NDArray | None = None,
    ) -> Floats:
        """Return densities, (neuron, interval); the first is of spikes of one bin."""
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

    Standard deviation over mean: 1 for a Poisson process, smaller for regular spikes. Intervals lie
    within segments; not a number where there are fewer than 10.

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
        """Return the labels."""
        return {"neuron": list(neurons)}


@dataclass(frozen=True)
class Fano(Statistic):
    """Fano factor: variance over mean of the spike counts of windows, 1 for a Poisson process.

    Windows follow each other from the beginning of every segment; bins left over at its end are not
    counted. Not a number where a neuron has fewer than 10 spikes in them.

    Parameters
    ----------
    window : float
        Seconds. At least 10 windows have to lie in the data.

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
        as_seconds(self.window, "window")

    def __call__(
        self,
        counts: NDArray,
        bin_width: float,
        starts: NDArray[np.int64],
        earlier: NDArray | None = None,
    ) -> Floats:
        """Return Fano factors, (neuron,).

        One step ahead, the square of a window's count is the sum over its bins of y^2 + 2 a y,
        where a are the recorded spikes that came before in the window.
        """
        size = as_bins(self.window, "window", bin_width, starts, len(counts))
        windows = self._windows(starts, len(counts), size, bin_width)
        own = counts[windows]  # (window, bin, neuron)
        totals = own.sum(axis=1)
        squares = np.square(totals, dtype=float)
        if earlier is not None:
            past = earlier[windows]
            squares = (np.square(own, dtype=float) + 2 * (past.cumsum(axis=1) - past) * own).sum(1)
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
                f"window: {len(first)} windows of {self.window:g} s fit into the "
                f"{n_bins * bin_width:g} s of the data, and a variance needs {FEWEST}; give a "
                "shorter one."
            )
        return first[:, None] + np.arange(size)

    def coords(self, neurons: Sequence[str], bin_width: float) -> dict[str, Any]:
        """Return the labels."""
        return {"neuron": list(neurons)}
