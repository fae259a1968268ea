"""Rates of freely running networks drawn from prior and posterior, and their plot."""

import logging

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pymc as pm
import pytest
from scipy.special import expit

import pymc_glm as pg
from helpers.synthetic_tree import tree_of

BASIS = pg.basis.raised_cosine(1, window=0.03, bin_width=0.005)
PSI = np.array([-4.0, -3.0, -2.0])


def model_of(observation="bernoulli", self_weight=0.0, n_bins=1500, psi=PSI):
    """A model with a very narrow prior of weights: no coupling except self-edges."""
    counts = np.random.default_rng(1).integers(0, 2, (n_bins, 3))
    return pg.dense_glm(
        counts,
        BASIS,
        observation=observation,
        weights=pg.GaussianWeights(0.0, 1e-12, self_mean=self_weight, self_cov=1e-12),
        bias=pm.Normal.dist(psi, 1e-6),
    )


def tree_at(psi=PSI, self_weight=0.0, n_draws=60, spikes=None):
    """A posterior of two chains with constant draws."""
    weights = np.zeros((2, n_draws, 3, 3, 1))
    weights[..., range(3), range(3), 0] = self_weight
    bias = np.broadcast_to(psi, (2, n_draws, 3)).copy()
    if spikes is None:
        spikes = np.random.default_rng(2).integers(0, 2, (1500, 3))
    return tree_of(None, weights, bias, basis=BASIS.values, spikes=spikes, labels=["a", "b", "c"])


@pytest.mark.parametrize(
    ("observation", "mean", "variance"),
    [
        ("bernoulli", expit(PSI), expit(PSI) * expit(-PSI)),
        (pg.Binomial(3), 3 * expit(PSI), 3 * expit(PSI) * expit(-PSI)),
        ("poisson", np.exp(PSI), np.exp(PSI)),
        (pg.NegativeBinomial(2.0), 2 * np.exp(PSI), 2 * np.exp(PSI) * (1 + np.exp(PSI))),
    ],
)
def test_prior_rates_of_independent_bins(observation, mean, variance):
    """Mean and variance over draws of the mean of 1000 independent bins."""
    rates = pg.prior_rates(model_of(observation), draws=200, n_bins=1000, random_seed=1)
    counts = rates["rate"].values * 0.005
    error = np.sqrt(variance / 1000)
    assert (np.abs(counts.mean(axis=0) - mean) < 4.5 * error / np.sqrt(200)).all()
    np.testing.assert_allclose(counts.std(axis=0, ddof=1), error, rtol=4.5 / np.sqrt(400))
    assert rates["rate"].dims == ("sample", "neuron")
    assert rates.attrs["n_run_away"] == 0
    assert not rates["run_away"].any()
    assert rates.attrs["n_bins"] == 1000


def test_prior_rates_use_learned_parameters():
    """With a dispersion r near 3 the mean is r exp(psi)."""
    observation = pg.NegativeBinomial(pm.Gamma.dist(mu=3.0, sigma=1e-4))
    rates = pg.prior_rates(model_of(observation), draws=100, random_seed=1)
    mean, variance = 3 * np.exp(PSI), 3 * np.exp(PSI) * (1 + np.exp(PSI))
    error = np.sqrt(variance / 1500 / 100)
    assert (np.abs(rates["rate"].mean("sample") * 0.005 - mean) < 4.5 * error).all()
    assert rates.attrs["n_bins"] == 1500  # those of the data


