"""Save posteriors to files, and load them with their models."""

from pymc_glm.saving.files import save
from pymc_glm.saving.loading import Fit, load
from pymc_glm.saving.rebuilding import rebuild

__all__ = ["Fit", "load", "rebuild", "save"]
