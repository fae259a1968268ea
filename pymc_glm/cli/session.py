"""Messages of a running command, and its exit code when something goes wrong."""

import contextlib
import logging
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Iterator
from typing import Any

import typer
from rich.console import Console

__all__ = ["BAD_INPUT", "INTERRUPTED", "Session", "hold_interrupts", "open_session"]

BAD_INPUT = 2
FAILED = 1
INTERRUPTED = 130  # 128 + SIGINT, as in shells

_NARROW = 100  # columns, if the output is not a terminal
_EXPECTED = (ValueError, TypeError, OSError, ImportError)
_LOGGERS = ("pymc", "pymc_glm")  # silenced: the commands print their own messages


class Session:
    """Output of a command: progress and warnings go to stderr, results to stdout.

    Parameters
    ----------
    quiet : bool
        Print only warnings and errors.
    """

    def __init__(self, quiet: bool = False):
        self.quiet = quiet
        self.input_accepted = False
        self._progress = Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)
        self._warnings = Console(stderr=True, highlight=False, soft_wrap=True)
        terminal = sys.stdout.isatty()
        self.results = Console(quiet=quiet, highlight=False, width=None if terminal else _NARROW)

    def accept_input(self) -> None:
        """Mark the input as valid: later errors do not count as bad input."""
        self.input_accepted = True

    def say(self, text: str) -> None:
        """Print progress."""
        self._progress.print(text, markup=False)

    def warn(self, kind: str, text: str) -> None:
        """Print a warning or error as one paragraph, with --quiet too."""
        self._warnings.print(f"{kind}: {text}", markup=False)

    @contextlib.contextmanager
    def step(self, doing: str) -> Iterator[None]:
        """Show a spinner during a step, then how long it took."""
        began = time.perf_counter()
        with self._progress.status(f"{doing} ..."):
            yield
        self.say(f"{doing}: {time.perf_counter() - began:.1f} s")


def _sentence(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror is not None:
        where = "" if error.filename is None else f"{error.filename}: "
        return f"{where}{error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


def _notes(error: BaseException) -> str:
    """Return the notes added to an error, such as which files were written."""
    return " ".join(getattr(error, "__notes__", ()))


@contextlib.contextmanager
def hold_interrupts() -> Iterator[None]:
    """Delay Ctrl-C until the end of the block.

    Raises
    ------
    KeyboardInterrupt
        At the end, if Ctrl-C was pressed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread receives signals
        return
    came: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if came:
        raise KeyboardInterrupt


@contextlib.contextmanager
def _quiet_loggers() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def open_session(*, quiet: bool, debug: bool) -> Iterator[Session]:
    """Run a command: print warnings and errors as a sentence each, and set the exit code.

    Parameters
    ----------
    quiet : bool
        Print only warnings and errors.
    debug : bool
        Show the traceback of an error.

    Yields
    ------
    Session

    Raises
    ------
    typer.Exit
        With code 2 for bad input (see `Session.accept_input`), 130 after Ctrl-C, 1 for other
        errors.
    """
    session = Session(quiet)

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        session.warn("Warning", " ".join(str(message).split()))

    with warnings.catch_warnings(), _quiet_loggers():
        warnings.showwarning = show
        # Irrelevant here: no step multiplies matrices in PyTensor.
        warnings.filterwarnings("ignore", message="PyTensor could not link to a BLAS")
        try:
            yield session
        except typer.Exit:
            raise
        except KeyboardInterrupt as error:
            session.warn("Interrupted", _notes(error) or "nothing was written.")
            raise typer.Exit(INTERRUPTED) from None
        except Exception as error:
            if debug:
                traceback.print_exc()
            if isinstance(error, _EXPECTED) and not session.input_accepted:
                session.warn("Error", _sentence(error))
                raise typer.Exit(BAD_INPUT) from None
            hint = "" if debug else " (--debug shows where)"
            session.warn("Failed", f"{type(error).__name__}: {_sentence(error)}{hint}")
            if written := _notes(error):
                session.warn("Incomplete", written)
            raise typer.Exit(FAILED) from None
