"""Simulated recordings: the truth is what is claimed of it, and rates stay where they should."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import chi2, spearmanr

import pymc_glm as pg
from pymc_glm.datasets.simulated import bias_for_rates
from pymc_glm.kernels.history import convolve_history

simulate_small_network = pg.datasets.simulate_small_network
simulate_cell_types = pg.datasets.simulate_cell_types
simulate_retina = pg.datasets.simulate_retina
simulate_stimulus = pg.datasets.simulate_stimulus

# As the docstring of simulate_cell_types has it: [post, pre] in the order E, I, P.
TYPES = ("excitatory", "inhibitory", "projecting")
PROBABILITY = ((0.10, 0.35, 0.03), (0.40, 0.05, 0.05), (0.30, 0.20, 0.15))
MEAN = ((0.9, -1.8, 0.9), (1.1, -1.2, 0.9), (1.0, -1.6, 0.9))
MAKERS = {
    "small": simulate_small_network,
    "twelve": lambda **kwargs: simulate_small_network(n_neurons=12, **kwargs),
    "types": simulate_cell_types,
    "three types": lambda **kwargs: simulate_cell_types(n_types=3, **kwargs),
    "many of types": lambda **kwargs: simulate_cell_types(60, **kwargs),
    "retina": simulate_retina,
    "large retina": lambda **kwargs: simulate_retina(60, **kwargs),
    "stimulus": simulate_stimulus,
    "many with a stimulus": lambda **kwargs: simulate_stimulus(20, **kwargs),
}
RANGES = {  # Hz
    "small": (10, 80),
    "retina": (0.5, 15),
    "large retina": (0.5, 15),
    "many with a stimulus": (1, 20),
}


def off_diagonal(n):
    return ~np.eye(n, dtype=bool)


def z_score(edges, probability):
    """Of the number of edges, given the probability of each."""
    return (edges.sum() - probability.sum()) / np.sqrt((probability * (1 - probability)).sum())


@pytest.mark.parametrize("maker", MAKERS)
def test_rates_are_steady_and_in_range(maker):
    low, high = RANGES.get(maker, (2, 20))
    for seed in (1, 2):
        recording = MAKERS[maker](duration=100.0, random_seed=seed)
        assert pg.stability(recording.network).stable
        counts, width = recording.counts, recording.counts.attrs["bin_width"]
        assert counts.sizes["time"] == pytest.approx(100.0 / width)
        assert counts.values.max() == 1 and counts.dtype == np.int64
        rates = counts.mean("time").values / width
        assert low < rates.min() and rates.max() < high
        assert np.allclose(recording.network.basis, recording.basis)


@pytest.mark.parametrize("maker", MAKERS)
def test_the_seed_decides(maker):
    first, again, other = (MAKERS[maker](duration=5.0, random_seed=seed) for seed in (7, 7, 8))
    assert first.counts.identical(again.counts)
    assert not np.array_equal(first.counts, other.counts)
    for name in ("blocks", "positions", "covariates", "stimulus"):
        one, two = getattr(first, name), getattr(again, name)
        assert (one is None and two is None) or one.identical(two)


@pytest.mark.parametrize("maker", MAKERS)
def test_what_is_simulated_goes_into_a_model(maker):
    recording = MAKERS[maker](duration=10.0, random_seed=1)
    model = pg.build_glm(recording.counts, recording.basis, covariates=recording.covariates)
    sizes = {dim: len(labels) for dim, labels in model.coords.items()}
    assert (sizes["post"], sizes["pre"], sizes["basis"]) == recording.network.weights.shape
    if recording.covariates is not None:
        n_covariates = recording.network.covariate_weights.shape[1]
        assert sizes["covariate"] == n_covariates == recording.covariates.sizes["covariate"]
    if recording.blocks is not None:
        pg.build_glm(
            recording.counts, recording.basis, edges=pg.BlockEdges(labels=recording.blocks)
        )


def test_they_say_in_a_line_what_they_are():
    text = str(simulate_stimulus(8, 20.0, random_seed=1))
    assert text.startswith(
        "<SimulatedRecording 'simulated stimulus': 8 neurons, 20 s in bins of 5 "
    )
    assert text.endswith("couplings, covariates, stimulus>") and "\n" not in text


@pytest.mark.parametrize(("n_neurons", "n_types"), [(24, 2), (24, 3), (36, 2)])
def test_edges_and_weights_are_by_type(n_neurons, n_types):
    pooled = {}
    for seed in range(10):
        recording = simulate_cell_types(n_neurons, 0.005, n_types=n_types, random_seed=seed)
        assert np.array_equal(recording.blocks, recording.counts["cell_type"])
        types = recording.blocks.values
        shares = np.array([(types == name).mean() for name in TYPES[:n_types]])
        assert np.allclose(shares, (2 / 3, 1 / 3) if n_types == 2 else 1 / 3)
        weights = recording.network.weights
        for post, pre in np.argwhere(off_diagonal(n_neurons)):
            pooled.setdefault((types[post], types[pre]), []).append(weights[post, pre])
    assert len(pooled) == n_types**2
    for (post, pre), weights in pooled.items():
        fast, slow = np.array(weights).T
        probability = PROBABILITY[TYPES.index(post)][TYPES.index(pre)] * min(1, 24 / n_neurons)
        assert abs(z_score(fast != 0, np.full(fast.size, probability))) < 4
        present = fast[fast != 0]
        mean = MEAN[TYPES.index(post)][TYPES.index(pre)]
        assert (np.sign(present) == np.sign(mean)).all()
        assert abs(present.mean() - mean) < 4 * 0.2 * abs(mean) / np.sqrt(present.size)
        assert np.allclose(slow, 0.4 * fast)


def test_coupling_of_the_retina_falls_with_distance():
    distances, edges, strength = [], [], []
    for seed in range(20):
        recording = simulate_retina(duration=0.005, random_seed=seed)
        places = recording.positions.values
        assert np.array_equal(recording.counts["position_x"], places[:, 0])
        assert len(np.unique(places, axis=0)) == len(places)
        assert set(places.ravel() / 120) <= set(range(6))
        others = off_diagonal(len(places))
        distances.append(np.linalg.norm(places[:, None] - places, axis=2)[others])
        edges.append(recording.network.adjacency[others])
        strength.append(recording.network.weights[..., 0][others])
    distances, edges, strength = map(np.concatenate, (distances, edges, strength))
    for low, high in ((0, 150), (150, 300), (300, 450), (450, 2000)):
        here = (distances > low) & (distances <= high)
        assert abs(z_score(edges[here], expit(0.4 - (distances[here] / 200) ** 2))) < 4
    relative = np.abs(strength[edges == 1]) / (1.2 * np.exp(-distances[edges == 1] / 600))
    assert abs(relative.mean() - 1) < 4 * 0.2 / np.sqrt(relative.size)
    assert abs(z_score(strength[edges == 1] < 0, np.full(edges.sum(), 0.1))) < 4


def test_near_cells_of_the_retina_fire_together():
    """As in recordings: correlations of 50 ms windows fall with electrode distance."""
    recording = simulate_retina(duration=600.0, random_seed=3)
    counts = recording.counts.coarsen(time=10).sum().values
    places = recording.positions.values
    pairs = np.triu_indices(len(places), 1)
    distance = np.linalg.norm(places[:, None] - places, axis=2)[pairs]
    correlation = np.corrcoef(counts.T)[pairs]
    assert spearmanr(distance, correlation).statistic < -0.3
    assert correlation[distance < 150].mean() > 5 * abs(correlation[distance > 400].mean())


def test_positions_are_as_those_of_a_recording():
    recording = simulate_retina(duration=10.0, random_seed=1)
    places = recording.positions
    trains = pg.SpikeTrains(
        [[0.1]] * len(places), places["neuron"].values, start=0, stop=1, positions=places.values
    )
    for name, coord in pg.bin_spikes(trains, 0.005).coords.items():
        if name.startswith("position"):
            assert coord.identical(recording.counts[name])
    model = pg.latent_distance_glm(recording.counts, recording.basis)
    assert "latent_positions" in model.named_vars


def test_more_cells_than_electrodes_share_them():
    places = simulate_retina(80, 0.005, random_seed=1).positions.values
    _, times = np.unique(places, axis=0, return_counts=True)
    assert len(times) == 36 and times.min() >= 2 and times.max() <= 3


def test_biases_keep_the_rate_that_is_wanted():
    """Four neurons excite a fifth; in the mean field its rate would be off by a quarter."""
    basis = pg.basis.raised_cosine(2, window=0.1, bin_width=0.005)
    weights = np.zeros((5, 5, 2))
    weights[4, :4] = (1.2, 0.5)
    wanted = np.array([5.0, 5.0, 5.0, 5.0, 1.0])
    network = pg.NetworkParameters(bias_for_rates(wanted, weights, basis), weights, basis)
    counts = pg.simulate(network, 1_000_000, random_seed=1)
    rates = counts.mean("time").values / 0.005
    assert np.allclose(rates, wanted, rtol=0.06)
    mean_field = network._replace(
        bias=np.log(wanted * 0.005 / (1 - wanted * 0.005))
        - network.filters.sum(axis=2) @ (wanted * 0.005)
    )
    assert pg.simulate(mean_field, 200_000, random_seed=1).values[:, 4].mean() > 1.15 * 0.005


def test_the_stimulus_is_white_frames_and_drives_every_cell():
    recording = simulate_stimulus(duration=200.0, random_seed=2)
    frames = recording.stimulus.values.reshape(-1, 4)
    assert (frames == frames[:, :1]).all()
    assert abs(np.corrcoef(frames[1:, 0], frames[:-1, 0])[0, 1]) < 4 / np.sqrt(len(frames))
    drive = recording.covariates.values @ recording.network.covariate_weights.T
    assert np.allclose(drive.std(axis=0), 1.0, atol=0.05)
    # The response to one bright frame, by hand: ON cells up first, OFF cells down first.
    filters = (
        recording.network.covariate_weights
        @ pg.basis.raised_cosine(6, 0.2, 0.005, spacing="linear").values.T
    )
    peak = np.abs(filters).argmax(axis=1)
    assert (np.sign(filters[range(8), peak]) == np.tile((1, -1), 4)).all()
    assert (np.ptp(peak) * 0.005 > 0.03) and (peak * 0.005 < 0.1).all()
    moved = np.array([np.convolve(recording.stimulus, f)[: drive.shape[0]] for f in filters]).T
    assert np.allclose(drive, moved)


def test_trials_repeat_the_stimulus_from_silence():
    recording = simulate_stimulus(3, 20.0, n_trials=4, random_seed=1)
    counts = recording.counts
    assert np.array_equal(counts["trial"], np.repeat(range(4), 1000))
    assert np.array_equal(counts["segment"], counts["trial"])
    assert np.allclose(counts["time"] - 5.0 * counts["trial"], counts["trial_time"])
    repeats = recording.stimulus.values.reshape(4, -1)
    assert (repeats == repeats[0]).all()
    covariates = recording.covariates.values.reshape(4, 1000, -1)
    assert np.allclose(covariates, covariates[0])
    spikes = counts.values.reshape(4, 1000, 3)
    assert not np.array_equal(spikes[0], spikes[1])


def log_likelihood(columns, y):
    """Maximum of a logistic regression, by Newton."""
    x = np.column_stack([np.ones(len(y)), columns])
    beta = np.zeros(x.shape[1])
    for _ in range(25):
        p = expit(x @ beta)
        step = np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x, x.T @ (y - p))
        beta += step
        if np.abs(step).max() < 1e-8:
            break
    psi = x @ beta
    return float(y @ psi - np.logaddexp(0, psi).sum())


def test_without_the_stimulus_there_are_couplings_that_do_not_exist():
    """Likelihood-ratio tests at 0.001, two degrees of freedom each, of all absent couplings."""
    recording = simulate_stimulus(duration=150.0, random_seed=1)
    y = recording.counts.values
    x = convolve_history(y, recording.basis.values, np.zeros(1, dtype=np.int64))
    x = np.asarray(x).reshape(len(y), 8, 2)
    edges = recording.network.adjacency.astype(bool)
    false = {"with": 0, "without": 0}
    found, n_absent, gain = 0, 0, 0.0
    for post in range(8):
        for name, known in (("with", recording.covariates.values), ("without", y[:, :0])):
            history = x.reshape(len(y), -1)
            whole = log_likelihood(np.hstack([history, known]), y[:, post])
            for pre in set(range(8)) - {post}:
                rest = np.delete(x, pre, axis=1).reshape(len(y), -1)
                less = log_likelihood(np.hstack([rest, known]), y[:, post])
                significant = 2 * (whole - less) > chi2.isf(0.001, 2)
                if edges[post, pre]:
                    found += significant and name == "with"
                else:
                    false[name] += significant
                    n_absent += name == "with"
            if name == "with":
                alone = log_likelihood(np.hstack([x[:, post], known]), y[:, post])
                gain += whole - alone
    assert false["with"] <= 2  # of 47, three or more by chance once in 60 000 times
    assert false["without"] > n_absent / 3
    assert found >= 0.8 * (edges.sum() - 8)
    assert gain / y.sum() / np.log(2) > 0.02  # bits per spike


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: simulate_small_network(0.0001),
            "duration: got 0.0001 s, allowed is at least one bin ",
        ),
        (lambda: simulate_small_network(n_neurons=5), r"n_neurons: got 5, allowed are \[4, 12\]"),
        (lambda: simulate_cell_types(5), "n_neurons: got 5, allowed are whole numbers of at least"),
        (lambda: simulate_cell_types(n_types=4), "n_types: got 4, allowed are 2 and 3"),
        (lambda: simulate_retina(2.5), "n_neurons: got 2.5"),
        (lambda: simulate_stimulus(1), "n_neurons: got 1"),
        (lambda: simulate_stimulus(n_trials=0), "n_trials: got 0"),
        (lambda: simulate_stimulus(duration=0.01, n_trials=3), "duration: got 0.01 s"),
        (lambda: simulate_retina(random_seed="x"), "random_seed: got 'x'"),
    ],
)
def test_what_cannot_be_simulated(make, message):
    with pytest.raises(ValueError, match=message):
        make()
