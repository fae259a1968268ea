"""One Pólya-gamma Gibbs sweep over post neurons: edges, weights and biases given the network prior.

For the augmentation see Polson, Scott & Windle (2013, JASA 108:1339), for the model Linderman,
Adams & Pillow (2016, NeurIPS, arXiv:1610.08465). Post neurons are independent given the network
prior and are distributed over threads. Each has a random generator, so that the draws do not depend
on the number of threads.
"""

import time
from concurrent.futures import Executor
from itertools import pairwise
from typing import NamedTuple, Self

import numpy as np
import polyagamma
from numpy.typing import NDArray

from pymc_glm.kernels.jobs import run_jobs
from pymc_glm.kernels.likelihood import GAUSSIAN, Likelihood
from pymc_glm.kernels.packing import PackedRows, project, transpose_product, weighted_grams
from pymc_glm.kernels.prior import NetworkPrior
from pymc_glm.kernels.tableau import draw_active, update_edges

__all__ = [
    "AugmentedData",
    "SweepTimes",
    "augment",
    "draw_omega",
    "sweep",
]

_TERMS = 200  # number of terms of the infinite sum that polyagamma adds up
FUSED_POSTS = 4  # post neurons for which the design is read once


class AugmentedData(NamedTuple):
    """Data of a sweep, with p(y | psi) proportional to exp(y psi) / (1 + exp psi)^b.

    Here b = dispersion + slope y and kappa = y - b / 2 (Polson, Scott & Windle 2013, theorem 1).
    For Gaussian traces omega = dispersion and kappa = dispersion y.
    """

    rows: PackedRows  # [1, history], (time, D)
    counts_product: NDArray[np.float64]  # (post, D): [1, history]' y
    total: NDArray[np.float64]  # (D,): [1, history]' 1
    counts: NDArray[np.float64] | None  # (post, packed row), None if the slope is zero
    dispersion: NDArray[np.float64]  # (post,)
    slope: float
    group_size: int  # B, basis functions of an edge
    gaussian: bool = False

    def with_dispersion(self, dispersion: NDArray[np.float64]) -> Self:
        """Return the data with another dispersion."""
        return self._replace(dispersion=dispersion)

    def polya_gamma_shape(self, n: int) -> NDArray[np.float64] | float:
        """Return b of post neuron n, (packed row,), or one number for all rows."""
        if self.counts is None:
            return float(self.dispersion[n])
        return self.dispersion[n] + self.slope * self.counts[n]

    def draw_omega(self, n: int, psi: NDArray[np.float64], rng: np.random.Generator) -> None:
        """Replace psi of post neuron n, (packed row,), by draws of omega."""
        if self.gaussian:
            psi[:] = self.dispersion[n]
        else:
            draw_omega(self.polya_gamma_shape(n), psi, rng)

    def kappa_product(self, n: int) -> NDArray[np.float64]:
        """Return [1, history]' kappa of post neuron n, (D,)."""
        if self.gaussian:
            return self.dispersion[n] * self.counts_product[n]
        product = (1.0 - self.slope / 2.0) * self.counts_product[n]
        return product - self.dispersion[n] / 2.0 * self.total


class SweepTimes(NamedTuple):
    """Seconds spent in each part of a sweep, summed over threads."""

    psi: float
    polya_gamma: float
    gram: float
    edges: float
    draw: float


class SweepResult(NamedTuple):
    """The new state."""

    adjacency: NDArray[np.int8]  # (post, pre)
    coefficients: NDArray[np.float64]  # (post, D): bias, then weights by pre neuron and basis
    flips: int  # number of edges that changed
    times: SweepTimes


class _PriorTerms(NamedTuple):
    """Terms of the prior in J, h and the Bayes factors of each post neuron."""

    precision: NDArray[np.float64]  # (post, pre, basis, basis)
    information: NDArray[np.float64]  # (post, D): prior precision times prior mean
    log_det: NDArray[np.float64]  # (post, pre): log |P|
    offset: NDArray[np.float64]  # (post, pre): m' P m
    bias_precision: NDArray[np.float64]  # (post,)


