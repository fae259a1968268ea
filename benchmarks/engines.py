"""Seconds of an iteration on each engine.

    python benchmarks/engines.py [--sizes 300x1000000 1000x1000000] [--engines threads jax]
                                 [--memory] [--repeats 3]

Random spikes at 4 Hz in bins of 1 ms, three basis functions over 20 ms, 30% of the edges, all in
single chains. An iteration is what `pymc_glm.sample` does of it on an engine: a trajectory of six
gradients for every post neuron, and the flips of an expansion of 100 edges with about 64 visits.
Printed for each size and engine: seconds to put the data in place, of the trajectories, of the
flips with their number of looks at the data, of one gradient (the median of the repeats, and least
and greatest), and the memory of the device. The first call, which compiles, is left out.

Beside them, on the device of JAX: NeMoS, group lasso with its own default solver, all neurons at
once (`--nemos`), and how many of its fits one iteration of ours costs.

Without a GPU the sizes are small by default, and the table says so.
"""

import argparse
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import pymc_glm as pg
from pymc_glm.engines import Given, Network, make_engine
from pymc_glm.graph.data import SpikeData
from pymc_glm.graph.shared import Shared
from pymc_glm.kernels.edge_surrogate import expansion_at
from pymc_glm.kernels.fisher import Metric
from pymc_glm.kernels.flip_proposals import draw_flips
from pymc_glm.kernels.hmc import Trajectories
from pymc_glm.kernels.likelihood import LOGISTIC, Likelihood
from pymc_glm.kernels.prior import NetworkPrior
from pymc_glm.kernels.spike_history import spike_history

BIN_WIDTH, RATE, PRESENT = 0.001, 4.0, 0.3
EXPANDED, VISITS, STEPS = 100, 64, 6
BASIS = pg.basis.raised_cosine(3, window=0.02, bin_width=BIN_WIDTH).values


class Timing(NamedTuple):
    """Seconds of repeated calls."""

    median: float
    least: float
    greatest: float

    def __str__(self) -> str:
        return f"{self.median:.3g} ({self.least:.3g}-{self.greatest:.3g})"


def timed(call: Callable[[], object], repeats: int) -> Timing:
    """Time a call, after one that compiles."""
    call()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return Timing(float(np.median(seconds)), min(seconds), max(seconds))


def counts_of(n_neurons: int, n_bins: int) -> NDArray[np.int8]:
    """Draw spikes, neuron by neuron: a thousand neurons do not fit as random numbers."""
    rng, counts = np.random.default_rng(1), np.zeros((n_bins, n_neurons), np.int8)
    for m in range(n_neurons):
        counts[rng.integers(n_bins, size=int(RATE * BIN_WIDTH * n_bins)), m] = 1
    return counts


