"""Saved posteriors: files open with xarray, models are rebuilt, and chains continue."""

import json
import re

import numpy as np
import pandas as pd
import pymc as pm
import pytensor
import pytest
import xarray as xr
from pymc.blocking import PointType
from pymc.step_methods.compound import BlockedStep, Competence

import pymc_glm as pg
from helpers import joint
from helpers.drawn_tree import drawn_tree
from helpers.saved import assert_same_model, bare_tree
from helpers.softplus_observation import softplus_observation
from helpers.uncompiled import INTERPRETED, UNCOMPILED
from pymc_glm import recipe, saving
from pymc_glm.recipe import CannotStoreError, decode, encode, lines, read_recipe
from pymc_glm.sampling import continuing
from pymc_glm.sampling.continuing import last_points
from pymc_glm.saving import loading, rebuild

N, T = 4, 60
BASIS = pg.basis.raised_cosine(2, window=0.025, bin_width=0.005)
NAMES = ["a", "b", "c", "d"]
ONE_MORE = pg.basis.raised_cosine(1, window=0.025, bin_width=0.005)
FIXED = pg.GaussianWeights(0.0, 1.0, None, None)
QUIET = {"cores": 1, "progressbar": False, "quiet": True}


def counts_of(n_bins=T, names=NAMES, seed=0, **coords):
    values = np.random.default_rng(seed).integers(0, 2, (n_bins, len(names)))
    known = {"neuron": list(names), "time": 0.005 * np.arange(n_bins)} | coords
    return xr.DataArray(values, known, ("time", "neuron"), attrs={"bin_width": 0.005})


COUNTS = counts_of()


def again(model):
    """The model rebuilt from the tree of a model."""
    return rebuild(bare_tree(model))


# --- arguments as text ---------------------------------------------------------------------------

AWKWARD = [0.1, 1e-300, 2 / 3, -0.0, float("inf"), float("-inf"), float("nan")]


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        7,
        "learned",
        "\u00b5m \u2603\n\"'",
        [1, [2.5, "x"], None],
        (1, (2, 3)),
        {"a": 1, 3: (4,)},
        *AWKWARD,
        np.float32(0.1),
        np.int8(3),
        np.bool_(True),
        np.array(AWKWARD).reshape(7, 1),
        np.array([[0.1, 0.2]], dtype=np.float32),
        np.arange(6, dtype=np.uint16).reshape(2, 3),
        np.array([True, False]),
        np.array(["on", "\u00e9"]),
        np.array(["on", 1, None], dtype=object),
        np.empty((0, 2)),
        xr.DataArray(
            np.eye(2), {"post": ["a", "b"], "depth": ("pre", [0.1, 0.2])}, ("post", "pre")
        ),
        pd.Series([1.5, 2.5], index=["a", "b"]),
        pd.DataFrame([[1, 2], [3, 4]], index=["a", "b"], columns=["x", "y"]),
    ],
    ids=lambda value: f"{type(value).__name__}-{str(value)[:12]}".replace("\n", " "),
)
def test_values_come_back_exactly(value):
    text = json.dumps(encode(value, "x"), allow_nan=False)
    found = decode(json.loads(text), ())
    assert type(found) is type(value)
    if isinstance(value, np.ndarray):
        assert found.dtype == value.dtype
        assert found.tobytes() == value.tobytes() or value.dtype == object
        assert found.tolist() == value.tolist() or value.dtype.kind == "f"
    elif isinstance(value, xr.DataArray):
        xr.testing.assert_identical(found, value)
    elif isinstance(value, pd.Series | pd.DataFrame):
        assert found.equals(value)
        assert [list(axis) for axis in found.axes] == [list(axis) for axis in value.axes]
    else:
        assert repr(found) == repr(value)


