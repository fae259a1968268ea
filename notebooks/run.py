"""Run the notebooks, each in its own kernel, and keep their outputs.

    python notebooks/run.py                 # all, outputs kept
    python notebooks/run.py --short         # few draws of little data, outputs discarded
    python notebooks/run.py 01_quick_start.ipynb

``--short`` sets ``SHORT = True`` in the cell with the tag "parameters".
"""

import argparse
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).resolve().parent
LARGEST = 1_000_000  # bytes of a notebook with its outputs


def set_short(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Set the parameter for the short form of a notebook."""
    cells = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", ())]
    if len(cells) != 1 or not re.search(r"^SHORT = False\b", cells[0].source, re.M):
        raise ValueError(f"{path.name}: give one cell tagged 'parameters' with SHORT = False.")
    cells[0].source = re.sub(r"^SHORT = False\b", "SHORT = True", cells[0].source, flags=re.M)


def tidy(notebook: nbformat.NotebookNode, path: Path) -> str:
    """Return the notebook as text, without what differs between runs or machines."""
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    notebook.metadata.pop("widgets", None)
    notebook.metadata["kernelspec"] = {
        "display_name": "Python 3",
        "language": "python",
        "name": "python3",
    }
    notebook.metadata["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}
    text = nbformat.writes(notebook)
    for place in {str(HERE.parent), str(Path.home()), "ipykernel_"} - {"/"}:
        if place in text:
            at = text.index(place)
            raise ValueError(f"{path.name}: its outputs contain a path of this machine: "
                             f"{text[max(0, at - 200) : at + 80]!r}.")  # fmt: skip
    if len(text) > LARGEST:
        raise ValueError(
            f"{path.name}: {len(text)} bytes with its outputs, allowed are at most {LARGEST}."
        )
    return text + "\n"


def run(path: Path, *, short: bool) -> None:
    """Execute a notebook; write it back completely or not at all, unless it is the short form."""
    notebook = nbformat.read(path, as_version=4)
    if short:
        set_short(notebook, path)
    start = time.perf_counter()
    NotebookClient(
        notebook,
        timeout=3600,
        kernel_name="python3",
        coalesce_streams=True,
        resources={"metadata": {"path": str(path.parent)}},
    ).execute()
    if not short:
        new = path.with_suffix(".ipynb.new")
        new.write_text(tidy(notebook, path), encoding="utf-8")
        new.replace(path)
    print(f"{path.name}: {time.perf_counter() - start:.0f} s", flush=True)


def main() -> None:
    """Run the named notebooks, or all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="notebooks to run, by default all")
    parser.add_argument("--short", action="store_true", help="few draws, outputs discarded")
    arguments = parser.parse_args()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if arguments.short:  # compiling a density takes longer than its few evaluations
        # Fused operations would run element by element in Python; single ones run in NumPy.
        flags = [os.environ.get("PYTENSOR_FLAGS", ""), "linker=py", "optimizer_excluding=fusion"]
        os.environ["PYTENSOR_FLAGS"] = ",".join(filter(None, flags))
    os.environ.pop("MPLBACKEND", None)  # only the kernel's own backend keeps figures
    paths = [HERE / Path(n).name for n in arguments.names] or sorted(HERE.glob("[0-9]*.ipynb"))
    # Short forms mostly import and compile, on one core each: two at a time.
    with ThreadPoolExecutor(2 if arguments.short else 1) as pool:
        list(pool.map(partial(run, short=arguments.short), paths))


if __name__ == "__main__":
    main()
