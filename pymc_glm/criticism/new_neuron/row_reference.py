"""A pilot run on one neuron's row, which sets the reference and the moves of the annealing."""

from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from pymc_glm.criticism.new_neuron.neuron_prior import NeuronPrior, RowPrior, Values
from pymc_glm.criticism.new_neuron.row_annealing import (
    Moves,
    ParameterReference,
    Path,
    Reference,
    Row,
    RowData,
    move,
    uncoupled,
)
from pymc_glm.engines import Averages, Given, ThreadsEngine, metric_at
from pymc_glm.graph.shared import Shared
from pymc_glm.kernels.edge_surrogate import expansion_at
from pymc_glm.kernels.fisher import empty_metric
from pymc_glm.kernels.prior import BiasPrior, EdgePrior

__all__ = ["pilot_path"]

type Floats = NDArray[np.float64]

_TUNE = 120  # iterations of the pilot run before draws are kept
_KEPT = 240
_DUE = (0, 5, 20, 60)  # iterations at which the log likelihood is expanded
_FLIPS = 20  # first iteration in which edges are moved by the expansion
_MEMORY = 50
_TARGET = 0.8  # acceptance probability to which the step size is tuned
_WORTH = 20.0  # weight of the expansion, in draws
_FIRST_STEP = 0.3
_SPREAD = 0.2  # initial standard deviation of the logarithm of the observation model's parameter
_NARROWEST = 1e-4  # smallest standard deviation of a reference


@dataclass
class _Pilot:
    """A run at the posterior, with another draw of the hyperparameters in every iteration."""

    path: Path
    row: Row
    averages: Averages

    def iterate(self, i: int, prior: RowPrior, rng: np.random.Generator) -> None:
        """Move the row once, and tune during the first `_TUNE` iterations."""
        row = self.row
        if i < _TUNE:
            self.averages = self.averages.add(row.bias, row.adjacency, row.weights, _MEMORY)
            if i in _DUE:
                moves = _expanded(self.path, self.averages, row.parameter, flips=i >= _FLIPS)
                self.path = replace(self.path, moves=moves)
        _, acceptance = move(self.path, row, prior, 1.0, rng)
        if i < _TUNE:
            moves = self.path.moves
            size = moves.step_size * np.exp((acceptance - _TARGET) / np.sqrt(i + 1.0))
            moves = replace(moves, step_size=float(np.clip(size, 0.02, 1.0)))
            self.path = replace(self.path, moves=moves)


def pilot_path(
    data: RowData,
    prior: NeuronPrior,
    draws: list[Values],
    n_pre: int,
    bias: float,
    rng: np.random.Generator,
    coupled: bool = True,
) -> Path:
    """Run at the posterior and return a path that starts near it.

    Parameters
    ----------
    data : RowData
    prior : NeuronPrior
    draws : list of dict
        Hyperparameters, used one after the other.
    n_pre : int
        Number of neurons; covariates follow after them.
    bias : float
        Initial value of the bias.
    rng : numpy.random.Generator
    coupled : bool
        Whether there are edges and covariates.
    """
    priors = [prior.at(values) for values in draws]
    if not coupled:
        priors = [uncoupled(one) for one in priors]
    pilot = _start(data, prior, priors[0], draws[0], n_pre, bias, coupled)
    kept: list[Row] = []
    for i in range(_TUNE + _KEPT):
        pilot.row.values = draws[i % len(draws)]
        pilot.iterate(i, priors[i % len(draws)], rng)
        if i >= _TUNE:
            kept.append(deepcopy(pilot.row))
    averages = Averages(
        len(kept),
        np.mean([row.adjacency for row in kept], axis=0),
        np.mean([row.bias for row in kept], axis=0),
        np.mean([row.weights for row in kept], axis=0),
    )
    moves = _expanded(pilot.path, averages, _typical([row.parameter for row in kept]), flips=True)
    reference = _reference(data, priors, kept, averages, moves)
    moves = replace(moves, start=reference.row.edges.mean)
    return replace(pilot.path, reference=reference, moves=moves)


def _typical(parameters: list[float]) -> float:
    return float(np.exp(np.mean(np.log(parameters))))


def _start(
    data: RowData,
    prior: NeuronPrior,
    here: RowPrior,
    values: Values,
    n_pre: int,
    bias: float,
    coupled: bool,
) -> _Pilot:
    """Start with the certain edges alone, at their prior mean."""
    history = data.spikes.history
    present = (here.edges.log_odds == np.inf).astype(np.int8)
    weights = here.edges.mean * present[..., None]
    row = Row(np.full(1, bias), present, weights, data.parameter, values)
    moves = Moves(
        None,
        empty_metric(1, history.n_pre, history.n_basis, 0),
        np.arange(history.n_pre)[None] < n_pre,
        here.edges.mean,
        _FIRST_STEP,
    )
    # The pilot runs at the end of the path, where the reference has no effect.
    reference = Reference(here, ParameterReference(float(np.log(data.parameter)), _SPREAD, 0.0))
    path = Path(data, prior, reference, moves, coupled)
    return _Pilot(path, row, Averages.start(row.bias, row.adjacency, row.weights))


