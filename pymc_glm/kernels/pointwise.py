"""Log densities of the counts of one post neuron in each draw, bin by bin.

Memory does not grow with bins times draws. For each bin the few spikes within the history window
are collected, and each of their pre neurons adds its history times its weights to psi: in every
draw if its edge is present in many draws, else only in the draws with the edge.
"""

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.compiling import compiled
from pymc_glm.kernels.custom_density import CustomDensity
from pymc_glm.kernels.exponential import exponential
from pymc_glm.kernels.likelihood import log_density
from pymc_glm.kernels.psis import loo_of_logs, loo_of_ratios, smoother

__all__ = [
    "Coupling",
    "DrawnLikelihood",
    "Events",
    "Groups",
    "SelfPast",
    "coupling_of",
    "events_of",
    "self_past_of",
    "write_log_densities",
    "write_loo",
]

type Floats = NDArray[np.float64]

_COMMON = 0.25  # share of draws from which on an edge is added in all of them
_FAR = 600.0  # limit of psi in the ratios of Bernoulli counts


class Events(NamedTuple):
    """Non-zero counts, bin after bin, with the segments and the basis of their history."""

    start: NDArray[np.int64]  # (time + 1,): index of the first event of each bin
    pre: NDArray[np.int32]  # (event,)
    value: Floats  # (event,): the counts
    first: NDArray[np.int64]  # (time,): first bin of the segment of each bin
    basis: Floats  # (lag, basis)
    n_pre: int


class SelfPast(NamedTuple):
    """Non-zero counts of one post neuron, with the basis and the draws of its self filter."""

    before: NDArray[np.int64]  # (time,): number of events before each bin
    bin: NDArray[np.int64]  # (event,)
    value: Floats  # (event,): the counts
    basis: Floats  # (self_lag, self_basis); no lags: there is no self filter
    weights: Floats  # (self_basis, draw)


class Coupling(NamedTuple):
    """Draws of the bias and weights of one post neuron."""

    bias: Floats  # (draw,)
    place: NDArray[np.int64]  # (pre,): index in `common`; -1: edge is rare, -2: never present
    common: Floats  # (common pre, basis, draw)
    start: NDArray[np.int64]  # (pre + 1,): index of the first stored draw of each rare edge
    draw: NDArray[np.int32]  # (stored,)
    value: Floats  # (stored, basis)
    covariate_weights: Floats  # (covariate, draw)
    past: SelfPast


class DrawnLikelihood(NamedTuple):
    """The observation model of one post neuron in each draw."""

    family: int
    dispersion: Floats  # (draw,)
    slope: float
    density: CustomDensity | None
    values: Floats  # (value,): distinct counts, ascending; empty: one constant for all counts
    constant: Floats  # (value or 1, draw or 1): terms of the log density without psi


class Groups(NamedTuple):
    """Groups of bins; the log densities of each group are summed."""

    bins: NDArray[np.int64]  # (bin,)
    start: NDArray[np.int64]  # (group + 1,): index of the first bin of each group

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return self.start.size - 1


class _Scratch(NamedTuple):
    history: Floats  # (pre, basis)
    past: Floats  # (self_basis,)
    active: NDArray[np.int64]  # (pre,)
    seen: NDArray[np.bool_]  # (pre,)
    psi: Floats  # (draw,)
    total: Floats  # (draw,)


def events_of(counts: NDArray, basis: Floats, starts: NDArray[np.int64]) -> Events:
    """Store the non-zero ones of counts (time, pre).

    Parameters
    ----------
    counts : array, shape (time, pre)
    basis : array, shape (lag, basis)
    starts : array of int, shape (segment,)
        First bins of the segments.
    """
    bins, pre = np.nonzero(counts)
    n_bins = len(counts)
    start = np.append(0, np.cumsum(np.bincount(bins, minlength=n_bins)))
    first = np.repeat(starts, np.diff(np.append(starts, n_bins)))
    values = counts[bins, pre].astype(np.float64)
    return Events(start, pre.astype(np.int32), values, first, basis, counts.shape[1])


def self_past_of(counts: NDArray, basis: Floats, weights: Floats) -> SelfPast:
    """Store the non-zero counts of one post neuron, and its self filter.

    Parameters
    ----------
    counts : array, shape (time,)
    basis : array, shape (self_lag, self_basis)
    weights : array, shape (draw, self_basis)
    """
    bins = np.flatnonzero(counts)
    before = np.append(0, np.cumsum(counts != 0))[:-1].astype(np.int64)
    values = counts[bins].astype(np.float64)
    return SelfPast(before, bins, values, basis, np.ascontiguousarray(weights.T))


