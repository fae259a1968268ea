"""Block labels: the conditional, its cached sums and the step method, against brute force."""

import itertools
import pickle

import arviz as az
import cloudpickle
import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
from scipy.special import gammaln, softmax
from scipy.stats import multivariate_normal

import pymc_glm as pg
from helpers.uncompiled import INTERPRETED
from pymc_glm.distributions import BlockLabels, Edge
from pymc_glm.kernels import blocks as kernel
from pymc_glm.kernels.blocks import (
    block_sums,
    list_edges,
    make_tables,
    pair_sums,
    self_edge_log_density,
    sweep_labels,
)

CASES = [
    (parts, itself, certain, n_basis, n_blocks)
    for parts in ("both", "edges", "weights")
    for itself in (True, False)
    for certain in (False, True)
    for n_basis, n_blocks in ((1, 2), (2, 1), (3, 3))
    if not (certain and parts == "weights")
]


class Network:
    """A random network and random tables; its joint log density is written out pair by pair."""

    def __init__(self, parts, itself, certain, n_basis, n_blocks, n=6, seed=0):
        rng = np.random.default_rng(seed)
        self.n, self.k, self.itself = n, n_blocks, itself
        shape = (n_blocks, n_blocks)
        self.probability = rng.uniform(0.2, 0.8, shape) if parts != "weights" else None
        if certain:
            self.probability[0, 0] = 1.0
            self.probability[-1, 0] = 0.0
        self.mean = self.whitening = self.weights = None
        self.adjacency = (rng.random((n, n)) < 0.6).astype(np.int8)
        if parts != "edges":
            self.mean = rng.normal(size=(*shape, n_basis))
            below = np.tril(rng.normal(size=(*shape, n_basis, n_basis)), -1)
            self.whitening = below + rng.uniform(0.5, 2, (*shape, 1, 1)) * np.eye(n_basis)
            self.weights = rng.normal(size=(n, n, n_basis)) * self.adjacency[:, :, None]
        self.concentration = rng.uniform(0.3, 2, n_blocks)

    def pair(self, labels, i, j):
        k, m = labels[i], labels[j]
        present = self.adjacency[i, j] == 1
        total = 0.0
        if self.probability is not None:
            p = self.probability[k, m]
            with np.errstate(divide="ignore"):
                total += np.log(p if present else 1 - p)
        if self.weights is not None and present:
            q = self.whitening[k, m]
            slab = multivariate_normal(self.mean[k, m], np.linalg.inv(q.T @ q))
            total += slab.logpdf(self.weights[i, j])
        return total

    def log_prior(self, labels):
        a, sizes = self.concentration, np.bincount(labels, minlength=self.k)
        return (
            gammaln(a.sum()) - gammaln(a.sum() + self.n) + (gammaln(a + sizes) - gammaln(a)).sum()
        )

    def log_joint(self, labels, of=None):
        """Of all pairs, or of those of one neuron (the others do not change when it moves)."""
        pairs = itertools.product(range(self.n), repeat=2)
        used = [(i, j) for i, j in pairs if i != j or self.itself]
        used = [pair for pair in used if of is None or of in pair]
        return self.log_prior(labels) + sum(self.pair(labels, i, j) for i, j in used)

    @property
    def edges(self):
        return list_edges(self.adjacency, self.weights)

    @property
    def tables(self):
        return make_tables(self.probability, self.mean, self.whitening)

    @property
    def self_edges(self):
        if not self.itself:
            return np.zeros((self.n, self.k))
        i, k = np.arange(self.n), np.arange(self.k)
        slab = [None] * 3
        if self.weights is not None:
            slab = [self.weights[i, i, None], self.mean[k, k][None], self.whitening[k, k][None]]
        p = None if self.probability is None else self.probability[k, k]
        log_density = self_edge_log_density(self.adjacency[i, i, None] == 1, p, *slab)
        return np.broadcast_to(log_density, (self.n, self.k)).copy()

    def conditional(self, labels, i):
        """The kernel's unnormalised log conditional of neuron i."""
        incoming, outgoing = (block_sums(labels, e, self.k) for e in self.edges)
        sizes = np.bincount(np.delete(labels, i), minlength=self.k)
        prior = kernel.log_label_prior(self.concentration, self.n)
        out = np.empty(self.k)
        sums = incoming, outgoing
        kernel._log_conditional(i, sizes, self.tables, prior, self.self_edges, *sums, out)
        return out


