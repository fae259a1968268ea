"""Scores, checks and simulation of models with shared input: the path is integrated out."""

import numpy as np
import pytest
import xarray as xr
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

import pymc_glm as pg
from helpers.drawn_tree import drawn_tree
from helpers.shared_tree import BASIS, BIN_WIDTH, shared_network, shared_tree


def correlation_at(lag, path, k):
    """Correlation of factor k at a lag in steps of its grid."""
    r = np.exp(-path.grid_width[k] / path.timescale[k])
    more = lag * (1 - r**2) / (1 + r**2) if path.smoothness[k] > 1 else 0
    return r**lag * (1 + more)


def covariance(path, n_bins, starts):
    """Of the activations, (time, post, time, post)."""
    segment = np.searchsorted(starts, np.arange(n_bins), side="right") - 1
    place = np.arange(n_bins) - np.array(starts)[segment]
    n_posts = len(path.loadings)
    total = np.zeros((n_bins, n_posts) * 2)
    for k, loading in enumerate(path.loadings.T):
        grid = place // round(path.grid_width[k] / BIN_WIDTH)
        same = (segment[:, None] == segment) * correlation_at(np.abs(grid[:, None] - grid), path, k)
        total += np.einsum("ts,n,m->tnsm", same, loading, loading)
    return total


@pytest.fixture(scope="module")
def traces():
    """A Gaussian network of two neurons, with three draws of loadings; traces in two segments."""
    rng = np.random.default_rng(1)
    network = shared_network(
        rng.normal(0, 0.8, (2, 2)), bias=0.3, observation=pg.Gaussian(0.25),
        weights=rng.normal(0, 0.2, (2, 2, 1)),
    )  # fmt: skip
    counts = rng.normal(0.3, 1.0, (40, 2))
    loadings = np.stack([network.shared_input.loadings, *rng.normal(0, 0.8, (2, 2, 2))])
    return network, counts, loadings, [0, 25], np.delete(np.arange(40), [3, 4, 30])


def by_normal(traces, bins):
    """Log density of the counts in some bins in each draw, (draw,), by multivariate normals."""
    network, counts, loadings, starts, data_bins = traces
    history = np.zeros((40, 2, 1))
    for t in range(40):
        first = starts[1] if t >= starts[1] else 0
        for lag, row in enumerate(np.asarray(BASIS)):
            if t - 1 - lag >= first:
                history[t] += counts[t - 1 - lag][:, None] * row
    psi = network.bias + np.einsum("tmb,nmb->tn", history, network.weights)
    out = []
    for draw in loadings:
        full = covariance(network.shared_input._replace(loadings=draw), 40, starts)
        full = full.reshape(80, 80) + 0.25 * np.eye(80)

        def log_density(upto, full=full):
            keep = np.isin(np.repeat(np.arange(40), 2), upto)
            normal = multivariate_normal(psi.ravel()[keep], full[np.ix_(keep, keep)])
            return normal.logpdf(counts.ravel()[keep])

        before = data_bins[data_bins < bins[0]]
        known = log_density(before) if before.size else 0.0
        out.append(log_density(np.append(before, bins)) - known)
    return np.array(out)


def test_log_likelihood_of_traces_is_that_of_a_multivariate_normal(traces):
    """Exact, by block given the bins before, with couplings, segments and excluded bins.

    Planted bug: without the terms that do not depend on psi, blocks are wrong by more than 3 nats.
    """
    network, counts, loadings, starts, bins = traces
    tree = shared_tree(network, counts, loadings=loadings, starts=starts, bins=bins)
    found = pg.log_likelihood(tree, sum_over="block", block_width=10 * BIN_WIDTH)
    blocks = [bins[(bins >= a) & (bins < b)] for a, b in ((0, 10), (10, 20), (20, 25), (25, 35))]
    for block, inside in enumerate(blocks):
        got = found.isel(chain=0, block=block).sum("post")
        np.testing.assert_allclose(got, by_normal(traces, inside), atol=1e-8)
    pointwise = pg.log_likelihood(tree)
    assert pointwise.dims == ("chain", "draw", "observed_time", "post")
    np.testing.assert_allclose(pointwise.sum("observed_time"), found.sum("block"), atol=1e-9)
    other = shared_tree(network, counts, loadings=loadings, starts=starts, bins=bins, factors=5.0)
    np.testing.assert_array_equal(pg.log_likelihood(other), pointwise)  # whatever path was fitted


