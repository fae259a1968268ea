"""Geweke's test of EdgeMetropolis with WeightHMC, alone and beside others.

See test_geweke_polya_gamma.
"""

import numpy as np
import pytest

import pymc_glm as pg
from helpers import joint
from pymc_glm.engines import threads

THRESHOLD = 4.2
N_PRIOR = 10_000
METROPOLIS = (pg.EdgeMetropolis, pg.WeightHMC)


def make(network_steps, n_basis=1, **mean):
    return joint.make_joint(
        3,
        25,
        n_basis,
        N_PRIOR,
        seed=1,
        **joint.learned_parts(**mean),
        network_steps=network_steps,
    )


@pytest.fixture(scope="module")
def network():
    """Three neurons, so that edges of different neurons are swapped."""
    return make(METROPOLIS)


@pytest.fixture
def newton_alone(monkeypatch):
    """Leave edges to Newton's steps, as those beyond the 100 most frequent of a neuron are."""
    monkeypatch.setattr(pg.EdgeMetropolis, "_expand", lambda step: None)


@pytest.fixture(scope="module")
def independent(network):
    return joint.marginal_conditional(network, seed=2)


LENGTHS = [4000, pytest.param(12_000, marks=pytest.mark.slow)]


def worst(network, independent, n_iterations, seed=3):
    for step in network.steps:
        if isinstance(step, pg.EdgeMetropolis):
            step.forget()
    chain = joint.successive_conditional(network, n_iterations, seed)
    return joint.worst(independent, chain)


@pytest.mark.parametrize("n_iterations", LENGTHS)
def test_edge_metropolis_and_weight_hmc(network, independent, n_iterations):
    name, score = worst(network, independent, n_iterations)
    assert network.step_of(pg.EdgeMetropolis).expansion is not None
    assert abs(score) < THRESHOLD, (name, score)


@pytest.mark.parametrize("n_iterations", LENGTHS)
def test_newton_steps_alone(network, independent, newton_alone, n_iterations):
    name, score = worst(network, independent, n_iterations)
    assert network.step_of(pg.EdgeMetropolis).expansion is None
    assert abs(score) < THRESHOLD, (name, score)


@pytest.mark.slow
def test_beside_polya_gamma_and_with_two_basis_functions():
    """Less excitation: networks that fire in every bin are states that are seldom left."""
    model = make((*METROPOLIS, pg.PolyaGammaGibbs), n_basis=2, mean=0.1, sigma=0.3)
    name, score = worst(model, joint.marginal_conditional(model, seed=4), 6000)
    assert abs(score) < THRESHOLD, (name, score)


@pytest.mark.parametrize("n_iterations", [2500, pytest.param(8000, marks=pytest.mark.slow)])
def test_dense_edges_by_weight_hmc(n_iterations):
    edges = pg.DenseEdges()
    model = joint.make_joint(3, 25, 1, N_PRIOR, seed=5, edges=edges, network_steps=[pg.WeightHMC])
    name, score = worst(model, joint.marginal_conditional(model, seed=6), n_iterations)
    assert abs(score) < THRESHOLD, (name, score)


def change_edges(monkeypatch, change):
    """Change arguments of the kernel: (prior, plan, draws, weights) to (prior, plan, draws)."""
    original = threads.move_edges

    def changed(posts, history, likelihood, prior, plan, draws, bias, adjacency, weights, modes):
        prior, plan, draws = change(prior, plan, draws, weights)
        state = (bias, adjacency, weights, modes)
        return original(posts, history, likelihood, prior, plan, draws, *state)

    monkeypatch.setattr(threads, "move_edges", changed)


def _forget_the_determinant(monkeypatch, network):
    change_edges(
        monkeypatch,
        lambda prior, *rest: (prior._replace(log_det=np.zeros_like(prior.log_det)), *rest[:2]),
    )


def _forget_the_edge_probability(monkeypatch, network):
    change_edges(
        monkeypatch,
        lambda prior, *rest: (prior._replace(log_odds=np.zeros_like(prior.log_odds)), *rest[:2]),
    )


def _start_where_the_edge_is(monkeypatch, network):
    """The proposal then depends on the state that it must not depend on."""
    change_edges(
        monkeypatch,
        lambda prior, plan, draws, weights: (
            prior,
            plan._replace(start=weights.copy(), newton=1),
            draws,
        ),
    )