def by_brute_force(network, labels, i):
    joint = []
    for k in range(network.k):
        moved = labels.copy()
        moved[i] = k
        joint.append(network.log_joint(moved, of=i))
    return np.array(joint)


@pytest.mark.parametrize("case", CASES)
def test_conditional_is_that_of_the_joint_density(case):
    network = Network(*case)
    rng = np.random.default_rng(1)
    starts = [rng.integers(0, network.k, network.n), np.zeros(network.n, dtype=int)]
    for labels, i in itertools.product(starts, range(network.n)):  # the second has empty blocks
        expected, got = by_brute_force(network, labels, i), network.conditional(labels, i)
        assert not np.isnan(got).any()
        possible = np.isfinite(expected)
        np.testing.assert_array_equal(np.isfinite(got), possible)
        if possible.any():
            differences = got[possible] - expected[possible]
            np.testing.assert_allclose(differences, differences[0], atol=1e-10)


@pytest.mark.parametrize("case", CASES)
def test_pair_sums_give_the_joint_density(case):
    from pymc_glm.kernels.block_tables import log_likelihood

    network = Network(*case[:1], False, *case[2:])
    labels = np.random.default_rng(2).integers(0, network.k, network.n)
    sums = pair_sums(labels, network.edges[0], network.k)
    got = log_likelihood(network.tables, sums).sum() + network.log_prior(labels)
    np.testing.assert_allclose(got, network.log_joint(labels), atol=1e-10)


def test_cached_sums_after_many_moves_are_those_counted_anew():
    network = Network("both", True, False, 3, 4, n=12)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 12)
    from_others, to_others = network.edges
    incoming, outgoing = (block_sums(labels, e, 4) for e in (from_others, to_others))
    kept = np.ones(12, dtype=bool)
    for _ in range(2000):
        i, new = rng.integers(12), rng.integers(4)
        if new != labels[i]:
            kernel.move_neuron(i, labels[i], new, from_others, outgoing, kept)
            kernel.move_neuron(i, labels[i], new, to_others, incoming, kept)
            labels[i] = new
    np.testing.assert_allclose(incoming, block_sums(labels, from_others, 4), atol=1e-11)
    np.testing.assert_allclose(outgoing, block_sums(labels, to_others, 4), atol=1e-11)
    # Counts are whole numbers and stay exact: 0 * log 0 hangs on it.
    np.testing.assert_array_equal(incoming[..., 0], block_sums(labels, from_others, 4)[..., 0])


def frequencies_agree(network, n_draws=12_000, seed=0, threshold=4.0, sweeps=1):
    """Compare long-run frequencies of all labellings with their exact probabilities.

    Up to 81 frequencies; those of one right sampler exceed 4 standard errors in 1 of 200 seeds.
    """
    states = np.array(list(itertools.product(range(network.k), repeat=network.n)))
    exact = softmax([network.log_joint(labels) for labels in states])
    rng = np.random.default_rng(seed)
    labels = states[np.argmax(exact)]
    place = network.k ** np.arange(network.n - 1, -1, -1)
    arguments = network.edges, network.tables, network.concentration, network.self_edges
    visited = np.empty(n_draws, dtype=int)
    for draw in range(n_draws):
        labels, _ = sweep_labels(labels, *arguments, rng, sweeps)
        visited[draw] = labels @ place
    counts = np.bincount(visited, minlength=len(states))
    assert not counts[exact == 0].any()
    scores = []
    for state in np.flatnonzero(exact * n_draws > 30):
        hits = (visited == state).astype(float)
        if not hits.any():
            return False
        scores.append((hits.mean() - exact[state]) / float(az.mcse(hits[None])))
    return np.abs(scores).max() < threshold


