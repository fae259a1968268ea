"""Predictive checks and residual correlograms: statistics, replicates, p-values."""

import logging
import math

import numpy as np
import pytest
import xarray as xr
from scipy.special import expit
from scipy.stats import kstest

import pymc_glm as pg
from helpers.known_tree import known_tree, refractory
from pymc_glm.criticism.one_step import observed_data
from pymc_glm.criticism.replicates import one_step_counts
from pymc_glm.kernels.correlograms import lagged_products
from pymc_glm.simulation import NetworkParameters

WIDTH = 0.01
STARTS = np.array([0, 130, 131, 300])
N_BINS = 420


@pytest.fixture(scope="module")
def counts():
    rng = np.random.default_rng(1)
    return rng.poisson(rng.gamma(1.0, [0.15, 0.3, 0.02], (N_BINS, 3)))


@pytest.fixture(scope="module")
def earlier():
    return np.random.default_rng(2).poisson(0.2, (N_BINS, 3))


def segment(t):
    return np.searchsorted(STARTS, t, side="right") - 1


def slow_intervals(counts, earlier, n):
    found = []
    for t in range(N_BINS):
        for k in range(counts[t, n]):
            if k:
                found.append(0)
                continue
            before = [s for s in range(t) if earlier[s, n] and segment(s) == segment(t)]
            if before:
                found.append(t - before[-1])
    return np.array(found)


def slow_pairs(earlier, counts, lag):
    """Pairs of bins at a lag, as two arrays of rows."""
    rows = [t for t in range(N_BINS - lag) if segment(t) == segment(t + lag)]
    return (counts if lag == 0 else earlier)[rows], counts[np.array(rows) + lag]


# --- statistics ----------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead", [False, True], ids=["free", "one_step"])
def test_rates_and_intervals(counts, earlier, ahead):
    past = earlier if ahead else counts
    args = (counts, WIDTH, STARTS, past) if ahead else (counts, WIDTH, STARTS)
    np.testing.assert_allclose(pg.statistics.Rate()(*args), counts.sum(axis=0) / 4.2)
    quantiles = pg.statistics.IntervalQuantiles((0.1, 0.9))(*args)
    density = pg.statistics.IntervalHistogram(window=0.05)(*args)
    cv = pg.statistics.CV()(*args)
    enough = []
    for n in range(3):
        lengths = slow_intervals(counts, past, n)
        enough.append(len(lengths) >= 10)
        if not enough[-1]:
            assert np.isnan([*quantiles[n], *density[n], cv[n]]).all()
            continue
        np.testing.assert_allclose(quantiles[n], np.quantile(lengths, [0.1, 0.9]) * WIDTH)
        expected = [(lengths == k).mean() / WIDTH for k in range(6)]
        np.testing.assert_allclose(density[n], expected)
        assert cv[n] == pytest.approx(np.std(lengths) / np.mean(lengths))
    assert enough[:2] == [True, True]
    if not ahead:
        assert not enough[2]


def test_fano_factor_of_windows_within_segments(counts):
    found = pg.statistics.Fano(window=0.2)(counts, WIDTH, STARTS)
    sums = []
    for first, end in zip(STARTS, [*STARTS[1:], N_BINS], strict=True):
        sums += [counts[t : t + 20].sum(axis=0) for t in range(first, end - 19, 20)]
    np.testing.assert_allclose(
        found[:2], (np.var(sums, axis=0, ddof=1) / np.mean(sums, axis=0))[:2]
    )
    assert np.isnan(found[2]) == (np.sum(sums, axis=0)[2] < 10)


