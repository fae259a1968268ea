import datetime
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.stats import spearmanr

from pymc_glm.readers import READERS, read_spikes
from pymc_glm.spikes import bin_spikes, neuron_positions

TIMES = [[0.1, 0.25, 1.5], [], [0.4, 0.7]]
LABELS = ["u1", "u2", "u3"]
PLACES = np.array([[0.0, 10.0], [100.0, 10.0], [200.0, 20.0]])


def write_mea(path, times=TIMES, labels=LABELS, places=PLACES, duration=None, **changes):
    arrays = {
        "spikes": np.concatenate(times),
        "sCount": np.array([len(t) for t in times]),
        "names": np.array(labels, dtype="S"),
        "epos": places.T,
    }
    with h5py.File(path, "w") as file:
        for key, value in (arrays | changes).items():
            if value is not None:
                file[key] = value
        if duration is not None:
            file["summary/duration"] = [float(duration)]
    return path


def write_nwb(path, times=TIMES, places=PLACES, obs=None, electrodes=((0,), (1,), (1, 2))):
    pynwb = pytest.importorskip("pynwb")
    file = pynwb.NWBFile(
        session_description="test",
        identifier="test",
        session_start_time=datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
    )
    if places is not None:
        device = file.create_device(name="probe")
        group = file.create_electrode_group(
            name="shank", description="-", location="-", device=device
        )
        for x, y in places:
            file.add_electrode(x=x, y=y, z=np.nan, location="-", group=group)
    if times is not None:
        file.add_unit_column("label", "name of the cell")
    for i, unit in enumerate(times or []):
        more = {} if places is None else {"electrodes": list(electrodes[i])}
        if obs is not None:
            more["obs_intervals"] = obs[i]
        file.add_unit(spike_times=np.array(unit, float), id=10 + i, label=LABELS[i], **more)
    with pynwb.NWBHDF5IO(str(path), "w") as io:
        io.write(file)
    return path


def write_csv(path, header="time,neuron", rows=("0.7,u3", "0.25,u1", "1.5,u1", "0.1,u1", "0.4,u3")):
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def write_npz(path, **changes):
    arrays = {
        "times": np.array([0.7, 0.25, 1.5, 0.1, 0.4]),
        "neurons": np.array([2, 0, 0, 0, 2]),
        "labels": np.array(LABELS),
        "positions": PLACES,
    }
    np.savez(path, **{k: v for k, v in (arrays | changes).items() if v is not None})
    return path


def check(trains, times=TIMES, labels=LABELS):
    assert trains.neurons == tuple(labels)
    assert [t.tolist() for t in trains.times] == times


# what all formats share


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file.*cells\.csv"):
        read_spikes(tmp_path / "cells.csv")


def test_directory(tmp_path):
    with pytest.raises(IsADirectoryError, match="is a directory"):
        read_spikes(tmp_path)


@pytest.mark.parametrize("suffix", [".csv", ".h5", ".npz", ".nwb", ".abc"])
def test_empty_file(tmp_path, suffix):
    (tmp_path / f"cells{suffix}").touch()
    with pytest.raises(ValueError, match=r"cells.* is empty \(0 bytes\)"):
        read_spikes(tmp_path / f"cells{suffix}")


def test_unknown_formats(tmp_path):
    path = tmp_path / "cells.abc"
    path.write_bytes(b"\xff\xfe\x00\x01 nothing known")
    with pytest.raises(ValueError, match=r"'\.abc'.*nwb.*mea_hdf5.*npz.*csv"):
        read_spikes(path)
    with pytest.raises(ValueError, match=r"format: got 'matlab'.*'csv'"):
        read_spikes(path, format="matlab")


@pytest.mark.parametrize("name", ["nwb", "mea_hdf5", "npz", "csv"])
def test_nonsense_in_every_format(tmp_path, name):
    if name == "nwb":
        pytest.importorskip("pynwb")
    path = tmp_path / "cells.abc"
    path.write_text("nothing known\n1 2 3\n")
    with pytest.raises(ValueError, match=r"cells\.abc: "):
        read_spikes(path, format=name)


def test_unknown_options(tmp_path):
    path = write_csv(tmp_path / "cells.csv")
    with pytest.raises(TypeError, match=r"'csv' has no option \['units'\].*'time_column'"):
        read_spikes(path, units=["u1"])


