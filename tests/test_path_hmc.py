"""Shared input and self filters: the samplers against independent draws, NUTS and planted bugs.

Geweke's test as in test_geweke_polya_gamma: with up to 40 functions, many of them correlated, and
thresholds of 4.2 standard errors a right sampler fails in fewer than 1 of 1000 seeds.
"""

from itertools import pairwise

import arviz as az
import numpy as np
import pymc as pm
import pytest
import xarray as xr
from scipy.linalg import toeplitz

import pymc_glm as pg
from helpers import joint
from helpers.calibration import assert_calibrated, calibrate
from pymc_glm.graph.further_terms import FurtherCoefficients
from pymc_glm.steps import path_hmc

# the counts that these models are built on are of no interest
pytestmark = pytest.mark.filterwarnings("ignore:shared_input. . neurons have:UserWarning")
THRESHOLD = 4.2
FEWEST = 60  # effective draws of the slowest function
STEPS = (pg.EdgeMetropolis, pg.WeightHMC, pg.PathHMC)
SMOOTHNESS = {"rough": 0.5, "smooth": 1.5, "both": np.array([0.5, 1.5])}


@pytest.fixture(autouse=True)
def short_stretches(monkeypatch):
    """Hold some grid points fixed, as in a recording of many seconds."""
    monkeypatch.setattr(path_hmc, "_STRETCH", 10)
    monkeypatch.setattr(path_hmc, "_FEWEST_BINS", 15)


def joint_of(smoothness=0.5, observation=None, n_prior=6000, steps=STEPS, **recording):
    """Three neurons, two trials, two factors on grids of one and two bins, a self filter."""
    exclude = np.zeros(36, bool)
    exclude[[4, 5, 15]] = True
    shared = pg.SharedInput(
        2,
        pm.LogNormal.dist(np.log([0.01, 0.04]), 0.5),
        pm.LogNormal.dist(-0.7, 0.3),
        smoothness,
        grid=np.array([0.005, 0.01]),
        max_delay=0.0,
    )
    given = {
        "edges": pg.BernoulliEdges(0.4),
        "weights": pg.GaussianWeights(0.3, 0.3),
        "bias": pm.Normal.dist(-1.0, 0.5),
        "segment": np.repeat([0, 1], [21, 15]),
        "exclude": exclude,
        "unknown_history": "recorded",
        "shared_input": shared,
        "self_basis": pg.basis.raised_cosine(3, window=0.04, bin_width=0.005),
        "self_prior": pg.SelfPrior(pm.LogNormal.dist(-1.2, 0.3)),
    }
    return joint.make_joint(
        3,
        36,
        2,
        n_prior,
        seed=11,
        network_steps=steps,
        observation=observation,
        **(given | recording),
    )


def worst(model, n_iterations, seed=12):
    """Return the function that differs most, whose errors are known well enough."""
    chain = joint.successive_conditional(model, n_iterations, seed)
    slowest, n_effective = joint.fewest_effective(chain)
    assert n_effective > FEWEST, slowest
    return joint.worst(joint.marginal_conditional(model, seed=seed + 1), chain)


@pytest.mark.parametrize(
    ("kind", "n_iterations"),
    [
        ("both", 3000),
        pytest.param("rough", 8000, marks=pytest.mark.slow),
        pytest.param("smooth", 8000, marks=pytest.mark.slow),
    ],
)
def test_geweke(kind, n_iterations):
    name, score = worst(joint_of(SMOOTHNESS[kind]), n_iterations)
    assert abs(score) < THRESHOLD, (name, score)


def calm(observation):
    """Parts with which counts do not run away: a chain hardly leaves states in which they did.

    Where counts have no bound, even excitation of 0.1 a spike can be too much. So couplings are
    weak or negative, and only the Gaussian model keeps its self filter.
    """
    parts = {"bias": pm.Normal.dist(-1.5, 0.3)}
    if isinstance(observation, pg.Gaussian):
        weights = pg.GaussianWeights(0.0, 0.005)
        return parts | {
            "weights": weights, "self_prior": pg.SelfPrior(pm.LogNormal.dist(-3.5, 0.3))
        }  # fmt: skip
    weights = pg.GaussianWeights(-0.3, 0.01, -0.6, 0.03)
    return parts | {"weights": weights, "self_basis": None, "self_prior": None}


@pytest.mark.slow
@pytest.mark.parametrize(
    "observation", [pg.Gaussian(2.0), pg.Poisson(), pg.NegativeBinomial(2.0)], ids=lambda o: o.name
)
def test_geweke_of_other_observation_models(observation):
    shared = pg.SharedInput(
        2,
        np.array([0.01, 0.04]),
        pm.LogNormal.dist(-1.0, 0.3),
        0.5,
        np.array([0.005, 0.01]),
        0.0,
    )
    model = joint_of(observation=observation, shared_input=shared, **calm(observation))
    name, score = worst(model, 6000)
    assert abs(score) < THRESHOLD, (name, score)