def test_posterior_rates_of_a_known_network():
    """Against pg.simulate with the same parameters."""
    tree = tree_at(self_weight=-2.0)
    rates = pg.posterior_rates(tree, draws=100, random_seed=3)
    known = pg.NetworkParameters.from_draw(tree, chain=0, draw=0)
    runs = [
        pg.simulate(known, 1500, random_seed=seed).mean("time").values / 0.005
        for seed in range(100)
    ]
    away = rates["rate"].mean("sample") - np.mean(runs, axis=0)
    error = np.sqrt((np.var(runs, axis=0) + rates["rate"].var("sample")) / 100)
    assert (np.abs(away) < 4.5 * error).all()
    uncoupled = expit(PSI) / 0.005
    assert ((rates["rate"].mean("sample") < uncoupled - 4.5 * error)[1:]).all()  # coupling acts
    spikes = tree["constant_data"]["counts"].values
    np.testing.assert_allclose(rates["observed"], spikes.mean(axis=0) / 0.005)
    assert list(rates["neuron"].values) == ["a", "b", "c"]
    chosen = set(zip(rates["chain"].values.tolist(), rates["draw"].values.tolist(), strict=True))
    assert len(chosen) == 100
    assert pg.posterior_rates(tree, draws=10**6, n_bins=5).sizes["sample"] == 120


def test_what_is_observed_does_not_move_free_rates():
    """Unlike pg.predicted_rates."""
    busy, quiet = np.ones((900, 3), dtype=int), np.zeros((900, 3), dtype=int)
    one, other = (tree_at(self_weight=-2.0, spikes=spikes) for spikes in (busy, quiet))
    found = [pg.posterior_rates(tree, draws=5, random_seed=1)["rate"] for tree in (one, other)]
    np.testing.assert_array_equal(*found)
    predicted = [float(pg.predicted_rates(tree)["mean"].mean()) for tree in (one, other)]
    assert predicted[0] < 0.5 * predicted[1]


@pytest.mark.parametrize("source", ["prior", "posterior"])
def test_run_aways_are_counted_and_not_hidden(source, caplog):
    """One of three neurons excites itself; without a guard, its rate is reported."""

    def run(**kwargs):
        if source == "prior":
            model = model_of(self_weight=8.0, psi=np.array([-60.0, -60.0, -2.0]))
            return pg.prior_rates(model, random_seed=1, **kwargs)
        return pg.posterior_rates(
            tree_at(np.array([-60.0, -60.0, -2.0]), 8.0), random_seed=1, **kwargs
        )

    with caplog.at_level(logging.WARNING, "pymc_glm"):
        rates = run(draws=20)
    assert f"20 of 20 networks drawn from the {source} ran away" in caplog.text
    assert rates.attrs["n_run_away"] == 20
    assert rates["run_away"].all()
    assert np.isnan(rates["rate"]).all()
    assert (rates["run_away_time"] > 0).all()
    assert rates.attrs["max_rate"] == 100
    free = run(draws=5, max_rate=np.inf)
    assert free.attrs["n_run_away"] == 0
    assert (free["rate"][:, 2] > 150).all()
    ax = pg.plot_rate_check(rates)
    assert ax.get_title(loc="left").endswith("running freely; 20 ran away")


def test_seeds_of_free_rates():
    model, tree = model_of(n_bins=200), tree_at()
    for function, source in ((pg.prior_rates, model), (pg.posterior_rates, tree)):
        one, two, other = (function(source, draws=4, n_bins=200, random_seed=s) for s in (1, 1, 2))
        assert one.equals(two)
        assert not one.equals(other)


def test_one_draw():
    assert pg.prior_rates(model_of(), draws=1, random_seed=1)["rate"].shape == (1, 3)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"draws": 0}, "draws: got 0"),
        ({"n_bins": 2.5}, "n_bins: got 2.5"),
        ({"max_rate": 0.0}, "max_rate: got 0"),
        ({"random_seed": "x"}, "random_seed: got 'x'"),
    ],
)
def test_options_out_of_range_are_refused(kwargs, message):
    for function, source in ((pg.prior_rates, model_of()), (pg.posterior_rates, tree_at())):
        with pytest.raises(ValueError, match=message):
            function(source, **kwargs)


