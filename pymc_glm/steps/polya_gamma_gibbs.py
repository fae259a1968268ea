"""Pólya-gamma Gibbs sampling of edges, weights and biases as a PyMC step method."""

from typing import Any, ClassVar

import numpy as np
import pymc as pm
from pymc.blocking import PointType, StatsType
from pymc.step_methods.state import dataclass_state
from pymc.util import RandomGenerator

from pymc_glm.engines import Network, engine_name
from pymc_glm.graph.data import SpikeData, spike_data
from pymc_glm.graph.find import NetworkVariables
from pymc_glm.graph.further_terms import has_further_terms
from pymc_glm.graph.shared import Shared
from pymc_glm.graph.threads import Threads
from pymc_glm.kernels.likelihood import GAUSSIAN, LOGISTIC
from pymc_glm.kernels.packing import pack_rows
from pymc_glm.kernels.polya_gamma import augment, sweep
from pymc_glm.steps.network_step import NetworkStep, NetworkStepState

__all__ = ["PolyaGammaGibbs"]


@dataclass_state
class PolyaGammaGibbsState(NetworkStepState):
    """Nothing is learned in the tuning."""


class PolyaGammaGibbs(NetworkStep):
    r"""Draw edges (weights integrated out), weights and biases by Pólya-gamma augmentation.

    For every post neuron: :math:`\omega_t \sim \mathrm{PG}(b(y_t), \psi_t)` (for Gaussian traces,
    the precision of the noise); every edge from its conditional with the weights integrated out;
    then bias and active weights jointly from their Gaussian conditional. Post neurons are
    independent and distributed over threads.

    Parameters
    ----------
    vars : list of variables, optional
        Adjacency, weights and bias, the default.
    model : pymc.Model, optional
        By default the model in context.
    engine : str, optional
        "threads", the only one that serves this step; by default the engine of the context.
    threads : int, optional
        Threads over the post neurons of a chain. By default all cores in the main process, one in
        a worker process of parallel chains. Draws do not depend on it.
    rng, initial_point, compile_kwargs
        As for other PyMC step methods.

    Raises
    ------
    ValueError
        The model has no network GLM, or one with terms that these conditionals do not cover;
        the engine is not "threads"; `threads` is below 1.

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
    draws = ("bias", "weights", "adjacency", "covariates")
    is_default = False  # EdgeMetropolis and WeightHMC mixed faster in every case measured
    _state_class = PolyaGammaGibbsState
    stats_dtypes_shapes: ClassVar[dict] = {"edges_on": (np.int64, []), "edge_flips": (np.int64, [])}

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
        data = spike_data(model, network)
        if data.value.likelihood.family not in (LOGISTIC, GAUSSIAN):
            raise ValueError(
                f"{network.observation.name} counts have no Pólya-gamma augmentation; draw edges "
                "by EdgeMetropolis and biases and weights by WeightHMC, as pg.sample() does."
            )
        if engine_name(engine) != "threads":
            raise ValueError(
                f"engine: got {engine_name(engine)!r}, and PolyaGammaGibbs runs on 'threads' only; "
                "draw edges by EdgeMetropolis and biases and weights by WeightHMC, as pg.sample() "
                "does, or leave engine out."
            )
        super().__init__(model, network, "threads", threads, rng, compile_kwargs)
        self._threads = Threads(threads, len(data.value.likelihood.counts))
        self.condition_on(data)

    @classmethod
    def _check_network(cls, network: NetworkVariables) -> None:
        """Raise ValueError if there are self filters or shared input."""
        if has_further_terms(network):
            raise ValueError(
                "the model has self filters or shared input, which PolyaGammaGibbs does not know; "
                "draw edges by EdgeMetropolis and the others by WeightHMC and PathHMC, as "
                "pg.sample() does."
            )

    def condition_on(self, data: Shared[SpikeData]) -> None:
        """Condition the step on other data, see `NetworkStep.condition_on`."""
        history, likelihood = data.value
        self._shared = Shared(augment(pack_rows(history), likelihood, history.n_basis))

    def step(self, point: PointType) -> tuple[PointType, StatsType]:
        """Draw all of bias, weights and adjacency once."""
        bias, adjacency, weights = self._state(point)
        coefficients = np.column_stack([bias, weights.reshape(bias.size, -1)])
        data = self.data
        if self._dispersion is not None:
            data = data.with_dispersion(self._dispersion)
        with self._threads.single_blas():
            result = sweep(
                data,
                self._next_prior(point),
                adjacency,
                coefficients,
                self.rng,
                self._threads.executor,
                self._threads.n_threads,
            )
        new_weights = result.coefficients[:, 1:].reshape(weights.shape)
        network = Network(result.coefficients[:, 0], result.adjacency, new_weights)
        new = self._moved(point, network)
        edges_on = int(result.adjacency[:, : bias.size].sum())
        return new, [{"edges_on": edges_on, "edge_flips": result.flips}]

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
