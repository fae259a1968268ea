"""Checks of the numbers and labels that users pass, and random generators from seeds."""

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
    """Return a generator made from a seed, or the generator given.

    Parameters
    ----------
    random_seed : int, numpy.random.Generator or None

    Raises
    ------
    ValueError
        If it is not a valid seed.
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
        A number of any real type, Python's or NumPy's; True and False do not count as numbers.
    name : str
        Name of the argument, for messages.
    above, at_least, below : float
        Bounds; by default any finite number is allowed.
    unit : str
        Unit of the argument, such as "s", for messages.

    Raises
    ------
    TypeError
        If it is not a number.
    ValueError
        If it is not finite or out of bounds.
    """
    bounds = {"above": above, "of at least": at_least, "below": below}
    limits = " and ".join(f"{how} {at:g}" for how, at in bounds.items() if np.isfinite(at))
    if unit and not limits:
        limits = "in"
    allowed = " ".join(filter(None, ["finite numbers", limits, unit]))
    message = f"{name}: got {_shown(value)}, allowed are {allowed}."
    if not _is_real(value):
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
        If it is anything else.
    """
    if not _is_real(value) or not 0 < float(value) < 1:
        raise ValueError(f"{name}: got {_shown(value)}, allowed are numbers above 0 and below 1.")
    return float(value)


def as_whole_number(
    value: Any, name: str, *, at_least: int = 1, at_most: int | None = None, reason: str = ""
) -> int:
    """Return a whole number within bounds.

    Parameters
    ----------
    value : Any
        A number of any integer type, Python's or NumPy's; True and False do not count as numbers.
    name : str
        Name of the argument, for messages.
    at_least : int
    at_most : int, optional
    reason : str
        Where the bounds come from, such as "the number of neurons", for messages.

    Raises
    ------
    ValueError
        If it is not a whole number or out of bounds.
    """
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < at_least or (at_most is not None and value > at_most):
        bounds = f"of at least {at_least}" if at_most is None else f"from {at_least} to {at_most}"
        because = f" ({reason})" if reason else ""
        raise ValueError(
            f"{name}: got {_shown(value)}, allowed are whole numbers {bounds}{because}."
        )
    return int(value)


def as_labels(neurons: Iterable[Hashable], argument: str = "neurons") -> tuple[str, ...]:
    """Return labels as strings; they must be unique.

    Raises
    ------
    ValueError
        If a label repeats.
    """
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
    """Return the index of every chosen label, by default of all labels.

    Parameters
    ----------
    labels : tuple of str
        The labels to choose from.
    chosen : iterable of labels, or None
    argument : str
        Name of the argument, for messages.
    what : str
        What the labels name, for messages.

    Raises
    ------
    ValueError
        If a label is unknown or repeats, or none is chosen.
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


def _is_real(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    """Return a value as messages show it: NumPy's numbers like Python's."""
    return repr(value.item() if isinstance(value, np.generic) else value)
