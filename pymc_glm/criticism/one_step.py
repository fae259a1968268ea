"""The data of a posterior, and its activations psi one bin ahead, given the spikes before."""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Self

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from pymc_glm.covariates import covariate_columns
from pymc_glm.criticism.posterior import variable
from pymc_glm.design import check_counts
from pymc_glm.kernels.history import history_product, self_product_kernel
from pymc_glm.observations import Bernoulli, Observation, observation_named
from pymc_glm.segments import data_bins, segment_starts
from pymc_glm.spikes import intervals_from_package

__all__ = [
    "ObservedData",
    "PostDraws",
    "activation_blocks",
    "activations",
    "observed_data",
    "observed_data_like",
    "post_draws",
]

_BLOCK = 2**22  # activations held at a time

type Floats = NDArray[np.float64]


class ObservedData(NamedTuple):
    """Counts and all other data on which the activations depend."""

    counts: NDArray  # (time, pre); real numbers if they are traces
    times: Floats  # (time,), starts of bins in seconds
    basis: Floats  # (lag, basis)
    starts: NDArray[np.int64]  # (segment,), the first bin of each segment
    bins: NDArray[np.int64] | None  # (observed_time,), the bins that count as data; None: all
    covariates: Floats | None  # (time, covariate)
    neurons: tuple[str, ...]
    bin_width: float
    observation: type[Observation]
    self_basis: Floats | None = None  # (self_lag, self_basis), of the self filters if there are any

    @property
    def n_lags(self) -> int:
        """Number of bins before a bin on which it depends."""
        return max(len(self.basis), 0 if self.self_basis is None else len(self.self_basis))

    @property
    def rate_unit(self) -> float:
        """Divide mean counts by this to get rates: the bin width, or 1 for traces."""
        return self.bin_width if self.observation.whole else 1.0


class PostDraws(NamedTuple):
    """Draws of the parameters of one post neuron."""

    bias: Floats  # (sample,)
    weights: Floats  # (sample, pre, basis)
    covariate_weights: Floats | None  # (sample, covariate)
    parameter: Floats  # (sample,), of the observation model; 1 where it has none
    self_weights: Floats | None = None  # (sample, self_basis)
    post: int | None = None  # index of the neuron; None: each sample is another one, in order

    def some(self, samples: slice) -> Self:
        """Return some of the draws."""
        return self._each(lambda values: values[samples])

    def averaged(self) -> Self:
        """Return the mean of the draws as one draw."""
        return self._each(lambda values: values.mean(axis=0, keepdims=True))

    def _each(self, change: Callable[[Floats], Floats]) -> Self:
        changed: dict[str, Any] = {
            name: change(values)
            for name, values in self._asdict().items()
            if isinstance(values, np.ndarray)
        }
        return self._replace(**changed)


def observed_data(tree: xr.DataTree) -> ObservedData:
    """Return the data that a model was fitted to.

    Parameters
    ----------
    tree : DataTree
        With the constant data of a model of this package.

    Raises
    ------
    TypeError, ValueError
        See `variable`; or the observation model is unknown.
    """
    counts = variable(tree, "constant_data", "counts").transpose("time", "post")
    functions = variable(tree, "constant_data", "basis_functions").transpose("lag", "basis")
    width = float(variable(tree, "constant_data", "bin_width"))
    constants = tree["constant_data"].dataset
    name = str(constants["observation"].item()) if "observation" in constants else Bernoulli.name
    starts, covariates = np.zeros(1, np.int64), None
    if "segment_start" in constants:
        starts = constants["segment_start"].values.astype(np.int64)
    if "covariates" in constants:
        covariates = constants["covariates"].transpose("time", "covariate").values.astype(float)
    self_basis = None
    if "self_basis_functions" in constants:
        long = constants["self_basis_functions"].transpose("self_lag", "self_basis")
        self_basis = np.ascontiguousarray(long.values, dtype=float)
    return ObservedData(
        np.ascontiguousarray(counts.values),
        counts["time"].values,
        np.ascontiguousarray(functions.values, dtype=float),
        starts,
        constants["data_bins"].values if "data_bins" in constants else None,
        covariates,
        tuple(str(label) for label in counts["post"].values),
        width,
        observation_named(name),
        self_basis,
    )


def observed_data_like(
    tree: xr.DataTree,
    counts: xr.DataArray | ArrayLike,
    covariates: xr.DataArray | ArrayLike | None = None,
    *,
    exclude: ArrayLike | None = None,
) -> ObservedData:
    """Return other data, such as held-out counts, in the form of the data that were fitted.

    Parameters
    ----------
    tree : DataTree
        With the constant data of a model of this package.
    counts : DataArray or array, (time, neuron)
        Of the same neurons, in any order (arrays: in that of the model), in bins of the same
        width. Segments begin as in `build_glm`; there is silence before each of them.
    covariates : DataArray or array, (time, covariate), optional
        The covariates of the model, if it has any.
    exclude : array of bool (time,) or of seconds (interval, 2), optional
        Bins to leave out of the data.

    Raises
    ------
    TypeError, ValueError
        See `observed_data`, `check_counts`, `segment_starts`, `data_bins`, `covariate_columns`; or
        the bin width, neurons or covariates differ from those of the model.
    """
    known = observed_data(tree)
    labels = list(known.neurons)
    if not isinstance(counts, xr.DataArray) and np.shape(counts)[1:] == (len(labels),):
        counts = xr.DataArray(counts, dims=("time", "neuron"), coords={"neuron": labels})
    checked = check_counts(counts, known.bin_width, known.observation.whole)
    width = checked.attrs["bin_width"]
    if not math.isclose(width, known.bin_width, rel_tol=1e-6):
        raise ValueError(
            f"counts: bins are {width:g} s wide, those of the model {known.bin_width:g} s; bin the "
            f"spikes again with bin_width={known.bin_width:g}."
        )
    given = checked["neuron"].values.tolist()
    missing, foreign = [n for n in labels if n not in given], [n for n in given if n not in labels]
    if missing or foreign:
        raise ValueError(
            f"counts: of the neurons of the model {missing[:5]} are missing ({len(missing)}), and "
            f"{foreign[:5]} are not in it ({len(foreign)}); give counts of the same neurons, for "
            "example from pg.bin_spikes(..., neurons=)."
        )
    checked = checked.sel(neuron=labels)
    if known.observation.whole:
        _observation_of(tree, known.observation).check(checked.values, labels, width)
    starts = segment_starts(checked)
    return known._replace(
        counts=np.ascontiguousarray(checked.values),
        times=checked["time"].values.astype(float),
        starts=starts,
        bins=data_bins(checked, starts, known.n_lags, intervals_from_package(exclude)),
        covariates=_same_covariates(tree, covariates, checked),
    )


