"""Variables of a DataTree."""

import xarray as xr

from pymc_glm.session_prefix import sessions_with

__all__ = ["PATH_GROUP", "kept_paths", "variable"]

PATH_GROUP = "shared_path"  # where pg.sample keeps some draws of the paths of shared input


def kept_paths(tree: xr.DataTree) -> xr.Dataset:
    """Return the kept draws of the paths of shared input, an empty Dataset if there are none."""
    return tree[PATH_GROUP].dataset if PATH_GROUP in tree.children else xr.Dataset()


def variable(tree: xr.DataTree, group: str, name: str) -> xr.DataArray:
    """Return a variable of a DataTree.

    Raises
    ------
    TypeError
        `tree` is not a DataTree.
    ValueError
        The group or the variable is missing; the message lists those present.
    """
    if not isinstance(tree, xr.DataTree):
        raise TypeError(
            f"tree: got {type(tree).__name__}, allowed is the xarray.DataTree that sampling "
            "returned (or xarray.open_datatree of a saved one)."
        )
    if group not in tree.children:
        raise ValueError(
            f"tree: it has no group {group!r}, only {sorted(tree.children)}; give the DataTree "
            "that sampling a model of this package returned."
        )
    variables = tree.children[group].data_vars
    if name not in variables:
        sessions = sessions_with(name, variables)
        if sessions:
            raise ValueError(
                f"tree: it has the sessions {sessions}; select one, such as "
                f"pymc_glm.session(tree, {sessions[0]!r})."
            )
        raise ValueError(
            f"tree: the group {group!r} has no variable {name!r}, only "
            f"{sorted(map(str, variables))}; give the DataTree that sampling a model of "
            "this package returned."
        )
    return variables[name]
