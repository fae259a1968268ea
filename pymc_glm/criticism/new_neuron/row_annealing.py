r"""The evidence of one neuron's spikes by annealed importance sampling.

A row holds the variables of one post neuron: its bias, incoming edges and weights, and its
parameter of the observation model, if there is one.
From a normalised reference :math:`q`, of the same form as the prior, a path

.. math:: f_\beta(x) = q(x)^{1 - \beta} \, [p(x) \, p(y \mid x)]^\beta

leads to the posterior times the evidence. Rows are drawn from the reference and moved along the
path by moves that leave :math:`f_\beta` invariant; the mean of
:math:`\exp \sum_k (\beta_{k+1} - \beta_k) \log [p(x_k) p(y \mid x_k) / q(x_k)]` is the evidence
(Neal 2001, Statistics and Computing 11:125, equations 3 and 4). A power of a normal slab is a
normal slab, and a power of a likelihood stays in its family, so the moves are those of
`EdgeMetropolis` and `WeightHMC`.
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from pymc_glm.criticism.new_neuron.neuron_prior import NeuronPrior, RowPrior, Values
from pymc_glm.graph.data import SpikeData
from pymc_glm.kernels.edge_flips import flip_edges
from pymc_glm.kernels.edge_moves import EdgePlan, draw_edges, move_edges
from pymc_glm.kernels.edge_surrogate import Expansion
from pymc_glm.kernels.fisher import Metric
from pymc_glm.kernels.flip_proposals import draw_flips, flip_sweep
from pymc_glm.kernels.hmc import Trajectories, move_weights
from pymc_glm.kernels.likelihood import tempered
from pymc_glm.kernels.network_gradient import log_likelihoods
from pymc_glm.kernels.prior import BiasPrior, EdgePrior
from pymc_glm.observations import Observation

__all__ = [
    "Moves",
    "ParameterReference",
    "Path",
    "Reference",
    "Row",
    "RowData",
    "anneal",
    "blend",
    "move",
    "uncoupled",
]

type Floats = NDArray[np.float64]

_POST = (0, 1)
_LENGTH = 1.5  # of a trajectory, in standard deviations
_MOST_STEPS = 12
_SWAPS = 6
_NEWTON = 2  # steps per proposal
_PARAMETER_MOVES = 1
_STRUCTURE_MOVES = 3
_LOG_TWO_PI = float(np.log(2 * np.pi))


@dataclass
class Row:
    """The state of one neuron's row; arrays have a first axis of length 1."""

    bias: Floats  # (1,)
    adjacency: NDArray[np.int8]  # (1, pre)
    weights: Floats  # (1, pre, basis)
    parameter: float  # 1 where the observation model has none
    values: Values  # hyperparameters


@dataclass(frozen=True)
class RowData:
    """The counts of one neuron, with the history and covariates that may drive it."""

    spikes: SpikeData  # of one post neuron
    observation: type[Observation]
    unique_counts: Floats  # for traces, a single 0
    n_bins: Floats  # number of bins with each of these counts
    parameter: float  # of the observation model: fixed, or the value to start from
    learned: bool  # whether the parameter is learned

    def at(self, parameter: float) -> SpikeData:
        """Return the data with the likelihood at a parameter of the observation model."""
        if not self.learned:
            return self.spikes
        dispersion = self.observation.with_parameter(parameter).empty_likelihood(1).dispersion
        return self.spikes.with_dispersion(np.array(dispersion, dtype=float))

    def tempered(self, parameter: float, beta: float) -> SpikeData:
        """Return the data with a power of the likelihood."""
        data = self.at(parameter)
        return data._replace(likelihood=tempered(data.likelihood, beta))

    def log_likelihood(self, row: Row) -> float:
        """Return the log density of all counts."""
        out = np.empty(1)
        log_likelihoods(_POST, *self.at(row.parameter), row.bias, row.weights, out)
        constant = self.observation.log_constant(self.unique_counts, row.parameter)[:, 0]
        return float(out[0] + self.n_bins @ constant)


class ParameterReference(NamedTuple):
    """A log-normal parameter of the observation model, and the bias's regression on its log."""

    mean: float
    sd: float
    slope: float  # of the mean bias on the log parameter

    def log_density(self, parameter: float) -> float:
        """Return the log density of the log parameter."""
        away = (np.log(parameter) - self.mean) / self.sd
        return float(-0.5 * away**2 - np.log(self.sd) - 0.5 * _LOG_TWO_PI)


