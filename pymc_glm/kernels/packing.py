"""Regressors stored in short blocks of bins, without the columns that are zero in a block.

Spikes are rare: within a few dozen bins many pre neurons are silent, and their columns are exactly
zero. Each block keeps a dense (bins, active columns) matrix, on which BLAS runs at full speed; the
products with the missing columns are exactly zero and are not computed. If every pre neuron is
active, a block is a plain row block of the dense design. Sums over bins do not depend on their
order, so bins with similar patterns of active pre neurons are put next to each other if that saves
time.
"""

from typing import Any, NamedTuple

import llvmlite.binding
import numpy as np
from numba.core import types
from numba.extending import get_cython_function_address
from numpy.typing import NDArray

from pymc_glm.kernels.compiling import compiled, inlined
from pymc_glm.kernels.spike_history import SpikeHistory, write_regressors

__all__ = ["PackedRows", "pack_rows", "project", "transpose_product", "weighted_grams"]

# Registered by name, so that compiled callers can be cached on disk.
llvmlite.binding.add_symbol(
    "pymc_glm_dsyrk", get_cython_function_address("scipy.linalg.cython_blas", "dsyrk")
)
_dsyrk: Any = types.ExternalFunction("pymc_glm_dsyrk", types.void(*[types.voidptr] * 10))
_UPLO_TRANS = np.frombuffer(b"UN", dtype=np.uint8)

BLOCK_SIZES = (16, 32, 64, 128, 256, 512, 1024)
_MAX_BLOCK_VALUES = (
    48_000  # doubles in one scaled block, which then fits in the second-level cache of a core
)


class PackedRows(NamedTuple):
    """A (rows, columns) matrix whose first column is constant one, in packed row blocks."""

    values: NDArray[np.float64]  # (stored values,): row-major matrices of the blocks
    value_start: NDArray[np.int64]  # (blocks + 1,): index of the first value of each block
    row_start: NDArray[np.int64]  # (blocks + 1,): the first row of each block
    columns: NDArray[np.int64]  # (stored columns,): ascending column numbers of each block
    column_start: NDArray[np.int64]  # (blocks + 1,): index of the first column number of each block
    n_columns: int  # D, including the constant
    order: NDArray[np.int64]  # (rows,): row of the design for each packed row

    @property
    def n_rows(self) -> int:
        """Number of rows (bins)."""
        return int(self.row_start[-1])