@pytest.mark.parametrize(
    "case",
    [
        ("both", True, False, 1, 2),
        ("both", False, True, 2, 3),
        ("edges", True, False, 1, 3),
        ("weights", False, False, 2, 2),
    ],
)
def test_long_run_frequencies_of_all_labellings(case):
    assert frequencies_agree(Network(*case, n=4))


def test_long_run_frequencies_of_several_sweeps_a_step():
    """From the second sweep on the sums are those kept from the first."""
    assert frequencies_agree(Network("both", True, False, 2, 3, n=4), sweeps=3)


def _transpose_tables(monkeypatch):
    original = kernel.make_tables
    swapped = lambda *a: type(t := original(*a))(*(x.swapaxes(0, 1).copy() for x in t))  # noqa: E731
    monkeypatch.setattr("test_block_gibbs.make_tables", swapped)


def _forget_self_edges(monkeypatch):
    monkeypatch.setattr(Network, "self_edges", property(lambda self: np.zeros((self.n, self.k))))


def _uniform_prior(monkeypatch):
    flat = lambda concentration, n: np.zeros((concentration.size, n))  # noqa: E731
    monkeypatch.setattr(kernel, "log_label_prior", flat)


def _count_itself(monkeypatch):
    prior = lambda a, n: np.log(a[:, None] + np.arange(n) ** 2)  # noqa: E731
    monkeypatch.setattr(kernel, "log_label_prior", prior)


@pytest.mark.parametrize(
    "plant", [_transpose_tables, _forget_self_edges, _uniform_prior, _count_itself]
)
def test_planted_bugs_are_found(plant, monkeypatch):
    network = Network("both", True, False, 1, 3, n=4)
    plant(monkeypatch)
    assert not frequencies_agree(network)


def test_same_seed_same_labels():
    network = Network("both", True, False, 2, 3, n=20)
    arguments = network.edges, network.tables, network.concentration, network.self_edges
    start = np.zeros(20, dtype=int)
    first, again = (sweep_labels(start, *arguments, np.random.default_rng(5), 3) for _ in range(2))
    np.testing.assert_array_equal(first[0], again[0])
    assert first[1] == again[1] > 0
    assert not start.any()  # what is handed in stays as it is


def test_nothing_possible_leaves_the_label_alone():
    network = Network("edges", False, False, 1, 2)
    network.probability[:] = 0.0
    labels, moved = sweep_labels(
        np.arange(6) % 2,
        network.edges,
        network.tables,
        network.concentration,
        network.self_edges,
        np.random.default_rng(0),
    )
    assert moved == 0
    np.testing.assert_array_equal(labels, np.arange(6) % 2)


# --- the step method -----------------------------------------------------------------------------

N = 5
BASIS = pg.basis.raised_cosine(2, window=0.05, bin_width=0.005)
COUNTS = np.random.default_rng(0).integers(0, 2, (60, N))
FIXED = np.array([[0.2, 0.9], [0.5, 1.0]])

PARTS = {
    "shared": lambda: (pg.BlockEdges(2), pg.BlockWeights()),
    "self alike": lambda: (
        pg.BlockEdges(3, self_probability=None),
        pg.BlockWeights(self_mean=None, self_cov=None),
    ),
    "self mean alike": lambda: (pg.BlockEdges(2), pg.BlockWeights(self_mean=None)),
    "self cov alike": lambda: (pg.BlockEdges(2), pg.BlockWeights(self_cov=None)),
    "edges only": lambda: (pg.BlockEdges(3, self_probability=0.5), pg.GaussianWeights()),
    "dense": lambda: (pg.DenseEdges(), pg.BlockWeights(2, cov=0.5)),
    "weights only": lambda: (pg.BernoulliEdges(), pg.BlockWeights(3, self_mean=None)),
    "labels apart": lambda: (pg.BlockEdges(2), pg.BlockWeights(3, share_labels=False)),
    "all fixed": lambda: (
        pg.BlockEdges(2, probability=FIXED),
        pg.BlockWeights(mean=np.arange(8.0).reshape(2, 2, 2) / 10, cov=0.1),
    ),
    "learned concentration": lambda: (
        pg.BlockEdges(2, concentration=pm.Gamma.dist(2, 2, shape=2)),
        pg.BlockWeights(),
    ),
    "one block": lambda: (pg.BlockEdges(1), pg.BlockWeights()),
    "variances with a prior": lambda: (
        pg.BlockEdges(2),
        pg.BlockWeights(mean=0.0, cov=pm.LogNormal.dist(0, 1)),
    ),
}


