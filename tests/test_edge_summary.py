import logging
import tracemalloc

import arviz as az
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats
from scipy.special import expit

from helpers.synthetic_tree import BIN_WIDTH, example, markov_indicator, tree_of
from pymc_glm.criticism import (
    ConvergenceReport,
    convergence_report,
    edge_summary,
    filter_bands,
    network_matrix,
    predicted_rates,
)
from pymc_glm.criticism.network.discoveries import discoveries

COLUMNS = [
    "pre", "post", "probability", "p_effect", "mcse", "ess", "flips", "chain_min", "chain_max",
    "r_hat", "peak_mean", "peak_sd", "peak_lower", "peak_upper", "excitatory", "inhibitory",
    "discovered", "sign", "status",
]  # fmt: skip


@pytest.fixture(scope="module")
def network():
    return example(4, 3, n_draws=300)


def rows(table):
    return table.set_index(["post", "pre"])


# Indicators


def test_columns_and_order(network):
    table = edge_summary(network.tree, min_effect=0)
    assert list(table.columns) == COLUMNS
    assert len(table) == 16
    assert table["p_effect"].is_monotonic_decreasing
    assert table["p_effect"].equals(table["probability"])  # no smallest effect is asked for
    certain = table[table["probability"] == 1]["peak_mean"].abs()
    assert len(certain) > 1
    assert certain.is_monotonic_decreasing
    assert list(table.index) == list(range(16))


def test_self_edges_can_be_left_out(network):
    table = edge_summary(network.tree, include_self=False)
    assert len(table) == 12
    assert (table["pre"] != table["post"]).all()


def test_chains_that_disagree_are_named_in_the_log(caplog):
    rng = np.random.default_rng(0)
    adjacency = rng.random((4, 400, 3, 3)) < 0.5
    adjacency[:2, :, 2, 0] = True
    adjacency[2:, :, 2, 0] = False
    with caplog.at_level(logging.WARNING, logger="pymc_glm"):
        table = edge_summary(tree_of(adjacency.astype(float)))
    wrong = table[table["status"] == "chains disagree"]
    assert wrong[["post", "pre"]].values.tolist() == [["n2", "n0"]]
    assert "disagree on 1 of 9 edges (n0 -> n2)" in caplog.text
    caplog.clear()
    adjacency[:, :, 2, 0] = rng.random((4, 400)) < 0.5
    with caplog.at_level(logging.WARNING, logger="pymc_glm"):
        edge_summary(tree_of(adjacency.astype(float)))
    assert not caplog.text


def test_frequencies_and_flips_counted_by_hand():
    adjacency = np.zeros((2, 8, 2, 2))
    adjacency[0, :, 1, 0] = [1, 1, 0, 0, 1, 1, 1, 1]  # 2 flips, frequency 3/4
    adjacency[1, :, 1, 0] = [0, 1, 0, 1, 0, 1, 0, 1]  # 7 flips, frequency 1/2
    row = rows(edge_summary(tree_of(adjacency))).loc[("n1", "n0")]
    assert row["probability"] == 5 / 8
    assert row["flips"] == 9
    assert (row["chain_min"], row["chain_max"]) == (0.5, 0.75)


def test_mcse_of_a_markov_chain():
    # The mean of S draws of a chain with autocorrelation m^lag has variance
    # p (1 - p) (1 + m) / ((1 - m) S), up to terms of order 1/S^2.
    probability, memory, n = 0.3, 0.6, 12
    rng = np.random.default_rng(3)
    adjacency = markov_indicator(rng, np.full((n, n), probability), memory, 4, 1000)
    table = edge_summary(tree_of(adjacency))
    expected = np.sqrt(probability * (1 - probability) * (1 + memory) / (1 - memory) / 4000)
    assert table["mcse"].mean() == pytest.approx(expected, rel=0.05)
    # 144 estimates: their own standard deviation is known to 6% (one standard error).
    assert table["probability"].std() == pytest.approx(expected, rel=0.2)
    assert table["ess"].mean() == pytest.approx(4000 * (1 - memory) / (1 + memory), rel=0.1)


def test_r_hat_is_arviz_rank_normalised_r_hat(network):
    adjacency = network.tree["posterior"]["adjacency"]
    table = rows(edge_summary(network.tree, min_effect=0))
    flipping = table[table["flips"] > 0]
    assert len(flipping) > 5
    for (post, pre), row in flipping.iterrows():
        expected = az.rhat(adjacency.sel(post=post, pre=pre), method="rank")
        assert row["r_hat"] == pytest.approx(float(expected), rel=1e-9)


