"""Seeds made into random generators, with one message for what is no seed."""

from typing import Any

import numpy as np

__all__ = ["random_generator"]


def random_generator(random_seed: Any) -> np.random.Generator:
    """Return a generator from a seed, or the generator given.

    Parameters
    ----------
    random_seed : int, numpy.random.Generator or None

    Raises
    ------
    ValueError
        It is no seed.
    """
    try:
        return np.random.default_rng(random_seed)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"random_seed: got {random_seed!r}; give a whole number of at least 0, a "
            "numpy.random.Generator, or None for a seed from the operating system."
        ) from error
