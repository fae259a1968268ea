"""Posterior predictive checks: statistics of the data compared with those of replicates."""

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
from pymc_glm.simulation.checks import check_covariates, check_network
from pymc_glm.simulation.parameters import NetworkParameters
from pymc_glm.simulation.running import RunAway, run_guard

__all__ = ["predictive_check"]

_log = logging.getLogger("pymc_glm")

_KINDS = ("free", "one_step")

type Floats = NDArray[np.float64]
type Kind = Literal["free", "one_step"]
type Given = str | Statistic | Callable[[NDArray, float, NDArray], Any]


class _Selection(NamedTuple):
    """The bins and neurons of which statistics are taken; excluded bins are cut out."""

    bins: NDArray[np.int64] | slice
    starts: NDArray[np.int64]  # (segment,), first bins after the cut; excluded bins end a segment
    keep: NDArray[np.intp]  # neurons

    def of(self, counts: NDArray) -> NDArray:
        """Select bins and neurons from counts (time, neuron)."""
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
    """Compare a statistic of the data with its distribution over posterior predictive replicates.

    Posterior predictive checks (Rubin 1984; Gelman, Meng & Stern 1996). Free replicates are
    recordings simulated from the posterior: each network responds to its simulated spikes and
    begins every segment in silence. One step ahead, each bin is drawn given the recorded spikes
    before it; a pair of spikes or an interval then begins with a recorded spike and ends with a
    replicated one. That tests the conditional distribution of the next bin, even where free
    replicates run away.

    Parameters
    ----------
    tree : DataTree
        Posterior that sampling returned, with its constant data.
    statistic : str, Statistic or callable, or a list of them
        "rate", "isi", "isi_histogram", "cv", "fano", "autocorrelogram", "crosscorrelogram" or
        "synchrony"; or one of `pymc_glm.statistics` with other settings, such as
        ``pg.statistics.Fano(window=0.5)``; or a function of counts (time, neuron), the bin width in
        seconds and the first bins of segments that returns an array. A list shares its replicates,
        which take most of the time. One step ahead, a function receives the replicate only, which
        is valid only for statistics of single bins.
    kind : {"free", "one_step"}
    neurons : iterable of labels, optional
        Neurons of the statistic, in this order; all by default. Replicates always contain all
        neurons.
    draws : int
        Number of posterior draws, chosen at random, with one replicate each; all if there are
        fewer.
    random_seed : int or numpy.random.Generator, optional
    max_rate : float, optional
        Rate in Hz above which a free replicate has run away; see `simulate`.

    Returns
    -------
    Dataset, or dict of Datasets by name for a list
        ``observed``; ``replicated`` (sample, ...), NaN where a replicate ran away or has too few
        spikes; ``p_value``, two-sided, 2 min(P(replicated >= observed), P(replicated <= observed))
        and at most 1, each probability estimated as (r + 1) / (n + 1) from r of n replicates
        (Davison & Hinkley 1997); ``p_above``, the first of the two probabilities; ``p_overall``, a
        single p-value for all values, based on the largest distance from the mean in standard
        deviations. attrs: ``statistic``, ``label``, ``kind``, ``n_draws``, ``n_run_away``,
        ``bin_width``.

        As the posterior was fitted to the same data, p-values of a correct model concentrate
        around 0.5 instead of being uniform; small p-values still indicate misfit.

    Raises
    ------
    TypeError, ValueError
        The tree does not contain draws of a network; the statistic, kind or a neuron is unknown; a
        window is longer than the data; there are too few spikes for any value; or a number is out
        of range.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> check = pg.predictive_check(tree, "cv", draws=20, random_seed=1)
    >>> check["p_value"].dims, check["replicated"].sizes["sample"]
    (('neuron',), 20)
    >>> def largest_count(counts, bin_width, starts):
    ...     return counts.max(axis=0)
    >>> list(pg.predictive_check(tree, ["rate", largest_count], draws=20, random_seed=1))
    ['rate', 'largest_count']
    """
    if kind not in _KINDS:
        raise ValueError(f"kind: got {kind!r}, allowed are 'free' and 'one_step'.")
    several = isinstance(statistic, list | tuple)
    known = _named(list(statistic) if isinstance(statistic, list | tuple) else [statistic])
    rng = random_generator(random_seed)
    chains, index = chosen_draws(tree, draws, rng)
    data = observed_data(tree)
    selection = _selection(data, label_index(data.neurons, neurons))
    counts = selection.of(data.counts)
    observed = {
        name: _evaluate(given, name, data, counts, selection.starts)
        for name, given in known.items()
    }
    replicates = _replicates(
        data, drawn_networks(tree, chains, index), kind, max_rate, len(chains), rng
    )
    replicated, n_away = _replicated(data, selection, replicates, known, observed, kind)
    about = {"kind": kind, "n_draws": len(chains), "n_run_away": n_away}
    labels = [data.neurons[n] for n in selection.keep]
    coords = {
        "sample": np.arange(len(chains)),
        "chain": ("sample", chains),
        "draw": ("sample", index),
    }
    results = {
        name: _compare(observed[name], np.stack(replicated[name]), given, name, labels, data)
        .assign_coords(coords)
        .assign_attrs(about)
        for name, given in known.items()
    }
    return results if several else next(iter(results.values()))


