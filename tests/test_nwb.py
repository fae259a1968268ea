"""NWB files as they are on DANDI, written here by pynwb: trials, epochs, probes, annotations."""

import datetime
import logging

import numpy as np
import pytest

import pymc_glm as pg

pynwb = pytest.importorskip("pynwb")

QUALITY = ["good", "mua", "good", "noise"]
TIMES = [[0.5, 1.2, 3.1, 7.9], [], [1.0, 3.5], [0.1, 4.2, 9.7]]
PLACES = [(10.0, 100.0), (10.0, 120.0), (30.0, 2000.0), (30.0, 2020.0)]
ELECTRODES = [[0], [0, 1], [2], [2, 3]]


def new_file():
    file = pynwb.NWBFile(
        session_description="mouse in the dark",
        identifier="m1-s2",
        session_start_time=datetime.datetime(2021, 5, 4, 12, tzinfo=datetime.UTC),
        session_id="s2",
    )
    file.subject = pynwb.file.Subject(subject_id="m1", species="Mus musculus", sex="F", age="P90D")
    return file


def add_probes(file, relative=False):
    """Two probes of two electrodes."""
    for k in ("A", "B"):
        device = file.create_device(name=f"probe{k}")
        file.create_electrode_group(
            name=f"shank{k}", description="-", location="VISp", device=device
        )
    for i, (x, y) in enumerate(PLACES):
        group = file.electrode_groups["shankA" if i < 2 else "shankB"]
        if relative:
            places = {"rel_x": x, "rel_y": y}
        else:
            places = {"x": x, "y": y, "z": np.nan}
        file.add_electrode(location="VISp", group=group, **places)


def add_units(file, obs=None, electrodes=True, times=TIMES, **columns):
    for name, values in columns.items():
        ragged = isinstance(values[0], list)
        file.add_unit_column(name, f"the {name}", index=ragged)
    for i, unit in enumerate(times):
        more = {name: values[i] for name, values in columns.items()}
        if electrodes:
            more["electrodes"] = ELECTRODES[i]
        if obs is not None:
            more["obs_intervals"] = obs
        file.add_unit(spike_times=np.array(unit, float), id=100 + i, **more)


def write(file, folder):
    """As DANDI names files."""
    path = folder / "sub-m1" / "sub-m1_ses-s2_ecephys.nwb"
    path.parent.mkdir(exist_ok=True)
    with pynwb.NWBHDF5IO(str(path), "w") as io:
        io.write(file)
    return path


def test_a_file_of_two_probes(tmp_path):
    file = new_file()
    add_probes(file)
    marks = [[1.0], [2.0, 3.0], [4.0], [5.0]]
    add_units(file, quality=QUALITY, snr=[3.5, np.nan, 2.0, 1.0], on_target=[True] * 4, marks=marks)
    trains = pg.read_spikes(write(file, tmp_path), stop=10.0)
    assert trains.name == "sub-m1_ses-s2_ecephys"
    assert trains.neurons == ("100", "101", "102", "103")
    assert [t.tolist() for t in trains.times] == TIMES
    expected = [(10, 100), (10, 110), (30, 2000), (30, 2010)]
    np.testing.assert_array_equal(trains.positions, expected)
    assert set(trains.annotations) == {"quality", "snr", "on_target", "electrode_group"}
    assert trains.annotations["quality"].tolist() == QUALITY
    np.testing.assert_array_equal(trains.annotations["snr"], [3.5, np.nan, 2.0, 1.0])
    assert trains.annotations["electrode_group"].tolist() == ["shankA"] * 2 + ["shankB"] * 2
    counts = pg.bin_spikes(trains, 0.1, min_rate=0.1)
    assert counts["quality"].values.tolist() == ["good", "good", "noise"]
    assert counts["electrode_group"].values.tolist() == ["shankA", "shankB", "shankB"]