@pytest.mark.parametrize(
    ("write", "suffix"), [(write_mea, "h5"), (write_nwb, "nwb"), (write_npz, "npz")]
)
def test_formats_with_units_and_positions(tmp_path, write, suffix):
    places = PLACES.copy()
    if suffix == "nwb":
        places[2] = PLACES[1:].mean(axis=0)  # this unit has two electrodes
        options = {"label": "label"}
    else:
        options = {}
    path = write(tmp_path / f"cells.{suffix}")
    trains = read_spikes(path, **options)
    check(trains)
    np.testing.assert_array_equal(trains.positions, places)
    assert trains.name == "cells"
    assert (trains.start, trains.stop) == (0.0, 1.5)
    # Known by content, whatever the file is called; a string does for the path.
    check(read_spikes(str(path.rename(tmp_path / "cells.abc")), **options))


@pytest.mark.parametrize(
    ("write", "suffix"),
    [(write_mea, "h5"), (write_nwb, "nwb"), (write_npz, "npz"), (write_csv, "csv")],
)
def test_bounds_and_name_can_be_given(tmp_path, write, suffix):
    path = write(tmp_path / f"cells.{suffix}")
    trains = read_spikes(path, start=-1, stop=20, name="other")
    assert (trains.start, trains.stop, trains.name) == (-1.0, 20.0, "other")
    with pytest.raises(ValueError, match=r"cells\.\w+: neuron .*1\.5 s is after the end"):
        read_spikes(path, stop=1.0)


def test_every_reader_has_a_name_of_its_own():
    names = [reader.name for reader in READERS]
    suffixes = [suffix for reader in READERS for suffix in reader.suffixes]
    assert len(set(names)) == len(names)
    assert len(set(suffixes)) == len(suffixes)


@pytest.mark.parametrize("write", [write_mea, write_nwb])
@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([[0.1], [0.5, 0.2], [0.4]], "neuron '(u2|11)'.*not sorted, spike 1 at 0.2 s follows"),
        ([[0.1], [0.5, np.nan], [0.4]], "neuron '(u2|11)', spike 1: the time is nan"),
        ([[0.1], [-0.5, 0.2], [0.4]], "neuron '(u2|11)', spike 0: the time -0.5 s is negative"),
    ],
)
def test_bad_times_are_named(tmp_path, write, times, message):
    path = write(tmp_path / "cells.nwb", times)
    with pytest.raises(ValueError, match=message):
        read_spikes(path)


def test_pynwb_that_is_not_installed(tmp_path, monkeypatch):
    path = write_nwb(tmp_path / "cells.nwb")
    monkeypatch.setitem(sys.modules, "pynwb", None)
    with pytest.raises(
        ImportError, match=r'need the package pynwb; run pip install "pymc_glm\[nwb\]"'
    ):
        read_spikes(path)


# MEA HDF5


def test_mea_duration(tmp_path):
    trains = read_spikes(write_mea(tmp_path / "a.h5", duration=60))
    assert (trains.start, trains.stop) == (0.0, 60.0)
    # Clock that does not start at 0: 2 s cannot hold spikes up to 11.5 s.
    late = [[t + 10 for t in unit] for unit in TIMES]
    trains = read_spikes(write_mea(tmp_path / "b.h5", late, duration=2))
    assert (trains.start, trains.stop) == (10.1, 12.1)


def test_mea_spikes_at_negative_times_need_a_start(tmp_path):
    early = [[t - 1 for t in unit] for unit in TIMES]
    path = write_mea(tmp_path / "a.h5", early, duration=2)
    with pytest.raises(ValueError, match=r"is negative and before the start.*give start="):
        read_spikes(path)
    trains = read_spikes(path, start=-1.0)
    assert (trains.start, trains.stop) == (-1.0, 1.0)


def test_mea_spikes_beyond_the_duration(tmp_path):
    first, last = min(np.concatenate(TIMES)), max(np.concatenate(TIMES))
    path = write_mea(tmp_path / "a.h5", duration=1)
    with pytest.warns(UserWarning, match=rf"summary/duration is 1 s, .* at {last:g} s"):
        trains = read_spikes(path)
    assert (trains.start, trains.stop) == (first, last)
    trains = read_spikes(path, stop=last + 1)  # no warning
    assert (trains.start, trains.stop) == (first, last + 1)


