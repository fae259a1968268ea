"""Summaries of latent positions of neurons after alignment of all draws."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from arviz_stats.base import array_stats
from numpy.typing import ArrayLike, NDArray

from pymc_glm.criticism.network.diagnostics import varies
from pymc_glm.criticism.posterior import variable
from pymc_glm.criticism.structure.block_draws import blocks_of_neurons
from pymc_glm.criticism.structure.learned import learned, variable_names
from pymc_glm.criticism.structure.procrustes import (
    aligned,
    distance_correlations,
    distances_onwards,
    procrustes_correlations,
    similarity,
)
from pymc_glm.criticism.wording import counted, wrapped
from pymc_glm.priors.features import by_neuron

__all__ = ["AlignedPositions", "align_positions", "with_reference"]

_DIMS = ("latent_dim", "latent_dim_other")
_ADVICE = (
    "this model learns no positions. Build one that does with pg.latent_distance_glm, "
    "pg.DistanceEdges or pg.DistanceWeights; networks without positions are summarised by "
    "pg.edge_summary and pg.plot_network"
)


@dataclass(frozen=True, eq=False, repr=False)
class AlignedPositions:
    """Latent positions of neurons after alignment of all draws, returned by `align_positions`.

    Lengths are in units of the prior standard deviation of positions unless a reference is named.

    Parameters
    ----------
    positions : DataArray (chain, draw, post, latent_dim)
        Positions after alignment.
    mean : DataArray (post, latent_dim)
        Their posterior mean, centred at the origin along its principal axes.
    covariance : DataArray (post, latent_dim, latent_dim_other)
        Their posterior covariance, neuron by neuron.
    distances : Dataset (post, other)
        Distances between neurons, which need no alignment: `mean`, `sd`, `ess` (effective draws)
        and `r_hat` (split); the last two are NaN on the diagonal.
    reference : DataArray (post, space) or None
        Positions to compare with, as given.
    correlation : DataArray (chain, draw) or None
        Procrustes correlation of every draw with the reference, sqrt(1 - disparity).
    distance_correlation : DataArray (chain, draw) or None
        Spearman correlation of every draw's distances with the reference's, over pairs.
    reference_mean : DataArray (post, space) or None
        The mean mapped onto the reference, in its units.
    reference_covariance : DataArray (post, space, space_other) or None
        The covariance under the same map.
    reference_scale : float or None
        Length of one latent unit under this map, in units of the reference.
    blocks : DataArray (post) or None
        Known or most probable block of every neuron, in models that also have blocks.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> isinstance(pg.align_positions(position_tree), pg.AlignedPositions)
    True
    """

    positions: xr.DataArray
    mean: xr.DataArray
    covariance: xr.DataArray
    distances: xr.Dataset
    reference: xr.DataArray | None = None
    correlation: xr.DataArray | None = None
    distance_correlation: xr.DataArray | None = None
    reference_mean: xr.DataArray | None = None
    reference_covariance: xr.DataArray | None = None
    reference_scale: float | None = None
    blocks: xr.DataArray | None = None

    @property
    def text(self) -> str:
        """The positions in sentences, at most 88 characters wide."""
        sizes = self.positions.sizes
        extent = float(np.sqrt((self.mean**2).sum("latent_dim").mean()))
        spread = np.sqrt(np.trace(self.covariance.values, axis1=1, axis2=2))
        lines = [
            f"{counted(sizes['post'], 'neuron')} in "
            f"{counted(sizes['latent_dim'], 'latent dimension')}, "
            f"{counted(sizes['chain'], 'chain')} of {counted(sizes['draw'], 'draw')}. Root mean "
            f"square distances: {extent:.2f} from mean positions to their centre, "
            f"{np.median(spread):.2f} from a neuron's draws to its mean (median over neurons)."
        ]
        r_hat = self.distances["r_hat"].values
        if np.isfinite(r_hat).any():
            names = self.distances["post"].values
            i, j = np.unravel_index(int(np.nanargmax(r_hat)), r_hat.shape)
            lines.append(
                f"Distances between neurons: largest R-hat {r_hat[i, j]:.4g} ({names[i]} & "
                f"{names[j]}), fewest effective draws {np.nanmin(self.distances['ess']):.0f}."
            )
        else:
            lines.append(
                "Convergence of the distances cannot be judged from one chain or a few draws."
            )
        if self.correlation is not None and self.distance_correlation is not None:
            lines.append(self._reference_line(self.correlation, self.distance_correlation))
        return "\n".join(map(wrapped, lines))

    def __repr__(self) -> str:
        return f"<AlignedPositions>\n{self.text}"

    def _reference_line(self, correlation: xr.DataArray, of_distances: xr.DataArray) -> str:
        low, middle, high = np.quantile(correlation, [0.05, 0.5, 0.95])
        attrs = {} if self.reference is None else self.reference.attrs
        units = attrs.get("units", "units of the reference")
        return (
            f"Procrustes correlation with the reference: median {middle:.2f}, 90% of draws from "
            f"{low:.2f} to {high:.2f}; rank correlation of the distances: median "
            f"{float(of_distances.median()):.2f}. One latent unit is {self.reference_scale:.4g} "
            f"{units}."
        )


def align_positions(
    tree: xr.DataTree,
    reference: ArrayLike | Mapping[Any, ArrayLike] | xr.DataArray | str | None = None,
    *,
    positions: str = "latent_positions",
) -> AlignedPositions:
    r"""Align the draws of latent positions, and compare them with known positions.

    A latent distance model depends only on distances: its posterior does not change when all
    positions of a draw are rotated or reflected together, and its likelihood also not when they are
    shifted. Every draw is aligned by Procrustes analysis, without scaling, because the prior of the
    positions sets their scale.

    Parameters
    ----------
    tree : DataTree
        What sampling returned; needs the posterior.
    reference : array, mapping or DataArray, (post, space), or "position", optional
        Known positions to compare with, such as true ones or those of electrodes, in any units and
        number of dimensions; an array in the order of the neurons, a mapping or DataArray by neuron
        name. "position" means the electrode positions in the constant data, in micrometres.
    positions : str
        Variable of the posterior, (post, latent_dim): "latent_positions", or
        "weight_latent_positions" for separate positions of the weights.

    Returns
    -------
    AlignedPositions
        Print it for the main results.

    Raises
    ------
    TypeError, ValueError
        The tree does not hold draws, the model has no latent positions or fixed ones, or the
        reference does not give a finite position for every neuron.

    Notes
    -----
    The pivot is the draw whose matrix of distances is nearest to the posterior mean of that
    matrix. All draws of all chains are rotated onto it (scipy.linalg.orthogonal_procrustes), then
    onto their mean until it settles (Gower 1975, Generalized Procrustes analysis, Psychometrika
    40:33-51), as in Hoff, Raftery & Handcock (2002, J. Amer. Statist. Assoc. 97:1090-1098).

    To see whether the chains agree, look at the R-hat of `distances`, not at the aligned positions:
    alignment can hide that chains have found different shapes.

    Each draw is compared with the reference separately: `correlation` is
    :math:`\sqrt{1 - d}` with the disparity d of scipy.spatial.procrustes, which centres, scales,
    rotates and reflects; it is 1 for the same shape. With few neurons even unrelated positions
    correlate: normal ones in 2 dimensions by 0.34 on average for 12 neurons, 0.24 for 24, 0.15 for
    60; compare with the correlation after shuffling the neurons. If the two spaces differ in
    dimension, the smaller is embedded in the larger, and `reference_mean` is projected onto the
    space of the reference.

    Latent factors of `EigenEdges` are not positions: they are identified only up to sign and order,
    and only together with their eigenvalues. They are not aligned here; look at inclusion
    probabilities instead.

    Examples
    --------
    >>> import arviz as az, numpy as np, pymc_glm as pg
    >>> rng = np.random.default_rng(1)
    >>> electrodes = np.array([[0.0, 0.0], [400.0, 0.0], [0.0, 200.0], [400.0, 300.0]])
    >>> angle = rng.uniform(0, 2 * np.pi, (4, 100))
    >>> turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    >>> draws = np.einsum("nd,decs->csne", electrodes / 200, turn)
    >>> draws += rng.normal(0, 0.1, draws.shape)
    >>> tree = az.from_dict(
    ...     {"posterior": {"latent_positions": draws}},
    ...     coords={"post": list("abcd")},
    ...     dims={"latent_positions": ["post", "latent_dim"]},
    ... )
    >>> aligned = pg.align_positions(tree, reference=electrodes)
    >>> float(aligned.correlation.median().round(2))
    1.0
    >>> abs(aligned.reference_mean - electrodes).values.max() < 10
    np.True_
    """
    if positions == "latent_factors":
        raise ValueError(
            "positions: 'latent_factors' are not positions; they are identified only together with "
            "their eigenvalues, up to sign and order. Use pg.network_matrix(tree) instead."
        )
    drawn = learned(tree, positions, "positions", _ADVICE)
    extra = [dim for dim in drawn.dims if dim not in ("chain", "draw", "post")]
    if len(extra) != 1 or "post" not in drawn.dims:
        raise ValueError(
            f"positions: {positions!r} has the dims {drawn.dims}; allowed are (chain, draw, post, "
            "latent_dim)."
        )
    drawn = drawn.transpose("chain", "draw", "post", extra[0]).rename({extra[0]: "latent_dim"})
    flat = drawn.values.astype(np.float64).reshape(-1, *drawn.shape[2:])
    rotated = drawn.copy(data=aligned(flat).reshape(drawn.shape)).rename("positions")
    mean, covariance = _moments(rotated)
    found = AlignedPositions(
        positions=rotated,
        mean=mean,
        covariance=covariance,
        distances=_distances(flat, drawn),
        blocks=blocks_of_neurons(tree),
    )
    if reference is None:
        return found
    return with_reference(found, _electrodes(tree) if _is_position(reference) else reference)


def _moments(rotated: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """Return mean and covariance of every neuron's positions."""
    mean = rotated.mean(["chain", "draw"])
    deviation = (rotated - mean).values.reshape(-1, *mean.shape)
    covariance = np.einsum("snd,sne->nde", deviation, deviation) / max(len(deviation) - 1, 1)
    coords = {"post": mean["post"].values}
    if "latent_dim" in mean.coords:
        coords |= {dim: mean["latent_dim"].values for dim in _DIMS}
    return mean.rename("mean"), xr.DataArray(covariance, coords, ("post", *_DIMS), "covariance")


