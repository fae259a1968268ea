"""Slice sampling of a single number (Neal 2003, Annals of Statistics 31:705, figures 3 and 5)."""

from collections.abc import Callable

import numpy as np

__all__ = ["slice_draw"]

_MOST = 100  # steps out of the interval, to both sides together


def slice_draw(
    log_density: Callable[[float], float], value: float, width: float, rng: np.random.Generator
) -> float:
    """Return the next number of a Markov chain.

    Parameters
    ----------
    log_density : callable
        Up to a constant; -inf where the number is impossible.
    value : float
        The current number.
    width : float
        Of the first interval, and of the steps out of it.
    rng : numpy.random.Generator
    """
    level = log_density(value) - rng.exponential()
    low = value - width * rng.random()
    high = low + width
    left = int(rng.integers(_MOST))
    right = _MOST - 1 - left
    while left > 0 and log_density(low) > level:
        low, left = low - width, left - 1
    while right > 0 and log_density(high) > level:
        high, right = high + width, right - 1
    while True:
        new = rng.uniform(low, high)
        if log_density(new) > level:
            return float(new)
        low, high = (new, high) if new < value else (low, new)
