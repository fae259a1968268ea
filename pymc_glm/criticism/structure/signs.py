"""Which neurons are excitatory and which inhibitory."""

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from pymc_glm.arguments import as_probability
from pymc_glm.criticism.network.discoveries import discoveries
from pymc_glm.criticism.network.edges import edge_status, indicator_columns
from pymc_glm.criticism.posterior import network_draws, variable
from pymc_glm.criticism.structure.learned import learned, variable_names

__all__ = ["sign_summary"]

_FDR = 0.05


def sign_summary(tree: xr.DataTree, *, fdr: float = _FDR) -> pd.DataFrame:
    r"""Summarise the sign of every neuron: the probability that it is excitatory.

    Parameters
    ----------
    tree : DataTree
        What sampling a model with `SignedWeights` returned; needs the posterior and the constant
        data.
    fdr : float
        Largest expected fraction of wrong signs in the column `sign`, among neurons whose sign was
        not given.

    Returns
    -------
    pandas.DataFrame
        One row per neuron, in the order of the model, with the columns

        neuron
            Label.
        excitatory
            Posterior probability that the neuron is excitatory.
        mcse
            Its Monte Carlo standard error; 0 if the sign is the same in all draws.
        ess
            Effective sample size of the sign; NaN if it is the same in all draws.
        flips
            How often the sign changes from one draw to the next, over all chains.
        chain_min, chain_max
            Smallest and largest frequency of a chain.
        r_hat
            Split R-hat of the sign; NaN if it never changes within a chain.
        edges
            Posterior mean of the number of edges to other neurons, from which the sign is inferred.
        known
            Whether the sign was given.
        sign
            "excitatory" or "inhibitory" if known, or declared so at the rate `fdr`; else "open".
        status
            "settled", "chains disagree", "too few draws" or "ok", as in `edge_summary`.

    Raises
    ------
    TypeError, ValueError
        The tree does not hold the draws of a network, or its signs are not learned; `fdr` is not
        between 0 and 1.

    Notes
    -----
    Decisions, and the test of whether chains disagree, are those of `edge_summary`.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> weights = pg.SignedWeights(1.5, 0.3, 0.5, self_mean=-1.0, self_cov=1.0)
    >>> model = pg.build_glm(counts, basis, edges=pg.BernoulliEdges(0.3, 1.0), weights=weights)
    >>> tree = pg.sample(model=model, random_seed=1, **options)
    >>> pg.sign_summary(tree)[["neuron", "sign"]].head(2)
      neuron        sign
    0      a  excitatory
    1      b  excitatory
    """
    rate = as_probability(fdr, "fdr")
    drawn = learned(tree, "signs", "tree", "build the model with pymc_glm.SignedWeights")
    draws = network_draws(tree)
    columns = indicator_columns(drawn.transpose("pre", "chain", "draw").values > 0)
    known: NDArray = np.zeros(len(draws.neurons), dtype=bool)
    if "known_signs" in variable_names(tree, "constant_data"):
        known = variable(tree, "constant_data", "known_signs").values != 0
    table = pd.DataFrame({"neuron": list(draws.neurons)} | columns)
    status = edge_status(table)
    table = table.drop(columns="p_value").rename(columns={"probability": "excitatory"})
    return table.assign(
        edges=_outgoing(draws.adjacency, len(known)),
        known=known,
        sign=_declared(table["excitatory"].to_numpy(), known, rate),
        status=status,
    )


def _outgoing(adjacency: xr.DataArray | None, n_neurons: int) -> NDArray[np.float64]:
    """Return the mean number of edges from each neuron to others."""
    if adjacency is None:
        return np.full(n_neurons, n_neurons - 1.0)
    mean = adjacency.mean(["chain", "draw"]).transpose("post", "pre").values.astype(np.float64)
    return mean.sum(axis=0) - np.diagonal(mean)


def _declared(excitatory: NDArray, known: NDArray[np.bool_], fdr: float) -> NDArray:
    """Return the sign declared for each neuron."""
    names = np.where(excitatory > 0.5, "excitatory", "inhibitory")
    taken = known.copy()
    taken[~known] = discoveries(np.minimum(excitatory, 1 - excitatory)[~known], fdr)
    return np.where(taken, names, "open")
