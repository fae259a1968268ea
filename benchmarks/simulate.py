"""Neuron-bins per second of `pg.simulate` on one core: 50 neurons at 5 Hz, B = 3, 20 lags."""

import argparse
import time

import numpy as np

import pymc_glm as pg

BIN_WIDTH, RATE, EDGES_IN = 0.005, 5.0, 3
OBSERVATIONS = {
    "Bernoulli": pg.Bernoulli(),
    "binomial, 3 trials": pg.Binomial(3),
    "negative binomial, r = 2": pg.NegativeBinomial(2.0),
    "Poisson": pg.Poisson(),
}


def network(observation, n: int) -> pg.NetworkParameters:
    """Return a sparse network of refractory neurons with mean rates near RATE."""
    rng = np.random.default_rng(1)
    basis = pg.basis.raised_cosine(3, window=0.1, bin_width=BIN_WIDTH)
    weights = 0.3 * rng.standard_normal((n, n, 3))
    weights *= rng.random((n, n, 1)) < EDGES_IN / n
    weights[np.arange(n), np.arange(n)] = -1.0
    bias = observation.activation(np.full(n, 1.2 * RATE), BIN_WIDTH)
    return pg.NetworkParameters(bias, weights, basis, observation)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--neurons", type=int, default=50)
    parser.add_argument("--bins", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    start = time.perf_counter()
    np.random.default_rng(1).random(options.neurons * options.bins)
    uniforms = options.neurons * options.bins / (time.perf_counter() - start) / 1e6
    print(f"uniforms alone: {uniforms:.0f} million a second")
    print("| observation model | Hz | million neuron-bins per second: median (least..most) |")
    print("|---|---|---|")
    for name, observation in OBSERVATIONS.items():
        parameters = network(observation, options.neurons)
        pg.simulate(parameters, 100, random_seed=1)  # compiles
        speeds = []
        for seed in range(options.repeats):
            start = time.perf_counter()
            counts = pg.simulate(parameters, options.bins, random_seed=seed)
            speeds.append(counts.size / (time.perf_counter() - start) / 1e6)
        rate = counts.values.mean() / BIN_WIDTH
        spread = f"{np.median(speeds):.0f} ({min(speeds):.0f}..{max(speeds):.0f})"
        print(f"| {name} | {rate:.1f} | {spread} |")


if __name__ == "__main__":
    main()
