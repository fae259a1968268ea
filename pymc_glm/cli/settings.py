"""What a run is told, with the defaults for real recordings."""

from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

__all__ = ["BasisKind", "EdgePrior", "FitSettings", "SampleSettings"]


class BasisKind(StrEnum):
    """Basis of the coupling filters."""

    RAISED_COSINE = "raised-cosine"
    BSPLINE = "bspline"
    IDENTITY = "identity"


class EdgePrior(StrEnum):
    """Prior of the edges."""

    BERNOULLI = "bernoulli"
    DENSE = "dense"


class SampleSettings(NamedTuple):
    """How to sample; the arguments of `pymc_glm.sample`."""

    draws: int = 500
    tune: int = 500
    chains: int = 4
    cores: int | None = None
    threads: int | None = None
    random_seed: int | None = None


class FitSettings(NamedTuple):
    """What to fit to which recording."""

    path: Path
    format: str | None = None
    bin_width: float = 0.005  # s
    window: float = 0.1  # s
    basis: BasisKind = BasisKind.RAISED_COSINE
    n_basis: int | None = None
    min_rate: float = 0.4  # Hz
    max_merged: float = 0.01  # fraction of the spikes
    start: float | None = None  # s
    stop: float | None = None  # s
    duration: float | None = None  # s
    neurons: tuple[str, ...] | None = None
    edges: EdgePrior = EdgePrior.BERNOULLI
    sampling: SampleSettings = SampleSettings()
