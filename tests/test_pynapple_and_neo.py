"""Epochs and trials; spike times, counts and results of the real pynapple and neo."""

import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pymc_glm as pg
from helpers.uncompiled import QUICK_FIT
from pymc_glm.design import check_counts

WIDTH = 0.01
BASIS = pg.basis.raised_cosine(2, window=0.05, bin_width=WIDTH)


def slow_counts(times, epochs, width):
    """Counts (time,), starts of bins and segments by a comparison with every bin's edges."""
    counts, starts, segments = [], [], []
    for i, (low, high) in enumerate(epochs):
        for k in range(round((high - low) / width * 1e6) // 10**6):
            edge = round(low + k * width, 9)
            counts.append(sum(edge <= t < round(edge + width, 9) for t in times))
            starts.append(edge)
            segments.append(i)
    return np.array(counts), np.array(starts), np.array(segments)


# --- epochs and trials ---------------------------------------------------------------------------

EPOCHS = [[0.1, 0.43], [0.5, 0.7], [1.0, 1.25]]
TIMES = [0.05, 0.1, 0.12, 0.4, 0.42, 0.47, 0.5, 0.69, 0.7, 1.05, 1.2, 1.249, 1.3]


@pytest.mark.parametrize("kind", ["epochs", "trials"])
def test_epochs_are_binned_from_their_own_starts(kind, caplog):
    with caplog.at_level(logging.INFO, logger="pymc_glm"):
        counts = pg.bin_spikes({"a": TIMES}, 0.1, **{kind: EPOCHS})
    expected, starts, segments = slow_counts(TIMES, EPOCHS, 0.1)
    np.testing.assert_array_equal(counts[:, 0], expected)
    np.testing.assert_allclose(counts["time"], starts)
    np.testing.assert_array_equal(counts["segment"], segments)
    assert counts["segment"].dims == ("time",)
    assert counts.attrs["dropped_spikes"] == 3  # 0.05, 0.47 and 1.3
    assert f"dropped 3 of 13 spikes outside the {kind}" in caplog.text
    assert ("trial" in counts.coords) == (kind == "trials")
    if kind == "trials":
        np.testing.assert_array_equal(counts["trial"], segments)
        np.testing.assert_allclose(counts["trial_time"], [0, 0.1, 0.2, 0, 0.1, 0, 0.1], atol=1e-12)


@st.composite
def cut_recordings(draw):
    """Bin width, epochs and spike times in whole microseconds; epochs may touch."""
    width = draw(st.integers(1, 10**5))
    lengths = draw(st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 20)), max_size=6))
    stop, epochs = draw(st.integers(-(10**7), 10**7)), []
    for gap, n_bins in [(0, 3), *lengths]:
        start = stop + gap
        stop = start + n_bins * width + draw(st.integers(0, width - 1))
        epochs.append((start, stop))
    low, high = epochs[0][0] - width, stop + width
    edge = st.sampled_from(epochs).flatmap(
        lambda e: st.integers(0, 20).map(lambda k: e[0] + k * width)
    )
    times = draw(st.lists(st.integers(low, high) | edge, max_size=40).map(sorted))
    return width, epochs, [t for t in times if low <= t <= high]


