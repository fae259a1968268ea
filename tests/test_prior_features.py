"""Blocks, positions and features of pairs, which edges and weights can share; and bad values."""

import itertools
import math
import re

import numpy as np
import pandas as pd
import pymc as pm
import pytest
import xarray as xr
from scipy import stats

import pymc_glm as pg
from helpers.uncompiled import INTERPRETED
from pymc_glm.priors.features import (
    between,
    blocks,
    by_neuron,
    length_scale,
    pair_features,
    positions,
)

NEURONS = ["a", "b", "c", "d"]
N = len(NEURONS)
PLACES = np.array([[0.0, 0.0], [30.0, 0.0], [0.0, 40.0], [60.0, 80.0]])
DISTANCE = np.array([[0, 1, 2, 3], [1, 0, 4, 5], [2, 4, 0, 6], [3, 5, 6, 0.0]])
DIRECTED = np.arange(16.0).reshape(N, N) ** 1.5
BETWEEN = ~np.eye(N, dtype=bool)


@pytest.fixture
def model():
    """The coordinates of a network GLM, in context."""
    with pm.Model(coords={"post": NEURONS, "pre": NEURONS}) as model:
        yield model


def alone():
    return pm.Model(coords={"post": ["a"], "pre": ["a"]})


def refused(facts, function, *args, **kwargs):
    """The message is one line and ends with a full stop."""
    with pytest.raises(ValueError, match=facts) as caught:
        function(*args, **kwargs)
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".") and len(message) < 350, message


# --- values for each neuron ----------------------------------------------------------------------

VALUES = np.array([1.5, 2.5, 3.5, 4.5])
BACKWARDS = {name: value for name, value in zip(NEURONS[::-1], VALUES[::-1], strict=True)}


@pytest.mark.parametrize(
    "given",
    [
        VALUES,
        list(VALUES),
        BACKWARDS,
        pd.Series(BACKWARDS),
        xr.DataArray(VALUES[::-1], {"neuron": NEURONS[::-1]}),
        xr.DataArray(VALUES[::-1], {"post": NEURONS[::-1]}),
        xr.DataArray(VALUES, dims="neuron"),
    ],
    ids=["array", "list", "mapping", "Series", "neuron", "post", "no names"],
)
def test_values_are_brought_into_the_order_of_the_neurons(given):
    np.testing.assert_array_equal(by_neuron("x", given, NEURONS), VALUES)


def test_rows_are_brought_into_the_order_of_the_neurons():
    order = [2, 0, 3, 1]
    names = [NEURONS[i] for i in order]
    for given in (
        dict(zip(names, PLACES[order], strict=True)),
        pd.DataFrame(PLACES[order], index=names),
        xr.DataArray(PLACES[order].T, {"neuron": names}, dims=("space", "neuron")),
    ):
        np.testing.assert_array_equal(by_neuron("x", given, NEURONS), PLACES)


def test_neurons_named_by_numbers_are_found():
    np.testing.assert_array_equal(by_neuron("x", {2: 0.5, 10: 1.5}, ["10", "2"]), [1.5, 0.5])


@pytest.mark.parametrize(
    ("given", "facts"),
    [
        (VALUES[:3], r"x: got the shape \(3,\); give one value for each of the 4 neurons"),
        (3.0, r"x: got the shape \(\); give one value"),
        ("aabb", r"x: got the shape \(\); give one value"),
        ({"a": 1, "b": 2, "c": 3}, r"unknown neurons \[\], missing neurons \['d'\].*'a', 'b', 'c'"),
        (BACKWARDS | {"e": 1.0}, r"unknown neurons \['e'\], missing neurons \[\]"),
        (pd.Series(VALUES), r"unknown neurons \['0', '1', '2', '3'\]"),
        (xr.DataArray(VALUES, {"neuron": list("aabc")}), r"missing neurons \['d'\]"),
        (
            xr.DataArray(np.arange(5), {"neuron": list("aabcd")}),
            r"neurons \['a'\] are named twice; name each once",
        ),
        (xr.DataArray(VALUES, dims="unit"), r"got the dims \('unit',\).*'neuron' or 'post'"),
        ([[1, 2], [3], [4], [5]], "sequences of different lengths"),
        (dict(zip(NEURONS, [[1, 2], [3], [4], [5]], strict=True)), "different lengths"),
    ],
)
def test_values_that_do_not_suit_the_neurons(given, facts):
    refused(facts, by_neuron, "x", given, NEURONS)