def test_held_out_score_of_traces_is_that_of_multivariate_normals(traces):
    network, counts, loadings, *_ = traces
    tree = shared_tree(network, counts, loadings=loadings)
    score = pg.heldout_score(tree, None, counts, start=0.05, block_width=0.05)
    whole = (network, counts, loadings, [0, 40], np.arange(40))
    logs = pg.log_likelihood(tree, sum_over="block", block_width=0.05, start=0.05).values[0]
    for block, first in enumerate((10, 20, 30)):
        got = logs[:, block].sum(axis=1)
        np.testing.assert_allclose(got, by_normal(whole, np.arange(first, first + 10)), atol=1e-8)
    expected = logsumexp(logs, axis=0) - np.log(3)
    np.testing.assert_allclose(score.blocks["elpd"], expected, atol=1e-9)
    assert np.isnan(score.elpd_mcse)  # three draws are too few


def test_constants_of_counts():
    """A loading of zero leaves the log densities of a model without shared input."""
    rng = np.random.default_rng(2)
    for observation in (pg.Poisson(), pg.NegativeBinomial(np.array([0.7, 2.0])), pg.Binomial(3)):
        network = shared_network(np.zeros((2, 1)), bias=-1.0, observation=observation)
        counts = rng.poisson(0.4, (60, 2)).clip(max=3)
        tree = shared_tree(network, counts)
        plain = tree.copy()
        plain["posterior"] = plain["posterior"].to_dataset().drop_vars("loadings")
        for options in ({}, {"sum_over": "block", "block_width": 0.1}):
            got, expected = (pg.log_likelihood(one, **options) for one in (tree, plain))
            np.testing.assert_allclose(got, expected, atol=1e-9)
        rates = [pg.predicted_rates(one)["mean"] for one in (tree, plain)]
        np.testing.assert_allclose(*rates, rtol=1e-6)


def test_subsets_of_draws():
    """They are spread evenly, with the last one, also without shared input."""
    basis = pg.basis.raised_cosine(1, window=0.02, bin_width=0.005)
    counts = (np.random.default_rng(3).random((400, 3)) < 0.1).astype(int)
    parts = {"edges": pg.BernoulliEdges(0.3, 1.0), "weights": pg.GaussianWeights(0, 1, None, None)}
    shared = pg.SharedInput(1, timescale=0.02, loading_scale=0.5)
    models = [pg.build_glm(counts, basis, **parts, shared_input=s) for s in (None, shared)]
    for model in models:
        tree = drawn_tree(model, draws=12, chains=2)
        full = pg.log_likelihood(tree, sum_over="neuron")
        some = pg.log_likelihood(tree, sum_over="neuron", draws=6)
        assert some["draw"].values.tolist() == [0, 6, 11]
        np.testing.assert_array_equal(some, full.sel(draw=some["draw"]))
        score = pg.heldout_score(tree, None, counts, draws=24, block_width=0.5)
        blocks = pg.log_likelihood(tree, sum_over="block", block_width=0.5)
        expected = logsumexp(blocks, axis=(0, 1)) - np.log(24)
        np.testing.assert_allclose(score.blocks["elpd"], expected, atol=1e-9)
        assert 0 < score.elpd_mcse < score.elpd_se
        with pytest.raises(ValueError, match=r"draws: got 0, allowed are whole numbers"):
            pg.heldout_score(tree, None, counts, draws=0, block_width=0.5)


