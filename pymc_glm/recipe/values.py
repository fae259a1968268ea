"""Exact conversion of arguments of builders to JSON and back.

Decoding neither imports modules nor runs code that the text names: it uses only classes that are
already defined.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from pytensor.tensor.variable import TensorConstant, TensorVariable

from pymc_glm.recipe.priors import prior_of, remake_prior

__all__ = ["CannotStoreError", "decode", "encode"]

type Json = bool | int | float | str | list[Any] | dict[str, Any] | None


class CannotStoreError(ValueError):
    """Raised for a value that JSON cannot hold: `where` is the argument, `what` the value."""

    def __init__(self, where: str, what: str):
        super().__init__(f"{where}: {what}")
        self.where, self.what = where, what


def encode(value: Any, where: str) -> Json:
    """Return a value as JSON, without loss of precision.

    Parameters
    ----------
    value : None, number, text, array, DataArray, Series, DataFrame, list, tuple, mapping, a PyMC
        distribution with constant parameters, or an instance of a dataclass of these
    where : str
        The argument's name, for messages.

    Raises
    ------
    CannotStoreError
        The value is, or contains, something else.
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"float": repr(float(value))}
    if isinstance(value, list):
        return [encode(v, f"{where}[{i}]") for i, v in enumerate(value)]
    if isinstance(value, tuple):
        return {"tuple": encode(list(value), where)}
    if isinstance(value, Mapping):
        return {
            "dict": [[encode(k, where), encode(v, f"{where}[{k!r}]")] for k, v in value.items()]
        }
    if isinstance(value, np.generic):
        return {"scalar": _array(np.asarray(value), where)}
    if isinstance(value, TensorConstant):
        return {"array": _array(np.asarray(value.data), where)}
    if isinstance(value, TensorVariable):
        return {"prior": _prior(value, where)}
    labelled = _labelled(value, where)
    if labelled is not None:
        return labelled
    if isinstance(value, type) or not hasattr(value, "__array__"):
        return {"part": _part(value, where)}
    return {"array": _array(np.asarray(value), where)}


def _array(array: np.ndarray, where: str) -> dict[str, Json]:
    kind = array.dtype.kind
    if kind not in "biufUO" or (kind == "f" and array.dtype.itemsize > 8):
        raise CannotStoreError(where, f"an array of {array.dtype}")
    values = array.ravel().tolist()
    if kind == "O":
        values = [encode(v, where) for v in values]
    elif kind == "f" and not np.isfinite(array).all():
        values = [v if math.isfinite(v) else repr(v) for v in values]
    return {"dtype": array.dtype.str, "shape": list(array.shape), "values": values}


def _labelled(value: Any, where: str) -> dict[str, Json] | None:
    """Encode a labelled array of xarray or pandas; return None for anything else."""
    if isinstance(value, xr.DataArray):
        coords = [
            [str(name), list(map(str, coord.dims)), _array(coord.values, where)]
            for name, coord in value.coords.items()
        ]
        dims = list(map(str, value.dims))
        return {"dataarray": {"dims": dims, "array": _array(value.values, where), "coords": coords}}
    if isinstance(value, pd.Series | pd.DataFrame):
        axes = [_array(axis.to_numpy(), where) for axis in value.axes]
        kind = "series" if isinstance(value, pd.Series) else "frame"
        return {kind: {"array": _array(value.to_numpy(), where), "axes": axes}}
    return None


def _prior(variable: TensorVariable, where: str) -> dict[str, Json]:
    prior = None if variable.name is not None else prior_of(variable)
    if prior is None:
        kind = variable.type if variable.owner is None else type(variable.owner.op).__name__
        raise CannotStoreError(where, f"{kind}, not a distribution with constant parameters")
    name, parameters, size = prior
    return {
        "distribution": name,
        "parameters": [_array(parameter, where) for parameter in parameters],
        "size": None if size is None else np.atleast_1d(size).tolist(),
    }


