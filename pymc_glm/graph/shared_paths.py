"""Timescales and loading scales of shared input, and their prior, as functions of a point."""

from collections.abc import Mapping

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray
from pytensor.tensor.variable import TensorVariable

from pymc_glm.graph.evaluate import PointFunction, initial_point_of
from pymc_glm.graph.find import NetworkVariables, children
from pymc_glm.kernels.shared_path import autoregression

__all__ = ["SharedPathFunctions", "timescale_variable"]

type Floats = NDArray[np.float64]


def timescale_variable(model: pm.Model, network: NetworkVariables) -> TensorVariable | None:
    """Return the random variable of the timescales, None if they are fixed."""
    if network.factors is None:
        return None
    timescale, *_ = network.factors.owner.op.dist_params(network.factors.owner)
    return timescale if timescale in model.free_RVs else None


class SharedPathFunctions:
    """What the moves of paths need to know of the model.

    Parameters
    ----------
    model : pymc.Model
    network : NetworkVariables
        With shared input.
    compile_kwargs : dict, optional
    """

    def __init__(
        self, model: pm.Model, network: NetworkVariables, compile_kwargs: dict | None = None
    ):
        factors, loadings = network.factors, network.loadings
        if factors is None or loadings is None:
            raise AssertionError("the network has no shared input.")
        timescale, factor, place, width, smoothness = factors.owner.op.dist_params(factors.owner)
        mean, scale = loadings.owner.op.dist_params(loadings.owner)
        start = initial_point_of(model)
        shape = start[model.rvs_to_values[loadings].name].shape
        grid = PointFunction(model, [factor, place, width, smoothness], compile_kwargs)(start)
        self.start = np.searchsorted(grid[0], np.arange(shape[1] + 1)).astype(np.int64)
        self.place = grid[1].astype(np.int64)
        self.width, self.smoothness = grid[2].astype(float), grid[3].astype(float)
        outputs = [
            pt.broadcast_to(timescale.astype("float64"), shape[1:]),
            pt.broadcast_to(mean.astype("float64"), shape),
            pt.broadcast_to(scale.astype("float64"), shape),
        ]
        self._evaluate = PointFunction(model, outputs, compile_kwargs)
        learned = [rv for rv in (timescale, scale) if rv in model.free_RVs]
        self.names = [model.rvs_to_values[rv].name for rv in learned]
        self.timescale_name = None
        if timescale in model.free_RVs:
            self.timescale_name = model.rvs_to_values[timescale].name
        self._log_prior: PointFunction | None = None
        if learned:
            near = {child for rv in learned for child in children(rv, model)}
            terms = [
                rv
                for rv in model.basic_RVs + model.potentials
                if rv in learned or (rv in near and rv not in (factors, loadings))
            ]
            log_prior = model.logp(vars=terms, jacobian=True)
            self._log_prior = PointFunction(model, [log_prior], compile_kwargs)

    def timescale(self, point: Mapping[str, NDArray]) -> Floats:
        """Return the timescales (factor,) in seconds."""
        return self._evaluate(point)[0]

    def loading_prior(self, point: Mapping[str, NDArray]) -> tuple[Floats, Floats]:
        """Return means and standard deviations of the loadings, (post, factor)."""
        _, mean, scale = self._evaluate(point)
        return mean, scale

    def log_prior(self, point: Mapping[str, NDArray]) -> float:
        """Return the log density of timescales and scales, without paths and loadings."""
        return 0.0 if self._log_prior is None else float(self._log_prior(point)[0])

    def coefficients(self, timescale: Floats) -> Floats:
        """Return the autoregressions of all factors, (factor, 3, 3)."""
        given = zip(self.smoothness, self.width, timescale, strict=True)
        return np.array([autoregression(*each) for each in given])
