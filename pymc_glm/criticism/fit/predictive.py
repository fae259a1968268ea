"""Posterior predictive checks: statistics of the recording beside those of what the model makes."""

import logging
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, overload

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pymc_glm.arguments import label_index, random_generator
from pymc_glm.criticism.fit.statistics import BY_NAME, Statistic
from pymc_glm.criticism.one_step import ObservedData, observed_data
from pymc_glm.criticism.replicates import (
    chosen_draws,
    drawn_networks,
    one_step_counts,
    run_segments,
)
from pymc_glm.simulation.parameters import NetworkParameters, check_covariates, check_network
from pymc_glm.simulation.running import RunAway, run_guard

__all__ = ["predictive_check"]

_log = logging.getLogger("pymc_glm")

_KINDS = ("free", "one_step")

type Floats = NDArray[np.float64]
type Kind = Literal["free", "one_step"]
type Given = str | Statistic | Callable[[NDArray, float, NDArray], Any]


class _Data(NamedTuple):
    """The bins that are data, without what lies between them."""

    bins: NDArray[np.int64] | slice
    starts: NDArray[np.int64]  # (segment,), where gaps were too
    keep: NDArray[np.intp]  # neurons

    def of(self, counts: NDArray) -> NDArray:
        """Take bins and neurons from counts (time, neuron)."""
        return counts[self.bins][:, self.keep]


@overload
def predictive_check(
    tree: xr.DataTree,
    statistic: Given,
    *,
    kind: Kind = "free",
    neurons: Iterable[Hashable] | None = None,
    draws: int = 200,
    random_seed: int | np.random.Generator | None = None,
    max_rate: float | None = None,
) -> xr.Dataset: ...
@overload
def predictive_check(
    tree: xr.DataTree,
    statistic: list[Given] | tuple[Given, ...],
    *,
    kind: Kind = "free",
    neurons: Iterable[Hashable] | None = None,
    draws: int = 200,
    random_seed: int | np.random.Generator | None = None,
    max_rate: float | None = None,
) -> dict[str, xr.Dataset]: ...
def predictive_check(
    tree: xr.DataTree,
    statistic: Given | list[Given] | tuple[Given, ...],
    *,
    kind: Kind = "free",
    neurons: Iterable[Hashable] | None = None,
    draws: int = 200,
    random_seed: int | np.random.Generator | None = None,
    max_rate: float | None = None,
) -> xr.Dataset | dict[str, xr.Dataset]:
    """Compare a statistic of the recording with that of recordings that the posterior makes.

    Posterior predictive checks (Rubin 1984; Gelman, Meng & Stern 1996). Free replicates live on
    the spikes that they make themselves, from silence at the beginning of every segment: what the
    model says of whole recordings. One step ahead, every bin is drawn given the recorded spikes
    before it, and a statistic takes from the replicate only the later spike of each pair, or the
    end of each interval; the earlier one is the recorded one. That tells whether the law of the
    next bin is right even where the model, left alone, runs away.

    Parameters
    ----------
    tree : DataTree
        What sampling returned; needs the posterior and the constant data.
    statistic : str, Statistic or callable, or a list of them
        "rate", "isi", "isi_histogram", "cv", "fano", "autocorrelogram", "crosscorrelogram" or
        "synchrony"; or one of `pymc_glm.statistics` with settings of your own, such as
        ``pg.statistics.Fano(window=0.5)``; or a function of counts (time, neuron), the width of a
        bin in seconds and the first bins of segments, which returns an array. Several share their
        replicates, which are what takes the time. One step ahead a function is called with the
        replicate alone, which is fair for statistics of single bins only.
    kind : {"free", "one_step"}
    neurons : iterable of labels, optional
        Neurons to take the statistic of, in this order; all by default. All of them fire.
    draws : int
        Number of posterior draws to use, chosen at random, one replicate each; all where there are
        fewer.
    random_seed : int or numpy.random.Generator, optional
    max_rate : float, optional
        Hz from which a free replicate has run away, see `simulate`.

    Returns
    -------
    Dataset, or dict of them by name for a list
        ``observed``; ``replicated`` (sample, ...), not a number where a replicate ran away or has
        too few spikes; ``p_value``, two-sided, 2 min(P(replicated >= observed), P(replicated <=
        observed)) and at most 1, each probability as (r + 1) / (n + 1) for r of n replicates
        (Davison & Hinkley 1997); ``p_above``, the first of the two; ``p_overall``, one p-value of
        all values together, by the largest distance from their mean in standard deviations.
        attrs: ``statistic``, ``label``, ``kind``, ``n_draws``, ``n_run_away``, ``bin_width``.

        The posterior has seen the data, so that p-values of a right model crowd around the middle
        rather than being uniform; small ones count.

    Raises
    ------
    TypeError, ValueError
        The tree does not hold the draws of a network; unknown statistic, kind or neuron; a window
        is longer than the data; too few spikes for any value; a number is out of range.

    Examples
    --------
    >>> import arviz as az, numpy as np, pymc_glm as pg
    >>> counts = np.random.default_rng(1).binomial(1, 0.2, (1500, 2))
    >>> tree = az.from_dict(
    ...     {
    ...         "posterior": {
    ...             "bias": np.full((1, 20, 2), np.log(0.25)),
    ...             "weights": np.zeros((1, 20, 2, 2, 1)),
    ...         },
    ...         "constant_data": {
    ...             "counts": counts,
    ...             "basis_functions": np.ones((1, 1)),
    ...             "bin_width": np.array(0.01),
    ...         },
    ...     },
    ...     coords={"post": ["a", "b"], "pre": ["a", "b"], "time": np.arange(1500) * 0.01},
    ...     dims={
    ...         "bias": ["post"],
    ...         "weights": ["post", "pre", "basis"],
    ...         "counts": ["time", "post"],
    ...         "basis_functions": ["lag", "basis"],
    ...     },
    ... )
    >>> check = pg.predictive_check(tree, "cv", random_seed=1)
    >>> check["p_value"].dims, check["replicated"].sizes["sample"]
    (('neuron',), 20)
    >>> def largest_count(counts, bin_width, starts):
    ...     return counts.max(axis=0)
    >>> list(pg.predictive_check(tree, ["rate", largest_count], random_seed=1))
    ['rate', 'largest_count']
    """
    if kind not in _KINDS:
        raise ValueError(f"kind: got {kind!r}, allowed are 'free' and 'one_step'.")
    several = isinstance(statistic, list | tuple)
    known = _named(list(statistic) if isinstance(statistic, list | tuple) else [statistic])
    rng = random_generator(random_seed)
    chains, index = chosen_draws(tree, draws, rng)
    recording = observed_data(tree)
    data = _data(recording, label_index(recording.neurons, neurons))
    own = data.of(recording.counts)
    observed = {
        name: _evaluate(given, name, recording, own, data.starts) for name, given in known.items()
    }
    replicates = _replicates(
        recording, drawn_networks(tree, chains, index), kind, max_rate, len(chains), rng
    )
    replicated, n_away = _replicated(recording, data, replicates, known, observed, kind)
    about = {"kind": kind, "n_draws": len(chains), "n_run_away": n_away}
    labels = [recording.neurons[n] for n in data.keep]
    coords = {
        "sample": np.arange(len(chains)),
        "chain": ("sample", chains),
        "draw": ("sample", index),
    }
    results = {
        name: _compare(observed[name], np.stack(replicated[name]), given, name, labels, recording)
        .assign_coords(coords)
        .assign_attrs(about)
        for name, given in known.items()
    }
    return results if several else next(iter(results.values()))


