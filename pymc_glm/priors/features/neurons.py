"""Values given for each neuron, and checks for both blocks and positions."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import xarray as xr
from numpy.typing import NDArray

from pymc_glm.arguments import as_whole_number

__all__ = ["by_neuron", "contradiction", "latent_dimensions", "neurons_of", "plain_array"]


def by_neuron(name: str, values: Any, neurons: Sequence[str]) -> NDArray:
    """Return values for each neuron in the order of the neurons.

    Parameters
    ----------
    name : str
        The argument's name, for messages.
    values : mapping from neuron, DataArray with a dim neuron or post, Series, DataFrame, or array
        Matched by the neurons' names; an array, or a DataArray without names, has to be in the
        order of the neurons.
    neurons : sequence of str

    Returns
    -------
    array, shape (neuron, ...)
        Of str if all values are strings, else of numbers if possible, else of objects.

    Raises
    ------
    ValueError
        The wrong length, sequences of different lengths, or neurons that are unknown, missing or
        named twice.
    """
    neurons = [str(n) for n in neurons]
    given, array = _named(name, values)
    if given is not None:
        unknown = sorted(set(given) - set(neurons))
        missing = [n for n in neurons if n not in given]
        if unknown or missing:
            raise ValueError(
                f"{name}: unknown neurons {unknown[:5]}, missing neurons {missing[:5]}; give a "
                f"value for each of the {len(neurons)} neurons of the model, such as "
                f"{neurons[:3]}."
            )
        if len(given) > len(neurons):
            twice = sorted({n for n in given if given.count(n) > 1})
            raise ValueError(f"{name}: neurons {twice[:5]} are named twice; name each once.")
        array = array[[given.index(n) for n in neurons]]
    if array.ndim == 0 or len(array) != len(neurons):
        raise ValueError(
            f"{name}: got the shape {array.shape}; give one value for each of the {len(neurons)} "
            "neurons of the model."
        )
    return array


def _named(name: str, values: Any) -> tuple[list[str] | None, NDArray]:
    """Return the names of neurons that values come with, if they do, and the values."""
    if isinstance(values, xr.DataArray):
        dim = next((d for d in ("neuron", "post", "pre") if d in values.dims), None)
        if dim is None:
            raise ValueError(
                f"{name}: got the dims {values.dims}; name that of the neurons 'neuron' or 'post'."
            )
        values = values.transpose(dim, ...)
        given = list(values[dim].values) if dim in values.coords else None
        values = values.values
    elif isinstance(values, pd.Series | pd.DataFrame):
        given, values = list(values.index), values.to_numpy()
    elif isinstance(values, Mapping):
        given, values = list(values), list(values.values())
    else:
        given = None
    return None if given is None else [str(n) for n in given], plain_array(name, values)


def plain_array(name: str, values: Any) -> NDArray:
    """Return an array of str only if all values are strings; NumPy would turn NaN into text."""
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(
            f"{name}: got sequences of different lengths; give the same number of values for each "
            "neuron."
        ) from error
    if array.dtype.kind in "OTU":
        array = np.asarray(values, dtype=object)
        if all(isinstance(value, str) for value in array.ravel()):
            return array.astype(str)
    return array


def neurons_of(model: pm.Model) -> list[str]:
    """Return the labels of the neurons of a model."""
    return [str(n) for n in model.coords["post"]]


def latent_dimensions(name: str, value: Any, n_neurons: int) -> int:
    """Return the number of dimensions of a latent space, from 1 to one less than the neurons.

    Raises
    ------
    ValueError
        The number is out of range, or there is a single neuron.
    """
    if n_neurons < 2:
        raise ValueError(
            f"{name}: got a single neuron, but a latent space needs at least 2; leave this prior "
            "out."
        )
    return as_whole_number(value, name, at_most=n_neurons - 1, reason="below the number of neurons")


def contradiction(part: str, argument: str, shared: str, of_edges: str) -> ValueError:
    """Return the error for an argument that contradicts what is shared with the edges."""
    return ValueError(
        f"{part}({argument}): edges and weights share their {shared}, and {of_edges}; leave "
        f"the argument out, or give {part}(share_{shared}=False) for separate {shared}."
    )
