"""What is measured beside the spikes: stimulus, speed, position, time in the trial."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from pytensor.tensor.variable import TensorVariable

from pymc_glm.distributions import CovariateWeights
from pymc_glm.kernels.dependence import dependences
from pymc_glm.priors.hyperparameters import LEARNED, Hyperparameter, hyperparameter
from pymc_glm.segments import segment_starts
from pymc_glm.spikes import variable_from_package

__all__ = [
    "CovariatePrior",
    "as_columns",
    "covariate_columns",
    "covariate_design",
    "in_order",
    "read_covariates",
]

_FAR = 10.0  # a mean so many standard deviations from zero takes the bias along
_NAMED = 3  # dependences of covariates that a warning tells


def as_columns(variable: Any, name: str) -> xr.DataArray:
    """Return a variable as (time, covariate) of floats, all finite.

    Raises
    ------
    ValueError
        Wrong dimensions or type, nothing, or values that are not finite.
    """
    variable = variable_from_package(variable)
    if not isinstance(variable, xr.DataArray):
        values = np.asarray(variable)
        if values.ndim not in (1, 2):
            raise ValueError(
                f"{name}: got {values.ndim} dimensions, allowed are (time,) and (time, covariate)."
            )
        variable = xr.DataArray(values, dims=("time", "covariate")[: values.ndim])
    if "time" not in variable.dims or not set(variable.dims) <= {"time", "covariate"}:
        raise ValueError(
            f"{name}: got the dims {variable.dims}, allowed are ('time',) and ('time', "
            "'covariate')."
        )
    if "covariate" not in variable.dims:
        variable = variable.expand_dims(covariate=[str(variable.name or name)])
    columns = variable.transpose("time", "covariate")
    if "covariate" not in columns.coords:
        columns = columns.assign_coords(covariate=[str(i) for i in range(columns.shape[1])])
    columns = columns.assign_coords(covariate=[str(label) for label in columns["covariate"].values])
    if not columns.sizes["covariate"]:
        raise ValueError(f"{name}: got no column; give at least one, or None.")
    if columns.dtype.kind not in "biuf":
        raise ValueError(f"{name}: got values of type {columns.dtype}, allowed are numbers.")
    columns = columns.astype(float)
    wrong = ~np.isfinite(columns.values)
    if wrong.any():
        time, which = np.argwhere(wrong)[0]
        label = str(columns["covariate"].values[which])
        raise ValueError(
            f"{name}: {columns.values[time, which]} in bin {time} of {label!r} ({wrong.sum()} such "
            "values); fill them in, or leave the bins out of the data by exclude= and set them to "
            "any number."
        )
    return columns


def covariate_design(
    variable: xr.DataArray | ArrayLike,
    basis: xr.DataArray | Callable[[NDArray[np.float64]], NDArray[np.float64]],
    *,
    causal: bool = True,
    segment_start: ArrayLike | None = None,
) -> xr.DataArray:
    r"""Expand a variable in a basis: regressors for ``build_glm(..., covariates=)``.

    A basis over lags, such as `pymc_glm.basis.raised_cosine`, is convolved with the variable; its
    first row is the present bin,

    .. math:: x_{tk} = \sum_{l=0}^{L-1} \phi_{lk}\, s_{t-l}

    (Pillow et al. 2008, Nature 454:995, the stimulus filter), or, not causal, the window is centred
    on the present bin. A function, such as `pymc_glm.basis.bumps` makes, is evaluated on the
    variable: tuning to position, direction or time in the trial.

    Parameters
    ----------
    variable : DataArray or array, (time,) or (time, covariate)
        Finite numbers. Bins before a segment count as zero. Or a pynapple Tsd or TsdFrame, or a
        pandas DataFrame.
    basis : DataArray (lag, basis), or callable
        Basis over lags; or a function from values (time,) to (time, basis).
    causal : bool
        Whether only the present and the past act; for a basis over lags.
    segment_start : array of int (segment,), optional
        First bins of trials or epochs, over whose borders nothing is convolved. By default as of
        counts: where a coordinate ``segment`` or ``trial`` of the variable changes and where its
        time jumps; of an array, and with ``[0]``, there are none.

    Returns
    -------
    DataArray, dims (time, covariate)
        Labelled by variable and basis function.

    Raises
    ------
    ValueError, TypeError
        Wrong dimensions, values that are not finite, a basis of another kind or of another width
        of bins, or first bins that are none.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> speed = np.array([0.0, 1.0, 0.0, 0.0])
    >>> filters = pg.basis.identity(window=0.02, bin_width=0.01)
    >>> pg.covariate_design(speed, filters).values.tolist()
    [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]
    >>> angle = np.linspace(0, 2 * np.pi, 5)
    >>> pg.covariate_design(angle, pg.basis.bumps(4, 0, 2 * np.pi, cyclic=True)).shape
    (5, 4)
    """
    columns = as_columns(variable, "variable")
    starts = np.zeros(1, np.int64) if callable(basis) else _starts(columns, segment_start)
    made = []
    for label in columns["covariate"].values:
        values = columns.sel(covariate=label).values
        if callable(basis):
            told = np.asarray(basis(values), dtype=float)
            if told.shape[:1] != values.shape or told.ndim != 2:
                raise ValueError(
                    f"basis: the function returned the shape {told.shape} for {values.size} "
                    "values, allowed is (time, basis)."
                )
        elif getattr(basis, "dims", None) == ("lag", "basis"):
            _check_width(basis, columns)
            told = _convolved(values, np.asarray(basis, dtype=float), causal, starts)
        else:
            raise TypeError(
                f"basis: got {type(basis).__name__}; give a DataArray (lag, basis) of "
                "pymc_glm.basis, or a function of values such as pymc_glm.basis.bumps(...)."
            )
        labels = [f"{label}[{k}]" for k in range(told.shape[1])]
        made.append(xr.DataArray(told, dims=("time", "covariate"), coords={"covariate": labels}))
    design = xr.concat(made, dim="covariate")
    return design.assign_coords(time=columns["time"]) if "time" in columns.coords else design


def _starts(columns: xr.DataArray, given: ArrayLike | None) -> NDArray[np.int64]:
    """Return first bins of segments, (segment,)."""
    if given is None:
        return segment_starts(columns, "variable")
    starts, n_bins = np.asarray(given), columns.sizes["time"]
    right = starts.ndim == 1 and starts.size and starts.dtype.kind in "iu"
    if not right or starts[0] != 0 or (np.diff(starts) < 1).any() or starts[-1] >= n_bins:
        raise ValueError(
            f"segment_start: got {given!r}, allowed are the first bins of the segments, whole "
            f"numbers from 0 on, rising and below {n_bins}."
        )
    return starts.astype(np.int64)


def _check_width(basis: Any, columns: xr.DataArray) -> None:
    """Raise if the basis is of other bins than the variable."""
    width = basis.attrs.get("bin_width")
    if width is None or "time" not in columns.coords or columns.sizes["time"] < 2:
        return
    step = float(np.median(np.diff(columns["time"].values.astype(float))))
    if abs(step - width) > 1e-3 * width:
        raise ValueError(
            f"basis: it is for bins of {width:g} s, and the variable has a value every {step:g} s; "
            "make both of the bin width of the counts."
        )


def _convolved(
    values: NDArray[np.float64], basis: NDArray[np.float64], causal: bool, starts: NDArray
) -> NDArray[np.float64]:
    """Convolve segment by segment, (time, basis)."""
    from scipy.signal import convolve

    ahead = 0 if causal else len(basis) // 2
    parts = []
    for part in np.split(values, starts[1:]):
        full = convolve(part[:, None], basis, mode="full")
        parts.append(np.concatenate([full, np.zeros((ahead, basis.shape[1]))])[ahead:][: part.size])
    return np.concatenate(parts)


class Covariates(NamedTuple):
    """Checked covariates of a model."""

    values: xr.DataArray  # (time, covariate)
    spread: NDArray[np.float64]  # (covariate,): standard deviations
    bins: NDArray[np.int64] | None = None  # that are data; None: all


def covariate_columns(covariates: xr.DataArray | ArrayLike, counts: xr.DataArray) -> xr.DataArray:
    """Return covariates (time, covariate) of the bins of counts.

    Parameters
    ----------
    covariates : DataArray or array, (time, covariate)
        See `covariate_design` for what else.
    counts : DataArray (time, neuron)

    Raises
    ------
    ValueError
        Another length or other times than the counts, values that are not finite, labels twice.
    """
    columns = as_columns(covariates, "covariates")
    if columns.sizes["time"] != counts.sizes["time"]:
        raise ValueError(
            f"covariates: got {columns.sizes['time']} bins, the counts have "
            f"{counts.sizes['time']}; give one row for each bin of the counts."
        )
    if "time" in columns.coords:
        away = np.abs(columns["time"].values - counts["time"].values)
        # Beginnings of bins, or their middles as of pynapple, which rounds them.
        if away.max() > (0.5 + 1e-3) * counts.attrs["bin_width"]:
            where = int(away.argmax())
            raise ValueError(
                f"covariates: bin {where} is at {columns['time'].values[where]:g} s, that of the "
                f"counts at {counts['time'].values[where]:g} s; align them, e.g. by "
                "covariates.interp(time=counts['time'])."
            )
    labels, repeats = np.unique(columns["covariate"].values, return_counts=True)
    if (repeats > 1).any():
        raise ValueError(
            f"covariates: the labels {labels[repeats > 1].tolist()} occur more than once."
        )
    return columns


def read_covariates(
    covariates: xr.DataArray | ArrayLike,
    counts: xr.DataArray,
    bins: NDArray[np.int64] | None = None,
) -> Covariates:
    """Check covariates against the counts that they go with.

    Parameters
    ----------
    covariates : DataArray or array, (time, covariate)
    counts : DataArray (time, neuron)
    bins : array of int, optional
        The bins that are data, by default all.

    Raises
    ------
    ValueError
        See `covariate_columns`; or a covariate never changes.
    """
    columns = covariate_columns(covariates, counts)
    spread, mean = columns.values.std(axis=0), columns.values.mean(axis=0)
    names = columns["covariate"].values.tolist()
    for name, sd, centre in zip(names, spread, mean, strict=True):
        if sd <= 1e-12 * max(abs(centre), 1e-300):
            raise ValueError(
                f"covariates: {name!r} is {centre:g} in every bin and cannot be told from the "
                "biases; leave it out."
            )
        if abs(centre) > _FAR * sd:
            warnings.warn(
                f"covariates: the mean of {name!r}, {centre:g}, is {abs(centre) / sd:.0f} standard "
                "deviations from zero, and biases are those at zero; subtract the mean.",
                UserWarning,
                stacklevel=3,
            )
    return Covariates(columns, spread, bins)


def _warn_of_dependence(covariates: Covariates, mask: NDArray[np.bool_]) -> None:
    """Warn once of covariates that act on the same neuron and that no data can tell apart."""
    values = covariates.values.values
    found = dependences(values if covariates.bins is None else values[covariates.bins], mask)
    if not found:
        return
    names, told = covariates.values["covariate"].values.tolist(), []
    for columns, constant in found[:_NAMED]:
        own = ", ".join(repr(names[column]) for column in columns)
        biases = " and the biases" if constant else ""
        told.append(f"{own}{biases} are linearly dependent")
    more = f" ({len(found) - _NAMED} more such sets)" if len(found) > _NAMED else ""
    warnings.warn(
        f"covariates: {'; '.join(told)}{more}: counts tell no more than sums of their effects, and "
        "the prior alone how these are shared; leave out one covariate of each set.",
        UserWarning,
        stacklevel=4,
    )


@dataclass(frozen=True, eq=False)
class CovariatePrior:
    r"""Weights of covariates, alike over neurons as far as the data say so.

    .. math:: v_{nc}\, s_c \sim \mathrm{Normal}(\mu_c, \sigma_c), \qquad
        \mu_c \sim \mathrm{Normal}(0, 1), \quad \sigma_c \sim \mathrm{HalfNormal}(1)

    with :math:`s_c` the standard deviation of covariate c: mean and scale are those of the change
    of psi by one standard deviation of the covariate, whatever its units.

    Parameters
    ----------
    mean, scale : number, array (covariate,), PyMC distribution or "learned"
        In the posterior as ``covariate_mean`` and ``covariate_scale`` (covariate) where learned.
    mask : array of bool (post, covariate), optional
        Which neurons a covariate acts on; elsewhere its weight is exactly zero. By default all. A
        DataArray is read by its labels.

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
            Covariates of some neuron are linear combinations of others and of a constant, in the
            bins that are data.
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


def in_order(array: xr.DataArray, dim: str, labels: list[str], name: str) -> xr.DataArray:
    """Return an array with the labels of a dimension in the order of others.

    Parameters
    ----------
    array : DataArray
    dim : str
    labels : list of str
    name : str
        What messages call the array.

    Raises
    ------
    ValueError
        It has other labels.
    """
    own = [str(label) for label in array[dim].values]
    if sorted(own) != sorted(labels):
        odd = sorted(set(own) ^ set(labels))[:5] or own
        raise ValueError(
            f"{name}: the labels of {dim} {own[:5]} are not those wanted, {labels[:5]} ({odd} are "
            "in one only)."
        )
    return array.isel({dim: [own.index(label) for label in labels]})
