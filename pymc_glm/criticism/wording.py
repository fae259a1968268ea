"""Sentences for a terminal."""

import textwrap
from collections.abc import Sequence

__all__ = ["ONE_CHAIN", "counted", "have", "listed", "wrapped"]

ONE_CHAIN = "Convergence cannot be judged from one chain: run 4."
_MAX_NAMES = 12
_WIDTH = 88


def wrapped(paragraph: str, indent: str = "  ") -> str:
    """Break a paragraph into lines of at most 88 characters, but not within the names of pairs.

    Examples
    --------
    >>> print(wrapped("Chains disagree on the edges " + ", ".join(["retina_1 -> retina_2"] * 3)))
    Chains disagree on the edges retina_1 -> retina_2, retina_1 -> retina_2,
      retina_1 -> retina_2
    """
    glued = paragraph.replace(" -> ", "\u00a0->\u00a0").replace(" & ", "\u00a0&\u00a0")
    lines = textwrap.fill(glued, _WIDTH, subsequent_indent=indent, break_on_hyphens=False)
    return lines.replace("\u00a0", " ")


def counted(number: int, noun: str, plural: str = "") -> str:
    """Join a number and a noun in the singular or plural.

    Examples
    --------
    >>> counted(1, "draw"), counted(2, "draw"), counted(2, "bias", "biases")
    ('1 draw', '2 draws', '2 biases')
    """
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def have(number: int) -> str:
    """Return "has" for one thing, "have" for any other number."""
    return "has" if number == 1 else "have"


def listed(names: Sequence[str]) -> str:
    r"""List at most 12 names, then say how many more there are.

    Examples
    --------
    >>> listed(list("abcdefghijklmno"))
    'a, b, c, d, e, f, g, h, i, j, k, l and\xa03\xa0more'
    """
    more = len(names) - _MAX_NAMES
    return ", ".join(names[:_MAX_NAMES]) + (f" and\u00a0{more}\u00a0more" if more > 0 else "")
