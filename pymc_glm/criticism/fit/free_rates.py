"""Rates of networks drawn from the prior or the posterior, running freely."""

import logging
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pymc as pm
import xarray as xr
from numpy.typing import NDArray

from pymc_glm.arguments import random_generator
from pymc_glm.criticism.one_step import observed_data
from pymc_glm.criticism.replicates import as_whole, chosen_draws, drawn_networks, run_segments
from pymc_glm.simulation.given import networks_of_prior
from pymc_glm.simulation.parameters import (
    NetworkParameters,
    check_covariates,
    check_model,
    check_network,
)
from pymc_glm.simulation.running import RunAway, run_guard

__all__ = ["posterior_rates", "prior_rates"]

_log = logging.getLogger("pymc_glm")
_ONE_SEGMENT = np.zeros(1, dtype=np.int64)


class _Data(NamedTuple):
    """What networks are run like, and compared to."""

    counts: NDArray  # (time, neuron)
    neurons: list[str]
    starts: NDArray[np.int64]  # (segment,)
    bins: NDArray[np.int64] | None  # that are data; None: all
    covariates: NDArray | None  # (time, covariate)

    def counted(self, n_bins: int) -> NDArray[np.bool_]:
        """Tell which of so many bins go into rates, (time,): those after the data do.

        Raises
        ------
        ValueError
            None of them do.
        """
        inside = np.ones(n_bins, dtype=bool)
        if self.bins is not None:
            inside[: len(self.counts)] = False
            inside[self.bins[self.bins < n_bins]] = True
        if not inside[: len(self.counts)].any():
            first = 0 if self.bins is None else self.bins.min()
            raise ValueError(
                f"n_bins: got {n_bins}, and none of the first {n_bins} bins is data; give more "
                f"than {first}."
            )
        return inside


def prior_rates(
    model: pm.Model,
    *,
    draws: int = 100,
    n_bins: int | None = None,
    random_seed: int | np.random.Generator | None = None,
    max_rate: float | None = None,
) -> xr.Dataset:
    """Rates at which networks drawn from the prior fire, each running freely from silence.

    A prior is bad if its networks fire at rates that no neuron has, or run away.

    Parameters
    ----------
    model : pymc.Model
        From one of the builders.
    draws : int
        Number of networks.
    n_bins : int, optional
        Bins that each of them runs, segment by segment as the data are; by default all of these.
    random_seed : int or numpy.random.Generator, optional
    max_rate : float, optional
        Hz from which a network has run away, see `simulate`.

    Returns
    -------
    Dataset
        ``rate`` (sample, neuron) in Hz, not a number where the network ran away; ``run_away``
        (sample), whether it did, and ``run_away_time`` (sample) when, in seconds of running;
        ``observed`` (neuron), the rates in the data over the same bins. Bins that are no data count
        in neither. attrs: ``n_run_away``, ``n_bins``,
        ``bin_width``, ``max_rate`` and ``source``.

    Raises
    ------
    TypeError, ValueError
        The model is no network GLM, or a number is out of range.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> basis = pg.basis.raised_cosine(1, window=0.05, bin_width=0.005)
    >>> counts = np.random.default_rng(1).poisson(0.03, (2000, 3)).clip(0, 1)
    >>> rates = pg.prior_rates(pg.build_glm(counts, basis), draws=20, random_seed=1)
    >>> rates["rate"].sizes
    Frozen({'sample': 20, 'neuron': 3})
    """
    n_draws = as_whole(draws, "draws")
    if not isinstance(model, pm.Model):
        raise TypeError(f"model: got {type(model).__name__}, allowed is a pymc.Model.")
    check_model(model, ("bias", "weights", "counts", "spikes"))
    rng = random_generator(random_seed)
    networks = networks_of_prior(model, n_draws, rng)
    covariates = model["covariates"].get_value() if "covariates" in model.named_vars else None
    data = _Data(
        model["counts"].get_value(),
        [str(label) for label in model.coords["post"]],
        model["segment_start"].get_value() if "segment_start" in model.named_vars else _ONE_SEGMENT,
        model["data_bins"].get_value() if "data_bins" in model.named_vars else None,
        covariates,
    )
    return _free_rates(networks, n_draws, n_bins, data, max_rate, rng, "prior")