def test_annotations_follow_the_units_that_are_read(tmp_path):
    file = new_file()
    add_units(file, electrodes=False, quality=QUALITY, cell=["a", "b", "c", "d"])
    path = write(file, tmp_path)
    trains = pg.read_spikes(path, label="cell", units=["c", "a"])
    assert trains.annotations["quality"].tolist() == ["good", "good"]
    assert trains.times[0].tolist() == TIMES[2]
    assert set(trains.annotations) == {"quality"}  # the labels are labels


def test_the_group_of_units_and_their_own_positions(tmp_path):
    """Units that name a group and have columns x and y, but no electrodes."""
    file = new_file()
    add_probes(file)
    for name in ("x", "y"):
        file.add_unit_column(name, "micrometres")
    for i, unit in enumerate(TIMES):
        group = file.electrode_groups["shankA" if i % 2 else "shankB"]
        file.add_unit(spike_times=np.array(unit), electrode_group=group, x=1.0 * i, y=5.0)
    trains = pg.read_spikes(write(file, tmp_path))
    assert trains.annotations["electrode_group"].tolist() == ["shankB", "shankA"] * 2
    assert trains.positions.tolist() == [[0, 5], [1, 5], [2, 5], [3, 5]]


def test_positions_within_a_probe_are_none_across_probes(tmp_path):
    file = new_file()
    add_probes(file, relative=True)
    add_units(file)
    path = write(file, tmp_path)
    with pytest.warns(UserWarning, match=r"positions are left out: rel_x.*'shankA', 'shankB'"):
        trains = pg.read_spikes(path)
    assert trains.positions is None
    one = pg.read_spikes(path, units=[102, 103])
    assert one.positions.tolist() == [[30, 2000], [30, 2010]]
    assert "electrode_group" not in one.annotations


def test_observation_intervals_of_all_are_epochs(tmp_path):
    """Those that touch are one."""
    file = new_file()
    add_units(file, electrodes=False, obs=[[0.0, 1.0], [1.0, 4.0], [7.0, 10.0]], times=TIMES[:3])
    path = write(file, tmp_path)
    trains = pg.read_spikes(path)
    assert trains.epochs.tolist() == [[0, 4], [7, 10]] and trains.trials is None
    assert (trains.start, trains.stop, trains.duration) == (0, 10, 7)
    part = pg.read_spikes(path, stop=8.0)
    assert part.epochs.tolist() == [[0, 4], [7, 8]]
    counts = pg.bin_spikes(trains, 1.0, min_rate=0.0)
    assert counts["time"].values.tolist() == [0, 1, 2, 3, 7, 8, 9]
    assert counts["segment"].values.tolist() == [0, 0, 0, 0, 1, 1, 1]


def test_spikes_that_contradict_the_observation_intervals(tmp_path):
    file = new_file()
    add_units(file, electrodes=False, obs=[[0.0, 4.0], [7.0, 10.0]])  # one spike at 4.2 s
    with pytest.warns(
        UserWarning, match=r"outside obs_intervals are left out \(number of such spikes: 1\)"
    ):
        trains = pg.read_spikes(write(file, tmp_path))
    assert trains.times[3].tolist() == [0.1, 9.7]


def with_trials(file):
    file.add_trial_column("choice", "left or right")
    for start, stop, choice in ((0.0, 2.0, "l"), (3.0, 5.0, "r"), (9.0, 10.5, "l")):
        file.add_trial(start_time=start, stop_time=stop, choice=choice)
    file.add_epoch(0.0, 6.0, tags=["task"])
    file.add_epoch(8.0, 11.0, tags=["rest"])
    flashes = pynwb.epoch.TimeIntervals(name="flashes", description="flashes of light")
    for start in (1.0, 3.0):
        flashes.add_row(start_time=start, stop_time=start + 0.5)
    file.add_time_intervals(flashes)


