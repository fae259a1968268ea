"""What draws of a posterior say of a neuron that the fit has not seen: the prior of its row."""

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
from pymc_glm.distributions import BlockLabelsRV
from pymc_glm.graph.covariate_groups import CovariateTerms
from pymc_glm.graph.evaluate import INTERPRETED
from pymc_glm.graph.find import NetworkVariables
from pymc_glm.graph.prior import PriorFunction
from pymc_glm.kernels.prior import BiasPrior, EdgePrior, NetworkPrior, edge_prior

__all__ = ["NeuronPrior", "RowPrior", "Values"]

type Values = dict[str, NDArray]  # of hyperparameters by name, not transformed

_STRIDE = 0.5  # of moves of a neuron's own place, in standard deviations of its prior


class RowPrior(NamedTuple):
    """The prior of what enters one neuron; arrays have a first axis of length 1."""

    edges: EdgePrior
    bias: BiasPrior


class NeuronPrior:
    """The prior of bias, edges and weights of one neuron, at draws of the hyperparameters.

    Covariates stand after the pre neurons. What the prior knows of the neuron alone, its block or
    its place in a latent space, is drawn from its own prior given the other neurons.

    Parameters
    ----------
    tree : DataTree
        A fit without the neuron.
    model : pymc.Model
        With it.
    network : NetworkVariables
        Of the model.
    neuron : int
        Its place among the post neurons of the model.

    Raises
    ------
    ValueError
        The tree lacks hyperparameters of the model, has them in another shape, or they have values
        for single neurons of a kind that cannot be drawn for a new one.
    """

    def __init__(self, tree: xr.DataTree, model: pm.Model, network: NetworkVariables, neuron: int):
        self._neuron = neuron
        self._lock = Lock()  # compiled graphs serve one thread at a time
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
        self._own = {str(rv.name): rv for rv in needed if _of_neurons(rv, model)}
        self._conditionals = {
            name: _conditional(name, rv, needed) for name, rv in self._own.items()
        }
        self._draws = {str(rv.name): self._drawn_values(tree, rv) for rv in needed}
        self._to_point = _transformed(model, needed)
        self._density: Callable[[float, Values], float] | None = None
        if parameter is not None:
            self._density = _parameter_density(parameter, needed, neuron)

    @property
    def has_place(self) -> bool:
        """Whether the prior knows something of the neuron alone that is to be drawn."""
        return bool(self._own)

    def _drawn_values(self, tree: xr.DataTree, rv: TensorVariable) -> NDArray:
        """Return values of all draws of all chains, (sample, ...)."""
        name = str(rv.name)
        drawn = variable(tree, "posterior", name)
        dims = [d for d in drawn.dims if d not in ("chain", "draw")]
        values = drawn.transpose("chain", "draw", *dims).values
        values = values.reshape(-1, *values.shape[2:])
        shape = _shape(rv)
        if name in self._own:  # without the neuron's
            shape = (len(self._others), *shape[1:])
        if values.shape[1:] != shape:
            raise ValueError(
                f"model: its {name!r} has the shape {shape}, that of the tree "
                f"{values.shape[1:]}; give a model built like the one that was fitted, with "
                "one neuron more."
            )
        return values

    def values(self, sample: int, rng: np.random.Generator) -> Values:
        """Return hyperparameters in a draw, with the neuron's own place drawn from its prior."""
        found = {name: draws[sample] for name, draws in self._draws.items()}
        for name in self._own:
            others = found[name]
            found[name] = np.insert(others, self._neuron, np.zeros_like(others[0]), axis=0)
        for name, conditional in self._conditionals.items():
            own = found[name].copy()
            own[self._neuron] = conditional(found, own[self._others], None, rng)
            found[name] = own
        return found

    def moved(self, values: Values, rng: np.random.Generator) -> Values:
        """Return values with the neuron's own place moved, reversibly under its prior."""
        found = dict(values)
        for name, conditional in self._conditionals.items():
            own = found[name].copy()
            with self._lock:
                own[self._neuron] = conditional(found, own[self._others], own[self._neuron], rng)
            found[name] = own
        return found

    def at(self, values: Values) -> RowPrior:
        """Return the prior of the neuron's row."""
        with self._lock:
            point = self._to_point(values)
            full: NetworkPrior = self._prior(point)
            if self._covariates is not None:
                full = self._covariates.join_prior(full, point)
        row = slice(self._neuron, self._neuron + 1)
        own = NetworkPrior(
            None if full.log_odds is None else full.log_odds[row],
            full.mean[row],
            full.precision[row],
            full.bias_mean[row],
            full.bias_precision[row],
        )
        return RowPrior(edge_prior(own), BiasPrior(own.bias_mean, own.bias_precision))

    def log_parameter_density(self, parameter: float, values: Values) -> float:
        """Return the log prior density of the logarithm of the law's own parameter."""
        if self._density is None:
            return 0.0
        with self._lock:
            return self._density(parameter, values) + np.log(parameter)


def _shape(rv: TensorVariable) -> tuple[int, ...]:
    static = rv.type.shape
    if None in static:
        static = rv.shape.eval(mode=INTERPRETED)
    return tuple(int(size) for size in static)


def _of_neurons(rv: TensorVariable, model: pm.Model) -> bool:
    """Tell whether a variable has values for single neurons."""
    dims = model.named_vars_to_dims.get(rv.name) or ()
    return any(str(dim).rpartition("::")[2] in ("post", "pre") for dim in dims)


def _conditional(name: Any, rv: TensorVariable, needed: list) -> Callable:
    """Return a function that draws a neuron's value given the others', or moves it.

    From values, those of the other neurons, the neuron's own (None: draw it), and a generator.
    """
    kind = rv.owner.op
    first, *rest = kind.dist_params(rv.owner)
    if isinstance(kind, BlockLabelsRV):
        at = _function(needed, [first])

        def label(values: Values, others: NDArray, own: Any, rng: np.random.Generator) -> int:
            (concentration,) = at(values)
            weights = concentration + np.bincount(others, minlength=concentration.size)
            return int(rng.choice(concentration.size, p=weights / weights.sum()))

        return label
    if isinstance(kind, NormalRV) and rv.type.ndim == 2 and all(first.type.broadcastable):
        both = _function(needed, [first, *rest])

        def place(values: Values, others: NDArray, own: Any, rng: np.random.Generator) -> Any:
            mean, sd = (float(np.squeeze(value)) for value in both(values))
            new = rng.standard_normal(others.shape[1])
            if own is None:
                return mean + sd * new
            stride = _STRIDE if rng.random() < 0.5 else 1.0
            return mean + np.sqrt(1 - stride**2) * (own - mean) + stride * sd * new

        return place
    raise ValueError(
        f"model: its {name!r} has values of its own for each neuron, and a fit without the neuron "
        "tells nothing of those; give numbers, or a distribution that serves all neurons."
    )


def _twins(needed: list, outputs: list) -> tuple[list, list]:
    """Return the random variables that outputs depend on, and inputs to stand for them."""
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
    """Return the log prior density of a neuron's own parameter of the law."""
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
