"""`build_glm`: an ordinary ``pm.Model`` from counts, a basis and the chosen parts."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import xarray as xr
from numpy.typing import ArrayLike
from pytensor.tensor.random.basic import NormalRV
from pytensor.tensor.variable import TensorVariable

from pymc_glm.activation import coupling_activation
from pymc_glm.covariates import CovariatePrior, read_covariates
from pymc_glm.design import Design, make_design
from pymc_glm.distributions import Baseline, Edge, SpikeAndSlab
from pymc_glm.models.pooling import (
    aligned_covariates,
    for_session,
    join_sessions,
    naming,
    sessions_of,
)
from pymc_glm.models.sessions import SessionModel
from pymc_glm.models.terms import covariate_activation, self_filter, shared_activation
from pymc_glm.observations import Observation, observation_model
from pymc_glm.priors.edges import BernoulliEdges, Edges, with_self_edges
from pymc_glm.priors.hyperparameters import LEARNED
from pymc_glm.priors.self_history import SelfPrior
from pymc_glm.priors.shared_input import SharedInput
from pymc_glm.priors.weights import SPIKE_EFFECT, GaussianWeights, Weights, weight_units
from pymc_glm.recipe import record_recipe
from pymc_glm.spikes import neuron_positions

__all__ = ["build_glm"]

BIAS_SIGMA = 1.0  # log-odds; 5 Hz plus and minus two of these is 0.7 to 32 Hz in bins of 5 ms


def _coords(design: Design) -> dict:
    neurons = design.counts["neuron"].values
    return {
        "time": design.counts["time"].values,
        "post": neurons,
        "pre": neurons,
        "basis": design.basis["basis"].values,
        "lag": design.basis["lag"].values,
    }


def _bias(
    bias: TensorVariable | None,
    bias_rate: ArrayLike | None,
    observation: Observation,
    design: Design,
) -> TensorVariable:
    n_neurons = design.counts.sizes["neuron"]
    if bias is not None:
        owner = bias.owner if isinstance(bias, TensorVariable) else None
        if owner is None or not isinstance(owner.op, NormalRV):
            raise TypeError(
                f"bias: got {bias!r}, allowed are a normal prior such as pm.Normal.dist(-4, 1), "
                "and None for a prior around bias_rate."
            )
        if bias.type.shape not in ((), (1,), (None,), (n_neurons,)):
            raise ValueError(
                f"bias: got a prior of shape {bias.type.shape}; give a scalar prior or one of "
                f"shape ({n_neurons},)."
            )
        mu, sigma = owner.op.dist_params(owner)
        return Baseline("bias", mu, sigma, dims="post")
    bias_rate = observation.typical_rate if bias_rate is None else bias_rate
    try:
        rate = np.broadcast_to(np.asarray(bias_rate, dtype=float), (n_neurons,))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"bias_rate: got {bias_rate!r}; give one rate in Hz, or one for each of the "
            f"{n_neurons} neurons."
        ) from error
    highest = observation.most / design.bin_width
    lowest = 0.0 if observation.whole else -np.inf
    wrong = ~((rate > lowest) & (rate < highest))
    if wrong.any():
        spikes = "1 spike" if observation.most == 1 else f"{observation.most:g} spikes"
        below = f" and below {highest:g} Hz, {spikes} a bin"
        raise ValueError(
            f"bias_rate: got {rate[wrong][0]:g} Hz, allowed are rates above 0"
            f"{below if np.isfinite(highest) else ''}."
        )
    center = observation.activation(rate, design.bin_width)
    return Baseline("bias", center, BIAS_SIGMA, dims="post")


def _between_neurons[Prior: Edges | Weights](prior: Prior, argument: str) -> Prior:
    """Return a prior without parameters of self-edges.

    Raises
    ------
    ValueError
        Some were given.
    """
    names = [f.name for f in fields(prior) if f.name.startswith("self_")]  # type: ignore[arg-type]
    for name in names:
        value = getattr(prior, name)
        if value is not None and not (isinstance(value, str) and value == LEARNED):
            raise ValueError(
                f"{argument}: got {name}={value!r}, but with self_basis the self filter takes the "
                f"place of self-edges; leave {name} out, and give self_prior instead."
            )
    return replace(prior, **dict.fromkeys(names))  # type: ignore[type-var]


def _network(
    edges: Edges, weights: Weights, design: Design, observation: Observation, self_edges: bool
) -> TensorVariable:
    """Register the adjacency (unless dense) and the weights."""
    n_neurons = design.counts.sizes["neuron"]
    allowed = np.ones((n_neurons, n_neurons), dtype=np.int8)
    if not self_edges:
        edges, weights = _between_neurons(edges, "edges"), _between_neurons(weights, "weights")
        np.fill_diagonal(allowed, 0)
    probability = edges.edge_probability(n_neurons)
    if probability is None:
        adjacency = pt.constant(allowed)
    else:
        if not self_edges:
            probability = with_self_edges(probability, 0.0, n_neurons)
        adjacency = Edge("adjacency", probability, dims=("post", "pre"))
    effect = SPIKE_EFFECT / design.bin_width if observation.effect is None else observation.effect
    units = weight_units(design.basis.values, effect, n_neurons, dense=probability is None)
    slab = weights.slab(n_neurons, units)
    return SpikeAndSlab(
        "weights",
        adjacency,
        slab.mean,
        slab.whitening,
        dims=("post", "pre", "basis"),
    )


def _data(design: Design) -> tuple[TensorVariable, TensorVariable, TensorVariable | None]:
    """Register the data containers; return counts, basis functions and segment starts."""
    counts = pm.Data("counts", design.counts.values, dims=("time", "post"))
    basis = pm.Data("basis_functions", design.basis.values, dims=("lag", "basis"))
    pm.Data("bin_width", design.bin_width)
    position = neuron_positions(design.counts)
    model = pm.modelcontext(None)
    if position is not None:
        model.add_coord("space", position["space"].values)
        pm.Data("position", position.values, dims=("post", "space"))
    starts = None
    if design.starts.size > 1:
        model.add_coord("segment", np.arange(design.starts.size))
        starts = pm.Data("segment_start", design.starts, dims="segment")
    return counts, basis, starts


def _observed(
    design: Design, observation: Observation, counts: TensorVariable, psi: TensorVariable
) -> None:
    """Register the observed spikes, in the bins that are data."""
    model = pm.modelcontext(None)
    model.add_coord("observation", [observation.name])
    pm.Data("observation_law", [1], dims="observation")
    for name, value in observation.containers().items():
        pm.Data(name, value)
    dims = ("time", "post")
    if design.data_bins is not None:
        model.add_coord("observed_time", design.counts["time"].values[design.data_bins])
        bins = pm.Data("data_bins", design.data_bins, dims="observed_time")
        psi, counts, dims = psi[bins], counts[bins], ("observed_time", "post")
    observation.distribution("spikes", psi, observed=counts, dims=dims)


def build_glm(
    counts: xr.DataArray | ArrayLike,
    basis: xr.DataArray | ArrayLike,
    *,
    edges: Edges | None = None,
    weights: Weights | None = None,
    observation: str | Observation = "bernoulli",
    bias: TensorVariable | None = None,
    bias_rate: ArrayLike | None = None,
    covariates: xr.DataArray | ArrayLike | None = None,
    covariate_prior: CovariatePrior | None = None,
    shared_input: SharedInput | None = None,
    self_basis: xr.DataArray | ArrayLike | None = None,
    self_prior: SelfPrior | None = None,
    exclude: ArrayLike | None = None,
    unknown_history: str = "recorded",
    share: str = "hyperparameters",
) -> pm.Model:
    r"""Build a Bayesian network GLM as an ordinary PyMC model.

    .. math::

        \psi_{tn} = b_n + \sum_{m,k} w_{nmk} x_{tmk} + \sum_c v_{nc} z_{tc}, \qquad
        y_{tn} \sim \mathrm{observation}(\psi_{tn}), \qquad
        w_{nm} \mid A_{nm} = 1 \sim \mathrm{Normal}, \; w_{nm} \mid A_{nm} = 0 \sim \delta_0

    (Linderman, Adams & Pillow 2016, arXiv:1610.08465, equations 1-3).

    Parameters
    ----------
    counts : DataArray (time, neuron), or array if the basis has a bin width
        Spike counts, e.g. from `pymc_glm.bin_spikes`, or a pynapple TsdFrame of counts. History
        does not cross the borders of trials, epochs and gaps: where a coordinate ``segment`` or
        ``trial`` (time) changes, or time jumps. A dict from names to counts, or a list, holds
        several sessions, see ``share``.
    basis : DataArray or array, (lag, basis)
        Basis functions of the coupling filters, e.g. from `pymc_glm.basis.raised_cosine`.
    edges : Edges, optional
        Prior of the edges, by default ``BernoulliEdges()``.
    weights : Weights, optional
        Prior of the weights of present edges, by default ``GaussianWeights()``.
    observation : str or Observation
        Observation model: "bernoulli", "negative_binomial", "poisson", "gaussian" (for traces), or
        an instance with parameters such as ``pymc_glm.Binomial(n_trials)``.
    bias : PyMC distribution, optional
        Normal prior of the biases, e.g. ``pm.Normal.dist(-4, 1)``: log-odds of a spike in a bin of
        a silent network, or log rates for observation models without a largest count. By default
        centred on the bias that gives bias_rate, with standard deviation 1.
    bias_rate : float or array (neuron,)
        Rate in Hz on which the default prior of the biases is centred, by default 5 Hz.
    covariates : DataArray or array (time, covariate), optional
        Other variables known in each bin, e.g. from `pymc_glm.covariate_design`; biases refer to
        covariates of zero.
    covariate_prior : CovariatePrior, optional
        Prior of the covariate weights, by default ``CovariatePrior()``.
    shared_input : SharedInput, optional
        Input that no recorded neuron carries, such as ``SharedInput(3)``; by default none, as in
        the paper.
    self_basis : DataArray or array, (self_lag, self_basis), optional
        Basis functions of a self filter, which then takes the place of self-edges: a neuron's past
        (refractoriness, rhythm, adaptation) usually matters longer than a coupling does.
    self_prior : SelfPrior, optional
        Prior of the self filters, by default ``SelfPrior()``.
    exclude : array of bool (time,) or of seconds (interval, 2), optional
        Bins that are not data, such as artefacts; or intervals [start, stop).
    unknown_history : {"recorded", "exclude"}
        Treatment of bins whose history (the longer window of couplings and self filters) reaches
        into excluded bins or before the start of a segment: use the counts as recorded, silent
        before the start; or exclude these bins as well.
    share : {"hyperparameters", "weights"}
        For several sessions. "hyperparameters": each has its own neurons and network, under a
        common prior, with variables named ``session::weights`` and so on (`pymc_glm.session`
        extracts one session from a posterior). "weights": all have the same neurons and one
        network. ``edges``, ``weights``, ``bias_rate``, ``covariates``, ``covariate_prior`` and
        ``exclude`` may be dicts from session names to values; ``covariates`` and ``exclude`` may
        also be lists.

    Returns
    -------
    pymc.Model
        Variables: ``adjacency`` (post, pre), ``weights`` (post, pre, basis), ``bias`` (post), the
        learned hyperparameters, and the observed ``spikes`` (time, post). Data containers:
        ``counts`` (time, post), ``basis_functions`` (lag, basis), ``bin_width``;
        ``observation_law``, whose coordinate ``observation`` names the observation model, and its
        ``n_trials`` or fixed ``dispersion``; ``position`` (post, space) if known. With covariates,
        ``covariate_weights`` (post, covariate) and ``covariates`` (time, covariate); with a self
        filter, ``self_weights`` (post, self_basis) and ``self_basis_functions`` (self_lag,
        self_basis); with shared input, ``loadings`` (post, factor), ``factors`` (grid), the values
        of all paths on their grids, and ``path_index`` (time, factor), by which
        ``factors[path_index]`` are the paths in every bin; with several
        segments, ``segment_start`` (segment); with excluded bins, ``data_bins``, and ``spikes`` has
        the dims (observed_time, post). ``recipe`` holds all other arguments as text in its
        coordinate ``recipe_line``, from which `pymc_glm.load` rebuilds the model.

    Raises
    ------
    ValueError, TypeError
        Counts, basis or a hyperparameter cannot be used; the message says which, where and why.

    Examples
    --------
    >>> import numpy as np, pymc_glm as pg
    >>> counts = np.random.default_rng(1).poisson(0.05, (500, 3)).clip(0, 1)
    >>> basis = pg.basis.raised_cosine(2, window=0.05, bin_width=0.005)
    >>> model = pg.build_glm(counts, basis)
    >>> [variable.name for variable in model.free_RVs][:2]
    ['bias', 'edge_probability']
    """
    observation = observation_model(observation)
    sessions = sessions_of(counts)
    if share not in ("hyperparameters", "weights"):
        raise ValueError(f"share: got {share!r}, allowed are 'hyperparameters' and 'weights'.")
    if sessions is not None and share == "weights":
        counts, covariates, exclude = join_sessions(
            sessions, covariates, exclude, basis, observation
        )
        sessions = None
    settings: dict[str, Any] = {
        "edges": edges,
        "weights": weights,
        "bias_rate": bias_rate,
        "covariates": covariates,
        "covariate_prior": covariate_prior,
        "exclude": exclude,
    }
    further: dict[str, Any] = {
        "shared_input": shared_input,
        "self_basis": self_basis,
        "self_prior": self_prior,
    }
    with pm.Model() as model:
        if sessions is None:
            _add_network(counts, basis, observation, bias, unknown_history, **settings, **further)
        else:
            settings["covariates"] = aligned_covariates(covariates, sessions)
            for name, session_counts in sessions.items():
                here = {k: for_session(v, name, k, sessions) for k, v in settings.items()}
                with SessionModel(name), naming(name):
                    _add_network(
                        session_counts,
                        basis,
                        observation,
                        bias,
                        unknown_history,
                        **here,
                        **further,
                    )
        chosen = {k: settings[k] for k in ("edges", "weights", "bias_rate", "covariate_prior")}
        record_recipe(
            chosen
            | {"observation": observation, "bias": bias}
            | {"shared_input": shared_input, "self_prior": self_prior},
            None if sessions is None else list(sessions),
        )
    return model


def _add_network(
    counts: Any,
    basis: Any,
    observation: Observation,
    bias: TensorVariable | None,
    unknown_history: str,
    *,
    edges: Edges | None,
    weights: Weights | None,
    bias_rate: ArrayLike | None,
    covariates: Any,
    covariate_prior: CovariatePrior | None,
    shared_input: SharedInput | None,
    self_basis: Any,
    self_prior: SelfPrior | None,
    exclude: Any,
) -> None:
    """Register the network GLM of one session with the model in context."""
    edges = BernoulliEdges() if edges is None else edges
    weights = GaussianWeights() if weights is None else weights
    for name, part, kind, example in (
        ("edges", edges, Edges, "pg.BernoulliEdges()"),
        ("weights", weights, Weights, "pg.GaussianWeights()"),
    ):
        if not isinstance(part, kind):
            raise TypeError(f"{name}: got {part!r}; give an instance such as {example}.")
    design = make_design(counts, basis, exclude, unknown_history, observation.whole, self_basis)
    checked = slice(None) if observation.whole or design.data_bins is None else design.data_bins
    observation.check(
        design.observed[checked], design.counts["neuron"].values.tolist(), design.bin_width
    )
    columns = None
    if covariates is not None:
        columns = read_covariates(covariates, design.counts, design.data_bins)
    if self_basis is None and self_prior is not None:
        raise ValueError("self_prior: there is no self filter; give self_basis= as well.")
    if columns is None and covariate_prior is not None:
        raise ValueError("covariate_prior: there are no covariates; give covariates= as well.")
    pm.modelcontext(None).add_coords(_coords(design))
    spikes, functions, starts = _data(design)
    baseline = _bias(bias, bias_rate, observation, design)
    coupling = _network(edges, weights, design, observation, self_edges=self_basis is None)
    psi = baseline + coupling_activation(spikes, functions, coupling, starts)
    if columns is not None:
        psi += covariate_activation(columns, covariate_prior, design.counts.sizes["neuron"])
    if design.self_basis is not None:
        psi += self_filter(design.self_basis, self_prior, spikes, starts)
    if shared_input is not None:
        psi += shared_activation(shared_input, design)
    _observed(design, observation, spikes, psi)
