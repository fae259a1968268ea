"""Spike times from files, one module per format.

To add a format, write a module with a `Reader` and list it in `READERS`.
"""

import inspect
from os import PathLike
from pathlib import Path
from typing import Any

from pymc_glm.readers import csv_table, mea_hdf5, npz_archive, nwb
from pymc_glm.readers.reader import Reader
from pymc_glm.spikes import SpikeTrains

__all__ = ["READERS", "Reader", "read_spikes"]

READERS: tuple[Reader, ...] = (nwb.READER, mea_hdf5.READER, npz_archive.READER, csv_table.READER)


def read_spikes(
    path: str | PathLike[str], format: str | None = None, **options: Any
) -> SpikeTrains:
    r"""Read spike times from a file.

    ========== ====================== ============================================================
    format     suffixes               content
    ========== ====================== ============================================================
    nwb        .nwb                   units table (needs ``pip install "pymc_glm[nwb]"``)
    mea_hdf5   .h5 .hdf5              datasets spikes, sCount, epos and names (the layout of Eglen
                                      et al. 2014, GigaScience 3:3)
    npz        .npz                   arrays times and neurons; optionally labels, positions, start
                                      and stop
    csv        .csv .tsv .txt         columns time and neuron
    ========== ====================== ============================================================

    Parameters
    ----------
    path : path-like
        The file.
    format : {"nwb", "mea_hdf5", "npz", "csv"}, optional
        By default detected from content and suffix.
    **options
        Every format takes `start` and `stop`, the bounds of the recording in seconds if the file
        lacks them or they are wrong, and `name`, by default the name of the file without its
        suffix. nwb: `label`, a column of the units table to take labels from; `units`, the labels
        of the units to read; `intervals`, "trials", "epochs" or another table of intervals, to keep
        only the spikes in these. csv: `time_column`, `neuron_column`, `delimiter`.

    Returns
    -------
    SpikeTrains
        Units without spikes are kept if the format can hold them. If neither the file nor the
        options give bounds, the recording starts at 0 and stops at the last spike.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        If there is no such file.
    ImportError
        If a package that the format needs is not installed.
    TypeError
        If the format has no such option.
    ValueError
        If the file is empty, its format is not known, or its content is not valid; the message
        names the file and the fault.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import pymc_glm as pg
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "cells.csv"
    ...     _ = path.write_text("time,neuron\n0.1,a\n0.7,a\n0.4,b\n")
    ...     pg.read_spikes(path, stop=2.0)
    <SpikeTrains 'cells': 2 neurons, 3 spikes, 0 to 2 s, mean rate 0.75 Hz>
    """
    path = Path(path).expanduser()
    if path.is_dir():
        raise IsADirectoryError(f"path: {path} is a directory; give a file of spike times.")
    if not path.exists():
        raise FileNotFoundError(f"path: there is no file {path}.")
    if path.stat().st_size == 0:
        raise ValueError(f"path: {path} is empty (0 bytes).")
    reader = _choose_reader(path, format)
    allowed = list(inspect.signature(reader.read).parameters)[1:]
    unknown = sorted(set(options) - set(allowed))
    if unknown:
        raise TypeError(f"options: {reader.name!r} has no option {unknown}, allowed are {allowed}.")
    try:
        return reader.read(path, **options)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _choose_reader(path: Path, format: str | None) -> Reader:
    known = {reader.name: reader for reader in READERS}
    if format is not None:
        if format not in known:
            raise ValueError(f"format: got {format!r}, allowed are {list(known)}.")
        return known[format]
    named = [reader for reader in READERS if path.suffix.lower() in reader.suffixes]
    # Content decides; if it does not, the reader of the suffix says what is wrong with the file.
    for reader in named + [reader for reader in READERS if reader not in named]:
        if reader.sniff(path):
            return reader
    if named:
        return named[0]
    formats = {reader.name: " ".join(reader.suffixes) for reader in READERS}
    raise ValueError(
        f"format: neither the content nor the suffix {path.suffix!r} of {path} is that of a known "
        f"format, {formats}; name the format with format=."
    )
