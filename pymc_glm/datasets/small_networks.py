"""Small networks with couplings chosen by hand."""

import numpy as np

from pymc_glm.basis import raised_cosine
from pymc_glm.datasets.simulated import (
    BIN_WIDTH,
    SimulatedRecording,
    coupling_basis,
    number_of_bins,
    refractory,
)
from pymc_glm.simulation import NetworkParameters, simulate

__all__ = ["four_neurons", "simulate_small_network", "twelve_neurons"]

# pre, post, weight of the fast basis function, weight of the slow one
_TWELVE = (
    (1, 2, 1.6, 0.5),
    (1, 3, 1.2, 0.0),
    (2, 3, 1.4, 0.4),
    (3, 4, 1.8, 0.0),
    (5, 6, 1.3, 0.5),
    (6, 7, 1.5, 0.3),
    (7, 5, 1.0, 0.0),
    (4, 8, 1.4, 0.6),
    (8, 1, 0.5, 0.0),  # weak
    (9, 2, -1.5, -1.5),
    (9, 6, -1.8, -1.0),
    (9, 4, -1.2, -1.2),
    (10, 3, -1.5, -1.0),
    (10, 7, -0.5, -0.4),  # weak
    (11, 10, 1.5, 0.0),
    (12, 9, 1.3, 0.6),
    (3, 9, 1.2, 0.3),
    (6, 11, 0.4, 0.0),  # weak
)


def four_neurons() -> NetworkParameters:
    """Return four self-inhibiting neurons, in bins of 1 ms, as in the README of PyGLM."""
    basis = raised_cosine(1, window=0.1, bin_width=0.001)
    weights = np.zeros((4, 4, 1))
    weights[range(4), range(4), 0] = [-2.5, -2.0, -2.0, -2.5]
    for pre, post, weight in ((0, 1, 2.5), (1, 2, 1.8), (0, 3, -2.0), (3, 0, 1.0)):
        weights[post, pre, 0] = weight
    return NetworkParameters(np.full(4, -3.0), weights, basis)


def twelve_neurons() -> NetworkParameters:
    """Return twelve sparsely connected neurons, 9 and 10 inhibitory, in bins of 5 ms."""
    weights = refractory(12)
    for pre, post, fast, slow in _TWELVE:
        weights[post - 1, pre - 1] = fast, slow
    rates = np.array([9, 7, 8, 6, 10, 7, 6, 7, 10, 9, 8, 9.0])  # Hz, if the network were silent
    p = rates * BIN_WIDTH
    return NetworkParameters(np.log(p / (1 - p)), weights, coupling_basis())


_NETWORKS = {4: four_neurons, 12: twelve_neurons}


def simulate_small_network(
    duration: float = 60.0,
    *,
    n_neurons: int = 4,
    random_seed: int | np.random.Generator | None = None,
) -> SimulatedRecording:
    """Simulate four or twelve neurons, the networks of ``pymc-glm demo``.

    The four self-inhibiting neurons fire at 15 to 65 Hz in bins of 1 ms, with four couplings, one
    of them inhibitory: the example of PyGLM (Linderman, Adams & Pillow 2016, arXiv:1610.08465). The
    twelve neurons fire at 5 to 20 Hz in bins of 5 ms, with eighteen couplings, three of them weak;
    neurons 9 and 10 are inhibitory.

    Parameters
    ----------
    duration : float
        Seconds.
    n_neurons : {4, 12}
    random_seed : int, numpy.random.Generator or None
        For the spikes; the networks are fixed.

    Returns
    -------
    SimulatedRecording
        With neurons "1", "2", and so on.

    Raises
    ------
    TypeError, ValueError
        Another number of neurons, a duration shorter than a bin, or a bad seed.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> recording = pg.datasets.simulate_small_network(duration=5, random_seed=1)
    >>> recording.counts.shape, recording.basis.shape
    ((5000, 4), (100, 1))
    """
    if n_neurons not in _NETWORKS:
        raise ValueError(f"n_neurons: got {n_neurons!r}, allowed are {list(_NETWORKS)}.")
    network = _NETWORKS[n_neurons]()
    counts = simulate(
        network,
        number_of_bins(duration, network.basis.attrs["bin_width"]),
        random_seed=random_seed,
        neurons=[str(i + 1) for i in range(n_neurons)],
    )
    counts.attrs["name"] = f"small network of {n_neurons}"
    return SimulatedRecording(counts, network.basis, network)
