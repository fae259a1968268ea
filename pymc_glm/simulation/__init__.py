"""Networks with known parameters: simulation, and stability of their rates."""

from pymc_glm.simulation.parameters import NetworkParameters
from pymc_glm.simulation.running import simulate
from pymc_glm.simulation.shared_input import PathParameters
from pymc_glm.simulation.stability import NetworkStability, stability

__all__ = ["NetworkParameters", "NetworkStability", "PathParameters", "simulate", "stability"]
