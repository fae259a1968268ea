"""R-hat and effective sample size of many quantities, as tables: name, r_hat, ess."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd
import xarray as xr
from arviz_stats.base import array_stats
from numpy.typing import NDArray

from pymc_glm.criticism.network.edges import MIN_EDGE_ESS

__all__ = [
    "MAX_R_HAT",
    "MIN_ESS",
    "concat",
    "diagnostics",
    "failing",
    "rank_diagnostics",
    "suggested_draws",
    "varies",
    "worst",
]

MAX_R_HAT = 1.01
MIN_ESS = 400
_MAX_FACTOR = 20  # times the draws; beyond it the estimate is worthless


def rank_diagnostics(values: NDArray) -> dict[str, NDArray]:
    """Return rank-normalised R-hat and bulk ESS; values (quantity, chain, draw)."""
    with np.errstate(divide="ignore", invalid="ignore"):  # chains that do not move
        r_hat = np.asarray(array_stats.rhat(values, method="rank"))
    return {"r_hat": r_hat, "ess": np.asarray(array_stats.ess(values, method="bulk"))}


def varies(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return whether quantities change by more than rounding; values (quantity, chain, draw)."""
    size = np.abs(values).max(axis=(1, 2), initial=0.0)
    return np.ptp(values, axis=(1, 2)) > 1e-12 * size


def element_names(draws: xr.DataArray) -> list[str]:
    """Return the name of every element of a variable, such as ``weight_mean[0, 1]``."""
    labels = [draws[dim].values for dim in draws.dims if dim not in ("chain", "draw")]
    places = [", ".join(map(str, index)) for index in product(*labels)]
    return [f"{draws.name}[{place}]" if place else str(draws.name) for place in places]


def diagnostics(
    draws: xr.DataArray, names: Sequence[str] | None = None, keep: NDArray[np.bool_] | None = None
) -> pd.DataFrame:
    """Return name, r_hat and ess of every element that varies.

    Parameters
    ----------
    draws : DataArray, dims (chain, draw, ...)
    names : sequence of str, optional
        Names of the elements.
    keep : array of bool, optional
        Which elements to judge, in the shape of the variable without chain and draw.
    """
    dims = [dim for dim in draws.dims if dim not in ("chain", "draw")]
    ordered = draws.transpose(*dims, "chain", "draw").values.astype(np.float64)
    values = ordered.reshape(-1, *ordered.shape[-2:])
    labels = np.array(element_names(draws) if names is None else names, dtype=object)
    judged = varies(values)  # the diagonal of a correlation matrix, for one, does not vary
    if keep is not None:
        judged &= keep.ravel()
    return pd.DataFrame({"name": labels[judged]} | rank_diagnostics(values[judged]))


def failing(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with a high R-hat or few effective draws, the fewest draws first."""
    wrong = (table["r_hat"] > MAX_R_HAT) | ~(table["ess"] >= MIN_ESS)
    return table[wrong].sort_values("ess", kind="stable")


def concat(tables: Sequence[pd.DataFrame], *more: str) -> pd.DataFrame:
    """Join tables of quantities, which may be empty; `more` are columns beyond the usual ones."""
    filled = [table for table in tables if len(table)]
    if filled:
        return pd.concat(filled, ignore_index=True)
    empty = {"name": np.empty(0, object), "r_hat": np.empty(0), "ess": np.empty(0)}
    return pd.DataFrame(empty | {column: np.empty(0, object) for column in more})


def worst(tables: dict[str, pd.DataFrame]) -> tuple[float, str]:
    """Return the largest R-hat and the kind and name of its quantity."""
    largest, quantity = float("nan"), ""
    for kind, table in tables.items():
        r_hat = table["r_hat"].dropna()
        if len(r_hat) and not r_hat.max() <= largest:
            largest, quantity = (
                float(r_hat.max()),
                f"{kind} {table['name'].iloc[int(np.nanargmax(table['r_hat']))]}".strip(),
            )
    return largest, quantity


def suggested_draws(
    n_draws: int, indicators: Sequence[pd.DataFrame], others: Sequence[pd.DataFrame]
) -> int | None:
    """Return how many draws would give enough effective draws, or None if that is unclear.

    The tables hold the quantities with too few: indicators, which need 100, and others.
    """
    needs = [MIN_EDGE_ESS / table["ess"] for table in indicators]
    needs += [MIN_ESS / table["ess"] for table in others]
    factors = pd.concat(needs)
    if not len(factors) or not factors.max() <= _MAX_FACTOR:
        return None
    step = 10 ** max(int(np.log10(n_draws)) - 1, 0)
    return int(np.ceil(max(factors.max() * 1.2, 2.0) * n_draws / step) * step)
