"""Covariates: what may be given, bases over values, and samplers of their weights."""

import warnings

import arviz as az
import numpy as np
import pymc as pm
import pytest
import xarray as xr
from scipy.signal import convolve

import pymc_glm as pg
from helpers import joint
from helpers.columns import dense_history
from helpers.uncompiled import UNCOMPILED
from pymc_glm.covariates import read_covariates
from pymc_glm.distributions import CovariateWeights
from pymc_glm.graph.covariate_groups import CovariateLayout, CovariateTerms
from pymc_glm.graph.data import spike_data
from pymc_glm.graph.find import find_network
from pymc_glm.kernels.spike_history import write_psi

BASIS = pg.basis.raised_cosine(2, window=0.02, bin_width=0.005)


def counts_of(n_bins=200, n=3, seed=0):
    return np.random.default_rng(seed).poisson(0.2, (n_bins, n)).clip(0, 1)


def covariates_of(n_bins=200, n=3, seed=1):
    return np.random.default_rng(seed).normal(size=(n_bins, n))


# --- designs -------------------------------------------------------------------------------------


@pytest.mark.parametrize("causal", [True, False])
def test_convolved_designs(causal):
    """Against a sum over lags written out."""
    stimulus = np.random.default_rng(0).normal(size=50)
    filters = pg.basis.raised_cosine(3, window=0.035, bin_width=0.005)  # seven lags
    found = pg.covariate_design(stimulus, filters, causal=causal, segment_start=[0, 20])
    ahead = 0 if causal else 3
    for t in range(50):
        first, end = (0, 20) if t < 20 else (20, 50)
        expected = np.zeros(3)
        for lag in range(7):
            if first <= t + ahead - lag < end:
                expected += filters.values[lag] * stimulus[t + ahead - lag]
        np.testing.assert_allclose(found.values[t], expected, atol=1e-12)
    whole = pg.covariate_design(stimulus, filters).values
    one = convolve(stimulus, filters.values[:, 1])[:50]
    np.testing.assert_allclose(whole[:, 1], one, atol=1e-12)


@pytest.mark.parametrize("make", [pg.basis.bumps, pg.basis.splines])
def test_bases_over_values(make):
    x = np.linspace(2.0, 5.0, 301)
    for cyclic in (False, True):
        values = make(6, 2.0, 5.0, cyclic=cyclic)(x)
        assert values.shape == (301, 6)
        np.testing.assert_allclose(values.sum(axis=1), 1.0, atol=1e-12)
        assert values.min() >= 0
        np.testing.assert_allclose(values[0], values[-1], atol=1e-12) if cyclic else None
        np.testing.assert_allclose(np.diff(values, axis=0), 0, atol=0.05)  # continuous
    around = make(6, 2.0, 5.0, cyclic=True)
    np.testing.assert_allclose(around(x + 30.0), around(x), atol=1e-9)
    shifted = around(x + 0.5)  # the functions are shifts of each other, 0.5 apart
    np.testing.assert_allclose(np.roll(shifted, -1, axis=1), around(x), atol=1e-9)
    with pytest.raises(ValueError, match=r"5.5 in bin 1 is outside the basis, 2 to 5"):
        make(6, 2.0, 5.0)([3.0, 5.5])
    for wrong in ((1, 0, 1), (2.5, 0, 1), (5, 1, 1), (5, 0, np.inf)):
        with pytest.raises(ValueError, match=r"n_basis|low, high"):
            make(*wrong)


def test_labels_of_designs():
    coords = {"covariate": ["x", "y"], "time": np.arange(5) * 0.1}
    variable = xr.DataArray(np.zeros((5, 2)), dims=("time", "covariate"), coords=coords)
    design = pg.covariate_design(variable, pg.basis.bumps(2, 0, 1))
    assert design["covariate"].values.tolist() == ["x[0]", "x[1]", "y[0]", "y[1]"]
    assert design["time"].values[1] == 0.1
    speed = xr.DataArray(np.zeros(5), dims="time", name="speed")
    assert "speed[0]" in pg.covariate_design(speed, BASIS)["covariate"]


def test_what_is_no_basis():
    with pytest.raises(TypeError, match="basis: got ndarray; give a DataArray"):
        pg.covariate_design(np.zeros(5), np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"the function returned the shape \(5,\)"):
        pg.covariate_design(np.zeros(5), np.cos)


