"""The contribution of a neuron's spikes to its activation, with a basis of its own."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.gradient import DisconnectedType, disconnected_type
from pytensor.tensor.variable import TensorVariable

from pymc_glm.activation.couplings import HistoryOp, dense_history
from pymc_glm.kernels.history import self_product_kernel, self_transpose_product_kernel

__all__ = ["SelfProduct", "SelfTransposeProduct", "self_activation"]


class _SelfOp(HistoryOp):
    """An operation on counts, basis, a third array in which it is linear, and segment starts."""

    def pullback(self, inputs: Sequence, outputs: Sequence, output_grads: Sequence) -> list:
        """Return the gradient with respect to the basis and the third input."""
        counts, basis, third, starts = inputs
        (cotangent,) = output_grads
        if isinstance(cotangent.type, DisconnectedType):
            return [disconnected_type() for _ in inputs]
        weights, values = self.weights_and_values(third, cotangent)
        by_lag = SelfTransposeProduct()(counts, pt.eye(basis.shape[0]), values, starts)
        return [
            disconnected_type(),
            by_lag.T @ weights,
            self.adjoint()(counts, basis, cotangent, starts),
            disconnected_type(),
        ]


class SelfProduct(_SelfOp):
    """Each neuron's history times its weights (post, basis), of shape (time, post)."""

    kernel = staticmethod(self_product_kernel)

    def build_inner_graph(self, *inputs: Any) -> list:
        """Write the product with the dense history."""
        counts, basis, weights, starts = inputs
        return [(dense_history(counts, basis, starts) * weights[:, :, None]).sum(axis=1).T]

    def adjoint(self) -> HistoryOp:
        """Return the product with the transposed history."""
        return SelfTransposeProduct()

    def weights_and_values(self, third: Any, cotangent: Any) -> tuple:
        """Return both in this order."""
        return third, cotangent


class SelfTransposeProduct(_SelfOp):
    """Each neuron's transposed history times its values (time, post), of shape (post, basis)."""

    kernel = staticmethod(self_transpose_product_kernel)

    def build_inner_graph(self, *inputs: Any) -> list:
        """Write the product with the dense history."""
        counts, basis, values, starts = inputs
        return [(dense_history(counts, basis, starts) * values.T[:, None, :]).sum(axis=2)]

    def adjoint(self) -> HistoryOp:
        """Return the product with the history."""
        return SelfProduct()

    def weights_and_values(self, third: Any, cotangent: Any) -> tuple:
        """Return both in the other order."""
        return cotangent, third


def self_activation(
    counts: Any, basis: Any, weights: TensorVariable, segment_start: Any = None
) -> TensorVariable:
    r"""Return the contribution of every neuron's spikes to its activation.

    .. math:: \sum_{c} w_{nc} \sum_{l=1}^{L} \phi_{lc}\, y_{t-l,n}

    Parameters
    ----------
    counts : tensor of int (time, post)
    basis : tensor (self_lag, self_basis)
    weights : tensor (post, self_basis)
    segment_start : tensor of int (segment,), optional
        First bins of trials or epochs, starting with 0; by default one segment.

    Returns
    -------
    TensorVariable (time, post)

    Examples
    --------
    >>> import numpy as np
    >>> from pymc_glm.activation import self_activation
    >>> counts = np.array([[1, 0], [0, 1], [0, 0]])
    >>> basis = np.array([[1.0], [0.5]])
    >>> self_activation(counts, basis, np.array([[-3.0], [2.0]])).eval()
    array([[ 0. ,  0. ],
           [-3. ,  0. ],
           [-1.5,  2. ]])
    """
    starts = np.zeros(1, np.int64) if segment_start is None else segment_start
    inputs = [pt.as_tensor(value) for value in (counts, basis, weights)]
    return SelfProduct()(*inputs, pt.cast(pt.as_tensor(starts), "int64"))
