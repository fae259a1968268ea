"""Values given for each neuron, and checks that blocks and positions share."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import xarray as xr
from numpy.typing import NDArray

from pymc_glm.arguments import as_whole_number

__all__ = ["by_neuron", "check_number", "contradiction", "neurons_of", "plain_array"]


def by_neuron(name: str, values: Any, neurons: Sequence[str]) -> NDArray:
    """Return what is given for each neuron in the order of the neurons.

    Parameters
    ----------
    name : str
        The argument's name, for messages.
    values : mapping from neuron, DataArray with a dim neuron or post, Series, DataFrame, or array
        Names are matched; an array, or a DataArray without names, is in the order of the neurons.
    neurons : sequence of str

    Returns
    -------
    array, shape (neuron, ...)
        Of str if all values are, else of numbers, or else of objects.

    Raises
    ------
    ValueError
        Of another length or different lengths, or neurons unknown, missing or named twice.
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
                f"{name}: got the dims {values.dims}; call that of the neurons 'neuron' or 'post'."
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
    """Return an array in which nothing has been made into text that was none, such as NaN."""
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(
            f"{name}: got sequences of different lengths; give as many values for each neuron."
        ) from error
    if array.dtype.kind in "OTU":
        array = np.asarray(values, dtype=object)
        if all(isinstance(value, str) for value in array.ravel()):
            return array.astype(str)
    return array


def neurons_of(model: pm.Model) -> list[str]:
    """Return the labels of the neurons of a model."""
    return [str(n) for n in model.coords["post"]]


def check_number(name: str, value: Any, highest: int, reason: str) -> int:
    """Return a whole number from 1 to `highest`, or raise."""
    if highest < 1:
        raise ValueError(
            f"{name}: there is a single neuron, and the number has to be {reason}; leave this "
            "prior out."
        )
    return as_whole_number(value, name, at_most=highest, reason=reason)


def contradiction(part: str, argument: str, shared: str, there: str) -> ValueError:
    """Return the error for a part that says otherwise than what it shares with the edges."""
    return ValueError(
        f"{part}({argument}): edges and weights share their {shared}, and {there}; leave "
        f"the argument out, or give {part}(share_{shared}=False) for {shared} of its own."
    )
