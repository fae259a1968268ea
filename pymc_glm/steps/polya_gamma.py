"""Pólya-gamma Gibbs sampling of edges, weights and biases as a PyMC step method."""

import logging
import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import numpy as np
import pymc as pm
from pymc.blocking import PointType, StatsType
from pymc.model import modelcontext
from pymc.step_methods.compound import BlockedStep, Competence, StepMethodState
from pymc.step_methods.state import dataclass_state
from pymc.util import RandomGenerator, get_random_generator
from pytensor.tensor.variable import TensorVariable
from threadpoolctl import ThreadpoolController

from pymc_glm.distributions import BaselineRV, EdgeRV, SpikeAndSlabRV
from pymc_glm.kernels.packing import pack_rows
from pymc_glm.kernels.polya_gamma import AugmentedData, NetworkPrior, augment, sweep
from pymc_glm.steps.network_state import (
    NetworkVariables,
    PriorFunction,
    check_conditionals,
    find_network,
    observed_counts,
    reduce_without_model,
)

__all__ = ["PolyaGammaGibbs"]


@dataclass_state
class PolyaGammaGibbsState(StepMethodState):
    """The random generator is all that is carried from draw to draw beside the point."""


_log = logging.getLogger("pymc_glm")


def available_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _default_threads() -> int:
    """All cores in the main process; one in a worker, whose siblings have the others."""
    if multiprocessing.parent_process() is not None:
        return 1
    return available_cores()


def read_data(model: pm.Model, network: NetworkVariables) -> AugmentedData:
    """Read the history and the counts from the model's data containers."""
    history = model["history"].get_value(borrow=True)
    a, b = network.observation.polya_gamma(observed_counts(model, network.spikes).T)
    return augment(pack_rows(history), a, b, history.shape[2])