def build(parts):
    edges, weights = PARTS[parts]() if isinstance(parts, str) else parts
    return pg.build_glm(COUNTS, BASIS, edges=edges, weights=weights)


def random_point(model, seed=0):
    """A point with every edge and weight possible."""
    rng = np.random.default_rng(seed)
    point = model.initial_point(0)
    for name, value in point.items():
        if value.dtype.kind == "f":
            point[name] = value + 0.4 * rng.standard_normal(value.shape)
        if name.endswith("block_labels"):
            k = len(model.coords["weight_block_post" if "weight" in name else "block_post"])
            point[name] = rng.integers(0, k, N)
    if "adjacency" in point:
        point["adjacency"] = (rng.random((N, N)) < 0.5).astype(np.int8)
        point["weights"] = point["weights"] * point["adjacency"][:, :, None]
    return point


@pytest.mark.parametrize("parts", [p for p in PARTS if p != "all fixed"])
def test_step_has_the_conditional_of_the_model(parts):
    """All moves of all labels, against differences of the model's whole log density."""
    model = build(parts)
    with model:
        step = pg.BlockGibbs()
    point = random_point(model)
    log_density = model.compile_logp(mode=INTERPRETED)
    for labels in step._labels:
        values = labels.network(point)
        k = values.concentration.size
        edges = values.edges
        start = point[labels.name]
        incoming, outgoing = (block_sums(start, e, k) for e in edges)
        prior = kernel.log_label_prior(values.concentration, N)
        for i in range(N):
            got = np.empty(k)
            kernel._log_conditional(
                i,
                np.bincount(np.delete(start, i), minlength=k),
                make_tables(**values.tables),
                prior,
                values.self_edge_log_density(),
                incoming,
                outgoing,
                got,
            )
            moves = [np.where(np.arange(N) == i, b, start) for b in range(k)]
            theirs = np.array([log_density(point | {labels.name: z}) for z in moves])
            np.testing.assert_allclose(got - got[0], theirs - theirs[0], atol=1e-8)


@pytest.mark.parametrize("parts", PARTS)
def test_step_runs_and_reports(parts):
    model = build(parts)
    with model:
        step = pg.BlockGibbs(rng=np.random.default_rng(0))
    point = random_point(model)
    if parts == "all fixed":  # one block to itself has every edge, the other way round has none
        point["block_labels"][:] = 0
    frozen = {name: value.copy() for name, value in point.items()}
    log_density = model.compile_logp(mode=INTERPRETED)
    for _ in range(30):
        new, [stats] = step.step(point)
        assert set(stats) == set(step.stats_dtypes_shapes)
        used = sum(np.unique(new[v.name]).size for v in step.vars)
        assert stats["blocks_used"] == used
        assert np.isfinite(log_density(new))
        for v in step.vars:
            assert new[v.name].dtype == point[v.name].dtype
    for name, value in frozen.items():  # on the parallel path the point is shared memory
        np.testing.assert_array_equal(point[name], value)


def test_separate_labels_of_the_weights_are_drawn_in_turn():
    model = build("labels apart")
    with model:
        step = pg.BlockGibbs()
        alone = pg.BlockGibbs([model["weight_block_labels"]])
    assert [v.name for v in step.vars] == ["block_labels", "weight_block_labels"]
    assert [v.name for v in alone.vars] == ["weight_block_labels"]


def test_pm_sample_would_choose_it():
    labels = build("shared")["block_labels"]
    assert pg.BlockGibbs.competence(labels) == 3
    assert pg.BlockGibbs.competence(build("shared")["adjacency"]) == 0


