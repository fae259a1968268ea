"""Terms of the activation that come from spikes, as operations of a PyTensor graph."""

from pymc_glm.activation.couplings import coupling_activation
from pymc_glm.activation.self_history import self_activation

__all__ = ["coupling_activation", "self_activation"]
