"""Small network GLMs whose joint distribution of parameters and data can be run both ways.

Shared by the tests of Geweke (2004), of simulation-based calibration (Talts et al. 2018) and of
all combinations of priors.
"""

from dataclasses import dataclass

import arviz as az
import numpy as np
import pymc as pm
import xarray as xr
from scipy.special import expit

import pymc_glm as pg
from helpers.delayed_input import delayed_input
from helpers.uncompiled import UNCOMPILED
from pymc_glm.distributions import BlockLabelsRV, NeuronSignRV
from pymc_glm.graph.covariate_groups import CovariateLayout
from pymc_glm.graph.data import NetworkData, SpikeData, data_values, network_history
from pymc_glm.graph.find import find_network
from pymc_glm.graph.further_terms import further_terms
from pymc_glm.graph.shared import Shared
from pymc_glm.kernels.likelihood import LOGISTIC
from pymc_glm.kernels.simulate import Process, run, state_after
from pymc_glm.observations import Bernoulli, Observation, observation_model
from pymc_glm.steps import polya_gamma_gibbs
from pymc_glm.steps.network_step import NetworkStep

EDGES = ("dense", "bernoulli", "block", "distance", "eigen", "feature")
WEIGHTS = ("gaussian", "block", "distance", "feature", "signed")
COMBINATIONS = [(edges, weights) for edges in EDGES for weights in WEIGHTS[:-1]]
COMBINATIONS += [(edges, "signed") for edges in EDGES]
# Every kind of edges and every kind of weights.
COVERING = [
    ("dense", "block"),
    ("bernoulli", "distance"),
    ("bernoulli", "signed"),
    ("block", "block"),
    ("distance", "distance"),
    ("eigen", "feature"),
    ("feature", "gaussian"),
]
N_NEURONS = 4  # of the combinations
DEFAULT = (pg.EdgeMetropolis, pg.WeightHMC)
SCALES = (
    "scale",
    "cov",
    "dispersion",
    "variance",
)  # endings of the names of hyperparameters that are compared as logs


def features(n):
    """Two features of pairs: a distance, and one that is not symmetric."""
    place = np.arange(n) ** 1.5
    upstream = np.triu(np.ones((n, n)))
    return {"distance": np.abs(place[:, None] - place[None, :]), "upstream": upstream}


def n_basis_of(edges, weights):
    """Two basis functions in eight of the combinations, one in the others."""
    return 2 if EDGES.index(edges) % 4 == WEIGHTS.index(weights) % 4 else 1


