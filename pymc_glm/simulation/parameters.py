"""Networks with known parameters: given, from a posterior draw or from a point of a model."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import numpy as np
import pymc as pm
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from pymc_glm.arguments import as_whole_number, random_generator
from pymc_glm.basis import as_basis
from pymc_glm.covariates import in_order
from pymc_glm.observations import Bernoulli, Observation, observation_named, observation_of
from pymc_glm.session_prefix import sessions_with
from pymc_glm.trees import variable

__all__ = [
    "CheckedNetwork",
    "NetworkParameters",
    "check_covariates",
    "check_model",
    "check_network",
]

type Floats = NDArray[np.float64]


class NetworkParameters(NamedTuple):
    """A network with known parameters.

    Parameters
    ----------
    bias : array, shape (post,)
        Activation of a silent network.
    weights : array, shape (post, pre, basis)
        Amplitudes of the coupling filters, 0 where there is no edge.
    basis : DataArray (lag, basis)
        With ``attrs["bin_width"]`` in seconds, as from `pymc_glm.basis`.
    observation : Observation
        The observation model, with known parameters.
    covariate_weights : array, shape (post, covariate), optional

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> basis = pg.basis.raised_cosine(1, window=0.05, bin_width=0.005)
    >>> pair = pg.NetworkParameters(np.full(2, -3.0), np.zeros((2, 2, 1)), basis)
    >>> bursting = pair._replace(observation=pg.NegativeBinomial(0.5))
    """

    bias: Floats
    weights: Floats
    basis: xr.DataArray
    observation: Observation = Bernoulli()
    covariate_weights: Floats | None = None

    @property
    def adjacency(self) -> NDArray[np.int8]:
        """Edges, whose weights are not all zero, (post, pre)."""
        return (np.asarray(self.weights) != 0).any(axis=2).astype(np.int8)

    @property
    def filters(self) -> Floats:
        """Coupling filters: changes of the activation after one spike, (post, pre, lag)."""
        return np.einsum("nmb,lb->nml", self.weights, np.asarray(self.basis))

    @classmethod
    def from_draw(
        cls,
        tree: xr.DataTree,
        *,
        chain: int | None = None,
        draw: int | None = None,
        random_seed: int | np.random.Generator | None = None,
    ) -> Self:
        """Return the parameters in one draw of a posterior.

        Parameters
        ----------
        tree : DataTree
            Result of sampling; needs the posterior and the constant data.
        chain, draw : int, optional
            Indices, counted from 0; by default random.
        random_seed : int, numpy.random.Generator or None
            For the random choice.

        Raises
        ------
        TypeError, ValueError
            The tree does not hold the draws of a network, there is no such draw, or the seed is
            invalid.

        Examples
        --------
        >>> import pymc_glm as pg
        >>> network = pg.NetworkParameters.from_draw(tree, random_seed=1)
        >>> pg.simulate(network, 10_000, random_seed=2).sizes["neuron"]
        3
        """
        bias = variable(tree, "posterior", "bias")
        rng = random_generator(random_seed)
        chosen = {}
        for dim, index in (("chain", chain), ("draw", draw)):
            n = bias.sizes[dim]
            if index is None:
                chosen[dim] = int(rng.integers(n))
            else:
                reason = f"the posterior has {n}"
                chosen[dim] = as_whole_number(index, dim, at_least=0, at_most=n - 1, reason=reason)

        def values(name: str, *dims: str) -> NDArray:
            return variable(tree, "posterior", name).isel(chosen).transpose(*dims).values

        known = tree["posterior"].data_vars
        covariate_weights = None
        if "covariate_weights" in known:
            covariate_weights = values("covariate_weights", "post", "covariate")
        functions = variable(tree, "constant_data", "basis_functions").transpose("lag", "basis")
        return cls(
            values("bias", "post"),
            values("weights", "post", "pre", "basis"),
            as_basis(functions.values, float(variable(tree, "constant_data", "bin_width"))),
            _observation_of_draw(tree, chosen),
            covariate_weights,
        )

    @classmethod
    def from_point(cls, model: pm.Model, point: Mapping[str, ArrayLike]) -> Self:
        """Return the parameters at a point of a model, such as a draw from its prior.

        Parameters
        ----------
        model : pymc.Model
            From one of the builders.
        point : mapping of names to arrays
            Untransformed values of ``bias``, ``weights`` and, if the model has them,
            ``covariate_weights`` and the learned parameter of the observation model, such as
            ``dispersion``. Other values are ignored.

        Raises
        ------
        ValueError
            The model is not a network GLM, or a value is missing.

        Examples
        --------
        >>> import numpy as np, pymc_glm as pg
        >>> basis = pg.basis.raised_cosine(1, window=0.05, bin_width=0.005)
        >>> model = pg.build_glm(np.eye(20, 2, dtype=int), basis, observation="poisson")
        >>> point = {"bias": [-4.0, -5.0], "weights": np.zeros((2, 2, 1))}
        >>> pg.NetworkParameters.from_point(model, point).observation
        Poisson()
        """
        check_model(model, ("spikes", "basis_functions", "bin_width"))
        observation = observation_of(model["spikes"])
        if observation is None:
            raise ValueError(
                "model: its variable 'spikes' has no known observation model; give a model that "
                "pymc_glm.build_glm returns."
            )
        needed = ["bias", "weights"]
        if "covariate_weights" in model.named_vars:
            needed.append("covariate_weights")
        if observation.parameter_name in [rv.name for rv in model.free_RVs]:
            needed.append(str(observation.parameter_name))
        missing = [name for name in needed if name not in point]
        if missing:
            raise ValueError(
                f"point: no {missing[0]!r}, only {sorted(point)}; needed are {needed}."
            )
        if observation.parameter_name in needed:
            observation = observation.with_parameter(
                np.asarray(point[str(observation.parameter_name)], dtype=float)
            )
        chosen = point.get("covariate_weights")
        return cls(
            np.asarray(point["bias"], dtype=float),
            np.asarray(point["weights"], dtype=float),
            as_basis(model["basis_functions"].get_value(), float(model["bin_width"].get_value())),
            observation,
            None if chosen is None else np.asarray(chosen, dtype=float),
        )


def check_model(model: pm.Model, names: tuple[str, ...]) -> None:
    """Raise ValueError unless a model has these variables, and only one session."""
    for name in names:
        if name in model.named_vars:
            continue
        sessions = sessions_with(name, model.named_vars)
        if sessions:
            raise ValueError(
                f"model: it holds the sessions {sessions}; build one of {sessions[0]!r} alone by "
                "pymc_glm.build_glm(counts, ...)."
            )
        raise ValueError(
            f"model: it has no variable {name!r}; give a model that pymc_glm.build_glm returns."
        )


def _observation_of_draw(tree: xr.DataTree, chosen: Mapping[str, int]) -> Observation:
    """Return the observation model with its parameter in a posterior draw."""
    constants = tree["constant_data"].dataset
    named = "observation" in constants
    observation = observation_named(
        str(constants["observation"].item()) if named else Bernoulli.name
    )
    if observation.parameter_name is None:
        return observation()
    if observation.parameter_name in tree["posterior"].data_vars:
        return observation.with_parameter(
            tree["posterior"][observation.parameter_name].isel(chosen).values
        )
    return observation.with_parameter(
        variable(tree, "constant_data", observation.parameter_name).values
    )


class CheckedNetwork(NamedTuple):
    """The parameters of a network as arrays of consistent shapes."""

    bias: Floats  # (post,)
    filters: Floats  # (pre, lag, post), contiguous
    bin_width: float
    observation: Observation
    parameter: Floats  # (post,), of the observation model, 1 if it has none
    covariate_weights: Floats  # (covariate, post), contiguous


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
    for name, array in (
        ("bias", bias),
        ("weights", weights),
        ("covariate_weights", covariate_weights),
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
    )


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