class PolyaGammaGibbs(BlockedStep):
    r"""Draw edges (weights integrated out), weights and biases by Pólya-gamma augmentation.

    Every post neuron in turn: :math:`\omega_t \sim \mathrm{PG}(b(y_t), \psi_t)`; every edge from
    its conditional with the weights integrated out; then bias and active weights jointly from
    their Gaussian conditional. Post neurons are independent and shared out over threads.

    Parameters
    ----------
    vars : list of variables, optional
        Adjacency, weights and bias, or nothing.
    model : pymc.Model, optional
        By default the model in context.
    threads : int, optional
        Threads for the post neurons of one chain. By default all cores in the main process and
        one in a worker process of parallel chains. Draws do not depend on it.
    rng, initial_point, compile_kwargs
        As for other PyMC step methods.

    Raises
    ------
    ValueError
        The model has no network GLM, or one with terms that these conditionals do not know, or
        `threads` is below 1.

    Notes
    -----
    Statistics: ``edges_on`` (number of edges present), ``edge_flips`` (number of edges that
    changed).

    References
    ----------
    .. [1] Polson, Scott & Windle (2013), JASA 108:1339.
    .. [2] Linderman, Adams & Pillow (2016), NeurIPS, arXiv:1610.08465.

    Examples
    --------
    >>> import numpy as np, pymc as pm, pymc_glm as pg
    >>> counts = np.random.default_rng(1).poisson(0.05, (300, 2)).clip(0, 1)
    >>> basis = pg.basis.raised_cosine(1, window=0.05, bin_width=0.005)
    >>> with pg.build_glm(counts, basis) as model:
    ...     step = pg.PolyaGammaGibbs(threads=1)
    >>> [variable.name for variable in step.vars]
    ['bias', 'weights', 'adjacency']
    """

    name = "polya_gamma_gibbs"
    _state_class = PolyaGammaGibbsState
    stats_dtypes_shapes: ClassVar[dict] = {"edges_on": (np.int64, []), "edge_flips": (np.int64, [])}

    def __init__(
        self,
        vars: Any = None,
        *,
        model: pm.Model | None = None,
        threads: int | None = None,
        rng: RandomGenerator = None,
        initial_point: PointType | None = None,
        compile_kwargs: dict | None = None,
    ):
        model = modelcontext(model)
        if threads is not None and (not isinstance(threads, int | np.integer) or threads < 1):
            raise ValueError(f"threads: got {threads!r}, allowed are whole numbers of at least 1.")
        network = find_network(model)
        found = [network.bias, network.weights, network.adjacency]
        self.vars = [model.rvs_to_values[rv] for rv in found if rv is not None]
        self._check_vars(vars, model)
        check_conditionals(model, network)
        self._names = [v.name for v in self.vars]
        self._prior = PriorFunction(model, network, compile_kwargs)
        self._data = read_data(model, network)
        self._threads = threads
        self.rng = get_random_generator(rng)
        self._process: int | None = None

    def network_prior(self, point: PointType) -> NetworkPrior:
        """Return the network prior at a point (values of the model's value variables)."""
        return self._prior(point)

    def _check_vars(self, vars: Any, model: pm.Model) -> None:
        given = [] if vars is None else vars if isinstance(vars, list | tuple) else [vars]
        for variable in given:
            if model.rvs_to_values.get(variable, variable) not in self.vars:
                raise ValueError(
                    f"vars: {variable.name!r} is not among what PolyaGammaGibbs draws, "
                    f"{[v.name for v in self.vars]}; it always draws all of them."
                )

    def __getstate__(self) -> dict:
        """Leave threads behind: they cannot travel to another process."""
        return self.__dict__ | {"_process": None, "_executor": None, "_blas": None}

    def __reduce_ex__(self, protocol: Any) -> tuple:
        """Travel without the model: its data would go along and be held twice."""
        return reduce_without_model(self)

    def _prepare_process(self) -> None:
        """Start this process's threads."""
        self._process = os.getpid()
        n_posts = self._data.kappa_product.shape[0]
        self._n_threads = min(self._threads or _default_threads(), n_posts)
        self._executor = ThreadPoolExecutor(self._n_threads) if self._n_threads > 1 else None
        self._blas = ThreadpoolController()

    def step(self, point: PointType) -> tuple[PointType, StatsType]:
        """Draw all of bias, weights and adjacency once."""
        if self._process != os.getpid():
            self._prepare_process()
        bias, weights = (point[name] for name in self._names[:2])
        n = bias.size
        dense = len(self._names) == 2
        adjacency = np.ones((n, n), np.int8) if dense else point[self._names[2]]
        coefficients = np.column_stack([bias, weights.reshape(n, -1)])
        with self._blas.limit(limits=1, user_api="blas"):
            result = sweep(
                self._data,
                self._prior(point),
                adjacency,
                coefficients,
                self.rng,
                self._executor,
                self._n_threads,
            )
        new = [result.coefficients[:, 0], result.coefficients[:, 1:].reshape(weights.shape)]
        new += [] if dense else [result.adjacency]
        stats = {"edges_on": int(result.adjacency.sum()), "edge_flips": result.flips}
        return point | dict(zip(self._names, map(np.ascontiguousarray, new), strict=True)), [stats]

    @staticmethod
    def competence(var: TensorVariable, has_grad: bool = False) -> Competence:
        """Claim edges, weights and biases of a network GLM."""
        kind = type(var.owner.op)
        if kind is BaselineRV and pm.Model.get_context(error_if_none=False) is None:
            _log.warning(
                "call pm.sample inside the model's context (with model: ...): outside it the "
                "hyperparameters go to pm.NUTS, which evaluates the likelihood of all spikes."
            )
        mine = kind in (EdgeRV, SpikeAndSlabRV, BaselineRV)
        return Competence.IDEAL if mine else Competence.INCOMPATIBLE

    @staticmethod
    def _progressbar_config(n_chains=1):
        from rich.progress import TextColumn
        from rich.table import Column

        columns = [
            TextColumn("{task.fields[edges_on]}", table_column=Column("Edges", ratio=1)),
            TextColumn("{task.fields[edge_flips]}", table_column=Column("Flips", ratio=1)),
        ]
        return columns, {"edges_on": [0] * n_chains, "edge_flips": [0] * n_chains}

    @staticmethod
    def _make_progressbar_update_functions():
        def update_stats(stats):
            return {key: stats[key] for key in ("edges_on", "edge_flips")}

        return (update_stats,)
