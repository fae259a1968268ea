"""Covariates as an array (time, covariate), checked against the counts."""

import warnings
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from pymc_glm.spikes import variable_from_package

__all__ = ["Covariates", "as_columns", "covariate_columns", "in_order", "read_covariates"]

_FAR = 10.0  # standard deviations; a mean further from zero correlates the weight with the bias


def as_columns(variable: Any, name: str) -> xr.DataArray:
    """Return a variable as a DataArray (time, covariate) of finite floats.

    Raises
    ------
    ValueError
        Wrong dimensions or type, no columns, or values that are not finite.
    """
    variable = variable_from_package(variable)
    if not isinstance(variable, xr.DataArray):
        values = np.asarray(variable)
        if values.ndim not in (1, 2):
            raise ValueError(
                f"{name}: got {values.ndim} dimensions, allowed are (time,) and (time, covariate)."
            )
        variable = xr.DataArray(values, dims=("time", "covariate")[: values.ndim])
    if "time" not in variable.dims or not set(variable.dims) <= {"time", "covariate"}:
        raise ValueError(
            f"{name}: got the dims {variable.dims}, allowed are ('time',) and ('time', "
            "'covariate')."
        )
    if "covariate" not in variable.dims:
        variable = variable.expand_dims(covariate=[str(variable.name or name)])
    columns = variable.transpose("time", "covariate")
    if "covariate" not in columns.coords:
        columns = columns.assign_coords(covariate=[str(i) for i in range(columns.shape[1])])
    columns = columns.assign_coords(covariate=[str(label) for label in columns["covariate"].values])
    if not columns.sizes["covariate"]:
        raise ValueError(f"{name}: got no columns; give at least one, or None.")
    if columns.dtype.kind not in "biuf":
        raise ValueError(f"{name}: got values of type {columns.dtype}, allowed are numbers.")
    columns = columns.astype(float)
    wrong = ~np.isfinite(columns.values)
    if wrong.any():
        time, which = np.argwhere(wrong)[0]
        label = str(columns["covariate"].values[which])
        raise ValueError(
            f"{name}: got {columns.values[time, which]} in bin {time} of {label!r} ({wrong.sum()} "
            "in total), allowed are finite numbers; fill in such values, or leave their bins out "
            "with exclude= and set them to any number."
        )
    return columns


class Covariates(NamedTuple):
    """Checked covariates of a model."""

    values: xr.DataArray  # (time, covariate)
    spread: NDArray[np.float64]  # (covariate,): standard deviations
    bins: NDArray[np.int64] | None = None  # bins that are data; None: all


def covariate_columns(covariates: xr.DataArray | ArrayLike, counts: xr.DataArray) -> xr.DataArray:
    """Return covariates (time, covariate) for the bins of the counts.

    Parameters
    ----------
    covariates : DataArray or array, (time, covariate)
        See `covariate_design` for other accepted types.
    counts : DataArray (time, neuron)

    Raises
    ------
    ValueError
        Another length or other times than the counts, values that are not finite, or repeated
        labels.
    """
    columns = as_columns(covariates, "covariates")
    if columns.sizes["time"] != counts.sizes["time"]:
        raise ValueError(
            f"covariates: got {columns.sizes['time']} bins, the counts have "
            f"{counts.sizes['time']}; give one row for each bin of the counts."
        )
    if "time" in columns.coords:
        away = np.abs(columns["time"].values - counts["time"].values)
        # Starts of bins, or their centres as in pynapple, which rounds them.
        if away.max() > (0.5 + 1e-3) * counts.attrs["bin_width"]:
            where = int(away.argmax())
            raise ValueError(
                f"covariates: bin {where} is at {columns['time'].values[where]:g} s, but at "
                f"{counts['time'].values[where]:g} s in the counts; align them, for example with "
                "covariates.interp(time=counts['time'])."
            )
    labels, repeats = np.unique(columns["covariate"].values, return_counts=True)
    if (repeats > 1).any():
        raise ValueError(
            f"covariates: the labels {labels[repeats > 1].tolist()} occur more than once; give "
            "each covariate a different label."
        )
    return columns


def read_covariates(
    covariates: xr.DataArray | ArrayLike,
    counts: xr.DataArray,
    bins: NDArray[np.int64] | None = None,
) -> Covariates:
    """Check covariates against the counts.

    Parameters
    ----------
    covariates : DataArray or array, (time, covariate)
    counts : DataArray (time, neuron)
    bins : array of int, optional
        The bins that are data, by default all.

    Raises
    ------
    ValueError
        See `covariate_columns`; or a covariate is constant.
    """
    columns = covariate_columns(covariates, counts)
    spread, mean = columns.values.std(axis=0), columns.values.mean(axis=0)
    names = columns["covariate"].values.tolist()
    for name, sd, centre in zip(names, spread, mean, strict=True):
        if sd <= 1e-12 * max(abs(centre), 1e-300):
            raise ValueError(
                f"covariates: {name!r} is {centre:g} in every bin, so its effect cannot be "
                "separated from the biases; leave it out."
            )
        if abs(centre) > _FAR * sd:
            warnings.warn(
                f"covariates: the mean of {name!r}, {centre:g}, is {abs(centre) / sd:.0f} standard "
                "deviations from zero, but biases refer to covariates of zero; subtract the mean.",
                UserWarning,
                stacklevel=3,
            )
    return Covariates(columns, spread, bins)


def in_order(array: xr.DataArray, dim: str, labels: list[str], name: str) -> xr.DataArray:
    """Reorder an array along a dimension to match the labels given.

    Parameters
    ----------
    array : DataArray
    dim : str
    labels : list of str
    name : str
        The array's name, for messages.

    Raises
    ------
    ValueError
        The array has other labels.
    """
    found = [str(label) for label in array[dim].values]
    if sorted(found) != sorted(labels):
        odd = sorted(set(found) ^ set(labels))[:5] or found
        raise ValueError(
            f"{name}: got the labels {found[:5]} of {dim}, allowed are {labels[:5]} in any order "
            f"({odd} are in only one of the two)."
        )
    return array.isel({dim: [found.index(label) for label in labels]})
