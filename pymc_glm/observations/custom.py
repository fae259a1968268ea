"""Log densities of custom observation models."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pymc_glm.kernels.custom_density import CustomDensity
from pymc_glm.kernels.likelihood import CUSTOM, Likelihood

__all__ = ["log_concave"]

_PSI = np.linspace(-4.0, 4.0, 17)  # where densities are checked
_MOST_COUNTS = 20
_STEP = 1e-4


def log_concave(
    density: Callable[[float, float, float], tuple[float, float, float]],
    counts: NDArray,
    shape: ArrayLike = 1.0,
) -> Likelihood:
    """Return the likelihood of a custom observation model, from its log density in psi.

    For the method `Observation.likelihood`. The samplers rely on concavity: edges and weights are
    proposed from modes and curvatures.

    Parameters
    ----------
    density : callable
        Takes (count, psi, shape), three floats; returns the log density up to terms without psi,
        its first derivative in psi and minus the second. Compiled by Numba: use ``math``. It has to
        be finite for any psi.
    counts : array, shape (post, time)
    shape : float or array (post,)
        The dispersion of each neuron, a number that the density may use.

    Returns
    -------
    Likelihood
        For the kernels.

    Raises
    ------
    ValueError
        For some count and psi, the density is not finite or not concave, or a derivative is not
        that of the density.

    Examples
    --------
    >>> import math
    >>> import numpy as np, pymc_glm as pg
    >>> def poisson(count, psi, shape):
    ...     mean = math.exp(min(psi, 700.0))
    ...     return count * psi - mean, count - mean, mean
    >>> likelihood = pg.log_concave(poisson, np.array([[0, 1, 2]]))
    """
    _check(density, np.unique(counts)[:_MOST_COUNTS], float(np.ravel(shape)[0]))
    each = np.array(np.broadcast_to(np.asarray(shape, dtype=float), (len(counts),)))
    return Likelihood(CUSTOM, counts, each, 0.0, CustomDensity(density))


def _check(density: Callable, counts: NDArray, shape: float) -> None:
    for count in map(float, counts):
        for psi in map(float, _PSI):
            low, here, high = (density(count, psi + d, shape) for d in (-_STEP, 0.0, _STEP))
            at = f"for the count {count:g} and psi = {psi:g}"
            if not np.isfinite([*low, *here, *high]).all():
                raise ValueError(f"density: {here} {at}; give finite numbers for any psi.")
            if here[2] < 0:
                raise ValueError(
                    f"density: minus its second derivative is {here[2]:g} {at}; give a "
                    "log density that is concave in psi."
                )
            for what, k in (("first derivative", 0), ("minus the second derivative", 1)):
                slope = (high[k] - low[k]) / (2 * _STEP) * (1 if k == 0 else -1)
                if abs(slope - here[k + 1]) > 1e-3 * (1 + abs(slope)):
                    raise ValueError(
                        f"density: {what} {at} is {here[k + 1]:g}, but {slope:g} by "
                        "finite differences; correct it."
                    )
