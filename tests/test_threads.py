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


def seconds_by_thread(process):
    """Return the processor time that each thread of a process has had, in clock ticks."""
    ticks = {}
    for file in Path(f"/proc/{process}/task").glob("*/stat"):
        try:
            fields = file.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        ticks[file.parent.name] = int(fields[11]) + int(fields[12])
    return ticks


class Watch:
    """Follow the threads of all workers."""

    def __enter__(self):
        self.last, self.done = {}, threading.Event()
        self.thread = threading.Thread(target=self.look)
        self.thread.start()
        return self

    def look(self):
        while not self.done.is_set():
            for process in descendants(os.getpid()):
                self.last[process] = self.last.get(process, {}) | seconds_by_thread(process)
            time.sleep(0.02)

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()

    def busy_threads(self):
        """Return for each worker how many threads had more than a fifth of its time.

        Two that share the work have half of it each. BLAS threads spin for some 20 ms when they are
        made, and sleep from then on; a fast machine has a worker done in 300 ms.
        """
        workers = [list(ticks.values()) for ticks in self.last.values() if sum(ticks.values()) > 30]
        return [sum(t > 0.2 * sum(ticks) for t in ticks) for ticks in workers]


@pytest.fixture(scope="module")
def model():
    counts = (np.random.default_rng(0).random((20_000, 8)) < 0.03).astype(int)
    basis = pg.basis.raised_cosine(3, window=0.1, bin_width=0.005)
    weights = pg.GaussianWeights(0.0, 1.0, self_mean=0.0, self_cov=1.0)
    return pg.build_glm(counts, basis, edges=pg.BernoulliEdges(0.2, 0.9), weights=weights)


@pytest.mark.parametrize("step", ["default", "augmented"])
@pytest.mark.parametrize("cores", [2, 4])
def test_each_of_the_workers_has_one_busy_thread(model, cores, step):
    """Four chains: two busy threads at a time on two cores, or four if all are run at once."""
    draws, tune = (30, 10) if step == "augmented" else (100, 300)  # seconds of work for each
    with model:
        steps = {"step": pg.PolyaGammaGibbs()} if step == "augmented" else {}
        with Watch() as watch:
            pm.sample(
                draws, tune=tune, chains=CHAINS, cores=cores, random_seed=1, progressbar=False,
                compute_convergence_checks=False, **steps,
            )  # fmt: skip
    assert len(watch.busy_threads()) >= CHAINS
    assert set(watch.busy_threads()) == {1}
