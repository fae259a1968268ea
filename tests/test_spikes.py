import logging
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymc_glm.spikes import SpikeTrains, as_spike_trains, bin_spikes, neuron_positions


@pytest.fixture
def trains():
    return SpikeTrains(
        [[0.1, 0.7, 1.9], [], [0.4, 2.0]],
        ["a", "b", "c"],
        start=0,
        stop=2,
        positions=[[0, 1], [2, 3], [4, 5]],
        name="demo",
    )


# SpikeTrains


def test_trains_hold_what_they_were_given(trains):
    assert len(trains) == 3
    assert trains.neurons == ("a", "b", "c")
    assert [t.tolist() for t in trains.times] == [[0.1, 0.7, 1.9], [], [0.4, 2.0]]
    assert all(t.dtype == np.float64 for t in trains.times)
    np.testing.assert_array_equal(trains.positions, [[0, 1], [2, 3], [4, 5]])
    text = repr(trains)
    assert all(part in text for part in ("'demo'", "3 neurons", "5 spikes", "0 to 2 s", "xy"))


def test_rates(trains):
    rates = trains.rates
    assert rates.dims == ("neuron",)
    assert rates.attrs["units"] == "Hz"
    np.testing.assert_allclose(rates.sel(neuron=["c", "a", "b"]), [1.0, 1.5, 0.0])


def test_trains_are_frozen_copies():
    times = np.array([0.5])
    trains = SpikeTrains([times], ["a"], start=0, stop=1)
    times[0] = 0.9
    assert trains.times[0][0] == 0.5
    with pytest.raises(ValueError, match="read-only"):
        trains.times[0][0] = 0.1
    with pytest.raises(AttributeError):
        trains.stop = 3.0


def test_trains_survive_pickling(trains):
    again = pickle.loads(pickle.dumps(trains))
    assert repr(again) == repr(trains)
    np.testing.assert_array_equal(again.times[0], trains.times[0])


def test_negative_times_are_fine_within_a_recording_that_starts_below_them():
    assert SpikeTrains([[-0.5]], ["a"], start=-1, stop=0).rates.item() == 1.0


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([0.1, np.nan], "neuron 'b', spike 1: the time is nan"),
        ([0.1, 0.2, np.inf], "neuron 'b', spike 2: the time is inf"),
        ([0.1, 0.5, 0.2], r"neuron 'b'.*not sorted, spike 2 at 0.2 s follows spike 1 at 0.5 s; so"),
        ([-0.25, 0.1], "neuron 'b', spike 0: the time -0.25 s is negative .* give start=-0.25"),
        ([0.1, 2.5, 3.0], "neuron 'b', spike 1: the time 2.5 s is after the end.* 2.0 s"),
        ([[0.1]], "neuron 'b'.*1-dimensional"),
    ],
)
def test_bad_times_are_named(times, message):
    with pytest.raises(ValueError, match=message):
        SpikeTrains([[0.1], times], ["a", "b"], start=0, stop=2)


@pytest.mark.parametrize("times", [["0.1"], [True], [1j]])
def test_times_must_be_numbers(times):
    with pytest.raises(TypeError, match="neuron 'a': spike times must be real numbers"):
        SpikeTrains([times], ["a"], start=0, stop=2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"neurons": ["a", "a"]}, r"unique.*\['a'\]"),
        ({"neurons": [1, "1"]}, r"unique.*\['1'\]"),
        ({"neurons": ["a"]}, "2 arrays of spike times and 1 labels"),
        ({"times": [], "neurons": []}, "no neurons"),
        ({"start": 2.0}, "start, stop: got 2.0 and 2.0 s; give start below"),
        ({"stop": np.nan}, "stop: got nan, allowed are finite numbers"),
        ({"positions": [[0, 0]]}, r"positions: got the shape \(1, 2\).*\(2 neurons"),
        (
            {"positions": [[0, 0, 0, 0]] * 2},
            r"positions: got the shape \(2, 4\).*1 to 3 coordinates",
        ),
        ({"positions": [[0, 0], [np.nan, 1]]}, r"positions: got \[nan +1.\] for neuron 'b'"),
    ],
)
def test_bad_recordings_are_refused(change, message):
    given = {"times": [[0.1], [0.2]], "neurons": ["a", "b"], "start": 0.0, "stop": 2.0}
    with pytest.raises(ValueError, match=message):
        SpikeTrains(**(given | change))


