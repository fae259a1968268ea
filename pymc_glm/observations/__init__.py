"""Observation models: the distribution of counts given the activation psi.

A new one is one class in one file; steps and builders recognise it by its `rv_type`.
"""

from pytensor.tensor.variable import TensorVariable

from pymc_glm.observations.custom import log_concave
from pymc_glm.observations.gaussian import Gaussian
from pymc_glm.observations.logistic import Bernoulli, Binomial
from pymc_glm.observations.negative_binomial import NegativeBinomial
from pymc_glm.observations.observation import Observation
from pymc_glm.observations.poisson import Poisson

__all__ = [
    "Bernoulli",
    "Binomial",
    "Gaussian",
    "NegativeBinomial",
    "Observation",
    "Poisson",
    "log_concave",
    "observation_model",
    "observation_named",
    "observation_of",
]


def observation_model(observation: str | Observation) -> Observation:
    """Return an observation model by name, or the one given.

    Parameters
    ----------
    observation : str or Observation

    Raises
    ------
    ValueError
        The name is unknown, or that of an observation model whose parameters have to be given.
    """
    if isinstance(observation, Observation):
        return observation
    if observation == Binomial.name:
        raise ValueError(
            "observation: got 'binomial', which needs its number of trials; give "
            "pymc_glm.Binomial(n_trials)."
        )
    known = {name: kind for name, kind in Observation.laws.items() if kind is not Binomial}
    if isinstance(observation, str) and observation in known:
        return known[observation]()
    raise ValueError(
        f"observation: got {observation!r}, allowed are {', '.join(map(repr, known))}, "
        "pymc_glm.Binomial(n_trials), and other observation models."
    )


def observation_named(name: str) -> type[Observation]:
    """Return the class of an observation model.

    Parameters
    ----------
    name : str

    Raises
    ------
    ValueError
        The name is unknown.
    """
    if name not in Observation.laws:
        raise ValueError(
            f"observation: got {name!r}, known are {sorted(Observation.laws)}; define a custom "
            "observation model before it is used."
        )
    return Observation.laws[name]


def observation_of(variable: TensorVariable) -> Observation | None:
    """Return the observation model of a PyMC variable, None if there is no known one."""
    op = None if variable.owner is None else variable.owner.op
    for kind in reversed(Observation.laws.values()):
        if isinstance(op, kind.rv_type):
            found = kind.read(variable)
            if found is not None:
                return found
    return None
