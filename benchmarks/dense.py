"""Effective draws per second on the dense model: the default sampler and NUTS of two packages.

    python benchmarks/dense.py [--cases N27 Wong1993 ...] [--samplers default nutpie numpyro]
                               [--posts 3] [--draws 300] [--tune 300] [--chains 4]

Every edge is present and the prior is fixed: weights Normal(0, 1), biases Normal around 5 Hz.
"default" is WeightHMC on `build_glm`; nutpie and NumPyro sample the same posterior as a plain PyMC
model of all post neurons jointly, with the settings that they and PyMC come with (Numba for nutpie;
double precision, as PyMC has it, for NumPyro). Post neurons are independent of each other here,
which WeightHMC uses and NUTS does not know; `--posts` restricts all samplers alike to the first
post neurons (and all pre neurons).

Two processes of one chain at a time, each kept to one core, the samplers one after the other.
Seconds are of processor time, which is wall clock where nobody else uses the cores, all chains
added up: building and compiling, warm-up, and sampling apart. The default and NumPyro's kernel are
driven draw by draw, after a first draw that compiles and is thrown away. nutpie tells the seconds
of a whole run alone; they are shared out between warm-up and sampling by the leapfrog steps of
either, which are nearly all of its work. Effective draws (bulk) per second are of sampling alone.
z compares posterior means with those of the first sampler, in Monte Carlo standard errors: the
largest and the root mean square, which should be about 1.
"""

import argparse
import time
from importlib.util import find_spec
from typing import Any, NamedTuple

import arviz as az
import numpy as np
import pymc as pm
import xarray as xr
from cases import BIN_WIDTH, Case, load, names
from processes import two_at_a_time
from scipy.special import logit
from scipy.stats import norm
from threadpoolctl import threadpool_limits

import pymc_glm as pg
from pymc_glm.sampling.starts import initial_points

BIAS_CENTER, BIAS_SIGMA = float(logit(5 * BIN_WIDTH)), 1.0


class Job(NamedTuple):
    """One chain to sample."""

    case: str
    sampler: str
    posts: int | None  # None: all
    chains: int
    tune: int
    draws: int
    chain: int = 0


class Chain(NamedTuple):
    """Draws of one chain, and where the seconds went."""

    bias: np.ndarray  # (draw, post)
    weights: np.ndarray  # (draw, post, pre * basis)
    compiling: float
    tuning: float
    sampling: float
    divergences: int | None = None


def plain_model(case: Case, n_posts: int) -> pm.Model:
    """Build the dense model as one would without this package."""
    history = case.history.reshape(len(case.counts), -1)
    with pm.Model() as model:
        bias = pm.Normal("bias", BIAS_CENTER, BIAS_SIGMA, shape=n_posts)
        weights = pm.Normal("weights", 0.0, 1.0, shape=(n_posts, history.shape[1]))
        psi = bias + pm.Data("history", history) @ weights.T
        pm.Bernoulli("spikes", logit_p=psi, observed=case.counts[:, :n_posts])
    return model


def run_default(case: Case, n_posts: int, job: Job) -> Chain:
    """Sample by WeightHMC, from the starting points that `pymc_glm.sample` gives."""
    clock = [time.process_time()]
    prior = pg.GaussianWeights(0.0, 1.0, self_mean=0.0, self_cov=1.0)
    bias = pm.Normal.dist(BIAS_CENTER, BIAS_SIGMA)
    with pg.build_glm(
        case.data, case.basis, edges=pg.DenseEdges(), weights=prior, bias=bias
    ) as model:
        step = pg.WeightHMC(threads=1)
        start = initial_points(model, step, job.chains, np.random.default_rng(5))[job.chain]
    step.engine.posts.n_posts = n_posts  # that move; the others stay where they are
    step.setup_chain(np.random.default_rng(0), job.tune, job.draws)
    point = model.initial_point(0) | start
    step.step(point)  # compiles
    step.setup_chain(np.random.default_rng([job.chain, 5]), job.tune, job.draws)
    clock.append(time.process_time())
    kept = []
    for i in range(job.tune + job.draws):
        if i == job.tune:
            step.stop_tuning()
            clock.append(time.process_time())
        point, _ = step.step(point)
        if i >= job.tune:
            kept.append((point["bias"][:n_posts], point["weights"][:n_posts].reshape(n_posts, -1)))
    clock.append(time.process_time())
    return Chain(*map(np.array, zip(*kept, strict=True)), *np.diff(clock))


def run_nutpie(case: Case, n_posts: int, job: Job) -> Chain:
    """Sample by nutpie."""
    import nutpie

    clock = [time.process_time()]
    compiled = nutpie.compile_pymc_model(plain_model(case, n_posts))
    clock.append(time.process_time())
    tree = nutpie.sample(
        compiled,
        draws=job.draws,
        tune=job.tune,
        chains=1,
        cores=1,
        seed=job.chain + 1,
        progress_bar=False,
    )
    compiling, total = np.diff([*clock, time.process_time()])
    tuning, sampling = (
        float(tree[group]["n_steps"].sum()) for group in ("warmup_sample_stats", "sample_stats")
    )
    draws = [tree["posterior"][name].values[0] for name in ("bias", "weights")]
    share = sampling / (tuning + sampling)
    divergences = int(tree["sample_stats"]["diverging"].sum())
    return Chain(*draws, compiling, total * (1 - share), total * share, divergences)


