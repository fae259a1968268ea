"""Stability of the linearised process: solved by hand, against dense eigenvalues and simulation."""

import numpy as np
import pytest
from scipy.special import expit, logit

import pymc_glm as pg
from pymc_glm.kernels.spectral_radius import growth_factor

LAG = pg.basis.identity(0.005, 0.005)  # one
LAGS = pg.basis.identity(0.015, 0.005)  # three
OBSERVATIONS = {
    "bernoulli": (pg.Bernoulli(), lambda m: logit(m), lambda m: m * (1 - m)),
    "binomial": (pg.Binomial(3), lambda m: logit(m / 3), lambda m: m * (1 - m / 3)),
    "negative binomial": (pg.NegativeBinomial(2.0), lambda m: np.log(m / 2), lambda m: m),
    "poisson": (pg.Poisson(), np.log, lambda m: m),
}
each_observation = pytest.mark.parametrize(
    ("observation", "inverse", "gain"), list(OBSERVATIONS.values()), ids=list(OBSERVATIONS)
)


@each_observation
@pytest.mark.parametrize("weight", [-3.0, 0.0, 0.8])
def test_one_neuron_by_hand(observation, inverse, gain, weight):
    """The bias is chosen so that a mean of 0.3 keeps itself up; one lag: growth is the gain."""
    mean = 0.3
    bias = np.array([inverse(mean) - weight * mean])
    alone = pg.NetworkParameters(bias, np.full((1, 1, 1), weight), LAG, observation)
    found = pg.stability(alone)
    assert isinstance(found, pg.NetworkStability)
    np.testing.assert_allclose(found.rates, mean / 0.005, rtol=1e-6)
    expected = abs(weight * gain(mean))
    np.testing.assert_allclose([found.spectral_radius, found.branching_ratio], expected, rtol=1e-6)
    assert found.stable == (expected < 1)
    assert found.text == str(found)
    assert found.text.startswith("Stable: around expected rates of 60 Hz a disturbance shrinks")


def test_two_lags_by_hand():
    """z^2 = g w1 z + g w2, Poisson gain g = 0.5: roots of a quadratic."""
    for w1, w2 in ((0.4, 0.9), (3.0, -3.5), (-2.5, 0.0)):
        weights = np.array([w1, w2, 0.0])
        bias = np.log([0.5]) - 0.5 * weights.sum()
        alone = pg.NetworkParameters(bias, weights[None, None], LAGS, pg.Poisson())
        found = pg.stability(alone)
        root = np.sqrt(complex((0.5 * w1) ** 2 / 4 + 0.5 * w2))
        expected = max(abs(0.25 * w1 + root), abs(0.25 * w1 - root))
        np.testing.assert_allclose(found.spectral_radius, expected, rtol=1e-6)
        np.testing.assert_allclose(found.branching_ratio, abs(0.5 * (w1 + w2)), rtol=1e-6)


def test_excitation_and_later_inhibition_that_sum_to_little_swing_ever_wider():
    """The summed criterion calls it stable; the companion matrix does not."""
    weights = np.array([3.0, -3.5, 0.0])[None, None]
    bias = np.log([0.5]) + 0.25
    found = pg.stability(pg.NetworkParameters(bias, weights, LAGS, pg.Poisson()))
    assert found.branching_ratio < 1 < found.spectral_radius
    assert not found.stable
    assert found.text.startswith("Unstable: around expected rates of 100 Hz")


@pytest.mark.parametrize("size", [0.6, 0.95, 1.05, 1.5])
def test_without_inhibition_the_summed_criterion_decides(size):
    """Perron and Frobenius; the gains are scaled so that the summed matrix has this radius."""
    rng = np.random.default_rng(1)
    matrices = rng.gamma(1.0, size=(4, 6, 6)) * (rng.random((4, 6, 6)) < 0.4)
    summed = np.abs(np.linalg.eigvals(matrices.sum(axis=0))).max()
    growth = growth_factor(matrices * size / summed)
    assert (growth < 1) == (size < 1)
    assert abs(growth - 1) < abs(size - 1) + 1e-9  # one generation takes up to four bins


@pytest.mark.parametrize("n", [4, 40])
@pytest.mark.parametrize("density", [0.03, 1.0])
def test_growth_against_the_dense_companion_matrix(n, density):
    rng = np.random.default_rng(3)
    matrices = rng.normal(size=(10, n, n)) * (rng.random((n, n)) < density)
    companion = np.zeros((10 * n, 10 * n))
    companion[:n] = matrices.transpose(1, 0, 2).reshape(n, -1)
    companion[n:, :-n] = np.eye(9 * n)
    expected = np.abs(np.linalg.eigvals(companion)).max()
    np.testing.assert_allclose(growth_factor(matrices), expected, rtol=1e-6, atol=1e-6)


