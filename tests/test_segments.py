"""Trials, epochs, gaps and excluded bins: where history ends and what is data."""

import numpy as np
import pymc as pm
import pytest
import xarray as xr

import pymc_glm as pg
from helpers.columns import dense_history
from pymc_glm.design import make_design
from pymc_glm.graph.data import spike_data
from pymc_glm.graph.find import find_network
from pymc_glm.kernels.spike_history import write_regressors
from pymc_glm.segments import data_bins, segment_starts

BASIS = pg.basis.raised_cosine(2, window=0.02, bin_width=0.005)


def counts_of(n_bins=60, n=3, seed=0, **coords):
    values = np.random.default_rng(seed).poisson(0.3, (n_bins, n)).clip(0, 1)
    along_time = {name: ("time", value) for name, value in coords.items()}
    return xr.DataArray(
        values, dims=("time", "neuron"), coords=along_time, attrs={"bin_width": 0.005}
    )


def with_time(counts, time=None):
    time = np.arange(counts.sizes["time"]) * 0.005 if time is None else time
    return counts.assign_coords(time=time)


def test_segments_begin_where_labels_change_and_after_gaps():
    assert segment_starts(with_time(counts_of())).tolist() == [0]
    for name in ("segment", "trial"):
        labelled = counts_of(**{name: np.repeat([3, 1, 3], 20)})
        assert segment_starts(with_time(labelled)).tolist() == [0, 20, 40]
    time = np.arange(60) * 0.005
    time[30:] += 0.1
    assert segment_starts(with_time(counts_of(), time)).tolist() == [0, 30]
    assert segment_starts(with_time(counts_of(segment=np.repeat([0, 1], 30)), time)).size == 2


def test_time_that_runs_backwards():
    time = np.arange(60) * 0.005
    time[30:] = np.arange(30) * 0.005
    with pytest.raises(ValueError, match=r"time goes from 0.145 to 0 s at bin 30; sort the bins"):
        pg.build_glm(with_time(counts_of(), time), BASIS)
    trials = with_time(counts_of(trial=np.repeat([0, 1], 30)), time)
    assert segment_starts(trials).tolist() == [0, 30]
    with pytest.raises(ValueError, match=r"time goes from 0.295 to 0.29 s at bin 1; sort"):
        segment_starts(with_time(counts_of(), np.arange(60)[::-1] * 0.005))
    time[10] = 0
    with pytest.raises(ValueError, match="at bin 10 within a segment"):
        segment_starts(with_time(counts_of(trial=np.repeat([0, 1], 30)), time))


def test_a_label_that_is_not_along_time():
    counts = counts_of().assign_coords(trial=("neuron", [0, 1, 2]))
    with pytest.raises(ValueError, match=r"'trial' has the dims \('neuron',\)"):
        pg.build_glm(counts, BASIS)


def excluded(n_bins=60, starts=(0,), **options):
    counts = with_time(counts_of(n_bins))
    return data_bins(counts, np.array(starts), 4, **options)


def test_bins_that_are_data():
    assert excluded() is None
    mask = np.zeros(60, bool)
    mask[10:12] = True
    rest = [t for t in range(60) if t not in (10, 11)]
    assert excluded(exclude=mask).tolist() == rest
    assert excluded(exclude=xr.DataArray(mask, dims="time")).tolist() == rest
    assert excluded(exclude=[[0.05, 0.06]]).tolist() == rest
    assert excluded(exclude=[[0.051, 0.0551]]).tolist() == rest
    assert excluded(exclude=[[0.05, 0.055], [0.055, 0.06]]).tolist() == rest


def test_bins_of_unknown_history():
    """Four lags after the start of a segment and after an excluded bin, not beyond its end."""
    mask = np.zeros(60, bool)
    mask[[20, 38]] = True
    gone = {0, 1, 2, 3, 20, 21, 22, 23, 24, 38, 39, 40, 41, 42, 43}
    found = excluded(starts=(0, 40), exclude=mask, unknown_history="exclude")
    assert found.tolist() == [t for t in range(60) if t not in gone]


@pytest.mark.parametrize(
    ("exclude", "message"),
    [
        (np.ones(60, bool), "all 60 bins are excluded"),
        (np.ones(59, bool), r"shape \(59,\).*shape \(60,\), or intervals"),
        ([1.0, 2.0], r"shape \(2,\)"),
        (["a"], "give one bool"),
        ([[0.2, 0.1]], "interval 0 goes from 0.2 to 0.1 s"),
        (
            [[0.0, 0.1], [5.0, 6.0]],
            "interval 1, 5 to 6 s, overlaps no bin; the bins cover 0 to 0.3 s",
        ),
    ],
)
def test_wrong_exclusions(exclude, message):
    with pytest.raises(ValueError, match=message):
        pg.build_glm(counts_of(), BASIS, exclude=exclude)
    with pytest.raises(ValueError, match=r"unknown_history: got 'zero', allowed are"):
        pg.build_glm(counts_of(), BASIS, unknown_history="zero")


