"""Recordings read from a folder or the cache, or downloaded."""

import hashlib
import os
from os import PathLike
from pathlib import Path

from pymc_glm.datasets.recordings import REPOSITORY, DatasetEntry, citation, entry_named
from pymc_glm.readers import read_spikes
from pymc_glm.spikes import SpikeTrains

__all__ = ["fetch_retina"]

_ADDRESS = "https://raw.githubusercontent.com/sje30/waverepo/master/hdf5"
_FOLDER_VARIABLE, _ADDRESS_VARIABLE = "PYMC_GLM_DATA", "PYMC_GLM_DATA_URL"


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
    if folder is not None and address is not None:
        raise ValueError("folder, address: got both; give either folder or address.")
    if folder is None and address is None and (known := os.environ.get(_FOLDER_VARIABLE)):
        folder = known
    if folder is not None:
        path = _in_folder(recording, Path(folder).expanduser())
    else:
        path = _downloaded(recording, address or os.environ.get(_ADDRESS_VARIABLE) or _ADDRESS)
    trains = read_spikes(path, format="mea_hdf5", name=name)
    if not quiet:
        print(citation(name))
    return trains


def _in_folder(recording: DatasetEntry, folder: Path) -> Path:
    """Return the path of a recording in a folder, after checking its checksum."""
    places = [folder / recording.file, folder / recording.path]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise FileNotFoundError(
            f"folder: there is no {recording.file} in {folder} (from folder= or the environment "
            f"variable {_FOLDER_VARIABLE}); {_by_hand(recording)}"
        )
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != recording.sha256:
        raise ValueError(
            f"folder: {recording.file} in {path.parent} is not the published file: its SHA-256 is "
            f"{found}, not {recording.sha256}; {_by_hand(recording)}"
        )
    return path


def _by_hand(recording: DatasetEntry) -> str:
    return (
        f"download hdf5/{recording.path} from {REPOSITORY} by hand into a folder, and set "
        f"{_FOLDER_VARIABLE} to that folder."
    )


def _downloaded(recording: DatasetEntry, address: str) -> Path:
    """Return the path of a recording in the cache, downloading it if necessary."""
    try:
        import pooch
    except ImportError as error:
        raise ImportError(
            'downloading recordings needs pooch: pip install "pymc_glm[data]"; or '
            + _by_hand(recording)
        ) from error
    from requests.exceptions import HTTPError, RequestException

    if not address.startswith(("https://", "http://")):
        raise ValueError(
            f"address: got {address!r}, allowed are addresses that start with https:// or http://; "
            "for a local folder use folder=."
        )
    files = pooch.create(
        path=pooch.os_cache("pymc_glm"),
        base_url=address.rstrip("/") + "/",
        registry={recording.path: f"sha256:{recording.sha256}"},
    )
    tried = files.get_url(recording.path)
    try:
        return Path(files.fetch(recording.path))
    except HTTPError as error:
        status = error.response.status_code if error.response is not None else "an error"
        reason = f"the server answered {status}"
    except (RequestException, OSError) as error:
        reason = f"{type(error).__name__}; check the network, and that {files.path} is writable"
    except ValueError as error:  # another checksum; pooch has deleted the download
        raise ValueError(
            f"address: the file at {tried} is not the published one: its SHA-256 is not "
            f"{recording.sha256}; {_by_hand(recording)}"
        ) from error
    raise ConnectionError(
        f"{recording.file} could not be downloaded from {tried} ({reason}); {_by_hand(recording)}"
    )
