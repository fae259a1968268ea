"""The engine of JAX: all post neurons side by side, on a GPU if there is one."""

import logging
from functools import wraps
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from pymc_glm.engines.engine import (
    EdgeCounts,
    Given,
    Network,
    NetworkGradient,
    PathChange,
)
from pymc_glm.engines.jax.blocks import Drive
from pymc_glm.engines.jax.edges import Change, SlabPrior, find_modes, look, values_with
from pymc_glm.engines.jax.information import information_of
from pymc_glm.engines.jax.passes import gradient_of, history_sums, psi_and_sums, sums_of
from pymc_glm.engines.jax.recording import Layout, Recording, check_law, held
from pymc_glm.engines.jax.trajectories import (
    DeviceMetric,
    Journey,
    active_of,
    active_slots,
    travel,
)
from pymc_glm.engines.threads import ThreadsEngine, bias_prior
from pymc_glm.graph.data import SpikeData
from pymc_glm.graph.shared import Shared
from pymc_glm.kernels.edge_moves import (
    EdgeDraws,
    EdgePlan,
    draw_visits,
    next_visits,
    settle_visits,
    visits_of,
)
from pymc_glm.kernels.edge_surrogate import Expansion
from pymc_glm.kernels.fisher import Metric
from pymc_glm.kernels.flip_proposals import (
    FlipDraws,
    finish_flips,
    flip_sweep,
    propose_flips,
    settle_flips,
    start_flips,
)
from pymc_glm.kernels.hmc import Trajectories
from pymc_glm.kernels.path_moves import PathDraws, PathPlan
from pymc_glm.kernels.prior import NetworkPrior, edge_prior

__all__ = ["JaxEngine"]

_log = logging.getLogger("pymc_glm")

type Floats = NDArray[np.float64]


def _in_double(method: Any) -> Any:
    """Let a method use double precision, which JAX otherwise has off."""

    @wraps(method)
    def inside(*arguments: Any, **options: Any) -> Any:
        with jax.enable_x64(True):
            return method(*arguments, **options)

    return inside