@pytest.mark.parametrize("value", ["2", None, True])
def test_bounds_must_be_numbers(value):
    with pytest.raises(TypeError, match=f"stop: got {value!r}, allowed are .*numbers"):
        SpikeTrains([[0.1]], ["a"], start=0, stop=value)


def test_select_neurons_in_the_order_given(trains):
    part = trains.select(["c", "a"])
    assert part.neurons == ("c", "a")
    assert part.times[0].tolist() == [0.4, 2.0]
    np.testing.assert_array_equal(part.positions, [[4, 5], [0, 1]])
    assert trains.select("b").neurons == ("b",)


def test_select_windows_partition_the_spikes(trains):
    early, late = trains.select(stop=0.7), trains.select(start=0.7)
    for whole, first, second in zip(trains.times, early.times, late.times, strict=True):
        np.testing.assert_array_equal(whole, np.concatenate([first, second]))
    assert (late.start, late.stop) == (0.7, 2.0)
    assert trains.select(start=0.5, duration=1).stop == 1.5


def test_select_by_rate_in_the_window(trains):
    assert trains.select(min_rate=1.2).neurons == ("a",)
    assert trains.select(min_rate=1.0).neurons == ("a", "c")
    assert trains.select(start=0.2, stop=0.6, min_rate=0.1).neurons == ("c",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"neurons": ["a", "zz"]}, r"unknown neurons \['zz'\].*has 3"),
        ({"neurons": ["a", "a"]}, r"unique.*\['a'\]"),
        ({"neurons": []}, "neurons: it is empty"),
        ({"start": -1}, "start: -1.0 s is outside the recording, 0.0 to 2.0 s"),
        ({"stop": 3}, "stop: 3.0 s is outside the recording"),
        ({"start": 1, "stop": 0.5}, "start, stop: got 1.0 and 0.5 s"),
        ({"stop": 1, "duration": 1}, "stop, duration: give one of them"),
        ({"min_rate": 5}, "min_rate: .* 5 Hz.*highest rate is 1.5 Hz, of neuron 'a'"),
        ({"min_rate": -1}, "min_rate: got -1, .* at least 0 Hz"),
    ],
)
def test_bad_selections_are_refused(trains, options, message):
    with pytest.raises(ValueError, match=message):
        trains.select(**options)


# bin_spikes


def test_counts_and_coordinates(trains):
    counts = bin_spikes(trains, 0.5, neurons=["c", "a"])
    assert counts.dims == ("time", "neuron")
    assert counts.dtype == np.int64
    np.testing.assert_array_equal(counts, [[1, 1], [0, 1], [0, 0], [0, 1]])
    np.testing.assert_array_equal(counts["time"], [0.0, 0.5, 1.0, 1.5])
    assert counts["time"].attrs["units"] == "s"
    assert counts["neuron"].values.tolist() == ["c", "a"]
    assert counts.attrs == {"bin_width": 0.5, "name": "demo"}
    positions = neuron_positions(counts)
    assert positions.dims == ("neuron", "space")
    assert positions["space"].values.tolist() == ["x", "y"]
    np.testing.assert_array_equal(positions.sel(neuron="c"), [4, 5])
    assert neuron_positions(bin_spikes([[0.1, 1.0]], 0.5)) is None


def test_incomplete_last_bin_is_dropped():
    counts = bin_spikes([[0.1, 0.95]], 0.3, stop=1.0)
    np.testing.assert_array_equal(counts[:, 0], [1, 0, 0])
    np.testing.assert_array_equal(bin_spikes([[0.0, 0.5, 1.0]], 0.5)[:, 0], [1, 1])


def test_window_with_negative_start():
    counts = bin_spikes([[-0.9, 0.1]], 0.5, start=-1, stop=0.5)
    np.testing.assert_array_equal(counts[:, 0], [1, 0, 1])


def test_window_cuts_at_both_ends():
    counts = bin_spikes([[0.1, 1.2, 2.6, 9.0]], 0.5, start=1, stop=3)
    np.testing.assert_array_equal(counts[:, 0], [1, 0, 0, 1])