def _expanded(path: Path, averages: Averages, parameter: float, flips: bool) -> Moves:
    """Return moves with the log likelihood expanded at averages."""
    data = path.data.tempered(parameter, 1.0)
    engine = ThreadsEngine(1)
    engine.hold(Shared(data))
    metric = metric_at(engine, Given(), data.history, averages, 0.0 if path.coupled else 2.0)
    expansion = expansion_at(averages.bias, averages.weights, metric) if flips else None
    return replace(path.moves, metric=metric, expansion=expansion)


def _reference(
    data: RowData, priors: list[RowPrior], kept: list[Row], averages: Averages, moves: Moves
) -> Reference:
    """Return a reference with independent edges, slabs, bias and parameter like the kept draws."""
    mean_prior = _mean(priors)
    n = len(kept)
    share = expit(mean_prior.edges.log_odds)
    log_odds = logit((n * averages.inclusion + share) / (n + 1.0))
    certain = ~np.isfinite(mean_prior.edges.log_odds)
    log_odds = np.where(certain, mean_prior.edges.log_odds, log_odds)
    precision, mean = _towards_draws(kept, *_slabs(mean_prior.edges, averages, moves))
    parameter, bias = _parameter_and_bias(kept, data.learned)
    edges = EdgePrior(log_odds, mean, precision, np.linalg.slogdet(precision)[1])
    return Reference(RowPrior(edges, bias), parameter)


def _parameter_and_bias(kept: list[Row], learned: bool) -> tuple[ParameterReference, BiasPrior]:
    """Fit normal distributions of the log parameter and of the bias given the parameter."""
    bias = np.array([row.bias[0] for row in kept])
    logs = np.log([row.parameter for row in kept])
    parameter = ParameterReference(float(logs.mean()), 1.0, 0.0)
    left = bias - bias.mean()
    if learned:
        sd = max(float(logs.std()), _NARROWEST)
        slope = float(left @ (logs - parameter.mean)) / (logs.size * sd**2)
        parameter = ParameterReference(parameter.mean, sd, slope)
        left = left - slope * (logs - parameter.mean)
    variance = max(float((left**2).mean()), _NARROWEST**2)
    return parameter, BiasPrior(bias.mean(keepdims=True), np.array([1.0 / variance]))


def _mean(priors: list[RowPrior]) -> RowPrior:
    """Average the parameters of priors."""
    edges = [np.mean(field, axis=0) for field in zip(*[p.edges for p in priors], strict=True)]
    bias = [np.mean(field, axis=0) for field in zip(*[p.bias for p in priors], strict=True)]
    return RowPrior(EdgePrior(*edges), BiasPrior(*bias))


def _slabs(prior: EdgePrior, averages: Averages, moves: Moves) -> tuple[Floats, Floats]:
    """Return precision and mean of each edge's weights under the expansion, with a free bias."""
    metric, size = moves.metric, prior.mean.shape[2]
    precision, mean = prior.precision.copy(), prior.mean.copy()
    for m in np.flatnonzero(metric.place[0] >= 0):
        block = slice(1 + metric.place[0, m] * size, 1 + (metric.place[0, m] + 1) * size)
        with_bias = metric.joint[0, 0, block]
        information = metric.joint[0, block, block]
        information = information - np.outer(with_bias, with_bias) / max(
            metric.joint[0, 0, 0], 1e-9
        )
        pull = metric.gradient[0, block] + information @ averages.weights[0, m]
        pull += prior.precision[0, m] @ prior.mean[0, m]
        precision[0, m] += information
        mean[0, m] = np.linalg.solve(precision[0, m], pull)
    return precision, mean


def _towards_draws(kept: list[Row], precision: Floats, mean: Floats) -> tuple[Floats, Floats]:
    """Shrink precisions and means towards those of the kept weights, more so if there are many.

    The expansion alone is poor for strongly inhibitory edges, whose posteriors are skewed.
    """
    present = np.array([row.adjacency[0] for row in kept]) != 0
    weights = np.array([row.weights[0] for row in kept])
    precision, mean = precision.copy(), mean.copy()
    for m in np.flatnonzero(present.sum(axis=0) >= 2):
        of_edge = weights[present[:, m], m]
        share = len(of_edge) / (len(of_edge) + _WORTH)
        center = (1 - share) * mean[0, m] + share * of_edge.mean(axis=0)
        off, around = mean[0, m] - center, of_edge - center
        covariance = (1 - share) * (np.linalg.inv(precision[0, m]) + np.outer(off, off))
        covariance += share * around.T @ around / len(of_edge)
        mean[0, m], precision[0, m] = center, np.linalg.inv(covariance)
    return precision, mean
