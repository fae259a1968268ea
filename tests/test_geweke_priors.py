"""Geweke's joint distribution test (2004) of every combination of priors, and of planted bugs.

As in test_geweke_polya_gamma. With up to 50 functions, many of them correlated, and a threshold of
4.5 standard errors a right sampler fails in fewer than 1 of 1000 seeds. Draws of a chain are
autocorrelated; standard errors from 100 independent ones have tails that are still normal enough,
fewer are refused.
"""

import numpy as np
import pytest

import pymc_glm as pg
from helpers import joint
from pymc_glm.steps import block_gibbs, block_graph

THRESHOLD = 4.5
N_BINS, N_PRIOR = 8, 5000
FEWEST = 100  # effective draws of the slowest function


def make(parts, n_basis=1, seed=1, steps=(pg.PolyaGammaGibbs,)):
    return joint.make_joint(
        joint.N_NEURONS, N_BINS, n_basis, N_PRIOR, seed, *parts, network_steps=steps
    )


def combination(edges, weights, share=True, **steps):
    parts = joint.parts(edges, weights, share=share)
    seed = joint.COMBINATIONS.index((edges, weights))
    return make(parts, joint.n_basis_of(edges, weights), seed, **steps)


def assert_same_distribution(model, n_iterations, seed=2):
    independent = joint.marginal_conditional(model, seed)
    chain = joint.successive_conditional(model, n_iterations, seed + 1)
    slowest, n_effective = joint.fewest_effective(chain)
    assert n_effective > FEWEST, slowest
    name, score = joint.worst(independent, chain)
    assert abs(score) < THRESHOLD, name


@pytest.mark.parametrize(
    ("edges", "weights"), [("bernoulli", "distance"), ("distance", "distance")]
)
def test_two_combinations(edges, weights):
    assert_same_distribution(combination(edges, weights), 3000)


@pytest.mark.slow
@pytest.mark.parametrize(("edges", "weights"), joint.COMBINATIONS)
def test_combination(edges, weights):
    slowly_mixing = edges in ("dense", "feature") or (edges, weights) == ("block", "block")
    assert_same_distribution(combination(edges, weights), 20_000 if slowly_mixing else 10_000)


@pytest.mark.slow
@pytest.mark.parametrize(("edges", "weights"), joint.COVERING)
def test_covering_by_the_default_samplers(edges, weights):
    steps = joint.default_steps(edges == "dense")
    assert_same_distribution(combination(edges, weights, steps=steps), 20_000)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["block", "distance"])
def test_structure_that_is_not_shared(kind):
    assert_same_distribution(combination(kind, kind, share=False), 10_000)


# --- planted bugs --------------------------------------------------------------------------------


class Planted:
    """A model, independent draws from it, and a check that a planted bug is found."""

    def __init__(self, model):
        self.model = model
        self.independent = joint.marginal_conditional(model, seed=2)

    def assert_found(self, n_iterations):
        chain = joint.successive_conditional(self.model, n_iterations, seed=3)
        _, score = joint.worst(self.independent, chain)
        assert abs(score) > THRESHOLD


@pytest.fixture(scope="module")
def with_blocks():
    """Known tables, informative about labels, with self-edges and unequal concentrations."""
    mean, cov = np.array([[0.5, -0.7], [0.0, -0.3]])[..., None], 0.4
    edges = pg.BlockEdges(2, [[0.7, 0.3], [0.6, 0.3]], None, concentration=[1.5, 4.0])
    return Planted(make((edges, pg.BlockWeights(None, mean, cov, None, None))))


@pytest.fixture(scope="module")
def with_positions():
    return Planted(combination("distance", "distance"))


@pytest.fixture(scope="module")
def with_signs():
    """Known slabs that differ between signs in size and width, for self-edges too."""
    mean, cov = np.array([[0.4], [0.9]]), np.array([0.2, 0.9]).reshape(2, 1, 1)
    weights = pg.SignedWeights(mean, cov, 0.7, self_mean=None, self_cov=None)
    return Planted(make((pg.BernoulliEdges(0.5, None), weights)))


def test_known_slabs(with_signs):
    """Without a bug the model of the planted ones passes."""
    assert_same_distribution(with_signs.model, 2500)


def _change_log_odds(monkeypatch, model, change):
    """Give `SignGibbs` other log odds."""
    step = model.step_of(pg.SignGibbs)
    original = step._log_odds["signs"]
    monkeypatch.setitem(step._log_odds, "signs", lambda point: change(original, point))


def _forget_probability(odds, point):
    return odds(point) - np.log(0.7 / 0.3)


def _forget_widths(odds, point):
    """Without the slabs' normalising constants."""
    return odds(point) - 0.5 * np.log(0.9 / 0.2) * point["adjacency"].sum(axis=0)


def _forget_self_edges_of_signs(odds, point):
    n = len(point["adjacency"])
    cut = {name: point[name].copy() for name in ("adjacency", "weights")}
    for values in cut.values():
        values[np.arange(n), np.arange(n)] = 0
    return odds(point | cut)


