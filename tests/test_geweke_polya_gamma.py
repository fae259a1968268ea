"""Geweke's joint distribution test (2004, JASA 99:799) of the step methods, and that it has teeth.

Parameters and data are drawn in two ways: independently from the joint law, and by a chain that
alternates the samplers with new data given the parameters. Every function of both must have the
same mean. With some 20 functions and a threshold of 4.2 standard errors a right sampler fails
in fewer than 1 of 1000 seeds.
"""

import numpy as np
import pytest

import pymc_glm as pg
from helpers import joint
from pymc_glm.kernels import polya_gamma

THRESHOLD = 4.2
N_PRIOR = 10_000


@pytest.fixture(scope="module")
def network():
    """Two neurons, learned edge probabilities, weight mean and scale."""
    return joint.make_joint(
        2,
        25,
        1,
        N_PRIOR,
        seed=1,
        **joint.learned_parts(),
    )


@pytest.fixture(scope="module")
def independent(network):
    return joint.marginal_conditional(network, seed=2)


def worst(network, independent, n_iterations, seed=3):
    chain = joint.successive_conditional(network, n_iterations, seed)
    return joint.worst(independent, chain)


@pytest.mark.parametrize("n_iterations", [5000, pytest.param(15_000, marks=pytest.mark.slow)])
def test_polya_gamma_and_network_nuts(network, independent, n_iterations):
    name, score = worst(network, independent, n_iterations)
    assert abs(score) < THRESHOLD, name


def _forget_slab_offset(monkeypatch, network):
    original = polya_gamma._prior_terms
    monkeypatch.setattr(
        polya_gamma,
        "_prior_terms",
        lambda prior: original(prior)._replace(offset=np.zeros(prior.mean.shape[:2])),
    )


def _wrong_kappa(monkeypatch, network):
    joint.shift_kappa(monkeypatch)


def _forget_edge_probability(monkeypatch, network):
    original = network.steps[0]._prior
    monkeypatch.setattr(
        network.steps[0],
        "_prior",
        lambda point: (p := original(point))._replace(log_odds=np.zeros_like(p.log_odds)),
    )


def _forget_a_quarter_of_omega(monkeypatch, network):
    original = polya_gamma.weighted_grams

    def too_small(rows, omega, out):
        original(rows, 0.75 * omega, out)

    monkeypatch.setattr(polya_gamma, "weighted_grams", too_small)


def _tilted_hyperparameter_density(monkeypatch, network):
    integrator = network.steps[1].integrator
    original = integrator._logp_dlogp_func

    def tilted(q, info):
        logp, gradient = original(q, info)
        return logp + 0.3 * q[0], gradient + 0.3 * np.eye(len(gradient))[0]

    monkeypatch.setattr(integrator, "_logp_dlogp_func", tilted)


@pytest.mark.parametrize(
    "plant",
    [
        _forget_slab_offset,
        _wrong_kappa,
        _forget_edge_probability,
        _forget_a_quarter_of_omega,
        _tilted_hyperparameter_density,
    ],
)
def test_planted_bugs_are_found(network, independent, monkeypatch, plant):
    """Each of these mistakes, put into the sampler on purpose, must break the test."""
    plant(monkeypatch, network)
    _, score = worst(network, independent, 2500)
    assert abs(score) > THRESHOLD


@pytest.mark.slow
@pytest.mark.parametrize(
    ("edges", "weights"),
    [
        (None, None),
        (pg.DenseEdges(), None),
        (pg.BernoulliEdges(0.4, None), pg.GaussianWeights(0.3, 0.5, None, None)),
        (pg.BernoulliEdges(), pg.GaussianWeights(cov=[0.5, 0.2], self_mean=-1.0)),
    ],
    ids=["default", "dense", "fixed", "mixed"],
)
def test_other_parts(edges, weights):
    """The default priors with two basis functions, dense edges, and fixed hyperparameters."""
    model = joint.make_joint(3, 20, 2, N_PRIOR, seed=11, edges=edges, weights=weights)
    name, score = worst(model, joint.marginal_conditional(model, seed=12), 15_000, seed=13)
    assert abs(score) < THRESHOLD, name
