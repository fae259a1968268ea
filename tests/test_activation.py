"""History times weights in PyTensor's graph, against the dense history and by every backend."""

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytensor.compile.mode import Mode
from pytensor.gradient import DisconnectedInputError, verify_grad

import pymc_glm as pg
from pymc_glm.activation import HistoryProduct, HistoryTransposeProduct
from pymc_glm.kernels.history import (
    convolve_history,
    history_product,
    history_transpose_product,
)


def example(n_bins=40, n_pre=3, n_post=4, n_lags=5, n_basis=2, seed=0):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(0.3, (n_bins, n_pre))
    shapes = (n_lags, n_basis), (n_post, n_pre, n_basis), (n_bins, n_post)
    return counts, *(rng.normal(size=shape) for shape in shapes)


SIZES = st.tuples(*(st.integers(1, most) for most in (30, 4, 4, 40, 3, 99)))


@given(SIZES)
@settings(deadline=None, max_examples=50)
def test_kernels_are_products_with_the_dense_history(sizes):
    counts, basis, weights, values = example(*sizes)
    history = convolve_history(counts, basis)
    product = np.einsum("tmb,nmb->tn", history, weights)
    np.testing.assert_allclose(history_product(counts, basis, weights), product, atol=1e-12)
    transposed = np.einsum("tmb,tn->nmb", history, values)
    ours = history_transpose_product(counts, basis, values)
    np.testing.assert_allclose(ours, transposed, atol=1e-12)


@pytest.mark.parametrize("mode", [None, Mode("py", "fast_run"), Mode("numba", "fast_run")])
def test_operations_in_every_backend(mode):
    counts, basis, weights, values = example()
    history = convolve_history(counts, basis)
    inputs = pt.lmatrix("counts"), pt.dmatrix("basis"), pt.dtensor3("weights"), pt.dmatrix("values")
    outputs = [HistoryProduct()(*inputs[:3]), HistoryTransposeProduct()(*inputs[:2], inputs[3])]
    function = pytensor.function(inputs, outputs, mode=mode)
    product, transposed = function(counts, basis, weights, values)
    np.testing.assert_allclose(product, np.einsum("tmb,nmb->tn", history, weights), atol=1e-13)
    expected = np.einsum("tmb,tn->nmb", history, values)
    np.testing.assert_allclose(transposed, expected, atol=1e-13)


@pytest.mark.parametrize("n_bins", [40, 4, 1])
@pytest.mark.parametrize("op", [HistoryProduct, HistoryTransposeProduct])
def test_graphs_for_other_backends_say_the_same(op, n_bins):
    counts, basis, weights, values = example(n_bins)
    third = weights if op is HistoryProduct else values
    inputs = [pt.as_tensor(x) for x in (counts, basis, third)]
    (plain,) = op().build_inner_graph(*inputs)
    np.testing.assert_allclose(plain.eval(), op.kernel(counts, basis, third), atol=1e-13)


def test_gradients_are_those_of_finite_differences():
    counts, basis, weights, values = example()
    rng = np.random.default_rng(1)
    verify_grad(lambda b, w: HistoryProduct()(counts, b, w), [basis, weights], rng=rng)
    verify_grad(lambda b, v: HistoryTransposeProduct()(counts, b, v), [basis, values], rng=rng)
    given_counts = pt.lmatrix()
    psi = pg.coupling_activation(given_counts, basis, weights)
    with pytest.raises(DisconnectedInputError):
        pt.grad(psi.sum(), given_counts)


def test_second_derivatives_exist():
    """The Hessian of a Poisson log density in the weights is minus X' diag(exp psi) X."""
    counts, basis, weights, _ = example(n_post=1)
    w = pt.dtensor3("w")
    total = -pt.exp(0.1 * pg.coupling_activation(counts, basis, w)).sum()
    gradient = pt.grad(total, w)
    direction = np.random.default_rng(3).normal(size=weights.shape)
    second = pt.grad((gradient * direction).sum(), w)
    history = convolve_history(counts, basis)
    psi = 0.1 * np.einsum("tmb,nmb->tn", history, weights)
    change = 0.1 * np.einsum("tmb,nmb->tn", history, direction)
    expected = -0.1 * np.einsum("tmb,tn->nmb", history, np.exp(psi) * change)
    np.testing.assert_allclose(second.eval({w: weights}), expected, atol=1e-12)


def test_new_counts_make_a_new_history():
    """pm.set_data on the counts conditions on them and is what the others respond to."""
    rng = np.random.default_rng(2)
    basis = pg.basis.raised_cosine(2, window=0.05, bin_width=0.005)
    first, other = ((rng.random((60, 2)) < 0.2).astype(int) for _ in range(2))
    model = pg.build_glm(first, basis)
    psi = model.replace_rvs_by_values([model["spikes"].owner.inputs[-1]])[0]
    point = model.initial_point(0)
    point["weights"] = rng.normal(size=point["weights"].shape)
    inputs = [model.rvs_to_values[model[name]] for name in ("weights", "bias")]
    function = model.compile_fn(psi, inputs=inputs, point_fn=False, on_unused_input="ignore")
    with model:
        pm.set_data({"counts": other})
    p = function(point["weights"], point["bias"])
    expected = point["bias"] + history_product(other, basis.values, point["weights"])
    np.testing.assert_allclose(np.log(p / (1 - p)), expected, atol=1e-10)
