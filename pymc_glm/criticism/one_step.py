"""Activations one bin ahead: what draws of a posterior say of each bin, given the spikes before."""

from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pymc_glm.criticism.posterior import variable
from pymc_glm.kernels.history import history_product
from pymc_glm.observations import Bernoulli, Observation, law_named

__all__ = ["PostDraws", "Recording", "activations", "post_draws", "recording_of"]

type Floats = NDArray[np.float64]


class Recording(NamedTuple):
    """Counts, and what else of the data the activations depend on."""

    counts: NDArray  # (time, pre); of traces, real numbers
    times: Floats  # (time,), seconds, the beginnings of bins
    basis: Floats  # (lag, basis)
    starts: NDArray[np.int64]  # (segment,), first bins of the segments
    bins: NDArray[np.int64] | None  # (observed_time,), the bins that are data; None: all
    covariates: Floats | None  # (time, covariate)
    neurons: tuple[str, ...]
    bin_width: float
    law: type[Observation]

    @property
    def rate_unit(self) -> float:
        """Mean counts over this are rates: the width of a bin, and 1 for traces."""
        return self.bin_width if self.law.whole else 1.0


class PostDraws(NamedTuple):
    """Draws of the parameters of one post neuron."""

    bias: Floats  # (sample,)
    weights: Floats  # (sample, pre, basis)
    covariate_weights: Floats | None  # (sample, covariate)
    parameter: Floats  # (sample,), the law's own; 1 where it has none


def recording_of(tree: xr.DataTree) -> Recording:
    """Return the data that a model was fitted to.

    Parameters
    ----------
    tree : DataTree
        With the constant data of a model of this package.

    Raises
    ------
    TypeError, ValueError
        See `variable`; or the law of the counts is not known.
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
    return Recording(
        np.ascontiguousarray(counts.values),
        counts["time"].values,
        np.ascontiguousarray(functions.values, dtype=float),
        starts,
        constants["data_bins"].values if "data_bins" in constants else None,
        covariates,
        tuple(str(label) for label in counts["post"].values),
        width,
        law_named(name),
    )


def post_draws(
    tree: xr.DataTree,
    law: type[Observation],
    post: int,
    chains: NDArray[np.intp],
    draws: NDArray[np.intp],
) -> PostDraws:
    """Return the parameters of one post neuron in some draws, one of each pair (chain, draw)."""

    def drawn(group: str, name: str, *dims: str) -> Floats:
        own = variable(tree, group, name)
        own = own.isel(post=post) if "post" in own.dims else own
        if "chain" not in own.dims:
            return np.full(len(draws), float(own))
        values = own.transpose("chain", "draw", *dims).values[chains, draws]
        return np.ascontiguousarray(values, dtype=float)

    name = law.parameter_name
    covariate_weights = None
    if "covariates" in tree["constant_data"].dataset:
        covariate_weights = drawn("posterior", "covariate_weights", "covariate")
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
    )


def activations(recording: Recording, draws: PostDraws, window: slice | None = None) -> Floats:
    """Return psi of one post neuron in some draws, (sample, time).

    Parameters
    ----------
    recording : Recording
    draws : PostDraws
    window : slice, optional
        Bins from start to stop; all by default. The history before them is heard.
    """
    start, stop, _ = slice(None).indices(len(recording.counts))
    if window is not None:
        start, stop = window.start, window.stop
    before = min(start, len(recording.basis))
    first = start - before
    starts = recording.starts
    inside = starts[(starts > first) & (starts < stop)] - first
    psi = history_product(
        recording.counts[first:stop], recording.basis, draws.weights, np.append(0, inside)
    )[before:].T
    psi += draws.bias[:, None]
    if recording.covariates is not None and draws.covariate_weights is not None:
        psi += draws.covariate_weights @ recording.covariates[start:stop].T
    return psi
