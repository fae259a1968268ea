"""Pages of the documentation, and the Python on them."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    str(path.relative_to(ROOT)) for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
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


def run_examples(name):
    """Run the Python of a page from top to bottom; return what it defines."""
    defined = {"__name__": "example"}
    for block in examples(name):
        exec(compile(block, name, "exec"), defined)
    return defined
