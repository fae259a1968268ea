"""Checks of the parameters of networks and of covariates, before a simulation."""

from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from pymc_glm.basis import as_basis
from pymc_glm.covariates import in_order
from pymc_glm.observations import Observation
from pymc_glm.simulation.parameters import NetworkParameters
from pymc_glm.simulation.shared_input import PathParameters, check_path

__all__ = ["CheckedNetwork", "check_covariates", "check_network"]

type Floats = NDArray[np.float64]


class CheckedNetwork(NamedTuple):
    """The parameters of a network as arrays of consistent shapes."""

    bias: Floats  # (post,)
    filters: Floats  # (pre, lag, post), contiguous
    bin_width: float
    observation: Observation
    parameter: Floats  # (post,), of the observation model, 1 if it has none
    covariate_weights: Floats  # (covariate, post), contiguous
    self_filters: Floats  # (post, self_lag), contiguous; no lags if there are none
    shared_input: PathParameters | None = None

    @property
    def n_lags(self) -> int:
        """Number of bins before a bin on which it depends."""
        return max(self.filters.shape[1], self.self_filters.shape[1])


def check_network(parameters: NetworkParameters) -> CheckedNetwork:
    """Check the parameters of a network.

    Raises
    ------
    TypeError, ValueError
        Shapes are inconsistent, numbers are not finite, or the parameter of the observation model
        is unknown.
    """
    bias = np.asarray(parameters.bias, dtype=np.float64)
    weights = np.asarray(parameters.weights, dtype=np.float64)
    if "bin_width" not in getattr(parameters.basis, "attrs", {}):
        raise ValueError("basis: it has no attrs['bin_width']; create it with pg.basis.")
    bin_width = float(parameters.basis.attrs["bin_width"])
    basis = as_basis(parameters.basis, bin_width)
    expected = (bias.size, bias.size, basis.sizes["basis"])
    if bias.ndim != 1 or weights.shape != expected:
        raise ValueError(
            f"weights: got the shape {weights.shape} with bias {bias.shape} and basis "
            f"{basis.shape}, allowed is (post, pre, basis) = {expected}."
        )
    given = parameters.covariate_weights
    covariate_weights = (
        np.empty((bias.size, 0)) if given is None else np.asarray(given, dtype=float)
    )
    if covariate_weights.ndim != 2 or len(covariate_weights) != bias.size:
        raise ValueError(
            f"covariate_weights: got the shape {covariate_weights.shape}, allowed is (post, "
            f"covariate) = ({bias.size}, any)."
        )
    self_weights, self_basis = _checked_self(parameters, bias.size, bin_width)
    for name, array in (
        ("bias", bias),
        ("weights", weights),
        ("covariate_weights", covariate_weights),
        ("self_weights", self_weights),
    ):
        if not np.isfinite(array).all():
            where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
            raise ValueError(f"{name}: {array[where]} at index {where}; give finite numbers.")
    return CheckedNetwork(
        bias,
        np.ascontiguousarray(np.einsum("nmb,lb->mln", weights, basis.values)),
        bin_width,
        parameters.observation,
        _parameter(parameters.observation, bias.size),
        np.ascontiguousarray(covariate_weights.T),
        np.ascontiguousarray(self_weights @ self_basis.T),
        check_path(parameters.shared_input, bias.size, bin_width),
    )


def _checked_self(
    parameters: NetworkParameters, n_neurons: int, bin_width: float
) -> tuple[Floats, Floats]:
    """Return weights (post, self_basis) and basis (self_lag, self_basis) of the self filters."""
    given, basis = parameters.self_weights, parameters.self_basis
    if given is None and basis is None:
        return np.zeros((n_neurons, 0)), np.zeros((0, 0))
    if given is None or basis is None:
        has, lacks = ("self_basis", "self_weights")
        if given is not None:
            has, lacks = lacks, has
        raise ValueError(f"{lacks}: not given, but there is {has}; give both or neither.")
    try:
        functions = as_basis(basis, bin_width).values
    except (TypeError, ValueError) as error:
        raise type(error)(f"self_{error}") from error
    weights = np.asarray(given, dtype=np.float64)
    if weights.shape != (n_neurons, functions.shape[1]):
        raise ValueError(
            f"self_weights: got the shape {weights.shape}, allowed is (post, self_basis) = "
            f"({n_neurons}, {functions.shape[1]})."
        )
    return weights, functions


def _parameter(observation: Any, n_neurons: int) -> Floats:
    """Return the parameter of the observation model of every neuron, 1 if it has none."""
    if not isinstance(observation, Observation):
        raise TypeError(
            f"observation: got {observation!r}; give an observation model such as "
            "pg.Bernoulli() or pg.NegativeBinomial(2.0)."
        )
    name = observation.parameter_name
    if name is None:
        return np.ones(n_neurons)
    value = getattr(observation, name)
    try:
        values = np.broadcast_to(np.asarray(value, dtype=np.float64), (n_neurons,))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"observation: the {name} of {observation.name!r} is {value!r}; give one number, or "
            f"one for each of the {n_neurons} neurons."
        ) from error
    wrong = ~((values > 0) & np.isfinite(values))
    if wrong.any():
        raise ValueError(
            f"observation: the {name} of neuron {int(np.flatnonzero(wrong)[0])} is "
            f"{values[wrong][0]}; give finite numbers above 0."
        )
    return values


def check_covariates(
    covariates: xr.DataArray | ArrayLike | None,
    n_covariates: int,
    n_bins: int | None = None,
    labels: list[str] | None = None,
) -> Floats:
    """Return covariates as a contiguous array (time, covariate).

    Parameters
    ----------
    covariates : DataArray or array, (time, covariate), or None
    n_covariates : int
        Number of covariates for which there are weights.
    n_bins : int, optional
        Required number of rows; by default any.
    labels : list of str, optional
        Their labels, in order, by which a labelled DataArray is aligned.

    Raises
    ------
    ValueError
        They are missing, not wanted, of another shape, have other labels or are not finite.
    """
    if covariates is None:
        if n_covariates:
            raise ValueError(
                f"covariates: none given, but there are covariate_weights for {n_covariates}; give "
                "an array (time, covariate)."
            )
        return np.empty((n_bins or 0, 0))
    if isinstance(covariates, xr.DataArray) and set(covariates.dims) == {"time", "covariate"}:
        covariates = covariates.transpose("time", "covariate")
        if labels is not None and "covariate" in covariates.coords:
            covariates = in_order(covariates, "covariate", labels, "covariates")
    values = np.ascontiguousarray(covariates, dtype=np.float64)
    if not n_covariates:
        raise ValueError(
            f"covariates: got the shape {values.shape}, but the parameters have no "
            "covariate_weights (post, covariate); give both or neither."
        )
    rows = len(values) if n_bins is None and values.ndim else n_bins
    if values.shape != (rows, n_covariates):
        raise ValueError(
            f"covariates: got the shape {values.shape}, allowed is (time, covariate) = "
            f"({'any' if n_bins is None else n_bins}, {n_covariates})."
        )
    if not np.isfinite(values).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
        raise ValueError(f"covariates: {values[where]} at index {where}; give finite numbers.")
    return values
