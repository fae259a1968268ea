"""The decorators of kernels: compiled code is cached on disk and releases the GIL."""

import numba

__all__ = ["compiled", "inlined"]

compiled = numba.njit(cache=True, nogil=True)

# For functions with one caller. They become a part of it; `compiled` would compile them alone too,
# and a chain of such calls as often as it is long. They follow the caller's floating-point rules.
inlined = numba.njit(cache=True, nogil=True, inline="always")