def _signs_of_post_neurons(odds, point):
    swapped = {name: np.swapaxes(point[name], 0, 1) for name in ("adjacency", "weights")}
    return odds(point | {name: np.ascontiguousarray(v) for name, v in swapped.items()})


@pytest.mark.parametrize(
    "change",
    [
        _forget_probability,
        _forget_widths,
        pytest.param(_forget_self_edges_of_signs, marks=pytest.mark.slow),
        pytest.param(_signs_of_post_neurons, marks=pytest.mark.slow),
    ],
)
def test_bugs_planted_in_sign_gibbs_are_found(with_signs, monkeypatch, change):
    _change_log_odds(monkeypatch, with_signs.model, change)
    with_signs.assert_found(2500)


def test_known_tables(with_blocks):
    """Without a bug the model of the planted ones passes."""
    assert_same_distribution(with_blocks.model, 2500)


def _change_network(monkeypatch, model, change):
    """Give sweeps over labels another network."""
    step = model.step_of(pg.BlockGibbs)
    monkeypatch.setattr(step, "_split_merges", 0)
    (labels,) = step._labels
    original = labels.network
    monkeypatch.setattr(labels, "network", lambda point: change(original(point)))


def _forget_self_edges(monkeypatch, model):
    def nothing(values):
        return np.zeros((len(values.adjacency), values.concentration.size))

    monkeypatch.setattr(block_graph.NetworkValues, "self_edge_log_density", nothing)


def _forget_concentration(monkeypatch, model):
    def forget(values):
        return values._replace(concentration=np.ones_like(values.concentration))

    _change_network(monkeypatch, model, forget)


def _swap_post_and_pre(monkeypatch, model):
    def swap(values):
        tables = {name: np.swapaxes(table, 0, 1) for name, table in values.tables.items()}
        return values._replace(tables=tables)

    _change_network(monkeypatch, model, swap)


def _forget_weights(monkeypatch, model):
    def forget(values):
        same = {name: np.ones_like(values.tables[name]) for name in ("mean", "whitening")}
        return values._replace(tables=values.tables | same)

    _change_network(monkeypatch, model, forget)


def _split_without_prior_of_labels(monkeypatch, model):
    monkeypatch.setattr(block_gibbs, "_log_rest", lambda values, labels: 0.0)


def _split_without_its_way_back(monkeypatch, model):
    original = block_gibbs.propose

    def propose(*args):
        proposal = original(*args)
        return proposal and proposal._replace(log_forward=0.0)

    monkeypatch.setattr(block_gibbs, "propose", propose)


@pytest.mark.parametrize(
    "plant",
    [
        pytest.param(_forget_self_edges, marks=pytest.mark.slow),
        _forget_concentration,
        _swap_post_and_pre,
        _forget_weights,
        pytest.param(_split_without_prior_of_labels, marks=pytest.mark.slow),
        pytest.param(_split_without_its_way_back, marks=pytest.mark.slow),
    ],
)
def test_bugs_planted_in_block_gibbs_are_found(with_blocks, monkeypatch, plant):
    plant(monkeypatch, with_blocks.model)
    with_blocks.assert_found(2500)


def _tilted_positions(monkeypatch, model):
    """In the density of NetworkNUTS, positions are Normal(0.3, 1) a priori."""
    n = model.prior["latent_positions"][0].size
    tilt = np.zeros(model.step_of(pg.NetworkNUTS).integrator._potential._n)
    tilt[:n] = 0.3
    _add_to_density(monkeypatch, model, lambda q: (tilt @ q, tilt))


def _wide_positions(monkeypatch, model):
    """In the density of NetworkNUTS, positions have a prior that is a quarter wider."""
    n = model.prior["latent_positions"][0].size

    def extra(q):
        gradient = np.where(np.arange(q.size) < n, 0.36 * q, 0.0)
        return 0.5 * gradient @ q, gradient

    _add_to_density(monkeypatch, model, extra)


def _add_to_density(monkeypatch, model, extra):
    integrator = model.step_of(pg.NetworkNUTS).integrator
    original = integrator._logp_dlogp_func

    def changed(q, info):
        logp, gradient = original(q, info)
        more, its_gradient = extra(q)
        return logp + more, gradient + its_gradient

    monkeypatch.setattr(integrator, "_logp_dlogp_func", changed)


def _stale_network(monkeypatch, model):
    """NetworkNUTS keeps using old edges and weights."""
    step = model.step_of(pg.NetworkNUTS)
    original = step.step
    stale = {name: model.prior_draw(0)[name] for name in ("adjacency", "weights")}

    def blind(point):
        new, stats = original(point | stale)
        return new | {name: point[name] for name in stale}, stats

    monkeypatch.setattr(step, "step", blind)


@pytest.mark.parametrize(
    "plant",
    [
        pytest.param(_tilted_positions, marks=pytest.mark.slow),
        pytest.param(_wide_positions, marks=pytest.mark.slow),
        _stale_network,
    ],
)
def test_bugs_planted_in_network_nuts_are_found(with_positions, monkeypatch, plant):
    plant(monkeypatch, with_positions.model)
    with_positions.assert_found(2500)
