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
        "arguments",
        "basis",
        "distributions",
        "kernels",
        "recipe",
        "segments",
        "session_prefix",
        "spikes",
        "trees",
    },
    2: {"covariates", "design", "graph", "observations", "priors", "readers"},
    3: {"engines", "models", "simulation", "steps"},
    4: {"criticism", "datasets"},
    5: {"sampling", "saving"},
    6: {"plots"},
    7: {"cli", "__main__"},
}
FOUNDATIONS = {"arguments", "kernels", "session_prefix"}  # below everything on their floor
# Doors between rooms of one floor, (from, to).
DOORS = {
    ("covariates", "priors"),  # what is learned is a hyperparameter, here too
    ("observations", "priors"),
    ("steps", "engines"),
    ("basis", "segments"),  # no interval reaches across trials
    ("graph", "observations"),  # a network is known by its observation model
    ("__main__", "cli"),
}
# Rooms of criticism/, and those that each may import from; modules beside them are the root.
CRITICISM = {
    "root": set(),
    "network": {"root"},
    "structure": {"root", "network"},
    "convergence": {"root", "network", "structure"},
    "fit": {"root"},
    "scores": {"root", "fit"},
    "new_neuron": {"root"},
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def room_of(dotted):
    """pymc_glm.steps.polya_gamma_gibbs -> steps."""
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


def rooms_imported(path):
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
        for other in rooms_imported(path)
        if other != room
        and floor_of(other) >= here
        and (room, other) not in DOORS
        and not (other in FOUNDATIONS and room not in FOUNDATIONS)
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
        ("priors", "from pymc_glm.models import build_glm", ["models"]),
        ("priors", "from pymc_glm.design import make_design", ["design"]),
        ("priors", "def f():\n    import pymc_glm.plots.network", ["plots"]),
        ("graph", "from pymc_glm.steps import WeightHMC", ["steps"]),
        ("steps", "from pymc_glm import sampling", ["sampling"]),
        ("criticism", "from pymc_glm.sampling.sample import sample", ["sampling"]),
        ("kernels", "from pymc_glm.spikes import SpikeTrains", ["spikes"]),
        ("kernels", "from pymc_glm.arguments import as_number", ["arguments"]),
        ("distributions", "from pymc_glm.priors.features import blocks", ["priors"]),
        ("observations", "from pymc_glm.priors.hyperparameters import LEARNED", []),
        ("sampling", "from pymc_glm.criticism import convergence_report", []),
        ("spikes", "from pymc_glm.kernels.history import convolve_history", []),
        ("spikes", "from pymc_glm.arguments import as_number", []),
        ("cli", "from pymc_glm.plots import plot_network", []),
    ],
)
def test_the_test_sees_an_import_that_goes_up(tmp_path, room, line, wrong):
    path = tmp_path / "planted.py"
    path.write_text(line)
    assert offences(path, room) == wrong


def criticism_room_of(parts):
    """The room of a dotted name's parts after pymc_glm.criticism."""
    return parts[0] if parts and parts[0] in CRITICISM else "root"


@pytest.mark.parametrize("path", sorted((PACKAGE / "criticism").rglob("*.py")), ids=str)
def test_rooms_of_criticism_are_in_order(path):
    parts = path.relative_to(PACKAGE / "criticism").with_suffix("").parts
    if parts == ("__init__",):
        return
    room = criticism_room_of(parts)
    names = [name.split(".")[2:] for name in imported(path) if "pymc_glm.criticism." in name]
    assert {criticism_room_of(name) for name in names} <= CRITICISM[room] | {room}


def house():
    """The table of the house in CONTRIBUTING.md: (floor, room) to the modules that it names."""
    page = ROOT / "CONTRIBUTING.md"
    if not page.exists():
        pytest.skip("CONTRIBUTING.md is in the repository only")
    rows = re.findall(r"^\| (\d) \| `([\w/]+)` \| (.*?) \| .+ \|$", page.read_text(), re.M)
    return {(int(floor), room.strip("/")): re.findall(r"`(\w+)`", m) for floor, room, m in rows}


def test_the_table_of_the_house_names_every_module():
    expected = {}
    for path in MODULES:
        *folders, name = path.relative_to(PACKAGE).with_suffix("").parts
        room = "/".join(folders) if folders else name
        if room in ("__init__", "__main__"):
            continue
        modules = expected.setdefault((floor_of(room.split("/")[0]), room), [])
        if folders and name != "__init__":
            modules.append(name)
    assert house() == expected


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.stem)
def test_only_the_command_line_imports_the_package_whole(path):
    """``import pymc_glm`` inside would be an import from every floor."""
    room = path.relative_to(PACKAGE).with_suffix("").parts[0]
    assert floor_of(room) == 7 or "pymc_glm" not in imported(path)


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
