"""Weights of the self filter."""

from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.distributions.dist_math import check_parameters
from pymc.distributions.distribution import SymbolicRandomVariable
from pymc.distributions.shape_utils import implicit_size_from_params, rv_size_is_none
from pymc.pytensorf import normalize_rng_param
from pytensor.graph.basic import Apply, Variable
from pytensor.tensor.random.utils import normalize_size_param
from pytensor.tensor.variable import TensorVariable

__all__ = ["SelfWeights", "SelfWeightsRV"]


class SelfWeightsRV(SymbolicRandomVariable):
    """Random variable type of `SelfWeights`."""

    name = "self_weights"
    extended_signature = "[rng],[size],(),(c,c)->[rng],(c)"
    _print_name = ("SelfWeights", "\\operatorname{SelfWeights}")

    def update(self, node: Apply) -> dict[Variable, Variable]:
        """Map the random generator's input to its next state."""
        return {node.inputs[0]: node.outputs[0]}

    @classmethod
    def rv_op(cls, scale, root, *, size=None, rng=None):
        """Build the random graph: scale times root times a normal vector."""
        scale, root = pt.as_tensor(scale), pt.as_tensor(root)
        rng = normalize_rng_param(rng)
        size = normalize_size_param(size)
        batch = (
            implicit_size_from_params(scale, root, ndims_params=[0, 2])
            if rv_size_is_none(size)
            else size
        )
        next_rng, z = pt.random.normal(size=(*batch, root.shape[-1]), rng=rng, return_next_rng=True)
        draw = scale[..., None] * (root * z[..., None, :]).sum(axis=-1)
        return cls(inputs=[rng, size, scale, root], outputs=[next_rng, draw])(
            rng, size, scale, root
        )


class SelfWeights(pm.Continuous):
    r"""Weights of self filters, :math:`w_n \sim \mathrm{Normal}(0, s^2 R R^\top)`.

    Parameters
    ----------
    scale : tensor_like of float
    root : tensor_like, shape (self_basis, self_basis)
        Lower triangular R.

    Examples
    --------
    >>> import numpy as np, pymc as pm
    >>> from pymc_glm.distributions import SelfWeights
    >>> pm.draw(SelfWeights.dist(1.0, np.eye(3), size=4)).shape
    (4, 3)
    """

    rv_type = SelfWeightsRV
    rv_op = SelfWeightsRV.rv_op

    @classmethod
    def dist(cls, scale, root, **kwargs):
        """Return an unnamed variable."""
        return super().dist([scale, root], **kwargs)

    def support_point(rv: Any, size: Any, scale: Any, root: Any) -> TensorVariable:  # noqa: D102
        zero = pt.zeros(root.shape[-1:])
        return zero if rv_size_is_none(size) else pt.zeros((*size, root.shape[-1]))

    def logp(value: Any, scale: Any, root: Any) -> TensorVariable:  # noqa: D102
        inverse = pt.linalg.solve_triangular(root, pt.eye(root.shape[-1]), lower=True)
        z = (inverse * value[..., None, :]).sum(axis=-1) / scale[..., None]
        logarithms = pt.log(pt.diagonal(root, axis1=-2, axis2=-1)).sum(axis=-1)
        size = value.shape[-1]
        constant = size * (pt.log(scale) + 0.5 * np.log(2 * np.pi)) + logarithms
        return check_parameters(-0.5 * (z**2).sum(axis=-1) - constant, scale > 0, msg="scale > 0")
