"""Assignment of the covariates of held-out counts to several models."""

from collections.abc import Mapping
from typing import Any

import xarray as xr

from pymc_glm.covariates import as_columns

__all__ = ["covariates_by_model"]


def covariates_by_model(
    trees: Mapping[str, xr.DataTree], counts: Any, covariates: Any
) -> dict[str, Any]:
    """Return the covariates to give to each model, None for models without covariates.

    Parameters
    ----------
    trees : mapping of names to DataTree
        With the constant data of models of this package.
    counts : DataArray, array or None
        Counts to which the covariates belong.
    covariates : DataArray, array, mapping of names of models to them, or None
        One table for all models is split by the labels of the covariates.

    Raises
    ------
    ValueError
        Covariates are missing, not needed, given without counts, or cannot be assigned to models.
    """
    labels = {
        name: [str(label) for label in tree["constant_data"].dataset["covariate"].values]
        for name, tree in trees.items()
        if "covariates" in tree["constant_data"].dataset
    }
    given = dict.fromkeys(trees)
    if counts is None:
        if covariates is not None:
            raise ValueError("covariates: they belong to counts=; give both, or neither.")
        return given
    if covariates is None:
        if labels:
            name = next(iter(labels))
            raise ValueError(
                f"covariates: model {name!r} has {labels[name]}; give them along with the counts."
            )
        return given
    if not labels:
        raise ValueError("covariates: none of the models has any; leave them out.")
    if not isinstance(covariates, Mapping):
        return given | _split(covariates, labels)
    unmatched = sorted(map(str, set(covariates) ^ set(labels)))
    if unmatched:
        raise ValueError(
            f"covariates: got those of {list(covariates)}, allowed are those of the models with "
            f"covariates, {list(labels)} (in only one of the two lists: {unmatched})."
        )
    return given | dict(covariates)


def _split(covariates: Any, labels: Mapping[str, list[str]]) -> dict[str, Any]:
    """Return the columns of each model from one table."""
    columns = as_columns(covariates, "covariates")
    given = columns["covariate"].values.tolist()
    if len(set(given)) < len(given):
        raise ValueError(f"covariates: got {given}; labels must be unique.")
    wanted = {label for of_model in labels.values() for label in of_model}
    for name, of_model in labels.items():
        missing = [label for label in of_model if label not in given]
        if missing:
            raise ValueError(
                f"covariates: got {given}, but model {name!r} also has {missing}; give all, or a "
                "mapping from names of models to their covariates."
            )
        if len(of_model) < len(given) and given == [str(i) for i in range(len(given))]:
            raise ValueError(
                f"covariates: got {len(given)} without labels, but model {name!r} has "
                f"{len(of_model)}; give a mapping from names of models to their covariates."
            )
    unused = [label for label in given if label not in wanted]
    if unused:
        raise ValueError(f"covariates: no model has {unused}; leave them out.")
    return {name: columns.isel(covariate=[given.index(label) for label in of_model])
            for name, of_model in labels.items()}  # fmt: skip