# --- input ---------------------------------------------------------------------------------------


def _with(value, index=(7, 1)):
    values = covariates_of()
    values[index] = value
    return values


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (covariates_of(199), "got 199 bins, the counts have 200"),
        (_with(np.nan), r"nan in bin 7 of '1' \(1 in total\)"),
        (_with(np.inf), r"inf in bin 7 of '1'"),
        (np.zeros((200, 2, 2)), "got 3 dimensions"),
        (np.full((200, 1), "a"), "values of type <U1"),
        (np.ones((200, 1)), "'0' is 1 in every bin"),
        (xr.DataArray(covariates_of(), dims=("t", "c")), r"got the dims \('t', 'c'\)"),
        (
            xr.DataArray(covariates_of(), dims=("time", "covariate")).assign_coords(
                covariate=["a", "b", "a"]
            ),
            r"the labels \['a'\] occur more than once",
        ),
        (
            xr.DataArray(covariates_of(), dims=("time", "covariate")).assign_coords(
                time=np.arange(200) * 0.01
            ),
            r"bin 199 is at 1.99 s, but at 0.995 s in the counts; align",
        ),
    ],
)
def test_wrong_covariates(given, message):
    with pytest.raises(ValueError, match=message):
        pg.build_glm(counts_of(), BASIS, covariates=given)


def test_covariates_far_from_zero():
    with pytest.warns(UserWarning, match=r"mean of '1', 5.*, is 55 standard dev.*subtract"):
        pg.build_glm(counts_of(), BASIS, covariates=covariates_of() + np.array([0, 50, 0]))


def dependent_warnings(covariates, mask=None, **kwargs):
    """The warnings of a build about linear dependence."""
    prior = pg.CovariatePrior(mask=mask)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pg.build_glm(counts_of(), BASIS, covariates=covariates, covariate_prior=prior, **kwargs)
    return [str(w.message) for w in caught if "linearly dependent" in str(w.message)]


def test_covariates_that_no_data_can_tell_apart():
    x, y, z = (covariates_of() * [1.0, 1e3, 1e-3]).T
    angle = pg.covariate_design(
        xr.DataArray(np.linspace(0, 6.2, 200), dims="time", name="angle"),
        pg.basis.bumps(4, 0, 2 * np.pi, cyclic=True),
    )
    (warning,) = dependent_warnings(np.stack([x, y, 3 * x, z], axis=1))
    assert warning.startswith("covariates: '0', '2' are linearly dependent: ")
    assert warning.endswith("leave out one covariate of each set.")
    (warning,) = dependent_warnings(np.stack([x, y, 3 * x - 1, z], axis=1))
    assert warning.startswith("covariates: '0', '2' and the biases are linearly dependent: ")
    bumps = "'angle[0]', 'angle[1]', 'angle[2]', 'angle[3]' and the biases are linearly dependent"
    for given in (angle, angle.astype("float32")):
        (warning,) = dependent_warnings(given)
        assert warning.startswith(f"covariates: {bumps}: ")
    speed = xr.DataArray(np.stack([x, 2 * x], axis=1), dims=("time", "covariate"))
    both = xr.concat([speed.assign_coords(covariate=["v", "w"]), angle], dim="covariate")
    (warning,) = dependent_warnings(both)  # one warning
    assert bumps in warning
    assert "'v', 'w' are linearly dependent" in warning
    (warning,) = dependent_warnings(np.stack([x, y, x + y, x - y, x + z, z], axis=1))
    assert warning.count("are linearly dependent") == 3
    (warning,) = dependent_warnings(np.stack([x] * 6, axis=1))
    assert "(2 more such sets)" in warning


def test_covariates_that_the_data_tell_apart():
    x, y, z = (covariates_of() * [1.0, 1e6, 1e-6]).T
    angle = pg.covariate_design(
        np.linspace(0, 6.2, 200), pg.basis.bumps(4, 0, 2 * np.pi, cyclic=True)
    )
    filters = pg.basis.raised_cosine(5, window=0.1, bin_width=0.005)
    for good in (
        np.stack([x, y, z], axis=1),
        np.stack([x, x + 1e-3 * z / z.std()], axis=1),
        angle.isel(covariate=slice(1, None)),
        pg.covariate_design(x, filters, segment_start=[0]),
        x,
    ):
        assert dependent_warnings(good) == []


