"""Firing rates predicted one bin ahead."""

from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pymc_glm.arguments import (
    as_number,
    as_probability,
    as_whole_number,
    label_index,
    random_generator,
)
from pymc_glm.criticism.one_step import activations, observed_data, post_draws
from pymc_glm.criticism.posterior import hdi, variable
from pymc_glm.criticism.shared_path import draw_filter, has_shared_input

__all__ = ["predicted_rates", "time_slice"]


def predicted_rates(
    tree: xr.DataTree,
    *,
    start: float | None = None,
    stop: float | None = None,
    neurons: Iterable[Hashable] | None = None,
    n_draws: int = 50,
    random_seed: int | np.random.Generator | None = None,
    hdi_prob: float = 0.94,
) -> xr.Dataset:
    r"""Predict firing rates one bin ahead, given the observed history.

    The rate is the mean count of a bin divided by its width, for Bernoulli counts
    :math:`\mathrm{sigmoid}(\psi_{tn}) / \Delta t` (Linderman, Adams & Pillow 2016, equation 1),
    in a sample of posterior draws. In `posterior_rates`, networks run freely instead. Shared input
    is integrated out given the counts before each bin (see `heldout_score`): it is predicted, not
    smoothed, so the rate of a bin never depends on the bin itself or later ones.

    Parameters
    ----------
    tree : DataTree
        Posterior that sampling returned, with its constant data.
    start, stop : float, optional
        Window in seconds: bins that begin in [start, stop). By default all bins.
    neurons : iterable of labels, optional
        Neurons whose rates to predict, in this order. All by default.
    n_draws : int
        Number of posterior draws, chosen at random; all if there are fewer.
    random_seed : int or numpy.random.Generator, optional
        Seed for the choice of draws.
    hdi_prob : float
        Probability of the pointwise highest-density interval. It shows the uncertainty of the rate,
        not the spread of counts.

    Returns
    -------
    Dataset
        `mean`, `lower` and `upper`, dims (time, post), in Hz; for traces, in units of the traces.

    Raises
    ------
    TypeError, ValueError
        The tree does not contain draws of a network, the window is empty or outside the data, a
        neuron is unknown, a number is out of range, or the seed is invalid.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> rates = pg.predicted_rates(tree, start=0.03, stop=0.06, random_seed=1)
    >>> rates["mean"].sel(post="a").values.round(1)  # refractory after a spike in the first bin
    array([9.5, 2.8, 3.5])
    """
    prob = as_probability(hdi_prob, "hdi_prob")
    n_draws = as_whole_number(n_draws, "n_draws")
    n = variable(tree, "posterior", "weights").sizes
    data = observed_data(tree)
    observation = data.observation
    keep = label_index(data.neurons, neurons)
    window = time_slice(data.times, data.bin_width, start, stop)
    chosen = np.sort(random_generator(random_seed).permutation(n["chain"] * n["draw"])[:n_draws])
    chains, index = np.unravel_index(chosen, (n["chain"], n["draw"]))
    bands = np.empty((3, window.stop - window.start, len(keep)))
    if has_shared_input(tree):
        done = 0
        filters = [draw_filter(tree, data, *at) for at in zip(chains, index, strict=True)]
        moments = zip(*(one.moments(window, keep) for one in filters), strict=True)
        for pieces in moments:  # of time, as all draws of the whole window would fill the memory
            rates = np.stack([mean for mean, _ in pieces]) / data.rate_unit
            some = slice(done, done + rates.shape[1])
            bands[0, some] = rates.mean(axis=0)
            bands[1:, some] = np.moveaxis(hdi(rates, prob), -1, 0)
            done = some.stop
    for column, post in enumerate(keep if not has_shared_input(tree) else ()):
        drawn = post_draws(tree, observation, post, chains, index)
        psi = activations(data, drawn, window)
        rates = observation.mean_counts(psi, drawn.parameter[:, None]) / data.rate_unit
        bands[0, :, column] = rates.mean(axis=0)
        bands[1:, :, column] = hdi(rates, prob).T
    coords: dict[str, Any] = {
        "time": ("time", data.times[window], {"units": "s"}),
        "post": [data.neurons[n] for n in keep],
    }
    if data.starts.size > 1:
        bins = np.arange(window.start, window.stop)
        coords["segment"] = ("time", np.searchsorted(data.starts, bins, side="right") - 1)
    return xr.Dataset(
        {
            name: (("time", "post"), values, {"units": "Hz"} if observation.whole else {})
            for name, values in zip(("mean", "lower", "upper"), bands, strict=True)
        },
        coords=coords,
        attrs={"hdi_prob": prob, "bin_width": data.bin_width, "n_draws": len(chosen)},
    )


def time_slice(
    times: NDArray[np.float64],
    bin_width: float,
    start: float | None,
    stop: float | None,
    data: str = "the model's data",
) -> slice:
    """Return the bins that begin in the window [start, stop).

    Parameters
    ----------
    times : array, shape (time,)
        Beginnings of the bins, in seconds.
    bin_width : float
    start, stop : float or None
    data : str
        Name of the data, for messages.

    Raises
    ------
    ValueError
        The window is empty or reaches beyond the bins, or times restart in every segment.
    """
    if start is None and stop is None:
        return slice(0, len(times))
    if (np.diff(times) <= 0).any():
        raise ValueError(
            "start, stop: times jump back between segments, so a window in seconds is ambiguous; "
            "omit both, and select bins of the result."
        )
    rounding = 1e-6 * bin_width
    begin, end = float(times[0]), float(times[-1] + bin_width)
    low = begin if start is None else as_number(start, "start")
    high = end if stop is None else as_number(stop, "stop")
    if not (begin - rounding <= low < high <= end + rounding):
        raise ValueError(
            f"start, stop: got the window {low:g} to {high:g} s, allowed are windows, start before "
            f"stop, within the {begin:g} to {end:g} s of {data}."
        )
    first, last = np.searchsorted(times, [low - rounding, high - rounding])
    if first == last:
        raise ValueError(
            f"start, stop: no bin begins in the window {low:g} to {high:g} s; bins are "
            f"{bin_width:g} s wide, give a longer window."
        )
    return slice(int(first), int(last))