def test_mea_without_names_and_positions(tmp_path):
    trains = read_spikes(write_mea(tmp_path / "a.h5", names=None, epos=None))
    check(trains, labels=["0", "1", "2"])
    assert trains.positions is None


def test_mea_positions_that_are_not_finite(tmp_path):
    places = PLACES.copy()
    places[1, 0] = np.nan
    path = write_mea(tmp_path / "a.h5", places=places)
    with pytest.warns(UserWarning, match=r"positions are left out: those of units \['u2'\]"):
        assert read_spikes(path).positions is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sCount": None}, r"datasets \['sCount'\] are missing; it has \['epos', 'names', 'spi"),
        ({"sCount": [3, 0, 1]}, "sCount sums to 4 spikes but spikes has 5"),
        ({"sCount": [5, -1, 1]}, "sCount must hold whole numbers"),
        ({"sCount": [3.0, 0.0, 2.0]}, "sCount must hold whole numbers"),
        ({"sCount": np.zeros(0, int), "spikes": np.zeros(0)}, "sCount is empty: there are no uni"),
        ({"names": np.array(["a", "b"], "S")}, "names has 2 labels but sCount has 3 units"),
        ({"names": np.array(["a", "b", "a"], "S")}, r"unique.*\['a'\]"),
        ({"epos": PLACES}, r"positions: got the shape .*\(3 neurons"),
    ],
)
def test_mea_files_that_contradict_themselves(tmp_path, changes, message):
    path = write_mea(tmp_path / "cells.h5", **changes)
    with pytest.raises(ValueError, match=rf"cells\.h5: .*{message}"):
        read_spikes(path)


def test_mea_file_cut_short(tmp_path):
    path = write_mea(tmp_path / "cells.h5")
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(ValueError, match="cannot be opened as HDF5"):
        read_spikes(path)


# NWB


def test_nwb_labels_and_selection(tmp_path):
    path = write_nwb(tmp_path / "cells.nwb")
    check(read_spikes(path), labels=["10", "11", "12"])
    part = read_spikes(path, units=[12, 10])
    check(part, [TIMES[2], TIMES[0]], ["12", "10"])
    np.testing.assert_array_equal(part.positions, [[150.0, 15.0], [0.0, 10.0]])
    check(read_spikes(path, label="label", units=["u3"]), [TIMES[2]], ["u3"])
    with pytest.raises(ValueError, match=r"unknown units \['u9'\]; .* has 3, such as \['u1', 'u2'"):
        read_spikes(path, label="label", units=["u1", "u9"])
    with pytest.raises(ValueError, match=r"label: .*no column 'cell'.*'spike_times'"):
        read_spikes(path, label="cell")


def test_nwb_observation_intervals(tmp_path):
    path = write_nwb(tmp_path / "a.nwb", obs=[[[0.0, 5.0]]] * 3)
    assert read_spikes(path).stop == 5.0
    path = write_nwb(tmp_path / "b.nwb", obs=[[[0.0, 5.0]], [[0.0, 2.0], [3.0, 5.0]], [[0.0, 4.0]]])
    with pytest.warns(UserWarning, match=r"units \['11', '12'\] were not observed all the time"):
        assert read_spikes(path).stop == 5.0


def test_nwb_without_positions(tmp_path):
    assert read_spikes(write_nwb(tmp_path / "a.nwb", places=None)).positions is None
    nowhere = write_nwb(tmp_path / "b.nwb", places=np.full((3, 2), np.nan))
    assert read_spikes(nowhere).positions is None
    path = write_nwb(tmp_path / "c.nwb", electrodes=((0,), (), (1,)))
    with pytest.warns(UserWarning, match=r"left out: those of units \['11'\]"):
        assert read_spikes(path).positions is None


def test_nwb_without_units(tmp_path):
    path = write_nwb(tmp_path / "a.nwb", times=None)
    with pytest.raises(ValueError, match=r"a\.nwb: there are no units"):
        read_spikes(path)


def test_other_hdf5_is_no_nwb(tmp_path):
    pytest.importorskip("pynwb")
    path = write_mea(tmp_path / "cells.h5")
    with pytest.raises(ValueError, match="not an NWB file"):
        read_spikes(path, format="nwb")


# CSV