def test_dependence_is_of_each_neuron_and_of_the_data():
    """The same stimulus with separate priors for two groups; bins that are left out."""
    x, y, _ = covariates_of().T
    twice = np.stack([x, x, y], axis=1)
    apart = np.array([[True, False, True], [False, True, True], [False, True, True]])
    assert dependent_warnings(twice, apart) == []
    (warning,) = dependent_warnings(twice, apart | [[False], [False], [True]])
    assert "'0', '1' are" in warning
    differs = twice.copy()
    differs[150:, 0] = y[150:]
    assert dependent_warnings(differs) == []
    assert len(dependent_warnings(differs, exclude=np.arange(200) >= 150)) == 1
    drug = np.where(np.arange(200) < 150, 0.0, 1.0)
    assert dependent_warnings(drug) == []
    (warning,) = dependent_warnings(drug, exclude=np.arange(200) >= 150)
    assert warning.startswith("covariates: 'covariates' and the biases are")


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        ({"mask": np.ones((3, 2), bool)}, r"mask: got bool values of shape \(3, 2\).*\(3, 3\)"),
        ({"mask": np.ones((3, 3))}, "mask: got float64"),
        ({"mask": np.arange(9).reshape(3, 3) % 3 > 0}, "covariate '0' acts on no neuron"),
        ({"scale": -1.0}, "covariate_scale: got -1.0"),
        ({"mean": np.zeros(2)}, "covariate_mean: got an array of shape"),
    ],
)
def test_wrong_priors(prior, message):
    with pytest.raises(ValueError, match=message):
        pg.build_glm(
            counts_of(),
            BASIS,
            covariates=covariates_of(),
            covariate_prior=pg.CovariatePrior(**prior),
        )


def test_priors_without_covariates():
    with pytest.raises(ValueError, match="covariate_prior: there are no covariates"):
        pg.build_glm(counts_of(), BASIS, covariate_prior=pg.CovariatePrior())
    with pytest.raises(TypeError, match="covariate_prior: got 3; give an instance"):
        pg.build_glm(counts_of(), BASIS, covariates=covariates_of(), covariate_prior=3)


# --- the model -----------------------------------------------------------------------------------


MASK = np.array([[True, True, True, False], [True, False, True, True], [True, True, True, False]])


def test_the_random_variable():
    mu, sigma = np.arange(4.0), np.array([0.5, 1.0, 2.0, 3.0])
    weights = CovariateWeights.dist(MASK, mu, sigma)
    draws = pm.draw(weights, draws=4000, random_seed=1)
    assert (draws[:, ~MASK] == 0).all()
    np.testing.assert_allclose(draws.mean(axis=0)[0, :3], mu[:3], atol=4 * 2 / np.sqrt(4000))
    np.testing.assert_allclose(draws.std(axis=0)[0, :3], sigma[:3], rtol=4 / np.sqrt(8000))
    value = np.where(MASK, 1.0, 0.0)
    normal = pm.logp(pm.Normal.dist(mu, sigma), 1.0).eval()
    found = pm.logp(weights, value).eval()
    np.testing.assert_allclose(found, np.where(MASK, normal, 0.0))
    assert pm.logp(weights, np.ones((3, 4))).eval()[0, 3] == -np.inf


def test_the_activation_has_the_covariates():
    counts, covariates = counts_of(), covariates_of(n=4)
    prior = pg.CovariatePrior(mask=MASK)
    model = pg.build_glm(counts, BASIS, covariates=covariates, covariate_prior=prior)
    rng = np.random.default_rng(3)
    point = model.initial_point(0)
    point["weights"] = rng.normal(size=point["weights"].shape)
    point["covariate_weights"] = rng.normal(size=(3, 4)) * MASK
    history = pg.history_design(counts, BASIS).values
    psi = point["bias"] + np.einsum("tmb,nmb->tn", history, point["weights"])
    psi += covariates @ point["covariate_weights"].T
    expected = counts * psi - np.logaddexp(0, psi)
    found = model.compile_logp(vars=[model["spikes"]], sum=False, **UNCOMPILED)(point)[0]
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_scales_are_those_of_a_standard_deviation():
    covariates = covariates_of(n=2) * [1000.0, 0.001]
    prior = pg.CovariatePrior(mean=0.5, scale=2.0)
    model = pg.build_glm(counts_of(), BASIS, covariates=covariates, covariate_prior=prior)
    draws = pm.draw(model["covariate_weights"], draws=2000, random_seed=1) * covariates.std(axis=0)
    np.testing.assert_allclose(draws.mean(axis=(0, 1)), 0.5, atol=4 * 2 / np.sqrt(6000))
    np.testing.assert_allclose(draws.std(axis=(0, 1)), 2.0, rtol=4 / np.sqrt(12000))


