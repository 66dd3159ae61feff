"""Cross-validation from fold moments equals fitting and predicting rows, fold by fold."""

import numpy as np
import pytest
from helpers import Counting
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Lasso, LassoCV, Ridge

import streamreg as sr
from streamreg.errors import UsageError
from streamreg.models import cross_validation

RNG = np.random.default_rng(11)
N, P, K = 300, 8, 5
X = RNG.standard_normal((N, P)) @ (np.eye(P) + 0.5 * RNG.standard_normal((P, P))) + 2
Y = X @ np.array([1.0, 0, 0, 2, 0, -1, 0, 0]) + 4 + 2 * RNG.standard_normal(N)
W = RNG.uniform(0.1, 4, N)
FOLD = RNG.integers(0, K, N)


def folds(x=X, y=Y, w=None, fold=FOLD):
    return {
        int(k): sr.scan(
            sr.open((x[fold == k], y[fold == k]) if w is None else (x[fold == k], y[fold == k], w[fold == k])),
            progress=False,
            threads=1,
        )
        for k in np.unique(fold)
    }


def brute(fit, w=None, x=X, y=Y, fold=FOLD):
    """Mean squared errors of `fit(x, y, w)(x)`, shape (candidates, folds), and fold weights."""
    weight = np.ones(len(y)) if w is None else w
    columns, sizes = [], []
    for k in np.unique(fold):
        out = fold == k
        predict = fit(x[~out], y[~out], None if w is None else w[~out])
        columns.append([np.average((y[out] - line) ** 2, weights=weight[out]) for line in predict(x[out])])
        sizes.append(weight[out].sum())
    return np.array(columns).T, np.array(sizes)


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("intercept", [True, False])
def test_lasso_and_ridge_equal_brute_force(weighted, intercept):
    w = W if weighted else None
    for l1_ratio in (1.0, 0.0):
        path = sr.Penalised(l1_ratio=l1_ratio, alphas=7, intercept=intercept).cross_validate(folds(w=w))

        def fit(x, y, w, path=path, l1_ratio=l1_ratio):
            total = len(y) if w is None else w.sum()
            lines = [
                Lasso(a, tol=1e-13, max_iter=10**6, fit_intercept=intercept)
                if l1_ratio
                else Ridge(a * total, solver="cholesky", fit_intercept=intercept)
                for a in path.alphas
            ]
            for line in lines:
                line.fit(x, y, sample_weight=w)
            return lambda new: [line.predict(new) for line in lines]

        errors, sizes = brute(fit, w)
        np.testing.assert_allclose(path.fold_errors, errors, rtol=1e-9)
        np.testing.assert_allclose(path.fold_weights, sizes, rtol=1e-12)
        mean = errors @ sizes / sizes.sum()
        se = np.sqrt((errors - mean[:, None]) ** 2 @ sizes / sizes.sum() / (K - 1))
        np.testing.assert_allclose(path.cv, mean, rtol=1e-9)
        np.testing.assert_allclose(path.cv_std_error, se, rtol=1e-7)
        assert path.best() == np.argmin(mean)
        assert path.one_standard_error() == np.flatnonzero(mean <= mean.min() + se[np.argmin(mean)])[0]
        whole = sr.Penalised(l1_ratio=l1_ratio, alphas=7, intercept=intercept).fit(
            sr.open((X, Y) if w is None else (X, Y, w))
        )
        np.testing.assert_allclose(path.coef, whole.coef, rtol=1e-9, atol=1e-12)


def test_the_chosen_penalty_is_that_of_lasso_cv():
    path = sr.Penalised(alphas=50).cross_validate(folds())
    splits = [(np.flatnonzero(k != FOLD), np.flatnonzero(k == FOLD)) for k in range(K)]
    ref = LassoCV(alphas=path.alphas, cv=splits, tol=1e-12, max_iter=10**6).fit(X, Y)
    np.testing.assert_allclose(path.fold_errors, ref.mse_path_, rtol=1e-8)
    again = np.argmin(ref.mse_path_ @ path.fold_weights)
    assert path.best() == again


def test_listed_subsets_equal_brute_force():
    listed = ((), ("x0",), ("x0", "x3"), ("x3", "x5", "x0", "x1"))
    found = sr.Subsets(candidates=listed).cross_validate(folds())
    columns = [[], [0], [0, 3], [0, 1, 3, 5]]

    def fit(x, y, w):
        lines = [np.linalg.lstsq(np.column_stack([np.ones(len(x)), x[:, c]]), y, rcond=None)[0] for c in columns]
        return lambda new: [
            np.column_stack([np.ones(len(new)), new[:, c]]) @ b for c, b in zip(columns, lines, strict=True)
        ]

    np.testing.assert_allclose(found.fold_errors, brute(fit)[0], rtol=1e-9)


