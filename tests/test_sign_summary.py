"""Signs in a whole fit: starts, recovery, the summary, sessions, saving and new neurons."""

import numpy as np
import pymc as pm
import pytest
import xarray as xr

import pymc_glm as pg
from helpers.drawn_tree import drawn_tree
from helpers.structured_tree import with_variables
from helpers.synthetic_tree import tree_of
from helpers.uncompiled import INTERPRETED, UNCOMPILED
from pymc_glm.cli.run import make_priors
from pymc_glm.cli.settings import PriorSettings, WeightPrior
from pymc_glm.cli.structure import find_structure, structure_lines
from pymc_glm.criticism.new_neuron.neuron_prior import NeuronPrior
from pymc_glm.graph.find import find_network
from pymc_glm.sampling.starts import initial_points

WIDTH = 0.005
BASIS = pg.basis.raised_cosine(1, window=0.05, bin_width=WIDTH)
QUICK = {"chains": 2, "cores": 1, "progressbar": False, "quiet": True, "random_seed": 1}


def simulated(n_excitatory=5, n_inhibitory=3, n_bins=15_000, seed=1):
    """Counts and signs of a network in which each neuron reaches two others."""
    rng = np.random.default_rng(seed)
    signs = np.repeat([1, -1], [n_excitatory, n_inhibitory])
    n = signs.size
    weights = np.zeros((n, n, 1))
    for pre in range(n):
        others = rng.permutation(np.delete(np.arange(n), pre))[:2]
        weights[others, pre, 0] = signs[pre] * rng.uniform(0.8, 1.6, 2)
    weights[np.arange(n), np.arange(n)] = -1.0
    network = pg.NetworkParameters(np.full(n, -2.2), weights, BASIS)
    counts = pg.simulate(network, n_bins, random_seed=2, neurons=list("abcdefghijklmno"[:n]))
    return counts, signs


@pytest.fixture(scope="module")
def fit():
    """With known hyperparameters, which need no compilation."""
    counts, signs = simulated()
    weights = pg.SignedWeights(1.0, 0.25, 0.5, self_mean=-1.0, self_cov=0.5)
    model = pg.build_glm(counts, BASIS, edges=pg.BernoulliEdges(0.2, 1.0), weights=weights)
    return model, pg.sample(200, 200, model=model, **QUICK), signs


def test_signs_and_edges_are_recovered(fit):
    """Two strong edges say the sign with certainty; draws are of the variable alone."""
    _, tree, signs = fit
    table = pg.sign_summary(tree)
    names = np.where(signs == 1, "excitatory", "inhibitory")
    assert table["sign"].tolist() == names.tolist()
    np.testing.assert_allclose(table["excitatory"], signs == 1, atol=0.02)
    np.testing.assert_allclose(table["edges"], 2, atol=0.5)
    assert "signs_changed" in tree["sample_stats"]


@pytest.mark.slow
def test_recovery_with_learned_hyperparameters():
    """From random signs in both chains, with the default prior."""
    counts, signs = simulated(8, 4, 20_000)
    model = pg.build_glm(counts, BASIS, weights=pg.SignedWeights())
    tree = pg.sample(200, 300, model=model, **QUICK)
    np.testing.assert_allclose(pg.sign_summary(tree)["excitatory"], signs == 1, atol=0.05)
    sizes = tree["posterior"]["weight_mean"].mean(["chain", "draw"]).values
    assert (abs(sizes - 1.2) < 0.4).all()


def made_up(signs, adjacency=None, known=None):
    """A tree with these draws of signs (chain, draw, pre)."""
    rng = np.random.default_rng(1)
    n = signs.shape[2]
    if adjacency is None:
        adjacency = rng.random((*signs.shape[:2], n, n)) < 0.5
    tree = tree_of(adjacency, rng.normal(size=(*adjacency.shape, 1)) * adjacency[..., None])
    constant = None if known is None else {"known_signs": ("pre", np.asarray(known))}
    return with_variables(tree, constant, signs=(("pre",), signs.astype(np.int8)))


