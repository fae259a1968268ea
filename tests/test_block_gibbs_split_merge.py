"""Splits and merges of blocks: evidence, proposals and the exactness of the whole move."""

import itertools

import arviz as az
import numpy as np
import pymc as pm
import pytest
from scipy.optimize import minimize
from scipy.special import betaln, digamma, expit, gammaln, logit, softmax
from scipy.stats import beta, invgamma, multivariate_normal, multivariate_t

import pymc_glm as pg
from pymc_glm.kernels import block_tables
from pymc_glm.kernels import split_merge as kernel
from pymc_glm.kernels.block_tables import exchange, fit_cells
from pymc_glm.kernels.blocks import list_edges, pair_sums
from pymc_glm.kernels.split_merge import StandIn, propose, stand_in
from pymc_glm.steps import block_gibbs as step_module

# --- the stand-in's evidence ---------------------------------------------------------------------

A, B = 0.7, 2.1
KAPPA, NU, MEAN = 0.6, 4.5, np.array([0.3, -0.2])
SCATTER = np.array([[1.1, 0.3], [0.3, 0.8]])


def stand_in_of(n_blocks, edges=True, slabs=True):
    """A stand-in, the same for all pairs of blocks."""
    one = np.ones((n_blocks, n_blocks))
    empty = stand_in(n_blocks, 0.5 * np.ones((1, n_blocks, n_blocks)))
    zero = 0 * one
    prior = empty._replace(present=zero, absent=zero, edge_constant=zero)
    if edges:
        prior = prior._replace(present=A * one, absent=B * one, edge_constant=-betaln(A, B) * one)
    if slabs:
        size = MEAN.size
        constant = (
            NU / 2 * np.linalg.slogdet(SCATTER)[1]
            + size / 2 * np.log(KAPPA)
            - gammaln((NU - np.arange(size)) / 2).sum()
        )
        prior = prior._replace(
            kappa=KAPPA * one,
            nu=NU * one,
            shift=KAPPA * MEAN * one[..., None],
            scatter=(SCATTER + KAPPA * np.outer(MEAN, MEAN)) * one[..., None, None],
            slab_constant=constant * one,
        )
    return prior


def log_evidence(n_absent, weights, slabs):
    """Edges by the beta function, weights one after the other by their predictive t."""
    n = len(weights)
    total = betaln(A + n, B + n_absent) - betaln(A, B)
    kappa, nu, mean, scatter = KAPPA, NU, MEAN, SCATTER
    for w in weights if slabs else []:
        freedom = nu - MEAN.size + 1
        shape = scatter * (kappa + 1) / (kappa * freedom)
        total += multivariate_t(mean, shape, freedom).logpdf(w)
        scatter = scatter + kappa / (kappa + 1) * np.outer(w - mean, w - mean)
        mean = (kappa * mean + w) / (kappa + 1)
        kappa, nu = kappa + 1, nu + 1
    return total


def random_network(n, n_basis, seed=0, density=0.5):
    rng = np.random.default_rng(seed)
    adjacency = (rng.random((n, n)) < density).astype(np.int8)
    return adjacency, rng.normal(size=(n, n, n_basis)) * adjacency[:, :, None]


def stand_in_log_posterior(labels, adjacency, weights, concentration, slabs):
    k = concentration.size
    total = gammaln(concentration + np.bincount(labels, minlength=k)).sum()
    apart = ~np.eye(labels.size, dtype=bool)
    for b, c in itertools.product(range(k), repeat=2):
        here = (labels[:, None] == b) & (labels[None, :] == c) & apart
        present = here & (adjacency == 1)
        total += log_evidence(here.sum() - present.sum(), weights[present], slabs)
    return total


@pytest.mark.parametrize("slabs", [False, True])
def test_gain_of_a_proposal_is_that_of_the_predictive_distributions(slabs):
    adjacency, weights = random_network(7, 2)
    edges = list_edges(adjacency, weights if slabs else None)
    prior, concentration = stand_in_of(3, slabs=slabs), np.array([0.4, 1.0, 1.7])
    rng = np.random.default_rng(0)
    kinds = set()
    for _ in range(40):
        labels = rng.integers(0, rng.integers(1, 4), 7)
        proposal = propose(labels, edges, prior, concentration, rng)
        if proposal is None:
            assert np.unique(labels).size == 3
            continue
        before, after = (
            stand_in_log_posterior(z, adjacency, weights, concentration, slabs)
            for z in (labels, proposal.labels)
        )
        np.testing.assert_allclose(proposal.log_gain, after - before, atol=1e-9)
        for z, sums in zip((labels, proposal.labels), proposal.sums, strict=True):
            np.testing.assert_allclose(sums, pair_sums(z, edges[0], 3), atol=1e-12)
        kinds.add(np.unique(proposal.labels).size - np.unique(labels).size)
    assert kinds == {-1, 1}


