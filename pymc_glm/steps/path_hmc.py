"""Hamiltonian Monte Carlo of the paths of shared input, as a PyMC step method."""

from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import pymc as pm
from numpy.typing import NDArray
from pymc.blocking import PointType, StatsType
from pymc.step_methods.compound import Competence
from pymc.step_methods.state import dataclass_state
from pymc.util import RandomGenerator
from pytensor.tensor.variable import TensorVariable

from pymc_glm.arguments import as_probability
from pymc_glm.distributions import FactorPathsRV
from pymc_glm.engines import Network, PathChange
from pymc_glm.graph.data import spike_data
from pymc_glm.graph.find import NetworkVariables, children
from pymc_glm.graph.shared_paths import SharedPathFunctions, timescale_variable
from pymc_glm.kernels.path_moves import PathDraws, PathPlan
from pymc_glm.kernels.shared_path import carry, log_path_density
from pymc_glm.kernels.slice_sampling import slice_draw
from pymc_glm.steps.network_step import NetworkStep, NetworkStepState

__all__ = ["PathHMC"]

_LENGTH = 1.5  # of a trajectory, in standard deviations
_MOST_STEPS = 12
_LARGEST_STEP = 1.0
_STRETCH = 300  # grid points that are accepted or rejected together
_FEWEST_BINS = 20_000  # of a chunk, whose activations are held at a time
_SLICE = 4.0  # width of the first interval of a timescale, times the root of the grid points
_SCALE_TARGET = 0.35  # acceptance of scales and timescales (a random walk in two dimensions)
_MEMORY = 200  # iterations over which the spread of scales and timescales is learned
_FIRST = 0.1  # standard deviation of their logarithms, before anything is known


@dataclass_state
class PathHMCState(NetworkStepState):
    """What the trajectories have learned in the tuning."""

    tune: bool
    step_size: Any
    scales: Any


class _ScaleTuning(NamedTuple):
    """What random walks of the hyperparameters of each factor have learned."""

    seen: int
    mean: NDArray[np.float64]  # (factor, hyperparameter)
    covariance: NDArray[np.float64]  # (factor, hyperparameter, hyperparameter)
    step: NDArray[np.float64]  # (factor,)

    @classmethod
    def start(cls, values: NDArray) -> Self:
        """Start with nothing learned."""
        n_factors, n = values.shape
        first = np.broadcast_to(_FIRST**2 * np.eye(n), (n_factors, n, n)).copy()
        return cls(0, values.copy(), first, np.ones(n_factors))

    def see(self, values: NDArray) -> Self:
        """Update means and covariances."""
        away = values - self.mean
        gain = 1.0 / min(self.seen + 20, _MEMORY)
        spread = np.einsum("ki,kj->kij", away, away) + 1e-6 * np.eye(values.shape[1])
        return self._replace(
            seen=self.seen + 1,
            mean=self.mean + away / min(self.seen + 1, _MEMORY),
            covariance=self.covariance + gain * (spread - self.covariance),
        )

    def accept(self, k: int, acceptance: float) -> Self:
        """Update the step of a factor from an acceptance probability."""
        step = self.step.copy()
        gain = min(1.0, 3.0 / np.sqrt(1 + self.seen))
        step[k] = np.clip(step[k] * np.exp(gain * (acceptance - _SCALE_TARGET)), 0.02, 5.0)
        return self._replace(step=step)


