"""Builders of an ordinary ``pm.Model`` from counts, a basis and the chosen parts."""

from pymc_glm.models.build import build_glm
from pymc_glm.models.builders import bernoulli_glm, dense_glm, latent_distance_glm, sbm_glm

__all__ = ["bernoulli_glm", "build_glm", "dense_glm", "latent_distance_glm", "sbm_glm"]
