"""Files of public repositories: read from a folder or the cache, or downloaded, and checked."""

import hashlib
import os
from os import PathLike
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

__all__ = ["PublishedFile", "fetch_file"]


class PublishedFile(NamedTuple):
    """A file that can be fetched.

    `variable` names the environment variable with a folder; with ``_URL`` appended, that with the
    address of a copy.
    """

    path: str  # below the address
    sha256: str
    address: str
    by_hand: str  # where a person finds it: "FILE from REPOSITORY"
    variable: str
    names: tuple[str, ...] = ()  # further names that it may have in a folder

    @property
    def file(self) -> str:
        """The file's name."""
        return self.path.rpartition("/")[2]

    @property
    def advice(self) -> str:
        """What to do where fetching fails."""
        return (
            f"download {self.by_hand} by hand into a folder, and set {self.variable} to that "
            "folder."
        )


def fetch_file(
    published: PublishedFile,
    folder: str | PathLike[str] | None = None,
    address: str | None = None,
) -> Path:
    """Return the path of a file after checking its SHA-256, downloading it if necessary.

    It is taken from the first of these that is given: `folder`; `address`; the folder and the
    address in the environment variables; the address of the repository.

    Parameters
    ----------
    published : PublishedFile
    folder : path-like, optional
    address : str, optional

    Raises
    ------
    ImportError
        The file has to be downloaded, and pooch is not installed.
    FileNotFoundError
        The file is not in the folder.
    ConnectionError
        The file cannot be downloaded.
    ValueError
        The file has another checksum, the address is not valid, or both folder and address are
        given.
    """
    if folder is not None and address is not None:
        raise ValueError("folder, address: got both; give either folder or address.")
    if folder is None and address is None and (known := os.environ.get(published.variable)):
        folder = known
    if folder is not None:
        return _in_folder(published, Path(folder).expanduser())
    copy = os.environ.get(f"{published.variable}_URL")
    return _downloaded(published, address or copy or published.address)


def _in_folder(published: PublishedFile, folder: Path) -> Path:
    """Return the path of a file in a folder, after checking its checksum."""
    names = (published.file, published.path, *published.names)
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    if path is None:
        either = " or ".join((published.file, *published.names))
        raise FileNotFoundError(
            f"folder: there is no {either} in {folder} (from folder= or the environment "
            f"variable {published.variable}); {published.advice}"
        )
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != published.sha256:
        raise ValueError(
            f"folder: {path.name} in {path.parent} is not the published file: its SHA-256 is "
            f"{found}, not {published.sha256}; {published.advice}"
        )
    return path


def _downloaded(published: PublishedFile, address: str) -> Path:
    """Return the path of a file in the cache, downloading it if necessary."""
    try:
        import pooch
    except ImportError as error:
        raise ImportError(
            'downloading recordings needs pooch: pip install "pymc_glm[data]"; or '
            + published.advice
        ) from error
    from requests.exceptions import HTTPError, RequestException

    if not address.startswith(("https://", "http://")):
        raise ValueError(
            f"address: got {address!r}, allowed are addresses that start with https:// or http://; "
            "for a local folder use folder=."
        )
    files = pooch.create(
        path=pooch.os_cache("pymc_glm"),
        base_url="",
        urls={published.path: (tried := f"{address.rstrip('/')}/{quote(published.path)}")},
        registry={published.path: f"sha256:{published.sha256}"},
    )
    try:
        return Path(files.fetch(published.path))
    except HTTPError as error:
        status = error.response.status_code if error.response is not None else "an error"
        reason = f"the server answered {status}"
    except (RequestException, OSError) as error:
        reason = f"{type(error).__name__}; check the network, and that {files.path} is writable"
    except ValueError as error:  # another checksum; pooch has deleted the download
        raise ValueError(
            f"address: the file at {tried} is not the published one: its SHA-256 is not "
            f"{published.sha256}; {published.advice}"
        ) from error
    raise ConnectionError(
        f"{published.file} could not be downloaded from {tried} ({reason}); {published.advice}"
    )