@settings(max_examples=200, deadline=None)
@given(cut_recordings())
@pytest.mark.filterwarnings(
    "ignore:these neurons have no spikes", "ignore:epochs. they hold no spikes"
)
def test_counts_in_epochs_equal_those_of_integer_arithmetic(recording):
    width, epochs, times = recording
    expected = []
    for start, stop in epochs:
        n_bins = (stop - start) // width
        index = [(t - start) // width for t in times if start <= t < start + n_bins * width]
        expected += np.bincount(np.array(index, dtype=int), minlength=n_bins).tolist()
    seconds = np.array(epochs) / 1e6
    bounds = {"start": (epochs[0][0] - width) / 1e6, "stop": (epochs[-1][1] + width) / 1e6}
    trains = pg.SpikeTrains([np.array(times) / 1e6], ["a"], **bounds)
    counts = pg.bin_spikes(trains, width / 1e6, epochs=seconds)
    np.testing.assert_array_equal(counts[:, 0], expected)
    inside = sum(any(a <= t <= b for a, b in epochs) for t in times)
    assert counts.attrs["dropped_spikes"] == len(times) - inside
    assert (np.diff(counts["time"]) > 0).all()


def test_window_cuts_epochs():
    counts = pg.bin_spikes({"a": TIMES}, 0.1, trials=EPOCHS, start=0.6, stop=1.2)
    np.testing.assert_allclose(counts["time"], [0.6, 1.0, 1.1])
    assert counts["segment"].values.tolist() == [0, 1, 1]
    assert counts["trial"].values.tolist() == [1, 2, 2]
    assert counts["trial_time"].values.round(9).tolist() == [0.1, 0.0, 0.1]


def test_trial_across_a_gap_of_the_recording_has_two_segments():
    trains = pg.SpikeTrains([[0.05, 0.65]], ["a"], start=0, stop=2, epochs=[[0, 0.4], [0.6, 2]])
    counts = pg.bin_spikes(trains, 0.1, trials=[[0.2, 0.8], [1.0, 1.1]])
    np.testing.assert_allclose(counts["time"], [0.2, 0.3, 0.6, 0.7, 1.0])
    assert counts["segment"].values.tolist() == [0, 0, 1, 1, 2]
    assert counts["trial"].values.tolist() == [0, 0, 0, 0, 1]
    np.testing.assert_allclose(counts["trial_time"], [0.0, 0.1, 0.4, 0.5, 0.0], atol=1e-12)
    assert counts.values[:, 0].tolist() == [0, 0, 1, 0, 0]
    with pytest.raises(ValueError, match=r"^trial 1, 0.45 to 0.5 s, is in a gap of the record"):
        pg.bin_spikes(trains, 0.1, trials=[[0.2, 0.3], [0.45, 0.5]])


@pytest.mark.parametrize("kind", ["epochs", "trials"])
@pytest.mark.parametrize(
    ("intervals", "message"),
    [
        ([[0, 0.5], [0.7, 0.7]], "1, 0.7 to 0.7 s, has no length; leave it out"),
        ([[0, 0.5], [0.9, 0.7]], "1, 0.9 to 0.7 s, has no length"),
        ([[0, 0.5], [0.7, 0.75]], "1, 0.7 to 0.75 s, is shorter than one bin of 0.1 s"),
        ([[0, 0.5], [0.6, 0.8], [0.7, 0.9]], "2, 0.7 to 0.9 s, begins before the end of .* 1, 0.6"),
        ([[0, 0.5], [0.7, np.nan]], "1, 0.7 to nan s, is not finite"),
        ([[0, 0.5], [0.7, 2.5]], "1, 0.7 to 2.5 s, reaches beyond the recording, 0 to 2 s"),
        ([0.1, 0.5], r"s: got the shape \(2,\).*start and stop in seconds"),
        (np.zeros((0, 2)), "s: it is empty"),
    ],
)
def test_bad_intervals_are_refused(kind, intervals, message):
    trains = pg.SpikeTrains([[0.2]], ["a"], start=0, stop=2)
    with pytest.raises(ValueError, match=f"^{kind.removesuffix('s')} ?{message}"):
        pg.bin_spikes(trains, 0.1, **{kind: intervals})
    with pytest.raises(ValueError, match="epochs, trials: give one of them"):
        pg.bin_spikes(trains, 0.1, epochs=[[0, 1]], trials=[[0, 1]])
    with pytest.raises(ValueError, match=r"s: none is in the window from start = 1 to stop = 2 s"):
        pg.bin_spikes(trains, 0.1, start=1, **{kind: [[0, 0.5]]})


def test_index_of_a_short_trial_is_that_of_the_argument():
    with pytest.raises(ValueError, match=r"^trial 2, 1 to 1.05 s, is shorter than one bin"):
        pg.bin_spikes({"a": TIMES}, 0.1, trials=EPOCHS, start=0.6, stop=1.05)


def test_nothing_left_in_the_epochs_is_a_warning():
    with pytest.warns(UserWarning, match=r"epochs: they hold no spikes \(of 13\), from 50 to 51 s"):
        counts = pg.bin_spikes({"a": TIMES}, 0.1, epochs=[[50, 51]])
    assert counts.shape == (10, 1)


def test_trains_with_epochs():
    trains = pg.SpikeTrains(
        [[0.1, 0.2, 1.5], [1.9]],
        ["a", "b"],
        start=0,
        stop=3,
        epochs=[[0, 1], [1.4, 2.0]],
        trials=[4, 7],
        annotations={"cell_type": ["e", "i"]},
    )
    assert trains.duration == pytest.approx(1.6)
    np.testing.assert_allclose(trains.rates, [3 / 1.6, 1 / 1.6])
    assert "in 2 trials" in repr(trains)
    part = trains.select(["b", "a"], start=0.15, stop=1.6)
    np.testing.assert_allclose(part.epochs, [[0.15, 1.0], [1.4, 1.6]])
    assert [t.tolist() for t in part.times] == [[], [0.2, 1.5]]
    assert part.annotations["cell_type"].tolist() == ["i", "e"]
    counts = pg.bin_spikes(trains, 0.2)
    assert counts["trial"].values.tolist() == [4] * 5 + [7] * 3
    assert counts.sel(neuron="b")["cell_type"] == "i"
    with pytest.raises(ValueError, match=r"start, stop: 1.1 to 1.3 s is in a gap"):
        trains.select(start=1.1, stop=1.3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"epochs": [[0, 0.5]]},
            r"neuron 'a', spike 0: the time 0.7 s is outside all epochs .*such spikes: 1\)",
        ),
        ({"epochs": [[0, 3]]}, "epochs: got 0.0 to 3.0 s, outside the recording, 0.0 to 2.0 s"),
        ({"trials": [0]}, "give epochs too"),
        (
            {"epochs": [[0, 2]], "trials": [0, 1]},
            r"trials: got \[0, 1\]; give one whole number for each epoch \(there are 1",
        ),
        ({"annotations": {"time": ["e"]}}, "'time' cannot be a name"),
        ({"annotations": {"kind": ["e", "i"]}}, r"'kind' has the shape \(2,\)"),
    ],
)
def test_bad_epochs_and_annotations_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        pg.SpikeTrains([[0.7]], ["a"], start=0, stop=2, **change)