def _named(given: Sequence[Any]) -> dict[str, Statistic | Callable]:
    """Return statistics by name."""
    known: dict[str, Statistic | Callable] = {}
    for one in given:
        if isinstance(one, str) and one in BY_NAME:
            one = BY_NAME[one]()
        elif isinstance(one, str):
            raise ValueError(
                f"statistic: got {one!r}, allowed are {', '.join(map(repr, BY_NAME))}, those of "
                "pymc_glm.statistics, and functions."
            )
        elif isinstance(one, type) and issubclass(one, Statistic):
            one = one()
        elif not callable(one):
            raise TypeError(
                f"statistic: got {type(one).__name__}; give a name such as 'rate', one of "
                "pymc_glm.statistics, or a function of (counts, bin_width, starts)."
            )
        name = str(getattr(one, "name", getattr(one, "__name__", type(one).__name__)))
        if name in known:
            raise ValueError(f"statistic: {name!r} occurs twice; give it in calls of their own.")
        known[name] = one
    if not known:
        raise ValueError("statistic: the list is empty; give at least one.")
    return known


def _data(recording: ObservedData, keep: NDArray[np.intp]) -> _Data:
    """Leave out excluded bins; what follows them is a segment of its own."""
    if recording.bins is None:
        return _Data(slice(None), recording.starts, keep)
    bins = recording.bins
    begins = np.isin(bins, recording.starts)
    begins[0] = True
    begins[1:] |= np.diff(bins) > 1
    return _Data(bins, np.flatnonzero(begins), keep)


def _evaluate(
    given: Statistic | Callable,
    name: str,
    recording: ObservedData,
    counts: NDArray,
    starts: NDArray[np.int64],
    earlier: NDArray | None = None,
) -> Floats:
    """Return the value of a statistic; of the recording, with a look at it."""
    if isinstance(given, Statistic):
        if not (recording.observation.whole or given.traces):
            allowed = [one for one, known in BY_NAME.items() if known.traces]
            raise ValueError(
                f"statistic: {name!r} is of spikes, and the tree of traces; take one of {allowed}, "
                "or a function."
            )
        return given(counts, recording.bin_width, starts, earlier)
    value = given(counts, recording.bin_width, starts)
    try:
        return np.asarray(value, dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"statistic: {name} returned {type(value).__name__}; return an array of numbers."
        ) from error


