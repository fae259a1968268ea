"""A linker of PyTensor that runs a graph as calls of NumPy, without compiling anything.

For graphs of a few hundred operations on small arrays. Numba or C would take seconds to minutes to
compile them; PyTensor's own Python linker checks and stores every operation's arguments, which
takes ten times as long as the operation.
"""

from collections.abc import Callable
from functools import partial, singledispatch
from pathlib import Path
from typing import Any

import numpy as np
from pytensor.graph.basic import Apply, Constant
from pytensor.graph.fg import FunctionGraph
from pytensor.graph.op import Op
from pytensor.link.basic import JITLinker
from pytensor.link.utils import fgraph_to_python
from pytensor.scalar.basic import Add, Mul
from pytensor.scalar.math import Softplus
from pytensor.tensor.elemwise import DimShuffle, Elemwise
from pytensor.tensor.math import Sum
from pytensor.tensor.subtensor import Subtensor, indices_from_subtensor

__all__ = ["NumpyLinker", "numpy_function"]


class NumpyLinker(JITLinker):
    """Turn a graph into one Python function that calls `numpy_function` of each operation.

    Examples
    --------
    >>> import pytensor, pytensor.tensor as pt
    >>> from pytensor.compile.mode import Mode
    >>> from pymc_glm.graph.numpy_linker import NumpyLinker
    >>> x = pt.dvector("x")
    >>> mode = Mode(NumpyLinker(), "fast_run").excluding("fusion", "inplace", "cxx_only")
    >>> pytensor.function([x], (2 * x).sum(), mode=mode)([1.0, 2.0])
    array(6.)
    """

    incompatible_rewrites = ("cxx_only", "BlasOpt", "fusion", "inplace")

    def fgraph_convert(
        self,
        fgraph: FunctionGraph,
        order: Any,
        input_storage: Any,
        output_storage: Any,
        storage_map: Any,
        **kwargs: Any,
    ) -> Callable:
        """Return the graph as a Python function."""
        function = fgraph_to_python(fgraph, _convert, order=order, storage_map=storage_map)
        Path(function.__code__.co_filename).unlink(missing_ok=True)  # PyTensor leaves it behind
        return function

    def jit_compile(self, fn: Callable) -> Callable:
        """Silence the warnings of infinities and return arrays."""

        def run(*inputs: Any) -> list:
            with np.errstate(all="ignore"):
                outputs = fn(*inputs)
            return [np.asarray(v) if isinstance(v, np.generic) else v for v in outputs]

        return run

    def create_thunk_inputs(self, storage_map: dict) -> list:
        """Return the storage of the inputs."""
        inputs = self.fgraph.inputs if self.fgraph is not None else []
        return [storage_map[variable] for variable in inputs]


def _convert(op: Op, *, node: Apply, **kwargs: Any) -> Callable:
    return numpy_function(op, node)


def _performed(op: Op, node: Apply) -> Callable:
    """Return a function that lets the operation itself compute."""
    single = len(node.outputs) == 1

    def run(*inputs: Any) -> Any:
        outputs: list = [[None] for _ in node.outputs]
        arrays = [np.asarray(v) if isinstance(v, np.generic) else v for v in inputs]
        op.perform(node, arrays, outputs)
        return outputs[0][0] if single else [output[0] for output in outputs]

    return run


@singledispatch
def numpy_function(op: Op, node: Apply) -> Callable:
    """Return a function of arrays, or of NumPy's scalars, that does what an operation does.

    Parameters
    ----------
    op : Op
    node : Apply
        Of that operation, for the types of its inputs.
    """
    return _performed(op, node)


@numpy_function.register
def _(op: Elemwise, node: Apply) -> Callable:
    if len(node.outputs) > 1 or op.inplace_pattern:
        return _performed(op, node)
    dtype = node.outputs[0].type.dtype
    doubles = all(v.type.dtype == "float64" for v in (*node.inputs, *node.outputs))
    if isinstance(op.scalar_op, Softplus) and doubles:
        return partial(np.logaddexp, 0.0)
    op.prepare_node(node, None, None, "py")
    vectorized = op.nfunc is not None and len(node.inputs) == op.nfunc_spec[1]
    function: Any = op.nfunc if vectorized else op.ufunc or node.tag.ufunc
    if doubles and (vectorized or isinstance(op.scalar_op, Add | Mul)):
        return function
    if vectorized and hasattr(node.tag, "sig"):  # not in half precision, for small integers
        function = partial(function, sig=node.tag.sig)
    return lambda *inputs: np.asarray(function(*inputs)).astype(dtype, copy=False)


@numpy_function.register
def _(op: DimShuffle, node: Apply) -> Callable:
    order = (*op.shuffle, *op.drop)
    moved = order != tuple(range(len(order)))
    index = (*(None if i == "x" else slice(None) for i in op.new_order), *(0 for _ in op.drop))
    return (lambda x: x.transpose(order)[index]) if moved else (lambda x: x[index])


@numpy_function.register
def _(op: Sum, node: Apply) -> Callable:
    (before,), (after,) = node.inputs, node.outputs
    if before.type.ndim == 0 or not before.type.dtype == after.type.dtype == op.acc_dtype:
        return _performed(op, node)
    return partial(np.add.reduce, axis=op.axis)


@numpy_function.register
def _(op: Subtensor, node: Apply) -> Callable:
    constants = [v.data.item() for v in node.inputs[1:] if isinstance(v, Constant)]
    if len(constants) < len(node.inputs) - 1:
        return _performed(op, node)
    places = indices_from_subtensor(constants, op.idx_list)
    return lambda x, *_: x[places]