# --- pynapple ------------------------------------------------------------------------------------


def random_times(rng, stop, rate):
    return np.sort(rng.uniform(0, stop, rng.poisson(rate * stop)))


@pytest.fixture
def group():
    """Three neurons with integer labels out of order of size, metadata, and two epochs."""
    nap = pytest.importorskip("pynapple")
    rng = np.random.default_rng(1)
    units = {key: nap.Ts(random_times(rng, 30.0, 20.0)) for key in (3, 11, 8)}
    return nap.TsGroup(
        units,
        time_support=nap.IntervalSet([0.0, 12.0], [10.0, 30.0]),
        metadata={
            "cell_type": ["e", "i", "e"],
            "x": [10.0, 20.0, 30.0],
            "y": [0.0, 1.0, 2.0],
            "good": [True, False, True],
            "snr": [3.5, np.nan, 2.0],
            "waveform": [[1, 2], [3, 4], [5, 6]],
        },
    )


def test_group_with_epochs_and_metadata(group):
    counts = pg.bin_spikes(group, WIDTH)
    theirs = group.count(WIDTH)
    np.testing.assert_array_equal(counts, theirs.values)
    np.testing.assert_allclose(counts["time"] + WIDTH / 2, theirs.times(), atol=2e-9)
    assert counts["segment"].values.tolist() == [0] * 1000 + [1] * 1800
    assert counts["neuron"].values.tolist() == [str(key) for key in group.keys()]
    assert {"cell_type", "position_x", "position_y", "good", "snr"} <= set(counts.coords)
    assert not {"x", "rate", "waveform"} & set(counts.coords)
    eight = counts.sel(neuron="8")
    of_eight = group.metadata.loc[8]
    assert (eight["cell_type"], eight["position_x"]) == (of_eight["cell_type"], of_eight["x"])
    assert counts["good"].dtype == bool
    trains = pg.as_spike_trains(group)
    np.testing.assert_array_equal(trains.epochs, group.time_support.values)
    np.testing.assert_allclose(trains.rates, group.rates)


