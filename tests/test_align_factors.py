"""Alignment of factors of shared input, and their plot."""

import numpy as np
import pytest
import xarray as xr

import pymc_glm as pg
from pymc_glm.criticism.structure.convergence import structure_diagnostics
from pymc_glm.criticism.structure.factor_alignment import overlapping, reordering, rotating

BIN_WIDTH, N_BINS, STARTS = 0.005, 400, [0, 250]
STEPS = np.array([1, 2, 4])


def rotation(angle):
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def grids():
    """Grid point of each bin and factor, (time, factor), by a plain loop over bins."""
    index, offset = np.empty((N_BINS, 3), int), 0
    for k, step in enumerate(STEPS):
        place = 0
        for t in range(N_BINS):
            begins = t in STARTS
            place = 0 if begins else place + 1
            offset += begins or place % step == 0
            index[t, k] = offset - 1
    return index


@pytest.fixture(scope="module")
def truth():
    """Loadings (6, 3) and values of the paths in each bin, (time, factor)."""
    rng = np.random.default_rng(1)
    index = grids()
    values = rng.normal(size=index.max() + 1)
    return rng.normal(0.3, 1.0, (6, 3)), values, index


def tree_of(truth, maps, *, timescale, smoothness=(0.5, 0.5, 0.5), noise=0.05, seed=2, every=1):
    """A posterior whose draws are the truth plus noise, each mapped by one of maps (draw, ...).

    Paths are mapped on bins, so maps that mix factors need equal grids.
    """
    loadings, values, index = truth
    rng = np.random.default_rng(seed)
    maps = np.asarray(maps).reshape(2, -1, 3, 3)
    shape = maps.shape[:2]
    drawn = np.einsum("nk,cdkj->cdnj", loadings, maps)
    drawn = drawn + rng.normal(0, noise, drawn.shape)
    paths = np.einsum("tk,cdkj->cdtj", values[index], maps)
    of_grid = np.empty((*shape, values.size))
    for t in range(N_BINS):
        for k in range(3):
            of_grid[..., index[t, k]] = paths[:, :, t, k]
    taus = np.einsum("k,cdkj->cdj", np.asarray(timescale), np.abs(maps))
    taus = taus * np.exp(rng.normal(0, 0.01, taus.shape))
    path_draw = np.arange(shape[1])[::every]
    counts = (rng.random((N_BINS, 6)) < 0.05).astype(int)
    time = BIN_WIDTH * (np.arange(N_BINS) + 100 * (np.arange(N_BINS) >= STARTS[1]))
    neurons = list("abcdef")
    dims = ("chain", "draw")
    posterior = xr.Dataset(
        {
            "weights": ((*dims, "post", "pre", "basis"), np.zeros((*shape, 6, 6, 1))),
            "bias": ((*dims, "post"), rng.normal(-3, 0.1, (*shape, 6))),
            "loadings": ((*dims, "post", "factor"), drawn),
            "factor_timescale": ((*dims, "factor"), taus),
        },
        {"post": neurons, "pre": neurons, "chain": [0, 1], "draw": np.arange(shape[1])},
    )
    constants = xr.Dataset(
        {
            "counts": (("time", "post"), counts),
            "basis_functions": (("lag", "basis"), np.ones((2, 1))),
            "bin_width": ((), BIN_WIDTH),
            "segment_start": ("segment", STARTS),
            "path_index": (("time", "factor"), index),
            "grid_width": ("factor", BIN_WIDTH * STEPS),
            "smoothness": ("factor", np.asarray(smoothness)),
        },
        {"time": time, "post": neurons, "lag": BIN_WIDTH * np.arange(1, 3)},
    )
    shared = xr.Dataset(
        {"factors": (("chain", "path_draw", "grid"), of_grid[:, path_draw])},
        {"path_draw": path_draw},
    )
    spikes = xr.Dataset({"spikes": constants["counts"]})
    return xr.DataTree.from_dict(
        {
            "posterior": posterior,
            "constant_data": constants,
            "shared_path": shared,
            "observed_data": spikes,
        }
    )


def signed(rng, n):
    """Maps (n, 3, 3) of random signs."""
    return np.eye(3) * rng.choice([-1.0, 1.0], (n, 1, 3))


def same_up_to_sign(found, loadings):
    """The sign of each found factor relative to the truth, after checking its order."""
    sign = np.sign((found * loadings).sum(axis=0))
    np.testing.assert_allclose(found * sign, loadings, atol=0.03)
    return sign


