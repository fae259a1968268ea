"""Time rescaling of counts in bins: exact for every observation model, across segments."""

import logging

import numpy as np
import pytest
import xarray as xr
from scipy.special import expit
from scipy.stats import expon, kstest, kstwobign

import pymc_glm as pg
from helpers.known_tree import known_tree, refractory
from pymc_glm.criticism.one_step import activations, observed_data, post_draws
from pymc_glm.kernels.likelihood import LOGISTIC, POISSON
from pymc_glm.kernels.rescaling import rescaled_intervals

OBSERVATIONS = {
    "bernoulli": pg.Bernoulli(),
    "binomial": pg.Binomial(4),
    "poisson": pg.Poisson(),
    "negative_binomial": pg.NegativeBinomial(0.7),
}


def psi_of(tree, post=0):
    """psi (time,) of the first draw."""
    data = observed_data(tree)
    drawn = post_draws(tree, data.observation, post, np.array([0]), np.array([0]))
    return activations(data, drawn)[0]


def test_bernoulli_counts_are_corrected_as_published():
    """Haslinger, Pipa & Brown 2010, equations of section 3, bin by bin."""
    rng = np.random.default_rng(1)
    p = rng.uniform(0.02, 0.7, 300)
    counts = (rng.random(300) < p).astype(int)
    r = rng.random(counts.sum())
    expected, running = [], 0.0
    for t in range(300):
        q = -np.log(1 - p[t])
        if counts[t]:
            expected.append(running - np.log(1 - r[len(expected)] * (1 - np.exp(-q))))
            running = 0.0
        else:
            running += q
    found = rescaled_intervals(LOGISTIC, 0.0, 1.0, np.log(p / (1 - p)), counts, r)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_poisson_counts_lie_on_the_integrated_rate():
    """Spikes spread over their bins, and the integral of the rate interpolated at them."""
    rng = np.random.default_rng(2)
    rate = rng.uniform(0.1, 3.0, 200)
    counts = rng.poisson(rate)
    u = rng.random(counts.sum())
    places = np.split(u, np.cumsum(counts)[:-1])
    times = np.concatenate([t + np.sort(in_bin) for t, in_bin in enumerate(places)])
    integral = np.interp(times, np.arange(201), np.append(0, rate.cumsum()))
    found = rescaled_intervals(POISSON, 0.0, 1.0, np.log(rate), counts, u)
    np.testing.assert_allclose(found, np.diff(integral, prepend=0.0), rtol=1e-9)


@pytest.mark.parametrize(
    ("draw", "family", "slope", "dispersion"),
    [
        (lambda rng, psi: rng.binomial(5, expit(psi)), LOGISTIC, 0.0, 5.0),
        (lambda rng, psi: rng.negative_binomial(0.6, expit(-psi)), LOGISTIC, 1.0, 0.6),
        (lambda rng, psi: rng.poisson(np.exp(psi)), POISSON, 0.0, 1.0),
    ],
    ids=["binomial", "negative_binomial", "poisson"],
)
def test_intervals_of_numpys_counts_are_exponential(draw, family, slope, dispersion):
    """With several spikes in many bins. Fails by chance once in 1000 for each of the checks."""
    rng = np.random.default_rng(3)
    psi = rng.normal(-0.5, 1.0, 20_000)
    counts = draw(rng, psi)
    assert (counts > 1).mean() > 0.1
    u = rng.random(counts.sum())
    intervals = rescaled_intervals(family, slope, dispersion, psi, counts, u)
    assert kstest(intervals, expon.cdf).pvalue > 1e-3
    ranks = np.argsort(np.argsort(intervals))
    for lag in (1, 2):
        assert abs(np.corrcoef(ranks[:-lag], ranks[lag:])[0, 1]) < 3.3 / np.sqrt(len(ranks))
    spread = rescaled_intervals(
        POISSON, 0.0, 1.0, np.log(dispersion) + psi, counts, rng.random(counts.sum())
    )
    if family != POISSON:  # which are not just Poisson counts with another mean
        assert kstest(spread, expon.cdf).pvalue < 1e-3