def test_fano_factor_one_step_ahead_pairs_new_spikes_with_recorded_ones(counts, earlier):
    found = pg.statistics.Fano(window=0.2)(counts, WIDTH, STARTS, earlier)
    sums, squares = [], []
    for first, end in zip(STARTS, [*STARTS[1:], N_BINS], strict=True):
        for t in range(first, end - 19, 20):
            sums.append(counts[t : t + 20, 1].sum())
            squares.append(
                sum(
                    (counts[j, 1] if i == j else earlier[min(i, j), 1]) * counts[max(i, j), 1]
                    for i in range(t, t + 20)
                    for j in range(t, t + 20)
                )
            )
    n = len(sums)
    variance = (np.mean(squares) - np.mean(sums) ** 2) * n / (n - 1)
    assert found[1] == pytest.approx(variance / np.mean(sums))
    same = pg.statistics.Fano(window=0.2)(counts, WIDTH, STARTS, counts)
    np.testing.assert_allclose(same, pg.statistics.Fano(window=0.2)(counts, WIDTH, STARTS))


@pytest.mark.parametrize("ahead", [False, True], ids=["free", "one_step"])
def test_correlograms(counts, earlier, ahead):
    past = earlier if ahead else counts
    args = (counts, WIDTH, STARTS, past) if ahead else (counts, WIDTH, STARTS)
    auto = pg.statistics.Autocorrelogram(window=0.04)(*args)
    for lag in range(1, 5):
        first, second = slow_pairs(past, counts, lag)
        expected = (first * second).sum(axis=0) / first.sum(axis=0) / WIDTH
        np.testing.assert_allclose(auto[:2, lag - 1], expected[:2])
    cross = pg.statistics.Crosscorrelogram(window=0.04)
    found = cross(*args)
    names = cross.coords(["a", "b", "c"], WIDTH)
    assert names["pair"] == ["a & b", "a & c", "b & c"]
    np.testing.assert_allclose(names["lag"][1], np.arange(-4, 5) * WIDTH)

    def correlation(one, other, lag):
        """Of the neuron that comes first and the one that is `lag` bins later."""
        first, second = slow_pairs(past, counts, lag)
        source = counts if lag == 0 else past
        product = (first[:, one] - source[:, one].mean()) * (
            second[:, other] - counts[:, other].mean()
        )
        return product.mean() / source[:, one].std() / counts[:, other].std()

    expected = [
        correlation(1, 0, -lag) if lag < 0 else correlation(0, 1, lag) for lag in range(-4, 5)
    ]
    np.testing.assert_allclose(found[0], expected)
    if not ahead:
        assert np.isnan(found[1:]).all() == (np.count_nonzero(counts[:, 2]) < 10)


def test_products_spike_by_spike_and_by_matrices(counts, earlier):
    for past in (counts, earlier):
        sparse = lagged_products(past, counts, STARTS, 6)
        dense = lagged_products(past.astype(float), counts.astype(float), STARTS, 6)
        if past is counts:  # the same array
            same = counts.astype(float)
            dense = lagged_products(same, same, STARTS, 6)
        np.testing.assert_allclose(sparse, dense, atol=1e-9)
        for lag in range(7):
            first, second = slow_pairs(past, counts, lag)
            np.testing.assert_allclose(sparse[lag], first.T @ second, atol=1e-9)


def test_synchrony(counts):
    found = pg.statistics.Synchrony()(counts, WIDTH, STARTS)
    together = [(row > 0).sum() for row in counts]
    np.testing.assert_allclose(found, [together.count(k) / N_BINS for k in range(4)])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: pg.statistics.Fano(window=0),
            "window: got 0, .* numbers above 0 s",
        ),
        (lambda: pg.statistics.Autocorrelogram(window=-1.0), "window: got -1.0"),
        (lambda: pg.statistics.IntervalQuantiles((0.5, 1.2)), "quantiles: got"),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("statistic", "message"),
    [
        (
            pg.statistics.Fano(window=0.001),
            "got 0.001 s, .* at least one bin of 0.01 s",
        ),
        (
            pg.statistics.Fano(window=2.0),
            "window: got 2 s, .* longest segment, 1.69 s",
        ),
        (pg.statistics.Fano(window=0.5), "window: only 7 windows of 0.5 s fit.*needs 10"),
        (pg.statistics.Crosscorrelogram(window=3.0), "window: got 3 s, allowed is at most"),
    ],
)
def test_windows_that_do_not_fit_are_refused(counts, statistic, message):
    with pytest.raises(ValueError, match=message):
        statistic(counts, WIDTH, STARTS)


