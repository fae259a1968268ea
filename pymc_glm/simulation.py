"""Running a network GLM freely."""

from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from pymc_glm.basis import as_basis
from pymc_glm.kernels.simulate import run_bernoulli
from pymc_glm.seeds import random_generator

__all__ = ["NetworkParameters", "simulate"]


class NetworkParameters(NamedTuple):
    """A network with known parameters.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> basis = pg.basis.raised_cosine(1, window=0.05, bin_width=0.005)
    >>> pair = pg.NetworkParameters(np.full(2, -3.0), np.zeros((2, 2, 1)), basis)
    """

    bias: NDArray[np.float64]  # (post,), log-odds of a spike in a bin of a silent network
    weights: NDArray[np.float64]  # (post, pre, basis), 0 where there is no edge
    basis: xr.DataArray  # (lag, basis), with attrs["bin_width"] in seconds

    @property
    def adjacency(self) -> NDArray[np.int8]:
        """Which weights are not all zero, (post, pre)."""
        return (np.asarray(self.weights) != 0).any(axis=2).astype(np.int8)

    @property
    def filters(self) -> NDArray[np.float64]:
        """Coupling filters in log-odds, (post, pre, lag)."""
        return np.einsum("nmb,lb->nml", self.weights, np.asarray(self.basis))


def _check_parameters(parameters: NetworkParameters) -> tuple[NDArray, NDArray, float]:
    bias = np.asarray(parameters.bias, dtype=np.float64)
    weights = np.asarray(parameters.weights, dtype=np.float64)
    if "bin_width" not in getattr(parameters.basis, "attrs", {}):
        raise ValueError("basis: no attrs['bin_width']; make it with one of pg.basis.")
    bin_width = float(parameters.basis.attrs["bin_width"])
    basis = as_basis(parameters.basis, bin_width)
    expected = (bias.size, bias.size, basis.sizes["basis"])
    if bias.ndim != 1 or weights.shape != expected:
        raise ValueError(
            f"weights: got the shape {weights.shape} with bias {bias.shape} and basis "
            f"{basis.shape}, allowed is (post, pre, basis) = {expected}."
        )
    for name, array in (("bias", bias), ("weights", weights)):
        if not np.isfinite(array).all():
            where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
            raise ValueError(f"{name}: {array[where]} at index {where}; give finite numbers.")
    return bias, weights, bin_width


def _check_history(history: ArrayLike, shape: tuple[int, int]) -> NDArray[np.int64]:
    values = np.asarray(history)
    if values.shape != shape:
        raise ValueError(
            f"initial_history: got the shape {values.shape}, allowed is (lag, neuron) = {shape}."
        )
    wrong = ~((values >= 0) & (values == np.floor(values)) & np.isfinite(values))
    if wrong.any():
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(
            f"initial_history: got {values[where]} at index {where}, allowed are counts 0, 1, 2, "
            "..."
        )
    return values.astype(np.int64)


def simulate(
    parameters: NetworkParameters,
    n_bins: int,
    *,
    random_seed: int | np.random.Generator | None = None,
    initial_history: ArrayLike | None = None,
    max_rate: float = 0.5,
    neurons: list[str] | None = None,
) -> xr.DataArray:
    """Simulate spike counts of a Bernoulli network GLM, running freely.

    Parameters
    ----------
    parameters : NetworkParameters
    n_bins : int
        Bins to simulate.
    random_seed : int, numpy.random.Generator or None
    initial_history : array of int, shape (lag, neuron), optional
        Counts just before the first bin, oldest first; by default silence.
    max_rate : float
        Run-away guard: the largest fraction of the bins of a window in which a neuron may spike.
    neurons : list of str, optional
        Labels, by default "0", "1", ...

    Returns
    -------
    DataArray of int64, dims (time, neuron)
        Counts with time in seconds and attrs["bin_width"].

    Raises
    ------
    ValueError
        Parameters of contradicting shapes or not finite; n_bins below 1; wrong initial history,
        labels, seed or max_rate.
    RuntimeError
        The network ran away; the message names the neurons and the time.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> basis = pg.basis.raised_cosine(1, window=0.05, bin_width=0.005)
    >>> pair = pg.NetworkParameters(np.full(2, -3.0), np.zeros((2, 2, 1)), basis)
    >>> pg.simulate(pair, 1000, random_seed=1).shape
    (1000, 2)
    """
    bias, weights, bin_width = _check_parameters(parameters)
    if not isinstance(n_bins, int | np.integer) or n_bins < 1:
        raise ValueError(f"n_bins: got {n_bins!r}, allowed are whole numbers of at least 1.")
    n, n_lags = bias.size, len(parameters.basis)
    labels = [str(i) for i in range(n)] if neurons is None else list(neurons)
    if len(labels) != n:
        raise ValueError(f"neurons: got {len(labels)} labels for {n} neurons.")
    repeated = [label for label in labels if labels.count(label) > 1]
    if repeated:
        raise ValueError(f"neurons: the label {repeated[0]!r} occurs more than once.")
    if not 0 < max_rate <= 1:
        raise ValueError(f"max_rate: got {max_rate}, allowed are fractions above 0, up to 1.")
    initial = np.zeros((n_lags, n), dtype=np.int64)
    if initial_history is not None:
        initial = _check_history(initial_history, (n_lags, n))
    uniforms = random_generator(random_seed).random((n_bins, n))
    filters = np.ascontiguousarray(np.einsum("nmb,lb->mln", weights, parameters.basis.values))
    limit = max(int(max_rate * n_lags), 1)
    counts, stop = run_bernoulli(bias, filters, initial, uniforms, limit)
    if stop >= 0:
        start = max(0, stop - n_lags + 1)
        fast = np.flatnonzero(counts[start : stop + 1].sum(axis=0) > limit)
        names = ", ".join(labels[i] for i in fast) or "some neurons"
        raise RuntimeError(
            f"the network ran away {stop * bin_width:.3g} s after the start: {names} fired in more "
            f"than {max_rate:.0%} of the bins of a window of {n_lags * bin_width:g} s; make "
            "excitation or biases smaller, or raise max_rate."
        )
    return xr.DataArray(
        counts.astype(np.int64),
        dims=("time", "neuron"),
        coords={"time": np.arange(n_bins) * bin_width, "neuron": labels},
        attrs={"bin_width": bin_width, "name": "simulation"},
    )
