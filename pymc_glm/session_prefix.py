"""Names of variables and dims in models of several sessions, such as ``monday::weights``."""

from collections.abc import Hashable, Iterable

__all__ = ["SEPARATOR", "in_session", "plain_name", "session_of", "sessions_with"]

SEPARATOR = "::"


def in_session(session: str, name: Hashable) -> str:
    """Return the name that a session's variable or dim has in a model of several sessions."""
    return f"{session}{SEPARATOR}{name}"


def session_of(name: Hashable) -> str:
    """Return the session of a variable or dim, an empty string if it belongs to none."""
    session, separator, _ = str(name).partition(SEPARATOR)
    return session if separator else ""


def plain_name(name: Hashable) -> str:
    """Return the name of a variable or dim without its session."""
    return str(name).rpartition(SEPARATOR)[2]


def sessions_with(name: str, variables: Iterable[Hashable]) -> list[str]:
    """Return the sessions that have a variable of this name."""
    return [session_of(v) for v in variables if str(v).endswith(f"{SEPARATOR}{name}")]
