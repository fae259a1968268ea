"""What a reader finds in the file of a network."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Contents"]


class Contents(NamedTuple):
    """Spike times and true connections, in the package's units and orientation."""

    times: list[NDArray[np.float64]]  # of every neuron, sorted, seconds
    neurons: list[str]
    weights: NDArray[np.float64]  # (post, pre), 0 where there is no connection
    latencies: NDArray[np.float64] | None = None  # (post, pre), seconds
