"""Posteriors saved by version 0.1.0 are loaded, and give the same numbers as then.

tests/data holds two short fits and, in saved_numbers.json, what version 0.1.0 computed from them.
"""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

import pymc_glm as pg
from helpers.uncompiled import INTERPRETED

DATA = Path(__file__).parent / "data"
FITS = ("blocks_and_covariates", "distance_and_sessions")
SESSIONS = {"blocks_and_covariates": [], "distance_and_sessions": ["monday", "tuesday"]}


def numbers_of_one(tree):
    """Results of model criticism for a posterior of one session."""
    rescaled = pg.time_rescaling(tree, random_seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # so few draws have large Pareto k
        elpd = pg.loo(tree).elpd
    return {
        "edge_probability": pg.edge_summary(tree, min_effect=0)["probability"],
        "filter": pg.filter_bands(tree)["mean"],
        "rate": pg.predicted_rates(tree, random_seed=4)["mean"].values[::40],
        "rate_of_simulations": pg.posterior_rates(tree, draws=5, random_seed=2)["rate"],
        "ks": rescaled["ks_mean"],
        "elpd": elpd,
        "log_likelihood": pg.log_likelihood(tree, sum_over="neuron"),
        "residual_correlation": pg.residual_correlograms(tree, random_seed=3)["correlation"],
    }


def numbers(name):
    """Results from a saved fit and its model."""
    tree, model = pg.load(DATA / f"{name}.nc")
    log_density = model.compile_logp(mode=INTERPRETED)
    found = {"log_density": log_density(model.initial_point(0))}
    parts = {session: pg.session(tree, session) for session in SESSIONS[name]} or {"": tree}
    for session, part in parts.items():
        found |= {f"{session} {key}": value for key, value in numbers_of_one(part).items()}
    if name == "blocks_and_covariates":
        found["co_assignment"] = pg.block_summary(tree).co_assignment
    else:
        found["distance"] = pg.align_positions(parts["monday"]).distances["mean"]
    return {key: np.ravel(np.asarray(value, dtype=float)).tolist() for key, value in found.items()}


@pytest.mark.parametrize("name", FITS)
def test_numbers_are_those_of_version_0_1_0(name):
    expected = json.loads((DATA / "saved_numbers.json").read_text())[name]
    found = numbers(name)
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        np.testing.assert_allclose(found[key], values, rtol=1e-9, atol=1e-9, err_msg=key)