def agree(states, exact, visited, threshold=4.0):
    """Compare frequencies of labellings with their probabilities."""
    scores = []
    for state in np.flatnonzero(exact * len(visited) > 50):
        hits = (visited == state).astype(float)
        if not hits.any():
            return False
        scores.append((hits.mean() - exact[state]) / float(az.mcse(hits[None])))
    used = np.array([len(set(z)) for z in states])
    draws = used[visited].astype(float)
    scores.append((draws.mean() - exact @ used) / float(az.mcse(draws[None])))
    return np.abs(scores).max() < threshold


def proposals_are_reversible(n_draws=30_000):
    """A chain of proposals alone has the stand-in's posterior."""
    adjacency, weights = random_network(4, 2, seed=3)
    edges, prior, concentration = (
        list_edges(adjacency, weights),
        stand_in_of(3),
        np.array([0.4, 1, 1.7]),
    )
    states = np.array(list(itertools.product(range(3), repeat=4)))
    exact = softmax(
        [stand_in_log_posterior(z, adjacency, weights, concentration, True) for z in states]
    )
    rng = np.random.default_rng(1)
    labels, visited = states[0], np.empty(n_draws, dtype=int)
    for draw in range(n_draws):
        proposal = propose(labels, edges, prior, concentration, rng, scans=1)
        ratio = -np.inf if proposal is None else proposal.log_gain - proposal.log_forward
        if np.log(rng.random()) < ratio:
            labels = proposal.labels
        visited[draw] = labels @ [27, 9, 3, 1]
    return agree(states, exact, visited)


def test_proposals_are_reversible():
    assert proposals_are_reversible()


def _forget_empty_blocks(monkeypatch):
    original = kernel.propose

    def wrong(labels, *args, **kwargs):
        found = original(labels, *args, **kwargs)
        if found is None:
            return None
        split = np.unique(found.labels).size > np.unique(labels).size
        empty = 3 - np.unique(labels).size
        return found._replace(
            log_forward=found.log_forward + (np.log(empty) if split else -np.log(empty + 1))
        )

    monkeypatch.setattr("test_block_gibbs_split_merge.propose", wrong)


def _forget_way_back(monkeypatch):
    original = kernel.propose
    monkeypatch.setattr(
        "test_block_gibbs_split_merge.propose",
        lambda *a, **k: (p := original(*a, **k)) and p._replace(log_forward=0.0),
    )


@pytest.mark.parametrize("plant", [_forget_empty_blocks, _forget_way_back])
def test_planted_bugs_in_proposals_are_found(plant, monkeypatch):
    plant(monkeypatch)
    assert not proposals_are_reversible()


def test_stand_in_is_matched_to_draws():
    rng = np.random.default_rng(0)
    n, shape = 20_000, (2, 2)
    p = beta(1.0, 4.0).rvs((n, *shape), random_state=rng)
    variance = invgamma(3.0, scale=0.5).rvs((n, *shape, 2), random_state=rng)
    mean = 0.2 + 0.4 * rng.standard_normal((n, *shape, 2))
    whitening = np.eye(2) / np.sqrt(variance)[..., None]
    prior = stand_in(2, p, mean, whitening)
    np.testing.assert_allclose(prior.present, 1.0, rtol=0.05)
    np.testing.assert_allclose(prior.absent, 4.0, rtol=0.05)
    np.testing.assert_allclose((prior.nu - 1) / 2, 3.0, rtol=0.05)  # shape (nu - B + 1) / 2
    center = prior.shift / prior.kappa[..., None]
    np.testing.assert_allclose(center, 0.2, atol=0.02)
    scatter = (
        prior.scatter - prior.kappa[..., None, None] * center[..., None] * center[..., None, :]
    )
    np.testing.assert_allclose(np.diagonal(scatter, 0, -2, -1) / 2, 0.5, rtol=0.05)
    np.testing.assert_allclose(prior.kappa * 0.4**2, invgamma(3.0, scale=0.5).median(), rtol=0.1)


