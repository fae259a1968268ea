from itertools import permutations

import arviz as az
import numpy as np
import pytest
import xarray as xr

import pymc_glm as pg
from helpers.structured_tree import block_tree, renumbered, with_variables, without
from helpers.synthetic_tree import example, markov_indicator, tree_of
from pymc_glm.criticism.structure.relabelling import (
    adjusted_rand_index,
    co_assignment,
    least_squares_draw,
    relabelling,
)

TYPES = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2])  # numbered by size, as in summaries
PROBABILITY = np.array([[0.5, 0.1, 0.05], [0.3, 0.05, 0.6], [0.02, 0.3, 0.2]])


def random_partitions(seed, n_draws=40, n_neurons=8, n_blocks=3):
    return np.random.default_rng(seed).integers(0, n_blocks, (n_draws, n_neurons))


def renumber(labels, new):
    return np.take_along_axis(new, labels, axis=1)


def labels_tree(labels, **more):
    """A tree with labels (chain, draw, post) only."""
    names = [f"n{i}" for i in range(labels.shape[2])]
    dims = {"block_labels": ["post"]} | {name: dims for name, (dims, _) in more.items()}
    posterior = {"block_labels": labels} | {name: values for name, (_, values) in more.items()}
    return az.from_dict({"posterior": posterior}, coords={"post": names}, dims=dims)


# Agreement with the truth


@pytest.mark.parametrize(
    ("labels", "truth", "expected"),
    [
        # Pairs together in both 1, in the first 2, in the second 1, of 6: (1 - 1/3) / (3/2 - 1/3)
        ([0, 0, 1, 1], [0, 0, 1, 2], 4 / 7),
        ([0, 1, 0, 1], [0, 0, 1, 1], -0.5),  # (0 - 4/6) / (2 - 4/6)
        ([2, 2, 0, 0], [0, 0, 1, 1], 1.0),
        ([1, 1, 1, 1], [0, 0, 0, 0], 1.0),
        ([0, 1, 2, 3], [3, 2, 1, 0], 1.0),
        ([0, 0, 0, 0], [0, 0, 1, 1], 0.0),
    ],
)
def test_adjusted_rand_by_hand(labels, truth, expected):
    index = adjusted_rand_index(np.array([labels]), np.array(truth))
    assert index[0] == pytest.approx(expected, abs=1e-15)


def test_adjusted_rand_of_unrelated_partitions_is_zero_on_average():
    labels = random_partitions(1, n_draws=20_000, n_neurons=12)
    index = adjusted_rand_index(labels, labels[0])
    assert abs(index[1:].mean()) < 4 * index.std() / np.sqrt(len(index))


def test_adjusted_rand_against_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    labels = random_partitions(2, n_draws=100, n_neurons=15, n_blocks=4)
    expected = [metrics.adjusted_rand_score(labels[0], draw) for draw in labels]
    np.testing.assert_allclose(adjusted_rand_index(labels, labels[0]), expected, atol=1e-12)


# Relabelling


@pytest.mark.parametrize("seed", range(10))
def test_least_squares_draw_against_the_definition(seed):
    labels = random_partitions(seed)
    together = (labels[:, :, None] == labels[:, None, :]).astype(float)
    np.testing.assert_allclose(co_assignment(labels, 3), together.mean(axis=0))
    loss = ((together - together.mean(axis=0)) ** 2).sum(axis=(1, 2))
    found = least_squares_draw(labels, 3, co_assignment(labels, 3))
    assert loss[found] == pytest.approx(loss.min())


def test_one_partition_numbered_at_random_becomes_one_numbering():
    rng = np.random.default_rng(4)
    labels = np.array([rng.permutation(3)[TYPES] for _ in range(50)])
    np.testing.assert_array_equal(renumber(labels, relabelling(labels, 3)), np.tile(TYPES, (50, 1)))


def test_blocks_are_numbered_by_size():
    labels = np.tile([0, 0, 1, 1, 1, 1, 2, 2, 2], (5, 1))
    found = renumber(labels, relabelling(labels, 3))
    np.testing.assert_array_equal(found[0], [2, 2, 0, 0, 0, 0, 1, 1, 1])


@pytest.mark.parametrize("n_blocks", [2, 3, 5])  # of five some are empty
def test_relabelling_depends_on_the_partitions_alone(n_blocks):
    rng = np.random.default_rng(5)
    labels = random_partitions(6, n_blocks=min(n_blocks, 4))
    shuffled = np.array([rng.permutation(n_blocks)[draw] for draw in labels])
    new = relabelling(shuffled, n_blocks)
    assert (np.sort(new, axis=1) == np.arange(n_blocks)).all()
    np.testing.assert_array_equal(
        renumber(shuffled, new), renumber(labels, relabelling(labels, n_blocks))
    )


