"""ArviZ's power-scaling of priors and likelihood, applied to network models."""

import arviz as az
import numpy as np
import pymc as pm
from pymc.stats import compute_log_prior
from pytensor import config

import pymc_glm as pg
from helpers.drawn_tree import by_pymc, drawn_tree
from helpers.uncompiled import INTERPRETED

BASIS = pg.basis.raised_cosine(2, window=0.05, bin_width=0.005)


def counts_of(n_bins=2000, n=3):
    return np.random.default_rng(0).binomial(1, 0.04, (n_bins, n))


def with_groups(tree, model, var_names=None):
    """Add log prior and log likelihood as docs/criticism.md does."""
    with model, config.change_flags(mode=INTERPRETED):
        compute_log_prior(tree, var_names=var_names, progressbar=False)
    logs = pg.log_likelihood(tree, sum_over="neuron")
    tree["log_likelihood"] = logs.to_dataset(name="spikes")
    return tree


def test_the_groups_sum_to_the_density_of_the_model():
    """The sum of log prior and log likelihood, for all variables including the package's."""
    model = pg.sbm_glm(counts_of(300), BASIS, n_blocks=2)
    tree = with_groups(drawn_tree(model, 5), model)
    prior = tree["log_prior"].dataset
    assert {"adjacency", "weights", "bias", "block_labels"} <= set(prior.data_vars)
    total = sum(prior[name].sum(set(prior[name].dims) - {"chain", "draw"}) for name in prior)
    names = [rv.name for rv in model.free_RVs]
    density = model.compile_logp(jacobian=False, mode=INTERPRETED)
    point = model.initial_point()
    for draw in range(5):
        values = tree["posterior"].dataset.isel(chain=1, draw=draw)
        for name in names:
            rv = model[name]
            value = model.rvs_to_values[rv]
            transform = model.rvs_to_transforms[rv]
            x = values[name].values
            if transform is not None:
                x = transform.forward(x, *rv.owner.inputs).eval(mode=INTERPRETED)
            point[value.name] = x
        likelihood = float(tree["log_likelihood"]["spikes"][1, draw].sum())
        expected = density(point)
        np.testing.assert_allclose(
            float(total[1, draw]) + likelihood, expected, rtol=1e-9, err_msg=str(draw)
        )
    full = by_pymc(tree, model).sum(("time", "post"))
    np.testing.assert_allclose(tree["log_likelihood"]["spikes"].sum("post"), full, rtol=1e-10)


def test_a_prior_that_contradicts_the_data_is_found():
    """Data with rates of 8 Hz, under a wide prior and a narrow one around 1 Hz."""
    found = {}
    for name, sigma in (("wide", 3.0), ("narrow", 0.15)):
        model = pg.dense_glm(
            counts_of(),
            BASIS,
            weights=pg.GaussianWeights(0.0, 0.05, None, None),
            bias=pm.Normal.dist(np.log(0.005), sigma),
        )
        tree = pg.sample(400, 300, chains=2, cores=1, model=model, random_seed=1, quiet=True,
                         progressbar=False)  # fmt: skip
        found[name] = az.psense_summary(with_groups(tree, model, ["bias"]), var_names=["bias"])
    assert (found["wide"]["prior"] < 0.05).all()
    assert (found["narrow"]["prior"] > 0.05).all()
    assert found["narrow"]["diagnosis"].str.contains("conflict").all()
    assert all((table["likelihood"] > 0.05).all() for table in found.values())
