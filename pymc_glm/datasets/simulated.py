"""What the simulated recordings share."""

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
    "check_whole",
    "coupling_basis",
    "number_of_bins",
    "refractory",
]

BIN_WIDTH = 0.005  # s
_REFRACTORY = (-2.0, -0.4)

type Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class SimulatedRecording:
    """A simulated recording beside the network that made it.

    Attributes
    ----------
    counts : DataArray (time, neuron)
        Spikes in bins, as `pymc_glm.bin_spikes` makes them.
    basis : DataArray (lag, basis)
        In which the true coupling filters are; a model with it can be right.
    network : NetworkParameters
        The truth.
    blocks : DataArray (neuron,) or None
        The true block of every neuron, also a coordinate of the counts.
    positions : DataArray (neuron, space) or None
        Micrometres, also coordinates of the counts.
    covariates : DataArray (time, covariate) or None
        What ``build_glm(..., covariates=)`` takes.
    stimulus : DataArray (time,) or None
        What the covariates were made from.

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
    """Return weights (post, pre, basis) with nothing but self-inhibition."""
    weights = np.zeros((n_neurons, n_neurons, len(_REFRACTORY)))
    weights[range(n_neurons), range(n_neurons)] = _REFRACTORY
    return weights


def bias_for_rates(rates: Floats, weights: Floats, basis: xr.DataArray) -> Floats:
    r"""Return biases with which neurons of a Bernoulli network fire at about these rates.

    .. math:: b_n = \mathrm{logit}(p_n) - \sum_{m,l} p_m (e^{h_{nml}} - 1), \quad p_n = r_n \Delta t

    The sum is the logarithm of the mean factor by which the spikes of the others, were they Poisson
    and independent, change the odds (the mean of the exponential of shot noise).

    Parameters
    ----------
    rates : array (neuron,)
        Hz.
    weights : array (post, pre, basis)
    basis : DataArray (lag, basis)
    """
    p = rates * basis.attrs["bin_width"]
    factors = np.expm1(weights @ basis.values.T).sum(axis=2)
    return np.log(p / (1 - p)) - factors @ p


def check_whole(value: Any, name: str, least: int) -> int:
    """Return a whole number of at least some size.

    Raises
    ------
    ValueError
        It is none.
    """
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < least:
        raise ValueError(f"{name}: got {value!r}, allowed are whole numbers of at least {least}.")
    return int(value)


def number_of_bins(duration: Any, bin_width: float) -> int:
    """Return how many whole bins there are in a duration.

    Parameters
    ----------
    duration, bin_width : float
        Seconds.

    Raises
    ------
    TypeError, ValueError
        It is no number, or shorter than one bin.
    """
    seconds = as_number(duration, "duration")
    n_bins = int(seconds / bin_width + 1e-6)
    if n_bins < 1:
        raise ValueError(
            f"duration: got {seconds:g} s, allowed is one bin of {bin_width:g} s or longer."
        )
    return n_bins
