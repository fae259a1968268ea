"""Sentences for a terminal."""

import textwrap
from collections.abc import Sequence

__all__ = ["counted", "listed", "wrapped"]

_MAX_NAMES = 12
_WIDTH = 88


def wrapped(paragraph: str, indent: str = "  ") -> str:
    """Paragraph in lines of at most 88 characters that leave the names of pairs in one piece.

    Examples
    --------
    >>> print(wrapped("Chains disagree on the edges " + ", ".join(["retina_1 -> retina_2"] * 3)))
    Chains disagree on the edges retina_1 -> retina_2, retina_1 -> retina_2,
      retina_1 -> retina_2
    """
    glued = paragraph.replace(" -> ", "\u00a0->\u00a0").replace(" & ", "\u00a0&\u00a0")
    lines = textwrap.fill(glued, _WIDTH, subsequent_indent=indent, break_on_hyphens=False)
    return lines.replace("\u00a0", " ")


def counted(number: int, noun: str) -> str:
    """Join number and noun.

    Examples
    --------
    >>> counted(1, "draw"), counted(2, "draw")
    ('1 draw', '2 draws')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def listed(names: Sequence[str]) -> str:
    r"""List at most 12 names, then how many more.

    Examples
    --------
    >>> listed(list("abcdefghijklmno"))
    'a, b, c, d, e, f, g, h, i, j, k, l and\xa03\xa0more'
    """
    more = len(names) - _MAX_NAMES
    return ", ".join(names[:_MAX_NAMES]) + (f" and\u00a0{more}\u00a0more" if more > 0 else "")
