"""Edges with their weights integrated out, and joint draws of the active coefficients.

The tableau is the symmetric matrix [[J, h], [h', 0]] of a Gaussian in information form, swept
(Dempster's symmetric form of the sweep operator; Goodnight 1979, The American Statistician 33:149)
on the active coefficients. With A the active set, its lower triangle then holds

    S[A, A] = -inv(J[A, A])                    S[A, D] = inv(J[A, A]) h[A]
    S[B, B] = J[B, B] - J[B, A] inv(J[A, A]) J[A, B]     S[B, D] = h[B] - J[B, A] inv(J[A, A]) h[A]

and the Bayes factor of an edge follows from the block of that edge alone.
"""

import numpy as np
from numpy.typing import NDArray

from pymc_glm.kernels.compiling import compiled, inlined
from pymc_glm.kernels.triangular import (
    cholesky,
    log_determinant,
    solve_lower,
    solve_transposed_by_rows,
)

__all__ = ["FLIP", "draw_active", "update_edges"]

FLIP = 0.95


@compiled
def _sweep(s, k, sign):
    """Sweep the lower triangle of s on pivot k (sign = 1), or undo it (sign = -1)."""
    size = s.shape[0]
    column = np.empty(size)
    column[: k + 1] = s[k, : k + 1]
    for i in range(k + 1, size):
        column[i] = s[i, k]
    pivot = column[k]
    column[k] = 0.0
    for i in range(size):
        factor = column[i] / pivot
        if factor != 0.0:
            for j in range(i + 1):
                s[i, j] -= factor * column[j]
    for j in range(k):
        s[k, j] = sign * column[j] / pivot
    for i in range(k + 1, size):
        s[i, k] = sign * column[i] / pivot
    s[k, k] = -1.0 / pivot


@inlined
def _evidence(block, column, sign):
    """Return log|M| and r' inv(M) r from the block and the column of an edge in the tableau.

    For an absent edge (sign = 1) M = block and r = column; for a present one (sign = -1)
    inv(M) = -block and inv(M) r = column.
    """
    lower = sign * block
    cholesky(lower, lower)
    # Both cases need the squared norm of inv(lower) column: r' inv(M) r for an absent edge, and
    # for a present one (inv(M) r)' M (inv(M) r) with M = inv(lower lower').
    quadratic = solve_lower(lower, column.copy())
    return sign * log_determinant(lower), quadratic


@inlined
def update_edges(
    j_matrix: NDArray[np.float64],
    h: NDArray[np.float64],
    adjacency: NDArray[np.int8],
    log_odds: NDArray[np.float64],
    slab_log_det: NDArray[np.float64],
    slab_offset: NDArray[np.float64],
    order: NDArray[np.int64],
    uniforms: NDArray[np.float64],
    group_size: int,
) -> int:
    """Update every edge of one post neuron in turn, with its weights integrated out.

    The move is Metropolised Gibbs (Liu 1996, Biometrika 83:681): an edge flips with probability
    FLIP min(1, odds of the other value), which is more often than under plain Gibbs sampling. FLIP
    is below 1, because two edges of even odds could otherwise flip together forever.

    Parameters
    ----------
    j_matrix : array, shape (D, D)
        Posterior precision with every edge present (only the lower triangle is read), with
        D = 1 + N * B.
    h : array, shape (D,)
        Information vector with every edge present.
    adjacency : array of int8, shape (pre,)
        Changed in place.
    log_odds : array, shape (pre,)
        Prior log odds of each edge; -inf and inf: certainly absent and present.
    slab_log_det, slab_offset : arrays, shape (pre,)
        log|P| and m' P m of each edge's slab Normal(m, inv(P)).
    order : array of int, shape (pre,)
        Order of the visits.
    uniforms : array, shape (pre,)
        One uniform draw for each visit.
    group_size : int
        B, the number of columns of an edge.

    Returns
    -------
    int
        Number of flips; -1 - m if the block of edge m in the tableau was not positive definite.
    """
    size = h.size
    s = np.empty((size + 1, size + 1))
    s[:size, :size] = j_matrix
    s[size, :size] = h
    s[size, size] = 0.0
    _sweep(s, 0, 1.0)
    for m in range(adjacency.size):
        if adjacency[m]:
            for b in range(group_size):
                _sweep(s, 1 + m * group_size + b, 1.0)
    flips = 0
    for visit in range(order.size):
        m = order[visit]
        first = 1 + m * group_size
        last = first + group_size
        sign = -1.0 if adjacency[m] else 1.0
        if log_odds[m] == np.inf or log_odds[m] == -np.inf:
            log_ratio = log_odds[m]
        else:
            log_det, quadratic = _evidence(s[first:last, first:last], s[size, first:last], sign)
            # log odds + (log|P| - log|M| + r' inv(M) r - m' P m) / 2, M and r as in _evidence
            log_ratio = log_odds[m] + 0.5 * (slab_log_det[m] - log_det + quadratic - slab_offset[m])
        if np.isnan(log_ratio):
            return -1 - m
        log_odds_of_other = sign * log_ratio
        certain = log_odds_of_other == np.inf
        if certain or np.log(uniforms[visit] / FLIP) < min(0.0, log_odds_of_other):
            flips += 1
            adjacency[m] = 1 - adjacency[m]
            for b in range(group_size):
                _sweep(s, first + b, sign)
    return flips


@inlined
def draw_active(
    j_matrix: NDArray[np.float64],
    h: NDArray[np.float64],
    active: NDArray[np.int64],
    noise: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Draw the active coefficients from Normal(inv(J) h, inv(J)); set the others to exactly 0.

    Parameters
    ----------
    j_matrix : array, shape (D, D)
        Only the lower triangle is read.
    h : array, shape (D,)
    active : array of int, ascending, shape (A,)
    noise : array, shape (>= A,)
        Standard normal draws.
    out : array, shape (D,)
        Receives the draw.
    """
    size = active.size
    lower = np.zeros((size, size))
    for i in range(size):
        for j in range(i + 1):
            lower[i, j] = j_matrix[active[i], active[j]]
            lower[j, i] = lower[i, j]
    lower = np.linalg.cholesky(lower)
    draw = h[active]
    solve_lower(lower, draw)
    draw += noise[:size]
    solve_transposed_by_rows(lower, draw)
    out[:] = 0.0
    for i in range(size):
        out[active[i]] = draw[i]
