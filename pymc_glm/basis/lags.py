"""Bases for coupling and history filters.

A basis is an array with dims (lag, basis). Row 0 is the lag of one bin: filters are strictly
causal. The functions of this module have peak 1 (the largest absolute value of every column), so
that a weight is the change of log odds, or of log rate, at the peak of the filter.
"""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
import xarray as xr
from scipy import linalg
from scipy.interpolate import BSpline

__all__ = ["as_basis", "bspline", "exponential", "identity", "orthogonalize", "raised_cosine"]

# Columns closer than this to a combination of the others count as dependent.
_RANK_TOLERANCE = 1e-10


def raised_cosine(
    n_basis: int,
    window: float,
    bin_width: float,
    *,
    spacing: Literal["log", "linear"] = "log",
) -> xr.DataArray:
    """Make raised cosines, by default in log time: fine at short lags, coarse at long ones.

    With s(lag) = log(lag + c) for ``spacing="log"`` and s(lag) = lag for ``spacing="linear"``,
    function j is (1 + cos(clip(pi (s - s_j) / (2 d), -pi, pi))) / 2. The centres s_j are d apart;
    the first is at the lag of one bin and the last function vanishes at the end of the window.
    The offset c is the smallest (of 0 and more) with which the first two centres are at least one
    bin apart, so that every function has a bin of its own; where not even a large c does this,
    which takes about as many functions as bins, spacing is linear.

    Parameters
    ----------
    n_basis : int
        Number of functions, at most the number of bins in the window.
    window : float
        Length of the filter in seconds; only whole bins count.
    bin_width : float
        Width of a bin in seconds.
    spacing : {"log", "linear"}
        Spacing of the centres.

    Returns
    -------
    xarray.DataArray
        Dims (lag, basis), lag in seconds, peak 1.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a valid number, or the window holds fewer bins than functions.

    References
    ----------
    Pillow et al. (2008), Spatio-temporal correlations and visual signalling in a complete neuronal
    population, Nature 454:995-999, Methods ("raised cosine bumps").

    Examples
    --------
    >>> import pymc_glm as pg
    >>> basis = pg.basis.raised_cosine(3, window=0.1, bin_width=0.005)
    >>> dict(basis.sizes)
    {'lag': 20, 'basis': 3}
    >>> basis.max("lag").values
    array([1., 1., 1.])
    """
    if spacing not in ("log", "linear"):
        raise ValueError(f'spacing must be "log" or "linear", got {spacing!r}')
    n_lags = _n_lags(window, bin_width)
    _check_n_basis(n_basis, n_lags)
    lags = np.arange(1.0, n_lags + 1)
    offset = _log_offset(n_basis, n_lags) if spacing == "log" else None
    ends = np.array([1.0, n_lags + 1.0])
    stretched = lags if offset is None else np.log(lags + offset)
    first, last = ends if offset is None else np.log(ends + offset)
    distance = (last - first) / (n_basis + 1)
    centres = first + distance * np.arange(n_basis)
    phase = np.pi * (stretched[:, None] - centres) / (2 * distance)
    values = (1 + np.cos(np.clip(phase, -np.pi, np.pi))) / 2
    return _as_array(values, bin_width, window, f"raised_cosine ({spacing})")


def _log_offset(n_basis: int, n_lags: int) -> float | None:
    """Smallest offset with which the first two centres are one bin apart; None for linear time."""
    if n_basis == 1:
        return 0.0

    def second_centre(offset: float) -> float:
        distance = np.log((n_lags + 1 + offset) / (1 + offset)) / (n_basis + 1)
        return float((1 + offset) * np.expm1(distance))

    low, high = 0.0, 100.0 * n_lags
    if second_centre(low) >= 1:
        return low
    if second_centre(high) < 1:
        return None
    while high - low > 1e-9 * high:  # second_centre increases with the offset
        middle = (low + high) / 2
        low, high = (low, middle) if second_centre(middle) >= 1 else (middle, high)
    return high


def bspline(n_basis: int, window: float, bin_width: float, *, degree: int = 3) -> xr.DataArray:
    """Make B-splines with evenly spaced knots over the window.

    The knots are clamped at the ends of the window, half a bin before the first lag and half a
    bin after the last, so that degree 0 gives boxcars. Every column is then scaled to peak 1.

    Parameters
    ----------
    n_basis : int
        Number of functions, at least ``degree + 1`` and at most the number of bins in the window.
    window : float
        Length of the filter in seconds; only whole bins count.
    bin_width : float
        Width of a bin in seconds.
    degree : int
        Degree of the polynomials.

    Returns
    -------
    xarray.DataArray
        Dims (lag, basis), lag in seconds, peak 1.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a valid number, or there are too few or too many functions.

    References
    ----------
    de Boor (1978), A Practical Guide to Splines, chapter IX.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> pg.basis.bspline(2, window=0.004, bin_width=0.001, degree=0).values
    array([[1., 0.],
           [1., 0.],
           [0., 1.],
           [0., 1.]])
    """
    n_lags = _n_lags(window, bin_width)
    _check_count(degree, "degree", least=0)
    _check_n_basis(n_basis, n_lags)
    if n_basis <= degree:
        raise ValueError(
            f"n_basis = {n_basis} is too few for splines of degree {degree}; give at least "
            f"{degree + 1} or a lower degree"
        )
    inner = np.linspace(0.5, n_lags + 0.5, n_basis - degree + 1)
    knots = np.concatenate([[inner[0]] * degree, inner, [inner[-1]] * degree])
    lags = np.arange(1.0, n_lags + 1)
    values = BSpline.design_matrix(lags, knots, degree).toarray()
    return _as_array(values, bin_width, window, f"bspline (degree {degree})")


