"""Networks with known connections, read from a folder or the cache, or downloaded."""

from os import PathLike

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pymc_glm.datasets.networks.known_network import KnownNetwork
from pymc_glm.datasets.networks.registry import network_named
from pymc_glm.datasets.published_files import fetch_file
from pymc_glm.spikes import SpikeTrains

__all__ = ["fetch_network"]


def fetch_network(
    name: str,
    *,
    folder: str | PathLike[str] | None = None,
    address: str | None = None,
    quiet: bool = False,
) -> KnownNetwork:
    """Fetch spike trains of a simulated network whose connections are known.

    With these, methods that infer connections can be judged: none of them was simulated from a
    model of this package.

    ============= ===============================================================================
    ``ren20``     20 leaky integrate-and-fire neurons, 1 h, 17 excitatory and 21 inhibitory
                  connections, strong slow common input (Ren et al. 2020)
    ``spycon``    20 such neurons, 1 h, 18 excitatory connections (Donner et al. 2024, Ren et al.
                  2020)
    ``tspe``      100 of the 1000 neurons of an Izhikevich network, 1 h, 349 excitatory and 84
                  inhibitory connections among them (De Blasi et al. 2019)
    ``casadiego`` all 100 neurons of a leaky integrate-and-fire network simulated with NEST, 50 s,
                  767 excitatory and 197 inhibitory connections, and 9 neurons connected with
                  themselves (Casadiego, Maoutsa & Timme 2018)
    ============= ===============================================================================

    The file is taken from the first of these that is given: `folder`; `address`; the folder in the
    environment variable ``PYMC_GLM_NETWORKS``; the address in ``PYMC_GLM_NETWORKS_URL``; the
    authors' repository on GitHub, at a fixed commit. Reading from a folder needs no network.
    Downloads happen once and stay in the user's cache. The SHA-256 of the file is checked each
    time. The licences are those of the repositories; that of ``ren20`` names none.

    Parameters
    ----------
    name : str
    folder : path-like, optional
        Folder with the file, directly in it or in OWNER/REPOSITORY/COMMIT/PATH.
    address : str, optional
        Address of a copy of raw.githubusercontent.com, ``https://...``.
    quiet : bool
        Do not print the licence and citations, which `citation` returns too.

    Returns
    -------
    KnownNetwork
        Spike times in seconds, and true weights (post, pre).

    Raises
    ------
    ImportError
        The file has to be downloaded, and pooch is not installed.
    FileNotFoundError
        The file is not in the folder.
    ConnectionError
        The file cannot be downloaded.
    ValueError
        The name is unknown, the file has another checksum, the address is not valid, or both folder
        and address are given.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> known = pg.datasets.fetch_network("casadiego")  # doctest: +SKIP
    >>> counts = pg.bin_spikes(known.spikes, 0.001)  # doctest: +SKIP
    """
    entry = network_named(name)
    found = entry.read(fetch_file(entry.published, folder, address))
    attrs = {"units": entry.unit} if entry.unit else {}
    known = KnownNetwork(
        name,
        SpikeTrains(
            tuple(found.times), tuple(found.neurons), start=0.0, stop=entry.duration, name=name
        ),
        _matrix(found.weights, found.neurons, "weights", attrs),
        None
        if found.latencies is None
        else _matrix(found.latencies, found.neurons, "latencies", {"units": "s"}),
        entry.all_recorded,
        entry.licence,
        "\n".join(entry.cite),
        entry.source,
    )
    if not quiet:
        print(entry.describe(name))
    return known


def _matrix(
    values: NDArray[np.float64], neurons: list[str], name: str, attrs: dict[str, str]
) -> xr.DataArray:
    coords = {"post": neurons, "pre": neurons}
    return xr.DataArray(values, coords, ("post", "pre"), name, attrs)