# --- steps ---------------------------------------------------------------------------------------


def test_layout():
    """Covariates 0 and 2 act on the same neurons; the others have separate groups."""
    layout = CovariateLayout.of(MASK, 2)
    assert layout.n_groups == 3
    assert layout.group[0] == layout.group[2]
    assert {layout.slot[0], layout.slot[2]} == {0, 1}
    np.testing.assert_array_equal(layout.acts[:, layout.group], MASK)
    values = covariates_of(n=4)
    columns = np.stack(list(layout.columns(values)), axis=1)
    np.testing.assert_array_equal(columns[:, layout.group, layout.slot], values)
    assert np.count_nonzero(columns.any(axis=0)) == 4
    assert CovariateLayout.of(np.ones((2, 7), bool), 3).n_groups == 3


def test_steps_see_the_same_activation():
    """History with covariates after the pre neurons, times joined weights, is psi."""
    counts, covariates = counts_of(), covariates_of(n=4)
    prior = pg.CovariatePrior(mask=MASK)
    model = pg.build_glm(counts, BASIS, covariates=covariates, covariate_prior=prior)
    network = find_network(model)
    terms = CovariateTerms(model, network)
    point = model.initial_point(0)
    rng = np.random.default_rng(3)
    point["covariate_weights"] = rng.normal(size=(3, 4)) * MASK
    weights = rng.normal(size=(3, 3, 2))
    adjacency, joined = terms.join(point, np.ones((3, 3), np.int8), weights, rng)
    history = spike_data(model, network).value.history
    psi = np.einsum("tmb,nmb,nm->tn", dense_history(history), joined, adjacency)
    for n in range(3):
        found = np.empty(200)
        write_psi(history, n, 0.0, joined[n] * adjacency[n, :, None], found)
        np.testing.assert_allclose(found, psi[:, n], atol=1e-12)
    expected = np.einsum("tmb,nmb->tn", pg.history_design(counts, BASIS).values, weights)
    expected += covariates @ point["covariate_weights"].T
    np.testing.assert_allclose(psi, expected, atol=1e-12)
    coupling, of_covariates = terms.split(joined)
    np.testing.assert_array_equal(coupling, weights)
    np.testing.assert_array_equal(of_covariates, point["covariate_weights"])


def joint_of(steps):
    """Two neurons, two trials, two covariates of which one acts on one neuron alone."""
    rng = np.random.default_rng(5)
    exclude = np.zeros(24, bool)
    exclude[[4, 5, 15]] = True
    return joint.make_joint(
        2,
        24,
        2,
        6_000,
        seed=11,
        edges=pg.BernoulliEdges(pm.Beta.dist(2, 2), pm.Beta.dist(2, 3)),
        weights=pg.GaussianWeights(pm.Normal.dist(0.2, 0.5), 0.3, self_mean=-0.6, self_cov=0.3),
        bias=pm.Normal.dist(-1.0, 0.5),
        network_steps=steps,
        segment=np.repeat([0, 1], [14, 10]),
        covariates=rng.normal(size=(24, 2)),
        covariate_prior=pg.CovariatePrior(
            pm.Normal.dist(0.5, 0.5), pm.LogNormal.dist(-0.5, 0.3), [[True, True], [False, True]]
        ),
        exclude=exclude,
        unknown_history="recorded",
    )


STEPS = {"augmented": (pg.PolyaGammaGibbs,), "default": joint.DEFAULT}