def test_interval_sets_are_epochs_and_trials(group):
    nap = pytest.importorskip("pynapple")
    parts = nap.IntervalSet([1.0, 13.0, 20.0], [2.0, 13.5, 21.0])
    theirs = group.count(WIDTH, ep=parts).values
    for source in (group, {key: group[key].times() for key in group.keys()}):
        counts = pg.bin_spikes(source, WIDTH, trials=parts)
        np.testing.assert_array_equal(counts, theirs)
        assert np.bincount(counts["trial"]).tolist() == [100, 50, 100]
    np.testing.assert_array_equal(pg.bin_spikes(group.restrict(parts), WIDTH), theirs)
    one = group.restrict(nap.IntervalSet(13.0, 14.0))
    assert "segment" not in pg.bin_spikes(one, WIDTH).coords


def test_list_of_ts_with_one_support(group):
    counts = pg.bin_spikes([group[key] for key in group.keys()], WIDTH)
    np.testing.assert_array_equal(counts, pg.bin_spikes(group, WIDTH))
    assert counts["segment"].equals(pg.bin_spikes(group, WIDTH)["segment"])


def test_counts_of_pynapple_go_in_directly(group):
    ours, theirs = pg.bin_spikes(group, WIDTH), check_counts(group.count(WIDTH))
    assert theirs.attrs["bin_width"] == WIDTH
    np.testing.assert_array_equal(theirs, ours)
    np.testing.assert_allclose(theirs["time"], ours["time"], atol=2e-9)
    for name in ("segment", "neuron", "cell_type", "position_x"):
        np.testing.assert_array_equal(theirs[name], ours[name])
    whole = group.count(WIDTH).restrict(group.time_support[0])
    assert "segment" not in check_counts(whole).coords
    model = pg.build_glm(whole.clip(0, 1), BASIS)
    assert list(model.coords["post"]) == [str(key) for key in group.keys()]
    np.testing.assert_array_equal(model["counts"].get_value(), whole.values.clip(0, 1))
    assert model["position"].get_value().tolist() == theirs_positions(group)
    history = pg.history_design(whole, BASIS)
    np.testing.assert_array_equal(history, pg.history_design(ours[:1000], BASIS))


def theirs_positions(group):
    return group.metadata.loc[list(group.keys()), ["x", "y"]].values.tolist()


@pytest.mark.parametrize("width", [0.005, 1 / 3, 1 / 30_000, 0.0123])
def test_width_of_bins_is_told_from_rounded_times(width):
    """Pynapple rounds times, and the width itself, to nanoseconds."""
    nap = pytest.importorskip("pynapple")
    ts = nap.TsGroup(
        {0: nap.Ts(np.array([0.0, 0.5]))}, time_support=nap.IntervalSet(0, 1e3 * width)
    )
    frame = ts.count(width)
    assert check_counts(frame).attrs["bin_width"] == round(width, 9)
    assert check_counts(frame, width).attrs["bin_width"] == width
    assert check_counts(frame, 2 * width).attrs["bin_width"] == round(width, 9)


