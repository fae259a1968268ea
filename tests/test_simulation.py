"""Running a network freely, against a slow loop."""

import numpy as np
import pytest
from scipy.special import expit, logit

import pymc_glm as pg

BASIS = pg.basis.raised_cosine(2, window=0.03, bin_width=0.005)
N_LAGS = len(BASIS)


def network(seed=1, n=3, scale=1.0):
    rng = np.random.default_rng(seed)
    weights = rng.normal(scale=scale, size=(n, n, 2))
    weights[0, 1] = 0.0
    return pg.NetworkParameters(rng.normal(-2.0, 0.3, n), weights, BASIS)


def slow_simulation(parameters, uniforms, initial):
    """The definition: a sum over pre neurons, basis functions and lags in every bin."""
    basis = parameters.basis.values
    counts = np.vstack([initial, np.zeros_like(uniforms, dtype=int)])
    for t in range(len(initial), len(counts)):
        psi = parameters.bias.copy()
        for lag in range(1, len(basis) + 1):
            psi += np.einsum("nmb,b,m->n", parameters.weights, basis[lag - 1], counts[t - lag])
        counts[t] = uniforms[t - len(initial)] < expit(psi)
    return counts[len(initial) :]


@pytest.mark.parametrize("n_bins", [1, 4, 500])
@pytest.mark.parametrize("given", [False, True])
def test_simulation_is_the_definition(n_bins, given):
    parameters = network()
    initial = np.zeros((N_LAGS, 3), dtype=int)
    if given:
        initial = np.random.default_rng(5).integers(0, 2, initial.shape)
    uniforms = np.random.default_rng(7).random((n_bins, 3))
    counts = pg.simulate(
        parameters,
        n_bins,
        random_seed=7,
        initial_history=initial if given else None,
        max_rate=np.inf,
    )
    np.testing.assert_array_equal(counts, slow_simulation(parameters, uniforms, initial))


def test_initial_history_counts_several_spikes_and_the_order_of_bins():
    bias = np.zeros(2)
    weights = np.zeros((2, 2, N_LAGS))
    weights[0, 1] = np.linspace(1, -1, N_LAGS)
    parameters = pg.NetworkParameters(bias, weights, pg.basis.identity(0.03, 0.005))
    initial = np.zeros((N_LAGS, 2), dtype=int)
    initial[-2, 1] = 3  # two bins before the first
    runs = np.array(
        [
            pg.simulate(
                parameters, 1, random_seed=seed, initial_history=initial, max_rate=np.inf
            ).values[0]
            for seed in range(2000)
        ]
    )
    expected = expit([3 * weights[0, 1, 1], 0.0])
    error = np.sqrt(expected * (1 - expected) / len(runs))
    assert (np.abs(runs.mean(axis=0) - expected) < 4.5 * error).all()


def test_an_uncoupled_network_fires_at_its_rates():
    rates, n_bins = np.array([0.01, 0.1, 0.4]), 50_000
    parameters = pg.NetworkParameters(logit(rates), np.zeros((3, 3, 2)), BASIS)
    counts = pg.simulate(parameters, n_bins, random_seed=1, max_rate=np.inf)
    error = np.sqrt(rates * (1 - rates) / n_bins)
    assert (np.abs(counts.mean("time") - rates) < 4.5 * error).all()


def test_what_comes_out_goes_into_a_model():
    counts = pg.simulate(network(), 50, random_seed=1, neurons=["a", "b", "c"], max_rate=np.inf)
    assert counts.dims == ("time", "neuron")
    assert counts.dtype == np.int64
    assert counts.attrs["bin_width"] == 0.005
    np.testing.assert_allclose(counts["time"], np.arange(50) * 0.005)
    assert list(counts["neuron"].values) == ["a", "b", "c"]
    model = pg.dense_glm(counts, BASIS)
    assert model.named_vars_to_dims["spikes"] == ("time", "post")


def test_seeds():
    def run(seed):
        return pg.simulate(network(), 300, random_seed=seed, max_rate=np.inf).values

    np.testing.assert_array_equal(run(1), run(1))
    np.testing.assert_array_equal(run(1), run(np.random.default_rng(1)))
    assert (run(1) != run(2)).any()
    assert (run(None) != run(None)).any()


def test_simulation_leaves_the_global_generator_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    pg.simulate(network(), 100, random_seed=1, max_rate=np.inf)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_a_network_that_runs_away_is_stopped_and_named():
    weights = np.zeros((2, 2, 2))
    weights[1, 1] = 8.0  # excites itself
    parameters = pg.NetworkParameters(np.array([-4.0, -4.0]), weights, BASIS)
    with (
        pytest.warns(UserWarning, match="expected rates of fast are above max_rate = 100 Hz"),
        pytest.raises(RuntimeError, match=r"ran away .* s after the start: fast fired") as caught,
    ):
        pg.simulate(parameters, 5000, random_seed=1, neurons=["slow", "fast"])
    assert "slow" not in str(caught.value)
    assert "more than 100 Hz over 1 s" in str(caught.value)
    assert "max_rate" in str(caught.value)
    free = pg.simulate(parameters, 5000, random_seed=1, max_rate=np.inf)
    assert free[:, 1].mean() > 0.8


def test_parameters_know_adjacency_and_filters():
    parameters = network()
    assert parameters.adjacency.dtype == np.int8
    np.testing.assert_array_equal(parameters.adjacency, [[1, 0, 1], [1, 1, 1], [1, 1, 1]])
    expected = parameters.weights @ BASIS.values.T
    np.testing.assert_allclose(parameters.filters, expected)


@pytest.mark.parametrize(
    ("change", "kwargs", "facts"),
    [
        ({"weights": np.zeros((3, 3, 3))}, {}, r"weights: .*\(3, 3, 3\).*\(3, 3, 2\)"),
        ({"bias": np.zeros(2)}, {}, r"weights: .*bias \(2,\).*\(2, 2, 2\)"),
        ({"bias": np.array([0, np.nan, 0])}, {}, r"bias: nan at index \(1,\)"),
        ({"weights": np.full((3, 3, 2), np.inf)}, {}, r"weights: inf at index \(0, 0, 0\)"),
        ({"basis": BASIS.values}, {}, "basis: .*bin_width"),
        ({}, {"n_bins": 0}, "n_bins: got 0"),
        ({}, {"n_bins": 2.5}, "n_bins: got 2.5"),
        ({}, {"neurons": ["a"]}, "neurons: got 1 labels for 3"),
        ({}, {"neurons": ["a", "b", "a"]}, r"neurons: .*'a'"),
        (
            {},
            {"initial_history": np.zeros((2, 3))},
            rf"initial_history: .*\(2, 3\).*\({N_LAGS}, 3\)",
        ),
        ({}, {"initial_history": np.full((N_LAGS, 3), np.nan)}, "initial_history: .*nan"),
        ({}, {"initial_history": np.full((N_LAGS, 3), -1)}, "initial_history: .*-1"),
        ({}, {"initial_history": np.full((N_LAGS, 3), 0.5)}, "initial_history: .*0.5"),
        ({}, {"random_seed": -1}, "random_seed: got -1"),
        ({}, {"random_seed": "x"}, "random_seed: got 'x'"),
        ({}, {"max_rate": 0}, "max_rate: got 0"),
        ({}, {"max_rate": np.nan}, "max_rate: got nan"),
    ],
)
def test_wrong_parameters_and_arguments_are_refused(change, kwargs, facts):
    parameters = network()._replace(**change)
    with pytest.raises(ValueError, match=facts):
        pg.simulate(parameters, **{"n_bins": 10} | kwargs)
