"""Evidence of the spikes of a neuron that was not in the fit, under the network prior."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import pymc as pm
import xarray as xr
from numpy.typing import NDArray
from scipy.special import logsumexp

from pymc_glm.arguments import as_whole_number, random_generator
from pymc_glm.criticism.new_neuron.neuron_prior import NeuronPrior, Values
from pymc_glm.criticism.new_neuron.row_annealing import Path, Row, RowData, anneal
from pymc_glm.criticism.new_neuron.row_reference import pilot_path
from pymc_glm.criticism.replicates import chosen_draws
from pymc_glm.criticism.same_model import index_of_new_neuron
from pymc_glm.criticism.shared_path import has_shared_input
from pymc_glm.criticism.wording import counted, wrapped
from pymc_glm.graph.checks import check_conditionals
from pymc_glm.graph.data import SpikeData, spike_data
from pymc_glm.graph.find import NetworkVariables, find_network
from pymc_glm.graph.threads import Threads
from pymc_glm.kernels.likelihood import CUSTOM

__all__ = ["HeldoutNeuron", "heldout_neuron"]

type Floats = NDArray[np.float64]

_FEW = 5.0  # effective draws below which the standard error is unreliable


@dataclass(frozen=True)
class HeldoutNeuron:
    """Evidence of a held-out neuron's counts, returned by `heldout_neuron`.

    Parameters
    ----------
    neuron : str
    n_spikes : float
        NaN for traces.
    log_evidence, log_evidence_se : float
        Log density of all counts of the neuron under the posterior of the hyperparameters, in nats,
        and its Monte Carlo standard error.
    ess : float
        Effective number of draws in the average.
    log_evidence_constant, log_evidence_constant_se : float
        The same for a neuron with a constant rate, without edges and covariates, under the prior of
        its bias (and of its parameter of the observation model).
    log_density_constant : float
        Log density of the counts at their own mean rate, (n + 1/2) / (T + 1) as in `heldout_score`.
    bits_per_spike, bits_per_spike_se : float
        Gain over the constant rate under its prior, in bits per spike, and its Monte Carlo standard
        error. NaN without spikes and for traces.
    bits_per_spike_observed : float
        Gain over the mean rate of the counts.
    draws : DataFrame
        One row per draw of the hyperparameters: ``chain``, ``draw``, ``log_evidence`` and
        ``log_evidence_constant``, the logarithms of unbiased estimates.

    Examples
    --------
    >>> import pandas as pd, pymc_glm as pg
    >>> score = pg.HeldoutNeuron("a", 120.0, -600.0, 0.3, 14.0, -650.0, 0.1, -640.0, 0.6, 0.003,
    ...                          0.48, pd.DataFrame())
    >>> print(score)
    Neuron 'a': log evidence -600.0 (Monte Carlo standard error 0.30, 14 effective draws)
    0.600 bits per spike over a constant rate (Monte Carlo standard error 0.003)
    """

    neuron: str
    n_spikes: float
    log_evidence: float
    log_evidence_se: float
    ess: float
    log_evidence_constant: float
    log_evidence_constant_se: float
    log_density_constant: float
    bits_per_spike: float
    bits_per_spike_se: float
    bits_per_spike_observed: float
    draws: pd.DataFrame

    def __str__(self) -> str:
        lines = [
            f"Neuron {self.neuron!r}: log evidence {self.log_evidence:.1f} (Monte Carlo standard "
            f"error {self.log_evidence_se:.2f}, {counted(round(self.ess), 'effective draw')})"
        ]
        if self.ess < _FEW:
            lines.append("Few draws dominate: do not trust the standard error; raise draws.")
        if np.isfinite(self.bits_per_spike):
            lines.append(
                f"{self.bits_per_spike:.3f} bits per spike over a constant rate (Monte Carlo "
                f"standard error {self.bits_per_spike_se:.3f})"
            )
        return "\n".join(map(wrapped, lines))


class _Mean(NamedTuple):
    """The logarithm of a mean of estimates, its standard error and effective sample size."""

    log: float
    se: float
    ess: float


def _log_mean(logs: Floats) -> _Mean:
    """Average estimates given as logarithms, with a standard error by the delta method."""
    n = logs.size
    weights = np.exp(logs - logs.max())
    relative = weights / weights.mean()
    return _Mean(
        float(logsumexp(logs) - np.log(n)),
        float(relative.std(ddof=1) / np.sqrt(n)),
        float(n**2 / (relative**2).sum()),
    )


def heldout_neuron(
    tree: xr.DataTree,
    model: pm.Model,
    neuron: str,
    *,
    draws: int = 100,
    temperatures: int = 50,
    threads: int | None = None,
    random_seed: int | np.random.Generator | None = None,
) -> HeldoutNeuron:
    r"""Score the prediction of a neuron that was not in the fit, from the spikes of the others.

    .. math:: \log \frac{1}{S} \sum_{s=1}^{S} \int \prod_t p(y_t \mid \psi_t) \,
        p(b, A, w \mid \theta^{(s)}) \, d(b, A, w)

    The fit of the other neurons gives a posterior of the hyperparameters: how probable edges are,
    how strong, and of which time course. The bias, incoming edges and weights of the new neuron are
    integrated out under the prior with these hyperparameters. The score thus compares network
    priors by their predictions for neurons that were not in the fit.

    Parameters
    ----------
    tree : DataTree
        What sampling returned for the model without the neuron.
    model : pymc.Model
        Built like that model, with the counts of the neuron too, from the same period or another
        one, in bins of the same width.
    neuron : str
        Its label.
    draws : int
        Number of draws of the hyperparameters, chosen at random; all if there are fewer. Each gives
        one estimate of the evidence.
    temperatures : int
        Number of annealing steps per estimate: twice as many halve the variance in twice the time.
    threads : int, optional
        All cores by default; the result does not depend on their number.
    random_seed : int or numpy.random.Generator, optional

    Returns
    -------
    HeldoutNeuron

    Raises
    ------
    TypeError, ValueError
        The model is not built like the fitted one, or differs by more than the new neuron; it has
        hyperparameters for single neurons other than blocks, positions, factors and the parameter
        of the observation model; the observation model is a custom one, which cannot be annealed;
        the model has self filters, which cannot either; it has shared input;
        or a number is out of range.

    Notes
    -----
    The integral is computed by annealed importance sampling [1]_ from a reference near the
    posterior, found by a pilot run: independent edges, each with a normal slab. The estimates are
    unbiased for any reference; their variation gives the standard error of the logarithm of their
    mean by the delta method. This error is reliable unless `ess` is small.

    Fixed hyperparameters are taken from the model, so pass inputs that depend on the neurons, such
    as features of pairs, as in the fit, without standardizing them again. The neuron's block,
    position or factors and its parameter of the observation model are drawn from their prior given
    the other neurons, and moved during annealing.

    The neuron's edges onto others do not enter: the counts of the others are given.

    References
    ----------
    .. [1] Neal (2001), Statistics and Computing 11:125.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> others = pg.build_glm(counts.drop_sel(neuron="c"), basis, **parts)
    >>> tree = pg.sample(model=others, random_seed=1, **options)
    >>> score = pg.heldout_neuron(tree, model, "c", draws=10, temperatures=20, random_seed=1)
    >>> score.bits_per_spike > 0  # the others predict when it fires
    True
    """
    for has in (has_shared_input(tree), "loadings" in getattr(model, "named_vars", ())):
        if has:
            raise ValueError(
                "model: it has shared input, whose loadings on a new neuron are not integrated out "
                "here; build both models without shared_input=, or score held-out counts of all "
                "neurons by pymc_glm.heldout_score."
            )
    post = index_of_new_neuron(tree, model, neuron)
    if "self_basis_functions" in model.named_vars:
        raise ValueError(
            "model: it has self filters (self_basis), which are not annealed; give a fit and a "
            "model without self_basis, in which a neuron's effect on itself is a self-edge."
        )
    n_steps = as_whole_number(temperatures, "temperatures")
    rng = random_generator(random_seed)
    chains, index = chosen_draws(tree, draws, rng)
    network = find_network(model)
    check_conditionals(model, network, "heldout_neuron")
    data = _row_data(model, network, post)
    bias = _usual_bias(data)
    prior = NeuronPrior(tree, model, network, post)
    n_kept = tree["posterior"].sizes["draw"]
    values = [prior.values(int(c * n_kept + d), rng) for c, d in zip(chains, index, strict=True)]
    betas = np.sin(np.linspace(0.0, 0.5 * np.pi, n_steps + 1)) ** 2  # dense at both ends
    found = []
    for coupled in (True, False):
        path = pilot_path(data, prior, values, len(model.coords["post"]), bias, rng, coupled)
        found.append(_anneal_all(path, values, betas, threads, rng))
    table = pd.DataFrame(
        {
            "chain": chains,
            "draw": index,
            "log_evidence": found[0],
            "log_evidence_constant": found[1],
        }
    )
    return _score(str(neuron), data, bias, table)


def _score(neuron: str, data: RowData, bias: float, table: pd.DataFrame) -> HeldoutNeuron:
    """Average over draws, and compare with constant rates."""
    coupled = _log_mean(table["log_evidence"].to_numpy())
    alone = _log_mean(table["log_evidence_constant"].to_numpy())
    n_pre, size = data.spikes.history.n_pre, data.spikes.history.n_basis
    constant = Row(
        np.full(1, bias), np.zeros((1, n_pre), np.int8), np.zeros((1, n_pre, size)),
        data.parameter, {},
    )  # fmt: skip
    observed = data.log_likelihood(constant)
    n_spikes = float(data.spikes.likelihood.counts.sum()) if data.observation.whole else np.nan
    unit = np.log(2) * (n_spikes if n_spikes > 0 else np.nan)
    return HeldoutNeuron(
        neuron,
        n_spikes,
        *coupled,
        alone.log,
        alone.se,
        observed,
        float((coupled.log - alone.log) / unit),
        float(np.hypot(coupled.se, alone.se) / unit),
        float((coupled.log - observed) / unit),
        table,
    )


def _row_data(model: pm.Model, network: NetworkVariables, post: int) -> RowData:
    """Return the counts of a neuron, with the history and covariates that may drive it."""
    history, likelihood = spike_data(model, network).value
    observation, variable = network.observation, network.parameter
    if likelihood.family == CUSTOM:
        raise ValueError(
            f"model: heldout_neuron cannot anneal the custom model {observation.name!r}; use an "
            " observation model of this package."
        )
    shared = variable is not None and variable.type.ndim == 0
    if shared or (variable is None and observation.parameter(network.spikes) is not None):
        raise ValueError(
            f"model: its {observation.parameter_name} does not have a value for each neuron; give "
            "the observation model a distribution or numbers."
        )
    counts = likelihood.counts[post].astype(float)
    parameter = 1.0
    if variable is not None:
        parameter = observation.suited_parameter(counts, 1.0)
    elif observation.parameter_name is not None:
        fixed = np.ravel(getattr(observation, observation.parameter_name)).astype(float)
        parameter = float(fixed[post if fixed.size > 1 else 0])
    unique, n_bins = np.zeros(1), np.array([counts.size])
    if observation.whole:
        unique, n_bins = np.unique(counts, return_counts=True)
    row = slice(post, post + 1)
    of_post = likelihood._replace(counts=counts[None], dispersion=likelihood.dispersion[row].copy())
    return RowData(
        SpikeData(history, of_post),
        type(observation),
        unique,
        n_bins.astype(float),
        parameter,
        variable is not None,
    )


def _usual_bias(data: RowData) -> float:
    """Return the bias at which a neuron without couplings has the mean rate of the counts."""
    counts = data.spikes.likelihood.counts
    mean = (counts.sum() + 0.5) / (counts.size + 1) if data.observation.whole else counts.mean()
    return float(data.observation.with_parameter(data.parameter).activation(np.array(mean), 1.0))


def _anneal_all(
    path: Path, values: list[Values], betas: Floats, threads: int | None, rng: np.random.Generator
) -> Floats:
    """Return one estimate for each draw of the hyperparameters."""
    rngs = rng.spawn(len(values))
    out = np.empty(len(values))

    def run(which: tuple[int, int]) -> None:
        for i in range(*which):
            out[i] = anneal(path, values[i], betas, rngs[i])

    Threads(threads, len(values)).over_posts(run)
    return out
