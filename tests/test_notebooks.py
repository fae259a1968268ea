"""Committed notebooks: executed from top to bottom, small, without paths of a machine."""

import importlib.util
import re

import nbformat
import pytest

from helpers.pages import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def run():
    spec = importlib.util.spec_from_file_location("run", ROOT / "notebooks" / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_come_from_one_complete_run(path, run):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert [output for output in outputs if "image/png" in output.get("data", {})]
    assert run.tidy(notebook, path) == path.read_text(encoding="utf-8")
    assert code[0].source.startswith("SHORT = False")
    run.set_short(notebook, path)
    assert code[0].source.startswith("SHORT = True")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_links_have_targets(path):
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            for target in re.findall(r"\]\(([^)#]+)[^)]*\)", cell.source):
                assert target.startswith("https://") or (path.parent / target).exists(), target


def test_unusable_notebooks_are_rejected(run, tmp_path):
    path = tmp_path / "planted.ipynb"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("SHORT = True")])
    with pytest.raises(ValueError, match=r"planted.ipynb: give one cell tagged 'parameters'"):
        run.set_short(notebook, path)
    output = nbformat.v4.new_output("stream", text=f"{ROOT}/notebooks/a.py: UserWarning")
    notebook.cells[0].outputs = [output]
    with pytest.raises(ValueError, match=r"planted.ipynb: its outputs contain a path"):
        run.tidy(notebook, path)
    output.text = "x" * (run.LARGEST + 1)
    with pytest.raises(ValueError, match=r"planted.ipynb: \d+ bytes with its outputs"):
        run.tidy(notebook, path)
