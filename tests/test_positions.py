import arviz as az
import numpy as np
import pytest
import xarray as xr
from scipy.spatial import procrustes
from scipy.spatial.distance import pdist, squareform
from scipy.stats import spearmanr

import pymc_glm as pg
from helpers.structured_tree import position_tree, random_turns, with_variables, without
from helpers.synthetic_tree import example, tree_of
from pymc_glm.criticism.structure.procrustes import aligned, similarity


@pytest.fixture(scope="module")
def place():
    return np.random.default_rng(1).normal(size=(10, 2)) * [1.5, 0.7]


@pytest.fixture(scope="module")
def tree(place):
    return position_tree(place, noise=0.1, n_draws=200)


def flat(text):
    return text.replace("\n  ", " ")


# Alignment


@pytest.mark.parametrize("n_dims", [1, 2, 3])
def test_one_configuration_rotated_at_random_has_no_spread(n_dims):
    place = np.random.default_rng(2).normal(size=(8, n_dims))
    found = pg.align_positions(position_tree(place, n_draws=50))
    assert isinstance(found, pg.AlignedPositions)
    assert found.positions.dims == ("chain", "draw", "post", "latent_dim")
    np.testing.assert_allclose(found.positions, found.mean.expand_dims(chain=4, draw=50),
                               atol=1e-12)  # fmt: skip
    np.testing.assert_allclose(found.covariance, 0, atol=1e-20)
    np.testing.assert_allclose(pdist(found.mean), pdist(place))
    np.testing.assert_allclose(found.mean.mean("post"), 0, atol=1e-12)


def test_the_mean_lies_along_its_principal_axes(tree):
    mean = pg.align_positions(tree).mean.values
    inertia = mean.T @ mean
    assert abs(inertia[0, 1]) < 1e-9 * inertia[0, 0]
    assert inertia[0, 0] > inertia[1, 1]
    for axis in mean.T:
        assert axis[np.abs(axis).argmax()] > 0


def test_the_original_rotation_of_draws_does_not_matter(place):
    rng = np.random.default_rng(3)
    draws = place + 0.2 * rng.normal(size=(60, 10, 2))
    rotated = draws @ random_turns(rng, (60,), 2) + rng.normal(size=(60, 1, 2))
    np.testing.assert_allclose(aligned(rotated), aligned(draws), atol=1e-6)


def test_alignment_removes_only_rotations_and_shifts(place):
    # Of N d coordinates with noise of variance s^2, Procrustes removes d for shifts and
    # d (d - 1) / 2 for rotations, and leaves the others (to first order in s).
    noise = 0.02
    found = pg.align_positions(position_tree(place, noise=noise, n_draws=1000))
    n, d = place.shape
    expected = noise**2 * (n * d - d - d * (d - 1) / 2)
    total = np.trace(found.covariance.values, axis1=1, axis2=2).sum()
    assert total == pytest.approx(expected, rel=0.03)  # 68000 normal deviates: 0.5%


def test_no_rotation_brings_a_draw_nearer_to_the_mean(tree):
    found = pg.align_positions(tree)
    mean = found.mean.values
    for draw in found.positions.values[1, :20]:
        at = ((draw - mean) ** 2).sum()
        for angle in (-1e-3, 1e-3):
            c, s = np.cos(angle), np.sin(angle)
            assert ((draw @ np.array([[c, -s], [s, c]]) - mean) ** 2).sum() >= at - 1e-6 * at
        assert ((draw * [1, -1] - mean) ** 2).sum() >= at


def test_covariance_of_every_neuron(tree):
    found = pg.align_positions(tree)
    draws = found.positions.values.reshape(-1, 10, 2)
    for n in (0, 7):
        np.testing.assert_allclose(found.covariance[n], np.cov(draws[:, n].T), rtol=1e-10)
    assert found.covariance.dims == ("post", "latent_dim", "latent_dim_other")


def test_distances_need_no_alignment(tree):
    found = pg.align_positions(tree)
    raw = tree["posterior"]["latent_positions"].values
    distances = np.linalg.norm(raw[:, :, :, None] - raw[:, :, None], axis=-1)
    np.testing.assert_allclose(found.distances["mean"], distances.mean(axis=(0, 1)), atol=1e-12)
    np.testing.assert_allclose(
        found.distances["sd"], distances.reshape(-1, 10, 10).std(axis=0, ddof=1), atol=1e-12
    )
    one = xr.DataArray(distances[:, :, 2, 5], dims=("chain", "draw"))
    here = found.distances.sel(post="n5", other="n2")
    assert float(here["r_hat"]) == pytest.approx(float(az.rhat(one, method="split")))
    assert float(here["ess"]) == pytest.approx(float(az.ess(one, method="mean")))
    assert np.isnan(np.diag(found.distances["r_hat"])).all()


