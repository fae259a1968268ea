"""Decisions at a Bayesian false discovery rate."""

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["check_fdr", "discoveries"]


def check_fdr(fdr: Any) -> float:
    """Return a false discovery rate, above 0 and below 1."""
    if isinstance(fdr, bool) or not isinstance(fdr, Real) or not 0 < float(fdr) < 1:
        raise ValueError(f"fdr: got {fdr!r}, allowed are numbers between 0 and 1.")
    return float(fdr)


def discoveries(error: NDArray[np.float64], fdr: float) -> NDArray[np.bool_]:
    """Return the largest set of decisions of which no more than a fraction is expected to be wrong.

    The decisions with the smallest probabilities of error, as many as have a mean probability of at
    most `fdr`; decisions with equal probabilities are taken together or not at all (Müller,
    Parmigiani, Robert & Rousseau 2004, Journal of the American Statistical Association
    99:990-1001, the rule under their loss 2R with the posterior expected FDR at its bound).

    Parameters
    ----------
    error : array, shape (decision,)
        Posterior probability that a decision is wrong; NaN where there is none to take.
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
