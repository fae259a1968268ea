"""Some draws of the paths of shared input, which are too large to be kept in every draw."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pymc as pm
import xarray as xr

from pymc_glm.graph.evaluate import initial_point_of
from pymc_glm.graph.find import find_networks
from pymc_glm.trees import PATH_GROUP

__all__ = ["KeptPaths"]


class KeptPaths:
    """Collects paths while chains run, as a callback of `pymc.sample`.

    Parameters
    ----------
    model : pymc.Model
    draws, tune, chains : int
    number : int
        Draws of the paths that each chain keeps, evenly spaced; the last is always among them.
    others : callable, optional
        A callback that is called as well.
    """

    def __init__(
        self,
        model: pm.Model,
        draws: int,
        tune: int,
        chains: int,
        number: int,
        others: Callable | None = None,
    ):
        self._model, self._tune, self._others = model, tune, others
        networks = find_networks(model)
        self.names = [str(n.factors.name) for n in networks if n.factors is not None]
        kept = np.linspace(draws - 1, 0, min(number, draws)).round().astype(int)
        self._kept = np.unique(kept)
        self._place = {int(draw): i for i, draw in enumerate(self._kept)}
        sizes = {name: initial_point_of(model)[name].size for name in self.names}
        self._paths = {
            name: np.full((chains, self._kept.size, size), np.nan, np.float32)
            for name, size in sizes.items()
        }

    @property
    def recorded(self) -> list[str]:
        """Names of all other variables, which are recorded in every draw."""
        return [str(v.name) for v in self._model.unobserved_RVs if v.name not in self.names]

    def __call__(self, trace: Any, draw: Any) -> None:
        """Keep the paths if this is one of the draws."""
        if self._others is not None:
            self._others(trace=trace, draw=draw)
        at = self._place.get(draw.draw_idx - self._tune)
        if at is not None and not draw.tuning:
            for name, paths in self._paths.items():
                paths[draw.chain, at] = draw.point[name]

    def attach(self, tree: xr.DataTree) -> xr.DataTree:
        """Return the tree with the paths in a group of their own."""
        dims, coords = self._model.named_vars_to_dims, self._model.coords
        variables = {}
        for name, paths in self._paths.items():
            (grid,) = dims[name]
            labels = {"chain": tree["posterior"]["chain"].values, "path_draw": self._kept}
            labels[str(grid)] = np.asarray(coords[grid])
            variables[name] = xr.DataArray(paths, labels, ("chain", "path_draw", str(grid)))
        tree[PATH_GROUP] = xr.DataTree(xr.Dataset(variables))
        return tree
