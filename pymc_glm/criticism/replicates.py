"""Counts that draws of a posterior make: freely, or one bin ahead of those recorded."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pymc_glm.criticism.one_step import ObservedData, PostDraws, activations
from pymc_glm.criticism.posterior import variable
from pymc_glm.kernels.simulate import draw_given
from pymc_glm.simulation.custom import custom_draws
from pymc_glm.simulation.parameters import CheckedNetwork, NetworkParameters, check_network
from pymc_glm.simulation.running import Guard, run_pieces

__all__ = ["as_whole", "chosen_draws", "drawn_networks", "one_step_counts", "run_segments"]

type Floats = NDArray[np.float64]
type Integers = NDArray[np.intp]


def as_whole(number: Any, name: str) -> int:
    """Return a whole number from 1.

    Raises
    ------
    ValueError
        It is none.
    """
    if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < 1:
        raise ValueError(f"{name}: got {number!r}, allowed are whole numbers from 1.")
    return int(number)


def chosen_draws(
    tree: xr.DataTree, draws: int, rng: np.random.Generator
) -> tuple[Integers, Integers]:
    """Return chains and draws, (sample,), some at random or all where there are fewer.

    Raises
    ------
    TypeError, ValueError
        The tree does not hold the draws of a network, or draws is no whole number from 1.
    """
    n_wanted = as_whole(draws, "draws")
    n = variable(tree, "posterior", "weights").sizes
    chosen = np.sort(rng.permutation(n["chain"] * n["draw"])[:n_wanted])
    chains, index = np.unravel_index(chosen, (n["chain"], n["draw"]))
    return chains, index


def drawn_networks(
    tree: xr.DataTree, chains: Integers, draws: Integers
) -> Iterator[NetworkParameters]:
    """Yield the networks of some draws, one of each pair (chain, draw)."""
    for chain, draw in zip(chains, draws, strict=True):
        yield NetworkParameters.from_draw(tree, chain=int(chain), draw=int(draw), random_seed=0)


def run_segments(
    network: CheckedNetwork,
    starts: NDArray[np.int64],
    n_bins: int,
    rng: np.random.Generator,
    guard: Guard,
    covariates: Floats,
) -> Iterator[NDArray]:
    """Yield counts (time, neuron) of a network that runs freely, piece by piece.

    Parameters
    ----------
    network : CheckedNetwork
    starts : array of int, shape (segment,)
        Bins before which there is silence, as in the model.
    n_bins : int
        Of all segments.
    rng : numpy.random.Generator
    guard : Guard
    covariates : array, shape (time, covariate)

    Raises
    ------
    RunAway
    ValueError
        The law is one of the user's own without a random draw.
    """
    draws = custom_draws(network.observation, network.own)
    silence = np.zeros((network.filters.shape[1], network.bias.size), dtype=np.int64)
    for first, end in zip(starts, [*starts[1:], n_bins], strict=True):
        own = covariates[first:end]
        yield from run_pieces(network, int(end - first), rng, guard, silence, own, draws)


def one_step_counts(
    recording: ObservedData, parameters: NetworkParameters, rng: np.random.Generator
) -> NDArray | None:
    """Draw the count of every bin given the recorded history; (time, neuron).

    Returns
    -------
    array, or None
        None where a mean count is beyond all bounds.

    Raises
    ------
    ValueError
        The law is one of the user's own without a random draw.
    """
    own = check_network(parameters).own
    # Neurons in the place of draws: `activations` takes any number of sets of weights.
    each = PostDraws(parameters.bias, parameters.weights, parameters.covariate_weights, own)
    psi = np.ascontiguousarray(activations(recording, each).T)
    whole = parameters.observation.whole
    counts = np.empty(psi.shape, dtype=np.int64 if whole else np.float64)
    draws = custom_draws(parameters.observation, own)
    if draws is not None:
        if draws.beyond(psi).any():
            return None
        counts[:] = draws(psi, int(rng.integers(2**63)))
        return counts
    likelihood = parameters.observation.empty_likelihood(own.size)
    noise = rng.random(psi.shape) if whole else rng.standard_normal(psi.shape)
    shape = np.ascontiguousarray(likelihood.dispersion, dtype=np.float64)
    possible = draw_given(likelihood.family, float(likelihood.slope), shape, psi, noise, counts)
    return counts if possible else None