def test_csv(tmp_path):
    trains = read_spikes(write_csv(tmp_path / "cells.csv"))
    check(trains, [TIMES[0], TIMES[2]], ["u1", "u3"])
    assert trains.positions is None


def test_csv_columns_and_separators(tmp_path):
    rows = ["x\t0.7\t10", "x\t0.25\t9", "", "x\t0.1\t9"]
    path = write_csv(tmp_path / "cells.tsv", "what\tt\tcell", rows)
    trains = read_spikes(path, time_column="t", neuron_column="cell")
    check(trains, [[0.1, 0.25], [0.7]], ["9", "10"])
    path = write_csv(tmp_path / "cells.txt", "time | neuron", ["0.5 | NA", "0.25 | 01"])
    check(read_spikes(path, delimiter="|"), [[0.25], [0.5]], ["01", "NA"])


def test_csv_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "cells.csv"
    path.write_text("time;neuron\n0.25;µ\n0.5;µ\n", encoding="utf-8-sig")
    check(read_spikes(path), [[0.25, 0.5]], ["µ"])


def test_csv_numbers_are_read_exactly(tmp_path):
    times = np.random.default_rng(0).uniform(0, 4000, 500).tolist()
    path = write_csv(tmp_path / "cells.csv", rows=[f"{time!r},a" for time in times])
    check(read_spikes(path), [sorted(times)], ["a"])


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        ("t,neuron", ["0.1,a"], r"columns \['time'\] are missing; it has \['t', 'neuron'\]"),
        ("time,neuron", [], "no rows under the header"),
        ("time,neuron", ["0.1,a", "x,b"], "row 1, neuron 'b': the time 'x' is not a finite"),
        ("time,neuron", ["0.1,a", "nan,b"], "row 1, neuron 'b': the time .*nan.* is not a finite"),
        ("time,neuron", ["0.1,a", ",b"], "row 1, neuron 'b': the time '' is not a finite"),
        ("time,neuron", ["0.1,a", "0.2,"], "row 1 has no label"),
        ("time,neuron", ["0.1,a", "-0.2,b"], "neuron 'b', spike 0: the time -0.2 s is negative"),
        ("time,neuron", ["0,1,a", "0,2,a"], "cannot be read as a table"),
        ("time,neuron", ["0.1,a", "0.2,a,b"], "cannot be read as a table"),
    ],
)
def test_bad_csv(tmp_path, header, rows, message):
    path = write_csv(tmp_path / "cells.csv", header, rows)
    with pytest.raises(ValueError, match=rf"cells\.csv: .*{message}"):
        read_spikes(path)


def test_csv_that_is_not_text(tmp_path):
    path = tmp_path / "cells.csv"
    path.write_bytes(b"time,neuron\n0.1,\xff\xfe\n")
    with pytest.raises(ValueError, match=r"cells\.csv: it is not text in UTF-8"):
        read_spikes(path)


# npz


def test_npz_ways_to_name_neurons(tmp_path):
    spoken = np.array(["u3", "u1", "u1", "u1", "u3"])
    check(read_spikes(write_npz(tmp_path / "a.npz", neurons=spoken)))
    part = read_spikes(write_npz(tmp_path / "b.npz", labels=None, positions=None))
    check(part, [TIMES[0], TIMES[2]], ["0", "2"])
    check(read_spikes(write_npz(tmp_path / "c.npz", labels=None)), labels=["0", "1", "2"])
    part = read_spikes(
        write_npz(tmp_path / "d.npz", neurons=spoken, labels=None, positions=PLACES[:2])
    )
    check(part, [TIMES[0], TIMES[2]], ["u1", "u3"])
    np.testing.assert_array_equal(part.positions, PLACES[:2])


