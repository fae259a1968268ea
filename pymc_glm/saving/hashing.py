"""A hash of the data that a model was fitted to."""

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
        It does not change when the tree is saved and loaded.
    """
    digest = hashlib.sha256()
    for group in ("constant_data", "observed_data"):
        data = tree[group].dataset if group in tree.children else xr.Dataset()
        for name in sorted(data.variables, key=str):
            variable = data.variables[name]
            values = variable.values
            content: bytes | np.ndarray
            if values.dtype.kind in "OUST":  # the dtype of texts changes in files
                kind = "text"
                content = "\0".join(map(str, values.ravel().tolist())).encode()
            else:
                kind = values.dtype.newbyteorder("<").str
                content = np.ascontiguousarray(values, dtype=kind).reshape(-1).view(np.uint8)
            digest.update(repr((group, str(name), variable.dims, values.shape, kind)).encode())
            digest.update(content)
    return digest.hexdigest()
