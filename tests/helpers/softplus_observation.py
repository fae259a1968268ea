"""A custom observation model, written as in the documentation."""

import contextlib
import math

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pytensor.scalar.math import Softplus
from pytensor.tensor.random.basic import PoissonRV

import pymc_glm as pg


def log_density(count, psi, dispersion):
    """Poisson counts with mean log(1 + exp psi), without the term -log count!."""
    if psi < -30.0:
        mean, p = math.exp(psi), math.exp(psi)
        return count * psi - mean, count - mean, mean
    mean = max(psi, 0.0) + math.log1p(math.exp(-abs(psi)))
    p = 1.0 / (1.0 + math.exp(-psi))  # derivative of the mean
    slope = (count / mean - 1.0) * p
    curvature = count * (p / mean) ** 2 - (count / mean - 1.0) * p * (1.0 - p)
    return count * math.log(mean) - mean, slope, curvature


@contextlib.contextmanager
def softplus_observation():
    """The observation model, which is known within the context only."""

    class SoftplusPoisson(pg.Observation):
        name = "softplus_poisson"
        rv_type = PoissonRV

        @classmethod
        def read(cls, variable):
            (mean,) = variable.owner.op.dist_params(variable.owner)
            known = isinstance(getattr(mean.owner.op, "scalar_op", None), Softplus)
            return cls() if known else None

        def distribution(self, name, psi, **kwargs):
            return pm.Poisson(name, mu=pt.softplus(psi), **kwargs)

        def psi(self, variable):
            return variable.owner.op.dist_params(variable.owner)[0].owner.inputs[0]

        def likelihood(self, counts):
            return pg.log_concave(log_density, counts)

        @staticmethod
        def mean_counts(psi, parameter):
            return np.logaddexp(0.0, psi)

        def activation(self, rate, bin_width):
            return np.log(np.expm1(np.asarray(rate) * bin_width))

    try:
        yield SoftplusPoisson
    finally:
        del pg.Observation.laws["softplus_poisson"]
