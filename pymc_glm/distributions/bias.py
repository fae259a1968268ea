"""Biases, the activation of a silent network."""

import pymc as pm
from pytensor.tensor.random.basic import NormalRV

__all__ = ["Baseline", "BaselineRV"]


class BaselineRV(NormalRV):
    """Random variable type of `Baseline`."""

    _print_name = ("Baseline", "\\operatorname{Baseline}")


class Baseline(pm.Normal):
    r"""Biases, :math:`b_n \sim \mathrm{Normal}(\mu_n, \sigma_n)`, with a distinct type.

    Parameters
    ----------
    mu, sigma : tensor_like of float, broadcastable to (post,)
    tau : tensor_like of float, optional
        Precision, instead of sigma, as in `pymc.Normal`.

    Examples
    --------
    >>> import pymc as pm
    >>> from pymc_glm.distributions import Baseline
    >>> pm.draw(Baseline.dist(-3.0, 1.0, shape=4)).shape
    (4,)
    """

    rv_op = BaselineRV()
