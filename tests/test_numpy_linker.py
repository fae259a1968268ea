"""The linker that runs small graphs by NumPy, against PyTensor's own Python linker."""

import tempfile

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.compile.mode import Mode

from pymc_glm.graph.evaluate import INTERPRETED

PYTHON = Mode("py", None)
x, y, i, b = pt.dmatrix("x"), pt.dvector("y"), pt.lmatrix("i"), pt.bmatrix("b")
row, cube, number = pt.drow("row"), pt.dtensor3("cube"), pt.dscalar("number")
where = pt.lscalar("where")


def values_of(variables: list) -> list:
    rng = np.random.default_rng(1)
    known = {
        x: rng.normal(size=(3, 4)),
        y: rng.normal(size=4),
        i: rng.integers(-3, 4, (3, 4)),
        b: rng.integers(0, 2, (3, 4)).astype(np.int8),
        row: rng.normal(size=(1, 4)),
        cube: rng.normal(size=(2, 3, 4)),
        number: np.array(0.7),
        where: np.array(2),
    }
    return [known[variable] for variable in variables]


GRAPHS = {
    "arithmetic": ([x, y], (x * y + x / (1 + y**2) - pt.exp(-x)) ** 2),
    "many terms": ([x, y, row], x + y + row + x * y * row * 2),
    "functions": ([x], pt.log1p(x**2) * pt.sigmoid(x) + pt.softplus(50 * x) + pt.reciprocal(x)),
    "gamma functions": ([x], pt.gammaln(x**2 + 1) + pt.erf(x)),
    "integers": ([i, b], i // 2 + b * i - abs(i) % 3),
    "mixed types": ([x, i, b], i * x + pt.sqrt(abs(b)) + i / 2),
    "small integers": ([b], pt.exp(b) + pt.sqrt(b)),
    "comparisons": ([x, y], pt.and_(x > 0, pt.or_(x <= y, pt.neq(x, 0)))),
    "switch": ([x, y], pt.switch(x > y, pt.log(x), -np.inf)),
    "casts": ([x], pt.cast(x > 0, "float64") + pt.cast(pt.cast(10 * x, "int8"), "float32")),
    "axes": ([cube, y], cube.dimshuffle(2, "x", 0, 1).sum(axis=(0, 2)) + y.sum()),
    "transposed and dropped": ([row, x], row.dimshuffle(1) + x.T.dimshuffle(1, 0)),
    "sums": ([cube], cube.sum(axis=1).sum() + cube.sum(axis=(0, 2)).prod()),
    "sums of integers": ([i, b], i.sum(axis=0) + b.sum(axis=0) + (b > 0).sum()),
    "largest": ([x, i], x.max(axis=0) + i.min() + pt.all(x > -9, axis=0) + pt.any(i > 9)),
    "of numbers": ([number], pt.stack([number, number**2]).sum() + number.dimshuffle("x")),
    "sum of a number": ([number], pt.sum(number) + pt.max(number)),
    "places": ([x, where], x[1:, ::-1] + x[where] + x[-1, 2]),
    "arrays of places": ([x, i], x[:, [2, 0, 0]].sum() + pt.arange(9.0)[pt.abs(i)] + x[0, 1]),
    "into places": ([x, y], pt.inc_subtensor(pt.set_subtensor(x[1], y)[:, 2], 3.0)),
    "joined": ([x, row, y], pt.join(0, x, row, y[None], pt.ones((2, 4)))),
    "shapes": ([cube, y], cube.reshape((6, 4)) @ y + y.shape[0] + pt.alloc(y[0], 6)),
    "products": ([x, y], 2 * pt.dot(x, y) + pt.dot(x, pt.dot(x.T, x)).sum()),
    "specified": ([x], pt.specify_shape(x, (3, 4)).sum(axis=1) + pt.diag(x @ x.T)),
    "gradient": ([x, y], pt.grad((pt.softplus(x) * pt.exp(y)).sum() + pt.log(y**2).sum(), y)),
    "matrices": ([x], pt.linalg.cholesky(x @ x.T + np.eye(3)) + pt.linalg.inv(x @ x.T)),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_have_the_values_that_the_operations_give(name):
    inputs, output = GRAPHS[name]
    ours, theirs = (
        pytensor.function(inputs, output, mode=mode)(*values_of(inputs))
        for mode in (INTERPRETED, PYTHON)
    )
    assert type(ours) is np.ndarray and ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-14)


def test_several_outputs_and_constants():
    outputs = [x.sum(axis=0), pt.constant(np.arange(3.0)), y]
    (values, constant, same) = pytensor.function([x, y], outputs, mode=INTERPRETED)(
        np.ones((2, 4)), np.arange(4.0)
    )
    np.testing.assert_array_equal(values, 2.0)
    np.testing.assert_array_equal(constant, np.arange(3.0))
    np.testing.assert_array_equal(same, np.arange(4.0))


def test_outputs_can_be_changed_without_changing_later_ones():
    constant = pt.constant(np.arange(6.0).reshape(2, 3))
    function = pytensor.function([y], [constant.T[::-1], y[::2], y], mode=INTERPRETED)
    given = np.arange(4.0)
    for output in function(given):
        output[...] = -1.0
    np.testing.assert_array_equal(given, np.arange(4.0))
    np.testing.assert_array_equal(function(given)[0], [[2, 5], [1, 4], [0, 3]])


def test_shared_values_can_be_set_later():
    shared = pytensor.shared(np.ones(4), "shared")
    function = pytensor.function([y], y * shared + shared.sum(), mode=INTERPRETED)
    np.testing.assert_array_equal(function(np.arange(4.0)), np.arange(4.0) + 4)
    shared.set_value(np.full(4, 2.0))
    np.testing.assert_array_equal(function(np.arange(4.0)), 2 * np.arange(4.0) + 8)


def test_infinities_do_not_warn():
    output = pytensor.function(
        [y], [pt.log(y), pt.exp(1000 * y), y / pt.minimum(y, 0)], mode=INTERPRETED
    )
    logs, exponentials, ratios = output(np.array([0.0, 1.0, 2.0, 3.0]))
    assert logs[0] == -np.inf and exponentials[3] == np.inf and np.isnan(ratios[0])


def test_random_numbers_move_their_generator_on():
    rng = pytensor.shared(np.random.default_rng(1))
    next_rng, draw = pt.random.normal(1.0, 2.0, size=3, rng=rng, return_next_rng=True)
    function = pytensor.function([], draw, updates={rng: next_rng}, mode=INTERPRETED)
    expected = np.random.default_rng(1).normal(1.0, 2.0, (2, 3))
    np.testing.assert_array_equal([function(), function()], expected)


def test_no_temporary_files_are_left(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert pytensor.function([y], 2 * y, mode=INTERPRETED)(np.ones(2)).tolist() == [2.0, 2.0]
    assert not any(tmp_path.iterdir())