def test_edges_that_never_flip():
    adjacency = np.zeros((4, 100, 2, 2))
    adjacency[:, :, 0, 0] = 1  # present in all chains
    adjacency[0, :, 0, 1] = 1  # frozen at different values: an R-hat of 1e15 elsewhere
    table = rows(edge_summary(tree_of(adjacency)))
    present, absent = table.loc[("n0", "n0")], table.loc[("n1", "n0")]
    frozen = table.loc[("n0", "n1")]
    for row in (present, absent):
        assert (row["status"], row["mcse"], row["flips"]) == ("settled", 0, 0)
        assert np.isnan(row["ess"])
        assert np.isnan(row["r_hat"])
    assert frozen["status"] == "chains disagree"
    assert (frozen["chain_min"], frozen["chain_max"], frozen["flips"]) == (0, 1, 0)
    assert np.isnan(frozen["r_hat"])
    assert frozen["mcse"] > 0.1  # one of four chains: the probability is hardly known
    assert np.isnan(absent["peak_mean"])
    assert present["peak_mean"] == 1


def test_half_chains_that_are_frozen_have_no_r_hat():
    adjacency = np.zeros((2, 100, 1, 1))
    adjacency[:, 50:] = 1  # one flip, exactly where R-hat splits the chains
    row = edge_summary(tree_of(adjacency)).iloc[0]
    assert np.isnan(row["r_hat"])
    assert row["status"] == "too few draws"


def test_status_of_disagreeing_slow_and_good_edges():
    rng = np.random.default_rng(5)
    adjacency = np.zeros((4, 1000, 2, 2))
    adjacency[:, :, 0, 0] = markov_indicator(rng, 0.4, 0.3, 4, 1000)
    adjacency[:, :, 0, 1] = markov_indicator(rng, 0.4, 0.98, 4, 1000)
    adjacency[:3, :, 1, 0] = markov_indicator(rng, 0.3, 0.3, 3, 1000)
    adjacency[3:, :, 1, 0] = markov_indicator(rng, 0.6, 0.3, 1, 1000)
    adjacency[0, :, 1, 1] = markov_indicator(rng, 0.5, 0.3, 1, 1000)[
        0
    ]  # the other chains never flip
    table = rows(edge_summary(tree_of(adjacency)))["status"]
    assert table[("n0", "n0")] == "ok"
    assert table[("n0", "n1")] == "too few draws"
    assert table[("n1", "n0")] == "chains disagree"
    assert table[("n1", "n1")] == "chains disagree"


@pytest.mark.parametrize("probability", [0.02, 0.5])
def test_converged_chains_are_not_reported_to_disagree(probability):
    # The family-wise level is 1%; of these 4 networks of 400 edges none should raise an alarm.
    rng = np.random.default_rng(11)
    for memory in (0.0, 0.8):
        adjacency = markov_indicator(rng, np.full((20, 20), probability), memory, 4, 500)
        status = edge_summary(tree_of(adjacency))["status"]
        assert not (status == "chains disagree").any()


def test_one_chain_and_few_draws():
    rng = np.random.default_rng(2)
    one = edge_summary(tree_of(markov_indicator(rng, np.full((2, 2), 0.5), 0.2, 1, 1000)))
    assert one["r_hat"].isna().all()
    assert (one["status"] == "ok").all()
    three = markov_indicator(rng, np.full((2, 2), 0.5), 0.0, 2, 3)
    few = edge_summary(tree_of(three))
    assert set(few["status"]) <= {"too few draws", "settled", "chains disagree"}
    assert len(edge_summary(tree_of(three[:, :1]))) == 4


# Couplings


