"""A plain reading of Linderman, Adams & Pillow (2016, arXiv:1610.08465) in NumPy and LAPACK.

For every post neuron: draw omega, form the whole product X' diag(omega) X, visit the edges in
random order with the weights integrated out, each time from two Cholesky factors of the active
set, one with the edge and one without it, and draw bias and active weights jointly.
"""

import time
from typing import NamedTuple

import numpy as np
import polyagamma
from numpy.typing import NDArray
from scipy.linalg import block_diag
from scipy.linalg.lapack import dpotrf, dpotrs, dtrtrs
from scipy.special import expit

from pymc_glm.kernels.prior import NetworkPrior


class PeerTimes(NamedTuple):
    """Seconds spent in each part."""

    psi: float
    polya_gamma: float
    gram: float
    edges: float
    draw: float


class PeerData(NamedTuple):
    """[1, history], (time, D), and X' kappa, (post, D)."""

    design: NDArray[np.float64]
    kappa_product: NDArray[np.float64]
    group_size: int
    n_trials: int  # of the binomial counts


class PostPrior(NamedTuple):
    """The prior of one post neuron."""

    log_odds: NDArray[np.float64]  # (pre,)
    precision: NDArray[np.float64]  # (D, D)
    information: NDArray[np.float64]  # (D,)
    log_normaliser: NDArray[np.float64]  # (pre,): 1/2 log|P| - 1/2 m' P m of each slab


def prepare(counts: NDArray, history: NDArray[np.float64], n_trials: int = 1) -> PeerData:
    """Build the dense design of counts (time, neuron) and history (time, pre, basis)."""
    design = np.column_stack([np.ones(len(counts)), history.reshape(len(counts), -1)])
    return PeerData(design, (counts.T - 0.5 * n_trials) @ design, history.shape[2], n_trials)


def post_prior(prior: NetworkPrior, post: int) -> PostPrior:
    """Cut the network prior to one post neuron."""
    precision, mean = prior.precision[post], prior.mean[post]
    weighted = np.einsum("mij,mj->mi", precision, mean)
    return PostPrior(
        prior.log_odds[post],
        block_diag(prior.bias_precision[post], *precision),
        np.append(prior.bias_precision[post] * prior.bias_mean[post], weighted.ravel()),
        0.5 * (np.linalg.slogdet(precision)[1] - np.einsum("mi,mi->m", weighted, mean)),
    )


def gram(design: NDArray[np.float64], omega: NDArray[np.float64]) -> NDArray[np.float64]:
    return design.T @ (omega[:, None] * design)


def active_columns(adjacency: NDArray[np.int8], group_size: int) -> NDArray[np.int64]:
    return np.append(0, 1 + np.flatnonzero(np.repeat(adjacency, group_size)))


def log_evidence(j, h, prior: PostPrior, adjacency, group_size) -> float:
    """Return the log evidence of a set of edges, up to a constant."""
    active = active_columns(adjacency, group_size)
    factor, _ = dpotrf(j[np.ix_(active, active)].T, lower=1, overwrite_a=1, clean=0)
    mean, _ = dpotrs(factor, h[active], lower=1)
    return (
        prior.log_normaliser[adjacency.astype(bool)].sum()
        - np.log(factor.diagonal()).sum()
        + 0.5 * h[active] @ mean
    )


def edge_log_odds(j, h, prior: PostPrior, adjacency, pre, group_size) -> float:
    """Return the conditional log odds of one edge, two factors from scratch."""
    without, with_edge = adjacency.copy(), adjacency.copy()
    without[pre], with_edge[pre] = 0, 1
    return (
        prior.log_odds[pre]
        + log_evidence(j, h, prior, with_edge, group_size)
        - log_evidence(j, h, prior, without, group_size)
    )


def draw_coefficients(j, h, active, noise) -> NDArray[np.float64]:
    """Draw from Normal(inv(J) h, inv(J)) on the active set."""
    coefficients = np.zeros(h.size)
    factor, _ = dpotrf(j[np.ix_(active, active)].T, lower=1, overwrite_a=1)
    mean, _ = dpotrs(factor, h[active], lower=1)
    coefficients[active] = mean + dtrtrs(factor, noise, lower=1, trans=1)[0]
    return coefficients


def sweep_posts(
    data: PeerData,
    prior: NetworkPrior,
    adjacency: NDArray[np.int8],
    coefficients: NDArray[np.float64],
    rng: np.random.Generator,
    posts: NDArray[np.int64],
) -> PeerTimes:
    """Update some post neurons in place and return the time that it took."""
    total = np.zeros(5)
    for post in posts:
        post_terms = post_prior(prior, post)
        edges = adjacency[post]
        clock = [time.perf_counter()]
        psi = data.design @ coefficients[post]
        clock.append(time.perf_counter())
        omega = polyagamma.random_polyagamma(
            data.n_trials, psi, method="devroye", disable_checks=True, random_state=rng
        )
        clock.append(time.perf_counter())
        j = gram(data.design, omega) + post_terms.precision
        h = data.kappa_product[post] + post_terms.information
        clock.append(time.perf_counter())
        for pre in rng.permutation(edges.size):
            odds = edge_log_odds(j, h, post_terms, edges, pre, data.group_size)
            edges[pre] = rng.random() < expit(odds)
        clock.append(time.perf_counter())
        active = active_columns(edges, data.group_size)
        coefficients[post] = draw_coefficients(j, h, active, rng.standard_normal(active.size))
        clock.append(time.perf_counter())
        total += np.diff(clock)
    return PeerTimes(*total)
