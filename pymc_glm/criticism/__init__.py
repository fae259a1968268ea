"""Results and checks of a posterior: the network, rates, convergence and goodness of fit."""

from pymc_glm.criticism.convergence import ConvergenceReport, convergence_report
from pymc_glm.criticism.fit import statistics
from pymc_glm.criticism.fit.free_rates import posterior_rates, prior_rates
from pymc_glm.criticism.fit.predictive import predictive_check
from pymc_glm.criticism.fit.rates import predicted_rates
from pymc_glm.criticism.fit.residuals import residual_correlograms
from pymc_glm.criticism.fit.time_rescaling import time_rescaling
from pymc_glm.criticism.network.edges import edge_summary, network_matrix
from pymc_glm.criticism.network.filters import filter_bands
from pymc_glm.criticism.new_neuron.heldout_neuron import HeldoutNeuron, heldout_neuron
from pymc_glm.criticism.scores.comparison import compare_models
from pymc_glm.criticism.scores.heldout import HeldoutScore, heldout_score
from pymc_glm.criticism.scores.log_likelihood import log_likelihood
from pymc_glm.criticism.scores.loo import influential, loo
from pymc_glm.criticism.scores.loo_mend import mend_loo
from pymc_glm.criticism.scores.loo_subsample import ElpdDifference, elpd_difference, loo_subsample
from pymc_glm.criticism.structure.blocks import BlockSummary, block_summary
from pymc_glm.criticism.structure.factors import align_factors
from pymc_glm.criticism.structure.positions import AlignedPositions, align_positions
from pymc_glm.criticism.structure.signs import sign_summary

__all__ = [
    "AlignedPositions",
    "BlockSummary",
    "ConvergenceReport",
    "ElpdDifference",
    "HeldoutNeuron",
    "HeldoutScore",
    "align_factors",
    "align_positions",
    "block_summary",
    "compare_models",
    "convergence_report",
    "edge_summary",
    "elpd_difference",
    "filter_bands",
    "heldout_neuron",
    "heldout_score",
    "influential",
    "log_likelihood",
    "loo",
    "loo_subsample",
    "mend_loo",
    "network_matrix",
    "posterior_rates",
    "predicted_rates",
    "predictive_check",
    "prior_rates",
    "residual_correlograms",
    "sign_summary",
    "statistics",
    "time_rescaling",
]
