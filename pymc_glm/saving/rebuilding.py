"""Models rebuilt from the data and recipe in their posterior."""

import warnings
from typing import Any, NamedTuple

import numpy as np
import pymc as pm
import xarray as xr

from pymc_glm.covariates import CovariatePrior
from pymc_glm.models.build import build_glm
from pymc_glm.models.sessions import session, session_names
from pymc_glm.observations import Observation
from pymc_glm.priors.edges import Edges
from pymc_glm.priors.self_history import SelfPrior
from pymc_glm.priors.shared_input import SharedInput
from pymc_glm.priors.signed_weights import SignedWeights
from pymc_glm.priors.weights import Weights
from pymc_glm.recipe import CannotStoreError, Recipe, read_recipe
from pymc_glm.trees import variable

__all__ = ["rebuild"]

_PARTS = (Edges, Weights, SignedWeights, Observation, CovariatePrior, SharedInput, SelfPrior)
_INSTEAD = (
    "build the model yourself with pymc_glm.build_glm; xarray.open_datatree reads the posterior"
)


class _BuilderData(NamedTuple):
    """Data of one session, as `build_glm` takes them."""

    counts: xr.DataArray  # (time, neuron)
    basis: xr.DataArray  # (lag, basis)
    covariates: xr.DataArray | None  # (time, covariate)
    exclude: np.ndarray | None  # (time,), True for bins that are not data
    self_basis: xr.DataArray | None  # (self_lag, self_basis)


def rebuild(tree: xr.DataTree) -> pm.Model:
    """Rebuild the model that a posterior was sampled from.

    Parameters
    ----------
    tree : DataTree
        Posterior that sampling a model of `build_glm` returned.

    Raises
    ------
    ValueError
        The tree has no recipe, or the model cannot be built from it; the message names the argument
        and says what to do.
    """
    recipe = read_recipe(tree)
    if recipe is None:
        raise ValueError(
            "it does not record how its model was built (the group constant_data has no 'recipe': "
            "another program or an older version made it, or the model is hand-made); "
            f"{_INSTEAD}."
        )
    arguments = _arguments(recipe)
    names = session_names(tree)
    if sorted(names) != sorted(recipe.sessions or []):
        raise ValueError(
            f"its model has the sessions {recipe.sessions}, but it holds only one of them, as "
            "pymc_glm.session selects; save the posterior of all sessions."
        )
    model = _built(arguments | _all_data(tree, recipe.sessions))
    _check_variables(model, tree)
    return model


def _arguments(recipe: Recipe) -> dict[str, Any]:
    try:
        return recipe.decoded(_PARTS)
    except CannotStoreError as error:
        raise ValueError(
            f"the argument {error.where} of build_glm could not be stored (it was {error.what}); "
            f"{_INSTEAD}."
        ) from error
    except (KeyError, IndexError) as error:
        raise ValueError(f"its recipe is damaged ({error!r}); {_INSTEAD}.") from error
    except LookupError as error:
        raise ValueError(
            f"its model needs {error}, which is not defined here; run its definition first, or "
            f"{_INSTEAD}."
        ) from error


def _all_data(tree: xr.DataTree, names: list[str] | None) -> dict[str, Any]:
    """Return the data as arguments of `build_glm`; `names` are those of the sessions."""
    if names is None:
        return _builder_data(tree)._asdict()
    sessions = {name: _builder_data(session(tree, name)) for name in names}
    return {
        "counts": {name: data.counts for name, data in sessions.items()},
        "basis": sessions[names[0]].basis,
        "covariates": {name: data.covariates for name, data in sessions.items()},
        "exclude": {name: data.exclude for name, data in sessions.items()},
        "self_basis": sessions[names[0]].self_basis,
    }


def _builder_data(tree: xr.DataTree) -> _BuilderData:
    """Return the data of one session."""
    data = tree["constant_data"].dataset
    n_bins = data.sizes["time"]
    counts = variable(tree, "constant_data", "counts").transpose("time", "post")
    coords: dict[str, Any] = {"time": data["time"].values, "neuron": data["post"].values}
    if "segment_start" in data:
        starts = data["segment_start"].values
        coords["segment"] = ("time", np.searchsorted(starts, np.arange(n_bins), side="right"))
    if "position" in data:
        for axis in data["space"].values:
            place = data["position"].sel(space=axis).values
            coords[f"position_{axis}"] = ("neuron", place)
    width = float(variable(tree, "constant_data", "bin_width"))
    exclude = None
    if "data_bins" in data:
        exclude = np.ones(n_bins, dtype=bool)
        exclude[data["data_bins"].values] = False
    covariates = None
    if "covariates" in data:
        covariates = data["covariates"].transpose("time", "covariate").drop_vars("time")
    return _BuilderData(
        xr.DataArray(counts.values, coords, ("time", "neuron"), attrs={"bin_width": width}),
        variable(tree, "constant_data", "basis_functions").transpose("lag", "basis"),
        covariates,
        exclude,
        _self_basis(data, width),
    )


def _self_basis(data: xr.Dataset, width: float) -> xr.DataArray | None:
    """Return the basis of the self filters, if there are any."""
    if "self_basis_functions" not in data:
        return None
    functions = data["self_basis_functions"].transpose("self_lag", "self_basis")
    basis = functions.rename(self_lag="lag", self_basis="basis")
    return basis.assign_attrs(bin_width=width)


def _built(arguments: dict[str, Any]) -> pm.Model:
    """Build the model without warnings, which were given when it was first built."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return build_glm(**arguments)
    except (TypeError, ValueError) as error:
        raise ValueError(f"its model cannot be rebuilt: {error} Otherwise, {_INSTEAD}.") from error


def _check_variables(model: pm.Model, tree: xr.DataTree) -> None:
    """Raise if the posterior does not fit the variables of the model."""
    draws = tree["posterior"].data_vars
    free = {str(rv.name): rv for rv in model.free_RVs}
    for name in free.keys() & set(map(str, draws)):
        dims = tuple(model.named_vars_to_dims.get(name) or ())
        sizes = tuple(len(model.coords[dim]) for dim in dims)
        if dims and (draws[name].dims[2:], draws[name].shape[2:]) != (dims, sizes):
            raise ValueError(
                f"its model cannot be rebuilt: {name} has the dims {dims} in the model and "
                f"{draws[name].dims[2:]} in the posterior; {_INSTEAD}."
            )
    missing, foreign = set(free) - set(draws), set(map(str, draws)) - set(model.named_vars)
    if missing and foreign:
        raise ValueError(
            f"its model cannot be rebuilt: it has the variables {sorted(missing)}, but the "
            f"posterior has {sorted(foreign)}; {_INSTEAD}."
        )
