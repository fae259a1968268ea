"""Cases for `make bench`: simulated networks, and a real recording if it is available."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr
from scipy.special import expit, logit

import pymc_glm as pg
from pymc_glm.kernels.history import convolve_history
from pymc_glm.kernels.prior import NetworkPrior

BIN_WIDTH = 0.005  # s
MEDIAN_RATE = 4.0  # Hz, of a log-normal distribution over neurons
RATE_SPREAD = 0.7  # standard deviation of the log rate: the middle 90% are 1.3 to 13 Hz
EDGES_IN = 3  # pre neurons of a neuron, on average, without itself
DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"
RECORDINGS = {  # file, and lowest rate of a neuron in Hz
    "Wong1993": ("Wong1993_Adult.h5", 0.4),
    "Demas2003": ("Demas2003_6WK_CTRL_ME1.h5", 0.1),
}


class Size(NamedTuple):
    """Neurons, bins, basis functions, and lags of the window in bins."""

    n_neurons: int
    n_bins: int
    n_basis: int
    n_lags: int


class Case(NamedTuple):
    """Counts and regressors."""

    name: str
    counts: np.ndarray  # (time, neuron)
    basis: np.ndarray  # (lag, basis)
    n_trials: int = 1  # largest possible count of a bin

    @property
    def data(self) -> xr.DataArray:
        """The counts as the builders take them."""
        return xr.DataArray(self.counts, dims=("time", "neuron"), attrs={"bin_width": BIN_WIDTH})

    @property
    def history(self) -> np.ndarray:
        return convolve_history(self.counts, self.basis)

    @property
    def rate(self) -> float:
        """Mean rate in Hz."""
        return float(self.counts.mean() / BIN_WIDTH)


SIMULATED = {
    "N4": Size(4, 10_000, 1, 100),
    "N27": Size(27, 60_000, 3, 20),
    "N60": Size(60, 60_000, 3, 20),
}


def simulate(name: str, size: Size, seed: int = 1) -> Case:
    """Simulate a sparse network with self-inhibition, log-normal rates and Bernoulli counts."""
    rng = np.random.default_rng(seed)
    n, n_bins, n_basis, n_lags = size
    basis = pg.basis.raised_cosine(n_basis, n_lags * BIN_WIDTH, BIN_WIDTH).values
    bias = logit(MEDIAN_RATE * BIN_WIDTH * np.exp(RATE_SPREAD * rng.standard_normal(n)))
    weights = 0.5 * rng.standard_normal((n, n, n_basis))
    weights *= rng.random((n, n, 1)) < EDGES_IN / n
    weights[np.arange(n), np.arange(n)] = -1.0
    filters = np.einsum("lb,nmb->mln", basis, weights)  # (pre, lag, post)
    psi = np.tile(bias, (n_bins + n_lags, 1))
    counts = np.zeros((n_bins, n), dtype=np.int64)
    uniforms = rng.random((n_bins, n))
    for t in range(n_bins):
        for m in np.flatnonzero(uniforms[t] < expit(psi[t])):
            counts[t, m] = 1
            psi[t + 1 : t + 1 + n_lags] += filters[m]
    return Case(name, counts, basis)


def dense_counts() -> Case:
    """Simulate 12 neurons with binomial counts of about 1.5 in a bin, of at most 5."""
    rng = np.random.default_rng(3)
    n, n_bins, n_lags, n_trials = 12, 20_000, 10, 5
    basis = pg.basis.raised_cosine(2, n_lags * BIN_WIDTH, BIN_WIDTH).values
    weights = 0.05 * rng.standard_normal((n, n, 2)) * (rng.random((n, n, 1)) < EDGES_IN / n)
    weights[np.arange(n), np.arange(n)] = -0.05
    filters = np.einsum("lb,nmb->mln", basis, weights)  # (pre, lag, post)
    p = rng.uniform(0.2, 0.4, n)
    bias = logit(p) - np.einsum("mln,m->n", filters, n_trials * p)
    psi = np.tile(bias, (n_bins + n_lags, 1))
    counts = np.zeros((n_bins, n), dtype=np.int64)
    for t in range(n_bins):
        counts[t] = rng.binomial(n_trials, expit(psi[t]))
        psi[t + 1 : t + 1 + n_lags] += np.tensordot(counts[t], filters, 1)
    return Case("Dense", counts, basis, n_trials)


def real_recording(name: str) -> Case:
    """Return a recording of the retina; a bin with several spikes counts as 1.

    Wong, Meister & Shatz (1993), adult ferret; Demas, Eglen & Wong (2003), mouse of six weeks.
    """
    file, min_rate = RECORDINGS[name]
    counts = pg.bin_spikes(pg.read_spikes(DATA / file), BIN_WIDTH, min_rate=min_rate)
    basis = pg.basis.raised_cosine(3, 20 * BIN_WIDTH, BIN_WIDTH).values
    return Case(name, counts.values.clip(0, 1), basis)


def load(name: str) -> Case:
    if name == "Dense":
        return dense_counts()
    return real_recording(name) if name in RECORDINGS else simulate(name, SIMULATED[name])


def names() -> list[str]:
    """Return the cases that can be run here."""
    return [*SIMULATED, *(name for name, (file, _) in RECORDINGS.items() if (DATA / file).exists())]


def network_prior(n: int, n_basis: int) -> NetworkPrior:
    """Return a fixed prior: edges 0.1, self-edges 0.9, slab Normal(0, I)."""
    probability = np.full((n, n), 0.1)
    np.fill_diagonal(probability, 0.9)
    return NetworkPrior(
        log_odds=logit(probability),
        mean=np.zeros((n, n, n_basis)),
        precision=np.tile(np.eye(n_basis), (n, n, 1, 1)),
        bias_mean=np.full(n, logit(MEDIAN_RATE * BIN_WIDTH)),
        bias_precision=np.full(n, 0.25),
    )
