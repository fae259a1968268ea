"""A hash of the data that a posterior is of."""

import hashlib

import numpy as np
import xarray as xr

__all__ = ["data_hash"]


def data_hash(tree: xr.DataTree) -> str:
    """Return the SHA-256 of the groups constant_data and observed_data, coordinates included.

    Parameters
    ----------
    tree : DataTree

    Returns
    -------
    str
        The same in memory and read from a file.
    """
    digest = hashlib.sha256()
    for group in ("constant_data", "observed_data"):
        data = tree[group].dataset if group in tree.children else xr.Dataset()
        for name in sorted(data.variables, key=str):
            variable = data.variables[name]
            values = variable.values
            content: bytes | np.ndarray
            if values.dtype.kind in "OUST":  # texts: files give them back as another type
                told = "text"
                content = "\0".join(map(str, values.ravel().tolist())).encode()
            else:
                told = values.dtype.newbyteorder("<").str
                content = np.ascontiguousarray(values, dtype=told).reshape(-1).view(np.uint8)
            digest.update(repr((group, str(name), variable.dims, values.shape, told)).encode())
            digest.update(content)
    return digest.hexdigest()