# --- blocks --------------------------------------------------------------------------------------


def known_labels(labels, **kwargs):
    return blocks("BlockEdges", None, labels, None, **kwargs)


TYPES = dict(zip(NEURONS, ["on", "off", "off", "on"], strict=True))


@pytest.mark.parametrize(
    ("labels", "names", "index"),
    [
        (["on", "off", "off", "on"], ["off", "on"], [1, 0, 0, 1]),
        (np.array(["x", "x", "x", "x"]), ["x"], [0, 0, 0, 0]),
        ([10, 9, 9, 100], ["9", "10", "100"], [1, 0, 0, 2]),
        ([True, False, False, True], ["False", "True"], [1, 0, 0, 1]),
        (dict(reversed(TYPES.items())), ["off", "on"], [1, 0, 0, 1]),
        (pd.Series(TYPES)[::-1], ["off", "on"], [1, 0, 0, 1]),
        (pd.Series(TYPES, dtype="category"), ["off", "on"], [1, 0, 0, 1]),
        (xr.DataArray(["u", "v", "w", "u"], {"post": list("dcba")}), ["u", "v", "w"], [0, 2, 1, 0]),
    ],
)
def test_known_labels(model, labels, names, index):
    of = known_labels(labels)
    assert (of.n_blocks, of.dims) == (len(names), ("block_post", "block_pre"))
    assert list(model.coords["block_post"]) == list(model.coords["block_pre"]) == names
    assert model.named_vars_to_dims["block_labels"] == ("post",)
    known = model["block_labels"].get_value()
    np.testing.assert_array_equal(known, index)
    assert known.dtype.kind == "i"
    assert not model.free_RVs


@pytest.mark.parametrize(
    ("labels", "facts"),
    [
        (["on", "off", "on"], r"BlockEdges\(labels\): got the shape \(3,\).*4 neurons"),
        (TYPES | {"e": "on"}, r"BlockEdges\(labels\): unknown neurons \['e'\]"),
        ({"a": "on"}, r"missing neurons \['b', 'c', 'd'\]"),
        ("oooo", r"BlockEdges\(labels\): got the shape \(\)"),
        (
            np.zeros((N, 2), int),
            r"BlockEdges\(labels\): got the shape \(4, 2\).*one name or number",
        ),
        ([0, 1, np.nan, 1], r"neurons \['c'\] have no label; .*leave labels out to infer them all"),
        (["on", None, "off", None], r"neurons \['b', 'd'\] have no label"),
        (["on", np.nan, "off", "on"], r"neurons \['b'\] have no label"),
        (["on", 1, "off", 2], r"got \['on', 1, 'off'\] and so on; give either names or numbers"),
    ],
)
def test_bad_labels(model, labels, facts):
    refused(facts, known_labels, labels)


@pytest.mark.parametrize("n_blocks", [0, -1, 5, 2.0, 2.5, "2", True, False, np.nan, None, [2]])
def test_bad_numbers_of_blocks(model, n_blocks):
    facts = (
        "largest number of blocks, or labels"
        if n_blocks is None
        else f"got {re.escape(repr(n_blocks))}, allowed are whole numbers from 1 to 4 .the number"
    )
    refused(rf"^BlockEdges\(n_blocks.*{facts}", blocks, "BlockEdges", n_blocks, None, None)


def test_labels_determine_the_number_of_blocks(model):
    refused(
        r"BlockEdges\(n_blocks=3\): the number of different labels is 2, \['off', 'on'\]; leave n",
        blocks, "BlockEdges", 3, TYPES, None,
    )  # fmt: skip
    refused(
        r"BlockEdges\(concentration\): .*of latent labels, but labels are given; leave out one",
        blocks, "BlockEdges", 2, TYPES, 0.5,
    )  # fmt: skip
    assert blocks("BlockEdges", 2, TYPES, None).n_blocks == 2


