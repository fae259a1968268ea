"""Whether a network stays at its rates: the process linearised around them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pymc as pm
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from pymc_glm.arguments import random_generator
from pymc_glm.kernels.recursion import growth_factor, spectral_radius
from pymc_glm.simulation.given import given_network
from pymc_glm.simulation.parameters import (
    CheckedNetwork,
    NetworkParameters,
    check_covariates,
    check_network,
)

__all__ = ["LinearProcess", "NetworkStability", "described", "linearise", "stability"]

_TOLERANCE = 1e-10  # of the activation
_STEPS, _BEFORE_NEWTON, _NEWTON_STEPS = 2000, 100, 30
_FAR = 60.0  # activation from which there is no way back
_DIFFERENCE = 1e-5  # of the activation, for the gain

type Floats = NDArray[np.float64]


@dataclass(frozen=True)
class NetworkStability:
    """Expected rates of a network and what becomes of disturbances, see `stability`.

    Attributes
    ----------
    rates : array, shape (post,)
        In Hz (for traces: means), that keep themselves up; infinite where none were found.
    spectral_radius : float
        Factor by which a disturbance grows in a bin.
    branching_ratio : float
        Spectral radius of the gain matrix summed over lags.
    stable : bool
    text : str
        One sentence.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> basis = pg.basis.raised_cosine(1, window=0.05, bin_width=0.005)
    >>> found = pg.stability(pg.NetworkParameters(np.full(2, -3.0), np.zeros((2, 2, 1)), basis))
    >>> isinstance(found, pg.NetworkStability)
    True
    """

    rates: Floats
    spectral_radius: float
    branching_ratio: float
    stable: bool
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class LinearProcess:
    """A network linearised around its expected rates."""

    mean: Floats  # (post,), spikes in a bin; infinite if no rates keep themselves up
    matrices: Floats  # (lag, post, pre): expected spikes at a lag by one spike more

    @cached_property
    def growth(self) -> float:
        """Factor by which a disturbance grows in a bin."""
        return growth_factor(self.matrices) if self.exists else np.inf

    @property
    def exists(self) -> bool:
        """Whether there are rates that keep themselves up."""
        return bool(np.isfinite(self.mean).all())

    @property
    def is_stable(self) -> bool:
        """Whether disturbances die out; quickly told if they would even without inhibition."""
        if not self.exists:
            return False
        return spectral_radius(np.abs(self.matrices).sum(axis=0)) < 1 or self.growth < 1


def linearise(network: CheckedNetwork, covariates: Floats) -> LinearProcess:
    """Linearise a network around its expected rates.

    Parameters
    ----------
    network : CheckedNetwork
    covariates : array, shape (time, covariate)
        What counts is their mean; none are zeros.
    """
    psi = network.bias
    if covariates.size:
        psi = psi + covariates.mean(axis=0) @ network.covariate_weights
    found = _self_consistent(network, psi)
    if found is None:
        n = psi.size
        return LinearProcess(np.full(n, np.inf), np.full((1, n, n), np.nan))
    mean, gain = _mean_and_gain(network, found)
    return LinearProcess(mean, gain[:, None] * network.filters.transpose(1, 2, 0))


def _mean_and_gain(network: CheckedNetwork, psi: Floats) -> tuple[Floats, Floats]:
    """Return mean counts (post,) and their derivative in the activation."""
    high, low = (
        network.observation.mean_counts(psi + change, network.own)
        for change in (_DIFFERENCE, -_DIFFERENCE)
    )
    return network.observation.mean_counts(psi, network.own), (high - low) / (2 * _DIFFERENCE)


def _is_far(network: CheckedNetwork, psi: Floats) -> bool:
    """Whether rates grow without bound."""
    return np.isinf(network.observation.most) and not psi.max() < _FAR


def _self_consistent(network: CheckedNetwork, silent: Floats) -> Floats | None:
    """Return psi = silent + coupling . mean counts(psi), None if none is found.

    From silence, so that of several the least is found in a network without inhibition.
    """
    coupling = network.filters.sum(axis=1).T
    psi, step, before = silent.copy(), 1.0, np.inf
    for i in range(_STEPS):
        if _is_far(network, psi):
            return None
        mean, _ = _mean_and_gain(network, psi)
        away = silent + coupling @ mean - psi
        size = float(np.abs(away).max())
        if size < _TOLERANCE * (1 + np.abs(psi).max()):
            return psi
        if i % _BEFORE_NEWTON == _BEFORE_NEWTON - 1:
            near = _newton(network, silent, coupling, psi)
            if near is not None:
                return near
        step = max(step / 2, 1 / 64) if size > before else min(step * 1.1, 1.0)
        psi, before = psi + step * away, size
    return None


def _newton(
    network: CheckedNetwork, silent: Floats, coupling: Floats, psi: Floats
) -> Floats | None:
    """Go on from near a solution; None where there is none near."""
    before = np.inf
    for _ in range(_NEWTON_STEPS):
        mean, gain = _mean_and_gain(network, psi)
        away = silent + coupling @ mean - psi
        size = float(np.abs(away).max())
        if size < _TOLERANCE * (1 + np.abs(psi).max()):
            return psi
        if not size < before:
            return None
        try:
            psi = psi + np.linalg.solve(np.eye(psi.size) - coupling * gain, away)
        except np.linalg.LinAlgError:
            return None
        if _is_far(network, psi):
            return None
        before = size
    return None


def stability(
    parameters: NetworkParameters | xr.DataTree | pm.Model,
    *,
    covariates: xr.DataArray | ArrayLike | None = None,
    random_seed: int | np.random.Generator | None = None,
) -> NetworkStability:
    r"""Tell whether a network that runs freely stays at its rates.

    Expected counts :math:`m` of a bin that keep themselves up, fluctuations left aside (a mean
    field), and the process of disturbances linearised around them:

    .. math::

        m_n = f\left(b_n + \sum_{m,l} h_{nml}\, m_m\right), \qquad
        \delta_{tn} = \sum_{m,l} f'_n\, h_{nml}\, \delta_{t-l,m} = \sum_{m,l} G_{nml}\,
        \delta_{t-l,m}

    with mean count f of the law and coupling filters h. It is stable where the spectral radius of
    the companion matrix of this recursion over lags, the factor by which disturbances grow in a
    bin, is below 1. Where nothing inhibits, this is so if and only if the spectral radius of
    :math:`\sum_l G_l`, the branching ratio of Hawkes (1971, Biometrika 58:83), is below 1. With
    inhibition that is neither necessary nor sufficient: excitation followed by inhibition of the
    same size sums to zero and may yet swing ever wider. Hence the companion matrix decides, and the
    branching ratio, the sooner understood of the two, stands beside it.

    Gerhard, Deger & Truccolo (2017, PLoS Comput. Biol. 13:e1005390) show what is left out: by
    fluctuations a network of unbounded rates may run away from rates that are stable here, after a
    while; and there may be several sets of rates, of which one is found, the lowest if nothing
    inhibits. A Bernoulli network that excites itself until it fires in every bin is stable there,
    at a rate that says so.

    Parameters
    ----------
    parameters : NetworkParameters, DataTree or pymc.Model
        Of a DataTree, a draw of its posterior at random, and of a model a draw of its prior, as
        `simulate` takes them: the same one with the same seed.
    covariates : DataArray or array, shape (time, covariate), optional
        Their mean is added; by default zero.
    random_seed : int, numpy.random.Generator or None
        Which draw.

    Returns
    -------
    NetworkStability
        Printed, it is one sentence.

    Raises
    ------
    ValueError, TypeError
        Parameters or covariates as `simulate` refuses them.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> basis = pg.basis.identity(0.005, 0.005)  # one lag
    >>> alone = pg.NetworkParameters(np.log([0.5]) - 0.5, np.ones((1, 1, 1)), basis, pg.Poisson())
    >>> found = pg.stability(alone)  # a mean of 0.5 keeps itself up: log 0.5 = bias + 1 * 0.5
    >>> found.rates.round(3), round(found.spectral_radius, 3)
    (array([100.]), 0.5)
    """
    given = given_network(parameters, random_generator(random_seed))
    network = check_network(given.parameters)
    regressors = np.empty((0, 0))
    if covariates is not None:
        n_covariates = len(network.covariate_weights)
        regressors = check_covariates(covariates, n_covariates, labels=given.covariates)
    return described(linearise(network, regressors), network)


def described(linear: LinearProcess, network: CheckedNetwork) -> NetworkStability:
    """Return what a linearised process says, in numbers and words."""
    branching = spectral_radius(linear.matrices.sum(axis=0)) if linear.exists else np.inf
    whole = network.observation.whole
    rates = linear.mean / network.bin_width if whole else linear.mean
    stable = linear.growth < 1
    return NetworkStability(
        rates,
        linear.growth,
        branching,
        stable,
        _sentence(rates, linear.growth, branching, network.bin_width, " Hz" if whole else ""),
    )


def _sentence(rates: Floats, growth: float, branching: float, bin_width: float, unit: str) -> str:
    if not np.isfinite(rates).all():
        return "Unstable: no rates were found that keep themselves up."
    low, high = rates.min(), rates.max()
    around = f"{low:.3g}{unit}" if np.isclose(low, high) else f"{low:.3g} to {high:.3g}{unit}"
    what_of = "rates" if unit else "means"
    word, what = ("Stable", "shrinks") if growth < 1 else ("Unstable", "grows")
    return (
        f"{word}: around expected {what_of} of {around} a disturbance {what}, by a factor of "
        f"{growth:.3g} in a bin of {1000 * bin_width:g} ms (branching ratio {branching:.3g})."
    )
