"""Spikes as the step methods read them: one copy for all steps and chains of a model."""

import weakref
from collections.abc import Iterable
from typing import Any, NamedTuple, Self

import numpy as np
import pymc as pm
from numpy.typing import NDArray
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.scalar.basic import Cast
from pytensor.tensor.variable import TensorVariable

from pymc_glm.graph.covariate_groups import CovariateLayout
from pymc_glm.graph.evaluate import INTERPRETED
from pymc_glm.graph.find import NetworkVariables
from pymc_glm.graph.further_terms import further_terms, with_paths
from pymc_glm.graph.shared import Shared
from pymc_glm.kernels.likelihood import Likelihood
from pymc_glm.kernels.spike_history import SpikeHistory, spike_history

__all__ = [
    "CONTAINERS",
    "NetworkData",
    "SpikeData",
    "data_values",
    "network_history",
    "observed_counts",
    "spike_data",
]

_known: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def observed_counts(model: pm.Model, spikes: TensorVariable) -> NDArray:
    """Return the observed counts, (time, post), without copying those in a data container."""
    value = model.rvs_to_values[spikes]
    while value.owner and isinstance(getattr(value.owner.op, "scalar_op", None), Cast):
        (value,) = value.owner.inputs
    if isinstance(value, SharedVariable):
        return value.get_value(borrow=True)
    return np.asarray(value.eval(mode=INTERPRETED))


class NetworkData(NamedTuple):
    """What the data containers of a model hold."""

    counts: NDArray  # (time, pre), which the history is computed from
    basis: NDArray[np.float64]  # (lag, basis)
    starts: NDArray[np.int64]  # (segment,): first bins of segments
    bins: NDArray[np.int64] | None  # bins that are data; None: all
    covariates: NDArray[np.float64] | None  # (time, covariate)


CONTAINERS = (
    "counts",
    "basis_functions",
    "segment_start",
    "data_bins",
    "covariates",
    "self_basis_functions",
    "path_index",
    "path_lead",
)


def data_values(model: pm.Model, network: NetworkVariables) -> NetworkData:
    """Return what the data containers of a network hold.

    Raises
    ------
    ValueError
        The model has no such data containers.
    """
    for name, dims in (("counts", "(time, pre)"), ("basis_functions", "(lag, basis)")):
        if network.container(model, name) is None:
            raise ValueError(
                f"the model has no data container {name!r} with dims {dims}; write the activation "
                "as bias + pymc_glm.coupling_activation(counts, basis_functions, weights) with "
                "counts = pm.Data('counts', ...), basis_functions = pm.Data('basis_functions', "
                "...)."
            )

    def optional(name: str) -> Any:
        container = network.container(model, name)
        return None if container is None else container.get_value(borrow=True)

    starts = optional("segment_start")
    return NetworkData(
        optional("counts"),
        np.asarray(optional("basis_functions"), dtype=np.float64),
        np.zeros(1, np.int64) if starts is None else np.asarray(starts, np.int64),
        optional("data_bins"),
        optional("covariates"),
    )


class SpikeData(NamedTuple):
    """History and observation model of the counts."""

    history: SpikeHistory
    likelihood: Likelihood

    def with_dispersion(self, dispersion: NDArray[np.float64]) -> Self:
        """Return the data with another dispersion, (post,)."""
        return self._replace(likelihood=self.likelihood._replace(dispersion=dispersion))

    def with_paths(
        self, values: NDArray[np.float64], delay: NDArray[np.int64] | None = None
    ) -> Self:
        """Return the data with other paths of shared input (grid,), and delays (post,)."""
        further = with_paths(self.history.further, values, delay)
        return self._replace(history=self.history._replace(further=further))


def network_history(data: NetworkData, layout: CovariateLayout | None) -> SpikeHistory:
    """Return the history in the bins that are data, with covariates after the pre neurons."""
    columns: Iterable[NDArray[np.float64]] = ()
    if layout is not None and data.covariates is not None:
        columns = layout.columns(data.covariates)
    return spike_history(data.counts, data.basis, data.starts, data.bins, columns)


def spike_data(model: pm.Model, network: NetworkVariables) -> Shared[SpikeData]:
    """Return history and counts, the same object for all steps of a model."""
    every = [network.container(model, name) for name in CONTAINERS]
    container = every[0]
    sources = [known.get_value(borrow=True) for known in every if known is not None]
    seen = _known.get(container)
    if seen is None or any(r() is not s for r, s in zip(seen[0], sources, strict=True)):
        counts = observed_counts(model, network.spikes).T
        whole = network.observation.whole
        kind = np.min_scalar_type(-1 - int(counts.max())) if whole else np.float64
        counts = np.ascontiguousarray(counts, kind)
        layout = None
        if network.covariates is not None:
            layout = CovariateLayout.of_network(model, network)
        values = data_values(model, network)
        history = network_history(values, layout)
        further = further_terms(model, network, history.spikes, values.bins, values.basis.shape[1])
        data = SpikeData(
            history._replace(further=further),
            network.observation.likelihood(counts),
        )
        seen = [weakref.ref(source) for source in sources], Shared(data)
        _known[container] = seen
    return seen[1]