def test_bad_frames_are_refused(group):
    nap = pytest.importorskip("pynapple")
    frame = group.count(WIDTH).restrict(group.time_support[0])
    keep = np.delete(np.arange(1000), 500)
    gap = nap.TsdFrame(frame.times()[keep], frame.values[keep], columns=frame.columns)
    with pytest.raises(
        ValueError, match=r"not equally spaced: bin 500 at 5.015 s comes 0.02 s aft"
    ):
        pg.build_glm(gap, BASIS)
    two = nap.IntervalSet([0.0, 5.01], [5.0, 10.0])
    assert np.bincount(check_counts(gap.restrict(two))["segment"]).tolist() == [500, 499]
    single = group.count(10.0)[:1]
    with pytest.raises(
        ValueError, match=r"one bin in each epoch \(1 in all\), so their width is not known"
    ):
        check_counts(single)
    assert check_counts(single, 10.0).attrs["bin_width"] == 10.0
    with pytest.raises(ValueError, match=r"counts: 0.5 in bin 0 of neuron '3' is not a whole num"):
        check_counts(frame + 0.5 - frame.values[0, 0])
    with pytest.raises(ValueError, match=r"basis: its lags contradict bin_width = 0.02"):
        pg.build_glm(group.count(0.02), BASIS)
    with pytest.raises(TypeError, match=r"counts: got spike times \(TsGroup\); count them first"):
        pg.build_glm(group, BASIS)
    with pytest.raises(ValueError, match="empty TsGroup"):
        pg.bin_spikes(group[[]], WIDTH)


def test_results_come_back_with_the_labels_of_the_group(group):
    counts = group.count(WIDTH).restrict(group.time_support[1])
    model = pg.dense_glm(counts.clip(0, 1), BASIS)
    options = {"chains": 1, "cores": 1, "progressbar": False, "quiet": True, "report": False}
    tree = pg.sample(20, 20, model=model, random_seed=1, **options, **QUICK_FIT)
    rates = pg.predicted_rates(tree, random_seed=1)
    for name in ("mean", "lower", "upper"):
        frame = pg.to_pynapple(rates, name)
        assert frame.columns.tolist() == list(group.keys())
        assert frame.columns.dtype.kind == "i"
        np.testing.assert_array_equal(frame.values, rates[name].values)
        np.testing.assert_array_equal(frame.times(), counts.times())
        np.testing.assert_allclose(frame.time_support.values, [[12.0, 30.0]], atol=1e-9)
    by_default = pg.to_pynapple(rates)
    np.testing.assert_array_equal(by_default[:, 1].values, rates["mean"].sel(post="8").values)
    edges = pg.edge_summary(tree)
    assert {int(label) for label in edges.reset_index()["pre"]} == set(group.keys())


def test_counts_go_there_and_back(group):
    counts = pg.bin_spikes(group, WIDTH)
    frame = pg.to_pynapple(counts)
    np.testing.assert_array_equal(frame.values, group.count(WIDTH).values)
    np.testing.assert_allclose(frame.time_support.values, group.time_support.values, atol=1e-9)
    assert frame.get_info("cell_type")[8] == group.get_info("cell_type")[8]
    again = check_counts(frame)
    np.testing.assert_array_equal(again["segment"], counts["segment"])
    np.testing.assert_array_equal(again["position_x"], counts["position_x"])
    np.testing.assert_allclose(again["time"], counts["time"], atol=2e-9)


@pytest.mark.parametrize(
    ("labels", "columns"),
    [(["2", "10"], [2, 10]), (["-1", "0"], [-1, 0]), (["a", "1"], ["a", "1"]), (["01", "1"],) * 2],
)
def test_labels_written_as_integers_become_integers(labels, columns):
    pytest.importorskip("pynapple")
    counts = pg.bin_spikes({label: [0.1] for label in labels}, 0.1, stop=1.0)
    assert pg.to_pynapple(counts).columns.tolist() == columns


def test_epochs_that_touch_are_joined():
    pytest.importorskip("pynapple")
    counts = pg.bin_spikes([[0.1, 0.9]], 0.1, epochs=[[0, 0.5], [0.5, 1.0], [1.2, 1.4]])
    frame = pg.to_pynapple(counts)
    np.testing.assert_allclose(frame.time_support.values, [[0, 1.0], [1.2, 1.4]], atol=1e-9)
    assert len(frame) == 12


