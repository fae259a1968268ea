"""What every statistic of spike counts is."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["FEWEST", "Statistic", "as_bins", "as_seconds", "lag_coordinate"]

FEWEST = 10  # spikes, intervals or windows, below which a statistic is not a number

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
    label: ClassVar[str]  # of its values, with units
    units: ClassVar[str] = ""
    trace_label: ClassVar[str] = ""  # of its values of traces, which have no units; "": `label`
    dims: ClassVar[tuple[str, ...]]
    traces: ClassVar[bool] = False  # whether it is one of real-valued traces too
    scale: ClassVar[str] = "linear"  # of the axis of values

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
            First bins of trials, epochs and whatever follows a gap.
        earlier : array of int, shape (time, neuron), optional
            Counts from which everything that lies before a bin is taken; by default the same. One
            step ahead these are the recorded ones, and `counts` those drawn.
        """

    @abstractmethod
    def coords(self, neurons: Sequence[str], bin_width: float) -> dict[str, Any]:
        """Return coordinates of `dims`, as xarray takes them."""


def as_seconds(value: Any, name: str) -> float:
    """Return a number of seconds above 0.

    Raises
    ------
    ValueError
        It is none.
    """
    good = isinstance(value, Real) and not isinstance(value, bool)
    if not good or not 0 < float(value) < np.inf:
        raise ValueError(f"{name}: got {value!r}, allowed are seconds above 0.")
    return float(value)


def as_bins(seconds: float, name: str, bin_width: float, starts: NDArray, n_bins: int) -> int:
    """Return a length in bins.

    Raises
    ------
    ValueError
        It is shorter than a bin, or longer than the longest segment.
    """
    n = round(seconds / bin_width)
    longest = int(np.diff(np.append(starts, n_bins)).max())
    if n < 1:
        raise ValueError(f"{name}: {seconds:g} s is shorter than a bin of {bin_width:g} s.")
    if n > longest:
        raise ValueError(
            f"{name}: {seconds:g} s is longer than the data, whose longest stretch without a gap "
            f"has {longest * bin_width:g} s; give a shorter one."
        )
    return n


def lag_coordinate(first: int, last: int, bin_width: float) -> tuple:
    """Return lags from first to last in bins as a coordinate in seconds."""
    return "lag", np.arange(first, last + 1) * bin_width, {"units": "s"}
