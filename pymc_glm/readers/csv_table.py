"""Spike tables as text: one row per spike, columns time and neuron."""

import csv
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from pymc_glm.readers.reader import Reader, trains_from_table
from pymc_glm.spikes import SpikeTrains


def _sniff(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8-sig") as file:
            header = file.readline(10_000)
    except UnicodeDecodeError:
        return False
    return {"time", "neuron"} <= set(next(csv.reader([header], delimiter=_delimiter(header)), []))


def _delimiter(header: str) -> str:
    """Guess the separator between columns."""
    return max(",\t;", key=header.count)


def read(
    path: Path,
    *,
    time_column: str = "time",
    neuron_column: str = "neuron",
    delimiter: str | None = None,
    start: float | None = None,
    stop: float | None = None,
    name: str | None = None,
) -> SpikeTrains:
    """Read a table with a header and one row per spike, in any order.

    Such a table cannot list neurons without spikes. Neurons are sorted by label, numerically if
    all labels are whole numbers.

    Parameters
    ----------
    path : Path
    time_column, neuron_column : str
        Names of the columns with times in seconds and with labels.
    delimiter : str, optional
        Separator between columns; by default the comma, tab or semicolon found in the header.
    start, stop : float, optional
        Bounds of the recording in seconds.
    name : str, optional
        By default the name of the file.

    Returns
    -------
    SpikeTrains
    """
    table = _load(path, time_column, neuron_column, delimiter)
    labels = table[neuron_column].str.strip()
    if (bad := np.flatnonzero(labels == "")).size:
        raise ValueError(f"row {bad[0]} has no label in the column {neuron_column!r}.")
    times = np.array([_as_float(value) for value in table[time_column]])
    if (bad := np.flatnonzero(~np.isfinite(times))).size:
        value = table[time_column].iloc[bad[0]]
        raise ValueError(
            f"row {bad[0]}, neuron {labels.iloc[bad[0]]!r}: the time {value!r} is not a "
            "finite number of seconds."
        )
    names = labels.unique().tolist()
    whole = all(label.isdecimal() for label in names)
    names.sort(key=lambda label: (int(label), label) if whole else label)
    index = pd.Index(names).get_indexer(labels)
    return trains_from_table(
        times, index, names, start=start, stop=stop, name=path.stem if name is None else name
    )


def _as_float(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return np.nan


def _load(path: Path, time_column: str, neuron_column: str, delimiter: str | None) -> pd.DataFrame:
    try:
        with path.open(encoding="utf-8-sig") as file:
            header = file.readline()
        with warnings.catch_warnings():
            # For rows with more fields than the header pandas only warns, and drops the fields.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(
                path,
                sep=_delimiter(header) if delimiter is None else delimiter,
                dtype=str,  # labels keep leading zeros; float() reads times exactly
                encoding="utf-8-sig",
                index_col=False,
                na_filter=False,
            )
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not text in UTF-8 ({error}).") from error
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise ValueError(f"it cannot be read as a table ({error}).") from error
    table.columns = table.columns.str.strip()
    missing = [key for key in (time_column, neuron_column) if key not in table.columns]
    if missing:
        raise ValueError(
            f"the columns {missing} are missing; it has {list(table.columns)}; give their names as "
            "time_column= and neuron_column=, or the separator as delimiter=."
        )
    if table.empty:
        raise ValueError("there are no rows under the header, so there are no neurons.")
    return table


READER = Reader("csv", (".csv", ".tsv", ".txt"), _sniff, read)
