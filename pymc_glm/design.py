"""Checks of counts and basis, and the history regressors computed from them."""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from pymc_glm.basis import as_basis
from pymc_glm.kernels.history import convolve_history
from pymc_glm.segments import data_bins, segment_starts
from pymc_glm.spikes import counts_from_package, intervals_from_package

__all__ = ["Design", "check_counts", "history_design", "make_design"]


class Design(NamedTuple):
    """Checked data of a model."""

    counts: xr.DataArray  # (time, neuron), of an integer type
    basis: xr.DataArray  # (lag, basis)
    bin_width: float  # s
    starts: NDArray[np.int64]  # (segment,): first bins of trials or epochs
    data_bins: NDArray[np.int64] | None = None  # bins that are data; None: all
    self_basis: xr.DataArray | None = None  # (lag, basis), of self filters

    @property
    def observed(self) -> NDArray:
        """Counts (time, neuron), zero in bins that are no data."""
        if self.data_bins is None:
            return self.counts.values
        observed = np.zeros_like(self.counts.values)
        observed[self.data_bins] = self.counts.values[self.data_bins]
        return observed


def check_counts(
    counts: xr.DataArray | ArrayLike, bin_width: float | None = None, whole: bool = True
) -> xr.DataArray:
    """Check counts and return them as a DataArray (time, neuron) with attrs["bin_width"].

    Parameters
    ----------
    counts : DataArray or array (time, neuron), or pynapple.TsdFrame
        Spike counts, e.g. from `pymc_glm.bin_spikes`. A plain array gets times from bin_width and
        the neurons "0", "1", ... For a TsdFrame see `pymc_glm.spikes.counts_from_package`.
    bin_width : float, optional
        Seconds; needed if the counts have none.
    whole : bool
        False for real-valued traces.

    Raises
    ------
    ValueError
        Wrong dimensions, no bin width, no bins or neurons, repeated neurons, or counts that are
        NaN, infinite, negative or fractional.
    """
    counts = counts_from_package(counts, bin_width)
    if not isinstance(counts, xr.DataArray):
        values = np.asarray(counts)
        if values.ndim != 2:
            raise ValueError(
                f"counts: got {values.ndim} dimensions, allowed is an array (time, neuron)."
            )
        counts = xr.DataArray(values, dims=("time", "neuron"))
    if set(counts.dims) != {"time", "neuron"}:
        raise ValueError(f"counts: got the dims {counts.dims}, allowed are ('time', 'neuron').")
    counts = counts.transpose("time", "neuron")
    width = counts.attrs.get("bin_width", bin_width)
    if width is None:
        raise ValueError(
            "counts: no bin width; give counts from pg.bin_spikes, a DataArray with "
            "attrs['bin_width'] in seconds, or a basis that has one."
        )
    if 0 in counts.shape:
        raise ValueError(
            f"counts: got the empty shape {counts.shape}; give at least one bin and one neuron."
        )
    n_bins, n_neurons = counts.shape
    if "time" not in counts.coords:
        counts = counts.assign_coords(time=np.arange(n_bins) * float(width))
    if "neuron" not in counts.coords:
        counts = counts.assign_coords(neuron=[str(n) for n in range(n_neurons)])
    counts = counts.assign_coords(neuron=[str(n) for n in counts["neuron"].values])
    labels, repeats = np.unique(counts["neuron"].values, return_counts=True)
    if (repeats > 1).any():
        raise ValueError(
            f"counts: the neuron labels {labels[repeats > 1].tolist()} occur more than once; give "
            "each neuron a different label."
        )
    _check_values(counts, whole)
    if not whole:
        counts = counts.astype(np.float64)
    elif counts.dtype.kind not in "iu":
        counts = counts.astype(np.int64)
    return counts.assign_attrs(counts.attrs | {"bin_width": float(width)})


def _check_values(counts: xr.DataArray, whole: bool) -> None:
    values = counts.values
    allowed = "counts 0, 1, 2, ..." if whole else "finite numbers"
    if values.dtype.kind not in "biuf":
        raise ValueError(f"counts: got values of type {values.dtype}, allowed are {allowed}.")
    tests: list[tuple[Callable[[NDArray], NDArray], str]] = []
    if values.dtype.kind == "f":
        tests.append((lambda x: ~np.isfinite(x), "not a finite number"))
    if whole:
        tests.append((lambda x: x < 0, "negative"))
    if whole and values.dtype.kind == "f":
        tests.append((lambda x: x != np.floor(x), "not a whole number"))
    for test, what in tests:
        wrong = test(values)
        if wrong.any():
            time, neuron = np.argwhere(wrong)[0]
            raise ValueError(
                f"counts: {values[time, neuron]} in bin {time} of neuron "
                f"{str(counts['neuron'].values[neuron])!r} is {what} ({wrong.sum()} in total); "
                f"allowed are {allowed}. Set bins without data to an allowed value and leave them "
                "out with exclude=."
            )


