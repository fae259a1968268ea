"""How long the sampling will take, from its first iterations."""

import time
from collections.abc import Callable
from typing import Any

__all__ = ["FIRST", "TimeEstimate", "duration"]

FIRST = 20  # iterations from which the estimate is made
_SKIPPED = 2  # of them, in which functions are compiled or loaded


def duration(seconds: float) -> str:
    """Return seconds in words, to about two digits.

    Examples
    --------
    >>> from pymc_glm.sampling.estimate import duration
    >>> duration(12.3), duration(400), duration(9000)
    ('12 s', '7 min', '2.5 h')
    """
    if seconds < 100:
        return f"{seconds:.2g} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


class TimeEstimate:
    """Says once how long the sampling will take, as a callback of `pymc.sample`.

    The first iterations are not quite like later ones: edges that are still looked for cost more,
    those that are found in the meantime cost more later.

    Parameters
    ----------
    iterations : int
        Of each chain, tuning included.
    chains, cores : int
        All chains, and those that run at a time.
    say : callable
        Receives the sentence.
    others : callable, optional
        A callback that is called as well.
    clock : callable
        Returns seconds.
    """

    def __init__(
        self,
        iterations: int,
        chains: int,
        cores: int,
        say: Callable[[str], object],
        others: Callable | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ):
        self._iterations, self._chains, self._cores = iterations, chains, cores
        self._say, self._others, self._clock = say, others, clock
        self._chain: int | None = None  # the first that gets going
        self._seen, self._start = 0, 0.0

    def __call__(self, trace: Any, draw: Any) -> None:
        """Count an iteration."""
        if self._others is not None:
            self._others(trace=trace, draw=draw)
        if self._seen >= FIRST:
            return
        if self._chain is None:
            self._chain = draw.chain
        if draw.chain != self._chain:
            return
        self._seen += 1
        if self._seen == _SKIPPED:
            self._start = self._clock()
        if self._seen == FIRST:
            self._estimate((self._clock() - self._start) / (FIRST - _SKIPPED))

    def _estimate(self, seconds: float) -> None:
        rounds = -(-self._chains // self._cores)
        several = f", {self._cores} of {self._chains} chains at a time" if rounds > 1 else ""
        self._say(
            f"This will take about {duration(seconds * self._iterations * rounds)}: "
            f"{self._iterations} iterations of {duration(seconds)}{several}."
        )
