"""Bases: over lags, for coupling and history filters; over values, for tuning to a covariate."""

from pymc_glm.basis.lags import (
    as_basis,
    bspline,
    exponential,
    identity,
    orthogonalize,
    raised_cosine,
)
from pymc_glm.basis.values import bumps, splines

__all__ = [
    "as_basis",
    "bspline",
    "bumps",
    "exponential",
    "identity",
    "orthogonalize",
    "raised_cosine",
    "splines",
]
