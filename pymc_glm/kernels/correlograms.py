"""Products of counts at lags, within segments; spike by spike if spikes are rare."""

import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.compiling import inlined

__all__ = ["edge_sums", "lagged_products", "padded", "segment_first"]

_DENSE = 0.3  # mean of squared counts above which matrix products are faster

type Floats = NDArray[np.float64]
type Integers = NDArray[np.int64]


def segment_first(bins: NDArray, starts: Integers) -> Integers:
    """Return the first bin of the segment that contains each of the given bins."""
    return starts[np.searchsorted(starts, bins, side="right") - 1]


def lagged_products(earlier: NDArray, counts: NDArray, starts: Integers, n_lags: int) -> Floats:
    """Return ``out[l, a, b] = sum_t earlier[t, a] * counts[t + l, b]``, l = 0..n_lags.

    At lag 0 ``earlier`` is replaced by the counts. Both bins are in the same segment.

    For sparse integer counts the cost is one addition for each pair of spikes within n_lags bins;
    else it is (time x neuron^2) for each lag, by BLAS.

    Parameters
    ----------
    earlier, counts : arrays, shape (time, neuron)
    starts : array of int, shape (segment,)
        First bins of the segments.
    n_lags : int

    Returns
    -------
    array, shape (n_lags + 1, neuron, neuron)
    """
    if counts.dtype.kind == "f" or np.mean(counts != 0) > _DENSE:
        before = padded(np.asarray(earlier, dtype=float), starts, n_lags)
        after = before if earlier is counts else padded(counts.astype(float), starts, n_lags)
        products = [after.T @ after]
        products += [before[:-lag].T @ after[lag:] for lag in range(1, n_lags + 1)]
        return np.stack(products)
    out = np.zeros((n_lags + 1, counts.shape[1], counts.shape[1]))
    bins, who = np.nonzero(counts)
    events = bins, who, counts[bins, who]
    past = events
    if earlier is not counts:
        before_bins, before_who = np.nonzero(earlier)
        past = before_bins, before_who, earlier[before_bins, before_who]
    _add_products(*past, *events, segment_first(bins, starts), out)
    return out


def padded(values: Floats, starts: Integers, n_lags: int) -> Floats:
    """Return values (time, neuron) with n_lags rows of zeros after each segment."""
    bins = np.arange(len(values))
    place = bins + n_lags * (np.searchsorted(starts, bins, side="right") - 1)
    out = np.zeros((len(values) + n_lags * len(starts), values.shape[1]))
    out[place] = values
    return out


@inlined
def _add_products(past_bins, past_who, past_counts, bins, who, counts, first, out):
    n_lags = out.shape[0] - 1
    low = 0
    for i in range(bins.size):
        t = bins[i]
        while low < past_bins.size and past_bins[low] < t - n_lags:
            low += 1
        j = low
        while j < past_bins.size and past_bins[j] < t:
            if past_bins[j] >= first[i]:
                out[t - past_bins[j], past_who[j], who[i]] += float(past_counts[j]) * counts[i]
            j += 1
        j = i
        while j >= 0 and bins[j] == t:
            product = float(counts[i]) * counts[j]
            out[0, who[i], who[j]] += product
            if i != j:
                out[0, who[j], who[i]] += product
            j -= 1


def edge_sums(values: NDArray, starts: Integers, n_lags: int) -> tuple[Floats, Floats, Integers]:
    """Return sums of values over the bins with a partner at each lag in the same segment.

    Parameters
    ----------
    values : array, shape (time, neuron)
    starts : array of int, shape (segment,)
    n_lags : int

    Returns
    -------
    tuple of arrays
        Sums over the bins t with t + l in the same segment, shape (n_lags + 1, neuron); sums over
        those with t - l in the same segment; and their number, shape (n_lags + 1,).
    """
    ends = np.append(starts[1:], len(values))
    bins = np.arange(len(values))
    segment = np.searchsorted(starts, bins, side="right") - 1
    lags = np.arange(n_lags + 1)
    n_bins = np.maximum((ends - starts)[:, None] - lags, 0).sum(axis=0)
    sums = []
    for distance in (ends[segment] - bins, bins - starts[segment] + 1):
        near = np.flatnonzero(distance <= n_lags)
        lost = np.zeros((n_lags + 1, values.shape[1]))
        np.add.at(lost, distance[near], values[near])
        sums.append(values.sum(axis=0) - lost.cumsum(axis=0))
    return sums[0], sums[1], n_bins