def augment(rows: PackedRows, likelihood: Likelihood, group_size: int) -> AugmentedData:
    """Prepare the constant part of a sweep.

    Parameters
    ----------
    rows : PackedRows
        [1, history].
    likelihood : Likelihood
        Of the logistic or the Gaussian family.
    group_size : int
        Number of basis functions of an edge.
    """
    counts = likelihood.counts[:, rows.order].astype(np.float64)
    total = transpose_product(rows, np.ones((1, rows.n_rows)))[0]
    return AugmentedData(
        rows,
        transpose_product(rows, counts),
        total,
        counts if likelihood.slope else None,
        likelihood.dispersion,
        likelihood.slope,
        group_size,
        likelihood.family == GAUSSIAN,
    )


def draw_omega(
    shape: NDArray[np.float64] | float, psi: NDArray[np.float64], rng: np.random.Generator
) -> None:
    r"""Replace psi by draws of PG(shape, psi).

    .. math:: \mathrm{PG}(b, \psi) = \frac{1}{2 \pi^2} \sum_{k=1}^{\infty}
        \frac{g_k}{(k - 1/2)^2 + \psi^2 / (4 \pi^2)}, \qquad g_k \sim \mathrm{Gamma}(b, 1)

    (Polson, Scott & Windle 2013, definition 1), and PG(b + c) is the sum of PG(b) and PG(c). The
    integer part of the shape is drawn by Devroye's method. For the fractional part polyagamma sums
    the first 200 terms; the rest of the sum is replaced by its mean (its standard deviation is
    below 2e-5). The other methods of polyagamma have errors of 1% for fractional shapes.

    Parameters
    ----------
    shape : float or array, shape (n,)
        Above 0.
    psi : array, shape (n,)
        Changed in place.
    rng : numpy.random.Generator
    """
    options = {"disable_checks": True, "random_state": rng}
    whole = np.floor(shape)
    part = shape - whole
    if not np.any(part):
        polyagamma.random_polyagamma(shape, psi, out=psi, method="devroye", **options)
        return
    c = np.abs(psi) / (2.0 * np.pi)
    ratio = np.where(c > 1e-8, np.arctan(c / _TERMS) / np.maximum(c, 1e-8), 1.0 / _TERMS)
    total = part * ratio / (2.0 * np.pi**2)
    total += polyagamma.random_polyagamma(part, psi, method="gamma", **options)
    some = np.broadcast_to(whole > 0, psi.shape)
    number = np.broadcast_to(whole, psi.shape)[some]
    total[some] += polyagamma.random_polyagamma(number, psi[some], method="devroye", **options)
    psi[:] = total


def _prior_terms(prior: NetworkPrior) -> _PriorTerms:
    n_post, n_pre, group_size = prior.mean.shape
    weighted = np.einsum("nmij,nmj->nmi", prior.precision, prior.mean)
    information = np.empty((n_post, 1 + n_pre * group_size))
    information[:, 0] = prior.bias_precision * prior.bias_mean
    information[:, 1:] = weighted.reshape(n_post, -1)
    return _PriorTerms(
        prior.precision,
        information,
        np.linalg.slogdet(prior.precision)[1],
        np.einsum("nmi,nmi->nm", weighted, prior.mean),
        prior.bias_precision,
    )


def _add_prior(gram: NDArray, terms: _PriorTerms, post: int) -> None:
    """Add the slab precisions and the bias precision to one Gram matrix, in place."""
    n_pre, group_size = terms.precision.shape[1:3]
    gram[0, 0] += terms.bias_precision[post]
    blocks = gram[1:, 1:].reshape(n_pre, group_size, n_pre, group_size)
    diagonal = np.arange(n_pre)
    blocks[diagonal, :, diagonal, :] += terms.precision[post]


def _active_columns(adjacency: NDArray[np.int8], group_size: int) -> NDArray[np.int64]:
    weights = np.flatnonzero(adjacency)[:, None] * group_size + np.arange(group_size)
    return np.append(0, 1 + weights.ravel())