def _replicates(
    recording: ObservedData,
    networks: Iterator[NetworkParameters],
    kind: Kind,
    max_rate: float | None,
    n_draws: int,
    rng: np.random.Generator,
) -> Iterator[NDArray | None]:
    """Yield counts (time, neuron) of every network, None where it ran away."""
    for parameters, own in zip(networks, rng.spawn(n_draws), strict=True):
        if kind == "one_step":
            yield one_step_counts(recording, parameters, own)
            continue
        network, n_bins = check_network(parameters), len(recording.counts)
        guard = run_guard(network, max_rate)
        regressors = check_covariates(recording.covariates, len(network.covariate_weights), n_bins)
        pieces = run_segments(network, recording.starts, n_bins, own, guard, regressors)
        try:
            yield np.concatenate(list(pieces))
        except RunAway:
            yield None


def _replicated(
    recording: ObservedData,
    data: _Data,
    replicates: Iterator[NDArray | None],
    known: dict[str, Statistic | Callable],
    observed: dict[str, Floats],
    kind: Kind,
) -> tuple[dict[str, list[Floats]], int]:
    """Return statistics of all replicates, not a number where they ran away, and how many did."""
    earlier = data.of(recording.counts) if kind == "one_step" else None
    found: dict[str, list[Floats]] = {name: [] for name in known}
    n_away = 0
    for counts in replicates:
        n_away += counts is None
        own = None if counts is None else data.of(counts)
        for name, given in known.items():
            shape = observed[name].shape
            value = np.full(shape, np.nan)
            if own is not None:
                value = _evaluate(given, name, recording, own, data.starts, earlier)
            if value.shape != shape:
                raise ValueError(
                    f"statistic: {name} has the shape {shape} of the recording and {value.shape} "
                    "of a replicate; return the same shape for all."
                )
            found[name].append(value)
    if n_away:
        n = len(next(iter(found.values())))
        _log.warning("%d of %d replicates ran away and are left out", n_away, n)
    return found, n_away


def _compare(
    observed: Floats,
    replicated: Floats,
    given: Statistic | Callable,
    name: str,
    labels: list[str],
    recording: ObservedData,
) -> xr.Dataset:
    """Return values, p-values and what they are."""
    if not np.isfinite(observed).any():
        raise ValueError(
            f"statistic: {name} of the recording is not a number for any neuron, there are too few "
            "spikes; take neurons with more of them, or a longer recording."
        )
    known = isinstance(given, Statistic)
    label, units = name, ""
    dims: tuple[str, ...]
    if isinstance(given, Statistic):
        dims, coords = given.dims, given.coords(labels, recording.bin_width)
        label, units = given.label, given.units
        if not recording.observation.whole:
            label, units = given.trace_label or label, ""
    else:
        dims = tuple(f"{name}_dim_{i}" for i in range(observed.ndim))
        coords = {}
        if observed.shape[:1] == (len(labels),):
            dims, coords = ("neuron", *dims[1:]), {"neuron": labels}
    about = {"units": units} if units else {}
    two_sided, above = _p_values(observed, replicated)
    return xr.Dataset(
        {
            "observed": (dims, observed, about),
            "replicated": (("sample", *dims), replicated, about),
            "p_value": (dims, two_sided),
            "p_above": (dims, above),
            "p_overall": ((), _overall(observed, replicated)),
        },
        coords=coords,
        attrs={
            "statistic": name,
            "label": label,
            "scale": given.scale if isinstance(given, Statistic) else "linear",
            "bin_width": recording.bin_width,
            "built_in": int(known),
        },
    )


def _p_values(observed: Floats, replicated: Floats) -> tuple[Floats, Floats]:
    """Return two-sided and upper p-values; NaN replicates are left out."""
    n = np.isfinite(replicated).sum(axis=0)
    above = ((replicated >= observed).sum(axis=0) + 1) / (n + 1)
    below = ((replicated <= observed).sum(axis=0) + 1) / (n + 1)
    unknown = ~np.isfinite(observed) | (n == 0)
    two_sided = np.minimum(2 * np.minimum(above, below), 1.0)
    return np.where(unknown, np.nan, two_sided), np.where(unknown, np.nan, above)


def _overall(observed: Floats, replicated: Floats) -> float:
    """Return the p-value of the largest standardised distance of any value.

    Means and standard deviations are those of observed and replicated values together: that treats
    all alike, so that the p-value is exact where they are exchangeable.
    """
    flat = replicated.reshape(len(replicated), -1)
    together = np.vstack([flat[np.isfinite(flat).any(axis=1)], observed.ravel()])
    together = together[:, np.isfinite(together[-1])]
    if len(together) < 2:
        return np.nan
    counted = np.isfinite(together)
    n = counted.sum(axis=0)
    away = np.where(counted, together - np.where(counted, together, 0.0).sum(axis=0) / n, 0.0)
    spread = np.sqrt((away**2).sum(axis=0) / n)
    largest = np.abs(away / np.where(spread > 0, spread, 1.0)).max(axis=1)
    return float((largest >= largest[-1] * (1 - 1e-12)).mean())