def _observation_of(tree: xr.DataTree, observation: type[Observation]) -> Observation:
    """Return the observation model, with its parameter where that is a scalar in the data."""
    constants = tree["constant_data"].dataset
    name = observation.parameter_name
    known = name in constants and constants[name].ndim == 0
    return observation.with_parameter(float(constants[name]) if known else 1.0)


def _same_covariates(tree: xr.DataTree, covariates: Any, counts: xr.DataArray) -> Floats | None:
    """Return the covariates of other data, (time, covariate), in the order of the model."""
    constants = tree["constant_data"].dataset
    if "covariates" not in constants:
        if covariates is not None:
            raise ValueError("covariates: the model has none; leave them out.")
        return None
    labels = [str(label) for label in constants["covariate"].values]
    if covariates is None:
        raise ValueError(f"covariates: the model has {labels}; give them along with the counts.")
    columns = covariate_columns(covariates, counts)
    given = columns["covariate"].values.tolist()
    if sorted(given) != sorted(labels):
        raise ValueError(f"covariates: got {given}, those of the model are {labels}; give these.")
    return columns.sel(covariate=labels).values


def post_draws(
    tree: xr.DataTree,
    observation: type[Observation],
    post: int,
    chains: NDArray[np.intp],
    draws: NDArray[np.intp],
) -> PostDraws:
    """Return the parameters of one post neuron in some draws, one for each pair (chain, draw)."""

    def drawn(group: str, name: str, *dims: str) -> Floats:
        of_all = variable(tree, group, name)
        of_post = of_all.isel(post=post) if "post" in of_all.dims else of_all
        if "chain" not in of_post.dims:
            return np.full(len(draws), float(of_post))
        values = of_post.transpose("chain", "draw", *dims).values[chains, draws]
        return np.ascontiguousarray(values, dtype=float)

    name = observation.parameter_name
    covariate_weights = None
    if "covariates" in tree["constant_data"].dataset:
        covariate_weights = drawn("posterior", "covariate_weights", "covariate")
    self_weights = None
    if "self_basis_functions" in tree["constant_data"].dataset:
        self_weights = drawn("posterior", "self_weights", "self_basis")
    parameter = np.ones(len(draws))
    for group in ("posterior", "constant_data"):
        if name is not None and name in tree[group].dataset:
            parameter = drawn(group, name)
            break
    return PostDraws(
        drawn("posterior", "bias"),
        drawn("posterior", "weights", "pre", "basis"),
        covariate_weights,
        parameter,
        self_weights,
        post,
    )


def activations(data: ObservedData, draws: PostDraws, window: slice | None = None) -> Floats:
    """Return psi of one post neuron in some draws, (sample, time).

    Parameters
    ----------
    data : ObservedData
    draws : PostDraws
    window : slice, optional
        Bins from start to stop; all by default. The history before the window enters as well.
    """
    start, stop, _ = slice(None).indices(len(data.counts))
    if window is not None:
        start, stop = window.start, window.stop
    before = min(start, data.n_lags)
    first = start - before
    inside = data.starts[(data.starts > first) & (data.starts < stop)] - first
    counts, starts = data.counts[first:stop], np.append(0, inside)
    psi = history_product(counts, data.basis, draws.weights, starts)
    if data.self_basis is not None and draws.self_weights is not None:
        psi += _self_activations(counts, data.self_basis, draws.self_weights, draws.post, starts)
    psi = psi[before:].T
    psi += draws.bias[:, None]
    if data.covariates is not None and draws.covariate_weights is not None:
        psi += draws.covariate_weights @ data.covariates[start:stop].T
    return psi


def _self_activations(
    counts: NDArray, basis: Floats, weights: Floats, post: int | None, starts: NDArray[np.int64]
) -> Floats:
    """Return the contribution of the neuron's spikes to psi, (time, sample)."""
    if post is None:
        return self_product_kernel(counts, basis, weights, starts)
    alone = np.ascontiguousarray(counts[:, post, None])
    return history_product(alone, basis, weights[:, None], starts)


def activation_blocks(data: ObservedData, draws: PostDraws) -> Iterator[tuple[Floats, Floats]]:
    """Yield psi (sample, time) and the parameter (sample, 1) for a few draws at a time."""
    size = max(1, _BLOCK // len(data.counts))
    for first in range(0, len(draws.bias), size):
        part = draws.some(slice(first, first + size))
        yield activations(data, part), part.parameter[:, None]