def _part(part: Any, where: str) -> dict[str, Json]:
    kind = type(part)
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        names = [field.name for field in dataclasses.fields(part) if field.init]
    elif kind.__module__ != "builtins" and getattr(part, "__dict__", None) == {}:
        names = []
    else:
        raise CannotStoreError(where, f"a {kind.__module__}.{kind.__qualname__}")
    fields = {name: encode(getattr(part, name), f"{where}.{name}") for name in names}
    return {"class": kind.__name__, "module": kind.__module__, "fields": fields}


def decode(value: Json, parts: tuple[type, ...]) -> Any:
    """Return the value that `encode` turned into JSON.

    Parameters
    ----------
    value : JSON
    parts : tuple of type
        Only instances of these classes and of classes derived from them are made.

    Raises
    ------
    LookupError
        A class or distribution is not defined; the message names it.
    ValueError
        The JSON was not made by `encode`, or a class does not have these fields.
    """
    if isinstance(value, list):
        return [decode(v, parts) for v in value]
    if not isinstance(value, dict):
        return value
    if len(value) != 1:
        raise ValueError(f"recipe: got the keys {sorted(value)}, allowed is exactly one.")
    ((kind, inside),) = value.items()
    if kind == "float":
        return float(inside)
    if kind == "tuple":
        return tuple(decode(inside, parts))
    if kind == "dict":
        return {decode(k, parts): decode(v, parts) for k, v in inside}
    if kind in ("array", "scalar"):
        array = _decode_array(inside, parts)
        return array if kind == "array" else array[()]
    if kind == "prior":
        parameters = [_decode_array(p, parts) for p in inside["parameters"]]
        size = None if inside["size"] is None else np.asarray(inside["size"], dtype=np.int64)
        return remake_prior(inside["distribution"], parameters, size)
    if kind == "part":
        return _decode_part(inside, parts)
    return _decode_labelled(kind, inside, parts)


def _decode_array(found: dict[str, Any], parts: tuple[type, ...]) -> np.ndarray:
    dtype, values = np.dtype(found["dtype"]), found["values"]
    if dtype.kind == "O":
        array = np.empty(len(values), dtype=object)
        array[:] = [decode(v, parts) for v in values]
    else:
        array = np.array([float(v) for v in values] if dtype.kind == "f" else values, dtype=dtype)
    return array.reshape(found["shape"])


def _decode_labelled(kind: str, found: dict[str, Any], parts: tuple[type, ...]) -> Any:
    if kind not in ("dataarray", "series", "frame"):
        raise ValueError(f"recipe: got {kind!r}, which this version cannot read.")
    array = _decode_array(found["array"], parts)
    if kind == "dataarray":
        coords = {name: (dims, _decode_array(a, parts)) for name, dims, a in found["coords"]}
        return xr.DataArray(array, dims=found["dims"], coords=coords)
    index, *columns = (pd.Index(_decode_array(axis, parts)) for axis in found["axes"])
    return pd.DataFrame(array, index, columns[0]) if columns else pd.Series(array, index)


def _decode_part(found: dict[str, Any], parts: tuple[type, ...]) -> Any:
    """Make an instance of the class of that name: the last defined, from its module if possible."""
    name, module = found["class"], found["module"]
    known = [kind for part in parts for kind in _derived(part) if kind.__name__ == name]
    known = [kind for kind in known if kind.__module__ == module] or known
    if not known:
        raise LookupError(f"the class {name!r} of {module!r}")
    fields = {key: decode(v, parts) for key, v in found["fields"].items()}
    try:
        return known[-1](**fields)
    except TypeError as error:
        raise ValueError(f"recipe: the class {name} has other fields here ({error}).") from error


def _derived(part: type[Any]) -> Iterator[type[Any]]:
    yield part
    for kind in part.__subclasses__():
        yield from _derived(kind)
