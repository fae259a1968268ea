"""Bayesian network GLMs for spike trains as ordinary PyMC models.

>>> import pymc_glm as pg
>>> trains = pg.read_spikes("recording.h5")  # doctest: +SKIP
>>> counts = pg.bin_spikes(trains, bin_width=0.005, min_rate=0.4).clip(max=1)  # doctest: +SKIP
>>> basis = pg.basis.raised_cosine(3, window=0.1, bin_width=0.005)
>>> model = pg.build_glm(counts, basis)  # doctest: +SKIP
>>> tree = pg.sample(model=model)  # doctest: +SKIP
>>> pg.edge_summary(tree)  # doctest: +SKIP
"""

from importlib.metadata import PackageNotFoundError, version

from pymc_glm import basis
from pymc_glm.activation import coupling_activation
from pymc_glm.covariates import CovariatePrior, covariate_design
from pymc_glm.criticism import (
    AlignedPositions,
    BlockSummary,
    ConvergenceReport,
    align_positions,
    block_summary,
    convergence_report,
    edge_summary,
    filter_bands,
    network_matrix,
    posterior_rates,
    predicted_rates,
    prior_rates,
)
from pymc_glm.design import history_design
from pymc_glm.distributions import Baseline, BlockLabels, CovariateWeights, Edge, SpikeAndSlab
from pymc_glm.edges import (
    BernoulliEdges,
    BlockEdges,
    DenseEdges,
    DistanceEdges,
    EigenEdges,
    FeatureEdges,
)
from pymc_glm.models import (
    bernoulli_glm,
    build_glm,
    dense_glm,
    latent_distance_glm,
    sbm_glm,
)
from pymc_glm.observations import (
    Bernoulli,
    Binomial,
    Gaussian,
    NegativeBinomial,
    Observation,
    Poisson,
    log_concave,
)
from pymc_glm.plots import (
    plot_blocks,
    plot_filters,
    plot_network,
    plot_positions,
    plot_raster,
    plot_rate_check,
    plot_rates,
)
from pymc_glm.readers import read_spikes
from pymc_glm.sampling import sample
from pymc_glm.sessions import session
from pymc_glm.simulation import NetworkParameters, NetworkStability, simulate, stability
from pymc_glm.spikes import SpikeTrains, as_spike_trains, bin_spikes, to_neo, to_pynapple
from pymc_glm.steps import (
    BlockGibbs,
    DispersionGibbs,
    EdgeMetropolis,
    NetworkNUTS,
    NoiseGibbs,
    PolyaGammaGibbs,
    WeightHMC,
)
from pymc_glm.weights import BlockWeights, DistanceWeights, FeatureWeights, GaussianWeights

try:
    __version__ = version("pymc_glm")
except PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "unknown"

__all__ = [
    "AlignedPositions",
    "Baseline",
    "Bernoulli",
    "BernoulliEdges",
    "Binomial",
    "BlockEdges",
    "BlockGibbs",
    "BlockLabels",
    "BlockSummary",
    "BlockWeights",
    "ConvergenceReport",
    "CovariatePrior",
    "CovariateWeights",
    "DenseEdges",
    "DispersionGibbs",
    "DistanceEdges",
    "DistanceWeights",
    "Edge",
    "EdgeMetropolis",
    "EigenEdges",
    "FeatureEdges",
    "FeatureWeights",
    "Gaussian",
    "GaussianWeights",
    "NegativeBinomial",
    "NetworkNUTS",
    "NetworkParameters",
    "NetworkStability",
    "NoiseGibbs",
    "Observation",
    "Poisson",
    "PolyaGammaGibbs",
    "SpikeAndSlab",
    "SpikeTrains",
    "WeightHMC",
    "align_positions",
    "as_spike_trains",
    "basis",
    "bernoulli_glm",
    "bin_spikes",
    "block_summary",
    "build_glm",
    "convergence_report",
    "coupling_activation",
    "covariate_design",
    "dense_glm",
    "edge_summary",
    "filter_bands",
    "history_design",
    "latent_distance_glm",
    "log_concave",
    "network_matrix",
    "plot_blocks",
    "plot_filters",
    "plot_network",
    "plot_positions",
    "plot_raster",
    "plot_rate_check",
    "plot_rates",
    "posterior_rates",
    "predicted_rates",
    "prior_rates",
    "read_spikes",
    "sample",
    "sbm_glm",
    "session",
    "simulate",
    "stability",
    "to_neo",
    "to_pynapple",
]
