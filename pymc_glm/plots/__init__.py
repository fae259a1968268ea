"""Pictures of spikes, networks, filters and rates; matplotlib is imported when one is drawn."""

from pymc_glm.plots.filters import plot_filters
from pymc_glm.plots.network import plot_network
from pymc_glm.plots.raster import plot_raster
from pymc_glm.plots.rates import plot_rates

__all__ = ["plot_filters", "plot_network", "plot_raster", "plot_rates"]
