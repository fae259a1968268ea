"""Whether a posterior is of a model, or of the model without one of its neurons."""

from typing import Any

import numpy as np
import pymc as pm
import xarray as xr

from pymc_glm.session_prefix import SEPARATOR
from pymc_glm.trees import variable

__all__ = ["check_model", "place_of_neuron"]

_CONTAINERS = ("basis_functions", "bin_width", "segment_start", "data_bins", "covariates",
               "n_trials")  # fmt: skip


def check_model(tree: xr.DataTree, model: Any) -> None:
    """Raise if a model was not the one that was sampled, as far as its data tell.

    Parameters
    ----------
    tree : DataTree
        With constant data.
    model : pymc.Model or None
        None is not looked at.

    Raises
    ------
    TypeError
        Not a model.
    ValueError
        Neurons, law, variables, counts, basis or other data of the model are not those of the tree.
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
    neurons, own = _labels(constants, "post"), _labels(model.coords, "post")
    if neurons != own:
        raise ValueError(_message("neurons", f"{_few(own)} against {_few(neurons)} of the tree"))
    laws = _laws(constants, model)
    if laws[0] != laws[1]:
        raise ValueError(_message("law", f"{laws[1]!r} against {laws[0]!r} of the tree"))
    _check_counts(constants["counts"].transpose("time", "post").values, model, neurons)
    for name in _CONTAINERS:
        here = name in model.named_vars
        same = here == (name in constants) and (
            not here or np.array_equal(model[name].get_value(), constants[name].values)
        )
        if not same:
            raise ValueError(_message(name, "they differ, or only one of the two has them"))
    _check_variables(tree, model)


def place_of_neuron(tree: xr.DataTree, model: Any, neuron: Any) -> int:
    """Return the place of a neuron of a model, of which the tree has all other neurons.

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
        The neuron is not in the model, or it is in the tree; the other neurons, the law, the basis,
        the width of bins or the covariates of the model are not those of the tree.
    """
    variable(tree, "constant_data", "counts")
    constants = tree["constant_data"].dataset
    if not isinstance(model, pm.Model):
        raise TypeError(
            f"model: got {type(model).__name__}, allowed is a pymc.Model built like the one that "
            "was sampled, with the counts of the neuron too."
        )
    _check_one_network(model, "give the model of one")
    neurons, own = _labels(constants, "post"), _labels(model.coords, "post")
    label = str(neuron)
    if label not in own:
        raise ValueError(f"neuron: got {neuron!r}, the model has {_few(own)}; give one of these.")
    if label in neurons:
        raise ValueError(
            f"neuron: {neuron!r} is in the fit that the tree holds; give a fit without it."
        )
    others = [other for other in own if other != label]
    if neurons != others:
        raise ValueError(
            _unlike(
                "neurons", f"beside {label!r} {_few(others)} against {_few(neurons)} of the tree"
            )
        )
    laws = _laws(constants, model)
    if laws[0] != laws[1]:
        raise ValueError(_unlike("law", f"{laws[1]!r} against {laws[0]!r} of the tree"))
    _check_alike(constants, model)
    foreign = _foreign(tree, model)
    if foreign:
        raise ValueError(_unlike("variables", f"it has none of the tree's {foreign[:5]}"))
    return own.index(label)


def _check_alike(constants: xr.Dataset, model: pm.Model) -> None:
    """Raise unless what the network is made of is the same."""
    for name in ("basis_functions", "bin_width", "n_trials"):
        here = name in model.named_vars
        same = here == (name in constants) and (
            not here or np.array_equal(model[name].get_value(), constants[name].values)
        )
        if not same:
            raise ValueError(_unlike(name, "they differ, or only one of the two has them"))
    known, own = (
        _labels(where, "covariate") if "covariate" in where else []
        for where in (constants.coords, model.coords)
    )
    if known != own:
        raise ValueError(_unlike("covariates", f"{own} against {known} of the tree"))


def _check_one_network(model: pm.Model, instead: str) -> None:
    sessions = [name for name in model.named_vars if name.endswith(f"{SEPARATOR}counts")]
    if sessions:
        names = [name.partition(SEPARATOR)[0] for name in sessions]
        raise ValueError(f"model: it is of the sessions {names}, and the tree of one; {instead}.")
    if "counts" not in model.named_vars:
        raise ValueError("model: it is no model of build_glm, it has no data container 'counts'.")


def _labels(where: Any, dim: str) -> list[str]:
    return [str(label) for label in getattr(where[dim], "values", where[dim])]


def _laws(constants: xr.Dataset, model: pm.Model) -> tuple[str, str]:
    """Return the names of the laws of tree and model."""
    return (
        str(constants["observation"].item()) if "observation" in constants else "bernoulli",
        str((model.coords.get("observation") or ("bernoulli",))[0]),
    )


def _foreign(tree: xr.DataTree, model: pm.Model) -> list[str]:
    """Return the variables of a posterior that a model does not have."""
    return [str(name) for name in tree["posterior"].data_vars if name not in model.named_vars]


def _check_variables(tree: xr.DataTree, model: pm.Model) -> None:
    """Raise unless the posterior is one of the model's variables."""
    foreign = _foreign(tree, model)
    if foreign:
        raise ValueError(_message("variables", f"it has none of the tree's {foreign[:5]}"))
    drawn = tree["posterior"].data_vars
    missing = [rv.name for rv in model.free_RVs if rv.name not in drawn]
    if missing:
        raise ValueError(_message("variables", f"the tree has none of its {missing[:5]}"))


def _check_counts(counts: np.ndarray, model: pm.Model, neurons: list[str]) -> None:
    own = model["counts"].get_value()
    if own.shape != counts.shape:
        raise ValueError(_message("bins", f"{len(own)} against {len(counts)} of the tree"))
    other = own != counts
    if other.any():
        t, n = np.argwhere(other)[0]
        raise ValueError(
            _message(
                "counts",
                f"neuron {neurons[n]!r}, bin {t}: {own[t, n]} against {counts[t, n]} of the tree",
            )
        )


def _few(labels: list[str]) -> str:
    return f"{len(labels)} neurons {labels[:3]}"


def _message(what: str, how: str) -> str:
    return (
        f"model: it is not the one that the tree is of, by its {what} ({how}); give the model that "
        "was sampled, or leave model out."
    )


def _unlike(what: str, how: str) -> str:
    return (
        f"model: it is not built like the one that the tree is of, by its {what} ({how}); give one "
        "that is, with the counts of one neuron more."
    )