@pytest.mark.slow
@pytest.mark.parametrize("steps", STEPS)
def test_geweke(steps):
    """See test_geweke_polya_gamma; test_calibration_observations has a short one of the default."""
    model = joint_of(STEPS[steps])
    chain = joint.successive_conditional(model, 6000, 12)
    name, score = joint.worst(joint.marginal_conditional(model, seed=13), chain)
    assert abs(score) < 4.2, (name, score)


def _forget_the_prior_mean(monkeypatch):
    original = CovariateTerms.join_prior

    def join_prior(self, prior, point):
        joined = original(self, prior, point)
        mean = joined.mean.copy()
        mean[:, len(mean) :] = 0.0
        return joined._replace(mean=mean)

    monkeypatch.setattr(CovariateTerms, "join_prior", join_prior)


def _shift_the_covariates(monkeypatch):
    original = CovariateLayout.columns

    def columns(self, values):
        return (np.roll(column, 1, axis=0) for column in original(self, values))

    monkeypatch.setattr(CovariateLayout, "columns", columns)


@pytest.mark.slow
@pytest.mark.parametrize(
    "plant",
    [_forget_the_prior_mean, _shift_the_covariates],
)
def test_planted_bugs_are_found(monkeypatch, plant):
    """Each of these mistakes, put into the sampler on purpose, must break Geweke's test."""
    plant(monkeypatch)
    model = joint_of(joint.DEFAULT)
    chain = joint.successive_conditional(model, 3000, 12)
    _, score = joint.worst(joint.marginal_conditional(model, seed=13), chain)
    assert abs(score) > 4.2


@pytest.mark.slow  # that of several sessions has covariates as well
def test_agreement_with_nuts():
    """Dense edges: means within Monte Carlo error of those of PyMC's NUTS.

    Some 35 means, each beyond 4.5 standard errors in one of 150000 runs.
    """
    weights = pg.GaussianWeights(0.0, 0.3, None, None)
    prior = pg.CovariatePrior(mean=0.0, scale=1.0)
    model = pg.dense_glm(
        counts_of(400), BASIS, weights=weights, covariates=covariates_of(400), covariate_prior=prior
    )
    options = {"draws": 1000, "tune": 500, "chains": 2, "cores": 1, "progressbar": False}
    with model:
        found = pg.sample(random_seed=1, quiet=True, **options)
        nuts = pm.sample(random_seed=2, quiet=True, step=pm.NUTS(model.free_RVs), **options)
    for rv in model.free_RVs:
        one, other = (tree["posterior"].dataset[[rv.name]] for tree in (found, nuts))
        error = np.hypot(*[az.mcse(x, method="mean")[rv.name] for x in (one, other)])
        away = one.mean(("chain", "draw")) - other.mean(("chain", "draw"))
        assert (np.abs(away[rv.name]) < 4.5 * error).all(), rv.name


def test_weights_of_covariates_are_found():
    """A stimulus that drives one neuron of three, and what comes after sampling."""
    rng = np.random.default_rng(2)
    stimulus = xr.DataArray(rng.normal(size=4000), dims="time", name="stimulus")
    truth = np.array([1.0, 0.0, -0.5])
    counts = (rng.random((4000, 3)) < 1 / (1 + np.exp(2 - stimulus.values[:, None] * truth))) * 1
    weights = pg.GaussianWeights(0.0, 0.5, None, None)
    model = pg.build_glm(counts, BASIS, weights=weights, covariates=stimulus)
    tree = pg.sample(300, 300, chains=2, cores=1, model=model, random_seed=1, quiet=True,
                     progressbar=False)  # fmt: skip
    drawn = tree["posterior"]["covariate_weights"]
    assert drawn.sel(covariate="stimulus").dims == ("chain", "draw", "post")
    mean, sd = (getattr(drawn, f)(("chain", "draw")).values.ravel() for f in ("mean", "std"))
    assert (np.abs(mean - truth) < 4.5 * sd).all()
    assert (sd < 0.15).all()
    rates = pg.predicted_rates(tree, random_seed=1)["mean"].values
    strong = stimulus.values > 1.0
    expected = counts[strong, 0].mean() / 0.005
    error = np.sqrt(expected / 0.005 / strong.sum())
    assert abs(rates[strong, 0].mean() - expected) < 4.5 * error
    assert pg.convergence_report(tree).text