def test_every_draw_has_the_best_of_all_numberings():
    # Draws around one partition; given the label probabilities of all draws, no other
    # renumbering of any draw is more probable.
    rng = np.random.default_rng(7)
    labels = np.where(rng.random((60, 9)) < 0.3, rng.integers(0, 3, (60, 9)), TYPES)
    labels = np.array([rng.permutation(3)[draw] for draw in labels])
    found = renumber(labels, relabelling(labels, 3))
    counts = np.stack([(found == k).sum(axis=0) for k in range(3)], axis=1)
    log_q = np.log((counts + 0.5) / (60 + 1.5))
    neurons = np.arange(9)
    for draw in found:
        scores = [log_q[neurons, np.array(p)[draw]].sum() for p in permutations(range(3))]
        assert log_q[neurons, draw].sum() == pytest.approx(max(scores))


def test_tables_follow_their_labels():
    plain = block_tree(TYPES, probability=PROBABILITY, unsure=(3, 6), flip=0.2, renumber=False)
    mixed = block_tree(TYPES, probability=PROBABILITY, unsure=(3, 6), flip=0.2)
    assert not (plain["posterior"]["block_labels"] == mixed["posterior"]["block_labels"]).all()
    found = pg.block_summary(mixed)
    for name in ("block_labels", "edge_probability", "weight_mean"):
        xr.testing.assert_identical(found.posterior[name], plain["posterior"][name])
    assert set(found.posterior.data_vars) == {"block_labels", "edge_probability", "weight_mean"}
    np.testing.assert_allclose(
        found.posterior["edge_probability"].mean(["chain", "draw"]), PROBABILITY, atol=0.005
    )


def test_the_network_of_a_draw_is_the_same_after_relabelling():
    # A pair's probability, table[label of post, label of pre], does not depend on the numbering;
    # here also with an empty block and a table of three dimensions.
    tree = block_tree(TYPES, unsure=range(9), flip=0.4, n_blocks=4)
    before, after = tree["posterior"].to_dataset(), pg.block_summary(tree).posterior
    for name in ("edge_probability", "weight_mean"):
        for chain, draw in [(0, 0), (1, 7), (3, 99)]:
            of_pairs = []
            for posterior in (before, after):
                here = posterior.isel(chain=chain, draw=draw)
                labels = here["block_labels"].values
                of_pairs.append(here[name].values[labels[:, None], labels])
            np.testing.assert_array_equal(*of_pairs)


def test_concentrations_follow_their_labels():
    rng = np.random.default_rng(8)
    labels = np.tile(TYPES, (2, 30, 1))
    concentration = np.tile([10.0, 20.0, 30.0], (2, 30, 1))
    labels, tables = renumbered(rng, labels, {"concentration": ((0,), concentration)})
    tree = labels_tree(labels, concentration=(["block"], tables["concentration"]))
    found = pg.block_summary(tree).posterior["concentration"]
    assert (found == [10.0, 20.0, 30.0]).all()
    unnamed = labels_tree(labels, concentration=(None, tables["concentration"]))
    unnamed["posterior"] = unnamed["posterior"].to_dataset().drop_vars("concentration").assign(
        concentration=(("chain", "draw", "concentration_dim_0"), tables["concentration"])
    )  # fmt: skip
    assert (pg.block_summary(unnamed).posterior["concentration"] == [10.0, 20.0, 30.0]).all()


# Summary


def test_probabilities_counted_by_hand():
    labels = np.array(
        [
            [[0, 0, 1], [1, 1, 0], [0, 1, 1], [0, 0, 0]],
            [[2, 2, 0], [0, 0, 1], [1, 1, 1], [0, 0, 1]],
        ]
    )
    found = pg.block_summary(labels_tree(labels))
    assert isinstance(found, pg.BlockSummary)
    expected = [[1, 7 / 8, 2 / 8], [7 / 8, 1, 3 / 8], [2 / 8, 3 / 8, 1]]
    np.testing.assert_allclose(found.co_assignment, expected)
    assert found.co_assignment.dims == ("post", "other")
    np.testing.assert_array_equal(found.n_used, [[2, 2, 2, 1], [2, 2, 1, 2]])
    np.testing.assert_allclose(found.n_used_probability.sel(n_used=[1, 2, 3]), [2 / 8, 6 / 8, 0])
    np.testing.assert_allclose(found.agreement["chain_min"].sel(post="n0", other="n1"), 3 / 4)
    np.testing.assert_allclose(found.agreement["chain_max"].sel(post="n2", other="n1"), 2 / 4)
    np.testing.assert_array_equal(found.labels, [0, 0, 1])
    # All have label 0 where they share one block; in draw 2 of the first chain {n1, n2} and {n0}
    # may have either number.
    np.testing.assert_allclose(found.label_probability.sum("block"), 1)
    np.testing.assert_allclose(found.label_probability.sel(post="n0", block="0"), 1)
    assert found.block_size.sum("block").values.tolist() == [[3] * 4] * 2
    assert (found.truth, found.adjusted_rand, found.network) == (None, None, None)


