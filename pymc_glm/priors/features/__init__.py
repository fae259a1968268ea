"""Blocks, positions, signs and features of pairs, which priors of edges and weights can share."""

from pymc_glm.priors.features.blocks import Blocks, between, blocks
from pymc_glm.priors.features.neurons import by_neuron
from pymc_glm.priors.features.pairs import pair_features
from pymc_glm.priors.features.positions import Positions, length_scale, positions, squared_distance
from pymc_glm.priors.features.signs import SIGNS, neuron_signs

__all__ = [
    "SIGNS",
    "Blocks",
    "Positions",
    "between",
    "blocks",
    "by_neuron",
    "length_scale",
    "neuron_signs",
    "pair_features",
    "positions",
    "squared_distance",
]
