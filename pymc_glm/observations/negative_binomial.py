"""Counts more variable than Poisson: negative binomial."""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray
from pymc.distributions.distribution import support_point
from pytensor.graph.basic import Constant
from pytensor.tensor.random.basic import NegBinomialRV
from pytensor.tensor.variable import TensorVariable
from scipy.special import gammaln

from pymc_glm.kernels.likelihood import LOGISTIC, Likelihood
from pymc_glm.observations.observation import Observation
from pymc_glm.priors.hyperparameters import LEARNED, Hyperparameter, hyperparameter

__all__ = ["NegativeBinomial"]

_POISSON = 1e6  # a dispersion at which counts are practically Poisson
_SHAPE, _RATE = 2.0, 0.5  # of the default prior of the dispersion: mean 4


@dataclass(frozen=True, eq=False)
class NegativeBinomial(Observation):
    r"""Counts with mean r exp(psi) and variance mean + mean^2 / r, where r is the dispersion.

    .. math:: y \sim \mathrm{NB}(r, \mathrm{sigmoid}(\psi)), \qquad
        p(y) \propto \frac{\Gamma(y + r)}{\Gamma(r)}
        \frac{\exp(\psi)^y}{(1 + \exp \psi)^{y + r}}

    Weights are changes of the log rate. The larger r, the closer counts are to Poisson.

    Parameters
    ----------
    dispersion : number, array (post,), PyMC distribution or "learned"
        r of each neuron, above 0. By default learned, Gamma(2, 0.5), in the posterior as
        ``dispersion`` (post); with a gamma prior it is drawn by `DispersionGibbs`, with any other
        by ``pm.NUTS``, which is slow. A scalar distribution is the prior of every neuron's value.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> counts = np.random.default_rng(1).negative_binomial(2, 0.7, (300, 2))
    >>> basis = pg.basis.raised_cosine(1, window=0.1, bin_width=0.02)
    >>> model = pg.build_glm(counts, basis, observation=pg.NegativeBinomial())
    >>> model["dispersion"].owner.op.name
    'gamma'
    """

    dispersion: Hyperparameter = LEARNED
    name: ClassVar[str] = "negative_binomial"
    rv_type: ClassVar[type] = NegBinomialRV
    parameter_name: ClassVar[str] = "dispersion"
    psi_unit: ClassVar[str] = "log rate"

    @classmethod
    def read(cls, variable: TensorVariable) -> Self:
        """Return the observation model; its dispersion is an array if fixed, else a variable."""
        n, _ = variable.owner.op.dist_params(variable.owner)
        while n.owner is not None and len(n.owner.inputs) == 1:  # more dimensions, another type
            (n,) = n.owner.inputs
        return cls(np.ravel(n.data) if isinstance(n, Constant) else n)

    def check(self, counts: NDArray, neurons: list[str], bin_width: float) -> None:
        """Raise ValueError if the dispersion is not one for each neuron, or not above 0."""
        if not isinstance(self.dispersion, str | TensorVariable):
            self._registered(len(neurons))

    def _registered(self, n_neurons: int) -> TensorVariable:
        """Return the dispersion, (post,), registered with the model in context if it is learned."""
        return hyperparameter(
            "dispersion",
            self.dispersion,
            lambda: pm.Gamma.dist(_SHAPE, _RATE),
            shape=(n_neurons,),
            dims=("post",),
            lower=1e-6,
        )

    def distribution(self, name: str, psi: TensorVariable, **kwargs: Any) -> TensorVariable:
        """Return pm.NegativeBinomial with n = r and p = sigmoid(-psi)."""
        dispersion = self._registered(len(pm.modelcontext(None).coords["post"]))
        if isinstance(dispersion, Constant):
            pm.Data("dispersion", dispersion.data, dims="post")
        return pm.NegativeBinomial(name, n=dispersion, p=pt.sigmoid(-psi), **kwargs)

    def psi(self, variable: TensorVariable) -> TensorVariable:
        """Return logit(1 - p)."""
        _, p = variable.owner.op.dist_params(variable.owner)
        return pt.log1p(-p) - pt.log(p)

    @property
    def learned(self) -> TensorVariable | None:
        """The dispersion if it is learned."""
        return self.dispersion if isinstance(self.dispersion, TensorVariable) else None

    def parameter(self, variable: TensorVariable) -> TensorVariable | None:
        """Return the dispersion if it is learned."""
        return None if isinstance(self.dispersion, np.ndarray) else _dispersion(variable)

    def likelihood(self, counts: NDArray) -> Likelihood:
        """Return the logistic likelihood with b = y + r."""
        typical = np.broadcast_to(self._typical(), (len(counts),))
        return Likelihood(LOGISTIC, counts, np.array(typical), 1.0)

    @classmethod
    def log_constant(cls, counts: NDArray[np.float64], parameter: Any) -> NDArray[np.float64]:
        """Return log Gamma(y + r) - log Gamma(r) - log y!."""
        y, r = counts[:, None], np.atleast_1d(np.asarray(parameter, dtype=float))
        return gammaln(y + r) - gammaln(r) - gammaln(y + 1.0)

    @classmethod
    def suited_parameter(cls, counts: NDArray[np.float64], known: float) -> float:
        """Return the dispersion with which mean + mean^2 / r is the variance of the counts."""
        mean = counts.mean()
        return float(mean**2 / (counts.var() - mean)) if counts.var() > mean > 0 else _POISSON

    @staticmethod
    def mean_counts(psi: NDArray[np.float64], parameter: Any) -> NDArray[np.float64]:
        """Return r exp(psi)."""
        return parameter * np.exp(psi)

    @staticmethod
    def variances(mean: NDArray[np.float64], parameter: Any) -> NDArray[np.float64]:
        """Return mean + mean^2 / r."""
        return mean * (1.0 + mean / parameter)

    def activation(self, rate: NDArray[np.float64], bin_width: float) -> NDArray[np.float64]:
        """Return log(rate * bin_width / r)."""
        return np.log(np.asarray(rate) * bin_width / self._typical())

    def _typical(self) -> NDArray[np.float64]:
        """Return the dispersion; if it is learned, a value typical of the prior."""
        if isinstance(self.dispersion, str):
            return np.array(_SHAPE / _RATE)
        if isinstance(self.dispersion, TensorVariable):
            return np.asarray(support_point(self.dispersion).eval(), dtype=float)
        return np.asarray(self.dispersion, dtype=float)


def _dispersion(variable: TensorVariable) -> TensorVariable:
    """Return r, (post,) or ()."""
    n, _ = variable.owner.op.dist_params(variable.owner)
    return n if n.ndim < 2 else n[0]
