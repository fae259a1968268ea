"""Log densities of counts of models with shared input, with the path integrated out."""

from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import DTypeLike, NDArray

from pymc_glm.arguments import as_whole_number
from pymc_glm.criticism.one_step import ObservedData
from pymc_glm.criticism.posterior import variable
from pymc_glm.criticism.shared_path import DrawFilter, draw_filter, has_shared_input
from pymc_glm.graph.threads import Threads
from pymc_glm.kernels.likelihood import CUSTOM
from pymc_glm.kernels.pointwise import Groups

__all__ = ["PathDensities", "path_densities", "spread_draws"]

_DRAWS = 200  # by default: each is a pass of the filter through all bins

type Floats = NDArray[np.float64]


class PathDensities(NamedTuple):
    """Log densities of groups of bins in some draws."""

    values: NDArray[Any]  # (post, group, sample), chain after chain
    draws: NDArray[np.intp]  # (draw,), the same in each chain
    n_chains: int

    @property
    def shape(self) -> tuple[int, int]:
        """Number of chains, and of draws of each."""
        return self.n_chains, self.draws.size


def spread_draws(tree: xr.DataTree, draws: int | None) -> NDArray[np.intp]:
    """Return evenly spread draws of each chain.

    Parameters
    ----------
    tree : DataTree
    draws : int or None
        How many from all chains together; None: all, or 200 of a model with shared input.

    Raises
    ------
    ValueError
        `draws` is not a whole number of at least 1.
    """
    sizes = variable(tree, "posterior", "weights").sizes
    if draws is None:
        draws = _DRAWS if has_shared_input(tree) else sizes["chain"] * sizes["draw"]
    wanted = -(-as_whole_number(draws, "draws") // sizes["chain"])
    last = sizes["draw"] - 1
    return np.unique(np.linspace(last, 0, min(wanted, last + 1)).round().astype(np.intp))


def path_densities(
    tree: xr.DataTree,
    data: ObservedData,
    groups: Groups,
    draws: int | None = None,
    threads: int | None = None,
    dtype: DTypeLike = np.float64,
) -> PathDensities:
    """Return the log density of each group of bins in some draws.

    Parameters
    ----------
    tree : DataTree
        Of a model with shared input.
    data : ObservedData
        Data to be predicted with the parameters in the tree.
    groups : Groups
    draws : int, optional
        See `spread_draws`.
    threads : int, optional
        All cores by default; the result does not depend on it.
    dtype : dtype
        Of the result.

    Raises
    ------
    TypeError, ValueError
        See `variable` and `spread_draws`.
    """
    index = spread_draws(tree, draws)
    n_chains, n_groups = variable(tree, "posterior", "weights").sizes["chain"], groups.n_groups
    pairs = [(chain, int(draw)) for chain in range(n_chains) for draw in index]
    group = np.full(len(data.counts), -1, dtype=np.int64)
    group[groups.bins] = np.repeat(np.arange(n_groups), np.diff(groups.start))
    values = np.empty((len(data.neurons), n_groups, len(pairs)), dtype=dtype)
    constants = _Constants(data, groups)

    def run(which: tuple[int, int]) -> None:
        for sample in range(*which):
            filtered = draw_filter(tree, data, *pairs[sample])
            out = np.zeros((n_groups, len(data.neurons)))
            filtered.log_densities(group, out)
            values[:, :, sample] = (out + constants.of(filtered)).T

    Threads(threads, len(pairs)).over_posts(run)
    return PathDensities(values, index, n_chains)


class _Constants:
    """Terms of log densities without psi, summed over groups; the last ones are kept."""

    def __init__(self, data: ObservedData, groups: Groups) -> None:
        self._data, self._groups = data, groups
        self._known: tuple[Any, Floats] | None = None
        self._counts = data.counts[groups.bins]

    def of(self, filtered: DrawFilter) -> Floats:
        """Return the terms of a draw, (group, post)."""
        parameter, known = filtered.parameter, self._known
        if known is not None and np.array_equal(known[0], parameter):
            return known[1]
        terms = self._terms(parameter)
        self._known = parameter, terms
        return terms

    def _terms(self, parameter: Any) -> Floats:
        observation, counts = self._data.observation, self._counts
        family = observation.with_parameter(parameter).empty_likelihood(counts.shape[1]).family
        shape = self._groups.n_groups, counts.shape[1]
        if not observation.whole and family != CUSTOM:
            size = np.diff(self._groups.start)[:, None]
            return size * np.broadcast_to(observation.log_constant(np.zeros(1), parameter), shape)
        seen, which = np.unique(counts, return_inverse=True)
        table = observation.log_constant(seen.astype(np.float64), parameter)
        if not table.any():
            return np.zeros(shape)
        table = np.broadcast_to(table, (seen.size, counts.shape[1]))
        terms = table[which.reshape(counts.shape), np.arange(counts.shape[1])]
        return np.add.reduceat(terms, self._groups.start[:-1], axis=0)
