"""The pages of the documentation, and the Python on them."""

import re
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
import pymc as pm
import pytest
import xarray as xr
from pynwb import NWBHDF5IO, NWBFile
from scipy.special import logit

import pymc_glm as pg
from helpers.drawn_tree import drawn_tree
from helpers.uncompiled import QUICK_FIT
from pymc_glm.sampling import sample as sampling

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    str(path.relative_to(ROOT))
    for pattern in ("*.md", "docs/*.md", "docs/reference/*.md")
    for path in ROOT.glob(pattern)
)


def text_of(name):
    """Return the text of a page."""
    page = ROOT / name
    if not page.exists():
        pytest.skip(f"{name} is in the repository only")
    return page.read_text(encoding="utf-8")


def examples(name):
    """Return the blocks of Python of a page."""
    return re.findall(r"^```python\n(.*?)^```", text_of(name), re.M | re.S)


def run_examples(name, **known):
    """Run the Python of a page from top to bottom, given some names; return all names."""
    defined = {"__name__": "example", **known}
    for block in examples(name):
        exec(compile(block, name, "exec"), defined)
    return defined


def made_up_tree(model):
    """Return draws of the prior, with biases near the recorded rates and weights near zero."""
    tree = drawn_tree(model, draws=50, seed=1)
    posterior = tree["posterior"].to_dataset()
    rates = tree["constant_data"]["counts"].mean("time").values
    noise = np.random.default_rng(1).normal(0, 0.02, posterior["bias"].shape)
    posterior["bias"] = posterior["bias"].copy(data=logit(rates) + noise)  # (chain, draw, post)
    posterior["weights"] = 0.02 * posterior["weights"]
    groups = {name: group.to_dataset() for name, group in tree.children.items()}
    return xr.DataTree.from_dict({**groups, "posterior": posterior})


def sample_hardly(monkeypatch, *, really=0):
    """Let `pg.sample` and refits return made-up trees, which saves time.

    The first ``really`` calls do sample, with few draws. Models with the same variables, such as
    those of refits, get the same tree.
    """
    left, made = [really], {}

    def little(draws=None, tune=None, *, model=None, random_seed=None, **options):
        if left[0] > 0:
            left[0] -= 1
            few = {"chains": 2, "cores": 1, "progressbar": False, "report": False}
            return sampling.sample(30, 30, model=model, random_seed=random_seed, **few, **QUICK_FIT)
        model = pm.modelcontext(model)
        variables = tuple((rv.name, *rv.shape.eval()) for rv in model.free_RVs)
        if variables not in made:
            made[variables] = made_up_tree(model)
        return made[variables].copy()

    monkeypatch.setattr(pg, "sample", little)
    monkeypatch.setattr("pymc_glm.sampling.cross_validation.sample", little)


def four_neurons():
    """Return one minute of spike times of four neurons; the first drives the second."""
    basis = pg.basis.raised_cosine(2, window=0.1, bin_width=0.005)
    weights = np.zeros((4, 4, 2))
    weights[range(4), range(4)] = [-2.0, -0.5]
    weights[1, 0] = [2.5, 0.5]
    network = pg.NetworkParameters(np.full(4, -2.7), weights, basis)
    counts = pg.simulate(network, 12_000, random_seed=1)
    return [counts["time"].values[counts.values[:, n] > 0] + 0.002 for n in range(4)]


def write_recording(path):
    """Write the four neurons as an MEA HDF5 file."""
    times = four_neurons()
    with h5py.File(path, "w") as file:
        file["spikes"] = np.concatenate(times)
        file["sCount"] = [len(one) for one in times]
        file["names"] = np.array(["a", "b", "c", "d"], dtype="S")
        file["epos"] = np.array([[0.0, 100.0, 0.0, 100.0], [0.0, 0.0, 100.0, 100.0]])
        file["summary/duration"] = [60.0]


def write_nwb(path):
    """Write an NWB file with two units and two trials, as on DANDI."""
    file = NWBFile("two units", "s2", datetime(2020, 1, 1, tzinfo=UTC))
    file.add_unit_column("cell_name", "label")
    file.add_unit_column("quality", "of the sorting")
    for name, quality in (("a", "good"), ("b", "multiunit")):
        file.add_unit(spike_times=[0.2, 0.7, 2.4], cell_name=name, quality=quality)
    for start in (0.0, 2.0):
        file.add_trial(start_time=start, stop_time=start + 1.0)
    with NWBHDF5IO(path, "w") as io:
        io.write(file)
