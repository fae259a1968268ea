"""Predicted firing rates."""

from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pymc_glm.arguments import as_number, label_index, random_generator
from pymc_glm.criticism.one_step import activations, observed_data, post_draws
from pymc_glm.criticism.posterior import check_prob, hdi, variable

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

    The rate is the mean count of a bin over its width, for Bernoulli counts
    :math:`\mathrm{sigmoid}(\psi_{tn}) / \Delta t` (Linderman, Adams & Pillow 2016, equation 1), in
    every one of some draws of the posterior. `posterior_rates` lets the networks run freely.

    Parameters
    ----------
    tree : DataTree
        What sampling returned; needs the posterior and the constant data.
    start, stop : float, optional
        Window in seconds: bins that begin in [start, stop). By default the whole recording.
    neurons : iterable of labels, optional
        Neurons whose rates to predict, in this order. All by default.
    n_draws : int
        Number of posterior draws to use, chosen at random; all where there are fewer.
    random_seed : int or numpy.random.Generator, optional
        Which draws are chosen.
    hdi_prob : float
        Probability of the band, a highest-density interval in every bin by itself. It is the
        uncertainty of the rate, not the spread of counts.

    Returns
    -------
    Dataset
        `mean`, `lower` and `upper` in Hz, of traces in their own units, dims (time, post).

    Raises
    ------
    TypeError, ValueError
        The tree does not hold the draws of a network, the window is empty or outside the
        recording, a neuron is unknown, a number is out of range, or the seed is no seed.

    Examples
    --------
    >>> import arviz as az, numpy as np, pymc_glm as pg
    >>> tree = az.from_dict(
    ...     {
    ...         "posterior": {
    ...             "bias": np.full((4, 50, 1), -2.0),
    ...             "weights": np.full((4, 50, 1, 1, 1), -3.0),
    ...         },
    ...         "constant_data": {
    ...             "counts": np.array([[1], [0], [0]]),
    ...             "basis_functions": np.ones((1, 1)),
    ...             "bin_width": np.array(0.01),
    ...         },
    ...     },
    ...     coords={"post": ["a"], "pre": ["a"], "time": [0.0, 0.01, 0.02]},
    ...     dims={
    ...         "bias": ["post"],
    ...         "weights": ["post", "pre", "basis"],
    ...         "counts": ["time", "post"],
    ...         "basis_functions": ["lag", "basis"],
    ...     },
    ... )
    >>> pg.predicted_rates(tree)["mean"].sel(post="a").values.round(1)
    array([11.9,  0.7, 11.9])
    """
    prob = check_prob(hdi_prob)
    if isinstance(n_draws, bool) or not isinstance(n_draws, int | np.integer) or n_draws < 1:
        raise ValueError(f"n_draws: got {n_draws!r}, allowed are whole numbers from 1.")
    n = variable(tree, "posterior", "weights").sizes
    recording = observed_data(tree)
    observation = recording.observation
    keep = label_index(recording.neurons, neurons)
    window = time_slice(recording.times, recording.bin_width, start, stop)
    chosen = np.sort(random_generator(random_seed).permutation(n["chain"] * n["draw"])[:n_draws])
    chains, index = np.unravel_index(chosen, (n["chain"], n["draw"]))
    bands = np.empty((3, window.stop - window.start, len(keep)))
    for column, post in enumerate(keep):
        own = post_draws(tree, observation, post, chains, index)
        psi = activations(recording, own, window)
        rates = observation.mean_counts(psi, own.parameter[:, None]) / recording.rate_unit
        bands[0, :, column] = rates.mean(axis=0)
        bands[1:, :, column] = hdi(rates, prob).T
    coords: dict[str, Any] = {
        "time": ("time", recording.times[window], {"units": "s"}),
        "post": [recording.neurons[n] for n in keep],
    }
    if recording.starts.size > 1:
        bins = np.arange(window.start, window.stop)
        coords["segment"] = ("time", np.searchsorted(recording.starts, bins, side="right") - 1)
    return xr.Dataset(
        {
            name: (("time", "post"), values, {"units": "Hz"} if observation.whole else {})
            for name, values in zip(("mean", "lower", "upper"), bands, strict=True)
        },
        coords=coords,
        attrs={"hdi_prob": prob, "bin_width": recording.bin_width, "n_draws": len(chosen)},
    )


def time_slice(
    times: NDArray[np.float64],
    bin_width: float,
    start: float | None,
    stop: float | None,
    data: str = "the model's data",
) -> slice:
    """Bins, by the times of their beginnings, in the window [start, stop).

    Messages call that which the window is of `data`.

    Raises
    ------
    ValueError
        The window is empty or reaches beyond the bins, or times begin anew in every trial.
    """
    if start is None and stop is None:
        return slice(0, len(times))
    if (np.diff(times) <= 0).any():
        raise ValueError(
            "start, stop: times run backwards from one segment to the next, so that a window in "
            "seconds is not one; leave both out, and select bins of the result."
        )
    rounding = 1e-6 * bin_width
    begin, end = float(times[0]), float(times[-1] + bin_width)
    low = begin if start is None else as_number(start, "start")
    high = end if stop is None else as_number(stop, "stop")
    if not (begin - rounding <= low < high <= end + rounding):
        raise ValueError(
            f"start, stop: got the window {low:g} to {high:g} s; allowed are windows, start before "
            f"stop, within the {begin:g} to {end:g} s of {data}."
        )
    first, last = np.searchsorted(times, [low - rounding, high - rounding])
    if first == last:
        raise ValueError(
            f"start = {low:g} s and stop = {high:g} s hold no beginning of a bin; bins are "
            f"{bin_width:g} s wide, give a longer window."
        )
    return slice(int(first), int(last))