@pytest.mark.parametrize(("prefix", "name"), [("", "block"), ("weight_", "weight_block")])
def test_latent_labels(model, prefix, name):
    of = blocks("BlockWeights", np.int32(3), None, None, prefix=prefix)
    assert of.n_blocks == 3
    assert of.dims == (f"{name}_post", f"{name}_pre")
    assert tuple(model.coords[f"{name}_post"]) == ("0", "1", "2")
    (labels,) = model.free_RVs
    assert labels.name == f"{name}_labels" and labels.dtype == "int64"
    assert model.named_vars_to_dims[labels.name] == ("post",)


def test_blocks_are_shared_by_name(model):
    first = blocks("BlockEdges", 2, None, None)
    again = blocks("BlockWeights", None, None, None)
    assert again.labels is first.labels and again.n_blocks == 2
    separate = blocks("BlockWeights", 3, None, None, prefix="weight_")
    assert separate.labels is not first.labels
    assert {rv.name for rv in model.free_RVs} == {"block_labels", "weight_block_labels"}


def test_a_table_is_spread_over_pairs_post_first(model):
    of = known_labels([2, 0, 1, 0])
    table = np.random.default_rng(1).normal(size=(3, 3, 2))
    spread = between(pm.math.constant(table), of, N).eval(mode=INTERPRETED)
    index = [2, 0, 1, 0]
    for post, pre in itertools.product(range(N), range(N)):
        np.testing.assert_array_equal(spread[post, pre], table[index[post], index[pre]])


# --- the distribution of block labels ------------------------------------------------------------


def urn(labels, concentration):
    """Pólya's urn: the i-th neuron has label k with probability (a_k + n_k) / (sum a + i)."""
    probability = 1.0
    for i, label in enumerate(labels):
        before = sum(other == label for other in labels[:i])
        probability *= (concentration[label] + before) / (sum(concentration) + i)
    return probability


def labelings(n_blocks, n):
    return list(itertools.product(range(n_blocks), repeat=n))


def probability_of(concentration, values):
    concentration = np.asarray(concentration, float)
    density = pm.logp(pg.BlockLabels.dist(concentration, values.shape[-1]), values)
    return np.exp(density.eval(mode=INTERPRETED))


@pytest.mark.parametrize("concentration", [[1 / 3] * 3, [0.2, 1.0, 2.5], [4.0, 4.0], [0.7]])
def test_probabilities_are_polyas_urn_and_sum_to_one(concentration):
    values = labelings(len(concentration), 4)
    found = [probability_of(concentration, np.array(one)) for one in values]
    np.testing.assert_allclose(found, [urn(one, concentration) for one in values])
    assert math.fsum(found) == pytest.approx(1)


@pytest.mark.parametrize("concentration", [[1 / 3] * 3, [0.2, 1.0, 2.5]])
def test_draws_have_these_probabilities(concentration):
    """Chi-square over all 27 labellings; a right sampler fails once in 10000 seeds."""
    n_draws = 5000
    labels = pg.BlockLabels.dist(np.array(concentration), 3)
    draws = pm.draw(labels, n_draws, random_seed=1, mode=INTERPRETED)
    assert draws.shape == (n_draws, 3)
    values = labelings(3, 3)
    counts = np.array([(draws == one).all(axis=1).sum() for one in values])
    assert counts.sum() == n_draws
    expected = n_draws * np.array([urn(one, concentration) for one in values])
    rare = expected < 10
    counts, expected = (np.append(x[~rare], x[rare].sum()) for x in (counts, expected))
    keep = expected > 0
    assert stats.chisquare(counts[keep], expected[keep]).pvalue > 1e-4


def test_labels_out_of_range_are_impossible():
    assert probability_of([1.0, 1.0], np.array([0, 2])) == 0
    assert probability_of([1.0, 1.0], np.array([-1, 0])) == 0
    with pytest.raises(pm.logprob.utils.ParameterValueError, match="concentration > 0"):
        probability_of([1.0, 0.0], np.array([0, 1]))