def test_self_filters_beside_shared_input():
    """With loadings of zero, all is as in the model without; also one step ahead."""
    basis = pg.basis.raised_cosine(1, window=0.02, bin_width=0.005)
    long = pg.basis.raised_cosine(3, window=0.1, bin_width=0.005)
    counts = (np.random.default_rng(3).random((300, 3)) < 0.1).astype(int)
    model = pg.build_glm(
        counts, basis, edges=pg.BernoulliEdges(0.3), self_basis=long,
        weights=pg.GaussianWeights(0, 1), shared_input=pg.SharedInput(1),
    )  # fmt: skip
    tree = drawn_tree(model, draws=3, chains=2)
    posterior = tree["posterior"].to_dataset()
    tree["posterior"] = posterior.assign(loadings=0.0 * posterior["loadings"])
    plain = tree.copy()
    plain["posterior"] = posterior.drop_vars("loadings")
    got, expected = (pg.log_likelihood(one) for one in (tree, plain))
    np.testing.assert_allclose(got, expected, atol=1e-9)
    network = pg.NetworkParameters.from_draw(tree, chain=0, draw=0)
    assert network.shared_input.loadings.shape == (3, 1)
    assert network.self_weights.shape == (3, 3)
    check = pg.predictive_check(tree, "rate", kind="one_step", draws=2, random_seed=1)
    assert np.isfinite(check["replicated"]).all()


def test_refits_score_blocks_with_the_path_integrated_out(spikes):
    """What ArviZ gets of the fit to all data are the joint log densities of blocks."""
    *_, tree = spikes

    def build(exclude):
        raise AssertionError

    refits = pg.BlockRefits(tree, build, block_width=10.0)
    found = refits.data["log_likelihood"]["spikes"]
    expected = pg.log_likelihood(tree, sum_over="block", block_width=10.0).sum("post")
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert refits.data["posterior"].sizes["draw"] == found.sizes["draw"] == 1


def test_monte_carlo_error_is_that_of_repeated_draws():
    """Of scores from 200 independent posteriors of 100 draws; the ratio is within 25%.

    The standard deviation of 200 scores has an error of 5%. Planted bug: divided by the number of
    draws instead of its root, it is 10 times too small.
    """
    rng = np.random.default_rng(4)
    network = shared_network(np.zeros((2, 1)), bias=-2.0)
    counts = (rng.random((400, 2)) < 0.12).astype(int)
    scores = []
    for _ in range(200):
        tree = shared_tree(network, counts, loadings=np.zeros((100, 2, 1)))
        posterior = tree["posterior"].to_dataset().drop_vars("loadings")
        posterior["bias"] = (("chain", "draw", "post"), rng.normal(-2, 0.3, (1, 100, 2)))
        tree["posterior"] = posterior
        scores.append(pg.heldout_score(tree, None, counts, block_width=0.5, threads=1))
    spread = np.std([score.elpd for score in scores])
    assert np.mean([score.elpd_mcse for score in scores]) == pytest.approx(spread, rel=0.25)


@pytest.fixture(scope="module")
def spikes():
    """Four Bernoulli neurons with strong shared input, 100 s, and their posterior."""
    network = shared_network([[1.5, 0.8], [1.2, -0.8], [1.0, 0.8], [1.3, 0.0]], bias=-3.0)
    counts = pg.simulate(network, 20_000, random_seed=5)
    return network, counts, shared_tree(network, counts.values)


def test_rates_depend_on_the_past_only(spikes):
    """Planted bug: with the path after the counts of a bin, its rate differs, too."""
    network, counts, tree = spikes
    changed = counts.values.copy()
    changed[1000:1005] = 1
    other = shared_tree(network, changed)
    rates, after = (pg.predicted_rates(one, start=4.5, stop=5.5)["mean"] for one in (tree, other))
    np.testing.assert_array_equal(rates[:101], after[:101])  # up to bin 1000, which begins at 5 s
    assert (after[101:105] > rates[101:105] + 5).all()  # all neurons expect more of the input
    part = pg.predicted_rates(tree, start=4.5, stop=5.5, neurons=["n2"])
    np.testing.assert_allclose(part["mean"][:, 0], rates.sel(post="n2"), rtol=1e-12)