def uncorrected(psi, counts):
    """P-value with probabilities summed through the bin of each spike, without a correction."""
    passed = expit(psi).cumsum()[counts > 0]
    return kstest(np.diff(passed), expon.cdf).pvalue


@pytest.mark.parametrize("observation", OBSERVATIONS.values(), ids=OBSERVATIONS)
def test_p_values_are_uniform_under_the_truth(observation):
    """60 recordings of 3 neurons, 10 to 60 spikes in 100 bins, where the uncorrected test fails."""
    network = refractory(observation)
    p_values, naive = [], []
    for seed in range(60):
        counts = pg.simulate(network, 1500, random_seed=seed).values
        tree = known_tree(network, counts)
        result = pg.time_rescaling(tree, random_seed=seed)
        p_values.append(result["p_value"].values)
        if observation.name == "bernoulli":
            naive.append(uncorrected(psi_of(tree), counts[:, 0]))
    assert kstest(np.ravel(p_values), "uniform").pvalue > 1e-3
    if naive:
        assert np.mean(np.array(naive) < 0.05) > 0.9


def test_a_model_without_refractoriness_fails():
    network = refractory(bias=(-2.0, -2.0, -2.0))
    counts = pg.simulate(network, 10_000, random_seed=1).values
    rate = counts.mean(axis=0)
    flat = network._replace(bias=np.log(rate / (1 - rate)), weights=np.zeros((3, 3, 2)))
    right, wrong = (
        pg.time_rescaling(known_tree(one, counts), random_seed=1) for one in (network, flat)
    )
    assert (right["p_value"] > 1e-3).all()
    assert (wrong["p_value"] < 1e-6).all()
    assert (wrong["inside"] == 0).all()


def test_autocorrelation_shows_dependence_that_the_ks_test_misses():
    """Intervals, each exponential, in runs of equal ones: an independent construction."""
    rng = np.random.default_rng(4)
    intervals = np.repeat(rng.exponential(size=1000), 2)
    counts = np.zeros((200 * int(intervals.sum() + 2), 1), dtype=int)
    np.add.at(counts[:, 0], (intervals.cumsum() * 200).astype(int), 1)
    counts = counts.clip(max=1)
    basis = pg.basis.raised_cosine(1, window=0.05, bin_width=0.005)
    flat = pg.NetworkParameters(np.array([np.log(1 / 199)]), np.zeros((1, 1, 1)), basis)
    result = pg.time_rescaling(known_tree(flat, counts), random_seed=1)
    assert result["p_value"][0] > 1e-3
    assert result["autocorrelation_mean"][0] > 5 * result["autocorrelation_bound"][0]


def test_short_trials_do_not_favour_short_intervals():
    """The correct model passes in 600 trials of 0.1 s, where leaving out border intervals fails."""
    network = refractory(bias=(-2.0, -2.0, -2.0), self_weight=-1.0)
    trials = [pg.simulate(network, 20, random_seed=seed).values for seed in range(600)]
    starts = 20 * np.arange(600)
    counts = np.concatenate(trials)
    tree = known_tree(network, counts, starts=starts)
    result = pg.time_rescaling(tree, random_seed=1)
    assert (result["p_value"] > 1e-3).all()
    np.testing.assert_array_equal(result["n_intervals"], counts.sum(axis=0))
    psi = psi_of(tree)
    inside = []
    for first in starts:
        trial, spikes = psi[first : first + 20], counts[first : first + 20, 0]
        found = rescaled_intervals(LOGISTIC, 0.0, 1.0, trial, spikes, np.full(spikes.sum(), 0.5))
        inside.append(found[1:])
    assert kstest(np.concatenate(inside), expon.cdf).pvalue < 1e-6