def test_fixed_tables_stand_in_for_themselves():
    """No spread over draws: evidence is the likelihood under the tables."""
    p = np.array([[0.2, 0.9], [0.5, 1.0]])
    prior = stand_in(2, np.broadcast_to(p, (3, 2, 2)))
    n_pairs, n = 30.0, 20.0
    for k, j in ((0, 0), (0, 1), (1, 0)):
        got = kernel._log_evidence(n_pairs, np.array([n]), k, j, prior)
        expected = n * np.log(p[k, j]) + (n_pairs - n) * np.log(1 - p[k, j])
        np.testing.assert_allclose(got, expected, atol=0.01)
    assert isinstance(prior, StandIn)
    assert kernel._log_evidence(n_pairs, np.array([n]), 1, 1, prior) < -50


# --- the tables ----------------------------------------------------------------------------------


def beta_cells(x):
    """Edge probabilities by log odds, Beta(A, B) a priori."""
    p = expit(x[..., 0])
    return {"probability": p}, A * np.log(p) + B * np.log1p(-p)


def slab_cells(x):
    """One basis function: mean Normal(0.2, 1), log scale Normal(-0.5, 0.6)."""
    mean, log_scale = x[..., 0], x[..., 1]
    prior = -0.5 * (mean - 0.2) ** 2 - 0.5 * ((log_scale + 0.5) / 0.6) ** 2
    return {"mean": mean[..., None], "whitening": np.exp(-log_scale)[..., None, None]}, prior


def slab_sums(weights):
    return np.array([0.0, len(weights), np.sum(weights), np.sum(np.square(weights))])


@pytest.fixture
def patient(monkeypatch):
    """Fits that go on until they have converged."""
    monkeypatch.setattr(block_tables, "NEWTON_STEPS", 20)


@pytest.fixture
def poor(monkeypatch):
    """Fits that are far off: the move has to be exact with any, and errors show."""
    monkeypatch.setattr(block_tables, "NEWTON_STEPS", 1)
    original = block_tables.fit_cells

    def far_off(*args):
        fitted = original(*args)
        return fitted._replace(mode=fitted.mode + 0.6)

    monkeypatch.setattr(block_tables, "fit_cells", far_off)


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("counts", [(0, 0), (1, 5), (300, 20)])
def test_fit_finds_mode_and_curvature_of_probabilities(counts):
    absent, present = counts
    sums = np.array([absent, present], dtype=float).reshape(1, 1, 1, 2)
    fitted = fit_cells(beta_cells, np.zeros((1, 1, 1)), sums)
    p = (A + present) / (A + B + absent + present)
    np.testing.assert_allclose(fitted.mode, logit(p), atol=1e-3)
    # Fisher information of the pairs plus curvature of the prior; both are n p (1 - p).
    np.testing.assert_allclose(fitted.factor**2, (A + B + sum(counts)) * p * (1 - p), rtol=1e-3)


@pytest.mark.usefixtures("patient")
def test_fit_finds_the_mode_of_slabs():
    rng = np.random.default_rng(0)
    weights = [0.8 + 0.3 * rng.standard_normal(n) for n in (2, 10, 80)]
    sums = np.array([slab_sums(w) for w in weights]).reshape(3, 1, 1, 4)
    fitted = fit_cells(slab_cells, np.zeros((1, 1, 2)), sums)
    for w, mode in zip(weights, fitted.mode[:, 0, 0], strict=True):

        def cost(x, w=w):
            prior = slab_cells(x)[1]
            return 0.5 * np.sum(((w - x[0]) / np.exp(x[1])) ** 2) + len(w) * x[1] - prior

        np.testing.assert_allclose(mode, minimize(cost, [0, 0]).x, atol=0.02)


