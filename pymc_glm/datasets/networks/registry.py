"""The networks that can be fetched: sources, checksums, licences and citations."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from pymc_glm.datasets.networks import marked_edges, matlab, nest
from pymc_glm.datasets.networks.contents import Contents
from pymc_glm.datasets.published_files import PublishedFile

__all__ = ["FOLDER_VARIABLE", "NETWORKS", "NetworkEntry", "github_file", "network_named"]

FOLDER_VARIABLE = "PYMC_GLM_NETWORKS"
_RAW = "https://raw.githubusercontent.com"


def github_file(repository: str, path: str, sha256: str, *names: str) -> PublishedFile:
    """Return a file of a repository on GitHub.

    Parameters
    ----------
    repository : str
        OWNER/NAME/COMMIT.
    path : str
        Path within it.
    sha256 : str
    *names : str
        Further names that the file may have in a folder.
    """
    owner, name, commit = repository.split("/")
    place = f"{path} from https://github.com/{owner}/{name} (commit {commit})"
    return PublishedFile(f"{repository}/{path}", sha256, _RAW, place, FOLDER_VARIABLE, names)


class NetworkEntry(NamedTuple):
    """Spike trains of a network with known connections, and what is known of them."""

    published: PublishedFile
    read: Callable[[Path], Contents]
    duration: float  # s
    all_recorded: bool | None
    about: str
    licence: str
    cite: tuple[str, ...]
    unit: str = ""  # of the weights

    @property
    def source(self) -> str:
        """Repository, commit and path."""
        place, _, repository = self.published.by_hand.partition(" from ")
        return f"{repository}, {place}"

    def describe(self, name: str) -> str:
        """Return what it is, its licence and the papers to cite, in several lines."""
        return "\n".join(
            [
                f"{name}: {self.about}",
                f"Source: {self.source}",
                f"Licence: {self.licence}",
                "Please cite:",
                *(f"- {paper}" for paper in self.cite),
            ]
        )


_REN = (
    "Ren, Ito, Hafizi, Beggs & Stevenson (2020), Model-based detection of putative synaptic "
    "connections from spike recordings with latency and type constraints, J. Neurophysiol., "
    "doi:10.1101/2020.02.12.944496 (preprint)"
)
_DONNER = (
    "Donner, Bartram, Hornauer, Kim, Roqueiro, Hierlemann, Obozinski & Schröter (2024), Ensemble "
    "learning and ground-truth validation of synaptic connectivity inferred from spike trains, "
    "PLoS Comput. Biol. 20:e1011964, doi:10.1371/journal.pcbi.1011964"
)
_DE_BLASI = (
    "De Blasi, Ciba, Bahmer & Thielemann (2019), Total spiking probability edges: A "
    "cross-correlation based method for effective connectivity estimation of cortical spiking "
    "neurons, J. Neurosci. Methods 312:169, doi:10.1016/j.jneumeth.2018.11.013"
)
_CASADIEGO = (
    "Casadiego, Maoutsa & Timme (2018), Inferring network connectivity from event timing patterns, "
    "Phys. Rev. Lett. 121:054101, doi:10.1103/PhysRevLett.121.054101"
)

NETWORKS = {
    "ren20": NetworkEntry(
        github_file(
            "NaixinRen/extended-GLM-for-synapse-detection/61aa9991e457",
            "simulated data_20 neurons.mat",
            "4985e3d78d55ffc35bbfb270333a5e69161ac51cf8717b8c69c4f3b9c70c3e2e",
            "ren20.mat",
        ),
        matlab.read_latencies,
        3600.0,
        None,
        "20 leaky integrate-and-fire neurons with strong slow common input, 3600 s",
        "none named by the repository",
        (_REN,),
        "nA",
    ),
    "spycon": NetworkEntry(
        github_file(
            "christiando/spycon/9720cfa0a71f",
            "data/gt_data/ren_simulation_1917_Cell1Block1_long_340_20_ei5_example.npz",
            "b510577afcba5de20e0137f2e3e78c0e3c5b1801f9e5280e9d78f2489fe02722",
        ),
        marked_edges.read,
        3600.0,
        None,
        "20 leaky integrate-and-fire neurons of the kind of Ren et al. (2020), 3600 s",
        "MIT",
        (_DONNER, _REN),
    ),
    "tspe": NetworkEntry(
        github_file(
            "biomemsLAB/TSPE/204b0d2f1f22",
            "ExampleSpikeTrain.mat",
            "803876856b4576f97d524961c96bc7c1b2f961f7c92f061732783a9689525b5f",
            "tspe_example.mat",
        ),
        matlab.read_submatrix,
        3600.0,
        False,
        "100 of the 1000 neurons of an Izhikevich network, 3600 s",
        "GNU General Public License, version 3 (the licence file); MIT (the readme)",
        (_DE_BLASI,),
    ),
    "casadiego": NetworkEntry(
        github_file(
            "dimitra-maoutsa/Connectivity_from_event_timing_patterns/c989199e0d98",
            "simulate_network/Data.tar.gz",
            "c128cc5782d7364ad8d8a45b6f5e4235ef96d996cf79b5d2bc9dc8c151850d48",
            "casadiego.tar.gz",
        ),
        nest.read,
        50.0,
        True,
        "all 100 leaky integrate-and-fire neurons of a network simulated with NEST, 50 s",
        "GNU General Public License, version 3",
        (_CASADIEGO,),
        "mV",
    ),
}


def network_named(name: str) -> NetworkEntry:
    """Return the entry of a network.

    Raises
    ------
    ValueError
        The name is unknown.
    """
    if name not in NETWORKS:
        raise ValueError(f"name: got {name!r}, allowed are {list(NETWORKS)}.")
    return NETWORKS[name]
