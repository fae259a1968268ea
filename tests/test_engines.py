"""Engines give the same results: every call of the JAX engine against that of the threads engine.

Both are given the same random numbers, so that results differ by rounding alone: the JAX engine
sums in single precision within a block of bins.
"""

import numpy as np
import pytest
import xarray as xr

import pymc_glm as pg
from pymc_glm.engines import Averages, PathChange, make_engine, metric_at
from pymc_glm.graph.data import spike_data
from pymc_glm.graph.find import find_network
from pymc_glm.graph.further_terms import FurtherCoefficients, has_further_terms
from pymc_glm.kernels.edge_moves import EdgePlan, draw_edges
from pymc_glm.kernels.edge_surrogate import expansion_at
from pymc_glm.kernels.flip_proposals import draw_flips
from pymc_glm.kernels.hmc import Trajectories

pytest.importorskip("jax")
from pymc_glm.engines.jax import recording

BASIS = pg.basis.raised_cosine(2, window=0.03, bin_width=0.005)
N = 4


def counts_of(n_bins=700, most=1, **coords):
    rng = np.random.default_rng(1)
    time = 0.005 * np.arange(n_bins)
    return xr.DataArray(
        rng.poisson(0.15, (n_bins, N)).clip(max=most),
        dims=("time", "neuron"),
        coords={"time": time} | {name: ("time", values) for name, values in coords.items()},
        attrs={"bin_width": 0.005},
    )


def bernoulli():
    return pg.build_glm(counts_of(), BASIS)


def interrupted():
    """Trials, excluded bins, a covariate, and counts."""
    trials = np.repeat([0, 1, 2], [100, 330, 470])
    drive = np.sin(np.arange(900) / 20)[:, None]
    return pg.build_glm(
        counts_of(900, 3, trial=trials), BASIS, observation="poisson", covariates=drive,
        exclude=[[0.25, 0.3], [2.2, 2.205], [4.0, 4.5]],
    )  # fmt: skip


def busy():
    """A neuron that fires in most bins, whose history is stored as columns."""
    counts = counts_of(most=4)
    counts[:, 2] += np.random.default_rng(2).integers(0, 3, 700)
    return pg.build_glm(counts, BASIS, observation="negative_binomial")


def traces():
    values = counts_of() + np.random.default_rng(3).normal(size=(700, N))
    return pg.build_glm(values.assign_attrs(bin_width=0.005), BASIS, observation="gaussian")


def shared():
    """Self filters longer than what is added lag by lag, and two factors with delays."""
    return pg.build_glm(
        counts_of(900, trial=np.repeat([0, 1], [400, 500])),
        BASIS,
        self_basis=pg.basis.raised_cosine(4, window=0.8, bin_width=0.005),
        shared_input=pg.SharedInput(2, max_delay=0.02),
    )


CASES = [bernoulli, interrupted, busy, traces, shared]


class Pair:
    """Both engines with the data of a model, and a state of its chain."""

    def __init__(self, model):
        self.rng = np.random.default_rng(5)
        network = find_network(model)
        with model:
            step = pg.WeightHMC(threads=1)
        self.data = spike_data(model, network)
        self.engines = [make_engine(name, 1) for name in ("threads", "jax")]
        for engine in self.engines:
            engine.hold(self.data)
        point = {k: v.copy() for k, v in model.initial_point(0).items()}
        point["adjacency"][:] = self.rng.random((N, N)) < 0.5
        draws = self.rng.normal(0, 0.5, point["weights"].shape)
        point["weights"][:] = draws * point["adjacency"][:, :, None]
        for name, scale in (("covariate_weights", 0.3), ("self_weights", 0.3), ("loadings", 0.5)):
            if name in point:
                point[name][:] = self.rng.normal(0, scale, point[name].shape)
        if "factors" in point:
            point["factors"][:] = self.rng.normal(size=point["factors"].shape)
            point["input_delay"][:] = [2, -3, 0, 1]
        self.network = step._state(point)
        self.given = step._given
        self.prior = step._next_prior(point)
        self.loadings = None
        if has_further_terms(network):
            self.loadings = FurtherCoefficients(model, network).loadings(self.network.weights)

    def both(self, name, *arguments):
        return [getattr(engine, name)(*arguments) for engine in self.engines]

    @property
    def averages(self):
        bias, adjacency, weights = self.network
        return Averages(100, 0.2 + 0.6 * adjacency, bias, weights)

    def metrics(self, further=True):
        history = self.data.value.history
        return [
            metric_at(engine, self.given, history, self.averages, 0.0, further)
            for engine in self.engines
        ]


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.__name__)
def pair(request):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recording, "_ROWS", 256)  # several blocks
        found = Pair(request.param())
        found.engines[1].mean_history()  # puts the recording on the device
        yield found


