"""Random variables of the network GLM: edges, weights, biases, covariate weights, block labels.

Each has a distinct type, by which step methods recognise it in the graph of any PyMC model.
"""

from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.distributions.dist_math import check_parameters
from pymc.distributions.distribution import SymbolicRandomVariable
from pymc.distributions.shape_utils import implicit_size_from_params, rv_size_is_none
from pymc.pytensorf import normalize_rng_param
from pytensor.graph.basic import Apply, Variable
from pytensor.tensor.random.basic import NormalRV
from pytensor.tensor.random.utils import normalize_size_param
from pytensor.tensor.variable import TensorVariable

__all__ = [
    "Baseline",
    "BaselineRV",
    "BlockLabels",
    "BlockLabelsRV",
    "CovariateWeights",
    "CovariateWeightsRV",
    "Edge",
    "EdgeRV",
    "SpikeAndSlab",
    "SpikeAndSlabRV",
]


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


class BaselineRV(NormalRV):
    """Random variable type of `Baseline`."""

    _print_name = ("Baseline", "\\operatorname{Baseline}")


class Baseline(pm.Normal):
    r"""Biases, :math:`b_n \sim \mathrm{Normal}(\mu_n, \sigma_n)`, with a distinct type.

    Parameters
    ----------
    mu, sigma : tensor_like of float, broadcastable to (post,)
    tau : tensor_like of float, optional
        Precision, instead of sigma, as in `pymc.Normal`.

    Examples
    --------
    >>> import pymc as pm
    >>> from pymc_glm.distributions import Baseline
    >>> pm.draw(Baseline.dist(-3.0, 1.0, shape=4)).shape
    (4,)
    """

    rv_op = BaselineRV()


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


class BlockLabelsRV(SymbolicRandomVariable):
    """Random variable type of `BlockLabels`."""

    name = "block_labels"
    extended_signature = "[rng],[size],(k),()->[rng],(n)"
    _print_name = ("BlockLabels", "\\operatorname{BlockLabels}")

    def update(self, node: Apply) -> dict[Variable, Variable]:
        """Map the random generator's input to its next state."""
        return {node.inputs[0]: node.outputs[0]}

    @classmethod
    def rv_op(cls, concentration, n, *, size=None, rng=None):
        """Build the random graph: block weights, then a label for each neuron."""
        concentration, n = pt.as_tensor(concentration), pt.as_tensor(n, dtype="int64", ndim=0)
        rng = normalize_rng_param(rng)
        size = normalize_size_param(size)
        batch = tuple(concentration.shape)[:-1] if rv_size_is_none(size) else tuple(size)
        middle_rng, weights = pt.random.dirichlet(
            concentration, size=batch or None, rng=rng, return_next_rng=True
        )
        next_rng, draw = pt.random.categorical(
            weights[..., None, :], size=(*batch, n), rng=middle_rng, return_next_rng=True
        )
        return cls(inputs=[rng, size, concentration, n], outputs=[next_rng, draw])(
            rng, size, concentration, n
        )


class BlockLabels(pm.Discrete):
    r"""Block labels of neurons, with the Dirichlet distributed block weights integrated out.

    .. math::

        \log p(z) = \log\Gamma(\sum_k a_k) - \log\Gamma(\sum_k a_k + N)
        + \sum_k [\log\Gamma(a_k + N_k) - \log\Gamma(a_k)]

    with :math:`N_k` neurons in block k: the Dirichlet-multinomial distribution of a sequence.

    Parameters
    ----------
    concentration : tensor_like of float, shape (block,)
        Concentrations a > 0; below 1 they favour empty blocks.
    n : int
        Number of neurons.

    Examples
    --------
    >>> import numpy as np, pymc as pm
    >>> from pymc_glm.distributions import BlockLabels
    >>> labels = BlockLabels.dist(np.ones(3), 10)
    >>> pm.draw(labels).shape
    (10,)
    >>> all_in_one = pm.logp(BlockLabels.dist(np.ones(2), 2), np.array([0, 0]))
    >>> round(float(np.exp(all_in_one.eval())), 6)
    0.333333
    """

    rv_type = BlockLabelsRV
    rv_op = BlockLabelsRV.rv_op

    @classmethod
    def dist(cls, concentration, n, **kwargs):
        """Return an unnamed variable."""
        return super().dist([pt.as_tensor(concentration), n], **kwargs)

    def support_point(rv: Any, size: Any, concentration: Any, n: Any) -> TensorVariable:  # noqa: D102
        spread = pt.arange(n) % concentration.shape[-1]
        return spread if rv_size_is_none(size) else pt.broadcast_to(spread, (*size, n))

    def logp(value: Any, concentration: Any, n: Any) -> TensorVariable:  # noqa: D102
        blocks = pt.arange(concentration.shape[-1])
        sizes = pt.eq(value[..., :, None], blocks).sum(axis=-2)
        total = concentration.sum(axis=-1)
        density = (
            pt.gammaln(total)
            - pt.gammaln(total + n)
            + (pt.gammaln(concentration + sizes) - pt.gammaln(concentration)).sum(axis=-1)
        )
        inside = pt.all((value >= 0) & (value < concentration.shape[-1]), axis=-1)
        return check_parameters(
            pt.switch(inside, density, -np.inf),
            pt.all(concentration > 0, axis=-1),
            msg="concentration > 0",
        )