class Reference(NamedTuple):
    """The start of the path: independent edges with normal slabs, and a normal bias."""

    row: RowPrior  # at the mean log parameter
    parameter: ParameterReference

    def at(self, parameter: float) -> RowPrior:
        """Return the reference of the row at a parameter of the observation model."""
        bias = self.row.bias
        shift = self.parameter.slope * (np.log(parameter) - self.parameter.mean)
        return self.row._replace(bias=bias._replace(mean=bias.mean + shift))

    def draw(self, rng: np.random.Generator, data: RowData, values: Values) -> Row:
        """Draw a row."""
        parameter = data.parameter
        if data.learned:
            mean, sd, _ = self.parameter
            parameter = float(np.exp(mean + sd * rng.standard_normal()))
        edges, bias = self.at(parameter)
        present = rng.random(edges.log_odds.shape) < expit(edges.log_odds)
        lower = np.linalg.cholesky(edges.precision)
        normals = rng.standard_normal(edges.mean.shape)
        slab = edges.mean + np.linalg.solve(np.swapaxes(lower, -1, -2), normals[..., None])[..., 0]
        return Row(
            bias.mean + rng.standard_normal(1) / np.sqrt(bias.precision),
            present.astype(np.int8),
            slab * present[..., None],
            parameter,
            values,
        )

    def log_density(self, row: Row, data: RowData) -> float:
        """Return the log density of a row."""
        of_parameter = self.parameter.log_density(row.parameter) if data.learned else 0.0
        return log_density(self.at(row.parameter), row) + of_parameter


def log_density(prior: RowPrior, row: Row) -> float:
    """Return the log density of a row's bias, edges and weights."""
    edges, bias = prior
    present = row.adjacency != 0
    uncertain = np.isfinite(edges.log_odds)
    signed = np.where(present, -edges.log_odds, edges.log_odds)[uncertain]
    total = -np.logaddexp(0.0, signed).sum()
    away = row.weights - edges.mean
    squared = np.einsum("nmi,nmij,nmj->nm", away, edges.precision, away)
    size = row.weights.shape[2]
    total += 0.5 * ((edges.log_det - squared - size * _LOG_TWO_PI)[present]).sum()
    off = bias.precision * (row.bias - bias.mean) ** 2
    return float(total + 0.5 * (np.log(bias.precision) - off - _LOG_TWO_PI)[0])


def blend(start: RowPrior, end: RowPrior, beta: float) -> RowPrior:
    """Return the prior proportional to start^(1 - beta) end^beta.

    The integral of the product of two normal slabs enters the odds of the edge.
    """
    old, new = start.edges, end.edges
    precision = (1 - beta) * old.precision + beta * new.precision
    pull_old = np.einsum("nmij,nmj->nmi", old.precision, old.mean)
    pull_new = np.einsum("nmij,nmj->nmi", new.precision, new.mean)
    pull = (1 - beta) * pull_old + beta * pull_new
    mean = np.linalg.solve(precision, pull[..., None])[..., 0]
    log_det = np.linalg.slogdet(precision)[1]
    constant = (1 - beta) * (old.log_det - (pull_old * old.mean).sum(axis=-1))
    constant += beta * (new.log_det - (pull_new * new.mean).sum(axis=-1))
    constant += (pull * mean).sum(axis=-1) - log_det
    certain = ~np.isfinite(new.log_odds)
    log_odds = np.where(certain, 0.0, old.log_odds) * (1 - beta)
    log_odds += np.where(certain, 0.0, new.log_odds) * beta + 0.5 * constant
    log_odds = np.where(certain, new.log_odds, log_odds)
    bias_precision = (1 - beta) * start.bias.precision + beta * end.bias.precision
    bias_pull = (1 - beta) * start.bias.precision * start.bias.mean
    bias_pull += beta * end.bias.precision * end.bias.mean
    return RowPrior(
        EdgePrior(log_odds, mean, precision, log_det),
        BiasPrior(bias_pull / bias_precision, bias_precision),
    )


@dataclass(frozen=True)
class Moves:
    """Settings of the moves, found by a pilot run and then fixed."""

    expansion: Expansion | None  # of the log likelihood; None: move edges by Newton steps
    metric: Metric
    edges: NDArray[np.bool_]  # (1, pre): True for neurons, False for covariates
    start: Floats  # (1, pre, basis): start of the Newton steps
    step_size: float

    def at(self, beta: float) -> "Moves":
        """Return the moves for a power of the likelihood."""

        def scaled(metric: Metric) -> Metric:
            where, *information = metric
            return Metric(where, *(beta * values for values in information))

        expansion = self.expansion
        if expansion is not None:
            expansion = Expansion(scaled(expansion.metric), beta * expansion.linear)
        return replace(self, expansion=expansion, metric=scaled(self.metric))

    def apply(self, row: Row, prior: RowPrior, data: SpikeData, rng: np.random.Generator) -> float:
        """Move a row in place; return the acceptance probability of its weights."""
        if np.isfinite(prior.edges.log_odds).any():
            self._move_edges(row, prior, data, rng)
        return self._move_weights(row, prior, data, rng)

    def _move_edges(
        self, row: Row, prior: RowPrior, data: SpikeData, rng: np.random.Generator
    ) -> None:
        visits = self.edges.astype(float)
        weights = row.weights
        if self.expansion is not None:
            served = self.expansion.metric.place >= 0
            flips = draw_flips(visits * served, weights.shape[2], _SWAPS, rng)
            sweep, expansion = flip_sweep(self.expansion, weights.shape[2]), self.expansion
            flip_edges(
                _POST, *data, *prior, expansion, flips, row.bias, row.adjacency, weights, sweep
            )
            visits = visits * ~served
        if visits.any():
            presence = expit(prior.edges.log_odds).clip(0.1, 0.9)
            plan = EdgePlan(visits, presence, self.start, _NEWTON)
            draws = draw_edges(1, weights.shape[1], weights.shape[2], rng)
            modes = np.empty_like(weights)
            move_edges(
                _POST, *data, prior.edges, plan, draws, row.bias, row.adjacency, weights, modes
            )

    def _move_weights(
        self, row: Row, prior: RowPrior, data: SpikeData, rng: np.random.Generator
    ) -> float:
        trajectories = Trajectories(
            rng.standard_normal((1, 1 + row.weights[0].size)),
            rng.random(1),
            self.step_size * rng.uniform(0.8, 1.2, 1),
            np.array([np.clip(np.rint(_LENGTH / self.step_size), 1, _MOST_STEPS)], np.int64),
        )
        acceptance = np.empty(1)
        move_weights(
            _POST, *data, *prior, self.metric, trajectories,
            row.bias, row.adjacency, row.weights, acceptance,
        )  # fmt: skip
        return float(acceptance[0])