def coupling_of(
    bias: Floats, weights: Floats, covariate_weights: Floats | None, past: SelfPast | None = None
) -> Coupling:
    """Store the non-zero weights.

    Parameters
    ----------
    bias : array, shape (draw,)
    weights : array, shape (draw, pre, basis)
    covariate_weights : array, shape (draw, covariate), optional
    past : SelfPast, optional
        By default there is no self filter.
    """
    n_draws = len(weights)
    present = (weights != 0).any(axis=2).T  # (pre, draw)
    share = present.mean(axis=1)
    place = np.where(share > 0, -1, -2)
    place[share >= _COMMON] = np.arange((share >= _COMMON).sum())
    rare = present & (place == -1)[:, None]
    pre, draw = np.nonzero(rare)
    if covariate_weights is None:
        covariate_weights = np.zeros((n_draws, 0))
    if past is None:
        past = self_past_of(np.zeros(0), np.zeros((0, 0)), np.zeros((n_draws, 0)))
    return Coupling(
        bias,
        place,
        np.ascontiguousarray(weights[:, place >= 0].transpose(1, 2, 0)),
        np.append(0, np.cumsum(rare.sum(axis=1))),
        draw.astype(np.int32),
        np.ascontiguousarray(weights[draw, pre]),
        np.ascontiguousarray(covariate_weights.T),
        past,
    )


@compiled
def _scratch(events, coupling):
    n_draws, n_pre = coupling.bias.size, events.n_pre
    return _Scratch(
        np.zeros((n_pre, events.basis.shape[1])),
        np.zeros(coupling.past.basis.shape[1]),
        np.empty(n_pre, np.int64),
        np.zeros(n_pre, np.bool_),
        np.empty(n_draws),
        np.empty(n_draws),
    )


@numba.njit(cache=True, nogil=True, fastmath={"contract"})
def _add_self(past, first, t, history, psi):
    """Add the self filter in bin t of a segment to psi (draw,); return whether there is a spike."""
    earliest = max(first, t - past.basis.shape[0])
    event = past.before[t] - 1
    found = event >= 0 and past.bin[event] >= earliest
    history[:] = 0.0
    while event >= 0 and past.bin[event] >= earliest:
        lag = t - past.bin[event] - 1
        for b in range(history.size):
            history[b] += past.value[event] * past.basis[lag, b]
        event -= 1
    for b in range(history.size):
        if history[b] != 0.0:
            weight = past.weights[b]
            for s in range(psi.size):
                psi[s] += history[b] * weight[s]
    return found


@numba.njit(cache=True, nogil=True, fastmath={"contract"})
def _write_psi(events, coupling, covariates, t, scratch):
    """Write psi (draw,) in bin t; return whether anything is added to the bias."""
    n_active, basis, psi = 0, events.basis, scratch.psi
    psi[:] = coupling.bias
    for lag in range(min(basis.shape[0], t - events.first[t])):
        for event in range(events.start[t - lag - 1], events.start[t - lag]):
            m = events.pre[event]
            if coupling.place[m] == -2:
                continue
            if not scratch.seen[m]:
                scratch.seen[m] = True
                scratch.active[n_active] = m
                n_active += 1
            for b in range(basis.shape[1]):
                scratch.history[m, b] += events.value[event] * basis[lag, b]
    for a in range(n_active):
        m = scratch.active[a]
        history = scratch.history[m]
        if coupling.place[m] >= 0:
            for b in range(history.size):
                weight = coupling.common[coupling.place[m], b]
                for s in range(psi.size):
                    psi[s] += history[b] * weight[s]
        else:
            for i in range(coupling.start[m], coupling.start[m + 1]):
                added = 0.0
                for b in range(history.size):
                    added += history[b] * coupling.value[i, b]
                psi[coupling.draw[i]] += added
        history[:] = 0.0
        scratch.seen[m] = False
    for c in range(coupling.covariate_weights.shape[0]):
        weight, covariate = coupling.covariate_weights[c], covariates[t, c]
        for s in range(psi.size):
            psi[s] += covariate * weight[s]
    more = False
    if coupling.past.basis.shape[0] > 0:
        more = _add_self(coupling.past, events.first[t], t, scratch.past, psi)
    return n_active > 0 or more or coupling.covariate_weights.shape[0] > 0


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _add_log_density(likelihood, which, count, psi, total):
    """Add the log density of a count, `values[which]`, to total (draw,)."""
    dispersion, constant = likelihood.dispersion, likelihood.constant[which]
    family, slope, density = likelihood.family, likelihood.slope, likelihood.density
    for s in range(psi.size):
        total[s] += constant[s if constant.size > 1 else 0]
    for s in range(psi.size):
        total[s] += log_density(family, slope, dispersion[s], density, count, psi[s])