def exponential(time_constants: Sequence[float], window: float, bin_width: float) -> xr.DataArray:
    """Make exponential decays, exp(-(lag - bin_width) / time_constant): 1 at the first lag.

    Parameters
    ----------
    time_constants : sequence of float
        One per function, in seconds, positive and distinct.
    window : float
        Length of the filter in seconds; only whole bins count.
    bin_width : float
        Width of a bin in seconds.

    Returns
    -------
    xarray.DataArray
        Dims (lag, basis), lag in seconds, peak 1.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a valid number, or the functions cannot be told apart on the bins.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> pg.basis.exponential([0.01], window=0.03, bin_width=0.01).values.ravel().round(3)
    array([1.   , 0.368, 0.135])
    """
    n_lags = _n_lags(window, bin_width)
    if isinstance(time_constants, str) or not np.iterable(time_constants):
        raise TypeError(f"time_constants must be a sequence of numbers, got {time_constants!r}")
    taus = [_positive(tau, f"time_constants[{i}]") for i, tau in enumerate(time_constants)]
    if not taus:
        raise ValueError("time_constants is empty; give at least one time constant in seconds")
    if len(set(taus)) < len(taus):
        raise ValueError(f"time_constants must be distinct, got {taus}")
    _check_n_basis(len(taus), n_lags)
    values = np.exp(-np.arange(n_lags)[:, None] * (bin_width / np.array(taus)))
    return _as_array(values, bin_width, window, "exponential")


def identity(window: float, bin_width: float) -> xr.DataArray:
    """Make one function per lag: filters of any shape, one weight a bin.

    Parameters
    ----------
    window : float
        Length of the filter in seconds; only whole bins count.
    bin_width : float
        Width of a bin in seconds.

    Returns
    -------
    xarray.DataArray
        The identity matrix, dims (lag, basis), lag in seconds.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a valid number, or the window is shorter than a bin.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> pg.basis.identity(window=0.002, bin_width=0.001).values
    array([[1., 0.],
           [0., 1.]])
    """
    return _as_array(np.eye(_n_lags(window, bin_width)), bin_width, window, "identity")


def orthogonalize(basis: xr.DataArray) -> xr.DataArray:
    """Make orthogonal functions that span the same filters, by QR in the order of the columns.

    Parameters
    ----------
    basis : xarray.DataArray
        Dims (lag, basis), as the functions of this module and `as_basis` return it.

    Returns
    -------
    xarray.DataArray
        The same dims and coordinates. Columns are orthogonal (not orthonormal): each is scaled so
        that its largest absolute value is 1, and positive there.

    Raises
    ------
    TypeError, ValueError
        If `basis` is not a DataArray with its lags in seconds, or its columns are dependent.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> basis = pg.basis.orthogonalize(pg.basis.raised_cosine(3, 0.1, 0.005))
    >>> gram = basis.values.T @ basis.values
    >>> bool(abs(gram - np.diag(np.diag(gram))).max() < 1e-12)
    True
    """
    if not isinstance(basis, xr.DataArray) or "bin_width" not in basis.attrs:
        raise TypeError(
            "basis must be a DataArray made by pymc_glm.basis; for an array of your own "
            "give as_basis(array, bin_width)"
        )
    basis = as_basis(basis, basis.attrs["bin_width"])
    values = linalg.qr(basis.values, mode="economic")[0]
    values /= values[np.abs(values).argmax(axis=0), np.arange(values.shape[1])]
    kind = f"orthogonalized {basis.attrs.get('kind', 'custom')}"
    return basis.copy(data=values).assign_attrs(kind=kind)


