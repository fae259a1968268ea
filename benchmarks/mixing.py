"""Effective draws per second: the published algorithm, Pólya-gamma alone, and the default.

    python benchmarks/mixing.py [--cases N27 Wong1993 ...] [--samplers published augmented default]
                                [--draws 500] [--tune 300] [--chains 4]

All on the same model (the default priors, hyperparameters drawn by NetworkNUTS in each), with
chains that start far apart, two processes of one thread at a time, the samplers one after the
other. Printed for the bias, for every weight with inclusion above 0.5 and for every edge with
inclusion between 0.05 and 0.95, sets that all samplers of a case share: bulk effective draws per
second of sampling (the warm-up apart, all chains' seconds added up), their minimum and median, and
the largest R-hat.
"""

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import NamedTuple

import arviz as az
import numpy as np
import peer
import pymc as pm
import xarray as xr
from cases import Case, load, names
from threadpoolctl import threadpool_limits

import pymc_glm as pg
from pymc_glm.sampling import initial_points
from pymc_glm.steps.network_state import PriorFunction, find_network


class Published:
    """The published algorithm of peer.py as a step."""

    def __init__(self, model: pm.Model, counts: np.ndarray, history: np.ndarray):
        self.data = peer.prepare(counts, history)
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


class Chain(NamedTuple):
    """Draws of one chain."""

    bias: np.ndarray  # (draw, post)
    weights: np.ndarray  # (draw, post, pre, basis)
    adjacency: np.ndarray  # (draw, post, pre)
    seconds: float
    tuning: float


def steps_of(sampler: str, model: pm.Model, case: Case) -> list:
    """Return the steps of a sampler."""
    with model:
        first = {
            "published": lambda: [Published(model, case.counts, case.history)],
            "augmented": lambda: [pg.PolyaGammaGibbs(threads=1)],
            "default": lambda: [pg.EdgeMetropolis(threads=1), pg.WeightHMC(threads=1)],
        }[sampler]()
        return [*first, pg.NetworkNUTS()]


def run_chain(case: str, sampler: str, chain: int, chains: int, tune: int, draws: int) -> Chain:
    """Sample one chain, in a process of its own."""
    loaded = load(case)
    model = pg.build_glm(loaded.counts, loaded.basis)
    rng = np.random.default_rng([chain, 5])
    with threadpool_limits(1):
        with model:
            start = initial_points(model, pg.WeightHMC(threads=1), chains, np.random.default_rng(5))
        steps = steps_of(sampler, model, loaded)
        for step in steps:
            step.setup_chain(rng.spawn(1)[0], tune, draws)
        point = model.initial_point(0)
        point |= {name: value for name, value in start[chain].items() if name in point}
        for step in steps:  # compiles
            step.step(point)
        kept: list[dict] = []
        clock = [time.perf_counter()]
        for i in range(tune + draws):
            if i == tune:
                for step in steps:
                    step.stop_tuning()
                clock.append(time.perf_counter())
            for step in steps:
                point, _ = step.step(point)
            if i >= tune:
                kept.append({name: point[name] for name in Chain._fields[:3]})
        clock.append(time.perf_counter())
    stacked = [np.array([draw[name] for draw in kept]) for name in Chain._fields[:3]]
    return Chain(*stacked, clock[2] - clock[1], clock[1] - clock[0])


def sample(case: str, sampler: str, arguments: argparse.Namespace) -> list[Chain]:
    """Sample all chains, two at a time."""
    jobs = [
        (case, sampler, c, arguments.chains, arguments.tune, arguments.draws)
        for c in range(arguments.chains)
    ]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        return list(pool.map(run_chain, *zip(*jobs, strict=True)))


def groups(chains: list[Chain], inclusion: np.ndarray) -> dict[str, np.ndarray]:
    """Return the draws of each group, (chain, draw, quantity)."""
    present = inclusion > 0.5
    uncertain = (inclusion > 0.05) & (inclusion < 0.95)
    own = {
        "bias": [chain.bias for chain in chains],
        "weights": [c.weights[:, present].reshape(len(c.bias), -1) for c in chains],
        "edges": [c.adjacency[:, uncertain].astype(float) for c in chains],
    }
    return {name: np.array(values) for name, values in own.items()}


def row(case: str, sampler: str, chains: list[Chain], inclusion: np.ndarray) -> str:
    """Format one sampler's line."""
    seconds = sum(chain.seconds for chain in chains)
    cells = [f"{seconds / sum(len(c.bias) for c in chains):.4f}"]
    for values in groups(chains, inclusion).values():
        draws = xr.Dataset({"x": (("chain", "draw", "quantity"), values)})
        ess = az.ess(draws)["x"].values / seconds
        rhat = az.rhat(draws)["x"].values
        low, middle = np.nanmin(ess), np.nanmedian(ess)
        cells.append(f"{low:.3g} / {middle:.3g} | {np.nanmax(rhat):.2f}")
    return f"| {case} | {sampler} | {' | '.join(cells)} |"


def main() -> None:
    """Sample and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    samplers = ["published", "augmented", "default"]
    parser.add_argument(
        "--cases", nargs="+", default=[n for n in names() if n not in ("N4", "N60")]
    )
    parser.add_argument("--samplers", nargs="+", choices=samplers, default=samplers)
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--tune", type=int, default=300)
    parser.add_argument("--chains", type=int, default=4)
    arguments = parser.parse_args()
    print(
        "| case | sampler | s/draw | bias: min / median | R-hat | weights | R-hat | edges | R-hat |"
    )
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    for case in arguments.cases:
        results = {name: sample(case, name, arguments) for name in arguments.samplers}
        reference = results.get("default", next(iter(results.values())))
        inclusion = np.mean([chain.adjacency.mean(axis=0) for chain in reference], axis=0)
        for name, chains in results.items():
            print(row(case, name, chains, inclusion), flush=True)


if __name__ == "__main__":
    main()
