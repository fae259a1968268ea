"""What PyMC and ArviZ do with the models, steps and posteriors of this package."""

import logging

import arviz as az
import cloudpickle
import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
import xarray as xr
from pymc.sampling.mcmc import assign_step_methods
from pymc.step_methods.compound import CompoundStep
from scipy.special import expit, logit

import pymc_glm as pg
from pymc_glm.engines import Averages
from pymc_glm.graph.prior import relaxed
from pymc_glm.sampling.starts import initial_points

# R-hat of what never changes is 0 / 0 in ArviZ; forked workers beside our threads do not deadlock.
pytestmark = [
    pytest.mark.filterwarnings("ignore:invalid value encountered in scalar divide:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
]

BASIS = pg.basis.raised_cosine(2, window=0.05, bin_width=0.005)
HYPER = ["edge_probability", "self_edge_probability", "weight_mean", "self_weight_mean"]
QUIET = {"progressbar": False, "quiet": True}
SHORT = {"tune": 15, "draws": 25, "chains": 2, "random_seed": 3} | QUIET


def simulated(n_bins=600, seed=3):
    weights = np.zeros((3, 3, 2))
    weights[1, 0], weights[2, 1] = [2.0, 1.0], [-1.0, -1.0]
    weights[np.arange(3), np.arange(3)] = [-1.5, 0.5]
    truth = pg.NetworkParameters(np.full(3, -2.5), weights, BASIS)
    return pg.simulate(truth, n_bins, random_seed=seed, neurons=["a", "b", "c"])


def build(counts, **kwargs):
    weights = pg.GaussianWeights(cov=0.5, self_cov=0.5)
    return pg.build_glm(counts, BASIS, **{"weights": weights} | kwargs)


@pytest.fixture(scope="module")
def counts():
    return simulated()


@pytest.fixture(scope="module")
def model(counts):
    return build(counts)


@pytest.fixture(scope="module")
def pymc_tree(model):
    with model:
        tree = pm.sample(draws=2000, tune=400, chains=2, cores=1, random_seed=1, **QUIET)
        pm.compute_log_likelihood(tree, progressbar=False)
    return tree


def assigned(model):
    with model:
        _, methods = assign_step_methods(model, None)
    return {method.__name__: {v.name for v in variables} for method, variables in methods.items()}


def assert_same_posterior(one, other, names, threshold=4.0):
    """Compare means of x and of (x - m)^2, in Monte Carlo standard errors of the difference.

    A comparison of independent normal estimates fails with probability 6e-5 at 4 standard
    errors; with the 2 x 36 of the network and errors that are themselves estimated, about one
    seed in a hundred would. Seeds are fixed.
    """
    for name in names:
        x, y = (tree["posterior"][name].astype(float) for tree in (one, other))
        center = (x.mean(("chain", "draw")) + y.mean(("chain", "draw"))) / 2
        for moment in (lambda v: v, lambda v, m=center: (v - m) ** 2):
            a, b = (moment(v).to_dataset(name="v") for v in (x, y))
            error = np.hypot(az.mcse(a)["v"], az.mcse(b)["v"])
            # What never changes has no error; three draws in as many as there are bound it.
            error = error.where(error > 0, 3 / (x.sizes["chain"] * x.sizes["draw"]))
            z = np.abs(a["v"].mean(("chain", "draw")) - b["v"].mean(("chain", "draw"))) / error
            assert float(z.max()) < threshold, (name, z)


# --- which step draws what -----------------------------------------------------------------------


def test_our_steps_are_assigned(model):
    assert assigned(model) == {
        "EdgeMetropolis": {"adjacency"},
        "WeightHMC": {"bias", "weights"},
        "NetworkNUTS": {
            "edge_probability_logodds__",
            "self_edge_probability_logodds__",
            "weight_mean",
            "self_weight_mean",
        },
    }


def test_nothing_of_a_dense_model_is_left_to_nuts(counts):
    """Weights have a gradient; were all variables NUTS's, PyMC would hand them to nutpie."""
    methods = assigned(build(counts, edges=pg.DenseEdges()))
    assert methods == {
        "WeightHMC": {"bias", "weights"},
        "NetworkNUTS": {"weight_mean", "self_weight_mean"},
    }


def test_a_model_with_nothing_to_learn_has_one_step(counts):
    model = build(counts, edges=pg.DenseEdges(), weights=pg.GaussianWeights(0.0, 1.0, None, None))
    assert set(assigned(model)) == {"WeightHMC"}
    with model, pytest.raises(ValueError, match="no learned continuous hyperparameters"):
        pg.NetworkNUTS()


def by_hand(counts, extra=None):
    """A network GLM without the builder; extra makes more variables and a term of psi."""
    n = counts.sizes["neuron"]
    with pm.Model() as model:
        x = pm.Data("counts", counts.values)
        basis = pm.Data("basis_functions", BASIS.values)
        sparsity = pm.Gamma("sparsity", 2, 1)
        p = pm.Beta("p", 1, sparsity)
        adjacency = pg.Edge("connected", p, shape=(n, n))
        scale = pm.HalfNormal("scale")
        weights = pg.SpikeAndSlab(
            "coupling", adjacency, np.zeros(2), np.eye(2) / scale, shape=(n, n, 2)
        )
        bias = pg.Baseline("offset", -2.5, 1.0, shape=n)
        psi = bias + pg.coupling_activation(x, basis, weights)
        if extra is not None:
            psi = psi + extra()
        pm.Bernoulli("y", logit_p=psi, observed=counts.values)
    return model


def test_a_model_built_by_hand_is_sampled(counts):
    model = by_hand(counts)
    assert assigned(model) == {
        "EdgeMetropolis": {"connected"},
        "WeightHMC": {"coupling", "offset"},
        "NetworkNUTS": {"sparsity_log__", "p_logodds__", "scale_log__"},
    }
    with model:
        posterior = pm.sample(cores=1, **SHORT)["posterior"]
    absent = posterior["connected"].values == 0
    assert (posterior["coupling"].values[absent] == 0).all()
    assert posterior["sparsity"].std() > 0


def test_other_variables_are_left_to_pymc(counts):
    with build(counts) as model:
        pm.Normal("unrelated")
        shared = pm.Normal("shared", 0, 1)
        pm.Normal("measured", shared + model["weight_mean"].sum(), 1, observed=0.3)
        pm.Poisson("whole", 3)
    methods = assigned(model)
    assert methods["EdgeMetropolis"] == {"adjacency"}
    assert methods["WeightHMC"] == {"bias", "weights"}
    # weight_mean reaches data by another way than the network.
    assert methods["NUTS"] == {"unrelated", "shared", "weight_mean"}
    assert methods["NetworkNUTS"] == {
        "edge_probability_logodds__",
        "self_edge_probability_logodds__",
        "self_weight_mean",
    }
    assert methods["Metropolis"] == {"whole"}
    with model:
        with pytest.raises(ValueError, match="'weight_mean' affects the data other than"):
            pg.NetworkNUTS([model["weight_mean"]])
        posterior = pm.sample(cores=1, **SHORT)["posterior"]
    assert set(posterior.data_vars) >= {"unrelated", "shared", "whole", "weights", *HYPER}


@pytest.mark.parametrize("wave", ["of time", "constant"])
def test_other_terms_of_the_activation_are_refused_not_ignored(counts, wave):
    wave = np.sin(np.arange(counts.sizes["time"]))[:, None] if wave == "of time" else 1.0
    model = by_hand(counts, extra=lambda: pm.Normal("gain", shape=3) * wave)
    assert assigned(model)["NUTS"] == {"gain"}
    with model, pytest.raises(ValueError, match=r"activation of 'y' is not bias \+ coupling"):
        pm.sample(cores=1, **SHORT)


@pytest.mark.parametrize("what", ["weights", "adjacency", "bias"])
@pytest.mark.parametrize("kind", ["potential", "likelihood"])
def test_other_factors_on_the_network_are_refused_not_ignored(counts, what, kind):
    with build(counts) as model:
        if kind == "potential":
            pm.Potential("dale", -pm.math.sum(model[what] ** 2))
        else:
            pm.Normal("dale", pm.math.sum(model[what]), 1, observed=0.0)
        with pytest.raises(ValueError, match=r"'dale'|observed variables"):
            pg.PolyaGammaGibbs()


def test_potentials_on_hyperparameters_count(counts):
    """Beta(1, 4) times p^400: far from both the prior and what 6 edges say."""
    with build(counts) as model:
        pm.Potential("push", 400 * pt.log(model["edge_probability"]))
        posterior = pm.sample(cores=1, **SHORT | {"tune": 100})["posterior"]
    assert posterior["edge_probability"].mean() > 0.95


@pytest.mark.parametrize("name", ["counts", "basis_functions"])
def test_a_model_without_containers_is_told_so(counts, name):
    model = by_hand(counts)
    renamed = model.named_vars.pop(name)
    expected = rf"no data container '{name}'.*coupling_activation.*pm\.Data"
    with model, pytest.raises(ValueError, match=expected):
        pg.PolyaGammaGibbs()
    model.named_vars[name] = renamed


def test_outside_the_context_nuts_takes_over(model, caplog):
    with caplog.at_level(logging.WARNING, logger="pymc_glm"):
        tree = pm.sample(model=model, cores=1, **SHORT | {"draws": 5, "tune": 5})
    assert set(tree["posterior"].data_vars) >= {"weights", *HYPER}
    assert "inside the model's context" in caplog.text


def test_step_options_by_name(model, monkeypatch):
    seen = {}
    for step, option in ((pg.EdgeMetropolis, "threads"), (pg.NetworkNUTS, "target_accept")):
        original = step.__init__

        def init(self, *args, _original=original, _option=option, **kwargs):
            seen[_option] = kwargs.get(_option)
            _original(self, *args, **kwargs)

        monkeypatch.setattr(step, "__init__", init)
    options = {"edge_metropolis": {"threads": 1}, "network_nuts": {"target_accept": 0.77}}
    with model:
        pm.sample(cores=1, **SHORT | {"draws": 2, "tune": 2}, **options)
    assert seen == {"threads": 1, "target_accept": 0.77}
    seen.clear()
    pg.sample(model=model, cores=1, **SHORT | {"draws": 2, "tune": 2}, **options)
    assert seen == {"threads": 1, "target_accept": 0.77}


@pytest.mark.parametrize("step", [pg.PolyaGammaGibbs, pg.EdgeMetropolis, pg.WeightHMC])
@pytest.mark.parametrize("threads", [0, -1, 1.5, "two"])
def test_bad_threads_of_the_step(model, step, threads):
    with model, pytest.raises(ValueError, match=f"threads: got {threads!r}"):
        step(threads=threads)


@pytest.mark.parametrize("swaps", [-1, 1.5, "two"])
def test_bad_swaps(model, swaps):
    with model, pytest.raises(ValueError, match=f"swaps: got {swaps!r}"):
        pg.EdgeMetropolis(swaps=swaps)


@pytest.mark.parametrize("target", [0, 1, -0.5, 2])
def test_bad_target_of_weight_hmc(model, target):
    with model, pytest.raises(ValueError, match=f"target_accept: got {target!r}"):
        pg.WeightHMC(target_accept=target)


def test_edge_metropolis_without_edges(counts):
    with build(counts, edges=pg.DenseEdges()), pytest.raises(ValueError, match="no adjacency"):
        pg.EdgeMetropolis()


@pytest.mark.parametrize("step", [pg.PolyaGammaGibbs, pg.EdgeMetropolis, pg.WeightHMC])
def test_foreign_variables_of_the_step_are_refused(model, step):
    said = f"vars: got 'weight_mean', {step.__name__} draws"
    with model, pytest.raises(ValueError, match=said):
        step([model["weight_mean"]])


# --- one posterior, however it is sampled --------------------------------------------------------


ALL = ["adjacency", "weights", "bias", *HYPER]


def test_two_ways_one_posterior(model, pymc_tree):
    ours = pg.sample(1000, 400, chains=2, cores=1, random_seed=2, model=model, **QUIET)
    assert_same_posterior(pymc_tree, ours, ALL)


@pytest.mark.slow
def test_a_third_way_by_hand(model, pymc_tree):
    with model:
        steps = [pg.PolyaGammaGibbs(threads=1), pm.NUTS([model[name] for name in HYPER])]
        by_hand = pm.sample(
            draws=900, tune=400, step=steps, chains=2, cores=1, random_seed=3, **QUIET
        )
    assert_same_posterior(pymc_tree, by_hand, ALL)


def test_the_comparison_sees_a_difference(pymc_tree):
    """Shifted by a third of a standard deviation, the posterior is another."""
    shifted = pymc_tree.copy()
    posterior = pymc_tree["posterior"].to_dataset()
    shifted["posterior"] = xr.DataTree(posterior + posterior.std(("chain", "draw")) / 3)
    with pytest.raises(AssertionError, match="bias"):
        assert_same_posterior(pymc_tree, shifted, ["bias"])


def test_samplers_agree_with_nuts_on_a_dense_model():
    """The same variables by another sampler: NUTS on the whole model."""
    rng = np.random.default_rng(8)
    values = (rng.random((250, 2)) < 0.2).astype(int)
    weights = pg.GaussianWeights(self_mean=None, self_cov=None)
    model = pg.dense_glm(values, BASIS[:, :1], weights=weights)
    with model:
        run = {"draws": 800, "tune": 300, "chains": 2, "cores": 1} | QUIET
        ours = pm.sample(random_seed=1, **run)
        augmented = pm.sample(random_seed=3, step=[pg.PolyaGammaGibbs(), pg.NetworkNUTS()], **run)
        nuts = pm.sample(
            random_seed=2, step=pm.NUTS(model.free_RVs, target_accept=0.9, model=model), **run
        )
    told = [set(tree["sample_stats"].data_vars) for tree in (ours, augmented, nuts)]
    for names, name in zip(told, ("weight_acceptance", "edges_on", None), strict=True):
        assert names & {"weight_acceptance", "edges_on"} == {name} - {None}
    for tree in (ours, augmented):
        assert_same_posterior(tree, nuts, ["weights", "bias", "weight_mean", "weight_scale"])


# --- PyMC's tools on the model, ArviZ's on the posterior -----------------------------------------


def test_prior_predictive(model):
    with model:
        tree = pm.sample_prior_predictive(60, random_seed=1)
    prior = tree["prior"]
    present = prior["adjacency"].values[0] == 1
    np.testing.assert_array_equal((prior["weights"].values[0] != 0).all(axis=-1), present)
    assert tree["prior_predictive"]["spikes"].dims == ("chain", "draw", "time", "post")
    rate = float(prior["edge_probability"].mean())  # Beta(1, 4): mean 0.2, sd 0.16
    assert abs(rate - 0.2) < 4.5 * 0.163 / np.sqrt(60)


def test_log_likelihood_is_bernoulli(model, pymc_tree, counts):
    values = pymc_tree["log_likelihood"]["spikes"]
    assert values.dims == ("chain", "draw", "time", "post")
    history = pg.history_design(counts, BASIS)
    draw = pymc_tree["posterior"].isel(chain=1, draw=[7])
    psi = draw["bias"] + xr.dot(history, draw["weights"], dim=("pre", "basis"))
    p = expit(psi.transpose("draw", "time", "post").values[0])
    expected = np.log(np.where(counts.values == 1, p, 1 - p))
    np.testing.assert_allclose(values.isel(chain=1, draw=7), expected)


def test_posterior_predictive_rates_are_the_data_rates(model, pymc_tree, counts):
    thinned = pymc_tree.isel(draw=slice(None, None, 6))
    with model:
        tree = pm.sample_posterior_predictive(thinned, random_seed=1, progressbar=False)
    rates = tree["posterior_predictive"]["spikes"].mean("time")
    spread = rates.std(("chain", "draw"))
    off = np.abs(rates.mean(("chain", "draw")) - counts.mean("time").values) / spread
    assert float(off.max()) < 3


def test_graph_is_drawn(model):
    pytest.importorskip("graphviz")
    source = pm.model_to_graphviz(model).source
    for name in ("adjacency", "weights", "bias", "spikes", "counts"):
        assert name in source


def test_a_model_can_be_cloned_and_conditioned(model):
    """pm.do and pm.observe rebuild the model; they refuse what has starting values of its own."""
    fixed = pm.do(model, {"edge_probability": 0.25})
    assert "edge_probability" not in {v.name for v in fixed.free_RVs}
    assert set(assigned(fixed)) == {"EdgeMetropolis", "WeightHMC", "NetworkNUTS"}


def test_posterior_has_the_coordinates_of_the_data(pymc_tree, counts):
    posterior = pymc_tree["posterior"]
    assert posterior["adjacency"].dtype == np.int8
    assert posterior["weights"].dims == ("chain", "draw", "post", "pre", "basis")
    for dim in ("post", "pre"):
        assert list(posterior[dim].values) == ["a", "b", "c"]
    stats = pymc_tree["sample_stats"]
    np.testing.assert_array_equal(stats["edges_on"], posterior["adjacency"].sum(("post", "pre")))
    changed = np.abs(posterior["adjacency"].diff("draw")).sum(("post", "pre"))
    np.testing.assert_array_equal(stats["edge_flips"].isel(draw=slice(1, None)), changed)
    np.testing.assert_array_equal(pymc_tree["observed_data"]["spikes"], counts)


def test_arviz_summary_and_plots(pymc_tree):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    summary = az.summary(pymc_tree)
    assert "weights[b, a, 0]" in summary.index
    assert "adjacency[b, a]" in summary.index
    for plot in (az.plot_trace, az.plot_rank):
        plot(pymc_tree, var_names=["bias", "edge_probability"])
    az.plot_trace(pymc_tree, var_names=["adjacency"])
    plt.close("all")


@pytest.mark.filterwarnings("ignore:Estimated shape parameter of Pareto")
def test_loo_prefers_the_coupled_model(counts, pymc_tree):
    uncoupled = build(counts, edges=pg.BernoulliEdges(probability=0.0, self_probability=0.0))
    with uncoupled:
        tree = pm.sample(draws=300, tune=100, chains=2, cores=1, random_seed=1, **QUIET)
        pm.compute_log_likelihood(tree, progressbar=False)
    assert (tree["posterior"]["adjacency"] == 0).all()
    assert (tree["posterior"]["weights"] == 0).all()
    elpd = az.loo(pymc_tree, pointwise=True)
    assert elpd.n_data_points == counts.size
    # A rare spike can weigh much in one neuron's fit; ArviZ warns if a single one does.
    assert float((elpd.pareto_k > elpd.good_k).mean()) < 0.005
    table = az.compare({"coupled": pymc_tree, "uncoupled": tree})
    assert table.index[0] == "coupled"
    best, other = (table.loc[name] for name in ("coupled", "uncoupled"))
    assert best["elpd"] - other["elpd"] > 2 * other["dse"]


def test_netcdf_round_trip(pymc_tree, tmp_path):
    path = tmp_path / "posterior.nc"
    pymc_tree.to_netcdf(path, engine="h5netcdf")
    with xr.open_datatree(path, engine="h5netcdf") as back:
        for group in ("posterior", "sample_stats", "observed_data", "constant_data"):
            xr.testing.assert_equal(back[group].to_dataset(), pymc_tree[group].to_dataset())
        assert back["posterior"]["adjacency"].dtype == np.int8


# --- steps as objects ----------------------------------------------------------------------------


@pytest.fixture(
    scope="module",
    params=[[pg.PolyaGammaGibbs], [pg.EdgeMetropolis, pg.WeightHMC]],
    ids=["augmented", "metropolis"],
)
def steps(model, request):
    with model:
        ours = [kind(threads=1, rng=i) for i, kind in enumerate(request.param)]
        return CompoundStep([*ours, pg.NetworkNUTS(rng=2)])


def test_a_step_leaves_the_point_alone(model, steps):
    """Parallel chains hand over a view on shared memory."""
    point = model.initial_point(1)
    for value in point.values():
        value.flags.writeable = False
    before = {name: value.copy() for name, value in point.items()}
    for step in steps.methods[:-1]:
        new, _ = step.step(point)
        for name, value in point.items():
            np.testing.assert_array_equal(value, before[name])
            assert new[name].dtype == value.dtype
            assert new[name].shape == value.shape


def test_state_round_trip(model, steps):
    for step in steps.methods[:-1]:
        point = model.initial_point(1)
        for _ in range(3):
            point, _ = step.step(point)
        state = step.sampling_state
        first, _ = step.step(point)
        other, _ = step.step(point)
        step.sampling_state = state
        again, _ = step.step(point)
        for name in ("bias", "weights", "adjacency"):
            np.testing.assert_array_equal(first[name], again[name])
        assert any((first[v.name] != other[v.name]).any() for v in step.vars)


def test_steps_travel_by_cloudpickle(model, steps):
    copy = cloudpickle.loads(cloudpickle.dumps(steps))
    copy.sampling_state = steps.sampling_state
    point = model.initial_point(1)
    ours, _ = steps.step(point)
    theirs, _ = copy.step(point)
    assert set(ours) == set(theirs)
    for name, value in ours.items():
        np.testing.assert_array_equal(value, theirs[name])


def test_steps_travel_light():
    """Data go to other processes through files, so that a message grows with no recording."""
    values = (np.random.default_rng(1).random((20_000, 3)) < 0.5).astype(int)  # nothing to pack
    sizes = {}
    for n_bins in (200, 20_000):
        model = build(values[:n_bins])
        with model:
            steps = {
                "gibbs": pg.PolyaGammaGibbs(),
                "metropolis": [pg.EdgeMetropolis(), pg.WeightHMC()],
                "nuts": pg.NetworkNUTS(),
            }
        sizes[n_bins] = {name: len(cloudpickle.dumps(step)) for name, step in steps.items()}
    grown = {name: sizes[20_000][name] - sizes[200][name] for name in sizes[200]}
    assert max(grown.values()) < 5000


def test_structure_comes_in_during_the_tuning(counts):
    """Pairs are alike at first; self-edges and certain edges are what they are throughout."""
    probability = np.array([[0.5, 0.2, 0.6], [1.0, 0.5, 0.1], [0.3, 0.0, 0.5]])
    mean = np.arange(18.0).reshape(3, 3, 2)
    with build(counts) as model:
        step = pg.EdgeMetropolis(threads=1)
    point = model.initial_point(0)
    target = step.network_prior(point)._replace(log_odds=logit(probability), mean=mean)
    step._prior = lambda point: target
    pairs = ~np.eye(3, dtype=bool)
    certain = ~np.isfinite(target.log_odds)
    flat = relaxed(target, 0.0)
    np.testing.assert_allclose(
        expit(flat.log_odds[pairs & ~certain]), np.mean([0.2, 0.6, 0.1, 0.3])
    )
    np.testing.assert_allclose(flat.mean[pairs], np.tile(mean[pairs].mean(axis=0), (6, 1)))
    for part in ("log_odds", "mean"):
        same = ~pairs | certain if part == "log_odds" else ~pairs
        np.testing.assert_array_equal(getattr(flat, part)[same], getattr(target, part)[same])
    step.setup_chain(np.random.default_rng(1), 100, 10)
    spread = [np.ptp(step._next_prior(point).mean[pairs, 0]) for _ in range(110)]
    assert np.all(np.diff(spread) >= 0)
    assert spread[9] == 0 and spread[60] < spread[70] == spread[109] == np.ptp(mean[pairs, 0])


# --- same seed, same draws -----------------------------------------------------------------------


def assert_identical(one, other):
    for name in ("adjacency", "weights", "bias", *HYPER):
        np.testing.assert_array_equal(one["posterior"][name], other["posterior"][name], name)


@pytest.fixture(scope="module")
def reference(model):
    return pg.sample(model=model, cores=1, threads=1, **SHORT)


def test_draws_do_not_depend_on_threads(model, reference):
    assert_identical(reference, pg.sample(model=model, cores=1, threads=2, **SHORT))


def test_draws_depend_on_the_seed(model, reference):
    other = pg.sample(model=model, cores=1, threads=1, **SHORT | {"random_seed": 4})
    assert (other["posterior"]["bias"] != reference["posterior"]["bias"]).any()
    chains = reference["posterior"]["bias"]
    assert (chains.sel(chain=0) != chains.sel(chain=1)).all()


@pytest.mark.parametrize("mp_ctx", ["fork", "spawn", "forkserver"])
def test_draws_do_not_depend_on_cores_and_start_method(model, reference, mp_ctx):
    parallel = pg.sample(model=model, cores=2, threads=2, mp_ctx=mp_ctx, **SHORT)
    assert_identical(reference, parallel)


def test_pm_sample_repeats_itself(model):
    with model:
        one, same = (pm.sample(cores=1, **SHORT) for _ in range(2))
    assert_identical(one, same)


def test_the_global_generator_is_left_alone(model):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    pg.sample(model=model, cores=1, **SHORT | {"draws": 3, "tune": 3})
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


# --- pg.sample -----------------------------------------------------------------------------------


def test_starts_are_overdispersed(model, counts):
    with model:
        step = pg.PolyaGammaGibbs()
    starts = initial_points(model, step, 4, np.random.default_rng(1))
    on = [int(start["adjacency"].sum()) for start in starts]
    assert on[0] == 0 and on[-1] == 9 and sorted(on) == on
    for start in starts:
        np.testing.assert_array_equal((start["weights"] != 0).all(axis=2), start["adjacency"] == 1)
        assert start["adjacency"].dtype == np.int8
        rates = np.log(counts.mean("time") / (1 - counts.mean("time"))).values
        assert (np.abs(start["bias"] - rates) < 5).all()
    for name in ("bias", "weight_mean", "edge_probability_logodds__"):
        values = np.array([start[name] for start in starts]).reshape(4, -1)
        assert (np.ptp(values, axis=0) > 0.05).all()  # no two chains alike


def test_certain_edges_are_certain_from_the_start(counts):
    certain = np.array([[0.0, 1.0, 0.5], [0.5, 0.0, 1.0], [1.0, 0.5, 0.0]])
    model = build(counts, edges=pg.BernoulliEdges(certain, None))
    with model:
        step = pg.PolyaGammaGibbs()
    for start in initial_points(model, step, 3, np.random.default_rng(1)):
        np.testing.assert_array_equal(start["adjacency"][certain == 0], 0)
        np.testing.assert_array_equal(start["adjacency"][certain == 1], 1)
    posterior = pg.sample(model=model, cores=1, **SHORT)["posterior"]
    adjacency = posterior["adjacency"].values
    assert (adjacency[..., certain == 0] == 0).all()
    assert (adjacency[..., certain == 1] == 1).all()
    assert 0 < adjacency[..., certain == 0.5].mean() < 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("draws", 0),
        ("draws", 2.5),
        ("draws", "many"),
        ("tune", -1),
        ("chains", 0),
        ("cores", 0),
        ("threads", 0),
        ("random_seed", -1),
        ("random_seed", "x"),
        ("random_seed", 1.5),
    ],
)
def test_bad_arguments(model, name, value):
    with pytest.raises(ValueError, match=f"{name}: got {value!r}"):
        pg.sample(model=model, **{name: value})


