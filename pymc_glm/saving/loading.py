"""Posteriors loaded from files, with their models."""

import os
import warnings
from pathlib import Path
from typing import NamedTuple

import pymc as pm
import xarray as xr

from pymc_glm.recipe import PACKAGE_VERSION, read_recipe
from pymc_glm.saving.hashing import data_hash
from pymc_glm.saving.rebuilding import rebuild

__all__ = ["Fit", "load"]

_UNCHECKED = "xarray.open_datatree(path) reads the posterior without this check"


class Fit(NamedTuple):
    """A posterior and the model that was sampled.

    Parameters
    ----------
    tree : DataTree
    model : pymc.Model

    Examples
    --------
    >>> import pymc_glm as pg
    >>> pg.Fit._fields
    ('tree', 'model')
    """

    tree: xr.DataTree
    model: pm.Model


def load(path: str | os.PathLike) -> Fit:
    """Load a posterior and rebuild its model.

    Data, basis, priors and observation model come from the file. Define custom edge priors, weight
    priors and observation models before loading. No code in the file is run.

    Parameters
    ----------
    path : str or path
        File written by `save`, ``pymc-glm fit`` or the method ``to_netcdf`` of a posterior.

    Returns
    -------
    Fit
        ``tree``, in memory, and ``model``; the file is closed.

    Raises
    ------
    FileNotFoundError
        The file does not exist.
    ValueError
        The file is damaged or of another kind, its data were changed after it was written, or the
        model cannot be rebuilt from it; the message says what to do.

    Warns
    -----
    UserWarning
        Another version of the package built the model or wrote the file; default priors may differ.

    Examples
    --------
    >>> import pathlib, tempfile, pymc_glm as pg
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pg.save(tree, pathlib.Path(folder) / "posterior.nc")
    ...     tree, model = pg.load(path)
    >>> [variable.name for variable in model.free_RVs]
    ['bias', 'adjacency', 'weights']
    """
    path = Path(path)
    tree = _read(path)
    if "posterior" not in tree.children or "constant_data" not in tree.children:
        raise ValueError(
            f"path: {path} has the groups {sorted(tree.children)}, but a posterior has 'posterior' "
            "and 'constant_data'; give a file written by pymc_glm.save."
        )
    written = tree.attrs.get("data_hash")
    if written is not None and written != data_hash(tree):
        raise ValueError(
            f"path: the data in {path} were changed after it was written (their hash differs), so "
            f"the draws may not belong to them; {_UNCHECKED}."
        )
    versions = {tree.attrs.get("pymc_glm_version", PACKAGE_VERSION)}
    try:
        recipe = read_recipe(tree)
        versions |= set() if recipe is None else {recipe.version}
        model = rebuild(tree)
    except ValueError as error:
        raise ValueError(f"path: {path}: {error}{_version_note(versions)}") from error
    if _version_note(versions):
        warnings.warn(
            f"path: {path}:{_version_note(versions)} Default priors may have changed in between: "
            "if that matters, sample again, or load it with that version. The draws are unchanged.",
            UserWarning,
            stacklevel=2,
        )
    return Fit(tree, model)


def _version_note(versions: set[str]) -> str:
    """Return a sentence on other versions of the package that made a file; empty if none did."""
    others = sorted(versions - {PACKAGE_VERSION})
    if not others:
        return ""
    return f" The file is from pymc_glm {' and '.join(others)}, this is {PACKAGE_VERSION}."


def _read(path: Path) -> xr.DataTree:
    """Read a file into memory, with texts as fixed-width strings."""
    if not path.is_file():
        raise FileNotFoundError(f"path: there is no file {str(path)!r}.")
    try:
        with xr.open_datatree(path, engine="h5netcdf") as opened:
            groups = {
                group.path: _in_memory(group.to_dataset(inherit=False)) for group in opened.subtree
            }
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ValueError(
            f"path: {path} cannot be read as netCDF-4 ({error}); it is damaged, incomplete or "
            "another kind of file. Use a backup, or sample again."
        ) from error
    return xr.DataTree.from_dict(groups)


def _in_memory(data: xr.Dataset) -> xr.Dataset:
    data = data.load().drop_encoding()
    texts = {
        name: data[name].astype(str)
        for name, variable in data.variables.items()
        if variable.dtype.kind == "O"
        and all(isinstance(value, str) for value in variable.values.ravel())
    }
    coords = {name: text for name, text in texts.items() if name in data.coords}
    rest = {name: text for name, text in texts.items() if name not in coords}
    return data.assign_coords(coords).assign(rest)
