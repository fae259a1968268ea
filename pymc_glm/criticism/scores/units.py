"""Units over which log densities are summed: bins, blocks of time, trials or neurons."""

from typing import Any, NamedTuple

import numpy as np

from pymc_glm.arguments import as_number
from pymc_glm.criticism.one_step import ObservedData
from pymc_glm.kernels.pointwise import Groups

__all__ = ["BLOCK_WIDTH", "UNITS", "Units", "units_of"]

BLOCK_WIDTH = 1.0  # s
UNITS = ("bin", "block", "trial", "neuron")


class Units(NamedTuple):
    """Groups of bins of each neuron, with their dimension and coordinates."""

    groups: Groups
    dim: str | None  # None: one group of all bins
    coords: dict[str, Any]


def units_of(
    data: ObservedData,
    unit: str,
    block_width: float = BLOCK_WIDTH,
    window: slice | None = None,
) -> Units:
    """Return the bins that are data, grouped.

    Parameters
    ----------
    data : ObservedData
    unit : {"bin", "block", "trial", "neuron"}
    block_width : float
        Seconds; the last block of a segment may be shorter, and blocks without data are dropped.
    window : slice, optional
        Bins from start to stop; all by default. The first block begins at its start.

    Raises
    ------
    ValueError
        A block is shorter than a bin, there are no trials, or no bin of the window is data.
    """
    n_bins = len(data.counts)
    bins = np.arange(n_bins) if data.bins is None else data.bins
    if window is not None:
        bins = bins[(bins >= window.start) & (bins < window.stop)]
        if bins.size == 0:
            raise ValueError("start, stop: all bins in the window are excluded; move it.")
    segment = np.searchsorted(data.starts, bins, side="right") - 1
    if unit == "bin":
        dim = "time" if data.bins is None else "observed_time"
        times = {dim: (dim, data.times[bins], {"units": "s"})}
        return Units(Groups(bins, np.arange(bins.size + 1)), dim, times)
    if unit == "neuron":
        return Units(Groups(bins, np.array([0, bins.size])), None, {})
    if unit == "trial":
        if data.starts.size == 1:
            raise ValueError(
                "unit: got 'trial', but the data are one segment, without trials, epochs or gaps; "
                "give 'block', or counts with a coordinate 'trial' along time."
            )
        labels = segment
    else:
        first = 0 if window is None else window.start
        labels = _blocks(data, bins, segment, block_width, first)
    begins = np.flatnonzero(np.append(True, labels[1:] != labels[:-1]))
    start = np.append(begins, bins.size)
    # Trials keep their numbers; blocks are renumbered, as those without data are dropped.
    index = labels[begins] if unit == "trial" else np.arange(begins.size)
    coords = {
        unit: index,
        f"{unit}_start": (unit, data.times[bins[begins]], {"units": "s"}),
    }
    return Units(Groups(bins, start), unit, coords)


def _blocks(data: ObservedData, bins: Any, segment: Any, block_width: float, first: int) -> Any:
    """Return the block of each bin, counted from bin `first`; no block spans two segments."""
    width = as_number(block_width, "block_width")
    length = round(width / data.bin_width)
    if length < 1:
        raise ValueError(
            f"block_width: got {width:g} s, allowed is at least one bin of {data.bin_width:g} s."
        )
    longest = -(-len(data.counts) // length) + 1
    return segment * longest + (bins - np.maximum(data.starts[segment], first)) // length
