"""The contribution of all neurons' spikes to the activation, as operations of a PyTensor graph.

The history (time, pre, basis) is large and mostly zero, so these operations take the counts
instead. Every backend can use their inner graphs; Numba, the default, gets kernels whose work is
proportional to the number of spikes.
"""

import functools
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.gradient import DisconnectedType, disconnected_type
from pytensor.graph.basic import Apply
from pytensor.tensor.signal.conv import convolve1d
from pytensor.tensor.symbolic import TensorSymbolicOp
from pytensor.tensor.variable import TensorVariable

from pymc_glm.kernels.history import history_product_kernel, history_transpose_product_kernel

__all__ = [
    "HistoryOp",
    "HistoryProduct",
    "HistoryTransposeProduct",
    "coupling_activation",
    "dense_history",
]


def dense_history(
    counts: TensorVariable, basis: TensorVariable, starts: TensorVariable
) -> TensorVariable:
    """Return the history, (pre, basis, time)."""
    (n_bins, n_pre), n_lags = counts.shape, basis.shape[0]
    spread, place = pt.cast(counts, "float64"), pt.arange(n_bins)
    if starts.type.shape != (1,):  # insert a window of silence between segments
        segment = pt.zeros(n_bins, dtype="int64")[starts].set(1).cumsum() - 1
        place += n_lags * segment
        silent = pt.zeros((n_bins + n_lags * (starts.shape[0] - 1), n_pre))
        spread = silent[place].set(spread)
    convolved = convolve1d(spread.T[:, None, :], basis.T[None], mode="full")
    causal = pt.concatenate([pt.zeros_like(convolved[..., :1]), convolved], axis=-1)
    return causal[..., :n_bins] if starts.type.shape == (1,) else causal[..., place]


class HistoryOp(TensorSymbolicOp):
    """An operation on counts, basis, a third array in which it is linear, and segment starts.

    Shapes: counts (time, pre), basis (lag, basis), segment starts (segment,).
    """

    __props__ = ()
    kernel: Callable

    def make_node(self, *inputs: Any) -> Apply:
        """Make a node, and register the kernel with Numba."""
        _register_kernel(type(self))
        return super().make_node(*inputs)

    def perform(self, node: Apply, inputs: Sequence, outputs: Sequence) -> None:
        """Run the kernel, so that interpreting backends need not compile the inner graph."""
        outputs[0][0] = type(self).kernel(*[np.ascontiguousarray(value) for value in inputs])

    @abstractmethod
    def adjoint(self) -> "HistoryOp":
        """Return the operation whose matrix is the transpose of this one's."""

    @abstractmethod
    def weights_and_values(self, third: Any, cotangent: Any) -> tuple:
        """Return the third input and the cotangent, the one of shape (post, pre, basis) first."""

    def pullback(self, inputs: Sequence, outputs: Sequence, output_grads: Sequence) -> list:
        """Return the gradient with respect to the basis and the third input."""
        counts, basis, third, starts = inputs
        (cotangent,) = output_grads
        if isinstance(cotangent.type, DisconnectedType):
            return [disconnected_type() for _ in inputs]
        weights, values = self.weights_and_values(third, cotangent)
        by_lag = HistoryTransposeProduct()(counts, pt.eye(basis.shape[0]), values, starts)
        return [
            disconnected_type(),
            pt.tensordot(by_lag, weights, axes=[[0, 1], [0, 1]]),
            self.adjoint()(counts, basis, cotangent, starts),
            disconnected_type(),
        ]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Return which inputs have a gradient: all but the integers."""
        return [[False], [True], [True], [False]]


class HistoryProduct(HistoryOp):
    """History times weights (post, pre, basis), of shape (time, post)."""

    kernel = staticmethod(history_product_kernel)

    def build_inner_graph(self, *inputs: Any) -> list:
        """Write the product with the dense history."""
        counts, basis, weights, starts = inputs
        return [pt.tensordot(dense_history(counts, basis, starts), weights, axes=[[0, 1], [1, 2]])]

    def adjoint(self) -> HistoryOp:
        """Return the product with the transposed history."""
        return HistoryTransposeProduct()

    def weights_and_values(self, third: Any, cotangent: Any) -> tuple:
        """Return both in this order."""
        return third, cotangent


class HistoryTransposeProduct(HistoryOp):
    """Transposed history times values (time, post), of shape (post, pre, basis)."""

    kernel = staticmethod(history_transpose_product_kernel)

    def build_inner_graph(self, *inputs: Any) -> list:
        """Write the product with the dense history."""
        counts, basis, values, starts = inputs
        return [pt.tensordot(values, dense_history(counts, basis, starts), axes=[[0], [2]])]

    def adjoint(self) -> HistoryOp:
        """Return the product with the history."""
        return HistoryProduct()

    def weights_and_values(self, third: Any, cotangent: Any) -> tuple:
        """Return both in the other order."""
        return cotangent, third


@functools.cache
def _register_kernel(kind: type) -> None:
    from pytensor.link.numba.dispatch.basic import (
        default_hash_key_from_props,
        register_funcify_and_cache_key,
    )

    def numba_kernel(op: HistoryOp, node: Apply, **kwargs: Any) -> tuple:
        return op.kernel, default_hash_key_from_props(op, node=node)

    register_funcify_and_cache_key(kind)(numba_kernel)


def coupling_activation(
    counts: Any, basis: Any, weights: TensorVariable, segment_start: Any = None
) -> TensorVariable:
    r"""Return the contribution of all neurons' spikes to the activation.

    .. math:: \sum_{m,b} w_{nmb} \sum_{l=1}^{L} \phi_{lb}\, y_{t-l,m}

    (Linderman, Adams & Pillow 2016, arXiv:1610.08465, equation 1). `pymc_glm.build_glm` uses it;
    use it too in models that you write by hand.

    Parameters
    ----------
    counts : tensor of int (time, pre)
        The data container ``counts`` of the model.
    basis : tensor (lag, basis)
        The data container ``basis_functions``.
    weights : tensor (post, pre, basis)
    segment_start : tensor of int (segment,), optional
        First bins of trials or epochs, starting with 0: the data container ``segment_start``.
        History does not cross their borders. By default the recording is one segment.

    Returns
    -------
    TensorVariable (time, post)
        Bins before a segment count as silent.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> counts = np.array([[1], [0], [0], [2]])
    >>> basis = np.array([[1.0], [0.5]])
    >>> pg.coupling_activation(counts, basis, np.full((1, 1, 1), -3.0)).eval().ravel()
    array([ 0. , -3. , -1.5,  0. ])
    """
    starts = np.zeros(1, np.int64) if segment_start is None else segment_start
    inputs = [pt.as_tensor(value) for value in (counts, basis, weights)]
    return HistoryProduct()(*inputs, pt.cast(pt.as_tensor(starts), "int64"))
