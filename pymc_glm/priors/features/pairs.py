"""Observed features of pairs of neurons: probe distance, same known cell type, layer."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from pytensor.tensor.variable import TensorVariable

from pymc_glm.priors.features.neurons import by_neuron, neurons_of, plain_array

__all__ = ["pair_features"]


def _matrix(name: str, matrix: Any, neurons: list[str], diagonal: bool) -> NDArray[np.float64]:
    """Return one feature as a checked matrix (post, pre), with zeros on an unused diagonal."""
    if isinstance(matrix, pd.DataFrame):
        matrix = xr.DataArray(matrix.to_numpy(), {"post": matrix.index, "pre": matrix.columns})
    if isinstance(matrix, xr.DataArray):
        if set(matrix.dims) != {"post", "pre"}:
            raise ValueError(f"{name}: got the dims {matrix.dims}, allowed are post and pre.")
        for dim in {"post", "pre"} & set(matrix.coords):
            labels = matrix.coords[dim].values
            index = xr.DataArray(np.arange(len(labels)), {"neuron": labels}, dims="neuron")
            matrix = matrix.isel({dim: by_neuron(f"{name}, {dim}", index, neurons)})
        matrix = matrix.transpose("post", "pre").values
    n = len(neurons)
    array = plain_array(name, matrix)
    if array.shape != (n, n) or array.dtype.kind not in "biuf":
        raise ValueError(
            f"{name}: got the shape {array.shape} of {array.dtype}; give numbers, one for each "
            f"pair (post, pre) of the {n} neurons of the model."
        )
    array = array.astype(np.float64)
    if not diagonal:
        np.fill_diagonal(array, 0.0)
    if not np.isfinite(array).all():
        post, pre = (int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(
            f"{name}: got {array[post, pre]} for the pair from {neurons[pre]!r} to "
            f"{neurons[post]!r}; give finite numbers."
        )
    between = array[~np.eye(n, dtype=bool)]
    if n == 1 or np.ptp(between) == 0:
        same = f"it is {between[0]:g} for all pairs of neurons" if n > 1 else "there are no pairs"
        raise ValueError(f"{name}: {same}, so it adds nothing to the intercept; leave it out.")
    if "distance" in name.lower():
        _check_distance(name, array, neurons)
    return array


def _check_distance(name: str, array: NDArray[np.float64], neurons: list[str]) -> None:
    wrong = np.argwhere((array < 0) | ~np.isclose(array, array.T))
    if not len(wrong):
        return
    post, pre = (int(i) for i in wrong[0])
    raise ValueError(
        f"{name}: got {array[post, pre]:g} from {neurons[pre]!r} to {neurons[post]!r} and "
        f"{array[pre, post]:g} back, but a distance is the same in both directions and not "
        "negative; correct it, or rename it if it is something else."
    )


def _split(part: str, features: Any, n_neurons: int) -> dict[str, Any]:
    """Return the unchecked matrix of each feature by name."""
    if isinstance(features, Mapping):
        return _by_name(part, list(features), list(features.values()))
    if isinstance(features, pd.DataFrame):
        return {"0": features}
    if isinstance(features, xr.DataArray):
        extra = [d for d in features.dims if d not in ("post", "pre")]
        if len(extra) > 1 or features.ndim - len(extra) != 2:
            raise ValueError(
                f"{part}(features): got the dims {features.dims}, allowed are post, pre and at "
                "most one dim of features."
            )
        if not extra:
            return {str(features.name or 0): features}
        pages = [features.isel({extra[0]: i}, drop=True) for i in range(features.sizes[extra[0]])]
        return _by_name(part, features[extra[0]].values.tolist(), pages)
    array = plain_array(f"{part}(features)", features)
    if array.ndim not in (2, 3):
        raise ValueError(
            f"{part}(features): got the shape {array.shape}; give (post, pre), (post, pre, "
            "feature), or a mapping from names to matrices (post, pre)."
        )
    if array.ndim == 3 and array.shape[:2] != (n_neurons, n_neurons):
        raise ValueError(
            f"{part}(features): got the shape {array.shape}; give ({n_neurons}, {n_neurons}, "
            "feature), the features on the last axis."
        )
    return {
        str(i): array.reshape((*array.shape[:2], -1))[..., i]
        for i in range(1 if array.ndim == 2 else array.shape[2])
    }


def _by_name(part: str, names: list, pages: list) -> dict[str, Any]:
    """Return the matrices by name; raise if names repeat."""
    found = {str(name): page for name, page in zip(names, pages, strict=True)}
    if len(found) < len(pages):
        raise ValueError(
            f"{part}(features): the names {[str(n) for n in names][:10]} repeat; give each feature "
            "a different name."
        )
    return found


def pair_features(
    part: str,
    features: Mapping[str, ArrayLike] | xr.DataArray | ArrayLike,
    *,
    kind: str,
    standardize: bool,
    diagonal: bool = True,
) -> tuple[TensorVariable, str]:
    """Register observed features of pairs with the model in context.

    Parameters
    ----------
    part : str
        Name of the prior's class, for messages.
    features : mapping from name to matrix, DataArray, DataFrame or array
        (post, pre) or (post, pre, feature); matched by the neurons' names if it has them.
    kind : {"edge", "weight"}
    standardize : bool
        Scale to mean 0 and standard deviation 1 over pairs of different neurons; the original mean
        and standard deviation go into the data containers ``{kind}_features_mean`` and
        ``{kind}_features_sd``.
    diagonal : bool
        Whether self-edges depend on the features; if not, the diagonal may hold any values.

    Returns
    -------
    features : tensor (post, pre, feature)
        Computed from the data container ``{kind}_features``, which holds them as given.
    dim : str
        Name of the last dim, ``{kind}_feature``.

    Raises
    ------
    ValueError
        A feature has the wrong shape, is not finite or is the same for all pairs, or a distance is
        negative or not symmetric.
    """
    model = pm.modelcontext(None)
    neurons, dim = neurons_of(model), f"{kind}_feature"
    found = _split(part, features, len(neurons))
    if not found:
        raise ValueError(f"{part}(features): got no features; give at least one.")
    pages = [_matrix(f"{part}(features[{k!r}])", v, neurons, diagonal) for k, v in found.items()]
    array = np.stack(pages, axis=-1)
    model.add_coord(dim, list(found))
    features_as_given = pm.Data(f"{kind}_features", array, dims=("post", "pre", dim))
    if not standardize:
        return features_as_given, dim
    pairs = array[~np.eye(len(neurons), dtype=bool)]
    mean = pm.Data(f"{kind}_features_mean", pairs.mean(axis=0), dims=dim)
    sd = pm.Data(f"{kind}_features_sd", pairs.std(axis=0), dims=dim)
    return (features_as_given - mean) / sd, dim
