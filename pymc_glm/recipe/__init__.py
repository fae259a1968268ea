"""What a model was built with, as text that travels in the model and in every file of it."""

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