def same(one, other, relative=2e-5):
    one, other = np.asarray(one), np.asarray(other)
    scale = np.abs(one).max() + 1e-3
    np.testing.assert_allclose(other, one, rtol=relative, atol=relative * scale)


def same_network(one, other):
    np.testing.assert_array_equal(one.adjacency, other.adjacency)
    same(one.bias, other.bias, 1e-4)
    same(one.weights, other.weights, 1e-4)


def test_there_are_several_blocks(pair):
    layout, _ = pair.engines[1]._device
    assert layout.n_blocks >= 2


def test_sums(pair):
    bias, weights = pair.network.bias, pair.network.weights
    same(*pair.both("log_likelihoods", pair.given, bias, weights))
    same(*pair.both("softplus_sums", pair.given, bias, weights))


def test_histories(pair):
    same(*pair.both("mean_history"))


def test_gradients(pair):
    one, other = pair.both("network_gradient", pair.given, pair.network)
    for name in one._fields:
        same(getattr(one, name), getattr(other, name))


def test_information(pair):
    one, other = pair.metrics()
    np.testing.assert_array_equal(one.place, other.place)
    for name in ("joint", "edge_information", "gradient"):
        same(getattr(one, name), getattr(other, name))
    bias, weights = pair.network.bias, pair.network.weights
    same(*pair.both("gradient", pair.given, bias, weights, one.place))


def test_information_from_part_of_the_bins(pair):
    """Scaled up to all of them: right on average, and exact where all bins are alike."""
    bias = np.full(N, -2.0)
    weights, chosen = np.zeros_like(pair.network.weights), np.zeros_like(pair.network.adjacency)
    given = pair.given._replace(paths=None, delay=None)
    whole, part = (
        pair.engines[1].information(given, bias, weights, chosen != 0, most)
        for most in (10**6, 300)
    )
    if pair.data.value.likelihood.slope == 0:  # curvature does not depend on counts
        same(whole.joint[:, 0, 0], part.joint[:, 0, 0], 1e-6)
    assert (whole.joint[:, 0, 0] > 0).all()


def test_trajectories(pair):
    metric, rng = pair.metrics()[0], np.random.default_rng(6)
    n_post, n_slots, size = pair.network.weights.shape
    trajectories = Trajectories(
        rng.standard_normal((n_post, 1 + n_slots * size)),
        rng.random(n_post),
        np.array([0.2, 0.5, 0.8, 1.5]),
        np.array([4, 1, 3, 2]),
    )
    given = (pair.given, pair.prior, metric, trajectories, pair.network)
    (one, acceptance), (other, other_acceptance) = pair.both("move_weights", *given)
    np.testing.assert_allclose(other_acceptance, acceptance, atol=2e-3)
    same_network(one, other)
    assert (one.bias != pair.network.bias).any()


def test_flips(pair):
    metric = pair.metrics(further=False)[0]
    expansion = expansion_at(pair.network.bias, pair.network.weights, metric)
    visits = np.zeros(pair.network.adjacency.shape)
    visits[:, :N] = 1.0
    flipped = 0
    for seed in range(3):
        draws = draw_flips(visits, BASIS.sizes["basis"], 6, np.random.default_rng(seed))
        given = (pair.given, pair.prior, expansion, draws, pair.network)
        (one, counted), (other, other_counted) = pair.both("flip_edges", *given)
        assert counted == other_counted
        same_network(one, other)
        flipped += counted.accepted + counted.swaps
    assert flipped > 0


def test_visits(pair):
    n_post, n_slots, size = pair.network.weights.shape
    visits = np.zeros((n_post, n_slots))
    visits[:, :N] = [1.0, 0.5, 1.0, 0.7]
    start = np.zeros((n_post, n_slots, size))
    plan = EdgePlan(visits, np.full((n_post, n_slots), 0.4), start, 4)
    draws = draw_edges(n_post, n_slots, size, np.random.default_rng(7))
    given = (pair.given, pair.prior, plan, draws, pair.network)
    (one, modes, counted), (other, other_modes, other_counted) = pair.both("visit_edges", *given)
    assert counted == other_counted
    assert counted.accepted > 0
    same_network(one, other)
    np.testing.assert_allclose(other_modes, modes, atol=1e-3)


def test_paths_are_moved_on_threads(pair):
    if pair.loadings is None:
        return
    change = PathChange(2 * pair.given.paths, pair.loadings, pair.given.delay + 1)
    bounds = np.array([0, 300, pair.data.value.history.n_bins])
    given = (pair.given, change, pair.network, pair.loadings, bounds)
    np.testing.assert_array_equal(*pair.both("compare_paths", *given))
