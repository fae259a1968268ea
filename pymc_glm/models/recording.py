"""`recording_glm`: what is recommended for real recordings, in one call."""

from typing import Any

import pymc as pm
import xarray as xr
from numpy.typing import ArrayLike

from pymc_glm.basis import coupling_history, self_history
from pymc_glm.design import check_counts
from pymc_glm.models.build import build_glm
from pymc_glm.models.pooling import sessions_of
from pymc_glm.observations import Observation
from pymc_glm.priors.edges import BernoulliEdges, Edges
from pymc_glm.priors.shared_input import SharedInput
from pymc_glm.priors.weights import GaussianWeights, Weights

__all__ = ["recording_glm"]

_PROBABILITY = 0.05  # of an edge
_SLAB = 1.0  # standard deviation of a weight, psi
_N_FACTORS = 3


def _checked(counts: Any) -> list[xr.DataArray]:
    """Return the counts of every session."""
    sessions = sessions_of(counts)
    return [check_counts(c, None, whole=True) for c in (sessions or {"": counts}).values()]


def recording_glm(
    counts: Any,
    basis: xr.DataArray | ArrayLike | None = None,
    *,
    edges: Edges | None = None,
    weights: Weights | None = None,
    observation: str | Observation | None = None,
    shared_input: SharedInput | str | None = "recommended",
    self_basis: xr.DataArray | ArrayLike | str | None = "recommended",
    **options: Any,
) -> pm.Model:
    """Build the network GLM that is recommended for real recordings.

    `build_glm` with what recordings need beyond the model of Linderman, Adams & Pillow (2016):
    input that no recorded neuron carries, which otherwise appears as couplings between nearly all
    pairs; a self filter that lasts longer than a coupling, as refractoriness, rhythm and adaptation
    do; and sparse edges with weights that are not small.

    Parameters
    ----------
    counts : DataArray or array (time, neuron), or several sessions
        Spike counts, e.g. from `pymc_glm.bin_spikes`; bins of 1 to 5 ms suit synaptic couplings.
    basis : DataArray or array, (lag, basis), optional
        Of the coupling filters; by default `pymc_glm.basis.coupling_history` of the counts, for
        several sessions of the one with the most spikes.
    edges : Edges, optional
        By default ``BernoulliEdges(0.05)``: one pair in twenty, in either direction.
    weights : Weights, optional
        By default ``GaussianWeights(0.0, 1.0)``. A fixed scale keeps edges from shrinking towards
        nothing: with a learned one, many certain edges can be too weak to matter.
    observation : str or Observation, optional
        By default "bernoulli" if no bin has more than one spike, otherwise "poisson".
    shared_input : SharedInput, None or "recommended"
        By default ``SharedInput(3)``, fewer factors for fewer than four neurons; None for none.
    self_basis : DataArray, array, None or "recommended"
        By default `pymc_glm.basis.self_history` of the same counts; None for self-edges in the
        basis of the couplings.
    **options
        Passed to `build_glm`.

    Returns
    -------
    pymc.Model
        See `build_glm`.

    Raises
    ------
    ValueError, TypeError
        See `build_glm`.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> spikes = np.random.default_rng(1).poisson(0.05, (2000, 4)).clip(0, 1)
    >>> spikes = pg.bin_spikes([np.flatnonzero(n) * 0.002 for n in spikes.T], 0.002)
    >>> model = pg.recording_glm(spikes)
    >>> model["loadings"].eval().shape, model["weights"].eval().shape
    ((4, 3), (4, 4, 3))
    """
    sessions = _checked(counts)
    largest = max(sessions, key=lambda c: float(c.sum()))
    if observation is None:
        observation = "bernoulli" if all(c.max() <= 1 for c in sessions) else "poisson"
    if isinstance(shared_input, str):
        _check_recommended("shared_input", shared_input, "SharedInput(3)")
        n_factors = min(_N_FACTORS, *(c.sizes["neuron"] - 1 for c in sessions))
        shared_input = SharedInput(n_factors) if n_factors > 0 else None
    if isinstance(self_basis, str):
        _check_recommended("self_basis", self_basis, "basis.self_history(counts)")
        self_basis = self_history(largest)
    edges = BernoulliEdges(_PROBABILITY) if edges is None else edges
    if weights is None:
        self_edges: dict[str, Any] = {}
        if self_basis is not None:
            self_edges = {"self_mean": None, "self_cov": None}
        weights = GaussianWeights(0.0, _SLAB**2, **self_edges)
    return build_glm(
        counts,
        coupling_history(largest) if basis is None else basis,
        edges=edges,
        weights=weights,
        observation=observation,
        shared_input=shared_input,
        self_basis=self_basis,
        **options,
    )


def _check_recommended(name: str, value: str, example: str) -> None:
    if value != "recommended":
        raise ValueError(
            f"{name}: got {value!r}, allowed are 'recommended', None and, for example, "
            f"pg.{example}."
        )
