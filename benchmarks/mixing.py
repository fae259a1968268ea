"""Effective draws per second: the published algorithm, Pólya-gamma alone, and the default.

    python benchmarks/mixing.py [--cases N27 Wong1993 ...] [--priors learned fixed]
                                [--samplers published augmented default] [--scale 1.0]

Two priors: the default one of `build_glm`, its hyperparameters drawn by NetworkNUTS with every
sampler, and a fixed sparse one (edges 0.1, self-edges 0.9, weights Normal(0, 1)). Four chains that
start far apart, two processes at a time, each kept to one core, the samplers one after the other.
Seconds are of processor time, which is wall clock where nobody else uses the cores, after the
warm-up, all chains added up. Printed for the bias, for every weight with inclusion above 0.5 and
for every edge with inclusion between 0.05 and 0.95 (by the default's draws, the same sets for all
samplers of a case): bulk effective draws per second, minimum and median, and the largest R-hat.
The slow samplers run for fewer draws; where their R-hat is far from 1 their effective draws are
not more than a sign of how slow they are.
"""

import argparse
import time
from typing import NamedTuple

import arviz as az
import numpy as np
import peer
import pymc as pm
import xarray as xr
from cases import Case, load, names
from processes import two_at_a_time
from threadpoolctl import threadpool_limits

import pymc_glm as pg
from pymc_glm.graph.find import find_network
from pymc_glm.graph.prior import PriorFunction
from pymc_glm.sampling.starts import initial_points

CHAINS = 4
LENGTHS = {"published": (50, 100), "augmented": (150, 300), "default": (300, 600)}  # tune, draws


class Published:
    """The published algorithm of peer.py as a step."""

    def __init__(self, model: pm.Model, case: Case):
        self.data = peer.prepare(case.counts, case.history, case.n_trials)
        self.prior = PriorFunction(model, find_network(model))

    def setup_chain(self, rng: np.random.Generator, tune: int, draws: int) -> None:
        self.rng = rng

    def stop_tuning(self) -> None:
        """Have nothing to stop."""

    def step(self, point: dict) -> tuple[dict, list]:
        bias, adjacency = point["bias"], point["adjacency"].copy()
        coefficients = np.column_stack([bias, point["weights"].reshape(bias.size, -1)])
        posts = np.arange(bias.size)
        peer.sweep_posts(self.data, self.prior(point), adjacency, coefficients, self.rng, posts)
        weights = coefficients[:, 1:].reshape(point["weights"].shape)
        new = {"bias": coefficients[:, 0], "weights": weights, "adjacency": adjacency}
        return point | new, [{}]


class Job(NamedTuple):
    """One chain to sample."""

    case: str
    prior: str
    sampler: str
    tune: int
    draws: int
    chain: int = 0


class Chain(NamedTuple):
    """Draws of one chain."""

    bias: np.ndarray  # (draw, post)
    weights: np.ndarray  # (draw, post, pre, basis)
    adjacency: np.ndarray  # (draw, post, pre)
    tuning: float
    sampling: float


def build(case: Case, prior: str) -> pm.Model:
    """Build the model of a case."""
    parts = {}
    if prior == "fixed":
        weights = pg.GaussianWeights(0.0, 1.0, self_mean=0.0, self_cov=1.0)
        parts = {"edges": pg.BernoulliEdges(0.1, 0.9), "weights": weights}
    if case.n_trials > 1:
        observation = pg.Binomial(case.n_trials)
        return pg.build_glm(
            case.data, case.basis, observation=observation, bias_rate=300.0, **parts
        )
    return pg.build_glm(case.data, case.basis, **parts)


def steps_of(sampler: str, model: pm.Model, case: Case) -> list:
    """Return the steps of a sampler."""
    kinds = {
        "published": [],
        "augmented": [pg.PolyaGammaGibbs],
        "default": [pg.EdgeMetropolis, pg.WeightHMC],
    }[sampler]
    with model:
        first = [kind(threads=1) for kind in kinds] or [Published(model, case)]
        learned = {rv.name for rv in model.free_RVs} - {"bias", "adjacency", "weights"}
        return [*first, *([pg.NetworkNUTS()] if learned else [])]


