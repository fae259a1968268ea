"""Recordings of the retina, read from a folder or the cache, or downloaded."""

from os import PathLike

from pymc_glm.datasets.published_files import PublishedFile, fetch_file
from pymc_glm.datasets.recordings import REPOSITORY, citation, entry_named
from pymc_glm.readers import read_spikes
from pymc_glm.spikes import SpikeTrains

__all__ = ["fetch_retina"]

_ADDRESS = "https://raw.githubusercontent.com/sje30/waverepo/master/hdf5"


def fetch_retina(
    name: str = "Demas2003_p22_ctrl_1a",
    *,
    folder: str | PathLike[str] | None = None,
    address: str | None = None,
    quiet: bool = False,
) -> SpikeTrains:
    """Fetch a multielectrode recording of spontaneous activity in the retina.

    ========================== ===============================================
    ``Demas2003_p22_ctrl_1a``  mouse, postnatal day 22 (Demas, Eglen & Wong 2003)
    ``Demas2003_6WK_CTRL_ME1`` mouse, six weeks old (same source)
    ``Wong1993_Adult``         adult ferret (Wong, Meister & Shatz 1993)
    ========================== ===============================================

    All are from the repository of Eglen et al. (2014, GigaScience 3:3). The file is taken from the
    first of these that is given: `folder`; `address`; the folder in the environment variable
    ``PYMC_GLM_DATA``; the address in ``PYMC_GLM_DATA_URL``; the repository on GitHub. Reading from
    a folder needs no network. Downloads happen once and stay in the user's cache. The SHA-256 of
    the file is checked each time.

    Parameters
    ----------
    name : str
    folder : path-like, optional
        Folder with the file, directly in it or in the repository's subfolder
        (``Demas2003/Demas2003_p22_ctrl_1a.h5``).
    address : str, optional
        Address of a copy of the repository's folder hdf5, ``https://...``.
    quiet : bool
        Do not print the licence and citations, which `citation` returns too.

    Returns
    -------
    SpikeTrains
        With positions of the electrodes in micrometres.

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
    >>> trains = pg.datasets.fetch_retina()  # doctest: +SKIP
    >>> counts = pg.bin_spikes(trains, 0.01, min_rate=0.1).clip(max=1)  # doctest: +SKIP
    """
    recording = entry_named(name)
    published = PublishedFile(
        recording.path,
        recording.sha256,
        _ADDRESS,
        f"hdf5/{recording.path} from {REPOSITORY}",
        "PYMC_GLM_DATA",
    )
    path = fetch_file(published, folder, address)
    trains = read_spikes(path, format="mea_hdf5", name=name)
    if not quiet:
        print(citation(name))
    return trains
