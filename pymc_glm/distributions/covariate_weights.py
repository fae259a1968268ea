"""Weights of covariates."""

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

__all__ = ["CovariateWeights", "CovariateWeightsRV"]


class CovariateWeightsRV(SymbolicRandomVariable):
    """Random variable type of `CovariateWeights`."""

    name = "covariate_weights"
    extended_signature = "[rng],[size],(),(),()->[rng],()"
    _print_name = ("CovariateWeights", "\\operatorname{CovariateWeights}")

    def update(self, node: Apply) -> dict[Variable, Variable]:
        """Map the random generator's input to its next state."""
        return {node.inputs[0]: node.outputs[0]}

    @classmethod
    def rv_op(cls, mask, mu, sigma, *, size=None, rng=None):
        """Build the random graph: Gaussian draws where the mask is true, else 0."""
        mask, mu, sigma = map(pt.as_tensor, (mask, mu, sigma))
        rng = normalize_rng_param(rng)
        size = normalize_size_param(size)
        batch = (
            implicit_size_from_params(mask, mu, sigma, ndims_params=[0, 0, 0])
            if rv_size_is_none(size)
            else size
        )
        next_rng, z = pt.random.normal(size=batch, rng=rng, return_next_rng=True)
        draw = pt.switch(mask, mu + sigma * z, 0.0)
        return cls(inputs=[rng, size, mask, mu, sigma], outputs=[next_rng, draw])(
            rng, size, mask, mu, sigma
        )


class CovariateWeights(pm.Continuous):
    r"""Weights of covariates, :math:`\mathrm{Normal}(\mu, \sigma)`, exactly zero outside a mask.

    Parameters
    ----------
    mask : tensor_like of bool, shape (post, covariate)
        Which neurons a covariate acts on.
    mu, sigma : tensor_like of float, broadcastable to (post, covariate)

    Examples
    --------
    >>> import numpy as np, pymc as pm
    >>> from pymc_glm.distributions import CovariateWeights
    >>> pm.draw(CovariateWeights.dist(np.array([[True, False]]), 2.0, 1e-9)).round(3)
    array([[2., 0.]])
    """

    rv_type = CovariateWeightsRV
    rv_op = CovariateWeightsRV.rv_op

    @classmethod
    def dist(cls, mask, mu, sigma, **kwargs):
        """Return an unnamed variable."""
        return super().dist([mask, mu, sigma], **kwargs)

    def support_point(rv: Any, size: Any, mask: Any, mu: Any, sigma: Any) -> TensorVariable:  # noqa: D102
        start = pt.switch(mask, mu + pt.zeros_like(sigma), 0.0)
        return start if rv_size_is_none(size) else pt.broadcast_to(start, size)

    def logp(value: Any, mask: Any, mu: Any, sigma: Any) -> TensorVariable:  # noqa: D102
        slab = -0.5 * ((value - mu) / sigma) ** 2 - pt.log(sigma) - 0.5 * np.log(2 * np.pi)
        spike = pt.switch(pt.eq(value, 0), 0.0, -np.inf)
        return check_parameters(pt.switch(mask, slab, spike), sigma > 0, msg="sigma > 0")
