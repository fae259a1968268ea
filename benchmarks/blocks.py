"""Block labels: time of a sweep over all labels, and iterations until blocks are found.

    python benchmarks/blocks.py                    seconds
    python benchmarks/blocks.py mixing [--repeats 10] [--neurons 24 60]

The first times a sweep of the exact conditional over 1000 neurons, 10 blocks and 3 basis functions
on one core: of labels that have settled, and of labels drawn at random, nearly all of which move.
The second counts iterations until simulated blocks are found (adjusted Rand index of at least 0.9)
from bad starts; the network is given, and its tables drawn by NetworkNUTS.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

import pymc_glm as pg
from pymc_glm.criticism.structure.relabelling import adjusted_rand_index
from pymc_glm.kernels.blocks import list_edges, make_tables, sweep_labels
from pymc_glm.kernels.split_merge import propose, stand_in

N_NEURONS, N_BLOCKS, N_BASIS = 1000, 10, 3
N_TIMES = 21
MOST_ITERATIONS = 300


def milliseconds(run: Callable[[], object]) -> str:
    """Return the median and quartiles of repeated runs, the first left out."""
    run()
    times = []
    for _ in range(N_TIMES):
        started = time.perf_counter()
        run()
        times.append(1e3 * (time.perf_counter() - started))
    low, middle, high = np.quantile(times, [0.25, 0.5, 0.75])
    return f"{middle:.1f} | {low:.1f}..{high:.1f}"


def time_sweeps(density: float) -> None:
    """Time a sweep, its preparation, and a proposal of a split or merge."""
    rng = np.random.default_rng(1)
    truth = np.arange(N_NEURONS) % N_BLOCKS
    shape = (N_BLOCKS, N_BLOCKS)
    probability = np.ones(shape) if density == 1 else density * rng.uniform(0.5, 1.5, shape)
    mean = 0.3 * rng.standard_normal((*shape, N_BASIS))
    whitening = np.broadcast_to(2.0 * np.eye(N_BASIS), (*shape, N_BASIS, N_BASIS))
    pairs = truth[:, None], truth[None, :]
    adjacency = (rng.random((N_NEURONS, N_NEURONS)) < probability[pairs]).astype(np.int8)
    noise = 0.5 * rng.standard_normal((N_NEURONS, N_NEURONS, N_BASIS))
    weights = (mean[pairs] + noise) * adjacency[:, :, None]
    edges = list_edges(adjacency, weights)
    tables = make_tables(probability if density < 1 else None, mean, whitening)
    concentration, self_edges = np.full(N_BLOCKS, 0.1), np.zeros((N_NEURONS, N_BLOCKS))
    arguments = edges, tables, concentration, self_edges, rng
    at_random = rng.integers(0, N_BLOCKS, N_NEURONS)
    _, moved = sweep_labels(at_random, *arguments)
    prior = stand_in(N_BLOCKS, probability[None], mean[None], whitening[None])
    rows = {
        "sweep, labels settled": lambda: sweep_labels(truth, *arguments),
        f"sweep, labels at random ({moved} move)": lambda: sweep_labels(at_random, *arguments),
        "once a step: list of edges": lambda: list_edges(adjacency, weights),
        "proposal of a split or merge": lambda: propose(truth, edges, prior, concentration, rng),
    }
    for name, run in rows.items():
        print(f"| {adjacency.mean():.2f} | {name} | {milliseconds(run)} |", flush=True)


def simulate(
    n_blocks: int, n_neurons: int, rng: np.random.Generator
) -> tuple[NDArray, NDArray, NDArray]:
    """Return labels, adjacency and weights of 2 or 3 blocks."""
    labels = np.sort(np.arange(n_neurons) % n_blocks)
    probability, effect = {
        2: (np.array([[0.5, 0.15], [0.3, 0.15]]), np.array([0.3, -0.3])),
        3: (
            np.array([[0.6, 0.3, 0.15], [0.15, 0.5, 0.3], [0.3, 0.1, 0.6]]),
            np.array([0.3, -0.3, 0.0]),
        ),
    }[n_blocks]
    profile = np.array([1.0, 0.7, 0.6])
    pairs = labels[:, None], labels[None, :]
    adjacency = (rng.random((n_neurons, n_neurons)) < probability[pairs]).astype(np.int8)
    np.fill_diagonal(adjacency, 1)
    noise = 0.2 * rng.standard_normal((n_neurons, n_neurons, N_BASIS))
    weights = (effect[labels][None, :, None] + noise) * profile
    return labels, adjacency, weights * adjacency[:, :, None]


def bad_start(kind: str, truth: NDArray, rng: np.random.Generator) -> NDArray:
    """Return labels to start from."""
    if kind == "all in one":
        return np.zeros_like(truth)
    if kind == "random":
        return rng.integers(0, truth.max() + 1, truth.size)
    if truth.max() == 1:  # two blocks: half of each in either
        return np.arange(truth.size) % 2
    last = np.where(np.arange(truth.size) % 2, 1, 2)
    return np.where(truth <= 1, 0, last)


def iterations_until_found(model, n_blocks: int, kind: str, seed: int, **options) -> int:
    """Return the iteration at which 10 draws in a row have found the blocks, or -1."""
    rng = np.random.default_rng(seed)
    truth, adjacency, weights = simulate(n_blocks, len(model.coords["post"]), rng)
    with model:
        steps = pg.BlockGibbs(rng=rng.spawn(1)[0], **options), pg.NetworkNUTS(rng=rng.spawn(1)[0])
    point = model.initial_point(0) | {"adjacency": adjacency, "weights": weights}
    point["block_labels"] = bad_start(kind, truth, rng)
    row = 0
    for iteration in range(MOST_ITERATIONS):
        for step in steps:
            point, _ = step.step(point)
        found = adjusted_rand_index(point["block_labels"][None], truth)[0] >= 0.9
        row = row + 1 if found else 0
        if row == 10:
            return iteration - 9
    return -1


def mixing(n_repeats: int, n_neurons: list[int]) -> None:
    """Print iterations until blocks are found, with and without splits and merges."""
    ways = {
        "one at a time": {"split_merges": 0},
        "one at a time, 5 sweeps": {"split_merges": 0, "sweeps": 5},
        "with splits and merges": {},
    }
    print("| blocks | neurons | start | step | found | iterations: median | worst |")
    print("|---|---|---|---|---|---|---|")
    basis = pg.basis.raised_cosine(N_BASIS, window=0.025, bin_width=0.005)
    for n in n_neurons:
        counts = np.tile([[0], [1], [0]], (10, n))
        for n_blocks in (2, 3):
            model = pg.sbm_glm(counts, basis, n_blocks=n_blocks)
            for kind in ("all in one", "random", "merged and split"):
                for name, options in ways.items():
                    runs = np.array(
                        [
                            iterations_until_found(model, n_blocks, kind, seed, **options)
                            for seed in range(n_repeats)
                        ]
                    )
                    found = np.sort(runs[runs >= 0])
                    middle, worst = (np.median(found), found[-1]) if found.size else ("-", "-")
                    print(
                        f"| {n_blocks} | {n} | {kind} | {name} | {found.size} of {n_repeats} "
                        f"| {middle} | {worst} |",
                        flush=True,
                    )


def main() -> None:
    """Time and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="?", choices=["seconds", "mixing"], default="seconds")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--neurons", type=int, nargs="+", default=[24, 60])
    arguments = parser.parse_args()
    if arguments.what == "mixing":
        mixing(arguments.repeats, arguments.neurons)
        return
    print(f"{N_NEURONS} neurons, {N_BLOCKS} blocks, {N_BASIS} basis functions, one core")
    print("| edges present | | ms: median | quartiles |\n|---|---|---|---|")
    for density in (0.1, 1.0):
        time_sweeps(density)


if __name__ == "__main__":
    main()
