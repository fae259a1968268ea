"""Running a network of neurons freely, bin by bin."""

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["run_bernoulli"]


@numba.njit(cache=True, nogil=True)
def run_bernoulli(
    bias: NDArray[np.float64],
    filters: NDArray[np.float64],
    initial: NDArray[np.int64],
    uniforms: NDArray[np.float64],
    limit: int,
) -> tuple[NDArray[np.int8], int]:  # pragma: no cover - compiled
    """Draw binary counts of a network GLM bin after bin.

    A spike adds its filters to a ring of coming activations, so that the work is one addition a
    bin and neuron, plus (lags x post) a spike.

    Parameters
    ----------
    bias : array, shape (post,)
    filters : array, shape (pre, lag, post)
        Coupling filters in log-odds; lag 0 is the next bin.
    initial : array of int, shape (lag, neuron)
        Counts of the bins before the first, the last row just before it.
    uniforms : array, shape (time, neuron)
    limit : int
        A neuron with more spikes than this in one window of lags has run away.

    Returns
    -------
    counts : array of int8, shape (time, neuron)
    stop : int
        -1, or the bin in which some neuron ran away.
    """
    n_bins, n = uniforms.shape
    n_lags = filters.shape[1]
    counts = np.zeros((n_bins, n), dtype=np.int8)
    ring = np.zeros((n_lags, n))
    for before in range(n_lags):
        for m in range(n):
            if initial[n_lags - 1 - before, m] != 0:
                for lag in range(before, n_lags):
                    for post in range(n):
                        ring[lag - before, post] += (
                            initial[n_lags - 1 - before, m] * filters[m, lag, post]
                        )
    recent = initial.sum(axis=0)
    for t in range(n_bins):
        now = t % n_lags
        for post in range(n):
            psi = bias[post] + ring[now, post]
            ring[now, post] = 0.0
            if uniforms[t, post] * (1.0 + np.exp(-psi)) < 1.0:
                counts[t, post] = 1
        for m in range(n):
            old = counts[t - n_lags, m] if t >= n_lags else initial[t, m]
            recent[m] += counts[t, m] - old
            if recent[m] > limit:
                return counts, t
            if counts[t, m]:
                for lag in range(n_lags):
                    slot = (now + 1 + lag) % n_lags
                    for post in range(n):
                        ring[slot, post] += filters[m, lag, post]
    return counts, -1
