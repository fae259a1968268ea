"""Threads within a chain, over post neurons."""

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

from threadpoolctl import ThreadpoolController

from pymc_glm.kernels.jobs import run_jobs

__all__ = ["Threads", "available_cores"]


def available_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _default_threads() -> int:
    """All cores in the main process; one in a worker, whose siblings have the others."""
    if multiprocessing.parent_process() is not None:
        return 1
    return available_cores()


class Threads:
    """The threads of one step method in one process; BLAS gets one in each.

    Parameters
    ----------
    wanted : int or None
        By default all cores in the main process and one in a worker of parallel chains.
    n_posts : int
        There is no use for more threads than post neurons.

    Raises
    ------
    ValueError
        `wanted` is no whole number of at least 1.
    """

    def __init__(self, wanted: int | None, n_posts: int):
        if wanted is not None and (not hasattr(wanted, "__index__") or wanted < 1):
            raise ValueError(f"threads: got {wanted!r}, allowed are whole numbers of at least 1.")
        self.wanted = wanted
        self.n_posts = n_posts
        self._process: int | None = None

    def __getstate__(self) -> dict:
        """Leave the threads behind: they cannot travel to another process."""
        return {"wanted": self.wanted, "n_posts": self.n_posts, "_process": None}

    def _start(self) -> None:
        if self._process == os.getpid():
            return
        self._process = os.getpid()
        self._n_threads = min(self.wanted or _default_threads(), self.n_posts)
        self._executor = ThreadPoolExecutor(self._n_threads) if self._n_threads > 1 else None
        self._blas = ThreadpoolController()

    @property
    def n_threads(self) -> int:
        """How many threads run here."""
        self._start()
        return self._n_threads

    @property
    def executor(self) -> ThreadPoolExecutor | None:
        """The threads, None if there is one only."""
        self._start()
        return self._executor

    def single_blas(self) -> AbstractContextManager:
        """Return a context in which BLAS uses one thread."""
        self._start()
        return self._blas.limit(limits=1, user_api="blas")

    def over_posts(self, function: Callable, *arguments: object) -> list:
        """Call ``function((first, last), *arguments)`` for runs of post neurons that cover all.

        Runs are short so that threads stay busy; results are in their order.
        """
        size = max(1, self.n_posts // (8 * self.n_threads)) if self.n_threads > 1 else self.n_posts
        runs = [(n, min(n + size, self.n_posts)) for n in range(0, self.n_posts, size)]
        with self.single_blas():
            return run_jobs(self.executor, function, [(run, *arguments) for run in runs])