PRIORS = {
    "beta": lambda: pm.Beta.dist(1, 9),
    "normal": lambda: pm.Normal.dist(-0.3, np.array([0.1, 2.0])),
    "precision": lambda: pm.Normal.dist(0.2, tau=3.0),
    "exponential": lambda: pm.Exponential.dist(3.7),
    "gamma": lambda: pm.Gamma.dist(mu=2.1, sigma=0.7, shape=2),
    "log-normal": lambda: pm.LogNormal.dist(-0.7, 0.5, shape=(2, 1)),
    "half-normal": lambda: pm.HalfNormal.dist(1.3),
    "half-Cauchy": lambda: pm.HalfCauchy.dist(0.4),
    "half-t": lambda: pm.HalfStudentT.dist(3.0, 0.7),
    "t": lambda: pm.StudentT.dist(3, mu=1, sigma=[0.1, 0.2]),
    "inverse gamma": lambda: pm.InverseGamma.dist(2, 1.5),
    "Dirichlet": lambda: pm.Dirichlet.dist([0.5, 1.5]),
    "uniform": lambda: pm.Uniform.dist(-1, 4),
    "truncated normal": lambda: pm.TruncatedNormal.dist(0.1, 1, lower=0),
    "flat": lambda: pm.Flat.dist(),
    "matrix": lambda: pm.MvNormal.dist(np.zeros(2), np.array([[1.0, 0.3], [0.3, 2.0]])),
}


@pytest.mark.parametrize("make", PRIORS.values(), ids=PRIORS)
def test_priors_have_the_same_density(make):
    given = make()
    found = decode(json.loads(json.dumps(encode(given, "x"))), ())
    assert found.name is None
    assert type(found.owner.op) is type(given.owner.op)
    assert found.type.ndim == given.type.ndim
    value = np.random.default_rng(1).dirichlet([2.0, 3.0])
    value = value if given.type.ndim == 1 else value[:, None] if given.type.ndim else value[0]
    one, two = (pm.logp(rv, value).eval(mode=INTERPRETED) for rv in (given, found))
    assert np.isfinite(one).all()
    np.testing.assert_allclose(two, one, rtol=1e-12)


BAD_PRIORS = {
    "truncated": lambda: pm.Truncated.dist(pm.StudentT.dist(3), lower=0),
    "mixture": lambda: pm.NormalMixture.dist([0.5, 0.5], [0, 1], 1),
    "expression": lambda: 2 * pm.Normal.dist(0, 1),
    "shared value": lambda: pm.Normal.dist(pytensor.shared(0.5), 1),
    "of a prior": lambda: pm.Normal.dist(pm.Normal.dist(0, 1), 1),
    "function": lambda: len,
    "object": lambda: object(),
    "complex": lambda: np.array([1j]),
}


@pytest.mark.parametrize("make", BAD_PRIORS.values(), ids=BAD_PRIORS)
def test_values_that_json_cannot_hold_are_refused(make):
    with pytest.raises(CannotStoreError) as caught:
        encode([1, {"k": make()}], "edges")
    assert caught.value.where == "edges[1]['k']"


def test_decoding_imports_and_runs_nothing():
    """Names in a file are looked up only among classes of four kinds."""
    for name, module in (("Popen", "subprocess"), ("Model", "pymc"), ("system", "os")):
        part = {"part": {"class": name, "module": module, "fields": {"args": "ls"}}}
        with pytest.raises(LookupError, match=name):
            decode(part, (pg.Observation,))
    prior = {"prior": {"distribution": "eval", "parameters": [], "size": None}}
    with pytest.raises(LookupError, match="eval"):
        decode(prior, ())


# --- models rebuilt ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("edges", "weights"),
    [
        pytest.param(*names, marks=[] if names in joint.COVERING else pytest.mark.slow)
        for names in joint.COMBINATIONS
    ],
)
def test_every_combination_is_rebuilt(edges, weights):
    n_basis = joint.n_basis_of(edges, weights)
    model = joint.make_model(T, n_basis, *joint.parts(edges, weights))
    assert_same_model(model, again(model))


