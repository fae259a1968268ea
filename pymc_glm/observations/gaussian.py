"""Real-valued traces: Gaussian."""

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray
from pytensor.graph.basic import Constant
from pytensor.scalar.basic import Sqrt
from pytensor.tensor.random.basic import NormalRV
from pytensor.tensor.variable import TensorVariable

from pymc_glm.kernels.likelihood import GAUSSIAN, Likelihood
from pymc_glm.observations.observation import Observation
from pymc_glm.priors.hyperparameters import LEARNED, Hyperparameter, hyperparameter

__all__ = ["Gaussian"]

_ALPHA, _BETA = 2.0, 1.0  # of the default prior of the variance: mean 1, heavy upper tail
_SMALL, _LARGE = 0.1, 10.0  # standard deviations that the default priors suit


@dataclass(frozen=True, eq=False)
class Gaussian(Observation):
    r"""Real-valued traces, such as calcium signals, with mean psi.

    .. math:: y \sim \mathrm{Normal}(\psi, \sigma)

    Neurons act on each other through the past of their traces: a vector autoregression with edges.
    The default priors suit traces with mean 0 and standard deviation 1.

    Parameters
    ----------
    noise_variance : number, array (post,), PyMC distribution or "learned"
        Variance of each neuron's noise, above 0. By default learned, InverseGamma(2, 1), in the
        posterior as ``noise_variance`` (post); an inverse gamma prior is drawn from its conditional
        by `NoiseGibbs`, any other by ``pm.NUTS``, which is slow.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> traces = np.random.default_rng(1).normal(size=(300, 2))
    >>> basis = pg.basis.raised_cosine(1, window=0.5, bin_width=0.1)
    >>> model = pg.build_glm(traces, basis, observation=pg.Gaussian())
    >>> model["noise_variance"].owner.op.name
    'invgamma'
    """

    noise_variance: Hyperparameter = LEARNED
    name: ClassVar[str] = "gaussian"
    rv_type: ClassVar[type] = NormalRV
    parameter_name: ClassVar[str] = "noise_variance"
    psi_unit: ClassVar[str] = "units of the trace"
    whole: ClassVar[bool] = False
    typical_rate: ClassVar[float] = 0.0
    effect: ClassVar[float] = 0.3

    @classmethod
    def read(cls, variable: TensorVariable) -> Self:
        """Return the observation model; its variance is an array if fixed, else a variable."""
        variance = _variance(variable)
        while variance.owner is not None and len(variance.owner.inputs) == 1:
            (variance,) = variance.owner.inputs
        return cls(np.ravel(variance.data) if isinstance(variance, Constant) else variance)

    def check(self, counts: NDArray, neurons: list[str], bin_width: float) -> None:
        """Warn about traces that are not standardised."""
        spread, mean = counts.std(axis=0), counts.mean(axis=0)
        odd = (spread < _SMALL) | (spread > _LARGE) | (np.abs(mean) > 3 * np.maximum(spread, 1.0))
        if odd.any():
            n = int(odd.argmax())
            warnings.warn(
                f"counts: the trace of neuron {neurons[n]!r} has the mean {mean[n]:.3g} and the "
                f"standard deviation {spread[n]:.3g} ({odd.sum()} such traces); the default priors "
                "suit traces with mean 0 and standard deviation 1.",
                UserWarning,
                stacklevel=3,
            )

    def distribution(self, name: str, psi: TensorVariable, **kwargs: Any) -> TensorVariable:
        """Return pm.Normal with mean psi."""
        n_neurons = len(pm.modelcontext(None).coords["post"])
        variance = hyperparameter(
            "noise_variance",
            self.noise_variance,
            lambda: pm.InverseGamma.dist(_ALPHA, _BETA),
            shape=(n_neurons,),
            dims=("post",),
            lower=1e-300,
        )
        if isinstance(variance, Constant):
            pm.Data("noise_variance", variance.data, dims="post")
        return pm.Normal(name, mu=psi, sigma=pt.sqrt(variance), **kwargs)

    def psi(self, variable: TensorVariable) -> TensorVariable:
        """Return the mean."""
        return variable.owner.op.dist_params(variable.owner)[0]

    @property
    def learned(self) -> TensorVariable | None:
        """The variance if it is learned."""
        known = self.noise_variance
        return known if isinstance(known, TensorVariable) else None

    def parameter(self, variable: TensorVariable) -> TensorVariable | None:
        """Return the precision if it is learned."""
        return None if isinstance(self.noise_variance, np.ndarray) else 1.0 / _variance(variable)

    def likelihood(self, counts: NDArray) -> Likelihood:
        """Return the Gaussian likelihood; its dispersion is the precision of the noise."""
        known = isinstance(self.noise_variance, np.ndarray | float | int)
        precision = 1.0 / np.asarray(self.noise_variance if known else _BETA, dtype=float)
        dispersion = np.array(np.broadcast_to(precision, (len(counts),)))
        return Likelihood(GAUSSIAN, counts, dispersion, 0.0)

    @classmethod
    def log_constant(cls, counts: NDArray[np.float64], parameter: Any) -> NDArray[np.float64]:
        """Return -log(2 pi noise variance) / 2."""
        variance = np.atleast_1d(np.asarray(parameter, dtype=float))
        return np.repeat(-0.5 * np.log(2 * np.pi * variance)[None], counts.size, axis=0)

    @classmethod
    def suited_parameter(cls, counts: NDArray[np.float64], known: float) -> float:
        """Return the variance of the values."""
        return float(counts.var())

    @staticmethod
    def mean_counts(psi: NDArray[np.float64], parameter: Any) -> NDArray[np.float64]:
        """Return psi."""
        return np.asarray(psi)

    @staticmethod
    def variances(mean: NDArray[np.float64], parameter: Any) -> NDArray[np.float64]:
        """Return the variance of the noise."""
        return np.broadcast_to(parameter, np.shape(mean))

    def activation(self, rate: NDArray[np.float64], bin_width: float) -> NDArray[np.float64]:
        """Return rate * bin_width."""
        return np.asarray(rate) * bin_width


def _variance(variable: TensorVariable) -> TensorVariable:
    """Return the variance under the square root of the standard deviation."""
    _, sigma = variable.owner.op.dist_params(variable.owner)
    while sigma.owner is not None and len(sigma.owner.inputs) == 1:
        (inner,) = sigma.owner.inputs
        if isinstance(getattr(sigma.owner.op, "scalar_op", None), Sqrt):
            return inner
        sigma = inner  # more dimensions, another type
    return sigma**2
