"""The spikes as step methods read them: one copy for all steps and all chains of a model."""

import weakref
from typing import NamedTuple, Self

import numpy as np
import pymc as pm
from numpy.typing import NDArray

from pymc_glm.kernels.likelihood import Likelihood
from pymc_glm.kernels.sparse_history import SparseHistory, spike_history
from pymc_glm.steps.network_state import NetworkVariables, data_values, observed_counts
from pymc_glm.steps.shared import Shared

__all__ = ["SpikeData", "read_history", "read_spikes"]

_known: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


class SpikeData(NamedTuple):
    """History and law of the counts."""

    history: SparseHistory
    likelihood: Likelihood

    def with_shape(self, shape: NDArray[np.float64]) -> Self:
        """Return the data under another shape of the law."""
        return self._replace(likelihood=self.likelihood._replace(shape=shape))


def read_history(model: pm.Model) -> SparseHistory:
    """Return the history of the model's data containers."""
    return spike_history(*data_values(model))


def read_spikes(model: pm.Model, network: NetworkVariables) -> Shared[SpikeData]:
    """Return history and counts, the same object for all steps of a model."""
    container = model["counts"]
    sources = [model[name].get_value(borrow=True) for name in ("counts", "basis_functions")]
    seen = _known.get(container)
    if seen is None or any(r() is not s for r, s in zip(seen[0], sources, strict=True)):
        counts = observed_counts(model, network.spikes).T
        counts = np.ascontiguousarray(counts, np.min_scalar_type(-1 - int(counts.max())))
        data = SpikeData(read_history(model), network.observation.likelihood(counts))
        seen = [weakref.ref(source) for source in sources], Shared(data)
        _known[container] = seen
    return seen[1]
