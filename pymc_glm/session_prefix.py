"""Names of variables and dims in models of several sessions."""

__all__ = ["SEPARATOR"]

SEPARATOR = "::"