@pytest.mark.parametrize("per_second", [1000, 200, 100, 3])
@pytest.mark.parametrize("start", [0.0, 17.482, -250.1])
def test_spikes_written_at_the_edges_fall_in_their_bins(per_second, start):
    """k / 200 as a decimal number and k * 0.005 as a product, at 10^6 bins without drift."""
    n_bins, width = 10**6, 1 / per_second
    k = np.arange(n_bins)
    for times in (start + k / per_second, start + k * width, np.round(start + k * width, 9)):
        if per_second == 3 and times[1] != start + width:
            continue  # thirds have no decimals
        stop = start + n_bins / per_second
        counts = bin_spikes([times], width, start=start, stop=stop)
        assert counts.sizes["time"] == n_bins
        assert (counts.values == 1).all()
        # The smallest step that is no rounding error: just before an edge is the bin before.
        early = bin_spikes([times - 1e-6], width, start=start - 1e-6 - width, stop=stop)
        assert early.values.sum() == n_bins
    np.testing.assert_allclose(counts["time"], start + k / per_second, rtol=0, atol=1e-9)


def test_spikes_just_before_an_edge_stay_in_the_bin_before():
    k = np.arange(1, 100_001)
    counts = bin_spikes([k * 0.005 - 1e-9], 0.005, stop=500.0)
    assert (counts.values == 1).all()


@st.composite
def recordings(draw):
    """Times in whole microseconds, for which integer division is exact."""
    start = draw(st.integers(-(10**7), 10**7))
    width = draw(st.integers(1, 10**5))
    length = draw(st.integers(width, 300 * width))
    time = st.integers(start, start + length) | st.integers(0, length // width).map(
        lambda k: start + k * width
    )
    trains = draw(st.lists(st.lists(time, max_size=30).map(sorted), min_size=1, max_size=5))
    return start, width, length, trains


@settings(max_examples=200, deadline=None)
@given(recordings())
@pytest.mark.filterwarnings("ignore:these neurons have no spikes")
def test_counts_equal_those_of_integer_arithmetic(recording):
    start, width, length, trains = recording
    n_bins = length // width
    expected = np.zeros((n_bins, len(trains)), dtype=int)
    for n, times in enumerate(trains):
        for time in times:
            if (k := (time - start) // width) < n_bins:
                expected[k, n] += 1
    spike_trains = SpikeTrains(
        [np.array(t) / 1e6 for t in trains],
        [f"n{i}" for i in range(len(trains))],
        start=start / 1e6,
        stop=(start + length) / 1e6,
    )
    counts = bin_spikes(spike_trains, width / 1e6)
    np.testing.assert_array_equal(counts, expected)
    reverse = bin_spikes(spike_trains, width / 1e6, neurons=spike_trains.neurons[::-1])
    np.testing.assert_array_equal(reverse.sel(neuron=list(spike_trains.neurons)), counts)


def test_kinds_of_input_agree():
    times = [np.array([0.1, 0.6]), np.array([0.2, 0.25])]
    expected = [[1, 2], [1, 0]]
    for spike_times, labels in (
        (SpikeTrains(times, ["0", "1"], start=0, stop=1), ["0", "1"]),
        ({"x": times[0], 7: times[1]}, ["x", "7"]),
        (times, ["0", "1"]),
        (tuple(t.tolist() for t in times), ["0", "1"]),
        ((t for t in times), ["0", "1"]),
    ):
        counts = bin_spikes(spike_times, 0.5, stop=1.0)
        np.testing.assert_array_equal(counts, expected)
        assert counts["neuron"].values.tolist() == labels


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([0.1, 0.2], "flat sequence of numbers; .*put it in a list"),
        (np.array([0.1, 0.2]), "flat sequence of numbers"),
        ("spikes.csv", "got str"),
        (3, "got int"),
    ],
)
def test_other_kinds_are_refused(given, message):
    with pytest.raises(TypeError, match=message):
        bin_spikes(given, 0.1)


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        ([], {}, "spike_times: it is empty"),
        ([[]], {}, "stop: without spikes the end of the recording is not known"),
        ([[0.0]], {}, "no spike comes after the start, 0 s.*give stop="),
        ([[np.nan]], {}, "neuron '0', spike 0: the time is nan"),
        ([[0.5, 0.2]], {}, "neuron '0'.*not sorted"),
        ([[-0.5, 0.5]], {}, "-0.5 s is negative.*give start=-0.5 or lower"),
        ([[-0.5, 0.5]], {"start": 0.1}, "-0.5 s is negative"),
        ({1: [0.1], "1": [0.2]}, {}, r"these repeat: \['1'\]"),
        ([[0.5]], {"start": 2, "stop": 1}, "start, stop: got 2.0 and 1.0 s"),
        ([[0.5]], {"neurons": ["9"]}, r"unknown neurons \['9'\]"),
        (
            [[0.25, 0.5]],
            {"min_rate": 100},
            "min_rate: .* 100 Hz.*highest rate is 2 Hz, of neuron '0'",
        ),
    ],
)
def test_wrong_spike_times_and_options_are_refused(given, options, message):
    with pytest.raises(ValueError, match=message):
        bin_spikes(given, 0.1, **options)