# Reference


def test_a_known_similarity_is_recovered(place):
    turn = random_turns(np.random.default_rng(4), (), 2)
    target = 30 * place @ turn + [5.0, -200.0]
    found = similarity(place, target)
    assert found.scale == pytest.approx(30)
    np.testing.assert_allclose(found.points(place), target)
    covariance = np.array([[2.0, 0.5], [0.5, 1.0]])
    np.testing.assert_allclose(found.covariances(covariance), 900 * turn.T @ covariance @ turn)


def test_exact_positions_are_mapped_onto_the_reference(place):
    reference = 150 * place[:, ::-1] + 1000
    found = pg.align_positions(position_tree(place, n_draws=20), reference)
    np.testing.assert_allclose(found.correlation, 1)
    np.testing.assert_allclose(found.distance_correlation, 1)
    np.testing.assert_allclose(found.reference_mean, reference)
    assert found.reference_scale == pytest.approx(150)


@pytest.mark.parametrize("n_dims", [1, 2, 3])
def test_correlations_against_their_definitions(tree, n_dims):
    reference = np.random.default_rng(5).normal(size=(10, n_dims))
    found = pg.align_positions(tree, reference)
    assert found.correlation.dims == ("chain", "draw")
    assert found.reference_mean.shape == (10, n_dims)
    raw = tree["posterior"]["latent_positions"].values

    def padded(points):
        return np.pad(points, [(0, 0), (0, 3 - points.shape[1])])

    for chain, draw in [(0, 0), (2, 50), (3, 199)]:
        # Extra dimensions of zeros change nothing.
        disparity = procrustes(padded(reference), padded(raw[chain, draw]))[2]
        here = float(found.correlation[chain, draw])
        assert here == pytest.approx(np.sqrt(1 - disparity))
        rank = spearmanr(pdist(raw[chain, draw]), pdist(reference)).statistic
        assert float(found.distance_correlation[chain, draw]) == pytest.approx(rank)


def test_no_similarity_brings_the_mean_nearer_to_the_reference(tree):
    rng = np.random.default_rng(6)
    reference = rng.normal(size=(10, 2)) * 40
    found = pg.align_positions(tree, reference)
    mean = found.reference_mean.values
    at = ((mean - reference) ** 2).sum()
    np.testing.assert_allclose(mean.mean(axis=0), reference.mean(axis=0))
    for _ in range(200):
        scale, angle = rng.normal(1, 0.02), rng.normal(0, 0.02)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        moved = scale * mean @ turn + rng.normal(0, 1, 2)
        assert ((moved - reference) ** 2).sum() >= at
    assert ((mean * [1, -1] - reference) ** 2).sum() >= at


def test_covariance_is_in_the_units_of_the_reference(place):
    tree = position_tree(place, noise=0.05, n_draws=300)
    found = pg.align_positions(tree, 200 * place)
    trace = np.trace(found.covariance.values, axis1=1, axis2=2)
    in_reference = np.trace(found.reference_covariance.values, axis1=1, axis2=2)
    np.testing.assert_allclose(in_reference, found.reference_scale**2 * trace)
    assert found.reference_scale == pytest.approx(200, rel=0.02)


def test_a_line_within_the_plane_of_the_reference():
    line = np.array([[-2.0], [-1.0], [0.5], [2.5]])
    reference = 10 * line @ np.array([[0.6, 0.8]]) + [3.0, 4.0]
    found = pg.align_positions(position_tree(line, n_draws=10), reference)
    np.testing.assert_allclose(found.reference_mean, reference)
    np.testing.assert_allclose(found.correlation, 1)
    of_plane = pg.align_positions(position_tree(reference, n_draws=10), line[:, 0])
    np.testing.assert_allclose(of_plane.reference_mean, line, atol=1e-12)


def test_shuffled_neurons_correlate_less(tree, place):
    right = pg.align_positions(tree, place).correlation
    wrong = pg.align_positions(tree, place[::-1]).correlation
    assert float(right.min()) > 0.95 > float(wrong.max())


@pytest.mark.parametrize("kind", ["array", "mapping", "DataArray"])
def test_reference_in_every_form(tree, place, kind):
    order = np.random.default_rng(7).permutation(10)
    names = [f"n{i}" for i in order]
    reference = {
        "array": place,
        "mapping": dict(zip(names, place[order], strict=True)),
        "DataArray": xr.DataArray(
            place[order].T,
            {"neuron": names, "axis": ["AP", "DV"]},
            ("axis", "neuron"),
            attrs={"units": "mm"},
        ),
    }[kind]
    found = pg.align_positions(tree, reference)
    np.testing.assert_array_equal(found.reference, place)
    expected = (["AP", "DV"], "mm") if kind == "DataArray" else (["x", "y"], None)
    assert (list(found.reference["space"].values), found.reference.attrs.get("units")) == expected
    assert list(found.reference["post"].values) == [f"n{i}" for i in range(10)]


