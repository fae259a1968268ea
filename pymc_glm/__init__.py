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
    ElpdDifference,
    HeldoutNeuron,
    HeldoutScore,
    align_positions,
    block_summary,
    compare_models,
    convergence_report,
    edge_summary,
    elpd_difference,
    filter_bands,
    heldout_neuron,
    heldout_score,
    influential,
    log_likelihood,
    loo,
    loo_subsample,
    mend_loo,
    network_matrix,
    posterior_rates,
    predicted_rates,
    predictive_check,
    prior_rates,
    residual_correlograms,
    statistics,
    time_rescaling,
)
from pymc_glm.cross_validation import BlockRefits, kfold, leave_future_out
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
    plot_comparison,
    plot_filters,
    plot_network,
    plot_positions,
    plot_predictive_check,
    plot_raster,
    plot_rate_check,
    plot_rates,
    plot_residual_correlograms,
    plot_time_rescaling,
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
    "BlockRefits",
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
    "ElpdDifference",
    "FeatureEdges",
    "FeatureWeights",
    "Gaussian",
    "GaussianWeights",
    "HeldoutNeuron",
    "HeldoutScore",
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
    "compare_models",
    "convergence_report",
    "coupling_activation",
    "covariate_design",
    "dense_glm",
    "edge_summary",
    "elpd_difference",
    "filter_bands",
    "heldout_neuron",
    "heldout_score",
    "history_design",
    "influential",
    "kfold",
    "latent_distance_glm",
    "leave_future_out",
    "log_concave",
    "log_likelihood",
    "loo",
    "loo_subsample",
    "mend_loo",
    "network_matrix",
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
    "plot_time_rescaling",
    "posterior_rates",
    "predicted_rates",
    "predictive_check",
    "prior_rates",
    "read_spikes",
    "residual_correlograms",
    "sample",
    "sbm_glm",
    "session",
    "simulate",
    "stability",
    "statistics",
    "time_rescaling",
    "to_neo",
    "to_pynapple",
]
