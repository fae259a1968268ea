"""Decisions at a Bayesian false discovery rate."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["discoveries"]


def discoveries(error: NDArray[np.float64], fdr: float) -> NDArray[np.bool_]:
    """Select the largest set of decisions whose expected fraction of errors is at most `fdr`.

    The decisions with the smallest probabilities of error are taken until their mean probability
    of error would exceed `fdr`; decisions with equal probabilities are taken together or not at all
    (Müller, Parmigiani, Robert & Rousseau 2004, Journal of the American Statistical Association
    99:990-1001, the rule under their loss 2R with the posterior expected FDR at its bound).

    Parameters
    ----------
    error : array, shape (decision,)
        Posterior probability that a decision is wrong; NaN if it cannot be taken.
    fdr : float
    """
    taken = np.zeros(error.size, dtype=bool)
    order = np.argsort(error, kind="stable")  # NaN last
    ranked = error[order]
    expected = np.cumsum(ranked) / np.arange(1, error.size + 1)
    last_of_equals = np.append(ranked[1:] != ranked[:-1], True)[: error.size]
    allowed = np.flatnonzero((expected <= fdr) & last_of_equals)
    if allowed.size:
        taken[order[: allowed[-1] + 1]] = True
    return taken
