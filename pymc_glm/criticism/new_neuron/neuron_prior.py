"""The prior of a new neuron's bias, edges and weights, from draws of the hyperparameters."""

from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import xarray as xr
from numpy.typing import NDArray
from pymc.pytensorf import compile as pymc_compile
from pytensor.graph.traversal import ancestors
from pytensor.tensor.random.basic import NormalRV
from pytensor.tensor.variable import TensorVariable

from pymc_glm.criticism.posterior import variable
from pymc_glm.distributions import BlockLabelsRV, NeuronSignRV
from pymc_glm.graph.covariate_groups import CovariateTerms
from pymc_glm.graph.evaluate import INTERPRETED
from pymc_glm.graph.find import NetworkVariables
from pymc_glm.graph.prior import PriorFunction
from pymc_glm.kernels.prior import BiasPrior, EdgePrior, NetworkPrior, edge_prior
from pymc_glm.session_prefix import plain_name

__all__ = ["NeuronPrior", "RowPrior", "Values"]

type Values = dict[str, NDArray]  # untransformed hyperparameters by name

_STRIDE = 0.5  # of moves of a neuron's position, in standard deviations of its prior


class RowPrior(NamedTuple):
    """The prior of one neuron's bias, edges and weights; arrays have a first axis of length 1."""

    edges: EdgePrior
    bias: BiasPrior


class NeuronPrior:
    """The prior of bias, edges and weights of one neuron, at draws of the hyperparameters.

    Covariates follow after the pre neurons. The block, sign, latent position or factors of the
    neuron are drawn from their prior given those of the other neurons.

    Parameters
    ----------
    tree : DataTree
        A fit without the neuron.
    model : pymc.Model
        The model with the neuron.
    network : NetworkVariables
        Variables of that model.
    neuron : int
        Index of the neuron in the model.

    Raises
    ------
    ValueError
        Hyperparameters of the model are missing in the tree or have another shape there, or have
        values for single neurons that cannot be drawn for a new neuron.
    """

    def __init__(self, tree: xr.DataTree, model: pm.Model, network: NetworkVariables, neuron: int):
        self._neuron = neuron
        self._lock = Lock()  # compiled graphs are not thread-safe
        self._prior = PriorFunction(model, network)
        self._covariates = None
        if network.covariates is not None:
            self._covariates = CovariateTerms(model, network)
        parameter = network.parameter
        row = (network.bias, network.weights, network.adjacency, parameter, network.covariates)
        drawn = [rv for rv in row if rv is not None]
        above = set(ancestors([i for rv in drawn for i in rv.owner.inputs]))
        needed = [rv for rv in model.free_RVs if rv in above and rv not in drawn]
        self._others = np.delete(np.arange(len(model.coords["post"])), neuron)
        self._conditionals = {
            str(rv.name): _conditional(str(rv.name), rv, needed, neuron)
            for rv in needed
            if _has_values_for_neurons(rv, model)
        }
        self._draws = {str(rv.name): self._drawn_values(tree, rv) for rv in needed}
        self._to_point = _transformed(model, needed)
        self._density: Callable[[float, Values], float] | None = None
        if parameter is not None:
            self._density = _parameter_density(parameter, needed, neuron)

    @property
    def has_structure(self) -> bool:
        """Whether the neuron has a block, latent position or factors to be drawn."""
        return bool(self._conditionals)

    def _drawn_values(self, tree: xr.DataTree, rv: TensorVariable) -> NDArray:
        """Return values of all draws of all chains, (sample, ...)."""
        name = str(rv.name)
        drawn = variable(tree, "posterior", name)
        dims = [d for d in drawn.dims if d not in ("chain", "draw")]
        values = drawn.transpose("chain", "draw", *dims).values
        values = values.reshape(-1, *values.shape[2:])
        shape = _shape(rv)
        if name in self._conditionals:  # the tree has none for the new neuron
            shape = (len(self._others), *shape[1:])
        if values.shape[1:] != shape:
            raise ValueError(
                f"model: its {name!r} has the shape {shape}, without the new neuron, and that of "
                f"the tree {values.shape[1:]}; build it like the model that was fitted, with one "
                "more neuron."
            )
        return values

    def values(self, sample: int, rng: np.random.Generator) -> Values:
        """Return the hyperparameters of a draw, those of the neuron drawn from their prior."""
        found = {name: draws[sample] for name, draws in self._draws.items()}
        for name in self._conditionals:
            others = found[name]
            found[name] = np.insert(others, self._neuron, np.zeros_like(others[0]), axis=0)
        for name, conditional in self._conditionals.items():
            value = found[name].copy()
            value[self._neuron] = conditional(found, value[self._others], None, rng)
            found[name] = value
        return found

    def moved(self, values: Values, rng: np.random.Generator) -> Values:
        """Return values with those of the neuron moved, reversibly under their prior."""
        found = dict(values)
        for name, conditional in self._conditionals.items():
            value = found[name].copy()
            with self._lock:
                value[self._neuron] = conditional(
                    found, value[self._others], value[self._neuron], rng
                )
            found[name] = value
        return found

    def at(self, values: Values) -> RowPrior:
        """Return the prior of the neuron's row."""
        with self._lock:
            point = self._to_point(values)
            full: NetworkPrior = self._prior(point)
            if self._covariates is not None:
                full = self._covariates.join_prior(full, point)
        row = slice(self._neuron, self._neuron + 1)
        of_row = NetworkPrior(
            None if full.log_odds is None else full.log_odds[row],
            full.mean[row],
            full.precision[row],
            full.bias_mean[row],
            full.bias_precision[row],
        )
        return RowPrior(edge_prior(of_row), BiasPrior(of_row.bias_mean, of_row.bias_precision))

    def log_parameter_density(self, parameter: float, values: Values) -> float:
        """Return the log prior density of the log parameter of the observation model."""
        if self._density is None:
            return 0.0
        with self._lock:
            return self._density(parameter, values) + np.log(parameter)


