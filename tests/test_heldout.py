"""Scores of held-out counts against PyMC's log likelihoods and SciPy's distributions."""

import numpy as np
import pymc as pm
import pytest
import xarray as xr
from scipy import stats
from scipy.special import logsumexp

import pymc_glm as pg
from helpers.drawn_tree import by_pymc, drawn_tree
from pymc_glm.criticism.scores.heldout import _score

WIDTH = 0.02
BASIS = pg.basis.raised_cosine(2, window=0.1, bin_width=WIDTH)
OBSERVATIONS = {
    "bernoulli": pg.Bernoulli(),
    "binomial": pg.Binomial(4),
    "negative binomial": pg.NegativeBinomial(),
    "poisson": pg.Poisson(),
    "gaussian": pg.Gaussian(),
}


def counts_of(observation, n_bins=300, n=3, seed=0, **along):
    rng = np.random.default_rng(seed)
    if observation.whole:
        values = rng.negative_binomial(0.5, 0.6, (n_bins, n)).clip(0, observation.most).astype(int)
    else:
        values = rng.normal(0.1, 1.3, (n_bins, n))
    return xr.DataArray(
        values,
        dims=("time", "neuron"),
        coords={"neuron": ["a", "b", "c"]} | {k: ("time", v) for k, v in along.items()},
        attrs={"bin_width": WIDTH},
    )


def constant_log_density(observation, train, test):
    """Log density of the counts of one neuron with a constant mean, from SciPy."""
    mean = (train.sum() + 0.5) / (train.size + 1)
    if isinstance(observation, pg.Gaussian):
        return stats.norm.logpdf(test, train.mean(), train.std())
    if isinstance(observation, pg.NegativeBinomial):
        r = train.mean() ** 2 / (train.var() - train.mean())
        return stats.nbinom.logpmf(test, r, r / (r + mean))
    if isinstance(observation, pg.Poisson):
        return stats.poisson.logpmf(test, mean)
    n = int(observation.most)
    return stats.binom.logpmf(test, n, mean / n)


@pytest.mark.parametrize("observation", OBSERVATIONS.values(), ids=OBSERVATIONS)
def test_against_the_log_likelihoods_of_pymc(observation):
    train, test = counts_of(observation), counts_of(observation, 130, seed=1)
    model = pg.build_glm(train, BASIS, observation=observation)
    tree = drawn_tree(model)
    score = pg.heldout_score(tree, model, test, block_width=1.0)
    assert isinstance(score, pg.HeldoutScore)
    pointwise = by_pymc(tree, pg.build_glm(test, BASIS, observation=observation))
    draws = pointwise.stack(sample=("chain", "draw")).transpose("sample", "time", "post").values
    edges = [(0, 50), (50, 100), (100, 130)]
    blocks = np.array([logsumexp(draws[:, a:b].sum(axis=1), axis=0) for a, b in edges])
    blocks -= np.log(len(draws))
    np.testing.assert_allclose(score.blocks["elpd"], blocks, rtol=1e-9)
    assert score.elpd == pytest.approx(blocks.sum())
    assert score.elpd_se == pytest.approx(np.sqrt(3) * blocks.sum(axis=1).std(ddof=1))
    constant = np.stack(
        [
            constant_log_density(observation, train.values[:, n], test.values[:, n])
            for n in range(3)
        ],
        axis=1,
    )
    known = score.neurons["elpd_constant"]
    np.testing.assert_allclose(known, constant.sum(axis=0), rtol=1e-6)
    gain = (blocks.sum(axis=0) - constant.sum(axis=0)) / np.log(2)
    if observation.whole:
        spikes = test.values.sum(axis=0)
        np.testing.assert_array_equal(score.neurons["n_spikes"], spikes)
        np.testing.assert_allclose(score.neurons["bits_per_spike"], gain / spikes, rtol=1e-6)
        assert score.bits_per_spike == pytest.approx(gain.sum() / spikes.sum())
        assert "bits per spike" in str(score)
    else:
        assert np.isnan(score.bits_per_spike)
        assert "bits per spike" not in str(score)


def test_counts_before_the_start_are_history():
    observation = OBSERVATIONS["bernoulli"]
    train, test = counts_of(observation), counts_of(observation, 200, seed=2)
    tree = drawn_tree(pg.build_glm(train, BASIS))
    late = pg.heldout_score(tree, None, test, start=2.0, block_width=1.0)
    whole = pg.heldout_score(tree, None, test, block_width=1.0)
    np.testing.assert_allclose(late.blocks["elpd"], whole.blocks["elpd"][2:], rtol=1e-12)
    cut = pg.heldout_score(tree, None, test.isel(time=slice(100, None)), block_width=1.0)
    assert (cut.blocks["elpd"][0] != late.blocks["elpd"][0]).all()
    np.testing.assert_allclose(cut.blocks["elpd"][1], late.blocks["elpd"][1], rtol=1e-12)
    # Blocks have the right length wherever the counts begin.
    later = pg.heldout_score(tree, None, test, start=2.5, block_width=0.5)
    np.testing.assert_allclose(later.blocks["block_start"], [2.5, 3.0, 3.5])
    history = test.isel(time=slice(120, None))
    again = pg.heldout_score(tree, None, history, start=0.1, block_width=0.5)
    np.testing.assert_allclose(again.blocks["elpd"], later.blocks["elpd"], rtol=1e-12)


