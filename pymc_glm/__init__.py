"""Bayesian network GLMs for spike trains as ordinary PyMC models.

>>> import numpy as np, pymc_glm as pg
>>> times = np.sort(np.random.default_rng(1).uniform(0, 20, (2, 150)))  # seconds; or read_spikes
>>> counts = pg.bin_spikes({"a": times[0], "b": times[1]}, bin_width=0.005).clip(max=1)
>>> basis = pg.basis.raised_cosine(3, window=0.1, bin_width=0.005)
>>> weights = pg.GaussianWeights(0.0, 1.0, None, None)  # or learned hyperparameters, the default
>>> model = pg.build_glm(counts, basis, edges=pg.BernoulliEdges(0.2, 1.0), weights=weights)
>>> tree = pg.sample(100, 100, model=model, random_seed=1, progressbar=False, quiet=True)
>>> pg.edge_summary(tree)["probability"].shape
(4,)
"""

from importlib.metadata import PackageNotFoundError, version

import lazy_loader

import pymc_glm.steps as _steps  # noqa: F401  (registers the step methods with pm.sample())

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

try:
    __version__ = version("pymc_glm")
except PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "unknown"
