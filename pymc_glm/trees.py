"""The variables of a DataTree."""

import xarray as xr

__all__ = ["variable"]


def variable(tree: xr.DataTree, group: str, name: str) -> xr.DataArray:
    """Return a variable of a DataTree.

    Raises
    ------
    TypeError
        Not a DataTree.
    ValueError
        The group or the variable is missing; the message says which there are.
    """
    if not isinstance(tree, xr.DataTree):
        raise TypeError(
            f"tree: got {type(tree).__name__}, allowed is the xarray.DataTree that sampling "
            "returns (or xarray.open_datatree of a saved one)."
        )
    if group not in tree.children:
        raise ValueError(
            f"tree: it has no group {group!r}, only {sorted(tree.children)}; give the DataTree "
            "that sampling a model of this package returns."
        )
    variables = tree.children[group].data_vars
    if name not in variables:
        sessions = [str(v).partition("::")[0] for v in variables if str(v).endswith(f"::{name}")]
        if sessions:
            raise ValueError(
                f"tree: it is of the sessions {sessions}; take one of them, "
                f"pymc_glm.session(tree, {sessions[0]!r})."
            )
        raise ValueError(
            f"tree: the group {group!r} has no variable {name!r}, only "
            f"{sorted(map(str, variables))}; give the DataTree that sampling a model of "
            "this package returns."
        )
    return variables[name]