def _shape(rv: TensorVariable) -> tuple[int, ...]:
    static = rv.type.shape
    if None in static:
        static = rv.shape.eval(mode=INTERPRETED)
    return tuple(int(size) for size in static)


def _has_values_for_neurons(rv: TensorVariable, model: pm.Model) -> bool:
    """Return whether a variable has a value for every neuron."""
    dims = model.named_vars_to_dims.get(rv.name) or ()
    return any(plain_name(dim) in ("post", "pre") for dim in dims)


def _conditional(name: Any, rv: TensorVariable, needed: list, neuron: int) -> Callable:
    """Return a function that draws or moves a neuron's value given those of the others.

    Its arguments are the hyperparameters, the values of the other neurons, the present value of the
    neuron (None to draw one), and a generator.
    """
    kind = rv.owner.op
    first, *rest = kind.dist_params(rv.owner)
    if isinstance(kind, BlockLabelsRV):
        at = _function(needed, [first])

        def label(values: Values, others: NDArray, present: Any, rng: np.random.Generator) -> int:
            (concentration,) = at(values)
            weights = concentration + np.bincount(others, minlength=concentration.size)
            return int(rng.choice(concentration.size, p=weights / weights.sum()))

        return label
    if isinstance(kind, NeuronSignRV):
        probability = _function(needed, [pt.broadcast_to(first, rv.shape)])

        def sign(values: Values, others: NDArray, present: Any, rng: np.random.Generator) -> int:
            (p,) = probability(values)
            return 1 if rng.random() < p[neuron] else -1

        return sign
    if isinstance(kind, NormalRV) and rv.type.ndim == 2 and all(first.type.broadcastable):
        both = _function(needed, [first, *rest])

        def position(
            values: Values, others: NDArray, present: Any, rng: np.random.Generator
        ) -> Any:
            mean, sd = (float(np.squeeze(value)) for value in both(values))
            new = rng.standard_normal(others.shape[1])
            if present is None:
                return mean + sd * new
            stride = _STRIDE if rng.random() < 0.5 else 1.0
            return mean + np.sqrt(1 - stride**2) * (present - mean) + stride * sd * new

        return position
    raise ValueError(
        f"model: its {name!r} has a separate value for each neuron, which a fit without the neuron "
        "cannot give; give numbers, or a distribution of a value for all neurons."
    )


def _twins(needed: list, outputs: list) -> tuple[list, list]:
    """Return the random variables on which outputs depend, and inputs that replace them."""
    above = set(ancestors(outputs))
    inputs = [rv for rv in needed if rv in above]
    return inputs, [rv.type(name=f"{rv.name}_given") for rv in inputs]


def _function(needed: list, outputs: list) -> Callable[[Mapping[str, NDArray]], list[NDArray]]:
    """Return a function of the values of random variables, by name."""
    inputs, twins = _twins(needed, outputs)
    compiled = pymc_compile(
        twins,
        [pt.as_tensor(output) for output in outputs],
        mode=INTERPRETED,
        givens=dict(zip(inputs, twins, strict=True)),
    )
    names = [rv.name for rv in inputs]
    return lambda values: compiled(*[np.asarray(values[name]) for name in names])


def _transformed(model: pm.Model, needed: list) -> Callable[[Values], dict[str, NDArray]]:
    """Return a function from values to a point of the model's value variables."""
    outputs = []
    for rv in needed:
        transform = model.rvs_to_transforms[rv]
        outputs.append(
            pt.identity(rv) if transform is None else transform.forward(rv, *rv.owner.inputs)
        )
    names = [model.rvs_to_values[rv].name for rv in needed]
    function = _function(needed, outputs) if needed else lambda values: []
    return lambda values: dict(zip(names, function(values), strict=True))


def _parameter_density(
    parameter: TensorVariable, needed: list, neuron: int
) -> Callable[[float, Values], float]:
    """Return the log prior density of a neuron's parameter of the observation model."""
    given = pt.vector("given")
    inputs, twins = _twins(needed, [parameter])
    density = pymc_compile(
        [given, *twins],
        pm.logp(parameter, given)[neuron],
        mode=INTERPRETED,
        givens=dict(zip(inputs, twins, strict=True)),
    )
    size = _shape(parameter)[0]
    return lambda value, values: float(
        density(np.full(size, value), *[np.asarray(values[rv.name]) for rv in inputs])
    )
