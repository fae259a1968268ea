"""Stability of a network: the process linearised around its expected rates."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pymc as pm
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from pymc_glm.arguments import random_generator
from pymc_glm.kernels.spectral_radius import growth_factor, spectral_radius
from pymc_glm.simulation.checks import CheckedNetwork, check_covariates, check_network
from pymc_glm.simulation.parameters import NetworkParameters
from pymc_glm.simulation.sources import given_network

__all__ = ["LinearProcess", "NetworkStability", "described", "linearise", "stability"]

_TOLERANCE = 1e-10  # of the activation
_STEPS, _BEFORE_NEWTON, _NEWTON_STEPS = 2000, 100, 30
_FAR = 60.0  # activation above which rates are taken to diverge
_DIFFERENCE = 1e-5  # of the activation, for the finite difference that gives the gain

type Floats = NDArray[np.float64]


@dataclass(frozen=True)
class NetworkStability:
    """Expected rates of a network and the growth of disturbances; see `stability`.

    Attributes
    ----------
    rates : array, shape (post,)
        Self-consistent rates in Hz (for traces: means); infinite if none were found.
    spectral_radius : float
        Factor by which a disturbance grows per bin.
    branching_ratio : float
        Spectral radius of the gain matrix summed over lags.
    stable : bool
        Whether the spectral radius is below 1.
    text : str
        All of this in one sentence.

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

    mean: Floats  # (post,), spikes per bin; infinite if no self-consistent rates were found
    matrices: Floats  # (lag, post, pre): change of the expected spikes at a lag by one more spike

    @cached_property
    def growth(self) -> float:
        """Factor by which a disturbance grows per bin."""
        return growth_factor(self.matrices) if self.exists else np.inf

    @property
    def exists(self) -> bool:
        """Whether self-consistent rates were found."""
        return bool(np.isfinite(self.mean).all())

    @property
    def is_stable(self) -> bool:
        """Whether disturbances die out."""
        if not self.exists:
            return False
        # the first condition is cheap and sufficient: no growth even if all inputs were excitatory
        return spectral_radius(np.abs(self.matrices).sum(axis=0)) < 1 or self.growth < 1


def linearise(network: CheckedNetwork, covariates: Floats) -> LinearProcess:
    """Linearise a network around its expected rates.

    Parameters
    ----------
    network : CheckedNetwork
    covariates : array, shape (time, covariate)
        Only their mean matters; zero if there are no rows or columns.
    """
    psi = network.bias
    if covariates.size:
        psi = psi + covariates.mean(axis=0) @ network.covariate_weights
    found = _self_consistent(network, psi)
    if found is None:
        n = psi.size
        return LinearProcess(np.full(n, np.inf), np.full((1, n, n), np.nan))
    mean, gain = _mean_and_gain(network, found)
    n, n_lags = psi.size, network.n_lags
    filters = np.zeros((n_lags, n, n))
    filters[: network.filters.shape[1]] = network.filters.transpose(1, 2, 0)
    n_self = network.self_filters.shape[1]
    filters[:n_self, np.arange(n), np.arange(n)] += network.self_filters.T
    return LinearProcess(mean, gain[:, None] * filters)


def _mean_and_gain(network: CheckedNetwork, psi: Floats) -> tuple[Floats, Floats]:
    """Return mean counts (post,) and their derivative in the activation."""
    high, low = (
        network.observation.mean_counts(psi + change, network.parameter)
        for change in (_DIFFERENCE, -_DIFFERENCE)
    )
    return network.observation.mean_counts(psi, network.parameter), (high - low) / (2 * _DIFFERENCE)


def _is_far(network: CheckedNetwork, psi: Floats) -> bool:
    """Whether rates grow without bound."""
    return np.isinf(network.observation.most) and not psi.max() < _FAR


def _self_consistent(network: CheckedNetwork, silent: Floats) -> Floats | None:
    """Return psi = silent + coupling . mean counts(psi), None if there is no solution.

    The search starts from silence; without inhibition it finds the smallest of several solutions.
    """
    coupling = network.filters.sum(axis=1).T + np.diag(network.self_filters.sum(axis=1))
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
    """Return a solution near psi by Newton's method, None if it does not converge."""
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
    r"""Predict whether a freely running network stays at its rates.

    The expected counts :math:`m` of a bin are self-consistent in the mean field, that is, without
    fluctuations. Disturbances :math:`\delta` follow the process linearised around them:

    .. math::

        m_n = f\left(b_n + \sum_{m,l} h_{nml}\, m_m\right), \qquad
        \delta_{tn} = \sum_{m,l} f'_n\, h_{nml}\, \delta_{t-l,m} = \sum_{m,l} G_{nml}\,
        \delta_{t-l,m}

    with the mean count f of the observation model and coupling filters h. The network is stable if
    the spectral radius of the companion matrix of this recursion, the factor by which disturbances
    grow per bin, is below 1. Without inhibition this holds if and only if the spectral radius of
    :math:`\sum_l G_l`, the branching ratio of Hawkes (1971, Biometrika 58:83), is below 1. With
    inhibition that is neither necessary nor sufficient: excitation followed by equal inhibition
    sums to zero, but may cause growing oscillations. The companion matrix therefore decides; the
    branching ratio is returned because it is easier to interpret.

    The mean field has limits (Gerhard, Deger & Truccolo 2017, PLoS Comput. Biol. 13:e1005390).
    Fluctuations can eventually drive a network with unbounded rates away from rates that are stable
    here. If there are several sets of self-consistent rates, only one is found: the lowest if there
    is no inhibition. A Bernoulli network that excites itself until it fires in every bin is stable,
    but at a rate of one spike per bin.

    Shared input is left out: its paths have mean zero and do not respond to spikes. With
    exponential rates it raises them, by half its variance in the exponent.

    Parameters
    ----------
    parameters : NetworkParameters, DataTree or pymc.Model
        A random draw from the posterior of a DataTree, or from the prior of a model, is used; with
        the same seed it is the same draw as in `simulate`.
    covariates : DataArray or array, shape (time, covariate), optional
        Their mean is added; by default zero.
    random_seed : int, numpy.random.Generator or None
        For the choice of the draw.

    Returns
    -------
    NetworkStability
        It prints as one sentence.

    Raises
    ------
    ValueError, TypeError
        The parameters or covariates are invalid, see `simulate`.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> basis = pg.basis.identity(0.005, 0.005)  # one lag
    >>> alone = pg.NetworkParameters(np.log([0.5]) - 0.5, np.ones((1, 1, 1)), basis, pg.Poisson())
    >>> found = pg.stability(alone)  # m = 0.5 is self-consistent: log 0.5 = bias + 1 * 0.5
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
    """Summarise a linearised process in numbers and words."""
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
        return "Unstable: no self-consistent rates were found."
    low, high = rates.min(), rates.max()
    around = f"{low:.3g}{unit}" if np.isclose(low, high) else f"{low:.3g} to {high:.3g}{unit}"
    what_of = "rates" if unit else "means"
    word, what = ("Stable", "shrinks") if growth < 1 else ("Unstable", "grows")
    return (
        f"{word}: around expected {what_of} of {around} a disturbance {what} by a factor of "
        f"{growth:.3g} per bin of {1000 * bin_width:g} ms (branching ratio {branching:.3g})."
    )
