"""How cost grows with neurons and bins: seconds per iteration and memory of the default sampler.

    python benchmarks/scaling.py [--neurons 10 30 100 300] [--bins 10000 100000 1000000]
                                 [--sample 300 1000000]

Simulated networks (rates log-normal around 4 Hz, three edges into a neuron and a self-edge, 5 ms
bins, three basis functions over 100 ms), each size in a separate process, one thread. The default
priors. Steps are put where a warm-up would leave them: averages at the true network, then the
expansions and metrics that follow from them. Printed for each size: the values of the history
that are not zero seconds of processor time to build model and
steps and of an iteration by its parts (median), nanoseconds of an iteration for each such value,
the highest memory of the process that built all of it, and what a second process of a chain adds
(memory that it has to itself; the rest is shared). Then the exponents of a fit of log seconds.

`--sample N T` runs `pymc_glm.sample` itself, two chains in two spawned processes, for one tuning
iteration and one draw, and prints the highest memory of all its processes together.
"""

import argparse
import json
import os
import pickle
import resource
import subprocess
import sys
import threading
import time
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import cloudpickle
import numpy as np
import xarray as xr
from cases import BIN_WIDTH, EDGES_IN, MEDIAN_RATE, RATE_SPREAD
from scipy.special import logit
from threadpoolctl import threadpool_limits

import pymc_glm as pg
from pymc_glm.engines import Averages, Given, metric_at
from pymc_glm.kernels.spike_history import runs_with_history

N_BASIS, N_LAGS = 3, 20
CHUNK = 20_000  # bins simulated at a time
GB = 2**30
SURE = 0.98  # inclusion that a true edge is given


def network(n: int) -> pg.NetworkParameters:
    """Return the parameters of a sparse network."""
    rng = np.random.default_rng(n)
    basis = pg.basis.raised_cosine(N_BASIS, N_LAGS * BIN_WIDTH, BIN_WIDTH)
    bias = logit(MEDIAN_RATE * BIN_WIDTH * np.exp(RATE_SPREAD * rng.standard_normal(n)))
    weights = 0.3 * rng.standard_normal((n, n, N_BASIS))
    weights *= rng.random((n, n, 1)) < EDGES_IN / n
    weights[np.arange(n), np.arange(n)] = -1.0
    return pg.NetworkParameters(bias, weights, basis)


def simulate(parameters: pg.NetworkParameters, n_bins: int) -> xr.DataArray:
    """Simulate piece by piece."""
    pieces, history, rng = [], None, np.random.default_rng(1)
    for first in range(0, n_bins, CHUNK):
        piece = pg.simulate(
            parameters, min(CHUNK, n_bins - first), random_seed=rng, initial_history=history
        ).values
        history = piece[-N_LAGS:]
        pieces.append(piece.astype(np.int8))
    counts = np.concatenate(pieces)
    return xr.DataArray(counts, dims=("time", "neuron"), attrs={"bin_width": BIN_WIDTH})


def warmed_up(model, parameters: pg.NetworkParameters) -> tuple[list, dict]:
    """Return the steps as after a warm-up, and the true point."""
    present = parameters.weights.any(axis=2)
    with model:
        steps = [pg.EdgeMetropolis(threads=1), pg.WeightHMC(threads=1), pg.NetworkNUTS()]
    point = model.initial_point(0)
    truth = {
        "bias": parameters.bias,
        "adjacency": present.astype(np.int8),
        "weights": parameters.weights,
    }
    point |= truth
    inclusion = np.where(present, SURE, 1 - SURE)
    averages = Averages(1000, inclusion, truth["bias"], truth["weights"])
    for step in steps:
        step.setup_chain(np.random.default_rng(0), 0, 0)
        if step.name != "network_nuts":
            step.averages = averages
    edges, weights, _ = steps
    weights.metric = metric_at(weights.engine, Given(), weights.data.history, averages, 0.2)
    weights.step_size[:] = 0.5
    for step in steps:
        step.stop_tuning()
    assert edges.expansion is not None
    return steps, point


def touched_bins(history) -> int:
    """Return the number of bins with history, summed over pre neurons."""
    runs = np.empty((history.n_bins, 2), np.int64)
    total = 0
    for m in range(history.n_pre):
        number = runs_with_history(history, m, 0, history.n_bins, runs)
        total += int(np.diff(runs[:number]).sum())
    return total


