"""Laws of the counts given psi; see `pymc_glm.kernels.likelihood`."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from pymc_glm.kernels.exponential import EXPONENT_LIMIT
from pymc_glm.kernels.likelihood import GAUSSIAN, LOGISTIC, POISSON

__all__ = ["Density", "density_of"]


class Density(NamedTuple):
    """Log density of counts, up to terms without psi, and its derivatives in psi."""

    value: jax.Array
    slope: jax.Array
    curvature: jax.Array  # minus the second derivative


def density_of(
    family: int, steepness: float, counts: jax.Array, psi: jax.Array, dispersion: jax.Array
) -> Density:
    """Return the log density, elementwise.

    Parameters
    ----------
    family : int
    steepness : float
        Trials for each spike that is counted, see `Likelihood`.
    counts, psi : arrays, shape (row, post)
    dispersion : array, shape (post,)
    """
    y = counts.astype(jnp.float32)
    if family == LOGISTIC:
        trials = dispersion + steepness * y
        mean = trials * jax.nn.sigmoid(psi)
        value = y * psi - trials * jax.nn.softplus(psi)
        return Density(value, y - mean, mean * jax.nn.sigmoid(-psi))
    if family == POISSON:
        # 3e38 is the largest number of single precision
        mean = dispersion * jnp.exp(jnp.clip(psi, -EXPONENT_LIMIT, 88.0))
        return Density(y * psi - mean, y - mean, mean)
    if family == GAUSSIAN:
        away = y - psi
        slope = dispersion * away
        return Density(-0.5 * slope * away, slope, jnp.broadcast_to(dispersion, psi.shape))
    raise AssertionError(f"family {family} is unknown.")