@pytest.mark.parametrize("method", ["sign", "order", "rotation"])
def test_signs_of_draws_are_aligned(truth, method):
    """Planted bug: without the map of the paths, the band of each path covers both signs."""
    loadings, values, index = truth
    maps = signed(np.random.default_rng(3), 60)
    tree = tree_of(truth, maps, timescale=[0.01, 0.05, 0.2], every=3)
    found = pg.align_factors(tree, method=method)
    sign = same_up_to_sign(found["loadings_mean"].values, loadings)
    assert (found["loadings_mean"].sum("post") > 0).all()
    paths = (values[index] * sign).T
    assert found["path"].sizes == {"chain": 2, "path_draw": 10, "factor": 3, "time": N_BINS}
    np.testing.assert_allclose(found["path_mean"], paths, atol=1e-9)
    np.testing.assert_allclose(found["path_upper"] - found["path_lower"], 0, atol=1e-9)
    assert found["path_draw"].values.tolist() == list(range(0, 30, 3))
    inside = (found["loadings_lower"] < loadings * sign) & (
        loadings * sign < found["loadings_upper"]
    )
    assert inside.mean() > 0.85
    assert found["group"].values.tolist() == [0, 1, 2]


def test_order_is_aligned_among_factors_of_one_smoothness(truth):
    """Chains that found the factors in another order agree after alignment, timescales too."""
    loadings, values, index = truth
    index = np.repeat(index[:, :1], 3, axis=1) + index[:, 0].max() * np.arange(3) + np.arange(3)
    values = np.random.default_rng(4).normal(size=index.max() + 1)
    same_grid = loadings, values, index
    swap = np.eye(3)[[1, 0, 2]]
    maps = np.concatenate(
        [signed(np.random.default_rng(5), 30), signed(np.random.default_rng(6), 30) @ swap]
    )
    kinds = (0.5, 0.5, 1.5)
    tree = tree_of(same_grid, maps, timescale=[0.01, 0.05, 0.05], smoothness=kinds)
    found = pg.align_factors(tree)
    order = [0, 1, 2]
    if abs(found["loadings_mean"].values[:, 0] @ loadings[:, 1]) > abs(
        found["loadings_mean"].values[:, 0] @ loadings[:, 0]
    ):
        order = [1, 0, 2]
    sign = same_up_to_sign(found["loadings_mean"].values, loadings[:, order])
    np.testing.assert_allclose(found["path_mean"], (values[index][:, order] * sign).T, atol=1e-9)
    expected = np.array([0.01, 0.05, 0.05])[order]
    np.testing.assert_allclose(
        found["factor_timescale"].mean(["chain", "draw"]), expected, rtol=0.01
    )
    assert found["group"].values.tolist() == [0, 1, 2]
    wrong = pg.align_factors(tree, method="sign")["loadings"]
    assert wrong.std(["chain", "draw"]).max() > 0.3  # signs alone do not align them
    judged = structure_diagnostics(tree)
    names = list(judged.tables["name"])
    assert names[0] == "a & b (shared input)" and names[-1] == "factor_timescale[2]"
    assert len(names) == 15 + 3 and (judged.tables["r_hat"] < 1.2).all()
    assert {"loadings", "factors", "factor_timescale"} <= judged.not_judged


