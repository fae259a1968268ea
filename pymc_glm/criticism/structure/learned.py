"""Variables that a model has learned, and errors for those that it has not."""

import xarray as xr

from pymc_glm.criticism.posterior import variable
from pymc_glm.session_prefix import sessions_with

__all__ = ["is_learned", "learned", "variable_names"]


def is_learned(tree: xr.DataTree, name: str) -> bool:
    """Return whether the posterior of a tree has a variable of this name."""
    return name in variable_names(tree, "posterior")


def variable_names(tree: xr.DataTree, group: str) -> list[str]:
    """Return the names of the variables of a group; none if there is no such group."""
    return sorted(map(str, tree.children[group].data_vars)) if group in tree.children else []


def learned(tree: xr.DataTree, name: str, argument: str, advice: str) -> xr.DataArray:
    """Return draws that a model has learned.

    Parameters
    ----------
    tree : DataTree
    name : str
        Variable of the posterior.
    argument : str
        Argument of the public function that selects the variable.
    advice : str
        What to do if the model has no such variable.

    Raises
    ------
    TypeError, ValueError
        Not a DataTree, the variable is missing or fixed in the model, or there are several
        sessions.
    """
    if not isinstance(tree, xr.DataTree) or "posterior" not in tree.children:
        return variable(tree, "posterior", name)
    if name in variable_names(tree, "constant_data"):
        raise ValueError(
            f"{argument}: {name!r} are known in this model, not learned, so there is nothing to "
            f"summarise; see tree['constant_data'][{name!r}]."
        )
    for group in ("posterior", "constant_data"):
        if sessions_with(name, variable_names(tree, group)):
            return variable(tree, group, name)  # an error, which lists the sessions
    if not is_learned(tree, name):
        raise ValueError(f"{argument}: the posterior has no {name!r}; {advice}.")
    return variable(tree, "posterior", name)