def _warn_of_constant_regressors(counts: xr.DataArray) -> None:
    """Warn of pre neurons without information: they never fire, or fire in every bin."""
    fired = counts.values[:-1] != 0  # nothing is observed after the last bin
    drop = "pg.bin_spikes(..., min_rate=) drops neurons that fire too little."
    for constant, one, several in (
        (
            ~fired.any(axis=0),
            "neuron never fires ({}), or only in the last bin; its effect on other neurons is "
            f"known from the prior alone. {drop}",
            "neurons never fire ({}), or only in the last bin; their effect on other neurons is "
            f"known from the prior alone. {drop}",
        ),
        (
            fired.all(axis=0),
            "neuron fires in every bin ({}); only the prior separates its effect on other neurons "
            "from the biases. Use a smaller bin_width, or leave it out.",
            "neurons fire in every bin ({}); only the prior separates their effect on other "
            "neurons from the biases. Use a smaller bin_width, or leave them out.",
        ),
    ):
        if constant.any():
            names = ", ".join(counts["neuron"].values[constant][:12])
            text = (one if constant.sum() == 1 else several).format(names)
            warnings.warn(f"counts: {constant.sum()} {text}", UserWarning, stacklevel=4)


def make_design(
    counts: xr.DataArray | ArrayLike,
    basis: xr.DataArray | ArrayLike,
    exclude: Any = None,
    unknown_history: str = "recorded",
    whole: bool = True,
    self_basis: xr.DataArray | ArrayLike | None = None,
) -> Design:
    """Check counts and bases.

    Parameters
    ----------
    counts : DataArray or array, (time, neuron)
    basis : DataArray or array, (lag, basis)
    exclude, unknown_history
        See `pymc_glm.segments.data_bins`.
    whole : bool
        See `check_counts`.
    self_basis : DataArray or array, (lag, basis), optional
        Of self filters; the longer of both windows is the history of a bin.

    Returns
    -------
    Design

    Raises
    ------
    ValueError
        See `check_counts`, `pymc_glm.basis.as_basis`, `pymc_glm.segments.segment_starts` and
        `data_bins`; or the window is longer than the recording.
    """
    width = getattr(basis, "attrs", {}).get("bin_width")
    counts = check_counts(counts, width, whole)
    bin_width = counts.attrs["bin_width"]
    basis = as_basis(basis, bin_width)
    n_lags, n_bins = len(basis), len(counts)
    if n_lags >= n_bins:
        raise ValueError(
            f"basis: its window of {n_lags} bins ({n_lags * bin_width:g} s) is not shorter than "
            f"the recording of {n_bins} bins ({n_bins * bin_width:g} s); use a shorter window."
        )
    if whole:
        _warn_of_constant_regressors(counts)
    starts = segment_starts(counts)
    exclude = intervals_from_package(exclude)
    if self_basis is not None:
        self_basis = _self_basis(self_basis, bin_width)
        n_lags = max(n_lags, len(self_basis))
    kept = data_bins(counts, starts, n_lags, exclude, unknown_history)
    return Design(counts, basis, bin_width, starts, kept, self_basis)


def _self_basis(self_basis: Any, bin_width: float) -> xr.DataArray:
    try:
        return as_basis(self_basis, bin_width)
    except (TypeError, ValueError) as error:
        raise type(error)(f"self_{error}") from error


def history_design(
    counts: xr.DataArray | ArrayLike, basis: xr.DataArray | ArrayLike
) -> xr.DataArray:
    r"""Return the history regressors of a network GLM.

    .. math:: x_{tmb} = \sum_{l=1}^{L} \phi_{lb}\, y_{t-l,m}

    Parameters
    ----------
    counts : DataArray or array, (time, neuron)
    basis : DataArray or array, (lag, basis)

    Returns
    -------
    DataArray, dims (time, pre, basis)
        Strictly causal: a spike acts from the next bin on. Bins before a segment (trial, epoch)
        count as silent.

    Raises
    ------
    ValueError
        Counts or basis cannot be used, see `check_counts` and `pymc_glm.basis.as_basis`.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> counts = np.array([[1], [0], [0], [0]])
    >>> basis = pg.basis.identity(window=0.002, bin_width=0.001)
    >>> pg.history_design(counts, basis).values[:, 0]
    array([[0., 0.],
           [1., 0.],
           [0., 1.],
           [0., 0.]])
    """
    design = make_design(counts, basis)
    return xr.DataArray(
        convolve_history(design.counts.values, design.basis.values, design.starts),
        dims=("time", "pre", "basis"),
        coords={
            "time": design.counts["time"].values,
            "pre": design.counts["neuron"].values,
            "basis": design.basis["basis"].values,
        },
    )
