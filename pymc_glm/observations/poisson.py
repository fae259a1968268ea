"""Unbounded counts: Poisson."""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray
from pytensor.tensor.random.basic import PoissonRV
from pytensor.tensor.variable import TensorVariable
from scipy.special import gammaln

from pymc_glm.kernels.likelihood import POISSON, Likelihood
from pymc_glm.observations.observation import Observation

__all__ = ["Poisson"]


@dataclass(frozen=True)
class Poisson(Observation):
    """Poisson counts with mean exp(psi) in a bin.

    Weights are changes of the log rate. There is no Pólya-gamma augmentation for them.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> counts = np.random.default_rng(1).poisson(0.5, (300, 2))
    >>> basis = pg.basis.raised_cosine(1, window=0.1, bin_width=0.02)
    >>> pg.build_glm(counts, basis, observation="poisson")["spikes"].owner.op.name
    'poisson'
    """

    name: ClassVar[str] = "poisson"
    rv_type: ClassVar[type] = PoissonRV
    psi_unit: ClassVar[str] = "log rate"

    @classmethod
    def read(cls, variable: TensorVariable) -> Self:
        """Return the observation model."""
        return cls()

    def distribution(self, name: str, psi: TensorVariable, **kwargs: Any) -> TensorVariable:
        """Return pm.Poisson with mu = exp(psi)."""
        return pm.Poisson(name, mu=pt.exp(psi), **kwargs)

    def psi(self, variable: TensorVariable) -> TensorVariable:
        """Return log mu."""
        return pt.log(variable.owner.op.dist_params(variable.owner)[0])

    def likelihood(self, counts: NDArray) -> Likelihood:
        """Return the Poisson likelihood."""
        return Likelihood(POISSON, counts, np.ones(len(counts)), 0.0)

    @classmethod
    def log_constant(cls, counts: NDArray[np.float64], parameter: Any) -> NDArray[np.float64]:
        """Return -log count!."""
        return -gammaln(counts[:, None] + 1.0)

    @staticmethod
    def mean_counts(psi: NDArray[np.float64], parameter: Any) -> NDArray[np.float64]:
        """Return exp(psi)."""
        return np.exp(psi)

    @staticmethod
    def variances(mean: NDArray[np.float64], parameter: Any) -> NDArray[np.float64]:
        """Return the mean."""
        return mean

    def activation(self, rate: NDArray[np.float64], bin_width: float) -> NDArray[np.float64]:
        """Return log(rate * bin_width)."""
        return np.log(np.asarray(rate) * bin_width)