def test_estimated_evidence_is_exact_for_beta_cells():
    rng = np.random.default_rng(2)
    sums = np.array([[[[7.0, 3.0]]], [[[2.0, 30.0]]]])
    changed = np.ones((1, 1), dtype=bool)
    ratios, draws = [], []
    for _ in range(300):
        x = logit(rng.beta(A + 3, B + 7)).reshape(1, 1, 1)  # as in a chain: drawn given the sums
        found = exchange(beta_cells, np.zeros((1, 1, 1)), x, sums, changed, 50, rng)
        ratios.append(found.log_evidence)
        draws.append(found.x.item())
    exact = betaln(A + 30, B + 2) - betaln(A + 3, B + 7)
    # The logarithm of an estimate: its bias is half its variance, below 0.01 here.
    np.testing.assert_allclose(np.mean(ratios), exact, atol=0.02)
    target = beta(A + 30, B + 2)
    np.testing.assert_allclose(
        np.mean(expit(draws)), target.mean(), atol=4 * target.std() / 300**0.5
    )


def test_unchanged_cells_stay():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 2, 1))
    sums = np.array([np.ones((2, 2, 2)), np.full((2, 2, 2), 3.0)])
    changed = np.array([[True, False], [True, False]])
    found = exchange(beta_cells, np.zeros((2, 2, 1)), x, sums, changed, 5, rng)
    np.testing.assert_array_equal(found.x[:, 1], x[:, 1])
    assert (found.x[:, 0] != x[:, 0]).all()


# --- the whole move: labels, tables integrated out, against enumeration ---------------------------

N = 4
ADJACENCY = np.array([[0, 1, 1, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 0]], dtype=np.int8)
EFFECTS = np.array([0.6, 0.3, -0.3, -0.6])[:, None, None]
WEIGHTS = EFFECTS + np.random.default_rng(4).standard_normal((N, N, 1))
SLAB_SIGMA, MEAN_SIGMA = 1.0, 0.9


class EdgeProblem:
    """Learned edge probabilities, alike for self-edges: their posterior is known by conjugacy."""

    def __init__(self, n_blocks):
        self.k, self.concentration = n_blocks, np.linspace(0.6, 1.4, n_blocks)
        self.parts = {
            "edges": pg.BlockEdges(
                n_blocks,
                pm.Beta.dist(A, B),
                self_probability=None,
                concentration=self.concentration,
            ),
            "weights": pg.GaussianWeights(0.0, 1.0, None, None),
        }
        self.table = "edge_probability_logodds__"
        self.start = {"adjacency": ADJACENCY, "weights": ADJACENCY[:, :, None] * 0.0}

    def counts(self, labels):
        absent, present = np.zeros((2, self.k, self.k))
        np.add.at(present, (labels[:, None], labels[None, :]), ADJACENCY)
        np.add.at(absent, (labels[:, None], labels[None, :]), 1 - ADJACENCY)
        return absent, present

    def log_evidence(self, labels):
        absent, present = self.counts(labels)
        return (betaln(A + present, B + absent) - betaln(A, B)).sum()

    def draw_tables(self, labels, rng):
        absent, present = self.counts(labels)
        p = rng.beta(A + present, B + absent).clip(1e-12, 1 - 1e-12)
        return {"edge_probability_logodds__": logit(p)}

    def expected_table(self, labels):
        absent, present = self.counts(labels)
        return digamma(A + present[0, 0]) - digamma(B + absent[0, 0])


class WeightProblem:
    """Every edge present, learned means, those of self-edges apart."""

    def __init__(self, n_blocks):
        self.k, self.concentration = n_blocks, np.linspace(0.6, 1.4, n_blocks)
        self.parts = {
            "edges": pg.DenseEdges(),
            "weights": pg.BlockWeights(
                n_blocks,
                mean=pm.Normal.dist(0, MEAN_SIGMA),
                cov=SLAB_SIGMA**2,
                self_mean=0.0,
                concentration=self.concentration,
            ),
        }
        self.table, self.start = "weight_mean", {"weights": WEIGHTS}

    def cell(self, labels, b, c):
        apart = ~np.eye(N, dtype=bool)
        return WEIGHTS[(labels[:, None] == b) & (labels[None, :] == c) & apart, 0]

    def log_evidence(self, labels):
        total = 0.0
        for b, c in itertools.product(range(self.k), repeat=2):
            w = self.cell(labels, b, c)
            if w.size:
                covariance = SLAB_SIGMA**2 * np.eye(w.size) + MEAN_SIGMA**2
                total += multivariate_normal(np.zeros(w.size), covariance).logpdf(w)
        return total

    def draw_tables(self, labels, rng):
        mean = np.empty((self.k, self.k, 1))
        for b, c in itertools.product(range(self.k), repeat=2):
            w = self.cell(labels, b, c)
            precision = MEAN_SIGMA**-2 + w.size * SLAB_SIGMA**-2
            center = w.sum() * SLAB_SIGMA**-2 / precision
            mean[b, c] = center + rng.standard_normal() / np.sqrt(precision)
        return {"weight_mean": mean}

    def expected_table(self, labels):
        w = self.cell(labels, 0, 0)
        return w.sum() / (w.size + (SLAB_SIGMA / MEAN_SIGMA) ** 2)


