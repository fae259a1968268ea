"""Paths of shared input and their loadings."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray
from pymc.distributions.dist_math import check_parameters
from pymc.distributions.distribution import SymbolicRandomVariable
from pymc.distributions.shape_utils import rv_size_is_none
from pymc.pytensorf import normalize_rng_param
from pytensor.graph.basic import Apply, Variable
from pytensor.graph.op import Op
from pytensor.tensor.random.basic import IntegersRV, NormalRV
from pytensor.tensor.random.utils import normalize_size_param
from pytensor.tensor.variable import TensorVariable

from pymc_glm.kernels.compiling import compiled

__all__ = [
    "FactorPaths",
    "FactorPathsRV",
    "InputDelays",
    "InputDelaysRV",
    "Loadings",
    "LoadingsRV",
]


class LoadingsRV(NormalRV):
    """Random variable type of `Loadings`."""

    _print_name = ("Loadings", "\\operatorname{Loadings}")


class Loadings(pm.Normal):
    r"""Effects of shared input, :math:`l_{nk} \sim \mathrm{Normal}(\mu, \sigma_k)`.

    Parameters
    ----------
    mu, sigma : tensor_like of float, broadcastable to (post, factor)
    tau : tensor_like of float, optional
        Precision, instead of sigma, as in `pymc.Normal`.

    Examples
    --------
    >>> import pymc as pm
    >>> from pymc_glm.distributions import Loadings
    >>> pm.draw(Loadings.dist(0.0, [1.0, 0.1], shape=(4, 2))).shape
    (4, 2)
    """

    rv_op = LoadingsRV()


class InputDelaysRV(IntegersRV):
    """Random variable type of `InputDelays`, whose second parameter is the upper bound plus one."""

    _print_name = ("InputDelays", "\\operatorname{InputDelays}")


class InputDelays(pm.Discrete):
    """Bins by which shared input reaches each neuron later than the mean, from lower to upper.

    Parameters
    ----------
    lower, upper : tensor_like of int
        The smallest and the largest delay.

    Examples
    --------
    >>> import pymc as pm
    >>> from pymc_glm.distributions import InputDelays
    >>> drawn = pm.draw(InputDelays.dist(-2, 2, shape=100), random_seed=1)
    >>> int(drawn.min()), int(drawn.max())
    (-2, 2)
    """

    rv_op = InputDelaysRV()

    @classmethod
    def dist(cls, lower, upper, **kwargs):
        """Return an unnamed variable."""
        low, high = (pt.as_tensor(value).astype("int64") for value in (lower, upper))
        return super().dist([low, high + 1], **kwargs)

    def support_point(rv: Any, size: Any, low: Any, high: Any) -> TensorVariable:  # noqa: D102
        middle = (low + high) // 2
        return middle if rv_size_is_none(size) else pt.full(size, middle)

    def logp(value: Any, low: Any, high: Any) -> TensorVariable:  # noqa: D102
        inside = pt.and_(value >= low, value < high)
        density = pt.switch(inside, -pt.log(high - low), -np.inf)
        return check_parameters(density, low < high, msg="lower <= upper")


@compiled
def _recursion(driven: NDArray, first: NDArray, second: NDArray) -> NDArray:
    out = np.empty_like(driven)
    for t in range(driven.size):
        out[t] = driven[t]
        if first[t] != 0.0:
            out[t] += first[t] * out[t - 1]
        if second[t] != 0.0:
            out[t] += second[t] * out[t - 2]
    return out


class _Recursion(Op):
    """f_t = driven_t + first_t f_(t-1) + second_t f_(t-2), for draws."""

    __props__ = ()

    def make_node(self, *inputs: Any) -> Apply:
        """Make a node, and register the kernel with Numba."""
        _register_recursion()
        driven, *coefficients = [pt.as_tensor(value).astype("float64") for value in inputs]
        return Apply(self, [driven, *coefficients], [driven.type()])

    def perform(self, node: Apply, inputs: Sequence, outputs: Sequence) -> None:
        """Run the kernel."""
        outputs[0][0] = _recursion(*[np.ascontiguousarray(value) for value in inputs])


@functools.cache
def _register_recursion() -> None:
    from pytensor.link.numba.dispatch.basic import (
        default_hash_key_from_props,
        register_funcify_and_cache_key,
    )

    @register_funcify_and_cache_key(_Recursion)
    def numba_kernel(op: _Recursion, node: Apply, **kwargs: Any) -> tuple:
        return _recursion, default_hash_key_from_props(op, node=node)


def _by_grid(timescale: Any, factor: Any, place: Any, width: Any, smoothness: Any) -> tuple:
    """Return coefficients of the two values before, and the variance, of each grid point."""
    r = pt.exp(-width / timescale)[factor]
    rest = -pt.expm1(-2.0 * width / timescale)[factor]  # 1 - r^2
    rough = pt.lt(smoothness, 1.0)[factor]
    start, second = pt.eq(place, 0), pt.eq(place, 1)
    rho = 2.0 * r / (1.0 + r**2)
    first = pt.switch(start, 0.0, pt.switch(rough, r, pt.switch(second, rho, 2.0 * r)))
    before = pt.switch(start | second | rough, 0.0, -(r**2))
    smooth = pt.switch(second, (rest / (1.0 + r**2)) ** 2, rest**3 / (1.0 + r**2))
    variance = pt.switch(start, 1.0, pt.switch(rough, rest, smooth))
    return first, before, variance


class FactorPathsRV(SymbolicRandomVariable):
    """Random variable type of `FactorPaths`."""

    name = "factor_paths"
    extended_signature = "[rng],[size],(k),(g),(g),(k),(k)->[rng],(g)"
    _print_name = ("FactorPaths", "\\operatorname{FactorPaths}")

    def update(self, node: Apply) -> dict[Variable, Variable]:
        """Map the random generator's input to its next state."""
        return {node.inputs[0]: node.outputs[0]}

    @classmethod
    def rv_op(cls, timescale, factor, place, width, smoothness, *, size=None, rng=None):
        """Build the random graph: normal innovations, and the recursion."""
        timescale, width, smoothness = map(pt.as_tensor, (timescale, width, smoothness))
        factor, place = (pt.as_tensor(value, dtype="int64") for value in (factor, place))
        rng = normalize_rng_param(rng)
        size = normalize_size_param(size)
        first, before, variance = _by_grid(timescale, factor, place, width, smoothness)
        next_rng, z = pt.random.normal(size=factor.shape, rng=rng, return_next_rng=True)
        draw = _Recursion()(z * pt.sqrt(variance), first, before)
        inputs = [rng, size, timescale, factor, place, width, smoothness]
        return cls(inputs=inputs, outputs=[next_rng, draw])(*inputs)


