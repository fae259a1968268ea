"""Networks in NumPy archives: spikes as `times` and `ids`, and `marked_edges`."""

from pathlib import Path

import numpy as np

from pymc_glm.datasets.networks.contents import Contents

__all__ = ["read"]


def read(path: Path) -> Contents:
    """Read an archive as the package spycon (Donner et al. 2024) writes it.

    ``times`` are in seconds, ``ids`` the neuron of every spike, ``nodes`` all neurons; the rows of
    ``marked_edges`` are pre, post and weight, with 0 or NaN where there is no connection.

    Parameters
    ----------
    path : Path

    Returns
    -------
    Contents
    """
    with np.load(path, allow_pickle=False) as archive:
        times, ids, nodes, edges = (
            archive[key] for key in ("times", "ids", "nodes", "marked_edges")
        )
    order = {int(node): i for i, node in enumerate(nodes)}
    weights = np.zeros((len(nodes), len(nodes)))
    for pre, post, weight in edges:
        weights[order[int(post)], order[int(pre)]] = np.nan_to_num(weight)
    return Contents(
        [np.sort(times[ids == node]).astype(np.float64) for node in nodes],
        [str(node) for node in nodes],
        weights,
    )
