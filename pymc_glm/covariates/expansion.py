"""Regressors from a measured variable: convolved with a basis, or a function of its values."""

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from pymc_glm.covariates.columns import as_columns
from pymc_glm.segments import segment_starts

__all__ = ["covariate_design"]


def covariate_design(
    variable: xr.DataArray | ArrayLike,
    basis: xr.DataArray | Callable[[NDArray[np.float64]], NDArray[np.float64]],
    *,
    causal: bool = True,
    segment_start: ArrayLike | None = None,
) -> xr.DataArray:
    r"""Expand a variable in a basis: regressors for ``build_glm(..., covariates=)``.

    A basis over lags, such as `pymc_glm.basis.raised_cosine`, is convolved with the variable; its
    first row applies to the current bin,

    .. math:: x_{tk} = \sum_{l=0}^{L-1} \phi_{lk}\, s_{t-l}

    (Pillow et al. 2008, Nature 454:995, the stimulus filter). With ``causal=False`` the window is
    centred on the current bin. A function, such as one from `pymc_glm.basis.bumps`, is evaluated
    at the values of the variable: tuning to position, direction or time in the trial.

    Parameters
    ----------
    variable : DataArray or array, (time,) or (time, covariate)
        Finite numbers; bins before a segment count as zero. A pynapple Tsd or TsdFrame or a pandas
        DataFrame is accepted too.
    basis : DataArray (lag, basis), or callable
        Basis over lags; or a function from values (time,) to (time, basis).
    causal : bool
        Whether only the present and the past act; for a basis over lags.
    segment_start : array of int (segment,), optional
        First bins of trials or epochs; the convolution does not cross their borders. By default a
        segment starts, as in counts, where a coordinate ``segment`` or ``trial`` of the variable
        changes or its time jumps, and a plain array is one segment. ``[0]`` makes all bins one
        segment.

    Returns
    -------
    DataArray, dims (time, covariate)
        Labelled by variable and basis function.

    Raises
    ------
    ValueError, TypeError
        Wrong dimensions, values that are not finite, a basis of the wrong type or for another bin
        width, or invalid first bins.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> speed = np.array([0.0, 1.0, 0.0, 0.0])
    >>> filters = pg.basis.identity(window=0.02, bin_width=0.01)
    >>> pg.covariate_design(speed, filters).values.tolist()
    [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]
    >>> angle = np.linspace(0, 2 * np.pi, 5)
    >>> pg.covariate_design(angle, pg.basis.bumps(4, 0, 2 * np.pi, cyclic=True)).shape
    (5, 4)
    """
    columns = as_columns(variable, "variable")
    starts = np.zeros(1, np.int64) if callable(basis) else _starts(columns, segment_start)
    expanded = []
    for label in columns["covariate"].values:
        values = columns.sel(covariate=label).values
        if callable(basis):
            regressors = np.asarray(basis(values), dtype=float)
            if regressors.shape[:1] != values.shape or regressors.ndim != 2:
                raise ValueError(
                    f"basis: the function returned the shape {regressors.shape} for {values.size} "
                    "values, allowed is (time, basis)."
                )
        elif getattr(basis, "dims", None) == ("lag", "basis"):
            _check_width(basis, columns)
            regressors = _convolved(values, np.asarray(basis, dtype=float), causal, starts)
        else:
            raise TypeError(
                f"basis: got {type(basis).__name__}; give a DataArray (lag, basis) from "
                "pymc_glm.basis, or a function of values such as pymc_glm.basis.bumps(...)."
            )
        labels = [f"{label}[{k}]" for k in range(regressors.shape[1])]
        expanded.append(
            xr.DataArray(regressors, dims=("time", "covariate"), coords={"covariate": labels})
        )
    design = xr.concat(expanded, dim="covariate")
    return design.assign_coords(time=columns["time"]) if "time" in columns.coords else design


def _starts(columns: xr.DataArray, given: ArrayLike | None) -> NDArray[np.int64]:
    """Return the first bins of segments, (segment,)."""
    if given is None:
        return segment_starts(columns, "variable")
    starts, n_bins = np.asarray(given), columns.sizes["time"]
    right = starts.ndim == 1 and starts.size and starts.dtype.kind in "iu"
    if not right or starts[0] != 0 or (np.diff(starts) < 1).any() or starts[-1] >= n_bins:
        raise ValueError(
            f"segment_start: got {given!r}, allowed are the first bins of the segments: increasing "
            f"whole numbers that start at 0 and stay below {n_bins}."
        )
    return starts.astype(np.int64)


def _check_width(basis: Any, columns: xr.DataArray) -> None:
    """Raise if the basis has another bin width than the variable."""
    width = basis.attrs.get("bin_width")
    if width is None or "time" not in columns.coords or columns.sizes["time"] < 2:
        return
    step = float(np.median(np.diff(columns["time"].values.astype(float))))
    if abs(step - width) > 1e-3 * width:
        raise ValueError(
            f"basis: it is for bins of {width:g} s, but the variable has a value every {step:g} s; "
            "use the bin width of the counts for both."
        )


def _convolved(
    values: NDArray[np.float64], basis: NDArray[np.float64], causal: bool, starts: NDArray
) -> NDArray[np.float64]:
    """Convolve segment by segment, (time, basis)."""
    from scipy.signal import convolve

    ahead = 0 if causal else len(basis) // 2
    parts = []
    for part in np.split(values, starts[1:]):
        full = convolve(part[:, None], basis, mode="full")
        parts.append(np.concatenate([full, np.zeros((ahead, basis.shape[1]))])[ahead:][: part.size])
    return np.concatenate(parts)
