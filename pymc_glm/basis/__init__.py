"""Bases over lags for coupling and history filters, and over values for tuning to a covariate."""

from pymc_glm.basis.arrays import as_basis
from pymc_glm.basis.intervals import coupling_history, self_history
from pymc_glm.basis.lags import bspline, exponential, identity, orthogonalize, raised_cosine
from pymc_glm.basis.values import bumps, splines

__all__ = [
    "as_basis",
    "bspline",
    "bumps",
    "coupling_history",
    "exponential",
    "identity",
    "orthogonalize",
    "raised_cosine",
    "self_history",
    "splines",
]
