"""Metropolis updates of the delays of shared input, as a PyMC step method."""

from typing import Any, ClassVar

import numpy as np
import pymc as pm
from numpy.typing import NDArray
from pymc.blocking import PointType, StatsType
from pymc.step_methods.compound import Competence
from pymc.step_methods.state import dataclass_state
from pymc.util import RandomGenerator
from pytensor.tensor.variable import TensorVariable

from pymc_glm.distributions import InputDelaysRV
from pymc_glm.engines import Network, PathChange
from pymc_glm.graph.data import spike_data
from pymc_glm.graph.find import NetworkVariables
from pymc_glm.graph.further_terms import largest_delay
from pymc_glm.steps.network_step import NetworkStep, NetworkStepState

__all__ = ["DelayMetropolis"]

_FEWEST_BINS = 20_000  # of a chunk, whose log likelihoods are summed at a time
_TARGET = 0.3  # acceptance
_ANYWHERE = 0.1  # share of proposals that do not depend on the delay
_FIRST = 3.0  # bins: mean size of a proposed change, before anything is known


@dataclass_state
class DelayMetropolisState(NetworkStepState):
    """What the tuning has learned."""

    tune: bool
    size: Any
    seen: int


class DelayMetropolis(NetworkStep):
    """Draw the delays with which shared input reaches each neuron.

    A change of a delay by some bins, in either direction with the same probability, is proposed for
    every neuron at once: given the paths, neurons are independent. One proposal in ten is any delay
    at all, so that a chain finds its way between delays that are far apart. All bins decide
    (Metropolis, Rosenbluth, Rosenbluth, Teller & Teller 1953, J. Chem. Phys. 21:1087).

    Parameters
    ----------
    vars : list of variables, optional
        Delays, the default.
    model : pymc.Model, optional
        By default the model in context.
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
        The model has no delays, or terms that the kernel does not know; `threads` is below 1.

    Notes
    -----
    Statistics: ``delay_acceptance`` (mean over neurons), ``delay_change`` (mean size of a proposed
    change, in bins).

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> counts = np.random.default_rng(1).poisson(0.05, (1000, 2)).clip(0, 1)
    >>> basis = pg.basis.raised_cosine(1, window=0.05, bin_width=0.005)
    >>> shared = pg.SharedInput(1, max_delay=0.02)
    >>> with pg.build_glm(counts, basis, shared_input=shared) as model:
    ...     step = pg.DelayMetropolis(threads=1)
    >>> [variable.name for variable in step.vars]
    ['input_delay']
    """

    name = "delay_metropolis"
    draws = ("delays",)
    _state_class = DelayMetropolisState
    stats_dtypes_shapes: ClassVar[dict] = {
        "delay_acceptance": (np.float64, []),
        "delay_change": (np.float64, []),
    }

    def __init__(
        self,
        vars: Any = None,
        *,
        model: pm.Model | None = None,
        engine: str | None = None,
        threads: int | None = None,
        rng: RandomGenerator = None,
        initial_point: PointType | None = None,
        compile_kwargs: dict | None = None,
    ):
        model, network = self._find(vars, model)
        super().__init__(model, network, engine, threads, rng, compile_kwargs)
        self._most = largest_delay(network)
        self.condition_on(spike_data(model, network))
        n_bins = self.data.history.n_bins
        n_chunks = -(-n_bins // _FEWEST_BINS)
        self._bounds = np.linspace(0, n_bins, n_chunks + 1).astype(np.int64)
        self.forget()

    @classmethod
    def _drawn(cls, network: NetworkVariables) -> list[TensorVariable]:
        """Return the delays."""
        return [] if network.delays is None else [network.delays]

    @classmethod
    def _check_network(cls, network: NetworkVariables) -> None:
        """Raise ValueError if there are no delays to draw."""
        if network.delays is None:
            raise ValueError(
                "the model has no delays of shared input; give "
                "shared_input=pg.SharedInput(max_delay=...) to pg.build_glm, or leave "
                "DelayMetropolis out."
            )

    def forget(self) -> None:
        """Forget the size of the changes."""
        self.tune = True
        self.size: Any = None
        self.seen = 0

    def step(self, point: PointType) -> tuple[PointType, StatsType]:
        """Propose another delay for every neuron."""
        network = self._state(point)
        name, rng = str(self._coefficients.delays_name), self.rng
        delay = np.asarray(point[name], dtype=np.int64)
        if self.size is None:
            self.size = np.full(delay.size, _FIRST)
        change = rng.geometric(1 / self.size) * rng.choice([-1, 1], delay.size)
        anywhere = rng.random(delay.size) < _ANYWHERE
        uniform = rng.integers(-self._most, self._most + 1, delay.size)
        proposed = np.where(anywhere, uniform, delay + change)
        inside = np.abs(proposed) <= self._most
        ratio = self._log_ratios(network, np.where(inside, proposed, delay))
        acceptance = np.where(inside, np.exp(np.minimum(ratio, 0.0)), 0.0)
        accepted = rng.random(delay.size) < acceptance
        if self.tune:
            self.seen += 1
            gain = min(1.0, 3.0 / np.sqrt(self.seen))
            larger = self.size * np.exp(gain * (acceptance - _TARGET))
            self.size = np.where(anywhere, self.size, larger).clip(1.0, max(self._most, 1.0))
        moved = np.where(accepted, proposed, delay).astype(np.asarray(point[name]).dtype)
        stats = {
            "delay_acceptance": float(acceptance.mean()),
            "delay_change": float(self.size.mean()),
        }
        return point | {name: moved}, [stats]

    def _log_ratios(self, network: Network, proposed: NDArray) -> NDArray:
        """Return the change of the log likelihood of every neuron, (post,)."""
        paths, given = self.data.history.further.paths, self._given
        values = paths.values if given.paths is None else given.paths
        loadings = self._coefficients.loadings(network.weights)
        change = PathChange(values, loadings, proposed)
        return self.engine.compare_paths(given, change, network, loadings, self._bounds).sum(axis=0)

    @classmethod
    def competence(cls, var: TensorVariable, has_grad: bool = False) -> Competence:
        """Claim delays of shared input."""
        is_delay = isinstance(var.owner.op, InputDelaysRV)
        return Competence.IDEAL if is_delay else Competence.INCOMPATIBLE
