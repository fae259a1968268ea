"""Sampling of network GLMs: ``pm.sample`` with initial points, threads and a report."""

import contextlib
import logging
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pymc as pm
import pytensor
import xarray as xr
from pymc.model import modelcontext
from pymc.sampling.mcmc import assign_step_methods, instantiate_steppers
from pymc.step_methods.compound import flatten_steps

from pymc_glm.arguments import as_whole_number, random_generator
from pymc_glm.engines import engine_name
from pymc_glm.graph.threads import available_cores
from pymc_glm.models.sessions import session, session_names
from pymc_glm.sampling.estimate import TimeEstimate
from pymc_glm.sampling.kept_paths import KeptPaths
from pymc_glm.sampling.starts import initial_points
from pymc_glm.steps.network_step import NetworkStep

__all__ = [
    "compiling",
    "log_report",
    "make_steps",
    "network_steps",
    "sample",
    "share_cores",
]

_log = logging.getLogger("pymc_glm")


def share_cores(
    chains: int, cores: int | None, threads: int | None, engine: str = "threads"
) -> tuple[int, int]:
    """Return the number of chains that run in parallel, and the threads of each.

    Chains run one after the other if they share a GPU, unless `cores` says otherwise.

    Raises
    ------
    ValueError
        `cores` or `threads` is neither a whole number of at least 1 nor None.
    """
    available = available_cores()
    if cores is None and engine != "threads":
        cores = 1
    cores = min(chains, available if cores is None else as_whole_number(cores, "cores"))
    if threads is None:
        return cores, max(1, available // cores)
    return cores, as_whole_number(threads, "threads")


@contextlib.contextmanager
def compiling(progressbar: bool) -> Iterator[None]:
    """Show a status line while the step methods compile, which is slow the first time."""
    if not progressbar:
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status("Compiling the samplers (minutes the first time) ..."):
        yield


def make_steps(
    model: pm.Model, options: dict[str, Any], threads: int, engine: str | None = None
) -> Any:
    """Choose and make the step methods of a model; call this in the model's context.

    Parameters
    ----------
    model : pymc.Model
    options : dict
        Keywords for `pymc.sample`; ``step`` and the options of step methods are removed from it.
    threads : int
        Threads of each chain.
    engine : str, optional
        By default that of the context.

    Returns
    -------
    step method or list of step methods
    """
    with pytensor.config.change_flags(traceback__limit=0):  # where variables were made: slow
        return _make_steps(model, options, threads, engine)


def _make_steps(model: pm.Model, options: dict[str, Any], threads: int, engine: str | None) -> Any:
    """Choose and make the step methods."""
    steps, selected = assign_step_methods(model, options.pop("step", None))
    names = {method.name for method in selected}
    step_options = {key: options.pop(key) for key in list(options) if key in names}
    for method in selected:
        if issubclass(method, NetworkStep):
            chosen = step_options.get(method.name, {})
            step_options[method.name] = {"engine": engine, "threads": threads} | chosen
    return instantiate_steppers(
        model,
        steps,
        selected,
        step_kwargs=step_options,
        compile_kwargs=options.get("compile_kwargs"),
    )


def network_steps(step: Any) -> list[NetworkStep]:
    """Return the step methods that draw networks, out of one step method or a list."""
    steps = step if isinstance(step, list) else [step]
    return [s for one in steps for s in flatten_steps(one) if isinstance(s, NetworkStep)]


def sample(
    draws: int = 1000,
    tune: int = 1000,
    *,
    chains: int = 4,
    cores: int | None = None,
    threads: int | None = None,
    engine: str | None = None,
    random_seed: int | np.random.Generator | None = None,
    model: pm.Model | None = None,
    path_draws: int = 100,
    progressbar: bool = True,
    report: bool = True,
    **kwargs: Any,
) -> xr.DataTree:
    """Sample the posterior of a network GLM.

    Uses the same step methods and has the same posterior as ``pm.sample()`` in the model's
    context. In addition, chains start far apart (see `initial_points`) and run in parallel on all
    cores, and the log (logger "pymc_glm") says after the first iterations how long the sampling
    will take, and at the end which edges and biases have not converged.

    Parameters
    ----------
    draws, tune : int
        Kept and discarded iterations of each chain.
    chains : int
    cores : int, optional
        Number of chains to run in parallel; by default one per core.
    threads : int, optional
        Threads of each chain; by default the cores divided by the chains that run in parallel.
    engine : {"threads", "jax"}, optional
        Where post neurons are moved: on threads, or by JAX, on a GPU if there is one; see `engine`.
        By default the engine of the context, "threads".
    random_seed : int, numpy.random.Generator or None
        The same seed gives the same draws for any number of cores and threads of an engine.
    model : pymc.Model, optional
        By default the model in context.
    path_draws : int
        Draws of the paths of shared input that each chain keeps, evenly spaced. They are large, so
        they are in a group of their own, ``shared_path``, with the dim ``path_draw``.
    progressbar : bool
    report : bool
        Whether to log what has not converged; see `convergence_report`.
    **kwargs
        Passed to `pymc.sample`: ``step`` for other step methods, ``initvals`` for other initial
        values, options of a step method by its name
        (``network_nuts={"target_accept": 0.95}``), ...

    Returns
    -------
    DataTree
        Groups posterior, sample_stats, observed_data, constant_data; with shared input,
        shared_path.

    Raises
    ------
    ValueError
        A number is out of range, the seed is invalid, the engine is unknown or does not serve the
        model, or the model contains no network GLM.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> counts = np.random.default_rng(1).poisson(0.05, (300, 2)).clip(0, 1)
    >>> basis = pg.basis.raised_cosine(1, window=0.05, bin_width=0.005)
    >>> weights = pg.GaussianWeights(0.0, 1.0, None, None)
    >>> model = pg.build_glm(counts, basis, edges=pg.BernoulliEdges(0.2, 1.0), weights=weights)
    >>> tree = pg.sample(100, 100, chains=2, cores=1, model=model, random_seed=1,
    ...                  progressbar=False, quiet=True)
    >>> tree["posterior"]["adjacency"].dims
    ('chain', 'draw', 'post', 'pre')
    """
    draws, tune = as_whole_number(draws, "draws"), as_whole_number(tune, "tune", at_least=0)
    chains = as_whole_number(chains, "chains")
    engine = engine_name(engine)
    cores, threads = share_cores(chains, cores, threads, engine)
    if cores > 1 and (engine != "threads" or "jax" in sys.modules):
        kwargs.setdefault("mp_ctx", "spawn")  # a process with JAX's threads must not be forked
    rng = random_generator(random_seed)
    model = modelcontext(model)
    number = as_whole_number(path_draws, "path_draws")
    paths = KeptPaths(model, draws, tune, chains, number, kwargs.get("callback"))
    if paths.names:
        kwargs = {"var_names": paths.recorded} | kwargs | {"callback": paths}
    each = (draws + tune, chains, cores)
    kwargs["callback"] = TimeEstimate(*each, _log.info, kwargs.get("callback"))
    with model:
        with compiling(progressbar and not kwargs.get("quiet", False)):
            step = make_steps(model, kwargs, threads, engine)
        initvals = kwargs.pop("initvals", None)
        of_networks = network_steps(step)
        if initvals is None and of_networks:
            initvals = initial_points(model, of_networks, chains, rng)
        tree = pm.sample(
            draws,
            tune=tune,
            chains=chains,
            cores=cores,
            random_seed=rng,
            step=step,
            initvals=initvals,
            progressbar=progressbar,
            **({"compute_convergence_checks": False} | kwargs),
        )
    if paths.names:
        tree = paths.attach(tree)
    if report and not kwargs.get("quiet", False):
        log_report(tree)
    return tree


def log_report(tree: xr.DataTree) -> None:
    """Log what has not converged; warn if a hand-made model lacks the variables this needs."""
    from pymc_glm.criticism import convergence_report  # ArviZ takes a second to import

    names = session_names(tree)
    for name in names:
        _log.info("Session %s:", name)
        log_report(session(tree, name))
    if names:
        return
    try:
        found = convergence_report(tree)
    except (TypeError, ValueError, AttributeError) as error:
        _log.warning("No convergence report: %s", error)
    else:
        _log.log(logging.INFO if found.converged else logging.WARNING, "%s", found.text)
