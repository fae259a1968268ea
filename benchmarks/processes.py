"""Chains in separate processes, two at a time, each on one core."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from itertools import cycle
from multiprocessing import Queue, get_context

__all__ = ["two_at_a_time"]

PROCESSES = 2


def _pin(cores: Queue) -> None:
    """Keep this process to one core: JAX has no switch that keeps it to one thread."""
    os.sched_setaffinity(0, {cores.get()})


def two_at_a_time[Job, Result](
    function: Callable[[Job], Result], jobs: Iterable[Job]
) -> list[Result]:
    """Call a function with each job, in two processes that last for all of them."""
    context = get_context("spawn")
    cores = context.Queue()
    for _, core in zip(range(PROCESSES), cycle(sorted(os.sched_getaffinity(0))), strict=False):
        cores.put(core)
    with ProcessPoolExecutor(PROCESSES, context, initializer=_pin, initargs=(cores,)) as pool:
        return list(pool.map(function, jobs))
