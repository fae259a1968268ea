"""How long the sampling will take: from the first iterations of the first chain that runs."""

from types import SimpleNamespace

import numpy as np
import pytest

import pymc_glm as pg
from pymc_glm.sampling.estimate import TimeEstimate, duration


class Clock:
    """Later by 0.9 s at every look."""

    def __init__(self):
        self.time = 0.0

    def __call__(self):
        self.time += 0.9
        return self.time


def said_of(iterations, chains, cores, order):
    said, called = [], []
    estimate = TimeEstimate(
        iterations, chains, cores, said.append, lambda **given: called.append(given), Clock()
    )
    for chain in order:
        estimate(trace=None, draw=SimpleNamespace(chain=chain))
    assert len(called) == len(order)
    return said


def test_it_is_said_once():
    """The clock is read at the 2nd and the 20th iteration: 0.9 s for 18 iterations."""
    (sentence,) = said_of(2000, 4, 4, [0] * 50)
    assert sentence == "This will take about 2 min: 2000 iterations of 0.05 s."


def test_chains_that_wait_count():
    (sentence,) = said_of(1000, 4, 2, [1, 0] * 30)
    assert sentence == (
        "This will take about 2 min: 1000 iterations of 0.05 s, 2 of 4 chains at a time."
    )


def test_too_few_iterations():
    assert said_of(19, 1, 1, [0] * 19) == []


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0123, "0.012 s"), (99.0, "99 s"), (100.0, "2 min"), (5990.0, "100 min"), (6000.0, "1.7 h")],
)
def test_durations(seconds, words):
    assert duration(seconds) == words


def test_sample_logs_it(caplog):
    counts = np.random.default_rng(1).binomial(1, 0.1, (200, 2))
    basis = pg.basis.raised_cosine(1, window=0.02, bin_width=0.005)
    prior = {
        "edges": pg.BernoulliEdges(0.4, 1.0),
        "weights": pg.GaussianWeights(0.0, 0.5, None, None),
    }
    model = pg.build_glm(counts, basis, **prior)
    called = []
    with caplog.at_level("INFO", "pymc_glm"):
        pg.sample(15, 10, chains=1, cores=1, model=model, random_seed=1, progressbar=False,
                  quiet=True, callback=lambda **given: called.append(1))  # fmt: skip
    said = [record.getMessage() for record in caplog.records]
    assert sum("This will take about" in sentence for sentence in said) == 1
    assert len(called) == 25
