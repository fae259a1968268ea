"""Proposals of the tables between blocks, given sums over the pairs of neurons of two blocks.

When a block is split or merged, its row and column of the tables must change with it. Given the
labels, the entries of the tables for two blocks (a cell) depend only on the sums over the pairs of
these blocks. The posterior of each cell is approximated by a multivariate t distribution around its
mode. One of many draws from it is chosen by importance weights, and the sums of the weights, which
are unbiased estimates of the evidence, enter the acceptance ratio. This is exact: it is
Metropolis-Hastings on the extended space of all draws (Andrieu, Doucet & Holenstein 2010, J. R.
Stat. Soc. B 72:269, section 4.1).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.blocks import BlockTables, Floats, make_tables

__all__ = ["CellPosterior", "Exchange", "exchange", "fit_cells", "log_likelihood"]

FREEDOM = 8.0  # degrees of freedom of the t distribution
NEWTON_STEPS = 4
LONGEST_STEP = 1.0
FLATTEST = 0.05  # smallest curvature of a prior: flat ones get the scale 1 / sqrt(0.05)
DIFFERENCE = 1e-4  # of finite differences

# (P, K, K, D) -> parameters of the pairs by name, (P, K, K, ...), and log prior density (P, K, K)
type CellFunction = Callable[[Floats], tuple[dict[str, Floats], Floats]]


class CellPosterior(NamedTuple):
    """A multivariate t distribution for each cell, which approximates its posterior."""

    mode: Floats  # (..., K, K, D)
    factor: Floats  # (..., K, K, D, D): lower Cholesky factor of the precision

    def draw(self, size: int, rng: np.random.Generator) -> Floats:
        """Draw cells, (size, K, K, D)."""
        shape = (size, *self.mode.shape)
        z = rng.standard_normal(shape)[..., None]
        normal = np.linalg.solve(np.swapaxes(self.factor, -1, -2), z)[..., 0]
        return self.mode + normal * np.sqrt(FREEDOM / rng.chisquare(FREEDOM, shape[:-1]))[..., None]

    def log_density(self, x: Floats) -> Floats:
        """Return the log density up to a constant that depends on D alone."""
        z = np.einsum("...ji,...j->...i", self.factor, x - self.mode)
        log_det = np.log(np.einsum("...ii->...i", self.factor)).sum(axis=-1)
        size = x.shape[-1]
        return log_det - 0.5 * (FREEDOM + size) * np.log1p((z**2).sum(axis=-1) / FREEDOM)


class Exchange(NamedTuple):
    """Proposed cells, with their term of the acceptance ratio."""

    x: Floats  # (K, K, D)
    log_evidence: float  # change of the estimated log evidence


def log_likelihood(tables: BlockTables, sums: Floats) -> Floats:
    """Return the log density of all pairs of two blocks, (..., K, K); 0 log 0 is 0.

    Parameters
    ----------
    tables : BlockTables
    sums : array, shape (..., K, K, 2 + B + B (B + 1) / 2)
        Absent edges, present edges, and sums of w and (w w')[lower triangle].
    """
    n_absent, n_present = sums[..., 0], sums[..., 1]
    absent = np.where(n_absent > 0, tables.absent, 0.0) * n_absent
    present = np.where(n_present[..., None] > 0, tables.present, 0.0)
    return absent + (present * sums[..., 1:]).sum(axis=-1)


def _information(parameters: dict[str, Floats], natural: Floats, sums: Floats, size: int) -> Floats:
    """Return the Fisher information of each cell for the observed counts, (M, K, K, D, D).

    This is the product of the slopes of natural parameters and expectations, times the number of
    pairs for edges, and times the number of present edges for slabs.
    """
    parts = []
    if "probability" in parameters:
        p = parameters["probability"]
        with np.errstate(divide="ignore"):
            log_odds = np.log(p) - natural[..., 0]
        parts.append((log_odds[..., None], p[..., None], sums[..., 0] + sums[..., 1]))
    if "mean" in parameters:
        mean = parameters["mean"]
        root = np.linalg.inv(parameters["whitening"])
        second = root @ np.swapaxes(root, -1, -2) + mean[..., :, None] * mean[..., None, :]
        rows, columns = np.tril_indices(mean.shape[-1])
        expectation = np.concatenate([mean, second[..., rows, columns]], axis=-1)
        parts.append((natural[..., 2:], expectation, sums[..., 1]))
    total = np.zeros((*sums.shape[:-1], size, size))
    for natural_part, expectation, counts in parts:
        first = np.moveaxis(_slope(natural_part, size), 1, -2)
        second = np.moveaxis(_slope(expectation, size), 1, -2)
        total += counts[..., None, None] * (first @ np.swapaxes(second, -1, -2))
    return 0.5 * (total + np.swapaxes(total, -1, -2))


def _slope(values: Floats, size: int) -> Floats:
    """Return central differences (M, D, ...) of values at the centre, then above, then below."""
    with np.errstate(invalid="ignore"):
        slope = (values[:, 1 : 1 + size] - values[:, 1 + size :]) / (2 * DIFFERENCE)
    return np.where(np.isfinite(slope), slope, 0.0)


def fit_cells(evaluate: CellFunction, start: Floats, sums: Floats) -> CellPosterior:
    """Approximate the posterior of each cell around its mode, found by Fisher scoring.

    Parameters
    ----------
    evaluate : callable
        Takes cells (P, K, K, D); returns parameters of the pairs and log prior densities.
    start : array, shape (K, K, D)
        Start of the search; the same for all sums, so that the result depends on the sums alone.
    sums : array, shape (M, K, K, 2 + B + B (B + 1) / 2)
        M sets of sums, each as for `log_likelihood`.
    """
    n_sums, k = sums.shape[:2]
    size = start.shape[-1]
    x = np.broadcast_to(start, (n_sums, *start.shape)).copy()
    offsets = DIFFERENCE * np.concatenate([np.zeros((1, size)), np.eye(size), -np.eye(size)])
    n_points = len(offsets)
    for iteration in range(NEWTON_STEPS + 1):
        points = x[:, None] + offsets[:, None, None, :]
        parameters, log_prior = evaluate(points.reshape(n_sums * n_points, k, k, size))
        parameters = {
            name: value.reshape(n_sums, n_points, *value.shape[1:])
            for name, value in parameters.items()
        }
        log_prior = log_prior.reshape(n_sums, n_points, k, k)
        tables = make_tables(**parameters)
        natural = np.concatenate([tables.absent[..., None], tables.present], axis=-1)
        slope = np.moveaxis((_slope(natural, size) * sums[:, None]).sum(axis=-1), 1, -1)
        slope += np.moveaxis(_slope(log_prior, size), 1, -1)
        bend = log_prior[:, 1 : 1 + size] + log_prior[:, 1 + size :] - 2 * log_prior[:, :1]
        curvature = np.maximum(-np.moveaxis(bend, 1, -1) / DIFFERENCE**2, FLATTEST)
        precision = curvature[..., None] * np.eye(size)
        precision += _information(parameters, natural, sums, size)
        if iteration < NEWTON_STEPS:
            step = np.linalg.solve(precision, slope[..., None])[..., 0]
            x += np.clip(step, -LONGEST_STEP, LONGEST_STEP)
    return CellPosterior(x, np.linalg.cholesky(precision))


def exchange(
    evaluate: CellFunction,
    start: Floats,
    x: Floats,
    sums: Floats,
    changed: NDArray[np.bool_],
    n_draws: int,
    rng: np.random.Generator,
) -> Exchange:
    """Propose new cells for changed sums.

    Parameters
    ----------
    evaluate, start
        As for `fit_cells`.
    x : array, shape (K, K, D)
        The current cells.
    sums : array, shape (2, K, K, 2 + B + B (B + 1) / 2)
        Before and after, as for `log_likelihood`.
    changed : array of bool, shape (K, K)
        The cells whose sums change; the others are left as they are.
    n_draws : int
        Number of draws of each cell.
    rng : numpy.random.Generator
    """
    fitted = fit_cells(evaluate, start, sums)
    before, after = (CellPosterior(fitted.mode[i], fitted.factor[i]) for i in range(2))
    points = np.concatenate([x[None], before.draw(n_draws - 1, rng), after.draw(n_draws, rng)])
    parameters, log_prior = evaluate(points)
    tables = make_tables(**parameters)
    log_weight = log_likelihood(tables, np.repeat(sums, n_draws, axis=0)) + log_prior
    log_weight[:n_draws] -= before.log_density(points[:n_draws])
    log_weight[n_draws:] -= after.log_density(points[n_draws:])
    log_before, log_after = (
        np.logaddexp.reduce(w, axis=0)[changed].sum() for w in np.split(log_weight, 2)
    )
    chosen = n_draws + np.argmax(
        log_weight[n_draws:] + rng.gumbel(size=log_weight[n_draws:].shape), axis=0
    )
    new = np.take_along_axis(points, chosen[None, ..., None], axis=0)[0]
    return Exchange(np.where(changed[..., None], new, x), float(log_after - log_before))