@pytest.mark.slow
def test_calibration():
    """Ranks of true values; a right sampler fails in fewer than 1 of 1000 seeds."""
    ranks = calibrate(joint_of(0.5, n_prior=200), 200, n_draws=19, thin=8, warm_up=80, seed=31)
    assert_calibrated(ranks, 19)


@pytest.mark.parametrize("smoothness", [0.5, 1.5])
def test_paths_given_traces(smoothness, monkeypatch):
    """Given everything else, paths of a Gaussian model are normal: their moments, by algebra.

    Some 120 means and variances, each within 5 errors of 20 batches: a right sampler fails in 1 of
    100 seeds. Without the terms that tie a stretch to the grid points after it, a fifth of the
    means are outside.
    """
    monkeypatch.setattr(path_hmc, "_STRETCH", 3)
    rng = np.random.default_rng(7)
    exclude = np.zeros(40, bool)
    exclude[[3, 17, 18]] = True
    shared = pg.SharedInput(
        2, np.array([0.01, 0.03]), 1.0, smoothness, np.array([0.005, 0.01]), 0.0
    )
    counts = xr.DataArray(
        rng.normal(size=(40, 3)), {"segment": ("time", np.repeat([0, 1], [23, 17]))},
        ("time", "neuron"), attrs={"bin_width": 0.005},
    )  # fmt: skip
    model = pg.build_glm(
        counts,
        pg.basis.raised_cosine(1, window=0.015, bin_width=0.005),
        observation=pg.Gaussian(0.5),
        exclude=exclude,
        shared_input=shared,
    )
    with model:
        step = pg.PathHMC(threads=1, rng=8)
    point = model.initial_point(0)
    point["loadings"] = np.array([[1.0, 0.5], [0.7, -0.8], [0.0, 0.6]])
    point["bias"] = np.array([0.1, -0.2, 0.0])
    point["weights"], point["adjacency"] = 0 * point["weights"], 0 * point["adjacency"]
    index, place = model["path_index"].get_value(), model["grid_place"].get_value()
    n_grid, first = place.size, model["grid_factor"].get_value() == 0
    kept = np.flatnonzero(~exclude)
    precision, linear = np.zeros((n_grid, n_grid)), np.zeros(n_grid)
    for of_factor, width, timescale in ((first, 0.005, 0.01), (~first, 0.01, 0.03)):
        at = np.flatnonzero(of_factor)
        starts = np.append(np.flatnonzero(place[at] == 0), at.size)
        for a, b in pairwise(starts):
            h, r = np.arange(b - a), np.exp(-width / timescale)
            smooth = 1 + h * (1 - r**2) / (1 + r**2) if smoothness == 1.5 else 1.0
            block = np.ix_(at[a:b], at[a:b])
            precision[block] = np.linalg.inv(toeplitz(r**h * smooth))
    for n, loadings in enumerate(point["loadings"]):
        design = np.zeros((kept.size, n_grid))
        for k in range(2):
            design[np.arange(kept.size), index[kept, k]] += loadings[k]
        precision += design.T @ design / 0.5
        linear += design.T @ (counts.values[kept, n] - point["bias"][n]) / 0.5
    covariance = np.linalg.inv(precision)
    network = step._state(point)
    draws = []
    for i in range(12_000):
        step._paths, _ = step._move_paths(point, network)
        if i == 1000:
            step.tune = False
        if i >= 2000:
            draws.append(step._paths.copy())
    batches = np.array(draws).reshape(20, 500, n_grid)
    mean = covariance @ linear
    for of_batch, expected in (
        (batches.mean(axis=1), mean),
        (((batches - mean) ** 2).mean(axis=1), np.diag(covariance)),
    ):
        error = of_batch.std(axis=0, ddof=1) / np.sqrt(20)
        assert (np.abs(of_batch.mean(axis=0) - expected) < 5 * error).all()


def _forget_the_paths(monkeypatch):
    """Timescales are drawn as if paths said nothing about them."""
    original = path_hmc.log_path_density
    monkeypatch.setattr(path_hmc, "log_path_density", lambda *arguments: 0.0 * original(*arguments))


def _forget_the_past(monkeypatch):
    """The self-weights are drawn as if their scale were another."""
    original = FurtherCoefficients.join_prior

    def join_prior(self, prior, point):
        joined = original(self, prior, point)
        precision = joined.precision.copy()
        precision[:, -self.n_slots] *= 0.5
        return joined._replace(precision=precision)

    monkeypatch.setattr(FurtherCoefficients, "join_prior", join_prior)


@pytest.mark.slow
@pytest.mark.parametrize("plant", [_forget_the_paths, _forget_the_past])
def test_planted_bugs_are_found(monkeypatch, plant):
    """Each of these mistakes, put into the sampler on purpose, must break Geweke's test."""
    plant(monkeypatch)
    model = joint_of(SMOOTHNESS["both"])
    chain = joint.successive_conditional(model, 4000, 12)
    _, score = joint.worst(joint.marginal_conditional(model, seed=13), chain)
    assert abs(score) > THRESHOLD


