"""Data for examples and tests: recordings, and simulated recordings with a known network."""

from pymc_glm.datasets.cell_types import simulate_cell_types
from pymc_glm.datasets.fetching import fetch_retina
from pymc_glm.datasets.networks import KnownNetwork, fetch_network
from pymc_glm.datasets.recordings import citation
from pymc_glm.datasets.retina import simulate_retina
from pymc_glm.datasets.simulated import SimulatedRecording
from pymc_glm.datasets.small_networks import simulate_small_network
from pymc_glm.datasets.stimulus import simulate_stimulus

__all__ = [
    "KnownNetwork",
    "SimulatedRecording",
    "citation",
    "fetch_network",
    "fetch_retina",
    "simulate_cell_types",
    "simulate_retina",
    "simulate_small_network",
    "simulate_stimulus",
]