def test_neurons_in_another_order_and_segments():
    observation = OBSERVATIONS["bernoulli"]
    tree = drawn_tree(pg.build_glm(counts_of(observation), BASIS))
    test = counts_of(observation, 200, seed=3, trial=np.repeat([0, 1], [120, 80]))
    score = pg.heldout_score(tree, None, test, block_width=1.0)
    assert score.blocks.sizes["block"] == 3 + 2
    turned = pg.heldout_score(tree, None, test.isel(neuron=[2, 0, 1]), block_width=1.0)
    xr.testing.assert_identical(turned.blocks, score.blocks)


def test_excluded_bins_do_not_affect_the_constant_rate():
    counts = counts_of(OBSERVATIONS["bernoulli"])
    exclude = np.arange(300) < 150
    model = pg.build_glm(counts, BASIS, exclude=exclude)
    test = counts_of(OBSERVATIONS["bernoulli"], 200, seed=3)
    score = pg.heldout_score(drawn_tree(model), model, test, block_width=1.0)
    expected = [
        constant_log_density(pg.Bernoulli(), counts.values[150:, n], test.values[:, n]).sum()
        for n in range(3)
    ]
    np.testing.assert_allclose(score.neurons["elpd_constant"], expected, rtol=1e-9)


def test_a_neuron_without_spikes():
    observation = OBSERVATIONS["bernoulli"]
    tree = drawn_tree(pg.build_glm(counts_of(observation), BASIS))
    test = counts_of(observation, 200, seed=3)
    test[:, 1] = 0
    score = pg.heldout_score(tree, None, test, block_width=1.0)
    assert score.neurons["bits_per_spike"].isna().tolist() == [False, True, False]
    assert np.isfinite(score.bits_per_spike)


def test_standard_errors():
    """Scores vary over replications as their standard errors say."""
    rng = np.random.default_rng(4)
    n, n_blocks = 500, 40
    blocks = xr.Dataset(coords={"post": ["a", "b"]})
    found = []
    for _ in range(n):
        spikes = rng.poisson(20, (n_blocks, 2)).astype(float)
        elpd = -50 + 0.4 * spikes + rng.normal(0, 3, (n_blocks, 1)) + rng.normal(0, 2, spikes.shape)
        found.append(_score(blocks, elpd, np.full(elpd.shape, -52.0), spikes))
    for name in ("elpd", "bits_per_spike"):
        values = np.array([getattr(score, name) for score in found])
        errors = np.array([getattr(score, f"{name}_se") for score in found])
        # relative error of a variance from n values, and bias of the delta method
        assert np.mean(errors**2) / values.var() == pytest.approx(1, abs=4 * np.sqrt(2 / n) + 0.02)


def test_coupling_improves_the_score():
    """If one neuron drives another, the coupled model predicts only that one better."""
    weights = np.zeros((2, 2, 2))
    weights[1, 0, 0] = 2.5
    network = pg.NetworkParameters(np.array([-2.0, -3.0]), weights, BASIS)
    counts = pg.simulate(network, 9000, random_seed=5)
    train = counts.isel(time=slice(0, 6000))
    known = {"adjacency": weights.any(axis=2), "weights": weights, "bias": network.bias}
    model = pg.build_glm(train, BASIS)
    tree = drawn_tree(model, draws=2, chains=1)
    for name, value in known.items():
        tree["posterior"][name][:] = value
    score = pg.heldout_score(tree, model, counts, start=120.0)
    neurons = score.neurons.set_index("neuron")
    assert neurons.loc["1", "bits_per_spike"] > 5 * neurons.loc["1", "bits_per_spike_se"] > 0
    assert abs(neurons.loc["0", "bits_per_spike"]) < 0.02


def test_arguments_out_of_range_are_refused():
    observation = OBSERVATIONS["bernoulli"]
    model = pg.build_glm(counts_of(observation), BASIS)
    tree, test = drawn_tree(model), counts_of(observation, 200, seed=3)
    other = pg.build_glm(counts_of(observation, seed=9), BASIS)
    for arguments, message in (
        ((other, test), r"model: it differs from the one that was sampled in its counts"),
        ((None, test.isel(time=slice(0, 5))), r"got 5 held-out bins, .* more than the 5 bins"),
        ((None, test.isel(time=slice(0, 60))), "block_width: got 5 s, one block of 60 held-out"),
        ((None, test.isel(neuron=[0, 1])), "of the neurons of the model .'c'. are missing"),
    ):
        with pytest.raises(ValueError, match=message):
            pg.heldout_score(tree, *arguments)
    wide = test.assign_attrs(bin_width=0.05)
    with pytest.raises(ValueError, match=r"bins are 0.05 s wide, those of the model 0.02 s"):
        pg.heldout_score(tree, None, wide)
    with pytest.raises(TypeError, match="tree: got Model"):
        pg.heldout_score(pm.Model(), None, test)
