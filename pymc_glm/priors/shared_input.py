"""Shared input: latent paths that drive all neurons, each with a loading of its own."""

import warnings
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import ArrayLike, NDArray
from pytensor.tensor.variable import TensorConstant, TensorVariable

from pymc_glm.arguments import as_number, as_whole_number
from pymc_glm.distributions import FactorPaths, InputDelays, Loadings
from pymc_glm.priors.hyperparameters import LEARNED, Hyperparameter, hyperparameter

__all__ = ["PathGrid", "SharedInput", "grid_steps", "path_grid"]

_SHORTEST, _LONGEST = 0.01, 0.2  # s: medians of the default priors of the timescales
_SINGLE = 0.04  # s: of a single factor
_SPREAD = 0.5  # standard deviation of the logarithm of a timescale
_POINTS = 2.5  # grid points in a timescale
_WIDEST = 0.005  # s, between grid points
_MAX_DELAY = 0.05  # s
_FEWEST = 20  # spikes of a neuron that can tell anything of a path
_SEED = 0  # for the median of a prior given as a distribution


class PathGrid(NamedTuple):
    """The grids of all factors, one after the other."""

    points: NDArray[np.int32]  # (time, factor): grid point of each bin
    factor: NDArray[np.int64]  # (grid,): factor of each grid point
    place: NDArray[np.int64]  # (grid,): number of grid points before it in its segment
    segment: NDArray[np.int64]  # (grid,)
    lead: NDArray[np.int32]  # (time, factor): bins of its grid point that are before each bin


