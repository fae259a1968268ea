"""A small network GLM whose joint distribution of parameters and data can be run both ways.

Shared by the tests of Geweke (2004) and of simulation-based calibration (Talts et al. 2018).
"""

from dataclasses import dataclass

import numpy as np
import pymc as pm

import pymc_glm as pg
from pymc_glm.kernels.history import convolve_history
from pymc_glm.kernels.packing import pack_rows
from pymc_glm.kernels.polya_gamma import augment
from pymc_glm.kernels.simulate import run_bernoulli

KAPPA_SHIFT = 0.0  # moved by the tests that plant a bug


@dataclass
class JointModel:
    """A model, its steps, and the way from parameters to data."""

    model: pm.Model
    steps: list
    basis: object
    n_bins: int
    prior: dict  # names to draws, first axis draws: free variables of the prior

    def set_counts(self, counts):
        """Condition the steps on these counts, (time, neuron)."""
        history = convolve_history(counts, self.basis.values)
        b = 1 + 2 * KAPPA_SHIFT  # kappa = a - b / 2
        data = augment(pack_rows(history), counts.T.astype(float), b, history.shape[2])
        self.steps[0]._data = data._replace(shape=1)

    def simulate(self, bias, weights, rng):
        """Draw counts given parameters."""
        filters = np.einsum("nmb,lb->mln", weights, self.basis.values)
        silence = np.zeros((len(self.basis), bias.size), dtype=np.int64)
        uniforms = rng.random((self.n_bins, bias.size))
        return run_bernoulli(bias, filters, silence, uniforms, self.n_bins)[0]

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

    def prior_draw(self, i):
        """Return draw i of the prior."""
        return {name: values[i] for name, values in self.prior.items()}


def make_joint(n_neurons, n_bins, n_basis, n_prior, seed, edges=None, weights=None, bias=None):
    """Build the model on empty data, its steps and many draws of its prior."""
    basis = pg.basis.raised_cosine(n_basis, window=0.025, bin_width=0.005)
    counts = np.zeros((n_bins, n_neurons), dtype=int)
    counts[::7] = 1
    bias = pm.Normal.dist(-1.0, 1.0) if bias is None else bias
    model = pg.build_glm(counts, basis, edges=edges, weights=weights, bias=bias)
    rng = np.random.default_rng(seed)
    with model:
        steps = [pg.PolyaGammaGibbs(threads=1, rng=rng.spawn(1)[0])]
        if len(model.free_RVs) > 3:
            steps.append(pg.NetworkNUTS(rng=rng.spawn(1)[0]))
        names = [rv.name for rv in model.free_RVs]
        draws = pm.sample_prior_predictive(
            n_prior, var_names=names, random_seed=seed, compile_kwargs={"mode": "NUMBA"}
        )["prior"]
    prior = {name: draws[name].values[0] for name in names}
    return JointModel(model, steps, basis, n_bins, prior)


def summaries(free, counts):
    """Return the functions of parameters and data whose laws are compared, by name."""
    n = len(free["bias"])
    own = np.eye(n, dtype=bool)
    weights = free["weights"]
    result = {
        "bias": free["bias"].mean(),
        "bias^2": (free["bias"] ** 2).mean(),
        "weights": weights[~own].mean(),
        "weights^2": (weights[~own] ** 2).mean(),
        "self weights": weights[own].mean(),
        "self weights^2": (weights[own] ** 2).mean(),
        "bias * self weights": (free["bias"][:, None] * weights[own]).mean(),
        "spikes": counts.mean(),
        "last spikes * bias": (counts[-5:].mean(axis=0) * free["bias"]).mean(),
    }
    if "adjacency" in free:
        result["edges"] = free["adjacency"][~own].mean()
        result["self edges"] = free["adjacency"][own].mean()
        result["edges * spikes"] = free["adjacency"].mean() * counts.mean()
    for name, value in free.items():
        if name not in ("bias", "weights", "adjacency"):
            result[name] = np.mean(value)
            result[f"{name}^2"] = np.mean(np.square(value))
    return result
