"""Running a network GLM freely."""

import logging
import warnings
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pymc as pm
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from pymc_glm.arguments import random_generator
from pymc_glm.covariates import in_order
from pymc_glm.kernels.simulate import MOST_SPIKES, Process, run, state_after
from pymc_glm.simulation.custom import CustomDraws, custom_draws, run_custom
from pymc_glm.simulation.given import given_network
from pymc_glm.simulation.parameters import (
    CheckedNetwork,
    NetworkParameters,
    check_covariates,
    check_network,
)
from pymc_glm.simulation.stability import described, linearise

__all__ = ["Guard", "RunAway", "run_guard", "run_pieces", "simulate"]

_log = logging.getLogger("pymc_glm")
_UNIFORMS = 2**16  # drawn at a time: they stay in the cache, and their number changes nothing
_GUARD_SECONDS, _GUARD_BINS = 1.0, 100
_UNBOUNDED = 500.0  # Hz


class Guard(NamedTuple):
    """When a neuron has run away."""

    max_rate: float  # Hz
    window: int  # bins

    def __str__(self) -> str:
        if np.isfinite(self.max_rate):
            return f"above {self.max_rate:g} Hz"
        return f"beyond {MOST_SPIKES:g} in one bin on average"


class RunAway(RuntimeError):
    """A network ran away, in some bin, by the rates of some neurons."""

    def __init__(self, time: float, neurons: NDArray[np.intp], too_many: bool) -> None:
        super().__init__(f"the network ran away {time:.3g} s after the start")
        self.time, self.neurons, self.too_many = time, neurons, too_many


def run_guard(network: CheckedNetwork, max_rate: float | None) -> Guard:
    """Return the guard.

    Parameters
    ----------
    network : CheckedNetwork
    max_rate : float or None
        Hz; see `simulate`.

    Raises
    ------
    ValueError
        It is no rate.
    """
    window = max(
        int(np.ceil(_GUARD_SECONDS / network.bin_width - 1e-9)),
        network.filters.shape[1],
        _GUARD_BINS,
    )
    if not network.observation.whole:
        return Guard(np.inf, window)
    if max_rate is None:
        half = network.observation.most / 2 / network.bin_width
        return Guard(half if np.isfinite(half) else _UNBOUNDED, window)
    number = isinstance(max_rate, int | float | np.integer | np.floating)
    if isinstance(max_rate, bool) or not number or not max_rate > 0:
        raise ValueError(
            f"max_rate: got {max_rate!r}, allowed are rates in Hz above 0, numpy.inf for no guard, "
            "or None for the default."
        )
    return Guard(float(max_rate), window)


