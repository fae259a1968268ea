"""Inclusion probabilities with their Monte Carlo error, and the couplings of present edges.

R-hat and effective sample size are meant for continuous quantities. The indicator of an edge that
never flips has no R-hat (0/0), and one that is frozen at different values in different chains has
an infinite R-hat, so edges have special diagnostics.
"""

import logging
from typing import Literal, get_args

import numpy as np
import pandas as pd
import xarray as xr
from arviz_stats.base import array_stats
from numpy.typing import NDArray
from scipy import stats

from pymc_glm.arguments import as_number, as_probability
from pymc_glm.criticism.network.discoveries import discoveries
from pymc_glm.criticism.posterior import NetworkDraws, hdi, network_draws, psi_unit
from pymc_glm.criticism.wording import counted
from pymc_glm.observations import Bernoulli, Poisson

__all__ = [
    "MIN_EDGE_ESS",
    "MIN_EFFECT",
    "Quantity",
    "edge_status",
    "edge_summary",
    "edge_table",
    "indicator_columns",
    "network_matrix",
    "smallest_effect",
]

type Columns = dict[str, NDArray]
type Quantity = Literal["probability", "weight"]

MIN_EDGE_ESS = 100
MIN_EFFECT = 0.0  # any effect, in the unit of psi
_NOTABLE = 0.3  # log-odds or log rate: 1.35 times
_LOGARITHMS = (Bernoulli.psi_unit, Poisson.psi_unit)  # of odds, of rates
_INTERVAL = 0.94
_FDR = 0.05
_FALSE_ALARM = 0.01  # probability that converged chains are reported to disagree on any edge
_DENSE_R_HAT = (1.01, 1.05)
_MOST_NAMED = 6
_log = logging.getLogger("pymc_glm")