def _update_posts(posts, data, prior, terms, omega, adjacency, coefficients, seeds):
    """Update some post neurons in place; omega (post, packed row) holds psi on entry."""
    clock = [time.perf_counter()]
    generators = [np.random.Generator(np.random.SFC64(seeds[n])) for n in posts]
    for n, rng in zip(posts, generators, strict=True):
        data.draw_omega(n, omega[n], rng)
    clock.append(time.perf_counter())
    size = data.rows.n_columns
    grams = np.empty((len(posts), size, size))
    weighted_grams(data.rows, omega[posts[0] : posts[-1] + 1], grams)
    clock.append(time.perf_counter())
    edges_time = draw_time = 0.0
    flips = 0
    for gram, n, rng in zip(grams, posts, generators, strict=True):
        start = time.perf_counter()
        _add_prior(gram, terms, n)
        information = data.kappa_product(n) + terms.information[n]
        if prior.log_odds is not None:
            changed = update_edges(
                gram,
                information,
                adjacency[n],
                prior.log_odds[n],
                terms.log_det[n],
                terms.offset[n],
                rng.permutation(adjacency.shape[1]),
                rng.random(adjacency.shape[1]),
                data.group_size,
            )
            if changed < 0:
                raise FloatingPointError(
                    f"post neuron {n}, pre neuron {-1 - changed}: the posterior precision is not "
                    "positive definite to machine precision; use a narrower slab or a basis that "
                    "is less collinear."
                )
            flips += changed
        middle = time.perf_counter()
        active = _active_columns(adjacency[n], data.group_size)
        noise = rng.standard_normal(active.size)
        draw_active(gram, information, active, noise, coefficients[n])
        edges_time += middle - start
        draw_time += time.perf_counter() - middle
    return flips, clock[1] - clock[0], clock[2] - clock[1], edges_time, draw_time


def _activation(
    data: AugmentedData, coefficients: NDArray, executor: Executor | None, n_threads: int
) -> NDArray[np.float64]:
    psi = np.empty((coefficients.shape[0], data.rows.n_rows))
    n_blocks = data.rows.row_start.size - 1
    cuts = np.linspace(0, n_blocks, n_threads + 1).astype(int)
    jobs = [(data.rows, coefficients, a, b, psi) for a, b in pairwise(cuts)]
    run_jobs(executor, project, jobs)
    return psi


def sweep(
    data: AugmentedData,
    prior: NetworkPrior,
    adjacency: NDArray[np.int8],
    coefficients: NDArray[np.float64],
    rng: np.random.Generator,
    executor: Executor | None = None,
    n_threads: int = 1,
) -> SweepResult:
    """Draw omega, then each edge with its weights integrated out, then bias and weights jointly.

    Parameters
    ----------
    data : AugmentedData
    prior : NetworkPrior
    adjacency : array of int8, shape (post, pre)
    coefficients : array, shape (post, D)
        Bias, then weights; exactly 0 where there is no edge.
    rng : numpy.random.Generator
        Advanced by the same amount for any number of threads.
    executor : concurrent.futures.Executor, optional
        Threads over which the post neurons are distributed.
    n_threads : int
        Number of threads.

    Returns
    -------
    SweepResult
        New arrays; the arguments are not changed.
    """
    adjacency = adjacency.copy()
    coefficients = np.ascontiguousarray(coefficients).copy()
    n_post = adjacency.shape[0]
    seeds = rng.integers(2**63, size=n_post)
    terms = _prior_terms(prior)
    start = time.perf_counter()
    omega = _activation(data, coefficients, executor, n_threads)
    psi_time = time.perf_counter() - start
    fused = min(FUSED_POSTS, -(-n_post // n_threads))
    groups = [range(n, min(n + fused, n_post)) for n in range(0, n_post, fused)]
    jobs = [(g, data, prior, terms, omega, adjacency, coefficients, seeds) for g in groups]
    results = run_jobs(executor, _update_posts, jobs)
    flips, *times = (sum(column) for column in zip(*results, strict=True))
    return SweepResult(adjacency, coefficients, int(flips), SweepTimes(psi_time, *times))
