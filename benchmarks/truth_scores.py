"""How well scores and decisions about pairs of neurons agree with the true connections."""

from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata


class Verdict(NamedTuple):
    """What a method says of every pair; arrays are (post, pre)."""

    method: str
    score: np.ndarray  # larger: rather a connection
    called: np.ndarray | None = None  # decisions at the method's own threshold, if it has one
    sign: np.ndarray | None = None  # 1, -1, if it tells excitation from inhibition
    seconds: float = float("nan")
    note: str = ""


class Marks(NamedTuple):
    """How a verdict compares with the truth; `best` if the threshold was chosen by the truth."""

    auc: float
    ap: float
    mcc: float
    best: bool
    fdr: float  # of the calls, those that are no connections
    recall: float
    n_calls: int
    n_true: int  # connections
    right_signs: float  # of the true calls


def auc(score: np.ndarray, truth: np.ndarray) -> float:
    """Area under the ROC curve; ties count half. NaN without both kinds of pairs."""
    n_true, n_false = int(truth.sum()), int((~truth).sum())
    if not n_true or not n_false:
        return float("nan")
    ranks = rankdata(score)[truth].sum()
    return float((ranks - n_true * (n_true + 1) / 2) / (n_true * n_false))


def thresholds(score: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, ...]:
    """Distinct scores from the top, and the numbers of true and all pairs at or above each."""
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    return ranked[last], np.cumsum(truth[order])[last], last + 1


def average_precision(score: np.ndarray, truth: np.ndarray) -> float:
    """Mean over the connections of the precision at their threshold; NaN without connections."""
    if not truth.any():
        return float("nan")
    _, hits, calls = thresholds(score, truth)
    return float(np.sum(np.diff(hits, prepend=0) * hits / calls) / truth.sum())


def correlation(hits, calls, n_true: int, n_pairs: int):
    """Matthews correlation coefficient; 0 where all or no pairs are called or true."""
    hits, calls = np.asarray(hits, dtype=float), np.asarray(calls, dtype=float)
    false_calls, misses = calls - hits, n_true - hits
    correct = n_pairs - n_true - false_calls
    scale = np.sqrt(calls * n_true * (n_pairs - n_true) * (n_pairs - calls))
    covariance = hits * correct - false_calls * misses
    return np.divide(covariance, scale, out=np.zeros(np.shape(hits)), where=scale > 0)


def mcc(called: np.ndarray, truth: np.ndarray) -> float:
    """Matthews correlation coefficient of decisions."""
    hits = np.sum(called & truth)
    return float(correlation(hits, called.sum(), int(truth.sum()), truth.size))


def best_decisions(score: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Decisions at the threshold of the largest Matthews correlation coefficient."""
    values, hits, calls = thresholds(score, truth)
    found = correlation(hits, calls, int(truth.sum()), truth.size)
    return score >= values[np.argmax(found)]


def decisions(verdict: Verdict, weights: np.ndarray) -> np.ndarray:
    """The method's own decisions, or those at the best threshold; False on the diagonal."""
    others = ~np.eye(len(weights), dtype=bool)
    if verdict.called is not None:
        return verdict.called & others
    called = np.zeros(others.shape, dtype=bool)
    called[others] = best_decisions(verdict.score[others], weights[others] != 0)
    return called


def marks(verdict: Verdict, weights: np.ndarray, kind: int = 0) -> Marks:
    """Compare a verdict with the true weights (post, pre), without the diagonal.

    With `kind` 1 or -1 the connections of this sign are told from the pairs without any: pairs with
    a connection of the other sign are left out, and calls are those with this sign. Methods
    without signs then have no false discovery rate, as it cannot be said of which kind their false
    calls are.
    """
    called = decisions(verdict, weights)
    pairs = ~np.eye(len(weights), dtype=bool)
    if kind:
        pairs &= weights * kind >= 0
    truth, score, called = weights[pairs] != 0, verdict.score[pairs], called[pairs]
    sign = None if verdict.sign is None else verdict.sign[pairs]
    if kind and sign is not None:
        called = called & (sign == kind)
    hits = called & truth
    told = not kind or sign is not None
    right = np.nan
    if sign is not None and hits.any():
        right = float(np.mean(sign[hits] == np.sign(weights[pairs][hits])))
    return Marks(
        auc(score, truth),
        average_precision(score, truth),
        mcc(called, truth) if told else np.nan,
        verdict.called is None,
        float(1 - hits.sum() / called.sum()) if told and called.any() else np.nan,
        float(hits.sum() / truth.sum()) if truth.any() else np.nan,
        int(called.sum()),
        int(truth.sum()),
        right,
    )
