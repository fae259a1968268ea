"""Seconds per Pólya-gamma sweep, next to this machine's floor and the published algorithm.

    python benchmarks/run.py [--cases N4 N27 ...] [--repeats 5]

Ours, the floor and the peer are timed in turn, repetition by repetition, so that a busy moment of
the machine meets all of them; ratios are medians of the ratios within a repetition.
"""

import argparse
import importlib.metadata
import os
import platform
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import floor
import numpy as np
import peer
from cases import Case, load, names, network_prior
from rich.console import Console
from rich.table import Table
from scipy.special import logit
from threadpoolctl import threadpool_info, threadpool_limits

import pymc_glm as pg
from pymc_glm.kernels.packing import pack_rows
from pymc_glm.kernels.polya_gamma import SweepTimes, augment, sweep
from pymc_glm.kernels.spike_history import spike_history

WARM_UP = 3  # sweeps before timing, from no edges but self-edges
MOST_PEER_POSTS = 9  # post neurons of a sweep of the peer; its time is scaled to all
LEAST_SECONDS = 0.2  # of sweeps in one timed repetition


class Timed(NamedTuple):
    """All repetitions of one case on one number of threads; seconds per sweep."""

    ours: np.ndarray  # (repetition,)
    split: np.ndarray  # (repetition, part), summed over threads
    floor: np.ndarray  # (repetition, syrk and draws)
    peer: np.ndarray | None  # (repetition, part)


class Runner:
    """One case, ready to be timed; every sampler continues from its last state."""

    def __init__(self, case: Case):
        self.case = case
        history = case.history
        n, group_size = case.counts.shape[1], history.shape[2]
        self.prior = network_prior(n, group_size)
        self.data = augment(
            pack_rows(spike_history(case.counts, case.basis)),
            pg.Bernoulli().likelihood(np.ascontiguousarray(case.counts.T)),
            group_size,
        )
        self.peer_data = peer.prepare(case.counts, history)
        self.stored = self.data.rows.values.size / self.peer_data.design.size
        self.rng = np.random.default_rng(1)
        coefficients = np.zeros((n, self.data.rows.n_columns))
        coefficients[:, 0] = logit(case.counts.mean(axis=0).clip(1e-4))
        self.state = np.eye(n, dtype=np.int8), coefficients
        with threadpool_limits(1, "blas"):
            for _ in range(WARM_UP):
                self.ours(None, 1)
            self.row_block = floor.best_row_block(self.peer_data.design)
        self.peer_state = tuple(array.copy() for array in self.state)
        n_posts = min(n, MOST_PEER_POSTS)
        self.peer_posts = np.linspace(0, n - 1, n_posts).round().astype(int)
        self.psi = self.state[1] @ self.peer_data.design.T

    def ours(self, executor, n_threads) -> tuple[float, SweepTimes]:
        start = time.perf_counter()
        result = sweep(self.data, self.prior, *self.state, self.rng, executor, n_threads)
        self.state = result.adjacency, result.coefficients
        return time.perf_counter() - start, result.times

    def peer(self) -> np.ndarray:
        times = peer.sweep_posts(
            self.peer_data, self.prior, *self.peer_state, self.rng, self.peer_posts
        )
        return np.array(times) * len(self.state[0]) / self.peer_posts.size

    def time(self, n_threads: int, repeats: int, with_peer: bool) -> Timed:
        pool = ThreadPoolExecutor(n_threads) if n_threads > 1 else nullcontext()
        rows: list[tuple] = []
        with threadpool_limits(1, "blas"), pool as executor:
            seconds, _ = self.ours(executor, n_threads)
            floor.measure(self.peer_data.design, self.psi, self.row_block, executor)
            loops = int(LEAST_SECONDS / seconds) + 1
            for _ in range(repeats):
                totals, splits = zip(
                    *[self.ours(executor, n_threads) for _ in range(loops)], strict=True
                )
                lowest = [
                    floor.measure(self.peer_data.design, self.psi, self.row_block, executor)
                    for _ in range(loops)
                ]
                peers = [self.peer() for _ in range(loops)] if with_peer else []
                rows.append(
                    tuple(np.mean(part, axis=0) for part in (totals, splits, lowest, peers) if part)
                )
        columns = [np.array(column) for column in zip(*rows, strict=True)]
        return Timed(*columns[:3], columns[3] if with_peer else None)