def edge_summary(
    tree: xr.DataTree,
    *,
    include_self: bool = True,
    fdr: float = _FDR,
    min_effect: float | None = None,
) -> pd.DataFrame:
    r"""Summarise every ordered pair: inclusion probability, its Monte Carlo error and coupling.

    Parameters
    ----------
    tree : DataTree
        What sampling returned; needs the posterior and the constant data.
    include_self : bool
        Whether to list self-edges. A model with self filters (``self_basis``) has none; see
        `filter_bands` for these.
    fdr : float
        Bayesian false discovery rate of the columns `discovered` and `sign`: the largest expected
        fraction of wrong decisions. Couplings and self-edges are decided separately.
    min_effect : float, optional
        The smallest effect of interest, in units of psi: the change of the log-odds (log rate) of
        a spike that one pre spike causes at the peak lag. Long recordings make even couplings of
        0.01 certain; above 0, `p_effect`, its diagnostics and all decisions are about effects
        larger than this. At 0 they are about the presence of edges. By default 0.3 for edges of
        counts, which multiplies the odds or the rate by 1.35: where connections are known, most of
        the false calls are weaker (benchmarks/results.md). By default 0 in dense models, whose
        edges are all present, and for other observations, such as traces.

    Returns
    -------
    pandas.DataFrame
        One row per pair, largest `p_effect` first, with the columns

        pre, post
            Labels; the edge leads from pre to post.
        probability
            Posterior inclusion probability: the fraction of draws in which the edge is present,
            however weak.
        p_effect
            Posterior probability that the edge is present and its filter, at the peak lag, is
            above `min_effect` in absolute value; for a `min_effect` of 0 the same as
            `probability`. The next six columns, and `status`, are about its indicator.
        mcse
            Monte Carlo standard error of `p_effect`; 0 if the indicator is the same in all draws.
        ess
            Effective sample size of the indicator; NaN if it is the same in all draws.
        flips
            How often the indicator changes from one draw to the next, over all chains.
        chain_min, chain_max
            Smallest and largest inclusion frequency of a chain.
        r_hat
            Rank-normalised split R-hat of the indicator; NaN if it never flips within a chain.
        peak_mean, peak_sd, peak_lower, peak_upper
            The coupling filter at its peak lag given that the edge is present, in units of psi
            (log-odds): mean, standard deviation and 94% highest-density interval. The peak lag of
            a pair is where its mean filter is largest in absolute value. NaN if the edge is never
            present.
        excitatory, inhibitory
            Posterior probability that the edge is present and its filter, at that lag, is above
            `min_effect` or below -`min_effect`.
        discovered
            Whether the edge is declared present, with an effect above `min_effect`, at the false
            discovery rate `fdr`.
        sign
            "excitatory" or "inhibitory" if declared so at the rate `fdr` of wrong signs, where
            edges that are absent or have no such effect count as wrong; else "open".
        status
            "settled": the indicator is 1 in every draw of every chain, or in none.
            "chains disagree": the chains' frequencies differ by more than their Monte Carlo
            error, or the chains are frozen at different values.
            "too few draws": fewer than 100 effective draws.
            "ok": none of these.

    Raises
    ------
    TypeError, ValueError
        The tree does not hold the draws of a network, `fdr` is not between 0 and 1, or
        `min_effect` is not a number of at least 0.

    Notes
    -----
    Edges on which the chains disagree are named in the log (logger "pymc_glm").

    Disagreement is tested by an analysis of variance of the chains' frequencies against their
    Monte Carlo error within chains, an F test with (chains - 1, within-chain effective draws -
    chains) degrees of freedom, at a family-wise level of 1% (Bonferroni, over edges that flip).

    In a dense model every edge is present. For a `min_effect` of 0, `ess` and `r_hat` (split,
    without ranks) then describe the filter at its peak; status is "chains disagree" above an R-hat
    of 1.05 and "too few draws" above 1.01 or below 100 effective draws.

    Decisions about effects above a threshold are those of TREAT for genes (McCarthy & Smyth 2009,
    Bioinformatics 25:765-771) and of a region of practical equivalence (Kruschke 2018, Advances
    in Methods and Practices in Psychological Science 1:270-280).

    The R-hat of an indicator is that of Vehtari et al. (2021, Bayesian Analysis 16:667-718): ranks
    of two values are an affine map of them, so that rank normalisation and folding change nothing.

    Decisions are the largest sets whose mean posterior probability of error is at most `fdr`
    (Müller, Parmigiani, Robert & Rousseau 2004, Journal of the American Statistical Association
    99:990-1001); for signs that is the local false sign rate of Stephens (2017, Biostatistics
    18:275-294). They are valid only if the model is.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> edges = pg.edge_summary(tree, include_self=False).round(1)
    >>> edges[["pre", "post", "probability", "peak_mean", "sign"]].head(2)
      pre post  probability  peak_mean        sign
    0   b    c          1.0        2.1  excitatory
    1   a    b          1.0        1.9  excitatory
    >>> strong = pg.edge_summary(tree, include_self=False, min_effect=2.0)
    >>> bool(strong["discovered"].any())  # b -> c is hardly above 2
    False
    """
    probability = as_probability(fdr, "fdr")
    table = edge_table(tree, probability, smallest_effect(tree, min_effect))
    _warn_of_disagreement(table)
    if not include_self:
        table = table[table["pre"] != table["post"]].reset_index(drop=True)
    return table


def smallest_effect(tree: xr.DataTree, min_effect: float | None = None) -> float:
    """Return the smallest effect of interest; the default of `edge_summary` if None is given."""
    if min_effect is not None:
        return as_number(min_effect, "min_effect", at_least=0)
    sparse = network_draws(tree).adjacency is not None
    return _NOTABLE if sparse and psi_unit(tree) in _LOGARITHMS else MIN_EFFECT


def _warn_of_disagreement(table: pd.DataFrame) -> None:
    """Log the edges on which the chains disagree."""
    wrong = table[table["status"] == "chains disagree"]
    if len(wrong):
        names = [f"{pre} -> {post}" for pre, post in wrong[["pre", "post"]].values[:_MOST_NAMED]]
        more = ", ..." if len(wrong) > _MOST_NAMED else ""
        _log.warning(
            "The chains disagree on %d of %s (%s%s): do not trust these probabilities; draw more, "
            "or look at the chains one by one.",
            len(wrong),
            counted(len(table), "edge"),
            ", ".join(names),
            more,
        )


