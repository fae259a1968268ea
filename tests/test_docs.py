"""The documentation is true: names exist, links have targets, examples run."""

import importlib.util
import re
import types
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy import stats

import pymc_glm as pg
from helpers.pages import (
    PAGES,
    ROOT,
    run_examples,
    sample_hardly,
    text_of,
    write_nwb,
    write_recording,
)


@pytest.mark.parametrize("page", PAGES)
def test_names_of_the_package_exist(page):
    for dotted in set(re.findall(r"\bpg\.((?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*)", text_of(page))):
        thing = pg
        for name in dotted.split("."):
            assert hasattr(thing, name), f"{page}: pg.{dotted}"
            thing = getattr(thing, name)


@pytest.mark.parametrize("page", PAGES)
def test_links_have_targets(page):
    here = (ROOT / page).parent
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text_of(page)):
        assert target.startswith("https://") or (here / target).exists(), f"{page}: {target}"


@pytest.mark.parametrize("path", sorted((ROOT / "docs").glob("*.md")), ids=lambda path: path.name)
def test_the_readme_names_every_page(path):
    if "```{toctree}" not in text_of(f"docs/{path.name}"):  # pages that only link to others
        assert f"](docs/{path.name})" in text_of("README.md")


def test_the_reference_has_every_public_name():
    text_of("docs/reference/index.md")  # else skipped
    pages = "\n".join(text_of(page) for page in PAGES if page.startswith("docs/reference/"))
    listed = set()
    head = r"^\.\. currentmodule:: (\S+)\n\n\.\. autosummary::\n   :toctree: generated\n\n"
    for module, names in re.findall(head + r"((?:   \w+\n)+)", pages, re.M):
        listed |= {f"{module}.{name}".removeprefix("pymc_glm.") for name in names.split()}
    promised = set()
    for name in pg.__all__:
        thing = getattr(pg, name)
        parts = thing.__all__ if isinstance(thing, types.ModuleType) else ()
        promised |= {f"{name}.{part}" for part in parts} or {name}
    assert listed == promised - {"statistics.BY_NAME"}


@pytest.mark.filterwarnings("ignore:covariates. the mean of 'speed'")
def test_recordings(capsys):
    defined = run_examples("docs/recordings.md")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "flash[0] flash[1] flash[2] speed"
    assert lines[1] == "[   0  800 1600]"
    # 0.2 s and 0.1 s, each with the 20 bins after it, and the first 20
    assert lines[2] == f"{4000 - 40 - 20 - 3 * 20} of 4000 bins are data"
    assert {v.name for v in defined["model"].free_RVs} > {"monday::weights", "tuesday::weights"}
    assert defined["in_trial"].sizes["covariate"] == 4


@pytest.fixture
def quiet():
    """Close pictures afterwards, and ignore the warnings caused by few draws."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    plt.close("all")


def test_readme(quiet, tmp_path, monkeypatch, capsys):
    sample_hardly(monkeypatch, really=1)
    monkeypatch.chdir(tmp_path)
    write_recording("recording.h5")
    defined = run_examples("README.md")
    assert list(defined["counts"]["neuron"].values) == ["a", "b", "c", "d"]
    assert "4 neurons" in capsys.readouterr().out
    assert defined["tree"]["sample_stats"]["edge_flips"].sizes == {"chain": 2, "draw": 30}
    assert defined["blocks"].co_assignment.shape == (4, 4)
    run_examples("docs/index.md")


@pytest.mark.parametrize(
    "page",
    [
        "couplings",
        "criticism",
        "data",
        "diagnostics",
        "does-not-fit",
        "goodness_of_fit",
        "model",
        "samplers",
    ],
)
def test_pages_run(page, quiet, tmp_path, monkeypatch):
    sample_hardly(monkeypatch)
    monkeypatch.chdir(tmp_path)
    write_nwb(tmp_path / "sub-m1_ses-s2.nwb")
    write_recording(tmp_path / "recording.h5")  # in place of a download
    monkeypatch.setattr(
        pg.datasets, "fetch_retina", lambda *_, **__: pg.read_spikes(tmp_path / "recording.h5")
    )
    assert run_examples(f"docs/{page}.md")


def test_a_custom_observation_model():
    laws = dict(pg.Observation.laws)
    try:
        observation = run_examples("docs/observations.md")["SoftplusPoisson"]
        counts = np.random.default_rng(1).poisson(0.7, (50, 1))
        basis = pg.basis.raised_cosine(1, window=0.1, bin_width=0.02)
        silent = pg.GaussianWeights(0.0, 1.0, None, None)
        model = pg.build_glm(counts, basis, weights=silent, observation=observation())
        point = model.initial_point(0)
        point["bias"][:], point["weights"][:] = 0.3, 0.0
        found = model.compile_logp(vars=model["spikes"])(point)
        expected = stats.poisson.logpmf(counts, np.log1p(np.exp(0.3))).sum()
        np.testing.assert_allclose(found, expected, rtol=1e-10)
    finally:
        pg.Observation.laws.clear()
        pg.Observation.laws.update(laws)


def test_the_gallery_has_every_plot_and_agrees_with_its_script():
    path = ROOT / "docs" / "gallery.py"
    if not path.exists():
        pytest.skip("docs/gallery.py is in the repository only")
    spec = importlib.util.spec_from_file_location("gallery", path)
    gallery = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(gallery)
    assert text_of("docs/gallery.md") == gallery.page()
    code = "\n".join(picture.code for picture in gallery.PICTURES)
    for name in pg.__all__:
        assert not name.startswith("plot_") or f"pg.{name}(" in code, name
    for picture in gallery.PICTURES:
        assert (path.parent / "gallery" / f"{picture.name}.png").stat().st_size > 5000
