"""Bases over the values of a covariate, as functions of those values."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import BSpline

from pymc_glm.arguments import as_number, as_whole_number

__all__ = ["ValueBasis", "bumps", "splines"]


@dataclass(frozen=True)
class ValueBasis:
    """Basis functions over values from low to high; call it with an array (time,).

    Examples
    --------
    >>> import pymc_glm as pg
    >>> pg.basis.bumps(3, 0.0, 1.0)([0.0, 0.5]).round(3).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """

    kind: str
    n_basis: int
    low: float
    high: float
    cyclic: bool
    degree: int = 3

    def __post_init__(self) -> None:
        degree = as_whole_number(self.degree, "degree", at_least=0) if self.kind == "splines" else 1
        as_whole_number(self.n_basis, "n_basis", at_least=degree + 1)
        low, high = (as_number(bound, "low, high") for bound in (self.low, self.high))
        if low >= high:
            raise ValueError(f"low, high: got {low:g} and {high:g}; give low below high.")

    def __call__(self, values: ArrayLike) -> NDArray[np.float64]:
        """Return the basis functions at values (time,), an array (time, basis).

        Raises
        ------
        ValueError
            If the basis is not cyclic and a value is outside low to high.
        """
        x = (np.asarray(values, dtype=float) - self.low) / (self.high - self.low)
        if self.cyclic:
            x = np.mod(x, 1.0)
        outside = (x < -1e-9) | (x > 1 + 1e-9)
        if outside.any():
            where = int(outside.argmax())
            raise ValueError(
                f"variable: {np.asarray(values)[where]:g} in bin {where} is outside the basis, "
                f"{self.low:g} to {self.high:g} (number of such bins: {outside.sum()}); widen the "
                "basis, or clip the variable."
            )
        return (self._bumps if self.kind == "bumps" else self._splines)(np.clip(x, 0.0, 1.0))

    def _bumps(self, x: NDArray) -> NDArray[np.float64]:
        gap = 1.0 / (self.n_basis if self.cyclic else self.n_basis - 1)
        away = x[:, None] - gap * np.arange(self.n_basis)
        if self.cyclic:
            away -= np.rint(away)
        return 0.5 * (1 + np.cos(np.pi * np.clip(away / gap, -1.0, 1.0)))

    def _splines(self, x: NDArray) -> NDArray[np.float64]:
        n, d = self.n_basis, self.degree
        if not self.cyclic:
            inner = np.linspace(0.0, 1.0, n - d + 1)
            knots = np.concatenate([[0.0] * d, inner, [1.0] * d])
            return BSpline.design_matrix(x, knots, d).toarray()
        knots = np.arange(-d, n + d + 1) / n
        full = BSpline.design_matrix(x, knots, d).toarray()
        full[:, :d] += full[:, n:]  # functions that run past the end wrap around
        return full[:, :n]


def bumps(n_basis: int, low: float, high: float, *, cyclic: bool = False) -> ValueBasis:
    """Make raised-cosine bumps evenly spaced over the values of a covariate; they sum to 1.

    Parameters
    ----------
    n_basis : int
        Number of bumps, at least 2.
    low, high : float
        Range of the covariate; the first and the last bump peak at its ends.
    cyclic : bool
        Whether the covariate wraps around from high to low, as angles do.

    Returns
    -------
    ValueBasis
        For `pymc_glm.covariate_design`.

    Raises
    ------
    TypeError, ValueError
        If there are too few functions, or low and high are not finite numbers, low below high.

    Notes
    -----
    As the bumps sum to 1, only the prior separates a common shift of all their weights from the
    bias. Leave one out (``design.isel(covariate=slice(1, None))``) for tuning relative to it.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> pg.basis.bumps(4, 0.0, 1.0)(np.linspace(0, 1, 9)).sum(axis=1).round(6)
    array([1., 1., 1., 1., 1., 1., 1., 1., 1.])
    """
    return ValueBasis("bumps", n_basis, low, high, cyclic)


def splines(
    n_basis: int, low: float, high: float, *, degree: int = 3, cyclic: bool = False
) -> ValueBasis:
    """Make B-splines over the values of a covariate; they sum to 1.

    Parameters
    ----------
    n_basis : int
        Number of functions, at least ``degree + 1``.
    low, high : float
        Range of the covariate.
    degree : int
        Degree of the polynomials.
    cyclic : bool
        Whether the covariate wraps around from high to low, as angles do.

    Returns
    -------
    ValueBasis
        For `pymc_glm.covariate_design`.

    Raises
    ------
    TypeError, ValueError
        If there are too few functions, or low and high are not finite numbers, low below high.

    References
    ----------
    de Boor (1978), A Practical Guide to Splines, chapter IX.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> pg.basis.splines(5, 0.0, 1.0)(np.linspace(0, 1, 4)).sum(axis=1).round(6)
    array([1., 1., 1., 1.])
    """
    return ValueBasis("splines", n_basis, low, high, cyclic, degree)