def test_other_data_have_no_way_out():
    counts = pg.bin_spikes([[0.1]], 0.1, stop=1.0)
    for convert in (pg.to_pynapple, pg.to_neo):
        with pytest.raises(TypeError, match="data: got ndarray"):
            convert(counts.values)
        with pytest.raises(ValueError, match=r"variable: got 'mean', allowed are .*'counts'"):
            convert(counts.to_dataset())
        with pytest.raises(ValueError, match="data: got the dims"):
            convert(counts.sum("neuron"))
        with pytest.raises(ValueError, match="bin_width: the width of a single bin"):
            convert(counts[:1].drop_attrs())


# --- neo -----------------------------------------------------------------------------------------


@pytest.fixture
def neo():
    return pytest.importorskip("neo")


def train(neo, times, name, start=0.0, stop=1000.0, **annotations):
    """In milliseconds."""
    return neo.SpikeTrain(times, units="ms", t_start=start, t_stop=stop, name=name, **annotations)


def segment(neo, *trains):
    made = neo.Segment()
    made.spiketrains.extend(trains)
    return made


def block(neo, *segments):
    made = neo.Block(name="session")
    made.segments.extend(segments)
    return made


def test_block_of_trials_on_one_clock(neo):
    trials = [
        segment(neo, train(neo, [100.0, 250.0], "u1"), train(neo, [], "u2")),
        # The order of units differs, and so does the length.
        segment(
            neo,
            train(neo, [1600.0], "u2", 1500.0, 2100.0),
            train(neo, [1500.0, 2050.0], "u1", 1500.0, 2100.0),
        ),
    ]
    counts = pg.bin_spikes(block(neo, *trials), 0.2)
    assert counts.attrs["name"] == "session"
    assert counts["neuron"].values.tolist() == ["u1", "u2"]
    np.testing.assert_allclose(counts["time"], [0, 0.2, 0.4, 0.6, 0.8, 1.5, 1.7, 1.9])
    np.testing.assert_array_equal(counts.T, [[1, 1, 0, 0, 0, 1, 0, 1], [0, 0, 0, 0, 0, 1, 0, 0]])
    assert counts["segment"].values.tolist() == [0] * 5 + [1] * 3
    assert counts["trial"].values.tolist() == [0] * 5 + [1] * 3
    np.testing.assert_array_equal(pg.bin_spikes(trials, 0.2), counts)
    np.testing.assert_array_equal(pg.bin_spikes(trials[1], 0.2), counts[5:, ::-1])


def test_block_of_trials_that_each_have_a_clock(neo, caplog):
    """Aligned to a stimulus at 0: all trials go from -500 to 700 ms."""
    times = [[-500.0, -100.0, 600.0], [0.0, 699.0], [250.0]]
    trials = [segment(neo, train(neo, t, "u", -500.0, 700.0)) for t in times]
    with caplog.at_level(logging.INFO, logger="pymc_glm"):
        counts = pg.bin_spikes(block(neo, *trials), 0.1)
    assert "3 neo segments overlap in time: placed one after the other" in caplog.text
    np.testing.assert_allclose(counts["time"], -0.5 + 0.1 * np.arange(36))
    np.testing.assert_allclose(counts["trial_time"], np.tile(0.1 * np.arange(12), 3), atol=1e-12)
    assert counts["trial"].values.tolist() == np.repeat([0, 1, 2], 12).tolist()
    assert np.flatnonzero(counts).tolist() == [0, 4, 11, 12 + 5, 12 + 11, 24 + 7]