def test_weights_are_the_filters_at_their_peaks_given_the_edge(network):
    posterior = network.tree["posterior"].to_dataset()
    basis = network.tree["constant_data"]["basis_functions"]
    table = rows(edge_summary(network.tree))
    filters = xr.dot(posterior["weights"], basis, dim="basis")
    for post, pre in [("1", "1"), ("2", "1"), ("3", "2")]:
        here = {"post": post, "pre": pre}
        present = posterior["adjacency"].sel(here).values.ravel() == 1
        draws = filters.sel(here).transpose("chain", "draw", "lag").values.reshape(len(present), -1)
        draws = draws[present]
        at_peak = draws[:, np.abs(draws.mean(axis=0)).argmax()]
        row = table.loc[(post, pre)]
        assert row["peak_mean"] == pytest.approx(at_peak.mean())
        assert row["peak_sd"] == pytest.approx(at_peak.std(ddof=1))
        assert [row["peak_lower"], row["peak_upper"]] == pytest.approx(
            list(az.hdi(at_peak, prob=0.94))
        )


def test_network_matrix_agrees_with_the_summary(network):
    table = rows(edge_summary(network.tree)).fillna(0.0)
    probability = network_matrix(network.tree)
    weight = network_matrix(network.tree, "weight")
    assert weight.dims == ("post", "pre")
    for (post, pre), row in table.iterrows():
        assert float(probability.sel(post=post, pre=pre)) == pytest.approx(row["probability"])
        assert float(weight.sel(post=post, pre=pre)) == pytest.approx(
            row["probability"] * row["peak_mean"]
        )
    with pytest.raises(ValueError, match=r"quantity: got 'sign'.*'probability', 'weight'"):
        network_matrix(network.tree, "sign")


def test_order_of_dimensions_does_not_matter(network):
    posterior = network.tree["posterior"].to_dataset().transpose(..., "draw", "chain")
    groups = {name: group.to_dataset() for name, group in network.tree.children.items()}
    transposed = xr.DataTree.from_dict(groups | {"posterior": posterior})
    assert edge_summary(transposed).equals(edge_summary(network.tree))
    xr.testing.assert_allclose(filter_bands(transposed), filter_bands(network.tree))
    xr.testing.assert_allclose(
        predicted_rates(transposed, stop=1.0, random_seed=1),
        predicted_rates(network.tree, stop=1.0, random_seed=1),
    )


def test_dense_models_are_judged_by_their_weights():
    rng = np.random.default_rng(4)
    weights = rng.normal(1, 0.2, (4, 500, 2, 2, 1))
    weights[0, :, 1, 0] += 0.5
    table = rows(edge_summary(tree_of(weights=weights)))
    assert (table["probability"] == 1).all()
    assert (table["mcse"] == 0).all()
    assert (table["flips"] == 0).all()
    assert table["status"].to_dict() == {
        ("n0", "n0"): "ok",
        ("n0", "n1"): "ok",
        ("n1", "n0"): "chains disagree",
        ("n1", "n1"): "ok",
    }
    assert table.loc[("n1", "n0"), "r_hat"] > 1.05


# Convergence


def test_report_of_a_converged_run():
    converged = example(3, 1, n_draws=1000).tree
    report = convergence_report(converged)
    assert report.converged
    assert (report.n_chains, report.n_draws, report.n_neurons) == (4, 1000, 3)
    probability = network_matrix(converged).values
    assert report.n_edges_uncertain == ((probability > 0.05) & (probability < 0.95)).sum()
    assert report.suggested_draws is None
    assert "All edges, weights, biases and hyperparameters have converged" in report.text
    assert 1 <= report.worst_r_hat < 1.02


def test_report_names_what_has_not_converged():
    rng = np.random.default_rng(6)
    adjacency = markov_indicator(rng, np.full((5, 5), 0.5), 0.2, 4, 500)
    adjacency[..., 4, 0] = markov_indicator(rng, 0.5, 0.99, 4, 500)
    adjacency[0, :, 3, 1], adjacency[1:, :, 3, 1] = 1, 0
    adjacency[..., 2, 2] = 1
    weights = rng.normal(1, 0.1, (4, 500, 5, 5, 1)) * adjacency[..., None]
    weights[1, :, 2, 2] += 1
    bias = rng.normal(-4, 0.1, (4, 500, 5))
    bias[2, :, 4] += 1
    scale = rng.gamma(2, 1, (4, 500, 1))
    scale[0] += 9
    report = convergence_report(
        tree_of(adjacency, weights, bias, weight_scale=scale, fixed=np.ones((4, 500)))
    )
    assert report.edges_not_converged == ("n1 -> n3", "n0 -> n4")
    assert report.edges_disagreeing == ("n1 -> n3",)
    assert report.weights_not_converged == ("n2 -> n2",)
    assert report.biases_not_converged == ("n4",)
    assert report.hyperparameters_not_converged == ("weight_scale[0]",)
    assert not report.converged
    expected = az.rhat(xr.DataArray(scale[..., 0], dims=("chain", "draw")))
    assert report.worst_r_hat >= float(expected) * (1 - 1e-9)
    for part in ("n1 -> n3", "n0 -> n4", "n2 -> n2", ": n4.", "weight_scale[0]", "draw more"):
        assert part in report.text.replace("\n  ", " ")


