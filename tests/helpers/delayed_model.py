"""A small model with delays of shared input, in three segments, one of them a single bin."""

import numpy as np
import xarray as xr
from scipy.linalg import block_diag, toeplitz

import pymc_glm as pg
from helpers.delayed_input import delayed_input

WIDTH = 0.005
BASIS = pg.basis.raised_cosine(2, window=0.025, bin_width=WIDTH)
LENGTHS, MOST, STEPS = (44, 1, 27), 3, (1, 4)
STARTS, N_BINS = [0, 44, 45], 72
EXCLUDED = [0, 5, 6, 7, 20, 44, 60, 71]


def recording(n=3, seed=0, gaussian=False):
    """Counts or traces in three segments, one of a single bin."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(N_BINS, n)) if gaussian else rng.poisson(0.2, (N_BINS, n)).clip(0, 1)
    return xr.DataArray(
        values, {"segment": ("time", np.repeat([0, 1, 2], LENGTHS))}, ("time", "neuron"),
        attrs={"bin_width": WIDTH},
    )  # fmt: skip


def build(counts, max_delay=MOST * WIDTH, smoothness=0.5, **options):
    shared = pg.SharedInput(
        2, np.array([0.01, 0.04]), 1.0, smoothness, WIDTH * np.array(STEPS), max_delay
    )
    given = {"edges": pg.BernoulliEdges(0.3), "weights": pg.GaussianWeights(0.0, 0.5)}
    return pg.build_glm(counts, BASIS, shared_input=shared, **(given | options))


def point_of(model, delay, seed=1):
    """A point without couplings."""
    rng, point = np.random.default_rng(seed), model.initial_point(0)
    for name in ("bias", "loadings", "factors"):
        point[name] = rng.normal(size=point[name].shape)
    point["weights"], point["adjacency"] = 0 * point["weights"], 0 * point["adjacency"]
    point["input_delay"] = np.array(delay, point["input_delay"].dtype)
    return point


def by_loop(point, loadings=None):
    loadings = point["loadings"] if loadings is None else loadings
    return delayed_input(
        STARTS, N_BINS, STEPS, MOST, point["input_delay"], point["factors"], loadings
    )


def path_covariance(smoothness):
    """Of all grid points, by the formulas in the docstring of kernels.shared_path."""
    blocks = []
    for step, timescale in zip(STEPS, (0.01, 0.04), strict=True):
        r = np.exp(-step * WIDTH / timescale)
        for length in LENGTHS:
            h = np.arange(-(-(length + 2 * MOST) // step))
            more = h * (1 - r**2) / (1 + r**2) if smoothness > 1 else 0.0
            blocks.append(toeplitz(r**h * (1 + more)))
    return block_diag(*blocks)
