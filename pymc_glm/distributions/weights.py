"""Weights that are exactly zero where there is no edge."""

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

__all__ = ["SpikeAndSlab", "SpikeAndSlabRV"]


class SpikeAndSlabRV(SymbolicRandomVariable):
    """Random variable type of `SpikeAndSlab`."""

    name = "spike_and_slab"
    extended_signature = "[rng],[size],(),(b),(b,b)->[rng],(b)"
    _print_name = ("SpikeAndSlab", "\\operatorname{SpikeAndSlab}")

    def update(self, node: Apply) -> dict[Variable, Variable]:
        """Map the random generator's input to its next state."""
        return {node.inputs[0]: node.outputs[0]}

    @classmethod
    def rv_op(cls, adjacency, mean, whitening, *, size=None, rng=None):
        """Build the random graph: Gaussian draws where there is an edge, else 0."""
        adjacency, mean, whitening = map(pt.as_tensor, (adjacency, mean, whitening))
        rng = normalize_rng_param(rng)
        size = normalize_size_param(size)
        batch = (
            implicit_size_from_params(adjacency, mean, whitening, ndims_params=[0, 1, 2])
            if rv_size_is_none(size)
            else size
        )
        next_rng, z = pt.random.normal(size=(*batch, mean.shape[-1]), rng=rng, return_next_rng=True)
        slab = mean + pt.linalg.solve_triangular(whitening, z, lower=True, b_ndim=1)
        draw = pt.switch(pt.neq(adjacency[..., None], 0), slab, 0.0)
        return cls(
            inputs=[rng, size, adjacency, mean, whitening],
            outputs=[next_rng, draw],
        )(rng, size, adjacency, mean, whitening)


class SpikeAndSlab(pm.Continuous):
    r"""Weights that are exactly zero where there is no edge and Gaussian where there is one.

    .. math::

        w \mid A = 0 \sim \delta_0, \qquad
        w \mid A = 1 \sim \mathrm{Normal}(\mathrm{mean}, (Q^\top Q)^{-1})

    Parameters
    ----------
    adjacency : tensor_like of int, shape (post, pre)
        1 where there is an edge; an `Edge` variable or constants.
    mean : tensor_like, shape (..., basis)
        Slab means, broadcastable to (post, pre, basis).
    whitening : tensor_like, shape (..., basis, basis)
        Lower triangular Q, the inverse of the Cholesky factor of the slab covariance.

    Notes
    -----
    The log density is taken with respect to the Lebesgue measure plus an atom at zero. With an edge
    it is the slab's; without one it is 0 for a weight of zero and -inf for any other.

    Examples
    --------
    >>> import numpy as np, pymc as pm
    >>> from pymc_glm.distributions import SpikeAndSlab
    >>> w = SpikeAndSlab.dist(np.zeros((2, 2), int), np.ones(3), np.eye(3))
    >>> float(abs(pm.draw(w)).sum()), w.type.ndim
    (0.0, 3)
    """

    rv_type = SpikeAndSlabRV
    rv_op = SpikeAndSlabRV.rv_op

    @classmethod
    def dist(cls, adjacency, mean, whitening, **kwargs):
        """Return an unnamed variable."""
        return super().dist([adjacency, mean, whitening], **kwargs)

    def support_point(  # noqa: D102
        rv: Any, size: Any, adjacency: Any, mean: Any, whitening: Any
    ) -> TensorVariable:
        start = pt.switch(pt.neq(adjacency[..., None], 0), mean, 0.0)
        return start if rv_size_is_none(size) else pt.broadcast_to(start, (*size, mean.shape[-1]))

    def logp(  # noqa: D102
        value: Any, adjacency: Any, mean: Any, whitening: Any
    ) -> TensorVariable:
        # Products and sums: B is small, and batched solves would dominate the cost of NUTS.
        white = (whitening * (value - mean)[..., None, :]).sum(axis=-1)
        diagonal = pt.diagonal(whitening, axis1=-2, axis2=-1)
        slab = (pt.log(diagonal) - 0.5 * white**2 - 0.5 * np.log(2 * np.pi)).sum(axis=-1)
        spike = pt.switch(pt.all(pt.eq(value, 0), axis=-1), 0.0, -np.inf)
        return check_parameters(
            pt.switch(pt.neq(adjacency, 0), slab, spike),
            pt.all(diagonal > 0, axis=-1),
            msg="diagonal of whitening > 0",
        )
