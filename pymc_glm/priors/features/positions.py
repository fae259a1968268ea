"""Positions of neurons in space, known or latent."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pymc as pm
from numpy.typing import ArrayLike, NDArray
from pytensor.tensor.variable import TensorVariable

from pymc_glm.priors.features.neurons import (
    by_neuron,
    contradiction,
    latent_dimensions,
    neurons_of,
)
from pymc_glm.priors.hyperparameters import Hyperparameter, hyperparameter

__all__ = ["Positions", "length_scale", "positions", "squared_distance"]

LENGTH_SIGMA = 0.75  # of the logarithm of a length scale


class Positions(NamedTuple):
    """Positions of neurons."""

    values: TensorVariable  # (post, latent_dim)
    known_length: float | None  # root mean square distance of known positions; None: latent


def positions(
    part: str,
    n_dims: int | None,
    known: ArrayLike | Mapping | None,
    *,
    prefix: str = "",
) -> Positions:
    """Return positions: those already in the model in context, known ones, or latent ones.

    Parameters
    ----------
    part : str
        Name of the prior's class, for messages.
    n_dims : int or None
        None: that of the known positions, or of those already in the model, or 2.
    known : array (neuron, n_dims), mapping or DataArray, or None
        Known positions in any unit of length. None: latent, Normal(0, 1) a priori.
    prefix : str
        Prefix of names, ``"weight_"`` for positions that are not shared with the edges.

    Raises
    ------
    ValueError
        Out of range, of the wrong shape, for unknown neurons, or in contradiction to positions
        already in the model.
    """
    model = pm.modelcontext(None)
    neurons, name, dim = neurons_of(model), f"{prefix}latent_positions", f"{prefix}latent_dim"
    if name in model:
        of_edges = model[name]
        latent = of_edges in model.free_RVs
        size = len(model.coords[dim])
        if n_dims not in (None, size):
            dimensions = f"those of the edges have n_dims={size}"
            raise contradiction(part, f"n_dims={n_dims!r}", "positions", dimensions)
        if known is not None:
            array = by_neuron(f"{part}(positions)", known, neurons)
            if latent or not np.array_equal(array, of_edges.get_value()):
                differ = f"those of the edges {'are latent' if latent else 'differ'}"
                raise contradiction(part, "positions", "positions", differ)
        return Positions(of_edges, None if latent else _length(of_edges.get_value()))
    if known is not None:
        array = by_neuron(f"{part}(positions)", known, neurons)
        _check_positions(part, array, n_dims, neurons)
        model.add_coord(dim, [str(d) for d in range(array.shape[1])])
        values = pm.Data(name, array.astype(np.float64), dims=("post", dim))
        return Positions(values, _length(array))
    size = latent_dimensions(f"{part}(n_dims)", 2 if n_dims is None else n_dims, len(neurons))
    model.add_coord(dim, [str(d) for d in range(size)])
    return Positions(pm.Normal(name, 0.0, 1.0, dims=("post", dim)), None)


def _length(array: NDArray[np.float64]) -> float:
    """Return the root mean square distance of pairs."""
    return float(np.sqrt(2 * len(array) / (len(array) - 1) * array.var(axis=0).sum()))


def _check_positions(part: str, array: NDArray, n_dims: int | None, neurons: list[str]) -> None:
    if array.ndim != 2 or array.dtype.kind not in "iuf" or array.shape[1] == 0:
        line = f"; for positions along a line, shape ({len(array)}, 1)" if array.ndim == 1 else ""
        raise ValueError(
            f"{part}(positions): got the shape {array.shape} of {array.dtype}; give numbers, one "
            f"row of coordinates for each neuron{line}."
        )
    if not np.isfinite(array).all():
        where = int(np.argwhere(~np.isfinite(array))[0][0])
        raise ValueError(
            f"{part}(positions): got {array[where].tolist()} for neuron {neurons[where]!r}; give "
            "finite coordinates for every neuron."
        )
    if n_dims is not None and n_dims != array.shape[1]:
        raise ValueError(
            f"{part}(n_dims={n_dims!r}): the given positions have the shape {array.shape}; leave "
            "n_dims out."
        )
    if np.ptp(array, axis=0).max() == 0:
        raise ValueError(
            f"{part}(positions): all neurons are at the same place, {array[0].tolist()}, so "
            "distance has no effect; leave out this prior or the positions."
        )


def squared_distance(values: TensorVariable) -> TensorVariable:
    """Return squared distances of all pairs, (post, pre), from positions (post, latent_dim)."""
    return ((values[:, None, :] - values[None, :, :]) ** 2).sum(axis=-1)


def length_scale(
    name: str,
    value: Hyperparameter,
    place: Positions,
    latent_median: float | NDArray[np.float64],
    dims: tuple[str, ...] = (),
) -> TensorVariable:
    """Return the length over which something falls by one, registering it if it is learned.

    Parameters
    ----------
    name : str
    value : number, array, distribution or "learned"
        By default log-normal with sigma 0.75: around `latent_median` for latent positions, and
        around that times half the root mean square distance for known ones.
    place : Positions
    latent_median : float or array
        In units of the prior standard deviation of latent positions.
    dims : tuple
        Dims of `latent_median`.
    """
    center = np.asarray(latent_median)
    if place.known_length is not None:
        center = center * place.known_length / 2
    return hyperparameter(
        name,
        value,
        lambda: pm.LogNormal.dist(np.log(center), LENGTH_SIGMA),
        shape=center.shape,
        dims=dims or None,
        lower=1e-12,
    )