def test_report_says_how_many_draws_would_do():
    # Autocorrelation 0.9^lag leaves 1/19 of the draws: 105 of 2000, where 400 are wanted.
    rng = np.random.default_rng(8)
    noise = rng.normal(size=(4, 500, 2))
    bias = np.zeros_like(noise)
    for draw in range(500):
        bias[:, draw] = 0.9 * bias[:, max(draw - 1, 0)] + noise[:, draw]
    adjacency = np.ones((4, 500, 2, 2))
    weights = rng.normal(size=(4, 500, 2, 2, 1))
    report = convergence_report(tree_of(adjacency, weights, bias))
    assert set(report.biases_not_converged) == {"n0", "n1"}
    assert report.suggested_draws is not None
    assert 1400 < report.suggested_draws < 4500
    assert f"draws={report.suggested_draws}" in report.text


def test_report_names_twelve_at_most_and_fits_a_terminal():
    adjacency = np.zeros((4, 100, 5, 5))
    adjacency[0] = 1
    report = convergence_report(tree_of(adjacency))
    assert len(report.edges_disagreeing) == 25
    assert "and 13 more" in report.text
    assert report.text.count(" -> ") == 12
    assert max(map(len, report.text.split("\n"))) <= 88


def test_report_of_one_chain_and_of_a_dense_model():
    rng = np.random.default_rng(7)
    weights = rng.normal(size=(4, 500, 2, 2, 1))
    one = convergence_report(tree_of(weights=weights[:1]))
    assert np.isnan(one.worst_r_hat)
    assert "cannot be judged from one chain" in one.text
    weights[0, :, 0, 1] += 2
    dense = convergence_report(tree_of(weights=weights))
    assert dense.edges_not_converged == ()
    assert dense.n_edges_uncertain == 0
    assert dense.weights_not_converged == ("n1 -> n0",)
    assert dense.worst == "weight n1 -> n0"


def test_one_chain_or_too_few_draws_are_not_converged():
    weights = np.random.default_rng(7).normal(size=(4, 500, 2, 2, 1))
    one = convergence_report(tree_of(weights=weights[:1]))
    assert not (one.weights_not_converged or one.biases_not_converged or one.converged)
    assert "Convergence cannot be judged from one chain" in one.text
    assert "Do not trust" not in one.text and "have converged." not in one.text
    few = convergence_report(tree_of(weights=weights[:, :2]))
    assert not few.converged and few.worst == ""
    enough = ConvergenceReport(4, 500, 2, 0, (), (), (), (), (), 1.001, "bias a", None)
    assert enough.converged and enough.n_divergences == 0
    assert "too few draws for any R-hat" in few.text.replace("\n  ", " ")


@pytest.mark.parametrize("n_divergences", [0, 40, 41])
def test_divergences_are_counted_and_too_many_are_not_converged(n_divergences):
    tree = example(3, 1, n_draws=1000).tree
    diverging = np.zeros(4000, dtype=bool)
    diverging[:n_divergences] = True
    tree["sample_stats"] = xr.Dataset({"diverging": (("chain", "draw"), diverging.reshape(4, -1))})
    report = convergence_report(tree)
    assert report.n_divergences == n_divergences
    assert report.converged == (n_divergences <= 40)  # 1% of 4000
    text = report.text.replace("\n  ", " ")
    assert (f"NUTS diverged in {n_divergences} of 4000 draws" in text) == (n_divergences > 0)
    assert ('network_nuts={"target_accept": 0.99}' in report.text) == (n_divergences > 0)
    assert ("have converged." in text) == report.converged


