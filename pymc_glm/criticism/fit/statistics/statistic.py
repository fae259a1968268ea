"""The base class of statistics of counts, and what they share."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["FEWEST", "Statistic", "as_bins", "lag_coordinate"]

FEWEST = 10  # spikes, intervals or windows; with fewer a statistic is NaN

type Floats = NDArray[np.float64]


class Statistic(ABC):
    """A statistic of the counts of a recording.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> counts = np.array([[0, 1], [2, 0], [0, 1], [0, 1]])
    >>> pg.statistics.Rate()(counts, 0.01, np.array([0]))
    array([50., 75.])
    """

    name: ClassVar[str]
    label: ClassVar[str]  # axis label of its values, with units
    units: ClassVar[str] = ""
    trace_label: ClassVar[str] = ""  # the label for traces, which have no units; "": `label`
    dims: ClassVar[tuple[str, ...]]
    traces: ClassVar[bool] = False  # whether it also applies to real-valued traces
    scale: ClassVar[str] = "linear"  # of the axis of its values

    @abstractmethod
    def __call__(
        self,
        counts: NDArray,
        bin_width: float,
        starts: NDArray[np.int64],
        earlier: NDArray | None = None,
    ) -> Floats:
        """Return the statistic, of shape `dims`.

        Parameters
        ----------
        counts : array of int, shape (time, neuron)
        bin_width : float
            Seconds.
        starts : array of int, shape (segment,)
            First bins of the segments: trials, epochs and stretches after a gap.
        earlier : array of int, shape (time, neuron), optional
            Counts that make up the past of each bin; by default `counts`. One step ahead, these
            are the recorded counts and `counts` the replicated ones.
        """

    @abstractmethod
    def coords(self, neurons: Sequence[str], bin_width: float) -> dict[str, Any]:
        """Return the coordinates of `dims`, as xarray takes them."""


def as_bins(seconds: float, name: str, bin_width: float, starts: NDArray, n_bins: int) -> int:
    """Return a duration as a number of bins.

    Raises
    ------
    ValueError
        The duration is shorter than a bin, or longer than the longest segment.
    """
    n = round(seconds / bin_width)
    longest = int(np.diff(np.append(starts, n_bins)).max())
    if n < 1:
        raise ValueError(
            f"{name}: got {seconds:g} s, allowed is at least one bin of {bin_width:g} s."
        )
    if n > longest:
        raise ValueError(
            f"{name}: got {seconds:g} s, allowed is at most the length of the longest segment, "
            f"{longest * bin_width:g} s."
        )
    return n


def lag_coordinate(first: int, last: int, bin_width: float) -> tuple:
    """Return the lags from `first` to `last`, in bins, as a coordinate in seconds."""
    return "lag", np.arange(first, last + 1) * bin_width, {"units": "s"}
