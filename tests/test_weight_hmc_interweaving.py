"""Trajectories of the weights' hyperparameters that carry the weights along."""

import numpy as np
import pymc as pm
import pytest
from scipy.special import expit

import pymc_glm as pg
from helpers import joint
from helpers.uncompiled import UNCOMPILED
from pymc_glm.engines import Given, Network
from pymc_glm.kernels.fisher import empty_metric, fisher_information
from pymc_glm.kernels.network_gradient import mean_history, network_gradient, pulled_back
from pymc_glm.steps.interweaving import Interweaving, InterweavingTuning

THRESHOLD = 4.2
BASIS = pg.basis.raised_cosine(2, window=0.04, bin_width=0.005)
SELF = ["self_weight_mean", "self_weight_cov_log__"]
SHAPERS = {  # the hyperparameters that shape weights alone
    ("bernoulli", "gaussian"): ["weight_mean", "weight_cov_log__", *SELF],
    ("block", "block"): ["weight_mean", "weight_scale_log__"],
    ("distance", "distance"): [
        "weight_intercept",
        "weight_length_scale_log__",
        "weight_scale_log__",
        *SELF,
    ],
    ("bernoulli", "distance"): [
        "latent_positions",
        "weight_intercept",
        "weight_length_scale_log__",
        "weight_cov_log__",
        SELF[1],
    ],
    ("bernoulli", "feature"): [
        "weight_coefficients",
        "weight_intercept",
        "weight_cov_log__",
        *SELF,
    ],
}


def counts_of(n_neurons=4, n_bins=400, rate=0.15):
    rng = np.random.default_rng(1)
    return (rng.random((n_bins, n_neurons)) < rate).astype(int)


def build(weights=None, edges=None):
    return pg.build_glm(counts_of(), BASIS, weights=weights, edges=edges)


def some_point(model, seed=2):
    """A point at which nothing is special; weights are zero where there is no edge."""
    rng = np.random.default_rng(seed)
    point = model.initial_point(0)
    for name, value in point.items():
        if value.dtype.kind == "f":
            point[name] = np.asarray(value + 0.3 * rng.standard_normal(value.shape))
    point["adjacency"] = (rng.random(point["adjacency"].shape) < 0.6).astype(np.int8)
    point["weights"] = point["weights"] * point["adjacency"][:, :, None]
    return point


def step_of(model, **options):
    with model:
        return pg.WeightHMC(threads=1, **options)


@pytest.fixture(scope="module")
def model():
    return build(pg.GaussianWeights())


@pytest.fixture(scope="module")
def step(model):
    return step_of(model)


def looked_at(step, point, values):
    moves, prior = step.interweaving, step.network_prior(point)
    (z,) = moves.whiten(point, point["weights"])
    network = Network(point["bias"], point["adjacency"], point["weights"])
    return moves.look(values, Given(), point, prior, z, network)


def test_nothing_moves_where_the_hyperparameters_are(step, model):
    point = some_point(model)
    place = looked_at(step, point, step.interweaving.values_at(point))
    np.testing.assert_allclose(place.weights, point["weights"], atol=1e-12)
    np.testing.assert_allclose(place.bias, point["bias"], atol=1e-12)


def test_log_density_is_that_of_the_model_and_the_jacobian(step, model):
    """log p(theta, w, b, y) plus the log Jacobian of z to w, up to a constant of z."""
    point = some_point(model)
    log_joint = model.compile_logp(**UNCOMPILED)
    start = step.interweaving.values_at(point)

    def expected(values):
        place = looked_at(step, point, values)
        new = point | step.interweaving.named(values)
        precision = step.network_prior(new).precision[point["adjacency"] != 0]
        jacobian = -0.5 * np.linalg.slogdet(precision)[1].sum()
        return log_joint(new | {"bias": place.bias, "weights": place.weights}) + jacobian

    rng = np.random.default_rng(3)
    for _ in range(5):
        values = start + 0.2 * rng.standard_normal(start.size)
        change = looked_at(step, point, values).log_density
        change -= looked_at(step, point, start).log_density
        assert change == pytest.approx(expected(values) - expected(start), rel=1e-9, abs=1e-9)


def test_gradient_is_that_of_the_log_density(step, model):
    point = some_point(model)
    start = step.interweaving.values_at(point)
    found = looked_at(step, point, start).gradient
    for i in range(start.size):
        change = 1e-5 * np.eye(start.size)[i]
        up, down = (looked_at(step, point, start + s * change).log_density for s in (1, -1))
        assert found[i] == pytest.approx((up - down) / 2e-5, rel=1e-6, abs=1e-6)