def test_columns():
    """Frequencies, flips, edges and decisions, counted by hand."""
    rng = np.random.default_rng(3)
    signs = np.ones((4, 100, 5))
    signs[:, :, 1] = -1
    signs[:, ::10, 2] = -1  # excitatory in 90% of the draws
    signs[:2, :, 3] = -1  # the chains are frozen at different signs
    signs[:, :, 4] = np.where(rng.random((4, 100)) < 0.5, 1, -1)
    adjacency = np.zeros((4, 100, 5, 5), dtype=bool)
    adjacency[:, :, :, 0] = True
    adjacency[:2, :, 4, 1] = True
    table = pg.sign_summary(made_up(signs, adjacency))
    np.testing.assert_allclose(table["excitatory"][:4], [1, 0, 0.9, 0.5])
    assert table["flips"].tolist()[:4] == [0, 0, 4 * 19, 0]
    assert table["chain_min"][3] == 0 and table["chain_max"][3] == 1
    np.testing.assert_allclose(table["edges"], [4, 0.5, 0, 0, 0])  # without self-edges
    assert table["status"].tolist() == ["settled", "settled", "ok", "chains disagree", "ok"]
    assert table["mcse"][:2].tolist() == [0, 0] and (table["mcse"][2:] > 0).all()
    # errors 0, 0, 0.1 have the mean 0.033, and with 0.5 more 0.15
    assert table["sign"].tolist() == ["excitatory", "inhibitory", "excitatory", "open", "open"]
    assert pg.sign_summary(made_up(signs, adjacency), fdr=0.03)["sign"][2] == "open"


def test_known_signs_are_no_decisions():
    """They would otherwise make room for wrong ones: 0.1 is above a rate of 5%."""
    signs = np.ones((4, 100, 3))
    signs[:, ::10, 2] = -1
    table = pg.sign_summary(made_up(signs, known=[1, 1, 0]))
    assert table["known"].tolist() == [True, True, False]
    assert table["sign"].tolist() == ["excitatory", "excitatory", "open"]


def test_a_dense_model_has_all_edges():
    model = pg.build_glm(simulated()[0][:100], BASIS, edges=pg.DenseEdges(),
                         weights=pg.SignedWeights(1.0, 1.0))  # fmt: skip
    assert (pg.sign_summary(drawn_tree(model))["edges"] == 7).all()


def test_bad_arguments(fit):
    _, tree, _ = fit
    with pytest.raises(ValueError, match=r"fdr: got 1\.5"):
        pg.sign_summary(tree, fdr=1.5)
    model = pg.build_glm(simulated()[0][:100], BASIS)
    with pytest.raises(ValueError, match=r"no 'signs'; build the model with pymc_glm.SignedWeig"):
        pg.sign_summary(drawn_tree(model))
    with pytest.raises(TypeError, match="tree"):
        pg.sign_summary(None)


def test_starts_are_overdispersed():
    """Unknown signs are either in equal shares, also where nearly all are excitatory a priori.

    With 8 chains of 6 such neurons a right sampler fails in fewer than 1 of 1000 seeds.
    """
    counts = simulated()[0][:200]
    given = [1, -1] + [None] * 6
    with pg.build_glm(counts, BASIS, weights=pg.SignedWeights(1.0, 1.0, 0.999, given)) as model:
        step = pg.WeightHMC()
    points = initial_points(model, step, 8, np.random.default_rng(1))
    signs = np.array([point["signs"] for point in points])
    assert signs.dtype == np.int8
    assert (signs[:, 0] == 1).all() and (signs[:, 1] == -1).all()
    share = (signs[:, 2:] == 1).mean()
    assert abs(share - 0.5) < 3.3 * 0.5 / np.sqrt(48)


def test_sessions_share_hyperparameters_not_signs():
    counts = simulated()[0][:300]
    later = counts[:, :4]
    sessions = {"mon": counts, "tue": later}
    signs = {"mon": pg.SignedWeights(signs=[1] + [None] * 7), "tue": pg.SignedWeights()}
    model = pg.build_glm(sessions, BASIS, weights=signs)
    assert {"mon::signs", "tue::signs"} <= {rv.name for rv in model.free_RVs}
    assert model.named_vars_to_dims["tue::signs"] == ("tue::pre",)
    assert model.named_vars_to_dims["weight_mean"] == ("sign", "basis")
    fixed = pg.SignedWeights(1.0, 1.0, 0.5, self_mean=0.0, self_cov=1.0)
    model = pg.build_glm(sessions, BASIS, edges=pg.BernoulliEdges(0.3, 0.5), weights=fixed)
    with model:
        assert len(pg.SignGibbs().vars) == 2
    tree = pg.sample(20, 20, model=model, **QUICK)
    assert tree["posterior"]["mon::signs"].std() > 0
    assert len(pg.sign_summary(pg.session(tree, "tue"))) == 4


