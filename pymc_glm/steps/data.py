"""The spikes as step methods read them: one copy for all steps and all chains of a model."""

import weakref
from itertools import chain
from typing import NamedTuple, Self

import numpy as np
import pymc as pm
from numpy.typing import NDArray

from pymc_glm.kernels.likelihood import Likelihood
from pymc_glm.kernels.sparse_history import SparseHistory, history_columns, sparse_history
from pymc_glm.steps.covariates import CovariateLayout
from pymc_glm.steps.network_state import (
    CONTAINERS,
    NetworkData,
    NetworkVariables,
    data_values,
    observed_counts,
)
from pymc_glm.steps.shared import Shared

__all__ = ["SpikeData", "network_history", "read_spikes"]

_known: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


class SpikeData(NamedTuple):
    """History and law of the counts."""

    history: SparseHistory
    likelihood: Likelihood

    def with_shape(self, shape: NDArray[np.float64]) -> Self:
        """Return the data under another shape of the law."""
        return self._replace(likelihood=self.likelihood._replace(shape=shape))


def network_history(data: NetworkData, layout: CovariateLayout | None) -> SparseHistory:
    """Return the history in the bins that are data, covariates after the pre neurons."""
    columns = history_columns(data.counts, data.basis, data.starts)
    if layout is not None and data.covariates is not None:
        columns = chain(columns, layout.columns(data.covariates))
    kept = slice(None) if data.bins is None else data.bins
    return sparse_history(column[kept] for column in columns)


def read_spikes(model: pm.Model, network: NetworkVariables) -> Shared[SpikeData]:
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
        data = SpikeData(
            network_history(data_values(model, network), layout),
            network.observation.likelihood(counts),
        )
        seen = [weakref.ref(source) for source in sources], Shared(data)
        _known[container] = seen
    return seen[1]
