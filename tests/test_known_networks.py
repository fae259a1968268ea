"""Networks with known connections: formats, orientation, units, and where files come from."""

import hashlib
import io
import logging
import os
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat
from scipy.sparse import csc_matrix
from scipy.stats import binomtest

import pymc_glm as pg
from benchmarks.correlograms import lag_counts
from helpers.file_server import serving
from helpers.pages import ROOT
from pymc_glm.datasets.networks import registry

fetch_network = pg.datasets.fetch_network
TRUTH = Path(os.environ.get("PYMC_GLM_NETWORKS", ROOT / ".." / "shared" / "truth")).resolve()
NAMES = list(registry.NETWORKS)

# Spikes in ms, and weights [post, pre]: 1 excites 2, 2 inhibits 3, and 3 never fires.
SPIKES = [[12.5, 100.0, 800.25], [14.0], []]
WEIGHTS = np.array([[0.0, 0, 0], [0.3, 0, 0], [0, -1.2, 0]])
DELAYS = np.array([[0.0, 0, 0], [1.5, 0, 0], [0, 0.4, 0]])
NOT_HERE = "the files are not in ../shared/truth, and PYMC_GLM_NETWORKS names no folder"


def cells(dtype=float):
    out = np.empty(3, dtype=object)
    for i, times in enumerate(SPIKES):
        out[i] = np.array(times, dtype=dtype)
    return out


def write_ren20(path):
    weights = np.where(WEIGHTS == 0, np.nan, WEIGHTS).T
    savemat(path, {"data": {"spk": cells(), "syn": {"w_syn": weights, "dt_true": DELAYS.T}}})


def write_tspe(path):
    savemat(path, {"data": {"TS_ms": cells(np.int32), "SWM": csc_matrix(WEIGHTS.T)}})


def write_spycon(path):
    ids, times = np.array([7, 4, 4, 4]), np.array([0.014, 0.80025, 0.0125, 0.1])
    edges = [(4, 7, 0.3), (7, 9, -1.2), (7, 4, 0.0), (4, 4, np.nan), (9, 4, np.nan)]
    np.savez(path, times=times, ids=ids, nodes=[4, 7, 9], marked_edges=np.array(edges))


def write_casadiego(path):
    files = {
        "Data/ex_neurons-101-0.gdf": "1\t12.500\t\n1\t100.000\t\n2\t14.000\t\n1\t800.25\t\n",
        "Data/in_neurons-102-0.gdf": "4\t5.0\t\n",
        "Data/connectivity.dat": "0 0 0 0\n0.3 0 0 0\n0 -1.2 0 0\n0 0 0 0.3\n",
        "Data/delay.dat": "1.5\n1.5\n1.5\n",
    }
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))


WRITERS = {
    "ren20": write_ren20,
    "spycon": write_spycon,
    "tspe": write_tspe,
    "casadiego": write_casadiego,
}


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    monkeypatch.delenv("PYMC_GLM_NETWORKS", raising=False)
    monkeypatch.delenv("PYMC_GLM_NETWORKS_URL", raising=False)


def made(name, folder, monkeypatch):
    """Write a small file in place of the published one, and return its path."""
    entry = registry.NETWORKS[name]
    path = folder / entry.published.file
    WRITERS[name](path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    small = entry._replace(published=entry.published._replace(sha256=sha256), duration=1.0)
    monkeypatch.setitem(registry.NETWORKS, name, small)
    return path


@pytest.mark.parametrize("name", NAMES)
def test_units_and_orientation_of_every_format(name, tmp_path, monkeypatch):
    made(name, tmp_path, monkeypatch)
    known = fetch_network(name, folder=tmp_path, quiet=True)
    assert isinstance(known, pg.datasets.KnownNetwork) and known.name == name
    assert (known.spikes.start, known.spikes.stop, known.spikes.name) == (0.0, 1.0, name)
    exact = np.array(SPIKES[0]) if name != "tspe" else np.floor(SPIKES[0])
    np.testing.assert_allclose(known.spikes.times[0], exact / 1000, rtol=1e-12)
    assert known.spikes.times[1].tolist() == [0.014]
    assert known.spikes.times[2].size == 0  # silent neurons stay
    labels = ["4", "7", "9"] if name == "spycon" else ["1", "2", "3"]
    assert list(known.spikes.neurons[:3]) == labels
    weights = known.weights.sel(post=labels, pre=labels)
    assert weights.dims == ("post", "pre")
    np.testing.assert_array_equal(weights, WEIGHTS)
    np.testing.assert_array_equal(known.adjacency.sel(post=labels, pre=labels), WEIGHTS != 0)
    assert known.adjacency.dtype == bool


@pytest.mark.parametrize(("name", "second"), [("ren20", 0.4), ("casadiego", 1.5)])
def test_latencies_in_seconds(name, second, tmp_path, monkeypatch):
    made(name, tmp_path, monkeypatch)
    latencies = fetch_network(name, folder=tmp_path, quiet=True).latencies
    assert latencies.attrs["units"] == "s"
    assert float(latencies.sel(post="2", pre="1")) == pytest.approx(0.0015)
    assert float(latencies.sel(post="3", pre="2")) == pytest.approx(second / 1000)
    assert int(latencies[:3, :3].notnull().sum()) == 2  # and nothing where nothing is connected


def test_connections_to_oneself_are_on_the_diagonal(tmp_path, monkeypatch):
    made("casadiego", tmp_path, monkeypatch)
    known = fetch_network("casadiego", folder=tmp_path, quiet=True)
    assert float(known.weights.sel(post="4", pre="4")) == 0.3
    assert "1 excitatory and 1 inhibitory" in repr(known)
    assert known.spikes.times[3].tolist() == [0.005]


def test_folder_by_argument_and_environment(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)  # a folder needs no network
    path = made("ren20", tmp_path, monkeypatch)
    monkeypatch.setenv("PYMC_GLM_NETWORKS", str(tmp_path))
    assert len(fetch_network("ren20").spikes) == 3
    path.rename(tmp_path / "ren20.mat")
    assert len(fetch_network("ren20").spikes) == 3
    with pytest.raises(FileNotFoundError, match=r"no simulated data_20 neurons\.mat or ren20\.mat"):
        fetch_network("ren20", folder=tmp_path / "nothing")
    (tmp_path / "ren20.mat").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"ren20\.mat in .* is not the published file.*NETWORKS"):
        fetch_network("ren20")


