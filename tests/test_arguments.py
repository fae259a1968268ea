"""Checks of arguments, and the form of error messages in the whole package."""

import ast
from pathlib import Path

import numpy as np
import pytest

import pymc_glm as pg
from pymc_glm.arguments import (
    as_labels,
    as_number,
    as_probability,
    as_whole_number,
    label_index,
    random_generator,
)

PACKAGE = Path(pg.__file__).parent


# numbers


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3)])
def test_whole_numbers_of_every_integer_type(value):
    number = as_whole_number(value, "n", at_least=3, at_most=3)
    assert number == 3 and type(number) is int


@pytest.mark.parametrize(
    "value", [True, False, np.True_, 3.0, np.float64(3), "3", None, np.nan, np.inf, [3], 3j]
)
def test_other_values_are_not_whole_numbers(value):
    with pytest.raises(ValueError, match=r"^n: got .*, allowed are whole numbers of at least 1\.$"):
        as_whole_number(value, "n")


@pytest.mark.parametrize(
    ("value", "options", "message"),
    [
        (0, {}, r"^n: got 0, allowed are whole numbers of at least 1\.$"),
        (-1, {"at_least": 0}, r"^n: got -1, allowed are whole numbers of at least 0\.$"),
        (4, {"at_most": 3}, r"^n: got 4, allowed are whole numbers from 1 to 3\.$"),
        (
            np.int64(4),
            {"at_most": 3, "reason": "the number of neurons"},
            r"^n: got 4, allowed are whole numbers from 1 to 3 \(the number of neurons\)\.$",
        ),
    ],
)
def test_whole_numbers_out_of_bounds(value, options, message):
    with pytest.raises(ValueError, match=message):
        as_whole_number(value, "n", **options)


@pytest.mark.parametrize("value", [2, 2.0, np.int64(2), np.float64(2), np.float32(2)])
def test_numbers_of_every_real_type(value):
    number = as_number(value, "x", at_least=2, below=3)
    assert number == 2 and type(number) is float


@pytest.mark.parametrize("value", [True, False, np.True_, "2", None, [2.0], 2j, np.ones(1)])
def test_other_values_are_not_numbers(value):
    with pytest.raises(TypeError, match=r"^x: got .*, allowed are finite numbers\.$"):
        as_number(value, "x")


@pytest.mark.parametrize(
    ("value", "options", "message"),
    [
        (np.nan, {}, r"^x: got nan, allowed are finite numbers\.$"),
        (np.float64("nan"), {}, r"^x: got nan, allowed are finite numbers\.$"),
        (np.inf, {}, r"^x: got inf, allowed are finite numbers\.$"),
        (-np.inf, {"unit": "s"}, r"^x: got -inf, allowed are finite numbers in s\.$"),
        (0, {"above": 0}, r"^x: got 0, allowed are finite numbers above 0\.$"),
        (-1, {"at_least": 0, "unit": "Hz"}, r"allowed are finite numbers of at least 0 Hz\.$"),
        (1.0, {"above": 0, "below": 1}, r"allowed are finite numbers above 0 and below 1\.$"),
        (np.float64(-2.5), {"above": 0, "unit": "s"}, r"^x: got -2\.5, .* above 0 s\.$"),
    ],
)
def test_numbers_out_of_bounds(value, options, message):
    with pytest.raises(ValueError, match=message):
        as_number(value, "x", **options)


def test_bounds_themselves():
    assert as_number(0, "x", at_least=0) == 0
    assert as_number(1e300, "x") == 1e300
    for bound in ({"above": 0}, {"below": 0}):
        with pytest.raises(ValueError, match=r"^x: got 0,"):
            as_number(0, "x", **bound)


@pytest.mark.parametrize("value", [0.5, np.float64(0.5), np.float32(0.5)])
def test_probabilities(value):
    probability = as_probability(value, "p")
    assert probability == 0.5 and type(probability) is float