def test_a_reader_of_neo(neo):
    """A Block as neo reads it, with two segments, of which the second begins at 15 s."""
    whole = neo.io.ExampleIO("none.fake").read_block()
    trains = pg.as_spike_trains(whole)
    names = [t.name for t in whole.segments[0].spiketrains]
    assert trains.neurons == tuple(names)
    np.testing.assert_allclose(trains.epochs, [[0, 10], [15, 25]])
    for n in range(len(names)):
        theirs = [s.spiketrains[n].rescale("s").magnitude for s in whole.segments]
        np.testing.assert_allclose(trains.times[n], np.concatenate(theirs))
    lazy = pg.as_spike_trains(neo.io.ExampleIO("none.fake").read_block(lazy=True))
    for one, other in zip(trains.times, lazy.times, strict=True):
        np.testing.assert_array_equal(one, other)


def test_bounds_units_and_annotations(neo):
    notes = [
        {"cell_type": "e", "x": 1.0, "y": 5, "odd": [1, 2]},
        {"cell_type": "i", "x": 2, "y": 4},
    ]
    trains = [
        train(neo, [300.0 + 100 * n], None, 200.0, 900.0, unit_id=40 + n, **note)
        for n, note in enumerate(notes)
    ]
    found = pg.as_spike_trains(trains)
    assert (found.start, found.stop) == (0.2, 0.9)
    assert found.neurons == ("40", "41")
    assert found.annotations["cell_type"].tolist() == ["e", "i"]
    np.testing.assert_array_equal(found.positions, [[1, 5], [2, 4]])
    assert set(found.annotations) == {"cell_type", "unit_id"}
    assert pg.bin_spikes(trains, 0.1)["time"][0] == 0.2
    nameless = [train(neo, [10.0], None), train(neo, [20.0], None)]
    assert pg.as_spike_trains(nameless).neurons == ("0", "1")


def test_epochs_of_neo(neo):
    import quantities as pq

    trials = neo.Epoch([100, 500] * pq.ms, durations=[330, 200] * pq.ms)
    ours = pg.bin_spikes([TIMES], 0.1, trials=EPOCHS[:2])
    found = pg.bin_spikes([TIMES], 0.1, trials=trials)
    np.testing.assert_array_equal(found, ours)
    np.testing.assert_allclose(found["time"], ours["time"])


def test_bad_neo_objects_are_refused(neo):
    one = segment(neo, train(neo, [1.0], "u1"), train(neo, [2.0], "u2"))
    other = segment(neo, train(neo, [1.0], "u1", 0.0, 500.0))
    with pytest.raises(ValueError, match=r"segment 1 .*0 to 0.5 s.*\['u2'\] are in only one"):
        pg.bin_spikes(block(neo, one, other), 0.1)
    mixed = segment(neo, train(neo, [1.0], "u1"), train(neo, [2.0], "u2", 0.0, 500.0))
    with pytest.raises(ValueError, match=r"neo segment 1 .*different times.*time_slice"):
        pg.bin_spikes(block(neo, one, mixed), 0.1)
    with pytest.raises(ValueError, match="segment 1 of the neo Block has no spike trains"):
        pg.bin_spikes(block(neo, one, neo.Segment()), 0.1)
    with pytest.raises(ValueError, match="neo Block has no spike trains"):
        pg.bin_spikes(neo.Block(), 0.1)
    with pytest.raises(ValueError, match="neo Segment has no spike trains"):
        pg.bin_spikes(neo.Segment(), 0.1)
    empty = segment(neo, train(neo, [], "u1", 2000.0, 2000.0), train(neo, [], "u2", 2000.0, 2000.0))
    with pytest.raises(ValueError, match="neo segment 1, 2 to 2 s, has no length"):
        pg.bin_spikes(block(neo, one, empty), 0.1)
    short = segment(
        neo, train(neo, [], "u1", 2000.0, 2050.0), train(neo, [2020.0], "u2", 2000.0, 2050.0)
    )
    with pytest.raises(ValueError, match=r"^trial 1, 2 to 2.05 s, is shorter than one bin of 0.1"):
        pg.bin_spikes(block(neo, one, short), 0.1)