def posterior_rates(
    tree: xr.DataTree,
    *,
    draws: int = 100,
    n_bins: int | None = None,
    random_seed: int | np.random.Generator | None = None,
    max_rate: float | None = None,
) -> xr.Dataset:
    """Rates at which networks drawn from the posterior fire, each running freely from silence.

    A posterior predictive check. `predicted_rates` tells the next bin from the spikes that were
    observed before it and is near them almost whatever the model; here the networks live on the
    spikes that they make themselves. A model that fits every bin well can still run away, or fire
    at other rates than the recording.

    Parameters
    ----------
    tree : DataTree
        What sampling returned; needs the posterior and the constant data.
    draws : int
        Number of posterior draws to use, chosen at random; all where there are fewer.
    n_bins : int, optional
        Bins that each of them runs, segment by segment as the data are; by default all of these, so
        that the spread over draws has that of spikes in it.
    random_seed : int or numpy.random.Generator, optional
    max_rate : float, optional
        Hz from which a network has run away, see `simulate`.

    Returns
    -------
    Dataset
        As of `prior_rates`, with the coordinates ``chain`` and ``draw`` (sample).

    Raises
    ------
    TypeError, ValueError
        The tree does not hold the draws of a network, or a number is out of range.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> rates = pg.posterior_rates(tree, draws=20, random_seed=1)
    >>> ax = pg.plot_rate_check(rates)
    """
    rng = random_generator(random_seed)
    chains, index = chosen_draws(tree, draws, rng)
    recording = observed_data(tree)
    networks = drawn_networks(tree, chains, index)
    data = _Data(
        recording.counts,
        list(recording.neurons),
        recording.starts,
        recording.bins,
        recording.covariates,
    )
    rates = _free_rates(networks, len(chains), n_bins, data, max_rate, rng, "posterior")
    return rates.assign_coords(chain=("sample", chains), draw=("sample", index))


def _free_rates(
    networks: Iterator[NetworkParameters],
    n_draws: int,
    n_bins: int | None,
    data: _Data,
    max_rate: float | None,
    rng: np.random.Generator,
    source: str,
) -> xr.Dataset:
    """Run every network."""
    n_bins = len(data.counts) if n_bins is None else as_whole(n_bins, "n_bins")
    covariates, starts, counted = data.covariates, data.starts, data.counted(n_bins)
    starts = starts[starts < n_bins]
    if covariates is not None:
        if n_bins > len(covariates):
            raise ValueError(
                f"n_bins: got {n_bins}, and there are covariates for {len(covariates)} bins; "
                "give no more."
            )
        covariates = covariates[:n_bins]
    rates = np.full((n_draws, len(data.neurons)), np.nan)
    times = np.full(n_draws, np.nan)
    for sample, (parameters, own) in enumerate(zip(networks, rng.spawn(n_draws), strict=True)):
        network = check_network(parameters)
        guard = run_guard(network, max_rate)
        regressors = check_covariates(covariates, len(network.covariate_weights), n_bins)
        done, total = 0, np.zeros(len(data.neurons))
        try:
            for piece in run_segments(network, starts, n_bins, own, guard, regressors):
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
    seen = data.counts[:n_bins][counted[: len(data.counts)]]
    observed = seen.mean(axis=0) / (network.bin_width if whole else 1.0)
    hertz = {"units": "Hz"} if whole else {}
    return xr.Dataset(
        {
            "rate": (("sample", "neuron"), rates, hertz),
            "observed": ("neuron", observed, hertz),
            "run_away": ("sample", run_away),
            "run_away_time": ("sample", times, {"units": "s"}),
        },
        coords={"neuron": data.neurons, "sample": np.arange(n_draws)},
        attrs={
            "source": source,
            "n_run_away": int(run_away.sum()),
            "n_bins": n_bins,
            "bin_width": network.bin_width,
            "max_rate": guard.max_rate,
        },
    )