def _distances(flat: NDArray[np.float64], drawn: xr.DataArray) -> xr.Dataset:
    n_chains, n_draws, n = drawn.shape[:3]
    matrices = {name: np.full((n, n), np.nan) for name in ("mean", "sd", "ess", "r_hat")}
    for name in ("mean", "sd"):
        np.fill_diagonal(matrices[name], 0.0)
    for first, rows in enumerate(distances_onwards(flat)):
        values = rows.T.reshape(-1, n_chains, n_draws)
        moves = varies(values)
        found = {name: np.full(len(values), np.nan) for name in matrices}
        found["mean"] = rows.mean(axis=0)
        found["sd"] = rows.std(axis=0, ddof=1 if len(rows) > 1 else 0)
        found["ess"][moves] = array_stats.ess(values[moves], method="mean")
        found["r_hat"][moves] = array_stats.rhat(values[moves], method="split")
        for name, row in found.items():
            matrices[name][first, first + 1 :] = matrices[name][first + 1 :, first] = row
    neurons = drawn["post"].values
    return xr.Dataset(
        {name: (("post", "other"), matrix) for name, matrix in matrices.items()},
        coords={"post": neurons, "other": neurons},
    )


def _is_position(reference: Any) -> bool:
    if isinstance(reference, str) and reference != "position":
        raise ValueError(
            f"reference: got {reference!r}, allowed are 'position' (the electrode positions in the "
            "tree) and positions (post, space)."
        )
    return isinstance(reference, str)