def run_chain(job: Job) -> Chain:
    """Sample one chain, in a separate process."""
    case = load(job.case)
    model = build(case, job.prior)
    rng = np.random.default_rng([job.chain, 5])
    with threadpool_limits(1):
        with model:
            start = initial_points(model, pg.WeightHMC(threads=1), CHAINS, np.random.default_rng(5))
        steps = steps_of(job.sampler, model, case)
        point = model.initial_point(0)
        point |= {name: value for name, value in start[job.chain].items() if name in point}
        for compiling in (True, False):
            for step in steps:
                step.setup_chain(rng.spawn(1)[0], job.tune, job.draws)
            if compiling:
                for step in steps:
                    step.step(point)
        kept: list[dict] = []
        clock = [time.process_time()]
        for i in range(job.tune + job.draws):
            if i == job.tune:
                for step in steps:
                    step.stop_tuning()
                clock.append(time.process_time())
            for step in steps:
                point, _ = step.step(point)
            if i >= job.tune:
                kept.append({name: point[name] for name in Chain._fields[:3]})
        clock.append(time.process_time())
    stacked = [np.array([draw[name] for draw in kept]) for name in Chain._fields[:3]]
    return Chain(*stacked, *np.diff(clock))


def sample(case: str, prior: str, sampler: str, scale: float) -> list[Chain]:
    """Sample all chains, two at a time."""
    lengths = [max(int(scale * n), 20) for n in LENGTHS[sampler]]
    jobs = [Job(case, prior, sampler, *lengths, chain) for chain in range(CHAINS)]
    return two_at_a_time(run_chain, jobs)


def groups(chains: list[Chain], inclusion: np.ndarray) -> dict[str, np.ndarray]:
    """Return the draws of each group, (chain, draw, quantity)."""
    present = inclusion > 0.5
    uncertain = (inclusion > 0.05) & (inclusion < 0.95)
    groups = {
        "bias": [chain.bias for chain in chains],
        "weights": [c.weights[:, present].reshape(len(c.bias), -1) for c in chains],
        "edges": [c.adjacency[:, uncertain].astype(float) for c in chains],
    }
    return {name: np.array(values) for name, values in groups.items()}


def row(sampler: str, chains: list[Chain], inclusion: np.ndarray) -> str:
    """Format one sampler's line."""
    seconds = sum(chain.sampling for chain in chains)
    tuning = sum(chain.tuning for chain in chains)
    cells = [f"{sampler} | {tuning:.0f} | {seconds / sum(len(c.bias) for c in chains):.4f}"]
    for values in groups(chains, inclusion).values():
        if not values.size:
            cells.append("none | ")
            continue
        draws = xr.Dataset({"x": (("chain", "draw", "quantity"), values)})
        ess = az.ess(draws)["x"].values / seconds
        rhat = az.rhat(draws)["x"].values
        never = int(np.isnan(rhat).sum())  # never moved: no effective draw at all
        ess = np.where(np.isnan(ess) | np.isnan(rhat), 0.0, ess)
        frozen = f", {never} never moved" if never else ""
        cells.append(
            f"{ess.min():.3g} / {np.median(ess):.3g} | {np.nanmax(rhat, initial=1):.2f}{frozen}"
        )
    return " | ".join(cells)


def main() -> None:
    """Sample and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    usual = [*(name for name in names() if name not in ("N4", "N60")), "Dense"]
    parser.add_argument("--cases", nargs="+", default=usual)
    parser.add_argument("--priors", nargs="+", choices=["learned", "fixed"], default=["learned"])
    parser.add_argument("--samplers", nargs="+", choices=list(LENGTHS), default=list(LENGTHS))
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of draws")
    options = parser.parse_args()
    print(
        "| case, prior | sampler | warm-up, s | s/draw | bias: min / median | R-hat "
        "| weights | R-hat | edges | R-hat |"
    )
    print("|" + 10 * "---|", flush=True)
    for case in options.cases:
        for prior in options.priors:
            results = {name: sample(case, prior, name, options.scale) for name in options.samplers}
            reference = results.get("default", next(iter(results.values())))
            inclusion = np.mean([chain.adjacency.mean(axis=0) for chain in reference], axis=0)
            for name, chains in results.items():
                print(f"| {case}, {prior} | {row(name, chains, inclusion)} |", flush=True)


if __name__ == "__main__":
    main()