def _active(nonzero: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    """Return which groups of columns are not all zero in each block, (blocks, groups)."""
    starts = np.arange(0, nonzero.shape[0], size)
    return np.logical_or.reduceat(nonzero, starts, axis=0)


def _cost(active: NDArray[np.bool_], size: int, n_basis: int) -> float:
    """Return the estimated time of one Gram matrix in ns (flops, scaling, scatter, call)."""
    width = 1 + n_basis * active.sum(axis=1).astype(float)
    full = width == 1 + n_basis * active.shape[1]
    scatter = np.where(full, 0.0, 0.6 * width**2)
    return float(np.sum(size * width**2 / 45 + 0.3 * size * width + scatter + 800))


def _by_pattern(nonzero: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the rows sorted by their patterns of active groups, the rarest group first."""
    rarest_first = np.argsort(nonzero.sum(axis=0), kind="stable")
    bits = np.ascontiguousarray(np.packbits(nonzero[:, rarest_first], axis=1))
    return np.argsort(bits.view(f"S{bits.shape[1]}").ravel(), kind="stable")


def _layout(nonzero: NDArray[np.bool_], group_size: int) -> tuple[NDArray[np.int64], int]:
    """Return the order of rows and the block size with the smallest estimated time."""
    n_rows, n_groups = nonzero.shape
    limit = max(_MAX_BLOCK_VALUES // (1 + n_groups * group_size), BLOCK_SIZES[0])
    sizes = [s for s in BLOCK_SIZES if s <= limit]
    orders = np.arange(n_rows), _by_pattern(nonzero)
    costs = [
        (_cost(_active(rows, size), size, group_size), i, size)
        for i, rows in enumerate(nonzero[order] for order in orders)
        for size in sizes
    ]
    _, best, size = min(costs)
    return orders[best], size


def _stored_rows(history: SpikeHistory) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Return where the regressors of each bin are stored, (pre, time), and the rows stored.

    The first row is zero; it stands for all bins without history.
    """
    n_bins, size = history.n_bins, history.n_basis
    where = np.zeros((history.n_pre, n_bins), dtype=np.int32)
    rows = [np.zeros((1, size))]
    values, stored = np.empty((size, n_bins)), 1
    for m, row in enumerate(where):
        write_regressors(history, m, 0, n_bins, values)
        at = np.flatnonzero(values.any(axis=0))
        row[at] = stored + np.arange(at.size)
        rows.append(values[:, at].T)
        stored += at.size
    return where, np.concatenate(rows)


def pack_rows(history: SpikeHistory, block_size: int | None = None) -> PackedRows:
    """Pack ``[1, x]``, leaving out of each row block the groups of columns that are zero in it.

    Parameters
    ----------
    history : SpikeHistory
        x (time, pre, basis), with a group of columns for each pre neuron. Column ``1 + m * B + b``
        of the result is ``x[:, m, b]``; column 0 is the constant.
    block_size : int, optional
        Rows per block, in the given order. By default the block size and the order of rows with the
        smallest estimated time.

    Returns
    -------
    PackedRows
    """
    n_rows, n_groups, group_size = history.n_bins, history.n_pre, history.n_basis
    which, stored = _stored_rows(history)
    nonzero = which.T > 0
    if block_size is None:
        order, block_size = _layout(nonzero, group_size)
    else:
        order = np.arange(n_rows)
    active = _active(nonzero[order], block_size)
    row_start = np.append(np.arange(0, n_rows, block_size), n_rows)
    column_start = np.append(0, np.cumsum(1 + group_size * active.sum(axis=1)))
    value_start = np.append(0, np.cumsum(np.diff(row_start) * np.diff(column_start)))
    values = np.empty(value_start[-1])
    columns = np.empty(column_start[-1], dtype=np.int64)
    for k, groups in enumerate(active):
        pre = np.flatnonzero(groups)
        kept = 1 + (pre[:, None] * group_size + np.arange(group_size)).ravel()
        rows = order[row_start[k] : row_start[k + 1]]
        columns[column_start[k] : column_start[k + 1]] = np.append(0, kept)
        block = values[value_start[k] : value_start[k + 1]].reshape(-1, 1 + kept.size)
        block[:, 0] = 1.0
        block[:, 1:] = stored[which[pre][:, rows].T].reshape(len(rows), -1)
    width = n_groups * group_size + 1
    return PackedRows(values, value_start, row_start, columns, column_start, width, order)


@compiled
def project(
    packed: PackedRows,
    coefficients: NDArray[np.float64],
    first: int,
    last: int,
    out: NDArray[np.float64],
) -> None:
    """Write ``out[n, t] = [1, x[order[t]]] . coefficients[n]`` for the blocks first..last-1."""
    values, value_start, row_start, columns, column_start, _, _ = packed
    n_post = coefficients.shape[0]
    for k in range(first, last):
        kept = columns[column_start[k] : column_start[k + 1]]
        n_rows = row_start[k + 1] - row_start[k]
        block = values[value_start[k] : value_start[k + 1]].reshape(n_rows, kept.size)
        gathered = np.empty((n_post, kept.size))
        for n in range(n_post):
            for c in range(kept.size):
                gathered[n, c] = coefficients[n, kept[c]]
        out[:, row_start[k] : row_start[k + 1]] = np.dot(gathered, block.T)


@compiled
def transpose_product(packed: PackedRows, y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``[1, x]' y`` for y (post, rows) in packed order, as (post, columns)."""
    values, value_start, row_start, columns, column_start, n_columns, _ = packed
    out = np.zeros((y.shape[0], n_columns))
    for k in range(row_start.size - 1):
        kept = columns[column_start[k] : column_start[k + 1]]
        n_rows = row_start[k + 1] - row_start[k]
        block = values[value_start[k] : value_start[k + 1]].reshape(n_rows, kept.size)
        product = np.dot(np.ascontiguousarray(y[:, row_start[k] : row_start[k + 1]]), block)
        for n in range(y.shape[0]):
            for c in range(kept.size):
                out[n, kept[c]] += product[n, c]
    return out


@compiled
def _syrk(a, c, beta):
    """Lower triangle of ``c <- a' a + beta c`` (row-major: BLAS sees the transposes)."""
    sizes = np.array([a.shape[1], a.shape[0]], dtype=np.int32)
    factors = np.array([1.0, beta])
    _dsyrk(
        _UPLO_TRANS.ctypes,
        _UPLO_TRANS[1:].ctypes,
        sizes.ctypes,
        sizes[1:].ctypes,
        factors.ctypes,
        a.ctypes,
        sizes.ctypes,
        factors[1:].ctypes,
        c.ctypes,
        sizes.ctypes,
    )


@inlined
def weighted_grams(
    packed: PackedRows, omega: NDArray[np.float64], out: NDArray[np.float64]
) -> None:
    """Write the lower triangles of ``out[n] = [1, x]' diag(omega[n]) [1, x]``.

    Each block is read once for all rows of omega (post, rows), which is in packed order; out has
    the shape (post, columns, columns).
    """
    values, value_start, row_start, columns, column_start, n_columns, _ = packed
    n_post = omega.shape[0]
    out[:] = 0.0
    longest = 0
    for k in range(row_start.size - 1):
        longest = max(longest, value_start[k + 1] - value_start[k])
    buffer = np.empty(longest)
    local = np.empty(n_columns * n_columns)
    for k in range(row_start.size - 1):
        first = row_start[k]
        n_rows = row_start[k + 1] - first
        kept = columns[column_start[k] : column_start[k + 1]]
        width = kept.size
        block = values[value_start[k] : value_start[k + 1]].reshape(n_rows, width)
        scaled = buffer[: n_rows * width].reshape(n_rows, width)
        for n in range(n_post):
            for i in range(n_rows):
                root = np.sqrt(omega[n, first + i])
                for c in range(width):
                    scaled[i, c] = root * block[i, c]
            if width == n_columns:
                _syrk(scaled, out[n], 1.0)
                continue
            gram = local[: width * width].reshape(width, width)
            _syrk(scaled, gram, 0.0)
            for i in range(width):
                row = kept[i]
                for j in range(i + 1):
                    out[n, row, kept[j]] += gram[i, j]
