import numpy as np
import pytest
import xarray as xr
from scipy.signal.windows import hann
from scipy.stats import binom

from pymc_glm import basis as pg_basis
from pymc_glm.basis import as_basis, bspline, exponential, identity, orthogonalize, raised_cosine

WIDTH = 0.005
SIZES = [(1, 1), (2, 2), (1, 100), (3, 20), (5, 10), (10, 10), (8, 60), (30, 31), (12, 200)]


def every_basis(n_basis, n_lags):
    window = n_lags * WIDTH
    yield raised_cosine(n_basis, window, WIDTH)
    yield raised_cosine(n_basis, window, WIDTH, spacing="linear")
    yield bspline(n_basis, window, WIDTH, degree=min(3, n_basis - 1))
    yield bspline(n_basis, window, WIDTH, degree=0)
    if n_basis < 5:
        yield exponential(np.geomspace(WIDTH, window + WIDTH, n_basis), window, WIDTH)


@pytest.mark.parametrize(("n_basis", "n_lags"), SIZES)
def test_shape_lags_peak_and_independence(n_basis, n_lags):
    for basis in every_basis(n_basis, n_lags):
        assert basis.dims == ("lag", "basis")
        assert basis.shape == (n_lags, n_basis)
        np.testing.assert_allclose(basis["lag"], WIDTH * np.arange(1, n_lags + 1))
        assert basis["lag"].attrs["units"] == "s"
        np.testing.assert_allclose(np.abs(basis).max("lag"), 1)
        assert (basis >= 0).all()
        assert np.linalg.matrix_rank(basis.values) == n_basis
        assert basis.attrs["bin_width"] == WIDTH
        assert basis.attrs["window"] == n_lags * WIDTH
        assert basis.attrs["kind"].startswith(("raised_cosine", "bspline", "exponential"))


def test_log_raised_cosines_are_well_conditioned_for_every_size():
    for n_lags in range(1, 41):
        for n_basis in range(1, n_lags + 1):
            values = raised_cosine(n_basis, n_lags * WIDTH, WIDTH).values
            assert np.linalg.cond(values) < 1000


def test_linear_raised_cosines_are_hann_windows():
    # 20 lags, 3 functions: centres at lags 1, 6, 11, half width 10.
    basis = raised_cosine(3, 20 * WIDTH, WIDTH, spacing="linear").values
    window = hann(21)  # 0 at both ends
    np.testing.assert_allclose(basis[:, 0], np.append(window[10:], np.zeros(9)), atol=1e-12)
    np.testing.assert_allclose(basis[:, 1], np.append(window[5:], np.zeros(4)), atol=1e-12)
    np.testing.assert_allclose(basis[:, 2], window[:20], atol=1e-12)


def test_log_raised_cosines_follow_pillow():
    """Equation of Pillow et al. (2008), with c = 0: centres pi/2 apart in a log(t)."""
    n_lags, n_basis = 100, 3
    a = (n_basis + 1) * (np.pi / 2) / np.log(n_lags + 1)
    expected = np.zeros((n_lags, n_basis))
    for j in range(n_basis):
        phi = j * np.pi / 2
        for t in range(1, n_lags + 1):
            angle = a * np.log(t) - phi
            if -np.pi <= angle <= np.pi:
                expected[t - 1, j] = 0.5 * np.cos(angle) + 0.5
    expected /= expected.max(axis=0)
    basis = raised_cosine(n_basis, n_lags * WIDTH, WIDTH)
    np.testing.assert_allclose(basis, expected, atol=1e-12)


def test_log_spacing_gives_every_function_a_peak_of_its_own():
    basis = raised_cosine(8, 20 * WIDTH, WIDTH).values
    peaks = basis.argmax(axis=0)
    gaps = np.diff(peaks)
    assert (gaps >= 1).all()
    assert gaps[-1] > gaps[0]


def test_cubic_splines_without_inner_knots_are_bernstein_polynomials():
    n_lags = 12
    u = (np.arange(1, n_lags + 1) - 0.5) / n_lags
    expected = binom.pmf(np.arange(4), 3, u[:, None])
    basis = bspline(4, n_lags * WIDTH, WIDTH)
    np.testing.assert_allclose(basis, expected / expected.max(axis=0), atol=1e-12)


