"""Robust errors and joint tests of nearly dependent columns, of few clusters, and of lines that were selected."""

import mpmath as mp
import numpy as np
import pytest
import statsmodels.api as sm

import streamreg as sr
from streamreg.errors import UsageError
from streamreg.inference.covariance import Geometry

N = 40
NAMES = ("a", "b", "c")


def exact(rows: np.ndarray) -> mp.matrix:
    return mp.matrix([[mp.mpf(float(v)) for v in row] for row in rows])


def reference(x: np.ndarray, y: np.ndarray, groups: np.ndarray) -> dict[str, mp.matrix]:
    """Return the covariances of intercept and slopes in 60 digits."""
    n, k = len(y), x.shape[1] + 1
    design, target = exact(np.column_stack([np.ones(n), x])), exact(y[:, None])
    inverse = (design.T * design) ** -1
    residual = target - design * (inverse * (design.T * target))
    meat = {kind: mp.matrix(k, k) for kind in ("HC1", "HC3", "cluster")}
    sums: dict[int, mp.matrix] = {}
    for i in range(n):
        row = design[i, :].T
        leverage = (row.T * inverse * row)[0]
        meat["HC1"] += row * row.T * residual[i] ** 2 * mp.mpf(n) / (n - k)
        meat["HC3"] += row * row.T * (residual[i] / (1 - leverage)) ** 2
        sums[int(groups[i])] = sums.get(int(groups[i]), mp.matrix(k, 1)) + row * residual[i]
    many = mp.mpf(len(sums))
    for score in sums.values():
        meat["cluster"] += score * score.T * many / (many - 1) * mp.mpf(n - 1) / (n - k)
    return {kind: inverse * m * inverse for kind, m in meat.items()}


@pytest.mark.parametrize("precision", ["auto", "float64"])
@pytest.mark.parametrize(("power", "offset"), [(0, 0.0), (3, 1e6), (3, 1e9), (5, 0.0), (7, 1e3), (9, 0.0), (12, 0.0)])
def test_errors_of_nearly_dependent_columns_have_the_digits_they_promise(power, offset, precision):
    random = np.random.default_rng(power)
    x = random.normal(size=(N, 3))
    x[:, 1] = 2 * x[:, 0] + 10.0**-power * random.normal(size=N)
    x += offset * np.array([1.0, 2.0, -1.0])
    y, groups = x[:, 0] + random.normal(size=N), random.integers(0, 9, N)
    data = sr.open((np.column_stack([x, groups]), y), columns=[*NAMES, "g"])
    fit = sr.Linear(features=NAMES, precision=precision).fit(data)
    if fit.rank < 3:
        assert precision == "float64"
        return
    with mp.workdps(60):
        covariances = reference(x, y, groups)
    for kind, cov in covariances.items():
        found = sr.robust(fit, data, {"cluster": "g"} if kind == "cluster" else kind)
        want = np.array([float(mp.sqrt(cov[j, j])) for j in range(4)])
        errors = np.append(found.intercept_std_error, found.std_errors)
        true = -np.log10(max(np.abs(errors / want - 1).max(), 1e-16))
        assert true >= min(found.digits_se, 14.0) - 0.3
        assert precision == "float64" or true >= min(13.0, 15.0 - power)
        test = sr.wald_test(found, "a = 0, b = 1")
        with mp.workdps(60):
            rest = exact(np.array([[found.coef[0]], [found.coef[1] - 1.0]]))
            f = float((rest.T * cov[1:3, 1:3] ** -1 * rest)[0] / 2)
        close = -np.log10(max(abs(test.fvalue - f) / max(f, 1.0), 1e-16))
        assert fit.method != "exact" or close >= min(test.digits, 14.0) - 0.3


def few(clusters: int, seed: int):
    random = np.random.default_rng(seed)
    x = np.column_stack([random.normal(size=(60, 4)) * [1, 100, 0.01, 1], random.integers(0, clusters, 60)])
    return sr.open((x, random.normal(size=60)), columns=["a", "b", "c", "d", "g"])


