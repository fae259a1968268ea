"""Weights whose mean has the sign of the pre neuron (Dale's principle)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pytensor.compile.mode import Mode
from pytensor.tensor.variable import TensorConstant, TensorVariable

from pymc_glm.priors.covariance import whitening_factor, with_learned_correlations
from pymc_glm.priors.features import SIGNS, neuron_signs
from pymc_glm.priors.hyperparameters import LEARNED, Hyperparameter, dimensions, hyperparameter
from pymc_glm.priors.weights import Slab, Weights, WeightUnits, slab_with_self_edges

__all__ = ["SignedWeights"]

MEAN_SIGMA = 0.75  # of the log mean
RELATIVE_SCALE = 0.5  # median of standard deviations over means
RELATIVE_SIGMA = 0.3  # of its log

_INTERPRETED = Mode(linker="py", optimizer="fast_compile")  # evaluated once


@dataclass(frozen=True, eq=False)
class SignedWeights(Weights):
    r"""Weights that are positive on average from excitatory neurons, negative from inhibitory ones.

    .. math:: w_{nm} \mid A_{nm} = 1, s_m \sim \mathrm{Normal}(s_m \, \mu_{s_m}, \Sigma_{s_m}),
        \qquad s_m = \begin{cases} +1 & \text{with probability } p \\ -1 & \text{else} \end{cases}

    with mean sizes above 0 and covariances separate for the two signs. A neuron acts in the same
    way at all its synapses (Dale's principle [1]_), so its edges share their sign, and edges about
    which the spikes say little are judged by the others of their neuron.

    Parameters
    ----------
    mean : number, array (basis,) or (sign, basis), PyMC distribution or "learned"
        Sizes of the mean weights, above 0, of excitatory neurons first; (basis,) is common to
        both. By default learned: log-normal around units.scale with sigma 0.75 (see
        `WeightUnits`), in the posterior as ``weight_mean`` (sign, basis), without its sign.
    cov : None or "learned", number, array (basis,) or (basis, basis), or PyMC distribution
        Covariance over basis functions, by default learned for each sign: standard deviations
        ``weight_scale`` (sign, basis) are units.scale times the root mean square of the sign's mean
        sizes over basis functions (in units of units.scale) times ``weight_relative_scale`` (sign,
        basis), log-normal around 0.5 with sigma 0.3; correlations ``weight_corr`` (sign,
        basis_pair) as for `GaussianWeights`. Otherwise as there; a number, a scalar distribution
        and an array (sign, basis, basis) give each sign its own, variances (basis,) and a matrix
        are common to both.
    probability : number, array (pre,), PyMC distribution or "learned"
        Probability that a neuron of unknown sign is excitatory. By default learned: Beta(2, 2), in
        the posterior as ``excitatory_probability``.
    signs : sequence, mapping, Series or DataArray, (neuron,), optional
        Known signs: 1 or "excitatory", -1 or "inhibitory", None or NaN where unknown. By default
        none is known. In the posterior as ``signs`` (pre), in the constant data if all are known.
    self_mean, self_cov : as for `GaussianWeights`, or None
        By default self-edges have a mean and covariance of their own and say nothing about the
        sign. None: self-edges are like others of their neuron.

    Raises
    ------
    ValueError
        When the model is built: not signs, not one for each neuron; a mean or its prior that may be
        0 or below; a probability although all signs are known.

    Notes
    -----
    The slab is normal, so single weights may have the other sign: a mixture of two kinds of
    neurons, not a constraint. Weights and edges stay as easy to draw as under the other priors, and
    single connections against Dale's principle (a neuron that releases two transmitters, an effect
    through a neuron that was not recorded) do not spoil the sign of all others.

    A sign is identified if means are large beside standard deviations; two kinds of neurons with
    small means and wide slabs would be indistinguishable. The learned standard deviations are
    therefore relative to the means: a priori 2% of the weights of a basis function have the other
    sign, and a standard deviation above the mean has the probability 1%. Prefer a `cov` that keeps
    to this.

    References
    ----------
    .. [1] Eccles, Fatt & Koketsu (1954), J. Physiol. 126:524, who named it after Dale (1935).

    Examples
    --------
    >>> import pymc as pm, pymc_glm as pg
    >>> mostly_excitatory = pg.SignedWeights(probability=pm.Beta.dist(8, 2))
    >>> one_known = pg.SignedWeights(signs={"a": "inhibitory", "b": None, "c": None})
    """

    mean: Hyperparameter = LEARNED
    cov: Hyperparameter | None = None
    probability: Hyperparameter = LEARNED
    signs: Any = None
    self_mean: Hyperparameter | None = LEARNED
    self_cov: Hyperparameter | None = LEARNED

    def slab(self, n_neurons: int, units: WeightUnits) -> Slab:
        """Return means and whitening factors of all pairs."""
        pm.modelcontext(None).add_coord("sign", SIGNS)
        signs = neuron_signs("SignedWeights", self.signs, self.probability)
        n_basis = len(units.scale)
        size = self._mean_size(units)
        whitening = pt.broadcast_to(self._whitening(size, units), (2, n_basis, n_basis))
        kind = pt.switch(pt.gt(signs, 0), 0, 1)
        slab = Slab((signs[:, None] * size[kind])[None], whitening[kind][None])
        return slab_with_self_edges(slab, self.self_mean, self.self_cov, n_neurons, units)

    def _mean_size(self, units: WeightUnits) -> TensorVariable:
        """Return the sizes of mean weights, (sign, basis)."""
        n_basis = len(units.scale)
        common = dimensions(self.mean) == 1
        size = hyperparameter(
            "weight_mean",
            self.mean,
            lambda: pm.LogNormal.dist(
                np.broadcast_to(np.log(units.scale), (2, n_basis)), MEAN_SIGMA
            ),
            shape=(n_basis,) if common else (2, n_basis),
            dims=("basis",) if common else ("sign", "basis"),
            lower=1e-12,
        )
        if not isinstance(size, TensorConstant) and _may_be_negative(size):
            raise ValueError(
                f"SignedWeights(mean): got the prior {size.owner.op}, under which mean weights may "
                "be negative; the sign belongs to the neuron, so give a prior of their size, such "
                "as pm.LogNormal.dist(0, 0.5) or pm.HalfNormal.dist(1)."
            )
        return pt.broadcast_to(size, (2, n_basis))

    def _whitening(self, size: TensorVariable, units: WeightUnits) -> TensorVariable:
        """Return whitening factors, broadcastable to (sign, basis, basis)."""
        if not (self.cov is None or (isinstance(self.cov, str) and self.cov == LEARNED)):
            return whitening_factor("weight", self.cov, units.scale, (2,), ("sign",))
        shape, dims = (2, len(units.scale)), ("sign", "basis")
        relative = hyperparameter(
            "weight_relative_scale",
            LEARNED,
            lambda: pm.LogNormal.dist(np.full(shape, np.log(RELATIVE_SCALE)), RELATIVE_SIGMA),
            shape=shape,
            dims=dims,
        )
        strength = pt.sqrt(((size / units.scale) ** 2).mean(axis=-1, keepdims=True))
        scale = relative * units.scale * strength
        if "weight_scale" not in pm.modelcontext(None).root:
            pm.Deterministic("weight_scale", scale, dims=dims)
        return with_learned_correlations("weight", scale, ("sign",))


def _may_be_negative(variable: TensorVariable) -> bool:
    """Return whether a prior has a density at any of some negative values."""
    values = [pt.full_like(variable, -size) for size in np.logspace(-6, 3, 10)]
    possible = [pt.any(pt.gt(pm.logp(variable, value), -np.inf)) for value in values]
    return bool(pt.any(pt.stack(possible)).eval(mode=_INTERPRETED))
