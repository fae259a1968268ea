"""Seconds of `import pymc_glm` over those of `import pymc`, in separate processes."""

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np

CODE = """
import time
start = time.perf_counter()
import pymc
pymc_loaded = time.perf_counter()
import pymc_glm
package = time.perf_counter()
for name in pymc_glm.__all__:
    getattr(pymc_glm, name)
print(pymc_loaded - start, package - pymc_loaded, time.perf_counter() - package)
"""
PARTS = ("import pymc", "import pymc_glm after it", "every public name, loaded on first use")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=10)
    options = parser.parse_args()
    root = Path(__file__).resolve().parents[1]
    command = [sys.executable, "-c", CODE]
    seconds = []
    for _ in range(options.repeats + 1):  # the first one writes .pyc files
        run = subprocess.run(command, check=True, capture_output=True, text=True, cwd=root)
        seconds.append([float(part) for part in run.stdout.split()])
    print("| | seconds: median (least..most) |\n|---|---|")
    for part, of in zip(PARTS, np.transpose(seconds[1:]), strict=True):
        print(f"| {part} | {np.median(of):.2f} ({of.min():.2f}..{of.max():.2f}) |")


if __name__ == "__main__":
    main()