def test_the_support_point_uses_all_blocks(model):
    blocks("BlockEdges", 3, None, None)
    np.testing.assert_array_equal(model.initial_point(1)["block_labels"], [0, 1, 2, 0])
    free, value = model["block_labels"], model.initial_point(1)["block_labels"]
    assert np.isfinite(pm.logp(free, value).eval(mode=INTERPRETED))


@pytest.mark.parametrize(
    ("concentration", "expected"),
    [(None, [1 / 3] * 3), (0.7, [0.7] * 3), ([0.5, 1, 2], [0.5, 1, 2]), (1, [1] * 3)],
)
def test_fixed_concentrations(model, concentration, expected):
    of = blocks("BlockEdges", 3, None, concentration)
    assert "concentration" not in model.named_vars
    density = pm.logp(of.labels, np.array([0, 2, 2, 1])).eval(mode=INTERPRETED)
    np.testing.assert_allclose(np.exp(density), urn([0, 2, 2, 1], expected))


@pytest.mark.parametrize("prefix", ["", "weight_"])
@pytest.mark.parametrize("kind", ["learned", "scalar", "of each"])
def test_learned_concentrations(model, kind, prefix):
    """One for all blocks unless the distribution has one for each."""
    prior = {
        "learned": "learned",
        "scalar": pm.Gamma.dist(2.0, 3.0),
        "of each": pm.Gamma.dist(2.0, 3.0, shape=3),
    }[kind]
    expected = stats.gamma(10, scale=1 / 30) if kind == "learned" else stats.gamma(2, scale=1 / 3)
    of = blocks("BlockEdges", 3, None, prior, prefix=prefix)
    concentration = model[f"{prefix}concentration"]
    value = np.array([0.4, 0.5, 0.9]) if kind == "of each" else np.array(0.4)
    assert concentration.type.ndim == value.ndim
    if kind == "of each":
        assert model.named_vars_to_dims[concentration.name] == (f"{prefix}block",)
        assert tuple(model.coords[f"{prefix}block"]) == ("0", "1", "2")
    density = pm.logp(concentration, value).eval(mode=INTERPRETED)
    # PyMC holds the scale 1 / beta of a gamma in single precision.
    np.testing.assert_allclose(density, expected.logpdf(value), rtol=2e-5)
    labels = np.array([0, 2, 2, 1])
    density = pm.logp(of.labels, labels).eval({concentration: value}, mode=INTERPRETED)
    np.testing.assert_allclose(np.exp(density), urn(labels, np.broadcast_to(value, 3)))


def test_nuts_takes_a_learned_concentration():
    counts = np.eye(20, 4, dtype=int)
    basis = pg.basis.raised_cosine(1, window=0.05, bin_width=0.005)
    edges = pg.BlockEdges(2, concentration="learned")
    with pg.build_glm(counts, basis, edges=edges) as model:
        assert pg.NetworkNUTS.competence(model["concentration"], True) > 0


@pytest.mark.parametrize(
    ("concentration", "facts"),
    [
        (0.0, "got 0.0, allowed are finite numbers of at least 1e-06"),
        (-1, "got -1"),
        (np.inf, "got inf"),
        ([1.0, 2.0], r"got \[1.0, 2.0\]; give a number, an array of shape \(3,\)"),
        ([1.0, 2.0, 0.0], r"got 0.0 at index \(2,\)"),
        ("sparse", "got 'sparse'"),
        (pm.Gamma.dist(2, 3, shape=2), r"shape \(2,\); give a scalar one, or one of shape \(3,\)"),
    ],
)
def test_bad_concentrations(model, concentration, facts):
    refused(f"^concentration: .*{facts}", blocks, "BlockEdges", 3, None, concentration)


# --- positions -----------------------------------------------------------------------------------


def test_latent_positions(model):
    place = positions("DistanceEdges", None, None)
    assert place.known_length is None
    assert model.named_vars_to_dims["latent_positions"] == ("post", "latent_dim")
    assert tuple(model.coords["latent_dim"]) == ("0", "1")
    density = pm.logp(model["latent_positions"], np.full((N, 2), 0.7)).eval(mode=INTERPRETED)
    np.testing.assert_allclose(density, np.full((N, 2), stats.norm.logpdf(0.7)))
    again = positions("DistanceWeights", None, None)
    assert again.values is place.values
    separate = positions("DistanceWeights", 3, None, prefix="weight_")
    assert separate.values.name == "weight_latent_positions"
    assert model.named_vars_to_dims[separate.values.name] == ("post", "weight_latent_dim")


