"""Observation models: laws against SciPy, what is refused, and samplers of their posteriors."""

import joint
import numpy as np
import pymc as pm
import pytest
from scipy.special import expit
from scipy.stats import binom

import pymc_glm as pg
from pymc_glm.kernels import likelihood
from pymc_glm.observations import Bernoulli, observation_of

BASIS = pg.basis.raised_cosine(2, window=0.1, bin_width=0.02)
LAWS = [Bernoulli(), pg.Binomial(1), pg.Binomial(5)]
each_law = pytest.mark.parametrize("law", LAWS, ids=str)


def counts_of(law, n_bins=300, n=3, seed=0):
    return np.random.default_rng(seed).binomial(law.trials, 0.3, (n_bins, n))


@each_law
def test_kernels_and_augmentation_know_the_law(law):
    """All of them up to a term of the counts alone."""
    y = np.arange(law.trials + 1)
    psi = np.random.default_rng(1).normal(size=y.size) * 3
    expected = binom.logpmf(y, law.trials, expit(psi)) - binom.logpmf(y, law.trials, 0.5)
    parameters = likelihood.law_of(law.likelihood(y[None].astype(np.int8)), 0)
    ours = [
        likelihood.log_likelihood(parameters, y[i : i + 1], psi[i : i + 1], np.empty(1))
        - likelihood.log_likelihood(parameters, y[i : i + 1], np.zeros(1), np.empty(1))
        for i in range(y.size)
    ]
    np.testing.assert_allclose(ours, expected, atol=1e-12)
    a, b = law.polya_gamma(y[None])
    tilted = a[0] * psi - b * np.logaddexp(0, psi) + b * np.log(2)
    np.testing.assert_allclose(tilted, expected, atol=1e-12)


@each_law
def test_activation_inverts_the_mean(law):
    rate = np.array([1.0, 10.0, 40.0])
    psi = law.activation(rate, 0.02)
    np.testing.assert_allclose(law.trials * expit(psi) / 0.02, rate)


@each_law
def test_the_law_is_read_back_from_the_model(law):
    model = pg.build_glm(counts_of(law), BASIS, observation=law)
    assert type(observation_of(model["spikes"])) is type(law)
    assert observation_of(model["spikes"]).trials == law.trials
    point = model.initial_point(0)
    (mean,) = model.replace_rvs_by_values([law.mean(model["spikes"])])
    function = model.compile_fn(mean, inputs=model.value_vars, on_unused_input="ignore")
    mean = function(point)
    assert mean.shape == (300, 3)
    np.testing.assert_allclose(mean[0], law.trials * expit(point["bias"]))


def test_trials_that_are_not_one_known_number_are_unknown():
    with pm.Model():
        n = pm.Data("n", 3)
        for trials in (n, [2, 3, 3]):
            y = pm.Binomial(f"y{trials}", n=trials, p=np.full(3, 0.5))
            assert observation_of(y) is None
        assert observation_of(pm.Binomial("x", n=[3, 3, 3], p=0.5)) == pg.Binomial(3)
        assert observation_of(pm.Normal("z")) is None


@pytest.mark.parametrize("n_trials", [0, -1, 2.5, True, "3", None])
def test_bad_numbers_of_trials(n_trials):
    with pytest.raises(ValueError, match=r"^n_trials: got .*at least 1"):
        pg.Binomial(n_trials)


def test_more_spikes_than_trials():
    counts = counts_of(pg.Binomial(3))
    counts[7, 1] = 9
    with pytest.raises(ValueError, match=r"1 of 900 bins.*n_trials = 3.*neuron '1', bin 7, 9 spi"):
        pg.build_glm(counts, BASIS, observation=pg.Binomial(3))
    with pytest.raises(ValueError, match=r"bias_rate: got 150 Hz.*below 150 Hz, 3 spikes a bin"):
        pg.build_glm(counts.clip(max=3), BASIS, observation=pg.Binomial(3), bias_rate=150)


def test_rates_of_binomial_counts():
    law = pg.Binomial(5)
    counts = counts_of(law, n_bins=1000)
    model = pg.build_glm(counts, BASIS, observation=law, bias_rate=60.0)
    tree = pg.sample(200, 200, chains=2, model=model, random_seed=1, progressbar=False, quiet=True)
    rates = pg.predicted_rates(tree, random_seed=1)["mean"].mean("time")
    np.testing.assert_allclose(rates, counts.mean(axis=0) / 0.02, rtol=0.03)
    assert float(tree["constant_data"]["n_trials"]) == 5


@pytest.mark.parametrize(
    "steps", [(pg.PolyaGammaGibbs,), (pg.EdgeMetropolis, pg.WeightHMC)], ids=["augmented", "not"]
)
def test_geweke_of_binomial_counts(steps):
    """See test_geweke; the threshold is passed in fewer than 1 of 1000 seeds.

    Weights are small: networks that excite themselves to three spikes in every bin are states that
    neither sampler leaves often.
    """
    model = joint.make_joint(
        2,
        20,
        1,
        10_000,
        seed=11,
        edges=pg.BernoulliEdges(pm.Beta.dist(2, 2), pm.Beta.dist(2, 3)),
        weights=pg.GaussianWeights(pm.Normal.dist(0.1, 0.2), 0.1, self_mean=-0.5, self_cov=0.1),
        bias=pm.Normal.dist(-1.0, 0.5),
        network_steps=steps,
        observation=pg.Binomial(3),
    )
    chain = joint.successive_conditional(model, 8000, 12)
    name, score = joint.worst(joint.marginal_conditional(model, seed=13), chain)
    assert abs(score) < 4.2, (name, score)
