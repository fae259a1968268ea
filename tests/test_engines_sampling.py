"""Sampling on the JAX engine: Geweke's test, agreement with the threads engine, planted bugs.

The steps draw all random numbers, so that chains of both engines are alike until rounding turns a
decision; see test_engines for the single calls.
"""

import subprocess
import sys

import arviz as az
import numpy as np
import pymc as pm
import pytest

import pymc_glm as pg
from helpers import joint

pytest.importorskip("jax")
from pymc_glm.engines.jax import (
    JaxEngine,
    recording,
)
from pymc_glm.engines.jax import engine as jax_engine

THRESHOLD = 4.2
QUIET = {"progressbar": False, "quiet": True}
FIXED = {
    "edges": pg.BernoulliEdges(0.4, 1.0),
    "weights": pg.GaussianWeights(0.0, 0.5, None, None),
}
BASIS = pg.basis.raised_cosine(1, window=0.02, bin_width=0.005)


def counts_of(n_bins=400, n=3):
    weights = np.zeros((n, n, 1))
    weights[1, 0], weights[2, 1] = 1.5, -1.0
    truth = pg.NetworkParameters(np.full(n, -2.0), weights, BASIS)
    return pg.simulate(truth, n_bins, random_seed=2)


# --- Geweke's test -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def network():
    with pg.engine("jax"):
        return joint.make_joint(
            3, 25, 1, 10_000, seed=1, **joint.learned_parts(),
            network_steps=(pg.EdgeMetropolis, pg.WeightHMC),
        )  # fmt: skip


@pytest.fixture(scope="module")
def independent(network):
    return joint.marginal_conditional(network, seed=2)


def worst(network, independent, n_iterations):
    network.step_of(pg.EdgeMetropolis).forget()
    chain = joint.successive_conditional(network, n_iterations, 3)
    return joint.worst(independent, chain)


@pytest.mark.parametrize("n_iterations", [pytest.param(3000, marks=pytest.mark.slow)])
def test_geweke(network, independent, n_iterations):
    name, score = worst(network, independent, n_iterations)
    assert network.step_of(pg.EdgeMetropolis).engine.name == "jax"
    assert network.step_of(pg.EdgeMetropolis).expansion is not None
    assert abs(score) < THRESHOLD, (name, score)


def _shift_the_bias_in_looks(monkeypatch):
    """Flips are decided with an activation that is too high."""
    original = jax_engine.psi_and_sums

    def shifted(layout, recording, drive):
        return original(layout, recording, drive._replace(bias=drive.bias + 0.7))

    monkeypatch.setattr(jax_engine, "psi_and_sums", shifted)


def _weaken_the_slab(monkeypatch):
    """Trajectories have half the prior precision of the weights."""
    original = jax_engine.active_of

    def weak(*arguments):
        active = original(*arguments)
        return active._replace(precision=0.3 * active.precision)

    monkeypatch.setattr(jax_engine, "active_of", weak)


@pytest.mark.slow
@pytest.mark.parametrize("plant", [_shift_the_bias_in_looks, _weaken_the_slab])
def test_planted_bugs_are_found(network, independent, monkeypatch, plant):
    plant(monkeypatch)
    _, score = worst(network, independent, 2000)
    assert abs(score) > THRESHOLD


# --- whole runs ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model():
    return pg.build_glm(counts_of(), BASIS, **FIXED)


def sampled(model, engine, **options):
    given = {"draws": 250, "tune": 100, "chains": 2, "random_seed": 4} | QUIET
    return pg.sample(model=model, engine=engine, **given | options)["posterior"]


@pytest.fixture(scope="module")
def on_jax(model):
    return sampled(model, "jax")


def test_both_engines_have_the_same_posterior(model, on_jax):
    """Means and squares, in Monte Carlo errors; 2 x 21 of them, so 1 seed in 500 would fail."""
    other = sampled(model, "threads", draws=1500, random_seed=5, cores=1)
    for name in ("bias", "weights", "adjacency"):
        for power in (1, 2):
            x, y = (tree[name].astype(float) ** power for tree in (on_jax, other))
            errors = [az.mcse(v.to_dataset(name="v"))["v"] for v in (x, y)]
            away = abs(x.mean(("chain", "draw")) - y.mean(("chain", "draw")))
            error = np.hypot(*errors)
            known = (error > 0).values  # certain edges never change
            assert (away.values[known] < 4.2 * error.values[known]).all(), name
            assert (away.values[~known] < 1e-12).all()