def private_memory() -> float:
    """Return what this process has to itself, in GB."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private")) / 2**20


def second_process(message: bytes, queue) -> None:
    """Receive the steps as a worker does, move a few neurons, and tell the memory."""
    empty = private_memory()
    with threadpool_limits(1):
        steps, point = pickle.loads(message)
        for step in steps[:2]:
            step.engine.posts.n_posts = 2  # scratch memory is the same for any number
            point, _ = step.step(point)
    queue.put(private_memory() - empty)


def measure(n: int, n_bins: int) -> dict:
    """Build, time and weigh one size."""
    parameters = network(n)
    counts = simulate(parameters, n_bins)
    start = time.process_time()
    model = pg.build_glm(counts, parameters.basis)
    with threadpool_limits(1):
        steps, point = warmed_up(model, parameters)
        built = time.process_time() - start
        history = steps[0].data.history
        seconds = np.zeros((1 if n * n_bins > 5e7 else 4, len(steps)))
        for step in steps:
            if n * n_bins <= 5e7:
                step.step(point)  # compiles
        for row, (i, step) in product(seconds, enumerate(steps)):
            clock = time.process_time()
            point, _ = step.step(point)
            row[i] = time.process_time() - clock
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        context = get_context("spawn")
        queue = context.Queue()
        message = cloudpickle.dumps((steps, point))
        worker = context.Process(target=second_process, args=(message, queue))
        worker.start()
        added = queue.get()
        worker.join()
    edges, weights, nuts = np.median(seconds, axis=0)
    return {
        "values": touched_bins(history) * N_BASIS,
        "built": built,
        "edges": edges,
        "weights": weights,
        "nuts": nuts,
        "peak": peak,
        "added": added,
    }


def in_a_process(*arguments: object) -> dict:
    """Run this file again and read what it prints last."""
    done = subprocess.run(
        [sys.executable, __file__, "--role", *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def tree_memory(parent: int) -> float:
    """Return the memory of a process and its descendants in GB, shared pages counted once."""
    total, pending = 0.0, [parent]
    while pending:
        process = Path(f"/proc/{pending.pop()}")
        try:
            lines = (process / "smaps_rollup").read_text().splitlines()
            children = [task.read_text() for task in process.glob("task/*/children")]
        except OSError:  # it has ended
            continue
        total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 2**20
        pending += [int(child) for text in children for child in text.split()]
    return total


def run_sample(n: int, n_bins: int) -> dict:
    """Run the whole of `pymc_glm.sample` and watch its memory."""
    parameters = network(n)
    counts = simulate(parameters, n_bins)
    highest, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(1.0):
            highest[0] = max(highest[0], tree_memory(os.getpid()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    model = pg.build_glm(counts, parameters.basis)
    tree = pg.sample(
        1, 1, chains=2, cores=2, model=model, random_seed=1, progressbar=False, mp_ctx="spawn",
        report=False,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    done.set()
    watcher.join()
    return {"seconds": seconds, "peak": highest[0], "draws": tree["posterior"].sizes["draw"]}


def exponents(rows: list[tuple[int, int, dict]]) -> str:
    """Fit log seconds by log N and log T."""
    x = np.array([[1.0, np.log(n), np.log(t)] for n, t, _ in rows])
    lines = []
    for what, parts in (
        ("edges", ("edges",)),
        ("weights", ("weights",)),
        ("iteration", ("edges", "weights", "nuts")),
        ("values of the history", ("values",)),
    ):
        y = np.log([sum(row[part] for part in parts) for *_, row in rows])
        fit, *_ = np.linalg.lstsq(x, y, rcond=None)
        spread = np.abs(y - x @ fit).max()
        lines.append(
            f"{what}: N^{fit[1]:.2f} T^{fit[2]:.2f} (within a factor {np.exp(spread):.2f})"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--neurons", type=int, nargs="+", default=[10, 30, 100, 300])
    parser.add_argument("--bins", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--sample", type=int, nargs=2, metavar=("N", "T"))
    parser.add_argument("--role", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role:
        what, n, n_bins = options.role[0], int(options.role[1]), int(options.role[2])
        print(json.dumps({"size": measure, "sample": run_sample}[what](n, n_bins)))
        return
    if options.sample:
        result = in_a_process("sample", *options.sample)
        n, n_bins = options.sample
        print(
            f"pymc_glm.sample, N = {n}, T = {n_bins}, B = {N_BASIS}, two spawned chains, 1 + 1 "
            f"iterations: {result['seconds']:.0f} s, highest memory of all processes "
            f"{result['peak']:.1f} GB"
        )
        return
    print(
        "| N | T | values | build, s | edges, s | weights, s | hyperparameters, s "
        "| ns per value | memory, GB | second process, GB |"
    )
    print("|" + 10 * "---|", flush=True)
    rows = []
    for n_bins, n in product(options.bins, options.neurons):
        row = in_a_process("size", n, n_bins)
        rows.append((n, n_bins, row))
        each = 1e9 * (row["edges"] + row["weights"] + row["nuts"]) / row["values"]
        print(
            f"| {n} | {n_bins} | {row['values']:.3g} | {row['built']:.1f} | {row['edges']:.3g} "
            f"| {row['weights']:.3g} | {row['nuts']:.3g} | {each:.0f} | {row['peak']:.2f} "
            f"| {row['added']:.2f} |",
            flush=True,
        )
    print(f"\n{exponents(rows)}")


if __name__ == "__main__":
    main()