def test_saved_and_loaded(tmp_path, fit):
    model, tree, _ = fit
    given = pg.SignedWeights(pm.HalfNormal.dist(1), None, [0.5] * 8, dict.fromkeys("bcdefgh") | {
        "a": "inhibitory"}, None, None)  # fmt: skip
    other = pg.build_glm(simulated()[0][:100], BASIS, weights=given)
    for built, drawn in ((model, tree), (other, drawn_tree(other))):
        pg.save(drawn, tmp_path / "fit.nc")
        found = pg.load(tmp_path / "fit.nc")
        assert [rv.name for rv in found.model.free_RVs] == [rv.name for rv in built.free_RVs]
        xr.testing.assert_equal(found.tree["posterior"]["signs"], drawn["posterior"]["signs"])
        assert found.tree["posterior"]["signs"].dtype == np.int8
        point = built.initial_point(0)
        densities = [m.compile_logp(mode=INTERPRETED)(point) for m in (built, found.model)]
        assert np.isfinite(densities[0]) and densities[0] == densities[1]


def test_simulation_and_more_draws(fit):
    model, tree, _ = fit
    assert pg.simulate(model, 100, random_seed=1).shape == (100, 8)
    more = pg.sample_more(tree, model, 10, 10, cores=1, progressbar=False, report=False)
    assert more["posterior"]["signs"].dtype == np.int8


def test_a_new_neuron_gets_a_sign():
    """Its sign matters for its self-edge alone, and is drawn from its prior.

    A right sampler is outside in fewer than 1 of 1000 seeds.
    """
    counts = simulated(2, 1, 400)[0]
    weights = pg.SignedWeights([[0.5], [0.8]], 0.5, 0.7, self_mean=None, self_cov=None)
    parts = {"edges": pg.BernoulliEdges(0.4, 0.6), "weights": weights}
    tree = drawn_tree(pg.build_glm(counts.drop_sel(neuron="b"), BASIS, **parts))
    model = pg.build_glm(counts, BASIS, **parts)
    prior = NeuronPrior(tree, model, find_network(model), 1)
    rng, seen = np.random.default_rng(1), []
    values = prior.values(3, rng)
    for i in range(600):
        values = prior.values(3, rng) if i % 2 else prior.moved(values, rng)
        signs = values["signs"]
        assert signs[[0, 2]].tolist() == tree["posterior"]["signs"].values[0, 3].tolist()
        if i < 10:
            mean = np.where(signs == 1, 0.5, -0.8)
            np.testing.assert_allclose(prior.at(values).edges.mean[0, :, 0], mean)
        seen.append(signs[1] == 1)
    assert prior.has_structure
    assert abs(np.mean(seen) - 0.7) < 3.3 * np.sqrt(0.21 / 600)


def test_command_line(fit):
    _, weights = make_priors(PriorSettings(weights=WeightPrior.SIGNED))
    assert isinstance(weights, pg.SignedWeights)
    found = find_structure(fit[1])
    assert structure_lines(found) == [
        "Signs of neurons, at a false discovery rate of 5%: 5 excitatory, 3 inhibitory, 0 open "
        "(signs.csv)."
    ]


@pytest.mark.filterwarnings("ignore:invalid value encountered in scalar divide:RuntimeWarning")
def test_pymc_chooses_the_step_by_itself(fit):
    with fit[0]:
        tree = pm.sample(draws=5, tune=5, chains=1, cores=1, progressbar=False, quiet=True,
                         random_seed=1, compile_kwargs=UNCOMPILED)  # fmt: skip
    assert tree["posterior"]["signs"].dtype == np.int8