def test_time_rescaling_passes_for_the_true_model_only(spikes):
    """P-values of the true model are uniform: 4 below 0.001 in 1 of 250 seeds.

    Without the shared input all neurons fail, which is what the test is for.
    """
    *_, tree = spikes
    assert (pg.time_rescaling(tree, random_seed=1)["p_value"] > 0.001).all()
    without = tree.copy()
    without["posterior"] = without["posterior"].to_dataset().drop_vars("loadings")
    assert (pg.time_rescaling(without, random_seed=1)["p_value"] < 1e-4).all()


def test_residuals_of_the_true_model_are_uncorrelated(spikes):
    """About 5% of the values are outside, at lag 0 none far; without the path most are.

    Planted bugs: with half of the timescales in simulations, 28% are outside; with counts that are
    predicted from the bins before only, all z at lag 0 are above 7.
    """
    *_, tree = spikes
    z = pg.residual_correlograms(tree, window=0.05)["z"]
    assert (np.abs(z) > 1.96).mean() < 0.12  # 126 values, an error of 2%
    assert np.abs(z.sel(lag=0)).max() < 3.5  # of 6 values; 1 in 350 seeds
    part = pg.residual_correlograms(tree, window=0.05, neurons=["n2", "n0"])["z"].squeeze()
    np.testing.assert_allclose(part, z.sel(pair="n0 & n2")[::-1])
    without = tree.copy()
    without["posterior"] = without["posterior"].to_dataset().drop_vars("loadings")
    assert (np.abs(pg.residual_correlograms(without, window=0.05)["z"]) > 1.96).mean() > 0.5


def test_one_step_replicates_share_the_path_within_a_bin(spikes):
    """Their means are the predicted ones, and neurons with alike loadings are correlated.

    The bound of 4 standard errors fails for 1 in 4000 seeds (4 neurons).
    """
    _, counts, tree = spikes
    check = pg.predictive_check(tree, "rate", kind="one_step", random_seed=1, draws=1)
    mean = pg.predicted_rates(tree)["mean"].mean("time").values
    error = np.sqrt(mean / (len(counts) * BIN_WIDTH))
    assert (np.abs(check["replicated"].values[0] - mean) < 4 * error).all()

    def product(counts, bin_width, starts):
        away = counts - counts.mean(axis=0)
        return (away[:, 0] * away[:, 2]).mean()

    check = pg.predictive_check(tree, product, kind="one_step", random_seed=1, draws=1)
    assert check["replicated"].item() == pytest.approx(check["observed"].item(), rel=0.4)


