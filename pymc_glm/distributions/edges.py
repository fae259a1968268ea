"""Presence of edges."""

from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.distributions.dist_math import check_parameters
from pymc.distributions.distribution import SymbolicRandomVariable
from pymc.distributions.shape_utils import rv_size_is_none
from pymc.pytensorf import normalize_rng_param
from pytensor.graph.basic import Apply, Variable
from pytensor.tensor.random.utils import normalize_size_param
from pytensor.tensor.variable import TensorVariable

__all__ = ["Edge", "EdgeRV"]


class EdgeRV(SymbolicRandomVariable):
    """Random variable type of `Edge`."""

    name = "edge"
    extended_signature = "[rng],[size],()->[rng],()"
    _print_name = ("Edge", "\\operatorname{Edge}")

    def update(self, node: Apply) -> dict[Variable, Variable]:
        """Map the random generator's input to its next state."""
        return {node.inputs[0]: node.outputs[0]}

    @classmethod
    def rv_op(cls, p, *, size=None, rng=None):
        """Build the random graph: Bernoulli draws as int8."""
        p = pt.as_tensor(p)
        rng = normalize_rng_param(rng)
        size = normalize_size_param(size)
        next_rng, draw = pt.random.bernoulli(p, size=size, rng=rng, return_next_rng=True)
        return cls(inputs=[rng, size, p], outputs=[next_rng, draw.astype("int8")])(rng, size, p)


class Edge(pm.Discrete):
    r"""Presence of edges, :math:`A_{nm} \sim \mathrm{Bernoulli}(p_{nm})`, stored as int8.

    A Bernoulli variable with a distinct type: PyMC assigns its binary samplers to a
    ``pm.Bernoulli``, and the samplers of this package to an ``Edge``.

    Parameters
    ----------
    p : tensor_like of float, broadcastable to (post, pre)
        Edge probabilities.

    Examples
    --------
    >>> import pymc as pm
    >>> from pymc_glm.distributions import Edge
    >>> pm.draw(Edge.dist(1.0, shape=(2, 2)))
    array([[1, 1],
           [1, 1]], dtype=int8)
    """

    rv_type = EdgeRV
    rv_op = EdgeRV.rv_op

    @classmethod
    def dist(cls, p, **kwargs):
        """Return an unnamed variable."""
        return super().dist([pt.as_tensor(p)], **kwargs)

    def support_point(rv: Any, size: Any, p: Any) -> TensorVariable:  # noqa: D102
        if not rv_size_is_none(size):
            p = pt.full(size, p)
        return pt.switch(p < 0.5, 0, 1).astype("int8")

    def logp(value: Any, p: Any) -> TensorVariable:  # noqa: D102
        return check_parameters(
            pt.switch(
                pt.or_(pt.lt(value, 0), pt.gt(value, 1)),
                -np.inf,
                pt.switch(value, pt.log(p), pt.log(1 - p)),
            ),
            p >= 0,
            p <= 1,
            msg="0 <= p <= 1",
        )
