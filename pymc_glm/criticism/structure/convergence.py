"""Convergence of blocks, positions and factors, judged by quantities that are identified.

The posterior does not change when blocks are renumbered, positions rotated or reflected, or
factors reordered or changed in sign, so the R-hat of their values is meaningless.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from pymc_glm.criticism.network.diagnostics import concat, diagnostics, rank_diagnostics, varies
from pymc_glm.criticism.posterior import variable
from pymc_glm.criticism.structure.block_draws import block_dims, block_names, relabelled
from pymc_glm.criticism.structure.blocks import pair_agreement
from pymc_glm.criticism.structure.factors import aligned_loadings
from pymc_glm.criticism.structure.learned import is_learned
from pymc_glm.criticism.structure.procrustes import distances_onwards
from pymc_glm.criticism.wording import listed
from pymc_glm.priors.shared_input import grid_steps

__all__ = ["Structure", "structure_diagnostics"]

_LABELS = ("block_labels", "weight_block_labels")
_POSITIONS = ("latent_positions", "weight_latent_positions")
_FACTORS = "latent_factors"
_OF_FACTORS = ("factor_timescale", "loading_scale")
_DELAYS_APART = 5.0  # ms
_NO_R_HAT = 1e6  # beyond this the variance within chains is only rounding error


class Structure(NamedTuple):
    """Tables of name, r_hat and ess; for co-assignments also the status of `edge_summary`."""

    co_assignments: pd.DataFrame
    n_blocks: pd.DataFrame
    distances: pd.DataFrame
    log_odds: pd.DataFrame
    tables: pd.DataFrame  # parameters of relabelled blocks that are used in every draw
    not_judged: frozenset[str]  # variables of the posterior whose values are not judged
    remarks: tuple[str, ...]


def structure_diagnostics(tree: xr.DataTree) -> Structure:
    """Diagnose blocks, positions and factors that a model has learned.

    Parameters
    ----------
    tree : DataTree

    Returns
    -------
    Structure
        With empty tables for structure that the model does not have.
    """
    pairs, used, tables, distances = [], [], [], []
    not_judged: set[str] = set()
    remarks = []
    for labels in _LABELS:
        if is_learned(tree, labels):
            found = _blocks(tree, labels)
            pairs.append(found.pairs)
            used.append(found.used)
            tables.append(found.tables)
            not_judged |= found.names
            remarks.append(found.remark)
    for positions in _POSITIONS:
        if is_learned(tree, positions):
            distances.append(_distances(tree, positions))
            not_judged.add(positions)
            remarks.append(
                f"{_kind(positions, 'Positions')} are judged by the distances between neurons, not "
                "by their values, which may be rotated and reflected."
            )
    if is_learned(tree, "loadings"):
        tables.append(_shared_input(tree))
        not_judged |= {"loadings", "factors", "input_delay", *_OF_FACTORS}
        remarks.append(
            "Shared input is judged by the covariances of the input of two neurons, not by "
            "loadings and paths, whose signs, order and rotation are arbitrary. Timescales and "
            "scales are judged after putting the factors in order, unless timescales overlap."
        )
        remarks += [*_coarse_grids(tree), *_delays(tree)]
    log_odds, names, remark = _factors(tree)
    return Structure(
        co_assignments=concat(pairs, "status"),
        n_blocks=concat(used),
        distances=concat(distances),
        log_odds=log_odds,
        tables=concat(tables),
        not_judged=frozenset(not_judged | names),
        remarks=(*remarks, *remark),
    )


class _Blocks(NamedTuple):
    pairs: pd.DataFrame
    used: pd.DataFrame
    tables: pd.DataFrame
    names: set[str]
    remark: str


def _kind(name: str, noun: str) -> str:
    """Add "of the weights" to a noun if the variable belongs to the weights alone."""
    return f"{noun} of the weights" if name.startswith("weight_") else noun


def _blocks(tree: xr.DataTree, labels: str) -> _Blocks:
    posterior = relabelled(tree, labels)
    drawn = posterior[labels].transpose("chain", "draw", "post")
    neurons = tuple(str(name) for name in drawn["post"].values)
    which = " of the weights" if labels.startswith("weight_") else ""

    dims = block_dims(labels)
    n_blocks = len(block_names(tree, labels))
    occupied = np.stack([(drawn.values == k).any(axis=2) for k in range(n_blocks)])
    used = diagnostics(
        xr.DataArray(occupied.sum(axis=0)[None], dims=("what", "chain", "draw")),
        [f"number of blocks{which} used"],
    )
    used["r_hat"] = used["r_hat"].where(used["r_hat"] < _NO_R_HAT)

    always = occupied.all(axis=(1, 2))
    names = {str(name) for name in posterior.data_vars if name != labels}
    tables = [
        diagnostics(posterior[name], keep=_within(posterior[name], dims, always))
        for name in sorted(names)
        if np.issubdtype(posterior[name].dtype, np.floating)
    ]
    remark = (
        f"{_kind(labels, 'Blocks')} are judged by which neurons share one and by the number used, "
        "not by the labels, whose numbers are arbitrary."
    )
    if names:
        some = "" if always.all() else ", except of blocks that are empty in some draws"
        remark += f" Parameters of blocks are judged after relabelling{some}."
    return _Blocks(_pairs(drawn.values, neurons, which), used, concat(tables), names, remark)


def _pairs(labels: NDArray[np.int64], neurons: tuple[str, ...], which: str) -> pd.DataFrame:
    """Diagnose the indicators of two neurons sharing a block."""
    agreement = pair_agreement(labels, neurons)
    rows, columns = np.triu_indices(len(neurons), 1)
    return pd.DataFrame(
        {
            "name": [f"{neurons[i]} & {neurons[j]}{which and ' (weights)'}"
                     for i, j in zip(rows, columns, strict=True)]
        }
        | {name: agreement[name].values[rows, columns] for name in ("r_hat", "ess", "status")}
    )  # fmt: skip


def _within(table: xr.DataArray, dims: tuple[str, ...], always: NDArray[np.bool_]) -> NDArray:
    """Return which elements of a draw of a table belong to blocks that are always used."""
    draw = table.isel(chain=0, draw=0, drop=True)
    mask = np.ones(draw.shape, dtype=bool)
    for axis, dim in enumerate(draw.dims):
        if dim in dims:
            mask &= always.reshape([-1 if i == axis else 1 for i in range(draw.ndim)])
    return mask


def _by_pair(
    rows: Iterable[NDArray], shape: tuple[int, int], neurons: list[str], suffix: str = ""
) -> pd.DataFrame:
    """Return diagnostics of a symmetric quantity, given (draw, later neuron) for every neuron."""
    tables = []
    for first, values in enumerate(rows):
        ordered = values.T.reshape(-1, *shape)
        judged = varies(ordered)
        names = [f"{neurons[first]} & {other}{suffix}" for other in neurons[first + 1 :]]
        tables.append(
            pd.DataFrame(
                {"name": np.array(names, dtype=object)[judged]} | rank_diagnostics(ordered[judged])
            )
        )
    return concat(tables)


def _draws(tree: xr.DataTree, name: str) -> tuple[NDArray[np.float64], tuple[int, int], list[str]]:
    """Return values (draw, neuron, dim), the sizes (chain, draw) and the neurons."""
    drawn = tree["posterior"][name].transpose("chain", "draw", "post", ...)
    n_chains, n_draws, n_neurons = drawn.shape[:3]
    values = drawn.values.astype(np.float64).reshape(n_chains * n_draws, n_neurons, -1)
    return values, (n_chains, n_draws), [str(label) for label in drawn["post"].values]


def _distances(tree: xr.DataTree, name: str) -> pd.DataFrame:
    values, shape, neurons = _draws(tree, name)
    suffix = " (weights)" if name.startswith("weight_") else ""
    return _by_pair(distances_onwards(values), shape, neurons, suffix)


def _shared_input(tree: xr.DataTree) -> pd.DataFrame:
    """Diagnose covariances of shared input, and what belongs to factors that can be told apart."""
    aligned = aligned_loadings(tree)
    values, shape, neurons = _draws(tree, "loadings")
    rows = (np.einsum("sk,smk->sm", values[:, n], values[:, n + 1 :]) for n in range(len(neurons)))
    tables = [_by_pair(rows, shape, neurons, " (shared input)")]
    alone = np.bincount(aligned.group)[aligned.group] == 1
    for name in _OF_FACTORS:
        if is_learned(tree, name):
            drawn = tree["posterior"][name].transpose("chain", "draw", "factor")
            ordered = np.take_along_axis(drawn.values, aligned.order, axis=2)
            tables.append(diagnostics(drawn.copy(data=ordered), keep=alone))
    return concat(tables)


def _coarse_grids(tree: xr.DataTree) -> list[str]:
    """Return a sentence for each factor whose learned timescale is below its grid.

    The grid was chosen before; a path is constant between grid points.
    """
    if not is_learned(tree, "factor_timescale"):
        return []
    drawn = variable(tree, "posterior", "factor_timescale").transpose("chain", "draw", "factor")
    medians = np.median(drawn.values, axis=(0, 1))
    widths = variable(tree, "constant_data", "grid_width").values.astype(np.float64)
    bin_width = float(variable(tree, "constant_data", "bin_width"))
    sentences = []
    for k in np.flatnonzero(medians < widths):
        finer = bin_width * int(grid_steps(medians[k], bin_width))
        remedy = "narrower bins, or without this factor"
        if widths[k] > 1.5 * bin_width:
            remedy = (
                f"a finer grid for it, such as {finer:.3g} s in pg.SharedInput(grid=...), or a "
                "prior with a shorter timescale"
            )
        sentences.append(
            f"The path of factor {k} cannot follow its timescale, of which the posterior median, "
            f"{1e3 * medians[k]:.2g} ms, is below the grid of {1e3 * widths[k]:.3g} ms: fit again "
            f"with {remedy}."
        )
    return sentences


def _delays(tree: xr.DataTree) -> list[str]:
    """Return a sentence if chains disagree on delays, apart from a shift of all together."""
    if not is_learned(tree, "input_delay"):
        return []
    drawn = variable(tree, "posterior", "input_delay").transpose("chain", "draw", "post")
    bin_width = float(variable(tree, "constant_data", "bin_width"))
    means = 1e3 * bin_width * drawn.values.mean(axis=1)
    apart = np.ptp(means - np.median(means, axis=1, keepdims=True), axis=0)
    wrong = np.flatnonzero(apart > max(_DELAYS_APART, 2e3 * bin_width))
    if not wrong.size:
        return []
    names = [str(drawn["post"].values[n]) for n in wrong]
    return [
        f"The chains disagree on the delay with which shared input reaches {wrong.size} of "
        f"{apart.size} neurons ({listed(names)}), by up to {apart.max():.2g} ms: tune for "
        "longer."
    ]


def _factors(tree: xr.DataTree) -> tuple[pd.DataFrame, set[str], list[str]]:
    """Diagnose the log-odds edge_intercept + u_n' diag(eigenvalues) u_m of the eigenmodel."""
    if not is_learned(tree, _FACTORS):
        return concat([]), set(), []
    values, shape, neurons = _draws(tree, _FACTORS)
    remark = "because their order and signs are arbitrary."
    if not is_learned(tree, "eigenvalues"):
        return concat([]), {_FACTORS}, [f"Latent factors are not judged, {remark}"]
    eigenvalues = tree["posterior"]["eigenvalues"].transpose("chain", "draw", ...).values
    intercept = np.zeros(len(values))
    if is_learned(tree, "edge_intercept"):
        intercept = tree["posterior"]["edge_intercept"].transpose("chain", "draw").values.ravel()
    scaled = values * eigenvalues.reshape(len(values), 1, -1)
    rows = (
        intercept[:, None] + np.einsum("sd,smd->sm", scaled[:, n], values[:, n + 1 :])
        for n in range(len(neurons))
    )
    remark = f"Latent factors and eigenvalues are judged by the log-odds of edges, {remark}"
    return _by_pair(rows, shape, neurons), {_FACTORS, "eigenvalues"}, [remark]
