"""How kernels are compiled: once for all processes, and without holding Python's lock."""

import numba

__all__ = ["compiled"]

compiled = numba.njit(cache=True, nogil=True)
