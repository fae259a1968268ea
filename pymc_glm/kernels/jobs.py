"""Calls of a kernel with several sets of arguments, on threads if there are any."""

from collections.abc import Callable, Iterable
from concurrent.futures import Executor

__all__ = ["run_jobs"]


def run_jobs(executor: Executor | None, function: Callable, jobs: Iterable[tuple]) -> list:
    """Call a function with each tuple of arguments; return the results in order."""
    if executor is None:
        return [function(*job) for job in jobs]
    return [future.result() for future in [executor.submit(function, *job) for job in jobs]]
