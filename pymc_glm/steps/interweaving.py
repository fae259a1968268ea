"""Trajectories of the weights' hyperparameters that carry all weights along."""

from typing import NamedTuple, Self

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
from numpy.typing import NDArray
from pymc.blocking import PointType
from pymc.pytensorf import compile as pymc_compile
from pytensor.graph.traversal import ancestors
from pytensor.tensor.variable import TensorVariable
from scipy.linalg import solve_triangular

from pymc_glm.graph.data import SpikeData
from pymc_glm.graph.evaluate import INTERPRETED
from pymc_glm.graph.find import NetworkVariables, children
from pymc_glm.graph.threads import Threads
from pymc_glm.kernels.fisher import Metric
from pymc_glm.kernels.noncentred import mean_history, network_gradient, pulled_back
from pymc_glm.kernels.prior import NetworkPrior

__all__ = ["Interweaving", "InterweavingTuning"]

_MOST_VALUES = 100  # of a hyperparameter; those of many neurons are left to NetworkNUTS
_MEMORY = 300  # iterations over which the spread of hyperparameters is learned
_FIRST = 0.1  # standard deviation of a hyperparameter before anything is known
_FIRST_COUNTS = 20  # iterations
_TARGET = 0.8  # acceptance that steps are tuned for
_LENGTH = 1.5  # of a trajectory, in standard deviations
_MOST_STEPS = 6
_LARGEST_STEP = 1.2
_SMALL = 1e-4  # change of a hyperparameter by which derivatives of the weights are found


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
        """Begin with nothing learned."""
        return cls(0, 0, values, _FIRST**2 * np.eye(values.size), 0.3, None)

    def see(self, values: NDArray) -> Self:
        """Learn where the hyperparameters are."""
        away = values - self.mean
        gain = 1.0 / min(self.seen + _FIRST_COUNTS, _MEMORY)
        return self._replace(
            seen=self.seen + 1,
            mean=self.mean + away / min(self.seen + 1, _MEMORY),
            covariance=self.covariance + gain * (np.outer(away, away) - self.covariance),
        )

    def accept(self, acceptance: float) -> Self:
        """Learn from the acceptance of a trajectory."""
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
    """Hamiltonian trajectories of hyperparameters that shape the weights alone, and all weights.

    Where the spikes tell less of each weight than its prior does, mean and scale hardly move given
    the weights, but do given the weights in units of their prior, z = Q (w - mean) with Q'Q the
    slab precision; the two are interweaved [1]_. Biases go along so that mean activations stay.

    Parameters
    ----------
    model : pymc.Model
    network : NetworkVariables
    threads : Threads
    data : SpikeData
    compile_kwargs : dict, optional

    References
    ----------
    .. [1] Yu & Meng (2011), J. Comput. Graph. Statist. 20:531.
    """

    def __init__(
        self,
        model: pm.Model,
        network: NetworkVariables,
        threads: Threads,
        data: SpikeData,
        compile_kwargs: dict | None = None,
    ):
        self._threads = threads
        start = model.initial_point(0)
        self._shapes = {
            value.name: start[value.name].shape
            for rv in model.free_RVs
            if _shapes_weights_alone(rv, network, model)
            and start[(value := model.rvs_to_values[rv]).name].size <= _MOST_VALUES
        }
        if self._shapes:
            n_pre = start[model.rvs_to_values[network.weights].name].shape[1]
            self._mean_history = mean_history(data.history)[:n_pre]
            self._compile(model, network, {"mode": INTERPRETED} | (compile_kwargs or {}))

    @property
    def names(self) -> list[str]:
        """Names of the values that move, empty if there are none."""
        return list(self._shapes)

    def _compile(self, model: pm.Model, network: NetworkVariables, options: dict) -> None:
        _, mean, whitening = network.weights.owner.op.dist_params(network.weights.owner)
        shape = model.initial_point(0)[model.rvs_to_values[network.weights].name].shape
        weights, z, slope = (pt.tensor(name, shape=shape) for name in ("weights", "z", "slope"))
        whitened = (whitening * (weights - mean)[..., None, :]).sum(axis=-1)
        carried = mean + _solve_lower(whitening, z)
        whitened, carried = model.replace_rvs_by_values([whitened, carried])
        values = [v for v in model.value_vars if v.name in self._shapes]
        shapers = [model.values_to_rvs[v] for v in values]
        factors = {f for rv in shapers for f in children(rv, model)} - {network.weights}
        terms = [v for v in model.basic_RVs + model.potentials if v in factors | {*shapers}]
        log_prior = model.logp(vars=terms, jacobian=True)
        gradient = pytensor.grad((slope * carried).sum() + log_prior, values)
        inputs = [v for v in model.value_vars if v in ancestors([carried, log_prior])]
        self._inputs = [v.name for v in inputs]
        options = {"trust_input": True, "on_unused_input": "ignore"} | options
        self._whiten = pymc_compile([*inputs, weights], whitened, **options)
        self._carry = pymc_compile([*inputs, z], [carried, log_prior], **options)
        self._pull_back = pymc_compile([*inputs, z, slope], gradient, **options)

    def values_at(self, point: PointType) -> NDArray:
        """Return the hyperparameters of a point, one after the other."""
        return np.concatenate([np.ravel(point[name]) for name in self._shapes])

    def _named(self, values: NDArray) -> PointType:
        """Return the hyperparameters by name."""
        sizes = [np.prod(shape, dtype=int) for shape in self._shapes.values()]
        parts = np.split(values, np.cumsum(sizes))[:-1]
        return {
            name: part.reshape(shape)
            for (name, shape), part in zip(self._shapes.items(), parts, strict=True)
        }

    def _given(self, point: PointType, values: NDArray) -> list[NDArray]:
        """Return what the compiled functions take."""
        here = point | self._named(values)
        return [here[name] for name in self._inputs]

    def learn_metric(
        self,
        tuning: InterweavingTuning,
        metric: Metric,
        point: PointType,
        adjacency: NDArray,
        weights: NDArray,
    ) -> InterweavingTuning:
        """Return the tuning with a metric: what the spikes tell here, and what was seen so far."""
        values = self.values_at(point)
        z = self._whiten(*self._given(point, values), weights)
        present = adjacency[:, :, None] != 0
        changes = np.empty((values.size, *weights.shape))
        for i in range(values.size):
            low, high = (
                self._carry(*self._given(point, values + sign * _SMALL * np.eye(values.size)[i]), z)
                for sign in (-1, 1)
            )
            changes[i] = np.where(present, (high[0] - low[0]) / (2 * _SMALL), 0.0)
        bias_changes = -np.einsum("inmb,mb->in", changes, self._mean_history)
        told = pulled_back(metric, adjacency, bias_changes, changes)
        lower = np.linalg.cholesky(told + np.linalg.inv(tuning.covariance))
        return tuning._replace(lower=lower)

    def run(
        self,
        tuning: InterweavingTuning,
        data: SpikeData,
        point: PointType,
        prior: NetworkPrior,
        bias: NDArray,
        adjacency: NDArray,
        weights: NDArray,
        rng: np.random.Generator,
    ) -> tuple[PointType, float]:
        """Go along one trajectory.

        Parameters
        ----------
        tuning : InterweavingTuning
            With a metric.
        data : SpikeData
        point : dict
            Values of the model's variables.
        prior : NetworkPrior
            Of the biases.
        bias : array, shape (post,)
            Changed in place.
        adjacency : array of int8, shape (post, pre)
            After the neurons, groups of covariates, whose weights stay.
        weights : array, shape (post, pre, basis)
            Changed in place.
        rng : numpy.random.Generator

        Returns
        -------
        dict
            New values of the hyperparameters.
        float
            Probability of acceptance.
        """
        values = self.values_at(point)
        z = self._whiten(*self._given(point, values), weights[:, : bias.size])
        place = (data, point, prior, z, bias, adjacency, weights)
        here = self._look(values, *place)
        momentum = rng.standard_normal(values.size)
        energy = 0.5 * momentum @ momentum - here.log_density
        step = tuning.step_size * rng.uniform(0.8, 1.2)
        n_steps = int(np.clip(np.rint(_LENGTH / tuning.step_size), 1, _MOST_STEPS))
        with np.errstate(all="ignore"):  # what a step too long overflows is rejected
            for _ in range(n_steps):
                momentum += 0.5 * step * self._scaled(tuning, here.gradient)
                moved = solve_triangular(tuning.lower, momentum, lower=True, trans=1)
                here = self._look(here.values + step * moved, *place)
                momentum += 0.5 * step * self._scaled(tuning, here.gradient)
                if not np.isfinite(momentum).all():
                    return {}, 0.0
            energy -= 0.5 * momentum @ momentum - here.log_density
        acceptance = float(np.exp(np.minimum(energy, 0.0))) if np.isfinite(energy) else 0.0
        if rng.random() >= acceptance:
            return {}, acceptance
        bias[:], weights[:] = here.bias, here.weights
        return self._named(here.values), acceptance

    @staticmethod
    def _scaled(tuning: InterweavingTuning, gradient: NDArray) -> NDArray:
        """Return the gradient in the coordinates in which the metric is the identity."""
        return solve_triangular(tuning.lower, gradient, lower=True, check_finite=False)

    def _look(
        self,
        values: NDArray,
        data: SpikeData,
        point: PointType,
        prior: NetworkPrior,
        z: NDArray,
        bias: NDArray,
        adjacency: NDArray,
        weights: NDArray,
    ) -> _Place:
        """Carry bias and weights along from where they are, and evaluate."""
        given = self._given(point, values)
        n_pre = bias.size
        present = adjacency[:, :n_pre, None] != 0
        pairs, log_prior = self._carry(*given, z)
        pairs = np.where(present, pairs, 0.0)
        carried = np.concatenate([pairs, weights[:, n_pre:]], axis=1)
        change = pairs - weights[:, :n_pre]
        moved = bias - np.einsum("nmb,mb->n", change, self._mean_history)
        value, bias_gradient, slope = np.empty_like(bias), np.empty_like(bias), carried.copy()
        self._threads.over_posts(
            network_gradient, *data, moved, adjacency, carried, value, bias_gradient, slope
        )
        away = prior.bias_precision * (moved - prior.bias_mean)
        log_density = value.sum() + log_prior - 0.5 * (away * (moved - prior.bias_mean)).sum()
        gradient = slope[:, :n_pre] - (bias_gradient - away)[:, None, None] * self._mean_history
        gradient = np.where(present, gradient, 0.0)
        slopes = self._pull_back(*given, z, gradient)
        flat = np.concatenate([np.ravel(slope) for slope in slopes])
        return _Place(values, moved, carried, float(log_density), flat)


def _solve_lower(lower: TensorVariable, vector: TensorVariable) -> TensorVariable:
    """Solve lower x = vector by elementwise operations: small systems, very many."""
    parts: list[TensorVariable] = []
    for b in range(vector.type.shape[-1]):
        rest = vector[..., b] - sum(lower[..., b, c] * part for c, part in enumerate(parts))
        parts.append(rest / lower[..., b, b])
    return pt.stack(parts, axis=-1)


def _shapes_weights_alone(
    variable: TensorVariable, network: NetworkVariables, model: pm.Model
) -> bool:
    """Tell whether all that a variable does to edges, biases and counts is through the weights."""
    if not variable.dtype.startswith("float") or variable in (network.bias, network.weights):
        return False
    leads = children(variable, model)
    return network.weights in ancestors(leads) and all(
        child is network.weights
        or child in model.potentials
        or (child in model.free_RVs and _shapes_weights_alone(child, network, model))
        for child in leads
    )
