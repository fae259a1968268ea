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
from helpers.uncompiled import UNCOMPILED
from pymc_glm.activation.couplings import HistoryProduct, HistoryTransposeProduct
from pymc_glm.activation.self_history import SelfProduct, SelfTransposeProduct
from pymc_glm.kernels.history import convolve_history, history_product, history_transpose_product


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
    for starts in (None, np.unique([0, len(counts) // 3, len(counts) // 2])):
        history = convolve_history(counts, basis, starts)
        product = np.einsum("tmb,nmb->tn", history, weights)
        ours = history_product(counts, basis, weights, starts)
        np.testing.assert_allclose(ours, product, atol=1e-12)
        transposed = np.einsum("tmb,tn->nmb", history, values)
        ours = history_transpose_product(counts, basis, values, starts)
        np.testing.assert_allclose(ours, transposed, atol=1e-12)


@given(SIZES, st.sets(st.integers(1, 29), max_size=6))
@settings(deadline=None, max_examples=50)
def test_no_history_goes_over_the_borders_of_segments(sizes, cuts):
    """The whole history is that of each segment alone."""
    counts, basis, *_ = example(*sizes)
    starts = np.array([0, *sorted(cut for cut in cuts if cut < len(counts))])
    alone = [convolve_history(part, basis) for part in np.split(counts, starts[1:])]
    np.testing.assert_array_equal(convolve_history(counts, basis, starts), np.concatenate(alone))


@pytest.mark.parametrize("starts", [[0], [0, 7, 8, 30]])
@pytest.mark.parametrize("mode", [None, Mode("py", "fast_run"), Mode("numba", "fast_run")])
def test_operations_in_every_backend(mode, starts):
    counts, basis, weights, values = example()
    history = convolve_history(counts, basis, starts)
    inputs = (
        pt.lmatrix("counts"),
        pt.dmatrix("basis"),
        pt.dtensor3("weights"),
        pt.dmatrix("values"),
        pt.lvector("starts"),
    )
    data, third, fourth, first_bins = inputs[:2], inputs[2], inputs[3], inputs[4]
    outputs = [
        HistoryProduct()(*data, third, first_bins),
        HistoryTransposeProduct()(*data, fourth, first_bins),
    ]
    function = pytensor.function(inputs, outputs, mode=mode)
    product, transposed = function(counts, basis, weights, values, starts)
    np.testing.assert_allclose(product, np.einsum("tmb,nmb->tn", history, weights), atol=1e-13)
    expected = np.einsum("tmb,tn->nmb", history, values)
    np.testing.assert_allclose(transposed, expected, atol=1e-13)


@pytest.mark.parametrize(
    ("n_bins", "starts"), [(40, [0]), (4, [0]), (1, [0]), (40, [0, 3, 4, 20]), (4, [0, 2])]
)
@pytest.mark.parametrize("op", [HistoryProduct, HistoryTransposeProduct])
def test_graphs_for_other_backends_say_the_same(op, n_bins, starts):
    counts, basis, weights, values = example(n_bins)
    given = counts, basis, weights if op is HistoryProduct else values, np.array(starts)
    (plain,) = op().build_inner_graph(*map(pt.as_tensor, given))
    np.testing.assert_allclose(plain.eval(**UNCOMPILED), op.kernel(*given), atol=1e-13)


def test_gradients_are_those_of_finite_differences():
    counts, basis, weights, values = example()
    rng = np.random.default_rng(1)
    for starts in (np.zeros(1, int), np.array([0, 11, 13])):

        def product(b, w, starts=starts):
            return HistoryProduct()(counts, b, w, starts)

        def transposed(b, v, starts=starts):
            return HistoryTransposeProduct()(counts, b, v, starts)

        verify_grad(product, [basis, weights], rng=rng, **UNCOMPILED)
        verify_grad(transposed, [basis, values], rng=rng, **UNCOMPILED)
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


# Self filters


def self_example(n_bins=40, n=3, n_lags=6, n_basis=2, seed=5):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(0.3, (n_bins, n))
    return counts, *(rng.normal(size=s) for s in ((n_lags, n_basis), (n, n_basis), (n_bins, n)))


def by_convolution(counts, basis, weights, starts):
    """np.convolve of each neuron's spikes and filter, a bin later, in each segment alone."""
    parts = []
    for part in np.split(counts, starts[1:]):
        each = [
            np.convolve(y, f)[: len(part)] for y, f in zip(part.T, weights @ basis.T, strict=True)
        ]
        parts.append(np.concatenate([np.zeros((1, counts.shape[1])), np.transpose(each)[:-1]]))
    return np.concatenate(parts)


@pytest.mark.parametrize("starts", [[0], [0, 7, 8, 30]])
@pytest.mark.parametrize("mode", [None, Mode("py", "fast_run"), Mode("numba", "fast_run")])
def test_self_activation_is_a_convolution(mode, starts):
    counts, basis, weights, values = self_example()
    given = (
        pt.lmatrix("counts"),
        pt.dmatrix("basis"),
        pt.dmatrix("weights"),
        pt.dmatrix("values"),
        pt.lvector("starts"),
    )
    outputs = [
        pg.self_activation(*given[:3], given[4]),
        SelfTransposeProduct()(*given[:2], *given[3:]),
    ]
    found, transposed = pytensor.function(given, outputs, mode=mode)(
        counts, basis, weights, values, starts
    )
    expected = by_convolution(counts, basis, weights, starts)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    units = [np.eye(2)[[b, b, b]] for b in range(2)]  # each function alone
    each = np.stack([by_convolution(counts, basis, unit, starts) for unit in units], axis=-1)
    np.testing.assert_allclose(transposed, np.einsum("tnb,tn->nb", each, values), atol=1e-12)


def test_self_activation_has_one_segment_by_default():
    counts, basis, weights, _ = self_example()
    found = pg.self_activation(counts, basis, weights).eval(**UNCOMPILED)
    np.testing.assert_allclose(found, by_convolution(counts, basis, weights, [0]), atol=1e-12)


@pytest.mark.parametrize(
    ("n_bins", "starts"), [(40, [0]), (4, [0]), (1, [0]), (40, [0, 3, 4, 20]), (4, [0, 2])]
)
@pytest.mark.parametrize("op", [SelfProduct, SelfTransposeProduct])
def test_graphs_of_self_filters_for_other_backends_say_the_same(op, n_bins, starts):
    counts, basis, weights, values = self_example(n_bins)
    given = counts, basis, weights if op is SelfProduct else values, np.array(starts)
    (plain,) = op().build_inner_graph(*map(pt.as_tensor, given))
    np.testing.assert_allclose(plain.eval(**UNCOMPILED), op.kernel(*given), atol=1e-13)


def test_gradients_of_self_filters_are_those_of_finite_differences():
    counts, basis, weights, values = self_example()
    rng = np.random.default_rng(1)
    for starts in (np.zeros(1, int), np.array([0, 11, 13])):

        def product(b, w, starts=starts):
            return pg.self_activation(counts, b, w, starts)

        def transposed(b, v, starts=starts):
            return SelfTransposeProduct()(counts, b, v, starts)

        verify_grad(product, [basis, weights], rng=rng, **UNCOMPILED)
        verify_grad(transposed, [basis, values], rng=rng, **UNCOMPILED)
    w = pt.dmatrix()
    total = (pt.exp(0.1 * pg.self_activation(counts, basis, w)) * values).sum()
    compiled = pytensor.function([w], pt.grad(total, w))(weights)
    psi = 0.1 * by_convolution(counts, basis, weights, [0])
    units = [np.eye(2)[[b, b, b]] for b in range(2)]
    each = np.stack([by_convolution(counts, basis, unit, [0]) for unit in units], axis=-1)
    expected = np.einsum("tnb,tn->nb", each, 0.1 * np.exp(psi) * values)
    np.testing.assert_allclose(compiled, expected, atol=1e-12)
    given_counts = pt.lmatrix()
    with pytest.raises(DisconnectedInputError):
        pt.grad(pg.self_activation(given_counts, basis, weights).sum(), given_counts)
