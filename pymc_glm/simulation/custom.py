"""Counts of custom observation models, drawn from their PyMC variables."""

from typing import Any

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
from numpy.typing import NDArray
from pytensor.compile.io import In
from pytensor.compile.mode import Mode
from pytensor.graph.replace import clone_replace
from pytensor.graph.traversal import ancestors
from pytensor.tensor.random.type import RandomType

from pymc_glm.kernels.likelihood import CUSTOM
from pymc_glm.kernels.simulate import MOST_SPIKES, Process, State
from pymc_glm.observations import Observation

__all__ = ["CustomDraws", "custom_draws", "run_custom"]

# For a few operations on a few numbers, compilation would take seconds without any gain.
_INTERPRETED = Mode(linker="py", optimizer="fast_run")

type Floats = NDArray[np.float64]


class CustomDraws:
    """Draws from the variable of a custom observation model, with the activation as input.

    Parameters
    ----------
    observation : Observation
        With known parameters.
    parameter : array, shape (post,)
        Parameter of the observation model, 1 if it has none.

    Raises
    ------
    ValueError
        The variable depends on other random variables, cannot be drawn, or has another shape than
        the activation.
    """

    def __init__(self, observation: Observation, parameter: Floats) -> None:
        self._observation, self._parameter = observation, parameter
        n = parameter.size
        psi = pt.tensor("psi", dtype="float64", shape=(None, n))
        with pm.Model(coords={"post": range(n), "pre": range(n)}, model=None) as model:
            variable = observation.distribution("spikes", psi)
        above = set(ancestors([variable])) - {variable}
        learned = [rv.name for rv in model.free_RVs if rv in above]
        if learned:
            raise ValueError(
                f"observation: {observation.name!r} learns {learned}; give known values for a "
                "simulation."
            )
        generators = [x for x in above if isinstance(x.type, RandomType) and x.owner is None]
        inputs = [x.type() for x in generators]
        self._n_generators = len(inputs)
        given: list[Any] = [psi, *(In(x, mutable=True) for x in inputs)]
        self._function = pytensor.function(
            given,
            clone_replace(variable, dict(zip(generators, inputs, strict=True))),
            mode=_INTERPRETED,
        )
        self._function.trust_input = True
        self._try(n)

    def _try(self, n: int) -> None:
        try:
            shape = self(np.zeros((1, n)), 0).shape
        except NotImplementedError as error:
            raise ValueError(
                f"observation: the variable of {self._observation.name!r} cannot be drawn; give it "
                "a random method, as in pm.CustomDist(..., random=)."
            ) from error
        if shape != (1, n):
            raise ValueError(
                f"observation: a draw of {self._observation.name!r} for an activation of the shape "
                f"(1, {n}) has the shape {shape}; distribution() must keep the shape of psi."
            )

    def __call__(self, psi: Floats, seed: int) -> NDArray:
        """Draw counts.

        Parameters
        ----------
        psi : array, shape (time, post)
        seed : int
            The same seed gives the same counts.

        Returns
        -------
        array, shape (time, post)
        """
        generator = np.random.default_rng(seed)
        several = [generator] if self._n_generators == 1 else generator.spawn(self._n_generators)
        return self._function(psi, *several)

    def beyond(self, psi: Floats) -> NDArray[np.bool_]:
        """Return which mean counts, (time, post), are too large to draw from."""
        with np.errstate(all="ignore"):
            return ~(np.abs(self._observation.mean_counts(psi, self._parameter)) <= MOST_SPIKES)


def custom_draws(observation: Observation, parameter: Floats) -> CustomDraws | None:
    """Return the draws of a custom observation model, None for a built-in one.

    Parameters
    ----------
    observation : Observation
    parameter : array, shape (post,)
        Parameter of the observation model, 1 if it has none.

    Raises
    ------
    ValueError
        See `CustomDraws`.
    """
    family = observation.empty_likelihood(parameter.size).family
    return CustomDraws(observation, parameter) if family == CUSTOM else None


def run_custom(
    process: Process,
    state: State,
    first: int,
    draws: CustomDraws,
    seeds: NDArray[np.int64],
    covariates: Floats,
    counts: NDArray,
) -> int:
    """Draw counts of some bins like `pymc_glm.kernels.simulate.run`, but slower.

    Parameters
    ----------
    process : Process
        Its family, slope and dispersion are ignored.
    state : State
        After the earlier bins; changed in place.
    first : int
        Number of bins before these.
    draws : CustomDraws
    seeds : array of int, shape (time,)
        One for each bin.
    covariates : array, shape (time, covariate)
    counts : array, shape (time, post)
        Receives the counts.

    Returns
    -------
    int
        -1, or the index of the bin in which a neuron ran away: its `state.recent` is above the
        limit, or infinite. Later bins are not written.
    """
    n_lags, n_self = len(state.ring), len(state.self_ring)
    driven = process.bias + covariates @ process.covariate_weights
    for t, seed in enumerate(seeds):
        now = (first + t) % n_lags
        if (first + t) % process.window == 0:
            state.recent[:] = 0.0
        psi = (driven[t] + state.ring[now])[None]
        state.ring[now] = 0.0
        if n_self:
            psi += state.self_ring[(first + t) % n_self]
            state.self_ring[(first + t) % n_self] = 0.0
        counts[t] = 0
        too_many = draws.beyond(psi)[0]
        if too_many.any():
            state.recent[too_many] = np.inf
            return t
        counts[t] = draws(psi, int(seed))[0]
        fired = np.flatnonzero(counts[t])
        if fired.size:
            coming = (now + 1 + np.arange(n_lags)) % n_lags
            state.ring[coming] += np.tensordot(counts[t, fired], process.filters[fired], 1)
            if n_self:
                coming = (first + t + 1 + np.arange(n_self)) % n_self
                state.self_ring[coming] += counts[t] * process.self_filters.T
            state.recent[fired] += counts[t, fired]
            if (state.recent > process.limit).any():
                return t
    return -1