def test_rotations_are_aligned_within_groups(truth):
    """Factors 0 and 1 have one timescale and any rotation; factor 2 has another.

    Planted bug: with maps applied to loadings only, the paths do not agree.
    """
    loadings, _, index = truth
    index = np.repeat(index[:, :1], 3, axis=1) + (index[:, 0].max() + 1) * np.arange(3)
    values = np.random.default_rng(7).normal(size=index.max() + 1)
    rng = np.random.default_rng(8)
    maps = signed(rng, 60)
    for one in maps:
        one[:2, :2] = one[:2, :2] @ rotation(rng.uniform(0, 2 * np.pi))
    tree = tree_of((loadings, values, index), maps, timescale=[0.05, 0.05, 0.3])
    # np.abs(maps) of rotations is no mixture of timescales: give the group its own.
    taus = np.array([0.05, 0.05, 0.3]) * np.exp(rng.normal(0, 0.1, (2, 30, 3)))
    tree["posterior"] = (
        tree["posterior"].to_dataset().assign(factor_timescale=(("chain", "draw", "factor"), taus))
    )
    found = pg.align_factors(tree)
    assert found["group"].values.tolist() == [0, 0, 1]
    aligned = found["loadings_mean"].values
    assert found["loadings"].std(["chain", "draw"]).max() < 0.1  # noise is 0.05
    np.testing.assert_allclose(aligned @ aligned.T, loadings @ loadings.T, atol=0.15)
    assert found["path"].std(["chain", "path_draw"]).max() < 0.2
    added = np.einsum("nk,kt->tn", aligned, found["path_mean"])
    np.testing.assert_allclose(added, values[index] @ loadings.T, atol=0.5)
    assert found["r_hat"].max() < 1.1
    np.testing.assert_allclose(found["covariance"], loadings @ loadings.T, atol=0.1)
    names = list(structure_diagnostics(tree).tables["name"])
    assert names[-1] == "factor_timescale[2]" and "factor_timescale[0]" not in names
    assert pg.align_factors(tree, method="order")["loadings"].std(["chain", "draw"]).max() > 0.3


def test_alignment_leaves_what_is_added_to_psi(truth):
    """L f of every draw is the same before and after, whatever the draws are."""
    rng = np.random.default_rng(9)
    maps = np.linalg.qr(rng.normal(size=(40, 3, 3)))[0]
    loadings, _, index = truth
    index = np.repeat(index[:, :1], 3, axis=1) + (index[:, 0].max() + 1) * np.arange(3)
    values = rng.normal(size=index.max() + 1)
    tree = tree_of((loadings, values, index), maps, timescale=[0.05] * 3, noise=0.5)
    for method in ("sign", "order", "rotation"):
        found = pg.align_factors(tree, method=method)
        got = np.einsum("cdnk,cdkt->cdtn", found["loadings"], found["path"])
        before = tree["shared_path"]["factors"].values[:, :, index]
        expected = np.einsum("cdnk,cdtk->cdtn", tree["posterior"]["loadings"], before)
        np.testing.assert_allclose(got, expected, atol=1e-9)


def test_windows_and_finest_grid(truth):
    """Only grid points of the window, of the finest grid; a wrong window is refused."""
    maps = signed(np.random.default_rng(10), 20)
    tree = tree_of(truth, maps, timescale=[0.01, 0.05, 0.2])
    found = pg.align_factors(tree, start=0.5, stop=0.6)
    np.testing.assert_allclose(found["time"], np.arange(0.5, 0.6, BIN_WIDTH))
    full = pg.align_factors(tree)
    np.testing.assert_array_equal(found["path"], full["path"].sel(time=found["time"]))
    with pytest.raises(ValueError, match=r"start, stop: no grid point lies in the window 9 to 10"):
        pg.align_factors(tree, start=9, stop=10)
    with pytest.raises(ValueError, match=r"method: got 'pca', allowed are 'rotation', 'order'"):
        pg.align_factors(tree, method="pca")
    with pytest.raises(ValueError, match=r"prob: got 2"):
        pg.align_factors(tree, prob=2)
    plain = tree.copy()
    plain["posterior"] = plain["posterior"].to_dataset().drop_vars("loadings")
    with pytest.raises(ValueError, match=r"tree: the posterior has no 'loadings'; this model has"):
        pg.align_factors(plain)
    without = xr.DataTree.from_dict(
        {name: tree[name].to_dataset() for name in ("posterior", "constant_data", "observed_data")}
    )
    assert "path" not in pg.align_factors(without)
    with pytest.raises(ValueError, match=r"tree: it holds no draws of the paths"):
        pg.plot_shared_input(without)


def begun_anew(tree):
    """The same tree with times that begin at 0 in every segment, as of joined sessions."""
    time = BIN_WIDTH * np.concatenate([np.arange(STARTS[1]), np.arange(N_BINS - STARTS[1])])
    tree = tree.copy()
    for group in ("constant_data", "observed_data"):
        tree[group] = tree[group].to_dataset().assign_coords(time=time)
    return tree


