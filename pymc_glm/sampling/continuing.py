"""More draws from a posterior: sampling that continues from the last draws."""

from typing import Any

import numpy as np
import pymc as pm
import xarray as xr

from pymc_glm.arguments import as_whole_number, random_generator
from pymc_glm.criticism.same_model import check_model
from pymc_glm.engines import engine_name
from pymc_glm.graph.find import find_networks
from pymc_glm.models.sessions import session_names
from pymc_glm.recipe import read_recipe
from pymc_glm.sampling.sample import (
    compiling,
    log_report,
    make_steps,
    network_steps,
    sample,
    share_cores,
)
from pymc_glm.trees import PATH_GROUP, kept_paths, variable

__all__ = ["last_points", "sample_more"]

_DRAWN = ("posterior", "sample_stats")  # groups to which new draws are appended


def sample_more(
    tree: xr.DataTree,
    model: pm.Model,
    draws: int = 1000,
    tune: int = 500,
    *,
    cores: int | None = None,
    threads: int | None = None,
    engine: str | None = None,
    random_seed: int | np.random.Generator | None = None,
    progressbar: bool = True,
    report: bool = True,
    **kwargs: Any,
) -> xr.DataTree:
    """Draw more samples, each chain continuing from its last draw.

    The tree does not hold what the step methods learned while tuning, so they tune again. Fewer
    iterations suffice, as the chains have already converged. These iterations are discarded.

    Parameters
    ----------
    tree : DataTree
        Posterior from `sample`, ``pm.sample`` or `load`.
    model : pymc.Model
        The model that was sampled, or the one that `load` rebuilt.
    draws, tune : int
        Kept and discarded new iterations of each chain.
    cores, threads, engine : optional
        As for `sample`.
    random_seed : int, numpy.random.Generator or None
        The same seed gives the same draws. Use a different seed than for the first draws.
    progressbar : bool
    report : bool
        Whether to log what has not converged, for old and new draws together.
    **kwargs
        Passed to `sample`: ``step``, options of a step method by its name, ...

    Returns
    -------
    DataTree
        Old and new draws, concatenated along ``draw``, of the variables present in both. Data and
        attributes are those of ``tree``. Groups computed from the old draws only, such as
        log_likelihood, are dropped.

    Raises
    ------
    TypeError
        `tree` or `model` has the wrong type, or ``chains`` or ``initvals`` are given, which come
        from the tree.
    ValueError
        The tree was not sampled from the model, the posterior lacks a variable of the model, a
        number is out of range, or the seed is invalid.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> more = pg.sample_more(tree, model, 20, 10, random_seed=3, progressbar=False, quiet=True)
    >>> more["posterior"].sizes["draw"] - tree["posterior"].sizes["draw"]
    20
    """
    draws, tune = as_whole_number(draws, "draws"), as_whole_number(tune, "tune", at_least=0)
    for name in ("chains", "initvals", "model"):
        if name in kwargs:
            raise TypeError(f"{name}: sample_more takes this from the tree; leave it out.")
    _check(tree, model)
    rng = random_generator(random_seed)
    starts = last_points(tree, model)
    engine = engine_name(engine)
    cores, threads = share_cores(len(starts), cores, threads, engine)
    quiet = kwargs.get("quiet", False)
    with model:
        with compiling(progressbar and not quiet):
            step = make_steps(model, kwargs, threads, engine)
        for each in network_steps(step):
            each.gradual = False
        new = sample(
            draws,
            tune,
            chains=len(starts),
            cores=cores,
            threads=threads,
            engine=engine,
            random_seed=rng,
            progressbar=progressbar,
            report=False,
            step=step,
            initvals=starts,
            **kwargs,
        )
    joined = _joined(tree, new)
    if report and not quiet:
        log_report(joined)
    return joined