def edge_table(
    tree: xr.DataTree, fdr: float = _FDR, min_effect: float = MIN_EFFECT
) -> pd.DataFrame:
    """Return the table of `edge_summary`, with any self-edges, without the warning."""
    min_effect = as_number(min_effect, "min_effect", at_least=0)
    draws = network_draws(tree)
    tables = [_edges_onto(draws, post, min_effect) for post in range(len(draws.neurons))]
    table = pd.concat(tables, ignore_index=True)
    if draws.self_filters is not None:
        table = table[table["pre"] != table["post"]].reset_index(drop=True)
    if draws.adjacency is None and not min_effect:
        table["status"] = _dense_status(table)
    else:
        table["status"] = edge_status(table)
    table = _decided(table, fdr).drop(columns="p_value")
    strength = table["peak_mean"].abs()
    order = table.assign(strength=strength).sort_values(
        ["p_effect", "probability", "strength"], ascending=False, kind="stable"
    )
    return table.loc[order.index].reset_index(drop=True)


def _decided(table: pd.DataFrame, fdr: float) -> pd.DataFrame:
    """Add the columns of decisions, before the status."""
    is_self = (table["pre"] == table["post"]).to_numpy()
    signs = table[["excitatory", "inhibitory"]].to_numpy()
    found, signed = np.zeros(len(table), dtype=bool), np.zeros(len(table), dtype=bool)
    for kind in (is_self, ~is_self):
        found[kind] = discoveries(1 - table["p_effect"].to_numpy()[kind], fdr)
        signed[kind] = discoveries(1 - signs[kind].max(axis=1), fdr)
    names = np.where(signs[:, 0] > signs[:, 1], "excitatory", "inhibitory")
    status = table.pop("status")
    return table.assign(discovered=found, sign=np.where(signed, names, "open"), status=status)


def _edges_onto(draws: NetworkDraws, post: int, min_effect: float) -> pd.DataFrame:
    """Return the rows of the table for one post neuron, in the order of the pre neurons."""
    present, values = draws.present_at(post), draws.peaks_at(post)
    indicator = indicator_columns(draws.effects_at(post, min_effect))
    if draws.adjacency is None and not min_effect:
        # Rank-normalised diagnostics take three times as long; the convergence report has them.
        with np.errstate(divide="ignore", invalid="ignore"):  # no self-edge beside a self filter
            indicator["r_hat"] = np.asarray(array_stats.rhat(values, method="split"))
        indicator["ess"] = np.asarray(array_stats.ess(values, method="mean"))
    return pd.DataFrame(
        {"pre": list(draws.neurons), "post": draws.neurons[post]}
        | {
            "probability": present.mean(axis=2).mean(axis=1),
            "p_effect": indicator.pop("probability"),
        }
        | indicator
        | _weight_columns(values, present, min_effect)
    )


def indicator_columns(present: NDArray[np.bool_]) -> Columns:
    """Return diagnostics of indicators, shape (pre, chain, draw)."""
    n_pairs, n_chains, n_draws = present.shape
    frequency = present.mean(axis=2)
    flips = (present[:, :, 1:] != present[:, :, :-1]).sum(axis=(1, 2))
    probability = frequency.mean(axis=1)
    ess, r_hat = np.full(n_pairs, np.nan), np.full(n_pairs, np.nan)
    mcse, p_value = np.zeros(n_pairs), np.ones(n_pairs)

    varies = (probability > 0) & (probability < 1)
    if varies.any() and n_draws >= 4:
        ess[varies] = array_stats.ess(present[varies], method="mean")
    total = n_chains * n_draws
    variance = probability * (1 - probability) * total / max(total - 1, 1)
    mcse[varies] = np.sqrt(variance[varies] / ess[varies])

    flipping = flips > 0
    if flipping.any() and n_chains > 1 and n_draws >= 4:
        with np.errstate(divide="ignore", invalid="ignore"):  # every half chain is frozen
            r_hat[flipping] = array_stats.rhat(present[flipping], method="split")
        r_hat[~np.isfinite(r_hat)] = np.nan
        p_value[flipping] = _homogeneity(present[flipping])
    p_value[~flipping & varies] = 0.0
    return {
        "probability": probability,
        "mcse": mcse,
        "ess": ess,
        "flips": flips,
        "chain_min": frequency.min(axis=1),
        "chain_max": frequency.max(axis=1),
        "r_hat": r_hat,
        "p_value": p_value,
    }


