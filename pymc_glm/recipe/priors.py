"""Conversion of PyMC distributions to a name and parameter values, and back."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pymc as pm
from numpy.typing import NDArray
from pymc.exceptions import NotConstantValueError
from pymc.pytensorf import constant_fold
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.graph.traversal import ancestors
from pytensor.tensor.random.op import RandomVariable
from pytensor.tensor.type_other import NoneTypeT
from pytensor.tensor.variable import TensorVariable

__all__ = ["Prior", "prior_of", "remake_prior"]

type Prior = tuple[str, list[NDArray], NDArray | None]  # name, parameters, size


def _every(kind: type[Any]) -> Iterator[type[Any]]:
    for sub in kind.__subclasses__():
        yield sub
        yield from _every(sub)


def _distributions() -> dict[str, type[pm.Distribution]]:
    """Return the distributions whose random variables have a distinct type, by name."""
    return {
        kind.__name__: kind
        for kind in _every(pm.Distribution)
        if not kind.__name__.startswith("_") and isinstance(getattr(kind, "rv_type", None), type)
    }


def prior_of(variable: TensorVariable) -> Prior | None:
    """Return name, parameters and size of a PyMC distribution, None if they do not determine it.

    Parameters
    ----------
    variable : tensor
        Unnamed distribution, such as ``pm.Normal.dist(0, 1)``.
    """
    node = variable.owner
    if node is None or not hasattr(node.op, "dist_params"):
        return None
    name = next((n for n, kind in _distributions().items() if kind.rv_type is type(node.op)), None)
    try:
        parameters, size = node.op.dist_params(node), node.op.size_param(node)
    except (TypeError, ValueError):  # not built as a distribution
        return None
    if name is None or any(isinstance(v, SharedVariable) for v in ancestors(list(parameters))):
        return None
    given = list(parameters)
    if size is not None and not isinstance(size.type, NoneTypeT):
        given.append(size)
    try:
        values = [np.asarray(value) for value in constant_fold(given)] if given else []
    except NotConstantValueError:
        return None
    n = len(parameters)
    prior = name, values[:n], values[n] if len(values) > n else None
    return prior if _same(variable, prior) else None


def _same(variable: TensorVariable, prior: Prior) -> bool:
    """Return whether the distribution remade from `prior` equals `variable`."""
    try:
        again = remake_prior(*prior)
    except (TypeError, ValueError, LookupError):
        return False
    node, other = variable.owner, again.owner
    if type(other.op) is not type(node.op) or again.type.ndim != variable.type.ndim:
        return False
    if isinstance(node.op, RandomVariable) and other.op != node.op:
        return False  # ops of PyMC's composite distributions never compare equal
    found = [np.asarray(v) for v in constant_fold(other.op.dist_params(other))]
    return len(found) == len(prior[1]) and all(
        a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(found, prior[1], strict=True)
    )


def remake_prior(name: str, parameters: list[NDArray], size: NDArray | None) -> TensorVariable:
    """Return an unnamed PyMC distribution.

    Parameters
    ----------
    name : str
        Name of a distribution that is currently defined.
    parameters : list of array
        Parameters of its random variable: those of a gamma are shape and scale.
    size : array of int or None

    Raises
    ------
    LookupError
        There is no such distribution.
    """
    known = _distributions()
    if name not in known:
        raise LookupError(f"the distribution {name!r}")
    shape = None if size is None else tuple(int(n) for n in np.atleast_1d(size))
    # `dist` of the subclass has other parameters than its random variable.
    make = pm.Distribution.dist.__func__
    return make(known[name], parameters, size=shape)
