"""The density of NetworkNUTS: compiled without fast-math flags, in this process and in workers."""

import cloudpickle
import numpy as np
import pymc as pm
import pytensor
import pytest
from pymc.blocking import DictToArrayBijection

import pymc_glm as pg
from pymc_glm.steps.density import ReproducibleDensity


def has_fast_math(function):
    return bool(function.vm.jit_fn.targetoptions["fastmath"])


def copied(thing):
    """Send it to another process, as PyMC does."""
    return cloudpickle.loads(cloudpickle.dumps(thing))


@pytest.fixture(autouse=True)
def fast_math():
    with pytensor.config.change_flags(numba__fastmath=True):
        yield
        assert pytensor.config.numba__fastmath


def test_compiled_without_fast_math_here_and_when_unpickled():
    with pm.Model() as model:
        scale = pm.LogNormal("scale", 0.0, 1.0)
        pm.Normal("x", 0.0, scale, shape=3)
    point = model.initial_point(0)
    values = model.value_vars
    density = ReproducibleDensity([model.logp()], values, {}, model=model, initial_point=point)
    density.set_extra_values({})
    place = DictToArrayBijection.map(point)._replace(data=np.array([0.3, -1.0, 0.5, 2.0]))
    value, gradient = density(place)
    copy = copied(density)
    first, first_gradient = copy(place)
    for compiled in (density, copy):
        assert not has_fast_math(compiled._pytensor_function)
    assert first == value
    np.testing.assert_array_equal(first_gradient, gradient)
    expected = model.compile_logp()
    assert has_fast_math(expected.f)
    np.testing.assert_allclose(value, expected({"scale_log__": 0.3, "x": place.data[1:]}))


def test_a_step_that_is_copied_integrates_its_own_density():
    counts = np.random.default_rng(1).binomial(1, 0.1, (300, 3))
    model = pg.build_glm(counts, pg.basis.raised_cosine(1, window=0.02, bin_width=0.005))
    with model:
        step = pg.NetworkNUTS()
    copy = copied(step)
    point = model.initial_point(0)
    place = DictToArrayBijection.map({v.name: point[v.name] for v in step.vars})
    values = []
    for present in (0, 1):  # what the other steps have changed
        others = {"adjacency": np.full((3, 3), present), "weights": np.full((3, 3, 1), present)}
        for one in (step, copy):
            assert not has_fast_math(one._logp_dlogp_func._pytensor_function)
            for name, shared in one.shared.items():
                shared.set_value(others[name].astype(shared.dtype))
            state = one.integrator.compute_state(place, np.zeros(place.data.size))
            value, gradient = one._logp_dlogp_func(place)
            assert state.model_logp == value
            np.testing.assert_array_equal(state.q_grad, gradient)
            values.append(value)
    absent, absent_copy, all_present, all_present_copy = values
    assert absent == absent_copy != all_present == all_present_copy