@pytest.mark.parametrize("form", ["array", "mapping", "DataArray", "integers", "DataFrame"])
def test_known_positions(model, form):
    order = [3, 1, 0, 2]
    names, rows = [NEURONS[i] for i in order], PLACES[order]
    known = {
        "array": PLACES,
        "mapping": dict(zip(names, rows.tolist(), strict=True)),
        "DataArray": xr.DataArray(rows, {"neuron": names, "space": ["x", "y"]}),
        "integers": PLACES.astype(int),
        "DataFrame": pd.DataFrame(rows, index=names, columns=["x", "y"]),
    }[form]
    place = positions("DistanceEdges", None, known)
    stored = model["latent_positions"].get_value()
    np.testing.assert_array_equal(stored, PLACES)
    assert stored.dtype == np.float64 and not model.free_RVs
    squares = [((PLACES[i] - PLACES[j]) ** 2).sum() for i, j in itertools.combinations(range(N), 2)]
    assert place.known_length == pytest.approx(np.sqrt(np.mean(squares)))


@pytest.mark.parametrize(
    ("known", "n_dims", "facts"),
    [
        (PLACES[:3], None, r"positions\): got the shape \(3, 2\).*4 neurons"),
        (PLACES[:, 0], None, r"positions\): got the shape \(4,\).*along a line, shape \(4, 1\)"),
        (PLACES[:, :0], None, r"positions\): got the shape \(4, 0\)"),
        (PLACES[:, :, None], None, r"positions\): got the shape \(4, 2, 1\)"),
        (PLACES.astype(str), None, r"positions\): got the shape \(4, 2\) of <U.*give numbers"),
        (PLACES > 0, None, r"positions\): got the shape \(4, 2\) of bool; give numbers"),
        ("left", None, r"positions\): got the shape \(\)"),
        (np.where(PLACES == 40, np.nan, PLACES), None, r"\[0.0, nan\] for neuron 'c'; give finite"),
        (np.where(PLACES == 80, np.inf, PLACES), None, r"\[60.0, inf\] for neuron 'd'"),
        (np.ones((N, 2)), None, r"all neurons are at the same place, \[1.0, 1.0\]"),
        (PLACES, 3, r"n_dims=3\): the given positions have the shape \(4, 2\); leave"),
        ({"a": [0, 0], "x": [1, 1]}, None, r"unknown neurons \['x'\], missing neurons \['b', 'c',"),
        ({"a": [0], "b": [1, 2], "c": [3], "d": [4]}, None, "different lengths"),
        ([[0, 0], [1, None], [0, 1], [1, 1]], None, "of object; give numbers"),
    ],
)
def test_bad_positions(model, known, n_dims, facts):
    refused(r"^DistanceEdges\(.*" + facts, positions, "DistanceEdges", n_dims, known)


@pytest.mark.parametrize("n_dims", [0, -2, 4, 2.0, "2", True, [1]])
def test_bad_numbers_of_dims(model, n_dims):
    facts = f"got {re.escape(repr(n_dims))}, allowed are whole numbers from 1 to 3 .below the num"
    refused(rf"DistanceEdges\(n_dims\): {facts}", positions, "DistanceEdges", n_dims, None)


def test_a_single_neuron_has_no_place_among_others():
    with alone():
        refused("single neuron.*leave this prior out", positions, "DistanceEdges", None, None)
    with alone():
        refused("same place", positions, "DistanceEdges", None, [[0.0, 1.0]])
    with alone():
        refused(
            "there are no pairs",
            pair_features, "FeatureEdges", [[1.0]], kind="edge", standardize=True,
        )  # fmt: skip
    with alone():
        assert blocks("BlockEdges", 1, None, None).n_blocks == 1


