"""Which engine a step method uses."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from pymc_glm.engines.engine import Engine
from pymc_glm.engines.threads import ThreadsEngine

__all__ = ["ENGINES", "check_engine", "engine", "engine_name", "make_engine"]


def _jax(threads: int | None) -> Engine:
    from pymc_glm.engines.jax import JaxEngine  # JAX takes a second to import

    return JaxEngine(threads)


ENGINES: dict[str, Callable[[int | None], Engine]] = {"threads": ThreadsEngine, "jax": _jax}

_chosen: ContextVar[str] = ContextVar("engine", default="threads")


def check_engine(name: str) -> str:
    """Return the name of an engine.

    Raises
    ------
    ValueError
        There is no such engine.
    """
    if name not in ENGINES:
        raise ValueError(f"engine: got {name!r}, allowed are {', '.join(map(repr, ENGINES))}.")
    return name


@contextmanager
def engine(name: str) -> Iterator[None]:
    """Use an engine for all step methods that are made in this context.

    Parameters
    ----------
    name : {"threads", "jax"}
        "threads" runs on the processor. "jax" runs on a GPU if JAX finds one, on the processor
        otherwise, and needs the extra ``pymc_glm[jax]``.

    Yields
    ------
    None

    Raises
    ------
    ValueError
        There is no such engine.

    Examples
    --------
    >>> import numpy as np, pymc as pm, pymc_glm as pg
    >>> counts = np.random.default_rng(1).poisson(0.05, (300, 2)).clip(0, 1)
    >>> basis = pg.basis.raised_cosine(1, window=0.05, bin_width=0.005)
    >>> with pg.build_glm(counts, basis), pg.engine("threads"):
    ...     step = pg.WeightHMC()
    >>> step.engine.name
    'threads'
    """
    token = _chosen.set(check_engine(name))
    try:
        yield
    finally:
        _chosen.reset(token)


def engine_name(name: str | None) -> str:
    """Return the name of an engine, by default that of the context.

    Raises
    ------
    ValueError
        There is no such engine.
    """
    return _chosen.get() if name is None else check_engine(name)


def make_engine(name: str | None, threads: int | None) -> Engine:
    """Make an engine.

    Parameters
    ----------
    name : str, optional
        By default the engine of the context.
    threads : int, optional
        For what runs on the processor.

    Raises
    ------
    ValueError
        There is no such engine, or `threads` is not a whole number of at least 1.
    ImportError
        The package that the engine needs is not installed.
    """
    return ENGINES[engine_name(name)](threads)
