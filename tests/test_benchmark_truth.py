"""The scores, correlograms and tables of benchmarks/truth.py, which its figures rest on."""

import importlib
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

import pymc_glm as pg
from benchmarks import correlograms as cc
from benchmarks import truth_scores as ts
from helpers.pages import ROOT

SCORE, TRUTH = np.array([0.9, 0.8, 0.8, 0.3]), np.array([True, False, True, False])


# scores


def test_scores_by_hand():
    assert ts.auc(SCORE, TRUTH) == 3.5 / 4  # of four comparisons three are won and one is a tie
    assert ts.average_precision(SCORE, TRUTH) == pytest.approx((1 / 1 + 2 / 3) / 2)
    called = SCORE > 0.5  # 2 hits, 1 false, 0 missed, 1 rightly left out
    assert ts.mcc(called, TRUTH) == pytest.approx((2 * 1 - 1 * 0) / np.sqrt(3 * 2 * 2 * 1))
    assert ts.mcc(~called, TRUTH) == pytest.approx(-1 / np.sqrt(3))
    clear = np.array([0.9, 0.2, 0.8, 0.3])
    assert ts.best_decisions(clear, TRUTH).tolist() == TRUTH.tolist()
    assert ts.auc(clear, TRUTH) == ts.average_precision(clear, TRUTH) == 1


def test_scores_without_connections_or_calls():
    none = np.zeros(4, dtype=bool)
    assert np.isnan(ts.auc(SCORE, none)) and np.isnan(ts.average_precision(SCORE, none))
    assert ts.mcc(none, TRUTH) == ts.mcc(~none, TRUTH) == ts.mcc(TRUTH, none) == 0


def test_scores_agree_with_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(1)
    truth, score = rng.random(300) < 0.2, rng.integers(0, 12, 300) / 3  # many ties
    assert ts.auc(score, truth) == pytest.approx(metrics.roc_auc_score(truth, score))
    expected = metrics.average_precision_score(truth, score)
    assert ts.average_precision(score, truth) == pytest.approx(expected)
    each = [metrics.matthews_corrcoef(truth, score >= value) for value in np.unique(score)]
    assert ts.mcc(ts.best_decisions(score, truth), truth) == pytest.approx(max(each))


WEIGHTS = np.array([[9.0, 0, 0.5], [1, 0, 0], [-2, 0, 0]])  # [post, pre], and a self-connection


def verdict(**changes):
    """1 -> 2 and 1 -> 3 are called excitatory, 2 -> 1 inhibitory; 3 -> 1 is missed."""
    score = np.array([[7.0, 4, 1], [5, 7, 2], [6, 3, 7]])
    called = score > 3.5
    sign = np.array([[1, -1, 1], [1, 1, 1], [1, 1, 1]])
    return ts.Verdict("m", score, called, sign)._replace(**changes)


def test_marks_by_hand():
    """Six pairs by score: 1 -> 3 true, 1 -> 2 true, 2 -> 1, 2 -> 3, 3 -> 2, 3 -> 1 true."""
    found = ts.marks(verdict(), WEIGHTS)
    assert found.auc == pytest.approx(6 / 9)
    assert found.ap == pytest.approx((1 + 1 + 3 / 6) / 3)
    assert (found.n_calls, found.n_true, found.best) == (3, 3, False)
    assert (found.fdr, found.recall) == pytest.approx((1 / 3, 2 / 3))
    assert found.mcc == pytest.approx((2 * 2 - 1 * 1) / np.sqrt(3 * 3 * 3 * 3))
    assert found.right_signs == 0.5  # 1 -> 3 is inhibitory
    best = ts.marks(verdict(called=None), WEIGHTS)
    assert (best.n_calls, best.fdr, best.recall, best.best) == (2, 0, pytest.approx(2 / 3), True)


def test_marks_by_sign():
    excitatory = ts.marks(verdict(), WEIGHTS, 1)  # without 1 -> 3
    assert excitatory.auc == pytest.approx(3 / 6) and excitatory.n_true == 2
    assert (excitatory.n_calls, excitatory.recall, excitatory.fdr) == (1, 0.5, 0)
    inhibitory = ts.marks(verdict(), WEIGHTS, -1)  # of the calls only 2 -> 1 is inhibitory
    assert (inhibitory.auc, inhibitory.n_true) == (1, 1)
    assert (inhibitory.n_calls, inhibitory.recall, inhibitory.fdr) == (1, 0, 1)
    unsigned = ts.marks(verdict(sign=None), WEIGHTS, 1)
    assert unsigned.recall == 0.5 and np.isnan(unsigned.fdr) and np.isnan(unsigned.mcc)


# correlograms


def test_lags_by_hand():
    counts = cc.lag_counts([np.array([0.010, 0.030]), np.array([0.012, 0.0296])], 0.001, 20)
    from_first, from_second = counts[1, 0], counts[0, 1]
    assert np.flatnonzero(from_first).tolist() == [20 - 18, 20 + 0, 20 + 2, 20 + 20]
    assert from_second.tolist() == from_first[::-1].tolist()
    assert counts[0, 0].nonzero()[0].tolist() == [0, 40]


def test_lags_agree_with_all_differences():
    rng = np.random.default_rng(1)
    trains = [np.sort(rng.uniform(0, 1, size)) for size in (40, 0, 70)]
    counts = cc.lag_counts(trains, 0.002, 10)
    borders = 0.002 * (np.arange(22) - 10.5)
    for post, pre in ((2, 0), (0, 2), (1, 0), (2, 1)):
        differences = (trains[post][:, None] - trains[pre][None, :]).ravel()
        np.testing.assert_array_equal(counts[post, pre], np.histogram(differences, borders)[0])


