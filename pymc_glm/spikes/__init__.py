"""Spike times and spike counts.

`SpikeTrains` holds the spike times of neurons recorded together; `bin_spikes` turns spike times
of any accepted kind into the array of counts that the models take.
"""

from pymc_glm.spikes.binning import bin_spikes, neuron_positions
from pymc_glm.spikes.conversion import as_spike_trains, recording_bounds
from pymc_glm.spikes.trains import SpikeTrains

__all__ = ["SpikeTrains", "as_spike_trains", "bin_spikes", "neuron_positions", "recording_bounds"]
