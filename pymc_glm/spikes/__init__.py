"""Spike times and spike counts.

`SpikeTrains` holds the spike times of neurons recorded together; `bin_spikes` turns spike times
of any accepted kind into the array of counts that models take; `to_pynapple` and `to_neo` turn
counts and rates into objects of those packages.
"""

from pymc_glm.spikes.binning import bin_spikes, neuron_positions
from pymc_glm.spikes.conversion import as_spike_trains, recording_bounds
from pymc_glm.spikes.epochs import intervals_from_package
from pymc_glm.spikes.exports import to_neo, to_pynapple
from pymc_glm.spikes.from_pynapple import counts_from_package, variable_from_package
from pymc_glm.spikes.trains import SpikeTrains

__all__ = [
    "SpikeTrains",
    "as_spike_trains",
    "bin_spikes",
    "counts_from_package",
    "intervals_from_package",
    "neuron_positions",
    "recording_bounds",
    "to_neo",
    "to_pynapple",
    "variable_from_package",
]