def test_report_from_a_table_at_hand(network, monkeypatch):
    edges = edge_summary(network.tree, min_effect=0)
    expected = convergence_report(network.tree)
    kept = edges.copy()
    assert convergence_report(network.tree, edges.sample(frac=1, random_state=1)) == expected
    assert convergence_report(network.tree, edges) == expected
    assert edges.equals(kept)
    with pytest.raises(ValueError, match=r"edges: its 12 pairs .* 4 neurons"):
        convergence_report(network.tree, edge_summary(network.tree, include_self=False))
    with pytest.raises(ValueError, match=r"edges: it lacks the columns \['status'\]"):
        convergence_report(network.tree, edges.drop(columns="status"))


# Filters


@pytest.mark.parametrize("given_edge", [False, True])
def test_filter_bands_against_all_draws_at_once(network, given_edge):
    posterior = network.tree["posterior"].to_dataset()
    basis = network.tree["constant_data"]["basis_functions"]
    filters = xr.dot(posterior["weights"], basis, dim="basis")
    bands = filter_bands(network.tree, 0.8, given_edge=given_edge)
    assert bands["mean"].dims == ("post", "pre", "lag")
    for post in "1234":
        for pre in "1234":
            draws = filters.sel(post=post, pre=pre).stack(sample=("chain", "draw"))
            if given_edge:
                present = posterior["adjacency"].sel(post=post, pre=pre)
                draws = draws[:, present.stack(sample=("chain", "draw")).values == 1]
            here = bands.sel(post=post, pre=pre)
            np.testing.assert_allclose(here["mean"], draws.mean("sample"), atol=1e-12)
            interval = az.hdi(draws.transpose("lag", "sample").values, prob=0.8, axis=-1)
            np.testing.assert_allclose(here["lower"], interval[:, 0], atol=1e-12)
            np.testing.assert_allclose(here["upper"], interval[:, 1], atol=1e-12)


def test_filter_bands_of_some_pairs(network):
    bands = filter_bands(network.tree, pairs=[("1", "2"), (3, 3)])
    known = np.isfinite(bands["mean"]).all("lag")
    assert set(zip(*[axis.tolist() for axis in np.nonzero(known.values)], strict=True)) == {
        (1, 0),
        (2, 2),
    }


def test_filters_of_edges_that_are_never_present():
    tree = tree_of(np.zeros((2, 10, 2, 2)))
    assert (filter_bands(tree)["upper"] == 0).all()
    assert filter_bands(tree, given_edge=True)["upper"].isnull().all()


def test_filter_bands_do_not_hold_all_draws_of_all_filters():
    n, n_basis, n_lags, n_draws = 12, 3, 100, 500
    weights = np.random.default_rng(0).normal(size=(2, n_draws, n, n, n_basis))
    tree = tree_of(weights=weights, basis=np.random.default_rng(1).random((n_lags, n_basis)))
    tracemalloc.start()
    filter_bands(tree)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.1 * (8 * 2 * n_draws * n * n * n_lags)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([("1", "9")], r"pairs: unknown neuron '9'.*has 4"),
        (["1"], r"pairs: got '1'.*\(pre, post\)"),
        ([("1", "2", "3")], r"pairs: got \('1', '2', '3'\)"),
        ([5], "pairs: got 5"),
    ],
)
def test_wrong_pairs(network, pairs, message):
    with pytest.raises(ValueError, match=message):
        filter_bands(network.tree, pairs=pairs)


@pytest.mark.parametrize("n_lags", [1, 2, 6])
def test_a_simultaneous_band_holds_whole_filters(n_lags):
    """Lags independent of each other: each is inside with the root of the band's probability."""
    weights = np.random.default_rng(2).normal(size=(2, 20_000, 1, 1, n_lags))
    tree = tree_of(weights=weights, basis=np.eye(n_lags))
    bands = filter_bands(tree, 0.8).isel(post=0, pre=0)
    low, high = bands["simultaneous_lower"].values, bands["simultaneous_upper"].values
    filters = weights.reshape(-1, n_lags)
    held = ((low <= filters) & (filters <= high)).all(axis=1).mean()
    assert 0.8 <= held < 0.8 + 2e-3
    edge = stats.norm.ppf(0.5 + 0.5 * 0.8 ** (1 / n_lags))
    # standard error of that quantile of 40 000 draws, four of them
    error = 4 * np.sqrt(0.1 * 0.9 / 40_000) / stats.norm.pdf(edge)
    np.testing.assert_allclose([-low, high], edge, atol=error)


