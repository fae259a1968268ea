"""Densities evaluated without compiling them, which in a short test takes longer than it saves."""

from pymc_glm.graph.evaluate import INTERPRETED

__all__ = ["INTERPRETED", "QUICK_FIT", "UNCOMPILED"]

UNCOMPILED = {"mode": INTERPRETED}  # as compile_kwargs
QUICK_FIT = {  # arguments of pg.sample
    "compile_kwargs": UNCOMPILED,
    "network_nuts": {"max_treedepth": 3, "early_max_treedepth": 3},
}
