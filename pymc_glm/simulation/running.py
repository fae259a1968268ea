"""Simulation of spike counts from a network GLM."""

import logging
import warnings
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pymc as pm
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from pymc_glm.arguments import as_whole_number, random_generator
from pymc_glm.covariates import in_order
from pymc_glm.kernels.simulate import MOST_SPIKES, Process, run, state_after
from pymc_glm.simulation.checks import CheckedNetwork, check_covariates, check_network
from pymc_glm.simulation.custom import CustomDraws, custom_draws, run_custom
from pymc_glm.simulation.parameters import NetworkParameters
from pymc_glm.simulation.shared_input import draw_path
from pymc_glm.simulation.sources import given_network
from pymc_glm.simulation.stability import described, linearise

__all__ = ["Guard", "RunAway", "run_guard", "run_pieces", "simulate"]

_log = logging.getLogger("pymc_glm")
_UNIFORMS = 2**16  # drawn at a time, few enough for the cache; the number has no effect on draws
_GUARD_SECONDS, _GUARD_BINS = 1.0, 100
_UNBOUNDED = 500.0  # Hz


class Guard(NamedTuple):
    """The criterion by which a neuron has run away."""

    max_rate: float  # Hz
    window: int  # bins

    def __str__(self) -> str:
        if np.isfinite(self.max_rate):
            return f"above {self.max_rate:g} Hz"
        return f"beyond {MOST_SPIKES:g} in one bin on average"


class RunAway(RuntimeError):
    """A network ran away: at this time the rates of these neurons were too high."""

    def __init__(self, time: float, neurons: NDArray[np.intp], too_many: bool) -> None:
        super().__init__(f"the network ran away {time:.3g} s after the start")
        self.time, self.neurons, self.too_many = time, neurons, too_many


def run_guard(network: CheckedNetwork, max_rate: float | None) -> Guard:
    """Return the run-away guard of a network.

    Parameters
    ----------
    network : CheckedNetwork
    max_rate : float or None
        Hz; see `simulate`.

    Raises
    ------
    ValueError
        The rate is not a number above 0.
    """
    window = max(
        int(np.ceil(_GUARD_SECONDS / network.bin_width - 1e-9)),
        network.n_lags,
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
            f"max_rate: got {max_rate!r}, allowed are rates in Hz above 0, numpy.inf for no guard "
            "and None for the default."
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
    """Yield the counts of n_bins bins, (time, neuron), in pieces.

    Paths of shared input are drawn for all bins at first.

    Parameters
    ----------
    network : CheckedNetwork
    n_bins : int
    rng : numpy.random.Generator
    guard : Guard
    initial : array of int, shape (lag, neuron)
    covariates : array, shape (time, covariate)
    draws : CustomDraws or None
        For the observation model of the network, see `custom_draws`.

    Raises
    ------
    RunAway
    """
    n = network.bias.size
    network, covariates = _with_path(network, n_bins, rng, covariates)
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
        network.self_filters,
    )
    state = state_after(network.filters, initial, network.self_filters)
    rows = max(_UNIFORMS // n, 1)
    uniforms = np.empty((min(rows, n_bins), n))
    for first in range(0, n_bins, rows):
        size = min(rows, n_bins - first)
        regressors = covariates[first : first + size]
        counts = np.empty((size, n), dtype=np.int64 if network.observation.whole else np.float64)
        if draws is None:
            fill = rng.random if network.observation.whole else rng.standard_normal
            fill(out=uniforms[:size])
            stop = run(process, state, first, uniforms[:size], regressors, counts)
        else:
            seeds = rng.integers(2**63, size=size)
            stop = run_custom(process, state, first, draws, seeds, regressors, counts)
        if stop >= 0:
            too_many = np.isinf(state.recent)
            fast = too_many if too_many.any() else state.recent > process.limit
            time = (first + stop) * network.bin_width
            raise RunAway(time, np.flatnonzero(fast), bool(too_many.any()))
        yield counts


def _with_path(
    network: CheckedNetwork, n_bins: int, rng: np.random.Generator, covariates: NDArray[np.float64]
) -> tuple[CheckedNetwork, NDArray[np.float64]]:
    """Draw the paths of shared input, and add them to the covariates."""
    shared = network.shared_input
    if shared is None:
        return network, covariates
    path, effects = draw_path(shared, n_bins, network.bin_width, rng)
    weights = np.ascontiguousarray(np.vstack([network.covariate_weights, effects]))
    network = network._replace(covariate_weights=weights, shared_input=None)
    return network, np.ascontiguousarray(np.hstack([covariates[:n_bins], path]))


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
    """Simulate spike counts of a network GLM that runs freely.

    Parameters
    ----------
    parameters : NetworkParameters, DataTree or pymc.Model
        For a DataTree, a random draw from its posterior is simulated (for a chosen draw, see
        `NetworkParameters.from_draw`); for a model, a draw from its prior. Both come with the
        labels of the neurons.
    n_bins : int
        Number of bins to simulate.
    covariates : DataArray or array, shape (time, covariate), optional
        One row for each bin; required if the parameters have covariate_weights. If a DataTree or
        model has labels of covariates, a DataArray is aligned by them.
    random_seed : int, numpy.random.Generator or None
        A Generator continues its stream: pieces simulated one after the other, each with the last
        counts as initial_history, equal one long simulation. Shared input begins anew in each.
    initial_history : DataArray or array of int, shape (lag, neuron), optional
        Counts just before the first bin, oldest first, over the window of the basis (or of the
        self basis if that is longer); by default silence.
    max_rate : float, optional
        Run-away guard: the largest allowed rate of a neuron in Hz, over a window of 1 s (at least
        100 bins and the length of the basis). By default half of the largest possible count in
        every bin, or 500 Hz if counts are unbounded; numpy.inf turns the guard off. A mean count
        above a million in one bin always stops the simulation.
    neurons : list of str, optional
        Labels, by default "0", "1", ...

    Returns
    -------
    DataArray of int64 (float64 for traces), dims (time, neuron)
        Counts, with time in seconds and attrs["bin_width"].

    Raises
    ------
    ValueError, TypeError
        The parameters have inconsistent shapes or are not finite; the observation model has unknown
        parameters, or is a custom one that cannot be drawn; n_bins is below 1; or initial_history,
        covariates, neurons, random_seed or max_rate are invalid.
    RuntimeError
        The network ran away; the message names the neurons and the time.

    Notes
    -----
    Shared input is drawn from its prior: its paths are stationary, with the timescales and loadings
    of the parameters.

    Before the simulation, the result of `stability` is logged by "pymc_glm" at the level INFO.

    Warns
    -----
    UserWarning
        The linearised process is unstable, or its rates are above max_rate; see `stability`.

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
    n_bins = as_whole_number(n_bins, "n_bins")
    n, n_lags = network.bias.size, network.n_lags
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
    draws = custom_draws(network.observation, network.parameter)
    first = 0
    try:
        for piece in run_pieces(network, n_bins, rng, guard, initial, regressors, draws):
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
            f"{stop}: {names} {what}; reduce excitation or biases, or raise max_rate (see "
            "pg.stability)."
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
        raise ValueError(f"neurons: got {len(labels)} labels for {n} neurons; give one for each.")
    repeated = [label for label in labels if labels.count(label) > 1]
    if repeated:
        raise ValueError(
            f"neurons: the label {repeated[0]!r} occurs more than once; give unique ones."
        )
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
    """Log the stability of a network, and warn if it may run away."""
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
        f"parameters: {what}; the network may run away. For details call pg.stability with the "
        "same parameters and random_seed.",
        UserWarning,
        stacklevel=3,
    )