def test_linear_splines_are_hats():
    n_lags, n_basis = 20, 5
    lags = np.arange(1, n_lags + 1)
    knots = np.linspace(0.5, n_lags + 0.5, n_basis)
    expected = np.stack([np.interp(lags, knots, row) for row in np.eye(n_basis)], axis=1)
    basis = bspline(n_basis, n_lags * WIDTH, WIDTH, degree=1)
    np.testing.assert_allclose(basis, expected / expected.max(axis=0), atol=1e-12)


def test_exponentials():
    basis = exponential([0.01, 0.05], 0.1, WIDTH)
    lags = basis["lag"].values
    np.testing.assert_allclose(basis[:, 1], np.exp(-lags / 0.05) / np.exp(-lags[0] / 0.05))
    # Memoryless: every bin multiplies by the same factor.
    np.testing.assert_allclose(basis[1:, 0] / basis[:-1, 0].values, np.exp(-0.5))


def test_identity():
    basis = identity(0.05, WIDTH)
    np.testing.assert_array_equal(basis, np.eye(10))
    assert basis.attrs["kind"] == "identity"


@pytest.mark.parametrize(("window", "n_lags"), [(0.1, 20), (0.3, 60), (0.0149, 2), (0.005, 1)])
def test_only_whole_bins_count(window, n_lags):
    assert identity(window, WIDTH).sizes["lag"] == n_lags


@pytest.mark.parametrize(("n_basis", "n_lags"), SIZES)
def test_orthogonalized_basis_spans_the_same_filters(n_basis, n_lags):
    for basis in every_basis(n_basis, n_lags):
        result = orthogonalize(basis)
        values = result.values
        gram = values.T @ values
        np.testing.assert_allclose(gram, np.diag(np.diag(gram)), atol=1e-10)
        weights = np.linalg.lstsq(values, basis.values)[0]
        np.testing.assert_allclose(values @ weights, basis.values, atol=1e-8)
        np.testing.assert_allclose(values.max(axis=0), 1)
        assert (values >= -1 - 1e-12).all()
        np.testing.assert_allclose(values[:, 0], basis.values[:, 0], atol=1e-12)
        xr.testing.assert_equal(result["lag"], basis["lag"])
        assert result.attrs["kind"] == f"orthogonalized {basis.attrs['kind']}"


def test_orthogonalize_wants_lags():
    with pytest.raises(TypeError, match="as_basis"):
        orthogonalize(np.eye(3))
    assert orthogonalize(as_basis(np.eye(3), WIDTH)).shape == (3, 3)


def test_arrays_are_taken_as_they_are():
    array = np.array([[3.0, -1.0], [0.0, 2.0], [5.0, 0.5]])
    basis = as_basis(array, WIDTH)
    np.testing.assert_array_equal(basis, array)
    np.testing.assert_allclose(basis["lag"], [0.005, 0.01, 0.015])
    assert basis.attrs["bin_width"] == WIDTH
    array[0, 0] = 7.0
    assert basis[0, 0] == 3.0


def test_bases_of_the_module_pass_unchanged():
    basis = raised_cosine(3, 0.1, WIDTH)
    xr.testing.assert_identical(as_basis(basis, WIDTH), basis)
    xr.testing.assert_identical(as_basis(basis.T, WIDTH), basis)


def test_labels_of_functions_survive():
    given = xr.DataArray(np.eye(2), dims=("lag", "basis"), coords={"basis": ["fast", "slow"]})
    assert as_basis(given, WIDTH)["basis"].values.tolist() == ["fast", "slow"]


def test_lags_must_agree_with_bin_width():
    with pytest.raises(ValueError, match=r"bin_width = 0\.01 s.*row 0 should have lag 0\.01 s but"):
        as_basis(raised_cosine(3, 0.1, WIDTH), 0.01)
    acausal = xr.DataArray(np.eye(2), dims=("lag", "basis"), coords={"lag": [0.0, WIDTH]})
    with pytest.raises(ValueError, match=r"row 0 should have lag 0\.005 s but has 0 s"):
        as_basis(acausal, WIDTH)


