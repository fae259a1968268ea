"""The networks of the demo, with known parameters."""

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
    """Return four neurons that inhibit themselves, in 10000 bins of 1 ms, as in PyGLM's README.

    Parameters
    ----------
    short : bool
        Whether to use fewer bins and draws.
    """
    from pymc_glm.datasets import small_networks

    return DemoNetwork(
        name="four-neurons",
        title="Four neurons, each inhibiting itself",
        parameters=small_networks.four_neurons(),
        neurons=["1", "2", "3", "4"],
        n_bins=3000 if short else 10_000,
        seed=1,
        sampling=SampleSettings(100, 100) if short else SampleSettings(800, 300),
    )


def twelve_neurons(short: bool = False) -> DemoNetwork:
    """Return twelve sparsely connected neurons, 9 and 10 inhibitory, in bins of 5 ms.

    Parameters
    ----------
    short : bool
        Whether to use fewer bins and draws.
    """
    from pymc_glm.datasets import small_networks

    return DemoNetwork(
        name="twelve-neurons",
        title="Twelve neurons, sparsely connected",
        parameters=small_networks.twelve_neurons(),
        neurons=[str(i + 1) for i in range(12)],
        n_bins=4000 if short else 12_000,
        seed=2,
        sampling=SampleSettings(60, 60) if short else SampleSettings(400, 150),
    )