class Problem:
    """A recording, a state of a chain, and a metric as after a warm-up."""

    def __init__(self, n_neurons: int, n_bins: int):
        rng, size = np.random.default_rng(2), BASIS.shape[1]
        counts = counts_of(n_neurons, n_bins)
        observed = np.ascontiguousarray(counts.T)
        likelihood = Likelihood(LOGISTIC, observed, np.ones(n_neurons), 0.0)
        self.counts = counts
        self.data = Shared(SpikeData(spike_history(counts, BASIS), likelihood))
        shape = (n_neurons, n_neurons, size)
        adjacency = (rng.random(shape[:2]) < PRESENT).astype(np.int8)
        weights = rng.normal(0, 0.2, shape) * adjacency[:, :, None]
        bias = np.full(n_neurons, np.log(RATE * BIN_WIDTH))
        self.network = Network(bias, adjacency, weights)
        self.prior = NetworkPrior(
            np.full(shape[:2], -1.0),
            np.zeros(shape),
            np.broadcast_to(4 * np.eye(size), (*shape, size)),
            bias,
            np.ones(n_neurons),
        )
        self.metric = self.made_up(n_bins)

    def made_up(self, n_bins: int) -> Metric:
        """Return a metric of about the right size, without cross terms of the weights."""
        n, size = self.network.bias.size, BASIS.shape[1]
        n_joint = min(EXPANDED, n)
        place = np.full((n, n), -1)
        for row in range(n):  # half of those expanded are present
            first = np.argsort(self.network.adjacency[row], kind="stable")
            chosen = np.sort(np.r_[first[: n_joint // 2], first[n - (n_joint - n_joint // 2) :]])
            place[row, chosen] = np.arange(n_joint)
        rate = RATE * BIN_WIDTH
        one_edge = n_bins * rate**2 * BASIS.T @ BASIS
        joint = np.zeros((1 + n_joint * size, 1 + n_joint * size))
        joint[0, 0] = n_bins * rate
        for j in range(n_joint):
            there = slice(1 + j * size, 1 + (j + 1) * size)
            joint[there, there] = one_edge
        return Metric(
            place,
            np.broadcast_to(joint, (n, *joint.shape)).copy(),
            np.broadcast_to(one_edge, (n, n, size, size)).copy(),
            np.zeros((n, len(joint))),
        )

    def trajectories(self, rng: np.random.Generator) -> Trajectories:
        """Draw trajectories of six gradients."""
        n, size = self.network.bias.size, self.network.weights[0].size
        return Trajectories(
            rng.standard_normal((n, 1 + size)),
            rng.random(n),
            np.full(n, 0.1),
            np.full(n, STEPS - 1),
        )


def measure(problem: Problem, name: str, repeats: int) -> None:
    """Print the timings of an engine."""
    engine, given, network = make_engine(name, None), Given(), problem.network
    start = time.perf_counter()
    engine.hold(problem.data)
    engine.mean_history()
    placed = time.perf_counter() - start
    rng = np.random.default_rng(3)
    trajectories = problem.trajectories(rng)

    def travel() -> object:
        return engine.move_weights(given, problem.prior, problem.metric, trajectories, network)

    visits = np.where(problem.metric.place >= 0, 1.0, 0.0)
    visits *= VISITS / visits.sum(axis=1, keepdims=True).clip(min=VISITS)
    gradient = engine.gradient(given, network.bias, network.weights, problem.metric.place)
    metric = problem.metric._replace(gradient=gradient)
    expansion = expansion_at(network.bias, network.weights, metric)
    draws = draw_flips(visits, BASIS.shape[1], 6, rng)
    looked = []

    def flip() -> None:
        _, counted = engine.flip_edges(given, problem.prior, expansion, draws, network)
        looked.append(counted.proposed / network.bias.size)

    moved = timed(travel, repeats)
    flipped = timed(flip, repeats)
    one = timed(lambda: engine.network_gradient(given, network), repeats)
    print(
        f"{name:8} {network.bias.size:5} x {len(problem.counts):.0e}  placed {placed:.2f}  "
        f"trajectories {moved}  flips {flipped} ({looked[-1]:.0f} looks a neuron)  "
        f"gradient {one}  iteration {moved.median + flipped.median:.3g} s",
        flush=True,
    )


def memory() -> str:
    """Return the greatest memory of JAX's device."""
    import jax

    found = jax.devices()[0].memory_stats() or {}
    return f"device memory: {found.get('peak_bytes_in_use', 0) / 2**30:.1f} GiB"


def nemos_seconds(counts: NDArray[np.int8]) -> tuple[float, float]:
    """Return the seconds of NeMoS's group lasso of all neurons, the first time and the second."""
    import nemos as nmo

    n_neurons, size = counts.shape[1], BASIS.shape[1]
    basis = nmo.basis.RaisedCosineLogConv(size, window_size=len(BASIS))
    design = basis.compute_features(counts.astype(np.float32))
    groups = np.kron(np.eye(n_neurons), np.ones(size))
    seconds = []
    for _ in range(2):
        regularizer = nmo.regularizer.GroupLasso(mask=groups)
        model = nmo.glm.PopulationGLM(regularizer=regularizer, regularizer_strength=1e-4)
        start = time.perf_counter()
        model.fit(design, counts.astype(np.float32))
        seconds.append(time.perf_counter() - start)
    return seconds[0], seconds[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", help="neurons x bins, e.g. 300x1000000")
    parser.add_argument("--engines", nargs="+", default=["threads", "jax"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--nemos", action="store_true")
    arguments = parser.parse_args()
    import jax

    device = jax.devices()[0]
    on_gpu = device.platform == "gpu"
    sizes = arguments.sizes or (["300x1000000", "1000x1000000"] if on_gpu else ["30x100000"])
    print(f"JAX runs on {device.device_kind}" + ("" if on_gpu else ": no GPU, so sizes are small"))
    for size in sizes:
        n_neurons, n_bins = map(int, size.split("x"))
        problem = Problem(n_neurons, n_bins)
        for name in arguments.engines:
            measure(problem, name, arguments.repeats)
        print(memory())
        if arguments.nemos:
            first, second = nemos_seconds(problem.counts)
            print(f"NeMoS, group lasso: {first:.3g} s, again {second:.3g} s", flush=True)


if __name__ == "__main__":
    main()
