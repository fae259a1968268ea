"""Whether a run has converged, in plain sentences."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
import xarray as xr
from arviz_stats.base import array_stats
from numpy.typing import NDArray

from pymc_glm.criticism.edges import MIN_EDGE_ESS, edge_summary
from pymc_glm.criticism.posterior import NetworkDraws, network_draws, variable

__all__ = ["ConvergenceReport", "convergence_report"]

MAX_R_HAT = 1.01
MIN_ESS = 400
_CERTAIN = 0.95
_MAX_NAMES = 12
_WIDTH = 88
_MAX_DIVERGING = 0.01  # of the draws
_MAX_FACTOR = 20  # beyond this many times the draws, the estimate says nothing


@dataclass(frozen=True)
class ConvergenceReport:
    """What has converged in a run and what has not; made by `convergence_report`.

    Parameters
    ----------
    n_chains, n_draws, n_neurons : int
        Size of the run; `n_draws` counts the draws of one chain.
    n_edges_uncertain : int
        Number of pairs whose inclusion probability lies between 0.05 and 0.95: what the data
        leave open, which is no fault of the run.
    edges_not_converged : tuple of str
        Pairs, "pre -> post", on which the chains disagree or which have fewer than 100 effective
        draws; the worst first.
    edges_disagreeing : tuple of str
        Those of them on which the chains disagree.
    weights_not_converged : tuple of str
        Pairs present with a probability above 0.95 whose filter, at its peak, has an R-hat above
        1.01 or fewer than 400 effective draws.
    biases_not_converged : tuple of str
        Labels of the neurons whose bias has.
    hyperparameters_not_converged : tuple of str
        Other variables of the posterior that have.
    worst_r_hat : float
        Largest R-hat of all these quantities; NaN with a single chain or too few draws.
    worst : str
        The quantity that has it; empty where there is none.
    suggested_draws : int or None
        Draws a chain with which, judging by their effective sample sizes, all would have enough;
        None where everything has converged.
    n_divergences : int
        Number of draws, of all chains, in which NUTS diverged.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> report = pg.ConvergenceReport(4, 500, 2, 1, (), (), (), ("b",), (), 1.04, "bias b", 900)
    >>> report.converged
    False
    """

    n_chains: int
    n_draws: int
    n_neurons: int
    n_edges_uncertain: int
    edges_not_converged: tuple[str, ...]
    edges_disagreeing: tuple[str, ...]
    weights_not_converged: tuple[str, ...]
    biases_not_converged: tuple[str, ...]
    hyperparameters_not_converged: tuple[str, ...]
    worst_r_hat: float
    worst: str
    suggested_draws: int | None
    n_divergences: int = 0

    @property
    def converged(self) -> bool:
        """Whether everything has converged, as far as R-hat, draws and divergences can tell.

        False with a single chain or without any R-hat, which leave it open, and where more than 1%
        of the draws diverged.
        """
        return bool(self.worst) and not self._any_named and not self._diverges

    @property
    def _any_named(self) -> bool:
        return bool(
            self.edges_not_converged
            or self.weights_not_converged
            or self.biases_not_converged
            or self.hyperparameters_not_converged
        )

    @property
    def _diverges(self) -> bool:
        return self.n_divergences > _MAX_DIVERGING * self.n_chains * self.n_draws

    @property
    def text(self) -> str:
        """The report in sentences for a terminal, lines of at most 88 characters."""
        limits = f"R-hat above {MAX_R_HAT} or fewer than {MIN_ESS} effective draws"
        few = self.edges_not_converged[len(self.edges_disagreeing) :]
        paragraphs = [
            f"{_count(self.n_chains, 'chain')} of {_count(self.n_draws, 'draw')}, "
            f"{_count(self.n_neurons, 'neuron')}. {self.n_edges_uncertain} of "
            f"{_count(self.n_neurons**2, 'edge')} uncertain (inclusion probability between "
            f"{1 - _CERTAIN:.2f} and {_CERTAIN})."
        ]
        for what, names in (
            ("Edges on which the chains disagree", self.edges_disagreeing),
            (f"Edges with fewer than {MIN_EDGE_ESS} effective draws", few),
            (f"Weights that have not converged ({limits})", self.weights_not_converged),
            (f"Biases that have not converged ({limits})", self.biases_not_converged),
            (f"Hyperparameters that have not converged ({limits})",
             self.hyperparameters_not_converged),
        ):  # fmt: skip
            if names:
                paragraphs.append(f"{what}, {len(names)}: {_names(names)}.")
        if self.n_divergences:
            paragraphs.append(self._divergences())
        paragraphs.append(self._advice())
        return "\n".join(map(_wrapped, paragraphs))

    def _divergences(self) -> str:
        option = 'network_nuts={"target_accept":\u00a00.99}'
        many = ", too many to trust the hyperparameters" if self._diverges else ""
        return (
            f"NUTS diverged in {self.n_divergences} of "
            f"{_count(self.n_chains * self.n_draws, 'draw')}{many}; a higher target_accept, "
            f"such as {option}, helps."
        )

    def _advice(self) -> str:
        if self.n_chains == 1:
            r_hat = "With one chain nothing tells whether it has converged: run 4."
        elif not self.worst:
            r_hat = (
                "There are too few draws for any R-hat, so nothing tells whether the chains have "
                "converged: draw more."
            )
        else:
            r_hat = f"Largest R-hat: {self.worst_r_hat:.4g} ({self.worst})."
        if self.converged:
            return f"All edges, weights, biases and hyperparameters have converged. {r_hat}"
        if not self._any_named:
            return r_hat
        advice = f"{r_hat} What is named above is not to be trusted yet: draw more"
        if self.suggested_draws is not None:
            advice += f"; draws={self.suggested_draws} a chain should do"
        if self.edges_disagreeing:
            advice += (
                ", and tune longer, because chains that disagree have not found the same networks"
            )
        return advice + "."


def _wrapped(paragraph: str) -> str:
    """Paragraph in lines that leave the names of pairs in one piece."""
    glued = paragraph.replace(" -> ", "\u00a0->\u00a0")
    lines = textwrap.fill(glued, _WIDTH, subsequent_indent="  ", break_on_hyphens=False)
    return lines.replace("\u00a0", " ")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _names(names: Sequence[str]) -> str:
    """At most 12 names, then how many more."""
    more = len(names) - _MAX_NAMES
    return ", ".join(names[:_MAX_NAMES]) + (f" and\u00a0{more}\u00a0more" if more > 0 else "")


def convergence_report(tree: xr.DataTree, edges: pd.DataFrame | None = None) -> ConvergenceReport:
    """Say which edges, weights, biases and hyperparameters have not converged.

    Parameters
    ----------
    tree : DataTree
        What sampling returned; needs the posterior and the constant data.
    edges : DataFrame, optional
        The `edge_summary` of this tree, of all pairs, where it is at hand; else it is computed.

    Returns
    -------
    ConvergenceReport
        Its `text` says it in sentences.

    Raises
    ------
    TypeError, ValueError
        The tree does not hold the draws of a network, or `edges` does not list its pairs.

    References
    ----------
    Vehtari, Gelman, Simpson, Carpenter & Bürkner (2021), Rank-normalization, folding, and
    localization: an improved R-hat, Bayesian Analysis 16:667-718: the limits 1.01 and 400.

    Examples
    --------
    >>> import arviz as az, numpy as np, pymc_glm as pg
    >>> rng = np.random.default_rng(1)
    >>> bias = rng.normal(-4, 0.1, (4, 500, 2))
    >>> bias[0, :, 1] += 0.5  # the first chain is elsewhere
    >>> tree = az.from_dict(
    ...     {
    ...         "posterior": {"bias": bias, "weights": rng.normal(size=(4, 500, 2, 2, 1))},
    ...         "constant_data": {"basis_functions": np.ones((1, 1))},
    ...     },
    ...     coords={"post": ["a", "b"], "pre": ["a", "b"]},
    ...     dims={
    ...         "bias": ["post"],
    ...         "weights": ["post", "pre", "basis"],
    ...         "basis_functions": ["lag", "basis"],
    ...     },
    ... )
    >>> pg.convergence_report(tree).biases_not_converged
    ('b',)
    """
    draws = network_draws(tree)
    bias = variable(tree, "posterior", "bias")
    edges = edge_summary(tree) if edges is None else _checked(edges, draws.neurons)
    edges = edges.assign(name=edges["pre"] + " -> " + edges["post"])
    weights = _weights(draws, edges)
    biases = _diagnostics(bias, names=[str(label) for label in bias["post"].values])
    hyperparameters = _concat(_hyperparameters(tree))
    if draws.adjacency is None:  # nothing to say of edges; the weights are judged below
        edges = edges.assign(r_hat=np.nan, status="ok")
    bad = edges[edges["status"].isin(["chains disagree", "too few draws"])]
    bad = bad.sort_values(["status", "ess"], kind="stable")
    disagreeing = bad[bad["status"] == "chains disagree"]
    failing = [_failing(table) for table in (weights, biases, hyperparameters)]
    worst_r_hat, worst = _worst(
        {"edge": edges, "weight": weights, "bias": biases, "": hyperparameters}
    )
    return ConvergenceReport(
        n_chains=draws.n_chains,
        n_draws=draws.n_draws,
        n_neurons=len(draws.neurons),
        n_edges_uncertain=int(edges["probability"].between(1 - _CERTAIN, _CERTAIN).sum()),
        edges_not_converged=tuple(bad["name"]),
        edges_disagreeing=tuple(disagreeing["name"]),
        weights_not_converged=tuple(failing[0]["name"]),
        biases_not_converged=tuple(failing[1]["name"]),
        hyperparameters_not_converged=tuple(failing[2]["name"]),
        worst_r_hat=worst_r_hat,
        worst=worst,
        suggested_draws=None if len(disagreeing) else _suggested_draws(draws.n_draws, bad, failing),
        n_divergences=_n_divergences(tree),
    )


def _checked(edges: pd.DataFrame, neurons: tuple[str, ...]) -> pd.DataFrame:
    """Return a table of edges if it has what the report needs, of every pair."""
    needed = {"pre", "post", "probability", "ess", "r_hat", "status"}
    missing = sorted(needed - set(edges.columns))
    if missing:
        raise ValueError(f"edges: it has no columns {missing}; give edge_summary(tree).")
    if sorted(zip(edges["pre"], edges["post"], strict=True)) != sorted(product(neurons, repeat=2)):
        raise ValueError(
            f"edges: its {len(edges)} pairs are not those of the {len(neurons)} neurons of the "
            "tree; give edge_summary(tree), self-edges included."
        )
    return edges


def _n_divergences(tree: xr.DataTree) -> int:
    """Count the draws in which a NUTS step diverged."""
    if "sample_stats" not in tree.children or "diverging" not in tree["sample_stats"].data_vars:
        return 0
    diverging = tree["sample_stats"]["diverging"].astype(bool)
    return int(diverging.any([dim for dim in diverging.dims if dim not in ("chain", "draw")]).sum())


def _rank_diagnostics(values: NDArray[np.float64]) -> dict[str, NDArray]:
    """Rank-normalised R-hat and bulk effective sample size; values (quantity, chain, draw)."""
    with np.errstate(divide="ignore", invalid="ignore"):  # chains that do not move
        r_hat = np.asarray(array_stats.rhat(values, method="rank"))
    return {"r_hat": r_hat, "ess": np.asarray(array_stats.ess(values, method="bulk"))}


def _weights(draws: NetworkDraws, edges: pd.DataFrame) -> pd.DataFrame:
    """Name, r_hat and ess of the filters, at their peaks, of edges that are all but certain."""
    index = {label: i for i, label in enumerate(draws.neurons)}
    tables = []
    for post, rows in edges[edges["probability"] > _CERTAIN].groupby("post", sort=False):
        values = draws.peaks_at(index[str(post)])[[index[pre] for pre in rows["pre"]]]
        tables.append(pd.DataFrame({"name": list(rows["name"])} | _rank_diagnostics(values)))
    return _concat(tables)


def _hyperparameters(tree: xr.DataTree) -> list[pd.DataFrame]:
    posterior = tree["posterior"].data_vars
    return [
        _diagnostics(draws)
        for name, draws in posterior.items()
        if name not in ("adjacency", "weights", "bias") and np.issubdtype(draws.dtype, np.floating)
    ]


def _diagnostics(draws: xr.DataArray, names: Sequence[str] | None = None) -> pd.DataFrame:
    """Name, r_hat and ess of every element that varies."""
    dims = [dim for dim in draws.dims if dim not in ("chain", "draw")]
    ordered = draws.transpose(*dims, "chain", "draw").values.astype(np.float64)
    values = ordered.reshape(-1, *ordered.shape[-2:])
    if names is None:
        labels = [draws[dim].values for dim in dims]
        where = [", ".join(map(str, index)) for index in product(*labels)]
        names = [f"{draws.name}[{w}]" if w else str(draws.name) for w in where]
    size = np.abs(values).max(axis=(1, 2))
    varies = np.ptp(values, axis=(1, 2)) > 1e-12 * size  # the diagonal of a correlation matrix, say
    table = {"name": np.array(names, dtype=object)[varies]} | _rank_diagnostics(values[varies])
    return pd.DataFrame(table)


def _failing(table: pd.DataFrame) -> pd.DataFrame:
    """Rows with too high an R-hat or too few effective draws, the fewest first."""
    wrong = (table["r_hat"] > MAX_R_HAT) | ~(table["ess"] >= MIN_ESS)
    return table[wrong].sort_values("ess", kind="stable")


def _concat(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """One table of quantities, which may have none."""
    filled = [table for table in tables if len(table)]
    if not filled:
        return pd.DataFrame({"name": np.empty(0, object), "r_hat": np.empty(0), "ess": np.empty(0)})
    return pd.concat(filled, ignore_index=True)


def _worst(tables: dict[str, pd.DataFrame]) -> tuple[float, str]:
    """Largest R-hat and what has it."""
    largest, of = float("nan"), ""
    for kind, table in tables.items():
        r_hat = table["r_hat"].dropna()
        if len(r_hat) and not r_hat.max() <= largest:
            largest, of = (
                float(r_hat.max()),
                f"{kind} {table['name'].iloc[int(np.nanargmax(table['r_hat']))]}".strip(),
            )
    return largest, of


def _suggested_draws(n_draws: int, bad: pd.DataFrame, failing: list[pd.DataFrame]) -> int | None:
    """Draws with which everything would have enough effective ones; None where nobody can say."""
    needs = [MIN_EDGE_ESS / bad["ess"]] + [MIN_ESS / table["ess"] for table in failing]
    factors = pd.concat(needs)
    if not len(factors) or not factors.max() <= _MAX_FACTOR:
        return None
    step = 10 ** max(int(np.log10(n_draws)) - 1, 0)
    return int(np.ceil(max(factors.max() * 1.2, 2.0) * n_draws / step) * step)
