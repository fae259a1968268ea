"""A simulated recording of a retina on an electrode array."""

import numpy as np

from pymc_glm.arguments import as_whole_number, random_generator
from pymc_glm.datasets.simulated import (
    SimulatedRecording,
    bias_for_rates,
    coupling_basis,
    number_of_bins,
    refractory,
)
from pymc_glm.simulation import NetworkParameters, simulate
from pymc_glm.spikes.binning import neuron_positions

__all__ = ["simulate_retina"]

_SITES, _PITCH = 6, 120.0  # electrodes per side; distance between them, micrometres
_LENGTH = 200.0  # micrometres, over which coupling falls
_NEAR = 0.4  # log-odds of an edge at distance zero
_STRENGTH = 1.2  # weight of the fast function at distance zero
_SLOW = 0.4  # ratio of the slow function's weight to the fast function's
_SPREAD = 0.2  # standard deviation of a weight relative to its mean
_INHIBITORY = 0.1  # fraction of the edges
_RATE, _RATE_SPREAD, _RATES = (
    3.0,
    0.5,
    (1.0, 12.0),
)  # Hz; standard deviation of log rates; bounds, Hz
_DENSE = 25  # neurons; for n above, weights are scaled by 25 / n


def simulate_retina(
    n_neurons: int = 25,
    duration: float = 600.0,
    *,
    random_seed: int | np.random.Generator | None = None,
) -> SimulatedRecording:
    r"""Simulate ganglion cells on an electrode array, where coupling falls with distance.

    Neurons are placed at random on an array of 6 by 6 electrodes, 120 µm apart, and share
    electrodes only if there are more than 36. With distances :math:`d_{nm}` and :math:`\ell` =
    200 µm

    .. math:: A_{nm} \sim \mathrm{Bernoulli}(\sigma(0.4 - d_{nm}^2/\ell^2)), \qquad
        W_{nm1} \sim \pm \mathrm{Normal}(\mu_{nm}, (0.2 \mu_{nm})^2), \quad
        \mu_{nm} = 1.2\, e^{-d_{nm} / 3 \ell}

    and :math:`W_{nm2} = 0.4\, W_{nm1}`; one in ten edges is inhibitory. All neurons are
    refractory. Their rates are approximately log-normal around 3 Hz, between 1 and 12 Hz. With more
    than 25 neurons, which receive more edges, weights are scaled by 25 / n_neurons.

    Parameters
    ----------
    n_neurons : int
        At least 4.
    duration : float
        Seconds, in bins of 5 ms.
    random_seed : int, numpy.random.Generator or None
        For the positions, the network and the spikes.

    Returns
    -------
    SimulatedRecording
        With the electrodes' positions as `positions` and, as in a recording, as the coordinates
        ``position_x`` and ``position_y`` of the counts.

    Raises
    ------
    TypeError, ValueError
        Too few neurons, a duration shorter than a bin, or a bad seed.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> recording = pg.datasets.simulate_retina(duration=10, random_seed=1)
    >>> recording.positions.sizes["space"], recording.counts.coords["position_x"].attrs["units"]
    (2, 'um')
    """
    n = as_whole_number(n_neurons, "n_neurons", at_least=4)
    n_bins = number_of_bins(duration, (basis := coupling_basis()).attrs["bin_width"])
    rng = random_generator(random_seed)
    places = _places(n, rng)
    distances = np.linalg.norm(places[:, None] - places, axis=2)
    edges = rng.random((n, n)) < 1 / (1 + np.exp((distances / _LENGTH) ** 2 - _NEAR))
    np.fill_diagonal(edges, False)
    strength = _STRENGTH * np.exp(-distances / (3 * _LENGTH)) * min(1.0, _DENSE / n)
    strength *= np.maximum(1 + _SPREAD * rng.standard_normal((n, n)), 0.25)
    strength[rng.random((n, n)) < _INHIBITORY] *= -1
    weights = refractory(n)
    weights[edges] = strength[edges, None] * (1.0, _SLOW)
    rates = _RATE * np.exp(_RATE_SPREAD * rng.standard_normal(n))
    bias = bias_for_rates(rates.clip(*_RATES), weights, basis)
    network = NetworkParameters(bias, weights, basis)
    counts = simulate(network, n_bins, random_seed=rng)
    for axis, values in zip("xy", places.T, strict=True):
        counts = counts.assign_coords({f"position_{axis}": ("neuron", values, {"units": "um"})})
    counts.attrs["name"] = "simulated retina"
    return SimulatedRecording(counts, basis, network, positions=neuron_positions(counts))


def _places(n: int, rng: np.random.Generator) -> np.ndarray:
    """Return positions (neuron, space), using every site once before any is used twice."""
    orders = [rng.permutation(_SITES**2) for _ in range(-(-n // _SITES**2))]
    site = np.concatenate(orders)[:n]
    return _PITCH * np.stack([site % _SITES, site // _SITES], axis=1).astype(float)