# --- replicates ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "observation",
    [pg.Bernoulli(), pg.Binomial(3), pg.Poisson(), pg.NegativeBinomial(0.8), pg.Gaussian(0.5)],
    ids=lambda observation: observation.name,
)
def test_moments_of_counts_one_step_ahead(observation):
    """Mean and variance over 2000 replicates, against formulas, with the history by hand."""
    network = refractory(observation, bias=(-1.0, -0.5))
    recorded = (
        np.random.default_rng(3)
        .integers(0, 2, (12, 2))
        .astype(float if observation.name == "gaussian" else int)
    )
    data = observed_data(known_tree(network, recorded, starts=[0, 7]))
    psi = np.tile(network.bias, (12, 1))
    for t in range(12):
        for s in range(0 if t < 7 else 7, t):
            if t - s <= network.filters.shape[2]:
                psi[t] += network.filters[:, :, t - s - 1] @ recorded[s]
    mean, variance = {
        "bernoulli": lambda: (expit(psi), expit(psi) * expit(-psi)),
        "binomial": lambda: (3 * expit(psi), 3 * expit(psi) * expit(-psi)),
        "poisson": lambda: (np.exp(psi), np.exp(psi)),
        "negative_binomial": lambda: (0.8 * np.exp(psi), 0.8 * np.exp(psi) * (1 + np.exp(psi))),
        "gaussian": lambda: (psi, np.full(psi.shape, 0.5)),
    }[observation.name]()
    name = observation.parameter_name
    parameter = 1.0 if name is None else getattr(observation, name)
    predicted = observation.variances(observation.mean_counts(psi, parameter), parameter)
    np.testing.assert_allclose(predicted, variance)
    rng = np.random.default_rng(4)
    drawn = np.stack([one_step_counts(data, network, rng) for _ in range(2000)])
    assert (np.abs(drawn.mean(axis=0) - mean) < 4.5 * np.sqrt(variance / 2000)).all()
    fourth = ((drawn - mean) ** 4).mean(axis=0)
    error = np.sqrt(np.maximum(fourth - variance**2, 0) / 2000)
    assert (np.abs(((drawn - mean) ** 2).mean(axis=0) - variance) < 5 * error + 1e-9).all()


def test_free_replicates_begin_in_silence_in_every_segment():
    """A neuron fires unless it fired in the last five bins, so it fires first in each segment."""
    basis = pg.basis.identity(0.025, 0.005)
    network = pg.NetworkParameters(np.array([40.0]), np.full((1, 1, 5), -80.0), basis)
    tree = known_tree(network, np.ones((40, 1), dtype=int), starts=[0, 6, 20], n_draws=3)

    def first_bins(counts, bin_width, starts):
        return counts[starts, 0], bin_width, len(starts), counts.sum()

    with pytest.raises(ValueError, match="statistic: first_bins returned tuple"):
        pg.predictive_check(tree, first_bins)
    check = pg.predictive_check(tree, lambda counts, width, starts: counts[:, 0], random_seed=1)
    expected = np.zeros(40)
    for first, end in ((0, 6), (6, 20), (20, 40)):
        expected[first:end:6] = 1
    np.testing.assert_array_equal(check["replicated"], np.tile(expected, (3, 1)))
    assert check.attrs["statistic"] == "<lambda>"


def test_statistics_ignore_excluded_bins():
    network = refractory()
    counts = pg.simulate(network, 2000, random_seed=1).values
    bins = np.r_[0:500, 600:1500, 1700:2000]
    tree = known_tree(network, counts, bins=bins, starts=[0, 1000], n_draws=4)

    def shape(counts, bin_width, starts):
        return np.array([len(counts), counts.sum(), *starts, bin_width])

    check = pg.predictive_check(tree, shape, kind="one_step", random_seed=1)
    expected = [1700, counts[bins].sum(), 0, 500, 900, 1400, 0.005]
    np.testing.assert_allclose(check["observed"], expected)
    np.testing.assert_allclose(check["replicated"][:, 2:], np.tile(expected[2:], (4, 1)))


