"""What a posterior says and whether to believe it: the network, rates, convergence, fit."""

from pymc_glm.criticism import statistics
from pymc_glm.criticism.blocks import BlockSummary, block_summary
from pymc_glm.criticism.comparison import compare_models
from pymc_glm.criticism.convergence import ConvergenceReport, convergence_report
from pymc_glm.criticism.edges import edge_summary, network_matrix
from pymc_glm.criticism.filters import filter_bands
from pymc_glm.criticism.free_rates import posterior_rates, prior_rates
from pymc_glm.criticism.heldout import HeldoutScore, heldout_score
from pymc_glm.criticism.heldout_neuron import HeldoutNeuron, heldout_neuron
from pymc_glm.criticism.log_likelihood import log_likelihood
from pymc_glm.criticism.loo import influential, loo
from pymc_glm.criticism.loo_mend import mend_loo
from pymc_glm.criticism.loo_subsample import ElpdDifference, elpd_difference, loo_subsample
from pymc_glm.criticism.positions import AlignedPositions, align_positions
from pymc_glm.criticism.predictive import predictive_check
from pymc_glm.criticism.rates import predicted_rates
from pymc_glm.criticism.residuals import residual_correlograms
from pymc_glm.criticism.time_rescaling import time_rescaling

__all__ = [
    "AlignedPositions",
    "BlockSummary",
    "ConvergenceReport",
    "ElpdDifference",
    "HeldoutNeuron",
    "HeldoutScore",
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
    "statistics",
    "time_rescaling",
]