FEATURES = xr.DataArray(
    np.arange(16.0).reshape(4, 4), {"post": NAMES[::-1], "pre": NAMES}, ("post", "pre")
)
PLACE = {"d": (0.0, 1.0), "a": (1.0, 3.0), "b": (2.5, 0.1), "c": (0.3, 0.3)}
MODELS = {
    "defaults": {},
    "binomial": {"observation": pg.Binomial(3)},
    "negative binomial": {"observation": pg.NegativeBinomial(pm.Gamma.dist(3, 2))},
    "fixed dispersion": {"observation": pg.NegativeBinomial(np.array([1.0, 2.0, 3.0, 4.5]))},
    "poisson": {"observation": "poisson", "bias_rate": np.array([1.0, 2.0, 3.0, 40.0])},
    "gaussian": {"observation": pg.Gaussian(pm.InverseGamma.dist(3, 2)), "edges": pg.DenseEdges()},
    "labels by name": {
        "edges": pg.BlockEdges(labels={"d": "x", "a": "y", "b": "x", "c": "x"}),
        "weights": pg.BlockWeights(2, share_labels=False),
    },
    "labels in order": {"edges": pg.BlockEdges(labels=[2, 1, 1, 2]), "weights": pg.BlockWeights()},
    "positions by name": {
        "edges": pg.DistanceEdges(positions=pd.DataFrame(PLACE).T),
        "weights": pg.DistanceWeights(positions=PLACE),
    },
    "positions": {"edges": pg.DistanceEdges(positions=np.arange(8.0).reshape(4, 2) ** 0.5)},
    "features": {
        "edges": pg.FeatureEdges({"layer": FEATURES, "side": np.eye(4)[::-1]}),
        "weights": pg.FeatureWeights(FEATURES.expand_dims(feature=["rank"], axis=-1)),
    },
    "fixed": {
        "edges": pg.BernoulliEdges(np.full((4, 4), 1 / 3), None),
        "weights": pg.GaussianWeights([0.1, 0.2], np.array([[1.0, 0.1], [0.1, 2.0]]), None, None),
        "bias": pm.Normal.dist(np.array([-1.0, -2.0, -3.0, -4.0]), 0.7),
    },
}


@pytest.mark.parametrize("arguments", MODELS.values(), ids=MODELS)
def test_models_are_rebuilt(arguments):
    counts = COUNTS
    if isinstance(arguments.get("observation"), pg.Gaussian):
        values = np.random.default_rng(2).normal(size=COUNTS.shape)
        counts = COUNTS.copy(data=(values - values.mean(0)) / values.std(0))
    model = pg.build_glm(counts, BASIS, **arguments)
    assert_same_model(model, again(model))


