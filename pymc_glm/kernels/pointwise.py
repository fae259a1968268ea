"""Log densities of the counts of one post neuron in each draw, bin by bin.

Nothing is kept that grows with bins times draws. In each bin the spikes within the window are
gathered, which are few, and each pre neuron among them adds its weights to psi: in all draws where
its edge is present in many, else in the draws that have it.
"""

import math
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.compiling import compiled
from pymc_glm.kernels.custom_density import CustomDensity, evaluate
from pymc_glm.kernels.exponential import EXPONENT_LIMIT, exponential
from pymc_glm.kernels.likelihood import CUSTOM, GAUSSIAN, LOGISTIC, POISSON
from pymc_glm.kernels.psis import loo_of_logs, loo_of_ratios, smoother

__all__ = [
    "Coupling",
    "DrawnLikelihood",
    "Events",
    "Groups",
    "coupling_of",
    "events_of",
    "write_log_densities",
    "write_loo",
]

type Floats = NDArray[np.float64]

_STEEP = 40.0  # psi beyond which log(1 + exp psi) is psi to double precision
_COMMON = 0.25  # an edge in this share of the draws or more is added in all of them
_FAR = 600.0  # psi beyond which the ratios of Bernoulli counts are those at it


class Events(NamedTuple):
    """Counts where they are not zero, bin after bin, and where history begins."""

    start: NDArray[np.int64]  # (time + 1,): where each bin's events begin
    pre: NDArray[np.int32]  # (event,)
    value: Floats  # (event,): the counts
    first: NDArray[np.int64]  # (time,): first bin of each bin's segment
    basis: Floats  # (lag, basis)
    n_pre: int


class Coupling(NamedTuple):
    """Draws of what makes psi of one post neuron."""

    bias: Floats  # (draw,)
    place: NDArray[np.int64]  # (pre,): in `common`; -1 where edges are rare, -2 without any
    common: Floats  # (common pre, basis, draw)
    start: NDArray[np.int64]  # (pre + 1,): where the draws of each rare edge begin
    draw: NDArray[np.int32]  # (stored,)
    value: Floats  # (stored, basis)
    covariate_weights: Floats  # (covariate, draw)


class DrawnLikelihood(NamedTuple):
    """The law of the counts of one post neuron in each draw."""

    family: int
    dispersion: Floats  # (draw,)
    slope: float
    density: CustomDensity | None
    values: Floats  # (value,): ascending; the constants are the same for all where empty
    constant: Floats  # (value or 1, draw or 1): terms of the log density without psi


class Groups(NamedTuple):
    """Bins whose log densities are summed."""

    bins: NDArray[np.int64]  # (bin,)
    start: NDArray[np.int64]  # (group + 1,): where each group's bins begin

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return self.start.size - 1


class _Room(NamedTuple):
    history: Floats  # (pre, basis)
    active: NDArray[np.int64]  # (pre,)
    seen: NDArray[np.bool_]  # (pre,)
    psi: Floats  # (draw,)
    total: Floats  # (draw,)


