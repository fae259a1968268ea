"""The prior of a network's edges, weights and biases, as arrays."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.compiling import inlined
from pymc_glm.kernels.triangular import cholesky, log_determinant

__all__ = ["BiasPrior", "EdgePrior", "NetworkPrior", "edge_prior"]

type Floats = NDArray[np.float64]


class NetworkPrior(NamedTuple):
    """The network prior at the current hyperparameters."""

    log_odds: Floats | None  # (post, pre); None: every edge is present
    mean: Floats  # (post, pre, basis): slab means
    precision: Floats  # (post, pre, basis, basis): slab precisions
    bias_mean: Floats  # (post,)
    bias_precision: Floats  # (post,)


class EdgePrior(NamedTuple):
    """The prior of edges and weights, with the determinants of the slabs."""

    log_odds: Floats  # (post, pre)
    mean: Floats  # (post, pre, basis)
    precision: Floats  # (post, pre, basis, basis)
    log_det: Floats  # (post, pre): of the precision


def edge_prior(prior: NetworkPrior) -> EdgePrior:
    """Return the prior of the edges and weights alone."""
    log_odds, mean, precision, *_ = prior
    if log_odds is None:
        log_odds = np.full(mean.shape[:2], np.inf)
    return EdgePrior(
        np.ascontiguousarray(log_odds),
        np.ascontiguousarray(mean),
        np.ascontiguousarray(precision),
        _log_determinants(np.ascontiguousarray(precision)),
    )


@inlined
def _log_determinants(precision):
    n_post, n_pre, size, _ = precision.shape
    out, lower = np.zeros((n_post, n_pre)), np.zeros((size, size))
    for n in range(n_post):
        for m in range(n_pre):
            cholesky(precision[n, m], lower)
            out[n, m] = log_determinant(lower)
    return out


class BiasPrior(NamedTuple):
    """The normal prior of the biases."""

    mean: Floats  # (post,)
    precision: Floats  # (post,)
