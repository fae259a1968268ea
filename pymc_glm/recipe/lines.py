"""The recipe of a model, stored in the model as a coordinate of lines of JSON."""

import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

import numpy as np
import pymc as pm
import xarray as xr

from pymc_glm.recipe.values import CannotStoreError, decode, encode

__all__ = ["PACKAGE_VERSION", "Recipe", "read_recipe", "recipe_text", "record_recipe"]

try:
    PACKAGE_VERSION = version("pymc_glm")
except PackageNotFoundError:  # run from a checkout that is not installed
    PACKAGE_VERSION = "unknown"

_LONGEST = 1000  # characters of a line; longer ones continue on the next


class Recipe(NamedTuple):
    """The arguments that a model was built with."""

    version: str  # of the package
    sessions: list[str] | None  # names; None for a model of one session
    arguments: dict[str, Any]  # of build_glm, as JSON

    def decoded(self, parts: tuple[type, ...]) -> dict[str, Any]:
        """Return the arguments as Python objects.

        Parameters
        ----------
        parts : tuple of type
            See `pymc_glm.recipe.decode`.

        Raises
        ------
        CannotStoreError
            An argument could not be stored.
        LookupError, ValueError
            See `pymc_glm.recipe.decode`.
        """
        made = {}
        for name, value in self.arguments.items():
            if isinstance(value, dict) and "not stored" in value:
                raise CannotStoreError(*value["not stored"])
            made[name] = decode(value, parts)
        return made


def record_recipe(arguments: Mapping[str, Any], sessions: list[str] | None) -> None:
    """Register the data container ``recipe`` with the model in context.

    Its coordinate ``recipe_line`` holds JSON, one argument per line, and its values are the lengths
    of the lines. An argument that JSON cannot hold is recorded as not stored, without an error.

    Parameters
    ----------
    arguments : mapping from name to value
    sessions : list of str or None
    """
    entries: dict[str, Any] = {"version": PACKAGE_VERSION, "sessions": sessions}
    for name, value in arguments.items():
        try:
            entries[name] = encode(value, name)
        except CannotStoreError as error:
            entries[name] = {"not stored": [error.where, error.what]}
    written = [
        f"{json.dumps(name)}: {json.dumps(entry, allow_nan=False)}"
        for name, entry in entries.items()
    ]
    whole = ["{" + written[0], *written[1:]]
    whole = [f"{line}," for line in whole[:-1]] + [whole[-1] + "}"]
    lines = [line[i : i + _LONGEST] for line in whole for i in range(0, len(line), _LONGEST)]
    pm.modelcontext(None).add_coord("recipe_line", lines)
    pm.Data("recipe", [len(line) for line in lines], dims="recipe_line")


def recipe_text(where: Any) -> str | None:
    """Return the text of the recipe of a model or posterior, None if there is none.

    Parameters
    ----------
    where : pymc.Model or DataTree
    """
    if isinstance(where, xr.DataTree):
        data = where["constant_data"].dataset if "constant_data" in where.children else {}
        lines = data["recipe_line"].values if "recipe_line" in data else []
    else:
        lines = where.coords.get("recipe_line") or []
    return "".join(map(str, np.asarray(lines).tolist())) or None


def read_recipe(where: Any) -> Recipe | None:
    """Return the recipe of a model or posterior, None if there is none.

    Parameters
    ----------
    where : pymc.Model or DataTree

    Raises
    ------
    ValueError
        The text is not a recipe.
    """
    text = recipe_text(where)
    if text is None:
        return None
    try:
        entries = json.loads(text)
        return Recipe(str(entries.pop("version")), entries.pop("sessions"), entries)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"recipe: the text in constant_data is not a recipe ({error}).") from error