class FactorPaths(pm.Continuous):
    r"""Stationary Gauss-Markov paths of unit variance, begun anew in each segment.

    The values of all factors on their grids, one factor after the other; see
    ``pymc_glm.kernels.shared_path`` for the autoregressions.

    Parameters
    ----------
    timescale : tensor_like, shape (factor,)
        In seconds.
    factor : tensor_like of int, shape (grid,)
        The factor of each grid point.
    place : tensor_like of int, shape (grid,)
        Number of grid points before each one in its segment.
    width : tensor_like, shape (factor,)
        Steps of the grids in seconds.
    smoothness : tensor_like, shape (factor,)
        0.5 (Ornstein-Uhlenbeck) or 1.5.

    Examples
    --------
    >>> import numpy as np, pymc as pm
    >>> from pymc_glm.distributions import FactorPaths
    >>> path = FactorPaths.dist([0.1], np.zeros(5), np.arange(5), [0.02], [0.5])
    >>> pm.draw(path).shape
    (5,)
    """

    rv_type = FactorPathsRV
    rv_op = FactorPathsRV.rv_op

    @classmethod
    def dist(cls, timescale, factor, place, width, smoothness, **kwargs):
        """Return an unnamed variable."""
        return super().dist([timescale, factor, place, width, smoothness], **kwargs)

    def support_point(rv: Any, size: Any, *parameters: Any) -> TensorVariable:  # noqa: D102
        return pt.zeros(parameters[1].shape)

    def logp(  # noqa: D102
        value: Any, timescale: Any, factor: Any, place: Any, width: Any, smoothness: Any
    ) -> TensorVariable:
        first, before, variance = _by_grid(timescale, factor, place, width, smoothness)
        zero = pt.zeros(2)
        behind = pt.concatenate([zero, value])
        away = value - first * behind[1:-1] - before * behind[:-2]
        density = -0.5 * (away**2 / variance + pt.log(2 * np.pi * variance)).sum(axis=-1)
        return check_parameters(density, pt.all(timescale > 0), msg="timescale > 0")
