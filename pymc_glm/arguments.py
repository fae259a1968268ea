"""Checks of numbers, labels and sizes that users give, and random generators from seeds."""

import difflib
from collections.abc import Hashable, Iterable
from numbers import Real
from typing import Any

import numpy as np

__all__ = [
    "as_labels",
    "as_number",
    "as_probability",
    "as_whole_number",
    "label_index",
    "random_generator",
]


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


def as_number(
    value: Any,
    name: str,
    *,
    above: float = -np.inf,
    at_least: float = -np.inf,
    below: float = np.inf,
    unit: str = "",
) -> float:
    """Return a finite real number within bounds.

    Parameters
    ----------
    value : Any
    name : str
        The argument's name, for messages.
    above, at_least, below : float
        What is allowed; by default any finite number.
    unit : str
        Of the argument, for messages, such as "s".

    Raises
    ------
    TypeError
        It is no number. True and False are none.
    ValueError
        It is not finite, or out of bounds.
    """
    bounds = {"above": above, "of at least": at_least, "below": below}
    limits = [f"{how} {limit:g}" for how, limit in bounds.items() if np.isfinite(limit)]
    allowed = " ".join(["finite numbers", " and ".join(limits), unit]).rstrip().replace("  ", " ")
    message = f"{name}: got {value!r}, allowed are {allowed}."
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise TypeError(message)
    number = float(value)
    if not (np.isfinite(number) and above < number < below and number >= at_least):
        raise ValueError(message)
    return number


def as_probability(value: Any, name: str) -> float:
    """Return a number above 0 and below 1.

    Raises
    ------
    ValueError
        It is none.
    """
    if (
        isinstance(value, bool | np.bool_)
        or not isinstance(value, Real)
        or not 0 < float(value) < 1
    ):
        raise ValueError(f"{name}: got {value!r}, allowed are numbers above 0 and below 1.")
    return float(value)


def as_whole_number(
    value: Any, name: str, *, at_least: int = 1, at_most: int | None = None, reason: str = ""
) -> int:
    """Return a whole number within bounds.

    Parameters
    ----------
    value : Any
        Of any integer type, Python's or NumPy's; True and False are no numbers.
    name : str
        The argument's name, for messages.
    at_least : int
    at_most : int, optional
    reason : str
        Why these are the bounds, such as "the number of neurons", for messages.

    Raises
    ------
    ValueError
        It is no whole number, or out of bounds.
    """
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < at_least or (at_most is not None and value > at_most):
        bounds = f"of at least {at_least}" if at_most is None else f"from {at_least} to {at_most}"
        because = f" ({reason})" if reason else ""
        raise ValueError(f"{name}: got {value!r}, allowed are whole numbers {bounds}{because}.")
    return int(value)


def as_labels(neurons: Iterable[Hashable], argument: str = "neurons") -> tuple[str, ...]:
    """Return labels as strings, each once."""
    if isinstance(neurons, str):
        neurons = (neurons,)
    labels = tuple(str(label) for label in neurons)
    repeated = sorted({label for label in labels if labels.count(label) > 1})
    if repeated:
        raise ValueError(f"{argument}: labels must be unique, but these repeat: {repeated}.")
    return labels


def label_index(
    labels: tuple[str, ...],
    chosen: Iterable[Hashable] | None,
    argument: str = "neurons",
    what: str = "neurons",
) -> np.ndarray:
    """Return the index of every chosen label, all by default.

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
            f"{similar}."
        )
    if not names:
        raise ValueError(f"{argument}: it is empty; name at least one, or give None for all.")
    return np.array([where[name] for name in names])