def _electrodes(tree: xr.DataTree) -> xr.DataArray:
    """Return the electrode positions in the constant data."""
    if "position" not in variable_names(tree, "constant_data"):
        raise ValueError(
            "reference: 'position' means the electrode positions in the constant data, and there "
            "are none because the counts had none; give positions (post, space) by neuron."
        )
    return variable(tree, "constant_data", "position").assign_attrs(
        units="um", long_name="electrode"
    )


def with_reference(
    found: AlignedPositions, reference: ArrayLike | Mapping[Any, ArrayLike] | xr.DataArray
) -> AlignedPositions:
    """Compare aligned positions with known ones; see `align_positions`.

    Parameters
    ----------
    found : AlignedPositions
    reference : array, mapping or DataArray, (post, space)

    Raises
    ------
    TypeError, ValueError
        The reference does not give a finite position for every neuron.
    """
    target = _reference(reference, found.mean)
    draws = found.positions.values.reshape(-1, *found.mean.shape)
    onto = similarity(found.mean.values, target.values)
    single = found.positions.isel(post=0, latent_dim=0, drop=True)

    def by_draw(values: NDArray[np.float64], name: str) -> xr.DataArray:
        return single.copy(data=values.reshape(single.shape)).rename(name)

    space = target["space"].values
    return replace(
        found,
        reference=target,
        correlation=by_draw(procrustes_correlations(draws, target.values), "correlation"),
        distance_correlation=by_draw(
            distance_correlations(draws, target.values), "distance_correlation"
        ),
        reference_mean=target.copy(data=onto.points(found.mean.values)).rename("reference_mean"),
        reference_covariance=xr.DataArray(
            onto.covariances(found.covariance.values),
            {"post": target["post"].values, "space": space, "space_other": space},
            ("post", "space", "space_other"),
            "reference_covariance",
        ),
        reference_scale=onto.scale,
    )