def chain_agrees(problem, n_draws, alone=False, seed=0):
    """Compare labels and the first entry of a table with enumeration.

    Tables are drawn exactly now and then, not at each step, so that tables that do not fit the
    labels show.
    """
    rng = np.random.default_rng(seed)
    basis = pg.basis.raised_cosine(1, window=0.05, bin_width=0.005)
    counts = np.tile([[0], [1], [0]], (10, N))
    with pg.build_glm(counts, basis, **problem.parts) as model:
        step = pg.BlockGibbs(rng=rng.spawn(1)[0])
    (labels,) = step._labels
    labels._n_draws = 4
    point = model.initial_point(0) | problem.start
    states = np.array(list(itertools.product(range(problem.k), repeat=N)))
    sizes = np.array([np.bincount(z, minlength=problem.k) for z in states])
    prior = gammaln(problem.concentration + sizes).sum(axis=1)
    exact = softmax(prior + [problem.log_evidence(z) for z in states])
    place, visited = problem.k ** np.arange(N - 1, -1, -1), np.empty(n_draws, dtype=int)
    tables = np.empty(n_draws)
    for draw in range(n_draws):
        if alone:
            point = labels.split_or_merge(point, labels.network(point), step.rng) or point
        else:
            point, _ = step.step(point)
        now = point["block_labels"]
        visited[draw] = now @ place
        tables[draw] = point[problem.table].ravel()[0]
        if draw % 5 == 0:
            point = point | problem.draw_tables(now, rng)
    expected = exact @ [problem.expected_table(z) for z in states]
    score = (tables.mean() - expected) / float(az.mcse(tables[None]))
    return abs(score) < 4.0 and agree(states, exact, visited)


@pytest.mark.usefixtures("poor")
@pytest.mark.parametrize(
    ("problem", "alone"),
    [(EdgeProblem(2), False), (EdgeProblem(3), True), (WeightProblem(2), True)],
)
def test_labels_have_their_exact_marginal_distribution(problem, alone):
    assert chain_agrees(problem, 3000, alone)


def _ignore_screen(monkeypatch):
    """Screen proposals without correcting for it."""
    original = step_module.propose

    def wrong(*args):
        found = original(*args)
        if found is None or np.log(args[-1].random()) >= found.log_gain - found.log_forward:
            return None
        return found

    monkeypatch.setattr(step_module, "propose", wrong)


def _forget_the_determinant(monkeypatch):
    """Leave out the normalisation of the distributions of tables."""
    original = block_tables.CellPosterior.log_density

    def wrong(self, x):
        return original(self, x) - np.log(np.einsum("...ii->...i", self.factor)).sum(axis=-1)

    monkeypatch.setattr(block_tables.CellPosterior, "log_density", wrong)


def _ignore_weights_of_draws(monkeypatch):
    """Take any of the draws."""
    original = block_tables.exchange

    class NoGumbel:
        def __init__(self, rng):
            self.__dict__ = {"standard_normal": rng.standard_normal, "chisquare": rng.chisquare}

        def gumbel(self, size):
            return 1e9 * np.arange(size[0])[:, None, None] * np.ones(size)

    monkeypatch.setattr(step_module, "exchange", lambda *a: original(*a[:-1], NoGumbel(a[-1])))


@pytest.mark.usefixtures("poor")
@pytest.mark.parametrize(
    "plant", [_ignore_screen, _forget_the_determinant, _ignore_weights_of_draws]
)
def test_planted_bugs_in_the_move_are_found(plant, monkeypatch):
    plant(monkeypatch)
    assert not chain_agrees(EdgeProblem(2), 6000, alone=True)


def test_a_forgotten_prior_is_found_when_the_step_is_made(monkeypatch):
    monkeypatch.setattr(step_module, "gammaln", np.zeros_like)
    with pytest.raises(
        ValueError, match="log density does not depend on 'block_labels' through tables alone"
    ):
        chain_agrees(EdgeProblem(2), 1)
