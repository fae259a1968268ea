"""Log densities of counts, one post neuron at a time."""

from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pymc_glm.criticism.one_step import ObservedData, PostDraws, post_draws
from pymc_glm.graph.threads import Threads
from pymc_glm.kernels.likelihood import CUSTOM
from pymc_glm.kernels.pointwise import (
    Coupling,
    DrawnLikelihood,
    Events,
    Groups,
    coupling_of,
    events_of,
    self_past_of,
    write_log_densities,
    write_loo,
)
from pymc_glm.observations import Bernoulli

__all__ = ["Densities", "Drawn"]

type Floats = NDArray[np.float64]


class Drawn(NamedTuple):
    """Parameters of one post neuron in several draws, as the kernels take them."""

    coupling: Coupling
    likelihood: DrawnLikelihood
    counts: NDArray  # (time,)


class Densities:
    """The log density of each bin in each draw, computed on demand.

    Parameters
    ----------
    tree : DataTree
    data : ObservedData
        Data to be predicted with the parameters in the tree.
    threads : int, optional
        All cores by default; the results do not depend on it.

    Raises
    ------
    TypeError, ValueError
        See `variable`.
    """

    def __init__(self, tree: xr.DataTree, data: ObservedData, threads: int | None = None):
        self.tree, self.data, self.threads = tree, data, threads
        sizes = tree["posterior"].sizes
        self.shape = int(sizes["chain"]), int(sizes["draw"])
        self.events: Events = events_of(data.counts, data.basis, data.starts)
        known = data.covariates
        self._covariates = np.zeros((len(data.counts), 0)) if known is None else known
        self._values = np.unique(data.counts).astype(float) if data.observation.whole else None
        self._likelihoods: dict[float, DrawnLikelihood] = {}  # by parameter
        self._threads: dict[int, Threads] = {}

    @property
    def n_draws(self) -> int:
        """Number of draws in all chains."""
        return self.shape[0] * self.shape[1]

    def draws_of(self, post: int, samples: NDArray[np.intp] | None = None) -> PostDraws:
        """Return the parameters of one post neuron in some draws, all by default.

        Draws are counted chain after chain.
        """
        samples = np.arange(self.n_draws) if samples is None else samples
        chains, draws = np.divmod(samples, self.shape[1])
        return post_draws(self.tree, self.data.observation, post, chains, draws)

    def drawn(self, post: int, draws: PostDraws | None = None) -> Drawn:
        """Return the parameters of one post neuron, by default in all draws."""
        draws = self.draws_of(post) if draws is None else draws
        counts = np.ascontiguousarray(self.data.counts[:, post])
        past = None
        if self.data.self_basis is not None and draws.self_weights is not None:
            past = self_past_of(counts, self.data.self_basis, draws.self_weights)
        coupling = coupling_of(draws.bias, draws.weights, draws.covariate_weights, past)
        return Drawn(coupling, self._likelihood(draws.parameter, counts), counts)

    def _likelihood(self, parameter: Floats, counts: NDArray) -> DrawnLikelihood:
        """Return the likelihood with a parameter (draw,); a constant one is cached."""
        n = parameter.size
        if (parameter != parameter[0]).any():
            return self._drawn_likelihood(parameter, counts, n)
        value = float(parameter[0])
        if self._values is None:
            return self._drawn_likelihood(value, counts, n)
        if value not in self._likelihoods:
            self._likelihoods[value] = self._drawn_likelihood(value, counts, n)
        cached = self._likelihoods[value]
        return cached._replace(dispersion=np.full(n, cached.dispersion[0]))

    def _drawn_likelihood(
        self, parameter: float | Floats, counts: NDArray, n: int
    ) -> DrawnLikelihood:
        observation = self.data.observation
        seen = self._values if self._values is not None else np.unique(counts)
        given = observation.with_parameter(parameter)
        likelihood = given.likelihood(np.repeat(seen[None], np.size(parameter), axis=0))
        # Values of traces rarely repeat; only custom densities need a table of them.
        tabulated = self._values is not None or likelihood.family == CUSTOM
        values = seen if tabulated else np.empty(0)
        constant = observation.log_constant(values if values.size else np.zeros(1), parameter)
        return DrawnLikelihood(
            likelihood.family,
            np.array(np.broadcast_to(likelihood.dispersion, (n,))),
            likelihood.slope,
            likelihood.density,
            values,
            np.ascontiguousarray(constant, dtype=float),
        )

    def write(self, drawn: Drawn, groups: Groups, out: NDArray, in_thread: bool = False) -> None:
        """Write the log density of each group of bins, (group, draw).

        Parameters
        ----------
        drawn : Drawn
        groups : Groups
        out : array, shape (group, draw)
        in_thread : bool
            Whether the caller is one of several threads, so that no more are started.
        """

        def run(which: tuple[int, int]) -> None:
            write_log_densities(self.events, *drawn, self._covariates, groups, which, out)

        if in_thread:
            run((0, groups.n_groups))
        else:
            self._over(groups.n_groups).over_posts(run)

    def leave_out(self, drawn: Drawn, groups: Groups, n_tail: int) -> Floats:
        """Return elpd, Pareto k and log predictive density of each group, (group, 3)."""
        out = np.empty((groups.n_groups, 3))
        bernoulli = self.data.observation is Bernoulli

        def run(which: tuple[int, int]) -> None:
            write_loo(self.events, *drawn, self._covariates, groups, which, n_tail, bernoulli, out)

        self._over(groups.n_groups).over_posts(run)
        return out

    def _over(self, n_groups: int) -> Threads:
        """Return threads over groups, cached as starting them takes a while."""
        if n_groups not in self._threads:
            self._threads[n_groups] = Threads(self.threads, n_groups)
        return self._threads[n_groups]