def test_excluded_bins_are_not_in_rescaled_time():
    """An artefact that no model can predict, and the history that it leaves behind."""
    network = refractory()
    counts = pg.simulate(network, 6000, random_seed=5).values
    n_lags = len(network.basis)
    bad = np.zeros(6000, bool)
    bad[1000:2000] = True
    counts[1000:2000] = 1
    bad[2000 : 2000 + n_lags] = True  # whose history was silence when they were made
    counts[2000 + n_lags :] = pg.simulate(
        network,
        4000 - n_lags,
        random_seed=6,
        initial_history=counts[2000 : 2000 + n_lags],
    ).values
    whole = pg.time_rescaling(known_tree(network, counts), random_seed=1)
    bins = np.flatnonzero(~bad)
    cut = pg.time_rescaling(known_tree(network, counts, bins=bins), random_seed=1)
    assert (whole["p_value"] < 1e-6).all()
    assert (cut["p_value"] > 1e-3).all()
    np.testing.assert_array_equal(cut["n_intervals"], counts[bins].sum(axis=0))


def test_each_draw_has_its_own_statistic():
    """Half of the draws at the truth, half far off; the band is Kolmogorov's."""
    network = refractory()
    counts = pg.simulate(network, 8000, random_seed=7).values
    tree = known_tree(network, counts, n_draws=20)
    tree["posterior"]["bias"].values[0, ::2] += 0.7
    result = pg.time_rescaling(tree, random_seed=1)
    inside = result["ks"] <= result["bound"].sel(probability=0.99)
    np.testing.assert_array_equal(inside[:, 0], result["draw"] % 2 == 1)
    np.testing.assert_allclose(result["inside"].sel(probability=0.99), 0.5)
    expected = kstwobign.ppf([0.95, 0.99])[:, None] / np.sqrt(counts.sum(axis=0))
    np.testing.assert_allclose(result["bound"], expected, rtol=0.02)
    one = result.isel(neuron=0)
    levels = np.sort(one["rescaled"].dropna("interval"))
    assert float(one["ks_mean"]) == pytest.approx(kstest(levels, "uniform").statistic)
    assert float(one["p_value"]) == pytest.approx(kstest(levels, "uniform").pvalue)
    assert one["cdf"].isel(level=[0, -1]).values.tolist() == [[0.0, 1.0]] * 20


def test_seeds_and_chosen_neurons(caplog):
    network = refractory(bias=(-1.0, -1.0, -12.0), self_weight=-1.0)
    counts = pg.simulate(network, 2000, random_seed=8).values
    tree = known_tree(network, counts, n_draws=5)
    with caplog.at_level(logging.WARNING, "pymc_glm"):
        one, two, other = (pg.time_rescaling(tree, random_seed=s) for s in (1, 1, 2))
    assert "neurons with too few spikes for time rescaling: n2 (0)" in caplog.text
    assert one.equals(two)
    assert not one.equals(other)
    assert np.isnan(one["ks_mean"][2])
    assert np.isnan(one["inside"][:, 2]).all()
    assert list(pg.time_rescaling(tree, neurons=["n1", "n0"])["neuron"].values) == ["n1", "n0"]


def test_what_cannot_be_tested_is_refused():
    network = refractory(bias=(-12.0, -12.0, -12.0))
    silent = known_tree(network, np.zeros((100, 3), dtype=int))
    with pytest.raises(ValueError, match=r"no neuron has the 10 spikes.*n0 \(0\)"):
        pg.time_rescaling(silent)
    with pytest.raises(TypeError, match="tree: got dict"):
        pg.time_rescaling({})
    with pytest.raises(ValueError, match="tree: it has no group 'posterior'"):
        pg.time_rescaling(xr.DataTree())
    with pytest.raises(ValueError, match=r"unknown neurons \['x'\]"):
        pg.time_rescaling(silent, neurons=["x"])
    with pytest.raises(ValueError, match="draws: got 0"):
        pg.time_rescaling(silent, draws=0)
    traces = known_tree(network._replace(observation=pg.Gaussian(1.0)), np.zeros((100, 3)))
    with pytest.raises(ValueError, match="tree: it holds traces"):
        pg.time_rescaling(traces)
