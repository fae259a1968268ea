"""Simulation-based calibration of the builders' samplers; see calibration.py for the method."""

import numpy as np
import pymc as pm
import pytest

import pymc_glm as pg
from helpers import joint
from helpers.calibration import THRESHOLD, assert_calibrated, calibrate, corrected

N_SHORT = 80  # simulations of the short form


def learned_model(n_prior, seed, network_steps):
    return joint.make_joint(
        3,
        150,
        1,
        n_prior,
        seed,
        edges=pg.BernoulliEdges(pm.Beta.dist(2, 2), pm.Beta.dist(2, 2)),
        weights=pg.GaussianWeights(self_mean=-1.0, self_cov=0.5),
        network_steps=network_steps,
    )


@pytest.fixture(scope="module")
def short():
    return learned_model(N_SHORT, 5, (pg.PolyaGammaGibbs,))


def test_short_of_the_default_samplers():
    model = learned_model(60, 5, joint.DEFAULT)
    ranks = calibrate(model, 60, n_draws=19, thin=4, warm_up=60, seed=6)
    assert model.step_of(pg.EdgeMetropolis).expansion is not None
    assert_calibrated(ranks, 19)


def test_short(short):
    ranks = calibrate(short, N_SHORT, n_draws=39, thin=4, warm_up=60, seed=6)
    assert_calibrated(ranks, 39)


def test_a_planted_bug_is_found(short, monkeypatch):
    """With kappa shifted by 0.05, a twentieth of a spike in every bin, calibration must fail."""
    joint.shift_kappa(monkeypatch)
    ranks = calibrate(short, N_SHORT, n_draws=39, thin=4, warm_up=60, seed=6)
    assert corrected(ranks, 39)[1] < THRESHOLD


def test_a_sampler_of_the_prior_is_found(short, monkeypatch):
    """It ignores the data: ranks of parameters alone are uniform."""
    rng = np.random.default_rng(1)
    anything = lambda model, point: model.prior_draw(rng.integers(N_SHORT))  # noqa: E731
    monkeypatch.setattr(joint.JointModel, "advance", anything)
    monkeypatch.setattr(joint.JointModel, "untransformed", lambda model, point: point)
    ranks = calibrate(short, N_SHORT, n_draws=39, thin=1, warm_up=0, seed=6)
    name, p = corrected(ranks, 39)
    assert p < THRESHOLD
    assert name == "bias * busier than usual"
    del ranks[name]
    assert_calibrated(ranks, 39)


@pytest.mark.parametrize(
    ("edges", "weights"),
    [
        pytest.param("dense", "gaussian", id="dense_glm"),
        pytest.param("block", "block", marks=pytest.mark.slow, id="sbm_glm"),
        pytest.param("distance", "distance", marks=pytest.mark.slow, id="latent_distance_glm"),
        pytest.param("bernoulli", "signed", marks=pytest.mark.slow, id="signed weights"),
    ],
)
def test_short_of_other_builders(edges, weights):
    """The builders' parts; draws are few and heavily thinned, as ranks need independent ones."""
    n_basis = joint.n_basis_of(edges, weights)
    steps = joint.default_steps(edges == "dense")
    model = joint.make_joint(
        4, 60, n_basis, 50, 7, *joint.parts(edges, weights), network_steps=steps
    )
    ranks = calibrate(model, 50, n_draws=4, thin=20, warm_up=40, seed=8)
    assert_calibrated(ranks, 4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("edges", "weights", "n_simulations"),
    [
        (None, None, 300),
        (pg.DenseEdges(), None, 300),
        (pg.BlockEdges(2), pg.BlockWeights(), 150),
        (pg.DistanceEdges(2), pg.DistanceWeights(), 300),
    ],
    ids=["bernoulli_glm", "dense_glm", "sbm_glm", "latent_distance_glm"],
)
def test_long(edges, weights, n_simulations):
    """The parts of the builders with their default priors and samplers."""
    n_neurons, n_basis = (3, 2) if weights is None else (4, 1)
    model = joint.make_joint(
        n_neurons,
        300,
        n_basis,
        300,
        seed=21,
        edges=edges,
        weights=weights,
        network_steps=joint.default_steps(isinstance(edges, pg.DenseEdges)),
    )
    ranks = calibrate(model, n_simulations, n_draws=19, thin=12, warm_up=80, seed=22)
    assert_calibrated(ranks, 19)
