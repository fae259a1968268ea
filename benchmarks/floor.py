"""The least that a sweep over the dense design must do: N rank-T updates, N T Pólya-gamma draws.

``scipy.linalg.blas.dsyrk`` holds the interpreter's lock, so that threads would wait for each
other; the same BLAS routine is called here from compiled code.
"""

import time
from concurrent.futures import Executor
from typing import NamedTuple

import numba
import numpy as np
import polyagamma
from numpy.typing import NDArray

from pymc_glm.kernels.packing import _syrk

ROW_BLOCKS = (256, 512, 1024, 4096, 2**62)


class FloorTimes(NamedTuple):
    """Seconds of wall time."""

    syrk: float
    polya_gamma: float

    @property
    def total(self) -> float:
        return self.syrk + self.polya_gamma


@numba.njit(nogil=True)
def _row_blocks(design, block, c):
    beta = 0.0
    for first in range(0, design.shape[0], block):
        _syrk(design[first : first + block], c, beta)
        beta = 1.0


def _syrk_once(design: NDArray[np.float64], block: int) -> None:
    size = design.shape[1]
    _row_blocks(design, min(block, design.shape[0]), np.empty((size, size)))


def _draw_once(psi: NDArray[np.float64], seed: int) -> None:
    polyagamma.random_polyagamma(
        1,
        psi,
        out=np.empty_like(psi),
        method="devroye",
        disable_checks=True,
        random_state=np.random.Generator(np.random.SFC64(seed)),
    )


def best_row_block(design: NDArray[np.float64]) -> int:
    """Return the row block with which this machine's dsyrk is fastest."""

    def seconds(block: int) -> float:
        best = np.inf
        for _ in range(3):
            start = time.perf_counter()
            _syrk_once(design, block)
            best = min(best, time.perf_counter() - start)
        return best

    seconds(ROW_BLOCKS[0])  # compiles
    return min(ROW_BLOCKS, key=seconds)


def measure(
    design: NDArray[np.float64],
    psi: NDArray[np.float64],
    block: int,
    executor: Executor | None = None,
) -> FloorTimes:
    """Time one dsyrk of design (time, D) and one row of draws for each post neuron of psi."""
    run = map if executor is None else executor.map
    start = time.perf_counter()
    list(run(lambda _: _syrk_once(design, block), psi))
    middle = time.perf_counter()
    list(run(_draw_once, psi, range(len(psi))))
    return FloorTimes(middle - start, time.perf_counter() - middle)