@dataclass(frozen=True)
class Path:
    """The path from the reference to the posterior of one row."""

    data: RowData
    prior: NeuronPrior
    reference: Reference
    moves: Moves
    coupled: bool = True  # whether there are edges and covariates

    def prior_at(self, values: Values) -> RowPrior:
        """Return the prior of the row at hyperparameters."""
        return self.prior.at(values) if self.coupled else uncoupled(self.prior.at(values))

    def gain(self, row: Row, prior: RowPrior) -> float:
        """Return the log ratio of prior times likelihood to the reference."""
        total = log_density(prior, row) + self.data.log_likelihood(row)
        if self.data.learned:
            total += self.prior.log_parameter_density(row.parameter, row.values)
        return total - self.reference.log_density(row, self.data)


def uncoupled(prior: RowPrior) -> RowPrior:
    """Return the prior without edges and covariates."""
    edges = prior.edges
    return prior._replace(edges=edges._replace(log_odds=np.full_like(edges.log_odds, -np.inf)))


def anneal(path: Path, values: Values, betas: Floats, rng: np.random.Generator) -> float:
    """Return the log of an unbiased estimate of the evidence.

    Parameters
    ----------
    path : Path
    values : dict
        Hyperparameters.
    betas : array
        Inverse temperatures from 0 to 1.
    rng : numpy.random.Generator
    """
    row = path.reference.draw(rng, path.data, values)
    prior = path.prior_at(values)
    total = 0.0
    for before, beta in pairwise(betas):
        total += (beta - before) * path.gain(row, prior)
        if beta < 1.0:
            prior, _ = move(path, row, prior, float(beta), rng)
    return total


def move(
    path: Path, row: Row, prior: RowPrior, beta: float, rng: np.random.Generator
) -> tuple[RowPrior, float]:
    """Move a row in place, leaving the path invariant at beta.

    Returns
    -------
    tuple
        The prior of the row at its new hyperparameters, and the acceptance probability of the
        weights.
    """
    between = blend(path.reference.at(row.parameter), prior, beta)
    data = path.data.tempered(row.parameter, beta)
    acceptance = path.moves.at(beta).apply(row, between, data, rng)
    if path.data.learned:
        _move_parameter(path, row, prior, beta, rng)
    if path.prior.has_structure and path.coupled:
        for _ in range(_STRUCTURE_MOVES):
            prior = _move_structure(path, row, prior, beta, rng)
    return prior, acceptance


def _move_parameter(
    path: Path, row: Row, prior: RowPrior, beta: float, rng: np.random.Generator
) -> None:
    """Move the observation model's parameter, alone and with an opposite change of the bias."""
    reference, data, bias = path.reference.parameter, path.data, prior.bias

    def target(at: Row) -> float:
        likely = data.log_likelihood(at)
        likely += path.prior.log_parameter_density(at.parameter, at.values)
        likely -= 0.5 * float(bias.precision[0] * (at.bias[0] - bias.mean[0]) ** 2)
        start = path.reference.at(at.parameter).bias
        at_start = reference.log_density(at.parameter)
        at_start -= 0.5 * float(start.precision[0] * (at.bias[0] - start.mean[0]) ** 2)
        return beta * likely + (1 - beta) * at_start

    here = target(row)
    for i in range(2 * _PARAMETER_MOVES):
        step = 10 ** rng.uniform(-1.0, 0.5) * reference.sd * rng.standard_normal()
        against = step if i % 2 else 0.0
        new = replace(row, parameter=row.parameter * np.exp(step), bias=row.bias - against)
        there = target(new)
        if np.log(rng.random()) < there - here:
            row.parameter, row.bias, here = float(new.parameter), new.bias, there


def _move_structure(
    path: Path, row: Row, prior: RowPrior, beta: float, rng: np.random.Generator
) -> RowPrior:
    """Move the neuron's block, position or factors, given edges and weights."""
    values = path.prior.moved(row.values, rng)
    new = path.prior_at(values)
    change = log_density(new, row) - log_density(prior, row)
    if np.log(rng.random()) < beta * change:
        row.values = values
        return new
    return prior
