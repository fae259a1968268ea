"""Posteriors saved as netCDF files."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import xarray as xr

from pymc_glm.recipe import PACKAGE_VERSION
from pymc_glm.saving.hashing import data_hash

__all__ = ["save"]


def save(tree: xr.DataTree, path: str | os.PathLike) -> Path:
    """Write a posterior as a netCDF-4 file, which `load` and ``xarray.open_datatree`` read.

    An existing file of that name is replaced only once the new one is complete. The file is
    compressed and has checksums. Its attributes hold the version of the package
    (``pymc_glm_version``), the time of writing (``created``) and a hash of the data
    (``data_hash``).

    Parameters
    ----------
    tree : DataTree
        Posterior that sampling a model returned.
    path : str or path
        File to write, such as ``"posterior.nc"``.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    TypeError
        `tree` is not a DataTree.
    ValueError
        It has no posterior, or contains a variable that netCDF cannot store.
    FileNotFoundError
        The folder does not exist.

    Examples
    --------
    >>> import pathlib, tempfile, pymc_glm as pg
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pg.save(tree, pathlib.Path(folder) / "posterior.nc").stat().st_size > 0
    True
    """
    if not isinstance(tree, xr.DataTree):
        raise TypeError(
            f"tree: got {type(tree).__name__}, allowed is the xarray.DataTree that sampling "
            "returned."
        )
    if "posterior" not in tree.children:
        raise ValueError(
            f"tree: it has no group 'posterior', only {sorted(tree.children)}; give the DataTree "
            "that sampling returned."
        )
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"path: there is no folder {str(path.parent)!r}; create it first.")
    # The encoding of an earlier file may no longer fit the data.
    parts = {g.path: g.to_dataset(inherit=False).drop_encoding() for g in tree.subtree}
    written = xr.DataTree.from_dict(parts)
    written.attrs |= {
        "pymc_glm_version": PACKAGE_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "data_hash": data_hash(tree),
    }
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        written.to_netcdf(unfinished, engine="h5netcdf", encoding=_encoding(written))
        unfinished.replace(path)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"tree: netCDF cannot store all of it ({error}); drop that variable or attribute first."
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)
    return path


def _encoding(tree: xr.DataTree) -> dict[str, Any]:
    """Compress all arrays of numbers, with checksums."""
    encoding: dict[str, Any] = {}
    for group in tree.subtree:
        encoding[group.path] = {
            name: {"zlib": True, "complevel": 4, "fletcher32": True}
            for name, array in group.data_vars.items()
            if array.ndim and array.dtype.kind in "biufc" and array.size
        }
    return encoding
