"""Initial paths, loadings and delays of shared input, from the activity of all neurons."""

from itertools import pairwise

import numpy as np
import pymc as pm
from numpy.typing import NDArray

from pymc_glm.graph.data import observed_counts, spike_data
from pymc_glm.graph.find import NetworkVariables
from pymc_glm.graph.further_terms import largest_delay
from pymc_glm.graph.shared_paths import SharedPathFunctions

__all__ = ["SharedStart"]

_SHARE = 0.7  # of the smoothed activity in a path; the rest is noise
_LARGEST = 2.5  # standard deviations
_PARTS = 10  # of the largest delay: by one, correlations are smoothed
_CERTAIN = 6.0  # standard deviations by which correlations must vary with the lag
_MOST_AT_ONCE = 20_000  # bins


class SharedStart:
    """Initial values of paths, loadings and delays, for all chains.

    A path starts at the summed activity, smoothed over its timescale, plus noise, and loadings
    start positive. From random paths the first iterations would find loadings near zero, from which
    chains take long to return. Delays are those that the recording suggests.

    Parameters
    ----------
    model : pymc.Model
    network : NetworkVariables
        With shared input.
    """

    def __init__(self, model: pm.Model, network: NetworkVariables) -> None:
        factors, loadings = network.factors, network.loadings
        if factors is None or loadings is None:
            raise AssertionError("the network has no shared input.")
        self._factors, self._loadings = str(factors.name), str(loadings.name)
        self._functions = SharedPathFunctions(model, network)
        counts = observed_counts(model, network.spikes)
        paths = spike_data(model, network).value.history.further.paths
        self._delays: dict[str, NDArray] = {}
        delay = paths.delay
        if network.delays is not None:
            delay = _delays(counts, paths.place, largest_delay(network))
            self._delays[str(network.delays.name)] = delay
        bins, neuron = np.nonzero(counts)
        active, values = paths.place[bins] - delay[neuron], counts[bins, neuron].astype(float)
        self._activity = []  # of each factor: counts and bins of each grid point
        for first, end in pairwise(self._functions.start):
            last = paths.last[first:end]
            self._activity.append(
                (_sums(last, active, values), _sums(last, paths.place, np.ones(paths.place.size)))
            )

    def draw(self, point: dict, rng: np.random.Generator) -> dict[str, NDArray]:
        """Draw initial values of a chain.

        Parameters
        ----------
        point : dict
            With values of the timescales.
        rng : numpy.random.Generator
        """
        functions = self._functions
        path = rng.standard_normal(functions.place.size)
        for k, timescale in enumerate(functions.timescale(point)):
            of_factor = slice(functions.start[k], functions.start[k + 1])
            smooth = _smoothed(*self._activity[k], np.exp(-functions.width[k] / timescale))
            noise = np.sqrt(1 - _SHARE**2) * path[of_factor]
            path[of_factor] = np.clip(_SHARE * smooth + noise, -_LARGEST, _LARGEST)
        n_post, n_factors = point[self._loadings].shape
        sizes = rng.uniform(0.2, 0.8, n_factors) + 0.1 * rng.standard_normal((n_post, n_factors))
        return self._delays | {self._factors: path, self._loadings: sizes}


def _sums(last: NDArray, places: NDArray, values: NDArray) -> NDArray[np.float64]:
    """Return sums of values at places on the axis of time, by grid point, (grid,)."""
    return np.bincount(np.searchsorted(last, places, side="right"), values, last.size)


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