def _reference(reference: Any, mean: xr.DataArray) -> xr.DataArray:
    """Check known positions; return them with dims (post, space)."""
    neurons = [str(label) for label in mean["post"].values]
    try:
        values = by_neuron("reference", reference, neurons).astype(np.float64)
    except (TypeError, ValueError) as error:
        if str(error).startswith("reference:"):
            raise
        raise TypeError(
            f"reference: got {type(reference).__name__}, allowed are numbers (post, space), a "
            "mapping by neuron and a DataArray."
        ) from error
    values = values[:, None] if values.ndim == 1 else values
    if values.ndim != 2:
        raise ValueError(
            f"reference: got the shape {values.shape}, allowed is ({len(neurons)}, space)."
        )
    if not np.isfinite(values).all():
        n = int(np.argwhere(~np.isfinite(values))[0, 0])
        raise ValueError(
            f"reference: the position of neuron {neurons[n]!r} is {values[n].tolist()}; give "
            "finite numbers."
        )
    if not np.ptp(values, axis=0).any():
        raise ValueError(
            "reference: all neurons are at the same position; give a position for each."
        )
    n_dims = values.shape[1]
    names = list("xyz"[:n_dims]) if n_dims <= 3 else [str(d) for d in range(n_dims)]
    attrs = {}
    if isinstance(reference, xr.DataArray):
        attrs = {k: v for k, v in reference.attrs.items() if k in ("units", "long_name")}
        other = [dim for dim in reference.dims if dim not in ("post", "neuron", "pre")]
        if len(other) == 1 and other[0] in reference.coords:
            names = [str(name) for name in reference[other[0]].values]
    return xr.DataArray(
        values, {"post": mean["post"].values, "space": names}, ("post", "space"), "reference", attrs
    )
