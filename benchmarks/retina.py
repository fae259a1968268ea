"""Network priors on a recording of the retina: held-out bits per spike, and latent positions.

    python benchmarks/retina.py RECORDING.h5 [--models uncoupled dense ...] [--draws 250]

Units above 0.1 Hz over the whole recording, its first 20 minutes in bins of 10 ms; fitted on the
first 80%, scored on the last 20%. Printed, as Markdown with uncertainty: bits per spike over a
constant rate (standard error from blocks of 10 s), the differences to the uncoupled, dense and
independent models (paired, block by block), and for models with latent positions how latent and
electrode distances correlate, chain by chain, beside what neurons shuffled among the electrodes
give.
"""

import argparse
import time
from pathlib import Path
from typing import NamedTuple

import arviz as az
import numpy as np
import pymc as pm
import xarray as xr
from scipy.spatial.distance import pdist, squareform
from scipy.special import expit, log_expit
from scipy.stats import rankdata, spearmanr

import pymc_glm as pg
from pymc_glm.kernels.history import convolve_history

BIN_WIDTH, WINDOW, N_BASIS = 0.010, 0.2, 3
MINUTES, TRAINED, MIN_RATE = 20, 0.8, 0.1
BLOCK = 10.0  # s
N_SHUFFLES = 10_000

NONE = pg.BernoulliEdges(probability=0.0, self_probability=1.0)
MODELS = {
    "uncoupled": (NONE, None),
    "dense": (pg.DenseEdges(), None),
    "independent": (pg.BernoulliEdges(), None),
    "block": (pg.BlockEdges(4), pg.BlockWeights()),
    "distance": (pg.DistanceEdges(2), pg.DistanceWeights()),
    "distance of edges": (pg.DistanceEdges(2), pg.GaussianWeights()),
    "electrodes": "electrodes",
}


class Recording(NamedTuple):
    """Counts for fitting and for scoring."""

    train: xr.DataArray  # (time, neuron)
    test: np.ndarray  # (time, neuron)
    test_history: np.ndarray  # (time, neuron * basis)
    basis: xr.DataArray
    merged: int  # spikes that shared a bin with another of the same neuron
    position: xr.DataArray  # (neuron, space)


def load(path: Path) -> Recording:
    """Read, bin and split a recording."""
    trains = pg.read_spikes(path)
    active = pg.bin_spikes(trains, 1.0, min_rate=MIN_RATE)["neuron"].values  # over all of it
    counts = pg.bin_spikes(trains, BIN_WIDTH, stop=60.0 * MINUTES, neurons=active)
    binary = counts.clip(max=1).assign_attrs(counts.attrs)
    basis = pg.basis.raised_cosine(N_BASIS, window=WINDOW, bin_width=BIN_WIDTH)
    n_train = int(TRAINED * counts.sizes["time"])
    history = convolve_history(binary.values.astype(np.int64), basis.values)[n_train:]
    position = xr.concat([counts[f"position_{axis}"] for axis in "xy"], "space").T
    return Recording(
        binary.isel(time=slice(n_train)),
        binary.values[n_train:],
        history.reshape(len(history), -1),
        basis,
        int((counts - binary).sum()),
        position,
    )


def parts(name: str, recording: Recording) -> dict:
    """Return the edges and weights of a model."""
    if name == "electrodes":
        known = recording.position.values
        return {
            "edges": pg.DistanceEdges(positions=known),
            "weights": pg.DistanceWeights(positions=known),
        }
    edges, weights = MODELS[name]
    return {"edges": edges, "weights": weights}


def predictive(tree: xr.DataTree, recording: Recording, most: int = 200) -> np.ndarray:
    """Log of the posterior mean probability of every held-out count, (time, neuron)."""
    draws = tree["posterior"].to_dataset().stack(sample=("chain", "draw"), create_index=False)
    total = draws.sizes["sample"]
    chosen = np.unique(np.linspace(0, total - 1, min(most, total)).astype(int))
    sign = 2.0 * recording.test - 1.0
    mean = np.zeros(sign.shape)
    for i in chosen:
        draw = draws.isel(sample=i)
        weights = draw["weights"].transpose("post", "pre", "basis").values
        psi = draw["bias"].values + recording.test_history @ weights.reshape(len(weights), -1).T
        mean += expit(sign * psi)  # P(y | psi)
    return np.log(mean / chosen.size)


def constant(recording: Recording) -> np.ndarray:
    """Log probability of every held-out count at each neuron's rate in the fitted part."""
    rate = recording.train.values.mean(axis=0)
    return log_expit((2.0 * recording.test - 1.0) * (np.log(rate) - np.log1p(-rate)))


def blocks_of(values: np.ndarray) -> np.ndarray:
    """Sum over neurons and blocks of time, (block,)."""
    edges = np.arange(0, len(values), round(BLOCK / BIN_WIDTH))
    return np.add.reduceat(values.sum(axis=1), edges)


def per_spike(difference: np.ndarray, n_spikes: int) -> str:
    """Format bits per spike with the standard error over blocks."""
    bits = difference / np.log(2) / n_spikes
    return f"{bits.sum():.4f} ± {bits.std(ddof=1) * np.sqrt(bits.size):.4f}"


