"""Variables of a model as functions of a point."""

import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pymc as pm
from numpy.typing import NDArray
from pymc.blocking import PointType
from pymc.initial_point import make_initial_point_fn
from pymc.pytensorf import compile as pymc_compile
from pytensor.compile.mode import Mode
from pytensor.graph.basic import Variable
from pytensor.graph.traversal import ancestors

from pymc_glm.graph.numpy_linker import NumpyLinker

__all__ = ["INTERPRETED", "ONCE", "PointFunction", "initial_point_of"]

# For graphs of small arrays: compiling each operation would take seconds.
INTERPRETED = Mode(NumpyLinker(), "fast_run").excluding(*NumpyLinker.incompatible_rewrites)

# For graphs that are evaluated once: rewriting them would take longer than that.
ONCE = Mode(linker="py", optimizer="fast_compile").excluding("fusion", "inplace")

_known: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def initial_point_of(model: pm.Model) -> PointType:
    """Return the initial point that ``model.initial_point(0)`` returns.

    The function of a model is compiled once, as every step method asks for the shapes of variables.

    Examples
    --------
    >>> import pymc as pm
    >>> from pymc_glm.graph.evaluate import initial_point_of
    >>> with pm.Model() as model:
    ...     rate = pm.Normal("rate", shape=2)
    >>> initial_point_of(model)
    {'rate': array([0., 0.])}
    """
    start = [
        (rv, model.rvs_to_initial_values[rv], model.rvs_to_transforms[rv]) for rv in model.free_RVs
    ]
    seen = _known.get(model)
    if seen is None or not _alike(seen[0], start):
        seen = start, make_initial_point_fn(model=model, return_transformed=True)
        _known[model] = seen
    return {name: np.array(value) for name, value in seen[1](0).items()}


def _alike(some: list[tuple], others: list[tuple]) -> bool:
    """Return whether two lists hold the same objects."""
    return len(some) == len(others) and all(
        a is b
        for one, other in zip(some, others, strict=True)
        for a, b in zip(one, other, strict=True)
    )


class PointFunction:
    """Variables as a function of a point, which maps names of value variables to arrays.

    Parameters
    ----------
    model : pymc.Model
    variables : sequence of variables
        What to evaluate. Random variables of the model are replaced by their values.
    compile_kwargs : dict, optional
        For ``pymc.pytensorf.compile``.
    extra : sequence of variables, optional
        Further inputs, given after the point.
    mode : Mode, optional
        Unless `compile_kwargs` has one.

    Examples
    --------
    >>> import numpy as np, pymc as pm
    >>> from pymc_glm.graph.evaluate import PointFunction
    >>> with pm.Model() as model:
    ...     rate = pm.Normal("rate")
    >>> PointFunction(model, [2 * rate])({"rate": np.array(3.0), "other": np.array(0.0)})
    [array(6.)]
    """

    def __init__(
        self,
        model: pm.Model,
        variables: Sequence[Variable],
        compile_kwargs: dict | None = None,
        *,
        extra: Sequence[Variable] = (),
        mode: Mode = INTERPRETED,
    ):
        outputs = model.replace_rvs_by_values(list(variables))
        inputs = [v for v in model.value_vars if v in ancestors(outputs)]
        self._names = [v.name for v in inputs]
        options: dict[str, Any] = {"mode": mode, "on_unused_input": "ignore"}
        options |= compile_kwargs or {}
        self._function = pymc_compile([*inputs, *extra], outputs, trust_input=True, **options)

    def __call__(self, point: Mapping[str, NDArray], *extra: NDArray) -> list[NDArray]:
        """Evaluate at a point."""
        return self._function(*[point[name] for name in self._names], *extra)
