"""Other methods on networks with known connections: correlograms, published results, NeMoS."""

import os
import time
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import xarray as xr
from correlograms import Correlograms, Settings, largest_deviation
from truth_scores import Verdict

import pymc_glm as pg
from pymc_glm.datasets.networks.registry import github_file
from pymc_glm.datasets.published_files import fetch_file

RESULTS = "christiando/spycon/9720cfa0a71f"
STEM = "ren_simulation_1917_Cell1Block1_long_340_20_ei5_example"
PUBLISHED = {
    "ci": (
        "coincidence index",
        "6957416ec50a76919dcb6dce08bc75db26541f84de0abfee5e87d27353a31424",
    ),
    "dsttc": (
        "directed STTC",
        "9bbd9b06a27ff2f916ed58f18c8172290881a23872c439aba129b965eda044cf",
    ),
    "glmcc": ("GLMCC", "8f6b6cfb18cea4c803ee12600306cfce39cd379e13317ad0ce5ccdb78faf44cb"),
    "glmpp": (
        "coupled GLM (GLMPP)",
        "9f9ceb2649c20ddafee26e58ec52992fa9a721c132f79b76cdd5b2e66f08d9de",
    ),
    "idtxl": (
        "transfer entropy",
        "9c0cd88c9beef2daee3242112626f145be0555c49af87ecce17bf165b2f99107",
    ),
    "sccg": ("smoothed CCG", "0cc1ee95373f45ea7521a8fa535c70a9b9614ee0091b27cce069cb7d8a7db5a8"),
}
SIGNED = ("glmcc", "glmpp", "sccg")  # their weights are negative for inhibition

NO_NEMOS = "NeMoS is left out, as the package nemos is not installed: pip install nemos"
FOLDS, N_STRENGTHS, LOWEST = 3, 5, 0.01  # of the strength at which all couplings vanish
SOLVER = {"max_stepsize": None, "tol": 1e-3}  # steps of at most 1 take thousands for rare spikes
POSTS_AT_ONCE = 20  # the mask of the group lasso grows with the square of their number


def correlogram_verdict(found: Correlograms, settings: Settings, seconds: float) -> Verdict:
    """Score by the largest deviation from the smooth background."""
    score, sign = largest_deviation(found, settings.first, settings.last)
    return Verdict("correlogram", score, None, sign, seconds)


def published_verdicts() -> list[Verdict]:
    """Read what six methods made of the set spycon (Donner et al. 2024)."""
    return [read_published(key) for key in PUBLISHED]


def read_published(key: str) -> Verdict:
    method, sha256 = PUBLISHED[key]
    file = github_file(RESULTS, f"data/results/{STEM}_{key}.npz", sha256)
    return verdict_in(fetch_file(file), method, signed=key in SIGNED)


def verdict_in(path: Path, method: str, signed: bool) -> Verdict:
    """Read an archive of rows (pre, post, score), with a threshold and weights."""
    with np.load(path, allow_pickle=False) as archive:
        nodes, stats, threshold, weights = (
            archive[key] for key in ("nodes", "stats", "threshold", "all_weights")
        )
    order = {int(node): i for i, node in enumerate(nodes)}
    pre, post = ([order[int(node)] for node in stats[:, i]] for i in (0, 1))
    score, sign = np.zeros((2, len(nodes), len(nodes)))
    score[post, pre], sign[post, pre] = stats[:, 2], np.sign(weights[:, 0])
    return Verdict(method, score, score > threshold[0], sign if signed else None)


def nemos_verdict(counts: xr.DataArray, basis: xr.DataArray, seconds: float) -> Verdict | None:
    """Fit NeMoS' group lasso to the first `seconds`; its cross-validation chooses the strength.

    A group is the filter from one neuron to another, or to itself; histories are scaled to the
    same spread for every pre neuron. The score is the size of a group in these units. None without
    nemos.
    """
    if find_spec("nemos") is None:
        print(NO_NEMOS, flush=True)
        return None
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    started = time.perf_counter()
    bin_width = counts.attrs["bin_width"]
    used = counts.isel(time=slice(round(seconds / bin_width)))
    history = pg.history_design(used, basis).values.astype(np.float32)  # (time, pre, basis)
    spread = np.maximum(history.std(axis=0).mean(axis=1), 1e-6)  # (pre,); a silent one has none
    history /= spread[:, None]
    n = used.sizes["neuron"]
    filters = np.concatenate(
        [
            group_lasso(history, used.values[:, posts])
            for posts in np.array_split(np.arange(n), -(-n // POSTS_AT_ONCE))
        ]
    )
    course = filters / spread[:, None] @ basis.values.T  # (post, pre, lag)
    peak = np.take_along_axis(course, np.abs(course).argmax(axis=2)[..., None], axis=2)[..., 0]
    name = "NeMoS" if used.sizes["time"] == counts.sizes["time"] else f"NeMoS, {seconds:g} s"
    size = np.linalg.norm(filters, axis=2)
    return Verdict(name, size, size > 0, np.sign(peak), time.perf_counter() - started)


def group_lasso(history: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Fit some post neurons together and return filters, (post, pre, basis)."""
    import nemos
    from sklearn.model_selection import GridSearchCV, KFold

    n_bins, n_pre, n_basis = history.shape
    n_post = counts.shape[1]
    design = history.reshape(n_bins, -1)
    mask = np.zeros((n_pre, n_post, n_pre, n_basis, n_post), dtype=np.float32)
    for pre in range(n_pre):
        for post in range(n_post):
            mask[pre, post, pre, :, post] = 1
    model = nemos.glm.PopulationGLM(
        observation_model="Bernoulli",
        regularizer=nemos.regularizer.GroupLasso(
            mask=mask.reshape(n_pre * n_post, n_pre * n_basis, n_post)
        ),
        regularizer_strength=1.0,
        solver_kwargs=SOLVER,
    )
    gradient = design.T @ (counts - counts.mean(axis=0)).astype(np.float32) / n_bins
    sizes = np.linalg.norm(gradient.reshape(n_pre, n_basis, n_post), axis=1)
    strengths = sizes.max() * np.geomspace(1, LOWEST, N_STRENGTHS)
    search = GridSearchCV(
        model, {"regularizer_strength": strengths.tolist()}, cv=KFold(FOLDS), error_score="raise"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells of every fit that has not converged
        search.fit(design, counts)
    weights = np.asarray(search.best_estimator_.coef_)
    return weights.reshape(n_pre, n_basis, n_post).transpose(2, 0, 1)
