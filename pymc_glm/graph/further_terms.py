"""Self filters and shared input as the kernels see them: slots after those of the couplings."""

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray
from pymc.blocking import PointType

from pymc_glm.distributions.self_weights import GAIN_SPREAD, NO_LIMIT
from pymc_glm.graph.evaluate import INTERPRETED, PointFunction, initial_point_of
from pymc_glm.graph.find import NetworkVariables
from pymc_glm.kernels.further_terms import (
    NO_FURTHER_TERMS,
    FurtherTerms,
    GainLimit,
    SharedPaths,
    self_history,
)
from pymc_glm.kernels.prior import NetworkPrior
from pymc_glm.kernels.spike_filters import Spikes

__all__ = [
    "FurtherCoefficients",
    "further_terms",
    "has_further_terms",
    "largest_delay",
    "with_paths",
]

type Floats = NDArray[np.float64]


def has_further_terms(network: NetworkVariables) -> bool:
    """Return whether a network has self filters or shared input."""
    return network.self_weights is not None or network.loadings is not None


def _root(network: NetworkVariables) -> Floats:
    """Return R, by which self-weights are scale times R times independent normal numbers."""
    return _self_prior(network, 1)


def _self_prior(network: NetworkVariables, which: int) -> Floats:
    """Return a parameter of the prior of self-weights that does not depend on others."""
    parameters = network.self_weights.owner.op.dist_params(network.self_weights.owner)  # type: ignore[union-attr]
    return np.asarray(parameters[which].eval(mode=INTERPRETED), dtype=np.float64)


def _gain_limit(network: NetworkVariables) -> GainLimit:
    """Return the limit of the gain, for coefficients that are multiplied by R."""
    most = float(_self_prior(network, 3))
    bend = 0.0 if most >= NO_LIMIT else GAIN_SPREAD**-2
    return GainLimit(_self_prior(network, 2) @ _root(network), most, bend)


def further_terms(
    model: pm.Model,
    network: NetworkVariables,
    spikes: Spikes,
    data_bins: NDArray | None,
    size: int,
) -> FurtherTerms:
    """Return the self history and the grids of shared input, whose paths are zero.

    Parameters
    ----------
    model : pymc.Model
    network : NetworkVariables
    spikes : Spikes
    data_bins : array of int or None
    size : int
        Coefficients in a slot: the number of basis functions of the couplings.
    """
    past, paths = NO_FURTHER_TERMS
    if network.self_weights is not None:
        basis = network.container(model, "self_basis_functions").get_value(borrow=True)
        limit = _gain_limit(network)
        past = self_history(spikes, basis @ _root(network), size, limit)
    if network.loadings is not None:
        borders = np.append(0, spikes.ends)
        paths = _paths(model, network, borders, data_bins, spikes.start.size - 1)
    return FurtherTerms(past, paths)


def largest_delay(network: NetworkVariables) -> int:
    """Return the largest delay of shared input in bins; 0 if there is none."""
    if network.delays is None:
        return 0
    _, high = network.delays.owner.op.dist_params(network.delays.owner)
    return int(np.max(high.eval(mode=INTERPRETED))) - 1


def _paths(
    model: pm.Model,
    network: NetworkVariables,
    borders: NDArray[np.int64],
    bins: NDArray | None,
    n_posts: int,
) -> SharedPaths:
    """Return the places of each grid point on the axis of time, and of the bins that are data."""
    factor, place, width, bin_width = (
        np.asarray(network.container(model, name).get_value(borrow=True))
        for name in ("grid_factor", "grid_place", "grid_width", "bin_width")
    )
    steps = np.rint(width / bin_width).astype(np.int64)
    margin, n_factors = largest_delay(network), steps.size
    start = np.searchsorted(factor, np.arange(n_factors + 1)).astype(np.int64)
    lengths = np.diff(borders) + 2 * margin
    ends = np.cumsum(lengths)
    segment = np.cumsum(place == 0) - 1
    segment -= np.append(segment, 0)[start[:-1]][factor]  # anew for each factor
    first = (ends - lengths)[segment] + place * steps[factor]
    last = np.minimum(first + steps[factor], ends[segment])
    axis = np.arange(borders[-1])
    axis += margin * (1 + 2 * np.repeat(np.arange(lengths.size), np.diff(borders)))
    if bins is not None:
        axis = axis[bins]
    seen = np.zeros(ends[-1] + 1, np.int64)
    seen[axis + 1] = 1
    none = np.zeros(n_posts, np.int64)
    return SharedPaths(start, first, last, np.zeros(factor.size), none, axis, np.cumsum(seen))