@compiled
def _which(likelihood, count):
    """Return the index of a count in `values`, and so of its constants."""
    return np.searchsorted(likelihood.values, count) if likelihood.values.size > 0 else 0


@compiled
def _sum_group(events, coupling, likelihood, counts, covariates, bins, scratch):
    """Write the summed log densities of some bins to scratch.total."""
    scratch.total[:] = 0.0
    for i in range(bins.size):
        count = float(counts[bins[i]])
        _write_psi(events, coupling, covariates, bins[i], scratch)
        _add_log_density(likelihood, _which(likelihood, count), count, scratch.psi, scratch.total)


@compiled
def write_log_densities(
    events: Events,
    coupling: Coupling,
    likelihood: DrawnLikelihood,
    counts: NDArray,
    covariates: Floats,
    groups: Groups,
    run: tuple[int, int],
    out: NDArray[Any],
) -> None:
    """Write the log density of each group of bins in each draw.

    Parameters
    ----------
    events : Events
    coupling : Coupling
    likelihood : DrawnLikelihood
    counts : array, shape (time,)
        Of the post neuron.
    covariates : array, shape (time, covariate)
    groups : Groups
    run : tuple of int
        The first group and the one after the last.
    out : array, shape (group, draw)
    """
    scratch = _scratch(events, coupling)
    for g in range(run[0], run[1]):
        bins = groups.bins[groups.start[g] : groups.start[g + 1]]
        _sum_group(events, coupling, likelihood, counts, covariates, bins, scratch)
        out[g] = scratch.total


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _write_ratios(count, psi, out):
    """Write 1 / p (draw,) of a Bernoulli count."""
    sign = -1.0 if count > 0 else 1.0
    for s in range(psi.size):
        out[s] = 1.0 + exponential(min(max(sign * psi[s], -_FAR), _FAR))


@compiled
def write_loo(
    events: Events,
    coupling: Coupling,
    likelihood: DrawnLikelihood,
    counts: NDArray,
    covariates: Floats,
    groups: Groups,
    run: tuple[int, int],
    n_tail: int,
    bernoulli: bool,
    out: Floats,
) -> None:
    """Write elpd, Pareto k and log predictive density of each group of bins, leaving it out.

    Bins with the same count and no spike in their history window have the same result, which is
    computed once.

    Parameters
    ----------
    events, coupling, likelihood, counts, covariates, groups, run
        See `write_log_densities`.
    n_tail : int
        Number of ratios that are smoothed.
    bernoulli : bool
        Whether counts are Bernoulli, for which there is a faster way.
    out : array, shape (group, 3)
    """
    scratch, tails = _scratch(events, coupling), smoother(coupling.bias.size, n_tail)
    known = np.zeros(likelihood.values.size, np.bool_)  # whether `silent` holds a count's result
    silent = np.empty((likelihood.values.size, 3))
    for g in range(run[0], run[1]):
        bins = groups.bins[groups.start[g] : groups.start[g + 1]]
        if bins.size > 1:
            _sum_group(events, coupling, likelihood, counts, covariates, bins, scratch)
            out[g, 0], out[g, 1], out[g, 2] = loo_of_logs(scratch.total, tails)
            continue
        count = float(counts[bins[0]])
        which = _which(likelihood, count)
        alike = not _write_psi(events, coupling, covariates, bins[0], scratch) and known.size > 0
        if alike and known[which]:
            out[g] = silent[which]
            continue
        if bernoulli:
            _write_ratios(count, scratch.psi, scratch.total)
            out[g, 0], out[g, 1], out[g, 2] = loo_of_ratios(scratch.total, tails)
        else:
            scratch.total[:] = 0.0
            _add_log_density(likelihood, which, count, scratch.psi, scratch.total)
            out[g, 0], out[g, 1], out[g, 2] = loo_of_logs(scratch.total, tails)
        if alike:
            known[which] = True
            silent[which] = out[g]