def test_replicates_that_run_away_are_left_out_and_counted(caplog):
    network = refractory(bias=(-2.0, -2.0, -2.0))
    counts = pg.simulate(network, 2000, random_seed=1).values
    tree = known_tree(network, counts, n_draws=10)
    tree["posterior"]["bias"].values[0, :3] = 5.0
    tree["posterior"]["weights"].values[0, :3] = 0.0
    with caplog.at_level(logging.WARNING, "pymc_glm"):
        check = pg.predictive_check(tree, "rate", random_seed=1)
    assert "3 of 10 replicates ran away" in caplog.text
    assert check.attrs["n_run_away"] == 3
    gone = np.isnan(check["replicated"]).all("neuron").values
    np.testing.assert_array_equal(check["draw"].values[gone], [0, 1, 2])
    assert (check["p_above"] * 8 % 1 == 0).all()  # of seven replicates
    assert (pg.predictive_check(tree, "rate", kind="one_step")["replicated"][:3] > 150).all()
    tree["posterior"]["bias"].values[:] = 5.0
    tree["posterior"]["weights"].values[:] = 0.0
    nothing = pg.predictive_check(tree, "rate", random_seed=1)
    assert np.isnan(nothing["p_value"]).all()
    assert np.isnan(nothing["p_overall"])


# --- p-values ------------------------------------------------------------------------------------


def test_p_values_of_a_hand_made_check():
    """Nine replicates around, below and at the observed value."""
    network = refractory(bias=(-2.0,))
    tree = known_tree(network, np.eye(100, 1, dtype=int), n_draws=9)
    values = iter([5.0, 1.0, 2.0, 3.0, 4.0, 5.0, 5.0, 6.0, 7.0, 8.0])
    check = pg.predictive_check(tree, lambda *_: next(values), random_seed=1)
    assert float(check["observed"]) == 5.0
    assert float(check["p_above"]) == pytest.approx((5 + 1) / 10)
    assert float(check["p_value"]) == pytest.approx(1.0)  # 2 min(6, 7) / 10
    values = iter([9.0, *range(9)])
    check = pg.predictive_check(tree, lambda *_: float(next(values)), random_seed=1)
    assert float(check["p_above"]) == pytest.approx(1 / 10)
    assert float(check["p_value"]) == pytest.approx(2 / 10)
    assert float(check["p_overall"]) == pytest.approx(2 / 10)  # 0 is as far from the mean


@pytest.fixture(scope="module")
def under_the_truth():
    """50 recordings, all statistics, both kinds."""
    network = refractory(bias=(-2.0, -2.0, -2.0), self_weight=-2.0)
    found = {"free": [], "one_step": []}
    for seed in range(50):
        counts = pg.simulate(network, 2000, random_seed=seed).values
        tree = known_tree(network, counts, n_draws=19)
        for kind, checks in found.items():
            names = list(pg.statistics.BY_NAME)
            checks.append(pg.predictive_check(tree, names, kind=kind, random_seed=seed))
    return found


