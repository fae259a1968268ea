"""Regressors of every bin as the kernels store them."""

import numpy as np

from pymc_glm.kernels.spike_filters import NO_SPIKES
from pymc_glm.kernels.spike_history import SpikeHistory


def column_history(x):
    """Store regressors (time, pre, basis) without spikes."""
    columns = np.ascontiguousarray(x.transpose(1, 2, 0), dtype=float)
    basis, groups = np.zeros((0, x.shape[2])), np.arange(x.shape[1])
    return SpikeHistory(NO_SPIKES, basis, groups, columns, len(x))


def dense_history(history):
    """Write out the regressors (time, pre, basis) of a stored history, column by column."""
    out = np.zeros((history.n_bins, history.n_pre, history.n_basis))
    spikes = history.spikes
    kept = np.arange(spikes.ends[-1]) if spikes.before.size == 0 else np.diff(spikes.before) > 0
    for m, group in enumerate(history.group):
        if group >= 0:
            out[:, m] = history.columns[group].T
            continue
        whole = np.zeros((spikes.ends[-1], history.n_basis))
        for i in range(spikes.start[m], spikes.start[m + 1]):
            t = spikes.bins[i]
            end = spikes.ends[np.searchsorted(spikes.ends, t, side="right")]
            after = whole[t + 1 : min(t + 1 + len(history.basis), end)]
            after += spikes.counts[i] * history.basis[: len(after)]
        out[:, m] = whole[kept]
    return out
