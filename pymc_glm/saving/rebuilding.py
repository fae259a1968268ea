"""Models built again from what a posterior says of its own."""

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
from pymc_glm.priors.weights import Weights
from pymc_glm.recipe import CannotStoreError, Recipe, read_recipe
from pymc_glm.trees import variable

__all__ = ["rebuild"]

_PARTS = (Edges, Weights, Observation, CovariatePrior)
_INSTEAD = (
    "build the model yourself with pymc_glm.build_glm; xarray.open_datatree reads the posterior"
)


class _Recording(NamedTuple):
    """Data of one recording, as `build_glm` takes them."""

    counts: xr.DataArray  # (time, neuron)
    basis: xr.DataArray  # (lag, basis)
    covariates: xr.DataArray | None  # (time, covariate)
    exclude: np.ndarray | None  # (time,), which bins are no data


def rebuild(tree: xr.DataTree) -> pm.Model:
    """Return the model that a posterior was sampled from, built again.

    Parameters
    ----------
    tree : DataTree
        What sampling a model of `build_glm` returned.

    Raises
    ------
    ValueError
        The tree does not say what the model was built with, or the model cannot be built from it;
        the message says which argument, and what to do.
    """
    recipe = read_recipe(tree)
    if recipe is None:
        raise ValueError(
            "it does not say what its model was built with (there is no 'recipe' in the group "
            "constant_data: another program or an older version made it, or the model is "
            f"hand-made); {_INSTEAD}."
        )
    arguments = _arguments(recipe)
    names = session_names(tree)
    if sorted(names) != sorted(recipe.sessions or []):
        raise ValueError(
            f"its model is of the sessions {recipe.sessions}, and it holds one of them, as "
            "pymc_glm.session takes it out; save the posterior of all of them."
        )
    if recipe.sessions is None:
        one = _recording(tree)
        given: tuple = one
    else:
        every = {name: _recording(session(tree, name)) for name in recipe.sessions}
        given = tuple(
            {name: recording[i] for name, recording in every.items()}
            for i in range(len(_Recording._fields))
        )
        given = (given[0], next(iter(given[1].values())), *given[2:])
    counts, basis, covariates, exclude = given
    model = _built(counts, basis, arguments | {"covariates": covariates, "exclude": exclude})
    _check_variables(model, tree)
    return model


def _arguments(recipe: Recipe) -> dict[str, Any]:
    try:
        return recipe.decoded(_PARTS)
    except CannotStoreError as error:
        raise ValueError(
            f"the argument {error.where} of build_glm was {error.what}, and a file cannot hold "
            f"that; {_INSTEAD}."
        ) from error
    except (KeyError, IndexError) as error:
        raise ValueError(f"its recipe is damaged ({error!r}); {_INSTEAD}.") from error
    except LookupError as error:
        raise ValueError(
            f"its model needs {error}, which is not defined here; run its definition first, or "
            f"{_INSTEAD}."
        ) from error


def _recording(tree: xr.DataTree) -> _Recording:
    """Return the data of one recording."""
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
    return _Recording(
        xr.DataArray(counts.values, coords, ("time", "neuron"), attrs={"bin_width": width}),
        variable(tree, "constant_data", "basis_functions").transpose("lag", "basis"),
        covariates,
        exclude,
    )


def _built(counts: Any, basis: xr.DataArray, arguments: dict[str, Any]) -> pm.Model:
    """Build the model; what there was to warn of has been said when it was built first."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return build_glm(counts, basis, **arguments)
    except (TypeError, ValueError) as error:
        raise ValueError(f"its model cannot be built here: {error} Or {_INSTEAD}.") from error


def _check_variables(model: pm.Model, tree: xr.DataTree) -> None:
    """Raise if the draws are not of the variables of the model."""
    draws = tree["posterior"].data_vars
    free = {str(rv.name): rv for rv in model.free_RVs}
    for name in free.keys() & set(map(str, draws)):
        dims = tuple(model.named_vars_to_dims.get(name) or ())
        sizes = tuple(len(model.coords[dim]) for dim in dims)
        if dims and (draws[name].dims[2:], draws[name].shape[2:]) != (dims, sizes):
            raise ValueError(
                f"its model cannot be built here: {name} has the dims {dims}, and "
                f"{draws[name].dims[2:]} in the posterior; {_INSTEAD}."
            )
    missing, foreign = set(free) - set(draws), set(map(str, draws)) - set(model.named_vars)
    if missing and foreign:
        raise ValueError(
            f"its model cannot be built here: it has the variables {sorted(missing)}, and the "
            f"posterior {sorted(foreign)}; {_INSTEAD}."
        )