def test_a_simultaneous_band_is_no_narrower_than_the_range_of_most_draws(network):
    bands = filter_bands(network.tree, 0.9)
    weights = network.tree["posterior"]["weights"]
    filters = xr.dot(weights, network.tree["constant_data"]["basis_functions"], dim="basis")
    low, high = bands["simultaneous_lower"] - 1e-9, bands["simultaneous_upper"] + 1e-9
    inside = (filters >= low) & (filters <= high)
    assert (inside.all("lag").mean(("chain", "draw")) >= 0.9).all()


# Decisions


def test_the_largest_set_at_the_rate_by_trying_all():
    rng = np.random.default_rng(4)
    for _ in range(50):
        error = np.round(rng.random(8) ** 3, 1)
        fdr = rng.choice([0.05, 0.1, 0.3])
        best = 0
        for level in np.unique(error):
            chosen = error <= level
            if error[chosen].mean() <= fdr + 1e-12:
                best = chosen.sum()
        found = discoveries(error, fdr + 1e-12)
        assert found.sum() == best
        assert not found.any() or error[found].max() < error[~found].min(initial=np.inf)
    assert not discoveries(np.array([0.5, np.nan]), 0.1).any()
    assert discoveries(np.array([0.1, np.nan]), 0.1).tolist() == [True, False]


def test_decisions_keep_their_rates():
    """If edges are drawn with the probabilities in the table, false ones are as rare as asked."""
    rng = np.random.default_rng(5)
    n = 60
    probability = rng.beta(0.5, 0.8, (n, n))
    positive = rng.beta(0.3, 0.3, (n, n))
    adjacency = rng.random((1, 1000, n, n)) < probability
    signs = np.where(rng.random(adjacency.shape) < positive, 1.0, -1.0)
    table = edge_summary(tree_of(adjacency, (adjacency * signs)[..., None]), fdr=0.1)
    true = rng.random((n, n)) < probability
    true_sign = np.where(rng.random((n, n)) < positive, "excitatory", "inhibitory")
    where = [label.str[1:].astype(int) for label in (table["post"], table["pre"])]
    present, sign = true[*where], true_sign[*where]
    is_self = table["pre"] == table["post"]
    for decided, wrong in (
        (table["discovered"] & ~is_self, ~present),
        ((table["sign"] != "open") & ~is_self, ~present | (table["sign"] != sign)),
    ):
        assert decided.sum() > 100
        assert abs(wrong[decided].mean() - 0.1) < 4 * np.sqrt(0.09 / decided.sum())
    half = table[["excitatory", "inhibitory"]].sum(axis=1)
    np.testing.assert_allclose(half, table["probability"], atol=1e-12)


def test_certain_self_edges_do_not_help_couplings():
    rng = np.random.default_rng(6)
    adjacency = rng.random((1, 2000, 6, 6)) < 0.8
    adjacency[..., np.arange(6), np.arange(6)] = True
    table = edge_summary(tree_of(adjacency), fdr=0.18)
    assert (table["discovered"] == (table["pre"] == table["post"])).all()


@pytest.mark.parametrize("fdr", [0, 1, -0.1, True, "5%"])
def test_wrong_rates(network, fdr):
    with pytest.raises(ValueError, match="fdr: got"):
        edge_summary(network.tree, fdr=fdr)


# Effects


def posterior_of_effects():
    """Two chains of 8 draws by hand; a basis with peaks 1 at the lags 1 and 2."""
    adjacency, weights = np.zeros((2, 8, 2, 2)), np.zeros((2, 8, 2, 2, 2))
    adjacency[:, :, 1, 0] = [[1, 1, 1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 0, 0, 0, 0]]
    # At lag 1 the filter is 0.1 in all draws; at lag 2, its peak, it is
    weights[:, :, 1, 0, 0] = 0.1
    weights[:, :, 1, 0, 1] = [
        [0.3, 0.1, 0.3, -0.3, 0.1, 0.3, 0.0, 0.0],
        [0.3, 0.3, 0.3, 0.15, 0.0, 0.0, 0.0, 0.0],
    ]
    weights *= adjacency[..., None]
    adjacency[:, :, 0, 1], weights[:, :, 0, 1] = 1, 0.01  # certain, and means nothing
    return tree_of(adjacency, weights, basis=np.eye(3, 2))


