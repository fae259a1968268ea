"""Settings of a run, with defaults for real recordings."""

from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

__all__ = [
    "BasisKind",
    "EdgePrior",
    "Engine",
    "FitSettings",
    "PriorSettings",
    "SampleSettings",
    "WeightPrior",
]


class BasisKind(StrEnum):
    """Basis of the coupling filters."""

    RAISED_COSINE = "raised-cosine"
    BSPLINE = "bspline"
    IDENTITY = "identity"


class EdgePrior(StrEnum):
    """Prior of the edges."""

    DENSE = "dense"
    BERNOULLI = "bernoulli"
    BLOCK = "block"
    DISTANCE = "distance"
    EIGEN = "eigen"
    UNCOUPLED = "uncoupled"


class WeightPrior(StrEnum):
    """Prior of the weights."""

    GAUSSIAN = "gaussian"
    BLOCK = "block"
    DISTANCE = "distance"
    SIGNED = "signed"


class Engine(StrEnum):
    """Where post neurons are moved."""

    THREADS = "threads"
    JAX = "jax"


class PriorSettings(NamedTuple):
    """Priors of edges and weights, which share blocks or positions if both have them.

    With shared input, neurons also have self filters, as in `pymc_glm.recording_glm`.
    """

    edges: EdgePrior = EdgePrior.BERNOULLI
    weights: WeightPrior = WeightPrior.GAUSSIAN
    n_blocks: int | None = None
    n_dims: int | None = None
    shared_input: bool = True

    @property
    def has_blocks(self) -> bool:
        """Return whether neurons belong to blocks."""
        return EdgePrior.BLOCK == self.edges or WeightPrior.BLOCK == self.weights

    @property
    def has_positions(self) -> bool:
        """Return whether neurons have positions."""
        return EdgePrior.DISTANCE == self.edges or WeightPrior.DISTANCE == self.weights

    @property
    def has_signs(self) -> bool:
        """Return whether neurons have signs."""
        return WeightPrior.SIGNED == self.weights


class SampleSettings(NamedTuple):
    """Arguments of `pymc_glm.sample`."""

    draws: int = 500
    tune: int = 500
    chains: int = 4
    cores: int | None = None
    threads: int | None = None
    random_seed: int | None = None
    engine: Engine = Engine.THREADS


class FitSettings(NamedTuple):
    """The recording and the model to fit to it."""

    path: Path
    format: str | None = None
    bin_width: float = 0.005  # s
    window: float | None = None  # s; depends on whether there is shared input
    basis: BasisKind = BasisKind.RAISED_COSINE
    n_basis: int | None = None
    min_rate: float = 0.4  # Hz
    max_merged: float = 0.01  # fraction of the spikes
    start: float | None = None  # s
    stop: float | None = None  # s
    duration: float | None = None  # s
    hold_out: float | None = None  # s, from the end
    neurons: tuple[str, ...] | None = None
    prior: PriorSettings = PriorSettings()
    sampling: SampleSettings = SampleSettings()
    min_effect: float | None = None  # of decisions, in the unit of psi; that of `edge_summary`
