"""The decorator of kernels: compiled code is cached on disk and releases the GIL."""

import numba

__all__ = ["compiled"]

compiled = numba.njit(cache=True, nogil=True)