def test_other_objects_than_models_and_trees_are_refused():
    with pytest.raises(TypeError, match=r"model: got DataTree.*pymc\.Model"):
        pg.prior_rates(tree_at())
    with pytest.raises(ValueError, match="model: it has no variable 'bias'"):
        pg.prior_rates(pm.Model())
    with pytest.raises(TypeError, match="tree: got Model"):
        pg.posterior_rates(pm.Model())
    with pytest.raises(TypeError, match="rates: got DataTree"):
        pg.plot_rate_check(tree_at())
    with pytest.raises(ValueError, match="rates: it has no 'rate'"):
        pg.plot_rate_check(tree_at()["posterior"].to_dataset())


def test_the_plot_shows_the_numbers():
    rates = pg.posterior_rates(tree_at(), draws=40, random_seed=1)
    settings = dict(mpl.rcParams)
    ax = pg.plot_rate_check(rates)
    ax.figure.canvas.draw()
    assert dict(mpl.rcParams) == settings
    observed, outer, inner = (collection.get_segments() for collection in ax.collections)
    np.testing.assert_allclose([line[0, 0] for line in observed], rates["observed"])
    for lines, quantiles in ((outer, (0.03, 0.97)), (inner, (0.25, 0.75))):
        expected = np.quantile(rates["rate"], quantiles, axis=0)
        np.testing.assert_allclose([line[:, 0] for line in lines], expected.T)
        np.testing.assert_allclose([line[0, 1] for line in lines], [0, 1, 2])
    np.testing.assert_allclose(ax.lines[0].get_xdata(), rates["rate"].median("sample"))
    assert [text.get_text() for text in ax.get_yticklabels()] == ["a", "b", "c"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first neuron on top
    low, high = ax.get_xlim()
    assert low < rates["rate"].quantile(0.03, "sample").min()
    assert rates["observed"].max() < high
    assert ax.get_title(loc="left") == "40 draws from the posterior, running freely; none ran away"
    _, given = plt.subplots()
    assert pg.plot_rate_check(rates, ax=given) is given


def test_traces_that_run_away(caplog):
    traces = np.random.default_rng(1).normal(size=(400, 2))
    basis = pg.basis.raised_cosine(1, window=0.1, bin_width=0.02)
    weights = pg.GaussianWeights(2.0, 0.01, None, None)
    model = pg.dense_glm(traces, basis, observation="gaussian", weights=weights)
    rates = pg.prior_rates(model, draws=3, random_seed=1)
    assert rates.attrs["n_run_away"] == 3
    assert "ran away: a neuron beyond 1e+06 in one bin on average" in caplog.text


def test_the_plot_of_traces():
    traces = np.random.default_rng(1).normal(-0.2, 1.0, (400, 2))
    basis = pg.basis.raised_cosine(1, window=0.1, bin_width=0.02)
    weights = pg.GaussianWeights(0.0, 0.01)
    model = pg.build_glm(traces, basis, observation="gaussian", weights=weights)
    rates = pg.prior_rates(model, draws=20, random_seed=1)
    ax = pg.plot_rate_check(rates)
    assert ax.get_xscale() == "linear"
    assert ax.get_xlabel() == "mean of the trace"
    observed, outer, _ = (collection.get_segments() for collection in ax.collections)
    np.testing.assert_allclose([line[0, 0] for line in observed], traces.mean(axis=0))
    kept = rates["rate"].values[~rates["run_away"].values]
    expected = np.quantile(kept, (0.03, 0.97), axis=0)
    np.testing.assert_allclose([line[:, 0] for line in outer], expected.T)
    low, high = ax.get_xlim()
    assert low < expected.min() < expected.max() < high


def test_silent_neurons_are_drawn_at_half_a_spike():
    spikes = np.zeros((1500, 3), dtype=int)
    spikes[::10, 1:] = 1
    ax = pg.plot_rate_check(pg.posterior_rates(tree_at(spikes=spikes), draws=5, random_seed=1))
    observed = [line[0, 0] for line in ax.collections[0].get_segments()]
    np.testing.assert_allclose(observed, [0.5 / 7.5, 20, 20])
