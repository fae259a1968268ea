"""Procrustes alignment of draws of positions by rotation, reflection and shift.

A latent distance model depends only on distances between points, so every draw of the positions may
be rotated, reflected and shifted as a whole. All functions work on arrays: positions have the shape
(draw, neuron, dim), with the chains concatenated.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import orthogonal_procrustes
from scipy.spatial import procrustes
from scipy.spatial.distance import pdist
from scipy.stats import rankdata

__all__ = [
    "Similarity",
    "aligned",
    "distance_correlations",
    "distances_onwards",
    "procrustes_correlations",
    "similarity",
]

type Draws = NDArray[np.float64]  # (draw, neuron, dim)

_MAX_PASSES = 10
_STILL = 1e-10  # relative squared change of the mean below which it has settled


class Similarity(NamedTuple):
    """The map ``scale * (x - center) @ rotation + offset``."""

    scale: float
    rotation: NDArray[np.float64]  # (dim, dim of the target)
    center: NDArray[np.float64]  # (dim,)
    offset: NDArray[np.float64]  # (dim of the target,)

    def points(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map points, shape (..., dim)."""
        return self.scale * (x - self.center) @ self.rotation + self.offset

    def covariances(self, covariance: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map covariances of points, shape (..., dim, dim)."""
        return self.scale**2 * self.rotation.T @ covariance @ self.rotation


def aligned(draws: Draws) -> Draws:
    """Rotate, reflect and shift every draw onto the others, without scaling.

    Every draw is first rotated onto the pivot, the draw whose distances are nearest to the mean
    distances, and then onto the mean of the rotated draws until the mean settles (generalised
    Procrustes analysis without scaling: Gower 1975, Psychometrika 40:33-51). Finally the mean is
    centred at the origin along its principal axes, with its farthest point along each axis on the
    positive side, so that the result does not depend on the original rotations.

    Parameters
    ----------
    draws : array, shape (draw, neuron, dim)

    Returns
    -------
    array, shape (draw, neuron, dim)

    Examples
    --------
    >>> import numpy as np
    >>> square = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 1.0]])
    >>> rotated = square @ np.array([[0.0, 1.0], [-1.0, 0.0]]) + 5.0
    >>> float(np.ptp(aligned(np.stack([square, rotated])), axis=0).max().round(12))
    0.0
    """
    centred = draws - draws.mean(axis=1, keepdims=True)
    mean = centred[_pivot(centred)]
    rotated = _onto(centred, mean)
    for _ in range(_MAX_PASSES):
        previous, mean = mean, rotated.mean(axis=0)
        if ((mean - previous) ** 2).sum() <= _STILL * (mean**2).sum():
            break
        rotated = _onto(rotated, mean)
    return rotated @ _principal_axes(rotated.mean(axis=0))


def _pivot(draws: Draws) -> int:
    """Return the index of the draw whose distances are nearest to the mean distances."""
    mean = np.zeros(draws.shape[1] * (draws.shape[1] - 1) // 2)
    for one in draws:  # one at a time to save memory
        mean += pdist(one)
    mean /= len(draws)
    return int(np.argmin([((pdist(one) - mean) ** 2).sum() for one in draws]))


def _onto(draws: Draws, target: NDArray[np.float64]) -> Draws:
    return np.stack([one @ orthogonal_procrustes(one, target)[0] for one in draws])


def _principal_axes(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the orthogonal matrix (dim, dim) that rotates points onto their principal axes."""
    axes = np.linalg.svd(points)[2].T
    rotated = points @ axes
    farthest = rotated[np.abs(rotated).argmax(axis=0), np.arange(rotated.shape[1])]
    return axes * np.where(farthest < 0, -1.0, 1.0)


def distances_onwards(draws: Draws) -> Iterator[NDArray[np.float64]]:
    """Yield, for each neuron, its distances to the neurons after it; shape (draw, later)."""
    for neuron in range(draws.shape[1]):
        yield np.linalg.norm(draws[:, neuron + 1 :] - draws[:, [neuron]], axis=-1)


def _padded(points: NDArray[np.float64], n_dims: int) -> NDArray[np.float64]:
    """Return points in a space of more dimensions, with 0 in the added ones."""
    extra = [(0, 0)] * (points.ndim - 1) + [(0, n_dims - points.shape[-1])]
    return np.pad(points, extra)


def similarity(points: NDArray[np.float64], target: NDArray[np.float64]) -> Similarity:
    """Return the rotation, reflection, shift and scaling that bring points nearest to a target.

    If the spaces differ in dimension, the smaller is embedded in the larger.

    Parameters
    ----------
    points : array, shape (neuron, dim)
    target : array, shape (neuron, other dim)

    Examples
    --------
    >>> import numpy as np
    >>> points = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    >>> similarity(points, 30 * points[:, ::-1] + 7).points(points).round(6)
    array([[ 7.,  7.],
           [ 7., 37.],
           [67.,  7.]])
    """
    center, offset = points.mean(axis=0), target.mean(axis=0)
    from_, to = points - center, target - offset
    n_dims = max(from_.shape[1], to.shape[1])
    rotation, overlap = orthogonal_procrustes(_padded(from_, n_dims), _padded(to, n_dims))
    scale = float(overlap / (from_**2).sum())
    return Similarity(scale, rotation[: from_.shape[1], : to.shape[1]], center, offset)


def procrustes_correlations(draws: Draws, target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return sqrt(1 - Procrustes disparity) of every draw with a target; shape (draw,).

    Examples
    --------
    >>> import numpy as np
    >>> points = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    >>> procrustes_correlations(-3 * points[None], points).round(6)
    array([1.])
    """
    n_dims = max(draws.shape[-1], target.shape[-1])
    to = _padded(target, n_dims)
    disparity = np.array([procrustes(to, _padded(one, n_dims))[2] for one in draws])
    return np.sqrt(np.clip(1.0 - disparity, 0.0, 1.0))


def distance_correlations(draws: Draws, target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Spearman correlation, over pairs, of each draw's distances with the target's.

    Examples
    --------
    >>> import numpy as np
    >>> line = np.array([[0.0], [1.0], [3.0]])
    >>> distance_correlations(np.stack([line, line**2]), line)
    array([1., 1.])
    """
    of_target = rankdata(pdist(target))
    of_target -= of_target.mean()
    of_target /= np.linalg.norm(of_target) or np.nan
    found = np.empty(len(draws))
    for draw, one in enumerate(draws):
        ranks = rankdata(pdist(one))
        ranks -= ranks.mean()
        found[draw] = ranks @ of_target / (np.linalg.norm(ranks) or np.nan)
    return found
