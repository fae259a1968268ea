"""Step methods: PyMC's protocol around the kernels."""

from pymc.step_methods import STEP_METHODS

from pymc_glm.steps.block_gibbs import BlockGibbs
from pymc_glm.steps.delay_metropolis import DelayMetropolis
from pymc_glm.steps.dispersion_gibbs import DispersionGibbs
from pymc_glm.steps.edge_metropolis import EdgeMetropolis
from pymc_glm.steps.network_nuts import NetworkNUTS
from pymc_glm.steps.noise_gibbs import NoiseGibbs
from pymc_glm.steps.path_hmc import PathHMC
from pymc_glm.steps.polya_gamma_gibbs import PolyaGammaGibbs
from pymc_glm.steps.sign_gibbs import SignGibbs
from pymc_glm.steps.weight_hmc import WeightHMC

__all__ = [
    "BlockGibbs",
    "DelayMetropolis",
    "DispersionGibbs",
    "EdgeMetropolis",
    "NetworkNUTS",
    "NoiseGibbs",
    "PathHMC",
    "PolyaGammaGibbs",
    "SignGibbs",
    "WeightHMC",
]

# What makes pm.sample() choose them by itself; each claims only variables of a network GLM.
for _method in (
    EdgeMetropolis,
    WeightHMC,
    PolyaGammaGibbs,
    DispersionGibbs,
    NoiseGibbs,
    BlockGibbs,
    PathHMC,
    DelayMetropolis,
    SignGibbs,
    NetworkNUTS,
):
    if _method not in STEP_METHODS:
        STEP_METHODS.append(_method)