def test_network_gradient(step, model):
    """Against the derivatives of the dense likelihood."""
    point = some_point(model)
    bias, adjacency, weights = (point[name] for name in ("bias", "adjacency", "weights"))
    value, slope, gradient = np.empty(4), np.empty(4), np.empty((4, 4, 2))
    network_gradient((0, 4), *step.data, bias, adjacency, weights, value, slope, gradient)
    history = pg.history_design(counts_of(), BASIS).values
    psi = bias + np.einsum("tmb,nmb->tn", history, weights)
    counts = counts_of()
    rest = counts - expit(psi)
    np.testing.assert_allclose(value, (counts * psi - np.logaddexp(0, psi)).sum(axis=0))
    np.testing.assert_allclose(slope, rest.sum(axis=0), atol=1e-10)
    expected = np.einsum("tn,tmb->nmb", rest, history) * adjacency[:, :, None]
    np.testing.assert_allclose(gradient, expected, atol=1e-10)
    np.testing.assert_allclose(mean_history(step.data.history), history.mean(axis=0))


@pytest.mark.parametrize("n_chosen", [0, 2, 4])
def test_pulled_back_information(step, model, n_chosen):
    """Against the dense Fisher information, cross terms only between the chosen pre neurons."""
    point = some_point(model)
    adjacency, weights = point["adjacency"], point["weights"]
    chosen = np.arange(4) < np.full((4, 1), n_chosen)
    metric = empty_metric(4, 4, 2, n_chosen)
    fisher_information((0, 4), *step.data, point["bias"], weights, chosen, 10**6, metric)
    rng = np.random.default_rng(4)
    bias_change = rng.standard_normal((3, 4))
    change = rng.standard_normal((3, 4, 4, 2)) * adjacency[:, :, None]
    history = pg.history_design(counts_of(), BASIS).values
    psi = point["bias"] + np.einsum("tmb,nmb->tn", history, weights)
    curvature = expit(psi) * expit(-psi)
    expected = np.zeros((3, 3))
    for n in range(4):
        joint_part = bias_change[:, n, None] + np.einsum(
            "imb,tmb->it", change[:, n] * chosen[n, :, None], history
        )
        expected += joint_part * curvature[:, n] @ joint_part.T
        for m in np.flatnonzero(~chosen[n]):
            alone = np.einsum("ib,tb->it", change[:, n, m], history[:, m])
            expected += alone * curvature[:, n] @ alone.T
    np.testing.assert_allclose(pulled_back(metric, adjacency, bias_change, change), expected)


@pytest.mark.parametrize(("edges", "weights"), list(SHAPERS))
def test_which_hyperparameters_move(edges, weights):
    """Positions that edges share stay out; those of the weights' own are in."""
    built = joint.make_model(50, 1, *joint.parts(edges, weights))
    assert step_of(built).interweaving.names == SHAPERS[edges, weights]


def test_nothing_to_move_where_the_prior_is_fixed():
    built = build(pg.GaussianWeights(0.0, 1.0, None, None))
    step = step_of(built, interweave=1.0)
    step.setup_chain(np.random.default_rng(1), 30, 30)
    point = built.initial_point(0)
    for _ in range(10):
        point, (stats,) = step.step(point)
    assert step.interweaving.names == []
    assert np.isnan(stats["slab_acceptance"])


def test_moves_are_tuned_and_then_fixed(model):
    step = step_of(model, interweave=1.0)
    step.setup_chain(np.random.default_rng(1), 60, 60)
    point, accepted = model.initial_point(0), []
    for _ in range(60):
        point, (stats,) = step.step(point)
        accepted.append(stats["slab_acceptance"])
    step.stop_tuning()
    learned = step.hyper
    before = {name: point[name].copy() for name in step.interweaving.names}
    for _ in range(20):
        point, (stats,) = step.step(point)
        accepted.append(stats["slab_acceptance"])
    assert step.hyper is learned
    assert learned.tried > 50
    assert 0.4 < np.nanmean(accepted[30:]) <= 1.0
    assert all((point[name] != value).all() for name, value in before.items())


@pytest.mark.parametrize("share", [-0.1, 1.5, np.nan])
def test_share_out_of_range(model, share):
    with model, pytest.raises(ValueError, match=r"interweave: got .*from 0 to 1"):
        pg.WeightHMC(interweave=share)


