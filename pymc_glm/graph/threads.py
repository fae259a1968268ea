"""Threads over the post neurons of a chain."""

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

from threadpoolctl import ThreadpoolController

from pymc_glm.arguments import as_whole_number
from pymc_glm.kernels.jobs import run_jobs

__all__ = ["Threads", "available_cores"]


def available_cores() -> int:
    """Return the number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _default_threads() -> int:
    """Return all cores in the main process, one in a worker, whose siblings use the others."""
    if multiprocessing.parent_process() is not None:
        return 1
    return available_cores()


class Threads:
    """The threads of one step method in one process; BLAS uses one thread in each.

    Parameters
    ----------
    wanted : int or None
        By default all cores in the main process and one in a worker of parallel chains.
    n_posts : int
        Number of post neurons, the largest useful number of threads.

    Raises
    ------
    ValueError
        `wanted` is not a whole number of at least 1.
    """

    def __init__(self, wanted: int | None, n_posts: int):
        self.wanted = None if wanted is None else as_whole_number(wanted, "threads")
        self.n_posts = n_posts
        self._process: int | None = None

    def __getstate__(self) -> dict:
        """Leave out the threads, which cannot be pickled."""
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
        """Number of threads in this process."""
        self._start()
        return self._n_threads

    @property
    def executor(self) -> ThreadPoolExecutor | None:
        """The pool of threads, None if there is only one."""
        self._start()
        return self._executor

    def single_blas(self) -> AbstractContextManager:
        """Return a context in which BLAS uses one thread."""
        self._start()
        return self._blas.limit(limits=1, user_api="blas")

    def over_posts(self, function: Callable, *arguments: object) -> list:
        """Call ``function((first, last), *arguments)`` for consecutive runs of post neurons.

        Runs are short, so that all threads stay busy. Results are in the order of the runs.
        """
        size = max(1, self.n_posts // (8 * self.n_threads)) if self.n_threads > 1 else self.n_posts
        runs = [(n, min(n + size, self.n_posts)) for n in range(0, self.n_posts, size)]
        with self.single_blas():
            return run_jobs(self.executor, function, [(run, *arguments) for run in runs])