def fit(name: str, recording: Recording, arguments: argparse.Namespace) -> tuple:
    """Sample one model."""
    started = time.perf_counter()
    model = pg.build_glm(recording.train, recording.basis, **parts(name, recording))
    tree = pg.sample(
        arguments.draws,
        arguments.tune,
        chains=arguments.chains,
        random_seed=arguments.seed,
        model=model,
        progressbar=False,
        report=False,
    )
    return tree, time.perf_counter() - started


def on_electrodes(tree: xr.DataTree, recording: Recording, rng: np.random.Generator) -> str:
    """Describe how latent and electrode distances correlate."""
    electrode = pdist(recording.position.values)
    latent = tree["posterior"]["latent_positions"].transpose("chain", "draw", "post", "latent_dim")
    lines = []
    for chain, draws in enumerate(latent.values):
        distances = np.array([pdist(d) for d in draws])
        rho = np.array([spearmanr(d, electrode).statistic for d in distances])
        low, high = np.quantile(rho, [0.03, 0.97])
        mean = distances.mean(axis=0)
        lines.append(
            f"chain {chain}: draws {rho.mean():.2f} (94% {low:.2f}..{high:.2f}), "
            f"mean distances {spearmanr(mean, electrode).statistic:.2f}"
        )
    mean = np.mean([pdist(d) for d in latent.values.reshape(-1, *latent.shape[2:])], axis=0)
    found, p = mantel(mean, electrode, rng)
    aligned = pg.align_positions(tree, reference=recording.position.values)
    correlation = aligned.correlation.values
    low, high = np.quantile(correlation, [0.03, 0.97])
    lines.append(
        f"all chains: Spearman {found:.2f}, shuffled neurons reach it with p = {p:.4f}; Procrustes "
        f"correlation of draws {correlation.mean():.2f} (94% {low:.2f}..{high:.2f})"
    )
    return "; ".join(lines)


def mantel(a: np.ndarray, b: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """Rank correlation of two vectors of distances, and its p-value under shuffled neurons."""
    left, right = squareform(rankdata(a)), squareform(rankdata(b))
    upper = np.triu_indices(len(left), 1)
    found = np.corrcoef(left[upper], right[upper])[0, 1]
    shuffled = np.empty(N_SHUFFLES)
    for i in range(N_SHUFFLES):
        order = rng.permutation(len(left))
        shuffled[i] = np.corrcoef(left[np.ix_(order, order)][upper], right[upper])[0, 1]
    return float(found), float((1 + np.sum(shuffled >= found)) / (1 + N_SHUFFLES))


def describe(name: str, tree: xr.DataTree, recording: Recording, rng: np.random.Generator) -> str:
    """Say what is particular to a model."""
    posterior = tree["posterior"].to_dataset()
    told = []
    if "adjacency" in posterior:
        off = ~np.eye(posterior.sizes["post"], dtype=bool)
        edges = posterior["adjacency"].values[..., off].sum(axis=-1)
        told.append(f"{edges.mean():.0f} edges (by chain {edges.mean(axis=1).round().tolist()})")
    if "block_labels" in posterior:
        told.append(str(pg.block_summary(tree)).splitlines()[1])
    if "latent_positions" in posterior:
        told.append(on_electrodes(tree, recording, rng))
    rhat = az.rhat(posterior[["bias"]])["bias"]
    told.append(f"R-hat of the biases: median {float(rhat.median()):.2f}, {float(rhat.max()):.2f}")
    return f"- {name}: " + ". ".join(told)


def main() -> None:
    """Fit, score and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recording", type=Path)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--draws", type=int, default=250)
    parser.add_argument("--tune", type=int, default=250)
    parser.add_argument("--chains", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder of posteriors, kept and used again")
    arguments = parser.parse_args()
    recording = load(arguments.recording)
    n_spikes = int(recording.test.sum())
    print(
        f"{recording.train.sizes['neuron']} units, {recording.train.sizes['time']} bins fitted, "
        f"{len(recording.test)} scored with {n_spikes} spikes; {recording.merged} spikes shared a "
        f"bin with another; {arguments.chains} x ({arguments.tune} + {arguments.draws}) draws, "
        f"pymc {pm.__version__}\n",
        flush=True,
    )
    base = constant(recording)
    scores: dict[str, np.ndarray] = {}
    rows, notes = [], []
    for name in arguments.models:
        file = arguments.keep and arguments.keep / f"{name.replace(' ', '-')}.nc"
        seconds = float("nan")
        if file and file.exists():
            tree = xr.open_datatree(file)
        else:
            tree, seconds = fit(name, recording, arguments)
            if file:
                tree["posterior"].to_dataset().to_netcdf(file, group="posterior")
        scores[name] = blocks_of(predictive(tree, recording) - base)
        note = describe(name, tree, recording, np.random.default_rng(arguments.seed))
        against = [
            per_spike(scores[name] - scores[other], n_spikes) if other in scores else "-"
            for other in ("uncoupled", "dense", "independent")
        ]
        row = (
            f"| {name} | {per_spike(scores[name], n_spikes)} | {' | '.join(against)} | "
            f"{seconds:.0f} |"
        )
        print(row, note, sep="\n", flush=True)
        rows.append(row)
        notes.append(note)
    print(
        "\n| model | bits per spike | minus uncoupled | minus dense | minus independent | seconds |"
    )
    print("|---|---|---|---|---|---|", *rows, "", *notes, sep="\n")


if __name__ == "__main__":
    main()
