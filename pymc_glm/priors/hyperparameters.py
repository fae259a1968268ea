"""Hyperparameters of priors: fixed numbers and arrays, or PyMC distributions (learned)."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
from pymc.distributions.shape_utils import change_dist_size
from pytensor.graph.traversal import ancestors
from pytensor.tensor.random.type import RandomType
from pytensor.tensor.variable import TensorConstant, TensorVariable

__all__ = ["LEARNED", "Hyperparameter", "dimensions", "hyperparameter"]

LEARNED = "learned"

type Hyperparameter = float | np.ndarray | TensorVariable | str


def dimensions(value: Any) -> int:
    """Return the number of dimensions of a hyperparameter as given, 0 if it is no array."""
    if isinstance(value, TensorVariable):
        return value.type.ndim
    try:
        return np.ndim(value)
    except ValueError:  # nested sequences of unequal lengths, which `hyperparameter` refuses
        return 0


def _register(
    name: str, value: TensorVariable, shape: tuple[int, ...], dims: tuple[str, ...] | None
) -> TensorVariable:
    """Register an unnamed PyMC distribution under a name with the model in context."""
    if value.owner is None or not isinstance(value.owner.op, pm.Distribution):
        raise TypeError(
            f"{name}: got the PyTensor expression {value}; give a number, an array or a PyMC "
            "distribution without a name, such as pm.Beta.dist(1, 3)."
        )
    if value.name is not None:
        raise ValueError(
            f"{name}: the distribution is already the model variable {value.name!r}; give an "
            "unnamed one, such as pm.Beta.dist(1, 3)."
        )
    loose = [
        v
        for v in ancestors(value.owner.inputs)
        if v.owner and isinstance(v.owner.op, pm.Distribution) and v.name is None
    ]
    if loose:
        raise ValueError(
            f"{name}: the distribution has a parameter that is a distribution without a name, "
            f"{loose[0].owner.op}; give numbers as parameters, or register that one with the model."
        )
    if value.type.ndim == 0 and shape:
        value = change_dist_size(value, shape)
    static = value.type.shape
    if len(static) != len(shape) or any(
        given not in (None, wanted) for given, wanted in zip(static, shape, strict=True)
    ):
        allowed = f"a scalar one, or one of shape {shape}" if shape else "a scalar one"
        raise ValueError(f"{name}: got a distribution of shape {static}; give {allowed}.")
    return pm.modelcontext(None).register_rv(_copy(value), name, dims=dims)


def _copy(value: TensorVariable) -> TensorVariable:
    """Copy a distribution, as the same one may be given for several arguments and models."""
    node = value.owner
    inputs = [
        pytensor.shared(np.random.default_rng()) if isinstance(i.type, RandomType) else i
        for i in node.inputs
    ]
    return node.clone_with_new_inputs(inputs).outputs[node.outputs.index(value)]


def _fixed(
    name: str, value: Any, shape: tuple[int, ...], lower: float, upper: float
) -> TensorConstant:
    """Check a fixed value and broadcast it to its full shape."""
    try:
        array = np.asarray(value)
        number = array.dtype.kind in "iuf" or (array.dtype.kind == "b" and array.ndim > 0)
        usable = number and array.shape in ((), shape)
    except ValueError:  # nested sequences of unequal lengths
        usable = False
    if not usable:
        got = f"an array of shape {value.shape}" if isinstance(value, np.ndarray) else repr(value)
        or_array = f", an array of shape {shape}" if shape else ""
        raise ValueError(
            f"{name}: got {got}; give a number{or_array}, a PyMC distribution such as "
            f"pm.Normal.dist(0, 1), or {LEARNED!r} for the default prior."
        )
    full = np.broadcast_to(array.astype(np.float64), shape)
    wrong = ~((full >= lower) & (full <= upper) & np.isfinite(full))
    if wrong.any():
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        at = f" at index {where}" if where else ""
        bounds = f" of at least {lower:g}" if np.isfinite(lower) else ""
        if np.isfinite(upper):
            bounds = f" from {lower:g} to {upper:g}"
        raise ValueError(f"{name}: got {full[where]}{at}, allowed are finite numbers{bounds}.")
    return pt.constant(np.array(full))


def hyperparameter(
    name: str,
    value: Hyperparameter,
    default: Callable[[], TensorVariable] | None,
    *,
    shape: tuple[int, ...] = (),
    dims: tuple[str, ...] | None = None,
    lower: float = -np.inf,
    upper: float = np.inf,
) -> TensorVariable:
    """Return a hyperparameter as a tensor; if it is learned, register it with the model.

    Parameters
    ----------
    name : str
        Name in the model and in messages.
    value : number, array, PyMC distribution or "learned"
        Fixed value; or prior, e.g. ``pm.Beta.dist(1, 3)``, where a scalar one is that of every
        element; or ``"learned"`` for the default prior.
    default : callable or None
        Returns the default prior, an unnamed PyMC distribution; None if there is no default.
    shape, dims : tuple
        Shape, and names of the dims in the posterior.
    lower, upper : float
        Smallest and largest allowed fixed value.

    Returns
    -------
    TensorVariable of that shape

    Raises
    ------
    ValueError, TypeError
        The value is out of range, or of the wrong shape or type.
    """
    if isinstance(value, str) and value == LEARNED and default is not None:
        value = default()
    if isinstance(value, TensorVariable) and not isinstance(value, TensorConstant):
        return _register(name, value, shape, dims)
    if isinstance(value, TensorConstant):
        value = value.data
    return _fixed(name, value, shape, lower, upper)
