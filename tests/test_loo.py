"""Leave-one-out against ArviZ and exact Gaussian answers; subsamples against the whole."""

import tracemalloc
import warnings

import arviz as az
import numpy as np
import pymc as pm
import pytest
import xarray as xr
from arviz_stats.base import array_stats
from scipy.stats import genpareto

import pymc_glm as pg
from helpers.drawn_tree import drawn_tree
from pymc_glm.kernels.history import convolve_history
from pymc_glm.kernels.psis import (
    fit_pareto,
    loo_of_logs,
    loo_of_ratios,
    smooth_weights,
    smoother,
    tail_length,
)

BASIS = pg.basis.raised_cosine(2, window=0.1, bin_width=0.02)
OBSERVATIONS = {
    "bernoulli": pg.Bernoulli(),
    "binomial": pg.Binomial(4),
    "negative binomial": pg.NegativeBinomial(),
    "poisson": pg.Poisson(),
    "gaussian": pg.Gaussian(),
}


def counts_of(observation=None, n_bins=100, n=3, seed=0, **along):
    rng = np.random.default_rng(seed)
    values = rng.poisson(0.2, (n_bins, n)).clip(0, 1)
    if isinstance(observation, pg.Gaussian):
        values = rng.normal(size=(n_bins, n))
    elif observation is not None and observation.most > 1:
        values = rng.poisson(0.8, (n_bins, n)).clip(0, observation.most).astype(int)
    values[n_bins // 2 : n_bins // 2 + 20] = 0  # silence
    coords = {"time": np.arange(n_bins) * 0.02, "neuron": list("abcdef")[:n]}
    coords |= {name: ("time", value) for name, value in along.items()}
    attrs = {"bin_width": 0.02}
    return xr.DataArray(values, dims=("time", "neuron"), coords=coords, attrs=attrs)


def quiet(function, *arguments, **options):
    """Call without warnings of large k."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*Pareto.*", UserWarning)
        return function(*arguments, **options)


def narrow(tree, factor=0.2):
    """Move draws closer together, as in a posterior, and correlate successive ones."""
    posterior = tree["posterior"].dataset.copy()
    for name in ("bias", "weights"):
        x = posterior[name]
        near = x.isel(chain=0, draw=0) + factor * (x - x.isel(chain=0, draw=0))
        near = near.where(x != 0, 0.0) if name == "weights" else near
        posterior[name] = (near + near.shift(draw=1).fillna(near)) / 2
    return xr.DataTree.from_dict({**tree.to_dict(), "/posterior": posterior})


def by_arviz(tree, sum_over=None, **options):
    logs = pg.log_likelihood(tree, sum_over=sum_over, **options)
    full = xr.DataTree.from_dict(
        {"posterior": tree["posterior"].dataset, "log_likelihood": logs.to_dataset(name="spikes")}
    )
    return quiet(az.loo, full, pointwise=True), full


def agree(ours, theirs):
    for name in ("elpd", "se", "p", "good_k"):
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-8, err_msg=name)
    assert (ours.n_samples, ours.n_data_points) == (theirs.n_samples, theirs.n_data_points)
    assert ours.warning == theirs.warning
    np.testing.assert_allclose(ours.elpd_i, theirs.elpd_i, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(ours.pareto_k, theirs.pareto_k, atol=1e-6)
    assert ours.elpd_i.dims == theirs.elpd_i.dims


@pytest.mark.parametrize("observation", OBSERVATIONS.values(), ids=OBSERVATIONS)
def test_loo_against_arviz(observation):
    """Two chains, so that the relative efficiency is that of the draws, and is below 1."""
    model = pg.build_glm(counts_of(observation), BASIS, observation=observation)
    tree = narrow(drawn_tree(model, 100))
    theirs, _ = by_arviz(tree)
    agree(quiet(pg.loo, tree, model), theirs)


def test_blocks_trials_covariates_and_one_chain():
    counts = counts_of(trial=np.repeat(np.arange(5), 20))
    covariates = np.random.default_rng(0).normal(size=(100, 1))
    model = pg.build_glm(counts, BASIS, covariates=covariates, exclude=[[0.1, 0.2]])
    tree = narrow(drawn_tree(model, 100, chains=1))
    for unit, options in (("block", {"block_width": 0.1}), ("trial", {})):
        ours = quiet(pg.loo, tree, unit=unit, **options)
        agree(ours, by_arviz(tree, unit, **options)[0])
        assert ours.elpd_i.dims == (unit, "post")
    assert quiet(pg.loo, tree).elpd_i.dims == ("observed_time", "post")


def test_the_number_of_threads_does_not_matter():
    tree = narrow(drawn_tree(pg.build_glm(counts_of(n_bins=300), BASIS), 50))
    one, many = (quiet(pg.loo, tree, threads=n) for n in (1, 3))
    for name in ("elpd_i", "pareto_k", "p_loo_i"):
        assert np.array_equal(one[name], many[name]), name


@pytest.mark.parametrize("n_draws", [30, 200, 1000])
@pytest.mark.parametrize("scale", [1e-4, 0.1, 1.0, 8.0])
def test_kernels_against_arviz(n_draws, scale):
    rng = np.random.default_rng(1)
    for reff, logs in ((1.0, rng.standard_t(3, n_draws)), (0.4, rng.normal(size=n_draws))):
        length = tail_length(n_draws, reff)
        room = smoother(n_draws, length)
        elpd, k, p = array_stats.loo(scale * logs[None], chain_axis=0, draw_axis=1, r_eff=reff)
        expected = elpd, k, p + elpd
        np.testing.assert_allclose(loo_of_logs(scale * logs, room), expected, rtol=1e-7)
        np.testing.assert_allclose(loo_of_ratios(np.exp(-scale * logs), room), expected, rtol=1e-7)
        weights, shape = smooth_weights(-scale * logs, length)
        theirs, their_k = array_stats.psislw(scale * logs[None], r_eff=reff, axis=[0, 1])
        np.testing.assert_allclose(weights, np.exp(theirs[0]), rtol=1e-9)
        np.testing.assert_allclose(shape, their_k, rtol=1e-7)


@pytest.mark.parametrize("k", [-0.2, 0.1, 0.5, 0.9])
def test_shapes_are_recovered(k):
    """Within 4 standard errors, at most (1 + k) / sqrt(4000) = 0.03 each."""
    x = np.sort(genpareto.rvs(k, scale=2.0, size=4000, random_state=3))
    shape, scale = fit_pareto(x, smoother(5000, x.size))
    assert abs(shape - k) < 0.12
    assert abs(scale / 2.0 - 1.0) < 0.15


def test_degenerate_ratios():
    room = smoother(100, tail_length(100, 1.0))
    elpd, k, lpd = loo_of_logs(np.full(100, -2.0), room)
    assert np.isnan(k)
    np.testing.assert_allclose([elpd, lpd], -2.0)
    _, k, _ = loo_of_logs(-np.geomspace(1, 1e6, 100), room)  # one draw has all the weight
    assert k == np.inf


# --- exact answers -------------------------------------------------------------------------------

NOISE, SLAB, LEVEL = 0.5, 0.3, 1.0  # variances of noise and weights, standard deviation of biases


def traces(outlier=12.0, n=2):
    values = np.random.default_rng(4).normal(size=(40, n))
    values[17, 0] = outlier
    values[30, 1] = outlier * 0.9
    return values


def gaussian_model(values, out=None):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pg.dense_glm(
            values,
            BASIS.isel(basis=[0]),
            weights=pg.GaussianWeights(0.0, SLAB, None, None),
            bias=pm.Normal.dist(0.0, LEVEL),
            observation=pg.Gaussian(NOISE),
            exclude=out,
        )


def regression(values, out):
    """Posterior mean and covariance (post, ...) of bias and weights without some bins, and X."""
    history = convolve_history(values, BASIS.isel(basis=[0]).values)[:, :, 0]
    x = np.column_stack([np.ones(len(values)), history])
    precision = np.diag([1 / LEVEL**2] + [1 / SLAB] * values.shape[1])
    used = x[~out]
    cov = np.linalg.inv(used.T @ used / NOISE + precision)
    return (cov @ used.T @ values[~out] / NOISE).T, cov, x


def exact_tree(values, out=None, seed=0, draws=2000):
    """Independent draws from the exact posterior."""
    mean, cov, _ = regression(values, np.zeros(len(values), bool) if out is None else out)
    rng = np.random.default_rng(seed)
    n = values.shape[1]
    drawn = np.stack([rng.multivariate_normal(m, cov, (2, draws // 2)) for m in mean], axis=2)
    tree = drawn_tree(gaussian_model(values, out), 1, 1)
    dims = ("chain", "draw", "post")
    labels = tree["constant_data"]["post"].values
    posterior = xr.Dataset(
        {"bias": (dims, drawn[..., 0]), "weights": ((*dims, "pre", "basis"), drawn[..., 1:, None])},
        {"chain": [0, 1], "draw": np.arange(draws // 2), "post": labels, "pre": labels},
    )
    assert posterior["weights"].shape == (2, draws // 2, n, n, 1)
    return xr.DataTree.from_dict(
        {"posterior": posterior, "constant_data": tree["constant_data"].dataset}
    )


def exact_loo(values, size=1):
    """Log predictive densities (block, post) of runs of bins, left out of each neuron."""
    found = []
    for start in range(0, len(values), size):
        out = np.zeros(len(values), bool)
        out[start : start + size] = True
        mean, cov, x = regression(values, out)
        spread = x[out] @ cov @ x[out].T + NOISE * np.eye(out.sum())
        away = values[out] - x[out] @ mean.T
        _, determinant = np.linalg.slogdet(2 * np.pi * spread)
        found.append(-0.5 * (np.einsum("in,in->n", away, np.linalg.solve(spread, away))
                             + determinant))  # fmt: skip
    return np.array(found)


def test_exact_answers():
    """Without outliers all k are small, and every bin is within Monte Carlo error."""
    values = traces(outlier=1.0)
    found = pg.loo(exact_tree(values))
    assert (found.pareto_k < 0.7).all()
    np.testing.assert_allclose(found.elpd_i, exact_loo(values), atol=0.05)
    np.testing.assert_allclose(found.elpd, exact_loo(values).sum(), atol=0.3)


def test_unreliable_estimates_are_named_and_mended():
    values = traces()
    tree = exact_tree(values)
    with pytest.warns(UserWarning, match=r"neuron '0' at 0\.34 s \(k = .*mend_loo replaces"):
        found = pg.loo(tree)
    table = pg.influential(found)
    assert set(zip(table["neuron"], table["index"], strict=True)) >= {("0", 17), ("1", 30)}
    assert table["time"][table["index"] == 17].iloc[0] == pytest.approx(0.34)
    asked = []

    def refit(out):
        asked.append(np.flatnonzero(out).tolist())
        return exact_tree(values, out, seed=5)

    mended = pg.mend_loo(found, tree, refit)
    assert sorted(asked) == [[i] for i in sorted(set(table["index"]))]
    exact = exact_loo(values)
    bad = found.pareto_k.values > found.good_k
    np.testing.assert_allclose(mended.elpd_i.values[bad], exact[bad], rtol=0.02, atol=0.1)
    assert np.abs(found.elpd_i.values - exact)[bad].max() > 0.5  # so it was needed
    np.testing.assert_array_equal(mended.elpd_i.values[~bad], found.elpd_i.values[~bad])
    assert mended.elpd == pytest.approx(mended.elpd_i.sum().item())
    assert found.warning  # the argument is unchanged
    alone = pg.mend_loo(found, tree, refit, put_back=False)  # the same if priors are fixed
    np.testing.assert_allclose(alone.elpd_i.values[bad], exact[bad], rtol=0.02, atol=0.1)
    assert pg.influential(alone).empty and not alone.warning
    lpd = [(x.elpd_i + x.p_loo_i).values for x in (found, mended)]
    np.testing.assert_allclose(*lpd)


def test_blocks_are_mended():
    values = traces()
    tree = exact_tree(values)
    found = quiet(pg.loo, tree, unit="block", block_width=0.08)
    mended = pg.mend_loo(found, tree, lambda out: exact_tree(values, out, seed=5), put_back=False)
    bad = found.pareto_k.values > found.good_k
    assert bad.any()
    np.testing.assert_allclose(
        mended.elpd_i.values[bad], exact_loo(values, 4)[bad], rtol=0.03, atol=0.2
    )


def test_invalid_refits_are_refused():
    values = traces()
    tree = exact_tree(values)
    found = quiet(pg.loo, tree)
    with pytest.raises(ValueError, match=r"most: \d refits are needed.*allowed are 1 .*at 0\.34 s"):
        pg.mend_loo(found, tree, lambda out: tree, most=1)
    with pytest.raises(ValueError, match=r"refit: it returned .* the wrong excluded bins"):
        pg.mend_loo(found, tree, lambda out: tree)
    with pytest.raises(TypeError, match="refit: it returned NoneType"):
        pg.mend_loo(found, tree, lambda out: None)
    with pytest.raises(TypeError, match="elpd: got DataTree"):
        pg.mend_loo(tree, tree, lambda out: tree)
    other = exact_tree(values[:30])
    with pytest.raises(ValueError, match="tree: it has 30 observations of 2"):
        pg.mend_loo(found, other, lambda out: other)


# --- ArviZ accepts it ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two():
    """Trees of two models of the same data."""
    counts = counts_of(n_bins=200)
    made = []
    for basis in (BASIS, BASIS.isel(basis=[0])):
        made.append(narrow(drawn_tree(pg.build_glm(counts, basis), 100)))
    return made


def test_arviz_compares_prints_and_plots(two):
    import matplotlib.pyplot as plt

    ours = {name: quiet(pg.loo, tree) for name, tree in zip("ab", two, strict=True)}
    theirs = {name: by_arviz(tree)[0] for name, tree in zip("ab", two, strict=True)}
    tables = [quiet(az.compare, x, round_to="none") for x in (ours, theirs)]
    assert tables[0].index.tolist() == tables[1].index.tolist()
    for column in ("elpd", "p", "elpd_diff", "dse", "weight"):
        np.testing.assert_allclose(tables[0][column], tables[1][column], rtol=1e-5, atol=1e-7)
    text = str(ours["a"])
    assert "Computed from 200 posterior samples and 600 observations" in text
    assert text == str(theirs["a"])
    az.plot_khat(ours["a"])
    az.plot_compare(tables[0])
    plt.close("all")
    difference = pg.elpd_difference(ours["a"], ours["b"])
    assert isinstance(difference, pg.ElpdDifference)
    worse = tables[0].iloc[1]
    np.testing.assert_allclose(abs(difference.difference), -worse["elpd_diff"])
    np.testing.assert_allclose(difference.se, worse["dse"], rtol=0.01)  # 1 / (n - 1) there 1 / n
    assert difference.subsampling_se == 0


def test_efficiency():
    """Repeating every draw four times quarters the efficiency, which lengthens the tail."""
    tree = narrow(drawn_tree(pg.build_glm(counts_of(), BASIS), 100, chains=4), 0.2)
    repeated = tree["posterior"].dataset.isel(draw=np.repeat(np.arange(100), 4))
    repeated = repeated.assign_coords(draw=np.arange(400))
    tree = xr.DataTree.from_dict({**tree.to_dict(), "/posterior": repeated})
    logs = pg.log_likelihood(tree)
    posts = []
    for post in range(3):
        values = np.exp(logs.isel(post=post)).transpose("time", "chain", "draw").values
        ess = array_stats.ess(values, chain_axis=1, draw_axis=2, method="mean")
        posts.append(np.mean(ess) / 1600)
    ours = quiet(pg.loo, tree, reff="likelihood")
    assert max(posts) < 0.35
    for post, reff in enumerate(posts):
        near = quiet(pg.loo, tree, reff=reff).pareto_k.isel(post=post)
        far = quiet(pg.loo, tree, reff=1.0).pareto_k.isel(post=post)
        distance = [float(np.abs(ours.pareto_k.isel(post=post) - x).mean()) for x in (near, far)]
        assert distance[0] < 0.5 * distance[1]


# --- subsamples ----------------------------------------------------------------------------------


def test_subsamples_are_unbiased_with_correct_standard_errors(two):
    """Mean and standard deviation of 150 estimates, each from 60 of 600 observations."""
    tree, other = two
    whole, alternative = (quiet(pg.loo, t, reff=1.0) for t in two)
    options = {"n_observations": 60, "reff": 1.0}
    pairs = [
        [quiet(pg.loo_subsample, t, random_seed=seed, **options) for t in (tree, other)]
        for seed in range(150)
    ]
    estimates = np.array([one.elpd for one, _ in pairs])
    errors = np.array([one.subsampling_se for one, _ in pairs])
    spread = estimates.std(ddof=1)
    assert abs(estimates.mean() - whole.elpd) < 4 * spread / np.sqrt(150)
    assert 0.7 < np.sqrt(np.mean(errors**2)) / spread < 1.4
    ratio = np.mean([one.se for one, _ in pairs]) / whole.se
    assert 0.9 < ratio < 1.1
    truth = pg.elpd_difference(whole, alternative)
    away = [pg.elpd_difference(*pair) for pair in pairs]
    values = np.array([x.difference for x in away])
    assert abs(values.mean() - truth.difference) < 4 * values.std() / np.sqrt(150)
    sampling = np.sqrt(np.mean([x.subsampling_se**2 for x in away]))
    assert 0.7 < sampling / values.std(ddof=1) < 1.4
    assert 0.8 < np.mean([x.se for x in away]) / truth.se < 1.2


def test_subsamples_against_arviz(two):
    tree = two[0]
    one, two_ = (quiet(pg.loo_subsample, t, n_observations=100, random_seed=2) for t in two)
    whole = quiet(pg.loo, tree)
    chosen = one.loo_subsample_observations
    inside = np.isfinite(one.elpd_i.values.ravel())
    assert np.array_equal(np.flatnonzero(inside), chosen)
    np.testing.assert_array_equal(
        one.elpd_i.values.ravel()[chosen], whole.elpd_i.values.ravel()[chosen]
    )
    theirs = array_stats.diff_srs_estimator(
        one.elpd_i.values.ravel()[chosen],
        one.elpd_loo_approx.values.ravel()[chosen],
        one.elpd_loo_approx.values.ravel(),
        600,
    )
    np.testing.assert_allclose([one.elpd, one.subsampling_se, one.se], theirs, rtol=1e-9)
    assert "subsampling SE" in str(one)
    table = quiet(az.compare, {"a": one, "b": two_}, method="pseudo-bma", round_to="none")
    ours = pg.elpd_difference(one, two_)
    stacked = quiet(az.compare, {"a": one, "b": two_}, round_to="none")
    np.testing.assert_allclose(stacked["weight"], 0.5)  # wrong, as docs/criticism.md says
    worse = table.iloc[1]
    np.testing.assert_allclose(abs(ours.difference), -worse["elpd_diff"], rtol=1e-9)
    np.testing.assert_allclose(ours.subsampling_se, worse["subsampling_dse"], rtol=1e-9)
    means = {n: tree["posterior"][n].mean(("chain", "draw")) for n in ("bias", "weights")}
    mean = xr.Dataset({n: x.expand_dims(chain=[0], draw=[0]) for n, x in means.items()})
    plug = pg.log_likelihood(xr.DataTree.from_dict({**tree.to_dict(), "/posterior": mean}))
    np.testing.assert_allclose(one.elpd_loo_approx, plug[0, 0], rtol=1e-12)


def test_a_sample_of_all_is_loo(two):
    tree = two[0]
    whole = quiet(pg.loo, tree)
    all_of_it = quiet(pg.loo_subsample, tree, n_observations=600)
    np.testing.assert_allclose([all_of_it.elpd, all_of_it.p], [whole.elpd, whole.p], rtol=1e-10)
    assert all_of_it.subsampling_se == 0


def test_memory():
    """Pointwise log likelihoods would take 48 MB, and weights twice that."""
    tree = narrow(drawn_tree(pg.build_glm(counts_of(n_bins=20_000), BASIS), 50))
    quiet(pg.loo, tree, unit="block")  # compiled
    tracemalloc.start()
    found = quiet(pg.loo, tree)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.n_data_points == 60_000
    assert peak < 12e6


def test_arguments_out_of_range_are_refused(two):
    tree = two[0]
    with pytest.raises(ValueError, match=r"unit: got 'neuron', allowed are 'bin', 'block', 'tri"):
        pg.loo(tree, unit="neuron")
    few = xr.DataTree.from_dict(
        {**tree.to_dict(), "/posterior": tree["posterior"].dataset.isel(draw=slice(0, 12))}
    )
    with pytest.raises(ValueError, match=r"it has 24 draws in all chains, but .* at least 25"):
        pg.loo(few)
    for reff in (0.0, "bin"):
        with pytest.raises(ValueError, match=r"reff: got .*allowed are numbers above 0"):
            pg.loo(tree, reff=reff)
    with pytest.raises(
        ValueError, match=r"model: it differs from the one .* in its number of bins"
    ):
        pg.loo(tree, pg.build_glm(counts_of(), BASIS))
    with pytest.raises(ValueError, match=r"n_observations: got 601, allowed are whole .* to 600"):
        pg.loo_subsample(tree, n_observations=601)
    with pytest.raises(ValueError, match="reff: got 'likelihood', allowed here"):
        pg.loo_subsample(tree, n_observations=10, reff="likelihood")
    whole = quiet(pg.loo, tree)
    some = [quiet(pg.loo_subsample, tree, n_observations=50, random_seed=seed) for seed in range(2)]
    with pytest.raises(ValueError, match="their samples differ; use the same random_seed"):
        pg.elpd_difference(*some)
    with pytest.raises(TypeError, match="only one is subsampled; subsample both, or neither"):
        pg.elpd_difference(whole, some[0])
    with pytest.raises(ValueError, match="use the same data and unit"):
        pg.elpd_difference(whole, quiet(pg.loo, tree, unit="block"))
    with pytest.raises(TypeError, match="second: got DataTree"):
        pg.elpd_difference(whole, tree)
    with pytest.raises(TypeError, match="elpd: got DataTree"):
        pg.influential(tree)