def test_effects_counted_by_hand():
    tree = posterior_of_effects()
    row = rows(edge_summary(tree, min_effect=0.2)).loc[("n1", "n0")]
    assert row["probability"] == 10 / 16
    assert row["p_effect"] == 7 / 16  # draws 0, 2, 3, 5 and 0, 1, 2
    assert (row["excitatory"], row["inhibitory"]) == (6 / 16, 1 / 16)
    assert row["flips"] == 6  # 5 and 1
    assert (row["chain_min"], row["chain_max"]) == (3 / 8, 4 / 8)
    assert row["peak_mean"] == pytest.approx((7 * 0.3 + 2 * 0.1 + 0.15 - 0.6) / 10)
    present = rows(edge_summary(tree, min_effect=0)).loc[("n1", "n0")]
    assert (present["p_effect"], present["flips"]) == (10 / 16, 2)
    assert present["mcse"] != row["mcse"]
    equal = rows(edge_summary(tree, min_effect=0.15)).loc[("n1", "n0")]
    assert equal["p_effect"] == 7 / 16  # an effect as large as asked for is not above it
    for min_effect, matrix in ((0.2, 7 / 16), (0.0, 10 / 16)):
        found = network_matrix(tree, min_effect=min_effect)
        assert float(found.sel(post="n1", pre="n0")) == matrix


def test_weak_edges_are_certain_but_not_called():
    tree = posterior_of_effects()
    weak = rows(edge_summary(tree, min_effect=0)).loc[("n0", "n1")]
    assert (weak["probability"], weak["discovered"], weak["sign"]) == (1, True, "excitatory")
    table = rows(edge_summary(tree, min_effect=0.2))
    row = table.loc[("n0", "n1")]
    assert (row["probability"], row["p_effect"], row["discovered"]) == (1, 0, False)
    assert (row["sign"], row["status"], row["peak_mean"]) == ("open", "settled", 0.01)
    assert next(iter(table.index)) == ("n1", "n0")


@pytest.mark.parametrize(
    ("observation", "smallest"),
    [("bernoulli", 0.3), ("negative_binomial", 0.3), ("gaussian", 0.0), (None, 0.3)],
)
def test_the_default_is_a_third_of_the_odds(observation, smallest):
    """Of the odds or the rate; traces have units of their own."""
    tree = posterior_of_effects()
    if observation is not None:
        tree["constant_data"] = tree["constant_data"].dataset.assign(observation=observation)
    pd.testing.assert_frame_equal(edge_summary(tree), edge_summary(tree, min_effect=smallest))
    assert not edge_summary(tree).equals(edge_summary(tree, min_effect=0.3 - smallest))


def test_the_default_of_dense_models_is_any_effect():
    weights = posterior_of_effects()["posterior"]["weights"].values
    dense = tree_of(weights=weights)
    pd.testing.assert_frame_equal(edge_summary(dense), edge_summary(dense, min_effect=0))


def test_calls_of_effects_keep_their_rate():
    """Of the effects called, as many are below the size as the rate says (4 standard errors).

    Planted bug: decisions by `probability`, which is 1 here, call all pairs, most of them wrongly.
    """
    rng = np.random.default_rng(9)
    n, n_draws = 40, 500
    mean = rng.normal(0, 0.5, (n, n))
    weights = mean + 0.15 * rng.standard_normal((2, n_draws, n, n))
    true = np.abs(mean + 0.15 * rng.standard_normal((n, n))) > 0.4
    table = edge_summary(
        tree_of(np.ones((2, n_draws, n, n)), weights[..., None]), fdr=0.1, min_effect=0.4
    )
    where = [label.str[1:].astype(int) for label in (table["post"], table["pre"])]
    called = table["discovered"].to_numpy()
    assert 200 < called.sum() < 1000
    wrong = ~true[*where][called]
    assert abs(wrong.mean() - 0.1) < 4 * np.sqrt(0.09 / called.sum())


def test_dense_models_have_effects_too():
    rng = np.random.default_rng(4)
    weights = rng.normal(0.3, 0.2, (4, 500, 2, 2, 1))
    table = edge_summary(tree_of(weights=weights), min_effect=0.2)
    expected = stats.norm.sf(-0.5) + stats.norm.cdf(-2.5)
    assert (table["probability"] == 1).all()
    np.testing.assert_allclose(table["p_effect"], expected, atol=5 * np.sqrt(0.25 / 2000))
    assert (table["flips"] > 500).all() and (table["status"] == "ok").all()
    assert not edge_summary(tree_of(weights=weights), min_effect=5)["discovered"].any()