def parts(edges, weights, n=N_NEURONS, share=True):
    """Make the parts of a combination, with priors under which small data say much.

    Self-edges have hyperparameters of their own or None, covariances and concentrations are fixed
    or learned, differently in different combinations; each kind meets both.
    """
    i, j = EDGES.index(edges), WEIGHTS.index(weights)
    self_edges = {"self_probability": None if (i // 2 + j) % 2 == 0 else pm.Beta.dist(2, 2)}
    concentration = {
        "gaussian": pm.Gamma.dist(4, 4, shape=2),
        "block": np.array([0.7, 1.5]),
        "distance": None,
        "feature": "learned",
        "signed": None,
    }[weights]
    edge_kinds = {
        "dense": pg.DenseEdges,
        "bernoulli": lambda: pg.BernoulliEdges(pm.Beta.dist(2, 2), **self_edges),
        "block": lambda: pg.BlockEdges(
            3 if weights == "distance" else 2,
            pm.Beta.dist(1, 1),
            concentration=concentration,
            **self_edges,
        ),
        "distance": lambda: pg.DistanceEdges(
            1 + j % 2, pm.Normal.dist(1, 1), pm.LogNormal.dist(0, 0.4), **self_edges
        ),
        "eigen": lambda: pg.EigenEdges(
            2, pm.Normal.dist(0, 1), pm.LogNormal.dist(0, 0.3) if j % 2 else 1.5, **self_edges
        ),
        "feature": lambda: pg.FeatureEdges(
            features(n), pm.Normal.dist(0, 0.5), pm.Normal.dist(0, 1), **self_edges
        ),
    }
    learned = edges == weights or n_basis_of(edges, weights) == 2
    if (edges, weights) == ("dense", "signed"):
        learned = False  # narrow slabs on all pairs would hold every sign where it is
    slab = {
        "cov": "learned" if learned else pm.LogNormal.dist(-0.7, 0.5),
        "self_mean": None if (i + j) // 2 % 2 else pm.Normal.dist(-1, 0.5),
        "self_cov": None if i % 2 == 0 else pm.LogNormal.dist(-0.7, 0.5),
    }
    shared = share and edges == weights
    weight_kinds = {
        "gaussian": lambda: pg.GaussianWeights(pm.Normal.dist(0.5, 0.4), **slab),
        "block": lambda: pg.BlockWeights(
            None if shared else 2,
            pm.Normal.dist(0, 0.6),
            concentration=None if shared else np.array([1.5, 0.7]),
            share_labels=share,
            **slab,
        ),
        "distance": lambda: pg.DistanceWeights(
            None if shared else 2,
            pm.Normal.dist(1, 0.4),
            pm.LogNormal.dist(1.2, 0.3),
            share_positions=share,
            **slab,
        ),
        "feature": lambda: pg.FeatureWeights(
            features(n), pm.Normal.dist(0, 0.5), pm.Normal.dist(0, 0.5), **slab
        ),
        "signed": lambda: pg.SignedWeights(
            pm.LogNormal.dist(-0.5, 0.4),
            probability=pm.Beta.dist(2, 2) if i % 2 else 0.6,
            signs=[None] * (n - 1) + [-1] if i < 3 else None,
            **slab,
        ),
    }
    return edge_kinds[edges](), weight_kinds[weights]()


def default_steps(dense):
    """Return the step methods that pm.sample chooses for edges, weights and biases."""
    return DEFAULT[1:] if dense else DEFAULT


def learned_parts(mean=0.5, sigma=0.7):
    """Learned edge probabilities, weight means and scale; self-edges share the scale."""
    return {
        "edges": pg.BernoulliEdges(pm.Beta.dist(2, 2), pm.Beta.dist(2, 3)),
        "weights": pg.GaussianWeights(
            pm.Normal.dist(mean, sigma), None, self_mean=pm.Normal.dist(-1, 0.5), self_cov=None
        ),
    }


def shift_kappa(monkeypatch, shift=0.05):
    """Plant a bug in `PolyaGammaGibbs`: kappa is too small by `shift` in every bin."""
    original = polya_gamma_gibbs.augment

    def shifted(*arguments):
        data = original(*arguments)
        return data._replace(counts_product=data.counts_product - shift * data.total)

    monkeypatch.setattr(polya_gamma_gibbs, "augment", shifted)


@dataclass
class JointModel:
    """A model, its steps, and the way from parameters to data."""

    model: pm.Model
    steps: list  # those of edges and weights first
    basis: np.ndarray  # (lag, basis)
    n_bins: int
    prior: dict  # names to draws, first axis draws: free variables of the prior
    observation: Observation
    data: NetworkData
    layout: CovariateLayout | None

    def set_counts(self, counts):
        """Condition the steps on these counts, (time, neuron)."""
        bounded = np.isfinite(self.observation.most)
        counts_type = np.int8 if bounded else np.int32
        counts_type = counts_type if self.observation.whole else np.float64
        kept = slice(None) if self.data.bins is None else self.data.bins
        observed = np.ascontiguousarray(counts[kept].T, counts_type)
        likelihood = self.observation.likelihood(observed)
        history = network_history(self.data._replace(counts=counts), self.layout)
        data, size = self.data, self.basis.shape[1]
        network = find_network(self.model)
        history = history._replace(
            further=further_terms(self.model, network, history.spikes, data.bins, size)
        )
        for step in self.steps:
            if isinstance(step, NetworkStep):
                step.condition_on(Shared(SpikeData(history, likelihood)))

    def simulate(self, free, rng):
        """Draw counts given parameters."""
        bias, observation = free["bias"], self.observation
        filters = np.einsum("nmb,lb->mln", free["weights"], self.basis)
        starts = self.data.starts
        plain = not {"covariate_weights", "loadings", "self_weights"} & set(free)
        if isinstance(observation, Bernoulli) and plain and starts.size == 1:
            return run_bernoulli(bias, filters, rng.random((self.n_bins, bias.size)))
        psi = np.tile(bias, (self.n_bins, 1))
        if self.layout is not None:
            psi += self.data.covariates @ free["covariate_weights"].T
        if "loadings" in free:
            psi += self._shared_input(free)
        if "self_weights" in free:
            functions = self.model["self_basis_functions"].get_value()
            longer = np.zeros((bias.size, max(len(functions), len(self.basis)), bias.size))
            longer[:, : len(self.basis)] = filters
            for n, weights in enumerate(free["self_weights"]):
                longer[n, : len(functions), n] += functions @ weights
            filters = longer
        parameter = None
        if observation.parameter_name is not None:
            parameter = free.get(
                observation.parameter_name, getattr(observation, observation.parameter_name)
            )
        ends = [*starts[1:], self.n_bins]
        return np.concatenate(
            [
                _run(
                    psi[first:end],
                    filters,
                    lambda now: draw_counts(observation, now, parameter, rng),
                )
                for first, end in zip(starts, ends, strict=True)
            ]
        )

    def _shared_input(self, free):
        """What shared input adds to the activations, (time, post)."""
        if "input_delay" not in free:
            return free["factors"][self.model["path_index"].get_value()] @ free["loadings"].T
        bin_width = self.model["bin_width"].get_value()
        steps = np.rint(self.model["grid_width"].get_value() / bin_width).astype(int)
        most = round(float(self.model["max_delay"].get_value() / bin_width))
        places = self.data.starts, self.n_bins, steps, most, free["input_delay"]
        return delayed_input(*places, free["factors"], free["loadings"])

    def untransformed(self, point):
        """Map a point of value variables to the free variables' own space."""
        values = self._back(*[point[v.name] for v in self.model.value_vars])
        return dict(zip(self.prior, values, strict=True))

    def __post_init__(self):
        free = [self.model[name] for name in self.prior]
        outputs = self.model.replace_rvs_by_values(free)
        self._back = pm.pytensorf.compile(
            self.model.value_vars, outputs, on_unused_input="ignore", trust_input=True
        )

    def advance(self, point):
        """Run every step once."""
        for step in self.steps:
            point, _ = step.step(point)
        return point

    def step_of(self, kind):
        """Return the step of a type."""
        return next(step for step in self.steps if isinstance(step, kind))

    def prior_draw(self, i):
        """Return draw i of the prior."""
        return {name: values[i] for name, values in self.prior.items()}


def draw_counts(observation, psi, parameter, rng):
    """Draw the counts of one bin."""
    if isinstance(observation, pg.Binomial | Bernoulli):
        return rng.binomial(observation.trials, expit(psi))
    if isinstance(observation, pg.Gaussian):
        return rng.normal(psi, np.sqrt(parameter))
    mean = np.exp(np.minimum(psi, 10.0))  # what runs away need not do so faster
    if isinstance(observation, pg.Poisson):
        return rng.poisson(mean)
    return rng.poisson(rng.gamma(np.broadcast_to(parameter, psi.shape)) * mean)


def run_bernoulli(bias, filters, uniforms):
    """Binary counts (time, neuron) from silence, without a guard; filters are (pre, lag, post)."""
    n_bins, n = uniforms.shape
    filters = np.ascontiguousarray(filters)
    process = Process(LOGISTIC, 0.0, np.ones(n), bias, filters, np.empty((0, n)), n_bins, np.inf)
    counts = np.empty(uniforms.shape, dtype=np.int8)
    state = state_after(filters, np.zeros((filters.shape[1], n)))
    run(process, state, 0, uniforms, np.empty((n_bins, 0)), counts)
    return counts


def _run(psi, filters, draw):
    n_bins, n_lags = len(psi), filters.shape[1]
    psi = np.concatenate([psi, np.zeros((n_lags, psi.shape[1]))])
    counts = np.empty((n_bins, psi.shape[1]))
    for t in range(n_bins):
        counts[t] = draw(psi[t])
        psi[t + 1 : t + 1 + n_lags] += np.einsum("m,mln->ln", counts[t], filters)
    return counts


def make_model(
    n_bins,
    n_basis,
    edges=None,
    weights=None,
    n_neurons=N_NEURONS,
    bias=None,
    observation="bernoulli",
    segment=None,
    **recording,
):
    """Build a model on counts that are of no interest."""
    basis = pg.basis.raised_cosine(n_basis, window=0.025, bin_width=0.005)
    counts = np.zeros((n_bins, n_neurons), dtype=int)
    counts[::7] = 1
    if observation_model(observation).name == "gaussian":
        counts = np.random.default_rng(0).normal(size=counts.shape)
    if segment is not None:
        attrs = {"bin_width": 0.005}
        counts = xr.DataArray(counts, dims=("time", "neuron"), attrs=attrs)
        counts = counts.assign_coords(segment=("time", segment))
    bias = pm.Normal.dist(-1.0, 1.0) if bias is None else bias
    return pg.build_glm(
        counts,
        basis,
        edges=edges,
        weights=weights,
        bias=bias,
        observation=observation,
        **recording,
    )


def make_joint(
    n_neurons,
    n_bins,
    n_basis,
    n_prior,
    seed,
    edges=None,
    weights=None,
    bias=None,
    network_steps=(pg.PolyaGammaGibbs,),
    observation=None,
    **recording,
):
    """Build the model, its steps and many draws of its prior."""
    observation = Bernoulli() if observation is None else observation
    model = make_model(n_bins, n_basis, edges, weights, n_neurons, bias, observation, **recording)
    rng = np.random.default_rng(seed)
    names = [rv.name for rv in model.free_RVs]
    kinds = [type(rv.owner.op) for rv in model.free_RVs]
    hyperparameters = set(names) - {
        "bias",
        "adjacency",
        "weights",
        "dispersion",
        "covariate_weights",
        "self_weights",
        "loadings",
        "factors",
        "factor_timescale",
        "input_delay",
    }
    with model:
        steps = [kind(threads=1, rng=rng.spawn(1)[0]) for kind in network_steps]
        for name, kind in (("dispersion", pg.DispersionGibbs), ("noise_variance", pg.NoiseGibbs)):
            if name in names:
                steps.append(kind(threads=1, rng=rng.spawn(1)[0]))
        if BlockLabelsRV in kinds:
            steps.append(pg.BlockGibbs(rng=rng.spawn(1)[0]))
        if NeuronSignRV in kinds:
            steps.append(pg.SignGibbs(rng=rng.spawn(1)[0]))
        if len(hyperparameters) > kinds.count(BlockLabelsRV) + kinds.count(NeuronSignRV):
            steps.append(pg.NetworkNUTS(rng=rng.spawn(1)[0]))
        draws = pm.sample_prior_predictive(
            n_prior, var_names=names, random_seed=seed, compile_kwargs=UNCOMPILED
        )["prior"]
    prior = {name: draws[name].values[0] for name in names}
    basis = model["basis_functions"].get_value()
    network = find_network(model)
    layout = None
    if network.covariates is not None:
        layout = CovariateLayout.of_network(model, network)
    data = data_values(model, network)
    return JointModel(model, steps, basis, n_bins, prior, observation, data, layout)


# --- functions of parameters and data ------------------------------------------------------------


def summaries(free, counts):
    """Return the functions of parameters and data whose distributions are compared, by name.

    Weights, scales and counts have heavy tails under some priors: tanh and log give them moments.
    """
    n = len(free["bias"])
    diagonal = np.eye(n, dtype=bool)
    weights = np.tanh(free["weights"])
    counts = np.sign(counts) * np.log1p(np.abs(counts))
    result = {
        "bias": free["bias"].mean(),
        "bias^2": (free["bias"] ** 2).mean(),
        "weights": weights[~diagonal].mean(),
        "weights^2": (weights[~diagonal] ** 2).mean(),
        "self weights": weights[diagonal].mean(),
        "self weights^2": (weights[diagonal] ** 2).mean(),
        "bias * self weights": (free["bias"][:, None] * weights[diagonal]).mean(),
        "spikes": counts.mean(),
        "last spikes * bias": (counts[-5:].mean(axis=0) * free["bias"]).mean(),
    }
    if "adjacency" in free:
        result["edges"] = free["adjacency"][~diagonal].mean()
        result["self edges"] = free["adjacency"][diagonal].mean()
        result["edges * spikes"] = free["adjacency"].mean() * counts.mean()
    if "covariate_weights" in free:
        pull = (free["covariate_weights"] * np.arange(1, 1 + len(free["bias"]))[:, None]).T
        result["covariate weights * spikes"] = (pull * counts.mean(axis=0)).mean()
        result["covariate weights * last"] = (pull * counts[-10:].mean(axis=0)).mean()
    if "self_weights" in free:  # there are no self-edges
        result = {name: value for name, value in result.items() if "self" not in name}
    if "loadings" in free:
        result |= _shared_summaries(free, counts)
    if "self_weights" in free:
        result["self weights * spikes"] = (
            free["self_weights"].mean(axis=1) * counts.mean(0)
        ).mean()
    for name, value in free.items():
        if name not in ("bias", "weights", "adjacency", "signs"):
            value = np.log(value) if name.endswith(SCALES) else value
            result[name] = np.mean(value)
            result[f"{name}^2"] = np.mean(np.square(value))
    for part in (_block_summaries, _distance_summaries, _coefficient_summaries, _sign_summaries):
        result |= part(free, weights)
    return result


def _shared_summaries(free, counts):
    """Functions of paths and loadings, which are symmetric: products, not means."""
    loadings, path = free["loadings"], free["factors"]
    strength = (loadings**2).mean()
    neighbours = (path[1:] * path[:-1]).mean()
    result = {
        "loadings^4": (loadings**4).mean(),
        "path neighbours": neighbours,
        "path^4": (path**4).mean(),
        "loadings^2 * path^2": strength * (path**2).mean(),
        "loadings^2 * neighbours": strength * neighbours,
        "loadings * end of path * end of counts": (loadings[:, -1] * counts[-3:].mean(0)).mean()
        * path[-1],
        "loadings * products of counts": (loadings[0] * loadings[-1]).mean()
        * (counts[:, 0] * counts[:, -1]).mean(),
    }
    if "factor_timescale" in free:
        result["timescale * neighbours"] = np.log(free["factor_timescale"]).mean() * neighbours
    if "input_delay" in free:
        result |= _delay_summaries(free, counts)
    return result


def _delay_summaries(free, counts):
    """Functions of delays of up to 2 bins: ends of their range, and who follows whom."""
    delay, loadings = free["input_delay"], free["loadings"]
    before, after = counts[:-1], counts[1:]
    follows = (before[:, 0] * after[:, -1] - after[:, 0] * before[:, -1]).mean()
    together = (loadings[0] * loadings[-1]).mean() * (delay[-1] - delay[0])
    return {
        "delays at ends": (np.abs(delay) == 2).mean(),
        "first delay": delay[0],
        "delay * end of path * end of counts": (
            delay * loadings[:, -1] * counts[-3:].mean(0)
        ).mean()
        * free["factors"][-1],
        "delay * beginning": (delay * loadings[:, 0] * counts[:3].mean(0)).mean()
        * free["factors"][0],
        "difference of delays * who follows whom": together * follows,
    }


def _pairs(name, values):
    """Split the mean over (post, pre, ...) into pairs of different neurons and self-edges."""
    diagonal = np.eye(len(values), dtype=bool)
    return {name: values[~diagonal].mean(), f"self {name}": values[diagonal].mean()}


def _labels_of(free, variable):
    """Return the labels that edges or weights depend on, None if on none."""
    name = "block_labels"
    if variable == "weights" and "weight_block_labels" in free:
        name = "weight_block_labels"
    return free.get(name)


def _block_summaries(free, weights):
    result = {}
    for name in ("block_labels", "weight_block_labels"):
        if name in free:
            labels = free[name]
            sizes = np.bincount(labels)
            result[f"{name}: used"] = (sizes > 0).sum()
            result[f"{name}: sizes^2"] = (sizes**2).sum()
            result[f"{name}: first two together"] = labels[0] == labels[1]
    tables = {
        "adjacency": ["edge_probability"],
        # those of signed weights belong to the two signs, not to pairs of blocks
        "weights": [] if "signs" in free else ["weight_mean", "weight_scale", "weight_cov"],
    }
    for variable, present in (("adjacency", free.get("adjacency")), ("weights", weights)):
        labels = _labels_of(free, variable)
        if present is None or labels is None:
            continue
        post, pre = labels[:, None], labels[None, :]
        inside = (post == pre)[..., None]
        present = present.reshape((*inside.shape[:2], -1))
        result |= _pairs(f"{variable} inside", present * inside)
        itself = np.einsum("nnb->nb", present)
        both = itself[:, None] * itself[None, :] * inside
        result[f"{variable}: alike to themselves"] = both.mean()
        result |= _pairs(f"{variable} * post label", present * post[..., None])
        for name in tables[variable]:
            if name in free and free[name].ndim >= 2:
                spread = free[name][post, pre].reshape(*inside.shape[:2], -1)
                spread = np.log(spread) if name.endswith(SCALES) else spread
                result[f"{name} * sizes"] = spread.mean()
                values = present**2 if name.endswith(SCALES) else present
                result |= _pairs(f"{variable} * {name}", values * spread)
    return result


def _distance_summaries(free, weights):
    result = {}
    for name in ("latent_positions", "weight_latent_positions"):
        if name in free:
            place = free[name]
            squared = ((place[:, None] - place[None, :]) ** 2).sum(axis=-1)
            result[f"{name}: distance^2"] = squared.mean()
            result[f"{name}: distance^4"] = (squared**2).mean()
            if "adjacency" in free:
                result[f"{name}: edges * distance^2"] = (free["adjacency"] * squared).mean()
            result[f"{name}: weights * distance"] = (weights * np.sqrt(squared)[..., None]).mean()
    return result


def _coefficient_summaries(free, weights):
    result = {}
    if "latent_factors" in free:
        factors = free["latent_factors"]
        product = (factors * free["eigenvalues"]) @ factors.T
        result["product of factors"] = product.mean()
        result |= _pairs("edges * product of factors", free["adjacency"] * product)
    for name, present in (("edge", free.get("adjacency")), ("weight", weights)):
        if f"{name}_coefficients" in free:
            stacked = np.stack(list(features(len(weights)).values()), axis=-1)
            effect = stacked @ free[f"{name}_coefficients"]
            result |= _pairs(f"{name}: present * features * coefficients", present * effect)
    return result


def _sign_summaries(free, weights):
    if "signs" not in free:
        return {}
    signs = free["signs"].astype(float)
    result = {
        "signs": signs.mean(),
        "signs: sum^2": signs.sum() ** 2,
        "first sign": signs[0],
        "last sign * bias": signs[-1] * free["bias"].mean(),
    }
    result |= _pairs("weights * signs", weights * signs[:, None])
    kind = (signs < 0).astype(int)
    for name in ("weight_mean", "weight_relative_scale", "weight_cov"):
        if name in free and len(free[name]) == 2 and free[name].ndim:
            of_neuron = np.log(free[name][kind]).reshape(len(kind), -1)
            result[f"log {name} * signs"] = (of_neuron * signs[:, None]).mean()
            sizes = weights if name == "weight_mean" else weights**2
            result |= _pairs(f"weights * signs * log {name}", sizes * of_neuron * signs[:, None])
    return result


# --- both ways -----------------------------------------------------------------------------------


def successive_conditional(model, n_iterations, seed):
    """Run the chain that alternates the samplers with new data; return the functions' draws."""
    rng = np.random.default_rng(seed)
    point = model.model.initial_point(seed)
    rows = []
    warm_up = n_iterations // 10
    for step in model.steps:
        step.tune = True
    for i in range(warm_up + n_iterations):
        free = model.untransformed(point)
        counts = model.simulate(free, rng)
        if i >= warm_up:
            rows.append(summaries(free, counts))
        if i == warm_up:
            for step in model.steps:
                step.stop_tuning()
        model.set_counts(counts)
        point = model.advance(point)
    return {key: np.array([row[key] for row in rows], dtype=float) for key in rows[0]}


def marginal_conditional(model, seed):
    """Return the functions of independent draws of parameters and data."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(len(model.prior["bias"])):
        free = model.prior_draw(i)
        counts = model.simulate(free, rng)
        rows.append(summaries(free, counts))
    return {key: np.array([row[key] for row in rows], dtype=float) for key in rows[0]}


def z_scores(independent, chain):
    """Return the differences of means in standard errors, by function."""
    scores = {}
    for key, draws in chain.items():
        mcse = float(az.mcse(draws[None], method="mean")) if np.ptp(draws) > 0 else 0.0
        error = np.hypot(mcse, independent[key].std() / np.sqrt(len(independent[key])))
        scores[key] = (draws.mean() - independent[key].mean()) / error
    return scores


def worst(independent, chain):
    """Return the name and score of the function whose means differ most."""
    return max(z_scores(independent, chain).items(), key=lambda item: abs(item[1]))


def fewest_effective(chain):
    """Return the name and number of effective draws of the slowest function."""
    effective = {
        key: float(az.ess(draws[None], method="mean"))
        for key, draws in chain.items()
        if np.ptp(draws) > 0
    }
    return min(effective.items(), key=lambda item: item[1])