def test_same_seed_same_draws_on_any_number_of_cores(model, on_jax):
    parallel = sampled(model, "jax", cores=2, threads=2)
    for name in ("bias", "weights", "adjacency"):
        np.testing.assert_array_equal(on_jax[name], parallel[name])


def test_pm_sample_in_the_context_of_an_engine(model):
    with model, pg.engine("jax"):
        steps = [pg.EdgeMetropolis(), pg.WeightHMC()]
        tree = pm.sample(20, tune=20, chains=1, cores=1, step=steps, random_seed=1, **QUIET)
    assert {step.engine.name for step in steps} == {"jax"}
    assert np.isfinite(tree["posterior"]["bias"]).all()
    with model:
        assert pg.WeightHMC().engine.name == "threads"


@pytest.mark.slow
def test_shared_input_is_left_to_threads_and_said(caplog):
    model = pg.recording_glm(counts_of(n_bins=600))
    with caplog.at_level("INFO", "pymc_glm"):
        tree = pg.sample(3, 3, chains=1, cores=1, model=model, engine="jax", random_seed=1, **QUIET)
    assert np.isfinite(tree["posterior"]["loadings"]).all()
    said = [record for record in caplog.records if "leaves paths" in record.getMessage()]
    assert len(said) == 1


# --- what is refused -----------------------------------------------------------------------------


def test_unknown_engine(model):
    for call in (
        lambda: pg.sample(model=model, engine="gpu"),
        lambda: pg.engine("gpu").__enter__(),
        lambda: pg.WeightHMC(model=model, engine="gpu"),
    ):
        with pytest.raises(ValueError, match=r"engine: got 'gpu', allowed are 'threads', 'jax'\."):
            call()


def test_polya_gamma_runs_on_threads_only(model):
    with model, pg.engine("jax"):
        with pytest.raises(ValueError, match="'jax', and PolyaGammaGibbs runs on 'threads' only"):
            pg.PolyaGammaGibbs()
        assert pg.PolyaGammaGibbs(engine="threads").engine.name == "threads"


def test_laws_written_by_hand_are_refused():
    likelihood = pg.log_concave(
        lambda count, psi, shape: (count * psi - np.exp(psi), count - np.exp(psi), np.exp(psi)),
        np.arange(3)[None],
    )
    with pytest.raises(ValueError, match="does not serve observation models that are written by"):
        recording.check_law(likelihood)


def test_a_gpu_that_is_too_small(model):
    with model:
        data = pg.WeightHMC().data
    layout = recording.layout_of(data)
    recording.check_memory(layout, data, None)
    recording.check_memory(layout, data, 10**8)
    with pytest.raises(ValueError, match=r"needs about 0.0 GiB for 3 neurons and 400 bins, and"):
        recording.check_memory(layout, data, 1000)


def test_without_jax_the_extra_is_named():
    code = (
        "import sys; sys.modules['jax'] = None\n"
        "import pymc_glm as pg\n"
        "from pymc_glm.engines import make_engine\n"
        "try: make_engine('jax', None)\n"
        "except ImportError as error: print(error)"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "needs JAX, which is not installed; install the extra pymc_glm[jax]" in run.stdout


def test_jax_is_imported_only_when_asked_for():
    code = (
        "import sys, numpy as np, pymc_glm as pg\n"
        "basis = pg.basis.raised_cosine(1, window=0.05, bin_width=0.005)\n"
        "with pg.build_glm(np.eye(50, 2, dtype=int), basis): pg.WeightHMC()\n"
        "assert not {'jax', 'jaxlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_threads_of_the_engine_are_checked():
    with pytest.raises(ValueError, match="threads"):
        JaxEngine(0)
