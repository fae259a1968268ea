"""What step methods ask of an engine, which holds the data of all post neurons."""

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pymc_glm.graph.data import SpikeData
from pymc_glm.graph.shared import Shared
from pymc_glm.kernels.edge_moves import EdgeDraws, EdgePlan
from pymc_glm.kernels.edge_surrogate import Expansion
from pymc_glm.kernels.fisher import Metric
from pymc_glm.kernels.flip_proposals import FlipDraws
from pymc_glm.kernels.hmc import Trajectories
from pymc_glm.kernels.path_moves import PathDraws, PathPlan
from pymc_glm.kernels.prior import NetworkPrior

__all__ = ["EdgeCounts", "Engine", "Given", "Network", "NetworkGradient", "PathChange"]

type Floats = NDArray[np.float64]


class Network(NamedTuple):
    """Coefficients of every post neuron; engines return new ones and do not change these."""

    bias: Floats  # (post,)
    adjacency: NDArray[np.int8]  # (post, pre)
    weights: Floats  # (post, pre, basis): covariates and further terms after the pre neurons


class Given(NamedTuple):
    """What activation and counts depend on beside the network; None: as the data have it."""

    dispersion: Floats | None = None  # (post,)
    paths: Floats | None = None  # (grid,)
    delay: NDArray[np.int64] | None = None  # (post,)


class EdgeCounts(NamedTuple):
    """How proposals of edges ended."""

    proposed: int  # tested on the data
    accepted: int
    swaps: int = 0


class NetworkGradient(NamedTuple):
    """Log likelihoods and their derivatives."""

    value: Floats  # (post,)
    bias: Floats  # (post,)
    weights: Floats  # (post, pre, basis): zero where there is no edge, and for further terms


class PathChange(NamedTuple):
    """Other paths, loadings and delays of shared input."""

    paths: Floats  # (grid,)
    loadings: Floats  # (post, factor)
    delay: NDArray[np.int64]  # (post,)


class Engine(Protocol):
    """Moves the post neurons of a network, and sums over the bins of the recording.

    An engine holds the data; all else is handed to it and returned by it. Steps draw the random
    numbers, so that they are the same for every engine.
    """

    name: str

    def hold(self, data: Shared[SpikeData]) -> None:
        """Hold other data.

        Raises
        ------
        ValueError
            The engine does not serve these data.
        """

    def move_weights(
        self,
        given: Given,
        prior: NetworkPrior,
        metric: Metric,
        trajectories: Trajectories,
        at: Network,
    ) -> tuple[Network, Floats]:
        """Move biases and weights along a trajectory each; return acceptance (post,), too."""

    def flip_edges(
        self,
        given: Given,
        prior: NetworkPrior,
        expansion: Expansion,
        draws: FlipDraws,
        at: Network,
    ) -> tuple[Network, EdgeCounts]:
        """Flip and swap edges of the expansion."""

    def visit_edges(
        self,
        given: Given,
        prior: NetworkPrior,
        plan: EdgePlan,
        draws: EdgeDraws,
        at: Network,
    ) -> tuple[Network, Floats, EdgeCounts]:
        """Propose edges by Newton's steps; return modes (post, pre, basis), too, NaN if unknown."""

    def information(
        self,
        given: Given,
        bias: Floats,
        weights: Floats,
        chosen: NDArray[np.bool_],
        most_bins: int,
    ) -> Metric:
        """Return gradient and Fisher information, with cross terms of the chosen slots."""

    def gradient(
        self, given: Given, bias: Floats, weights: Floats, place: NDArray[np.int64]
    ) -> Floats:
        """Return the gradients (post, 1 + C B) of bias and slots that have a place."""

    def network_gradient(self, given: Given, at: Network) -> NetworkGradient:
        """Return log likelihoods, and their derivatives in biases and present weights."""

    def log_likelihoods(self, given: Given, bias: Floats, weights: Floats) -> Floats:
        """Return the log likelihoods (post,), up to terms of counts and dispersion."""

    def softplus_sums(self, given: Given, bias: Floats, weights: Floats) -> Floats:
        """Return the sums over bins of log(1 + exp psi), (post,)."""

    def mean_history(self) -> Floats:
        """Return the mean of the history over bins, (pre, basis)."""

    def move_paths(
        self, given: Given, plan: PathPlan, draws: PathDraws, at: Network, loadings: Floats
    ) -> tuple[Floats, Floats]:
        """Move paths of shared input; return them (grid,) and acceptance (chunk, factor, 2)."""

    def compare_paths(
        self,
        given: Given,
        change: PathChange,
        at: Network,
        loadings: Floats,
        bounds: NDArray[np.int64],
    ) -> Floats:
        """Return the change of the log likelihood between bounds of bins, (chunk, post)."""
