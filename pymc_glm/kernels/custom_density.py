"""Log densities written by users, as functions that compiled kernels can call."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numba
from numba import types
from numba.extending import overload

__all__ = ["CustomDensity", "evaluate"]

_SIGNATURE = types.UniTuple(types.float64, 3)(types.float64, types.float64, types.float64)


class CustomDensity(types.WrapperAddressProtocol):
    """A compiled function of count, psi and dispersion; it is pickled uncompiled.

    Parameters
    ----------
    function : callable
        Returns the log density up to terms without psi, its first derivative in psi and minus the
        second. Numba must be able to compile it.
    """

    def __init__(self, function: Callable[[float, float, float], tuple[float, float, float]]):
        self.function = function
        self._compiled: Any = _compiled(function)

    def __wrapper_address__(self) -> int:
        return self._compiled._wrapper_address

    def signature(self) -> Any:
        """Return the type of the function for Numba."""
        return _SIGNATURE

    def __reduce__(self) -> tuple:
        """Pickle the Python function, which is compiled again when loaded."""
        return CustomDensity, (self.function,)


@lru_cache(maxsize=32)
def _compiled(function: Callable) -> Any:
    return numba.cfunc(_SIGNATURE)(function)


def evaluate(
    density: CustomDensity | None, count: float, psi: float, dispersion: float
) -> tuple[float, float, float]:
    """Return log density, slope and curvature; zeros if there is no density."""
    return (0.0, 0.0, 0.0) if density is None else density.function(count, psi, dispersion)


@overload(evaluate)
def _evaluate(density, count, psi, dispersion):
    if isinstance(density, types.NoneType):
        return lambda density, count, psi, dispersion: (0.0, 0.0, 0.0)
    return lambda density, count, psi, dispersion: density(count, psi, dispersion)