def test_segments(truth):
    """One segment at a time, which a window needs if times begin anew."""
    maps = signed(np.random.default_rng(13), 20)
    tree = begun_anew(tree_of(truth, maps, timescale=[0.01, 0.05, 0.2]))
    full = pg.align_factors(tree)
    assert full["segment"].values.tolist() == [0] * STARTS[1] + [1] * (N_BINS - STARTS[1])
    second = pg.align_factors(tree, segment=1)
    np.testing.assert_array_equal(second["path"], full["path"][..., STARTS[1] :])
    window = pg.align_factors(tree, segment=np.int64(1), start=0.1, stop=0.2)
    np.testing.assert_array_equal(window["path"], second["path"][..., 20:40])
    np.testing.assert_allclose(window["time"], np.arange(0.1, 0.2, BIN_WIDTH))
    with pytest.raises(ValueError, match=r"start, stop: times jump back between segments, so"):
        pg.align_factors(tree, start=0.1, stop=0.2)
    with pytest.raises(ValueError, match=r"segment: got 2, allowed are whole numbers from 0 to 1"):
        pg.align_factors(tree, segment=2)
    with pytest.raises(ValueError, match=r"no grid point lies in .* from 0 to 0.745 s"):
        pg.align_factors(tree, segment=1, start=0.9, stop=1.0)


def test_several_sessions_have_to_be_selected(truth):
    maps = signed(np.random.default_rng(14), 20)
    one = tree_of(truth, maps, timescale=[0.01, 0.05, 0.2])
    shared = {"chain", "draw", "path_draw", "factor", "lag", "basis", "factor_timescale"}
    groups = {}
    for group, data in one.children.items():
        names = [{n: f"{s}::{n}" for n in {*data.dataset.variables, *data.dims} - shared}
                 for s in ("mon", "tue")]  # fmt: skip
        groups[group] = xr.merge([data.to_dataset().rename(n) for n in names])
    both = xr.DataTree.from_dict(groups)
    for function in (pg.align_factors, pg.plot_shared_input):
        with pytest.raises(ValueError, match=r"it has the sessions \['mon', 'tue'\]; select one"):
            function(both)
    selected = pg.session(both, "tue")
    xr.testing.assert_identical(pg.align_factors(selected), pg.align_factors(one))
    assert len(pg.plot_shared_input(selected)) == 7
    # Signs differ between draws, so raw loadings have not converged, in no session.
    report = pg.convergence_report(selected)
    names = report.hyperparameters_not_converged
    assert not [name for name in names if name.startswith("loadings")]
    assert "Shared input is judged by the covariances" in " ".join(report.remarks)
    assert report == pg.convergence_report(one)


def test_a_grid_that_is_too_coarse_is_reported(truth):
    """Grids of 1, 2 and 4 bins of 5 ms; a learned timescale below one is named, with a remedy."""
    maps = np.tile(np.eye(3), (20, 1, 1))

    def remarks(timescale):
        return structure_diagnostics(tree_of(truth, maps, timescale=timescale)).remarks[1:]

    assert remarks([0.0052, 0.0105, 0.021]) == ()
    assert remarks([0.0052, 0.1, 0.014]) == (
        "The path of factor 2 cannot follow its timescale, of which the posterior median, 14 ms, "
        "is below the grid of 20 ms: fit again with a finer grid for it, such as 0.005 s in "
        "pg.SharedInput(grid=...), or a prior with a shorter timescale.",
    )
    one, two = remarks([0.004, 0.008, 0.05])
    assert one.startswith("The path of factor 0 cannot follow its timescale")
    assert one.endswith("4 ms, is below the grid of 5 ms: fit again with narrower bins, or without "
                        "this factor.")  # fmt: skip
    assert "factor 1 cannot" in two and "such as 0.005 s" in two
    tree = tree_of(truth, maps, timescale=[0.01, 0.05, 0.014])
    assert "cannot follow its timescale" in " ".join(pg.convergence_report(tree).text.split())
    fixed = tree["posterior"].to_dataset().drop_vars("factor_timescale")
    tree["posterior"] = fixed
    tree["constant_data"] = (
        tree["constant_data"].to_dataset().assign(factor_timescale=("factor", [0.01, 0.05, 0.014]))
    )
    assert not structure_diagnostics(tree).remarks[1:]  # the user has given it