def test_trials(tmp_path, caplog):
    file = new_file()
    add_units(file, electrodes=False)
    with_trials(file)
    path = write(file, tmp_path)
    assert pg.read_spikes(path).epochs is None  # all spikes, unless asked otherwise
    with caplog.at_level(logging.INFO, logger="pymc_glm"):
        trains = pg.read_spikes(path, intervals="trials")
    assert "spikes left out, outside trials: 1" in caplog.text
    assert trains.epochs.tolist() == [[0, 2], [3, 5], [9, 10.5]]
    assert trains.trials.tolist() == [0, 1, 2]
    assert [t.tolist() for t in trains.times] == [[0.5, 1.2, 3.1], [], [1.0, 3.5], TIMES[3]]
    counts = pg.bin_spikes(trains, 0.5, min_rate=0.0)
    assert counts["trial"].values.tolist() == [0] * 4 + [1] * 4 + [2] * 3
    np.testing.assert_allclose(counts["trial_time"], [0, 0.5, 1, 1.5] * 2 + [0, 0.5, 1])
    asked = pg.bin_spikes(pg.read_spikes(path, stop=11.0), 0.5, trials=trains.epochs, min_rate=0.0)
    np.testing.assert_array_equal(counts, asked)


def test_other_tables_of_intervals(tmp_path):
    file = new_file()
    add_units(file, electrodes=False)
    with_trials(file)
    path = write(file, tmp_path)
    epochs = pg.read_spikes(path, intervals="epochs")
    assert epochs.epochs.tolist() == [[0, 6], [8, 11]] and epochs.trials is None
    flashes = pg.read_spikes(path, intervals="flashes", stop=3.25)
    assert flashes.epochs.tolist() == [[1, 1.5], [3, 3.25]] and flashes.trials.tolist() == [0, 1]
    with pytest.raises(ValueError, match=r"intervals: .*no table 'runs'.*'epochs', 'flashes', 'tr"):
        pg.read_spikes(path, intervals="runs")
    with pytest.raises(ValueError, match=r"nothing was recorded in the flashes from 20 to 30 s"):
        pg.read_spikes(path, intervals="flashes", start=20.0, stop=30.0)


def test_trials_within_the_observation_intervals(tmp_path):
    """Of the second trial one second was not observed, and nothing of the third."""
    file = new_file()
    add_units(file, electrodes=False, obs=[[0.0, 3.6], [4.6, 8.0]], times=TIMES[:3])
    with_trials(file)
    trains = pg.read_spikes(write(file, tmp_path), intervals="trials")
    assert trains.epochs.tolist() == [[0, 2], [3, 3.6], [4.6, 5]]
    assert trains.trials.tolist() == [0, 1, 1]


def test_trials_that_overlap_are_refused(tmp_path):
    file = new_file()
    add_units(file, electrodes=False)
    file.add_trial(start_time=0.0, stop_time=2.0)
    file.add_trial(start_time=1.0, stop_time=3.0)
    path = write(file, tmp_path)
    with pytest.raises(ValueError, match=r"trial 1, 1 to 3 s, begins before the end of trial 0"):
        pg.read_spikes(path, intervals="trials")


def test_invalid_times_are_told(tmp_path):
    file = new_file()
    add_units(file, electrodes=False)
    file.add_invalid_time_interval(start_time=1.0, stop_time=1.5)
    path = write(file, tmp_path)
    with pytest.warns(UserWarning, match=r"^0\.5 s .*\(invalid_times, number of intervals: 1\)"):
        trains = pg.read_spikes(path)
    assert [t.tolist() for t in trains.times] == TIMES


def test_no_unit_has_a_spike(tmp_path):
    file = new_file()
    add_units(file, electrodes=False, times=[[], []])
    path = write(file, tmp_path)
    trains = pg.read_spikes(path, stop=5.0)
    assert [t.size for t in trains.times] == [0, 0]
    with pytest.raises(ValueError, match=r"ecephys\.nwb.*stop"):
        pg.read_spikes(path)


def test_spike_times_that_are_not_numbers_are_not_dropped_with_the_gaps(tmp_path):
    file = new_file()
    add_units(file, electrodes=False, obs=[[0.0, 1.0], [2.0, 3.0]], times=[[0.5, np.nan]])
    with pytest.raises(ValueError, match="neuron '100', spike 1: the time is nan"):
        pg.read_spikes(write(file, tmp_path))