def test_monte_carlo_error_is_that_of_a_markov_chain():
    # As for edges: the mean of S draws with autocorrelation m^lag has variance
    # p (1 - p) (1 + m) / ((1 - m) S).
    rng = np.random.default_rng(9)
    probability, memory, n = 0.3, 0.6, 40
    labels = np.concatenate(
        [np.zeros((4, 1000, 1), int), markov_indicator(rng, np.full(n, 0.3), memory, 4, 1000)],
        axis=2,
    )
    found = pg.block_summary(labels_tree(labels))
    mcse = found.agreement["mcse"].sel(post="n0").values[1:]
    expected = np.sqrt(probability * (1 - probability) * (1 + memory) / (1 - memory) / 4000)
    assert mcse.mean() == pytest.approx(expected, rel=0.1)
    ess = found.agreement["ess"].sel(post="n0").values[1:].mean()
    assert ess == pytest.approx(4000 * (1 - memory) / (1 + memory), rel=0.15)
    r_hat = az.rhat(xr.DataArray(labels[..., 5] * 1.0, dims=("chain", "draw")), method="split")
    assert float(found.agreement["r_hat"].sel(post="n0", other="n5")) == pytest.approx(float(r_hat))
    assert np.isnan(found.agreement["r_hat"].sel(post="n3", other="n3"))


def test_chains_that_disagree_are_named():
    labels = np.tile([0, 0, 1, 1], (4, 200, 1))
    labels[1] = [0, 1, 1, 1]  # frozen at other labels: no R-hat
    found = pg.block_summary(labels_tree(labels))
    status = found.agreement["status"]
    assert str(status.sel(post="n0", other="n1").values) == "chains disagree"
    assert str(status.sel(post="n2", other="n3").values) == "settled"
    assert "disagree on whether neurons share a block for 3 of 6 pairs" in flat(found.text)
    assert "is 1.00 (n0 & n1)" in flat(found.text)