def _accept_too_often(monkeypatch, network):
    def change(prior, plan, draws, weights):
        uniforms = draws.uniforms.copy()
        uniforms[..., 2] **= 20
        return prior, plan, draws._replace(uniforms=uniforms)

    change_edges(monkeypatch, change)


def change_trajectories(monkeypatch, change):
    original = threads.move_weights

    def changed(posts, history, likelihood, prior, bias_prior, metric, trajectories, *state):
        bias_prior, trajectories = change(bias_prior, trajectories)
        return original(posts, history, likelihood, prior, bias_prior, metric, trajectories, *state)

    monkeypatch.setattr(threads, "move_weights", changed)


def _forget_the_prior_of_the_bias(monkeypatch, network):
    change_trajectories(
        monkeypatch,
        lambda prior, trajectories: (prior._replace(mean=prior.mean + 0.3), trajectories),
    )


def _too_little_momentum(monkeypatch, network):
    change_trajectories(
        monkeypatch,
        lambda prior, trajectories: (
            prior,
            trajectories._replace(normals=0.6 * trajectories.normals),
        ),
    )


@pytest.mark.parametrize(
    "plant",
    [
        pytest.param(_forget_the_determinant, marks=pytest.mark.slow),
        pytest.param(_forget_the_edge_probability, marks=pytest.mark.slow),
        pytest.param(_start_where_the_edge_is, marks=pytest.mark.slow),
        pytest.param(_accept_too_often, marks=pytest.mark.slow),
        pytest.param(_forget_the_prior_of_the_bias, marks=pytest.mark.slow),
        pytest.param(_too_little_momentum, marks=pytest.mark.slow),
    ],
)
def test_planted_bugs_are_found(network, independent, monkeypatch, newton_alone, plant):
    """Each of these mistakes, put into the sampler on purpose, must break the test."""
    plant(monkeypatch, network)
    _, score = worst(network, independent, 4000)
    assert abs(score) > THRESHOLD


def change_flips(monkeypatch, **changes):
    """Change arguments of the kernel of flips, by name."""
    original = threads.flip_edges
    names = ("posts", "history", "likelihood", "prior", "bias_prior", "expansion", "draws")

    def changed(*arguments):
        given = dict(zip(names, arguments, strict=False))
        given |= {name: change(given[name]) for name, change in changes.items()}
        return original(*given.values(), *arguments[len(names) :])

    monkeypatch.setattr(threads, "flip_edges", changed)


def _flip_by_another_bias_prior(monkeypatch, network):
    change_flips(monkeypatch, bias_prior=lambda prior: prior._replace(mean=prior.mean + 1.0))


def _flip_without_the_edge_probability(monkeypatch, network):
    change_flips(
        monkeypatch, prior=lambda prior: prior._replace(log_odds=np.zeros_like(prior.log_odds))
    )


def _flip_on_the_surrogate_alone(monkeypatch, network):
    def change(draws):
        uniforms = draws.uniforms.copy()
        uniforms[..., 1] = 1e-300
        return draws._replace(uniforms=uniforms)

    change_flips(monkeypatch, draws=change)


def _swap_on_the_surrogate_alone(monkeypatch, network):
    def change(draws):
        uniforms = draws.swap_uniforms.copy()
        uniforms[..., 3] = 1e-300
        return draws._replace(swap_uniforms=uniforms)

    change_flips(monkeypatch, draws=change)
    monkeypatch.setattr(network.step_of(pg.EdgeMetropolis), "_swaps", 30)


@pytest.mark.parametrize(
    "plant",
    [
        pytest.param(_flip_by_another_bias_prior, marks=pytest.mark.slow),
        _flip_without_the_edge_probability,
        pytest.param(_flip_on_the_surrogate_alone, marks=pytest.mark.slow),
        pytest.param(_swap_on_the_surrogate_alone, marks=pytest.mark.slow),
    ],
)
def test_bugs_planted_into_flips_are_found(network, independent, monkeypatch, plant):
    """As above, in the moves that the expansion proposes."""
    plant(monkeypatch, network)
    _, score = worst(network, independent, 4000)
    assert abs(score) > THRESHOLD
