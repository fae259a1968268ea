"""Simulated recordings, and what their simulators share."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pymc_glm.arguments import as_number
from pymc_glm.simulation import NetworkParameters

__all__ = [
    "BIN_WIDTH",
    "SimulatedRecording",
    "bias_for_rates",
    "coupling_basis",
    "number_of_bins",
    "refractory",
]

BIN_WIDTH = 0.005  # s
_REFRACTORY = (-2.0, -0.4)

type Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class SimulatedRecording:
    """A simulated recording and the network that generated it.

    Attributes
    ----------
    counts : DataArray (time, neuron)
        Spike counts, in the form that `pymc_glm.bin_spikes` returns.
    basis : DataArray (lag, basis)
        Basis of the true coupling filters; a model with this basis can represent them exactly.
    network : NetworkParameters
        The true parameters.
    blocks : DataArray (neuron,) or None
        The true block of every neuron, also a coordinate of the counts.
    positions : DataArray (neuron, space) or None
        Positions in micrometres, also coordinates of the counts.
    covariates : DataArray (time, covariate) or None
        Covariates for ``build_glm(..., covariates=)``.
    stimulus : DataArray (time,) or None
        Stimulus from which the covariates were computed.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> recording = pg.datasets.simulate_small_network(duration=5, random_seed=1)
    >>> isinstance(recording, pg.datasets.SimulatedRecording), recording.blocks
    (True, None)
    >>> recording.network.adjacency.sum()
    np.int64(8)
    """

    counts: xr.DataArray
    basis: xr.DataArray
    network: NetworkParameters
    blocks: xr.DataArray | None = None
    positions: xr.DataArray | None = None
    covariates: xr.DataArray | None = None
    stimulus: xr.DataArray | None = None

    def __repr__(self) -> str:
        n_bins, n_neurons = self.counts.shape
        width = self.counts.attrs["bin_width"]
        rate = float(self.counts.mean()) / width
        n_edges = int(self.network.adjacency.sum() - self.network.adjacency.trace())
        known = ("blocks", "positions", "covariates", "stimulus")
        with_these = "".join(f", {name}" for name in known if getattr(self, name) is not None)
        return (
            f"<SimulatedRecording {self.counts.attrs['name']!r}: {n_neurons} neurons, "
            f"{n_bins * width:g} s in bins of {1000 * width:g} ms, mean rate {rate:.3g} Hz, "
            f"{n_edges} couplings{with_these}>"
        )


def coupling_basis() -> xr.DataArray:
    """Return a fast and a slow function over 100 ms, (lag, basis)."""
    from pymc_glm.basis import raised_cosine

    return raised_cosine(2, window=0.1, bin_width=BIN_WIDTH)


def refractory(n_neurons: int) -> Floats:
    """Return weights (post, pre, basis) with self-inhibition only."""
    weights = np.zeros((n_neurons, n_neurons, len(_REFRACTORY)))
    weights[range(n_neurons), range(n_neurons)] = _REFRACTORY
    return weights


def bias_for_rates(rates: Floats, weights: Floats, basis: xr.DataArray) -> Floats:
    r"""Return biases for which neurons of a Bernoulli network fire at about the given rates.

    .. math:: b_n = \mathrm{logit}(p_n) - \sum_{m,l} p_m (e^{h_{nml}} - 1), \quad p_n = r_n \Delta t

    The sum is the logarithm of the mean factor by which the other neurons' spikes change the odds,
    if they are independent Poisson processes (the mean of the exponential of shot noise).

    Parameters
    ----------
    rates : array (neuron,)
        Rates in Hz.
    weights : array (post, pre, basis)
    basis : DataArray (lag, basis)
    """
    p = rates * basis.attrs["bin_width"]
    factors = np.expm1(weights @ basis.values.T).sum(axis=2)
    return np.log(p / (1 - p)) - factors @ p


def number_of_bins(duration: Any, bin_width: float) -> int:
    """Return the number of whole bins in a duration.

    Parameters
    ----------
    duration, bin_width : float
        Seconds.

    Raises
    ------
    TypeError, ValueError
        The duration is no number, or shorter than one bin.
    """
    seconds = as_number(duration, "duration")
    n_bins = int(seconds / bin_width + 1e-6)
    if n_bins < 1:
        raise ValueError(
            f"duration: got {seconds:g} s, allowed is at least one bin of {bin_width:g} s."
        )
    return n_bins
