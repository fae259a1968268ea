"""Fetching recordings: from a folder, from the cache, by download, and what can go wrong."""

import hashlib
import logging
import sys

import h5py
import numpy as np
import pytest

import pymc_glm as pg
from helpers.file_server import Server, serving
from helpers.pages import ROOT
from pymc_glm.datasets import recordings

fetch_retina = pg.datasets.fetch_retina
DATA = (ROOT / ".." / "shared" / "data").resolve()
NAMES = list(recordings.RETINA)


@pytest.fixture
def server(tmp_path):
    with serving(tmp_path / "served") as running:
        yield running


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    monkeypatch.delenv("PYMC_GLM_DATA", raising=False)
    monkeypatch.delenv("PYMC_GLM_DATA_URL", raising=False)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    pooch = pytest.importorskip("pooch")
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)
    monkeypatch.setattr(pooch.get_logger(), "level", logging.WARNING)
    return tmp_path / "cache" / "pymc_glm"


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A recording of two units in place of the registered ones: name and file."""
    path = tmp_path / "made" / "Small.h5"
    path.parent.mkdir()
    with h5py.File(path, "w") as file:
        file["spikes"] = [0.1, 0.4, 0.2]
        file["sCount"] = [2, 1]
        file["epos"] = [[0.0, 100.0], [0.0, 50.0]]
        file["names"] = np.array(["a", "b"], dtype="S")
        file["summary/duration"] = [2.0]
    known = recordings.DatasetEntry(
        "Group/Small.h5",
        hashlib.sha256(path.read_bytes()).hexdigest(),
        "two units",
        ("Someone (2000), A paper",),
    )
    monkeypatch.setitem(recordings.RETINA, "Small", known)
    return path


def publish(server, path):
    (server.folder / "Group").mkdir(exist_ok=True)
    (server.folder / "Group" / path.name).write_bytes(path.read_bytes())


def check(trains):
    assert trains.neurons == ("a", "b") and trains.name == "Small"
    assert [t.tolist() for t in trains.times] == [[0.1, 0.4], [0.2]]
    assert trains.positions.tolist() == [[0.0, 0.0], [100.0, 50.0]]
    assert (trains.start, trains.stop) == (0.0, 2.0)


@pytest.mark.skipif(not DATA.is_dir(), reason="no recordings in ../shared/data")
@pytest.mark.parametrize(
    ("name", "n_units", "duration"),
    [
        ("Demas2003_p22_ctrl_1a", 80, 3600),
        ("Demas2003_6WK_CTRL_ME1", 16, 3597),
        ("Wong1993_Adult", 57, 146),
    ],
)
def test_recordings_of_a_local_folder(name, n_units, duration, monkeypatch):
    monkeypatch.setenv("PYMC_GLM_DATA", str(DATA))
    trains = fetch_retina(name, quiet=True)
    assert trains.name == name and trains.positions.shape == (len(trains), 2)
    assert len(trains) == n_units
    assert trains.stop - trains.start == pytest.approx(duration, rel=0.01)


def test_a_folder_needs_no_network(small, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    check(fetch_retina("Small", folder=small.parent))
    monkeypatch.setenv("PYMC_GLM_DATA", str(small.parent))
    check(fetch_retina("Small"))
    nested = small.parent / "Group"
    nested.mkdir()
    small.rename(nested / small.name)
    check(fetch_retina("Small"))


def test_missing_in_the_folder(tmp_path, small):
    with pytest.raises(FileNotFoundError) as caught:
        fetch_retina("Small", folder=tmp_path / "nothing")
    message = str(caught.value)
    assert f"no Small.h5 in {tmp_path / 'nothing'}" in message
    assert "PYMC_GLM_DATA" in message and "hdf5/Group/Small.h5" in message


def test_a_changed_file_in_the_folder(small, capsys):
    small.write_bytes(small.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match=r"Small\.h5 in .*made is not the published file"):
        fetch_retina("Small", folder=small.parent)
    assert capsys.readouterr().out == ""


def test_download_once(server, cache, small):
    publish(server, small)
    check(fetch_retina("Small", address=server.address))
    assert server.asked == ["/Group/Small.h5"]
    assert (cache / "Group" / "Small.h5").read_bytes() == small.read_bytes()
    check(fetch_retina("Small", address=server.address + "/"))
    assert len(server.asked) == 1
    (cache / "Group" / "Small.h5").write_bytes(b"damaged")
    check(fetch_retina("Small", address=server.address))
    assert len(server.asked) == 2


def test_where_a_file_comes_from(server, cache, small, monkeypatch, tmp_path):
    publish(server, small)
    monkeypatch.setenv("PYMC_GLM_DATA_URL", server.address)
    monkeypatch.setenv("PYMC_GLM_DATA", str(small.parent))
    check(fetch_retina("Small"))
    assert server.asked == [] and not cache.exists()  # the folder goes before the address
    monkeypatch.setenv("PYMC_GLM_DATA", str(tmp_path))
    check(fetch_retina("Small", folder=small.parent))  # arguments before the environment
    check(fetch_retina("Small", address=server.address))
    assert len(server.asked) == 1
    (cache / "Group" / "Small.h5").unlink()
    monkeypatch.delenv("PYMC_GLM_DATA")
    check(fetch_retina("Small"))
    assert len(server.asked) == 2
    with pytest.raises(ValueError, match="either folder or address"):
        fetch_retina("Small", folder=tmp_path, address=server.address)


def test_what_is_downloaded_has_another_checksum(server, cache, small):
    publish(server, small)
    (server.folder / "Group" / "Small.h5").write_bytes(b"something else")
    with pytest.raises(
        ValueError, match=r"at http://127.*/Group/Small\.h5 is not the published one"
    ):
        fetch_retina("Small", address=server.address)
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_the_server_does_not_have_it(server, cache, small):
    del small
    with pytest.raises(ConnectionError) as caught:
        fetch_retina("Small", address=server.address)
    message = str(caught.value)
    assert "could not be downloaded from" in message and "answered 404" in message
    assert server.address in message and "set PYMC_GLM_DATA" in message
    assert caught.value.__context__ is None  # one sentence, no traceback of the network
    assert not [path for path in cache.rglob("*") if path.is_file()]


@pytest.mark.usefixtures("cache", "small")
def test_nobody_answers():
    with Server(".") as closed:
        address = closed.address
    with pytest.raises(ConnectionError, match=r"Small\.h5 could not be downloaded from .*by hand"):
        fetch_retina("Small", address=address)


@pytest.mark.usefixtures("cache")
def test_addresses_and_names():
    with pytest.raises(ValueError, match=r"address: got 'ftp://x', allowed .* folder="):
        fetch_retina(address="ftp://x")
    for use in (fetch_retina, pg.datasets.citation):
        with pytest.raises(ValueError, match=r"name: got 'Nobody', allowed are .*Wong1993_Adult"):
            use("Nobody")


def test_the_default_address_is_that_of_the_repository(monkeypatch, cache):
    """Without touching the network: pooch is asked for the address alone."""
    pooch = pytest.importorskip("pooch")
    asked = []
    monkeypatch.setattr(pooch.Pooch, "fetch", lambda self, name: asked.append(self.get_url(name)))
    for name in NAMES:
        with pytest.raises(TypeError):  # no path came back
            fetch_retina(name)
    folder = "https://raw.githubusercontent.com/sje30/waverepo/master/hdf5"
    assert asked == [
        f"{folder}/Demas2003/Demas2003_p22_ctrl_1a.h5",
        f"{folder}/Demas2003/Demas2003_6WK_CTRL_ME1.h5",
        f"{folder}/Wong1993/Wong1993_Adult.h5",
    ]
    del cache


def test_licence_and_citations_are_printed(small, capsys):
    fetch_retina("Small", folder=small.parent)
    printed = capsys.readouterr().out
    assert printed.strip() == pg.datasets.citation("Small")
    fetch_retina("Small", folder=small.parent, quiet=True)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", NAMES)
def test_every_recording_has_a_licence_and_papers(name):
    text = pg.datasets.citation(name)
    assert "Licence: GNU General Public License, version 2" in text
    assert "doi:10.1186/2047-217X-3-3" in text
    assert ("Demas, Eglen & Wong (2003)" in text) == name.startswith("Demas")
    assert ("Wong, Meister & Shatz (1993)" in text) == name.startswith("Wong")
