"""Subsets from moments equal a search over the rows."""

from itertools import combinations

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

import streamreg as sr
from streamreg.errors import NotFound, UsageError

RNG = np.random.default_rng(3)
N, P = 120, 9
X = RNG.standard_normal((N, P)) @ (np.eye(P) + 0.7 * RNG.standard_normal((P, P))) + 1
Y = X[:, [0, 2, 5]] @ [1.0, -1.0, 0.5] + 2 * RNG.standard_normal(N)


def moments(x=X, y=Y, w=None):
    return sr.scan(sr.open((x, y) if w is None else (x, y, w)), progress=False, threads=1)


def rss(x, y, columns):
    design = np.column_stack([np.ones(len(x)), x[:, list(columns)]])
    return float(np.sum((y - design @ np.linalg.lstsq(design, y, rcond=None)[0]) ** 2))


def columns(found, k):
    return set(np.flatnonzero(found.included[k]).tolist())


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    p=st.integers(1, 8),
    n=st.integers(12, 60),
    signal=st.sampled_from([0.0, 1.0]),
    kept=st.integers(0, 2),
    size=st.integers(2, 8),
)
def test_best_subset_is_the_best_of_all(seed, p, n, signal, kept, size):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, p)) @ (np.eye(p) + rng.standard_normal((p, p)))
    y = signal * x @ np.where(rng.random(p) < 0.5, 1.0, 0.0) + rng.standard_normal(n)
    keep = tuple(f"x{k}" for k in rng.permutation(p)[: min(kept, p)])
    found = sr.Subsets(size=size, keep=keep).fit(moments(x, y))
    forced = {int(name[1:]) for name in keep}
    assert found.included.sum(axis=1).tolist() == list(range(len(forced), min(size, p) + 1))
    for k in range(len(found)):
        assert forced <= columns(found, k)
        every = [c for c in combinations(range(p), len(columns(found, k))) if forced <= set(c)]
        np.testing.assert_allclose(found.rss[k], min(rss(x, y, c) for c in every), rtol=1e-9)
        np.testing.assert_allclose(found.rss[k], rss(x, y, columns(found, k)), rtol=1e-9)


def test_forward_selection_adds_what_helps_most():
    found = sr.Subsets(method="forward", keep=("x8",)).fit(moments())
    chosen = {8}
    for k in range(len(found)):
        assert columns(found, k) == chosen
        if k + 1 < len(found):
            chosen = chosen | {min(set(range(P)) - chosen, key=lambda j: rss(X, Y, {*chosen, j}))}


def test_backward_elimination_drops_what_hurts_least():
    found = sr.Subsets(method="backward", keep=("x8",)).fit(moments())
    left = set(range(P))
    for k in reversed(range(len(found))):
        assert columns(found, k) == left
        if left - {8}:
            left = left - {min(left - {8}, key=lambda j: rss(X, Y, left - {j}))}
    assert columns(found, 0) == {8}


@pytest.mark.parametrize("weighted", [True, False])
def test_criteria_are_those_of_statsmodels(weighted):
    w = RNG.uniform(0.2, 3, N) if weighted else None
    found = sr.Subsets().fit(moments(w=w))
    fit = lambda x: (sm.WLS(Y, x, weights=w) if weighted else sm.OLS(Y, x)).fit()  # noqa: E731
    full = fit(sm.add_constant(X))
    for k in (0, 3, P):
        ref = fit(np.column_stack([np.ones(N), X[:, found.included[k]]]))
        np.testing.assert_allclose(found.aic[k], ref.aic, rtol=1e-10)
        np.testing.assert_allclose(found.bic[k], ref.bic, rtol=1e-10)
        np.testing.assert_allclose(found.cp[k], ref.ssr / full.scale - N + 2 * (k + 1), rtol=1e-9, atol=1e-8)
        np.testing.assert_allclose(found.coef[k][found.included[k]], ref.params[1:], rtol=1e-8)
    line = sr.Linear(features=found.features(3)).fit(moments(w=w))
    np.testing.assert_allclose(line.coef, found.coef[3][found.included[3]], rtol=1e-9)
    assert set(found.features()) == {"x0", "x2", "x5"}