def test_chains_agree_when_they_only_number_blocks_differently():
    labels = np.tile(TYPES, (4, 100, 1))
    for chain, new in enumerate([[0, 1, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]):
        labels[chain] = np.array(new)[labels[chain]]
    found = pg.block_summary(labels_tree(labels))
    assert (found.agreement["status"] == "settled").all()
    assert (found.posterior["block_labels"] == TYPES).all()


@pytest.mark.parametrize("kind", ["array", "mapping", "DataArray", "names"])
def test_truth_in_every_form(kind):
    tree = block_tree(TYPES, unsure=(0, 5), flip=0.4)
    names = list(tree["posterior"]["post"].values)
    order = np.random.default_rng(10).permutation(9)
    truth = {
        "array": TYPES,
        "mapping": {names[i]: TYPES[i] for i in order},
        "DataArray": xr.DataArray(TYPES[order], {"neuron": [names[i] for i in order]}, "neuron"),
        "names": np.array(["pyramidal", "PV", "SST"])[TYPES],
    }[kind]
    found = pg.block_summary(tree, truth)
    drawn = tree["posterior"]["block_labels"].values.reshape(-1, 9)
    expected = adjusted_rand_index(drawn, TYPES).reshape(4, 100)
    np.testing.assert_array_equal(found.adjusted_rand, expected)
    assert found.adjusted_rand.dims == ("chain", "draw")
    assert 0.3 < float(found.adjusted_rand.mean()) < 1
    assert "Adjusted Rand index with the truth: median" in found.text


def test_network_of_edges_and_of_dense_models():
    tree = block_tree(TYPES)
    found = pg.block_summary(tree)
    xr.testing.assert_allclose(
        found.network, pg.network_matrix(tree).transpose("post", "pre"), check_dim_order=False
    )
    assert found.network.name == "probability"
    dense = pg.block_summary(without(tree, "adjacency"))
    assert dense.network.name == "weight"


def test_separate_labels_of_the_weights():
    tree = block_tree(TYPES)
    other = np.tile([0, 1] * 4 + [0], (4, 100, 1))
    tree = with_variables(
        tree,
        weight_block_labels=(("post",), 1 - other),
        other_table=(("weight_block_post", "weight_block_pre"), np.tile(np.eye(2), (4, 100, 1, 1))),
    )
    found = pg.block_summary(tree, labels="weight_block_labels")
    np.testing.assert_array_equal(found.labels, other[0, 0])
    assert set(found.posterior.data_vars) == {"weight_block_labels", "other_table"}
    with pytest.raises(ValueError, match="labels='weight_block_labels'"):
        pg.block_summary(without(tree, "block_labels", "edge_probability", "weight_mean"))


def test_order_of_dimensions_and_files_do_not_matter(tmp_path):
    tree = block_tree(TYPES, unsure=(3,))
    expected = pg.block_summary(tree)
    groups = {name: group.to_dataset() for name, group in tree.children.items()}
    groups["posterior"] = groups["posterior"].transpose(..., "draw", "chain")
    transposed = pg.block_summary(xr.DataTree.from_dict(groups))
    xr.testing.assert_allclose(transposed.co_assignment, expected.co_assignment)
    xr.testing.assert_identical(
        transposed.posterior["weight_mean"], expected.posterior["weight_mean"]
    )
    tree.to_netcdf(tmp_path / "posterior.nc", engine="h5netcdf")
    with xr.open_datatree(tmp_path / "posterior.nc", engine="h5netcdf") as saved:
        assert pg.block_summary(saved).text == expected.text


def test_text_fits_a_terminal_and_says_what_is_unsure():
    tree = block_tree(np.repeat([0, 1], [30, 20]), unsure=(0, 49), flip=0.45)
    found = pg.block_summary(tree)
    text = found.text
    assert max(map(len, text.split("\n"))) <= 88
    assert text in repr(found)
    assert "50 neurons, 4 chains of 100 draws. Blocks used (% of draws): 2 (100.0%)." in text
    assert "and 18 more" in text
    assert "For 2 neurons no label occurs in 95% of the draws: n" in text
    one = pg.block_summary(block_tree(TYPES, n_chains=1))
    assert "Convergence cannot be judged from one chain" in one.text
    assert "Every neuron has the same label in at least 95%" in one.text


# Errors


def test_trees_without_blocks():
    with pytest.raises(ValueError, match=r"learns no blocks.*pg\.sbm_glm.*pg\.edge_summary"):
        pg.block_summary(example(3, 1).tree)
    with pytest.raises(TypeError, match="tree: got dict"):
        pg.block_summary({})
    with pytest.raises(ValueError, match="tree: it has no group 'posterior'"):
        pg.block_summary(xr.DataTree.from_dict({"prior": xr.Dataset()}))
    known = with_variables(tree_of(np.ones((2, 10, 3, 3))), {"block_labels": ("post", [0, 0, 1])})
    with pytest.raises(ValueError, match=r"'block_labels' are known in this model, not learned"):
        pg.block_summary(known)


def test_labels_that_cannot_be_labels():
    tree = block_tree(TYPES)
    labels = tree["posterior"]["block_labels"]
    wrong = with_variables(tree, block_labels=(("post",), labels.values + 1))
    with pytest.raises(ValueError, match=r"has the value 3; allowed are 0 to 2 for 3 blocks"):
        pg.block_summary(wrong)
    wrong = with_variables(tree, block_labels=(("post",), labels.values * 1.0))
    with pytest.raises(ValueError, match=r"holds float64; allowed are whole numbers"):
        pg.block_summary(wrong)


@pytest.mark.parametrize(
    ("truth", "message"),
    [
        (TYPES[:5], r"truth: got the shape \(5,\).*9 neurons"),
        ({"n0": 1}, r"truth: .*missing neurons \['n1'"),
        ({f"n{i + 1}": 1 for i in range(9)}, r"truth: unknown neurons \['n9'\]"),
        (np.zeros((9, 2)), r"truth: got the shape \(9, 2\), allowed is \(9,\)"),
        ([1.0] * 8 + [np.nan], r"truth: the type of neuron 'n8' is nan"),
        (3, r"truth: got the shape \(\)"),
    ],
)
def test_wrong_truth(truth, message):
    with pytest.raises(ValueError, match=message):
        pg.block_summary(block_tree(TYPES, n_draws=10), truth)


# Convergence


def flat(text):
    return text.replace("\n  ", " ")


def test_chains_that_number_blocks_differently_have_converged():
    options = {"probability": PROBABILITY, "unsure": (2, 5), "n_draws": 500}
    plain = block_tree(TYPES, renumber=False, **options)
    posterior = plain["posterior"].to_dataset().copy(deep=True)
    for chain, new in enumerate([[0, 1, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]):
        posterior["block_labels"][chain] = np.array(new)[posterior["block_labels"].values[chain]]
        for name in ("edge_probability", "weight_mean"):
            table = posterior[name].values[chain].copy()
            posterior[name].values[chain][:, np.array(new)[:, None], new] = table
    groups = {name: group.to_dataset() for name, group in plain.children.items()}
    tree = xr.DataTree.from_dict(groups | {"posterior": posterior})
    assert float(az.rhat(posterior["edge_probability"]).max()) > 1.5
    report = pg.convergence_report(tree)
    assert report.converged, report.text
    assert report == pg.convergence_report(plain)
    assert 1 <= report.worst_r_hat < 1.01
    assert "not by the labels, whose numbers are arbitrary" in flat(report.text)
    assert "hyperparameters and latent structure have converged" in flat(report.text)


def test_chains_with_other_blocks_have_not_converged():
    rng = np.random.default_rng(11)
    tree = block_tree(TYPES, probability=np.round(PROBABILITY), n_draws=500)  # certain edges
    labels = np.tile(TYPES, (4, 500, 1))
    labels[..., 8] = np.where(rng.random((4, 500)) < 0.5, 2, 1)
    labels[0, :, 3] = 1
    labels[0, :, 7:] = 1  # two blocks instead of three
    report = pg.convergence_report(with_variables(tree, block_labels=(("post",), labels)))
    assert not report.converged
    assert {"n2 & n3", "n3 & n4", "n4 & n7"} <= set(report.blocks_disagreeing)
    assert "n0 & n1" not in report.blocks_not_converged
    assert report.blocks_not_converged[-1] == "number of blocks used"
    assert report.suggested_draws is None
    text = flat(report.text)
    n_pairs = len(report.blocks_disagreeing)
    assert f"disagree on whether {n_pairs} pairs of neurons share a block: n" in text
    assert "tune longer" in text and "the same blocks" in text
    assert np.isfinite(report.worst_r_hat)


def test_pairs_that_seldom_change_have_too_few_draws():
    rng = np.random.default_rng(12)
    labels = np.tile(TYPES, (4, 500, 1))
    labels[..., 0] = markov_indicator(rng, 0.5, 0.97, 4, 500)
    tree = block_tree(TYPES, probability=PROBABILITY, n_draws=500)
    report = pg.convergence_report(with_variables(tree, block_labels=(("post",), labels)))
    assert "n0 & n1" in report.blocks_not_converged
    assert not report.converged


def test_tables_of_empty_blocks_are_not_judged():
    tree = block_tree(TYPES, probability=np.full((4, 4), 0.3), n_blocks=4, n_draws=500)
    table = tree["posterior"]["edge_probability"].values.copy()
    labels = tree["posterior"]["block_labels"].values
    for c in range(4):
        for d in range(500):
            empty = (set(range(4)) - set(labels[c, d])).pop()
            table[c, d, empty] = c  # chains far apart, but only in empty blocks
    blocks = ("block_post", "block_pre")
    report = pg.convergence_report(with_variables(tree, edge_probability=(blocks, table)))
    assert report.hyperparameters_not_converged == ()
    assert report.converged, report.text
    assert "except of blocks that are empty in some draws" in flat(report.text)
    # Tables of used blocks are judged, under their numbers after relabelling.
    for c in range(4):
        for d in range(500):
            table[c, d, labels[c, d, 0], labels[c, d, 4]] += c
    report = pg.convergence_report(with_variables(tree, edge_probability=(blocks, table)))
    assert report.hyperparameters_not_converged == ("edge_probability[0, 1]",)


def test_models_without_structure_have_no_remarks():
    report = pg.convergence_report(example(3, 1, n_draws=100).tree)
    assert report.remarks == report.blocks_not_converged == report.positions_not_converged == ()


def test_tables_between_known_types_are_judged_as_they_are():
    tree = block_tree(TYPES, n_draws=200)
    table = tree["posterior"]["edge_probability"].values
    tree = without(with_variables(tree, {"block_labels": ("post", TYPES)}), "block_labels")
    tree = with_variables(
        tree, edge_probability=(("block_post", "block_pre"), table + np.eye(4)[:, :1, None, None])
    )
    report = pg.convergence_report(tree)
    assert "edge_probability[0, 0]" in report.hyperparameters_not_converged
    assert report.remarks == ()