def test_a_model_without_a_network_is_refused():
    with pm.Model() as other:
        pm.Normal("x")
    with pytest.raises(ValueError, match=r"0 SpikeAndSlab variables.*build_glm"):
        pg.sample(model=other)


@pytest.mark.parametrize("draws", [2, 4])
def test_few_draws_are_reported_not_a_crash(model, draws, caplog):
    with caplog.at_level(logging.WARNING, logger="pymc_glm"):
        tree = pg.sample(draws, 0, chains=1, cores=1, model=model, random_seed=1, progressbar=False)
    assert tree["posterior"].sizes["draw"] == draws
    assert "converged" in caplog.text


def test_an_interrupted_run_keeps_what_was_drawn(model):
    def interrupt(trace, draw):
        if draw.chain == 1 and draw.draw_idx == 30:
            raise KeyboardInterrupt

    tree = pg.sample(model=model, cores=1, callback=interrupt, **SHORT)
    posterior = tree["posterior"]
    assert 0 < posterior.sizes["draw"] <= 16  # 15 of 31 iterations tuned
    assert posterior.sizes["chain"] == 2
    assert np.isfinite(posterior["weights"]).all()


def test_an_iteration_looks_at_a_bounded_number_of_edges(model):
    """Its cost then grows with the stored history, not with the number of pairs."""
    with model:
        step = pg.EdgeMetropolis(threads=1)
    step.averages = Averages.start(np.zeros(3), np.ones((3, 3)), np.zeros((3, 3, 2)))
    np.testing.assert_array_equal(step._visits(), 1.0)
    inclusion = np.random.default_rng(0).random((5, 400))
    inclusion[0] = 0.999
    step.averages = step.averages._replace(seen=10**6, inclusion=inclusion)
    np.testing.assert_allclose(step._visits(), 64 / 400)
    step.tune = False
    visits = step._visits()
    np.testing.assert_allclose(visits[1:].sum(axis=1), 64)
    np.testing.assert_allclose(visits[0], 64 / 400)
    uncertain = np.abs(inclusion[1:] - 0.5) < 0.3
    assert visits[1:][uncertain].min() > 2 * visits[1:][inclusion[1:] > 0.99].max()