def test_read_covariates_keeps_the_units():
    counts = xr.DataArray(counts_of(), dims=("time", "neuron"), attrs={"bin_width": 0.005})
    read = read_covariates(covariates_of() * 3.0, counts)
    np.testing.assert_allclose(read.spread, (covariates_of() * 3.0).std(axis=0))


# --- labels --------------------------------------------------------------------------------------


def labelled(names=("x", "y"), **coords):
    values = covariates_of(n=len(names))
    return xr.DataArray(
        values, dims=("time", "covariate"), coords={"covariate": [*names], **coords}
    )


def mask_of(model):
    """Which weights can be other than zero."""
    weights = model["covariate_weights"]
    return weights.owner.op.dist_params(weights.owner)[0].eval()


def test_masks_are_read_by_their_labels():
    counts = xr.DataArray(
        counts_of(), dims=("time", "neuron"), coords={"neuron": list("abc")}
    ).assign_attrs(bin_width=0.005)
    acts = np.array([[True, False], [True, True], [False, True]])

    def built(mask):
        prior = pg.CovariatePrior(mask=mask)
        return pg.build_glm(counts, BASIS, covariates=labelled(), covariate_prior=prior)

    labelled_mask = xr.DataArray(
        acts, dims=("neuron", "covariate"), coords={"neuron": list("abc"), "covariate": ["x", "y"]}
    )
    turned = labelled_mask.sel(neuron=list("cab"), covariate=["y", "x"]).transpose(
        "covariate", "neuron"
    )
    for mask in (
        acts,
        labelled_mask,
        turned,
        turned.rename(neuron="post"),
        labelled_mask.drop_vars("neuron"),
    ):
        np.testing.assert_array_equal(mask_of(built(mask)), acts)
    with pytest.raises(
        ValueError, match=r"mask: got the labels .* of post.*\['c', 'd'\] are in only one"
    ):
        built(labelled_mask.assign_coords(neuron=list("abd")))
    with pytest.raises(ValueError, match=r"mask: got the dims \('n', 'covariate'\)"):
        built(labelled_mask.rename(neuron="n"))


def test_a_table_is_read_by_its_columns():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(covariates_of(n=2), columns=["speed", "pupil"])
    model = pg.build_glm(counts_of(), BASIS, covariates=table)
    assert [*model.coords["covariate"]] == ["speed", "pupil"]
    np.testing.assert_array_equal(model["covariates"].get_value(), table.to_numpy())
    with pytest.raises(ValueError, match="covariates: got no column"):
        pg.build_glm(counts_of(), BASIS, covariates=np.empty((200, 0)))


def test_designs_end_with_the_segments_of_their_variable():
    """By label, by a gap in time, or by argument; a stimulus may also be taken as one segment."""
    stimulus = np.random.default_rng(0).normal(size=50)
    time = np.arange(50) * 0.005
    expected = pg.covariate_design(stimulus, BASIS, segment_start=[0, 20]).values
    whole = pg.covariate_design(stimulus, BASIS).values
    assert not np.array_equal(expected, whole)
    variable = xr.DataArray(stimulus, dims="time", coords={"time": time})
    trials = variable.assign_coords(trial=("time", np.arange(50) >= 20))
    gap = variable.assign_coords(time=np.where(np.arange(50) < 20, time, time + 1.0))
    for cut in (trials, gap):
        np.testing.assert_array_equal(pg.covariate_design(cut, BASIS), expected)
        np.testing.assert_array_equal(
            pg.covariate_design(cut, BASIS, segment_start=[0]).values, whole
        )
    np.testing.assert_array_equal(pg.covariate_design(variable, BASIS), whole)
    for wrong in ([5], [0, 50], [0, 20, 10], [0, 2.5], []):
        with pytest.raises(ValueError, match=r"segment_start: got \[.*increasing .*below 50"):
            pg.covariate_design(variable, BASIS, segment_start=wrong)
    with pytest.raises(ValueError, match=r"basis: it is for bins of 0.005 s, .* every 0.01 s"):
        pg.covariate_design(variable.assign_coords(time=2 * time), BASIS)
    with pytest.raises(ValueError, match="variable: time goes from"):
        pg.covariate_design(variable.assign_coords(time=time[::-1]), BASIS)
