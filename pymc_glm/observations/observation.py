"""What builders, step methods and criticism need to know of an observation model."""

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
    """Distribution of the counts given the activation.

    A subclass with a `name` is known as soon as it is defined. Builders take an instance; steps
    find the observation model of a PyMC model by `rv_type` and `read`, trying the last defined
    first. docs/observations.md has an example.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> isinstance(pg.Poisson(), pg.Observation), pg.Poisson.name in pg.Observation.laws
    (True, True)
    """

    laws: ClassVar[dict[str, type["Observation"]]] = {}  # by name
    name: ClassVar[str]
    rv_type: ClassVar[type]
    parameter_name: ClassVar[str | None] = None  # name of its parameter, if any, in model and tree
    most: float = np.inf  # largest mean count of a bin
    psi_unit: ClassVar[str] = "psi"  # of activations, biases and weights, for axis labels
    whole: ClassVar[bool] = True  # whether values are counts 0, 1, 2, ...
    typical_rate: ClassVar[float] = 5.0  # Hz, the centre of the default prior of the biases
    effect: ClassVar[float | None] = None  # of one unit, summed over bins; None: from the bin width

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" in cls.__dict__:
            Observation.laws[cls.name] = cls

    @classmethod
    @abstractmethod
    def read(cls, variable: TensorVariable) -> Self | None:
        """Return the observation model of a variable of `rv_type`, None if it is not this one."""

    def check(self, counts: NDArray, neurons: list[str], bin_width: float) -> None:
        """Raise ValueError if some counts are impossible.

        Parameters
        ----------
        counts : array of int, shape (time, neuron)
            Zero in bins that are not data; of traces, only the bins that are data.
        neurons : list of str
        bin_width : float
            Seconds.
        """
        above = counts > self.most
        if above.any():
            raise ValueError(
                f"counts: {above.sum()} of {above.size} bins hold more than {self.most:g} spikes "
                f"{first_bin(above, counts, neurons)}, the largest possible {self.name} count; "
                f"use a smaller bin_width than {bin_width:g} s."
            )

    @abstractmethod
    def distribution(self, name: str, psi: TensorVariable, **kwargs: Any) -> TensorVariable:
        """Return the PyMC variable of the counts, and register its parameters with the model."""

    def containers(self) -> dict[str, Any]:
        """Return the parameters that the model holds as data, by name."""
        return {}

    @classmethod
    def with_parameter(cls, value: Any) -> Self:
        """Return the observation model with a known parameter, see `parameter_name`.

        Parameters
        ----------
        value : float or array (post,)
            Ignored if there is no parameter.
        """
        return cls() if cls.parameter_name is None else cls(value)  # type: ignore[call-arg]

    @abstractmethod
    def psi(self, variable: TensorVariable) -> TensorVariable:
        """Return the activation of a variable that `distribution` made."""

    @property
    def learned(self) -> TensorVariable | None:
        """The random variable of the parameter, None if it is fixed or there is none."""
        return None

    def parameter(self, variable: TensorVariable) -> TensorVariable | None:
        """Return the dispersion of `likelihood` as a learned variable, None if it is fixed."""
        return None

    @abstractmethod
    def likelihood(self, counts: NDArray) -> Likelihood:
        """Return the observation model of counts (post, time) in the form that the kernels use."""

    def empty_likelihood(self, n_posts: int) -> Likelihood:
        """Return the form that the kernels use, of post neurons without bins."""
        return self.likelihood(np.empty((n_posts, 0), dtype=np.int64))

    @classmethod
    def log_constant(
        cls, counts: NDArray[np.float64], parameter: float | NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the terms of the log density without psi, which `likelihood` leaves out.

        By default the difference of PyMC's log density and that of `likelihood` at psi = 0.

        Parameters
        ----------
        counts : array, shape (value,)
        parameter : float or array (draw,)
            See `parameter_name`.

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
            neuron = neuron_likelihood(known, post)
            for i in range(counts.size):
                density[i, post] -= log_likelihood(neuron, values[i : i + 1, post], zero, buffer)
        return np.asarray(density)

    @classmethod
    def suited_parameter(cls, counts: NDArray[np.float64], known: float) -> float:
        """Return a parameter that suits counts of a constant rate.

        By default the known one.

        Parameters
        ----------
        counts : array, shape (time,)
        known : float
            A value of the parameter.
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
            See `parameter_name`.
        """

    @staticmethod
    def variances(mean: NDArray[np.float64], parameter: Any) -> NDArray[np.float64]:
        """Return variances of counts; NaN by default.

        Parameters
        ----------
        mean : array
            Mean counts.
        parameter : float or array that broadcasts to mean
            See `parameter_name`.
        """
        return np.full(np.shape(mean), np.nan)

    @abstractmethod
    def activation(self, rate: NDArray[np.float64], bin_width: float) -> NDArray[np.float64]:
        """Return the activation whose mean count is rate (Hz) times bin_width (s).

        If the parameter is learned, for a typical value of it.
        """


def first_bin(wrong: NDArray[np.bool_], counts: NDArray, neurons: list[str]) -> str:
    """Describe the first wrong bin, for a message."""
    where, who = np.argwhere(wrong)[0]
    return f"(first: neuron {neurons[who]!r}, bin {where}, {counts[where, who]} spikes)"
