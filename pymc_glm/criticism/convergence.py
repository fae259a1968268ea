"""Convergence of a run, reported in plain sentences."""

from collections.abc import Callable, Set
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
import xarray as xr

from pymc_glm.criticism.network.diagnostics import (
    MAX_R_HAT,
    MIN_ESS,
    concat,
    diagnostics,
    failing,
    rank_diagnostics,
    suggested_draws,
    worst,
)
from pymc_glm.criticism.network.edges import MIN_EDGE_ESS, edge_table
from pymc_glm.criticism.posterior import NetworkDraws, network_draws, variable
from pymc_glm.criticism.structure.convergence import structure_diagnostics
from pymc_glm.criticism.wording import ONE_CHAIN, counted, have, listed, wrapped

__all__ = ["ConvergenceReport", "convergence_report"]

_CERTAIN = 0.95
_MAX_DIVERGING = 0.01  # of the draws


@dataclass(frozen=True)
class ConvergenceReport:
    """Which quantities of a run have converged and which have not, from `convergence_report`.

    Parameters
    ----------
    n_chains, n_draws, n_neurons : int
        Size of the run; `n_draws` counts the draws of one chain.
    n_edges_uncertain : int
        Number of pairs with an inclusion probability between 0.05 and 0.95. The data leave them
        open; the run is not at fault.
    edges_not_converged : tuple of str
        Pairs, "pre -> post", on which the chains disagree or which have fewer than 100 effective
        draws; the worst first.
    edges_disagreeing : tuple of str
        The pairs among them on which the chains disagree.
    weights_not_converged : tuple of str
        Pairs present with a probability above 0.95 whose filter, at its peak, has an R-hat above
        1.01 or fewer than 400 effective draws; self filters too.
    biases_not_converged : tuple of str
        Labels of the neurons whose bias fails the same limits.
    hyperparameters_not_converged : tuple of str
        Other variables of the posterior that fail them.
    worst_r_hat : float
        Largest R-hat of all these quantities; NaN with a single chain or too few draws.
    worst : str
        The quantity with this R-hat; empty if there is none.
    suggested_draws : int or None
        Draws per chain that would be enough for every quantity, judging by the effective sample
        sizes; None if everything has converged or the chains disagree.
    n_divergences : int
        Number of draws, in all chains together, in which NUTS diverged.
    blocks_not_converged : tuple of str
        Pairs of neurons, "one & other", for which the chains disagree on whether they share a block
        or with fewer than 100 effective draws, the worst first; then the number of blocks used.
    blocks_disagreeing : tuple of str
        The pairs among them on which the chains disagree.
    positions_not_converged : tuple of str
        Pairs of neurons whose distance in the latent space, or whose log-odds of an edge in the
        latent eigenmodel, have an R-hat above 1.01 or fewer than 400 effective draws.
    remarks : tuple of str
        How blocks, positions and factors are judged, what could not be judged, and which factors
        of shared input have a grid that is too coarse for the timescale that was learned.
    self_edges : bool
        Whether a neuron's effect on itself is an edge, not a self filter.

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
    blocks_not_converged: tuple[str, ...] = ()
    blocks_disagreeing: tuple[str, ...] = ()
    positions_not_converged: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    self_edges: bool = True

    @property
    def converged(self) -> bool:
        """Whether everything has converged, judging by R-hat, effective draws and divergences.

        False with a single chain or without any R-hat, when convergence cannot be judged, and if
        more than 1% of the draws diverged.
        """
        return bool(self.worst) and not self._any_named and not self._diverges

    @property
    def _any_named(self) -> bool:
        return bool(
            self.edges_not_converged
            or self.weights_not_converged
            or self.biases_not_converged
            or self.hyperparameters_not_converged
            or self.blocks_not_converged
            or self.positions_not_converged
        )

    @property
    def _diverges(self) -> bool:
        return self.n_divergences > _MAX_DIVERGING * self.n_chains * self.n_draws

    @property
    def text(self) -> str:
        """The report in sentences for a terminal, lines of at most 88 characters."""
        n_edges = self.n_neurons * (self.n_neurons if self.self_edges else self.n_neurons - 1)
        paragraphs = [
            f"{counted(self.n_chains, 'chain')} of {counted(self.n_draws, 'draw')}, "
            f"{counted(self.n_neurons, 'neuron')}. {self.n_edges_uncertain} of "
            f"{counted(n_edges, 'edge')} uncertain (inclusion probability between "
            f"{1 - _CERTAIN:.2f} and {_CERTAIN})."
        ]
        for what, names in self._failures():
            if names:
                paragraphs.append(f"{what(len(names))}: {listed(names)}.")
        if self.n_divergences:
            paragraphs.append(self._divergences())
        paragraphs += [*self.remarks, self._advice()]
        return "\n".join(map(wrapped, paragraphs))

    def _failures(self) -> list[tuple[Callable[[int], str], tuple[str, ...]]]:
        """Return, for every kind of failure, a phrase for their number, and their names."""
        limits = f"R-hat above {MAX_R_HAT} or fewer than {MIN_ESS} effective draws"

        def not_converged(noun: str, plural: str) -> Callable[[int], str]:
            return lambda n: f"{counted(n, noun, plural)} {have(n)} not converged ({limits})"

        def too_few_draws(n: int) -> str:
            return f"{counted(n, 'edge')} {have(n)} fewer than {MIN_EDGE_ESS} effective draws"

        def shared_blocks(n: int) -> str:
            share = "shares" if n == 1 else "share"
            return f"The chains disagree on whether {counted(n, 'pair')} of neurons {share} a block"

        return [
            (lambda n: f"The chains disagree on {counted(n, 'edge')}", self.edges_disagreeing),
            (too_few_draws, self.edges_not_converged[len(self.edges_disagreeing) :]),
            (not_converged("weight", "weights"), self.weights_not_converged),
            (not_converged("bias", "biases"), self.biases_not_converged),
            (not_converged("other variable", "other variables"),
             self.hyperparameters_not_converged),
            (shared_blocks, self.blocks_disagreeing),
            (not_converged("other quantity of the blocks", "other quantities of the blocks"),
             self.blocks_not_converged[len(self.blocks_disagreeing) :]),
            (not_converged("pair in the latent space", "pairs in the latent space"),
             self.positions_not_converged),
        ]  # fmt: skip

    def _divergences(self) -> str:
        option = 'network_nuts={"target_accept":\u00a00.99}'
        many = ", too many to trust the hyperparameters" if self._diverges else ""
        return (
            f"NUTS diverged in {self.n_divergences} of "
            f"{counted(self.n_chains * self.n_draws, 'draw')}{many}; a higher target_accept, "
            f"such as {option}, helps."
        )

    def _advice(self) -> str:
        if self.n_chains == 1:
            r_hat = ONE_CHAIN
        elif not self.worst:
            r_hat = "There are too few draws for any R-hat to judge convergence by: draw more."
        else:
            r_hat = f"Largest R-hat: {self.worst_r_hat:.4g} ({self.worst})."
        if self.converged:
            last = (
                ", hyperparameters and latent structure" if self.remarks else " and hyperparameters"
            )
            return f"All edges, weights, biases{last} have converged. {r_hat}"
        if not self._any_named:
            return r_hat
        advice = f"{r_hat} Do not trust the quantities listed above yet: draw more"
        if self.suggested_draws is not None:
            advice += f"; draws={self.suggested_draws} per chain should be enough"
        if self.edges_disagreeing or self.blocks_disagreeing:
            found = "networks" if self.edges_disagreeing else "blocks"
            advice += f" and tune longer, because the chains have not found the same {found}"
        return advice + "."


def convergence_report(tree: xr.DataTree, edges: pd.DataFrame | None = None) -> ConvergenceReport:
    """Report which edges, weights, biases and hyperparameters have not converged.

    Learned blocks and positions are judged by quantities that do not depend on the numbers of the
    blocks or the rotation of the positions: which neurons share a block, the number of blocks
    used, tables between blocks after relabelling (see `block_summary`), distances between neurons,
    and in the latent eigenmodel the log-odds of edges.

    Parameters
    ----------
    tree : DataTree
        What sampling returned; needs the posterior and the constant data.
    edges : DataFrame, optional
        The `edge_summary` of this tree with all pairs. By default it is computed.

    Returns
    -------
    ConvergenceReport
        Its `text` gives the results in sentences.

    Raises
    ------
    TypeError, ValueError
        The tree does not hold the draws of a network, or `edges` does not list its pairs.

    References
    ----------
    Vehtari, Gelman, Simpson, Carpenter & Bürkner (2021), Rank-normalization, folding, and
    localization: an improved R-hat, Bayesian Analysis 16:667-718 (the limits 1.01 and 400).

    Examples
    --------
    >>> import pymc_glm as pg
    >>> pg.convergence_report(tree.isel(draw=slice(20))).converged  # far too few draws
    False
    """
    draws = network_draws(tree)
    bias = variable(tree, "posterior", "bias")
    edges = edge_table(tree) if edges is None else _checked(edges, draws)
    edges = edges.assign(name=edges["pre"] + " -> " + edges["post"])
    structure = structure_diagnostics(tree)
    tables = {
        "weight": concat([_weights(draws, edges), _self_filters(draws)]),
        "bias": diagnostics(bias, names=[str(label) for label in bias["post"].values]),
        "": concat([*_hyperparameters(tree, structure.not_judged), structure.tables]),
        "the": structure.n_blocks,
        "distance": structure.distances,
        "edge log-odds": structure.log_odds,
    }
    if draws.adjacency is None:  # all edges are present; the weights are judged below
        edges = edges.assign(r_hat=np.nan, status="ok")
    indicators = {"edge": _unsettled(edges), "block of": _unsettled(structure.co_assignments)}
    disagreeing = {kind: table[table["status"] == "chains disagree"]["name"]
                   for kind, table in indicators.items()}  # fmt: skip
    bad = {kind: failing(table) for kind, table in tables.items()}
    worst_r_hat, worst_name = worst({"edge": edges, "block of": structure.co_assignments} | tables)
    more = None
    if not any(map(len, disagreeing.values())):
        more = suggested_draws(draws.n_draws, list(indicators.values()), list(bad.values()))
    return ConvergenceReport(
        n_chains=draws.n_chains,
        n_draws=draws.n_draws,
        n_neurons=len(draws.neurons),
        n_edges_uncertain=int(edges["probability"].between(1 - _CERTAIN, _CERTAIN).sum()),
        edges_not_converged=tuple(indicators["edge"]["name"]),
        edges_disagreeing=tuple(disagreeing["edge"]),
        weights_not_converged=tuple(bad["weight"]["name"]),
        biases_not_converged=tuple(bad["bias"]["name"]),
        hyperparameters_not_converged=tuple(bad[""]["name"]),
        worst_r_hat=worst_r_hat,
        worst=worst_name,
        suggested_draws=more,
        n_divergences=_n_divergences(tree),
        blocks_not_converged=(*indicators["block of"]["name"], *bad["the"]["name"]),
        blocks_disagreeing=tuple(disagreeing["block of"]),
        positions_not_converged=(*bad["distance"]["name"], *bad["edge log-odds"]["name"]),
        remarks=structure.remarks,
        self_edges=draws.self_filters is None,
    )


def _unsettled(indicators: pd.DataFrame) -> pd.DataFrame:
    """Return rows on which chains disagree, then those with few effective draws; worst first."""
    bad = indicators[indicators["status"].isin(["chains disagree", "too few draws"])]
    return bad.sort_values(["status", "ess"], kind="stable")


def _checked(edges: pd.DataFrame, draws: NetworkDraws) -> pd.DataFrame:
    """Return a table of edges if it has the columns that the report needs, for every pair."""
    neurons, with_self = draws.neurons, draws.self_filters is None
    needed = {"pre", "post", "probability", "ess", "r_hat", "status"}
    missing = sorted(needed - set(edges.columns))
    if missing:
        raise ValueError(f"edges: it lacks the columns {missing}; give edge_summary(tree).")
    pairs = [pair for pair in product(neurons, repeat=2) if with_self or pair[0] != pair[1]]
    if sorted(zip(edges["pre"], edges["post"], strict=True)) != sorted(pairs):
        raise ValueError(
            f"edges: its {counted(len(edges), 'pair')} are not those of the "
            f"{counted(len(neurons), 'neuron')} of the tree; give edge_summary(tree), self-edges "
            "included."
        )
    return edges


def _n_divergences(tree: xr.DataTree) -> int:
    """Count the draws in which a NUTS step diverged."""
    if "sample_stats" not in tree.children or "diverging" not in tree["sample_stats"].data_vars:
        return 0
    diverging = tree["sample_stats"]["diverging"].astype(bool)
    return int(diverging.any([dim for dim in diverging.dims if dim not in ("chain", "draw")]).sum())


def _weights(draws: NetworkDraws, edges: pd.DataFrame) -> pd.DataFrame:
    """Return name, r_hat and ess of the filters, at their peaks, of nearly certain edges."""
    where = {label: i for i, label in enumerate(draws.neurons)}
    tables = []
    for post, rows in edges[edges["probability"] > _CERTAIN].groupby("post", sort=False):
        values = draws.peaks_at(where[str(post)])[[where[pre] for pre in rows["pre"]]]
        tables.append(pd.DataFrame({"name": list(rows["name"])} | rank_diagnostics(values)))
    return concat(tables)


def _self_filters(draws: NetworkDraws) -> pd.DataFrame:
    """Return name, r_hat and ess of the self filters at their peaks."""
    if draws.self_filters is None:
        return concat([])
    values = np.array([draws.self_filters.peaks_at(post) for post in range(len(draws.neurons))])
    names = [f"{label} -> {label}" for label in draws.neurons]
    return pd.DataFrame({"name": names} | rank_diagnostics(values))


def _hyperparameters(tree: xr.DataTree, not_judged: Set[str]) -> list[pd.DataFrame]:
    """Return diagnostics of the other variables, except those judged by derived quantities."""
    apart = {"adjacency", "weights", "self_weights", "bias", "factors"} | not_judged
    return [
        diagnostics(draws)
        for name, draws in tree["posterior"].data_vars.items()
        if name not in apart and np.issubdtype(draws.dtype, np.floating)
    ]