def test_arrays():
    """Timescales that cross now and then are one group only if neither is longer in 95%."""
    draws = np.tile([[1.0, 2.0], [1.0, 2.0]], (50, 1))
    draws[:4] = [2.0, 1.0]
    assert overlapping(draws, np.ones(2)).tolist() == [0, 1]
    draws[:6] = [2.0, 1.0]
    assert overlapping(draws, np.ones(2)).tolist() == [0, 0]
    assert overlapping(draws, np.array([0.5, 1.5])).tolist() == [0, 1]
    assert overlapping(np.ones((10, 2)), np.ones(2)).tolist() == [0, 0]  # fixed and equal
    rng = np.random.default_rng(11)
    loadings = rng.normal(size=(5, 4, 3))
    for maps in (
        reordering(loadings, np.array([0.5, 0.5, 1.5]), 0),
        rotating(loadings, np.array([0, 0, 1]), 0),
    ):
        np.testing.assert_allclose(maps @ maps.transpose(0, 2, 1), np.tile(np.eye(3), (5, 1, 1)),
                                   atol=1e-12)  # fmt: skip
        assert (maps[:, :2, 2] == 0).all()


def test_the_plot_shows_paths_loadings_and_spikes(truth):
    maps = signed(np.random.default_rng(12), 20)
    tree = tree_of(truth, maps, timescale=[0.01, 0.05, 0.2])
    axes = pg.plot_shared_input(tree, start=0.2, stop=2.2)
    assert axes.shape == (7,)
    found = pg.align_factors(tree, start=0.2, stop=2.2)
    for k in range(3):
        steps = axes[1 + k].lines[1:]  # after the line at 0; one for each segment
        assert len(steps) == 2
        drawn = np.concatenate([line.get_ydata()[:-1] for line in steps])
        np.testing.assert_allclose(drawn, found["path_mean"].isel(factor=k))
        dots = axes[4 + k].lines[-1]
        np.testing.assert_allclose(dots.get_xdata(), found["loadings_mean"].isel(factor=k))
        assert axes[1 + k].get_xlim() == (0.2, 2.2)
        assert "timescale" in axes[1 + k].get_title(loc="right")
        assert steps[0].get_xdata()[-1] == STARTS[1] * BIN_WIDTH  # the gap is left out
    assert axes[0].get_ylim() == axes[4].get_ylim()
    with pytest.raises(ValueError, match=r"ax: got 1 axes, but 7 panels to draw"):
        pg.plot_shared_input(tree, ax=axes[0])


def test_the_plot_shows_one_segment_if_times_begin_anew(truth):
    """Planted bug: with the spikes of all segments, the raster has too many."""
    maps = signed(np.random.default_rng(15), 20)
    tree = begun_anew(tree_of(truth, maps, timescale=[0.01, 0.05, 0.2]))
    counts = tree["observed_data"]["spikes"].values
    for segment, bins in ((None, slice(0, STARTS[1])), (1, slice(STARTS[1], None))):
        axes = pg.plot_shared_input(tree, segment=segment)
        assert axes[1].get_xlim() == (0.0, BIN_WIDTH * len(counts[bins]))
        drawn = [len(row.get_positions()) for row in axes[0].collections]
        assert drawn == counts[bins].sum(axis=0).tolist()
        found = pg.align_factors(tree, segment=segment or 0)["path_mean"]
        np.testing.assert_allclose(axes[2].lines[1].get_ydata()[:-1], found[1])
    with pytest.raises(ValueError, match=r"segment: got -1, allowed are whole numbers from 0 to 1"):
        pg.plot_shared_input(tree, segment=-1)


def test_the_plot_of_trials_that_end_within_a_grid_point(truth):
    """Trials of 249 and 151 bins, one right after the other, on a grid of 2 bins."""
    loadings, _, _ = truth
    bins = np.concatenate([np.arange(249), np.arange(151)])
    index = np.repeat((bins // 2 + 125 * (np.arange(N_BINS) >= 249))[:, None], 3, axis=1)
    index += 201 * np.arange(3)
    values = np.random.default_rng(16).normal(size=603)
    maps = np.tile(np.eye(3), (20, 1, 1))
    tree = tree_of((loadings, values, index), maps, timescale=[0.01, 0.05, 0.2])
    tree["constant_data"] = (
        tree["constant_data"]
        .to_dataset()
        .assign(segment_start=("segment", [0, 249]), grid_width=("factor", [0.01] * 3))
        .assign_coords(time=BIN_WIDTH * np.arange(N_BINS))
    )
    axes = pg.plot_shared_input(tree)
    first, second = (line.get_xdata() for line in axes[1].lines[1:])
    np.testing.assert_allclose(first, [*np.arange(0, 1.245, 0.01), 1.245])
    np.testing.assert_allclose(second, 1.245 + 0.01 * np.arange(77))