class JaxEngine:
    """Moves all post neurons at once: a GPU's engine, which also runs on the processor.

    The history is computed from the counts, block by block, whenever it is needed, in single
    precision; sums over bins, metrics and trajectories are in double precision. Proposals of edges
    and their first stage are computed on threads of the processor, meanwhile. The paths of shared
    input and their delays are moved on threads.

    Parameters
    ----------
    threads : int, optional
        For what runs on the processor.

    Raises
    ------
    ValueError
        `threads` is not a whole number of at least 1.

    Examples
    --------
    >>> from pymc_glm.engines.jax import JaxEngine
    >>> JaxEngine().name
    'jax'
    """

    name = "jax"

    def __init__(self, threads: int | None = None):
        self._beside = ThreadsEngine(threads)
        self._loaded: tuple[Layout, Recording] | None = None
        self._metric: tuple[Metric, DeviceMetric] | None = None
        self._said = False

    def __getstate__(self) -> dict:
        """Leave out what is on the device."""
        return self.__dict__ | {"_loaded": None, "_metric": None}

    def hold(self, data: Shared[SpikeData]) -> None:
        """Hold other data.

        Raises
        ------
        ValueError
            The law of the counts is not served.
        """
        check_law(data.value.likelihood)
        self._beside.hold(data)
        self._data = data
        self._loaded = None

    @property
    def _device(self) -> tuple[Layout, Recording]:
        """Layout and arrays of the recording, shared by all engines of a process.

        Raises
        ------
        ValueError
            The recording does not fit on the device.
        """
        if self._loaded is None:
            self._loaded = held(self._data)
        return self._loaded

    def _drive(self, given: Given, bias: Floats, weights: Floats) -> Drive:
        layout, _ = self._device
        data = self._data.value
        paths, n_post = data.history.further.paths, bias.size
        flat = weights[:, layout.n_pre :].reshape(n_post, -1)
        if flat.shape[1] == 0:  # weights of the pre neurons alone
            flat = np.zeros((n_post, layout.n_self + layout.n_factors))
        delay = paths.delay if given.delay is None else given.delay
        return Drive(
            jnp.asarray(bias),
            jnp.asarray(weights[:, : layout.n_pre]),
            jnp.asarray(flat[:, : layout.n_self]),
            jnp.asarray(flat[:, layout.n_self : layout.n_self + layout.n_factors]),
            jnp.asarray(paths.values if given.paths is None else given.paths),
            jnp.asarray(delay if delay.size else np.zeros(n_post, np.int64)),
            jnp.asarray(self._dispersion(given)),
        )

    def _dispersion(self, given: Given) -> Floats:
        known = self._data.value.likelihood.dispersion
        return known if given.dispersion is None else given.dispersion

    def _metric_on_device(self, metric: Metric) -> DeviceMetric:
        """Return the metric on the device, where it stays as long as it is the same."""
        if self._metric is None or self._metric[0] is not metric:
            device = DeviceMetric(jnp.asarray(metric.place), jnp.asarray(metric.joint))
            self._metric = metric, device
        return self._metric[1]

    @_in_double
    def move_weights(
        self,
        given: Given,
        prior: NetworkPrior,
        metric: Metric,
        trajectories: Trajectories,
        at: Network,
    ) -> tuple[Network, Floats]:
        """Move biases and weights along a trajectory each."""
        slots, present = active_slots(at.adjacency)
        active = active_of(prior, metric, slots, present)
        n_post, _, size = at.weights.shape
        there = np.repeat(present, size, axis=1)
        q = np.zeros((n_post, 1 + there.shape[1]))
        q[:, 0] = at.bias
        rows = np.arange(n_post)[:, None]
        known = np.where(present, slots, 0)
        q[:, 1:] = np.where(there, at.weights[rows, known].reshape(n_post, -1), 0.0)
        momentum = np.zeros_like(q)
        width = min(q.shape[1], trajectories.normals.shape[1])
        momentum[:, :width] = trajectories.normals[:, :width]
        momentum[:, 1:] *= there
        limit = self._data.value.history.further.past.limit
        moved, change = travel(
            *self._device,
            self._drive(given, at.bias, at.weights * (at.adjacency != 0)[:, :, None]),
            active,
            self._metric_on_device(metric),
            (jnp.asarray(limit.most), jnp.asarray(limit.bend)),
            jnp.asarray(q),
            Journey(
                jnp.asarray(momentum),
                jnp.asarray(trajectories.step_size),
                jnp.asarray(trajectories.n_steps),
            ),
        )
        change = np.asarray(change)
        with np.errstate(over="ignore", invalid="ignore"):
            acceptance = np.where(np.isfinite(change), np.exp(np.minimum(-change, 0.0)), 0.0)
        accepted = trajectories.uniforms < acceptance
        end = np.where(accepted[:, None], np.asarray(moved), q)
        weights = at.weights.copy()
        neuron, place = np.nonzero(present)
        weights[neuron, slots[neuron, place]] = end[:, 1:].reshape(n_post, -1, size)[neuron, place]
        return Network(end[:, 0].copy(), at.adjacency, weights), acceptance

    @_in_double
    def flip_edges(
        self,
        given: Given,
        prior: NetworkPrior,
        expansion: Expansion,
        draws: FlipDraws,
        at: Network,
    ) -> tuple[Network, EdgeCounts]:
        """Flip and swap edges of the expansion."""
        new = Network(at.bias.copy(), at.adjacency.copy(), at.weights.copy())
        sweep, n_post = flip_sweep(expansion, at.weights.shape[2]), at.bias.size
        priors, run = (edge_prior(prior), bias_prior(prior)), self._beside.posts.over_posts
        run(start_flips, *priors, expansion, *new, sweep)
        dispersion = jnp.asarray(self._dispersion(given))
        psi, values = psi_and_sums(*self._device, self._drive(given, at.bias, at.weights))
        sweep.log_likelihood[:] = values
        settled, accepted = _no_change(sweep.change), np.zeros(n_post, bool)
        while any(run(propose_flips, expansion, draws, sweep)):
            proposed = _change(sweep.change)
            psi, values = look(*self._device, psi, settled, proposed, dispersion)
            run(settle_flips, np.asarray(values), sweep, accepted)
            settled = Change(
                proposed.bias * accepted,
                proposed.slots,
                proposed.weights * accepted[:, None, None],
            )
        run(finish_flips, sweep, *new)
        return new, EdgeCounts(*sweep.counted.sum(axis=0))

    @_in_double
    def visit_edges(
        self,
        given: Given,
        prior: NetworkPrior,
        plan: EdgePlan,
        draws: EdgeDraws,
        at: Network,
    ) -> tuple[Network, Floats, EdgeCounts]:
        """Propose edges by Newton's steps."""
        new = Network(at.bias, at.adjacency.copy(), at.weights.copy())
        modes, edges = np.full_like(at.weights, np.nan), edge_prior(prior)
        visits, run = visits_of(at.bias.size, at.weights.shape[2]), self._beside.posts.over_posts
        dispersion, every = jnp.asarray(self._dispersion(given)), np.arange(at.bias.size)
        psi, _ = psi_and_sums(*self._device, self._drive(given, at.bias, at.weights))
        none = np.zeros_like(visits.weights)
        while any(run(next_visits, edges, plan, draws, new.adjacency, visits)):
            there = np.maximum(visits.edges, 0)
            current = new.weights[every, there]
            slab = SlabPrior(
                jnp.asarray(edges.mean[every, there]), jnp.asarray(edges.precision[every, there])
            )
            start = plan.start[every, there]
            found = find_modes(
                *self._device, psi, there, current, start, slab, plan.newton, dispersion
            )
            mode, lower = np.asarray(found.mode), np.asarray(found.lower)
            run(draw_visits, draws, mode, lower, visits)
            changes = np.stack([visits.weights, current, none]) - current
            values = np.asarray(values_with(*self._device, psi, there, changes, dispersion))
            run(settle_visits, edges, plan, draws, mode, lower, values, *new[1:], visits)
            seen = visits.edges >= 0
            modes[every[seen], there[seen]] = mode[seen]
            moved = np.where(seen[:, None], new.weights[every, there] - current, 0.0)
            change = _on_device(np.zeros(at.bias.size), there[:, None], moved[:, None])
            psi, _ = look(*self._device, psi, change, _no_change(change), dispersion)
        return new, modes, EdgeCounts(*visits.counted.sum(axis=0))

    @_in_double
    def information(
        self,
        given: Given,
        bias: Floats,
        weights: Floats,
        chosen: NDArray[np.bool_],
        most_bins: int,
    ) -> Metric:
        """Return gradient and Fisher information."""
        layout, recording = self._device
        n_post, n_slots, _ = weights.shape
        most = int(chosen.sum(axis=1).max())
        slots, place = np.full((n_post, most), n_slots), np.full((n_post, n_slots), -1)
        for n, each in enumerate(chosen):
            there = np.flatnonzero(each)
            slots[n, : there.size], place[n, there] = there, np.arange(there.size)
        every = max(1, -(-layout.n_blocks * layout.n_rows // max(most_bins, layout.n_rows)))
        drive = self._drive(given, bias, weights)
        found = information_of(layout, recording, drive, jnp.asarray(slots), every)
        joint, size = np.array(found.joint), layout.n_basis
        edges = np.zeros((n_post, n_slots, size, size))
        edges[:, : layout.n_pre] = np.asarray(found.edges)
        for n, m in np.argwhere(place[:, layout.n_pre :] >= 0):
            first = 1 + place[n, layout.n_pre + m] * size
            edges[n, layout.n_pre + m] = joint[n, first : first + size, first : first + size]
        return Metric(place, joint, edges, self.gradient(given, bias, weights, place))

    @_in_double
    def gradient(
        self, given: Given, bias: Floats, weights: Floats, place: NDArray[np.int64]
    ) -> Floats:
        """Return the gradients of bias and slots that have a place."""
        found = gradient_of(*self._device, self._drive(given, bias, weights))
        n_post, n_slots, size = weights.shape
        every = np.zeros((n_post, n_slots, size))
        n_pre = self._device[0].n_pre
        every[:, :n_pre] = np.asarray(found.weights)[:, :n_slots]
        further = np.concatenate([found.self_weights, found.loadings], axis=1)
        every[:, n_pre:].reshape(n_post, -1)[:, : further.shape[1]] = further
        out = np.zeros((n_post, 1 + size * (1 + int(place.max()))))
        out[:, 0] = np.asarray(found.bias)
        for n, m in np.argwhere(place >= 0):
            first = 1 + place[n, m] * size
            out[n, first : first + size] = every[n, m]
        return out

    @_in_double
    def network_gradient(self, given: Given, at: Network) -> NetworkGradient:
        """Return log likelihoods, and their derivatives in biases and present weights."""
        found = gradient_of(*self._device, self._drive(given, at.bias, at.weights))
        weights, n_pre = np.zeros_like(at.weights), self._device[0].n_pre
        present = at.adjacency[:, :n_pre, None] != 0
        weights[:, :n_pre] = np.where(present, np.asarray(found.weights), 0.0)
        return NetworkGradient(np.array(found.value), np.array(found.bias), weights)

    @_in_double
    def log_likelihoods(self, given: Given, bias: Floats, weights: Floats) -> Floats:
        """Return the log likelihoods."""
        return np.array(sums_of(*self._device, self._drive(given, bias, weights), False))

    @_in_double
    def softplus_sums(self, given: Given, bias: Floats, weights: Floats) -> Floats:
        """Return the sums over bins of log(1 + exp psi)."""
        return np.array(sums_of(*self._device, self._drive(given, bias, weights), True))

    @_in_double
    def mean_history(self) -> Floats:
        """Return the mean of the history over bins."""
        return np.array(history_sums(*self._device)) / self._data.value.history.n_bins

    def move_paths(
        self, given: Given, plan: PathPlan, draws: PathDraws, at: Network, loadings: Floats
    ) -> tuple[Floats, Floats]:
        """Move paths of shared input, on threads."""
        if not self._said:
            _log.info("engine: 'jax' leaves paths and delays of shared input to 'threads'.")
            self._said = True
        return self._beside.move_paths(given, plan, draws, at, loadings)

    def compare_paths(
        self,
        given: Given,
        change: PathChange,
        at: Network,
        loadings: Floats,
        bounds: NDArray[np.int64],
    ) -> Floats:
        """Return the change of the log likelihood between bounds of bins, on threads."""
        return self._beside.compare_paths(given, change, at, loadings, bounds)


def _change(change: Any) -> Change:
    """Return a change whose slots are all valid; absent ones have weights of zero."""
    return _on_device(change.bias, np.maximum(change.slots, 0), change.weights)


def _no_change(change: Any) -> Change:
    return _on_device(*(np.zeros(part.shape, part.dtype) for part in change))


def _on_device(bias: Floats, slots: NDArray[np.int64], weights: Floats) -> Change:
    return Change(jnp.array(bias), jnp.array(slots), jnp.array(weights))
