"""Variables of a model as functions of a point."""

from collections.abc import Mapping, Sequence
from typing import Any

import pymc as pm
from numpy.typing import NDArray
from pymc.pytensorf import compile as pymc_compile
from pytensor.compile.mode import Mode
from pytensor.graph.basic import Variable
from pytensor.graph.traversal import ancestors

__all__ = ["INTERPRETED", "PointFunction"]

# For small graphs that are seldom evaluated: compiling each operation would take seconds.
INTERPRETED = Mode(linker="py", optimizer="fast_run").excluding("fusion", "inplace")


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