def test_electrode_positions_in_the_tree_as_reference(place):
    electrodes = 100 * place + 500
    found = pg.align_positions(position_tree(place, position=electrodes), reference="position")
    np.testing.assert_array_equal(found.reference, electrodes)
    assert found.reference.attrs["units"] == "um"
    assert float(found.correlation.min()) == pytest.approx(1)
    assert "One latent unit is 100 um" in flat(found.text)


@pytest.mark.parametrize(
    ("reference", "error", "message"),
    [
        ("electrodes", ValueError, "reference: got 'electrodes', allowed are 'position'"),
        ("position", ValueError, "reference: 'position' means the electrode positions.*none"),
        (np.zeros((3, 2)), ValueError, r"reference: got the shape \(3, 2\).*10 neurons"),
        (np.zeros((10, 2, 2)), ValueError, r"reference: got the shape \(10, 2, 2\)"),
        (np.zeros((10, 2)), ValueError, "reference: all neurons are at the same position"),
        ({f"n{i}": [0, 1] for i in range(9)}, ValueError, r"missing neurons \['n9'\]"),
        ({f"m{i}": [0, 1] for i in range(10)}, ValueError, r"unknown neurons \['m0'"),
        ({f"n{i}": [0] * (1 + i) for i in range(10)}, ValueError, "reference: .*different lengths"),
        ([["a", "b"]] * 10, TypeError, r"reference: got list, allowed are numbers"),
        ([[0, 1]] * 9 + [[np.inf, 0]], ValueError, r"neuron 'n9' is \[inf, 0.0\]"),
    ],
)
def test_wrong_references(tree, reference, error, message):
    with pytest.raises(error, match=message):
        pg.align_positions(tree, reference)


# Trees


def test_separate_positions_of_the_weights(tree, place):
    of_weights = position_tree(place[::-1], n_draws=200)["posterior"]["latent_positions"].values
    both = with_variables(tree, weight_latent_positions=(("post", "weight_latent_dim"), of_weights))
    found = pg.align_positions(both, positions="weight_latent_positions")
    np.testing.assert_allclose(pdist(found.mean), pdist(place[::-1]))
    assert found.mean.dims == ("post", "latent_dim")


def test_aligned_positions_have_blocks(tree):
    assert pg.align_positions(tree).blocks is None
    types = np.array([1] * 6 + [0] * 4)
    both = with_variables(tree, block_labels=(("post",), np.tile(types, (4, 200, 1))))
    np.testing.assert_array_equal(pg.align_positions(both).blocks, 1 - types)  # by size
    known = with_variables(tree, {"block_labels": ("post", types)})
    np.testing.assert_array_equal(pg.align_positions(known).blocks, types)


def test_trees_without_positions(tree):
    with pytest.raises(ValueError, match=r"learns no positions.*pg\.latent_distance_glm"):
        pg.align_positions(example(3, 1).tree)
    with pytest.raises(TypeError, match="tree: got dict"):
        pg.align_positions({})
    known = with_variables(
        tree_of(np.ones((2, 10, 3, 3))), {"latent_positions": (("post", "latent_dim"), np.eye(3))}
    )
    with pytest.raises(ValueError, match="positions: 'latent_positions' are known in this model"):
        pg.align_positions(known)
    with pytest.raises(ValueError, match=r"'latent_factors' are not positions.*eigenvalues"):
        pg.align_positions(tree, positions="latent_factors")
    with pytest.raises(ValueError, match=r"positions: 'bias' has the dims \('chain', 'draw'"):
        pg.align_positions(tree, positions="bias")


def test_order_of_dimensions_and_files_do_not_matter(tree, tmp_path):
    expected = pg.align_positions(tree)
    groups = {name: group.to_dataset() for name, group in tree.children.items()}
    groups["posterior"] = groups["posterior"].transpose(..., "draw", "chain")
    transposed = pg.align_positions(xr.DataTree.from_dict(groups))
    xr.testing.assert_allclose(transposed.mean, expected.mean)
    tree.to_netcdf(tmp_path / "posterior.nc", engine="h5netcdf")
    with xr.open_datatree(tmp_path / "posterior.nc", engine="h5netcdf") as saved:
        assert pg.align_positions(saved).text == expected.text


