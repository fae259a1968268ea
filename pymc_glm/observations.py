"""Observation models: how the activation psi makes counts.

Adding one is one class here; steps and builders recognise it by its `rv_type`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import pymc as pm
from numpy.typing import NDArray
from pytensor.graph.basic import Constant
from pytensor.tensor.random.basic import BernoulliRV, BinomialRV
from pytensor.tensor.variable import TensorVariable
from scipy.special import logit

from pymc_glm.kernels.likelihood import LOGISTIC, Likelihood

__all__ = ["Bernoulli", "Binomial", "Observation", "observation_model", "observation_of"]


class Observation(ABC):
    """Law of the counts given the activation."""

    name: ClassVar[str]
    rv_type: ClassVar[type]
    most: float  # largest mean count of a bin

    @classmethod
    @abstractmethod
    def read(cls, variable: TensorVariable) -> Self | None:
        """Return the law of a PyMC variable of `rv_type`, None if its parameters are not known."""

    @abstractmethod
    def check(self, counts: NDArray, neurons: list[str], bin_width: float) -> None:
        """Raise ValueError if some counts are impossible under this law.

        Parameters
        ----------
        counts : array of int, shape (time, neuron)
        neurons : list of str
        bin_width : float
            Seconds.
        """

    @abstractmethod
    def distribution(self, name: str, psi: TensorVariable, **kwargs: Any) -> TensorVariable:
        """Return the PyMC variable of the counts."""

    def containers(self) -> dict[str, float]:
        """Return what of the law's parameters the model holds as data."""
        return {}

    @abstractmethod
    def mean(self, variable: TensorVariable) -> TensorVariable:
        """Return the mean counts of a variable that `distribution` made."""

    @abstractmethod
    def polya_gamma(self, counts: NDArray) -> tuple[NDArray[np.float64], int | NDArray[np.int64]]:
        """Return (a, b) of p(y | psi) proportional to exp(a psi) / (1 + exp psi)^b."""

    @abstractmethod
    def likelihood(self, counts: NDArray) -> Likelihood:
        """Return the law as the kernels know it; counts have shape (post, time)."""

    @abstractmethod
    def activation(self, rate: NDArray[np.float64], bin_width: float) -> NDArray[np.float64]:
        """Return the activation whose mean count is rate (Hz) times bin_width (s)."""


def _first(wrong: NDArray[np.bool_], counts: NDArray, neurons: list[str]) -> str:
    """Say where the first wrong bin is."""
    where, who = np.argwhere(wrong)[0]
    return f"(first: neuron {neurons[who]!r}, bin {where}, {counts[where, who]} spikes)"


class _Logistic(Observation):
    """Binomial counts of `trials` with probability sigmoid(psi)."""

    trials: int

    def polya_gamma(self, counts: NDArray) -> tuple[NDArray[np.float64], int]:
        """Return a = y, b = trials (Polson, Scott & Windle 2013, section 2)."""
        return counts.astype(np.float64), self.trials

    def likelihood(self, counts: NDArray) -> Likelihood:
        """Return the logistic law with b = trials."""
        return Likelihood(LOGISTIC, counts, np.full(len(counts), float(self.trials)), 0.0)

    def activation(self, rate: NDArray[np.float64], bin_width: float) -> NDArray[np.float64]:
        """Return logit(rate * bin_width / trials)."""
        return logit(np.asarray(rate) * bin_width / self.trials)


@dataclass(frozen=True)
class Bernoulli(_Logistic):
    """At most one spike in a bin, with probability sigmoid(psi)."""

    name: ClassVar[str] = "bernoulli"
    rv_type: ClassVar[type] = BernoulliRV
    trials: ClassVar[int] = 1  # type: ignore[misc]
    most: ClassVar[float] = 1.0  # type: ignore[misc]

    @classmethod
    def read(cls, variable: TensorVariable) -> Self:
        """Return the law."""
        return cls()

    def check(self, counts: NDArray, neurons: list[str], bin_width: float) -> None:
        """Raise ValueError if some bin has more than one spike."""
        several = counts > 1
        if several.any():
            raise ValueError(
                f"counts: {several.sum()} of {several.size} bins hold more than one spike "
                f"{_first(several, counts, neurons)} and observation='bernoulli' allows at most "
                f"one; use a bin_width below {bin_width:g} s, count such bins as one spike by "
                "counts.clip(max=1) where they are few, or model several spikes in a bin by a "
                f"binomial law, observation=pymc_glm.Binomial({counts.max()})."
            )

    def distribution(self, name: str, psi: TensorVariable, **kwargs: Any) -> TensorVariable:
        """Return pm.Bernoulli with logit_p = psi."""
        return pm.Bernoulli(name, logit_p=psi, **kwargs)

    def mean(self, variable: TensorVariable) -> TensorVariable:
        """Return p."""
        return variable.owner.op.dist_params(variable.owner)[0]


@dataclass(frozen=True)
class Binomial(_Logistic):
    """Counts of a bin binomial, n_trials with probability sigmoid(psi) each.

    For several spikes in a bin where a refractory period bounds their number, or for the pooled
    spikes of n_trials like neurons.

    Parameters
    ----------
    n_trials : int
        Most spikes that a bin can hold, at least 1.

    Raises
    ------
    ValueError
        n_trials is no whole number of at least 1.

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
    rv_type: ClassVar[type] = BinomialRV

    def __post_init__(self) -> None:
        n = self.n_trials
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
            raise ValueError(f"n_trials: got {n!r}, allowed are whole numbers of at least 1.")

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
        """Return the law if the number of trials is one known number."""
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
                f"{self.n_trials} spikes {_first(above, counts, neurons)}; give n_trials of at "
                f"least {counts.max()}, or a smaller bin_width than {bin_width:g} s."
            )

    def distribution(self, name: str, psi: TensorVariable, **kwargs: Any) -> TensorVariable:
        """Return pm.Binomial with logit_p = psi."""
        return pm.Binomial(name, n=self.trials, logit_p=psi, **kwargs)

    def containers(self) -> dict[str, float]:
        """Return n_trials."""
        return {"n_trials": self.trials}

    def mean(self, variable: TensorVariable) -> TensorVariable:
        """Return n_trials p."""
        return self.trials * variable.owner.op.dist_params(variable.owner)[1]


LAWS: tuple[type[Observation], ...] = (Bernoulli, Binomial)


def observation_model(observation: str | Observation) -> Observation:
    """Return an observation model by name, or the one given.

    Parameters
    ----------
    observation : str or Observation

    Raises
    ------
    ValueError
        The name is not known, or is that of a law with parameters.
    """
    if isinstance(observation, Observation):
        return observation
    if observation == Bernoulli.name:
        return Bernoulli()
    raise ValueError(
        f"observation: got {observation!r}, allowed are 'bernoulli' and "
        "pymc_glm.Binomial(n_trials)."
    )


def observation_of(variable: TensorVariable) -> Observation | None:
    """Return the observation model of a PyMC variable, None if it is of no known kind."""
    op = None if variable.owner is None else variable.owner.op
    law = next((law for law in LAWS if isinstance(op, law.rv_type)), None)
    return None if law is None else law.read(variable)
