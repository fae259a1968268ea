"""Terms of the activation beside bias and couplings, registered with the model in context."""

import pymc as pm
import xarray as xr
from pytensor.tensor.variable import TensorVariable

from pymc_glm.activation import self_activation
from pymc_glm.covariates import CovariatePrior, Covariates
from pymc_glm.design import Design
from pymc_glm.priors.self_history import SelfPrior
from pymc_glm.priors.shared_input import SharedInput

__all__ = ["covariate_activation", "self_filter", "shared_activation"]


def covariate_activation(
    covariates: Covariates, prior: CovariatePrior | None, n_neurons: int
) -> TensorVariable:
    """Register covariates and their weights; return their contribution to psi."""
    prior = CovariatePrior() if prior is None else prior
    if not isinstance(prior, CovariatePrior):
        raise TypeError(
            f"covariate_prior: got {prior!r}; give an instance of pg.CovariatePrior, or None."
        )
    pm.modelcontext(None).add_coord("covariate", covariates.values["covariate"].values)
    values = pm.Data("covariates", covariates.values.values, dims=("time", "covariate"))
    return values @ prior.weights(covariates, n_neurons).T


def self_filter(
    basis: xr.DataArray,
    prior: SelfPrior | None,
    counts: TensorVariable,
    starts: TensorVariable | None,
) -> TensorVariable:
    """Register the self filter; return its contribution to psi."""
    prior = SelfPrior() if prior is None else prior
    if not isinstance(prior, SelfPrior):
        raise TypeError(f"self_prior: got {prior!r}; give an instance of pg.SelfPrior, or None.")
    model = pm.modelcontext(None)
    model.add_coord("self_lag", basis["lag"].values)
    model.add_coord("self_basis", basis["basis"].values)
    functions = pm.Data("self_basis_functions", basis.values, dims=("self_lag", "self_basis"))
    weights = prior.weights(basis.values)
    return self_activation(counts, functions, weights, starts)


def shared_activation(shared_input: SharedInput, design: Design) -> TensorVariable:
    """Register shared input; return its contribution to psi."""
    if not isinstance(shared_input, SharedInput):
        raise TypeError(
            f"shared_input: got {shared_input!r}; give an instance such as pg.SharedInput(3), or "
            "None."
        )
    times = design.counts["time"].values
    return shared_input.activation(design.observed, times, design.starts, design.bin_width)
