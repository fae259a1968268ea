"""Firing rates of freely running networks drawn from the prior or the posterior."""

import logging
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pymc as pm
import xarray as xr
from numpy.typing import NDArray

from pymc_glm.arguments import as_whole_number, random_generator
from pymc_glm.criticism.one_step import observed_data
from pymc_glm.criticism.replicates import chosen_draws, drawn_networks, run_segments
from pymc_glm.simulation.checks import check_covariates, check_network
from pymc_glm.simulation.parameters import NetworkParameters, check_model
from pymc_glm.simulation.running import RunAway, run_guard
from pymc_glm.simulation.sources import networks_of_prior

__all__ = ["posterior_rates", "prior_rates"]

_log = logging.getLogger("pymc_glm")
_ONE_SEGMENT = np.zeros(1, dtype=np.int64)


class _Reference(NamedTuple):
    """The data that simulated networks imitate and are compared with."""

    counts: NDArray  # (time, neuron)
    neurons: list[str]
    starts: NDArray[np.int64]  # (segment,)
    bins: NDArray[np.int64] | None  # bins that are data; None: all
    covariates: NDArray | None  # (time, covariate)

    def counted(self, n_bins: int) -> NDArray[np.bool_]:
        """Return which of `n_bins` bins count towards rates, (time,): data, and bins after them.

        Raises
        ------
        ValueError
            None of the bins is data.
        """
        inside = np.ones(n_bins, dtype=bool)
        if self.bins is not None:
            inside[: len(self.counts)] = False
            inside[self.bins[self.bins < n_bins]] = True
        if not inside[: len(self.counts)].any():
            first = 0 if self.bins is None else self.bins.min()
            raise ValueError(
                f"n_bins: got {n_bins}, allowed are more than {first}, the first bin that is data."
            )
        return inside

    def first_covariates(self, n_bins: int) -> NDArray | None:
        """Return the covariates of the first `n_bins` bins, None if there are none.

        Raises
        ------
        ValueError
            There are more bins than covariates.
        """
        if self.covariates is None:
            return None
        if n_bins > len(self.covariates):
            raise ValueError(
                f"n_bins: got {n_bins}, allowed are at most {len(self.covariates)}, the number of "
                "bins with covariates."
            )
        return self.covariates[:n_bins]


def prior_rates(
    model: pm.Model,
    *,
    draws: int = 100,
    n_bins: int | None = None,
    random_seed: int | np.random.Generator | None = None,
    max_rate: float | None = None,
) -> xr.Dataset:
    """Simulate networks drawn from the prior, and return their firing rates.

    Each network runs freely from silence. A prior is poor if its networks fire at implausible rates
    or run away.

    Parameters
    ----------
    model : pymc.Model
        Model from one of the builders.
    draws : int
        Number of networks.
    n_bins : int, optional
        Number of bins to simulate, with segments as in the data; by default that of the data.
    random_seed : int or numpy.random.Generator, optional
    max_rate : float, optional
        Rate in Hz above which a network has run away; see `simulate`.

    Returns
    -------
    Dataset
        ``rate`` (sample, neuron) in Hz, NaN if the network ran away; ``run_away`` (sample), whether
        it ran away, and ``run_away_time`` (sample), when, in seconds of simulated time;
        ``observed`` (neuron), the rates in the same bins of the data. Excluded bins count towards
        neither. attrs: ``n_run_away``, ``n_bins``, ``bin_width``, ``max_rate`` and ``source``.

    Raises
    ------
    TypeError, ValueError
        The model is not a network GLM, or a number is out of range.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> basis = pg.basis.raised_cosine(1, window=0.05, bin_width=0.005)
    >>> counts = np.random.default_rng(1).poisson(0.03, (2000, 3)).clip(0, 1)
    >>> rates = pg.prior_rates(pg.build_glm(counts, basis), draws=20, random_seed=1)
    >>> rates["rate"].sizes
    Frozen({'sample': 20, 'neuron': 3})
    """
    n_draws = as_whole_number(draws, "draws")
    if not isinstance(model, pm.Model):
        raise TypeError(f"model: got {type(model).__name__}, allowed is a pymc.Model.")
    check_model(model, ("bias", "weights", "counts", "spikes"))
    rng = random_generator(random_seed)
    networks = networks_of_prior(model, n_draws, rng)
    covariates = model["covariates"].get_value() if "covariates" in model.named_vars else None
    reference = _Reference(
        model["counts"].get_value(),
        [str(label) for label in model.coords["post"]],
        model["segment_start"].get_value() if "segment_start" in model.named_vars else _ONE_SEGMENT,
        model["data_bins"].get_value() if "data_bins" in model.named_vars else None,
        covariates,
    )
    return _free_rates(networks, n_draws, n_bins, reference, max_rate, rng, "prior")