@pytest.mark.parametrize("clusters", [2, 3, 4, 5, 9])
def test_joint_tests_need_as_many_clusters(clusters):
    for seed in range(8):
        fit = sr.Linear(features=("a", "b", "c", "d"), errors={"cluster": "g"}).fit(few(clusters, seed))
        assert np.isfinite(fit.std_errors).all()
        assert np.isfinite(fit.fvalue) == np.isfinite(fit.f_pvalue) == (clusters - 1 >= 4)
        if clusters - 1 < 4:
            assert f"{clusters} clusters of 'g'" in fit.no_f
            assert fit.no_f in fit.summary().replace("\n", " ")
            with pytest.raises(UsageError, match=f"has rank {clusters - 1} .*clusters of 'g'"):
                sr.wald_test(fit, "a = 0, b = 0, c = 0, d = 0")
        if clusters - 1 >= 2:
            assert np.isfinite(sr.wald_test(fit, "a = 0, b = 0").fvalue)


def test_dummies_of_single_rows_have_no_residuals_of_their_own():
    random = np.random.default_rng(0)
    rows = np.arange(50)
    x = np.column_stack([random.normal(size=(50, 2)), rows == 7, rows == 11, rows == 20])
    fit = sr.Linear(errors="HC1").fit((x, random.normal(size=50)))
    assert np.isnan([fit.fvalue, fit.f_pvalue]).all()
    assert "rank 3" in fit.no_f
    with pytest.raises(UsageError, match="rank 3"):
        sr.wald_test(fit, "x0 = 0, x1 = 0, x2 = 0, x3 = 0")
    assert np.isfinite(sr.wald_test(fit, "x0 = 0, x1 = 0").fvalue)


def test_f_of_selected_and_penalised_lines_is_withheld():
    random = np.random.default_rng(1)
    data = sr.open((random.normal(size=(80, 12)), random.normal(size=80)))
    moments = sr.scan(data)
    path, subsets = sr.Penalised(alphas=6).fit(moments), sr.Subsets(method="forward").fit(moments)
    fits = [path.candidate(3), subsets.candidate(4), sr.Linear(ridge=1.0).fit(data)]
    for fit in fits:
        assert np.isnan([fit.fvalue, fit.f_pvalue]).all()
        assert "withheld" in fit.no_f
        assert "withheld" in fit.summary()
    assert np.isfinite(sr.Linear().fit(data).fvalue)
    assert not sr.Linear().fit(data).no_f


def dummies(random: np.random.Generator) -> np.ndarray:
    return np.column_stack([np.arange(90) % 3 == k for k in range(3)] + [random.normal(size=90)]).astype(float)


@pytest.mark.parametrize("precision", ["auto", "exact"])
@pytest.mark.parametrize("shift", [0.0, 1e5])
def test_r2_without_intercept_is_about_the_mean_where_the_columns_hold_a_constant(precision, shift):
    random = np.random.default_rng(2)
    x = dummies(random)
    y = x @ [1.0, 2.0, 3.0, 0.5] + random.normal(size=90) + shift
    for columns, constant in ((x, True), (x[:, 1:], False), (np.column_stack([x[:, 3], np.full(90, 7.0)]), True)):
        fit = sr.Linear(intercept=False, precision=precision).fit((columns, y))
        ref = sm.OLS(y, columns).fit()
        assert fit.constant is constant
        assert fit.about_mean is constant
        found = [fit.rsquared, fit.rsquared_adj, fit.fvalue, fit.f_pvalue]
        np.testing.assert_allclose(found, [ref.rsquared, ref.rsquared_adj, ref.fvalue, ref.f_pvalue], rtol=1e-7)
        assert ("R2 about zero" in fit.summary()) is not constant
    assert not sr.Linear().fit((x[:, 1:], y)).constant


def test_fits_that_were_saved_without_the_factor_still_test(tmp_path):
    random = np.random.default_rng(3)
    data = sr.open((random.normal(size=(60, 4)), random.normal(size=60)))
    fit = sr.Linear().fit(data)
    fit.save(tmp_path / "a.npz")
    again = sr.FitResult.load(tmp_path / "a.npz")
    kept = ("gram", "inverse", "kept", "scale", "exponent", "null_space", "weight", "offset")
    earlier = Geometry(*(getattr(fit.geometry, name) for name in kept))
    np.testing.assert_allclose(earlier.root, fit.geometry.root, atol=1e-14)
    for name in ("HC3", {"newey_west": 2}):
        np.testing.assert_array_equal(sr.robust(again, data, name).std_errors, sr.robust(fit, data, name).std_errors)
    assert sr.wald_test(again, "x0 = x1").fvalue == sr.wald_test(fit, "x0 = x1").fvalue
