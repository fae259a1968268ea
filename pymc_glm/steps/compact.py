"""The history in compact form, shared by the step methods of one process."""

import weakref

import numpy as np
import pymc as pm

from pymc_glm.kernels.likelihood import Likelihood
from pymc_glm.kernels.sparse_history import SparseHistory, sparse_history
from pymc_glm.steps.network_state import NetworkVariables, observed_counts

__all__ = ["read_history", "read_likelihood"]

_known: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def read_history(model: pm.Model) -> SparseHistory:
    """Return the compact history of a model's data container, the same object for all steps."""
    container = model["history"]
    values = container.get_value(borrow=True)
    seen = _known.get(container)
    if seen is None or seen[0]() is not values:
        seen = weakref.ref(values), sparse_history(values)
        _known[container] = seen
    return seen[1]


def read_likelihood(model: pm.Model, network: NetworkVariables) -> Likelihood:
    """Return the law of the counts and the counts themselves."""
    counts = observed_counts(model, network.spikes).T
    counts = np.ascontiguousarray(counts, np.min_scalar_type(-1 - counts.max()))
    return network.observation.likelihood(counts)
