"""What a posterior says and whether to believe it: the network, rates, convergence."""

from pymc_glm.criticism.blocks import BlockSummary, block_summary
from pymc_glm.criticism.convergence import ConvergenceReport, convergence_report
from pymc_glm.criticism.edges import edge_summary, network_matrix
from pymc_glm.criticism.filters import filter_bands
from pymc_glm.criticism.free_rates import posterior_rates, prior_rates
from pymc_glm.criticism.positions import AlignedPositions, align_positions
from pymc_glm.criticism.rates import predicted_rates

__all__ = [
    "AlignedPositions",
    "BlockSummary",
    "ConvergenceReport",
    "align_positions",
    "block_summary",
    "convergence_report",
    "edge_summary",
    "filter_bands",
    "network_matrix",
    "posterior_rates",
    "predicted_rates",
    "prior_rates",
]
