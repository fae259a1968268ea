"""Networks with known parameters: given, from a posterior draw or from a point of a model."""

from collections.abc import Mapping
from typing import NamedTuple, Self

import numpy as np
import pymc as pm
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from pymc_glm.arguments import as_whole_number, random_generator
from pymc_glm.basis import as_basis
from pymc_glm.observations import Bernoulli, Observation, observation_named, observation_of
from pymc_glm.session_prefix import sessions_with
from pymc_glm.simulation.shared_input import (
    PATH_VARIABLES,
    PathParameters,
    path_at_point,
    path_of_draw,
)
from pymc_glm.trees import variable

__all__ = ["NetworkParameters", "check_model"]

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
    self_weights : array, shape (post, self_basis), optional
        Amplitudes of the self filters: effects of a neuron's spikes on itself, beside those on the
        diagonal of `weights`, with a basis of their own.
    self_basis : DataArray (lag, basis), optional
        Basis of the self filters, such as `pymc_glm.basis.self_history`.
    shared_input : PathParameters, optional
        Latent paths that drive several neurons.

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
    self_weights: Floats | None = None
    self_basis: xr.DataArray | None = None
    shared_input: PathParameters | None = None

    @property
    def adjacency(self) -> NDArray[np.int8]:
        """Edges, whose weights are not all zero, (post, pre)."""
        return (np.asarray(self.weights) != 0).any(axis=2).astype(np.int8)

    @property
    def filters(self) -> Floats:
        """Coupling filters: changes of the activation after one spike, (post, pre, lag)."""
        return np.einsum("nmb,lb->nml", self.weights, np.asarray(self.basis))

    @property
    def self_filters(self) -> Floats | None:
        """Self filters, (post, self_lag), None if there are none."""
        if self.self_weights is None or self.self_basis is None:
            return None
        return np.asarray(self.self_weights) @ np.asarray(self.self_basis).T

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
        width = float(variable(tree, "constant_data", "bin_width"))
        self_weights = self_basis = None
        if "self_basis_functions" in tree["constant_data"].data_vars:
            long = variable(tree, "constant_data", "self_basis_functions")
            self_basis = as_basis(long.transpose("self_lag", "self_basis").values, width)
            self_weights = values("self_weights", "post", "self_basis")
        return cls(
            values("bias", "post"),
            values("weights", "post", "pre", "basis"),
            as_basis(functions.values, width),
            _observation_of_draw(tree, chosen),
            covariate_weights,
            self_weights,
            self_basis,
            path_of_draw(tree, chosen["chain"], chosen["draw"]),
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
            ``covariate_weights``, ``self_weights`` and the learned parameter of the observation
            model, such as ``dispersion``. Other values are ignored.

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
        optional = ("covariate_weights", "self_weights")
        needed = ["bias", "weights", *(name for name in optional if name in model.named_vars)]
        learned = [rv.name for rv in model.free_RVs]
        needed += [name for name in PATH_VARIABLES if name in learned]
        if observation.parameter_name in learned:
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
        width = float(model["bin_width"].get_value())
        given = {name: np.asarray(point[name], dtype=float) for name in optional if name in point}
        long = None
        if "self_weights" in given:
            long = as_basis(model["self_basis_functions"].get_value(), width)
        return cls(
            np.asarray(point["bias"], dtype=float),
            np.asarray(point["weights"], dtype=float),
            as_basis(model["basis_functions"].get_value(), width),
            observation,
            given.get("covariate_weights"),
            given.get("self_weights"),
            long,
            path_at_point(model, point),
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
