"""Draws of a network from a DataTree, with checks of the DataTree."""

import difflib
from collections.abc import Hashable, Iterable
from typing import NamedTuple

import numpy as np
import xarray as xr
from arviz_stats.base import array_stats
from numpy.typing import NDArray

from pymc_glm.observations import Bernoulli, Observation
from pymc_glm.trees import variable

__all__ = [
    "NetworkDraws",
    "SelfFilters",
    "hdi",
    "network_draws",
    "pair_index",
    "psi_unit",
    "variable",
]


class SelfFilters(NamedTuple):
    """Draws of the self filters of a network, which take the place of self-edges."""

    weights: xr.DataArray  # (chain, draw, post, self_basis)
    basis: NDArray[np.float64]  # (self_lag, self_basis)
    lags: NDArray[np.float64]  # (self_lag,), seconds

    def weights_at(self, post: int) -> NDArray[np.float64]:
        """Return the weights of a neuron; shape (chain, draw, self_basis)."""
        return self.weights.isel(post=post).transpose("chain", "draw", "self_basis").values

    def peaks_at(self, post: int) -> NDArray[np.float64]:
        """Return the self filter of a neuron where its mean is largest; shape (chain, draw)."""
        weights = self.weights_at(post)
        peak = np.abs(weights.mean(axis=(0, 1)) @ self.basis.T).argmax()
        return weights @ self.basis[peak]


class NetworkDraws(NamedTuple):
    """Draws of the edges and weights of a network, read one post neuron at a time."""

    adjacency: xr.DataArray | None  # (chain, draw, post, pre); None in a dense model
    weights: xr.DataArray  # (chain, draw, post, pre, basis)
    basis: NDArray[np.float64]  # (lag, basis)
    lags: NDArray[np.float64]  # (lag,), seconds
    neurons: tuple[str, ...]
    self_filters: SelfFilters | None = None

    @property
    def n_chains(self) -> int:
        """Number of chains."""
        return self.weights.sizes["chain"]

    @property
    def n_draws(self) -> int:
        """Number of draws of a chain."""
        return self.weights.sizes["draw"]

    def present_at(self, post: int) -> NDArray[np.bool_]:
        """Return whether each edge onto a neuron is present; shape (pre, chain, draw)."""
        if self.adjacency is None:
            present = np.ones((len(self.neurons), self.n_chains, self.n_draws), dtype=bool)
            present[post] = self.self_filters is None
            return present
        edges = self.adjacency.isel(post=post).transpose("pre", "chain", "draw")
        return edges.values != 0

    def weights_at(self, post: int) -> NDArray[np.float64]:
        """Return the weights of the edges onto a neuron; shape (pre, chain, draw, basis)."""
        weights = self.weights.isel(post=post).transpose("pre", "chain", "draw", "basis")
        return weights.values

    def peaks_at(self, post: int) -> NDArray[np.float64]:
        """Return the coupling filters onto a neuron at their peak lags; shape (pre, chain, draw).

        The peak lag of a pair is where the mean filter, given the edge, is largest in absolute
        value; it is the same in all draws. Absent edges have the value 0.
        """
        weights = self.weights_at(post)
        # Absent edges have zero weights, so this sum is proportional to the mean of present edges.
        mean_filter = weights.sum(axis=(1, 2)) @ self.basis.T
        peak = np.abs(mean_filter).argmax(axis=1)
        return np.einsum("mcdb,mb->mcd", weights, self.basis[peak])

    def effects_at(self, post: int, min_effect: float) -> NDArray[np.bool_]:
        """Return whether each edge onto a neuron has an effect; shape (pre, chain, draw).

        It has if it is present and its filter, at the peak lag of `peaks_at`, is above
        `min_effect` in absolute value; for 0, if it is present.
        """
        present = self.present_at(post)
        return present & (np.abs(self.peaks_at(post)) > min_effect) if min_effect else present


def network_draws(tree: xr.DataTree) -> NetworkDraws:
    """Return the draws of adjacency and weights, with the basis and the labels.

    Parameters
    ----------
    tree : DataTree
        Posterior with ``weights`` (chain, draw, post, pre, basis) and, unless every edge is
        present, ``adjacency`` (chain, draw, post, pre); constant data with ``basis_functions``
        (lag, basis). With ``self_basis_functions`` (self_lag, self_basis) in the constant data,
        ``self_weights`` (chain, draw, post, self_basis).

    Raises
    ------
    TypeError, ValueError
        See `variable`.
    """
    weights = variable(tree, "posterior", "weights")
    adjacency = tree["posterior"].data_vars.get("adjacency")
    basis = variable(tree, "constant_data", "basis_functions").transpose("lag", "basis")
    return NetworkDraws(
        adjacency=adjacency,
        weights=weights,
        basis=basis.values.astype(np.float64),
        lags=basis["lag"].values.astype(np.float64),
        neurons=tuple(str(label) for label in weights["post"].values),
        self_filters=_self_filters(tree),
    )


def _self_filters(tree: xr.DataTree) -> SelfFilters | None:
    """Return the draws of the self filters, None if the model has self-edges instead."""
    if "self_basis_functions" not in tree["constant_data"].data_vars:
        return None
    basis = variable(tree, "constant_data", "self_basis_functions")
    return SelfFilters(
        variable(tree, "posterior", "self_weights"),
        basis.transpose("self_lag", "self_basis").values.astype(np.float64),
        basis["self_lag"].values.astype(np.float64),
    )


def psi_unit(tree: xr.DataTree) -> str:
    """Return the unit of activations and weights under the observation model of a posterior."""
    constants = tree["constant_data"].dataset
    if "observation" not in constants:
        return Bernoulli.psi_unit
    observation = Observation.laws.get(str(constants["observation"].item()), Observation)
    return observation.psi_unit


def pair_index(
    neurons: tuple[str, ...], pairs: Iterable[tuple[Hashable, Hashable]]
) -> list[tuple[int, int]]:
    """Return the indices (pre, post) of pairs of labels (pre, post).

    Raises
    ------
    ValueError
        A pair is not two labels, or a label is unknown.
    """
    where = {label: i for i, label in enumerate(neurons)}
    found = []
    for pair in pairs:
        names = [pair] if isinstance(pair, str) or not isinstance(pair, Iterable) else list(pair)
        if len(names) != 2:
            raise ValueError(
                f"pairs: got {pair!r}; give pairs of labels (pre, post), such as "
                f"[({neurons[0]!r}, {neurons[-1]!r})]."
            )
        for name in map(str, names):
            if name not in where:
                similar = difflib.get_close_matches(name, neurons) or list(neurons[:5])
                raise ValueError(
                    f"pairs: unknown neuron {name!r}; the model has {len(neurons)}, such as "
                    f"{similar}."
                )
        found.append((where[str(names[0])], where[str(names[1])]))
    return found


def hdi(draws: NDArray[np.float64], prob: float) -> NDArray[np.float64]:
    """Return the highest-density interval over the first axis; shape (..., 2), lower and upper."""
    return np.asarray(array_stats.hdi(draws, prob, axis=0))
