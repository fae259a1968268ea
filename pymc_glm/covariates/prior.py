"""The prior of covariate weights."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from pytensor.tensor.variable import TensorVariable

from pymc_glm.covariates.columns import Covariates, in_order
from pymc_glm.distributions import CovariateWeights
from pymc_glm.kernels.linear_dependence import dependences
from pymc_glm.priors.hyperparameters import LEARNED, Hyperparameter, hyperparameter

__all__ = ["CovariatePrior"]

_LISTED = 3  # sets of dependent covariates in a warning


@dataclass(frozen=True, eq=False)
class CovariatePrior:
    r"""Hierarchical normal prior of covariate weights, pooled across neurons.

    .. math:: v_{nc}\, s_c \sim \mathrm{Normal}(\mu_c, \sigma_c), \qquad
        \mu_c \sim \mathrm{Normal}(0, 1), \quad \sigma_c \sim \mathrm{HalfNormal}(1)

    with :math:`s_c` the standard deviation of covariate c: mean and scale describe the change of
    psi per standard deviation of the covariate, whatever its units.

    Parameters
    ----------
    mean, scale : number, array (covariate,), PyMC distribution or "learned"
        In the posterior as ``covariate_mean`` and ``covariate_scale`` (covariate) if learned.
    mask : array of bool (post, covariate), optional
        Which neurons each covariate acts on, by default all; other weights are exactly zero. A
        DataArray is matched by its labels.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> rng = np.random.default_rng(1)
    >>> counts, speed = rng.poisson(0.05, (300, 2)).clip(0, 1), rng.normal(size=(300, 1))
    >>> basis = pg.basis.raised_cosine(1, window=0.05, bin_width=0.005)
    >>> prior = pg.CovariatePrior(mean=0.0, mask=[[True], [False]])
    >>> model = pg.build_glm(counts, basis, covariates=speed, covariate_prior=prior)
    >>> "covariate_mean" in model.named_vars, "covariate_scale" in model.named_vars
    (False, True)
    """

    mean: Hyperparameter = LEARNED
    scale: Hyperparameter = LEARNED
    mask: ArrayLike | xr.DataArray | None = None

    def weights(self, covariates: Covariates, n_neurons: int) -> TensorVariable:
        """Register ``covariate_weights`` (post, covariate) with the model.

        Raises
        ------
        ValueError, TypeError
            A hyperparameter or the mask cannot be used.

        Warns
        -----
        UserWarning
            In the bins that are data, some covariates of a neuron are linearly dependent, possibly
            together with a constant.
        """
        n = covariates.spread.size
        mask = self._mask(n_neurons, covariates.values["covariate"].values.tolist())
        _warn_of_dependence(covariates, mask)
        place: dict[str, Any] = {"shape": (n,), "dims": ("covariate",)}
        mean = hyperparameter(
            "covariate_mean", self.mean, lambda: pm.Normal.dist(0.0, 1.0), **place
        )
        scale = hyperparameter(
            "covariate_scale", self.scale, lambda: pm.HalfNormal.dist(1.0), lower=1e-9, **place
        )
        return CovariateWeights(
            "covariate_weights",
            pt.constant(mask),
            mean / covariates.spread,
            scale / covariates.spread,
            dims=("post", "covariate"),
        )

    def _mask(self, n_neurons: int, covariates: list[str]) -> NDArray[np.bool_]:
        shape = n_neurons, len(covariates)
        if self.mask is None:
            return np.ones(shape, dtype=bool)
        given = self.mask
        if isinstance(given, xr.DataArray):
            neurons = [str(label) for label in pm.modelcontext(None).coords["post"]]
            given = _by_labels(given, {"post": neurons, "covariate": covariates})
        mask = np.asarray(given)
        if mask.dtype != bool or mask.shape != shape:
            raise ValueError(
                f"mask: got {mask.dtype} values of shape {mask.shape}, allowed are bools of shape "
                f"(post, covariate) = {shape}."
            )
        idle = ~mask.any(axis=0)
        if idle.any():
            raise ValueError(
                f"mask: covariate {covariates[int(idle.argmax())]!r} acts on no neuron; leave it "
                "out."
            )
        return mask


def _by_labels(mask: xr.DataArray, labels: dict[str, list[str]]) -> NDArray:
    """Return a mask (post, covariate) in the order of the model."""
    mask = mask.rename(neuron="post") if "neuron" in mask.dims else mask
    if set(mask.dims) != set(labels):
        raise ValueError(f"mask: got the dims {mask.dims}, allowed are ('post', 'covariate').")
    mask = mask.transpose(*labels)
    for dim, known in labels.items():
        if dim in mask.coords:
            mask = in_order(mask, dim, known, "mask")
    return mask.values


def _warn_of_dependence(covariates: Covariates, mask: NDArray[np.bool_]) -> None:
    """Warn once of covariates of the same neuron whose effects no data can separate."""
    values = covariates.values.values
    found = dependences(values if covariates.bins is None else values[covariates.bins], mask)
    if not found:
        return
    names, sets = covariates.values["covariate"].values.tolist(), []
    for columns, constant in found[:_LISTED]:
        members = ", ".join(repr(names[column]) for column in columns)
        biases = " and the biases" if constant else ""
        sets.append(f"{members}{biases} are linearly dependent")
    n_more = len(found) - _LISTED
    more = f" ({n_more} more such set{'s' if n_more > 1 else ''})" if n_more > 0 else ""
    warnings.warn(
        f"covariates: {'; '.join(sets)}{more}: the data determine only the combined effect of a "
        "set, and the prior alone how it is divided; leave out one covariate of each set.",
        UserWarning,
        stacklevel=4,
    )
