"""Self filters in everything that takes a posterior or a network: scores, simulation, summaries."""

import arviz as az
import numpy as np
import pytest
import xarray as xr
from scipy.special import expit

import pymc_glm as pg
from helpers.drawn_tree import by_pymc, drawn_tree
from helpers.softplus_observation import softplus_observation
from pymc_glm.criticism import filter_bands, network_matrix
from pymc_glm.criticism.one_step import activations, observed_data, post_draws
from pymc_glm.criticism.replicates import one_step_counts
from pymc_glm.plots import plot_filters, plot_network

WIDTH = 0.02
BASIS = pg.basis.raised_cosine(2, window=0.1, bin_width=WIDTH)
LONG = pg.basis.raised_cosine(4, window=0.5, bin_width=WIDTH)  # 25 bins, of a basis of 5
OBSERVATIONS = {
    "bernoulli": pg.Bernoulli(),
    "binomial": pg.Binomial(4),
    "negative binomial": pg.NegativeBinomial(),
    "poisson": pg.Poisson(),
    "gaussian": pg.Gaussian(),
}


def counts_of(observation=None, n_bins=120, n=3, seed=0, **along):
    rng = np.random.default_rng(seed)
    most = 1 if observation is None else observation.most
    values = rng.poisson(0.2, (n_bins, n)).clip(0, most)
    if isinstance(observation, pg.Gaussian):
        values = rng.normal(size=(n_bins, n))
    values[n_bins // 2 : n_bins // 2 + 40] = 0  # silence
    return xr.DataArray(
        values,
        dims=("time", "neuron"),
        coords={
            "time": np.arange(n_bins) * WIDTH,
            "neuron": list("abc")[:n],
            **{name: ("time", value) for name, value in along.items()},
        },
        attrs={"bin_width": WIDTH},
    )


def model_of(observation=None, **options):
    observation = pg.Bernoulli() if observation is None else observation
    along = options.pop("along", {})
    counts = counts_of(observation, **along)
    options = {"self_prior": pg.SelfPrior(0.5)} | options
    return pg.build_glm(counts, BASIS, self_basis=LONG, observation=observation, **options)


@pytest.fixture(scope="module")
def model():
    return model_of()


@pytest.fixture(scope="module")
def tree(model):
    return drawn_tree(model)


def network_of(observation=None, seed=3, self_weights=None):
    rng = np.random.default_rng(seed)
    weights = 0.2 * rng.normal(size=(3, 3, 2))
    if self_weights is None:
        self_weights = 0.3 * rng.normal(size=(3, 4)) - [2, 1, 0.3, 0.2]
    return pg.NetworkParameters(
        np.array([-1.0, -0.5, -1.5]),
        weights,
        BASIS,
        pg.Bernoulli() if observation is None else observation,
        self_weights=self_weights,
        self_basis=LONG,
    )


def as_couplings(network):
    """The same network with one basis as long as the self filter, one function a lag."""
    weights = np.zeros((3, 3, 25))
    weights[:, :, :5] = network.filters
    weights[range(3), range(3)] += network.self_filters
    identity = pg.basis.identity(0.5, WIDTH)
    return network._replace(weights=weights, basis=identity, self_weights=None, self_basis=None)


# Scores


@pytest.mark.parametrize("observation", OBSERVATIONS.values(), ids=OBSERVATIONS)
def test_log_likelihood_against_pymc(observation):
    model = model_of(observation)
    tree = drawn_tree(model)
    np.testing.assert_allclose(
        pg.log_likelihood(tree, model), by_pymc(tree, model), rtol=1e-10, atol=1e-10
    )


@pytest.fixture(scope="module")
def everything():
    """Self filters beside covariates, trials shorter and longer than the window, and a gap."""
    trial = np.repeat([0, 1, 2], [20, 60, 40])
    covariates = np.random.default_rng(2).normal(size=(120, 2))
    out = np.array([[0.3, 0.5], [1.58, 1.65]])
    model = model_of(along={"trial": trial}, covariates=covariates, exclude=out)
    return model, drawn_tree(model)


def test_trials_covariates_and_excluded_bins(everything):
    model, tree = everything
    expected = by_pymc(tree, model)
    np.testing.assert_allclose(pg.log_likelihood(tree, model), expected, rtol=1e-10, atol=1e-10)


def test_activations_by_numpy(everything):
    """psi of each neuron by convolution within trials, whole and in a window."""
    _, tree = everything
    data = observed_data(tree)
    chains, draws = np.array([0, 1]), np.array([3, 5])
    posterior = tree["posterior"]
    for post in range(3):
        drawn = post_draws(tree, data.observation, post, chains, draws)
        found = activations(data, drawn)
        for sample, (chain, draw) in enumerate(zip(chains, draws, strict=True)):
            here = posterior.isel(chain=chain, draw=draw)
            self_filter = LONG.values @ here["self_weights"].values[post]
            filters = here["weights"].values[post] @ BASIS.values.T
            covariate = data.covariates @ here["covariate_weights"].values[post]
            psi = float(here["bias"][post]) + covariate
            for first, end in ((0, 20), (20, 80), (80, 120)):
                piece = data.counts[first:end]
                for pre in range(3):
                    psi[first + 1 : end] += np.convolve(piece[:, pre], filters[pre])[
                        : end - first - 1
                    ]
                psi[first + 1 : end] += np.convolve(piece[:, post], self_filter)[: end - first - 1]
            np.testing.assert_allclose(found[sample], psi, rtol=1e-10, atol=1e-12)
        for window in (slice(30, 50), slice(75, 110), slice(0, 7)):
            np.testing.assert_allclose(
                activations(data, drawn, window), found[:, window], rtol=1e-10, atol=1e-12
            )


@pytest.mark.filterwarnings("ignore::UserWarning")  # draws from the prior: Pareto k is large
def test_loo_against_arviz(model, tree):
    """Silent bins, whose result is computed once, among the others."""
    expected = by_pymc(tree, model).to_dataset(name="spikes")
    full = xr.DataTree.from_dict(
        {"posterior": tree["posterior"].dataset, "log_likelihood": expected}
    )
    ours, theirs = pg.loo(tree, model, reff=1.0), az.loo(full, pointwise=True, reff=1.0)
    np.testing.assert_allclose(ours.elpd_i, theirs.elpd_i.transpose("time", "post"), rtol=1e-8)
    some = pg.loo_subsample(tree, model, n_observations=360, random_seed=1, reff=1.0)
    assert some.elpd == pytest.approx(ours.elpd, rel=1e-8)  # all of them


def test_heldout_score_by_numpy():
    """Draws of which each is the network; counts after `start` given those before it."""
    network = network_of()
    counts = pg.simulate(network, 400, random_seed=1)
    tree = drawn_tree(model_of())
    for name in ("bias", "weights", "self_weights"):
        tree["posterior"][name].values[:] = getattr(network, name)
    counts = counts.assign_coords(neuron=list("abc"))
    score = pg.heldout_score(tree, None, counts, start=1.0, block_width=1.0)
    psi = psi_of(network, counts.values)[50:]
    log_p = np.where(counts.values[50:] == 1, np.log(expit(psi)), np.log(expit(-psi)))
    assert score.elpd == pytest.approx(log_p.sum(), rel=1e-9)
    tree["posterior"]["self_weights"].values[:] = 0
    assert pg.heldout_score(tree, None, counts, start=1.0, block_width=1.0).elpd < score.elpd
    with pytest.raises(ValueError, match="more than the 25 bins"):
        pg.heldout_score(tree, None, counts[:25])


def psi_of(network, counts):
    """The activations (time, post), lag by lag."""
    psi = np.tile(network.bias, (len(counts), 1))
    for lag in range(1, 26):
        past = np.zeros_like(counts)
        past[lag:] = counts[:-lag]
        psi += past * network.self_filters[:, lag - 1]
        if lag <= 5:
            psi += past @ network.filters[:, :, lag - 1].T
    return psi


def test_counts_one_bin_ahead(tree):
    """One step ahead each neuron's own past counts; here with nearly no noise."""
    data = observed_data(tree)
    network = network_of(pg.Gaussian(1e-18))
    found = one_step_counts(data, network, np.random.default_rng(0))
    np.testing.assert_allclose(found, psi_of(network, data.counts), atol=1e-7)


def test_time_rescaling_needs_the_self_filter():
    """A self filter that explains the intervals; without it (a planted bug) they do not fit."""
    network = network_of(self_weights=np.tile([-6.0, -4.0, 0.0, 1.0], (3, 1)))
    counts = pg.simulate(network, 20_000, random_seed=5).assign_coords(neuron=list("abc"))
    fitted = pg.build_glm(counts, BASIS, self_basis=LONG)
    tree = drawn_tree(fitted, draws=2, chains=1)
    for name in ("bias", "weights", "self_weights"):
        known = tree["posterior"][name]
        known.values[:] = getattr(network, name)
    p_value = pg.time_rescaling(tree, random_seed=1)["p_value"]
    assert (p_value > 0.001).all()  # 3 tests: a false alarm in 0.3% of the seeds
    tree["posterior"]["self_weights"].values[:] = 0
    assert (pg.time_rescaling(tree, random_seed=1)["p_value"] < 1e-6).all()


def test_other_models_and_new_neurons_are_refused(model, tree):
    counts = counts_of()
    for other in (
        pg.build_glm(counts, BASIS),
        pg.build_glm(counts, BASIS, self_basis=0.5 * LONG),
    ):
        with pytest.raises(ValueError, match=r"differs .* in its self_basis_functions"):
            pg.log_likelihood(tree, other)
    fewer = drawn_tree(
        pg.build_glm(
            counts.drop_sel(neuron="c"), BASIS, self_basis=LONG, self_prior=pg.SelfPrior(0.5)
        )
    )
    with pytest.raises(ValueError, match="model: it has self filters"):
        pg.heldout_neuron(fewer, model, "c")


# Simulation


@pytest.mark.parametrize("observation", [pg.Bernoulli(), pg.Poisson(), pg.Gaussian(0.5)])
@pytest.mark.parametrize("n_bins", [7, 4000])
def test_a_simulation_is_that_of_one_long_basis(observation, n_bins):
    """The same random numbers: the same counts, also after a given past."""
    network = network_of(observation)
    if isinstance(observation, pg.Gaussian):  # else the traces grow
        network = network._replace(self_weights=0.1 * network.self_weights)
    long = as_couplings(network)
    past = np.random.default_rng(4).integers(0, 2, (25, 3))
    for initial in (None, past):
        found, expected = (
            pg.simulate(each, n_bins, random_seed=1, initial_history=initial)
            for each in (network, long)
        )
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    assert found.values.any()


def test_a_custom_observation_model():
    with softplus_observation() as observation:
        network = network_of(observation())
        found, expected = (
            pg.simulate(each, 300, random_seed=1, initial_history=np.ones((25, 3), int))
            for each in (network, as_couplings(network))
        )
    np.testing.assert_array_equal(found, expected)


def test_pieces_equal_a_whole():
    network = network_of()
    whole = pg.simulate(network, 2000, random_seed=1)
    rng = np.random.default_rng(1)
    first = pg.simulate(network, 1000, random_seed=rng)
    second = pg.simulate(network, 1000, random_seed=rng, initial_history=first[-25:])
    np.testing.assert_array_equal(whole, np.concatenate([first, second]))


def test_a_self_filter_shorter_than_the_couplings():
    network = network_of()._replace(basis=LONG, weights=-0.2 * np.ones((3, 3, 4)), self_basis=BASIS)
    network = network._replace(self_weights=np.array([[-3.0, 1.0]] * 3))
    weights = np.einsum("nmb,lb->nml", network.weights, LONG.values)
    weights[range(3), range(3), :5] += network.self_filters
    identity = pg.basis.identity(0.5, WIDTH)
    long = network._replace(weights=weights, basis=identity, self_weights=None, self_basis=None)
    np.testing.assert_array_equal(
        pg.simulate(network, 3000, random_seed=2), pg.simulate(long, 3000, random_seed=2)
    )


@pytest.mark.parametrize("observation", [pg.Bernoulli(), pg.Poisson()])
def test_stability_is_that_of_one_long_basis(observation):
    network = network_of(observation)
    found, expected = pg.stability(network), pg.stability(as_couplings(network))
    np.testing.assert_allclose(found.rates, expected.rates, rtol=1e-8)
    assert found.spectral_radius == pytest.approx(expected.spectral_radius, rel=1e-6)
    assert found.branching_ratio == pytest.approx(expected.branching_ratio, rel=1e-8)


def test_networks_from_draws_points_and_models(model, tree):
    one = pg.NetworkParameters.from_draw(tree, chain=1, draw=4)
    here = tree["posterior"].isel(chain=1, draw=4)
    np.testing.assert_array_equal(one.self_weights, here["self_weights"])
    np.testing.assert_allclose(one.self_basis, LONG)
    np.testing.assert_allclose(one.self_filters, here["self_weights"].values @ LONG.values.T)
    point = {name: here[name].values for name in ("bias", "weights", "self_weights")}
    other = pg.NetworkParameters.from_point(model, point)
    np.testing.assert_array_equal(other.self_filters, one.self_filters)
    with pytest.raises(ValueError, match="point: no 'self_weights'"):
        pg.NetworkParameters.from_point(model, {k: point[k] for k in ("bias", "weights")})
    assert pg.prior_rates(model, draws=3, random_seed=1)["rate"].shape == (3, 3)
    assert pg.posterior_rates(tree, draws=3, random_seed=1)["rate"].shape == (3, 3)
    counts = pg.simulate(one, 50, random_seed=1, max_rate=np.inf)
    assert counts.sizes == {"time": 50, "neuron": 3}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"self_basis": None}, "self_basis: not given, but there is self_weights"),
        ({"self_weights": None}, "self_weights: not given, but there is self_basis"),
        ({"self_weights": np.zeros((3, 3))}, r"self_weights: got the shape \(3, 3\).*= \(3, 4\)"),
        ({"self_weights": np.full((3, 4), np.nan)}, r"self_weights: nan at index \(0, 0\)"),
        ({"self_basis": np.ones((3, 4))}, "self_basis: it has more columns than rows"),
        (
            {"self_basis": pg.basis.raised_cosine(4, window=0.5, bin_width=0.01)},
            "self_basis: its lags contradict",
        ),
    ],
)
def test_wrong_self_filters_of_networks(change, message):
    with pytest.raises(ValueError, match=message):
        pg.simulate(network_of()._replace(**change), 10)