@pytest.mark.parametrize("k", [0, 1])
def test_simulated_paths_have_their_correlations(k):
    """Of traces, whose covariance is known; 40000 bins in segments that run on their own.

    The bound is 5 standard errors for about 500 independent stretches. Planted bug: with the
    timescale halved, covariances are wrong by more than 0.11.
    """
    network = shared_network(
        [[1.0], [-0.5]], bias=0.0, observation=pg.Gaussian(0.01),
        timescale=([0.02], [0.05])[k], smoothness=([0.5], [1.5])[k], steps=([1], [2])[k],
    )  # fmt: skip
    values = pg.simulate(network, 40_000, random_seed=6).values
    for lag in (0, 2, 6, 12):
        product = values[: len(values) - lag, 0] * values[lag:, 1]
        step = round(network.shared_input.grid_width[0] / BIN_WIDTH)
        expected = -0.5 * correlation_at(lag // step, network.shared_input, 0)
        assert product.mean() == pytest.approx(expected, abs=0.1)


def test_simulated_draws_of_posterior_and_prior_have_a_path(spikes):
    """And it is part of free replicates: counts vary more than those of constant rates."""
    network, _, tree = spikes
    drawn = pg.NetworkParameters.from_draw(tree, chain=0, draw=0)
    np.testing.assert_array_equal(drawn.shared_input.loadings, network.shared_input.loadings)
    one, other = (pg.simulate(given, 4000, random_seed=7) for given in (network, drawn))
    np.testing.assert_array_equal(one, other)
    check = pg.predictive_check(tree, "fano", draws=5, random_seed=1)
    assert (check["replicated"].mean("sample") > 1.1).all()
    basis = pg.basis.raised_cosine(1, window=0.02, bin_width=0.005)
    model = pg.build_glm(
        one, basis, shared_input=pg.SharedInput(1), edges=pg.BernoulliEdges(0.3, 1.0),
        weights=pg.GaussianWeights(0, 1, None, None),
    )  # fmt: skip
    assert pg.simulate(model, 100, random_seed=1, max_rate=np.inf).shape == (100, 4)
    with pytest.raises(ValueError, match=r"point: no 'loadings', only \['bias', 'weights'\]"):
        pg.NetworkParameters.from_point(
            model, {"bias": np.zeros(4), "weights": np.zeros((4, 4, 1))}
        )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"loadings": np.ones((3, 1))}, r"loadings: got the shape \(3, 1\), allowed is"),
        ({"loadings": np.full((2, 1), np.nan)}, r"loadings: nan at index \(0, 0\); give finite"),
        ({"timescale": np.array([-1.0])}, r"timescale: got \[-1\.0\], allowed are finite numbers"),
        ({"smoothness": np.array([1.0])}, r"smoothness: got \[1\.0\], allowed are 0\.5 and 1\.5"),
        ({"grid_width": np.array([0.007])}, r"grid_width: got \[0\.007\] s, allowed are whole"),
    ],
)
def test_wrong_parameters_of_paths(wrong, message):
    network = shared_network([[1.0], [1.0]])
    path = network.shared_input._replace(**wrong)
    with pytest.raises(ValueError, match=message):
        pg.simulate(network._replace(shared_input=path), 10)


def test_a_prior_is_no_path():
    network = shared_network([[1.0], [1.0]])._replace(shared_input=pg.SharedInput(1))
    with pytest.raises(TypeError, match=r"got SharedInput, allowed are pymc_glm\.PathParameters"):
        pg.simulate(network, 10)


def test_scores_that_cannot_integrate_the_path_refuse(spikes):
    network, counts, tree = spikes
    for function in (pg.loo, pg.loo_subsample):
        with pytest.raises(ValueError, match=r"which pymc_glm\.loo\w* cannot integrate out.*held"):
            function(tree)
    without = tree.copy()
    without["posterior"] = without["posterior"].to_dataset().drop_vars("loadings")
    trees = {"path": tree, "without": without}
    trees = {
        name: xr.DataTree.from_dict(
            {
                "posterior": one["posterior"].to_dataset().isel(draw=np.zeros(30, int)),
                "constant_data": one["constant_data"].to_dataset(),
            }
        )
        for name, one in trees.items()
    }
    with pytest.raises(ValueError, match=r"counts: none given, but 'path' has shared input"):
        pg.compare_models(trees)
    later = pg.simulate(network, 4000, random_seed=8).values
    table = pg.compare_models(trees, later, draws=2)
    assert list(table.index) == ["path", "without"]
    assert table["heldout_elpd_diff"]["without"] < -4 * table["heldout_dse"]["without"]
    assert table["heldout_dse"]["path"] == 0
    assert {"bits_per_spike", "ks_passes"} < set(table) and "weight" not in table
    labels = [ax.get_xlabel() for ax in pg.plot_comparison(table)]
    assert labels[0] == "held-out elpd below the best (nats)"

    basis = pg.basis.raised_cosine(1, window=0.02, bin_width=0.005)
    model = pg.build_glm(counts, basis, shared_input=pg.SharedInput(1))
    with pytest.raises(ValueError, match=r"model: it has shared input, whose loadings on a new"):
        pg.heldout_neuron(tree, model, "0")