@pytest.mark.parametrize("kind", ["free", "one_step"])
@pytest.mark.parametrize("name", list(pg.statistics.BY_NAME))
def test_p_values_under_the_truth(under_the_truth, kind, name):
    """Small p-values are not too frequent; fails by chance less than once in 1000."""
    checks = [one[name] for one in under_the_truth[kind]]
    small = [(check["p_value"] <= 0.1).mean() for check in checks]
    error = np.std(small) / np.sqrt(50)
    assert np.mean(small) < 0.1 + 3.3 * max(error, 0.01)
    overall = np.array([float(check["p_overall"]) for check in checks])
    assert (overall <= 0.1).mean() < 0.1 + 3.3 * np.sqrt(0.1 * 0.9 / 50)
    if kind == "free":
        above = [
            float(check["p_above"].isel({d: 0 for d in check["p_above"].dims})) for check in checks
        ]
        if name in ("cv", "fano", "crosscorrelogram"):  # without ties
            assert kstest(above, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("kind", ["free", "one_step"])
@pytest.mark.parametrize("name", ["isi_histogram", "cv", "fano", "autocorrelogram"])
def test_a_model_without_refractoriness_fails(kind, name):
    network = refractory(bias=(-2.0, -2.0, -2.0))
    counts = pg.simulate(network, 10_000, random_seed=1).values
    rate = counts.mean(axis=0)
    flat = network._replace(bias=np.log(rate / (1 - rate)), weights=np.zeros((3, 3, 2)))
    statistic = pg.statistics.Fano(window=0.1) if name == "fano" else name
    right, wrong = (
        pg.predictive_check(
            known_tree(one, counts, n_draws=200), ["rate", statistic], kind=kind, random_seed=1
        )
        for one in (network, flat)
    )
    assert float(right[name]["p_overall"]) > 0.005
    assert float(wrong[name]["p_overall"]) == pytest.approx(1 / 201)
    assert float(wrong["rate"]["p_overall"]) > 0.01  # which the wrong model gets right


def test_shared_input_shows_in_synchrony_and_at_lag_zero():
    """A common input makes two neurons fire in the same bin, which coupling cannot explain."""
    rng = np.random.default_rng(5)
    counts = (rng.random((20_000, 3)) < 0.04).astype(int)
    counts[:, :2] |= (rng.random((20_000, 1)) < 0.01).astype(int)
    rate = counts.mean(axis=0)
    basis = pg.basis.raised_cosine(1, window=0.05, bin_width=0.005)
    flat = NetworkParameters(np.log(rate / (1 - rate)), np.zeros((3, 3, 1)), basis)
    tree = known_tree(flat, counts, n_draws=200)
    checks = pg.predictive_check(tree, ["synchrony", "crosscorrelogram"], random_seed=1)
    assert float(checks["synchrony"]["p_value"].sel(n_active=2)) == pytest.approx(2 / 201)
    assert float(checks["synchrony"]["p_above"].sel(n_active=2)) == pytest.approx(1 / 201)
    cross = checks["crosscorrelogram"]["p_above"].sel(lag=0).values
    assert cross[0] == pytest.approx(1 / 201)
    residuals = pg.residual_correlograms(tree)
    z = residuals["z"].sel(lag=0)
    assert float(z[0]) > 8
    assert (np.abs(z[1:]) < 4.5).all()
    assert residuals.attrs["fraction_outside"] < 0.2
    assert float(residuals["expected"][0]) == pytest.approx(20_000 * rate[0] * rate[1])


# --- residual correlograms -----------------------------------------------------------------------


def test_residual_correlograms_against_loops():
    network = refractory()
    counts = pg.simulate(network, 300, random_seed=6).values
    starts = [0, 120]
    bins = np.r_[0:200, 210:300]
    tree = known_tree(network, counts, starts=starts, bins=bins)
    found = pg.residual_correlograms(tree, window=0.015, random_seed=1)
    mean = np.empty(counts.shape)
    for t in range(300):
        psi = network.bias.copy()
        for s in range(0 if t < 120 else 120, t):
            if t - s <= network.filters.shape[2]:
                psi += network.filters[:, :, t - s - 1] @ counts[s]
        mean[t] = expit(psi)
    residual, variance = counts - mean, mean * (1 - mean)
    for a, b, pair in ((0, 1, "n0 & n1"), (1, 2, "n1 & n2")):
        size = np.sqrt((residual[bins, a] ** 2).sum() * (residual[bins, b] ** 2).sum())
        for lag in range(-3, 4):
            product = spread = 0.0
            for t in bins:
                s = t + lag
                if s in bins and (t < 120) == (s < 120):
                    product += residual[t, a] * residual[s, b]
                    first = residual[t, a] ** 2 if lag > 0 else variance[t, a]
                    second = residual[s, b] ** 2 if lag < 0 else variance[s, b]
                    spread += first * second
            one = found.sel(pair=pair).isel(lag=lag + 3)
            assert float(one["lag"]) == pytest.approx(0.005 * lag)
            assert float(one["correlation"]) == pytest.approx(product / size)
            assert float(one["band"]) == pytest.approx(1.96 * np.sqrt(spread) / size)
            assert float(one["z"]) == pytest.approx(product / np.sqrt(spread))


@pytest.mark.parametrize(
    "observation",
    [pg.Bernoulli(), pg.Poisson(), pg.NegativeBinomial(0.8), pg.Gaussian(0.5)],
    ids=lambda observation: observation.name,
)
def test_residuals_of_a_correct_model_are_standard_normal(observation):
    network = refractory(observation, bias=(-2.0, -2.0, -2.0), self_weight=-1.0)
    z = np.concatenate(
        [
            pg.residual_correlograms(
                known_tree(network, pg.simulate(network, 4000, random_seed=seed).values)
            )["z"].values
            for seed in range(15)
        ]
    ).ravel()
    assert abs(z.mean()) < 4.5 / np.sqrt(z.size)
    assert abs(z.std() - 1) < 4.5 / np.sqrt(2 * z.size) * 1.5  # tails of counts are heavier


def test_a_missing_edge_shows_up_at_positive_lags():
    network = refractory(bias=(-2.0, -2.0, -2.0))
    strong = network.weights.copy()
    strong[1, 0] = [1.5, 0.0]
    counts = pg.simulate(network._replace(weights=strong), 20_000, random_seed=7).values
    wrong = strong.copy()
    wrong[1, 0] = 0.0
    z = pg.residual_correlograms(known_tree(network._replace(weights=wrong), counts))["z"]
    first = z.sel(pair="n0 & n1")
    assert first.max() > 5
    assert first.idxmax() > 0
    right = pg.residual_correlograms(known_tree(network._replace(weights=strong), counts))["z"]
    assert np.abs(right).max() < 4.5


# --- options -------------------------------------------------------------------------------------


def test_seeds_lists_and_neurons():
    network = refractory()
    counts = pg.simulate(network, 1000, random_seed=1).values
    tree = known_tree(network, counts, n_draws=7)
    for kind in ("free", "one_step"):
        one, two, other = (
            pg.predictive_check(tree, "cv", kind=kind, random_seed=seed) for seed in (1, 1, 2)
        )
        assert one.equals(two)
        assert not one["replicated"].equals(other["replicated"])
        both = pg.predictive_check(tree, ["rate", "cv"], kind=kind, random_seed=1)
        assert both["cv"].equals(one)
        some = pg.predictive_check(tree, "cv", kind=kind, neurons=["n2", "n0"], random_seed=1)
        np.testing.assert_array_equal(
            some["replicated"], one["replicated"].sel(neuron=["n2", "n0"])
        )
    assert one["replicated"].dims == ("sample", "neuron")
    assert pg.predictive_check(tree, pg.statistics.Rate, draws=2)["observed"].attrs["units"] == "Hz"

    def largest(counts, bin_width, starts):
        return counts.max(axis=0)

    check = pg.predictive_check(tree, largest, draws=3)
    assert check["observed"].dims == ("neuron",)
    assert check.attrs["label"] == "largest"


def test_traces():
    network = refractory(pg.Gaussian(1.0), bias=(0.0, 0.5, 1.0), self_weight=-0.1)
    traces = pg.simulate(network, 3000, random_seed=1).values
    tree = known_tree(network, traces, n_draws=99)
    for kind in ("free", "one_step"):
        checks = pg.predictive_check(tree, ["rate", "crosscorrelogram"], kind=kind, random_seed=1)
        assert float(checks["rate"]["p_overall"]) > 0.01
        assert float(checks["crosscorrelogram"]["p_overall"]) > 0.01
        np.testing.assert_allclose(checks["rate"]["observed"], traces.mean(axis=0))
        assert checks["rate"].attrs["label"] == "mean of the trace"
        assert "units" not in checks["rate"]["observed"].attrs
        assert checks["crosscorrelogram"].attrs["label"] == "correlation of traces"
    with pytest.raises(
        ValueError, match=r"statistic: 'cv' needs spikes.*'rate', 'crosscorrelogram'"
    ):
        pg.predictive_check(tree, "cv")


def test_arguments_out_of_range_are_refused():
    network = refractory()
    counts = pg.simulate(network, 400, random_seed=1).values
    tree = known_tree(network, counts)
    silent = known_tree(network, np.zeros((400, 3), dtype=int))
    cases = [
        ((tree, "speed"), {}, ValueError, r"statistic: got 'speed', allowed are 'rate', 'isi'"),
        ((tree, 3), {}, TypeError, "statistic: got int"),
        ((tree, []), {}, ValueError, "statistic: the list is empty"),
        ((tree, ["cv", "cv"]), {}, ValueError, "statistic: 'cv' occurs twice"),
        ((tree, "cv"), {"kind": "both"}, ValueError, "kind: got 'both'"),
        ((tree, "cv"), {"neurons": ["x"]}, ValueError, r"neurons: unknown neurons \['x'\]"),
        ((tree, "cv"), {"draws": 0.5}, ValueError, "draws: got 0.5"),
        ((tree, "fano"), {}, ValueError, "window: only 2 windows of 1 s fit"),
        ((tree, pg.statistics.Fano(5)), {}, ValueError, "window: got 5 s, allowed is at most"),
        ((tree, "crosscorrelogram"), {"neurons": ["n1"]}, ValueError, "got one neuron, pairs need"),
        ((silent, "cv"), {}, ValueError, "cv of the data is NaN"),
        (({}, "cv"), {}, TypeError, "tree: got dict"),
        ((xr.DataTree(), "cv"), {}, ValueError, "tree: it has no group 'posterior'"),
    ]
    for args, kwargs, error, message in cases:
        with pytest.raises(error, match=message):
            pg.predictive_check(*args, **kwargs)
    with pytest.raises(ValueError, match="neurons: got one neuron, pairs need"):
        pg.residual_correlograms(tree, neurons=["n0"])
    with pytest.raises(ValueError, match="neurons: 'n0' has no spikes"):
        pg.residual_correlograms(silent)
    with pytest.raises(ValueError, match="window: got 9 s, allowed is at most"):
        pg.residual_correlograms(tree, window=9.0)
    with pytest.raises(ValueError, match=r"unknown neurons \['x'\]"):
        pg.residual_correlograms(tree, neurons=["x", "n0"])
    sizes = iter([3, 4])
    with pytest.raises(ValueError, match=r"has the shape \(3,\) for the data but \(4,\)"):
        pg.predictive_check(tree, lambda *_: np.zeros(next(sizes)))


def test_residuals_under_a_custom_observation_model():
    """Without predicted variances, they are estimated from the residuals themselves."""

    def density(count, psi, dispersion):
        mean = math.exp(min(psi, 700.0))
        return count * psi - mean, count - mean, mean

    class Custom(pg.Poisson):
        name = "custom"
        variances = staticmethod(pg.Observation.variances)

        def likelihood(self, counts):
            return pg.log_concave(density, counts)

    try:
        poisson = refractory(pg.Poisson(), bias=(-2.0, -2.0, -2.0))
        counts = pg.simulate(poisson, 4000, random_seed=1).values
        tree = known_tree(poisson._replace(observation=Custom()), counts)
        with pytest.raises(ValueError, match=r"needs one of the package's .*, got 'custom'"):
            pg.time_rescaling(tree)
        custom, known = (
            pg.residual_correlograms(one)["z"] for one in (tree, known_tree(poisson, counts))
        )
        assert np.abs(custom).max() < 5
        assert np.corrcoef(np.ravel(custom), np.ravel(known))[0, 1] > 0.95
    finally:
        pg.Observation.laws.pop("custom", None)
