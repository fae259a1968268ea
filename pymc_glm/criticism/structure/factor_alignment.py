"""Alignment of draws of loadings, which are known up to sign, order and rotation of the factors.

All functions work on arrays: loadings have the shape (draw, neuron, factor), with the chains
concatenated, maps of factors (draw, factor, factor). A map R takes loadings L to L R and paths f to
f R, and leaves what they add to the activations, f L', as it is: all maps are orthogonal.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import orthogonal_procrustes
from scipy.optimize import linear_sum_assignment

__all__ = ["overlapping", "pivot_draw", "reordering", "rotating", "turned_up"]

type Draws = NDArray[np.float64]  # (draw, neuron, factor)
type Maps = NDArray[np.float64]  # (draw, factor, factor)

_MAX_PASSES = 20
_STILL = 1e-10  # relative squared change of the mean below which it has settled
_SEPARATE = 0.95  # share of draws in which one timescale is longer, beyond which the two differ


def pivot_draw(loadings: Draws) -> int:
    """Return the draw whose covariance L L' is nearest to the mean covariance of the draws."""
    mean = np.zeros((loadings.shape[1],) * 2)
    for one in loadings:  # one at a time to save memory
        mean += one @ one.T
    mean /= len(loadings)
    return int(np.argmin([((one @ one.T - mean) ** 2).sum() for one in loadings]))


def reordering(loadings: Draws, kind: NDArray[np.float64], pivot: int) -> Maps:
    """Return the signs and the order of the factors that make all draws most alike.

    Each draw is assigned to the pivot, and then to the mean of the assigned draws until that
    settles: the assignment with the largest sum of absolute inner products (Kuhn 1955, Naval
    Research Logistics Quarterly 2:83).

    Parameters
    ----------
    loadings : array, shape (draw, neuron, factor)
    kind : array, shape (factor,)
        Only factors of the same kind, such as smoothness, can change places.
    pivot : int

    Examples
    --------
    >>> import numpy as np
    >>> draw = np.array([[1.0, 0.0], [0.5, 2.0]])
    >>> maps = reordering(np.stack([draw, -draw[:, ::-1]]), np.full(2, 0.5), 0)
    >>> bool(np.allclose(-draw[:, ::-1] @ maps[1], draw))
    True
    """
    target = loadings[pivot]
    same = kind[:, None] == kind
    maps = np.zeros((len(loadings), kind.size, kind.size))
    for _ in range(_MAX_PASSES):
        products = np.einsum("dnk,nj->dkj", loadings, target)  # (draw, old, new)
        maps[:] = 0.0
        for one, product in zip(maps, products, strict=True):
            cost = np.where(same, -np.abs(product), 1.0 + np.abs(product).sum())
            old, new = linear_sum_assignment(cost)
            one[old, new] = np.where(product[old, new] < 0, -1.0, 1.0)
        previous, target = target, (loadings @ maps).mean(axis=0)
        if ((target - previous) ** 2).sum() <= _STILL * max((target**2).sum(), 1e-300):
            break
    return maps


def overlapping(timescales: NDArray[np.float64], kind: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the group of each factor: those of a group have similar timescales and one kind.

    Two timescales are similar unless the same one is longer in more than 95% of the draws.

    Parameters
    ----------
    timescales : array, shape (draw, factor)
    kind : array, shape (factor,)

    Examples
    --------
    >>> import numpy as np
    >>> draws = np.random.default_rng(1).normal([1.0, 1.1, 5.0], 0.2, (100, 3))
    >>> overlapping(draws, np.full(3, 0.5))
    array([0, 0, 1])
    """
    group = np.arange(kind.size)
    for k in range(kind.size):
        for j in range(k):
            longer = (timescales[:, k] > timescales[:, j]).mean()
            shorter = (timescales[:, k] < timescales[:, j]).mean()
            if kind[k] == kind[j] and max(longer, shorter) <= _SEPARATE:
                group[group == group[k]] = group[j]
    return np.unique(group, return_inverse=True)[1].astype(np.int64)


def rotating(loadings: Draws, group: NDArray[np.int64], pivot: int) -> Maps:
    """Return the rotations and reflections within groups that make all draws most alike.

    Orthogonal Procrustes onto the pivot, then onto the mean until that settles (Gower 1975,
    Psychometrika 40:33-51), without shifts: loadings have an origin.

    Parameters
    ----------
    loadings : array, shape (draw, neuron, factor)
    group : array of int, shape (factor,)
    pivot : int

    Examples
    --------
    >>> import numpy as np
    >>> draw, turn = np.array([[1.0, 0.0], [0.5, 2.0]]), np.array([[0.0, 1.0], [-1.0, 0.0]])
    >>> maps = rotating(np.stack([draw, draw @ turn]), np.zeros(2, int), 0)
    >>> bool(np.allclose(draw @ turn @ maps[1], draw))
    True
    """
    n_factors = loadings.shape[2]
    maps = np.broadcast_to(np.eye(n_factors), (len(loadings), n_factors, n_factors)).copy()
    for label in range(int(group.max()) + 1):
        inside = np.flatnonzero(group == label)
        some = loadings[:, :, inside]
        target = some[pivot]
        for _ in range(_MAX_PASSES):
            turns = np.stack([orthogonal_procrustes(one, target)[0] for one in some])
            previous, target = target, (some @ turns).mean(axis=0)
            if ((target - previous) ** 2).sum() <= _STILL * max((target**2).sum(), 1e-300):
                break
        maps[:, inside[:, None], inside] = turns
    return maps


def turned_up(loadings: Draws) -> NDArray[np.float64]:
    """Return the sign of each factor, (factor,), with which its mean loadings have a sum above 0.

    Examples
    --------
    >>> import numpy as np
    >>> turned_up(np.array([[[-1.0, 2.0], [-0.5, -1.0]]]))
    array([-1.,  1.])
    """
    return np.where(loadings.mean(axis=(0, 1)) < 0, -1.0, 1.0)
