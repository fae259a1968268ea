"""Checks that a model is the one that was sampled, or that model with one more neuron."""

from typing import Any

import numpy as np
import pymc as pm
import xarray as xr

from pymc_glm.criticism.wording import counted
from pymc_glm.observations import Bernoulli
from pymc_glm.session_prefix import sessions_with
from pymc_glm.trees import kept_paths, variable

__all__ = ["check_model", "index_of_new_neuron"]

_CONTAINERS = ("basis_functions", "self_basis_functions", "bin_width", "segment_start", "data_bins",
               "covariates", "n_trials")  # fmt: skip
_OF_THE_NETWORK = ("basis_functions", "self_basis_functions", "bin_width", "n_trials")
_SAME = "give the model that was sampled, or leave model out"
_ONE_MORE = "build it like the model that was sampled, with the counts of one more neuron"


def check_model(tree: xr.DataTree, model: Any) -> None:
    """Raise if a model's data or variables show that it is not the one that was sampled.

    Parameters
    ----------
    tree : DataTree
        With constant data.
    model : pymc.Model or None
        With None nothing is checked.

    Raises
    ------
    TypeError
        Not a model.
    ValueError
        The model differs from the tree in its neurons, observation model, variables, counts, basis
        or other data.
    """
    if model is None:
        return
    if not isinstance(model, pm.Model):
        raise TypeError(
            f"model: got {type(model).__name__}, allowed is the pymc.Model that was sampled, or "
            "None; other counts are given by counts=."
        )
    _check_one_network(model, "leave model out")
    constants = tree["constant_data"].dataset
    of_tree, of_model = _labels(constants, "post"), _labels(model.coords, "post")
    if of_tree != of_model:
        raise _differs("neurons", _few(of_model), _few(of_tree), _SAME)
    _check_observation(constants, model, _SAME)
    _check_counts(constants["counts"].transpose("time", "post").values, model, of_tree)
    _check_containers(constants, model, _CONTAINERS, _SAME)
    _check_variables(tree, model)


def index_of_new_neuron(tree: xr.DataTree, model: Any, neuron: Any) -> int:
    """Return the index of a neuron of the model, all of whose other neurons are in the tree.

    Parameters
    ----------
    tree : DataTree
        With constant data.
    model : pymc.Model
    neuron : str
        Its label.

    Raises
    ------
    TypeError
        Not a model.
    ValueError
        The neuron is not in the model, or is in the tree as well; or the model differs from the
        tree in its other neurons, observation model, basis, bin width or covariates.
    """
    variable(tree, "constant_data", "counts")
    constants = tree["constant_data"].dataset
    if not isinstance(model, pm.Model):
        raise TypeError(
            f"model: got {type(model).__name__}, allowed is a pymc.Model built like the one that "
            "was sampled, with the counts of the new neuron too."
        )
    _check_one_network(model, "give the model of one session")
    of_tree, of_model = _labels(constants, "post"), _labels(model.coords, "post")
    label = str(neuron)
    if label not in of_model:
        raise ValueError(
            f"neuron: got {neuron!r}, the model has {_few(of_model)}; give one of its neurons."
        )
    if label in of_tree:
        raise ValueError(f"neuron: {neuron!r} was in the fit; give a fit without this neuron.")
    others = [other for other in of_model if other != label]
    if of_tree != others:
        raise _differs("neurons", f"{_few(others)} besides {label!r}", _few(of_tree), _ONE_MORE)
    _check_observation(constants, model, _ONE_MORE)
    _check_containers(constants, model, _OF_THE_NETWORK, _ONE_MORE)
    _check_covariates(constants, model)
    _check_no_foreign(tree, model, _ONE_MORE)
    return of_model.index(label)


def _check_one_network(model: pm.Model, advice: str) -> None:
    sessions = sessions_with("counts", model.named_vars)
    if sessions:
        raise ValueError(f"model: it has the sessions {sessions}, but the tree only one; {advice}.")
    if "counts" not in model.named_vars:
        raise ValueError(
            "model: it has no data container 'counts'; give a model that build_glm returns."
        )


def _labels(where: Any, dim: str) -> list[str]:
    return [str(label) for label in getattr(where[dim], "values", where[dim])]


def _few(labels: list[str]) -> str:
    return f"{counted(len(labels), 'neuron')} {labels[:3]}"


def _check_observation(constants: xr.Dataset, model: pm.Model, advice: str) -> None:
    """Raise unless the observation models of model and tree have the same name."""
    of_tree, of_model = Bernoulli.name, Bernoulli.name
    if "observation" in constants:
        of_tree = str(constants["observation"].item())
    if model.coords.get("observation"):
        of_model = str(model.coords["observation"][0])
    if of_tree != of_model:
        raise _differs("observation model", repr(of_model), repr(of_tree), advice)


def _check_counts(of_tree: np.ndarray, model: pm.Model, neurons: list[str]) -> None:
    of_model = model["counts"].get_value()
    if of_model.shape != of_tree.shape:
        raise _differs("number of bins", len(of_model), len(of_tree), _SAME)
    different = of_model != of_tree
    if different.any():
        t, n = np.argwhere(different)[0]
        here = f"{of_model[t, n]} for neuron {neurons[n]!r} in bin {t}"
        raise _differs("counts", here, of_tree[t, n], _SAME)


def _check_containers(
    constants: xr.Dataset, model: pm.Model, names: tuple[str, ...], advice: str
) -> None:
    """Raise unless model and tree hold the same data under these names."""
    for name in names:
        in_model = name in model.named_vars
        if in_model != (name in constants):
            has, lacks = ("model", "tree") if in_model else ("tree", "model")
            raise ValueError(_message(name, f"the {has} has them, the {lacks} does not", advice))
        if in_model and not np.array_equal(model[name].get_value(), constants[name].values):
            raise ValueError(_message(name, "other values", advice))


def _check_covariates(constants: xr.Dataset, model: pm.Model) -> None:
    """Raise unless model and tree have covariates of the same names."""
    of_tree, of_model = (
        _labels(where, "covariate") if "covariate" in where else []
        for where in (constants.coords, model.coords)
    )
    if of_tree != of_model:
        raise _differs("covariates", of_model, of_tree, _ONE_MORE)


def _check_no_foreign(tree: xr.DataTree, model: pm.Model, advice: str) -> None:
    """Raise unless the model has all variables of the posterior."""
    foreign = [str(v) for v in tree["posterior"].data_vars if v not in model.named_vars]
    if foreign:
        raise ValueError(_message("variables", f"it lacks {foreign[:5]} of the tree", advice))


def _check_variables(tree: xr.DataTree, model: pm.Model) -> None:
    """Raise unless the posterior is one of the model's variables."""
    _check_no_foreign(tree, model, _SAME)
    drawn = [*tree["posterior"].data_vars, *kept_paths(tree).data_vars]
    missing = [rv.name for rv in model.free_RVs if rv.name not in drawn]
    if missing:
        raise ValueError(_message("variables", f"the tree lacks its {missing[:5]}", _SAME))


def _differs(what: str, of_model: Any, of_tree: Any, advice: str) -> ValueError:
    return ValueError(_message(what, f"{of_model}; the tree has {of_tree}", advice))


def _message(what: str, how: str, advice: str) -> str:
    return f"model: it differs from the one that was sampled in its {what} ({how}); {advice}."
