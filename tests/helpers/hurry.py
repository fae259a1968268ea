"""Fits of few draws: to compile their density takes longer than to evaluate it uncompiled."""

from pymc_glm.graph.evaluate import INTERPRETED

UNCOMPILED = {"mode": INTERPRETED}
HURRIED = {  # arguments of pg.sample
    "compile_kwargs": UNCOMPILED,
    "network_nuts": {"max_treedepth": 3, "early_max_treedepth": 3},
}
