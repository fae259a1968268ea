"""Simulation of a network of neurons, bin by bin."""

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.count_draws import draw_count, mean_counts
from pymc_glm.kernels.likelihood import GAUSSIAN

__all__ = ["MOST_SPIKES", "Process", "State", "draw_given", "run", "state_after"]

MOST_SPIKES = 1e6  # mean count of a bin beyond which a simulation stops

type Floats = NDArray[np.float64]

_NONE = np.empty((0, 0))


class Process(NamedTuple):
    """A network with known parameters."""

    family: int  # of the observation model, see kernels/likelihood.py
    slope: float
    dispersion: Floats  # (post,)
    bias: Floats  # (post,)
    filters: Floats  # (pre, lag, post); lag 0 is the next bin
    covariate_weights: Floats  # (covariate, post)
    window: int  # bins in which spikes are counted to detect a run-away
    limit: float  # number of spikes in a window above which a neuron has run away
    self_filters: Floats = _NONE  # (post, self_lag); no lags: there are none


class State(NamedTuple):
    """The effect of the past on coming bins; changed in place."""

    ring: Floats  # (lag, post): coupling in the coming bins, that of bin t in row t % lag
    recent: Floats  # (post,): spikes since the start of the window; infinite: too many in one bin
    self_ring: Floats  # (self_lag, post): effect of a neuron on itself, as in `ring`


def state_after(filters: Floats, initial: NDArray, self_filters: Floats = _NONE) -> State:
    """Return the state before bin 0.

    Parameters
    ----------
    filters : array, shape (pre, lag, post)
    initial : array, shape (time, pre)
        Counts of the bins before bin 0, the latest in the last row.
    self_filters : array, shape (post, self_lag)
    """
    n_lags, n_self = filters.shape[1], self_filters.shape[1]
    ring, self_ring = np.zeros((n_lags, filters.shape[2])), np.zeros((n_self, filters.shape[2]))
    for before, counts in enumerate(initial[::-1]):
        if before < n_lags:
            ring[: n_lags - before] += np.einsum("m,mln->ln", counts, filters[:, before:])
        if before < n_self:
            self_ring[: n_self - before] += counts * self_filters[:, before:].T
    return State(ring, np.zeros(filters.shape[2]), self_ring)


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def run(
    process: Process,
    state: State,
    first: int,
    uniforms: Floats,
    covariates: Floats,
    counts: NDArray,
) -> int:
    """Draw counts of some bins.

    A spike adds its filters to ring buffers of coming activations, so the cost is one exponential
    per bin and neuron plus (lags x post + lags of the self filter) additions per spike. The
    probability of a count above 0 is at most its mean, so for most bins only the mean is needed.

    Parameters
    ----------
    process : Process
    state : State
        After the earlier bins; changed in place.
    first : int
        Number of bins before these.
    uniforms : array, shape (time, post)
        In [0, 1); for traces, standard normal numbers.
    covariates : array, shape (time, covariate)
    counts : array, shape (time, post)
        Receives the counts.

    Returns
    -------
    int
        -1, or the index of the bin in which a neuron ran away: its `state.recent` is above the
        limit, or infinite. Later bins are not written.
    """
    n_bins, n = uniforms.shape
    n_lags, n_self = state.ring.shape[0], state.self_ring.shape[0]
    psi, mean = np.empty(n), np.empty(n)
    for t in range(n_bins):
        now, self_now = (first + t) % n_lags, (first + t) % max(n_self, 1)
        if (first + t) % process.window == 0:
            state.recent[:] = 0.0
        for post in range(n):
            psi[post] = process.bias[post] + state.ring[now, post]
            state.ring[now, post] = 0.0
        if n_self > 0:
            for post in range(n):
                psi[post] += state.self_ring[self_now, post]
                state.self_ring[self_now, post] = 0.0
        for k in range(covariates.shape[1]):
            for post in range(n):
                psi[post] += covariates[t, k] * process.covariate_weights[k, post]
        mean_counts(process.family, process.slope, process.dispersion, psi, mean)
        runaway = False
        for m in range(n):
            count = 0.0
            if not abs(mean[m]) <= MOST_SPIKES:
                state.recent[m] = np.inf
                runaway = True
            elif uniforms[t, m] < mean[m] or process.family == GAUSSIAN:
                count = draw_count(
                    process.family, process.slope, process.dispersion[m], psi[m], uniforms[t, m]
                )
            counts[t, m] = count
            if count != 0.0:
                state.recent[m] += count
                runaway |= state.recent[m] > process.limit
                for lag in range(n_lags):
                    slot = (now + 1 + lag) % n_lags
                    for post in range(n):
                        state.ring[slot, post] += count * process.filters[m, lag, post]
                for lag in range(n_self):
                    slot = (self_now + 1 + lag) % n_self
                    state.self_ring[slot, m] += count * process.self_filters[m, lag]
        if runaway:
            return t
    return -1


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def draw_given(
    family: int, slope: float, dispersion: Floats, psi: Floats, uniforms: Floats, counts: NDArray
) -> bool:
    """Draw counts of bins with known activations.

    Parameters
    ----------
    family, slope, dispersion
        Observation model, see `pymc_glm.kernels.likelihood.Likelihood`.
    psi, uniforms : arrays, shape (time, post)
        Uniforms in [0, 1); for traces, standard normal numbers.
    counts : array, shape (time, post)
        Receives the counts.

    Returns
    -------
    bool
        Whether all counts were drawn, as no mean is above `MOST_SPIKES`.
    """
    n_bins, n = psi.shape
    mean = np.empty(n)
    for t in range(n_bins):
        mean_counts(family, slope, dispersion, psi[t], mean)
        for m in range(n):
            if not abs(mean[m]) <= MOST_SPIKES:
                return False
            counts[t, m] = 0
            if uniforms[t, m] < mean[m] or family == GAUSSIAN:
                counts[t, m] = draw_count(family, slope, dispersion[m], psi[t, m], uniforms[t, m])
    return True
