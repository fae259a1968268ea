"""The house: which module may import which, and what importing the package does."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pymc_glm as pg

PACKAGE = Path(pg.__file__).parent
ROOT = PACKAGE.parent

# A module imports from lower floors and from its own room; a room is a module or a package.
FLOORS = {
    1: {
        "activation",
        "distributions",
        "features",
        "hyperparameters",
        "recipe",
        "covariance",
        "seeds",
        "segments",
        "sessions",
        "trees",
        "basis",
        "spikes",
        "kernels",
    },
    2: {"edges", "weights", "covariates", "observations", "design", "readers"},
    3: {"models", "pooling", "steps", "simulation"},
    4: {"sampling", "criticism", "cross_validation", "datasets", "saving", "continuing"},
    5: {"plots"},
    6: {"cli", "__main__"},
}
# Doors between rooms of one floor, (from, to).
DOORS = {
    ("models", "pooling"),
    ("sampling", "criticism"),
    ("cross_validation", "criticism"),
    ("cross_validation", "sampling"),
    ("continuing", "sampling"),
    ("continuing", "criticism"),
    ("covariance", "hyperparameters"),
    ("features", "hyperparameters"),
    ("features", "distributions"),
    ("__main__", "cli"),
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def room_of(dotted):
    """pymc_glm.steps.polya_gamma -> steps."""
    return dotted.split(".")[1]


def floor_of(room):
    return next((floor for floor, rooms in FLOORS.items() if room in rooms), None)


def imported(path):
    """All modules that a file imports, also inside functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module == "pymc_glm":
                names |= {f"pymc_glm.{alias.name}" for alias in node.names}
            else:
                names.add(node.module)
    return names


def own(path):
    """The rooms that a file imports from."""
    return {
        room_of(name)
        for name in imported(path)
        if name.startswith("pymc_glm.") and floor_of(room_of(name)) is not None
    }


def offences(path, room):
    here = floor_of(room)
    return [
        other
        for other in own(path)
        if other != room
        and floor_of(other) >= here
        and (room, other) not in DOORS
        and not (other == "kernels" and room != "kernels")  # below everything on its floor
    ]


def modules_by_room():
    for path in MODULES:
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts != ("__init__",):
            yield pytest.param(path, parts[0], id=".".join(parts))


@pytest.mark.parametrize(("path", "room"), list(modules_by_room()))
def test_imports_go_down(path, room):
    assert floor_of(room) is not None, f"{room} belongs to no floor"
    assert not offences(path, room), f"{path.name} on floor {floor_of(room)} imports upwards"


@pytest.mark.parametrize(
    ("room", "line", "wrong"),
    [
        ("edges", "from pymc_glm.models import build_glm", ["models"]),
        ("edges", "from pymc_glm.weights import Slab", ["weights"]),
        ("edges", "def f():\n    import pymc_glm.plots.network", ["plots"]),
        ("steps", "from pymc_glm import sampling", ["sampling"]),
        ("criticism", "from pymc_glm.sampling import sample", ["sampling"]),
        ("kernels", "from pymc_glm.spikes import SpikeTrains", ["spikes"]),
        ("features", "from pymc_glm.edges import Edges", ["edges"]),
        ("distributions", "from pymc_glm.features import blocks", ["features"]),
        ("features", "from pymc_glm.distributions import BlockLabels", []),
        ("sampling", "from pymc_glm.criticism import convergence_report", []),
        ("spikes", "from pymc_glm.kernels.history import convolve_history", []),
        ("cli", "from pymc_glm.plots import plot_network", []),
    ],
)
def test_the_test_sees_an_import_that_goes_up(tmp_path, room, line, wrong):
    path = tmp_path / "planted.py"
    path.write_text(line)
    assert offences(path, room) == wrong


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.stem)
def test_only_the_command_line_imports_the_package_whole(path):
    """``import pymc_glm`` inside would be an import from every floor."""
    room = path.relative_to(PACKAGE).with_suffix("").parts[0]
    assert floor_of(room) == 6 or "pymc_glm" not in imported(path)


@pytest.mark.parametrize("path", sorted((PACKAGE / "kernels").glob("*.py")), ids=lambda p: p.stem)
def test_kernels_know_neither_pymc_nor_xarray(path):
    roots = {name.split(".")[0] for name in imported(path)}
    assert not roots & {"pymc", "pytensor", "xarray", "arviz", "pandas", "matplotlib"}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.stem)
def test_modules_are_short_and_named_for_what_they_do(path):
    assert not re.search(r"util|helper|misc|common", path.stem)
    assert len(path.read_text().splitlines()) <= 450  # the aim is 400


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.stem)
def test_no_global_randomness_and_no_assert(path):
    tree = ast.parse(path.read_text())
    assert not any(isinstance(node, ast.Assert) for node in ast.walk(tree))
    legacy = re.findall(
        r"np\.random\.(?!default_rng|Generator|SFC64|SeedSequence)\w+", path.read_text()
    )
    assert not legacy


# --- what importing does -------------------------------------------------------------------------

LAZY = (
    "matplotlib.pyplot",
    "pynwb",
    "h5py",
    "neo",
    "pynapple",
    "pooch",
    "typer",
    "nutpie",
    "graphviz",
)
REPORT = """
import logging, sys
{imports}
state = [name for name in {lazy} if name in sys.modules]
state += [str(logging.getLogger(name).handlers) for name in ("", "pymc_glm")]
state += [str(logging.getLogger(name).level) for name in ("", "pymc_glm")]
import hashlib
import matplotlib, numpy as np
state.append(hashlib.md5(str(dict(matplotlib.rcParams)).encode()).hexdigest())
np.random.seed(1)
import warnings
state.append(str(len(warnings.filters)))
print(state)
"""


def state_after(imports):
    code = REPORT.format(imports=imports, lazy=LAZY)
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return run.stdout


def test_importing_has_no_side_effects():
    """Nothing beyond what PyMC and ArviZ themselves do is loaded, configured or warned of."""
    assert state_after("import pymc, arviz, pymc_glm") == state_after("import pymc, arviz")


# --- public names --------------------------------------------------------------------------------

PUBLIC = [name for name in pg.__all__ if hasattr(pg, name)]


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_are_documented_and_tested(name):
    thing = getattr(pg, name)
    if not inspect.ismodule(thing):
        documentation = thing.__doc__ or ""
        assert "Examples\n" in documentation
        assert ">>>" in documentation
    here = Path(__file__)
    tests = [path.read_text() for path in here.parent.glob("*.py") if path != here]
    assert any(re.search(rf"\b{name}\b", text) for text in tests), f"no test mentions {name}"


def test_every_public_name_exists():
    assert set(pg.__all__) == set(PUBLIC)
    assert sorted(pg.__all__) == sorted(set(pg.__all__))
