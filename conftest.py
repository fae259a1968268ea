"""What the examples in docstrings take as given: a recording, and fits of it."""

import functools
import re

import pytest


@functools.cache
def fits() -> dict:
    """37 seconds of three neurons, two models of the first 25 seconds, and their posteriors."""
    import numpy as np
    import xarray as xr

    import pymc_glm as pg

    basis = pg.basis.raised_cosine(1, window=0.1, bin_width=0.01)
    weights = np.zeros((3, 3, 1))
    weights[[0, 1, 2], [0, 1, 2]], weights[1, 0], weights[2, 1] = -1.0, 2.0, 2.0
    network = pg.NetworkParameters(np.full(3, -2.3), weights, basis)
    counts = pg.simulate(network, 3700, random_seed=1, neurons=["a", "b", "c"])
    counts["time"] = xr.DataArray(0.01 * np.arange(3700), dims="time")
    counts, later_counts = counts.isel(time=slice(2500)), counts.isel(time=slice(2500, None))
    options = {"draws": 500, "tune": 200, "chains": 2, "cores": 1}
    options |= {"progressbar": False, "quiet": True}
    parts = {"edges": pg.BernoulliEdges(0.3, 1.0), "weights": pg.GaussianWeights(0, 1, None, None)}
    model = pg.build_glm(counts, basis, **parts)
    other_parts = parts | {"edges": pg.BernoulliEdges(0.0, 1.0)}
    other_model = pg.build_glm(counts, basis, **other_parts)
    return {
        "counts": counts,
        "later_counts": later_counts,
        "basis": basis,
        "parts": parts,  # priors without hyperparameters, which need no compilation
        "model": model,
        "tree": pg.sample(model=model, random_seed=1, **options),
        "other_model": other_model,
        "other_tree": pg.sample(model=other_model, random_seed=2, **options),
        "options": options,
    }


@functools.cache
def structured() -> dict:
    """Made-up posteriors of ten neurons: of two blocks, and of positions near given ones."""
    import arviz as az
    import numpy as np

    rng, neurons = np.random.default_rng(1), list("abcdefghij")
    labels = np.repeat([0, 1], 5)
    probability = np.where(labels[:, None] == labels, 0.8, 0.1)
    places = rng.normal(size=(10, 2))
    draws = {
        "block_labels": np.tile(labels, (4, 50, 1)),
        "adjacency": rng.random((4, 50, 10, 10)) < probability,
    }
    positions = {"latent_positions": places + rng.normal(0, 0.1, (4, 50, 10, 2))}
    options = {
        "coords": {"post": neurons, "pre": neurons},
        "dims": {
            "block_labels": ["post"],
            "adjacency": ["post", "pre"],
            "latent_positions": ["post", "latent_dim"],
        },
    }
    return {
        "block_tree": az.from_dict({"posterior": draws}, **options),
        "position_tree": az.from_dict({"posterior": positions}, **options),
        "electrodes": dict(zip(neurons, 100 * places, strict=True)),
    }


@functools.cache
def shared() -> dict:
    """Make up a posterior of 4 neurons with two factors of shared input, whose signs vary."""
    import arviz as az
    import numpy as np

    import pymc_glm as pg

    rng, times = np.random.default_rng(1), 0.005 * np.arange(800)
    loadings = np.array([[1.0, 0.5], [0.8, -0.5], [0.6, 0.4], [0.9, 0.0]])
    paths = np.stack([np.sin(2 * np.pi * times), np.sin(np.pi * times[::2] + 1)[:400].repeat(2)])
    psi = -3 + loadings @ paths
    counts = (rng.random(psi.T.shape) < 1 / (1 + np.exp(-psi.T))).astype(int)
    signs = rng.choice([-1.0, 1.0], (2, 50, 2))
    grid = np.concatenate([paths[0], paths[1, ::2]])
    of_grid = np.repeat([0, 1], [800, 400])
    draws = {
        "bias": np.full((2, 50, 4), -3.0),
        "weights": np.zeros((2, 50, 4, 4, 1)),
        "loadings": (loadings + rng.normal(0, 0.1, (2, 50, 4, 2))) * signs[:, :, None],
        "factor_timescale": rng.normal([0.2, 0.4], 0.02, (2, 50, 2)),
        "factors": (grid + rng.normal(0, 0.3, (2, 50, 1200))) * signs[:, :, of_grid],
    }
    index = np.stack([np.arange(800), 800 + np.arange(800) // 2], axis=1)
    neurons = {"post": list("abcd"), "pre": list("abcd"), "time": times}
    basis = pg.basis.raised_cosine(1, window=0.02, bin_width=0.005)
    constants = {
        "counts": counts,
        "basis_functions": basis.values,
        "bin_width": 0.005,
        "path_index": index,
        "grid_width": np.array([0.005, 0.01]),
        "smoothness": np.array([0.5, 0.5]),
    }
    dims = {
        "bias": ["post"],
        "weights": ["post", "pre", "basis"],
        "loadings": ["post", "factor"],
        "factor_timescale": ["factor"],
        "factors": ["grid"],
        "counts": ["time", "post"],
        "spikes": ["time", "post"],
        "basis_functions": ["lag", "basis"],
        "path_index": ["time", "factor"],
        "grid_width": ["factor"],
        "smoothness": ["factor"],
    }
    groups = {"posterior": draws, "constant_data": constants, "observed_data": {"spikes": counts}}
    return {"shared_tree": az.from_dict(groups, coords=neurons, dims=dims)}


@pytest.fixture(autouse=True)
def given(request, doctest_namespace) -> None:
    """Put the posteriors where an example asks for them."""
    examples = getattr(getattr(request.node, "dtest", None), "examples", ())
    source = " ".join(example.source for example in examples)
    if re.search(r"\b(other_)?tree\b", source):
        doctest_namespace.update(fits())
    if "block_tree" in source or "position_tree" in source:
        doctest_namespace.update(structured())
    if "shared_tree" in source:
        doctest_namespace.update(shared())
