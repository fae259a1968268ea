"""Memory of a chain, measured in processes of their own (run by run.py).

``memory.py build CASE FILE`` builds the model, then the step method, draws, and writes the pickled
step to FILE; ``memory.py chain FILE`` loads it as a worker process of pm.sample does, and draws.
Both first do everything once with a tiny recording, so that imports, compilation and caches are
not counted. Each prints one JSON object of megabytes.
"""

import json
import os
import pickle
import resource
import sys
from pathlib import Path

import cloudpickle
import numpy as np
import xarray as xr
from cases import BIN_WIDTH, load

import pymc_glm as pg

N_STEPS = 3
MB = 1e6


def resident() -> float:
    """Return this process's resident memory now, in MB (its peak where the system hides that)."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / MB
    except OSError:
        return peak()


def reset_peak() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass  # the peak since the process began is an upper bound


def peak() -> float:
    """Return the highest resident memory since `reset_peak`, in MB."""
    try:
        # Not ru_maxrss: a process started by a larger one inherits the larger one's peak.
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024 / MB
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MB


def tiny_step() -> tuple:
    rng = np.random.default_rng(1)
    counts = rng.integers(0, 2, (300, 2))
    basis = pg.basis.raised_cosine(1, window=0.05, bin_width=0.005)
    with pg.build_glm(counts, basis) as model:
        return pg.PolyaGammaGibbs(threads=1, rng=rng), model.initial_point()


def draw(step, point) -> None:
    for _ in range(N_STEPS):
        point, _ = step.step(point)


def build(name: str, file: Path) -> dict:
    draw(*tiny_step())
    case = load(name)
    counts = xr.DataArray(case.counts, dims=("time", "neuron"), attrs={"bin_width": BIN_WIDTH})
    n_bins, n, n_basis = case.history.shape
    start = resident()
    with pg.build_glm(counts, case.basis) as model:
        after_model = resident()
        reset_peak()
        step = pg.PolyaGammaGibbs(threads=1, rng=np.random.default_rng(1))
        point = model.initial_point()
    draw(step, point)
    result = {
        "design": n_bins * (1 + n * n_basis) * 8 / MB,
        "model": after_model - start,
        "step_peak": peak() - after_model,
        "step_held": resident() - after_model,
    }
    pickled = cloudpickle.dumps(step)
    file.write_bytes(pickle.dumps((pickled, cloudpickle.dumps(tiny_step()), point)))
    return result | {"pickle": len(pickled) / MB}


def chain(file: Path) -> dict:
    pickled, tiny, point = pickle.loads(file.read_bytes())
    draw(*cloudpickle.loads(tiny))
    start = resident() - len(pickled) / MB
    reset_peak()
    step = cloudpickle.loads(pickled)
    del pickled
    draw(step, point)
    return {"chain_peak": peak() - start, "chain_held": resident() - start}


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    measured = build(rest[0], Path(rest[1])) if what == "build" else chain(Path(rest[0]))
    print(json.dumps(measured))