@pytest.mark.parametrize("known", [None, PLACES])
@pytest.mark.parametrize("median", [1.0, np.array([0.5, 2.0])])
def test_length_scales_are_in_units_of_the_positions(model, known, median):
    """Log-normal around the median; for known positions in units of half their rms distance."""
    place = positions("DistanceEdges", None, known)
    model.add_coord("basis", [0, 1])
    dims = ("basis",) if np.ndim(median) else ()
    scale = length_scale("edge_length_scale", "learned", place, median, dims)
    unit = 1.0 if known is None else place.known_length / 2
    value = unit * np.broadcast_to(1.3, np.shape(median))
    np.testing.assert_allclose(
        pm.logp(scale, value).eval(mode=INTERPRETED),
        stats.lognorm.logpdf(value, 0.75, scale=unit * median),
    )


# --- features of pairs ---------------------------------------------------------------------------


def stored_features(model, features, *, kind="edge", standardize=False):
    _, dim = pair_features("FeatureEdges", features, kind=kind, standardize=standardize)
    assert dim == f"{kind}_feature"
    assert model.named_vars_to_dims[f"{kind}_features"] == ("post", "pre", dim)
    return list(model.coords[dim]), model[f"{kind}_features"].get_value()


def shuffled(matrix, *features):
    """A DataArray (…, pre, post) with the neurons in another order."""
    post, pre = [2, 0, 1, 3], [3, 2, 1, 0]
    coords = {"post": [NEURONS[i] for i in post], "pre": [NEURONS[i] for i in pre]}
    array = xr.DataArray(matrix[np.ix_(post, pre)], coords, dims=("post", "pre", *features))
    return array.transpose(..., "pre", "post")


STACK = np.stack([DISTANCE, DIRECTED], axis=-1)


@pytest.mark.parametrize(
    ("features", "names", "expected"),
    [
        (DIRECTED, ["0"], [DIRECTED]),
        (DIRECTED.tolist(), ["0"], [DIRECTED]),
        (STACK, ["0", "1"], [DISTANCE, DIRECTED]),
        ({"distance": DISTANCE, 7: DIRECTED}, ["distance", "7"], [DISTANCE, DIRECTED]),
        ({"same type": DISTANCE > 2}, ["same type"], [1.0 * (DISTANCE > 2)]),
        ({"drive": shuffled(DIRECTED)}, ["drive"], [DIRECTED]),
        (shuffled(DIRECTED), ["0"], [DIRECTED]),
        (shuffled(DIRECTED).rename("drive"), ["drive"], [DIRECTED]),
        (
            shuffled(STACK, "what").assign_coords(what=["probe distance", "drive"]),
            ["probe distance", "drive"],
            [DISTANCE, DIRECTED],
        ),
        (xr.DataArray(DIRECTED, dims=("post", "pre")), ["0"], [DIRECTED]),
        (shuffled(DIRECTED).transpose("post", "pre").to_pandas(), ["0"], [DIRECTED]),
        ({"x": shuffled(DIRECTED).transpose("post", "pre").to_pandas()}, ["x"], [DIRECTED]),
    ],
)
def test_features_are_matched_by_name(model, features, names, expected):
    found, array = stored_features(model, features)
    assert found == names
    np.testing.assert_array_equal(array, np.stack(expected, axis=-1))
    assert array.dtype == np.float64


