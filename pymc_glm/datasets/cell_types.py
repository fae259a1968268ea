"""A simulated network in which cell types determine the connections."""

import numpy as np
import xarray as xr

from pymc_glm.arguments import as_whole_number, random_generator
from pymc_glm.datasets.simulated import (
    SimulatedRecording,
    bias_for_rates,
    coupling_basis,
    number_of_bins,
    refractory,
)
from pymc_glm.simulation import NetworkParameters, simulate

__all__ = ["simulate_cell_types"]

# [post, pre]: excitatory, inhibitory, and with three types a second excitatory type.
_NAMES = ("excitatory", "inhibitory", "projecting")
_PROBABILITY = np.array([[0.10, 0.35, 0.03], [0.40, 0.05, 0.05], [0.30, 0.20, 0.15]])
_FAST = np.array([[0.9, -1.8, 0.9], [1.1, -1.2, 0.9], [1.0, -1.6, 0.9]])
_SLOW = 0.4  # ratio of the slow function's weight to the fast function's
_SPREAD = 0.2  # standard deviation of a weight relative to its mean
_FEW = 24  # neurons; for n above, edge probabilities are scaled by 24 / n
_RATES = (5.0, 12.0)  # Hz


def simulate_cell_types(
    n_neurons: int = 24,
    duration: float = 300.0,
    *,
    n_types: int = 2,
    random_seed: int | np.random.Generator | None = None,
) -> SimulatedRecording:
    r"""Simulate a network whose edges and weights depend on the types of both cells.

    Two thirds of the neurons are excitatory (E) and one third inhibitory (I). With three types, a
    third each are excitatory, inhibitory and of a second excitatory type, projecting (P). From type
    k to type l

    .. math:: A_{nm} \sim \mathrm{Bernoulli}(\rho_{lk}), \qquad
        W_{nm1} \sim \mathrm{Normal}(\mu_{lk}, (0.2 \mu_{lk})^2), \quad W_{nm2} = 0.4\, W_{nm1},

    where :math:`W_{nm1}` keeps the sign of its mean:

    ====== ============ ============ ============
    post   from E       from I       from P
    ====== ============ ============ ============
    E      0.10,  0.9   0.35, -1.8   0.03,  0.9
    I      0.40,  1.1   0.05, -1.2   0.05,  0.9
    P      0.30,  1.0   0.20, -1.6   0.15,  0.9
    ====== ============ ============ ============

    (:math:`\rho`, :math:`\mu`). With more than 24 neurons :math:`\rho` is scaled by
    24 / n_neurons, so that the mean number of edges to a neuron stays the same. All neurons are
    refractory, and their biases let them fire at about 5 to 12 Hz.

    Parameters
    ----------
    n_neurons : int
        At least 6.
    duration : float
        Seconds, in bins of 5 ms.
    n_types : {2, 3}
    random_seed : int, numpy.random.Generator or None
        For the network and the spikes.

    Returns
    -------
    SimulatedRecording
        With the names of the types, in random order, as `blocks` and as the coordinate
        ``cell_type`` of the counts.

    Raises
    ------
    TypeError, ValueError
        Too few neurons, another number of types, a duration shorter than a bin, or a bad seed.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> recording = pg.datasets.simulate_cell_types(duration=10, random_seed=1)
    >>> sorted(set(recording.blocks.values.tolist()))
    ['excitatory', 'inhibitory']
    >>> inhibitory = recording.blocks.values == "inhibitory"
    >>> others = ~np.eye(24, dtype=bool)
    >>> (recording.network.weights[..., 0] * others)[:, inhibitory].max()
    np.float64(0.0)
    """
    n = as_whole_number(n_neurons, "n_neurons", at_least=6)
    if n_types not in (2, 3):
        raise ValueError(f"n_types: got {n_types!r}, allowed are 2 and 3.")
    n_bins = number_of_bins(duration, (basis := coupling_basis()).attrs["bin_width"])
    rng = random_generator(random_seed)
    share = (2, 1) if n_types == 2 else (1, 1, 1)
    types = rng.permutation(np.resize(np.repeat(range(n_types), share), n))
    between = np.ix_(types, types)
    edges = rng.random((n, n)) < _PROBABILITY[between] * min(1.0, _FEW / n)
    np.fill_diagonal(edges, False)
    fast = _FAST[between] * np.maximum(1 + _SPREAD * rng.standard_normal((n, n)), 0.25)
    weights = refractory(n)
    weights[edges] = fast[edges, None] * (1.0, _SLOW)
    rates = rng.uniform(*_RATES, n)
    network = NetworkParameters(bias_for_rates(rates, weights, basis), weights, basis)
    counts = simulate(network, n_bins, random_seed=rng)
    names = np.array(_NAMES)[types]
    counts = counts.assign_coords(cell_type=("neuron", names))
    counts.attrs["name"] = "cell types"
    blocks = xr.DataArray(
        names, dims="neuron", coords={"neuron": counts["neuron"].values}, name="block"
    )
    return SimulatedRecording(counts, basis, network, blocks=blocks)
