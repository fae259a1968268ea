"""Statistics of spike trains for `pymc_glm.predictive_check`, which also takes functions.

A statistic is called with counts (time, neuron), the bin width in seconds and the first bins of
the segments.
"""

from pymc_glm.criticism.fit.statistics.correlation import (
    Autocorrelogram,
    Crosscorrelogram,
    Synchrony,
)
from pymc_glm.criticism.fit.statistics.spiking import (
    CV,
    Fano,
    IntervalHistogram,
    IntervalQuantiles,
    Rate,
)
from pymc_glm.criticism.fit.statistics.statistic import Statistic

__all__ = [
    "BY_NAME",
    "CV",
    "Autocorrelogram",
    "Crosscorrelogram",
    "Fano",
    "IntervalHistogram",
    "IntervalQuantiles",
    "Rate",
    "Statistic",
    "Synchrony",
]

_BUILT_IN: tuple[type[Statistic], ...] = (
    Rate,
    IntervalQuantiles,
    IntervalHistogram,
    CV,
    Fano,
    Autocorrelogram,
    Crosscorrelogram,
    Synchrony,
)
BY_NAME: dict[str, type[Statistic]] = {statistic.name: statistic for statistic in _BUILT_IN}
