"""Networks whose connections are known: are the edges that are called the connections there?

    python benchmarks/truth.py [--short] [--sets ren20 ...] [--methods recommended ...]

Every set of `pg.datasets.fetch_network`, in bins of 1 ms, is fitted with the same settings, those
that are recommended for recordings, and its edges are compared with the true connections. Beside
it: the cross-correlogram minus its smooth background, the published results of six methods
(spycon), and NeMoS (group lasso, strength by cross-validation). Printed, as Markdown, over all
ordered pairs without the diagonal: area under the ROC curve, average precision, Matthews
correlation coefficient, realised false discovery rate, recall and number of calls, at the method's
own threshold or, marked "best", at the one that is best given the truth; the share of right signs
among the true calls; how many false calls have a peak in their cross-correlogram, as a path through
neurons that were not recorded would leave; the same by sign; seconds; what has not converged.

The correlogram's window and smoothing are chosen for each set, with knowledge of it; nothing else
is. PYMC_GLM_NETWORKS names a folder with the files; without it they are downloaded once.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pymc as pm
import xarray as xr
from correlograms import Settings, correlograms, has_peak
from truth_rivals import correlogram_verdict, nemos_verdict, published_verdicts
from truth_scores import Marks, Verdict, decisions, marks

import pymc_glm as pg

BIN_WIDTH, FDR, SHORT = 0.001, 0.05, 600.0
MOST_NAMED = 6
NEMOS = 12_000  # neuron-seconds
PEAK = (0.0005, 0.007)  # s, lags at which the correlograms of false calls are searched
SETS = {
    "ren20": Settings(0.0005, 0.005, 0.0005, 0.007),
    "spycon": Settings(0.0005, 0.005, 0.0005, 0.007),
    "tspe": Settings(0.001, 0.010, 0.001, 0.021),
    "casadiego": Settings(0.0005, 0.005, 0.0005, 0.006),
}
METHODS = ("recommended", "correlogram", "published", "nemos")
KINDS = {"all": 0, "excitatory": 1, "inhibitory": -1}
HEADER = (
    "| method | connections | AUC | AP | MCC | false discovery rate | recall | calls | right signs "
    "| false calls | with a peak | seconds |"
)


def recommended_verdict(
    name: str, counts: xr.DataArray, arguments: argparse.Namespace
) -> tuple[Verdict, str]:
    """Sample the recommended model; return its verdict and what has not converged."""
    started = time.perf_counter()
    tree = pg.sample(
        arguments.draws,
        arguments.tune,
        chains=arguments.chains,
        random_seed=arguments.seed,
        model=pg.recording_glm(counts),
        progressbar=False,
        quiet=True,
    )
    edges = pg.edge_summary(tree, include_self=False, fdr=FDR)
    seconds = time.perf_counter() - started
    if arguments.keep:
        arguments.keep.mkdir(parents=True, exist_ok=True)
        edges.to_csv(arguments.keep / f"{name}.csv", index=False)
    neurons = [str(label) for label in counts["neuron"].values]
    place = [[neurons.index(label) for label in edges[end]] for end in ("post", "pre")]
    score, sign = np.zeros((2, len(neurons), len(neurons)))
    called = np.zeros(score.shape, dtype=bool)
    # The table is sorted: by probability, and by size where probabilities are the same.
    score[*place] = np.arange(len(edges), 0, -1)
    sign[*place] = np.where(edges["excitatory"] >= edges["inhibitory"], 1, -1)
    called[*place] = edges["discovered"]
    report = pg.convergence_report(tree)
    return Verdict("recommended", score, called, sign, seconds), not_converged(report)


def not_converged(report: pg.ConvergenceReport) -> str:
    """Say in one line what has not converged."""
    if report.converged:
        return f"everything has converged; largest R-hat {report.worst_r_hat:.3f}"
    parts = {
        "edges": report.edges_not_converged,
        "filters": report.weights_not_converged,
        "biases": report.biases_not_converged,
        "hyperparameters": report.hyperparameters_not_converged,
    }
    named = ", ".join(f"{len(names)} {what}" for what, names in parts.items() if names)
    hyper = ", ".join(parts["hyperparameters"][:MOST_NAMED])
    hyper += ", ..." * (len(parts["hyperparameters"]) > MOST_NAMED)
    return (
        f"not converged: {named or 'cannot be judged'}{f' ({hyper})' if hyper else ''}; largest "
        f"R-hat {report.worst_r_hat:.3f} ({report.worst})"
    )


def number(value: float, digits: int = 3) -> str:
    return "-" if np.isnan(value) else f"{value:.{digits}f}"


def row(
    verdict: Verdict, kind: str, found: Marks, false_calls: tuple[int, int] | None = None
) -> str:
    """Return a row of the table."""
    first = kind == "all"
    cells = [
        verdict.method if first else "",
        f"{kind}, {found.n_true}",
        number(found.auc),
        number(found.ap),
        number(found.mcc) + (" (best)" if found.best and first else ""),
        number(found.fdr),
        number(found.recall),
        str(found.n_calls),
        number(found.right_signs),
        *(map(str, false_calls) if false_calls else ("", "")),
        number(verdict.seconds, 1) if first else "",
    ]
    return f"| {' | '.join(cells)} |"


def rows(verdict: Verdict, weights: np.ndarray, peak: np.ndarray) -> list[str]:
    """Return the rows of a method: all connections, then by sign."""
    false = decisions(verdict, weights) & (weights == 0)
    found = {kind: marks(verdict, weights, sign) for kind, sign in KINDS.items()}
    return [
        row(verdict, kind, m, (int(false.sum()), int((false & peak).sum())) if i == 0 else None)
        for i, (kind, m) in enumerate(found.items())
        if m.n_true
    ]


def verdicts(
    name: str, spikes: pg.SpikeTrains, arguments: argparse.Namespace, simplest: Verdict
) -> Iterator[tuple[Verdict, str]]:
    """Yield the verdict of every method, and a note on it."""
    counts = pg.bin_spikes(spikes, BIN_WIDTH)
    counts = counts.clip(max=1).assign_attrs(counts.attrs)
    if "recommended" in arguments.methods:
        yield recommended_verdict(name, counts, arguments)
    if "correlogram" in arguments.methods:
        yield simplest, ""
    if "published" in arguments.methods and name == "spycon":
        yield from ((verdict, "") for verdict in published_verdicts())
    if "nemos" in arguments.methods:
        # NeMoS' time grows with bins and the square of the neurons.
        most = arguments.nemos_seconds or NEMOS / len(spikes) / (5 if arguments.short else 1)
        seconds = min(most, spikes.duration)
        if verdict := nemos_verdict(counts, pg.basis.coupling_history(counts), seconds):
            yield verdict, ""


def judge(name: str, arguments: argparse.Namespace) -> None:
    """Run all methods on a set and print its table."""
    known = pg.datasets.fetch_network(name)
    seconds = arguments.seconds or (SHORT if arguments.short else None)
    spikes = known.spikes
    if seconds and seconds < spikes.duration:
        spikes = spikes.select(duration=seconds)
    weights = known.weights.values
    started = time.perf_counter()
    shown = correlograms(spikes.times, SETS[name])
    taken = time.perf_counter() - started
    peak = has_peak(shown, *PEAK)
    unconnected = (weights == 0) & ~np.eye(len(weights), dtype=bool)
    recorded = {True: "all", False: "some", None: "it is not said whether all"}
    print(
        f"\n{len(spikes)} neurons ({recorded[known.all_recorded]} of the network), "
        f"{spikes.duration:g} s; {peak[unconnected].sum()} of {unconnected.sum()} pairs without a "
        f"connection have a peak\n\n{HEADER}\n|{'---|' * (HEADER.count('|') - 1)}",
        flush=True,
    )
    notes = []
    simplest = correlogram_verdict(shown, SETS[name], taken)
    for verdict, note in verdicts(name, spikes, arguments, simplest):
        print(*rows(verdict, weights, peak), sep="\n", flush=True)
        if note:
            notes.append(f"{verdict.method}: {note}")
    print("", *notes, "", sep="\n", flush=True)


def main() -> None:
    """Fit, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--short", action="store_true", help="the first 600 s of every set")
    parser.add_argument("--seconds", type=float, help="the first so many seconds of every set")
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--tune", type=int, default=500)
    parser.add_argument("--chains", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--nemos-seconds",
        type=float,
        help=f"NeMoS gets at most so many seconds; {NEMOS} / neurons, a fifth with --short",
    )
    parser.add_argument("--keep", type=Path, help="folder for the edges of every set, as CSV")
    arguments = parser.parse_args()
    print(
        f"bins of {1000 * BIN_WIDTH:g} ms, calls at a false discovery rate of {FDR:.0%}; "
        f"{arguments.chains} x ({arguments.tune} + {arguments.draws}) draws, pymc {pm.__version__}"
    )
    for name in arguments.sets:
        judge(name, arguments)


if __name__ == "__main__":
    main()