def _named(given: Sequence[Any]) -> dict[str, Statistic | Callable]:
    """Return the statistics by name."""
    known: dict[str, Statistic | Callable] = {}
    for one in given:
        if isinstance(one, str) and one in BY_NAME:
            one = BY_NAME[one]()
        elif isinstance(one, str):
            raise ValueError(
                f"statistic: got {one!r}, allowed are {', '.join(map(repr, BY_NAME))}, members of "
                "pymc_glm.statistics, and functions."
            )
        elif isinstance(one, type) and issubclass(one, Statistic):
            one = one()
        elif not callable(one):
            raise TypeError(
                f"statistic: got {type(one).__name__}; give a name such as 'rate', a member of "
                "pymc_glm.statistics, or a function of (counts, bin_width, starts)."
            )
        name = str(getattr(one, "name", getattr(one, "__name__", type(one).__name__)))
        if name in known:
            raise ValueError(f"statistic: {name!r} occurs twice; use a separate call for each.")
        known[name] = one
    if not known:
        raise ValueError("statistic: the list is empty; give at least one.")
    return known


def _selection(data: ObservedData, keep: NDArray[np.intp]) -> _Selection:
    """Select the bins that are data; a new segment begins after excluded bins."""
    if data.bins is None:
        return _Selection(slice(None), data.starts, keep)
    begins = np.isin(data.bins, data.starts)
    begins[0] = True
    begins[1:] |= np.diff(data.bins) > 1
    return _Selection(data.bins, np.flatnonzero(begins), keep)


def _evaluate(
    given: Statistic | Callable,
    name: str,
    data: ObservedData,
    counts: NDArray,
    starts: NDArray[np.int64],
    earlier: NDArray | None = None,
) -> Floats:
    """Return the value of a statistic, checked."""
    if isinstance(given, Statistic):
        if not (data.observation.whole or given.traces):
            allowed = [one for one, known in BY_NAME.items() if known.traces]
            raise ValueError(
                f"statistic: {name!r} needs spikes, but the tree holds traces; give one of "
                f"{allowed}, or a function."
            )
        return given(counts, data.bin_width, starts, earlier)
    value = given(counts, data.bin_width, starts)
    try:
        return np.asarray(value, dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"statistic: {name} returned {type(value).__name__}, allowed are arrays of numbers."
        ) from error


def _replicates(
    data: ObservedData,
    networks: Iterator[NetworkParameters],
    kind: Kind,
    max_rate: float | None,
    n_draws: int,
    rng: np.random.Generator,
) -> Iterator[NDArray | None]:
    """Yield counts (time, neuron) of every network, None where it ran away."""
    for parameters, replicate_rng in zip(networks, rng.spawn(n_draws), strict=True):
        if kind == "one_step":
            yield one_step_counts(data, parameters, replicate_rng)
            continue
        network, n_bins = check_network(parameters), len(data.counts)
        guard = run_guard(network, max_rate)
        regressors = check_covariates(data.covariates, len(network.covariate_weights), n_bins)
        pieces = run_segments(network, data.starts, n_bins, replicate_rng, guard, regressors)
        try:
            yield np.concatenate(list(pieces))
        except RunAway:
            yield None


def _replicated(
    data: ObservedData,
    selection: _Selection,
    replicates: Iterator[NDArray | None],
    known: dict[str, Statistic | Callable],
    observed: dict[str, Floats],
    kind: Kind,
) -> tuple[dict[str, list[Floats]], int]:
    """Return statistics of all replicates, NaN for those that ran away, and the number of these."""
    earlier = selection.of(data.counts) if kind == "one_step" else None
    found: dict[str, list[Floats]] = {name: [] for name in known}
    n_away = 0
    for counts in replicates:
        n_away += counts is None
        selected = None if counts is None else selection.of(counts)
        for name, given in known.items():
            shape = observed[name].shape
            value = np.full(shape, np.nan)
            if selected is not None:
                value = _evaluate(given, name, data, selected, selection.starts, earlier)
            if value.shape != shape:
                raise ValueError(
                    f"statistic: {name} has the shape {shape} for the data but {value.shape} for a "
                    "replicate; it must always return the same shape."
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
    data: ObservedData,
) -> xr.Dataset:
    """Return values and p-values of one statistic, labelled."""
    if not np.isfinite(observed).any():
        raise ValueError(
            f"statistic: {name} of the data is NaN for every neuron, as there are too few spikes; "
            "choose neurons with more spikes, or use more data."
        )
    known = isinstance(given, Statistic)
    label, units = name, ""
    dims: tuple[str, ...]
    if isinstance(given, Statistic):
        dims, coords = given.dims, given.coords(labels, data.bin_width)
        label, units = given.label, given.units
        if not data.observation.whole:
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
            "bin_width": data.bin_width,
            "built_in": int(known),
        },
    )


def _p_values(observed: Floats, replicated: Floats) -> tuple[Floats, Floats]:
    """Return two-sided and upper p-values, ignoring replicates that are NaN."""
    n = np.isfinite(replicated).sum(axis=0)
    above = ((replicated >= observed).sum(axis=0) + 1) / (n + 1)
    below = ((replicated <= observed).sum(axis=0) + 1) / (n + 1)
    unknown = ~np.isfinite(observed) | (n == 0)
    two_sided = np.minimum(2 * np.minimum(above, below), 1.0)
    return np.where(unknown, np.nan, two_sided), np.where(unknown, np.nan, above)


def _overall(observed: Floats, replicated: Floats) -> float:
    """Return the p-value of the largest standardised deviation of any value.

    Means and standard deviations are taken over observed and replicated values together. That
    treats all of them alike, so the p-value is exact if they are exchangeable.
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