def path_grid(
    n_bins: int, starts: NDArray[np.int64], steps: NDArray[np.int64], margin: int = 0
) -> PathGrid:
    """Return grids that begin anew in each segment.

    Parameters
    ----------
    n_bins : int
    starts : array of int, shape (segment,)
        First bins of the segments.
    steps : array of int, shape (factor,)
        Bins of a grid point.
    margin : int
        Bins before and after each segment that the grids cover, too.
    """
    ends = np.append(starts[1:], n_bins)
    points, lead = np.empty((2, n_bins, len(steps)), np.int32)
    inside = margin + np.arange(n_bins) - np.repeat(starts, ends - starts)
    factor, place, segment, offset = [], [], [], 0
    for k, step in enumerate(steps):
        sizes = -(-(ends - starts + 2 * margin) // step)
        before = offset + np.append(0, np.cumsum(sizes))
        points[:, k] = np.repeat(before[:-1], ends - starts) + inside // step
        lead[:, k] = inside % step
        place.append(np.concatenate([np.arange(size) for size in sizes]))
        segment.append(np.repeat(np.arange(sizes.size), sizes))
        factor.append(np.full(sizes.sum(), k))
        offset = int(before[-1])
    return PathGrid(
        points, np.concatenate(factor), np.concatenate(place), np.concatenate(segment), lead
    )


def grid_steps(timescale: NDArray[np.float64], bin_width: float) -> NDArray[np.int64]:
    """Return the bins of a grid point: two fifths of the timescale or 5 ms, and at least 1.

    Couplings last for some 20 ms. In steps that are as long, the spikes of other neurons would tell
    what the path does after a step, and small couplings between all neurons would say it.

    Parameters
    ----------
    timescale : array
        In seconds.
    bin_width : float
        In seconds.

    Examples
    --------
    >>> import numpy as np
    >>> grid_steps(np.array([0.01, 0.1]), 0.001)
    array([4, 5])
    """
    step = np.minimum(timescale / _POINTS, _WIDEST)
    return np.maximum(np.floor(step / bin_width + 1e-9), 1).astype(np.int64)


@dataclass(frozen=True, eq=False)
class SharedInput:
    r"""Input that no recorded neuron carries, and that reaches many of them.

    .. math:: \psi_{tn} = \ldots + \sum_k l_{nk} f_{k}(t), \qquad
        l_{nk} \sim \mathrm{Normal}(0, \sigma_k), \qquad \sigma_k \sim \mathrm{HalfNormal}(0.5)

    Each factor f is a stationary Gauss-Markov path of unit variance with timescale
    :math:`\tau_k`, on a grid of its own, begun anew in every segment. Without such input,
    couplings are the only place where a model can put neurons that fire together (Kulkarni &
    Paninski 2007, Network 18:375; Vidne et al. 2012, J. Comput. Neurosci. 33:97; Brinkman et al.
    2018, PLoS Comput. Biol. 14:e1006490; Das & Fiete 2020, Nature Neuroscience 23:1286). Loadings
    of a factor that the data do not need shrink to zero with :math:`\sigma_k`.

    Parameters
    ----------
    n_factors : int
        Number of factors, fewer than neurons.
    timescale : number, array (factor,), PyMC distribution or "learned"
        Timescales in seconds, in the posterior as ``factor_timescale``. By default log-normal, with
        medians spread evenly (in the logarithm) from 10 to 200 ms and a standard deviation of the
        logarithm of 0.5; 40 ms for a single factor.
    loading_scale : number, array (factor,), PyMC distribution or "learned"
        Standard deviations of the loadings, in the posterior as ``loading_scale``.
    smoothness : float or array (factor,)
        0.5 for Ornstein-Uhlenbeck paths, with the correlation exp(-h / timescale) at lag h; 1.5 for
        smoother ones, (1 + h / timescale) exp(-h / timescale).
    grid : float or array (factor,), optional
        Seconds between grid points, a whole number of bins; a path is constant in between. By
        default 5 ms, or two fifths of the timescale or of the median of its prior if that is less,
        and at least a bin.
    max_delay : float, optional
        The largest delay in seconds, rounded down to bins. The input reaches each neuron with a
        delay of its own, in the posterior as ``input_delay`` in bins, a priori uniform between
        minus and plus this number: the sum above then has :math:`f_k(t - d_n)`. Waves and
        conduction have such delays; without them, neurons that the input reaches early seem to
        excite those that it reaches late. By default 50 ms,
        or a quarter of the longest segment if that is less; 0 for no delays.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> counts = np.random.default_rng(1).poisson(0.05, (500, 3)).clip(0, 1)
    >>> basis = pg.basis.raised_cosine(2, window=0.02, bin_width=0.005)
    >>> model = pg.build_glm(counts, basis, shared_input=pg.SharedInput(1, timescale=0.05))
    >>> model["loadings"].eval().shape
    (3, 1)
    """

    n_factors: int = 3
    timescale: Hyperparameter = LEARNED
    loading_scale: Hyperparameter = LEARNED
    smoothness: float | ArrayLike = 1.5
    grid: float | ArrayLike | None = None
    max_delay: float | None = None

    def activation(
        self, counts: NDArray, times: NDArray, starts: NDArray[np.int64], bin_width: float
    ) -> TensorVariable:
        """Register paths and loadings with the model; return what they add to psi, (time, post).

        Parameters
        ----------
        counts : array, shape (time, neuron)
        times : array, shape (time,)
            In seconds.
        starts : array of int, shape (segment,)
            First bins of the segments.
        bin_width : float
            In seconds.

        Raises
        ------
        ValueError, TypeError
            An argument cannot be used; the message says which and why.

        Warns
        -----
        UserWarning
            There are too few spikes to tell a factor from noise.
        """
        n_bins, n_neurons = counts.shape
        n = as_whole_number(self.n_factors, "n_factors")
        if n >= n_neurons:
            raise ValueError(
                f"n_factors: got {n} for {n_neurons} neurons, allowed are fewer factors than "
                "neurons; use fewer."
            )
        length = float(np.diff(np.append(starts, n_bins)).max()) * bin_width
        nominal = self._nominal(n, bin_width, length)
        steps = self._steps(nominal, n, bin_width)
        smoothness = self._smoothness(n)
        _warn_if_silent(counts, n)
        model = pm.modelcontext(None)
        margin = self._margin(bin_width, length)
        grid = path_grid(n_bins, starts, steps, margin)
        model.add_coord("factor", np.arange(n))
        model.add_coord("grid", np.arange(grid.factor.size))
        timescale, scale = self._hyperparameters(nominal, bin_width)
        index = pm.Data("path_index", grid.points, dims=("time", "factor"))
        factor = pm.Data("grid_factor", grid.factor, dims="grid")
        behind = pm.Data("grid_place", grid.place, dims="grid")
        since = (steps[grid.factor] * grid.place - margin) * bin_width
        pm.Data("grid_time", times[starts][grid.segment] + since, dims="grid")
        width = pm.Data("grid_width", steps * bin_width, dims="factor")
        rough = pm.Data("smoothness", smoothness, dims="factor")
        loadings = Loadings("loadings", 0.0, scale, dims=("post", "factor"))
        paths = FactorPaths("factors", timescale, factor, behind, width, rough, dims="grid")
        if not margin:
            return paths[index] @ loadings.T
        pm.Data("max_delay", margin * bin_width)
        lead = pm.Data("path_lead", grid.lead, dims=("time", "factor"))
        delay = InputDelays("input_delay", -margin, margin, dims="post")
        added = pt.as_tensor(0.0)
        for k, step in enumerate(steps):
            late = (lead[:, k, None] - delay[None, :]) // int(step)
            added += paths[index[:, k, None] + late] * loadings[:, k]
        return added

    def _hyperparameters(
        self, nominal: NDArray[np.float64], bin_width: float
    ) -> tuple[TensorVariable, TensorVariable]:
        """Register timescales and scales of the loadings with the model."""
        n = nominal.size
        place: dict[str, Any] = {"shape": (n,), "dims": ("factor",)}
        timescale = hyperparameter(
            "factor_timescale",
            self.timescale,
            lambda: pm.LogNormal.dist(np.log(nominal), _SPREAD),
            lower=bin_width,
            **place,
        )
        scale = hyperparameter(
            "loading_scale",
            self.loading_scale,
            lambda: pm.HalfNormal.dist(0.5),
            lower=1e-9,
            **place,
        )
        for name, value in (("factor_timescale", timescale), ("loading_scale", scale)):
            if isinstance(value, TensorConstant):
                pm.Data(name, value.data, dims="factor")
        return timescale, scale

    def _margin(self, bin_width: float, length: float) -> int:
        """Return the largest delay in bins."""
        given = min(_MAX_DELAY, length / 4) if self.max_delay is None else self.max_delay
        most = as_number(given, "max_delay", at_least=0)
        if most > length / 4:
            raise ValueError(
                f"max_delay: got {most:g} s, allowed are at most {length / 4:g} s, a quarter of "
                "the longest segment of the recording."
            )
        bins = int(most / bin_width + 1e-9)
        if self.max_delay is not None and most > 0 and not bins:
            raise ValueError(
                f"max_delay: got {most:g} s, less than a bin of {bin_width:g} s, allowed are 0 for "
                "no delays and a bin or more."
            )
        return bins

    def _nominal(self, n: int, bin_width: float, length: float) -> NDArray[np.float64]:
        """Return typical timescales, from which grids follow."""
        value = self.timescale
        if isinstance(value, str) and value == LEARNED:
            spread = np.geomspace(_SHORTEST, _LONGEST, n) if n > 1 else np.array([_SINGLE])
            return spread.clip(bin_width, max(length, bin_width))
        if isinstance(value, TensorVariable) and not isinstance(value, TensorConstant):
            drawn = np.asarray(pm.draw(value, 1001, random_seed=_SEED), dtype=float)
            return np.array(np.broadcast_to(np.median(drawn, axis=0), (n,)))
        given = np.asarray(getattr(value, "data", value), dtype=float)
        if given.shape not in ((), (n,)):
            raise ValueError(
                f"timescale: got {given.shape[0] if given.ndim else given} timescales for "
                f"{n} factors; give one number, or one for each factor."
            )
        full = np.array(np.broadcast_to(given, (n,)))
        wrong = ~((full >= bin_width) & (full <= length))
        if wrong.any():
            raise ValueError(
                f"timescale: got {full[wrong][0]:g} s, allowed are timescales from a bin "
                f"({bin_width:g} s) to the longest segment of the recording ({length:g} s)."
            )
        return full

    def _steps(self, nominal: NDArray[np.float64], n: int, bin_width: float) -> NDArray[np.int64]:
        """Return the number of bins of a grid point."""
        if self.grid is None:
            return grid_steps(nominal, bin_width)
        given = np.asarray(self.grid, dtype=float)
        if given.shape not in ((), (n,)):
            raise ValueError(
                f"grid: got an array of shape {given.shape} for {n} factors; give one number of "
                "seconds, or one for each factor."
            )
        bins = np.broadcast_to(given, (n,)) / bin_width
        wrong = ~((bins > 0.5) & (np.abs(bins - np.rint(bins)) < 1e-6 * bins))
        if wrong.any():
            at = float(np.broadcast_to(given, (n,))[wrong][0])
            nearest = max(float(np.rint(at / bin_width)), 1.0) * bin_width
            raise ValueError(
                f"grid: got {at:g} s, allowed are whole numbers of bins of {bin_width:g} s, such "
                f"as {nearest:g}."
            )
        return np.rint(bins).astype(np.int64)

    def _smoothness(self, n: int) -> NDArray[np.float64]:
        given = np.asarray(self.smoothness, dtype=float)
        if given.shape not in ((), (n,)) or not np.isin(given, (0.5, 1.5)).all():
            raise ValueError(
                f"smoothness: got {self.smoothness!r}, allowed are 0.5 and 1.5, for all factors or "
                f"one for each of the {n}."
            )
        return np.array(np.broadcast_to(given, (n,)))


def _warn_if_silent(counts: NDArray, n: int) -> None:
    """Warn if there are too few spikes to tell a factor from noise."""
    active = (np.abs(counts).sum(axis=0) >= _FEWEST).sum()
    if active <= n:
        warnings.warn(
            f"shared_input: {active} neurons have {_FEWEST} spikes or more, too few to tell {n} "
            f"factor{'s' if n > 1 else ''} from noise: the paths will follow their prior. Use "
            "fewer factors, or a longer recording.",
            UserWarning,
            stacklevel=5,
        )