@pytest.mark.parametrize(
    ("width", "error", "message"),
    [
        (0, ValueError, "bin_width: got 0, .* above 0 s"),
        (-0.01, ValueError, "bin_width: got -0.01, .* above 0 s"),
        (np.nan, ValueError, "bin_width: got nan, allowed are finite numbers"),
        (5, ValueError, "bin_width: 5 s is longer than the recording, 2 s"),
        ("5ms", TypeError, "bin_width: got '5ms', allowed are .*numbers"),
        (None, TypeError, "bin_width: got None, allowed are .*numbers"),
    ],
)
def test_bad_bin_widths_are_refused(trains, width, error, message):
    with pytest.raises(error, match=message):
        bin_spikes(trains, width)


def test_window_beyond_a_known_recording_is_refused(trains):
    with pytest.raises(ValueError, match=r"stop: 3\.0 s is outside the recording, 0\.0 to 2"):
        bin_spikes(trains, 0.1, stop=3)


def test_silent_neurons_are_kept_with_a_warning(trains):
    with pytest.warns(UserWarning, match=r"no spikes in the binned window: \['b'\];.* min_rate="):
        counts = bin_spikes(trains, 0.5)
    assert counts["neuron"].values.tolist() == ["a", "b", "c"]
    assert counts.sel(neuron="b").sum() == 0


def test_slow_neurons_are_dropped_and_named(trains, caplog):
    with caplog.at_level(logging.WARNING, logger="pymc_glm"):
        counts = bin_spikes(trains, 0.5, min_rate=1.0)
    # The spike of c at 2.0 s, the very end, is in no bin: 1 spike in 2 s.
    assert counts["neuron"].values.tolist() == ["a"]
    assert counts.attrs["dropped_neurons"] == ["b", "c"]
    assert "['b', 'c']" in caplog.text
    assert bin_spikes(trains, 0.5, min_rate=0).attrs["dropped_neurons"] == []


# objects of other packages


def test_pynapple():
    nap = pytest.importorskip("pynapple")
    support = nap.IntervalSet(0.0, 2.0)
    units = {3: nap.Ts(np.array([0.1, 0.6])), 8: nap.Ts(np.array([1.4, 1.45]))}
    group = nap.TsGroup(units, time_support=support)
    counts = bin_spikes(group, 0.5)
    np.testing.assert_array_equal(counts, [[1, 0], [1, 0], [0, 2], [0, 0]])
    assert counts["neuron"].values.tolist() == ["3", "8"]
    with pytest.raises(TypeError, match="in a list"):
        bin_spikes(group[3], 0.5)


def test_neo():
    neo = pytest.importorskip("neo")
    first = neo.SpikeTrain([100.0, 600.0], units="ms", t_stop=2000.0, name="u1")
    second = neo.SpikeTrain([1.4], units="s", t_stop=2.0, name="u2")
    trains = as_spike_trains([first, second])
    assert trains.neurons == ("u1", "u2")
    assert (trains.start, trains.stop) == (0.0, 2.0)
    np.testing.assert_allclose(trains.times[0], [0.1, 0.6])
    segment = neo.Segment()
    segment.spiketrains.extend([first, second])
    np.testing.assert_array_equal(
        bin_spikes(segment.spiketrains, 0.5), [[1, 0], [1, 0], [0, 1], [0, 0]]
    )
    short = neo.SpikeTrain([0.4], units="s", t_stop=1.0, name="u3")
    with pytest.raises(ValueError, match=r"different times.*time_slice"):
        bin_spikes([first, short], 0.5)
    with pytest.raises(TypeError, match="in a list"):
        bin_spikes(first, 0.5)