def with_nan():
    array = np.eye(4)
    array[2, 1] = np.nan
    return array


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones(3), r"2 dimensions.*got the shape \(3,\)"),
        (np.ones((2, 2, 2)), r"2 dimensions.*got the shape \(2, 2, 2\)"),
        (np.ones((0, 2)), r"empty, of shape \(0, 2\)"),
        (np.ones((3, 0)), r"empty, of shape \(3, 0\)"),
        (with_nan(), "row 2 of column 1 is nan"),
        (np.ones((2, 3)), "more columns than rows, 3 functions on 2 lags"),
        (np.array([[1, 0, 0], [0, 0, 1], [1, 0, 0]]), r"basis: columns \[1\] are all zero"),
        (
            xr.DataArray(np.eye(2), dims=("t", "basis")),
            r"dims \('t', 'basis'\), allowed are \(\"lag\", \"basis\"\)",
        ),
    ],
)
def test_bad_arrays_are_refused(array, message):
    with pytest.raises(ValueError, match=message):
        as_basis(array, WIDTH)


def test_dependent_columns_are_named():
    rng = np.random.default_rng(1)
    array = rng.normal(size=(9, 4))
    array[:, 3] = 2 * array[:, 0] - array[:, 2]
    with pytest.raises(ValueError, match="linearly dependent: column") as error:
        as_basis(array, WIDTH)
    # Column 1 has no part in it.
    named = str(error.value).split("dependent: ")[1].split("(rank")[0]
    assert all(str(i) in named for i in (0, 2, 3))
    assert "1" not in named
    assert "rank 3 of 4" in str(error.value)
    array[:, 3] *= 1e-12  # scale does not matter
    with pytest.raises(ValueError, match="linearly dependent"):
        as_basis(array, WIDTH)


def test_values_must_be_numbers():
    with pytest.raises(TypeError, match="real numbers"):
        as_basis(np.array([["a"], ["b"]]), WIDTH)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: raised_cosine(0, 0.1, WIDTH), "n_basis: got 0, .* whole numbers of at least 1"),
        (lambda: raised_cosine(21, 0.1, WIDTH), "n_basis: got 21, more than the 20 bins"),
        (lambda: raised_cosine(3, 0.004, WIDTH), "window: 0.004 s is shorter than one bin"),
        (lambda: raised_cosine(3, -1, WIDTH), "window: got -1, .* above 0 s"),
        (lambda: raised_cosine(3, 0.1, 0), "bin_width: got 0, .* above 0 s"),
        (lambda: raised_cosine(3, np.nan, WIDTH), "window: got nan, .* above 0 s"),
        (lambda: raised_cosine(3, 0.1, WIDTH, spacing="sqrt"), "got 'sqrt'"),
        (lambda: bspline(3, 0.1, WIDTH), "n_basis: got 3, too few for splines of degree 3"),
        (lambda: bspline(3, 0.1, WIDTH, degree=-1), "degree: got -1, .* of at least 0"),
        (lambda: exponential([], 0.1, WIDTH), "time_constants: it is empty"),
        (
            lambda: exponential([0.01, 0.0], 0.1, WIDTH),
            r"time_constants\[1\]: got 0.0, .* above 0 s",
        ),
        (lambda: exponential([0.01, 0.01], 0.1, WIDTH), "time_constants: got .* distinct"),
        (lambda: exponential([1e-5, 2e-5], 0.1, WIDTH), "linearly dependent"),
        (lambda: identity(0.001, WIDTH), "shorter than one bin"),
        (lambda: raised_cosine(2.5, 0.1, WIDTH), "n_basis: got 2.5, allowed are whole numbers"),
        (lambda: raised_cosine(True, 0.1, WIDTH), "n_basis: got True, allowed are whole numbers"),
        (lambda: as_basis(np.eye(2), -1.0), "bin_width: got -1.0, .* above 0 s"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: raised_cosine(3, "0.1", WIDTH), "window: got '0.1', allowed are .*numbers"),
        (lambda: exponential(0.01, 0.1, WIDTH), "time_constants: got 0.01; give a sequence"),
    ],
)
def test_arguments_of_wrong_types_are_refused(call, message):
    with pytest.raises(TypeError, match=message):
        call()


def test_every_public_name_exists():
    assert all(callable(getattr(pg_basis, name)) for name in pg_basis.__all__)