def test_no_loops_no_growth():
    """Eigenvalues of a nilpotent matrix are zero, though rounding makes dense ones 0.01."""
    chain = np.zeros((20, 30, 30))
    chain[:, np.arange(1, 30), np.arange(29)] = 5.0
    assert growth_factor(chain) == 0.0


@pytest.mark.parametrize(
    "observation",
    [observation for observation, *_ in OBSERVATIONS.values()],
    ids=list(OBSERVATIONS),
)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_expected_rates_are_self_consistent(observation, seed):
    rng = np.random.default_rng(seed)
    weights = rng.normal(-0.5, 1.0, (8, 8, 3)) * (rng.random((8, 8, 1)) < 0.3)
    parameters = pg.NetworkParameters(rng.normal(-3, 0.5, 8), weights, LAGS, observation)
    found = pg.stability(parameters)
    mean = found.rates * 0.005
    psi = parameters.bias + weights.sum(axis=2) @ mean
    one = {
        "poisson": np.exp(psi),
        "negative_binomial": 2 * np.exp(psi),
        "bernoulli": expit(psi),
        "binomial": 3 * expit(psi),
    }
    np.testing.assert_allclose(mean, one[observation.name], rtol=1e-7)


def test_expected_rates_are_those_of_a_simulation():
    """Many weak inputs, of which the mean field is right."""
    n = 60
    rng = np.random.default_rng(1)
    weights = rng.normal(0.0, 0.05, (n, n, 3)) + 0.02
    parameters = pg.NetworkParameters(np.full(n, logit(0.05)), weights, LAGS)
    found = pg.stability(parameters)
    rates = pg.simulate(parameters, 20_000, random_seed=2).mean("time").values / 0.005
    silent = 0.05 / 0.005
    assert np.abs(found.rates - rates).mean() < 0.25 * np.abs(rates - silent).mean()


def test_unstable_networks():
    def excited(weight, observation):
        return pg.stability(
            pg.NetworkParameters(np.array([-1.0]), np.full((1, 1, 1), weight), LAG, observation)
        )

    # log m = -1 + w m has solutions up to w = 1: at w = 1 they meet at m = 1
    assert excited(0.99, pg.Poisson()).stable
    found = excited(1.01, pg.Poisson())
    assert not found.stable
    assert np.isinf([*found.rates, found.spectral_radius, found.branching_ratio]).all()
    assert found.text == "Unstable: no self-consistent rates were found."
    saturated = excited(30.0, pg.Binomial(3))
    assert saturated.stable
    np.testing.assert_allclose(saturated.rates, 600, rtol=1e-6)


def test_the_mean_of_covariates_counts():
    parameters = pg.NetworkParameters(
        np.log([0.2]), np.zeros((1, 1, 1)), LAG, pg.Poisson(), np.array([[2.0]])
    )
    np.testing.assert_allclose(pg.stability(parameters).rates, 40)
    found = pg.stability(parameters, covariates=np.array([[0.5], [0.0], [0.1]]))
    np.testing.assert_allclose(found.rates, 40 * np.exp(0.4))
    with pytest.raises(ValueError, match=r"covariates: got the shape \(3, 2\).*\(any, 1\)"):
        pg.stability(parameters, covariates=np.ones((3, 2)))
    with pytest.raises(ValueError, match=r"covariates: got the shape \(1,\).*\(any, 1\)"):
        pg.stability(parameters, covariates=3.0)


def test_unstable_networks_are_reported_before_they_run():
    """An unstable balance of excitation and inhibition that the guard never stops."""
    weights = np.array([12.0, -14.0, 0.0])[None, None]
    swinging = pg.NetworkParameters(np.ones(1), weights, LAGS)
    with pytest.warns(
        UserWarning, match=r"unstable \(spectral radius 1\.\d+\).*pg\.stability"
    ) as caught:
        pg.simulate(swinging, 200, random_seed=1, max_rate=np.inf)
    assert caught[0].filename == __file__


def test_a_draw_is_that_which_is_simulated(caplog):
    """A model's draw, and what is said of it before it runs, are those of the seed."""
    counts = np.random.default_rng(1).integers(0, 2, (50, 3))
    model = pg.build_glm(counts, LAGS)
    found = pg.stability(model, random_seed=4)
    assert found.text != pg.stability(model, random_seed=5).text
    with caplog.at_level("INFO", "pymc_glm"):
        pg.simulate(model, 10, random_seed=4)
    assert f"simulate: {found.text}" in caplog.text
    assert f"by a factor of {found.spectral_radius:.3g}" in found.text