def test_the_background_leaves_out_narrow_peaks():
    kernel = cc.hollow_gaussian(10.0)
    full = np.exp(-0.5 * (np.arange(-40, 41) / 10.0) ** 2)
    full[40] = 0.4
    np.testing.assert_allclose(kernel, full / full.sum(), rtol=1e-12)
    first = np.arange(0.5, 1000, 1.0)  # one spike a second, and one 3 ms later: nothing else
    found = cc.correlograms([first, first + 0.003], cc.Settings(0.001, 0.01, 0.001, 0.007))
    assert found.counts[1, 0, 53] == 1000 and found.counts[1, 0].sum() == 1000
    assert found.background[1, 0, 53] == pytest.approx(1000 * kernel[40])
    size, sign = cc.largest_deviation(found, 0.001, 0.007)
    expected = 1000 * (1 - kernel[40]) / np.sqrt(1000 * kernel[40])
    assert (size[1, 0], sign[1, 0]) == (pytest.approx(expected), 1)
    assert size[0, 1] < size[1, 0] / 5  # before the pre spike there is nothing
    assert cc.has_peak(found, 0.001, 0.007)[1, 0]


def test_few_flat_correlograms_have_a_peak():
    """Poisson counts around a known mean: at most 1% of 4000 pairs, here allowed 5 standard errors.

    Without the correction for the number of bins there are about 12%.
    """
    rng, lag = np.random.default_rng(1), 0.0005 * np.arange(-100, 101)
    mean = np.full((40, 100, 201), 60.0)
    found = cc.Correlograms(rng.poisson(mean).astype(float), mean, lag)
    share = cc.has_peak(found, 0.0005, 0.007).mean()
    assert 0.002 < share < 0.01 + 5 * np.sqrt(0.01 / 4000)


# the benchmark


@pytest.fixture
def truth(monkeypatch):
    """The benchmark, imported as when it is run; its plain imports do not stay."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    names = ("truth", "truth_rivals", "truth_scores", "correlograms")
    yield importlib.import_module("truth")
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture
def known():
    first = np.arange(0.5, 100, 1.0)
    times = [first, first + 0.003, [0.25]]
    spikes = pg.SpikeTrains(times, list("abc"), start=0, stop=100, name="ren20")
    weights = xr.DataArray(WEIGHTS, {"post": list("abc"), "pre": list("abc")}, ("post", "pre"))
    return pg.datasets.KnownNetwork("ren20", spikes, weights, None, True)


def test_the_table(truth, known, monkeypatch, capsys):
    monkeypatch.setattr(pg.datasets, "fetch_network", lambda name: known)
    said = (verdict()._replace(method="recommended", seconds=3.0), "everything has converged")
    monkeypatch.setattr(truth, "recommended_verdict", lambda *_: said)
    truth.judge(
        "ren20", SimpleNamespace(methods=["recommended", "correlogram"], short=True, seconds=None)
    )
    lines = capsys.readouterr().out.splitlines()
    assert "3 neurons (all of the network), 100 s; 0 of 3 pairs" in lines[1]
    table = [line for line in lines if line.startswith("|")]
    assert all(line.count("|") == table[0].count("|") for line in table)
    expected = (
        "| recommended | all, 3 | 0.667 | 0.833 | 0.333 | 0.333 | 0.667 | 3 | 0.500 | 1 | 0 |"
    )
    assert table[2].startswith(expected) and table[2].endswith("| 3.0 |")
    assert table[3].startswith("|  | excitatory, 2 | 0.500") and "inhibitory, 1" in table[4]
    assert "(best)" in table[5] and "recommended: everything has converged" in lines


def test_what_has_not_converged(truth):
    report = pg.ConvergenceReport(
        2, 9, 2, 1, ("a -> b",), (), (), ("b",), ("x",), 1.2, "bias b", 900
    )
    assert truth.not_converged(report) == (
        "not converged: 1 edges, 1 biases, 1 hyperparameters (x); largest R-hat 1.200 (bias b)"
    )
    fine = pg.ConvergenceReport(2, 900, 2, 1, (), (), (), (), (), 1.001, "bias b", None)
    assert truth.not_converged(fine) == "everything has converged; largest R-hat 1.001"


def test_published_results_are_read(truth, tmp_path):
    np.savez(
        tmp_path / "made.npz",
        nodes=[3, 5],
        stats=np.array([[3, 5, 4.0], [5, 3, 0.5]]),
        threshold=[1.0],
        all_weights=np.array([[-0.2], [0.1]]),
    )
    found = truth.published_verdicts.__globals__["verdict_in"](tmp_path / "made.npz", "m", True)
    assert found.score.tolist() == [[0, 0.5], [4, 0]] and found.sign.tolist() == [[0, 1], [-1, 0]]
    assert found.called.tolist() == [[False, False], [True, False]]


def test_nemos_may_be_missing(truth, monkeypatch, capsys):
    rivals = sys.modules["truth_rivals"]
    monkeypatch.setattr(rivals, "find_spec", lambda name: None)
    assert truth.nemos_verdict(None, None, 1.0) is None
    assert capsys.readouterr().out.strip() == rivals.NO_NEMOS
