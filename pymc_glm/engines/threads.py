"""The engine of the processor: compiled kernels on threads over post neurons."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pymc_glm.engines.engine import (
    EdgeCounts,
    Given,
    Network,
    NetworkGradient,
    PathChange,
)
from pymc_glm.graph.data import SpikeData
from pymc_glm.graph.shared import Shared
from pymc_glm.graph.threads import Threads
from pymc_glm.kernels.dispersion_tables import softplus_sums
from pymc_glm.kernels.edge_flips import flip_edges
from pymc_glm.kernels.edge_moves import EdgeDraws, EdgePlan, move_edges
from pymc_glm.kernels.edge_surrogate import Expansion
from pymc_glm.kernels.fisher import Metric, empty_metric, fisher_information, gradient_at
from pymc_glm.kernels.flip_proposals import FlipDraws, flip_sweep
from pymc_glm.kernels.hmc import Trajectories, move_weights
from pymc_glm.kernels.network_gradient import log_likelihoods, mean_history, network_gradient
from pymc_glm.kernels.path_moves import PathDraws, PathPlan, compare_paths, move_paths
from pymc_glm.kernels.prior import BiasPrior, NetworkPrior, edge_prior

__all__ = ["ThreadsEngine", "bias_prior"]

type Floats = NDArray[np.float64]


class ThreadsEngine:
    """Runs the kernels on threads, in double precision.

    Results do not depend on the number of threads.

    Parameters
    ----------
    threads : int, optional
        By default all cores in the main process, one in a worker of parallel chains.

    Raises
    ------
    ValueError
        `threads` is not a whole number of at least 1.

    Examples
    --------
    >>> from pymc_glm.engines import ThreadsEngine
    >>> ThreadsEngine(2).name
    'threads'
    """

    name = "threads"

    def __init__(self, threads: int | None = None):
        self.threads = threads
        self.posts = self._over_chunks = Threads(threads, 1)

    def hold(self, data: Shared[SpikeData]) -> None:
        """Hold other data."""
        self._data, n_posts = data, len(data.value.likelihood.counts)
        if self.posts.n_posts != n_posts:
            self.posts = Threads(self.threads, n_posts)

    def _at(self, given: Given) -> SpikeData:
        data = self._data.value
        if given.paths is not None:
            data = data.with_paths(given.paths, given.delay)
        return data if given.dispersion is None else data.with_dispersion(given.dispersion)

    def _run(self, function: Callable, given: Given, *arguments: object) -> list:
        return self.posts.over_posts(function, *self._at(given), *arguments)

    def move_weights(
        self,
        given: Given,
        prior: NetworkPrior,
        metric: Metric,
        trajectories: Trajectories,
        at: Network,
    ) -> tuple[Network, Floats]:
        """Move biases and weights along a trajectory each."""
        new, acceptance = _copy(at), np.empty(at.bias.size)
        priors = edge_prior(prior), bias_prior(prior)
        self._run(move_weights, given, *priors, metric, trajectories, *new, acceptance)
        return new, acceptance

    def flip_edges(
        self,
        given: Given,
        prior: NetworkPrior,
        expansion: Expansion,
        draws: FlipDraws,
        at: Network,
    ) -> tuple[Network, EdgeCounts]:
        """Flip and swap edges of the expansion."""
        new, priors = _copy(at), (edge_prior(prior), bias_prior(prior))
        sweep = flip_sweep(expansion, at.weights.shape[2])
        self._run(flip_edges, given, *priors, expansion, draws, *new, sweep)
        return new, EdgeCounts(*sweep.counted.sum(axis=0))

    def visit_edges(
        self,
        given: Given,
        prior: NetworkPrior,
        plan: EdgePlan,
        draws: EdgeDraws,
        at: Network,
    ) -> tuple[Network, Floats, EdgeCounts]:
        """Propose edges by Newton's steps."""
        new, modes = _copy(at), np.full_like(at.weights, np.nan)
        counted = self._run(move_edges, given, edge_prior(prior), plan, draws, *new, modes)
        return new, modes, EdgeCounts(*np.sum(counted, axis=0))

    def information(
        self,
        given: Given,
        bias: Floats,
        weights: Floats,
        chosen: NDArray[np.bool_],
        most_bins: int,
    ) -> Metric:
        """Return gradient and Fisher information."""
        n_post, n_pre, n_basis = weights.shape
        metric = empty_metric(n_post, n_pre, n_basis, int(chosen.sum(axis=1).max()))
        self._run(fisher_information, given, bias, weights, chosen, most_bins, metric)
        return metric

    def gradient(
        self, given: Given, bias: Floats, weights: Floats, place: NDArray[np.int64]
    ) -> Floats:
        """Return the gradients of bias and slots that have a place."""
        out = np.empty((bias.size, 1 + weights.shape[2] * (1 + int(place.max()))))
        self._run(gradient_at, given, bias, weights, place, out)
        return out

    def network_gradient(self, given: Given, at: Network) -> NetworkGradient:
        """Return log likelihoods, and their derivatives in biases and present weights."""
        out = NetworkGradient(
            np.empty_like(at.bias), np.empty_like(at.bias), np.empty_like(at.weights)
        )
        self._run(network_gradient, given, *at, *out)
        return out

    def log_likelihoods(self, given: Given, bias: Floats, weights: Floats) -> Floats:
        """Return the log likelihoods."""
        out = np.empty(bias.size)
        self._run(log_likelihoods, given, bias, weights, out)
        return out

    def softplus_sums(self, given: Given, bias: Floats, weights: Floats) -> Floats:
        """Return the sums over bins of log(1 + exp psi)."""
        out = np.empty(bias.size)
        self._run(softplus_sums, given, bias, weights, out)
        return out

    def mean_history(self) -> Floats:
        """Return the mean of the history over bins."""
        with self.posts.single_blas():
            return mean_history(self._data.value.history)

    def _in_time(self, n_chunks: int) -> Threads:
        """Return threads over stretches of time."""
        if self._over_chunks.n_posts != n_chunks:
            self._over_chunks = Threads(self.threads, n_chunks)
        return self._over_chunks

    def move_paths(
        self, given: Given, plan: PathPlan, draws: PathDraws, at: Network, loadings: Floats
    ) -> tuple[Floats, Floats]:
        """Move paths of shared input."""
        n_chunks, n_factors = draws.lengths.shape
        data, counted = self._at(given), np.zeros((n_chunks, n_factors, 2))
        paths = data.history.further.paths
        moved = data.with_paths(paths.values.copy(), paths.delay)
        arguments = at.bias, at.weights, loadings, plan, draws, counted
        self._in_time(n_chunks).over_posts(move_paths, *moved, *arguments)
        return moved.history.further.paths.values, counted

    def compare_paths(
        self,
        given: Given,
        change: PathChange,
        at: Network,
        loadings: Floats,
        bounds: NDArray[np.int64],
    ) -> Floats:
        """Return the change of the log likelihood between bounds of bins."""
        out = np.zeros((bounds.size - 1, at.bias.size))
        coefficients = at.bias, at.weights, loadings
        self._in_time(bounds.size - 1).over_posts(
            compare_paths, *self._at(given), *coefficients, bounds, *change, out
        )
        return out


def _copy(at: Network) -> Network:
    return Network(at.bias.copy(), at.adjacency.copy(), at.weights.copy())


def bias_prior(prior: NetworkPrior) -> BiasPrior:
    """Return the prior of the biases alone."""
    return BiasPrior(prior.bias_mean, prior.bias_precision)
