"""Networks to simulate, from parameters, a posterior or a model."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pymc as pm
import xarray as xr
from pytensor.compile.mode import Mode

from pymc_glm.observations import observation_of
from pymc_glm.simulation.parameters import NetworkParameters, check_model
from pymc_glm.simulation.shared_input import PATH_VARIABLES
from pymc_glm.trees import variable

__all__ = ["GivenNetwork", "given_network", "networks_of_prior"]

# For a few hundred draws, compilation would take longer than it saves.
_INTERPRETED = Mode(linker="py", optimizer="fast_compile")


class GivenNetwork(NamedTuple):
    """A network, with the labels of its neurons and covariates if they are known."""

    parameters: NetworkParameters
    neurons: list[str] | None = None
    covariates: list[str] | None = None


def given_network(
    given: NetworkParameters | xr.DataTree | pm.Model, rng: np.random.Generator
) -> GivenNetwork:
    """Return given parameters, a draw from a posterior, or a draw from the prior of a model.

    Parameters
    ----------
    given : NetworkParameters, DataTree or pymc.Model
    rng : numpy.random.Generator

    Raises
    ------
    TypeError, ValueError
        The argument is none of these, or the tree or model does not hold exactly one network.
    """
    if isinstance(given, NetworkParameters):
        return GivenNetwork(given)
    if isinstance(given, xr.DataTree):
        labels = {"post": variable(given, "posterior", "bias")["post"].values}
        if "covariate_weights" in given["posterior"].data_vars:
            weights = variable(given, "posterior", "covariate_weights")
            labels["covariate"] = weights["covariate"].values
        parameters = NetworkParameters.from_draw(given, random_seed=rng)
    elif isinstance(given, pm.Model):
        check_model(given, ("bias", "weights", "spikes", "basis_functions", "bin_width"))
        labels = {name: np.asarray(values) for name, values in given.coords.items()}
        parameters = next(networks_of_prior(given, 1, rng))
    else:
        raise TypeError(
            f"parameters: got {type(given).__name__}, allowed are pymc_glm.NetworkParameters, the "
            "DataTree of a posterior and a pymc.Model."
        )
    names = [
        [str(label) for label in labels[dim]] if dim in labels else None
        for dim in ("post", "covariate")
    ]
    return GivenNetwork(parameters, *names)


def networks_of_prior(
    model: pm.Model, n_draws: int, rng: np.random.Generator
) -> Iterator[NetworkParameters]:
    """Yield networks drawn from the prior of a model of one session.

    Parameters
    ----------
    model : pymc.Model
        From one of the builders.
    n_draws : int
    rng : numpy.random.Generator
    """
    observation = observation_of(model["spikes"])
    learned = [rv.name for rv in model.free_RVs]
    wanted = [
        "bias",
        "weights",
        "covariate_weights",
        "self_weights",
        *PATH_VARIABLES,
        str(getattr(observation, "parameter_name", None)),
    ]
    names = [name for name in wanted if name in learned]
    values = pm.draw(
        [model[name] for name in names],
        draws=n_draws,
        random_seed=int(rng.integers(2**31)),
        mode=_INTERPRETED,
    )
    if n_draws == 1:  # without a first axis
        values = [array[None] for array in values]
    for point in zip(*values, strict=True):
        yield NetworkParameters.from_point(model, dict(zip(names, point, strict=True)))