# --- agreement with NUTS -------------------------------------------------------------------------


def invariants(tree):
    """Quantities that do not depend on the signs of the factors, (function, chain, draw)."""
    draws = tree["posterior"].dataset
    drive = draws["factors"].values[..., None, :] * draws["loadings"].values
    columns = [
        drive[..., 0, 10],  # one neuron's input at some grid points
        drive[..., 0, 25],
        drive[..., 1, 40],
        (draws["loadings"] ** 2).sum(("post", "factor")).values,
        np.log(draws["loading_scale"].values[..., 0]),
        np.log(draws["factor_timescale"].values[..., 0]),
        draws["bias"].values.mean(axis=-1),
        draws["weights"].values[..., 0, 1, 0],
    ]
    return np.array(columns)


@pytest.mark.slow
@pytest.mark.parametrize("smoothness", [0.5, 1.5])
def test_agreement_with_nuts(smoothness):
    """All continuous variables by pm.NUTS; 8 functions within 4.2 errors: 1 failure in 4000 runs.

    Without a self filter, self-edges are weights like all others, and nothing is discrete.
    """
    rng = np.random.default_rng(3)
    path = np.repeat(rng.normal(size=30), 4)
    psi = -1.0 + 1.2 * path[:, None] * np.array([1.0, 0.8, -0.9])
    counts = (rng.random((120, 3)) < 1 / (1 + np.exp(-psi))).astype(int)
    basis = pg.basis.raised_cosine(1, window=0.015, bin_width=0.005)
    shared = pg.SharedInput(
        1, pm.LogNormal.dist(-3.5, 0.4), pm.LogNormal.dist(0.0, 0.3), smoothness, 0.01, 0.0
    )
    model = pg.build_glm(
        counts,
        basis,
        edges=pg.DenseEdges(),
        weights=pg.GaussianWeights(0.0, 0.3, None, None),
        bias=pm.Normal.dist(-1.0, 0.5),
        shared_input=shared,
    )
    with model:
        options = {"chains": 4, "cores": 2, "progressbar": False, "quiet": True}
        ours = pm.sample(4000, tune=1000, random_seed=1, **options)
        step = pm.NUTS(model.free_RVs, target_accept=0.9)
        nuts = pm.sample(4000, tune=1000, random_seed=2, step=step, **options)
    for mine, other in zip(invariants(ours), invariants(nuts), strict=True):
        assert az.ess(other, method="mean") > 100
        error = np.hypot(az.mcse(mine, method="mean"), az.mcse(other, method="mean"))
        assert abs(mine.mean() - other.mean()) < THRESHOLD * error


# --- what it is for ------------------------------------------------------------------------------


def test_targets_of_a_hidden_hub():
    """Five neurons driven by one that is not recorded: their couplings go, the true one stays.

    Without shared input most of the 20 pairs are called; with it, a pair is present in one draw of
    five at most, on average, and the one true coupling in nearly all.
    """
    rng = np.random.default_rng(4)
    n_bins, n = 24_000, 5
    path = np.empty(n_bins)
    path[0], r = 0.0, np.exp(-1 / 6)
    for t in range(1, n_bins):
        path[t] = r * path[t - 1] + np.sqrt(1 - r**2) * rng.normal()
    counts, effect = np.zeros((n_bins, n), int), np.array([1.5, 1.5, 1.2, 0.8])
    for t in range(n_bins):
        psi = -3.2 + 1.2 * path[t] + np.zeros(n)
        before = counts[max(t - 4, 0) : t, 0][::-1]
        psi[1] += effect[: len(before)] @ before
        counts[t] = rng.random(n) < 1 / (1 + np.exp(-psi))
    basis = pg.basis.raised_cosine(2, window=0.02, bin_width=0.005)
    parts = {"edges": pg.BernoulliEdges(0.1), "weights": pg.GaussianWeights(0.0, 1.0)}
    long = pg.basis.raised_cosine(4, window=0.05, bin_width=0.005)
    options = {"chains": 2, "random_seed": 5, "progressbar": False, "quiet": True}
    found = []
    for shared in (None, pg.SharedInput(1, timescale=pm.LogNormal.dist(-3.5, 0.7), grid=0.01)):
        model = pg.build_glm(counts, basis, shared_input=shared, self_basis=long, **parts)
        tree = pg.sample(150, 150, model=model, **options)
        found.append(tree["posterior"]["adjacency"].mean(("chain", "draw")).values)
    true = np.zeros((n, n), bool)
    true[1, 0] = True
    others = ~true & ~np.eye(n, dtype=bool)
    assert (found[0][others] > 0.5).mean() > 0.5
    assert found[1][others].mean() < 0.2
    assert found[1][1, 0] > 0.9