# Summaries and pictures


def test_self_filters_are_no_edges(tree):
    table = pg.edge_summary(tree)
    assert len(table) == 6 and (table["pre"] != table["post"]).all()
    assert pg.edge_summary(tree, include_self=False).equals(table)
    for quantity in ("probability", "weight"):
        assert not np.diag(network_matrix(tree, quantity)).any()
    dense = drawn_tree(model_of(edges=pg.DenseEdges()))
    assert not np.diag(network_matrix(dense)).any()
    assert len(pg.edge_summary(dense)) == 6


def test_the_report_judges_self_filters():
    rng = np.random.default_rng(1)
    tree = drawn_tree(model_of(), draws=500, chains=4)
    tree["posterior"]["self_weights"].values[:] = rng.normal(-3, 0.1, (4, 500, 3, 4))
    tree["posterior"]["self_weights"].values[1, :, 1] -= 1
    report = pg.convergence_report(tree)
    assert "b -> b" in report.weights_not_converged
    assert "a -> a" not in report.weights_not_converged
    assert "of 6 edges uncertain" in report.text
    assert not any(name.startswith("self_weights") for name in report.hyperparameters_not_converged)
    edges = pg.edge_summary(tree)
    assert pg.convergence_report(tree, edges) == report
    with pytest.raises(ValueError, match="are not those of the 3 neurons"):
        pg.convergence_report(tree, edges[:5])


