"""Bayesian network GLMs for spike trains as ordinary PyMC models.

>>> import pymc_glm as pg
>>> trains = pg.read_spikes("recording.h5")  # doctest: +SKIP
>>> counts = pg.bin_spikes(trains, bin_width=0.005, min_rate=0.4).clip(max=1)  # doctest: +SKIP
>>> basis = pg.basis.raised_cosine(3, window=0.1, bin_width=0.005)
>>> model = pg.build_glm(counts, basis)  # doctest: +SKIP
>>> tree = pg.sample(model=model)  # doctest: +SKIP
>>> pg.edge_summary(tree)  # doctest: +SKIP
"""

from importlib.metadata import PackageNotFoundError, version

import lazy_loader

import pymc_glm.steps as _steps  # noqa: F401  (pm.sample() knows the step methods from here on)

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

try:
    __version__ = version("pymc_glm")
except PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "unknown"
