"""An exponential that compilers turn into vector instructions.

Compiled loops call the exponential of the C library element by element, which takes several times
as long as the rest of the loop. Argument reduction to |r| <= log(2) / 2 and a Taylor polynomial of
degree 11 give relative errors below 1e-14 (Muller 2016, Elementary Functions, 3rd edition, chapter
11).

It is compiled with the fastmath flags of its caller: "contract" and "reassoc" are safe; "nsz", and
therefore fastmath=True, removes the rounding to whole multiples.
"""

import math
from collections.abc import Callable

import numba
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

__all__ = ["EXPONENT_LIMIT", "exponential"]

EXPONENT_LIMIT = 700.0  # of the magnitude of the argument

_PER_LOG2 = 1.0 / math.log(2.0)
_LOG2_HIGH = 6.93145751953125e-1  # the leading bits, so that its multiples are exact
_LOG2_LOW = 1.42860682030941723212e-6
_ROUNDING = (
    1.5 * 2.0**52
)  # added to a small number, it leaves the nearest integer in the lowest bits
_TAYLOR = [1.0 / math.factorial(k) for k in range(12)]


def _cast(source: types.Type, target: types.Type, to: ir.Type) -> Callable:
    def typed(_context, _argument):
        def generate(_backend, builder, _signature, arguments):
            return builder.bitcast(arguments[0], to)

        return target(source), generate

    return intrinsic(typed)


_as_double = _cast(types.int64, types.float64, ir.DoubleType())
_as_bits = _cast(types.float64, types.int64, ir.IntType(64))
_C0, _C1, _C2, _C3, _C4, _C5, _C6, _C7, _C8, _C9, _C10, _C11 = _TAYLOR


@numba.njit(inline="always")
def exponential(x: float) -> float:
    """Return exp(x), for magnitudes of x up to EXPONENT_LIMIT."""
    shifted = x * _PER_LOG2 + _ROUNDING
    whole = shifted - _ROUNDING
    r = (x - whole * _LOG2_HIGH) - whole * _LOG2_LOW
    p = ((((_C11 * r + _C10) * r + _C9) * r + _C8) * r + _C7) * r + _C6
    p = (((((p * r + _C5) * r + _C4) * r + _C3) * r + _C2) * r + _C1) * r + _C0
    return _as_double(_as_bits(p) + (_as_bits(shifted) << 52))
