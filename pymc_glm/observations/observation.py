"""What an observation model tells builders, steps and criticism."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray
from pytensor.tensor.variable import TensorVariable

from pymc_glm.kernels.likelihood import Likelihood, log_likelihood, neuron_likelihood

__all__ = ["Observation", "first_bin"]


class Observation(ABC):
    """NeuronLikelihood of the counts given the activation.

    A subclass with a `name` is known from its definition on: builders take an instance, steps find
    the law of a model by `rv_type` and `read`, those defined last first. docs/observations.md has
    one written out.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> isinstance(pg.Poisson(), pg.Observation), pg.Poisson.name in pg.Observation.laws
    (True, True)
    """

    laws: ClassVar[dict[str, type["Observation"]]] = {}  # by name
    name: ClassVar[str]
    rv_type: ClassVar[type]
    parameter_name: ClassVar[str | None] = None  # of the law's own parameter, in model and tree
    most: float = np.inf  # largest mean count of a bin
    psi_unit: ClassVar[str] = "psi"  # of activations, biases and weights, for labels of axes
    whole: ClassVar[bool] = True  # whether it is counts 0, 1, 2, ...
    typical_rate: ClassVar[float] = 5.0  # Hz, around which the default prior of the biases stands
    effect: ClassVar[float | None] = None  # of one unit, summed over bins; None: by the bin width

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" in cls.__dict__:
            Observation.laws[cls.name] = cls

    @classmethod
    @abstractmethod
    def read(cls, variable: TensorVariable) -> Self | None:
        """Return the law of a PyMC variable of `rv_type`, None if its parameters are not known."""

    def check(self, counts: NDArray, neurons: list[str], bin_width: float) -> None:
        """Raise ValueError if some counts are impossible under this law.

        Parameters
        ----------
        counts : array of int, shape (time, neuron)
            Zero in bins that are no data; of traces, the bins that are data alone.
        neurons : list of str
        bin_width : float
            Seconds.
        """
        above = counts > self.most
        if above.any():
            raise ValueError(
                f"counts: {above.sum()} of {above.size} bins hold more than {self.most:g} spikes "
                f"{first_bin(above, counts, neurons)}, the most that {self.name} counts can be; "
                f"use a smaller bin_width than {bin_width:g} s."
            )

    @abstractmethod
    def distribution(self, name: str, psi: TensorVariable, **kwargs: Any) -> TensorVariable:
        """Return the PyMC variable of the counts, its parameters registered with the model."""

    def containers(self) -> dict[str, Any]:
        """Return what of the law's parameters the model holds as data, by name."""
        return {}

    @classmethod
    def with_parameter(cls, value: Any) -> Self:
        """Return the law with its own parameter known, see `parameter_name`.

        Parameters
        ----------
        value : float or array (post,)
            Not looked at where the law has none.
        """
        return cls() if cls.parameter_name is None else cls(value)  # type: ignore[call-arg]

    @abstractmethod
    def psi(self, variable: TensorVariable) -> TensorVariable:
        """Return the activation of a variable that `distribution` made."""

    @property
    def learned(self) -> TensorVariable | None:
        """The random variable of the law's own parameter, None if it is fixed or there is none."""
        return None

    def parameter(self, variable: TensorVariable) -> TensorVariable | None:
        """Return the shape of `likelihood` as the model learns it, None if it is fixed."""
        return None

    @abstractmethod
    def likelihood(self, counts: NDArray) -> Likelihood:
        """Return the law as the kernels know it; counts have shape (post, time)."""

    def empty_likelihood(self, n_posts: int) -> Likelihood:
        """Return the observation model as the kernels know it, of post neurons without bins."""
        return self.likelihood(np.empty((n_posts, 0), dtype=np.int64))

    @classmethod
    def log_constant(
        cls, counts: NDArray[np.float64], parameter: float | NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the terms of the log density without psi, which `likelihood` leaves out.

        By default what PyMC's density of the law's variable at psi = 0 has beyond `likelihood`.

        Parameters
        ----------
        counts : array, shape (value,)
        parameter : float or array (draw,)
            The law's own parameter, see `parameter_name`.

        Returns
        -------
        array, shape (value, draw) or (value, 1)
        """
        observation, n = cls.with_parameter(parameter), np.size(parameter)
        values = np.repeat(counts[:, None], n, axis=1)
        if cls.whole:
            values = values.astype(np.int64)
        with pm.Model(coords={"post": np.arange(n)}, model=None) as model:
            observation.distribution("spikes", pt.zeros(values.shape), observed=values)
            (density,) = model.compile_fn(model.logp(sum=False), inputs=[], point_fn=False)()
        known = observation.likelihood(values.T)
        zero, buffer = np.zeros(1), np.empty(1)
        for post in range(n):
            own = neuron_likelihood(known, post)
            for i in range(counts.size):
                density[i, post] -= log_likelihood(own, values[i : i + 1, post], zero, buffer)
        return np.asarray(density)

    @classmethod
    def suited_parameter(cls, counts: NDArray[np.float64], known: float) -> float:
        """Return the law's own parameter that suits counts of a constant rate.

        By default the one that is known.

        Parameters
        ----------
        counts : array, shape (time,)
        known : float
            A value of it.
        """
        return known

    @staticmethod
    @abstractmethod
    def mean_counts(psi: NDArray[np.float64], parameter: Any) -> NDArray[np.float64]:
        """Return mean counts.

        Parameters
        ----------
        psi : array
            Activation.
        parameter : float or array that broadcasts to psi
            The law's own parameter, see `parameter_name`.
        """

    @staticmethod
    def variances(mean: NDArray[np.float64], parameter: Any) -> NDArray[np.float64]:
        """Return variances of counts, not a number where the law does not say.

        Parameters
        ----------
        mean : array
            Mean counts.
        parameter : float or array that broadcasts to mean
            The law's own parameter, see `parameter_name`.
        """
        return np.full(np.shape(mean), np.nan)

    @abstractmethod
    def activation(self, rate: NDArray[np.float64], bin_width: float) -> NDArray[np.float64]:
        """Return the activation whose mean count is rate (Hz) times bin_width (s).

        Where parameters of the law are learned, for a typical value of them.
        """


def first_bin(wrong: NDArray[np.bool_], counts: NDArray, neurons: list[str]) -> str:
    """Say where the first wrong bin is."""
    where, who = np.argwhere(wrong)[0]
    return f"(first: neuron {neurons[who]!r}, bin {where}, {counts[where, who]} spikes)"
