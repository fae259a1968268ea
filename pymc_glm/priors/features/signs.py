"""Signs of neurons, excitatory or inhibitory: known, or with a probability."""

from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray
from pytensor.tensor.variable import TensorVariable

from pymc_glm.distributions import NeuronSign
from pymc_glm.priors.features.neurons import by_neuron, neurons_of
from pymc_glm.priors.hyperparameters import LEARNED, Hyperparameter, dimensions, hyperparameter

__all__ = ["SIGNS", "neuron_signs"]

SIGNS = ("excitatory", "inhibitory")  # the coordinate "sign" of hyperparameters

_MEANING = {"excitatory": 1, "inhibitory": -1, 1: 1, -1: -1}


def _known(part: str, signs: Any, neurons: list[str]) -> NDArray[np.int8]:
    """Return the sign of each neuron as 1 or -1, and 0 where it is unknown."""
    array = by_neuron(f"{part}(signs)", signs, neurons)
    if array.ndim != 1:
        raise ValueError(
            f"{part}(signs): got the shape {array.shape}; give one sign for each neuron."
        )
    known = np.zeros(len(neurons), dtype=np.int8)
    for n, (neuron, sign) in enumerate(zip(neurons, array.tolist(), strict=True)):
        if pd.isna(sign):
            continue
        if isinstance(sign, bool) or sign not in _MEANING:
            raise ValueError(
                f"{part}(signs): got {sign!r} for neuron {neuron!r}, allowed are 1 or "
                "'excitatory', -1 or 'inhibitory', and None or NaN where the sign is unknown."
            )
        known[n] = _MEANING[sign]
    return known


def neuron_signs(part: str, signs: Any, probability: Hyperparameter) -> TensorVariable:
    """Return the sign of each pre neuron, 1 (excitatory) or -1 (inhibitory), (pre,).

    Parameters
    ----------
    part : str
        Name of the prior's class, for messages.
    signs : sequence, mapping, Series or DataArray, (neuron,), or None
        Known signs: 1 or "excitatory", -1 or "inhibitory", None or NaN where unknown. If all are
        known, ``signs`` is data. Else it is a `NeuronSign` variable in which the known ones are
        certain; if there are any, the data ``known_signs`` (pre) is 0 where they are unknown.
    probability : number, array (neuron,), PyMC distribution or "learned"
        Probability that a neuron of unknown sign is excitatory. "learned": Beta(2, 2), as
        ``excitatory_probability``.

    Raises
    ------
    ValueError
        Not signs, not one for each neuron, or a probability although all signs are known.
    """
    neurons = neurons_of(pm.modelcontext(None))
    known = np.zeros(len(neurons), np.int8) if signs is None else _known(part, signs, neurons)
    if known.all():
        if not (isinstance(probability, str) and probability == LEARNED):
            raise ValueError(
                f"{part}(probability): it belongs to neurons whose sign is unknown, but all signs "
                "are given; leave out one of the two."
            )
        return pm.Data("signs", known, dims="pre")
    one_per_neuron = dimensions(probability) > 0
    excitatory = hyperparameter(
        "excitatory_probability",
        probability,
        lambda: pm.Beta.dist(2.0, 2.0),
        shape=(len(neurons),) if one_per_neuron else (),
        dims=("pre",) if one_per_neuron else None,
        lower=0.0,
        upper=1.0,
    )
    p = excitatory
    if known.any():
        given = pm.Data("known_signs", known, dims="pre")
        p = pt.switch(pt.eq(given, 0), excitatory, pt.gt(given, 0).astype("float64"))
    return NeuronSign("signs", p, dims="pre")