def as_basis(basis: Any, bin_width: float) -> xr.DataArray:
    """Check a basis of any origin: a matrix of your own, one of NeMoS, or one of this module.

    Parameters
    ----------
    basis : array or xarray.DataArray, shape (lag, basis)
        Row 0 is the lag of one bin. Values are taken as they are, without scaling.
    bin_width : float
        Width of a bin in seconds. Lags that a DataArray brings along must agree with it.

    Returns
    -------
    xarray.DataArray
        Dims (lag, basis), lag in seconds.

    Raises
    ------
    TypeError
        If the values are not real numbers.
    ValueError
        If the array is not two-dimensional, is empty, has more columns than rows, values that are
        not finite, columns of zeros or linearly dependent ones, or lags that contradict
        `bin_width`.

    Examples
    --------
    >>> import numpy as np
    >>> import pymc_glm as pg
    >>> pg.basis.as_basis(np.array([[1.0], [0.5]]), 0.005)["lag"].values
    array([0.005, 0.01 ])
    """
    bin_width = _positive(bin_width, "bin_width")
    lag_coord = basis_coord = None
    attrs: dict[str, Any] = {"kind": "custom"}
    if isinstance(basis, xr.DataArray):
        if set(basis.dims) != {"lag", "basis"}:
            raise ValueError(f'basis must have dims ("lag", "basis"), got {basis.dims}')
        basis = basis.transpose("lag", "basis")
        lag_coord, basis_coord = (
            basis[dim] if dim in basis.coords else None for dim in ("lag", "basis")
        )
        attrs |= basis.attrs
    values = np.asarray(basis)
    if values.dtype.kind not in "iufb":
        raise TypeError(f"basis must hold real numbers, got {values.dtype}")
    values = values.astype(np.float64)
    _check_matrix(values)
    lags = bin_width * np.arange(1, len(values) + 1)
    if lag_coord is not None:
        wrong = np.flatnonzero(~np.isclose(lag_coord.values, lags, rtol=1e-6, atol=0))
        if wrong.size:
            raise ValueError(
                f"the lags of basis contradict bin_width = {bin_width:g} s: row {wrong[0]} should "
                f"have lag {lags[wrong[0]]:g} s but has {lag_coord.values[wrong[0]]:g} s; make the "
                "basis with the bin_width of the counts"
            )
    attrs["bin_width"] = bin_width
    attrs.setdefault("window", float(lags[-1]))
    columns = np.arange(values.shape[1]) if basis_coord is None else basis_coord.values
    return _label(values, lags, columns, attrs)


def _check_matrix(values: np.ndarray) -> None:
    if values.ndim != 2:
        raise ValueError(
            f"basis must have 2 dimensions (lag, basis), got shape {values.shape}; a single "
            "function is a column, array[:, None]"
        )
    n_lags, n_basis = values.shape
    if not values.size:
        raise ValueError(f"basis is empty, shape {values.shape}; it needs a lag and a function")
    bad = np.argwhere(~np.isfinite(values))
    if bad.size:
        lag, column = bad[0]
        raise ValueError(
            f"basis must be finite, but row {lag} of column {column} is {values[lag, column]}"
        )
    if n_basis > n_lags:
        raise ValueError(
            f"basis has more columns than rows, {n_basis} functions on {n_lags} lags; rows are "
            "lags, so it may need a transpose"
        )
    peaks = np.abs(values).max(axis=0)
    if (zero := np.flatnonzero(peaks == 0)).size:
        raise ValueError(f"columns {zero.tolist()} of basis are all zero; remove them")
    scaled = values / peaks
    scaled /= np.linalg.norm(scaled, axis=0)
    _, triangle, order = linalg.qr(scaled, mode="economic", pivoting=True)
    rank = int((np.abs(np.diag(triangle)) > _RANK_TOLERANCE).sum())
    if rank < n_basis:
        share = linalg.solve_triangular(triangle[:rank, :rank], triangle[:rank, rank])
        others = sorted(order[:rank][np.abs(share) > 1e-6].tolist())
        raise ValueError(
            f"the columns of basis are linearly dependent: column {order[rank]} is a combination "
            f"of columns {others} (rank {rank} of {n_basis}); remove it"
        )


def _as_array(values: np.ndarray, bin_width: float, window: float, kind: str) -> xr.DataArray:
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


def _n_lags(window: float, bin_width: float) -> int:
    ratio = _positive(window, "window") / _positive(bin_width, "bin_width")
    n_lags = int(np.floor(ratio * (1 + 1e-9)))
    if n_lags < 1:
        raise ValueError(f"window = {window:g} s is shorter than one bin, {bin_width:g} s")
    return n_lags


def _check_n_basis(n_basis: int, n_lags: int) -> None:
    _check_count(n_basis, "n_basis", least=1)
    if n_basis > n_lags:
        raise ValueError(
            f"n_basis = {n_basis} is more than the {n_lags} bins of the window; give fewer "
            "functions, a longer window or narrower bins"
        )


def _check_count(value: Any, name: str, *, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")


def _positive(value: Any, name: str) -> float:
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number of seconds, got {value!r}")
    if not 0 < float(value) < np.inf:
        raise ValueError(f"{name} must be positive and finite, got {value!r} s")
    return float(value)
