"""The prior of a network's edges, weights and biases, as arrays."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.compiling import compiled
from pymc_glm.kernels.triangular import cholesky

__all__ = ["BiasPrior", "EdgePrior", "NetworkPrior", "edge_prior"]

type Floats = NDArray[np.float64]


class NetworkPrior(NamedTuple):
    """The network prior at the current hyperparameters."""

    log_odds: NDArray[np.float64] | None  # (post, pre); None: every edge is present
    mean: NDArray[np.float64]  # (post, pre, basis): slab means
    precision: NDArray[np.float64]  # (post, pre, basis, basis): slab precisions
    bias_mean: NDArray[np.float64]  # (post,)
    bias_precision: NDArray[np.float64]  # (post,)


class EdgePrior(NamedTuple):
    """The prior of edges and weights."""

    log_odds: Floats  # (post, pre)
    mean: Floats  # (post, pre, basis)
    precision: Floats  # (post, pre, basis, basis)
    log_det: Floats  # (post, pre): of the precision


def edge_prior(prior: NetworkPrior) -> EdgePrior:
    """Return what of the network prior concerns edges."""
    log_odds, mean, precision, *_ = prior
    if log_odds is None:
        log_odds = np.full(mean.shape[:2], np.inf)
    return EdgePrior(
        np.ascontiguousarray(log_odds),
        np.ascontiguousarray(mean),
        np.ascontiguousarray(precision),
        _log_determinants(np.ascontiguousarray(precision)),
    )


@compiled
def _log_determinants(precision):
    n_post, n_pre, size, _ = precision.shape
    out, lower = np.zeros((n_post, n_pre)), np.zeros((size, size))
    for n in range(n_post):
        for m in range(n_pre):
            cholesky(precision[n, m], lower)
            for i in range(size):
                out[n, m] += 2.0 * math.log(lower[i, i])
    return out


class BiasPrior(NamedTuple):
    """The normal prior of the biases."""

    mean: Floats  # (post,)
    precision: Floats  # (post,)
