"""How many threads are busy while chains run in parallel."""

import os
import threading
import time
from pathlib import Path

import numpy as np
import pymc as pm
import pytest

import pymc_glm as pg

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]
CHAINS = 4


def descendants(process):
    """Ids of the processes below one."""
    found, pending = [], [process]
    while pending:
        tasks = Path(f"/proc/{pending.pop()}/task")
        try:
            told = [file.read_text() for file in tasks.glob("*/children")]
        except OSError:
            continue
        children = [int(child) for text in told for child in text.split()]
        found += children
        pending += children
    return found


def busy_threads(process):
    """Return how many threads of a process run or wait for a core."""
    count = 0
    for file in Path(f"/proc/{process}/task").glob("*/stat"):
        try:
            count += file.read_text().rsplit(")", 1)[1].split()[0] == "R"
        except OSError:
            continue
    return count


class Watch:
    """Count the busy threads of all workers every few milliseconds."""

    def __enter__(self):
        self.counts, self.done = [], threading.Event()
        self.thread = threading.Thread(target=self.look)
        self.thread.start()
        return self

    def look(self):
        while not self.done.is_set():
            self.counts.append([busy_threads(process) for process in descendants(os.getpid())])
            time.sleep(0.005)

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()


@pytest.fixture(scope="module")
def model():
    counts = (np.random.default_rng(0).random((20_000, 8)) < 0.03).astype(int)
    basis = pg.basis.raised_cosine(3, window=0.1, bin_width=0.005)
    weights = pg.GaussianWeights(0.0, 1.0, self_mean=0.0, self_cov=1.0)
    return pg.build_glm(counts, basis, edges=pg.BernoulliEdges(0.2, 0.9), weights=weights)


@pytest.mark.parametrize("step", ["default", "augmented"])
@pytest.mark.parametrize("cores", [2, 4])
def test_each_of_the_workers_has_one_busy_thread(model, cores, step):
    """Four chains on two cores: two threads at a time, or four if all chains are run at once."""
    with model:
        steps = {"step": pg.PolyaGammaGibbs()} if step == "augmented" else {}
        with Watch() as watch:
            pm.sample(
                20, tune=40, chains=CHAINS, cores=cores, random_seed=1, progressbar=False,
                compute_convergence_checks=False, **steps,
            )  # fmt: skip
    sampling = [counts for counts in watch.counts if counts]
    assert len(sampling) > 20
    assert max(max(counts) for counts in sampling) == 1
    assert max(sum(counts) for counts in sampling) <= cores
