"""Trees without sampling, and a test that two models are the same."""

import numpy as np
import pymc as pm
import xarray as xr
from pymc.initial_point import make_initial_point_fn

from helpers.uncompiled import INTERPRETED


def points(model, n=3, seed=0):
    """Points with finite density of a model's value variables: perturbed draws of the prior."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(n):
        point = model.initial_point(i)
        for name, value in point.items():
            if value.dtype.kind == "f" and not name.endswith("weights"):
                point[name] = value + 0.3 * rng.standard_normal(value.shape)
            elif name.endswith("block_labels"):
                point[name] = rng.permutation(value.size) % 2
            elif name.endswith("adjacency"):
                point[name] = rng.integers(0, 2, value.shape).astype(value.dtype)
        for name, value in point.items():
            if name.endswith("weights"):
                edges = point.get(name.replace("weights", "adjacency"))
                drawn = rng.standard_normal(value.shape)
                point[name] = drawn if edges is None else drawn * edges[..., None]
        found.append(point)
    return found


def bare_tree(model):
    """A tree like those from sampling, with a single draw."""
    start = make_initial_point_fn(model=model, return_transformed=False)(0)
    draws = {rv.name: start[rv.name][None] for rv in model.free_RVs}
    tree = pm.to_inference_data(prior=draws, model=model)
    groups = {key: group.dataset for key, group in tree.children.items()}
    groups["posterior"] = groups.pop("prior")
    return xr.DataTree.from_dict(groups)


def assert_same_model(one, other, seed=0):
    """Same variables, coordinates and data, and the same density at several points."""
    assert [rv.name for rv in one.free_RVs] == [rv.name for rv in other.free_RVs]
    assert one.named_vars_to_dims == other.named_vars_to_dims
    assert set(one.coords) == set(other.coords)
    for dim, values in one.coords.items():
        assert list(values) == list(other.coords[dim]), dim
    for variable in one.data_vars:
        given, again = variable.get_value(), other[variable.name].get_value()
        assert given.dtype == again.dtype, variable.name
        np.testing.assert_array_equal(given, again, variable.name)
    densities = [m.compile_logp(mode=INTERPRETED) for m in (one, other)]
    for point in points(one, seed=seed):
        expected = densities[0](point)
        assert np.isfinite(expected)
        np.testing.assert_allclose(densities[1](point), expected, rtol=1e-12)
