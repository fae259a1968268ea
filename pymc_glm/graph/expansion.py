"""What the tuning learns of a chain's coefficients, and the log likelihood expanded there."""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from pymc_glm.graph.data import SpikeData
from pymc_glm.graph.threads import Threads
from pymc_glm.kernels.fisher import Metric, empty_metric, fisher_information

__all__ = ["Averages", "metric_at"]

_MOST_JOINT = 100  # pre neurons of a post neuron between which there are cross terms
_MOST_PRODUCTS = 2e10  # a post neuron's information may cost; more, and some bins stand for all


class Averages(NamedTuple):
    """Means over the recent past of the tuning."""

    seen: int  # iterations
    inclusion: NDArray[np.float64]  # (post, pre)
    bias: NDArray[np.float64]  # (post,)
    weights: NDArray[np.float64]  # (post, pre, basis), zero where there was no edge

    @classmethod
    def start(cls, bias: NDArray, adjacency: NDArray, weights: NDArray) -> Self:
        """Begin with one state."""
        return cls(0, adjacency.astype(float), bias.copy(), weights.copy())

    def add(self, bias: NDArray, adjacency: NDArray, weights: NDArray, memory: int) -> Self:
        """Return the averages with one more state, which counts for 1 / memory later on."""
        gain = 1.0 / min(self.seen + 1, memory)
        return self._replace(
            seen=self.seen + 1,
            inclusion=self.inclusion + gain * (adjacency - self.inclusion),
            bias=self.bias + gain * (bias - self.bias),
            weights=self.weights + gain * (weights - self.weights),
        )


def metric_at(
    threads: Threads, data: SpikeData, averages: Averages, least_inclusion: float
) -> Metric:
    """Expand the log likelihood at the averages, for edges that were often enough present.

    Parameters
    ----------
    threads : Threads
    data : SpikeData
    averages : Averages
    least_inclusion : float
        Edges with less have no cross terms with others, nor have those beyond the most frequent
        100 of a post neuron.
    """
    n_post, n_pre, n_basis = averages.weights.shape
    chosen = averages.inclusion >= least_inclusion
    if n_pre > _MOST_JOINT:
        rank = np.argsort(np.argsort(-averages.inclusion, axis=1), axis=1)
        chosen &= rank < _MOST_JOINT
    metric = empty_metric(n_post, n_pre, n_basis, int(chosen.sum(axis=1).max()))
    most_bins = int(_MOST_PRODUCTS / metric.gradient.shape[1] ** 2)
    threads.over_posts(
        fisher_information, *data, averages.bias, averages.weights, chosen, most_bins, metric
    )
    return metric
