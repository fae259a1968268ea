"""Trajectories of the weights' hyperparameters that carry all weights with them."""

from typing import Any, NamedTuple, Self

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
from numpy.typing import NDArray
from pymc.blocking import PointType
from pytensor.graph.traversal import ancestors
from pytensor.tensor.variable import TensorVariable
from scipy.linalg import solve_triangular

from pymc_glm.engines import Engine, Given, Network
from pymc_glm.graph.evaluate import PointFunction, initial_point_of
from pymc_glm.graph.find import NetworkVariables, children
from pymc_glm.kernels.fisher import Metric
from pymc_glm.kernels.network_gradient import pulled_back
from pymc_glm.kernels.prior import NetworkPrior

__all__ = ["Interweaving", "InterweavingTuning"]

_MOST_VALUES = 100  # of a hyperparameter; larger ones are left to NetworkNUTS
_MEMORY = 300  # iterations over which the spread of hyperparameters is learned
_FIRST = 0.1  # standard deviation of a hyperparameter, before anything is known
_FIRST_COUNTS = 20  # iterations
_TARGET = 0.8  # acceptance to which steps are tuned
_LENGTH = 1.5  # of a trajectory, in standard deviations
_MOST_STEPS = 6
_LARGEST_STEP = 1.2
_SMALL = 1e-4  # change of a hyperparameter for numerical derivatives of the weights


class InterweavingTuning(NamedTuple):
    """What trajectories have learned."""

    seen: int  # iterations
    tried: int  # trajectories
    mean: NDArray[np.float64]  # (value,): of the hyperparameters, one after the other
    covariance: NDArray[np.float64]  # (value, value)
    step_size: float  # in standard deviations
    lower: NDArray[np.float64] | None  # (value, value): Cholesky factor of the metric

    @classmethod
    def start(cls, values: NDArray) -> Self:
        """Start with nothing learned."""
        return cls(0, 0, values, _FIRST**2 * np.eye(values.size), 0.3, None)

    def see(self, values: NDArray) -> Self:
        """Update mean and covariance of the hyperparameters."""
        away = values - self.mean
        gain = 1.0 / min(self.seen + _FIRST_COUNTS, _MEMORY)
        return self._replace(
            seen=self.seen + 1,
            mean=self.mean + away / min(self.seen + 1, _MEMORY),
            covariance=self.covariance + gain * (np.outer(away, away) - self.covariance),
        )

    def accept(self, acceptance: float) -> Self:
        """Update the step size from the acceptance of a trajectory."""
        larger = self.step_size * np.exp((acceptance - _TARGET) / np.sqrt(1 + self.tried))
        return self._replace(tried=self.tried + 1, step_size=float(min(larger, _LARGEST_STEP)))


class _Place(NamedTuple):
    """A point of a trajectory."""

    values: NDArray[np.float64]  # (value,)
    bias: NDArray[np.float64]
    weights: NDArray[np.float64]
    log_density: float
    gradient: NDArray[np.float64]  # (value,)