@pytest.mark.parametrize("method", ["forward", "backward", "best"])
def test_a_search_is_repeated_within_every_training_set(method):
    found = sr.Subsets(method=method).cross_validate(folds())

    def fit(x, y, w):
        inner = sr.Subsets(method=method).fit((x, y))
        return lambda new: list(inner.predict(new).T)

    np.testing.assert_allclose(found.fold_errors, brute(fit)[0], rtol=1e-9)
    assert set(found.features(found.best())) >= {"x0", "x3", "x5"}


def test_leave_one_out_is_press():
    small = slice(0, 40)
    x, y = X[small], Y[small]
    path = sr.Penalised(alphas=(0.0,)).cross_validate(folds(x, y, fold=np.arange(40)))
    design = np.column_stack([np.ones(40), x])
    hat = design @ np.linalg.pinv(design)
    press = (((y - hat @ y) / (1 - np.diag(hat))) ** 2).mean()
    np.testing.assert_allclose(path.cv, press, rtol=1e-9)


@pytest.mark.parametrize("offset", [1e6, 1e9])
def test_offsets_cost_no_digits(offset):
    x, y = np.round(X, 3), np.round(Y, 3)
    near = sr.Penalised(alphas=5).cross_validate(folds(x, y))
    far = sr.Penalised(alphas=tuple(near.alphas)).cross_validate(folds(x + offset, y + offset))
    np.testing.assert_allclose(far.fold_errors, near.fold_errors, rtol=1e-6 if offset == 1e9 else 1e-9)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), k=st.integers(2, 9))
def test_training_sets_are_merges_of_the_other_folds(seed, k):
    rng = np.random.default_rng(seed)
    fold = np.concatenate([np.arange(k), rng.integers(0, k, 60)])
    parts = list(folds(X[: k + 60], Y[: k + 60], fold=fold).values())
    before = [part.to_arrays() for part in parts]
    for out, state in enumerate(cross_validation.training(parts)):
        rows = fold != out
        total = state.total()
        table = np.column_stack([X[: k + 60], Y[: k + 60]])[rows]
        assert state.n == rows.sum()
        np.testing.assert_allclose(total.mean[0], table.mean(0), rtol=1e-12)
        np.testing.assert_allclose(
            total.cross, (table - table.mean(0)).T @ (table - table.mean(0)), rtol=1e-9, atol=1e-9
        )
    for part, arrays in zip(parts, before, strict=True):
        assert all(np.array_equal(a, arrays[name]) for name, a in part.to_arrays().items())


def test_a_column_that_is_constant_in_one_fold_or_in_the_others():
    x = X.copy()
    x[FOLD != 2, 7] = 1.0
    path = sr.Penalised(alphas=4).cross_validate(folds(x))

    def fit(x, y, w):
        lines = [Lasso(a, tol=1e-13, max_iter=10**6).fit(x, y) for a in path.alphas]
        return lambda new: [line.predict(new) for line in lines]

    np.testing.assert_allclose(path.fold_errors, brute(fit, x=x)[0], rtol=1e-9)


def test_no_row_is_read_and_what_cannot_be_is_refused():
    parts = folds()
    assert sr.Penalised(alphas=3).cross_validate(list(parts.values())).passes == 0
    with pytest.raises(UsageError, match="two folds or more"):
        sr.Penalised().cross_validate([parts[0]])
    with pytest.raises(UsageError, match="kept no rows apart"):
        sr.Penalised().cross_validate(parts[0])
    with pytest.raises(UsageError, match="different columns"):
        sr.Penalised().cross_validate([parts[0], sr.scan(sr.open((X[:, :2], Y)), progress=False)])
    with pytest.raises(UsageError, match="not as ndarray"):
        sr.Penalised().cross_validate([X, Y])
    text = sr.Penalised(alphas=30).cross_validate(parts).summary()
    for word in ("CV error", "Simplest within one standard error", "20 of 30 candidates"):
        assert word in text


def test_a_path_with_its_cross_validation_takes_one_pass(tmp_path):
    source = Counting(sr.open((X, Y, W)))
    scanned = sr.scan(source, folds=4, progress=False)
    path = sr.Penalised(alphas=6).cross_validate(scanned)
    assert (source.reads == 1).all()
    assert path.fold_errors.shape == (6, 4)
    scanned.save(tmp_path / "scan.moments")
    again = sr.Penalised(alphas=6).cross_validate(tmp_path / "scan.moments")
    np.testing.assert_array_equal(again.fold_errors, path.fold_errors)
    # From the folds together, the same path as from a scan without folds.
    plain = sr.Penalised(alphas=6).fit(sr.open((X, Y, W)))
    np.testing.assert_allclose(path.coef, plain.coef, rtol=1e-9, atol=1e-12)
