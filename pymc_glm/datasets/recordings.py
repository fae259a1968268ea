"""The recordings that can be fetched: sources, checksums and citations."""

from typing import NamedTuple

from pymc_glm.datasets.networks.registry import NETWORKS

__all__ = ["REPOSITORY", "RETINA", "DatasetEntry", "citation", "entry_named"]

REPOSITORY = "https://github.com/sje30/waverepo"

_LICENCE = "GNU General Public License, version 2, that of the repository"
_EGLEN = (
    "Eglen, Weeks, Jessop, Simonotto, Jackson & Sernagor (2014), A data repository and analysis "
    "framework for spontaneous neural activity recordings in developing retina, GigaScience 3:3, "
    "doi:10.1186/2047-217X-3-3"
)
_DEMAS = (
    "Demas, Eglen & Wong (2003), Developmental loss of synchronous spontaneous activity in the "
    "mouse retina is independent of visual experience, J. Neurosci. 23:2851"
)
_WONG = (
    "Wong, Meister & Shatz (1993), Transient period of correlated bursting activity during "
    "development of the mammalian retina, Neuron 11:923"
)


class DatasetEntry(NamedTuple):
    """A file that can be fetched."""

    path: str  # in the folder hdf5 of the repository
    sha256: str
    about: str
    cite: tuple[str, ...]

    @property
    def file(self) -> str:
        """The file's name."""
        return self.path.rpartition("/")[2]


RETINA = {
    "Demas2003_p22_ctrl_1a": DatasetEntry(
        "Demas2003/Demas2003_p22_ctrl_1a.h5",
        "51d70ccc15c913a7ffb62170f2a491dd5d1c95404357341229a00f6ee87c71d4",
        "retina of a mouse, postnatal day 22: 80 units, 3600 s",
        (_DEMAS, _EGLEN),
    ),
    "Demas2003_6WK_CTRL_ME1": DatasetEntry(
        "Demas2003/Demas2003_6WK_CTRL_ME1.h5",
        "9dd55901014800d0179ee2b4b0a0982f1c22abe317d6b517748c768c1dcb5b67",
        "retina of a mouse, six weeks old: 16 units, 3597 s",
        (_DEMAS, _EGLEN),
    ),
    "Wong1993_Adult": DatasetEntry(
        "Wong1993/Wong1993_Adult.h5",
        "5b2bab96ad3525c1ae19d9e7eeaf5a44140fcf73be11430098f1e427c705a439",
        "retina of an adult ferret: 57 units, 146 s",
        (_WONG, _EGLEN),
    ),
}


def entry_named(name: str) -> DatasetEntry:
    """Return the entry of a recording.

    Raises
    ------
    ValueError
        The name is unknown.
    """
    if name not in RETINA:
        raise ValueError(f"name: got {name!r}, allowed are {list(RETINA)}.")
    return RETINA[name]


def citation(name: str) -> str:
    """Return a description of a recording, its licence and the papers to cite.

    Parameters
    ----------
    name : str
        Name of a recording, as for `fetch_retina`, or of a network, as for `fetch_network`.

    Returns
    -------
    str
        Several lines of text.

    Raises
    ------
    ValueError
        The name is unknown.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> print(pg.datasets.citation("Wong1993_Adult").splitlines()[0])
    Wong1993_Adult: retina of an adult ferret: 57 units, 146 s
    """
    if name in NETWORKS:
        return NETWORKS[name].describe(name)
    if name not in RETINA:
        raise ValueError(f"name: got {name!r}, allowed are {[*RETINA, *NETWORKS]}.")
    recording = RETINA[name]
    return "\n".join(
        [
            f"{name}: {recording.about}",
            f"Source: {REPOSITORY}, hdf5/{recording.path}",
            f"Licence: {_LICENCE}",
            "Please cite:",
            *(f"- {paper}" for paper in recording.cite),
        ]
    )
