"""A log density that rounds in the same way in every process."""

import pickle
from functools import partial
from typing import Any

import cloudpickle
import pytensor
from pymc.blocking import DictToArrayBijection, PointType
from pymc.model.core import ValueGradFunction

__all__ = ["ReproducibleDensity"]

# Without the flags by which Numba may reorder and merge operations.
_as_written = partial(pytensor.config.change_flags, numba__fastmath=False)


class ReproducibleDensity(ValueGradFunction):
    """A log density and its gradient, computed in the order in which they are written.

    By default PyTensor lets Numba reorder and merge floating-point operations. How it does depends
    on which operations it compiles together, and those that it finds in its cache are left as they
    are: the process that fills the cache rounds otherwise than later ones, and the same seed gives
    other draws. Parameters are those of ``ValueGradFunction``; the inputs are one vector.
    """

    def __init__(
        self, costs: list, grad_vars: list, extra: dict, *, initial_point: PointType, **kwargs: Any
    ):
        kwargs |= {"initial_point": initial_point, "ravel_inputs": True}
        with _as_written():
            super().__init__(costs, grad_vars, extra, **kwargs)
            place = DictToArrayBijection.map({v.name: initial_point[v.name] for v in grad_vars})
            self._place = place.data
            self._pytensor_function(self._place)  # compiles at the first call

    def __reduce__(self) -> tuple:
        """Pickle what is compiled anew, in the same way, when it is unpickled."""
        return _loaded, (cloudpickle.dumps(self.__dict__),)


# Not a method: cloudpickle would take a copy of a method along, and of PyTensor's settings with it.
def _loaded(dump: bytes) -> ReproducibleDensity:
    density = object.__new__(ReproducibleDensity)
    with _as_written():
        density.__dict__.update(pickle.loads(dump))
        density._pytensor_function(density._place)
    return density
