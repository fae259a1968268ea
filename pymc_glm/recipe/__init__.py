"""The arguments that a model was built with, as text in the model and its saved posteriors."""

from pymc_glm.recipe.lines import PACKAGE_VERSION, Recipe, read_recipe, recipe_text, record_recipe
from pymc_glm.recipe.values import CannotStoreError, decode, encode

__all__ = [
    "PACKAGE_VERSION",
    "CannotStoreError",
    "Recipe",
    "decode",
    "encode",
    "read_recipe",
    "recipe_text",
    "record_recipe",
]
