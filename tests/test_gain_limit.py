"""The limit of the gain of self filters: its density, its draws, and the sampler under it."""

import numpy as np
import pymc as pm
import pytest
from scipy import integrate, stats

import pymc_glm as pg
from helpers import joint
from pymc_glm.distributions.self_weights import GAIN_SPREAD
from pymc_glm.graph import further_terms

ROOT = np.linalg.cholesky(np.array([[1.0, 0.4], [0.4, 2.0]]))
GAINS = np.array([3.0, 2.0])
SD = float(np.sqrt(GAINS @ ROOT @ ROOT.T @ GAINS))  # of the gain, at scale 1
THRESHOLD = 4.2  # of Geweke's test: some 20 functions, 1 failure in 1000 seeds


def gain_density(gain, scale, limit):
    """The density of the gain up to a constant: normal, with a wall."""
    wall = 0.5 * (np.maximum(gain - limit, 0) / GAIN_SPREAD) ** 2
    return np.exp(-0.5 * (gain / (scale * SD)) ** 2 - wall)


@pytest.mark.parametrize("scale", [0.3, 2.0])
@pytest.mark.parametrize("limit", [0.0, 1.0, 4.0])
def test_the_density_is_that_of_the_normal_times_a_wall(scale, limit):
    values = np.random.default_rng(1).normal(size=(40, 2)) * 2 * scale
    found = pm.logp(pg.SelfWeights.dist(scale, ROOT, GAINS, limit), values).eval()
    normal = stats.multivariate_normal(cov=scale**2 * ROOT @ ROOT.T).logpdf(values)
    wall = -0.5 * (np.maximum(values @ GAINS - limit, 0) / GAIN_SPREAD) ** 2
    ends = (-12 * scale * SD, limit), (limit, limit + 12 * GAIN_SPREAD)
    total = sum(integrate.quad(gain_density, *e, (scale, limit), epsabs=1e-12)[0] for e in ends)
    total /= scale * SD * np.sqrt(2 * np.pi)
    np.testing.assert_allclose(found, normal + wall - np.log(total), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("limit", [0.0, 4.0])
def test_draws_follow_the_density(limit):
    """Kolmogorov-Smirnov of the gain; what is left of the weights is normal. 1 failure in 500."""
    draws = pm.draw(pg.SelfWeights.dist(2.0, ROOT, GAINS, limit, size=4000), random_seed=2)
    gain = draws @ GAINS
    grid = np.linspace(-14 * SD, limit + 2, 200_001)
    below = integrate.cumulative_simpson(gain_density(grid, 2.0, limit), x=grid, initial=0)
    assert stats.kstest(gain, lambda g: np.interp(g, grid, below / below[-1])).pvalue > 1e-3
    z = np.linalg.solve(ROOT, draws.T) / 2.0
    along = ROOT.T @ GAINS / SD
    across = np.array([-along[1], along[0]]) @ z
    assert stats.kstest(across, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(across, gain)[0, 1]) < 4.5 / np.sqrt(4000)


def test_without_a_limit_all_gains_are_allowed():
    without = pg.SelfWeights.dist(2.0, ROOT)
    values = np.array([[30.0, 50.0], [-3.0, 1.0]])
    expected = stats.multivariate_normal(cov=4 * ROOT @ ROOT.T).logpdf(values)
    np.testing.assert_allclose(pm.logp(without, values).eval(), expected)
    gain = pm.draw(without, 4000, random_seed=3) @ GAINS
    assert stats.kstest(gain / (2 * SD), "norm").pvalue > 1e-3


def test_a_bernoulli_neuron_below_the_default_limit_has_one_rate():
    """psi = bias + gain p has one solution for gains up to 4, and three for some bias above."""
    p = np.linspace(1e-6, 1 - 1e-6, 100_001)

    def rates(gain, bias):
        return np.count_nonzero(np.diff(np.sign(np.log(p / (1 - p)) - gain * p - bias)))

    limit = pg.SelfPrior().max_gain
    for bias in np.linspace(-8, 2, 40):
        assert rates(limit, bias) == 1
    assert rates(8.0, -4.0) == 3


def joint_of(steps=(pg.EdgeMetropolis, pg.WeightHMC)):
    """Three neurons whose self filters often reach the limit."""
    return joint.make_joint(
        3,
        40,
        2,
        6000,
        seed=21,
        network_steps=steps,
        edges=pg.BernoulliEdges(0.4),
        weights=pg.GaussianWeights(0.3, 0.3),
        bias=pm.Normal.dist(-1.0, 0.5),
        self_basis=pg.basis.raised_cosine(3, window=0.04, bin_width=0.005),
        self_prior=pg.SelfPrior(pm.LogNormal.dist(-0.7, 0.3), max_gain=0.5),
    )


def score_of(n_iterations):
    model = joint_of()
    chain = joint.successive_conditional(model, n_iterations, 22)
    return joint.worst(joint.marginal_conditional(model, seed=23), chain)


@pytest.mark.parametrize("n_iterations", [1000, pytest.param(3000, marks=pytest.mark.slow)])
def test_geweke(n_iterations):
    name, score = score_of(n_iterations)
    assert abs(score) < THRESHOLD, (name, score)


def test_a_sampler_that_forgets_the_limit_is_found(monkeypatch):
    right = further_terms._gain_limit
    monkeypatch.setattr(
        further_terms, "_gain_limit", lambda network: right(network)._replace(bend=0.0)
    )
    assert abs(score_of(1500)[1]) > THRESHOLD


@pytest.mark.parametrize(
    ("value", "error"), [(-1.0, ValueError), (np.nan, ValueError), ("4", TypeError)]
)
def test_wrong_limits(value, error):
    counts = np.random.default_rng(1).poisson(0.05, (300, 2)).clip(0, 1)
    basis = pg.basis.raised_cosine(1, window=0.02, bin_width=0.005)
    with pytest.raises(error, match=r"max_gain: got .*allowed are finite numbers of at least 0"):
        pg.build_glm(counts, basis, self_basis=basis, self_prior=pg.SelfPrior(max_gain=value))
