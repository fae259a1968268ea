"""Block labels of neurons."""

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

__all__ = ["BlockLabels", "BlockLabelsRV"]


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
