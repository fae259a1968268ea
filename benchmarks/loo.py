"""Seconds per million observations of `pg.loo` and `az.loo`, and memory at full size.

The posterior is made up: sparse networks of neurons near 5 Hz, in 5 ms bins, B = 3, 20 lags, and
draws around them in which a tenth of the other edges come and go.
"""

import argparse
import resource
import sys
import time
import warnings

import arviz as az
import numpy as np
import xarray as xr

import pymc_glm as pg

BIN_WIDTH, RATE, EDGES_IN = 0.005, 5.0, 3
warnings.filterwarnings("ignore", ".*Pareto.*")


def posterior_of(n: int, n_bins: int, draws: int, chains: int = 4) -> xr.DataTree:
    """Return a tree with a simulated recording and draws near its true parameters."""
    rng = np.random.default_rng(1)
    basis = pg.basis.raised_cosine(3, window=0.1, bin_width=BIN_WIDTH)
    weights = 0.3 * rng.standard_normal((n, n, 3))
    weights *= rng.random((n, n, 1)) < EDGES_IN / n
    weights[np.arange(n), np.arange(n)] = -1.0
    bias = pg.Bernoulli().activation(np.full(n, 1.2 * RATE), BIN_WIDTH)
    parameters = pg.NetworkParameters(bias, weights, basis, pg.Bernoulli())
    counts = pg.simulate(parameters, n_bins, random_seed=1).values.astype(np.int8)
    each = (chains, draws // chains)
    present = (weights != 0).any(axis=-1) | (rng.random((*each, n, n)) < 0.1)
    drawn = weights + 0.1 * rng.standard_normal((*each, n, n, 3))
    drawn *= present[..., None]
    names = [str(i) for i in range(n)]
    dims = ("chain", "draw", "post")
    return xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset(
                {
                    "bias": (dims, bias + 0.1 * rng.standard_normal((*each, n))),
                    "weights": ((*dims, "pre", "basis"), drawn),
                },
                {
                    "chain": np.arange(chains),
                    "draw": np.arange(each[1]),
                    "post": names,
                    "pre": names,
                },
            ),
            "constant_data": xr.Dataset(
                {
                    "counts": (("time", "post"), counts),
                    "basis_functions": (("lag", "basis"), basis.values),
                    "bin_width": ((), BIN_WIDTH),
                },
                {"time": np.arange(n_bins) * BIN_WIDTH, "post": names},
            ),
        }
    )


def seconds(function, *arguments, **options) -> tuple[float, object]:
    """Return the seconds of a call, and its result."""
    start = time.perf_counter()
    result = function(*arguments, **options)
    return time.perf_counter() - start, result


def peak() -> float:
    """Return the largest resident memory so far, GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def beside_arviz(n: int, n_bins: int, draws: int) -> None:
    tree = posterior_of(n, n_bins, draws)
    reff = 1.0  # its estimate from the posterior is the same work in both
    pg.loo(tree, reff=reff)  # compiles
    pg.loo_subsample(tree, n_observations=2, reff=reff)
    millions = n * n_bins / 1e6
    for threads in (1, 2):
        taken, ours = seconds(pg.loo, tree, reff=reff, threads=threads)
        print(f"| pg.loo, {threads} threads | {taken / millions:.1f} |")
    taken, _ = seconds(
        pg.loo_subsample, tree, n_observations=n * n_bins // 100, reff=reff, random_seed=1
    )
    print(f"| pg.loo_subsample, 1% | {taken / millions:.1f} |")
    taken, logs = seconds(pg.log_likelihood, tree)
    print(f"| pg.log_likelihood, pointwise | {taken / millions:.1f} |")
    full = xr.DataTree.from_dict(
        {"posterior": tree["posterior"].dataset, "log_likelihood": logs.to_dataset(name="spikes")}
    )
    taken, theirs = seconds(az.loo, full, pointwise=True, reff=reff)
    print(f"| az.loo, of log likelihoods that are there | {taken / millions:.1f} |")
    away = float(np.abs(ours.elpd_i.values - theirs.elpd_i.values).max())
    print(f"largest difference of elpd_i: {away:.1e}", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--neurons", type=int, default=50)
    parser.add_argument("--bins", type=int, default=400)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--full", action="store_true", help="200000 bins, ours alone, and memory")
    options = parser.parse_args()
    if not options.full:
        print("| | seconds per million observations |\n|---|---|")
        beside_arviz(options.neurons, options.bins, options.draws)
        return
    tree = posterior_of(options.neurons, 200_000, options.draws)
    before = peak()
    taken, found = seconds(pg.loo, tree)
    print(
        f"{found.n_data_points / 1e6:g} million observations, {options.draws} draws: {taken:.0f} s "
        f"with compilation, peak {peak():.2f} GB ({before:.2f} GB before)"
    )


if __name__ == "__main__":
    main()