@pytest.mark.parametrize("module", [pickle, cloudpickle])
def test_travels_without_the_model_and_draws_the_same(module):
    counts = np.random.default_rng(0).integers(0, 2, (50_000, N))
    parts = {"edges": pg.BlockEdges(2), "weights": pg.BlockWeights()}
    messages = []
    for n_bins in (500, 50_000):
        model = pg.build_glm(counts[:n_bins], BASIS, **parts)
        with model:
            step = pg.BlockGibbs(rng=np.random.default_rng(3))
        messages.append(module.dumps(step))
    data = messages[1]
    assert len(data) - len(messages[0]) < 5000
    there = module.loads(data)
    point = random_point(model)
    for s in (step, there):
        s.setup_chain(np.random.default_rng(7), 10, 10)
    for _ in range(5):
        first, again = step.step(point)[0], there.step(point)[0]
        for name in point:
            np.testing.assert_array_equal(first[name], again[name])
        point = first


def test_sampling_state_is_the_generator():
    with build("edges only"):
        step = pg.BlockGibbs(rng=np.random.default_rng(3))
    saved = step.sampling_state
    first = step.rng.random()
    step.sampling_state = saved
    assert step.rng.random() == first


def _potential(model):
    pm.Potential("wish", pt.sum(model["block_labels"]) * 1.0)


def _stranger(model):
    pm.Normal("size", pt.sum(pt.eq(model["block_labels"], 0)))


def test_labels_used_by_something_else_are_refused():
    for add, name in ((_potential, "wish"), (_stranger, "size")):
        with build("shared") as model:
            add(model)
            with pytest.raises(ValueError, match=f"{name!r} depends on the labels"):
                pg.BlockGibbs()


def _block_model(gather):
    with pm.Model(coords={"post": range(4), "pre": range(4)}) as model:
        labels = BlockLabels("block_labels", np.ones(2), 4, dims="post")
        table = pm.Beta("table", 1, 1, shape=(2, 2))
        Edge("adjacency", gather(table, labels), dims=("post", "pre"))
    return model


def _flat(table, labels, first, second):
    return table.reshape((4,))[(labels[first] * 2 + labels[second]).reshape((-1,))].reshape((4, 4))


@pytest.mark.parametrize(
    "gather",
    [
        lambda t, z: _flat(t, z, np.s_[None, :], np.s_[:, None]),  # [block of pre, block of post]
        lambda t, z: _flat(t, z, np.s_[:, None], np.s_[None, :]) ** (1 + z[:, None]),
        lambda t, z: 0.5 * _flat(t, z, np.s_[:, None], np.s_[None, :]),
        lambda t, z: t[z[:, None], z[None, :]] * 1.0,
    ],
)
def test_another_use_of_the_tables_is_refused(gather):
    with (
        _block_model(gather),
        pytest.raises(ValueError, match="BlockGibbs only knows 'block_labels'"),
    ):
        pg.BlockGibbs()


def test_a_model_built_by_hand_is_understood():
    with _block_model(lambda t, z: _flat(t, z, np.s_[:, None], np.s_[None, :])):
        step = pg.BlockGibbs()
    assert [v.name for v in step.vars] == ["block_labels"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sweeps": 0}, "sweeps: got 0"),
        ({"sweeps": 1.5}, "sweeps: got 1.5"),
        ({"split_merges": -1}, "split_merges: got -1"),
    ],
)
def test_numbers_out_of_range(arguments, message):
    with build("edges only"), pytest.raises(ValueError, match=message):
        pg.BlockGibbs(**arguments)


def test_models_and_variables_without_labels():
    with build((pg.BernoulliEdges(), pg.GaussianWeights())):
        with pytest.raises(ValueError, match="no latent block labels"):
            pg.BlockGibbs()
    with (
        build("shared") as model,
        pytest.raises(ValueError, match=r"vars: got 'adjacency', .* latent"),
    ):
        pg.BlockGibbs([model["adjacency"]])