def posterior_rates(
    tree: xr.DataTree,
    *,
    draws: int = 100,
    n_bins: int | None = None,
    random_seed: int | np.random.Generator | None = None,
    max_rate: float | None = None,
) -> xr.Dataset:
    """Simulate networks drawn from the posterior, and return their firing rates.

    This is a posterior predictive check. `predicted_rates` predicts the next bin from the observed
    spikes before it, which comes close to the data under almost any model. Here each network runs
    freely from silence and responds to its simulated spikes. A model that predicts every bin well
    can still run away, or fire at rates that differ from the data.

    Parameters
    ----------
    tree : DataTree
        Posterior that sampling returned, with its constant data.
    draws : int
        Number of posterior draws, chosen at random; all if there are fewer.
    n_bins : int, optional
        Number of bins to simulate, with segments as in the data. By default that of the data, so
        that rates vary over draws as they would between recordings of this length.
    random_seed : int or numpy.random.Generator, optional
    max_rate : float, optional
        Rate in Hz above which a network has run away; see `simulate`.

    Returns
    -------
    Dataset
        See `prior_rates`; with the coordinates ``chain`` and ``draw`` (sample).

    Raises
    ------
    TypeError, ValueError
        The tree does not contain draws of a network, or a number is out of range.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> rates = pg.posterior_rates(tree, draws=20, random_seed=1)
    >>> ax = pg.plot_rate_check(rates)
    """
    rng = random_generator(random_seed)
    chains, index = chosen_draws(tree, draws, rng)
    data = observed_data(tree)
    networks = drawn_networks(tree, chains, index)
    reference = _Reference(data.counts, list(data.neurons), data.starts, data.bins, data.covariates)
    rates = _free_rates(networks, len(chains), n_bins, reference, max_rate, rng, "posterior")
    return rates.assign_coords(chain=("sample", chains), draw=("sample", index))


def _free_rates(
    networks: Iterator[NetworkParameters],
    n_draws: int,
    n_bins: int | None,
    reference: _Reference,
    max_rate: float | None,
    rng: np.random.Generator,
    source: str,
) -> xr.Dataset:
    """Simulate every network and collect the rates."""
    n_bins = len(reference.counts) if n_bins is None else as_whole_number(n_bins, "n_bins")
    counted, covariates = reference.counted(n_bins), reference.first_covariates(n_bins)
    starts = reference.starts[reference.starts < n_bins]
    rates = np.full((n_draws, len(reference.neurons)), np.nan)
    times = np.full(n_draws, np.nan)
    for sample, (parameters, run_rng) in enumerate(zip(networks, rng.spawn(n_draws), strict=True)):
        network = check_network(parameters)
        guard = run_guard(network, max_rate)
        regressors = check_covariates(covariates, len(network.covariate_weights), n_bins)
        done, total = 0, np.zeros(len(reference.neurons))
        try:
            for piece in run_segments(network, starts, n_bins, run_rng, guard, regressors):
                total += piece[counted[done : done + len(piece)]].sum(axis=0)
                done += len(piece)
            width = network.bin_width if network.observation.whole else 1.0
            rates[sample] = total / (counted.sum() * width)
        except RunAway as stop:
            began = starts[np.searchsorted(starts, done, side="right") - 1]
            times[sample] = began * network.bin_width + stop.time
    run_away = np.isfinite(times)
    if run_away.any():
        _log.warning(
            "%d of %d networks drawn from the %s ran away: a neuron %s",
            run_away.sum(), n_draws, source, guard,
        )  # fmt: skip
    whole = network.observation.whole
    seen = reference.counts[:n_bins][counted[: len(reference.counts)]]
    observed = seen.mean(axis=0) / (network.bin_width if whole else 1.0)
    hertz = {"units": "Hz"} if whole else {}
    return xr.Dataset(
        {
            "rate": (("sample", "neuron"), rates, hertz),
            "observed": ("neuron", observed, hertz),
            "run_away": ("sample", run_away),
            "run_away_time": ("sample", times, {"units": "s"}),
        },
        coords={"neuron": reference.neurons, "sample": np.arange(n_draws)},
        attrs={
            "source": source,
            "n_run_away": int(run_away.sum()),
            "n_bins": n_bins,
            "bin_width": network.bin_width,
            "max_rate": guard.max_rate,
        },
    )
