"""Sampling that goes on where a posterior ends."""

from typing import Any

import numpy as np
import pymc as pm
import xarray as xr

from pymc_glm.arguments import random_generator
from pymc_glm.criticism.of_model import check_model
from pymc_glm.graph.find import find_networks
from pymc_glm.models.sessions import session_names
from pymc_glm.recipe import read_recipe
from pymc_glm.sampling.sample import (
    check_sizes,
    compiling,
    log_report,
    make_steps,
    network_steps,
    sample,
    share_cores,
)
from pymc_glm.trees import variable

__all__ = ["last_points", "sample_more"]

_DRAWN = ("posterior", "sample_stats")  # groups that further draws go into


def sample_more(
    tree: xr.DataTree,
    model: pm.Model,
    draws: int = 1000,
    tune: int = 500,
    *,
    cores: int | None = None,
    threads: int | None = None,
    random_seed: int | np.random.Generator | None = None,
    progressbar: bool = True,
    report: bool = True,
    **kwargs: Any,
) -> xr.DataTree:
    """Draw more from a posterior, each chain going on from its last draw.

    What the step methods had learned is not in the tree, so that they tune anew, but not as long:
    the chains are where they ought to be. The draws of this tuning are not kept.

    Parameters
    ----------
    tree : DataTree
        What `sample` or ``pm.sample`` returned, also after `save` and `load`.
    model : pymc.Model
        The one that was sampled, or that `load` built again.
    draws, tune : int
        Kept and discarded further iterations of each chain.
    cores, threads : int, optional
        As for `sample`.
    random_seed : int, numpy.random.Generator or None
        The same seed gives the same draws. Give another than at first.
    progressbar : bool
    report : bool
        Whether to log what has not converged, old and new draws taken together.
    **kwargs
        For `sample`: ``step``, options of a step by its name, ...

    Returns
    -------
    DataTree
        Old and new draws, one after the other along ``draw``, of the variables that both have. Data
        and attributes are those of ``tree``. Groups made from the old draws alone, such as a log
        likelihood, are left out.

    Raises
    ------
    TypeError
        Not a tree or a model; ``chains`` or ``initvals`` are given, which the tree says.
    ValueError
        The model is not the one that the tree is of, a variable of the model is not in the
        posterior, a number is out of range, or the seed is no seed.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> more = pg.sample_more(tree, model, 20, 10, random_seed=3, progressbar=False, quiet=True)
    >>> more["posterior"].sizes["draw"] - tree["posterior"].sizes["draw"]
    20
    """
    check_sizes(draws=draws, tune=tune, cores=cores, threads=threads)
    for name in ("chains", "initvals", "model"):
        if name in kwargs:
            raise TypeError(f"{name}: sample_more takes this from the tree; leave it out.")
    _check(tree, model)
    rng = random_generator(random_seed)
    starts = last_points(tree, model)
    cores, threads = share_cores(len(starts), cores, threads)
    quiet = kwargs.get("quiet", False)
    with model:
        with compiling(progressbar and not quiet):
            step = make_steps(model, kwargs, threads)
        for each in network_steps(step):
            each.gradual = False
        new = sample(
            draws,
            tune,
            chains=len(starts),
            cores=cores,
            threads=threads,
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
    """Return the last draw of each chain: the values of all free variables, by name.

    Parameters
    ----------
    tree : DataTree
    model : pymc.Model

    Raises
    ------
    ValueError
        A free variable is not in the posterior.
    """
    posterior = tree["posterior"].dataset
    missing = [rv.name for rv in model.free_RVs if rv.name not in posterior]
    if missing:
        raise ValueError(
            f"tree: the posterior has no {', '.join(map(repr, missing))}, and a chain cannot go on "
            "without; give the tree with all variables of the model."
        )
    points = []
    for chain in range(posterior.sizes["chain"]):
        last = posterior.isel(chain=chain, draw=-1)
        points.append(
            {str(rv.name): last[rv.name].values.astype(rv.dtype) for rv in model.free_RVs}
        )
    return points


def _check(tree: xr.DataTree, model: pm.Model) -> None:
    """Raise if the model is not the one that was sampled."""
    if not isinstance(model, pm.Model):
        raise TypeError(
            f"model: got {type(model).__name__}, allowed is the pymc.Model that was sampled, such "
            "as pymc_glm.load returns."
        )
    networks = find_networks(model)
    variable(tree, "posterior", str(networks[0].weights.name))
    if not session_names(tree):
        check_model(tree, model)
    constants = tree["constant_data"].dataset
    own = {str(v.name): v.get_value() for v in model.data_vars if v.name != "recipe"}
    for name in sorted(own.keys() | {str(v) for v in constants.data_vars if v != "recipe"}):
        if not (name in own and name in constants and np.array_equal(own[name], constants[name])):
            raise ValueError(_other(name, "they differ, or only one of the two has them"))
    one, two = read_recipe(tree), read_recipe(model)
    if one is None or two is None or one.version != two.version:
        return
    for name in one.arguments.keys() | two.arguments.keys():
        if one.arguments.get(name) != two.arguments.get(name):
            raise ValueError(_other(f"argument {name}", "the tree's was another"))


def _other(what: str, how: str) -> str:
    return (
        f"model: it is not the one that the tree is of, by its {what} ({how}); give the model that "
        "was sampled, such as pymc_glm.load returns."
    )


def _joined(tree: xr.DataTree, new: xr.DataTree) -> xr.DataTree:
    """Put new draws behind the old ones."""
    groups: dict[str, xr.Dataset] = {"/": xr.Dataset(attrs=tree.attrs)}
    for name, group in tree.children.items():
        old = group.dataset
        if name in _DRAWN:
            later = new[name].dataset if name in new.children else xr.Dataset()
            if {"draw", "chain"} <= set(later.dims):  # no step need have statistics
                groups[name] = _behind(old, later)
        elif "draw" not in old.dims:
            groups[name] = old
    return xr.DataTree.from_dict(groups)


def _behind(old: xr.Dataset, new: xr.Dataset) -> xr.Dataset:
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
