"""Values given for each neuron, and checks that blocks and positions share."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pymc as pm
import xarray as xr
from numpy.typing import NDArray

__all__ = ["by_neuron", "check_number", "contradiction", "neurons_of"]


def by_neuron(name: str, values: Any, neurons: Sequence[str]) -> NDArray:
    """Return what is given for each neuron in the order of the neurons.

    Parameters
    ----------
    name : str
        The argument's name, for messages.
    values : mapping from neuron to value, DataArray with a dim neuron or post, or array
        Names are matched; a plain array is in the order of the neurons.
    neurons : sequence of str

    Returns
    -------
    array, shape (neuron, ...)

    Raises
    ------
    ValueError
        Of another length, or neurons unknown or missing.
    """
    neurons = [str(n) for n in neurons]
    given = None
    if isinstance(values, xr.DataArray):
        dim = next((d for d in ("neuron", "post", "pre") if d in values.dims), None)
        if dim is not None:
            values = values.transpose(dim, ...)
            given = [str(n) for n in values[dim].values] if dim in values.coords else None
        array = values.values
    elif isinstance(values, Mapping):
        given = [str(n) for n in values]
        array = np.array(list(values.values()))
    else:
        array = np.asarray(values)
    if given is not None:
        unknown = sorted(set(given) - set(neurons))
        missing = [n for n in neurons if n not in given]
        if unknown or missing:
            raise ValueError(
                f"{name}: unknown neurons {unknown[:5]}, missing neurons {missing[:5]}; give a "
                f"value for each of the {len(neurons)} neurons of the model, such as "
                f"{neurons[:3]}."
            )
        array = array[[given.index(n) for n in neurons]]
    if array.ndim == 0 or len(array) != len(neurons):
        raise ValueError(
            f"{name}: got the shape {array.shape}; give one value for each of the {len(neurons)} "
            "neurons of the model."
        )
    return array


def neurons_of(model: pm.Model) -> list[str]:
    """Return the labels of the neurons of a model."""
    return [str(n) for n in model.coords["post"]]


def check_number(name: str, value: Any, highest: int, reason: str) -> int:
    """Return a whole number from 1 to `highest`, or raise."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or not 1 <= value <= highest:
        raise ValueError(
            f"{name}: got {value!r}, allowed are whole numbers from 1 to {highest} ({reason})."
        )
    return int(value)


def contradiction(part: str, argument: str, got: Any, shared: str, there: str) -> ValueError:
    """Return the error for a part that says otherwise than what it shares with the edges."""
    return ValueError(
        f"{part}({argument}={got!r}): edges and weights share their {shared}, and {there}; leave "
        f"the argument out, or give {part}(share_{shared}=False) for {shared} of its own."
    )
