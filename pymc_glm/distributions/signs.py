"""Signs of neurons: excitatory or inhibitory."""

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

__all__ = ["NeuronSign", "NeuronSignRV"]


class NeuronSignRV(SymbolicRandomVariable):
    """Random variable type of `NeuronSign`."""

    name = "neuron_sign"
    extended_signature = "[rng],[size],()->[rng],()"
    _print_name = ("NeuronSign", "\\operatorname{NeuronSign}")

    def update(self, node: Apply) -> dict[Variable, Variable]:
        """Map the random generator's input to its next state."""
        return {node.inputs[0]: node.outputs[0]}

    @classmethod
    def rv_op(cls, p, *, size=None, rng=None):
        """Build the random graph: 1 or -1, as int8."""
        p = pt.as_tensor(p)
        rng = normalize_rng_param(rng)
        size = normalize_size_param(size)
        next_rng, draw = pt.random.bernoulli(p, size=size, rng=rng, return_next_rng=True)
        signs = (2 * draw - 1).astype("int8")
        return cls(inputs=[rng, size, p], outputs=[next_rng, signs])(rng, size, p)


class NeuronSign(pm.Discrete):
    r"""Signs of neurons: 1 (excitatory) with probability p, else -1 (inhibitory), as int8.

    The sign is that of all effects that a neuron has on others (Dale's principle), see
    `SignedWeights`.

    Parameters
    ----------
    p : tensor_like of float, broadcastable to (pre,)
        Probability that a neuron is excitatory.

    Examples
    --------
    >>> import pymc as pm
    >>> from pymc_glm.distributions import NeuronSign
    >>> pm.draw(NeuronSign.dist([1.0, 0.0]))
    array([ 1, -1], dtype=int8)
    """

    rv_type = NeuronSignRV
    rv_op = NeuronSignRV.rv_op

    @classmethod
    def dist(cls, p, **kwargs):
        """Return an unnamed variable."""
        return super().dist([pt.as_tensor(p)], **kwargs)

    def support_point(rv: Any, size: Any, p: Any) -> TensorVariable:  # noqa: D102
        if not rv_size_is_none(size):
            p = pt.full(size, p)
        return pt.switch(p < 0.5, -1, 1).astype("int8")

    def logp(value: Any, p: Any) -> TensorVariable:  # noqa: D102
        return check_parameters(
            pt.switch(
                pt.neq(abs(value), 1),
                -np.inf,
                pt.switch(pt.gt(value, 0), pt.log(p), pt.log(1 - p)),
            ),
            p >= 0,
            p <= 1,
            msg="0 <= p <= 1",
        )
