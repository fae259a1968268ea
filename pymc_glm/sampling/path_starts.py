"""Initial paths, loadings and delays of shared input, from the activity of all neurons."""

import numpy as np
import pymc as pm
from numpy.typing import NDArray

from pymc_glm.graph.data import observed_counts, spike_data
from pymc_glm.graph.find import NetworkVariables
from pymc_glm.graph.further_terms import largest_delay
from pymc_glm.graph.shared_paths import SharedPathFunctions

__all__ = ["shared_start"]

_SHARE = 0.7  # of the smoothed activity in a path; the rest is noise
_LARGEST = 2.5  # standard deviations
_PARTS = 10  # of the largest delay: by one, correlations are smoothed
_CERTAIN = 6.0  # standard deviations by which correlations must vary with the lag
_MOST_AT_ONCE = 20_000  # bins


def shared_start(
    model: pm.Model, network: NetworkVariables, point: dict, rng: np.random.Generator
) -> dict[str, NDArray[np.float64]]:
    """Draw initial values of paths and loadings, and find those of delays.

    A path starts at the summed activity, smoothed over its timescale, plus noise, and loadings
    start positive. From random paths the first iterations would find loadings near zero, from which
    chains take long to return.

    Parameters
    ----------
    model : pymc.Model
    network : NetworkVariables
        With shared input.
    point : dict
        With values of the timescales.
    rng : numpy.random.Generator
    """
    factors, loadings = network.factors, network.loadings
    if factors is None or loadings is None:
        raise AssertionError("the network has no shared input.")
    functions = SharedPathFunctions(model, network)
    counts = observed_counts(model, network.spikes)
    paths = spike_data(model, network).value.history.further.paths
    start: dict[str, NDArray] = {}
    delay = paths.delay
    if network.delays is not None:
        delay = _delays(counts, paths.place, largest_delay(network))
        start[str(network.delays.name)] = delay
    bins, neuron = np.nonzero(counts)
    active, values = paths.place[bins] - delay[neuron], counts[bins, neuron].astype(float)
    path = rng.standard_normal(functions.place.size)
    for k, timescale in enumerate(functions.timescale(point)):
        first, last = functions.start[k], functions.start[k + 1]
        r = np.exp(-functions.width[k] / timescale)
        total, number = (
            np.bincount(
                np.searchsorted(paths.last[first:last], places, side="right"),
                weights,
                minlength=last - first,
            )
            for places, weights in ((active, values), (paths.place, None))
        )
        smooth = _smoothed(total, number, r)
        noise = np.sqrt(1 - _SHARE**2) * path[first:last]
        path[first:last] = np.clip(_SHARE * smooth + noise, -_LARGEST, _LARGEST)
    n_post, n_factors = point[str(loadings.name)].shape
    sizes = rng.uniform(0.2, 0.8, n_factors) + 0.1 * rng.standard_normal((n_post, n_factors))
    return start | {str(factors.name): path, str(loadings.name): sizes}


def _delays(counts: NDArray, place: NDArray, most: int) -> NDArray[np.int64]:
    """Return the centres of the activity of the others around spikes, as delays (post,).

    Parameters
    ----------
    counts : array, shape (bin, post)
        In the bins that are data.
    place : array of int, shape (bin,)
        On the axis of time, where segments are twice the largest delay apart.
    most : int
        The largest delay in bins.
    """
    from scipy.ndimage import gaussian_filter1d

    axis = np.zeros(int(place[-1]) + 2 * most + 1)
    axis[place] = counts.sum(axis=1)
    lags = np.arange(-most, most + 1)
    width = max(most / _PARTS, 1.0)
    delay = np.zeros(counts.shape[1])
    for n, own in enumerate(counts.T):
        active = np.flatnonzero(own)
        weight = own[active] - own.mean()
        others = axis.copy()
        others[place] -= own
        around = np.zeros(lags.size)
        for some in np.array_split(np.arange(active.size), 1 + active.size // _MOST_AT_ONCE):
            around += weight[some] @ others[place[active[some]][:, None] - lags]
        smooth = gaussian_filter1d(around, width, mode="nearest")
        noise = np.std(around - smooth) / np.sqrt(2 * np.sqrt(np.pi) * width)
        if np.ptp(smooth) > _CERTAIN * noise:
            above = np.maximum(smooth - (smooth.max() + smooth.min()) / 2, 0.0)
            delay[n] = lags @ above / above.sum()
    return np.clip(np.rint(delay - np.median(delay)), -most, most).astype(np.int64)


def _smoothed(total: NDArray, number: NDArray, r: float) -> NDArray[np.float64]:
    """Return the activity of each grid point, smoothed both ways and standardised, (grid,).

    Parameters
    ----------
    total : array, shape (grid,)
        Sums of counts.
    number : array, shape (grid,)
        Bins that are data.
    r : float
        Weight of the value before.
    """
    from scipy.signal import lfilter

    rate = np.where(number > 0, total / np.maximum(number, 1), total.sum() / number.sum())
    rate -= rate.mean()
    forward = lfilter([1 - r], [1, -r], rate)
    smooth = lfilter([1 - r], [1, -r], forward[::-1])[::-1]
    spread = smooth.std()
    return smooth / spread if spread > 0 else smooth