@pytest.mark.parametrize("function", [edge_summary, network_matrix])
@pytest.mark.parametrize(
    ("min_effect", "error"), [(-0.1, ValueError), (np.nan, ValueError), ("0.1", TypeError)]
)
def test_wrong_smallest_effects(network, function, min_effect, error):
    with pytest.raises(error, match=r"min_effect: got .*allowed are finite numbers of at least 0"):
        function(network.tree, min_effect=min_effect)


# Rates


def test_rates_against_the_definition(network):
    posterior = network.tree["posterior"].to_dataset()
    basis = network.tree["constant_data"]["basis_functions"].values
    spikes = network.tree["observed_data"]["spikes"].values
    rates = predicted_rates(network.tree, start=0.5, stop=1.0, neurons=["3", "1"], n_draws=10**6)
    assert rates.attrs["n_draws"] == 1200
    assert rates["mean"].dims == ("time", "post")
    assert list(rates["post"].values) == ["3", "1"]
    np.testing.assert_allclose(rates["time"], 0.5 + BIN_WIDTH * np.arange(100))
    for label, neuron in (("3", 2), ("1", 0)):
        weights = posterior["weights"].values[:, :, neuron]
        bias = posterior["bias"].values[:, :, neuron]
        for t in (100, 137, 199):
            past = spikes[t - 20 : t][::-1]  # lag 1 first
            psi = bias + np.einsum("cdmb,lb,lm->cd", weights, basis, past)
            probability = expit(psi).ravel() / BIN_WIDTH
            here = rates.sel(post=label).isel(time=t - 100)
            assert float(here["mean"]) == pytest.approx(probability.mean())
            assert [float(here["lower"]), float(here["upper"])] == pytest.approx(
                list(az.hdi(probability, prob=0.94))
            )


def test_rates_of_some_draws_depend_on_the_seed_alone(network):
    first, again, other = (
        predicted_rates(network.tree, stop=0.2, n_draws=5, random_seed=seed) for seed in (1, 1, 2)
    )
    xr.testing.assert_identical(first, again)
    assert not first.equals(other)
    assert first.attrs["n_draws"] == 5
    assert (first["lower"] <= first["mean"]).all()
    assert (first["mean"] <= first["upper"]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": 11.0}, "start, stop: got the window 11 to 10 s"),
        ({"stop": 99.0}, "start, stop.*within the 0 to 10 s"),
        ({"start": 0.001, "stop": 0.002}, "no bin begins in the window 0.001 to 0.002 s"),
        ({"neurons": ["x"]}, r"unknown neurons \['x'\]"),
        ({"n_draws": 0}, "n_draws: got 0"),
        ({"n_draws": 2.5}, "n_draws: got 2.5"),
        ({"hdi_prob": 94}, "hdi_prob: got 94.*above 0 and below 1"),
    ],
)
def test_wrong_options_of_rates(network, options, message):
    with pytest.raises(ValueError, match=message):
        predicted_rates(network.tree, **options)


# Trees


@pytest.mark.parametrize(
    "function", [edge_summary, convergence_report, network_matrix, filter_bands, predicted_rates]
)
def test_trees_that_hold_no_network(function, network):
    with pytest.raises(TypeError, match=r"tree: got dict, allowed is the xarray\.DataTree"):
        function({})
    with pytest.raises(ValueError, match=r"tree: it has no group 'posterior', only \['prior'\]"):
        function(xr.DataTree.from_dict({"prior": xr.Dataset()}))
    groups = {name: group.to_dataset() for name, group in network.tree.children.items()}
    groups["posterior"] = groups["posterior"].drop_vars("weights")
    with pytest.raises(ValueError, match="group 'posterior' has no variable 'weights'"):
        function(xr.DataTree.from_dict(groups))
    del groups["constant_data"]
    groups["posterior"] = network.tree["posterior"].to_dataset()
    with pytest.raises(ValueError, match="no group 'constant_data'"):
        function(xr.DataTree.from_dict(groups))


def test_trees_survive_a_file(network, tmp_path):
    path = tmp_path / "posterior.nc"
    network.tree.to_netcdf(path, engine="h5netcdf")
    with xr.open_datatree(path, engine="h5netcdf") as tree:
        assert edge_summary(tree).equals(edge_summary(network.tree))
        assert convergence_report(tree) == convergence_report(network.tree)