def recording(seed=0):
    """Three trials, some bins excluded."""
    rng = np.random.default_rng(seed)
    counts = counts_of(300, seed=seed, trial=np.repeat([0, 1, 2], [100, 120, 80]))
    return counts, rng.random(300) < 0.1


def test_the_log_density_is_that_of_the_trials_alone():
    counts, mask = recording()
    model = pg.build_glm(counts, BASIS, exclude=mask)
    rng = np.random.default_rng(1)
    point = model.initial_point(0)
    point["weights"] = rng.normal(size=point["weights"].shape)
    point["bias"] = rng.normal(size=3)
    found = model.compile_logp(vars=[model["spikes"]], sum=False)(point)[0]
    expected = []
    for trial in range(3):
        here = counts["trial"].values == trial
        one = pg.build_glm(counts[here].drop_vars("trial"), BASIS)
        each = one.compile_logp(vars=[one["spikes"]], sum=False)(point)[0]
        expected.append(each[~mask[here]])
    np.testing.assert_allclose(found, np.concatenate(expected), rtol=1e-12)
    assert model.named_vars_to_dims["spikes"] == ("observed_time", "post")


def test_the_history_of_a_self_filter_may_be_the_longer_one():
    counts, mask = recording()
    longer = pg.basis.raised_cosine(2, window=0.05, bin_width=0.005)  # 10 bins
    options = {"exclude": mask, "unknown_history": "exclude"}
    model = pg.build_glm(counts, BASIS, self_basis=longer, **options)
    expected = make_design(counts, longer, mask, "exclude").data_bins
    assert len(expected) < len(make_design(counts, BASIS, mask, "exclude").data_bins)
    np.testing.assert_array_equal(model["data_bins"].get_value(), expected)
    shorter = pg.build_glm(counts, longer, self_basis=BASIS, **options)
    np.testing.assert_array_equal(shorter["data_bins"].get_value(), expected)


def test_steps_read_what_the_model_says():
    """History and counts of the steps against the design of each trial."""
    counts, mask = recording()
    model = pg.build_glm(counts, BASIS, exclude=mask, unknown_history="exclude")
    data = spike_data(model, find_network(model)).value
    design = make_design(counts, BASIS, mask, "exclude")
    np.testing.assert_array_equal(data.likelihood.counts.T, counts.values[design.data_bins])
    dense = pg.history_design(counts, BASIS).values[design.data_bins]
    history = data.history
    assert history.n_bins == design.data_bins.size < 300 - mask.sum()
    np.testing.assert_allclose(dense_history(history), dense, atol=1e-14)
    columns = np.empty((BASIS.shape[1], history.n_bins))
    for m in range(3):
        write_regressors(history, m, 0, history.n_bins, columns)
        np.testing.assert_allclose(columns.T, dense[:, m], atol=1e-14)


TRIALS = [(0, 60), (60, 130), (130, 180)]


def trials_two_ways(observation):
    """The same trials, cut apart by a label; and as one recording with silence between them.

    Silences are as long as the window of the basis and are no data. Every trial ends with spikes,
    so that history over its end would be seen.
    """
    counts = counts_of(180, trial=np.repeat([0, 1, 2], [60, 70, 50]))
    counts.values[[57, 59, 128, 129]] = 1
    silence = np.zeros((len(BASIS), 3), dtype=int)
    values, gone = [], []
    for first, end in TRIALS:
        values += [counts.values[first:end], silence]
        gone += [np.zeros(end - first, bool), np.ones(len(silence), bool)]
    gone = np.concatenate(gone)
    joined = xr.DataArray(
        np.concatenate(values), dims=("time", "neuron"), attrs={"bin_width": 0.005}
    )
    options = {"weights": pg.GaussianWeights(0.0, 0.5, None, None), "observation": observation}
    cut = pg.build_glm(counts, BASIS, **options)
    return cut, pg.build_glm(joined, BASIS, exclude=gone, **options), gone


