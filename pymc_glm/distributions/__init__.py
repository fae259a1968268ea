"""Random variables of the network GLM.

Each has a distinct type, by which step methods recognise it in the graph of any PyMC model.
"""

from pymc_glm.distributions.bias import Baseline, BaselineRV
from pymc_glm.distributions.block_labels import BlockLabels, BlockLabelsRV
from pymc_glm.distributions.covariate_weights import CovariateWeights, CovariateWeightsRV
from pymc_glm.distributions.edges import Edge, EdgeRV
from pymc_glm.distributions.self_weights import SelfWeights, SelfWeightsRV
from pymc_glm.distributions.shared_input import (
    FactorPaths,
    FactorPathsRV,
    InputDelays,
    InputDelaysRV,
    Loadings,
    LoadingsRV,
)
from pymc_glm.distributions.signs import NeuronSign, NeuronSignRV
from pymc_glm.distributions.weights import SpikeAndSlab, SpikeAndSlabRV

__all__ = [
    "Baseline",
    "BaselineRV",
    "BlockLabels",
    "BlockLabelsRV",
    "CovariateWeights",
    "CovariateWeightsRV",
    "Edge",
    "EdgeRV",
    "FactorPaths",
    "FactorPathsRV",
    "InputDelays",
    "InputDelaysRV",
    "Loadings",
    "LoadingsRV",
    "NeuronSign",
    "NeuronSignRV",
    "SelfWeights",
    "SelfWeightsRV",
    "SpikeAndSlab",
    "SpikeAndSlabRV",
]
