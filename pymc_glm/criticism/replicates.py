"""Counts simulated from draws of a posterior, freely or one bin ahead of the recorded ones."""

from collections.abc import Iterator

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pymc_glm.arguments import as_whole_number
from pymc_glm.criticism.one_step import ObservedData, PostDraws, activations
from pymc_glm.criticism.posterior import variable
from pymc_glm.criticism.shared_path import DrawFilter
from pymc_glm.kernels.simulate import draw_given
from pymc_glm.simulation.checks import CheckedNetwork, check_network
from pymc_glm.simulation.custom import custom_draws
from pymc_glm.simulation.parameters import NetworkParameters
from pymc_glm.simulation.running import Guard, run_pieces

__all__ = ["chosen_draws", "drawn_networks", "one_step_counts", "run_segments"]

type Floats = NDArray[np.float64]
type Integers = NDArray[np.intp]


def chosen_draws(
    tree: xr.DataTree, draws: int, rng: np.random.Generator
) -> tuple[Integers, Integers]:
    """Choose draws at random, or all if there are fewer; return their chains and draws, (sample,).

    Raises
    ------
    TypeError, ValueError
        The tree does not hold the draws of a network, or draws is not a whole number of at least 1.
    """
    n_wanted = as_whole_number(draws, "draws")
    n = variable(tree, "posterior", "weights").sizes
    chosen = np.sort(rng.permutation(n["chain"] * n["draw"])[:n_wanted])
    chains, index = np.unravel_index(chosen, (n["chain"], n["draw"]))
    return chains, index


def drawn_networks(
    tree: xr.DataTree, chains: Integers, draws: Integers
) -> Iterator[NetworkParameters]:
    """Yield the networks of some draws, one for each pair (chain, draw)."""
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
    """Yield counts (time, neuron) of a freely running network, piece by piece.

    Parameters
    ----------
    network : CheckedNetwork
    starts : array of int, shape (segment,)
        First bins of the segments; there is silence before each, as in the model.
    n_bins : int
        Number of bins of all segments together.
    rng : numpy.random.Generator
    guard : Guard
    covariates : array, shape (time, covariate)

    Raises
    ------
    RunAway
    ValueError
        The observation model is a custom one that cannot draw counts.
    """
    draws = custom_draws(network.observation, network.parameter)
    silence = np.zeros((network.n_lags, network.bias.size), dtype=np.int64)
    for first, end in zip(starts, [*starts[1:], n_bins], strict=True):
        here = covariates[first:end]
        yield from run_pieces(network, int(end - first), rng, guard, silence, here, draws)


def one_step_counts(
    data: ObservedData, parameters: NetworkParameters, rng: np.random.Generator
) -> NDArray | None:
    """Draw the count of every bin given the recorded history; (time, neuron).

    With shared input, the path in a bin is drawn given the recorded counts before the bin.

    Returns
    -------
    array, or None
        None if a mean count is too large to draw from.

    Raises
    ------
    ValueError
        The observation model is a custom one that cannot draw counts.
    """
    network = check_network(parameters)
    parameter = network.parameter
    # Each neuron takes the place of a draw, so that one call gives the activations of all.
    each = PostDraws(
        parameters.bias,
        parameters.weights,
        parameters.covariate_weights,
        parameter,
        parameters.self_weights,
    )
    if network.shared_input is None:
        psi = np.ascontiguousarray(activations(data, each).T)
    else:
        filtered = DrawFilter(data, each, network.shared_input)
        psi = filtered.psi_drawn(slice(0, len(data.counts)), rng)
    whole = parameters.observation.whole
    counts = np.empty(psi.shape, dtype=np.int64 if whole else np.float64)
    draws = custom_draws(parameters.observation, parameter)
    if draws is not None:
        if draws.beyond(psi).any():
            return None
        counts[:] = draws(psi, int(rng.integers(2**63)))
        return counts
    likelihood = parameters.observation.empty_likelihood(parameter.size)
    noise = rng.random(psi.shape) if whole else rng.standard_normal(psi.shape)
    dispersion = np.ascontiguousarray(likelihood.dispersion, dtype=np.float64)
    slope = float(likelihood.slope)
    possible = draw_given(likelihood.family, slope, dispersion, psi, noise, counts)
    return counts if possible else None
