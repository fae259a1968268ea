"""Summaries of blocks of neurons that do not depend on how the blocks are numbered."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from pymc_glm.criticism.network.edges import edge_status, indicator_columns, network_matrix
from pymc_glm.criticism.structure.block_draws import block_names, relabelled
from pymc_glm.criticism.structure.learned import is_learned, variable_names
from pymc_glm.criticism.structure.relabelling import adjusted_rand_index
from pymc_glm.criticism.wording import ONE_CHAIN, counted, listed, wrapped
from pymc_glm.priors.features import by_neuron

__all__ = ["BlockSummary", "block_summary", "pair_agreement", "with_truth"]

_SURE = 0.95
# Columns of the table of pairs, with the value for a neuron and itself.
_WITH_ITSELF = {
    "probability": 1.0,
    "mcse": 0.0,
    "ess": np.nan,
    "r_hat": np.nan,
    "chain_min": 1.0,
    "chain_max": 1.0,
    "status": "settled",
}


@dataclass(frozen=True, eq=False, repr=False)
class BlockSummary:
    """Posterior of the blocks of neurons, returned by `block_summary`.

    Parameters
    ----------
    co_assignment : DataArray (post, other)
        Posterior probability that two neurons are in the same block.
    agreement : Dataset (post, other)
        Diagnostics of that probability: `mcse`, its Monte Carlo standard error; `ess`, effective
        draws of the indicator (NaN if it is the same in all draws); `r_hat` (NaN if the indicator
        never changes within a chain); `chain_min` and `chain_max`, the smallest and largest
        frequency of a chain; `status`, "ok", "settled", "chains disagree" or "too few draws", as
        in `edge_summary`.
    n_used : DataArray (chain, draw)
        Number of blocks with at least one neuron.
    n_used_probability : DataArray (n_used)
        Posterior probability of 1, 2, ... used blocks.
    block_size : DataArray (chain, draw, block)
        Number of neurons in every block, after relabelling.
    posterior : Dataset
        The labels and every variable with a dimension of blocks, relabelled. In draws in which a
        block is empty (see `block_size`), its entries in the tables are drawn from their prior, and
        the numbering of several empty blocks is arbitrary.
    label_probability : DataArray (post, block)
        Fraction of draws in which a neuron has each label, after relabelling.
    labels : DataArray (post)
        Most probable label of every neuron, as the index of the block.
    network : DataArray (post, pre) or None
        Inclusion probabilities; in a dense model mean weights (log-odds, see `network_matrix`);
        None if the draws hold no network.
    truth : DataArray (post) or None
        True types, as given.
    adjusted_rand : DataArray (chain, draw) or None
        Adjusted Rand index of every draw with the true types: 1 for the same partition, 0 on
        average by chance.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> isinstance(pg.block_summary(block_tree), pg.BlockSummary)
    True
    """

    co_assignment: xr.DataArray
    agreement: xr.Dataset
    n_used: xr.DataArray
    n_used_probability: xr.DataArray
    block_size: xr.DataArray
    posterior: xr.Dataset
    label_probability: xr.DataArray
    labels: xr.DataArray
    network: xr.DataArray | None = None
    truth: xr.DataArray | None = None
    adjusted_rand: xr.DataArray | None = None

    @property
    def text(self) -> str:
        """The summary in sentences, with one line per block, at most 88 characters wide."""
        used = ", ".join(
            f"{int(n)}\u00a0({float(p):.1%})"
            for n, p in zip(self.n_used_probability["n_used"], self.n_used_probability, strict=True)
            if p > 0
        )
        n_chains, n_draws = self.n_used.sizes["chain"], self.n_used.sizes["draw"]
        lines = [
            f"{counted(self.labels.size, 'neuron')}, {counted(n_chains, 'chain')} of "
            f"{counted(n_draws, 'draw')}. Blocks used (% of draws): {used}."
        ]
        for block, name in enumerate(self.label_probability["block"].values):
            members = list(map(str, self.labels["post"].values[self.labels.values == block]))
            if members:
                lines.append(f"  block {name}, {len(members)}: {listed(members)}")
        lines += [self._uncertain_labels(), self._agreement_of_chains()]
        if self.adjusted_rand is not None:
            low, middle, high = np.quantile(self.adjusted_rand, [0.05, 0.5, 0.95])
            lines.append(
                f"Adjusted Rand index with the truth: median {middle:.2f}, 90% of draws from "
                f"{low:.2f} to {high:.2f}."
            )
        return "\n".join(wrapped(line, "    " if line[0] == " " else "  ") for line in lines)

    def __repr__(self) -> str:
        return f"<BlockSummary>\n{self.text}"

    def _uncertain_labels(self) -> str:
        best = self.label_probability.max("block")
        order = np.argsort(best.values, kind="stable")
        names = [f"{best['post'].values[n]}\u00a0({best.values[n]:.2f})" for n in order
                 if best.values[n] < _SURE]  # fmt: skip
        if not names:
            return f"Every neuron has the same label in at least {_SURE:.0%} of the draws."
        return (
            f"For {counted(len(names), 'neuron')} no label occurs in {_SURE:.0%} of the draws: "
            f"{listed(names)}."
        )

    def _agreement_of_chains(self) -> str:
        if self.n_used.sizes["chain"] == 1:
            return ONE_CHAIN
        difference = self.agreement["chain_max"] - self.agreement["chain_min"]
        largest = float(difference.max())
        post, other = np.unravel_index(int(difference.values.argmax()), difference.shape)
        names = difference["post"].values
        pair = f" ({names[post]} & {names[other]})" if largest > 0 else ""
        disagree = np.triu(self.agreement["status"].values == "chains disagree", 1)
        n_pairs = self.labels.size * (self.labels.size - 1) // 2
        return (
            f"The chains disagree on whether neurons share a block for {int(disagree.sum())} of "
            f"{counted(n_pairs, 'pair')}; the largest difference between their probabilities is "
            f"{largest:.2f}{pair}, the largest Monte Carlo standard error "
            f"{float(self.agreement['mcse'].max()):.3f}."
        )


def block_summary(
    tree: xr.DataTree,
    truth: ArrayLike | Mapping[Any, Any] | xr.DataArray | None = None,
    *,
    labels: str = "block_labels",
) -> BlockSummary:
    r"""Summarise which neurons share a block, in how many blocks, and with what certainty.

    The numbers of blocks are arbitrary: the posterior does not change when blocks are renumbered.
    The summary therefore gives the probability that two neurons share a block; for figures and
    tables the blocks of every draw are renumbered so that the draws agree as well as possible.

    Parameters
    ----------
    tree : DataTree
        What sampling returned; needs the posterior.
    truth : array, mapping or DataArray, (post,), optional
        True type of every neuron, numbers or names; an array in the order of the neurons, a mapping
        or DataArray by neuron name.
    labels : str
        Variable of the posterior, (post,): "block_labels", or "weight_block_labels" for separate
        blocks of the weights.

    Returns
    -------
    BlockSummary
        Print it for the main results.

    Raises
    ------
    TypeError, ValueError
        The tree does not hold draws, the model has no blocks or fixed ones, or `truth` does not
        name a type for every neuron.

    Notes
    -----
    The pivot is the draw nearest to the co-assignment probabilities in least squares (Dahl 2006).
    Every draw is renumbered to agree best with the pivot, then with the label probabilities of all
    draws until nothing changes (Stephens 2000, J. R. Statist. Soc. B 62:795-809, algorithm 2); each
    renumbering is an assignment problem (scipy.optimize.linear_sum_assignment). Tables between
    blocks are permuted along with the labels. Block "0" has the most neurons. If your prior
    distinguishes the blocks (by separate concentrations or edge probabilities), their numbers are
    meaningful and the draws in `tree` need no relabelling.

    The status of a pair is found as in `edge_summary`, from an analysis of variance of the chains'
    frequencies.

    Examples
    --------
    >>> import arviz as az, numpy as np, pymc_glm as pg
    >>> labels = np.tile([0, 0, 1, 1], (4, 50, 1))
    >>> labels[2:] = 1 - labels[2:]  # two chains number the blocks the other way round
    >>> table = np.array([[0.5, 0.1], [0.2, 0.4]])
    >>> tables = np.stack([table, table, table[::-1, ::-1], table[::-1, ::-1]])
    >>> tree = az.from_dict(
    ...     {
    ...         "posterior": {
    ...             "block_labels": labels,
    ...             "edge_probability": np.repeat(tables[:, None], 50, axis=1),
    ...         }
    ...     },
    ...     coords={"post": list("abcd"), "block_post": ["0", "1"], "block_pre": ["0", "1"]},
    ...     dims={"block_labels": ["post"], "edge_probability": ["block_post", "block_pre"]},
    ... )
    >>> summary = pg.block_summary(tree, truth={"a": "E", "b": "E", "c": "I", "d": "I"})
    >>> summary.co_assignment.sel(post="a").values
    array([1., 1., 0., 0.])
    >>> summary.posterior["edge_probability"].mean(["chain", "draw"]).values
    array([[0.5, 0.1],
           [0.2, 0.4]])
    >>> print(summary.text)
    4 neurons, 4 chains of 50 draws. Blocks used (% of draws): 2 (100.0%).
      block 0, 2: a, b
      block 1, 2: c, d
    Every neuron has the same label in at least 95% of the draws.
    The chains disagree on whether neurons share a block for 0 of 6 pairs; the largest
      difference between their probabilities is 0.00, the largest Monte Carlo standard error
      0.000.
    Adjusted Rand index with the truth: median 1.00, 90% of draws from 1.00 to 1.00.
    """
    posterior = relabelled(tree, labels)
    drawn = posterior[labels].transpose("chain", "draw", "post")
    neurons = [str(label) for label in drawn["post"].values]
    names = block_names(tree, labels)
    member = np.stack([drawn.values == block for block in range(len(names))], axis=-1)
    size = xr.DataArray(
        member.sum(axis=2),
        {"chain": drawn["chain"].values, "draw": drawn["draw"].values, "block": names},
        ("chain", "draw", "block"),
        "block_size",
    )
    n_used = (size > 0).sum("block").rename("n_used")
    numbers = np.arange(1, len(names) + 1)
    probability = xr.DataArray(
        member.mean(axis=(0, 1)),
        {"post": neurons, "block": names},
        ("post", "block"),
        "label_probability",
    )
    agreement = pair_agreement(drawn.values, tuple(neurons))
    found = BlockSummary(
        co_assignment=agreement["probability"].rename("co_assignment"),
        agreement=agreement.drop_vars("probability"),
        n_used=n_used,
        n_used_probability=xr.DataArray(
            [float((n_used == n).mean()) for n in numbers], {"n_used": numbers}, ("n_used",)
        ),
        block_size=size,
        posterior=posterior,
        label_probability=probability,
        labels=probability.argmax("block").rename(labels),
        network=_network(tree),
    )
    return found if truth is None else with_truth(found, truth)


def with_truth(
    found: BlockSummary, truth: ArrayLike | Mapping[Any, Any] | xr.DataArray
) -> BlockSummary:
    """Compare blocks with true types; see `block_summary`.

    Parameters
    ----------
    found : BlockSummary
    truth : array, mapping or DataArray, (post,)

    Raises
    ------
    ValueError
        `truth` does not name a type for every neuron.
    """
    neurons = [str(label) for label in found.labels["post"].values]
    types = by_neuron("truth", truth, neurons)
    if types.ndim != 1:
        raise ValueError(
            f"truth: got the shape {types.shape}, allowed is ({len(neurons)},), a type per neuron."
        )
    unknown = np.flatnonzero(pd.isna(types))
    if unknown.size:
        raise ValueError(
            f"truth: the type of neuron {neurons[unknown[0]]!r} is {types[unknown[0]]}; give "
            "every neuron a type."
        )
    drawn = found.posterior[str(found.labels.name)].transpose("chain", "draw", "post")
    codes = pd.factorize(types)[0].astype(np.int64)
    index = adjusted_rand_index(drawn.values.reshape(-1, len(neurons)), codes)
    single = drawn.isel(post=0, drop=True)
    return replace(
        found,
        truth=xr.DataArray(types, {"post": neurons}, ("post",), "truth"),
        adjusted_rand=single.copy(data=index.reshape(single.shape)).rename("adjusted_rand"),
    )


def pair_agreement(labels: NDArray[np.int64], neurons: tuple[str, ...]) -> xr.Dataset:
    """Return how probably pairs share a block, with diagnostics; labels (chain, draw, post)."""
    n = len(neurons)
    by_post = np.moveaxis(labels, -1, 0)
    # One row at a time: the indicators of all pairs would take too much memory.
    rows = [indicator_columns(by_post[i + 1 :] == by_post[i]) for i in range(n)]
    pairs = pd.DataFrame({name: np.concatenate([row[name] for row in rows]) for name in rows[0]})
    pairs["status"] = edge_status(pairs)
    upper = np.triu_indices(n, 1)
    matrices: dict[str, tuple[tuple[str, str], NDArray]] = {}
    for name, diagonal in _WITH_ITSELF.items():
        matrix = np.full((n, n), diagonal, dtype=object if name == "status" else np.float64)
        matrix[upper] = matrix.T[upper] = pairs[name].to_numpy()
        matrices[name] = ("post", "other"), matrix.astype(str) if name == "status" else matrix
    return xr.Dataset(matrices, coords={"post": list(neurons), "other": list(neurons)})


def _network(tree: xr.DataTree) -> xr.DataArray | None:
    """Return the posterior mean network if the tree holds one."""
    if is_learned(tree, "adjacency"):
        adjacency = tree["posterior"]["adjacency"].transpose("chain", "draw", "post", "pre")
        return adjacency.mean(["chain", "draw"]).rename("probability")
    if is_learned(tree, "weights") and "basis_functions" in variable_names(tree, "constant_data"):
        return network_matrix(tree, "weight")
    return None