def test_npz_bounds(tmp_path):
    trains = read_spikes(write_npz(tmp_path / "a.npz", start=np.float64(-1.0), stop=[9]))
    assert (trains.start, trains.stop) == (-1.0, 9.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"neurons": None}, r"arrays \['neurons'\] are missing; it has \['labels', 'positions'"),
        ({"neurons": np.zeros(3, int)}, r"same length, got the shapes \(5,\) and \(3,\)"),
        ({"neurons": np.array([0, 0, 3, 0, 0])}, r"neurons\[2\] = 3 is not one of the 3 neurons"),
        ({"neurons": np.array(["u1"] * 4 + ["q"])}, r"neurons\[4\] = q is not one of"),
        ({"times": np.array([1, 2, np.nan, 4, 5])}, r"times\[2\], of neuron '0', is nan"),
        ({"times": np.array(list("abcde"))}, "times must be real numbers"),
        ({"times": np.array([-0.2, 2, 3, 4, 5])}, "neuron 'u3', spike 0: the time -0.2 s is neg"),
        ({"labels": np.array(["a", "a", "b"])}, r"unique.*\['a'\]"),
        ({"positions": PLACES[:2]}, r"positions: got the shape .*\(3 neurons"),
        ({"times": np.array([None] * 5)}, "cannot be opened|allow_pickle"),
        (
            {"times": np.zeros(0), "neurons": np.zeros(0, int), "labels": None, "positions": None},
            "there are no neurons",
        ),
    ],
)
def test_bad_npz(tmp_path, changes, message):
    path = write_npz(tmp_path / "cells.npz", **changes)
    with pytest.raises(ValueError, match=rf"cells\.npz: .*{message}|cells\.npz: ({message})"):
        read_spikes(path)


def test_single_array_is_no_npz(tmp_path):
    path = tmp_path / "cells.npy"
    np.save(path, np.arange(3.0))
    with pytest.raises(ValueError, match=r"single array, .*; save it with numpy\.savez"):
        read_spikes(path, format="npz")


# real recordings (Eglen et al. 2014, GigaScience 3:3)

RECORDINGS = Path(__file__).resolve().parents[1].parent / "shared" / "data"
DEMAS_P22 = "Demas2003_p22_ctrl_1a.h5"  # Demas, Eglen & Wong (2003)
DEMAS_6WK = "Demas2003_6WK_CTRL_ME1.h5"
WONG = "Wong1993_Adult.h5"  # Wong, Meister & Shatz (1993)


def recording(name):
    path = RECORDINGS / name
    if not path.exists():
        pytest.skip(f"the recording {name} is not beside the checkout")
    return path


@pytest.mark.parametrize(
    ("name", "n_units", "rate", "n_fast"),
    [
        (DEMAS_P22, 80, 0.7, (0.1, 58)),
        (DEMAS_6WK, 16, None, (0.1, 10)),
        (WONG, 57, 1.9, (0.4, 31)),
    ],
)
def test_recordings(name, n_units, rate, n_fast):
    path = recording(name)
    trains = read_spikes(path)
    with h5py.File(path) as file:
        spikes, n_spikes, epos = file["spikes"][:], file["sCount"][:], file["epos"][:]
        labels = [label.decode() for label in file["names"][:]]
        duration, frate = file["summary/duration"][0], file["summary/frate"][:]
    assert len(trains) == n_units
    assert trains.neurons == tuple(labels)
    assert trains.name == path.stem
    np.testing.assert_array_equal(np.concatenate(trains.times), spikes)
    assert [t.size for t in trains.times] == n_spikes.tolist()
    np.testing.assert_array_equal(trains.positions, epos.T)
    # The file's own rates, to the six digits that it keeps.
    assert trains.stop - trains.start == pytest.approx(duration)
    np.testing.assert_allclose(trains.rates, frate, atol=1e-6)
    if rate is not None:
        assert trains.rates.mean().item() == pytest.approx(rate, abs=0.05)
    threshold, expected = n_fast
    assert len(trains.select(min_rate=threshold)) == expected


@pytest.mark.parametrize(("name", "n_sites"), [(DEMAS_P22, 39), (DEMAS_6WK, None)])
def test_coupling_of_recordings_falls_with_distance(name, n_sites):
    counts = bin_spikes(read_spikes(recording(name)), 0.01, min_rate=0.1)
    positions = neuron_positions(counts).values
    if n_sites is not None:
        assert len(np.unique(positions, axis=0)) == n_sites
    z = counts.values.astype(np.float32)
    z = (z - z.mean(axis=0)) / z.std(axis=0)
    correlation = sum(z[lag:].T @ z[:-lag] for lag in (1, 2, 3)) / len(z)
    distance = np.linalg.norm(positions[:, None] - positions, axis=-1)
    others = ~np.eye(len(positions), dtype=bool)
    assert spearmanr(distance[others], correlation[others]).statistic < -0.3
