"""Seconds per leapfrog step of NetworkNUTS, for short and long recordings.

    python benchmarks/network_nuts.py [--neurons 20] [--bins 10000 1000000] [--repeats 30]

The density is cut to the Markov blanket of positions and hyperparameters, so its cost must not
depend on the length of the recording. Both lengths make the same moves (same seed, same point) and
are timed in turn.
"""

import argparse
import time

import numpy as np

import pymc_glm as pg


def prepare(n_bins: int, n_neurons: int) -> tuple:
    """Build the model on simulated counts; return the step and a point."""
    rng = np.random.default_rng(1)
    counts = (rng.random((n_bins, n_neurons)) < 0.02).astype(int)
    basis = pg.basis.raised_cosine(1, window=0.05, bin_width=0.005)
    with pg.latent_distance_glm(counts, basis, n_dims=2) as model:
        step = pg.NetworkNUTS(rng=2)
    point = model.initial_point(0)
    adjacency = np.random.default_rng(3).random((n_neurons, n_neurons)) < 0.2
    weights = np.random.default_rng(4).standard_normal(point["weights"].shape)
    point["adjacency"] = adjacency.astype(np.int8)
    point["weights"] = weights * adjacency[:, :, None]
    step.tune = False
    return step, point


def leapfrog_seconds(step: pg.NetworkNUTS, point: dict) -> tuple[dict, float]:
    """Make one transition; return the new point and the seconds per leapfrog step."""
    started = time.perf_counter()
    point, stats = step.step(point)
    return point, (time.perf_counter() - started) / stats[0]["tree_size"]


def main() -> None:
    """Time and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--neurons", type=int, default=20)
    parser.add_argument("--bins", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--repeats", type=int, default=30)
    arguments = parser.parse_args()
    runs = [[*prepare(n, arguments.neurons), []] for n in arguments.bins]
    for repeat in range(arguments.repeats + 5):
        for run in runs:
            run[1], seconds = leapfrog_seconds(run[0], run[1])
            if repeat >= 5:
                run[2].append(seconds)
    print(
        "| bins | microseconds per leapfrog step: median | quartiles | ratio |\n|---|---|---|---|"
    )
    for n_bins, (_, _, seconds) in zip(arguments.bins, runs, strict=True):
        low, middle, high = 1e6 * np.quantile(seconds, [0.25, 0.5, 0.75])
        ratio = np.median(np.array(seconds) / runs[0][2])
        print(f"| {n_bins} | {middle:.1f} | {low:.1f}..{high:.1f} | {ratio:.3f} |")


if __name__ == "__main__":
    main()
