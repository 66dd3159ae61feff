"""A fit for each group from one pass, and the Chow test."""

import json

import numpy as np
import pytest
import statsmodels.api as sm
from helpers import Counting

import streamreg as sr
from streamreg.errors import DataError, UsageError

RNG = np.random.default_rng(4)
N, P, G = 3000, 4, 6
X = RNG.standard_normal((N, P)) + 2
LEVEL = RNG.integers(0, G, N)
W = RNG.uniform(0.5, 2, N)
Y = X @ np.arange(1, P + 1) + 0.1 * LEVEL * X[:, 0] + RNG.standard_normal(N)
NAMES = [*(f"x{k}" for k in range(P)), "country", "y", "w"]
TABLE = np.column_stack([X, LEVEL, Y, W])


def source(weights=None, table=TABLE):
    features = None if weights else tuple(NAMES[: P + 1])
    data = sr.open(table, columns=NAMES, target="y", weights=weights, features=features)
    return data if weights else sr.open(table[:, : P + 2], columns=NAMES[: P + 2], target="y")


@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("precision", ["auto", "exact"])
def test_each_level_has_the_fit_of_its_rows_in_one_pass(weights, precision):
    data = Counting(source(weights))
    found = sr.fit_by(sr.Linear(precision=precision), data, "country")
    assert (data.reads == 1).all()
    assert list(found) == list(range(G))
    for key, fit in found.items():
        mine = key == LEVEL
        design = sm.add_constant(X[mine])
        ref = sm.WLS(Y[mine], design, weights=W[mine] if weights else 1.0).fit()
        np.testing.assert_allclose(fit.coef, ref.params[1:], rtol=1e-9)
        np.testing.assert_allclose(fit.std_errors, ref.bse[1:], rtol=1e-9)
        np.testing.assert_allclose(found[key].log_likelihood, ref.llf, rtol=1e-9)
    assert found.coef.shape == found.std_errors.shape == (G, P)
    whole = sm.WLS(Y, sm.add_constant(X), weights=W if weights else 1.0).fit()
    np.testing.assert_allclose(found.pooled.coef, whole.params[1:], rtol=1e-9)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("weights", [None, "w"])
def test_chow_equals_the_test_of_all_interactions(intercept, weights):
    base = sm.add_constant(X) if intercept else X
    blocks = np.hstack([base * (key == LEVEL)[:, None] for key in range(G)])
    given = {"weights": W} if weights else {"weights": 1.0}
    full, pooled = (sm.WLS(Y, design, **given).fit() for design in (blocks, base))
    f, p, df = full.compare_f_test(pooled)
    found = sr.fit_by(sr.Linear(intercept=intercept), source(weights), "country").chow()
    np.testing.assert_allclose([found.fvalue, found.df_num, found.df_denom], [f, df, full.df_resid], rtol=1e-9)
    np.testing.assert_allclose(found.pvalue, p, rtol=1e-6)


def test_a_group_smaller_than_the_model_is_chows_test_of_prediction():
    table = TABLE.copy()
    table[:, P] = 0
    table[:3, P] = 1
    found = sr.fit_by(sr.Linear(), source(table=table), "country").chow()
    own, both = sm.OLS(Y[3:], sm.add_constant(X[3:])).fit(), sm.OLS(Y, sm.add_constant(X)).fit()
    f = (both.ssr - own.ssr) / 3 / (own.ssr / own.df_resid)
    np.testing.assert_allclose([found.fvalue, found.df_num, found.df_denom], [f, 3, own.df_resid], rtol=1e-6)


def test_from_moments_any_line_for_each_level(tmp_path):
    sr.scan(source(), by="country").save(tmp_path / "t.moments")
    found = sr.fit_by(sr.Linear(features=("x1",), target="x0"), tmp_path / "t.moments", "country")
    mine = LEVEL == 2
    ref = sm.OLS(X[mine, 0], sm.add_constant(X[mine, 1])).fit()
    np.testing.assert_allclose(found[2].coef, ref.params[1:], rtol=1e-9)
    assert found[2].passes == 0
    text = str(found)
    assert "Chow test: F =" in text
    assert "country" in text
    assert len(json.loads(json.dumps(found.to_dict()))["fits"]) == G
    assert "more groups" in found.summary(rows=2)


def test_powers_and_ridge():
    found = sr.fit_by(sr.Linear(powers={"x0": 2}, ridge=1.0), source(), "country")
    mine = LEVEL == 1
    ref = sr.Linear(powers={"x0": 2}, ridge=1.0).fit((X[mine], Y[mine]))
    np.testing.assert_allclose(found[1].coef, ref.coef, rtol=1e-8)
    with pytest.raises(UsageError, match="biased"):
        found.chow()


def test_what_is_refused():
    with pytest.raises(UsageError, match="say which column"):
        sr.fit_by(sr.Linear(), source())
    with pytest.raises(UsageError, match="were not kept apart"):
        sr.fit_by(sr.Linear(), sr.scan(source()), "country")
    with pytest.raises(UsageError, match="kept apart by folds 3 0, not by column country"):
        sr.fit_by(sr.Linear(), sr.scan(source(), folds=3), "country")
    with pytest.raises(UsageError, match="classical errors only"):
        sr.fit_by(sr.Linear(errors="HC1"), source(), "country")
    with pytest.raises(UsageError, match="raise memory"):
        sr.fit_by(sr.Linear(), source(), "country", memory=1000)
    table = TABLE.copy()
    table[LEVEL == 3, 1] = 7.0
    with pytest.raises(DataError, match=r"country = 3: .*x1 = 7"):
        sr.fit_by(sr.Linear(singular="error"), source(table=table), "country")
    one = sr.fit_by(sr.Linear(), source(table=np.where(np.arange(P + 3) == P, 1.0, TABLE)), "country")
    with pytest.raises(UsageError, match="two groups or more"):
        one.chow()
    assert "No Chow test" in str(one)