def test_bands_of_self_filters(tree):
    bands = filter_bands(tree, 0.9)
    draws = tree["posterior"]["self_weights"].values @ LONG.values.T
    np.testing.assert_allclose(bands["self_mean"], draws.mean(axis=(0, 1)))
    flat = draws.reshape(-1, 3, 25)
    for n in range(3):
        interval = np.array([az.hdi(flat[:, n, lag], prob=0.9) for lag in range(25)])
        np.testing.assert_allclose(bands["self_lower"][n], interval[:, 0])
        np.testing.assert_allclose(bands["self_upper"][n], interval[:, 1])
    assert (bands["self_simultaneous_lower"] <= bands["self_lower"] + 1e-9).all()
    np.testing.assert_allclose(bands["self_lag"], LONG["lag"])
    diagonal = bands["mean"].values[range(3), range(3)]
    assert np.isnan(diagonal).all() and not np.isnan(bands["mean"].sel(pre="a", post="b")).any()
    some = filter_bands(tree, pairs=[("a", "a"), ("a", "b")])
    assert not some["self_mean"].sel(post="a").isnull().any()
    assert some["self_mean"].sel(post="b").isnull().all()


def test_panels_of_self_filters_have_lags_of_their_own(tree):
    truth, self_truth = np.zeros((3, 3, 5)), np.ones((3, 25))
    axes = plot_filters(tree, truth=truth, self_truth=self_truth)
    axes[0, 0].figure.canvas.draw()
    bands = filter_bands(tree)
    for n, label in enumerate("abc"):
        assert axes[n, n].get_title() == f"{label} -> {label} (self filter)"
        lines = {line.get_label(): line for line in axes[n, n].lines}
        np.testing.assert_allclose(lines["mean"].get_ydata(), bands["self_mean"][n])
        np.testing.assert_allclose(lines["mean"].get_xdata(), 1e3 * LONG["lag"])
        np.testing.assert_array_equal(lines["true"].get_ydata(), 1)
        assert axes[n, n].get_xlim() == (0, 500)
    assert axes[0, 1].get_xlim() == (0, 100)
    assert axes[0, 0].get_ylim() == axes[1, 1].get_ylim() != axes[0, 1].get_ylim()
    few = plot_filters(tree, pairs=[("a", "a"), ("a", "b")], simultaneous=True)
    assert few.shape == (2,)
    plot_network(tree, quantity="weight").figure.canvas.draw()


def test_wrong_truths(tree):
    with pytest.raises(ValueError, match=r"self_truth: got the shape \(3, 5\).*\(post, self_lag\)"):
        plot_filters(tree, self_truth=np.zeros((3, 5)))
    with pytest.raises(ValueError, match="self_truth: the model has no self filters"):
        plot_filters(drawn_tree(pg.build_glm(counts_of(), BASIS)), self_truth=np.zeros((3, 5)))


def test_saved_and_loaded(tree, tmp_path):
    pg.save(tree, tmp_path / "tree.nc")
    loaded = pg.load(tmp_path / "tree.nc")
    np.testing.assert_allclose(
        pg.log_likelihood(loaded.tree, loaded.model), pg.log_likelihood(tree), rtol=1e-12
    )