class PathHMC(NetworkStep):
    r"""Draw the paths of shared input and their timescales.

    Each iteration moves the paths along Hamiltonian trajectories [1]_, with some grid points held
    fixed at random places, so that the stretches in between are accepted or rejected on their own.
    Then every timescale is drawn given the paths (slice sampling [2]_), and one factor's timescale
    and loading scale are moved together with the paths and loadings that they carry along: given
    the innovations of the path, timescales move where the data say little about the path, and not
    given the path itself (interweaving [3]_). Loadings given the paths are drawn by `WeightHMC`.

    Parameters
    ----------
    vars : list of variables, optional
        Paths and timescales, the default.
    model : pymc.Model, optional
        By default the model in context.
    target_accept : float
        Mean probability of acceptance to which step sizes are tuned, between 0 and 1.
    engine : str, optional
        Where post neurons are moved, see `engine`; by default that of the context.
    threads : int, optional
        Threads over stretches of time. By default all cores in the main process, one in a worker
        process of parallel chains. Draws do not depend on it.
    rng, initial_point, compile_kwargs
        As for other PyMC step methods.

    Raises
    ------
    ValueError
        The model has no shared input, or terms that the kernel does not know; `threads` is below 1;
        `target_accept` is not between 0 and 1.

    Notes
    -----
    Statistics: ``path_acceptance`` (mean probability over stretches), ``path_step_size`` (mean, in
    standard deviations), ``scale_acceptance`` (of the joint move, NaN without one).

    References
    ----------
    .. [1] Neal (2011), Handbook of Markov Chain Monte Carlo, chapter 5.
    .. [2] Neal (2003), Annals of Statistics 31:705.
    .. [3] Yu & Meng (2011), J. Comput. Graph. Statist. 20:531.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> counts = np.random.default_rng(1).poisson(0.05, (1000, 2)).clip(0, 1)
    >>> basis = pg.basis.raised_cosine(1, window=0.05, bin_width=0.005)
    >>> with pg.build_glm(counts, basis, shared_input=pg.SharedInput(1)) as model:
    ...     step = pg.PathHMC(threads=1)
    >>> [variable.name for variable in step.vars]
    ['factors', 'factor_timescale_log__']
    """

    name = "path_hmc"
    draws = ("factors",)
    _state_class = PathHMCState
    stats_dtypes_shapes: ClassVar[dict] = {
        "path_acceptance": (np.float64, []),
        "path_step_size": (np.float64, []),
        "scale_acceptance": (np.float64, []),
    }

    def __init__(
        self,
        vars: Any = None,
        *,
        model: pm.Model | None = None,
        target_accept: float = 0.8,
        engine: str | None = None,
        threads: int | None = None,
        rng: RandomGenerator = None,
        initial_point: PointType | None = None,
        compile_kwargs: dict | None = None,
    ):
        self._target = as_probability(target_accept, "target_accept")
        model, network = self._find(vars, model)
        super().__init__(model, network, engine, threads, rng, compile_kwargs)
        self._functions = SharedPathFunctions(model, network, compile_kwargs)
        if self._functions.timescale_name is not None:
            self.vars.append(model.rvs_to_values[timescale_variable(model, network)])
        self.condition_on(spike_data(model, network))
        self._chunk = self._bins_of_chunk()
        self._n_chunks = -(-self._n_places // self._chunk) + 1
        self.forget()

    @classmethod
    def _drawn(cls, network: NetworkVariables) -> list[TensorVariable]:
        """Return the paths, and their timescales if they are learned."""
        return [] if network.factors is None else [network.factors]

    @classmethod
    def _check_network(cls, network: NetworkVariables) -> None:
        """Raise ValueError if there are no paths to draw."""
        if network.factors is None:
            raise ValueError(
                "the model has no shared input; give shared_input=pg.SharedInput() to "
                "pg.build_glm, or leave PathHMC out."
            )

    @classmethod
    def _accepts(cls, variable: TensorVariable, model: pm.Model, network: NetworkVariables) -> bool:
        """Return whether `variable` may be named in vars."""
        return variable is timescale_variable(model, network)

    def _bins_of_chunk(self) -> int:
        """Return the bins of a chunk, in which the slowest factor has a whole stretch."""
        paths = self.data.history.further.paths
        widest = int((paths.last - paths.first).max(initial=1))
        return max(_FEWEST_BINS, _STRETCH * widest)

    @property
    def _n_places(self) -> int:
        """Length of the axis of time."""
        return self.data.history.further.paths.before.size - 1

    def forget(self) -> None:
        """Forget step sizes and the spread of the hyperparameters."""
        self.tune = True
        self.step_size = np.full(self._functions.width.size, 0.3)
        self.scales: Any = None

    def step(self, point: PointType) -> tuple[PointType, StatsType]:
        """Move paths, timescales and loading scales."""
        network = self._state(point)
        paths, acceptance = self._move_paths(point, network)
        point = self._draw_timescales(point | {self._coefficients.paths_name: paths})
        point, scale_acceptance = self._move_scales(point, network)
        stats = {
            "path_acceptance": float(np.mean(acceptance)),
            "path_step_size": float(self.step_size.mean()),
            "scale_acceptance": scale_acceptance,
        }
        return point, [stats]

    def _bounds(self) -> NDArray[np.int64]:
        """Return the borders of chunks, at a random offset."""
        offset = self.rng.integers(self._chunk)
        inside = offset + self._chunk * np.arange(-1, self._n_chunks)
        bounds = np.clip(inside, 0, self._n_places)
        bounds[-1] = self._n_places
        return bounds

    def _move_paths(self, point: PointType, network: Network) -> tuple[NDArray, NDArray]:
        """Move the paths; return the mean acceptance probability of each factor, too."""
        functions, rng = self._functions, self.rng
        n_factors, n_grid = self.step_size.size, functions.place.size
        plan = PathPlan(
            functions.place,
            functions.coefficients(functions.timescale(point)),
            self._bounds(),
            _STRETCH,
            self.step_size * rng.uniform(0.8, 1.2, n_factors),
            np.clip(np.rint(_LENGTH / self.step_size), 1, _MOST_STEPS).astype(np.int64),
        )
        draws = PathDraws(
            rng.standard_normal(n_grid),
            rng.random(n_grid),
            rng.random((self._n_chunks, n_factors)),
        )
        loadings = self._coefficients.loadings(network.weights)
        paths, counted = self.engine.move_paths(self._given, plan, draws, network, loadings)
        total, number = counted.sum(axis=0).T
        acceptance = total / np.maximum(number, 1)
        if self.tune:
            gain = min(1.0, 3.0 / np.sqrt(1 + self._seen))
            larger = self.step_size * np.exp(gain * (acceptance - self._target))
            self.step_size = larger.clip(0.01, _LARGEST_STEP)
        return paths, acceptance

    @property
    def _seen(self) -> int:
        return 0 if self.scales is None else self.scales.seen

    def _log_path(self, path: NDArray, coefficients: NDArray, k: int) -> float:
        """Return the log density of the path of factor k."""
        of_factor = slice(self._functions.start[k], self._functions.start[k + 1])
        return log_path_density(path[of_factor], self._functions.place[of_factor], coefficients)

    def _draw_timescales(self, point: PointType) -> PointType:
        """Draw each timescale given its path."""
        functions = self._functions
        name, path = functions.timescale_name, point[self._coefficients.paths_name]
        if name is None:
            return point
        before = functions.coefficients(functions.timescale(point))
        known = [self._log_path(path, before[k], k) for k in range(len(before))]
        for k, n_points in enumerate(np.diff(functions.start)):

            def log_density(value: float, start: PointType = point, k: int = k) -> float:
                moved = self._with(start, name, k, value)
                timescale = functions.timescale(moved)
                if not (np.isfinite(timescale).all() and (timescale > 0).all()):
                    return -np.inf
                total = functions.log_prior(moved)
                for j, each in enumerate(functions.coefficients(timescale)):
                    if (each != before[j]).any():
                        total += self._log_path(path, each, j) - known[j]
                return total

            width = _SLICE / np.sqrt(n_points)
            value = slice_draw(log_density, float(point[name][k]), width, self.rng)
            point = self._with(point, name, k, value)
        return point

    @staticmethod
    def _with(point: PointType, name: str, k: int, value: float) -> PointType:
        """Return the point with another value of one factor's hyperparameter."""
        new = np.array(point[name], dtype=float)
        new[k] = value
        return point | {name: new}

    def _move_scales(self, point: PointType, network: Network) -> tuple[PointType, float]:
        """Move one factor's timescale and loading scale together with its path and loadings."""
        functions = self._functions
        if not functions.names:
            return point, np.nan
        values = np.stack([point[name] for name in functions.names], axis=1)
        if self.scales is None:
            self.scales = _ScaleTuning.start(values)
        if self.tune:
            self.scales = self.scales.see(values)
        k = int(self.rng.integers(len(values)))
        lower = np.linalg.cholesky(self.scales.covariance[k])
        change = self.scales.step[k] * lower @ self.rng.standard_normal(len(functions.names))
        moved = point
        for name, value in zip(functions.names, values[k] + change, strict=True):
            moved = self._with(moved, name, k, value)
        moved, log_ratio = self._carried(point, moved, network)
        acceptance = float(np.exp(min(log_ratio, 0.0))) if np.isfinite(log_ratio) else 0.0
        if self.tune:
            self.scales = self.scales.accept(k, acceptance)
        return (moved if self.rng.random() < acceptance else point), acceptance

    def _carried(
        self, point: PointType, moved: PointType, network: Network
    ) -> tuple[PointType, float]:
        """Return the point with the paths and loadings carried along, and the log ratio."""
        functions, further = self._functions, self._coefficients
        with np.errstate(all="ignore"):
            timescale, (mean, scale) = functions.timescale(moved), functions.loading_prior(moved)
        if not (np.isfinite(timescale).all() and (timescale > 0).all() and (scale > 0).all()):
            return point, -np.inf
        before = functions.coefficients(functions.timescale(point))
        after = functions.coefficients(timescale)
        path = point[further.paths_name]
        carried = path.copy()
        for k in np.flatnonzero((before != after).any(axis=(1, 2))):
            of_factor = slice(functions.start[k], functions.start[k + 1])
            carried[of_factor] = carry(
                path[of_factor], functions.place[of_factor], before[k], after[k]
            )
        old_mean, old_scale = functions.loading_prior(point)
        loadings = point[further.loadings_name]
        new_loadings = mean + (loadings - old_mean) * scale / old_scale
        bounds = np.linspace(0, self.data.history.n_bins, self._n_chunks + 1).astype(np.int64)
        given = self._given._replace(paths=path)
        delay = self.data.history.further.paths.delay if self._delay is None else self._delay
        change = PathChange(carried, new_loadings, delay)
        likely = self.engine.compare_paths(given, change, network, loadings, bounds)
        log_ratio = likely.sum() + functions.log_prior(moved) - functions.log_prior(point)
        moved = moved | {further.paths_name: carried, further.loadings_name: new_loadings}
        return moved, float(log_ratio)

    @classmethod
    def competence(cls, var: TensorVariable, has_grad: bool = False) -> Competence:
        """Claim paths of shared input, and their timescales."""
        if isinstance(var.owner.op, FactorPathsRV):
            return Competence.IDEAL
        model = pm.Model.get_context(error_if_none=False)
        if model is None or var not in model.free_RVs:
            return Competence.INCOMPATIBLE
        scales_paths = any(
            child.owner is not None
            and isinstance(child.owner.op, FactorPathsRV)
            and child.owner.op.dist_params(child.owner)[0] is var
            for child in children(var, model)
        )
        return Competence.IDEAL if scales_paths else Competence.INCOMPATIBLE
