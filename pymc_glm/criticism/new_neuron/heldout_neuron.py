"""How well a network prior predicts the spikes of a neuron that was not in the fit."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import pymc as pm
import xarray as xr
from numpy.typing import NDArray
from scipy.special import logsumexp

from pymc_glm.arguments import random_generator
from pymc_glm.criticism.new_neuron.neuron_prior import NeuronPrior, Values
from pymc_glm.criticism.new_neuron.row_annealing import Path, Row, RowData, anneal
from pymc_glm.criticism.new_neuron.row_reference import pilot_path
from pymc_glm.criticism.of_model import place_of_neuron
from pymc_glm.criticism.replicates import as_whole, chosen_draws
from pymc_glm.graph.checks import check_conditionals
from pymc_glm.graph.data import SpikeData, spike_data
from pymc_glm.graph.find import NetworkVariables, find_network
from pymc_glm.graph.threads import Threads
from pymc_glm.kernels.likelihood import CUSTOM

__all__ = ["HeldoutNeuron", "heldout_neuron"]

type Floats = NDArray[np.float64]

_FEW = 5.0  # effective draws below which the standard error is not to be believed


@dataclass(frozen=True)
class HeldoutNeuron:
    """Evidence of a held-out neuron's counts, made by `heldout_neuron`.

    Parameters
    ----------
    neuron : str
    n_spikes : float
        NaN of traces.
    log_evidence, log_evidence_se : float
        Log density of all its counts under the posterior of the hyperparameters, in nats, and its
        Monte Carlo standard error.
    ess : float
        Effective number of the draws that were averaged.
    log_evidence_constant, log_evidence_constant_se : float
        The same for a neuron of a constant rate, without edges and covariates, under the prior of
        its bias (and of its law's own parameter).
    log_density_constant : float
        Of its counts at the constant rate that they have themselves, the (n + 1/2) / (T + 1) of
        `heldout_score`.
    bits_per_spike, bits_per_spike_se : float
        Gain on the constant rate under its prior, in bits for each spike, and its Monte Carlo
        standard error. NaN without spikes, and of traces.
    bits_per_spike_observed : float
        Gain on the constant rate that the counts have themselves.
    draws : DataFrame
        One row a draw of the hyperparameters: ``chain``, ``draw``, ``log_evidence`` and
        ``log_evidence_constant``, the logarithms of unbiased estimates.

    Examples
    --------
    >>> import pandas as pd, pymc_glm as pg
    >>> score = pg.HeldoutNeuron("a", 120.0, -600.0, 0.3, 14.0, -650.0, 0.1, -640.0, 0.6, 0.003,
    ...                          0.48, pd.DataFrame())
    >>> print(score)
    Log evidence of the counts of neuron 'a' -600.0 (Monte Carlo standard error 0.30, 14 effective
    draws)
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
            f"Log evidence of the counts of neuron {self.neuron!r} {self.log_evidence:.1f} (Monte "
            f"Carlo standard error {self.log_evidence_se:.2f}, {self.ess:.0f} effective\ndraws)"
        ]
        if self.ess < _FEW:
            lines.append("Few draws carry it: do not believe the standard error; raise draws.")
        if np.isfinite(self.bits_per_spike):
            lines.append(
                f"{self.bits_per_spike:.3f} bits per spike over a constant rate (Monte Carlo "
                f"standard error {self.bits_per_spike_se:.3f})"
            )
        return "\n".join(lines)


class _Mean(NamedTuple):
    """The logarithm of a mean of estimates, its standard error, and how many carry it."""

    log: float
    se: float
    ess: float


def _log_mean(logs: Floats) -> _Mean:
    """Average estimates given by their logarithms; the error by the delta method."""
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

    The fit of the other neurons tells the hyperparameters: how likely edges are, how strong, of
    which time course. What enters the new neuron, its bias, edges and weights, is integrated out
    under the prior that they make. So priors of the network can be compared by what they say of
    neurons that they have not seen.

    Parameters
    ----------
    tree : DataTree
        What sampling the model without the neuron returned.
    model : pymc.Model
        Built like that one, with the counts of the neuron too: of the same time or of another, in
        bins of the same width.
    neuron : str
        Its label.
    draws : int
        Draws of the hyperparameters, chosen at random; all where there are fewer. One estimate of
        the evidence is made with each.
    temperatures : int
        Steps of annealing of each estimate: twice as many halve its variance, in twice the time.
    threads : int, optional
        All cores by default; the result does not depend on them.
    random_seed : int or numpy.random.Generator, optional

    Returns
    -------
    HeldoutNeuron

    Raises
    ------
    TypeError, ValueError
        The model is not built like the one that the tree is of, or has neurons other than its and
        the new one; hyperparameters have values for single neurons, other than blocks, places,
        factors and parameters of the law; the law is a user's own, so that its powers are not
        known; a number is out of range.

    Notes
    -----
    The integral is made by annealed importance sampling [1]_ from a reference near the posterior,
    which a pilot run finds: independent edges, each with a normal slab. Whatever the reference,
    the estimates are unbiased; how they vary, from draw to draw and run to run, makes the standard
    error of the logarithm of their mean, by the delta method. It is to be believed where `ess` is
    not small.

    Hyperparameters that the model fixes are as it has them; so give what depends on the neurons,
    such as features of pairs, as for the fit, without standardizing it anew. What the prior knows
    of the neuron alone, its block, place or factors and its law's parameter, is drawn from its
    prior given the other neurons, and moved along.

    The neuron's edges onto others are no part of it: the counts of the others are given.

    References
    ----------
    .. [1] Neal (2001), Statistics and Computing 11:125.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> others = pg.build_glm(counts.drop_sel(neuron="c"), basis, **parts)
    >>> tree = pg.sample(model=others, random_seed=1, **options)
    >>> score = pg.heldout_neuron(tree, model, "c", draws=10, temperatures=20, random_seed=1)
    >>> score.bits_per_spike > 0  # the others say when it fires
    True
    """
    post = place_of_neuron(tree, model, neuron)
    n_steps, rng = as_whole(temperatures, "temperatures"), random_generator(random_seed)
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
    """Return the counts of a neuron, and all that may drive it."""
    history, known = spike_data(model, network).value
    observation, variable = network.observation, network.parameter
    if known.family == CUSTOM:
        raise ValueError(
            f"model: nothing is known of the powers of the law {observation.name!r}, through which "
            "heldout_neuron anneals; it takes the laws of this package."
        )
    shared = variable is not None and variable.type.ndim == 0
    if shared or (variable is None and observation.parameter(network.spikes) is not None):
        raise ValueError(
            f"model: its {observation.parameter_name} is no variable with a value for each neuron; "
            "give a distribution or numbers."
        )
    counts = known.counts[post].astype(float)
    parameter = 1.0
    if variable is not None:
        parameter = observation.suited_parameter(counts, 1.0)
    elif observation.parameter_name is not None:
        fixed = np.ravel(getattr(observation, observation.parameter_name)).astype(float)
        parameter = float(fixed[post if fixed.size > 1 else 0])
    seen, times = np.zeros(1), np.array([counts.size])
    if observation.whole:
        seen, times = np.unique(counts, return_counts=True)
    row = slice(post, post + 1)
    likelihood = known._replace(counts=counts[None], dispersion=known.dispersion[row].copy())
    data = SpikeData(history, likelihood)
    return RowData(
        data, type(observation), seen, times.astype(float), parameter, variable is not None
    )


def _usual_bias(data: RowData) -> float:
    """Return the bias at which a neuron without couplings has the rate of the counts."""
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