def test_learning_of_the_spread():
    rng = np.random.default_rng(5)
    spread = np.array([[1.0, 0.5], [0.5, 2.0]])
    tuning = InterweavingTuning.start(np.zeros(2))
    for draw in rng.multivariate_normal([1.0, -1.0], spread, 4000):
        tuning = tuning.see(draw)
    np.testing.assert_allclose(tuning.covariance, spread, atol=0.5)
    np.testing.assert_allclose(tuning.mean, [1.0, -1.0], atol=0.4)


# --- Geweke's test, see test_geweke_polya_gamma --------------------------------------------------


def geweke(weights, seed, n_prior=8000):
    edges = pg.BernoulliEdges(pm.Beta.dist(2, 2), None)
    return joint.make_joint(
        3, 25, 2, n_prior, seed, edges=edges, weights=weights, network_steps=joint.DEFAULT
    )


@pytest.fixture(scope="module")
def network():
    """Small weights, self-edges like the others: little is known of each weight."""
    weights = pg.GaussianWeights(pm.Normal.dist(0.1, 0.3), None, self_mean=None, self_cov=None)
    return geweke(weights, seed=1)


@pytest.fixture(scope="module")
def independent(network):
    return joint.marginal_conditional(network, seed=2)


def worst(network, independent, n_iterations, seed=3):
    weight_hmc = network.step_of(pg.WeightHMC)
    weight_hmc._interweave = 1.0
    for step in network.steps:
        if isinstance(step, joint.DEFAULT):
            step.forget()
    chain = joint.successive_conditional(network, n_iterations, seed)
    assert weight_hmc.hyper.tried > n_iterations / 12  # nearly all iterations of the tuning
    return joint.worst(independent, chain)


@pytest.mark.parametrize("n_iterations", [1500, pytest.param(8000, marks=pytest.mark.slow)])
def test_interweaving(network, independent, n_iterations):
    """Scores of short chains have heavy tails: above the threshold, a second seed decides."""
    name, score = worst(network, independent, n_iterations)
    if abs(score) >= THRESHOLD:
        name, score = worst(network, independent, n_iterations, seed=4)
    assert abs(score) < THRESHOLD, (name, score)


def flags(moves, *names):
    """Which of the values belong to these hyperparameters, by default all."""
    sizes = {name: np.prod(shape, dtype=int) for name, shape in moves._shapes.items()}
    chosen = names or moves.names
    return np.concatenate([np.full(sizes[name], float(name in chosen)) for name in moves.names])


def tilt(monkeypatch, slope_of):
    """Add a linear function of the hyperparameters to the log density."""

    def look(self, *arguments):
        place = original(self, *arguments)
        slope = slope_of(self, arguments[-1].adjacency)
        return place._replace(
            log_density=place.log_density + slope @ place.values, gradient=place.gradient + slope
        )

    original = Interweaving.look
    monkeypatch.setattr(Interweaving, "look", look)


def _take_another_prior_of_hyperparameters(monkeypatch):
    tilt(monkeypatch, lambda moves, adjacency: flags(moves))


def _take_another_prior_of_biases(monkeypatch):
    def run(self, tuning, given, point, prior, *state):
        prior = prior._replace(bias_mean=prior.bias_mean + 8.0)
        return original(self, tuning, given, point, prior, *state)

    original = Interweaving.run
    monkeypatch.setattr(Interweaving, "run", run)


def _leave_weights_where_they_are(monkeypatch):
    def run(self, tuning, given, point, prior, network, rng):
        values, moved, acceptance = original(self, tuning, given, point, prior, network, rng)
        return values, moved._replace(weights=network.weights), acceptance

    original = Interweaving.run
    monkeypatch.setattr(Interweaving, "run", run)


def _forget_the_jacobian(monkeypatch):
    """As if the density were one of weights: each present edge adds minus (half) the log scales."""
    tilt(
        monkeypatch,
        lambda moves, adjacency: -0.5 * adjacency.sum() * flags(moves, "weight_scale_log__"),
    )


@pytest.mark.parametrize(
    "plant",
    [
        pytest.param(_take_another_prior_of_hyperparameters, marks=pytest.mark.slow),
        pytest.param(_take_another_prior_of_biases, marks=pytest.mark.slow),
        pytest.param(_leave_weights_where_they_are, marks=pytest.mark.slow),
        pytest.param(_forget_the_jacobian, marks=pytest.mark.slow),
    ],
)
def test_planted_bugs_are_found(network, independent, monkeypatch, plant):
    """Each of these mistakes, put into the sampler on purpose, must break the test."""
    plant(monkeypatch)
    _, score = worst(network, independent, 2500)
    assert abs(score) > THRESHOLD
