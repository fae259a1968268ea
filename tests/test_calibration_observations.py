"""Simulation-based calibration of every observation model; see calibration.py for the method."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pymc as pm
import pytest

import pymc_glm as pg
from helpers import joint
from helpers.calibration import THRESHOLD, assert_calibrated, calibrate, corrected
from pymc_glm.engines import threads
from pymc_glm.observations import Observation


class Case(NamedTuple):
    """An observation model, and the small recordings on which it is calibrated."""

    observation: Callable[[], Observation]
    steps: tuple = joint.DEFAULT
    pull: float = 1.0  # scale of the weights
    n_bins: int = 100
    n_simulations: int = 60  # eight times as many in the long form
    recording: Callable[[int], dict] = lambda n_bins: {}


def two_trials(n_bins):
    """A covariate over two trials, which acts on one of two neurons."""
    rng = np.random.default_rng(5)
    return {
        "segment": np.arange(n_bins) >= 0.6 * n_bins,
        "covariates": rng.normal(size=(n_bins, 1)),
        "covariate_prior": pg.CovariatePrior(
            pm.Normal.dist(1.0, 0.5), pm.LogNormal.dist(-1.0, 0.3), [[True], [False]]
        ),
    }


def negative_binomial():
    return pg.NegativeBinomial(pm.Gamma.dist(4, 2))


def gaussian():
    return pg.Gaussian(pm.InverseGamma.dist(4, 2))


AUGMENTED = (pg.PolyaGammaGibbs,)
CASES = {
    "covariates": Case(pg.Bernoulli, recording=two_trials),
    "covariates, augmented": Case(pg.Bernoulli, AUGMENTED, recording=two_trials),
    "binomial": Case(lambda: pg.Binomial(3)),
    "binomial, augmented": Case(lambda: pg.Binomial(3), AUGMENTED),
    "negative binomial": Case(negative_binomial, n_simulations=50),
    # Augmentation costs 100 times as much if the dispersion is no whole number.
    "negative binomial, augmented": Case(negative_binomial, AUGMENTED, n_bins=20, n_simulations=30),
    "poisson": Case(pg.Poisson),
    "gaussian": Case(gaussian, pull=0.3),
    "gaussian, augmented": Case(gaussian, AUGMENTED, pull=0.3),
}
each_case = pytest.mark.parametrize("case", list(CASES.values()), ids=list(CASES))
default_steps = pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=pytest.mark.slow if "augmented" in name else (), id=name)
        for name, case in CASES.items()
    ],
)


def ranks_of(case, times=1):
    """Return the ranks, from weights that are mostly negative, and small for traces.

    Excitation makes networks run away under some observation models, as does strong inhibition of
    traces.
    """
    c, n_simulations = case.pull, times * case.n_simulations
    model = joint.make_joint(
        2,
        case.n_bins,
        1,
        n_simulations,
        seed=11,
        edges=pg.BernoulliEdges(pm.Beta.dist(2, 2), pm.Beta.dist(2, 2)),
        weights=pg.GaussianWeights(
            pm.Normal.dist(-0.4 * c, 0.3 * c), 0.1 * c**2, self_mean=-0.6 * c, self_cov=0.1 * c**2
        ),
        bias=pm.Normal.dist(-1.0, 0.7),
        network_steps=case.steps,
        observation=case.observation(),
        **case.recording(case.n_bins),
    )
    return calibrate(model, n_simulations, n_draws=19, thin=3, warm_up=50, seed=12)


@default_steps
def test_short(case):
    assert_calibrated(ranks_of(case), 19)


@pytest.mark.slow
@each_case
def test_long(case):
    assert_calibrated(ranks_of(case, times=8), 19)


def test_a_planted_bug_is_found(monkeypatch):
    """With residual sums of squares a fifth too small, calibration must fail."""
    original = threads.log_likelihoods

    def too_small(posts, *arguments):
        original(posts, *arguments)
        arguments[-1][slice(*posts)] *= 0.8

    monkeypatch.setattr(threads, "log_likelihoods", too_small)
    name, p = corrected(ranks_of(CASES["gaussian, augmented"]), 19)
    assert p < THRESHOLD
    assert name == "noise_variance"