def seconds(values: np.ndarray) -> str:
    """Median and range."""
    return f"{np.median(values):.3g} ({values.min():.3g}..{values.max():.3g})"


def ratio(above: np.ndarray, below: np.ndarray) -> str:
    return f"{np.median(above / below):.2f}"


def sweep_table(results: dict[str, Timed], title: str) -> Table:
    table = Table("case", "ours", "floor", "ours / floor", title=title)
    has_peer = any(timed.peer is not None for timed in results.values())
    if has_peer:
        table.add_column("peer")
        table.add_column("peer / ours")
    for name, timed in results.items():
        lowest = timed.floor.sum(axis=1)
        row = [name, seconds(timed.ours), seconds(lowest), ratio(timed.ours, lowest)]
        if timed.peer is not None:
            total = timed.peer.sum(axis=1)
            row += [seconds(total), ratio(total, timed.ours)]
        table.add_row(*row)
    return table


def split_table(results: dict[str, Timed], title: str) -> Table:
    table = Table("case", "", "psi", "Pólya-gamma", "gram", "edges", "draw", title=title)
    for name, timed in results.items():
        table.add_row(name, "ours", *[f"{v:.3g}" for v in np.median(timed.split, axis=0)])
        syrk, draws = np.median(timed.floor, axis=0)
        table.add_row("", "floor", "", f"{draws:.3g}", f"{syrk:.3g}", "", "")
        if timed.peer is not None:
            table.add_row("", "peer", *[f"{v:.3g}" for v in np.median(timed.peer, axis=0)])
    return table


def n_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def describe_machine(console: Console) -> None:
    blas = {
        f"{b['internal_api']} {b['version']} ({b.get('architecture', 'unknown')})"
        for b in threadpool_info()
        if b["user_api"] == "blas"
    }
    packages = ("numpy", "scipy", "numba", "polyagamma", "pymc")
    versions = ", ".join(f"{p} {importlib.metadata.version(p)}" for p in packages)
    console.print(f"{cpu_model()}, {n_cores()} cores; {platform.system()}")
    console.print(f"BLAS: {', '.join(sorted(blas))}, limited to 1 thread in each of our threads")
    console.print(f"Python {platform.python_version()}, {versions}")


def describe_case(console: Console, runner: Runner) -> None:
    (n_bins, n), n_basis = runner.case.counts.shape, runner.data.group_size
    console.print(
        f"{runner.case.name}: N = {n}, T = {n_bins}, B = {n_basis}, "
        f"L = {len(runner.case.basis)}; mean rate {runner.case.rate:.1f} Hz at 5 ms bins, "
        f"{100 * runner.stored:.0f}% of the dense design stored, "
        f"{runner.state[0].sum()} edges present; peer timed on {runner.peer_posts.size} of {n} "
        f"neurons, floor with dsyrk on {min(runner.row_block, n_bins)} rows a call"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", choices=names(), default=names())
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    if options.repeats < 1:
        parser.error(f"--repeats: got {options.repeats}, allowed are whole numbers of at least 1")
    console = Console() if sys.stdout.isatty() else Console(width=110)
    describe_machine(console)
    one, many = {}, {}
    for name in options.cases:
        runner = Runner(load(name))
        describe_case(console, runner)
        one[name] = runner.time(1, options.repeats, with_peer=True)
        if n_cores() > 1:
            many[name] = runner.time(n_cores(), options.repeats, with_peer=False)
    console.print(
        f"Seconds per sweep: median (lowest..highest) of {options.repeats} repetitions. Floor: "
        "one dsyrk of the dense design and T Pólya-gamma draws for each neuron, nothing else. "
        "Peer: the published algorithm, full product and two Cholesky factors per edge, in NumPy "
        "and LAPACK."
    )
    console.print(sweep_table(one, "Seconds per sweep, 1 thread"))
    console.print(split_table(one, "Where they go (median), 1 thread"))
    if many:
        console.print(sweep_table(many, f"Seconds per sweep, {n_cores()} threads"))


if __name__ == "__main__":
    main()
