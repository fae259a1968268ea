"""Positions of neurons in space, known or latent."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pymc as pm
from numpy.typing import ArrayLike, NDArray
from pytensor.tensor.variable import TensorVariable

from pymc_glm.priors.features.neurons import by_neuron, check_number, contradiction, neurons_of
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
    own: str = "",
) -> Positions:
    """Return the positions of the model in context: those it has, known ones, or latent ones.

    Parameters
    ----------
    part : str
        Name of the class that asks, for messages.
    n_dims : int or None
        None: as many as known positions have, or as the model has already, or 2.
    known : array (neuron, n_dims), mapping or DataArray, or None
        Known positions in any unit of length. None: latent, Normal(0, 1) a priori.
    own : str
        Prefix of names, ``"weight_"`` for positions that are not shared with the edges.

    Raises
    ------
    ValueError
        Out of range, of the wrong shape, of unknown neurons, or contradicting what is there.
    """
    model = pm.modelcontext(None)
    neurons, name, dim = neurons_of(model), f"{own}latent_positions", f"{own}latent_dim"
    if name in model:
        there = model[name]
        latent = there in model.free_RVs
        size = len(model.coords[dim])
        if n_dims not in (None, size):
            argument = f"n_dims={n_dims!r}"
            raise contradiction(part, argument, "positions", f"those have {size} dimensions")
        if known is not None:
            array = by_neuron(f"{part}(positions)", known, neurons)
            if latent or not np.array_equal(array, there.get_value()):
                got = "latent" if latent else "others"
                raise contradiction(part, "positions", "positions", f"the edges' are {got}")
        return Positions(there, None if latent else _length(there.get_value()))
    if known is not None:
        array = by_neuron(f"{part}(positions)", known, neurons)
        _check_positions(part, array, n_dims, neurons)
        model.add_coord(dim, [str(d) for d in range(array.shape[1])])
        values = pm.Data(name, array.astype(np.float64), dims=("post", dim))
        return Positions(values, _length(array))
    highest = len(neurons) - 1
    size = check_number(
        f"{part}(n_dims)", 2 if n_dims is None else n_dims, highest, "below the number of neurons"
    )
    model.add_coord(dim, [str(d) for d in range(size)])
    return Positions(pm.Normal(name, 0.0, 1.0, dims=("post", dim)), None)


def _length(array: NDArray[np.float64]) -> float:
    """Root mean square distance of pairs."""
    return float(np.sqrt(2 * len(array) / (len(array) - 1) * array.var(axis=0).sum()))


def _check_positions(part: str, array: NDArray, n_dims: int | None, neurons: list[str]) -> None:
    if array.ndim != 2 or array.dtype.kind not in "iuf" or array.shape[1] == 0:
        line = f", also along a line: shape ({len(array)}, 1)" if array.ndim == 1 else ""
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
            f"{part}(n_dims={n_dims!r}): the positions given have {array.shape[1]} coordinates; "
            "leave n_dims out."
        )
    if np.ptp(array, axis=0).max() == 0:
        raise ValueError(
            f"{part}(positions): all neurons are at the same place, {array[0].tolist()}, so that "
            "distance tells nothing; leave this prior out, or the positions."
        )


def squared_distance(values: TensorVariable) -> TensorVariable:
    """Squared distances of all pairs, (post, pre), from positions (post, latent_dim)."""
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
        By default log-normal, sigma 0.75: around `latent_median` for latent positions, around
        that times half the root mean square distance of known ones.
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