def last_points(tree: xr.DataTree, model: pm.Model) -> list[dict[str, np.ndarray]]:
    """Return the values of all free variables in the last draw of each chain, by name.

    Parameters
    ----------
    tree : DataTree
    model : pymc.Model

    Raises
    ------
    ValueError
        A free variable is missing from the posterior.
    """
    posterior = tree["posterior"].dataset
    paths = kept_paths(tree)
    known = [*posterior.data_vars, *paths.data_vars]
    missing = [rv.name for rv in model.free_RVs if rv.name not in known]
    if missing:
        raise ValueError(
            f"tree: the posterior lacks {', '.join(map(repr, missing))}, which chains need to "
            "continue; give the tree with all variables of the model."
        )
    points = []
    for chain in range(posterior.sizes["chain"]):
        last = posterior.isel(chain=chain, draw=-1)
        ends = paths.isel(chain=chain, path_draw=-1) if paths.data_vars else paths
        points.append(
            {
                str(rv.name): (last if rv.name in last else ends)[rv.name].values.astype(rv.dtype)
                for rv in model.free_RVs
            }
        )
    return points


def _check(tree: xr.DataTree, model: pm.Model) -> None:
    """Raise unless the tree was sampled from the model."""
    if not isinstance(model, pm.Model):
        raise TypeError(
            f"model: got {type(model).__name__}, allowed is the pymc.Model that was sampled, or "
            "the one that pymc_glm.load returned."
        )
    networks = find_networks(model)
    variable(tree, "posterior", str(networks[0].weights.name))
    if not session_names(tree):
        check_model(tree, model)
    constants = tree["constant_data"].dataset
    data = {str(v.name): v.get_value() for v in model.data_vars if v.name != "recipe"}
    for name in sorted(data.keys() | {str(v) for v in constants.data_vars if v != "recipe"}):
        if not (name in data and name in constants and np.array_equal(data[name], constants[name])):
            raise ValueError(_mismatch(name, "other values, or only one of the two has them"))
    of_tree, of_model = read_recipe(tree), read_recipe(model)
    if of_tree is None or of_model is None or of_tree.version != of_model.version:
        return
    for name in of_tree.arguments.keys() | of_model.arguments.keys():
        if of_tree.arguments.get(name) != of_model.arguments.get(name):
            raise ValueError(_mismatch(f"argument {name}", "another value"))


def _mismatch(what: str, how: str) -> str:
    return (
        f"model: it differs from the one that was sampled in its {what} ({how}); give the model "
        "that was sampled, or the one that pymc_glm.load returned."
    )


def _joined(tree: xr.DataTree, new: xr.DataTree) -> xr.DataTree:
    """Return a tree with the new draws appended to the old ones."""
    groups: dict[str, xr.Dataset] = {"/": xr.Dataset(attrs=tree.attrs)}
    for name, group in tree.children.items():
        old = group.dataset
        if name in _DRAWN:
            later = new[name].dataset if name in new.children else xr.Dataset()
            if {"draw", "chain"} <= set(later.dims):  # step methods may have no statistics
                groups[name] = _appended(old, later)
        elif name == PATH_GROUP:
            groups[name] = _with_later_paths(old, new, tree["posterior"].sizes["draw"])
        elif "draw" not in old.dims:
            groups[name] = old
    return xr.DataTree.from_dict(groups)


def _with_later_paths(old: xr.Dataset, new: xr.DataTree, n_before: int) -> xr.Dataset:
    """Return old and new draws of paths, numbered as the draws of the joined posterior."""
    if PATH_GROUP not in new.children:
        return old
    later = new[PATH_GROUP].dataset
    later = later.assign_coords(
        chain=old["chain"].values, path_draw=n_before + later["path_draw"].values
    )
    return xr.concat([old, later], dim="path_draw")


def _appended(old: xr.Dataset, new: xr.Dataset) -> xr.Dataset:
    both = [
        name
        for name in old.data_vars
        if name in new and (old[name].dims, old[name].dtype) == (new[name].dims, new[name].dtype)
    ]
    first = int(old["draw"].values[-1]) + 1
    later = first + np.arange(new.sizes["draw"])
    new = new.assign_coords(chain=old["chain"].values, draw=later)
    return xr.concat(
        [old[both], new[both]],
        dim="draw",
        data_vars="minimal",
        coords="minimal",
        compat="override",
        join="override",
        combine_attrs="override",
    )
