"""Bases over lags as labelled arrays, and checks of those from other sources."""

from typing import Any

import numpy as np
import xarray as xr
from scipy import linalg

from pymc_glm.arguments import as_number

__all__ = ["as_basis", "peak_one"]

# Columns closer than this to a combination of the others count as dependent.
_RANK_TOLERANCE = 1e-10


def as_basis(basis: Any, bin_width: float) -> xr.DataArray:
    """Check and label a basis from any source: your own matrix, NeMoS or `pymc_glm.basis`.

    Parameters
    ----------
    basis : array or xarray.DataArray, shape (lag, basis)
        Row 0 is the lag of one bin. Values are not scaled.
    bin_width : float
        Width of a bin in seconds. The lags of a DataArray must agree with it.

    Returns
    -------
    xarray.DataArray
        Dims (lag, basis), lag in seconds.

    Raises
    ------
    TypeError
        If the values or `bin_width` are not real numbers.
    ValueError
        If the array is not two-dimensional, is empty, has more columns than rows, values that are
        not finite, columns that are all zero or linearly dependent, or lags that contradict
        `bin_width`.

    Examples
    --------
    >>> import numpy as np
    >>> import pymc_glm as pg
    >>> pg.basis.as_basis(np.array([[1.0], [0.5]]), 0.005)["lag"].values
    array([0.005, 0.01 ])
    """
    bin_width = as_number(bin_width, "bin_width", above=0, unit="s")
    lag_coord = basis_coord = None
    attrs: dict[str, Any] = {"kind": "custom"}
    if isinstance(basis, xr.DataArray):
        if set(basis.dims) != {"lag", "basis"}:
            raise ValueError(f'basis: got the dims {basis.dims}, allowed are ("lag", "basis").')
        basis = basis.transpose("lag", "basis")
        lag_coord, basis_coord = (
            basis[dim] if dim in basis.coords else None for dim in ("lag", "basis")
        )
        attrs |= basis.attrs
    values = np.asarray(basis)
    if values.dtype.kind not in "iufb":
        raise TypeError(f"basis: got values of type {values.dtype}, allowed are real numbers.")
    values = values.astype(np.float64)
    _check_matrix(values)
    lags = bin_width * np.arange(1, len(values) + 1)
    if lag_coord is not None:
        wrong = np.flatnonzero(~np.isclose(lag_coord.values, lags, rtol=1e-6, atol=0))
        if wrong.size:
            raise ValueError(
                f"basis: its lags contradict bin_width = {bin_width:g} s: row {wrong[0]} should "
                f"have lag {lags[wrong[0]]:g} s but has {lag_coord.values[wrong[0]]:g} s; make the "
                "basis with the bin_width of the counts."
            )
    attrs["bin_width"] = bin_width
    attrs.setdefault("window", float(lags[-1]))
    columns = np.arange(values.shape[1]) if basis_coord is None else basis_coord.values
    return _label(values, lags, columns, attrs)


def _check_matrix(values: np.ndarray) -> None:
    if values.ndim != 2:
        raise ValueError(
            f"basis: it needs 2 dimensions (lag, basis), got the shape {values.shape}; give a "
            "single function as a column, array[:, None]."
        )
    n_lags, n_basis = values.shape
    if not values.size:
        raise ValueError(
            f"basis: it is empty, of shape {values.shape}; give at least one lag and one function."
        )
    bad = np.argwhere(~np.isfinite(values))
    if bad.size:
        lag, column = bad[0]
        raise ValueError(
            f"basis: all values must be finite, but row {lag} of column {column} is "
            f"{values[lag, column]}."
        )
    if n_basis > n_lags:
        raise ValueError(
            f"basis: it has more columns than rows, {n_basis} functions on {n_lags} lags; rows are "
            "lags, so it may need transposing."
        )
    peaks = np.abs(values).max(axis=0)
    if (zero := np.flatnonzero(peaks == 0)).size:
        raise ValueError(f"basis: columns {zero.tolist()} are all zero; remove them.")
    scaled = values / peaks
    scaled /= np.linalg.norm(scaled, axis=0)
    _, triangle, order = linalg.qr(scaled, mode="economic", pivoting=True)
    rank = int((np.abs(np.diag(triangle)) > _RANK_TOLERANCE).sum())
    if rank < n_basis:
        share = linalg.solve_triangular(triangle[:rank, :rank], triangle[:rank, rank])
        others = sorted(order[:rank][np.abs(share) > 1e-6].tolist())
        raise ValueError(
            f"basis: its columns are linearly dependent: column {order[rank]} is a combination of "
            f"columns {others} (rank {rank} of {n_basis}); remove it."
        )


def peak_one(values: np.ndarray, bin_width: float, window: float, kind: str) -> xr.DataArray:
    """Scale basis functions (lag, basis) to peak 1, check and label them."""
    values = values / np.abs(values).max(axis=0)
    _check_matrix(values)
    attrs = {"kind": kind, "bin_width": float(bin_width), "window": float(window)}
    lags = float(bin_width) * np.arange(1, len(values) + 1)
    return _label(values, lags, np.arange(values.shape[1]), attrs)


def _label(
    values: np.ndarray, lags: np.ndarray, columns: np.ndarray, attrs: dict[str, Any]
) -> xr.DataArray:
    coords = {"lag": xr.Variable("lag", lags, {"units": "s"}), "basis": columns}
    return xr.DataArray(values, dims=("lag", "basis"), coords=coords, name="basis", attrs=attrs)
