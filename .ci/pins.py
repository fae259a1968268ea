"""Keep the pinned versions for pip (constraints.txt) and uv (pyproject.toml) the same.

Without arguments: fail unless both list the same exact versions, without addresses.
With ``--solve``: install the package and all its extras into a fresh environment at the newest
compatible versions, and write both.
"""

import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONSTRAINTS = ROOT / "constraints.txt"
PYPROJECT = ROOT / "pyproject.toml"
HEADER = """\
# Every package of the tested environment, extras included, solved by `make pins`.
# pyproject.toml holds the same list for uv; `make lint` fails where they differ.
"""
PIN = re.compile(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+( ; .+)?")
UV_BLOCK = re.compile(r"constraint-dependencies = \[\n.*?^\]\n", re.DOTALL | re.MULTILINE)


def read_constraints() -> list[str]:
    """Return the pins of constraints.txt, in order."""
    lines = CONSTRAINTS.read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def check() -> list[str]:
    """Return the problems with the pins, one sentence each."""
    pins = read_constraints()
    pyproject = tomllib.loads(PYPROJECT.read_text())
    uv_pins = pyproject["tool"]["uv"]["constraint-dependencies"]
    problems = [f"{pin!r} is no exact pin" for pin in pins if not PIN.fullmatch(pin)]
    for name, extra in (
        ("constraints.txt", set(pins) - set(uv_pins)),
        ("pyproject.toml", set(uv_pins) - set(pins)),
    ):
        problems += [f"{pin} is pinned in {name} alone" for pin in sorted(extra)]
    return problems


def solve() -> None:
    """Install everything unpinned in a fresh environment; pin the versions installed."""
    extras = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        pip = [str(Path(folder) / "bin" / "python"), "-m", "pip"]
        subprocess.run([*pip, "install", "--editable", f"{ROOT}[{','.join(extras)}]"], check=True)
        freeze = [*pip, "freeze", "--all", "--exclude-editable", "--exclude", "pip"]
        frozen = subprocess.run(freeze, check=True, capture_output=True, text=True).stdout
    pins = sorted(frozen.split("\n")[:-1], key=str.lower)
    CONSTRAINTS.write_text(HEADER + "".join(f"{pin}\n" for pin in pins))
    block = "constraint-dependencies = [\n" + "".join(f'    "{pin}",\n' for pin in pins) + "]\n"
    PYPROJECT.write_text(UV_BLOCK.sub(lambda _: block, PYPROJECT.read_text()))


if __name__ == "__main__":
    if sys.argv[1:] == ["--solve"]:
        solve()
    if problems := check():
        sys.exit("\n".join(problems))