def test_rates_as_neo(neo):
    counts = pg.bin_spikes(
        {"a": [0.1, 0.7], "b": [1.1]}, 0.1, epochs=[[0, 0.5], [0.5, 1.0], [1.1, 1.4]]
    )
    whole = pg.to_neo(counts)
    assert [s.index for s in whole.segments] == [0, 1, 2]
    signals = [s.analogsignals[0] for s in whole.segments]
    np.testing.assert_allclose([float(x.t_start) for x in signals], [0, 0.5, 1.1])
    np.testing.assert_allclose([float(x.t_stop.rescale("s")) for x in signals], [0.5, 1.0, 1.4])
    np.testing.assert_array_equal(np.concatenate([x.magnitude for x in signals]), counts)
    assert signals[0].array_annotations["neuron"].tolist() == ["a", "b"]
    rates = (counts / 0.1).rename("mean").assign_attrs(units="Hz").to_dataset()
    rates = rates.rename(neuron="post").drop_vars("segment").assign_attrs(bin_width=0.1)
    signals = [s.analogsignals[0] for s in pg.to_neo(rates).segments]
    assert [len(x) for x in signals] == [10, 3]  # epochs that touch cannot be told apart
    assert signals[0].units.dimensionality.string == "Hz"


# --- what goes with counts ------------------------------------------------------------------------


def test_variables_of_pynapple_are_covariates(group):
    """By their columns and at their times, the middles of bins; epochs end convolutions."""
    nap = pytest.importorskip("pynapple")
    frame = group.count(WIDTH)
    rng = np.random.default_rng(2)
    speed = nap.TsdFrame(
        t=frame.times(),
        d=rng.normal(size=(len(frame), 2)),
        columns=["speed", "pupil"],
        time_support=group.time_support,
    )
    for counts in (frame.clip(0, 1), pg.bin_spikes(group, WIDTH).clip(max=1)):
        model = pg.build_glm(counts, BASIS, covariates=speed)
        assert [*model.coords["covariate"]] == ["speed", "pupil"]
        np.testing.assert_array_equal(model["covariates"].get_value(), speed.values)
    late = nap.TsdFrame(t=speed.times() + 1.0, d=speed.values)
    with pytest.raises(ValueError, match=r"covariates: bin \d+ is at .* align them"):
        pg.build_glm(frame.clip(0, 1), BASIS, covariates=late)
    design = pg.covariate_design(speed["speed"], BASIS)
    told = pg.covariate_design(speed["speed"].values, BASIS, segment_start=[0, 1000])
    np.testing.assert_allclose(design, told)
    pg.build_glm(frame.clip(0, 1), BASIS, covariates=design)


def test_intervals_of_packages_are_excluded(group):
    nap, neo = pytest.importorskip("pynapple"), pytest.importorskip("neo")
    seconds = pytest.importorskip("quantities").s
    counts = pg.bin_spikes(group, WIDTH).clip(max=1)
    expected = pg.build_glm(counts, BASIS, exclude=[[1.0, 2.0], [13.0, 13.5]])["data_bins"]
    for intervals in (
        nap.IntervalSet([1.0, 13.0], [2.0, 13.5]),
        neo.Epoch([1.0, 13.0] * seconds, [1.0, 0.5] * seconds),
    ):
        found = pg.build_glm(counts, BASIS, exclude=intervals)["data_bins"]
        np.testing.assert_array_equal(found.get_value(), expected.get_value())
        both = pg.build_glm([counts, counts], BASIS, exclude=intervals, share="weights")
        assert both["data_bins"].get_value().size == 2 * expected.get_value().size


def test_spike_times_are_no_counts(group):
    neo = pytest.importorskip("neo")
    seconds = pytest.importorskip("quantities").s
    train = neo.SpikeTrain([1.0, 2.0] * seconds, t_stop=5.0)
    segment = neo.Segment()
    segment.spiketrains.append(train)
    for times in (group, [train], segment, pg.as_spike_trains(group)):
        with pytest.raises(TypeError, match=r"counts: got spike times .* pg\.bin_spikes"):
            pg.build_glm(times, BASIS)
