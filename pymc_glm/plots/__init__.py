"""Pictures of spikes, networks, filters, rates, blocks and positions.

Matplotlib is imported when one is drawn.
"""

from pymc_glm.plots.blocks import plot_blocks
from pymc_glm.plots.filters import plot_filters
from pymc_glm.plots.network import plot_network
from pymc_glm.plots.positions import plot_positions
from pymc_glm.plots.raster import plot_raster
from pymc_glm.plots.rate_check import plot_rate_check
from pymc_glm.plots.rates import plot_rates

__all__ = [
    "plot_blocks",
    "plot_filters",
    "plot_network",
    "plot_positions",
    "plot_raster",
    "plot_rate_check",
    "plot_rates",
]
