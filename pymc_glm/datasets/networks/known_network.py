"""Spike trains together with the connections that generated them."""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from pymc_glm.spikes import SpikeTrains

__all__ = ["KnownNetwork"]


@dataclass(frozen=True, eq=False, repr=False)
class KnownNetwork:
    """Spike trains of a network whose connections are known, from `fetch_network`.

    Parameters
    ----------
    name : str
    spikes : SpikeTrains
        All recorded neurons, also those without spikes.
    weights : DataArray (post, pre)
        True weights, negative for inhibition, 0 where there is no connection; their unit, if it is
        known, in attrs. On the diagonal are connections of neurons with themselves.
    latencies : DataArray (post, pre) or None
        From a pre spike to its effect, in seconds; NaN where there is no connection. None if they
        are not known.
    all_recorded : bool or None
        Whether the spikes are those of all neurons of the network. None if the source does not say.
    licence, citation, source : str
        Licence of the repository, papers to cite, and repository, commit and path.

    Examples
    --------
    >>> import numpy as np, xarray as xr, pymc_glm as pg
    >>> spikes = pg.SpikeTrains([[0.1, 0.7], [0.4]], ["a", "b"], start=0, stop=2)
    >>> weights = xr.DataArray([[0, 0], [0.3, 0]], {"post": ["a", "b"], "pre": ["a", "b"]})
    >>> known = pg.datasets.KnownNetwork("two", spikes, weights)
    >>> known
    <KnownNetwork 'two': 2 neurons, 3 spikes, 2 s, 1 excitatory and 0 inhibitory connections>
    >>> bool(known.adjacency.sel(post="b", pre="a"))
    True
    """

    name: str
    spikes: SpikeTrains
    weights: xr.DataArray
    latencies: xr.DataArray | None = None
    all_recorded: bool | None = None
    licence: str = ""
    citation: str = ""
    source: str = ""

    @property
    def adjacency(self) -> xr.DataArray:
        """Whether there is a connection, bool (post, pre)."""
        return (self.weights != 0).rename("adjacency")

    def __repr__(self) -> str:
        others = self.weights.values[~np.eye(len(self.spikes), dtype=bool)]
        n_spikes = sum(times.size for times in self.spikes.times)
        return (
            f"<KnownNetwork {self.name!r}: {len(self.spikes)} neurons, {n_spikes} spikes, "
            f"{self.spikes.duration:g} s, {np.sum(others > 0)} excitatory and "
            f"{np.sum(others < 0)} inhibitory connections>"
        )
