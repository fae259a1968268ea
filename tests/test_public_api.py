"""The public interface: names, signatures, and complete docstrings."""

import inspect
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pymc as pm
import pytest
from numpydoc.docscrape import ClassDoc, FunctionDoc

import pymc_glm as pg

LISTED = Path(__file__).with_name("public_api.txt")


def public():
    """Yield name and object, of the package and its public modules."""
    for name in sorted(pg.__all__):
        thing = getattr(pg, name)
        if inspect.ismodule(thing):
            yield from ((f"{name}.{part}", getattr(thing, part)) for part in sorted(thing.__all__))
        else:
            yield name, thing


def methods(cls):
    """Yield the methods new in a class: not those of its base classes, not PyMC's protocol."""
    bases = [base for base in cls.__mro__[1:] if base is not object]
    for name, member in vars(cls).items():
        if name.startswith("_") or any(name in vars(base) for base in bases):
            continue
        if isinstance(member, staticmethod | classmethod):
            member = member.__func__
        if inspect.isfunction(member):
            yield name, member


def signature_of(thing):
    """Return names, defaults and kinds; mypy checks annotations."""
    try:
        signature = inspect.signature(thing)
    except ValueError:
        return "(...)"
    plain = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    return str(signature.replace(parameters=plain, return_annotation=inspect.Signature.empty))


def listing():
    for name, thing in public():
        if not callable(thing):
            yield name
            continue
        yield name + signature_of(thing)
        if inspect.isclass(thing):
            for method, function in methods(thing):
                yield f"{name}.{method}{signature_of(function)}"


def test_names_and_signatures_match_the_list():
    """A change here affects users: describe it in CHANGELOG.md, then run

    ``python tests/test_public_api.py > tests/public_api.txt``.
    """
    assert list(listing()) == LISTED.read_text().splitlines()


def described(doc):
    """Return the names in the Parameters section; ``a, b : int`` are two."""
    sections = [*doc["Parameters"], *doc["Other Parameters"]]
    if isinstance(doc, ClassDoc):
        sections += doc["Attributes"]
    return {name.strip().lstrip("*") for entry in sections for name in entry.name.split(",")}


def missing(thing):
    doc = ClassDoc(thing) if inspect.isclass(thing) else FunctionDoc(thing)
    made_by = thing.dist if inspect.isclass(thing) and issubclass(thing, pm.Distribution) else thing
    known = described(doc) | {"kwargs"} if made_by is not thing else described(doc)
    return [name for name in inspect.signature(made_by).parameters if name not in known]


DOCUMENTED = [
    pytest.param(name, thing, id=name)
    for name, thing in public()
    if callable(thing) and getattr(thing, "__module__", "").startswith("pymc_glm")
]


@pytest.mark.parametrize(("name", "thing"), DOCUMENTED)
def test_docstrings_describe_every_parameter(name, thing):
    assert not missing(thing)


@pytest.mark.parametrize(("name", "thing"), DOCUMENTED)
def test_docstrings_describe_results_and_errors(name, thing):
    if inspect.isclass(thing):
        return
    doc = FunctionDoc(thing)
    returned = inspect.signature(thing).return_annotation
    assert doc["Returns"] or doc["Yields"] or returned in (None, "None")
    source = inspect.getsource(thing)
    assert doc["Raises"] or "raise " not in source


def test_the_test_sees_an_undocumented_parameter():
    def scored(tree, draws):
        """Score.

        Parameters
        ----------
        tree : DataTree
        """

    assert missing(scored) == ["draws"]


def test_importing_loads_neither_criticism_nor_plots():
    """benchmarks/results.md has the cost of `import pymc_glm` on top of PyMC's import."""
    code = (
        "import sys, pymc, pymc_glm; loaded = set(sys.modules); "
        "late = ['arviz', 'arviz_stats', 'arviz_plots', 'matplotlib.pyplot', 'h5py', 'typer', "
        "'pymc_glm.criticism', 'pymc_glm.plots', 'pymc_glm.cli', 'pymc_glm.sampling', "
        "'pymc_glm.datasets']; "
        "print([name for name in late if name in loaded]); "
        "assert 'pymc_glm.steps' in loaded"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120
    )
    assert run.stdout.strip() == "[]"


OPTIONAL = {
    "data": ("pooch", lambda path: pg.datasets.fetch_retina(address="http://localhost")),
    "nwb": ("pynwb", lambda path: pg.read_spikes(path / "sub-1.nwb")),
    "neo": ("neo", lambda path: pg.to_neo(one_spike())),
    "pynapple": ("pynapple", lambda path: pg.to_pynapple(one_spike())),
}


def one_spike():
    return pg.bin_spikes({"a": np.array([0.5])}, 0.1, start=0.0, stop=1.0)


@pytest.mark.parametrize("extra", OPTIONAL)
def test_a_missing_package_is_named_with_its_extra(extra, tmp_path, monkeypatch):
    package, use = OPTIONAL[extra]
    (tmp_path / "sub-1.nwb").write_bytes(b"\x89HDF\r\n\x1a\n")
    monkeypatch.setitem(sys.modules, package, None)
    advice = rf'needs? (the package )?{package}(:|; run) pip install "pymc_glm\[{extra}\]"'
    with pytest.raises(ImportError, match=advice):
        use(tmp_path)
    project = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())
    assert extra in project["project"]["optional-dependencies"]


if __name__ == "__main__":
    print("\n".join(listing()))
