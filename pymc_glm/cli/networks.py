"""The networks of the demo, whose parameters are known."""

from typing import TYPE_CHECKING, NamedTuple

from pymc_glm.cli.settings import SampleSettings

if TYPE_CHECKING:
    from pymc_glm.simulation import NetworkParameters

__all__ = ["DemoNetwork", "four_neurons", "twelve_neurons"]


class DemoNetwork(NamedTuple):
    """A network to simulate and fit."""

    name: str
    title: str
    parameters: "NetworkParameters"
    neurons: list[str]
    n_bins: int
    seed: int  # of the simulation
    sampling: SampleSettings


def four_neurons(short: bool = False) -> DemoNetwork:
    """Four neurons that inhibit themselves, in 10000 bins of 1 ms, as in the README of PyGLM.

    Parameters
    ----------
    short : bool
        Fewer bins and draws.
    """
    import numpy as np

    import pymc_glm as pg

    basis = pg.basis.raised_cosine(1, window=0.1, bin_width=0.001)
    weights = np.zeros((4, 4, 1))
    weights[range(4), range(4), 0] = [-2.5, -2.0, -2.0, -2.5]
    for pre, post, weight in ((0, 1, 2.5), (1, 2, 1.8), (0, 3, -2.0), (3, 0, 1.0)):
        weights[post, pre, 0] = weight
    bias = np.full(4, -3.0)
    return DemoNetwork(
        name="four-neurons",
        title="Four neurons, each inhibiting itself",
        parameters=pg.NetworkParameters(bias, weights, basis),
        neurons=["1", "2", "3", "4"],
        n_bins=3000 if short else 10_000,
        seed=1,
        sampling=SampleSettings(100, 100) if short else SampleSettings(800, 300),
    )


# pre, post and the weights of a fast and a slow basis function
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


def twelve_neurons(short: bool = False) -> DemoNetwork:
    """Twelve neurons, sparsely connected, neurons 9 and 10 inhibitory, in bins of 5 ms.

    Parameters
    ----------
    short : bool
        Fewer bins and draws.
    """
    import numpy as np

    import pymc_glm as pg

    basis = pg.basis.raised_cosine(2, window=0.1, bin_width=0.005)
    weights = np.zeros((12, 12, 2))
    weights[range(12), range(12)] = (-2.0, -0.4)
    for pre, post, fast, slow in _TWELVE:
        weights[post - 1, pre - 1] = fast, slow
    rates = np.array([9, 7, 8, 6, 10, 7, 6, 7, 10, 9, 8, 9.0])  # Hz, of a silent network
    p = rates * 0.005
    return DemoNetwork(
        name="twelve-neurons",
        title="Twelve neurons, sparsely connected",
        parameters=pg.NetworkParameters(np.log(p / (1 - p)), weights, basis),
        neurons=[str(i + 1) for i in range(12)],
        n_bins=4000 if short else 12_000,
        seed=2,
        sampling=SampleSettings(60, 60) if short else SampleSettings(400, 150),
    )
