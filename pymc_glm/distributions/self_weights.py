"""Weights of the self filter."""

from typing import Any, NamedTuple

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

__all__ = ["GAIN_SPREAD", "NO_LIMIT", "SelfWeights", "SelfWeightsRV"]

GAIN_SPREAD = 0.1  # standard deviation of the gain above its limit
NO_LIMIT = 1e6  # a limit that no gain reaches


class _Gain(NamedTuple):
    """The gain g of a filter before its limit m: normal, with standard deviation s.

    Its density falls above m as exp(-(g - m)^2 / (2 d^2)), with d = `GAIN_SPREAD`. So it is s.d. s
    normal below m, and above m proportional to a normal one with the mean m s^2 / (s^2 + d^2).
    """

    sd: TensorVariable
    below: TensorVariable  # probability of g < m, before normalisation
    above: TensorVariable  # of g > m
    mean: TensorVariable  # of the normal density above
    spread: TensorVariable  # its standard deviation


def _gain(scale: Any, root: Any, gains: Any, most: Any) -> _Gain:
    projected = (gains[..., :, None] * root).sum(axis=-2)
    sd = scale * pt.sqrt((projected**2).sum(axis=-1))
    total = sd**2 + GAIN_SPREAD**2
    mean, spread = most * sd**2 / total, sd * GAIN_SPREAD / pt.sqrt(total)
    size = GAIN_SPREAD / pt.sqrt(total) * pt.exp(-(most**2) / (2 * total))
    return _Gain(sd, _cdf(most / sd), size * _cdf((mean - most) / spread), mean, spread)


def _cdf(x: Any) -> TensorVariable:
    return 0.5 * pt.erfc(-x / np.sqrt(2))


def _quantile(p: Any) -> TensorVariable:
    return -np.sqrt(2) * pt.erfcinv(2 * p)


class SelfWeightsRV(SymbolicRandomVariable):
    """Random variable type of `SelfWeights`."""

    name = "self_weights"
    extended_signature = "[rng],[size],(),(c,c),(c),()->[rng],(c)"
    _print_name = ("SelfWeights", "\\operatorname{SelfWeights}")

    def update(self, node: Apply) -> dict[Variable, Variable]:
        """Map the random generator's input to its next state."""
        return {node.inputs[0]: node.outputs[0]}

    @classmethod
    def rv_op(cls, scale, root, gains, most, *, size=None, rng=None):
        """Build the random graph: a normal vector, moved along its gain to one below the limit."""
        scale, root, gains, most = map(pt.as_tensor, (scale, root, gains, most))
        rng = normalize_rng_param(rng)
        size = normalize_size_param(size)
        batch = (
            implicit_size_from_params(scale, root, gains, most, ndims_params=[0, 2, 1, 0])
            if rv_size_is_none(size)
            else size
        )
        middle, z = pt.random.normal(size=(*batch, root.shape[-1]), rng=rng, return_next_rng=True)
        next_rng, u = pt.random.uniform(size=batch, rng=middle, return_next_rng=True)
        direction = (gains[..., :, None] * root).sum(axis=-2)  # of the gain, in z
        gain = _gain(scale, root, gains, most)
        at = u * (gain.below + gain.above)
        rest = (gain.below + gain.above - at) / gain.above * _cdf((gain.mean - most) / gain.spread)
        low = gain.sd * _quantile(pt.minimum(at, gain.below))
        high = gain.mean - gain.spread * _quantile(pt.minimum(rest, 0.5))
        chosen = pt.switch(at < gain.below, low, pt.maximum(high, most)) / scale
        shift = (chosen - (direction * z).sum(axis=-1)) / (direction**2).sum(axis=-1)
        z = pt.switch(pt.eq(most, NO_LIMIT)[..., None], z, z + shift[..., None] * direction)
        draw = scale[..., None] * (root * z[..., None, :]).sum(axis=-1)
        return cls(inputs=[rng, size, scale, root, gains, most], outputs=[next_rng, draw])(
            rng, size, scale, root, gains, most
        )


class SelfWeights(pm.Continuous):
    r"""Weights of self filters: :math:`w_n \sim \mathrm{Normal}(0, s^2 R R^\top)`, of limited gain.

    The gain of a filter is :math:`g = \sum_b v_b w_b`, with v the sums of the basis functions over
    lags. Up to a limit m the density is that of the normal distribution, in proportion; above m it
    is multiplied by :math:`\exp\{-(g - m)^2 / (2 \cdot 0.1^2)\}`.

    Parameters
    ----------
    scale : tensor_like of float
        Standard deviation s.
    root : tensor_like, shape (self_basis, self_basis)
        Lower triangular R.
    gains : tensor_like, shape (self_basis,), optional
        v; needed with a limit.
    max_gain : tensor_like of float, optional
        The limit m, at least 0; by default none.

    Examples
    --------
    >>> import numpy as np, pymc as pm
    >>> from pymc_glm.distributions import SelfWeights
    >>> pm.draw(SelfWeights.dist(1.0, np.eye(3), size=4)).shape
    (4, 3)
    >>> limited = SelfWeights.dist(5.0, np.eye(3), np.ones(3), 4.0, size=1000)
    >>> bool(pm.draw(limited, random_seed=1).sum(axis=1).max() < 4.5)
    True
    """

    rv_type = SelfWeightsRV
    rv_op = SelfWeightsRV.rv_op

    @classmethod
    def dist(cls, scale, root, gains=None, max_gain=None, **kwargs):
        """Return an unnamed variable."""
        if max_gain is None:
            gains, max_gain = pt.ones(pt.as_tensor(root).shape[-1:]), NO_LIMIT
        return super().dist([scale, root, gains, max_gain], **kwargs)

    def support_point(  # noqa: D102
        rv: Any, size: Any, scale: Any, root: Any, gains: Any, most: Any
    ) -> TensorVariable:
        zero = pt.zeros(root.shape[-1:])
        return zero if rv_size_is_none(size) else pt.zeros((*size, root.shape[-1]))

    def logp(value: Any, scale: Any, root: Any, gains: Any, most: Any) -> TensorVariable:  # noqa: D102
        inverse = pt.linalg.solve_triangular(root, pt.eye(root.shape[-1]), lower=True)
        z = (inverse * value[..., None, :]).sum(axis=-1) / scale[..., None]
        logarithms = pt.log(pt.diagonal(root, axis1=-2, axis2=-1)).sum(axis=-1)
        size = value.shape[-1]
        constant = size * (pt.log(scale) + 0.5 * np.log(2 * np.pi)) + logarithms
        gain = _gain(scale, root, gains, most)
        excess = pt.maximum((gains * value).sum(axis=-1) - most, 0.0)
        limited = -0.5 * (excess / GAIN_SPREAD) ** 2 - pt.log(gain.below + gain.above)
        return check_parameters(
            -0.5 * (z**2).sum(axis=-1) - constant + limited,
            scale > 0,
            most >= 0,
            msg="scale > 0, max_gain >= 0",
        )
