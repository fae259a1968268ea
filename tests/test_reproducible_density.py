"""The density of NetworkNUTS: compiled without fast-math flags, in this process and in workers."""

import pickle

import numpy as np
import pymc as pm
import pytensor
import pytest
from pymc.blocking import DictToArrayBijection
from pymc.model.core import ValueGradFunction

from pymc_glm.steps.density import ReproducibleDensity


@pytest.fixture
def seen(monkeypatch):
    """The flag at every call, and at every unpickling, of a density."""
    flags = []
    call = ValueGradFunction.__call__

    def spy(self, *args, **kwargs):
        flags.append(pytensor.config.numba__fastmath)
        return call(self, *args, **kwargs)

    monkeypatch.setattr(ValueGradFunction, "__call__", spy)
    return flags


def density_of(model):
    values = model.value_vars
    point = model.initial_point(0)
    density = ReproducibleDensity([model.logp()], values, {}, model=model, initial_point=point,
                                  ravel_inputs=True)  # fmt: skip
    density.set_extra_values({})
    return density, DictToArrayBijection.map(point)


def test_compiled_without_fast_math_here_and_when_unpickled(seen):
    with pm.Model() as model:
        scale = pm.LogNormal("scale", 0.0, 1.0)
        pm.Normal("x", 0.0, scale, shape=3)
    density, place = density_of(model)
    place = place._replace(data=np.array([0.3, -1.0, 0.5, 2.0]))
    value, gradient = density(place)
    with pytensor.config.change_flags(numba__fastmath=True):
        assert density(place)[0] == value
        copy = pickle.loads(pickle.dumps(density))
        first, first_gradient = copy(place)
        assert copy(place)[0] == first
    assert seen == [False, True, False, True]
    assert first == value
    np.testing.assert_array_equal(first_gradient, gradient)
    with model:
        expected = model.compile_logp()({"scale_log__": 0.3, "x": place.data[1:]})
    np.testing.assert_allclose(value, expected)
