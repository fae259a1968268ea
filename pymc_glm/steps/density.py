"""A log density that rounds in the same way in every process."""

import pickle
from functools import partial
from typing import Any, Self

import cloudpickle
import pytensor
from pymc.model.core import ValueGradFunction

__all__ = ["ReproducibleDensity"]

# Without the flags by which Numba may reorder and merge operations.
_as_written = partial(pytensor.config.change_flags, numba__fastmath=False)


class ReproducibleDensity(ValueGradFunction):
    """A log density and its gradient, computed in the order in which they are written.

    By default PyTensor lets Numba reorder and merge floating-point operations. How it does depends
    on which operations it compiles together, and those that it finds in its cache are left as they
    are: the process that fills the cache rounds otherwise than later ones, and the same seed gives
    other draws. Parameters and calls are those of ``ValueGradFunction``.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        self._compiled = False
        with _as_written():
            super().__init__(*args, **kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluate the density; the first call compiles."""
        if self._compiled:
            return super().__call__(*args, **kwargs)
        with _as_written():
            result = super().__call__(*args, **kwargs)
        self._compiled = True
        return result

    def __reduce__(self) -> tuple:
        """Pickle what is compiled anew, in the same way, when it is unpickled."""
        return self._loaded, (cloudpickle.dumps(self.__dict__ | {"_compiled": False}),)

    @classmethod
    def _loaded(cls, dump: bytes) -> Self:
        density = object.__new__(cls)
        with _as_written():
            density.__dict__.update(pickle.loads(dump))
        return density
