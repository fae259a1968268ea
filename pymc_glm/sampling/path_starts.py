"""Initial paths and loadings of shared input: the activity of all neurons, smoothed."""

import numpy as np
import pymc as pm
from numpy.typing import NDArray

from pymc_glm.graph.data import observed_counts
from pymc_glm.graph.find import NetworkVariables
from pymc_glm.graph.shared_paths import SharedPathFunctions

__all__ = ["shared_start"]

_SHARE = 0.7  # of the smoothed activity in a path; the rest is noise
_LARGEST = 2.5  # standard deviations


def shared_start(
    model: pm.Model, network: NetworkVariables, point: dict, rng: np.random.Generator
) -> dict[str, NDArray[np.float64]]:
    """Draw initial values of paths and loadings.

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
    counts = observed_counts(model, network.spikes).sum(axis=1).astype(float)
    index = network.container(model, "path_index").get_value(borrow=True)
    bins = network.container(model, "data_bins")
    if bins is not None:
        index = index[bins.get_value(borrow=True)]
    path = rng.standard_normal(functions.place.size)
    for k, timescale in enumerate(functions.timescale(point)):
        first, last = functions.start[k], functions.start[k + 1]
        r = np.exp(-functions.width[k] / timescale)
        smooth = _smoothed(index[:, k] - first, counts, int(last - first), r)
        noise = np.sqrt(1 - _SHARE**2) * path[first:last]
        path[first:last] = np.clip(_SHARE * smooth + noise, -_LARGEST, _LARGEST)
    n_post, n_factors = point[str(loadings.name)].shape
    sizes = rng.uniform(0.2, 0.8, n_factors) + 0.1 * rng.standard_normal((n_post, n_factors))
    return {str(factors.name): path, str(loadings.name): sizes}


def _smoothed(index: NDArray, counts: NDArray, n_grid: int, r: float) -> NDArray[np.float64]:
    """Return counts summed over each grid point, smoothed both ways and standardised, (grid,)."""
    from scipy.signal import lfilter

    total = np.bincount(index, counts, n_grid)
    number = np.bincount(index, minlength=n_grid)
    rate = np.where(number > 0, total / np.maximum(number, 1), counts.mean())
    rate -= rate.mean()
    forward = lfilter([1 - r], [1, -r], rate)
    smooth = lfilter([1 - r], [1, -r], forward[::-1])[::-1]
    spread = smooth.std()
    return smooth / spread if spread > 0 else smooth
