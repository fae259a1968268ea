"""The same seed gives the same draws whether or not PyTensor and Numba find their caches."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

_SAMPLE = """
import sys
import numpy as np
import pymc_glm as pg

counts = (np.random.default_rng(1).random((2000, 3)) < 0.05).astype(int)
basis = pg.basis.raised_cosine(2, window=0.05, bin_width=0.005)
model = pg.build_glm(counts, basis)
tree = pg.sample(30, 70, chains=1, cores=1, threads=1, model=model, random_seed=1,
                 progressbar=False, report=False, quiet=True)
np.savez(sys.argv[1], **{name: v.values for name, v in tree["posterior"].data_vars.items()})
"""


def _draws(folder: Path, file: str) -> dict[str, np.ndarray]:
    """Sample in a process of its own, with caches in the folder."""
    flags = [os.environ.get("PYTENSOR_FLAGS", ""), f"base_compiledir={folder / 'pytensor'}"]
    caches = {
        "PYTENSOR_FLAGS": ",".join(filter(None, flags)),
        "NUMBA_CACHE_DIR": str(folder / "numba"),
    }
    command = [sys.executable, "-c", _SAMPLE, str(folder / file)]
    subprocess.run(command, env=os.environ | caches, check=True)
    with np.load(folder / file) as draws:
        return dict(draws)


@pytest.mark.slow
def test_draws_do_not_depend_on_caches(tmp_path):
    cold = _draws(tmp_path, "cold.npz")
    warm = _draws(tmp_path, "warm.npz")
    assert cold.keys() == warm.keys()
    for name, values in cold.items():
        np.testing.assert_array_equal(warm[name], values, err_msg=name)
