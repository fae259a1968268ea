"""What every step method of a network can do: take other data, and forget what it has learned."""

import numpy as np
import pytest

import pymc_glm as pg
from helpers.uncompiled import UNCOMPILED
from pymc_glm.graph.data import spike_data
from pymc_glm.graph.find import find_network

BASIS = pg.basis.raised_cosine(2, window=0.05, bin_width=0.005)
STEPS = {
    "edge_metropolis": (pg.EdgeMetropolis, "bernoulli"),
    "weight_hmc": (pg.WeightHMC, "bernoulli"),
    "polya_gamma_gibbs": (pg.PolyaGammaGibbs, "bernoulli"),
    "dispersion_gibbs": (pg.DispersionGibbs, "negative_binomial"),
    "noise_gibbs": (pg.NoiseGibbs, "gaussian"),
}


def values(observation, seed, n_bins=200):
    rng = np.random.default_rng(seed)
    if observation == "gaussian":
        return rng.normal(size=(n_bins, 3))
    counts = rng.poisson(0.4, (n_bins, 3))
    return counts.clip(max=1) if observation == "bernoulli" else counts


def made(name, seed):
    """A model, and the step of that name on its data."""
    kind, observation = STEPS[name]
    with pg.build_glm(values(observation, seed), BASIS, observation=observation) as model:
        return model, kind(threads=1, compile_kwargs=UNCOMPILED)


def run(step, point, n_tune=25, n_draws=5):
    """Draws of one chain, after some tuning."""
    step.setup_chain(np.random.default_rng(1), n_tune, n_draws)
    found = []
    for i in range(n_tune + n_draws):
        if i == n_tune:
            step.stop_tuning()
        point, _ = step.step(point)
        found.append(np.concatenate([np.ravel(value) for value in point.values()]))
    return np.array(found)


@pytest.mark.parametrize("name", STEPS)
def test_a_step_on_other_data_is_that_of_the_other_model(name):
    _, step = made(name, seed=1)
    model, expected = made(name, seed=2)
    point = model.initial_point(0)
    on_its_data = run(step, point)
    step.condition_on(spike_data(model, find_network(model)))
    found = run(step, point)
    np.testing.assert_array_equal(found, run(expected, point))
    assert not np.array_equal(found, on_its_data)


@pytest.mark.parametrize("name", STEPS)
def test_a_chain_begins_with_nothing_learned(name):
    model, step = made(name, seed=1)
    point = model.initial_point(0)
    first = run(step, point)
    np.testing.assert_array_equal(run(step, point), first)


@pytest.mark.parametrize("name", ["edge_metropolis", "weight_hmc", "dispersion_gibbs"])
def test_forgetting_the_tuning(name):
    """Without it, what was learned in the first tuning is used in the second."""
    model, step = made(name, seed=1)
    point = model.initial_point(0)
    fresh = step.sampling_state
    run(step, point)
    assert not step.tune
    learned = step.sampling_state
    step.forget()
    assert step.tune
    forgotten = step.sampling_state
    names = [field for field in vars(fresh) if field not in ("rng", "iteration", "warm_up")]
    assert any(repr(getattr(learned, n)) != repr(getattr(fresh, n)) for n in names)
    assert all(repr(getattr(forgotten, n)) == repr(getattr(fresh, n)) for n in names)
