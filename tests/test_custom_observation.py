"""A user's own observation model, written as the documentation says, with every step method."""

import pickle

import arviz as az
import cloudpickle
import numpy as np
import pymc as pm
import pytest

import pymc_glm as pg
from helpers.softplus_observation import log_density, softplus_observation
from helpers.uncompiled import QUICK_FIT
from pymc_glm.kernels.custom_density import CustomDensity
from pymc_glm.kernels.likelihood import log_likelihood, neuron_likelihood, score
from pymc_glm.observations import observation_named, observation_of


@pytest.fixture(scope="module", autouse=True)
def custom():
    """The observation model is known while these tests run."""
    with softplus_observation() as observation:
        yield observation


BASIS = pg.basis.raised_cosine(2, window=0.1, bin_width=0.02)


def counts_of(n_bins=400):
    return np.random.default_rng(0).poisson(0.7, (n_bins, 3))


def test_kernels_call_the_density():
    counts, psi = np.arange(6), np.linspace(-3, 3, 6)
    observation = neuron_likelihood(pg.log_concave(log_density, counts[None]), 0)
    expected = np.array([log_density(*pair, 1.0) for pair in zip(counts, psi, strict=True)])
    slope, curvature = np.empty(6), np.empty(6)
    score(observation, counts, psi, slope, curvature)
    np.testing.assert_allclose(np.stack([slope, curvature], axis=1), expected[:, 1:], rtol=1e-12)
    total = log_likelihood(observation, counts, psi, np.empty(6))
    np.testing.assert_allclose(total, expected[:, 0].sum(), rtol=1e-12)


def test_the_observation_model_is_found_and_that_of_the_package_still_is(custom):
    model = pg.build_glm(counts_of(), BASIS, observation=custom())
    assert isinstance(observation_of(model["spikes"]), custom)
    assert observation_named("softplus_poisson") is custom
    ordinary = pg.build_glm(counts_of(), BASIS, observation="poisson")
    assert observation_of(ordinary["spikes"]) == pg.Poisson()


def test_densities_travel_to_other_processes():
    there = pickle.loads(cloudpickle.dumps(CustomDensity(log_density)))
    likelihood = pg.log_concave(log_density, np.arange(3)[None])._replace(density=there)
    psi = np.ones(3)
    total = log_likelihood(neuron_likelihood(likelihood, 0), likelihood.counts[0], psi, np.empty(3))
    np.testing.assert_allclose(total, sum(log_density(y, 1.0, 1.0)[0] for y in range(3)))


@pytest.mark.slow
def test_agreement_with_nuts(custom):
    """Dense edges, a fixed prior: means within Monte Carlo error of those of PyMC's NUTS.

    21 means, each beyond 4.5 standard errors in one of 150000 runs.
    """
    weights = pg.GaussianWeights(0.0, 0.3, None, None)
    model = pg.dense_glm(counts_of(), BASIS, weights=weights, observation=custom())
    options = {"draws": 1000, "tune": 500, "chains": 2, "cores": 1, "progressbar": False}
    with model:
        found = pg.sample(random_seed=1, quiet=True, **options)
        nuts = pm.sample(random_seed=2, quiet=True, step=pm.NUTS(model.free_RVs), **options)
    for rv in model.free_RVs:
        one, other = (tree["posterior"].dataset[[rv.name]] for tree in (found, nuts))
        error = np.hypot(*[az.mcse(x, method="mean")[rv.name] for x in (one, other)])
        away = one.mean(("chain", "draw")) - other.mean(("chain", "draw"))
        assert (np.abs(away[rv.name]) < 4.5 * error).all(), rv.name
    rates = pg.predicted_rates(found, random_seed=1)["mean"].mean("time")
    np.testing.assert_allclose(rates, counts_of().mean(axis=0) / 0.02, rtol=0.1)


def test_edges_are_sampled_in_processes(custom):
    weights = pg.GaussianWeights(0.0, 0.3, None, None)
    model = pg.build_glm(counts_of(), BASIS, weights=weights, observation=custom())
    tree = pg.sample(50, 50, chains=2, cores=2, model=model, random_seed=1, quiet=True,
                     progressbar=False, **QUICK_FIT)  # fmt: skip
    assert tree["posterior"]["adjacency"].sizes["chain"] == 2
    with model, pytest.raises(ValueError, match="no Pólya-gamma augmentation"):
        pg.PolyaGammaGibbs(threads=1)
    rates = pg.posterior_rates(tree, draws=4, random_seed=1)
    assert (np.abs(np.log(rates["rate"].mean("sample") / rates["observed"])) < np.log(1.5)).all()


@pytest.mark.parametrize(
    ("density", "message"),
    [
        (lambda y, psi, s: (psi**2, 2 * psi, -2.0), "concave in psi"),
        (
            lambda y, psi, s: (-(psi**2), -psi, 2.0),
            r"first derivative for the count 0 and psi = -4",
        ),
        (lambda y, psi, s: (-(psi**2), -2 * psi, 1.0), "minus the second derivative"),
        (lambda y, psi, s: (np.inf, 0.0, 0.0), "give finite numbers for any psi"),
    ],
)
def test_wrong_densities(density, message):
    with pytest.raises(ValueError, match=message):
        pg.log_concave(density, np.arange(3)[None])