def _homogeneity(present: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return p values of equal frequencies in all chains; present is (pair, chain, draw)."""
    _, n_chains, n_draws = present.shape
    frequency = present.mean(axis=2)
    centred = present - frequency[:, :, None]
    ess = np.asarray(array_stats.ess(centred, method="identity"))
    variance = (centred**2).sum(axis=(1, 2)) / (n_chains * (n_draws - 1))
    ratio = frequency.var(axis=1, ddof=1) / (variance * n_chains / ess)
    return stats.f.sf(ratio, n_chains - 1, np.maximum(ess - n_chains, 1.0))


def _weight_columns(
    values: NDArray[np.float64], present: NDArray[np.bool_], min_effect: float
) -> Columns:
    """Return moments and interval of present edges, and signs; arrays (pre, chain, draw)."""
    n_present = present.sum(axis=(1, 2))
    some, several = n_present > 0, n_present > 1
    mean, sd = np.full(len(values), np.nan), np.full(len(values), np.nan)
    mean[some] = values[some].sum(axis=(1, 2)) / n_present[some]
    deviation = np.where(present, values - mean[:, None, None], 0.0)
    sd[several] = np.sqrt((deviation[several] ** 2).sum(axis=(1, 2)) / (n_present[several] - 1))
    interval = np.full((len(values), 2), np.nan)
    for m in np.flatnonzero(some):
        interval[m] = hdi(values[m][present[m]], _INTERVAL)
    return {
        "peak_mean": mean,
        "peak_sd": sd,
        "peak_lower": interval[:, 0],
        "peak_upper": interval[:, 1],
        "excitatory": (present & (values > min_effect)).mean(axis=(1, 2)),
        "inhibitory": (present & (values < -min_effect)).mean(axis=(1, 2)),
    }


def edge_status(table: pd.DataFrame) -> NDArray:
    """Return the status, see `edge_summary`, from the columns ``p_value``, ``flips``, ``ess``."""
    flips = table["flips"].to_numpy() > 0
    disagree = table["p_value"].to_numpy() < _FALSE_ALARM / max(int(flips.sum()), 1)
    enough = table["ess"].to_numpy() >= MIN_EDGE_ESS
    return np.select(
        [disagree, ~flips, ~enough], ["chains disagree", "settled", "too few draws"], "ok"
    )


def _dense_status(table: pd.DataFrame) -> NDArray:
    r_hat, ess = table["r_hat"].to_numpy(), table["ess"].to_numpy()
    few = (r_hat > _DENSE_R_HAT[0]) | ~(ess >= MIN_EDGE_ESS)
    return np.select(
        [r_hat > _DENSE_R_HAT[1], few], ["chains disagree", "too few draws"], default="ok"
    )


def network_matrix(
    tree: xr.DataTree, quantity: Quantity = "probability", *, min_effect: float = MIN_EFFECT
) -> xr.DataArray:
    """Return the posterior mean network as a matrix.

    Parameters
    ----------
    tree : DataTree
        What sampling returned; needs the posterior and the constant data.
    quantity : {"probability", "weight"}
        "probability": inclusion probability. "weight": posterior mean of the coupling filter at
        its peak lag, where absent edges count as 0; this is `probability` times `peak_mean` of
        `edge_summary`. Its unit, that of psi under the observation model, is in attrs. The diagonal
        is 0 in a model with self filters (``self_basis``), which has no self-edges.
    min_effect : float
        For "probability": the smallest effect that counts, in units of psi; above 0 the matrix
        holds `p_effect` of `edge_summary`.

    Returns
    -------
    DataArray, dims (post, pre)

    Raises
    ------
    TypeError, ValueError
        The tree does not hold the draws of a network, the quantity is unknown, or `min_effect` is
        not a number of at least 0.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> float(pg.network_matrix(tree, "weight").sel(post="b", pre="a").round(1))
    1.9
    """
    allowed = get_args(Quantity.__value__)
    if quantity not in allowed:
        raise ValueError(f"quantity: got {quantity!r}, allowed are {list(allowed)}.")
    min_effect = as_number(min_effect, "min_effect", at_least=0)
    draws = network_draws(tree)
    neurons = list(draws.neurons)
    values = np.empty((len(neurons), len(neurons)))
    for post in range(len(neurons)):
        if quantity == "probability":
            values[post] = draws.effects_at(post, min_effect).mean(axis=(1, 2))
        else:
            values[post] = draws.peaks_at(post).mean(axis=(1, 2))
    return xr.DataArray(
        values,
        dims=("post", "pre"),
        coords={"post": neurons, "pre": neurons},
        name=quantity,
        attrs={} if quantity == "probability" else {"units": psi_unit(tree)},
    )