def test_all_data_are_restored():
    """Trials, gaps, excluded bins, positions and covariates."""
    place = {"position_x": ("neuron", [1.0, 2, 3, 4]), "position_y": ("neuron", [0.0, 0, 9, 9])}
    trial = ("time", np.repeat([0, 1], T // 2))
    time = 0.005 * np.arange(T)
    time[40:] += 3.0
    counts = counts_of(trial=trial, time=time, **place)
    seen = np.random.default_rng(3).normal(size=(T, 2))
    model = pg.build_glm(
        counts,
        BASIS,
        covariates=xr.DataArray(seen, dims=("time", "covariate"), coords={"covariate": ["s", "v"]}),
        covariate_prior=pg.CovariatePrior(pm.Normal.dist(0, [0.5, 2.0]), 0.5),
        exclude=[(0.021, 0.034)],
        unknown_history="exclude",
    )
    assert model["segment_start"].get_value().tolist() == [0, 30, 40]
    assert len(model.coords["observed_time"]) < T - 3 * 5
    assert_same_model(model, again(model))


SESSIONS = {"monday": COUNTS, "tuesday": counts_of(50, ["k", "l", "m"], 1)}


@pytest.mark.parametrize(
    "arguments",
    [
        {"edges": pg.BlockEdges(2, pm.Beta.dist(1, 3)), "weights": pg.BlockWeights()},
        {
            "edges": {
                "monday": pg.BlockEdges(labels=["x", "y", "x", "x"]),
                "tuesday": pg.BlockEdges(labels={"m": "y", "k": "x", "l": "x"}),
            },
            "observation": "poisson",
            "bias_rate": {"monday": 3.0, "tuesday": np.array([1.0, 2.0, 3.0])},
            "covariates": {"monday": np.eye(T, 1), "tuesday": np.arange(50.0)[:, None]},
            "covariate_prior": pg.CovariatePrior(0.0, 1.0),
            "exclude": {"monday": None, "tuesday": [(0.0, 0.02)]},
        },
        {"share": "weights", "exclude": {"monday": [(0.0, 0.02)], "tuesday": None}},
    ],
    ids=["shared prior", "arguments of each", "one network"],
)
@pytest.mark.filterwarnings("ignore:covariates. ")
def test_sessions_are_rebuilt(arguments):
    sessions = SESSIONS
    if "share" in arguments:
        sessions = SESSIONS | {"tuesday": counts_of(50, NAMES[::-1], 1)}
    model = pg.build_glm(sessions, BASIS, **arguments)
    tree = bare_tree(model)
    assert_same_model(model, rebuild(tree))
    if "share" not in arguments:
        with pytest.raises(ValueError, match=r"\['monday', 'tuesday'\], but it holds only one"):
            rebuild(pg.session(tree, "monday"))


def test_custom_observation_models_and_priors():
    class Halved(pg.GaussianWeights):
        def slab(self, n_neurons, units):
            made = super().slab(n_neurons, units)
            return made._replace(mean=made.mean / 2)

    with softplus_observation() as observation:
        model = pg.build_glm(COUNTS, BASIS, observation=observation(), weights=Halved(mean=0.3))
        tree = bare_tree(model)
        assert_same_model(model, rebuild(tree))
        Halved.__name__ = "Other"
        with pytest.raises(
            ValueError, match=r"class 'Halved' of 'test_saving'.*run its definition"
        ):
            rebuild(tree)


def test_arguments_that_cannot_be_stored_only_prevent_loading(tmp_path):
    prior = pm.Truncated.dist(pm.StudentT.dist(3), lower=0, upper=4)
    model = pg.build_glm(COUNTS, BASIS, weights=pg.GaussianWeights(self_mean=prior))
    path = pg.save(bare_tree(model), tmp_path / "posterior.nc")
    wanted = r"posterior.nc: the argument weights.self_mean of build_glm .* TruncatedRV, not a "
    with pytest.raises(ValueError, match=wanted + r".*build_glm; xarray.open_datatree reads"):
        pg.load(path)


def test_the_recipe_is_lines_of_json():
    """Long arguments are split into lines."""
    many = np.zeros((N, N))
    many[0, 1:] = 1 / 3
    model = pg.build_glm(COUNTS, BASIS, edges=pg.FeatureEdges({str(i): many for i in range(9)}))
    written = model.coords["recipe_line"]
    assert max(map(len, written)) == 1000
    assert model["recipe"].get_value().tolist() == [len(line) for line in written]
    assert json.loads("".join(written))["version"] == recipe.PACKAGE_VERSION == pg.__version__
    assert set(read_recipe(model).arguments) == {
        "edges", "weights", "observation", "bias", "bias_rate", "covariate_prior", "shared_input",
        "self_prior",
    }  # fmt: skip
    assert_same_model(model, again(model))


# --- files ---------------------------------------------------------------------------------------


def build(counts, probability=0.3):
    """A model that compiles fast."""
    edges = pg.BlockEdges(2, probability, pm.Beta.dist(1, 2))
    return pg.build_glm(counts, ONE_MORE, edges=edges, weights=FIXED)


@pytest.fixture(scope="module")
def model():
    return build(counts_of(200))


@pytest.fixture(scope="module")
def tree(model):
    return pg.sample(20, 20, chains=2, model=model, random_seed=1, **QUIET)


@pytest.fixture(scope="module")
def path(tree, tmp_path_factory):
    return pg.save(tree, tmp_path_factory.mktemp("fit") / "posterior.nc")


@pytest.fixture(scope="module")
def fit(path):
    return pg.load(path)


def assert_same_tree(one, other):
    assert set(one.children) == set(other.children)
    for name in one.children:
        given, found = one[name].to_dataset(), other[name].to_dataset()
        xr.testing.assert_equal(given, found)
        for key, values in given.data_vars.items():
            assert values.dtype == found[key].dtype, key


def test_xarray_alone_opens_the_file(tree, path):
    with xr.open_datatree(path) as opened:
        assert_same_tree(tree, opened)
        assert opened["posterior"]["adjacency"].dtype == np.int8
        assert opened["posterior"].attrs == tree["posterior"].attrs
        assert opened.attrs["pymc_glm_version"] == pg.__version__
        assert re.fullmatch(r"20\d\d-\d\d-\d\dT[\d:]{8}\+00:00", opened.attrs["created"])
    assert "data_hash" not in tree.attrs
    assert [file.name for file in path.parent.iterdir()] == ["posterior.nc"]


def test_load_returns_tree_and_model(tree, model, fit, path):
    assert isinstance(fit, pg.Fit)
    assert_same_tree(tree, fit.tree)
    assert fit.tree["constant_data"]["post"].dtype == tree["constant_data"]["post"].dtype
    assert_same_model(model, fit.model)
    path.rename(path.with_suffix(".moved")).rename(path)  # the file is closed
    assert not any(v._in_memory is False for v in fit.tree["posterior"].variables.values())


def test_bools_and_texts_keep_their_types(tree, tmp_path):
    posterior = tree["posterior"].to_dataset()
    said = xr.DataArray(np.array([["yes"] * 20, ["n\u00f3"] * 20]), dims=("chain", "draw"))
    there = (posterior["adjacency"] == 1).rename("there")
    more = tree.copy()
    more["posterior"] = xr.DataTree(posterior.assign(said=said, there=there))
    found = pg.load(pg.save(more, tmp_path / "x.nc")).tree["posterior"]
    assert found["said"].dtype == said.dtype
    assert found["there"].dtype == bool
    xr.testing.assert_equal(found["said"].variable, said.variable)


def test_a_loaded_tree_is_saved_again(fit, tmp_path):
    thinned = fit.tree.copy()
    thinned["posterior"] = xr.DataTree(fit.tree["posterior"].to_dataset().isel(draw=slice(0, 3)))
    found = pg.load(pg.save(thinned, tmp_path / "thinned.nc"))
    assert found.tree["posterior"].sizes["draw"] == 3
    assert found.tree.attrs["data_hash"] == fit.tree.attrs["data_hash"]


def test_plain_netcdf_is_loaded_too(tree, tmp_path):
    """A file that xarray wrote has the recipe but no hash."""
    tree.to_netcdf(tmp_path / "plain.nc", engine="h5netcdf")
    assert_same_tree(tree, pg.load(tmp_path / "plain.nc").tree)


def test_an_incomplete_file_does_not_replace_another(tree, path, monkeypatch):
    before = path.read_bytes()

    def stop(self, target, **kwargs):
        target.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(xr.DataTree, "to_netcdf", stop)
    with pytest.raises(KeyboardInterrupt):
        pg.save(tree, path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["posterior.nc"]


def test_what_cannot_be_saved_is_refused(tree, tmp_path):
    with pytest.raises(TypeError, match="tree: got Dataset"):
        pg.save(tree["posterior"].to_dataset(), tmp_path / "x.nc")
    with pytest.raises(ValueError, match=r"no group 'posterior', only \['prior'\]"):
        pg.save(xr.DataTree.from_dict({"prior": xr.Dataset()}), tmp_path / "x.nc")
    with pytest.raises(FileNotFoundError, match=r"path: there is no folder.*create it first"):
        pg.save(tree, tmp_path / "nowhere" / "x.nc")
    odd = tree.copy()
    odd["posterior"] = xr.DataTree(tree["posterior"].to_dataset().assign(odd=("k", [{}])))
    with pytest.raises(ValueError, match="tree: netCDF cannot store all of it"):
        pg.save(odd, tmp_path / "x.nc")
    assert not list(tmp_path.iterdir())


def changed(tree, **variables):
    """A tree with other constant data, as in a file edited by hand."""
    other = tree.copy()
    other["constant_data"] = xr.DataTree(tree["constant_data"].to_dataset().assign(**variables))
    return other


def test_changed_data_are_refused(fit, tmp_path):
    counts = fit.tree["constant_data"]["counts"]
    for name, other in {
        "value": {"counts": counts.where(counts.time > 0, 1 - counts).astype(counts.dtype)},
        "label": {"post": list("abce")},
        "time": {"time": fit.tree["constant_data"]["time"] + 0.001},
        "prior": {"recipe_line": [line.replace("Beta", "Uniform")
                  for line in fit.tree["constant_data"]["recipe_line"].values]},
    }.items():  # fmt: skip
        path = tmp_path / f"{name}.nc"
        changed(fit.tree, **other).to_netcdf(path, engine="h5netcdf")
        with pytest.raises(
            ValueError, match=rf"{name}.nc were changed after.*xarray.open_datatree"
        ):
            pg.load(path)


def test_a_damaged_file_is_refused(path, tmp_path):
    whole = path.read_bytes()
    broken = tmp_path / "broken.nc"
    for content in (b"", b"no netCDF", whole[: len(whole) // 2]):
        broken.write_bytes(content)
        with pytest.raises(ValueError, match=r"broken.nc cannot be read as netCDF-4 \(.*damaged"):
            pg.load(broken)
    with pytest.raises(FileNotFoundError, match=r"there is no file .*none.nc"):
        pg.load(tmp_path / "none.nc")
    xr.DataTree.from_dict({"prior": xr.Dataset()}).to_netcdf(broken, engine="h5netcdf")
    with pytest.raises(ValueError, match=r"has the groups \['prior'\], but a posterior has"):
        pg.load(broken)


def test_a_file_with_a_flipped_bit_is_refused(tree, path, tmp_path):
    """Every block has a checksum; the flipped bit is in the draws of the weights."""
    import h5py

    with h5py.File(path) as file:
        block = file["posterior/weights"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[block.byte_offset + block.size // 2] ^= 1
    broken = tmp_path / "broken.nc"
    broken.write_bytes(content)
    with pytest.raises(ValueError, match=r"broken.nc cannot be read"):
        pg.load(broken)


def test_a_file_without_a_recipe_is_refused(tree, tmp_path):
    data = tree["constant_data"].to_dataset().drop_vars(["recipe", "recipe_line"])
    older = tree.copy()
    older["constant_data"] = xr.DataTree(data)
    path = pg.save(older, tmp_path / "older.nc")
    with pytest.raises(ValueError, match=r"older.nc: it does not record how its model was built"):
        pg.load(path)


def test_a_file_of_another_version_warns(model, tmp_path, monkeypatch):
    """Both the version that built the model and the one that wrote the file count."""
    monkeypatch.setattr(lines, "PACKAGE_VERSION", "0.0.3")
    tree = bare_tree(pg.build_glm(COUNTS, BASIS))
    unlike = tree.copy()
    renamed = tree["posterior"].to_dataset().rename(edge_probability="rho")
    unlike["posterior"] = xr.DataTree(renamed)
    monkeypatch.setattr(saving.files, "PACKAGE_VERSION", "0.0.4")
    path, other = pg.save(tree, tmp_path / "x.nc"), pg.save(unlike, tmp_path / "y.nc")
    note = rf"is from pymc_glm 0.0.3 and 0.0.4, this is {re.escape(pg.__version__)}\."
    with pytest.warns(UserWarning, match=f"{note} Default priors may have changed"):
        pg.load(path)
    wanted = r"it has the variables \['edge_probability'\], but the posterior has \['rho'\]"
    with pytest.raises(ValueError, match=f"{wanted}.*{note}"):
        pg.load(other)
    monkeypatch.setattr(loading, "PACKAGE_VERSION", "0.0.3")
    with pytest.warns(UserWarning, match="is from pymc_glm 0.0.4, this is 0.0.3"):
        pg.load(path)


# --- continuing ----------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:loo. Pareto k is above")
@pytest.mark.filterwarnings("ignore:parameters. .* the network may run away")
def test_a_loaded_fit_gives_the_same_results(tree, model, fit):
    """The loaded tree and model give the same numbers as those that were saved."""
    later = counts_of(100, seed=5)
    found = []
    for t, m in ((tree, model), fit):
        network = pg.NetworkParameters.from_draw(t, chain=1, draw=3)
        with m:
            replicated = pm.sample_posterior_predictive(
                t.isel(draw=[0, 1]), random_seed=1, progressbar=False,
                compile_kwargs=UNCOMPILED,
            )  # fmt: skip
        found.append(
            [
                pg.simulate(network, 50, random_seed=1).values,
                pg.heldout_score(t, m, later, block_width=0.1).bits_per_spike,
                pg.loo(t, m).elpd,
                pg.predicted_rates(t, random_seed=1).to_dataarray().values,
                replicated["posterior_predictive"]["spikes"].values,
            ]
        )
    for one, two in zip(*found, strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-10)


class Stay(BlockedStep):
    """A step that moves nothing."""

    name = "stay"

    def __init__(self, vars, model=None, **kwargs):
        self.vars = vars

    def step(self, point: PointType):
        return point, [{}]

    @staticmethod
    def competence(var, has_grad):
        return Competence.INCOMPATIBLE


def test_chains_start_where_they_ended():
    """For edges, block labels, positions and transformed hyperparameters."""
    parts = joint.parts("block", "distance")
    model = joint.make_model(T, 1, *parts, observation=pg.NegativeBinomial())
    tree = drawn_tree(model, draws=5, chains=2)
    with model:
        step = Stay(model.value_vars)
    run = {"random_seed": 2, "step": step, "report": False} | QUIET
    more = pg.sample_more(tree, model, 3, 0, **run)
    assert set(more.children) == set(tree.children)
    free = {rv.name for rv in model.free_RVs}
    assert free >= {"block_labels", "latent_positions", "edge_probability", "dispersion"}
    for name in free:
        last = tree["posterior"][name].isel(draw=-1)
        assert not last.isel(chain=0).equals(last.isel(chain=1))
        for draw in (5, 6, 7):
            found = more["posterior"][name].sel(draw=draw)
            np.testing.assert_allclose(found, last, rtol=1e-9, atol=1e-12)
    assert last_points(more, model)[1].keys() == free


def test_more_draws_follow_the_old_ones(tree, fit):
    with_likelihood = fit.tree.copy()
    stale = xr.Dataset({"spikes": (("chain", "draw"), np.zeros((2, 20)))})
    with_likelihood["log_likelihood"] = xr.DataTree(stale)
    options = {"random_seed": 3, "report": False} | QUIET
    more = pg.sample_more(with_likelihood, fit.model, 15, 10, **options)
    assert set(more.children) == set(tree.children)
    for group in ("posterior", "sample_stats"):
        old, joined = tree[group].to_dataset(), more[group].to_dataset()
        assert set(old.data_vars) == set(joined.data_vars)
        assert joined.draw.values.tolist() == list(range(35))
        for name, values in old.data_vars.items():
            assert (joined[name].dtype, joined[name].dims) == (values.dtype, values.dims)
        xr.testing.assert_equal(joined.isel(draw=slice(0, 20)), old)
    for group in ("constant_data", "observed_data"):
        xr.testing.assert_identical(more[group].to_dataset(), fit.tree[group].to_dataset())
    assert more.attrs == fit.tree.attrs
    assert (more["posterior"]["bias"].diff("draw") != 0).any("post").all()
    assert pg.convergence_report(more).text
    same = pg.sample_more(tree, fit.model, 15, 10, **options)
    xr.testing.assert_equal(same["posterior"].to_dataset(), more["posterior"].to_dataset())
    other = pg.sample_more(tree, fit.model, 15, 10, **options | {"random_seed": 4})
    assert not other["posterior"]["bias"].equals(more["posterior"]["bias"])


def test_structure_is_sampled_from_the_first_iteration(tree, model, monkeypatch):
    seen = []

    def spy(*args, step, **kwargs):
        seen.extend(each.gradual for each in continuing.network_steps(step))
        return tree

    monkeypatch.setattr(continuing, "sample", spy)
    pg.sample_more(tree, model, 2, 1, random_seed=1, report=False, **QUIET)
    assert seen == [False, False]
    with model:
        step = pg.EdgeMetropolis(threads=1)
    assert step.gradual


def test_sessions_continue(tmp_path):
    model = pg.build_glm(SESSIONS, ONE_MORE, edges=pg.BernoulliEdges(0.3, 0.5), weights=FIXED)
    tree = pg.sample(5, 5, chains=1, model=model, random_seed=1, **QUIET)
    again = pg.load(pg.save(tree, tmp_path / "x.nc"))
    more = pg.sample_more(*again, 4, 2, random_seed=1, **QUIET)
    assert more["posterior"]["tuesday::weights"].sizes["draw"] == 9
    assert pg.session(more, "monday")["posterior"]["bias"].shape == (1, 9, 4)
    other = pg.build_glm(SESSIONS | {"monday": 1 - COUNTS}, ONE_MORE,
                         edges=pg.BernoulliEdges(0.3, 0.5), weights=FIXED)  # fmt: skip
    with pytest.raises(ValueError, match="in its monday::counts"):
        pg.sample_more(tree, other)


def test_what_cannot_continue_is_refused(tree, model):
    with pytest.raises(TypeError, match="model: got NoneType"):
        pg.sample_more(tree, None)
    with pytest.raises(TypeError, match="tree: got Dataset"):
        pg.sample_more(tree["posterior"].to_dataset(), model)
    with pytest.raises(TypeError, match="chains: sample_more takes this from the tree"):
        pg.sample_more(tree, model, chains=3)
    for draws in (0, True):
        with pytest.raises(ValueError, match=f"draws: got {draws}"):
            pg.sample_more(tree, model, draws)
    with pytest.raises(ValueError, match="random_seed: got -1"):
        pg.sample_more(tree, model, random_seed=-1)
    with pytest.raises(ValueError, match="in its argument edges"):
        pg.sample_more(tree, build(counts_of(200), 0.4))
    with pytest.raises(ValueError, match="differs from the one that was sampled in its counts"):
        pg.sample_more(tree, build(1 - counts_of(200)))
    short = tree.copy()
    short["posterior"] = xr.DataTree(tree["posterior"].to_dataset().drop_vars("block_labels"))
    with pytest.raises(ValueError, match=r"the tree lacks its \['block_labels'\]"):
        pg.sample_more(short, model)
