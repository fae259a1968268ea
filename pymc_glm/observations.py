"""Observation models: how the activation psi makes counts.

Adding one is one class here; steps and builders recognise it by its `rv_type`.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import pymc as pm
from numpy.typing import NDArray
from pytensor.tensor.random.basic import BernoulliRV
from pytensor.tensor.variable import TensorVariable
from scipy.special import logit

from pymc_glm.kernels.likelihood import LOGISTIC, Likelihood

__all__ = ["Bernoulli", "Observation", "observation_model", "observation_of"]


class Observation(ABC):
    """Law of the counts given the activation."""

    name: ClassVar[str]
    rv_type: ClassVar[type]

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

    @abstractmethod
    def polya_gamma(self, counts: NDArray) -> tuple[NDArray[np.float64], int | NDArray[np.int64]]:
        """Return (a, b) of p(y | psi) proportional to exp(a psi) / (1 + exp psi)^b."""

    @abstractmethod
    def likelihood(self, counts: NDArray) -> Likelihood:
        """Return the law as the kernels know it; counts have shape (post, time)."""

    @abstractmethod
    def information_ratio(self, mean: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the information about psi of a count, over that of a count with its omega.

        Parameters
        ----------
        mean : array
            Mean count in a bin.
        """

    @abstractmethod
    def activation(self, rate: NDArray[np.float64], bin_width: float) -> NDArray[np.float64]:
        """Return the activation whose mean count is rate (Hz) times bin_width (s)."""


class Bernoulli(Observation):
    """At most one spike in a bin, with probability sigmoid(psi)."""

    name = "bernoulli"
    rv_type = BernoulliRV

    def check(self, counts: NDArray, neurons: list[str], bin_width: float) -> None:
        """Raise ValueError if some bin has more than one spike."""
        several = counts > 1
        if several.any():
            where, who = np.argwhere(several)[0]
            raise ValueError(
                f"counts: {several.sum()} of {several.size} bins hold more than one spike (first: "
                f"neuron {neurons[who]!r}, bin {where}, {counts[where, who]} spikes) and "
                f"observation='bernoulli' allows at most one; use a bin_width below {bin_width:g} "
                "s, count such bins as one spike by counts.clip(max=1) where they are few, or "
                "model several spikes in a bin by a binomial or negative binomial law, which this "
                "version does not have yet."
            )

    def distribution(self, name: str, psi: TensorVariable, **kwargs: Any) -> TensorVariable:
        """Return pm.Bernoulli with logit_p = psi."""
        return pm.Bernoulli(name, logit_p=psi, **kwargs)

    def polya_gamma(self, counts: NDArray) -> tuple[NDArray[np.float64], int]:
        """Return a = y, b = 1 (Polson, Scott & Windle 2013, section 2)."""
        return counts.astype(np.float64), 1

    def likelihood(self, counts: NDArray) -> Likelihood:
        """Return the logistic law with b = 1."""
        return Likelihood(LOGISTIC, counts, np.ones(len(counts)), 0.0)

    def information_ratio(self, mean: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return p (1 - p) over E[omega] = tanh(psi / 2) / (2 psi), psi = logit p."""
        mean = np.clip(mean, 1e-6, 1 - 1e-6)
        psi = logit(mean)
        half = np.where(np.abs(psi) < 1e-6, 0.25, np.tanh(psi / 2) / np.where(psi == 0, 1, 2 * psi))
        return mean * (1 - mean) / half

    def activation(self, rate: NDArray[np.float64], bin_width: float) -> NDArray[np.float64]:
        """Return logit(rate * bin_width)."""
        p = np.asarray(rate) * bin_width
        return logit(p)


MODELS: dict[str, Observation] = {model.name: model for model in (Bernoulli(),)}


def observation_model(observation: str | Observation) -> Observation:
    """Return an observation model by name, or the one given.

    Parameters
    ----------
    observation : str or Observation

    Raises
    ------
    ValueError
        The name is not known.
    """
    if isinstance(observation, Observation):
        return observation
    if not isinstance(observation, str) or observation not in MODELS:
        raise ValueError(f"observation: got {observation!r}, allowed are {sorted(MODELS)}.")
    return MODELS[observation]


def observation_of(variable: TensorVariable) -> Observation | None:
    """Return the observation model of a PyMC variable, None if it is of no known kind."""
    op = None if variable.owner is None else variable.owner.op
    return next((model for model in MODELS.values() if isinstance(op, model.rv_type)), None)
