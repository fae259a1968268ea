"""Plots of spikes, networks, filters, rates, blocks, positions and goodness of fit.

Matplotlib is imported when the first is drawn.
"""

from pymc_glm.plots.blocks import plot_blocks
from pymc_glm.plots.comparison import plot_comparison
from pymc_glm.plots.filters import plot_filters
from pymc_glm.plots.network import plot_network
from pymc_glm.plots.positions import plot_positions
from pymc_glm.plots.predictive_check import plot_predictive_check
from pymc_glm.plots.raster import plot_raster
from pymc_glm.plots.rate_check import plot_rate_check
from pymc_glm.plots.rates import plot_rates
from pymc_glm.plots.residuals import plot_residual_correlograms
from pymc_glm.plots.shared_input import plot_shared_input
from pymc_glm.plots.time_rescaling import plot_time_rescaling

__all__ = [
    "plot_blocks",
    "plot_comparison",
    "plot_filters",
    "plot_network",
    "plot_positions",
    "plot_predictive_check",
    "plot_raster",
    "plot_rate_check",
    "plot_rates",
    "plot_residual_correlograms",
    "plot_shared_input",
    "plot_time_rescaling",
]