def run_pieces(
    network: CheckedNetwork,
    n_bins: int,
    rng: np.random.Generator,
    guard: Guard,
    initial: NDArray,
    covariates: NDArray[np.float64],
    draws: CustomDraws | None,
) -> Iterator[NDArray]:
    """Yield the counts of n_bins bins, (time, neuron), piece by piece.

    Parameters
    ----------
    network : CheckedNetwork
    n_bins : int
    rng : numpy.random.Generator
    guard : Guard
    initial : array of int, shape (lag, neuron)
    covariates : array, shape (time, covariate)
    draws : CustomDraws or None
        Of the law of the network, see `custom_draws`.

    Raises
    ------
    RunAway
    """
    n = network.bias.size
    likelihood = network.observation.empty_likelihood(network.bias.size)
    process = Process(
        likelihood.family,
        float(likelihood.slope),
        np.ascontiguousarray(likelihood.dispersion, dtype=np.float64),
        network.bias,
        network.filters,
        network.covariate_weights,
        guard.window,
        guard.max_rate * guard.window * network.bin_width * (1 + 1e-9),
    )
    state = state_after(network.filters, initial)
    rows = max(_UNIFORMS // n, 1)
    uniforms = np.empty((min(rows, n_bins), n))
    for first in range(0, n_bins, rows):
        size = min(rows, n_bins - first)
        own = covariates[first : first + size]
        counts = np.empty((size, n), dtype=np.int64 if network.observation.whole else np.float64)
        if draws is None:
            fill = rng.random if network.observation.whole else rng.standard_normal
            fill(out=uniforms[:size])
            stop = run(process, state, first, uniforms[:size], own, counts)
        else:
            seeds = rng.integers(2**63, size=size)
            stop = run_custom(process, state, first, draws, seeds, own, counts)
        if stop >= 0:
            too_many = np.isinf(state.recent)
            fast = too_many if too_many.any() else state.recent > process.limit
            time = (first + stop) * network.bin_width
            raise RunAway(time, np.flatnonzero(fast), bool(too_many.any()))
        yield counts


def simulate(
    parameters: NetworkParameters | xr.DataTree | pm.Model,
    n_bins: int,
    *,
    covariates: xr.DataArray | ArrayLike | None = None,
    random_seed: int | np.random.Generator | None = None,
    initial_history: xr.DataArray | ArrayLike | None = None,
    max_rate: float | None = None,
    neurons: list[str] | None = None,
) -> xr.DataArray:
    """Simulate spike counts of a network GLM, running freely.

    Parameters
    ----------
    parameters : NetworkParameters, DataTree or pymc.Model
        With the law of the counts in ``observation``. Of a DataTree, a draw of its posterior at
        random (`NetworkParameters.from_draw` takes a certain one), and of a model a draw of its
        prior, with the labels of its neurons.
    n_bins : int
        Bins to simulate.
    covariates : DataArray or array, shape (time, covariate), optional
        As many rows as bins; needed if the parameters have covariate_weights. A DataArray is read
        by its labels where a DataTree or model has labels of covariates.
    random_seed : int, numpy.random.Generator or None
        A Generator goes on where it was left: pieces simulated one after the other, each with the
        last counts as initial_history, are the whole.
    initial_history : DataArray or array of int, shape (lag, neuron), optional
        Counts just before the first bin, oldest first, as many bins as the window of the basis; by
        default silence.
    max_rate : float, optional
        Run-away guard: the largest rate of a neuron in Hz, over a window of 1 s (at least 100
        bins and the basis). By default spikes in half of the bins, half of the largest count where
        the law has one, else 500 Hz; numpy.inf is none. A mean count above a million in one bin
        always stops the simulation.
    neurons : list of str, optional
        Labels, by default "0", "1", ...

    Returns
    -------
    DataArray of int64, of float64 for traces, dims (time, neuron)
        Counts with time in seconds and attrs["bin_width"].

    Raises
    ------
    ValueError, TypeError
        Parameters of contradicting shapes or not finite; a law whose numbers are not known, or of
        your own without a random draw; n_bins below 1; wrong initial history, covariates, labels,
        seed or max_rate.
    RuntimeError
        The network ran away; the message names the neurons and the time.

    Notes
    -----
    Before it runs, the logger "pymc_glm" tells at the level INFO what `stability` says of it.

    Warns
    -----
    UserWarning
        The linearised process is unstable, or its rates are above max_rate, see `stability`.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> basis = pg.basis.raised_cosine(1, window=0.05, bin_width=0.005)
    >>> pair = pg.NetworkParameters(np.full(2, -3.0), np.zeros((2, 2, 1)), basis)
    >>> pg.simulate(pair, 1000, random_seed=1).shape
    (1000, 2)
    """
    rng = random_generator(random_seed)
    given = given_network(parameters, rng)
    neurons = given.neurons if neurons is None else neurons
    network = check_network(given.parameters)
    if isinstance(n_bins, bool) or not isinstance(n_bins, int | np.integer) or n_bins < 1:
        raise ValueError(f"n_bins: got {n_bins!r}, allowed are whole numbers of at least 1.")
    n, n_lags = network.bias.size, network.filters.shape[1]
    labels = _check_labels(neurons, n)
    guard = run_guard(network, max_rate)
    n_covariates = len(network.covariate_weights)
    regressors = check_covariates(covariates, n_covariates, n_bins, given.covariates)
    kind = np.int64 if network.observation.whole else np.float64
    initial = np.zeros((n_lags, n), dtype=kind)
    if initial_history is not None:
        initial = _check_history(initial_history, n_lags, labels, network.observation.whole)
    _report_stability(network, regressors, guard, labels)
    counts = np.empty((n_bins, n), dtype=kind)
    draws = custom_draws(network.observation, network.own)
    first = 0
    try:
        for piece in run_pieces(network, int(n_bins), rng, guard, initial, regressors, draws):
            counts[first : first + len(piece)] = piece
            first += len(piece)
    except RunAway as stop:
        names = ", ".join(labels[i] for i in stop.neurons)
        seconds = guard.window * network.bin_width
        what = f"fired at more than {guard.max_rate:g} Hz over {seconds:g} s"
        if stop.too_many:
            verb = "fired more than" if network.observation.whole else "went beyond"
            what = f"{verb} {MOST_SPIKES:g} in one bin on average"
        raise RuntimeError(
            f"{stop}: {names} {what}; make excitation or biases smaller, or raise max_rate "
            "(pg.stability says more)."
        ) from None
    return xr.DataArray(
        counts,
        dims=("time", "neuron"),
        coords={"time": np.arange(n_bins) * network.bin_width, "neuron": labels},
        attrs={"bin_width": network.bin_width, "name": "simulation"},
    )


def _check_labels(neurons: list[str] | None, n: int) -> list[str]:
    labels = [str(i) for i in range(n)] if neurons is None else list(neurons)
    if len(labels) != n:
        raise ValueError(f"neurons: got {len(labels)} labels for {n} neurons.")
    repeated = [label for label in labels if labels.count(label) > 1]
    if repeated:
        raise ValueError(f"neurons: the label {repeated[0]!r} occurs more than once.")
    return labels


def _check_history(
    history: xr.DataArray | ArrayLike, n_lags: int, labels: list[str], whole: bool
) -> NDArray:
    if isinstance(history, xr.DataArray) and "neuron" in history.dims:
        history = history.transpose(..., "neuron")
        if "neuron" in history.coords:
            history = in_order(history, "neuron", labels, "initial_history")
    values, shape = np.asarray(history), (n_lags, len(labels))
    if values.shape != shape:
        raise ValueError(
            f"initial_history: got the shape {values.shape}, allowed is (lag, neuron) = {shape}."
        )
    wrong = ~np.isfinite(values)
    if whole:
        wrong |= ~((values >= 0) & (values == np.floor(values)))
    if wrong.any():
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        allowed = "counts 0, 1, 2, ..." if whole else "finite numbers"
        raise ValueError(
            f"initial_history: got {values[where]} at index {where}, allowed are {allowed}."
        )
    return values.astype(np.int64 if whole else np.float64)


def _report_stability(
    network: CheckedNetwork, covariates: NDArray[np.float64], guard: Guard, labels: list[str]
) -> None:
    """Say what to expect, and warn before a network runs away, not after."""
    linear = linearise(network, covariates)
    if _log.isEnabledFor(logging.INFO):
        _log.info("simulate: %s", described(linear, network))
    fast = linear.mean > guard.max_rate * network.bin_width
    if linear.is_stable and not fast.any():
        return
    if linear.is_stable:
        names = ", ".join(labels[i] for i in np.flatnonzero(fast))
        what = f"the expected rates of {names} are above max_rate = {guard.max_rate:g} Hz"
    else:
        what = "the process linearised around its expected rates is unstable"
        if linear.exists:
            what += f" (spectral radius {linear.growth:.3g})"
    warnings.warn(
        f"parameters: {what}, the network may run away; pg.stability, with the same parameters and "
        "random_seed, says more.",
        UserWarning,
        stacklevel=3,
    )
