"""Variables measured alongside the spikes: stimulus, speed, position, time in the trial."""

from pymc_glm.covariates.columns import (
    Covariates,
    as_columns,
    covariate_columns,
    in_order,
    read_covariates,
)
from pymc_glm.covariates.expansion import covariate_design
from pymc_glm.covariates.prior import CovariatePrior

__all__ = [
    "CovariatePrior",
    "Covariates",
    "as_columns",
    "covariate_columns",
    "covariate_design",
    "in_order",
    "read_covariates",
]
