"""Running means of a chain's coefficients, and the metric there."""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from pymc_glm.engines.engine import Engine, Given
from pymc_glm.kernels.fisher import Metric
from pymc_glm.kernels.further_terms import GainLimit
from pymc_glm.kernels.spike_history import SpikeHistory

__all__ = ["Averages", "metric_at"]

_MOST_JOINT = 100  # pre neurons of a post neuron between which there are cross terms
_NEAR = 3.0  # standard deviations of the prior above the limit of a gain
_MOST_PRODUCTS = 2e10  # cost of a post neuron's information; beyond it only some bins are used


class Averages(NamedTuple):
    """Running means over the tuning."""

    seen: int  # iterations
    inclusion: NDArray[np.float64]  # (post, pre)
    bias: NDArray[np.float64]  # (post,)
    weights: NDArray[np.float64]  # (post, pre, basis), zero where there was no edge

    @classmethod
    def start(cls, bias: NDArray, adjacency: NDArray, weights: NDArray) -> Self:
        """Start from one state."""
        return cls(0, adjacency.astype(float), bias.copy(), weights.copy())

    def add(self, bias: NDArray, adjacency: NDArray, weights: NDArray, memory: int) -> Self:
        """Add a state, with a weight of 1 / memory once that many have been seen."""
        gain = 1.0 / min(self.seen + 1, memory)
        return self._replace(
            seen=self.seen + 1,
            inclusion=self.inclusion + gain * (adjacency - self.inclusion),
            bias=self.bias + gain * (bias - self.bias),
            weights=self.weights + gain * (weights - self.weights),
        )


def metric_at(
    engine: Engine,
    given: Given,
    history: SpikeHistory,
    averages: Averages,
    least_inclusion: float,
    further: bool = True,
) -> Metric:
    """Compute the Fisher information at the averages, for edges that were often present.

    Parameters
    ----------
    engine : Engine
    given : Given
    history : SpikeHistory
        That of the engine's data.
    averages : Averages
    least_inclusion : float
        Edges present less often have no cross terms with others; nor have those beyond the 100
        most frequent edges of a post neuron.
    further : bool
        Whether self-weights and loadings have cross terms.
    """
    _, n_pre, n_basis = averages.weights.shape
    chosen = averages.inclusion >= least_inclusion
    if n_pre > _MOST_JOINT:
        rank = np.argsort(np.argsort(-averages.inclusion, axis=1), axis=1)
        chosen &= rank < _MOST_JOINT
    chosen[:, history.n_pre :] = further
    most_bins = int(_MOST_PRODUCTS / (1 + chosen.sum(axis=1).max() * n_basis) ** 2)
    metric = engine.information(given, averages.bias, averages.weights, chosen, most_bins)
    if further:
        _add_gain_limit(metric, history.further.past.limit, averages.weights, history.n_pre)
    return metric


def _add_gain_limit(metric: Metric, limit: GainLimit, weights: NDArray, n_pre: int) -> None:
    """Add the precision of the gain's prior where the averages are near its limit, or above."""
    n_post, _, size = weights.shape
    slots = np.arange(n_pre, n_pre + limit.gains.size // size)
    near = limit.most - _NEAR / np.sqrt(limit.bend) if limit.bend else np.inf
    for n in range(n_post):
        if weights[n, slots].ravel() @ limit.gains <= near:
            continue
        there = 1 + size * metric.place[n, slots][:, None] + np.arange(size)
        metric.joint[n][np.ix_(there.ravel(), there.ravel())] += limit.bend * np.outer(
            limit.gains, limit.gains
        )
        for slot, part in zip(slots, limit.gains.reshape(-1, size), strict=True):
            metric.edge_information[n, slot] += limit.bend * np.outer(part, part)
