"""Covariates of held-out counts for several models."""

from collections.abc import Mapping
from typing import Any

import xarray as xr

from pymc_glm.covariates import as_columns

__all__ = ["covariates_by_model"]


def covariates_by_model(
    trees: Mapping[str, xr.DataTree], counts: Any, covariates: Any
) -> dict[str, Any]:
    """Return what each model is to be given as covariates, None for those without.

    Parameters
    ----------
    trees : mapping of names to DataTree
        With the constant data of models of this package.
    counts : DataArray, array or None
        Those that the covariates go with.
    covariates : DataArray, array, mapping of names of models to them, or None
        One for all is taken apart by the labels of the covariates.

    Raises
    ------
    ValueError
        They are missing, for no model, without counts, or cannot be told apart.
    """
    labels = {
        name: [str(label) for label in tree["constant_data"].dataset["covariate"].values]
        for name, tree in trees.items()
        if "covariates" in tree["constant_data"].dataset
    }
    given = dict.fromkeys(trees)
    if counts is None:
        if covariates is not None:
            raise ValueError("covariates: they go with counts=; give both, or neither.")
        return given
    if covariates is None:
        if labels:
            name = next(iter(labels))
            raise ValueError(
                f"covariates: model {name!r} has {labels[name]}; give them for the counts too."
            )
        return given
    if not labels:
        raise ValueError("covariates: none of the models has any; leave them out.")
    if not isinstance(covariates, Mapping):
        return given | _taken_apart(covariates, labels)
    odd = sorted(map(str, set(covariates) ^ set(labels)))
    if odd:
        raise ValueError(
            f"covariates: got them for {list(covariates)}, the models with covariates are "
            f"{list(labels)} ({odd} are in one only); give them for these."
        )
    return given | dict(covariates)


def _taken_apart(covariates: Any, labels: Mapping[str, list[str]]) -> dict[str, Any]:
    """Return of one table the columns of each model."""
    columns = as_columns(covariates, "covariates")
    given = columns["covariate"].values.tolist()
    if len(set(given)) < len(given):
        raise ValueError(f"covariates: got {given}; labels must be unique.")
    wanted = {label for own in labels.values() for label in own}
    for name, own in labels.items():
        missing = [label for label in own if label not in given]
        if missing:
            raise ValueError(
                f"covariates: got {given}, and model {name!r} has {missing} too; give all, or a "
                "mapping from names of models to their covariates."
            )
        if len(own) < len(given) and given == [str(i) for i in range(len(given))]:
            raise ValueError(
                f"covariates: got {len(given)} without labels, and model {name!r} has "
                f"{len(own)}; give a mapping from names of models to their covariates."
            )
    unused = [label for label in given if label not in wanted]
    if unused:
        raise ValueError(f"covariates: no model has {unused}; leave them out.")
    return {name: columns.isel(covariate=[given.index(label) for label in own])
            for name, own in labels.items()}  # fmt: skip