def test_download_from_an_address_with_blanks(tmp_path, monkeypatch):
    pooch = pytest.importorskip("pooch")
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)
    monkeypatch.setattr(pooch.get_logger(), "level", logging.WARNING)
    path = made("ren20", tmp_path, monkeypatch)
    place = registry.NETWORKS["ren20"].published.path
    with serving(tmp_path / "served") as server:
        monkeypatch.setenv("PYMC_GLM_NETWORKS_URL", server.address)
        with pytest.raises(ConnectionError, match=r"answered 404.*by hand into a folder"):
            fetch_network("ren20")
        (server.folder / place).parent.mkdir(parents=True)
        path.rename(server.folder / place)
        assert len(fetch_network("ren20").spikes) == 3
        assert len(fetch_network("ren20", address=server.address).spikes) == 3
        assert server.asked[1:] == [
            "/" + place.replace(" ", "%20")
        ]  # and the second from the cache


@pytest.mark.parametrize("name", NAMES)
def test_licence_and_citation_are_printed_and_kept(name, tmp_path, monkeypatch, capsys):
    made(name, tmp_path, monkeypatch)
    known = fetch_network(name, folder=tmp_path)
    printed = capsys.readouterr().out
    assert printed.strip() == pg.datasets.citation(name)
    assert known.licence in printed and known.source in printed
    assert all(paper in printed for paper in known.citation.splitlines())
    assert "doi:" in known.citation and "https://github.com/" in known.source
    assert registry.NETWORKS[name].published.path.split("/")[2] in known.source  # the commit
    fetch_network(name, folder=tmp_path, quiet=True)
    assert capsys.readouterr().out == ""


def test_unknown_names():
    with pytest.raises(ValueError, match=r"^name: got 'ren', allowed are \['ren20', .*\]\.$"):
        fetch_network("ren")


def published(name):
    if not TRUTH.is_dir():
        pytest.skip(NOT_HERE)
    return fetch_network(name, folder=TRUTH, quiet=True)


@pytest.mark.parametrize(
    ("name", "n_neurons", "excitatory", "inhibitory", "all_recorded"),
    [
        ("ren20", 20, 17, 21, None),
        ("spycon", 20, 18, 0, None),
        ("tspe", 100, 349, 84, False),
        ("casadiego", 100, 767, 197, True),
    ],
)
def test_published_files(name, n_neurons, excitatory, inhibitory, all_recorded):
    known = published(name)
    others = known.weights.values[~np.eye(n_neurons, dtype=bool)]
    assert len(known.spikes) == n_neurons and known.all_recorded is all_recorded
    assert ((others > 0).sum(), (others < 0).sum()) == (excitatory, inhibitory)
    assert max(times.max() for times in known.spikes.times) > 0.999 * known.spikes.stop
    if name == "ren20":  # as the repository states for this simulation, 0.1 to 6.4 ms
        latencies = known.latencies.values[known.adjacency.values]
        assert (latencies.min(), latencies.max()) == pytest.approx((0.0001, 0.0064))
    if name == "casadiego":
        assert np.nanmin(known.latencies) == np.nanmax(known.latencies) == 0.0015


@pytest.mark.parametrize("name", NAMES)
def test_post_spikes_follow_pre_spikes(name):
    """In most connections that have none in return, the correlogram is higher within 7 ms after
    the pre spike than before it (lower, for inhibition): a sign test at 0.01.

    With the matrix of the file turned around the share is below a half, and p near 1. Of tspe the
    first 1200 s are used.
    """
    known = published(name)
    stop = min(known.spikes.stop, 1200.0 if name == "tspe" else 3600.0)
    counts = lag_counts([times[times < stop] for times in known.spikes.times], 0.001, 7)
    weights = known.weights.values
    for sign in (1, -1):
        chosen = (weights * sign > 0) & (weights.T == 0)
        if not chosen.any():
            continue
        after, before = (sign * counts[chosen][:, lags] for lags in (slice(8, 15), slice(0, 7)))
        follows = int(np.sum(after.max(axis=1) > before.max(axis=1)))
        test = binomtest(follows, int(chosen.sum()), alternative="greater")
        assert test.pvalue < 0.01, (sign, follows, int(chosen.sum()))
