"""Penalty paths from moments: scikit-learn's numbers on the raw rows, and the laws of the minimum."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls
from sklearn.linear_model import ElasticNet, Lasso, LinearRegression, Ridge
from sklearn.preprocessing import StandardScaler

import streamreg as sr
from streamreg.errors import CorruptError, NotFound, UsageError
from streamreg.stats.integer_moments import IntegerMoments

RNG = np.random.default_rng(7)
N, P = 400, 15
X = RNG.standard_normal((N, P)) @ (np.eye(P) + 0.6 * RNG.standard_normal((P, P))) * RNG.uniform(0.2, 5, P) + 3
Y = X @ np.where(RNG.random(P) < 0.5, RNG.standard_normal(P), 0.0) + 1 + 2 * RNG.standard_normal(N)
W = RNG.uniform(0.1, 4, N)


def moments(x=X, y=Y, w=None):
    return sr.scan(sr.open((x, y) if w is None else (x, y, w)), progress=False, threads=1)


def objective(x, y, w, intercept, coef, alpha, l1_ratio, unit):
    """The penalised objective on the rows."""
    w = np.ones(len(y)) if w is None else w
    residual = y - intercept - x @ coef
    penalty = l1_ratio * np.abs(coef * unit).sum() + 0.5 * (1 - l1_ratio) * np.sum((coef * unit) ** 2)
    return w @ residual**2 / (2 * w.sum()) + alpha * penalty


@pytest.mark.parametrize("l1_ratio", [1.0, 0.7, 0.01])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("nonnegative", [True, False])
def test_lasso_and_elastic_net_are_those_of_scikit_learn_on_the_rows(l1_ratio, intercept, weighted, nonnegative):
    w = W if weighted else None
    path = sr.Penalised(l1_ratio=l1_ratio, intercept=intercept, nonnegative=nonnegative, alphas=9).fit(moments(w=w))
    kind = Lasso if l1_ratio == 1 else ElasticNet
    options = {} if l1_ratio == 1 else {"l1_ratio": l1_ratio}
    for k in (1, 4, 8):
        ref = kind(path.alphas[k], fit_intercept=intercept, positive=nonnegative, tol=1e-13, max_iter=10**6, **options)
        ref.fit(X, Y, sample_weight=w)
        np.testing.assert_allclose(path.coef[k], ref.coef_, rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(path.intercept[k], ref.intercept_, rtol=1e-7, atol=1e-7)
        np.testing.assert_allclose(path.predict(X)[:, k], ref.predict(X), rtol=1e-7, atol=1e-7)
        rss = np.average((Y - ref.predict(X)) ** 2, weights=w) * (W.sum() if weighted else N)
        np.testing.assert_allclose(path.rss[k], rss, rtol=1e-9)
        mine, theirs = (
            objective(X, Y, w, b0, b, path.alphas[k], l1_ratio, 1.0)
            for b0, b in ((path.intercept[k], path.coef[k]), (ref.intercept_, ref.coef_))
        )
        assert mine <= theirs * (1 + 1e-14)


@pytest.mark.parametrize("weighted", [True, False])
def test_ridge_is_that_of_scikit_learn(weighted):
    w = W if weighted else None
    total = W.sum() if weighted else N
    path = sr.Penalised(l1_ratio=0.0, alphas=(0.001, 0.1, 10.0)).fit(moments(w=w))
    assert path.alphas.tolist() == [10.0, 0.1, 0.001]
    for k, alpha in enumerate(path.alphas):
        ref = Ridge(alpha * total, solver="cholesky").fit(X, Y, sample_weight=w)
        np.testing.assert_allclose(path.coef[k], ref.coef_, rtol=1e-9)
        line = sr.Linear(ridge=alpha * total).fit(moments(w=w))
        np.testing.assert_allclose(path.coef[k], line.coef, rtol=1e-11)
        np.testing.assert_allclose(path.rss[k], line.rss, rtol=1e-10)
        root = np.sqrt(np.ones(N) if w is None else w)[:, None]
        centred = (X - np.average(X, axis=0, weights=w)) * root
        hat = centred @ np.linalg.solve(centred.T @ centred + alpha * total * np.eye(P), centred.T)
        np.testing.assert_allclose(path.df[k], np.trace(hat), rtol=1e-10)
    assert np.isinf(path.lambda_max)
    default = sr.Penalised(l1_ratio=0.0, alphas=7).fit(moments())
    variance = X.var(axis=0).mean()
    np.testing.assert_allclose(default.alphas, np.geomspace(1e3, 1e-3, 7) * variance, rtol=1e-10)
    tall = sr.Penalised(l1_ratio=0.0, alphas=7).fit(moments(X, Y * 1e3))
    np.testing.assert_allclose(tall.df, default.df, rtol=1e-10)


def test_standardised_penalties_are_those_of_the_standard_scaler():
    for l1_ratio in (1.0, 0.5, 0.0):
        path = sr.Penalised(l1_ratio=l1_ratio, standardise=True, alphas=6).fit(moments())
        scaler = StandardScaler().fit(X)
        for k in (1, 3, 5):
            if l1_ratio:
                ref = ElasticNet(path.alphas[k], l1_ratio=l1_ratio, tol=1e-13, max_iter=10**6)
            else:
                ref = Ridge(path.alphas[k] * N, solver="cholesky")
            ref.fit(scaler.transform(X), Y)
            np.testing.assert_allclose(path.coef[k], ref.coef_ / scaler.scale_, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("intercept", [True, False])
def test_without_a_penalty_it_is_least_squares(intercept):
    path = sr.Penalised(alphas=(0.0,), intercept=intercept).fit(moments())
    fit = sr.Linear(intercept=intercept).fit(moments())
    np.testing.assert_allclose(path.coef[0], fit.coef, rtol=1e-14)
    assert path.df[0] == P
    np.testing.assert_allclose(path.aic[0], fit.aic, rtol=1e-12)
    np.testing.assert_allclose(path.bic[0], fit.bic, rtol=1e-12)
    np.testing.assert_allclose(path.cp[0], P + intercept, rtol=1e-8)


@pytest.mark.parametrize("intercept", [True, False])
def test_non_negative_least_squares_is_that_of_scipy(intercept):
    path = sr.Penalised(nonnegative=True, alphas=(0.0,), intercept=intercept).fit(moments())
    x, y = (X - X.mean(0), Y - Y.mean()) if intercept else (X, Y)
    np.testing.assert_allclose(path.coef[0], nnls(x, y)[0], rtol=1e-9, atol=1e-12)
    assert (path.coef[0] == 0).any()
    ref = LinearRegression(positive=True, fit_intercept=intercept).fit(X, Y)
    np.testing.assert_allclose(path.intercept[0], ref.intercept_, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("nonnegative", [True, False])
@pytest.mark.parametrize("standardise", [True, False])
def test_at_lambda_max_all_is_zero_and_just_below_it_is_not(nonnegative, standardise):
    options = {"nonnegative": nonnegative, "standardise": standardise}
    top = sr.Penalised(**options).fit(moments()).lambda_max
    path = sr.Penalised(alphas=(top, top * (1 - 1e-6)), **options).fit(moments())
    assert not path.coef[0].any()
    assert np.count_nonzero(path.coef[1]) == 1
    assert path.df.tolist() == [0, 1]


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(2, 40),
    p=st.integers(1, 20),
    weighted=st.booleans(),
    nonnegative=st.booleans(),
    standardise=st.booleans(),
    l1_ratio=st.sampled_from([1.0, 0.5]),
    kind=st.sampled_from(["plain", "dependent", "constant", "integers", "offset"]),
)
def test_the_optimality_conditions_hold_whatever_the_data(
    seed, n, p, weighted, nonnegative, standardise, l1_ratio, kind
):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, p)) * 10.0 ** rng.integers(-2, 3, p)
    if kind == "dependent":
        x[:, p // 2 :] = x[:, : p - p // 2] @ rng.integers(-2, 3, (p - p // 2, p - p // 2))
    elif kind == "constant":
        x[:, :: max(p // 2, 1)] = 7.0
    elif kind == "integers":
        x = rng.integers(0, 3, (n, p)).astype(float)
    elif kind == "offset":
        x = np.round(x, 2) + 1e6
    y = x @ rng.standard_normal(p) + rng.standard_normal(n)
    w = rng.uniform(0.1, 3, n) if weighted else None
    spec = sr.Penalised(l1_ratio=l1_ratio, nonnegative=nonnegative, standardise=standardise, alphas=12)
    path = spec.fit(moments(x, y, w))
    assert path.status == "ok"
    share = np.full(n, 1 / n) if w is None else w / w.sum()
    xc, yc = x - share @ x, y - share @ y
    deviation = np.sqrt(share @ xc**2)
    unit = deviation if standardise else np.ones(p)
    for alpha, b in zip(path.alphas, path.coef, strict=True):
        residual = yc - xc @ b
        gradient = (share * residual) @ xc - alpha * (1 - l1_ratio) * unit**2 * b
        limit = alpha * l1_ratio * unit
        slack = 1e-9 * deviation * np.sqrt(share @ yc**2) + 1e-300
        if kind == "offset":
            slack = slack * 1e3
        active = b != 0
        assert (np.abs(gradient - limit * np.sign(b))[active] <= slack[active]).all()
        assert ((gradient if nonnegative else np.abs(gradient))[~active] <= (limit + slack)[~active]).all()
        assert not nonnegative or (b >= 0).all()


def test_a_constant_target_and_no_features():
    path = sr.Penalised().fit(moments(X, np.full(N, 5.0)))
    assert path.alphas.tolist() == [0.0]
    assert path.lambda_max == 0
    np.testing.assert_allclose(path.coef, 0, atol=1e-12)
    np.testing.assert_allclose(path.intercept, 5.0)
    none = sr.Penalised(features=()).fit(moments())
    assert none.coef.shape == (1, 0)
    np.testing.assert_allclose(none.intercept, Y.mean())


@pytest.mark.parametrize("unit", [1e-120, 1e120])
def test_units_of_columns_do_not_matter_to_standardised_penalties(unit):
    plain = sr.Penalised(standardise=True, alphas=8).fit(moments())
    scaled = sr.Penalised(standardise=True, alphas=8).fit(moments(X * [unit, *[1.0] * (P - 1)], Y))
    np.testing.assert_allclose(scaled.coef[:, 0] * unit, plain.coef[:, 0], rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(scaled.coef[:, 1:], plain.coef[:, 1:], rtol=1e-9, atol=1e-14)


def test_penalties_beyond_float64_are_refused():
    with pytest.raises(UsageError, match="use standardise=True, or rescale"):
        sr.Penalised().fit(moments(X * 1e160, Y * 1e160))
    path = sr.Penalised(standardise=True, alphas=5).fit(moments(X * 1e160, Y * 1e160))
    np.testing.assert_allclose(path.coef, sr.Penalised(standardise=True, alphas=5).fit(moments()).coef, rtol=1e-9)


def test_one_of_the_candidates_as_a_result(tmp_path):
    path = sr.Penalised(alphas=20).fit(sr.open((X, Y, W)))
    assert path.passes == 1
    assert len(path) == 20
    fit = path.at(path.alphas[5])
    assert np.array_equal(fit.coef, path.coef[5])
    np.testing.assert_allclose(fit.predict(X), path.predict(X)[:, 5], rtol=1e-13)
    np.testing.assert_allclose(fit.aic, path.aic[5] + 2 * (fit.rank - path.df[5]), rtol=1e-12)
    assert np.isnan(fit.std_errors).all()
    assert "penalised fit" in fit.summary()
    fit.save(tmp_path / "fit.npz")
    assert np.array_equal(sr.FitResult.load(tmp_path / "fit.npz").coef, fit.coef)
    assert path.candidate().rank == np.count_nonzero(path.coef[path.best("bic")])
    with pytest.raises(UsageError, match=r"not on this path \(nearest"):
        path.at(path.alphas[3] * 1.001)
    with pytest.raises(UsageError, match="cross-validate first"):
        path.best("cv")
    with pytest.raises(UsageError, match="not by 'r2'"):
        path.best("r2")
    with pytest.raises(sr.DataError, match=r"shape \(rows, 15\)"):
        path.predict(X[:, :2])


def test_save_and_load(tmp_path):
    path = sr.Penalised(l1_ratio=0.5, alphas=5).fit(moments(w=W))
    path.save(tmp_path / "path.npz")
    again = sr.PenaltyPath.load(tmp_path / "path.npz")
    assert again.summary() == path.summary()
    assert np.array_equal(again.predict(X), path.predict(X))
    assert sr.Penalised(**{k: v for k, v in again.model.items() if k != "kind"}) == sr.Penalised(l1_ratio=0.5, alphas=5)
    assert json.loads(json.dumps(path.to_dict()))["alphas"] == path.alphas.tolist()
    with pytest.raises(CorruptError, match="not a subsets"):
        sr.Selection.load(tmp_path / "path.npz")


def test_what_cannot_be_is_refused():
    for wrong in ({"l1_ratio": 1.5}, {"alphas": (-1.0,)}, {"alphas": 0}, {"eps": 1.0}, {"alpha": 1.0}):
        with pytest.raises(UsageError):
            sr.Penalised(**wrong)
    with pytest.raises(NotFound, match="no column 'z'"):
        sr.Penalised(target="z").fit(moments())
    with pytest.raises(UsageError, match="needs Moments"):
        sr.Penalised().fit(IntegerMoments(["a", "b"]))


def test_more_columns_than_rows():
    path = sr.Penalised(alphas=30, eps=1e-4).fit(moments(X[:8], Y[:8]))
    assert path.df.max() <= 7
    assert np.isnan(path.cp).all()
    ref = Lasso(path.alphas[10], tol=1e-13, max_iter=10**6).fit(X[:8], Y[:8])
    np.testing.assert_allclose(path.predict(X[:8])[:, 10], ref.predict(X[:8]), atol=1e-6)
    with pytest.raises(UsageError, match="more rows than independent columns"):
        path.best("cp")
