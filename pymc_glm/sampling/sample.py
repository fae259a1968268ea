"""Sampling with what ``pm.sample`` cannot know: initial points, threads, what to look at after."""

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import pymc as pm
import xarray as xr
from pymc.model import modelcontext
from pymc.sampling.mcmc import assign_step_methods, instantiate_steppers
from pymc.step_methods.compound import flatten_steps

from pymc_glm.arguments import random_generator
from pymc_glm.criticism import convergence_report
from pymc_glm.graph.find import find_networks
from pymc_glm.graph.threads import available_cores
from pymc_glm.models.sessions import session, session_names
from pymc_glm.sampling.starts import initial_points
from pymc_glm.steps.network_step import NetworkStep

__all__ = [
    "check_sizes",
    "compiling",
    "log_report",
    "make_steps",
    "network_steps",
    "sample",
    "share_cores",
]

_log = logging.getLogger("pymc_glm")


def check_sizes(**sizes: int | None) -> None:
    """Raise unless these are whole numbers of at least 1, ``tune`` of at least 0, or None."""
    for name, value in sizes.items():
        lowest = 0 if name == "tune" else 1
        if value is None or (isinstance(value, int | np.integer) and value >= lowest):
            continue
        raise ValueError(f"{name}: got {value!r}, allowed are whole numbers of at least {lowest}.")


def share_cores(chains: int, cores: int | None, threads: int | None) -> tuple[int, int]:
    """Return how many chains run at a time, and with how many threads each."""
    available = available_cores()
    cores = min(chains, available if cores is None else cores)
    return cores, max(1, available // cores) if threads is None else threads


@contextlib.contextmanager
def compiling(progressbar: bool) -> Iterator[None]:
    """Show that the step methods are being compiled; the first time on a machine takes a while."""
    if not progressbar:
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status("Compiling the samplers (half a minute the first time) ..."):
        yield


def make_steps(model: pm.Model, options: dict[str, Any], threads: int) -> Any:
    """Choose and make the step methods of a model, in whose context this is called.

    Parameters
    ----------
    model : pymc.Model
    options : dict
        Keywords for `pymc.sample`; ``step`` and the options of steps are taken out of it.
    threads : int
        Of a chain.

    Returns
    -------
    step method, or list of them
    """
    steps, selected = assign_step_methods(model, options.pop("step", None))
    names = {method.name for method in selected}
    own = {key: options.pop(key) for key in list(options) if key in names}
    for method in selected:
        if issubclass(method, NetworkStep):
            own[method.name] = {"threads": threads} | own.get(method.name, {})
    return instantiate_steppers(
        model,
        steps,
        selected,
        step_kwargs=own,
        compile_kwargs=options.get("compile_kwargs"),
    )


def network_steps(step: Any) -> list[NetworkStep]:
    """Return those of step methods that draw networks."""
    every = step if isinstance(step, list) else [step]
    return [s for one in every for s in flatten_steps(one) if isinstance(s, NetworkStep)]


def sample(
    draws: int = 1000,
    tune: int = 1000,
    *,
    chains: int = 4,
    cores: int | None = None,
    threads: int | None = None,
    random_seed: int | np.random.Generator | None = None,
    model: pm.Model | None = None,
    progressbar: bool = True,
    report: bool = True,
    **kwargs: Any,
) -> xr.DataTree:
    """Sample the posterior of a network GLM.

    The same step methods and posterior as ``pm.sample()`` in the model's context; in addition the
    chains start far apart (see `initial_points`), run in parallel on all cores, and edges and
    biases that have not converged are named in the log (logger "pymc_glm").

    Parameters
    ----------
    draws, tune : int
        Kept and discarded iterations of each chain.
    chains : int
    cores : int, optional
        Chains run at a time, by default one a core.
    threads : int, optional
        Threads of each chain, by default the cores shared out among the chains that run at a time.
    random_seed : int, numpy.random.Generator or None
        The same seed gives the same draws for any number of cores and threads.
    model : pymc.Model, optional
        By default the model in context.
    progressbar : bool
    report : bool
        Whether to log what has not converged, see `convergence_report`.
    **kwargs
        For `pymc.sample`: ``step`` for other step methods, ``initvals`` for other starting values,
        options of a step by its name (``network_nuts={"target_accept": 0.95}``), ...

    Returns
    -------
    DataTree
        Groups posterior, sample_stats, observed_data, constant_data.

    Raises
    ------
    ValueError
        A number is out of range, the seed is no seed, or the model has no network GLM.

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
    check_sizes(draws=draws, tune=tune, chains=chains, cores=cores, threads=threads)
    rng = random_generator(random_seed)
    cores, threads = share_cores(chains, cores, threads)
    model = modelcontext(model)
    find_networks(model)
    with model:
        with compiling(progressbar and not kwargs.get("quiet", False)):
            step = make_steps(model, kwargs, threads)
        initvals = kwargs.pop("initvals", None)
        ours = network_steps(step)
        if initvals is None and ours:
            initvals = initial_points(model, ours, chains, rng)
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
    if report and not kwargs.get("quiet", False):
        log_report(tree)
    return tree


def log_report(tree: xr.DataTree) -> None:
    """Log what has not converged; draws of hand-made models need not have our names."""
    names = session_names(tree)
    for name in names:
        _log.info("Session %s:", name)
        log_report(session(tree, name))
    if names:
        return
    try:
        found = convergence_report(tree)
    except (TypeError, ValueError, AttributeError) as error:
        _log.warning("No report on convergence: %s", error)
    else:
        _log.log(logging.INFO if found.converged else logging.WARNING, "%s", found.text)