@pytest.mark.parametrize("kind", ["edge", "weight"])
def test_features_are_standardized_over_pairs_of_different_neurons(model, kind):
    skewed = DIRECTED + 1000 * np.eye(N)  # the diagonal must not count
    features, dim = pair_features(
        "FeatureEdges", {"drive": skewed, "distance": DISTANCE}, kind=kind, standardize=True
    )
    np.testing.assert_array_equal(model[f"{kind}_features"].get_value()[..., 0], skewed)
    array = features.eval(mode=INTERPRETED)
    pairs = array[BETWEEN]
    np.testing.assert_allclose(pairs.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(pairs.std(axis=0), 1)
    mean, sd = skewed[BETWEEN].mean(), skewed[BETWEEN].std()
    np.testing.assert_allclose(array[..., 0], (skewed - mean) / sd)
    for name, value in (("mean", mean), ("sd", sd)):
        stored = model[f"{kind}_features_{name}"]
        assert model.named_vars_to_dims[stored.name] == (dim,)
        np.testing.assert_allclose(stored.get_value()[0], value)


def test_an_unused_diagonal_may_be_anything(model):
    features, _ = pair_features(
        "FeatureEdges",
        {"distance": changed(DISTANCE, 1, 1, np.nan)},
        kind="edge",
        standardize=False,
        diagonal=False,
    )
    np.testing.assert_array_equal(features.eval(mode=INTERPRETED)[..., 0], DISTANCE)


def changed(matrix, post, pre, value):
    matrix = np.array(matrix, float)
    matrix[post, pre] = value
    return matrix


@pytest.mark.parametrize(
    ("features", "facts"),
    [
        ({}, "got no features; give at least one"),
        (None, r"got the shape \(\); give \(post, pre\), \(post, pre, feature\), or a mapping"),
        (3.0, r"got the shape \(\)"),
        (np.zeros(N), r"got the shape \(4,\)"),
        ([DISTANCE, DIRECTED], r"got the shape \(2, 4, 4\); give \(4, 4, feature\)"),
        (DISTANCE[:3], r"\['0'\]\): got the shape \(3, 4\).*\(post, pre\) of the 4 neurons"),
        ({"drive": DIRECTED[:, :2]}, r"\['drive'\]\): got the shape \(4, 2\)"),
        ({"drive": VALUES}, r"\['drive'\]\): got the shape \(4,\)"),
        ({"drive": 1.0}, r"\['drive'\]\): got the shape \(\)"),
        ({"drive": [[1, 2], [3]]}, r"\['drive'\]\): got sequences of different lengths"),
        ([[1, 2], [3]], "got sequences of different lengths"),
        ({"layer": np.full((N, N), "L4")}, "of <U2; give numbers"),
        ({"drive": DIRECTED.astype(object)}, "of object; give numbers"),
        ({"drive": changed(DIRECTED, 2, 0, np.nan)}, "nan for the pair from 'a' to 'c'; give fini"),
        ({"drive": changed(DIRECTED, 1, 3, np.inf)}, "inf for the pair from 'd' to 'b'"),
        ({"drive": changed(DIRECTED, 1, 1, np.nan)}, "nan for the pair from 'b' to 'b'"),
        ({"drive": np.full((N, N), 2.0) + np.eye(N)}, "it is 2 for all pairs .*leave it out"),
        ({"distance": changed(DISTANCE, 0, 1, 9)}, "got 9 from 'b' to 'a' and 1 back.*same in bo"),
        ({"Probe Distance": -DISTANCE}, "got -1 from 'b' to 'a'.*not negative; correct it"),
        ({"distance": changed(DISTANCE, 3, 3, -1)}, "got -1 from 'd' to 'd'"),
        ({1: DISTANCE, "1": DIRECTED}, r"the names \['1', '1'\] repeat"),
        (xr.DataArray(DISTANCE, dims=("a", "b")), r"got the dims \('a', 'b'\), allowed are post"),
        ({"x": xr.DataArray(DISTANCE, dims=("post", "b"))}, r"got the dims \('post', 'b'\), allow"),
        (
            xr.DataArray(STACK, dims=("post", "pre", "what")).assign_coords(what=["x", "x"]),
            r"the names \['x', 'x'\] repeat",
        ),
        (
            xr.DataArray(DIRECTED, {"post": list("abcx"), "pre": NEURONS}),
            r"post: unknown neurons \['x'\], missing neurons \['d'\]",
        ),
        (
            xr.DataArray(DIRECTED, {"post": NEURONS, "pre": list("aabc")}),
            r"pre: unknown neurons \[\], missing neurons \['d'\]",
        ),
        (xr.DataArray(np.ones((5, N)), dims=("post", "pre")), r"got the shape \(5, 4\)"),
    ],
)
def test_bad_features(model, features, facts):
    refused(
        rf"^FeatureEdges\(features.*{facts}",
        pair_features, "FeatureEdges", features, kind="edge", standardize=True,
    )  # fmt: skip


def test_what_is_no_distance_may_have_a_direction(model):
    assert stored_features(model, {"drive": -DIRECTED})[0] == ["drive"]
