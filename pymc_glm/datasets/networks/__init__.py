"""Spike trains, simulated by others, of networks whose connections are known."""

from pymc_glm.datasets.networks.fetching import fetch_network
from pymc_glm.datasets.networks.known_network import KnownNetwork

__all__ = ["KnownNetwork", "fetch_network"]