def test_frequency_weights_count_as_rows():
    counts = RNG.integers(1, 4, N).astype(float)
    one = sr.Subsets(weight_kind="frequency").fit(moments(w=counts))
    two = sr.Subsets().fit(moments(np.repeat(X, counts.astype(int), axis=0), np.repeat(Y, counts.astype(int))))
    np.testing.assert_allclose(one.bic, two.bic, rtol=1e-10)
    np.testing.assert_allclose(one.cp, two.cp, rtol=1e-8, atol=1e-7)


@pytest.mark.parametrize("method", ["best", "forward", "backward"])
def test_dependent_and_constant_columns_are_left_out(method):
    x = np.column_stack([X[:, :4], X[:, 0] + X[:, 1], np.full(N, 3.0), 2 * X[:, 2]])
    found = sr.Subsets(method=method).fit(moments(x, Y))
    assert found.included.sum(axis=1).tolist() == [0, 1, 2, 3, 4]
    assert not found.included[:, 5].any()
    np.testing.assert_allclose(found.rss[-1], rss(x, Y, range(4)), rtol=1e-9)
    listed = sr.Subsets(candidates=(("x0", "x1", "x4"), ("x2", "x6"))).fit(moments(x, Y))
    assert listed.df.tolist() == [1, 2]
    np.testing.assert_allclose(listed.rss, [rss(x, Y, (2,)), rss(x, Y, (0, 1))], rtol=1e-9)


@pytest.mark.parametrize("method", ["best", "forward", "backward"])
def test_fewer_rows_than_columns(method):
    found = sr.Subsets(method=method).fit(moments(X[:6], Y[:6]))
    assert found.included.sum(axis=1).max() == 5
    np.testing.assert_allclose(found.rss[-1], 0, atol=1e-20 + 1e-9 * found.tss)
    assert np.isnan(found.cp).all()


def test_thirty_columns_are_searched_and_more_are_refused():
    x = RNG.standard_normal((200, 31)) + RNG.standard_normal((200, 1))
    y = x[:, :5].sum(axis=1) + RNG.standard_normal(200)
    found = sr.Subsets(features=tuple(f"x{k}" for k in range(30))).fit(moments(x, y))
    assert len(found) == 31
    assert set(found.features()) >= {"x0", "x1", "x2", "x3", "x4"}
    with pytest.raises(UsageError, match="31 features would take too long"):
        sr.Subsets().fit(moments(x, y))


@pytest.mark.parametrize("method", ["best", "forward", "backward"])
def test_nothing_to_choose_from(method):
    for found in (
        sr.Subsets(method=method, features=()).fit(moments()),
        sr.Subsets(method=method).fit(moments(X[:1], Y[:1])),
    ):
        assert len(found) == 1
        assert found.features(0) == ()
        assert "0: none" in found.summary()


def test_what_cannot_be_is_refused():
    with pytest.raises(NotFound, match=r"keep: no feature 'x77'; did you mean 'x7'"):
        sr.Subsets(keep=("x77",)).fit(moments())
    with pytest.raises(UsageError, match="raise size"):
        sr.Subsets(keep=("x1", "x2"), size=1).fit(moments())
    with pytest.raises(UsageError, match="candidates is empty"):
        sr.Subsets(candidates=()).fit(moments())


def test_save_and_load(tmp_path):
    found = sr.Subsets(method="forward").fit(moments())
    found.save(tmp_path / "found.npz")
    again = sr.Selection.load(tmp_path / "found.npz")
    assert again.summary() == found.summary()
    assert again.features() == found.features()
    assert "Least BIC: 3: x0 x2 x5" in found.summary()