@pytest.mark.parametrize("value", [0, 1, -0.1, 1.1, True, "0.5", None, np.nan, np.inf])
def test_other_values_are_not_probabilities(value):
    with pytest.raises(ValueError, match=r"^p: got .*, allowed are numbers above 0 and below 1\.$"):
        as_probability(value, "p")


# labels


def test_labels_are_unique_strings():
    assert as_labels([1, "b", np.int64(3)]) == ("1", "b", "3")
    assert as_labels("unit") == ("unit",)
    with pytest.raises(ValueError, match=r"^units: labels must be unique, .* repeat: \['1'\]\.$"):
        as_labels([1, "1", 2], "units")


def test_chosen_labels_are_found_in_their_order():
    labels = ("10", "11", "b")
    assert label_index(labels, ["b", 10]).tolist() == [2, 0]
    assert label_index(labels, None).tolist() == [0, 1, 2]
    assert label_index(labels, "b").tolist() == [2]


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (
            ["cell_9"],
            r"^order: unknown units \['cell_9'\]; .* has 7, such as \['cell_[0-6]'.*\]\.$",
        ),
        (["x", "cell_1", "y"], r"unknown units \['x', 'y'\]; .* 7, such as \['cell_0', 'cell_1', "),
        (["cell_1", "cell_1"], r"^order: labels must be unique, .* repeat: \['cell_1'\]\.$"),
        ([], r"^order: it is empty; name at least one, or give None for all\.$"),
    ],
)
def test_bad_choices_of_labels(chosen, message):
    labels = tuple(f"cell_{i}" for i in range(7))
    with pytest.raises(ValueError, match=message):
        label_index(labels, chosen, "order", "units")


# seeds


def test_seeds():
    for seed in (7, np.int64(7)):
        drawn = random_generator(seed).normal(size=3)
        np.testing.assert_array_equal(drawn, np.random.default_rng(7).normal(size=3))
    rng = np.random.default_rng(1)
    assert random_generator(rng) is rng
    assert isinstance(random_generator(None), np.random.Generator)


@pytest.mark.parametrize("seed", [-1, 1.5, "7", np.nan])
def test_bad_seeds(seed):
    with pytest.raises(ValueError, match=r"^random_seed: got .*; give a whole number .*\.$"):
        random_generator(seed)


# error messages of the whole package


def ending(node):
    """Return the last literal characters of a message, None if it ends with an expression."""
    if isinstance(node, ast.JoinedStr):
        return ending(node.values[-1])
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return ending(node.right)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def makes_error(call):
    """Return whether a call makes an error: ``ValueError(...)``, ``type(error)(...)``."""
    if isinstance(call.func, ast.Call):
        return ast.unparse(call.func) == "type(error)"
    return ast.unparse(call.func).endswith("Error")


def without_full_stop(source):
    """Return the lines of errors whose message lacks a full stop at the end."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    errors = [call for call in calls if call.args and makes_error(call)]
    endings = ((call.lineno, ending(call.args[0])) for call in errors)
    return [line for line, text in endings if text is not None and not text.endswith(".")]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=str)
def test_messages_end_with_a_full_stop(path):
    lines = without_full_stop(path.read_text(encoding="utf-8"))
    assert not lines, f"messages without a full stop: {path.relative_to(PACKAGE.parent)}: {lines}"


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ('raise ValueError("n: got 3")', True),
        ('raise ValueError("n: got 3.")', False),
        ('raise ValueError(f"n: got {n}, "\n"allowed are 1 to 2")', True),
        ('raise ValueError(f"n: got {n}, "\nf"allowed are {m}.")', False),
        ('raise TypeError("n: " + text + " is wrong") from error', True),
        ('raise ValueError(f"{name}: {text}")', False),
        ('raise type(error)(f"{path} is full") from error', True),
        ('def f(n):\n    return ValueError(f"{n} is wrong")', True),
        ('raise differs("counts", "a", "b")', False),
        ("raise ValueError(message)", False),
        ("raise ValueError", False),
    ],
)
def test_the_test_sees_a_missing_full_stop(line, wrong):
    assert bool(without_full_stop(line)) == wrong
