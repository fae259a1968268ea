"""Whether edges, weights and biases have the conditionals that the kernels draw from."""

import weakref
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray

from pymc_glm.graph.data import data_values
from pymc_glm.graph.evaluate import ONCE, PointFunction, initial_point_of
from pymc_glm.graph.find import NetworkVariables, children
from pymc_glm.kernels.history import convolve_history, history_product

__all__ = ["check_conditionals"]

_CHECKED_BINS = 500
_passed: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # networks, by their models


def check_conditionals(model: pm.Model, network: NetworkVariables, step: str) -> None:
    """Raise unless edges, weights and biases have the conditionals that the kernels draw from.

    Raises
    ------
    ValueError
        Something else in the model depends on edges, weights or biases, or the activation is not
        ``bias + coupling_activation(counts, basis_functions, weights)``.
    """
    everything = [network, *model.basic_RVs, *model.potentials]
    if everything in _passed.get(model, []):
        return
    bias, weights, adjacency, spikes = network[:4]
    regressors = [network.covariates, network.self_weights, network.loadings, network.factors]
    edges = [] if adjacency is None else [(adjacency, weights)]
    others = [(variable, spikes) for variable in regressors if variable is not None]
    for variable, child in (*edges, (weights, spikes), (bias, spikes), *others):
        strangers = [c for c in children(variable, model) if c != child]
        if strangers:
            raise ValueError(
                f"{strangers[0].name!r} depends on {variable.name!r}; {step} draws "
                f"{variable.name!r} given {child.name!r} alone and would ignore it. Remove it."
            )
    _check_activation(model, network, step)
    _passed.setdefault(model, []).append(everything)


def _check_activation(model: pm.Model, network: NetworkVariables, step: str) -> None:
    """Raise unless the activation is made of known terms, judged by some bins."""
    bias, weights, covariates = network.bias, network.weights, network.covariates
    data = data_values(model, network)
    first = int(data.counts.any(axis=1).argmax())
    window = slice(first, first + _CHECKED_BINS)
    counts = np.ascontiguousarray(data.counts[window])
    starts = np.unique(np.clip(data.starts - first, 0, len(counts) - 1))
    shown: dict[str, Any] = {
        "counts": counts,
        "segment_start": starts.astype(np.int32),
        "data_bins": np.arange(len(counts), dtype=np.int32),
        "covariates": None if data.covariates is None else data.covariates[window],
    }
    for name in ("path_index", "path_lead"):
        if network.container(model, name) is not None:
            shown[name] = network.container(model, name).get_value(borrow=True)[window]
    containers = {name: network.container(model, name) for name in shown}
    givens = {c: pt.as_tensor(shown[n]) for n, c in containers.items() if c is not None}
    psi = network.observation.psi(network.spikes)
    rng = np.random.default_rng(0)
    # Small, so that psi is recovered from the probabilities to full precision.
    point = {
        name: rng.uniform(-0.1, 0.1, value.shape).astype(value.dtype)
        for name, value in initial_point_of(model).items()
    }
    here = {
        rv: point[model.rvs_to_values[rv].name]
        for rv in (bias, weights, covariates, *network[7:])
        if rv is not None
    }
    expected = here[bias] + history_product(counts, data.basis, here[weights], starts)
    if covariates is not None and data.covariates is not None:
        units = 1.0 / np.maximum(np.abs(data.covariates).max(axis=0), 1e-300)
        here[covariates] *= units
        expected += data.covariates[window] @ here[covariates].T
    expected += _further_activation(model, network, here, counts, starts, shown)
    try:
        (found,) = PointFunction(model, [psi], {"givens": givens}, mode=ONCE)(point)
    except ValueError:  # other terms have the length of the recording, not of the checked bins
        found = np.full((len(counts), len(here[weights])), np.nan)
    if not np.allclose(found, expected, atol=1e-4):
        raise ValueError(
            f"the activation of {network.spikes.name!r} is not bias + coupling_activation(counts, "
            f"basis_functions, weights), with covariates @ covariate_weights.T where there are "
            f"covariates, and self filters and shared input as pymc_glm.build_glm writes them; "
            f"{step} would ignore what else is in it. Remove it."
        )


def _further_activation(
    model: pm.Model,
    network: NetworkVariables,
    here: dict,
    counts: NDArray,
    starts: NDArray,
    shown: dict[str, Any],
) -> NDArray:
    """Return what self filters and shared input add in the checked bins, (time, post)."""
    added = np.zeros(counts.shape)
    if network.self_weights is not None:
        basis = network.container(model, "self_basis_functions").get_value(borrow=True)
        history = convolve_history(counts, basis, starts)
        added += np.einsum("tnc,nc->tn", history, here[network.self_weights])
    if network.loadings is not None:
        index = shown["path_index"][:, None]  # (time, 1, factor)
        if network.delays is not None:
            width = network.container(model, "grid_width").get_value(borrow=True)
            bin_width = network.container(model, "bin_width").get_value(borrow=True)
            late = shown["path_lead"][:, None] - here[network.delays][:, None]
            index = index + late // np.rint(width / bin_width).astype(np.int64)
        added += (here[network.factors][index] * here[network.loadings]).sum(axis=2)
    return added
