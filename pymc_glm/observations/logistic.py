"""Bounded counts: Bernoulli and binomial."""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray
from pytensor.graph.basic import Constant
from pytensor.tensor.random.basic import BernoulliRV, BinomialRV
from pytensor.tensor.variable import TensorVariable
from scipy.special import expit, gammaln, logit

from pymc_glm.arguments import as_whole_number
from pymc_glm.kernels.likelihood import LOGISTIC, Likelihood
from pymc_glm.observations.observation import Observation, first_bin

__all__ = ["Bernoulli", "Binomial"]


class _Logistic(Observation):
    """Binomial counts of `trials` with probability sigmoid(psi)."""

    trials: int
    psi_unit: ClassVar[str] = "log-odds"

    def likelihood(self, counts: NDArray) -> Likelihood:
        """Return the logistic likelihood, b = trials (Polson, Scott & Windle 2013, section 2)."""
        return Likelihood(LOGISTIC, counts, np.full(len(counts), float(self.trials)), 0.0)

    @classmethod
    def log_constant(cls, counts: NDArray[np.float64], parameter: Any) -> NDArray[np.float64]:
        """Return the log binomial coefficients."""
        trials = np.atleast_1d(parameter)
        y = counts[:, None]
        return gammaln(trials + 1.0) - gammaln(y + 1.0) - gammaln(trials - y + 1.0)

    @staticmethod
    def mean_counts(psi: NDArray[np.float64], parameter: Any) -> NDArray[np.float64]:
        """Return trials sigmoid(psi)."""
        return parameter * expit(psi)

    @staticmethod
    def variances(mean: NDArray[np.float64], parameter: Any) -> NDArray[np.float64]:
        """Return mean (1 - mean / trials)."""
        return mean * (1.0 - mean / parameter)

    def activation(self, rate: NDArray[np.float64], bin_width: float) -> NDArray[np.float64]:
        """Return logit(rate * bin_width / trials)."""
        return logit(np.asarray(rate) * bin_width / self.trials)


@dataclass(frozen=True)
class Bernoulli(_Logistic):
    """At most one spike in a bin, with probability sigmoid(psi).

    The default, ``observation="bernoulli"``. Weights are changes of the log odds of a spike.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> counts = np.random.default_rng(1).poisson(0.05, (300, 2)).clip(0, 1)
    >>> basis = pg.basis.raised_cosine(1, window=0.05, bin_width=0.005)
    >>> pg.build_glm(counts, basis, observation=pg.Bernoulli())["spikes"].owner.op.name
    'bernoulli'
    """

    name: ClassVar[str] = "bernoulli"
    rv_type: ClassVar[type] = BernoulliRV
    trials: ClassVar[int] = 1  # type: ignore[misc]
    most: ClassVar[float] = 1.0  # type: ignore[misc]

    @classmethod
    def read(cls, variable: TensorVariable) -> Self:
        """Return the observation model."""
        return cls()

    def check(self, counts: NDArray, neurons: list[str], bin_width: float) -> None:
        """Raise ValueError if some bin has more than one spike."""
        several = counts > 1
        if several.any():
            raise ValueError(
                f"counts: {several.sum()} of {several.size} bins hold more than one spike "
                f"{first_bin(several, counts, neurons)} and observation='bernoulli' allows at most "
                f"one; use a bin_width below {bin_width:g} s, count such bins as one spike by "
                "counts.clip(max=1) if they are few, or allow several spikes in a bin by "
                f"observation=pymc_glm.Binomial({counts.max()})."
            )

    def distribution(self, name: str, psi: TensorVariable, **kwargs: Any) -> TensorVariable:
        """Return pm.Bernoulli with logit_p = psi."""
        return pm.Bernoulli(name, logit_p=psi, **kwargs)

    def psi(self, variable: TensorVariable) -> TensorVariable:
        """Return logit p."""
        (p,) = variable.owner.op.dist_params(variable.owner)
        return pt.log(p) - pt.log1p(-p)


@dataclass(frozen=True)
class Binomial(_Logistic):
    """Binomial counts: n_trials, each a spike with probability sigmoid(psi).

    For several spikes in a bin, of which a refractory period bounds the number, or for the pooled
    spikes of n_trials similar neurons.

    Parameters
    ----------
    n_trials : int
        Most spikes that a bin can hold, at least 1.

    Raises
    ------
    ValueError
        n_trials is not a whole number of at least 1.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> counts = np.random.default_rng(1).binomial(4, 0.2, (300, 2))
    >>> basis = pg.basis.raised_cosine(1, window=0.1, bin_width=0.02)
    >>> model = pg.build_glm(counts, basis, observation=pg.Binomial(4), bias_rate=40.0)
    >>> model["spikes"].owner.op.name
    'binomial'
    """

    n_trials: int
    name: ClassVar[str] = "binomial"
    parameter_name: ClassVar[str] = "n_trials"
    rv_type: ClassVar[type] = BinomialRV

    def __post_init__(self) -> None:
        as_whole_number(self.n_trials, "n_trials")

    @classmethod
    def with_parameter(cls, value: Any) -> Self:
        """Return the observation model with this number of trials."""
        return cls(int(value))

    @property
    def trials(self) -> int:  # type: ignore[override]
        """Return n_trials."""
        return int(self.n_trials)

    @property
    def most(self) -> float:  # type: ignore[override]
        """Return n_trials."""
        return float(self.n_trials)

    @classmethod
    def read(cls, variable: TensorVariable) -> Self | None:
        """Return the observation model if all neurons have one known number of trials."""
        n = variable.owner.op.dist_params(variable.owner)[0]
        while n.owner is not None and len(n.owner.inputs) == 1:  # more dimensions, another type
            (n,) = n.owner.inputs
        values = np.unique(n.data) if isinstance(n, Constant) else np.empty(0)
        return cls(int(values[0])) if values.size == 1 else None

    def check(self, counts: NDArray, neurons: list[str], bin_width: float) -> None:
        """Raise ValueError if some bin has more spikes than trials."""
        above = counts > self.n_trials
        if above.any():
            raise ValueError(
                f"counts: {above.sum()} of {above.size} bins hold more than n_trials = "
                f"{self.n_trials} spikes {first_bin(above, counts, neurons)}; give n_trials of at "
                f"least {counts.max()}, or a smaller bin_width than {bin_width:g} s."
            )

    def distribution(self, name: str, psi: TensorVariable, **kwargs: Any) -> TensorVariable:
        """Return pm.Binomial with logit_p = psi."""
        return pm.Binomial(name, n=self.trials, logit_p=psi, **kwargs)

    def containers(self) -> dict[str, float]:
        """Return n_trials."""
        return {"n_trials": self.trials}

    def psi(self, variable: TensorVariable) -> TensorVariable:
        """Return logit p."""
        _, p = variable.owner.op.dist_params(variable.owner)
        return pt.log(p) - pt.log1p(-p)