def run_numpyro(case: Case, n_posts: int, job: Job) -> Chain:
    """Sample by NumPyro's NUTS, from PyMC's starting point and its jitter."""
    import jax
    from numpyro.infer import NUTS
    from pymc.sampling.jax import get_jaxified_logp

    clock = [time.process_time()]
    model = plain_model(case, n_posts)
    kernel = NUTS(potential_fn=get_jaxified_logp(model, negative_logp=False))
    rng = np.random.default_rng([job.chain, 5])
    start = [x + rng.uniform(-1, 1, x.shape) for x in model.initial_point(0).values()]
    state = kernel.init(jax.random.PRNGKey(job.chain + 1), job.tune, start, (), {})
    step = jax.jit(lambda state: kernel.sample(state, (), {}))
    jax.block_until_ready(step(state))
    clock.append(time.process_time())
    kept: list[Any] = []
    for i in range(job.tune + job.draws):
        if i == job.tune:
            clock.append(time.process_time())
        state = jax.block_until_ready(step(state))
        if i >= job.tune:
            kept.append((*map(np.asarray, state.z), bool(state.diverging)))
    clock.append(time.process_time())
    bias, weights, diverging = map(np.array, zip(*kept, strict=True))
    return Chain(bias, weights, *np.diff(clock), int(diverging.sum()))


SAMPLERS = {"default": run_default, "nutpie": run_nutpie, "numpyro": run_numpyro}


def run_chain(job: Job) -> Chain:
    """Sample one chain, in a separate process."""
    case = load(job.case)
    with threadpool_limits(1):
        return SAMPLERS[job.sampler](case, job.posts or case.counts.shape[1], job)


def sample(job: Job) -> list[Chain]:
    """Sample all chains, two at a time."""
    return two_at_a_time(run_chain, [job._replace(chain=chain) for chain in range(job.chains)])


def gathered(chains: list[Chain], name: str) -> xr.Dataset:
    """Return one variable's draws of all chains."""
    values = np.array([getattr(chain, name) for chain in chains])
    return xr.Dataset({"x": (("chain", "draw", "quantity"), values.reshape(*values.shape[:2], -1))})


def disagreement(chains: list[Chain], others: list[Chain]) -> str:
    """Compare posterior means."""
    z = []
    for name in ("bias", "weights"):
        pair = [gathered(these, name) for these in (chains, others)]
        means = [draws.mean(("chain", "draw"))["x"].values for draws in pair]
        errors = [az.mcse(draws)["x"].values for draws in pair]
        z.append((means[0] - means[1]) / np.hypot(*errors))
    flat = np.concatenate(z)
    return f"{np.abs(flat).max():.1f}, {np.sqrt((flat**2).mean()):.2f}"


def row(sampler: str, chains: list[Chain], first: list[Chain]) -> str:
    """Format one sampler's line."""
    compiling, tuning, sampling = (
        sum(getattr(chain, part) for chain in chains)
        for part in ("compiling", "tuning", "sampling")
    )
    cells = [sampler, f"{compiling:.0f}", f"{tuning:.1f}", f"{sampling:.1f}"]
    for name in ("bias", "weights"):
        draws = gathered(chains, name)
        ess = az.ess(draws)["x"].values / sampling
        cells.append(f"{ess.min():.3g} / {np.median(ess):.3g}")
        cells.append(f"{float(az.rhat(draws)['x'].max()):.3f}")
    told = [chain.divergences for chain in chains if chain.divergences is not None]
    cells.append(str(sum(told)) if told else "")
    cells.append("" if chains is first else disagreement(chains, first))
    return " | ".join(cells)


def compare(name: str, job: Job, samplers: list[str]) -> str:
    """Sample one case by every sampler, and print; return what there is to say of the case."""
    n_bins, n = load(name).counts.shape
    n_posts = min(job.posts or n, n)
    label = name if n_posts == n else f"{name}, {n_posts} of {n} posts"
    first: list[Chain] = []
    for sampler in samplers:
        chains = sample(job._replace(case=name, sampler=sampler, posts=n_posts))
        first = first or chains
        print(f"| {label} | {row(sampler, chains, first)} |", flush=True)
    size = first[0].bias[0].size + first[0].weights[0].size
    usual = norm.isf((1 - 0.5 ** (1 / size)) / 2)  # median of the largest of so many
    return f"{name}: {n_bins} bins, {size} parameters (largest z by chance about {usual:.1f})"


def installed(samplers: list[str]) -> list[str]:
    """Return the samplers that are here; say which are not."""
    missing = [name for name in samplers if name != "default" and not find_spec(name)]
    for name in missing:
        print(f"{name} is not installed and is left out (it comes with the extra bench).\n")
    return [name for name in samplers if name not in missing]


def main() -> None:
    """Sample and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    usual = [name for name in names() if name not in ("N4", "N60")]
    parser.add_argument("--cases", nargs="+", choices=names(), default=usual)
    parser.add_argument("--samplers", nargs="+", choices=list(SAMPLERS), default=list(SAMPLERS))
    parser.add_argument("--posts", type=int, help="the first so many post neurons alone")
    parser.add_argument("--draws", type=int, default=300)
    parser.add_argument("--tune", type=int, default=300)
    parser.add_argument("--chains", type=int, default=4)
    options = parser.parse_args()
    samplers = installed(options.samplers)
    if not samplers:
        return
    print(
        "| case | sampler | compile, s | warm-up, s | sampling, s | bias ESS/s: min / median "
        "| R-hat | weights ESS/s: min / median | R-hat | divergences | z: largest, rms |"
    )
    print("|" + 11 * "---|", flush=True)
    job = Job("", "", options.posts, options.chains, options.tune, options.draws)
    notes = [compare(name, job, samplers) for name in options.cases]
    print("", *notes, sep="\n")


if __name__ == "__main__":
    main()