def events_of(counts: NDArray, basis: Floats, starts: NDArray[np.int64]) -> Events:
    """Store counts (time, pre) where they are not zero.

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


def coupling_of(bias: Floats, weights: Floats, covariate_weights: Floats | None) -> Coupling:
    """Store weights where they are not zero.

    Parameters
    ----------
    bias : array, shape (draw,)
    weights : array, shape (draw, pre, basis)
    covariate_weights : array, shape (draw, covariate), optional
    """
    n_draws = len(weights)
    present = (weights != 0).any(axis=2).T  # (pre, draw)
    share = present.mean(axis=1)
    place = np.where(share > 0, -1, -2)
    place[share >= _COMMON] = np.arange((share >= _COMMON).sum())
    rare = present & (place == -1)[:, None]
    pre, draw = np.nonzero(rare)
    own = np.zeros((n_draws, 0)) if covariate_weights is None else covariate_weights
    return Coupling(
        bias,
        place,
        np.ascontiguousarray(weights[:, place >= 0].transpose(1, 2, 0)),
        np.append(0, np.cumsum(rare.sum(axis=1))),
        draw.astype(np.int32),
        np.ascontiguousarray(weights[draw, pre]),
        np.ascontiguousarray(own.T),
    )


@compiled
def _room_for(events, coupling):
    n_draws, n_pre = coupling.bias.size, events.n_pre
    return _Room(
        np.zeros((n_pre, events.basis.shape[1])),
        np.empty(n_pre, np.int64),
        np.zeros(n_pre, np.bool_),
        np.empty(n_draws),
        np.empty(n_draws),
    )


@numba.njit(cache=True, nogil=True, fastmath={"contract"})
def _write_psi(events, coupling, covariates, t, room):
    """Write psi (draw,) in bin t; return whether anything but the bias makes it."""
    n_active, basis, psi = 0, events.basis, room.psi
    psi[:] = coupling.bias
    for lag in range(min(basis.shape[0], t - events.first[t])):
        for event in range(events.start[t - lag - 1], events.start[t - lag]):
            m = events.pre[event]
            if coupling.place[m] == -2:
                continue
            if not room.seen[m]:
                room.seen[m] = True
                room.active[n_active] = m
                n_active += 1
            for b in range(basis.shape[1]):
                room.history[m, b] += events.value[event] * basis[lag, b]
    for a in range(n_active):
        m = room.active[a]
        told = room.history[m]
        if coupling.place[m] >= 0:
            for b in range(told.size):
                weight = coupling.common[coupling.place[m], b]
                for s in range(psi.size):
                    psi[s] += told[b] * weight[s]
        else:
            for i in range(coupling.start[m], coupling.start[m + 1]):
                added = 0.0
                for b in range(told.size):
                    added += told[b] * coupling.value[i, b]
                psi[coupling.draw[i]] += added
        told[:] = 0.0
        room.seen[m] = False
    for c in range(coupling.covariate_weights.shape[0]):
        weight, told = coupling.covariate_weights[c], covariates[t, c]
        for s in range(psi.size):
            psi[s] += told * weight[s]
    return n_active > 0 or coupling.covariate_weights.shape[0] > 0


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _add_log_density(likelihood, which, count, psi, total):
    """Add the log density of a count, the one of `values` that it is, to total (draw,)."""
    n, dispersion, constant = psi.size, likelihood.dispersion, likelihood.constant[which]
    for s in range(n):
        total[s] += constant[s if constant.size > 1 else 0]
    if likelihood.family == POISSON:
        for s in range(n):
            mean = exponential(min(max(psi[s], -EXPONENT_LIMIT), EXPONENT_LIMIT))
            total[s] += count * psi[s] - mean
    elif likelihood.family == GAUSSIAN:
        for s in range(n):
            total[s] -= 0.5 * dispersion[s] * (count - psi[s]) ** 2
    elif likelihood.family == CUSTOM:
        for s in range(n):
            total[s] += evaluate(likelihood.density, count, psi[s], dispersion[s])[0]
    elif likelihood.family == LOGISTIC:
        for s in range(n):
            e = exponential(min(max(psi[s], -EXPONENT_LIMIT), _STEEP))
            soft = math.log1p(e) + max(psi[s] - _STEEP, 0.0)
            total[s] += count * psi[s] - (dispersion[s] + likelihood.slope * count) * soft


@compiled
def _which(likelihood, count):
    """Return the row of the constants of a count."""
    return np.searchsorted(likelihood.values, count) if likelihood.values.size > 0 else 0


@compiled
def _sum_group(events, coupling, likelihood, counts, covariates, bins, room):
    """Write the sum of the log densities of some bins to room.total."""
    room.total[:] = 0.0
    for i in range(bins.size):
        count = float(counts[bins[i]])
        _write_psi(events, coupling, covariates, bins[i], room)
        _add_log_density(likelihood, _which(likelihood, count), count, room.psi, room.total)


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
    events, coupling, law
    counts : array, shape (time,)
        Of the post neuron.
    covariates : array, shape (time, covariate)
    groups : Groups
    run : tuple of int
        First group and the one after the last.
    out : array, shape (group, draw)
    """
    room = _room_for(events, coupling)
    for g in range(run[0], run[1]):
        bins = groups.bins[groups.start[g] : groups.start[g + 1]]
        _sum_group(events, coupling, likelihood, counts, covariates, bins, room)
        out[g] = room.total


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
    """Write elpd, Pareto k and log predictive density of each group of bins when it is left out.

    Bins of one count with silence in the window are alike; they are looked at once.

    Parameters
    ----------
    events, coupling, law, counts, covariates, groups, run
        See `write_log_densities`.
    n_tail : int
        Ratios that are smoothed.
    bernoulli : bool
        Whether counts are Bernoulli ones, which is faster.
    out : array, shape (group, 3)
    """
    room, tails = _room_for(events, coupling), smoother(coupling.bias.size, n_tail)
    known = np.zeros(likelihood.values.size, np.bool_)
    silent = np.empty((likelihood.values.size, 3))
    for g in range(run[0], run[1]):
        bins = groups.bins[groups.start[g] : groups.start[g + 1]]
        if bins.size > 1:
            _sum_group(events, coupling, likelihood, counts, covariates, bins, room)
            out[g, 0], out[g, 1], out[g, 2] = loo_of_logs(room.total, tails)
            continue
        count = float(counts[bins[0]])
        which = _which(likelihood, count)
        alike = not _write_psi(events, coupling, covariates, bins[0], room) and known.size > 0
        if alike and known[which]:
            out[g] = silent[which]
            continue
        if bernoulli:
            _write_ratios(count, room.psi, room.total)
            out[g, 0], out[g, 1], out[g, 2] = loo_of_ratios(room.total, tails)
        else:
            room.total[:] = 0.0
            _add_log_density(likelihood, which, count, room.psi, room.total)
            out[g, 0], out[g, 1], out[g, 2] = loo_of_logs(room.total, tails)
        if alike:
            known[which] = True
            silent[which] = out[g]