class FurtherCoefficients:
    """Self-weights and loadings in the slots after couplings and covariates.

    Self-weights are stored as independent standard normal numbers times their scale, and the basis
    of the self history is multiplied by R instead, so that the prior of a slot is a normal one of
    its own. Slots that are left over hold normal numbers that are never used.

    Parameters
    ----------
    model : pymc.Model
    network : NetworkVariables
        With self filters or shared input.
    compile_kwargs : dict, optional
    """

    def __init__(
        self, model: pm.Model, network: NetworkVariables, compile_kwargs: dict | None = None
    ):
        start = initial_point_of(model)

        def value(variable):
            return None if variable is None else model.rvs_to_values[variable].name

        self.self_name, self.loadings_name = value(network.self_weights), value(network.loadings)
        self.paths_name, self.delays_name = value(network.factors), value(network.delays)
        n_post, _, self._size = start[value(network.weights)].shape
        self.n_self = start[self.self_name].shape[1] if self.self_name else 0
        self.n_factors = start[self.loadings_name].shape[1] if self.loadings_name else 0
        self._self_slots = -(-self.n_self // self._size)
        self.n_slots = self._self_slots - (-self.n_factors // self._size)
        self._shape = n_post, self.n_slots * self._size
        outputs = []
        if network.self_weights is not None:
            self._root = _root(network)
            scale, *_ = network.self_weights.owner.op.dist_params(network.self_weights.owner)
            outputs.append(pt.broadcast_to(scale.astype("float64") ** -2, (n_post, self.n_self)))
        if network.loadings is not None:
            mean, sigma = network.loadings.owner.op.dist_params(network.loadings.owner)
            shape = (n_post, self.n_factors)
            outputs += [
                pt.broadcast_to(mean.astype("float64"), shape),
                pt.broadcast_to(sigma.astype("float64") ** -2, shape),
            ]
        self._prior = PointFunction(model, outputs, compile_kwargs)

    def _spread(self, white: Floats | None, loadings: Floats | None, fill: Floats) -> Floats:
        """Return self-weights and loadings in their slots of fill (post, slots times basis)."""
        if white is not None:
            fill[:, : self.n_self] = white
        if loadings is not None:
            first = self._self_slots * self._size
            fill[:, first : first + self.n_factors] = loadings
        return fill.reshape(len(fill), self.n_slots, self._size)

    def join(
        self, point: PointType, adjacency: NDArray, weights: Floats, rng: np.random.Generator
    ) -> tuple[NDArray, Floats]:
        """Return adjacency and weights with the further coefficients in the last slots."""
        white = loadings = None
        if self.self_name:
            white = np.linalg.solve(self._root, point[self.self_name].T).T
        if self.loadings_name:
            loadings = point[self.loadings_name]
        slots = self._spread(white, loadings, rng.standard_normal(self._shape))
        certain = np.ones((len(weights), self.n_slots), adjacency.dtype)
        return np.concatenate([adjacency, certain], 1), np.concatenate([weights, slots], 1)

    def split(self, weights: Floats) -> tuple[Floats, dict[str, Floats]]:
        """Return the weights of the other slots, and new values by name."""
        n_others = weights.shape[1] - self.n_slots
        flat = weights[:, n_others:].reshape(len(weights), -1)
        new = {}
        if self.self_name:
            new[self.self_name] = flat[:, : self.n_self] @ self._root.T
        if self.loadings_name:
            new[self.loadings_name] = self.loadings(weights)
        return weights[:, :n_others], new

    def loadings(self, weights: Floats) -> Floats:
        """Return the loadings (post, factor) out of the weights (post, slot, basis)."""
        first = (weights.shape[1] - self.n_slots + self._self_slots) * self._size
        flat = weights.reshape(len(weights), -1)
        return np.ascontiguousarray(flat[:, first : first + self.n_factors])

    def join_prior(self, prior: NetworkPrior, point: PointType) -> NetworkPrior:
        """Return the network prior with that of the further coefficients in the last slots."""
        values = self._prior(point)
        white = values.pop(0) if self.self_name else None
        mean, tau = values if self.loadings_name else (None, None)
        zero = None if white is None else np.zeros_like(white)
        means = self._spread(zero, mean, np.zeros(self._shape))
        diagonal = self._spread(white, tau, np.ones(self._shape))
        log_odds = prior.log_odds
        if log_odds is not None:
            certain = np.full((len(log_odds), self.n_slots), np.inf)
            log_odds = np.concatenate([log_odds, certain], axis=1)
        precisions = diagonal[..., None] * np.eye(self._size)
        return prior._replace(
            log_odds=log_odds,
            mean=np.concatenate([prior.mean, means], axis=1),
            precision=np.concatenate([prior.precision, precisions], axis=1),
        )


def with_paths(
    further: FurtherTerms, values: Floats, delay: NDArray[np.int64] | None = None
) -> FurtherTerms:
    """Return the terms with other paths (grid,) and delays (post,)."""
    delay = further.paths.delay if delay is None else delay
    return further._replace(paths=further.paths._replace(values=values, delay=delay))
