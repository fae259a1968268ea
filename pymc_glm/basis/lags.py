"""Bases for coupling and history filters.

A basis is an array with dims (lag, basis). Row 0 is the lag of one bin, so filters are strictly
causal. The basis functions of this module have peak 1 (the largest absolute value of every column),
so a weight is the change in log odds, or in log rate, at the peak of the filter.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import xarray as xr
from scipy import linalg
from scipy.interpolate import BSpline

from pymc_glm.arguments import as_number, as_whole_number
from pymc_glm.basis.arrays import as_basis, peak_one

__all__ = ["bspline", "exponential", "identity", "orthogonalize", "raised_cosine"]


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
    The offset c is the smallest number from 0 upwards that puts the first two centres at least one
    bin apart, so that every function peaks in a different bin. If even a large c does not, which
    happens with nearly as many functions as bins, spacing is linear.

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
        raise ValueError(f'spacing: got {spacing!r}, allowed are "log" and "linear".')
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
    return peak_one(values, bin_width, window, f"raised_cosine ({spacing})")


def _log_offset(n_basis: int, n_lags: int) -> float | None:
    """Return the smallest offset that puts the first centres a bin apart; None for linear time."""
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
    as_whole_number(degree, "degree", at_least=0)
    _check_n_basis(n_basis, n_lags)
    if n_basis <= degree:
        raise ValueError(
            f"n_basis: got {n_basis}, too few for splines of degree {degree}; give at least "
            f"{degree + 1}, or a lower degree."
        )
    inner = np.linspace(0.5, n_lags + 0.5, n_basis - degree + 1)
    knots = np.concatenate([[inner[0]] * degree, inner, [inner[-1]] * degree])
    lags = np.arange(1.0, n_lags + 1)
    values = BSpline.design_matrix(lags, knots, degree).toarray()
    return peak_one(values, bin_width, window, f"bspline (degree {degree})")


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
        If an argument is not a valid number, or the functions are linearly dependent on the bins.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> pg.basis.exponential([0.01], window=0.03, bin_width=0.01).values.ravel().round(3)
    array([1.   , 0.368, 0.135])
    """
    n_lags = _n_lags(window, bin_width)
    if isinstance(time_constants, str) or not np.iterable(time_constants):
        raise TypeError(
            f"time_constants: got {time_constants!r}; give a sequence of numbers in seconds."
        )
    taus = [
        as_number(tau, f"time_constants[{i}]", above=0, unit="s")
        for i, tau in enumerate(time_constants)
    ]
    if not taus:
        raise ValueError("time_constants: it is empty; give at least one number in seconds.")
    if len(set(taus)) < len(taus):
        raise ValueError(f"time_constants: got {taus}; give distinct ones.")
    _check_n_basis(len(taus), n_lags)
    values = np.exp(-np.arange(n_lags)[:, None] * (bin_width / np.array(taus)))
    return peak_one(values, bin_width, window, "exponential")


def identity(window: float, bin_width: float) -> xr.DataArray:
    """Make one function per lag: filters of any shape, with one weight per bin.

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
    return peak_one(np.eye(_n_lags(window, bin_width)), bin_width, window, "identity")


def orthogonalize(basis: xr.DataArray) -> xr.DataArray:
    """Make orthogonal functions that span the same filters, by QR in the order of the columns.

    Parameters
    ----------
    basis : xarray.DataArray
        Dims (lag, basis), as returned by the functions of this module and `as_basis`.

    Returns
    -------
    xarray.DataArray
        The same dims and coordinates. Columns are orthogonal but not orthonormal: each is scaled
        so that the value of largest magnitude is 1.

    Raises
    ------
    TypeError, ValueError
        If `basis` is not a DataArray with a bin width, or its columns are linearly dependent.

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
            f"basis: got {type(basis).__name__}, allowed are DataArrays made by pymc_glm.basis; "
            "give any other array as as_basis(array, bin_width)."
        )
    basis = as_basis(basis, basis.attrs["bin_width"])
    values = linalg.qr(basis.values, mode="economic")[0]
    values /= values[np.abs(values).argmax(axis=0), np.arange(values.shape[1])]
    kind = f"orthogonalized {basis.attrs.get('kind', 'custom')}"
    return basis.copy(data=values).assign_attrs(kind=kind)


def _n_lags(window: float, bin_width: float) -> int:
    ratio = as_number(window, "window", above=0, unit="s") / as_number(
        bin_width, "bin_width", above=0, unit="s"
    )
    n_lags = int(np.floor(ratio * (1 + 1e-9)))
    if n_lags < 1:
        raise ValueError(f"window: {window:g} s is shorter than one bin, {bin_width:g} s.")
    return n_lags


def _check_n_basis(n_basis: int, n_lags: int) -> None:
    as_whole_number(n_basis, "n_basis")
    if n_basis > n_lags:
        raise ValueError(
            f"n_basis: got {n_basis}, more than the {n_lags} bins of the window; give fewer "
            "functions, a longer window or narrower bins."
        )