def test_text_fits_a_terminal(tree, place):
    found = pg.align_positions(tree, place)
    assert found.text in repr(found)
    assert max(map(len, found.text.split("\n"))) <= 88
    text = flat(found.text)
    assert text.startswith("10 neurons in 2 latent dimensions, 4 chains of 200 draws.")
    assert "Distances between neurons: largest R-hat 1." in text
    assert "Procrustes correlation with the reference: median 0.9" in text
    one = pg.align_positions(position_tree(place, n_chains=1, n_draws=3))
    assert "Convergence of the distances cannot be judged from one chain or a few draws" in flat(
        one.text
    )


# Convergence


def test_rotated_positions_have_converged(place):
    tree = position_tree(place, noise=0.1, n_draws=1000, turn=False, seed=2)
    raw = tree["posterior"]["latent_positions"].values
    rotated = raw @ random_turns(np.random.default_rng(8), (4, 1), 2)  # chain by chain
    rotated = with_variables(tree, latent_positions=(("post", "latent_dim"), rotated))
    assert float(az.rhat(rotated["posterior"]["latent_positions"]).max()) > 1.5
    report = pg.convergence_report(rotated)
    assert report.positions_not_converged == report.hyperparameters_not_converged == ()
    assert "judged by the distances between neurons" in flat(report.text)
    plain = pg.convergence_report(tree)
    assert report.worst_r_hat == pytest.approx(plain.worst_r_hat)
    assert report.converged == plain.converged


def test_chains_of_different_shapes_have_not_converged(place):
    raw = position_tree(place, noise=0.05, n_draws=500)["posterior"]["latent_positions"].values
    raw[2, :, 4] += 1.0
    tree = position_tree(place, n_draws=500)
    report = pg.convergence_report(
        with_variables(tree, latent_positions=(("post", "latent_dim"), raw))
    )
    assert len(report.positions_not_converged) >= 8
    assert sum("n4" in name for name in report.positions_not_converged[:8]) == 8
    assert not report.converged
    assert report.worst.startswith("distance n")
    n_pairs = len(report.positions_not_converged)
    assert f"{n_pairs} pairs in the latent space have not converged (R-hat" in flat(report.text)


def factor_tree(other_chain=0.0, n_draws=1000):
    """Draws of the latent eigenmodel, with other signs and orders of factors in each chain."""
    rng = np.random.default_rng(9)
    factors = rng.normal(size=(6, 2)) + rng.normal(0, 0.05, (4, n_draws, 6, 2))
    values = np.array([1.5, -0.7]) + rng.normal(0, 0.05, (4, n_draws, 2))
    intercept = rng.normal(-1, 0.05, (4, n_draws))
    factors[3, :, 0] += other_chain
    for chain, (signs, order) in enumerate(
        [([1, 1], [0, 1]), ([-1, 1], [0, 1]), ([1, -1], [1, 0]), ([-1, -1], [1, 0])]
    ):
        factors[chain] = factors[chain][..., order] * signs
        values[chain] = values[chain][..., order]
    tree = tree_of((rng.random((4, n_draws, 6, 6)) < 0.3) * 1)
    return with_variables(
        tree,
        latent_factors=(("post", "latent_factor"), factors),
        eigenvalues=(("latent_factor",), values),
        edge_intercept=((), intercept),
    )


def test_factors_are_judged_by_the_log_odds_of_edges():
    report = pg.convergence_report(factor_tree())
    assert report.converged, report.text
    assert "judged by the log-odds of edges" in flat(report.text)
    tree = factor_tree(other_chain=0.3)
    report = pg.convergence_report(tree)
    assert report.positions_not_converged
    assert all("n0" in name for name in report.positions_not_converged)
    assert report.worst.startswith("edge log-odds n0 & n")
    # The R-hat from the definition of the eigenmodel.
    draws = tree["posterior"].to_dataset()
    u = draws["latent_factors"]
    products = (u.sel(post="n0") * u * draws["eigenvalues"]).sum("latent_factor")
    log_odds = draws["edge_intercept"] + products
    expected = max(
        float(az.rhat(log_odds.sel(post=f"n{i}").transpose("chain", "draw"))) for i in range(1, 6)
    )
    assert report.worst_r_hat == pytest.approx(expected)


def test_factors_without_eigenvalues_are_not_judged():
    report = pg.convergence_report(without(factor_tree(n_draws=500), "eigenvalues"))
    assert report.converged, report.text
    assert "Latent factors are not judged" in flat(report.text)


def test_distances_are_symmetric(tree):
    found = pg.align_positions(tree).distances["mean"].values
    np.testing.assert_array_equal(found, squareform(squareform(found, checks=False)))