class Interweaving:
    """Hamiltonian trajectories of hyperparameters that affect the weights alone, and all weights.

    If the spikes say less about each weight than its prior does, mean and scale hardly move given
    the weights, but they do given the whitened weights, z = Q (w - mean) with Q'Q the slab
    precision; the two are interwoven [1]_. Biases change so that mean activations stay.

    Parameters
    ----------
    model : pymc.Model
    network : NetworkVariables
    engine : Engine
    compile_kwargs : dict, optional

    References
    ----------
    .. [1] Yu & Meng (2011), J. Comput. Graph. Statist. 20:531.
    """

    def __init__(
        self,
        model: pm.Model,
        network: NetworkVariables,
        engine: Engine,
        compile_kwargs: dict | None = None,
    ):
        self._engine = engine
        start = initial_point_of(model)
        self._shapes = {
            value.name: start[value.name].shape
            for rv in model.free_RVs
            if _shapes_weights_alone(rv, network, model)
            and start[(value := model.rvs_to_values[rv]).name].size <= _MOST_VALUES
        }
        self._n_pre = start[model.rvs_to_values[network.weights].name].shape[1]
        if self._shapes:
            self._compile(model, network, compile_kwargs)

    def condition_on_data(self) -> None:
        """Compute the mean history of the engine's data, by which biases follow."""
        if self._shapes:
            self._mean_history = self._engine.mean_history()[: self._n_pre]

    @property
    def names(self) -> list[str]:
        """Names of the values that move, empty if there are none."""
        return list(self._shapes)

    def _compile(self, model: pm.Model, network: NetworkVariables, options: dict | None) -> None:
        _, mean, whitening = network.weights.owner.op.dist_params(network.weights.owner)
        shape = initial_point_of(model)[model.rvs_to_values[network.weights].name].shape
        weights, z, slope = (pt.tensor(name, shape=shape) for name in ("weights", "z", "slope"))
        whitened = (whitening * (weights - mean)[..., None, :]).sum(axis=-1)
        carried = mean + _solve_lower(whitening, z)
        whitened, carried = model.replace_rvs_by_values([whitened, carried])
        values = [v for v in model.value_vars if v.name in self._shapes]
        shapers = [model.values_to_rvs[v] for v in values]
        factors = {f for rv in shapers for f in children(rv, model)} - {network.weights}
        terms = [v for v in model.basic_RVs + model.potentials if v in factors | {*shapers}]
        log_prior = model.logp(vars=terms, jacobian=True)
        gradient: Any = pytensor.grad((slope * carried).sum() + log_prior, values)
        self.whiten = PointFunction(model, [whitened], options, extra=[weights])
        self._carry = PointFunction(model, [carried, log_prior], options, extra=[z])
        self._pull_back = PointFunction(model, gradient, options, extra=[z, slope])

    def values_at(self, point: PointType) -> NDArray:
        """Return the hyperparameters of a point, one after the other."""
        return np.concatenate([np.ravel(point[name]) for name in self._shapes])

    def named(self, values: NDArray) -> PointType:
        """Return the hyperparameters by name."""
        sizes = [np.prod(shape, dtype=int) for shape in self._shapes.values()]
        parts = np.split(values, np.cumsum(sizes))[:-1]
        return {
            name: part.reshape(shape)
            for (name, shape), part in zip(self._shapes.items(), parts, strict=True)
        }

    def _with(self, point: PointType, values: NDArray) -> PointType:
        """Return the point with other hyperparameters."""
        return point | self.named(values)

    def learn_metric(
        self,
        tuning: InterweavingTuning,
        metric: Metric,
        point: PointType,
        adjacency: NDArray,
        weights: NDArray,
    ) -> InterweavingTuning:
        """Return the tuning with a metric, from Fisher information and learned covariance.

        It stays as it is if the information is not finite, as at a start far from the posterior.
        """
        values = self.values_at(point)
        (z,) = self.whiten(point, weights)
        present = adjacency[:, :, None] != 0
        changes = np.empty((values.size, *weights.shape))
        for i in range(values.size):
            low, high = (
                self._carry(self._with(point, values + sign * _SMALL * np.eye(values.size)[i]), z)
                for sign in (-1, 1)
            )
            changes[i] = np.where(present, (high[0] - low[0]) / (2 * _SMALL), 0.0)
        bias_changes = -np.einsum("inmb,mb->in", changes, self._mean_history)
        with np.errstate(all="ignore"):  # overflows where the coefficients explain no spikes
            information = pulled_back(metric, adjacency, bias_changes, changes)
        if not np.isfinite(information).all():
            return tuning
        lower = np.linalg.cholesky(information + np.linalg.inv(tuning.covariance))
        return tuning._replace(lower=lower)

    def run(
        self,
        tuning: InterweavingTuning,
        given: Given,
        point: PointType,
        prior: NetworkPrior,
        network: Network,
        rng: np.random.Generator,
    ) -> tuple[PointType, Network, float]:
        """Follow one trajectory.

        Parameters
        ----------
        tuning : InterweavingTuning
            With a metric.
        given : Given
        point : dict
            Values of the model's variables.
        prior : NetworkPrior
            Only that of the biases is used.
        network : Network
            The weights of covariates, after those of the neurons, stay.
        rng : numpy.random.Generator

        Returns
        -------
        dict
            New values of the hyperparameters.
        Network
            With new biases and weights.
        float
            Probability of acceptance.
        """
        values = self.values_at(point)
        (z,) = self.whiten(point, network.weights[:, : network.bias.size])
        place = (given, point, prior, z, network)
        here = self.look(values, *place)
        momentum = rng.standard_normal(values.size)
        energy = 0.5 * momentum @ momentum - here.log_density
        step = tuning.step_size * rng.uniform(0.8, 1.2)
        n_steps = int(np.clip(np.rint(_LENGTH / tuning.step_size), 1, _MOST_STEPS))
        with np.errstate(all="ignore"):  # overflow after too long a step is rejected
            for _ in range(n_steps):
                momentum += 0.5 * step * self._scaled(tuning, here.gradient)
                moved = solve_triangular(tuning.lower, momentum, lower=True, trans=1)
                here = self.look(here.values + step * moved, *place)
                momentum += 0.5 * step * self._scaled(tuning, here.gradient)
                if not np.isfinite(momentum).all():
                    return {}, network, 0.0
            energy -= 0.5 * momentum @ momentum - here.log_density
        acceptance = float(np.exp(np.minimum(energy, 0.0))) if np.isfinite(energy) else 0.0
        if rng.random() >= acceptance:
            return {}, network, acceptance
        moved_network = network._replace(bias=here.bias, weights=here.weights)
        return self.named(here.values), moved_network, acceptance

    @staticmethod
    def _scaled(tuning: InterweavingTuning, gradient: NDArray) -> NDArray:
        """Return the gradient in the coordinates in which the metric is the identity."""
        return solve_triangular(tuning.lower, gradient, lower=True, check_finite=False)

    def look(
        self,
        values: NDArray,
        given: Given,
        point: PointType,
        prior: NetworkPrior,
        z: NDArray,
        network: Network,
    ) -> _Place:
        """Return the place at other hyperparameters, with bias and weights carried there."""
        bias, adjacency, weights = network
        here = self._with(point, values)
        n_pre = bias.size
        present = adjacency[:, :n_pre, None] != 0
        pairs, log_prior = self._carry(here, z)
        pairs = np.where(present, pairs, 0.0)
        carried = np.concatenate([pairs, weights[:, n_pre:]], axis=1)
        change = pairs - weights[:, :n_pre]
        moved = bias - np.einsum("nmb,mb->n", change, self._mean_history)
        likely = self._engine.network_gradient(given, Network(moved, adjacency, carried))
        away = prior.bias_precision * (moved - prior.bias_mean)
        log_prior = log_prior - 0.5 * (away * (moved - prior.bias_mean)).sum()
        log_density = likely.value.sum() + log_prior
        in_bias = (likely.bias - away)[:, None, None]
        gradient = likely.weights[:, :n_pre] - in_bias * self._mean_history
        gradient = np.where(present, gradient, 0.0)
        slopes = self._pull_back(here, z, gradient)
        flat = np.concatenate([np.ravel(slope) for slope in slopes])
        return _Place(values, moved, carried, float(log_density), flat)


def _solve_lower(lower: TensorVariable, vector: TensorVariable) -> TensorVariable:
    """Solve lower x = vector by elementwise operations, for very many small systems."""
    parts: list[TensorVariable] = []
    for b in range(vector.type.shape[-1]):
        rest = vector[..., b] - sum(lower[..., b, c] * part for c, part in enumerate(parts))
        parts.append(rest / lower[..., b, b])
    return pt.stack(parts, axis=-1)


def _shapes_weights_alone(
    variable: TensorVariable, network: NetworkVariables, model: pm.Model
) -> bool:
    """Return whether a variable affects edges, biases and counts through the weights alone."""
    if not variable.dtype.startswith("float") or variable in (network.bias, network.weights):
        return False
    leads = children(variable, model)
    return network.weights in ancestors(leads) and all(
        child is network.weights
        or child in model.potentials
        or (child in model.free_RVs and _shapes_weights_alone(child, network, model))
        for child in leads
    )
