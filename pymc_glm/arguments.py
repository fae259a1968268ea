"""Checks of numbers, labels and sizes that users give, and random generators from seeds."""

import difflib
from collections.abc import Hashable, Iterable
from numbers import Real
from typing import Any

import numpy as np

__all__ = ["as_labels", "as_number", "check_number", "label_index", "random_generator"]


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


def as_number(value: Any, name: str) -> float:
    """One finite real number."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if not np.isfinite(float(value)):
        raise ValueError(f"{name} must be finite, got {value!r}")
    return float(value)


def as_labels(neurons: Iterable[Hashable], argument: str = "neurons") -> tuple[str, ...]:
    """Labels as strings, unique."""
    if isinstance(neurons, str):
        neurons = (neurons,)
    labels = tuple(str(label) for label in neurons)
    repeated = sorted({label for label in labels if labels.count(label) > 1})
    if repeated:
        raise ValueError(f"{argument}: labels must be unique, but these repeat: {repeated}")
    return labels


def label_index(
    labels: tuple[str, ...],
    chosen: Iterable[Hashable] | None,
    argument: str = "neurons",
    what: str = "neurons",
) -> np.ndarray:
    """Index of every chosen label; all by default.

    Parameters
    ----------
    labels : tuple of str
        Those to choose from.
    chosen : iterable of labels, or None
    argument, what : str
        What the messages call the argument, and what is labelled.

    Raises
    ------
    ValueError
        A label is unknown or occurs twice, or there is none.
    """
    if chosen is None:
        return np.arange(len(labels))
    names = as_labels(chosen, argument)
    where = {label: i for i, label in enumerate(labels)}
    unknown = [name for name in names if name not in where]
    if unknown:
        similar = difflib.get_close_matches(unknown[0], labels) or list(labels[:5])
        raise ValueError(
            f"{argument}: unknown {what} {unknown}; the recording has {len(labels)}, such as "
            f"{similar}"
        )
    if not names:
        raise ValueError(f"{argument}: it is empty; name at least one, or give None for all")
    return np.array([where[name] for name in names])


def check_number(name: str, value: Any, highest: int, reason: str) -> int:
    """Return a whole number from 1 to `highest`, or raise."""
    if highest < 1:
        raise ValueError(
            f"{name}: there is a single neuron, and the number has to be {reason}; leave this "
            "prior out."
        )
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or not 1 <= value <= highest:
        raise ValueError(
            f"{name}: got {value!r}, allowed are whole numbers from 1 to {highest} ({reason})."
        )
    return int(value)
