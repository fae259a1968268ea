"""The conditional of the signs of neurons, read from the model's graph."""

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray
from pymc.blocking import PointType
from pytensor.graph.replace import graph_replace
from pytensor.tensor.variable import TensorVariable

from pymc_glm.distributions import EdgeRV, SpikeAndSlabRV
from pymc_glm.graph.evaluate import PointFunction
from pymc_glm.graph.find import children

__all__ = ["SignOdds"]

CHECKED_POINTS = 5


class SignOdds:
    """Log odds that each neuron is excitatory, given everything but the signs.

    Weights and edges, (post, pre), depend on the sign of their pre neuron alone, so that given
    these the signs are independent: log odds of the prior, plus the difference between the log
    densities of the neuron's outgoing weights (and edges) under the two signs.

    Parameters
    ----------
    model : pymc.Model
    signs : TensorVariable
        A `NeuronSign` variable, (pre,).
    point : dict
        Any point, for shapes.
    compile_kwargs : dict, optional
        For ``pymc.pytensorf.compile``.

    Raises
    ------
    ValueError
        The signs are used in another way.
    """

    def __init__(
        self,
        model: pm.Model,
        signs: TensorVariable,
        point: PointType,
        compile_kwargs: dict | None = None,
    ):
        self._name = str(signs.name)
        found = children(signs, model)
        strangers = [
            c
            for c in found
            if c in model.potentials or not isinstance(c.owner.op, EdgeRV | SpikeAndSlabRV)
        ]
        if strangers or not found:
            what = f"{strangers[0].name!r} depends" if strangers else "nothing depends"
            raise self._unknown_use(f"{what} on {self._name!r}")
        value = model.rvs_to_values[signs]
        prior, *outgoing = model.logp(vars=[signs, *found], sum=False)
        density = prior + sum(table.sum(axis=0) for table in outgoing)
        excitatory, inhibitory = (
            graph_replace([density], {value: pt.full_like(value, sign)})[0] for sign in (1, -1)
        )
        self._evaluate = PointFunction(model, [excitatory, inhibitory], compile_kwargs)
        self._check(model, signs, found, point)

    def __call__(self, point: PointType) -> NDArray[np.float64]:
        """Evaluate at a point (names of value variables to arrays), (pre,); infinite if certain."""
        excitatory, inhibitory = self._evaluate(point)
        return excitatory - inhibitory

    def _check(
        self, model: pm.Model, signs: TensorVariable, found: list[TensorVariable], point: PointType
    ) -> None:
        """Raise unless the model's log density changes with random signs by these log odds."""
        rng = np.random.default_rng(0)
        name = model.rvs_to_values[signs].name
        point = point | _random_network(model, found, point, rng)
        density = PointFunction(model, [model.logp(vars=[signs, *found])])
        odds = self(point)
        if odds.shape != point[name].shape:
            raise self._unknown_use(f"the weights are not (post, pre, basis) with {name!r} (pre)")
        free = np.isfinite(odds)
        for _ in range(CHECKED_POINTS):
            one, other = (
                np.where(free & (rng.random(free.size) < 0.5), -point[name], point[name])
                for _ in range(2)
            )
            (first,), (second,) = (
                density(point | {name: drawn.astype(np.int8)}) for drawn in (one, other)
            )
            expected = odds[free] @ (one - other)[free] / 2
            if not np.isclose(first - second, expected, rtol=1e-9, atol=1e-6):
                raise self._unknown_use(
                    f"the model's log density does not depend on {name!r} through the weights of "
                    "each pre neuron alone"
                )

    def _unknown_use(self, what: str) -> ValueError:
        return ValueError(
            f"{what}; SignGibbs only knows {self._name!r} as used by SignedWeights, and would draw "
            "from a wrong conditional. Use that prior, or another step method."
        )


def _random_network(
    model: pm.Model, found: list[TensorVariable], point: PointType, rng: np.random.Generator
) -> PointType:
    """Return random values of the weights and edges that depend on the signs."""
    drawn: dict[str, NDArray] = {}
    for child in found:
        if isinstance(child.owner.op, EdgeRV):
            continue
        adjacency = child.owner.op.dist_params(child.owner)[0]
        name = model.rvs_to_values[child].name
        if adjacency in model.free_RVs:
            present = rng.random(point[name].shape[:2]) < 0.7
            drawn[model.rvs_to_values[adjacency].name] = present.astype(np.int8)
        else:
            (present,) = PointFunction(model, [adjacency])(point)
        drawn[name] = rng.standard_normal(point[name].shape) * (present != 0)[..., None]
    return drawn