@pytest.mark.parametrize(
    ("observation", "steps"),
    [
        ("bernoulli", [pg.PolyaGammaGibbs]),
        ("bernoulli", [pg.EdgeMetropolis, pg.WeightHMC]),
        ("negative_binomial", [pg.PolyaGammaGibbs, pg.DispersionGibbs]),
        ("poisson", [pg.EdgeMetropolis, pg.WeightHMC]),
    ],
    ids=["augmented", "bernoulli", "negative binomial, augmented", "poisson"],
)
def test_trials_are_a_recording_with_silences(observation, steps):
    """Every path of the history gives the same to the last bit: steps, likelihoods, rates."""
    *models, gone = trials_two_ways(observation)
    trees = []
    for model in models:
        with model:
            chosen = [step(threads=1) for step in steps]
            trees.append(
                pg.sample(10, 10, chains=1, cores=1, step=chosen, random_seed=3, quiet=True,
                          progressbar=False)
            )  # fmt: skip
    for name in ("adjacency", "weights", "bias"):
        np.testing.assert_array_equal(*[tree["posterior"][name] for tree in trees])
    rates = [pg.predicted_rates(tree, random_seed=1)["mean"].values for tree in trees]
    np.testing.assert_array_equal(rates[0], rates[1][~gone])
    likelihoods = [
        pg.log_likelihood(tree, model).values for tree, model in zip(trees, models, strict=True)
    ]
    np.testing.assert_array_equal(*likelihoods)


def test_free_runs_begin_every_segment_in_silence():
    """A neuron that fires in every other bin, from the first bin of a segment on.

    Three segments of three bins: 2 of 3 bins hold a spike, 5 of 9 if history went over borders. The
    first bin of a segment is left out: 1 of 2.
    """
    basis = pg.basis.identity(0.005, 0.005)
    counts = xr.DataArray(
        np.tile([[1], [0], [0]], (3, 1)),
        dims=("time", "neuron"),
        coords={"trial": ("time", np.repeat([0, 1, 2], 3))},
        attrs={"bin_width": 0.005},
    )
    for exclude, expected, observed in (
        (None, 2 / 3, 1 / 3),
        (np.arange(9) % 3 == 0, 1 / 2, 0.0),
    ):
        model = pg.dense_glm(
            counts,
            basis,
            weights=pg.GaussianWeights(-200.0, 1e-6, None, None),
            bias=pm.Normal.dist(60.0, 1e-3),
            exclude=exclude,
        )
        tree = pg.sample(
            2, 0, chains=1, cores=1, model=model, random_seed=1, quiet=True, progressbar=False
        )
        # The data, at odds with the prior, do not matter here.
        drawn = tree["posterior"].dataset
        tree["posterior"] = xr.DataTree(
            drawn.assign(weights=0 * drawn["weights"] - 200.0, bias=0 * drawn["bias"] + 60.0)
        )
        for rates in (
            pg.prior_rates(model, draws=2, random_seed=1, max_rate=np.inf),
            pg.posterior_rates(tree, draws=2, random_seed=1, max_rate=np.inf),
        ):
            np.testing.assert_allclose(rates["rate"] * 0.005, expected)
            np.testing.assert_allclose(rates["observed"] * 0.005, observed)
    with pytest.raises(ValueError, match="n_bins: got 1, allowed are more than 1, the first bin"):
        pg.prior_rates(model, draws=2, n_bins=1, random_seed=1)


def test_artefacts_may_hold_counts_that_the_observation_model_forbids():
    counts, mask = recording()
    counts.values[np.flatnonzero(mask)[3], 1] = 7
    pg.build_glm(counts, BASIS, exclude=mask)
    with pytest.raises(ValueError, match="more than one spike"):
        pg.build_glm(counts, BASIS)


def test_sampling_and_what_comes_after():
    counts, mask = recording()
    counts = with_time(counts)
    weights = pg.GaussianWeights(0.0, 0.5, None, None)
    model = pg.build_glm(counts, BASIS, exclude=mask, weights=weights)
    tree = pg.sample(100, 100, chains=2, cores=1, model=model, random_seed=1, quiet=True,
                     progressbar=False)  # fmt: skip
    assert tree["observed_data"]["spikes"].sizes["observed_time"] == (~mask).sum()
    rates = pg.predicted_rates(tree, random_seed=1)
    assert rates.sizes["time"] == 300
    np.testing.assert_array_equal(rates["segment"], counts["trial"])
    first = rates["mean"].sel(post="0").values[[0, 100, 220]]  # silent before, in all trials
    np.testing.assert_allclose(first, first[0])
    assert len(pg.edge_summary(tree)) == 9
    pg.plot_rates(tree, random_seed=1)
