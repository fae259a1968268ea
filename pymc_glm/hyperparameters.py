"""Hyperparameters of the parts: a number or array (fixed) or a PyMC distribution (learned)."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.distributions.shape_utils import change_dist_size
from pytensor.tensor.variable import TensorConstant, TensorVariable

__all__ = ["LEARNED", "Hyperparameter", "hyperparameter"]

LEARNED = "learned"

type Hyperparameter = float | np.ndarray | TensorVariable | str


def _register(
    name: str, value: TensorVariable, shape: tuple[int, ...], dims: tuple[str, ...] | None
) -> TensorVariable:
    """Name an unnamed PyMC distribution in the model on the context stack."""
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
    if value.type.ndim == 0 and shape:
        value = change_dist_size(value, shape)
    if value.type.ndim != len(shape):
        raise ValueError(
            f"{name}: the distribution has {value.type.ndim} dimensions, allowed are 0 or "
            f"{len(shape)}, for the shape {shape}."
        )
    return pm.modelcontext(None).register_rv(value, name, dims=dims, initval="prior")


def _fixed(
    name: str, value: Any, shape: tuple[int, ...], lower: float, upper: float
) -> TensorConstant:
    """Check a fixed value and spread it to its full shape."""
    try:
        array = np.asarray(value, dtype=np.float64)
        full = np.broadcast_to(array, shape)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name}: got {value!r}; give a number, an array of shape {shape}, a PyMC "
            f"distribution such as pm.Normal.dist(0, 1), or {LEARNED!r} for the default prior."
        ) from error
    wrong = ~((full >= lower) & (full <= upper) & np.isfinite(full))
    if wrong.any():
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        at = f" at index {where}" if where else ""
        raise ValueError(
            f"{name}: got {full[where]}{at}, allowed are finite numbers from {lower:g} to "
            f"{upper:g}."
        )
    return pt.constant(np.array(full))


def hyperparameter(
    name: str,
    value: Hyperparameter,
    default: Callable[[], TensorVariable],
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
        Its name in the model and in messages.
    value : number, array, PyMC distribution or "learned"
        Fixed value; or prior, e.g. ``pm.Beta.dist(1, 3)``, one for all elements if scalar; or
        ``"learned"`` for the default prior.
    default : callable
        Makes the default prior, an unnamed PyMC distribution.
    shape, dims : tuple
        Shape, and the dimension names it has in the posterior.
    lower, upper : float
        Allowed range of a fixed value.

    Returns
    -------
    TensorVariable of that shape

    Raises
    ------
    ValueError, TypeError
        The value is out of range, of another shape or of another kind.
    """
    if isinstance(value, str) and value == LEARNED:
        value = default()
    if isinstance(value, TensorVariable) and not isinstance(value, TensorConstant):
        return _register(name, value, shape, dims)
    return _fixed(name, getattr(value, "data", value), shape, lower, upper)
